/* The transaction codec: what is built comes back, limits hold, hostile bytes are refused. */
#include "engine/txn.h"
#include "tests/lib/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct key kv(const char *text)
{
	struct key k;

	key_text(&k, KEY_KV, bytes_of(text, strlen(text)));
	return k;
}

/* One item of each kind. */
static void build(struct txn *t)
{
	struct key k = kv("key"), chunk;

	key_chunk(&chunk, 77, 4096);
	txn_init(t);
	txn_session(t, 5, 6);
	txn_if_absent(t, &k);
	txn_if_present(t, &k);
	txn_if_value(t, &k, bytes_of("value", 5));
	txn_if_empty(t, &k);
	txn_put(t, &k, bytes_of("value", 5));
	txn_put_self(t, &k, bytes_of("12345678abcd", 12), 4);
	txn_del(t, &k);
	txn_add(t, &k, 8, -3);
	txn_max(t, &k, 16, 99);
	txn_chunk(t, 8192, 5000, 2);
	txn_ref(t, &chunk, -1);
}

static void test_round_trip(void **state)
{
	static const uint8_t kinds[] = {TXN_IF_ABSENT, TXN_IF_PRESENT, TXN_IF_VALUE, TXN_IF_EMPTY,
					TXN_PUT,       TXN_PUT_SELF,   TXN_DEL,      TXN_ADD,
					TXN_MAX,       TXN_CHUNK,      TXN_REF};
	struct txn_item it[sizeof kinds];
	struct txn_reader r;
	struct txn t;

	(void)state;
	build(&t);
	assert_int_equal(t.bad, VS_OK);
	assert_int_equal(t.items, sizeof kinds);
	assert_int_equal(t.changes, 7);
	assert_int_equal(txn_reader_init(&r, bytes_of(t.buf, t.len)), VS_OK);
	assert_int_equal(r.session, 5);
	assert_int_equal(r.sequence, 6);
	for (size_t i = 0; i < sizeof kinds; i++) {
		assert_int_equal(txn_reader_next(&r, &it[i]), VS_OK);
		assert_int_equal(it[i].kind, kinds[i]);
	}
	assert_int_equal(txn_reader_next(&r, &it[0]), VS_ERR_END);
	assert_int_equal(it[2].number, checksum_xxh3("value", 5));
	assert_int_equal(it[4].value.len, 5);
	assert_int_equal(it[5].off, 4);
	assert_int_equal(it[7].number, (uint64_t)-3);
	assert_int_equal(it[8].off, 16);
	assert_int_equal(it[9].len, 5000);
	assert_int_equal(it[9].refs, 2);
	assert_int_equal(it[10].refs, UINT32_MAX);
	txn_fini(&t);
}

static void test_limits(void **state)
{
	uint8_t value[TREE_VALUE_MAX] = {0};
	struct key k = kv("k");
	struct txn t;

	(void)state;
	txn_init(&t);
	for (uint32_t i = 0; i < TXN_ITEMS_MAX; i++)
		txn_del(&t, &k);
	assert_int_equal(t.bad, VS_OK);
	txn_del(&t, &k);
	assert_int_equal(t.bad, VS_ERR_TOOBIG);
	assert_int_equal(t.items, TXN_ITEMS_MAX);
	/* sticky until the reset */
	txn_reset(&t);
	assert_int_equal(t.bad, VS_OK);
	while (!t.bad)
		txn_put(&t, &k, bytes_of(value, sizeof value));
	assert_int_equal(t.bad, VS_ERR_TOOBIG);
	assert_true(t.len <= TXN_META_MAX);
	assert_true(t.len > TXN_META_MAX - sizeof value - 64);
	txn_fini(&t);
}

/* Read all items; the end, or an error. */
static enum vs_err read_all(const uint8_t *p, size_t len)
{
	struct txn_reader r;
	struct txn_item it;
	uint64_t sum = 0;
	enum vs_err err = txn_reader_init(&r, bytes_of(p, len));

	while (!err) {
		err = txn_reader_next(&r, &it);
		/* what is pointed at must be inside: ASan looks */
		if (!err && it.key.len)
			sum += checksum_crc32c(it.key.p, it.key.len);
		if (!err && it.value.len)
			sum += checksum_crc32c(it.value.p, it.value.len);
	}
	return sum == 1 ? VS_ERR_END : err;
}

static void test_F87_hostile_bytes(void **state)
{
	struct rnd r = rnd_of(3);
	struct txn t;

	(void)state;
	build(&t);
	/* cut anywhere */
	for (size_t len = 0; len < t.len; len++) {
		uint8_t *p = malloc(len ? len : 1);

		memcpy(p, t.buf, len);
		assert_int_equal(read_all(p, len), VS_ERR_CORRUPT_VALUE);
		free(p);
	}
	/* a byte too many */
	uint8_t *longer = malloc(t.len + 1);

	memcpy(longer, t.buf, t.len);
	longer[t.len] = 0;
	assert_int_equal(read_all(longer, t.len + 1), VS_ERR_CORRUPT_VALUE);
	free(longer);
	/* any bytes at all: an end or an error, and it ends */
	for (int i = 0; i < 20000; i++) {
		uint8_t *p = malloc(t.len);

		memcpy(p, t.buf, t.len);
		for (uint64_t n = 1 + rnd_below(&r, 4); n; n--)
			p[rnd_below(&r, t.len)] = (uint8_t)rnd_next(&r);
		enum vs_err err = read_all(p, t.len);

		assert_true(err == VS_ERR_END || err == VS_ERR_CORRUPT_VALUE);
		free(p);
	}
	txn_fini(&t);
}

/* Keys that a transaction may not touch that way. */
static void test_forbidden_keys(void **state)
{
	struct key local = {.len = 2, .b = {'a', 'x'}}, chunk, shorter;
	struct txn t;

	(void)state;
	key_chunk(&chunk, 1, 0);
	txn_init(&t);
	txn_put(&t, &local, bytes_of("x", 1));
	assert_int_equal(read_all(t.buf, t.len), VS_ERR_CORRUPT_VALUE);
	txn_reset(&t);
	txn_del(&t, &chunk);
	assert_int_equal(read_all(t.buf, t.len), VS_ERR_CORRUPT_VALUE);
	txn_reset(&t);
	shorter = chunk;
	shorter.len = 5;
	txn_ref(&t, &shorter, 1);
	assert_int_equal(read_all(t.buf, t.len), VS_ERR_CORRUPT_VALUE);
	txn_reset(&t);
	txn_if_present(&t, &chunk);
	assert_int_equal(read_all(t.buf, t.len), VS_ERR_END);
	txn_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_F87_hostile_bytes),
		cmocka_unit_test(test_forbidden_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
