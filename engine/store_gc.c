/*
 * Maintenance steps, collection on request, and mark and sweep of chunks.
 *
 * References of chunks are counted, so garbage is normally freed by the
 * transaction that drops the last one.  Mark and sweep checks that count
 * against what really refers to chunks, over a pinned root, and frees chunks
 * that nobody refers to (F85).
 */
#include "engine/object.h"
#include "engine/store_int.h"

#include "engine/base/assert.h"

#include <stdlib.h>

#define WINDOW 65536u /* chunks marked per pass */

void store_prepare(struct store *s)
{
	enum vs_err err = VS_OK;

	if (!atomic_load(&s->stopped) && log_wants_prepare(s->log))
		err = log_prepare(s->log);
	store_judge(s, err);
}

bool store_maintain(struct store *s)
{
	uint64_t contents = 0, bytes = 0, cleaned = 0, moved = 0;
	bool more = false;
	enum vs_err err = VS_OK;

	if (atomic_load(&s->stopped))
		return false;
	store_prepare(s);
	if (store_ckpt_due(s))
		err = store_checkpoint(s, NULL);
	if (!err)
		err = object_gc_step(s, &more, &contents, &bytes);
	if (!err && !more)
		err = store_clean_step(s, false, &cleaned, &moved);
	store_judge(s, err);
	return !err && (more || cleaned);
}

/* --- mark and sweep --- */

struct mark {
	uint64_t index;
	uint32_t data_off, refs, found, len;
};

struct marks {
	struct mark *v;
	uint32_t count;
	struct key next; /* first chunk key behind the window */
	bool end;
};

static bool take_chunk(void *arg, struct bytes key, struct bytes value)
{
	struct marks *m = arg;
	const uint8_t *k = key.p;
	struct chunk_record c;

	if (m->count == WINDOW) {
		memcpy(m->next.b, k, key.len);
		m->next.len = (uint16_t)key.len;
		m->end = false;
		return false;
	}
	if (key.len == 13 && !chunk_decode(value, &c))
		m->v[m->count++] =
			(struct mark){get_be64(k + 1), get_be32(k + 9), c.refs, 0, c.len};
	return true;
}

static struct mark *find_mark(struct marks *m, uint64_t index, uint32_t off)
{
	uint32_t lo = 0, hi = m->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		struct mark *x = &m->v[mid];

		if (x->index == index && x->data_off == off)
			return x;
		if (x->index < index || (x->index == index && x->data_off < off))
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static bool mark_extent(void *arg, struct bytes key, struct bytes value)
{
	struct object_extent e;
	struct mark *x;

	if (!object_extent_decode(key, value, &e) && (x = find_mark(arg, e.index, e.data_off)))
		x->found++;
	return true;
}

static bool mark_xattr(void *arg, struct bytes key, struct bytes value)
{
	uint64_t index;
	uint32_t off;
	struct mark *x;

	(void)key;
	if (object_xattr_chunk(value, &index, &off) && (x = find_mark(arg, index, off)))
		x->found++;
	return true;
}

/* Free a chunk that nothing referred to in the pinned state, if its count is unchanged. */
static enum vs_err sweep_one(struct store *s, const struct mark *x)
{
	uint8_t v[CHUNK_VALUE_MAX];
	struct store_result res;
	struct chunk_record c = {.refs = 0};
	struct key k;
	struct txn t;
	size_t len;
	enum vs_err err;

	key_chunk(&k, x->index, x->data_off);
	err = store_get(s, &k, v, sizeof v, &len);
	if (!err)
		err = chunk_decode(bytes_of(v, len), &c);
	if (err || c.refs != x->refs)
		return err == VS_ERR_NOENT ? VS_OK : err;
	txn_init(&t);
	t.use_reserve = true;
	txn_if_value(&t, &k, bytes_of(v + CHUNK_LOCAL, len - CHUNK_LOCAL));
	txn_ref(&t, &k, -(int32_t)c.refs);
	err = store_propose(s, &t, &res);
	txn_fini(&t);
	return err == VS_ERR_COND ? VS_OK : err;
}

static enum vs_err mark_window(struct store *s, struct store_pin *pin, struct marks *m,
			       struct store_gc_result *out)
{
	struct key chunks, extents, xattrs, first = m->next;
	enum vs_err err;

	key_kind(&chunks, KEY_CHUNK);
	key_kind(&extents, KEY_EXTENT);
	key_kind(&xattrs, KEY_XATTR);
	m->count = 0;
	m->end = true;
	err = store_scan(s, pin, &chunks, &first, take_chunk, m);
	if (!err && m->count)
		err = store_scan(s, pin, &extents, &extents, mark_extent, m);
	if (!err && m->count)
		err = store_scan(s, pin, &xattrs, &xattrs, mark_xattr, m);
	for (uint32_t i = 0; i < m->count && !err; i++) {
		if (m->v[i].found == m->v[i].refs)
			continue;
		out->leaked_chunks++;
		if (m->v[i].found)
			continue;
		err = sweep_one(s, &m->v[i]);
		out->chunks_freed += !err;
		out->bytes_freed += err ? 0 : m->v[i].len;
	}
	return err;
}

static bool step(const struct store_progress *p, uint64_t done, uint64_t total)
{
	return !p || p->step(p->arg, done, total);
}

static enum vs_err mark_and_sweep(struct store *s, const struct store_progress *p,
				  struct store_gc_result *out)
{
	struct marks m = {.v = malloc(WINDOW * sizeof *m.v)};
	struct store_stats st;
	struct store_pin *pin = NULL;
	uint64_t done = 0;
	enum vs_err err = m.v ? store_pin(s, true, &pin) : VS_ERR_NOMEM;

	store_stats(s, &st);
	key_kind(&m.next, KEY_CHUNK);
	m.end = false;
	while (!err && !m.end) {
		err = mark_window(s, pin, &m, out);
		done += m.count;
		if (!err && !step(p, done, st.chunks > done ? st.chunks : done))
			err = VS_ERR_INTR;
	}
	if (pin)
		store_unpin(s, pin);
	free(m.v);
	return err;
}

enum vs_err store_gc(struct store *s, const struct store_progress *p, struct store_gc_result *out)
{
	uint64_t cleaned = 1, done = 0;
	struct store_stats before, after;
	bool more = true;
	enum vs_err err = VS_OK;

	memset(out, 0, sizeof *out);
	store_stats(s, &before);
	while (!err && more) {
		err = object_gc_step(s, &more, &out->contents, &out->bytes_freed);
		done++;
		if (!err && !step(p, done, done + 1))
			err = VS_ERR_INTR;
	}
	store_stats(s, &after);
	if (before.chunks > after.chunks)
		out->chunks_freed = before.chunks - after.chunks;
	if (!err)
		err = mark_and_sweep(s, p, out);
	while (!err && cleaned) {
		err = store_checkpoint(s, NULL);
		cleaned = 0;
		if (!err)
			err = store_clean_step(s, true, &cleaned, &out->bytes_moved);
		/* on a full disk cleaning ends here; what was collected stays collected */
		if (err == VS_ERR_NOSPC)
			err = VS_OK;
		out->segments_cleaned += cleaned;
		done++;
		if (!err && !step(p, done, done + 1))
			err = VS_ERR_INTR;
	}
	return err;
}
