/*
 * model: what a store should hold, as plain arrays, and a digest of it.
 *
 * The model is changed beside the store by the workload driver (work.h) and
 * read back from a store with model_load; two models hold the same when their
 * digests are equal.  It knows what users see: objects, entries, attributes,
 * file bytes and which blocks of them exist, marks of sessions, KV pairs.  It
 * does not know chunks, references, garbage and ids (verify.h checks those).
 *
 * Thread rule: one owner.
 */
#ifndef VS_TESTS_MODEL_H
#define VS_TESTS_MODEL_H

#include "engine/object.h"

#define MODEL_FILE_MAX (512u << 10) /* bytes of one content */

struct model_content {
	uint64_t id;
	uint64_t blocks; /* in data and map */
	uint8_t *data;   /* zeros where nothing is mapped */
	uint16_t *map;   /* bytes of each block that an extent covers */
};

struct model_object {
	uint64_t id;
	struct object o; /* tail unused */
	size_t tail_len;
	uint8_t tail[OBJECT_INLINE_MAX];
};

struct model_entry {
	uint64_t bucket, object, cookie;
	uint8_t type;
	uint16_t len;
	uint8_t name[KEY_NAME_MAX];
};

/* Any other key: an xattr ('A' id name), KV pair ('K'), mark ('P', 'N', 'U'). */
struct model_pair {
	struct key k;
	size_t len;
	uint8_t *value; /* an xattr's bytes, wherever they stand */
};

struct model {
	struct model_content *content;
	struct model_object *object;
	struct model_entry *entry;
	struct model_pair *pair;
	uint32_t contents, objects, entries, pairs;
	uint32_t content_cap, object_cap, entry_cap, pair_cap;
};

void model_init(struct model *m);
void model_fini(struct model *m);

/* Pointers die at the next change of their array; NULL: not there. */
struct model_content *model_content(struct model *m, uint64_t id);
struct model_object *model_object(struct model *m, uint64_t id);
struct model_entry *model_entry(struct model *m, uint64_t bucket, struct bytes name);
struct model_pair *model_pair(struct model *m, const struct key *k);

struct model_content *model_content_add(struct model *m, uint64_t id);
void model_content_drop(struct model *m, uint64_t id); /* absent is fine */
/* Map [off, off+len) and put data there; off on a block boundary. */
void model_content_write(struct model_content *c, uint64_t off, const void *data, size_t len);
/* Unmap everything from off to end; both on block boundaries, or end behind the last block. */
void model_content_clear(struct model_content *c, uint64_t off, uint64_t end);
uint64_t model_content_alloc(const struct model_content *c); /* mapped bytes */
uint64_t model_content_end(const struct model_content *c);   /* behind the last mapped byte */

struct model_object *model_object_add(struct model *m, uint64_t id);
void model_object_drop(struct model *m, uint64_t id); /* with its pairs 'A'; not its content */

/* Add or remove an entry; the bucket changes as object.h says. */
void model_link(struct model *m, uint64_t bucket, struct bytes name, const struct object_entry *e,
		int64_t now_ns);
void model_unlink(struct model *m, uint64_t bucket, struct bytes name, int64_t now_ns);
void model_relink(struct model *m, uint64_t bucket, struct bytes name, uint64_t object,
		  uint8_t type, int64_t now_ns);

void model_pair_put(struct model *m, const struct key *k, struct bytes value);
void model_pair_drop(struct model *m, const struct key *k); /* absent is fine */

/* Undo what a session (0: all of them) left behind, as object_sweep_session does. */
void model_sweep(struct model *m, uint64_t session);

uint64_t model_digest(const struct model *m);

/*
 * Read everything a store holds into *m (fresh).  Errors of the store; a
 * record that makes no sense is VS_ERR_CORRUPT_VALUE.
 */
enum vs_err VS_MUST_USE model_load(struct model *m, struct store *s);

/* Print what differs, a few lines, to stderr. */
void model_diff(struct model *want, struct model *have);

#endif
