/* client_file: whole files: made, replaced, renamed, shared and unlinked. */
#include "tests/lib/client_int.h"
#include "tests/lib/testfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	FILE_MAX = 3 << 20,
	REPLACE_FILES = 4,
	RENAME_FILES = 2,
	OPEN_FILES = 8,
	DUP_PARTS = 3,
	NAME_MAX_LEN = 32,
};

static uint8_t file_buf[FILE_MAX + 1];

/* Length of content n: small, empty or large. */
static size_t file_len(const struct client *c, uint64_t n)
{
	struct rnd r = client_rnd(c, n);

	switch (rnd_below(&r, 8)) {
	case 0:
		return (size_t)rnd_below(&r, FILE_MAX + 1);
	case 1:
		return 0;
	case 2:
		return (size_t)rnd_below(&r, 400000);
	default:
		return (size_t)rnd_below(&r, 10000);
	}
}

/* Whether buf is content n. */
static bool is_content(const struct client *c, uint64_t n, const uint8_t *buf, size_t len)
{
	if (len != file_len(c, n))
		return false;
	client_fill(c, n, file_buf, len);
	return memcmp(buf, file_buf, len) == 0;
}

/* The file is whole content n, or absent when that is allowed (*there says which). */
static bool check_new(struct client *c, int dirfd, const char *name, uint64_t n, bool may_lack,
		      bool *there)
{
	size_t len = 0;
	uint8_t *buf = client_slurp(dirfd, name, &len);
	bool good;

	*there = buf != NULL;
	if (!buf && errno == ENOENT && may_lack)
		return true;
	if (!buf)
		return client_wrong(c, "%s: %s", name, strerror(errno));
	good = is_content(c, n, buf, len);
	free(buf);
	return good || client_wrong(c, "%s: %zu bytes that are not its content (%zu bytes)", name,
				    len, file_len(c, n));
}

/* --- create ------------------------------------------------------------------ */

void client_create_run(struct client *c)
{
	for (;;) {
		uint64_t n = client_next(c);
		struct rnd r = client_rnd(c, n + ((uint64_t)1 << 40));
		size_t len = file_len(c, n);
		char name[NAME_MAX_LEN];
		int fd;

		client_fill(c, n, file_buf, len);
		snprintf(name, sizeof(name), "f%llu", (unsigned long long)n);
		c->begun = n + 1;
		fd = (int)client_want(c, open(name, O_CREAT | O_EXCL | O_WRONLY, 0644), "create");
		client_write(c, fd, file_buf, len, &r);
		if (rnd_chance(&r, 1, 4)) {
			client_want(c, fsync(fd), "fsync");
			c->acked = n + 1;
		}
		client_want(c, close(fd), "close");
		c->acked = n + 1;
	}
}

bool client_create_check(struct client *c, int dirfd)
{
	uint64_t found = 0;
	int64_t names;
	bool there;

	for (uint64_t n = 0; n < c->begun; n++) {
		char name[NAME_MAX_LEN];

		snprintf(name, sizeof(name), "f%llu", (unsigned long long)n);
		if (!check_new(c, dirfd, name, n, n >= c->acked, &there))
			return false;
		found += there;
	}
	names = client_count_names(dirfd);
	if (names != (int64_t)found)
		return client_wrong(c, "%lld names listed, %llu files found", (long long)names,
				    (unsigned long long)found);
	c->begun = c->acked = found;
	return true;
}

/* --- replace and rename over ---------------------------------------------------- */

