/*
 * Contents: extents, reading, replacing ranges.
 */
#include "engine/object.h"

#include "engine/base/assert.h"

#include <stdlib.h>

#define DROP_AT_ONCE 8u /* extents removed with the object itself */
#define READ_BATCH 16u  /* extents looked up per scan */
#define EXTENT_BYTES 24u
#define EXTENT_SELF 8u /* offset of the chunk index in the value */

/* 'X' value: u64 start, u64 chunk index, u32 data offset, u32 skip. */
enum vs_err object_extent_decode(struct bytes key, struct bytes v, struct object_extent *out)
{
	const uint8_t *k = key.p, *p = v.p;

	if (key.len != 17 || k[0] != KEY_EXTENT || v.len != EXTENT_BYTES)
		return VS_ERR_CORRUPT_VALUE;
	out->end = get_be64(k + 9);
	out->start = get_le64(p);
	out->index = get_le64(p + 8);
	out->data_off = get_le32(p + 16);
	out->skip = get_le32(p + 20);
	if (out->start >= out->end || out->end - out->start > (4u << 20))
		return VS_ERR_CORRUPT_VALUE;
	return VS_OK;
}

static void put_extent(struct txn *t, uint64_t content, const struct object_extent *e)
{
	uint8_t v[EXTENT_BYTES];
	struct key k;

	vs_assert(e->start < e->end && e->start % OBJECT_BLOCK == 0 && e->skip % OBJECT_BLOCK == 0);
	put_le64(v, e->start);
	put_le64(v + 8, e->index);
	put_le32(v + 16, e->data_off);
	put_le32(v + 20, e->skip);
	key_u64_u64(&k, KEY_EXTENT, content, e->end);
	if (e->index)
		txn_put(t, &k, bytes_of(v, sizeof v));
	else
		txn_put_self(t, &k, bytes_of(v, sizeof v), EXTENT_SELF);
}

/* Some extents that end behind `from` and start before `to`. */
struct extent_run {
	struct object_extent e[READ_BATCH];
	uint32_t count;
	uint64_t to;
	enum vs_err err;
	bool full;
};

static bool take_extent(void *arg, struct bytes key, struct bytes value)
{
	struct extent_run *r = arg;
	struct object_extent e;

	r->err = object_extent_decode(key, value, &e);
	if (r->err || e.start >= r->to)
		return false;
	if (r->count == READ_BATCH) {
		r->full = true;
		return false;
	}
	r->e[r->count++] = e;
	return true;
}

static enum vs_err find_extents(struct store *s, uint64_t content, uint64_t from, uint64_t to,
				struct extent_run *r)
{
	struct key prefix, first;
	enum vs_err err;

	r->count = 0;
	r->to = to;
	r->err = VS_OK;
	r->full = false;
	if (from == UINT64_MAX)
		return VS_OK;
	key_u64(&prefix, KEY_EXTENT, content);
	key_u64_u64(&first, KEY_EXTENT, content, from + 1);
	err = store_scan(s, NULL, &prefix, &first, take_extent, r);
	return err ? err : r->err;
}

/* --- reading --- */

/* Bytes [off, off+len) of a chunk whose present length is at least off+len, any alignment. */
static enum vs_err read_unaligned(struct store *s, const struct object_extent *e, uint32_t off,
				  uint8_t *buf, uint32_t len)
{
	uint32_t from = off / CHECKSUM_BLOCK * CHECKSUM_BLOCK;
	uint32_t extent_end = e->skip + (uint32_t)(e->end - e->start);
	uint32_t to = (off + len + CHECKSUM_BLOCK - 1) / CHECKSUM_BLOCK * CHECKSUM_BLOCK;
	uint8_t *tmp;
	enum vs_err err;

	/* an extent ends inside a block only where its chunk ends, or nearer */
	if (to > extent_end)
		to = extent_end;
	tmp = malloc(to - from);
	if (!tmp)
		return VS_ERR_NOMEM;
	err = store_chunk_read(s, e->index, e->data_off, from, tmp, to - from);
	if (!err)
		memcpy(buf, tmp + (off - from), len);
	free(tmp);
	return err;
}

