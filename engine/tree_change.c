/*
 * Changes of the working root: put, del, edit.  A change copies the pages of
 * its path that belong to older generations (E10), changes the leaf, and
 * splits or merges upwards.  Frames and page ids were reserved (E16).
 */
#include "engine/tree_int.h"

/* Two pages become one when their cells leave a quarter of it free. */
#define MERGE_BYTES (TREE_PAGE / 4 * 3 - TPAGE_HEAD)

static uint32_t level_of(const struct tree *t, uint32_t step)
{
	return t->path.height - 1 - step;
}

/* A new position in the file and a frame for it, its bytes undefined. */
static uint32_t new_frame(struct tree *t, uint64_t *id)
{
	uint32_t stale;

	*id = tspace_alloc(&t->space);
	stale = tcache_find(&t->cache, *id);
	if (stale != TCACHE_NONE) { /* what an older root had there, and nobody reads any more */
		vs_assert(t->cache.frame[stale].state == TCACHE_CLEAN); /* E12 */
		tcache_drop(&t->cache, stale);
	}
	return tcache_take(&t->cache, *id, TCACHE_DIRTY, 0); /* E16 */
}

static uint32_t new_page(struct tree *t, uint32_t level)
{
	uint64_t id;
	uint32_t f = new_frame(t, &id);

	tpage_init(tree_page_dirty(t, f), level ? TPAGE_BRANCH : TPAGE_LEAF, level, id, t->gen);
	return f;
}

static struct tree_ref dirty_ref(const struct tree *t, uint32_t frame)
{
	return (struct tree_ref){t->cache.frame[frame].page, 0};
}

/* Take frame off the list of leaves to remove. */
static void forget_empty(struct tree *t, uint32_t frame)
{
	uint32_t i = 0;

	while (t->empty[i] != frame)
		vs_assert(++i < t->empty_count);
	t->empty[i] = t->empty[--t->empty_count];
	t->cache.frame[frame].empty = false;
}

/* Note an empty leaf for tree_sweep, with a key of its range in its free space. */
static void note_empty(struct tree *t, uint32_t frame, struct bytes key)
{
	uint8_t *p = tree_page_dirty(t, frame);

	vs_assert(!tpage_count(p) && key.len <= TREE_KEY_MAX);
	put_le16(p + TPAGE_HEAD, (uint16_t)key.len);
	memcpy(p + TPAGE_HEAD + 2, key.p, key.len);
	if (!t->cache.frame[frame].empty)
		t->empty[t->empty_count++] = frame;
	t->cache.frame[frame].empty = true;
}

/* The working root no longer uses this page. */
static void drop_page(struct tree *t, uint32_t frame)
{
	const uint8_t *p = tree_page(t, frame);

	if (t->cache.frame[frame].state == TCACHE_DIRTY) {
		if (t->cache.frame[frame].empty)
			forget_empty(t, frame);
		tspace_free(&t->space, tpage_id(p));
		tcache_drop(&t->cache, frame);
	} else {
		tspace_kill(&t->space, tpage_id(p), tpage_birth(p), t->gen);
	}
}

/* Copy what is not of the working generation, root first. */
static void path_make_dirty(struct tree *t)
{
	struct tree_path *path = &t->path;

	for (uint32_t i = 0; i < path->height; i++) {
		uint32_t old = path->step[i].frame, f;
		uint64_t id;

		if (t->cache.frame[old].state == TCACHE_DIRTY)
			continue;
		f = new_frame(t, &id);
		tpage_copy(tree_page_dirty(t, f), tree_page(t, old), id, t->gen);
		drop_page(t, old);
		path->step[i].frame = f;
		if (i == 0)
			t->root.ref = dirty_ref(t, f);
		else
			tpage_set_child(tree_page_dirty(t, path->step[i - 1].frame),
					path->step[i - 1].slot, dirty_ref(t, f)); /* E11 */
	}
}

