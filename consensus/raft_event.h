/*
 * raft_event: what goes into a step of the core and what comes out of it.
 * The rules (durability, damage, order of writes) are at the top of raft.h.
 *
 * Thread rule: pure.
 */
#ifndef VS_CONSENSUS_RAFT_EVENT_H
#define VS_CONSENSUS_RAFT_EVENT_H

#include "consensus/membership.h"
#include "consensus/message.h"

#include <stdbool.h>
#include <stdint.h>

#define RAFT_READS_MAX 256u   /* reads waiting on one node */
#define RAFT_PROPOSE_MAX 256u /* entries of one proposal */
#define RAFT_SENDS_MAX 4u     /* APPENDs to one peer in one update */
#define RAFT_UPDATE_MSGS ((MEMBERS_MAX + 1u) * (RAFT_SENDS_MAX + 8u) + 8u + RAFT_READS_MAX)

/* The durable part of the state besides the log: one record. */
struct raft_hard {
	uint64_t term;
	uint32_t vote; /* 0: none in this term */
	uint32_t era;
	uint64_t damage_to, damage_term; /* 0: no mark */
};

/* Identity of a snapshot.  id tells apart byte streams of the same (index, term). */
struct raft_snapshot {
	uint64_t index, term, id;
	uint64_t config_index; /* index of the entry that set members, or 0 */
	struct membership members;
};

enum raft_event_type {
	RAFT_TICK,             /* time passed; send one at least every heartbeat_ms / 2 */
	RAFT_MESSAGE,          /* from a peer */
	RAFT_PROPOSE,          /* append entries, leader only */
	RAFT_DURABLE,          /* writes up to seq are on disk */
	RAFT_DISK_FAILED,      /* a write failed: the core stops for good */
	RAFT_APPLIED,          /* the state machine has applied up to index */
	RAFT_READ,             /* ask for a read index; any node */
	RAFT_TRANSFER,         /* hand leadership to target (0: best), leader only */
	RAFT_CHANGE,           /* add, promote, demote or remove a member, leader only */
	RAFT_SNAPSHOT_TAKEN,   /* a snapshot that can be sent exists, at an applied index */
	RAFT_COMPACT,          /* entries up to index left the log; a snapshot covers them */
	RAFT_SNAPSHOT_STORED,  /* a received chunk is durable */
	RAFT_SNAPSHOT_DONE,    /* update.install happened and is durable */
	RAFT_SNAPSHOT_ABORTED, /* the transfer to or from target cannot go on */
	RAFT_DAMAGE,           /* entries from..to fail verification (a scrub found it) */
};

struct raft_event {
	enum raft_event_type type;
	uint64_t now_ms; /* monotonic, never falling, 1 or more */
	uint64_t random;
	union {
		const struct raft_msg *message; /* borrowed for the call */
		struct {
			const struct raft_entry *entries; /* DATA; term is ignored */
			uint32_t count;                   /* 1..RAFT_PROPOSE_MAX */
		} propose;
		struct {
			uint64_t seq, last_index, last_term;
		} durable;
		struct {
			uint64_t index;
		} applied, compact;
		struct {
			uint64_t token; /* comes back in the answer */
		} read;
		struct {
			uint32_t target;
		} transfer, aborted;
		struct {
			bool remove;
			struct member node; /* remove: only id counts */
		} change;
		const struct raft_snapshot *snapshot; /* TAKEN, DONE; copied */
		struct {
			uint64_t index, term, id;
			uint64_t offset; /* bytes durable so far */
		} stored;
		struct {
			uint64_t from, to;
		} damage;
	} u;
};

/* Answer to a PROPOSE, READ, TRANSFER or CHANGE, and the fate of a MESSAGE. */
enum raft_verdict {
	RAFT_ACCEPTED,
	RAFT_NOT_LEADER, /* nothing happened; raft_leader may know who leads */
	RAFT_BUSY,       /* a bound is reached or another operation runs; nothing happened */
	RAFT_REFUSED,    /* the request makes no sense now; nothing happened */
	RAFT_DROPPED,    /* the message was not for this node, or breaks the rules */
};

struct raft_write {
	uint64_t seq; /* 0: nothing to write; else 1, 2, ... */
	bool hard_set;
	struct raft_hard hard;
	bool reset; /* the log starts anew after reset_index */
	uint64_t reset_index, reset_term;
	uint64_t truncate_from; /* 0: none; else entries from here on are superseded */
	uint64_t first;         /* 0: none; else entries first .. first + count - 1 */
	uint32_t count;
	/*
	 * The entries; borrowed from the event, or from the core until the next
	 * step (NOOP and CONFIG of its own making).  The term is set here.
	 */
	const struct raft_entry *entries;
	uint64_t term;         /* of all entries of a proposal; 0: entries[].term holds */
	uint64_t repair_first; /* 0: none; else lost entries that came back: rewrite them */
	uint32_t repair_count;
	const struct raft_entry *repair;
	uint64_t last_index, last_term; /* of the log as of this write */
};

struct raft_read_answer {
	uint64_t token;
	bool ok;        /* false: leadership was in doubt, ask again */
	uint64_t index; /* the state at this index, or later, is linearizable */
};

struct raft_evidence {
	enum raft_evidence_type {
		RAFT_EVIDENCE_NONE,
		RAFT_EVIDENCE_TWO_LEADERS, /* a and b both lead in term (F14) */
		RAFT_EVIDENCE_COMMITTED    /* a peer contradicts the committed entry at index */
	} type;
	uint64_t term, index;
	uint32_t a, b;
};

enum raft_role { RAFT_FOLLOWER, RAFT_PRECANDIDATE, RAFT_CANDIDATE, RAFT_LEADER, RAFT_STOPPED };

struct raft_update {
	enum raft_verdict verdict;
	uint64_t index, term; /* of the first proposed entry, or of the CONFIG entry */
	struct raft_write write;
	uint32_t msg_count;
	struct raft_msg msgs[RAFT_UPDATE_MSGS];
	uint64_t apply_first, apply_last; /* newly committed: apply in order (0: none) */
	uint32_t read_count;
	struct raft_read_answer reads[RAFT_READS_MAX];
	/*
	 * The chunk that came with the message (its data_len bytes of payload)
	 * is to be stored at store_offset of snapshot `incoming`; once durable,
	 * RAFT_SNAPSHOT_STORED.
	 */
	bool store;
	/*
	 * incoming is complete: after the applies handed out so far, switch to
	 * it, then RAFT_SNAPSHOT_DONE.
	 */
	bool install;
	uint64_t store_offset;
	struct raft_snapshot incoming;
	/*
	 * Set when this node began or ceased to lead.  Proposals that were not
	 * seen applied have an unknown outcome then, not a failed one (F29).
	 */
	bool gained, lost;
	/*
	 * Lost entries are below the applied index: a snapshot of the node's own
	 * state and RAFT_COMPACT up to it close that part of the hole.
	 */
	bool want_snapshot;
	bool disk_hung; /* a write is older than 2 * disk_ms: end the process */
	struct raft_evidence evidence;
};

#endif