static enum vs_err read_extent(struct store *s, const struct object_extent *e, uint64_t off,
			       uint8_t *buf, size_t len)
{
	uint32_t skip = e->skip + (uint32_t)(off - e->start);
	bool aligned = skip % CHECKSUM_BLOCK == 0;

	vs_assert(off >= e->start && off + len <= e->end);
	if (aligned && (len % CHECKSUM_BLOCK == 0 || off + len == e->end))
		return store_chunk_read(s, e->index, e->data_off, skip, buf, (uint32_t)len);
	return read_unaligned(s, e, skip, buf, (uint32_t)len);
}

enum vs_err object_read(struct store *s, uint64_t content, uint64_t off, void *buf, size_t len)
{
	uint8_t *to = buf;
	uint64_t end = off + len;
	struct extent_run r;

	vs_assert(end >= off);
	do {
		enum vs_err err = find_extents(s, content, off, end, &r);

		for (uint32_t i = 0; i < r.count && !err; i++) {
			const struct object_extent *e = &r.e[i];
			uint64_t from = e->start > off ? e->start : off;
			uint64_t until = e->end < end ? e->end : end;

			memset(to, 0, (size_t)(from - off));
			to += from - off;
			err = read_extent(s, e, from, to, (size_t)(until - from));
			/* the chunk went between the two look-ups: the content changed */
			if (err == VS_ERR_NOENT)
				err = VS_ERR_STALE;
			to += until - from;
			off = until;
		}
		if (err)
			return err;
	} while (r.full);
	memset(to, 0, (size_t)(end - off));
	return VS_OK;
}

enum vs_err object_seek(struct store *s, uint64_t content, uint64_t size, uint64_t off, bool hole,
			uint64_t *out)
{
	struct extent_run r;

	if (off >= size)
		return VS_ERR_NXIO;
	for (;;) {
		enum vs_err err = find_extents(s, content, off, size, &r);

		if (err)
			return err;
		if (!hole) {
			if (!r.count)
				return VS_ERR_NXIO;
			*out = r.e[0].start > off ? r.e[0].start : off;
			return VS_OK;
		}
		for (uint32_t i = 0; i < r.count; i++) {
			if (r.e[i].start > off) {
				*out = off;
				return VS_OK;
			}
			off = r.e[i].end;
		}
		if (!r.full) {
			*out = off < size ? off : size;
			return VS_OK;
		}
	}
}

/* --- changing --- */

static void del_extent(struct txn *t, uint64_t content, const struct object_extent *e)
{
	struct key k;

	key_u64_u64(&k, KEY_EXTENT, content, e->end);
	txn_del(t, &k);
}

struct range {
	uint64_t start, end;
};

static struct range range_of(const struct object_extent *e, uint32_t i, uint32_t n, bool to_end)
{
	uint64_t end = (e[i].end + OBJECT_BLOCK - 1) / OBJECT_BLOCK * OBJECT_BLOCK;

	return (struct range){e[i].start, to_end && i + 1 == n ? UINT64_MAX : end};
}

/* The piece [from, until) of x stays. */
static void keep(struct txn *t, uint64_t content, const struct object_extent *x, uint64_t from,
		 uint64_t until)
{
	struct object_extent piece = *x;

	piece.start = from;
	piece.end = until;
	piece.skip += (uint32_t)(from - x->start);
	put_extent(t, content, &piece);
}

/*
 * Take the ranges r[0..n), ascending, out of x: what is left of it, and what
 * that does to its chunk.
 */
static void cut(struct txn *t, uint64_t content, const struct object_extent *x,
		const struct range *r, uint32_t n, int64_t *alloc_delta)
{
	uint64_t pos = x->start, kept = 0;
	int32_t pieces = 0;
	struct key k;

	/* a piece that ends where x does takes its key */
	if (n && r[n - 1].end >= x->end)
		del_extent(t, content, x);
	for (uint32_t i = 0; i <= n && pos < x->end; i++) {
		uint64_t until = i < n && r[i].start < x->end ? r[i].start : x->end;

		if (until > pos) {
			keep(t, content, x, pos, until);
			kept += until - pos;
			pieces++;
		}
		pos = i < n && r[i].end > pos ? r[i].end : pos;
	}
	key_chunk(&k, x->index, x->data_off);
	if (pieces != 1)
		txn_ref(t, &k, pieces - 1);
	*alloc_delta -= (int64_t)(x->end - x->start - kept);
}

