/*
 * test_raft_faults_more: one test per fault of FAULTS.md, sections C and D.
 *
 * Where a fault is mostly somebody else's (F41, F44: handshake), the test shows the core's part and
 * says whose the rest is.
 */
#include "engine/base/assert.h"
#include "tests/sim/raft_solo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- C. reads ---- */

static void F33_read_waits_for_the_noop(void **state)
{
	struct raft_boot b = boot_of(3, 1);

	(void)state;
	solo_open(1, &b, NULL, 0);
	solo_lead();
	assert_int_equal(solo_read(1), VS_OK);
	assert_int_equal(solo.up.read_count, 0);
	solo_heartbeat_resp(2, 0);
	assert_int_equal(solo.up.read_count, 0);
	solo_durable();
	solo_ack(2, 1); /* the NOOP commits; the read's round begins */
	assert_int_equal(solo.up.read_count, 0);
	solo_heartbeat_resp(2, 1);
	assert_int_equal(solo.up.read_count, 1);
	assert_int_equal(solo.up.reads[0].index, 1);
}

static void F34_deposed_leader_answers_no_read(void **state)
{
	struct sim *s = cluster(34, 3);
	uint32_t l, r, w;

	(void)state;
	assert_leads(s);
	l = sim_leader(s);
	sim_isolate(s, l, true);
	assert_true(sim_run(s, 1000 * SIM_MS));
	w = sim_write(s, sim_leader(s));
	assert_true(sim_run(s, 100 * SIM_MS));
	assert_int_equal(s->ops[w].state, SIM_OP_OK);
	r = sim_read(s, l);
	assert_true(sim_run(s, 300 * SIM_MS));
	assert_int_not_equal(s->ops[r].state, SIM_OP_OK);
	finish(s);
	/* Paused (SIGSTOP) while it led: the first thing it does must not be a stale answer. */
	s = cluster(341, 3);
	assert_leads(s);
	l = sim_leader(s);
	sim_isolate(s, l, true);
	s->node[l].rate_pm = 1; /* its clock stands still */
	s->node[l].offset_ms += s->now_us / 1000;
	assert_true(sim_run(s, 1000 * SIM_MS));
	w = sim_write(s, sim_leader(s) == l ? other_than(s, l, 0) : sim_leader(s));
	assert_true(sim_run(s, 100 * SIM_MS));
	r = sim_read(s, l);
	assert_true(sim_run(s, 100 * SIM_MS));
	assert_int_not_equal(s->ops[r].state, SIM_OP_OK);
	s->node[l].offset_ms -= s->now_us / 1000 - 1000;
	s->node[l].rate_pm = 1000;
	(void)w;
	finish(s);
}

static void F35_each_attempt_has_its_own_round(void **state)
{
	struct raft_boot b = boot_of(3, 1);
	uint64_t first;

	(void)state;
	/* Leader: an answer to an earlier round does not confirm a later read. */
	solo_open(1, &b, NULL, 0);
	solo_lead();
	solo_durable();
	solo_ack(2, 1);
	assert_int_equal(solo_read(1), VS_OK);
	assert_int_equal(sent(MESSAGE_HEARTBEAT, 0)->ctx, 1);
	assert_int_equal(solo_read(2), VS_OK); /* comes too late for round 1 */
	solo_heartbeat_resp(2, 1);
	assert_int_equal(solo.up.read_count, 1);
	assert_int_equal(solo.up.reads[0].token, 1);
	assert_int_equal(sent(MESSAGE_HEARTBEAT, 0)->ctx, 2);
	solo_heartbeat_resp(3, 1);
	assert_int_equal(solo.up.read_count, 0);
	solo_heartbeat_resp(3, 2);
	assert_int_equal(solo.up.reads[0].token, 2);
	/* Follower: the answer to an attempt that was given up does not count. */
	solo_open(1, &b, NULL, 0);
	assert_int_equal(solo_append(2, 1, 0, 0, NULL, 0, 0), VS_OK);
	assert_int_equal(solo_read(7), VS_OK);
	first = sent(MESSAGE_READ, 0)->ctx;
	solo.now += 99;
	assert_int_equal(solo_append(2, 1, 0, 0, NULL, 0, 0), VS_OK);
	solo_tick(10); /* asked again */
	assert_int_not_equal(sent(MESSAGE_READ, 0)->ctx, first);
	assert_int_equal(solo_msg((struct raft_msg){
				 .type = MESSAGE_READ_RESP, .from = 2, .term = 1, .ctx = first}),
			 VS_OK);
	assert_int_equal(solo.up.read_count, 0);
	assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_READ_RESP,
						    .from = 2,
						    .term = 1,
						    .ctx = first + 1}),
			 VS_OK);
	assert_int_equal(solo.up.read_count, 1);
	/* Another life counts from another nonce. */
	b.nonce = 77777;
	solo_open(1, &b, NULL, 0);
	assert_int_equal(solo_append(2, 1, 0, 0, NULL, 0, 0), VS_OK);
	assert_int_equal(solo_read(7), VS_OK);
	assert_int_not_equal(sent(MESSAGE_READ, 0)->ctx, first);
}

