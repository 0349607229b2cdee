#include "engine/record.h"

#include "engine/base/assert.h"

_Static_assert(LOG_RECORD_HEADER % 8 == 0, "records start 8-aligned");
_Static_assert(RECORD_ROLL_LEN == LOG_RECORD_HEADER + 8, "a ROLL holds one id");

void record_encode(struct record *r, uint8_t *out)
{
	vs_assert(r->meta_len <= LOG_META_MAX && r->data_len <= LOG_DATA_MAX);
	vs_assert(r->type >= LOG_NOOP && r->type <= LOG_VALUE);
	put_le32(out, RECORD_MAGIC);
	out[4] = RECORD_VERSION;
	out[5] = r->type;
	put_le16(out + 6, 0);
	put_le64(out + 8, r->cluster_id);
	put_le64(out + 16, r->segment);
	put_le64(out + 24, r->term);
	put_le64(out + 32, r->index);
	put_le64(out + 40, r->synced_index);
	put_le32(out + 48, r->meta_len);
	put_le32(out + 52, r->data_len);
	put_le32(out + 56, r->prev_crc);
	put_le32(out + 60, r->meta_crc);
	put_le32(out + 64, r->table_crc);
	r->header_crc = checksum_crc32c(out, 68);
	put_le32(out + 68, r->header_crc);
}

static bool lengths_ok(const struct record *r)
{
	if (r->meta_len > LOG_META_MAX || r->data_len > LOG_DATA_MAX)
		return false;
	switch (r->type) {
	case LOG_NOOP:
	case LOG_TXN:
	case LOG_CHECKPOINT:
		return r->synced_index < r->index;
	case LOG_ROLL:
		return r->meta_len == 8 && !r->data_len && r->synced_index <= r->index;
	case LOG_VALUE:
		return !r->index && !r->synced_index;
	default:
		return false;
	}
}

bool record_decode(const uint8_t *in, struct record *out)
{
	struct record r;

	if (get_le32(in) != RECORD_MAGIC || in[4] != RECORD_VERSION || get_le16(in + 6))
		return false;
	r.header_crc = get_le32(in + 68);
	if (checksum_crc32c(in, 68) != r.header_crc)
		return false;
	r.type = in[5];
	r.cluster_id = get_le64(in + 8);
	r.segment = get_le64(in + 16);
	r.term = get_le64(in + 24);
	r.index = get_le64(in + 32);
	r.synced_index = get_le64(in + 40);
	r.meta_len = get_le32(in + 48);
	r.data_len = get_le32(in + 52);
	r.prev_crc = get_le32(in + 56);
	r.meta_crc = get_le32(in + 60);
	r.table_crc = get_le32(in + 64);
	if (!lengths_ok(&r))
		return false;
	*out = r;
	return true;
}

bool record_body_ok(const struct record *r, const uint8_t *body)
{
	vs_assert(r->meta_len <= LOG_META_MAX);
	return checksum_crc32c(body, r->meta_len) == r->meta_crc &&
	       checksum_crc32c(body + r->meta_len, record_table_len(r->data_len)) == r->table_crc;
}

void record_segment_encode(const struct record_segment *s, uint8_t *out)
{
	vs_assert(s->kind == LOG_KIND_LOG || s->kind == LOG_KIND_VALUE);
	vs_assert(s->id && s->bytes >= LOG_SEGMENT_MIN && s->bytes <= LOG_SEGMENT_MAX);
	memset(out, 0, RECORD_BLOCK);
	put_le32(out, RECORD_SEG_MAGIC);
	out[4] = RECORD_VERSION;
	out[5] = s->kind;
	put_le64(out + 8, s->cluster_id);
	put_le64(out + 16, s->id);
	put_le32(out + 24, s->bytes);
	put_le32(out + 28, checksum_crc32c(out, 28));
}

enum vs_err record_segment_decode(const uint8_t *in, struct record_segment *out)
{
	struct record_segment s;

	if (get_le32(in) != RECORD_SEG_MAGIC || get_le32(in + 28) != checksum_crc32c(in, 28))
		return VS_ERR_CORRUPT_SEGMENT;
	if (in[4] > RECORD_VERSION)
		return VS_ERR_NEWER_FORMAT;
	s.kind = in[5];
	s.cluster_id = get_le64(in + 8);
	s.id = get_le64(in + 16);
	s.bytes = get_le32(in + 24);
	if (in[4] != RECORD_VERSION || get_le16(in + 6) || !s.id ||
	    (s.kind != LOG_KIND_LOG && s.kind != LOG_KIND_VALUE) || s.bytes < LOG_SEGMENT_MIN ||
	    s.bytes > LOG_SEGMENT_MAX || s.bytes % RECORD_BLOCK)
		return VS_ERR_CORRUPT_SEGMENT;
	*out = s;
	return VS_OK;
}
