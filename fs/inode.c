/* inode: see inode.h. */
#include "fs/inode.h"

#include <stdlib.h>

enum { BUCKETS_MIN = 16 };

static uint32_t stripe_of(uint64_t id)
{
	return (uint32_t)(id * 0x9e3779b97f4a7c15u >> 32) % INODE_STRIPES;
}

static uint32_t bucket_of(uint64_t id, uint32_t buckets)
{
	return (uint32_t)(id * 0x9e3779b97f4a7c15u >> 38) & (buckets - 1);
}

enum vs_err inode_table_init(struct inode_table *t)
{
	for (uint32_t i = 0; i < INODE_STRIPES; i++) {
		mutex_init(&t->stripe[i].lock);
		cond_init(&t->stripe[i].claim_free);
		t->stripe[i].count = 0;
		t->stripe[i].buckets = BUCKETS_MIN;
		t->stripe[i].bucket = calloc(BUCKETS_MIN, sizeof(struct inode *));
	}
	mutex_init(&t->dirty_lock);
	t->dirty_first = t->dirty_last = NULL;
	atomic_init(&t->dirty_count, 0);
	atomic_init(&t->count, 0);
	for (uint32_t i = 0; i < INODE_STRIPES; i++) {
		if (!t->stripe[i].bucket) {
			inode_table_fini(t);
			return VS_ERR_NOMEM;
		}
	}
	return VS_OK;
}

void inode_table_fini(struct inode_table *t)
{
	for (uint32_t i = 0; i < INODE_STRIPES; i++) {
		vs_assert(!t->stripe[i].count);
		free(t->stripe[i].bucket);
		cond_fini(&t->stripe[i].claim_free);
		mutex_fini(&t->stripe[i].lock);
	}
	mutex_fini(&t->dirty_lock);
}

/* Twice the buckets when there is memory for them; else chains get longer. */
static void grow(struct inode_table *t, uint32_t s)
{
	uint32_t buckets = t->stripe[s].buckets * 2;
	struct inode **to = calloc(buckets, sizeof(struct inode *));

	if (!to)
		return;
	for (uint32_t b = 0; b < t->stripe[s].buckets; b++) {
		struct inode *i = t->stripe[s].bucket[b];

		while (i) {
			struct inode *next = i->next;
			uint32_t n = bucket_of(i->id, buckets);

			i->next = to[n];
			to[n] = i;
			i = next;
		}
	}
	free(t->stripe[s].bucket);
	t->stripe[s].bucket = to;
	t->stripe[s].buckets = buckets;
}

static struct inode *find(struct inode_table *t, uint32_t s, uint64_t id)
{
	struct inode *i = t->stripe[s].bucket[bucket_of(id, t->stripe[s].buckets)];

	while (i && i->id != id)
		i = i->next;
	return i;
}

enum vs_err inode_get(struct inode_table *t, uint64_t id, struct inode **out)
{
	uint32_t s = stripe_of(id);
	struct inode *i;

	mutex_lock(&t->stripe[s].lock);
	i = find(t, s, id);
	if (!i) {
		i = calloc(1, sizeof *i);
		if (i) {
			struct inode **head;

			if (t->stripe[s].count >= t->stripe[s].buckets)
				grow(t, s);
			head = &t->stripe[s].bucket[bucket_of(id, t->stripe[s].buckets)];
			i->id = id;
			i->next = *head;
			*head = i;
			t->stripe[s].count++;
			atomic_fetch_add_explicit(&t->count, 1, memory_order_relaxed);
		}
	}
	if (i)
		i->refs++;
	mutex_unlock(&t->stripe[s].lock);
	*out = i;
	return i ? VS_OK : VS_ERR_NOMEM;
}

struct inode *inode_find(struct inode_table *t, uint64_t id)
{
	uint32_t s = stripe_of(id);
	struct inode *i;

	mutex_lock(&t->stripe[s].lock);
	i = find(t, s, id);
	if (i)
		i->refs++;
	mutex_unlock(&t->stripe[s].lock);
	return i;
}

void inode_put(struct inode_table *t, struct inode *i)
{
	uint32_t s = stripe_of(i->id);

	mutex_lock(&t->stripe[s].lock);
	vs_assert(i->refs > 0);
	if (--i->refs) {
		i = NULL;
	} else {
		struct inode **p = &t->stripe[s].bucket[bucket_of(i->id, t->stripe[s].buckets)];

		vs_assert(!i->claimed && !i->opens && !inode_draft(i) && !i->on_dirty);
		while (*p != i)
			p = &(*p)->next;
		*p = i->next;
		t->stripe[s].count--;
		atomic_fetch_sub_explicit(&t->count, 1, memory_order_relaxed);
	}
	mutex_unlock(&t->stripe[s].lock);
	free(i);
}

void inode_claim(struct inode_table *t, struct inode *i)
{
	uint32_t s = stripe_of(i->id);

	mutex_lock(&t->stripe[s].lock);
	vs_assert(i->refs > 0);
	while (i->claimed)
		cond_wait(&t->stripe[s].claim_free, &t->stripe[s].lock);
	i->claimed = true;
	mutex_unlock(&t->stripe[s].lock);
}

