/*
 * fuzz_record: any bytes as the records of a log segment.  The input stands at
 * offset 4096 of a segment file, as it is and with the checksums of its first
 * record made to fit; both are scanned to the end.
 */
#include "engine/base/assert.h"
#include "engine/log_scan.h"
#include "tests/lib/env_mem.h"

#include <stdlib.h>

#define SEGMENT (256u << 10)
#define NAME "segment"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void scan(struct env *env, struct env_file *f, uint64_t cluster, uint64_t segment)
{
	struct log_scan s;
	struct log_record rec;
	struct record r;
	bool vouched;
	uint32_t n = 0;

	if (log_scan_init(&s, env, cluster))
		return;
	s.chain.any = true;
	log_scan_seek(&s, f, segment, LOG_KIND_LOG, SEGMENT, RECORD_BLOCK);
	while (log_scan_next(&s, &r, &rec) == VS_OK) {
		volatile uint32_t sum = checksum_crc32c(rec.meta.p, rec.meta.len);

		(void)sum;
		vs_assert(s.off <= SEGMENT && ++n < SEGMENT / 8);
		(void)!log_scan_data(&s, &rec);
	}
	(void)!log_scan_vouched(&s, 5, false, &vouched);
	log_scan_fini(&s);
}

/* Make the checksums of the record at p fit, as far as it lies inside. */
static void mend(uint8_t *p, size_t len)
{
	uint32_t meta, table;

	if (len < LOG_RECORD_HEADER)
		return;
	put_le32(p, RECORD_MAGIC);
	p[4] = RECORD_VERSION;
	put_le16(p + 6, 0);
	meta = get_le32(p + 48);
	table = record_table_len(get_le32(p + 52) % (1u << 20));
	if (meta < len && LOG_RECORD_HEADER + (size_t)meta + table <= len) {
		put_le32(p + 60, checksum_crc32c(p + LOG_RECORD_HEADER, meta));
		put_le32(p + 64, checksum_crc32c(p + LOG_RECORD_HEADER + meta, table));
	}
	put_le32(p + 68, checksum_crc32c(p, 68));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct env_mem *m = env_mem_new(1);
	struct env *env = env_mem_env(m);
	size_t n = len < SEGMENT - RECORD_BLOCK ? len : SEGMENT - RECORD_BLOCK;
	uint8_t *copy = malloc(n + LOG_RECORD_HEADER);
	struct env_file *f;

	vs_assert(copy);
	memset(copy, 0, n + LOG_RECORD_HEADER);
	if (n)
		memcpy(copy, data, n);
	vs_assert(!env->ops->open(env, NAME, ENV_WRITE | ENV_CREATE, &f));
	vs_assert(!env->ops->allocate(f, 0, SEGMENT));
	for (int mended = 0; mended < 2; mended++) {
		if (n)
			vs_assert(!env_pwrite(env, f, copy, n, RECORD_BLOCK));
		scan(env, f, get_le64(copy + 8), get_le64(copy + 16));
		mend(copy, n);
	}
	env->ops->close(f);
	env_mem_free(m);
	free(copy);
	return 0;
}
