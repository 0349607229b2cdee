/*
 * env_mem: an environment in memory, deterministic from its seed, whose disk
 * forgets, tears, fails and fills up on request.  Not for production.
 *
 * Disk model.  Every file has a live image (what reads see) and a durable one
 * (what a crash leaves).  A write makes 4 KiB blocks dirty; sync copies the
 * dirty blocks and the size.  A crash decides for each dirty block whether it
 * reached the disk; a block written several times since its last sync may
 * also be there in one of its three latest earlier versions; a torn block has
 * each of its 512-byte sectors old or new.  Two things besides blocks are
 * decided by a crash:
 *   - an unsynced size change by truncate or allocate.  While a cut is not on
 *     disk, blocks written behind it are not either (they were allocated
 *     after it).  An append makes the file as long as its last kept block.
 *   - the names.  Create, unlink, rename and mkdir survive as a prefix of
 *     their order in each directory; dir_sync makes those of its directory
 *     durable, and what they depend on.  Syncing a file does not make its name
 *     durable.
 * A surviving name whose file was never synced shows a file of the kept blocks.
 *
 * Names are "file" or "dir/file".
 *
 * Thread rule: env operations and everything here may be called from any
 * thread (one mutex); crash, clone and free need the callers to be quiet.
 * With several threads the order of calls decides, so only one thread gives
 * the same run from the same seed.
 */
#ifndef VS_TESTS_ENV_MEM_H
#define VS_TESTS_ENV_MEM_H

#include "engine/base/env.h"

#define ENV_MEM_BLOCK 4096u
#define ENV_MEM_SECTOR 512u
#define ENV_MEM_NAME_MAX 63u

struct env_mem;

struct env_mem *env_mem_new(uint64_t seed);
void env_mem_free(struct env_mem *m);

/* Borrowed; lives as long as m. */
struct env *env_mem_env(struct env_mem *m);

/*
 * A copy of everything, faults and random state included, without the open
 * files and the lock.  Cheap: contents are shared until written.
 */
struct env_mem *env_mem_clone(struct env_mem *m);

/* --- crash */

enum env_mem_crash {
	ENV_MEM_LOSE,   /* everything unsynced is gone */
	ENV_MEM_KEEP,   /* everything reached the disk */
	ENV_MEM_BLOCKS, /* random blocks, size changes and name prefixes */
	ENV_MEM_TORN,   /* the same, and half of the kept blocks are torn */
	ENV_MEM_MASK,   /* seed is a mask: bit i keeps unsynced block i (i < 64) */
};

/*
 * Power loss and restart: open files become invalid (every call on them gives
 * VS_ERR_STOPPED; closing them is allowed), the lock is free, pending faults
 * are cleared.  ENV_MEM_MASK keeps all names.
 */
void env_mem_crash(struct env_mem *m, enum env_mem_crash mode, uint64_t seed);

/* Keep the unsynced blocks in mask and the first `names` name operations. */
void env_mem_crash_mask(struct env_mem *m, uint64_t mask, uint32_t names);

/*
 * What is unsynced: blocks (each unsynced size change counts as one, before
 * the blocks of its file; files in order of creation) and name operations.
 */
uint32_t env_mem_unsynced_blocks(struct env_mem *m);
uint32_t env_mem_unsynced_names(struct env_mem *m);

/* --- faults */

enum env_mem_io {
	ENV_MEM_WRITE = 1,
	ENV_MEM_SYNC = 2,
	ENV_MEM_ALLOCATE = 4,
	ENV_MEM_TRUNCATE = 8,
	ENV_MEM_RENAME = 16,
	ENV_MEM_UNLINK = 32,
	ENV_MEM_DIR_SYNC = 64,
	ENV_MEM_CREATE = 128, /* an open that creates, and mkdir */
	ENV_MEM_READ = 256,
	ENV_MEM_CHANGES = 255, /* the default: all but reads */
};

enum env_mem_fail {
	ENV_MEM_FAIL_NONE,
	ENV_MEM_FAIL_ONCE,  /* this call fails with the error of its kind */
	ENV_MEM_FAIL_ON,    /* this one and all later ones */
	ENV_MEM_FAIL_NOSPC, /* this call gives VS_ERR_NOSPC (reads, syncs: as ONCE) */
	ENV_MEM_FAIL_POWER, /* from here on every call gives VS_ERR_STOPPED */
};

/*
 * The k-th counted call from now (1 is the next) fails as kind says; k = 0
 * clears.  A failing write leaves a random part written; a failing sync
 * writes a random proper subset and marks the rest clean although it is not
 * on disk (what Linux does, see env.h);
 * at FAIL_POWER the call may or may not have had its (unsynced) effect.
 */
void env_mem_fail_at(struct env_mem *m, uint64_t k, enum env_mem_fail kind);

/* Which calls count for fail_at and io_count (enum env_mem_io). */
void env_mem_fail_mask(struct env_mem *m, int mask);

/* Counted calls since the start. */
uint64_t env_mem_io_count(struct env_mem *m);

/* True after FAIL_POWER until the crash. */
bool env_mem_is_off(struct env_mem *m);

/* Allocate and writes to new blocks beyond this many bytes fail; 0 = no limit. */
void env_mem_set_capacity(struct env_mem *m, uint64_t bytes);

/* Called before each sync, with no lock held: may block (a hanging disk). */
void env_mem_set_sync_hook(struct env_mem *m, void (*hook)(void *arg, const char *name), void *arg);

/* --- damage; false when there is no such name (or byte) */

/* Damage at rest, in both images. */
bool env_mem_flip(struct env_mem *m, const char *name, uint64_t off, uint8_t xor);

/* The next write to name reports success and writes nothing. */
bool env_mem_lose_next(struct env_mem *m, const char *name);

/* The next write to name goes delta bytes away from where it should. */
bool env_mem_misdirect_next(struct env_mem *m, const char *name, int64_t delta);

/* Raw access to contents: peek returns how many bytes there are; poke is durable. */
size_t env_mem_peek(struct env_mem *m, const char *name, void *buf, size_t len, uint64_t off);
bool env_mem_poke(struct env_mem *m, const char *name, const void *buf, size_t len, uint64_t off);

/* --- looking */

/* Every file in order of creation of its name; each must not call env_mem. */
void env_mem_each_file(struct env_mem *m, void (*each)(void *arg, const char *name, uint64_t size),
		       void *arg);

struct env_mem_stats {
	uint64_t writes, bytes_written, syncs; /* calls that succeeded */
};

/* Of one file, or of all that ever were when name is NULL. */
bool env_mem_stats(struct env_mem *m, const char *name, struct env_mem_stats *out);

/* Both clocks move only here.  They start at 1 s and 1600000000 s. */
void env_mem_advance(struct env_mem *m, uint64_t ns);

#endif
