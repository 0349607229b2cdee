#include "engine/log_int.h"

#include <stdlib.h>

const uint8_t log_zeros[RECORD_BLOCK];

enum vs_err log_new(const struct log_config *config, struct log **out)
{
	struct log *l = calloc(1, sizeof *l);
	bool ok = l != NULL;

	vs_assert(config->segment_bytes >= LOG_SEGMENT_MIN);
	vs_assert(config->segment_bytes <= LOG_SEGMENT_MAX);
	vs_assert(config->segment_bytes % RECORD_BLOCK == 0 && config->reserve_segments >= 2);
	if (!l)
		return VS_ERR_NOMEM;
	mutex_init(&l->mutex);
	cond_init(&l->wrote);
	cond_init(&l->durable);
	cond_init(&l->changed);
	l->config = *config;
	l->env = config->env;
	l->waiters_end = &l->waiters;
	l->small_syncs = true;
	for (int i = 0; i < 2; i++) {
		l->queues[i].buf = malloc(LOG_QUEUE_BYTES);
		l->queues[i].iov = calloc(LOG_QUEUE_IOV, sizeof *l->queues[i].iov);
		ok = ok && l->queues[i].buf && l->queues[i].iov;
	}
	l->filling = &l->queues[0];
	l->value_buf = malloc(record_head_len(LOG_META_MAX, LOG_DATA_MAX));
	if (!ok || !l->value_buf) {
		log_close(l);
		return VS_ERR_NOMEM;
	}
	*out = l;
	return VS_OK;
}

void log_close(struct log *l)
{
	struct segment *s;

	if (!l)
		return;
	mutex_lock(&l->mutex);
	vs_assert(!l->writing && !l->syncing && !l->preparing && !l->value_busy);
	vs_assert(!l->waiters);
	for (uint32_t i = 0; i < l->table_count; i++)
		segment_release(l, l->table[i]);
	while ((s = l->free)) {
		l->free = s->next;
		segment_release(l, s);
	}
	mutex_unlock(&l->mutex);
	for (int i = 0; i < 2; i++) {
		free(l->queues[i].buf);
		free(l->queues[i].iov);
	}
	free(l->table);
	free(l->value_buf);
	cond_fini(&l->wrote);
	cond_fini(&l->durable);
	cond_fini(&l->changed);
	mutex_fini(&l->mutex);
	free(l);
}

void log_stop(struct log *l, enum vs_err err)
{
	vs_assert(err != VS_OK);
	if (!l->stopped)
		l->stopped = err;
	cond_broadcast(&l->wrote);
	cond_broadcast(&l->durable);
	cond_broadcast(&l->changed);
}

uint64_t log_last_index(struct log *l)
{
	uint64_t index;

	mutex_lock(&l->mutex);
	index = l->ordered;
	mutex_unlock(&l->mutex);
	return index;
}

uint64_t log_written_index(struct log *l)
{
	uint64_t index;

	mutex_lock(&l->mutex);
	vs_assert(l->synced <= l->written && l->written <= l->ordered); /* E20 */
	index = l->written;
	mutex_unlock(&l->mutex);
	return index;
}

uint64_t log_synced_index(struct log *l)
{
	uint64_t index;

	mutex_lock(&l->mutex);
	index = l->synced;
	mutex_unlock(&l->mutex);
	return index;
}

void log_position_now(struct log *l, struct log_position *out)
{
	mutex_lock(&l->mutex);
	*out = (struct log_position){
		.segment = l->active->info.id,
		.off = l->tail,
		.prev_crc = l->prev_crc,
		.index = l->ordered,
		.term = l->term,
		.next_segment_id = l->next_id,
	};
	mutex_unlock(&l->mutex);
}

static int by_value(const void *a, const void *b)
{
	uint32_t x, y;

	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return (x > y) - (x < y);
}

void log_stats(struct log *l, struct log_stats *out)
{
	uint32_t us[LOG_SYNC_SAMPLES];
	uint32_t n;

	mutex_lock(&l->mutex);
	*out = l->stats;
	out->stopped = l->stopped;
	out->segments = l->table_count - l->spare_count;
	out->free_segments = l->free_count;
	out->spare_segments = l->spare_count;
	out->log_bytes = 0;
	for (uint32_t i = 0; i < l->table_count; i++) {
		const struct log_segment *s = &l->table[i]->info;

		if (s->kind == LOG_KIND_LOG &&
		    (s->state == LOG_SEG_SEALED || s->state == LOG_SEG_ACTIVE))
			out->log_bytes += s->used_bytes;
	}
	n = l->stats.syncs < LOG_SYNC_SAMPLES ? (uint32_t)l->stats.syncs : LOG_SYNC_SAMPLES;
	memcpy(us, l->sync_us, sizeof us);
	mutex_unlock(&l->mutex);
	qsort(us, n, sizeof *us, by_value);
	out->sync_us_p50 = n ? us[n / 2] : 0;
	out->sync_us_p99 = n ? us[(uint64_t)n * 99 / 100] : 0;
}
