/*
 * test_raft_faults: one test per fault of FAULTS.md, sections A and B; the
 * others are in test_raft_faults_more (C, D) and test_raft_faults_disk (E, F).  Each is named by
 * its number.
 */
#include "engine/base/assert.h"
#include "tests/sim/raft_solo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- A. elections, term, vote ---- */

static void F01_vote_durable_before_answer(void **state)
{
	struct raft_boot b = boot_of(3, 1);

	(void)state;
	solo_open(1, &b, NULL, 0);
	assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_VOTE, .from = 2, .term = 2}),
			 VS_OK);
	assert_true(solo.up.write.hard_set);
	assert_int_equal(solo.up.write.hard.vote, 2);
	assert_null(sent(MESSAGE_VOTE_RESP, 0)); /* a crash here has promised nothing */
	/* The question again, still not durable: still no answer. */
	assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_VOTE, .from = 2, .term = 2}),
			 VS_OK);
	assert_null(sent(MESSAGE_VOTE_RESP, 0));
	solo_durable();
	assert_non_null(sent(MESSAGE_VOTE_RESP, 0));
	/* Back from disk, it remembers. */
	b.hard = solo.r->hard;
	solo_open(1, &b, NULL, 0);
	assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_VOTE, .from = 3, .term = 2}),
			 VS_OK);
	assert_int_equal(sent(MESSAGE_VOTE_RESP, 0)->flags, MESSAGE_REJECT);
}

static void F02_term_and_vote_are_one_record(void **state)
{
	struct raft_boot b = boot_of(3, 1);

	(void)state;
	b.hard.vote = 2;
	solo_open(1, &b, NULL, 0);
	assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_VOTE, .from = 3, .term = 5}),
			 VS_OK);
	/* One write, both fields; there is no write of the term with the old vote. */
	assert_int_equal(solo.up.write.hard.term, 5);
	assert_int_equal(solo.up.write.hard.vote, 3);
	assert_int_equal(solo_append(2, 6, 0, 0, NULL, 0, 0), VS_OK);
	assert_int_equal(solo.up.write.hard.term, 6);
	assert_int_equal(solo.up.write.hard.vote, 0);
}

static void F03_vote_kept_when_stepping_down(void **state)
{
	struct raft_boot b = boot_of(3, 1);

	(void)state;
	solo_open(1, &b, NULL, 0);
	solo_lead();
	assert_int_equal(solo.r->hard.term, 2);
	solo_tick(100);
	solo_tick(100); /* no quorum answers */
	assert_true(solo.up.lost);
	assert_int_equal(solo.r->role, RAFT_FOLLOWER);
	assert_int_equal(solo.r->hard.vote, 1);
	assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_VOTE,
						    .from = 3,
						    .term = 2,
						    .index = 9,
						    .log_term = 2}),
			 VS_OK);
	assert_int_equal(sent(MESSAGE_VOTE_RESP, 0)->flags, MESSAGE_REJECT);
}

static void F04_prevote_changes_nothing(void **state)
{
	struct raft_boot b = boot_of(3, 4);

	(void)state;
	b.hard.vote = 2;
	solo_open(1, &b, NULL, 0);
	assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_PREVOTE, .from = 3, .term = 9}),
			 VS_OK);
	assert_int_equal(sent(MESSAGE_PREVOTE_RESP, 0)->term, 9);
	assert_int_equal(solo.up.write.seq, 0);
	assert_int_equal(solo.r->hard.term, 4);
	assert_int_equal(solo.r->hard.vote, 2);
	/* A real election of this term, delayed: the vote stands. */
	assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_VOTE, .from = 3, .term = 4}),
			 VS_OK);
	assert_int_equal(sent(MESSAGE_VOTE_RESP, 0)->flags, MESSAGE_REJECT);
}

static void F05_cut_off_candidate_does_not_inflate_its_term(void **state)
{
	struct sim *s = cluster(5, 3);
	uint32_t l, f;
	uint64_t term;

	(void)state;
	assert_leads(s);
	l = sim_leader(s);
	f = other_than(s, l, 0);
	term = s->node[l].raft->hard.term;
	sim_isolate(s, f, true);
	assert_true(sim_run(s, 5000 * SIM_MS));
	assert_int_equal(s->node[f].raft->hard.term, term);
	sim_isolate(s, f, false);
	assert_true(sim_run(s, 1000 * SIM_MS));
	assert_int_equal(sim_leader(s), l); /* its return disturbs no one */
	assert_int_equal(s->node[l].raft->hard.term, term);
	finish(s);
}

