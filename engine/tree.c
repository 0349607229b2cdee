#include "engine/tree_int.h"

#include <stdlib.h>

static enum vs_err dir_sync_of(struct env *env, const char *name)
{
	const char *slash = strrchr(name, '/');
	char dir[256] = "";

	if (slash && (size_t)(slash - name) < sizeof dir)
		memcpy(dir, name, (size_t)(slash - name));
	return env->ops->dir_sync(env, dir);
}

/* A new file of one step.  Synced with its name: the superblock will point at it. */
static enum vs_err create_file(struct tree *t, const struct tree_config *c)
{
	const struct env_ops *ops = c->env->ops;
	uint64_t pages;
	enum vs_err e = ops->open(c->env, c->name, ENV_WRITE | ENV_CREATE, &t->file);

	if (e == VS_OK)
		e = ops->truncate(t->file, 0);
	if (e == VS_OK)
		e = tree_grow_file(t, &pages);
	if (e == VS_OK)
		e = dir_sync_of(c->env, c->name);
	if (e == VS_OK)
		tree_grow_done(t, pages);
	return e;
}

static bool image_ok(const struct tree_image *im)
{
	return im->gen && im->gen < UINT64_MAX && im->file_pages > 1 &&
	       im->file_pages <= TSPACE_PAGES_MAX && im->root.page < im->file_pages &&
	       im->height <= TREE_HEIGHT_MAX && !im->height == !im->root.page &&
	       !im->root.page == !im->root.sum && im->bitmap_count == tspace_chunks(im->file_pages);
}

static enum vs_err read_bitmap(struct tree *t, const struct tree_image *im, uint32_t i)
{
	uint8_t *p = t->space.chunk[i]->image;
	struct tree_ref ref = im->bitmap[i];
	size_t got;
	enum vs_err e;

	if (!ref.page || ref.page >= im->file_pages)
		return VS_ERR_CORRUPT_PAGE;
	e = t->env->ops->pread(t->file, p, TREE_PAGE, ref.page * TREE_PAGE, &got);
	if (e != VS_OK)
		return e;
	if (got != TREE_PAGE || tpage_sum(p) != ref.sum) /* E19 */
		return VS_ERR_CORRUPT_PAGE;
	e = tpage_verify_bitmap(p, ref.page, i);
	if (e == VS_OK && tpage_birth(p) > im->gen)
		e = VS_ERR_CORRUPT_PAGE;
	return e == VS_OK ? tspace_load(&t->space, i) : e;
}

static enum vs_err load_file(struct tree *t, const struct tree_config *c,
			     const struct tree_image *im)
{
	enum vs_err e;

	if (!image_ok(im))
		return VS_ERR_CORRUPT_PAGE;
	e = c->env->ops->open(c->env, c->name, ENV_WRITE, &t->file);
	if (e == VS_OK)
		e = tspace_new_chunks(0, im->file_pages, t->grown);
	if (e != VS_OK)
		return e;
	tspace_extend(&t->space, im->file_pages, t->grown);
	for (uint32_t i = 0; i < im->bitmap_count; i++) {
		e = read_bitmap(t, im, i);
		if (e != VS_OK)
			return e;
	}
	for (uint32_t i = 0; i < im->bitmap_count; i++)
		if (!tspace_is_live(&t->space, im->bitmap[i].page))
			return VS_ERR_CORRUPT_PAGE;
	if (t->space.live != im->used_pages ||
	    (im->height && !tspace_is_live(&t->space, im->root.page)))
		return VS_ERR_CORRUPT_PAGE;
	memcpy(t->bitmap, im->bitmap, sizeof t->bitmap);
	t->bitmap_count = im->bitmap_count;
	t->root = (struct tree_root){im->root, im->height};
	t->done_root = t->root;
	t->done_gen = im->gen;
	t->gen = im->gen + 1;
	return VS_OK;
}

enum vs_err tree_open(const struct tree_config *config, const struct tree_image *image,
		      struct tree **out)
{
	struct tree *t = calloc(1, sizeof *t);
	enum vs_err e;

	if (!t)
		return VS_ERR_NOMEM;
	t->env = config->env;
	t->grow_pages = config->grow_pages < 16 ? 16 : config->grow_pages;
	t->gen = 1;
	t->version = 1;
	e = tcache_init(&t->cache, config->cache_bytes / TREE_PAGE);
	if (e != VS_OK)
		goto out;
	t->write = calloc(t->cache.frames + TREE_BITMAP_MAX, sizeof *t->write);
	t->empty = calloc(t->cache.frames, sizeof *t->empty);
	if (!t->write || !t->empty) {
		e = VS_ERR_NOMEM;
		goto out;
	}
	e = image ? load_file(t, config, image) : create_file(t, config);
out:
	if (e != VS_OK)
		tree_close(t);
	else
		*out = t;
	return e;
}

