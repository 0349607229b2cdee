/*
 * test_fs_mount: the file system under a real kernel, served by a child of this
 * process: what only the kernel's side shows.  Skipped where FUSE cannot mount.
 */
#include "engine/base/env_posix.h"
#include "engine/object.h"
#include "fs/mount.h"
#include "tests/lib/rand.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#define MUST(x) assert_true((x) >= 0)
#define FAILS(x, e)                         \
	do {                                \
		errno = 0;                  \
		assert_int_equal((x), -1);  \
		assert_int_equal(errno, e); \
	} while (0)

static char top[256], data[300], mnt[300];
static pid_t server;
static struct mount *serving;

/* --- the child */

static void ready(void *arg)
{
	int fd = *(int *)arg;

	(void)!write(fd, "+", 1);
	close(fd);
}

static void *stopper(void *arg)
{
	sigset_t *set = arg;
	int sig;

	sigwait(set, &sig);
	mount_stop(serving);
	return NULL;
}

static int serve(int ready_fd)
{
	static char prog[] = "veristore";
	char *argv[] = {prog};
	struct store_config sc = {.cache_bytes = 32u << 20, .create = true};
	struct store_report report;
	struct replica_config rc = {0};
	struct fs_config fc = {.commit_ms = 500, .dirty_bytes = 16u << 20};
	struct mount_config mc = {
		.mountpoint = mnt, .argc = 1, .argv = argv, .ready = ready, .arg = &ready_fd};
	char text[256] = "";
	pthread_t thread;
	sigset_t set;
	enum vs_err err;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (env_posix_open(data, true, &sc.env) || store_open(&sc, &report, &rc.store))
		return 1;
	if (object_format(rc.store, 0, 0, 0755) || object_sweep_sessions(rc.store, 0) ||
	    replica_open(&rc, &fc.replica) || fs_new(&fc, &mc.fs))
		return 2;
	if (mount_new(&mc, text, sizeof text, &serving)) {
		fprintf(stderr, "%s\n", text);
		return 77;
	}
	if (pthread_create(&thread, NULL, stopper, &set))
		return 3;
	err = mount_run(serving);
	kill(getpid(), SIGTERM); /* the stopper is waiting for it */
	pthread_join(thread, NULL);
	mount_free(serving);
	if (fs_free(mc.fs) && !err)
		return 4;
	replica_close(fc.replica);
	if (store_close(rc.store))
		return 5;
	env_posix_close(sc.env);
	return err ? 6 : 0;
}

/* --- the parent's side of it */

static bool up(void)
{
	int fd[2];
	char c = 0;

	if (pipe(fd))
		return false;
	fflush(NULL);
	server = fork();
	if (!server) {
		close(fd[0]);
		_exit(serve(fd[1]));
	}
	close(fd[1]);
	while (read(fd[0], &c, 1) < 0 && errno == EINTR)
		;
	close(fd[0]);
	return c == '+';
}

static int down(void)
{
	int status;

	kill(server, SIGTERM);
	waitpid(server, &status, 0);
	server = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

static void crash(void)
{
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	server = 0;
	umount2(mnt, MNT_DETACH);
	assert_true(up());
}

static const char *at(const char *name)
{
	static char path[8][600];
	static unsigned n;

	n = (n + 1) % 8;
	snprintf(path[n], sizeof path[n], "%s/%s", mnt, name);
	return path[n];
}

static void write_file(const char *name, const void *p, size_t len)
{
	int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	MUST(fd);
	assert_int_equal(write(fd, p, len), len);
	assert_int_equal(close(fd), 0);
}

static void expect_file(const char *name, const void *p, size_t len)
{
	char *b = malloc(len + 1);
	int fd = open(at(name), O_RDONLY);
	size_t got = 0;
	ssize_t n;

	MUST(fd);
	while ((n = read(fd, b + got, len + 1 - got)) > 0)
		got += (size_t)n;
	assert_int_equal(n, 0);
	assert_int_equal(got, len);
	assert_memory_equal(b, p, len);
	close(fd);
	free(b);
}

static int group_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(top, sizeof top, "%s/vs-mount.XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (access("/dev/fuse", R_OK | W_OK) || !mkdtemp(top))
		return 0;
	snprintf(data, sizeof data, "%s/data", top);
	snprintf(mnt, sizeof mnt, "%s/mnt", top);
	if (mkdir(mnt, 0755) || !up())
		server = 0;
	return 0;
}

static int group_teardown(void **state)
{
	char *argv[] = {"rm", "-rf", "--one-file-system", top, NULL};
	int rc = 0, status = 0;
	pid_t pid;

	(void)state;
	if (server)
		rc = down();
	if (*mnt)
		umount2(mnt, MNT_DETACH);
	if (*data && (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) ||
		      waitpid(pid, &status, 0) < 0 || status))
		return 1;
	if (rc)
		fprintf(stderr, "the server ended with %d\n", rc);
	return rc;
}