static void F36_read_quorum_is_a_majority(void **state)
{
	struct raft_boot b = boot_of(5, 1);

	(void)state;
	solo_open(1, &b, NULL, 0);
	solo_tick(300);
	for (uint32_t i = 2; i <= 3; i++)
		assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_PREVOTE_RESP,
							    .from = i,
							    .term = 2}),
				 VS_OK);
	solo_durable();
	for (uint32_t i = 2; i <= 3; i++)
		assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_VOTE_RESP,
							    .from = i,
							    .term = 2}),
				 VS_OK);
	solo_durable();
	solo_ack(2, 1);
	solo_ack(3, 1);
	assert_int_equal(solo_read(1), VS_OK);
	solo_heartbeat_resp(2, 1);
	assert_int_equal(solo.up.read_count, 0); /* two of five, self included */
	solo_heartbeat_resp(2, 1);
	assert_int_equal(solo.up.read_count, 0);
	solo_heartbeat_resp(4, 1);
	assert_int_equal(solo.up.read_count, 1);
}

/* F37: there are no leases: elect_heard only withholds votes; no read depends on a clock. */
static void F37_no_read_depends_on_a_clock(void **state)
{
	struct sim *s = cluster(37, 3);
	uint32_t l;

	(void)state;
	assert_leads(s);
	l = sim_leader(s);
	s->node[l].rate_pm = 100; /* believes it has just heard everyone */
	s->node[l].offset_ms += s->now_us / 1000;
	sim_isolate(s, l, true);
	assert_true(sim_run(s, 1500 * SIM_MS));
	write_some(s, 5);
	(void)sim_read(s, l);
	assert_true(sim_run(s, 200 * SIM_MS)); /* the read checker watches */
	s->node[l].rate_pm = 1000;
	finish(s);
}

/* ---- D. membership, identity ---- */

static void F38_change_only_after_an_own_term_commit(void **state)
{
	struct raft_boot b = boot_of(3, 1);

	(void)state;
	solo_open(1, &b, NULL, 0);
	solo_lead();
	assert_int_equal(solo_change(false, 4, MEMBER_VOTER), RAFT_BUSY);
	solo_durable();
	solo_ack(2, 1);
	assert_int_equal(solo_change(false, 4, MEMBER_VOTER), RAFT_ACCEPTED);
	assert_int_equal(solo_change(false, 5, MEMBER_VOTER), RAFT_BUSY); /* one at a time */
	solo_durable();
	solo_ack(2, 2);
	assert_int_equal(solo.r->commit, 1); /* four voters now: two are no majority */
	solo_ack(3, 2);
	assert_int_equal(solo.r->commit, 2);
	assert_int_equal(solo_change(false, 5, MEMBER_VOTER), RAFT_ACCEPTED);
}

static void F39_removed_leader_of_two(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 6; seed++) {
		struct sim *s = cluster(390 + seed, 2);
		uint32_t l, o;

		assert_leads(s);
		l = sim_leader(s);
		o = other_than(s, l, 0);
		write_some(s, 3);
		assert_int_equal(sim_change(s, l, true, l, MEMBER_VOTER, false), RAFT_ACCEPTED);
		/* The last messages get lost at different moments. */
		assert_true(sim_run(s, (seed + 1) * 300));
		sim_isolate(s, l, true);
		assert_true(sim_run(s, 1000 * SIM_MS));
		memset(s->cut, 0, sizeof s->cut);
		assert_true(sim_until(s, 5000 * SIM_MS, sim_has_leader, 0));
		assert_true(sim_run(s, 3000 * SIM_MS));
		assert_int_equal(sim_leader(s), o); /* it alone is the group */
		assert_int_equal(s->node[o].raft->members.count, 1);
		s->opt.nodes = 2;
		finish(s);
	}
}