static void F06_one_way_and_partial_links(void **state)
{
	(void)state;
	for (uint32_t kind = 0; kind < 4; kind++) {
		struct sim *s = cluster(60 + kind, 3);
		uint32_t l, a, b;
		uint64_t term, commit;

		assert_leads(s);
		l = sim_leader(s);
		a = other_than(s, l, 0);
		b = other_than(s, l, a);
		switch (kind) {
		case 0: /* leader and one follower cut, both reach the other */
			sim_cut(s, l, a, true);
			sim_cut(s, a, l, true);
			break;
		case 1: /* a follower that can only send */
			sim_cut(s, l, a, true);
			sim_cut(s, b, a, true);
			break;
		case 2: /* a leader that can only send */
			sim_cut(s, a, l, true);
			sim_cut(s, b, l, true);
			break;
		default: /* a leader that can only hear */
			sim_cut(s, l, a, true);
			sim_cut(s, l, b, true);
			break;
		}
		assert_true(sim_run(s, 3000 * SIM_MS));
		assert_true(sim_has_leader(s, 0));
		l = sim_leader(s);
		term = s->node[l].raft->hard.term;
		commit = s->commit;
		write_some(s, 20);
		assert_true(sim_run(s, 2000 * SIM_MS));
		assert_int_equal(sim_leader(s), l); /* stable */
		assert_int_equal(s->node[l].raft->hard.term, term);
		assert_true(s->commit >= commit + 20);
		finish(s);
	}
}

static void F07_candidate_records_its_own_vote(void **state)
{
	struct raft_boot b = boot_of(3, 1);

	(void)state;
	solo_open(1, &b, NULL, 0);
	solo_tick(300);
	assert_int_equal(
		solo_msg((struct raft_msg){.type = MESSAGE_PREVOTE_RESP, .from = 2, .term = 2}),
		VS_OK);
	assert_int_equal(solo.up.write.hard.vote, 1);
	assert_null(sent(MESSAGE_VOTE, 0)); /* asks when its own vote is durable */
	/* A vote that comes before that counts for nothing yet. */
	assert_int_equal(solo_msg((
				 struct raft_msg){.type = MESSAGE_VOTE_RESP, .from = 2, .term = 2}),
			 VS_OK);
	assert_int_equal(solo.r->role, RAFT_CANDIDATE);
	solo_durable();
	assert_non_null(sent(MESSAGE_VOTE, 1));
	assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_VOTE, .from = 3, .term = 2}),
			 VS_OK);
	assert_int_equal(sent(MESSAGE_VOTE_RESP, 0)->flags, MESSAGE_REJECT);
}

static void F08_up_to_date_is_lexicographic(void **state)
{
	static const struct {
		uint64_t term, index;
		bool yes;
	} rows[] = {{2, 1, true}, {1, 2, false}, {1, 9, false}, {2, 2, true}, {3, 1, true}};
	const uint64_t longer[] = {1, 1};
	const uint64_t later[] = {2};

	(void)state;
	for (uint32_t i = 0; i < 5; i++) {
		struct raft_boot b = boot_of(3, 3);

		solo_open(1, &b, later, 1); /* has (term 2, index 1) */
		assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_PREVOTE,
							    .from = 2,
							    .term = 4,
							    .index = rows[i].index,
							    .log_term = rows[i].term}),
				 VS_OK);
		assert_int_equal(sent(MESSAGE_PREVOTE_RESP, 0)->flags,
				 rows[i].yes ? 0 : MESSAGE_REJECT);
	}
	{
		struct raft_boot b = boot_of(3, 3);

		solo_open(1, &b, longer, 2); /* (term 1, index 2): a later term wins over length */
		assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_PREVOTE,
							    .from = 2,
							    .term = 4,
							    .index = 1,
							    .log_term = 2}),
				 VS_OK);
		assert_int_equal(sent(MESSAGE_PREVOTE_RESP, 0)->flags, 0);
	}
}

