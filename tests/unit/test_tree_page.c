/* test_tree_page: the page format against a sorted model, and hostile pages. */
#include "engine/tree_page.h"
#include "tests/lib/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint8_t page[TREE_PAGE], other[TREE_PAGE], copy[TREE_PAGE];

static struct bytes random_key(struct rnd *r, uint8_t *buf)
{
	size_t len = rnd_between(r, 1, rnd_chance(r, 1, 8) ? TREE_KEY_MAX : 12);

	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)('a' + rnd_below(r, 3));
	return bytes_of(buf, len);
}

/* A leaf or branch of about `bytes` bytes, some of them garbage. */
static void build(struct rnd *r, uint8_t *p, bool leaf, uint32_t bytes)
{
	uint8_t kb[TREE_KEY_MAX], vb[300] = {7};
	bool found;

	tpage_init(p, leaf ? TPAGE_LEAF : TPAGE_BRANCH, !leaf, 5, 3);
	if (!leaf)
		tpage_insert_branch(p, 0, bytes_of(NULL, 0), (struct tree_ref){9, 9});
	while (tpage_used(p) < bytes) {
		struct bytes key = random_key(r, kb), value = {vb, rnd_below(r, sizeof vb)};
		uint32_t slot = tpage_find(p, key, &found);

		if (found)
			continue;
		if (leaf)
			tpage_insert_leaf(p, slot, key, value);
		else
			tpage_insert_branch(p, slot, key, (struct tree_ref){8, rnd_next(r) | 1});
		if (tpage_count(p) > 3 && rnd_chance(r, 1, 4))
			tpage_remove(p, 1 + (uint32_t)rnd_below(r, tpage_count(p) - 1));
	}
	assert_int_equal(tpage_verify(p, 5), VS_OK);
}

/* Every cell of p stands at `at` and behind in all. */
static void assert_cells(const uint8_t *p, const uint8_t *all, uint32_t at, uint32_t skip)
{
	for (uint32_t i = skip; i < tpage_count(p); i++) {
		assert_int_equal(bytes_cmp(tpage_key(p, i), tpage_key(all, at + i)), 0);
		if (tpage_kind(p) == TPAGE_LEAF)
			assert_int_equal(bytes_cmp(tpage_value(p, i), tpage_value(all, at + i)), 0);
		else
			assert_int_equal(tpage_child(p, i).sum, tpage_child(all, at + i).sum);
	}
}

/* E13: splitting and appending keep cells and order. */
static void test_split_append(void **state)
{
	static uint8_t joined[TREE_PAGE];

	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct rnd r = rnd_of(seed);
		bool leaf = seed % 2;
		uint32_t size = leaf ? 4900 : 300, slot, n;
		struct bytes sep = {NULL, 0};

		build(&r, page, leaf, leaf ? 15690 : 15970);
		memcpy(copy, page, TREE_PAGE);
		while (tpage_fits(page, size))
			size++;
		slot = 1 + (uint32_t)rnd_below(&r, tpage_count(page));
		tpage_init(other, tpage_kind(page), !leaf, 6, 3);
		n = tpage_split(page, other, slot, size);
		assert_true(tpage_fits(slot < n ? page : other, size));
		assert_int_equal(tpage_count(page) + tpage_count(other), tpage_count(copy));
		assert_cells(page, copy, 0, 0);
		assert_cells(other, copy, tpage_count(page), 0);
		if (!tpage_count(other))
			continue; /* the new cell goes right alone */
		sep = tpage_key(other, 0);
		tpage_init(joined, tpage_kind(page), !leaf, 5, 3);
		tpage_append(joined, page, bytes_of(NULL, 0));
		tpage_append(joined, other, sep);
		assert_int_equal(tpage_verify(joined, 5), VS_OK);
		assert_cells(joined, copy, 0, 0);
	}
}

static void test_separator(void **state)
{
	static const struct {
		const char *low, *high;
		uint32_t len;
	} cases[] = {
		{"a", "b", 1}, {"a", "ab", 2}, {"abc", "abdz", 3}, {"", "x", 1}, {"ab", "b", 1}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_int_equal(tpage_separator(bytes_of(cases[i].low, strlen(cases[i].low)),
						 bytes_of(cases[i].high, strlen(cases[i].high))),
				 cases[i].len);
}

/* What can be done to any page that passed. */
static void use(struct rnd *r, uint8_t *p)
{
	uint8_t kb[TREE_KEY_MAX];
	bool found, leaf = tpage_kind(p) == TPAGE_LEAF;

	for (int i = 0; i < 20; i++) {
		struct bytes key = random_key(r, kb);
		uint32_t slot = tpage_find(p, key, &found);

		if (found) {
			tpage_remove(p, slot);
		} else if (leaf && tpage_fits(p, tpage_leaf_size(key, key))) {
			tpage_insert_leaf(p, slot, key, key);
		} else if (!leaf && tpage_fits(p, tpage_branch_size(key))) {
			tpage_insert_branch(p, slot, key, (struct tree_ref){1, 1});
		}
	}
}

/* E19: damaged pages are refused or are safe to work with (run under ASan). */
static void test_hostile(void **state)
{
	uint32_t passed = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 20000; seed++) {
		struct rnd r = rnd_of(seed);
		uint32_t n = 1 + (uint32_t)rnd_below(&r, 3);

		if (seed % 100 == 1)
			build(&r, copy, seed % 200 == 1, 200 + (uint32_t)rnd_below(&r, 15000));
		memcpy(page, copy, TREE_PAGE);
		while (n--) {
			uint32_t end = TPAGE_HEAD + 2 * tpage_count(copy);
			uint32_t off =
				(uint32_t)rnd_below(&r, rnd_chance(&r, 2, 3) ? end : TREE_PAGE);

			page[off] ^= (uint8_t)(1u << rnd_below(&r, 8));
		}
		if (tpage_verify(page, 5) != VS_OK)
			continue;
		passed++;
		use(&r, page);
	}
	assert_true(passed > 0 && passed < 15000);
}

static void test_refused(void **state)
{
	static const struct {
		uint32_t off;
		uint8_t value;
	} cases[] = {
		{0, 'X'}, {4, 0},     {4, 3},  {4, 9},  {5, 1},  {6, 0},  {7, 0xff}, {8, 6},
		{24, 1},  {25, 0xff}, {26, 1}, {27, 1}, {40, 1}, {63, 1}, {65, 0},   {65, 0xff},
	};
	struct rnd r = rnd_of(1);

	(void)state;
	build(&r, copy, true, 3000);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		memcpy(page, copy, TREE_PAGE);
		assert_int_not_equal(page[cases[i].off], cases[i].value);
		page[cases[i].off] = cases[i].value;
		assert_int_equal(tpage_verify(page, 5), VS_ERR_CORRUPT_PAGE);
	}
	memset(page, 0, 16); /* birth 0 as well: an unwritten page */
	assert_int_equal(tpage_verify(page, 5), VS_ERR_CORRUPT_PAGE);
	memcpy(page, copy, TREE_PAGE);
	memcpy(page + TPAGE_HEAD, copy + TPAGE_HEAD + 2, 2); /* two slots, one cell */
	assert_int_equal(tpage_verify(page, 5), VS_ERR_CORRUPT_PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_append),
		cmocka_unit_test(test_separator),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
