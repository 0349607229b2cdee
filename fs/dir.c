/*
 * dir: names: lookup, making and removing, listing.  rename is in rename.c.
 *
 * Pending objects ('P' session object -> bucket, cookie, name) are those of
 * create; everything else acts at once.
 */
#include "fs/fs_int.h"

#include <stdlib.h>

static uint8_t type_of(uint32_t mode)
{
	return (uint8_t)((mode & S_IFMT) >> 12);
}

void dir_txn_nlink(struct txn *t, uint64_t dir, int64_t delta)
{
	struct key k;

	key_u64(&k, KEY_OBJECT, dir);
	if (delta)
		txn_add(t, &k, OBJECT_OFF_NLINK, delta);
}

/* --- looking */

enum vs_err vfs_lookup(struct fs *fs, uint64_t dir, struct bytes name, struct vfs_attr *out)
{
	const char *p = name.p;
	struct object_entry e;
	struct object_raw raw;
	struct object o;
	enum vs_err err;

	if (name.len == 1 && p[0] == '.')
		return vfs_getattr(fs, dir, out);
	if (name.len == 2 && p[0] == '.' && p[1] == '.') {
		err = fs_get(fs, dir, &raw, &o);
		if (!err && !S_ISDIR(o.mode))
			err = VS_ERR_NOTDIR;
		return err ? err : vfs_getattr(fs, o.parent, out);
	}
	err = object_lookup(fs->store, dir, name, &e);
	return err ? err : vfs_getattr(fs, e.object, out);
}

enum vs_err vfs_readlink(struct fs *fs, uint64_t id, char *buf)
{
	struct object_raw raw;
	struct object o;
	enum vs_err err = fs_get(fs, id, &raw, &o);

	if (err)
		return err;
	if (!S_ISLNK(o.mode) || o.tail.len > OBJECT_TARGET_MAX)
		return VS_ERR_INVAL;
	memcpy(buf, o.tail.p, o.tail.len);
	buf[o.tail.len] = 0;
	return VS_OK;
}

/* --- making */

struct making {
	uint64_t dir;
	struct bytes name;
	uint32_t mode;
	uint64_t rdev;
	struct bytes target; /* symlinks */
	bool pending;
	uint64_t ids[3]; /* object, cookie, content */
};

static void pending_value(const struct making *m, uint8_t *v, size_t *len)
{
	put_le64(v, m->dir);
	put_le64(v + 8, m->ids[1]);
	memcpy(v + 16, m->name.p, m->name.len);
	*len = 16 + m->name.len;
}

static enum vs_err VS_MUST_USE make_build(struct fs *fs, struct vfs_call *c, const struct making *m,
					  struct txn *t, struct object *o)
{
	struct object_entry e = {m->ids[0], m->ids[1], type_of(m->mode)};
	uint8_t v[16 + KEY_NAME_MAX];
	int64_t now = fs_now(fs);
	struct object_entry there;
	struct object_raw raw;
	struct object dir;
	struct key k;
	size_t len;
	enum vs_err err = fs_get(fs, m->dir, &raw, &dir);

	if (err)
		return err;
	if (!S_ISDIR(dir.mode))
		return VS_ERR_NOTDIR;
	err = object_lookup(fs->store, m->dir, m->name, &there);
	if (err != VS_ERR_NOENT)
		return err ? err : VS_ERR_EXIST;
	if (S_ISDIR(m->mode) && dir.nlink >= OBJECT_LINK_MAX)
		return VS_ERR_MLINK;
	*o = (struct object){.mode = m->mode, .uid = c->uid, .gid = c->gid, .rdev = m->rdev};
	o->nlink = S_ISDIR(m->mode) ? 2 : 1;
	o->atime_ns = o->mtime_ns = o->ctime_ns = o->btime_ns = now;
	o->content = S_ISREG(m->mode) ? m->ids[2] : 0;
	o->session = m->pending ? fs->session : 0;
	o->parent = S_ISDIR(m->mode) ? m->dir : 0;
	o->tail = m->target;
	o->size = m->target.len;
	if (dir.mode & S_ISGID) {
		o->gid = dir.gid;
		if (S_ISDIR(m->mode))
			o->mode |= S_ISGID;
	}
	if (!S_ISLNK(m->mode)) {
		err = xattr_inherit(fs, t, m->dir, &dir, m->ids[0], c->umask, o);
		if (err)
			return err;
	}
	object_txn_link(t, m->dir, m->name, &e, now);
	object_txn_put(t, m->ids[0], o, NULL);
	if (S_ISDIR(m->mode))
		dir_txn_nlink(t, m->dir, 1);
	if (m->pending) {
		fs_key_pending(fs, &k, m->ids[0]);
		pending_value(m, v, &len);
		txn_put(t, &k, bytes_of(v, len));
	}
	return VS_OK;
}

