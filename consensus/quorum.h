/*
 * quorum: majorities (Ongaro thesis 3.4, 3.6).
 *
 * Thread rule: pure.
 */
#ifndef VS_CONSENSUS_QUORUM_H
#define VS_CONSENSUS_QUORUM_H

#include <stdbool.h>
#include <stdint.h>

/* Smallest number of voters that meets every other such number; voters is 1 or more. */
uint32_t quorum_size(uint32_t voters);

/*
 * The highest index that a majority has reached: the quorum_size(count)-th
 * largest of match[0..count-1], each voter's durable index.  Reorders match.
 * count is 1 or more.
 */
uint64_t quorum_index(uint64_t *match, uint32_t count);

enum quorum_result { QUORUM_OPEN, QUORUM_WON, QUORUM_LOST };

/* Outcome of a vote among voters with so many in favour and against. */
enum quorum_result quorum_vote(uint32_t voters, uint32_t yes, uint32_t no);

#endif
