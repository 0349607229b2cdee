/*
 * daemon: the life of the process that holds a store and serves a mount.
 *
 *   paths -> store -> replica -> file system -> mount -> admin socket -> ready
 *
 * and back in the opposite order, when the file system is unmounted or SIGTERM,
 * SIGINT or SIGHUP comes.  A failed device ends the process at once with
 * DAEMON_DEVICE_FAILED: nothing is acknowledged after it, the next start
 * recovers (P9).
 *
 * Files it keeps beside the store's: admin.sock, veristore.pid, and
 * veristore.log unless log= says otherwise.
 *
 * Thread rule: one daemon in a process, run by its first thread.
 */
#ifndef VS_TOOLS_DAEMON_H
#define VS_TOOLS_DAEMON_H

#include "tools/config.h"

enum daemon_exit {
	DAEMON_OK = 0,
	DAEMON_CANNOT_START = 1,
	DAEMON_CANNOT_STOP = 2, /* the last commit failed; the log says why */
	DAEMON_DEVICE_FAILED = 3,
};

/*
 * Serve until told to stop.  Call background_start first; what cannot be
 * started is said through background_failed.
 */
enum daemon_exit daemon_run(const struct config *config);

#endif