void client_replace_run(struct client *c)
{
	for (;;) {
		uint64_t n = client_next(c), slot = n % REPLACE_FILES;
		struct rnd r = client_rnd(c, n + ((uint64_t)1 << 40));
		size_t len = 8 + file_len(c, n);
		char name[NAME_MAX_LEN];
		int fd;

		if (len > FILE_MAX)
			len = FILE_MAX;
		client_fill(c, n + 1, file_buf, len);
		snprintf(name, sizeof(name), "r%llu", (unsigned long long)slot);
		c->slot_begun[slot] = c->begun = n + 1;
		fd = (int)client_want(c, open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644), "open");
		client_write(c, fd, file_buf, len, &r);
		if (rnd_chance(&r, 1, 4))
			client_want(c, fdatasync(fd), "fdatasync");
		client_want(c, close(fd), "close");
		c->slot_acked[slot] = c->acked = n + 1;
	}
}

/* Which version buf holds; 0 when it is none. */
static uint64_t version_of(const struct client *c, const uint8_t *buf, size_t len)
{
	uint64_t v;
	size_t want;

	if (len < 8)
		return 0;
	memcpy(&v, buf, 8);
	if (v == 0 || v > c->begun)
		return 0;
	want = 8 + file_len(c, v - 1);
	if (len != (want > FILE_MAX ? FILE_MAX : want))
		return 0;
	client_fill(c, v, file_buf, len);
	return memcmp(buf, file_buf, len) == 0 ? v : 0;
}

/* Name holds the version last acknowledged or the one under way. */
static bool check_version(struct client *c, int dirfd, const char *name, uint64_t slot,
			  uint64_t *found)
{
	uint64_t old = c->slot_acked[slot], new = c->slot_begun[slot];
	size_t len = 0;
	uint8_t *buf = client_slurp(dirfd, name, &len);

	*found = 0;
	if (!buf && errno == ENOENT && old == 0)
		return true;
	if (!buf)
		return client_wrong(c, "%s: %s", name, strerror(errno));
	*found = version_of(c, buf, len);
	free(buf);
	if (*found && (*found == old || *found == new))
		return true;
	return client_wrong(c, "%s: %zu bytes, version %llu, neither old (%llu) nor new (%llu)",
			    name, len, (unsigned long long)*found, (unsigned long long)old,
			    (unsigned long long)new);
}

bool client_replace_check(struct client *c, int dirfd)
{
	uint64_t found;

	for (uint64_t slot = 0; slot < REPLACE_FILES; slot++) {
		char name[NAME_MAX_LEN];

		snprintf(name, sizeof(name), "r%llu", (unsigned long long)slot);
		if (!check_version(c, dirfd, name, slot, &found))
			return false;
		c->slot_acked[slot] = c->slot_begun[slot] = found;
	}
	return true;
}

/* In a child: the names that were there once are always there, and whole. */
static void watch(struct client *c)
{
	for (uint64_t k = 0;; k++) {
		uint64_t slot = k % RENAME_FILES, old = c->slot_acked[slot], found;
		char name[NAME_MAX_LEN];
		size_t len = 0;
		uint8_t *buf;

		client_next(c);
		testfs_sleep_ms(1);
		if (!old)
			continue;
		snprintf(name, sizeof(name), "target%llu", (unsigned long long)slot);
		buf = client_slurp(AT_FDCWD, name, &len);
		if (!buf)
			client_want(c, -1, "a name that is renamed over: open");
		found = version_of(c, buf, len);
		free(buf);
		if (found < old)
			client_fail(c, "%s shows version %llu, %llu was acknowledged", name,
				    (unsigned long long)found, (unsigned long long)old);
	}
}

void client_rename_run(struct client *c)
{
	pid_t child = (pid_t)client_want(c, fork(), "fork");

	if (child == 0)
		watch(c);
	for (;;) {
		uint64_t n = client_next(c), slot = n % RENAME_FILES;
		struct rnd r = client_rnd(c, n + ((uint64_t)1 << 40));
		size_t len = 8 + file_len(c, n);
		char name[NAME_MAX_LEN], temp[] = "t.XXXXXX";
		int fd, how = (int)rnd_below(&r, 3);

		if (len > FILE_MAX)
			len = FILE_MAX;
		client_fill(c, n + 1, file_buf, len);
		snprintf(name, sizeof(name), "target%llu", (unsigned long long)slot);
		c->slot_begun[slot] = c->begun = n + 1;
		fd = (int)client_want(c, mkstemp(temp), "mkstemp");
		client_write(c, fd, file_buf, len, &r);
		if (how == 0)
			client_want(c, fsync(fd), "fsync");
		if (how == 1) { /* a rename commits what is pending */
			client_want(c, rename(temp, name), "rename");
			client_want(c, close(fd), "close");
		} else {
			client_want(c, close(fd), "close");
			client_want(c, rename(temp, name), "rename");
		}
		c->slot_acked[slot] = c->acked = n + 1;
	}
}

