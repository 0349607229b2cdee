/*
 * test_flip: bytes of a small store at rest are flipped one after another, in
 * every file; files are cut and removed.
 *
 * Then opening gives an error with a sentence, or every read gives the right
 * bytes or an error; scrub reports what reads met; nothing that verifies is
 * thrown away: with the damage undone the store opens and has everything.
 * Damage below the synced end of the log is named, the torn tail is not (F46,
 * F53, F59, F60); superblocks have copies (F61); lost blocks show (F62);
 * missing files are noticed (F52, F82).
 *
 * By default a sample of the bytes of each file; all of them with VS_FLIP_ALL=1.
 */
#include "tests/lib/work.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FILES_MAX 64u
#ifdef __SANITIZE_ADDRESS__
#define SAMPLE 50u /* flips per file: each opens a store */
#else
#define SAMPLE 300u
#endif

struct names {
	char name[FILES_MAX][ENV_MEM_NAME_MAX + 1];
	uint64_t size[FILES_MAX];
	uint32_t count;
};

static struct {
	const char *file;
	uint64_t off;
	uint32_t bit;
	/* what came of it */
	uint64_t opened, refused, read_errors, harmless;
} at;

static void wrong(const struct work *w, const char *what, enum vs_err err)
{
	print_error("%s, byte %llu ^ %#x: %s: %s %s %s\n", at.file, (unsigned long long)at.off,
		    at.bit, what, err ? vs_err_name(err) : "", w->wrong ? w->why : "",
		    w->report.text);
	fail();
}

static void add_name(void *arg, const char *name, uint64_t size)
{
	struct names *n = arg;

	assert_true(n->count < FILES_MAX);
	snprintf(n->name[n->count], sizeof n->name[0], "%s", name);
	n->size[n->count++] = size;
}

/* Errors by which a store may say that bytes are damaged. */
static bool names_damage(enum vs_err err)
{
	/* _CORRUPT_VALUE would be bytes that verified and make no sense */
	return (vs_err_class(err) == VS_CLASS_DAMAGE && err != VS_ERR_CORRUPT_VALUE) ||
	       err == VS_ERR_IO_READ;
}

/* Look at a damaged store; true: it refused to open or some read failed. */
static bool look(struct work *w)
{
	struct store_scrub_result scrub;
	enum vs_err err;

	if (!work_open(w, true, &err))
		wrong(w, "wrong data", err);
	if (err && !w->s) {
		if (!w->report.text[0] || !(names_damage(err) || err == VS_ERR_NEWER_FORMAT))
			wrong(w, "refused without a reason", err);
		at.refused++;
		return true;
	}
	at.opened++;
	if (err && !names_damage(err))
		wrong(w, "read", err);
	at.read_errors += err != VS_OK;
	if (err) {
		enum vs_err scrub_err = store_scrub(w->s, NULL, &scrub);

		if (!scrub_err && !scrub.errors)
			wrong(w, "scrub does not report what a read met", err);
	}
	return err != VS_OK;
}

/* Damage one byte, look, and undo it. */
static void flip(const struct work *base, const char *file, uint64_t off, uint8_t bit)
{
	struct work *w = work_fork(base), *again;
	bool damaged;
	enum vs_err err;

	at.file = file;
	at.off = off;
	at.bit = bit;
	assert_true(env_mem_flip(w->m, file, off, bit));
	damaged = look(w);
	at.harmless += !damaged;
	if (damaged && (at.refused + at.read_errors) % 4 == 0) {
		/* nothing was thrown away */
		bool closed = !w->s;

		work_crash(w, ENV_MEM_KEEP, 0);
		assert_true(env_mem_flip(w->m, file, off, bit));
		again = work_fork(w);
		if (!closed) /* a term began: its records may be all that is new */
			again->steps = base->steps;
		if (!work_open(again, true, &err) || err)
			wrong(again, "damage undone", err);
		work_free(again);
	}
	work_free(w);
}

static void flip_file(const struct work *base, const char *file, uint64_t size, struct rnd *r)
{
	uint8_t *bytes = malloc(size + 1);
	uint64_t used = 0, step;
	bool all = getenv("VS_FLIP_ALL") != NULL;

	assert_non_null(bytes);
	assert_int_equal(env_mem_peek(base->m, file, bytes, size, 0), size);
	for (uint64_t i = 0; i < size; i++)
		used += bytes[i] != 0;
	step = all ? 1 : used / SAMPLE + 1;
	for (uint64_t i = 0, n = rnd_below(r, step); i < size; i++)
		if (bytes[i] && n++ % step == 0)
			flip(base, file, i, (uint8_t)(1u << rnd_below(r, 8)));
	/* zeros: padding, free pages, what an extent of zeros would be */
	for (uint64_t i = 0; i < (all ? size : SAMPLE / 8) && size; i++) {
		uint64_t off = all ? i : rnd_below(r, size);

		if (!bytes[off])
			flip(base, file, off, (uint8_t)(1u << rnd_below(r, 8)));
	}
	free(bytes);
}