static void F40_removed_node_disturbs_no_one(void **state)
{
	struct sim *s = cluster(40, 3);
	uint32_t l, gone;
	uint64_t term;

	(void)state;
	assert_leads(s);
	l = sim_leader(s);
	gone = other_than(s, l, 0);
	/* It never learns of its removal. */
	sim_isolate(s, gone, true);
	assert_true(sim_run(s, 50 * SIM_MS));
	assert_int_equal(sim_change(s, l, true, gone, MEMBER_VOTER, false), RAFT_ACCEPTED);
	assert_true(sim_run(s, 1000 * SIM_MS));
	term = s->node[l].raft->hard.term;
	sim_isolate(s, gone, false);
	assert_true(sim_run(s, 3000 * SIM_MS));
	assert_int_equal(s->node[l].raft->role, RAFT_LEADER);
	assert_int_equal(s->node[l].raft->hard.term, term);
	/* A demoted leader steps down when that has committed. */
	assert_int_equal(sim_change(s, l, false, l, MEMBER_LEARNER, false), RAFT_ACCEPTED);
	assert_true(sim_run(s, 1000 * SIM_MS));
	assert_int_not_equal(sim_leader(s), l);
	assert_int_not_equal(sim_leader(s), 0);
	finish(s);
}

static void F40_who_hears_its_leader_elects_no_other(void **state)
{
	struct raft_boot b = boot_of(3, 1);
	struct raft_msg vote = {
		.type = MESSAGE_VOTE, .from = 3, .term = 5, .index = 9, .log_term = 1};

	(void)state;
	solo_open(1, &b, NULL, 0);
	assert_int_equal(solo_append(2, 1, 0, 0, NULL, 0, 0), VS_OK);
	solo.now += 50;
	assert_int_equal(solo_msg(vote), VS_OK);
	assert_int_equal(solo.r->hard.term, 1);
	assert_int_equal(solo.up.msg_count, 0);
	/* Unless that leader asked for it, or has not been heard for long. */
	vote.flags = MESSAGE_TRANSFER;
	assert_int_equal(solo_msg(vote), VS_OK);
	assert_int_equal(solo.r->hard.vote, 3);
	solo_open(1, &b, NULL, 0);
	assert_int_equal(solo_append(2, 1, 0, 0, NULL, 0, 0), VS_OK);
	solo.now += 100;
	vote.flags = 0;
	assert_int_equal(solo_msg(vote), VS_OK);
	assert_int_equal(solo.r->hard.vote, 3);
}

static void F41_lost_disk_comes_back_as_a_learner_under_a_new_id(void **state)
{
	struct sim *s = cluster(41, 3);
	uint32_t l, lost;

	/*
	 * That an emptied directory under an old id is refused is the node's
	 * start-up and the handshake (store identity); the core's part is the
	 * way back: remove the old id, add a new one as a learner.
	 */
	(void)state;
	assert_leads(s);
	write_some(s, 10);
	l = sim_leader(s);
	lost = other_than(s, l, 0);
	sim_crash(s, lost);
	s->opt.nodes = 4;
	sim_start(s, 4);
	assert_int_equal(sim_change(s, l, false, 4, MEMBER_LEARNER, true), RAFT_ACCEPTED);
	assert_true(sim_run(s, 1000 * SIM_MS));
	assert_true(membership_is_voter(&s->node[l].raft->members, 4)); /* promoted by itself */
	assert_int_equal(sim_change(s, l, true, lost, MEMBER_VOTER, false), RAFT_ACCEPTED);
	assert_true(sim_run(s, 500 * SIM_MS));
	assert_int_equal(membership_voters(&s->node[l].raft->members), 3);
	write_some(s, 5);
	finish(s);
}

