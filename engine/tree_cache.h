/*
 * tree_cache: the frames that hold pages in memory, found by page id.
 *
 * A fixed number of frames; nothing is allocated after tcache_init.
 *
 *            take                tree_freeze           tree_freeze_done
 *   FREE ------------> DIRTY ------------> FROZEN ------------> CLEAN
 *     \  <------------   | (page freed in its own generation)     |
 *      \------------------------ install ---------------------->--+
 *       <------------------- evict (CLOCK), drop ------------------
 *
 * Thread rule: the tree's lock: find and mark under the shared one, all else
 * under the exclusive one.  Bytes of a FROZEN frame may be read without it.
 */
#ifndef VS_ENGINE_TREE_CACHE_H
#define VS_ENGINE_TREE_CACHE_H

#include "engine/tree.h"

#define TCACHE_NONE UINT32_MAX

enum tcache_state {
	TCACHE_FREE,
	TCACHE_CLEAN,  /* equals the page on disk that sum names */
	TCACHE_DIRTY,  /* born in the working generation; sum is 0 */
	TCACHE_FROZEN, /* part of the checkpoint under way, not on disk yet */
	TCACHE_STATES,
};

struct tcache_frame {
	uint64_t page, sum;
	uint32_t epoch; /* see tcache_reserve */
	uint8_t state;
	uint8_t used; /* CLOCK reference; relaxed atomic */
	bool empty;   /* on the tree's list of empty leaves */
};

struct tcache {
	struct tcache_frame *frame;
	uint8_t *pool;
	uint32_t *table; /* frame + 1, open addressing, linear probing */
	uint32_t *free;  /* stack of free frames */
	uint32_t frames, shift, hand, epoch;
	uint32_t count[TCACHE_STATES];
	uint64_t evictions;
};

/* VS_ERR_NOMEM.  64 frames or more. */
enum vs_err VS_MUST_USE tcache_init(struct tcache *c, uint64_t frames);
void tcache_fini(struct tcache *c);

static inline uint8_t *tcache_page(const struct tcache *c, uint32_t f)
{
	return c->pool + (size_t)f * TREE_PAGE;
}

/* The frame of page id, any state but FREE, or TCACHE_NONE. */
uint32_t tcache_find(const struct tcache *c, uint64_t page);

static inline void tcache_mark(struct tcache *c, uint32_t f)
{
	uint8_t *u = &c->frame[f].used;

	if (!__atomic_load_n(u, __ATOMIC_RELAXED))
		__atomic_store_n(u, 1, __ATOMIC_RELAXED);
}

/*
 * Have n free frames, evicting clean ones; none whose epoch is the current
 * one.  Then a new epoch begins.  False: not enough.  *evicted: some went.
 */
bool tcache_reserve(struct tcache *c, uint32_t n, bool *evicted);
void tcache_next_epoch(struct tcache *c);
/* One free frame, evicting any clean one; TCACHE_NONE when there is none. */
uint32_t tcache_make_free(struct tcache *c);

/* Give a free frame, not none, to a page that is not in the cache. */
uint32_t tcache_take(struct tcache *c, uint64_t page, enum tcache_state state, uint64_t sum);
/* CLEAN or DIRTY -> FREE. */
void tcache_drop(struct tcache *c, uint32_t f);
void tcache_set_state(struct tcache *c, uint32_t f, enum tcache_state state);

/* Assert E14: table, states and counts agree.  Slow. */
void tcache_check(const struct tcache *c);

#endif
