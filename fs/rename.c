/*
 * rename: moving, replacing and exchanging names in one transaction.
 *
 * A directory that moves to another one must not move below itself.  Two such
 * moves could make a circle together though each alone does not, so they are
 * ordered: each is conditional on the system value "dir-rename" being what it
 * was before the ancestors were looked at, and changes it (V8).
 */
#include "fs/fs_int.h"

enum { DEPTH_MAX = 1 << 20 };

/* One side of a rename: a name, what it stands for, and the object. */
struct side {
	uint64_t dir;
	struct bytes name;
	struct object_entry e;
	bool there;
	struct object_raw raw;
	struct object o;
	struct inode *i; /* claimed; NULL for directories */
};

struct renaming {
	struct fs *fs;
	struct vfs_call *c;
	struct side from, to;
	uint64_t cookie; /* of the new name */
	uint32_t flags;
	int64_t now;
};

static bool is_dir(const struct side *s)
{
	return s->there && S_ISDIR((uint32_t)s->e.type << 12);
}

static enum vs_err VS_MUST_USE look(struct fs *fs, struct side *s)
{
	enum vs_err err = object_lookup(fs->store, s->dir, s->name, &s->e);

	s->there = !err;
	return err == VS_ERR_NOENT ? VS_OK : err;
}

/* The object, and for what may be open the claim on it; VS_ERR_COND: it went meanwhile. */
static enum vs_err VS_MUST_USE load(struct fs *fs, struct side *s)
{
	enum vs_err err;

	if (!s->there)
		return VS_OK;
	err = fs_get(fs, s->e.object, &s->raw, &s->o);
	if (!err && S_ISDIR(s->o.mode) != is_dir(s))
		err = VS_ERR_CORRUPT_VALUE;
	return err == VS_ERR_NOENT ? VS_ERR_COND : err;
}

static uint64_t claim_id(const struct side *s)
{
	return s->there && !is_dir(s) ? s->e.object : 0;
}

static void unclaim(struct fs *fs, struct side *s)
{
	if (s->i)
		inode_give(&fs->table, s->i);
	s->i = NULL;
}

/* VS_ERR_INVAL when id is dir or above it. */
static enum vs_err VS_MUST_USE check_not_below(struct fs *fs, uint64_t dir, uint64_t id)
{
	struct object_raw raw;
	struct object o;

	for (uint32_t depth = 0; depth < DEPTH_MAX; depth++) {
		enum vs_err err;

		if (dir == id)
			return VS_ERR_INVAL;
		if (dir == OBJECT_ROOT)
			return VS_OK;
		err = fs_get(fs, dir, &raw, &o);
		if (err)
			return err;
		dir = o.parent;
	}
	return VS_ERR_CORRUPT_VALUE;
}

/* A directory changes its parent: order it among its like, and look at the ancestors. */
static enum vs_err VS_MUST_USE order_move(const struct renaming *r, struct txn *t)
{
	bool exchange = r->flags & VFS_RENAME_EXCHANGE;
	uint8_t v[8] = {0};
	struct key k;
	size_t len;
	enum vs_err err;

	key_text(&k, KEY_SYSTEM, bytes_of("dir-rename", 10));
	err = store_get(r->fs->store, &k, v, sizeof v, &len);
	if (err == VS_ERR_NOENT)
		txn_if_absent(t, &k);
	else if (!err && len == sizeof v)
		txn_if_value(t, &k, bytes_of(v, sizeof v));
	else
		return err ? err : VS_ERR_CORRUPT_VALUE;
	put_le64(v, get_le64(v) + 1);
	txn_put(t, &k, bytes_of(v, sizeof v));
	err = is_dir(&r->from) ? check_not_below(r->fs, r->to.dir, r->from.e.object) : VS_OK;
	if (!err && exchange && is_dir(&r->to))
		err = check_not_below(r->fs, r->from.dir, r->to.e.object);
	return err;
}

static enum vs_err VS_MUST_USE check_types(const struct renaming *r)
{
	bool a = is_dir(&r->from), b = is_dir(&r->to);

	if (!r->to.there)
		return r->flags & VFS_RENAME_EXCHANGE ? VS_ERR_NOENT : VS_OK;
	if (r->flags & VFS_RENAME_NOREPLACE)
		return VS_ERR_EXIST;
	if (r->flags & VFS_RENAME_EXCHANGE)
		return VS_OK;
	if (a && !b)
		return VS_ERR_NOTDIR;
	if (b && !a)
		return VS_ERR_ISDIR;
	return b && r->to.o.entries ? VS_ERR_NOTEMPTY : VS_OK;
}

/* What was renamed: its times, and for a directory its parent. */
static void put_moved(const struct renaming *r, struct txn *t, struct side *s, uint64_t dir)
{
	s->o.ctime_ns = r->now;
	s->o.change++;
	if (is_dir(s))
		s->o.parent = dir;
	object_txn_put(t, s->e.object, &s->o, &s->raw);
}

