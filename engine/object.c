/*
 * Records, entries and attributes: codecs and the changes they add to a
 * transaction.  Contents are in object_content.c, garbage in object_gc.c.
 */
#include "engine/object.h"

#include "engine/base/assert.h"

#include <sys/stat.h>

#define RECORD_VERSION 1u
#define DIR_MODE_SHIFT 12u

/* --- codecs --- */

size_t object_encode(const struct object *o, uint8_t out[OBJECT_RECORD_MAX])
{
	struct writer w = writer_of(out, OBJECT_RECORD_MAX);

	writer_u8(&w, RECORD_VERSION);
	writer_u8(&w, (uint8_t)o->flags);
	writer_le16(&w, 0);
	writer_le32(&w, o->mode);
	writer_le32(&w, o->uid);
	writer_le32(&w, o->gid);
	vs_assert(w.len == OBJECT_OFF_NLINK);
	writer_le64(&w, o->nlink);
	writer_le64(&w, o->size);
	writer_le64(&w, o->alloc_bytes);
	vs_assert(w.len == OBJECT_OFF_ATIME);
	writer_le64(&w, (uint64_t)o->atime_ns);
	vs_assert(w.len == OBJECT_OFF_MTIME);
	writer_le64(&w, (uint64_t)o->mtime_ns);
	vs_assert(w.len == OBJECT_OFF_CTIME);
	writer_le64(&w, (uint64_t)o->ctime_ns);
	writer_le64(&w, (uint64_t)o->btime_ns);
	writer_le64(&w, o->content);
	writer_le64(&w, o->session);
	writer_le64(&w, o->parent);
	vs_assert(w.len == OBJECT_OFF_ENTRIES);
	writer_le64(&w, o->entries);
	writer_le64(&w, o->rdev);
	vs_assert(w.len == OBJECT_OFF_CHANGE);
	writer_le64(&w, o->change);
	vs_assert(w.len == OBJECT_FIXED);
	writer_bytes(&w, o->tail.p, o->tail.len);
	vs_assert(!w.bad);
	return w.len;
}

enum vs_err object_decode(struct bytes v, struct object *out)
{
	struct reader r = reader_of(v.p, v.len);

	if (reader_u8(&r) != RECORD_VERSION)
		return VS_ERR_CORRUPT_VALUE;
	out->flags = reader_u8(&r);
	reader_le16(&r);
	out->mode = reader_le32(&r);
	out->uid = reader_le32(&r);
	out->gid = reader_le32(&r);
	out->nlink = reader_le64(&r);
	out->size = reader_le64(&r);
	out->alloc_bytes = reader_le64(&r);
	out->atime_ns = (int64_t)reader_le64(&r);
	out->mtime_ns = (int64_t)reader_le64(&r);
	out->ctime_ns = (int64_t)reader_le64(&r);
	out->btime_ns = (int64_t)reader_le64(&r);
	out->content = reader_le64(&r);
	out->session = reader_le64(&r);
	out->parent = reader_le64(&r);
	out->entries = reader_le64(&r);
	out->rdev = reader_le64(&r);
	out->change = reader_le64(&r);
	out->tail.len = r.len - r.off;
	out->tail.p = reader_take(&r, out->tail.len);
	return r.bad ? VS_ERR_CORRUPT_VALUE : VS_OK;
}

#define ENTRY_FIXED 17u

static void entry_encode(const struct object_entry *e, uint8_t out[ENTRY_FIXED])
{
	put_le64(out, e->object);
	put_le64(out + 8, e->cookie);
	out[16] = e->type;
}

enum vs_err object_entry_decode(struct bytes v, struct object_entry *out)
{
	const uint8_t *p = v.p;

	if (v.len != ENTRY_FIXED)
		return VS_ERR_CORRUPT_VALUE;
	out->object = get_le64(p);
	out->cookie = get_le64(p + 8);
	out->type = p[16];
	return VS_OK;
}

