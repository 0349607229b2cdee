/*
 * admin_client: veristore-admin's side of a request: find the daemon, ask,
 * wait, and say in one sentence what went wrong.
 *
 * PATH is a data directory, a mount point, or anything below a mount: the data
 * directory is then the source of that mount in /proc/self/mountinfo, so a
 * mount that hangs is not touched.
 *
 * Thread rule: one thread.
 */
#ifndef VS_TOOLS_ADMIN_CLIENT_H
#define VS_TOOLS_ADMIN_CLIENT_H

#include "tools/admin_io.h"

#include <stdatomic.h>

enum admin_exit {
	ADMIN_OK = 0,
	ADMIN_USAGE = 1,
	ADMIN_UNREACHABLE = 2, /* no daemon, no permission, no answer in time */
	ADMIN_FAILED = 3,      /* the daemon reported damage or a failure */
	ADMIN_INTERRUPTED = 130,
};

struct admin_client {
	const char *path;
	uint32_t timeout_ms; /* for connecting and between two frames */
	bool json;
	const atomic_int *stop; /* set by a signal handler */
};

/*
 * Ask for command and wait for the answer, with a progress bar when it takes
 * long.  ADMIN_OK: *out is a RESULT; else a sentence was printed.
 */
enum admin_exit admin_ask(const struct admin_client *c, const char *command,
			  struct admin_frame *out);

/* A number or text of the answer; 0 or "" when it is not there. */
uint64_t admin_number(const struct admin_frame *f, const char *name);
/* Valid until *field changes. */
const char *admin_text(const struct admin_frame *f, const char *name, struct admin_field *field);

/* --- one function per command; prints, returns the exit status --- */

enum admin_exit admin_status(const struct admin_client *c);
enum admin_exit admin_snapshot(const struct admin_client *c);
enum admin_exit admin_gc(const struct admin_client *c);
enum admin_exit admin_scrub(const struct admin_client *c);

#endif
