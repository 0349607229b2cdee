/* Records, entries, extents and attribute values: round trips and senseless bytes. */
#include "engine/object.h"
#include "tests/lib/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_record(void **state)
{
	uint8_t tail[OBJECT_TARGET_MAX], b[OBJECT_RECORD_MAX], again[OBJECT_RECORD_MAX];
	struct object o = {.flags = OBJECT_INLINE | OBJECT_HAS_ACL,
			   .mode = 0100644,
			   .uid = 1,
			   .gid = 2,
			   .nlink = 3,
			   .size = OBJECT_SIZE_MAX,
			   .alloc_bytes = 5,
			   .atime_ns = -6,
			   .mtime_ns = 7,
			   .ctime_ns = 8,
			   .btime_ns = 9,
			   .content = 10,
			   .session = 11,
			   .parent = 12,
			   .entries = 13,
			   .rdev = 14,
			   .change = 15};
	struct object p;
	struct rnd r = rnd_of(1);

	(void)state;
	rnd_fill(&r, tail, sizeof tail);
	for (size_t len = 0; len <= sizeof tail; len += len < 10 ? 1 : 1021) {
		size_t n;

		o.tail = bytes_of(tail, len);
		n = object_encode(&o, b);
		assert_int_equal(n, OBJECT_FIXED + len);
		assert_int_equal(object_decode(bytes_of(b, n), &p), VS_OK);
		assert_int_equal(p.atime_ns, -6);
		assert_int_equal(p.tail.len, len);
		assert_int_equal(object_encode(&p, again), n);
		assert_memory_equal(b, again, n);
	}
	/* fields stand where ADD and MAX look for them */
	assert_int_equal(get_le64(b + OBJECT_OFF_NLINK), 3);
	assert_int_equal(get_le64(b + OBJECT_OFF_MTIME), 7);
	assert_int_equal(get_le64(b + OBJECT_OFF_CTIME), 8);
	assert_int_equal(get_le64(b + OBJECT_OFF_ENTRIES), 13);
	assert_int_equal(get_le64(b + OBJECT_OFF_CHANGE), 15);
	for (size_t n = 0; n < OBJECT_FIXED; n++)
		assert_int_equal(object_decode(bytes_of(b, n), &p), VS_ERR_CORRUPT_VALUE);
	b[0]++;
	assert_int_equal(object_decode(bytes_of(b, OBJECT_FIXED), &p), VS_ERR_CORRUPT_VALUE);
}

static void test_entries(void **state)
{
	uint8_t v[9 + KEY_NAME_MAX + 1] = {0};
	struct object_entry e;
	struct bytes name;
	struct key k;

	(void)state;
	for (size_t n = 0; n < 30; n++)
		assert_int_equal(object_entry_decode(bytes_of(v, n), &e),
				 n == 17 ? VS_OK : VS_ERR_CORRUPT_VALUE);
	put_le64(v, 5);
	v[8] = 4;
	memcpy(v + 9, "name", 4);
	key_u64_u64(&k, KEY_DIRENT, 1, 77);
	assert_int_equal(object_dirent_decode(key_bytes(&k), bytes_of(v, 13), &e, &name), VS_OK);
	assert_int_equal(e.object, 5);
	assert_int_equal(e.cookie, 77);
	assert_int_equal(name.len, 4);
	assert_int_equal(object_dirent_decode(key_bytes(&k), bytes_of(v, 9), &e, &name),
			 VS_ERR_CORRUPT_VALUE);
	assert_int_equal(object_dirent_decode(key_bytes(&k), bytes_of(v, sizeof v), &e, &name),
			 VS_ERR_CORRUPT_VALUE);
	k.len--;
	assert_int_equal(object_dirent_decode(key_bytes(&k), bytes_of(v, 13), &e, &name),
			 VS_ERR_CORRUPT_VALUE);
}

static void test_extents(void **state)
{
	struct {
		uint64_t start, end;
		size_t value, key;
		enum vs_err err;
	} cases[] = {
		{0, 4096, 24, 17, VS_OK},
		{4096, 4096 + (4u << 20), 24, 17, VS_OK},
		{4096, 4097 + (4u << 20), 24, 17, VS_ERR_CORRUPT_VALUE},
		{4096, 4096, 24, 17, VS_ERR_CORRUPT_VALUE},
		{8192, 4096, 24, 17, VS_ERR_CORRUPT_VALUE},
		{0, 4096, 23, 17, VS_ERR_CORRUPT_VALUE},
		{0, 4096, 24, 16, VS_ERR_CORRUPT_VALUE},
	};
	uint8_t v[24] = {0};
	struct object_extent e;
	struct key k;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		put_le64(v, cases[i].start);
		key_u64_u64(&k, KEY_EXTENT, 9, cases[i].end);
		k.len = (uint16_t)cases[i].key;
		assert_int_equal(object_extent_decode(key_bytes(&k), bytes_of(v, cases[i].value),
						      &e),
				 cases[i].err);
	}
	key_u64_u64(&k, KEY_DIRENT, 9, 4096);
	assert_int_equal(object_extent_decode(key_bytes(&k), bytes_of(v, 24), &e),
			 VS_ERR_CORRUPT_VALUE);
}

static void test_xattr_value(void **state)
{
	uint8_t v[17] = {1};
	uint64_t index;
	uint32_t off;

	(void)state;
	put_le64(v + 1, 33);
	put_le32(v + 9, 4096);
	assert_true(object_xattr_chunk(bytes_of(v, 17), &index, &off));
	assert_int_equal(index, 33);
	assert_int_equal(off, 4096);
	assert_false(object_xattr_chunk(bytes_of(v, 16), &index, &off));
	v[0] = 0; /* sixteen bytes kept inline */
	assert_false(object_xattr_chunk(bytes_of(v, 17), &index, &off));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_extents),
		cmocka_unit_test(test_xattr_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