/* What the new name stood for loses it. */
static enum vs_err VS_MUST_USE drop_replaced(struct renaming *r, struct txn *t)
{
	struct side *s = &r->to;
	struct key k;

	if (!is_dir(s))
		return dir_txn_drop_name(r->fs, t, s->i, &s->raw, &s->o, r->now, true);
	key_u64(&k, KEY_ENTRY, s->e.object);
	txn_if_empty(t, &k);
	return object_txn_delete(r->fs->store, t, s->e.object, &s->raw, &s->o);
}

static enum vs_err VS_MUST_USE build(struct renaming *r, struct txn *t)
{
	struct side *from = &r->from, *to = &r->to;
	bool exchange = r->flags & VFS_RENAME_EXCHANGE, across = from->dir != to->dir;
	int64_t away = is_dir(from), back = exchange && is_dir(to);
	enum vs_err err = VS_OK;

	if (across && (is_dir(from) || back))
		err = order_move(r, t);
	if (err)
		return err;
	if (exchange) {
		object_txn_relink(t, from->dir, from->name, &from->e, to->e.object, to->e.type,
				  r->now);
		object_txn_relink(t, to->dir, to->name, &to->e, from->e.object, from->e.type,
				  r->now);
		put_moved(r, t, to, from->dir);
	} else {
		object_txn_unlink(t, from->dir, from->name, &from->e, r->now);
		if (to->there) {
			object_txn_relink(t, to->dir, to->name, &to->e, from->e.object,
					  from->e.type, r->now);
			err = drop_replaced(r, t);
		} else {
			struct object_entry e = {from->e.object, r->cookie, from->e.type};

			object_txn_link(t, to->dir, to->name, &e, r->now);
		}
	}
	put_moved(r, t, from, to->dir);
	/* Subdirectories count as links: one may leave here, one may be replaced there. */
	if (across) {
		dir_txn_nlink(t, from->dir, back - away);
		dir_txn_nlink(t, to->dir, away - (exchange ? back : is_dir(to)));
	} else if (!exchange && is_dir(to)) {
		dir_txn_nlink(t, to->dir, -1);
	}
	return err;
}

/* A pending or dirty file is committed before its name moves. */
static enum vs_err VS_MUST_USE commit_side(struct renaming *r, struct side *s)
{
	struct draft *d = s->i ? inode_draft(s->i) : NULL;

	if (!s->i || (!s->i->pending && !(d && d->changed)))
		return VS_OK;
	return commit_all(r->fs, s->i, r->c);
}

static enum vs_err VS_MUST_USE attempt(struct renaming *r, struct txn *t)
{
	bool exchange = r->flags & VFS_RENAME_EXCHANGE;
	enum vs_err err = inode_take2(&r->fs->table, claim_id(&r->from), claim_id(&r->to),
				      &r->from.i, &r->to.i);

	if (err)
		return err;
	err = commit_side(r, &r->from);
	if (!err && exchange)
		err = commit_side(r, &r->to);
	if (!err)
		err = load(r->fs, &r->from);
	if (!err)
		err = load(r->fs, &r->to);
	if (!err)
		err = check_types(r);
	if (!err)
		err = build(r, t);
	if (!err)
		err = fs_propose(r->fs, t, r->c, r->from.i);
	if (!err && r->to.i) {
		atomic_store_explicit(&r->to.i->index, r->c->index, memory_order_relaxed);
		if (!exchange)
			dir_name_dropped(r->fs, r->to.i, &r->to.o, true);
	}
	unclaim(r->fs, &r->from);
	unclaim(r->fs, &r->to);
	return err;
}

enum vs_err vfs_rename(struct fs *fs, struct vfs_call *c, uint64_t dir, struct bytes name,
		       uint64_t new_dir, struct bytes new_name, uint32_t flags)
{
	struct renaming r = {.fs = fs, .c = c, .flags = flags};
	uint32_t rounds = 0;
	struct txn t;
	enum vs_err err = fs_name_check(new_name);

	if (flags & ~(uint32_t)(VFS_RENAME_NOREPLACE | VFS_RENAME_EXCHANGE) ||
	    flags == (VFS_RENAME_NOREPLACE | VFS_RENAME_EXCHANGE))
		return VS_ERR_INVAL;
	if (!err)
		err = store_new_ids(fs->store, 1, &r.cookie);
	if (err)
		return err;
	r.from.dir = dir;
	r.from.name = name;
	r.to.dir = new_dir;
	r.to.name = new_name;
	txn_init(&t);
	do {
		txn_reset(&t);
		t.use_reserve = false;
		r.now = fs_now(fs);
		err = look(fs, &r.from);
		if (!err)
			err = look(fs, &r.to);
		if (!err && !r.from.there)
			err = VS_ERR_NOENT;
		if (err)
			break;
		if (r.to.there && r.to.e.object == r.from.e.object) {
			err = flags & VFS_RENAME_NOREPLACE ? VS_ERR_EXIST : VS_OK;
			break;
		}
		err = attempt(&r, &t);
	} while (fs_again(&err, &rounds));
	txn_fini(&t);
	return err;
}
