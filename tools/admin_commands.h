/*
 * admin_commands: what the daemon answers to each command of veristore-admin.
 *
 * status     figures and the state in one word:
 *              healthy    everything works
 *              degraded   damage was found, or commits failed
 *              read-only  mounted with ro
 *              full       writes answer ENOSPC until something is deleted
 *              stopped    the device failed; the process is about to end
 *            with a reason and advice when it is not healthy
 * snapshot   take a checkpoint now
 * gc         collect garbage and clean segments   (exclusive)
 * scrub      verify everything stored             (exclusive)
 *
 * Names of fields end in their unit: _bytes, _ns, _us, _s.
 *
 * Thread rule: thread-safe.
 */
#ifndef VS_TOOLS_ADMIN_COMMANDS_H
#define VS_TOOLS_ADMIN_COMMANDS_H

#include "fs/fs.h"
#include "tools/admin_server.h"

/* The arg of the commands; everything outlives the server. */
struct admin_commands {
	struct store *store;
	struct fs *fs;
	const char *data_dir, *mountpoint;
	bool read_only;
};

/* Ends with an entry without a name. */
extern const struct admin_command vs_admin_commands[];

#endif
