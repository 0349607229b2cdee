/*
 * vfs: the operations of the file system: POSIX rules turned into
 * transactions.
 *
 * What it is: what a kernel may ask of a file system, by object id; knows
 * nothing of FUSE.  Object ids are inode numbers; the root is OBJECT_ROOT.
 *
 * What it is not: it checks no permissions (the kernel does, with
 * default_permissions) beyond those the kernel cannot know (sticky rules of
 * user xattrs), and it waits for no disk: an operation that changed something
 * puts the log index of the change into its call; the caller waits for that
 * index (replica_sync_async) before it answers when the promise asks for it.
 *
 * Names are bytes, 1..KEY_NAME_MAX, not "." or ".." where something is made or
 * removed.  Errors common to all: VS_ERR_NOENT (no such object or name),
 * VS_ERR_NAMETOOLONG, VS_ERR_NOSPC, VS_ERR_NOMEM, VS_ERR_STOPPED, VS_ERR_IO_*,
 * VS_ERR_CORRUPT_*.
 *
 * Thread rule: thread-safe.  Operations block on the device at most; those on
 * one object that change it take turns.
 */
#ifndef VS_FS_VFS_H
#define VS_FS_VFS_H

#include "engine/object.h"
#include "fs/fs.h"

/* Who asks, and what comes of it. */
struct vfs_call {
	uint32_t uid, gid, umask;
	bool kill_priv; /* in: the caller may not keep suid and sgid of what it changes */
	bool killed;    /* out: it lost them, which a kernel that caches the mode has to hear */
	uint64_t index; /* out: last log index of this operation; 0 when it changed nothing */
};

struct vfs_attr {
	uint64_t id, size, nlink, blocks; /* blocks of 512 bytes */
	uint32_t mode, uid, gid;
	uint64_t rdev;
	int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
	bool volatile_; /* has data not yet stored: blocks is an estimate, do not cache */
};

/*
 * Have w->done called once everything up to w->index is durable; as
 * replica_sync_async.
 */
void vfs_wait(struct fs *fs, struct log_waiter *w);
/* The last index ordered so far, by whomever. */
uint64_t vfs_last_index(struct fs *fs);

/*
 * Whom to tell that the kernel's cache of an object, or of a name, is wrong: what
 * could not be stored is not there any more.  Called from one thread of the fs,
 * with nothing held.  NULL: nobody; returns when no call is under way.
 */
struct vfs_notify {
	void (*inode)(void *arg, uint64_t id);
	void (*entry)(void *arg, uint64_t dir, struct bytes name);
	void *arg;
};
void vfs_set_notify(struct fs *fs, const struct vfs_notify *n);

/* An open file; made by vfs_create and vfs_open, ended by vfs_release. */
struct vfs_handle;

/* --- names (dir.c, rename.c) */

/* The object of a name; "." and ".." work. */
enum vs_err VS_MUST_USE vfs_lookup(struct fs *fs, uint64_t dir, struct bytes name,
				   struct vfs_attr *out);
/* Make a directory, an empty file, a socket, a fifo or a device (mode says which). */
enum vs_err VS_MUST_USE vfs_make(struct fs *fs, struct vfs_call *c, uint64_t dir, struct bytes name,
				 uint32_t mode, uint64_t rdev, struct vfs_attr *out);
enum vs_err VS_MUST_USE vfs_symlink(struct fs *fs, struct vfs_call *c, uint64_t dir,
				    struct bytes name, struct bytes target, struct vfs_attr *out);
enum vs_err VS_MUST_USE vfs_link(struct fs *fs, struct vfs_call *c, uint64_t id, uint64_t dir,
				 struct bytes name, struct vfs_attr *out);
enum vs_err VS_MUST_USE vfs_unlink(struct fs *fs, struct vfs_call *c, uint64_t dir,
				   struct bytes name);
enum vs_err VS_MUST_USE vfs_rmdir(struct fs *fs, struct vfs_call *c, uint64_t dir,
				  struct bytes name);

enum vfs_rename_flags {
	VFS_RENAME_NOREPLACE = 1,
	VFS_RENAME_EXCHANGE = 2,
};
/* VS_ERR_INVAL: other flags, or a directory into itself. */
enum vs_err VS_MUST_USE vfs_rename(struct fs *fs, struct vfs_call *c, uint64_t dir,
				   struct bytes name, uint64_t new_dir, struct bytes new_name,
				   uint32_t flags);
/* The target of a symlink into buf (at least OBJECT_TARGET_MAX + 1 bytes), with a final NUL. */
enum vs_err VS_MUST_USE vfs_readlink(struct fs *fs, uint64_t id, char *buf);

/* --- directories (dir.c) */

struct vfs_dirent {
	uint64_t id;
	uint64_t off; /* where the listing goes on behind this entry */
	uint8_t type; /* d_type */
	struct bytes name;
	const struct vfs_attr *attr; /* NULL when not asked for, or gone meanwhile */
};

/* The highest position a listing that starts now has to reach (names made later may be left out).
 */
enum vs_err VS_MUST_USE vfs_dir_end(struct fs *fs, uint64_t *end);
/*
 * Call each for the entries of dir behind position off (0 = from the start) up
 * to position end, in order, until it returns false.  Constant memory; the
 * positions are good for ever.  room: how many the caller will take, about.
 */
enum vs_err VS_MUST_USE vfs_readdir(struct fs *fs, uint64_t dir, uint64_t off, uint64_t end,
				    uint32_t room, bool plus,
				    bool (*each)(void *arg, const struct vfs_dirent *d), void *arg);

/* --- attributes (attr.c) */

enum vs_err VS_MUST_USE vfs_getattr(struct fs *fs, uint64_t id, struct vfs_attr *out);

