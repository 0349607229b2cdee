/*
 * Checkpoints.
 *
 * Order, and the crash each step survives:
 *   1. under the lock: freeze the tree, copy the segment table and counters,
 *      note the log position: one consistent moment;
 *   2. sync the log up to that moment and the value segments: the tree never
 *      refers to data that is not durable (F83);
 *   3. write and sync the frozen pages, then the segment table: to places that
 *      the last checkpoint does not use, so a crash here leaves it whole;
 *   4. write and sync the superblock: the switch (a torn one leaves the other
 *      generation);
 *   5. give back pages and segments that only older checkpoints used (F81).
 */
#include "engine/store_int.h"

#include "engine/base/assert.h"

#include <stdlib.h>

#define DUE_META_BYTES (24u << 20)
#define DUE_RECORDS 400000u
#define DUE_SEGMENTS 8u
#define DUE_AGE_NS (30ull * 1000000000u)

void store_ckpt_acquire(struct store *s)
{
	mutex_lock(&s->ckpt_mutex);
	while (s->ckpt_busy)
		cond_wait(&s->ckpt_cond, &s->ckpt_mutex);
	s->ckpt_busy = true;
	mutex_unlock(&s->ckpt_mutex);
}

void store_ckpt_release(struct store *s)
{
	mutex_lock(&s->ckpt_mutex);
	vs_assert(s->ckpt_busy);
	s->ckpt_busy = false;
	cond_broadcast(&s->ckpt_cond);
	mutex_unlock(&s->ckpt_mutex);
}

static uint64_t checkpoints_done(struct store *s)
{
	uint64_t n;

	mutex_lock(&s->ckpt_mutex);
	n = s->ckpt_done;
	mutex_unlock(&s->ckpt_mutex);
	return n;
}

enum vs_err store_ckpt_relieve(struct store *s)
{
	uint64_t before = checkpoints_done(s);
	enum vs_err err = VS_OK;

	store_ckpt_acquire(s);
	/* whoever held the flag may have done it for us */
	if (checkpoints_done(s) == before)
		err = store_ckpt_locked(s, false, NULL);
	store_ckpt_release(s);
	return err;
}

/* Whether a segment is of no use once a checkpoint that covers index is durable. */
static bool is_dead(const struct log_segment *g, uint64_t index)
{
	return (g->state == LOG_SEG_SEALED || g->state == LOG_SEG_ADOPTED) && !g->live_count &&
	       g->last_index <= index;
}

struct frozen {
	struct superblock sb;
	struct log_segment *segs; /* all at the moment of the freeze */
	uint32_t count, cap;
	uint64_t records, meta, bytes;
};

static enum vs_err grow_segs(struct frozen *f)
{
	uint32_t cap = f->cap ? f->cap * 2 : 256;
	struct log_segment *p = realloc(f->segs, cap * sizeof *p);

	if (!p)
		return VS_ERR_NOMEM;
	f->segs = p;
	f->cap = cap;
	return VS_OK;
}

/*
 * The log names the index at which replicas checkpoint.  A group of one can do
 * without when no room is left for the record.
 */
static void order_mark(struct store *s) REQUIRES(s->lock)
{
	struct log_append a = {.type = LOG_CHECKPOINT, .term = s->term};
	struct log_place place;
	uint64_t index;

	if (log_room(s->log, 0, 0, true) || log_order(s->log, &a, &index, &place))
		return;
	vs_assert(index == s->applied + 1);
	s->applied = index;
}

/* Step 1; VS_ERR_RANGE when f->segs is too small (nothing happened). */
static enum vs_err freeze(struct store *s, bool clean, struct frozen *f) REQUIRES(s->lock)
{
	f->count = log_segments(s->log, f->segs, f->cap);
	if (f->count > f->cap)
		return VS_ERR_RANGE;
	order_mark(s);
	/* the mark may have rolled the log into its next segment */
	f->count = log_segments(s->log, f->segs, f->cap);
	if (f->count > f->cap)
		return VS_ERR_RANGE;
	f->sb = s->super_now;
	tree_freeze(s->tree, &f->sb.tree);
	f->sb.generation = f->sb.tree.gen;
	f->sb.applied_index = s->applied;
	f->sb.term = s->term;
	f->sb.clean = clean;
	f->sb.counters = s->counters;
	log_position_now(s->log, &f->sb.log);
	f->records = s->since_records;
	f->meta = s->since_meta;
	f->bytes = s->since_bytes;
	return VS_OK;
}

