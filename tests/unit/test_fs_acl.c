/* test_fs_acl: decoding of hostile ACLs, mode bits, chmod, inheritance. */
#include "fs/acl.h"
#include "tests/lib/rand.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { UO = 1, U = 2, GO = 4, G = 8, M = 16, O = 32 };

/* "tag perm id" triples to the xattr form. */
static size_t build(const uint32_t (*e)[3], uint32_t n, uint8_t *out)
{
	struct writer w = writer_of(out, ACL_BYTES_MAX + 8);

	writer_le32(&w, 2);
	for (uint32_t i = 0; i < n; i++) {
		writer_le16(&w, (uint16_t)e[i][0]);
		writer_le16(&w, (uint16_t)e[i][1]);
		writer_le32(&w, e[i][2]);
	}
	assert_false(w.bad);
	return w.len;
}

static const uint32_t minimal[][3] = {{UO, 6, 0}, {GO, 4, 0}, {O, 0, 0}};
static const uint32_t full[][3] = {{UO, 7, 0}, {U, 6, 1000}, {GO, 5, 0},
				   {G, 7, 50}, {M, 6, 0},    {O, 1, 0}};

static void load(const uint32_t (*e)[3], uint32_t n, struct acl *a)
{
	uint8_t b[256];

	assert_int_equal(acl_decode(bytes_of(b, build(e, n, b)), a), VS_OK);
}

static void modes(void **state)
{
	struct acl a;
	bool min;

	(void)state;
	load(minimal, 3, &a);
	assert_int_equal(acl_mode(&a, &min), 0640);
	assert_true(min);
	load(full, 6, &a);
	assert_int_equal(acl_mode(&a, &min), 0761); /* the mask stands for the group */
	assert_false(min);
}

static void round_trip(void **state)
{
	uint8_t in[256], out[ACL_BYTES_MAX];
	size_t len = build(full, 6, in);
	struct acl a;

	(void)state;
	assert_int_equal(acl_decode(bytes_of(in, len), &a), VS_OK);
	assert_int_equal(acl_encode(&a, out), len);
	assert_memory_equal(in, out, len);
}

static void chmod_sets_mask(void **state)
{
	struct acl a;
	bool min;

	(void)state;
	load(full, 6, &a);
	acl_chmod(&a, 0604);
	assert_int_equal(acl_mode(&a, &min), 0604);
	assert_int_equal(a.e[2].perm, 5); /* the owning group keeps its entry */
	load(minimal, 3, &a);
	acl_chmod(&a, 0751);
	assert_int_equal(acl_mode(&a, &min), 0751);
	assert_int_equal(a.e[1].perm, 5);
}

static void creation_inherits(void **state)
{
	struct acl a;
	bool min;

	(void)state;
	load(full, 6, &a);
	assert_int_equal(acl_create(&a, 0666, &min), 0660);
	assert_false(min);
	assert_int_equal(a.e[1].perm, 6);
	load(minimal, 3, &a);
	assert_int_equal(acl_create(&a, 0777, &min), 0640);
	assert_true(min);
}

static void hostile(void **state)
{
	static const struct {
		uint32_t e[5][3];
		uint32_t n;
	} bad[] = {
		{{{0}}, 0},
		{{{UO, 6, 0}, {GO, 4, 0}}, 2},
		{{{UO, 8, 0}, {GO, 4, 0}, {O, 0, 0}}, 3},
		{{{UO, 6, 0}, {O, 4, 0}, {GO, 0, 0}}, 3},
		{{{UO, 6, 0}, {UO, 6, 0}, {GO, 4, 0}, {O, 0, 0}}, 4},
		{{{UO, 6, 0}, {U, 6, 5}, {GO, 4, 0}, {O, 0, 0}}, 4},
		{{{UO, 6, 0}, {GO, 4, 0}, {O, 0, 0}, {64, 0, 0}}, 4},
		{{{0, 6, 0}, {UO, 6, 0}, {GO, 4, 0}, {O, 0, 0}}, 4},
	};
	uint8_t b[ACL_BYTES_MAX + 8];
	struct acl a;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(acl_decode(bytes_of(b, build(bad[i].e, bad[i].n, b)), &a),
				 VS_ERR_INVAL);
	assert_int_equal(acl_decode(bytes_of(b, 3), &a), VS_ERR_INVAL);
	assert_int_equal(acl_decode(bytes_of(b, build(full, 6, b) - 1), &a), VS_ERR_INVAL);
	b[0] = 3;
	assert_int_equal(acl_decode(bytes_of(b, build(full, 6, b)), &a), VS_OK);
	b[0] = 3;
	assert_int_equal(acl_decode(bytes_of(b, 52), &a), VS_ERR_INVAL);
	memset(b, 0, sizeof b);
	assert_int_equal(acl_decode(bytes_of(b, sizeof b), &a), VS_ERR_TOOBIG);
	for (uint64_t seed = 1; seed < 5000; seed++) {
		struct rnd r = rnd_of(seed);
		size_t len = (size_t)rnd_below(&r, 80);

		rnd_fill(&r, b, len);
		put_le32(b, 2);
		(void)!acl_decode(bytes_of(b, len), &a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modes),           cmocka_unit_test(round_trip),
		cmocka_unit_test(chmod_sets_mask), cmocka_unit_test(creation_inherits),
		cmocka_unit_test(hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
