#include "tools/logfile.h"

#include "engine/base/assert.h"
#include "engine/base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

/* Text, every byte as \xNN, and what stands around it. */
#define LINE_MAX_BYTES (4 * LOGFILE_TEXT_MAX + 128)

static const struct message {
	const char *id;
	enum config_loglevel level;
	const char *component;
} messages[] = {
#define X(name, id, level, component) {id, CONFIG_LEVEL_##level, component},
	LOGFILE_TABLE(X)
#undef X
};

struct rate {
	uint64_t refilled_s; /* monotonic */
	uint32_t used;       /* of LOGFILE_BURST */
	uint64_t left_out;
};

static struct {
	struct mutex lock;
	bool open, rotating;
	enum config_log kind;
	enum config_loglevel level;
	int fd; /* FILE and STDERR */
	uint64_t bytes;
	char path[CONFIG_PATH_MAX];
	struct rate rate[LOG_ID_COUNT];
} self = {.lock = {PTHREAD_MUTEX_INITIALIZER}, .fd = -1};

/* --- lines ------------------------------------------------------------------ */

/* Append text with control characters and invalid bytes made visible. */
static size_t append_visible(char *buf, size_t cap, size_t len, const char *text)
{
	for (const char *p = text; *p && len + 5 < cap; p++) {
		unsigned char c = (unsigned char)*p;

		if (c < 0x20 || c == 0x7f)
			len += (size_t)snprintf(buf + len, cap - len, "\\x%02x", c);
		else
			buf[len++] = (char)c;
	}
	return len;
}

size_t logfile_line(enum logfile_id id, uint64_t real_ns, const char *text, char *buf, size_t cap)
{
	static const char *const levels[] = {"error", "warning", "info", "debug"};
	time_t s = (time_t)(real_ns / 1000000000);
	struct tm tm = {0};
	size_t len;
	int n;

	vs_assert(id < LOG_ID_COUNT);
	vs_assert(cap >= 128);
	gmtime_r(&s, &tm);
	n = snprintf(buf, cap, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ %s %s %s ", tm.tm_year + 1900,
		     tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		     (unsigned)(real_ns / 1000000 % 1000), levels[messages[id].level],
		     messages[id].component, messages[id].id);
	vs_assert(n > 0 && (size_t)n < cap);
	len = append_visible(buf, cap - 1, (size_t)n, text);
	buf[len++] = '\n';
	buf[len] = 0;
	return len;
}

/* --- the file ----------------------------------------------------------------- */

static int open_file(const char *path, uint64_t *bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
	struct stat st;

	*bytes = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	return fd;
}

/*
 * Start a new file in place of the full one; the descriptor stays the same
 * number, so that a thread about to write needs no lock.  Keeps the old file
 * when that fails.  Returns the bytes the file counts from.
 */
static uint64_t rotate(const char *path, int fd)
{
	char old[CONFIG_PATH_MAX + 2];
	uint64_t bytes = 0;
	int fresh;

	snprintf(old, sizeof old, "%s.1", path);
	if (rename(path, old) < 0)
		return 0; /* try again after as many bytes */
	fresh = open_file(path, &bytes);
	if (fresh < 0)
		return 0;
	dup3(fresh, fd, O_CLOEXEC);
	close(fresh);
	return bytes;
}

/* What a thread must do once it has let go of the lock. */
struct job {
	int fd;
	bool rotate;
	bool syslog;
};

/* --- rate ---------------------------------------------------------------------- */

