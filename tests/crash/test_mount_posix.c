/*
 * Differential test: the same random system calls on the mount and on a plain
 * directory of the system's file system give the same results, the same errno
 * and the same attributes; also after the daemon was killed or unmounted and
 * started again (F99, P3).
 *
 * Not compared, because there the two may differ: times (test_mount_dir.c does),
 * blocks, the size and order of directories, holes (test_mount_fsx.c).
 *
 * VS_POSIX_SECONDS: time (12).  VS_SEEDS: that many seeds instead.
 * VS_SEED_FIRST: the first.  VS_TRACE=1 prints every call and
 * compares everything after each.
 */
#include "tests/lib/rand.h"
#include "tests/lib/testfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	FDS = 6,
	OPS_PER_SEED = 600,
	OPS_PER_WALK = 40,
	PATH_CAP = 1024,
	DATA_MAX = 70000,
	OFF_MAX = 200000,
	USER = 1000,
	EXT4_MAGIC = 0xef53,
};

enum call {
	C_OPEN,
	C_OPEN_NEW,
	C_CLOSE,
	C_PREAD,
	C_PWRITE,
	C_READ,
	C_WRITE,
	C_LSEEK,
	C_FTRUNCATE,
	C_FALLOCATE,
	C_FSYNC,
	C_FSTAT,
	C_FCHMOD,
	C_FCHOWN,
	C_COPY,
	C_MAP_WRITE,
	C_MAP_READ,
	C_DUP,
	C_FLOCK,
	C_FUTIMENS,
	C_STAT,
	C_LSTAT,
	C_MKDIR,
	C_RMDIR,
	C_UNLINK,
	C_LINK,
	C_SYMLINK,
	C_READLINK,
	C_RENAME,
	C_MKNOD,
	C_CHMOD,
	C_CHOWN,
	C_LCHOWN,
	C_TRUNCATE,
	C_ACCESS,
	C_UTIMENS,
	C_SETXATTR,
	C_GETXATTR,
	C_LISTXATTR,
	C_REMOVEXATTR,
	C_READDIR,
	CALLS
};
static const char *const call_name[CALLS] = {
	"open",      "open new", "close",    "pread",     "pwrite",
	"read",      "write",    "lseek",    "ftruncate", "fallocate",
	"fsync",     "fstat",    "fchmod",   "fchown",    "copy_file_range",
	"map write", "map read", "dup",      "flock",     "futimens",
	"stat",      "lstat",    "mkdir",    "rmdir",     "unlink",
	"link",      "symlink",  "readlink", "rename",    "mknod",
	"chmod",     "chown",    "lchown",   "truncate",  "access",
	"utimens",   "setxattr", "getxattr", "listxattr", "removexattr",
	"readdir",
};

struct op {
	enum call call;
	char a[PATH_CAP], b[PATH_CAP]; /* below the root of a side */
	const char *xattr;
	int fd, fd2; /* slots */
	int flags;
	mode_t mode;
	int64_t off;
	size_t len;
	uint64_t n; /* makes the data */
	bool user;  /* not as root */
};

struct result {
	int64_t ret;
	int err;
	uint64_t hash; /* of everything else that came back */
};

struct side {
	char root[PATH_CAP];
	int fd[FDS];
};

static struct testfs tfs;
static struct side mount_side, plain_side;
static uint8_t buf[DATA_MAX], names[65536];

static uint64_t hash_bytes(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t k = 0; k < len; k++)
		h = (h ^ p[k]) * 0x100000001b3;
	return h;
}

static uint64_t hash_number(uint64_t h, uint64_t n)
{
	return hash_bytes(h, &n, sizeof(n));
}

/*
 * Set-gid without group execute (mandatory locking, once): whether a change of
 * contents clears it depends on groups that the FUSE protocol does not tell.
 */
static mode_t known_mode(mode_t mode)
{
	return !S_ISDIR(mode) && !(mode & S_IXGRP) ? mode & ~(mode_t)S_ISGID : mode;
}

