/*
 * test_tree: the tree against a model, with every page read through the miss
 * protocol and checkpoints cut into their steps at random moments.
 */
#include "engine/tree.h"
#include "tests/lib/env_mem.h"
#include "tests/lib/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define IDS 3000u

/* What the tree should hold: per key id the length (-1: absent) and seed of its value. */
struct model {
	int32_t len[IDS];
	uint32_t seed[IDS];
};

struct pinned {
	struct tree_pin *pin;
	struct model model;
};

struct fixture {
	struct env_mem *m;
	struct tree *t;
	struct tree_config config;
	struct rnd rnd;
	struct model now, frozen, done;
	struct tree_image image, done_image;
	struct pinned pins[3];
	int step;      /* of the checkpoint: 0 none, 1 frozen, 2 written */
	bool clean;    /* no change since the freeze */
	bool may_grow; /* when page ids are short */
	uint32_t sorted[IDS];
	uint32_t keys, value_max;
};

static bool long_keys; /* that differ at their ends: few children per branch, high trees */

static struct bytes key_of(uint8_t *buf, uint32_t id)
{
	struct rnd r = rnd_of(id);
	size_t len = id % 17 == 0 ? rnd_between(&r, 1, TREE_KEY_MAX) : rnd_between(&r, 8, 40);

	if (long_keys)
		len = TREE_KEY_MAX;
	memset(buf, 'k', len);
	if (len < 8) {
		rnd_fill(&r, buf, len);
		buf[0] = (uint8_t)(id % 251);
	}
	if (len >= 8)
		put_be32(buf + len - 4, (uint32_t)rnd_next(&r) % 4096 * 4096 + id);
	if (len >= 12 && !long_keys)
		put_be32(buf + 4, id % 7);
	return bytes_of(buf, len);
}

static int by_key(const void *a, const void *b)
{
	uint8_t x[TREE_KEY_MAX], y[TREE_KEY_MAX];

	return bytes_cmp(key_of(x, *(const uint32_t *)a), key_of(y, *(const uint32_t *)b));
}

static struct bytes value_of(uint8_t *buf, uint32_t seed, int32_t len)
{
	struct rnd r = rnd_of(seed);

	rnd_fill(&r, buf, (size_t)len);
	return bytes_of(buf, (size_t)len);
}

static void open_tree(struct fixture *f, const struct tree_image *image)
{
	assert_int_equal(tree_open(&f->config, image, &f->t), VS_OK);
}

static struct fixture *fixture_new(uint64_t seed, uint32_t frames, uint32_t keys,
				   uint32_t value_max)
{
	struct fixture *f = calloc(1, sizeof *f);
	uint32_t n = 0;

	assert_non_null(f);
	f->rnd = rnd_of(seed);
	f->m = env_mem_new(seed);
	f->config =
		(struct tree_config){env_mem_env(f->m), "tree", (uint64_t)frames * TREE_PAGE, 64};
	f->keys = keys;
	f->value_max = value_max;
	f->may_grow = true;
	memset(f->now.len, 0xff, sizeof f->now.len);
	f->done = f->now;
	for (uint32_t i = 0; i < keys; i++)
		f->sorted[i] = i;
	qsort(f->sorted, keys, sizeof f->sorted[0], by_key);
	for (uint32_t i = 0; i < keys; i++) /* drop ids whose short key another has */
		if (!n || by_key(&f->sorted[n - 1], &f->sorted[i]))
			f->sorted[n++] = f->sorted[i];
	f->keys = n;
	open_tree(f, NULL);
	return f;
}

static void fixture_free(struct fixture *f)
{
	tree_close(f->t);
	env_mem_free(f->m);
	free(f);
}

static uint32_t any_id(struct fixture *f)
{
	return f->sorted[rnd_below(&f->rnd, f->keys)];
}

