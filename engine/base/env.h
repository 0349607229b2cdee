/*
 * env: the outside world of one store: its files, clocks and random bits.
 *
 * The engine reaches files, time and randomness through this table only, so
 * the same objects run on POSIX (env_posix) and in memory under a simulated
 * disk (tests/lib/env_mem) that forgets, tears and fails.
 *
 * An env stands for one directory tree, the data directory; names are
 * relative to it ("super", "log/00000001"), at most one directory deep.
 *
 * Durability contract:
 *   - write makes bytes visible to reads and to a later process after kill -9,
 *     not to a machine that lost power;
 *   - file_sync makes all completed writes of that file durable, and its size;
 *   - a created, renamed or unlinked name is durable after dir_sync of its
 *     directory;
 *   - after file_sync returned an error nothing is known about the bytes
 *     written since the last good one, and a later good sync does not bring
 *     them back (Rebello et al., ATC 2020): the caller must stop.
 *
 * Thread rule: every function may be called from several threads at once,
 * on the same file too; overlapping writes have no defined order.
 */
#ifndef VS_BASE_ENV_H
#define VS_BASE_ENV_H

#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct env;
struct env_file; /* an open file; opaque, each implementation has its own */

enum env_open_flags {
	ENV_READ = 0,   /* read only */
	ENV_WRITE = 1,  /* read and write */
	ENV_CREATE = 2, /* create when missing (with ENV_WRITE), mode 0600 */
	ENV_EXCL = 4,   /* with ENV_CREATE: VS_ERR_EXIST when present */
};

struct env_space {
	uint64_t total_bytes;
	uint64_t free_bytes; /* available to this process (f_bavail) */
};

struct env_ops {
	/* Open files.  VS_ERR_NOENT, _EXIST, _ACCES, _ROFS, _NOSPC, _IO_OPEN. */
	enum vs_err (*open)(struct env *e, const char *name, int flags, struct env_file **out);
	void (*close)(struct env_file *f);

	/*
	 * Read up to len bytes at off; *got is less than len at end of file only.
	 * VS_ERR_IO_READ.
	 */
	enum vs_err (*pread)(struct env_file *f, void *buf, size_t len, uint64_t off, size_t *got);

	/*
	 * Write all of iov[0..n-1] at off; on error any part may have been
	 * written.  VS_ERR_NOSPC, VS_ERR_IO_WRITE.
	 */
	enum vs_err (*pwritev)(struct env_file *f, const struct iovec *iov, int n, uint64_t off);

	/* Make completed writes and the size durable.  VS_ERR_IO_SYNC. */
	enum vs_err (*sync)(struct env_file *f);

	/*
	 * Start writing dirty bytes of the range to the device without waiting
	 * for them and without a promise.  A hint; never fails.
	 */
	void (*write_hint)(struct env_file *f, uint64_t off, uint64_t len);

	/*
	 * Give [off, off+len) blocks of its own (and extend the size), contents
	 * zero where nothing was written; later writes there do not fail for
	 * lack of space.  VS_ERR_NOSPC, _IO_WRITE.
	 */
	enum vs_err (*allocate)(struct env_file *f, uint64_t off, uint64_t len);
	enum vs_err (*truncate)(struct env_file *f, uint64_t size);
	enum vs_err (*size)(struct env_file *f, uint64_t *bytes);

	/* Names.  dir is "" for the top or a directory name. */
	enum vs_err (*unlink)(struct env *e, const char *name);
	enum vs_err (*rename)(struct env *e, const char *from, const char *to);
	enum vs_err (*mkdir)(struct env *e, const char *name); /* present is fine */
	enum vs_err (*dir_sync)(struct env *e, const char *dir);
	/*
	 * Call each(arg, name) for every file (not "." or "..") in dir, in any
	 * order; stops at the first error each returns and returns it.
	 */
	enum vs_err (*list)(struct env *e, const char *dir,
			    enum vs_err (*each)(void *arg, const char *name), void *arg);

	/*
	 * Exclusive lock on the store, held until env_unlock or the process
	 * ends.  VS_ERR_LOCKED when another process has it.
	 */
	enum vs_err (*lock)(struct env *e, const char *name);
	void (*unlock)(struct env *e);

	enum vs_err (*space)(struct env *e, struct env_space *out);

	uint64_t (*now_mono_ns)(struct env *e); /* monotonic, from any origin */
	uint64_t (*now_real_ns)(struct env *e); /* since 1970-01-01 UTC */
	void (*random)(struct env *e, void *buf, size_t len);
};

/* Implementations embed this as their first member. */
struct env {
	const struct env_ops *ops;
};

/* One write of one buffer. */
static inline enum vs_err VS_MUST_USE env_pwrite(struct env *e, struct env_file *f, const void *buf,
						 size_t len, uint64_t off)
{
	struct iovec iov = {(void *)(uintptr_t)buf, len};

	return e->ops->pwritev(f, &iov, 1, off);
}

#endif
