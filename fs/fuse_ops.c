/* fuse_ops: see fuse_ops.h. */
#include "fs/fuse_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ANSWER_BYTES ((1u << 20) + 4096)
#define NS_PER_S INT64_C(1000000000)

static _Thread_local void *answer;
static _Thread_local struct rawreq raw;

enum vs_err fuse_ops_thread_begin(void)
{
	answer = malloc(ANSWER_BYTES);
	return answer ? VS_OK : VS_ERR_NOMEM;
}

void fuse_ops_thread_end(void)
{
	free(answer);
	answer = NULL;
}

void fuse_ops_set_raw(const struct rawreq *r)
{
	raw = *r;
}

void *fuse_ops_buffer(size_t size, void **own)
{
	*own = NULL;
	if (size <= ANSWER_BYTES && answer)
		return answer;
	*own = malloc(size ? size : 1);
	return *own;
}

static struct fs *fs_of(fuse_req_t req)
{
	return ((struct fuse_glue *)fuse_req_userdata(req))->fs;
}

static struct bytes text(const char *s)
{
	return bytes_of(s, strlen(s));
}

static struct vfs_call call_of(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct vfs_call){.uid = ctx->uid,
				 .gid = ctx->gid,
				 .umask = ctx->umask,
				 .kill_priv = raw.kill_priv};
}

/*
 * A write cleared suid or sgid: the answer does not carry the mode, and the
 * kernel would go by the old one.  Takes no lock of the kernel's that a request
 * holds (attributes only, no pages).
 */
static void tell_mode(fuse_req_t req, fuse_ino_t ino, const struct vfs_call *c)
{
	const struct fuse_glue *g = fuse_req_userdata(req);

	if (c->killed)
		(void)fuse_lowlevel_notify_inval_inode(g->se, ino, -1, 0);
}

static struct vfs_handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct vfs_handle *)(uintptr_t)fi->fh;
}

/* The answer of an operation on names or attributes. */
static void answer_name(fuse_req_t req, const struct vfs_call *c, enum vs_err err,
			enum later_kind kind, const struct vfs_attr *attr)
{
	struct later l = {.req = req, .kind = kind};

	if (err) {
		fuse_reply_vs(req, err);
		return;
	}
	if (attr)
		l.attr = *attr;
	fuse_reply_later(fs_of(req), &l, c->index, PROMISE_NAME);
}

/* --- session */

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	/* INIT was answered by hand (rawreq.h); this is for libfuse's own state. */
	conn->want &=
		~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
	conn->max_write = RAWREQ_MAX_WRITE;
}

/* --- names */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct vfs_attr a;
	enum vs_err err = vfs_lookup(fs_of(req), parent, text(name), &a);
	bool self = !strcmp(name, ".") || !strcmp(name, "..");

	if (!err)
		fuse_reply_entry_of(req, &a);
	else if (err == VS_ERR_NOENT && !self)
		fuse_reply_no_entry(req);
	else
		fuse_reply_vs(req, err == VS_ERR_NOENT ? VS_ERR_STALE : err);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	(void)count;
	vfs_forget(fs_of(req), ino);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		vfs_forget(fs_of(req), forgets[i].ino);
	fuse_reply_none(req);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct vfs_call c = call_of(req);
	struct vfs_attr a;
	enum vs_err err = vfs_make(fs_of(req), &c, parent, text(name), mode, rdev, &a);

	answer_name(req, &c, err, LATER_ENTRY, &a);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct vfs_call c = call_of(req);
	struct vfs_attr a;
	enum vs_err err =
		vfs_make(fs_of(req), &c, parent, text(name), S_IFDIR | (mode & 07777), 0, &a);

	answer_name(req, &c, err, LATER_ENTRY, &a);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct vfs_call c = call_of(req);
	struct vfs_attr a;
	enum vs_err err = vfs_symlink(fs_of(req), &c, parent, text(name), text(target), &a);

	answer_name(req, &c, err, LATER_ENTRY, &a);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct vfs_call c = call_of(req);
	struct vfs_attr a;
	enum vs_err err = vfs_link(fs_of(req), &c, ino, parent, text(name), &a);

	answer_name(req, &c, err, LATER_ENTRY, &a);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct vfs_call c = call_of(req);

	answer_name(req, &c, vfs_unlink(fs_of(req), &c, parent, text(name)), LATER_ERR, NULL);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct vfs_call c = call_of(req);

	answer_name(req, &c, vfs_rmdir(fs_of(req), &c, parent, text(name)), LATER_ERR, NULL);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		      const char *new_name, unsigned flags)
{
	struct vfs_call c = call_of(req);
	enum vs_err err =
		vfs_rename(fs_of(req), &c, parent, text(name), new_parent, text(new_name), flags);

	answer_name(req, &c, err, LATER_ERR, NULL);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[OBJECT_TARGET_MAX + 1];
	enum vs_err err = vfs_readlink(fs_of(req), ino, target);

	if (err)
		fuse_reply_vs(req, err);
	else
		fuse_reply_readlink(req, target);
}

