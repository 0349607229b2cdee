/*
 * tree_check: assert what must hold of everything that is resident.
 */
#include "engine/tree_int.h"

struct walk {
	const struct tree *t;
	uint64_t gen; /* of the root that is walked */
	bool working;
	uint64_t dirty, pages;
	bool complete; /* every page was resident */
};

/* Keys of page are in [low, high); high.p NULL: no bound. */
static void check_page(struct walk *w, struct tree_ref ref, uint32_t level, uint64_t birth_max,
		       struct bytes low, struct bytes high)
{
	const struct tree *t = w->t;
	uint32_t f = tree_lookup(t, ref), count;
	const uint8_t *p;

	vs_assert(tspace_is_used(&t->space, ref.page));                /* E12 */
	vs_assert(!w->working || tspace_is_live(&t->space, ref.page)); /* E12 */
	w->pages++;
	if (f == TCACHE_NONE) {
		w->complete = false;
		return;
	}
	p = tree_page(t, f);
	count = tpage_count(p);
	vs_assert((count || t->cache.frame[f].empty) && tpage_id(p) == ref.page &&
		  tpage_level(p) == level); /* E13 */
	vs_assert(tpage_birth(p) <= birth_max);
	vs_assert((t->cache.frame[f].state == TCACHE_DIRTY) ==
		  (tpage_birth(p) == t->gen)); /* E10 */
	if (t->cache.frame[f].state == TCACHE_DIRTY)
		w->dirty++;
	else
		vs_assert(tpage_verify(p, ref.page) == VS_OK && tpage_sum(p) == ref.sum); /* E10 */
	for (uint32_t i = 0; i < count; i++) {
		struct bytes key = tpage_key(p, i), next = high;

		vs_assert(level && !i ? !key.len : bytes_cmp(key, low) >= 0); /* E13 */
		if (i + 1 < count) {
			next = tpage_key(p, i + 1);
			vs_assert(bytes_cmp(key, next) < 0); /* E13 */
		}
		vs_assert(!high.p || bytes_cmp(key, high) < 0); /* E13 */
		if (level)
			check_page(w, tpage_child(p, i), level - 1, tpage_birth(p), i ? key : low,
				   next);
	}
}

static void check_root(struct walk *w, struct tree_root root)
{
	vs_assert(!root.height == !root.ref.page);
	w->complete = true;
	if (root.height)
		check_page(w, root.ref, root.height - 1, w->gen, bytes_of(NULL, 0),
			   bytes_of(NULL, 0));
}

void tree_check(struct tree *t)
{
	struct walk w = {.t = t, .gen = t->gen, .working = true};
	uint32_t dirty = t->cache.count[TCACHE_DIRTY], frozen = t->cache.count[TCACHE_FROZEN];

	tcache_check(&t->cache);
	tspace_check(&t->space);
	check_root(&w, t->root);
	vs_assert(w.dirty == dirty); /* E11 */
	if (w.complete)
		vs_assert(w.pages + t->bitmap_count == t->space.live);                 /* E15 */
	vs_assert(dirty + frozen + tree_frames_clean_min(t) <= t->cache.frames);       /* E14 */
	vs_assert(tspace_free_count(&t->space) >= tspace_chunks(t->space.file_pages)); /* E16 */
	vs_assert(frozen <= t->write_count);                                           /* E17 */
	if (t->done_gen) {
		w = (struct walk){.t = t, .gen = t->done_gen};
		check_root(&w, t->done_root);
		vs_assert(!w.dirty); /* E10 */
	}
	for (uint32_t i = 0; i < TREE_PINS; i++) {
		w = (struct walk){.t = t, .gen = t->pin[i].gen};
		if (!w.gen)
			continue;
		check_root(&w, t->pin[i].root);
		vs_assert(!w.dirty && w.gen <= t->done_gen); /* E10 */
	}
}
