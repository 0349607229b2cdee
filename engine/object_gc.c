/*
 * Garbage: contents that lost their object, and what sessions left behind.
 */
#include "engine/object.h"

#include "engine/base/assert.h"

#include <sys/stat.h>

#define STEP_EXTENTS 512u /* removed per transaction */
#define STEP_LESS 8u      /* divides that, on a full disk */
#define SWEEP_BATCH 64u

struct first_keys {
	struct key k[SWEEP_BATCH];
	struct bytes value; /* of the first, copied */
	uint8_t b[16 + KEY_NAME_MAX];
	uint32_t count, max;
};

static bool take_key(void *arg, struct bytes key, struct bytes value)
{
	struct first_keys *f = arg;

	if (!f->count && value.len <= sizeof f->b) {
		if (value.len)
			memcpy(f->b, value.p, value.len);
		f->value = bytes_of(f->b, value.len);
	}
	memcpy(f->k[f->count].b, key.p, key.len);
	f->k[f->count++].len = (uint16_t)key.len;
	return f->count < f->max;
}

struct drop {
	struct txn *t;
	uint32_t count, max;
	enum vs_err err;
};

static bool drop_extent(void *arg, struct bytes key, struct bytes value)
{
	struct drop *d = arg;
	struct object_extent e;
	struct key k;

	d->err = object_extent_decode(key, value, &e);
	if (d->err)
		return false;
	memcpy(k.b, key.p, key.len);
	k.len = (uint16_t)key.len;
	txn_del(d->t, &k);
	key_chunk(&k, e.index, e.data_off);
	txn_ref(d->t, &k, -1);
	return ++d->count < d->max && !d->t->bad;
}

static enum vs_err gc_step(struct store *s, uint32_t max, bool *more, uint64_t *contents,
			   uint64_t *bytes)
{
	struct first_keys f = {.max = 1};
	struct drop d = {.max = max};
	struct store_stats before, after;
	struct store_result res;
	struct key prefix, extents;
	struct txn t;
	enum vs_err err;

	*more = false;
	key_kind(&prefix, KEY_GARBAGE);
	err = store_scan(s, NULL, &prefix, &prefix, take_key, &f);
	if (err || !f.count)
		return err;
	vs_assert(f.k[0].len == 9);
	txn_init(&t);
	t.use_reserve = true;
	d.t = &t;
	/* another collector may be at it: only while it is still queued */
	txn_if_present(&t, &f.k[0]);
	key_u64(&extents, KEY_EXTENT, get_be64(f.k[0].b + 1));
	err = store_scan(s, NULL, &extents, &extents, drop_extent, &d);
	if (!err)
		err = d.err;
	if (!err && d.count < d.max)
		txn_del(&t, &f.k[0]);
	store_stats(s, &before);
	if (!err)
		err = store_propose(s, &t, &res);
	store_stats(s, &after);
	if (!err && before.live_bytes > after.live_bytes)
		*bytes += before.live_bytes - after.live_bytes;
	if (!err && d.count < d.max)
		++*contents;
	txn_fini(&t);
	*more = err == VS_OK || err == VS_ERR_COND;
	return err == VS_ERR_COND ? VS_OK : err;
}

enum vs_err object_gc_step(struct store *s, bool *more, uint64_t *contents, uint64_t *bytes)
{
	uint32_t most = (store_changes_max(s) - 2) / 2;
	uint32_t max = most < STEP_EXTENTS ? most : STEP_EXTENTS;
	enum vs_err err;

	/* A tree that cannot grow may have room for a small transaction only (F84). */
	do {
		err = gc_step(s, max, more, contents, bytes);
		max /= STEP_LESS;
	} while (err == VS_ERR_NOSPC && max);
	return err;
}

/* --- sessions --- */

/* Take back a pending object: entry, record, content; as if it had never been. */
static enum vs_err sweep_pending(struct store *s, struct txn *t, const struct key *k,
				 struct bytes value)
{
	uint64_t id = get_be64(k->b + 9);
	struct object_entry e;
	struct object_raw raw;
	struct object o;
	struct bytes name;
	enum vs_err err;

	txn_if_present(t, k);
	txn_del(t, k);
	err = object_get(s, id, &raw, &o);
	if (err)
		return err == VS_ERR_NOENT ? VS_OK : err;
	err = object_txn_delete(s, t, id, &raw, &o);
	if (err || value.len < 17)
		return err;
	name = bytes_of((const uint8_t *)value.p + 16, value.len - 16);
	err = object_lookup(s, get_le64(value.p), name, &e);
	if (err)
		return err == VS_ERR_NOENT ? VS_OK : err;
	if (e.object == id)
		object_txn_unlink(t, get_le64(value.p), name, &e, 0);
	return VS_OK;
}

static enum vs_err sweep_unlinked(struct store *s, struct txn *t, const struct key *k)
{
	uint64_t id = get_be64(k->b + 9);
	struct object_raw raw;
	struct object o;
	enum vs_err err;

	txn_if_present(t, k);
	txn_del(t, k);
	err = object_get(s, id, &raw, &o);
	if (err || o.nlink)
		return err == VS_ERR_NOENT ? VS_OK : err;
	return object_txn_delete(s, t, id, &raw, &o);
}

static enum vs_err sweep_content(struct store *s, struct txn *t, const struct key *k)
{
	txn_if_present(t, k);
	txn_del(t, k);
	return object_txn_drop_content(s, t, get_be64(k->b + 9));
}

/* Undo one leftover of kind under prefix, behind *from; VS_ERR_END when there is none. */
static enum vs_err sweep_one(struct store *s, enum key_kind kind, const struct key *prefix,
			     uint64_t keep, struct key *from)
{
	struct first_keys f = {.max = 1};
	struct store_result res;
	struct txn t;
	enum vs_err err = store_scan(s, NULL, prefix, from, take_key, &f);

	if (err || !f.count)
		return err ? err : VS_ERR_END;
	vs_assert(f.k[0].len == 17);
	if (keep && get_be64(f.k[0].b + 1) == keep) {
		key_u64(from, kind, keep + 1);
		return VS_OK;
	}
	txn_init(&t);
	t.use_reserve = true;
	if (kind == KEY_PENDING)
		err = sweep_pending(s, &t, &f.k[0], f.value);
	else if (kind == KEY_UNLINKED)
		err = sweep_unlinked(s, &t, &f.k[0]);
	else
		err = sweep_content(s, &t, &f.k[0]);
	if (!err)
		err = store_propose(s, &t, &res);
	txn_fini(&t);
	return err == VS_ERR_COND ? VS_OK : err;
}

static enum vs_err sweep(struct store *s, bool one, uint64_t session, uint64_t keep)
{
	static const enum key_kind kinds[] = {KEY_PENDING, KEY_PENDING_CONTENT, KEY_UNLINKED};
	enum vs_err err = VS_OK;

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !err; i++) {
		struct key prefix, from;

		if (one)
			key_u64(&prefix, kinds[i], session);
		else
			key_kind(&prefix, kinds[i]);
		from = prefix;
		do
			err = sweep_one(s, kinds[i], &prefix, keep, &from);
		while (!err);
		if (err == VS_ERR_END)
			err = VS_OK;
	}
	return err;
}

enum vs_err object_sweep_sessions(struct store *s, uint64_t keep)
{
	return sweep(s, false, 0, keep);
}

enum vs_err object_sweep_session(struct store *s, uint64_t session)
{
	return sweep(s, true, session, 0);
}