bool client_rename_check(struct client *c, int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	bool good = true;
	uint64_t found;

	for (uint64_t slot = 0; slot < RENAME_FILES; slot++) {
		char name[NAME_MAX_LEN];

		snprintf(name, sizeof(name), "target%llu", (unsigned long long)slot);
		if (!check_version(c, dirfd, name, slot, &found))
			good = false;
		c->slot_acked[slot] = c->slot_begun[slot] = found;
	}
	while (good && d && (e = readdir(d))) {
		size_t len = 0;
		uint8_t *buf;

		if (strncmp(e->d_name, "t.", 2) != 0)
			continue;
		buf = client_slurp(dirfd, e->d_name, &len);
		if (!buf || version_of(c, buf, len) != c->begun)
			good = client_wrong(c, "%s, %zu bytes, is half-written", e->d_name, len);
		free(buf);
	}
	if (d)
		closedir(d);
	return good;
}

/* --- shared descriptors ------------------------------------------------------------ */

/* Where part k of file n ends. */
static size_t part_end(const struct client *c, uint64_t n, uint32_t k)
{
	struct rnd r = client_rnd(c, n);
	size_t end = 0;

	for (uint32_t i = 0; i < k; i++)
		end += (size_t)rnd_between(&r, 1, i == 1 ? 200000 : 20000);
	return end;
}

/* A child writes part 2 through the descriptor it shares and ends in one of three ways. */
static void write_in_child(struct client *c, int fd, uint64_t n, uint64_t how)
{
	size_t from = part_end(c, n, 1), to = part_end(c, n, 2);
	struct rnd r = client_rnd(c, n + ((uint64_t)1 << 41));
	pid_t child = (pid_t)client_want(c, fork(), "fork");
	int status = 0;

	if (child == 0) {
		client_write(c, fd, file_buf + from, to - from, &r);
		if (how == 0) {
			client_want(c, close(fd), "close in a child");
			c->part = 2;
		} else if (how == 1) {
			kill(getpid(), SIGKILL);
		}
		_exit(0);
	}
	client_want(c, waitpid(child, &status, 0), "waitpid");
	if (c->failed)
		_exit(1);
}

void client_dup_run(struct client *c)
{
	for (;;) {
		uint64_t n = client_next(c);
		struct rnd r = client_rnd(c, n + ((uint64_t)1 << 40));
		char name[NAME_MAX_LEN];
		int fd, other;

		client_fill(c, n, file_buf, part_end(c, n, DUP_PARTS));
		snprintf(name, sizeof(name), "g%llu", (unsigned long long)n);
		c->part = 0;
		c->begun = n + 1;
		fd = (int)client_want(c, open(name, O_CREAT | O_EXCL | O_WRONLY, 0644), "create");
		client_write(c, fd, file_buf, part_end(c, n, 1), &r);
		other = (int)client_want(c, dup(fd), "dup");
		if (rnd_chance(&r, 1, 2)) {
			client_want(c, close(other), "close of the first of two");
			c->part = 1;
			other = (int)client_want(c, dup(fd), "dup");
		}
		write_in_child(c, fd, n, rnd_below(&r, 3));
		client_want(c, lseek(fd, (off_t)part_end(c, n, 2), SEEK_SET), "lseek");
		client_write(c, fd, file_buf + part_end(c, n, 2),
			     part_end(c, n, 3) - part_end(c, n, 2), &r);
		client_want(c, close(other), "close of the first of two");
		c->part = DUP_PARTS;
		client_want(c, close(fd), "close");
		c->acked = n + 1;
	}
}

