/*
 * message: what nodes of a group say to each other, and its wire form.
 *
 * A message is a fixed header and, for two types, a body: APPEND carries a
 * table of entries, SNAPSHOT a membership.  Payload bytes (entry records,
 * snapshot chunks) are not part of it: the transport sends data_len bytes of
 * them after the body, and on receipt points entries[].data at them.
 *
 * Meaning of the fields per type (all others are zero):
 *
 *   type            index          log_term   commit       ctx     offset  flags
 *   PREVOTE         last index     last term
 *   PREVOTE_RESP                                                           REJECT
 *   VOTE            last index     last term                               TRANSFER
 *   VOTE_RESP                                                              REJECT
 *   APPEND          prev index     prev term  leader's
 *   APPEND_RESP     ack, or prev   hint term  hint index                   REJECT
 *   HEARTBEAT                                 known there  round
 *   HEARTBEAT_RESP                                         round            REJECT
 *   SNAPSHOT        snapshot's     snapshot's config index id      chunk's DONE
 *   SNAPSHOT_RESP   snapshot's     snapshot's ack, or 0    id      stored  DONE
 *   READ                                                   request
 *   READ_RESP       read index                             request         REJECT
 *   TIMEOUT_NOW
 *
 * REJECT in HEARTBEAT_RESP: the commit index was beyond what this node knows to
 * match (it restarted); an APPEND, if only an empty one, is wanted.
 *
 * term is the sender's, but in PREVOTE and a granted PREVOTE_RESP the term that
 * would follow.  era (responses) is the number of times the sender lost
 * entries it had acknowledged; see raft.h, "Damage".
 *
 * Wire form, little-endian, MESSAGE_HEADER_LEN bytes:
 *     0 u32 magic "VSRM"   4 u8 version 1   5 u8 type   6 u16 flags
 *     8 u64 cluster       16 u32 from      20 u32 to   24 u64 term
 *    32 u64 index         40 u64 log_term  48 u64 commit
 *    56 u64 ctx           64 u64 offset    72 u32 era  76 u32 entry count
 *    80 u32 body_len      84 u32 data_len  88 u32 CRC32C of the body
 *    92 u32 CRC32C of bytes 0..91
 * Body of APPEND, per entry: u64 term, u32 len, u8 type, 3 zero bytes.
 * Body of SNAPSHOT: a membership as membership.h says.
 * The header checksum is verified before a length is believed.
 *
 * Thread rule: pure.
 */
#ifndef VS_CONSENSUS_MESSAGE_H
#define VS_CONSENSUS_MESSAGE_H

#include "consensus/membership.h"
#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_HEADER_LEN 96u
#define MESSAGE_ENTRY_LEN 16u
#define MESSAGE_ENTRIES_MAX 256u
#define MESSAGE_DATA_MAX (64u << 20) /* payload bytes behind one message */
#define MESSAGE_BODY_MAX (MESSAGE_ENTRIES_MAX * MESSAGE_ENTRY_LEN)
#define MESSAGE_LEN_MAX (MESSAGE_HEADER_LEN + MESSAGE_BODY_MAX)

_Static_assert(MEMBERSHIP_ENCODED_MAX <= MESSAGE_BODY_MAX, "a membership fits a body");

enum message_type {
	MESSAGE_PREVOTE = 1,
	MESSAGE_PREVOTE_RESP,
	MESSAGE_VOTE,
	MESSAGE_VOTE_RESP,
	MESSAGE_APPEND,
	MESSAGE_APPEND_RESP,
	MESSAGE_HEARTBEAT,
	MESSAGE_HEARTBEAT_RESP,
	MESSAGE_SNAPSHOT,
	MESSAGE_SNAPSHOT_RESP,
	MESSAGE_READ,
	MESSAGE_READ_RESP,
	MESSAGE_TIMEOUT_NOW,
	MESSAGE_TYPE_END,
};

enum message_flags {
	MESSAGE_REJECT = 1,
	MESSAGE_TRANSFER = 2, /* the leader asked for this election (thesis 3.10) */
	MESSAGE_DONE = 4,     /* last chunk; in the answer: installed */
};

enum raft_entry_type {
	RAFT_ENTRY_NOOP = 1, /* first of a term; no payload */
	RAFT_ENTRY_DATA = 2, /* opaque */
	RAFT_ENTRY_CONFIG = 3,
};

/* Metadata of one entry.  data is set where the payload is at hand (CONFIG: always). */
struct raft_entry {
	uint64_t term;
	uint32_t len; /* payload bytes */
	enum raft_entry_type type;
	const void *data; /* borrowed; len bytes or NULL */
};

struct raft_msg {
	enum message_type type;
	uint32_t flags;
	uint64_t cluster;
	uint32_t from, to;
	uint64_t term;
	uint64_t index, log_term, commit, ctx, offset;
	uint32_t era;
	uint32_t data_len;
	/*
	 * APPEND: the entries index + 1 .. index + count.  entries is borrowed;
	 * in a message that the core sends it is NULL, the sender reads the
	 * entries from its log.
	 */
	uint32_t count;
	const struct raft_entry *entries;
	const struct membership *members; /* SNAPSHOT; borrowed */
};

/* Room for what a decoded message points to. */
struct message_store {
	struct raft_entry entries[MESSAGE_ENTRIES_MAX];
	struct membership members;
};

/*
 * Encode m, whose entries or members are set as its type asks, to buf of cap
 * bytes (MESSAGE_LEN_MAX is always enough); returns the length.
 */
size_t message_encode(const struct raft_msg *m, void *buf, size_t cap);

/*
 * Length of the body and of the payload that follow a header of
 * MESSAGE_HEADER_LEN bytes.  VS_ERR_BAD_FRAME when the header does not verify
 * or exceeds a limit.
 */
enum vs_err VS_MUST_USE message_peek(const void *header, uint32_t *body_len, uint32_t *data_len);

/*
 * Decode exactly one header and body.  *out points into store, which the
 * caller keeps as long as the message.  entries[].data is NULL.  Hostile input
 * is fine: VS_ERR_BAD_FRAME.
 */
enum vs_err VS_MUST_USE message_decode(struct bytes b, struct message_store *store,
				       struct raft_msg *out);

/* Static name ("APPEND"), "?" for others. */
const char *message_name(enum message_type type);

#endif