/* --- attributes */

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct vfs_attr a;
	enum vs_err err = vfs_getattr(fs_of(req), ino, &a);

	(void)fi;
	if (err)
		fuse_reply_vs(req, err);
	else
		fuse_reply_attr_of(req, &a);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
		       struct fuse_file_info *fi)
{
	static const struct {
		int fuse;
		uint32_t vfs;
	} map[] = {{FUSE_SET_ATTR_MODE, VFS_SET_MODE},
		   {FUSE_SET_ATTR_UID, VFS_SET_UID},
		   {FUSE_SET_ATTR_GID, VFS_SET_GID},
		   {FUSE_SET_ATTR_SIZE, VFS_SET_SIZE},
		   {FUSE_SET_ATTR_ATIME, VFS_SET_ATIME},
		   {FUSE_SET_ATTR_MTIME, VFS_SET_MTIME},
		   {FUSE_SET_ATTR_ATIME_NOW, VFS_SET_ATIME_NOW},
		   {FUSE_SET_ATTR_MTIME_NOW, VFS_SET_MTIME_NOW}};
	struct vfs_call c = call_of(req);
	struct vfs_setattr s = {.mode = st->st_mode, .uid = st->st_uid, .gid = st->st_gid};
	struct vfs_attr a;
	enum vs_err err;

	(void)fi;
	for (size_t i = 0; i < sizeof map / sizeof *map; i++)
		if (to_set & map[i].fuse)
			s.set |= map[i].vfs;
	s.size = (uint64_t)st->st_size;
	s.atime_ns = (int64_t)st->st_atim.tv_sec * NS_PER_S + st->st_atim.tv_nsec;
	s.mtime_ns = (int64_t)st->st_mtim.tv_sec * NS_PER_S + st->st_mtim.tv_nsec;
	err = vfs_setattr(fs_of(req), &c, ino, &s, &a);
	answer_name(req, &c, err, LATER_ATTR, &a);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct vfs_statfs s;
	enum vs_err err = vfs_statfs(fs_of(req), &s);
	struct statvfs v = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = KEY_NAME_MAX};

	(void)ino;
	if (err) {
		fuse_reply_vs(req, err);
		return;
	}
	v.f_blocks = s.total_bytes / 4096;
	v.f_bfree = v.f_bavail = s.free_bytes / 4096;
	v.f_files = s.files;
	v.f_ffree = v.f_favail = s.free_files;
	fuse_reply_statfs(req, &v);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
			size_t size, int flags)
{
	struct vfs_call c = call_of(req);
	uint32_t f = (flags & XATTR_CREATE ? VFS_XATTR_CREATE : 0) |
		     (flags & XATTR_REPLACE ? VFS_XATTR_REPLACE : 0) |
		     (raw.acl_kill_sgid ? VFS_XATTR_KILL_SGID : 0);
	enum vs_err err = vfs_setxattr(fs_of(req), &c, ino, text(name), bytes_of(value, size), f);

	answer_name(req, &c, err, LATER_ERR, NULL);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct vfs_call c = call_of(req);

	answer_name(req, &c, vfs_removexattr(fs_of(req), &c, ino, text(name)), LATER_ERR, NULL);
}

