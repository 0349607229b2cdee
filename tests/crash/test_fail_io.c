/*
 * test_fail_io: call number k of the environment fails, for k = 1..n.
 *
 * F54: a failed sync is never followed by an acknowledgement, and what was
 * acknowledged as synced before it is there after power loss.  F55: the same
 * for a write that fails half way.  F57 (a disk that hangs) has no meaning for
 * one node without a clock.  A failed read is an error of that call only.
 */
#include "tests/lib/work.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define OPS 50
#define AFTER 8 /* operations tried after the first error */

static struct {
	uint64_t seed, k;
	const char *what;
} at;

static void good(const struct work *w, bool ok, enum vs_err err)
{
	if (ok && !err && !w->wrong)
		return;
	print_error("seed %llu, call %llu fails, %s: %s %s\n", (unsigned long long)at.seed,
		    (unsigned long long)at.k, at.what, err ? vs_err_name(err) : "",
		    w->wrong ? w->why : w->report.text);
	fail();
}

static struct work *base_of(uint64_t seed)
{
	struct work *w = work_new(seed);

	for (int i = 0; i < 25; i++)
		(void)!work_do(w, work_random_op(w, 1));
	assert_false(w->wrong);
	assert_int_equal(work_close(w), VS_OK);
	return w;
}

/* Work until something fails, and then some more: nothing may be acknowledged any more. */
static void run(struct work *w, struct rnd rnd)
{
	uint64_t acked = 0, synced = 0;
	int after = 0;

	w->rnd = rnd;
	for (int i = 0; i < OPS && after < AFTER; i++) {
		enum work_op op = i % 5 == 4 ? WORK_SYNC : work_random_op(w, 2);

		(void)!work_do(w, op);
		if (!w->stopped)
			continue;
		if (!after++) {
			acked = w->acked;
			synced = w->synced;
		}
		/* the store may not forget that it stopped (F54) */
		if (w->acked != acked || w->synced != synced)
			work_wrong(w, "%s acknowledged after the device failed", work_name(op));
	}
}

static void reopen(const struct work *from, enum env_mem_crash mode, const char *what)
{
	struct work *w = work_fork(from);
	enum vs_err err;
	bool ok;

	at.what = what;
	work_crash(w, mode, at.k);
	ok = work_open(w, true, &err);
	good(w, ok, err);
	if (at.k % 3 == 0 || mode == ENV_MEM_LOSE)
		good(w, work_full_check(w), VS_OK);
	work_free(w);
}

/* False: the workload ends before call k. */
static bool fail_at(const struct work *base, uint64_t seed, int mask, enum env_mem_fail kind,
		    bool must_stop)
{
	struct work *w = work_fork(base);
	uint64_t count;
	enum vs_err err;
	bool ok, reached;

	at.what = "workload";
	ok = work_open(w, true, &err);
	good(w, ok, err);
	env_mem_fail_mask(w->m, mask);
	count = env_mem_io_count(w->m);
	env_mem_fail_at(w->m, at.k, kind);
	run(w, rnd_of(seed));
	reached = env_mem_io_count(w->m) - count >= at.k;
	good(w, true, VS_OK);
	if (reached && must_stop && !w->stopped) {
		/* the last operation may have been the one: the next must tell */
		(void)!work_do(w, WORK_KV_PUT);
		(void)!work_do(w, WORK_SYNC);
		good(w, w->stopped != VS_OK, VS_OK);
	}
	work_kill(w);
	env_mem_fail_at(w->m, 0, ENV_MEM_FAIL_NONE);
	if (reached) {
		reopen(w, ENV_MEM_LOSE, "reopened, unsynced lost");
		reopen(w, ENV_MEM_TORN, "reopened, torn");
		reopen(w, ENV_MEM_BLOCKS, "reopened, some blocks");
	}
	work_free(w);
	return reached;
}

static void each_call(int mask, enum env_mem_fail kind, bool must_stop)
{
	uint64_t seeds = work_number("VS_SEEDS", 1), first = work_number("VS_SEED_FIRST", 1);

	for (at.seed = first; at.seed < first + seeds; at.seed++) {
		struct work *base = base_of(at.seed);

		for (at.k = 1; fail_at(base, at.seed, mask, kind, must_stop); at.k++)
			;
		print_message("seed %llu: %llu calls\n", (unsigned long long)at.seed,
			      (unsigned long long)at.k - 1);
		work_free(base);
	}
}

static void test_F54_failed_sync_once(void **state)
{
	(void)state;
	each_call(ENV_MEM_SYNC | ENV_MEM_DIR_SYNC, ENV_MEM_FAIL_ONCE, true);
}

static void test_F54_failed_sync_for_ever(void **state)
{
	(void)state;
	each_call(ENV_MEM_SYNC | ENV_MEM_DIR_SYNC, ENV_MEM_FAIL_ON, true);
}

static void test_F55_failed_write(void **state)
{
	(void)state;
	each_call(ENV_MEM_WRITE, ENV_MEM_FAIL_ONCE, true);
}

static void test_F55_any_change_fails(void **state)
{
	(void)state;
	each_call(ENV_MEM_CHANGES, ENV_MEM_FAIL_ONCE, false);
}

static void test_F55_any_change_fails_for_ever(void **state)
{
	(void)state;
	each_call(ENV_MEM_CHANGES, ENV_MEM_FAIL_ON, false);
}

/* A read fails once: an error at most, nothing is lost, the store goes on. */
static void test_F62_failed_read(void **state)
{
	uint64_t seeds = work_number("VS_SEEDS", 1), first = work_number("VS_SEED_FIRST", 1);

	(void)state;
	for (at.seed = first; at.seed < first + seeds; at.seed++) {
		struct work *base = base_of(at.seed);
		bool reached = true;

		for (at.k = 1; reached; at.k++) {
			struct work *w = work_fork(base);
			uint64_t count = env_mem_io_count(w->m);
			enum vs_err err;
			bool ok;

			env_mem_fail_mask(w->m, ENV_MEM_READ);
			env_mem_fail_at(w->m, at.k, ENV_MEM_FAIL_ONCE);
			at.what = "opening";
			ok = work_open(w, true, &err);
			good(w, ok, VS_OK);
			if (err && w->s)
				work_crash(w, ENV_MEM_LOSE, 1);
			if (!w->s) { /* it could not be opened; now it can */
				ok = work_open(w, true, &err);
				good(w, ok, err);
			}
			run(w, rnd_of(at.seed));
			at.what = "workload";
			good(w, w->stopped == VS_OK, VS_OK);
			reached = env_mem_io_count(w->m) - count >= at.k;
			env_mem_fail_at(w->m, 0, ENV_MEM_FAIL_NONE);
			env_mem_fail_mask(w->m, ENV_MEM_CHANGES);
			at.what = "after it";
			if (at.k % 4 == 0)
				good(w, work_full_check(w), VS_OK);
			work_free(w);
		}
		work_free(base);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_F54_failed_sync_once),
		cmocka_unit_test(test_F54_failed_sync_for_ever),
		cmocka_unit_test(test_F55_failed_write),
		cmocka_unit_test(test_F55_any_change_fails),
		cmocka_unit_test(test_F55_any_change_fails_for_ever),
		cmocka_unit_test(test_F62_failed_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
