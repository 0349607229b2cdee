#include "tests/lib/env_mem.h"

#include "engine/base/assert.h"
#include "engine/base/thread.h"
#include "tests/lib/mem_disk.h"

#include <stdlib.h>

struct env_mem {
	struct env env;
	struct mutex lock;
	struct disk disk;
	struct rnd rnd;      /* faults */
	struct rnd user_rnd; /* what the store sees; faults do not shift it */
	uint64_t life;       /* crashes so far; handles of an earlier life are dead */
	uint64_t now_ns;
	uint64_t capacity;
	uint64_t io_count, fail_k;
	enum env_mem_fail fail;
	int mask;
	bool off, locked;
	struct env_mem_stats stats;
	void (*sync_hook)(void *arg, const char *name);
	void *sync_arg;
};

struct env_file {
	struct env_mem *m;
	struct disk_file *file; /* dangles when life is not m's */
	uint64_t life;
	bool writable;
	char name[ENV_MEM_NAME_MAX + 1]; /* when opened */
};

/* What happens to a call. */
enum verdict { GO, FAIL, FAIL_SPACE, POWER_CUT, DEAD };

static struct env_mem *self(struct env *e)
{
	return (struct env_mem *)e;
}

static enum verdict judge(struct env_mem *m, enum env_mem_io io)
{
	if (m->off)
		return DEAD;
	if (!(m->mask & (int)io))
		return GO;
	m->io_count++;
	if (!m->fail_k || --m->fail_k)
		return GO;
	switch (m->fail) {
	case ENV_MEM_FAIL_ON:
		m->fail_k = 1;
		return FAIL;
	case ENV_MEM_FAIL_NOSPC:
		return FAIL_SPACE;
	case ENV_MEM_FAIL_POWER:
		m->off = true;
		return POWER_CUT;
	default:
		return FAIL;
	}
}

static enum verdict judge_file(struct env_file *f, enum env_mem_io io)
{
	return f->life == f->m->life ? judge(f->m, io) : DEAD;
}

/* The code of verdict v, `site` being the error of the kind of call. */
static enum vs_err err_of(enum verdict v, enum vs_err site)
{
	switch (v) {
	case GO:
		return VS_OK;
	case FAIL:
		return site;
	case FAIL_SPACE:
		return VS_ERR_NOSPC;
	default:
		return VS_ERR_STOPPED;
	}
}

/* True when the effect takes place although the call may not have returned. */
static bool takes_effect(struct env_mem *m, enum verdict v)
{
	return v == GO || (v == POWER_CUT && rnd_chance(&m->rnd, 1, 2));
}

static void check_name(const char *name)
{
	const char *slash = strchr(name, '/');

	vs_assert(*name && strlen(name) <= ENV_MEM_NAME_MAX);
	vs_assert(!slash || (slash != name && slash[1] && !strchr(slash + 1, '/')));
}

static uint64_t free_bytes(const struct env_mem *m)
{
	uint64_t used = disk_used_blocks(&m->disk) * ENV_MEM_BLOCK;
	uint64_t total = m->capacity ? m->capacity : UINT64_C(1) << 40;

	return used < total ? total - used : 0;
}

/* How many of the len bytes at off have room. */
static size_t fitting(const struct env_mem *m, const struct disk_file *f, uint64_t off, size_t len)
{
	uint64_t room;
	size_t n = 0;

	if (!m->capacity)
		return len;
	room = free_bytes(m) / ENV_MEM_BLOCK;
	while (n < len) {
		size_t step = ENV_MEM_BLOCK - (off + n) % ENV_MEM_BLOCK;

		step = step < len - n ? step : len - n;
		if (disk_new_blocks(f, off + n, step)) {
			if (!room)
				break;
			room--;
		}
		n += step;
	}
	return n;
}

/* --- files */

static enum vs_err find_or_create(struct env_mem *m, const char *name, int flags,
				  struct disk_file **out)
{
	struct disk_name *n = disk_find(&m->disk, name);
	enum verdict v;

