/* Reading a model back from a store, through the public reading functions. */
#include "tests/lib/model.h"

#include "engine/base/assert.h"

#include <stdlib.h>

struct load {
	struct model *m;
	enum vs_err err;
	/* extents of the content in hand */
	struct object_extent e[MODEL_FILE_MAX / OBJECT_BLOCK];
	uint32_t extents;
	/* 'D' keys seen, to compare with 'E' */
	uint32_t dirents;
};

static bool load_object(void *arg, struct bytes key, struct bytes value)
{
	struct load *l = arg;
	struct model_object *x;
	struct object o;

	l->err = key.len == 9 ? object_decode(value, &o) : VS_ERR_CORRUPT_VALUE;
	if (l->err || o.tail.len > OBJECT_INLINE_MAX) {
		l->err = VS_ERR_CORRUPT_VALUE;
		return false;
	}
	x = model_object_add(l->m, get_be64((const uint8_t *)key.p + 1));
	x->o = o;
	x->o.tail = bytes_of(NULL, 0);
	x->tail_len = o.tail.len;
	if (o.tail.len)
		memcpy(x->tail, o.tail.p, o.tail.len);
	return true;
}

static bool load_entry(void *arg, struct bytes key, struct bytes value)
{
	struct load *l = arg;
	struct model_entry *x;
	struct object_entry e;
	struct bytes name = bytes_of((const uint8_t *)key.p + 9, key.len - 9);

	l->err = key.len > 9 ? object_entry_decode(value, &e) : VS_ERR_CORRUPT_VALUE;
	if (l->err)
		return false;
	if (l->m->entries == l->m->entry_cap) {
		l->m->entry_cap = l->m->entry_cap ? 2 * l->m->entry_cap : 16;
		l->m->entry = realloc(l->m->entry, l->m->entry_cap * sizeof *l->m->entry);
		vs_assert(l->m->entry);
	}
	x = &l->m->entry[l->m->entries++];
	memset(x, 0, sizeof *x);
	x->bucket = get_be64((const uint8_t *)key.p + 1);
	x->object = e.object;
	x->cookie = e.cookie;
	x->type = e.type;
	x->len = (uint16_t)name.len;
	memcpy(x->name, name.p, name.len);
	return true;
}

static bool load_dirent(void *arg, struct bytes key, struct bytes value)
{
	struct load *l = arg;
	struct object_entry e;
	struct model_entry *x;
	struct bytes name;

	l->err = object_dirent_decode(key, value, &e, &name);
	if (l->err)
		return false;
	x = model_entry(l->m, get_be64((const uint8_t *)key.p + 1), name);
	if (!x || x->object != e.object || x->cookie != e.cookie || x->type != e.type)
		l->err = VS_ERR_CORRUPT_VALUE;
	l->dirents++;
	return !l->err;
}

static bool load_pair(void *arg, struct bytes key, struct bytes value)
{
	struct load *l = arg;
	struct key k;

	memcpy(k.b, key.p, key.len);
	k.len = (uint16_t)key.len;
	model_pair_put(l->m, &k, value);
	return true;
}

static bool load_extent(void *arg, struct bytes key, struct bytes value)
{
	struct load *l = arg;

	if (l->extents == MODEL_FILE_MAX / OBJECT_BLOCK)
		l->err = VS_ERR_CORRUPT_VALUE;
	else
		l->err = object_extent_decode(key, value, &l->e[l->extents++]);
	return !l->err;
}

static enum vs_err scan(struct load *l, struct store *s, const struct key *prefix,
			store_scan_fn each)
{
	enum vs_err err = store_scan(s, NULL, prefix, prefix, each, l);

	return err ? err : l->err;
}

static enum vs_err scan_kind(struct load *l, struct store *s, enum key_kind kind,
			     store_scan_fn each)
{
	struct key prefix;

	key_kind(&prefix, kind);
	return scan(l, s, &prefix, each);
}

static enum vs_err load_content(struct load *l, struct store *s, uint64_t id)
{
	struct model_content *c;
	struct key prefix;
	uint64_t last = 0;
	enum vs_err err;

