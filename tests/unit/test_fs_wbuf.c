/* test_fs_wbuf: the write buffer against a plain array. */
#include "engine/base/assert.h"
#include "fs/wbuf.h"
#include "tests/lib/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FILE_BYTES = 512 << 10, BLOCKS = FILE_BYTES / WBUF_BLOCK, WINDOW = 64 << 10 };

struct model {
	uint8_t bytes[FILE_BYTES]; /* what a reader sees where dirty */
	bool dirty[BLOCKS];
};

static void write_both(struct wbuf *w, struct model *m, struct rnd *r)
{
	size_t len = (size_t)rnd_between(r, 1, rnd_chance(r, 1, 4) ? 3 * WINDOW : 9000);
	uint64_t off = rnd_below(r, FILE_BYTES - len + 1);
	uint64_t first, last;
	uint8_t *data = malloc(len);
	enum vs_err err;

	if (rnd_chance(r, 1, 3))
		off = off / WBUF_BLOCK * WBUF_BLOCK;
	first = off / WBUF_BLOCK;
	last = (off + len - 1) / WBUF_BLOCK;
	rnd_fill(r, data, len);
	err = wbuf_write(w, off, data, len, m->bytes + first * WBUF_BLOCK,
			 m->bytes + last * WBUF_BLOCK);
	assert_int_equal(err, VS_OK);
	memcpy(m->bytes + off, data, len);
	for (uint64_t b = first; b <= last; b++)
		m->dirty[b] = true;
	free(data);
}

static void drop_both(struct wbuf *w, struct model *m, struct rnd *r)
{
	uint64_t a = rnd_below(r, BLOCKS), b = rnd_between(r, a + 1, BLOCKS);
	uint64_t end = b == BLOCKS && rnd_chance(r, 1, 2) ? UINT64_MAX : b * WBUF_BLOCK;

	assert_int_equal(wbuf_drop(w, a * WBUF_BLOCK, end), VS_OK);
	for (; a < b; a++)
		m->dirty[a] = false;
}

static void cut_both(struct wbuf *w, struct model *m, struct rnd *r)
{
	uint64_t size = rnd_between(r, FILE_BYTES / 2, FILE_BYTES);
	uint64_t b = size / WBUF_BLOCK;

	wbuf_cut(w, size);
	if (size % WBUF_BLOCK) {
		/* only dirty blocks are zeroed: the rest is the caller's */
		if (m->dirty[b])
			memset(m->bytes + size, 0, WBUF_BLOCK - size % WBUF_BLOCK);
		b++;
	}
	for (; b < BLOCKS; b++)
		m->dirty[b] = false;
}

static void compare(const struct wbuf *w, const struct model *m)
{
	static uint8_t seen[FILE_BYTES];

	wbuf_check(w);
	memset(seen, 0xee, sizeof seen);
	wbuf_read(w, 0, seen, sizeof seen);
	for (uint64_t b = 0; b < BLOCKS; b++) {
		const uint8_t *got = seen + b * WBUF_BLOCK;

		assert_int_equal(wbuf_has(w, b * WBUF_BLOCK), m->dirty[b]);
		if (m->dirty[b])
			assert_memory_equal(got, m->bytes + b * WBUF_BLOCK, WBUF_BLOCK);
		else
			assert_true(got[0] == 0xee && got[WBUF_BLOCK - 1] == 0xee);
	}
	for (uint64_t b = 0; b < BLOCKS; b += WINDOW / WBUF_BLOCK) {
		bool full = true;

		for (uint64_t i = b; i < b + WINDOW / WBUF_BLOCK; i++)
			full = full && m->dirty[i];
		if (wbuf_full(w, b * WBUF_BLOCK + 1))
			assert_true(full);
	}
}

static void against_array(void **state)
{
	static struct model m;

	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct rnd r = rnd_of(seed);
		struct wbuf w;

		memset(&m, 0, sizeof m);
		wbuf_init(&w, WINDOW);
		for (int step = 0; step < 120; step++) {
			uint64_t what = rnd_below(&r, 20);

			if (what < 15)
				write_both(&w, &m, &r);
			else if (what < 18)
				drop_both(&w, &m, &r);
			else
				cut_both(&w, &m, &r);
			compare(&w, &m);
		}
		wbuf_fini(&w);
		assert_int_equal(w.alloc_bytes, 0);
	}
}

/* A sequential writer fills one piece per window; a full one is stored as it stands. */
static void sequential(void **state)
{
	uint8_t block[1000];
	uint64_t off = 0;
	struct wbuf w;

	(void)state;
	memset(block, 7, sizeof block);
	wbuf_init(&w, WINDOW);
	while (off + sizeof block <= WINDOW + 5000) {
		uint8_t zero[WBUF_BLOCK] = {0};

		assert_int_equal(wbuf_write(&w, off, block, sizeof block, zero, zero), VS_OK);
		off += sizeof block;
	}
	assert_int_equal(w.count, 2);
	assert_non_null(wbuf_full(&w, 0));
	assert_null(wbuf_full(&w, WINDOW));
	wbuf_drop_first(&w, 1);
	assert_int_equal(w.count, 1);
	assert_int_equal(w.next_off, WINDOW);
	wbuf_check(&w);
	wbuf_fini(&w);
}

/* A small write costs a block, not a window. */
static void sparse_is_cheap(void **state)
{
	uint8_t block[WBUF_BLOCK] = {1};
	struct wbuf w;

	(void)state;
	wbuf_init(&w, 1 << 20);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(wbuf_write(&w, i << 24, block, sizeof block, NULL, NULL), VS_OK);
	assert_int_equal(w.alloc_bytes, 100 * WBUF_BLOCK);
	assert_int_equal(w.count, 100);
	wbuf_clear(&w);
	assert_true(wbuf_empty(&w));
	wbuf_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(against_array),
		cmocka_unit_test(sequential),
		cmocka_unit_test(sparse_is_cheap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
