/*
 * fs: the file system on one replica, without FUSE: what the daemon makes,
 * hands to a mount (mount.h) and frees.
 *
 * What it is: the owner of everything the file system keeps in memory: the
 * inodes that are open or dirty, their write buffers, the thread that commits
 * files updated in place.  The operations are in vfs.h.
 *
 * What it is not: it does not open, recover or sweep the store; before fs_new
 * the daemon has opened the store and undone what dead sessions left
 * (object_sweep_sessions).
 *
 * Order of life: store_open, replica_open, fs_new, mount_new, mount_run,
 * mount_free, fs_free, replica_close, store_close.
 *
 * Thread rule: fs_new and fs_free by one thread while nobody else uses the
 * file system; the rest from any thread.
 */
#ifndef VS_FS_FS_H
#define VS_FS_FS_H

#include "consensus/replica.h"

#include <stdbool.h>
#include <stdint.h>

struct fs;

enum fs_durability {
	FS_DURABILITY_CLOSE,  /* close and fsync wait for the disk (P1) */
	FS_DURABILITY_STRICT, /* every operation waits for the disk */
	FS_DURABILITY_FSYNC,  /* only fsync and O_SYNC wait */
};

#define FS_COMMIT_MS_DEFAULT 5000u
#define FS_DIRTY_DEFAULT (128u << 20)
#define FS_DIRTY_MIN (8u << 20)

struct fs_config {
	struct replica *replica; /* outlives the fs */
	enum fs_durability durability;
	uint32_t commit_ms;   /* files updated in place are committed this often; 0: never */
	uint64_t dirty_bytes; /* memory for data not yet stored; 0 = default, at least FS_DIRTY_MIN
			       */
};

/* VS_ERR_NOMEM, VS_ERR_CONFIG. */
enum vs_err VS_MUST_USE fs_new(const struct fs_config *config, struct fs **out);

/*
 * Commit everything dirty but new and replaced files that are still open (those
 * are as if never written), delete what is unlinked and still open, wait for
 * durability, free.  The memory is freed whatever happens; the first error is
 * returned.  No operation is under way.  Blocks.
 */
enum vs_err fs_free(struct fs *fs);

/* Commit everything dirty, pending and replaced files too, and wait for durability.  Blocks. */
enum vs_err VS_MUST_USE fs_sync(struct fs *fs);

struct fs_stats {
	uint64_t open_files;  /* handles */
	uint64_t inodes;      /* objects kept in memory: open or dirty */
	uint64_t dirty_bytes; /* memory of data not yet stored */
	uint64_t dirty_limit_bytes;
	uint64_t commits; /* commits of file data since the start */
	uint64_t errors;  /* commits that failed */
};
void fs_stats(struct fs *fs, struct fs_stats *out);

enum fs_durability fs_durability(const struct fs *fs);

#endif
