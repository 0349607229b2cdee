/*
 * log_open: create a log, or find the segments of one and replay its tail.
 *
 * Nobody else has the log yet while it is being opened; the mutex is taken
 * where shared functions want it and given up around the caller's callback,
 * which may use the log for reading and accounting.
 *
 * Two passes over the tail: the first follows headers and metas to the end and
 * learns the highest synced_index; the second delivers, verifying the data of
 * what is not known durable.  Where either ends, log_scan_vouched decides
 * between a torn tail and damage.  Nothing is written.
 */
#include "engine/log_int.h"
#include "engine/log_scan.h"

#include <stdio.h>
#include <stdlib.h>

struct opening {
	struct log *l;
	const struct log_position *pos;
	struct log_report *report;
	log_replay_fn each;
	void *arg;
	struct log_scan scan;
	struct segment *at; /* the segment scan is in; pinned */
	uint64_t synced;    /* highest known: needs no data verification at or below */
	uint64_t measured;  /* last index of the first pass */
	uint64_t max_id;
	struct segment **slot; /* every file, by slot, until they are in the table or free */
	uint32_t slot_count, slot_cap;
};

/* --- creating */

static enum vs_err not_empty(void *arg, const char *name)
{
	(void)arg;
	(void)name;
	return VS_ERR_EXIST;
}

enum vs_err log_create(const struct log_config *config, struct log **out)
{
	struct env *env = config->env;
	struct log *l;
	enum vs_err err;

	err = log_new(config, &l);
	if (err)
		return err;
	err = env->ops->mkdir(env, LOG_DIR);
	if (!err)
		err = env->ops->dir_sync(env, "");
	if (!err)
		err = env->ops->list(env, LOG_DIR, not_empty, NULL);
	mutex_lock(&l->mutex);
	l->next_id = 1;
	while (!err && l->spare_count < config->reserve_segments + 1)
		err = prepare_spare(l);
	if (!err) {
		l->active = segment_spare(l, false);
		l->active->info.state = LOG_SEG_ACTIVE;
		l->spare_count--;
		l->tail = RECORD_BLOCK;
	}
	mutex_unlock(&l->mutex);
	if (err)
		log_close(l);
	else
		*out = l;
	return err;
}

/* --- finding the segments */

static enum vs_err add_slot(void *arg, const char *name)
{
	struct opening *o = arg;
	struct segment *s;
	uint32_t slot = 0;
	const char *p;

	for (p = name; *p && p < name + 9; p++) {
		const char *digits = "0123456789abcdef", *d = strchr(digits, *p);

		if (!d)
			return VS_OK; /* not ours */
		slot = slot << 4 | (uint32_t)(d - digits);
	}
	if (p != name + 8 || slot == UINT32_MAX)
		return VS_OK;
	if (o->slot_count == o->slot_cap) {
		uint32_t cap = o->slot_cap ? o->slot_cap * 2 : 64;
		struct segment **more = realloc(o->slot, cap * sizeof(struct segment *));

		if (!more)
			return VS_ERR_NOMEM;
		o->slot = more;
		o->slot_cap = cap;
	}
	s = calloc(1, sizeof *s);
	if (!s)
		return VS_ERR_NOMEM;
	s->info.slot = slot;
	o->slot[o->slot_count++] = s;
	return VS_OK;
}

static int by_slot(const void *a, const void *b)
{
	const struct segment *x = *(struct segment *const *)a, *y = *(struct segment *const *)b;

	return (x->info.slot > y->info.slot) - (x->info.slot < y->info.slot);
}

static struct segment *find_slot(const struct opening *o, uint32_t slot)
{
	struct segment key = {.info.slot = slot}, *k = &key, **found;

	found = o->slot_count
			? bsearch(&k, o->slot, o->slot_count, sizeof(struct segment *), by_slot)
			: NULL;
	return found ? *found : NULL;
}

