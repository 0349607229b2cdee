/*
 * mount: see mount.h.
 *
 * States: mounted (mount_new) -> serving (mount_run) -> ended.  A session ends
 * when the kernel says so (reads of the device give ENODEV after the unmount)
 * or, when users do not go in time, by `force`.
 */
#include "fs/mount.h"

#include "engine/base/thread.h"
#include "fs/fuse_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	THREADS_DEFAULT = 10,
	THREADS_MAX = 64,
	READERS_MIN = 2, /* one may be in a sync, another goes on */
	READERS_MAX = 8,
	BLOCKED_US = 200, /* nobody was free for this long, in the mean: more readers help */
	READ_AHEAD_KIB_DEFAULT = 1024,
	DIRECT_WRITES_MINOR = 39, /* Linux 6.6: direct writes drop the pages they change */
	GRACE_MS = 1000,          /* how long users may keep files after mount_stop */
	WAKE_MS = 10,
	WATCH_MS = 500,
};

struct mount {
	struct fuse_session *se;
	struct fuse_glue glue;
	char *mountpoint; /* absolute */
	uint32_t threads, read_ahead_kib;
	void (*ready)(void *arg);
	void *arg;
	pthread_t worker[THREADS_MAX];
	atomic_bool force; /* leave the loop whatever the kernel thinks */
	atomic_bool device_failed;
	struct mutex lock;
	struct cond changed;
	uint32_t serving; /* [lock] workers in their loop */
	uint32_t readers; /* threads that serve when nothing blocks */
	_Atomic uint32_t idle, parked;
	_Atomic uint64_t busy_from_ns; /* since when nobody is idle */
	_Atomic uint32_t blocked_us;   /* how long that lasts, a moving mean */
	struct cond unpark;
	bool ran, ended; /* [lock] */
	bool leaving;    /* [lock] the session ends: nobody parks */
	bool stopping;   /* [lock] */
	bool detached;   /* [lock] taken out of the tree by mount_stop */
};

/* --- messages of libfuse while it mounts */

static struct mutex log_lock = {PTHREAD_MUTEX_INITIALIZER};
static char *log_text;
static size_t log_cap;

__attribute__((format(printf, 2, 0))) static void log_line(enum fuse_log_level level,
							   const char *format, va_list ap)
{
	(void)level;
	mutex_lock(&log_lock);
	if (log_text && log_cap) {
		vsnprintf(log_text, log_cap, format, ap);
		log_text[strcspn(log_text, "\n")] = 0;
	} else if (!log_text) {
		vfprintf(stderr, format, ap);
	}
	mutex_unlock(&log_lock);
}

static void log_to(char *text, size_t cap)
{
	mutex_lock(&log_lock);
	log_text = text;
	log_cap = cap;
	mutex_unlock(&log_lock);
	fuse_set_log_func(log_line);
}

/* --- mounting */

/* Whether one of the -o options is word. */
static bool has_option(const struct mount_config *config, const char *word)
{
	size_t len = strlen(word);

	for (int i = 1; i < config->argc; i++) {
		const char *p = config->argv[i];

		if (!strcmp(p, "-o"))
			continue;
		if (!strncmp(p, "-o", 2))
			p += 2;
		while (*p) {
			size_t n = strcspn(p, ",");

			if (n == len && !strncmp(p, word, n))
				return true;
			p += n + (p[n] == ',');
		}
	}
	return false;
}

static enum vs_err VS_MUST_USE make_session(struct mount *m, const struct mount_config *config)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	enum vs_err err = VS_ERR_NOMEM;

	for (int i = 0; i < config->argc; i++)
		if (fuse_opt_add_arg(&args, config->argv[i]))
			goto out;
	if (!config->argc && fuse_opt_add_arg(&args, "veristore"))
		goto out;
	if (fuse_opt_add_arg(&args, "-odefault_permissions,subtype=veristore"))
		goto out;
	m->se = fuse_session_new(&args, &fuse_ops, sizeof fuse_ops, &m->glue);
	m->glue.se = m->se;
	err = m->se ? VS_OK : VS_ERR_CONFIG;
out:
	fuse_opt_free_args(&args);
	return err;
}

static void mount_drop(struct mount *m)
{
	if (m->se)
		fuse_session_destroy(m->se);
	cond_fini(&m->changed);
	cond_fini(&m->unpark);
	mutex_fini(&m->lock);
	free(m->mountpoint);
	free(m);
}

enum vs_err mount_new(const struct mount_config *config, char *text, size_t cap, struct mount **out)
{
	struct mount *m = calloc(1, sizeof *m);
	enum vs_err err;

