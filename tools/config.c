#include "tools/config.h"

#include "engine/base/assert.h"
#include "engine/log.h"
#include "engine/store.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define OPTION_MAX 4096u /* bytes of one option, unescaped */

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define TIB ((uint64_t)1 << 40)

#define CACHE_MIN (4 * MIB)
#define CACHE_MAX TIB
#define DIRTY_MIN ((uint64_t)FS_DIRTY_MIN)
#define DIRTY_MAX TIB
#define CHUNK_MIN (64 * KIB)
#define CHUNK_MAX (4 * MIB)
#define SEGMENT_MIN ((uint64_t)LOG_SEGMENT_MIN)
#define SEGMENT_MAX ((uint64_t)LOG_SEGMENT_MAX)
#define SEGMENT_CHUNKS 4 /* a segment holds at least this many chunks */
#define COMMIT_DEFAULT 5u
#define COMMIT_MIN 1u
#define COMMIT_MAX 3600u

_Static_assert(CHUNK_MAX <= LOG_DATA_MAX, "a chunk is the data of one record");
_Static_assert(DIRTY_MIN >= 2 * CHUNK_MAX, "a chunk can fill while another is written");

static enum vs_err __attribute__((format(printf, 2, 3))) bad(char *why, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(why, CONFIG_WHY_MAX, format, ap);
	va_end(ap);
	return VS_ERR_CONFIG;
}

/* --- sizes ------------------------------------------------------------------ */

/* Digits only, no sign, no blank; *end is behind them.  False on overflow or none. */
static bool digits(const char *text, const char **end, uint64_t *out)
{
	uint64_t v = 0;
	const char *p;

	for (p = text; *p >= '0' && *p <= '9'; p++) {
		uint64_t d = (uint64_t)(*p - '0');

		if (v > (UINT64_MAX - d) / 10)
			return false;
		v = v * 10 + d;
	}
	*end = p;
	*out = v;
	return p > text;
}

enum vs_err config_size(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	static const char units[] = "kKmMgGtT";
	unsigned shift = 0;
	const char *end, *unit;
	uint64_t v;

	vs_assert(text && out);
	vs_assert(min <= max);
	if (!digits(text, &end, &v))
		return VS_ERR_CONFIG;
	if (*end) {
		unit = strchr(units, *end);
		if (!unit || end[1])
			return VS_ERR_CONFIG;
		shift = 10 * (1 + (unsigned)(unit - units) / 2);
	}
	if (v > UINT64_MAX >> shift)
		return VS_ERR_RANGE;
	v <<= shift;
	if (v < min || v > max)
		return VS_ERR_RANGE;
	*out = v;
	return VS_OK;
}

void config_size_text(uint64_t bytes, char *buf, size_t cap)
{
	static const char units[] = " KMGT";
	int u = 0;

	vs_assert(buf && cap);
	while (u < 4 && bytes && bytes % 1024 == 0) {
		bytes /= 1024;
		u++;
	}
	if (u)
		snprintf(buf, cap, "%llu%c", (unsigned long long)bytes, units[u]);
	else
		snprintf(buf, cap, "%llu", (unsigned long long)bytes);
}

/* --- own options ------------------------------------------------------------ */

/* A name out of a list, to its place in it. */
static bool one_of(const char *value, const char *const *names, int *out)
{
	for (int i = 0; names[i]; i++) {
		if (!strcmp(value, names[i])) {
			*out = i;
			return true;
		}
	}
	return false;
}

static enum vs_err take_size(const char *name, const char *value, uint64_t min, uint64_t max,
			     uint64_t *out, char *why)
{
	char lo[32], hi[32];

	if (config_size(value, min, max, out) == VS_OK)
		return VS_OK;
	config_size_text(min, lo, sizeof lo);
	config_size_text(max, hi, sizeof hi);
	return bad(why, "option %s=%.64s: a size from %s to %s is wanted, as in %s=%s", name, value,
		   lo, hi, name, lo);
}