static void answer_xattr(fuse_req_t req, enum vs_err err, size_t size, const void *buf, size_t len)
{
	if (err)
		fuse_reply_vs(req, err);
	else if (size)
		fuse_reply_buf(req, buf, len);
	else
		fuse_reply_xattr(req, len);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	size_t cap = size < OBJECT_XATTR_MAX ? size : OBJECT_XATTR_MAX, len = 0;
	void *own, *buf = fuse_ops_buffer(OBJECT_XATTR_MAX, &own);
	enum vs_err err = VS_ERR_NOMEM;

	if (buf)
		err = vfs_getxattr(fs_of(req), ino, text(name), buf, cap, &len);
	answer_xattr(req, err, size, buf, len);
	free(own);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	size_t len = 0;
	void *own, *buf = fuse_ops_buffer(size, &own);
	bool privileged = fuse_req_ctx(req)->uid == 0;
	enum vs_err err = VS_ERR_NOMEM;

	if (buf)
		err = vfs_listxattr(fs_of(req), ino, privileged, buf, size, &len);
	answer_xattr(req, err, size, buf, len);
	free(own);
}

/* --- files */

static uint32_t open_flags(int flags)
{
	return (flags & O_TRUNC ? VFS_OPEN_TRUNC : 0) | (flags & O_APPEND ? VFS_OPEN_APPEND : 0) |
	       (flags & O_NOATIME ? VFS_OPEN_NOATIME : 0) | (flags & O_DSYNC ? VFS_OPEN_SYNC : 0) |
	       ((flags & O_ACCMODE) != O_RDONLY ? VFS_OPEN_WRITE : 0);
}

/*
 * What the kernel may do with its cache (PERFORMANCE.md, fact 6).  A close has
 * nothing to commit when the handle is for reading only and its opening changed
 * nothing; O_CREAT and O_TRUNC go with O_RDONLY, too.
 */
static void cache_flags(fuse_req_t req, struct fuse_file_info *fi, bool created)
{
	const struct fuse_glue *g = fuse_req_userdata(req);

	fi->keep_cache = 1;
	if ((fi->flags & O_ACCMODE) == O_RDONLY)
		fi->noflush = !created && !(fi->flags & O_TRUNC);
	else if ((fi->flags & O_ACCMODE) == O_WRONLY && !(fi->flags & O_APPEND))
		fi->direct_io = g->direct_writes;
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	struct vfs_call c = call_of(req);
	struct later l = {.req = req, .kind = LATER_CREATE};
	enum vs_err err = vfs_create(fs_of(req), &c, parent, text(name), mode,
				     open_flags(fi->flags), &l.handle, &l.attr);

	if (err) {
		fuse_reply_vs(req, err);
		return;
	}
	l.fi = *fi;
	l.fi.fh = (uintptr_t)l.handle;
	cache_flags(req, &l.fi, true);
	fuse_reply_later(fs_of(req), &l, c.index, PROMISE_NAME);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct vfs_call c = call_of(req);
	struct vfs_handle *h;
	enum vs_err err = vfs_open(fs_of(req), &c, ino, open_flags(fi->flags), &h);

	if (err) {
		fuse_reply_vs(req, err);
		return;
	}
	fi->fh = (uintptr_t)h;
	cache_flags(req, fi, false);
	if (fuse_reply_open(req, fi) == -ENOENT)
		vfs_release(fs_of(req), h);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	vfs_release(fs_of(req), handle_of(fi));
	fuse_reply_err(req, 0);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	size_t got = 0;
	void *own, *buf = fuse_ops_buffer(size, &own);
	enum vs_err err = VS_ERR_NOMEM;

	(void)ino;
	if (buf)
		err = vfs_read(fs_of(req), handle_of(fi), (uint64_t)off, buf, size, &got);
	if (err)
		fuse_reply_vs(req, err);
	else
		fuse_reply_buf(req, buf, got);
	free(own);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	struct vfs_call c = call_of(req);
	struct later l = {.req = req, .kind = LATER_WRITE, .count = size};
	struct vfs_handle *h = handle_of(fi);
	enum vs_err err = vfs_write(fs_of(req), &c, h, (uint64_t)off, buf, size, fi->writepage);
	bool sync = vfs_handle_flags(h) & VFS_OPEN_SYNC;

	tell_mode(req, ino, &c);
	if (err)
		fuse_reply_vs(req, err);
	else
		fuse_reply_later(fs_of(req), &l, sync ? c.index : 0, PROMISE_SYNC);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct vfs_call c = call_of(req);
	struct later l = {.req = req, .kind = LATER_ERR};
	enum vs_err err = vfs_flush(fs_of(req), &c, handle_of(fi));

	(void)ino;
	if (err)
		fuse_reply_vs(req, err);
	else
		fuse_reply_later(fs_of(req), &l, c.index, PROMISE_CLOSE);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct vfs_call c = call_of(req);
	struct later l = {.req = req, .kind = LATER_ERR};
	enum vs_err err = vfs_fsync(fs_of(req), &c, handle_of(fi));

	(void)ino;
	(void)datasync;
	if (err)
		fuse_reply_vs(req, err);
	else
		fuse_reply_later(fs_of(req), &l, c.index, PROMISE_SYNC);
}

