#include "tests/lib/work.h"

#include "engine/base/assert.h"
#include "engine/store_int.h"
#include "tests/lib/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool work_wrong(struct work *w, const char *format, ...)
{
	va_list args;

	if (w->wrong)
		return false;
	w->wrong = true;
	va_start(args, format);
	vsnprintf(w->why, sizeof w->why, format, args);
	va_end(args);
	return false;
}

/* --- the process and its store --- */

static enum vs_err open_store(struct work *w, bool create)
{
	struct store_config c = {.env = env_mem_env(w->m),
				 .cache_bytes = WORK_CACHE,
				 .chunk_bytes = WORK_CHUNK,
				 .segment_bytes = WORK_SEGMENT,
				 .create = create};

	vs_assert(!w->s);
	w->stopped = VS_OK;
	return store_open(&c, &w->report, &w->s);
}

struct work *work_new(uint64_t seed)
{
	struct work *w = calloc(1, sizeof *w);
	struct model loaded = {0};
	enum vs_err err;

	vs_assert(w);
	w->m = env_mem_new(seed);
	w->rnd = rnd_of(seed);
	w->clock = 1000;
	model_init(&w->now);
	err = open_store(w, true);
	if (!err)
		err = object_format(w->s, 1, 2, 0755);
	if (!err)
		err = model_load(&loaded, w->s);
	vs_assert(!err);
	w->now = loaded;
	w->synced = w->acked = store_last_index(w->s);
	work_note(w, w->acked, false);
	return w;
}

struct work *work_fork(const struct work *from)
{
	struct work *w = malloc(sizeof *w);

	vs_assert(w);
	*w = *from;
	w->m = env_mem_clone(from->m);
	w->s = NULL;
	model_init(&w->now);
	w->step = malloc(from->step_cap * sizeof *w->step);
	vs_assert(w->step);
	memcpy(w->step, from->step, from->steps * sizeof *w->step);
	return w;
}

void work_kill(struct work *w)
{
	if (!w->s)
		return;
	/* closing must not write any more: the process is gone */
	env_mem_fail_mask(w->m, ENV_MEM_CHANGES | ENV_MEM_READ);
	env_mem_fail_at(w->m, 1, ENV_MEM_FAIL_POWER);
	store_stop(w->s, VS_ERR_STOPPED);
	store_close(w->s);
	w->s = NULL;
}

void work_crash(struct work *w, enum env_mem_crash mode, uint64_t seed)
{
	work_kill(w);
	env_mem_crash(w->m, mode, seed);
	env_mem_fail_mask(w->m, ENV_MEM_CHANGES);
}

void work_free(struct work *w)
{
	work_kill(w);
	model_fini(&w->now);
	env_mem_free(w->m);
	free(w->step);
	free(w);
}

enum vs_err work_close(struct work *w)
{
	enum vs_err err = store_close(w->s);

	w->s = NULL;
	if (!err)
		w->synced = w->acked;
	return err;
}

/* --- what may come back --- */

void work_note(struct work *w, uint64_t index, bool maybe)
{
	if (w->steps == w->step_cap) {
		w->step_cap = w->step_cap ? w->step_cap * 2 : 64;
		w->step = realloc(w->step, w->step_cap * sizeof *w->step);
		vs_assert(w->step);
	}
	vs_assert(!w->steps || w->step[w->steps - 1].index < index);
	w->step[w->steps++] = (struct work_step){index, model_digest(&w->now), maybe};
}

/* The step the store must show, by its digest; -1: none fits. */
static int32_t find_step(struct work *w, bool exact, uint64_t last, uint64_t digest)
{
	int32_t i = (int32_t)w->steps - 1;

	while (i > 0 && w->step[i].index > last)
		i--;
	while (i >= 0) {
		/* a state that holds until behind what was synced is too old */
		if (i + 1 < (int32_t)w->steps && w->step[i + 1].index <= w->synced &&
		    !w->step[i + 1].maybe)
			return -1;
		if (w->step[i].digest == digest)
			return i;
		if (exact && !w->step[i].maybe)
			return -1;
		i--;
	}
	return -1;
}

