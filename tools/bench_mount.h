/*
 * bench_mount: VeriStore's mount against the plain file system and libfuse's
 * pass-through, row by row.
 *
 * Rows are measured in groups.  A group starts on fresh directories and a
 * fresh daemon, warms up, runs its rows in order and takes everything down;
 * the variants take turns (A B C A B C ...), round after round.
 *
 * What is equal: client code, sizes, order, start (synced disk, fresh
 * directories).  What differs is on purpose: where durability at close is not
 * promised (plain, pass-through) the client calls fsync before close.
 *
 * Thread rule: one thread.
 */
#ifndef VS_TOOLS_BENCH_MOUNT_H
#define VS_TOOLS_BENCH_MOUNT_H

#include <stdbool.h>
#include <stdint.h>

struct bench_settings {
	const char *dir;      /* everything is made below */
	const char *programs; /* where veristore lies; NULL: beside this program */
	const char *options;  /* -o for veristore, "" for none */
	const char *only;     /* groups, separated by commas; "" = all */
	const char *variants; /* of "plain,pass,veristore"; "" = all */
	unsigned rounds;
	uint64_t big_bytes;     /* the sequential file */
	uint64_t update_bytes;  /* each file for updates in place */
	uint64_t tail_bytes;    /* log tail at kill -9 */
	uint64_t small_count;   /* 4 KiB files, directories, renames */
	uint64_t list_count;    /* names that are listed */
	uint64_t random_count;  /* random reads */
	uint64_t update_count;  /* random writes, all jobs together */
	uint64_t million_count; /* names with --big */
	uint64_t heavy_bytes;   /* data with --big */
	bool big, markdown, quiet;
};

/* Measure and print; false when nothing could be measured. */
bool bench_mount(const struct bench_settings *s);

/* Print the groups, one a line. */
void bench_mount_groups(void);

/* A fresh directory below dir for one run, to out (PROC_PATH_MAX bytes). */
bool bench_work_dir(const char *dir, char *out);

/* Whether word is in the list (separated by commas), or the list is empty. */
bool bench_chosen(const char *list, const char *word);

#endif