static void load(struct fixture *f, struct tree_ref miss)
{
	uint8_t *buf = malloc(TREE_PAGE);

	assert_non_null(buf);
	assert_int_equal(tree_page_read(f->t, miss, buf), VS_OK);
	assert_int_equal(tree_page_install(f->t, miss, buf), VS_OK);
	free(buf);
}

static void leak_check(struct fixture *f)
{
	struct tree_stats s;
	struct tree_pin *pin;
	uint64_t good, bad;

	tree_stats(f->t, &s);
	assert_int_equal(tree_pin(f->t, &pin), VS_OK);
	assert_int_equal(tree_verify(f->t, pin, NULL, NULL, &good, &bad), VS_OK);
	tree_unpin(f->t, pin);
	assert_int_equal(bad, 0);
	assert_int_equal(s.used_pages, good + f->done_image.bitmap_count); /* E15 */
	assert_int_equal(s.used_pages, f->done_image.used_pages);
}

static bool no_pins(const struct fixture *f)
{
	return !f->pins[0].pin && !f->pins[1].pin && !f->pins[2].pin;
}

/* One step of a checkpoint (E17). */
static void step(struct fixture *f)
{
	uint64_t bytes;

	switch (f->step++) {
	case 0:
		tree_freeze(f->t, &f->image);
		f->frozen = f->now;
		f->clean = true;
		break;
	case 1:
		assert_int_equal(tree_write_frozen(f->t, &bytes), VS_OK);
		break;
	default:
		tree_freeze_done(f->t);
		f->done = f->frozen;
		f->done_image = f->image;
		f->step = 0;
		if (f->clean && no_pins(f))
			leak_check(f);
	}
}

/* Room for ops changes; false: the file is full. */
static bool reserve(struct fixture *f, uint32_t ops, uint64_t pages)
{
	uint64_t after;
	int full = 0;

	for (;;) {
		enum vs_err e = tree_reserve(f->t, ops, pages);

		if (e == VS_OK)
			return true;
		if (e == VS_ERR_NOSPC && f->may_grow) {
			assert_int_equal(tree_grow_file(f->t, &after), VS_OK);
			tree_grow_done(f->t, after);
			continue;
		}
		if (e == VS_ERR_NOSPC && full++ == 6)
			return false;
		assert_true(e == VS_ERR_NOSPC || e == VS_ERR_BUSY);
		step(f);
	}
}

/* Bring the paths of n keys in and have room for them, in either order. */
static bool prepare(struct fixture *f, const uint32_t *ids, uint32_t n, uint64_t pages)
{
	uint8_t kb[TREE_KEY_MAX];
	struct tree_ref miss;
	bool first = rnd_chance(&f->rnd, 1, 2);

again:
	if (first && !reserve(f, n, pages))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (tree_touch(f->t, key_of(kb, ids[i]), &miss) == VS_OK)
			continue;
		load(f, miss);
		goto again;
	}
	if (!first) {
		enum vs_err e = tree_reserve(f->t, n, pages);

		if (e == VS_OK)
			return true;
		first = true; /* pages may go while a checkpoint is made */
		goto again;
	}
	return true;
}

static void put(struct fixture *f, uint32_t id, int32_t len)
{
	uint8_t kb[TREE_KEY_MAX], vb[TREE_VALUE_MAX];

	f->now.len[id] = len;
	f->now.seed[id] = (uint32_t)rnd_next(&f->rnd);
	tree_put(f->t, key_of(kb, id), value_of(vb, f->now.seed[id], len));
	f->clean = false;
}

static void del(struct fixture *f, uint32_t id)
{
	uint8_t kb[TREE_KEY_MAX];

	assert_int_equal(tree_del(f->t, key_of(kb, id)), f->now.len[id] >= 0);
	f->now.len[id] = -1;
	f->clean = false;
}