static uint64_t hash_stat(const struct stat *st)
{
	uint64_t h = 1;

	h = hash_number(h, known_mode(st->st_mode));
	h = hash_number(h, st->st_nlink);
	h = hash_number(h, st->st_uid);
	h = hash_number(h, st->st_gid);
	h = hash_number(h, st->st_rdev);
	return S_ISDIR(st->st_mode) ? h : hash_number(h, (uint64_t)st->st_size);
}

/* --- the random call ------------------------------------------------------------ */

static void random_path(struct rnd *r, char *path)
{
	static const char *const parts[] = {"a", "b", "c", "d"};
	size_t at = 0;
	uint64_t depth = rnd_between(r, 1, 3);

	path[0] = '\0';
	for (uint64_t k = 0; k < depth; k++)
		at += (size_t)snprintf(path + at, PATH_CAP - at, "/%s", parts[rnd_below(r, 4)]);
	if (!rnd_chance(r, 1, 25))
		return;
	switch (rnd_below(r, 5)) {
	case 0:
		snprintf(path + at, PATH_CAP - at, "/");
		break;
	case 1:
		snprintf(path + at, PATH_CAP - at, "/..");
		break;
	case 2:
		snprintf(path + at, PATH_CAP - at, "/.");
		break;
	default:
		path[at++] = '/';
		at += (size_t)rnd_between(r, 254, 257);
		memset(path + strlen(path), 'L', at - strlen(path));
		path[at] = '\0';
		break;
	}
}

static int random_open_flags(struct rnd *r)
{
	static const int more[] = {O_CREAT, O_CREAT, O_CREAT,     O_EXCL,     O_TRUNC, O_APPEND,
				   O_SYNC,  O_DSYNC, O_DIRECTORY, O_NOFOLLOW, O_TRUNC};
	int flags = (int)rnd_below(r, 3); /* read, write, both */

	for (size_t k = 0; k < sizeof(more) / sizeof(*more); k++)
		if (rnd_chance(r, 1, 5))
			flags |= more[k];
	/* what a directory and O_CREAT mean together changed with the kernel */
	if (flags & O_CREAT)
		flags &= ~O_DIRECTORY;
	return flags | O_NONBLOCK | O_CLOEXEC;
}

static int random_flags(struct rnd *r, enum call call)
{
	static const int falloc[] = {0, 0, 1, 3, 3, 16, 17, 2, 0x80};
	static const int locks[] = {LOCK_SH, LOCK_EX, LOCK_UN};
	static const mode_t types[] = {S_IFREG, S_IFIFO, S_IFSOCK, 0};

	switch (call) {
	case C_OPEN:
		return random_open_flags(r);
	case C_OPEN_NEW:
		return O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC |
		       (rnd_chance(r, 1, 3) ? O_TRUNC : 0);
	case C_FALLOCATE:
		return falloc[rnd_below(r, 9)];
	case C_FLOCK:
		return locks[rnd_below(r, 3)] | LOCK_NB;
	case C_RENAME:
		return rnd_chance(r, 1, 2) ? 0 : (int)rnd_below(r, 4);
	case C_LINK:
		return rnd_chance(r, 1, 2) ? AT_SYMLINK_FOLLOW : 0;
	case C_MKNOD:
		return (int)types[rnd_below(r, 4)];
	case C_LSEEK:
	case C_UTIMENS:
	case C_FUTIMENS:
	case C_SETXATTR:
		return (int)rnd_below(r, 3);
	case C_ACCESS:
		return (int)rnd_below(r, 8);
	default:
		return 0;
	}
}

