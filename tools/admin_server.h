/*
 * admin_server: answers veristore-admin in the daemon.
 *
 * What it is: a fixed set of threads on DATA_DIR/admin.sock.  Each takes one
 * connection at a time from its first byte to its last; more clients wait in
 * the kernel's queue.  What the commands do is in a table given at start
 * (admin_commands.h).
 *
 * Only the daemon's own user and root are answered (SO_PEERCRED); the socket's
 * mode 0600 keeps others out before that.
 *
 * Long work runs in a thread of its own while the connection's thread sends
 * PROGRESS and watches for the client going away: then, and when the server
 * stops, progress->step returns false and the work ends.
 *
 * Bounds: ADMIN_THREADS connections, one exclusive command at a time, and
 * ADMIN_IO_MS for a client to send its request or take an answer.
 *
 * Thread rule: start and stop by one thread.
 */
#ifndef VS_TOOLS_ADMIN_SERVER_H
#define VS_TOOLS_ADMIN_SERVER_H

#include "engine/store.h"
#include "tools/admin_proto.h"

#define ADMIN_THREADS 8u
#define ADMIN_BACKLOG 1024
#define ADMIN_IO_MS 5000u
#define ADMIN_WHY_MAX 512u /* bytes of an error's text, with the NUL */

struct admin_command {
	const char *name;
	bool lengthy;   /* runs beside PROGRESS frames */
	bool exclusive; /* lengthy, and one of these at a time */
	/*
	 * Do it; put the fields of the answer to out.  On an error why (empty
	 * before) may be filled with a sentence; the fields are not sent then.
	 */
	enum vs_err (*run)(void *arg, struct bytes request, const struct store_progress *progress,
			   struct writer *out, char *why);
};

struct admin_server_config {
	const char *data_dir;                 /* copied */
	const struct admin_command *commands; /* up to one without a name; outlive the server */
	void *arg;                            /* for run */
};

struct admin_server;

/* VS_ERR_NOMEM, and those of admin_listen. */
enum vs_err VS_MUST_USE admin_server_start(const struct admin_server_config *config,
					   struct admin_server **out);
/* End what runs, answer nothing more, remove the socket.  Blocks until the threads are gone. */
void admin_server_stop(struct admin_server *s);

#endif
