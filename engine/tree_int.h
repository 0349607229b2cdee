/*
 * tree_int: what the files of the tree share.  Not for others.
 *
 * tree.c opens, reads, reserves and pins; tree_change.c changes the working
 * root; tree_ckpt.c makes checkpoints and verifies; tree_check.c asserts.
 *
 * Thread rule: as in tree.h.
 */
#ifndef VS_ENGINE_TREE_INT_H
#define VS_ENGINE_TREE_INT_H

#include "engine/base/assert.h"
#include "engine/tree_cache.h"
#include "engine/tree_page.h"
#include "engine/tree_space.h"

#define TREE_HEIGHT_MAX 24u /* a branch has 48 children or more when it first splits */
#define TREE_PINS 16u

/* Steps of a checkpoint, in this order (E17); a failed write ends them for good. */
enum tree_ckpt {
	TREE_CKPT_NONE,
	TREE_CKPT_FROZEN,
	TREE_CKPT_WRITTEN,
	TREE_CKPT_FAILED,
};

struct tree_root {
	struct tree_ref ref; /* page 0 = empty */
	uint32_t height;     /* levels; 0 = empty, 1 = the root is a leaf */
};

struct tree_pin {
	struct tree_root root;
	uint64_t gen; /* 0 = unused */
};

/* From the root (step 0) to a leaf; slot is that of the child, unused in the leaf. */
struct tree_path {
	uint32_t height;
	bool last; /* the leaf is the rightmost */
	struct {
		uint32_t frame, slot;
	} step[TREE_HEIGHT_MAX];
};

struct tree_write {
	uint64_t page;
	uint32_t frame; /* TCACHE_NONE: a bitmap page */
	const uint8_t *bytes;
};

struct tree {
	struct env *env;
	struct env_file *file;
	uint64_t grow_pages;
	struct tree_root root;
	uint64_t gen;     /* of the working root */
	uint64_t version; /* changes with every change of anything resident */
	struct tcache cache;
	struct tspace space;
	struct tspace_chunk *grown[TREE_BITMAP_MAX]; /* from tree_grow_file to _done */

	/* The path of the last touched or changed key; good while version is path_version (E18). */
	struct tree_path path;
	uint64_t path_version;

	/* Pages first touched in this epoch: all; not dirty ones; branches. */
	uint32_t touched, touched_old, touched_branch;

	/* Frames with .empty: leaves without cells that tree_sweep is to remove. */
	uint32_t *empty;
	uint32_t empty_count;

	/* The checkpoint under way, and the last one completed (gen 0: none). */
	enum tree_ckpt ckpt;
	struct tree_root frozen_root, done_root;
	uint64_t done_gen;
	struct tree_write *write;
	uint32_t write_count;
	struct tree_ref bitmap[TREE_BITMAP_MAX]; /* of the last frozen one */
	uint32_t bitmap_count;

	struct tree_pin pin[TREE_PINS];
	uint64_t hits, misses, pages_written; /* relaxed atomics */
};

static inline const uint8_t *tree_page(const struct tree *t, uint32_t frame)
{
	return tcache_page(&t->cache, frame);
}

/* E10: only pages of the working generation are written to. */
static inline uint8_t *tree_page_dirty(struct tree *t, uint32_t frame)
{
	vs_assert(t->cache.frame[frame].state == TCACHE_DIRTY); /* E10 */
	return tcache_page(&t->cache, frame);
}

/* The frame of ref, or TCACHE_NONE.  A dirty page is always resident (E11). */
static inline uint32_t tree_lookup(const struct tree *t, struct tree_ref ref)
{
	uint32_t f = tcache_find(&t->cache, ref.page);

	if (f != TCACHE_NONE && t->cache.frame[f].sum == ref.sum)
		return f;
	vs_assert(ref.sum); /* E11 */
	return TCACHE_NONE;
}

/* Where a checkpoint may be taken from: frames that changes never fill. */
static inline uint32_t tree_frames_clean_min(const struct tree *t)
{
	return t->cache.frames / 8 > 16 ? t->cache.frames / 8 : 16;
}

/*
 * Find the path of key in the working root, which is not empty.  VS_ERR_MISS,
 * VS_ERR_CORRUPT_PAGE.  The path is t->path.
 */
enum vs_err VS_MUST_USE tree_locate(struct tree *t, struct bytes key, struct tree_ref *miss);

/*
 * Remove the leaves that deletes left empty because no neighbour was here to
 * inherit their range: another key of the range may have been touched.  Runs
 * where no touch counts any more (before freezing) or, with touched false,
 * leaves alone what was touched in this epoch.  No checkpoint has an empty page.
 */
void tree_sweep(struct tree *t, bool touched);

/* The pins' generations, at most TREE_PINS; returns how many. */
uint32_t tree_pin_gens(const struct tree *t, uint64_t *gens);

#endif
