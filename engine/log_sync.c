/*
 * Group commit.  One thread syncs at a time and takes along all that was
 * ordered when its sync began.  A thread in log_sync waits for the one under
 * way and, where that does not cover it, syncs next.  An asynchronous waiter
 * always has a thread that will sync for it: the one that came to be the
 * leader with it, or the leader that was there.
 */
#include "engine/log_int.h"

static void note_sync(struct log *l, uint64_t ns) REQUIRES(l->mutex)
{
	l->sync_us[l->stats.syncs % LOG_SYNC_SAMPLES] = (uint32_t)(ns / 1000);
	l->stats.syncs++;
	l->stats.sync_ns_total += ns;
	if (ns > l->stats.sync_ns_max)
		l->stats.sync_ns_max = ns;
}

/* Make everything ordered until now durable. */
static enum vs_err sync_once(struct log *l) REQUIRES(l->mutex)
{
	uint64_t target, began;
	enum vs_err err;

	while (l->writing && !l->stopped)
		cond_wait(&l->wrote, &l->mutex);
	if (l->stopped)
		return VS_ERR_STOPPED;
	target = l->ordered;
	err = write_queue(l, true);
	if (err)
		return err;
	vs_assert(l->written >= target);
	began = l->env->ops->now_mono_ns(l->env);
	err = segment_sync_all(l, &l->dirty);
	if (err)
		log_stop(l, err); /* never tried again (F54) */
	if (l->stopped)
		return err ? err : VS_ERR_STOPPED;
	note_sync(l, l->env->ops->now_mono_ns(l->env) - began);
	vs_assert(target >= l->synced && target <= l->written); /* E20, E25 */
	l->stats.batch_records_total += target - l->synced;
	l->synced = target;
	return VS_OK;
}

/* Detach the waiters that are answered: durable, or everything stopped. */
static struct log_waiter *take_ready(struct log *l) REQUIRES(l->mutex)
{
	struct log_waiter *ready = NULL, **end = &ready;

	for (struct log_waiter **at = &l->waiters; *at;) {
		struct log_waiter *w = *at;

		if (!l->stopped && w->index > l->synced) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->next = NULL;
		*end = w;
		end = &w->next;
	}
	l->waiters_end = &l->waiters;
	while (*l->waiters_end)
		l->waiters_end = &(*l->waiters_end)->next;
	return ready;
}

static void answer(struct log_waiter *w, enum vs_err err)
{
	while (w) {
		struct log_waiter *next = w->next; /* w is gone once done was called */

		w->done(w, err);
		w = next;
	}
}

/*
 * Sync until own is durable and everybody who waits asynchronously has a
 * thread that goes on: a blocked one takes over, or one that relieves us.
 */
static enum vs_err lead(struct log *l, uint64_t own, bool async) REQUIRES(l->mutex)
{
	enum vs_err err, first = VS_OK;
	struct log_waiter *ready;
	bool relieved;

	vs_assert(!l->syncing);
	l->syncing = true;
	do {
		err = sync_once(l);
		first = first ? first : err;
		cond_broadcast(&l->durable);
		ready = take_ready(l);
		mutex_unlock(&l->mutex);
		answer(ready, err ? VS_ERR_STOPPED : VS_OK);
		mutex_lock(&l->mutex);
		l->overdue = !async && l->synced >= own;
		/* whoever waits blocked for more will lead next, unless all have stopped */
		relieved = l->successor || (l->blocked_index > l->synced && !l->stopped);
	} while (l->waiters && (async || !relieved));
	l->overdue = false;
	l->syncing = false;
	cond_broadcast(&l->durable);
	return first;
}

enum vs_err log_sync(struct log *l, uint64_t index)
{
	enum vs_err err = VS_OK;

	mutex_lock(&l->mutex);
	vs_assert(index <= l->ordered);
	while (!l->stopped && l->synced < index) {
		if (!l->syncing) {
			err = lead(l, index, false);
			continue;
		}
		if (index > l->blocked_index)
			l->blocked_index = index;
		cond_wait(&l->durable, &l->mutex);
	}
	while (l->stopped && l->writing)
		cond_wait(&l->wrote, &l->mutex);
	if (!err && l->stopped)
		err = VS_ERR_STOPPED;
	mutex_unlock(&l->mutex);
	return err;
}

void log_sync_async(struct log *l, struct log_waiter *w)
{
	mutex_lock(&l->mutex);
	vs_assert(w->index <= l->ordered);
	while (l->stopped && l->writing)
		cond_wait(&l->wrote, &l->mutex);
	if (l->stopped || w->index <= l->synced) {
		enum vs_err err = l->stopped ? VS_ERR_STOPPED : VS_OK;

		mutex_unlock(&l->mutex);
		w->done(w, err);
		return;
	}
	w->next = NULL;
	*l->waiters_end = w;
	l->waiters_end = &w->next;
	/* w may be answered and gone from here on */
	if (l->syncing && l->overdue && !l->successor) {
		l->successor = true;
		while (l->syncing)
			cond_wait(&l->durable, &l->mutex);
		l->successor = false;
	}
	if (!l->syncing && l->waiters)
		(void)!lead(l, 0, true);
	mutex_unlock(&l->mutex);
}