static void locate(struct tree *t, struct bytes key)
{
	struct tree_ref miss;
	enum vs_err e = tree_locate(t, key, &miss);

	vs_assert(e == VS_OK); /* E16: it was touched */
}

/* The change left the shape as it was: the path stays good. */
static void changed_in_leaf(struct tree *t)
{
	t->path_version = ++t->version; /* E18 */
}

static void new_root(struct tree *t, uint32_t frame)
{
	vs_assert(t->root.height < TREE_HEIGHT_MAX);
	t->root = (struct tree_root){dirty_ref(t, frame), t->root.height + 1};
}

/*
 * The page at `step` was split and sep begins the range of its new right
 * neighbour: tell the parent, splitting upwards.  sep has TREE_KEY_MAX bytes
 * of room and is used up.
 */
static void insert_up(struct tree *t, uint32_t step, uint8_t *sep, uint32_t sep_len, uint32_t right)
{
	for (;;) {
		struct bytes key = {sep, sep_len};
		uint32_t f, slot, n;
		uint8_t *left, *up;
		struct bytes first;

		if (step == 0) {
			f = new_page(t, level_of(t, 0) + 1);
			tpage_insert_branch(tree_page_dirty(t, f), 0, bytes_of(NULL, 0),
					    t->root.ref);
			tpage_insert_branch(tree_page_dirty(t, f), 1, key, dirty_ref(t, right));
			new_root(t, f);
			return;
		}
		step--;
		slot = t->path.step[step].slot + 1;
		left = tree_page_dirty(t, t->path.step[step].frame);
		if (tpage_fits(left, tpage_branch_size(key))) {
			tpage_insert_branch(left, slot, key, dirty_ref(t, right));
			return;
		}
		f = new_page(t, level_of(t, step));
		up = tree_page_dirty(t, f);
		n = tpage_split(left, up, slot, tpage_branch_size(key));
		tpage_insert_branch(slot < n ? left : up, slot < n ? slot : slot - n, key,
				    dirty_ref(t, right));
		first = tpage_key(up, 0); /* it moves up: the first key of a branch is empty */
		sep_len = (uint32_t)first.len;
		memcpy(sep, first.p, first.len);
		tpage_strip_first(up);
		right = f;
	}
}

static void split_leaf(struct tree *t, uint32_t slot, struct bytes key, struct bytes value)
{
	uint32_t step = t->path.height - 1, f = new_page(t, 0), n, sep_len;
	uint8_t *left = tree_page_dirty(t, t->path.step[step].frame);
	uint8_t *right = tree_page_dirty(t, f), sep[TREE_KEY_MAX];
	struct bytes first;

	n = tpage_split(left, right, slot, tpage_leaf_size(key, value));
	tpage_insert_leaf(slot < n ? left : right, slot < n ? slot : slot - n, key, value);
	first = tpage_key(right, 0);
	sep_len = tpage_separator(tpage_key(left, tpage_count(left) - 1), first);
	memcpy(sep, first.p, sep_len);
	insert_up(t, step, sep, sep_len, f);
	t->version++;
}

void tree_put(struct tree *t, struct bytes key, struct bytes value)
{
	uint8_t *leaf;
	uint32_t slot;
	bool found;

	vs_assert(key.len && key.len <= TREE_KEY_MAX && value.len <= TREE_VALUE_MAX);
	if (!t->root.height) {
		uint32_t f = new_page(t, 0);

		new_root(t, f);
		tpage_insert_leaf(tree_page_dirty(t, f), 0, key, value);
		t->version++;
		return;
	}
	locate(t, key);
	path_make_dirty(t);
	leaf = tree_page_dirty(t, t->path.step[t->path.height - 1].frame);
	slot = tpage_find(leaf, key, &found);
	if (found && tpage_value(leaf, slot).len == value.len) {
		if (value.len)
			memcpy(tpage_value_bytes(leaf, slot), value.p, value.len);
		changed_in_leaf(t);
		return;
	}
	if (found)
		tpage_remove(leaf, slot);
	if (!tpage_fits(leaf, tpage_leaf_size(key, value))) {
		split_leaf(t, slot, key, value);
		return;
	}
	tpage_insert_leaf(leaf, slot, key, value);
	changed_in_leaf(t);
}