/* 'D' value: u64 object, u8 type, name. */
static size_t dirent_encode(const struct object_entry *e, struct bytes name,
			    uint8_t out[9 + KEY_NAME_MAX])
{
	put_le64(out, e->object);
	out[8] = e->type;
	memcpy(out + 9, name.p, name.len);
	return 9 + name.len;
}

enum vs_err object_dirent_decode(struct bytes key, struct bytes v, struct object_entry *out,
				 struct bytes *name)
{
	const uint8_t *p = v.p;

	if (key.len != 17 || v.len < 10 || v.len > 9 + KEY_NAME_MAX)
		return VS_ERR_CORRUPT_VALUE;
	out->object = get_le64(p);
	out->type = p[8];
	out->cookie = get_be64((const uint8_t *)key.p + 9);
	*name = bytes_of(p + 9, v.len - 9);
	return VS_OK;
}

/* --- reading --- */

enum vs_err object_get(struct store *s, uint64_t id, struct object_raw *raw, struct object *out)
{
	struct key k;
	enum vs_err err;

	key_u64(&k, KEY_OBJECT, id);
	err = store_get(s, &k, raw->b, sizeof raw->b, &raw->len);
	if (!err && raw->len > sizeof raw->b)
		err = VS_ERR_CORRUPT_VALUE;
	return err ? err : object_decode(bytes_of(raw->b, raw->len), out);
}

enum vs_err object_lookup(struct store *s, uint64_t bucket, struct bytes name,
			  struct object_entry *out)
{
	uint8_t v[ENTRY_FIXED];
	struct key k;
	size_t len;
	enum vs_err err;

	if (!name.len || name.len > KEY_NAME_MAX)
		return name.len ? VS_ERR_NAMETOOLONG : VS_ERR_NOENT;
	key_u64_name(&k, KEY_ENTRY, bucket, name);
	err = store_get(s, &k, v, sizeof v, &len);
	return err ? err : object_entry_decode(bytes_of(v, len), out);
}

/* --- records and entries --- */

void object_txn_put(struct txn *t, uint64_t id, const struct object *o,
		    const struct object_raw *old)
{
	uint8_t b[OBJECT_RECORD_MAX];
	size_t len = object_encode(o, b);
	struct key k;

	key_u64(&k, KEY_OBJECT, id);
	if (old)
		txn_if_value(t, &k, bytes_of(old->b, old->len));
	txn_put(t, &k, bytes_of(b, len));
}

/* The bucket changed: d entries more or less, times at least now. */
static void touch_bucket(struct txn *t, uint64_t bucket, int64_t d, int64_t now_ns)
{
	struct key k;

	key_u64(&k, KEY_OBJECT, bucket);
	if (d)
		txn_add(t, &k, OBJECT_OFF_ENTRIES, d);
	txn_max(t, &k, OBJECT_OFF_MTIME, now_ns);
	txn_max(t, &k, OBJECT_OFF_CTIME, now_ns);
	txn_add(t, &k, OBJECT_OFF_CHANGE, 1);
}

static void put_entry(struct txn *t, uint64_t bucket, struct bytes name,
		      const struct object_entry *e)
{
	uint8_t v[ENTRY_FIXED], d[9 + KEY_NAME_MAX];
	struct key k;
	size_t len;

	entry_encode(e, v);
	key_u64_name(&k, KEY_ENTRY, bucket, name);
	txn_put(t, &k, bytes_of(v, sizeof v));
	len = dirent_encode(e, name, d);
	key_u64_u64(&k, KEY_DIRENT, bucket, e->cookie);
	txn_put(t, &k, bytes_of(d, len));
}

static void if_entry(struct txn *t, uint64_t bucket, struct bytes name,
		     const struct object_entry *e)
{
	uint8_t v[ENTRY_FIXED];
	struct key k;

	entry_encode(e, v);
	key_u64_name(&k, KEY_ENTRY, bucket, name);
	txn_if_value(t, &k, bytes_of(v, sizeof v));
}

