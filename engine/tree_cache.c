#include "engine/tree_cache.h"

#include "engine/base/assert.h"

#include <stdlib.h>

#define EVICT_BATCH 8u /* frames that tcache_reserve frees beyond what it must */

enum vs_err tcache_init(struct tcache *c, uint64_t frames)
{
	uint32_t bits = 7;

	*c = (struct tcache){.epoch = 1};
	if (frames < 64)
		frames = 64;
	if (frames > UINT32_MAX / 4)
		frames = UINT32_MAX / 4;
	while ((1ull << bits) < 2 * frames)
		bits++;
	c->frames = (uint32_t)frames;
	c->shift = 64 - bits;
	c->frame = calloc(frames, sizeof *c->frame);
	c->pool = calloc(frames, TREE_PAGE); /* the kernel's zero pages until a frame is used */
	c->table = calloc(1ull << bits, sizeof *c->table);
	c->free = calloc(frames, sizeof *c->free);
	if (!c->frame || !c->pool || !c->table || !c->free) {
		tcache_fini(c);
		return VS_ERR_NOMEM;
	}
	c->count[TCACHE_FREE] = c->frames;
	for (uint32_t i = 0; i < c->frames; i++)
		c->free[i] = c->frames - 1 - i;
	return VS_OK;
}

void tcache_fini(struct tcache *c)
{
	free(c->frame);
	free(c->pool);
	free(c->table);
	free(c->free);
	*c = (struct tcache){0};
}

static uint32_t home(const struct tcache *c, uint64_t page)
{
	return (uint32_t)((page * 0x9e3779b97f4a7c15u) >> c->shift);
}

static uint32_t table_mask(const struct tcache *c)
{
	return (uint32_t)((1ull << (64 - c->shift)) - 1);
}

uint32_t tcache_find(const struct tcache *c, uint64_t page)
{
	uint32_t mask = table_mask(c);

	for (uint32_t i = home(c, page); c->table[i]; i = (i + 1) & mask)
		if (c->frame[c->table[i] - 1].page == page)
			return c->table[i] - 1;
	return TCACHE_NONE;
}

/* Remove frame f from the table and close the gap (Knuth 6.4, algorithm R). */
static void table_remove(struct tcache *c, uint32_t f)
{
	uint32_t mask = table_mask(c), hole = home(c, c->frame[f].page), i;

	while (c->table[hole] != f + 1) {
		vs_assert(c->table[hole]);
		hole = (hole + 1) & mask;
	}
	for (i = (hole + 1) & mask; c->table[i]; i = (i + 1) & mask) {
		uint32_t want = home(c, c->frame[c->table[i] - 1].page);

		if (((i - want) & mask) >= ((i - hole) & mask)) {
			c->table[hole] = c->table[i];
			hole = i;
		}
	}
	c->table[hole] = 0;
}

/* The next victim of CLOCK, spared: frames of this epoch (0: no frame). */
static bool evict(struct tcache *c, uint32_t spared)
{
	if (!c->count[TCACHE_CLEAN])
		return false;
	for (uint64_t n = 0; n < 2ull * c->frames + 1; n++) {
		uint32_t f = c->hand;
		struct tcache_frame *fr = &c->frame[f];

		c->hand = f + 1 == c->frames ? 0 : f + 1;
		if (fr->state != TCACHE_CLEAN || (spared && fr->epoch == spared))
			continue;
		if (fr->used) {
			fr->used = 0;
			continue;
		}
		tcache_drop(c, f);
		c->evictions++;
		return true;
	}
	return false;
}

bool tcache_reserve(struct tcache *c, uint32_t n, bool *evicted)
{
	uint32_t spared = c->epoch, want = n;
	bool enough;

	*evicted = false;
	if (c->count[TCACHE_FREE] < n)
		want += EVICT_BATCH;
	while (c->count[TCACHE_FREE] < want && evict(c, spared))
		*evicted = true;
	enough = c->count[TCACHE_FREE] >= n;
	tcache_next_epoch(c);
	return enough;
}

void tcache_next_epoch(struct tcache *c)
{
	c->epoch = c->epoch == UINT32_MAX ? 1 : c->epoch + 1;
}

uint32_t tcache_make_free(struct tcache *c)
{
	if (!c->count[TCACHE_FREE] && !evict(c, 0))
		return TCACHE_NONE;
	return c->free[c->count[TCACHE_FREE] - 1];
}

uint32_t tcache_take(struct tcache *c, uint64_t page, enum tcache_state state, uint64_t sum)
{
	uint32_t mask = table_mask(c), i = home(c, page), f;

	vs_assert(c->count[TCACHE_FREE] > 0); /* E16 */
	vs_assert(page && state != TCACHE_FREE && (state == TCACHE_DIRTY) == !sum);
	f = c->free[--c->count[TCACHE_FREE]];
	vs_assert(c->frame[f].state == TCACHE_FREE);
	for (; c->table[i]; i = (i + 1) & mask)
		vs_assert(c->frame[c->table[i] - 1].page != page); /* E14 */
	c->table[i] = f + 1;
	c->frame[f] = (struct tcache_frame){page, sum, 0, (uint8_t)state, 1, false};
	c->count[state]++;
	return f;
}

void tcache_drop(struct tcache *c, uint32_t f)
{
	struct tcache_frame *fr = &c->frame[f];

	vs_assert(fr->state == TCACHE_CLEAN || fr->state == TCACHE_DIRTY);
	table_remove(c, f);
	c->count[fr->state]--;
	*fr = (struct tcache_frame){0};
	c->free[c->count[TCACHE_FREE]++] = f;
}

void tcache_set_state(struct tcache *c, uint32_t f, enum tcache_state state)
{
	uint8_t from = c->frame[f].state;

	vs_assert((from == TCACHE_DIRTY && state == TCACHE_FROZEN) ||
		  (from == TCACHE_FROZEN && state == TCACHE_CLEAN));
	c->count[from]--;
	c->count[state]++;
	c->frame[f].state = (uint8_t)state;
}

void tcache_check(const struct tcache *c)
{
	uint32_t count[TCACHE_STATES] = {0};
	uint64_t in_table = 0;

	for (uint32_t f = 0; f < c->frames; f++) {
		const struct tcache_frame *fr = &c->frame[f];

		vs_assert(fr->state < TCACHE_STATES);
		count[fr->state]++;
		if (fr->state == TCACHE_FREE)
			continue;
		vs_assert(tcache_find(c, fr->page) == f);           /* E14 */
		vs_assert((fr->state == TCACHE_DIRTY) == !fr->sum); /* E11 */
	}
	for (uint64_t i = 0; i <= table_mask(c); i++)
		in_table += c->table[i] != 0;
	vs_assert(in_table == c->frames - count[TCACHE_FREE]); /* E14 */
	for (int s = 0; s < TCACHE_STATES; s++)
		vs_assert(count[s] == c->count[s]); /* E14 */
}
