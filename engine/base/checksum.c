#include "engine/base/checksum.h"

#include "engine/base/bytes.h"

#include <isa-l/crc.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

uint32_t checksum_crc32c_more(uint32_t crc, const void *p, size_t len)
{
	const uint8_t *b = p;
	size_t step;

	crc = ~crc;
	for (; len; len -= step, b += step) {
		step = len < (1u << 30) ? len : (1u << 30);
		/* ISA-L takes a non-const pointer and an int, and writes nothing */
		crc = crc32_iscsi((unsigned char *)(uintptr_t)b, (int)step, crc);
	}
	return ~crc;
}

uint32_t checksum_crc32c(const void *p, size_t len)
{
	return checksum_crc32c_more(0, p, len);
}

uint64_t checksum_xxh3(const void *p, size_t len)
{
	return XXH3_64bits(p, len);
}

void checksum_table(const void *data, size_t len, void *out)
{
	const uint8_t *p = data;
	uint8_t *to = out;
	size_t n;

	for (; len; len -= n, p += n, to += 4) {
		n = len < CHECKSUM_BLOCK ? len : CHECKSUM_BLOCK;
		put_le32(to, checksum_crc32c(p, n));
	}
}
