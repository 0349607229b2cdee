/*
 * Checkpoints: freeze under the lock, write without it, done under it; and
 * verification of a pinned root from disk.
 */
#include "engine/tree_int.h"

#include <stdlib.h>

#define JOIN_PAGES 64 /* pages per write */

/*
 * Hash the dirty pages below ref, children first, and complete the references
 * to them.  What is not dirty has nothing dirty below it (E11).
 */
static struct tree_ref freeze_page(struct tree *t, struct tree_ref ref)
{
	uint32_t f = tree_lookup(t, ref);
	uint8_t *p;

	vs_assert(!ref.sum && f != TCACHE_NONE); /* E11 */
	p = tree_page_dirty(t, f);
	vs_assert(tpage_birth(p) == t->gen && tpage_count(p));
	for (uint32_t i = 0; tpage_level(p) && i < tpage_count(p); i++) {
		struct tree_ref child = tpage_child(p, i);

		if (!child.sum)
			tpage_set_child(p, i, freeze_page(t, child));
	}
	ref.sum = tpage_sum(p);
	t->cache.frame[f].sum = ref.sum;
	tcache_set_state(&t->cache, f, TCACHE_FROZEN);
	t->write[t->write_count++] = (struct tree_write){ref.page, f, p};
	return ref;
}

/*
 * Give new places to the bitmap pages whose bits changed.  That changes bits
 * itself, so go round until nothing new changes; each page moves once at most.
 * A pinned root is read without its bitmap: no pin keeps the old page.
 */
static void freeze_bitmap(struct tree *t)
{
	uint32_t count = tspace_chunks(t->space.file_pages);
	bool moved[TREE_BITMAP_MAX] = {false}, again = true;

	while (again) {
		again = false;
		for (uint32_t i = 0; i < count; i++) {
			if (moved[i] || !t->space.chunk[i]->changed)
				continue;
			moved[i] = again = true;
			if (i < t->bitmap_count)
				tspace_kill(&t->space, t->bitmap[i].page, t->gen, t->gen);
			t->bitmap[i].page = tspace_alloc(&t->space);
		}
	}
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *p = t->space.chunk[i]->image;
		uint64_t id = t->bitmap[i].page;
		uint32_t stale;

		if (!moved[i])
			continue;
		stale = tcache_find(&t->cache, id);
		if (stale != TCACHE_NONE)
			tcache_drop(&t->cache, stale);
		tspace_image(&t->space, i, id, t->gen);
		t->bitmap[i].sum = tpage_sum(p);
		t->write[t->write_count++] = (struct tree_write){id, TCACHE_NONE, p};
	}
	t->bitmap_count = count;
}

void tree_freeze(struct tree *t, struct tree_image *image)
{
	vs_assert(t->ckpt == TREE_CKPT_NONE && !t->write_count); /* E17 */
	tree_sweep(t, true);
	vs_assert(!t->empty_count);
	if (t->root.height && !t->root.ref.sum)
		t->root.ref = freeze_page(t, t->root.ref);
	vs_assert(!t->cache.count[TCACHE_DIRTY]); /* E11: the root reaches every dirty page */
	freeze_bitmap(t);
	memset(image, 0, sizeof *image);
	image->gen = t->gen;
	image->file_pages = t->space.file_pages;
	image->used_pages = t->space.live;
	image->root = t->root.ref;
	image->height = t->root.height;
	image->bitmap_count = t->bitmap_count;
	memcpy(image->bitmap, t->bitmap, t->bitmap_count * sizeof t->bitmap[0]);
	t->frozen_root = t->root;
	t->gen++;
	t->version++;
	/* what was dirty when it was touched must be counted again as a page to copy */
	t->touched = t->touched_old = t->touched_branch = 0;
	tcache_next_epoch(&t->cache);
	t->ckpt = TREE_CKPT_FROZEN;
}

static int by_page(const void *a, const void *b)
{
	const struct tree_write *x = a, *y = b;

	return (x->page > y->page) - (x->page < y->page);
}

