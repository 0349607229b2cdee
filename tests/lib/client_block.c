/* client_block: files that grow, or change in place. */
#include "tests/lib/client_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	APPEND_MAX = 20000,
	BLOCKS = CLIENT_SLOTS,
	INPLACE_BLOCK = 6000, /* on no boundary of anything */
	MAP_BLOCK = 4096,
};

static uint8_t block_buf[CLIENT_PART];

/* --- append ------------------------------------------------------------------ */

static size_t record_len(const struct client *c, uint64_t n)
{
	struct rnd r = client_rnd(c, n);

	return (size_t)rnd_between(&r, 1, rnd_chance(&r, 1, 3) ? APPEND_MAX : 200);
}

/* acked counts records; part is how many were written. */
void client_append_run(struct client *c)
{
	uint64_t n = 0;
	int fd;

	c->begun = 1;
	fd = (int)client_want(c, open("log", O_CREAT | O_WRONLY | O_APPEND, 0644), "create");
	for (;; n++) {
		size_t len = record_len(c, n);
		struct rnd r = client_rnd(c, n + ((uint64_t)1 << 40));

		client_next(c);
		client_fill(c, n, block_buf, len);
		c->begun = n + 1;
		client_whole(c, write(fd, block_buf, len), len, "append");
		if (rnd_chance(&r, 1, 8))
			continue;
		if (rnd_chance(&r, 1, 8)) {
			client_want(c, close(fd), "close");
			c->acked = n + 1;
			fd = (int)client_want(c, open("log", O_WRONLY | O_APPEND), "open");
		} else if (rnd_chance(&r, 1, 2)) {
			client_want(c, fsync(fd), "fsync");
		} else {
			client_want(c, fdatasync(fd), "fdatasync");
		}
		c->acked = n + 1;
	}
}

bool client_append_check(struct client *c, int dirfd)
{
	size_t len = 0, at = 0;
	uint8_t *buf = client_slurp(dirfd, "log", &len);
	uint64_t n;
	bool same = true, cut = false;

	if (!buf && errno == ENOENT && c->acked == 0)
		return true;
	if (!buf)
		return client_wrong(c, "log: %s", strerror(errno));
	for (n = 0; n < c->begun && at < len && same; n++) {
		size_t part = record_len(c, n);

		client_fill(c, n, block_buf, part);
		cut = c->cut && n >= c->acked && at + part > len && len % 4096 == 0;
		if (cut) /* to the end of a page, by itself */
			part = len - at;
		same = at + part <= len && memcmp(buf + at, block_buf, part) == 0;
		at += part;
	}
	free(buf);
	if (!same)
		return client_wrong(c, "log, %zu bytes: record %llu, to byte %zu, is not whole",
				    len, (unsigned long long)n - 1, at);
	if (at != len || n < c->acked)
		return client_wrong(c, "log: %zu bytes, %llu records, %llu acknowledged", len,
				    (unsigned long long)n, (unsigned long long)c->acked);
	c->begun = n;
	c->acked = cut ? n - 1 : n;
	return true;
}

/* --- blocks with versions --------------------------------------------------------- */

/* The whole file with version 1 of every block, durable. */
static int make_blocks(struct client *c, const char *name, size_t block)
{
	int fd;

	c->begun = 1;
	fd = (int)client_want(c, open(name, O_CREAT | O_EXCL | O_RDWR, 0644), "create");
	client_fill(c, 1, block_buf, block);
	for (uint32_t b = 0; b < BLOCKS; b++)
		client_want(c, write(fd, block_buf, block), "write");
	client_want(c, fsync(fd), "fsync");
	for (uint32_t b = 0; b < BLOCKS; b++)
		c->slot_begun[b] = c->slot_acked[b] = 1;
	c->acked = 1;
	return fd;
}

/* The kernel cuts an O_DSYNC write at pages, and each part is a commit. */
static bool is_sync_write(const struct client *c, uint64_t v)
{
	struct rnd r = client_rnd(c, v + ((uint64_t)1 << 42));

	return rnd_chance(&r, 1, 3);
}

