#include "engine/tree_page.h"

#include "engine/base/assert.h"
#include "engine/base/checksum.h"

enum {
	OFF_KIND = 4,
	OFF_LEVEL = 5,
	OFF_COUNT = 6,
	OFF_ID = 8,
	OFF_BIRTH = 16,
	OFF_CELLS = 24,
	OFF_GARBAGE = 26,
	OFF_ZERO = 28,
};

static const uint8_t magic[4] = {'V', 'S', 'T', 'P'};

_Static_assert(TREE_PAGE <= UINT16_MAX, "cell offsets are u16");
_Static_assert(3 * (2 + TPAGE_LEAF_CELL + TREE_KEY_MAX + TREE_VALUE_MAX) <= TREE_PAGE - TPAGE_HEAD,
	       "three cells fit a page, so that one split makes room for any cell");

static uint32_t cells_off(const void *page)
{
	return get_le16((const uint8_t *)page + OFF_CELLS);
}

static uint32_t garbage(const void *page)
{
	return get_le16((const uint8_t *)page + OFF_GARBAGE);
}

static void set_u16(void *page, uint32_t off, uint32_t v)
{
	vs_assert(v <= TREE_PAGE);
	put_le16((uint8_t *)page + off, (uint16_t)v);
}

static uint32_t key_off(const void *page)
{
	return tpage_kind(page) == TPAGE_LEAF ? TPAGE_LEAF_CELL : TPAGE_BRANCH_CELL;
}

static uint32_t cell_size(const void *page, uint32_t slot)
{
	const uint8_t *c = tpage_cell(page, slot);

	if (tpage_kind(page) == TPAGE_LEAF)
		return TPAGE_LEAF_CELL + get_le16(c) + get_le16(c + 2);
	return TPAGE_BRANCH_CELL + get_le16(c);
}

void tpage_init(void *page, enum tpage_kind kind, uint32_t level, uint64_t id, uint64_t birth)
{
	uint8_t *p = page;

	vs_assert(id && birth && level < 256);
	vs_assert((kind == TPAGE_BRANCH) == (level > 0));
	memset(p, 0, TPAGE_HEAD);
	memcpy(p, magic, sizeof magic);
	p[OFF_KIND] = (uint8_t)kind;
	p[OFF_LEVEL] = (uint8_t)level;
	put_le64(p + OFF_ID, id);
	put_le64(p + OFF_BIRTH, birth);
	set_u16(p, OFF_CELLS, TREE_PAGE);
}

void tpage_copy(void *to, const void *from, uint64_t id, uint64_t birth)
{
	uint32_t low = TPAGE_HEAD + 2 * tpage_count(from), high = cells_off(from);

	vs_assert(to != from && low <= high && birth > tpage_birth(from));
	memcpy(to, from, low);
	memcpy((uint8_t *)to + high, (const uint8_t *)from + high, TREE_PAGE - high);
	put_le64((uint8_t *)to + OFF_ID, id);
	put_le64((uint8_t *)to + OFF_BIRTH, birth);
}

static bool zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static bool head_ok(const uint8_t *p, uint64_t id)
{
	return !memcmp(p, magic, sizeof magic) && tpage_id(p) == id && id && tpage_birth(p) &&
	       zero(p + OFF_ZERO, TPAGE_HEAD - OFF_ZERO);
}

/* Take bytes [off, off + len) of the page for one cell; false when another has some of them. */
static bool claim(uint64_t *map, uint32_t off, uint32_t len)
{
	while (len) {
		uint32_t bit = off % 64, n = len < 64 - bit ? len : 64 - bit;
		uint64_t mask = (n == 64 ? ~0ull : (1ull << n) - 1) << bit;

		if (map[off / 64] & mask)
			return false;
		map[off / 64] |= mask;
		off += n;
		len -= n;
	}
	return true;
}

/* Is the cell of slot inside the page and are its lengths allowed?  *size: its bytes. */
static bool cell_ok(const uint8_t *p, uint32_t slot, uint32_t *size)
{
	uint32_t off = get_le16(p + TPAGE_HEAD + 2 * slot), klen;
	bool leaf = tpage_kind(p) == TPAGE_LEAF;

	if (off < cells_off(p) || off > TREE_PAGE - key_off(p))
		return false;
	*size = cell_size(p, slot);
	klen = get_le16(p + off);
	if (*size > TREE_PAGE - off || klen > TREE_KEY_MAX || (klen == 0) != (!leaf && slot == 0))
		return false;
	if (leaf)
		return get_le16(p + off + 2) <= TREE_VALUE_MAX;
	return get_le64(p + off + 2) && get_le64(p + off + 10);
}

enum vs_err tpage_verify(const void *page, uint64_t id)
{
	uint64_t map[TREE_PAGE / 64] = {0};
	const uint8_t *p = page;
	uint32_t count = tpage_count(p), cells = cells_off(p), sum = garbage(p), size;
	bool leaf = p[OFF_KIND] == TPAGE_LEAF;

