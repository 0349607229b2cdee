/*
 * test_crash_enum: short workloads over the whole object layer, the power cut
 * at every single I/O, with every subset of the unsynced blocks where the set
 * is small and a sample where it is not; then recovery and the full check.
 *
 * What must hold is in work.h (a prefix that has everything synced) and
 * verify.h.  Shown here: F26 (no OK before the sync), F45 (blocks reordered),
 * F46 (torn tail), F47 and F48 (segments being made), F50 (recycled segments),
 * F66 (a second crash while recovering), F67 and F74 (around the checkpoint),
 * F81 and F83 (around the cleaner; E4), F85 (orphan chunks), F92 (unlinked files).
 *
 * VS_SEEDS multiplies the samples (default 1).
 */
#include "tests/lib/work.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ALL_BLOCKS 6u /* up to here every subset */
#define OPS_MAX 24
#define END WORK_OPS

struct plan {
	const char *name;
	enum work_op before[OPS_MAX], ops[OPS_MAX]; /* up to END */
};

static struct {
	const char *plan;
	uint64_t k, what;
	const char *step;
	uint64_t cases;
} at;

static bool bad(const struct work *w, enum vs_err err)
{
	print_error("%s, cut at I/O %llu, %s %#llx: %s %s\n", at.plan, (unsigned long long)at.k,
		    at.step, (unsigned long long)at.what, err ? vs_err_name(err) : "",
		    w->wrong ? w->why : w->report.text);
	return false;
}

/* Open what a crash left; now and then look at everything. */
static bool check(struct work *w, bool exact, bool full)
{
	enum vs_err err;

	at.cases++;
	if (!work_open(w, exact, &err) || err)
		return bad(w, err);
	if (full && !work_full_check(w))
		return bad(w, VS_OK);
	return true;
}

/* The power goes again at each I/O of the recovery. */
static bool crash_again(const struct work *from, enum env_mem_crash mode, uint64_t seed)
{
	for (uint64_t k = 1;; k++) {
		struct work *w = work_fork(from);
		enum vs_err err;
		bool ok, off;

		work_crash(w, mode, seed);
		env_mem_fail_at(w->m, k, ENV_MEM_FAIL_POWER);
		ok = work_open(w, false, &err);
		off = env_mem_is_off(w->m);
		w->wrong &= !off; /* the model could not be read */
		if (off) {
			at.step = "second crash";
			at.what = k;
			work_crash(w, k % 2 ? ENV_MEM_TORN : ENV_MEM_BLOCKS, seed + k);
			ok = check(w, false, k % 4 == 0);
		} else if (!ok || err) {
			ok = bad(w, err);
		}
		work_free(w);
		if (!ok || !off)
			return ok;
	}
}

/* Everything that can have become of the unsynced blocks of a cut. */
static bool outcomes(const struct work *from, uint64_t samples)
{
	static const enum env_mem_crash modes[] = {ENV_MEM_LOSE, ENV_MEM_KEEP, ENV_MEM_TORN,
						   ENV_MEM_BLOCKS};
	uint32_t blocks = env_mem_unsynced_blocks(from->m);
	uint64_t masks = blocks <= ALL_BLOCKS ? 1ull << blocks : 0;
	bool ok = true;

	for (uint64_t mask = 0; mask < masks && ok; mask++) {
		struct work *w = work_fork(from);

		at.step = "mask";
		at.what = mask;
		work_crash(w, ENV_MEM_MASK, mask);
		ok = check(w, true, mask + 1 == masks && at.k % 4 == 0);
		work_free(w);
	}
	for (uint64_t i = 0; i < samples + 2 && ok; i++) {
		struct work *w = work_fork(from);
		enum env_mem_crash mode = modes[i < 2 ? i : 2 + i % 2];

		at.step = "sample";
		at.what = at.k * 1000 + i;
		work_crash(w, mode, at.what);
		ok = check(w, true, i == 2);
		work_free(w);
	}
	return ok;
}

static void run_ops(struct work *w, const enum work_op *ops)
{
	for (uint32_t i = 0; ops[i] != END && !w->stopped && !w->wrong; i++)
		(void)!work_do(w, ops[i]);
}

