/*
 * draft: the next version of a file in memory: buffered bytes, size and times
 * over what is stored; see inode.h.  Storing and committing it is commit.c.
 *
 * Bytes behind the end of the file are zeros in the buffer and holes in the
 * content (V6).  Only a truncation in place that had too much to remove in one
 * transaction leaves extents behind the end for a moment (or for ever, after a
 * crash): so before a file grows they are looked for and removed.
 */
#include "fs/fs_int.h"

static const uint8_t zeros[WBUF_BLOCK];

static uint64_t block_of(uint64_t off)
{
	return off & ~(uint64_t)(WBUF_BLOCK - 1);
}

static uint64_t block_up(uint64_t off)
{
	return block_of(off + WBUF_BLOCK - 1);
}

void draft_count(struct fs *fs, struct inode *i)
{
	struct draft *d = inode_draft(i);

	if (d) {
		atomic_fetch_add(&fs->dirty_bytes, d->buf.alloc_bytes - d->counted);
		d->counted = d->buf.alloc_bytes;
		inode_dirty(&fs->table, i);
	}
}

/* Take the draft away; its bytes are committed or given up. */
static void draft_end(struct fs *fs, struct inode *i)
{
	struct draft *d = inode_draft(i);

	if (d) {
		atomic_fetch_sub(&fs->dirty_bytes, d->counted);
		inode_draft_drop(i);
	}
	if (!atomic_load(&i->atime_ns) && inode_clean(&fs->table, i))
		inode_put(&fs->table, i);
}

bool draft_unstored(const struct draft *d, const struct object *o)
{
	if (d->replace)
		return !d->content;
	return (o->flags & OBJECT_INLINE) || !o->alloc_bytes;
}

enum vs_err draft_open(struct fs *fs, struct inode *i, struct draft **out)
{
	struct object_raw raw;
	struct object o;
	struct draft *d = inode_draft(i);
	enum vs_err err;

	*out = d;
	if (d)
		return VS_OK;
	err = fs_get(fs, i->id, &raw, &o);
	if (err)
		return err;
	if (!S_ISREG(o.mode))
		return S_ISDIR(o.mode) ? VS_ERR_ISDIR : VS_ERR_INVAL;
	err = inode_draft_new(i, fs->chunk_bytes, &d);
	if (err)
		return err;
	d->size = o.size;
	if ((o.flags & OBJECT_INLINE) && o.tail.len) {
		err = wbuf_write(&d->buf, 0, o.tail.p, o.tail.len, zeros, zeros);
		if (err) {
			inode_draft_drop(i);
			return err;
		}
	}
	draft_count(fs, i);
	*out = d;
	return VS_OK;
}

enum vs_err draft_txn_drop(struct fs *fs, struct txn *t, struct draft *d)
{
	struct key k;
	enum vs_err err = VS_OK;

	if (d->listed) {
		key_u64_u64(&k, KEY_PENDING_CONTENT, fs->session, d->content);
		txn_del(t, &k);
		t->use_reserve = true;
		err = object_txn_drop_content(fs->store, t, d->content);
	}
	return err;
}

/* Remove what d stored beside the record. */
static enum vs_err VS_MUST_USE drop_stored(struct fs *fs, struct draft *d)
{
	struct txn t;
	enum vs_err err = VS_OK;

	if (d->listed) {
		txn_init(&t);
		err = draft_txn_drop(fs, &t, d);
		if (!err)
			err = fs_propose(fs, &t, NULL, NULL);
		txn_fini(&t);
	}
	if (!err) {
		d->listed = false;
		d->content = 0;
		d->alloc_bytes = 0;
	}
	return err;
}

void draft_forget(struct fs *fs, struct inode *i)
{
	struct draft *d = inode_draft(i);

	/* What cannot be removed now goes when the session ends. */
	if (d && drop_stored(fs, d))
		fs_note_error(fs, i, VS_ERR_NOSPC);
	draft_end(fs, i);
}

enum vs_err draft_replace(struct fs *fs, struct inode *i, struct vfs_call *c)
{
	struct draft *d = inode_draft(i);
	enum vs_err err;

	if (i->pending || (d && d->replace)) {
		err = draft_open(fs, i, &d);
		return err ? err : draft_resize(fs, i, d, c, 0);
	}
	err = inode_draft_new(i, fs->chunk_bytes, &d);
	if (err)
		return err;
	wbuf_clear(&d->buf);
	d->replace = true;
	d->changed = true;
	d->size = 0;
	d->mtime_ns = d->ctime_ns = fs_now(fs);
	draft_count(fs, i);
	return VS_OK;
}

enum vs_err draft_read(struct fs *fs, struct inode *i, const struct object *o, uint64_t off,
		       void *buf, size_t len)
{
	struct draft *d = i ? inode_draft(i) : NULL;
	bool inl = (o->flags & OBJECT_INLINE) && !(d && d->replace);
	uint64_t content = d ? draft_content(d, o) : o->content;
	enum vs_err err = VS_OK;

	if (!inl && content) {
		err = object_read(fs->store, content, off, buf, len);
	} else {
		memset(buf, 0, len);
		if (!d && inl && off < o->tail.len) {
			size_t n = o->tail.len - (size_t)off;

			memcpy(buf, (const uint8_t *)o->tail.p + off, n < len ? n : len);
		}
	}
	if (!err && d)
		wbuf_read(&d->buf, off, buf, len);
	return err;
}

