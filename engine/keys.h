/*
 * keys: the binary, order-preserving keys of the tree.
 *
 * One prefix byte per kind; integers are big-endian so that byte order is
 * numeric order.  Kinds are upper case; lower case is kept for keys that would
 * be local to a replica and no part of the replicated state.
 *
 *   'O' id64                object or bucket record      (object.h)
 *   'E' bucket64 name       entry: name -> object        (object.h)
 *   'D' bucket64 cookie64   the same entries in listing order
 *   'X' content64 end64     extent; keyed by its END offset in the file, so
 *                           that the first key > (content, off) covers off
 *   'C' index64 off32       chunk: data at off of log entry index
 *   'A' object64 name       extended attribute
 *   'P' session64 object64  pending object: {bucket64le, cookie64le, name}
 *   'N' session64 content64 content of an uncommitted replacement
 *   'U' session64 object64  object without a name that is still open
 *   'G' content64           content to be collected
 *   'Z' session64           session: {sequence64le, ...}
 *   'K' bytes               keys of the key-value shell
 *   'S' text                system values
 *
 * Thread rule: pure.
 */
#ifndef VS_ENGINE_KEYS_H
#define VS_ENGINE_KEYS_H

#include "engine/base/bytes.h"
#include "engine/tree.h"

#define KEY_NAME_MAX 255u /* bytes of an entry or xattr name */

enum key_kind {
	KEY_OBJECT = 'O',
	KEY_ENTRY = 'E',
	KEY_DIRENT = 'D',
	KEY_EXTENT = 'X',
	KEY_CHUNK = 'C',
	KEY_XATTR = 'A',
	KEY_PENDING = 'P',
	KEY_PENDING_CONTENT = 'N',
	KEY_UNLINKED = 'U',
	KEY_GARBAGE = 'G',
	KEY_SESSION = 'Z',
	KEY_KV = 'K',
	KEY_SYSTEM = 'S',
};

/* A key by value; passes cheaply, needs no cleanup. */
struct key {
	uint16_t len;
	uint8_t b[TREE_KEY_MAX];
};

static inline struct bytes key_bytes(const struct key *k)
{
	return bytes_of(k->b, k->len);
}

/* Kind alone: the prefix of all keys of a kind. */
static inline void key_kind(struct key *k, enum key_kind kind)
{
	k->b[0] = (uint8_t)kind;
	k->len = 1;
}

/* Kind and one number: O, G, Z; and the prefix of E, D, X, A, P, N, U. */
static inline void key_u64(struct key *k, enum key_kind kind, uint64_t a)
{
	k->b[0] = (uint8_t)kind;
	put_be64(k->b + 1, a);
	k->len = 9;
}

/* Kind and two numbers: D, X, P, N, U. */
static inline void key_u64_u64(struct key *k, enum key_kind kind, uint64_t a, uint64_t b)
{
	key_u64(k, kind, a);
	put_be64(k->b + 9, b);
	k->len = 17;
}

/* Kind, number, name (1..KEY_NAME_MAX bytes, not checked): E, A. */
static inline void key_u64_name(struct key *k, enum key_kind kind, uint64_t a, struct bytes name)
{
	key_u64(k, kind, a);
	if (name.len)
		memcpy(k->b + 9, name.p, name.len);
	k->len = (uint16_t)(9 + name.len);
}

static inline void key_chunk(struct key *k, uint64_t index, uint32_t off)
{
	key_u64(k, KEY_CHUNK, index);
	put_be32(k->b + 9, off);
	k->len = 13;
}

/* 'S' or 'K' followed by text or bytes. */
static inline void key_text(struct key *k, enum key_kind kind, struct bytes text)
{
	k->b[0] = (uint8_t)kind;
	if (text.len)
		memcpy(k->b + 1, text.p, text.len);
	k->len = (uint16_t)(1 + text.len);
}

/* Whether keys of this kind are part of the replicated state. */
static inline bool key_replicated(struct bytes k)
{
	return k.len && !(((const uint8_t *)k.p)[0] >= 'a');
}

#endif
