/* Operations on pairs, names and attributes. */
#include "engine/base/assert.h"
#include "tests/lib/work_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define DIR_TYPE (S_IFDIR >> 12)
#define FILE_TYPE (S_IFREG >> 12)
#define DIRS_MAX 5u
#define OBJECTS_MAX 24u

/* --- helpers --- */

static bool is_kind(const struct model_object *x, enum work_kind kind)
{
	bool file = S_ISREG(x->o.mode) && x->o.nlink && !x->o.session;

	switch (kind) {
	case WORK_DIR:
		return S_ISDIR(x->o.mode);
	case WORK_SUBDIR:
		return S_ISDIR(x->o.mode) && x->id != OBJECT_ROOT;
	case WORK_FILE:
		return file;
	case WORK_FILLED:
		return file && x->o.content;
	case WORK_PENDING:
		return x->o.session != 0;
	default:
		return true;
	}
}

uint64_t work_pick(struct work *w, enum work_kind kind)
{
	uint64_t id = 0;
	uint32_t seen = 0;

	for (uint32_t i = 0; i < w->now.objects; i++)
		if (is_kind(&w->now.object[i], kind) && rnd_chance(&w->rnd, 1, ++seen))
			id = w->now.object[i].id;
	return id;
}

struct model_pair *work_pick_pair(struct work *w, enum key_kind kind)
{
	struct model_pair *p = NULL;
	uint32_t seen = 0;

	for (uint32_t i = 0; i < w->now.pairs; i++)
		if (w->now.pair[i].k.b[0] == kind && rnd_chance(&w->rnd, 1, ++seen))
			p = &w->now.pair[i];
	return p;
}

static size_t encode(const struct model_object *x, uint8_t out[OBJECT_RECORD_MAX])
{
	struct object o = x->o;

	o.tail = bytes_of(x->tail, x->tail_len);
	return object_encode(&o, out);
}

enum vs_err work_record(struct work *w, uint64_t id, struct object_raw *raw)
{
	uint8_t want[OBJECT_RECORD_MAX];
	struct object o;
	size_t len = encode(model_object(&w->now, id), want);
	enum vs_err err = object_get(w->s, id, raw, &o);

	if (!err && (raw->len != len || memcmp(raw->b, want, len)))
		work_wrong(w, "record of object %llu is not what the model says",
			   (unsigned long long)id);
	return err;
}

void work_put_record(struct txn *t, const struct model_object *x, const struct object_raw *raw)
{
	struct object o = x->o;

	o.tail = bytes_of(x->tail, x->tail_len);
	object_txn_put(t, x->id, &o, raw);
}

struct model_object work_changed(struct work *w, uint64_t id)
{
	struct model_object x = *model_object(&w->now, id);

	x.o.ctime_ns = w->clock;
	x.o.change++;
	return x;
}

void work_note_now(struct work *w)
{
	work_note(w, w->index, false);
}

/* A name for a new entry: mostly short, now and then as long as they get. */
static struct bytes make_name(struct work *w, uint8_t out[KEY_NAME_MAX])
{
	int n = snprintf((char *)out, 32, "name-%u", (unsigned)rnd_below(&w->rnd, 100));
	size_t len = (size_t)n;

	if (rnd_chance(&w->rnd, 1, 8)) {
		memset(out + len, 'x', KEY_NAME_MAX - len);
		len = KEY_NAME_MAX;
	}
	return bytes_of(out, len);
}

/* An absent name in a random bucket; false: none found. */
static bool pick_place(struct work *w, uint64_t *dir, uint8_t buf[KEY_NAME_MAX], struct bytes *name)
{
	*dir = work_pick(w, WORK_DIR);
	for (int i = 0; i < 5; i++) {
		*name = make_name(w, buf);
		if (!model_entry(&w->now, *dir, *name))
			return true;
	}
	return false;
}

static struct object_entry entry_of(const struct model_entry *e)
{
	return (struct object_entry){e->object, e->cookie, e->type};
}

/* A copy of a random entry of a committed file; false: there is none. */
static bool pick_entry(struct work *w, uint64_t but, struct model_entry *out)
{
	uint32_t seen = 0;

	for (uint32_t i = 0; i < w->now.entries; i++) {
		struct model_entry *e = &w->now.entry[i];

		if (e->object != but && is_kind(model_object(&w->now, e->object), WORK_FILE) &&
		    rnd_chance(&w->rnd, 1, ++seen))
			*out = *e;
	}
	return seen > 0;
}

