#include "tools/admin_io.h"

#include "engine/base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ms(void)
{
	struct timespec t = {0, 0};

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- addresses ---------------------------------------------------------------- */

static enum vs_err err_of(int eno)
{
	switch (eno) {
	case ENOENT:
	case ENOTDIR:
	case ECONNREFUSED:
		return VS_ERR_NOENT;
	case EACCES:
	case EPERM:
		return VS_ERR_ACCES;
	case EAGAIN:
		return VS_ERR_TIMEOUT;
	case ENOSPC:
	case EDQUOT:
		return VS_ERR_NOSPC;
	default:
		return VS_ERR_IO_OPEN;
	}
}

/* The address of the socket, good while *dir_fd is open. */
static enum vs_err address(const char *data_dir, struct sockaddr_un *a, int *dir_fd)
{
	int fd = open(data_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_of(errno);
	memset(a, 0, sizeof *a);
	a->sun_family = AF_UNIX;
	snprintf(a->sun_path, sizeof a->sun_path, "/proc/self/fd/%d/" ADMIN_SOCKET, fd);
	*dir_fd = fd;
	return VS_OK;
}

enum vs_err admin_listen(const char *data_dir, int backlog, int *fd)
{
	struct sockaddr_un a;
	int dir_fd, s = -1;
	enum vs_err err = address(data_dir, &a, &dir_fd);

	if (err)
		return err;
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0)
		goto fail;
	if (unlinkat(dir_fd, ADMIN_SOCKET, 0) < 0 && errno != ENOENT)
		goto fail;
	/* the mode must be right before anybody can connect: bound, not yet listening */
	if (bind(s, (struct sockaddr *)&a, sizeof a) < 0 ||
	    fchmodat(dir_fd, ADMIN_SOCKET, 0600, 0) < 0 || listen(s, backlog) < 0)
		goto fail;
	close(dir_fd);
	*fd = s;
	return VS_OK;
fail:
	err = err_of(errno);
	if (s >= 0)
		close(s);
	close(dir_fd);
	return err;
}

void admin_unlisten(const char *data_dir)
{
	struct sockaddr_un a;
	int dir_fd;

	if (address(data_dir, &a, &dir_fd))
		return;
	unlinkat(dir_fd, ADMIN_SOCKET, 0);
	close(dir_fd);
}

enum vs_err admin_connect(const char *data_dir, uint32_t ms, int *fd)
{
	struct timeval limit = {ms / 1000, (ms % 1000) * 1000};
	struct sockaddr_un a;
	int dir_fd, s, rc;
	enum vs_err err = address(data_dir, &a, &dir_fd);

	if (err)
		return err;
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0) {
		err = err_of(errno);
	} else {
		/* with the daemon's queue full connect waits as a send does */
		setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
		do
			rc = connect(s, (struct sockaddr *)&a, sizeof a);
		while (rc < 0 && errno == EINTR);
		err = rc < 0 ? err_of(errno) : VS_OK;
	}
	close(dir_fd);
	if (err && s >= 0)
		close(s);
	if (!err)
		*fd = s;
	return err;
}

bool admin_peer(int fd, uint32_t *uid, int *pid)
{
	struct ucred c;
	socklen_t len = sizeof c;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) < 0 || len != sizeof c)
		return false;
	*uid = c.uid;
	*pid = c.pid;
	return true;
}

/* --- frames -------------------------------------------------------------------- */

/* Wait for events until end.  VS_ERR_TIMEOUT, VS_ERR_INTR. */
static enum vs_err ready(int fd, short events, uint64_t end, const atomic_int *stop)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = events};
		uint64_t now = now_ms();
		/* short waits: a signal may come between the look at stop and poll */
		uint64_t left = now < end ? end - now : 0;
		int rc = poll(&p, 1, left < 250 ? (int)left : 250);

		if (stop && atomic_load(stop))
			return VS_ERR_INTR;
		if (rc > 0)
			return VS_OK;
		if (rc < 0 && errno != EINTR)
			return VS_ERR_IO_READ;
		if (rc == 0 && now_ms() >= end)
			return VS_ERR_TIMEOUT;
	}
}

enum vs_err admin_send(int fd, enum admin_type type, struct bytes payload, uint32_t ms)
{
	uint8_t buf[ADMIN_HEADER + ADMIN_PAYLOAD_MAX];
	struct admin_header h = {ADMIN_VERSION, (uint16_t)type, (uint32_t)payload.len};
	size_t len = ADMIN_HEADER + payload.len, put = 0;
	uint64_t end = now_ms() + ms;

	vs_assert(payload.len <= ADMIN_PAYLOAD_MAX);
	admin_header_encode(&h, buf);
	if (payload.len)
		memcpy(buf + ADMIN_HEADER, payload.p, payload.len);
	while (put < len) {
		enum vs_err err = ready(fd, POLLOUT, end, NULL);
		ssize_t n;

		if (err)
			return err;
		n = send(fd, buf + put, len - put, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return VS_ERR_END;
		put += (size_t)n;
	}
	return VS_OK;
}

/* Exactly len bytes. */
static enum vs_err receive(int fd, void *buf, size_t len, uint64_t end, const atomic_int *stop)
{
	size_t got = 0;

	while (got < len) {
		enum vs_err err = ready(fd, POLLIN, end, stop);
		ssize_t n;

		if (err)
			return err;
		n = recv(fd, (char *)buf + got, len - got, MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return VS_ERR_END;
		got += (size_t)n;
	}
	return VS_OK;
}

enum vs_err admin_receive(int fd, uint32_t ms, const atomic_int *stop, struct admin_frame *out)
{
	uint64_t end = now_ms() + ms;
	uint8_t head[ADMIN_HEADER];
	struct admin_header h;
	enum vs_err err;

	vs_assert(out);
	out->version = ADMIN_VERSION;
	err = receive(fd, head, sizeof head, end, stop);
	if (err)
		return err;
	err = admin_header_decode(head, &h);
	if (err == VS_ERR_NOTSUP)
		out->version = h.version;
	if (err)
		return err;
	err = receive(fd, out->buf, h.len, end, stop);
	if (err)
		return err;
	out->type = h.type;
	out->len = h.len;
	return admin_check(bytes_of(out->buf, out->len));
}

bool admin_hung_up(int fd, uint32_t ms)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	if (poll(&p, 1, (int)ms) <= 0)
		return false;
	return p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL);
}
