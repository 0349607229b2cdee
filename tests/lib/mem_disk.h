/*
 * mem_disk: the disk model under env_mem: files with a live and a durable
 * image, names with their unsynced operations, and what a crash makes of
 * both (the rules are in env_mem.h).  No faults, no handles, no locking.
 *
 * Thread rule: one owner.
 */
#ifndef VS_TESTS_MEM_DISK_H
#define VS_TESTS_MEM_DISK_H

#include "tests/lib/env_mem.h"
#include "tests/lib/mem_image.h"
#include "tests/lib/rand.h"

#define DISK_VERSIONS 3

/* A block written since the last sync, with earlier versions of that time. */
struct dirty {
	uint64_t block;
	uint32_t count;
	uint8_t *version[DISK_VERSIONS]; /* owned; the live image is the latest */
};

struct disk_file {
	struct image live, durable;
	uint64_t size, durable_size;
	uint64_t cut;        /* smallest size truncated to since the last sync, or UINT64_MAX */
	bool resized;        /* truncate or allocate changed the size since the last sync */
	bool diverged;       /* some clean block differs: a failed sync */
	struct dirty *dirty; /* ascending by block */
	size_t dirty_count, dirty_cap;
	uint8_t *used; /* one per block: has space on the device */
	uint64_t used_cap, used_count;
	uint32_t opens;
	bool lose, misdirect; /* the next write */
	int64_t delta;
	struct env_mem_stats stats;
	size_t at; /* place in disk.file */
};

struct disk_name {
	char name[ENV_MEM_NAME_MAX + 1];
	struct disk_file *file; /* borrowed from disk.file; NULL: a directory */
};

struct names {
	struct disk_name *v;
	size_t count, cap;
};

/* from -> to is a rename; without from a link of file at to; without to an unlink. */
struct name_op {
	char from[ENV_MEM_NAME_MAX + 1], to[ENV_MEM_NAME_MAX + 1];
	struct disk_file *file;
	bool done;
};

struct disk {
	struct disk_file **file; /* owned, in order of creation */
	size_t file_count, file_cap;
	struct names live, durable;
	struct name_op *op; /* live = durable + these */
	size_t op_count, op_cap;
};

void disk_fini(struct disk *d);

/* *to becomes a copy of from; nothing in it is open. */
void disk_clone(struct disk *to, const struct disk *from);

/* The entry of a live name, or NULL. */
struct disk_name *disk_find(const struct disk *d, const char *name);

/* True when the directory that name is in exists. */
bool disk_has_dir_of(const struct disk *d, const char *name);

/* Copy the directory part of name ("" for the top) to out. */
void disk_dir_of(const char *name, char out[ENV_MEM_NAME_MAX + 1]);

/* Name operations, valid ones only. */
struct disk_file *disk_create(struct disk *d, const char *name);
void disk_mkdir(struct disk *d, const char *name);
void disk_unlink(struct disk *d, const char *name);
void disk_rename(struct disk *d, const char *from, const char *to);
void disk_dir_sync(struct disk *d, const char *dir);

/* Drop files that nothing refers to.  Called by the name operations too. */
void disk_collect(struct disk *d);

void disk_write(struct disk_file *f, const void *buf, size_t len, uint64_t off);
void disk_truncate(struct disk_file *f, uint64_t size);
void disk_allocate(struct disk_file *f, uint64_t off, uint64_t len);
void disk_sync(struct disk_file *f);

/* A random part reaches the disk, the rest is clean but not there. */
void disk_sync_lost(struct disk_file *f, struct rnd *r);

/* How many of the blocks of [off, off+len) have no space yet. */
uint64_t disk_new_blocks(const struct disk_file *f, uint64_t off, uint64_t len);
uint64_t disk_used_blocks(const struct disk *d);

/* names: how many name operations ENV_MEM_MASK keeps, UINT32_MAX = all. */
void disk_crash(struct disk *d, enum env_mem_crash mode, uint64_t seed, uint32_t names);
uint32_t disk_unsynced(const struct disk *d);

#endif
