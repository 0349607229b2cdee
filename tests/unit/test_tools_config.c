/* test_tools_config: the daemon's command line, good, wrong and hostile (F99). */
#include "engine/store.h"
#include "tools/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARGS_MAX 12

static enum vs_err parse(const char *const *args, struct config *c, char *why)
{
	const char *argv[ARGS_MAX + 1] = {"veristore"};
	int n = 1;

	while (args[n - 1]) {
		argv[n] = args[n - 1];
		n++;
	}
	return config_parse(n, argv, c, why);
}

/* DATA, MNT and one -o list. */
static enum vs_err parse_options(const char *options, struct config *c, char *why)
{
	const char *const args[] = {"/data", "/mnt", "-f", "-o", options, NULL};

	return parse(args, c, why);
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		enum vs_err err;
		uint64_t bytes;
	} rows[] = {
		{"0", VS_OK, 0},
		{"1", VS_OK, 1},
		{"4096", VS_OK, 4096},
		{"1K", VS_OK, 1024},
		{"1k", VS_OK, 1024},
		{"3M", VS_OK, 3 << 20},
		{"2g", VS_OK, (uint64_t)2 << 30},
		{"1T", VS_OK, (uint64_t)1 << 40},
		{"007", VS_OK, 7},
		{"18446744073709551615", VS_OK, UINT64_MAX},
		{"18446744073709551616", VS_ERR_CONFIG, 0},
		{"99999999999999999999999999", VS_ERR_CONFIG, 0},
		{"16777216T", VS_ERR_RANGE, 0},
		{"17179869184G", VS_ERR_RANGE, 0},
		{"", VS_ERR_CONFIG, 0},
		{"K", VS_ERR_CONFIG, 0},
		{"-1", VS_ERR_CONFIG, 0},
		{"+1", VS_ERR_CONFIG, 0},
		{" 1", VS_ERR_CONFIG, 0},
		{"1 ", VS_ERR_CONFIG, 0},
		{"1KB", VS_ERR_CONFIG, 0},
		{"1.5M", VS_ERR_CONFIG, 0},
		{"0x10", VS_ERR_CONFIG, 0},
		{"1e3", VS_ERR_CONFIG, 0},
		{"M1", VS_ERR_CONFIG, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t v = 77;

		assert_int_equal(config_size(rows[i].text, 0, UINT64_MAX, &v), rows[i].err);
		assert_true(v == (rows[i].err ? 77 : rows[i].bytes));
	}
}

static void size_limits_and_text(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {{0, "0"},       {1, "1"},          {1023, "1023"},           {1024, "1K"},
		    {1536, "1536"}, {64 << 20, "64M"}, {(uint64_t)3 << 40, "3T"}};
	uint64_t v;
	char buf[32];

	(void)state;
	assert_int_equal(config_size("4K", 4096, 8192, &v), VS_OK);
	assert_int_equal(config_size("8K", 4096, 8192, &v), VS_OK);
	assert_int_equal(config_size("4095", 4096, 8192, &v), VS_ERR_RANGE);
	assert_int_equal(config_size("8193", 4096, 8192, &v), VS_ERR_RANGE);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		config_size_text(rows[i].bytes, buf, sizeof buf);
		assert_string_equal(buf, rows[i].text);
	}
}

static void defaults(void **state)
{
	static const char *const args[] = {"data", "mnt", NULL};
	struct config c;
	char why[CONFIG_WHY_MAX];

	(void)state;
	assert_int_equal(parse(args, &c, why), VS_OK);
	assert_string_equal(c.data_dir, "data");
	assert_string_equal(c.mountpoint, "mnt");
	assert_false(c.foreground || c.debug || c.help || c.version || c.read_only);
	assert_int_equal(c.durability, FS_DURABILITY_CLOSE);
	assert_int_equal(c.commit_s, 5);
	assert_int_equal(c.cache_bytes, STORE_CACHE_DEFAULT);
	assert_int_equal(c.dirty_bytes, FS_DIRTY_DEFAULT);
	assert_int_equal(c.chunk_bytes, 0);
	assert_int_equal(c.segment_bytes, 0);
	assert_int_equal(c.log, CONFIG_LOG_DEFAULT);
	assert_int_equal(c.loglevel, CONFIG_LEVEL_INFO);
	assert_string_equal(c.fuse_options, "");
}

