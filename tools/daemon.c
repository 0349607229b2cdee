#include "tools/daemon.h"

#include "engine/base/assert.h"
#include "engine/base/env_posix.h"
#include "fs/mount.h"
#include "tools/admin_commands.h"
#include "tools/admin_io.h"
#include "tools/background.h"
#include "tools/logfile.h"
#include "tools/mountpoint.h"
#include "tools/version.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PID_FILE "veristore.pid"
#define LOG_FILE "veristore.log"
/* A killed daemon holds its lock until its last I/O is done. */
#define LOCK_WAIT_MS 10000
#define LOCK_STEP_MS 50
#define OPTIONS_MAX (CONFIG_FUSE_MAX + 2 * CONFIG_PATH_MAX + 64)

struct daemon {
	const struct config *config;
	struct mountpoint place;
	struct env *env;
	struct store *store;
	struct replica *replica;
	struct fs *fs;
	struct mount *mount;
	struct admin_server *admin;
	struct admin_commands commands;
	pthread_t signal_thread;
	bool signals;
	atomic_bool ending;
	char options[OPTIONS_MAX];
};

/* Say why it cannot start, to the user and to the log. */
static bool __attribute__((format(printf, 1, 2))) cannot_start(const char *format, ...)
{
	char text[CONFIG_WHY_MAX + CONFIG_PATH_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	logfile(LOG_ID_START_FAILED, "%s", text);
	background_failed(text);
	return false;
}

/* --- the store ---------------------------------------------------------------------- */

/* Who holds data_dir: true and its process when a daemon answers there. */
static bool holder_of(const char *data_dir, int *pid)
{
	uint32_t uid;
	int fd;

	if (admin_connect(data_dir, 1000, &fd))
		return false;
	if (!admin_peer(fd, &uid, pid))
		*pid = 0;
	close(fd);
	return true;
}

static bool refuse_locked(const struct daemon *d, int pid)
{
	char where[CONFIG_PATH_MAX];

	if (mountpoint_of(d->place.data_dir, where))
		return cannot_start("data directory %s is in use by process %d and mounted on %s",
				    d->place.data_dir, pid, where);
	if (pid)
		return cannot_start("data directory %s is in use by process %d", d->place.data_dir,
				    pid);
	return cannot_start("data directory %s is in use by another veristore process",
			    d->place.data_dir);
}

static bool open_store(struct daemon *d, struct store_report *report)
{
	const struct config *c = d->config;
	struct store_config sc = {.cache_bytes = c->cache_bytes,
				  .chunk_bytes = c->chunk_bytes,
				  .segment_bytes = c->segment_bytes,
				  .create = true};
	int waited = 0, pid = 0;
	enum vs_err err = env_posix_open(d->place.data_dir, true, &d->env);

	if (err)
		return cannot_start("data directory %s: %s", d->place.data_dir, vs_err_text(err));
	sc.env = d->env;
	for (;;) {
		memset(report, 0, sizeof *report);
		err = store_open(&sc, report, &d->store);
		if (err != VS_ERR_LOCKED || waited >= LOCK_WAIT_MS ||
		    holder_of(d->place.data_dir, &pid))
			break;
		usleep(LOCK_STEP_MS * 1000);
		waited += LOCK_STEP_MS;
	}
	if (err == VS_ERR_LOCKED)
		return refuse_locked(d, pid);
	if (err)
		return cannot_start("data directory %s: %s", d->place.data_dir,
				    report->text[0] ? report->text : vs_err_text(err));
	return true;
}

static void log_report(const struct daemon *d, const struct store_report *r)
{
	const char *dir = d->place.data_dir;

	if (r->created)
		logfile(LOG_ID_CREATED, "new store in %s", dir);
	else if (r->clean)
		logfile(LOG_ID_OPENED, "store in %s opened; the last run ended in order", dir);
	else
		logfile(LOG_ID_RECOVERED,
			"store in %s recovered: %llu records behind the checkpoint, last index "
			"%llu",
			dir, (unsigned long long)r->replayed,
			(unsigned long long)r->log.last_index);
	if (r->log.torn_tail)
		logfile(LOG_ID_TORN_TAIL, "an unfinished record at the end of the log was dropped");
}

/* --- files beside the store ----------------------------------------------------------- */

static void write_pid(const struct daemon *d)
{
	char path[CONFIG_PATH_MAX + 32], text[32];
	int fd, n;

	snprintf(path, sizeof path, "%s/" PID_FILE, d->place.data_dir);
	n = snprintf(text, sizeof text, "%d\n", (int)getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	/* for people and scripts only; a full disk must not keep the store closed */
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		logfile(LOG_ID_NO_PID_FILE, "%s cannot be written", path);
	if (fd >= 0)
		close(fd);
}

static void remove_pid(const struct daemon *d)
{
	char path[CONFIG_PATH_MAX + 32];

	snprintf(path, sizeof path, "%s/" PID_FILE, d->place.data_dir);
	unlink(path);
}

static bool open_log(struct daemon *d)
{
	const struct config *c = d->config;
	enum config_log kind = c->log;
	char path[CONFIG_PATH_MAX + 32];
	enum vs_err err;

	if (kind == CONFIG_LOG_DEFAULT)
		kind = c->foreground ? CONFIG_LOG_STDERR : CONFIG_LOG_FILE;
	if (*d->place.log_file)
		snprintf(path, sizeof path, "%s", d->place.log_file);
	else
		snprintf(path, sizeof path, "%s/" LOG_FILE, d->place.data_dir);
	err = logfile_open(kind, path, c->debug ? CONFIG_LEVEL_DEBUG : c->loglevel);
	if (err && c->log == CONFIG_LOG_FILE && err != VS_ERR_NOSPC)
		return cannot_start("log file %s: %s", path, vs_err_text(err));
	/* a full disk, or a data directory that takes no new file: rather syslog than no mount */
	return !err || logfile_open(CONFIG_LOG_SYSLOG, "", c->loglevel) == VS_OK;
}

/* --- the mount --------------------------------------------------------------------------- */

/* Append name=value with the commas and backslashes of value escaped. */
static void add_option(char *options, const char *name, const char *value)
{
	size_t n = strlen(options);

	n += (size_t)snprintf(options + n, OPTIONS_MAX - n, "%s%s", n ? "," : "", name);
	for (const char *p = value; *p; p++) {
		vs_assert(n + 3 < OPTIONS_MAX);
		if (*p == ',' || *p == '\\')
			options[n++] = '\\';
		options[n++] = *p;
	}
	options[n] = 0;
}

static void ready(void *arg)
{
	struct daemon *d = arg;

	logfile(LOG_ID_STARTED, "version " VS_VERSION ": %s is mounted on %s", d->place.data_dir,
		d->place.path);
	background_ready(logfile_fd());
}

static bool make_mount(struct daemon *d)
{
	static char name[] = "veristore", dash_o[] = "-o", dash_d[] = "-d";
	const struct config *c = d->config;
	char *argv[] = {name, dash_o, d->options, c->debug ? dash_d : NULL, NULL};
	struct mount_config mc = {.fs = d->fs,
				  .mountpoint = d->place.path,
				  .argc = c->debug ? 4 : 3,
				  .argv = argv,
				  .ready = ready,
				  .arg = d};
	char text[CONFIG_WHY_MAX] = "";
	enum vs_err err;

	snprintf(d->options, sizeof d->options, "%s", c->fuse_options);
	add_option(d->options, "fsname=", d->place.data_dir);
	/* what root mounts, everybody expects to see; permissions decide */
	if (geteuid() == 0 && !c->allow_other && !c->no_allow_other)
		add_option(d->options, "allow_other", "");
	err = mount_new(&mc, text, sizeof text, &d->mount);
	if (err)
		return cannot_start("%s cannot be mounted on %s: %s", d->place.data_dir,
				    d->place.path, text[0] ? text : vs_err_text(err));
	return true;
}

static void start_admin(struct daemon *d)
{
	struct admin_server_config ac = {d->place.data_dir, vs_admin_commands, &d->commands};
	enum vs_err err;

	d->commands = (struct admin_commands){d->store, d->fs, d->place.data_dir, d->place.path,
					      d->config->read_only};
	err = admin_server_start(&ac, &d->admin);
	/* the files are served all the same */
	if (err)
		logfile(LOG_ID_ADMIN_UNAVAILABLE, "veristore-admin cannot be served: %s",
			vs_err_text(err));
}

/* --- ends ----------------------------------------------------------------------------------- */

/* Nothing may be acknowledged any more, so not even an orderly exit. */
static void device_failed(void *arg, enum vs_err err)
{
	const struct daemon *d = arg;
	char text[256];

	snprintf(text, sizeof text,
		 "the device under the data directory failed (%s): the daemon ends, nothing more "
		 "is acknowledged; check the disk, then mount again",
		 vs_err_text(err));
	logfile(LOG_ID_DEVICE_FAILED, "%s: %s", d->place.data_dir, text);
	background_failed(text);
	_exit(DAEMON_DEVICE_FAILED);
}

static sigset_t end_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	return set;
}

static void *wait_for_signal(void *arg)
{
	struct daemon *d = arg;
	sigset_t set = end_signals();
	int sig = 0;

	while (sigwait(&set, &sig))
		;
	if (!atomic_load(&d->ending)) {
		logfile(LOG_ID_STOPPING, "signal %d (%s): committing and unmounting", sig,
			strsignal(sig));
		mount_stop(d->mount);
	}
	return NULL;
}

static bool start_signals(struct daemon *d)
{
	d->signals = !pthread_create(&d->signal_thread, NULL, wait_for_signal, d);
	return d->signals || cannot_start("no thread to be had");
}

static void stop_signals(struct daemon *d)
{
	atomic_store(&d->ending, true);
	if (!d->signals)
		return;
	/* the thread may be past its wait already: the signal then stays pending, blocked */
	pthread_kill(d->signal_thread, SIGINT);
	vs_assert(!pthread_join(d->signal_thread, NULL));
}

static void limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	signal(SIGPIPE, SIG_IGN);
	umask(077);
}

