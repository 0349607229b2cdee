#include "tools/bench_client.h"
#include "tools/bench_proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define BIG_STEP (1u << 20)
#define RUN_MS 900000u
#define TREE_FANOUT 100u
#define NAME_CAP 64u

/* What a child tells its parent, in shared memory. */
struct slot {
	uint64_t start_ns, end_ns, cpu_ns, write_bytes;
	char why[CLIENT_WHY_MAX];
};

struct client {
	const struct client_job *job;
	struct slot *slot;
	int ready, gate;
	unsigned who;
	uint64_t random;
	uint8_t *buf; /* BIG_STEP bytes, page aligned, not zeros */
};

/* --- in the child ---------------------------------------------------------------- */

static bool fail(struct client *c, const char *what, const char *name)
{
	snprintf(c->slot->why, sizeof c->slot->why, "%.40s %.100s: %.100s", what, name,
		 errno ? strerror(errno) : "not what was expected");
	return false;
}

/* Wait for the others; work that counts begins behind it. */
static void go(struct client *c)
{
	char byte = 1;

	if (write(c->ready, &byte, 1) != 1 || read(c->gate, &byte, 1) != 1)
		_exit(1);
	c->slot->cpu_ns = proc_cpu_ns(getpid());
	c->slot->write_bytes = proc_write_bytes(getpid());
	c->slot->start_ns = proc_now_ns();
}

/* xorshift64 (Marsaglia 2003) */
static uint64_t random_below(struct client *c, uint64_t n)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return c->random % n;
}

static bool enter_own(struct client *c)
{
	char name[NAME_CAP];

	snprintf(name, sizeof name, "d%u", c->who);
	if ((mkdir(name, 0755) && errno != EEXIST) || chdir(name))
		return fail(c, "enter", name);
	return true;
}

static void small_name(char name[NAME_CAP], uint64_t i)
{
	snprintf(name, NAME_CAP, "file-%07llu", (unsigned long long)i);
}

static bool make_small(struct client *c, const char *name)
{
	int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0644);

	if (fd < 0 || write(fd, c->buf, CLIENT_SMALL) != CLIENT_SMALL ||
	    (c->job->sync && fsync(fd)) || close(fd))
		return fail(c, "create", name);
	return true;
}

static bool read_small(struct client *c, const char *name)
{
	int fd = open(name, O_RDONLY);

	errno = fd < 0 ? errno : 0;
	if (fd < 0 || read(fd, c->buf, CLIENT_SMALL) != CLIENT_SMALL || close(fd))
		return fail(c, "read", name);
	return true;
}

bool client_probe(struct client *c)
{
	int fd = open("probe", O_CREAT | O_RDWR, 0600);

	if (fd < 0 || pwrite(fd, c->buf, CLIENT_SMALL, 0) != CLIENT_SMALL || fsync(fd))
		return fail(c, "create", "probe");
	go(c);
	for (uint64_t i = 0; i < c->job->count; i++)
		if (pwrite(fd, c->buf, CLIENT_SMALL, 0) != CLIENT_SMALL || fdatasync(fd))
			return fail(c, "write", "probe");
	close(fd);
	return true;
}

bool client_warm_up(struct client *c)
{
	char name[NAME_CAP];
	struct stat st;

	if (!enter_own(c))
		return false;
	go(c);
	for (uint64_t i = 0; i < c->job->count; i++) {
		small_name(name, i);
		if (!make_small(c, name) || !read_small(c, name))
			return false;
		if (lstat(name, &st))
			return fail(c, "lstat", name);
	}
	return true;
}

static bool write_all(struct client *c, int fd, uint64_t bytes, const char *name)
{
	for (uint64_t done = 0; done < bytes;) {
		uint64_t left = bytes - done;
		ssize_t n = write(fd, c->buf, left < BIG_STEP ? left : BIG_STEP);

		if (n <= 0)
			return fail(c, "write", name);
		done += (uint64_t)n;
	}
	return true;
}

