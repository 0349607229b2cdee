/*
 * The daemon ends in every way under nine kinds of clients, and starts again:
 * everything acknowledged is there, every file is old or new, nothing zeroed or
 * half-written shows, unlinked files stay away, scrub and gc find nothing wrong
 * (F89, F90, F91, F92; P1, P2, P3, P9).
 *
 * VS_MOUNT_SECONDS: time for all rounds (25).  VS_SEEDS: that many rounds of
 * each way instead.  VS_SEED_FIRST: the seed of the first round.
 */
#include "tests/lib/client.h"
#include "tests/lib/rand.h"
#include "tests/lib/testfs.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	CLIENTS = CLIENT_KINDS + 2, /* two more that create and replace */
	KEEP = 2,                   /* rounds whose directories stay and are checked again */
	JOIN_SECONDS = 60,
	GONE_SECONDS = 60,
	OUT_MAX = 8192,
};

enum way {
	WAY_KILL,       /* kill -9 */
	WAY_KILL_START, /* and again kill -9 of the daemons that recover */
	WAY_TERM,       /* SIGTERM with open files */
	WAY_BUSY,       /* fusermount3 -u is refused; kill -9 */
	WAY_LAZY,       /* fusermount3 -uz; it ends when the last client did */
	WAY_STOP,       /* SIGSTOP, SIGCONT, nothing happens; kill -9 */
	WAYS
};
/* No commit by itself: what a client did not ask for must not be half there. */
#define COMMIT_LATE "commit=3600"
/* Of a hundred. */
static const uint32_t way_share[WAYS] = {40, 15, 12, 8, 15, 10};

static struct testfs tfs;
static struct client *clients; /* KEEP sets of CLIENTS */
static uint64_t seed_next, round_number;
static bool broken; /* a test failed in the middle of a round */
static char out[OUT_MAX];

static struct client *set_of(uint64_t round)
{
	return clients + (round % KEEP) * CLIENTS;
}

static void round_dir(char *path, size_t cap, uint64_t round)
{
	snprintf(path, cap, "%s/round%llu", tfs.mnt, (unsigned long long)round);
}

/* Directories and processes of this round; those KEEP rounds ago are removed. */
static void start_clients(struct rnd *r)
{
	struct client *set = set_of(round_number);
	char path[TESTFS_PATH + 64];

	if (round_number >= KEEP) {
		round_dir(path, sizeof(path), round_number - KEEP);
		testfs_remove(path);
		assert_int_not_equal(access(path, F_OK), 0);
	}
	round_dir(path, sizeof(path), round_number);
	assert_int_equal(mkdir(path, 0755), 0);
	memset(set, 0, CLIENTS * sizeof(*set));
	for (uint32_t k = 0; k < CLIENTS; k++) {
		set[k].kind = (enum client_kind)(k % CLIENT_KINDS);
		set[k].seed = rnd_next(r);
		snprintf(set[k].dir, sizeof(set[k].dir), "%s/%u-%s", path, k,
			 client_kind_name(set[k].kind));
		assert_int_equal(mkdir(set[k].dir, 0755), 0);
	}
	for (uint32_t k = 0; k < CLIENTS; k++)
		assert_true(client_start(&set[k]));
}

static void set_flags(bool stop, bool ending)
{
	for (uint32_t k = 0; k < CLIENTS; k++) {
		set_of(round_number)[k].ending = ending;
		set_of(round_number)[k].stop = stop;
	}
}

static void print_client(const char *what, const struct client *c)
{
	print_message("%s: seed %llu: %s\n", what, (unsigned long long)seed_next, c->dir);
	print_message("    %s\n", c->why);
}

static void join_clients(void)
{
	bool good = true;

	for (uint32_t k = 0; k < CLIENTS; k++) {
		struct client *c = &set_of(round_number)[k];

		if (client_join(c, JOIN_SECONDS))
			continue;
		print_client("client", c);
		good = false;
	}
	assert_true(good);
}