/* Everything up to serving.  False: it was said why; take_down undoes the rest. */
static bool set_up(struct daemon *d)
{
	char why[CONFIG_WHY_MAX] = "";
	struct store_report report = {0};
	struct replica_config rc = {.uid = geteuid(),
				    .gid = getegid(),
				    .failed = device_failed,
				    .arg = d};
	struct fs_config fc = {.durability = d->config->durability,
			       .commit_ms = d->config->commit_s * 1000,
			       .dirty_bytes = d->config->dirty_bytes};
	sigset_t set = end_signals();
	enum vs_err err;

	if (mountpoint_prepare(d->config, &d->place, why))
		return cannot_start("%s", why);
	if (!open_store(d, &report) || !open_log(d))
		return false;
	if (d->place.stale)
		logfile(LOG_ID_STALE_MOUNT, "a dead mount was taken away from %s", d->place.path);
	log_report(d, &report);
	write_pid(d);
	/* until here a signal just ends the process; from here on there are threads */
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	rc.store = d->store;
	err = replica_open(&rc, &d->replica);
	if (err)
		return cannot_start("data directory %s: %s", d->place.data_dir, vs_err_text(err));
	fc.replica = d->replica;
	err = fs_new(&fc, &d->fs);
	if (err)
		return cannot_start("data directory %s: %s", d->place.data_dir, vs_err_text(err));
	return make_mount(d) && start_signals(d);
}