bool client_dup_check(struct client *c, int dirfd)
{
	uint64_t found = 0;

	for (uint64_t n = 0; n < c->begun; n++) {
		uint64_t least = n < c->acked ? DUP_PARTS : c->part;
		char name[NAME_MAX_LEN];
		size_t len = 0;
		uint8_t *buf;
		bool same;

		snprintf(name, sizeof(name), "g%llu", (unsigned long long)n);
		buf = client_slurp(dirfd, name, &len);
		if (!buf && errno == ENOENT && least == 0)
			continue;
		if (!buf)
			return client_wrong(c, "%s: %s", name, strerror(errno));
		client_fill(c, n, file_buf, part_end(c, n, DUP_PARTS));
		same = len <= part_end(c, n, DUP_PARTS) && memcmp(buf, file_buf, len) == 0;
		free(buf);
		if (!same || len == 0 || len < part_end(c, n, (uint32_t)least))
			return client_wrong(c, "%s: %zu bytes%s, at least %zu were acknowledged",
					    name, len, same ? "" : ", not what was written",
					    part_end(c, n, (uint32_t)least));
		found++;
	}
	if (found < c->begun) /* the one under way is not there: and stays away */
		c->begun = found;
	return true;
}

/* --- open without a name ---------------------------------------------------------- */

void client_unlink_run(struct client *c)
{
	int open_files[OPEN_FILES];

	memset(open_files, -1, sizeof(open_files));
	for (;;) {
		uint64_t n = client_next(c);
		struct rnd r = client_rnd(c, n + ((uint64_t)1 << 40));
		size_t len = file_len(c, n), back = 0;
		int *fd = &open_files[n % OPEN_FILES];
		char name[NAME_MAX_LEN];
		ssize_t got;

		if (*fd >= 0)
			client_want(c, close(*fd), "close of an unlinked file");
		client_fill(c, n, file_buf, len);
		snprintf(name, sizeof(name), "u%llu", (unsigned long long)n);
		c->begun = n + 1;
		*fd = (int)client_want(c, open(name, O_CREAT | O_EXCL | O_RDWR, 0644), "create");
		client_write(c, *fd, file_buf, len, &r);
		if (rnd_chance(&r, 1, 2)) {
			client_want(c, close(*fd), "close");
			*fd = (int)client_want(c, open(name, O_RDWR), "open");
		}
		client_want(c, unlink(name), "unlink");
		c->acked = n + 1;
		if (rnd_chance(&r, 1, 4))
			client_want(c, fsync(*fd), "fsync of an unlinked file");
		memset(file_buf, 0, len);
		while ((got = pread(*fd, file_buf + back, len + 1 - back, (off_t)back)) > 0)
			back += (size_t)got;
		client_want(c, got, "read of an unlinked file");
		if (back != len)
			client_fail(c, "unlinked file: %zu bytes instead of %zu", back, len);
	}
}

bool client_unlink_check(struct client *c, int dirfd)
{
	uint64_t found = 0;
	int64_t names;

	for (uint64_t n = 0; n < c->begun; n++) {
		char name[NAME_MAX_LEN];
		bool there;

		snprintf(name, sizeof(name), "u%llu", (unsigned long long)n);
		if (n < c->acked && (faccessat(dirfd, name, F_OK, 0) == 0 || errno != ENOENT))
			return client_wrong(c, "%s: unlinked and there again", name);
		if (n < c->acked)
			continue;
		if (!check_new(c, dirfd, name, n, true, &there))
			return false;
		found += there;
	}
	names = client_count_names(dirfd);
	return names == (int64_t)found || client_wrong(c, "%lld names, %llu expected",
						       (long long)names, (unsigned long long)found);
}
