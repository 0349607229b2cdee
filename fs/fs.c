/* fs: see fs.h; and the helpers of every operation, see fs_int.h. */
#include "fs/fs_int.h"

#include <stdlib.h>

enum vs_err fs_new(const struct fs_config *config, struct fs **out)
{
	struct fs *fs = calloc(1, sizeof *fs);
	struct store_stats stats;
	enum vs_err err;

	if (!fs)
		return VS_ERR_NOMEM;
	fs->replica = config->replica;
	fs->store = replica_store(config->replica);
	fs->session = replica_session(config->replica);
	fs->durability = config->durability;
	fs->commit_ms = config->commit_ms;
	fs->dirty_limit = config->dirty_bytes ? config->dirty_bytes : FS_DIRTY_DEFAULT;
	if (fs->dirty_limit < FS_DIRTY_MIN) {
		free(fs);
		return VS_ERR_CONFIG;
	}
	store_stats(fs->store, &stats);
	fs->chunk_bytes = stats.chunk_bytes;
	vs_assert(fs->chunk_bytes <= FS_BATCH_BYTES && fs->chunk_bytes % WBUF_BLOCK == 0);
	err = inode_table_init(&fs->table);
	if (err) {
		free(fs);
		return err;
	}
	mutex_init(&fs->lock);
	cond_init(&fs->wake);
	err = committer_start(fs);
	if (err) {
		cond_fini(&fs->wake);
		mutex_fini(&fs->lock);
		inode_table_fini(&fs->table);
		free(fs);
		return err;
	}
	*out = fs;
	return VS_OK;
}

static void release_all(struct fs *fs)
{
	struct inode *i;

	for (;;) {
		i = inode_any_open(&fs->table);
		if (!i)
			return;
		if (i->handles)
			vfs_release(fs, i->handles);
		else
			vfs_forget(fs, i->id);
		inode_put(&fs->table, i);
	}
}

enum vs_err fs_free(struct fs *fs)
{
	enum vs_err err, sync_err;
	struct inode *i;

	committer_stop(fs);
	/*
	 * Files that a user holds although the mount is gone: what was written in
	 * place is committed; a new or replaced file whose user did not come to its
	 * close is half-written and goes (P2).
	 */
	fs->ending = true;
	err = committer_run(fs, false);
	release_all(fs);
	/* What could not be committed was reported; here it ends. */
	while ((i = inode_next_dirty(&fs->table))) {
		inode_claim(&fs->table, i);
		draft_forget(fs, i);
		(void)committer_drop_atime(fs, i);
		if (inode_clean(&fs->table, i))
			inode_put(&fs->table, i);
		inode_give(&fs->table, i);
	}
	sync_err = replica_sync(fs->replica, store_last_index(fs->store));
	inode_table_fini(&fs->table);
	cond_fini(&fs->wake);
	mutex_fini(&fs->lock);
	free(fs);
	return err ? err : sync_err;
}

enum vs_err fs_sync(struct fs *fs)
{
	enum vs_err err = committer_run(fs, true);
	enum vs_err sync_err = replica_sync(fs->replica, store_last_index(fs->store));

	return err ? err : sync_err;
}

void fs_stats(struct fs *fs, struct fs_stats *out)
{
	*out = (struct fs_stats){
		.open_files = atomic_load(&fs->handles),
		.inodes = atomic_load(&fs->table.count),
		.dirty_bytes = atomic_load(&fs->dirty_bytes),
		.dirty_limit_bytes = fs->dirty_limit,
		.commits = atomic_load(&fs->commits),
		.errors = atomic_load(&fs->errors),
	};
}

enum fs_durability fs_durability(const struct fs *fs)
{
	return fs->durability;
}

bool fs_again(enum vs_err *err, uint32_t *rounds)
{
	if (*err != VS_ERR_COND)
		return false;
	if (++*rounds < FS_ROUNDS_MAX)
		return true;
	*err = VS_ERR_INTERNAL;
	return false;
}

enum vs_err fs_propose(struct fs *fs, const struct txn *t, struct vfs_call *c, struct inode *i)
{
	struct store_result r = {0};
	enum vs_err err = replica_propose(fs->replica, t, &r);