static void random_op(struct rnd *r, struct op *o)
{
	static const char *const xattrs[] = {"user.a",    "user.a",     "user.b",
					     "trusted.a", "security.a", "system.no",
					     "nothing",   "user.bb",    ""};

	memset(o, 0, sizeof(*o));
	o->call = (enum call)rnd_below(r, CALLS);
	random_path(r, o->a);
	random_path(r, o->b);
	o->xattr = xattrs[rnd_below(r, sizeof(xattrs) / sizeof(*xattrs))];
	o->fd = (int)rnd_below(r, FDS);
	o->fd2 = (int)rnd_below(r, FDS);
	o->flags = random_flags(r, o->call);
	o->mode = (mode_t)(rnd_chance(r, 2, 3) ? 0777 : rnd_below(r, 010000));
	o->off = rnd_chance(r, 1, 60) ? -(int64_t)rnd_below(r, 5000)
				      : (int64_t)rnd_below(r, rnd_chance(r, 1, 2) ? 5000 : OFF_MAX);
	o->len = (size_t)rnd_below(r, rnd_chance(r, 1, 2) ? 300 : DATA_MAX);
	o->n = rnd_next(r);
	o->user = geteuid() == 0 && rnd_chance(r, 1, 3);
}

/* --- one call on one side --------------------------------------------------------- */

static void fill(uint64_t n, size_t len)
{
	struct rnd r = rnd_of(n);

	rnd_fill(&r, buf, len);
}

static uint64_t hash_dir(const char *path, int64_t *ret)
{
	DIR *d = opendir(path);
	struct dirent *e;
	uint64_t h = 0;

	*ret = -1;
	if (!d)
		return 0;
	*ret = 0;
	while ((e = readdir(d))) {
		/* order does not count */
		h += hash_number(hash_bytes(1, e->d_name, strlen(e->d_name)), e->d_type);
		(*ret)++;
	}
	closedir(d);
	return h;
}

static void map(int fd, const struct op *o, struct result *res)
{
	off_t from = o->off / 4096 * 4096;
	bool write = o->call == C_MAP_WRITE;
	struct stat st;
	uint8_t *p;

	if (o->off < 0 || o->len == 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
	    st.st_size < from + (off_t)o->len)
		return; /* a page behind the end is a signal */
	p = mmap(NULL, o->len, write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, from);
	if (p == MAP_FAILED) {
		res->ret = -1;
		res->err = errno;
		return;
	}
	if (write) {
		fill(o->n, o->len);
		memcpy(p, buf, o->len);
		res->ret = o->n % 2 ? msync(p, o->len, MS_SYNC) : 0;
	} else {
		res->hash = hash_bytes(1, p, o->len);
	}
	munmap(p, o->len);
}

/* As far as it goes: one call may copy less than another. */
static int64_t copy(int from, int to, const struct op *o)
{
	off64_t a = o->off, b = (off64_t)(o->n % OFF_MAX);
	size_t left = o->len;
	ssize_t got = 0;

	while (left && (got = copy_file_range(from, &a, to, &b, left, 0)) > 0)
		left -= (size_t)got;
	return got < 0 && left == o->len ? -1 : (int64_t)(o->len - left);
}

static void set_times(struct timespec times[2], const struct op *o)
{
	times[0].tv_sec = (time_t)(o->n % 4000000000);
	times[0].tv_nsec = (long)(o->n >> 8) & 0xfffffff;
	times[1] = times[0];
	times[1].tv_sec++;
	if (o->flags == 1)
		times[0].tv_nsec = UTIME_OMIT;
	if (o->flags == 2)
		times[0].tv_nsec = times[1].tv_nsec = UTIME_NOW;
}

static uint64_t hash_times(const struct stat *st, const struct op *o)
{
	uint64_t h = 1;

	if (o->flags == 0)
		h = hash_number(hash_number(h, (uint64_t)st->st_atim.tv_sec),
				(uint64_t)st->st_atim.tv_nsec);
	if (o->flags != 2)
		h = hash_number(hash_number(h, (uint64_t)st->st_mtim.tv_sec),
				(uint64_t)st->st_mtim.tv_nsec);
	return h;
}

/* Never -1 for both: then the kernel tells a FUSE file system nothing. */
static uid_t chown_uid(const struct op *o)
{
	return o->n % 2 ? USER : (uid_t)-1;
}

static gid_t chown_gid(const struct op *o)
{
	return o->n % 2 == 0 || o->n % 3 ? USER : (gid_t)-1;
}