/* Every block is whole: the version acknowledged or the one under way; words: by the word. */
static bool check_blocks(struct client *c, int dirfd, const char *name, size_t block, bool words)
{
	size_t len = 0;
	uint8_t *buf = client_slurp(dirfd, name, &len), *old = NULL;
	bool good = true;

	if (!buf && errno == ENOENT && c->acked == 0)
		return true;
	if (!buf)
		return client_wrong(c, "%s: %s", name, strerror(errno));
	old = malloc(block);
	if (!old || len != BLOCKS * block)
		good = client_wrong(c, "%s: %zu bytes", name, len);
	for (uint32_t b = 0; good && b < BLOCKS; b++) {
		const uint8_t *at = buf + b * block;
		/* before the file was acknowledged there is only version 1 */
		uint64_t o = c->acked ? c->slot_acked[b] : 1, n = c->acked ? c->slot_begun[b] : 1;
		size_t step = words || c->cut || is_sync_write(c, n) ? 8 : block, i;

		client_fill(c, o, old, block);
		client_fill(c, n, block_buf, block);
		for (i = 0; i < block; i += step)
			if (memcmp(at + i, old + i, step) != 0 &&
			    memcmp(at + i, block_buf + i, step) != 0)
				break;
		if (i < block)
			good = client_wrong(c, "%s: block %u is neither version %llu nor %llu",
					    name, b, (unsigned long long)o, (unsigned long long)n);
		else if (memcmp(at, block_buf, block) == 0)
			c->slot_acked[b] = n;
		else if (memcmp(at, old, block) == 0)
			c->slot_begun[b] = o;
	}
	free(old);
	free(buf);
	return good;
}

void client_inplace_run(struct client *c)
{
	int fd = make_blocks(c, "blocks", INPLACE_BLOCK), synced;

	synced = (int)client_want(c, open("blocks", O_WRONLY | O_DSYNC), "open with O_DSYNC");
	for (;;) {
		uint64_t n = client_next(c), v = n + 1;
		struct rnd r = client_rnd(c, n);
		uint32_t first = (uint32_t)rnd_below(&r, BLOCKS), count = 1;
		bool sync_write = is_sync_write(c, v);

		if (!sync_write && rnd_chance(&r, 1, 3)) /* all by one commit */
			count = (uint32_t)rnd_between(&r, 1, BLOCKS - first);
		client_fill(c, v, block_buf, INPLACE_BLOCK);
		c->begun = v;
		for (uint32_t b = first; b < first + count; b++) {
			c->slot_begun[b] = v;
			client_whole(c,
				     pwrite(sync_write ? synced : fd, block_buf, INPLACE_BLOCK,
					    (off_t)b * INPLACE_BLOCK),
				     INPLACE_BLOCK, "pwrite");
		}
		if (!sync_write)
			client_want(c, fdatasync(fd), "fdatasync");
		for (uint32_t b = first; b < first + count; b++)
			c->slot_acked[b] = v;
		c->acked = v;
	}
}

bool client_inplace_check(struct client *c, int dirfd)
{
	return check_blocks(c, dirfd, "blocks", INPLACE_BLOCK, false);
}

void client_map_run(struct client *c)
{
	int fd = make_blocks(c, "map", MAP_BLOCK);
	uint8_t *map =
		mmap(NULL, (size_t)BLOCKS * MAP_BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		client_want(c, -1, "mmap");
	for (;;) {
		uint64_t n = client_next(c), v = n + 1;
		struct rnd r = client_rnd(c, n);
		uint32_t b = (uint32_t)rnd_below(&r, BLOCKS);
		uint8_t *at = map + (size_t)b * MAP_BLOCK;

		client_fill(c, v, block_buf, MAP_BLOCK);
		c->slot_begun[b] = c->begun = v;
		memcpy(at, block_buf, MAP_BLOCK);
		if (rnd_chance(&r, 1, 3))
			client_want(c, fsync(fd), "fsync of a mapped file");
		else
			client_want(c, msync(at, MAP_BLOCK, MS_SYNC), "msync");
		c->slot_acked[b] = c->acked = v;
	}
}

bool client_map_check(struct client *c, int dirfd)
{
	return check_blocks(c, dirfd, "map", MAP_BLOCK, true);
}