static void F42_truncated_configuration_rolls_back(void **state)
{
	struct raft_boot b = boot_of(3, 2);
	struct membership next = b.snapshot.members;
	struct member four = {.id = 4, .role = MEMBER_VOTER};
	uint8_t bytes[MEMBERSHIP_ENCODED_MAX];
	struct raft_entry e[1];
	const uint64_t three[] = {3};

	(void)state;
	/* Also when it is the only one after a snapshot. */
	b.snapshot.index = b.base_index = 5;
	b.snapshot.term = b.base_term = 2;
	assert_int_equal(membership_set(&next, &four), VS_OK);
	solo_open(1, &b, NULL, 0);
	e[0] = (struct raft_entry){.term = 2,
				   .type = RAFT_ENTRY_CONFIG,
				   .data = bytes,
				   .len = (uint32_t)membership_encode(&next, bytes, sizeof bytes)};
	assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_APPEND,
						    .from = 2,
						    .term = 2,
						    .index = 5,
						    .log_term = 2,
						    .count = 1,
						    .entries = e}),
			 VS_OK);
	assert_int_equal(raft_members(solo.r)->count, 4); /* in force at once */
	assert_int_equal(solo_append(3, 3, 5, 2, three, 1, 0), VS_OK);
	assert_int_equal(raft_members(solo.r)->count, 3);
	assert_int_equal(solo.r->members_index, 0);
}

static void F43_configuration_counts_from_the_log_not_from_apply(void **state)
{
	struct raft_boot b = boot_of(3, 2);
	struct membership next = b.snapshot.members;
	uint8_t bytes[MEMBERSHIP_ENCODED_MAX];
	struct raft_entry e[1];

	(void)state;
	/* Committed, not applied, removal of this very node: it must not campaign by the old one.
	 */
	assert_int_equal(membership_remove(&next, 1), VS_OK);
	solo_open(1, &b, NULL, 0);
	e[0] = (struct raft_entry){.term = 2,
				   .type = RAFT_ENTRY_CONFIG,
				   .data = bytes,
				   .len = (uint32_t)membership_encode(&next, bytes, sizeof bytes)};
	assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_APPEND,
						    .from = 2,
						    .term = 2,
						    .count = 1,
						    .commit = 1,
						    .entries = e}),
			 VS_OK);
	assert_int_equal(solo.r->commit, 1);
	assert_int_equal(solo.r->applied, 0);
	solo_durable();
	solo_tick(1000);
	assert_int_equal(solo.r->role, RAFT_FOLLOWER);
	assert_null(sent(MESSAGE_PREVOTE, 0));
}

static void F44_other_cluster_is_not_heard(void **state)
{
	struct raft_boot b = boot_of(3, 1);
	struct raft_msg m = {
		.type = MESSAGE_VOTE, .cluster = 8, .from = 2, .to = 1, .term = 9, .index = 9};
	struct raft_event ev = {.type = RAFT_MESSAGE, .u.message = &m};

	/* The handshake of the transport refuses it first; the core does not rely on that. */
	(void)state;
	solo_open(1, &b, NULL, 0);
	assert_int_equal(solo_step(&ev), VS_OK);
	assert_int_equal(solo.up.verdict, RAFT_DROPPED);
	assert_int_equal(solo.r->hard.term, 1);
	m.cluster = 7;
	m.to = 2;
	assert_int_equal(solo_step(&ev), VS_OK);
	assert_int_equal(solo.up.verdict, RAFT_DROPPED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(F33_read_waits_for_the_noop),
		cmocka_unit_test(F34_deposed_leader_answers_no_read),
		cmocka_unit_test(F35_each_attempt_has_its_own_round),
		cmocka_unit_test(F36_read_quorum_is_a_majority),
		cmocka_unit_test(F37_no_read_depends_on_a_clock),
		cmocka_unit_test(F38_change_only_after_an_own_term_commit),
		cmocka_unit_test(F39_removed_leader_of_two),
		cmocka_unit_test(F40_removed_node_disturbs_no_one),
		cmocka_unit_test(F40_who_hears_its_leader_elects_no_other),
		cmocka_unit_test(F41_lost_disk_comes_back_as_a_learner_under_a_new_id),
		cmocka_unit_test(F42_truncated_configuration_rolls_back),
		cmocka_unit_test(F43_configuration_counts_from_the_log_not_from_apply),
		cmocka_unit_test(F44_other_cluster_is_not_heard),
	};

	return cmocka_run_group_tests(tests, NULL, close_solo);
}
