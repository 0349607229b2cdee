/*
 * log_int: what the files of the log share.  Nobody else includes it.
 *
 *   log.c          small questions and answers, stop, close
 *   log_segment.c  table of segments, open files, live counts, adopt, free
 *   log_prepare.c  making, recycling and deleting segment files
 *   log_write.c    room, order, the queue, writing
 *   log_sync.c     group commit
 *   log_scan.c     reading records in file order, looking for vouchers
 *   log_open.c     create, open, replay
 *   log_read.c     reading data, walking a segment
 *   log_value.c    value segments
 *
 * One mutex guards everything in struct log and struct segment; it is released
 * around every call of the env.  At most one thread each is writing, syncing,
 * preparing and busy with values; the flags below say so.
 *
 * Invariants (numbers as in engine/README.md):
 *   E20 synced <= written <= ordered
 *   E21 a block that a sync may have made durable is never written again
 *   E22 ids of segments are given out once; spares are used in id order, and
 *       their ids are above the active one's
 *   E23 a segment's header is durable before a record is written to it, and
 *       before a ROLL names it
 *   E24 every write lies inside the prepared file; a record leaves room for
 *       the ROLL behind it
 *   E25 synced advances only after every segment with written bytes was synced
 *   E26 a segment is recycled or deleted only when it is free and unpinned
 *   E27 live counts are never negative
 *   E28 records are delivered at start in chain order: index + 1, term not
 *       falling, none left out at or below the synced index
 *   E29 once stopped, nothing is written, synced or acknowledged again
 */
#ifndef VS_ENGINE_LOG_INT_H
#define VS_ENGINE_LOG_INT_H

#include "engine/base/assert.h"
#include "engine/base/thread.h"
#include "engine/log.h"
#include "engine/record.h"

#define LOG_QUEUE_BYTES (LOG_META_MAX + (3u << 20)) /* headers, metas and tables; two of them */
#define LOG_QUEUE_IOV 4096u
#define LOG_QUEUE_RUNS 16u
#define LOG_ORDER_IOV 8u            /* most that one log_order adds, final padding included */
#define LOG_WRITE_IOV 1024          /* per pwritev */
#define LOG_OPEN_FILES 256u         /* beyond it unpinned files are closed */
#define LOG_SMALL_SYNC (256u << 10) /* below this mean, new files are zero-filled */
#define LOG_SYNC_SAMPLES 1024u
#define LOG_DIR "log"
/*
 * Ids skipped at start.  The highest id given out can be missing from the
 * disk when a crash tore the block it was being written to; at most two are
 * under way (prepare, value).  The others are seen, because the file with the
 * highest id is never deleted.
 */
#define LOG_ID_GAP 16u

struct segment {
	struct log_segment info;
	uint32_t bytes;        /* size of the file */
	uint32_t cut;          /* nothing is written below it any more (E21) */
	struct env_file *file; /* NULL: not open */
	uint64_t used_at;      /* when it was unpinned last, in log.ticks */
	uint32_t pins;         /* readers, writers, and one while dirty */
	bool opening;
	bool dirty;           /* written since its last sync; on a dirty list */
	bool known;           /* log_open: the checkpoint lists it */
	struct segment *next; /* on a dirty list or the free list */
};

struct segment_list {
	struct segment *head, *tail;
};

/* A piece of the queue that goes to one segment in one stretch. */
struct run {
	struct segment *seg;
	uint32_t off, len;
	uint32_t iov_first, iov_count;
};

struct queue {
	uint8_t *buf; /* LOG_QUEUE_BYTES */
	uint32_t len;
	struct iovec *iov; /* LOG_QUEUE_IOV */
	uint32_t iov_count;
	struct run run[LOG_QUEUE_RUNS];
	uint32_t run_count;
	uint64_t last_index;
};

struct log {
	struct log_config config; /* constant */
	struct env *env;          /* constant */

	struct mutex mutex;  /* guards all that follows */
	struct cond wrote;   /* written moved, or writing ended */
	struct cond durable; /* synced moved, or syncing ended */
	struct cond changed; /* anything else */
	enum vs_err stopped; /* the first error, for ever */

	/* segments that are not free, by id */
	struct segment **table;
	uint32_t table_count, table_cap;
	uint32_t spare_count;
	struct segment *free;
	uint32_t free_count;
	uint32_t open_count;
	uint64_t ticks;
	uint64_t next_id;
	uint32_t next_slot;