static void F09_id_zero_is_no_node(void **state)
{
	struct membership m = {0};
	struct member zero = {.id = 0, .role = MEMBER_VOTER};
	struct raft_boot b = boot_of(3, 1);
	struct raft_config c = solo_config;
	struct raft *r;

	(void)state;
	assert_int_equal(membership_set(&m, &zero), VS_ERR_INVAL);
	assert_int_equal(raft_new(&c, &r), VS_ERR_CONFIG); /* id 0 */
	solo_open(1, &b, NULL, 0);
	assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_VOTE, .from = 0, .term = 2}),
			 VS_OK);
	assert_int_equal(solo.up.verdict, RAFT_DROPPED);
	assert_int_equal(solo.r->hard.term, 1);
}

static void F10_learner_votes_and_strangers_do_not_count(void **state)
{
	struct raft_boot b = boot_of(3, 1);
	struct member learner = {.id = 1, .role = MEMBER_LEARNER};

	(void)state;
	/* By its own, older configuration it is a learner; elsewhere it is a voter already. */
	assert_int_equal(membership_set(&b.snapshot.members, &learner), VS_OK);
	solo_open(1, &b, NULL, 0);
	assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_VOTE,
						    .from = 9,
						    .term = 2,
						    .index = 3,
						    .log_term = 1}),
			 VS_OK);
	solo_durable();
	assert_int_equal(sent(MESSAGE_VOTE_RESP, 0)->flags, 0);
	solo_tick(1000);
	assert_int_equal(solo.r->role, RAFT_FOLLOWER); /* but it does not campaign */
	/* Votes of strangers and learners are not counted. */
	b = boot_of(3, 1);
	learner.id = 4;
	assert_int_equal(membership_set(&b.snapshot.members, &learner), VS_OK);
	solo_open(1, &b, NULL, 0);
	solo_tick(300);
	for (uint32_t from = 4; from <= 9; from++)
		assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_PREVOTE_RESP,
							    .from = from,
							    .term = 2}),
				 VS_OK);
	assert_int_equal(solo.r->role, RAFT_PRECANDIDATE);
}

static void F11_all_restart_at_once(void **state)
{
	struct sim *s = cluster(11, 3);

	(void)state;
	for (uint32_t round = 0; round < 5; round++) {
		assert_leads(s);
		write_some(s, 10);
		for (uint32_t i = 1; i <= 3; i++)
			sim_crash(s, i);
		for (uint32_t i = 1; i <= 3; i++)
			sim_start(s, i); /* the checker compares terms with what was promised */
	}
	finish(s);
}

static void F12_mixed_clock_speeds(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct sim *s = cluster(120 + seed, 3);

		s->node[1].rate_pm = 400;
		s->node[2].rate_pm = 2500;
		assert_leads(s);
		for (uint32_t i = 0; i < 4; i++) {
			sim_crash(s, sim_leader(s));
			assert_true(sim_run(s, 50 * SIM_MS));
			assert_leads(s);
			for (uint32_t j = 1; j <= 3; j++)
				sim_start(s, j);
		}
		finish(s);
	}
}

static void F13_transfer_during_writes(void **state)
{
	struct sim *s = cluster(13, 3);
	uint32_t l, to;
	uint64_t commit;

	(void)state;
	assert_leads(s);
	l = sim_leader(s);
	to = other_than(s, l, 0);
	write_some(s, 10);
	assert_int_equal(sim_transfer(s, l, to), RAFT_ACCEPTED);
	assert_true(sim_run(s, 100 * SIM_MS));
	assert_int_equal(sim_leader(s), to); /* at once, not after a timeout */
	/* The target dies before it can take over: the leader goes on. */
	l = to;
	to = other_than(s, l, 0);
	write_some(s, 5);
	sim_crash(s, to);
	(void)sim_transfer(s, l, to);
	assert_int_equal(sim_write(s, l), UINT32_MAX); /* refused meanwhile */
	assert_true(sim_run(s, 300 * SIM_MS));
	commit = s->commit;
	write_some(s, 10);
	assert_true(s->commit >= commit + 9);
	finish(s);
}

static void F14_two_leaders_in_a_term_stop_the_node(void **state)
{
	struct raft_boot b = boot_of(3, 1);

	(void)state;
	solo_open(1, &b, NULL, 0);
	assert_int_equal(solo_append(2, 3, 0, 0, NULL, 0, 0), VS_OK);
	assert_int_equal(solo_append(3, 3, 0, 0, NULL, 0, 0), VS_ERR_INTERNAL);
	assert_int_equal(solo.up.evidence.type, RAFT_EVIDENCE_TWO_LEADERS);
	assert_int_equal(solo.up.evidence.term, 3);
	assert_int_equal(solo.up.evidence.a, 2);
	assert_int_equal(solo.up.evidence.b, 3);
	assert_int_equal(solo.up.msg_count, 0);
	assert_int_equal(solo_append(2, 3, 0, 0, NULL, 0, 0), VS_ERR_STOPPED); /* for good */
	/* And when it leads itself. */
	solo_open(1, &b, NULL, 0);
	solo_lead();
	assert_int_equal(solo_append(3, 2, 0, 0, NULL, 0, 0), VS_ERR_INTERNAL);
	assert_true(solo.up.lost);
}

