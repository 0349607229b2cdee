/*
 * checksum: CRC32C (ISA-L) for records and data blocks, XXH3 for pages and
 * state hashes.
 *
 * CRC32C is the Castagnoli polynomial of RFC 3720 (initial and final
 * inversion included: crc32c("123456789") = 0xe3069283).
 *
 * Thread rule: pure.
 */
#ifndef VS_BASE_CHECKSUM_H
#define VS_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Data is checksummed in blocks of this many bytes; the last may be shorter. */
#define CHECKSUM_BLOCK 4096u

uint32_t checksum_crc32c(const void *p, size_t len);

/* Continue crc (a result of checksum_crc32c) over more bytes. */
uint32_t checksum_crc32c_more(uint32_t crc, const void *p, size_t len);

uint64_t checksum_xxh3(const void *p, size_t len);

/* Number of blocks that len bytes have. */
static inline uint32_t checksum_blocks(size_t len)
{
	return (uint32_t)((len + CHECKSUM_BLOCK - 1) / CHECKSUM_BLOCK);
}

/* One little-endian CRC32C per block of data, checksum_blocks(len) * 4 bytes, to out. */
void checksum_table(const void *data, size_t len, void *out);

#endif
