/* The store and the object layer on a simulated disk, one thread. */
#include "engine/object.h"
#include "tests/lib/env_mem.h"
#include "tests/lib/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#define CHUNK (64u << 10)

static struct store *open_store(struct env_mem *m, bool create)
{
	struct store_config c = {.env = env_mem_env(m),
				 .cache_bytes = 4u << 20,
				 .chunk_bytes = CHUNK,
				 .segment_bytes = 512u << 10,
				 .create = create};
	struct store_report r;
	struct store *s = NULL;
	enum vs_err err = store_open(&c, &r, &s);

	if (err)
		fprintf(stderr, "open: %s: %s\n", vs_err_name(err), r.text);
	assert_int_equal(err, VS_OK);
	return s;
}

static enum vs_err put_text(struct store *s, const char *name, const char *value)
{
	struct store_result res;
	struct key k;
	struct txn t;
	enum vs_err err;

	key_text(&k, KEY_KV, bytes_of(name, strlen(name)));
	txn_init(&t);
	txn_put(&t, &k, bytes_of(value, strlen(value)));
	err = store_propose(s, &t, &res);
	txn_fini(&t);
	return err ? err : store_sync(s, res.index);
}

static void expect_text(struct store *s, const char *name, const char *value)
{
	char buf[128];
	struct key k;
	size_t len;
	enum vs_err err;

	key_text(&k, KEY_KV, bytes_of(name, strlen(name)));
	err = store_get(s, &k, buf, sizeof buf, &len);
	if (!value) {
		assert_int_equal(err, VS_ERR_NOENT);
		return;
	}
	assert_int_equal(err, VS_OK);
	assert_int_equal(len, strlen(value));
	assert_memory_equal(buf, value, len);
}

static void test_put_reopen(void **state)
{
	struct env_mem *m = env_mem_new(1);
	struct store *s = open_store(m, true);

	(void)state;
	assert_int_equal(put_text(s, "x", "100"), VS_OK);
	assert_int_equal(put_text(s, "y", "200"), VS_OK);
	assert_int_equal(store_close(s), VS_OK);
	s = open_store(m, false);
	expect_text(s, "x", "100");
	expect_text(s, "y", "200");
	expect_text(s, "z", NULL);
	assert_int_equal(put_text(s, "x", "101"), VS_OK);
	env_mem_crash(m, ENV_MEM_LOSE, 7);
	store_close(s);
	s = open_store(m, false);
	expect_text(s, "x", "101");
	expect_text(s, "y", "200");
	assert_int_equal(store_close(s), VS_OK);
	env_mem_free(m);
}

/* E1: what is ordered is applied at once; E6: ids. */
static void test_conditions(void **state)
{
	struct env_mem *m = env_mem_new(2);
	struct store *s = open_store(m, true);
	struct store_result res;
	struct key k, other;
	struct txn t;

	(void)state;
	key_text(&k, KEY_KV, bytes_of("k", 1));
	key_text(&other, KEY_KV, bytes_of("o", 1));
	txn_init(&t);
	txn_if_absent(&t, &k);
	txn_put(&t, &k, bytes_of("12345678", 8));
	assert_int_equal(store_propose(s, &t, &res), VS_OK);
	assert_int_equal(store_propose(s, &t, &res), VS_ERR_COND);
	assert_int_equal(res.failed_item, 0);
	txn_reset(&t);
	txn_if_value(&t, &k, bytes_of("12345678", 8));
	txn_if_present(&t, &other);
	txn_del(&t, &k);
	assert_int_equal(store_propose(s, &t, &res), VS_ERR_COND);
	assert_int_equal(res.failed_item, 1);
	expect_text(s, "k", "12345678");
	txn_reset(&t);
	txn_if_empty(&t, &k);
	txn_del(&t, &k);
	assert_int_equal(store_propose(s, &t, &res), VS_ERR_COND);
	txn_reset(&t);
	txn_session(&t, 9, 1);
	txn_put(&t, &k, bytes_of("once", 4));
	assert_int_equal(store_propose(s, &t, &res), VS_OK);
	uint64_t first = res.index;

	assert_int_equal(put_text(s, "k", "later"), VS_OK);
	assert_int_equal(store_propose(s, &t, &res), VS_OK);
	assert_int_equal(res.index, first);
	expect_text(s, "k", "later");
	txn_fini(&t);
	assert_int_equal(store_close(s), VS_OK);
	env_mem_free(m);
}

/* E2, E5.  Write a content of n chunks with extents, read it back in odd pieces, across a restart.
 */
