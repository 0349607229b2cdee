/*
 * The store's front: proposing, reading, ids, pins and figures.
 *
 * Crash story of a proposal: before log_order nothing happened; between
 * log_order and the end of log_write the record may or may not be in the log
 * after kill -9, and nobody was answered; after log_write it survives kill -9;
 * after log_sync it survives power loss.
 */
#include "engine/store_int.h"

#include "engine/base/assert.h"

#include <stdlib.h>

#define TREE_GROW_PAGES 256u /* 4 MiB */
#define ID_BLOCK 65536u

enum vs_err store_stop(struct store *s, enum vs_err err)
{
	enum vs_err none = VS_OK;

	vs_assert(err != VS_OK);
	atomic_compare_exchange_strong(&s->stopped, &none, err);
	return err;
}

/*
 * Between the miss and the read two checkpoints may have passed and the place
 * been used again: a page is damaged when the same reference fails twice in a
 * row.
 */
static enum vs_err judge_page(struct tree_ref miss, enum vs_err err)
{
	static _Thread_local struct tree_ref last;
	bool again = last.page == miss.page && last.sum == miss.sum;

	last = err == VS_ERR_CORRUPT_PAGE ? miss : (struct tree_ref){0, 0};
	return err == VS_ERR_CORRUPT_PAGE && !again ? VS_OK : err;
}

enum vs_err store_judge(struct store *s, enum vs_err err)
{
	if (vs_err_class(err) == VS_CLASS_FATAL && err != VS_ERR_IO_READ)
		store_stop(s, err);
	return err;
}

enum vs_err store_fault(struct store *s, struct tree_ref miss)
{
	uint8_t *buf = malloc(TREE_PAGE);
	enum vs_err err;

	if (!buf)
		return VS_ERR_NOMEM;
	err = tree_page_read(s->tree, miss, buf);
	if (err == VS_ERR_CORRUPT_PAGE) {
		free(buf);
		return judge_page(miss, err);
	}
	(void)judge_page(miss, VS_OK);
	while (!err) {
		rwlock_wrlock(&s->lock);
		err = tree_page_install(s->tree, miss, buf);
		rwlock_unlock(&s->lock);
		if (err != VS_ERR_BUSY)
			break;
		err = store_ckpt_relieve(s);
	}
	free(buf);
	return err;
}

uint64_t store_tree_reserve(const struct store *s, bool use_reserve)
{
	(void)s;
	return use_reserve ? 0 : TREE_GROW_PAGES / 2;
}

static enum vs_err grow_tree(struct store *s)
{
	uint64_t pages;
	enum vs_err err;

	store_ckpt_acquire(s);
	err = tree_grow_file(s->tree, &pages);
	if (!err) {
		rwlock_wrlock(&s->lock);
		tree_grow_done(s->tree, pages);
		rwlock_unlock(&s->lock);
	}
	store_ckpt_release(s);
	return err;
}

/*
 * No space: a checkpoint gives back what was freed since the last one, a
 * cleaning step turns garbage into a free segment.  Vain attempts are not
 * repeated until something more was freed.
 */
static enum vs_err relieve(struct store *s)
{
	uint64_t freed, cleaned = 0, moved = 0;
	enum vs_err err;

	rwlock_rdlock(&s->lock);
	freed = s->freed_bytes + 1;
	rwlock_unlock(&s->lock);
	if (atomic_load(&s->relief_freed) == freed)
		return VS_ERR_NOSPC;
	err = store_checkpoint(s, NULL);
	if (!err)
		err = store_clean_step(s, true, &cleaned, &moved);
	if (!err && cleaned)
		err = store_checkpoint(s, NULL);
	if (!err && !cleaned)
		atomic_store(&s->relief_freed, freed);
	return err;
}

/* Page ids are short and the file cannot grow: a checkpoint frees what died since the last one. */
static enum vs_err free_pages(struct store *s)
{
	uint64_t changed;

	rwlock_rdlock(&s->lock);
	changed = s->since_records;
	rwlock_unlock(&s->lock);
	return changed ? store_ckpt_relieve(s) : VS_ERR_NOSPC;
}

enum vs_err store_help(struct store *s, enum vs_err why, struct tree_ref miss, bool *relieved)
{
	enum vs_err err;

