/*
 * Directories and inodes on the mount: positions of a listing while names come
 * and go, file handles that outlive the daemon, and which times an operation
 * changes (as on ext4).  F92, F98, F99.
 */
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

enum { STABLE = 1500, PATH_CAP = TESTFS_PATH + 128, TICK_MS = 12 };

static struct testfs tfs;

static void path_of(char *path, const char *dir, const char *name)
{
	assert_true(snprintf(path, PATH_CAP, "%s/%s", dir, name) < PATH_CAP);
}

static void touch(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0644);

	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
}

/* --- listing -------------------------------------------------------------------- */

/* In a child: names come and go until it is killed. */
static void disturb(const char *dir)
{
	char path[PATH_CAP], name[32];

	for (uint32_t k = 0;; k++) {
		snprintf(name, sizeof(name), "new%u", k % 300);
		path_of(path, dir, name);
		if (k / 300 % 2)
			unlink(path);
		else
			(void)!mknod(path, S_IFREG | 0644, 0);
	}
}

/* Every stable name once, from wherever the listing is; seen counts them. */
static void list_from(DIR *d, uint8_t *seen)
{
	struct dirent *e;

	while (errno = 0, (e = readdir(d))) {
		if (strncmp(e->d_name, "stable", 6) != 0)
			continue;
		seen[strtoul(e->d_name + 6, NULL, 10)]++;
	}
	assert_int_equal(errno, 0);
}