bool client_big_write(struct client *c)
{
	int fd;

	go(c);
	fd = open("big", O_CREAT | O_WRONLY | O_TRUNC, 0644);
	if (fd < 0)
		return fail(c, "create", "big");
	if (!write_all(c, fd, c->job->bytes, "big"))
		return false;
	if (fsync(fd) || close(fd))
		return fail(c, "sync", "big");
	return true;
}

bool client_big_read(struct client *c)
{
	uint64_t done = 0;
	ssize_t n;
	int fd;

	go(c);
	fd = open("big", O_RDONLY);
	if (fd < 0)
		return fail(c, "open", "big");
	errno = 0;
	while ((n = read(fd, c->buf, BIG_STEP)) > 0)
		done += (uint64_t)n;
	close(fd);
	return n == 0 && done == c->job->bytes ? true : fail(c, "read", "big");
}

bool client_big_random(struct client *c)
{
	uint64_t blocks = c->job->bytes / CLIENT_SMALL;
	int fd = open("big", O_RDONLY);

	if (fd < 0)
		return fail(c, "open", "big");
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	if (c->job->forget)
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	go(c);
	for (uint64_t i = 0; i < c->job->count; i++) {
		off_t off = (off_t)(random_below(c, blocks) * CLIENT_SMALL);

		errno = 0;
		if (pread(fd, c->buf, CLIENT_SMALL, off) != CLIENT_SMALL)
			return fail(c, "read", "big");
	}
	close(fd);
	return true;
}

bool client_update_make(struct client *c)
{
	char name[NAME_CAP];
	int fd;

	go(c);
	snprintf(name, sizeof name, "u%u", c->who);
	fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0644);
	if (fd < 0)
		return fail(c, "create", name);
	if (!write_all(c, fd, c->job->bytes, name))
		return false;
	if (fsync(fd) || close(fd))
		return fail(c, "sync", name);
	return true;
}

bool client_update(struct client *c)
{
	uint64_t blocks = c->job->bytes / CLIENT_SMALL;
	char name[NAME_CAP];
	int fd;

	snprintf(name, sizeof name, "u%u", c->who);
	fd = open(name, O_RDWR);
	if (fd < 0)
		return fail(c, "open", name);
	go(c);
	for (uint64_t i = 0; i < c->job->count; i++) {
		off_t off = (off_t)(random_below(c, blocks) * CLIENT_SMALL);

		if (pwrite(fd, c->buf, CLIENT_SMALL, off) != CLIENT_SMALL || fdatasync(fd))
			return fail(c, "write", name);
	}
	c->slot->end_ns = proc_now_ns();
	close(fd);
	return true;
}

/* Call each(c, name) for count names in the process's own directory. */
static bool for_small(struct client *c, bool (*each)(struct client *c, const char *name))
{
	char name[NAME_CAP];

	if (!enter_own(c))
		return false;
	go(c);
	for (uint64_t i = 0; i < c->job->count * c->job->passes; i++) {
		small_name(name, i % c->job->count);
		if (!each(c, name))
			return false;
	}
	return true;
}

bool client_create(struct client *c)
{
	return for_small(c, make_small);
}

bool client_read_small(struct client *c)
{
	return for_small(c, read_small);
}

static bool unlink_one(struct client *c, const char *name)
{
	return !unlink(name) || fail(c, "unlink", name);
}

bool client_unlink(struct client *c)
{
	return for_small(c, unlink_one);
}

static bool rename_one(struct client *c, const char *name)
{
	char to[NAME_CAP];

	snprintf(to, sizeof to, "renamed-%.40s", name);
	return !rename(name, to) || fail(c, "rename", name);
}

bool client_rename(struct client *c)
{
	return for_small(c, rename_one);
}

static bool mkdir_one(struct client *c, const char *name)
{
	char dir[NAME_CAP];

	snprintf(dir, sizeof dir, "dir-%.40s", name);
	return !mkdir(dir, 0755) || fail(c, "mkdir", dir);
}

bool client_mkdir(struct client *c)
{
	return for_small(c, mkdir_one);
}

static bool mknod_one(struct client *c, const char *name)
{
	return !mknod(name, S_IFREG | 0644, 0) || fail(c, "mknod", name);
}

bool client_mknod(struct client *c)
{
	return for_small(c, mknod_one);
}

