#include "engine/txn.h"

#include "engine/base/assert.h"

#include <stdlib.h>

#define TXN_VERSION 1u
#define TXN_HEADER 20u
#define TXN_OFF_ITEMS 2u
#define TXN_OFF_SESSION 4u
#define TXN_OFF_SEQUENCE 12u

/* --- building --- */

void txn_init(struct txn *t)
{
	memset(t, 0, offsetof(struct txn, local));
	t->buf = t->local;
	t->cap = sizeof t->local;
	txn_reset(t);
}

void txn_fini(struct txn *t)
{
	if (t->buf != t->local)
		free(t->buf);
	t->buf = NULL;
}

void txn_reset(struct txn *t)
{
	vs_assert(t->cap >= TXN_HEADER);
	memset(t->buf, 0, TXN_HEADER);
	t->buf[0] = TXN_VERSION;
	t->len = TXN_HEADER;
	t->items = 0;
	t->changes = 0;
	t->bad = VS_OK;
	t->data = bytes_of(NULL, 0);
	t->use_reserve = false;
	t->lazy = false;
}

void txn_session(struct txn *t, uint64_t session, uint64_t sequence)
{
	put_le64(t->buf + TXN_OFF_SESSION, session);
	put_le64(t->buf + TXN_OFF_SEQUENCE, sequence);
}

static bool grow(struct txn *t, size_t need)
{
	size_t cap = t->cap;
	uint8_t *p;

	while (cap < need)
		cap *= 2;
	p = malloc(cap);
	if (!p)
		return false;
	memcpy(p, t->buf, t->len);
	if (t->buf != t->local)
		free(t->buf);
	t->buf = p;
	t->cap = cap;
	return true;
}

/* Room for an item of kind with key and n more bytes; NULL when t is bad. */
static uint8_t *item(struct txn *t, uint8_t kind, struct bytes key, size_t n)
{
	size_t size = 3 + key.len + n;
	uint8_t *p;

	vs_assert(key.len <= TREE_KEY_MAX);
	if (t->bad)
		return NULL;
	if (t->items >= TXN_ITEMS_MAX || t->len + size > TXN_META_MAX) {
		t->bad = VS_ERR_TOOBIG;
		return NULL;
	}
	if (t->len + size > t->cap && !grow(t, t->len + size)) {
		t->bad = VS_ERR_NOMEM;
		return NULL;
	}
	p = t->buf + t->len;
	t->len += size;
	t->items++;
	t->changes += !txn_is_condition(kind);
	put_le16(t->buf + TXN_OFF_ITEMS, (uint16_t)t->items);
	p[0] = kind;
	put_le16(p + 1, (uint16_t)key.len);
	if (key.len)
		memcpy(p + 3, key.p, key.len);
	return p + 3 + key.len;
}

void txn_if_absent(struct txn *t, const struct key *k)
{
	item(t, TXN_IF_ABSENT, key_bytes(k), 0);
}

void txn_if_present(struct txn *t, const struct key *k)
{
	item(t, TXN_IF_PRESENT, key_bytes(k), 0);
}

void txn_if_empty(struct txn *t, const struct key *prefix)
{
	item(t, TXN_IF_EMPTY, key_bytes(prefix), 0);
}

void txn_if_value(struct txn *t, const struct key *k, struct bytes present)
{
	uint8_t *p = item(t, TXN_IF_VALUE, key_bytes(k), 8);

	if (p)
		put_le64(p, checksum_xxh3(present.p, present.len));
}

void txn_put(struct txn *t, const struct key *k, struct bytes value)
{
	uint8_t *p;

	vs_assert(value.len <= TREE_VALUE_MAX);
	p = item(t, TXN_PUT, key_bytes(k), 2 + value.len);
	if (!p)
		return;
	put_le16(p, (uint16_t)value.len);
	if (value.len)
		memcpy(p + 2, value.p, value.len);
}

void txn_put_self(struct txn *t, const struct key *k, struct bytes value, uint16_t self_off)
{
	uint8_t *p;

	vs_assert(value.len <= TREE_VALUE_MAX && (size_t)self_off + 8 <= value.len);
	p = item(t, TXN_PUT_SELF, key_bytes(k), 4 + value.len);
	if (!p)
		return;
	put_le16(p, self_off);
	put_le16(p + 2, (uint16_t)value.len);
	memcpy(p + 4, value.p, value.len);
}

void txn_del(struct txn *t, const struct key *k)
{
	item(t, TXN_DEL, key_bytes(k), 0);
}

