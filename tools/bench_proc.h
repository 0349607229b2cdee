/*
 * bench_proc: the processes of a benchmark: start, wait with a limit, stop by
 * id, and what the kernel counts for them.
 *
 * Whatever is started here is a process group of its own (the terminal's
 * Ctrl-C reaches the benchmark only) and is sent SIGTERM by the kernel when
 * the benchmark dies, so that nothing stays behind.
 *
 * Thread rule: one thread.
 */
#ifndef VS_TOOLS_BENCH_PROC_H
#define VS_TOOLS_BENCH_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define PROC_PATH_MAX 4096u /* bytes with the NUL */

/* SIGINT, SIGTERM and SIGHUP end waits and set proc_interrupted for good. */
void proc_catch_signals(void);
bool proc_interrupted(void);

uint64_t proc_now_ns(void); /* monotonic */
void proc_sleep_ms(unsigned ms);

/* printf into out (cap bytes); false when it did not fit. */
#define proc_format(out, cap, ...) ((size_t)snprintf(out, cap, __VA_ARGS__) < (cap))

/*
 * Start argv[0] (looked up in PATH), both outputs appended to file log.  False
 * when it could not be forked; an exec that fails ends with status 127.
 */
bool proc_start(const char *const *argv, const char *log, pid_t *out);

/*
 * Wait at most ms for the child to end.  False: it still runs (time-out or
 * interruption).  *status as of waitpid.
 */
bool proc_wait(pid_t pid, unsigned ms, int *status);

/* Start, wait; true when it ended with exit status 0 in time. */
bool proc_run(const char *const *argv, const char *log, unsigned ms);

/* SIGTERM, grace_ms, SIGKILL; reaped when it returns. */
void proc_stop(pid_t pid, unsigned grace_ms);

/* CPU time the process used so far, all threads, also those that ended.  0 when gone. */
uint64_t proc_cpu_ns(pid_t pid);
/* Bytes it caused to be written to a device; 0 when unknown. */
uint64_t proc_write_bytes(pid_t pid);
struct proc_memory {
	uint64_t rss_bytes, peak_bytes;
};
bool proc_memory(pid_t pid, struct proc_memory *out);

/* Directory of the program itself, without links, to out (PROC_PATH_MAX bytes). */
bool proc_own_dir(char *out);

/* Take the page cache of every file below path away (after fdatasync). */
void proc_evict_tree(const char *path);
/* Truncate every file below path that has more than 64 KiB. */
void proc_shrink_tree(const char *path);
/* Remove path and everything below; crosses no mount. */
void proc_remove_tree(const char *path);

#endif