/* Whether a line of this id may be written now; *left_out lines were not before it. */
static bool allowed(enum logfile_id id, uint64_t now_s, uint64_t *left_out) REQUIRES(self.lock)
{
	struct rate *r = &self.rate[id];
	uint64_t refill = now_s - r->refilled_s;

	r->used -= refill < r->used ? (uint32_t)refill : r->used;
	r->refilled_s = now_s;
	if (r->used >= LOGFILE_BURST) {
		r->left_out++;
		return false;
	}
	r->used++;
	*left_out = r->left_out;
	r->left_out = 0;
	return true;
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t = {0, 0};

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* --- public ---------------------------------------------------------------------- */

enum vs_err logfile_open(enum config_log kind, const char *path, enum config_loglevel level)
{
	int fd = -1;
	uint64_t bytes = 0;

	vs_assert(kind != CONFIG_LOG_DEFAULT);
	vs_assert(!self.open);
	if (kind == CONFIG_LOG_FILE) {
		if (strlen(path) >= sizeof self.path)
			return VS_ERR_NAMETOOLONG;
		fd = open_file(path, &bytes);
		if (fd < 0)
			return errno == EACCES || errno == EPERM ? VS_ERR_ACCES
			       : errno == ENOENT                 ? VS_ERR_NOENT
			       : errno == ENOSPC                 ? VS_ERR_NOSPC
			       : errno == EISDIR                 ? VS_ERR_ISDIR
								 : VS_ERR_IO_OPEN;
	} else if (kind == CONFIG_LOG_SYSLOG) {
		openlog("veristore", LOG_PID, LOG_DAEMON);
	} else {
		fd = STDERR_FILENO;
	}
	mutex_lock(&self.lock);
	if (kind == CONFIG_LOG_FILE)
		memcpy(self.path, path, strlen(path) + 1);
	self.kind = kind;
	self.level = level;
	self.fd = fd;
	self.bytes = bytes;
	self.open = true;
	mutex_unlock(&self.lock);
	return VS_OK;
}

void logfile_close(void)
{
	mutex_lock(&self.lock);
	if (self.open && self.kind == CONFIG_LOG_FILE)
		close(self.fd);
	if (self.open && self.kind == CONFIG_LOG_SYSLOG)
		closelog();
	self.open = false;
	self.fd = -1;
	mutex_unlock(&self.lock);
}

int logfile_fd(void)
{
	int fd;

	mutex_lock(&self.lock);
	fd = self.fd;
	mutex_unlock(&self.lock);
	return fd;
}

/* Under the lock: whether to write and how.  *left_out lines were not before it. */
static bool begin(enum logfile_id id, struct job *job, uint64_t *left_out)
{
	bool go;

	mutex_lock(&self.lock);
	go = self.open && messages[id].level <= self.level &&
	     allowed(id, clock_ns(CLOCK_MONOTONIC) / 1000000000, left_out);
	job->fd = self.fd;
	job->syslog = self.kind == CONFIG_LOG_SYSLOG;
	job->rotate =
		go && self.kind == CONFIG_LOG_FILE && self.bytes >= LOGFILE_MAX && !self.rotating;
	self.rotating |= job->rotate;
	mutex_unlock(&self.lock);
	return go;
}

/* Write whole lines only: O_APPEND makes one write one piece. */
static void put(const struct job *job, const char *line, size_t len)
{
	uint64_t start = 0;
	ssize_t n;

	if (job->rotate)
		start = rotate(self.path, job->fd);
	do
		n = write(job->fd, line, len);
	while (n < 0 && errno == EINTR);
	mutex_lock(&self.lock);
	if (job->rotate) {
		self.bytes = start;
		self.rotating = false;
	}
	self.bytes += n > 0 ? (uint64_t)n : 0;
	mutex_unlock(&self.lock);
}

void logfile(enum logfile_id id, const char *format, ...)
{
	static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
	char text[LOGFILE_TEXT_MAX], line[LINE_MAX_BYTES];
	uint64_t left_out = 0;
	struct job job;
	size_t len;
	va_list ap;
	int n;

	vs_assert(id < LOG_ID_COUNT);
	if (!begin(id, &job, &left_out))
		return;
	va_start(ap, format);
	n = vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (left_out && n >= 0 && (size_t)n < sizeof text)
		snprintf(text + n, sizeof text - (size_t)n, " (%llu like this were left out)",
			 (unsigned long long)left_out);
	if (job.syslog) {
		len = append_visible(line, sizeof line, 0, text);
		syslog(priorities[messages[id].level], "%s %s %.*s", messages[id].component,
		       messages[id].id, (int)len, line);
		return;
	}
	len = logfile_line(id, clock_ns(CLOCK_REALTIME), text, line, sizeof line);
	put(&job, line, len);
}
