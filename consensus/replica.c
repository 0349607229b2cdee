/*
 * The group of one: proposals go straight to the store; two threads do what
 * nobody waits for.
 *
 *   follow   keeps a spare segment ready and syncs what was acknowledged
 *            without a sync, at most FOLLOW_MS after it was ordered
 *   maintain checkpoints, collects, cleans
 */
#include "consensus/replica.h"

#include "engine/base/assert.h"
#include "engine/base/thread.h"

#include <stdatomic.h>
#include <stdlib.h>

#define FOLLOW_MS 20u
#define MAINTAIN_MS 1000u
#define PACE_MS 2u /* between steps of maintenance, so that it leaves the machine usable */

struct replica {
	struct replica_config config;
	uint64_t session;
	_Atomic bool failed;

	struct mutex mutex;
	struct cond follow_cond, maintain_cond;
	bool stop GUARDED_BY(mutex);
	bool kick GUARDED_BY(mutex);
	bool unsynced GUARDED_BY(mutex); /* the follow thread has something to do */
	pthread_t follow, maintain;
};

static enum vs_err check(struct replica *r, enum vs_err err)
{
	if (vs_err_class(err) == VS_CLASS_FATAL && !atomic_exchange(&r->failed, true) &&
	    r->config.failed)
		r->config.failed(r->config.arg, err);
	return err;
}

static void *follow_main(void *arg)
{
	struct replica *r = arg;

	mutex_lock(&r->mutex);
	while (!r->stop) {
		while (!r->unsynced && !r->stop)
			cond_wait(&r->follow_cond, &r->mutex);
		if (r->stop)
			break;
		cond_wait_ms(&r->follow_cond, &r->mutex, FOLLOW_MS);
		r->unsynced = false;
		mutex_unlock(&r->mutex);
		check(r, store_sync(r->config.store, store_last_index(r->config.store)));
		store_prepare(r->config.store);
		mutex_lock(&r->mutex);
	}
	mutex_unlock(&r->mutex);
	return NULL;
}

static void *maintain_main(void *arg)
{
	struct replica *r = arg;
	struct store_stats st;

	mutex_lock(&r->mutex);
	while (!r->stop) {
		bool more;

		r->kick = false;
		mutex_unlock(&r->mutex);
		more = store_maintain(r->config.store);
		store_stats(r->config.store, &st);
		check(r, st.stopped);
		mutex_lock(&r->mutex);
		if (!r->stop && !r->kick)
			cond_wait_ms(&r->maintain_cond, &r->mutex, more ? PACE_MS : MAINTAIN_MS);
	}
	mutex_unlock(&r->mutex);
	return NULL;
}

enum vs_err replica_open(const struct replica_config *config, struct replica **out)
{
	struct replica *r = calloc(1, sizeof *r);
	enum vs_err err;

	if (!r)
		return VS_ERR_NOMEM;
	r->config = *config;
	/* whoever owned anything here is gone: this store has one mount */
	err = object_sweep_sessions(config->store, 0);
	if (!err)
		err = object_format(config->store, config->uid, config->gid, 0755);
	if (!err)
		err = store_new_ids(config->store, 1, &r->session);
	if (err) {
		free(r);
		return err;
	}
	mutex_init(&r->mutex);
	cond_init(&r->follow_cond);
	cond_init(&r->maintain_cond);
	if (pthread_create(&r->follow, NULL, follow_main, r)) {
		free(r);
		return VS_ERR_NOMEM;
	}
	if (pthread_create(&r->maintain, NULL, maintain_main, r)) {
		mutex_lock(&r->mutex);
		r->stop = true;
		cond_signal(&r->follow_cond);
		mutex_unlock(&r->mutex);
		pthread_join(r->follow, NULL);
		free(r);
		return VS_ERR_NOMEM;
	}
	*out = r;
	return VS_OK;
}

void replica_close(struct replica *r)
{
	mutex_lock(&r->mutex);
	r->stop = true;
	cond_signal(&r->follow_cond);
	cond_signal(&r->maintain_cond);
	mutex_unlock(&r->mutex);
	pthread_join(r->follow, NULL);
	pthread_join(r->maintain, NULL);
	mutex_fini(&r->mutex);
	cond_fini(&r->follow_cond);
	cond_fini(&r->maintain_cond);
	free(r);
}

struct store *replica_store(struct replica *r)
{
	return r->config.store;
}

uint64_t replica_session(struct replica *r)
{
	return r->session;
}

enum vs_err replica_propose(struct replica *r, const struct txn *t, struct store_result *out)
{
	enum vs_err err = store_propose(r->config.store, t, out);

	if (!err) {
		mutex_lock(&r->mutex);
		if (!r->unsynced) {
			r->unsynced = true;
			cond_signal(&r->follow_cond);
		}
		mutex_unlock(&r->mutex);
	}
	return check(r, err);
}

enum vs_err replica_sync(struct replica *r, uint64_t index)
{
	return check(r, store_sync(r->config.store, index));
}

void replica_sync_async(struct replica *r, struct log_waiter *w)
{
	store_sync_async(r->config.store, w);
}

void replica_kick(struct replica *r)
{
	mutex_lock(&r->mutex);
	r->kick = true;
	cond_signal(&r->maintain_cond);
	mutex_unlock(&r->mutex);
}
