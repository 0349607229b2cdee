/*
 * log_scan: read the records of one segment in file order, following the
 * chain; and look for records that vouch for a missing one.
 *
 * Bytes read here are from outside: nothing about them is asserted.
 *
 * Reading at start (log_open): fsync first, so that nothing is decided on
 * bytes that are not on disk (F66).  From the checkpoint's position follow the
 * chain: right cluster id, segment id, prev_crc, index = last + 1 (ROLL and
 * other records without index of their own repeat the last), term not
 * falling.  At a place inside a block the next 4 KiB boundary is tried first:
 * a record there that continues the chain was written after a restart which
 * dropped what still stands in between.  Where neither holds one, the log ends.
 * If any later record in this or a following segment (every multiple of 8 is
 * searched; a following segment only when its first 256 KiB hold a record of
 * its own) carries synced_index >= the index that is missing, the place is *damage*, not a torn
 * tail: VS_ERR_CORRUPT_LOG with the place in the report, and nothing is changed.  Data of records
 * at or below the last synced_index seen is not read; data above it is verified, and a mismatch
 * there is a torn tail.
 *
 * Thread rule: one thread per scan object; the file stays open meanwhile.
 */
#ifndef VS_ENGINE_LOG_SCAN_H
#define VS_ENGINE_LOG_SCAN_H

#include "engine/record.h"

/* The last record, as the next one refers to it. */
struct log_chain {
	uint32_t prev_crc;
	uint64_t index, term;
	bool any; /* not known: the first record found is taken */
};

struct log_scan {
	struct env *env;
	struct env_file *file;
	uint64_t cluster_id, segment;
	uint8_t kind;
	uint32_t bytes; /* of the segment */
	uint32_t off;   /* where the next record is looked for */
	struct log_chain chain;
	uint64_t bytes_read;
	uint8_t *buf; /* window [buf_off, buf_off + buf_len) of the file */
	uint32_t buf_off, buf_len, buf_cap;
};

/* VS_ERR_NOMEM. */
enum vs_err VS_MUST_USE log_scan_init(struct log_scan *s, struct env *env, uint64_t cluster_id);
void log_scan_fini(struct log_scan *s);
/* Go on at off in another segment (or the same); the chain stays as it is. */
void log_scan_seek(struct log_scan *s, struct env_file *file, uint64_t segment, uint8_t kind,
		   uint32_t bytes, uint32_t off);

/*
 * The next record of the chain, its meta and table verified and borrowed until
 * the next call; *r its header.  VS_ERR_END: none stands at s->off nor at the
 * block boundary behind it.  VS_ERR_IO_READ.
 */
enum vs_err VS_MUST_USE log_scan_next(struct log_scan *s, struct record *r, struct log_record *out);

/* Compare the data of rec with its table.  VS_ERR_CORRUPT_RECORD, VS_ERR_IO_READ. */
enum vs_err VS_MUST_USE log_scan_data(struct log_scan *s, const struct log_record *rec);

/*
 * Whether a valid record header of this segment at or behind s->off, at any
 * multiple of 8, carries a synced_index >= index.  With probe, the search
 * ends behind the first window when no record of the segment is in it: a
 * spare that was never used need not be read whole.  VS_ERR_IO_READ.
 */
enum vs_err VS_MUST_USE log_scan_vouched(struct log_scan *s, uint64_t index, bool probe,
					 bool *vouched);

#endif