	switch (why) {
	case VS_ERR_MISS:
		return store_fault(s, miss);
	case VS_ERR_BUSY:
		return store_ckpt_relieve(s);
	case VS_ERR_NOSPC:
		err = grow_tree(s);
		if (err != VS_ERR_NOSPC)
			return err;
		if (*relieved)
			return VS_ERR_NOSPC;
		*relieved = true;
		return free_pages(s);
	default:
		return why;
	}
}

/* Room in the log for one more record: prepare a segment, or free one. */
static enum vs_err help_log(struct store *s, enum vs_err why, bool *relieved)
{
	enum vs_err err = why;

	if (why == VS_ERR_BUSY) {
		err = log_prepare(s->log);
		/* even so: ask log_room again, the reserve may do */
		return err == VS_ERR_NOSPC ? VS_OK : err;
	}
	if (err != VS_ERR_NOSPC || *relieved)
		return err;
	*relieved = true;
	return relieve(s);
}

/* Evaluate, order and apply under one hold of the lock; what is missing comes back as an error. */
static enum vs_err propose_once(struct store *s, const struct txn *t, const uint8_t *table,
				struct store_result *out, struct tree_ref *miss, bool *in_log)
	REQUIRES(s->lock)
{
	struct bytes meta = bytes_of(t->buf, t->len);
	struct log_append a = {LOG_TXN, s->term, meta, t->data, table};
	struct log_record rec = {.type = LOG_TXN,
				 .term = s->term,
				 .index = s->applied + 1,
				 .meta = meta,
				 .data_len = (uint32_t)t->data.len,
				 .table = table};
	uint64_t index;
	enum vs_err err;

	err = store_evaluate(s, meta, rec.index, rec.data_len, t->use_reserve, &out->failed_item,
			     miss, &out->index);
	if (err)
		return err;
	*in_log = true;
	err = log_room(s->log, meta.len, t->data.len, t->use_reserve);
	if (!err)
		err = log_order(s->log, &a, &index, &rec.data);
	if (err)
		return err;
	vs_assert(index == rec.index); /* E1 */
	store_apply(s, &rec);
	s->applied = index;
	s->since_records++;
	s->since_meta += meta.len;
	s->since_bytes += LOG_RECORD_HEADER + meta.len + t->data.len;
	out->index = index;
	return VS_OK;
}

static enum vs_err propose(struct store *s, const struct txn *t, const uint8_t *table,
			   struct store_result *out)
{
	bool relieved = false, log_relieved = false;

	for (;;) {
		struct tree_ref miss = {0, 0};
		bool in_log = false;
		enum vs_err err = atomic_load(&s->stopped);

		if (err)
			return VS_ERR_STOPPED;
		rwlock_wrlock(&s->lock);
		err = propose_once(s, t, table, out, &miss, &in_log);
		rwlock_unlock(&s->lock);
		if (!err) {
			if (t->lazy)
				return VS_OK;
			err = log_write(s->log, out->index);
			return err ? store_stop(s, err) : VS_OK;
		}
		if (err == VS_ERR_EXIST) /* applied before: the first answer */
			return VS_OK;
		if (err != VS_ERR_MISS && err != VS_ERR_BUSY && err != VS_ERR_NOSPC)
			return err;
		err = in_log ? help_log(s, err, &log_relieved)
			     : store_help(s, err, miss, &relieved);
		if (err)
			return store_judge(s, err);
	}
}

uint32_t store_changes_max(struct store *s)
{
	uint64_t n = s->cache_bytes / TREE_PAGE / 3;

	return n < TXN_ITEMS_MAX ? (uint32_t)n : TXN_ITEMS_MAX;
}

enum vs_err store_propose(struct store *s, const struct txn *t, struct store_result *out)
{
	uint8_t small[64], *table = small;
	size_t need = 4u * (size_t)checksum_blocks(t->data.len);
	enum vs_err err;

	vs_assert(!s->read_only &&
		  !(t->lazy && t->data.len)); /* data is borrowed until it is written */
	if (t->bad)
		return t->bad;
	if (t->changes > store_changes_max(s))
		return VS_ERR_TOOBIG;
	if (t->data.len > LOG_DATA_MAX ||
	    LOG_RECORD_HEADER + t->len + need + t->data.len + 2 * CHECKSUM_BLOCK >
		    s->segment_bytes / 2)
		return VS_ERR_TOOBIG;
	if (need > sizeof small && !(table = malloc(need)))
		return VS_ERR_NOMEM;
	checksum_table(t->data.p, t->data.len, table);
	err = propose(s, t, table, out);
	if (table != small)
		free(table);
	return err;
}

