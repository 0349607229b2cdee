/*
 * The transaction evaluator: what a log entry does to the tree.  Deterministic:
 * the same entries in the same order give the same replicated state and
 * counters on every replica (F75).
 */
#include "engine/store_int.h"

#include "engine/base/assert.h"

enum vs_err chunk_decode(struct bytes v, struct chunk_record *out)
{
	const uint8_t *p = v.p;

	if (v.len < CHUNK_FIXED)
		return VS_ERR_CORRUPT_VALUE;
	out->place.segment = get_le64(p);
	out->place.off = get_le32(p + 8);
	out->len = get_le32(p + 16);
	out->refs = get_le32(p + 20);
	out->table = p + CHUNK_FIXED;
	if (v.len != CHUNK_FIXED + 4u * (size_t)checksum_blocks(out->len))
		return VS_ERR_CORRUPT_VALUE;
	return VS_OK;
}

/* The part of a value that all replicas share. */
static struct bytes replicated_part(struct bytes key, struct bytes v)
{
	if (((const uint8_t *)key.p)[0] == KEY_CHUNK && v.len >= CHUNK_LOCAL)
		return bytes_of((const uint8_t *)v.p + CHUNK_LOCAL, v.len - CHUNK_LOCAL);
	return v;
}

/* One summand of the state hash; the sum does not depend on order. */
static uint64_t pair_hash(struct bytes key, struct bytes value)
{
	struct bytes part = replicated_part(key, value);
	uint64_t h[2] = {checksum_xxh3(key.p, key.len), checksum_xxh3(part.p, part.len)};

	return checksum_xxh3(h, sizeof h);
}

/* --- evaluation --- */

static bool field_fits(struct bytes v, uint16_t off)
{
	return (size_t)off + 8 <= v.len;
}

static enum vs_err check_empty(struct store *s, struct bytes prefix, struct tree_ref *miss)
{
	struct tree_cursor c;
	enum vs_err err;

	tree_cursor_init(&c, s->tree, NULL);
	err = tree_cursor_seek(&c, prefix, miss);
	if (err == VS_ERR_END)
		return VS_OK;
	if (err)
		return err;
	return bytes_starts(c.key, prefix) ? VS_ERR_COND : VS_OK;
}

static enum vs_err check_item(struct store *s, const struct txn_item *it, struct tree_ref *miss)
{
	struct bytes v, part;
	enum vs_err err;

	if (it->kind == TXN_IF_EMPTY)
		return check_empty(s, it->key, miss);
	err = tree_get(s->tree, it->key, &v, miss);
	if (err == VS_ERR_NOENT)
		return it->kind == TXN_IF_ABSENT ? VS_OK : VS_ERR_COND;
	if (err)
		return err;
	switch (it->kind) {
	case TXN_IF_ABSENT:
		return VS_ERR_COND;
	case TXN_IF_VALUE:
		part = replicated_part(it->key, v);
		return checksum_xxh3(part.p, part.len) == it->number ? VS_OK : VS_ERR_COND;
	case TXN_ADD:
	case TXN_MAX:
		return field_fits(v, it->off) ? VS_OK : VS_ERR_COND;
	case TXN_REF:
		return v.len >= CHUNK_FIXED ? VS_OK : VS_ERR_CORRUPT_VALUE;
	default:
		return VS_OK;
	}
}

/* Condition or feasibility of one item; makes the key it changes resident. */
static enum vs_err evaluate_item(struct store *s, const struct txn_item *it, uint64_t index,
				 uint32_t data_len, struct tree_ref *miss)
{
	struct key k;
	enum vs_err err;

	switch (it->kind) {
	case TXN_PUT:
	case TXN_PUT_SELF:
	case TXN_DEL:
		return tree_touch(s->tree, it->key, miss);
	case TXN_CHUNK:
		if ((uint64_t)it->data_off + it->len > data_len ||
		    CHUNK_FIXED + 4 * (uint64_t)checksum_blocks(it->len) > CHUNK_VALUE_MAX)
			return VS_ERR_CORRUPT_VALUE;
		key_chunk(&k, index, it->data_off);
		return tree_touch(s->tree, key_bytes(&k), miss);
	default:
		err = check_item(s, it, miss);
		if (err || txn_is_condition(it->kind))
			return err;
		return tree_touch(s->tree, it->key, miss);
	}
}

