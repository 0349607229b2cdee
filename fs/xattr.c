/*
 * xattr: extended attributes and the ACLs among them.
 *
 * The record's flags say whether an object can have any, so that the common
 * question (getxattr of something that is not there) costs one look at the
 * record.
 */
#include "fs/acl.h"
#include "fs/fs_int.h"

#include <stdlib.h>

#define CAPS "security.capability"

static bool is(struct bytes name, const char *what)
{
	return name.len == strlen(what) && !memcmp(name.p, what, name.len);
}

static bool starts(struct bytes name, const char *what)
{
	return bytes_starts(name, bytes_of(what, strlen(what)));
}

static struct bytes text(const char *s)
{
	return bytes_of(s, strlen(s));
}

/* Whether the name space is one we keep. */
static enum vs_err VS_MUST_USE check_name(struct bytes name)
{
	if (name.len > KEY_NAME_MAX)
		return VS_ERR_RANGE;
	if (is(name, ACL_ACCESS) || is(name, ACL_DEFAULT))
		return VS_OK;
	if ((starts(name, "user.") && name.len > 5) || (starts(name, "trusted.") && name.len > 8) ||
	    (starts(name, "security.") && name.len > 9))
		return VS_OK;
	return VS_ERR_NOTSUP;
}

static bool may_have(struct bytes name, const struct object *o)
{
	if (is(name, ACL_ACCESS))
		return o->flags & OBJECT_HAS_ACL;
	if (is(name, ACL_DEFAULT))
		return o->flags & OBJECT_HAS_DEFACL;
	return o->flags & OBJECT_HAS_XATTR;
}

/* --- reading */

enum vs_err vfs_getxattr(struct fs *fs, uint64_t id, struct bytes name, void *buf, size_t cap,
			 size_t *len)
{
	struct object_raw raw;
	struct object o;
	uint8_t none;
	enum vs_err err = check_name(name);

	if (!err)
		err = fs_get(fs, id, &raw, &o);
	if (!err && !may_have(name, &o))
		err = VS_ERR_NODATA;
	if (!err)
		err = object_xattr_get(fs->store, id, name, cap ? buf : &none, cap, len);
	if (!err && cap && *len > cap)
		err = VS_ERR_RANGE;
	return err;
}

struct listing {
	char *buf;
	size_t cap, len;
	bool privileged;
};

static bool list_one(void *arg, struct bytes key, struct bytes value)
{
	struct listing *l = arg;
	struct bytes name = bytes_of((const uint8_t *)key.p + 9, key.len - 9);

	(void)value;
	if (!l->privileged && starts(name, "trusted."))
		return true;
	if (l->len + name.len + 1 <= l->cap) {
		memcpy(l->buf + l->len, name.p, name.len);
		l->buf[l->len + name.len] = 0;
	}
	l->len += name.len + 1;
	return true;
}

enum vs_err vfs_listxattr(struct fs *fs, uint64_t id, bool privileged, void *buf, size_t cap,
			  size_t *len)
{
	struct listing l = {.buf = buf, .cap = cap, .privileged = privileged};
	struct object_raw raw;
	struct object o;
	struct key k;
	enum vs_err err = fs_get(fs, id, &raw, &o);

	if (!err && (o.flags & (OBJECT_HAS_XATTR | OBJECT_HAS_ACL | OBJECT_HAS_DEFACL))) {
		key_u64(&k, KEY_XATTR, id);
		err = store_scan(fs->store, NULL, &k, &k, list_one, &l);
	}
	if (!err && cap && l.len > cap)
		err = VS_ERR_RANGE;
	*len = l.len;
	return err;
}

/* --- ACLs */

static enum vs_err VS_MUST_USE acl_load(struct fs *fs, uint64_t id, const char *name, struct acl *a)
{
	uint8_t b[ACL_BYTES_MAX];
	size_t len;
	enum vs_err err = object_xattr_get(fs->store, id, text(name), b, sizeof b, &len);

	if (!err && len > sizeof b)
		err = VS_ERR_CORRUPT_VALUE;
	return err ? err : acl_decode(bytes_of(b, len), a);
}

static enum vs_err VS_MUST_USE acl_store(struct fs *fs, struct txn *t, uint64_t id,
					 const char *name, const struct acl *a)
{
	uint8_t b[ACL_BYTES_MAX];
	size_t len = acl_encode(a, b);

	return object_txn_xattr(fs->store, t, id, text(name), bytes_of(b, len));
}

enum vs_err xattr_inherit(struct fs *fs, struct txn *t, uint64_t dir, const struct object *dir_o,
			  uint64_t id, uint32_t umask, struct object *o)
{
	struct acl a;
	bool minimal;
	enum vs_err err;

	if (!(dir_o->flags & OBJECT_HAS_DEFACL)) {
		o->mode &= ~(umask & 0777);
		return VS_OK;
	}
	err = acl_load(fs, dir, ACL_DEFAULT, &a);
	if (err)
		return err == VS_ERR_NODATA ? VS_ERR_COND : err;
	if (S_ISDIR(o->mode)) {
		err = acl_store(fs, t, id, ACL_DEFAULT, &a);
		if (err)
			return err;
		o->flags |= OBJECT_HAS_DEFACL;
	}
	o->mode = (o->mode & ~0777u) | acl_create(&a, o->mode & 0777, &minimal);
	if (minimal)
		return VS_OK;
	o->flags |= OBJECT_HAS_ACL;
	return acl_store(fs, t, id, ACL_ACCESS, &a);
}

enum vs_err xattr_chmod(struct fs *fs, struct txn *t, uint64_t id, const struct object *o)
{
	struct acl a;
	enum vs_err err = acl_load(fs, id, ACL_ACCESS, &a);