void inode_unclaim(struct inode_table *t, struct inode *i)
{
	uint32_t s = stripe_of(i->id);

	mutex_lock(&t->stripe[s].lock);
	vs_assert(i->claimed);
	i->claimed = false;
	cond_broadcast(&t->stripe[s].claim_free);
	mutex_unlock(&t->stripe[s].lock);
}

enum vs_err inode_take(struct inode_table *t, uint64_t id, struct inode **out)
{
	enum vs_err err = inode_get(t, id, out);

	if (!err)
		inode_claim(t, *out);
	return err;
}

void inode_give(struct inode_table *t, struct inode *i)
{
	inode_unclaim(t, i);
	inode_put(t, i);
}

enum vs_err inode_take2(struct inode_table *t, uint64_t a, uint64_t b, struct inode **ia,
			struct inode **ib)
{
	bool swap = a > b;
	struct inode *lo = NULL, *hi = NULL;
	enum vs_err err = VS_OK;

	vs_assert(a != b || !a);
	if (swap ? b : a)
		err = inode_take(t, swap ? b : a, &lo);
	if (!err && (swap ? a : b)) {
		err = inode_take(t, swap ? a : b, &hi);
		if (err && lo)
			inode_give(t, lo);
	}
	if (err)
		return err;
	*ia = swap ? hi : lo;
	*ib = swap ? lo : hi;
	return VS_OK;
}

static void list_append(struct inode_table *t, struct inode *i) REQUIRES(t->dirty_lock)
{
	i->dirty_next = NULL;
	i->dirty_prev = t->dirty_last;
	if (t->dirty_last)
		t->dirty_last->dirty_next = i;
	else
		t->dirty_first = i;
	t->dirty_last = i;
}

static void list_remove(struct inode_table *t, struct inode *i) REQUIRES(t->dirty_lock)
{
	if (i->dirty_prev)
		i->dirty_prev->dirty_next = i->dirty_next;
	else
		t->dirty_first = i->dirty_next;
	if (i->dirty_next)
		i->dirty_next->dirty_prev = i->dirty_prev;
	else
		t->dirty_last = i->dirty_prev;
}

void inode_hold(struct inode_table *t, struct inode *i)
{
	uint32_t s = stripe_of(i->id);

	mutex_lock(&t->stripe[s].lock);
	vs_assert(i->refs > 0);
	i->refs++;
	mutex_unlock(&t->stripe[s].lock);
}

void inode_dirty(struct inode_table *t, struct inode *i)
{
	mutex_lock(&t->dirty_lock);
	if (!i->on_dirty) {
		inode_hold(t, i);
		i->on_dirty = true;
		list_append(t, i);
		atomic_fetch_add_explicit(&t->dirty_count, 1, memory_order_relaxed);
	}
	mutex_unlock(&t->dirty_lock);
}

bool inode_clean(struct inode_table *t, struct inode *i)
{
	bool was;

	mutex_lock(&t->dirty_lock);
	was = i->on_dirty;
	if (was) {
		list_remove(t, i);
		i->on_dirty = false;
		atomic_fetch_sub_explicit(&t->dirty_count, 1, memory_order_relaxed);
	}
	mutex_unlock(&t->dirty_lock);
	return was;
}

struct inode *inode_next_dirty(struct inode_table *t)
{
	struct inode *i;

	mutex_lock(&t->dirty_lock);
	i = t->dirty_first;
	if (i) {
		list_remove(t, i);
		list_append(t, i);
		inode_hold(t, i);
	}
	mutex_unlock(&t->dirty_lock);
	return i;
}

struct inode *inode_any_open(struct inode_table *t)
{
	for (uint32_t s = 0; s < INODE_STRIPES; s++) {
		struct inode *i = NULL;

		mutex_lock(&t->stripe[s].lock);
		for (uint32_t b = 0; b < t->stripe[s].buckets && !i; b++)
			for (i = t->stripe[s].bucket[b]; i && !i->handles && !i->known;)
				i = i->next;
		if (i)
			i->refs++;
		mutex_unlock(&t->stripe[s].lock);
		if (i)
			return i;
	}
	return NULL;
}

enum vs_err inode_draft_new(struct inode *i, uint32_t window_bytes, struct draft **out)
{
	struct draft *d = inode_draft(i);

	if (!d) {
		d = calloc(1, sizeof *d);
		if (!d)
			return VS_ERR_NOMEM;
		wbuf_init(&d->buf, window_bytes);
		atomic_store_explicit(&i->draft, d, memory_order_release);
	}
	*out = d;
	return VS_OK;
}

void inode_draft_drop(struct inode *i)
{
	struct draft *d = inode_draft(i);

	if (d) {
		atomic_store_explicit(&i->draft, NULL, memory_order_release);
		wbuf_fini(&d->buf);
		free(d);
	}
}
