/*
 * tree_page: the format of one page of the tree: search, change and check.
 *
 * Pure.  A page is TREE_PAGE bytes at any address.  Little-endian:
 *
 *   off size
 *     0    4  magic "VSTP"
 *     4    1  kind: 1 leaf, 2 branch, 3 bitmap
 *     5    1  level: 0 leaf and bitmap, else 1 + level of the children
 *     6    2  count of cells; in a bitmap page its index
 *     8    8  page id
 *    16    8  birth generation
 *    24    2  cells: offset of the lowest cell (TREE_PAGE when there is none)
 *    26    2  garbage: bytes between cells and the end that no cell uses
 *    28   36  zero
 *    64 2 * count  slots: offset of each cell, in key order
 *   ...       free space, any contents
 * cells  ...  cells, in any order
 *
 *   leaf cell    klen u16, vlen u16, key, value
 *   branch cell  klen u16, child page u64, child sum u64, separator key
 *
 * A separator is greater than every key to its left and at most the first key
 * of its child; the key of a branch's slot 0 is empty.  A bitmap page has
 * TPAGE_BITS bits from offset 64, bit i of page n for tree page
 * n * TPAGE_BITS + i, lowest bit first.  Only tpage_verify accepts bytes from
 * outside; all others trust the page.
 */
#ifndef VS_ENGINE_TREE_PAGE_H
#define VS_ENGINE_TREE_PAGE_H

#include "engine/tree.h"

#define TPAGE_HEAD 64u
#define TPAGE_BITS (8u * (TREE_PAGE - TPAGE_HEAD))
#define TPAGE_LEAF_CELL 4u    /* bytes before the key */
#define TPAGE_BRANCH_CELL 18u /* bytes before the key */

enum tpage_kind {
	TPAGE_LEAF = 1,
	TPAGE_BRANCH = 2,
	TPAGE_BITMAP = 3,
};

/* An empty page of that kind; the free space keeps what is in it. */
void tpage_init(void *page, enum tpage_kind kind, uint32_t level, uint64_t id, uint64_t birth);
/* to becomes a copy of page `from` under another id and birth. */
void tpage_copy(void *to, const void *from, uint64_t id, uint64_t birth);

/*
 * Are these TREE_PAGE bytes, read from position id, a well-formed leaf or
 * branch?  VS_ERR_CORRUPT_PAGE.  Every other function is safe on a page that
 * passed.
 */
enum vs_err VS_MUST_USE tpage_verify(const void *page, uint64_t id);
/* The same for bitmap page `index`. */
enum vs_err VS_MUST_USE tpage_verify_bitmap(const void *page, uint64_t id, uint32_t index);

/* What a reference to the page carries: XXH3-64, never 0. */
uint64_t tpage_sum(const void *page);

static inline enum tpage_kind tpage_kind(const void *page)
{
	return (enum tpage_kind)((const uint8_t *)page)[4];
}

static inline uint32_t tpage_level(const void *page)
{
	return ((const uint8_t *)page)[5];
}

static inline uint32_t tpage_count(const void *page)
{
	return get_le16((const uint8_t *)page + 6);
}

static inline uint64_t tpage_id(const void *page)
{
	return get_le64((const uint8_t *)page + 8);
}

static inline uint64_t tpage_birth(const void *page)
{
	return get_le64((const uint8_t *)page + 16);
}

static inline const uint8_t *tpage_cell(const void *page, uint32_t slot)
{
	const uint8_t *p = page;

	return p + get_le16(p + TPAGE_HEAD + 2 * slot);
}

/* Key and value of a leaf's slot, key and child of a branch's; borrowed from the page. */
struct bytes tpage_key(const void *page, uint32_t slot);
struct bytes tpage_value(const void *page, uint32_t slot);
uint8_t *tpage_value_bytes(void *page, uint32_t slot); /* the value, to be written to */
struct tree_ref tpage_child(const void *page, uint32_t slot);
void tpage_set_child(void *page, uint32_t slot, struct tree_ref ref);

/* The first slot with a key >= `key`, or count; *found: it is equal. */
uint32_t tpage_find(const void *page, struct bytes key, bool *found);
/* Branch: the slot of the child whose range has key. */
uint32_t tpage_child_slot(const void *page, struct bytes key);

/* Bytes that cells and slots take, and whether a cell of size more bytes fits. */
uint32_t tpage_used(const void *page);
bool tpage_fits(const void *page, uint32_t size);

static inline uint32_t tpage_leaf_size(struct bytes key, struct bytes value)
{
	return (uint32_t)(TPAGE_LEAF_CELL + key.len + value.len);
}

static inline uint32_t tpage_branch_size(struct bytes key)
{
	return (uint32_t)(TPAGE_BRANCH_CELL + key.len);
}

/* Insert before slot; the cell fits.  key and value are not in this page. */
void tpage_insert_leaf(void *page, uint32_t slot, struct bytes key, struct bytes value);
void tpage_insert_branch(void *page, uint32_t slot, struct bytes key, struct tree_ref ref);
void tpage_remove(void *page, uint32_t slot);
/* Branch: make the key of slot 0 empty, as the format wants it. */
void tpage_strip_first(void *page);

/*
 * Move the upper cells of left, which has no room for a cell of size bytes
 * before slot, to the empty page right.  Returns how many cells belong to the
 * left page with the new one counted: slot < result means insert it left at
 * slot, else right at slot - result.  A cell behind all others goes right
 * alone: ascending inserts leave full pages.
 */
uint32_t tpage_split(void *left, void *right, uint32_t slot, uint32_t size);

/* Append all cells of from to page; sep replaces the key of a branch's slot 0. */
void tpage_append(void *page, const void *from, struct bytes sep);

/* The shortest key s with low < s <= high: its length as a prefix of high. */
uint32_t tpage_separator(struct bytes low, struct bytes high);

#endif