	if (m->off)
		return VS_ERR_STOPPED;
	if (n && !n->file)
		return VS_ERR_ISDIR;
	if (n && flags & ENV_EXCL)
		return VS_ERR_EXIST;
	if (n) {
		*out = n->file;
		return VS_OK;
	}
	if (!(flags & ENV_CREATE) || !disk_has_dir_of(&m->disk, name))
		return VS_ERR_NOENT;
	v = judge(m, ENV_MEM_CREATE);
	if (takes_effect(m, v))
		*out = disk_create(&m->disk, name);
	return err_of(v, VS_ERR_IO_OPEN);
}

static enum vs_err mem_open(struct env *e, const char *name, int flags, struct env_file **out)
{
	struct env_mem *m = self(e);
	struct disk_file *file = NULL;
	struct env_file *f;
	enum vs_err err;

	check_name(name);
	vs_assert(!(flags & ENV_CREATE) || flags & ENV_WRITE);
	mutex_lock(&m->lock);
	err = find_or_create(m, name, flags, &file);
	if (!err) {
		f = calloc(1, sizeof *f);
		vs_assert(f);
		*f = (struct env_file){m, file, m->life, flags & ENV_WRITE, ""};
		memcpy(f->name, name, strlen(name) + 1);
		file->opens++;
		*out = f;
	}
	mutex_unlock(&m->lock);
	return err;
}

static void mem_close(struct env_file *f)
{
	if (!f)
		return;
	mutex_lock(&f->m->lock);
	if (f->life == f->m->life && --f->file->opens == 0)
		disk_collect(&f->m->disk);
	mutex_unlock(&f->m->lock);
	free(f);
}

static enum vs_err mem_pread(struct env_file *f, void *buf, size_t len, uint64_t off, size_t *got)
{
	struct env_mem *m = f->m;
	enum verdict v;

	mutex_lock(&m->lock);
	v = judge_file(f, ENV_MEM_READ);
	v = v == FAIL_SPACE ? FAIL : v;
	if (v == GO) {
		uint64_t size = f->file->size;

		*got = off >= size ? 0 : len < size - off ? len : (size_t)(size - off);
		image_read(&f->file->live, buf, *got, off);
	}
	mutex_unlock(&m->lock);
	return err_of(v, VS_ERR_IO_READ);
}

/* One write as the device does it: as asked, nowhere, or somewhere else. */
static void put(struct disk_file *f, const uint8_t *buf, size_t len, uint64_t off)
{
	uint64_t end = off + len;

	if (f->lose || f->misdirect) {
		if (f->misdirect && (f->delta >= 0 || off >= (uint64_t)-f->delta))
			disk_write(f, buf, len, off + (uint64_t)f->delta);
		f->lose = f->misdirect = false;
		if (end > f->size)
			disk_allocate(f, off, len);
		return;
	}
	disk_write(f, buf, len, off);
}

static enum vs_err write_locked(struct env_file *f, const uint8_t *buf, size_t len, uint64_t off)
{
	struct env_mem *m = f->m;
	enum verdict v = judge_file(f, ENV_MEM_WRITE);
	size_t n = len;

	if (v == DEAD)
		return VS_ERR_STOPPED;
	if (!takes_effect(m, v))
		n = (size_t)rnd_below(&m->rnd, len + 1);
	len = fitting(m, f->file, off, n);
	if (v == GO && len < n)
		v = FAIL_SPACE;
	put(f->file, buf, len, off);
	if (v == GO) {
		f->file->stats.writes++;
		f->file->stats.bytes_written += len;
		m->stats.writes++;
		m->stats.bytes_written += len;
	}
	return err_of(v, VS_ERR_IO_WRITE);
}

static enum vs_err mem_pwritev(struct env_file *f, const struct iovec *iov, int n, uint64_t off)
{
	uint8_t *buf, *to;
	enum vs_err err;
	size_t len = 0;

	vs_assert(f->writable && n >= 0);
	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	buf = to = malloc(len ? len : 1);
	vs_assert(buf);
	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len)
			memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
	mutex_lock(&f->m->lock);
	err = write_locked(f, buf, len, off);
	mutex_unlock(&f->m->lock);
	free(buf);
	return err;
}