static void flip_all(const struct work *base, uint64_t seed)
{
	struct names n = {.count = 0};
	struct rnd r = rnd_of(seed);

	memset(&at, 0, sizeof at);
	env_mem_each_file(base->m, add_name, &n);
	for (uint32_t i = 0; i < n.count; i++)
		flip_file(base, n.name[i], n.size[i], &r);
	print_message("%llu refused, %llu opened (%llu with read errors), %llu without effect\n",
		      (unsigned long long)at.refused, (unsigned long long)at.opened,
		      (unsigned long long)at.read_errors, (unsigned long long)at.harmless);
	assert_true(at.read_errors && at.harmless);
}

static const enum work_op fill[] = {WORK_CREATE,        WORK_WRITE, WORK_COMMIT,
				    WORK_CREATE,        WORK_BURST, WORK_COMMIT,
				    WORK_KV_PUT,        WORK_MKDIR, WORK_XATTR_BIG,
				    WORK_KV_MULTI,      WORK_XATTR, WORK_KV_MULTI,
				    WORK_CREATE,        WORK_WRITE, WORK_CHECKPOINT,
				    WORK_COMMIT_INLINE, WORK_CLONE, WORK_OVERWRITE,
				    WORK_XATTR_BIG};

static struct work *filled(uint64_t seed)
{
	struct work *w = work_new(seed);

	for (size_t i = 0; i < sizeof fill / sizeof *fill; i++)
		assert_int_equal(work_do(w, fill[i]), VS_OK);
	assert_false(w->wrong);
	return w;
}

static void test_F59_F61_F62_closed_store(void **state)
{
	struct work *w = filled(1);

	(void)state;
	assert_int_equal(work_close(w), VS_OK);
	flip_all(w, 5);
	work_free(w);
}

/* Killed with a tail of records behind the checkpoint. */
static struct work *with_tail(uint64_t seed)
{
	struct work *w = filled(seed);
	uint64_t vouched;

	assert_int_equal(work_do(w, WORK_SYNC), VS_OK);
	vouched = w->synced;
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(work_do(w, fill[i]), VS_OK);
	assert_int_equal(work_do(w, WORK_SYNC), VS_OK);
	/* only what a later record vouches for can be told from a torn tail (F60) */
	w->synced = vouched;
	work_crash(w, ENV_MEM_KEEP, 0);
	return w;
}

static void test_F46_F53_F59_F60_log_tail(void **state)
{
	struct work *w = with_tail(2);

	(void)state;
	flip_all(w, 6);
	work_free(w);
}

/* The newest superblock is gone, both copies; and all four. */
static void test_F61_superblocks_lost(void **state)
{
	struct work *base = filled(3), *w;
	uint8_t none[4096] = {0};
	enum vs_err err;

	(void)state;
	assert_int_equal(work_close(base), VS_OK);
	for (uint32_t lost = 1; lost < 16; lost++) {
		w = work_fork(base);
		at.file = "super";
		at.off = lost;
		for (uint32_t i = 0; i < 4; i++)
			if (lost & 1u << i)
				assert_true(env_mem_poke(w->m, "super", none, sizeof none,
							 i * sizeof none));
		/* an older checkpoint may do: then everything is there all the same */
		if (!work_open(w, true, &err))
			wrong(w, "wrong data", err);
		if (err && (!w->report.text[0] || !names_damage(err)))
			wrong(w, "refused without a reason", err);
		/* one copy of each generation is enough */
		if ((lost & 5) != 5 && (lost & 10) != 10)
			assert_int_equal(err, VS_OK);
		if (lost == 15)
			assert_int_equal(err, VS_ERR_CORRUPT_SUPER);
		work_free(w);
	}
	work_free(base);
}

enum harm { REMOVE, EMPTY, HALVE, HARMS };

static void do_harm(struct work *w, const char *name, uint64_t size, enum harm harm)
{
	struct env *env = env_mem_env(w->m);
	struct env_file *f;

	if (harm == REMOVE) {
		assert_int_equal(env->ops->unlink(env, name), VS_OK);
	} else {
		assert_int_equal(env->ops->open(env, name, ENV_WRITE, &f), VS_OK);
		assert_int_equal(env->ops->truncate(f, harm == EMPTY ? 0 : size / 2), VS_OK);
		assert_int_equal(env->ops->sync(f), VS_OK);
		env->ops->close(f);
	}
}

static void each_file_harmed(struct work *base)
{
	struct names n = {.count = 0};

	env_mem_each_file(base->m, add_name, &n);
	for (uint32_t i = 0; i < n.count; i++)
		for (int h = 0; h < HARMS; h++) {
			struct work *w = work_fork(base);

			at.file = n.name[i];
			at.off = (uint64_t)h;
			do_harm(w, n.name[i], n.size[i], (enum harm)h);
			(void)look(w);
			work_free(w);
		}
	work_free(base);
}

static void test_F52_F82_files_missing_or_short(void **state)
{
	struct work *w = filled(4);

	(void)state;
	assert_int_equal(work_close(w), VS_OK);
	each_file_harmed(w);
	each_file_harmed(with_tail(4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_F59_F61_F62_closed_store),
		cmocka_unit_test(test_F46_F53_F59_F60_log_tail),
		cmocka_unit_test(test_F61_superblocks_lost),
		cmocka_unit_test(test_F52_F82_files_missing_or_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