static void edit(struct fixture *f, uint32_t id)
{
	uint8_t kb[TREE_KEY_MAX], vb[TREE_VALUE_MAX], *p;
	size_t len = 0;

	p = tree_edit(f->t, key_of(kb, id), &len);
	assert_int_equal(p != NULL, f->now.len[id] >= 0);
	if (!p)
		return;
	assert_int_equal(len, f->now.len[id]);
	f->now.seed[id]++;
	memcpy(p, value_of(vb, f->now.seed[id], f->now.len[id]).p, len);
	f->clean = false;
}

static void get(struct fixture *f, uint32_t id)
{
	uint8_t kb[TREE_KEY_MAX], vb[TREE_VALUE_MAX];
	struct bytes value = {NULL, 0}, want;
	struct tree_ref miss;
	enum vs_err e;

	while ((e = tree_get(f->t, key_of(kb, id), &value, &miss)) == VS_ERR_MISS)
		load(f, miss);
	assert_int_equal(e, f->now.len[id] < 0 ? VS_ERR_NOENT : VS_OK);
	if (e != VS_OK)
		return;
	want = value_of(vb, f->now.seed[id], f->now.len[id]);
	assert_int_equal(bytes_cmp(value, want), 0);
}

/* Everything under a root, by cursor, equals the model (E18 across leaves). */
static void compare(struct fixture *f, const struct tree_pin *pin, const struct model *m)
{
	uint8_t kb[TREE_KEY_MAX], vb[TREE_VALUE_MAX], from[TREE_KEY_MAX] = {0};
	struct bytes seek = {from, 0};
	struct tree_cursor c;
	struct tree_ref miss;
	bool moving = false;
	enum vs_err e;

	tree_cursor_init(&c, f->t, pin);
	for (uint32_t i = 0; i <= f->keys; i++) {
		struct bytes key;

		if (i < f->keys && m->len[f->sorted[i]] < 0)
			continue;
		e = moving ? tree_cursor_next(&c, &miss) : tree_cursor_seek(&c, seek, &miss);
		while (e == VS_ERR_MISS) {
			load(f, miss);
			e = tree_cursor_seek(&c, seek, &miss);
			if (moving && e == VS_OK) /* seek is the entry before */
				e = tree_cursor_next(&c, &miss);
		}
		assert_int_equal(e, i == f->keys ? VS_ERR_END : VS_OK);
		if (i == f->keys)
			break;
		key = key_of(kb, f->sorted[i]);
		assert_int_equal(bytes_cmp(c.key, key), 0);
		assert_int_equal(bytes_cmp(c.value, value_of(vb, m->seed[f->sorted[i]],
							     m->len[f->sorted[i]])),
				 0);
		memcpy(from, key.p, key.len);
		seek.len = key.len;
		moving = true;
	}
}

static void reopen(struct fixture *f)
{
	for (int i = 0; i < 3; i++)
		f->pins[i].pin = NULL;
	tree_close(f->t);
	env_mem_crash(f->m, ENV_MEM_LOSE, 0);
	open_tree(f, &f->done_image);
	f->now = f->done;
	f->step = 0;
	leak_check(f);
	compare(f, NULL, &f->now);
	tree_check(f->t);
}

/* Take, compare or drop one of the pins. */
static void use_pin(struct fixture *f)
{
	struct pinned *p = &f->pins[rnd_below(&f->rnd, 3)];

	if (!p->pin) {
		if (tree_pin(f->t, &p->pin) == VS_OK) {
			p->model = f->done;
			assert_int_equal(tree_pin_gen(p->pin), f->done_image.gen);
		}
		return;
	}
	compare(f, p->pin, &p->model); /* E10, E12: what a pin sees never changes */
	if (rnd_chance(&f->rnd, 1, 2)) {
		tree_unpin(f->t, p->pin);
		p->pin = NULL;
	}
}

static int32_t any_len(struct fixture *f)
{
	if (rnd_chance(&f->rnd, 1, 10))
		return (int32_t)f->value_max;
	return (int32_t)rnd_below(&f->rnd, rnd_chance(&f->rnd, 1, 4) ? f->value_max + 1 : 200);
}

