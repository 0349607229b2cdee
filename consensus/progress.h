/*
 * progress: what a leader knows and does about one peer.
 *
 *            ack                     log no longer reaches back
 *   PROBE --------> REPLICATE      PROBE, REPLICATE ----> SNAPSHOT
 *     ^               | reject                               |
 *     +---------------+      <-------------------------------+ installed
 *
 * PROBE: one message at a time, until the place where the logs agree is found.
 * REPLICATE: messages are sent ahead of the answers (Ongaro thesis 10.2.1), at
 * most PROGRESS_INFLIGHT_MAX of them and a configured number of bytes.
 * SNAPSHOT: no entries; one chunk at a time.
 *
 * Invariants (C9): match < next; in-flight counts within their bounds.
 *
 * Thread rule: pure.
 */
#ifndef VS_CONSENSUS_PROGRESS_H
#define VS_CONSENSUS_PROGRESS_H

#include "consensus/membership.h"

#include <stdbool.h>
#include <stdint.h>

#define PROGRESS_INFLIGHT_MAX 64u

enum progress_state {
	PROGRESS_PROBE,
	PROGRESS_REPLICATE,
	PROGRESS_SNAPSHOT,
};

struct progress_inflight {
	uint64_t last; /* index of the last entry of the message */
	uint64_t bytes;
};

struct progress {
	uint32_t id;
	enum progress_state state;
	uint64_t match; /* durable there, as far as it told us */
	uint64_t next;  /* first entry to send */
	uint64_t commit_sent;
	bool probe_sent;     /* PROBE: one is on its way */
	bool active;         /* answered since the last quorum check */
	uint64_t contact_ms; /* last answer */
	uint64_t nudge_ms;   /* last time a possibly stalled pipeline was probed */
	uint64_t read_ctx;   /* highest heartbeat round it answered in this term */
	uint32_t era;        /* see raft.h, "Damage" */

	uint32_t fl_head, fl_count;
	uint64_t fl_bytes;
	struct progress_inflight fl[PROGRESS_INFLIGHT_MAX];

	/* SNAPSHOT: what is being sent, how much is stored there, and since when we wait. */
	uint64_t snap_index, snap_term, snap_id, snap_offset;
	uint64_t snap_sent_ms; /* 0: the chunk at snap_offset is to be sent */
	uint64_t snap_config_index;
	struct membership snap_members;

	/* A learner catches up in rounds (thesis 4.2.1): the target and when the round began. */
	uint64_t round_target, round_ms;
};

/* Start in PROBE with nothing known; last is the leader's last index. */
void progress_init(struct progress *p, uint32_t id, uint64_t last, uint64_t now_ms);

/* Enter PROBE; next_index is where to try, raised to match + 1. */
void progress_probe(struct progress *p, uint64_t next_index);
void progress_replicate(struct progress *p);
void progress_snapshot(struct progress *p, uint64_t index, uint64_t term, uint64_t id);

/* True when a message with entries may be sent; bytes_max bounds those in flight. */
bool progress_may_send(const struct progress *p, uint64_t bytes_max);

/* A message with count entries up to last, of so many bytes, was handed out. */
void progress_sent(struct progress *p, uint64_t last, uint32_t count, uint64_t bytes);

/* The peer has everything up to index durable.  True when match rose. */
bool progress_ack(struct progress *p, uint64_t index);

/* Assert C9. */
void progress_check(const struct progress *p);

#endif