/* ---- B. replication and commit ---- */

static void F15_old_term_entry_commits_only_under_a_new_one(void **state)
{
	struct raft_boot b = boot_of(3, 3);
	const uint64_t terms[] = {1, 2};

	(void)state;
	solo_open(1, &b, terms, 2);
	solo_lead(); /* term 4; NOOP at 3 */
	solo_durable();
	solo_ack(2, 2); /* entry 2, of term 2, is on a majority now */
	assert_int_equal(solo.r->commit, 0);
	solo_ack(2, 3);
	assert_int_equal(solo.r->commit, 3);
}

static void F16_shorter_append_deletes_nothing(void **state)
{
	struct raft_boot b = boot_of(3, 1);
	const uint64_t ones[] = {1, 1, 1, 1, 1};

	(void)state;
	solo_open(1, &b, NULL, 0);
	assert_int_equal(solo_append(2, 1, 0, 0, ones, 5, 0), VS_OK);
	assert_int_equal(solo_append(2, 1, 0, 0, ones, 2, 0), VS_OK); /* late, shorter */
	assert_int_equal(solo.r->trail.last, 5);
	assert_int_equal(solo.up.write.truncate_from, 0);
	assert_int_equal(solo_append(2, 1, 1, 1, NULL, 0, 0), VS_OK);
	assert_int_equal(solo.r->trail.last, 5);
}

static void F17_commit_only_what_was_verified(void **state)
{
	struct raft_boot b = boot_of(3, 2);
	const uint64_t mine[] = {1, 1, 1, 1};

	(void)state;
	solo_open(1, &b, mine, 4); /* 3 and 4 are not the leader's */
	assert_int_equal(solo_append(2, 2, 2, 1, NULL, 0, 4), VS_OK);
	assert_int_equal(solo.r->commit, 2);
	assert_int_equal(solo_msg((struct raft_msg){
				 .type = MESSAGE_HEARTBEAT, .from = 2, .term = 2, .commit = 4}),
			 VS_OK);
	assert_int_equal(solo.r->commit, 2);
	/* What one leader verified is not verified for the next. */
	assert_int_equal(solo_append(2, 2, 2, 1, mine, 2, 2), VS_OK);
	assert_int_equal(solo.r->verified, 4);
	assert_int_equal(solo_msg((struct raft_msg){
				 .type = MESSAGE_HEARTBEAT, .from = 3, .term = 3, .commit = 4}),
			 VS_OK);
	assert_int_equal(solo.r->commit, 2);
	assert_int_equal(sent(MESSAGE_HEARTBEAT_RESP, 0)->flags, MESSAGE_REJECT);
}

static void F18_ack_only_what_the_message_showed(void **state)
{
	struct raft_boot b = boot_of(3, 2);
	const uint64_t mine[] = {1, 1, 1, 1};

	(void)state;
	solo_open(1, &b, mine, 4);
	assert_int_equal(solo_append(2, 2, 1, 1, mine, 1, 0), VS_OK);
	assert_int_equal(sent(MESSAGE_APPEND_RESP, 0)->index, 2);
	assert_int_equal(sent(MESSAGE_APPEND_RESP, 0)->flags, 0);
}

static void F19_late_reject_is_ignored(void **state)
{
	struct raft_boot b = boot_of(3, 1);
	struct progress *p;

	(void)state;
	solo_open(1, &b, NULL, 0);
	solo_lead();
	assert_int_equal(solo_propose(4, 10), RAFT_ACCEPTED);
	solo_ack(2, 5);
	p = raft_peer(solo.r, 2);
	assert_int_equal(p->match, 5);
	assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_APPEND_RESP,
						    .from = 2,
						    .term = 2,
						    .index = 3,
						    .flags = MESSAGE_REJECT}),
			 VS_OK);
	assert_int_equal(p->state, PROGRESS_REPLICATE);
	assert_int_equal(p->next, 6);
	assert_int_equal(solo.up.msg_count, 0);
}

