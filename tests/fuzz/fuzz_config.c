/*
 * fuzz_config: the daemon's command line.  The input is the arguments, a NUL
 * after each.  Whatever is accepted is within the limits.
 */
#include "engine/base/assert.h"
#include "tools/config.c" // NOLINT(bugprone-suspicious-include)

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define ARGS_MAX 32

static void check_accepted(const struct config *c)
{
	uint64_t chunk = c->chunk_bytes ? c->chunk_bytes : STORE_CHUNK_DEFAULT;
	uint64_t segment = c->segment_bytes ? c->segment_bytes : STORE_SEGMENT_DEFAULT;

	vs_assert(memchr(c->fuse_options, 0, sizeof c->fuse_options));
	vs_assert(memchr(c->log_file, 0, sizeof c->log_file));
	vs_assert(c->cache_bytes >= CACHE_MIN && c->cache_bytes <= CACHE_MAX);
	vs_assert(c->dirty_bytes >= DIRTY_MIN && c->dirty_bytes <= DIRTY_MAX);
	vs_assert(c->commit_s >= COMMIT_MIN && c->commit_s <= COMMIT_MAX);
	vs_assert(c->durability <= FS_DURABILITY_FSYNC && c->loglevel <= CONFIG_LEVEL_DEBUG);
	if (c->help || c->version)
		return;
	vs_assert(*c->data_dir && *c->mountpoint);
	vs_assert(!(chunk & (chunk - 1)) && segment >= SEGMENT_CHUNKS * chunk);
	vs_assert(c->log != CONFIG_LOG_FILE || *c->log_file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct config c;
	const char *argv[ARGS_MAX] = {"veristore"};
	char why[CONFIG_WHY_MAX];
	char *text = malloc(len + 1);
	int argc = 1;

	if (!text)
		return 0;
	if (len)
		memcpy(text, data, len);
	text[len] = 0;
	for (size_t at = 0; at < len && argc < ARGS_MAX; at += strlen(text + at) + 1)
		argv[argc++] = text + at;
	if (config_parse(argc, argv, &c, why) == VS_OK)
		check_accepted(&c);
	else
		vs_assert(*why && memchr(why, 0, sizeof why));
	free(text);
	return 0;
}
