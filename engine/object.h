/*
 * object: buckets, entries, objects and their contents on top of transactions.
 *
 * What it is: the meaning of the keys of keys.h: record formats, functions
 * that add the changes of one thing to a transaction, reading of file
 * contents, and the object API by path (object_api.h) that the admin tool and
 * the mount share.
 *
 * What it is not: POSIX rules, permissions, caches and handles live in fs/.
 *
 * Contents.  A file's bytes belong to a *content*, a number in its record, not
 * to the object: replacing a file builds a new content beside the old one and
 * switches the number in one transaction (P2).  Extents are keyed by content.
 * A content that lost its object is queued ('G') and collected in steps.  A
 * content that is not yet an object's is listed under 'N' for its session and
 * collected when the session ends without a commit.
 *
 * Extents.  ['X' content end] -> {start, chunk index, chunk data offset, skip}.
 * File offset and skip are multiples of OBJECT_BLOCK; only the extent at the
 * end of the file may end elsewhere.  Holes are missing extents.  Bytes of the
 * last block behind the file's size are not stored.
 *
 * Concurrency: every change of an object's record or extents is conditional on
 * the record being unchanged (txn_if_value) and bumps `change`, so evaluating
 * against the current state without a lock is safe: VS_ERR_COND means evaluate
 * again.  Directories change by ADD and MAX on fields of their record, so two
 * creations in one directory do not conflict.
 *
 * Thread rule: pure but for the functions that take a store, which are
 * thread-safe.
 */
#ifndef VS_ENGINE_OBJECT_H
#define VS_ENGINE_OBJECT_H

#include "engine/store.h"

#define OBJECT_ROOT 1u
#define OBJECT_BLOCK 4096u
#define OBJECT_INLINE_MAX 2048u /* bytes of file data kept in the record */
#define OBJECT_TARGET_MAX 4095u /* bytes of a symlink's target */
#define OBJECT_SIZE_MAX INT64_MAX
#define OBJECT_LINK_MAX 65000u
#define OBJECT_XATTR_MAX 65536u /* bytes of an xattr's value */

enum object_flags {
	OBJECT_INLINE = 1,     /* the data is the record's tail; there are no extents */
	OBJECT_HAS_XATTR = 2,  /* some 'A' key exists or existed */
	OBJECT_HAS_ACL = 4,    /* system.posix_acl_access exists */
	OBJECT_HAS_DEFACL = 8, /* system.posix_acl_default exists */
};

/* The decoded record; the encoding is fixed fields at the offsets below. */
struct object {
	uint32_t flags, mode, uid, gid;
	uint64_t nlink, size;
	uint64_t alloc_bytes; /* sum of extent lengths (st_blocks * 512, rounded up) */
	int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
	uint64_t content;
	uint64_t session; /* pending: the session that made it; 0 = committed */
	uint64_t parent;  /* buckets: the bucket that holds it */
	uint64_t entries; /* buckets: number of entries */
	uint64_t rdev;
	uint64_t change;   /* counts changes */
	struct bytes tail; /* inline data or symlink target; borrowed */
};

/* Field offsets in the encoded record, for ADD and MAX. */
enum object_field {
	OBJECT_OFF_NLINK = 16,
	OBJECT_OFF_ATIME = 40,
	OBJECT_OFF_MTIME = 48,
	OBJECT_OFF_CTIME = 56,
	OBJECT_OFF_ENTRIES = 96,
	OBJECT_OFF_CHANGE = 112,
	OBJECT_FIXED = 120, /* bytes before the tail */
};
#define OBJECT_RECORD_MAX (OBJECT_FIXED + OBJECT_TARGET_MAX)

/* A raw record with its bytes, as read; the base for a conditional change. */
struct object_raw {
	size_t len;
	uint8_t b[OBJECT_RECORD_MAX];
};

struct object_entry {
	uint64_t object;
	uint64_t cookie; /* position in listing order: a fresh id, kept while the name lasts */
	uint8_t type;    /* S_IFMT bits of mode >> 12, as d_type */
};

struct object_extent {
	uint64_t start, end; /* file offsets */
	uint64_t index;      /* chunk; 0 in a transaction: the entry's own data */
	uint32_t data_off;   /* chunk */
	uint32_t skip;       /* bytes into the chunk where start stands */
};

/* --- codecs ------------------------------------------------------------------ */

size_t object_encode(const struct object *o, uint8_t out[OBJECT_RECORD_MAX]);
enum vs_err VS_MUST_USE object_decode(struct bytes v, struct object *out);
enum vs_err VS_MUST_USE object_entry_decode(struct bytes v, struct object_entry *out);
/* Value of a 'D' key; name is borrowed from v, cookie is taken from the key. */
enum vs_err VS_MUST_USE object_dirent_decode(struct bytes key, struct bytes v,
					     struct object_entry *out, struct bytes *name);
enum vs_err VS_MUST_USE object_extent_decode(struct bytes key, struct bytes v,
					     struct object_extent *out);

/* --- reading ------------------------------------------------------------------ */

/* Read and decode the record; out->tail points into raw.  VS_ERR_NOENT. */
enum vs_err VS_MUST_USE object_get(struct store *s, uint64_t id, struct object_raw *raw,
				   struct object *out);
/* VS_ERR_NOENT. */
enum vs_err VS_MUST_USE object_lookup(struct store *s, uint64_t bucket, struct bytes name,
				      struct object_entry *out);