/* --- pairs --- */

static size_t make_value(struct work *w, uint8_t out[TREE_VALUE_MAX])
{
	size_t len = rnd_chance(&w->rnd, 1, 4) ? rnd_below(&w->rnd, TREE_VALUE_MAX + 1)
					       : rnd_below(&w->rnd, 100);

	rnd_fill(&w->rnd, out, len);
	return len;
}

static void make_key(struct work *w, struct key *k)
{
	char name[16];
	int n = snprintf(name, sizeof name, "k%u", (unsigned)rnd_below(&w->rnd, 40));

	key_text(k, KEY_KV, bytes_of(name, (size_t)n));
}

static enum vs_err kv_put(struct work *w, uint32_t count)
{
	uint8_t v[TREE_VALUE_MAX];
	size_t len = make_value(w, v);
	struct key *k = calloc(count, sizeof *k);
	enum vs_err err = VS_OK;
	struct txn t;

	vs_assert(k);
	txn_init(&t);
	for (uint32_t i = 0; i < count; i++) {
		make_key(w, &k[i]);
		txn_put(&t, &k[i], bytes_of(v, len));
	}
	if (work_propose(w, &t, &err)) {
		for (uint32_t i = 0; i < count; i++)
			model_pair_put(&w->now, &k[i], bytes_of(v, len));
		work_note_now(w);
	}
	free(k);
	return err;
}

static enum vs_err kv_del(struct work *w)
{
	struct model_pair *p = work_pick_pair(w, KEY_KV);
	enum vs_err err = VS_OK;
	struct key k;
	struct txn t;

	if (!p)
		return VS_OK;
	k = p->k;
	txn_init(&t);
	t.use_reserve = true;
	txn_if_value(&t, &k, bytes_of(p->value, p->len));
	txn_del(&t, &k);
	if (work_propose(w, &t, &err)) {
		model_pair_drop(&w->now, &k);
		work_note_now(w);
	}
	return err;
}

/* --- buckets and names --- */

static void add_links(struct txn *t, struct model *m, uint64_t dir, int d)
{
	struct key k;

	key_u64(&k, KEY_OBJECT, dir);
	if (t)
		txn_add(t, &k, OBJECT_OFF_NLINK, d);
	else
		model_object(m, dir)->o.nlink += (uint64_t)(int64_t)d;
}

static enum vs_err make_dir(struct work *w)
{
	uint8_t buf[KEY_NAME_MAX];
	struct model_object x = {.o = {.mode = S_IFDIR | 0755, .nlink = 2, .change = 1}};
	struct object_entry e;
	struct bytes name;
	struct txn t;
	uint64_t dir, id;
	uint32_t dirs = 0;
	enum vs_err err;

	for (uint32_t i = 0; i < w->now.objects; i++)
		dirs += S_ISDIR(w->now.object[i].o.mode);
	if (dirs >= DIRS_MAX || !pick_place(w, &dir, buf, &name))
		return VS_OK;
	err = work_ids(w, 2, &id);
	if (err)
		return err;
	x.id = id;
	x.o.mtime_ns = x.o.ctime_ns = w->clock;
	x.o.parent = dir;
	e = (struct object_entry){id, id + 1, DIR_TYPE};
	txn_init(&t);
	work_put_record(&t, &x, NULL);
	object_txn_link(&t, dir, name, &e, w->clock);
	add_links(&t, NULL, dir, 1);
	if (work_propose(w, &t, &err)) {
		*model_object_add(&w->now, id) = x;
		model_link(&w->now, dir, name, &e, w->clock);
		add_links(NULL, &w->now, dir, 1);
		work_note_now(w);
	}
	return err;
}

static enum vs_err remove_dir(struct work *w)
{
	uint64_t id = work_pick(w, WORK_SUBDIR);
	struct model_entry *e = NULL, c;
	struct object_entry oe;
	struct object_raw raw;
	struct txn t;
	enum vs_err err;

