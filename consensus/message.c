#include "consensus/message.h"

#include "engine/base/assert.h"
#include "engine/base/bytes.h"
#include "engine/base/checksum.h"

#define MESSAGE_MAGIC 0x4d525356u /* "VSRM" */
#define MESSAGE_VERSION 1u

enum { HEADER_BODY_CRC_OFF = 88, HEADER_CRC_OFF = 92 };

/* What a type may carry; everything else must be zero. */
enum field {
	F_INDEX = 1,
	F_LOG_TERM = 2,
	F_COMMIT = 4,
	F_CTX = 8,
	F_OFFSET = 16,
	F_ERA = 32,
	F_DATA = 64,
};

static const struct {
	const char *name;
	uint32_t fields, flags;
} types[MESSAGE_TYPE_END] = {
	[MESSAGE_PREVOTE] = {"PREVOTE", F_INDEX | F_LOG_TERM, 0},
	[MESSAGE_PREVOTE_RESP] = {"PREVOTE_RESP", F_ERA, MESSAGE_REJECT},
	[MESSAGE_VOTE] = {"VOTE", F_INDEX | F_LOG_TERM, MESSAGE_TRANSFER},
	[MESSAGE_VOTE_RESP] = {"VOTE_RESP", F_ERA, MESSAGE_REJECT},
	[MESSAGE_APPEND] = {"APPEND", F_INDEX | F_LOG_TERM | F_COMMIT | F_DATA, 0},
	[MESSAGE_APPEND_RESP] = {"APPEND_RESP", F_INDEX | F_LOG_TERM | F_COMMIT | F_ERA,
				 MESSAGE_REJECT},
	[MESSAGE_HEARTBEAT] = {"HEARTBEAT", F_COMMIT | F_CTX, 0},
	[MESSAGE_HEARTBEAT_RESP] = {"HEARTBEAT_RESP", F_CTX | F_ERA, MESSAGE_REJECT},
	[MESSAGE_SNAPSHOT] = {"SNAPSHOT",
			      F_INDEX | F_LOG_TERM | F_COMMIT | F_CTX | F_OFFSET | F_DATA,
			      MESSAGE_DONE},
	[MESSAGE_SNAPSHOT_RESP] = {"SNAPSHOT_RESP",
				   F_INDEX | F_LOG_TERM | F_COMMIT | F_CTX | F_OFFSET | F_ERA,
				   MESSAGE_DONE},
	[MESSAGE_READ] = {"READ", F_CTX, 0},
	[MESSAGE_READ_RESP] = {"READ_RESP", F_INDEX | F_CTX | F_ERA, MESSAGE_REJECT},
	[MESSAGE_TIMEOUT_NOW] = {"TIMEOUT_NOW", 0, 0},
};

const char *message_name(enum message_type type)
{
	return type > 0 && type < MESSAGE_TYPE_END ? types[type].name : "?";
}

/* The rules of the table in message.h, and bounds. */
static bool message_valid(const struct raft_msg *m)
{
	uint32_t f;

	if (m->type < MESSAGE_PREVOTE || m->type >= MESSAGE_TYPE_END)
		return false;
	f = types[m->type].fields;
	if ((m->flags & ~types[m->type].flags) || !m->from || !m->to || m->from == m->to)
		return false;
	if ((m->index && !(f & F_INDEX)) || (m->log_term && !(f & F_LOG_TERM)) ||
	    (m->commit && !(f & F_COMMIT)) || (m->ctx && !(f & F_CTX)) ||
	    (m->offset && !(f & F_OFFSET)) || (m->era && !(f & F_ERA)) ||
	    (m->data_len && !(f & F_DATA)))
		return false;
	if (m->count > MESSAGE_ENTRIES_MAX || (m->count && m->type != MESSAGE_APPEND))
		return false;
	/* Indexes and terms count up by one; the top half is out of reach and keeps sums exact. */
	return m->term < UINT64_MAX / 2 && m->index < UINT64_MAX / 2 &&
	       m->commit < UINT64_MAX / 2 && m->log_term <= m->term && m->offset < UINT64_MAX / 2 &&
	       m->data_len <= MESSAGE_DATA_MAX;
}

static bool entries_valid(const struct raft_msg *m)
{
	uint64_t term = m->log_term;

	for (uint32_t i = 0; i < m->count; i++) {
		const struct raft_entry *e = &m->entries[i];

		/* Terms never fall along a log (C4), and no entry is from the future. */
		if (e->term < term || e->term > m->term || e->term == 0)
			return false;
		if (e->type < RAFT_ENTRY_NOOP || e->type > RAFT_ENTRY_CONFIG ||
		    e->len > MESSAGE_DATA_MAX)
			return false;
		term = e->term;
	}
	return true;
}

static size_t body_encode(const struct raft_msg *m, uint8_t *buf, size_t cap)
{
	struct writer w = writer_of(buf, cap);

	if (m->type == MESSAGE_SNAPSHOT) {
		vs_assert(m->members);
		return membership_encode(m->members, buf, cap);
	}
	vs_assert(!m->count || m->entries);
	for (uint32_t i = 0; i < m->count; i++) {
		writer_le64(&w, m->entries[i].term);
		writer_le32(&w, m->entries[i].len);
		writer_le32(&w, (uint32_t)m->entries[i].type);
	}
	vs_assert(!w.bad);
	return w.len;
}

