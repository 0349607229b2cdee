#include "tests/sim/raft_solo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- a core alone: node `id` of voters 1..3, fed by hand ---- */

struct solo solo;

const struct raft_config solo_config = {
	.cluster = 7,
	.election_ms = 100,
	.heartbeat_ms = 20,
	.disk_ms = 100,
	.append_bytes = 1000,
	.inflight_bytes = 4000,
	.uncommitted_bytes = 10000,
	.snapshot_chunk = 100,
	.entries_max = 64,
	.terms_max = 16,
};

struct raft_boot boot_of(uint32_t voters, uint64_t term)
{
	struct raft_boot b = {.hard = {.term = term}, .nonce = 1000};

	for (uint32_t i = 1; i <= voters; i++) {
		struct member m = {.id = i, .role = MEMBER_VOTER};

		assert_int_equal(membership_set(&b.snapshot.members, &m), VS_OK);
	}
	return b;
}

/* Entries 1..n with these terms, already durable. */
void solo_open(uint32_t id, const struct raft_boot *b, const uint64_t *terms, uint32_t n)
{
	struct raft_config c = solo_config;

	c.id = id;
	raft_free(solo.r);
	solo.now = 1000;
	assert_int_equal(raft_new(&c, &solo.r), VS_OK);
	assert_int_equal(raft_restore(solo.r, b), VS_OK);
	for (uint32_t i = 0; i < n; i++) {
		struct raft_entry e = {.term = terms[i], .len = 10, .type = RAFT_ENTRY_DATA};

		assert_int_equal(raft_restore_entry(solo.r, b->base_index + i + 1, &e), VS_OK);
	}
	assert_int_equal(raft_start(solo.r, solo.now, 5, &solo.up), VS_OK);
}

enum vs_err solo_step(struct raft_event *ev)
{
	enum vs_err err;

	ev->now_ms = solo.now;
	ev->random = 5;
	err = raft_step(solo.r, ev, &solo.up);
	if (!err)
		raft_check(solo.r);
	return err;
}

enum vs_err solo_msg(struct raft_msg m)
{
	struct raft_event ev = {.type = RAFT_MESSAGE, .u.message = &m};

	m.cluster = 7;
	m.to = solo.r->cfg.id;
	return solo_step(&ev);
}

void solo_durable(void)
{
	struct raft_event ev = {.type = RAFT_DURABLE};

	ev.u.durable.seq = solo.r->write_seq;
	ev.u.durable.last_index = solo.r->trail.last;
	ev.u.durable.last_term = trail_last_term(&solo.r->trail);
	assert_int_equal(solo_step(&ev), VS_OK);
}

void solo_tick(uint64_t ms)
{
	struct raft_event ev = {.type = RAFT_TICK};

	solo.now += ms;
	assert_int_equal(solo_step(&ev), VS_OK);
}

enum raft_verdict solo_propose(uint32_t count, uint32_t len)
{
	struct raft_entry e[8];
	struct raft_event ev = {.type = RAFT_PROPOSE};

	for (uint32_t i = 0; i < count; i++)
		e[i] = (struct raft_entry){.type = RAFT_ENTRY_DATA, .len = len};
	ev.u.propose.entries = e;
	ev.u.propose.count = count;
	assert_int_equal(solo_step(&ev), VS_OK);
	return solo.up.verdict;
}

/* The n-th message (0 first) of that type in the update, NULL when there is none. */
const struct raft_msg *sent(enum message_type type, uint32_t n)
{
	for (uint32_t i = 0; i < solo.up.msg_count; i++) {
		if (solo.up.msgs[i].type == type && n-- == 0)
			return &solo.up.msgs[i];
	}
	return NULL;
}

const struct raft_msg *sent_to(enum message_type type, uint32_t to)
{
	for (uint32_t i = 0; i < solo.up.msg_count; i++) {
		if (solo.up.msgs[i].type == type && solo.up.msgs[i].to == to)
			return &solo.up.msgs[i];
	}
	return NULL;
}

