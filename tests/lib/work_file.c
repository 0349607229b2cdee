/* Operations on files and contents. */
#include "engine/base/assert.h"
#include "tests/lib/work_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define BLOCK OBJECT_BLOCK
#define FILES_MAX 14u
#define CONTENTS_MAX 6u /* of sessions */

/* --- ranges of a content --- */

/* One write: bytes for [off, off+len); to_end: the content ends there. */
struct range {
	uint64_t off;
	size_t len;
	bool to_end;
	uint8_t *data;
};

/*
 * A random range for a file of `size` bytes.  Extents end inside a block only
 * at the end of the file, so a write behind such an end begins with its block.
 */
static struct range make_range(struct work *w, uint64_t size, size_t len_max)
{
	uint64_t end = (size + BLOCK - 1) / BLOCK, gap = rnd_chance(&w->rnd, 1, 4) ? 3 : 0;
	struct range r;

	r.off = rnd_below(&w->rnd, end + gap + 1) * BLOCK;
	if (r.off > size)
		r.off = size / BLOCK * BLOCK + (size % BLOCK ? 0 : r.off - size);
	if (r.off >= MODEL_FILE_MAX - WORK_CHUNK)
		r.off = 0;
	r.len = 1 + rnd_below(&w->rnd, len_max);
	if (rnd_chance(&w->rnd, 1, 3))
		r.len = (r.len + BLOCK - 1) / BLOCK * BLOCK;
	r.to_end = r.off + r.len >= size;
	if (!r.to_end) {
		r.len = (r.len + BLOCK - 1) / BLOCK * BLOCK;
		r.to_end = r.off + r.len >= size;
	}
	r.data = malloc(r.len);
	vs_assert(r.data);
	rnd_fill(&w->rnd, r.data, r.len);
	return r;
}

static enum vs_err txn_range(struct work *w, struct txn *t, uint64_t content, const struct range *r,
			     int64_t *alloc)
{
	struct object_extent e = {r->off, r->off + r->len, 0, 0, 0};

	t->data = bytes_of(r->data, r->len);
	txn_chunk(t, 0, (uint32_t)r->len, 1);
	return object_txn_extent(w->s, t, content, r->off, r->to_end ? UINT64_MAX : r->off + r->len,
				 &e, 200, alloc);
}

static void model_range(struct model_content *c, const struct range *r)
{
	if (r->to_end)
		model_content_clear(c, r->off, UINT64_MAX);
	model_content_write(c, r->off, r->data, r->len);
}

/* --- new files and contents --- */

static enum vs_err create(struct work *w)
{
	char name[24];
	uint8_t value[16 + sizeof name];
	struct model_object x = {.o = {.mode = S_IFREG | 0600, .nlink = 1, .change = 1}};
	struct object_entry e;
	struct bytes n;
	struct key k;
	struct txn t;
	uint64_t id, dir = work_pick(w, WORK_DIR);
	enum vs_err err;

	if (w->now.objects > FILES_MAX)
		return work_change(w, WORK_UNLINK);
	err = work_ids(w, 3, &id);
	if (err)
		return err;
	n = bytes_of(name, (size_t)snprintf(name, sizeof name, "f%llu", (unsigned long long)id));
	x.id = id;
	x.o.session = id + 2;
	x.o.mtime_ns = x.o.ctime_ns = x.o.btime_ns = w->clock;
	e = (struct object_entry){id, id + 1, S_IFREG >> 12};
	put_le64(value, dir);
	put_le64(value + 8, e.cookie);
	memcpy(value + 16, n.p, n.len);
	key_u64_u64(&k, KEY_PENDING, x.o.session, id);
	txn_init(&t);
	work_put_record(&t, &x, NULL);
	object_txn_link(&t, dir, n, &e, w->clock);
	txn_put(&t, &k, bytes_of(value, 16 + n.len));
	if (work_propose(w, &t, &err)) {
		*model_object_add(&w->now, id) = x;
		model_link(&w->now, dir, n, &e, w->clock);
		model_pair_put(&w->now, &k, bytes_of(value, 16 + n.len));
		work_note_now(w);
	}
	return err;
}

