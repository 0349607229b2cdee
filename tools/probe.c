#include "tools/probe.h"

#include "engine/base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

_Static_assert(PROBE_PATH_MAX >= PATH_MAX, "realpath writes up to PATH_MAX bytes");

#define REAP_STEPS 200 /* waits for a child that was killed */
#define REAP_STEP_US 1000

/* What the child sends; at most PIPE_BUF would be atomic, so it is read in a loop. */
struct answer {
	int err; /* errno */
	int is_dir;
	char path[PROBE_PATH_MAX];
};

static void ask_stat(const char *path, struct answer *a)
{
	struct statx st;

	/* the kernel may know the attributes for an hour: make it ask */
	a->err = statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st) < 0 ? errno : 0;
	a->is_dir = !a->err && S_ISDIR(st.stx_mode);
}

static void ask_realpath(const char *path, struct answer *a)
{
	a->err = realpath(path, a->path) ? 0 : errno;
}

static enum vs_err err_of(int eno)
{
	switch (eno) {
	case 0:
		return VS_OK;
	case ENOENT:
		return VS_ERR_NOENT;
	case ENOTDIR:
		return VS_ERR_NOTDIR;
	case EACCES:
	case EPERM:
		return VS_ERR_ACCES;
	case ENOTCONN:
	case ECONNABORTED:
		return VS_ERR_STALE;
	case ENAMETOOLONG:
		return VS_ERR_NAMETOOLONG;
	case ELOOP:
		return VS_ERR_LOOP;
	default:
		return VS_ERR_IO_OPEN;
	}
}

static uint64_t now_ms(void)
{
	struct timespec t = {0, 0};

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Read the whole answer before the time is over. */
static enum vs_err receive(int fd, struct answer *a, uint32_t ms)
{
	uint64_t end = now_ms() + ms;
	size_t got = 0;

	while (got < sizeof *a) {
		uint64_t now = now_ms();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;
		int rc = poll(&p, 1, now < end ? (int)(end - now) : 0);

		if (rc == 0)
			return VS_ERR_TIMEOUT;
		if (rc < 0 && errno == EINTR)
			continue;
		n = read(fd, (char *)a + got, sizeof *a - got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return VS_ERR_IO_OPEN;
		got += (size_t)n;
	}
	return VS_OK;
}

/* The child: ask, send the answer, end. */
static _Noreturn void be_child(void (*question)(const char *path, struct answer *a),
			       const char *path, int fd)
{
	struct answer a = {0};
	size_t put = 0;

	/* it may outlive us by far: whoever reads our output must not wait for it */
	for (int i = 0; i <= STDERR_FILENO; i++) {
		if (i != fd)
			close(i);
	}
	question(path, &a);
	while (put < sizeof a) {
		ssize_t n = write(fd, (char *)&a + put, sizeof a - put);

		if (n <= 0)
			_exit(1);
		put += (size_t)n;
	}
	_exit(0);
}

/*
 * End the child.  A request that the daemon has taken cannot be killed, only
 * answered, so a child that does not go is left behind.
 */
static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	for (int i = 0; i < REAP_STEPS && waitpid(pid, NULL, WNOHANG) == 0; i++)
		usleep(REAP_STEP_US);
}

static enum vs_err ask(void (*question)(const char *path, struct answer *a), const char *path,
		       uint32_t ms, struct answer *out)
{
	enum vs_err err;
	int fd[2];
	pid_t pid;

	if (pipe(fd) < 0)
		return VS_ERR_NOMEM;
	pid = fork();
	if (pid < 0) {
		close(fd[0]);
		close(fd[1]);
		return VS_ERR_NOMEM;
	}
	if (pid == 0) {
		close(fd[0]);
		be_child(question, path, fd[1]);
	}
	close(fd[1]);
	err = receive(fd[0], out, ms);
	close(fd[0]);
	end_child(pid);
	return err ? err : err_of(out->err);
}

enum vs_err probe_stat(const char *path, uint32_t ms, int *is_dir)
{
	struct answer a;
	enum vs_err err;

	vs_assert(path && is_dir);
	err = ask(ask_stat, path, ms, &a);
	if (!err)
		*is_dir = a.is_dir;
	return err;
}

enum vs_err probe_realpath(const char *path, uint32_t ms, char *out)
{
	struct answer a;
	enum vs_err err;

	vs_assert(path && out);
	err = ask(ask_realpath, path, ms, &a);
	if (!err)
		memcpy(out, a.path, sizeof a.path);
	return err;
}