/* A transaction of one to three keys; deletes more often than not in phases. */
static void change(struct fixture *f, bool thin)
{
	uint32_t ids[3], n = 1 + (uint32_t)rnd_below(&f->rnd, 3);

	for (uint32_t i = 0; i < n; i++)
		ids[i] = any_id(f);
	if (rnd_chance(&f->rnd, 1, 4)) /* runs of neighbours: splits at the edge, empty leaves */
		for (uint32_t i = 0, at = (uint32_t)rnd_below(&f->rnd, f->keys - 3); i < n; i++)
			ids[i] = f->sorted[at + i];
	assert_true(prepare(f, ids, n, 0));
	for (uint32_t i = 0; i < n; i++) {
		uint64_t what = rnd_below(&f->rnd, 10);

		if (what < (thin ? 7 : 3))
			del(f, ids[i]);
		else if (what == 9)
			edit(f, ids[i]);
		else
			put(f, ids[i], any_len(f));
	}
}

static void run_random(uint64_t seed, uint32_t frames, uint32_t keys, uint32_t value_max,
		       uint32_t steps)
{
	struct fixture *f = fixture_new(seed, frames, keys, value_max);

	for (uint32_t i = 0; i < steps; i++) {
		change(f, i / 2000 % 2);
		get(f, any_id(f));
		if (rnd_chance(&f->rnd, 1, 40))
			step(f);
		if (rnd_chance(&f->rnd, 1, 100))
			use_pin(f);
		if (rnd_chance(&f->rnd, 1, 200))
			tree_check(f->t);
		if (rnd_chance(&f->rnd, 1, 1000))
			compare(f, NULL, &f->now);
		if (f->done_image.gen && rnd_chance(&f->rnd, 1, 1500))
			reopen(f);
	}
	fixture_free(f);
}

/* A tree of all keys, checkpointed. */
static struct fixture *filled(uint32_t keys, uint32_t value)
{
	struct fixture *f = fixture_new(1, 1000, keys, value);

	for (uint32_t i = 0; i < f->keys; i++) {
		assert_true(prepare(f, &f->sorted[i], 1, 0));
		put(f, f->sorted[i], (int32_t)value);
	}
	while (f->step || !f->done_image.gen)
		step(f);
	return f;
}

static void delete_all(struct fixture *f, int order)
{
	for (uint32_t i = 0; i < f->keys; i++) {
		uint32_t at = order == 0 ? i : order == 1 ? f->keys - 1 - i : i * 7919 % f->keys;

		assert_true(prepare(f, &f->sorted[at], 1, 0));
		del(f, f->sorted[at]);
	}
}

/* E10, E11, E12, E13, E14, E15 by tree_check after the steps; E16 by tiny pools; E17, E18 */
static void run_all(void)
{
	static const struct {
		uint32_t frames, keys, value_max, steps;
	} runs[] = {
		{64, IDS, 300, 12000},
		{64, 400, TREE_VALUE_MAX, 6000},
		{128, IDS, 1000, 6000},
		{1000, IDS, 300, 6000},
		{64, 40, TREE_VALUE_MAX, 4000},
		{64, 8, 10, 2000},
		{300, IDS, TREE_VALUE_MAX, 10000},
	};

	const char *seeds = getenv("TREE_SEEDS"); /* more than the two, by hand */
	uint64_t last = seeds ? strtoull(seeds, NULL, 10) : 2;

	for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++)
		for (uint64_t seed = 1; seed <= last; seed++)
			run_random(seed, runs[i].frames, runs[i].keys, runs[i].value_max,
				   runs[i].steps);
}

static void test_random(void **state)
{
	(void)state;
	run_all();
}

static void test_random_high(void **state)
{
	(void)state;
	long_keys = true;
	run_all();
	long_keys = false;
}

