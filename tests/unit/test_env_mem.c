/* test_env_mem: the simulated disk forgets, tears and fails as it says. */
#include "tests/lib/env_mem.h"
#include "tests/lib/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define B ENV_MEM_BLOCK

static struct env_mem *m;
static struct env *e;

static int setup(void **state)
{
	(void)state;
	m = env_mem_new(1);
	e = env_mem_env(m);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	env_mem_free(m);
	return 0;
}

static struct env_file *open_rw(const char *name)
{
	struct env_file *f = NULL;

	assert_int_equal(e->ops->open(e, name, ENV_WRITE | ENV_CREATE, &f), VS_OK);
	return f;
}

/* Write count blocks full of byte c at block `at`. */
static enum vs_err fill(struct env_file *f, char c, uint64_t at, size_t count)
{
	char *buf = malloc(count * B);
	enum vs_err err;

	assert_non_null(buf);
	memset(buf, c, count * B);
	err = env_pwrite(e, f, buf, count * B, at * B);
	free(buf);
	return err;
}

/* A durable file of count blocks of 'o', durably named. */
static struct env_file *old_file(const char *name, size_t count)
{
	struct env_file *f = open_rw(name);

	assert_int_equal(fill(f, 'o', 0, count), VS_OK);
	assert_int_equal(e->ops->sync(f), VS_OK);
	assert_int_equal(e->ops->dir_sync(e, ""), VS_OK);
	return f;
}

/* Byte at off, -1 at the end, -2 when there is no such file. */
static int byte_at(struct env_mem *of, const char *name, uint64_t off)
{
	struct env_mem_stats s;
	unsigned char c;

	if (!env_mem_stats(of, name, &s))
		return -2;
	return env_mem_peek(of, name, &c, 1, off) ? c : -1;
}

static struct env_mem *crashed(enum env_mem_crash mode, uint64_t seed)
{
	struct env_mem *c = env_mem_clone(m);

	env_mem_crash(c, mode, seed);
	return c;
}

static void reads_see_writes(void **state)
{
	struct env_file *f = open_rw("a");
	char buf[20];
	size_t got;

	(void)state;
	assert_int_equal(env_pwrite(e, f, "hello", 5, 100000), VS_OK);
	assert_int_equal(e->ops->pread(f, buf, sizeof buf, 99998, &got), VS_OK);
	assert_int_equal(got, 7);
	assert_memory_equal(buf, "\0\0hello", 7);
	assert_int_equal(e->ops->pread(f, buf, 1, 100005, &got), VS_OK);
	assert_int_equal(got, 0);
	e->ops->close(f);
}

static void crash_lose_and_keep(void **state)
{
	struct env_file *f = old_file("a", 2);
	struct env_mem *c;

	(void)state;
	assert_int_equal(fill(f, 'n', 1, 2), VS_OK);
	e->ops->close(open_rw("b"));
	assert_int_equal(env_mem_unsynced_blocks(m), 2);
	assert_int_equal(env_mem_unsynced_names(m), 1);

	c = crashed(ENV_MEM_LOSE, 0);
	assert_int_equal(byte_at(c, "a", B), 'o');
	assert_int_equal(byte_at(c, "a", (uint64_t)2 * B), -1);
	assert_int_equal(byte_at(c, "b", 0), -2);
	env_mem_free(c);
	c = crashed(ENV_MEM_KEEP, 0);
	assert_int_equal(byte_at(c, "a", 0), 'o');
	assert_int_equal(byte_at(c, "a", B), 'n');
	assert_int_equal(byte_at(c, "a", (uint64_t)3 * B - 1), 'n');
	assert_int_equal(byte_at(c, "b", 0), -1);
	assert_int_equal(env_mem_unsynced_blocks(c), 0);
	env_mem_free(c);
	/* the clones changed nothing here */
	assert_int_equal(byte_at(m, "a", B), 'n');
	assert_int_equal(env_mem_unsynced_blocks(m), 2);
	e->ops->close(f);
}

static void crash_mask_is_every_subset(void **state)
{
	struct env_file *f = old_file("a", 3);

	(void)state;
	assert_int_equal(fill(f, 'n', 1, 3), VS_OK);
	assert_int_equal(env_mem_unsynced_blocks(m), 3);
	for (uint64_t mask = 0; mask < 8; mask++) {
		struct env_mem *c = crashed(ENV_MEM_MASK, mask);

		for (uint64_t i = 0; i < 3; i++) {
			int old = i == 2 ? -1 : 'o';

			assert_int_equal(byte_at(c, "a", (i + 1) * B), mask >> i & 1 ? 'n' : old);
		}
		env_mem_free(c);
	}
	e->ops->close(f);
}

