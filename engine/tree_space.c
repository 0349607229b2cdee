#include "engine/tree_space.h"

#include "engine/base/assert.h"

#include <stdlib.h>

static uint64_t *used_word(struct tspace *s, uint64_t page)
{
	return &s->chunk[page / TPAGE_BITS]->used[page % TPAGE_BITS / 64];
}

static uint64_t bit(uint64_t page)
{
	return 1ull << (page % 64); /* TPAGE_BITS is a multiple of 64 */
}

static struct tspace_dead *dead_at(struct tspace *s, uint64_t i)
{
	return &s->chunk[i / TPAGE_BITS]->dead[i % TPAGE_BITS];
}

void tspace_fini(struct tspace *s)
{
	for (uint32_t i = 0; i < TREE_BITMAP_MAX; i++)
		free(s->chunk[i]);
	*s = (struct tspace){0};
}

enum vs_err tspace_new_chunks(uint64_t file_pages, uint64_t pages, struct tspace_chunk **out)
{
	uint32_t from = tspace_chunks(file_pages), to = tspace_chunks(pages);

	vs_assert(pages > file_pages && pages <= TSPACE_PAGES_MAX);
	for (uint32_t i = from; i < to; i++) {
		struct tspace_chunk *c = malloc(sizeof *c);

		if (!c) {
			while (i-- > from) {
				free(out[i]);
				out[i] = NULL;
			}
			return VS_ERR_NOMEM;
		}
		memset(c->used, 0xff, sizeof c->used);
		memset(c->live, 0, sizeof c->live);
		c->changed = true;
		out[i] = c;
	}
	return VS_OK;
}

void tspace_extend(struct tspace *s, uint64_t pages, struct tspace_chunk **chunks)
{
	uint64_t from = s->file_pages ? s->file_pages : 1;

	vs_assert(pages > s->file_pages && pages <= TSPACE_PAGES_MAX);
	for (uint32_t i = tspace_chunks(s->file_pages); i < tspace_chunks(pages); i++) {
		vs_assert(chunks[i] && !s->chunk[i]);
		s->chunk[i] = chunks[i];
		chunks[i] = NULL;
	}
	for (uint64_t p = from; p < pages; p++)
		*used_word(s, p) &= ~bit(p);
	s->file_pages = pages;
}

enum vs_err tspace_load(struct tspace *s, uint32_t index)
{
	struct tspace_chunk *c = s->chunk[index];
	uint64_t count = 0;

	for (uint32_t w = 0; w < TSPACE_WORDS; w++) {
		uint64_t v = get_le64(c->image + TPAGE_HEAD + 8 * w);

		if (v & c->used[w]) /* before loading: just page 0 and what is behind the file */
			return VS_ERR_CORRUPT_PAGE;
		c->used[w] |= v;
		c->live[w] = v;
		count += (uint64_t)__builtin_popcountll(v);
	}
	c->changed = false;
	s->used += count;
	s->live += count;
	return VS_OK;
}

void tspace_image(struct tspace *s, uint32_t index, uint64_t id, uint64_t gen)
{
	struct tspace_chunk *c = s->chunk[index];

	tpage_init(c->image, TPAGE_BITMAP, 0, id, gen);
	put_le16(c->image + 6, (uint16_t)index);
	for (uint32_t w = 0; w < TSPACE_WORDS; w++)
		put_le64(c->image + TPAGE_HEAD + 8 * w, c->live[w]);
	c->changed = false;
}

uint64_t tspace_free_count(const struct tspace *s)
{
	return s->file_pages - 1 - s->used;
}

bool tspace_is_live(const struct tspace *s, uint64_t page)
{
	return page < s->file_pages &&
	       s->chunk[page / TPAGE_BITS]->live[page % TPAGE_BITS / 64] & bit(page);
}

bool tspace_is_used(const struct tspace *s, uint64_t page)
{
	return page && page < s->file_pages &&
	       s->chunk[page / TPAGE_BITS]->used[page % TPAGE_BITS / 64] & bit(page);
}

static void set_live(struct tspace *s, uint64_t page, bool live)
{
	struct tspace_chunk *c = s->chunk[page / TPAGE_BITS];
	uint64_t *w = &c->live[page % TPAGE_BITS / 64];

	vs_assert(page && page < s->file_pages && !(*w & bit(page)) == live); /* E12 */
	*w ^= bit(page);
	c->changed = true;
	s->live += live ? 1 : UINT64_MAX;
}

uint64_t tspace_alloc(struct tspace *s)
{
	uint64_t words = (s->file_pages + 63) / 64, w = s->hint / 64 % words, page;

	vs_assert(tspace_free_count(s) > 0); /* E16 */
	for (uint64_t n = 0; n <= words; n++, w = w + 1 == words ? 0 : w + 1) {
		uint64_t avail = ~*used_word(s, w * 64);

		if (n == 0 &&
		    s->hint / 64 == w) /* go on behind the hint: neighbours are written as one */
			avail &= ~0ull << (s->hint % 64);
		if (!avail)
			continue;
		page = w * 64 + (uint64_t)__builtin_ctzll(avail);
		*used_word(s, page) |= bit(page);
		set_live(s, page, true);
		s->used++;
		s->hint = page + 1;
		return page;
	}
	vs_assert(!"free pages counted but not found");
	return 0;
}

static void clear_used(struct tspace *s, uint64_t page)
{
	uint64_t *w = used_word(s, page);

	vs_assert(page < s->file_pages && *w & bit(page)); /* E12 */
	vs_assert(!tspace_is_live(s, page));
	*w ^= bit(page);
	s->used--;
}

void tspace_free(struct tspace *s, uint64_t page)
{
	set_live(s, page, false);
	clear_used(s, page);
}

void tspace_kill(struct tspace *s, uint64_t page, uint64_t birth, uint64_t death)
{
	vs_assert(birth <= death && s->dead_count < s->file_pages);
	set_live(s, page, false);
	*dead_at(s, s->dead_count++) = (struct tspace_dead){page, birth, death};
}

static bool covered(const struct tspace_dead *d, const uint64_t *pins, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (d->birth <= pins[i] && pins[i] < d->death)
			return true;
	return false;
}

void tspace_release(struct tspace *s, uint64_t gen, const uint64_t *pins, uint32_t n)
{
	uint64_t kept = 0;

	for (uint64_t i = 0; i < s->dead_count; i++) {
		struct tspace_dead *d = dead_at(s, i);

		if (d->death <= gen && !covered(d, pins, n))
			clear_used(s, d->page); /* E12 */
		else
			*dead_at(s, kept++) = *d;
	}
	s->dead_count = kept;
}

void tspace_check(const struct tspace *s)
{
	uint64_t used = 0, live = 0;

	for (uint64_t p = 1; p < s->file_pages; p++) {
		used += tspace_is_used(s, p);
		live += tspace_is_live(s, p);
		vs_assert(!tspace_is_live(s, p) || tspace_is_used(s, p));
	}
	vs_assert(used == s->used && live == s->live);
	vs_assert(s->used == s->live + s->dead_count); /* E12 */
	for (uint64_t i = 0; i < s->dead_count; i++) {
		const struct tspace_dead *d = &s->chunk[i / TPAGE_BITS]->dead[i % TPAGE_BITS];

		vs_assert(tspace_is_used(s, d->page) && !tspace_is_live(s, d->page)); /* E12 */
	}
}
