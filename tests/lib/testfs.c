#include "tests/lib/testfs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_SECONDS = 90, STOP_SECONDS = 60 };

uint64_t testfs_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void testfs_sleep_ms(uint32_t ms)
{
	struct timespec left = {ms / 1000, (long)(ms % 1000) * 1000000};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

uint64_t testfs_env(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : fallback;
}

static bool plain_wanted(void)
{
	return testfs_env("VS_PLAIN", 0) != 0;
}

static const char *bin_dir(void)
{
	const char *bin = getenv("VS_BIN");

	return bin && *bin ? bin : "build/release";
}

const char *testfs_missing(void)
{
	char path[TESTFS_PATH + 16];
	int fd;

	if (plain_wanted())
		return NULL;
	fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return "/dev/fuse cannot be opened";
	close(fd);
	snprintf(path, sizeof(path), "%s/veristore", bin_dir());
	if (access(path, X_OK) != 0)
		return "the daemon was not built";
	if (access("/usr/bin/fusermount3", X_OK) != 0 && access("/bin/fusermount3", X_OK) != 0)
		return "no fusermount3 (package fuse3)";
	return NULL;
}

bool testfs_init(struct testfs *t)
{
	const char *tmp = getenv("TMPDIR");

	memset(t, 0, sizeof(*t));
	t->plain = plain_wanted();
	snprintf(t->bin, sizeof(t->bin), "%s", bin_dir());
	snprintf(t->top, sizeof(t->top), "%s/vs.XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(t->top))
		return false;
	/* another user of a permission test has to get through */
	if (chmod(t->top, 0755) != 0)
		return false;
	snprintf(t->data, sizeof(t->data), "%s/data", t->top);
	snprintf(t->mnt, sizeof(t->mnt), "%s/mnt", t->top);
	return mkdir(t->mnt, 0755) == 0;
}

void testfs_fini(struct testfs *t)
{
	if (t->pid) {
		(void)testfs_signal(t, SIGCONT);
		(void)testfs_kill(t);
	}
	for (int k = 0; k < 5 && testfs_mounted(t); k++)
		(void)testfs_unmount(t, true);
	if (testfs_env("VS_KEEP", 0))
		fprintf(stderr, "kept: %s\n", t->top);
	else
		testfs_remove(t->top);
}

int testfs_run(char *const argv[], const char *out, uint32_t seconds)
{
	uint64_t end = testfs_now_ms() + (uint64_t)seconds * 1000;
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -1;
	if (pid == 0) {
		int fd = open(out ? out : "/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0600);
		int in = open("/dev/null", O_RDONLY | O_CLOEXEC);

		if (fd < 0 || in < 0 || dup2(in, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
			_exit(126);
		if (fd > 2)
			close(fd);
		execvp(argv[0], argv);
		_exit(127);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (testfs_now_ms() > end) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return -1;
		}
		testfs_sleep_ms(2);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void testfs_remove(const char *path)
{
	char *const argv[] = {(char[]){"rm"}, (char[]){"-rf"}, (char[]){"--one-file-system"},
			      (char[]){"--"}, strdup(path),    NULL};

	(void)testfs_run(argv, NULL, 300);
	free(argv[4]);
}

/* Copy the file at path to stderr. */
static void show(const char *path)
{
	char line[512];
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f))
		fprintf(stderr, "    %s", line);
	if (f)
		fclose(f);
}

static pid_t read_pid(const struct testfs *t)
{
	char path[sizeof(t->data) + 16], line[32];
	pid_t pid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/veristore.pid", t->data);
	f = fopen(path, "r");
	if (f && fgets(line, sizeof(line), f))
		pid = (pid_t)strtol(line, NULL, 10);
	if (f)
		fclose(f);
	return pid;
}

bool testfs_start(struct testfs *t, const char *options)
{
	char program[TESTFS_PATH + 16], out[TESTFS_PATH + 32], opt[] = "-o";
	char *argv[] = {program, t->data, t->mnt, NULL, NULL, NULL};
	char *copy = options ? strdup(options) : NULL;
	int rc;

	if (t->plain) {
		free(copy);
		return true;
	}
	snprintf(program, sizeof(program), "%s/veristore", t->bin);
	snprintf(out, sizeof(out), "%s/start.err", t->top);
	if (copy) {
		argv[3] = opt;
		argv[4] = copy;
	}
	rc = testfs_run(argv, out, START_SECONDS);
	free(copy);
	if (rc != 0 || !testfs_mounted(t)) {
		fprintf(stderr, "start: exit %d, %smounted\n", rc, testfs_mounted(t) ? "" : "not ");
		show(out);
		snprintf(out, sizeof(out), "%s/veristore.log", t->data);
		show(out);
		return false;
	}
	t->pid = read_pid(t);
	return t->pid > 0;
}

bool testfs_signal(const struct testfs *t, int sig)
{
	return t->plain || (t->pid > 0 && kill(t->pid, sig) == 0);
}

/* A zombie is gone: nobody may ever reap it. */
static bool gone(pid_t pid)
{
	char path[64], line[512];
	bool dead = true;
	const char *p;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	if (!f)
		return true;
	if (fgets(line, sizeof(line), f)) {
		p = strrchr(line, ')');
		dead = !p || p[1] == '\0' || p[2] == 'Z' || p[2] == 'X';
	}
	fclose(f);
	return dead;
}

bool testfs_wait_gone(struct testfs *t, uint32_t seconds)
{
	uint64_t end = testfs_now_ms() + (uint64_t)seconds * 1000;

	if (t->plain || !t->pid)
		return true;
	while (!gone(t->pid)) {
		if (testfs_now_ms() > end)
			return false;
		testfs_sleep_ms(2);
	}
	t->pid = 0;
	return true;
}

bool testfs_kill(struct testfs *t)
{
	return testfs_signal(t, SIGKILL) && testfs_wait_gone(t, STOP_SECONDS);
}

bool testfs_mounted(const struct testfs *t)
{
	char line[4096], want[sizeof(t->mnt) + 2];
	bool found = false;
	FILE *f = fopen("/proc/self/mountinfo", "r");

	snprintf(want, sizeof(want), " %s ", t->mnt);
	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, want) && strstr(line, " fuse.veristore ");
	if (f)
		fclose(f);
	return found;
}

bool testfs_unmount(const struct testfs *t, bool lazy)
{
	char program[] = "fusermount3", how[] = "-u", how_lazy[] = "-uz";
	char mnt[sizeof(t->mnt)];
	char *const argv[] = {program, lazy ? how_lazy : how, mnt, NULL};

	memcpy(mnt, t->mnt, sizeof(mnt));
	return t->plain || testfs_run(argv, NULL, STOP_SECONDS) == 0;
}

int testfs_admin(const struct testfs *t, const char *command, char *out, size_t cap)
{
	char program[TESTFS_PATH + 32], file[TESTFS_PATH + 16], dash_s[] = "-s", json[] = "--json";
	char data[sizeof(t->data)], word[32];
	char *const argv[] = {program, dash_s, data, word, json, NULL};
	size_t got = 0;
	FILE *f;
	int rc;

	out[0] = '\0';
	if (t->plain)
		return 0;
	snprintf(program, sizeof(program), "%s/veristore-admin", t->bin);
	snprintf(file, sizeof(file), "%s/admin.out", t->top);
	memcpy(data, t->data, sizeof(data));
	snprintf(word, sizeof(word), "%s", command);
	rc = testfs_run(argv, file, 300);
	f = fopen(file, "r");
	if (f) {
		got = fread(out, 1, cap - 1, f);
		fclose(f);
	}
	out[got] = '\0';
	return rc;
}

uint64_t testfs_number(const char *json, const char *key)
{
	char want[64];
	const char *p;

	snprintf(want, sizeof(want), "\"%s\":", key);
	p = strstr(json, want);
	return p ? strtoull(p + strlen(want), NULL, 10) : UINT64_MAX;
}
