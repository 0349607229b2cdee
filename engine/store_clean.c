/*
 * Cleaning: copy the live chunks of a segment that is mostly garbage into the
 * value segment, then let the segment go.
 *
 * Order, and what it survives: copies are written and synced before any place
 * in the tree names them (F83); the old segment stays until a checkpoint that
 * names only the copies is durable (F81: checkpoint step 5), so a crash in
 * between finds the old places and the old bytes.  Only segments below the
 * checkpoint are cleaned, so truncation of the log never meets the cleaner
 * (F78-F80), and the log module alone changes files (F79).
 *
 * A chunk that was deleted or moved while it was copied is noticed when the
 * place is switched: the copy is garbage then.
 */
#include "engine/store_int.h"

#include "engine/base/assert.h"

#include <stdlib.h>

#define SWITCH_BATCH 1024u /* places changed per hold of the lock */

struct moved {
	uint64_t index;
	uint32_t data_off, len;
	struct log_place to;
};

struct victim {
	uint64_t id;
	struct moved *chunks;
	uint32_t count, cap;
	bool nomem;
};

static void victim_add(struct victim *v, uint64_t index, uint32_t data_off)
{
	if (v->count == v->cap) {
		uint32_t cap = v->cap ? v->cap * 2 : 256;
		struct moved *p = realloc(v->chunks, cap * sizeof *p);

		if (!p) {
			v->nomem = true;
			return;
		}
		v->chunks = p;
		v->cap = cap;
	}
	v->chunks[v->count++] = (struct moved){.index = index, .data_off = data_off};
}

/* Note which chunks a record brought; whether they still live here is asked later. */
static enum vs_err collect(void *arg, const struct log_record *rec)
{
	struct victim *v = arg;
	struct txn_reader r;
	struct txn_item it;

	if (rec->type == LOG_VALUE && rec->meta.len == 12)
		victim_add(v, get_le64(rec->meta.p), get_le32((const uint8_t *)rec->meta.p + 8));
	if (rec->type != LOG_TXN || !rec->data_len || txn_reader_init(&r, rec->meta))
		return VS_OK;
	while (txn_reader_next(&r, &it) == VS_OK)
		if (it.kind == TXN_CHUNK)
			victim_add(v, rec->index, it.data_off);
	return v->nomem ? VS_ERR_NOMEM : VS_OK;
}

enum vs_err store_chunk_verify(struct store *s, uint64_t index, uint32_t data_off,
			       const struct chunk_record *c, uint8_t *buf)
{
	enum vs_err err = log_read(s->log, index, c->place, 0, buf, c->len);

	(void)data_off;
	if (err)
		return err;
	for (uint32_t done = 0, i = 0; done < c->len; done += CHECKSUM_BLOCK, i++) {
		uint32_t n = c->len - done < CHECKSUM_BLOCK ? c->len - done : CHECKSUM_BLOCK;

		if (checksum_crc32c(buf + done, n) != get_le32(c->table + 4 * i))
			return VS_ERR_CORRUPT_CHUNK;
	}
	return VS_OK;
}

/*
 * Copy one chunk if it lives in segment id.  Damaged ones stay where they are:
 * the segment is kept and the damage is reported by reads and scrub.
 */
static enum vs_err move_chunk(struct store *s, uint64_t id, struct moved *m, uint8_t *buf,
			      uint64_t *bytes)
{
	uint8_t value[CHUNK_VALUE_MAX], meta[12];
	struct chunk_record c;
	struct key k;
	size_t len;
	enum vs_err err;

	m->to.segment = 0;
	key_chunk(&k, m->index, m->data_off);
	err = store_get(s, &k, value, sizeof value, &len);
	if (err)
		return err == VS_ERR_NOENT ? VS_OK : err;
	err = chunk_decode(bytes_of(value, len), &c);
	if (err || c.place.segment != id)
		return err;
	err = store_chunk_verify(s, m->index, m->data_off, &c, buf);
	if (err)
		return err;
	put_le64(meta, m->index);
	put_le32(meta + 8, m->data_off);
	m->len = c.len;
	err = log_value_append(s->log, bytes_of(meta, sizeof meta), buf, c.len, c.table, &m->to);
	if (err == VS_ERR_NOSPC) {
		/* the spares are used up, which need not mean the disk is; one more is enough */
		err = log_prepare(s->log);
		if (!err || err == VS_ERR_NOSPC)
			err = log_value_append(s->log, bytes_of(meta, sizeof meta), buf, c.len,
					       c.table, &m->to);
	}
	*bytes += err ? 0 : c.len;
	return err;
}

