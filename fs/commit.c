/*
 * commit: storing a draft: its dirty bytes become chunks, its extents, size and
 * times one transaction.
 *
 * A step is one transaction.  It carries runs of dirty bytes (each becomes a
 * chunk of the entry's data) and puts extents for them into the draft's
 * content.  For a draft in place the record changes with each step.  For a
 * replacement steps before the last leave the record alone: their extents go
 * to a content that is listed under 'N' for this session; the last step puts
 * the content into the record and drops the old one (P2, V2).
 */
#include "fs/fs_int.h"

#include <stdlib.h>

struct run {
	uint64_t off;
	uint32_t len; /* a multiple of WBUF_BLOCK but for a run that ends the file */
	const uint8_t *p;
};

struct step {
	struct fs *fs;
	struct inode *i;
	struct draft *d;
	const struct run *run;
	uint32_t count;
	const struct object_extent *clone; /* extents of chunks that are there already */
	uint32_t clones;
	bool final;             /* the commit: everything dirty is in it */
	bool cut;               /* remove extents behind the end of the file, too */
	uint64_t fresh;         /* a new content id for the record; 0: none needed so far */
	uint64_t dropped_bytes; /* of the content it replaces */
};

static uint64_t block_up(uint64_t off)
{
	return (off + WBUF_BLOCK - 1) & ~(uint64_t)(WBUF_BLOCK - 1);
}

/* --- extents */

struct extents {
	struct object_extent *e; /* room for max */
	uint32_t count, max;
	uint64_t to;
	bool more;
	enum vs_err err;
};

static bool take_extent(void *arg, struct bytes key, struct bytes value)
{
	struct extents *x = arg;
	struct object_extent e;

	x->err = object_extent_decode(key, value, &e);
	if (x->err || e.start >= x->to)
		return false;
	x->more = x->count == x->max;
	if (!x->more)
		x->e[x->count++] = e;
	return !x->more;
}

enum vs_err commit_extents(struct fs *fs, uint64_t content, uint64_t from, uint64_t to,
			   struct object_extent *e, uint32_t max, uint32_t *count, bool *more)
{
	struct extents x = {.e = e, .max = max, .to = to};
	struct key prefix, first;
	enum vs_err err;

	key_u64(&prefix, KEY_EXTENT, content);
	key_u64_u64(&first, KEY_EXTENT, content, from + 1);
	err = store_scan(fs->store, NULL, &prefix, &first, take_extent, &x);
	*count = x.count;
	*more = x.more;
	return err ? err : x.err;
}

/* --- one step */

/* The data of the transaction: the runs as they stand when they are neighbours, else a copy. */
static enum vs_err VS_MUST_USE step_data(const struct step *s, struct txn *t, uint8_t **own)
{
	bool joined = true;
	size_t total = 0;

	for (uint32_t n = 0; n < s->count; n++) {
		if (n && s->run[n].p != s->run[n - 1].p + s->run[n - 1].len)
			joined = false;
		total += s->run[n].len;
	}
	vs_assert(total <= LOG_DATA_MAX);
	if (joined) {
		t->data = bytes_of(s->count ? s->run[0].p : NULL, total);
		return VS_OK;
	}
	*own = malloc(total);
	if (!*own)
		return VS_ERR_NOMEM;
	total = 0;
	for (uint32_t n = 0; n < s->count; n++) {
		memcpy(*own + total, s->run[n].p, s->run[n].len);
		total += s->run[n].len;
	}
	t->data = bytes_of(*own, total);
	return VS_OK;
}