/* Ascending keys fill every page; a tree of four levels comes and goes. */
static void test_high(void **state)
{
	struct fixture *f;
	struct tree_stats s;

	(void)state;
	long_keys = true;
	f = filled(IDS, TREE_VALUE_MAX);
	tree_stats(f->t, &s);
	assert_int_equal(f->done_image.height, 3);
	assert_true(s.used_pages < IDS / 3 * 47 / 46 + 6);
	delete_all(f, 2);
	tree_check(f->t);
	reopen(f);
	delete_all(f, 1);
	assert_true(f->keys > 2000);
	compare(f, NULL, &f->now);
	fixture_free(f);
	long_keys = false;
}

/* Sequential inserts fill pages; deleting all in any order leaves an empty tree. */
static void test_empty_again(void **state)
{
	(void)state;
	for (int order = 0; order < 3; order++) {
		struct fixture *f = filled(2003, 120);
		struct tree_stats s;

		tree_stats(f->t, &s);
		assert_true(s.used_pages < 2003 * 170 / TREE_PAGE + 12);
		delete_all(f, order);
		for (uint32_t i = 0; i < f->keys; i++) /* ids that the order left out */
			if (prepare(f, &f->sorted[i], 1, 0))
				del(f, f->sorted[i]);
		tree_check(f->t);
		for (int i = 0; i < 3; i++)
			step(f);
		assert_int_equal(f->done_image.height, 0);
		tree_stats(f->t, &s);
		assert_int_equal(s.used_pages, 1);
		compare(f, NULL, &f->now);
		reopen(f);
		fixture_free(f);
	}
}

static void test_cursor(void **state)
{
	struct fixture *f = filled(1000, 200);
	uint8_t kb[TREE_KEY_MAX + 1];
	struct tree_cursor c;
	struct tree_ref miss;

	(void)state;
	tree_cursor_init(&c, f->t, NULL);
	for (uint32_t i = 0; i < f->keys; i++) {
		struct bytes key = key_of(kb, f->sorted[i]);

		assert_int_equal(tree_cursor_seek(&c, key, &miss), VS_OK);
		assert_int_equal(bytes_cmp(c.key, key), 0);
		kb[key.len++] = 0; /* the successor */
		assert_int_equal(tree_cursor_seek(&c, key, &miss),
				 i + 1 < f->keys ? VS_OK : VS_ERR_END);
		if (i + 1 < f->keys)
			assert_int_equal(bytes_cmp(c.key, key_of(kb, f->sorted[i + 1])), 0);
	}
	fixture_free(f);
}

struct refs {
	struct tree_ref ref[64];
	enum vs_err state[64];
	uint32_t count;
};

static enum vs_err note(void *arg, struct tree_ref ref, enum vs_err state)
{
	struct refs *r = arg;

	r->ref[r->count] = ref;
	r->state[r->count++] = state;
	return VS_OK;
}

static enum vs_err stop(void *arg, struct tree_ref ref, enum vs_err state)
{
	(void)arg;
	(void)ref;
	(void)state;
	return VS_ERR_STOPPED;
}

static void test_verify(void **state)
{
	struct fixture *f = filled(600, 300);
	struct refs all = {.count = 0}, r;
	struct tree_pin *pin;
	uint64_t good, bad;

	(void)state;
	assert_int_equal(tree_pin(f->t, &pin), VS_OK);
	assert_int_equal(tree_verify(f->t, pin, note, &all, &good, &bad), VS_OK);
	assert_true(all.count == good && good > 5 && bad == 0);
	assert_int_equal(tree_verify(f->t, pin, stop, NULL, &good, &bad), VS_ERR_STOPPED);
	for (uint32_t i = 0; i < all.count; i++) {
		assert_true(env_mem_flip(f->m, "tree", all.ref[i].page * TREE_PAGE + 9000, 1));
		r.count = 0;
		assert_int_equal(tree_verify(f->t, pin, note, &r, &good, &bad), VS_OK);
		assert_int_equal(bad, 1);
		assert_int_equal(good, i ? all.count - 1 : 0); /* the root hides all others */
		assert_int_equal(r.state[i], VS_ERR_CORRUPT_PAGE);
		assert_true(env_mem_flip(f->m, "tree", all.ref[i].page * TREE_PAGE + 9000, 1));
	}
	tree_unpin(f->t, pin);
	fixture_free(f);
}