static void F20_completion_of_an_overwritten_entry(void **state)
{
	struct raft_boot b = boot_of(3, 1);
	const uint64_t one[] = {1}, two[] = {2};
	struct raft_event ev = {.type = RAFT_DURABLE};
	uint64_t first, second;

	(void)state;
	solo_open(1, &b, NULL, 0);
	assert_int_equal(solo_append(2, 1, 0, 0, one, 1, 0), VS_OK); /* (1, term 1) */
	first = solo.up.write.seq;
	assert_int_equal(solo_append(3, 2, 0, 0, two, 1, 0), VS_OK); /* (1, term 2) */
	second = solo.up.write.seq;
	assert_int_equal(solo_append(2, 3, 0, 0, one, 1, 0), VS_OK); /* (1, term 1) again */
	assert_int_equal(trail_term(&solo.r->trail, 1), 1);
	/* The first write's completion has the same index and term, and is not this entry. */
	ev.u.durable.seq = first;
	ev.u.durable.last_index = 1;
	ev.u.durable.last_term = 1;
	assert_int_equal(solo_step(&ev), VS_OK);
	assert_int_equal(solo.r->durable, 0);
	assert_null(sent(MESSAGE_APPEND_RESP, 0));
	ev.u.durable.seq = second;
	ev.u.durable.last_term = 2;
	assert_int_equal(solo_step(&ev), VS_OK);
	assert_int_equal(solo.r->durable, 0);
	solo_durable();
	assert_int_equal(solo.r->durable, 1);
	assert_int_equal(sent(MESSAGE_APPEND_RESP, 0)->index, 1);
}

static void F21_compacted_prev_is_no_conflict(void **state)
{
	struct raft_boot b = boot_of(3, 2);
	const uint64_t terms[] = {2, 2, 2}, all[] = {1, 1, 1, 1, 2, 2, 2, 2};

	(void)state;
	b.snapshot.index = b.base_index = 5;
	b.snapshot.term = b.base_term = 2;
	solo_open(1, &b, terms, 3); /* holds 6..8 */
	assert_int_equal(solo_append(2, 2, 2, 1, all + 2, 2, 5), VS_OK);
	assert_int_equal(solo.r->trail.last, 8);
	assert_int_equal(sent(MESSAGE_APPEND_RESP, 0)->flags, 0);
	assert_int_equal(sent(MESSAGE_APPEND_RESP, 0)->index, 5);
	/* Reaching over the base: the part above is taken as usual. */
	assert_int_equal(solo_append(2, 2, 2, 1, all + 2, 5, 7), VS_OK);
	assert_int_equal(sent(MESSAGE_APPEND_RESP, 0)->index, 7);
	assert_int_equal(solo.r->trail.last, 8);
	assert_int_equal(solo.r->commit, 7);
}

static void F22_long_conflicts_cost_one_round_per_term(void **state)
{
	struct raft_boot b = boot_of(3, 9);
	uint64_t mine[40];

	(void)state;
	for (uint32_t i = 0; i < 40; i++)
		mine[i] = i < 10 ? 1 : i < 25 ? 4 : 5;
	solo_open(1, &b, mine, 40);
	/* The leader has term 6 from 11 on: the first answer goes below all of 4 and 5... */
	assert_int_equal(solo_append(2, 9, 40, 6, NULL, 0, 0), VS_OK);
	assert_int_equal(sent(MESSAGE_APPEND_RESP, 0)->flags, MESSAGE_REJECT);
	assert_int_equal(sent(MESSAGE_APPEND_RESP, 0)->commit, 39);
	assert_int_equal(sent(MESSAGE_APPEND_RESP, 0)->log_term, 5);
	/* ...because its own term 6 is above the hint's 5: index 10, term 1, is next to try. */
	{
		uint64_t theirs[50];

		for (uint32_t i = 0; i < 50; i++)
			theirs[i] = i < 10 ? 1 : 6;
		solo_open(1, &b, theirs, 50);
		solo_lead();
		assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_APPEND_RESP,
							    .from = 2,
							    .term = 10,
							    .index = 50,
							    .commit = 39,
							    .log_term = 5,
							    .flags = MESSAGE_REJECT}),
				 VS_OK);
		assert_int_equal(sent_to(MESSAGE_APPEND, 2)->index, 10);
	}
}