void object_txn_link(struct txn *t, uint64_t bucket, struct bytes name,
		     const struct object_entry *e, int64_t now_ns)
{
	struct key k;

	vs_assert(name.len && name.len <= KEY_NAME_MAX && e->object && e->cookie);
	key_u64_name(&k, KEY_ENTRY, bucket, name);
	txn_if_absent(t, &k);
	put_entry(t, bucket, name, e);
	touch_bucket(t, bucket, 1, now_ns);
}

void object_txn_unlink(struct txn *t, uint64_t bucket, struct bytes name,
		       const struct object_entry *e, int64_t now_ns)
{
	struct key k;

	if_entry(t, bucket, name, e);
	key_u64_name(&k, KEY_ENTRY, bucket, name);
	txn_del(t, &k);
	key_u64_u64(&k, KEY_DIRENT, bucket, e->cookie);
	txn_del(t, &k);
	touch_bucket(t, bucket, -1, now_ns);
}

void object_txn_relink(struct txn *t, uint64_t bucket, struct bytes name,
		       const struct object_entry *old, uint64_t object, uint8_t type,
		       int64_t now_ns)
{
	struct object_entry e = {object, old->cookie, type};

	if_entry(t, bucket, name, old);
	put_entry(t, bucket, name, &e);
	touch_bucket(t, bucket, 0, now_ns);
}

enum vs_err object_format(struct store *s, uint32_t uid, uint32_t gid, uint32_t mode)
{
	int64_t now = (int64_t)store_now_ns(s);
	struct object root = {.mode = S_IFDIR | (mode & 07777),
			      .uid = uid,
			      .gid = gid,
			      .nlink = 2,
			      .atime_ns = now,
			      .mtime_ns = now,
			      .ctime_ns = now,
			      .btime_ns = now,
			      .parent = OBJECT_ROOT};
	struct store_result res;
	struct key k;
	struct txn t;
	enum vs_err err;

	txn_init(&t);
	key_u64(&k, KEY_OBJECT, OBJECT_ROOT);
	txn_if_absent(&t, &k);
	object_txn_put(&t, OBJECT_ROOT, &root, NULL);
	err = store_propose(s, &t, &res);
	txn_fini(&t);
	if (err == VS_ERR_COND)
		return VS_OK; /* there is one already */
	return err ? err : store_sync(s, res.index);
}

/* --- extended attributes --- */

/*
 * 'A' value: u8 0, bytes | u8 1, u64 chunk index, u32 data offset, u32 length.
 */
#define XATTR_INLINE 0u
#define XATTR_CHUNK 1u
#define XATTR_CHUNK_BYTES 17u
#define XATTR_INLINE_MAX (TREE_VALUE_MAX - 16u)

bool object_xattr_chunk(struct bytes v, uint64_t *index, uint32_t *data_off)
{
	const uint8_t *p = v.p;

	if (v.len != XATTR_CHUNK_BYTES || p[0] != XATTR_CHUNK)
		return false;
	*index = get_le64(p + 1);
	*data_off = get_le32(p + 9);
	return true;
}

enum vs_err object_xattr_get(struct store *s, uint64_t id, struct bytes name, void *buf, size_t cap,
			     size_t *len)
{
	uint8_t v[TREE_VALUE_MAX];
	uint64_t index;
	uint32_t off;
	struct key k;
	size_t n;
	enum vs_err err;

	key_u64_name(&k, KEY_XATTR, id, name);
	err = store_get(s, &k, v, sizeof v, &n);
	if (err)
		return err == VS_ERR_NOENT ? VS_ERR_NODATA : err;
	if (!n || n > sizeof v)
		return VS_ERR_CORRUPT_VALUE;
	if (!object_xattr_chunk(bytes_of(v, n), &index, &off)) {
		*len = n - 1;
		memcpy(buf, v + 1, *len < cap ? *len : cap);
		return VS_OK;
	}
	*len = get_le32(v + 13);
	if (*len > OBJECT_XATTR_MAX)
		return VS_ERR_CORRUPT_VALUE;
	return *len <= cap ? store_chunk_read(s, index, off, 0, buf, (uint32_t)*len) : VS_OK;
}

