#include "tests/lib/client_int.h"
#include "tests/lib/testfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
	const char *name;
	client_run *run;
	client_checker *check;
} kinds[CLIENT_KINDS] = {
	[CLIENT_CREATE] = {"create", client_create_run, client_create_check},
	[CLIENT_REPLACE] = {"replace", client_replace_run, client_replace_check},
	[CLIENT_APPEND] = {"append", client_append_run, client_append_check},
	[CLIENT_INPLACE] = {"inplace", client_inplace_run, client_inplace_check},
	[CLIENT_MAP] = {"map", client_map_run, client_map_check},
	[CLIENT_DUP] = {"dup", client_dup_run, client_dup_check},
	[CLIENT_RENAME] = {"rename", client_rename_run, client_rename_check},
	[CLIENT_UNLINK] = {"unlink", client_unlink_run, client_unlink_check},
	[CLIENT_NAMES] = {"names", client_names_run, client_names_check},
};

const char *client_kind_name(enum client_kind kind)
{
	return kinds[kind].name;
}

struct client *client_alloc(uint32_t count)
{
	void *p = mmap(NULL, count * sizeof(struct client), PROT_READ | PROT_WRITE,
		       /* cppcheck-suppress invalidFunctionArg */
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	/* cppcheck-suppress memleak */
	return p == MAP_FAILED ? NULL : p;
}

/* A page of the mapping has gone with the mount. */
static void on_sigbus(int sig)
{
	(void)sig;
	_exit(0);
}

bool client_start(struct client *c)
{
	struct sigaction bus = {.sa_handler = on_sigbus};
	pid_t pid = fork();

	if (pid < 0)
		return false;
	if (pid > 0) {
		c->pid = pid;
		setpgid(pid, pid); /* the child does it, too: whoever comes first */
		for (int k = 0; !c->ready && !c->failed && k < 30000; k++)
			testfs_sleep_ms(1);
		return c->ready;
	}
	setpgid(0, 0);
	umask(022);
	sigaction(SIGBUS, &bus, NULL);
	client_want(c, chdir(c->dir), "chdir");
	c->ready = true;
	kinds[c->kind].run(c);
	_exit(0);
}

bool client_join(struct client *c, uint32_t seconds)
{
	uint64_t end = testfs_now_ms() + (uint64_t)seconds * 1000;
	int status = 0;

	while (waitpid(c->pid, &status, WNOHANG) == 0) {
		if (testfs_now_ms() > end) {
			kill(-c->pid, SIGKILL);
			c->pid = 0;
			return client_wrong(c, "the process hangs");
		}
		testfs_sleep_ms(1);
	}
	/* children of its own may be left; they hold nothing that is promised */
	kill(-c->pid, SIGKILL);
	c->pid = 0;
	if (c->failed)
		return false;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return client_wrong(c, "the process ended with status %#x", (unsigned)status);
	return true;
}

bool client_check(struct client *c)
{
	int fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool good;

	if (fd < 0)
		return client_wrong(c, "the directory: %s", strerror(errno));
	good = kinds[c->kind].check(c, fd);
	close(fd);
	return good;
}

uint64_t client_next(struct client *c)
{
	if (c->stop)
		_exit(0);
	return c->acked;
}

int64_t client_want(struct client *c, int64_t rc, const char *what)
{
	int err = errno;

	if (rc >= 0)
		return rc;
	if (c->ending && (err == ENOTCONN || err == ECONNABORTED || err == EIO || err == ESHUTDOWN))
		_exit(0);
	client_fail(c, "%s of operation %llu: %s", what, (unsigned long long)c->begun,
		    strerror(err));
}

void client_whole(struct client *c, int64_t rc, size_t len, const char *what)
{
	if (client_want(c, rc, what) == (int64_t)len)
		return;
	/* the mount went between two parts */
	if (c->ending)
		_exit(0);
	client_fail(c, "%s of operation %llu: %lld of %zu bytes", what,
		    (unsigned long long)c->begun, (long long)rc, len);
}

void client_fail(struct client *c, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(c->why, sizeof(c->why), format, ap);
	va_end(ap);
	c->failed = true;
	_exit(1);
}

bool client_wrong(struct client *c, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(c->why, sizeof(c->why), format, ap);
	va_end(ap);
	return false;
}

struct rnd client_rnd(const struct client *c, uint64_t n)
{
	struct rnd r = rnd_of(c->seed + n * 0x2545f4914f6cdd1d);

	r.s = rnd_next(&r);
	return r;
}

void client_fill(const struct client *c, uint64_t n, void *buf, size_t len)
{
	struct rnd r = client_rnd(c, n ^ (uint64_t)1 << 62);

	rnd_fill(&r, buf, len);
	memcpy(buf, &n, len < 8 ? len : 8);
}

void client_write(struct client *c, int fd, const uint8_t *buf, size_t len, struct rnd *r)
{
	size_t max = (size_t)1 << rnd_between(r, 8, 21);

	while (len) {
		size_t n = (size_t)rnd_between(r, 1, max);
		int64_t got;

		got = client_want(c, write(fd, buf, n < len ? n : len), "write");
		buf += got;
		len -= (size_t)got;
		if (max < 4096)
			max *= 2;
	}
}

uint8_t *client_slurp(int dirfd, const char *name, size_t *len)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC), err;
	uint8_t *buf = NULL;
	struct stat st;
	ssize_t got = 0;

	if (fd < 0)
		return NULL;
	*len = 0;
	if (fstat(fd, &st) == 0)
		buf = malloc((size_t)st.st_size + 1);
	while (buf && (got = read(fd, buf + *len, (size_t)st.st_size + 1 - *len)) > 0)
		*len += (size_t)got;
	err = errno;
	close(fd);
	if (got < 0) {
		free(buf);
		errno = err;
		return NULL;
	}
	return buf;
}

int64_t client_count_names(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int64_t n = -2; /* . and .. */

	if (!d)
		return -1;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}