	if (!id || model_object(&w->now, id)->o.entries)
		return VS_OK;
	for (uint32_t i = 0; i < w->now.entries && !e; i++)
		e = w->now.entry[i].object == id ? &w->now.entry[i] : NULL;
	vs_assert(e);
	c = *e;
	oe = entry_of(&c);
	err = work_record(w, id, &raw);
	txn_init(&t);
	if (!err) {
		object_txn_unlink(&t, c.bucket, bytes_of(c.name, c.len), &oe, w->clock);
		add_links(&t, NULL, c.bucket, -1);
		err = object_txn_delete(w->s, &t, id, &raw, &model_object(&w->now, id)->o);
	}
	if (work_propose(w, &t, &err)) {
		model_unlink(&w->now, c.bucket, bytes_of(c.name, c.len), w->clock);
		add_links(NULL, &w->now, c.bucket, -1);
		model_object_drop(&w->now, id);
		work_note_now(w);
	}
	return err;
}

static enum vs_err link_file(struct work *w)
{
	uint64_t id = work_pick(w, WORK_FILE), dir, cookie;
	uint8_t buf[KEY_NAME_MAX];
	struct model_object x;
	struct object_entry e;
	struct object_raw raw;
	struct bytes name;
	struct txn t;
	enum vs_err err;

	if (!id || !pick_place(w, &dir, buf, &name))
		return VS_OK;
	err = work_ids(w, 1, &cookie);
	if (!err)
		err = work_record(w, id, &raw);
	if (err)
		return err;
	x = work_changed(w, id);
	x.o.nlink++;
	e = (struct object_entry){id, cookie, FILE_TYPE};
	txn_init(&t);
	work_put_record(&t, &x, &raw);
	object_txn_link(&t, dir, name, &e, w->clock);
	if (work_propose(w, &t, &err)) {
		*model_object(&w->now, id) = x;
		model_link(&w->now, dir, name, &e, w->clock);
		work_note_now(w);
	}
	return err;
}

/* What becomes of a file that loses a name: one link less, gone, or marked as open. */
struct loss {
	struct model_object x;
	struct key mark;
	bool gone, marked;
};

static enum vs_err lose_name(struct work *w, struct txn *t, uint64_t id, bool open, struct loss *l)
{
	struct object_raw raw;
	uint64_t session;
	enum vs_err err = work_record(w, id, &raw);

	l->x = work_changed(w, id);
	l->x.o.nlink--;
	l->gone = !l->x.o.nlink && !open;
	l->marked = !l->x.o.nlink && open;
	if (!err && l->marked) {
		err = work_ids(w, 1, &session);
		if (err)
			return err;
		key_u64_u64(&l->mark, KEY_UNLINKED, session, id);
		txn_put(t, &l->mark, bytes_of(NULL, 0));
	}
	if (err)
		return err;
	t->use_reserve = true;
	if (l->gone)
		return object_txn_delete(w->s, t, id, &raw, &l->x.o);
	work_put_record(t, &l->x, &raw);
	return VS_OK;
}

static void model_lose_name(struct work *w, const struct loss *l)
{
	if (l->gone) {
		model_object_drop(&w->now, l->x.id);
		model_content_drop(&w->now, l->x.o.content);
		return;
	}
	*model_object(&w->now, l->x.id) = l->x;
	if (l->marked)
		model_pair_put(&w->now, &l->mark, bytes_of(NULL, 0));
}

static enum vs_err unlink_file(struct work *w, bool open)
{
	struct model_entry c;
	struct object_entry e;
	struct bytes name;
	struct loss l;
	struct txn t;
	enum vs_err err;

	if (!pick_entry(w, 0, &c))
		return VS_OK;
	e = entry_of(&c);
	name = bytes_of(c.name, c.len);
	txn_init(&t);
	err = lose_name(w, &t, c.object, open, &l);
	if (!err)
		object_txn_unlink(&t, c.bucket, name, &e, w->clock);
	if (work_propose(w, &t, &err)) {
		model_unlink(&w->now, c.bucket, name, w->clock);
		model_lose_name(w, &l);
		work_note_now(w);
	}
	return err;
}

static enum vs_err rename_file(struct work *w)
{
	uint8_t buf[KEY_NAME_MAX];
	struct model_entry c;
	struct object_entry from, to;
	struct bytes old, name;
	struct txn t;
	uint64_t dir, cookie;
	enum vs_err err;