static enum vs_err write_segments(struct store *s, struct frozen *f)
{
	struct log_segment *live = malloc((f->count + 1) * sizeof *live);
	uint32_t n = 0;
	enum vs_err err;

	if (!live)
		return VS_ERR_NOMEM;
	/* what this checkpoint does not need is free for whoever opens it */
	for (uint32_t i = 0; i < f->count; i++)
		if (!is_dead(&f->segs[i], f->sb.applied_index))
			live[n++] = f->segs[i];
	err = segtable_write(s->env, f->sb.generation, live, n, &f->sb.segments);
	free(live);
	return err;
}

/* Steps 2 to 4 (E4). */
static enum vs_err make_durable(struct store *s, struct frozen *f, uint64_t *bytes)
{
	enum vs_err err = log_sync(s->log, f->sb.applied_index);

	if (!err)
		err = log_value_sync(s->log);
	if (!err)
		err = tree_write_frozen(s->tree, bytes);
	if (!err)
		err = write_segments(s, f);
	f->sb.checkpoint_ns = s->env->ops->now_real_ns(s->env);
	if (!err)
		err = superblock_write(s->env, s->super, &f->sb);
	return err;
}

/* Step 5. */
static uint64_t give_back(struct store *s, const struct frozen *f)
{
	uint64_t freed = 0;
	bool pinned;

	rwlock_wrlock(&s->lock);
	tree_freeze_done(s->tree);
	s->since_records -= f->records;
	s->since_meta -= f->meta;
	s->since_bytes -= f->bytes;
	pinned = s->pins > 0;
	rwlock_unlock(&s->lock);
	log_adopt(s->log, f->sb.applied_index);
	/* a pinned root of an older checkpoint may still be read: later, then */
	for (uint32_t i = 0; i < f->count && !pinned; i++) {
		if (!is_dead(&f->segs[i], f->sb.applied_index))
			continue;
		if (log_free(s->log, f->segs[i].id) == VS_OK)
			freed += s->segment_bytes;
	}
	return freed;
}

enum vs_err store_ckpt_locked(struct store *s, bool clean, struct store_checkpoint_result *out)
{
	uint64_t start = s->env->ops->now_mono_ns(s->env), bytes = 0, freed;
	struct frozen f = {.segs = NULL};
	enum vs_err err = grow_segs(&f);

	if (atomic_load(&s->stopped))
		err = VS_ERR_STOPPED;
	while (!err) {
		rwlock_wrlock(&s->lock);
		err = freeze(s, clean, &f);
		rwlock_unlock(&s->lock);
		if (err != VS_ERR_RANGE)
			break;
		err = grow_segs(&f);
	}
	if (err) {
		free(f.segs);
		return err;
	}
	err = make_durable(s, &f, &bytes);
	if (err) {
		/* E3: frozen pages can be neither rewritten nor forgotten: start over from disk */
		free(f.segs);
		return store_stop(s, err);
	}
	s->super_now = f.sb;
	atomic_store(&s->ckpt_index, f.sb.applied_index);
	atomic_store(&s->ckpt_generation, f.sb.generation);
	freed = give_back(s, &f);
	free(f.segs);
	atomic_store(&s->ckpt_at_ns, s->env->ops->now_mono_ns(s->env));
	atomic_store(&s->ckpt_ns, atomic_load(&s->ckpt_at_ns) - start);
	mutex_lock(&s->ckpt_mutex);
	s->ckpt_done++;
	mutex_unlock(&s->ckpt_mutex);
	if (out)
		*out = (struct store_checkpoint_result){f.sb.applied_index, bytes, freed,
							atomic_load(&s->ckpt_ns)};
	return VS_OK;
}

enum vs_err store_checkpoint(struct store *s, struct store_checkpoint_result *out)
{
	enum vs_err err;

	store_ckpt_acquire(s);
	err = store_ckpt_locked(s, false, out);
	store_ckpt_release(s);
	return err;
}

bool store_ckpt_due(struct store *s)
{
	uint64_t age = s->env->ops->now_mono_ns(s->env) - atomic_load(&s->ckpt_at_ns);
	struct tree_stats tree;
	bool due;

	rwlock_rdlock(&s->lock);
	tree_stats(s->tree, &tree);
	due = tree.dirty_pages > tree.frames / 4 || s->since_meta > DUE_META_BYTES ||
	      s->since_records > DUE_RECORDS ||
	      s->since_bytes > (uint64_t)DUE_SEGMENTS * s->segment_bytes ||
	      (s->since_records && age > DUE_AGE_NS);
	rwlock_unlock(&s->lock);
	return due;
}
