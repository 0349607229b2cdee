/*
 * mount: a file system under a mount point: the FUSE session, its threads, and
 * its orderly end.
 *
 * What it is: the only file besides fuse_ops.c that knows libfuse.  It mounts,
 * answers INIT itself (the kernel then gets flags that libfuse before 3.17
 * forgets), reads requests in a fixed set of threads that run each to its end,
 * raises the readahead of the mount, and unmounts.
 *
 * What it is not: it does not daemonize, catch signals or log.  The daemon
 * forks before it opens the store (threads do not survive a fork) and reports
 * to its parent from `ready`; a thread of its own (sigwait) calls mount_stop.
 * SIGPIPE is to be ignored by the daemon.  SIGUSR2 is used to wake the threads
 * of a session that ends.
 *
 * Thread rule: mount_stop from any thread (not from a signal handler), any
 * number of times, between mount_new and mount_free; the rest by one thread.
 */
#ifndef VS_FS_MOUNT_H
#define VS_FS_MOUNT_H

#include "fs/fs.h"

#include <stddef.h>

struct mount;

struct mount_config {
	struct fs *fs;          /* outlives the mount */
	const char *mountpoint; /* borrowed until mount_free */
	/*
	 * Program name and FUSE options ("-o", "allow_other,ro,fsname=...", "-d"):
	 * what libfuse and mount(8) understand; options of the daemon are taken
	 * out before.  default_permissions and subtype=veristore are added.
	 * Borrowed during mount_new.
	 */
	int argc;
	char **argv;
	uint32_t threads;        /* 0 = default (10) */
	uint32_t read_ahead_kib; /* 0 = default (1024) */
	/* Called once from mount_run when the mount answers; may be NULL. */
	void (*ready)(void *arg);
	void *arg;
};

/*
 * Mount.  On failure text (cap bytes) says why in one sentence.
 * VS_ERR_CONFIG: an option libfuse does not know; VS_ERR_IO_OPEN: no /dev/fuse
 * or the kernel refused; VS_ERR_NOMEM.
 */
enum vs_err VS_MUST_USE mount_new(const struct mount_config *config, char *text, size_t cap,
				  struct mount **out);

/*
 * Serve until the file system is unmounted (by mount_stop, fusermount3 -u or
 * umount; after a lazy unmount, until its last user is gone).  VS_OK after an
 * unmount in order, VS_ERR_IO_READ when the device failed.
 */
enum vs_err VS_MUST_USE mount_run(struct mount *m);

/*
 * Write back what the kernel has dirty and unmount.  Users that still have
 * files open keep them for at most a second; then the connection ends.
 * Returns when mount_run is about to return.  Blocks.
 */
void mount_stop(struct mount *m);

/* Unmount if that did not happen yet and free.  mount_run has returned. */
void mount_free(struct mount *m);

#endif
