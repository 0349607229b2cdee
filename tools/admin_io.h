/*
 * admin_io: admin frames over a Unix socket, with time limits.
 *
 * Paths: a socket address holds 107 bytes, a data directory may be deeper; both
 * sides therefore open the directory and go through /proc/self/fd.
 *
 * Thread rule: thread-safe; one thread per direction of a socket.  Blocking,
 * at most the time given for each frame.
 */
#ifndef VS_TOOLS_ADMIN_IO_H
#define VS_TOOLS_ADMIN_IO_H

#include "tools/admin_proto.h"

#include <stdatomic.h>

/* A frame; payload is len bytes of buf. */
struct admin_frame {
	uint16_t version, type;
	size_t len;
	uint8_t buf[ADMIN_PAYLOAD_MAX];
};

/*
 * A listening socket data_dir/admin.sock, mode 0600, in place of one left
 * there.  The caller holds the store's lock, so nobody else listens on it.
 * The caller owns *fd.  VS_ERR_ACCES, _NOSPC, _NOENT, _IO_OPEN.
 */
enum vs_err VS_MUST_USE admin_listen(const char *data_dir, int backlog, int *fd);
/* Remove the socket. */
void admin_unlisten(const char *data_dir);

/*
 * Connect to the daemon of data_dir.  VS_ERR_NOENT: no socket, nobody listens
 * or no such directory; VS_ERR_ACCES, VS_ERR_TIMEOUT, VS_ERR_IO_OPEN.
 */
enum vs_err VS_MUST_USE admin_connect(const char *data_dir, uint32_t ms, int *fd);

/* User and process at the other end; false when unknown. */
bool admin_peer(int fd, uint32_t *uid, int *pid);

/*
 * Send one frame.  VS_ERR_TIMEOUT: not taken within ms; VS_ERR_END: the other
 * side is gone.
 */
enum vs_err VS_MUST_USE admin_send(int fd, enum admin_type type, struct bytes payload, uint32_t ms);

/*
 * Receive one frame, checked.  VS_ERR_TIMEOUT: not complete within ms;
 * VS_ERR_END: closed; VS_ERR_BAD_FRAME; VS_ERR_NOTSUP: another version (see
 * out->version); VS_ERR_INTR: *stop (may be NULL) became nonzero.
 */
enum vs_err VS_MUST_USE admin_receive(int fd, uint32_t ms, const atomic_int *stop,
				      struct admin_frame *out);

/* Whether the other side closed the connection; waits up to ms for it. */
bool admin_hung_up(int fd, uint32_t ms);

#endif
