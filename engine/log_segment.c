#include "engine/log_int.h"

#include <stdio.h>
#include <stdlib.h>

/* --- the table */

/* The first position whose id is not below id. */
static uint32_t position_of(struct log *l, uint64_t id) REQUIRES(l->mutex)
{
	uint32_t lo = 0, hi = l->table_count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (l->table[mid]->info.id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct segment *segment_find(struct log *l, uint64_t id)
{
	uint32_t i = position_of(l, id);

	return i < l->table_count && l->table[i]->info.id == id ? l->table[i] : NULL;
}

enum vs_err segment_reserve(struct log *l)
{
	uint32_t cap = l->table_cap ? l->table_cap * 2 : 64;
	struct segment **table;

	/* one for the log's next spare, one for a value segment */
	if (l->table_count + 2 <= l->table_cap)
		return VS_OK;
	table = realloc(l->table, cap * sizeof(struct segment *));
	if (!table)
		return VS_ERR_NOMEM;
	l->table = table;
	l->table_cap = cap;
	return VS_OK;
}

void segment_insert(struct log *l, struct segment *s)
{
	uint32_t i = position_of(l, s->info.id);

	vs_assert(l->table_count < l->table_cap && s->info.state != LOG_SEG_FREE);
	vs_assert(i == l->table_count || l->table[i]->info.id != s->info.id); /* E22 */
	memmove(l->table + i + 1, l->table + i, (l->table_count - i) * sizeof(struct segment *));
	l->table[i] = s;
	l->table_count++;
	l->spare_count += s->info.state == LOG_SEG_SPARE;
}

void segment_remove(struct log *l, struct segment *s)
{
	uint32_t i = position_of(l, s->info.id);

	vs_assert(i < l->table_count && l->table[i] == s);
	l->table_count--;
	memmove(l->table + i, l->table + i + 1, (l->table_count - i) * sizeof(struct segment *));
	l->spare_count -= s->info.state == LOG_SEG_SPARE;
}

struct segment *segment_spare(struct log *l, bool highest)
{
	struct segment *found = NULL;

	/* spares are among the newest: walk down from the end */
	for (uint32_t i = l->table_count, left = l->spare_count; i-- > 0 && left;) {
		if (l->table[i]->info.state != LOG_SEG_SPARE)
			continue;
		left--;
		found = l->table[i];
		if (highest)
			break;
	}
	return found;
}

/* --- free segments */

void segment_put_free(struct log *l, struct segment *s)
{
	vs_assert(!s->dirty);
	s->info.state = LOG_SEG_FREE;
	s->info.live_bytes = s->info.live_count = 0;
	s->next = l->free;
	l->free = s;
	l->free_count++;
}

struct segment *segment_take_free(struct log *l, bool for_deletion)
{
	uint64_t max = l->table_count ? l->table[l->table_count - 1]->info.id : 0;

	for (struct segment *s = l->free; s; s = s->next)
		max = s->info.id > max ? s->info.id : max;
	for (struct segment **at = &l->free; *at; at = &(*at)->next) {
		struct segment *s = *at;

		/* E22: the file with the highest id stays, so that the id is seen at start */
		if (s->pins || s->opening || (for_deletion && s->info.id == max))
			continue;
		*at = s->next;
		s->next = NULL;
		l->free_count--;
		return s;
	}
	return NULL;
}

/* --- open files */

void segment_name(uint32_t slot, char name[16])
{
	snprintf(name, 16, LOG_DIR "/%08x", slot);
}

static void consider(struct segment *s, struct segment **oldest)
{
	if (s->file && !s->pins && (!*oldest || s->used_at < (*oldest)->used_at))
		*oldest = s;
}

/* Detach the file that was not used for longest, when there are too many. */
static struct env_file *detach_oldest(struct log *l) REQUIRES(l->mutex)
{
	struct segment *oldest = NULL;
	struct env_file *file;

	if (l->open_count < LOG_OPEN_FILES)
		return NULL;
	for (uint32_t i = 0; i < l->table_count; i++)
		consider(l->table[i], &oldest);
	for (struct segment *s = l->free; s; s = s->next)
		consider(s, &oldest);
	if (!oldest)
		return NULL;
	file = oldest->file;
	oldest->file = NULL;
	l->open_count--;
	return file;
}

enum vs_err segment_pin(struct log *l, struct segment *s)
{
	struct env_file *old, *file = NULL;
	enum vs_err err;
	char name[16];

	s->pins++;
	while (s->opening)
		cond_wait(&l->changed, &l->mutex);
	if (s->file)
		return VS_OK;
	s->opening = true;
	old = detach_oldest(l);
	mutex_unlock(&l->mutex);
	if (old)
		l->env->ops->close(old);
	segment_name(s->info.slot, name);
	err = l->env->ops->open(l->env, name, ENV_WRITE, &file);
	mutex_lock(&l->mutex);
	s->opening = false;
	cond_broadcast(&l->changed);
	if (err) {
		s->pins--;
		return err;
	}
	s->file = file;
	l->open_count++;
	return VS_OK;
}

void segment_unpin(struct log *l, struct segment *s)
{
	vs_assert(s->pins);
	s->pins--;
	s->used_at = ++l->ticks;
}

void segment_release(struct log *l, struct segment *s)
{
	if (s->file) {
		l->env->ops->close(s->file);
		l->open_count--;
	}
	free(s);
}

/* --- dirty segments */

void segment_dirty(struct log *l, struct segment_list *list, struct segment *s)
{
	vs_assert(s->pins && s->info.state != LOG_SEG_FREE);
	(void)l;
	if (s->dirty)
		return;
	s->dirty = true;
	s->pins++; /* the file stays open: a reopened one may not see a write error */
	s->next = NULL;
	if (list->tail)
		list->tail->next = s;
	else
		list->head = s;
	list->tail = s;
}

enum vs_err segment_sync_all(struct log *l, struct segment_list *list)
{
	struct segment *last = list->tail, *s = NULL;
	enum vs_err err = VS_OK;

	while (!err && s != last) {
		s = list->head;
		vs_assert(s);
		list->head = s->next;
		if (!list->head)
			list->tail = NULL;
		/* before the sync: what is written from now on makes it dirty again */
		s->dirty = false;
		mutex_unlock(&l->mutex);
		err = l->env->ops->sync(s->file);
		mutex_lock(&l->mutex);
		segment_unpin(l, s);
	}
	return err;
}

/* --- questions and changes from outside */

void log_segment_live(struct log *l, uint64_t segment, int64_t bytes, int32_t count)
{
	struct segment *s;

	mutex_lock(&l->mutex);
	s = segment_find(l, segment);
	if (s) {
		vs_assert((int64_t)s->info.live_bytes + bytes >= 0);          /* E27 */
		vs_assert((int64_t)s->info.live_count + (int64_t)count >= 0); /* E27 */
		s->info.live_bytes = (uint64_t)((int64_t)s->info.live_bytes + bytes);
		s->info.live_count = (uint32_t)((int64_t)s->info.live_count + count);
	}
	mutex_unlock(&l->mutex);
}

enum vs_err log_segment_get(struct log *l, uint64_t id, struct log_segment *out)
{
	struct segment *s;

	mutex_lock(&l->mutex);
	s = segment_find(l, id);
	if (s)
		*out = s->info;
	mutex_unlock(&l->mutex);
	return s ? VS_OK : VS_ERR_NOENT;
}

uint32_t log_segments(struct log *l, struct log_segment *out, uint32_t cap)
{
	uint32_t n = 0;

	mutex_lock(&l->mutex);
	for (uint32_t i = 0; i < l->table_count; i++) {
		if (l->table[i]->info.state == LOG_SEG_SPARE)
			continue;
		if (n < cap)
			out[n] = l->table[i]->info;
		n++;
	}
	mutex_unlock(&l->mutex);
	return n;
}

void log_adopt(struct log *l, uint64_t index)
{
	mutex_lock(&l->mutex);
	for (uint32_t i = 0; i < l->table_count; i++) {
		struct log_segment *s = &l->table[i]->info;

		if (s->state == LOG_SEG_SEALED && s->last_index <= index)
			s->state = LOG_SEG_ADOPTED;
	}
	mutex_unlock(&l->mutex);
}