/* Two extents on one chunk, or two chunks in one entry: only into an empty content. */
static void txn_pair(struct work *w, struct txn *t, uint64_t content, const struct range *r,
		     uint64_t second, bool shared, enum vs_err *err)
{
	uint32_t half = (uint32_t)(r->len / 2 / BLOCK * BLOCK);
	struct object_extent a = {0, half, 0, 0, 0};
	struct object_extent b = {second, second + r->len - half, 0, half, 0};
	int64_t alloc = 0;

	t->data = bytes_of(r->data, r->len);
	if (shared) {
		a = (struct object_extent){0, half, 0, 0, 0};
		b = (struct object_extent){second, second + r->len - half, 0, 0, half};
		txn_chunk(t, 0, (uint32_t)r->len, 2);
	} else {
		txn_chunk(t, 0, half, 1);
		txn_chunk(t, half, (uint32_t)r->len - half, 1);
	}
	*err = object_txn_extent(w->s, t, content, a.start, a.end, &a, 8, &alloc);
	if (!*err)
		*err = object_txn_extent(w->s, t, content, b.start, b.end, &b, 8, &alloc);
}

/* A fresh content of a fresh session with its first bytes, in one or two extents. */
static enum vs_err write_new(struct work *w)
{
	uint64_t id, second = 0;
	size_t half = 0;
	struct model_content *c;
	struct range r;
	struct key k;
	struct txn t;
	int64_t alloc = 0;
	enum vs_err err = work_ids(w, 2, &id);

	if (err)
		return err;
	r = make_range(w, 0, WORK_CHUNK);
	key_u64_u64(&k, KEY_PENDING_CONTENT, id + 1, id);
	txn_init(&t);
	txn_put(&t, &k, bytes_of(NULL, 0));
	if (r.off == 0 && r.len > 2 * BLOCK) {
		half = r.len / 2 / BLOCK * BLOCK;
		second = half + rnd_below(&w->rnd, 3) * BLOCK;
		txn_pair(w, &t, id, &r, second, rnd_chance(&w->rnd, 1, 2), &err);
	} else {
		err = txn_range(w, &t, id, &r, &alloc);
	}
	if (work_propose(w, &t, &err)) {
		model_pair_put(&w->now, &k, bytes_of(NULL, 0));
		c = model_content_add(&w->now, id);
		if (half)
			model_content_write(c, 0, r.data, half);
		model_content_write(c, half ? second : r.off, r.data + half, r.len - half);
		work_note_now(w);
	}
	free(r.data);
	return err;
}

static uint32_t session_contents(struct work *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->now.pairs; i++)
		n += w->now.pair[i].k.b[0] == KEY_PENDING_CONTENT;
	return n;
}

static enum vs_err write_more(struct work *w, struct key k, size_t len_max)
{
	uint64_t id = get_be64(k.b + 9);
	struct range r = make_range(w, model_content_end(model_content(&w->now, id)), len_max);
	struct txn t;
	int64_t alloc = 0;
	enum vs_err err;

	txn_init(&t);
	txn_if_present(&t, &k);
	err = txn_range(w, &t, id, &r, &alloc);
	if (work_propose(w, &t, &err)) {
		model_range(model_content(&w->now, id), &r);
		work_note_now(w);
	}
	free(r.data);
	return err;
}

static enum vs_err write_session(struct work *w)
{
	struct model_pair *p = work_pick_pair(w, KEY_PENDING_CONTENT);

	if (!p || (session_contents(w) < CONTENTS_MAX && rnd_chance(&w->rnd, 1, 2)))
		return write_new(w);
	return write_more(w, p->k, WORK_CHUNK);
}

/* Many extents, so that dropping the content later queues it. */
static enum vs_err burst(struct work *w)
{
	enum vs_err err = session_contents(w) < CONTENTS_MAX ? write_new(w) : VS_OK;
	struct key k;

	for (uint32_t i = 0; i < 12 && !err; i++) {
		struct model_pair *p = work_pick_pair(w, KEY_PENDING_CONTENT);

		if (!p)
			return VS_OK;
		/* always the newest */
		for (uint32_t j = 0; j < w->now.pairs; j++)
			if (w->now.pair[j].k.b[0] == KEY_PENDING_CONTENT &&
			    get_be64(w->now.pair[j].k.b + 9) > get_be64(p->k.b + 9))
				p = &w->now.pair[j];
		k = p->k;
		err = write_more(w, k, BLOCK);
	}
	return err;
}

/* --- commits --- */

/* The record leaves the pending state; its mark's key when it had one. */
static bool end_pending(struct txn *t, struct model_object *x, struct key *k)
{
	if (!x->o.session)
		return false;
	key_u64_u64(k, KEY_PENDING, x->o.session, x->id);
	txn_if_present(t, k);
	txn_del(t, k);
	x->o.session = 0;
	return true;
}

/* Make content (0: none, the tail holds the data) and x the file's. */
static enum vs_err commit_as(struct work *w, struct model_object x, const struct key *mark)
{
	uint64_t old = model_object(&w->now, x.id)->o.content;
	struct key pending;
	struct object_raw raw;
	struct txn t;
	bool was_pending;
	enum vs_err err = work_record(w, x.id, &raw);