static void F23_local_write_fails_while_sends_are_out(void **state)
{
	struct sim *s = cluster(23, 3);
	uint32_t l, w;

	(void)state;
	assert_leads(s);
	l = sim_leader(s);
	s->node[l].hang = true;
	w = sim_write(s, l);
	assert_int_not_equal(w, UINT32_MAX);
	assert_true(sim_run(s, 20 * SIM_MS)); /* the followers have it and it committed */
	assert_int_equal(s->ops[w].state, SIM_OP_OK);
	sim_disk_fail(s, l);
	assert_false(s->node[l].up);
	assert_leads(s);
	assert_int_not_equal(sim_leader(s), l);
	sim_start(s, l); /* gets the same entry from the next leader */
	finish(s);
}

static void F24_term_is_durable_before_its_entries_are_answered(void **state)
{
	struct raft_boot b = boot_of(3, 1);
	const uint64_t two[] = {2};

	(void)state;
	solo_open(1, &b, NULL, 0);
	assert_int_equal(solo_append(2, 2, 0, 0, two, 1, 0), VS_OK);
	/* Term and entry are one write, the term first in it. */
	assert_true(solo.up.write.hard_set);
	assert_int_equal(solo.up.write.count, 1);
	assert_null(sent(MESSAGE_APPEND_RESP, 0));
	/* An empty APPEND of a new term is answered only when the term is durable. */
	solo_durable();
	assert_int_equal(solo_append(3, 3, 1, 2, NULL, 0, 0), VS_OK);
	assert_null(sent(MESSAGE_APPEND_RESP, 0));
	solo_durable();
	assert_int_equal(sent(MESSAGE_APPEND_RESP, 0)->term, 3);
}

static void F25_leader_counts_only_its_durable_entries(void **state)
{
	struct raft_boot b = boot_of(3, 1);
	struct raft_boot five = boot_of(5, 1);

	(void)state;
	solo_open(1, &b, NULL, 0);
	solo_lead();
	/* Entries are sent before they are durable here... */
	assert_int_equal(solo_propose(1, 10), RAFT_ACCEPTED);
	assert_true(solo.up.write.seq > 0);
	solo_ack(2, 2);
	assert_int_equal(solo.r->commit, 0); /* ...and one follower is no majority without us */
	solo_durable();
	assert_int_equal(solo.r->commit, 2);
	/* The followers alone may be one. */
	assert_int_equal(solo_propose(1, 10), RAFT_ACCEPTED);
	solo_ack(2, 3);
	solo_ack(3, 3);
	assert_int_equal(solo.r->durable, 2);
	assert_int_equal(solo.r->commit, 3);
	(void)five;
}

static void F25_leader_dies_after_the_followers_committed(void **state)
{
	struct sim *s = cluster(25, 3);
	uint32_t l, w;

	(void)state;
	assert_leads(s);
	l = sim_leader(s);
	s->node[l].hang = true;
	w = sim_write(s, l);
	assert_true(sim_run(s, 20 * SIM_MS));
	assert_int_equal(s->ops[w].state, SIM_OP_OK);
	sim_crash_keeping(s, l, 0);
	s->node[l].hang = false;
	sim_start(s, l);
	finish(s);
}

static void F26_group_of_one_answers_after_its_own_sync(void **state)
{
	struct raft_boot b = boot_of(1, 1);

	(void)state;
	solo_open(1, &b, NULL, 0);
	solo_lead();
	solo_durable();
	assert_int_equal(solo.r->commit, 1);
	assert_int_equal(solo_propose(1, 10), RAFT_ACCEPTED);
	assert_int_equal(solo.r->commit, 1);
	assert_int_equal(solo.up.apply_first, 0);
	solo_durable();
	assert_int_equal(solo.r->commit, 2);
	assert_int_equal(solo.up.apply_first, 2);
}

static void F27_oversize_entry_goes_alone(void **state)
{
	struct raft_boot b = boot_of(3, 1);
	const struct raft_msg *m;
	uint64_t next = 2;

	(void)state;
	solo_open(1, &b, NULL, 0);
	solo_lead();
	solo_ack(2, 1);
	assert_int_equal(solo_propose(2, 400), RAFT_ACCEPTED);
	solo_ack(2, 3);
	next = 4;
	assert_int_equal(solo_propose(1, 400), RAFT_ACCEPTED);
	assert_int_equal(sent_to(MESSAGE_APPEND, 2)->count, 1);
	assert_int_equal(solo_propose(3, 2000), RAFT_ACCEPTED); /* over append_bytes */
	next = 5;
	for (uint32_t i = 0; (m = sent(MESSAGE_APPEND, i)); i++) {
		if (m->to != 2)
			continue;
		assert_int_equal(m->index, next - 1); /* consecutive: nothing is skipped */
		assert_int_equal(m->count, 1);
		next++;
	}
	assert_true(next > 5);
	solo_ack(2, next - 1);
	assert_int_equal(sent_to(MESSAGE_APPEND, 2)->index, next - 1);
}

