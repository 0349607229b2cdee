#include "engine/log_int.h"
#include "engine/log_scan.h"

enum vs_err log_read(struct log *l, uint64_t index, struct log_place place, uint32_t off, void *buf,
		     uint32_t len)
{
	uint64_t at = (uint64_t)place.off + off;
	struct segment *s;
	enum vs_err err = VS_OK;
	size_t got = 0;

	mutex_lock(&l->mutex);
	if (index > l->written)
		err = write_until(l, index);
	s = segment_find(l, place.segment);
	if (!err && (!s || s->info.state == LOG_SEG_SPARE))
		err = VS_ERR_STALE;
	if (!err && at + len > s->bytes)
		err = VS_ERR_IO_READ;
	if (!err)
		err = segment_pin(l, s); /* from here on it is not recycled (F81) */
	mutex_unlock(&l->mutex);
	if (err)
		return err;
	err = l->env->ops->pread(s->file, buf, len, at, &got);
	mutex_lock(&l->mutex);
	segment_unpin(l, s);
	mutex_unlock(&l->mutex);
	return !err && got < len ? VS_ERR_IO_READ : err;
}

/* Until end; *bad_off says where it broke off. */
static enum vs_err walk(struct log_scan *scan, uint32_t end, log_replay_fn each, void *arg,
			uint32_t *bad_off)
{
	struct log_record rec;
	struct record r;
	enum vs_err err = VS_OK;

	while (!err && scan->off < end) {
		err = log_scan_next(scan, &r, &rec);
		if (err) {
			*bad_off = scan->off;
			return err == VS_ERR_END ? VS_ERR_CORRUPT_RECORD : err;
		}
		if (r.type != LOG_ROLL)
			err = each(arg, &rec);
	}
	return err;
}

enum vs_err log_walk(struct log *l, uint64_t segment, log_replay_fn each, void *arg,
		     uint32_t *bad_off)
{
	struct log_segment info;
	struct log_scan scan;
	enum vs_err err = VS_OK;
	struct segment *s;
	uint32_t bytes;

	mutex_lock(&l->mutex);
	s = segment_find(l, segment);
	if (!s || s->info.state == LOG_SEG_SPARE)
		err = VS_ERR_STALE;
	else if (s->info.state == LOG_SEG_ACTIVE && s->info.kind == LOG_KIND_LOG)
		err = VS_ERR_BUSY;
	if (!err)
		err = segment_pin(l, s);
	if (err) {
		mutex_unlock(&l->mutex);
		return err;
	}
	info = s->info;
	bytes = s->bytes;
	mutex_unlock(&l->mutex);
	err = log_scan_init(&scan, l->env, l->config.cluster_id);
	if (!err) {
		log_scan_seek(&scan, s->file, info.id, info.kind, bytes, RECORD_BLOCK);
		scan.chain.any = true;
		err = walk(&scan, info.used_bytes, each, arg, bad_off);
	}
	log_scan_fini(&scan);
	mutex_lock(&l->mutex);
	segment_unpin(l, s);
	mutex_unlock(&l->mutex);
	return err;
}