bool work_open(struct work *w, bool exact, enum vs_err *err)
{
	struct model have;
	uint64_t last;
	int32_t i;

	*err = open_store(w, false);
	if (*err)
		return true;
	/* the last entry is the new term's */
	last = store_last_index(w->s) - 1;
	if (last < w->synced)
		return work_wrong(w, "recovered to %llu, synced was %llu", (unsigned long long)last,
				  (unsigned long long)w->synced);
	*err = model_load(&have, w->s);
	if (*err) {
		model_fini(&have);
		return true;
	}
	i = find_step(w, exact, last, model_digest(&have));
	if (i < 0) {
		if (w->now.objects)
			model_diff(&w->now, &have);
		model_fini(&have);
		return work_wrong(w, "recovered to %llu: not the state of any allowed prefix",
				  (unsigned long long)last);
	}
	model_fini(&w->now);
	w->now = have;
	w->steps = (uint32_t)i + 1;
	/* what opening found is durable: it was synced with the new term */
	w->acked = w->synced = last + 1;
	return verify_model(&w->now, w->why, sizeof w->why) || work_wrong(w, "%s", w->why);
}

/* --- proposing --- */

enum vs_err work_ids(struct work *w, uint32_t count, uint64_t *first)
{
	enum vs_err err = store_new_ids(w->s, count, first);

	if (err)
		return err;
	if (*first <= w->id_max)
		work_wrong(w, "id %llu given again", (unsigned long long)*first);
	w->id_max = *first + count - 1;
	return VS_OK;
}

/* Remember an error that ends the process. */
static enum vs_err noted(struct work *w, enum vs_err err)
{
	if (vs_err_class(err) == VS_CLASS_FATAL && err != VS_ERR_IO_READ && !w->stopped)
		w->stopped = err;
	return err;
}

/* The store acknowledged something, or not: after it stopped it must not. */
static enum vs_err answered(struct work *w, const char *what, enum vs_err err)
{
	if (!err && w->stopped)
		work_wrong(w, "%s acknowledged after %s", what, vs_err_name(w->stopped));
	return noted(w, err);
}

bool work_propose(struct work *w, struct txn *t, enum vs_err *err)
{
	struct store_result res = {0, 0};

	if (!*err) {
		*err = answered(w, "propose", store_propose(w->s, t, &res));
		if (!*err)
			w->acked = res.index;
	}
	w->index = res.index;
	txn_fini(t);
	return res.index != 0;
}

static enum vs_err sync_now(struct work *w)
{
	uint64_t index = store_last_index(w->s);
	enum vs_err err = store_sync(w->s, index);

	if (index > w->synced)
		err = answered(w, "sync", err);

	if (!err && index > w->synced)
		w->synced = index;
	return err;
}

static enum vs_err checkpoint_now(struct work *w)
{
	uint64_t acked = w->acked;
	enum vs_err err = answered(w, "checkpoint", store_checkpoint(w->s, NULL));

	if (!err && acked > w->synced)
		w->synced = acked;
	return err;
}

static enum vs_err gc_step(struct work *w)
{
	uint64_t contents = 0, bytes = 0;
	bool more;

	return noted(w, object_gc_step(w->s, &more, &contents, &bytes));
}

static enum vs_err gc(struct work *w)
{
	struct store_gc_result r;
	enum vs_err err = noted(w, store_gc(w->s, NULL, &r));

	if (!err && r.leaked_chunks)
		work_wrong(w, "%llu chunks leaked", (unsigned long long)r.leaked_chunks);
	return err;
}

static enum vs_err background(struct work *w, enum work_op op)
{
	uint64_t a = 0, b = 0;
	enum vs_err err;

	switch (op) {
	case WORK_SYNC:
		return sync_now(w);
	case WORK_CHECKPOINT:
		return checkpoint_now(w);
	case WORK_GC_STEP:
		return gc_step(w);
	case WORK_GC:
		return gc(w);
	case WORK_CLEAN:
		err = store_clean_step(w->s, true, &a, &b);
		return noted(w, store_judge(w->s, err));
	case WORK_IDS:
		return work_ids(w, 40000, &a);
	default:
		for (int i = 0; i < 20 && store_maintain(w->s); i++)
			;
		return VS_OK;
	}
}

