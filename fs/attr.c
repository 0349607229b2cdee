/* attr: attributes of objects, and of the file system. */
#include "fs/fs_int.h"

/* Laid over the record: what the draft has changed, and the access time not yet written. */
static void overlay(const struct draft *d, const struct object *o, struct vfs_attr *out)
{
	uint64_t base = d->replace ? d->alloc_bytes : o->alloc_bytes;

	out->size = d->size;
	if (d->mtime_ns)
		out->mtime_ns = d->mtime_ns;
	if (d->ctime_ns)
		out->ctime_ns = d->ctime_ns;
	if (d->atime_ns)
		out->atime_ns = d->atime_ns;
	if (draft_unstored(d, o) && d->size <= OBJECT_INLINE_MAX) {
		out->blocks = (d->size + 511) / 512;
	} else {
		uint64_t dirty = 0;

		for (uint32_t n = 0; n < d->buf.count; n++)
			dirty += d->buf.v[n].len;
		out->blocks = (base + dirty + 511) / 512;
	}
	out->volatile_ = d->changed;
}

static void add_atime(struct inode *i, struct vfs_attr *out)
{
	int64_t at = atomic_load_explicit(&i->atime_ns, memory_order_relaxed);

	if (at > out->atime_ns)
		out->atime_ns = at;
}

enum vs_err vfs_getattr(struct fs *fs, uint64_t id, struct vfs_attr *out)
{
	struct inode *i = inode_find(&fs->table, id);
	bool claim = i && inode_draft(i);
	struct object_raw raw;
	struct object o;
	enum vs_err err;

	if (claim)
		inode_claim(&fs->table, i);
	err = fs_get(fs, id, &raw, &o);
	if (!err) {
		fs_attr(&o, id, out);
		if (claim && inode_draft(i))
			overlay(inode_draft(i), &o, out);
		if (i)
			add_atime(i, out);
	}
	if (claim)
		inode_unclaim(&fs->table, i);
	if (i)
		inode_put(&fs->table, i);
	return err;
}

/* --- suid and sgid */

