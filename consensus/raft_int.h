/*
 * raft_int: the state of the core, shared by raft.c, raft_elect.c,
 * raft_repl.c, raft_member.c, raft_snap.c and raft_read.c.  Nobody else
 * includes it but tests of the core.
 *
 * Each function acts on one step: `up` is that step's update.  Function prefix
 * = file: elect_, repl_, member_, snap_, read_; raft_ is raft.c.
 *
 * Thread rule: pure.
 */
#ifndef VS_CONSENSUS_RAFT_INT_H
#define VS_CONSENSUS_RAFT_INT_H

#include "consensus/progress.h"
#include "consensus/raft.h"
#include "consensus/trail.h"

#define RAFT_PEERS_MAX (MEMBERS_MAX + 1u) /* the members and one just removed */

struct raft_read_wait {
	uint32_t from;     /* the node that asked, 0: this one */
	uint64_t token;    /* local: of the caller; remote: request number of the asker */
	uint64_t round;    /* heartbeat round that will confirm it, 0: none yet */
	uint64_t since_ms; /* when it arrived */
};

struct raft {
	struct raft_config cfg;
	enum raft_role role;
	uint32_t leader; /* 0: unknown */
	uint64_t now_ms, random;

	struct raft_hard hard; /* as of the last write handed out */
	struct trail trail;
	uint64_t commit, applied, apply_sent;
	/* Highest index at which the log is known to equal that of this term's leader. */
	uint64_t verified;

	/* The stream of writes. */
	uint64_t write_seq, durable_seq;
	uint64_t hard_seq;  /* the write that holds `hard` */
	uint64_t trunc_seq; /* the last write that dropped entries (F20) */
	uint64_t durable;   /* entries up to here are on disk, as the trail has them */
	uint64_t disk_ms;   /* since when the oldest outstanding write waits, at least */

	/* Damage: entries hole_from..hole_to have lost their bytes (0: none). */
	uint64_t hole_from, hole_to;
	uint64_t repair_to, repair_seq; /* rewritten up to here, by that write (0: none) */

	/* Configuration in force, and the one before it; only the former can be rolled back. */
	struct membership members, members_prev;
	uint64_t members_index, members_prev_index;

	/* Elections. */
	uint64_t election_due_ms, heard_ms;
	uint32_t vote_reply; /* whom a vote is owed to once it is durable */
	bool vote_asked;     /* CANDIDATE: own vote is durable, requests are out */
	bool by_transfer;
	uint32_t vote_count;
	struct {
		uint32_t id;
		bool yes;
	} votes[MEMBERS_MAX];

	/* Leader. */
	struct progress peers[RAFT_PEERS_MAX];
	uint32_t peer_count;
	uint64_t term_first; /* index of this term's NOOP */
	uint64_t uncommitted_bytes;
	uint64_t heartbeat_due_ms, quorum_due_ms;
	uint32_t transfer_to;
	uint64_t transfer_due_ms;
	bool transfer_sent;

	/* Reads. */
	struct raft_read_wait reads[RAFT_READS_MAX];
	uint32_t read_count;
	uint64_t read_round, read_round_index; /* the last round, its read index */
	bool read_open;                        /* that round is not confirmed yet */
	uint64_t nonce, read_seq;
	uint64_t read_sent_ms; /* follower: when the last request left, 0: none is out */

	/* Snapshots: own, and the one coming in. */
	struct raft_snapshot snapshot;
	struct raft_snapshot incoming;
	uint64_t incoming_offset;
	bool storing, storing_last, installing;

	/* Entry of the core's own making in this step's write. */
	struct raft_entry own_entry;
	uint8_t own_payload[MEMBERSHIP_ENCODED_MAX];
};

/* raft.c */
struct raft_msg *raft_send(struct raft *r, struct raft_update *up, uint32_t to,
			   enum message_type type);
void raft_write_open(struct raft *r, struct raft_update *up);
void raft_write_hard(struct raft *r, struct raft_update *up);
bool raft_hard_durable(const struct raft *r);
bool raft_damaged(const struct raft *r);
/* Last index below the hole: what this node can vouch for. */
uint64_t raft_sound(const struct raft *r);
/* A write waits longer than that; always false when none is outstanding. */
bool raft_disk_waits(const struct raft *r, uint64_t ms);
/* Damage is over when the verified log says so. */
void raft_mend(struct raft *r, struct raft_update *up);
void raft_stop(struct raft *r, struct raft_update *up, enum raft_evidence_type type, uint64_t index,
	       uint32_t other);