/* Every client of the rounds that are kept. */
static void check_clients(void)
{
	bool good = true;

	for (uint64_t back = 0; back < KEEP && back <= round_number; back++) {
		for (uint32_t k = 0; k < CLIENTS; k++) {
			struct client *c = &set_of(round_number - back)[k];

			if (client_check(c))
				continue;
			print_client("check", c);
			good = false;
		}
	}
	assert_true(good);
}

/* Nothing is damaged; after one collection there is nothing more to collect. */
static void check_store(void)
{
	if (tfs.plain)
		return;
	if (testfs_admin(&tfs, "scrub", out, sizeof(out)) != 0)
		fail_msg("scrub: seed %llu: %s", (unsigned long long)seed_next, out);
	assert_int_equal(testfs_number(out, "scrub_errors"), 0);
	assert_int_equal(testfs_admin(&tfs, "gc", out, sizeof(out)), 0);
	if (testfs_number(out, "leaked_chunks") != 0)
		print_message("gc: seed %llu: leaked at first: %s\n", (unsigned long long)seed_next,
			      out);
	assert_int_equal(testfs_admin(&tfs, "gc", out, sizeof(out)), 0);
	if (testfs_number(out, "leaked_chunks") != 0)
		fail_msg("gc: seed %llu: %s", (unsigned long long)seed_next, out);
}

/* End the daemon under the clients; on return both are gone. */
static void end_daemon(enum way way, struct rnd *r)
{
	switch (way) {
	case WAY_BUSY:
		assert_true(tfs.plain || !testfs_unmount(&tfs, false));
		testfs_sleep_ms((uint32_t)rnd_below(r, 50));
		break;
	case WAY_STOP:
		assert_true(testfs_signal(&tfs, tfs.plain ? 0 : SIGSTOP));
		testfs_sleep_ms((uint32_t)rnd_below(r, 200));
		assert_true(testfs_signal(&tfs, SIGCONT));
		testfs_sleep_ms((uint32_t)rnd_below(r, 100));
		break;
	case WAY_LAZY:
		assert_true(testfs_unmount(&tfs, true));
		testfs_sleep_ms((uint32_t)rnd_below(r, 100));
		assert_true(testfs_signal(&tfs, 0));
		set_flags(true, false);
		join_clients();
		assert_true(testfs_wait_gone(&tfs, GONE_SECONDS));
		assert_false(testfs_mounted(&tfs));
		return;
	default:
		break;
	}
	set_flags(tfs.plain, true);
	for (uint32_t k = 0; way == WAY_TERM && k < CLIENTS; k++)
		set_of(round_number)[k].cut = true;
	assert_true(testfs_signal(&tfs, way == WAY_TERM ? SIGTERM : SIGKILL));
	if (!testfs_wait_gone(&tfs, GONE_SECONDS))
		fail_msg("the daemon does not end: seed %llu", (unsigned long long)seed_next);
	join_clients();
	if (way == WAY_TERM)
		assert_false(testfs_mounted(&tfs));
}

static void one_round(enum way way)
{
	struct rnd r = rnd_of(seed_next ^ (uint64_t)way << 56);

	start_clients(&r);
	testfs_sleep_ms((uint32_t)rnd_below(&r, rnd_chance(&r, 1, 4) ? 1500 : 300));
	end_daemon(way, &r);
	for (uint64_t k = way == WAY_KILL_START ? rnd_between(&r, 1, 3) : 0; k && !tfs.plain; k--) {
		assert_true(testfs_start(&tfs, COMMIT_LATE));
		testfs_sleep_ms((uint32_t)rnd_below(&r, 20));
		assert_true(testfs_kill(&tfs));
	}
	assert_true(testfs_start(&tfs, rnd_chance(&r, 1, 4) ? "commit=3600,cache=4M,dirty=8M"
							    : COMMIT_LATE));
	check_clients();
	if (round_number % 3 == 0)
		check_store();
	round_number++;
	seed_next++;
}