/* False when the workload ended before I/O k. */
static bool cut_at(const struct work *base, const struct plan *p, uint64_t k, uint64_t samples,
		   bool *ok)
{
	struct work *w = work_fork(base);
	enum vs_err err;
	bool reached;

	at.k = k;
	at.step = "workload";
	at.what = 0;
	*ok = work_open(w, true, &err) && !err;
	if (*ok) {
		env_mem_fail_at(w->m, k, ENV_MEM_FAIL_POWER);
		run_ops(w, p->ops);
		if (!w->stopped && !w->wrong)
			(void)!work_close(w);
	}
	reached = env_mem_is_off(w->m);
	*ok = *ok && !w->wrong;
	if (!*ok)
		bad(w, err);
	work_kill(w);
	if (*ok && reached)
		*ok = outcomes(w, samples);
	if (*ok && reached && k % 5 == 0)
		*ok = crash_again(w, k % 2 ? ENV_MEM_TORN : ENV_MEM_KEEP, k);
	work_free(w);
	return reached;
}

static void enumerate(const struct plan *p, uint64_t seed, uint64_t samples)
{
	struct work *base = work_new(seed);
	bool ok;

	at.plan = p->name;
	at.cases = 0;
	run_ops(base, p->before);
	assert_false(base->wrong);
	assert_int_equal(work_close(base), VS_OK);
	for (uint64_t k = 1; cut_at(base, p, k, samples, &ok); k++)
		assert_true(ok);
	assert_true(ok);
	print_message("%s: %llu I/Os, %llu crashes\n", p->name, (unsigned long long)at.k - 1,
		      (unsigned long long)at.cases);
	work_free(base);
}

#define FILES WORK_CREATE, WORK_WRITE, WORK_COMMIT, WORK_CREATE, WORK_BURST, WORK_COMMIT

static const struct plan kv = {
	"kv",
	{WORK_KV_PUT, WORK_KV_PUT, END},
	{WORK_KV_PUT, WORK_SYNC, WORK_KV_MULTI, WORK_KV_DEL, WORK_KV_PUT, WORK_SYNC, WORK_IDS,
	 WORK_IDS, WORK_KV_MULTI, END},
};
static const struct plan replace = {
	"replace",
	{FILES, END},
	{WORK_CREATE, WORK_WRITE, WORK_WRITE, WORK_COMMIT, WORK_SYNC, WORK_WRITE, WORK_COMMIT,
	 WORK_COMMIT_INLINE, WORK_SYNC, WORK_WRITE, END},
};
static const struct plan in_place = {
	"in-place",
	{FILES, WORK_WRITE, WORK_COMMIT, END},
	{WORK_OVERWRITE, WORK_SYNC, WORK_OVERWRITE, WORK_PUNCH, WORK_TRUNCATE, WORK_SYNC,
	 WORK_CLONE, WORK_OVERWRITE, WORK_COMMIT, END},
};
static const struct plan names = {
	"names",
	{FILES, WORK_MKDIR, WORK_CREATE, WORK_COMMIT_INLINE, END},
	{WORK_MKDIR, WORK_LINK, WORK_RENAME, WORK_SYNC, WORK_RENAME_OVER, WORK_UNLINK_OPEN,
	 WORK_RMDIR, WORK_SETATTR, WORK_END_SESSION, WORK_UNLINK, WORK_SYNC, WORK_UNLINK, END},
};
static const struct plan xattrs = {
	"xattrs",
	{FILES, WORK_XATTR_BIG, END},
	{WORK_XATTR, WORK_XATTR_BIG, WORK_SYNC, WORK_XATTR_BIG, WORK_XATTR_DEL, WORK_UNLINK,
	 WORK_SYNC, END},
};
static const struct plan checkpoint = {
	"checkpoint",
	{FILES, WORK_KV_MULTI, WORK_KV_MULTI, END},
	{WORK_KV_PUT, WORK_CHECKPOINT, WORK_KV_MULTI, WORK_CREATE, WORK_CHECKPOINT, WORK_CHECKPOINT,
	 WORK_KV_DEL, WORK_SYNC, END},
};
static const struct plan garbage = {
	"garbage",
	{FILES, WORK_BURST, WORK_COMMIT, WORK_CHECKPOINT, END},
	{WORK_COMMIT_INLINE, WORK_UNLINK, WORK_GC_STEP, WORK_UNLINK, WORK_GC_STEP, WORK_END_SESSION,
	 WORK_GC, END},
};
static const struct plan clean = {
	"clean",
	{FILES, WORK_WRITE, WORK_WRITE, WORK_WRITE, WORK_WRITE, WORK_WRITE, WORK_COMMIT,
	 WORK_COMMIT, WORK_COMMIT, WORK_COMMIT, WORK_CHECKPOINT, END},
	{WORK_CLEAN, WORK_WRITE, WORK_CLEAN, WORK_CHECKPOINT, WORK_CLEAN, WORK_KV_PUT,
	 WORK_MAINTAIN, WORK_SYNC, END},
};
/* fills segments, so that the log rolls, prepares and recycles */
static const struct plan roll = {
	"roll",
	{FILES, END},
	{WORK_WRITE, WORK_WRITE, WORK_WRITE, WORK_SYNC, WORK_WRITE, WORK_WRITE, WORK_WRITE,
	 WORK_WRITE, WORK_CHECKPOINT, WORK_WRITE, WORK_WRITE, WORK_WRITE, WORK_SYNC, WORK_WRITE,
	 WORK_WRITE, END},
};

