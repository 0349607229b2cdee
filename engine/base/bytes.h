/*
 * bytes: little-endian and order-preserving (big-endian) integers in byte
 * strings, and a bounded reader and writer over a buffer.
 *
 * The reader and writer are sticky: the first access out of bounds sets
 * `bad`, later accesses read zeros or write nothing.  Check `bad` once at the
 * end.  Buffers belong to the caller.
 *
 * Thread rule: pure.
 */
#ifndef VS_BASE_BYTES_H
#define VS_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A borrowed byte string; never owns. */
struct bytes {
	const void *p;
	size_t len;
};

static inline struct bytes bytes_of(const void *p, size_t len)
{
	return (struct bytes){p, len};
}

/* Lexicographic order of unsigned bytes, shorter first: <0, 0, >0. */
static inline int bytes_cmp(struct bytes a, struct bytes b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	return c ? c : (a.len > b.len) - (a.len < b.len);
}

static inline bool bytes_starts(struct bytes s, struct bytes prefix)
{
	return s.len >= prefix.len && (!prefix.len || !memcmp(s.p, prefix.p, prefix.len));
}

static inline void put_le16(void *p, uint16_t v)
{
	uint8_t b[2] = {(uint8_t)v, (uint8_t)(v >> 8)};

	memcpy(p, b, sizeof b);
}

static inline void put_le32(void *p, uint32_t v)
{
	v = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap32(v) : v;
	memcpy(p, &v, sizeof v);
}

static inline void put_le64(void *p, uint64_t v)
{
	v = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap64(v) : v;
	memcpy(p, &v, sizeof v);
}

static inline uint16_t get_le16(const void *p)
{
	const uint8_t *b = p;

	return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t get_le32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap32(v) : v;
}

static inline uint64_t get_le64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap64(v) : v;
}

static inline void put_be32(void *p, uint32_t v)
{
	v = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? v : __builtin_bswap32(v);
	memcpy(p, &v, sizeof v);
}

static inline void put_be64(void *p, uint64_t v)
{
	v = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? v : __builtin_bswap64(v);
	memcpy(p, &v, sizeof v);
}

static inline uint32_t get_be32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? v : __builtin_bswap32(v);
}

static inline uint64_t get_be64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? v : __builtin_bswap64(v);
}

struct writer {
	uint8_t *p;
	size_t len, cap;
	bool bad;
};

static inline struct writer writer_of(void *p, size_t cap)
{
	return (struct writer){.p = p, .cap = cap};
}

/* Room for n more bytes, or NULL and `bad`. */
static inline uint8_t *writer_take(struct writer *w, size_t n)
{
	if (w->bad || n > w->cap - w->len) {
		w->bad = true;
		return NULL;
	}
	w->len += n;
	return w->p + w->len - n;
}

static inline void writer_bytes(struct writer *w, const void *p, size_t n)
{
	uint8_t *to = writer_take(w, n);

	if (to && n)
		memcpy(to, p, n);
}

static inline void writer_u8(struct writer *w, uint8_t v)
{
	writer_bytes(w, &v, 1);
}

static inline void writer_le16(struct writer *w, uint16_t v)
{
	uint8_t *to = writer_take(w, 2);

	if (to)
		put_le16(to, v);
}

static inline void writer_le32(struct writer *w, uint32_t v)
{
	uint8_t *to = writer_take(w, 4);

	if (to)
		put_le32(to, v);
}

static inline void writer_le64(struct writer *w, uint64_t v)
{
	uint8_t *to = writer_take(w, 8);

	if (to)
		put_le64(to, v);
}

struct reader {
	const uint8_t *p;
	size_t len, off;
	bool bad;
};

static inline struct reader reader_of(const void *p, size_t len)
{
	return (struct reader){.p = p, .len = len};
}

/* The next n bytes (borrowed), or NULL and `bad`. */
static inline const uint8_t *reader_take(struct reader *r, size_t n)
{
	if (r->bad || n > r->len - r->off) {
		r->bad = true;
		return NULL;
	}
	r->off += n;
	return r->p + r->off - n;
}

static inline uint8_t reader_u8(struct reader *r)
{
	const uint8_t *p = reader_take(r, 1);

	return p ? *p : 0;
}

static inline uint16_t reader_le16(struct reader *r)
{
	const uint8_t *p = reader_take(r, 2);

	return p ? get_le16(p) : 0;
}

static inline uint32_t reader_le32(struct reader *r)
{
	const uint8_t *p = reader_take(r, 4);

	return p ? get_le32(p) : 0;
}

static inline uint64_t reader_le64(struct reader *r)
{
	const uint8_t *p = reader_take(r, 8);

	return p ? get_le64(p) : 0;
}

static inline bool reader_done(const struct reader *r)
{
	return !r->bad && r->off == r->len;
}

#endif
