/*
 * log: the one ordered log: write-ahead log, Raft log and value log in one,
 * in fixed-size segment files.
 *
 * What it is: the single owner of all segment files (F79).  It orders and
 * writes records, makes them durable with group commit, finds its end after a
 * crash, reads the data of records back, prepares, rolls, adopts and recycles
 * segments.
 *
 * What it is not: it does not know what a record's meta means, nor which data
 * is live; the store tells it (log_segment_live) and decides what to clean.
 *
 * Thread rule: thread-safe; a private mutex that is never held across I/O.
 * It starts no threads: work is done in the calling thread.
 *
 * Files (names are relative to the env): "log/" holds slot files "%08x".  A
 * slot keeps its name for ever; which segment it holds is said by its first
 * block, so that recycling needs no rename (F47).  Segment ids count up and are
 * never used twice (F50).  The bytes of headers and records: record.h.
 *
 * Writing: bytes are written in whole 4 KiB blocks (the tail padded with
 * zeros).  Once a sync began, the next record starts at a fresh block, so a
 * durable block is never rewritten.  synced_index in a record is the last index
 * known durable when it was written.  The last record of a segment is a ROLL
 * that names the next segment, whose header is durable before the ROLL is
 * written (F52).
 *
 * Reading at start, and how a torn tail is told from damage: log_scan.h.
 * After log_open the caller starts a new term with a NOOP record, so that
 * stale records behind the end can never continue the chain.
 *
 * A failed write or sync stops the log for good: every later call returns
 * VS_ERR_STOPPED (F54, F55).  Restart is the recovery.
 */
#ifndef VS_ENGINE_LOG_H
#define VS_ENGINE_LOG_H

#include "engine/base/bytes.h"
#include "engine/base/env.h"

#define LOG_RECORD_HEADER 72u
#define LOG_META_MAX (1u << 20) /* bytes */
#define LOG_DATA_MAX (8u << 20) /* bytes; and a record fits a segment */
#define LOG_SEGMENT_MIN (256u << 10)
#define LOG_SEGMENT_MAX (1u << 30)

enum log_type {
	LOG_NOOP = 1,       /* start of a term */
	LOG_TXN = 2,        /* a transaction (txn.h) */
	LOG_CHECKPOINT = 3, /* replicas checkpoint the state as of this index */
	LOG_ROLL = 4,       /* no index of its own; meta: u64 id of the next segment */
	LOG_VALUE = 5,      /* value segments only: a chunk moved by the cleaner */
};

enum log_kind {
	LOG_KIND_LOG = 1,   /* holds a run of the log */
	LOG_KIND_VALUE = 2, /* written by the cleaner; not part of the log */
};

enum log_state {
	LOG_SEG_FREE,    /* contents are garbage; may be recycled or deleted */
	LOG_SEG_SPARE,   /* prepared: header durable, will be used next */
	LOG_SEG_ACTIVE,  /* records are appended here */
	LOG_SEG_SEALED,  /* full; part of the log */
	LOG_SEG_ADOPTED, /* wholly below the checkpoint; kept for its live data */
};

/* Where the data of a record stands. */
struct log_place {
	uint64_t segment;
	uint32_t off; /* of the first data byte, in the segment file */
};

struct log_segment {
	uint64_t id;
	uint32_t slot;
	uint8_t kind, state;
	uint64_t first_index, last_index; /* of its records; 0, 0 when none */
	uint32_t used_bytes;              /* end of the last record */
	uint64_t live_bytes;              /* data bytes that somebody refers to */
	uint32_t live_count;              /* pieces of data that somebody refers to */
};

/* From where log_open reads on; stored in the superblock. */
struct log_position {
	uint64_t segment;         /* 0: a new, empty log */
	uint32_t off;             /* of the first record not covered by the checkpoint */
	uint32_t prev_crc;        /* chain value before it */
	uint64_t index;           /* last index before it */
	uint64_t term;            /* term of that index */
	uint64_t next_segment_id; /* no id at or above it was given out */
};

struct log_config {
	struct env *env;
	uint64_t cluster_id;
	uint32_t segment_bytes;
	uint32_t reserve_segments; /* spares kept for deletes and cleaning, >= 2 */
	uint32_t keep_free;        /* free segments kept for recycling; more are deleted */
};

struct log_record {
	uint8_t type;
	uint64_t term, index;
	struct bytes meta;
	uint32_t data_len;
	const uint8_t *table;  /* checksum_blocks(data_len) little-endian CRCs */
	struct log_place data; /* where the data stands */
	uint32_t record_off;   /* where the record starts */
};

