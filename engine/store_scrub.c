/*
 * Scrub: read everything that is on disk and verify it: the pages of the
 * pinned tree, the records of all sealed and adopted segments, the data of
 * every chunk.  Damage is counted and the first place is named; the scrub goes
 * on.
 */
#include "engine/store_int.h"

#include "engine/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

#define BATCH 256u

struct scrub {
	struct store *s;
	const struct store_progress *p;
	struct store_scrub_result r;
	uint64_t done, total;
	/* a run of chunk keys to verify outside the scan */
	struct {
		uint64_t index;
		uint32_t off;
	} chunk[BATCH];
	uint32_t chunks;
	struct key next;
	bool end;
};

static void note(struct scrub *c, const char *what, uint64_t a, uint64_t b, enum vs_err err)
{
	if (!c->r.errors++)
		snprintf(c->r.first_error, sizeof c->r.first_error, "%s %llu/%llu: %s", what,
			 (unsigned long long)a, (unsigned long long)b, vs_err_text(err));
}

static enum vs_err advance(struct scrub *c, uint64_t n)
{
	c->done += n;
	if (c->done > c->total)
		c->total = c->done;
	return c->p && !c->p->step(c->p->arg, c->done, c->total) ? VS_ERR_INTR : VS_OK;
}

static enum vs_err each_page(void *arg, struct tree_ref ref, enum vs_err state)
{
	struct scrub *c = arg;

	c->r.pages++;
	c->r.bytes += TREE_PAGE;
	if (state)
		note(c, "tree page", ref.page, 0, state);
	return advance(c, TREE_PAGE);
}

static enum vs_err each_record(void *arg, const struct log_record *rec)
{
	struct scrub *c = arg;

	(void)rec;
	c->r.records++;
	return VS_OK;
}

static enum vs_err scrub_segments(struct scrub *c)
{
	uint32_t cap = 1u << 16, n;
	struct log_segment *segs = malloc(cap * sizeof *segs);
	enum vs_err err = segs ? VS_OK : VS_ERR_NOMEM;

	n = err ? 0 : log_segments(c->s->log, segs, cap);
	for (uint32_t i = 0; i < n && i < cap && !err; i++) {
		uint32_t bad_off = 0;

		if (segs[i].state != LOG_SEG_SEALED && segs[i].state != LOG_SEG_ADOPTED)
			continue;
		err = log_walk(c->s->log, segs[i].id, each_record, c, &bad_off);
		if (err == VS_ERR_STALE || err == VS_ERR_NOENT) {
			err = VS_OK; /* freed meanwhile */
		} else if (vs_err_class(err) == VS_CLASS_DAMAGE || err == VS_ERR_IO_READ) {
			note(c, "log segment", segs[i].id, bad_off, err);
			err = VS_OK;
		}
		if (!err)
			err = advance(c, 0);
	}
	free(segs);
	return err;
}

static bool take(void *arg, struct bytes key, struct bytes value)
{
	struct scrub *c = arg;
	const uint8_t *k = key.p;

	(void)value;
	if (c->chunks == BATCH) {
		memcpy(c->next.b, k, key.len);
		c->next.len = (uint16_t)key.len;
		c->end = false;
		return false;
	}
	c->chunk[c->chunks].index = get_be64(k + 1);
	c->chunk[c->chunks++].off = get_be32(k + 9);
	return true;
}

/* Verify by the present record: cleaning may move the chunk, deleting end it. */
static enum vs_err scrub_chunk(struct scrub *c, uint64_t index, uint32_t off, uint8_t *buf)
{
	uint8_t v[CHUNK_VALUE_MAX];
	struct chunk_record rec = {.len = 0};
	struct key k;
	size_t len;
	enum vs_err err;

	key_chunk(&k, index, off);
	err = store_get(c->s, &k, v, sizeof v, &len);
	if (!err)
		err = chunk_decode(bytes_of(v, len), &rec);
	if (err == VS_ERR_NOENT)
		return VS_OK;
	if (!err) {
		c->r.chunks++;
		c->r.bytes += rec.len;
		/* store_chunk_read looks the place up again when it moved meanwhile */
		err = store_chunk_read(c->s, index, off, 0, buf, rec.len);
	}
	if (err == VS_ERR_NOENT)
		return VS_OK;
	if (vs_err_class(err) == VS_CLASS_DAMAGE || err == VS_ERR_IO_READ) {
		note(c, "chunk", index, off, err);
		err = VS_OK;
	}
	return err ? err : advance(c, rec.len);
}

static enum vs_err scrub_chunks(struct scrub *c, struct store_pin *pin)
{
	uint8_t *buf = malloc(c->s->chunk_bytes);
	struct key prefix;
	enum vs_err err = buf ? VS_OK : VS_ERR_NOMEM;

	key_kind(&prefix, KEY_CHUNK);
	c->next = prefix;
	c->end = false;
	while (!err && !c->end) {
		struct key first = c->next;

		c->chunks = 0;
		c->end = true;
		err = store_scan(c->s, pin, &prefix, &first, take, c);
		for (uint32_t i = 0; i < c->chunks && !err; i++)
			err = scrub_chunk(c, c->chunk[i].index, c->chunk[i].off, buf);
	}
	free(buf);
	return err;
}

enum vs_err store_scrub(struct store *s, const struct store_progress *p,
			struct store_scrub_result *out)
{
	struct scrub c = {.s = s, .p = p};
	struct store_stats st;
	struct store_pin *pin;
	uint64_t good = 0, bad = 0;
	enum vs_err err = store_pin(s, true, &pin);

	if (err)
		return err;
	store_stats(s, &st);
	c.total = st.live_bytes + st.tree.used_pages * TREE_PAGE;
	err = tree_verify(s->tree, pin->pin, each_page, &c, &good, &bad);
	if (!err)
		err = scrub_segments(&c);
	if (!err)
		err = scrub_chunks(&c, pin);
	store_unpin(s, pin);
	if (err)
		return err;
	c.r.finished_real_ns = s->env->ops->now_real_ns(s->env);
	mutex_lock(&s->scrub_mutex);
	s->scrub = c.r;
	mutex_unlock(&s->scrub_mutex);
	store_ckpt_acquire(s);
	s->super_now.scrub =
		(struct superblock_scrub){c.r.pages, c.r.records, c.r.chunks,
					  c.r.bytes, c.r.errors,  c.r.finished_real_ns};
	store_ckpt_release(s);
	*out = c.r;
	return VS_OK;
}