#define SHOW(test, plan_, samples)                                                                \
	static void test(void **state)                                                            \
	{                                                                                         \
		(void)state;                                                                      \
		for (uint64_t seed = 1; seed <= work_number("VS_SEEDS", 1); seed++)               \
			enumerate(&(plan_), work_number("VS_SEED_FIRST", 1) + seed - 1, samples); \
	}

SHOW(test_F26_F46_kv, kv, 2)
SHOW(test_F45_F85_replace, replace, 2)
SHOW(test_F46_in_place, in_place, 2)
SHOW(test_F92_names, names, 2)
SHOW(test_F46_xattrs, xattrs, 2)
SHOW(test_F66_F67_F74_checkpoint, checkpoint, 2)
SHOW(test_F85_garbage, garbage, 2)
SHOW(test_F78_F79_F81_F83_clean, clean, 2)
SHOW(test_F47_F48_F50_roll, roll, 2)

/* Creation of a store: a crash anywhere leaves a store or a directory to create one in. */
static void test_F48_F67_create(void **state)
{
	bool off = true;

	(void)state;
	at.plan = "create";
	for (uint64_t k = 1; off; k++) {
		for (uint64_t i = 0; i < 6; i++) {
			struct env_mem *m = env_mem_new(k);
			struct store_config c = {.env = env_mem_env(m),
						 .cache_bytes = WORK_CACHE,
						 .chunk_bytes = WORK_CHUNK,
						 .segment_bytes = WORK_SEGMENT,
						 .create = true};
			struct store_report r;
			struct store *s = NULL;
			enum vs_err err;

			env_mem_fail_at(m, k, ENV_MEM_FAIL_POWER);
			err = store_open(&c, &r, &s);
			off = env_mem_is_off(m);
			if (!err)
				store_close(s);
			env_mem_crash(m, i < 2 ? (enum env_mem_crash)i : ENV_MEM_TORN - i % 2, i);
			err = store_open(&c, &r, &s);
			if (err)
				print_error("cut at I/O %llu, outcome %llu: %s\n",
					    (unsigned long long)k, (unsigned long long)i, r.text);
			assert_int_equal(err, VS_OK);
			assert_int_equal(object_format(s, 0, 0, 0755), VS_OK);
			assert_int_equal(store_close(s), VS_OK);
			env_mem_free(m);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_F48_F67_create),
		cmocka_unit_test(test_F26_F46_kv),
		cmocka_unit_test(test_F45_F85_replace),
		cmocka_unit_test(test_F46_in_place),
		cmocka_unit_test(test_F92_names),
		cmocka_unit_test(test_F46_xattrs),
		cmocka_unit_test(test_F66_F67_F74_checkpoint),
		cmocka_unit_test(test_F85_garbage),
		cmocka_unit_test(test_F78_F79_F81_F83_clean),
		cmocka_unit_test(test_F47_F48_F50_roll),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