static enum vs_err mem_sync(struct env_file *f)
{
	struct env_mem *m = f->m;
	void (*hook)(void *arg, const char *name);
	enum verdict v;
	void *arg;

	mutex_lock(&m->lock);
	hook = m->sync_hook;
	arg = m->sync_arg;
	mutex_unlock(&m->lock);
	if (hook)
		hook(arg, f->name);
	mutex_lock(&m->lock);
	v = judge_file(f, ENV_MEM_SYNC);
	if (v == GO) {
		disk_sync(f->file);
		f->file->stats.syncs++;
		m->stats.syncs++;
	} else if (v == FAIL || v == FAIL_SPACE) {
		v = FAIL;
		disk_sync_lost(f->file, &m->rnd);
	}
	mutex_unlock(&m->lock);
	return err_of(v, VS_ERR_IO_SYNC);
}

static void mem_write_hint(struct env_file *f, uint64_t off, uint64_t len)
{
	(void)f;
	(void)off;
	(void)len;
}

static enum vs_err mem_allocate(struct env_file *f, uint64_t off, uint64_t len)
{
	struct env_mem *m = f->m;
	enum verdict v;

	vs_assert(f->writable && len);
	mutex_lock(&m->lock);
	v = judge_file(f, ENV_MEM_ALLOCATE);
	if (v == GO && m->capacity &&
	    disk_new_blocks(f->file, off, len) > free_bytes(m) / ENV_MEM_BLOCK)
		v = FAIL_SPACE;
	if (takes_effect(m, v))
		disk_allocate(f->file, off, len);
	mutex_unlock(&m->lock);
	return err_of(v, VS_ERR_IO_WRITE);
}

static enum vs_err mem_truncate(struct env_file *f, uint64_t size)
{
	struct env_mem *m = f->m;
	enum verdict v;

	vs_assert(f->writable);
	mutex_lock(&m->lock);
	v = judge_file(f, ENV_MEM_TRUNCATE);
	if (takes_effect(m, v))
		disk_truncate(f->file, size);
	mutex_unlock(&m->lock);
	return err_of(v, VS_ERR_IO_WRITE);
}

static enum vs_err mem_size(struct env_file *f, uint64_t *bytes)
{
	enum vs_err err = VS_ERR_STOPPED;

	mutex_lock(&f->m->lock);
	if (!f->m->off && f->life == f->m->life) {
		*bytes = f->file->size;
		err = VS_OK;
	}
	mutex_unlock(&f->m->lock);
	return err;
}

/* --- names */

static enum vs_err mem_unlink(struct env *e, const char *name)
{
	struct env_mem *m = self(e);
	struct disk_name *n;
	enum vs_err err;
	enum verdict v;

	check_name(name);
	mutex_lock(&m->lock);
	n = disk_find(&m->disk, name);
	v = m->off ? DEAD : GO;
	err = !n ? VS_ERR_NOENT : !n->file ? VS_ERR_ISDIR : VS_OK;
	if (v == DEAD || !err) {
		v = judge(m, ENV_MEM_UNLINK);
		if (takes_effect(m, v))
			disk_unlink(&m->disk, name);
		err = err_of(v, VS_ERR_IO_DIR);
	}
	mutex_unlock(&m->lock);
	return err;
}

static enum vs_err mem_rename(struct env *e, const char *from, const char *to)
{
	struct env_mem *m = self(e);
	struct disk_name *a, *b;
	enum vs_err err = VS_OK;
	enum verdict v;

	check_name(from);
	check_name(to);
	mutex_lock(&m->lock);
	a = disk_find(&m->disk, from);
	b = disk_find(&m->disk, to);
	if (!a || !disk_has_dir_of(&m->disk, to))
		err = VS_ERR_NOENT;
	else if (!a->file || (b && !b->file))
		err = VS_ERR_ISDIR;
	if (m->off || !err) {
		v = judge(m, ENV_MEM_RENAME);
		if (takes_effect(m, v) && a != b)
			disk_rename(&m->disk, from, to);
		err = err_of(v, VS_ERR_IO_DIR);
	}
	mutex_unlock(&m->lock);
	return err;
}