/* --- durability --- */

enum vs_err store_sync(struct store *s, uint64_t index)
{
	enum vs_err err = log_sync(s->log, index);

	if (err)
		return store_stop(s, err);
	/* another file of the store may have failed: nothing is acknowledged any more (F54) */
	return atomic_load(&s->stopped) ? VS_ERR_STOPPED : VS_OK;
}

void store_sync_async(struct store *s, struct log_waiter *w)
{
	if (atomic_load(&s->stopped))
		w->done(w, VS_ERR_STOPPED);
	else
		log_sync_async(s->log, w);
}

uint64_t store_last_index(struct store *s)
{
	return log_last_index(s->log);
}

uint64_t store_synced_index(struct store *s)
{
	return log_synced_index(s->log);
}

/* --- ids --- */

/* Take the next block of ids from the replicated counter (E6). */
static enum vs_err next_id_block(struct store *s, uint64_t *first)
{
	static const char name[] = "next-id";
	struct store_result res;
	struct key k;
	struct txn t;
	enum vs_err err;

	key_text(&k, KEY_SYSTEM, bytes_of(name, sizeof name - 1));
	txn_init(&t);
	do {
		uint8_t old[8], new[8];
		size_t len = 0;

		txn_reset(&t);
		t.use_reserve = true;
		err = store_get(s, &k, old, sizeof old, &len);
		if (err == VS_ERR_NOENT) {
			*first = 1024;
			txn_if_absent(&t, &k);
		} else if (err || len != 8) {
			err = err ? err : VS_ERR_CORRUPT_VALUE;
			break;
		} else {
			*first = get_le64(old);
			txn_if_value(&t, &k, bytes_of(old, sizeof old));
		}
		put_le64(new, *first + ID_BLOCK);
		txn_put(&t, &k, bytes_of(new, sizeof new));
		err = store_propose(s, &t, &res);
	} while (err == VS_ERR_COND);
	txn_fini(&t);
	/*
	 * Durable before the first id is given out: after power loss the block
	 * would be given out again, and a handle kept elsewhere (NFS) would name
	 * another file.
	 */
	return err ? err : store_sync(s, res.index);
}

enum vs_err store_new_ids(struct store *s, uint32_t count, uint64_t *first)
{
	vs_assert(count && count <= ID_BLOCK);
	for (;;) {
		uint64_t block;
		enum vs_err err;

		mutex_lock(&s->id_mutex);
		if (s->id_end - s->id_next >= count) {
			*first = s->id_next;
			s->id_next += count;
			mutex_unlock(&s->id_mutex);
			return VS_OK;
		}
		mutex_unlock(&s->id_mutex);
		err = next_id_block(s, &block);
		if (err)
			return err;
		mutex_lock(&s->id_mutex);
		if (s->id_end - s->id_next < count) {
			s->id_next = block;
			s->id_end = block + ID_BLOCK;
		}
		mutex_unlock(&s->id_mutex);
	}
}

/* --- reading --- */

enum vs_err store_get(struct store *s, const struct key *k, void *buf, size_t cap, size_t *len)
{
	for (;;) {
		struct tree_ref miss;
		struct bytes v;
		enum vs_err err;

		rwlock_rdlock(&s->lock);
		err = tree_get(s->tree, key_bytes(k), &v, &miss);
		if (!err) {
			*len = v.len;
			memcpy(buf, v.p, v.len < cap ? v.len : cap);
		}
		rwlock_unlock(&s->lock);
		if (err != VS_ERR_MISS)
			return err;
		err = store_fault(s, miss);
		if (err)
			return err;
	}
}

/*
 * One run of a scan under one hold of the lock, at most `burst` entries, so
 * that a long listing does not keep writers out.  *next: where to go on.
 */
