/* wbuf: see wbuf.h. */
#include "fs/wbuf.h"

#include "engine/base/assert.h"

#include <stdlib.h>
#include <string.h>

void wbuf_init(struct wbuf *w, uint32_t window_bytes)
{
	vs_assert(window_bytes >= WBUF_BLOCK && !(window_bytes & (window_bytes - 1)));
	*w = (struct wbuf){.window_bytes = window_bytes, .next_off = UINT64_MAX};
}

void wbuf_clear(struct wbuf *w)
{
	for (uint32_t i = 0; i < w->count; i++)
		free(w->v[i].p);
	w->count = 0;
	w->alloc_bytes = 0;
}

void wbuf_fini(struct wbuf *w)
{
	wbuf_clear(w);
	free(w->v);
	w->v = NULL;
	w->cap = 0;
}

/* Index of the first piece that ends behind off; count when there is none. */
static uint32_t find(const struct wbuf *w, uint64_t off)
{
	uint32_t lo = 0, hi = w->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (w->v[mid].off + w->v[mid].len > off)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

bool wbuf_has(const struct wbuf *w, uint64_t off)
{
	uint32_t i = find(w, off);

	return i < w->count && w->v[i].off <= off;
}

static uint64_t window_end(const struct wbuf *w, uint64_t off)
{
	return (off | (w->window_bytes - 1)) + 1;
}

static enum vs_err VS_MUST_USE piece_grow(struct wbuf *w, struct wbuf_piece *p, uint32_t len)
{
	uint32_t cap = p->cap ? p->cap : WBUF_BLOCK;
	uint8_t *to;

	while (cap < len)
		cap *= 2;
	if (!p->cap && p->off == w->next_off)
		cap = w->window_bytes;
	if (cap > p->cap) {
		to = realloc(p->p, cap);
		if (!to)
			return VS_ERR_NOMEM;
		w->alloc_bytes += cap - p->cap;
		p->p = to;
		p->cap = cap;
	}
	return VS_OK;
}

/* A new empty piece at position i.  It has no bytes yet: the caller gives it some at once. */
static enum vs_err VS_MUST_USE piece_insert(struct wbuf *w, uint32_t i, uint64_t off)
{
	if (w->count == w->cap) {
		uint32_t cap = w->cap ? w->cap * 2 : 2;
		struct wbuf_piece *v = realloc(w->v, cap * sizeof *v);

		if (!v)
			return VS_ERR_NOMEM;
		w->v = v;
		w->cap = cap;
	}
	vs_assert(w->v && i <= w->count);
	if (i < w->count)
		memmove(w->v + i + 1, w->v + i, (w->count - i) * sizeof *w->v);
	w->v[i] = (struct wbuf_piece){.off = off};
	w->count++;
	return VS_OK;
}

static void piece_remove(struct wbuf *w, uint32_t i)
{
	w->alloc_bytes -= w->v[i].cap;
	free(w->v[i].p);
	w->count--;
	memmove(w->v + i, w->v + i + 1, (w->count - i) * sizeof *w->v);
}

/*
 * Make [off, end) (whole blocks of one window) dirty where piece i, the first
 * that ends behind off, begins behind off: by growing the piece before it or
 * with a new one.  *at = the piece that holds the new blocks.
 */
static enum vs_err VS_MUST_USE add_blocks(struct wbuf *w, uint32_t i, uint64_t off, uint64_t end,
					  uint32_t *at)
{
	struct wbuf_piece *before = i ? &w->v[i - 1] : NULL;
	enum vs_err err;

	if (before && before->off + before->len == off && off % w->window_bytes) {
		i--;
	} else {
		err = piece_insert(w, i, off);
		if (err)
			return err;
	}
	err = piece_grow(w, &w->v[i], (uint32_t)(end - w->v[i].off));
	if (err) {
		if (!w->v[i].len)
			piece_remove(w, i);
		return err;
	}
	w->v[i].len = (uint32_t)(end - w->v[i].off);
	*at = i;
	return VS_OK;
}

/* Fill the parts of the new blocks [start, end) that [off, off + len) does not cover. */
static void fill_edges(struct wbuf_piece *p, uint64_t start, uint64_t end, uint64_t off, size_t len,
		       const uint8_t *head, const uint8_t *tail)
{
	uint64_t last = off + len - 1;

	if (start < off) {
		vs_assert(head);
		memcpy(p->p + (start - p->off), head, WBUF_BLOCK);
	}
	if (end > last + 1 && !(start < off && off / WBUF_BLOCK == last / WBUF_BLOCK)) {
		const uint8_t *from = off / WBUF_BLOCK == last / WBUF_BLOCK && head ? head : tail;

		vs_assert(from);
		memcpy(p->p + (end - WBUF_BLOCK - p->off), from, WBUF_BLOCK);
	}
}

enum vs_err wbuf_write(struct wbuf *w, uint64_t off, const void *data, size_t len,
		       const uint8_t *head, const uint8_t *tail)
{
	const uint8_t *from = data;
	uint64_t at = off, stop = off + len;

	while (at < stop) {
		uint32_t i = find(w, at);
		uint64_t end = window_end(w, at);

		if (i == w->count || w->v[i].off > at) {
			uint64_t start = at & ~(uint64_t)(WBUF_BLOCK - 1);
			enum vs_err err;

			if (i < w->count && w->v[i].off < end)
				end = w->v[i].off;
			if (end > stop)
				end = (stop + WBUF_BLOCK - 1) & ~(uint64_t)(WBUF_BLOCK - 1);
			err = add_blocks(w, i, start, end, &i);
			if (err)
				return err;
			fill_edges(&w->v[i], start, end, off, len, head, tail);
		} else {
			end = w->v[i].off + w->v[i].len;
		}
		if (end > stop)
			end = stop;
		memcpy(w->v[i].p + (at - w->v[i].off), from + (at - off), (size_t)(end - at));
		at = end;
	}
	return VS_OK;
}

void wbuf_read(const struct wbuf *w, uint64_t off, void *buf, size_t len)
{
	uint64_t stop = off + len;

	for (uint32_t i = find(w, off); i < w->count && w->v[i].off < stop; i++) {
		const struct wbuf_piece *p = &w->v[i];
		uint64_t a = p->off > off ? p->off : off;
		uint64_t b = p->off + p->len < stop ? p->off + p->len : stop;

		memcpy((uint8_t *)buf + (a - off), p->p + (a - p->off), (size_t)(b - a));
	}
}

void wbuf_cut(struct wbuf *w, uint64_t size)
{
	uint32_t i = find(w, size);

	if (i < w->count && w->v[i].off < size) {
		struct wbuf_piece *p = &w->v[i++];
		uint32_t keep = (uint32_t)(size - p->off);
		uint32_t len = (keep + WBUF_BLOCK - 1) & ~(WBUF_BLOCK - 1);

		memset(p->p + keep, 0, len - keep);
		p->len = len;
	}
	while (w->count > i)
		piece_remove(w, w->count - 1);
}

/* [start, end) lies inside piece i with something left on both sides. */
static enum vs_err VS_MUST_USE piece_split(struct wbuf *w, uint32_t i, uint64_t start, uint64_t end)
{
	uint64_t right = w->v[i].off + w->v[i].len - end;
	enum vs_err err = piece_insert(w, i + 1, end);
	struct wbuf_piece *p;

	if (err)
		return err;
	err = piece_grow(w, &w->v[i + 1], (uint32_t)right);
	if (err) {
		piece_remove(w, i + 1);
		return err;
	}
	p = &w->v[i];
	memcpy(p[1].p, p->p + (end - p->off), right);
	p[1].len = (uint32_t)right;
	p->len = (uint32_t)(start - p->off);
	return VS_OK;
}

enum vs_err wbuf_drop(struct wbuf *w, uint64_t start, uint64_t end)
{
	uint32_t i = find(w, start);

	vs_assert(start % WBUF_BLOCK == 0 && (end % WBUF_BLOCK == 0 || end == UINT64_MAX));
	if (i < w->count && w->v[i].off < start) {
		struct wbuf_piece *p = &w->v[i];

		if (p->off + p->len > end)
			return piece_split(w, i, start, end);
		p->len = (uint32_t)(start - p->off);
		i++;
	}
	while (i < w->count && w->v[i].off < end) {
		struct wbuf_piece *p = &w->v[i];
		uint64_t stop = p->off + p->len;

		if (stop > end) {
			memmove(p->p, p->p + (end - p->off), (size_t)(stop - end));
			p->len = (uint32_t)(stop - end);
			p->off = end;
			break;
		}
		piece_remove(w, i);
	}
	return VS_OK;
}

void wbuf_drop_first(struct wbuf *w, uint32_t count)
{
	vs_assert(count <= w->count);
	if (!count)
		return;
	for (uint32_t i = 0; i < count; i++) {
		w->alloc_bytes -= w->v[i].cap;
		free(w->v[i].p);
		w->next_off = w->v[i].off + w->v[i].len;
	}
	w->count -= count;
	memmove(w->v, w->v + count, w->count * sizeof *w->v);
	if (w->next_off % w->window_bytes)
		w->next_off = UINT64_MAX;
}

const struct wbuf_piece *wbuf_full(const struct wbuf *w, uint64_t off)
{
	uint32_t i = find(w, off & ~(uint64_t)(w->window_bytes - 1));

	return i < w->count && w->v[i].len == w->window_bytes && w->v[i].off <= off ? &w->v[i]
										    : NULL;
}

void wbuf_check(const struct wbuf *w)
{
	uint64_t behind = 0, alloc = 0;

	for (uint32_t i = 0; i < w->count; i++) {
		const struct wbuf_piece *p = &w->v[i];

		vs_assert(p->off >= behind && p->len && p->len <= p->cap); /* V1 */
		vs_assert(p->off % WBUF_BLOCK == 0 && p->len % WBUF_BLOCK == 0);
		vs_assert(p->off + p->len <= window_end(w, p->off));
		behind = p->off + p->len;
		alloc += p->cap;
	}
	vs_assert(alloc == w->alloc_bytes);
}
