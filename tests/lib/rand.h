/*
 * rand: small seeded generator for tests (splitmix64, Steele et al. 2014).
 * The same seed gives the same numbers everywhere.
 *
 * Thread rule: one owner per struct.
 */
#ifndef VS_TESTS_RAND_H
#define VS_TESTS_RAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rnd {
	uint64_t s;
};

static inline struct rnd rnd_of(uint64_t seed)
{
	return (struct rnd){seed};
}

static inline uint64_t rnd_next(struct rnd *r)
{
	uint64_t z = r->s += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* Uniform in [0, n); 0 when n is 0. */
static inline uint64_t rnd_below(struct rnd *r, uint64_t n)
{
	return n ? rnd_next(r) % n : 0;
}

/* Uniform in [lo, hi]. */
static inline uint64_t rnd_between(struct rnd *r, uint64_t lo, uint64_t hi)
{
	return lo + rnd_below(r, hi - lo + 1);
}

/* True num times in den. */
static inline bool rnd_chance(struct rnd *r, uint32_t num, uint32_t den)
{
	return rnd_below(r, den) < num;
}

static inline void rnd_fill(struct rnd *r, void *buf, size_t len)
{
	uint8_t *p = buf;

	for (; len; len -= len < 8 ? len : 8, p += 8) {
		uint64_t v = rnd_next(r);

		memcpy(p, &v, len < 8 ? len : 8);
	}
}

#endif