static enum vs_err mem_mkdir(struct env *e, const char *name)
{
	struct env_mem *m = self(e);
	enum vs_err err = VS_OK;
	struct disk_name *n;
	enum verdict v;

	check_name(name);
	vs_assert(!strchr(name, '/'));
	mutex_lock(&m->lock);
	n = disk_find(&m->disk, name);
	if (m->off) {
		err = VS_ERR_STOPPED;
	} else if (n) {
		err = n->file ? VS_ERR_NOTDIR : VS_OK;
	} else {
		v = judge(m, ENV_MEM_CREATE);
		if (takes_effect(m, v))
			disk_mkdir(&m->disk, name);
		err = err_of(v, VS_ERR_IO_DIR);
	}
	mutex_unlock(&m->lock);
	return err;
}

static enum vs_err mem_dir_sync(struct env *e, const char *dir)
{
	struct env_mem *m = self(e);
	enum vs_err err = VS_ERR_NOENT;
	struct disk_name *n;
	enum verdict v;

	mutex_lock(&m->lock);
	n = *dir ? disk_find(&m->disk, dir) : NULL;
	if (!*dir || (n && !n->file) || m->off) {
		v = judge(m, ENV_MEM_DIR_SYNC);
		v = v == FAIL_SPACE ? FAIL : v;
		if (v == GO)
			disk_dir_sync(&m->disk, dir);
		err = err_of(v, VS_ERR_IO_SYNC);
	} else if (n) {
		err = VS_ERR_NOTDIR;
	}
	mutex_unlock(&m->lock);
	return err;
}

static enum vs_err mem_list(struct env *e, const char *dir,
			    enum vs_err (*each)(void *arg, const char *name), void *arg)
{
	struct env_mem *m = self(e);
	char in[ENV_MEM_NAME_MAX + 1];
	struct disk_name *copy, *n;
	enum vs_err err = VS_OK;
	size_t count;

	mutex_lock(&m->lock);
	n = *dir ? disk_find(&m->disk, dir) : NULL;
	count = m->disk.live.count;
	copy = calloc(count + 1, sizeof *copy);
	vs_assert(copy);
	if (count)
		memcpy(copy, m->disk.live.v, count * sizeof *copy);
	if (m->off)
		err = VS_ERR_STOPPED;
	else if (*dir && !n)
		err = VS_ERR_NOENT;
	else if (n && n->file)
		err = VS_ERR_NOTDIR;
	mutex_unlock(&m->lock);
	/* each may call us: it runs on a copy and without the lock */
	for (size_t i = 0; i < count && !err; i++) {
		disk_dir_of(copy[i].name, in);
		if (!strcmp(in, dir))
			err = each(arg, copy[i].name + (*dir ? strlen(dir) + 1 : 0));
	}
	free(copy);
	return err;
}

static enum vs_err mem_lock(struct env *e, const char *name)
{
	struct env_mem *m = self(e);
	enum vs_err err = VS_OK;
	struct disk_file *file;

	check_name(name);
	mutex_lock(&m->lock);
	if (m->locked && !m->off)
		err = VS_ERR_LOCKED;
	else
		err = find_or_create(m, name, ENV_WRITE | ENV_CREATE, &file);
	if (!err)
		m->locked = true;
	mutex_unlock(&m->lock);
	return err;
}

static void mem_unlock(struct env *e)
{
	struct env_mem *m = self(e);

	mutex_lock(&m->lock);
	m->locked = false;
	mutex_unlock(&m->lock);
}

static enum vs_err mem_space(struct env *e, struct env_space *out)
{
	struct env_mem *m = self(e);
	enum vs_err err;

	mutex_lock(&m->lock);
	err = m->off ? VS_ERR_STOPPED : VS_OK;
	if (!err) {
		out->total_bytes = m->capacity ? m->capacity : UINT64_C(1) << 40;
		out->free_bytes = free_bytes(m);
	}
	mutex_unlock(&m->lock);
	return err;
}

/* --- clock, random */

#define START_MONO_NS UINT64_C(1000000000)
#define START_REAL_NS UINT64_C(1600000000000000000)