/* Take child slot out of the branch at `step`. */
static void remove_child(struct tree *t, uint32_t step, uint32_t slot)
{
	uint8_t *p = tree_page_dirty(t, t->path.step[step].frame);

	tpage_remove(p, slot);
	if (slot == 0 && tpage_count(p))
		tpage_strip_first(p);
}

/* Take over the cells of the sibling in `slot` of the parent, when it is here and they fit. */
static bool merge_with(struct tree *t, uint32_t step, uint32_t slot)
{
	uint8_t merged[TREE_PAGE];
	uint8_t *p = tree_page_dirty(t, t->path.step[step].frame);
	uint8_t *parent = tree_page_dirty(t, t->path.step[step - 1].frame);
	uint32_t own = t->path.step[step - 1].slot, right = slot > own ? slot : own;
	uint32_t f = tree_lookup(t, tpage_child(parent, slot));
	struct bytes sep = tpage_key(parent, right);
	const uint8_t *sibling;

	if (f == TCACHE_NONE)
		return false;
	sibling = tree_page(t, f);
	if (!tpage_count(p) && !tpage_count(sibling))
		return false; /* one of them is to go, see remove_leaf */
	if (tpage_level(sibling) != tpage_level(p) ||
	    tpage_used(p) + tpage_used(sibling) + sep.len > MERGE_BYTES)
		return false;
	tpage_init(merged, tpage_kind(p), tpage_level(p), tpage_id(p), t->gen);
	tpage_append(merged, slot < own ? sibling : p, bytes_of(NULL, 0));
	tpage_append(merged, slot < own ? p : sibling, sep);
	memcpy(p, merged, TREE_PAGE);
	drop_page(t, f);
	tpage_set_child(parent, right - 1, dirty_ref(t, t->path.step[step].frame));
	remove_child(t, step - 1, right);
	return true;
}

static bool merge(struct tree *t, uint32_t step)
{
	const uint8_t *parent = tree_page(t, t->path.step[step - 1].frame);
	uint32_t own = t->path.step[step - 1].slot;

	if (tpage_used(tree_page(t, t->path.step[step].frame)) > MERGE_BYTES / 2)
		return false;
	return (own + 1 < tpage_count(parent) && merge_with(t, step, own + 1)) ||
	       (own > 0 && merge_with(t, step, own - 1));
}

/* A root with one child that is here gives way to it, an empty one to nothing. */
static void collapse_root(struct tree *t)
{
	for (;;) {
		uint32_t f = tree_lookup(t, t->root.ref);
		struct tree_ref child;

		if (f == TCACHE_NONE)
			return;
		if (!tpage_count(tree_page(t, f))) {
			t->root = (struct tree_root){{0, 0}, 0};
		} else {
			if (t->root.height == 1 || tpage_count(tree_page(t, f)) > 1)
				return;
			child = tpage_child(tree_page(t, f), 0);
			t->root = (struct tree_root){child, t->root.height - 1};
		}
		drop_page(t, f);
		if (!t->root.height)
			return;
	}
}

/* Is the page in `slot` of the parent of `step` here? */
static bool child_here(const struct tree *t, uint32_t step, uint32_t slot)
{
	const uint8_t *parent = tree_page(t, t->path.step[step - 1].frame);

	return slot < tpage_count(parent) &&
	       tree_lookup(t, tpage_child(parent, slot)) != TCACHE_NONE;
}

/*
 * Remove the empty leaf of the path when a neighbour that is here inherits its
 * range: another key of that range may have been touched (E16).
 */
