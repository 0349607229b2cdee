#include "engine/log_int.h"

_Static_assert(LOG_QUEUE_BYTES > LOG_META_MAX + LOG_RECORD_HEADER + RECORD_ROLL_LEN +
					 LOG_DATA_MAX / CHECKSUM_BLOCK * 4 + 16,
	       "the longest head fits an empty queue");

/* --- the queue */

static void queue_iov(struct queue *q, const void *p, uint32_t len)
{
	struct run *r = &q->run[q->run_count - 1];
	struct iovec *last = r->iov_count ? &q->iov[q->iov_count - 1] : NULL;

	if (!len)
		return;
	r->len += len;
	if (last && (const uint8_t *)last->iov_base + last->iov_len == p) {
		last->iov_len += len;
		return;
	}
	vs_assert(q->iov && q->iov_count < LOG_QUEUE_IOV);
	q->iov[q->iov_count++] = (struct iovec){(void *)(uintptr_t)p, len};
	r->iov_count++;
}

/* Complete the last block of the last run with zeros. */
static void queue_pad(struct queue *q)
{
	struct run *r = q->run_count ? &q->run[q->run_count - 1] : NULL;

	if (r)
		queue_iov(q, log_zeros, record_align(r->off + r->len) - (r->off + r->len));
}

/* The next bytes go to off in s. */
static void queue_seek(struct queue *q, struct segment *s, uint32_t off)
{
	struct run *r = q->run_count ? &q->run[q->run_count - 1] : NULL;

	vs_assert(off >= s->cut); /* E21 */
	if (r && r->seg == s) {
		vs_assert(off >= r->off + r->len && off - (r->off + r->len) < RECORD_BLOCK);
		queue_iov(q, log_zeros, off - (r->off + r->len));
		return;
	}
	queue_pad(q);
	vs_assert(q->run_count < LOG_QUEUE_RUNS);
	q->run[q->run_count++] = (struct run){.seg = s, .off = off, .iov_first = q->iov_count};
}

static bool queue_has_room(const struct queue *q, uint32_t head_len)
{
	return q->len + head_len + RECORD_ROLL_LEN + 16 <= LOG_QUEUE_BYTES &&
	       q->iov_count + LOG_ORDER_IOV <= LOG_QUEUE_IOV && q->run_count + 2 <= LOG_QUEUE_RUNS;
}

/* --- ordering */

/* E24: the last block is left for the ROLL. */
static bool fits(const struct segment *s, uint32_t tail, uint32_t len)
{
	return len <= s->bytes - RECORD_BLOCK - tail;
}

enum vs_err log_room(struct log *l, size_t meta_len, size_t data_len, bool use_reserve)
{
	enum vs_err err = VS_OK;
	uint32_t len, keep;
	bool short_of;

	if (meta_len > LOG_META_MAX || data_len > LOG_DATA_MAX)
		return VS_ERR_TOOBIG;
	len = record_len((uint32_t)meta_len, (uint32_t)data_len);
	if (len > l->config.segment_bytes - 2 * RECORD_BLOCK)
		return VS_ERR_TOOBIG;
	mutex_lock(&l->mutex);
	keep = use_reserve ? 0 : l->config.reserve_segments;
	/*
	 * A segment that deletes took from the reserve is theirs: filled with new
	 * data it would never come back, and in the end nothing could be deleted
	 * on a full disk (F84).
	 */
	short_of =
		l->spare_count < keep || (!fits(l->active, l->tail, len) && l->spare_count == keep);
	if (l->stopped) {
		err = VS_ERR_STOPPED;
	} else if (!queue_has_room(l->filling,
				   record_head_len((uint32_t)meta_len, (uint32_t)data_len))) {
		err = VS_ERR_BUSY;
	} else if (short_of) {
		/* said once for each log_prepare that failed: the next one tries again (P7) */
		err = l->nospc ? VS_ERR_NOSPC : VS_ERR_BUSY;
		l->nospc = false;
	}
	mutex_unlock(&l->mutex);
	return err;
}

/* Encode the record at the tail into the queue; returns where its data stands. */
static uint32_t put_record(struct log *l, const struct log_append *a, uint64_t index)
	REQUIRES(l->mutex)
{
	uint32_t meta_len = (uint32_t)a->meta.len, data_len = (uint32_t)a->data.len;
	uint32_t table_len = record_table_len(data_len);
	uint32_t head = record_head_len(meta_len, data_len), len = record_len(meta_len, data_len);
	struct queue *q = l->filling;
	uint8_t *to = q->buf + q->len;
	struct record r = {
		.type = a->type,
		.cluster_id = l->config.cluster_id,
		.segment = l->active->info.id,
		.term = a->term,
		.index = index,
		.synced_index = l->synced,
		.meta_len = meta_len,
		.data_len = data_len,
		.prev_crc = l->prev_crc,
		.meta_crc = checksum_crc32c(a->meta.p, meta_len),
		.table_crc = checksum_crc32c(a->table, table_len),
	};

	vs_assert(l->tail % 8 == 0 && l->tail + len <= l->active->bytes); /* E24 */
	record_encode(&r, to);
	if (meta_len)
		memcpy(to + LOG_RECORD_HEADER, a->meta.p, meta_len);
	if (table_len)
		memcpy(to + LOG_RECORD_HEADER + meta_len, a->table, table_len);
	queue_seek(q, l->active, l->tail);
	queue_iov(q, to, head);
	q->len += head;
	queue_iov(q, a->data.p, data_len);
	memset(q->buf + q->len, 0, len - head - data_len);
	queue_iov(q, q->buf + q->len, len - head - data_len);
	q->len = (q->len + len - head - data_len + 7) & ~7u;
	l->tail += len;
	l->prev_crc = r.header_crc;
	l->active->info.used_bytes = l->tail;
	return l->tail - len + head;
}

