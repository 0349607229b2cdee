/*
 * logfile: the log of the daemon: one line per event, to a file, to syslog or
 * to stderr.
 *
 *   2025-11-22T17:21:03.123Z warning store VS2001 text
 *
 * time (UTC), level, component, message id, text.  The ids are stable: a
 * program may look for them.  They and their level and component stand in the
 * table below; the text may change.  Control characters in the text are shown
 * as \xNN, so that one event is always one line.
 *
 * Rate limit: of each id at most LOGFILE_BURST lines, then one in a second; the
 * next line that gets through says how many were left out.
 *
 * A file is created with mode 0600 and renamed to FILE.1 (replacing the one
 * before) when it has LOGFILE_MAX bytes, so that a log never fills a disk.
 * Lines that cannot be written are lost: logging never fails and never stops
 * the daemon.
 *
 * Thread rule: logfile_open and logfile_close by one thread while no other
 * logs; the rest from any thread.  Nothing is locked while a line is written.
 */
#ifndef VS_TOOLS_LOGFILE_H
#define VS_TOOLS_LOGFILE_H

#include "engine/base/err.h"
#include "tools/config.h"

#define LOGFILE_BURST 20u
#define LOGFILE_MAX (8u << 20) /* bytes */
#define LOGFILE_TEXT_MAX 1024u /* bytes of the text of one line */

/* name, id, level, component */
#define LOGFILE_TABLE(X)                               \
	X(STARTED, "VS1001", INFO, "daemon")           \
	X(STOPPING, "VS1002", INFO, "daemon")          \
	X(STOPPED, "VS1003", INFO, "daemon")           \
	X(START_FAILED, "VS1004", ERROR, "daemon")     \
	X(STOP_FAILED, "VS1005", ERROR, "daemon")      \
	X(STALE_MOUNT, "VS1006", WARNING, "daemon")    \
	X(NO_PID_FILE, "VS1007", WARNING, "daemon")    \
	X(OPENED, "VS2001", INFO, "store")             \
	X(CREATED, "VS2002", INFO, "store")            \
	X(RECOVERED, "VS2003", INFO, "store")          \
	X(TORN_TAIL, "VS2004", INFO, "store")          \
	X(DEVICE_FAILED, "VS2005", ERROR, "store")     \
	X(DAMAGE, "VS2006", ERROR, "store")            \
	X(ADMIN_LISTEN, "VS4001", DEBUG, "admin")      \
	X(ADMIN_REFUSED, "VS4002", WARNING, "admin")   \
	X(ADMIN_REQUEST, "VS4003", INFO, "admin")      \
	X(ADMIN_BAD_FRAME, "VS4004", WARNING, "admin") \
	X(ADMIN_UNAVAILABLE, "VS4005", WARNING, "admin")

enum logfile_id {
#define X(name, id, level, component) LOG_ID_##name,
	LOGFILE_TABLE(X)
#undef X
		LOG_ID_COUNT
};

/*
 * Open the log.  kind is FILE (path is absolute or relative to the present
 * directory), SYSLOG or STDERR.  Before it and after logfile_close lines go
 * nowhere.  VS_ERR_*: the file cannot be opened (for FILE only).
 */
enum vs_err VS_MUST_USE logfile_open(enum config_log kind, const char *path,
				     enum config_loglevel level);
void logfile_close(void);

/* The descriptor of the log, -1 when it is syslog or not open.  Not the caller's to close. */
int logfile_fd(void);

/* One line, if the level asks for it and the rate allows. */
void logfile(enum logfile_id id, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * The same line as text: what logfile would write at real time real_ns
 * (nanoseconds since 1970 UTC), with the newline.  Returns its length; cut to
 * cap - 1.  Pure.
 */
size_t logfile_line(enum logfile_id id, uint64_t real_ns, const char *text, char *buf, size_t cap);

#endif
