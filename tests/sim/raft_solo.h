/*
 * raft_solo: one core fed by hand, and shorthands for scripted clusters; for
 * the tests of single faults.
 *
 * The solo core is a node of voters 1..n; its time moves when a test says so.
 * Failures end the test.
 */
#ifndef VS_TESTS_SIM_RAFT_SOLO_H
#define VS_TESTS_SIM_RAFT_SOLO_H

#include "tests/sim/raft_sim.h"

struct solo {
	struct raft *r;
	uint64_t now;
	struct raft_update up; /* of the last step */
};

extern struct solo solo;
extern const struct raft_config solo_config;

/* Voters 1..voters, empty log, hard state at that term. */
struct raft_boot boot_of(uint32_t voters, uint64_t term);

/* Entries base + 1.. with these terms, already durable. */
void solo_open(uint32_t id, const struct raft_boot *b, const uint64_t *terms, uint32_t n);
enum vs_err solo_step(struct raft_event *ev);
enum vs_err solo_msg(struct raft_msg m);
/* Everything written so far is durable. */
void solo_durable(void);
void solo_tick(uint64_t ms);
enum raft_verdict solo_propose(uint32_t count, uint32_t len);

/* The n-th message (0 first) of that type in the update, or to that node; NULL: none. */
const struct raft_msg *sent(enum message_type type, uint32_t n);
const struct raft_msg *sent_to(enum message_type type, uint32_t to);
enum vs_err solo_append(uint32_t from, uint64_t term, uint64_t prev, uint64_t prev_term,
			const uint64_t *terms, uint32_t n, uint64_t commit);

/* Make the solo node leader of the next term by the vote of node 2 (or alone). */
void solo_lead(void);
void solo_ack(uint32_t from, uint64_t index);
enum vs_err solo_read(uint64_t token);
void solo_heartbeat_resp(uint32_t from, uint64_t round);
enum raft_verdict solo_change(bool remove, uint32_t id, enum member_role role);

/* ---- clusters; assert_* and finish end the test on a violation ---- */

struct sim *cluster(uint64_t seed, uint32_t nodes);
void assert_fine(struct sim *s);
void assert_leads(struct sim *s);
/* Healed, converged, serving, everything answered present; frees s. */
void finish(struct sim *s);
void write_some(struct sim *s, uint32_t count);
uint32_t other_than(struct sim *s, uint32_t a, uint32_t b);
int close_solo(void **state);

#endif
