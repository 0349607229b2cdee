/*
 * file: open files: open, release, read, write, commit on close and fsync,
 * allocation and holes.  What a draft is: inode.h.
 */
#include "fs/fs_int.h"

#include <stdlib.h>

enum { READ_ROUNDS_MAX = 1000 };
#define DAY_NS (86400 * INT64_C(1000000000))

/* --- handles */

enum vs_err handle_new(struct fs *fs, struct inode *i, uint32_t flags, struct vfs_handle **out)
{
	struct vfs_handle *h = malloc(sizeof *h);

	if (!h)
		return VS_ERR_NOMEM;
	h->inode = i;
	h->flags = flags;
	atomic_init(&h->err_seen, atomic_load(&i->err_count));
	h->prev = NULL;
	h->next = i->handles;
	if (h->next)
		h->next->prev = h;
	i->handles = h;
	i->opens++;
	atomic_fetch_add(&fs->handles, 1);
	*out = h;
	return VS_OK;
}

/* Take h, of a claimed inode, away; its reference becomes the caller's. */
static void handle_end(struct fs *fs, struct vfs_handle *h)
{
	struct inode *i = h->inode;

	vs_assert(i->opens > 0);
	if (h->prev)
		h->prev->next = h->next;
	else
		i->handles = h->next;
	if (h->next)
		h->next->prev = h->prev;
	i->opens--;
	atomic_fetch_sub(&fs->handles, 1);
	free(h);
}

uint64_t vfs_handle_id(const struct vfs_handle *h)
{
	return h->inode->id;
}

uint32_t vfs_handle_flags(const struct vfs_handle *h)
{
	return h->flags;
}

enum vs_err vfs_open(struct fs *fs, struct vfs_call *c, uint64_t id, uint32_t open_flags,
		     struct vfs_handle **h)
{
	struct object_raw raw;
	struct object o;
	struct inode *i;
	enum vs_err err = inode_take(&fs->table, id, &i);

	if (err)
		return err;
	err = fs_get(fs, id, &raw, &o);
	if (err == VS_ERR_NOENT)
		err = VS_ERR_STALE;
	if (!err && !S_ISREG(o.mode))
		err = S_ISDIR(o.mode) ? VS_ERR_ISDIR : VS_ERR_NXIO;
	if (!err)
		err = handle_new(fs, i, open_flags, h);
	if (!err && (open_flags & VFS_OPEN_TRUNC)) {
		err = c->kill_priv ? attr_kill_priv(fs, i, c) : VS_OK;
		if (!err)
			err = draft_replace(fs, i, c);
		if (err)
			handle_end(fs, *h);
	}
	if (err)
		inode_give(&fs->table, i);
	else
		inode_unclaim(&fs->table, i);
	return err;
}

/*
 * The last handle of an object without name is gone: so is the object.  Failing
 * leaves it to the end of the session.
 */
static void delete_unlinked(struct fs *fs, struct inode *i)
{
	struct draft *d = inode_draft(i);
	struct object_raw raw;
	struct object o;
	uint32_t rounds = 0;
	struct key k;
	struct txn t;
	enum vs_err err;

	txn_init(&t);
	do {
		txn_reset(&t);
		t.use_reserve = true;
		err = object_get(fs->store, i->id, &raw, &o);
		if (!err)
			err = object_txn_delete(fs->store, &t, i->id, &raw, &o);
		if (!err && d)
			err = draft_txn_drop(fs, &t, d);
		if (!err) {
			fs_key_unlinked(fs, &k, i->id);
			txn_del(&t, &k);
			err = fs_propose(fs, &t, NULL, NULL);
		}
	} while (fs_again(&err, &rounds));
	txn_fini(&t);
	if (!err)
		fs_dropped(fs, o.alloc_bytes);
	if (!err && d)
		d->listed = false;
	(void)committer_drop_atime(fs, i);
	draft_forget(fs, i);
}

/* What could not be committed when the last handle went was reported; a pending file vanishes. */
static void give_up(struct fs *fs, struct inode *i)
{
	bool pending = i->pending;

	draft_forget(fs, i);
	i->pending = false;
	if (pending && dir_remove_pending(fs, i->id))
		fs_note_error(fs, i, VS_ERR_NOSPC);
	/* The kernel has pages and a size of what is not there. */
	notify_inode(fs, i->id);
}

