#include "engine/base/env_posix.h"

#include "engine/base/assert.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/* One pwritev takes this many buffers at most; more go in pieces. */
#define IOV_PIECE 256
/* Linux moves at most 0x7ffff000 bytes per call; stay well below. */
#define IO_PIECE_BYTES ((size_t)1 << 30)

_Static_assert(IOV_PIECE <= IOV_MAX, "a piece fits one call");

struct env_posix {
	struct env env;
	int dir_fd;
	int lock_fd; /* -1: not locked */
};

struct env_file {
	int fd;
};

static struct env_posix *self(struct env *e)
{
	return (struct env_posix *)e;
}

/* The code for errno eno; `site` for what has no code of its own. */
static enum vs_err err_of(int eno, enum vs_err site)
{
	vs_assert(eno);
	switch (eno) {
	case ENOENT:
		return VS_ERR_NOENT;
	case EEXIST:
		return VS_ERR_EXIST;
	case ENOTDIR:
		return VS_ERR_NOTDIR;
	case EISDIR:
		return VS_ERR_ISDIR;
	case EACCES:
	case EPERM:
		return VS_ERR_ACCES;
	case EROFS:
		return VS_ERR_ROFS;
	case ENOSPC:
		return VS_ERR_NOSPC;
	case EDQUOT:
		return VS_ERR_DQUOT;
	case EMFILE:
	case ENFILE:
		return VS_ERR_MFILE;
	case ENOMEM:
		return VS_ERR_NOMEM;
	default:
		return site;
	}
}

/* As err_of, for I/O on an open file: only lack of space is not `site`. */
static enum vs_err io_err_of(int eno, enum vs_err site)
{
	vs_assert(eno);
	return eno == ENOSPC || eno == EDQUOT ? VS_ERR_NOSPC : site;
}

static enum vs_err posix_open(struct env *e, const char *name, int flags, struct env_file **out)
{
	int how = O_CLOEXEC | (flags & ENV_WRITE ? O_RDWR : O_RDONLY);
	struct env_file *f;
	int fd;

	vs_assert(!(flags & ENV_CREATE) || flags & ENV_WRITE);
	vs_assert(!(flags & ENV_EXCL) || flags & ENV_CREATE);
	how |= flags & ENV_CREATE ? O_CREAT : 0;
	how |= flags & ENV_EXCL ? O_EXCL : 0;
	f = malloc(sizeof *f);
	if (!f)
		return VS_ERR_NOMEM;
	do
		fd = openat(self(e)->dir_fd, name, how, 0600);
	while (fd < 0 && errno == EINTR);
	if (fd < 0) {
		enum vs_err err = err_of(errno, VS_ERR_IO_OPEN);

		free(f);
		return err;
	}
	f->fd = fd;
	*out = f;
	return VS_OK;
}

static void posix_close(struct env_file *f)
{
	if (!f)
		return;
	/* a lost write shows at sync, never only at close */
	close(f->fd);
	free(f);
}

static enum vs_err posix_pread(struct env_file *f, void *buf, size_t len, uint64_t off, size_t *got)
{
	size_t done = 0;
	ssize_t n;