/* Called in log order for every record that has an index.  Pointers are valid during the call. */
typedef enum vs_err (*log_replay_fn)(void *arg, const struct log_record *rec);

/* What log_open found; filled as far as known on an error, too. */
struct log_report {
	uint64_t records, bytes_scanned;
	uint64_t last_index, last_term, synced_index;
	bool torn_tail;          /* something unacknowledged was dropped */
	uint64_t damage_segment; /* VS_ERR_CORRUPT_*: the place */
	uint32_t damage_off;
	uint32_t damage_slot;
	char text[160];
};

struct log;

/*
 * Start an empty log in an empty "log" directory, the reserved spares prepared
 * and zero-filled, everything durable.  VS_ERR_EXIST (not empty: the remains of
 * a crashed attempt are the caller's to remove), _NOSPC, _IO_*, _NOMEM.
 */
enum vs_err VS_MUST_USE log_create(const struct log_config *config, struct log **out);

/*
 * Open the log behind a checkpoint: known[0..count) are the segments the
 * checkpoint lists (sealed, adopted and the active one; each must exist,
 * VS_ERR_CORRUPT_SEGMENT), pos is where to read on.  Segments newer than the
 * checkpoint are found by their headers; slots that hold neither are free.
 * A listed segment without live data may be missing: it was freed since.
 * Calls each for every record behind pos.  Writes nothing, syncs what it reads
 * (F66), needs no free disk space.  *out is set before the first call of each,
 * which may call log_segment_live and log_segment_get on it (and nothing
 * else); it is NULL again on an error.  VS_ERR_CORRUPT_LOG, _CORRUPT_SEGMENT,
 * _NEWER_FORMAT, _IO_*, _NOMEM.
 */
enum vs_err VS_MUST_USE log_open(const struct log_config *config, const struct log_position *pos,
				 const struct log_segment *known, uint32_t count,
				 log_replay_fn each, void *arg, struct log_report *report,
				 struct log **out);
void log_close(struct log *l); /* syncs nothing */

/* --- appending ------------------------------------------------------------ */

struct log_append {
	uint8_t type;
	uint64_t term;
	struct bytes meta;    /* copied */
	struct bytes data;    /* borrowed until log_write(index) returned */
	const uint8_t *table; /* CRCs of data's blocks (checksum_table); copied */
};

/*
 * Whether a record of these lengths can be ordered now without I/O.
 * VS_ERR_BUSY: a spare segment is needed or the queue is full: call
 * log_prepare, then ask again, after VS_ERR_NOSPC from it, too.  VS_ERR_NOSPC:
 * and there is no disk space for one beyond the reserve (said once for each
 * log_prepare that failed, so that the next request tries again); use_reserve
 * (deletes, checkpoints, cleaning) may take the reserved ones.  VS_ERR_TOOBIG:
 * never, a record fits a segment less 8 KiB.  VS_ERR_STOPPED.
 */
enum vs_err VS_MUST_USE log_room(struct log *l, size_t meta_len, size_t data_len, bool use_reserve);

/*
 * Order a record: gives it the next index and its place and queues it.  No
 * I/O.  log_room said yes and no other log_order came in between (the caller
 * orders under its own lock).  VS_ERR_STOPPED.
 */
enum vs_err VS_MUST_USE log_order(struct log *l, const struct log_append *a, uint64_t *index,
				  struct log_place *data);

/*
 * Return when every record up to index is written to the kernel (survives
 * kill -9).  The first caller writes for all who wait.  VS_ERR_STOPPED,
 * _IO_WRITE.
 */
enum vs_err VS_MUST_USE log_write(struct log *l, uint64_t index);

/*
 * Return when every record up to index is durable.  If no sync is under way
 * the caller syncs for all who wait, else it waits for its turn.
 */
enum vs_err VS_MUST_USE log_sync(struct log *l, uint64_t index);

/* A waiter for durability; embedded by the caller, untouched until done is called. */
struct log_waiter {
	uint64_t index;
	void (*done)(struct log_waiter *w, enum vs_err err);
	struct log_waiter *next;
};

/*
 * Call w->done once every record up to w->index is durable (or the log
 * stopped): at once if it is already, from this call if this thread does the
 * sync, or from the thread whose sync is under way.  When this thread syncs, it
 * goes on until nobody waits.  No lock of the log is held in done.
 */