static void field(struct txn *t, uint8_t kind, const struct key *k, uint16_t off, uint64_t v)
{
	uint8_t *p = item(t, kind, key_bytes(k), 10);

	if (!p)
		return;
	put_le16(p, off);
	put_le64(p + 2, v);
}

void txn_add(struct txn *t, const struct key *k, uint16_t off, int64_t delta)
{
	field(t, TXN_ADD, k, off, (uint64_t)delta);
}

void txn_max(struct txn *t, const struct key *k, uint16_t off, int64_t value)
{
	field(t, TXN_MAX, k, off, (uint64_t)value);
}

void txn_chunk(struct txn *t, uint32_t data_off, uint32_t len, uint32_t refs)
{
	uint8_t *p;

	vs_assert(data_off % CHECKSUM_BLOCK == 0 && len && refs);
	p = item(t, TXN_CHUNK, bytes_of(NULL, 0), 12);
	if (!p)
		return;
	put_le32(p, data_off);
	put_le32(p + 4, len);
	put_le32(p + 8, refs);
}

void txn_ref(struct txn *t, const struct key *chunk, int32_t delta)
{
	uint8_t *p;

	vs_assert(chunk->b[0] == KEY_CHUNK);
	p = item(t, TXN_REF, key_bytes(chunk), 4);
	if (p)
		put_le32(p, (uint32_t)delta);
}

/* --- reading --- */

enum vs_err txn_reader_init(struct txn_reader *r, struct bytes meta)
{
	const uint8_t *p = meta.p;

	if (meta.len < TXN_HEADER || p[0] != TXN_VERSION || p[1] != 0)
		return VS_ERR_CORRUPT_VALUE;
	r->r = reader_of(p, meta.len);
	r->r.off = TXN_HEADER;
	r->items_left = get_le16(p + TXN_OFF_ITEMS);
	r->session = get_le64(p + TXN_OFF_SESSION);
	r->sequence = get_le64(p + TXN_OFF_SEQUENCE);
	return VS_OK;
}

static bool read_body(struct reader *r, struct txn_item *out)
{
	switch (out->kind) {
	case TXN_IF_ABSENT:
	case TXN_IF_PRESENT:
	case TXN_IF_EMPTY:
	case TXN_DEL:
		break;
	case TXN_IF_VALUE:
		out->number = reader_le64(r);
		break;
	case TXN_PUT_SELF:
		out->off = reader_le16(r);
		/* fall through */
	case TXN_PUT:
		out->value.len = reader_le16(r);
		out->value.p = reader_take(r, out->value.len);
		if (out->value.len > TREE_VALUE_MAX)
			return false;
		if (out->kind == TXN_PUT_SELF && (size_t)out->off + 8 > out->value.len)
			return false;
		break;
	case TXN_ADD:
	case TXN_MAX:
		out->off = reader_le16(r);
		out->number = reader_le64(r);
		break;
	case TXN_CHUNK:
		out->data_off = reader_le32(r);
		out->len = reader_le32(r);
		out->refs = reader_le32(r);
		if (out->data_off % CHECKSUM_BLOCK || !out->len || !out->refs)
			return false;
		break;
	case TXN_REF:
		out->refs = reader_le32(r);
		break;
	default:
		return false;
	}
	return !r->bad;
}

enum vs_err txn_reader_next(struct txn_reader *r, struct txn_item *out)
{
	bool keyless;

	if (!r->items_left)
		return reader_done(&r->r) ? VS_ERR_END : VS_ERR_CORRUPT_VALUE;
	r->items_left--;
	memset(out, 0, sizeof *out);
	out->kind = reader_u8(&r->r);
	out->key.len = reader_le16(&r->r);
	out->key.p = reader_take(&r->r, out->key.len);
	keyless = out->kind == TXN_CHUNK;
	if (r->r.bad || out->key.len > TREE_KEY_MAX || (out->key.len == 0) != keyless)
		return VS_ERR_CORRUPT_VALUE;
	/* local keys never travel; chunk records change by CHUNK and REF only */
	if (!keyless && !key_replicated(out->key))
		return VS_ERR_CORRUPT_VALUE;
	if (!keyless && ((const uint8_t *)out->key.p)[0] == KEY_CHUNK &&
	    !txn_is_condition(out->kind) && out->kind != TXN_REF)
		return VS_ERR_CORRUPT_VALUE;
	if (out->kind == TXN_REF &&
	    (out->key.len != 13 || *(const uint8_t *)out->key.p != KEY_CHUNK))
		return VS_ERR_CORRUPT_VALUE;
	return read_body(&r->r, out) ? VS_OK : VS_ERR_CORRUPT_VALUE;
}
