/* fuse_dir: directory listings for FUSE. */
#include "fs/fuse_ops.h"

#include "engine/base/assert.h"

#include <stdlib.h>
#include <string.h>

struct dir_handle {
	uint64_t end; /* listings reach to here; renewed when one starts over */
};

struct filling {
	fuse_req_t req;
	char *buf;
	size_t size, used;
	bool plus;
};

static struct fuse_glue *glue_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static struct dir_handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct dir_handle *)(uintptr_t)fi->fh;
}

void fuse_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct dir_handle *h = malloc(sizeof *h);
	enum vs_err err = h ? vfs_dir_end(glue_of(req)->fs, &h->end) : VS_ERR_NOMEM;

	(void)ino;
	if (err) {
		free(h);
		fuse_reply_vs(req, err);
		return;
	}
	fi->fh = (uintptr_t)h;
	fi->cache_readdir = 1;
	fi->keep_cache = 1;
	if (fuse_reply_open(req, fi))
		free(h);
}

void fuse_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	free(handle_of(fi));
	fuse_reply_err(req, 0);
}

static bool add(void *arg, const struct vfs_dirent *d)
{
	struct filling *f = arg;
	char name[KEY_NAME_MAX + 1];
	size_t n;

	vs_assert(d->name.len <= KEY_NAME_MAX);
	memcpy(name, d->name.p, d->name.len);
	name[d->name.len] = 0;
	if (f->plus) {
		struct fuse_entry_param e = {
			.attr = {.st_ino = d->id, .st_mode = (mode_t)d->type << 12}};

		/* Without attributes the kernel takes the name alone. */
		if (d->attr)
			fuse_entry_of(d->attr, &e);
		n = fuse_add_direntry_plus(f->req, f->buf + f->used, f->size - f->used, name, &e,
					   (off_t)d->off);
	} else {
		struct stat st = {.st_ino = d->id, .st_mode = (mode_t)d->type << 12};

		n = fuse_add_direntry(f->req, f->buf + f->used, f->size - f->used, name, &st,
				      (off_t)d->off);
	}
	if (n > f->size - f->used)
		return false;
	f->used += n;
	return true;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi,
		 bool plus)
{
	struct fs *fs = glue_of(req)->fs;
	struct dir_handle *h = handle_of(fi);
	struct filling f = {.req = req, .size = size, .plus = plus};
	uint32_t room = (uint32_t)(size / (plus ? 160 : 32));
	void *own;
	enum vs_err err = VS_OK;

	f.buf = fuse_ops_buffer(size, &own);
	if (!f.buf || off < 0)
		err = off < 0 ? VS_ERR_INVAL : VS_ERR_NOMEM;
	if (!err && !off)
		err = vfs_dir_end(fs, &h->end);
	if (!err)
		err = vfs_readdir(fs, ino, (uint64_t)off, h->end, room, plus, add, &f);
	if (err)
		fuse_reply_vs(req, err);
	else
		fuse_reply_buf(req, f.buf, f.used);
	free(own);
}

void fuse_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	list(req, ino, size, off, fi, false);
}

void fuse_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			 struct fuse_file_info *fi)
{
	list(req, ino, size, off, fi, true);
}