/* The session table: has this proposal been applied?  (F76, F97) */
static enum vs_err evaluate_session(struct store *s, const struct txn_reader *r,
				    struct tree_ref *miss, uint64_t *first_index)
{
	struct bytes v;
	struct key k;
	enum vs_err err;

	if (!r->session || !r->sequence)
		return VS_OK;
	key_u64(&k, KEY_SESSION, r->session);
	err = tree_get(s->tree, key_bytes(&k), &v, miss);
	if (err && err != VS_ERR_NOENT)
		return err;
	if (!err && v.len == 16 && get_le64(v.p) == r->sequence) {
		*first_index = get_le64((const uint8_t *)v.p + 8);
		return VS_ERR_EXIST;
	}
	return tree_touch(s->tree, key_bytes(&k), miss);
}

enum vs_err store_evaluate(struct store *s, struct bytes meta, uint64_t index, uint32_t data_len,
			   bool use_reserve, uint32_t *failed, struct tree_ref *miss,
			   uint64_t *first_index)
{
	struct txn_reader r;
	struct txn_item it;
	uint32_t n = 0, changes = 1;
	enum vs_err err = txn_reader_init(&r, meta);

	if (!err)
		err = evaluate_session(s, &r, miss, first_index);
	if (err)
		return err;
	for (;; n++) {
		err = txn_reader_next(&r, &it);
		if (err)
			break;
		changes += !txn_is_condition(it.kind);
		err = evaluate_item(s, &it, index, data_len, miss);
		if (err)
			break;
	}
	*failed = n;
	if (err != VS_ERR_END)
		return err;
	return tree_reserve(s->tree, changes, store_tree_reserve(s, use_reserve));
}

/* --- application --- */

static void count_key(struct store *s, struct bytes key, int d) REQUIRES(s->lock)
{
	uint64_t n = (uint64_t)(int64_t)d;

	s->counters.keys += n;
	if (((const uint8_t *)key.p)[0] == KEY_OBJECT)
		s->counters.objects += n;
	if (((const uint8_t *)key.p)[0] == KEY_GARBAGE)
		s->counters.garbage_contents += n;
}

/* The value of a key that is resident. */
static bool present(struct store *s, struct bytes key, struct bytes *v)
{
	struct tree_ref miss;
	enum vs_err err = tree_get(s->tree, key, v, &miss);

	vs_assert(err == VS_OK || err == VS_ERR_NOENT);
	return err == VS_OK;
}

static void apply_put(struct store *s, struct bytes key, struct bytes value) REQUIRES(s->lock)
{
	struct bytes old;

	if (present(s, key, &old))
		s->counters.state_hash -= pair_hash(key, old);
	else
		count_key(s, key, 1);
	s->counters.state_hash += pair_hash(key, value);
	tree_put(s->tree, key, value);
}

static void apply_put_self(struct store *s, const struct txn_item *it, uint64_t index)
	REQUIRES(s->lock)
{
	uint8_t v[TREE_VALUE_MAX];

	vs_assert(it->value.len <= sizeof v && (size_t)it->off + 8 <= it->value.len);
	memcpy(v, it->value.p, it->value.len);
	put_le64(v + it->off, index);
	apply_put(s, it->key, bytes_of(v, it->value.len));
}

static void apply_del(struct store *s, struct bytes key) REQUIRES(s->lock)
{
	struct bytes old;

	if (!present(s, key, &old))
		return;
	s->counters.state_hash -= pair_hash(key, old);
	count_key(s, key, -1);
	vs_assert(tree_del(s->tree, key));
}

