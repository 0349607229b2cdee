#include "tools/admin_client.h"

#include "engine/base/assert.h"
#include "tools/bar.h"
#include "tools/mountinfo.h"
#include "tools/probe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
	va_list ap;

	fputs("veristore-admin: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* --- finding the daemon -------------------------------------------------------------- */

/* Whether path (absolute) is in a veristore mount; then its source. */
static bool in_mount(const char *path, char *data_dir)
{
	struct mountinfo m;

	if (mountinfo_find(path, &m) || strcmp(m.type, "fuse.veristore") != 0 || m.source[0] != '/')
		return false;
	memcpy(data_dir, m.source, sizeof m.source);
	return true;
}

/* The data directory that path stands for, to data_dir (MOUNTINFO_PATH_MAX bytes). */
static enum admin_exit locate(const struct admin_client *c, char *data_dir)
{
	char path[MOUNTINFO_PATH_MAX], name[MOUNTINFO_PATH_MAX + 16];
	enum vs_err err = mountinfo_absolute(c->path, path);

	if (!err && in_mount(path, data_dir))
		return ADMIN_OK;
	if (!err)
		err = probe_realpath(c->path, c->timeout_ms, path);
	if (err == VS_ERR_TIMEOUT) {
		say("%s does not answer within %u s: its file system hangs", c->path,
		    c->timeout_ms / 1000);
		return ADMIN_UNREACHABLE;
	}
	if (err) {
		say("%s: %s", c->path, vs_err_text(err));
		return ADMIN_UNREACHABLE;
	}
	if (in_mount(path, data_dir))
		return ADMIN_OK;
	snprintf(name, sizeof name, "%s/super", path);
	if (access(name, F_OK) < 0) {
		say("%s is no VeriStore data directory that you may look into, and not inside a "
		    "mounted one; name it with -s PATH",
		    c->path);
		return ADMIN_UNREACHABLE;
	}
	memcpy(data_dir, path, sizeof path);
	return ADMIN_OK;
}

static enum admin_exit connect_to(const struct admin_client *c, const char *data_dir, int *fd)
{
	enum vs_err err = admin_connect(data_dir, c->timeout_ms, fd);

	switch (err) {
	case VS_OK:
		return ADMIN_OK;
	case VS_ERR_NOENT:
		say("no daemon runs on %s; start it with: veristore %s MOUNTPOINT", data_dir,
		    data_dir);
		break;
	case VS_ERR_ACCES:
		say("%s: permission denied; only the daemon's user and root may ask it", data_dir);
		break;
	case VS_ERR_TIMEOUT:
		say("the daemon of %s does not take a request within %u s; it hangs or is stopped",
		    data_dir, c->timeout_ms / 1000);
		break;
	default:
		say("%s/" ADMIN_SOCKET ": cannot connect", data_dir);
		break;
	}
	return ADMIN_UNREACHABLE;
}

/* --- the exchange --------------------------------------------------------------------- */

uint64_t admin_number(const struct admin_frame *f, const char *name)
{
	struct bytes payload = bytes_of(f->buf, f->len);
	struct admin_field field;

	if (!admin_find(payload, name, ADMIN_NUMBER, &field) ||
	    !admin_find(payload, name, ADMIN_MILLI, &field))
		return field.number;
	return 0;
}

const char *admin_text(const struct admin_frame *f, const char *name, struct admin_field *field)
{
	return admin_find(bytes_of(f->buf, f->len), name, ADMIN_TEXT, field) ? "" : field->text;
}

static enum admin_exit lost(const struct admin_client *c, enum vs_err err, int fd,
			    const char *data_dir, const struct admin_frame *f)
{
	uint32_t uid;
	int pid = 0;

	switch (err) {
	case VS_ERR_INTR:
		say("interrupted; the daemon stops the work");
		return ADMIN_INTERRUPTED;
	case VS_ERR_TIMEOUT:
		if (!admin_peer(fd, &uid, &pid))
			pid = 0;
		say("the daemon of %s (process %d) does not answer within %u s; it hangs or is "
		    "stopped, or its disk does",
		    data_dir, pid, c->timeout_ms / 1000);
		break;
	case VS_ERR_NOTSUP:
		say("the daemon of %s speaks protocol version %u, this program version %u; use "
		    "the veristore-admin that belongs to it",
		    data_dir, f->version, ADMIN_VERSION);
		break;
	case VS_ERR_END:
		say("the daemon of %s closed the connection; it may have stopped", data_dir);
		break;
	default:
		say("the daemon of %s sent something else than an answer", data_dir);
		break;
	}
	return ADMIN_UNREACHABLE;
}

/* Take frames until the last one. */
static enum admin_exit wait_for(const struct admin_client *c, int fd, const char *command,
				const char *data_dir, struct admin_frame *out)
{
	struct admin_field name, text;
	struct bar bar;
	enum vs_err err;

	bar_init(&bar, command);
	do {
		err = admin_receive(fd, c->timeout_ms, c->stop, out);
		if (!err && out->type == ADMIN_PROGRESS)
			bar_update(&bar, admin_number(out, "done"), admin_number(out, "total"));
	} while (!err && out->type == ADMIN_PROGRESS);
	bar_fini(&bar);
	if (err)
		return lost(c, err, fd, data_dir, out);
	if (out->type == ADMIN_RESULT)
		return ADMIN_OK;
	if (out->type != ADMIN_ERROR)
		return lost(c, VS_ERR_BAD_FRAME, fd, data_dir, out);
	say("%s of %s failed: %s", command, data_dir, admin_text(out, "text", &text));
	if (!strcmp(admin_text(out, "name", &name), "NOTSUP") ||
	    !strcmp(name.text, vs_err_name(VS_ERR_ACCES)))
		return ADMIN_UNREACHABLE;
	return ADMIN_FAILED;
}

enum admin_exit admin_ask(const struct admin_client *c, const char *command,
			  struct admin_frame *out)
{
	char data_dir[MOUNTINFO_PATH_MAX];
	uint8_t buf[256];
	struct writer w = writer_of(buf, sizeof buf);
	enum admin_exit rc = locate(c, data_dir);
	enum vs_err err;
	int fd;

	if (!rc)
		rc = connect_to(c, data_dir, &fd);
	if (rc)
		return rc;
	admin_put_text(&w, "command", command);
	vs_assert(!w.bad);
	err = admin_send(fd, ADMIN_REQUEST, bytes_of(buf, w.len), c->timeout_ms);
	/* when sending fails the daemon may still have said why */
	if (!err || err == VS_ERR_END)
		rc = wait_for(c, fd, command, data_dir, out);
	else
		rc = lost(c, err, fd, data_dir, out);
	close(fd);
	return rc;
}
