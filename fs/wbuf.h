/*
 * wbuf: the bytes of one object that were written and not yet stored.
 *
 * What it is: a sorted array of pieces.  A piece is a run of whole 4 KiB
 * blocks, all dirty, that lies in one window (a chunk-sized, chunk-aligned
 * part of the file), in a buffer that grows by powers of two.  So a full window
 * can be stored from its buffer as it stands, and a random 4 KiB write costs
 * 4 KiB.
 *
 * What it is not: it does not know the file's size, what is stored, nor where
 * missing bytes come from: the caller fetches the rest of blocks that a write
 * covers in part.  Bytes of a dirty block behind the end of the file are
 * zeros; the caller keeps it so with wbuf_cut.
 *
 * Invariants (V1): pieces are sorted and disjoint, start and length are
 * multiples of WBUF_BLOCK, none crosses a window, alloc_bytes is the sum of
 * their capacities.
 *
 * Thread rule: pure; one owner.
 */
#ifndef VS_FS_WBUF_H
#define VS_FS_WBUF_H

#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WBUF_BLOCK 4096u
#define WBUF_PIECES_MAX 8192u /* above it the owner stores before it writes on */

struct wbuf_piece {
	uint64_t off; /* in the file */
	uint32_t len, cap;
	uint8_t *p;
};

struct wbuf {
	struct wbuf_piece *v;
	uint32_t count, cap;
	uint32_t window_bytes;
	uint64_t alloc_bytes; /* memory of the pieces */
	uint64_t next_off;    /* a piece that starts here gets a whole window at once */
};

/* window_bytes: a power of two, at least WBUF_BLOCK. */
void wbuf_init(struct wbuf *w, uint32_t window_bytes);
void wbuf_fini(struct wbuf *w);
void wbuf_clear(struct wbuf *w);

static inline bool wbuf_empty(const struct wbuf *w)
{
	return w->count == 0;
}

/* Whether the block at off (a multiple of WBUF_BLOCK) is dirty. */
bool wbuf_has(const struct wbuf *w, uint64_t off);

/*
 * Put data at [off, off + len).  head and tail are the present bytes of the
 * first and the last block: needed (not NULL) when the write covers that block
 * in part and wbuf_has says no; when both are the same block head counts.
 * VS_ERR_NOMEM: a leading part may have been written.
 */
enum vs_err VS_MUST_USE wbuf_write(struct wbuf *w, uint64_t off, const void *data, size_t len,
				   const uint8_t *head, const uint8_t *tail);

/* Lay the dirty bytes of [off, off + len) over buf. */
void wbuf_read(const struct wbuf *w, uint64_t off, void *buf, size_t len);

/* The file ends at size now: forget what is behind, zero the rest of its last block. */
void wbuf_cut(struct wbuf *w, uint64_t size);

/*
 * Forget [start, end), multiples of WBUF_BLOCK (end may be UINT64_MAX).
 * VS_ERR_NOMEM only when a piece must be split; nothing changed then.
 */
enum vs_err VS_MUST_USE wbuf_drop(struct wbuf *w, uint64_t start, uint64_t end);

/* Forget the first count pieces. */
void wbuf_drop_first(struct wbuf *w, uint32_t count);

/* The piece that fills the window around off, or NULL. */
const struct wbuf_piece *wbuf_full(const struct wbuf *w, uint64_t off);

/* Assert V1. */
void wbuf_check(const struct wbuf *w);

#endif
