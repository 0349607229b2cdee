/*
 * test_full_disk: the disk is full at any time (F56, F84, P7).
 *
 * Writes get ENOSPC before anything is ordered, nothing acknowledged is lost,
 * deletes, syncs and checkpoints go on, a start with zero bytes free works,
 * and space that was freed can be written again.
 */
#include "tests/lib/verify.h"
#include "tests/lib/work.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct {
	uint64_t seed, room;
	const char *what;
} at;

static void good(const struct work *w, bool ok, enum vs_err err)
{
	if (ok && !err && !w->wrong)
		return;
	print_error("seed %llu, %llu bytes free at first, %s: %s %s\n", (unsigned long long)at.seed,
		    (unsigned long long)at.room, at.what, err ? vs_err_name(err) : "",
		    w->wrong ? w->why : w->report.text);
	fail();
}

/*
 * From now on `bytes` more can be allocated.  The reserve is there: another
 * program took the space while maintenance was running.
 */
static void leave_free(struct work *w, uint64_t bytes)
{
	struct env *env = env_mem_env(w->m);
	struct env_space space;

	if (w->s)
		store_prepare(w->s);
	env_mem_set_capacity(w->m, 1ull << 40);
	assert_int_equal(env->ops->space(env, &space), VS_OK);
	env_mem_set_capacity(w->m, space.total_bytes - space.free_bytes + bytes);
}

static bool must_work(enum work_op op)
{
	switch (op) {
	case WORK_KV_DEL:
	case WORK_RMDIR:
	case WORK_UNLINK:
	case WORK_UNLINK_OPEN:
	case WORK_END_SESSION:
	case WORK_SYNC:
	case WORK_CHECKPOINT:
	case WORK_GC_STEP:
		return true;
	default:
		return false;
	}
}

/* Work on; how many operations had no room.  What is not there for want of room may not be. */
static uint32_t go_on(struct work *w, int ops)
{
	uint32_t full = 0;

	for (int i = 0; i < ops; i++) {
		enum work_op op = i % 3 ? WORK_WRITE : work_random_op(w, 2);
		enum vs_err err = work_do(w, op);

		at.what = work_name(op);
		full += err == VS_ERR_NOSPC;
		good(w, true, err == VS_ERR_NOSPC && !must_work(op) ? VS_OK : err);
	}
	at.what = "accounts";
	good(w, verify_accounts(w->s, w->why, sizeof w->why) || work_wrong(w, "%s", w->why), VS_OK);
	return full;
}

static void crash_and_open(struct work *w, enum env_mem_crash mode)
{
	enum vs_err err;
	bool ok;

	at.what = "open";
	work_crash(w, mode, at.seed);
	ok = work_open(w, true, &err);
	good(w, ok, err);
}

/* Remove everything, on a disk that stays full. */
static void remove_all(struct work *w)
{
	static const enum work_op ops[] = {WORK_UNLINK, WORK_KV_DEL, WORK_END_SESSION, WORK_RMDIR};

	for (int i = 0; i < 400; i++) {
		enum work_op op = ops[i % 4];

		at.what = work_name(op);
		good(w, true, work_do(w, op));
	}
	at.what = "checkpoint";
	good(w, true, work_do(w, WORK_CHECKPOINT));
	at.what = "gc";
	good(w, true, work_do(w, WORK_GC));
}

/* How often the disk was found full. */
static uint32_t one(uint64_t seed, uint64_t room)
{
	struct work *w = work_new(seed);
	uint32_t full = 0;

	at.seed = seed;
	at.room = room;
	at.what = "begin";
	for (int i = 0; i < 25; i++)
		good(w, true, work_do(w, work_random_op(w, 1)));
	leave_free(w, room);
	/* the model holds few bytes at a time: throwing contents away fills the log */
	for (int i = 0; i < 4; i++) {
		full += go_on(w, 60);
		crash_and_open(w, i % 2 ? ENV_MEM_TORN : ENV_MEM_KEEP);
	}
	full += go_on(w, 30);
	remove_all(w);
	/*
	 * With hardly more segments than the reserve, the one in use holds what was
	 * freed and only more deletes make it roll: there, another program gives
	 * some space back.
	 */
	if (room < 2 * WORK_SEGMENT)
		leave_free(w, WORK_SEGMENT);
	for (int i = 0; i < 4; i++) {
		at.what = "write after space was freed";
		good(w, true, work_do(w, WORK_WRITE));
	}
	crash_and_open(w, ENV_MEM_TORN);
	env_mem_set_capacity(w->m, 0);
	at.what = "full check";
	good(w, work_full_check(w), VS_OK);
	work_free(w);
	return full;
}

static void test_F56_F84_full_at_any_time(void **state)
{
	static const uint64_t rooms[] = {0, 64u << 10, 256u << 10, 600u << 10, 2u << 20};
	uint64_t seeds = work_number("VS_SEEDS", 8), first = work_number("VS_SEED_FIRST", 1);
	uint64_t full = 0;

	(void)state;
	for (uint64_t seed = first; seed < first + seeds; seed++)
		for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++)
			full += one(seed, rooms[i]);
	assert_true(full > 0); /* or nothing was shown */
}

/* A disk that only fills: ENOSPC comes, everything stays, zero bytes free still starts. */
static void test_F56_fill_to_the_end(void **state)
{
	struct work *w = work_new(3);
	uint32_t full = 0, count = 0;
	uint8_t value[4000];
	struct rnd rnd = rnd_of(9);

	(void)state;
	at.seed = 3;
	at.room = 3u << 20;
	leave_free(w, at.room);
	for (; full < 20; count++) {
		struct store_result res;
		struct key k;
		struct txn t;
		enum vs_err err;
		uint8_t name[4];

		assert_true(count < 10000);
		put_be32(name, count);
		key_text(&k, KEY_KV, bytes_of(name, sizeof name));
		rnd_fill(&rnd, value, sizeof value);
		txn_init(&t);
		txn_put(&t, &k, bytes_of(value, sizeof value));
		err = store_propose(w->s, &t, &res);
		txn_fini(&t);
		full += err == VS_ERR_NOSPC;
		at.what = "put";
		good(w, true, err == VS_ERR_NOSPC ? VS_OK : err);
		if (err)
			continue;
		model_pair_put(&w->now, &k, bytes_of(value, sizeof value));
		w->acked = res.index;
		work_note(w, res.index, false);
	}
	assert_true(w->now.pairs > 100);
	at.what = "sync";
	good(w, true, work_do(w, WORK_SYNC));
	crash_and_open(w, ENV_MEM_LOSE);
	at.what = "delete";
	while (w->now.pairs)
		good(w, true, work_do(w, WORK_KV_DEL));
	at.what = "checkpoint";
	good(w, true, work_do(w, WORK_CHECKPOINT));
	at.what = "put after deletes";
	for (int i = 0; i < 100; i++)
		good(w, true, work_do(w, WORK_KV_PUT));
	crash_and_open(w, ENV_MEM_TORN);
	work_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_F56_F84_full_at_any_time),
		cmocka_unit_test(test_F56_fill_to_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