static enum vs_err take_durability(const char *value, struct config *c, char *why)
{
	/* in the order of enum fs_durability */
	static const char *const names[] = {"close", "strict", "fsync", NULL};
	int i;

	if (!one_of(value, names, &i))
		return bad(why, "option durability=%.64s: close, strict or fsync is wanted", value);
	c->durability = (enum fs_durability)i;
	return VS_OK;
}

static enum vs_err take_loglevel(const char *value, struct config *c, char *why)
{
	static const char *const names[] = {"error", "warning", "info", "debug", NULL};
	int i;

	if (!one_of(value, names, &i))
		return bad(why, "option loglevel=%.64s: error, warning, info or debug is wanted",
			   value);
	c->loglevel = (enum config_loglevel)i;
	return VS_OK;
}

static enum vs_err take_log(const char *value, struct config *c, char *why)
{
	if (!*value)
		return bad(why, "option log= needs a file name, syslog or stderr");
	if (!strcmp(value, "syslog")) {
		c->log = CONFIG_LOG_SYSLOG;
	} else if (!strcmp(value, "stderr")) {
		c->log = CONFIG_LOG_STDERR;
	} else {
		if (strlen(value) >= sizeof c->log_file)
			return bad(why, "option log=: the file name is too long");
		c->log = CONFIG_LOG_FILE;
		memcpy(c->log_file, value, strlen(value) + 1);
	}
	return VS_OK;
}

static enum vs_err take_commit(const char *value, struct config *c, char *why)
{
	const char *end;
	uint64_t v;

	if (!digits(value, &end, &v) || *end || v < COMMIT_MIN || v > COMMIT_MAX)
		return bad(why, "option commit=%.64s: seconds from %u to %u are wanted", value,
			   COMMIT_MIN, COMMIT_MAX);
	c->commit_s = (uint32_t)v;
	return VS_OK;
}

static enum vs_err take_chunk(const char *value, struct config *c, char *why)
{
	uint64_t v = 0;
	enum vs_err err = take_size("chunk", value, CHUNK_MIN, CHUNK_MAX, &v, why);

	if (!err && v & (v - 1))
		err = bad(why, "option chunk=%.64s: a power of two is wanted, as in chunk=1M",
			  value);
	if (!err)
		c->chunk_bytes = (uint32_t)v;
	return err;
}

static enum vs_err take_segment(const char *value, struct config *c, char *why)
{
	uint64_t v = 0;
	enum vs_err err = take_size("segment", value, SEGMENT_MIN, SEGMENT_MAX, &v, why);

	if (!err && v % 4096)
		err = bad(why, "option segment=%.64s: a multiple of 4K is wanted", value);
	if (!err)
		c->segment_bytes = (uint32_t)v;
	return err;
}

/* The value of name=value, or NULL when option does not begin with name=. */
static const char *value_of(const char *option, const char *name)
{
	for (; *name && *option == *name; name++)
		option++;
	return !*name && *option == '=' ? option + 1 : NULL;
}

/* Take option when it is ours; *taken says so. */
static enum vs_err take_own(const char *option, struct config *c, bool *taken, char *why)
{
	static const char *const names[] = {"durability", "commit", "cache",    "dirty", "chunk",
					    "segment",    "log",    "loglevel", NULL};
	const char *v;

	*taken = true;
	if ((v = value_of(option, "durability")))
		return take_durability(v, c, why);
	if ((v = value_of(option, "commit")))
		return take_commit(v, c, why);
	if ((v = value_of(option, "cache")))
		return take_size("cache", v, CACHE_MIN, CACHE_MAX, &c->cache_bytes, why);
	if ((v = value_of(option, "dirty")))
		return take_size("dirty", v, DIRTY_MIN, DIRTY_MAX, &c->dirty_bytes, why);
	if ((v = value_of(option, "chunk")))
		return take_chunk(v, c, why);
	if ((v = value_of(option, "segment")))
		return take_segment(v, c, why);
	if ((v = value_of(option, "log")))
		return take_log(v, c, why);
	if ((v = value_of(option, "loglevel")))
		return take_loglevel(v, c, why);
	for (int i = 0; names[i]; i++) {
		if (!strcmp(option, names[i]))
			return bad(why, "option %s needs a value, as in %s=...", option, option);
	}
	*taken = false;
	return VS_OK;
}

