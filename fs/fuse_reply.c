/* fuse_reply: answers to FUSE requests, at once or when a sync is done. */
#include "fs/fuse_ops.h"

#include "engine/base/assert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

/* Every change goes through this mount, so what the kernel knows stays true. */
#define TIMEOUT_S 86400.0
#define BLOCK_SIZE 131072 /* st_blksize: what cp and others read and write at a time */
#define NS_PER_S INT64_C(1000000000)

static struct timespec time_of(int64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};

	if (t.tv_nsec < 0) {
		t.tv_nsec += NS_PER_S;
		t.tv_sec--;
	}
	return t;
}

void fuse_stat_of(const struct vfs_attr *a, struct stat *st)
{
	*st = (struct stat){
		.st_ino = a->id,
		.st_mode = a->mode,
		.st_nlink = a->nlink,
		.st_uid = a->uid,
		.st_gid = a->gid,
		.st_rdev = a->rdev,
		.st_size = (off_t)a->size,
		.st_blksize = BLOCK_SIZE,
		.st_blocks = (blkcnt_t)a->blocks,
		.st_atim = time_of(a->atime_ns),
		.st_mtim = time_of(a->mtime_ns),
		.st_ctim = time_of(a->ctime_ns),
	};
}

static double attr_timeout(const struct vfs_attr *a)
{
	return a->volatile_ ? 0 : TIMEOUT_S;
}

void fuse_entry_of(const struct vfs_attr *a, struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){
		.ino = a->id,
		.generation = 1,
		.attr_timeout = attr_timeout(a),
		.entry_timeout = TIMEOUT_S,
	};
	fuse_stat_of(a, &e->attr);
}

void fuse_reply_vs(fuse_req_t req, enum vs_err err)
{
	fuse_reply_err(req, vs_err_errno(err));
}

void fuse_reply_attr_of(fuse_req_t req, const struct vfs_attr *a)
{
	struct stat st;

	fuse_stat_of(a, &st);
	fuse_reply_attr(req, &st, attr_timeout(a));
}

void fuse_reply_entry_of(fuse_req_t req, const struct vfs_attr *a)
{
	struct fuse_entry_param e;

	fuse_entry_of(a, &e);
	fuse_reply_entry(req, &e);
}

void fuse_reply_no_entry(fuse_req_t req)
{
	struct fuse_entry_param e = {.entry_timeout = TIMEOUT_S};

	fuse_reply_entry(req, &e);
}

static void give(const struct later *l, enum vs_err err)
{
	struct fuse_entry_param e;

	if (err) {
		if (l->kind == LATER_CREATE)
			vfs_release(l->fs, l->handle);
		fuse_reply_vs(l->req, err);
		return;
	}
	switch (l->kind) {
	case LATER_ERR:
		fuse_reply_err(l->req, 0);
		break;
	case LATER_ENTRY:
		fuse_reply_entry_of(l->req, &l->attr);
		break;
	case LATER_ATTR:
		fuse_reply_attr_of(l->req, &l->attr);
		break;
	case LATER_WRITE:
		fuse_reply_write(l->req, l->count);
		break;
	case LATER_CREATE:
		fuse_entry_of(&l->attr, &e);
		/* The opener died meanwhile: nobody will release what it opened. */
		if (fuse_reply_create(l->req, &e, &l->fi) == -ENOENT)
			vfs_release(l->fs, l->handle);
		break;
	}
}

static void done(struct log_waiter *w, enum vs_err err)
{
	struct later *l = (struct later *)w;

	give(l, err);
	free(l);
}

static bool must_wait(const struct fs *fs, enum promise promise)
{
	switch (fs_durability(fs)) {
	case FS_DURABILITY_STRICT:
		return true;
	case FS_DURABILITY_CLOSE:
		return promise != PROMISE_NAME;
	case FS_DURABILITY_FSYNC:
		return promise == PROMISE_SYNC;
	}
	return true;
}

_Static_assert(offsetof(struct later, w) == 0, "done casts");

void fuse_reply_later(struct fs *fs, struct later *l, uint64_t index, enum promise promise)
{
	struct later *copy;

	l->fs = fs;
	if (!index || !must_wait(fs, promise)) {
		give(l, VS_OK);
		return;
	}
	copy = malloc(sizeof *copy);
	if (!copy) {
		give(l, VS_ERR_NOMEM);
		return;
	}
	*copy = *l;
	copy->w = (struct log_waiter){.index = index, .done = done};
	vfs_wait(fs, &copy->w);
}
