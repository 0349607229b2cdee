/*
 * superblock: the switch from one checkpoint to the next.
 *
 * File "super": four slots of 4096 bytes.  Generation g goes to the slots
 * (g % 2) and (g % 2) + 2, written together and synced, so that one damaged
 * slot loses nothing (F61) and a crash while writing leaves both copies of
 * generation g - 1.  Opening takes the valid slot with the highest generation.
 *
 * Slot format (little-endian):
 *    0 "VERISTOR"   8 u32 format version  12 u32 incompatible feature bits
 *   16 u64 cluster id  24 u32 chunk bytes  28 u32 segment bytes
 *   32 u64 generation  40 u64 applied index  48 u64 term
 *   56 u32 flags (1: closed in order)  60 u32 bitmap pages
 *   64 log position: u64 segment, u32 off, u32 prev_crc, u64 index, u64 term,
 *      u64 next segment id
 *  104 tree: u64 file pages, u64 used pages, u64 root page, u64 root sum,
 *      u32 height, u32 0
 *  144 counters: u64 objects, keys, chunks, live bytes, garbage contents,
 *      state hash
 *  192 u64 time made (ns)  200 u64 time of this checkpoint (ns)
 *  208 last scrub: u64 pages, records, chunks, bytes, errors, finished (ns)
 * 2816 segment table (segtable.h): u32 count, u32 0, u64 sum
 *  256 bitmap page references, 16 bytes each: u64 page, u64 sum
 * 4088 u64 XXH3-64 of bytes 0..4087
 *
 * Thread rule: pure but for read and write, which need the caller to be alone.
 */
#ifndef VS_ENGINE_SUPERBLOCK_H
#define VS_ENGINE_SUPERBLOCK_H

#include "engine/base/env.h"
#include "engine/log.h"
#include "engine/segtable.h"
#include "engine/tree.h"

#define SUPERBLOCK_BYTES 4096u
#define SUPERBLOCK_SLOTS 4u
#define SUPERBLOCK_FORMAT 1u
#define SUPERBLOCK_FILE "super"

/* Replicated counters; every replica has the same at the same index. */
struct superblock_counters {
	uint64_t objects, keys, chunks, live_bytes, garbage_contents, state_hash;
};

struct superblock_scrub {
	uint64_t pages, records, chunks, bytes, errors, finished_ns;
};

struct superblock {
	uint64_t cluster_id;
	uint32_t chunk_bytes, segment_bytes;
	uint64_t generation, applied_index, term;
	bool clean;
	struct log_position log;
	struct tree_image tree; /* gen = generation */
	struct superblock_counters counters;
	uint64_t made_ns, checkpoint_ns;
	struct superblock_scrub scrub;
	struct segtable_ref segments;
};

void superblock_encode(const struct superblock *sb, uint8_t out[SUPERBLOCK_BYTES]);
/* VS_ERR_CORRUPT_SUPER; VS_ERR_NEWER_FORMAT when it is valid but not for this program. */
enum vs_err VS_MUST_USE superblock_decode(const uint8_t in[SUPERBLOCK_BYTES],
					  struct superblock *out);

/*
 * The newest valid slot of file f.  *valid = how many slots were valid.
 * VS_ERR_CORRUPT_SUPER: none is; VS_ERR_NEWER_FORMAT; VS_ERR_IO_READ.
 */
enum vs_err VS_MUST_USE superblock_read(struct env *env, struct env_file *f, struct superblock *out,
					uint32_t *valid);
/* Write both slots of sb->generation and sync.  VS_ERR_IO_WRITE, _IO_SYNC. */
enum vs_err VS_MUST_USE superblock_write(struct env *env, struct env_file *f,
					 const struct superblock *sb);

#endif