	if (err)
		return err;
	txn_init(&t);
	was_pending = end_pending(&t, &x, &pending);
	x.o.mtime_ns = w->clock;
	work_put_record(&t, &x, &raw);
	if (mark) {
		txn_if_present(&t, mark);
		txn_del(&t, mark);
	}
	if (old)
		err = object_txn_drop_content(w->s, &t, old);
	if (work_propose(w, &t, &err)) {
		*model_object(&w->now, x.id) = x;
		if (was_pending)
			model_pair_drop(&w->now, &pending);
		if (mark)
			model_pair_drop(&w->now, mark);
		model_content_drop(&w->now, old);
		work_note_now(w);
	}
	return err;
}

static uint64_t pick_target(struct work *w)
{
	uint64_t id = work_pick(w, WORK_PENDING);

	return id && rnd_chance(&w->rnd, 2, 3) ? id : work_pick(w, WORK_FILE);
}

static enum vs_err commit(struct work *w)
{
	struct model_pair *p = work_pick_pair(w, KEY_PENDING_CONTENT);
	uint64_t id = pick_target(w);
	struct model_object x;
	struct model_content *c;
	struct key k;

	if (!p || !id)
		return VS_OK;
	k = p->k;
	c = model_content(&w->now, get_be64(k.b + 9));
	x = work_changed(w, id);
	x.o.flags &= ~(uint32_t)OBJECT_INLINE;
	x.tail_len = 0;
	x.o.content = c->id;
	x.o.size = model_content_end(c);
	if (x.o.size % BLOCK == 0 && rnd_chance(&w->rnd, 1, 4))
		x.o.size += rnd_below(&w->rnd, 10000); /* ends with a hole */
	x.o.alloc_bytes = model_content_alloc(c);
	return commit_as(w, x, &k);
}

static enum vs_err commit_inline(struct work *w)
{
	uint64_t id = pick_target(w);
	struct model_object x;

	if (!id)
		return VS_OK;
	x = work_changed(w, id);
	x.o.flags |= OBJECT_INLINE;
	x.tail_len = rnd_below(&w->rnd, OBJECT_INLINE_MAX + 1);
	rnd_fill(&w->rnd, x.tail, x.tail_len);
	x.o.content = 0;
	x.o.size = x.tail_len;
	x.o.alloc_bytes = 0;
	return commit_as(w, x, NULL);
}

/* --- changes in place --- */

static enum vs_err overwrite(struct work *w)
{
	uint64_t id = work_pick(w, WORK_FILLED);
	struct model_object x;
	struct object_raw raw;
	struct range r;
	struct txn t;
	int64_t alloc = 0;
	enum vs_err err;

	if (!id || model_object(&w->now, id)->o.size > MODEL_FILE_MAX - WORK_CHUNK)
		return VS_OK;
	err = work_record(w, id, &raw);
	if (err)
		return err;
	x = work_changed(w, id);
	r = make_range(w, x.o.size, rnd_chance(&w->rnd, 1, 2) ? 3 * BLOCK : WORK_CHUNK);
	txn_init(&t);
	err = txn_range(w, &t, x.o.content, &r, &alloc);
	x.o.alloc_bytes += (uint64_t)alloc;
	if (r.to_end)
		x.o.size = r.off + r.len;
	work_put_record(&t, &x, &raw);
	if (work_propose(w, &t, &err)) {
		*model_object(&w->now, id) = x;
		model_range(model_content(&w->now, x.o.content), &r);
		if (model_content_alloc(model_content(&w->now, x.o.content)) != x.o.alloc_bytes)
			work_wrong(w, "overwrite: allocated bytes are off");
		work_note_now(w);
	}
	free(r.data);
	return err;
}

/* Cut [from, end) out of a file, whose size becomes `size`; keep: bytes that stay at from. */
static enum vs_err cut(struct work *w, uint64_t id, uint64_t from, uint64_t end, uint64_t size,
		       size_t keep)
{
	struct model_object x = work_changed(w, id);
	struct model_content *c = model_content(&w->now, x.o.content);
	struct range r = {.off = from, .len = keep, .to_end = true};
	struct object_raw raw;
	struct txn t;
	int64_t alloc = 0;
	enum vs_err err = work_record(w, id, &raw);

	if (err)
		return err;
	txn_init(&t);
	if (keep) {
		r.data = malloc(keep);
		vs_assert(r.data);
		memcpy(r.data, c->data + from, keep);
		err = txn_range(w, &t, c->id, &r, &alloc);
	} else {
		t.use_reserve = true;
		err = object_txn_extent(w->s, &t, c->id, from, end, NULL, 200, &alloc);
	}
	x.o.alloc_bytes += (uint64_t)alloc;
	x.o.size = size;
	work_put_record(&t, &x, &raw);
	if (work_propose(w, &t, &err)) {
		*model_object(&w->now, id) = x;
		model_content_clear(c, from, end);
		if (keep)
			model_content_write(c, from, r.data, keep);
		if (model_content_alloc(c) != x.o.alloc_bytes)
			work_wrong(w, "cut: allocated bytes are off");
		work_note_now(w);
	}
	free(r.data);
	return err;
}

