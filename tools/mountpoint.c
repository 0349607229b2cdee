#include "tools/mountpoint.h"

#include "engine/base/assert.h"
#include "tools/mountinfo.h"
#include "tools/probe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MS 10000u
#define STALE_MAX 16 /* dead mounts on top of each other */

_Static_assert(CONFIG_PATH_MAX == MOUNTINFO_PATH_MAX && CONFIG_PATH_MAX == PROBE_PATH_MAX,
	       "paths are copied between them");

static enum vs_err __attribute__((format(printf, 3, 4)))
refuse(char *why, enum vs_err err, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(why, CONFIG_WHY_MAX, format, ap);
	va_end(ap);
	return err;
}

/* --- the mount point --------------------------------------------------------------- */

static bool is_fuse(const char *type)
{
	return !strcmp(type, "fuse") || !strncmp(type, "fuse.", 5) || !strcmp(type, "fuseblk");
}

/* The mount whose point is exactly path. */
static bool mounted_on(const char *path, struct mountinfo *m)
{
	return !mountinfo_find(path, m) && !strcmp(m->point, path);
}

static int run_fusermount(const char *path)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		execlp("fusermount3", "fusermount3", "-u", "-z", "--", path, (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* Take the dead mount at path away. */
static bool detach(const char *path)
{
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return true;
	return errno == EPERM && run_fusermount(path) == 0;
}

static enum vs_err explain(const char *given, enum vs_err err, char *why)
{
	switch (err) {
	case VS_ERR_NOENT:
		return refuse(why, err, "mount point %.256s does not exist; make it with mkdir",
			      given);
	case VS_ERR_NOTDIR:
		return refuse(why, err, "mount point %.256s is not a directory", given);
	case VS_ERR_TIMEOUT:
		return refuse(why, err,
			      "mount point %.128s: a file system that does not answer is mounted "
			      "there; take it away with fusermount3 -u -z %.128s",
			      given, given);
	case VS_ERR_STALE:
		return refuse(why, err,
			      "mount point %.128s: a dead mount is there and cannot be taken away; "
			      "try fusermount3 -u -z %.128s",
			      given, given);
	default:
		return refuse(why, err, "mount point %.256s: %s", given, vs_err_text(err));
	}
}

/* Make sure that path answers, is a directory, and nothing of FUSE is mounted on it. */
static enum vs_err free_point(const char *given, struct mountpoint *out, char *why)
{
	struct mountinfo m;
	int is_dir = 0;
	enum vs_err err;

	for (;;) {
		err = probe_stat(out->path, ANSWER_MS, &is_dir);
		if (err != VS_ERR_STALE || out->stale >= STALE_MAX || !mounted_on(out->path, &m) ||
		    !is_fuse(m.type) || !detach(out->path))
			break;
		out->stale++;
	}
	if (!err && !is_dir)
		err = VS_ERR_NOTDIR;
	if (!mounted_on(out->path, &m) || !is_fuse(m.type))
		return err ? explain(given, err, why) : VS_OK;
	if (err && err != VS_ERR_ACCES)
		return explain(given, err, why);
	/* a mount of another user answers EACCES and is as alive as any */
	return refuse(why, VS_ERR_BUSY, "%.192s is already mounted on %.192s", m.source, out->path);
}

/* --- paths -------------------------------------------------------------------------- */

/* The real path of something that may not exist yet, in a directory that does. */
static enum vs_err real_of(const char *given, char *out)
{
	char absolute[CONFIG_PATH_MAX], *slash;
	enum vs_err err = mountinfo_absolute(given, absolute);
	size_t n;

	if (!err)
		err = probe_realpath(given, ANSWER_MS, out);
	if (err != VS_ERR_NOENT)
		return err;
	slash = strrchr(absolute, '/');
	if (!slash || !slash[1])
		return VS_ERR_NOENT;
	*slash = 0;
	err = probe_realpath(slash == absolute ? "/" : absolute, ANSWER_MS, out);
	if (err)
		return err;
	n = strlen(out);
	if (n == 1)
		n = 0;
	if (n + 1 + strlen(slash + 1) >= CONFIG_PATH_MAX)
		return VS_ERR_NAMETOOLONG;
	snprintf(out + n, CONFIG_PATH_MAX - n, "/%s", slash + 1);
	return VS_OK;
}

static enum vs_err check_places(const struct mountpoint *m, char *why)
{
	if (!strcmp(m->data_dir, m->path))
		return refuse(why, VS_ERR_CONFIG, "%.256s is both DATA_DIR and MOUNTPOINT",
			      m->path);
	if (mountinfo_below(m->data_dir, m->path))
		return refuse(why, VS_ERR_CONFIG,
			      "data directory %.192s lies below the mount point %.192s",
			      m->data_dir, m->path);
	if (mountinfo_below(m->path, m->data_dir))
		return refuse(why, VS_ERR_CONFIG,
			      "mount point %.192s lies below the data directory %.192s", m->path,
			      m->data_dir);
	if (*m->log_file && mountinfo_below(m->log_file, m->path))
		return refuse(why, VS_ERR_CONFIG,
			      "log file %.192s lies below the mount point %.192s", m->log_file,
			      m->path);
	return VS_OK;
}

enum vs_err mountpoint_prepare(const struct config *c, struct mountpoint *out, char *why)
{
	enum vs_err err;

	vs_assert(c && out && why);
	memset(out, 0, sizeof *out);
	err = probe_realpath(c->mountpoint, ANSWER_MS, out->path);
	if (err)
		return explain(c->mountpoint, err, why);
	err = free_point(c->mountpoint, out, why);
	if (err)
		return err;
	err = real_of(c->data_dir, out->data_dir);
	if (err)
		return refuse(why, err, "data directory %.256s: %s", c->data_dir, vs_err_text(err));
	if (c->log == CONFIG_LOG_FILE) {
		err = real_of(c->log_file, out->log_file);
		if (err)
			return refuse(why, err, "log file %.256s: %s", c->log_file,
				      vs_err_text(err));
	}
	return check_places(out, why);
}

bool mountpoint_of(const char *data_dir, char *out)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	struct mountinfo m;
	char *line = NULL;
	bool found = false;
	size_t cap = 0;

	while (f && !found && getline(&line, &cap, f) > 0) {
		if (mountinfo_line(line, &m) || strcmp(m.type, "fuse.veristore") != 0 ||
		    strcmp(m.source, data_dir) != 0)
			continue;
		memcpy(out, m.point, sizeof m.point);
		found = true;
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}
