/*
 * raft_sim: a cluster of raft cores on virtual time, with a simulated network,
 * a simulated disk per node, a state machine and clients; checked after every
 * step.  Seed in, trace out.  It runs the shipped objects.
 *
 * Network: every message goes through the wire codec; it may be lost, doubled,
 * delayed, overtaken, or cut off per direction.  Disk: one ordered stream of
 * writes per node, completing asynchronously; a crash keeps a prefix of the
 * unfinished ones, the last of them in part; it may be slow or hang, and lose
 * entries later.  Clocks run at different speeds.
 *
 * The checkers are the ones at the head of FAULTS.md (raft_sim_check.c).  The
 * first violation ends the run: sim_why says what it was.
 *
 * Nodes are numbered 1..SIM_NODES_MAX.  Time is in microseconds.
 *
 * Thread rule: one thread per struct sim.
 */
#ifndef VS_TESTS_SIM_RAFT_SIM_H
#define VS_TESTS_SIM_RAFT_SIM_H

#include "consensus/raft.h"
#include "consensus/raft_int.h"

#include <stdbool.h>
#include <stdint.h>

#define SIM_NODES_MAX 7u
#define SIM_ENTRIES_MAX 4096u
#define SIM_OPS_MAX 8192u
#define SIM_TERMS_MAX 4096u
#define SIM_READS_MAX 64u
#define SIM_MS 1000ull /* microseconds */

/* An entry as a node's disk or memory has it. */
struct sim_entry {
	uint64_t term;
	uint32_t type, len;
	uint64_t value; /* DATA: unique per proposal */
	uint32_t blob;  /* CONFIG: index into sim.blobs, else 0 */
	bool lost;      /* its bytes fail verification */
};

struct sim_log {
	uint64_t base, base_term, last;
	struct sim_entry e[SIM_ENTRIES_MAX + 1]; /* by index */
};

/* The state machine: a register, and a hash of the history that led to it. */
struct sim_state {
	uint64_t applied, term;
	uint64_t hash, value;
	uint64_t config_index;
	struct membership members;
};

/* What survives. */
struct sim_disk {
	struct raft_hard hard;
	struct sim_state snapshot;
	uint64_t part_index, part_term, part_id, part_offset;
	struct sim_log log;
};

enum sim_write_kind { SIM_LOG, SIM_TAKE, SIM_STORE, SIM_INSTALL, SIM_COMPACT };

struct sim_write {
	enum sim_write_kind kind;
	uint64_t ready_us;
	struct raft_write w;       /* SIM_LOG; its pointers are not used */
	struct sim_entry *entries; /* w.count, then w.repair_count */
	struct sim_state state;    /* TAKE, INSTALL */
	uint64_t index, term, id, offset;
	struct sim_write *next;
};

struct sim_node {
	uint32_t id;
	bool up;
	uint32_t life; /* counts starts; events of an earlier one are void */
	struct raft *raft;
	struct sim_disk disk;
	struct sim_log log; /* as the running node sees it */
	struct sim_state state;
	struct sim_write *writes, **writes_end; /* not durable yet */
	bool taking, hang, stopped;
	uint32_t disk_us; /* usual time of one write */
	uint32_t rate_pm; /* clock speed, 1000 = true */
	uint64_t offset_ms;
	uint64_t commit_seen, promised_term;
	uint64_t era_damaged; /* starts with damage, for the tests */
	struct {
		uint64_t index;
		uint32_t op;
	} reads[SIM_READS_MAX];
	uint32_t read_count;
	uint32_t abort_to; /* a transfer whose snapshot is gone */
	uint64_t installs;
};

enum sim_op_type { SIM_WRITE, SIM_READ };
enum sim_op_state { SIM_OP_OPEN, SIM_OP_OK, SIM_OP_UNKNOWN, SIM_OP_FAILED };

/* One client operation; the history checker works on these. */
struct sim_op {
	enum sim_op_type type;
	enum sim_op_state state;
	uint32_t node;
	uint64_t begin, end; /* times */
	uint64_t value;      /* written or read */
	uint64_t index, term;
};

struct sim_event;

struct sim_options {
	uint64_t seed;
	uint32_t nodes;  /* running */
	uint32_t voters; /* of them in the first configuration */
	bool trace;
	uint32_t loss_pm, dup_pm; /* of a thousand messages */
	uint32_t delay_us;        /* usual delay of a message */
	uint32_t slow_pm;         /* of a thousand messages come 20 times later */
	bool damage;              /* entries get lost: durable copies are not counted */
};