/* Chunks and extents for the runs, in content. */
static enum vs_err VS_MUST_USE step_runs(const struct step *s, struct txn *t, uint64_t content,
					 int64_t *delta)
{
	uint32_t at = 0;
	enum vs_err err = VS_OK;

	for (uint32_t n = 0; n < s->count && !err; n++) {
		const struct run *r = &s->run[n];
		struct object_extent e = {.start = r->off, .end = r->off + r->len, .data_off = at};
		bool ends_file = e.end >= s->d->size && s->cut;

		txn_chunk(t, at, r->len, 1);
		err = object_txn_extent(s->fs->store, t, content, e.start,
					ends_file ? UINT64_MAX : block_up(e.end), &e,
					FS_CUT_EXTENTS * 4, delta);
		at += r->len;
	}
	return err;
}

/* Extents of shared chunks. */
static enum vs_err VS_MUST_USE step_clones(const struct step *s, struct txn *t, uint64_t content,
					   int64_t *delta)
{
	enum vs_err err = VS_OK;

	for (uint32_t n = 0; n < s->clones && !err; n++) {
		const struct object_extent *e = &s->clone[n];
		struct key k;

		key_chunk(&k, e->index, e->data_off);
		txn_ref(t, &k, 1);
		err = object_txn_extent(s->fs->store, t, content, e->start, block_up(e->end), e,
					FS_CUT_EXTENTS, delta);
	}
	return err;
}

/* A truncation: the extents behind the new end, unless a run has taken them away. */
static enum vs_err VS_MUST_USE step_cut(const struct step *s, struct txn *t, uint64_t content,
					const struct object *o, int64_t *delta)
{
	const struct run *last = s->count ? &s->run[s->count - 1] : NULL;

	if (!s->cut || !s->final || s->d->replace || o->size <= s->d->size)
		return VS_OK;
	if (last && last->off + last->len >= s->d->size)
		return VS_OK;
	return object_txn_extent(s->fs->store, t, content, block_up(s->d->size), UINT64_MAX, NULL,
				 FS_CUT_EXTENTS, delta);
}

static bool fits_inline(const struct step *s, const struct object *o)
{
	return s->final && s->d->size <= OBJECT_INLINE_MAX && draft_unstored(s->d, o);
}

/* The content the runs go to; the record's old one is dropped when it is another. */
static enum vs_err VS_MUST_USE step_content(struct step *s, struct txn *t, struct object *o)
{
	struct draft *d = s->d;
	uint64_t old = o->content;
	struct key k;

	if (!d->replace || (fits_inline(s, o) && !o->alloc_bytes))
		return VS_OK;
	if (!d->content && !s->fresh) {
		enum vs_err err = store_new_ids(s->fs->store, 1, &s->fresh);

		if (err)
			return err;
	}
	o->content = d->content ? d->content : s->fresh;
	key_u64_u64(&k, KEY_PENDING_CONTENT, s->fs->session, o->content);
	if (!s->final) {
		if (!d->listed)
			txn_put(t, &k, bytes_of(NULL, 0));
		return VS_OK;
	}
	if (d->listed)
		txn_del(t, &k);
	s->dropped_bytes = o->alloc_bytes;
	return old ? object_txn_drop_content(s->fs->store, t, old) : VS_OK;
}

/* Size, times, flags of the record after the step. */
static void step_record(const struct step *s, struct txn *t, struct object *o, int64_t delta)
{
	const struct draft *d = s->d;
	uint64_t end = s->count ? s->run[s->count - 1].off + s->run[s->count - 1].len : 0;

	if (s->clones)
		end = s->clone[s->clones - 1].end;
	if (d->replace)
		o->alloc_bytes = d->alloc_bytes;
	o->alloc_bytes += (uint64_t)delta;
	if (s->final)
		o->size = d->size;
	else if (end > o->size)
		o->size = end;
	o->flags &= ~(uint32_t)OBJECT_INLINE;
	o->tail = bytes_of(NULL, 0);
	if (d->mtime_ns)
		o->mtime_ns = d->mtime_ns;
	if (d->ctime_ns)
		o->ctime_ns = d->ctime_ns;
	if (d->atime_ns)
		o->atime_ns = d->atime_ns;
	if (s->final)
		fs_txn_settle(s->fs, t, s->i->id, o);
	o->change++;
}