bool attr_kill_mode(struct object *o)
{
	uint32_t kill = o->mode & S_ISUID;

	if ((o->mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		kill |= S_ISGID;
	if (S_ISDIR(o->mode) || !kill)
		return false;
	o->mode &= ~kill;
	return true;
}

/*
 * Content changes: suid and sgid go when the caller may not keep them,
 * security.capability always.
 */
enum vs_err attr_kill_priv(struct fs *fs, struct inode *i, struct vfs_call *c)
{
	uint32_t rounds = 0;
	struct object_raw raw;
	struct object o;
	bool killed = false;
	struct txn t;
	enum vs_err err;

	txn_init(&t);
	do {
		bool caps;

		txn_reset(&t);
		err = fs_get(fs, i->id, &raw, &o);
		if (err)
			break;
		caps = xattr_has_caps(fs, i->id, &o);
		killed = c->kill_priv && attr_kill_mode(&o);
		if (!killed && !caps)
			break;
		if (caps)
			err = xattr_txn_drop_caps(fs, &t, i->id);
		if (!err && (o.flags & OBJECT_HAS_ACL))
			err = xattr_chmod(fs, &t, i->id, &o);
		o.ctime_ns = fs_now(fs);
		o.change++;
		object_txn_put(&t, i->id, &o, &raw);
		if (!err)
			err = fs_propose(fs, &t, c, i);
	} while (fs_again(&err, &rounds));
	txn_fini(&t);
	if (!err && killed)
		c->killed = true;
	if (!err)
		i->caps_gone = true;
	return err;
}

/* --- setting */

/* Times go to the draft of a replacement: nothing of the old file changes before the commit. */
static void set_times(struct fs *fs, struct draft *d, const struct vfs_setattr *s, struct object *o)
{
	int64_t now = fs_now(fs);
	int64_t atime = s->set & VFS_SET_ATIME_NOW ? now : s->atime_ns;
	int64_t mtime = s->set & VFS_SET_MTIME_NOW ? now : s->mtime_ns;

	if (s->set & (VFS_SET_ATIME | VFS_SET_ATIME_NOW)) {
		if (d)
			d->atime_ns = atime;
		if (!d || !d->replace)
			o->atime_ns = atime;
	}
	if (s->set & (VFS_SET_MTIME | VFS_SET_MTIME_NOW)) {
		if (d)
			d->mtime_ns = mtime;
		if (!d || !d->replace)
			o->mtime_ns = mtime;
	}
	if (d)
		d->ctime_ns = now;
	o->ctime_ns = now;
}

static enum vs_err VS_MUST_USE set_build(struct fs *fs, struct vfs_call *c, struct inode *i,
					 const struct vfs_setattr *s, struct txn *t)
{
	uint32_t owner = s->set & (VFS_SET_UID | VFS_SET_GID);
	struct object_raw raw;
	struct object o;
	enum vs_err err = fs_get(fs, i->id, &raw, &o);

	if (err)
		return err;
	if (s->set & VFS_SET_UID)
		o.uid = s->uid;
	if (s->set & VFS_SET_GID)
		o.gid = s->gid;
	if (s->set & VFS_SET_MODE)
		o.mode = (o.mode & S_IFMT) | (s->mode & 07777);
	if (owner && c->kill_priv && !(s->set & VFS_SET_MODE))
		(void)attr_kill_mode(&o);
	if (owner && xattr_has_caps(fs, i->id, &o))
		err = xattr_txn_drop_caps(fs, t, i->id);
	if (!err && (s->set & VFS_SET_MODE) && (o.flags & OBJECT_HAS_ACL))
		err = xattr_chmod(fs, t, i->id, &o);
	if (err)
		return err;
	set_times(fs, inode_draft(i), s, &o);
	o.change++;
	object_txn_put(t, i->id, &o, &raw);
	return VS_OK;
}

/*
 * Truncation.  A file that is not current yet only changes its draft; else it
 * acts at once, with all that is dirty: in one transaction.
 */
static enum vs_err VS_MUST_USE set_size(struct fs *fs, struct vfs_call *c, struct inode *i,
					uint64_t size)
{
	struct draft *d;
	enum vs_err err;

	if (size > OBJECT_SIZE_MAX)
		return VS_ERR_FBIG;
	err = attr_kill_priv(fs, i, c);
	if (!err)
		err = draft_open(fs, i, &d);
	if (err)
		return err;
	if (i->pending || d->replace)
		return draft_resize(fs, i, d, c, size);
	/* To nothing: an empty content takes the place of the old one. */
	err = size ? draft_resize(fs, i, d, c, size) : draft_replace(fs, i, c);
	return err || i->unlinked ? err : commit_all(fs, i, c);
}

enum vs_err vfs_setattr(struct fs *fs, struct vfs_call *c, uint64_t id, const struct vfs_setattr *s,
			struct vfs_attr *out)
{
	uint32_t rest = s->set & ~(uint32_t)VFS_SET_SIZE, rounds = 0;
	struct inode *i;
	struct txn t;
	enum vs_err err = inode_take(&fs->table, id, &i);

	if (err)
		return err;
	if (s->set & VFS_SET_SIZE)
		err = set_size(fs, c, i, s->size);
	if (!err && rest) {
		txn_init(&t);
		do {
			txn_reset(&t);
			err = set_build(fs, c, i, s, &t);
			if (!err)
				err = fs_propose(fs, &t, c, i);
		} while (fs_again(&err, &rounds));
		txn_fini(&t);
		/* An explicit time wins over one noted by a read. */
		if (!err && (rest & (VFS_SET_ATIME | VFS_SET_ATIME_NOW)))
			(void)committer_drop_atime(fs, i);
	}
	inode_give(&fs->table, i);
	return err ? err : vfs_getattr(fs, id, out);
}

/* --- the file system */

enum vs_err vfs_statfs(struct fs *fs, struct vfs_statfs *out)
{
	struct store_space space;
	struct store_stats stats;
	enum vs_err err = store_space(fs->store, &space);

	if (err)
		return err;
	store_stats(fs->store, &stats);
	out->total_bytes = space.total_bytes;
	out->free_bytes = space.avail_bytes;
	out->free_files = space.avail_bytes / 1024;
	out->files = stats.objects + out->free_files;
	return VS_OK;
}
