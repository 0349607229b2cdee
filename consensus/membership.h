/*
 * membership: who belongs to the group, and in which role.
 *
 * A membership is a value: a list of members sorted by id, at most
 * MEMBERS_MAX.  Voters elect and commit; learners receive the log and count
 * for nothing (Ongaro thesis 4.2.1).  One change touches one member, so any
 * majority of the old voters meets any majority of the new ones (thesis 4.1);
 * membership_one_step says whether that holds for two memberships.
 *
 * Id 0 is no node: it is refused here, so a vote for "none" cannot be mistaken
 * for a vote for a node (F09).
 *
 * Encoded form, little-endian, the payload of a configuration entry:
 *   u8 version 1 | u8 count | u16 zero
 *   count times, ids rising: u32 id | u8 role | u8 promote | u16 addr_len | addr
 *
 * Thread rule: pure.
 */
#ifndef VS_CONSENSUS_MEMBERSHIP_H
#define VS_CONSENSUS_MEMBERSHIP_H

#include "engine/base/bytes.h"
#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMBERS_MAX 16u
#define MEMBER_ADDR_MAX 64u /* bytes with the final zero */

enum member_role {
	MEMBER_LEARNER = 1,
	MEMBER_VOTER = 2,
};

struct member {
	uint32_t id; /* 1.. */
	enum member_role role;
	bool promote;               /* a learner that becomes a voter when caught up */
	char addr[MEMBER_ADDR_MAX]; /* zero-terminated; meaning is the transport's */
};

struct membership {
	uint32_t count;
	struct member m[MEMBERS_MAX];
};

#define MEMBERSHIP_ENCODED_MAX (4u + MEMBERS_MAX * (8u + MEMBER_ADDR_MAX))

/* The member with that id, or NULL; borrowed from m. */
const struct member *membership_find(const struct membership *m, uint32_t id);

/* True when id is a voter of m; false for strangers and learners. */
bool membership_is_voter(const struct membership *m, uint32_t id);

uint32_t membership_voters(const struct membership *m);

/*
 * Add or replace one member.  VS_ERR_INVAL (id 0, bad role, unterminated
 * address), VS_ERR_RANGE (MEMBERS_MAX reached); m is unchanged on error.
 */
enum vs_err VS_MUST_USE membership_set(struct membership *m, const struct member *node);

/* VS_ERR_NOENT when there is no such member. */
enum vs_err VS_MUST_USE membership_remove(struct membership *m, uint32_t id);

/* True when at most one id differs in being a voter (thesis 4.1). */
bool membership_one_step(const struct membership *a, const struct membership *b);

bool membership_equal(const struct membership *a, const struct membership *b);

/* Encode to buf of cap bytes; returns the length.  cap is at least MEMBERSHIP_ENCODED_MAX. */
size_t membership_encode(const struct membership *m, void *buf, size_t cap);

/* Hostile input is fine.  VS_ERR_BAD_FRAME unless the bytes are exactly one valid encoding. */
enum vs_err VS_MUST_USE membership_decode(struct membership *out, struct bytes b);

/* Assert: sorted, unique, nonzero ids, roles in range, count within bounds. */
void membership_check(const struct membership *m);

#endif