static uint64_t mem_now_mono_ns(struct env *e)
{
	struct env_mem *m = self(e);
	uint64_t ns;

	mutex_lock(&m->lock);
	ns = m->now_ns;
	mutex_unlock(&m->lock);
	return START_MONO_NS + ns;
}

static uint64_t mem_now_real_ns(struct env *e)
{
	return START_REAL_NS - START_MONO_NS + mem_now_mono_ns(e);
}

static void mem_random(struct env *e, void *buf, size_t len)
{
	struct env_mem *m = self(e);

	mutex_lock(&m->lock);
	rnd_fill(&m->user_rnd, buf, len);
	mutex_unlock(&m->lock);
}

static const struct env_ops mem_ops = {
	.open = mem_open,
	.close = mem_close,
	.pread = mem_pread,
	.pwritev = mem_pwritev,
	.sync = mem_sync,
	.write_hint = mem_write_hint,
	.allocate = mem_allocate,
	.truncate = mem_truncate,
	.size = mem_size,
	.unlink = mem_unlink,
	.rename = mem_rename,
	.mkdir = mem_mkdir,
	.dir_sync = mem_dir_sync,
	.list = mem_list,
	.lock = mem_lock,
	.unlock = mem_unlock,
	.space = mem_space,
	.now_mono_ns = mem_now_mono_ns,
	.now_real_ns = mem_now_real_ns,
	.random = mem_random,
};

/* --- control */

struct env_mem *env_mem_new(uint64_t seed)
{
	struct env_mem *m = calloc(1, sizeof *m);

	vs_assert(m);
	m->env.ops = &mem_ops;
	mutex_init(&m->lock);
	m->rnd = rnd_of(seed);
	m->user_rnd = rnd_of(~seed);
	m->mask = ENV_MEM_CHANGES;
	return m;
}

void env_mem_free(struct env_mem *m)
{
	if (!m)
		return;
	disk_fini(&m->disk);
	mutex_fini(&m->lock);
	free(m);
}

struct env *env_mem_env(struct env_mem *m)
{
	return &m->env;
}

struct env_mem *env_mem_clone(struct env_mem *m)
{
	struct env_mem *c = calloc(1, sizeof *c);

	vs_assert(c);
	mutex_lock(&m->lock);
	*c = *m;
	disk_clone(&c->disk, &m->disk);
	mutex_unlock(&m->lock);
	mutex_init(&c->lock);
	c->locked = false;
	return c;
}

static void crash(struct env_mem *m, enum env_mem_crash mode, uint64_t seed, uint32_t names)
{
	mutex_lock(&m->lock);
	disk_crash(&m->disk, mode, seed, names);
	m->life++;
	m->off = m->locked = false;
	m->fail_k = 0;
	mutex_unlock(&m->lock);
}

void env_mem_crash(struct env_mem *m, enum env_mem_crash mode, uint64_t seed)
{
	crash(m, mode, seed, UINT32_MAX);
}

void env_mem_crash_mask(struct env_mem *m, uint64_t mask, uint32_t names)
{
	crash(m, ENV_MEM_MASK, mask, names);
}

uint32_t env_mem_unsynced_blocks(struct env_mem *m)
{
	uint32_t n;

	mutex_lock(&m->lock);
	n = disk_unsynced(&m->disk);
	mutex_unlock(&m->lock);
	return n;
}

uint32_t env_mem_unsynced_names(struct env_mem *m)
{
	uint32_t n;

	mutex_lock(&m->lock);
	n = (uint32_t)m->disk.op_count;
	mutex_unlock(&m->lock);
	return n;
}

void env_mem_fail_at(struct env_mem *m, uint64_t k, enum env_mem_fail kind)
{
	mutex_lock(&m->lock);
	m->fail_k = kind == ENV_MEM_FAIL_NONE ? 0 : k;
	m->fail = kind;
	mutex_unlock(&m->lock);
}

void env_mem_fail_mask(struct env_mem *m, int mask)
{
	mutex_lock(&m->lock);
	m->mask = mask;
	mutex_unlock(&m->lock);
}

