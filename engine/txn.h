/*
 * txn: transactions: conditions and operations on keys, encoded as one log
 * entry.  The only way replicated state changes.
 *
 * Evaluated in log order, deterministically: when all conditions hold all
 * operations happen, else nothing does.  Times, ids and random bits are chosen
 * by the proposer and are part of the transaction.
 *
 * Encoding (little-endian): u8 version (1) | u8 0 | u16 item count |
 * u64 session | u64 sequence | items.  An item is u8 kind | u16 key length |
 * key | by kind:
 *   IF_ABSENT, IF_PRESENT, IF_EMPTY (the key is a prefix), DEL   nothing
 *   IF_VALUE      u64 XXH3 of the present value
 *   PUT           u16 length, value
 *   PUT_SELF      u16 offset, u16 length, value; the u64 at offset in the value
 *                 is replaced by the entry's own index
 *   ADD           u16 offset, u64 delta: u64 field at offset += delta
 *   MAX           u16 offset, u64 value: i64 field = max(field, value)
 *   CHUNK         (no key) u32 data offset, u32 length, u32 references: data
 *                 [offset, offset+length) of this entry becomes chunk
 *                 (own index, offset); offset is a multiple of 4096
 *   REF           (key of a chunk) u32 delta as two's complement; a chunk
 *                 with no reference left is deleted
 * ADD, MAX and REF on an absent key or a field out of range are failed
 * conditions.  Order of items is the order of effect; conditions see the
 * state before the first operation.
 *
 * A transaction with session != 0 and sequence != 0 is applied once: a second
 * one with the same pair is answered with the first one's index.
 *
 * Thread rule: pure.
 */
#ifndef VS_ENGINE_TXN_H
#define VS_ENGINE_TXN_H

#include "engine/base/bytes.h"
#include "engine/base/checksum.h"
#include "engine/base/err.h"
#include "engine/keys.h"

#define TXN_META_MAX (512u << 10) /* bytes of an encoded transaction */
#define TXN_ITEMS_MAX 8192u

enum txn_kind {
	TXN_IF_ABSENT = 1,
	TXN_IF_PRESENT = 2,
	TXN_IF_VALUE = 3,
	TXN_IF_EMPTY = 4,
	TXN_PUT = 16,
	TXN_PUT_SELF = 17,
	TXN_DEL = 18,
	TXN_ADD = 19,
	TXN_MAX = 20,
	TXN_CHUNK = 21,
	TXN_REF = 22,
};

/* --- building ------------------------------------------------------------ */

/*
 * A transaction under construction in a growing heap buffer.  Sticky failure:
 * out of memory or too large sets `bad`; store_propose then answers
 * VS_ERR_NOMEM or VS_ERR_TOOBIG.  data is one contiguous run of bytes that
 * becomes the data of the entry, borrowed from the caller.
 */
struct txn {
	uint8_t *buf;
	size_t len, cap;
	uint32_t items;
	uint32_t changes; /* items that change a key */
	enum vs_err bad;
	struct bytes data;
	bool use_reserve;   /* frees space: may use what is reserved for that */
	bool lazy;          /* promises nothing yet: need not be in the kernel when answered */
	uint8_t local[512]; /* small transactions need no heap */
};

void txn_init(struct txn *t);
void txn_fini(struct txn *t);
void txn_reset(struct txn *t); /* empty again, keeps the buffer */
void txn_session(struct txn *t, uint64_t session, uint64_t sequence);

void txn_if_absent(struct txn *t, const struct key *k);
void txn_if_present(struct txn *t, const struct key *k);
void txn_if_value(struct txn *t, const struct key *k, struct bytes present);
void txn_if_empty(struct txn *t, const struct key *prefix);
void txn_put(struct txn *t, const struct key *k, struct bytes value);
void txn_put_self(struct txn *t, const struct key *k, struct bytes value, uint16_t self_off);
void txn_del(struct txn *t, const struct key *k);
void txn_add(struct txn *t, const struct key *k, uint16_t off, int64_t delta);
void txn_max(struct txn *t, const struct key *k, uint16_t off, int64_t value);
void txn_chunk(struct txn *t, uint32_t data_off, uint32_t len, uint32_t refs);
void txn_ref(struct txn *t, const struct key *chunk, int32_t delta);

/* --- reading --------------------------------------------------------------- */

struct txn_item {
	uint8_t kind;
	struct bytes key;
	struct bytes value;     /* PUT, PUT_SELF */
	uint64_t number;        /* IF_VALUE hash; ADD delta; MAX value */
	uint16_t off;           /* PUT_SELF, ADD, MAX */
	uint32_t data_off, len; /* CHUNK */
	uint32_t refs;          /* CHUNK; REF: two's complement delta */
};

struct txn_reader {
	struct reader r;
	uint32_t items_left;
	uint64_t session, sequence;
};

/* Hostile input is fine: VS_ERR_CORRUPT_VALUE. */
enum vs_err VS_MUST_USE txn_reader_init(struct txn_reader *r, struct bytes meta);
/* Next item, borrowed from meta.  VS_ERR_END, VS_ERR_CORRUPT_VALUE. */
enum vs_err VS_MUST_USE txn_reader_next(struct txn_reader *r, struct txn_item *out);

static inline bool txn_is_condition(uint8_t kind)
{
	return kind < TXN_PUT;
}

#endif
