/*
 * trail: what the core knows of the log: term, type and length of the entries
 * after a base, no payloads.
 *
 * The base is the last entry before the first one held: a compaction point, a
 * snapshot, or (0, 0).  Terms are kept as runs (first index, term), because
 * terms change rarely (idea: cowsql/raft src/trail.h); type and length take
 * four bytes per entry, in a ring.
 *
 *     base          runs: (b+1, 3)        (b+4, 5)
 *      |   b+1  b+2  b+3   b+4  b+5 ... last
 *
 * Bounds: entries_max entries and runs_max runs, both fixed and allocated by
 * trail_init; trail_room says whether an entry of a term still fits.
 *
 * Invariants (C4): terms never fall with rising index; runs are not empty.
 *
 * Thread rule: pure; one owner.
 */
#ifndef VS_CONSENSUS_TRAIL_H
#define VS_CONSENSUS_TRAIL_H

#include "engine/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define TRAIL_LEN_MAX ((1u << 28) - 1) /* bytes of one entry */
#define TRAIL_TYPE_MAX 15u

struct trail_run {
	uint64_t first; /* index of the first entry of the run */
	uint64_t term;
};

struct trail {
	uint64_t base_index, base_term;
	uint64_t last;  /* index of the last entry; base_index when empty */
	uint32_t *meta; /* entry i at i & (entries_max - 1): type << 28 | len */
	uint32_t entries_max;
	struct trail_run *runs; /* rising */
	uint32_t run_count, runs_max;
};

/* entries_max is a power of two; both at least 1.  VS_ERR_NOMEM. */
enum vs_err VS_MUST_USE trail_init(struct trail *t, uint32_t entries_max, uint32_t runs_max);
void trail_fini(struct trail *t);

/* Forget all entries; the next one has index + 1. */
void trail_reset(struct trail *t, uint64_t index, uint64_t term);

/* True when an entry of that term can be appended. */
bool trail_room(const struct trail *t, uint64_t term);

/* Append at last + 1.  Needs trail_room and term at least that of the last entry. */
void trail_append(struct trail *t, uint64_t term, uint32_t type, uint32_t len);

/* Drop entries from index (above the base) to the end. */
void trail_truncate(struct trail *t, uint64_t index);

/* Move the base up to index, which is at most last. */
void trail_compact(struct trail *t, uint64_t index);

/* True when the term of index is known: base_index <= index <= last. */
bool trail_has(const struct trail *t, uint64_t index);

/* True when (index, term) is the base or an entry of the trail. */
bool trail_match(const struct trail *t, uint64_t index, uint64_t term);

/* Needs trail_has(index). */
uint64_t trail_term(const struct trail *t, uint64_t index);

/* Need base_index < index <= last. */
uint32_t trail_type(const struct trail *t, uint64_t index);
uint32_t trail_len(const struct trail *t, uint64_t index);

uint64_t trail_last_term(const struct trail *t);

/*
 * Largest index <= limit whose term is <= term, or base_index if there is
 * none: where two logs can agree at best (F22).  A limit beyond last counts
 * as last, one below the base as the base.
 */
uint64_t trail_find_term(const struct trail *t, uint64_t limit, uint64_t term);

/* Assert the invariants. */
void trail_check(const struct trail *t);

#endif