	if (cap)
		snprintf(text, cap, "out of memory");
	if (!m)
		return VS_ERR_NOMEM;
	mutex_init(&m->lock);
	cond_init(&m->changed);
	cond_init(&m->unpark);
	m->glue.fs = config->fs;
	m->threads = config->threads ? config->threads : THREADS_DEFAULT;
	if (m->threads > THREADS_MAX)
		m->threads = THREADS_MAX;
	m->readers = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
	if (m->readers < READERS_MIN)
		m->readers = READERS_MIN;
	if (m->readers > READERS_MAX)
		m->readers = READERS_MAX;
	m->read_ahead_kib =
		config->read_ahead_kib ? config->read_ahead_kib : READ_AHEAD_KIB_DEFAULT;
	m->ready = config->ready;
	m->arg = config->arg;
	m->mountpoint = realpath(config->mountpoint, NULL);
	if (!m->mountpoint) {
		if (cap)
			snprintf(text, cap, "%s: %s", config->mountpoint, strerror(errno));
		mount_drop(m);
		return VS_ERR_IO_OPEN;
	}
	vfs_set_noatime(config->fs, has_option(config, "ro") || has_option(config, "noatime"));
	log_to(text, cap);
	err = make_session(m, config);
	if (!err && fuse_session_mount(m->se, m->mountpoint))
		err = VS_ERR_IO_OPEN;
	log_to(NULL, 0);
	if (err) {
		mount_drop(m);
		return err;
	}
	*out = m;
	return VS_OK;
}

/* --- serving */

/*
 * Answer INIT by hand; then give libfuse the same message for its own state.
 * Its second answer finds no request, which libfuse takes in silence.
 */
static enum vs_err VS_MUST_USE answer_init(struct mount *m)
{
	uint8_t out[RAWREQ_INIT_ANSWER_MAX];
	struct rawreq_kernel kernel;
	struct fuse_buf b = {0};
	enum vs_err err = VS_ERR_IO_READ;
	size_t len;
	int n;

	do
		n = fuse_session_receive_buf(m->se, &b);
	while (n == -EINTR && !atomic_load(&m->force));
	if (n > 0) {
		len = rawreq_init(b.mem, (size_t)n, out, &kernel);
		if (len && write(fuse_session_fd(m->se), out, len) == (ssize_t)len) {
			m->glue.direct_writes = kernel.minor >= DIRECT_WRITES_MINOR;
			fuse_session_process_buf(m->se, &b);
			err = VS_OK;
		}
	}
	free(b.mem);
	return err;
}

/*
 * Few threads serve while requests are short: the kernel wakes waiting readers
 * in turn, and each one more is a colder cache and a busier scheduler (twice the
 * CPU time with ten instead of two).  The others are parked and come when all
 * were busy for long, which means that they block on the disk.
 */
static uint64_t mono_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void begin_idle(struct mount *m)
{
	if (atomic_fetch_add(&m->idle, 1) == 0) {
		uint64_t us = (mono_ns() - atomic_load(&m->busy_from_ns)) / 1000;
		uint32_t mean = atomic_load(&m->blocked_us);

		us = us < 100000 ? us : 100000;
		atomic_store(&m->blocked_us, (uint32_t)((mean * 7ull + us) / 8));
	}
	if (atomic_load(&m->idle) <= m->readers || atomic_load(&m->force))
		return;
	mutex_lock(&m->lock);
	if (atomic_load(&m->idle) > m->readers && m->parked + m->readers < m->serving &&
	    !m->leaving) {
		atomic_fetch_sub(&m->idle, 1);
		m->parked++;
		cond_wait(&m->unpark, &m->lock);
		m->parked--;
		atomic_fetch_add(&m->idle, 1);
	}
	mutex_unlock(&m->lock);
}

static void end_idle(struct mount *m)
{
	if (atomic_fetch_sub(&m->idle, 1) != 1)
		return;
	atomic_store(&m->busy_from_ns, mono_ns());
	if (atomic_load(&m->blocked_us) > BLOCKED_US && atomic_load(&m->parked)) {
		mutex_lock(&m->lock);
		cond_signal(&m->unpark);
		mutex_unlock(&m->lock);
	}
}

/* The first thread that leaves takes the parked ones with it. */
static void leave(struct mount *m)
{
	mutex_lock(&m->lock);
	m->leaving = true;
	cond_broadcast(&m->unpark);
	mutex_unlock(&m->lock);
}

static void serve(struct mount *m)
{
	struct fuse_buf b = {0};

	while (!atomic_load(&m->force) && !fuse_session_exited(m->se)) {
		struct rawreq raw;
		int n;

		begin_idle(m);
		n = fuse_session_receive_buf(m->se, &b);
		end_idle(m);
		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0) {
			if (n < 0)
				atomic_store(&m->device_failed, true);
			break;
		}
		rawreq_take(b.mem, &b.size, &raw);
		fuse_ops_set_raw(&raw);
		fuse_session_process_buf(m->se, &b);
	}
	leave(m);
	free(b.mem);
}

static void *worker(void *arg)
{
	struct mount *m = arg;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	if (!fuse_ops_thread_begin()) {
		serve(m);
		fuse_ops_thread_end();
	}
	mutex_lock(&m->lock);
	m->serving--;
	cond_broadcast(&m->changed);
	mutex_unlock(&m->lock);
	return NULL;
}

static void wake(int sig)
{
	(void)sig;
}

/* Reads of the kernel grow with this only; not permitted for ordinary users. */
static void raise_read_ahead(const struct mount *m)
{
	char path[64], text[16];
	struct stat st;
	int fd, n;

	if (stat(m->mountpoint, &st))
		return;
	snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", major(st.st_dev),
		 minor(st.st_dev));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = snprintf(text, sizeof text, "%u", m->read_ahead_kib);
	if (write(fd, text, (size_t)n) != n)
		errno = 0; /* slower, not wrong */
	close(fd);
}