static enum vs_err VS_MUST_USE step_build(struct step *s, struct txn *t, struct object_raw *raw,
					  uint8_t **own, int64_t *delta)
{
	uint8_t small[OBJECT_INLINE_MAX];
	struct object o;
	bool inl;
	enum vs_err err = object_get(s->fs->store, s->i->id, raw, &o);

	if (err)
		return err;
	inl = fits_inline(s, &o);
	err = step_content(s, t, &o);
	if (!err && !inl)
		err = step_data(s, t, own);
	if (!err && !inl)
		err = step_runs(s, t, o.content, delta);
	if (!err)
		err = step_clones(s, t, o.content, delta);
	if (!err && !inl)
		err = step_cut(s, t, o.content, &o, delta);
	if (err || (s->d->replace && !s->final))
		return err;
	step_record(s, t, &o, *delta);
	if (inl && s->d->size) {
		memset(small, 0, sizeof small);
		wbuf_read(&s->d->buf, 0, small, s->d->size);
		o.flags |= OBJECT_INLINE;
		o.tail = bytes_of(small, s->d->size);
	}
	if (s->final && s->d->replace)
		t->use_reserve = t->use_reserve || !s->count;
	object_txn_put(t, s->i->id, &o, raw);
	return VS_OK;
}

/* Build and propose until the conditions hold.  VS_ERR_TOOBIG: take fewer runs. */
static enum vs_err VS_MUST_USE step_do(struct step *s, struct vfs_call *c)
{
	struct object_raw raw;
	uint32_t rounds = 0;
	struct txn t;
	enum vs_err err;

	txn_init(&t);
	do {
		uint8_t *own = NULL;
		int64_t delta = 0;

		txn_reset(&t);
		t.data = bytes_of(NULL, 0);
		t.use_reserve = false;
		err = step_build(s, &t, &raw, &own, &delta);
		if (!err && t.items)
			err = fs_propose(s->fs, &t, c, s->i);
		if (!err && s->d->replace && !s->final) {
			if (!s->d->content)
				s->d->content = s->fresh;
			s->d->listed = true;
			s->d->alloc_bytes += (uint64_t)delta;
		}
		free(own);
	} while (fs_again(&err, &rounds));
	txn_fini(&t);
	if (!err)
		fs_dropped(s->fs, s->dropped_bytes);
	return err;
}

/* --- choosing runs */

/*
 * Whether [off, ...) touches the extent that the run before it, which ends at
 * behind, touches too: object_txn_extent cannot change one extent twice in one
 * transaction.
 */
static enum vs_err VS_MUST_USE shares_extent(struct fs *fs, uint64_t content, uint64_t off,
					     uint64_t behind, bool *out)
{
	struct object_extent e;
	uint32_t count;
	bool more;
	enum vs_err err = commit_extents(fs, content, off, UINT64_MAX, &e, 1, &count, &more);

	*out = !err && count && e.start < behind;
	return err;
}

/* Fill run[] from the first pieces of the buffer; *pieces = how many were taken. */
static enum vs_err VS_MUST_USE choose(struct fs *fs, const struct draft *d, uint64_t content,
				      uint32_t max, struct run *run, uint32_t *count,
				      uint32_t *pieces)
{
	uint32_t n = 0, i;
	uint64_t bytes = 0;

	for (i = 0; i < d->buf.count && n < max; i++) {
		const struct wbuf_piece *p = &d->buf.v[i];
		uint64_t behind = n ? run[n - 1].off + run[n - 1].len : 0;
		bool shared = false;
		enum vs_err err;

		if (p->off >= d->size || bytes + p->len > FS_BATCH_BYTES)
			break;
		if (n && content) {
			err = shares_extent(fs, content, p->off, behind, &shared);
			if (err)
				return err;
		}
		if (shared)
			break;
		run[n].off = p->off;
		run[n].len = p->len;
		if (d->size - p->off < p->len)
			run[n].len = (uint32_t)(d->size - p->off);
		run[n++].p = p->p;
		bytes += p->len;
	}
	*count = n;
	*pieces = i;
	return VS_OK;
}