/* The present value goes, and its chunk with it. */
static enum vs_err drop_xattr(struct store *s, struct txn *t, const struct key *k, bool *present)
{
	uint8_t v[TREE_VALUE_MAX];
	uint64_t index;
	uint32_t off;
	struct key chunk;
	size_t n;
	enum vs_err err = store_get(s, k, v, sizeof v, &n);

	*present = err == VS_OK;
	if (err)
		return err == VS_ERR_NOENT ? VS_OK : err;
	txn_if_value(t, k, bytes_of(v, n));
	if (object_xattr_chunk(bytes_of(v, n), &index, &off)) {
		key_chunk(&chunk, index, off);
		txn_ref(t, &chunk, -1);
	}
	return VS_OK;
}

enum vs_err object_txn_xattr(struct store *s, struct txn *t, uint64_t id, struct bytes name,
			     struct bytes value)
{
	uint8_t v[TREE_VALUE_MAX];
	struct key k;
	bool present;
	enum vs_err err;

	vs_assert(name.len && name.len <= KEY_NAME_MAX && value.len <= OBJECT_XATTR_MAX);
	key_u64_name(&k, KEY_XATTR, id, name);
	err = drop_xattr(s, t, &k, &present);
	if (err)
		return err;
	if (!present)
		txn_if_absent(t, &k);
	if (!value.p) {
		txn_del(t, &k);
	} else if (value.len <= XATTR_INLINE_MAX) {
		v[0] = XATTR_INLINE;
		memcpy(v + 1, value.p, value.len);
		txn_put(t, &k, bytes_of(v, 1 + value.len));
	} else {
		vs_assert(!t->data.len);
		t->data = value;
		txn_chunk(t, 0, (uint32_t)value.len, 1);
		v[0] = XATTR_CHUNK;
		put_le64(v + 1, 0);
		put_le32(v + 9, 0);
		put_le32(v + 13, (uint32_t)value.len);
		txn_put_self(t, &k, bytes_of(v, XATTR_CHUNK_BYTES), 1);
	}
	return VS_OK;
}

struct xattr_drop {
	struct txn *t;
};

static bool drop_one_xattr(void *arg, struct bytes key, struct bytes value)
{
	struct xattr_drop *d = arg;
	uint64_t index;
	uint32_t off;
	struct key k;

	if (object_xattr_chunk(value, &index, &off)) {
		key_chunk(&k, index, off);
		txn_ref(d->t, &k, -1);
	}
	memcpy(k.b, key.p, key.len);
	k.len = (uint16_t)key.len;
	txn_del(d->t, &k);
	return !d->t->bad;
}

enum vs_err object_txn_delete(struct store *s, struct txn *t, uint64_t id,
			      const struct object_raw *raw, const struct object *o)
{
	struct xattr_drop d = {t};
	struct key k, prefix;
	enum vs_err err = VS_OK;

	t->use_reserve = true;
	key_u64(&k, KEY_OBJECT, id);
	txn_if_value(t, &k, bytes_of(raw->b, raw->len));
	txn_del(t, &k);
	if (o->flags & (OBJECT_HAS_XATTR | OBJECT_HAS_ACL | OBJECT_HAS_DEFACL)) {
		key_u64(&prefix, KEY_XATTR, id);
		err = store_scan(s, NULL, &prefix, &prefix, drop_one_xattr, &d);
	}
	if (!err && o->content)
		err = object_txn_drop_content(s, t, o->content);
	return err;
}