	if (err)
		return err == VS_ERR_NODATA ? VS_ERR_COND : err;
	acl_chmod(&a, o->mode);
	return acl_store(fs, t, id, ACL_ACCESS, &a);
}

/* --- security.capability */

bool xattr_has_caps(struct fs *fs, uint64_t id, const struct object *o)
{
	uint8_t b[64];
	size_t len;

	return (o->flags & OBJECT_HAS_XATTR) &&
	       object_xattr_get(fs->store, id, text(CAPS), b, sizeof b, &len) == VS_OK;
}

enum vs_err xattr_txn_drop_caps(struct fs *fs, struct txn *t, uint64_t id)
{
	return object_txn_xattr(fs->store, t, id, text(CAPS), bytes_of(NULL, 0));
}

/* --- changing */

static enum vs_err VS_MUST_USE check_place(struct vfs_call *c, struct bytes name,
					   const struct object *o)
{
	bool file = S_ISREG(o->mode), dir = S_ISDIR(o->mode);

	if (starts(name, "user.")) {
		if (!file && !dir)
			return VS_ERR_PERM;
		if (dir && (o->mode & S_ISVTX) && c->uid && c->uid != o->uid)
			return VS_ERR_PERM;
	}
	if (is(name, ACL_DEFAULT) && !dir)
		return VS_ERR_ACCES;
	return is(name, ACL_ACCESS) && S_ISLNK(o->mode) ? VS_ERR_NOTSUP : VS_OK;
}

/* An access ACL becomes mode bits; one that says no more than they do is not kept. */
static enum vs_err VS_MUST_USE set_acl(struct fs *fs, struct txn *t, uint64_t id, struct bytes name,
				       struct bytes value, uint32_t flags, struct object *o)
{
	bool access = is(name, ACL_ACCESS), minimal = false;
	uint32_t flag = access ? OBJECT_HAS_ACL : OBJECT_HAS_DEFACL;
	bool had = o->flags & flag;
	struct acl a = {.count = 0};
	enum vs_err err = VS_OK;

	if (value.p && value.len > 4)
		err = acl_decode(value, &a);
	else
		value = bytes_of(NULL, 0);
	if (err)
		return err;
	if (access && value.p) {
		o->mode = (o->mode & ~0777u) | acl_mode(&a, &minimal);
		if (flags & VFS_XATTR_KILL_SGID)
			o->mode &= ~(uint32_t)S_ISGID;
	}
	if (minimal)
		value = bytes_of(NULL, 0);
	o->flags &= ~flag;
	if (value.p)
		o->flags |= flag;
	return value.p || had ? object_txn_xattr(fs->store, t, id, name, value) : VS_OK;
}

static enum vs_err VS_MUST_USE change_build(struct fs *fs, struct vfs_call *c, struct inode *i,
					    struct bytes name, struct bytes value, uint32_t flags,
					    struct txn *t)
{
	bool acl = is(name, ACL_ACCESS) || is(name, ACL_DEFAULT), present = false;
	uint8_t b[8];
	struct object_raw raw;
	struct object o;
	size_t len;
	enum vs_err err = fs_get(fs, i->id, &raw, &o);

	if (!err)
		err = check_place(c, name, &o);
	if (err)
		return err;
	if (may_have(name, &o)) {
		err = object_xattr_get(fs->store, i->id, name, b, sizeof b, &len);
		if (err && err != VS_ERR_NODATA)
			return err;
		present = !err;
	}
	if (value.p && (flags & VFS_XATTR_CREATE) && present)
		return VS_ERR_EXIST;
	if (!present && (value.p ? flags & VFS_XATTR_REPLACE : !acl))
		return VS_ERR_NODATA;
	if (acl) {
		err = set_acl(fs, t, i->id, name, value, flags, &o);
	} else {
		o.flags |= OBJECT_HAS_XATTR;
		err = object_txn_xattr(fs->store, t, i->id, name, value);
	}
	if (err)
		return err;
	o.ctime_ns = fs_now(fs);
	if (inode_draft(i) && inode_draft(i)->ctime_ns)
		inode_draft(i)->ctime_ns = o.ctime_ns;
	o.change++;
	object_txn_put(t, i->id, &o, &raw);
	return VS_OK;
}

/* Set (value.p not NULL) or remove. */
static enum vs_err VS_MUST_USE change(struct fs *fs, struct vfs_call *c, uint64_t id,
				      struct bytes name, struct bytes value, uint32_t flags)
{
	uint32_t rounds = 0;
	struct inode *i;
	struct txn t;
	enum vs_err err = check_name(name);

	if (!err)
		err = inode_take(&fs->table, id, &i);
	if (err)
		return err;
	txn_init(&t);
	do {
		txn_reset(&t);
		t.data = bytes_of(NULL, 0);
		t.use_reserve = !value.p;
		err = change_build(fs, c, i, name, value, flags, &t);
		if (!err)
			err = fs_propose(fs, &t, c, i);
	} while (fs_again(&err, &rounds));
	txn_fini(&t);
	if (!err && is(name, CAPS))
		i->caps_gone = false;
	inode_give(&fs->table, i);
	return err;
}

enum vs_err vfs_setxattr(struct fs *fs, struct vfs_call *c, uint64_t id, struct bytes name,
			 struct bytes value, uint32_t flags)
{
	if (value.len > OBJECT_XATTR_MAX)
		return VS_ERR_TOOBIG;
	if (!value.p)
		value.p = "";
	return change(fs, c, id, name, value, flags);
}

enum vs_err vfs_removexattr(struct fs *fs, struct vfs_call *c, uint64_t id, struct bytes name)
{
	return change(fs, c, id, name, bytes_of(NULL, 0), 0);
}