void vfs_release(struct fs *fs, struct vfs_handle *h)
{
	struct inode *i = h->inode;
	struct draft *d;
	enum vs_err err = VS_OK;

	inode_claim(&fs->table, i);
	handle_end(fs, h);
	d = inode_draft(i);
	if (!i->opens && i->unlinked) {
		if (!i->known)
			delete_unlinked(fs, i);
	} else if (!i->opens && fs->ending && (i->pending || (d && d->replace))) {
		give_up(fs, i);
	} else if (!i->opens && (i->pending || d)) {
		err = commit_all(fs, i, NULL);
		if (err)
			give_up(fs, i);
	}
	inode_give(&fs->table, i);
	committer_limit_atimes(fs);
}

void vfs_forget(struct fs *fs, uint64_t id)
{
	struct inode *i = atomic_load(&fs->known) ? inode_find(&fs->table, id) : NULL;

	if (!i)
		return;
	inode_claim(&fs->table, i);
	if (i->known) {
		i->known = false;
		atomic_fetch_sub(&fs->known, 1);
		if (!i->opens)
			delete_unlinked(fs, i);
		inode_put(&fs->table, i);
	}
	inode_give(&fs->table, i);
}

/* --- reading */

/* relatime: noted in memory, written some time later. */
static void touch_atime(struct fs *fs, struct vfs_handle *h, const struct object *o)
{
	struct inode *i = h->inode;
	int64_t now;

	if (atomic_load_explicit(&i->atime_ns, memory_order_relaxed) ||
	    (h->flags & VFS_OPEN_NOATIME) || atomic_load(&fs->noatime))
		return;
	now = fs_now(fs);
	if (o->atime_ns > o->mtime_ns && o->atime_ns > o->ctime_ns && now - o->atime_ns < DAY_NS)
		return;
	if (!atomic_exchange(&i->atime_ns, now))
		atomic_fetch_add(&fs->atimes, 1);
	inode_dirty(&fs->table, i);
}

static size_t clip(uint64_t size, uint64_t off, size_t len)
{
	if (off >= size)
		return 0;
	return size - off < len ? (size_t)(size - off) : len;
}

/*
 * Read what is committed, with no claim.  The content may be dropped under the
 * read, and then shows holes: what was read counts only if the record still
 * names the content (V7).
 */
static enum vs_err VS_MUST_USE read_clean(struct fs *fs, struct vfs_handle *h, uint64_t off,
					  void *buf, size_t len, size_t *got)
{
	struct object_raw raw;
	struct object o, after;
	enum vs_err err = fs_get(fs, h->inode->id, &raw, &o);

	for (uint32_t round = 0; round < READ_ROUNDS_MAX && !err; round++) {
		enum vs_err read_err;

		*got = clip(o.size, off, len);
		if (!*got)
			return VS_OK;
		read_err = draft_read(fs, NULL, &o, off, buf, *got);
		touch_atime(fs, h, &o);
		if (o.flags & OBJECT_INLINE)
			return read_err;
		err = fs_get(fs, h->inode->id, &raw, &after);
		if (err || (after.content == o.content && after.size >= o.size &&
			    (read_err != VS_ERR_STALE || after.change == o.change)))
			return err ? err : read_err;
		o = after;
	}
	return err ? err : VS_ERR_INTERNAL;
}

enum vs_err vfs_read(struct fs *fs, struct vfs_handle *h, uint64_t off, void *buf, size_t len,
		     size_t *got)
{
	struct inode *i = h->inode;
	struct object_raw raw;
	struct object o;
	struct draft *d;
	enum vs_err err;

	*got = 0;
	if (off > OBJECT_SIZE_MAX || len > OBJECT_SIZE_MAX - off)
		return VS_ERR_INVAL;
	if (!inode_draft(i))
		return read_clean(fs, h, off, buf, len, got);
	inode_claim(&fs->table, i);
	d = inode_draft(i);
	if (!d) {
		inode_unclaim(&fs->table, i);
		return read_clean(fs, h, off, buf, len, got);
	}
	err = fs_get(fs, i->id, &raw, &o);
	if (!err) {
		size_t n = clip(d->size, off, len);

		err = n ? draft_read(fs, i, &o, off, buf, n) : VS_OK;
		*got = err ? 0 : n;
	}
	inode_unclaim(&fs->table, i);
	return err;
}

/* --- writing */