/* An APPEND of entries prev + 1.. with these terms. */
enum vs_err solo_append(uint32_t from, uint64_t term, uint64_t prev, uint64_t prev_term,
			const uint64_t *terms, uint32_t n, uint64_t commit)
{
	struct raft_entry e[16];

	for (uint32_t i = 0; i < n; i++)
		e[i] = (struct raft_entry){.term = terms[i], .len = 10, .type = RAFT_ENTRY_DATA};
	return solo_msg((struct raft_msg){.type = MESSAGE_APPEND,
					  .from = from,
					  .term = term,
					  .index = prev,
					  .log_term = prev_term,
					  .commit = commit,
					  .count = n,
					  .entries = e});
}

/* Make the solo node leader of the next term by the vote of node 2 (or alone). */
void solo_lead(void)
{
	solo_tick(300);
	if (solo.r->role == RAFT_PRECANDIDATE)
		assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_PREVOTE_RESP,
							    .from = 2,
							    .term = solo.r->hard.term + 1}),
				 VS_OK);
	assert_int_equal(solo.r->role, RAFT_CANDIDATE);
	solo_durable();
	if (solo.r->role == RAFT_CANDIDATE)
		assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_VOTE_RESP,
							    .from = 2,
							    .term = solo.r->hard.term}),
				 VS_OK);
	assert_int_equal(solo.r->role, RAFT_LEADER);
}

void solo_ack(uint32_t from, uint64_t index)
{
	assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_APPEND_RESP,
						    .from = from,
						    .term = solo.r->hard.term,
						    .index = index}),
			 VS_OK);
}

enum vs_err solo_read(uint64_t token)
{
	struct raft_event ev = {.type = RAFT_READ};

	ev.u.read.token = token;
	return solo_step(&ev);
}

void solo_heartbeat_resp(uint32_t from, uint64_t round)
{
	assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_HEARTBEAT_RESP,
						    .from = from,
						    .term = solo.r->hard.term,
						    .ctx = round}),
			 VS_OK);
}

enum raft_verdict solo_change(bool remove, uint32_t id, enum member_role role)
{
	struct raft_event ev = {.type = RAFT_CHANGE};

	ev.u.change.remove = remove;
	ev.u.change.node = (struct member){.id = id, .role = role};
	assert_int_equal(solo_step(&ev), VS_OK);
	return solo.up.verdict;
}

/* ---- a cluster ---- */

struct sim *cluster(uint64_t seed, uint32_t nodes)
{
	struct sim_options opt = {.seed = seed, .nodes = nodes, .voters = nodes, .delay_us = 500};

	return sim_new(&opt);
}

void assert_fine(struct sim *s)
{
	if (sim_why(s))
		print_error("%s\n", sim_why(s));
	assert_null(sim_why(s));
}

void assert_leads(struct sim *s)
{
	assert_true(sim_until(s, 5000 * SIM_MS, sim_has_leader, 0));
	assert_fine(s);
}

/* Healed, converged, serving, everything answered present; frees s. */
void finish(struct sim *s)
{
	uint32_t w;

	sim_heal(s);
	if (!sim_until(s, 20000 * SIM_MS, sim_converged, 0))
		print_error("no convergence: %s\n", sim_why(s) ? sim_why(s) : "");
	assert_fine(s);
	assert_true(sim_converged(s, 0));
	w = sim_write(s, sim_leader(s));
	assert_int_not_equal(w, UINT32_MAX);
	assert_true(sim_until(s, 5000 * SIM_MS, sim_converged, 0));
	assert_int_equal(s->ops[w].state, SIM_OP_OK);
	sim_check_history(s);
	assert_fine(s);
	sim_free(s);
}

void write_some(struct sim *s, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (sim_leader(s))
			(void)sim_write(s, sim_leader(s));
		(void)sim_run(s, 5 * SIM_MS);
	}
}

uint32_t other_than(struct sim *s, uint32_t a, uint32_t b)
{
	for (uint32_t i = 1; i <= s->opt.nodes; i++) {
		if (i != a && i != b)
			return i;
	}
	return 0;
}

int close_solo(void **state)
{
	(void)state;
	raft_free(solo.r);
	solo.r = NULL;
	return 0;
}