static void F28_majorities_of_even_and_small_groups(void **state)
{
	static const uint32_t need[] = {0, 1, 2, 2, 3, 3, 4};

	(void)state;
	for (uint32_t voters = 1; voters <= 6; voters++) {
		struct raft_boot b = boot_of(voters, 1);
		uint32_t have = 1;

		solo_open(1, &b, NULL, 0);
		solo_tick(300);
		while (have < need[voters]) {
			assert_int_equal(solo.r->role, RAFT_PRECANDIDATE);
			have++;
			assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_PREVOTE_RESP,
								    .from = have,
								    .term = 2}),
					 VS_OK);
		}
		assert_int_equal(solo.r->role, RAFT_CANDIDATE);
		solo_durable();
		for (uint32_t i = 2; i <= need[voters]; i++)
			assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_VOTE_RESP,
								    .from = i,
								    .term = 2}),
					 VS_OK);
		assert_int_equal(solo.r->role, RAFT_LEADER);
		solo_durable();
		for (uint32_t i = 2; i < need[voters]; i++) {
			solo_ack(i, 1);
			assert_int_equal(solo.r->commit, 0);
		}
		if (need[voters] > 1)
			solo_ack(need[voters], 1);
		assert_int_equal(solo.r->commit, 1);
	}
	for (uint32_t nodes = 1; nodes <= 4; nodes++) {
		struct sim *s = cluster(280 + nodes, nodes);

		assert_leads(s);
		write_some(s, 5);
		finish(s);
	}
}

static void F29_lost_leadership_leaves_the_outcome_open(void **state)
{
	struct sim *s = cluster(29, 3);
	uint32_t l, w;

	(void)state;
	assert_leads(s);
	l = sim_leader(s);
	write_some(s, 3);
	/* Its entries reach the others, their answers do not reach it. */
	sim_cut(s, 1, l, true);
	sim_cut(s, 2, l, true);
	sim_cut(s, 3, l, true);
	w = sim_write(s, l);
	assert_true(sim_run(s, 1000 * SIM_MS));
	assert_int_not_equal(sim_leader(s), l);
	/* The old leader said "lost", not "failed"; the entry is committed elsewhere. */
	assert_int_not_equal(s->ops[w].state, SIM_OP_FAILED);
	assert_int_not_equal(s->ops[w].state, SIM_OP_OK);
	sim_cut(s, 1, l, false);
	sim_cut(s, 2, l, false);
	sim_cut(s, 3, l, false);
	assert_true(sim_until(s, 5000 * SIM_MS, sim_converged, 0));
	assert_int_equal(s->ops[w].state, SIM_OP_OK);
	finish(s);
}

static void F30_stale_leader_rolls_nothing_back(void **state)
{
	struct sim *s = cluster(30, 3);
	uint32_t l;

	(void)state;
	assert_leads(s);
	l = sim_leader(s);
	sim_isolate(s, l, true);
	for (uint32_t i = 0; i < 5; i++)
		(void)sim_write(s, l); /* go nowhere */
	assert_true(sim_run(s, 1000 * SIM_MS));
	write_some(s, 10);
	sim_isolate(s, l, false);
	for (uint32_t i = 1; i <= 3; i++) {
		if (i != l)
			sim_isolate(s, i, true); /* it may try to lead */
	}
	assert_true(sim_run(s, 1000 * SIM_MS));
	memset(s->cut, 0, sizeof s->cut);
	finish(s);
}