static void own_options(void **state)
{
	struct config c;
	char why[CONFIG_WHY_MAX];

	(void)state;
	assert_int_equal(parse_options("durability=strict,commit=7,cache=64M,dirty=16M,chunk=256K,"
				       "segment=4M,log=/var/log/vs,loglevel=debug",
				       &c, why),
			 VS_OK);
	assert_int_equal(c.durability, FS_DURABILITY_STRICT);
	assert_int_equal(c.commit_s, 7);
	assert_int_equal(c.cache_bytes, 64 << 20);
	assert_int_equal(c.dirty_bytes, 16 << 20);
	assert_int_equal(c.chunk_bytes, 256 << 10);
	assert_int_equal(c.segment_bytes, 4 << 20);
	assert_int_equal(c.log, CONFIG_LOG_FILE);
	assert_string_equal(c.log_file, "/var/log/vs");
	assert_int_equal(c.loglevel, CONFIG_LEVEL_DEBUG);
	assert_string_equal(c.fuse_options, "");
	assert_int_equal(parse_options("log=syslog,durability=fsync", &c, why), VS_OK);
	assert_int_equal(c.log, CONFIG_LOG_SYSLOG);
	assert_int_equal(c.durability, FS_DURABILITY_FSYNC);
	assert_int_equal(parse_options("log=/a\\,b\\\\c,ro", &c, why), VS_OK);
	assert_string_equal(c.log_file, "/a,b\\c");
	assert_true(c.read_only);
	assert_string_equal(c.fuse_options, "ro");
}

/* What mount(8), fstab and libfuse write there. */
static void mount_options(void **state)
{
	static const struct {
		const char *options, *fuse;
	} rows[] = {
		{"rw", ""},
		{"ro", "ro"},
		{"defaults,noauto,nofail,_netdev,user,users,nouser,owner,group,auto", ""},
		{"x-systemd.automount,x-systemd.requires=a.mount,X-mount.mkdir,comment=hi", ""},
		{"user=bob,uhelper=x,setuid=bob", ""},
		{"rw,nosuid,nodev,noatime,dev,suid,exec", "nosuid,nodev,noatime,dev,suid,exec"},
		{"allow_other,max_read=4096", "allow_other,max_read=4096"},
		{"context=a\\,b,ro", "context=a\\,b,ro"},
		{",,ro,,", "ro"},
		{"", ""},
		{"noncached", "noncached"},
		{"cachet=1", "cachet=1"},
	};
	struct config c;
	char why[CONFIG_WHY_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(parse_options(rows[i].options, &c, why), VS_OK);
		assert_string_equal(c.fuse_options, rows[i].fuse);
	}
	assert_int_equal(parse_options("allow_other", &c, why), VS_OK);
	assert_true(c.allow_other && !c.no_allow_other);
	assert_int_equal(parse_options("no_allow_other", &c, why), VS_OK);
	assert_true(!c.allow_other && c.no_allow_other);
	assert_string_equal(c.fuse_options, "");
	assert_int_equal(parse_options("ro,rw", &c, why), VS_OK);
	assert_false(c.read_only);
}

static void wrong_options(void **state)
{
	/* options, and what the sentence must name */
	static const struct {
		const char *options, *names;
	} rows[] = {
		{"durability=maybe", "durability=maybe"},
		{"durability=", "close, strict or fsync"},
		{"durability", "needs a value"},
		{"commit=0", "commit=0"},
		{"commit=-1", "commit=-1"},
		{"commit=5s", "commit=5s"},
		{"commit=99999999999999999999", "commit="},
		{"commit=3601", "3600"},
		{"cache=1M", "4M"},
		{"cache=2T", "1T"},
		{"cache=lots", "cache=lots"},
		{"cache", "needs a value"},
		{"dirty=1", "8M"},
		{"dirty=", "dirty="},
		{"chunk=32K", "64K"},
		{"chunk=8M", "4M"},
		{"chunk=100K", "power of two"},
		{"segment=4100K,chunk=64K", NULL},
		{"segment=1000001,chunk=64K", "multiple of 4K"},
		{"segment=128K", "256K"},
		{"segment=2G", "1G"},
		{"segment=2M", "segment=4096K"},
		{"chunk=4M,segment=8M", "segment=16384K"},
		{"log=", "log="},
		{"loglevel=loud", "loglevel=loud"},
		{"auto_unmount", "auto_unmount"},
		{"fsname=x", "fsname"},
		{"subtype=x", "subtype"},
		{"fd=3", "fd"},
		{"ro,cache=\n", "cache="},
	};
	struct config c, untouched;
	char why[CONFIG_WHY_MAX];

	(void)state;
	memset(&c, 0x5a, sizeof c);
	untouched = c;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		enum vs_err err = parse_options(rows[i].options, &c, why);

		if (!rows[i].names) {
			assert_int_equal(err, VS_OK);
			c = untouched;
			continue;
		}
		assert_int_equal(err, VS_ERR_CONFIG);
		assert_non_null(strstr(why, rows[i].names));
		assert_memory_equal(&c, &untouched, sizeof c);
	}
}

