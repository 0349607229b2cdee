/*
 * test_fs_util: a file system on a simulated disk, without FUSE, for
 * test_fs_*.c.  Failures end the test.
 */
#ifndef VS_TESTS_FS_UTIL_H
#define VS_TESTS_FS_UTIL_H

#include "fs/vfs.h"
#include "tests/lib/env_mem.h"
#include "tests/lib/rand.h"
#include "tests/lib/verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#define CHUNK (64u << 10)
#define OK(x) assert_int_equal((x), VS_OK)

struct world {
	struct env_mem *env;
	struct store *store;
	struct replica *replica;
	struct fs *fs;
	struct vfs_call c;
	enum vs_err device; /* what the replica reported */
};

static inline void world_failed(void *arg, enum vs_err err)
{
	((struct world *)arg)->device = err;
}

static inline struct bytes nm(const char *name)
{
	return bytes_of(name, strlen(name));
}

static inline void world_up(struct world *w)
{
	struct store_config sc = {.env = env_mem_env(w->env),
				  .cache_bytes = 8u << 20,
				  .chunk_bytes = CHUNK,
				  .segment_bytes = 1u << 20,
				  .create = true};
	struct replica_config rc = {.failed = world_failed, .arg = w};
	struct fs_config fc = {.dirty_bytes = FS_DIRTY_MIN};
	struct store_report report;

	w->device = VS_OK;
	OK(store_open(&sc, &report, &w->store));
	OK(object_format(w->store, 0, 0, 0755));
	OK(object_sweep_sessions(w->store, 0));
	rc.store = w->store;
	OK(replica_open(&rc, &w->replica));
	fc.replica = w->replica;
	OK(fs_new(&fc, &w->fs));
	w->c = (struct vfs_call){.umask = 022};
}

static inline void world_new(struct world *w, uint64_t seed)
{
	memset(w, 0, sizeof *w);
	w->env = env_mem_new(seed);
	assert_non_null(w->env);
	world_up(w);
}

/* End in order; everything adds up. */
static inline void world_down(struct world *w)
{
	char why[256] = "";

	OK(fs_free(w->fs));
	replica_close(w->replica);
	if (!verify_accounts(w->store, why, sizeof why))
		fail_msg("%s", why);
	OK(store_close(w->store));
}

static inline void world_free(struct world *w)
{
	world_down(w);
	env_mem_free(w->env);
}

/* End in order and start again. */
static inline void world_remount(struct world *w)
{
	world_down(w);
	world_up(w);
}

/* Power goes now (LOSE, KEEP...); KEEP is a kill -9: what the kernel has stays. */
static inline void world_crash(struct world *w, enum env_mem_crash mode)
{
	struct env *e = env_mem_env(w->env);
	struct env_file *f;
	uint8_t byte;
	size_t got;

	env_mem_fail_mask(w->env, ENV_MEM_CHANGES | ENV_MEM_READ);
	env_mem_fail_at(w->env, 1, ENV_MEM_FAIL_POWER);
	/* the call at which it goes may still have its effect: make it a read */
	OK(e->ops->open(e, "super", ENV_READ, &f));
	(void)!e->ops->pread(f, &byte, 1, 0, &got);
	e->ops->close(f);
	assert_true(env_mem_is_off(w->env));
	(void)fs_free(w->fs);
	replica_close(w->replica);
	(void)!store_close(w->store);
	env_mem_crash(w->env, mode, 7);
	env_mem_fail_mask(w->env, ENV_MEM_CHANGES);
	world_up(w);
}

/* --- shorthands; names are in directory dir */

static inline uint64_t id_of(struct world *w, uint64_t dir, const char *name)
{
	struct vfs_attr a;
	enum vs_err err = vfs_lookup(w->fs, dir, nm(name), &a);

	assert_true(err == VS_OK || err == VS_ERR_NOENT);
	return err ? 0 : a.id;
}

static inline struct vfs_attr attr_of(struct world *w, uint64_t id)
{
	struct vfs_attr a;

	OK(vfs_getattr(w->fs, id, &a));
	return a;
}

static inline struct vfs_handle *create(struct world *w, uint64_t dir, const char *name)
{
	struct vfs_handle *h;
	struct vfs_attr a;

	OK(vfs_create(w->fs, &w->c, dir, nm(name), 0644, VFS_OPEN_WRITE, &h, &a));
	return h;
}

static inline struct vfs_handle *open_id(struct world *w, uint64_t id, uint32_t flags)
{
	struct vfs_handle *h;

	OK(vfs_open(w->fs, &w->c, id, flags, &h));
	return h;
}

static inline void put(struct world *w, struct vfs_handle *h, uint64_t off, const char *text)
{
	OK(vfs_write(w->fs, &w->c, h, off, text, strlen(text), false));
}

/* close(2): flush, wait, release. */
static inline void close_handle(struct world *w, struct vfs_handle *h)
{
	w->c.index = 0;
	OK(vfs_flush(w->fs, &w->c, h));
	if (w->c.index)
		OK(replica_sync(w->replica, w->c.index));
	vfs_release(w->fs, h);
}

static inline uint64_t make_file(struct world *w, uint64_t dir, const char *name, const char *text)
{
	struct vfs_handle *h = create(w, dir, name);
	uint64_t id = vfs_handle_id(h);

	if (*text)
		put(w, h, 0, text);
	close_handle(w, h);
	return id;
}

static inline uint64_t make_dir(struct world *w, uint64_t dir, const char *name)
{
	struct vfs_attr a;

	OK(vfs_make(w->fs, &w->c, dir, nm(name), S_IFDIR | 0755, 0, &a));
	return a.id;
}

static inline void expect_text(struct world *w, uint64_t id, const char *text)
{
	struct vfs_handle *h = open_id(w, id, 0);
	char buf[256] = "";
	size_t got;

	OK(vfs_read(w->fs, h, 0, buf, sizeof buf - 1, &got));
	buf[got] = 0;
	assert_string_equal(buf, text);
	vfs_release(w->fs, h);
}

#endif