static bool stat_one(struct client *c, const char *name)
{
	struct stat st;

	return !lstat(name, &st) || fail(c, "lstat", name);
}

bool client_stat(struct client *c)
{
	return for_small(c, stat_one);
}

bool client_missing(struct client *c)
{
	char name[NAME_CAP];
	struct stat st;

	if (!enter_own(c))
		return false;
	go(c);
	for (uint64_t i = 0; i < c->job->count * c->job->passes; i++) {
		snprintf(name, sizeof name, "none-%u", (unsigned)(i % 8));
		if (!lstat(name, &st) || errno != ENOENT)
			return fail(c, "lstat", name);
	}
	return true;
}

static bool list_once(struct client *c, bool details)
{
	uint64_t seen = 0;
	struct dirent *e;
	struct stat st;
	DIR *d;

	d = opendir(".");
	if (!d)
		return fail(c, "opendir", ".");
	while (errno = 0, e = readdir(d)) {
		seen++;
		if (!details || e->d_name[0] == '.')
			continue;
		if (lstat(e->d_name, &st))
			return fail(c, "lstat", e->d_name);
		if (lgetxattr(e->d_name, "system.posix_acl_access", NULL, 0) < 0 &&
		    errno != ENODATA && errno != ENOTSUP)
			return fail(c, "getxattr", e->d_name);
	}
	if (errno || seen < c->job->count)
		return fail(c, "readdir", ".");
	closedir(d);
	return true;
}

static bool list(struct client *c, bool details)
{
	if (!enter_own(c))
		return false;
	go(c);
	for (unsigned i = 0; i < c->job->passes; i++)
		if (!list_once(c, details))
			return false;
	return true;
}

bool client_ls(struct client *c)
{
	return list(c, false);
}

bool client_ls_long(struct client *c)
{
	return list(c, true);
}

bool client_tree(struct client *c)
{
	char name[NAME_CAP];

	go(c);
	if (mkdir("tree", 0755))
		return fail(c, "mkdir", "tree");
	for (uint64_t i = 0; i < c->job->count; i++) {
		unsigned dir = (unsigned)(i / TREE_FANOUT);

		snprintf(name, sizeof name, "tree/%u", dir);
		if (i % TREE_FANOUT == 0 && mkdir(name, 0755))
			return fail(c, "mkdir", name);
		snprintf(name, sizeof name, "tree/%u/%llu", dir, (unsigned long long)i);
		if (!mknod_one(c, name))
			return false;
	}
	return true;
}

/* Number of names below the directory at, one level of directories deep or more. */
static uint64_t find_below(int at, const char *name, unsigned depth)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	uint64_t seen = 0;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		seen++;
		if (e->d_type == DT_DIR && depth)
			seen += find_below(fd, e->d_name, depth - 1);
	}
	if (d)
		closedir(d);
	return seen;
}

bool client_find(struct client *c)
{
	go(c);
	for (unsigned i = 0; i < c->job->passes; i++) {
		errno = 0;
		if (find_below(AT_FDCWD, "tree", 8) < c->job->count)
			return fail(c, "find", "tree");
	}
	return true;
}

/* --- in the parent ----------------------------------------------------------------- */

static void child(const struct client_job *j, struct slot *slot, unsigned who, int ready, int gate)
{
	struct client c = {.job = j, .slot = slot, .who = who, .ready = ready, .gate = gate};
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	bool ok;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGINT, &dfl, NULL);
	sigaction(SIGTERM, &dfl, NULL);
	sigaction(SIGHUP, &dfl, NULL);
	c.random = 0x9e3779b97f4a7c15u * (who + 1);
	c.buf = aligned_alloc(CLIENT_SMALL, BIG_STEP);
	if (!c.buf)
		_exit(1);
	for (uint32_t i = 0; i < BIG_STEP; i += 8) {
		uint64_t v = random_below(&c, UINT64_MAX);

		memcpy(c.buf + i, &v, sizeof v);
	}
	if (chdir(j->dir) || (mkdir(j->sub, 0755) && errno != EEXIST) || chdir(j->sub)) {
		fail(&c, "enter", j->sub);
		_exit(1);
	}
	ok = j->work(&c);
	if (!slot->end_ns)
		slot->end_ns = proc_now_ns();
	slot->cpu_ns = proc_cpu_ns(getpid()) - slot->cpu_ns;
	slot->write_bytes = proc_write_bytes(getpid()) - slot->write_bytes;
	_exit(ok ? 0 : 1);
}