static void call_fd(struct side *s, const struct op *o, struct result *res)
{
	int fd = s->fd[o->fd];
	struct timespec times[2];
	struct stat st;

	switch (o->call) {
	case C_CLOSE:
		res->ret = close(fd);
		s->fd[o->fd] = -1;
		break;
	case C_PREAD:
	case C_READ:
		memset(buf, 0, o->len);
		res->ret =
			o->call == C_READ ? read(fd, buf, o->len) : pread(fd, buf, o->len, o->off);
		res->hash = hash_bytes(1, buf, o->len);
		break;
	case C_PWRITE:
	case C_WRITE:
		fill(o->n, o->len);
		res->ret = o->call == C_WRITE ? write(fd, buf, o->len)
					      : pwrite(fd, buf, o->len, o->off);
		break;
	case C_LSEEK:
		if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
			res->ret = lseek(fd, o->off, o->flags);
		break;
	case C_FTRUNCATE:
		res->ret = ftruncate(fd, o->off);
		break;
	case C_FALLOCATE:
		res->ret = fallocate(fd, o->flags, o->off, (off_t)o->len);
		break;
	case C_FSYNC:
		res->ret = o->n % 2 ? fsync(fd) : fdatasync(fd);
		break;
	case C_FSTAT:
		res->ret = fstat(fd, &st);
		res->hash = res->ret ? 0 : hash_stat(&st);
		break;
	case C_FCHMOD:
		res->ret = fchmod(fd, o->mode);
		break;
	case C_FCHOWN:
		res->ret = fchown(fd, chown_uid(o), chown_gid(o));
		break;
	case C_COPY:
		res->ret = copy(fd, s->fd[o->fd2], o);
		break;
	case C_MAP_READ:
	case C_MAP_WRITE:
		map(fd, o, res);
		return;
	case C_DUP:
		if (o->fd == o->fd2)
			break;
		close(s->fd[o->fd2]);
		s->fd[o->fd2] = (int)(res->ret = dup(fd));
		res->ret = res->ret < 0 ? -1 : 0;
		break;
	case C_FLOCK:
		res->ret = flock(fd, o->flags);
		break;
	default:
		set_times(times, o);
		res->ret = futimens(fd, times);
		res->err = errno;
		if (res->ret == 0 && fstat(fd, &st) == 0)
			res->hash = hash_times(&st, o);
		errno = res->err;
		break;
	}
	res->err = res->ret < 0 ? errno : 0;
}

static void call_xattr(const char *a, const struct op *o, struct result *res)
{
	size_t room = o->n % 8 == 0 ? o->len % 100 : sizeof(names);

	memset(names, 0, sizeof(names));
	switch (o->call) {
	case C_SETXATTR:
		fill(o->n, o->len % 200);
		res->ret = setxattr(a, o->xattr, buf, o->len % 200, o->flags);
		break;
	case C_GETXATTR:
		res->ret = getxattr(a, o->xattr, names, room);
		res->hash = res->ret > 0 ? hash_bytes(1, names, (size_t)res->ret) : 0;
		break;
	case C_REMOVEXATTR:
		res->ret = removexattr(a, o->xattr);
		break;
	default:
		res->ret = listxattr(a, (char *)names, sizeof(names));
		for (int64_t k = 0; k < res->ret; k += (int64_t)strlen((char *)names + k) + 1)
			res->hash += hash_bytes(1, names + k, strlen((char *)names + k));
		break;
	}
}