static enum vs_err damaged(struct opening *o, uint64_t segment, uint32_t slot, uint32_t off,
			   enum vs_err err, const char *what)
{
	struct log_report *r = o->report;
	char name[16];

	segment_name(slot, name);
	r->damage_segment = segment;
	r->damage_slot = slot;
	r->damage_off = off;
	snprintf(r->text, sizeof r->text, "%s: segment %llu, file %s, offset %u", what,
		 (unsigned long long)segment, name, off);
	return err;
}

static enum vs_err pin(struct opening *o, struct segment *s)
{
	enum vs_err err;

	mutex_lock(&o->l->mutex);
	err = segment_pin(o->l, s);
	mutex_unlock(&o->l->mutex);
	return err;
}

static void unpin(struct opening *o, struct segment *s)
{
	mutex_lock(&o->l->mutex);
	segment_unpin(o->l, s);
	mutex_unlock(&o->l->mutex);
}

/* The header of s, after a sync: what is decided on must be on disk (F66). */
static enum vs_err read_header(struct opening *o, struct segment *s, struct record_segment *h)
{
	const struct env_ops *ops = o->l->env->ops;
	uint8_t block[RECORD_BLOCK] = {0};
	enum vs_err err = pin(o, s);
	uint64_t size = 0;
	size_t got;

	if (err)
		return err;
	err = ops->sync(s->file);
	if (!err)
		err = ops->pread(s->file, block, sizeof block, 0, &got);
	if (!err)
		err = ops->size(s->file, &size);
	unpin(o, s);
	if (!err)
		err = record_segment_decode(block, h);
	if (!err && (h->cluster_id != o->l->config.cluster_id || size < h->bytes))
		err = VS_ERR_CORRUPT_SEGMENT;
	if (!err && h->id > o->max_id)
		o->max_id = h->id;
	return err;
}

/* Lay the checkpoint's entry k over the file that holds it. */
static enum vs_err match_known(struct opening *o, const struct log_segment *k)
{
	struct segment *s = find_slot(o, k->slot);
	bool is_pos = k->id == o->pos->segment && k->kind == LOG_KIND_LOG;
	struct record_segment h = {.bytes = o->l->config.segment_bytes};
	enum vs_err err = s ? VS_OK : VS_ERR_CORRUPT_SEGMENT;

	if (k->kind == LOG_KIND_LOG && k->id > o->pos->segment)
		return damaged(o, k->id, k->slot, 0, VS_ERR_CORRUPT_SEGMENT,
			       "checkpoint lists a segment behind its end");
	/* the others are not read: restart must not depend on the amount of data (P9) */
	if (s && (is_pos || !k->live_count)) {
		err = read_header(o, s, &h);
		if (!err && h.id != k->id)
			err = VS_ERR_CORRUPT_SEGMENT;
	}
	/* without live data it may have been freed and used again since the checkpoint */
	if (err == VS_ERR_CORRUPT_SEGMENT && !is_pos && !k->live_count)
		return VS_OK;
	if (err == VS_ERR_CORRUPT_SEGMENT || (!err && s->known))
		return damaged(o, k->id, k->slot, 0, VS_ERR_CORRUPT_SEGMENT,
			       "segment missing or its header damaged");
	if (err)
		return err;
	s->info = *k;
	s->info.state = is_pos ? LOG_SEG_ACTIVE : LOG_SEG_ADOPTED;
	s->bytes = LOG_SEGMENT_MAX; /* not read: only bounds what log_read asks for */
	if (is_pos)
		s->bytes = h.bytes;
	s->known = true;
	return VS_OK;
}

/* A file that the checkpoint does not list: newer, spare, or garbage. */
static enum vs_err match_other(struct opening *o, struct segment *s)
{
	struct record_segment h;
	enum vs_err err = read_header(o, s, &h);

