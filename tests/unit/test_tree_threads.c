/* test_tree_threads: the thread rule of tree.h, for TSan: a writer, readers and checkpoints. */
#include "engine/base/thread.h"
#include "engine/tree.h"
#include "tests/lib/env_mem.h"
#include "tests/lib/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEYS 4000u
#define CHANGES 20000u

static struct rwlock lock;
static struct tree *t;
static bool over; /* relaxed atomic */

static bool running(void)
{
	return !__atomic_load_n(&over, __ATOMIC_RELAXED);
}

static struct bytes key_of(uint8_t *buf, uint64_t id)
{
	memset(buf, 'k', 32);
	put_be64(buf + 24, id);
	return bytes_of(buf, 32);
}

/* Read without the lock, install with it. */
static void load(struct tree_ref miss) NO_TSA
{
	static _Thread_local uint8_t buf[TREE_PAGE];
	enum vs_err e = tree_page_read(t, miss, buf);

	if (e == VS_ERR_CORRUPT_PAGE) /* used again since: starting over tells */
		return;
	vs_assert(e == VS_OK);
	rwlock_wrlock(&lock);
	e = tree_page_install(t, miss, buf);
	vs_assert(e == VS_OK);
	rwlock_unlock(&lock);
}

static void *reader(void *arg) NO_TSA
{
	struct rnd r = rnd_of((uint64_t)(uintptr_t)arg);
	struct tree_ref miss;
	struct bytes value;
	uint8_t kb[32];

	while (running()) {
		enum vs_err e;

		rwlock_rdlock(&lock);
		e = tree_get(t, key_of(kb, rnd_below(&r, KEYS)), &value, &miss);
		for (size_t i = 1; e == VS_OK && i < value.len; i++)
			vs_assert(((const uint8_t *)value.p)[i] == *(const uint8_t *)value.p);
		rwlock_unlock(&lock);
		if (e == VS_ERR_MISS)
			load(miss);
	}
	return NULL;
}

static void *checkpoints(void *arg) NO_TSA
{
	struct tree_image *image = arg;
	struct tree_stats s;
	uint64_t bytes;

	while (running()) {
		rwlock_wrlock(&lock);
		tree_freeze(t, image);
		rwlock_unlock(&lock);
		vs_assert(tree_write_frozen(t, &bytes) == VS_OK);
		rwlock_wrlock(&lock);
		tree_freeze_done(t);
		rwlock_unlock(&lock);
		rwlock_rdlock(&lock);
		tree_stats(t, &s);
		rwlock_unlock(&lock);
	}
	return NULL;
}

/* One change under one hold of the lock; false: start over. */
static bool change(struct rnd *r) NO_TSA
{
	uint8_t kb[32], vb[200];
	struct bytes key = key_of(kb, rnd_below(r, KEYS));
	struct tree_ref miss;
	uint64_t after;
	enum vs_err e, grow = VS_OK;

	memset(vb, (int)rnd_below(r, 256), sizeof vb);
	rwlock_wrlock(&lock);
	grow = tree_reserve(t, 1, 0);
	e = grow == VS_OK ? tree_touch(t, key, &miss) : grow;
	if (e == VS_OK && rnd_chance(r, 1, 4))
		(void)tree_del(t, key);
	else if (e == VS_OK)
		tree_put(t, key, bytes_of(vb, rnd_below(r, sizeof vb)));
	rwlock_unlock(&lock);
	if (e == VS_ERR_MISS)
		load(miss);
	if (grow == VS_ERR_NOSPC) {
		vs_assert(tree_grow_file(t, &after) == VS_OK);
		rwlock_wrlock(&lock);
		tree_grow_done(t, after);
		rwlock_unlock(&lock);
	}
	return e == VS_OK;
}

static void test_threads(void **state)
{
	struct env_mem *m = env_mem_new(1);
	struct tree_config config = {env_mem_env(m), "tree", 64 * TREE_PAGE, 64};
	struct tree_image image;
	struct rnd r = rnd_of(5);
	pthread_t th[3];

	(void)state;
	rwlock_init(&lock);
	assert_int_equal(tree_open(&config, NULL, &t), VS_OK);
	for (uintptr_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&th[i], NULL, reader, (void *)(i + 1)), 0);
	assert_int_equal(pthread_create(&th[2], NULL, checkpoints, &image), 0);
	for (uint32_t i = 0; i < CHANGES;)
		i += change(&r);
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_join(th[i], NULL), 0);
	tree_check(t);
	tree_close(t);
	rwlock_fini(&lock);
	env_mem_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