/* --- options of mount(8) and for libfuse -------------------------------------- */

/* What fstab, mount(8) and systemd write there for themselves. */
static bool is_for_mount(const char *option)
{
	static const char *const names[] = {"",        "defaults", "auto",   "noauto", "nofail",
					    "_netdev", "user",     "nouser", "users",  "owner",
					    "group",   "quiet",    "rw",     NULL};
	static const char *const prefixes[] = {"x-",      "X-",       "comment=", "user=",
					       "helper=", "uhelper=", "setuid=",  NULL};

	for (int i = 0; names[i]; i++) {
		if (!strcmp(option, names[i]))
			return true;
	}
	for (int i = 0; prefixes[i]; i++) {
		if (!strncmp(option, prefixes[i], strlen(prefixes[i])))
			return true;
	}
	return false;
}

/* Options that would take away what the file system depends on. */
static enum vs_err refuse(const char *option, char *why)
{
	static const char *const names[] = {"fsname",  "subtype",  "fd", "rootmode",
					    "user_id", "group_id", NULL};

	for (int i = 0; names[i]; i++) {
		if (value_of(option, names[i]))
			return bad(why, "option %.64s: %s is set by veristore itself", option,
				   names[i]);
	}
	if (!strcmp(option, "auto_unmount"))
		return bad(why, "option auto_unmount is not needed: the next start cleans up");
	return VS_OK;
}

static enum vs_err pass_to_fuse(const char *raw, size_t len, struct config *c, char *why)
{
	size_t have = strlen(c->fuse_options);

	if (have + 1 + len >= sizeof c->fuse_options)
		return bad(why, "the mount options are longer than %u bytes", CONFIG_FUSE_MAX);
	if (have)
		c->fuse_options[have++] = ',';
	memcpy(c->fuse_options + have, raw, len);
	c->fuse_options[have + len] = 0;
	return VS_OK;
}

/* One option: raw[0..len) is what was written, option the same unescaped. */
static enum vs_err take_option(const char *raw, size_t len, const char *option, struct config *c,
			       char *why)
{
	bool taken;
	enum vs_err err = take_own(option, c, &taken, why);

	if (err || taken)
		return err;
	if (!strcmp(option, "rw"))
		c->read_only = false;
	if (is_for_mount(option))
		return VS_OK;
	if (!strcmp(option, "no_allow_other")) {
		c->no_allow_other = true;
		return VS_OK;
	}
	if (!strcmp(option, "debug")) {
		c->debug = c->foreground = true;
		return VS_OK;
	}
	if (!strcmp(option, "ro"))
		c->read_only = true;
	if (!strcmp(option, "allow_other") || !strcmp(option, "allow_root"))
		c->allow_other = true;
	err = refuse(option, why);
	return err ? err : pass_to_fuse(raw, len, c, why);
}

/* A comma separated list. */
static enum vs_err take_options(const char *list, struct config *c, char *why)
{
	char option[OPTION_MAX];
	const char *p = list;

	for (;;) {
		const char *start = p;
		size_t n = 0;
		enum vs_err err;

		while (*p && *p != ',') {
			if (*p == '\\' && p[1])
				p++;
			if (n + 1 >= sizeof option)
				return bad(why, "a mount option is longer than %u bytes",
					   OPTION_MAX - 1);
			option[n++] = *p++;
		}
		option[n] = 0;
		err = take_option(start, (size_t)(p - start), option, c, why);
		if (err || !*p)
			return err;
		p++;
	}
}