	if (!pick_entry(w, 0, &c) || !pick_place(w, &dir, buf, &name))
		return VS_OK;
	err = work_ids(w, 1, &cookie);
	if (err)
		return err;
	from = entry_of(&c);
	to = (struct object_entry){c.object, cookie, c.type};
	old = bytes_of(c.name, c.len);
	txn_init(&t);
	object_txn_unlink(&t, c.bucket, old, &from, w->clock);
	object_txn_link(&t, dir, name, &to, w->clock);
	if (work_propose(w, &t, &err)) {
		model_unlink(&w->now, c.bucket, old, w->clock);
		model_link(&w->now, dir, name, &to, w->clock);
		work_note_now(w);
	}
	return err;
}

static enum vs_err rename_over(struct work *w)
{
	struct model_entry a, b;
	struct object_entry from, over;
	struct bytes old, name;
	struct loss l;
	struct txn t;
	enum vs_err err;

	if (!pick_entry(w, 0, &a) || !pick_entry(w, a.object, &b))
		return VS_OK;
	from = entry_of(&a);
	over = entry_of(&b);
	old = bytes_of(a.name, a.len);
	name = bytes_of(b.name, b.len);
	txn_init(&t);
	err = lose_name(w, &t, b.object, rnd_chance(&w->rnd, 1, 2), &l);
	if (!err) {
		object_txn_relink(&t, b.bucket, name, &over, a.object, a.type, w->clock);
		object_txn_unlink(&t, a.bucket, old, &from, w->clock);
	}
	if (work_propose(w, &t, &err)) {
		model_relink(&w->now, b.bucket, name, a.object, a.type, w->clock);
		model_unlink(&w->now, a.bucket, old, w->clock);
		model_lose_name(w, &l);
		work_note_now(w);
	}
	return err;
}

/* --- attributes --- */

static enum vs_err set_xattr(struct work *w, uint64_t id, struct bytes name, struct bytes value)
{
	struct model_object x;
	struct object_raw raw;
	struct key k;
	struct txn t;
	enum vs_err err = work_record(w, id, &raw);

	if (err)
		return err;
	x = work_changed(w, id);
	x.o.flags |= OBJECT_HAS_XATTR;
	txn_init(&t);
	work_put_record(&t, &x, &raw);
	err = object_txn_xattr(w->s, &t, id, name, value);
	if (work_propose(w, &t, &err)) {
		*model_object(&w->now, id) = x;
		key_u64_name(&k, KEY_XATTR, id, name);
		if (value.p)
			model_pair_put(&w->now, &k, value);
		else
			model_pair_drop(&w->now, &k);
		work_note_now(w);
	}
	return err;
}

static enum vs_err put_xattr(struct work *w, bool big)
{
	uint64_t id = work_pick(w, WORK_ANY);
	size_t len = big ? rnd_between(&w->rnd, TREE_VALUE_MAX - 16, OBJECT_XATTR_MAX)
			 : rnd_below(&w->rnd, 200);
	uint8_t *value = malloc(len + 1);
	char name[16];
	int n = snprintf(name, sizeof name, "user.x%u", (unsigned)rnd_below(&w->rnd, 3));
	enum vs_err err;

	vs_assert(value && id);
	rnd_fill(&w->rnd, value, len);
	err = set_xattr(w, id, bytes_of(name, (size_t)n), bytes_of(value, len));
	free(value);
	return err;
}

static enum vs_err del_xattr(struct work *w)
{
	struct model_pair *p = work_pick_pair(w, KEY_XATTR);
	struct key k;

	if (!p)
		return VS_OK;
	k = p->k;
	return set_xattr(w, get_be64(k.b + 1), bytes_of(k.b + 9, k.len - 9u), bytes_of(NULL, 0));
}

static enum vs_err set_attr(struct work *w)
{
	uint64_t id = work_pick(w, WORK_ANY);
	struct model_object x;
	struct object_raw raw;
	struct txn t;
	enum vs_err err = work_record(w, id, &raw);

	if (err)
		return err;
	x = work_changed(w, id);
	x.o.uid = (uint32_t)rnd_next(&w->rnd);
	x.o.mode = (x.o.mode & S_IFMT) | (uint32_t)rnd_below(&w->rnd, 010000);
	x.o.atime_ns = w->clock;
	txn_init(&t);
	work_put_record(&t, &x, &raw);
	if (work_propose(w, &t, &err)) {
		*model_object(&w->now, id) = x;
		work_note_now(w);
	}
	return err;
}

