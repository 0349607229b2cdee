#include "consensus/trail.h"

#include "engine/base/assert.h"

#include <stdlib.h>
#include <string.h>

enum vs_err trail_init(struct trail *t, uint32_t entries_max, uint32_t runs_max)
{
	vs_assert(entries_max > 0 && (entries_max & (entries_max - 1)) == 0);
	vs_assert(runs_max > 0);
	*t = (struct trail){.entries_max = entries_max, .runs_max = runs_max};
	t->meta = calloc(entries_max, sizeof t->meta[0]);
	t->runs = calloc(runs_max, sizeof t->runs[0]);
	if (!t->meta || !t->runs) {
		trail_fini(t);
		return VS_ERR_NOMEM;
	}
	return VS_OK;
}

void trail_fini(struct trail *t)
{
	free(t->meta);
	free(t->runs);
	*t = (struct trail){0};
}

void trail_reset(struct trail *t, uint64_t index, uint64_t term)
{
	t->base_index = index;
	t->base_term = term;
	t->last = index;
	t->run_count = 0;
	vs_assert(trail_last_term(t) == term);
}

bool trail_room(const struct trail *t, uint64_t term)
{
	if (t->last - t->base_index >= t->entries_max)
		return false;
	return t->run_count < t->runs_max || t->runs[t->run_count - 1].term == term;
}

void trail_append(struct trail *t, uint64_t term, uint32_t type, uint32_t len)
{
	vs_assert(trail_room(t, term));
	vs_assert(term >= trail_last_term(t)); /* C4 */
	vs_assert(len <= TRAIL_LEN_MAX && type <= TRAIL_TYPE_MAX);
	t->last++;
	t->meta[t->last & (t->entries_max - 1)] = type << 28 | len;
	if (t->run_count == 0 || t->runs[t->run_count - 1].term != term)
		t->runs[t->run_count++] = (struct trail_run){t->last, term};
}

void trail_truncate(struct trail *t, uint64_t index)
{
	vs_assert(index > t->base_index);
	vs_assert(index <= t->last + 1);
	t->last = index - 1;
	while (t->run_count > 0 && t->runs[t->run_count - 1].first > t->last)
		t->run_count--;
}

/* The run that holds index; needs base_index < index <= last. */
static uint32_t run_of(const struct trail *t, uint64_t index)
{
	uint32_t lo = 0, hi = t->run_count;

	vs_assert(index > t->base_index && index <= t->last);
	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (t->runs[mid].first <= index)
			lo = mid;
		else
			hi = mid;
	}
	vs_assert(t->runs[lo].first <= index);
	return lo;
}

void trail_compact(struct trail *t, uint64_t index)
{
	uint32_t run;

	vs_assert(index <= t->last);
	if (index <= t->base_index)
		return;
	run = run_of(t, index);
	t->base_term = t->runs[run].term;
	t->base_index = index;
	/* The run that goes on after the base starts right after it now. */
	if (index == t->last || (run + 1 < t->run_count && t->runs[run + 1].first == index + 1))
		run++;
	else
		t->runs[run].first = index + 1;
	t->run_count -= run;
	memmove(t->runs, t->runs + run, t->run_count * sizeof t->runs[0]);
	vs_assert(t->last == index || t->runs[0].first == index + 1);
}

bool trail_has(const struct trail *t, uint64_t index)
{
	return index >= t->base_index && index <= t->last;
}

bool trail_match(const struct trail *t, uint64_t index, uint64_t term)
{
	return trail_has(t, index) && trail_term(t, index) == term;
}

uint64_t trail_term(const struct trail *t, uint64_t index)
{
	vs_assert(trail_has(t, index));
	return index == t->base_index ? t->base_term : t->runs[run_of(t, index)].term;
}

uint32_t trail_type(const struct trail *t, uint64_t index)
{
	vs_assert(index > t->base_index && index <= t->last);
	return t->meta[index & (t->entries_max - 1)] >> 28;
}

uint32_t trail_len(const struct trail *t, uint64_t index)
{
	vs_assert(index > t->base_index && index <= t->last);
	return t->meta[index & (t->entries_max - 1)] & TRAIL_LEN_MAX;
}

uint64_t trail_last_term(const struct trail *t)
{
	return t->run_count ? t->runs[t->run_count - 1].term : t->base_term;
}

uint64_t trail_find_term(const struct trail *t, uint64_t limit, uint64_t term)
{
	uint32_t run;

	if (limit > t->last)
		limit = t->last;
	if (limit <= t->base_index)
		return t->base_index;
	run = run_of(t, limit);
	while (t->runs[run].term > term) {
		if (run == 0)
			return t->base_index;
		limit = t->runs[run].first - 1;
		run--;
	}
	vs_assert(trail_term(t, limit) <= term);
	return limit;
}

void trail_check(const struct trail *t)
{
	uint64_t index = t->base_index, term = t->base_term;

	vs_assert(t->last >= t->base_index && t->last - t->base_index <= t->entries_max);
	vs_assert(t->run_count <= t->runs_max);
	vs_assert((t->run_count == 0) == (t->last == t->base_index));
	for (uint32_t i = 0; i < t->run_count; i++) {
		vs_assert(i ? t->runs[i].first > index : t->runs[i].first == index + 1);
		vs_assert(i ? t->runs[i].term > term : t->runs[i].term >= term); /* C4 */
		index = t->runs[i].first;
		term = t->runs[i].term;
	}
	vs_assert(index <= t->last);
}
