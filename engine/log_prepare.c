#include "engine/log_int.h"

#include <stdlib.h>

#define ZERO_STEP (1u << 20) /* bytes written at once when a file is filled */

enum vs_err segment_write_header(struct log *l, struct segment *s)
{
	struct record_segment h = {
		.kind = s->info.kind,
		.cluster_id = l->config.cluster_id,
		.id = s->info.id,
		.bytes = s->bytes,
	};
	uint8_t block[RECORD_BLOCK];
	enum vs_err err;

	record_segment_encode(&h, block);
	err = env_pwrite(l->env, s->file, block, sizeof block, 0);
	/* before any record comes here: a crash must not leave records under the old id (E23) */
	return err ? err : l->env->ops->sync(s->file);
}

static enum vs_err fill(struct log *l, struct segment *s)
{
	uint8_t *zeros = calloc(1, ZERO_STEP);
	enum vs_err err = zeros ? VS_OK : VS_ERR_NOMEM;

	for (uint32_t off = 0, n; !err && off < s->bytes; off += n) {
		n = s->bytes - off < ZERO_STEP ? s->bytes - off : ZERO_STEP;
		err = env_pwrite(l->env, s->file, zeros, n, off);
	}
	free(zeros);
	return err;
}

/* Create the file of s, which nobody else knows yet; durable, name included. */
static enum vs_err create(struct log *l, struct segment *s, bool zero)
{
	const struct env_ops *ops = l->env->ops;
	enum vs_err err;
	char name[16];

	segment_name(s->info.slot, name);
	err = ops->open(l->env, name, ENV_WRITE | ENV_CREATE | ENV_EXCL, &s->file);
	if (err)
		return err;
	err = ops->allocate(s->file, 0, s->bytes);
	if (!err && zero)
		err = fill(l, s);
	/* size and zeros first: a durable header says that the file is ready (F48) */
	if (!err)
		err = ops->sync(s->file);
	if (!err)
		err = segment_write_header(l, s);
	if (!err)
		err = ops->dir_sync(l->env, LOG_DIR); /* F47 */
	if (err) {
		ops->close(s->file);
		s->file = NULL;
		/* what cannot be removed is found as garbage at the next start */
		(void)!ops->unlink(l->env, name);
	}
	return err;
}

/* Make a free segment's file fit and give it its new header. */
static enum vs_err recycle(struct log *l, struct segment *s)
{
	const struct env_ops *ops = l->env->ops;
	enum vs_err err;
	uint64_t size;

	err = ops->size(s->file, &size);
	if (!err && size < s->bytes)
		err = ops->allocate(s->file, 0, s->bytes);
	else if (!err && size > s->bytes)
		err = ops->truncate(s->file, s->bytes);
	return err ? err : segment_write_header(l, s);
}

static void announce(struct log *l, struct segment *s, enum vs_err err, bool fresh)
	REQUIRES(l->mutex)
{
	if (fresh && s->file)
		l->open_count++;
	if (!fresh && s->pins)
		segment_unpin(l, s);
	if (!err) {
		s->info.state = LOG_SEG_SPARE;
		segment_insert(l, s);
	} else if (fresh) {
		segment_release(l, s);
	} else {
		segment_put_free(l, s);
	}
	/* bytes written since the last good sync are lost for good then (F54) */
	if (err == VS_ERR_IO_WRITE || err == VS_ERR_IO_SYNC)
		log_stop(l, err);
}

enum vs_err prepare_spare(struct log *l)
{
	struct segment *s;
	bool fresh, zero = l->small_syncs;
	enum vs_err err;

	err = segment_reserve(l);
	if (err)
		return err;
	s = segment_take_free(l, false);
	fresh = !s;
	if (fresh) {
		s = calloc(1, sizeof *s);
		if (!s)
			return VS_ERR_NOMEM;
		s->info.slot = l->next_slot++;
	} else {
		vs_assert(!s->pins && s->info.state == LOG_SEG_FREE); /* E26 */
		err = segment_pin(l, s);
	}
	s->info = (struct log_segment){
		.id = l->next_id++,
		.slot = s->info.slot,
		.kind = LOG_KIND_LOG,
		.state = LOG_SEG_FREE,
		.used_bytes = RECORD_BLOCK,
	};
	s->bytes = l->config.segment_bytes;
	s->cut = 0;
	if (!err) {
		mutex_unlock(&l->mutex);
		err = fresh ? create(l, s, zero) : recycle(l, s);
		mutex_lock(&l->mutex);
	}
	announce(l, s, err, fresh);
	return err;
}

/* Delete free segments beyond keep_free. */
static enum vs_err trim(struct log *l) REQUIRES(l->mutex)
{
	enum vs_err err = VS_OK;
	struct segment *s;
	char name[16];

	while (!err && l->free_count > l->config.keep_free && (s = segment_take_free(l, true))) {
		vs_assert(!s->pins && s->info.state == LOG_SEG_FREE); /* E26 */
		segment_name(s->info.slot, name);
		segment_release(l, s);
		mutex_unlock(&l->mutex);
		err = l->env->ops->unlink(l->env, name);
		mutex_lock(&l->mutex);
	}
	return err;
}

/* One run for all who ask meanwhile; the mutex is released in work. */
static enum vs_err alone(struct log *l, enum vs_err (*work)(struct log *l)) REQUIRES(l->mutex)
{
	uint64_t gen = l->prepare_gen;
	enum vs_err err;

	if (l->preparing) {
		while (gen == l->prepare_gen)
			cond_wait(&l->changed, &l->mutex);
		return l->prepare_err;
	}
	l->preparing = true;
	err = l->stopped ? VS_ERR_STOPPED : work(l);
	l->preparing = false;
	l->prepare_err = err;
	l->prepare_gen++;
	cond_broadcast(&l->changed);
	return err;
}

static enum vs_err prepare(struct log *l) REQUIRES(l->mutex)
{
	enum vs_err err = write_until(l, l->ordered);

	while (!err && l->spare_count < l->config.reserve_segments + 1)
		err = prepare_spare(l);
	l->nospc = err == VS_ERR_NOSPC;
	return err ? err : trim(l);
}

enum vs_err log_prepare(struct log *l)
{
	enum vs_err err;

	mutex_lock(&l->mutex);
	err = alone(l, prepare);
	mutex_unlock(&l->mutex);
	return err;
}

bool log_wants_prepare(struct log *l)
{
	bool wants;

	mutex_lock(&l->mutex);
	wants = !l->stopped && l->spare_count < l->config.reserve_segments + 1;
	mutex_unlock(&l->mutex);
	return wants;
}

enum vs_err log_free(struct log *l, uint64_t id)
{
	enum vs_err err = VS_OK;
	struct segment *s;

	mutex_lock(&l->mutex);
	s = segment_find(l, id);
	if (!s || s->info.state == LOG_SEG_SPARE)
		err = VS_ERR_NOENT;
	else if (s->info.state != LOG_SEG_ADOPTED || s->info.live_count || s->dirty)
		err = VS_ERR_BUSY;
	if (!err) {
		segment_remove(l, s);
		segment_put_free(l, s);
		l->nospc = false;
		/* a log_prepare under way deletes at its end */
		if (!l->preparing)
			err = alone(l, trim);
	}
	mutex_unlock(&l->mutex);
	return err;
}