/* --- conditions --- */

/* One condition of random kind that does not hold: nothing of the transaction may happen. */
static enum vs_err refused(struct work *w)
{
	uint64_t before = store_last_index(w->s);
	struct store_result res = {0, 0};
	struct key root, none, chunk;
	struct txn t;
	enum vs_err err;

	key_u64(&root, KEY_OBJECT, OBJECT_ROOT);
	key_u64(&none, KEY_OBJECT, UINT64_MAX);
	key_chunk(&chunk, UINT64_MAX, 0);
	txn_init(&t);
	txn_put(&t, &none, bytes_of("x", 1));
	switch (rnd_below(&w->rnd, 7)) {
	case 0:
		txn_if_value(&t, &root, bytes_of("what it was", 11));
		break;
	case 1:
		txn_if_absent(&t, &root);
		break;
	case 2:
		txn_if_present(&t, &none);
		break;
	case 3:
		txn_if_empty(&t, &root);
		break;
	case 4:
		txn_add(&t, &none, 0, 1);
		break;
	case 5:
		txn_max(&t, &root, UINT16_MAX, 1);
		break;
	default:
		txn_ref(&t, &chunk, 1);
	}
	err = store_propose(w->s, &t, &res);
	txn_fini(&t);
	/* a full disk, a stopped store may say so first */
	if (!err || store_last_index(w->s) < before)
		work_wrong(w, "a transaction happened although its condition does not hold");
	if (err == VS_ERR_COND && res.failed_item != 1)
		work_wrong(w, "item %u is said to have failed", res.failed_item);
	w->done[WORK_REFUSED] += err == VS_ERR_COND;
	return err == VS_ERR_COND ? VS_OK : err;
}

/* --- sessions --- */

/* Every mark has a session of its own, so that ending one is one transaction. */
static enum vs_err end_session(struct work *w)
{
	static const enum key_kind kinds[] = {KEY_PENDING, KEY_PENDING_CONTENT, KEY_UNLINKED};
	struct model_pair *p = work_pick_pair(w, kinds[rnd_below(&w->rnd, 3)]);
	uint64_t session, before = store_last_index(w->s);
	enum vs_err err;

	if (!p)
		return VS_OK;
	session = get_be64(p->k.b + 1);
	err = object_sweep_session(w->s, session);
	w->index = store_last_index(w->s);
	if (vs_err_class(err) == VS_CLASS_FATAL && err != VS_ERR_IO_READ && !w->stopped)
		w->stopped = err;
	if (w->index > before && (!err || vs_err_class(err) == VS_CLASS_FATAL)) {
		model_sweep(&w->now, session);
		work_note(w, w->index, err != VS_OK);
		if (!err)
			w->acked = w->index;
	}
	return err;
}

enum vs_err work_change(struct work *w, enum work_op op)
{
	w->index = 0;
	if (w->now.objects > OBJECTS_MAX && op < WORK_CREATE)
		op = WORK_UNLINK;
	switch (op) {
	case WORK_KV_PUT:
		return kv_put(w, 1);
	case WORK_KV_MULTI:
		return kv_put(w, (uint32_t)rnd_between(&w->rnd, 2, 12));
	case WORK_KV_DEL:
		return kv_del(w);
	case WORK_MKDIR:
		return make_dir(w);
	case WORK_RMDIR:
		return remove_dir(w);
	case WORK_LINK:
		return link_file(w);
	case WORK_UNLINK:
		return unlink_file(w, false);
	case WORK_UNLINK_OPEN:
		return unlink_file(w, true);
	case WORK_RENAME:
		return rename_file(w);
	case WORK_RENAME_OVER:
		return rename_over(w);
	case WORK_XATTR:
		return put_xattr(w, false);
	case WORK_XATTR_BIG:
		return put_xattr(w, true);
	case WORK_XATTR_DEL:
		return del_xattr(w);
	case WORK_SETATTR:
		return set_attr(w);
	case WORK_REFUSED:
		return refused(w);
	default:
		vs_assert(op == WORK_END_SESSION);
		return end_session(w);
	}
}