static void handles_die_in_a_crash(void **state)
{
	struct env_file *f = old_file("a", 1);
	uint64_t size;
	size_t got;
	char c;

	(void)state;
	assert_int_equal(e->ops->lock(e, "lock"), VS_OK);
	assert_int_equal(e->ops->lock(e, "lock"), VS_ERR_LOCKED);
	env_mem_crash(m, ENV_MEM_LOSE, 0);
	assert_int_equal(e->ops->pread(f, &c, 1, 0, &got), VS_ERR_STOPPED);
	assert_int_equal(fill(f, 'x', 0, 1), VS_ERR_STOPPED);
	assert_int_equal(e->ops->sync(f), VS_ERR_STOPPED);
	assert_int_equal(e->ops->size(f, &size), VS_ERR_STOPPED);
	e->ops->close(f);
	assert_int_equal(e->ops->lock(e, "lock"), VS_OK);
	f = open_rw("a");
	assert_int_equal(e->ops->size(f, &size), VS_OK);
	assert_int_equal(size, B);
	e->ops->close(f);
}

/* Over many seeds a random crash shows every mixture, and only allowed bytes. */
static void crash_random_blocks_and_tears(void **state)
{
	struct env_file *f = old_file("a", 2);
	bool mixed = false, torn = false, version = false;

	(void)state;
	assert_int_equal(fill(f, 'm', 0, 2), VS_OK);
	assert_int_equal(fill(f, 'n', 0, 2), VS_OK);
	for (uint64_t seed = 0; seed < 200; seed++) {
		bool tear = seed % 2;
		struct env_mem *c = crashed(tear ? ENV_MEM_TORN : ENV_MEM_BLOCKS, seed);
		char buf[2 * B];

		assert_int_equal(env_mem_peek(c, "a", buf, sizeof buf, 0), sizeof buf);
		for (size_t i = 0; i < sizeof buf; i++) {
			assert_true(buf[i] == 'o' || buf[i] == 'm' || buf[i] == 'n');
			if (i % ENV_MEM_SECTOR)
				assert_int_equal(buf[i], buf[i - 1]);
			else if (i % B && buf[i] != buf[i - 1])
				torn = true;
			assert_true(tear || i % B == 0 || buf[i] == buf[i - 1]);
			version |= buf[i] == 'm';
		}
		mixed |= buf[0] != buf[B];
		env_mem_free(c);
	}
	assert_true(mixed && torn && version);
	e->ops->close(f);
}

static void same_seed_same_crash(void **state)
{
	struct env_file *f = old_file("a", 8);

	(void)state;
	assert_int_equal(fill(f, 'n', 0, 8), VS_OK);
	for (uint64_t seed = 0; seed < 10; seed++) {
		struct env_mem *x = crashed(ENV_MEM_TORN, seed), *y = crashed(ENV_MEM_TORN, seed);
		static char a[8 * B], b[8 * B];

		env_mem_peek(x, "a", a, sizeof a, 0);
		env_mem_peek(y, "a", b, sizeof b, 0);
		assert_memory_equal(a, b, sizeof a);
		env_mem_free(x);
		env_mem_free(y);
	}
	e->ops->close(f);
}

/* A cut that is not on disk takes the blocks behind it along. */
static void truncate_is_a_unit(void **state)
{
	struct env_file *f = old_file("a", 4);
	struct env_mem *c;

	(void)state;
	assert_int_equal(e->ops->truncate(f, B), VS_OK);
	assert_int_equal(fill(f, 'n', 2, 1), VS_OK);
	assert_int_equal(env_mem_unsynced_blocks(m), 2);

	c = crashed(ENV_MEM_MASK, 2); /* the block without the cut */
	assert_int_equal(byte_at(c, "a", (uint64_t)2 * B), 'o');
	assert_int_equal(byte_at(c, "a", (uint64_t)4 * B - 1), 'o');
	env_mem_free(c);
	c = crashed(ENV_MEM_MASK, 1); /* the size without the block */
	assert_int_equal(byte_at(c, "a", 0), 'o');
	assert_int_equal(byte_at(c, "a", B), 0);
	assert_int_equal(byte_at(c, "a", (uint64_t)2 * B), 0);
	assert_int_equal(byte_at(c, "a", (uint64_t)3 * B), -1);
	env_mem_free(c);
	assert_int_equal(e->ops->sync(f), VS_OK);
	c = crashed(ENV_MEM_LOSE, 0);
	assert_int_equal(byte_at(c, "a", B), 0);
	assert_int_equal(byte_at(c, "a", (uint64_t)2 * B), 'n');
	assert_int_equal(byte_at(c, "a", (uint64_t)3 * B), -1);
	env_mem_free(c);
	e->ops->close(f);
}