	if (err == VS_ERR_CORRUPT_SEGMENT)
		return VS_OK;
	if (err)
		return err;
	s->info.id = h.id;
	s->info.kind = h.kind;
	s->info.used_bytes = RECORD_BLOCK;
	s->bytes = h.bytes;
	/* a value segment behind the checkpoint was lost with the crash: nobody refers to it */
	if (h.kind == LOG_KIND_LOG && h.id >= o->pos->segment)
		s->info.state = LOG_SEG_SPARE;
	return VS_OK;
}

static enum vs_err find_segments(struct opening *o, const struct log_segment *known, uint32_t count)
{
	struct env *env = o->l->env;
	enum vs_err err;

	err = env->ops->dir_sync(env, LOG_DIR);
	if (!err)
		err = env->ops->list(env, LOG_DIR, add_slot, o);
	if (err)
		return err;
	if (o->slot_count)
		qsort(o->slot, o->slot_count, sizeof(struct segment *), by_slot);
	for (uint32_t i = 0; !err && i < count; i++)
		err = match_known(o, &known[i]);
	for (uint32_t i = 0; !err && i < o->slot_count; i++)
		if (!o->slot[i]->known)
			err = match_other(o, o->slot[i]);
	return err;
}

static int by_id(const void *a, const void *b)
{
	const struct segment *x = *(struct segment *const *)a, *y = *(struct segment *const *)b;

	return (x->info.id > y->info.id) - (x->info.id < y->info.id);
}

/* Hand the found segments over to the log; nothing is left in o->slot. */
static enum vs_err fill_table(struct opening *o)
{
	struct log *l = o->l;
	enum vs_err err = VS_OK;

	mutex_lock(&l->mutex);
	if (o->slot_count) {
		l->next_slot = o->slot[o->slot_count - 1]->info.slot + 1;
		qsort(o->slot, o->slot_count, sizeof(struct segment *), by_id);
	}
	for (uint32_t i = 0; i < o->slot_count; i++) {
		struct segment *s = o->slot[i];

		if (s->info.state != LOG_SEG_FREE && !err)
			err = segment_reserve(l);
		if (!err && s->info.state != LOG_SEG_FREE && segment_find(l, s->info.id))
			err = damaged(o, s->info.id, s->info.slot, 0, VS_ERR_CORRUPT_SEGMENT,
				      "segment is there twice");
		if (err || s->info.state == LOG_SEG_FREE)
			segment_put_free(l, s);
		else
			segment_insert(l, s);
		o->max_id = s->info.id > o->max_id ? s->info.id : o->max_id;
	}
	o->slot_count = 0;
	l->next_id = o->max_id + 1 + LOG_ID_GAP;
	if (l->next_id < o->pos->next_segment_id)
		l->next_id = o->pos->next_segment_id;
	mutex_unlock(&l->mutex);
	return err;
}

/* --- following the chain */

/* Go on in segment id at off. */
static enum vs_err enter(struct opening *o, uint64_t id, uint32_t off)
{
	struct segment *s;
	enum vs_err err;

	mutex_lock(&o->l->mutex);
	s = segment_find(o->l, id);
	mutex_unlock(&o->l->mutex);
	if (!s || s->info.kind != LOG_KIND_LOG || s->info.id < o->pos->segment)
		return damaged(o, id, s ? s->info.slot : UINT32_MAX, 0, VS_ERR_CORRUPT_SEGMENT,
			       "the log goes on in a segment that is missing");
	if (off < RECORD_BLOCK || off % 8 || off > s->bytes)
		return damaged(o, id, s->info.slot, off, VS_ERR_CORRUPT_SEGMENT,
			       "the checkpoint's position is not in its segment");
	err = pin(o, s);
	if (err)
		return err;
	if (o->at)
		unpin(o, o->at);
	o->at = s;
	log_scan_seek(&o->scan, s->file, id, LOG_KIND_LOG, s->bytes, off);
	return VS_OK;
}

static enum vs_err start_pass(struct opening *o)
{
	o->scan.chain = (struct log_chain){o->pos->prev_crc, o->pos->index, o->pos->term, false};
	return enter(o, o->pos->segment, o->pos->off);
}