struct progress *raft_peer(struct raft *r, uint32_t id);

/* raft_elect.c */
void elect_timer(struct raft *r);
void elect_follow(struct raft *r, struct raft_update *up, uint64_t term, uint32_t leader);
void elect_tick(struct raft *r, struct raft_update *up);
void elect_hard_durable(struct raft *r, struct raft_update *up);
bool elect_heard(const struct raft *r);
void elect_on_prevote(struct raft *r, struct raft_update *up, const struct raft_msg *m);
void elect_on_vote(struct raft *r, struct raft_update *up, const struct raft_msg *m);
void elect_on_answer(struct raft *r, struct raft_update *up, const struct raft_msg *m);
void elect_on_timeout_now(struct raft *r, struct raft_update *up, const struct raft_msg *m);

/* raft_repl.c */
void repl_lead(struct raft *r, struct raft_update *up);
void repl_append_own(struct raft *r, struct raft_update *up, enum raft_entry_type type,
		     uint32_t len);
void repl_propose(struct raft *r, struct raft_update *up, const struct raft_event *ev);
void repl_commit(struct raft *r);
void repl_advance(struct raft *r, uint64_t commit);
void repl_heartbeat(struct raft *r, struct raft_update *up);
void repl_flush(struct raft *r, struct raft_update *up);
void repl_ack(struct raft *r, struct raft_update *up);
uint64_t repl_ackable(const struct raft *r);
/* Takes the sender as this term's leader; false when that stopped the node. */
bool repl_accept_leader(struct raft *r, struct raft_update *up, const struct raft_msg *m);
void repl_on_append(struct raft *r, struct raft_update *up, const struct raft_msg *m);
void repl_on_append_resp(struct raft *r, struct raft_update *up, const struct raft_msg *m);
void repl_on_heartbeat(struct raft *r, struct raft_update *up, const struct raft_msg *m);
void repl_on_heartbeat_resp(struct raft *r, struct raft_update *up, const struct raft_msg *m);
/* Answer of a peer: liveness, and its era.  NULL when it is to be ignored. */
struct progress *repl_heard_from(struct raft *r, const struct raft_msg *m);

/* raft_member.c */
void member_set(struct raft *r, uint64_t index, const struct membership *m);
/* False when that would undo a committed configuration. */
bool member_rollback(struct raft *r, uint64_t from);
void member_sync_peers(struct raft *r);
void member_committed(struct raft *r, struct raft_update *up);
void member_change(struct raft *r, struct raft_update *up, const struct raft_event *ev);
void member_promote(struct raft *r, struct raft_update *up);
void member_transfer(struct raft *r, struct raft_update *up, const struct raft_event *ev);
void member_transfer_step(struct raft *r, struct raft_update *up);
/* The voter best able to take over, 0: none. */
uint32_t member_heir(const struct raft *r);

/* raft_snap.c */
void snap_start_sending(struct raft *r, struct progress *p);
void snap_send(struct raft *r, struct raft_update *up, struct progress *p);
void snap_on_chunk(struct raft *r, struct raft_update *up, const struct raft_msg *m);
void snap_on_resp(struct raft *r, struct raft_update *up, const struct raft_msg *m);
void snap_taken(struct raft *r, const struct raft_snapshot *s);
void snap_compact(struct raft *r, struct raft_update *up, uint64_t index);
void snap_stored(struct raft *r, struct raft_update *up, const struct raft_event *ev);
void snap_done(struct raft *r, struct raft_update *up, const struct raft_snapshot *s);
void snap_aborted(struct raft *r, uint32_t target);

/* raft_read.c */
void read_request(struct raft *r, struct raft_update *up, uint64_t token);
void read_on_request(struct raft *r, struct raft_update *up, const struct raft_msg *m);
void read_on_resp(struct raft *r, struct raft_update *up, const struct raft_msg *m);
void read_advance(struct raft *r, struct raft_update *up);
void read_role_changed(struct raft *r);
void read_tick(struct raft *r, struct raft_update *up);

#endif
