#include "tests/lib/mem_disk.h"

#include "engine/base/assert.h"

#include <stdlib.h>

#define BLOCK ENV_MEM_BLOCK

/* Make room for one more element of *v. */
static void *room_for_one(void *v, size_t count, size_t *cap, size_t each)
{
	if (count < *cap)
		return v;
	*cap = *cap ? *cap * 2 : 8;
	v = realloc(v, *cap * each);
	vs_assert(v);
	return v;
}

static void *copy_of(const void *p, size_t len)
{
	void *q = calloc(1, len ? len : 1);

	vs_assert(q);
	if (len)
		memcpy(q, p, len);
	return q;
}

/* --- blocks */

static void dirty_drop_from(struct disk_file *f, size_t i)
{
	for (size_t k = i; k < f->dirty_count; k++) {
		for (uint32_t v = 0; v < f->dirty[k].count; v++)
			free(f->dirty[k].version[v]);
	}
	f->dirty_count = i < f->dirty_count ? i : f->dirty_count;
}

/* Index of the first dirty block >= block. */
static size_t dirty_at(const struct disk_file *f, uint64_t block)
{
	size_t lo = 0, hi = f->dirty_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (f->dirty[mid].block < block)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Before a write to block: it is dirty from now on; what it was is a version. */
static void dirty_mark(struct disk_file *f, uint64_t block)
{
	size_t i = dirty_at(f, block);
	struct dirty *d;

	if (i == f->dirty_count || f->dirty[i].block != block) {
		f->dirty = room_for_one(f->dirty, f->dirty_count, &f->dirty_cap, sizeof *f->dirty);
		memmove(f->dirty + i + 1, f->dirty + i, (f->dirty_count - i) * sizeof *f->dirty);
		f->dirty[i] = (struct dirty){.block = block};
		f->dirty_count++;
		return;
	}
	d = &f->dirty[i];
	if (d->count == DISK_VERSIONS) {
		free(d->version[0]);
		memmove(d->version, d->version + 1, sizeof d->version - sizeof *d->version);
		d->count--;
	}
	d->version[d->count] = malloc(BLOCK);
	vs_assert(d->version[d->count]);
	image_read(&f->live, d->version[d->count++], BLOCK, block * BLOCK);
}

static uint64_t blocks_of(uint64_t bytes)
{
	return bytes / BLOCK + (bytes % BLOCK != 0);
}

static void use_blocks(struct disk_file *f, uint64_t off, uint64_t len)
{
	uint64_t end = blocks_of(off + len);

	if (end > f->used_cap) {
		uint64_t cap = end + end / 2;

		f->used = realloc(f->used, cap);
		vs_assert(f->used);
		memset(f->used + f->used_cap, 0, cap - f->used_cap);
		f->used_cap = cap;
	}
	for (uint64_t b = off / BLOCK; b < end; b++) {
		f->used_count += !f->used[b];
		f->used[b] = 1;
	}
}

static void unuse_from(struct disk_file *f, uint64_t size)
{
	for (uint64_t b = blocks_of(size); b < f->used_cap; b++) {
		f->used_count -= f->used[b];
		f->used[b] = 0;
	}
}

uint64_t disk_new_blocks(const struct disk_file *f, uint64_t off, uint64_t len)
{
	uint64_t n = 0;

	for (uint64_t b = off / BLOCK; b < blocks_of(off + len); b++)
		n += b >= f->used_cap || !f->used[b];
	return n;
}

uint64_t disk_used_blocks(const struct disk *d)
{
	uint64_t n = 0;

	for (size_t i = 0; i < d->file_count; i++)
		n += d->file[i]->used_count;
	return n;
}

void disk_write(struct disk_file *f, const void *buf, size_t len, uint64_t off)
{
	if (!len)
		return;
	for (uint64_t b = off / BLOCK; b < blocks_of(off + len); b++)
		dirty_mark(f, b);
	use_blocks(f, off, len);
	image_write(&f->live, buf, len, off);
	if (off + len > f->size)
		f->size = off + len;
}

void disk_truncate(struct disk_file *f, uint64_t size)
{
	size_t i = dirty_at(f, blocks_of(size));

	if (size < f->size) {
		image_cut(&f->live, size);
		dirty_drop_from(f, i);
		/* earlier versions of the block the cut goes through lose their tail too */
		if (size % BLOCK && i && f->dirty[i - 1].block == size / BLOCK) {
			for (uint32_t v = 0; v < f->dirty[i - 1].count; v++)
				memset(f->dirty[i - 1].version[v] + size % BLOCK, 0,
				       BLOCK - size % BLOCK);
		}
		unuse_from(f, size);
		f->cut = size < f->cut ? size : f->cut;
	}
	f->resized |= size != f->size;
	f->size = size;
}

void disk_allocate(struct disk_file *f, uint64_t off, uint64_t len)
{
	use_blocks(f, off, len);
	if (off + len > f->size) {
		f->size = off + len;
		f->resized = true;
	}
}

static void all_clean(struct disk_file *f)
{
	dirty_drop_from(f, 0);
	f->cut = UINT64_MAX;
	f->resized = false;
}

void disk_sync(struct disk_file *f)
{
	uint8_t buf[BLOCK];

	if (f->cut < f->durable_size)
		image_cut(&f->durable, f->cut);
	for (size_t i = 0; i < f->dirty_count; i++) {
		uint64_t off = f->dirty[i].block * BLOCK;

		if (f->diverged) {
			image_read(&f->live, buf, BLOCK, off);
			image_write(&f->durable, buf, BLOCK, off);
		} else {
			/* the clean blocks of the piece are equal in both */
			image_share_piece(&f->durable, &f->live, off);
		}
	}
	f->durable_size = f->size;
	all_clean(f);
}

/* --- what a crash keeps */

struct pick {
	enum env_mem_crash mode;
	struct rnd r;
	uint64_t mask;
	uint32_t unit;      /* next unit of the mask */
	uint32_t keep_of_8; /* chance of a block */
};

static struct pick pick_of(enum env_mem_crash mode, uint64_t seed)
{
	struct pick p = {.mode = mode, .r = rnd_of(seed), .mask = seed};

	p.keep_of_8 = (uint32_t[]){1, 4, 7}[rnd_below(&p.r, 3)];
	return p;
}

static bool pick_unit(struct pick *p)
{
	switch (p->mode) {
	case ENV_MEM_LOSE:
		return false;
	case ENV_MEM_KEEP:
		return true;
	case ENV_MEM_MASK:
		p->unit++;
		return p->unit <= 64 && p->mask >> (p->unit - 1) & 1;
	default:
		return rnd_chance(&p->r, p->keep_of_8, 8);
	}
}

/* What of dirty block d reaches the disk, to buf; false when nothing does. */
static bool pick_block(struct pick *p, const struct disk_file *f, const struct dirty *d,
		       uint8_t buf[BLOCK])
{
	bool random = p->mode == ENV_MEM_BLOCKS || p->mode == ENV_MEM_TORN;
	uint8_t old[BLOCK];

	if (!pick_unit(p))
		return false;
	if (random && d->count && rnd_chance(&p->r, 1, 3))
		memcpy(buf, d->version[rnd_below(&p->r, d->count)], BLOCK);
	else
		image_read(&f->live, buf, BLOCK, d->block * BLOCK);
	if (p->mode == ENV_MEM_TORN && rnd_chance(&p->r, 1, 2)) {
		image_read(&f->durable, old, BLOCK, d->block * BLOCK);
		for (size_t s = 0; s < BLOCK; s += ENV_MEM_SECTOR) {
			if (rnd_chance(&p->r, 1, 2))
				memcpy(buf + s, old + s, ENV_MEM_SECTOR);
		}
	}
	return true;
}

/* The durable image and size become what p lets through; all is clean. */
static void settle(struct disk_file *f, struct pick *p)
{
	bool shrunk = f->cut < f->durable_size;
	bool random = p->mode == ENV_MEM_BLOCKS || p->mode == ENV_MEM_TORN;
	bool sized = f->resized || random || p->mode == ENV_MEM_KEEP ? pick_unit(p) : false;
	uint64_t end = f->durable_size;
	uint8_t buf[BLOCK];

	if (shrunk && sized) {
		image_cut(&f->durable, f->cut);
		end = f->cut;
	}
	for (size_t i = 0; i < f->dirty_count; i++) {
		uint64_t off = f->dirty[i].block * BLOCK;
		uint64_t to = off + BLOCK < f->size ? off + BLOCK : f->size;
		bool kept = pick_block(p, f, &f->dirty[i], buf);

		if (!kept || (shrunk && !sized && off + BLOCK > f->cut))
			continue;
		image_write(&f->durable, buf, BLOCK, off);
		end = to > end ? to : end;
	}
	f->durable_size = sized ? f->size : end;
	all_clean(f);
}

void disk_sync_lost(struct disk_file *f, struct rnd *r)
{
	struct pick p = pick_of(ENV_MEM_BLOCKS, rnd_next(r));
	size_t victim = rnd_below(r, f->dirty_count);

	/* at least one block is lost, or the failure would teach nothing */
	if (f->dirty_count) {
		for (uint32_t v = 0; v < f->dirty[victim].count; v++)
			free(f->dirty[victim].version[v]);
		f->dirty_count--;
		memmove(f->dirty + victim, f->dirty + victim + 1,
			(f->dirty_count - victim) * sizeof *f->dirty);
	}
	settle(f, &p);
	f->diverged = true;
}

/* --- names */

void disk_dir_of(const char *name, char out[ENV_MEM_NAME_MAX + 1])
{
	const char *slash = strchr(name, '/');
	size_t n = slash ? (size_t)(slash - name) : 0;

	vs_assert(n <= ENV_MEM_NAME_MAX);
	memcpy(out, name, n);
	out[n] = 0;
}

static void name_copy(char to[ENV_MEM_NAME_MAX + 1], const char *name)
{
	size_t n = strlen(name);

	vs_assert(n && n <= ENV_MEM_NAME_MAX);
	memcpy(to, name, n + 1);
}

static struct disk_name *names_find(const struct names *t, const char *name)
{
	for (size_t i = 0; i < t->count; i++) {
		if (!strcmp(t->v[i].name, name))
			return &t->v[i];
	}
	return NULL;
}

static bool names_have_dir_of(const struct names *t, const char *name)
{
	char dir[ENV_MEM_NAME_MAX + 1];
	const struct disk_name *n;

	disk_dir_of(name, dir);
	n = *dir ? names_find(t, dir) : NULL;
	return !*dir || (n && !n->file);
}

static void names_remove(struct names *t, const char *name)
{
	struct disk_name *n = names_find(t, name);

	if (!n)
		return;
	t->count--;
	memmove(n, n + 1, (size_t)(t->v + t->count - n) * sizeof *n);
}

static void names_put(struct names *t, const char *name, struct disk_file *f)
{
	names_remove(t, name);
	t->v = room_for_one(t->v, t->count, &t->cap, sizeof *t->v);
	name_copy(t->v[t->count].name, name);
	t->v[t->count++].file = f;
}

static void names_apply(struct names *t, const struct name_op *op)
{
	if (*op->from)
		names_remove(t, op->from);
	if (*op->to)
		names_put(t, op->to, op->file);
}

static void names_become(struct names *to, const struct names *from, const struct disk *files)
{
	free(to->v);
	to->v = copy_of(from->v, from->count * sizeof *from->v);
	to->count = to->cap = from->count;
	for (size_t i = 0; i < to->count; i++) {
		if (to->v[i].file)
			to->v[i].file = files->file[to->v[i].file->at];
	}
}

struct disk_name *disk_find(const struct disk *d, const char *name)
{
	return names_find(&d->live, name);
}

bool disk_has_dir_of(const struct disk *d, const char *name)
{
	return names_have_dir_of(&d->live, name);
}

static void op_add(struct disk *d, const char *from, const char *to, struct disk_file *f)
{
	struct name_op *op;

	d->op = room_for_one(d->op, d->op_count, &d->op_cap, sizeof *d->op);
	op = &d->op[d->op_count++];
	*op = (struct name_op){.file = f};
	if (from)
		name_copy(op->from, from);
	if (to)
		name_copy(op->to, to);
	names_apply(&d->live, op);
	disk_collect(d);
}

struct disk_file *disk_create(struct disk *d, const char *name)
{
	struct disk_file *f = calloc(1, sizeof *f);

	vs_assert(f);
	f->cut = UINT64_MAX;
	f->at = d->file_count;
	d->file = room_for_one(d->file, d->file_count, &d->file_cap, sizeof *d->file);
	d->file[d->file_count++] = f;
	op_add(d, NULL, name, f);
	return f;
}

void disk_mkdir(struct disk *d, const char *name)
{
	op_add(d, NULL, name, NULL);
}

void disk_unlink(struct disk *d, const char *name)
{
	op_add(d, name, NULL, NULL);
}

void disk_rename(struct disk *d, const char *from, const char *to)
{
	op_add(d, from, to, disk_find(d, from)->file);
}

/* A set of directories; few. */
struct dirs {
	char v[8][ENV_MEM_NAME_MAX + 1];
	size_t count;
};

static bool dirs_have(const struct dirs *s, const char *dir)
{
	for (size_t i = 0; i < s->count; i++) {
		if (!strcmp(s->v[i], dir))
			return true;
	}
	return false;
}

static void dirs_add(struct dirs *s, const char *dir)
{
	if (dirs_have(s, dir))
		return;
	vs_assert(s->count < sizeof s->v / sizeof *s->v);
	memcpy(s->v[s->count++], dir, strlen(dir) + 1);
}

/* The one or two directories op changes. */
static struct dirs dirs_of(const struct name_op *op)
{
	char dir[ENV_MEM_NAME_MAX + 1];
	struct dirs s = {.count = 0};

	if (*op->from) {
		disk_dir_of(op->from, dir);
		dirs_add(&s, dir);
	}
	if (*op->to) {
		disk_dir_of(op->to, dir);
		dirs_add(&s, dir);
	}
	return s;
}

static bool dirs_meet(const struct dirs *a, const struct dirs *b)
{
	for (size_t i = 0; i < a->count; i++) {
		if (dirs_have(b, a->v[i]))
			return true;
	}
	return false;
}

static void dirs_join(struct dirs *a, const struct dirs *b)
{
	for (size_t i = 0; i < b->count; i++)
		dirs_add(a, b->v[i]);
}

/* Apply the operations marked done to the durable names; keep the others. */
static void ops_settle(struct disk *d)
{
	size_t left = 0;

	for (size_t i = 0; i < d->op_count; i++) {
		if (d->op[i].done)
			names_apply(&d->durable, &d->op[i]);
		else
			d->op[left++] = d->op[i];
	}
	d->op_count = left;
	disk_collect(d);
}

void disk_dir_sync(struct disk *d, const char *dir)
{
	struct dirs need = {.count = 0};

	dirs_add(&need, dir);
	/* backwards: an operation also needs the earlier ones of its other directory */
	for (size_t i = d->op_count; i-- > 0;) {
		struct dirs s = dirs_of(&d->op[i]);

		d->op[i].done = dirs_meet(&s, &need);
		if (d->op[i].done)
			dirs_join(&need, &s);
	}
	ops_settle(d);
}

/* Choose the name operations that survive: a prefix in each directory. */
static void ops_pick(struct disk *d, struct pick *p, uint32_t names)
{
	struct dirs lost = {.count = 0};
	uint64_t style = rnd_below(&p->r, 4); /* all, none, or cut somewhere */

	for (size_t i = 0; i < d->op_count; i++) {
		struct dirs s = dirs_of(&d->op[i]);
		bool keep = style == 0 || (style > 1 && rnd_chance(&p->r, 3, 4));

		if (p->mode == ENV_MEM_LOSE || p->mode == ENV_MEM_KEEP)
			keep = p->mode == ENV_MEM_KEEP;
		else if (p->mode == ENV_MEM_MASK)
			keep = i < names;
		if (!keep || dirs_meet(&s, &lost))
			dirs_join(&lost, &s);
		else
			d->op[i].done = true;
	}
	ops_settle(d);
	d->op_count = 0;
}

/* --- the whole disk */

static void file_free(struct disk_file *f)
{
	dirty_drop_from(f, 0);
	image_fini(&f->live);
	image_fini(&f->durable);
	free(f->dirty);
	free(f->used);
	free(f);
}

void disk_fini(struct disk *d)
{
	for (size_t i = 0; i < d->file_count; i++)
		file_free(d->file[i]);
	free(d->file);
	free(d->live.v);
	free(d->durable.v);
	free(d->op);
	*d = (struct disk){0};
}

static void mark_names(const struct names *t, bool *seen)
{
	for (size_t i = 0; i < t->count; i++) {
		if (t->v[i].file)
			seen[t->v[i].file->at] = true;
	}
}

void disk_collect(struct disk *d)
{
	bool *seen = calloc(d->file_count + 1, sizeof *seen);
	size_t left = 0;

	vs_assert(seen);
	mark_names(&d->live, seen);
	mark_names(&d->durable, seen);
	for (size_t i = 0; i < d->op_count; i++) {
		if (d->op[i].file)
			seen[d->op[i].file->at] = true;
	}
	for (size_t i = 0; i < d->file_count; i++) {
		struct disk_file *f = d->file[i];

		if (!seen[i] && !f->opens) {
			file_free(f);
			continue;
		}
		f->at = left;
		d->file[left++] = f;
	}
	d->file_count = left;
	free(seen);
}

static struct disk_file *file_clone(const struct disk_file *f)
{
	struct disk_file *c = copy_of(f, sizeof *f);

	c->live = c->durable = (struct image){0};
	image_share(&c->live, &f->live);
	image_share(&c->durable, &f->durable);
	c->dirty = copy_of(f->dirty, f->dirty_count * sizeof *f->dirty);
	c->dirty_cap = f->dirty_count;
	for (size_t i = 0; i < c->dirty_count; i++) {
		for (uint32_t v = 0; v < c->dirty[i].count; v++)
			c->dirty[i].version[v] = copy_of(f->dirty[i].version[v], BLOCK);
	}
	c->used = copy_of(f->used, f->used_cap);
	c->opens = 0;
	return c;
}

void disk_clone(struct disk *to, const struct disk *from)
{
	struct disk d = {.file_count = from->file_count,
			 .file_cap = from->file_count,
			 .op_count = from->op_count,
			 .op_cap = from->op_count};

	d.file = copy_of(from->file, from->file_count * sizeof *from->file);
	for (size_t i = 0; i < d.file_count; i++) {
		vs_assert(from->file[i]->at == i);
		d.file[i] = file_clone(from->file[i]);
	}
	names_become(&d.live, &from->live, &d);
	names_become(&d.durable, &from->durable, &d);
	d.op = copy_of(from->op, from->op_count * sizeof *from->op);
	for (size_t i = 0; i < d.op_count; i++) {
		if (d.op[i].file)
			d.op[i].file = d.file[d.op[i].file->at];
	}
	*to = d;
}

void disk_crash(struct disk *d, enum env_mem_crash mode, uint64_t seed, uint32_t names)
{
	struct pick p = pick_of(mode, seed);

	for (size_t i = 0; i < d->file_count; i++) {
		settle(d->file[i], &p);
		d->file[i]->opens = 0;
	}
	ops_pick(d, &p, names);
	for (size_t i = 0; i < d->durable.count; i++) {
		if (!names_have_dir_of(&d->durable, d->durable.v[i].name))
			names_remove(&d->durable, d->durable.v[i--].name);
	}
	names_become(&d->live, &d->durable, d);
	disk_collect(d);
	for (size_t i = 0; i < d->file_count; i++) {
		struct disk_file *f = d->file[i];

		image_share(&f->live, &f->durable);
		f->size = f->durable_size;
		f->diverged = f->lose = f->misdirect = false;
		unuse_from(f, f->size);
	}
}

uint32_t disk_unsynced(const struct disk *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->file_count; i++)
		n += d->file[i]->dirty_count + d->file[i]->resized;
	return (uint32_t)n;
}