/* What the kernel does not know it need not forget: errors do not matter. */
static void tell_inode(void *se, uint64_t id)
{
	(void)fuse_lowlevel_notify_inval_inode(se, id, 0, 0);
}

static void tell_entry(void *se, uint64_t dir, struct bytes name)
{
	char text[KEY_NAME_MAX + 1];

	memcpy(text, name.p, name.len);
	text[name.len] = 0;
	(void)fuse_lowlevel_notify_inval_entry(se, dir, text, name.len);
}

/*
 * Requests that wait for each other must not hold all readers: another one
 * comes when nobody was idle for a while.  True: look again soon.
 */
static bool watch(struct mount *m) REQUIRES(m->lock)
{
	if (atomic_load(&m->force))
		return true;
	if (atomic_load(&m->idle))
		return false;
	if (mono_ns() - atomic_load(&m->busy_from_ns) > WAKE_MS * UINT64_C(1000000))
		cond_signal(&m->unpark);
	return true;
}

enum vs_err mount_run(struct mount *m)
{
	struct sigaction sa = {.sa_handler = wake}; /* without SA_RESTART: reads end */
	uint32_t started = 0;
	enum vs_err err;

	sigaction(SIGUSR2, &sa, NULL);
	mutex_lock(&m->lock);
	m->ran = true;
	mutex_unlock(&m->lock);
	err = answer_init(m);
	while (!err && started < m->threads) {
		mutex_lock(&m->lock);
		m->serving++;
		mutex_unlock(&m->lock);
		if (pthread_create(&m->worker[started], NULL, worker, m)) {
			mutex_lock(&m->lock);
			m->serving--;
			mutex_unlock(&m->lock);
			break;
		}
		started++;
	}
	if (!err && !started)
		err = VS_ERR_NOMEM;
	if (!err) {
		struct vfs_notify n = {tell_inode, tell_entry, m->se};

		vfs_set_notify(m->glue.fs, &n);
		raise_read_ahead(m);
		if (m->ready)
			m->ready(m->arg);
	}
	mutex_lock(&m->lock);
	while (m->serving) {
		if (atomic_load(&m->force))
			for (uint32_t i = 0; i < started; i++)
				pthread_kill(m->worker[i], SIGUSR2);
		cond_wait_ms(&m->changed, &m->lock, watch(m) ? WAKE_MS : WATCH_MS);
	}
	mutex_unlock(&m->lock);
	vfs_set_notify(m->glue.fs, NULL);
	for (uint32_t i = 0; i < started; i++)
		pthread_join(m->worker[i], NULL);
	mutex_lock(&m->lock);
	m->ended = true;
	cond_broadcast(&m->changed);
	mutex_unlock(&m->lock);
	if (!err && atomic_load(&m->device_failed))
		err = VS_ERR_IO_READ;
	return err;
}

/* --- the end */

/* Ask the kernel to write back what mapped pages have; served by our own threads. */
static void write_back(const struct mount *m)
{
	int fd = open(m->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!syncfs(fd);
	close(fd);
}

/* Take the mount out of the tree; its last user ends it.  False: it is not there any more. */
static bool detach(const struct mount *m)
{
	char *argv[] = {"fusermount3", "-u", "-z", "-q", "--", m->mountpoint, NULL};
	extern char **environ;
	int status = 0;
	pid_t pid;

	if (umount2(m->mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return true;
	if (errno != EPERM)
		return false;
	if (posix_spawnp(&pid, "fusermount3", NULL, NULL, argv, environ))
		return false;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

void mount_stop(struct mount *m)
{
	bool first, gone;

	mutex_lock(&m->lock);
	first = !m->stopping && !m->ended;
	m->stopping = true;
	mutex_unlock(&m->lock);
	if (first) {
		write_back(m);
		gone = detach(m);
		mutex_lock(&m->lock);
		m->detached = gone;
		for (int ms = 0; m->ran && !m->ended && m->serving && ms < GRACE_MS; ms += WAKE_MS)
			cond_wait_ms(&m->changed, &m->lock, WAKE_MS);
		mutex_unlock(&m->lock);
		/* Before the threads go: a word to the kernel may wait for one of them. */
		vfs_set_notify(m->glue.fs, NULL);
		mutex_lock(&m->lock);
		atomic_store(&m->force, true);
		m->leaving = true;
		cond_broadcast(&m->unpark);
		mutex_unlock(&m->lock);
	}
	mutex_lock(&m->lock);
	while (m->ran && !m->ended)
		cond_wait(&m->changed, &m->lock);
	mutex_unlock(&m->lock);
}

void mount_free(struct mount *m)
{
	bool detached;

	mutex_lock(&m->lock);
	detached = m->detached;
	mutex_unlock(&m->lock);
	/* A detached mount must not be unmounted by name: another may stand there now. */
	if (!detached)
		fuse_session_unmount(m->se);
	mount_drop(m);
}