/* --- the command line ----------------------------------------------------------- */

static void defaults(struct config *c)
{
	memset(c, 0, sizeof *c);
	c->commit_s = COMMIT_DEFAULT;
	c->cache_bytes = STORE_CACHE_DEFAULT;
	c->dirty_bytes = FS_DIRTY_DEFAULT;
	c->loglevel = CONFIG_LEVEL_INFO;
}

/* DATA_DIR, then MOUNTPOINT. */
static enum vs_err take_path(const char *arg, struct config *c, char *why)
{
	char *to = *c->data_dir ? c->mountpoint : c->data_dir;

	if (*c->mountpoint)
		return bad(why,
			   "%.128s is one argument too many: DATA_DIR and MOUNTPOINT are wanted",
			   arg);
	if (!*arg)
		return bad(why, "%s is empty", to == c->data_dir ? "DATA_DIR" : "MOUNTPOINT");
	if (strlen(arg) >= CONFIG_PATH_MAX)
		return bad(why, "%s is longer than %u bytes",
			   to == c->data_dir ? "DATA_DIR" : "MOUNTPOINT", CONFIG_PATH_MAX - 1);
	memcpy(to, arg, strlen(arg) + 1);
	return VS_OK;
}

/* One flag that takes no value; false when it is unknown. */
static bool take_flag(const char *arg, struct config *c)
{
	if (!strcmp(arg, "-f"))
		c->foreground = true;
	else if (!strcmp(arg, "-d"))
		c->debug = c->foreground = true;
	else if (!strcmp(arg, "-h") || !strcmp(arg, "--help"))
		c->help = true;
	else if (!strcmp(arg, "-V") || !strcmp(arg, "--version"))
		c->version = true;
	else if (strcmp(arg, "-s") != 0) /* -s: libfuse's single thread; there is no such mode */
		return false;
	return true;
}

/* What only the whole command line can tell. */
static enum vs_err check(const struct config *c, char *why)
{
	uint64_t chunk = c->chunk_bytes ? c->chunk_bytes : STORE_CHUNK_DEFAULT;
	uint64_t segment = c->segment_bytes ? c->segment_bytes : STORE_SEGMENT_DEFAULT;

	if (!*c->data_dir)
		return bad(why, "DATA_DIR and MOUNTPOINT are missing");
	if (!*c->mountpoint)
		return bad(why, "MOUNTPOINT is missing");
	if (segment < SEGMENT_CHUNKS * chunk)
		return bad(why, "a segment must hold %d chunks: use segment=%lluK or more",
			   SEGMENT_CHUNKS, (unsigned long long)(SEGMENT_CHUNKS * chunk / KIB));
	if (c->log == CONFIG_LOG_STDERR && !c->foreground)
		return bad(why, "option log=stderr needs -f: in the background there is no stderr");
	return VS_OK;
}

enum vs_err config_parse(int argc, const char *const *argv, struct config *out, char *why)
{
	struct config c;
	bool only_paths = false;
	enum vs_err err = VS_OK;

	vs_assert(argv && out && why);
	defaults(&c);
	*why = 0;
	for (int i = 1; i < argc && !err; i++) {
		const char *a = argv[i];

		if (only_paths || a[0] != '-') {
			err = take_path(a, &c, why);
		} else if (!strcmp(a, "--")) {
			only_paths = true;
		} else if (!strncmp(a, "-o", 2)) {
			if (!a[2] && i + 1 == argc)
				err = bad(why, "-o needs a list of options");
			else
				err = take_options(a[2] ? a + 2 : argv[++i], &c, why);
		} else if (!take_flag(a, &c)) {
			err = bad(why, "unknown argument %.128s", a);
		}
	}
	if (!err && !c.help && !c.version)
		err = check(&c, why);
	if (!err)
		*out = c;
	return err;
}