/*
 * Read [off, off+len) of a content into buf; holes give zeros.  The caller
 * clips to the file's size.  Any alignment.  VS_ERR_CORRUPT_CHUNK, _IO_READ,
 * VS_ERR_STALE when the content was collected meanwhile.
 */
enum vs_err VS_MUST_USE object_read(struct store *s, uint64_t content, uint64_t off, void *buf,
				    size_t len);

/*
 * Start of the first data (hole false) or hole (hole true) at or behind off in
 * a content, size = end of file, where a hole always begins.  VS_ERR_NXIO:
 * off >= size or no data behind off.
 */
enum vs_err VS_MUST_USE object_seek(struct store *s, uint64_t content, uint64_t size, uint64_t off,
				    bool hole, uint64_t *out);

/* --- changes; each adds to a transaction ---------------------------------------- */

/* Put the record of id; when old is given, only if it is unchanged.  The caller bumped o->change.
 */
void object_txn_put(struct txn *t, uint64_t id, const struct object *o,
		    const struct object_raw *old);

/*
 * Add entry (bucket, name) -> e if the name is absent and the bucket exists;
 * the bucket's entries +1, mtime and ctime to now.  Link counts are the
 * caller's.
 */
void object_txn_link(struct txn *t, uint64_t bucket, struct bytes name,
		     const struct object_entry *e, int64_t now_ns);
/* Remove the entry if it still is e; entries -1, mtime and ctime to now. */
void object_txn_unlink(struct txn *t, uint64_t bucket, struct bytes name,
		       const struct object_entry *e, int64_t now_ns);
/* Point the entry at another object if it still is old; the cookie stays.  mtime and ctime to now.
 */
void object_txn_relink(struct txn *t, uint64_t bucket, struct bytes name,
		       const struct object_entry *old, uint64_t object, uint8_t type,
		       int64_t now_ns);

/*
 * Put extents e[0..n), ascending and apart, into a content: what stood there
 * is cut or removed, with to_end also everything behind the last one.  Each
 * takes whole blocks.  Reads the present extents; the transaction must be
 * conditional on the object's record, and have no other change of this
 * content's extents.  *alloc_delta += change of allocated bytes.  At most
 * max_extents present extents are touched, else VS_ERR_TOOBIG (do it in steps,
 * or by switching contents).  The chunks carry their references already
 * (txn_chunk, txn_ref).
 */
enum vs_err VS_MUST_USE object_txn_extents(struct store *s, struct txn *t, uint64_t content,
					   const struct object_extent *e, uint32_t n, bool to_end,
					   uint32_t max_extents, int64_t *alloc_delta);
/* Make [start, end), whole blocks (UINT64_MAX: everything behind), a hole; likewise. */
enum vs_err VS_MUST_USE object_txn_hole(struct store *s, struct txn *t, uint64_t content,
					uint64_t start, uint64_t end, uint32_t max_extents,
					int64_t *alloc_delta);

enum vs_err VS_MUST_USE object_txn_extent(struct store *s, struct txn *t, uint64_t content,
					  uint64_t start, uint64_t end,
					  const struct object_extent *e, uint32_t max_extents,
					  int64_t *alloc_delta);

/*
 * Drop a content that its object gives up in this transaction: removed at
 * once when it has at most 8 extents, else queued for collection.
 */
enum vs_err VS_MUST_USE object_txn_drop_content(struct store *s, struct txn *t, uint64_t content);

/*
 * Delete an object's record, xattrs and content (its last name is gone and
 * nobody has it open), if the record is unchanged.
 */
enum vs_err VS_MUST_USE object_txn_delete(struct store *s, struct txn *t, uint64_t id,
					  const struct object_raw *raw, const struct object *o);

/* --- extended attributes --------------------------------------------------------- */

/* Copy the value (at most cap bytes), *len its length.  VS_ERR_NODATA. */
enum vs_err VS_MUST_USE object_xattr_get(struct store *s, uint64_t id, struct bytes name, void *buf,
					 size_t cap, size_t *len);
/*
 * Put (value.p set) or remove (value.p NULL) an xattr.  Values above
 * TREE_VALUE_MAX - 16 become the entry's data: at most one per transaction,
 * and t->data must be free.  The old value's chunk is released.
 */
enum vs_err VS_MUST_USE object_txn_xattr(struct store *s, struct txn *t, uint64_t id,
					 struct bytes name, struct bytes value);

/* Whether an 'A' value stands in a chunk, and in which. */
bool object_xattr_chunk(struct bytes v, uint64_t *index, uint32_t *data_off);

/* --- garbage ----------------------------------------------------------------------- */

/*
 * One bounded step of collecting queued contents ('G').  *more = there is
 * more.  Called by store maintenance.
 */
enum vs_err VS_MUST_USE object_gc_step(struct store *s, bool *more, uint64_t *contents,
				       uint64_t *bytes);
/*
 * Undo what sessions other than `keep` left behind: pending objects, pending
 * contents, unlinked objects.  For recovery (keep 0: all sessions) and for the
 * end of a session.
 */
enum vs_err VS_MUST_USE object_sweep_sessions(struct store *s, uint64_t keep);
enum vs_err VS_MUST_USE object_sweep_session(struct store *s, uint64_t session);

/* Make the root bucket (id 1) of a new store. */
enum vs_err VS_MUST_USE object_format(struct store *s, uint32_t uid, uint32_t gid, uint32_t mode);

#endif