/* The bytes of the block at off as the draft has them, zeros behind the end. */
static enum vs_err VS_MUST_USE fetch(struct fs *fs, struct inode *i, const struct draft *d,
				     const struct object *o, uint64_t off, uint8_t *block)
{
	size_t n = 0;

	if (off < d->size)
		n = d->size - off < WBUF_BLOCK ? (size_t)(d->size - off) : WBUF_BLOCK;
	memset(block + n, 0, WBUF_BLOCK - n);
	return n ? draft_read(fs, i, o, off, block, n) : VS_OK;
}

/* Whether stored bytes stand in the block at off. */
static enum vs_err VS_MUST_USE stored_at(struct fs *fs, const struct draft *d,
					 const struct object *o, uint64_t off, bool *stored)
{
	uint64_t at;
	enum vs_err err;

	*stored = false;
	if (draft_unstored(d, o))
		return VS_OK;
	err = object_seek(fs->store, draft_content(d, o), off + WBUF_BLOCK, off, false, &at);
	*stored = !err;
	return err == VS_ERR_NXIO ? VS_OK : err;
}

/* Make the block at off dirty as it is, unless it is a hole. */
static enum vs_err VS_MUST_USE dirty_block(struct fs *fs, struct inode *i, struct draft *d,
					   const struct object *o, uint64_t off)
{
	uint8_t block[WBUF_BLOCK];
	bool stored;
	enum vs_err err;

	if (wbuf_has(&d->buf, off))
		return VS_OK;
	err = stored_at(fs, d, o, off, &stored);
	if (err || !stored)
		return err;
	err = fetch(fs, i, d, o, off, block);
	return err ? err : wbuf_write(&d->buf, off, block, sizeof block, NULL, NULL);
}

/*
 * The file is about to get bytes at off, at or behind its end: no stored bytes
 * may show up between, and only the last extent may end inside a block.
 */
static enum vs_err VS_MUST_USE grow(struct fs *fs, struct inode *i, struct draft *d,
				    struct vfs_call *c, const struct object *o, uint64_t off)
{
	enum vs_err err;

	if (!d->tail_clean && !draft_unstored(d, o)) {
		err = commit_cut(fs, i, d, c, block_up(d->size), UINT64_MAX);
		if (err)
			return err;
	}
	d->tail_clean = true;
	if (d->size % WBUF_BLOCK && block_of(d->size) < block_of(off))
		return dirty_block(fs, i, d, o, block_of(d->size));
	return VS_OK;
}

enum vs_err draft_write(struct fs *fs, struct inode *i, struct draft *d, struct vfs_call *c,
			uint64_t off, const void *buf, size_t len)
{
	uint8_t head[WBUF_BLOCK], tail[WBUF_BLOCK];
	uint64_t end = off + len, first = block_of(off), last = block_of(end - 1);
	bool need_head = off % WBUF_BLOCK || (first == last && end % WBUF_BLOCK);
	bool need_tail = first != last && end % WBUF_BLOCK;
	struct object_raw raw;
	struct object o;
	enum vs_err err = fs_get(fs, i->id, &raw, &o);

	vs_assert(len && end > off);
	if (!err && end > d->size)
		err = grow(fs, i, d, c, &o, off);
	if (!err && need_head && !wbuf_has(&d->buf, first))
		err = fetch(fs, i, d, &o, first, head);
	if (!err && need_tail && !wbuf_has(&d->buf, last))
		err = fetch(fs, i, d, &o, last, tail);
	if (!err)
		err = wbuf_write(&d->buf, off, buf, len, head, tail);
	if (!err) {
		if (end > d->size)
			d->size = end;
		d->changed = true;
		d->mtime_ns = d->ctime_ns = fs_now(fs);
	}
	draft_count(fs, i);
	return err;
}

static enum vs_err VS_MUST_USE shrink(struct fs *fs, struct inode *i, struct draft *d,
				      struct vfs_call *c, const struct object *o, uint64_t size)
{
	enum vs_err err = VS_OK;

	if (!size && d->replace) {
		err = drop_stored(fs, d);
		if (!err)
			wbuf_clear(&d->buf);
		return err;
	}
	if (size % WBUF_BLOCK)
		err = dirty_block(fs, i, d, o, block_of(size));
	/*
	 * A committed file loses its extents with the commit of the new size; one
	 * without a name sees no commit, and growing again must not show them.
	 */
	d->tail_clean = false;
	if (!err && (d->replace || i->pending || i->unlinked) && !draft_unstored(d, o))
		err = commit_cut(fs, i, d, c, block_up(size), UINT64_MAX);
	if (!err)
		wbuf_cut(&d->buf, size);
	return err;
}

enum vs_err draft_resize(struct fs *fs, struct inode *i, struct draft *d, struct vfs_call *c,
			 uint64_t size)
{
	struct object_raw raw;
	struct object o;
	enum vs_err err = fs_get(fs, i->id, &raw, &o);

	if (err)
		return err;
	if (size < d->size)
		err = shrink(fs, i, d, c, &o, size);
	else if (size > d->size)
		err = grow(fs, i, d, c, &o, size);
	if (!err) {
		d->size = size;
		d->changed = true;
		d->mtime_ns = d->ctime_ns = fs_now(fs);
	}
	draft_count(fs, i);
	return err;
}

enum vs_err draft_hole(struct fs *fs, struct inode *i, struct draft *d, struct vfs_call *c,
		       uint64_t start, uint64_t end)
{
	struct object_raw raw;
	struct object o;
	enum vs_err err = wbuf_drop(&d->buf, start, end);

	if (!err)
		err = fs_get(fs, i->id, &raw, &o);
	if (!err && !draft_unstored(d, &o))
		err = commit_cut(fs, i, d, c, start, end);
	if (!err) {
		d->changed = true;
		d->mtime_ns = d->ctime_ns = fs_now(fs);
	}
	draft_count(fs, i);
	return err;
}