static enum vs_err scan_run(struct store *s, const struct store_pin *pin, struct bytes prefix,
			    struct key *next, store_scan_fn each, void *arg, struct tree_ref *miss,
			    bool *done) REQUIRES_RD(s->lock)
{
	struct tree_cursor c;
	uint32_t burst = 256;
	enum vs_err err;

	tree_cursor_init(&c, s->tree, pin ? pin->pin : NULL);
	err = tree_cursor_seek(&c, key_bytes(next), miss);
	while (!err && burst--) {
		if (!bytes_starts(c.key, prefix) || !each(arg, c.key, c.value)) {
			*done = true;
			return VS_OK;
		}
		/* the successor in key order: the key with a zero byte behind it */
		memcpy(next->b, c.key.p, c.key.len);
		if (c.key.len < TREE_KEY_MAX) {
			next->b[c.key.len] = 0;
			next->len = (uint16_t)(c.key.len + 1);
		}
		err = tree_cursor_next(&c, miss);
	}
	*done = err == VS_ERR_END;
	return *done ? VS_OK : err;
}

enum vs_err store_scan(struct store *s, const struct store_pin *pin, const struct key *prefix,
		       const struct key *first, store_scan_fn each, void *arg)
{
	struct key next = *first;
	bool done = false;

	vs_assert(prefix->len <= TREE_KEY_MAX && first->len <= TREE_KEY_MAX);
	while (!done) {
		struct tree_ref miss;
		enum vs_err err;

		rwlock_rdlock(&s->lock);
		err = scan_run(s, pin, key_bytes(prefix), &next, each, arg, &miss, &done);
		rwlock_unlock(&s->lock);
		if (err == VS_ERR_MISS)
			err = store_fault(s, miss);
		if (err)
			return err;
	}
	return VS_OK;
}

struct chunk_slice {
	struct log_place place;
	uint32_t chunk_len;
	uint8_t table[CHUNK_VALUE_MAX];
};

/* Where the chunk stands and the checksums of the blocks of [off, off+len). */
static enum vs_err chunk_locate(struct store *s, const struct key *k, uint32_t off, uint32_t len,
				struct chunk_slice *out)
{
	for (;;) {
		struct chunk_record c = {.len = 0};
		struct tree_ref miss;
		struct bytes v;
		enum vs_err err;

		rwlock_rdlock(&s->lock);
		err = tree_get(s->tree, key_bytes(k), &v, &miss);
		if (!err)
			err = chunk_decode(v, &c);
		if (!err && (uint64_t)off + len > c.len)
			err = VS_ERR_CORRUPT_VALUE;
		if (!err) {
			out->place = c.place;
			out->chunk_len = c.len;
			memcpy(out->table, c.table + 4 * (off / CHECKSUM_BLOCK),
			       4u * checksum_blocks(len));
		}
		rwlock_unlock(&s->lock);
		if (err != VS_ERR_MISS)
			return err;
		err = store_fault(s, miss);
		if (err)
			return err;
	}
}

static bool table_matches(const uint8_t *buf, uint32_t len, const uint8_t *table)
{
	for (uint32_t done = 0; done < len; done += CHECKSUM_BLOCK, table += 4) {
		uint32_t n = len - done < CHECKSUM_BLOCK ? len - done : CHECKSUM_BLOCK;

		if (checksum_crc32c(buf + done, n) != get_le32(table))
			return false;
	}
	return true;
}

enum vs_err store_chunk_read(struct store *s, uint64_t index, uint32_t data_off, uint32_t off,
			     void *buf, uint32_t len)
{
	struct log_place tried = {0, 0};
	struct chunk_slice c;
	struct key k;

	vs_assert(off % CHECKSUM_BLOCK == 0);
	key_chunk(&k, index, data_off);
	for (;;) {
		enum vs_err err = chunk_locate(s, &k, off, len, &c);

		if (err)
			return err;
		vs_assert(len % CHECKSUM_BLOCK == 0 || off + len == c.chunk_len);
		/* the same place a second time: it did not move, it is damaged */
		if (c.place.segment == tried.segment && c.place.off == tried.off) {
			atomic_fetch_add(&s->corrupt_chunks, 1);
			return VS_ERR_CORRUPT_CHUNK;
		}
		tried = c.place;
		err = log_read(s->log, index, c.place, off, buf, len);
		if (err == VS_OK && table_matches(buf, len, c.table))
			return VS_OK;
		/* the cleaner may have moved it and its segment been used again */
		if (err && err != VS_ERR_STALE)
			return err;
	}
}