/* Seal the active segment and go on in the next one. */
static void roll(struct log *l) REQUIRES(l->mutex)
{
	struct segment *next = segment_spare(l, false);
	uint64_t bytes = l->stats.bytes_written - l->roll_bytes;
	uint64_t syncs = l->stats.syncs - l->roll_syncs;
	uint8_t id[8];

	vs_assert(next && next->info.id > l->active->info.id); /* E22 */
	put_le64(id, next->info.id);
	put_record(l,
		   &(struct log_append){.type = LOG_ROLL,
					.term = l->term,
					.meta = bytes_of(id, sizeof id)},
		   l->ordered);
	l->active->info.state = LOG_SEG_SEALED;
	l->active = next;
	next->info.state = LOG_SEG_ACTIVE;
	l->spare_count--;
	l->tail = RECORD_BLOCK;
	l->small_syncs = bytes < LOG_SMALL_SYNC * (syncs ? syncs : 1);
	l->roll_bytes = l->stats.bytes_written;
	l->roll_syncs = l->stats.syncs;
}

enum vs_err log_order(struct log *l, const struct log_append *a, uint64_t *index,
		      struct log_place *data)
{
	uint32_t off;

	vs_assert(a->type == LOG_NOOP || a->type == LOG_TXN || a->type == LOG_CHECKPOINT);
	vs_assert(a->meta.len <= LOG_META_MAX && a->data.len <= LOG_DATA_MAX);
	mutex_lock(&l->mutex);
	if (l->stopped) {
		mutex_unlock(&l->mutex);
		return VS_ERR_STOPPED; /* E29 */
	}
	vs_assert(a->term >= l->term); /* E28 */
	vs_assert(queue_has_room(l->filling,
				 record_head_len((uint32_t)a->meta.len, (uint32_t)a->data.len)));
	if (!fits(l->active, l->tail, record_len((uint32_t)a->meta.len, (uint32_t)a->data.len)))
		roll(l);
	l->term = a->term;
	off = put_record(l, a, ++l->ordered);
	if (!l->active->info.first_index)
		l->active->info.first_index = l->ordered;
	l->active->info.last_index = l->ordered;
	l->filling->last_index = l->ordered;
	l->stats.records++;
	*index = l->ordered;
	*data = (struct log_place){l->active->info.id, off};
	mutex_unlock(&l->mutex);
	return VS_OK;
}

/* --- writing */

enum vs_err write_all(struct log *l, struct segment *s, const struct iovec *iov, uint32_t count,
		      uint64_t off)
{
	enum vs_err err = VS_OK;

	for (uint32_t n; !err && count; count -= n, iov += n) {
		uint64_t len = 0;

		for (n = 0; n < count && n < LOG_WRITE_IOV; n++)
			len += iov[n].iov_len;
		vs_assert(off >= RECORD_BLOCK && off + len <= s->bytes); /* E23, E24 */
		err = l->env->ops->pwritev(s->file, iov, (int)n, off);
		off += len;
	}
	return err == VS_ERR_NOSPC ? VS_ERR_IO_WRITE : err;
}

static enum vs_err write_run(struct log *l, struct queue *q, const struct run *r) REQUIRES(l->mutex)
{
	enum vs_err err = segment_pin(l, r->seg);

	if (err)
		return err;
	mutex_unlock(&l->mutex);
	err = write_all(l, r->seg, q->iov + r->iov_first, r->iov_count, r->off);
	mutex_lock(&l->mutex);
	/* after the write: a sync that began before it must not take the mark away (E25) */
	segment_dirty(l, &l->dirty, r->seg);
	segment_unpin(l, r->seg);
	l->stats.bytes_written += r->len;
	return err;
}

enum vs_err write_queue(struct log *l, bool cut)
{
	struct queue *q = l->filling;
	enum vs_err err = VS_OK;

	vs_assert(!l->writing && !l->stopped); /* E29 */
	/* the sync that follows makes the tail block durable: leave it alone from now on (E21) */
	if (cut)
		l->tail = l->active->cut = record_align(l->tail);
	if (!q->run_count)
		return VS_OK;
	queue_pad(q);
	l->filling = q == &l->queues[0] ? &l->queues[1] : &l->queues[0];
	vs_assert(!l->filling->run_count && !l->filling->len);
	l->writing = true;
	for (uint32_t i = 0; !err && i < q->run_count; i++)
		err = write_run(l, q, &q->run[i]);
	l->writing = false;
	if (err) {
		log_stop(l, err);
		return err;
	}
	vs_assert(q->last_index > l->written && q->last_index <= l->ordered); /* E20 */
	l->written = q->last_index;
	q->len = q->iov_count = q->run_count = 0;
	cond_broadcast(&l->wrote);
	return VS_OK;
}

enum vs_err write_until(struct log *l, uint64_t index)
{
	enum vs_err err = VS_OK;

	vs_assert(index <= l->ordered);
	while (!l->stopped && l->written < index) {
		if (l->writing)
			cond_wait(&l->wrote, &l->mutex);
		else
			err = write_queue(l, false);
	}
	/* data of the caller may still be on its way to the kernel */
	while (l->stopped && l->writing)
		cond_wait(&l->wrote, &l->mutex);
	if (err)
		return err;
	return l->stopped ? VS_ERR_STOPPED : VS_OK;
}

enum vs_err log_write(struct log *l, uint64_t index)
{
	enum vs_err err;

	mutex_lock(&l->mutex);
	err = write_until(l, index);
	mutex_unlock(&l->mutex);
	return err;
}
