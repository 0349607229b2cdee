/*
 * verify: the full check of an open store: what must hold of any state,
 * whatever was done to it.
 *
 *   - scrub finds no error;
 *   - every chunk has as many references as extents and attributes name it,
 *     and none is named that is not there;
 *   - every extent belongs to a content of an object, a session or the
 *     garbage queue;
 *   - counters (keys, objects, chunks, live bytes, garbage contents) and the
 *     state hash are what a scan gives; live bytes and counts of each segment
 *     are those of the chunks that stand in it;
 *   - buckets count their entries, files their names and their blocks.
 *
 * Thread rule: the caller is alone with the store.
 */
#ifndef VS_TESTS_VERIFY_H
#define VS_TESTS_VERIFY_H

#include "tests/lib/model.h"

/* False with a line in why when something does not hold. */
bool verify_store(struct store *s, char *why, size_t cap);
/* The part of it that needs no disk: scans only, no scrub (which takes a checkpoint). */
bool verify_accounts(struct store *s, char *why, size_t cap);
bool verify_model(struct model *m, char *why, size_t cap);

#endif