size_t message_encode(const struct raft_msg *m, void *buf, size_t cap)
{
	uint8_t *body = (uint8_t *)buf + MESSAGE_HEADER_LEN;
	struct writer w = writer_of(buf, MESSAGE_HEADER_LEN);
	size_t body_len;

	vs_assert(cap >= MESSAGE_HEADER_LEN);
	vs_assert(message_valid(m) && entries_valid(m));
	body_len = body_encode(m, body, cap - MESSAGE_HEADER_LEN);
	writer_le32(&w, MESSAGE_MAGIC);
	writer_u8(&w, MESSAGE_VERSION);
	writer_u8(&w, (uint8_t)m->type);
	writer_le16(&w, (uint16_t)m->flags);
	writer_le64(&w, m->cluster);
	writer_le32(&w, m->from);
	writer_le32(&w, m->to);
	writer_le64(&w, m->term);
	writer_le64(&w, m->index);
	writer_le64(&w, m->log_term);
	writer_le64(&w, m->commit);
	writer_le64(&w, m->ctx);
	writer_le64(&w, m->offset);
	writer_le32(&w, m->era);
	writer_le32(&w, m->count);
	writer_le32(&w, (uint32_t)body_len);
	writer_le32(&w, m->data_len);
	writer_le32(&w, checksum_crc32c(body, body_len));
	writer_le32(&w, checksum_crc32c(buf, HEADER_CRC_OFF));
	vs_assert(!w.bad && w.len == MESSAGE_HEADER_LEN);
	return MESSAGE_HEADER_LEN + body_len;
}

/* Header into m; VS_ERR_BAD_FRAME unless checksum, version, bounds and field rules hold. */
static enum vs_err header_decode(const uint8_t *h, struct raft_msg *m, uint32_t *body_len)
{
	struct reader r = reader_of(h, MESSAGE_HEADER_LEN);
	uint32_t magic = reader_le32(&r);

	if (get_le32(h + HEADER_CRC_OFF) != checksum_crc32c(h, HEADER_CRC_OFF))
		return VS_ERR_BAD_FRAME;
	if (magic != MESSAGE_MAGIC || reader_u8(&r) != MESSAGE_VERSION)
		return VS_ERR_BAD_FRAME;
	m->type = reader_u8(&r);
	m->flags = reader_le16(&r);
	m->cluster = reader_le64(&r);
	m->from = reader_le32(&r);
	m->to = reader_le32(&r);
	m->term = reader_le64(&r);
	m->index = reader_le64(&r);
	m->log_term = reader_le64(&r);
	m->commit = reader_le64(&r);
	m->ctx = reader_le64(&r);
	m->offset = reader_le64(&r);
	m->era = reader_le32(&r);
	m->count = reader_le32(&r);
	*body_len = reader_le32(&r);
	m->data_len = reader_le32(&r);
	if (!message_valid(m))
		return VS_ERR_BAD_FRAME;
	if (m->type == MESSAGE_SNAPSHOT)
		return *body_len <= MEMBERSHIP_ENCODED_MAX ? VS_OK : VS_ERR_BAD_FRAME;
	return *body_len == m->count * MESSAGE_ENTRY_LEN ? VS_OK : VS_ERR_BAD_FRAME;
}

enum vs_err message_peek(const void *header, uint32_t *body_len, uint32_t *data_len)
{
	struct raft_msg m = {0};
	uint32_t len;
	enum vs_err err = header_decode(header, &m, &len);

	if (err)
		return err;
	vs_assert(len <= MESSAGE_BODY_MAX);
	*body_len = len;
	*data_len = m.data_len;
	return VS_OK;
}

static enum vs_err body_decode(struct bytes body, struct message_store *store, struct raft_msg *m)
{
	struct reader r = reader_of(body.p, body.len);

	if (m->type == MESSAGE_SNAPSHOT) {
		m->members = &store->members;
		return membership_decode(&store->members, body);
	}
	if (m->count)
		m->entries = store->entries;
	for (uint32_t i = 0; i < m->count; i++) {
		struct raft_entry e = {0};

		e.term = reader_le64(&r);
		e.len = reader_le32(&r);
		e.type = reader_le32(&r);
		store->entries[i] = e;
	}
	return reader_done(&r) && entries_valid(m) ? VS_OK : VS_ERR_BAD_FRAME;
}

enum vs_err message_decode(struct bytes b, struct message_store *store, struct raft_msg *out)
{
	const uint8_t *p = b.p;
	struct raft_msg m = {0};
	struct bytes body;
	uint32_t body_len;
	enum vs_err err;

	if (b.len < MESSAGE_HEADER_LEN)
		return VS_ERR_BAD_FRAME;
	err = header_decode(p, &m, &body_len);
	if (err)
		return err;
	if (b.len - MESSAGE_HEADER_LEN != body_len)
		return VS_ERR_BAD_FRAME;
	body = bytes_of(p + MESSAGE_HEADER_LEN, body_len);
	if (get_le32(p + HEADER_BODY_CRC_OFF) != checksum_crc32c(body.p, body.len))
		return VS_ERR_BAD_FRAME;
	err = body_decode(body, store, &m);
	if (err)
		return err;
	*out = m;
	return VS_OK;
}