	vs_assert(off <= INT64_MAX && len <= INT64_MAX - off);
	while (done < len) {
		size_t want = len - done < IO_PIECE_BYTES ? len - done : IO_PIECE_BYTES;

		n = pread(f->fd, (char *)buf + done, want, (off_t)(off + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return VS_ERR_IO_READ;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	*got = done;
	return VS_OK;
}

/*
 * The next piece of iov[0..n-1] from byte `skip` of iov[0] on, to piece[];
 * returns how many buffers it has.
 */
static int next_piece(const struct iovec *iov, int n, size_t skip, struct iovec *piece)
{
	size_t room = IO_PIECE_BYTES;
	int k;

	for (k = 0; k < n && k < IOV_PIECE && room; k++) {
		size_t len = iov[k].iov_len - skip;

		piece[k].iov_base = (char *)iov[k].iov_base + skip;
		piece[k].iov_len = len < room ? len : room;
		room -= piece[k].iov_len;
		skip = 0;
	}
	return k;
}

static enum vs_err posix_pwritev(struct env_file *f, const struct iovec *iov, int n, uint64_t off)
{
	struct iovec piece[IOV_PIECE];
	size_t skip = 0; /* bytes of iov[0] that are written */
	ssize_t put;

	vs_assert(n >= 0 && off <= INT64_MAX);
	for (;;) {
		while (n && skip == iov->iov_len) {
			iov++;
			n--;
			skip = 0;
		}
		if (!n)
			return VS_OK;
		put = pwritev(f->fd, piece, next_piece(iov, n, skip, piece), (off_t)off);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return io_err_of(errno, VS_ERR_IO_WRITE);
		if (put == 0)
			return VS_ERR_IO_WRITE;
		off += (size_t)put;
		while (put) {
			size_t step;

			vs_assert(n > 0);
			step = iov->iov_len - skip;

			if (step > (size_t)put) {
				skip += (size_t)put;
				break;
			}
			put -= (ssize_t)step;
			iov++;
			n--;
			skip = 0;
		}
	}
}

/*
 * fdatasync flushes the size too when reads need it.  It is never repeated
 * after a failure: the kernel has dropped the dirty pages and the second call
 * would report success for bytes that are gone.  EINTR is no such failure: the
 * wait was cut short and nothing was reported about any page.
 */
static enum vs_err posix_sync(struct env_file *f)
{
	int rc;

	do
		rc = fdatasync(f->fd);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? VS_ERR_IO_SYNC : VS_OK;
}

static void posix_write_hint(struct env_file *f, uint64_t off, uint64_t len)
{
	(void)sync_file_range(f->fd, (off_t)off, (off_t)len, SYNC_FILE_RANGE_WRITE);
}

/*
 * Where the file system cannot reserve: write zeros over the holes.  Data in
 * the range stays; a block is skipped when SEEK_DATA finds it.
 */
static enum vs_err fill_holes(struct env_file *f, uint64_t off, uint64_t end)
{
	static const char zeros[1 << 16];
	off_t hole, data;

	while (off < end) {
		struct iovec iov = {(void *)(uintptr_t)zeros, sizeof zeros};
		struct stat st;
		enum vs_err err;

		if (fstat(f->fd, &st) < 0)
			return VS_ERR_IO_WRITE;
		/* SEEK_HOLE answers ENXIO at and after the end: all hole there */
		hole = (off_t)off < st.st_size ? lseek(f->fd, (off_t)off, SEEK_HOLE) : (off_t)off;
		if (hole < 0)
			return VS_ERR_IO_WRITE;
		if ((uint64_t)hole >= end)
			return VS_OK;
		data = hole < st.st_size ? lseek(f->fd, hole, SEEK_DATA) : -1;
		if (data < 0 || (uint64_t)data > end)
			data = (off_t)end;
		if ((uint64_t)(data - hole) < iov.iov_len)
			iov.iov_len = (size_t)(data - hole);
		err = posix_pwritev(f, &iov, 1, (uint64_t)hole);
		if (err)
			return err;
		off = (uint64_t)hole + iov.iov_len;
	}
	return VS_OK;
}

static enum vs_err posix_allocate(struct env_file *f, uint64_t off, uint64_t len)
{
	int rc;

	vs_assert(len && off <= INT64_MAX && len <= INT64_MAX - off);
	do
		rc = fallocate(f->fd, 0, (off_t)off, (off_t)len);
	while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return VS_OK;
	if (errno == EOPNOTSUPP || errno == ENOSYS)
		return fill_holes(f, off, off + len);
	return io_err_of(errno, VS_ERR_IO_WRITE);
}

static enum vs_err posix_truncate(struct env_file *f, uint64_t size)
{
	int rc;

	vs_assert(size <= INT64_MAX);
	do
		rc = ftruncate(f->fd, (off_t)size);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? io_err_of(errno, VS_ERR_IO_WRITE) : VS_OK;
}

static enum vs_err posix_size(struct env_file *f, uint64_t *bytes)
{
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		return VS_ERR_IO_READ;
	vs_assert(st.st_size >= 0);
	*bytes = (uint64_t)st.st_size;
	return VS_OK;
}

static enum vs_err posix_unlink(struct env *e, const char *name)
{
	return unlinkat(self(e)->dir_fd, name, 0) < 0 ? err_of(errno, VS_ERR_IO_DIR) : VS_OK;
}

static enum vs_err posix_rename(struct env *e, const char *from, const char *to)
{
	int fd = self(e)->dir_fd;

	return renameat(fd, from, fd, to) < 0 ? err_of(errno, VS_ERR_IO_DIR) : VS_OK;
}

static enum vs_err posix_mkdir(struct env *e, const char *name)
{
	struct stat st;

	if (mkdirat(self(e)->dir_fd, name, 0700) == 0)
		return VS_OK;
	if (errno != EEXIST)
		return err_of(errno, VS_ERR_IO_DIR);
	if (fstatat(self(e)->dir_fd, name, &st, 0) < 0)
		return err_of(errno, VS_ERR_IO_DIR);
	return S_ISDIR(st.st_mode) ? VS_OK : VS_ERR_NOTDIR;
}

/* Open directory dir of the tree ("" is the top), or -1 and errno. */
static int open_dir(struct env *e, const char *dir)
{
	int fd;

	do
		fd = openat(self(e)->dir_fd, *dir ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	return fd;
}

static enum vs_err posix_dir_sync(struct env *e, const char *dir)
{
	int fd = open_dir(e, dir);
	int rc;

	if (fd < 0)
		return err_of(errno, VS_ERR_IO_DIR);
	do
		rc = fsync(fd);
	while (rc < 0 && errno == EINTR);
	close(fd);
	return rc < 0 ? VS_ERR_IO_SYNC : VS_OK;
}

static enum vs_err posix_list(struct env *e, const char *dir,
			      enum vs_err (*each)(void *arg, const char *name), void *arg)
{
	int fd = open_dir(e, dir);
	enum vs_err err = VS_OK;
	struct dirent *d;
	DIR *dp;

	if (fd < 0)
		return err_of(errno, VS_ERR_IO_DIR);
	dp = fdopendir(fd);
	if (!dp) {
		err = err_of(errno, VS_ERR_IO_DIR);
		close(fd);
		return err;
	}
	while (!err) {
		errno = 0;
		d = readdir(dp);
		if (!d) {
			err = errno ? err_of(errno, VS_ERR_IO_DIR) : VS_OK;
			break;
		}
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			err = each(arg, d->d_name);
	}
	closedir(dp);
	return err;
}

static enum vs_err posix_lock(struct env *e, const char *name)
{
	struct env_posix *p = self(e);
	int fd;

	vs_assert(p->lock_fd < 0);
	do
		fd = openat(p->dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return err_of(errno, VS_ERR_IO_OPEN);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		enum vs_err err = errno == EWOULDBLOCK ? VS_ERR_LOCKED : VS_ERR_IO_OPEN;

		close(fd);
		return err;
	}
	p->lock_fd = fd;
	return VS_OK;
}

/* The lock file stays: removing it would let two openers hold two files. */
static void posix_unlock(struct env *e)
{
	struct env_posix *p = self(e);

	if (p->lock_fd < 0)
		return;
	close(p->lock_fd);
	p->lock_fd = -1;
}

static enum vs_err posix_space(struct env *e, struct env_space *out)
{
	struct statvfs s;
	int rc;

	do
		rc = fstatvfs(self(e)->dir_fd, &s);
	while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return VS_ERR_IO_DIR;
	out->total_bytes = (uint64_t)s.f_blocks * s.f_frsize;
	out->free_bytes = (uint64_t)s.f_bavail * s.f_frsize;
	return VS_OK;
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	vs_assert(!clock_gettime(id, &t));
	vs_assert(t.tv_sec >= 0);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t posix_now_mono_ns(struct env *e)
{
	(void)e;
	return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t posix_now_real_ns(struct env *e)
{
	(void)e;
	return clock_ns(CLOCK_REALTIME);
}

static void posix_random(struct env *e, void *buf, size_t len)
{
	char *p = buf;
	ssize_t n;

	(void)e;
	while (len) {
		n = getrandom(p, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		vs_assert(n > 0);
		p += n;
		len -= (size_t)n;
	}
}

static const struct env_ops posix_ops = {
	.open = posix_open,
	.close = posix_close,
	.pread = posix_pread,
	.pwritev = posix_pwritev,
	.sync = posix_sync,
	.write_hint = posix_write_hint,
	.allocate = posix_allocate,
	.truncate = posix_truncate,
	.size = posix_size,
	.unlink = posix_unlink,
	.rename = posix_rename,
	.mkdir = posix_mkdir,
	.dir_sync = posix_dir_sync,
	.list = posix_list,
	.lock = posix_lock,
	.unlock = posix_unlock,
	.space = posix_space,
	.now_mono_ns = posix_now_mono_ns,
	.now_real_ns = posix_now_real_ns,
	.random = posix_random,
};

enum vs_err env_posix_open(const char *path, bool create, struct env **out)
{
	struct env_posix *p;
	int fd;

	vs_assert(path && out);
	if (create && mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_of(errno, VS_ERR_IO_DIR);
	do
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return err_of(errno, VS_ERR_IO_DIR);
	p = malloc(sizeof *p);
	if (!p) {
		close(fd);
		return VS_ERR_NOMEM;
	}
	*p = (struct env_posix){{&posix_ops}, fd, -1};
	*out = &p->env;
	return VS_OK;
}

void env_posix_close(struct env *e)
{
	if (!e)
		return;
	vs_assert(e->ops == &posix_ops);
	posix_unlock(e);
	close(self(e)->dir_fd);
	free(self(e));
}
