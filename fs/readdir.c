/*
 * readdir: listing a directory in order of cookies, in constant memory.
 *
 * An entry keeps its cookie while it lasts and new ones get higher cookies, so
 * the cookie is a position that stays right whatever else comes and goes.  A
 * listing ends at the highest cookie there was when it began; else renaming
 * what is listed would make it endless.  "." and ".." stand at 1 and 2.
 */
#include "fs/fs_int.h"

#include <stdlib.h>

enum { BATCH_BYTES = 32768, BATCH_ENTRIES = 512 };

struct batch {
	uint32_t count, used, max;
	uint64_t end; /* no entries behind this position */
	bool full;
	enum vs_err err;
	struct {
		struct object_entry e;
		uint32_t name_off, name_len;
	} v[BATCH_ENTRIES];
	char names[BATCH_BYTES];
};

static bool take(void *arg, struct bytes key, struct bytes value)
{
	struct batch *b = arg;
	struct object_entry e;
	struct bytes name;

	b->err = object_dirent_decode(key, value, &e, &name);
	if (b->err || e.cookie > b->end)
		return false;
	if (b->count == b->max || name.len > sizeof b->names - b->used) {
		b->full = true;
		return false;
	}
	memcpy(b->names + b->used, name.p, name.len);
	b->v[b->count].e = e;
	b->v[b->count].name_off = b->used;
	b->v[b->count++].name_len = (uint32_t)name.len;
	b->used += (uint32_t)name.len;
	return true;
}

static enum vs_err VS_MUST_USE fill(struct fs *fs, uint64_t dir, uint64_t off, struct batch *b)
{
	struct key prefix, first;
	enum vs_err err;

	b->count = b->used = 0;
	b->full = false;
	b->err = VS_OK;
	key_u64(&prefix, KEY_DIRENT, dir);
	key_u64_u64(&first, KEY_DIRENT, dir, off + 1);
	err = store_scan(fs->store, NULL, &prefix, &first, take, b);
	return err ? err : b->err;
}

/* "." and "..".  False: the reader has enough. */
static bool give_dots(uint64_t dir, uint64_t parent, uint64_t *off,
		      bool (*each)(void *arg, const struct vfs_dirent *d), void *arg)
{
	struct vfs_dirent d = {.id = dir, .type = S_IFDIR >> 12};

	if (*off < 1) {
		d.off = 1;
		d.name = bytes_of(".", 1);
		if (!each(arg, &d))
			return false;
		*off = 1;
	}
	if (*off < 2) {
		d.id = parent;
		d.off = 2;
		d.name = bytes_of("..", 2);
		if (!each(arg, &d))
			return false;
		*off = 2;
	}
	return true;
}

/* Give the entries of a batch.  False: the reader has enough. */
static bool give(struct fs *fs, const struct batch *b, bool plus,
		 bool (*each)(void *arg, const struct vfs_dirent *d), void *arg)
{
	for (uint32_t n = 0; n < b->count; n++) {
		const struct object_entry *e = &b->v[n].e;
		struct vfs_dirent d = {.id = e->object, .off = e->cookie, .type = e->type};
		struct vfs_attr attr;

		d.name = bytes_of(b->names + b->v[n].name_off, b->v[n].name_len);
		if (plus && vfs_getattr(fs, e->object, &attr) == VS_OK)
			d.attr = &attr;
		if (!each(arg, &d))
			return false;
	}
	return true;
}

enum vs_err vfs_dir_end(struct fs *fs, uint64_t *end)
{
	return store_new_ids(fs->store, 1, end);
}

enum vs_err vfs_readdir(struct fs *fs, uint64_t dir, uint64_t off, uint64_t end, uint32_t room,
			bool plus, bool (*each)(void *arg, const struct vfs_dirent *d), void *arg)
{
	struct object_raw raw;
	struct object o;
	struct batch *b;
	enum vs_err err = fs_get(fs, dir, &raw, &o);

	if (err)
		return err;
	if (!S_ISDIR(o.mode))
		return VS_ERR_NOTDIR;
	if (!give_dots(dir, o.parent, &off, each, arg))
		return VS_OK;
	b = malloc(sizeof *b);
	if (!b)
		return VS_ERR_NOMEM;
	b->end = end;
	b->max = room < BATCH_ENTRIES ? room + 1 : BATCH_ENTRIES;
	do {
		if (off >= end)
			break;
		err = fill(fs, dir, off, b);
		if (err || !give(fs, b, plus, each, arg))
			break;
		if (b->count)
			off = b->v[b->count - 1].e.cookie;
	} while (b->full);
	free(b);
	return err;
}