static void test_content(void **state)
{
	struct env_mem *m = env_mem_new(3);
	struct store *s = open_store(m, true);
	uint32_t n = 12;
	uint8_t *data = malloc((size_t)n * CHUNK), *back = malloc((size_t)n * CHUNK);
	struct rnd rnd = rnd_of(5);
	struct store_result res;
	int64_t alloc = 0;
	uint64_t content;

	(void)state;
	for (size_t i = 0; i < (size_t)n * CHUNK; i++)
		data[i] = (uint8_t)rnd_next(&rnd);
	assert_int_equal(store_new_ids(s, 1, &content), VS_OK);
	for (uint32_t i = 0; i < n; i++) {
		struct object_extent e = {(uint64_t)i * CHUNK, (uint64_t)(i + 1) * CHUNK, 0, 0, 0};
		struct txn t;

		if (i == 5)
			continue; /* a hole */
		txn_init(&t);
		t.data = bytes_of(data + (size_t)i * CHUNK, CHUNK);
		txn_chunk(&t, 0, CHUNK, 1);
		assert_int_equal(object_txn_extent(s, &t, content, e.start, e.end, &e, 8, &alloc),
				 VS_OK);
		assert_int_equal(store_propose(s, &t, &res), VS_OK);
		txn_fini(&t);
	}
	memset(data + 5 * CHUNK, 0, CHUNK);
	assert_int_equal(alloc, 11 * CHUNK);
	assert_int_equal(store_sync(s, res.index), VS_OK);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 200; i++) {
			size_t off = rnd_below(&rnd, (uint64_t)n * CHUNK);
			size_t len = rnd_below(&rnd, (uint64_t)n * CHUNK - off) + 1;

			assert_int_equal(object_read(s, content, off, back, len), VS_OK);
			assert_memory_equal(back, data + off, len);
		}
		if (round == 0) {
			env_mem_crash(m, ENV_MEM_LOSE, 9);
			store_close(s);
		} else {
			assert_int_equal(store_close(s), VS_OK);
		}
		s = open_store(m, false);
	}
	/* overwrite 8 KiB in the middle of a chunk */
	struct object_extent e = {3 * CHUNK + 8192, 3 * CHUNK + 16384, 0, 0, 0};
	struct txn t;

	txn_init(&t);
	memset(data + e.start, 0x5a, 8192);
	t.data = bytes_of(data + e.start, 8192);
	txn_chunk(&t, 0, 8192, 1);
	assert_int_equal(object_txn_extent(s, &t, content, e.start, e.end, &e, 8, &alloc), VS_OK);
	assert_int_equal(store_propose(s, &t, &res), VS_OK);
	assert_int_equal(alloc, 11 * CHUNK);
	assert_int_equal(object_read(s, content, 0, back, (size_t)n * CHUNK), VS_OK);
	assert_memory_equal(back, data, (size_t)n * CHUNK);
	/* drop it all: everything is garbage, cleaned and freed */
	txn_reset(&t);
	assert_int_equal(object_txn_drop_content(s, &t, content), VS_OK);
	assert_int_equal(store_propose(s, &t, &res), VS_OK);
	txn_fini(&t);
	struct store_gc_result gc;
	struct store_stats st;

	assert_int_equal(store_gc(s, NULL, &gc), VS_OK);
	assert_int_equal(gc.leaked_chunks, 0);
	store_stats(s, &st);
	assert_int_equal(st.live_bytes, 0);
	assert_int_equal(st.chunks, 0);
	assert_int_equal(store_close(s), VS_OK);
	free(data);
	free(back);
	env_mem_free(m);
}

/* Many ranges in one transaction, several of them in one extent, against a plain array. */
static void test_extents_random(void **state)
{
	enum { BLOCKS = 256, ROUNDS = 300 };
	struct env_mem *m = env_mem_new(4);
	struct store *s = open_store(m, true);
	uint8_t *want = calloc(BLOCKS, OBJECT_BLOCK), *back = malloc(BLOCKS * OBJECT_BLOCK);
	uint8_t *data = malloc(BLOCKS * OBJECT_BLOCK);
	bool hole[BLOCKS];
	struct rnd rnd = rnd_of(11);
	int64_t alloc = 0;
	uint64_t content;

	(void)state;
	memset(hole, 1, sizeof hole);
	assert_int_equal(store_new_ids(s, 1, &content), VS_OK);
	for (int round = 0; round < ROUNDS; round++) {
		struct object_extent e[8];
		struct store_result res;
		uint32_t n = 0, at = 0, pos = (uint32_t)rnd_below(&rnd, 40);
		int64_t count = 0;
		struct txn t;

		txn_init(&t);
		if (rnd_chance(&rnd, 1, 4)) {
			uint32_t len = 1 + (uint32_t)rnd_below(&rnd, 30);

			assert_int_equal(object_txn_hole(s, &t, content,
							 (uint64_t)pos * OBJECT_BLOCK,
							 (uint64_t)(pos + len) * OBJECT_BLOCK, 99,
							 &alloc),
					 VS_OK);
			memset(want + (size_t)pos * OBJECT_BLOCK, 0, (size_t)len * OBJECT_BLOCK);
			memset(hole + pos, 1, len);
		}
		while (!t.items && n < 8 && pos < BLOCKS - 16) {
			uint32_t len = 1 + (uint32_t)rnd_below(&rnd, 12);
			size_t off = (size_t)pos * OBJECT_BLOCK;

			e[n] = (struct object_extent){off, off + (size_t)len * OBJECT_BLOCK, 0, at,
						      0};
			memset(data + at, round + (int)n, (size_t)len * OBJECT_BLOCK);
			memcpy(want + off, data + at, (size_t)len * OBJECT_BLOCK);
			memset(hole + pos, 0, len);
			txn_chunk(&t, at, len * OBJECT_BLOCK, 1);
			at += len * OBJECT_BLOCK;
			pos += len + (uint32_t)rnd_below(&rnd, 20);
			n++;
		}
		if (n) {
			t.data = bytes_of(data, at);
			assert_int_equal(object_txn_extents(s, &t, content, e, n, false, 99,
							    &alloc),
					 VS_OK);
		}
		assert_int_equal(store_propose(s, &t, &res), VS_OK);
		txn_fini(&t);
		assert_int_equal(object_read(s, content, 0, back, BLOCKS * OBJECT_BLOCK), VS_OK);
		assert_memory_equal(back, want, BLOCKS * OBJECT_BLOCK);
		for (int i = 0; i < BLOCKS; i++)
			count += !hole[i];
		assert_int_equal(alloc, count * OBJECT_BLOCK);
		if (round % 32 == 31) {
			struct store_gc_result gc;

			assert_int_equal(store_gc(s, NULL, &gc), VS_OK);
			assert_int_equal(gc.leaked_chunks, 0);
		}
	}
	assert_int_equal(store_close(s), VS_OK);
	free(want);
	free(back);
	free(data);
	env_mem_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_reopen),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_extents_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
