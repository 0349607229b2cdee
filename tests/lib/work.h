/*
 * work: drives a store on a simulated disk with operations of the object
 * layer, keeps the model beside it, and knows after a crash which states may
 * come back.
 *
 * Every operation is one transaction that users can see (or none).  After each
 * the digest of the model is noted under the index of its log entry.  A
 * recovered store must show the model as it was after the last noted operation
 * at or below the index it recovered to, and that index must not be below
 * anything a sync reported durable.
 *
 * Errors of the store are returned as they are: what is right depends on the
 * test.  What is wrong in any case (a record that is not as the model says, an
 * id given twice, an acknowledgement after the store stopped) sets `wrong`.
 *
 * Thread rule: one owner.
 */
#ifndef VS_TESTS_WORK_H
#define VS_TESTS_WORK_H

#include "tests/lib/env_mem.h"
#include "tests/lib/model.h"
#include "tests/lib/rand.h"

#define WORK_CHUNK (64u << 10)
#define WORK_SEGMENT (256u << 10)
#define WORK_CACHE (2u << 20)

enum work_op {
	WORK_KV_PUT,
	WORK_KV_MULTI, /* several keys in one transaction */
	WORK_KV_DEL,
	WORK_MKDIR,
	WORK_RMDIR,
	WORK_CREATE, /* pending */
	WORK_WRITE,  /* into a content of a session, new or present */
	WORK_BURST,  /* the same, twelve small extents */
	WORK_COMMIT, /* a session's content becomes a file's */
	WORK_COMMIT_INLINE,
	WORK_OVERWRITE, /* in place */
	WORK_PUNCH,
	WORK_TRUNCATE,
	WORK_CLONE, /* a new content that shares the chunks of a file */
	WORK_LINK,
	WORK_UNLINK,      /* deletes with the last name */
	WORK_UNLINK_OPEN, /* leaves a 'U' mark */
	WORK_RENAME,
	WORK_RENAME_OVER,
	WORK_XATTR,
	WORK_XATTR_BIG,
	WORK_XATTR_DEL,
	WORK_SETATTR,
	WORK_REFUSED,     /* a transaction whose condition does not hold */
	WORK_END_SESSION, /* undo what one session left */
	WORK_CHANGES,     /* those above change what users see */
	WORK_SYNC = WORK_CHANGES,
	WORK_CHECKPOINT,
	WORK_GC_STEP,
	WORK_GC,
	WORK_CLEAN,
	WORK_MAINTAIN,
	WORK_IDS,
	WORK_OPS
};

struct work_step {
	uint64_t index; /* the state holds from here on */
	uint64_t digest;
	bool maybe; /* the index is a guess: the step before may be right */
};

struct work {
	struct env_mem *m;
	struct store *s; /* NULL: closed */
	struct store_report report;
	struct model now;
	struct rnd rnd;
	int64_t clock;
	uint64_t id_max;        /* no id at or below it comes again */
	uint64_t acked, synced; /* highest index answered OK by propose, by sync */
	enum vs_err stopped;    /* first error that ends the process */
	bool wrong;
	char why[256];  /* when wrong */
	uint64_t index; /* of the last proposal, 0: not ordered */
	struct work_step *step;
	uint32_t steps, step_cap;
	uint64_t done[WORK_OPS]; /* how often each changed something */
};

/* A new store on a new disk, formatted, open. */
struct work *work_new(uint64_t seed);
/*
 * The same on a copy of the disk as it is at this moment, closed, unsynced
 * blocks and all; its model is read when it is opened.
 */
struct work *work_fork(const struct work *w);
void work_free(struct work *w);

/*
 * Open the store and check what came back (see above).  `exact` unless a
 * recovery before was itself interrupted (then only: some noted state, not
 * older than what was synced).  False: see why.  Errors of opening are in
 * *err, and are not wrong by themselves.
 */
bool work_open(struct work *w, bool exact, enum vs_err *err);
/* Close in order. */
enum vs_err work_close(struct work *w);
/* The process dies; the disk stays as it is. */
void work_kill(struct work *w);
/* The power goes. */
void work_crash(struct work *w, enum env_mem_crash mode, uint64_t seed);

const char *work_name(enum work_op op);
enum vs_err VS_MUST_USE work_do(struct work *w, enum work_op op);
/* A random operation; of eight, `background` are background work. */
enum work_op work_random_op(struct work *w, uint32_t background);

/* The number in an environment variable (VS_SEEDS, VS_SEED_FIRST), or otherwise. */
uint64_t work_number(const char *name, uint64_t otherwise);

/*
 * The full check of an open store and that it goes on working: verify, sweep,
 * collect, verify, new work, close, open, verify.  The store is open after it.
 */
bool work_full_check(struct work *w);

/* --- for the operations (work_ops.c) --- */

/* Say what is wrong, once. */
bool work_wrong(struct work *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum vs_err VS_MUST_USE work_ids(struct work *w, uint32_t count, uint64_t *first);
/* Propose t; true: it is in the log, so the model must change (then call work_note). */
bool work_propose(struct work *w, struct txn *t, enum vs_err *err);
void work_note(struct work *w, uint64_t index, bool maybe);
enum vs_err work_change(struct work *w, enum work_op op);
enum vs_err work_change_file(struct work *w, enum work_op op);

#endif
