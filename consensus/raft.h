/*
 * raft: the consensus core (Ongaro, "Consensus: Bridging Theory and Practice",
 * 2014, cited as "thesis"), as a function of state and event to an update.
 *
 * It is not the node: no clock, no random source, no I/O, no lock, no thread.
 * Time and random bits arrive in the event; what to write, send, apply and
 * answer leaves in the update.  It holds term, type and length of log entries
 * (trail.h), never payloads.  All memory is taken by raft_new.
 *
 * Durability contract
 * -------------------
 * The caller owns one ordered stream of writes per node.  An update with
 * write.seq != 0 appends to it, in this order: hard state, reset, truncation,
 * entries, repairs.  The caller starts the write at once and may go on
 * stepping; when the disk has it, RAFT_DURABLE brings seq back, with the
 * last_index and last_term that came with it.  A completion vouches for every
 * write up to its seq.
 *
 * Every message in an update may leave at once, before the update's own write
 * is durable.  The core itself holds back what promises something:
 *
 *   before this leaves                        this is durable on the sender
 *   VOTE, own vote counted                    its term and its vote for itself
 *   VOTE_RESP without REJECT                  its term and that vote
 *   APPEND, HEARTBEAT, SNAPSHOT, READ_RESP    its term (it leads, so it had voted)
 *   APPEND_RESP without REJECT, index i       its term, and entries up to i
 *   SNAPSHOT_RESP, offset o / DONE            its term, bytes up to o / the install
 *   own match counted for commit              the leader's entries up to there
 *
 * Without a promise, and so without waiting: PREVOTE, PREVOTE_RESP, REJECTs,
 * HEARTBEAT_RESP, READ, TIMEOUT_NOW.  The leader sends entries in parallel
 * with its own write (thesis 10.2.1).
 *
 * A term is written before the entries that came with it (F24), and (term,
 * vote) is one record (F02).  A failed write is reported as RAFT_DISK_FAILED
 * and ends the node's part in the group.
 *
 * What raft_restore is given must have been synced after it was read (F66).
 *
 * Damage
 * ------
 * A node that lost entries it may have acknowledged must not look as if it
 * never had them (FAST'18, "Protocol-aware recovery").  Two cases:
 *   hole   the entries' terms are known, their bytes are not: they stay in the
 *          trail; the leader sends them again (update.write.repair);
 *   mark   the log ends early: hard.damage_to is the last index it may have
 *          had (UINT64_MAX: unknown), hard.damage_term the term at that time.
 *          The mark is durable, since the rewritten log looks sound and short.
 * With either, the node grants no vote, asks for none, leads nothing,
 * acknowledges and applies nothing at or above the hole.  The mark goes when
 * the verified log reaches damage_to or an entry of a term above damage_term:
 * then it has all that was committed (leader completeness).  Under a leader of
 * damage_term itself it may stay until the log has grown that far.  hard.era counts
 * incidents; leaders forget what earlier eras acknowledged.
 *
 * Thread rule: pure; one owner per struct raft.
 */
#ifndef VS_CONSENSUS_RAFT_H
#define VS_CONSENSUS_RAFT_H

#include "consensus/membership.h"
#include "consensus/message.h"
#include "consensus/raft_event.h"
#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct raft;

struct raft_config {
	uint64_t cluster;
	uint32_t id;
	uint32_t election_ms;       /* timeouts are drawn from [election_ms, 2 * election_ms) */
	uint32_t heartbeat_ms;      /* at most a third of election_ms */
	uint32_t disk_ms;           /* a write older than this means a hung disk (F57) */
	uint32_t append_bytes;      /* payload bytes of one APPEND; a larger entry goes alone */
	uint32_t inflight_bytes;    /* payload bytes sent to one peer and not acknowledged */
	uint32_t uncommitted_bytes; /* payload bytes proposed and not committed */
	uint32_t snapshot_chunk;    /* bytes of one SNAPSHOT message */
	uint32_t entries_max;       /* entries in the trail, a power of two */
	uint32_t terms_max;         /* terms in the trail */
};

/* What a node knows at its start, read back from its disk. */
struct raft_boot {
	struct raft_hard hard;
	/* State as of the checkpoint; index 0 and the first members for a new cluster. */
	struct raft_snapshot snapshot;
	uint64_t base_index, base_term; /* the log's entries start after it */
	uint64_t nonce;                 /* random; read requests of this life carry it */
	/* A partly received snapshot: bytes that are durable; index 0: none. */
	uint64_t partial_index, partial_term, partial_id, partial_offset;
	/*
	 * Entries whose bytes are lost (0: none).  damage_to beyond the entries
	 * that are restored says how far the log once reached.
	 */
	uint64_t damage_from, damage_to;
};

/* VS_ERR_CONFIG, VS_ERR_NOMEM.  *out is owned by the caller until raft_free. */
enum vs_err VS_MUST_USE raft_new(const struct raft_config *config, struct raft **out);
void raft_free(struct raft *r);

/*
 * Start-up: raft_restore, raft_restore_entry for each entry of the log in
 * order, raft_start.  VS_ERR_CORRUPT_LOG when the parts contradict each other
 * (a gap below the snapshot, falling terms, terms above hard.term),
 * VS_ERR_CORRUPT_VALUE for a configuration that does not decode,
 * VS_ERR_NOMEM when the log exceeds entries_max or terms_max.
 * raft_start may ask for a write: the log restarts when it does not hold the
 * snapshot's entry (F67, F77), and fresh damage is marked.
 */
enum vs_err VS_MUST_USE raft_restore(struct raft *r, const struct raft_boot *boot);
enum vs_err VS_MUST_USE raft_restore_entry(struct raft *r, uint64_t index,
					   const struct raft_entry *e);
enum vs_err VS_MUST_USE raft_start(struct raft *r, uint64_t now_ms, uint64_t random,
				   struct raft_update *up);

/*
 * One event.  *up is overwritten; messages in it point into r and into the
 * event and are good until the next step.  VS_ERR_STOPPED after RAFT_DISK_FAILED
 * or evidence; VS_ERR_INTERNAL when evidence turns up in this step.  Refusals
 * are verdicts, not errors.
 */
enum vs_err VS_MUST_USE raft_step(struct raft *r, const struct raft_event *ev,
				  struct raft_update *up);

/* Assert every invariant that can be seen from one node (README.md). */
void raft_check(const struct raft *r);

struct raft_status {
	enum raft_role role;
	uint32_t leader; /* 0: unknown */
	struct raft_hard hard;
	uint64_t commit, applied, durable, last, last_term, base;
	bool damaged, hung, config_pending, transferring;
};

struct raft_peer_status {
	uint32_t id;
	int state; /* enum progress_state */
	uint64_t match, next, contact_ms;
	uint64_t snapshot_index, snapshot_id; /* being sent to it, 0: none; keep it readable */
};

void raft_status(const struct raft *r, struct raft_status *out);

/* Peers of a leader into out[MEMBERS_MAX]; returns their number, 0 when not leading. */
uint32_t raft_peers(const struct raft *r, struct raft_peer_status *out);

/* The configuration in force; borrowed until the next step. */
const struct membership *raft_members(const struct raft *r);

/* Term of an entry of the log; false when it is not known. */
bool raft_term_of(const struct raft *r, uint64_t index, uint64_t *term);

/*
 * Entries up to this index are not needed by any peer that answered within
 * within_ms; compaction beyond it sends the others a snapshot (F72).
 */
uint64_t raft_needless(const struct raft *r, uint64_t now_ms, uint64_t within_ms);

const char *raft_role_name(enum raft_role role);

#endif