/* E19: any wrong byte of a page or bitmap page is seen. */
static void test_flip(void **state)
{
	struct fixture *f = filled(60, 600);
	uint8_t *buf = malloc(TREE_PAGE);
	struct refs all = {.count = 0};
	struct tree_pin *pin;
	struct tree *t;
	uint64_t good, bad, off;

	(void)state;
	assert_non_null(buf);
	assert_int_equal(tree_pin(f->t, &pin), VS_OK);
	assert_int_equal(tree_verify(f->t, pin, note, &all, &good, &bad), VS_OK);
	for (uint32_t i = 0; i < all.count; i++) {
		off = all.ref[i].page * TREE_PAGE;
		for (uint64_t end = off + TREE_PAGE; off < end; off++) {
			env_mem_flip(f->m, "tree", off, (uint8_t)(1u << off % 8));
			assert_int_equal(tree_page_read(f->t, all.ref[i], buf),
					 VS_ERR_CORRUPT_PAGE);
			env_mem_flip(f->m, "tree", off, (uint8_t)(1u << off % 8));
		}
	}
	off = f->done_image.bitmap[0].page * TREE_PAGE;
	for (uint32_t i = 0; i < TREE_PAGE; i += i < 64 ? 1 : 61) {
		env_mem_flip(f->m, "tree", off + i, 0x10);
		assert_int_equal(tree_open(&f->config, &f->done_image, &t), VS_ERR_CORRUPT_PAGE);
		env_mem_flip(f->m, "tree", off + i, 0x10);
	}
	env_mem_flip(f->m, "tree", 77, 0x10); /* position 0 is nobody's */
	assert_int_equal(tree_verify(f->t, pin, NULL, NULL, &good, &bad), VS_OK);
	assert_true(!bad && good == all.count);
	free(buf);
	fixture_free(f);
}

/* An image that says other things than the file. */
static void test_bad_image(void **state)
{
	struct fixture *f = filled(300, 300);
	struct tree_image im;
	struct tree *t;

	(void)state;
	for (int i = 0; i < 8; i++) {
		im = f->done_image;
		if (i == 0)
			im.gen = 0;
		else if (i == 1)
			im.file_pages = UINT64_MAX;
		else if (i == 2)
			im.used_pages++;
		else if (i == 3)
			im.root.page = im.file_pages;
		else if (i == 4)
			im.height = 0;
		else if (i == 5)
			im.bitmap_count = 0;
		else if (i == 6)
			im.bitmap[0].page = UINT64_MAX / TREE_PAGE;
		else
			im.bitmap[0] = im.root;
		assert_int_equal(tree_open(&f->config, &im, &t), VS_ERR_CORRUPT_PAGE);
	}
	fixture_free(f);
}

/* P7: a full file refuses puts, and deletes go on within the pages kept for them. */
static void test_full(void **state)
{
	struct fixture *f = fixture_new(3, 64, IDS, 1500);
	struct tree_stats s;
	uint64_t after;
	uint32_t n = 0;

	(void)state;
	env_mem_set_capacity(f->m, 64 * TREE_PAGE);
	assert_int_equal(tree_grow_file(f->t, &after), VS_ERR_NOSPC);
	f->may_grow = false;
	for (n = 0; prepare(f, &f->sorted[n], 1, 24); n++)
		put(f, f->sorted[n], 1500);
	assert_true(n > 100 && n < f->keys);
	for (uint32_t i = 0; i < n; i++) {
		assert_true(prepare(f, &f->sorted[i], 1, 0));
		del(f, f->sorted[i]);
		tree_check(f->t);
	}
	for (int i = 0; i < 4; i++)
		step(f);
	tree_stats(f->t, &s);
	assert_true(s.free_pages > 55);
	env_mem_set_capacity(f->m, 0);
	f->may_grow = true;
	for (uint32_t i = 0; i < f->keys; i++)
		if (prepare(f, &f->sorted[i], 1, 24))
			put(f, f->sorted[i], 1500);
	compare(f, NULL, &f->now);
	fixture_free(f);
}

