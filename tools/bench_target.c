#include "tools/bench_target.h"

#include <errno.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 120000u /* recovery of a large log may take a while */
#define STOP_MS 120000u
#define HELPER_MS 60000u
#define EXAMPLES "/usr/share/doc/libfuse3-dev/examples/"

bool target_init(struct target *t, enum target_kind kind, const char *work, const char *program,
		 const char *options)
{
	static const char *const names[] = {"plain", "pass", "veristore"};
	bool mounted = kind != TARGET_PLAIN;

	memset(t, 0, sizeof *t);
	t->kind = kind;
	t->options = options;
	return proc_format(t->home, sizeof t->home, "%s/%s", work, names[kind]) &&
	       proc_format(t->store, sizeof t->store, "%s/%s/store", work, names[kind]) &&
	       proc_format(t->dir, sizeof t->dir, "%s/%s/%s", work, names[kind],
			   mounted ? "mnt" : "store") &&
	       proc_format(t->log, sizeof t->log, "%s/%s/log", work, names[kind]) &&
	       proc_format(t->program, sizeof t->program, "%s", program);
}

/* The last line the daemon said, behind what. */
static bool fail(struct target *t, const char *what)
{
	char line[TARGET_WHY_MAX] = "", last[TARGET_WHY_MAX] = "";
	FILE *f = fopen(t->log, "re");

	while (f && fgets(line, sizeof line, f))
		if (line[0] != '\n')
			memcpy(last, line, sizeof last);
	if (f)
		fclose(f);
	snprintf(t->why, sizeof t->why, "%s%s%.*s", what, last[0] ? ": " : "",
		 (int)strcspn(last, "\n") % 180, last);
	return false;
}

static bool answers(const char *dir)
{
	struct statfs fs;
	struct stat st;

	return !statfs(dir, &fs) && fs.f_type == FUSE_SUPER_MAGIC && !stat(dir, &st);
}

bool target_start(struct target *t)
{
	char source[PROC_PATH_MAX + 128];
	const char *veristore[] = {
		t->program, t->store, t->dir, "-f", t->options && *t->options ? "-o" : NULL,
		t->options, NULL};
	const char *pass[] = {t->program, "-f", "-o", source, t->dir, NULL};
	uint64_t end = proc_now_ns() + (uint64_t)START_MS * 1000000u;
	int status;

	if (t->kind == TARGET_PLAIN)
		return true;
	if (!proc_format(source, sizeof source, "source=%s,cache=always,no_writeback", t->store) ||
	    !proc_start(t->kind == TARGET_PASS ? pass : veristore, t->log, &t->daemon))
		return fail(t, "cannot start the daemon");
	while (!answers(t->dir)) {
		if (waitpid(t->daemon, &status, WNOHANG) == t->daemon) {
			t->daemon = 0;
			return fail(t, "the daemon ended before it mounted");
		}
		if (proc_interrupted() || proc_now_ns() > end)
			return fail(t, proc_interrupted() ? "interrupted" : "no mount in time");
		proc_sleep_ms(1);
	}
	return true;
}

bool target_up(struct target *t)
{
	target_down(t);
	if (mkdir(t->home, 0700) || mkdir(t->store, 0700) ||
	    (t->kind != TARGET_PLAIN && mkdir(t->dir, 0700)))
		return fail(t, "cannot make its directories");
	sync();
	return target_start(t);
}

static bool unmount(const struct target *t, bool lazy)
{
	const char *argv[] = {"fusermount3", lazy ? "-uz" : "-u", t->dir, NULL};

	if (!geteuid())
		return !umount2(t->dir, lazy ? MNT_DETACH : 0);
	return proc_run(argv, t->log, HELPER_MS);
}