static void F31_snapshot_beyond_the_log_at_start(void **state)
{
	struct raft_boot b = boot_of(3, 4);
	const uint64_t terms[] = {1, 1, 2};

	(void)state;
	/* Commit is not stored; what can be ahead of the log is the snapshot. */
	b.snapshot.index = 10;
	b.snapshot.term = 3;
	solo_open(1, &b, terms, 3);
	assert_true(solo.up.write.reset);
	assert_int_equal(solo.up.write.reset_index, 10);
	assert_int_equal(solo.r->trail.last, 10);
	assert_int_equal(solo.r->commit, 10);
	/* A base above the snapshot is a gap: refused. */
	b.base_index = 11;
	b.base_term = 3;
	{
		struct raft_config c = solo_config;
		struct raft *r;

		c.id = 1;
		assert_int_equal(raft_new(&c, &r), VS_OK);
		assert_int_equal(raft_restore(r, &b), VS_ERR_CORRUPT_LOG);
		raft_free(r);
	}
}

static void F32_replication_resumes_after_a_stall(void **state)
{
	struct sim *s = cluster(32, 3);
	struct raft_boot b = boot_of(3, 1);
	uint32_t l;

	(void)state;
	assert_leads(s);
	l = sim_leader(s);
	for (uint32_t round = 0; round < 3; round++) {
		/* Everything under way is lost, the window full; then silence from clients. */
		for (uint32_t i = 0; i < 80; i++)
			(void)sim_write(s, l);
		sim_drop_messages(s);
		assert_true(sim_until(s, 2000 * SIM_MS, sim_converged, 0));
	}
	/* A follower that restarts when nothing is written learns the commit index. */
	sim_crash(s, other_than(s, l, 0));
	sim_start(s, other_than(s, l, 0));
	assert_true(sim_until(s, 1000 * SIM_MS, sim_converged, 0));
	finish(s);
	/* A follower that is found to lack nothing leaves PROBE. */
	solo_open(1, &b, NULL, 0);
	solo_lead();
	solo_ack(2, 1);
	assert_int_equal(raft_peer(solo.r, 2)->state, PROGRESS_REPLICATE);
	progress_probe(raft_peer(solo.r, 2), 2);
	solo_ack(2, 1);
	assert_int_equal(raft_peer(solo.r, 2)->state, PROGRESS_REPLICATE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(F01_vote_durable_before_answer),
		cmocka_unit_test(F02_term_and_vote_are_one_record),
		cmocka_unit_test(F03_vote_kept_when_stepping_down),
		cmocka_unit_test(F04_prevote_changes_nothing),
		cmocka_unit_test(F05_cut_off_candidate_does_not_inflate_its_term),
		cmocka_unit_test(F06_one_way_and_partial_links),
		cmocka_unit_test(F07_candidate_records_its_own_vote),
		cmocka_unit_test(F08_up_to_date_is_lexicographic),
		cmocka_unit_test(F09_id_zero_is_no_node),
		cmocka_unit_test(F10_learner_votes_and_strangers_do_not_count),
		cmocka_unit_test(F11_all_restart_at_once),
		cmocka_unit_test(F12_mixed_clock_speeds),
		cmocka_unit_test(F13_transfer_during_writes),
		cmocka_unit_test(F14_two_leaders_in_a_term_stop_the_node),
		cmocka_unit_test(F15_old_term_entry_commits_only_under_a_new_one),
		cmocka_unit_test(F16_shorter_append_deletes_nothing),
		cmocka_unit_test(F17_commit_only_what_was_verified),
		cmocka_unit_test(F18_ack_only_what_the_message_showed),
		cmocka_unit_test(F19_late_reject_is_ignored),
		cmocka_unit_test(F20_completion_of_an_overwritten_entry),
		cmocka_unit_test(F21_compacted_prev_is_no_conflict),
		cmocka_unit_test(F22_long_conflicts_cost_one_round_per_term),
		cmocka_unit_test(F23_local_write_fails_while_sends_are_out),
		cmocka_unit_test(F24_term_is_durable_before_its_entries_are_answered),
		cmocka_unit_test(F25_leader_counts_only_its_durable_entries),
		cmocka_unit_test(F25_leader_dies_after_the_followers_committed),
		cmocka_unit_test(F26_group_of_one_answers_after_its_own_sync),
		cmocka_unit_test(F27_oversize_entry_goes_alone),
		cmocka_unit_test(F28_majorities_of_even_and_small_groups),
		cmocka_unit_test(F29_lost_leadership_leaves_the_outcome_open),
		cmocka_unit_test(F30_stale_leader_rolls_nothing_back),
		cmocka_unit_test(F31_snapshot_beyond_the_log_at_start),
		cmocka_unit_test(F32_replication_resumes_after_a_stall),
	};

	return cmocka_run_group_tests(tests, NULL, close_solo);
}