/* Store from the front of the buffer: one step; *done when nothing is left. */
static enum vs_err VS_MUST_USE store_front(struct fs *fs, struct inode *i, struct vfs_call *c,
					   bool final, bool *done)
{
	struct run run[FS_BATCH_RUNS];
	uint32_t max = FS_BATCH_RUNS, pieces;
	struct draft *d = inode_draft(i);
	struct step s = {.fs = fs, .i = i, .d = d, .run = run, .cut = true};
	struct object_raw raw;
	struct object o;
	enum vs_err err = object_get(fs->store, i->id, &raw, &o);

	if (err)
		return err;
	for (;;) {
		uint64_t content = draft_unstored(d, &o) ? 0 : draft_content(d, &o);

		err = choose(fs, d, content, max, run, &s.count, &pieces);
		if (err)
			return err;
		s.final = final && pieces == d->buf.count;
		if (!s.count && !s.final)
			break;
		err = step_do(&s, c);
		/* Short of tree pages: a smaller transaction needs fewer. */
		if (err == VS_ERR_NOSPC && s.count > 1) {
			max = s.count / 2;
			continue;
		}
		if (err != VS_ERR_TOOBIG || (s.count <= 1 && !s.cut))
			break;
		s.cut = s.cut && s.count > 1;
		max = s.count > 1 ? s.count / 2 : 1;
	}
	if (err)
		return err;
	wbuf_drop_first(&d->buf, pieces);
	draft_count(fs, i);
	*done = final ? s.final : wbuf_empty(&d->buf);
	/* Too much lay behind the new end: it goes now, unseen. */
	if (s.final && !s.cut && !d->replace)
		err = commit_cut(fs, i, d, c, block_up(d->size), UINT64_MAX);
	return err;
}

enum vs_err commit_early(struct fs *fs, struct inode *i, struct vfs_call *c)
{
	struct draft *d = inode_draft(i);
	bool done = !d || wbuf_empty(&d->buf);
	enum vs_err err = VS_OK;

	while (!done && !err)
		err = store_front(fs, i, c, false, &done);
	return err;
}

enum vs_err commit_window(struct fs *fs, struct inode *i, struct draft *d, struct vfs_call *c,
			  uint64_t off, const void *buf)
{
	struct run run = {off, fs->chunk_bytes, buf};
	struct step s = {.fs = fs, .i = i, .d = d, .run = &run, .count = 1};
	struct object_raw raw;
	struct object o;
	enum vs_err err = object_get(fs->store, i->id, &raw, &o);

	vs_assert(off % fs->chunk_bytes == 0);
	/* A file that is in its record becomes one of extents as a whole. */
	if (!err && !d->replace && (o.flags & OBJECT_INLINE)) {
		err = commit_early(fs, i, c);
		if (!err && !buf)
			return VS_OK;
	}
	if (err)
		return err;
	if (!buf)
		run.p = wbuf_full(&d->buf, off)->p;
	d->changed = true;
	d->mtime_ns = d->ctime_ns = fs_now(fs);
	err = step_do(&s, c);
	if (err)
		return err;
	if (off + run.len > d->size)
		d->size = off + run.len;
	err = wbuf_drop(&d->buf, off, off + run.len);
	if (wbuf_empty(&d->buf))
		d->buf.next_off = off + run.len;
	draft_count(fs, i);
	return err;
}