static void arguments(void **state)
{
	static const struct {
		const char *args[ARGS_MAX];
		const char *why; /* NULL: fine */
	} rows[] = {
		{{NULL}, "DATA_DIR and MOUNTPOINT"},
		{{"a", NULL}, "MOUNTPOINT is missing"},
		{{"a", "b", "c", NULL}, "one argument too many"},
		{{"", "b", NULL}, "DATA_DIR is empty"},
		{{"a", "", NULL}, "MOUNTPOINT is empty"},
		{{"a", "b", "-o", NULL}, "-o needs"},
		{{"a", "b", "-x", NULL}, "unknown argument -x"},
		{{"a", "b", "--frob", NULL}, "unknown argument --frob"},
		{{"a", "b", "-", NULL}, "unknown argument -"},
		{{"a", "b", "-o", "log=stderr", NULL}, "needs -f"},
		{{"a", "b", "-o", "log=stderr", "-f", NULL}, NULL},
		{{"-f", "a", "-d", "b", "-s", NULL}, NULL},
		{{"-oro", "a", "b", NULL}, NULL},
		{{"-o", "ro", "-o", "cache=8M", "a", "b", NULL}, NULL},
		{{"--", "-a", "-b", NULL}, NULL},
		{{"-h", NULL}, NULL},
		{{"--help", "x", "y", NULL}, NULL},
		{{"-V", NULL}, NULL},
		{{"--version", NULL}, NULL},
	};
	char why[CONFIG_WHY_MAX];
	struct config c;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		enum vs_err err = parse(rows[i].args, &c, why);

		assert_int_equal(err, rows[i].why ? VS_ERR_CONFIG : VS_OK);
		if (rows[i].why)
			assert_non_null(strstr(why, rows[i].why));
	}
	assert_int_equal(config_parse(0, rows[0].args, &c, why), VS_ERR_CONFIG);
}

/* Lengths at and beyond every limit. */
static void too_long(void **state)
{
	char *path = malloc(3 * CONFIG_PATH_MAX);
	const char *args[] = {path, "/mnt", "-f", NULL, NULL, NULL};
	char why[CONFIG_WHY_MAX];
	struct config c;

	(void)state;
	memset(path, 'a', 3 * CONFIG_PATH_MAX);
	path[CONFIG_PATH_MAX - 1] = 0;
	assert_int_equal(parse(args, &c, why), VS_OK);
	path[CONFIG_PATH_MAX - 1] = 'a';
	path[CONFIG_PATH_MAX] = 0;
	assert_int_equal(parse(args, &c, why), VS_ERR_CONFIG);
	assert_non_null(strstr(why, "DATA_DIR is longer"));
	/* one option, many options */
	args[0] = "/data";
	args[3] = "-o";
	args[4] = path;
	assert_int_equal(parse(args, &c, why), VS_ERR_CONFIG);
	memset(path, 'a', 3 * CONFIG_PATH_MAX);
	for (size_t i = 63; i < 3 * CONFIG_PATH_MAX; i += 64)
		path[i] = ',';
	path[3 * CONFIG_PATH_MAX - 1] = 0;
	assert_int_equal(parse(args, &c, why), VS_ERR_CONFIG);
	assert_non_null(strstr(why, "longer than"));
	memcpy(path, "cache=", 6);
	memset(path + 6, '9', CONFIG_PATH_MAX - 8);
	path[CONFIG_PATH_MAX - 2] = 0;
	assert_int_equal(parse(args, &c, why), VS_ERR_CONFIG);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),         cmocka_unit_test(size_limits_and_text),
		cmocka_unit_test(defaults),      cmocka_unit_test(own_options),
		cmocka_unit_test(mount_options), cmocka_unit_test(wrong_options),
		cmocka_unit_test(arguments),     cmocka_unit_test(too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
