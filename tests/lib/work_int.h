/* work_int: helpers that the operations of work.h share.  Private to tests/lib/work*.c. */
#ifndef VS_TESTS_WORK_INT_H
#define VS_TESTS_WORK_INT_H

#include "tests/lib/work.h"

enum work_kind {
	WORK_DIR,     /* any bucket */
	WORK_SUBDIR,  /* a bucket but the root */
	WORK_FILE,    /* a committed file with a name */
	WORK_FILLED,  /* one of those with a content */
	WORK_PENDING, /* a pending file */
	WORK_ANY,
};

/* A random object of a kind, 0 when there is none. */
uint64_t work_pick(struct work *w, enum work_kind kind);
/* A random pair of a key kind, or NULL; dies at the next change of the pairs. */
struct model_pair *work_pick_pair(struct work *w, enum key_kind kind);
/*
 * Read the record of id for a conditional change; it must be what the model
 * says.
 */
enum vs_err VS_MUST_USE work_record(struct work *w, uint64_t id, struct object_raw *raw);
/* Put record x in place of raw (NULL: new). */
void work_put_record(struct txn *t, const struct model_object *x, const struct object_raw *raw);
/* A fresh copy of the model's object with one more change counted at this time. */
struct model_object work_changed(struct work *w, uint64_t id);
/* Note the model under the index of the last proposal. */
void work_note_now(struct work *w);

#endif