	if (model_content(l->m, id))
		return VS_ERR_CORRUPT_VALUE; /* two owners */
	c = model_content_add(l->m, id);
	l->extents = 0;
	key_u64(&prefix, KEY_EXTENT, id);
	err = scan(l, s, &prefix, load_extent);
	for (uint32_t i = 0; i < l->extents && !err; i++) {
		const struct object_extent *e = &l->e[i];
		size_t len = (size_t)(e->end - e->start);
		uint8_t *buf;

		if (e->start < last || e->start % OBJECT_BLOCK || e->end > MODEL_FILE_MAX)
			return VS_ERR_CORRUPT_VALUE;
		last = e->end;
		buf = malloc(len);
		vs_assert(buf);
		err = object_read(s, id, e->start, buf, len);
		if (!err)
			model_content_write(c, e->start, buf, len);
		free(buf);
	}
	return err;
}

/* A file read from end to end shows what its extents say, with zeros between. */
static enum vs_err check_whole(struct load *l, struct store *s, const struct object *o)
{
	const struct model_content *c = model_content(l->m, o->content);
	size_t len = (size_t)(o->size < MODEL_FILE_MAX ? o->size : MODEL_FILE_MAX);
	size_t have = c->blocks * OBJECT_BLOCK;
	uint8_t *buf = malloc(len ? len : 1);
	enum vs_err err;

	vs_assert(buf);
	err = object_read(s, o->content, 0, buf, len);
	if (!err && memcmp(buf, c->data ? c->data : buf, len < have ? len : have))
		err = VS_ERR_CORRUPT_VALUE;
	for (size_t i = have; i < len && !err; i++)
		if (buf[i])
			err = VS_ERR_CORRUPT_VALUE;
	free(buf);
	return err;
}

static enum vs_err load_contents(struct load *l, struct store *s)
{
	enum vs_err err = VS_OK;

	for (uint32_t i = 0; i < l->m->objects && !err; i++) {
		if (!l->m->object[i].o.content)
			continue;
		err = load_content(l, s, l->m->object[i].o.content);
		if (!err)
			err = check_whole(l, s, &l->m->object[i].o);
	}
	for (uint32_t i = 0; i < l->m->pairs && !err; i++)
		if (l->m->pair[i].k.b[0] == KEY_PENDING_CONTENT)
			err = load_content(l, s, get_be64(l->m->pair[i].k.b + 9));
	return err;
}

/* Replace the raw 'A' values by the attributes' bytes. */
static enum vs_err load_xattrs(struct load *l, struct store *s)
{
	enum vs_err err = VS_OK;

	for (uint32_t i = 0; i < l->m->pairs && !err; i++) {
		struct model_pair *p = &l->m->pair[i];
		uint8_t *buf;

		if (p->k.b[0] != KEY_XATTR)
			continue;
		if (p->k.len < 10)
			return VS_ERR_CORRUPT_VALUE;
		buf = malloc(OBJECT_XATTR_MAX);
		vs_assert(buf);
		err = object_xattr_get(s, get_be64(p->k.b + 1), bytes_of(p->k.b + 9, p->k.len - 9u),
				       buf, OBJECT_XATTR_MAX, &p->len);
		free(p->value);
		p->value = buf;
	}
	return err;
}

enum vs_err model_load(struct model *m, struct store *s)
{
	static const enum key_kind pairs[] = {KEY_XATTR, KEY_PENDING, KEY_PENDING_CONTENT,
					      KEY_UNLINKED, KEY_KV};
	struct load *l = calloc(1, sizeof *l);
	enum vs_err err;

	vs_assert(l);
	model_init(m);
	l->m = m;
	err = scan_kind(l, s, KEY_OBJECT, load_object);
	if (!err)
		err = scan_kind(l, s, KEY_ENTRY, load_entry);
	if (!err)
		err = scan_kind(l, s, KEY_DIRENT, load_dirent);
	if (!err && l->dirents != m->entries)
		err = VS_ERR_CORRUPT_VALUE;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs && !err; i++)
		err = scan_kind(l, s, pairs[i], load_pair);
	if (!err)
		err = load_xattrs(l, s);
	if (!err)
		err = load_contents(l, s);
	free(l);
	return err;
}