/* Put the bytes where they belong: whole windows into the store at once, the rest into memory. */
static enum vs_err VS_MUST_USE place_bytes(struct fs *fs, struct inode *i, struct draft *d,
					   struct vfs_call *c, uint64_t off, const uint8_t *buf,
					   size_t len)
{
	uint32_t window = fs->chunk_bytes;
	enum vs_err err = VS_OK;

	while (len && !err) {
		uint64_t room = window - off % window;
		size_t n = len < room ? len : (size_t)room;

		/* A gap before off is dealt with by draft_write: it knows how to grow. */
		if (n == window && off <= d->size && d->size % WBUF_BLOCK == 0) {
			err = commit_window(fs, i, d, c, off, buf);
		} else {
			const struct wbuf_piece *full;

			err = draft_write(fs, i, d, c, off, buf, n);
			full = err ? NULL : wbuf_full(&d->buf, off);
			if (full && off + n == full->off + window)
				err = commit_window(fs, i, d, c, full->off, NULL);
		}
		off += n;
		buf += n;
		len -= n;
	}
	return err;
}

/* Store early when too much is dirty. */
static enum vs_err VS_MUST_USE limit_dirty(struct fs *fs, struct inode *i, struct draft *d,
					   struct vfs_call *c)
{
	if (d->buf.count > WBUF_PIECES_MAX / 2)
		return commit_early(fs, i, c);
	if (atomic_load(&fs->dirty_bytes) <= fs->dirty_limit)
		return VS_OK;
	return d->buf.alloc_bytes >= fs->chunk_bytes / 4 ? commit_early(fs, i, c) : VS_OK;
}

static enum vs_err VS_MUST_USE write_claimed(struct fs *fs, struct vfs_call *c,
					     const struct vfs_handle *h, uint64_t off,
					     const void *buf, size_t len, bool place)
{
	struct inode *i = h->inode;
	struct draft *d = NULL;
	enum vs_err err = VS_OK;

	if (!i->caps_gone || c->kill_priv)
		err = attr_kill_priv(fs, i, c);
	if (!err)
		err = draft_open(fs, i, &d);
	if (err)
		return err;
	if ((h->flags & VFS_OPEN_APPEND) && !place)
		off = d->size;
	if (len > OBJECT_SIZE_MAX - off)
		return VS_ERR_FBIG;
	err = place_bytes(fs, i, d, c, off, buf, len);
	if (!err)
		err = limit_dirty(fs, i, d, c);
	if (!err && (h->flags & VFS_OPEN_SYNC) && !i->unlinked)
		err = commit_all(fs, i, c);
	return err;
}

enum vs_err vfs_write(struct fs *fs, struct vfs_call *c, struct vfs_handle *h, uint64_t off,
		      const void *buf, size_t len, bool place)
{
	struct inode *i = h->inode;
	enum vs_err err;

	if (!len)
		return VS_OK;
	if (off > OBJECT_SIZE_MAX || len > OBJECT_SIZE_MAX - off)
		return VS_ERR_FBIG;
	err = fs_space_check(fs, len);
	if (err)
		return err;
	inode_claim(&fs->table, i);
	err = write_claimed(fs, c, h, off, buf, len, place);
	inode_unclaim(&fs->table, i);
	if (!err && atomic_load(&fs->dirty_bytes) > fs->dirty_limit)
		committer_relieve(fs);
	return err;
}

/* --- commit points */

/* The error this handle has not been told yet (F93). */
static enum vs_err VS_MUST_USE unseen_error(struct vfs_handle *h)
{
	uint32_t count = atomic_load(&h->inode->err_count);

	if (atomic_exchange(&h->err_seen, count) == count)
		return VS_OK;
	return (enum vs_err)atomic_load(&h->inode->err);
}

static enum vs_err VS_MUST_USE commit_handle(struct fs *fs, struct vfs_call *c,
					     struct vfs_handle *h)
{
	struct inode *i = h->inode;
	enum vs_err err = VS_OK, old;

	if (inode_draft(i) || i->pending) {
		inode_claim(&fs->table, i);
		if (!i->unlinked)
			err = commit_all(fs, i, c);
		if (err)
			fs_note_error(fs, i, err);
		inode_unclaim(&fs->table, i);
	}
	old = unseen_error(h);
	return err ? err : old;
}

enum vs_err vfs_flush(struct fs *fs, struct vfs_call *c, struct vfs_handle *h)
{
	enum vs_err err;

	if (!(h->flags & (VFS_OPEN_WRITE | VFS_OPEN_TRUNC)) && !h->inode->pending)
		return VS_OK;
	err = commit_handle(fs, c, h);
	c->index = atomic_load_explicit(&h->inode->index, memory_order_relaxed);
	return err;
}