void log_sync_async(struct log *l, struct log_waiter *w);

uint64_t log_last_index(struct log *l);    /* ordered */
uint64_t log_written_index(struct log *l); /* in the kernel */
uint64_t log_synced_index(struct log *l);  /* durable */

/*
 * The position behind the last ordered record, for a checkpoint taken at this
 * moment (the caller's ordering lock held).
 */
void log_position_now(struct log *l, struct log_position *out);

/* --- reading -------------------------------------------------------------- */

/*
 * Read len bytes of data at byte off behind place into buf; waits until the
 * record with this index is written (pass 0 when it is known to be).  The
 * caller verifies checksums.  VS_ERR_STALE: no such segment (any more): look
 * the place up again; VS_ERR_IO_READ, short reads included.
 */
enum vs_err VS_MUST_USE log_read(struct log *l, uint64_t index, struct log_place place,
				 uint32_t off, void *buf, uint32_t len);

/*
 * Walk the records of one sealed, adopted or value segment in file order,
 * verifying headers, meta and tables (not data).  For the cleaner, scrub and
 * dump.  VS_ERR_CORRUPT_RECORD with *bad_off when the walk cannot go on before
 * the segment's known end; VS_ERR_STALE, VS_ERR_BUSY (the log's active one).
 */
enum vs_err VS_MUST_USE log_walk(struct log *l, uint64_t segment, log_replay_fn each, void *arg,
				 uint32_t *bad_off);

/* --- segments ------------------------------------------------------------- */

/*
 * Write out the queue, then prepare spare segments up to the reserve plus one
 * (recycling free ones, else creating files).  New files are zero-filled when recent commits were
 * small (a sync in never-written blocks costs nearly twice), only allocated
 * when data streams (each byte is then written once).  Blocking.  One caller
 * works, others wait for it.  VS_ERR_NOSPC, _IO_*.
 */
enum vs_err VS_MUST_USE log_prepare(struct log *l);
/* Whether a spare is missing, so that log_prepare had better run before it is needed. */
bool log_wants_prepare(struct log *l);

/* data in a segment gained (+) or lost (-) bytes that somebody refers to; unknown ids are ignored.
 */
void log_segment_live(struct log *l, uint64_t segment, int64_t bytes, int32_t count);

/* Copy of the entry of segment id.  VS_ERR_NOENT. */
enum vs_err VS_MUST_USE log_segment_get(struct log *l, uint64_t id, struct log_segment *out);
/* Copies of all entries but free and spare ones, by id; returns the count (may exceed cap). */
uint32_t log_segments(struct log *l, struct log_segment *out, uint32_t cap);

/*
 * A checkpoint that covers everything up to index is durable: sealed segments
 * with last_index <= index become adopted, full value segments too.  Those
 * without live data are the caller's to free.
 */
void log_adopt(struct log *l, uint64_t index);
/*
 * An adopted segment without live data, of which no durable checkpoint refers
 * to any data, becomes free once its last reader left; free ones beyond
 * keep_free are deleted.  VS_ERR_NOENT; VS_ERR_BUSY: not adopted, or live.
 */
enum vs_err VS_MUST_USE log_free(struct log *l, uint64_t id);

/* --- value segments (written by the cleaner) -------------------------------- */

/*
 * Append a piece of moved data to the current value segment (one is taken from
 * the spares when needed), in a LOG_VALUE record whose meta is the caller's.
 * Blocking.  VS_ERR_NOSPC when one spare is left: that is the log's (F84).
 * Value segments that no checkpoint lists are free after a restart.
 */
enum vs_err VS_MUST_USE log_value_append(struct log *l, struct bytes meta, const void *data,
					 uint32_t len, const uint8_t *table, struct log_place *out);
/* Make all value segments durable. */
enum vs_err VS_MUST_USE log_value_sync(struct log *l);

/* --- figures ---------------------------------------------------------------- */

struct log_stats {
	uint64_t segments, free_segments, spare_segments, log_bytes; /* log_bytes: sealed+active */
	uint64_t records, syncs, bytes_written;
	uint64_t sync_ns_total, sync_ns_max;
	uint32_t sync_us_p50, sync_us_p99; /* of the last 1024 syncs */
	uint64_t batch_records_total;      /* records made durable, for the mean batch */
	enum vs_err stopped;               /* VS_OK while it works */
};
void log_stats(struct log *l, struct log_stats *out);

#endif
