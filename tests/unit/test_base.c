/* test_base: error table, byte strings, checksums against published vectors. */
#include "engine/base/assert.h"
#include "engine/base/bytes.h"
#include "engine/base/checksum.h"
#include "engine/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void err_table_is_complete(void **state)
{
	(void)state;
	for (int i = 0; i < VS_ERR_COUNT; i++) {
		enum vs_err e = (enum vs_err)i;

		assert_non_null(vs_err_name(e));
		assert_true(vs_err_text(e)[0] != 0);
		assert_int_equal(e == VS_OK, vs_err_class(e) == VS_CLASS_NONE);
		assert_int_equal(e == VS_OK, vs_err_errno(e) == 0);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(vs_err_name(e), vs_err_name((enum vs_err)j));
	}
	assert_string_equal(vs_err_name(VS_ERR_NOSPC), "NOSPC");
	assert_int_equal(vs_err_errno(VS_ERR_NOSPC), ENOSPC);
	assert_int_equal(vs_err_class(VS_ERR_IO_SYNC), VS_CLASS_FATAL);
}

static void err_unknown_is_internal(void **state)
{
	(void)state;
	assert_string_equal(vs_err_name(VS_ERR_COUNT), "INTERNAL");
	assert_string_equal(vs_err_name((enum vs_err) - 1), "INTERNAL");
}

static void bytes_order(void **state)
{
	static const char *const sorted[] = {"", "a", "aa", "ab", "b", "\xff"};
	int n = sizeof sorted / sizeof *sorted;

	(void)state;
	for (int i = 0; i < n; i++) {
		for (int j = 0; j < n; j++) {
			struct bytes a = bytes_of(sorted[i], strlen(sorted[i]));
			struct bytes b = bytes_of(sorted[j], strlen(sorted[j]));
			int c = bytes_cmp(a, b);

			assert_int_equal((c > 0) - (c < 0), (i > j) - (i < j));
			assert_int_equal(bytes_starts(a, b),
					 !strncmp(sorted[i], sorted[j], strlen(sorted[j])));
		}
	}
}

static void integers_round_trip(void **state)
{
	static const uint64_t values[] = {0, 1, 0x80, 0x1234, 0xfedcba9876543210, UINT64_MAX};
	uint8_t b[8];

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		uint64_t v = values[i];

		put_le16(b, (uint16_t)v);
		assert_int_equal(get_le16(b), (uint16_t)v);
		put_le32(b, (uint32_t)v);
		assert_int_equal(get_le32(b), (uint32_t)v);
		put_be32(b, (uint32_t)v);
		assert_int_equal(get_be32(b), (uint32_t)v);
		put_le64(b, v);
		assert_int_equal(b[0], v & 0xff);
		assert_true(get_le64(b) == v);
		put_be64(b, v);
		assert_int_equal(b[7], v & 0xff);
		assert_true(get_be64(b) == v);
	}
}

static void writer_and_reader_are_sticky(void **state)
{
	uint8_t buf[15];
	struct writer w = writer_of(buf, sizeof buf);
	struct reader r;

	(void)state;
	writer_u8(&w, 1);
	writer_le16(&w, 0x0203);
	writer_le32(&w, 0x04050607);
	writer_le64(&w, 0x08090a0b0c0d0e0f);
	assert_false(w.bad);
	assert_int_equal(w.len, 15);
	writer_u8(&w, 1);
	assert_true(w.bad);
	assert_int_equal(w.len, 15);

	r = reader_of(buf, sizeof buf);
	assert_int_equal(reader_u8(&r), 1);
	assert_int_equal(reader_le16(&r), 0x0203);
	assert_int_equal(reader_le32(&r), 0x04050607);
	assert_false(reader_done(&r));
	assert_true(reader_le64(&r) == 0x08090a0b0c0d0e0f);
	assert_true(reader_done(&r));
	assert_null(reader_take(&r, 1));
	assert_true(r.bad);

	r = reader_of(buf, 3);
	assert_int_equal(reader_le32(&r), 0);
	assert_true(r.bad);
	assert_int_equal(reader_u8(&r), 0);
	assert_false(reader_done(&r));
}

/* RFC 3720 B.4, and the check value of the Castagnoli polynomial. */
static void crc32c_known_vectors(void **state)
{
	uint8_t b[32];

	(void)state;
	assert_int_equal(checksum_crc32c("123456789", 9), 0xe3069283);
	assert_int_equal(checksum_crc32c("", 0), 0);
	memset(b, 0, sizeof b);
	assert_int_equal(checksum_crc32c(b, sizeof b), 0x8a9136aa);
	memset(b, 0xff, sizeof b);
	assert_int_equal(checksum_crc32c(b, sizeof b), 0x62a8ab43);
	for (size_t i = 0; i < sizeof b; i++)
		b[i] = (uint8_t)i;
	assert_int_equal(checksum_crc32c(b, sizeof b), 0x46dd794e);
	for (size_t cut = 0; cut <= sizeof b; cut++)
		assert_int_equal(checksum_crc32c_more(checksum_crc32c(b, cut), b + cut,
						      sizeof b - cut),
				 0x46dd794e);
}

static void xxh3_known_vector(void **state)
{
	(void)state;
	assert_true(checksum_xxh3("", 0) == 0x2d06800538d394c2);
	assert_true(checksum_xxh3("a", 1) != checksum_xxh3("b", 1));
}

static void table_has_one_crc_per_block(void **state)
{
	size_t len = 2 * CHECKSUM_BLOCK + 5;
	uint8_t *data = calloc(1, len);
	uint8_t out[12];

	(void)state;
	assert_non_null(data);
	data[CHECKSUM_BLOCK] = 7;
	assert_int_equal(checksum_blocks(0), 0);
	assert_int_equal(checksum_blocks(CHECKSUM_BLOCK), 1);
	assert_int_equal(checksum_blocks(len), 3);
	checksum_table(data, len, out);
	for (unsigned i = 0; i < 3; i++) {
		size_t n = i < 2 ? CHECKSUM_BLOCK : 5;

		assert_int_equal(get_le32(out + (size_t)4 * i),
				 checksum_crc32c(data + (size_t)CHECKSUM_BLOCK * i, n));
	}
	assert_int_not_equal(get_le32(out), get_le32(out + 4));
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(err_table_is_complete),
		cmocka_unit_test(err_unknown_is_internal),
		cmocka_unit_test(bytes_order),
		cmocka_unit_test(integers_round_trip),
		cmocka_unit_test(writer_and_reader_are_sticky),
		cmocka_unit_test(crc32c_known_vectors),
		cmocka_unit_test(xxh3_known_vector),
		cmocka_unit_test(table_has_one_crc_per_block),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