	if (err)
		return err;
	if (c)
		c->index = r.index;
	if (i)
		atomic_store_explicit(&i->index, r.index, memory_order_relaxed);
	return VS_OK;
}

enum vs_err fs_name_check(struct bytes name)
{
	const char *p = name.p;

	if (name.len > KEY_NAME_MAX)
		return VS_ERR_NAMETOOLONG;
	if (!name.len || memchr(p, '/', name.len) || memchr(p, 0, name.len))
		return name.len ? VS_ERR_INVAL : VS_ERR_NOENT;
	if (p[0] == '.' && (name.len == 1 || (name.len == 2 && p[1] == '.')))
		return VS_ERR_EXIST;
	return VS_OK;
}

enum vs_err fs_space_check(struct fs *fs, uint64_t len)
{
	struct store_space space;
	uint64_t dirty;
	enum vs_err err;

	if (atomic_fetch_sub_explicit(&fs->space_budget, (int64_t)len, memory_order_relaxed) >=
	    (int64_t)len)
		return VS_OK;
	err = store_space(fs->store, &space);
	if (err)
		return err;
	dirty = atomic_load_explicit(&fs->dirty_bytes, memory_order_relaxed) + FS_SPACE_MARGIN;
	if (space.avail_bytes < dirty || space.avail_bytes - dirty < len) {
		atomic_store_explicit(&fs->space_budget, 0, memory_order_relaxed);
		replica_kick(fs->replica);
		return VS_ERR_NOSPC;
	}
	dirty = (space.avail_bytes - dirty - len) / 2;
	atomic_store_explicit(&fs->space_budget,
			      (int64_t)(dirty < FS_SPACE_STEP ? dirty : FS_SPACE_STEP),
			      memory_order_relaxed);
	return VS_OK;
}

void fs_dropped(struct fs *fs, uint64_t bytes)
{
	/* Less is removed by the transaction itself. */
	if (bytes > 4 * (uint64_t)fs->chunk_bytes)
		replica_kick(fs->replica);
}

void fs_note_error(struct fs *fs, struct inode *i, enum vs_err err)
{
	atomic_store(&i->err, (int)err);
	atomic_fetch_add(&i->err_count, 1);
	atomic_fetch_add(&fs->errors, 1);
}

enum vs_err fs_get(struct fs *fs, uint64_t id, struct object_raw *raw, struct object *o)
{
	enum vs_err err = object_get(fs->store, id, raw, o);

	return !err && !fs_visible(fs, o) ? VS_ERR_NOENT : err;
}

void fs_attr(const struct object *o, uint64_t id, struct vfs_attr *out)
{
	bool inl = o->flags & OBJECT_INLINE;

	*out = (struct vfs_attr){
		.id = id,
		.size = S_ISDIR(o->mode) ? o->entries : o->size,
		.nlink = o->nlink,
		.blocks = ((inl ? o->size : o->alloc_bytes) + 511) / 512,
		.mode = o->mode,
		.uid = o->uid,
		.gid = o->gid,
		.rdev = o->rdev,
		.atime_ns = o->atime_ns,
		.mtime_ns = o->mtime_ns,
		.ctime_ns = o->ctime_ns,
		.btime_ns = o->btime_ns,
	};
}

void fs_key_pending(struct fs *fs, struct key *k, uint64_t id)
{
	key_u64_u64(k, KEY_PENDING, fs->session, id);
}

void fs_key_unlinked(struct fs *fs, struct key *k, uint64_t id)
{
	key_u64_u64(k, KEY_UNLINKED, fs->session, id);
}

void fs_txn_settle(struct fs *fs, struct txn *t, uint64_t id, struct object *o)
{
	struct key k;

	if (!o->session)
		return;
	o->session = 0;
	fs_key_pending(fs, &k, id);
	txn_del(t, &k);
}

void vfs_set_noatime(struct fs *fs, bool noatime)
{
	atomic_store(&fs->noatime, noatime);
}

void vfs_wait(struct fs *fs, struct log_waiter *w)
{
	replica_sync_async(fs->replica, w);
}

uint64_t vfs_last_index(struct fs *fs)
{
	return store_last_index(fs->store);
}
