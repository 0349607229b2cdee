/*
 * thread: mutex, read-write lock and condition variable with clang's
 * thread-safety annotations.  Locks are private to a file and never held
 * across I/O or a call into another module.
 *
 * A failing lock call is a broken invariant, never an error to handle.
 */
#ifndef VS_BASE_THREAD_H
#define VS_BASE_THREAD_H

#include "engine/base/assert.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#if defined(__clang__)
#define TSA(x) __attribute__((x))
#else
#define TSA(x)
#endif
/* Says which lock; clang 14 cannot check it in C, where an attribute sees no later member. */
#define GUARDED_BY(m)
#define REQUIRES(m) TSA(requires_capability(m))
#define REQUIRES_RD(m) TSA(requires_shared_capability(m))
#define EXCLUDES(m) TSA(locks_excluded(m))
#define NO_TSA TSA(no_thread_safety_analysis)

struct TSA(capability("mutex")) mutex {
	pthread_mutex_t m;
};

struct TSA(capability("rwlock")) rwlock {
	pthread_rwlock_t l;
};

struct cond {
	pthread_cond_t c;
};

static inline void mutex_init(struct mutex *m)
{
	vs_assert(!pthread_mutex_init(&m->m, NULL));
}

static inline void mutex_fini(struct mutex *m)
{
	vs_assert(!pthread_mutex_destroy(&m->m));
}

static inline void mutex_lock(struct mutex *m) TSA(acquire_capability(*m)) NO_TSA
{
	vs_assert(!pthread_mutex_lock(&m->m));
}

static inline void mutex_unlock(struct mutex *m) TSA(release_capability(*m)) NO_TSA
{
	vs_assert(!pthread_mutex_unlock(&m->m));
}

/* Writers do not starve behind a stream of readers. */
static inline void rwlock_init(struct rwlock *l)
{
	pthread_rwlockattr_t a;

	vs_assert(!pthread_rwlockattr_init(&a));
	vs_assert(!pthread_rwlockattr_setkind_np(&a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP));
	vs_assert(!pthread_rwlock_init(&l->l, &a));
	vs_assert(!pthread_rwlockattr_destroy(&a));
}

static inline void rwlock_fini(struct rwlock *l)
{
	vs_assert(!pthread_rwlock_destroy(&l->l));
}

static inline void rwlock_rdlock(struct rwlock *l) TSA(acquire_shared_capability(*l)) NO_TSA
{
	vs_assert(!pthread_rwlock_rdlock(&l->l));
}

static inline void rwlock_wrlock(struct rwlock *l) TSA(acquire_capability(*l)) NO_TSA
{
	vs_assert(!pthread_rwlock_wrlock(&l->l));
}

static inline void rwlock_unlock(struct rwlock *l) TSA(release_generic_capability(*l)) NO_TSA
{
	vs_assert(!pthread_rwlock_unlock(&l->l));
}

/* Timed waits use the monotonic clock. */
static inline void cond_init(struct cond *c)
{
	pthread_condattr_t a;

	vs_assert(!pthread_condattr_init(&a));
	vs_assert(!pthread_condattr_setclock(&a, CLOCK_MONOTONIC));
	vs_assert(!pthread_cond_init(&c->c, &a));
	vs_assert(!pthread_condattr_destroy(&a));
}

static inline void cond_fini(struct cond *c)
{
	vs_assert(!pthread_cond_destroy(&c->c));
}

static inline void cond_wait(struct cond *c, struct mutex *m) REQUIRES(*m)
{
	vs_assert(!pthread_cond_wait(&c->c, &m->m));
}

/* False when ms milliseconds passed without a signal. */
static inline bool cond_wait_ms(struct cond *c, struct mutex *m, uint32_t ms) REQUIRES(*m)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return pthread_cond_timedwait(&c->c, &m->m, &t) == 0;
}

static inline void cond_broadcast(struct cond *c)
{
	vs_assert(!pthread_cond_broadcast(&c->c));
}

static inline void cond_signal(struct cond *c)
{
	vs_assert(!pthread_cond_signal(&c->c));
}

#endif