	if (!head_ok(p, id) || (!leaf && p[OFF_KIND] != TPAGE_BRANCH) || leaf != !p[OFF_LEVEL])
		return VS_ERR_CORRUPT_PAGE;
	if (!count || cells > TREE_PAGE || TPAGE_HEAD + 2 * count > cells)
		return VS_ERR_CORRUPT_PAGE;
	for (uint32_t i = 0; i < count; i++) {
		if (!cell_ok(p, i, &size) || !claim(map, get_le16(p + TPAGE_HEAD + 2 * i), size))
			return VS_ERR_CORRUPT_PAGE;
		sum += size;
		if (i && bytes_cmp(tpage_key(p, i - 1), tpage_key(p, i)) >= 0)
			return VS_ERR_CORRUPT_PAGE;
	}
	return sum == TREE_PAGE - cells ? VS_OK : VS_ERR_CORRUPT_PAGE;
}

enum vs_err tpage_verify_bitmap(const void *page, uint64_t id, uint32_t index)
{
	const uint8_t *p = page;
	bool ok = head_ok(p, id) && p[OFF_KIND] == TPAGE_BITMAP && !p[OFF_LEVEL] &&
		  tpage_count(p) == index && cells_off(p) == TREE_PAGE && !garbage(p);

	return ok ? VS_OK : VS_ERR_CORRUPT_PAGE;
}

uint64_t tpage_sum(const void *page)
{
	uint64_t sum = checksum_xxh3(page, TREE_PAGE);

	return sum ? sum : 1;
}

struct bytes tpage_key(const void *page, uint32_t slot)
{
	const uint8_t *c = tpage_cell(page, slot);

	return bytes_of(c + key_off(page), get_le16(c));
}

struct bytes tpage_value(const void *page, uint32_t slot)
{
	const uint8_t *c = tpage_cell(page, slot);

	vs_assert(tpage_kind(page) == TPAGE_LEAF && slot < tpage_count(page));
	return bytes_of(c + TPAGE_LEAF_CELL + get_le16(c), get_le16(c + 2));
}

uint8_t *tpage_value_bytes(void *page, uint32_t slot)
{
	struct bytes value = tpage_value(page, slot);
	uint8_t *p = page;

	return p + ((const uint8_t *)value.p - p);
}

struct tree_ref tpage_child(const void *page, uint32_t slot)
{
	const uint8_t *c = tpage_cell(page, slot);

	vs_assert(tpage_kind(page) == TPAGE_BRANCH && slot < tpage_count(page));
	return (struct tree_ref){get_le64(c + 2), get_le64(c + 10)};
}

void tpage_set_child(void *page, uint32_t slot, struct tree_ref ref)
{
	uint8_t *c = (uint8_t *)page + get_le16((uint8_t *)page + TPAGE_HEAD + 2 * slot);

	vs_assert(tpage_kind(page) == TPAGE_BRANCH && slot < tpage_count(page) && ref.page);
	put_le64(c + 2, ref.page);
	put_le64(c + 10, ref.sum);
}

uint32_t tpage_find(const void *page, struct bytes key, bool *found)
{
	uint32_t lo = 0, hi = tpage_count(page), off = key_off(page);

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		const uint8_t *cell = tpage_cell(page, mid);
		int c;

		/* Both cells that may come next: in a cold page the waits overlap. */
		__builtin_prefetch(tpage_cell(page, (lo + mid) / 2));
		__builtin_prefetch(tpage_cell(page, (mid + hi) / 2));
		c = bytes_cmp(bytes_of(cell + off, get_le16(cell)), key);
		if (!c) {
			*found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*found = false;
	return lo;
}

uint32_t tpage_child_slot(const void *page, struct bytes key)
{
	bool found;
	uint32_t slot = tpage_find(page, key, &found);

	vs_assert(found || slot > 0); /* the key of slot 0 is empty */
	return found ? slot : slot - 1;
}

uint32_t tpage_used(const void *page)
{
	return TREE_PAGE - cells_off(page) - garbage(page) + 2 * tpage_count(page);
}

bool tpage_fits(const void *page, uint32_t size)
{
	return TPAGE_HEAD + tpage_used(page) + size + 2 <= TREE_PAGE;
}

/* Push all cells to the end of the page, so that the free space is in one piece. */
static void compact(uint8_t *p)
{
	uint8_t old[TREE_PAGE];
	uint32_t count = tpage_count(p), at = TREE_PAGE;

	memcpy(old, p, TREE_PAGE);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t size = cell_size(old, i);

		at -= size;
		memcpy(p + at, tpage_cell(old, i), size);
		set_u16(p, TPAGE_HEAD + 2 * i, at);
	}
	vs_assert(at == cells_off(old) + garbage(old));
	set_u16(p, OFF_CELLS, at);
	set_u16(p, OFF_GARBAGE, 0);
}

