/*
 * testfs: the real daemon on a temporary directory, for tests that mount.
 *
 * What it is: start, signals, unmount and the admin tool, with time limits.
 * With VS_PLAIN=1 in the environment nothing is mounted and the same calls work
 * on a plain directory: so the tests themselves can be tried.
 *
 * What it is not: it does not check anything.
 *
 * A daemon is known by the pid in DATA/veristore.pid and ended by that only.
 *
 * Thread rule: one owner per struct; single-threaded processes (it forks).
 */
#ifndef VS_TESTS_TESTFS_H
#define VS_TESTS_TESTFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TESTFS_PATH 512

struct testfs {
	char top[TESTFS_PATH]; /* the directory of the test, below TMPDIR */
	char data[TESTFS_PATH + 8], mnt[TESTFS_PATH + 8];
	char bin[TESTFS_PATH]; /* where the programs are: $VS_BIN */
	pid_t pid;             /* the daemon; 0 when none was started */
	bool plain;
};

/* NULL, or why nothing can be mounted here. */
const char *testfs_missing(void);
/* A new directory with an empty mnt. */
bool testfs_init(struct testfs *t);
/* Kill, unmount, remove everything; with VS_KEEP=1 the directory stays. */
void testfs_fini(struct testfs *t);

/* Start on data and mnt; options (-o) may be NULL.  Says on stderr why it failed. */
bool testfs_start(struct testfs *t, const char *options);
bool testfs_signal(const struct testfs *t, int sig);
/* Until the daemon is gone; false when the time is over. */
bool testfs_wait_gone(struct testfs *t, uint32_t seconds);
/* kill -9 and wait. */
bool testfs_kill(struct testfs *t);
bool testfs_mounted(const struct testfs *t);
/* fusermount3 -u, lazy: -uz.  Does not wait for the daemon. */
bool testfs_unmount(const struct testfs *t, bool lazy);

/* veristore-admin -s DATA COMMAND --json; its output into out.  The exit status, -1: no end. */
int testfs_admin(const struct testfs *t, const char *command, char *out, size_t cap);
/* The number of a key in such output; UINT64_MAX when it is not there. */
uint64_t testfs_number(const char *json, const char *key);

/* Run argv with its output in file out (NULL: none); exit status, -1 after seconds. */
int testfs_run(char *const argv[], const char *out, uint32_t seconds);
/* rm -rf without crossing file systems. */
void testfs_remove(const char *path);
/* A whole number from the environment, fallback when it is not set. */
uint64_t testfs_env(const char *name, uint64_t fallback);
/* Milliseconds of a monotonic clock. */
uint64_t testfs_now_ms(void);
void testfs_sleep_ms(uint32_t ms);

#endif
