/*
 * store_int: what the files of the store share.  Private to engine/store*.c.
 *
 * Locks, in order: `ckpt` (a flag, not a lock: one checkpoint or cleaning
 * switch at a time), `lock` (tree, counters, pins), then the log's own mutex.
 * None is held across I/O.
 */
#ifndef VS_ENGINE_STORE_INT_H
#define VS_ENGINE_STORE_INT_H

#include "engine/base/thread.h"
#include "engine/store.h"
#include "engine/superblock.h"

#include <stdatomic.h>

/* Value of a 'C' key: u64 segment, u32 offset, u32 0 (local to the replica),
 * then u32 length, u32 references, one CRC32C for each block of 4096. */
#define CHUNK_LOCAL 16u
#define CHUNK_FIXED 24u
#define CHUNK_VALUE_MAX (CHUNK_FIXED + 4u * ((4u << 20) / CHECKSUM_BLOCK))

_Static_assert(CHUNK_VALUE_MAX <= TREE_VALUE_MAX, "the largest chunk's record fits a page");

struct chunk_record {
	struct log_place place;
	uint32_t len, refs;
	const uint8_t *table;
};

struct store {
	struct env *env;
	struct env_file *super;
	uint64_t cluster_id;
	uint32_t chunk_bytes, segment_bytes;
	uint64_t cache_bytes, started_ns, made_ns;
	bool read_only;
	_Atomic enum vs_err stopped;

	struct rwlock lock;
	struct tree *tree; /* the pointer is fixed after open; what it holds is under lock */
	struct log *log;
	struct superblock_counters counters GUARDED_BY(lock);
	uint64_t applied GUARDED_BY(lock);
	uint64_t term;                           /* fixed after open */
	uint64_t since_records GUARDED_BY(lock); /* since the last checkpoint: */
	uint64_t since_meta GUARDED_BY(lock);
	uint64_t since_bytes GUARDED_BY(lock);
	uint64_t freed_bytes GUARDED_BY(lock); /* ever, by references dropped to none */
	uint32_t pins GUARDED_BY(lock);

	struct mutex ckpt_mutex;
	struct cond ckpt_cond;
	bool ckpt_busy GUARDED_BY(ckpt_mutex);
	uint64_t ckpt_done GUARDED_BY(ckpt_mutex); /* how many finished */
	struct superblock super_now; /* last durable one; owner of the ckpt flag only */
	_Atomic uint64_t ckpt_index, ckpt_generation, ckpt_ns, ckpt_at_ns;
	_Atomic uint64_t relief_freed; /* freed_bytes at the last vain relief, + 1 */

	struct mutex id_mutex;
	uint64_t id_next GUARDED_BY(id_mutex), id_end GUARDED_BY(id_mutex);

	struct mutex scrub_mutex;
	struct store_scrub_result scrub GUARDED_BY(scrub_mutex);
	_Atomic uint64_t corrupt_chunks;
};

struct store_pin {
	struct tree_pin *pin;
	uint64_t index;
};

/* --- store.c --- */

/* Record that the device failed; returns err. */
enum vs_err store_stop(struct store *s, enum vs_err err);
/*
 * Stop if err says that the device failed; returns err.  A failed read does
 * not: nothing that was acknowledged depends on it.
 */
enum vs_err store_judge(struct store *s, enum vs_err err);
/* Bring a missing page into the cache; no lock held. */
enum vs_err VS_MUST_USE store_fault(struct store *s, struct tree_ref miss);
/*
 * After an answer of VS_ERR_MISS, _BUSY or _NOSPC from tree or log under the
 * lock, and the lock released: do what helps.  VS_OK: try again.
 */
enum vs_err VS_MUST_USE store_help(struct store *s, enum vs_err why, struct tree_ref miss,
				   bool *relieved);
uint64_t store_tree_reserve(const struct store *s, bool use_reserve);

/* --- store_apply.c --- */

enum vs_err VS_MUST_USE chunk_decode(struct bytes v, struct chunk_record *out);

/*
 * Conditions and feasibility of a transaction that would become entry index;
 * makes all its keys resident.  VS_OK, _COND (*failed), _MISS (*miss), _BUSY,
 * _NOSPC, _CORRUPT_VALUE; VS_ERR_EXIST: (session, sequence) was applied as
 * *first_index.
 */
enum vs_err VS_MUST_USE store_evaluate(struct store *s, struct bytes meta, uint64_t index,
				       uint32_t data_len, bool use_reserve, uint32_t *failed,
				       struct tree_ref *miss, uint64_t *first_index)
	REQUIRES(s->lock);
/* Carry it out; store_evaluate said yes under this lock hold. */
void store_apply(struct store *s, const struct log_record *rec) REQUIRES(s->lock);

/* --- store_ckpt.c --- */

void store_ckpt_acquire(struct store *s);
void store_ckpt_release(struct store *s);
/* With the ckpt flag held. */
enum vs_err VS_MUST_USE store_ckpt_locked(struct store *s, bool clean,
					  struct store_checkpoint_result *out);
bool store_ckpt_due(struct store *s);
/*
 * Make frames of the tree writable again: wait for the checkpoint under way,
 * or take one.
 */
enum vs_err VS_MUST_USE store_ckpt_relieve(struct store *s);

/* --- store_clean.c --- */

/*
 * Clean one segment when it is worth it (or for space's sake when force is
 * set).  *cleaned = segments emptied, *moved = bytes copied.
 */
enum vs_err VS_MUST_USE store_clean_step(struct store *s, bool force, uint64_t *cleaned,
					 uint64_t *moved);
/* Read and verify a whole chunk by its record's place; buf has room for len. */
enum vs_err VS_MUST_USE store_chunk_verify(struct store *s, uint64_t index, uint32_t data_off,
					   const struct chunk_record *c, uint8_t *buf);

#endif
