#include "tests/lib/model.h"

#include "engine/base/assert.h"
#include "engine/base/checksum.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define BLOCK OBJECT_BLOCK

void model_init(struct model *m)
{
	memset(m, 0, sizeof *m);
}

void model_fini(struct model *m)
{
	for (uint32_t i = 0; i < m->contents; i++) {
		free(m->content[i].data);
		free(m->content[i].map);
	}
	for (uint32_t i = 0; i < m->pairs; i++)
		free(m->pair[i].value);
	free(m->content);
	free(m->object);
	free(m->entry);
	free(m->pair);
	model_init(m);
}

/* Room for one more item of `size` bytes in *array. */
static void *grow(void *array, uint32_t count, uint32_t *cap, size_t size)
{
	if (count < *cap)
		return array;
	*cap = *cap ? *cap * 2 : 16;
	array = realloc(array, *cap * size);
	vs_assert(array);
	return array;
}

static void *copy_of(const void *p, size_t len)
{
	void *c = malloc(len ? len : 1);

	vs_assert(c);
	if (len)
		memcpy(c, p, len);
	return c;
}

/* --- contents --- */

struct model_content *model_content(struct model *m, uint64_t id)
{
	for (uint32_t i = 0; i < m->contents; i++)
		if (m->content[i].id == id)
			return &m->content[i];
	return NULL;
}

struct model_content *model_content_add(struct model *m, uint64_t id)
{
	vs_assert(id && !model_content(m, id));
	m->content = grow(m->content, m->contents, &m->content_cap, sizeof *m->content);
	m->content[m->contents] = (struct model_content){.id = id};
	return &m->content[m->contents++];
}

void model_content_drop(struct model *m, uint64_t id)
{
	struct model_content *c = model_content(m, id);

	if (!c)
		return;
	free(c->data);
	free(c->map);
	*c = m->content[--m->contents];
}

void model_content_write(struct model_content *c, uint64_t off, const void *data, size_t len)
{
	uint64_t blocks = (off + len + BLOCK - 1) / BLOCK;

	vs_assert(off % BLOCK == 0 && blocks <= MODEL_FILE_MAX / BLOCK);
	if (blocks > c->blocks) {
		c->data = realloc(c->data, blocks * BLOCK);
		c->map = realloc(c->map, blocks * sizeof *c->map);
		vs_assert(c->data && c->map);
		memset(c->data + c->blocks * BLOCK, 0, (blocks - c->blocks) * BLOCK);
		memset(c->map + c->blocks, 0, (blocks - c->blocks) * sizeof *c->map);
		c->blocks = blocks;
	}
	model_content_clear(c, off, blocks * BLOCK);
	memcpy(c->data + off, data, len);
	for (uint64_t b = off / BLOCK; b < blocks; b++)
		c->map[b] =
			(uint16_t)(off + len - b * BLOCK < BLOCK ? off + len - b * BLOCK : BLOCK);
}

void model_content_clear(struct model_content *c, uint64_t off, uint64_t end)
{
	for (uint64_t b = off / BLOCK; b < c->blocks && b * BLOCK < end; b++) {
		memset(c->data + b * BLOCK, 0, BLOCK);
		c->map[b] = 0;
	}
}

uint64_t model_content_alloc(const struct model_content *c)
{
	uint64_t n = 0;

	for (uint64_t b = 0; b < c->blocks; b++)
		n += c->map[b];
	return n;
}

uint64_t model_content_end(const struct model_content *c)
{
	for (uint64_t b = c->blocks; b; b--)
		if (c->map[b - 1])
			return (b - 1) * BLOCK + c->map[b - 1];
	return 0;
}

/* --- objects and entries --- */

struct model_object *model_object(struct model *m, uint64_t id)
{
	for (uint32_t i = 0; i < m->objects; i++)
		if (m->object[i].id == id)
			return &m->object[i];
	return NULL;
}

struct model_object *model_object_add(struct model *m, uint64_t id)
{
	vs_assert(id && !model_object(m, id));
	m->object = grow(m->object, m->objects, &m->object_cap, sizeof *m->object);
	memset(&m->object[m->objects], 0, sizeof *m->object);
	m->object[m->objects].id = id;
	return &m->object[m->objects++];
}

void model_object_drop(struct model *m, uint64_t id)
{
	struct model_object *o = model_object(m, id);
	struct key prefix;

	vs_assert(o);
	*o = m->object[--m->objects];
	key_u64(&prefix, KEY_XATTR, id);
	for (uint32_t i = m->pairs; i; i--) {
		struct key k = m->pair[i - 1].k;

		if (bytes_starts(key_bytes(&k), key_bytes(&prefix)))
			model_pair_drop(m, &k);
	}
}