static void test_write_fails(void **state)
{
	uint64_t bytes;

	(void)state;
	for (uint64_t k = 1; k <= 2; k++) {
		struct fixture *f = filled(300, 300);

		assert_true(prepare(f, f->sorted, 1, 0));
		put(f, f->sorted[0], 30);
		step(f);
		env_mem_fail_mask(f->m, k == 1 ? ENV_MEM_WRITE : ENV_MEM_SYNC);
		env_mem_fail_at(f->m, 1, ENV_MEM_FAIL_ONCE);
		assert_int_equal(tree_write_frozen(f->t, &bytes),
				 k == 1 ? VS_ERR_IO_WRITE : VS_ERR_IO_SYNC);
		reopen(f); /* the checkpoint before is whole */
		fixture_free(f);
	}
}

/* A pin holds what it sees and not what came and went since (E12). */
static void test_pins(void **state)
{
	struct fixture *f = filled(1000, 300);
	struct tree_pin *pin[17];
	struct tree_config config = f->config;
	struct tree_stats before, after;
	struct model seen;
	struct tree *empty;

	(void)state;
	config.name = "dir/tree";
	assert_int_equal(config.env->ops->mkdir(config.env, "dir"), VS_OK);
	assert_int_equal(tree_open(&config, NULL, &empty), VS_OK);
	assert_int_equal(tree_pin(empty, &pin[0]), VS_ERR_NOENT);
	tree_close(empty);
	for (int i = 0; i < 16; i++)
		assert_int_equal(tree_pin(f->t, &pin[i]), VS_OK);
	assert_int_equal(tree_pin(f->t, &pin[16]), VS_ERR_BUSY);
	seen = f->now;
	f->pins[0].pin = pin[0];
	tree_stats(f->t, &before);
	for (int i = 0; i < 600; i++) {
		change(f, false);
		step(f);
	}
	compare(f, pin[0], &seen);
	for (int i = 0; i < 16; i++)
		tree_unpin(f->t, pin[i]);
	f->pins[0].pin = NULL;
	while (f->step || !f->clean)
		step(f);
	tree_stats(f->t, &after);
	assert_true(after.file_pages < 4 * before.used_pages + 64);
	fixture_free(f);
}

/* A page read before its position was used again does not get in the way (E12, E14). */
static void test_stale_install(void **state)
{
	struct fixture *f = filled(300, 300);
	uint8_t *buf = malloc(TREE_PAGE);
	struct tree_ref old = f->done_image.root;

	(void)state;
	assert_non_null(buf);
	assert_int_equal(tree_page_read(f->t, old, buf), VS_OK);
	for (uint32_t i = 0; i < 400; i++) {
		uint32_t id = any_id(f);

		assert_true(prepare(f, &id, 1, 0));
		put(f, id, any_len(f));
		step(f);
		assert_int_equal(tree_page_install(f->t, old, buf), VS_OK);
		tree_check(f->t);
		get(f, id);
	}
	compare(f, NULL, &f->now);
	free(buf);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),        cmocka_unit_test(test_random_high),
		cmocka_unit_test(test_high),          cmocka_unit_test(test_empty_again),
		cmocka_unit_test(test_cursor),        cmocka_unit_test(test_verify),
		cmocka_unit_test(test_flip),          cmocka_unit_test(test_bad_image),
		cmocka_unit_test(test_full),          cmocka_unit_test(test_write_fails),
		cmocka_unit_test(test_stale_install), cmocka_unit_test(test_pins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