enum vs_err tree_write_frozen(struct tree *t, uint64_t *bytes)
{
	struct iovec iov[JOIN_PAGES];
	const struct tree_write *w = t->write;
	enum vs_err e = VS_OK;
	uint32_t n;

	vs_assert(t->ckpt == TREE_CKPT_FROZEN); /* E17 */
	qsort(t->write, t->write_count, sizeof *t->write, by_page);
	for (uint32_t i = 0; i < t->write_count && e == VS_OK; i += n) {
		for (n = 0; n < JOIN_PAGES && i + n < t->write_count; n++) {
			if (w[i + n].page != w[i].page + n)
				break;
			iov[n] = (struct iovec){(void *)(uintptr_t)w[i + n].bytes, TREE_PAGE};
		}
		e = t->env->ops->pwritev(t->file, iov, (int)n, w[i].page * TREE_PAGE);
	}
	/* Before the superblock names this root: a crash must not find a root without its pages. */
	if (e == VS_OK)
		e = t->env->ops->sync(t->file);
	t->ckpt = e == VS_OK ? TREE_CKPT_WRITTEN : TREE_CKPT_FAILED;
	if (e != VS_OK)
		return e;
	__atomic_fetch_add(&t->pages_written, t->write_count, __ATOMIC_RELAXED);
	*bytes = (uint64_t)t->write_count * TREE_PAGE;
	return VS_OK;
}

void tree_freeze_done(struct tree *t)
{
	uint64_t gens[TREE_PINS];

	vs_assert(t->ckpt == TREE_CKPT_WRITTEN); /* E17 */
	for (uint32_t i = 0; i < t->write_count; i++)
		if (t->write[i].frame != TCACHE_NONE)
			tcache_set_state(&t->cache, t->write[i].frame, TCACHE_CLEAN);
	vs_assert(!t->cache.count[TCACHE_FROZEN]);
	t->write_count = 0;
	t->done_root = t->frozen_root;
	t->done_gen = t->gen - 1;
	tspace_release(&t->space, t->done_gen, gens, tree_pin_gens(t, gens)); /* E12 */
	t->ckpt = TREE_CKPT_NONE;
}

/* --- verification -------------------------------------------------------- */

struct verify {
	struct tree *t;
	enum vs_err (*each)(void *arg, struct tree_ref ref, enum vs_err state);
	void *arg;
	uint8_t *buf; /* a page per level */
	uint64_t good, bad;
};

static enum vs_err verify_page(struct verify *v, struct tree_ref ref, uint32_t level,
			       uint64_t birth_max)
{
	uint8_t *p = v->buf + (size_t)level * TREE_PAGE;
	enum vs_err state = tree_page_read(v->t, ref, p), e = VS_OK;

	if (state == VS_OK && (tpage_level(p) != level || tpage_birth(p) > birth_max))
		state = VS_ERR_CORRUPT_PAGE;
	if (state == VS_OK)
		v->good++;
	else
		v->bad++;
	if (v->each)
		e = v->each(v->arg, ref, state);
	if (state != VS_OK || !level)
		return e;
	for (uint32_t i = 0; e == VS_OK && i < tpage_count(p); i++)
		e = verify_page(v, tpage_child(p, i), level - 1, tpage_birth(p));
	return e;
}

enum vs_err tree_verify(struct tree *t, const struct tree_pin *pin,
			enum vs_err (*each)(void *arg, struct tree_ref ref, enum vs_err state),
			void *arg, uint64_t *good, uint64_t *bad)
{
	struct verify v = {.t = t, .each = each, .arg = arg};
	enum vs_err e = VS_OK;

	vs_assert(pin->gen && pin->root.height <= TREE_HEIGHT_MAX);
	if (pin->root.height) {
		v.buf = malloc((size_t)pin->root.height * TREE_PAGE);
		if (!v.buf)
			return VS_ERR_NOMEM;
		e = verify_page(&v, pin->root.ref, pin->root.height - 1, pin->gen);
		free(v.buf);
	}
	*good = v.good;
	*bad = v.bad;
	return e;
}
