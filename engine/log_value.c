#include "engine/log_int.h"

static void value_begin(struct log *l) REQUIRES(l->mutex)
{
	while (l->value_busy)
		cond_wait(&l->changed, &l->mutex);
	l->value_busy = true;
}

static void value_end(struct log *l) REQUIRES(l->mutex)
{
	l->value_busy = false;
	cond_broadcast(&l->changed);
}

static bool value_fits(struct log *l, uint32_t len) REQUIRES(l->mutex)
{
	return l->value && len <= l->value->bytes - RECORD_BLOCK - l->value_tail;
}

/* Seal the current value segment and turn a spare into the next one. */
static enum vs_err value_roll(struct log *l) REQUIRES(l->mutex)
{
	struct segment *s;
	enum vs_err err;

	if (l->value) {
		l->value->info.state = LOG_SEG_SEALED;
		l->value = NULL;
	}
	/* the last one is the log's: without it nothing could be deleted any more (F84) */
	if (l->spare_count < 2)
		return VS_ERR_NOSPC;
	err = segment_reserve(l);
	if (err)
		return err;
	s = segment_spare(l, true);
	err = segment_pin(l, s);
	if (err)
		return err;
	/* the pin may have let go of the mutex: the log could have taken spares */
	if (l->spare_count < 2 || s->info.state != LOG_SEG_SPARE) {
		segment_unpin(l, s);
		return VS_ERR_NOSPC;
	}
	segment_remove(l, s);
	/* a new id: the old one stays with the log's order (E22) */
	s->info.id = l->next_id++;
	s->info.kind = LOG_KIND_VALUE;
	s->info.used_bytes = RECORD_BLOCK;
	s->cut = 0;
	mutex_unlock(&l->mutex);
	err = segment_write_header(l, s);
	mutex_lock(&l->mutex);
	segment_unpin(l, s);
	if (err) {
		log_stop(l, err);
		segment_put_free(l, s);
		return err;
	}
	s->info.state = LOG_SEG_ACTIVE;
	segment_insert(l, s);
	l->value = s;
	l->value_tail = RECORD_BLOCK;
	l->value_crc = 0;
	return VS_OK;
}

/* Write one record at the tail of l->value. */
static enum vs_err value_put(struct log *l, struct bytes meta, const void *data, uint32_t len,
			     const uint8_t *table, struct log_place *out) REQUIRES(l->mutex)
{
	uint32_t head = record_head_len((uint32_t)meta.len, len), tail = l->value_tail;
	uint32_t end = tail + record_len((uint32_t)meta.len, len);
	struct segment *s = l->value;
	struct record r = {
		.type = LOG_VALUE,
		.cluster_id = l->config.cluster_id,
		.segment = s->info.id,
		.meta_len = (uint32_t)meta.len,
		.data_len = len,
		.prev_crc = l->value_crc,
		.meta_crc = checksum_crc32c(meta.p, meta.len),
		.table_crc = checksum_crc32c(table, record_table_len(len)),
	};
	struct iovec iov[3] = {
		{l->value_buf, head},
		{(void *)(uintptr_t)data, len},
		{(void *)(uintptr_t)log_zeros, record_align(end) - (tail + head + len)},
	};
	enum vs_err err = segment_pin(l, s);

	if (err)
		return err;
	vs_assert(end <= s->bytes - RECORD_BLOCK && tail >= s->cut); /* E21, E24 */
	mutex_unlock(&l->mutex);
	record_encode(&r, l->value_buf);
	if (meta.len)
		memcpy(l->value_buf + LOG_RECORD_HEADER, meta.p, meta.len);
	if (len)
		memcpy(l->value_buf + LOG_RECORD_HEADER + meta.len, table, record_table_len(len));
	err = write_all(l, s, iov, 3, tail);
	mutex_lock(&l->mutex);
	segment_dirty(l, &l->value_dirty, s);
	segment_unpin(l, s);
	if (err) {
		log_stop(l, err);
		return err;
	}
	l->stats.bytes_written += record_align(end) - tail;
	l->value_tail = s->info.used_bytes = end;
	l->value_crc = r.header_crc;
	*out = (struct log_place){s->info.id, tail + head};
	return VS_OK;
}

enum vs_err log_value_append(struct log *l, struct bytes meta, const void *data, uint32_t len,
			     const uint8_t *table, struct log_place *out)
{
	enum vs_err err = VS_OK;
	uint32_t need;

	if (meta.len > LOG_META_MAX || len > LOG_DATA_MAX)
		return VS_ERR_TOOBIG;
	need = record_len((uint32_t)meta.len, len);
	if (need > l->config.segment_bytes - 2 * RECORD_BLOCK)
		return VS_ERR_TOOBIG;
	mutex_lock(&l->mutex);
	value_begin(l);
	if (l->stopped)
		err = VS_ERR_STOPPED;
	if (!err && !value_fits(l, need))
		err = value_roll(l);
	if (!err)
		err = value_put(l, meta, data, len, table, out);
	value_end(l);
	mutex_unlock(&l->mutex);
	return err;
}

enum vs_err log_value_sync(struct log *l)
{
	enum vs_err err;

	mutex_lock(&l->mutex);
	value_begin(l);
	err = l->stopped ? VS_ERR_STOPPED : VS_OK;
	if (!err) {
		/* what is durable is not written again (E21) */
		if (l->value)
			l->value_tail = l->value->cut = record_align(l->value_tail);
		err = segment_sync_all(l, &l->value_dirty);
		if (err)
			log_stop(l, err);
	}
	value_end(l);
	mutex_unlock(&l->mutex);
	return err;
}