struct model_entry *model_entry(struct model *m, uint64_t bucket, struct bytes name)
{
	for (uint32_t i = 0; i < m->entries; i++) {
		struct model_entry *e = &m->entry[i];

		if (e->bucket == bucket && !bytes_cmp(bytes_of(e->name, e->len), name))
			return e;
	}
	return NULL;
}

static void add_entry(struct model *m, uint64_t bucket, struct bytes name,
		      const struct object_entry *e)
{
	struct model_entry *to;

	vs_assert(name.len <= KEY_NAME_MAX);
	m->entry = grow(m->entry, m->entries, &m->entry_cap, sizeof *m->entry);
	to = &m->entry[m->entries++];
	memset(to, 0, sizeof *to);
	to->bucket = bucket;
	to->object = e->object;
	to->cookie = e->cookie;
	to->type = e->type;
	to->len = (uint16_t)name.len;
	memcpy(to->name, name.p, name.len);
}

static void touch(struct model *m, uint64_t bucket, int d, int64_t now_ns)
{
	struct model_object *b = model_object(m, bucket);

	vs_assert(b);
	b->o.entries += (uint64_t)(int64_t)d;
	b->o.mtime_ns = now_ns > b->o.mtime_ns ? now_ns : b->o.mtime_ns;
	b->o.ctime_ns = now_ns > b->o.ctime_ns ? now_ns : b->o.ctime_ns;
	b->o.change++;
}

void model_link(struct model *m, uint64_t bucket, struct bytes name, const struct object_entry *e,
		int64_t now_ns)
{
	vs_assert(!model_entry(m, bucket, name));
	add_entry(m, bucket, name, e);
	touch(m, bucket, 1, now_ns);
}

void model_unlink(struct model *m, uint64_t bucket, struct bytes name, int64_t now_ns)
{
	struct model_entry *e = model_entry(m, bucket, name);

	vs_assert(e);
	*e = m->entry[--m->entries];
	touch(m, bucket, -1, now_ns);
}

void model_relink(struct model *m, uint64_t bucket, struct bytes name, uint64_t object,
		  uint8_t type, int64_t now_ns)
{
	struct model_entry *e = model_entry(m, bucket, name);

	vs_assert(e);
	e->object = object;
	e->type = type;
	touch(m, bucket, 0, now_ns);
}

/* --- pairs --- */

struct model_pair *model_pair(struct model *m, const struct key *k)
{
	for (uint32_t i = 0; i < m->pairs; i++)
		if (!bytes_cmp(key_bytes(&m->pair[i].k), key_bytes(k)))
			return &m->pair[i];
	return NULL;
}

void model_pair_put(struct model *m, const struct key *k, struct bytes value)
{
	struct model_pair *p = model_pair(m, k);

	if (p) {
		free(p->value);
	} else {
		m->pair = grow(m->pair, m->pairs, &m->pair_cap, sizeof *m->pair);
		p = &m->pair[m->pairs++];
		memset(p, 0, sizeof *p);
		p->k.len = k->len;
		memcpy(p->k.b, k->b, k->len);
	}
	p->len = value.len;
	p->value = copy_of(value.p, value.len);
}

void model_pair_drop(struct model *m, const struct key *k)
{
	struct model_pair *p = model_pair(m, k);

	if (!p)
		return;
	free(p->value);
	*p = m->pair[--m->pairs];
}

/* --- sweep --- */

static void sweep_object(struct model *m, uint64_t id)
{
	uint64_t content = model_object(m, id)->o.content;

	model_object_drop(m, id);
	model_content_drop(m, content);
}

static void sweep_mark(struct model *m, const struct key *k, struct bytes value)
{
	uint64_t id = get_be64(k->b + 9);
	struct model_entry *e;
	struct bytes name;

	switch (k->b[0]) {
	case KEY_PENDING:
		if (!model_object(m, id))
			return;
		sweep_object(m, id);
		vs_assert(value.len > 16);
		name = bytes_of((const uint8_t *)value.p + 16, value.len - 16);
		e = model_entry(m, get_le64(value.p), name);
		if (e && e->object == id)
			model_unlink(m, get_le64(value.p), name, 0);
		break;
	case KEY_UNLINKED:
		if (model_object(m, id) && !model_object(m, id)->o.nlink)
			sweep_object(m, id);
		break;
	default:
		model_content_drop(m, id);
	}
}

static bool is_mark(const struct key *k, uint64_t session)
{
	uint8_t kind = k->b[0];

	return (kind == KEY_PENDING || kind == KEY_UNLINKED || kind == KEY_PENDING_CONTENT) &&
	       (!session || get_be64(k->b + 1) == session);
}

