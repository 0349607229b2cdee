/*
 * config: the command line of the daemon.
 *
 *   veristore DATA_DIR MOUNTPOINT [-f] [-d] [-o OPTION[,OPTION...]]...
 *
 * Options with a name of our own are taken here, the ones that only mean
 * something to mount(8), fstab or systemd are dropped, everything else goes to
 * libfuse unread.  A comma inside a value is written \, and a backslash \\.
 *
 * Sizes are digits with an optional K, M, G or T (powers of 1024).  Every
 * limit is in the table in config.c.
 *
 * Thread rule: pure: no files, no globals; hostile input is fine.
 */
#ifndef VS_TOOLS_CONFIG_H
#define VS_TOOLS_CONFIG_H

#include "engine/base/err.h"
#include "fs/fs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_PATH_MAX 4096u /* bytes with the NUL */
#define CONFIG_FUSE_MAX 4096u /* bytes of options for libfuse, with the NUL */
#define CONFIG_WHY_MAX 512u   /* bytes of the sentence, with the NUL */

enum config_log {
	CONFIG_LOG_DEFAULT, /* stderr with -f, else DATA_DIR/veristore.log */
	CONFIG_LOG_FILE,
	CONFIG_LOG_SYSLOG,
	CONFIG_LOG_STDERR,
};

enum config_loglevel {
	CONFIG_LEVEL_ERROR,
	CONFIG_LEVEL_WARNING,
	CONFIG_LEVEL_INFO,
	CONFIG_LEVEL_DEBUG,
};

struct config {
	char data_dir[CONFIG_PATH_MAX];
	char mountpoint[CONFIG_PATH_MAX];
	bool foreground, debug, help, version;
	bool read_only;      /* ro; is among fuse_options as well */
	bool allow_other;    /* allow_other; likewise */
	bool no_allow_other; /* root asks for a private mount */
	enum fs_durability durability;
	uint32_t commit_s;
	uint64_t cache_bytes, dirty_bytes;
	uint32_t chunk_bytes, segment_bytes; /* 0: not given */
	enum config_log log;
	char log_file[CONFIG_PATH_MAX];
	enum config_loglevel loglevel;
	char fuse_options[CONFIG_FUSE_MAX]; /* comma separated, still escaped */
};

/*
 * Fill *out with defaults and what the arguments say (argv[0] is skipped).
 * When -h or -V is among them nothing else is required.  VS_ERR_CONFIG: why
 * (CONFIG_WHY_MAX bytes) says in one sentence which option, which value, and
 * what is allowed.
 */
enum vs_err VS_MUST_USE config_parse(int argc, const char *const *argv, struct config *out,
				     char *why);

/*
 * A size as described above: min <= *out <= max.  VS_ERR_CONFIG: not a size;
 * VS_ERR_RANGE: outside the limits.
 */
enum vs_err VS_MUST_USE config_size(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* A size for people, shortest exact form: "64M", "1000". */
void config_size_text(uint64_t bytes, char *buf, size_t cap);

#endif