/* Cut the ranges out of all extents they touch, each extent once. */
static enum vs_err cut_all(struct store *s, struct txn *t, uint64_t content, const struct range *r,
			   uint32_t n, uint32_t max_extents, int64_t *alloc_delta)
{
	uint64_t done = 0; /* extents that end here or before are dealt with */
	uint32_t touched = 0;
	struct extent_run run;

	for (uint32_t i = 0; i < n; i++) {
		vs_assert(r[i].start % OBJECT_BLOCK == 0 && r[i].start < r[i].end);
		vs_assert(!i || r[i].start >= r[i - 1].end);
		if (r[i].end <= done)
			continue;
		do {
			uint64_t from = r[i].start > done ? r[i].start : done;
			enum vs_err err = find_extents(s, content, from, r[i].end, &run);

			if (err)
				return err;
			for (uint32_t x = 0; x < run.count; x++) {
				uint32_t last = i;

				if (++touched > max_extents)
					return VS_ERR_TOOBIG;
				while (last + 1 < n && r[last + 1].start < run.e[x].end)
					last++;
				cut(t, content, &run.e[x], r + i, last - i + 1, alloc_delta);
				done = run.e[x].end;
			}
		} while (run.full);
	}
	return VS_OK;
}

enum vs_err object_txn_hole(struct store *s, struct txn *t, uint64_t content, uint64_t start,
			    uint64_t end, uint32_t max_extents, int64_t *alloc_delta)
{
	struct range r = {start, end};
	enum vs_err err = cut_all(s, t, content, &r, 1, max_extents, alloc_delta);

	return err ? err : t->bad;
}

enum vs_err object_txn_extents(struct store *s, struct txn *t, uint64_t content,
			       const struct object_extent *e, uint32_t n, bool to_end,
			       uint32_t max_extents, int64_t *alloc_delta)
{
	struct range *r = calloc(n + 1, sizeof *r);
	enum vs_err err;

	if (!r)
		return VS_ERR_NOMEM;
	for (uint32_t i = 0; i < n; i++)
		r[i] = range_of(e, i, n, to_end);
	err = cut_all(s, t, content, r, n, max_extents, alloc_delta);
	free(r);
	for (uint32_t i = 0; i < n && !err; i++) {
		put_extent(t, content, &e[i]);
		*alloc_delta += (int64_t)(e[i].end - e[i].start);
	}
	return err ? err : t->bad;
}

enum vs_err object_txn_extent(struct store *s, struct txn *t, uint64_t content, uint64_t start,
			      uint64_t end, const struct object_extent *e, uint32_t max_extents,
			      int64_t *alloc_delta)
{
	enum vs_err err = object_txn_hole(s, t, content, start, end, max_extents, alloc_delta);

	if (!err && e) {
		put_extent(t, content, e);
		*alloc_delta += (int64_t)(e->end - e->start);
	}
	return err ? err : t->bad;
}

enum vs_err object_txn_drop_content(struct store *s, struct txn *t, uint64_t content)
{
	struct extent_run r;
	struct key k;
	enum vs_err err = find_extents(s, content, 0, UINT64_MAX, &r);

	if (err)
		return err;
	if (r.count > DROP_AT_ONCE) {
		key_u64(&k, KEY_GARBAGE, content);
		txn_put(t, &k, bytes_of(NULL, 0));
		return t->bad;
	}
	for (uint32_t i = 0; i < r.count; i++) {
		del_extent(t, content, &r.e[i]);
		key_chunk(&k, r.e[i].index, r.e[i].data_off);
		txn_ref(t, &k, -1);
	}
	return t->bad;
}