static void names_survive_as_a_prefix(void **state)
{
	static const char *const name[] = {"d/a", "d/b", "d/c"};

	(void)state;
	assert_int_equal(e->ops->mkdir(e, "d"), VS_OK);
	for (int i = 0; i < 3; i++)
		e->ops->close(open_rw(name[i]));
	for (uint32_t keep = 0; keep <= 4; keep++) {
		struct env_mem *c = env_mem_clone(m);

		env_mem_crash_mask(c, 0, keep);
		for (uint32_t i = 0; i < 3; i++)
			assert_int_equal(byte_at(c, name[i], 0), i + 1 < keep ? -1 : -2);
		env_mem_free(c);
	}
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct env_mem *c = crashed(ENV_MEM_BLOCKS, seed);

		for (int i = 1; i < 3; i++)
			assert_true(byte_at(c, name[i], 0) == -2 ||
				    byte_at(c, name[i - 1], 0) == -1);
		env_mem_free(c);
	}
}

static void dir_sync_makes_its_names_durable(void **state)
{
	struct env_mem *c;

	(void)state;
	assert_int_equal(e->ops->mkdir(e, "d"), VS_OK);
	e->ops->close(open_rw("d/a"));
	assert_int_equal(e->ops->dir_sync(e, "d"), VS_OK);
	c = crashed(ENV_MEM_LOSE, 0); /* d itself is not durable */
	assert_int_equal(byte_at(c, "d/a", 0), -2);
	env_mem_free(c);
	assert_int_equal(e->ops->dir_sync(e, ""), VS_OK);
	e->ops->close(open_rw("d/b"));
	c = crashed(ENV_MEM_LOSE, 0);
	assert_int_equal(byte_at(c, "d/a", 0), -1);
	assert_int_equal(byte_at(c, "d/b", 0), -2);
	env_mem_free(c);
	assert_int_equal(e->ops->dir_sync(e, "x"), VS_ERR_NOENT);
}

static void rename_is_old_or_new(void **state)
{
	struct env_file *f = old_file("super", 1);
	bool saw[2] = {false, false};

	(void)state;
	e->ops->close(f);
	f = open_rw("tmp");
	assert_int_equal(fill(f, 'n', 0, 1), VS_OK);
	assert_int_equal(e->ops->sync(f), VS_OK);
	e->ops->close(f);
	assert_int_equal(e->ops->rename(e, "tmp", "super"), VS_OK);
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct env_mem *c = crashed(ENV_MEM_BLOCKS, seed);
		int b = byte_at(c, "super", 0);

		assert_true(b == 'o' || b == 'n');
		assert_true(b == 'o' || byte_at(c, "tmp", 0) == -2);
		saw[b == 'n'] = true;
		env_mem_free(c);
	}
	assert_true(saw[0] && saw[1]);
	assert_int_equal(e->ops->dir_sync(e, ""), VS_OK);
	env_mem_crash(m, ENV_MEM_LOSE, 0);
	assert_int_equal(byte_at(m, "super", 0), 'n');
}

static void unlinked_open_file_stays_readable(void **state)
{
	struct env_file *f = old_file("a", 1);
	struct env_mem *c;
	char b = 0;
	size_t got;

	(void)state;
	assert_int_equal(e->ops->unlink(e, "a"), VS_OK);
	assert_int_equal(e->ops->unlink(e, "a"), VS_ERR_NOENT);
	c = crashed(ENV_MEM_LOSE, 0);
	assert_int_equal(byte_at(c, "a", 0), 'o');
	env_mem_free(c);
	assert_int_equal(e->ops->dir_sync(e, ""), VS_OK);
	assert_int_equal(e->ops->pread(f, &b, 1, 0, &got), VS_OK);
	assert_int_equal(b, 'o');
	e->ops->close(f);
	assert_int_equal(byte_at(m, "a", 0), -2);
}

/* F54: after a failed sync a later good one does not bring the bytes back. */
static void failed_sync_drops_the_dirty_blocks(void **state)
{
	struct env_file *f = old_file("a", 16);
	int lost = 0;

	(void)state;
	assert_int_equal(fill(f, 'n', 0, 16), VS_OK);
	env_mem_fail_at(m, 1, ENV_MEM_FAIL_ONCE);
	assert_int_equal(e->ops->sync(f), VS_ERR_IO_SYNC);
	assert_int_equal(env_mem_unsynced_blocks(m), 0);
	assert_int_equal(byte_at(m, "a", 0), 'n');
	assert_int_equal(fill(f, 'p', 16, 1), VS_OK);
	assert_int_equal(e->ops->sync(f), VS_OK);
	e->ops->close(f);
	env_mem_crash(m, ENV_MEM_KEEP, 0);
	assert_int_equal(byte_at(m, "a", (uint64_t)16 * B), 'p');
	for (uint64_t i = 0; i < 16; i++)
		lost += byte_at(m, "a", i * B) == 'o';
	assert_in_range(lost, 1, 16);
}