static enum vs_err VS_MUST_USE make(struct fs *fs, struct vfs_call *c, struct making *m,
				    struct object *o)
{
	uint32_t rounds = 0;
	struct txn t;
	enum vs_err err = fs_name_check(m->name);

	if (err)
		return err;
	err = store_new_ids(fs->store, 3, &m->ids[0]);
	if (err)
		return err;
	m->ids[1] = m->ids[0] + 1;
	m->ids[2] = m->ids[0] + 2;
	txn_init(&t);
	do {
		txn_reset(&t);
		err = make_build(fs, c, m, &t, o);
		/* a crash takes a pending file back anyhow: it reaches the log with its commit */
		t.lazy = m->pending && !t.data.len;
		if (!err)
			err = fs_propose(fs, &t, c, NULL);
	} while (fs_again(&err, &rounds));
	txn_fini(&t);
	return err;
}

enum vs_err vfs_make(struct fs *fs, struct vfs_call *c, uint64_t dir, struct bytes name,
		     uint32_t mode, uint64_t rdev, struct vfs_attr *out)
{
	struct making m = {.dir = dir, .name = name, .mode = mode, .rdev = rdev};
	struct object o;
	enum vs_err err;

	if (S_ISLNK(mode) || !(mode & S_IFMT))
		return VS_ERR_INVAL;
	err = make(fs, c, &m, &o);
	if (!err)
		fs_attr(&o, m.ids[0], out);
	return err;
}

enum vs_err vfs_symlink(struct fs *fs, struct vfs_call *c, uint64_t dir, struct bytes name,
			struct bytes target, struct vfs_attr *out)
{
	struct making m = {.dir = dir, .name = name, .mode = S_IFLNK | 0777, .target = target};
	struct object o;
	enum vs_err err;

	if (!target.len || target.len > OBJECT_TARGET_MAX)
		return target.len ? VS_ERR_NAMETOOLONG : VS_ERR_NOENT;
	err = make(fs, c, &m, &o);
	if (!err)
		fs_attr(&o, m.ids[0], out);
	return err;
}

enum vs_err vfs_create(struct fs *fs, struct vfs_call *c, uint64_t dir, struct bytes name,
		       uint32_t mode, uint32_t open_flags, struct vfs_handle **h,
		       struct vfs_attr *out)
{
	struct making m = {.dir = dir,
			   .name = name,
			   .mode = S_IFREG | (mode & 07777),
			   .pending = true};
	struct object o;
	struct inode *i;
	enum vs_err err = make(fs, c, &m, &o);

	if (err)
		return err;
	err = inode_take(&fs->table, m.ids[0], &i);
	if (err)
		goto out_remove;
	i->pending = true;
	i->append = open_flags & VFS_OPEN_APPEND;
	i->caps_gone = true;
	atomic_store_explicit(&i->index, c->index, memory_order_relaxed);
	err = handle_new(fs, i, open_flags, h);
	if (err) {
		i->pending = false;
		inode_give(&fs->table, i);
		goto out_remove;
	}
	inode_unclaim(&fs->table, i);
	fs_attr(&o, m.ids[0], out);
	return VS_OK;
out_remove:
	/* If this fails too, it goes when the session ends. */
	(void)!dir_remove_pending(fs, m.ids[0]);
	return err;
}

