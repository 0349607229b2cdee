/*
 * probe: ask something of a file system that may not answer.
 *
 * A system call into a mount whose daemon is stopped or hangs waits for ever
 * and at best SIGKILL ends it.  So the question is asked in a child process,
 * which is killed, or left behind, when the time is over.
 *
 * Thread rule: for processes that have no threads (yet).  Blocking, at most
 * the time given.
 */
#ifndef VS_TOOLS_PROBE_H
#define VS_TOOLS_PROBE_H

#include "engine/base/err.h"

#include <stdint.h>

#define PROBE_PATH_MAX 4096u /* bytes with the NUL */

/*
 * Whether path answers a stat that the kernel cannot answer by itself.  VS_OK and *is_dir,
 * VS_ERR_NOENT, _ACCES, VS_ERR_STALE (a mount whose daemon is gone), VS_ERR_TIMEOUT, _IO_OPEN
 * (anything else), _NOMEM (no process).
 */
enum vs_err VS_MUST_USE probe_stat(const char *path, uint32_t ms, int *is_dir);

/* realpath(path) to out (PROBE_PATH_MAX bytes).  The same errors. */
enum vs_err VS_MUST_USE probe_realpath(const char *path, uint32_t ms, char *out);

#endif
