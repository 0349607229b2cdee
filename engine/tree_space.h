/*
 * tree_space: which positions of the file are used, and when the dead ones
 * may be used again.
 *
 * A page id is free, live (the working root uses it), or dead: no longer used
 * by the working root, but a checkpoint has it.  A page born in generation b
 * that died in generation d is part of the checkpoints b .. d-1; it is free
 * again once checkpoint d is durable and no pin p has b <= p < d (E12).  A
 * checkpoint stores the live bits as they are when it is frozen: after a
 * restart there are no pins, and nothing else is used.
 *
 * Memory: one chunk per TPAGE_BITS pages of file, allocated when the file is
 * opened or lengthened; most of a chunk (the list of dead) is never touched.
 *
 * Thread rule: the tree's exclusive lock, except tspace_new_chunks [IO].
 */
#ifndef VS_ENGINE_TREE_SPACE_H
#define VS_ENGINE_TREE_SPACE_H

#include "engine/tree_page.h"

#define TSPACE_PAGES_MAX ((uint64_t)TREE_BITMAP_MAX * TPAGE_BITS)
#define TSPACE_WORDS (TPAGE_BITS / 64)

_Static_assert(TPAGE_BITS % 64 == 0, "bitmap pages hold whole words");

struct tspace_dead {
	uint64_t page, birth, death;
};

struct tspace_chunk {
	uint64_t used[TSPACE_WORDS]; /* live or dead; positions behind the file: set */
	uint64_t live[TSPACE_WORDS];
	bool changed;             /* live differs from the last frozen bitmap page */
	uint8_t image[TREE_PAGE]; /* the bitmap page as frozen last */
	struct tspace_dead dead[TPAGE_BITS];
};

struct tspace {
	struct tspace_chunk *chunk[TREE_BITMAP_MAX];
	uint64_t file_pages;
	uint64_t used, live; /* counts */
	uint64_t hint;       /* where the next search starts */
	uint64_t dead_count; /* entries of the list that runs over all chunks' dead */
};

static inline uint32_t tspace_chunks(uint64_t pages)
{
	return (uint32_t)((pages + TPAGE_BITS - 1) / TPAGE_BITS);
}

void tspace_fini(struct tspace *s);

/*
 * Chunks for a file of `pages` pages, into out[i] for those that a file of
 * file_pages does not have.  VS_ERR_NOMEM (nothing is left allocated).
 */
enum vs_err VS_MUST_USE tspace_new_chunks(uint64_t file_pages, uint64_t pages,
					  struct tspace_chunk **out);
/* Take over those chunks and make the new positions free; position 0 never is. */
void tspace_extend(struct tspace *s, uint64_t pages, struct tspace_chunk **chunks);

/*
 * Mark the pages that the bitmap page in chunk[index]->image says.
 * VS_ERR_CORRUPT_PAGE: a bit for page 0 or behind the file.
 */
enum vs_err VS_MUST_USE tspace_load(struct tspace *s, uint32_t index);
/* Put the live bits into chunk[index]->image as bitmap page id of generation gen. */
void tspace_image(struct tspace *s, uint32_t index, uint64_t id, uint64_t gen);

uint64_t tspace_free_count(const struct tspace *s);
bool tspace_is_live(const struct tspace *s, uint64_t page);
bool tspace_is_used(const struct tspace *s, uint64_t page);

/* A free page becomes live; there is one. */
uint64_t tspace_alloc(struct tspace *s);
/* A live page born in the working generation, on no disk, becomes free. */
void tspace_free(struct tspace *s, uint64_t page);
/* A live page becomes dead. */
void tspace_kill(struct tspace *s, uint64_t page, uint64_t birth, uint64_t death);
/* Free the dead pages with death <= gen that no generation of pins[0..n-1] covers. */
void tspace_release(struct tspace *s, uint64_t gen, const uint64_t *pins, uint32_t n);

void tspace_check(const struct tspace *s); /* asserts that counts and bits agree; slow */

#endif