enum vs_err commit_clone(struct fs *fs, struct inode *i, struct draft *d, struct vfs_call *c,
			 const struct object_extent *e, uint32_t count)
{
	struct step s = {.fs = fs, .i = i, .d = d, .clone = e, .clones = count};

	vs_assert(count && count <= FS_CLONE_EXTENTS);
	d->changed = true;
	d->mtime_ns = d->ctime_ns = fs_now(fs);
	return step_do(&s, c);
}

/* The commit of an object without draft: only the pending mark goes. */
static enum vs_err VS_MUST_USE settle(struct fs *fs, struct inode *i, struct vfs_call *c)
{
	struct object_raw raw;
	struct object o;
	uint32_t rounds = 0;
	struct txn t;
	enum vs_err err;

	txn_init(&t);
	do {
		txn_reset(&t);
		err = object_get(fs->store, i->id, &raw, &o);
		if (!err && o.session) {
			fs_txn_settle(fs, &t, i->id, &o);
			o.change++;
			object_txn_put(&t, i->id, &o, &raw);
			err = fs_propose(fs, &t, c, i);
		}
	} while (fs_again(&err, &rounds));
	txn_fini(&t);
	return err;
}

enum vs_err commit_all(struct fs *fs, struct inode *i, struct vfs_call *c)
{
	struct draft *d = inode_draft(i);
	bool done = false;
	enum vs_err err = VS_OK;

	if (d && !d->changed) {
		if (i->pending)
			err = settle(fs, i, c);
	} else if (d) {
		while (!done && !err)
			err = store_front(fs, i, c, true, &done);
	} else if (i->pending) {
		err = settle(fs, i, c);
	}
	if (err)
		return err;
	if (d && d->changed)
		atomic_fetch_add(&fs->commits, 1);
	i->pending = false;
	if (d) {
		/* The record has it all now: forget the draft, not what is stored. */
		d->listed = false;
		draft_forget(fs, i);
	}
	return VS_OK;
}

/* --- holes */

static enum vs_err VS_MUST_USE cut_once(struct fs *fs, struct inode *i, struct draft *d,
					struct vfs_call *c, uint64_t from, uint64_t stop)
{
	struct object_raw raw;
	struct object o;
	uint32_t rounds = 0;
	struct txn t;
	enum vs_err err;

	txn_init(&t);
	do {
		int64_t delta = 0;

		txn_reset(&t);
		t.use_reserve = true;
		err = object_get(fs->store, i->id, &raw, &o);
		if (!err)
			err = object_txn_extent(fs->store, &t, draft_content(d, &o), from, stop,
						NULL, FS_CUT_EXTENTS, &delta);
		if (!err && !d->replace) {
			o.alloc_bytes += (uint64_t)delta;
			o.change++;
			object_txn_put(&t, i->id, &o, &raw);
		}
		if (!err && t.items)
			err = fs_propose(fs, &t, c, i);
		if (!err && d->replace)
			d->alloc_bytes += (uint64_t)delta;
	} while (fs_again(&err, &rounds));
	txn_fini(&t);
	return err;
}

enum vs_err commit_cut(struct fs *fs, struct inode *i, struct draft *d, struct vfs_call *c,
		       uint64_t from, uint64_t to)
{
	struct object_extent e[FS_CUT_EXTENTS];
	uint32_t max = FS_CUT_EXTENTS;
	struct object_raw raw;
	struct object o;
	enum vs_err err = object_get(fs->store, i->id, &raw, &o);

	vs_assert(from % WBUF_BLOCK == 0);
	while (!err && from < to) {
		uint64_t stop = to;
		uint32_t count;
		bool more;

		err = commit_extents(fs, draft_content(d, &o), from, to, e, max, &count, &more);
		if (err || !count)
			break;
		if (more)
			stop = e[count - 1].end;
		err = cut_once(fs, i, d, c, from, stop);
		if (err == VS_ERR_NOSPC && count > 1) {
			/* short of tree pages: a smaller transaction needs fewer */
			max = count / 2;
			err = VS_OK;
		} else {
			from = stop;
		}
	}
	return err;
}
