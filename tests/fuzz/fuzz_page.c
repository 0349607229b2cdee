/*
 * fuzz_page: any bytes as a tree page.  The first half of the input is the
 * head of the page, the second half its end (where cells stand).  A page that
 * passes the check is read and changed in every way.
 */
#include "engine/base/assert.h"
#include "engine/base/checksum.h"
#include "engine/tree_page.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static volatile uint32_t read_bytes; /* so that the reads are not optimised away */

static void read_all(const uint8_t *page)
{
	uint32_t sum = 0;
	bool found;

	for (uint32_t i = 0; i < tpage_count(page); i++) {
		struct bytes k = tpage_key(page, i);

		sum += checksum_crc32c(k.p, k.len);
		if (tpage_kind(page) == TPAGE_LEAF) {
			struct bytes v = tpage_value(page, i);

			sum += checksum_crc32c(v.p, v.len);
			vs_assert(tpage_find(page, k, &found) == i && found);
		} else {
			sum += (uint32_t)tpage_child(page, i).page;
			vs_assert(tpage_child_slot(page, k) == i);
		}
	}
	read_bytes = sum;
	vs_assert(tpage_used(page) <= TREE_PAGE);
}

static void change(uint8_t *page, uint8_t *right)
{
	struct bytes key = bytes_of("fuzz", 4), value = bytes_of("value", 5);
	uint32_t size = tpage_leaf_size(key, value), slot;
	bool found;

	slot = tpage_find(page, key, &found);
	if (!found && tpage_fits(page, size)) {
		tpage_insert_leaf(page, slot, key, value);
		vs_assert(tpage_verify(page, tpage_id(page)) == VS_OK);
	} else if (!found && tpage_count(page) > 1) {
		tpage_init(right, TPAGE_LEAF, tpage_level(page), 2, 1);
		(void)tpage_split(page, right, slot, size);
		read_all(right);
	}
	while (tpage_count(page) > 1) {
		tpage_remove(page, tpage_count(page) / 2);
		read_all(page);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *page = calloc(2, TREE_PAGE);
	size_t n = len < TREE_PAGE ? len : TREE_PAGE, head = n / 2;

	vs_assert(page);
	if (n) {
		memcpy(page, data, head);
		memcpy(page + TREE_PAGE - (n - head), data + head, n - head);
	}
	(void)!tpage_verify_bitmap(page, tpage_id(page), 0);
	if (tpage_verify(page, tpage_id(page)) == VS_OK) {
		read_all(page);
		if (tpage_kind(page) == TPAGE_LEAF)
			change(page, page + TREE_PAGE);
	}
	free(page);
	return 0;
}