/* Room for a cell of size bytes before slot, its bytes undefined. */
static uint8_t *take(void *page, uint32_t slot, uint32_t size)
{
	uint8_t *p = page, *s = p + TPAGE_HEAD + 2 * slot;
	uint32_t count = tpage_count(p), cells;

	vs_assert(slot <= count && tpage_fits(p, size));
	if (TPAGE_HEAD + 2 * (count + 1) + size > cells_off(p))
		compact(p);
	cells = cells_off(p) - size;
	vs_assert(TPAGE_HEAD + 2 * (count + 1) <= cells);
	memmove(s + 2, s, 2 * (count - slot));
	put_le16(s, (uint16_t)cells);
	set_u16(p, OFF_CELLS, cells);
	set_u16(p, OFF_COUNT, count + 1);
	return p + cells;
}

void tpage_insert_leaf(void *page, uint32_t slot, struct bytes key, struct bytes value)
{
	uint8_t *c = take(page, slot, tpage_leaf_size(key, value));

	vs_assert(tpage_kind(page) == TPAGE_LEAF);
	vs_assert(key.len && key.len <= TREE_KEY_MAX && value.len <= TREE_VALUE_MAX);
	put_le16(c, (uint16_t)key.len);
	put_le16(c + 2, (uint16_t)value.len);
	memcpy(c + TPAGE_LEAF_CELL, key.p, key.len);
	if (value.len)
		memcpy(c + TPAGE_LEAF_CELL + key.len, value.p, value.len);
}

void tpage_insert_branch(void *page, uint32_t slot, struct bytes key, struct tree_ref ref)
{
	uint8_t *c = take(page, slot, tpage_branch_size(key));

	vs_assert(tpage_kind(page) == TPAGE_BRANCH && key.len <= TREE_KEY_MAX && ref.page);
	put_le16(c, (uint16_t)key.len);
	put_le64(c + 2, ref.page);
	put_le64(c + 10, ref.sum);
	if (key.len)
		memcpy(c + TPAGE_BRANCH_CELL, key.p, key.len);
}

void tpage_remove(void *page, uint32_t slot)
{
	uint8_t *p = page, *s = p + TPAGE_HEAD + 2 * slot;
	uint32_t count = tpage_count(p), off = get_le16(s), size = cell_size(p, slot);

	vs_assert(slot < count);
	if (off == cells_off(p))
		set_u16(p, OFF_CELLS, off + size);
	else
		set_u16(p, OFF_GARBAGE, garbage(p) + size);
	memmove(s, s + 2, 2 * (count - slot - 1));
	set_u16(p, OFF_COUNT, count - 1);
}

void tpage_strip_first(void *page)
{
	struct tree_ref ref = tpage_child(page, 0);

	tpage_remove(page, 0);
	tpage_insert_branch(page, 0, bytes_of(NULL, 0), ref);
}

/* How many cells stay left, the new one counted: about half of the bytes. */
static uint32_t split_point(const void *page, uint32_t slot, uint32_t size)
{
	uint32_t count = tpage_count(page), half = (tpage_used(page) + size + 2) / 2;
	uint32_t left = 0, n = 0;

	if (slot == count)
		return count;
	while (left < half && n < count) {
		left += 2 + (n == slot ? size : cell_size(page, n < slot ? n : n - 1));
		n++;
	}
	return n;
}

static void append_from(uint8_t *p, const void *from, uint32_t slot)
{
	for (; slot < tpage_count(from); slot++) {
		uint32_t size = cell_size(from, slot);

		memcpy(take(p, tpage_count(p), size), tpage_cell(from, slot), size);
	}
}

uint32_t tpage_split(void *left, void *right, uint32_t slot, uint32_t size)
{
	uint32_t n = split_point(left, slot, size), first = slot < n ? n - 1 : n;

	vs_assert(!tpage_fits(left, size) && tpage_kind(left) == tpage_kind(right));
	vs_assert(!tpage_count(right) && n > 0 && n <= tpage_count(left));
	append_from(right, left, first);
	while (tpage_count(left) > first)
		tpage_remove(left, tpage_count(left) - 1);
	vs_assert(tpage_fits(slot < n ? left : right, size));
	return n;
}

void tpage_append(void *page, const void *from, struct bytes sep)
{
	vs_assert(tpage_kind(page) == tpage_kind(from) && tpage_level(page) == tpage_level(from));
	if (tpage_kind(from) == TPAGE_BRANCH)
		tpage_insert_branch(page, tpage_count(page), sep, tpage_child(from, 0));
	append_from(page, from, tpage_kind(from) == TPAGE_BRANCH);
}

uint32_t tpage_separator(struct bytes low, struct bytes high)
{
	const uint8_t *a = low.p, *b = high.p;
	uint32_t n = 0;

	vs_assert(bytes_cmp(low, high) < 0);
	while (n < low.len && a[n] == b[n])
		n++;
	return n + 1;
}
