/*
 * test_record: the pure formats.  Each byte flipped, each limit crossed.
 */
#include "tests/unit/test_log_util.h"

static struct record sample(void)
{
	return (struct record){
		.type = LOG_TXN,
		.cluster_id = 1,
		.segment = 2,
		.term = 3,
		.index = 40,
		.synced_index = 39,
		.meta_len = 10,
		.data_len = 5000,
		.prev_crc = 6,
		.meta_crc = 7,
		.table_crc = 8,
	};
}

static void lengths(void **state)
{
	(void)state;
	assert_int_equal(record_len(0, 0), 72);
	assert_int_equal(record_len(8, 0), RECORD_ROLL_LEN);
	assert_int_equal(record_len(1, 0), 80);
	assert_int_equal(record_head_len(10, 5000), 72 + 10 + 8);
	assert_int_equal(record_len(10, 5000), 5096);
	assert_int_equal(record_align(4096), 4096);
	assert_int_equal(record_align(4097), 8192);
}

static void round_trip(void **state)
{
	uint8_t buf[LOG_RECORD_HEADER], again[LOG_RECORD_HEADER];
	struct record r = sample(), out;

	(void)state;
	record_encode(&r, buf);
	assert_int_equal(get_le32(buf), RECORD_MAGIC);
	assert_memory_equal(buf, "VSR1", 4);
	assert_int_equal(get_le64(buf + 32), 40);
	assert_true(record_decode(buf, &out));
	assert_int_equal(out.header_crc, r.header_crc);
	assert_int_equal(out.synced_index, r.synced_index);
	record_encode(&out, again);
	assert_memory_equal(buf, again, sizeof buf);
}

static void every_bit_counts_F53(void **state)
{
	uint8_t buf[LOG_RECORD_HEADER];
	struct record r = sample(), out;

	(void)state;
	record_encode(&r, buf);
	for (size_t bit = 0; bit < sizeof buf * 8; bit++) {
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(record_decode(buf, &out));
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void limits(void **state)
{
	static const struct {
		unsigned at;
		uint64_t value;
		int size;
	} bad[] = {
		{4, 2, 1},                 /* version */
		{5, 0, 1},                 /* type */
		{5, 6, 1},                 /* type */
		{5, LOG_ROLL, 1},          /* with data */
		{5, LOG_VALUE, 1},         /* with an index */
		{6, 1, 2},                 /* flags */
		{40, 40, 8},               /* synced behind itself */
		{48, LOG_META_MAX + 1, 4}, /* lengths */
		{52, LOG_DATA_MAX + 1, 4},
		{52, UINT32_MAX, 4},
	};
	struct record r = sample(), out;
	uint8_t buf[LOG_RECORD_HEADER];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		record_encode(&r, buf);
		for (int b = 0; b < bad[i].size; b++)
			buf[bad[i].at + (unsigned)b] = (uint8_t)(bad[i].value >> 8 * b);
		put_le32(buf + 68, checksum_crc32c(buf, 68));
		assert_false(record_decode(buf, &out));
	}
}

static void segment_header(void **state)
{
	struct record_segment s = {LOG_KIND_LOG, 5, 6, LOG_SEGMENT_MIN}, out;
	uint8_t buf[RECORD_BLOCK];

	(void)state;
	record_segment_encode(&s, buf);
	assert_int_equal(record_segment_decode(buf, &out), VS_OK);
	assert_int_equal(out.id, 6);
	assert_int_equal(out.bytes, LOG_SEGMENT_MIN);
	for (size_t bit = 0; bit < RECORD_SEGMENT_HEADER * 8; bit++) {
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(record_segment_decode(buf, &out), VS_ERR_CORRUPT_SEGMENT);
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	buf[4] = 2;
	put_le32(buf + 28, checksum_crc32c(buf, 28));
	assert_int_equal(record_segment_decode(buf, &out), VS_ERR_NEWER_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lengths),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(every_bit_counts_F53),
		cmocka_unit_test(limits),
		cmocka_unit_test(segment_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