static void call_path(struct side *s, const struct op *o, struct result *res)
{
	char a[2 * PATH_CAP], b[2 * PATH_CAP];
	struct timespec times[2];
	struct stat st;
	int fd;

	snprintf(a, sizeof(a), "%s%s", s->root, o->a);
	snprintf(b, sizeof(b), "%s%s", s->root, o->b);
	switch (o->call) {
	case C_OPEN:
	case C_OPEN_NEW:
		fd = open(a, o->flags, o->mode);
		res->ret = fd < 0 ? -1 : 0;
		res->err = errno;
		if (s->fd[o->fd] >= 0)
			close(s->fd[o->fd]);
		s->fd[o->fd] = fd;
		errno = res->err;
		break;
	case C_STAT:
	case C_LSTAT:
		res->ret = o->call == C_STAT ? stat(a, &st) : lstat(a, &st);
		res->hash = res->ret ? 0 : hash_stat(&st);
		break;
	case C_MKDIR:
		res->ret = mkdir(a, o->mode);
		break;
	case C_RMDIR:
		res->ret = rmdir(a);
		break;
	case C_UNLINK:
		res->ret = unlink(a);
		break;
	case C_LINK:
		res->ret = linkat(AT_FDCWD, a, AT_FDCWD, b, o->flags);
		break;
	case C_SYMLINK: /* relative, or nowhere */
		res->ret = symlink(o->n % 5 ? o->a + 1 : o->n % 2 ? "" : "../x/y", b);
		break;
	case C_READLINK:
		memset(names, 0, PATH_CAP);
		res->ret = readlink(a, (char *)names, o->n % 4 ? PATH_CAP : 2);
		res->hash = hash_bytes(1, names, PATH_CAP);
		break;
	case C_RENAME:
		res->ret = renameat2(AT_FDCWD, a, AT_FDCWD, b, (unsigned)o->flags);
		break;
	case C_MKNOD:
		res->ret = mknod(a, (mode_t)o->flags | o->mode, 0);
		break;
	case C_CHMOD:
		res->ret = chmod(a, o->mode);
		break;
	case C_CHOWN:
	case C_LCHOWN:
		res->ret = fchownat(AT_FDCWD, a, chown_uid(o), chown_gid(o),
				    o->call == C_CHOWN ? 0 : AT_SYMLINK_NOFOLLOW);
		break;
	case C_TRUNCATE:
		res->ret = truncate(a, o->off);
		break;
	case C_ACCESS:
		res->ret = faccessat(AT_FDCWD, a, o->flags, AT_EACCESS);
		break;
	case C_UTIMENS:
		set_times(times, o);
		res->ret = utimensat(AT_FDCWD, a, times, AT_SYMLINK_NOFOLLOW);
		res->err = errno;
		if (res->ret == 0 && lstat(a, &st) == 0)
			res->hash = hash_times(&st, o);
		errno = res->err;
		break;
	case C_READDIR:
		res->hash = hash_dir(a, &res->ret);
		break;
	default:
		call_xattr(a, o, res);
		break;
	}
	res->err = res->ret < 0 ? errno : 0;
}

/*
 * A directory, fifo or socket that is open and has no name: FUSE has no open
 * of it (fifo, socket) or none that keeps it (directory), so it is gone.
 */
static bool lost(const struct op *o)
{
	struct stat st;

	return fstat(plain_side.fd[o->fd], &st) == 0 && st.st_nlink == 0 && !S_ISREG(st.st_mode) &&
	       o->call != C_CLOSE;
}

static struct result perform(struct side *s, const struct op *o)
{
	struct result res = {0};

	if (o->user && (setegid(USER) != 0 || seteuid(USER) != 0))
		fail_msg("cannot become another user");
	if (o->call == C_OPEN || o->call == C_OPEN_NEW || o->call >= C_STAT)
		call_path(s, o, &res);
	else if (!lost(o))
		call_fd(s, o, &res);
	if (o->user && (seteuid(0) != 0 || setegid(0) != 0))
		fail_msg("cannot become root again");
	return res;
}

/* --- comparing ------------------------------------------------------------------- */

static void print_op(const char *what, const struct op *o)
{
	print_message("%s%s%s %.40s %.40s fd %d,%d flags %#x mode %#o off %lld len %zu n %llx %s\n",
		      what, o->user ? "user " : "", call_name[o->call], o->a, o->b, o->fd, o->fd2,
		      (unsigned)o->flags, (unsigned)o->mode, (long long)o->off, o->len,
		      (unsigned long long)o->n, o->xattr);
}

