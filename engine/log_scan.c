#include "engine/log_scan.h"

#include "engine/base/assert.h"

#include <stdlib.h>

#define WINDOW (256u << 10) /* bytes read at once while records follow closely */
#define GLANCE (16u << 10)  /* bytes read behind skipped data */
#define HEAD_MAX (LOG_RECORD_HEADER + LOG_META_MAX + LOG_DATA_MAX / CHECKSUM_BLOCK * 4)

_Static_assert(GLANCE >= RECORD_BLOCK + LOG_RECORD_HEADER, "a glance sees the next block, too");

enum vs_err log_scan_init(struct log_scan *s, struct env *env, uint64_t cluster_id)
{
	*s = (struct log_scan){.env = env, .cluster_id = cluster_id};
	s->buf_cap = HEAD_MAX + WINDOW;
	s->buf = malloc(s->buf_cap);
	return s->buf ? VS_OK : VS_ERR_NOMEM;
}

void log_scan_fini(struct log_scan *s)
{
	free(s->buf);
	s->buf = NULL;
}

void log_scan_seek(struct log_scan *s, struct env_file *file, uint64_t segment, uint8_t kind,
		   uint32_t bytes, uint32_t off)
{
	vs_assert(off >= RECORD_BLOCK && off <= bytes);
	s->file = file;
	s->segment = segment;
	s->kind = kind;
	s->bytes = bytes;
	s->off = off;
	s->buf_len = 0;
}

/* Have [off, off + len) in the window; NULL in *p when the segment ends before. */
static enum vs_err fetch(struct log_scan *s, uint32_t off, uint32_t len, const uint8_t **p)
{
	uint32_t want;
	enum vs_err err;
	size_t got;

	*p = NULL;
	if (off > s->bytes || len > s->bytes - off)
		return VS_OK;
	if (off < s->buf_off || off + len > s->buf_off + s->buf_len || !s->buf_len) {
		bool close = s->buf_len && off <= s->buf_off + s->buf_len;

		want = close ? WINDOW : GLANCE;
		want = want < len ? len : want;
		want = want > s->bytes - off ? s->bytes - off : want;
		vs_assert(want <= s->buf_cap);
		s->buf_len = 0;
		err = s->env->ops->pread(s->file, s->buf, want, off, &got);
		if (err)
			return err;
		/* a file cut short reads as zeros: no record */
		memset(s->buf + got, 0, want - got);
		s->buf_off = off;
		s->buf_len = want;
		s->bytes_read += got;
	}
	*p = s->buf + (off - s->buf_off);
	return VS_OK;
}

/* Whether r continues the chain and may stand at off. */
static bool follows(const struct log_scan *s, const struct record *r, uint32_t off)
{
	const struct log_chain *c = &s->chain;
	uint32_t end = r->type == LOG_ROLL ? s->bytes : s->bytes - RECORD_BLOCK;
	uint64_t index = c->index + (r->type != LOG_ROLL);

	if (r->cluster_id != s->cluster_id || r->segment != s->segment)
		return false;
	if ((r->type == LOG_VALUE) != (s->kind == LOG_KIND_VALUE))
		return false;
	if (off > end || record_len(r->meta_len, r->data_len) > end - off)
		return false;
	if (c->any)
		return true;
	return r->prev_crc == c->prev_crc && r->term >= c->term &&
	       (s->kind == LOG_KIND_VALUE || r->index == index);
}

/* VS_ERR_END: no record that continues the chain is at off. */
static enum vs_err try_at(struct log_scan *s, uint32_t off, struct record *r,
			  struct log_record *out)
{
	const uint8_t *p;
	enum vs_err err;
	uint32_t head;

