/* test_tools_text: log lines, mountinfo lines, paths and numbers for people. */
#include "tools/human.h"
#include "tools/logfile.h"
#include "tools/mountinfo.h"
#include "tools/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void log_line(void **state)
{
	char buf[256];
	size_t len;

	(void)state;
	assert_true(logfile_line(LOG_ID_DAMAGE, 1763831003123456789, "a\nb\x7f", buf, sizeof buf) >
		    0);
	assert_string_equal(buf, "2025-11-22T17:03:23.123Z error store VS2006 a\\x0ab\\x7f\n");
	/* cut, still one line */
	len = logfile_line(LOG_ID_STARTED, 0,
			   "0123456789012345678901234567890123456789"
			   "0123456789012345678901234567890123456789"
			   "0123456789012345678901234567890123456789",
			   buf, 128);
	assert_int_equal(len, strlen(buf));
	assert_true(strlen(buf) < 128 && buf[strlen(buf) - 1] == '\n');
}

static size_t count_lines(const char *path, char *last, size_t cap)
{
	FILE *f = fopen(path, "r");
	size_t n = 0;

	assert_non_null(f);
	while (fgets(last, (int)cap, f))
		n++;
	fclose(f);
	return n;
}

static void log_rate_and_level(void **state)
{
	char path[] = "/tmp/vs-log.XXXXXX", line[512];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(logfile_open(CONFIG_LOG_FILE, path, CONFIG_LEVEL_WARNING), VS_OK);
	logfile(LOG_ID_STARTED, "info is below the level");
	for (int i = 0; i < 1000; i++)
		logfile(LOG_ID_DAMAGE, "number %d", i);
	assert_in_range(count_lines(path, line, sizeof line), LOGFILE_BURST, LOGFILE_BURST + 3);
	/* the limit is per id */
	logfile(LOG_ID_START_FAILED, "another");
	count_lines(path, line, sizeof line);
	assert_non_null(strstr(line, "error daemon VS1004 another\n"));
	logfile_close();
	logfile(LOG_ID_DAMAGE, "nowhere");
	unlink(path);
	assert_int_equal(logfile_open(CONFIG_LOG_FILE, "/nonexistent/x", CONFIG_LEVEL_INFO),
			 VS_ERR_NOENT);
	assert_int_equal(logfile_open(CONFIG_LOG_FILE, "/tmp", CONFIG_LEVEL_INFO), VS_ERR_ISDIR);
}

static void log_rotates(void **state)
{
	char path[] = "/tmp/vs-log.XXXXXX", old[64], line[512];
	int fd = mkstemp(path);
	struct stat st;

	(void)state;
	assert_int_equal(ftruncate(fd, LOGFILE_MAX), 0);
	close(fd);
	snprintf(old, sizeof old, "%s.1", path);
	assert_int_equal(logfile_open(CONFIG_LOG_FILE, path, CONFIG_LEVEL_INFO), VS_OK);
	logfile(LOG_ID_STOPPED, "first of the new file");
	logfile(LOG_ID_STOPPED, "second");
	logfile_close();
	assert_int_equal(stat(old, &st), 0);
	assert_int_equal(st.st_size, LOGFILE_MAX);
	assert_int_equal(count_lines(path, line, sizeof line), 2);
	unlink(path);
	unlink(old);
}