/* --- pins --- */

enum vs_err store_pin(struct store *s, bool fresh, struct store_pin **out)
{
	struct store_pin *p = malloc(sizeof *p);
	enum vs_err err = p ? VS_OK : VS_ERR_NOMEM;

	if (!err && fresh)
		err = store_checkpoint(s, NULL);
	if (!err) {
		rwlock_wrlock(&s->lock);
		err = tree_pin(s->tree, &p->pin);
		s->pins += !err;
		p->index = atomic_load(&s->ckpt_index);
		rwlock_unlock(&s->lock);
	}
	if (err)
		free(p);
	else
		*out = p;
	return err;
}

void store_unpin(struct store *s, struct store_pin *p)
{
	rwlock_wrlock(&s->lock);
	tree_unpin(s->tree, p->pin);
	vs_assert(s->pins > 0);
	s->pins--;
	rwlock_unlock(&s->lock);
	free(p);
}

uint64_t store_pin_index(const struct store_pin *p)
{
	return p->index;
}

/* --- figures --- */

enum vs_err store_space(struct store *s, struct store_space *out)
{
	struct tree_stats tree;
	struct log_stats log;
	struct env_space disk;
	uint64_t reserve, data;
	enum vs_err err = s->env->ops->space(s->env, &disk);

	if (err)
		return err;
	memset(out, 0, sizeof *out);
	rwlock_rdlock(&s->lock);
	out->live_bytes = s->counters.live_bytes;
	tree_stats(s->tree, &tree);
	rwlock_unlock(&s->lock);
	log_stats(s->log, &log);
	data = log.segments * s->segment_bytes;
	out->garbage_bytes = data > out->live_bytes ? data - out->live_bytes : 0;
	out->used_bytes = out->live_bytes + tree.used_pages * TREE_PAGE;
	/* what deletes, checkpoints and cleaning need is never offered */
	reserve = 4ull * s->segment_bytes + TREE_GROW_PAGES * (uint64_t)TREE_PAGE;
	out->avail_bytes = disk.free_bytes + out->garbage_bytes +
			   (log.free_segments + log.spare_segments) * s->segment_bytes +
			   (tree.file_pages - tree.used_pages) * TREE_PAGE;
	out->avail_bytes = out->avail_bytes > reserve ? out->avail_bytes - reserve : 0;
	out->total_bytes = out->used_bytes + out->avail_bytes;
	return VS_OK;
}

void store_stats(struct store *s, struct store_stats *out)
{
	uint64_t now = s->env->ops->now_mono_ns(s->env), data;

	memset(out, 0, sizeof *out);
	out->cluster_id = s->cluster_id;
	out->chunk_bytes = s->chunk_bytes;
	out->segment_bytes = s->segment_bytes;
	out->term = s->term;
	out->last_index = log_last_index(s->log);
	out->synced_index = log_synced_index(s->log);
	out->checkpoint_index = atomic_load(&s->ckpt_index);
	out->generation = atomic_load(&s->ckpt_generation);
	out->last_checkpoint_ns = atomic_load(&s->ckpt_ns);
	out->corrupt_chunks = atomic_load(&s->corrupt_chunks);
	out->uptime_ns = now - s->started_ns;
	out->stopped = atomic_load(&s->stopped);
	rwlock_rdlock(&s->lock);
	out->applied_index = s->applied;
	out->objects = s->counters.objects;
	out->keys = s->counters.keys;
	out->chunks = s->counters.chunks;
	out->live_bytes = s->counters.live_bytes;
	out->garbage_contents = s->counters.garbage_contents;
	out->state_hash = s->counters.state_hash;
	tree_stats(s->tree, &out->tree);
	rwlock_unlock(&s->lock);
	log_stats(s->log, &out->log);
	data = out->log.segments * s->segment_bytes;
	out->garbage_bytes = data > out->live_bytes ? data - out->live_bytes : 0;
	mutex_lock(&s->ckpt_mutex);
	out->checkpoints = s->ckpt_done;
	mutex_unlock(&s->ckpt_mutex);
	mutex_lock(&s->scrub_mutex);
	out->scrub = s->scrub;
	mutex_unlock(&s->scrub_mutex);
}

uint64_t store_now_ns(struct store *s)
{
	return s->env->ops->now_real_ns(s->env);
}