/* Everything ordered so far becomes durable, and that is more than the directory. */
static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct later l = {.req = req, .kind = LATER_ERR};

	(void)ino;
	(void)datasync;
	(void)fi;
	fuse_reply_later(fs_of(req), &l, vfs_last_index(fs_of(req)), PROMISE_SYNC);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
			 struct fuse_file_info *fi)
{
	struct vfs_call c = call_of(req);
	enum vs_err err = VS_ERR_INVAL;

	if (off >= 0 && len > 0)
		err = vfs_fallocate(fs_of(req), &c, handle_of(fi), (uint32_t)mode, (uint64_t)off,
				    (uint64_t)len);
	tell_mode(req, ino, &c);
	answer_name(req, &c, err, LATER_ERR, NULL);
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		     struct fuse_file_info *fi)
{
	uint64_t at;
	enum vs_err err = VS_ERR_INVAL;

	(void)ino;
	if (off < 0)
		err = VS_ERR_NXIO;
	else if (whence == SEEK_DATA || whence == SEEK_HOLE)
		err = vfs_seek(fs_of(req), handle_of(fi), (uint64_t)off, whence == SEEK_HOLE, &at);
	if (err)
		fuse_reply_vs(req, err);
	else
		fuse_reply_lseek(req, (off_t)at);
}

static void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			       struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
			       struct fuse_file_info *fi_out, size_t len, int flags)
{
	struct vfs_call c = call_of(req);
	uint64_t copied = 0;
	enum vs_err err = VS_ERR_INVAL;

	(void)ino_in;
	/* The answer's count has 32 bits. */
	if (len > INT32_MAX)
		len = INT32_MAX;
	if (!flags && off_in >= 0 && off_out >= 0)
		err = vfs_copy(fs_of(req), &c, handle_of(fi_in), (uint64_t)off_in,
			       handle_of(fi_out), (uint64_t)off_out, len, &copied);
	tell_mode(req, ino_out, &c);
	if (err)
		fuse_reply_vs(req, err);
	else
		fuse_reply_write(req, copied);
}

const struct fuse_lowlevel_ops fuse_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.create = op_create,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = fuse_op_opendir,
	.readdir = fuse_op_readdir,
	.readdirplus = fuse_op_readdirplus,
	.releasedir = fuse_op_releasedir,
	.fsyncdir = op_fsyncdir,
	.statfs = op_statfs,
	.setxattr = op_setxattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.copy_file_range = op_copy_file_range,
};