static bool equal(const struct op *o, const struct result *m, const struct result *p)
{
	/* a name space that ext4 knows and the other does not: both are right */
	if (o->call == C_SETXATTR && strncmp(o->xattr, "user.", 5) == 0 && p->err == ENOSPC)
		return true;
	return m->ret == p->ret && m->err == p->err && m->hash == p->hash;
}

/* A number for everything at rel and below on a side; text says it, one line each. */
static void describe(const struct side *s, const char *rel, FILE *text)
{
	char path[2 * PATH_CAP], target[PATH_CAP] = "";
	struct dirent **list = NULL;
	struct stat st;
	int n, fd;

	snprintf(path, sizeof(path), "%s%s", s->root, rel);
	if (lstat(path, &st) != 0) {
		fprintf(text, "%s: %s\n", rel, strerror(errno));
		return;
	}
	fprintf(text, "%s mode %o links %lu owner %u:%u", rel, known_mode(st.st_mode),
		(unsigned long)st.st_nlink, st.st_uid, st.st_gid);
	if (!S_ISDIR(st.st_mode))
		fprintf(text, " size %lld", (long long)st.st_size);
	if (S_ISLNK(st.st_mode) && readlink(path, target, sizeof(target) - 1) >= 0)
		fprintf(text, " -> %s", target);
	if (S_ISREG(st.st_mode)) {
		uint64_t h = 1;
		ssize_t got = -1;

		fd = open(path, O_RDONLY | O_CLOEXEC);
		while (fd >= 0 && (got = read(fd, buf, sizeof(buf))) > 0)
			h = hash_bytes(h, buf, (size_t)got);
		fprintf(text, " content %llx%s", (unsigned long long)h, got ? " unreadable" : "");
		if (fd >= 0)
			close(fd);
	}
	fputc('\n', text);
	if (!S_ISDIR(st.st_mode))
		return;
	n = scandir(path, &list, NULL, alphasort);
	for (int k = 0; k < n; k++) {
		if (strcmp(list[k]->d_name, ".") != 0 && strcmp(list[k]->d_name, "..") != 0) {
			snprintf(path, sizeof(path), "%s/%s", rel, list[k]->d_name);
			describe(s, path, text);
		}
		free(list[k]);
	}
	free(list);
}

static void compare_trees(uint64_t seed, uint32_t at)
{
	char *text[2] = {NULL, NULL};
	size_t len[2];

	for (int k = 0; k < 2; k++) {
		FILE *f = open_memstream(&text[k], &len[k]);

		assert_non_null(f);
		describe(k ? &plain_side : &mount_side, "", f);
		fclose(f);
	}
	if (strcmp(text[0], text[1]) != 0) {
		print_message("seed %llu, before call %u: the mount has\n%sbut should have\n%s",
			      (unsigned long long)seed, at, text[0], text[1]);
		fail_msg("the trees differ");
	}
	free(text[0]);
	free(text[1]);
}

static void close_all(void)
{
	for (int k = 0; k < FDS; k++) {
		if (mount_side.fd[k] >= 0)
			assert_int_equal(close(mount_side.fd[k]), 0);
		if (plain_side.fd[k] >= 0)
			close(plain_side.fd[k]);
		mount_side.fd[k] = plain_side.fd[k] = -1;
	}
}

static void restart(bool kill_it)
{
	if (kill_it) {
		assert_true(testfs_kill(&tfs));
	} else {
		assert_true(testfs_unmount(&tfs, false));
		assert_true(testfs_wait_gone(&tfs, 60));
	}
	assert_true(testfs_start(&tfs, NULL));
}

