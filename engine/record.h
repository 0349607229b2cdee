/*
 * record: the bytes of log records and segment headers, and nothing else.
 *
 * Record format (little-endian, starts 8-aligned):
 *    0 u32 magic "VSR1"   4 u8 version   5 u8 type   6 u16 flags (0)
 *    8 u64 cluster id    16 u64 segment id
 *   24 u64 term          32 u64 index    40 u64 synced_index
 *   48 u32 meta_len      52 u32 data_len
 *   56 u32 prev_crc (header_crc of the record before it in this log; 0 at birth)
 *   60 u32 meta_crc      64 u32 table_crc   68 u32 header_crc (of bytes 0..67)
 *   72 meta | table: a CRC32C for each 4 KiB block of data | data | zeros to 8
 * A length is believed only after header_crc verified.  Everything is covered:
 * the header by its CRC, meta and table by theirs, data by the table.  The CRCs
 * of meta and data are computed once, when the bytes enter the daemon.
 *
 * Segment header (little-endian, the first bytes of
 * block 0, the rest of the block is zero; all in the first sector, so that a
 * torn write leaves the old or the new one):
 *    0 u32 magic "VSS1"   4 u8 version   5 u8 kind   6 u16 flags (0)
 *    8 u64 cluster id    16 u64 segment id
 *   24 u32 segment bytes 28 u32 header_crc (of bytes 0..27)
 *
 * Decoding never trusts a length before the header's own CRC verified, and
 * never asserts on decoded bytes.
 *
 * Thread rule: pure.
 */
#ifndef VS_ENGINE_RECORD_H
#define VS_ENGINE_RECORD_H

#include "engine/base/checksum.h"
#include "engine/log.h"

#define RECORD_BLOCK 4096u           /* unit of writing and tearing; also the segment header */
#define RECORD_SEGMENT_HEADER 32u    /* bytes of it that carry something */
#define RECORD_ROLL_LEN 80u          /* bytes of a ROLL record */
#define RECORD_MAGIC 0x31525356u     /* "VSR1" */
#define RECORD_SEG_MAGIC 0x31535356u /* "VSS1" */
#define RECORD_VERSION 1u

struct record {
	uint8_t type;
	uint64_t cluster_id, segment, term, index, synced_index;
	uint32_t meta_len, data_len;
	uint32_t prev_crc, meta_crc, table_crc;
	uint32_t header_crc; /* out: set by encode and decode */
};

struct record_segment {
	uint8_t kind;
	uint64_t cluster_id, id;
	uint32_t bytes;
};

static inline uint32_t record_align(uint32_t off)
{
	return (off + RECORD_BLOCK - 1) & ~(RECORD_BLOCK - 1);
}

/* Bytes of the checksum table of data_len bytes of data. */
static inline uint32_t record_table_len(uint32_t data_len)
{
	return checksum_blocks(data_len) * 4;
}

/* Bytes before the data: header, meta, table. */
static inline uint32_t record_head_len(uint32_t meta_len, uint32_t data_len)
{
	return LOG_RECORD_HEADER + meta_len + record_table_len(data_len);
}

/* Bytes of the whole record, a multiple of 8. */
static inline uint32_t record_len(uint32_t meta_len, uint32_t data_len)
{
	return (record_head_len(meta_len, data_len) + data_len + 7) & ~7u;
}

/* Write the LOG_RECORD_HEADER bytes of r to out and set r->header_crc. */
void record_encode(struct record *r, uint8_t *out);
/*
 * Decode LOG_RECORD_HEADER bytes.  False when they are no valid record header:
 * magic, version, CRC, type, lengths within the limits, synced_index sound.
 */
bool record_decode(const uint8_t *in, struct record *out);
/* Whether meta and table (which stand behind each other at body) verify. */
bool record_body_ok(const struct record *r, const uint8_t *body);

/* Write a whole block 0 (RECORD_BLOCK bytes). */
void record_segment_encode(const struct record_segment *s, uint8_t *out);
/* VS_ERR_CORRUPT_SEGMENT, VS_ERR_NEWER_FORMAT. */
enum vs_err VS_MUST_USE record_segment_decode(const uint8_t *in, struct record_segment *out);

#endif