void model_sweep(struct model *m, uint64_t session)
{
	for (uint32_t i = 0; i < m->pairs;) {
		struct model_pair p = m->pair[i];

		if (!is_mark(&p.k, session)) {
			i++;
			continue;
		}
		p.value = copy_of(p.value, p.len);
		model_pair_drop(m, &p.k);
		sweep_mark(m, &p.k, bytes_of(p.value, p.len));
		free(p.value);
		i = 0; /* the order changed */
	}
}

/* --- digest --- */

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t v[2] = {a, b};

	return checksum_xxh3(v, sizeof v);
}

static uint64_t object_digest(const struct model_object *x)
{
	const struct object *o = &x->o;
	const uint64_t v[] = {x->id,
			      o->flags,
			      o->mode,
			      o->uid,
			      o->gid,
			      o->nlink,
			      o->size,
			      o->alloc_bytes,
			      (uint64_t)o->atime_ns,
			      (uint64_t)o->mtime_ns,
			      (uint64_t)o->ctime_ns,
			      (uint64_t)o->btime_ns,
			      o->content,
			      o->session,
			      o->parent,
			      o->entries,
			      o->rdev,
			      o->change};

	return mix(checksum_xxh3(v, sizeof v), checksum_xxh3(x->tail, x->tail_len));
}

static uint64_t entry_digest(const struct model_entry *e)
{
	const uint64_t v[] = {e->bucket, e->object, e->cookie, e->type};

	return mix(checksum_xxh3(v, sizeof v), checksum_xxh3(e->name, e->len));
}

static uint64_t content_digest(const struct model_content *c)
{
	uint64_t sum = mix(c->id, 77);

	for (uint64_t b = 0; b < c->blocks; b++)
		if (c->map[b])
			sum += mix(c->id << 16 | b,
				   mix(c->map[b], checksum_xxh3(c->data + b * BLOCK, BLOCK)));
	return sum;
}

uint64_t model_digest(const struct model *m)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < m->objects; i++)
		sum += object_digest(&m->object[i]);
	for (uint32_t i = 0; i < m->entries; i++)
		sum += entry_digest(&m->entry[i]);
	for (uint32_t i = 0; i < m->pairs; i++)
		sum += mix(checksum_xxh3(m->pair[i].k.b, m->pair[i].k.len),
			   checksum_xxh3(m->pair[i].value, m->pair[i].len));
	for (uint32_t i = 0; i < m->contents; i++)
		sum += content_digest(&m->content[i]);
	return sum;
}

/* --- differences --- */

static void diff_contents(struct model *want, struct model *have)
{
	for (uint32_t i = 0; i < want->contents; i++) {
		struct model_content *a = &want->content[i], *b = model_content(have, a->id);

		if (!b || content_digest(a) != content_digest(b))
			fprintf(stderr, "  content %llu: %llu mapped, store %llu\n",
				(unsigned long long)a->id,
				(unsigned long long)model_content_alloc(a),
				b ? (unsigned long long)model_content_alloc(b) : 0);
	}
}

static void diff_objects(struct model *want, struct model *have)
{
	for (uint32_t i = 0; i < want->objects; i++) {
		struct model_object *a = &want->object[i], *b = model_object(have, a->id);

		if (!b || object_digest(a) != object_digest(b))
			fprintf(stderr,
				"  object %llu: size %llu alloc %llu links %llu change %llu, "
				"store %llu %llu %llu %llu\n",
				(unsigned long long)a->id, (unsigned long long)a->o.size,
				(unsigned long long)a->o.alloc_bytes,
				(unsigned long long)a->o.nlink, (unsigned long long)a->o.change,
				b ? (unsigned long long)b->o.size : 0,
				b ? (unsigned long long)b->o.alloc_bytes : 0,
				b ? (unsigned long long)b->o.nlink : 0,
				b ? (unsigned long long)b->o.change : 0);
	}
}

void model_diff(struct model *want, struct model *have)
{
	fprintf(stderr, "  want %u objects %u entries %u contents %u pairs, store %u %u %u %u\n",
		want->objects, want->entries, want->contents, want->pairs, have->objects,
		have->entries, have->contents, have->pairs);
	diff_objects(want, have);
	diff_contents(want, have);
	for (uint32_t i = 0; i < want->pairs; i++) {
		struct model_pair *a = &want->pair[i], *b = model_pair(have, &a->k);

		if (!b || a->len != b->len || memcmp(a->value, b->value, a->len))
			fprintf(stderr, "  pair %c: %zu bytes, store %zd\n", a->k.b[0], a->len,
				b ? (ssize_t)b->len : -1);
	}
}