static void run_way(enum way way)
{
	uint64_t seconds = testfs_env("VS_MOUNT_SECONDS", 25), rounds = testfs_env("VS_SEEDS", 0);
	uint64_t begin = testfs_now_ms(), first = seed_next;

	if (testfs_missing())
		skip();
	if (broken)
		fail_msg("not run after the failure before");
	broken = true;
	for (uint64_t k = 0;
	     rounds ? k < rounds
		    : k == 0 || testfs_now_ms() - begin < seconds * 10 * way_share[way];
	     k++)
		one_round(way);
	broken = false;
	print_message("seeds %llu to %llu, %llu ms\n", (unsigned long long)first,
		      (unsigned long long)seed_next - 1,
		      (unsigned long long)(testfs_now_ms() - begin));
}

static void test_kill(void **state)
{
	(void)state;
	run_way(WAY_KILL);
}

static void test_kill_in_recovery(void **state)
{
	(void)state;
	run_way(WAY_KILL_START);
}

static void test_term(void **state)
{
	(void)state;
	run_way(WAY_TERM);
}

static void test_busy(void **state)
{
	(void)state;
	run_way(WAY_BUSY);
}

static void test_lazy(void **state)
{
	(void)state;
	run_way(WAY_LAZY);
}

static void test_stop_cont(void **state)
{
	(void)state;
	run_way(WAY_STOP);
}

/* All removed: no inode and no chunk is left of what the crashes cut off (F92). */
static void test_nothing_is_left(void **state)
{
	struct statvfs before, after;
	char path[TESTFS_PATH + 64];

	(void)state;
	if (testfs_missing())
		skip();
	if (broken)
		fail_msg("not run after the failure before");
	for (uint64_t back = 1; back <= KEEP && back <= round_number; back++) {
		round_dir(path, sizeof(path), round_number - back);
		testfs_remove(path);
	}
	check_store();
	if (tfs.plain)
		return;
	assert_int_equal(statvfs(tfs.mnt, &after), 0);
	assert_int_equal(testfs_admin(&tfs, "status", out, sizeof(out)), 0);
	if (testfs_number(out, "live_bytes") != 0)
		fail_msg("live bytes in an empty file system: %s", out);
	assert_true(testfs_unmount(&tfs, false));
	assert_true(testfs_wait_gone(&tfs, GONE_SECONDS));
	/* an empty one tells how many inodes that is */
	snprintf(tfs.data, sizeof(tfs.data), "%s/data2", tfs.top);
	assert_true(testfs_start(&tfs, NULL));
	assert_int_equal(statvfs(tfs.mnt, &before), 0);
	assert_int_equal(after.f_files - after.f_ffree, before.f_files - before.f_ffree);
}

static int setup(void **state)
{
	(void)state;
	if (testfs_missing()) {
		print_message("skipped: %s\n", testfs_missing());
		return 0;
	}
	seed_next = testfs_env("VS_SEED_FIRST", testfs_now_ms() % 1000000 * 1000);
	clients = client_alloc(KEEP * CLIENTS);
	/* small segments: many are sealed, cleaned and recycled in a short time */
	return clients && testfs_init(&tfs) && testfs_start(&tfs, "segment=16M," COMMIT_LATE) ? 0
											      : -1;
}

static int teardown(void **state)
{
	(void)state;
	for (uint32_t k = 0; clients && k < KEEP * CLIENTS; k++)
		if (clients[k].pid)
			kill(-clients[k].pid, SIGKILL);
	if (tfs.top[0])
		testfs_fini(&tfs);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_kill_in_recovery),
		cmocka_unit_test(test_term),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_lazy),
		cmocka_unit_test(test_stop_cont),
		cmocka_unit_test(test_nothing_is_left),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