	/* the end of the log, as ordered */
	struct segment *active;
	uint32_t tail;     /* where the next record goes */
	uint32_t prev_crc; /* of the last record */
	uint64_t term;
	uint64_t ordered, written, synced;

	struct queue queues[2];
	struct queue *filling;
	bool writing;

	bool syncing;
	bool overdue;           /* the syncing thread works for others only */
	bool successor;         /* and somebody waits to relieve it */
	uint64_t blocked_index; /* above synced: a thread in log_sync waits for it */
	struct segment_list dirty;
	struct log_waiter *waiters, **waiters_end;

	bool preparing;
	bool nospc; /* the last log_prepare found the disk full */
	uint64_t prepare_gen;
	enum vs_err prepare_err;
	bool small_syncs;
	uint64_t roll_bytes, roll_syncs; /* as of the last roll */

	bool value_busy;
	struct segment *value; /* the value segment being filled */
	uint32_t value_tail, value_crc;
	struct segment_list value_dirty;
	uint8_t *value_buf; /* owned by who set value_busy */

	struct log_stats stats;
	uint32_t sync_us[LOG_SYNC_SAMPLES];
};

/* --- log.c */

/* An empty log object of this configuration, no file touched.  VS_ERR_NOMEM. */
enum vs_err VS_MUST_USE log_new(const struct log_config *config, struct log **out);
/* Stop for good (E29); the first cause stays. */
void log_stop(struct log *l, enum vs_err err) REQUIRES(l->mutex);

/* --- log_segment.c */

/* The entry of id, spares included; NULL. */
struct segment *segment_find(struct log *l, uint64_t id) REQUIRES(l->mutex);
enum vs_err VS_MUST_USE segment_reserve(struct log *l) REQUIRES(l->mutex);
/* Put into the table by id; room was reserved. */
void segment_insert(struct log *l, struct segment *s) REQUIRES(l->mutex);
void segment_remove(struct log *l, struct segment *s) REQUIRES(l->mutex);
/* The spare with the lowest (highest) id; NULL. */
struct segment *segment_spare(struct log *l, bool highest) REQUIRES(l->mutex);
void segment_put_free(struct log *l, struct segment *s) REQUIRES(l->mutex);
/* Take an unpinned segment off the free list; NULL. */
struct segment *segment_take_free(struct log *l, bool for_deletion) REQUIRES(l->mutex);
/*
 * Pin s and have its file open.  Releases and retakes the mutex; s stays valid
 * because it is pinned.  VS_ERR_IO_OPEN and the like: not pinned then.
 */
enum vs_err VS_MUST_USE segment_pin(struct log *l, struct segment *s) REQUIRES(l->mutex);
void segment_unpin(struct log *l, struct segment *s) REQUIRES(l->mutex);
/* s (pinned) has bytes that were written and not synced. */
void segment_dirty(struct log *l, struct segment_list *list, struct segment *s) REQUIRES(l->mutex);
/* Sync every segment on the list now, oldest first.  Releases the mutex meanwhile. */
enum vs_err VS_MUST_USE segment_sync_all(struct log *l, struct segment_list *list)
	REQUIRES(l->mutex);
void segment_name(uint32_t slot, char name[16]);
/* Close and free the object; the log is going away or the file is gone. */
void segment_release(struct log *l, struct segment *s) REQUIRES(l->mutex);

/* --- log_prepare.c */

/* Write the header block of s (pinned, s->info and bytes set) and sync.  No lock held. */
enum vs_err VS_MUST_USE segment_write_header(struct log *l, struct segment *s) EXCLUDES(l->mutex);
/* Make one more spare; see log_prepare. */
enum vs_err VS_MUST_USE prepare_spare(struct log *l) REQUIRES(l->mutex);

/* --- log_write.c */

/*
 * Write what is queued.  Nobody else is writing.  With cut, the next record
 * goes to a fresh block, whatever was queued.  Releases the mutex meanwhile.
 * The error has stopped the log.
 */
enum vs_err VS_MUST_USE write_queue(struct log *l, bool cut) REQUIRES(l->mutex);
/* log_write under the mutex. */
enum vs_err VS_MUST_USE write_until(struct log *l, uint64_t index) REQUIRES(l->mutex);
/*
 * pwritev of any number of vectors; iov is used up.  A full disk counts as a
 * failed write: the place was prepared.  No lock held.
 */
enum vs_err VS_MUST_USE write_all(struct log *l, struct segment *s, const struct iovec *iov,
				  uint32_t count, uint64_t off);
extern const uint8_t log_zeros[RECORD_BLOCK];

#endif