struct sim {
	struct sim_options opt;
	uint64_t rng, now_us, event_seq, value_seq;
	struct sim_node node[SIM_NODES_MAX + 1];
	bool cut[SIM_NODES_MAX + 1][SIM_NODES_MAX + 1]; /* from, to */
	struct sim_event *heap;
	uint32_t heap_count, heap_max;
	struct raft_update up;
	struct {
		uint8_t *p;
		uint32_t len;
	} * blobs;
	uint32_t blob_count;
	struct sim_op ops[SIM_OPS_MAX];
	uint32_t op_count;
	uint64_t steps, dropped;
	char why[256];

	/* The checkers' memory (raft_sim_check.c). */
	struct sim_entry committed[SIM_ENTRIES_MAX + 1];
	uint64_t hash_at[SIM_ENTRIES_MAX + 1];
	uint64_t commit;
	struct membership members; /* in force where `commit` was first committed */
	uint32_t leader_of[SIM_TERMS_MAX];
	uint8_t vote_of[SIM_NODES_MAX + 1][SIM_TERMS_MAX];
	struct sim_seen *seen;
	uint64_t done_index; /* highest index an answered operation depends on */
};

struct sim *sim_new(const struct sim_options *opt);
void sim_free(struct sim *s);

/* Let us microseconds pass; stops early after a violation.  False then. */
bool sim_run(struct sim *s, uint64_t us);

/* Run until cond holds, at most us; true when it does. */
bool sim_until(struct sim *s, uint64_t us, bool (*cond)(struct sim *s, uint64_t arg), uint64_t arg);

/* What was violated, or NULL. */
const char *sim_why(const struct sim *s);

uint64_t sim_rand(struct sim *s, uint64_t below);

/* The node that leads in the highest term, 0: none. */
uint32_t sim_leader(struct sim *s);
uint64_t sim_commit(struct sim *s, uint32_t node);

void sim_crash(struct sim *s, uint32_t node);
/* Crash that keeps exactly `keep` unfinished writes. */
void sim_crash_keeping(struct sim *s, uint32_t node, uint32_t keep);
void sim_start(struct sim *s, uint32_t node);
void sim_cut(struct sim *s, uint32_t from, uint32_t to, bool cut);
void sim_isolate(struct sim *s, uint32_t node, bool cut); /* both ways, from all */
/* Drop everything under way. */
void sim_drop_messages(struct sim *s);
void sim_heal(struct sim *s); /* links, disks, loss; starts what is down */

/* One step of a node's core with an event whose time and randomness are filled in here. */
enum vs_err sim_step(struct sim *s, uint32_t node, struct raft_event *ev);
/* Hand a message to a node now; entries' contents are taken from value/blob 0. */
enum vs_err sim_inject(struct sim *s, const struct raft_msg *m);

/* Client operations; return the number of the operation, or UINT32_MAX when refused. */
uint32_t sim_write(struct sim *s, uint32_t node);
uint32_t sim_read(struct sim *s, uint32_t node);
enum raft_verdict sim_change(struct sim *s, uint32_t node, bool remove, uint32_t id,
			     enum member_role role, bool promote);
enum raft_verdict sim_transfer(struct sim *s, uint32_t node, uint32_t to);
void sim_snapshot(struct sim *s, uint32_t node);
void sim_compact(struct sim *s, uint32_t node, uint64_t index);
/* Lose entries: of a running node (found by a scrub), or on the disk of a stopped one. */
void sim_damage(struct sim *s, uint32_t node, uint64_t from, uint64_t to);
void sim_disk_fail(struct sim *s, uint32_t node);

/* All running members have the same log, commit and state. */
bool sim_converged(struct sim *s, uint64_t arg);
bool sim_has_leader(struct sim *s, uint64_t arg);

/* Shared by the parts of the simulator. */
void sim_fail(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_trace(struct sim *s, uint32_t node, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void sim_check_update(struct sim *s, struct sim_node *n);
void sim_check_step(struct sim *s, struct sim_node *n);
void sim_check_start(struct sim *s, struct sim_node *n);
void sim_check_entry(struct sim *s, struct sim_node *n, uint64_t index, uint64_t prev_term,
		     const struct sim_entry *e);
void sim_check_apply(struct sim *s, struct sim_node *n);
/* At the end: every answered operation against the committed log. */
void sim_check_history(struct sim *s);
/* NULL when the operations are linearizable as a register, else why not. */
const char *sim_history_wrong(const struct sim_op *ops, uint32_t count, const struct sim_entry *log,
			      uint64_t last);
/* Durable on that node, and readable. */
bool sim_durable_has(const struct sim_node *n, uint64_t index, uint64_t term);

/* One random run with faults, then healed (raft_sim_fault.c); true when nothing was violated. */
struct sim_run_stats {
	uint64_t steps, commits, elections, installs, reads, writes;
};
bool sim_random_run(uint64_t seed, bool trace, char *why, size_t why_len,
		    struct sim_run_stats *stats);

#endif