/* Wait until every child stands at the gate. */
static bool all_ready(int ready, unsigned processes)
{
	struct pollfd p = {.fd = ready, .events = POLLIN};
	char byte;

	for (unsigned n = 0; n < processes; n++)
		if (poll(&p, 1, (int)RUN_MS) != 1 || read(ready, &byte, 1) != 1)
			return false;
	return true;
}

/* Let them go and wait for all; after a failure the rest are killed. */
static bool finish(const pid_t *pid, unsigned processes, bool ok)
{
	for (unsigned i = 0; i < processes; i++) {
		int status = -1;

		if (!ok || !proc_wait(pid[i], RUN_MS, &status)) {
			kill(pid[i], SIGKILL);
			waitpid(pid[i], &status, 0);
			ok = false;
		} else if (!WIFEXITED(status) || WEXITSTATUS(status)) {
			ok = false;
		}
	}
	return ok;
}

static void collect(const struct slot *slot, unsigned processes, pid_t daemon,
		    struct client_result *out)
{
	uint64_t start = UINT64_MAX, end = 0, cpu = 0, written = 0;

	for (unsigned i = 0; i < processes; i++) {
		start = slot[i].start_ns < start ? slot[i].start_ns : start;
		end = slot[i].end_ns > end ? slot[i].end_ns : end;
		cpu += slot[i].cpu_ns;
		written += slot[i].write_bytes;
	}
	/* behind a daemon the device is written by the daemon alone */
	out->write_bytes += daemon ? 0 : written;
	out->seconds = end > start ? (double)(end - start) * 1e-9 : 1e-9;
	out->cpu_s += (double)cpu * 1e-9;
}

static void explain(const struct slot *slot, unsigned processes, struct client_result *out)
{
	snprintf(out->why, sizeof out->why, "%s",
		 proc_interrupted() ? "interrupted" : "it did not end in time");
	for (unsigned i = 0; i < processes; i++)
		if (slot[i].why[0])
			memcpy(out->why, slot[i].why, sizeof out->why);
}

bool client_run(const struct client_job *j, pid_t daemon, struct client_result *out)
{
	size_t size = sizeof(struct slot) * CLIENT_PROCESSES_MAX;
	struct slot *slot;
	int ready[2], gate[2];
	pid_t pid[CLIENT_PROCESSES_MAX];
	uint64_t cpu, written;
	char go_bytes[CLIENT_PROCESSES_MAX] = {0};
	unsigned n = 0;
	bool ok;

	memset(out, 0, sizeof *out);
	/* cppcheck-suppress invalidFunctionArg ; -1 is no file */
	slot = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (slot == MAP_FAILED || pipe2(ready, O_CLOEXEC) || pipe2(gate, O_CLOEXEC)) {
		snprintf(out->why, sizeof out->why, "no memory or files for a client");
		return false;
	}
	for (; n < j->processes; n++) {
		pid[n] = fork();
		if (pid[n] == 0) {
			close(ready[0]);
			close(gate[1]);
			child(j, &slot[n], n, ready[1], gate[0]);
		}
		if (pid[n] < 0)
			break;
	}
	close(ready[1]);
	close(gate[0]);
	ok = n == j->processes && all_ready(ready[0], n);
	cpu = proc_cpu_ns(daemon);
	written = proc_write_bytes(daemon);
	ok = ok && write(gate[1], go_bytes, n) == (ssize_t)n;
	close(gate[1]);
	ok = finish(pid, n, ok);
	close(ready[0]);
	out->cpu_s = (double)(proc_cpu_ns(daemon) - cpu) * 1e-9;
	out->write_bytes = proc_write_bytes(daemon) - written;
	collect(slot, n, daemon, out);
	if (!ok)
		explain(slot, n, out);
	munmap(slot, size);
	return ok;
}