enum vfs_set {
	VFS_SET_MODE = 1,
	VFS_SET_UID = 2,
	VFS_SET_GID = 4,
	VFS_SET_SIZE = 8,
	VFS_SET_ATIME = 16,
	VFS_SET_MTIME = 32,
	VFS_SET_ATIME_NOW = 64,
	VFS_SET_MTIME_NOW = 128,
};
struct vfs_setattr {
	uint32_t set; /* enum vfs_set */
	uint32_t mode, uid, gid;
	uint64_t size;
	int64_t atime_ns, mtime_ns;
};
enum vs_err VS_MUST_USE vfs_setattr(struct fs *fs, struct vfs_call *c, uint64_t id,
				    const struct vfs_setattr *s, struct vfs_attr *out);

struct vfs_statfs {
	uint64_t total_bytes, free_bytes, files, free_files;
};
enum vs_err VS_MUST_USE vfs_statfs(struct fs *fs, struct vfs_statfs *out);

/* Reading does not change access times (a mount with noatime or ro). */
void vfs_set_noatime(struct fs *fs, bool noatime);

/* --- extended attributes (xattr.c) */

enum vfs_xattr_flags {
	VFS_XATTR_CREATE = 1,
	VFS_XATTR_REPLACE = 2,
	VFS_XATTR_KILL_SGID = 256, /* setting an access ACL clears set-gid */
};
/*
 * *len = length of the value; copied to buf unless cap is 0.  VS_ERR_NODATA,
 * VS_ERR_RANGE, VS_ERR_NOTSUP (name space).
 */
enum vs_err VS_MUST_USE vfs_getxattr(struct fs *fs, uint64_t id, struct bytes name, void *buf,
				     size_t cap, size_t *len);
/* Names with a final NUL each, likewise.  trusted.* only when privileged. */
enum vs_err VS_MUST_USE vfs_listxattr(struct fs *fs, uint64_t id, bool privileged, void *buf,
				      size_t cap, size_t *len);
/* VS_ERR_EXIST, _NODATA, _NOTSUP, _PERM, _TOOBIG, _INVAL (malformed ACL). */
enum vs_err VS_MUST_USE vfs_setxattr(struct fs *fs, struct vfs_call *c, uint64_t id,
				     struct bytes name, struct bytes value, uint32_t flags);
enum vs_err VS_MUST_USE vfs_removexattr(struct fs *fs, struct vfs_call *c, uint64_t id,
					struct bytes name);

/* --- files (file.c, commit.c) */

enum vfs_open_flags {
	VFS_OPEN_TRUNC = 1,
	VFS_OPEN_APPEND = 2,
	VFS_OPEN_NOATIME = 4,
	VFS_OPEN_SYNC = 8, /* O_SYNC, O_DSYNC: every write is a commit */
	VFS_OPEN_WRITE = 16,
};
/* Make a pending file and open it.  VS_ERR_EXIST. */
enum vs_err VS_MUST_USE vfs_create(struct fs *fs, struct vfs_call *c, uint64_t dir,
				   struct bytes name, uint32_t mode, uint32_t open_flags,
				   struct vfs_handle **h, struct vfs_attr *out);
enum vs_err VS_MUST_USE vfs_open(struct fs *fs, struct vfs_call *c, uint64_t id,
				 uint32_t open_flags, struct vfs_handle **h);
/* Ends h.  What is still dirty when the last handle goes is committed. */
void vfs_release(struct fs *fs, struct vfs_handle *h);
/*
 * The kernel has no use for id any more.  Only what a rename replaced waits for
 * it; nothing else is kept for objects that are merely known.
 */
void vfs_forget(struct fs *fs, uint64_t id);
uint64_t vfs_handle_id(const struct vfs_handle *h);
uint32_t vfs_handle_flags(const struct vfs_handle *h);

enum vs_err VS_MUST_USE vfs_read(struct fs *fs, struct vfs_handle *h, uint64_t off, void *buf,
				 size_t len, size_t *got);
/*
 * Write all of buf.  place: the offset counts even on an append handle (the
 * kernel writes back a mapped page).  VS_ERR_FBIG, VS_ERR_NOSPC.
 */
enum vs_err VS_MUST_USE vfs_write(struct fs *fs, struct vfs_call *c, struct vfs_handle *h,
				  uint64_t off, const void *buf, size_t len, bool place);
/*
 * close, fsync: commit the object; wait for c->index to have it durable.
 * Errors of earlier background work are reported once for each handle.
 */
enum vs_err VS_MUST_USE vfs_flush(struct fs *fs, struct vfs_call *c, struct vfs_handle *h);
enum vs_err VS_MUST_USE vfs_fsync(struct fs *fs, struct vfs_call *c, struct vfs_handle *h);

enum vfs_fallocate_flags {
	VFS_FALLOC_KEEP_SIZE = 1,
	VFS_FALLOC_PUNCH_HOLE = 2, /* with KEEP_SIZE */
	VFS_FALLOC_ZERO_RANGE = 16,
};
enum vs_err VS_MUST_USE vfs_fallocate(struct fs *fs, struct vfs_call *c, struct vfs_handle *h,
				      uint32_t mode, uint64_t off, uint64_t len);
/* VS_ERR_NXIO. */
enum vs_err VS_MUST_USE vfs_seek(struct fs *fs, struct vfs_handle *h, uint64_t off, bool hole,
				 uint64_t *out);
/* *copied may be less than len.  VS_ERR_INVAL: ranges of one file overlap. */
enum vs_err VS_MUST_USE vfs_copy(struct fs *fs, struct vfs_call *c, struct vfs_handle *from,
				 uint64_t from_off, struct vfs_handle *to, uint64_t to_off,
				 uint64_t len, uint64_t *copied);

#endif