	err = fetch(s, off, LOG_RECORD_HEADER, &p);
	if (err)
		return err;
	if (!p || !record_decode(p, r) || !follows(s, r, off))
		return VS_ERR_END;
	head = record_head_len(r->meta_len, r->data_len);
	err = fetch(s, off, head, &p);
	if (err)
		return err;
	if (!p || !record_body_ok(r, p + LOG_RECORD_HEADER))
		return VS_ERR_END;
	*out = (struct log_record){
		.type = r->type,
		.term = r->term,
		.index = r->index,
		.meta = bytes_of(p + LOG_RECORD_HEADER, r->meta_len),
		.data_len = r->data_len,
		.table = p + LOG_RECORD_HEADER + r->meta_len,
		.data = {s->segment, off + head},
		.record_off = off,
	};
	return VS_OK;
}

enum vs_err log_scan_next(struct log_scan *s, struct record *r, struct log_record *out)
{
	uint32_t fresh = record_align(s->off);
	enum vs_err err = VS_ERR_END;
	const uint8_t *p;

	/*
	 * The fresh block first: a record there that continues the chain was
	 * written after a restart that dropped what still stands at s->off.
	 */
	if (fresh != s->off) {
		err = fetch(s, s->off, LOG_RECORD_HEADER, &p); /* the window starts here */
		if (!err)
			err = try_at(s, fresh, r, out);
	}
	if (err == VS_ERR_END)
		err = try_at(s, s->off, r, out);
	if (err)
		return err;
	s->off = out->record_off + record_len(r->meta_len, r->data_len);
	s->chain = (struct log_chain){r->header_crc, r->index, r->term, false};
	return VS_OK;
}

enum vs_err log_scan_data(struct log_scan *s, const struct log_record *rec)
{
	enum vs_err err = VS_OK;
	uint8_t *data;
	uint32_t n;
	size_t got;

	if (!rec->data_len)
		return VS_OK;
	data = malloc(WINDOW);
	if (!data)
		return VS_ERR_NOMEM;
	for (uint32_t at = 0; !err && at < rec->data_len; at += n) {
		n = rec->data_len - at < WINDOW ? rec->data_len - at : WINDOW;
		err = s->env->ops->pread(s->file, data, n, (uint64_t)rec->data.off + at, &got);
		if (!err && got < n)
			err = VS_ERR_CORRUPT_RECORD;
		for (uint32_t b = 0, m; !err && b < n; b += m) {
			const uint8_t *crc = rec->table + (size_t)(at + b) / CHECKSUM_BLOCK * 4;

			m = n - b < CHECKSUM_BLOCK ? n - b : CHECKSUM_BLOCK;
			if (checksum_crc32c(data + b, m) != get_le32(crc))
				err = VS_ERR_CORRUPT_RECORD;
		}
		s->bytes_read += n;
	}
	free(data);
	return err;
}

/* Whether a header of this segment is in p; *synced is the highest one says. */
static bool own_records(const struct log_scan *s, const uint8_t *p, uint32_t len, uint64_t *synced)
{
	bool seen = false;
	struct record r;

	for (uint32_t i = 0; i + LOG_RECORD_HEADER <= len; i += 8) {
		if (get_le32(p + i) != RECORD_MAGIC || !record_decode(p + i, &r) ||
		    r.cluster_id != s->cluster_id || r.segment != s->segment)
			continue;
		seen = true;
		*synced = r.synced_index > *synced ? r.synced_index : *synced;
	}
	return seen;
}

enum vs_err log_scan_vouched(struct log_scan *s, uint64_t index, bool probe, bool *vouched)
{
	uint64_t synced = 0;
	const uint8_t *p;
	enum vs_err err;
	uint32_t len;

	*vouched = false;
	for (uint32_t off = s->off; off + LOG_RECORD_HEADER <= s->bytes;) {
		len = s->bytes - off < WINDOW ? s->bytes - off : WINDOW;
		err = fetch(s, off, len, &p);
		if (err || !p)
			return err;
		if (!own_records(s, p, len, &synced) && probe)
			return VS_OK;
		probe = false;
		if (synced >= index) {
			*vouched = true;
			return VS_OK;
		}
		off += len > LOG_RECORD_HEADER ? len - LOG_RECORD_HEADER + 8 : len;
	}
	return VS_OK;
}