static void one_seed(uint64_t seed)
{
	struct rnd r = rnd_of(seed);
	bool trace = testfs_env("VS_TRACE", 0) != 0;
	struct op o;

	snprintf(mount_side.root, sizeof(mount_side.root), "%s/%llu", tfs.mnt,
		 (unsigned long long)seed);
	snprintf(plain_side.root, sizeof(plain_side.root), "%s/plain.%llu", tfs.top,
		 (unsigned long long)seed);
	assert_int_equal(mkdir(mount_side.root, 0777), 0);
	assert_int_equal(mkdir(plain_side.root, 0777), 0);
	for (uint32_t k = 0; k < OPS_PER_SEED; k++) {
		struct result m, p;

		random_op(&r, &o);
		if (trace)
			print_op("", &o);
		m = perform(&mount_side, &o);
		p = perform(&plain_side, &o);
		if (!equal(&o, &m, &p)) {
			print_message(
				"seed %llu, call %u: mount %lld %s %llx, plain %lld %s %llx\n",
				(unsigned long long)seed, k, (long long)m.ret, strerror(m.err),
				(unsigned long long)m.hash, (long long)p.ret, strerror(p.err),
				(unsigned long long)p.hash);
			print_op("    ", &o);
			fail_msg("results differ");
		}
		if (trace || k % OPS_PER_WALK == 0)
			compare_trees(seed, k);
	}
	close_all();
	if (rnd_chance(&r, 1, 3))
		restart(rnd_chance(&r, 1, 2));
	compare_trees(seed, OPS_PER_SEED);
	testfs_remove(mount_side.root);
	testfs_remove(plain_side.root);
	assert_int_not_equal(access(mount_side.root, F_OK), 0);
}

/* Whether the plain side is what the results are compared with. */
static bool comparable(void)
{
	struct statfs sfs;

	if (statfs(tfs.top, &sfs) == 0 && sfs.f_type == EXT4_MAGIC)
		return true;
	print_message("skipped: nothing to compare with, %s is not on ext4\n", tfs.top);
	return false;
}

static void test_same_as_plain(void **state)
{
	uint64_t seconds = testfs_env("VS_POSIX_SECONDS", 12), seeds = testfs_env("VS_SEEDS", 0);
	uint64_t begin = testfs_now_ms(), first, k;

	(void)state;
	if (testfs_missing() || !comparable())
		skip();
	first = testfs_env("VS_SEED_FIRST", begin % 1000000);
	for (k = 0; seeds ? k < seeds : testfs_now_ms() - begin < seconds * 1000; k++)
		one_seed(first + k);
	print_message("seeds %llu to %llu\n", (unsigned long long)first,
		      (unsigned long long)(first + k - 1));
	if (testfs_admin(&tfs, "scrub", (char *)names, sizeof(names)) != 0)
		fail_msg("scrub: %s", (char *)names);
}

/* Seeds that found something once. */
static void test_seeds_of_before(void **state)
{
	static const uint64_t seeds[] = {
		150610,  /* an unlinked open file, shrunk and grown, showed bytes of before */
		1000213, /* kill -9 lost a file made with O_RDONLY | O_CREAT and closed */
	};

	(void)state;
	if (testfs_missing() || !comparable())
		skip();
	for (size_t k = 0; k < sizeof(seeds) / sizeof(*seeds); k++)
		one_seed(seeds[k]);
}

static int setup(void **state)
{
	(void)state;
	umask(0);
	signal(SIGPIPE, SIG_IGN); /* a fifo nobody reads */
	memset(mount_side.fd, -1, sizeof(mount_side.fd));
	memset(plain_side.fd, -1, sizeof(plain_side.fd));
	if (testfs_missing()) {
		print_message("skipped: %s\n", testfs_missing());
		return 0;
	}
	return testfs_init(&tfs) && chmod(tfs.mnt, 0777) == 0 &&
			       testfs_start(&tfs, "chunk=64K,segment=8M")
		       ? 0
		       : -1;
}

static int teardown(void **state)
{
	(void)state;
	if (seteuid(0) != 0)
		return -1;
	for (int k = 0; tfs.top[0] && k < FDS; k++)
		if (mount_side.fd[k] > 2)
			close(mount_side.fd[k]);
	if (tfs.top[0])
		testfs_fini(&tfs);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seeds_of_before),
		cmocka_unit_test(test_same_as_plain),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
