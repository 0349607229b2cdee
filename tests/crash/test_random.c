/*
 * test_random: long random workloads with random crashes, checkpoints,
 * collection and cleaning, from a seed.
 *
 * VS_SEEDS seeds from VS_SEED_FIRST on (defaults: a few seconds' worth from 1).
 * A failure prints the seed.  F63 (everything unsynced gone at once), F67 and
 * F74 (checkpoint and applied index), F79 (cleaning), F85 (orphan chunks).
 */
#include "tests/lib/verify.h"
#include "tests/lib/work.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEDS 40u
#define ROUNDS 6
#define OPS 60

static bool report(const struct work *w, uint64_t seed, int round, const char *what,
		   enum vs_err err)
{
	print_error("seed %llu round %d: %s: %s %s\n", (unsigned long long)seed, round, what,
		    err ? vs_err_name(err) : "", w->wrong ? w->why : w->report.text);
	return false;
}

static bool one_round(struct work *w, uint64_t seed, int round)
{
	static const enum env_mem_crash modes[] = {ENV_MEM_LOSE, ENV_MEM_KEEP, ENV_MEM_BLOCKS,
						   ENV_MEM_TORN, ENV_MEM_TORN};
	enum vs_err err = VS_OK;

	for (int i = 0; i < OPS; i++) {
		enum work_op op = work_random_op(w, 2);

		err = work_do(w, op);
		if (!w->wrong && !verify_accounts(w->s, w->why, sizeof w->why))
			w->wrong = true;
		if (w->wrong || err)
			return report(w, seed, round, work_name(op), err);
	}
	if (rnd_chance(&w->rnd, 1, 5)) {
		err = work_close(w);
		if (err)
			return report(w, seed, round, "close", err);
	} else {
		work_crash(w, modes[rnd_below(&w->rnd, 5)], rnd_next(&w->rnd));
	}
	if (!work_open(w, true, &err) || err)
		return report(w, seed, round, "open", err);
	if (rnd_chance(&w->rnd, 1, 2) && !work_full_check(w))
		return report(w, seed, round, "check", VS_OK);
	return true;
}

static bool one_seed(uint64_t seed, uint64_t done[WORK_OPS])
{
	struct work *w = work_new(seed);
	bool ok = true;

	for (int round = 0; round < ROUNDS && ok; round++)
		ok = one_round(w, seed, round);
	if (ok && !work_full_check(w))
		ok = report(w, seed, ROUNDS, "check", VS_OK);
	for (int i = 0; i < WORK_OPS; i++)
		done[i] += w->done[i];
	work_free(w);
	return ok;
}

static void test_F63_F67_F74_F79_F85_random(void **state)
{
	uint64_t seeds = work_number("VS_SEEDS", SEEDS), first = work_number("VS_SEED_FIRST", 1);
	uint64_t done[WORK_OPS] = {0};
	uint32_t failed = 0;

	(void)state;
	for (uint64_t seed = first; seed < first + seeds && failed < 5; seed++)
		failed += !one_seed(seed, done);
	assert_int_equal(failed, 0);
	/* every operation was really exercised */
	for (int i = 0; i < WORK_OPS && seeds >= SEEDS; i++)
		if (!done[i])
			fail_msg("no %s ever did anything", work_name((enum work_op)i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_F63_F67_F74_F79_F85_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
