/*
 * fuse_ops: what FUSE asks, handed to vfs.h, and the answers: the only place
 * of fs/ where an error becomes an errno.
 *
 * Nothing here waits for the disk: an answer that has to come after a sync is
 * kept in a `struct later` and given from the sync's done callback, so no
 * thread is held.
 *
 * Thread rule: operations in any thread of the session; each such thread calls
 * fuse_ops_thread_begin and _end.
 */
#ifndef VS_FS_FUSE_OPS_H
#define VS_FS_FUSE_OPS_H

#define FUSE_USE_VERSION 312
#include "fs/rawreq.h"
#include "fs/vfs.h"

#include <fuse_lowlevel.h>

/* The session's userdata. */
struct fuse_glue {
	struct fs *fs;
	struct fuse_session *se;
	bool direct_writes; /* the kernel keeps cached pages coherent with direct writes (6.6) */
};

extern const struct fuse_lowlevel_ops fuse_ops;

/* A buffer for answers.  VS_ERR_NOMEM. */
enum vs_err VS_MUST_USE fuse_ops_thread_begin(void);
void fuse_ops_thread_end(void);
/* The flags of the request this thread is about to process. */
void fuse_ops_set_raw(const struct rawreq *raw);

/* fuse_reply.c: the answers. */

enum later_kind { LATER_ERR, LATER_ENTRY, LATER_ATTR, LATER_WRITE, LATER_CREATE };
struct later {
	struct log_waiter w;
	fuse_req_t req;
	enum later_kind kind;
	struct vfs_handle *handle; /* LATER_CREATE */
	struct fs *fs;
	struct fuse_file_info fi;
	struct vfs_attr attr;
	size_t count; /* LATER_WRITE */
};
/* What an operation promises with its answer. */
enum promise { PROMISE_NAME, PROMISE_CLOSE, PROMISE_SYNC };

/* Give the answer in l (req and kind set, and what kind needs), now or after the sync it waits for.
 */
void fuse_reply_later(struct fs *fs, struct later *l, uint64_t index, enum promise promise);
void fuse_reply_vs(fuse_req_t req, enum vs_err err);
void fuse_reply_attr_of(fuse_req_t req, const struct vfs_attr *a);
void fuse_reply_entry_of(fuse_req_t req, const struct vfs_attr *a);
void fuse_reply_no_entry(fuse_req_t req); /* a negative entry */
void fuse_entry_of(const struct vfs_attr *a, struct fuse_entry_param *e);
void fuse_stat_of(const struct vfs_attr *a, struct stat *st);

/* fuse_dir.c: listing. */
void fuse_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fuse_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		     struct fuse_file_info *fi);
void fuse_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			 struct fuse_file_info *fi);
void fuse_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/* At least size bytes for an answer, this thread's; *own is to be freed after use. */
void *fuse_ops_buffer(size_t size, void **own);

#endif
