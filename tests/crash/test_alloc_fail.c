/*
 * test_alloc_fail: allocation number k of the engine fails, for k = 1..n.
 *
 * The call it happens in returns an error or does without; nothing crashes,
 * the accounts stay exact, the same call made again succeeds unless the store
 * stopped, and after power loss everything acknowledged as synced is there.
 *
 * malloc, calloc and realloc of the linked objects come here (ld --wrap, see
 * the Makefile); they fail only inside a step, and never inside the simulated
 * disk.
 */
#include "engine/object.h"
#include "tests/lib/env_mem.h"
#include "tests/lib/rand.h"
#include "tests/lib/verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#define CHUNK (64u << 10)

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool armed;
static uint64_t count, fail_at;

static bool fails(void)
{
	return armed && ++count == fail_at;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

/* --- an environment in which nothing fails to allocate --- */

static struct env *inner;

#define QUIET(type, call)          \
	bool was = armed;          \
	type result;               \
                                   \
	armed = false;             \
	result = inner->ops->call; \
	armed = was;               \
	return result

static enum vs_err q_open(struct env *e, const char *name, int flags, struct env_file **out)
{
	(void)e;
	QUIET(enum vs_err, open(inner, name, flags, out));
}
static void q_close(struct env_file *f)
{
	bool was = armed;

	armed = false;
	inner->ops->close(f);
	armed = was;
}
static enum vs_err q_pread(struct env_file *f, void *buf, size_t len, uint64_t off, size_t *got)
{
	QUIET(enum vs_err, pread(f, buf, len, off, got));
}
static enum vs_err q_pwritev(struct env_file *f, const struct iovec *iov, int n, uint64_t off)
{
	QUIET(enum vs_err, pwritev(f, iov, n, off));
}
static enum vs_err q_sync(struct env_file *f)
{
	QUIET(enum vs_err, sync(f));
}
static void q_write_hint(struct env_file *f, uint64_t off, uint64_t len)
{
	inner->ops->write_hint(f, off, len);
}
static enum vs_err q_allocate(struct env_file *f, uint64_t off, uint64_t len)
{
	QUIET(enum vs_err, allocate(f, off, len));
}
static enum vs_err q_truncate(struct env_file *f, uint64_t size)
{
	QUIET(enum vs_err, truncate(f, size));
}
static enum vs_err q_size(struct env_file *f, uint64_t *bytes)
{
	QUIET(enum vs_err, size(f, bytes));
}
static enum vs_err q_unlink(struct env *e, const char *name)
{
	(void)e;
	QUIET(enum vs_err, unlink(inner, name));
}
static enum vs_err q_rename(struct env *e, const char *from, const char *to)
{
	(void)e;
	QUIET(enum vs_err, rename(inner, from, to));
}
static enum vs_err q_mkdir(struct env *e, const char *name)
{
	(void)e;
	QUIET(enum vs_err, mkdir(inner, name));
}
static enum vs_err q_dir_sync(struct env *e, const char *dir)
{
	(void)e;
	QUIET(enum vs_err, dir_sync(inner, dir));
}

/* The callback is the engine's: there allocation may fail again. */
struct listing {
	enum vs_err (*each)(void *arg, const char *name);
	void *arg;
	bool was;
};

static enum vs_err q_each(void *arg, const char *name)
{
	struct listing *l = arg;
	enum vs_err err;

	armed = l->was;
	err = l->each(l->arg, name);
	armed = false;
	return err;
}
static enum vs_err q_list(struct env *e, const char *dir,
			  enum vs_err (*each)(void *arg, const char *name), void *arg)
{
	struct listing l = {each, arg, armed};

	(void)e;
	QUIET(enum vs_err, list(inner, dir, q_each, &l));
}
static enum vs_err q_lock(struct env *e, const char *name)
{
	(void)e;
	QUIET(enum vs_err, lock(inner, name));
}
static void q_unlock(struct env *e)
{
	(void)e;
	inner->ops->unlock(inner);
}
static enum vs_err q_space(struct env *e, struct env_space *out)
{
	(void)e;
	return inner->ops->space(inner, out);
}
static uint64_t q_mono(struct env *e)
{
	(void)e;
	return inner->ops->now_mono_ns(inner);
}
static uint64_t q_real(struct env *e)
{
	(void)e;
	return inner->ops->now_real_ns(inner);
}
static void q_random(struct env *e, void *buf, size_t len)
{
	(void)e;
	inner->ops->random(inner, buf, len);
}

static const struct env_ops quiet_ops = {
	.open = q_open,
	.close = q_close,
	.pread = q_pread,
	.pwritev = q_pwritev,
	.sync = q_sync,
	.write_hint = q_write_hint,
	.allocate = q_allocate,
	.truncate = q_truncate,
	.size = q_size,
	.unlink = q_unlink,
	.rename = q_rename,
	.mkdir = q_mkdir,
	.dir_sync = q_dir_sync,
	.list = q_list,
	.lock = q_lock,
	.unlock = q_unlock,
	.space = q_space,
	.now_mono_ns = q_mono,
	.now_real_ns = q_real,
	.random = q_random,
};
static struct env quiet = {&quiet_ops};

/* --- steps --- */

static struct store *s;
static uint64_t content, other, synced;
static uint8_t data[CHUNK], back[CHUNK];
static char sentence[300];

static enum vs_err open_it(bool create)
{
	struct store_config c = {.env = &quiet,
				 .cache_bytes = 1u << 20,
				 .chunk_bytes = CHUNK,
				 .segment_bytes = 256u << 10,
				 .create = create};
	struct store_report r;
	enum vs_err err = store_open(&c, &r, &s);

	snprintf(sentence, sizeof sentence, "%s", r.text);
	return err;
}

static enum vs_err do_create(void)
{
	return open_it(true);
}
static enum vs_err do_format(void)
{
	return object_format(s, 0, 0, 0755);
}
static enum vs_err do_ids(void)
{
	enum vs_err err = store_new_ids(s, 2, &content);

	other = content + 1;
	return err;
}

/* Write a chunk at a chunk's distance; the second time over the middle of the first. */
static enum vs_err put_range(uint64_t c, uint64_t off, uint32_t len)
{
	struct object_extent e = {off, off + len, 0, 0, 0};
	struct store_result res;
	struct key k;
	struct txn t;
	int64_t alloc = 0;
	enum vs_err err;

	txn_init(&t);
	t.data = bytes_of(data, len);
	txn_chunk(&t, 0, len, 1);
	key_u64_u64(&k, KEY_PENDING_CONTENT, 7, c);
	txn_put(&t, &k, bytes_of(NULL, 0));
	err = object_txn_extent(s, &t, c, off, off + len, &e, 8, &alloc);
	if (!err)
		err = store_propose(s, &t, &res);
	txn_fini(&t);
	return err;
}
static enum vs_err do_write(void)
{
	return put_range(content, 0, CHUNK);
}
static enum vs_err do_write_more(void)
{
	return put_range(content, CHUNK, CHUNK);
}
static enum vs_err do_overwrite(void)
{
	return put_range(content, 8192, 16384);
}
static enum vs_err do_write_other(void)
{
	return put_range(other, 0, 50000);
}
static enum vs_err do_big_txn(void)
{
	struct store_result res;
	struct key k;
	struct txn t;
	enum vs_err err;

	txn_init(&t);
	for (uint32_t i = 0; i < 12; i++) {
		uint8_t name[4];

		put_be32(name, i);
		key_text(&k, KEY_KV, bytes_of(name, sizeof name));
		txn_put(&t, &k, bytes_of(data, 4000));
	}
	err = store_propose(s, &t, &res);
	txn_fini(&t);
	return err;
}
static enum vs_err do_read(void)
{
	enum vs_err err = object_read(s, content, 100, back, 20000);

	if (!err && (memcmp(back, data + 100, 8092) != 0 || memcmp(back + 8092, data, 11908) != 0))
		return VS_ERR_INTERNAL;
	return err;
}
static enum vs_err do_xattr(void)
{
	struct store_result res;
	struct txn t;
	enum vs_err err;

	txn_init(&t);
	err = object_txn_xattr(s, &t, OBJECT_ROOT, bytes_of("user.a", 6), bytes_of(data, 30000));
	if (!err)
		err = store_propose(s, &t, &res);
	txn_fini(&t);
	return err;
}
static enum vs_err do_checkpoint(void)
{
	return store_checkpoint(s, NULL);
}
static enum vs_err do_sync(void)
{
	uint64_t index = store_last_index(s);
	enum vs_err err = store_sync(s, index);

	if (!err)
		synced = index;
	return err;
}
static enum vs_err do_scrub(void)
{
	struct store_scrub_result r;
	enum vs_err err = store_scrub(s, NULL, &r);

	return !err && r.errors ? VS_ERR_INTERNAL : err;
}
static enum vs_err do_sweep(void)
{
	return object_sweep_session(s, 7);
}
static enum vs_err do_gc(void)
{
	struct store_gc_result r;

	return store_gc(s, NULL, &r);
}
static enum vs_err do_maintain(void)
{
	for (int i = 0; i < 8 && store_maintain(s); i++)
		;
	return VS_OK;
}
static enum vs_err do_close(void)
{
	struct store *closed = s;

	s = NULL;
	return store_close(closed);
}
static enum vs_err do_open(void)
{
	return open_it(false);
}

static const struct step {
	const char *name;
	enum vs_err (*run)(void);
} steps[] = {
	{"create", do_create},
	{"format", do_format},
	{"ids", do_ids},
	{"write", do_write},
	{"write more", do_write_more},
	{"overwrite", do_overwrite},
	{"read", do_read},
	{"big transaction", do_big_txn},
	{"xattr", do_xattr},
	{"sync", do_sync},
	{"maintain", do_maintain},
	{"checkpoint", do_checkpoint},
	{"xattr again", do_xattr},
	{"write other", do_write_other},
	{"close", do_close},
	{"open", do_open},
	{"read again", do_read},
	{"scrub", do_scrub},
	{"sweep", do_sweep},
	{"gc", do_gc},
	{"sync again", do_sync},
};

/* --- the enumeration --- */

static void complain(const struct step *step, const char *what, enum vs_err err)
{
	print_error("allocation %llu, in %s: %s: %s\n", (unsigned long long)fail_at, step->name,
		    what, vs_err_name(err));
	fail();
}

static void check_state(const struct step *step)
{
	char why[256];

	if (s && !verify_accounts(s, why, sizeof why)) {
		print_error("%s\n", why);
		complain(step, "accounts", VS_OK);
	}
}

/* One step with its allocation failing, then again without.  False: the store stopped. */
static bool run_step(const struct step *step)
{
	uint64_t before = count;
	enum vs_err err;

	armed = true;
	err = step->run();
	armed = false;
	if (before >= fail_at || count < fail_at) {
		if (err)
			complain(step, "without a failure", err);
		return true;
	}
	if (err && err != VS_ERR_NOMEM && err != VS_ERR_STOPPED)
		complain(step, "wrong error", err);
	check_state(step);
	if (!err || step->run == do_close)
		return true;
	err = step->run();
	if (err == VS_ERR_STOPPED)
		return false;
	if (err)
		complain(step, "tried again", err);
	return true;
}

/* After everything, and after power loss in the middle: a sound store. */
static void reopen(struct env_mem *m, const struct step *step)
{
	char why[256];
	enum vs_err err;

	env_mem_crash(m, ENV_MEM_TORN, fail_at);
	if (s)
		(void)store_close(s);
	s = NULL;
	err = open_it(true);
	if (err)
		complain(step, sentence, err);
	if (store_last_index(s) - 1 < synced)
		complain(step, "something synced is lost", VS_OK);
	if (!verify_store(s, why, sizeof why)) {
		print_error("%s\n", why);
		complain(step, "after recovery", VS_OK);
	}
	assert_int_equal(store_close(s), VS_OK);
	s = NULL;
}

/* False: the steps allocate less than k times. */
static bool one(uint64_t k, bool *stopped)
{
	const size_t n = sizeof steps / sizeof *steps;
	struct env_mem *m = env_mem_new(k);
	bool reached;
	size_t i = 0;

	inner = env_mem_env(m);
	count = synced = 0;
	fail_at = k;
	*stopped = false;
	for (; i < n && !*stopped; i++) {
		/* what failed to close in order is opened as after a crash */
		*stopped = !run_step(&steps[i]);
		check_state(&steps[i]);
	}
	reached = count >= k;
	reopen(m, &steps[i - 1]);
	env_mem_free(m);
	return reached;
}

static void test_allocation_k_fails(void **state)
{
	struct rnd r = rnd_of(1);
	uint64_t k = 1, stops = 0;
	bool stopped;

	(void)state;
	rnd_fill(&r, data, sizeof data);
	for (; one(k, &stopped); k++)
		stops += stopped;
	print_message("%llu allocations, %llu stopped the store\n", (unsigned long long)k - 1,
		      (unsigned long long)stops);
	assert_true(k > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allocation_k_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
