/*
 * test_raft_sim: random runs of the simulated cluster.
 *
 *   SEEDS=n (or VS_SEEDS) runs n seeds from VS_SEED_FIRST on; default 300 from 1.
 *   SEED=n TRACE=1 runs one and prints what happens.
 */
#include "tests/sim/raft_sim.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static volatile uint64_t current_seed;

/* An assertion of the core ends the process: say which seed did it. */
static void on_abort(int sig)
{
	char text[80];
	int n = snprintf(text, sizeof text, "\nFAILING SEED %" PRIu64 " (assertion)\n",
			 current_seed);

	(void)sig;
	if (n > 0 && write(2, text, (size_t)n) < 0)
		_exit(3);
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void random_schedules(void **state)
{
	uint64_t count = env_number("SEEDS", env_number("VS_SEEDS", 300));
	uint64_t first = env_number("VS_SEED_FIRST", 1);
	bool trace = env_number("TRACE", 0);
	struct sim_run_stats st = {0};
	uint64_t failed = 0;
	char why[256];

	(void)state;
	if (getenv("SEED")) {
		first = env_number("SEED", 1);
		count = 1;
	}
	for (uint64_t seed = first; seed < first + count; seed++) {
		current_seed = seed;
		if (sim_random_run(seed, trace, why, sizeof why, &st))
			continue;
		printf("FAILING SEED %" PRIu64 ": %s  (SEED=%" PRIu64 " TRACE=1 shows it)\n", seed,
		       why, seed);
		if (++failed >= env_number("FAILURES", 1))
			break;
	}
	printf("%" PRIu64 " seeds: %" PRIu64 " steps, %" PRIu64 " commits, %" PRIu64
	       " terms led, %" PRIu64 " installs, %" PRIu64 " writes and %" PRIu64
	       " reads answered\n",
	       count, st.steps, st.commits, st.elections, st.installs, st.writes, st.reads);
	assert_int_equal(failed, 0);
	/* A run in which nothing happens proves nothing. */
	if (count >= 100) {
		assert_true(st.commits > 20 * count);
		assert_true(st.elections > 2 * count);
		assert_true(st.installs > count / 50);
		assert_true(st.reads > 5 * count && st.writes > 5 * count);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_schedules),
	};

	signal(SIGABRT, on_abort);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