static void faults_hit_the_kth_call(void **state)
{
	struct env_file *f = old_file("a", 1);
	uint64_t before = env_mem_io_count(m);
	char c;
	size_t got;

	(void)state;
	env_mem_fail_at(m, 2, ENV_MEM_FAIL_ONCE);
	assert_int_equal(e->ops->pread(f, &c, 1, 0, &got), VS_OK); /* not counted */
	assert_int_equal(e->ops->sync(f), VS_OK);
	assert_int_equal(e->ops->unlink(e, "a"), VS_ERR_IO_DIR);
	assert_int_equal(e->ops->sync(f), VS_OK);
	assert_int_equal(env_mem_io_count(m) - before, 3);
	env_mem_fail_at(m, 1, ENV_MEM_FAIL_NOSPC);
	assert_int_equal(fill(f, 'n', 0, 1), VS_ERR_NOSPC);
	env_mem_fail_at(m, 1, ENV_MEM_FAIL_ON);
	assert_int_equal(fill(f, 'n', 0, 1), VS_ERR_IO_WRITE);
	assert_int_equal(e->ops->rename(e, "a", "b"), VS_ERR_IO_DIR);
	assert_int_equal(e->ops->dir_sync(e, ""), VS_ERR_IO_SYNC);
	env_mem_fail_at(m, 0, ENV_MEM_FAIL_NONE);
	env_mem_fail_mask(m, ENV_MEM_READ);
	env_mem_fail_at(m, 1, ENV_MEM_FAIL_ONCE);
	assert_int_equal(e->ops->sync(f), VS_OK);
	assert_int_equal(e->ops->pread(f, &c, 1, 0, &got), VS_ERR_IO_READ);
	e->ops->close(f);
}

static void power_cut_stops_everything_until_the_crash(void **state)
{
	struct env_file *f = old_file("a", 1), *g = NULL;
	struct env_space s;

	(void)state;
	env_mem_fail_at(m, 1, ENV_MEM_FAIL_POWER);
	assert_int_equal(fill(f, 'n', 0, 1), VS_ERR_STOPPED);
	assert_true(env_mem_is_off(m));
	assert_int_equal(e->ops->sync(f), VS_ERR_STOPPED);
	assert_int_equal(e->ops->open(e, "a", ENV_READ, &g), VS_ERR_STOPPED);
	assert_int_equal(e->ops->space(e, &s), VS_ERR_STOPPED);
	e->ops->close(f);
	env_mem_crash(m, ENV_MEM_LOSE, 0);
	assert_int_equal(byte_at(m, "a", 0), 'o');
	assert_int_equal(e->ops->open(e, "a", ENV_READ, &g), VS_OK);
	e->ops->close(g);
}

static void capacity_limits_new_blocks_only(void **state)
{
	struct env_file *f = old_file("a", 2);
	struct env_space s;

	(void)state;
	env_mem_set_capacity(m, 4 * B);
	assert_int_equal(e->ops->space(e, &s), VS_OK);
	assert_int_equal(s.free_bytes, 2 * B);
	assert_int_equal(e->ops->allocate(f, 0, (uint64_t)5 * B), VS_ERR_NOSPC);
	assert_int_equal(e->ops->allocate(f, 0, (uint64_t)4 * B), VS_OK);
	assert_int_equal(fill(f, 'n', 0, 4), VS_OK);
	assert_int_equal(fill(f, 'n', 4, 1), VS_ERR_NOSPC);
	assert_int_equal(e->ops->truncate(f, B), VS_OK);
	assert_int_equal(fill(f, 'n', 1, 3), VS_OK);
	e->ops->close(f);
	assert_int_equal(e->ops->unlink(e, "a"), VS_OK);
	assert_int_equal(e->ops->dir_sync(e, ""), VS_OK);
	assert_int_equal(e->ops->space(e, &s), VS_OK);
	assert_int_equal(s.free_bytes, 4 * B);
}

