/*
 * copy: copy_file_range: whole blocks share their chunks, the rest is copied.
 */
#include "fs/fs_int.h"

#include <stdlib.h>

#define COPY_BYTES (1u << 20)         /* copied at a time */
#define COPY_MAX (16u << 20)          /* copied by one call; the caller asks again */
#define SHARE_MAX (UINT64_C(1) << 30) /* shared by one call */

struct copying {
	struct fs *fs;
	struct vfs_call *c;
	struct inode *from, *to;
	uint64_t from_off, to_off, len;
	struct object o; /* of from */
	uint64_t from_size;
	struct draft *d; /* of to */
};

static enum vs_err VS_MUST_USE load_source(struct copying *k)
{
	struct draft *d = inode_draft(k->from);
	struct object_raw raw;
	enum vs_err err = fs_get(k->fs, k->from->id, &raw, &k->o);

	k->from_size = d ? d->size : k->o.size;
	k->o.tail = bytes_of(NULL, 0);
	return err;
}

static uint64_t source_content(const struct copying *k)
{
	struct draft *d = inode_draft(k->from);

	if (d)
		return draft_unstored(d, &k->o) ? 0 : draft_content(d, &k->o);
	return k->o.flags & OBJECT_INLINE ? 0 : k->o.content;
}

/* How much can be shared: whole blocks, or up to the end of both files. */
static uint64_t share_len(const struct copying *k)
{
	uint64_t len = k->len;

	if (k->from_off % OBJECT_BLOCK || k->to_off % OBJECT_BLOCK || !source_content(k))
		return 0;
	if (k->from_off + len == k->from_size && k->to_off + len >= k->d->size)
		return len;
	return len & ~(uint64_t)(OBJECT_BLOCK - 1);
}

/* Put the extents of the source that lie in the range, shifted. */
static enum vs_err VS_MUST_USE share_extents(struct copying *k, uint64_t len)
{
	uint64_t at = k->from_off, end = k->from_off + len;
	struct object_extent e[FS_CLONE_EXTENTS];
	uint32_t count;
	bool more = true;

	while (more && at < end) {
		enum vs_err err = commit_extents(k->fs, source_content(k), at, end, e,
						 FS_CLONE_EXTENTS, &count, &more);

		if (err || !count)
			return err;
		at = e[count - 1].end;
		for (uint32_t n = 0; n < count; n++) {
			if (e[n].start < k->from_off) {
				e[n].skip += (uint32_t)(k->from_off - e[n].start);
				e[n].start = k->from_off;
			}
			if (e[n].end > end)
				e[n].end = end;
			e[n].start += k->to_off - k->from_off;
			e[n].end += k->to_off - k->from_off;
		}
		err = commit_clone(k->fs, k->to, k->d, k->c, e, count);
		if (err)
			return err;
	}
	return VS_OK;
}

static enum vs_err VS_MUST_USE share(struct copying *k, uint64_t len)
{
	uint64_t end = k->to_off + len;
	enum vs_err err = commit_early(k->fs, k->to, k->c);

	if (!err && k->to_off > k->d->size)
		err = draft_resize(k->fs, k->to, k->d, k->c, k->to_off);
	if (!err)
		err = draft_hole(k->fs, k->to, k->d, k->c, k->to_off,
				 end >= k->d->size ? UINT64_MAX : end);
	/* Growing first makes the old end whole blocks: the extents are not the last ones then. */
	if (!err && end > k->d->size)
		err = draft_resize(k->fs, k->to, k->d, k->c, end);
	if (!err)
		err = commit_early(k->fs, k->to, k->c);
	return err ? err : share_extents(k, len);
}

static enum vs_err VS_MUST_USE copy_bytes(struct copying *k, uint64_t len, uint64_t *copied)
{
	uint8_t *buf = malloc(COPY_BYTES);
	enum vs_err err = buf ? VS_OK : VS_ERR_NOMEM;