/* --- removing */

enum vs_err dir_txn_drop_name(struct fs *fs, struct txn *t, struct inode *i,
			      const struct object_raw *raw, struct object *o, int64_t now,
			      bool keep)
{
	struct draft *d = inode_draft(i);
	struct key k;
	enum vs_err err;

	t->use_reserve = true;
	fs_txn_settle(fs, t, i->id, o);
	if (o->nlink > 1 || i->opens || keep) {
		o->nlink -= o->nlink ? 1 : 0;
		o->ctime_ns = now;
		o->change++;
		object_txn_put(t, i->id, o, raw);
		if (!o->nlink) {
			fs_key_unlinked(fs, &k, i->id);
			txn_put(t, &k, bytes_of(NULL, 0));
		}
		return VS_OK;
	}
	o->nlink = 0;
	err = object_txn_delete(fs->store, t, i->id, raw, o);
	return !err && d ? draft_txn_drop(fs, t, d) : err;
}

void dir_name_dropped(struct fs *fs, struct inode *i, const struct object *o, bool keep)
{
	struct draft *d = inode_draft(i);

	/* A pending object with other names cannot be: link commits it. */
	i->pending = false;
	if (o->nlink)
		return;
	if (keep) {
		inode_hold(&fs->table, i);
		i->known = true;
		atomic_fetch_add(&fs->known, 1);
	}
	if (i->opens || keep) {
		i->unlinked = true;
		return;
	}
	fs_dropped(fs, o->alloc_bytes + (d ? d->alloc_bytes : 0));
	(void)committer_drop_atime(fs, i);
	if (d)
		d->listed = false;
	draft_forget(fs, i);
}

/* Remove a name of something that is no directory; i is claimed. */
static enum vs_err VS_MUST_USE unlink_claimed(struct fs *fs, struct vfs_call *c, uint64_t dir,
					      struct bytes name, const struct object_entry *e,
					      struct inode *i)
{
	int64_t now = fs_now(fs);
	struct object_raw raw;
	struct object o;
	struct txn t;
	enum vs_err err = fs_get(fs, e->object, &raw, &o);

	/* It went between the look at the name and the claim. */
	if (err)
		return err == VS_ERR_NOENT ? VS_ERR_COND : err;
	if (S_ISDIR(o.mode))
		return VS_ERR_ISDIR;
	txn_init(&t);
	object_txn_unlink(&t, dir, name, e, now);
	err = dir_txn_drop_name(fs, &t, i, &raw, &o, now, false);
	if (!err)
		err = fs_propose(fs, &t, c, i);
	txn_fini(&t);
	if (!err)
		dir_name_dropped(fs, i, &o, false);
	return err;
}

enum vs_err vfs_unlink(struct fs *fs, struct vfs_call *c, uint64_t dir, struct bytes name)
{
	uint32_t rounds = 0;
	enum vs_err err;

	do {
		struct object_entry e;
		struct inode *i;

		err = object_lookup(fs->store, dir, name, &e);
		if (err)
			break;
		err = inode_take(&fs->table, e.object, &i);
		if (err)
			break;
		err = unlink_claimed(fs, c, dir, name, &e, i);
		inode_give(&fs->table, i);
	} while (fs_again(&err, &rounds));
	return err;
}

enum vs_err dir_remove_pending(struct fs *fs, uint64_t id)
{
	uint8_t v[16 + KEY_NAME_MAX];
	uint32_t rounds = 0;
	struct object_entry e;
	struct object_raw raw;
	struct object o;
	struct bytes name;
	struct key k;
	struct txn t;
	size_t len;
	enum vs_err err;

