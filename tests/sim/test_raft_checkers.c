/*
 * test_raft_checkers: the simulator's checkers against runs that are wrong on
 * purpose.  A checker that cannot fail checks nothing.
 */
#include "tests/sim/raft_sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- the history checker ---- */

#define W(b, e, v)                                     \
	{                                              \
		SIM_WRITE, SIM_OP_OK, 1, b, e, v, 0, 0 \
	}
#define R(b, e, v)                                    \
	{                                             \
		SIM_READ, SIM_OP_OK, 2, b, e, v, 0, 0 \
	}
#define U(b, v)                                             \
	{                                                   \
		SIM_WRITE, SIM_OP_UNKNOWN, 1, b, 0, v, 0, 0 \
	}

static const struct {
	const char *name, *why; /* why: NULL when the history is fine */
	uint64_t log[4];
	struct sim_op ops[4];
} histories[] = {
	{"one after the other", NULL, {1, 2}, {W(1, 2, 1), W(3, 4, 2), R(5, 6, 2)}},
	{"overlapping, either order", NULL, {2, 1}, {W(1, 9, 1), W(2, 8, 2), R(3, 7, 2)}},
	{"read of the empty register", NULL, {1}, {R(1, 2, 0), W(3, 4, 1)}},
	{"timed-out write took effect", NULL, {7}, {U(1, 7), R(5, 6, 7)}},
	{"timed-out write did not", NULL, {0}, {U(1, 7), R(5, 6, 0)}},
	{"read during the write sees the old", NULL, {1, 2}, {W(1, 2, 1), W(3, 9, 2), R(4, 5, 1)}},
	{"acknowledged and gone", "an acknowledged write is lost", {2}, {W(1, 2, 1), W(3, 4, 2)}},
	{"stale read", "a read is stale", {1, 2}, {W(1, 2, 1), W(3, 4, 2), R(5, 6, 1)}},
	{"read of nothing after a write", "a read is stale", {1}, {W(1, 2, 1), R(3, 4, 0)}},
	{"reads go back",
	 "a read is stale",
	 {1, 2},
	 {W(1, 2, 1), W(3, 20, 2), R(4, 5, 2), R(6, 7, 1)}},
	{"writes out of order",
	 "a write took its place in the past",
	 {2, 1},
	 {W(1, 2, 1), W(3, 4, 2)}},
	{"read of an invention", "a read saw a value that is not in the log", {1}, {R(1, 2, 5)}},
	{"read of the future",
	 "a read saw a value before it was written",
	 {1},
	 {R(1, 2, 1), W(3, 4, 1)}},
	{"applied twice", "a value is in the log twice", {1, 1}, {W(1, 2, 1)}},
};

static void history_checker(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof histories / sizeof histories[0]; i++) {
		struct sim_entry log[5] = {{0}};
		const char *why;

		for (uint32_t j = 0; j < 4; j++) {
			log[j + 1].type = histories[i].log[j] ? RAFT_ENTRY_DATA : RAFT_ENTRY_NOOP;
			log[j + 1].value = histories[i].log[j];
		}
		why = sim_history_wrong(histories[i].ops, 4, log, 4);
		if (!why != !histories[i].why || (why && strcmp(why, histories[i].why) != 0))
			fail_msg("%s: %s", histories[i].name, why ? why : "not noticed");
	}
}

/* ---- the checkers that watch a running cluster ---- */

static struct sim *running(void)
{
	struct sim_options opt = {.seed = 9, .nodes = 3, .voters = 3, .delay_us = 500};
	struct sim *s = sim_new(&opt);

	assert_true(sim_until(s, 5000 * SIM_MS, sim_has_leader, 0));
	for (uint32_t i = 0; i < 5; i++) {
		(void)sim_write(s, sim_leader(s));
		(void)sim_run(s, 5 * SIM_MS);
	}
	assert_true(sim_until(s, 1000 * SIM_MS, sim_converged, 0));
	assert_null(sim_why(s));
	return s;
}

static void must_notice(struct sim *s, const char *what)
{
	for (uint32_t i = 0; i < 20 && !sim_why(s); i++) {
		if (sim_leader(s))
			(void)sim_write(s, sim_leader(s));
		(void)sim_run(s, 50 * SIM_MS);
	}
	if (!sim_why(s) || !strstr(sim_why(s), what))
		fail_msg("wanted \"%s\", got \"%s\"", what, sim_why(s) ? sim_why(s) : "nothing");
	sim_free(s);
}

