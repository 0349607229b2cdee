/*
 * store: one replica's state: log + tree, transactions in, values out.
 *
 * What it is: the facade of the engine.  It evaluates and applies transactions
 * in log order, keeps large values in the log and everything else in the
 * tree, takes checkpoints, recovers, cleans segments and accounts for space.
 *
 * What it is not: it does not know files (object.h does) and starts no
 * threads: store_maintain does background work in the calling thread.
 *
 * Thread rule: thread-safe unless said otherwise.
 *
 * On a group of one a transaction is evaluated, ordered and applied in the
 * proposing thread; it is then visible and, when store_propose returned, in
 * the kernel (survives kill -9).  Durable is what store_sync waits for.
 *
 * Files of a store (names in the env): "lock", "super" (superblock.h), "tree"
 * (tree.h), "log/" (log.h).  Socket and log files of the daemon lie beside.
 */
#ifndef VS_ENGINE_STORE_H
#define VS_ENGINE_STORE_H

#include "engine/base/env.h"
#include "engine/log.h"
#include "engine/txn.h"

struct store;
struct store_pin;

struct store_config {
	struct env *env;        /* outlives the store */
	uint64_t cache_bytes;   /* tree cache */
	uint32_t chunk_bytes;   /* new stores only: 64 KiB..4 MiB, power of two; 0 = 1 MiB */
	uint32_t segment_bytes; /* new stores only: 0 = 64 MiB, less on a small disk; at least 4
				   chunks */
	bool create;            /* make a new store when the directory holds none */
	bool read_only;         /* reserved for offline tools: nothing is written */
};

#define STORE_CACHE_DEFAULT (128u << 20)
#define STORE_CHUNK_DEFAULT (1u << 20)
#define STORE_SEGMENT_DEFAULT (64u << 20)

/* What opening found, for the log line. */
struct store_report {
	bool created;
	bool clean;        /* the last run ended in order */
	uint64_t replayed; /* records behind the checkpoint */
	struct log_report log;
	char text[256]; /* one sentence when opening failed */
};

/*
 * Open (and recover) or create the store.  VS_ERR_LOCKED, _NOT_STORE,
 * _NEWER_FORMAT, _CONFIG, _CORRUPT_*, _NOSPC, _IO_*, _NOMEM; report->text
 * says what, where and what to do.
 */
enum vs_err VS_MUST_USE store_open(const struct store_config *config, struct store_report *report,
				   struct store **out);
/*
 * Sync, take a last checkpoint, close.  Errors are reported, the memory is
 * freed anyway.
 */
enum vs_err store_close(struct store *s);

/* --- transactions ---------------------------------------------------------- */

struct store_result {
	uint64_t index;       /* of the entry: wait for it with store_sync */
	uint32_t failed_item; /* VS_ERR_COND: which item, counted from 0 */
};

/*
 * Evaluate and, when the conditions hold, order, apply and write the
 * transaction.  The state changed when and only when VS_OK is returned, except
 * that after VS_ERR_STOPPED and _IO_WRITE the process must end (restart tells).
 * VS_ERR_COND, _NOSPC, _TOOBIG, _NOMEM, _STOPPED.
 *
 * A lazy transaction (t->lazy, without data) is visible but only queued: it is
 * written with the next one that is not, or with the next sync.
 */
enum vs_err VS_MUST_USE store_propose(struct store *s, const struct txn *t,
				      struct store_result *out);

/*
 * The most changes (t->changes) one transaction may have: they must fit the
 * tree cache together.  2730 with the default cache, 21 with the smallest.
 */
uint32_t store_changes_max(struct store *s);

/* Durability; see log_sync and log_sync_async. */
enum vs_err VS_MUST_USE store_sync(struct store *s, uint64_t index);
void store_sync_async(struct store *s, struct log_waiter *w);
uint64_t store_last_index(struct store *s);
uint64_t store_synced_index(struct store *s);

/*
 * count fresh ids, never given out before (also not before a crash); they are
 * consecutive.  VS_ERR_NOSPC, _STOPPED.
 */
enum vs_err VS_MUST_USE store_new_ids(struct store *s, uint32_t count, uint64_t *first);

/* --- reading --------------------------------------------------------------- */

/*
 * Copy the value of key to buf (at most cap bytes; *len is its whole length).
 * VS_ERR_NOENT, _CORRUPT_PAGE, _IO_READ.
 */