/*
 * Whether something later vouches for the record that should stand at
 * o->scan.off.  Then that place is damaged.
 */
static enum vs_err check_end(struct opening *o)
{
	uint64_t missing = o->scan.chain.index + 1, first = o->at->info.id, id;
	uint32_t off = o->scan.off, slot = o->at->info.slot;
	struct log_chain chain = o->scan.chain;
	bool vouched = false, more = true;
	enum vs_err err = VS_OK;

	for (id = first; !err && !vouched && more;) {
		err = id == first ? VS_OK : enter(o, id, RECORD_BLOCK);
		if (!err)
			err = log_scan_vouched(&o->scan, missing, id != first, &vouched);
		more = false;
		mutex_lock(&o->l->mutex);
		for (uint32_t i = 0; i < o->l->table_count && !more; i++) {
			const struct log_segment *s = &o->l->table[i]->info;

			more = s->id > id && s->kind == LOG_KIND_LOG;
			id = more ? s->id : id;
		}
		mutex_unlock(&o->l->mutex);
	}
	if (vouched)
		return damaged(o, first, slot, off, VS_ERR_CORRUPT_LOG,
			       "log damaged below its synced end");
	if (!err)
		err = enter(o, first, off);
	o->scan.chain = chain;
	return err;
}

/* First pass: to the end by headers and metas. */
static enum vs_err measure(struct opening *o)
{
	struct log_record rec;
	enum vs_err err = start_pass(o);
	struct record r;

	while (!err) {
		err = log_scan_next(&o->scan, &r, &rec);
		if (err)
			break;
		o->synced = r.synced_index > o->synced ? r.synced_index : o->synced;
		if (r.type == LOG_ROLL)
			err = enter(o, get_le64(rec.meta.p), RECORD_BLOCK);
	}
	if (err == VS_ERR_IO_READ)
		return damaged(o, o->at->info.id, o->at->info.slot, o->scan.off, err,
			       "cannot read the log");
	if (err == VS_ERR_END)
		err = check_end(o);
	o->measured = o->scan.chain.index;
	return err;
}

/* Account a record that is part of the log. */
static void take(struct opening *o, const struct log_record *rec)
{
	struct log_segment *s = &o->at->info;

	mutex_lock(&o->l->mutex);
	s->used_bytes = o->scan.off;
	if (rec->type == LOG_ROLL) {
		s->state = LOG_SEG_SEALED;
	} else {
		vs_assert(rec->index > s->last_index); /* E28 */
		s->first_index = s->first_index ? s->first_index : rec->index;
		s->last_index = rec->index;
		o->l->ordered = o->l->written = o->l->synced = rec->index;
		o->report->records++;
	}
	o->l->term = rec->term;
	o->l->prev_crc = o->scan.chain.prev_crc;
	mutex_unlock(&o->l->mutex);
}

/* The segment just entered is the active one now. */
static void activate(struct opening *o)
{
	mutex_lock(&o->l->mutex);
	if (o->at->info.state == LOG_SEG_SPARE)
		o->l->spare_count--;
	o->at->info.state = LOG_SEG_ACTIVE;
	mutex_unlock(&o->l->mutex);
}

/* Second pass: deliver. */
static enum vs_err replay(struct opening *o)
{
	struct log_scan before;
	struct log_record rec;
	enum vs_err err = start_pass(o);
	struct record r;

	if (!err)
		activate(o);
	while (!err) {
		before = o->scan;
		err = log_scan_next(&o->scan, &r, &rec);
		if (!err && r.type != LOG_ROLL && r.index > o->synced)
			err = log_scan_data(&o->scan, &rec);
		if (err == VS_ERR_CORRUPT_RECORD) {
			/* its data never reached the disk: the log ends before it */
			o->scan.off = before.off;
			o->scan.chain = before.chain;
			o->report->torn_tail = true;
			err = VS_ERR_END;
		}
		if (err)
			break;
		take(o, &rec);
		if (r.type != LOG_ROLL) {
			err = o->each(o->arg, &rec);
			continue;
		}
		err = enter(o, get_le64(rec.meta.p), RECORD_BLOCK);
		if (!err)
			activate(o);
	}
	if (err == VS_ERR_IO_READ)
		return damaged(o, o->at->info.id, o->at->info.slot, o->scan.off, err,
			       "cannot read the log");
	if (err != VS_ERR_END)
		return err;
	return o->scan.chain.index == o->measured ? VS_OK : check_end(o);
}