static bool remove_leaf(struct tree *t)
{
	uint32_t step = t->path.height - 1, own = t->path.step[step - 1].slot;
	uint8_t *parent = tree_page_dirty(t, t->path.step[step - 1].frame);

	if (own > 0 && child_here(t, step, own - 1)) {
		drop_page(t, t->path.step[step].frame);
		remove_child(t, step - 1, own);
		return true;
	}
	if (!child_here(t, step, own + 1))
		return false;
	drop_page(t, t->path.step[step].frame);
	tpage_set_child(parent, own, tpage_child(parent, own + 1));
	remove_child(t, step - 1, own + 1);
	return true;
}

/* From `step` up: take out empty branches, join thin pages.  True: the shape changed. */
static bool shrink_from(struct tree *t, uint32_t step)
{
	uint32_t from = step;

	for (; step > 0; step--) {
		uint32_t f = t->path.step[step].frame;

		if (!tpage_count(tree_page(t, f))) {
			drop_page(t, f);
			remove_child(t, step - 1, t->path.step[step - 1].slot);
		} else if (!merge(t, step)) {
			return step != from;
		}
	}
	collapse_root(t);
	return step != from || !t->root.height;
}

/* key was removed from the leaf of the path. */
static bool shrink(struct tree *t, struct bytes key)
{
	uint32_t step = t->path.height - 1, f = t->path.step[step].frame;

	if (!step || tpage_count(tree_page(t, f)))
		return shrink_from(t, step);
	if (!merge(t, step) && !remove_leaf(t)) {
		note_empty(t, f, key);
		return true;
	}
	(void)shrink_from(t, step - 1);
	return true;
}

void tree_sweep(struct tree *t, bool touched)
{
	for (uint32_t i = t->empty_count; i-- > 0;) {
		uint32_t f = i < t->empty_count ? t->empty[i] : TCACHE_NONE;
		const uint8_t *p = f == TCACHE_NONE ? NULL : tree_page(t, f);
		uint8_t key[TREE_KEY_MAX];
		uint32_t len;

		if (!p || (!touched && t->cache.frame[f].epoch == t->cache.epoch))
			continue;
		if (tpage_count(p)) {
			forget_empty(t, f);
			continue;
		}
		len = get_le16(p + TPAGE_HEAD);
		vs_assert(len && len <= TREE_KEY_MAX);
		memcpy(key, p + TPAGE_HEAD + 2, len);
		locate(t, bytes_of(key, len)); /* a dirty page's path is dirty: it is here (E11) */
		vs_assert(t->path.step[t->path.height - 1].frame == f);
		(void)shrink_from(t, t->path.height - 1);
		t->version++;
	}
}

bool tree_del(struct tree *t, struct bytes key)
{
	const uint8_t *leaf;
	uint32_t slot;
	bool found;

	if (!t->root.height)
		return false;
	locate(t, key);
	leaf = tree_page(t, t->path.step[t->path.height - 1].frame);
	slot = tpage_find(leaf, key, &found);
	if (!found)
		return false;
	path_make_dirty(t);
	tpage_remove(tree_page_dirty(t, t->path.step[t->path.height - 1].frame), slot);
	if (shrink(t, key))
		t->version++;
	else
		changed_in_leaf(t);
	return true;
}

uint8_t *tree_edit(struct tree *t, struct bytes key, size_t *len)
{
	uint8_t *leaf;
	uint32_t slot;
	bool found;

	if (!t->root.height)
		return NULL;
	locate(t, key);
	slot = tpage_find(tree_page(t, t->path.step[t->path.height - 1].frame), key, &found);
	if (!found)
		return NULL;
	path_make_dirty(t);
	changed_in_leaf(t);
	leaf = tree_page_dirty(t, t->path.step[t->path.height - 1].frame);
	*len = tpage_value(leaf, slot).len;
	return tpage_value_bytes(leaf, slot);
}
