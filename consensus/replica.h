/*
 * replica: one node's copy of the state, as the file system sees it: propose
 * a transaction, wait for durability.
 *
 * What it is: the thread shell around a store; the seam where consensus
 * orders.  Reads go to the store itself (replica_store).  Without a cluster it
 * is a group of one: a proposal is ordered and applied in the calling thread.
 *
 * It owns the background threads: one keeps spare segments ready and makes the
 * disk follow acknowledged operations, one does checkpoints, collection and
 * cleaning.
 *
 * Thread rule: thread-safe.
 */
#ifndef VS_CONSENSUS_REPLICA_H
#define VS_CONSENSUS_REPLICA_H

#include "engine/object.h"

struct replica;

struct replica_config {
	struct store *store; /* outlives the replica */
	uint32_t uid, gid;   /* owner of the root directory of a new store */
	/*
	 * Called once, from any thread, when the device failed: nothing is
	 * acknowledged any more and the process must end.
	 */
	void (*failed)(void *arg, enum vs_err err);
	void *arg;
};

/*
 * Undo what earlier sessions left behind, make the root directory of a new
 * store, take a session, start the threads.
 */
enum vs_err VS_MUST_USE replica_open(const struct replica_config *config, struct replica **out);
/* Stop the threads.  No call is under way. */
void replica_close(struct replica *r);

struct store *replica_store(struct replica *r);

/* The session of this mount: owner of its pending and unlinked objects. */
uint64_t replica_session(struct replica *r);

/*
 * Order and apply.  On VS_OK it is visible on this node and survives kill -9;
 * use replica_sync for durability.  VS_ERR_COND: evaluate again.
 */
enum vs_err VS_MUST_USE replica_propose(struct replica *r, const struct txn *t,
					struct store_result *out);

/* Wait until index is durable; or have w->done called then (log_sync_async). */
enum vs_err VS_MUST_USE replica_sync(struct replica *r, uint64_t index);
void replica_sync_async(struct replica *r, struct log_waiter *w);

/* Tell the maintenance thread that there is something to do. */
void replica_kick(struct replica *r);

#endif
