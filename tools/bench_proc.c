#include "tools/bench_proc.h"

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SHRINK_MIN 65536
#define WALK_FILES 32 /* directories nftw keeps open */

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

void proc_catch_signals(void)
{
	struct sigaction a = {.sa_handler = on_signal};
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		sigaction(signals[i], &a, NULL);
}

bool proc_interrupted(void)
{
	return interrupted;
}

uint64_t proc_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void proc_sleep_ms(unsigned ms)
{
	struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

static void child(const char *const *argv, const char *log, pid_t parent)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int out = log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : null;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127);
	sigaction(SIGINT, &dfl, NULL);
	sigaction(SIGTERM, &dfl, NULL);
	sigaction(SIGHUP, &dfl, NULL);
	if (null >= 0 && out >= 0) {
		dup2(null, 0);
		dup2(out, 1);
		dup2(out, 2);
	}
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	dprintf(2, "%s: cannot run: %m\n", argv[0]);
	_exit(127);
}

bool proc_start(const char *const *argv, const char *log, pid_t *out)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0)
		child(argv, log, parent);
	if (pid > 0)
		*out = pid;
	return pid > 0;
}

bool proc_wait(pid_t pid, unsigned ms, int *status)
{
	uint64_t end = proc_now_ns() + (uint64_t)ms * 1000000u;
	struct pollfd p = {.fd = pidfd_open(pid, 0), .events = POLLIN};
	bool ended = false;

	while (!ended) {
		uint64_t now = proc_now_ns();

		if (waitpid(pid, status, WNOHANG) != 0) {
			ended = true;
		} else if (interrupted || now >= end) {
			break;
		} else if (p.fd >= 0) {
			poll(&p, 1, (int)((end - now) / 1000000u) + 1);
		} else {
			proc_sleep_ms(1);
		}
	}
	if (p.fd >= 0)
		close(p.fd);
	return ended;
}

bool proc_run(const char *const *argv, const char *log, unsigned ms)
{
	int status = -1;
	pid_t pid;

	if (!proc_start(argv, log, &pid))
		return false;
	if (!proc_wait(pid, ms, &status)) {
		proc_stop(pid, 0);
		return false;
	}
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

void proc_stop(pid_t pid, unsigned grace_ms)
{
	uint64_t end = proc_now_ns() + (uint64_t)grace_ms * 1000000u;
	int status;

	kill(pid, SIGTERM);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (proc_now_ns() >= end) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return;
		}
		proc_sleep_ms(5);
	}
}

uint64_t proc_cpu_ns(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (pid <= 0 || clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The number behind "key:" in /proc/PID/file; 0 when absent. */
static uint64_t proc_figure(pid_t pid, const char *file, const char *key)
{
	char path[64], line[256];
	size_t len = strlen(key);
	uint64_t value = 0;
	FILE *f;

	if (!proc_format(path, sizeof path, "/proc/%d/%s", (int)pid, file))
		return 0;
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof line, f))
		if (!strncmp(line, key, len) && line[len] == ':')
			value = strtoull(line + len + 1, NULL, 10);
	fclose(f);
	return value;
}

uint64_t proc_write_bytes(pid_t pid)
{
	return pid > 0 ? proc_figure(pid, "io", "write_bytes") : 0;
}

bool proc_memory(pid_t pid, struct proc_memory *out)
{
	uint64_t rss = proc_figure(pid, "status", "VmRSS");

	if (!rss)
		return false;
	out->rss_bytes = rss * 1024;
	out->peak_bytes = proc_figure(pid, "status", "VmHWM") * 1024;
	return true;
}

bool proc_own_dir(char *out)
{
	char link[PROC_PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", link, sizeof link - 1);
	char *slash;

	if (n <= 0)
		return false;
	link[n] = 0;
	slash = strrchr(link, '/');
	if (!slash)
		return false;
	*slash = 0;
	memcpy(out, link, (size_t)(slash - link) + 1);
	return true;
}

static int evict_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	int fd;

	(void)at;
	if (kind != FTW_F || !S_ISREG(st->st_mode))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0) {
		if (!fdatasync(fd))
			posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		close(fd);
	}
	return 0;
}

void proc_evict_tree(const char *path)
{
	nftw(path, evict_one, WALK_FILES, FTW_PHYS | FTW_MOUNT);
}

static int shrink_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)at;
	if (kind == FTW_F && S_ISREG(st->st_mode) && st->st_size > SHRINK_MIN && truncate(path, 0))
		fprintf(stderr, "veristore-bench: %s: %m\n", path);
	return 0;
}

void proc_shrink_tree(const char *path)
{
	nftw(path, shrink_one, WALK_FILES, FTW_PHYS | FTW_MOUNT);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	remove(path);
	return 0;
}

void proc_remove_tree(const char *path)
{
	nftw(path, remove_one, WALK_FILES, FTW_PHYS | FTW_MOUNT | FTW_DEPTH);
}