static void test_positions_under_changes(void **state)
{
	char dir[PATH_CAP], path[PATH_CAP], name[32];
	static uint8_t seen[STABLE], later[STABLE];
	static long at[STABLE];
	pid_t child;

	(void)state;
	if (testfs_missing())
		skip();
	path_of(dir, tfs.mnt, "listed");
	assert_int_equal(mkdir(dir, 0755), 0);
	for (uint32_t k = 0; k < STABLE; k++) {
		snprintf(name, sizeof(name), "stable%u", k);
		path_of(path, dir, name);
		assert_int_equal(mknod(path, S_IFREG | 0644, 0), 0);
	}
	child = fork();
	if (child == 0)
		disturb(dir);
	for (uint32_t round = 0; round < 20; round++) {
		uint32_t count = 0, from;
		DIR *d = opendir(dir);
		struct dirent *e;

		assert_non_null(d);
		memset(seen, 0, sizeof(seen));
		while ((e = readdir(d)) && count < STABLE)
			if (strncmp(e->d_name, "stable", 6) == 0) {
				seen[strtoul(e->d_name + 6, NULL, 10)]++;
				at[count++] = telldir(d);
			}
		for (uint32_t k = 0; k < STABLE; k++)
			assert_int_equal(seen[k], 1);
		/* the rest of the listing from some position; stable names keep their order */
		from = (round + 1) * (STABLE - 1) / 20;
		seekdir(d, at[from]);
		memset(later, 0, sizeof(later));
		list_from(d, later);
		count = 0;
		for (uint32_t k = 0; k < STABLE; k++) {
			assert_true(later[k] <= 1);
			count += later[k];
		}
		assert_int_equal(count, STABLE - 1 - from);
		rewinddir(d);
		memset(seen, 0, sizeof(seen));
		list_from(d, seen);
		for (uint32_t k = 0; k < STABLE; k++)
			assert_int_equal(seen[k], 1);
		closedir(d);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	testfs_remove(dir);
	assert_int_not_equal(access(dir, F_OK), 0);
}

/* --- handles --------------------------------------------------------------------- */

static void test_handles_outlive_the_daemon(void **state)
{
	union {
		struct file_handle h;
		uint8_t room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} file, dir, gone;
	char path[PATH_CAP], other[PATH_CAP], text[16] = "";
	int mount_id, root, fd;

	(void)state;
	if (testfs_missing() || geteuid() != 0)
		skip();
	path_of(path, tfs.mnt, "handle");
	assert_int_equal(mkdir(path, 0755), 0);
	file.h.handle_bytes = dir.h.handle_bytes = gone.h.handle_bytes = MAX_HANDLE_SZ;
	assert_int_equal(name_to_handle_at(AT_FDCWD, path, &dir.h, &mount_id, 0), 0);
	path_of(path, tfs.mnt, "handle/gone");
	touch(path);
	assert_int_equal(name_to_handle_at(AT_FDCWD, path, &gone.h, &mount_id, 0), 0);
	assert_int_equal(unlink(path), 0);
	path_of(path, tfs.mnt, "handle/file");
	touch(path);
	assert_int_equal(truncate(path, 5), 0);
	assert_int_equal(name_to_handle_at(AT_FDCWD, path, &file.h, &mount_id, 0), 0);
	path_of(other, tfs.mnt, "elsewhere");
	assert_int_equal(rename(path, other), 0);
	for (uint32_t round = 0; round < 2; round++) {
		root = open(tfs.mnt, O_RDONLY | O_DIRECTORY);
		assert_true(root >= 0);
		fd = open_by_handle_at(root, &file.h, O_RDWR);
		assert_true(fd >= 0);
		assert_int_equal(pwrite(fd, "hello", 5, 0), 5);
		assert_int_equal(close(fd), 0);
		fd = open_by_handle_at(root, &dir.h, O_RDONLY | O_DIRECTORY);
		assert_true(fd >= 0);
		assert_int_equal(openat(fd, "file", O_RDONLY), -1);
		close(fd);
		assert_int_equal(open_by_handle_at(root, &gone.h, O_RDONLY), -1);
		assert_int_equal(errno, ESTALE);
		close(root);
		assert_true(testfs_kill(&tfs));
		assert_true(testfs_start(&tfs, NULL));
	}
	fd = open(other, O_RDONLY);
	assert_int_equal(read(fd, text, sizeof(text)), 5);
	assert_string_equal(text, "hello");
	close(fd);
}

/* --- times ------------------------------------------------------------------------- */

enum act {
	A_WRITE,
	A_WRITE_0,
	A_TRUNCATE_SAME,
	A_TRUNCATE,
	A_OPEN_TRUNC,
	A_CHMOD,
	A_CHOWN,
	A_LINK,
	A_RENAME,
	A_UNLINK_OTHER,
	A_SETXATTR,
	A_REMOVEXATTR,
	A_UTIMES,
	A_FALLOCATE,
	A_CREATE,
	A_MKDIR,
	A_RMDIR,
	A_FSYNC,
	A_CHMOD_DIR,
	ACTS
};
static const char *const act_name[ACTS] = {
	"write",
	"write of 0 bytes",
	"truncate to the same size",
	"truncate",
	"O_TRUNC",
	"chmod",
	"chown",
	"link",
	"rename",
	"unlink of a link",
	"setxattr",
	"removexattr",
	"utimes",
	"fallocate",
	"create",
	"mkdir",
	"rmdir",
	"fsync",
	"chmod of the directory",
};

static int act_fd(int fd, enum act a)
{
	switch (a) {
	case A_WRITE:
		return pwrite(fd, "y", 1, 0) == 1 ? 0 : -1;
	case A_WRITE_0:
		return (int)pwrite(fd, "y", 0, 0);
	case A_TRUNCATE_SAME:
		return ftruncate(fd, 1);
	case A_TRUNCATE:
		return ftruncate(fd, 100);
	case A_FALLOCATE:
		return fallocate(fd, 0, 0, 5000);
	default:
		return fsync(fd);
	}
}

static int act(const char *dir, enum act a)
{
	struct timespec times[2] = {{1000, 5}, {2000, 7}};
	char f[PATH_CAP], g[PATH_CAP], d[PATH_CAP];
	int fd, rc;

	path_of(f, dir, "f");
	path_of(g, dir, "g");
	path_of(d, dir, "d");
	switch (a) {
	case A_OPEN_TRUNC:
		fd = open(f, O_WRONLY | O_TRUNC);
		return fd < 0 ? -1 : close(fd);
	case A_CHMOD:
		return chmod(f, 0600);
	case A_CHOWN:
		return chown(f, geteuid(), getegid());
	case A_LINK:
		return link(f, g);
	case A_RENAME:
		return rename(f, g) != 0 ? -1 : rename(g, f);
	case A_UNLINK_OTHER:
		return unlink(g);
	case A_SETXATTR:
		return setxattr(f, "user.x", "v", 1, 0);
	case A_REMOVEXATTR:
		return removexattr(f, "user.x");
	case A_UTIMES:
		return utimensat(AT_FDCWD, f, times, 0);
	case A_CREATE:
		fd = open(d, O_CREAT | O_EXCL | O_WRONLY, 0644);
		return fd < 0 ? -1 : close(fd) || unlink(d);
	case A_MKDIR:
		return mkdir(d, 0755);
	case A_RMDIR:
		return rmdir(d);
	case A_CHMOD_DIR:
		return chmod(dir, 0750);
	default:
		fd = open(f, O_RDWR);
		rc = fd < 0 ? -1 : act_fd(fd, a);
		return fd < 0 ? -1 : close(fd) || rc;
	}
}

static bool moved(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec || a->tv_nsec != b->tv_nsec;
}

/* One letter for each time of file and directory that the action changed; and the result. */
static void changes(const char *dir, enum act a, char text[16])
{
	struct stat f[2] = {{0}}, d[2] = {{0}};
	char path[PATH_CAP];
	int rc;

	path_of(path, dir, "f");
	assert_int_equal(stat(path, &f[0]) || stat(dir, &d[0]), 0);
	testfs_sleep_ms(TICK_MS);
	rc = act(dir, a);
	assert_int_equal(stat(path, &f[1]) || stat(dir, &d[1]), 0);
	snprintf(text, 16, "%s%s%s%s%s", moved(&f[0].st_mtim, &f[1].st_mtim) ? "m" : "",
		 moved(&f[0].st_ctim, &f[1].st_ctim) ? "c" : "",
		 moved(&d[0].st_mtim, &d[1].st_mtim) ? "M" : "",
		 moved(&d[0].st_ctim, &d[1].st_ctim) ? "C" : "", rc ? " failed" : "");
}

static void test_times_as_on_ext4(void **state)
{
	char on_mount[PATH_CAP], on_plain[PATH_CAP], path[PATH_CAP], got[16], want[16];
	bool good = true;

	(void)state;
	if (testfs_missing())
		skip();
	path_of(on_mount, tfs.mnt, "times");
	path_of(on_plain, tfs.top, "times");
	assert_int_equal(mkdir(on_mount, 0755) || mkdir(on_plain, 0755), 0);
	path_of(path, on_mount, "f");
	touch(path);
	path_of(path, on_plain, "f");
	touch(path);
	for (int a = 0; a < ACTS; a++) {
		changes(on_mount, (enum act)a, got);
		changes(on_plain, (enum act)a, want);
		if (strcmp(got, want) == 0)
			continue;
		print_message("%s changes \"%s\", on the plain file system \"%s\"\n", act_name[a],
			      got, want);
		good = false;
	}
	assert_true(good);
}

static int setup(void **state)
{
	(void)state;
	if (testfs_missing()) {
		print_message("skipped: %s\n", testfs_missing());
		return 0;
	}
	return testfs_init(&tfs) && testfs_start(&tfs, NULL) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	if (tfs.top[0])
		testfs_fini(&tfs);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_positions_under_changes),
		cmocka_unit_test(test_handles_outlive_the_daemon),
		cmocka_unit_test(test_times_as_on_ext4),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