	fs_key_pending(fs, &k, id);
	err = store_get(fs->store, &k, v, sizeof v, &len);
	if (err || len <= 16 || len > sizeof v)
		return err ? err : VS_ERR_CORRUPT_VALUE;
	name = bytes_of(v + 16, len - 16);
	txn_init(&t);
	do {
		txn_reset(&t);
		t.use_reserve = true;
		err = object_get(fs->store, id, &raw, &o);
		if (!err)
			err = object_lookup(fs->store, get_le64(v), name, &e);
		if (!err)
			err = object_txn_delete(fs->store, &t, id, &raw, &o);
		if (!err) {
			txn_del(&t, &k);
			object_txn_unlink(&t, get_le64(v), name, &e, fs_now(fs));
			err = fs_propose(fs, &t, NULL, NULL);
		}
	} while (fs_again(&err, &rounds));
	txn_fini(&t);
	if (!err)
		notify_entry(fs, get_le64(v), name);
	return err;
}

enum vs_err vfs_rmdir(struct fs *fs, struct vfs_call *c, uint64_t dir, struct bytes name)
{
	uint32_t rounds = 0;
	struct object_entry e;
	struct object_raw raw;
	struct object o;
	struct key k;
	struct txn t;
	enum vs_err err;

	txn_init(&t);
	do {
		txn_reset(&t);
		err = object_lookup(fs->store, dir, name, &e);
		if (!err)
			err = fs_get(fs, e.object, &raw, &o);
		if (err)
			break;
		if (!S_ISDIR(o.mode) || o.entries) {
			err = S_ISDIR(o.mode) ? VS_ERR_NOTEMPTY : VS_ERR_NOTDIR;
			break;
		}
		key_u64(&k, KEY_ENTRY, e.object);
		txn_if_empty(&t, &k);
		object_txn_unlink(&t, dir, name, &e, fs_now(fs));
		dir_txn_nlink(&t, dir, -1);
		err = object_txn_delete(fs->store, &t, e.object, &raw, &o);
		if (!err)
			err = fs_propose(fs, &t, c, NULL);
	} while (fs_again(&err, &rounds));
	txn_fini(&t);
	return err;
}

/* --- linking */

static enum vs_err VS_MUST_USE link_build(struct fs *fs, struct txn *t, uint64_t dir,
					  struct bytes name, struct object_entry *e)
{
	int64_t now = fs_now(fs);
	struct object_entry there;
	struct object_raw raw;
	struct object o;
	enum vs_err err = fs_get(fs, dir, &raw, &o);

	if (err)
		return err;
	if (!S_ISDIR(o.mode))
		return VS_ERR_NOTDIR;
	err = object_lookup(fs->store, dir, name, &there);
	if (err != VS_ERR_NOENT)
		return err ? err : VS_ERR_EXIST;
	err = fs_get(fs, e->object, &raw, &o);
	if (err)
		return err;
	if (S_ISDIR(o.mode))
		return VS_ERR_PERM;
	if (!o.nlink)
		return VS_ERR_NOENT;
	if (o.nlink >= OBJECT_LINK_MAX)
		return VS_ERR_MLINK;
	e->type = type_of(o.mode);
	o.nlink++;
	o.ctime_ns = now;
	o.change++;
	object_txn_link(t, dir, name, e, now);
	object_txn_put(t, e->object, &o, &raw);
	return VS_OK;
}

enum vs_err vfs_link(struct fs *fs, struct vfs_call *c, uint64_t id, uint64_t dir,
		     struct bytes name, struct vfs_attr *out)
{
	struct object_entry e = {.object = id};
	uint32_t rounds = 0;
	struct inode *i;
	struct txn t;
	enum vs_err err = fs_name_check(name);

	if (!err)
		err = store_new_ids(fs->store, 1, &e.cookie);
	if (!err)
		err = inode_take(&fs->table, id, &i);
	if (err)
		return err;
	if (i->pending)
		err = commit_all(fs, i, c);
	txn_init(&t);
	if (!err) {
		do {
			txn_reset(&t);
			err = link_build(fs, &t, dir, name, &e);
			if (!err)
				err = fs_propose(fs, &t, c, i);
		} while (fs_again(&err, &rounds));
	}
	txn_fini(&t);
	inode_give(&fs->table, i);
	return err ? err : vfs_getattr(fs, id, out);
}