bool target_stop(struct target *t)
{
	int status = 0;
	bool ok = true;

	if (t->kind == TARGET_PLAIN || !t->daemon)
		return true;
	for (int i = 0; i < 50 && !unmount(t, false); i++) {
		ok = i < 49;
		proc_sleep_ms(20);
	}
	if (!ok)
		unmount(t, true);
	if (!proc_wait(t->daemon, STOP_MS, &status)) {
		proc_stop(t->daemon, STOP_MS / 10);
		ok = false;
	}
	t->daemon = 0;
	if (!ok || !WIFEXITED(status))
		return fail(t, "the daemon did not end in order");
	return true;
}

void target_kill(struct target *t)
{
	int status;

	if (!t->daemon)
		return;
	kill(t->daemon, SIGKILL);
	waitpid(t->daemon, &status, 0);
	t->daemon = 0;
}

bool target_cold(struct target *t)
{
	if (!target_stop(t))
		return false;
	proc_evict_tree(t->store);
	return target_start(t);
}

void target_down(struct target *t)
{
	static unsigned turns;
	char old[PROC_PATH_MAX];
	struct stat st;

	if (proc_interrupted())
		target_kill(t);
	else
		target_stop(t);
	if (t->kind != TARGET_PLAIN)
		while (stat(t->dir, &st) ? errno == ENOTCONN : answers(t->dir))
			if (!unmount(t, true))
				break;
	if (stat(t->home, &st))
		return;
	proc_shrink_tree(t->store);
	if (!proc_format(old, sizeof old, "%.*s/old-%u", (int)(strrchr(t->home, '/') - t->home),
			 t->home, ++turns) ||
	    rename(t->home, old))
		proc_remove_tree(t->home);
}

/* --- the pass-through ---------------------------------------------------------- */

/* Copy the example to dir, unpacked when the package has it packed. */
static bool fetch(const char *name, const char *dir, const char *log)
{
	char script[2 * PROC_PATH_MAX];
	const char *argv[] = {"sh", "-c", script, NULL};

	return proc_format(script, sizeof script,
			   "if test -f %s%s.gz; then gzip -dc %s%s.gz; else cat %s%s; fi >'%s/%s'",
			   EXAMPLES, name, EXAMPLES, name, EXAMPLES, name, dir, name) &&
	       proc_run(argv, log, HELPER_MS);
}

static bool compile(const char *src, const char *out, const char *log)
{
	char script[3 * PROC_PATH_MAX];
	const char *argv[] = {"sh", "-c", script, NULL};

	return proc_format(script, sizeof script,
			   "${CC:-cc} -O2 -w -o '%s' '%s/passthrough_ll.c' -I'%s' "
			   "$(pkg-config --cflags --libs fuse3) -lpthread",
			   out, src, src) &&
	       proc_run(argv, log, HELPER_MS);
}

bool target_build_pass(const char *work, char *out, char why[TARGET_WHY_MAX])
{
	char own[PROC_PATH_MAX], src[PROC_PATH_MAX], log[PROC_PATH_MAX];

	if (!proc_own_dir(own) || access(own, W_OK))
		memcpy(own, work, strlen(work) + 1);
	if (!proc_format(out, PROC_PATH_MAX, "%s/passthrough_ll", own) ||
	    !proc_format(src, sizeof src, "%s/passthrough", work) ||
	    !proc_format(log, sizeof log, "%s/passthrough.log", work)) {
		snprintf(why, TARGET_WHY_MAX, "the path is too long");
		return false;
	}
	if (!access(out, X_OK))
		return true;
	if (strchr(own, '\'') || strchr(work, '\'')) {
		snprintf(why, TARGET_WHY_MAX, "the path has a quote in it");
		return false;
	}
	if (mkdir(src, 0700) || !fetch("passthrough_ll.c", src, log) ||
	    !fetch("passthrough_helpers.h", src, log)) {
		snprintf(why, TARGET_WHY_MAX,
			 "no passthrough_ll.c in " EXAMPLES " (package libfuse3-dev)");
		return false;
	}
	if (!compile(src, out, log)) {
		snprintf(why, TARGET_WHY_MAX, "passthrough_ll.c does not compile here");
		return false;
	}
	return true;
}