/* --- the end */

/* Whether a record was begun where the log ends. */
static bool something_behind(struct opening *o)
{
	uint32_t at[2] = {o->scan.off, record_align(o->scan.off)};
	uint8_t head[LOG_RECORD_HEADER];
	struct record r;
	size_t got = 0;

	for (int i = 0; i < 2; i++)
		if (!o->l->env->ops->pread(o->at->file, head, sizeof head, at[i], &got) &&
		    got == sizeof head && record_decode(head, &r) && r.segment == o->at->info.id)
			return true;
	return false;
}

/* The log goes on at the next fresh block; what lies behind it in other segments is spare. */
static void settle(struct opening *o)
{
	struct log *l = o->l;

	if (something_behind(o))
		o->report->torn_tail = true;
	mutex_lock(&l->mutex);
	l->active = o->at;
	l->tail = l->active->cut = record_align(o->scan.off);
	vs_assert(l->active->info.state == LOG_SEG_ACTIVE);
	for (uint32_t i = l->table_count; i-- > 0;) {
		struct segment *s = l->table[i];

		if (s->info.state != LOG_SEG_SPARE)
			continue;
		/* E22; another size happens when the configuration changed */
		if (s->info.id > l->active->info.id && s->bytes == l->config.segment_bytes)
			continue;
		segment_remove(l, s);
		segment_put_free(l, s);
	}
	mutex_unlock(&l->mutex);
}

static void open_fini(struct opening *o)
{
	if (o->at)
		unpin(o, o->at);
	mutex_lock(&o->l->mutex);
	for (uint32_t i = 0; i < o->slot_count; i++)
		segment_release(o->l, o->slot[i]);
	mutex_unlock(&o->l->mutex);
	free(o->slot);
	log_scan_fini(&o->scan);
}

static void open_report(struct opening *o)
{
	struct log_report *r = o->report;

	mutex_lock(&o->l->mutex);
	r->last_index = o->l->ordered;
	r->last_term = o->l->term;
	mutex_unlock(&o->l->mutex);
	r->synced_index = o->synced;
	r->bytes_scanned = o->scan.bytes_read;
}

enum vs_err log_open(const struct log_config *config, const struct log_position *pos,
		     const struct log_segment *known, uint32_t count, log_replay_fn each, void *arg,
		     struct log_report *report, struct log **out)
{
	/* the place where log_create begins */
	static const struct log_position birth = {.segment = 1, .off = RECORD_BLOCK};
	struct opening o = {.pos = pos->segment ? pos : &birth, .each = each, .arg = arg};
	struct log *l;
	enum vs_err err;

	*report = (struct log_report){0};
	*out = NULL;
	err = log_new(config, &l);
	if (err)
		return err;
	o.l = l;
	o.report = report;
	o.synced = o.pos->index;
	l->ordered = l->written = l->synced = o.pos->index;
	l->term = o.pos->term;
	l->prev_crc = o.pos->prev_crc;
	err = log_scan_init(&o.scan, l->env, config->cluster_id);
	if (!err)
		err = find_segments(&o, known, count);
	if (!err)
		err = fill_table(&o);
	if (!err)
		err = measure(&o);
	*out = l; /* each may use it */
	if (!err)
		err = replay(&o);
	if (!err)
		settle(&o);
	open_report(&o);
	open_fini(&o);
	if (err) {
		*out = NULL;
		log_close(l);
	}
	return err;
}