void tree_close(struct tree *t)
{
	if (t->file)
		t->env->ops->close(t->file);
	for (uint32_t i = 0; i < TREE_BITMAP_MAX; i++)
		free(t->grown[i]);
	tspace_fini(&t->space);
	tcache_fini(&t->cache);
	free(t->write);
	free(t->empty);
	free(t);
}

/* --- reading ------------------------------------------------------------ */

/* Lossy counts: readers run side by side and an exact count would cost them a bus lock. */
static void count(uint64_t *n)
{
	__atomic_store_n(n, __atomic_load_n(n, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

/* The frame of ref, which must be a page of that level. */
static enum vs_err resident(struct tree *t, struct tree_ref ref, uint32_t level, uint32_t *frame,
			    struct tree_ref *miss)
{
	uint32_t f = tree_lookup(t, ref);

	if (f == TCACHE_NONE) {
		count(&t->misses);
		*miss = ref;
		return VS_ERR_MISS;
	}
	if (tpage_level(tree_page(t, f)) != level) /* E13 */
		return VS_ERR_CORRUPT_PAGE;
	tcache_mark(&t->cache, f);
	*frame = f;
	return VS_OK;
}

enum vs_err tree_get(struct tree *t, struct bytes key, struct bytes *value, struct tree_ref *miss)
{
	struct tree_ref ref = t->root.ref;
	uint32_t level = t->root.height, frame, slot;
	bool found;

	if (!level)
		return VS_ERR_NOENT;
	for (;;) {
		enum vs_err e = resident(t, ref, --level, &frame, miss);

		if (e != VS_OK)
			return e;
		if (!level)
			break;
		slot = tpage_child_slot(tree_page(t, frame), key);
		ref = tpage_child(tree_page(t, frame), slot);
	}
	count(&t->hits);
	slot = tpage_find(tree_page(t, frame), key, &found);
	if (!found)
		return VS_ERR_NOENT;
	*value = tpage_value(tree_page(t, frame), slot);
	return VS_OK;
}

void tree_cursor_init(struct tree_cursor *c, struct tree *t, const struct tree_pin *pin)
{
	*c = (struct tree_cursor){.tree = t, .pin = pin};
}

/* The leaf of key and the separator that ends its range: bound.p NULL when it is the last one. */
static enum vs_err cursor_leaf(struct tree_cursor *c, struct bytes key, struct tree_ref *miss)
{
	struct tree *t = c->tree;
	struct tree_root root = c->pin ? c->pin->root : t->root;
	struct bytes bound = {NULL, 0};
	uint32_t frame = 0;

	for (uint32_t level = root.height; level-- > 0;) {
		enum vs_err e = resident(t, root.ref, level, &frame, miss);
		const uint8_t *p = tree_page(t, frame);
		uint32_t slot;

		if (e != VS_OK)
			return e;
		if (!level)
			break;
		slot = tpage_child_slot(p, key);
		if (slot + 1 < tpage_count(p))
			bound = tpage_key(p, slot + 1);
		root.ref = tpage_child(p, slot);
	}
	count(&t->hits);
	c->bound = bound;
	c->leaf = tree_page(t, frame);
	return VS_OK;
}

/* Take the entry at slot, or the first one of the leaves behind. */
static enum vs_err cursor_settle(struct tree_cursor *c, uint32_t slot, struct tree_ref *miss)
{
	bool found;

	while (slot == tpage_count(c->leaf)) {
		struct bytes from = c->bound;
		enum vs_err e;

		if (!from.p)
			return VS_ERR_END;
		e = cursor_leaf(c, from, miss);
		if (e != VS_OK)
			return e;
		slot = tpage_find(c->leaf, from, &found);
	}
	c->slot = slot;
	c->key = tpage_key(c->leaf, slot);
	c->value = tpage_value(c->leaf, slot);
	c->version = c->tree->version;
	return VS_OK;
}

enum vs_err tree_cursor_seek(struct tree_cursor *c, struct bytes key, struct tree_ref *miss)
{
	bool found;
	enum vs_err e;

	c->version = 0;
	if (!(c->pin ? c->pin->root.height : c->tree->root.height))
		return VS_ERR_END;
	e = cursor_leaf(c, key, miss);
	return e == VS_OK ? cursor_settle(c, tpage_find(c->leaf, key, &found), miss) : e;
}

enum vs_err tree_cursor_next(struct tree_cursor *c, struct tree_ref *miss)
{
	vs_assert(c->version == c->tree->version); /* E18: it was moved under this lock hold */
	c->version = 0;
	return cursor_settle(c, c->slot + 1, miss);
}

/* --- residence ---------------------------------------------------------- */

enum vs_err tree_page_read(struct tree *t, struct tree_ref ref, void *buf)
{
	size_t got;
	enum vs_err e;

	if (!ref.page || ref.page >= TSPACE_PAGES_MAX || !ref.sum)
		return VS_ERR_CORRUPT_PAGE;
	e = t->env->ops->pread(t->file, buf, TREE_PAGE, ref.page * TREE_PAGE, &got);
	if (e != VS_OK)
		return e;
	if (got != TREE_PAGE || tpage_sum(buf) != ref.sum) /* E19 */
		return VS_ERR_CORRUPT_PAGE;
	return tpage_verify(buf, ref.page); /* E19 */
}

enum vs_err tree_page_install(struct tree *t, struct tree_ref ref, const void *buf)
{
	uint32_t f = tcache_find(&t->cache, ref.page);

	vs_assert(tpage_id(buf) == ref.page && ref.sum); /* E19 */
	if (tpage_birth(buf) >= t->gen)
		return VS_ERR_CORRUPT_PAGE;
	if (f != TCACHE_NONE) {
		/* Another content: one of the two is of the past.  A dirty or frozen page is not.
		 */
		if (t->cache.frame[f].sum == ref.sum || t->cache.frame[f].state != TCACHE_CLEAN)
			return VS_OK;
		tcache_drop(&t->cache, f);
	}
	t->version++; /* a page may go */
	if (tcache_make_free(&t->cache) == TCACHE_NONE)
		return VS_ERR_BUSY;
	f = tcache_take(&t->cache, ref.page, TCACHE_CLEAN, ref.sum);
	memcpy(tcache_page(&t->cache, f), buf, TREE_PAGE);
	return VS_OK;
}

/* Is key inside the leaf of the last path, with nothing changed since? */
static bool path_has(const struct tree *t, struct bytes key)
{
	const struct tree_path *path = &t->path;
	const uint8_t *leaf;

	if (t->path_version != t->version)
		return false;
	leaf = tree_page(t, path->step[path->height - 1].frame);
	if (!tpage_count(leaf))
		return false;
	if (bytes_cmp(key, tpage_key(leaf, 0)) < 0)
		return false;
	return path->last || bytes_cmp(key, tpage_key(leaf, tpage_count(leaf) - 1)) <= 0;
}

enum vs_err tree_locate(struct tree *t, struct bytes key, struct tree_ref *miss)
{
	struct tree_path *path = &t->path;
	struct tree_ref ref = t->root.ref;

	vs_assert(t->root.height && t->root.height <= TREE_HEIGHT_MAX);
	if (path_has(t, key)) /* E18 */
		return VS_OK;
	t->path_version = 0;
	path->height = t->root.height;
	path->last = true;
	for (uint32_t i = 0; i < path->height; i++) {
		uint32_t level = path->height - 1 - i, frame;
		enum vs_err e = resident(t, ref, level, &frame, miss);
		const uint8_t *p;

		if (e != VS_OK)
			return e;
		path->step[i].frame = frame;
		if (!level)
			break;
		p = tree_page(t, frame);
		path->step[i].slot = tpage_child_slot(p, key);
		path->last &= path->step[i].slot + 1 == tpage_count(p);
		ref = tpage_child(p, path->step[i].slot);
	}
	count(&t->hits);
	t->path_version = t->version;
	return VS_OK;
}

enum vs_err tree_touch(struct tree *t, struct bytes key, struct tree_ref *miss)
{
	enum vs_err e;

	if (!t->root.height)
		return VS_OK;
	e = tree_locate(t, key, miss);
	if (e != VS_OK)
		return e;
	for (uint32_t i = 0; i < t->path.height; i++) {
		struct tcache_frame *f = &t->cache.frame[t->path.step[i].frame];

		if (f->epoch == t->cache.epoch)
			continue;
		f->epoch = t->cache.epoch;
		t->touched++;
		t->touched_old += f->state != TCACHE_DIRTY;
		t->touched_branch += i + 1 < t->path.height;
	}
	return VS_OK;
}

/*
 * The most frames and page ids that ops changes of the touched keys take: a
 * copy of each touched page that is not dirty yet; per op a split of its leaf
 * or a copy of the neighbour it is merged with; a split of each touched branch
 * that was full, and then one for every 24 leaves added (a branch that was
 * just split has room for 24 cells); the levels above the present root.
 * Without touches: a copy and a split of every level per op.
 */
static uint64_t pages_needed(const struct tree *t, uint32_t ops)
{
	uint32_t height = t->root.height ? t->root.height : 1;

	if (!t->touched)
		return (uint64_t)ops * (2 * height + 1) + 2;
	return (uint64_t)t->touched_old + ops + t->touched_branch + ops / 24 + height + 2;
}

enum vs_err tree_reserve(struct tree *t, uint32_t ops, uint64_t reserve_pages)
{
	uint64_t need, dirty;
	/* Freezing takes one page per bitmap page before it gives back the last ones. */
	uint64_t keep = reserve_pages + 2ull * tspace_chunks(t->space.file_pages);
	bool evicted, enough;
	enum vs_err e = VS_OK;

	tree_sweep(t, false);
	need = pages_needed(t, ops);
	t->touched = t->touched_old = t->touched_branch = 0;
	dirty = t->cache.count[TCACHE_DIRTY] + t->cache.count[TCACHE_FROZEN];
	if (t->root.height + 2 > TREE_HEIGHT_MAX || tspace_free_count(&t->space) < need + keep)
		e = VS_ERR_NOSPC;
	else if (dirty + need + tree_frames_clean_min(t) > t->cache.frames)
		e = VS_ERR_BUSY;
	if (e != VS_OK) {
		/* the next attempt touches, and counts, the same pages anew */
		tcache_next_epoch(&t->cache);
		return e;
	}
	enough = tcache_reserve(&t->cache, (uint32_t)need, &evicted);
	if (evicted)
		t->version++;
	return enough ? VS_OK : VS_ERR_BUSY;
}

enum vs_err tree_grow_file(struct tree *t, uint64_t *pages_after)
{
	uint64_t from = t->space.file_pages, to = from + t->grow_pages;
	const struct env_ops *ops = t->env->ops;
	enum vs_err e;

	if (to > TSPACE_PAGES_MAX)
		to = TSPACE_PAGES_MAX;
	if (to <= from)
		return VS_ERR_NOSPC;
	e = ops->allocate(t->file, from * TREE_PAGE, (to - from) * TREE_PAGE);
	if (e == VS_OK)
		e = ops->sync(t->file);
	for (uint32_t i = 0; i < TREE_BITMAP_MAX; i++) { /* of an earlier call without _done */
		free(t->grown[i]);
		t->grown[i] = NULL;
	}
	if (e == VS_OK)
		e = tspace_new_chunks(from, to, t->grown);
	if (e == VS_OK)
		*pages_after = to;
	return e;
}

void tree_grow_done(struct tree *t, uint64_t pages_after)
{
	tspace_extend(&t->space, pages_after, t->grown);
}

/* --- pins and numbers --------------------------------------------------- */

enum vs_err tree_pin(struct tree *t, struct tree_pin **out)
{
	if (!t->done_gen)
		return VS_ERR_NOENT;
	for (uint32_t i = 0; i < TREE_PINS; i++) {
		if (t->pin[i].gen)
			continue;
		t->pin[i] = (struct tree_pin){t->done_root, t->done_gen};
		*out = &t->pin[i];
		return VS_OK;
	}
	return VS_ERR_BUSY;
}

uint32_t tree_pin_gens(const struct tree *t, uint64_t *gens)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < TREE_PINS; i++)
		if (t->pin[i].gen)
			gens[n++] = t->pin[i].gen;
	return n;
}

void tree_unpin(struct tree *t, struct tree_pin *pin)
{
	uint64_t gens[TREE_PINS];

	vs_assert(pin >= t->pin && pin < t->pin + TREE_PINS && pin->gen);
	*pin = (struct tree_pin){0};
	tspace_release(&t->space, t->done_gen, gens, tree_pin_gens(t, gens)); /* E12 */
}

uint64_t tree_pin_gen(const struct tree_pin *pin)
{
	vs_assert(pin->gen);
	return pin->gen;
}

void tree_stats(struct tree *t, struct tree_stats *out)
{
	*out = (struct tree_stats){
		.file_pages = t->space.file_pages,
		.used_pages = t->space.used,
		.dirty_pages = t->cache.count[TCACHE_DIRTY],
		.frozen_pages = t->cache.count[TCACHE_FROZEN],
		.cached_pages = t->cache.frames - t->cache.count[TCACHE_FREE],
		.frames = t->cache.frames,
		.free_pages = tspace_free_count(&t->space),
		.hits = __atomic_load_n(&t->hits, __ATOMIC_RELAXED),
		.misses = __atomic_load_n(&t->misses, __ATOMIC_RELAXED),
		.evictions = t->cache.evictions,
		.pages_written = __atomic_load_n(&t->pages_written, __ATOMIC_RELAXED),
	};
}