/* F59, F62: damage at rest, lost and misdirected writes. */
static void damage(void **state)
{
	struct env_file *f = old_file("a", 4);

	(void)state;
	assert_true(env_mem_flip(m, "a", 5, 0x40));
	assert_false(env_mem_flip(m, "none", 5, 1));
	assert_false(env_mem_flip(m, "a", (uint64_t)4 * B, 1));
	assert_int_equal(byte_at(m, "a", 5), 'o' ^ 0x40);
	assert_true(env_mem_lose_next(m, "a"));
	assert_int_equal(fill(f, 'n', 1, 1), VS_OK);
	assert_int_equal(byte_at(m, "a", B), 'o');
	assert_true(env_mem_misdirect_next(m, "a", 2 * B));
	assert_int_equal(fill(f, 'n', 1, 1), VS_OK);
	assert_int_equal(byte_at(m, "a", B), 'o');
	assert_int_equal(byte_at(m, "a", (uint64_t)3 * B), 'n');
	assert_int_equal(fill(f, 'n', 1, 1), VS_OK);
	assert_int_equal(byte_at(m, "a", B), 'n');
	assert_true(env_mem_poke(m, "a", "x", 1, 0));
	e->ops->close(f);
	env_mem_crash(m, ENV_MEM_LOSE, 0);
	assert_int_equal(byte_at(m, "a", 0), 'x');
	assert_int_equal(byte_at(m, "a", 5), 'o' ^ 0x40);
}

static void count_hook(void *arg, const char *name)
{
	assert_string_equal(name, "a");
	++*(int *)arg;
}

static void stats_hook_clock_random(void **state)
{
	struct env_mem *other = env_mem_new(1);
	struct env *o = env_mem_env(other);
	uint64_t t = e->ops->now_mono_ns(e), a, b;
	struct env_mem_stats s;
	int syncs = 0;

	(void)state;
	env_mem_set_sync_hook(m, count_hook, &syncs);
	e->ops->close(old_file("a", 3));
	assert_true(env_mem_stats(m, "a", &s));
	assert_int_equal(s.syncs, 1);
	assert_int_equal(s.bytes_written, 3 * B);
	assert_int_equal(syncs, 1);
	assert_int_equal(e->ops->now_mono_ns(e), t);
	env_mem_advance(m, 17);
	assert_int_equal(e->ops->now_mono_ns(e), t + 17);
	e->ops->random(e, &a, sizeof a);
	o->ops->random(o, &b, sizeof b);
	assert_true(a == b);
	env_mem_free(other);
}

/* Random operations against a flat model: synced bytes survive any crash. */
static void synced_bytes_survive_random_runs(void **state)
{
	enum { SIZE = 20 * B };
	static char model[SIZE], back[SIZE];

	(void)state;
	for (uint64_t seed = 0; seed < 60; seed++) {
		struct rnd r = rnd_of(seed);
		struct env_file *f = old_file("a", SIZE / B);

		memset(model, 'o', SIZE);
		for (int i = 0; i < 30; i++) {
			uint64_t off = rnd_below(&r, SIZE), len = rnd_between(&r, 1, 3 * B);

			len = len < SIZE - off ? len : SIZE - off;
			memset(model + off, 'a' + i % 26, len);
			assert_int_equal(env_pwrite(e, f, model + off, len, off), VS_OK);
			if (rnd_chance(&r, 1, 4)) {
				off -= off % 7;
				assert_int_equal(e->ops->truncate(f, off), VS_OK);
				memset(model + off, 0, SIZE - off);
				assert_int_equal(e->ops->truncate(f, SIZE), VS_OK);
			}
		}
		assert_int_equal(e->ops->sync(f), VS_OK);
		assert_int_equal(env_mem_unsynced_blocks(m), 0);
		e->ops->close(f);
		env_mem_crash(m, (enum env_mem_crash)(seed % 4), seed);
		assert_int_equal(env_mem_peek(m, "a", back, SIZE, 0), SIZE);
		assert_memory_equal(back, model, SIZE);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(reads_see_writes),
		T(crash_lose_and_keep),
		T(crash_mask_is_every_subset),
		T(handles_die_in_a_crash),
		T(crash_random_blocks_and_tears),
		T(same_seed_same_crash),
		T(truncate_is_a_unit),
		T(names_survive_as_a_prefix),
		T(dir_sync_makes_its_names_durable),
		T(rename_is_old_or_new),
		T(unlinked_open_file_stays_readable),
		T(failed_sync_drops_the_dirty_blocks),
		T(faults_hit_the_kth_call),
		T(power_cut_stops_everything_until_the_crash),
		T(capacity_limits_new_blocks_only),
		T(damage),
		T(stats_hook_clock_random),
		T(synced_bytes_survive_random_runs),
	};

	return cmocka_run_group_tests_name("env_mem", tests, NULL, NULL);
}