static void apply_field(struct store *s, const struct txn_item *it) REQUIRES(s->lock)
{
	size_t len;
	uint8_t *v = tree_edit(s->tree, it->key, &len);
	uint64_t old;

	/* an earlier item of the same transaction may have changed the key */
	if (!v || !field_fits(bytes_of(v, len), it->off))
		return;
	s->counters.state_hash -= pair_hash(it->key, bytes_of(v, len));
	old = get_le64(v + it->off);
	if (it->kind == TXN_ADD)
		put_le64(v + it->off, old + it->number);
	else if ((int64_t)it->number > (int64_t)old)
		put_le64(v + it->off, it->number);
	s->counters.state_hash += pair_hash(it->key, bytes_of(v, len));
}

static void apply_chunk(struct store *s, const struct txn_item *it, const struct log_record *rec)
	REQUIRES(s->lock)
{
	uint8_t v[CHUNK_VALUE_MAX];
	uint32_t table = 4 * checksum_blocks(it->len);
	struct key k;

	put_le64(v, rec->data.segment);
	put_le32(v + 8, rec->data.off + it->data_off);
	put_le32(v + 12, 0);
	put_le32(v + 16, it->len);
	put_le32(v + 20, it->refs);
	memcpy(v + CHUNK_FIXED, rec->table + 4 * (it->data_off / CHECKSUM_BLOCK), table);
	key_chunk(&k, rec->index, it->data_off);
	apply_put(s, key_bytes(&k), bytes_of(v, CHUNK_FIXED + table));
	s->counters.chunks++;
	s->counters.live_bytes += it->len;
	log_segment_live(s->log, rec->data.segment, it->len, 1);
}

static void apply_ref(struct store *s, const struct txn_item *it) REQUIRES(s->lock)
{
	struct chunk_record c;
	size_t len;
	uint8_t *v = tree_edit(s->tree, it->key, &len);

	/* an earlier item of the same transaction may have dropped the last reference */
	if (!v || chunk_decode(bytes_of(v, len), &c))
		return;
	if (c.refs + it->refs == 0) { /* E2, E5 */
		apply_del(s, it->key);
		s->counters.chunks--;
		s->counters.live_bytes -= c.len;
		s->freed_bytes += c.len;
		log_segment_live(s->log, c.place.segment, -(int64_t)c.len, -1);
		return;
	}
	s->counters.state_hash -= pair_hash(it->key, bytes_of(v, len));
	put_le32(v + 20, c.refs + it->refs);
	s->counters.state_hash += pair_hash(it->key, bytes_of(v, len));
}

static void apply_item(struct store *s, const struct txn_item *it, const struct log_record *rec)
	REQUIRES(s->lock)
{
	switch (it->kind) {
	case TXN_PUT:
		apply_put(s, it->key, it->value);
		break;
	case TXN_PUT_SELF:
		apply_put_self(s, it, rec->index);
		break;
	case TXN_DEL:
		apply_del(s, it->key);
		break;
	case TXN_ADD:
	case TXN_MAX:
		apply_field(s, it);
		break;
	case TXN_CHUNK:
		apply_chunk(s, it, rec);
		break;
	case TXN_REF:
		apply_ref(s, it);
		break;
	default:
		break;
	}
}

void store_apply(struct store *s, const struct log_record *rec)
{
	struct txn_reader r;
	struct txn_item it;
	enum vs_err err;

	vs_assert(rec->type == LOG_TXN && rec->index == s->applied + 1);
	err = txn_reader_init(&r, rec->meta);
	vs_assert(err == VS_OK);
	while ((err = txn_reader_next(&r, &it)) == VS_OK)
		apply_item(s, &it, rec);
	vs_assert(err == VS_ERR_END);
	if (r.session && r.sequence) {
		uint8_t v[16];
		struct key k;

		put_le64(v, r.sequence);
		put_le64(v + 8, rec->index);
		key_u64(&k, KEY_SESSION, r.session);
		apply_put(s, key_bytes(&k), bytes_of(v, sizeof v));
	}
}