	while (!err && *copied < len) {
		uint64_t n = len - *copied < COPY_BYTES ? len - *copied : COPY_BYTES;
		struct object_raw raw;
		struct object o;

		err = fs_space_check(k->fs, n);
		if (!err)
			err = fs_get(k->fs, k->from->id, &raw, &o);
		if (!err)
			err = draft_read(k->fs, k->from, &o, k->from_off + *copied, buf, n);
		if (!err)
			err = draft_write(k->fs, k->to, k->d, k->c, k->to_off + *copied, buf, n);
		if (!err && k->d->buf.alloc_bytes >= 4 * COPY_BYTES)
			err = commit_early(k->fs, k->to, k->c);
		if (!err)
			*copied += n;
	}
	free(buf);
	return *copied ? VS_OK : err;
}

/* Make both sides ready and clip the range to the source. */
static enum vs_err VS_MUST_USE prepare(struct copying *k)
{
	enum vs_err err = load_source(k);

	if (err)
		return err;
	if (k->from_off >= k->from_size)
		k->len = 0;
	else if (k->len > k->from_size - k->from_off)
		k->len = k->from_size - k->from_off;
	if (k->len > SHARE_MAX)
		k->len = SHARE_MAX;
	if (!k->len)
		return VS_OK;
	err = draft_open(k->fs, k->to, &k->d);
	/* The source's dirty bytes become extents; the record is read again. */
	if (!err && inode_draft(k->from) && inode_draft(k->from)->changed && k->len >= OBJECT_BLOCK)
		err = commit_early(k->fs, k->from, k->c);
	return err ? err : load_source(k);
}

/* The next part that goes one way: bytes up to a block, whole blocks, bytes behind them. */
static enum vs_err VS_MUST_USE copy_part(struct copying *k, uint64_t *copied)
{
	uint64_t shared = share_len(k), head = OBJECT_BLOCK - k->from_off % OBJECT_BLOCK;
	enum vs_err err;

	if (shared) {
		err = share(k, shared);
		*copied = err ? 0 : shared;
		return err;
	}
	if (!source_content(k) || k->from_off % OBJECT_BLOCK != k->to_off % OBJECT_BLOCK)
		head = COPY_MAX;
	return copy_bytes(k, k->len < head ? k->len : head, copied);
}

static enum vs_err VS_MUST_USE copy(struct copying *k, uint64_t *copied)
{
	enum vs_err err = prepare(k);

	while (!err && k->len && *copied < COPY_MAX) {
		uint64_t n = 0;

		err = copy_part(k, &n);
		k->from_off += n;
		k->to_off += n;
		k->len -= n;
		*copied += n;
	}
	return *copied ? VS_OK : err;
}

enum vs_err vfs_copy(struct fs *fs, struct vfs_call *c, struct vfs_handle *from, uint64_t from_off,
		     struct vfs_handle *to, uint64_t to_off, uint64_t len, uint64_t *copied)
{
	struct copying k = {.fs = fs, .c = c, .from = from->inode, .to = to->inode};
	struct inode *a = from->inode, *b = to->inode;
	enum vs_err err;

	*copied = 0;
	if (!len)
		return VS_OK;
	if (from_off > OBJECT_SIZE_MAX || to_off > OBJECT_SIZE_MAX)
		return VS_ERR_INVAL;
	if (len > OBJECT_SIZE_MAX - from_off)
		len = OBJECT_SIZE_MAX - from_off;
	if (len > OBJECT_SIZE_MAX - to_off)
		return VS_ERR_FBIG;
	if (a == b && from_off < to_off + len && to_off < from_off + len)
		return VS_ERR_INVAL;
	k.from_off = from_off;
	k.to_off = to_off;
	k.len = len;
	inode_claim(&fs->table, a->id < b->id ? a : b);
	if (a != b)
		inode_claim(&fs->table, a->id < b->id ? b : a);
	err = c->kill_priv || !b->caps_gone ? attr_kill_priv(fs, b, c) : VS_OK;
	if (!err)
		err = copy(&k, copied);
	inode_unclaim(&fs->table, a);
	if (a != b)
		inode_unclaim(&fs->table, b);
	return err;
}
