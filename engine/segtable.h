/*
 * segtable: the segment table of a checkpoint: which segments the log and the
 * live data occupy, and how much of each is live.  Local to a replica.
 *
 * Files "segments.0" and "segments.1": generation g goes to the file g % 2,
 * twice, each copy starting at a multiple of 4096, so that one damaged copy
 * loses nothing (F61).  It is written and synced before the superblock that
 * names it by count and checksum.
 *
 * Copy format (little-endian): per segment 48 bytes: u64 id, u32 slot, u8 kind,
 * u8 state, u16 0, u64 first index, u64 last index, u32 used bytes, u32 live
 * count, u64 live bytes.  The checksum is XXH3-64 over all of them.
 *
 * Thread rule: the caller is alone.
 */
#ifndef VS_ENGINE_SEGTABLE_H
#define VS_ENGINE_SEGTABLE_H

#include "engine/base/env.h"
#include "engine/log.h"

#define SEGTABLE_ENTRY 48u

struct segtable_ref {
	uint32_t count;
	uint64_t sum;
};

/* Make both files of a new store; their names become durable with the directory.  VS_ERR_NOSPC,
 * _IO_*. */
enum vs_err VS_MUST_USE segtable_create(struct env *env);
/* Write and sync the table of generation gen; *ref for the superblock.  VS_ERR_NOSPC, _IO_*,
 * _NOMEM. */
enum vs_err VS_MUST_USE segtable_write(struct env *env, uint64_t gen,
				       const struct log_segment *segs, uint32_t count,
				       struct segtable_ref *ref);
/*
 * Read it back into a heap array (*out, NULL when empty) that the caller
 * frees.  VS_ERR_CORRUPT_SUPER: neither copy verifies.
 */
enum vs_err VS_MUST_USE segtable_read(struct env *env, uint64_t gen, struct segtable_ref ref,
				      struct log_segment **out);

#endif