static void need_mount(void)
{
	if (!server)
		skip();
}

/* --- cases */

static void basics(void **state)
{
	struct stat st;

	(void)state;
	need_mount();
	write_file("a", "hello", 5);
	expect_file("a", "hello", 5);
	assert_int_equal(stat(at("a"), &st), 0);
	assert_int_equal(st.st_size, 5);
	assert_int_equal(mkdir(at("d"), 0755), 0);
	FAILS(mkdir(at("d"), 0755), EEXIST);
	FAILS(rmdir(at("none")), ENOENT);
	FAILS(unlink(at("d")), EISDIR);
	assert_int_equal(rename(at("a"), at("d/b")), 0);
	FAILS(rmdir(at("d")), ENOTEMPTY);
	FAILS(stat(at("a"), &st), ENOENT);
	expect_file("d/b", "hello", 5);
	assert_int_equal(symlink("b", at("d/l")), 0);
	expect_file("d/l", "hello", 5);
	assert_int_equal(mkfifo(at("d/p"), 0600), 0);
	assert_int_equal(stat(at("d/p"), &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	/* F99 */
	FAILS(mkdir(at("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		       "x"
		       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		       "x"
		       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		       "x"
		       "xxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
		    0755),
	      ENAMETOOLONG);
}

/* A direct writer, a cached reader and a mapping of one file see the same bytes. */
static void coherence(void **state)
{
	char old[8192], new[8192], got[8192];
	int r, w;
	char *map;

	(void)state;
	need_mount();
	memset(old, 'o', sizeof old);
	memset(new, 'n', sizeof new);
	write_file("c", old, sizeof old);
	r = open(at("c"), O_RDWR);
	MUST(r);
	map = mmap(NULL, sizeof old, PROT_READ | PROT_WRITE, MAP_SHARED, r, 0);
	assert_true(map != MAP_FAILED);
	assert_memory_equal(map, old, sizeof old);
	assert_int_equal(pread(r, got, sizeof got, 0), sizeof got);
	w = open(at("c"), O_WRONLY);
	MUST(w);
	assert_int_equal(pwrite(w, new, 4096, 100), 4096);
	assert_int_equal(pread(r, got, sizeof got, 0), sizeof got);
	assert_memory_equal(got + 100, new, 4096);
	assert_memory_equal(map + 100, new, 4096);
	/* and the other way round */
	map[5000] = 'm';
	assert_int_equal(msync(map, sizeof old, MS_SYNC), 0);
	assert_int_equal(pread(r, got, sizeof got, 0), sizeof got);
	assert_int_equal(got[5000], 'm');
	munmap(map, sizeof old);
	close(w);
	close(r);
	crash();
	memcpy(old + 100, new, 4096);
	old[5000] = 'm';
	expect_file("c", old, sizeof old);
}

/* A mapping written after its descriptor was closed. */
static void mapping_outlives_handle(void **state)
{
	char b[10000] = {0};
	char *map;
	int fd;

	(void)state;
	need_mount();
	fd = open(at("m"), O_RDWR | O_CREAT, 0600);
	MUST(fd);
	assert_int_equal(ftruncate(fd, sizeof b), 0);
	map = mmap(NULL, sizeof b, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	close(fd);
	memset(map, 'z', sizeof b);
	munmap(map, sizeof b);
	sync();
	memset(b, 'z', sizeof b);
	expect_file("m", b, sizeof b);
}

static void appenders(void **state)
{
	enum { WRITERS = 4, LINES = 200, LINE = 24 };
	int seen[WRITERS] = {0};
	char line[64];
	struct stat st;
	FILE *f;

	(void)state;
	need_mount();
	write_file("log", "", 0);
	for (int n = 0; n < WRITERS; n++) {
		if (fork())
			continue;
		for (int i = 0; i < LINES; i++) {
			int fd = open(at("log"), O_WRONLY | O_APPEND);

			snprintf(line, sizeof line, "writer %d line %9d\n", n, i);
			if (fd < 0 || write(fd, line, LINE) != LINE || close(fd))
				_exit(1);
		}
		_exit(0);
	}
	for (int n = 0; n < WRITERS; n++) {
		int status;

		wait(&status);
		assert_int_equal(status, 0);
	}
	assert_int_equal(stat(at("log"), &st), 0);
	assert_int_equal(st.st_size, WRITERS * LINES * LINE);
	f = fopen(at("log"), "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		int n, i;

		n = (int)strtol(line + strlen("writer "), NULL, 10);
		i = (int)strtol(line + strlen("writer 0 line "), NULL, 10);
		assert_true(n >= 0 && n < WRITERS);
		assert_int_equal(i, seen[n]++);
	}
	fclose(f);
	for (int n = 0; n < WRITERS; n++)
		assert_int_equal(seen[n], LINES);
}

/* P1, F89: what close or fsync acknowledged is there after kill -9; what nobody closed is not. */
static void killed(void **state)
{
	static char big[3 << 20];
	struct rnd r = rnd_of(1);
	struct stat st;
	int fd, half, log;

	(void)state;
	need_mount();
	rnd_fill(&r, big, sizeof big);
	write_file("k1", "small", 5);
	write_file("k2", big, sizeof big);
	fd = open(at("k2"), O_WRONLY | O_TRUNC);
	MUST(fd);
	assert_int_equal(write(fd, "new", 3), 3);
	half = open(at("k3"), O_WRONLY | O_CREAT, 0600);
	MUST(half);
	assert_int_equal(write(half, big, sizeof big), sizeof big);
	log = open(at("k4"), O_WRONLY | O_CREAT | O_APPEND, 0600);
	MUST(log);
	assert_int_equal(write(log, "line\n", 5), 5);
	assert_int_equal(fsync(log), 0);
	assert_int_equal(write(log, "unsynced\n", 9), 9);
	crash();
	close(fd);
	close(half);
	close(log);
	expect_file("k1", "small", 5);
	expect_file("k2", big, sizeof big);
	FAILS(stat(at("k3"), &st), ENOENT);
	expect_file("k4", "line\n", 5);
}

/* An appender that never syncs loses little: the committer is at work. */
static void background_commit(void **state)
{
	int fd;

	(void)state;
	need_mount();
	fd = open(at("bg"), O_WRONLY | O_CREAT | O_APPEND, 0600);
	MUST(fd);
	assert_int_equal(write(fd, "logged\n", 7), 7);
	for (int i = 0; i < 3; i++)
		usleep(500000);
	crash();
	close(fd);
	expect_file("bg", "logged\n", 7);
}

static void open_and_unlinked(void **state)
{
	char b[8];
	int fd = -1;
	struct stat st;

	(void)state;
	need_mount();
	write_file("u", "bytes", 5);
	fd = open(at("u"), O_RDWR);
	MUST(fd);
	write_file("v", "other", 5);
	assert_int_equal(rename(at("v"), at("u")), 0);
	assert_int_equal(pread(fd, b, 8, 0), 5);
	assert_memory_equal(b, "bytes", 5);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(pwrite(fd, "more", 4, 5), 4);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(pread(fd, b, 8, 1), 8);
	close(fd);
	expect_file("u", "other", 5);
	assert_int_equal(unlink(at("u")), 0);
}

static void suid_cleared(void **state)
{
	struct stat st;
	int fd;
	pid_t pid;

	(void)state;
	need_mount();
	if (getuid())
		skip();
	write_file("s", "x", 1);
	assert_int_equal(chown(at("s"), 1000, 1000), 0);
	assert_int_equal(chmod(at("s"), 06777), 0);
	/* root may keep them */
	fd = open(at("s"), O_WRONLY);
	assert_int_equal(write(fd, "y", 1), 1);
	close(fd);
	assert_int_equal(stat(at("s"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 06777);
	assert_int_equal(chown(at("s"), 1000, 1001), 0);
	assert_int_equal(stat(at("s"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0777);
	assert_int_equal(chmod(at("s"), 06777), 0);
	assert_int_equal(chmod(top, 0755), 0);
	pid = fork();
	if (!pid) {
		/* another user needs allow_other: keep the open file instead */
		fd = open(at("s"), O_WRONLY);
		if (fd < 0 || setresuid(2000, 2000, 2000))
			_exit(1);
		if (write(fd, "z", 1) != 1)
			_exit(2);
		_exit(0);
	}
	int status;
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(stat(at("s"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0777);
}

static void xattrs_and_capabilities(void **state)
{
	/* VFS_CAP_REVISION_2, cap_net_raw */
	static const uint8_t cap[20] = {1, 0, 0, 2, 0, 0x20};
	char b[70000], v[65536];
	int fd;

	(void)state;
	need_mount();
	write_file("x", "x", 1);
	memset(v, 'v', sizeof v);
	FAILS(getxattr(at("x"), "user.none", b, sizeof b), ENODATA);
	assert_int_equal(setxattr(at("x"), "user.big", v, sizeof v, XATTR_CREATE), 0);
	FAILS(setxattr(at("x"), "user.big", v, 1, XATTR_CREATE), EEXIST);
	FAILS(setxattr(at("x"), "user.no", v, 1, XATTR_REPLACE), ENODATA);
	assert_int_equal(getxattr(at("x"), "user.big", b, sizeof b), sizeof v);
	assert_memory_equal(b, v, sizeof v);
	FAILS(getxattr(at("x"), "user.big", b, 10), ERANGE);
	assert_int_equal(listxattr(at("x"), b, sizeof b), 9);
	if (!getuid()) {
		assert_int_equal(setxattr(at("x"), "security.capability", cap, sizeof cap, 0), 0);
		assert_int_equal(setxattr(at("x"), "trusted.t", "1", 1, 0), 0);
		fd = open(at("x"), O_WRONLY);
		assert_int_equal(write(fd, "y", 1), 1);
		close(fd);
		FAILS(getxattr(at("x"), "security.capability", b, sizeof b), ENODATA);
	}
	crash();
	assert_int_equal(getxattr(at("x"), "user.big", b, sizeof b), sizeof v);
	assert_int_equal(removexattr(at("x"), "user.big"), 0);
	FAILS(removexattr(at("x"), "user.big"), ENODATA);
}

/* name_to_handle_at: valid after a restart. */
static void handles_survive(void **state)
{
	struct {
		struct file_handle h;
		unsigned char room[MAX_HANDLE_SZ];
	} fh = {.h = {.handle_bytes = MAX_HANDLE_SZ}};
	int id, dir, fd;
	char b[8];

	(void)state;
	need_mount();
	if (getuid())
		skip();
	assert_int_equal(mkdir(at("hd"), 0700), 0);
	write_file("hd/f", "handle", 6);
	assert_int_equal(name_to_handle_at(AT_FDCWD, at("hd/f"), &fh.h, &id, 0), 0);
	crash();
	dir = open(mnt, O_RDONLY | O_DIRECTORY);
	MUST(dir);
	fd = open_by_handle_at(dir, &fh.h, O_RDONLY);
	MUST(fd);
	assert_int_equal(read(fd, b, 8), 6);
	assert_memory_equal(b, "handle", 6);
	close(fd);
	assert_int_equal(unlink(at("hd/f")), 0);
	fd = open_by_handle_at(dir, &fh.h, O_RDONLY);
	assert_true(fd < 0 && errno == ESTALE);
	close(dir);
}

static void holes_and_ranges(void **state)
{
	static char b[1 << 20];
	off_t in = 0, out = 4096;
	int fd, to;
	struct stat st;

	(void)state;
	need_mount();
	memset(b, 'b', sizeof b);
	write_file("h", b, sizeof b);
	fd = open(at("h"), O_RDWR);
	MUST(fd);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 65536),
			 0);
	assert_int_equal(lseek(fd, 0, SEEK_HOLE), 65536);
	assert_int_equal(lseek(fd, 65536, SEEK_DATA), 131072);
	FAILS(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), EOPNOTSUPP);
	assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
	assert_int_equal(lseek(fd, sizeof b, SEEK_HOLE), sizeof b);
	assert_int_equal(lseek(fd, 0, SEEK_END), (off_t)1 << 40);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_blocks, (sizeof b - 65536) / 512);
	to = open(at("h2"), O_RDWR | O_CREAT, 0600);
	MUST(to);
	assert_int_equal(copy_file_range(fd, &in, to, &out, 200000, 0), 200000);
	assert_int_equal(fstat(to, &st), 0);
	assert_int_equal(st.st_size, 204096);
	assert_int_equal(pread(to, b, 4097, 0), 4097);
	assert_true(b[0] == 0 && b[4095] == 0 && b[4096] == 'b');
	FAILS(pwrite(fd, "x", 1, INT64_MAX), EINVAL);
	assert_int_equal(pwrite(fd, "x", 1, INT64_MAX - 4096), 1);
	close(fd);
	close(to);
}

static struct dirent *next(DIR *d)
{
	/* cppcheck-suppress readdirCalled */
	return readdir(d);
}

/* F98 in small: a directory that changes while it is listed. */
static void listing(void **state)
{
	enum { COUNT = 3000 };
	static char seen[COUNT];
	struct dirent *e;
	char name[32];
	long half = -1;
	int n = 0;
	DIR *d;

	(void)state;
	need_mount();
	assert_int_equal(mkdir(at("ls"), 0755), 0);
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof name, "ls/f%d", i);
		assert_int_equal(mknod(at(name), S_IFREG | 0600, 0), 0);
	}
	d = opendir(at("ls"));
	assert_non_null(d);
	while ((e = next(d))) {
		int i;

		if (e->d_name[0] != 'f')
			continue;
		i = (int)strtol(e->d_name + 1, NULL, 10);
		assert_int_equal(seen[i]++, 0);
		if (i % 3 == 0) {
			snprintf(name, sizeof name, "ls/f%d", i);
			assert_int_equal(unlink(at(name)), 0);
		}
		snprintf(name, sizeof name, "ls/new%d", i);
		assert_int_equal(mkdir(at(name), 0700), 0);
		if (++n == COUNT / 2)
			half = telldir(d);
	}
	assert_int_equal(n, COUNT);
	seekdir(d, half);
	n = 0;
	while ((e = next(d)))
		n += e->d_name[0] == 'f';
	assert_true(n >= COUNT / 3 && n <= COUNT / 2);
	closedir(d);
}

/* A name that is replaced is there at every moment. */
static void rename_over_never_misses(void **state)
{
	struct stat st;
	int status;
	pid_t pid;

	(void)state;
	need_mount();
	write_file("r0", "0", 1);
	pid = fork();
	if (!pid) {
		for (int i = 0; i < 300; i++) {
			int fd = open(at("r1"), O_WRONLY | O_CREAT | O_TRUNC, 0600);

			if (fd < 0 || write(fd, "1", 1) != 1 || close(fd) ||
			    rename(at("r1"), at("r0")))
				_exit(1);
		}
		_exit(0);
	}
	while (!waitpid(pid, &status, WNOHANG)) {
		int fd = open(at("r0"), O_RDONLY);
		char c;

		assert_int_equal(stat(at("r0"), &st), 0);
		if (fd < 0)
			assert_int_equal(errno, 0);
		assert_int_equal(read(fd, &c, 1), 1);
		close(fd);
	}
	assert_int_equal(status, 0);
}

static void many_open(void **state)
{
	enum { COUNT = 900 };
	int fd[COUNT];
	char name[32], c;

	(void)state;
	need_mount();
	assert_int_equal(mkdir(at("many"), 0755), 0);
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof name, "many/%d", i);
		fd[i] = open(at(name), O_RDWR | O_CREAT | O_EXCL, 0600);
		MUST(fd[i]);
		assert_int_equal(write(fd[i], "a", 1), 1);
	}
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(pread(fd[i], &c, 1, 0), 1);
		assert_int_equal(close(fd[i]), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(basics),
		cmocka_unit_test(coherence),
		cmocka_unit_test(mapping_outlives_handle),
		cmocka_unit_test(appenders),
		cmocka_unit_test(killed),
		cmocka_unit_test(background_commit),
		cmocka_unit_test(open_and_unlinked),
		cmocka_unit_test(suid_cleared),
		cmocka_unit_test(xattrs_and_capabilities),
		cmocka_unit_test(handles_survive),
		cmocka_unit_test(holes_and_ranges),
		cmocka_unit_test(listing),
		cmocka_unit_test(rename_over_never_misses),
		cmocka_unit_test(many_open),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