enum vs_err vfs_fsync(struct fs *fs, struct vfs_call *c, struct vfs_handle *h)
{
	enum vs_err err = commit_handle(fs, c, h);

	/* What was done to the object before it was opened counts as well. */
	c->index = atomic_load_explicit(&h->inode->index, memory_order_relaxed);
	if (!c->index)
		c->index = store_last_index(fs->store);
	return err;
}

/* --- space and holes */

/* Bytes [off, end) read as zeros from now on; whole blocks of it become holes. */
static enum vs_err VS_MUST_USE zero_range(struct fs *fs, struct inode *i, struct draft *d,
					  struct vfs_call *c, uint64_t off, uint64_t end)
{
	static const uint8_t zeros[WBUF_BLOCK];
	uint64_t start, stop;
	enum vs_err err = VS_OK;

	if (end > d->size)
		end = d->size;
	if (off >= end)
		return VS_OK;
	start = (off + WBUF_BLOCK - 1) & ~(uint64_t)(WBUF_BLOCK - 1);
	stop = end == d->size ? UINT64_MAX : end & ~(uint64_t)(WBUF_BLOCK - 1);
	if (start > end || start > stop) /* within one block */
		return draft_write(fs, i, d, c, off, zeros, (size_t)(end - off));
	if (off < start)
		err = draft_write(fs, i, d, c, off, zeros, (size_t)(start - off));
	if (!err && stop < end)
		err = draft_write(fs, i, d, c, stop, zeros, (size_t)(end - stop));
	if (!err && start < stop && start < end)
		err = draft_hole(fs, i, d, c, start, stop);
	return err;
}

enum vs_err vfs_fallocate(struct fs *fs, struct vfs_call *c, struct vfs_handle *h, uint32_t mode,
			  uint64_t off, uint64_t len)
{
	struct inode *i = h->inode;
	bool keep = mode & VFS_FALLOC_KEEP_SIZE, punch = mode & VFS_FALLOC_PUNCH_HOLE;
	struct draft *d;
	enum vs_err err;

	if (mode &
	    ~(uint32_t)(VFS_FALLOC_KEEP_SIZE | VFS_FALLOC_PUNCH_HOLE | VFS_FALLOC_ZERO_RANGE))
		return VS_ERR_NOTSUP;
	if (punch && !keep)
		return VS_ERR_NOTSUP;
	if (!len || off > OBJECT_SIZE_MAX)
		return VS_ERR_INVAL;
	if (len > OBJECT_SIZE_MAX - off)
		return VS_ERR_FBIG;
	if (!(mode & ~(uint32_t)VFS_FALLOC_KEEP_SIZE)) {
		err = fs_space_check(fs, len);
		if (err)
			return err;
	}
	inode_claim(&fs->table, i);
	err = c->kill_priv ? attr_kill_priv(fs, i, c) : VS_OK;
	if (!err)
		err = draft_open(fs, i, &d);
	if (!err && (mode & (VFS_FALLOC_PUNCH_HOLE | VFS_FALLOC_ZERO_RANGE)))
		err = zero_range(fs, i, d, c, off, off + len);
	if (!err && !keep && off + len > d->size)
		err = draft_resize(fs, i, d, c, off + len);
	inode_unclaim(&fs->table, i);
	return err;
}

enum vs_err vfs_seek(struct fs *fs, struct vfs_handle *h, uint64_t off, bool hole, uint64_t *out)
{
	struct inode *i = h->inode;
	struct object_raw raw;
	struct object o;
	struct draft *d;
	uint64_t size;
	enum vs_err err;

	inode_claim(&fs->table, i);
	d = inode_draft(i);
	err = d && d->changed ? commit_early(fs, i, NULL) : VS_OK;
	if (!err)
		err = fs_get(fs, i->id, &raw, &o);
	if (!err) {
		size = d ? d->size : o.size;
		if (off >= size) {
			err = VS_ERR_NXIO;
		} else if ((o.flags & OBJECT_INLINE) && !(d && d->replace)) {
			*out = hole ? size : off;
		} else if (d && d->replace && !d->content) {
			*out = off;
			err = hole ? VS_OK : VS_ERR_NXIO;
		} else {
			err = object_seek(fs->store, d ? draft_content(d, &o) : o.content, size,
					  off, hole, out);
		}
	}
	inode_unclaim(&fs->table, i);
	return err;
}