/* Point the tree at the copies; under one hold of the lock from *i on. */
static enum vs_err switch_run(struct store *s, const struct victim *v, uint32_t *i,
			      struct tree_ref *miss) REQUIRES(s->lock)
{
	for (uint32_t n = 0; *i < v->count && n < SWITCH_BATCH; n++, ++*i) {
		const struct moved *m = &v->chunks[*i];
		struct key k;
		size_t len;
		uint8_t *p;
		enum vs_err err;

		if (!m->to.segment)
			continue;
		key_chunk(&k, m->index, m->data_off);
		err = tree_touch(s->tree, key_bytes(&k), miss);
		if (!err)
			err = tree_reserve(s->tree, 1, 0);
		if (err)
			return err;
		p = tree_edit(s->tree, key_bytes(&k), &len);
		if (!p || get_le64(p) != v->id)
			continue;
		put_le64(p, m->to.segment);
		put_le32(p + 8, m->to.off);
		log_segment_live(s->log, v->id, -(int64_t)m->len, -1);
		log_segment_live(s->log, m->to.segment, m->len, 1);
	}
	return VS_OK;
}

static enum vs_err switch_places(struct store *s, const struct victim *v)
{
	uint32_t i = 0;
	bool relieved = true;

	while (i < v->count) {
		struct tree_ref miss = {0, 0};
		enum vs_err err;

		rwlock_wrlock(&s->lock);
		err = switch_run(s, v, &i, &miss);
		rwlock_unlock(&s->lock);
		if (err)
			err = store_help(s, err, miss, &relieved);
		if (err)
			return err;
	}
	return VS_OK;
}

static enum vs_err clean_segment(struct store *s, uint64_t id, uint64_t *moved)
{
	struct victim v = {.id = id};
	uint8_t *buf = malloc(s->chunk_bytes);
	uint32_t bad_off;
	bool full = false;
	enum vs_err err = buf ? VS_OK : VS_ERR_NOMEM;

	if (!err)
		err = log_walk(s->log, id, collect, &v, &bad_off);
	for (uint32_t i = 0; i < v.count && !err && !full; i++) {
		err = move_chunk(s, id, &v.chunks[i], buf, moved);
		full = err == VS_ERR_NOSPC;
		err = full ? VS_OK : err;
	}
	/* what was moved before the disk was full stays moved: the next attempt has less to do */
	if (!err)
		err = log_value_sync(s->log);
	if (!err)
		err = switch_places(s, &v);
	free(v.chunks);
	free(buf);
	return !err && full ? VS_ERR_NOSPC : err;
}

/*
 * The segment with the least live data, if that is worth it: less than half
 * live, and either much garbage in all or space needed.  0: none.
 */
static uint64_t choose(struct store *s, bool force, uint64_t *live)
{
	uint32_t cap = 4096, n;
	struct log_segment *segs = malloc(cap * sizeof *segs);
	uint64_t best = 0, used = 0, alive = 0;

	*live = 0;
	if (!segs)
		return 0;
	n = log_segments(s->log, segs, cap);
	n = n < cap ? n : cap;
	for (uint32_t i = 0; i < n; i++) {
		const struct log_segment *g = &segs[i];

		if (g->state != LOG_SEG_ADOPTED)
			continue;
		used += g->used_bytes;
		alive += g->live_bytes;
		if (!g->live_count ||
		    g->live_bytes > g->used_bytes / (force ? 8 : 2) * (force ? 7 : 1))
			continue;
		if (!best || g->live_bytes < *live) {
			best = g->id;
			*live = g->live_bytes;
		}
	}
	free(segs);
	if (!force && (used - alive < used / 5 || used - alive < 4ull * s->segment_bytes))
		return 0;
	return best;
}

enum vs_err store_clean_step(struct store *s, bool force, uint64_t *cleaned, uint64_t *moved)
{
	uint64_t live, id = choose(s, force, &live);
	enum vs_err err;

	if (!id)
		return VS_OK;
	err = clean_segment(s, id, moved);
	/* a damaged record or chunk keeps its segment; that is for scrub to report */
	if (vs_err_class(err) == VS_CLASS_DAMAGE)
		return VS_OK;
	if (!err)
		++*cleaned;
	return err;
}