enum vs_err work_do(struct work *w, enum work_op op)
{
	uint64_t before = w->acked;
	enum vs_err err;

	w->clock += 10;
	env_mem_advance(w->m, 1000000);
	if (op >= WORK_CHANGES)
		err = background(w, op);
	else if (op >= WORK_CREATE && op <= WORK_CLONE)
		err = work_change_file(w, op);
	else
		err = work_change(w, op);
	/* more changes at once than this small cache holds: nothing happened */
	if (err == VS_ERR_TOOBIG)
		err = VS_OK;
	w->done[op] += op >= WORK_CHANGES ? !err : w->acked > before;
	return err;
}

enum work_op work_random_op(struct work *w, uint32_t part)
{
	if (rnd_chance(&w->rnd, part, 8))
		return WORK_CHANGES + (enum work_op)rnd_below(&w->rnd, WORK_OPS - WORK_CHANGES);
	return (enum work_op)rnd_below(&w->rnd, WORK_CHANGES);
}

const char *work_name(enum work_op op)
{
	static const char *const name[WORK_OPS] = {
		"kv-put",      "kv-multi", "kv-del",     "mkdir",         "rmdir",       "create",
		"write",       "burst",    "commit",     "commit-inline", "overwrite",   "punch",
		"truncate",    "clone",    "link",       "unlink",        "unlink-open", "rename",
		"rename-over", "xattr",    "xattr-big",  "xattr-del",     "setattr",     "refused",
		"end-session", "sync",     "checkpoint", "gc-step",       "gc",          "clean",
		"maintain",    "ids"};

	return name[op];
}

uint64_t work_number(const char *name, uint64_t otherwise)
{
	const char *v = getenv(name);

	return v && *v ? strtoull(v, NULL, 10) : otherwise;
}

/* --- the full check --- */

static bool verify_now(struct work *w, const char *when)
{
	char why[200];
	struct model have;
	enum vs_err err;
	bool same;

	if (!verify_store(w->s, why, sizeof why))
		return work_wrong(w, "%s: %s", when, why);
	err = model_load(&have, w->s);
	same = !err && model_digest(&have) == model_digest(&w->now);
	if (!err && !same)
		model_diff(&w->now, &have);
	model_fini(&have);
	return same || work_wrong(w, "%s: not as the model says (%s)", when, vs_err_name(err));
}

static bool sweep_and_collect(struct work *w)
{
	struct store_gc_result r;
	struct store_stats st;
	enum vs_err err = object_sweep_sessions(w->s, 0);

	if (err)
		return work_wrong(w, "sweep: %s", vs_err_name(err));
	model_sweep(&w->now, 0);
	w->acked = store_last_index(w->s);
	if (w->step[w->steps - 1].index < w->acked)
		work_note(w, w->acked, false);
	err = store_gc(w->s, NULL, &r);
	if (err)
		return work_wrong(w, "gc: %s", vs_err_name(err));
	if (r.leaked_chunks)
		return work_wrong(w, "%llu chunks leaked", (unsigned long long)r.leaked_chunks);
	store_stats(w->s, &st);
	if (st.garbage_contents)
		return work_wrong(w, "garbage contents stay after gc");
	return verify_now(w, "after sweep and gc");
}

bool work_full_check(struct work *w)
{
	static const enum work_op more[] = {WORK_KV_PUT, WORK_CREATE, WORK_WRITE,
					    WORK_COMMIT, WORK_XATTR,  WORK_SYNC};
	enum vs_err err;

	if (!verify_now(w, "recovered") || !sweep_and_collect(w))
		return false;
	for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
		err = work_do(w, more[i]);
		if (err || w->wrong)
			return work_wrong(w, "%s after recovery: %s", work_name(more[i]),
					  vs_err_name(err));
	}
	err = work_close(w);
	if (err)
		return work_wrong(w, "close: %s", vs_err_name(err));
	if (!work_open(w, true, &err))
		return false;
	if (err)
		return work_wrong(w, "reopen: %s (%s)", vs_err_name(err), w->report.text);
	if (!w->report.clean)
		return work_wrong(w, "closed in order, opened as not clean");
	return verify_now(w, "reopened");
}