static void mountinfo_lines(void **state)
{
	static const struct {
		const char *line;
		enum vs_err err;
		const char *point, *type, *source;
	} rows[] = {
		{"42 27 0:39 / /tmp/m rw,nosuid - fuse.veristore /data rw,user_id=0\n", VS_OK,
		 "/tmp/m", "fuse.veristore", "/data"},
		{"42 27 0:39 / /a\\040b\\134c rw shared:1 master:2 - ext4 /dev/x\\011y rw", VS_OK,
		 "/a b\\c", "ext4", "/dev/x\ty"},
		{"1 2 3:4 / / rw - proc  rw", VS_OK, "/", "proc", ""},
		{"1 2 3:4 / / rw", VS_ERR_CORRUPT_VALUE, NULL, NULL, NULL},
		{"1 2 3:4 / / rw -", VS_ERR_CORRUPT_VALUE, NULL, NULL, NULL},
		{"", VS_ERR_CORRUPT_VALUE, NULL, NULL, NULL},
		{"\n", VS_ERR_CORRUPT_VALUE, NULL, NULL, NULL},
		{"1 2 3 4", VS_ERR_CORRUPT_VALUE, NULL, NULL, NULL},
	};
	struct mountinfo m;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(mountinfo_line(rows[i].line, &m), rows[i].err);
		if (rows[i].err)
			continue;
		assert_string_equal(m.point, rows[i].point);
		assert_string_equal(m.type, rows[i].type);
		assert_string_equal(m.source, rows[i].source);
	}
	assert_int_equal(mountinfo_find("/proc/self", &m), VS_OK);
	assert_string_equal(m.point, "/proc");
}

static void paths(void **state)
{
	static const struct {
		const char *path, *absolute;
	} rows[] = {
		{"/", "/"},
		{"//", "/"},
		{"/a/./b//c/", "/a/b/c"},
		{"/a/../b", "/b"},
		{"/../..", "/"},
		{"/a/b/../../..", "/"},
		{"/a/..b/c.", "/a/..b/c."},
	};
	char out[MOUNTINFO_PATH_MAX], cwd[MOUNTINFO_PATH_MAX], want[2 * MOUNTINFO_PATH_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(mountinfo_absolute(rows[i].path, out), VS_OK);
		assert_string_equal(out, rows[i].absolute);
	}
	assert_non_null(getcwd(cwd, sizeof cwd));
	snprintf(want, sizeof want, "%s/x", strcmp(cwd, "/") ? cwd : "");
	assert_int_equal(mountinfo_absolute("y/../x", out), VS_OK);
	assert_string_equal(out, want);
	assert_true(mountinfo_below("/a/b", "/a") && mountinfo_below("/a", "/a"));
	assert_true(mountinfo_below("/a", "/"));
	assert_false(mountinfo_below("/ab", "/a") || mountinfo_below("/", "/a"));
}

static void probes(void **state)
{
	char out[PROBE_PATH_MAX];
	int is_dir = 0;

	(void)state;
	assert_int_equal(probe_stat("/", 5000, &is_dir), VS_OK);
	assert_true(is_dir);
	assert_int_equal(probe_stat("/dev/null", 5000, &is_dir), VS_OK);
	assert_false(is_dir);
	assert_int_equal(probe_stat("/nonexistent", 5000, &is_dir), VS_ERR_NOENT);
	assert_int_equal(probe_stat("/dev/null/x", 5000, &is_dir), VS_ERR_NOTDIR);
	assert_int_equal(probe_realpath("/proc/../tmp/.", 5000, out), VS_OK);
	assert_string_equal(out, "/tmp");
}

static void numbers(void **state)
{
	char b[HUMAN_MAX];

	(void)state;
	assert_string_equal(human_bytes(0, b), "0 B");
	assert_string_equal(human_bytes(1023, b), "1023 B");
	assert_string_equal(human_bytes(1536, b), "1.5 KiB");
	assert_string_equal(human_bytes(UINT64_MAX, b), "16.0 EiB");
	assert_string_equal(human_ns(999, b), "999 ns");
	assert_string_equal(human_ns(12345, b), "12.3 us");
	assert_string_equal(human_ns(1200000000, b), "1.20 s");
	assert_string_equal(human_seconds(59, b), "59 s");
	assert_string_equal(human_seconds(200, b), "3 min 20 s");
	assert_string_equal(human_seconds(90061, b), "1 d 1 h");
	assert_string_equal(human_count(1234567, b), "1 234 567");
	assert_string_equal(human_count(UINT64_MAX, b), "18 446 744 073 709 551 615");
	assert_string_equal(human_time(0, b), "never");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(log_line),    cmocka_unit_test(log_rate_and_level),
		cmocka_unit_test(log_rotates), cmocka_unit_test(mountinfo_lines),
		cmocka_unit_test(paths),       cmocka_unit_test(probes),
		cmocka_unit_test(numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