enum vs_err VS_MUST_USE store_get(struct store *s, const struct key *k, void *buf, size_t cap,
				  size_t *len);

/*
 * Call each(arg, key, value) for the entries with first <= key and prefix
 * `prefix` in key order until it returns false.  In the working state
 * (pin NULL) entries changed meanwhile may or may not show their change; each
 * must be quick, must not call the store, and its pointers die when it
 * returns.  The store lock is shared meanwhile.  VS_ERR_CORRUPT_PAGE, _IO_READ.
 */
typedef bool (*store_scan_fn)(void *arg, struct bytes key, struct bytes value);
enum vs_err VS_MUST_USE store_scan(struct store *s, const struct store_pin *pin,
				   const struct key *prefix, const struct key *first,
				   store_scan_fn each, void *arg);

/*
 * Read len bytes at byte off of chunk (index, data_off) into buf, verified
 * against the checksums in the tree.  off is a multiple of 4096; so is len
 * unless it ends at the chunk's end.  VS_ERR_NOENT, VS_ERR_CORRUPT_CHUNK (also
 * counted and kept for status), VS_ERR_IO_READ.
 */
enum vs_err VS_MUST_USE store_chunk_read(struct store *s, uint64_t index, uint32_t data_off,
					 uint32_t off, void *buf, uint32_t len);

/* Pin all state as of the last checkpoint (taken now when fresh is set). */
enum vs_err VS_MUST_USE store_pin(struct store *s, bool fresh, struct store_pin **out);
void store_unpin(struct store *s, struct store_pin *pin);
uint64_t store_pin_index(const struct store_pin *pin);

/* --- background ------------------------------------------------------------- */

/*
 * Do what is due: prepare segments, checkpoint, collect garbage contents,
 * clean; one bounded step of each.  Returns true when there is more to do at
 * once.  One thread calls it.
 */
bool store_maintain(struct store *s);
/* Prepare segments only; another thread may call it, so that it never waits for a checkpoint. */
void store_prepare(struct store *s);

struct store_checkpoint_result {
	uint64_t index, bytes_written, bytes_freed, duration_ns;
};
/* Take a checkpoint now and drop what the log no longer needs. */
enum vs_err VS_MUST_USE store_checkpoint(struct store *s, struct store_checkpoint_result *out);

struct store_progress {
	/* done of total in any unit; returning false interrupts (VS_ERR_INTR) */
	bool (*step)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

struct store_gc_result {
	uint64_t contents, chunks_freed, bytes_freed, segments_cleaned, bytes_moved, leaked_chunks;
};
/*
 * Collect everything collectable now: garbage contents, leaked chunks (mark
 * and sweep over a pinned root), and clean segments until the rest is worth
 * keeping.
 */
enum vs_err VS_MUST_USE store_gc(struct store *s, const struct store_progress *p,
				 struct store_gc_result *out);

struct store_scrub_result {
	uint64_t pages, records, chunks, bytes, errors;
	uint64_t finished_real_ns;
	char first_error[160];
};
/* Verify every page, record and chunk on disk.  Damage is counted, not an error of the call. */
enum vs_err VS_MUST_USE store_scrub(struct store *s, const struct store_progress *p,
				    struct store_scrub_result *out);

/* --- figures ------------------------------------------------------------------ */

struct store_space {
	uint64_t total_bytes;               /* used + available */
	uint64_t used_bytes;                /* live data + tree pages */
	uint64_t avail_bytes;               /* what can still be written */
	uint64_t live_bytes, garbage_bytes; /* data in segments */
};
enum vs_err VS_MUST_USE store_space(struct store *s, struct store_space *out);

struct store_stats {
	uint64_t cluster_id;
	uint32_t chunk_bytes, segment_bytes;
	uint64_t term, last_index, synced_index, applied_index, checkpoint_index;
	uint64_t checkpoints, last_checkpoint_ns, generation;
	uint64_t objects; /* object records: inodes */
	uint64_t keys, chunks, live_bytes, garbage_bytes;
	uint64_t garbage_contents;
	uint64_t state_hash;
	uint64_t corrupt_chunks; /* found by reads since start */
	uint64_t uptime_ns;
	enum vs_err stopped;
	struct tree_stats tree;
	struct log_stats log;
	struct store_scrub_result scrub; /* last one */
};
void store_stats(struct store *s, struct store_stats *out);

/* The environment's wall clock. */
uint64_t store_now_ns(struct store *s);

#endif