static enum vs_err punch(struct work *w)
{
	uint64_t id = work_pick(w, WORK_FILLED), blocks, a, b, size;

	if (!id)
		return VS_OK;
	size = model_object(&w->now, id)->o.size;
	blocks = size / BLOCK;
	if (!blocks)
		return VS_OK;
	a = rnd_below(&w->rnd, blocks);
	b = a + 1 + rnd_below(&w->rnd, blocks - a);
	return cut(w, id, a * BLOCK, b * BLOCK, size, 0);
}

static enum vs_err truncate_file(struct work *w)
{
	uint64_t id = work_pick(w, WORK_FILLED), size, from;
	struct model_object *x;
	struct model_content *c;
	size_t keep = 0;

	if (!id)
		return VS_OK;
	x = model_object(&w->now, id);
	c = model_content(&w->now, x->o.content);
	size = rnd_below(&w->rnd, x->o.size + 1);
	from = size / BLOCK * BLOCK;
	if (size % BLOCK && from / BLOCK < c->blocks && c->map[from / BLOCK])
		keep = (size_t)(size % BLOCK);
	return cut(w, id, from, UINT64_MAX, size, keep);
}

/* --- sharing --- */

struct extents {
	struct object_extent e[64];
	uint32_t count;
	bool full;
};

static bool take(void *arg, struct bytes key, struct bytes value)
{
	struct extents *x = arg;

	x->full = x->count == 64;
	return !x->full && object_extent_decode(key, value, &x->e[x->count++]) == VS_OK;
}

static enum vs_err clone(struct work *w)
{
	uint64_t from = work_pick(w, WORK_FILLED), id;
	struct extents x = {.count = 0};
	struct model_content *src, *dst;
	struct object_raw raw;
	struct key k, prefix;
	struct txn t;
	int64_t alloc = 0;
	enum vs_err err;

	if (!from || session_contents(w) >= CONTENTS_MAX)
		return VS_OK;
	err = work_record(w, from, &raw);
	if (!err)
		err = work_ids(w, 2, &id);
	key_u64(&prefix, KEY_EXTENT, model_object(&w->now, from)->o.content);
	if (!err)
		err = store_scan(w->s, NULL, &prefix, &prefix, take, &x);
	if (err || x.full)
		return err;
	txn_init(&t);
	key_u64(&k, KEY_OBJECT, from);
	txn_if_value(&t, &k, bytes_of(raw.b, raw.len));
	for (uint32_t i = 0; i < x.count && !err; i++) {
		key_chunk(&k, x.e[i].index, x.e[i].data_off);
		txn_ref(&t, &k, 1);
		err = object_txn_extent(w->s, &t, id, x.e[i].start, x.e[i].end, &x.e[i], 8, &alloc);
	}
	key_u64_u64(&k, KEY_PENDING_CONTENT, id + 1, id);
	txn_put(&t, &k, bytes_of(NULL, 0));
	if (work_propose(w, &t, &err)) {
		model_pair_put(&w->now, &k, bytes_of(NULL, 0));
		dst = model_content_add(&w->now, id);
		src = model_content(&w->now, model_object(&w->now, from)->o.content);
		for (uint64_t b = 0; b < src->blocks; b++)
			if (src->map[b])
				model_content_write(dst, b * BLOCK, src->data + b * BLOCK,
						    src->map[b]);
		work_note_now(w);
	}
	return err;
}

enum vs_err work_change_file(struct work *w, enum work_op op)
{
	w->index = 0;
	switch (op) {
	case WORK_CREATE:
		return create(w);
	case WORK_WRITE:
		return write_session(w);
	case WORK_BURST:
		return burst(w);
	case WORK_COMMIT:
		return commit(w);
	case WORK_COMMIT_INLINE:
		return commit_inline(w);
	case WORK_OVERWRITE:
		return overwrite(w);
	case WORK_PUNCH:
		return punch(w);
	case WORK_TRUNCATE:
		return truncate_file(w);
	default:
		vs_assert(op == WORK_CLONE);
		return clone(w);
	}
}