uint64_t env_mem_io_count(struct env_mem *m)
{
	uint64_t n;

	mutex_lock(&m->lock);
	n = m->io_count;
	mutex_unlock(&m->lock);
	return n;
}

bool env_mem_is_off(struct env_mem *m)
{
	bool off;

	mutex_lock(&m->lock);
	off = m->off;
	mutex_unlock(&m->lock);
	return off;
}

void env_mem_set_capacity(struct env_mem *m, uint64_t bytes)
{
	mutex_lock(&m->lock);
	m->capacity = bytes;
	mutex_unlock(&m->lock);
}

void env_mem_set_sync_hook(struct env_mem *m, void (*hook)(void *arg, const char *name), void *arg)
{
	mutex_lock(&m->lock);
	m->sync_hook = hook;
	m->sync_arg = arg;
	mutex_unlock(&m->lock);
}

static struct disk_file *file_of(struct env_mem *m, const char *name)
{
	struct disk_name *n = disk_find(&m->disk, name);

	return n ? n->file : NULL;
}

bool env_mem_flip(struct env_mem *m, const char *name, uint64_t off, uint8_t xor)
{
	struct disk_file *f;
	uint8_t b;
	bool ok;

	mutex_lock(&m->lock);
	f = file_of(m, name);
	ok = f && off < f->size;
	if (ok) {
		image_read(&f->live, &b, 1, off);
		b ^= xor;
		image_write(&f->live, &b, 1, off);
		image_read(&f->durable, &b, 1, off);
		b ^= xor;
		image_write(&f->durable, &b, 1, off);
	}
	mutex_unlock(&m->lock);
	return ok;
}

bool env_mem_lose_next(struct env_mem *m, const char *name)
{
	struct disk_file *f;

	mutex_lock(&m->lock);
	f = file_of(m, name);
	if (f)
		f->lose = true;
	mutex_unlock(&m->lock);
	return f != NULL;
}

bool env_mem_misdirect_next(struct env_mem *m, const char *name, int64_t delta)
{
	struct disk_file *f;

	mutex_lock(&m->lock);
	f = file_of(m, name);
	if (f) {
		f->misdirect = true;
		f->delta = delta;
	}
	mutex_unlock(&m->lock);
	return f != NULL;
}

size_t env_mem_peek(struct env_mem *m, const char *name, void *buf, size_t len, uint64_t off)
{
	struct disk_file *f;
	size_t n = 0;

	mutex_lock(&m->lock);
	f = file_of(m, name);
	if (f && off < f->size) {
		n = len < f->size - off ? len : (size_t)(f->size - off);
		image_read(&f->live, buf, n, off);
	}
	mutex_unlock(&m->lock);
	return n;
}

bool env_mem_poke(struct env_mem *m, const char *name, const void *buf, size_t len, uint64_t off)
{
	struct disk_file *f;

	mutex_lock(&m->lock);
	f = file_of(m, name);
	if (f) {
		disk_write(f, buf, len, off);
		image_write(&f->durable, buf, len, off);
		if (off + len > f->durable_size)
			f->durable_size = off + len;
	}
	mutex_unlock(&m->lock);
	return f != NULL;
}

void env_mem_each_file(struct env_mem *m, void (*each)(void *arg, const char *name, uint64_t size),
		       void *arg)
{
	mutex_lock(&m->lock);
	for (size_t i = 0; i < m->disk.live.count; i++) {
		const struct disk_name *n = &m->disk.live.v[i];

		if (n->file)
			each(arg, n->name, n->file->size);
	}
	mutex_unlock(&m->lock);
}

bool env_mem_stats(struct env_mem *m, const char *name, struct env_mem_stats *out)
{
	struct disk_file *f;

	mutex_lock(&m->lock);
	f = name ? file_of(m, name) : NULL;
	if (!name || f)
		*out = name ? f->stats : m->stats;
	mutex_unlock(&m->lock);
	return !name || f;
}

void env_mem_advance(struct env_mem *m, uint64_t ns)
{
	mutex_lock(&m->lock);
	m->now_ns += ns;
	mutex_unlock(&m->lock);
}