/* The opposite of set_up, from wherever it came; the first error. */
static enum vs_err take_down(struct daemon *d)
{
	enum vs_err err = VS_OK, e;

	admin_server_stop(d->admin);
	stop_signals(d);
	if (d->mount)
		mount_free(d->mount);
	if (d->fs)
		err = fs_free(d->fs);
	if (d->replica)
		replica_close(d->replica);
	if (d->store) {
		remove_pid(d);
		e = store_close(d->store);
		err = err ? err : e;
	}
	env_posix_close(d->env);
	return err;
}

enum daemon_exit daemon_run(const struct config *config)
{
	static struct daemon d; /* large, and a failing device may ask for it at any time */
	enum daemon_exit rc = DAEMON_OK;
	enum vs_err err;

	vs_assert(!d.config);
	d.config = config;
	limits();
	if (set_up(&d)) {
		start_admin(&d);
		err = mount_run(d.mount);
		if (err) {
			logfile(LOG_ID_STOP_FAILED, "%s: %s", d.place.path, vs_err_text(err));
			background_failed(vs_err_text(err));
			rc = DAEMON_CANNOT_STOP;
		}
		logfile(LOG_ID_STOPPING, "%s is unmounted", d.place.path);
	} else {
		rc = DAEMON_CANNOT_START;
	}
	err = take_down(&d);
	if (err) {
		logfile(LOG_ID_STOP_FAILED, "the last commit failed: %s", vs_err_text(err));
		rc = rc ? rc : DAEMON_CANNOT_STOP;
	} else {
		logfile(LOG_ID_STOPPED, "%s is closed", d.place.data_dir);
	}
	logfile_close();
	return rc;
}