static void a_durable_copy_vanishes(void **state)
{
	struct sim *s = running();
	uint32_t l = sim_leader(s);

	(void)state;
	for (uint32_t i = 1; i <= 3; i++) {
		if (i != l)
			s->node[i].disk.log.last = 1;
	}
	must_notice(s, "C8");
}

static void an_entry_changes(void **state)
{
	struct sim *s = running();
	uint32_t l = sim_leader(s);

	(void)state;
	/* A follower's memory of a committed entry is another one, and it comes to lead. */
	for (uint32_t i = 1; i <= 3; i++) {
		if (i != l)
			s->node[i].log.e[3].value ^= 1;
	}
	for (uint32_t i = 1; i <= 3; i++)
		s->node[i].commit_seen = 2;
	must_notice(s, "C6");
}

static void two_lead_in_a_term(void **state)
{
	struct sim *s = running();

	(void)state;
	/* As if another node had led each coming term. */
	for (uint32_t t = s->node[1].raft->hard.term + 1; t < 100; t++)
		s->leader_of[t] = 7;
	sim_crash(s, sim_leader(s));
	must_notice(s, "C1");
}

static void a_vote_is_given_twice(void **state)
{
	struct sim *s = running();

	(void)state;
	for (uint32_t i = 1; i <= 3; i++) {
		for (uint32_t t = s->node[1].raft->hard.term + 1; t < 100; t++)
			s->vote_of[i][t] = 7;
	}
	sim_crash(s, sim_leader(s));
	must_notice(s, "C2");
}

static void a_term_goes_back(void **state)
{
	struct sim *s = running();

	(void)state;
	sim_crash(s, 1);
	s->node[1].disk.hard.term--;
	s->node[1].disk.hard.vote = 0;
	sim_check_start(s, &s->node[1]);
	assert_non_null(sim_why(s));
	assert_non_null(strstr(sim_why(s), "C3"));
	sim_free(s);
}

static void a_leader_lacks_a_committed_entry(void **state)
{
	struct sim *s = running();

	(void)state;
	s->commit += 5; /* as if five more had been committed */
	sim_crash(s, sim_leader(s));
	must_notice(s, "C"); /* C8 or leader completeness, whichever is met first */
}

static void an_ack_comes_too_early(void **state)
{
	struct sim *s = running();
	uint32_t l = sim_leader(s), f = l == 1 ? 2 : 1;
	struct raft_msg m = {.type = MESSAGE_APPEND, .cluster = 77, .from = l, .to = f};

	(void)state;
	/* The core believes what its disk has not said. */
	s->node[f].hang = true;
	(void)sim_write(s, sim_leader(s));
	(void)sim_run(s, 20 * SIM_MS);
	s->node[f].raft->durable = s->node[f].raft->trail.last;
	m.term = m.log_term = s->node[f].raft->hard.term;
	m.index = s->node[f].raft->trail.last;
	(void)sim_inject(s, &m);
	must_notice(s, "C7");
}

static void logs_do_not_match(void **state)
{
	struct sim *s = running();
	uint32_t l = sim_leader(s), f = l == 1 ? 2 : 1;

	(void)state;
	/* What is sent again to a follower that restarts empty is not what it was. */
	sim_crash(s, f);
	s->node[f].disk.log.last = 2;
	s->node[l].log.e[4].value ^= 1;
	progress_probe(raft_peer(s->node[l].raft, f), 1);
	raft_peer(s->node[l].raft, f)->match = 0;
	s->opt.damage = true; /* the copy that was taken away above is not the point */
	sim_start(s, f);
	must_notice(s, "C4");
}

static void a_read_is_stale(void **state)
{
	struct sim *s = running();
	uint32_t r;

	(void)state;
	r = sim_read(s, sim_leader(s));
	s->ops[r].index = s->done_index + 10; /* as if later writes had been answered before */
	s->done_index += 10;
	must_notice(s, "C11");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(history_checker),
		cmocka_unit_test(a_durable_copy_vanishes),
		cmocka_unit_test(an_entry_changes),
		cmocka_unit_test(two_lead_in_a_term),
		cmocka_unit_test(a_vote_is_given_twice),
		cmocka_unit_test(a_term_goes_back),
		cmocka_unit_test(a_leader_lacks_a_committed_entry),
		cmocka_unit_test(an_ack_comes_too_early),
		cmocka_unit_test(logs_do_not_match),
		cmocka_unit_test(a_read_is_stale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
