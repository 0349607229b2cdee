/*
 * bench_target: one thing a client can work on: a directory of the plain file
 * system, libfuse's pass-through over such a directory, or a VeriStore mount.
 *
 * A target owns work/NAME: "store" (what is below), "mnt" (the mount), "log"
 * (what the daemon said).
 *
 *   down --target_up--> up --target_stop--> stopped --target_start--> up
 *   any --target_down--> down (large files cut, directories moved to work/old-N)
 *
 * Nothing small is deleted between turns: ext4 passes over inodes that were
 * deleted in the last minutes, one by one, at each create, so that the next
 * variant would pay for the last one's cleaning.  Whoever made work removes it.
 *
 * Thread rule: one thread.  The calling process never opens anything in a
 * mount but asks statfs and stat while it comes up.
 */
#ifndef VS_TOOLS_BENCH_TARGET_H
#define VS_TOOLS_BENCH_TARGET_H

#include "tools/bench_proc.h"

#define TARGET_WHY_MAX 256u

enum target_kind { TARGET_PLAIN, TARGET_PASS, TARGET_VERISTORE };

struct target {
	enum target_kind kind;
	char home[PROC_PATH_MAX];    /* work/NAME */
	char store[PROC_PATH_MAX];   /* files of the daemon */
	char dir[PROC_PATH_MAX];     /* where clients work */
	char log[PROC_PATH_MAX];     /* output of the daemon */
	char program[PROC_PATH_MAX]; /* of the daemon */
	const char *options;         /* -o for the daemon, "" for none; borrowed */
	pid_t daemon;                /* 0: none */
	char why[TARGET_WHY_MAX];    /* one sentence after a failure */
};

/* Fill in; nothing is created.  False when a path is too long. */
bool target_init(struct target *t, enum target_kind kind, const char *work, const char *program,
		 const char *options);

bool target_up(struct target *t);    /* fresh directories, then target_start */
bool target_start(struct target *t); /* over what is there */
bool target_stop(struct target *t);  /* unmount, wait for the daemon */
void target_kill(struct target *t);  /* kill -9; the mount stays, dead */
/* A remount with cold files below; the plain directory: cold files only. */
bool target_cold(struct target *t);
void target_down(struct target *t);

/*
 * Compile libfuse's example passthrough_ll from the documentation of
 * libfuse3-dev to out (PROC_PATH_MAX bytes): once beside this program, or in
 * work when that cannot be written.  False: why has one sentence.
 */
bool target_build_pass(const char *work, char *out, char why[TARGET_WHY_MAX]);

#endif
