/*
 * committer: the thread that commits files updated in place every few seconds,
 * writes access times, and what stores data early when too much is dirty.
 */
#include "fs/fs_int.h"

/* --- access times */

bool committer_drop_atime(struct fs *fs, struct inode *i)
{
	bool had = atomic_exchange(&i->atime_ns, 0) != 0;

	if (had)
		atomic_fetch_sub(&fs->atimes, 1);
	return had;
}

/* Write the times of `count` inodes in one transaction; nobody is promised anything. */
static enum vs_err VS_MUST_USE write_atimes(struct fs *fs, struct inode *const *v, uint32_t count)
{
	struct txn t;
	enum vs_err err;

	txn_init(&t);
	for (uint32_t n = 0; n < count; n++) {
		struct key k;

		key_u64(&k, KEY_OBJECT, v[n]->id);
		txn_max(&t, &k, OBJECT_OFF_ATIME, atomic_load(&v[n]->atime_ns));
	}
	err = fs_propose(fs, &t, NULL, NULL);
	txn_fini(&t);
	return err;
}

/* Write and settle the claimed inodes in v, and give them back. */
static void flush_atimes(struct fs *fs, struct inode **v, uint32_t count)
{
	enum vs_err err = count ? write_atimes(fs, v, count) : VS_OK;

	for (uint32_t n = 0; n < count; n++) {
		/* One of them is gone: the others one by one.  A time lost is no loss. */
		if (err == VS_ERR_COND && count > 1)
			(void)!write_atimes(fs, &v[n], 1);
		(void)committer_drop_atime(fs, v[n]);
		if (!inode_draft(v[n]) && inode_clean(&fs->table, v[n]))
			inode_put(&fs->table, v[n]);
		/* read again meanwhile */
		if (atomic_load(&v[n]->atime_ns))
			inode_dirty(&fs->table, v[n]);
		inode_put(&fs->table, v[n]);
	}
}

/* --- one round */

static bool due(const struct inode *i, const struct draft *d, bool all)
{
	if (!d || i->unlinked)
		return false;
	if (all || !i->opens)
		return true;
	return d->changed && !d->replace && (!i->pending || i->append);
}

enum vs_err committer_run(struct fs *fs, bool all)
{
	struct inode *v[FS_ATIME_BATCH];
	uint32_t times = 0, count = atomic_load(&fs->table.dirty_count);
	enum vs_err first = VS_OK;

	for (uint32_t n = 0; n < count; n++) {
		struct inode *i = inode_next_dirty(&fs->table);
		enum vs_err err = VS_OK;

		if (!i)
			break;
		inode_claim(&fs->table, i);
		if (due(i, inode_draft(i), all))
			err = commit_all(fs, i, NULL);
		if (err)
			fs_note_error(fs, i, err);
		if (err && !first)
			first = err;
		inode_unclaim(&fs->table, i);
		if (!atomic_load(&i->atime_ns) || i->unlinked) {
			inode_put(&fs->table, i);
			continue;
		}
		v[times++] = i;
		if (times == FS_ATIME_BATCH) {
			flush_atimes(fs, v, times);
			times = 0;
		}
	}
	flush_atimes(fs, v, times);
	return first;
}

/* One thread does it, for all who find too many. */
void committer_limit_atimes(struct fs *fs)
{
	if (atomic_load_explicit(&fs->atimes, memory_order_relaxed) <= FS_ATIMES_MAX ||
	    atomic_exchange(&fs->writing_atimes, true))
		return;
	(void)committer_run(fs, false);
	atomic_store(&fs->writing_atimes, false);
}

/* --- too much dirty */

void committer_relieve(struct fs *fs)
{
	uint32_t tries = atomic_load(&fs->table.dirty_count);

	while (tries-- && atomic_load(&fs->dirty_bytes) > fs->dirty_limit) {
		struct inode *i = inode_next_dirty(&fs->table);
		enum vs_err err = VS_OK;

		if (!i)
			break;
		inode_claim(&fs->table, i);
		if (inode_draft(i) && inode_draft(i)->changed)
			err = commit_early(fs, i, NULL);
		/* The bytes stay where they are; the owner's next commit tries again. */
		if (err && vs_err_class(err) != VS_CLASS_SPACE)
			fs_note_error(fs, i, err);
		inode_give(&fs->table, i);
	}
}

/* --- the thread */

static void *committer(void *arg)
{
	struct fs *fs = arg;
	bool due_now = false;

	mutex_lock(&fs->lock);
	while (!fs->stop) {
		if (!fs->commit_ms)
			cond_wait(&fs->wake, &fs->lock);
		else if (!cond_wait_ms(&fs->wake, &fs->lock, fs->commit_ms))
			due_now = true;
		notify_run(fs);
		if (!due_now)
			continue;
		due_now = false;
		mutex_unlock(&fs->lock);
		(void)committer_run(fs, false);
		mutex_lock(&fs->lock);
	}
	mutex_unlock(&fs->lock);
	return NULL;
}

enum vs_err committer_start(struct fs *fs)
{
	if (pthread_create(&fs->committer, NULL, committer, fs))
		return VS_ERR_NOMEM;
	fs->committer_runs = true;
	return VS_OK;
}

void committer_stop(struct fs *fs)
{
	if (!fs->committer_runs)
		return;
	mutex_lock(&fs->lock);
	fs->stop = true;
	cond_broadcast(&fs->wake);
	mutex_unlock(&fs->lock);
	vs_assert(!pthread_join(fs->committer, NULL));
	fs->committer_runs = false;
}
