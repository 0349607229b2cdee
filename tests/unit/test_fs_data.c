/*
 * test_fs_data: bytes of files against plain arrays, through every way to
 * change them; replacement and crash (P2); a full disk (F93).
 */
#include "fs/fs_int.h"
#include "tests/unit/test_fs_util.h"

#include <unistd.h>

#define ROOT OBJECT_ROOT

enum { FILES = 2, SIZE_MAX_BYTES = 700 << 10, STEPS = 150, SEEDS = 25 };

struct file {
	uint64_t id;
	struct vfs_handle *h;
	uint64_t size;
	uint8_t *bytes; /* SIZE_MAX_BYTES, zeros behind size */
};

struct play {
	struct world w;
	struct rnd r;
	struct file f[FILES];
	uint8_t *buf;
};

static void compare(struct play *p, struct file *f)
{
	size_t got = 0;

	assert_int_equal(attr_of(&p->w, f->id).size, f->size);
	OK(vfs_read(p->w.fs, f->h, 0, p->buf, SIZE_MAX_BYTES, &got));
	assert_int_equal(got, f->size);
	for (size_t i = 0; i < got; i++)
		if (p->buf[i] != f->bytes[i])
			fail_msg("byte %zu of %llu is %u, not %u", i, (unsigned long long)f->size,
				 p->buf[i], f->bytes[i]);
}

static void compare_part(struct play *p, struct file *f)
{
	uint64_t off = rnd_below(&p->r, f->size + 10000);
	size_t len = (size_t)rnd_between(&p->r, 1, 30000), got, want;

	OK(vfs_read(p->w.fs, f->h, off, p->buf, len, &got));
	want = off >= f->size ? 0 : f->size - off < len ? (size_t)(f->size - off) : len;
	assert_int_equal(got, want);
	assert_memory_equal(p->buf, f->bytes + (off < f->size ? off : 0), got);
}

static void do_write(struct play *p, struct file *f)
{
	size_t len = (size_t)rnd_between(&p->r, 1, rnd_chance(&p->r, 1, 3) ? 150000 : 6000);
	uint64_t off = rnd_below(&p->r, SIZE_MAX_BYTES - len);

	if (rnd_chance(&p->r, 1, 3))
		off = f->size < SIZE_MAX_BYTES - len ? f->size : 0;
	else if (rnd_chance(&p->r, 1, 3))
		off = off / 4096 * 4096;
	else if (rnd_chance(&p->r, 1, 3))
		off = off / CHUNK * CHUNK;
	rnd_fill(&p->r, p->buf, len);
	OK(vfs_write(p->w.fs, &p->w.c, f->h, off, p->buf, len, false));
	memcpy(f->bytes + off, p->buf, len);
	if (off + len > f->size)
		f->size = off + len;
}

static void do_truncate(struct play *p, struct file *f)
{
	struct vfs_setattr s = {.set = VFS_SET_SIZE};
	struct vfs_attr a;

	s.size = rnd_chance(&p->r, 1, 6) ? 0 : rnd_below(&p->r, SIZE_MAX_BYTES);
	if (rnd_chance(&p->r, 1, 3))
		s.size = rnd_below(&p->r, 5000);
	OK(vfs_setattr(p->w.fs, &p->w.c, f->id, &s, &a));
	assert_int_equal(a.size, s.size);
	if (s.size < f->size)
		memset(f->bytes + s.size, 0, f->size - s.size);
	f->size = s.size;
}

static void do_allocate(struct play *p, struct file *f)
{
	static const uint32_t modes[] = {0, VFS_FALLOC_KEEP_SIZE,
					 VFS_FALLOC_PUNCH_HOLE | VFS_FALLOC_KEEP_SIZE,
					 VFS_FALLOC_ZERO_RANGE,
					 VFS_FALLOC_ZERO_RANGE | VFS_FALLOC_KEEP_SIZE};
	uint32_t mode = modes[rnd_below(&p->r, 5)];
	uint64_t len = rnd_between(&p->r, 1, 200000), off = rnd_below(&p->r, SIZE_MAX_BYTES - len);

	if (rnd_chance(&p->r, 1, 3))
		off = off / 4096 * 4096;
	OK(vfs_fallocate(p->w.fs, &p->w.c, f->h, mode, off, len));
	if (mode & (VFS_FALLOC_PUNCH_HOLE | VFS_FALLOC_ZERO_RANGE))
		memset(f->bytes + off, 0, len);
	if (!(mode & VFS_FALLOC_KEEP_SIZE) && off + len > f->size)
		f->size = off + len;
}

static void do_reopen(struct play *p, struct file *f)
{
	bool trunc = rnd_chance(&p->r, 1, 3);

	if (rnd_chance(&p->r, 2, 3)) {
		close_handle(&p->w, f->h);
	} else {
		/* the process dies with the file open: the kernel only releases */
		vfs_release(p->w.fs, f->h);
	}
	f->h = open_id(&p->w, f->id, VFS_OPEN_WRITE | (trunc ? VFS_OPEN_TRUNC : 0));
	if (trunc) {
		memset(f->bytes, 0, f->size);
		f->size = 0;
	}
}

static void do_copy(struct play *p, struct file *from, struct file *to)
{
	uint64_t len = rnd_between(&p->r, 1, 200000), a, b, done = 0, want;

	a = rnd_below(&p->r, SIZE_MAX_BYTES - len);
	b = rnd_below(&p->r, SIZE_MAX_BYTES - len);
	if (rnd_chance(&p->r, 2, 3)) {
		a = a / 4096 * 4096;
		b = b / 4096 * 4096;
	}
	want = a >= from->size ? 0 : from->size - a < len ? from->size - a : len;
	while (done < want) {
		uint64_t n;

		OK(vfs_copy(p->w.fs, &p->w.c, from->h, a + done, to->h, b + done, want - done, &n));
		assert_true(n > 0 && n <= want - done);
		done += n;
	}
	memcpy(to->bytes + b, from->bytes + a, want);
	if (want && b + want > to->size)
		to->size = b + want;
}

/* A hole is zeros; data begins no later than the first byte that is not. */
static void do_seek(struct play *p, struct file *f)
{
	uint64_t off = rnd_below(&p->r, f->size + 1), data, hole;
	enum vs_err err = vfs_seek(p->w.fs, f->h, off, false, &data);

	if (off >= f->size) {
		assert_int_equal(err, VS_ERR_NXIO);
		return;
	}
	if (err == VS_ERR_NXIO)
		data = f->size;
	else
		OK(err);
	for (uint64_t i = off; i < data; i++)
		assert_int_equal(f->bytes[i], 0);
	OK(vfs_seek(p->w.fs, f->h, off, true, &hole));
	assert_true(hole >= off && hole <= f->size && (hole == off || data == off));
}

static void do_remount(struct play *p)
{
	for (int i = 0; i < FILES; i++)
		close_handle(&p->w, p->f[i].h);
	world_remount(&p->w);
	for (int i = 0; i < FILES; i++)
		p->f[i].h = open_id(&p->w, p->f[i].id, VFS_OPEN_WRITE);
}

static void step(struct play *p)
{
	struct file *f = &p->f[rnd_below(&p->r, FILES)];
	uint64_t what = rnd_below(&p->r, 100);

	if (what < 40)
		do_write(p, f);
	else if (what < 50)
		do_truncate(p, f);
	else if (what < 60)
		do_allocate(p, f);
	else if (what < 70)
		do_reopen(p, f);
	else if (what < 78)
		do_copy(p, f, &p->f[f == p->f]);
	else if (what < 84)
		do_seek(p, f);
	else if (what < 92)
		OK(vfs_flush(p->w.fs, &p->w.c, f->h));
	else if (what < 98)
		compare_part(p, f);
	else
		do_remount(p);
}

static void files_against_arrays(void **state)
{
	static struct play p;

	(void)state;
	p.buf = malloc(SIZE_MAX_BYTES);
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		p.r = rnd_of(seed);
		world_new(&p.w, seed);
		for (int i = 0; i < FILES; i++) {
			p.f[i].h = create(&p.w, ROOT, i ? "b" : "a");
			p.f[i].id = vfs_handle_id(p.f[i].h);
			p.f[i].bytes = calloc(1, SIZE_MAX_BYTES);
			p.f[i].size = 0;
		}
		for (int n = 0; n < STEPS; n++) {
			step(&p);
			if (n % 8 == 7)
				for (int i = 0; i < FILES; i++)
					compare(&p, &p.f[i]);
		}
		do_remount(&p);
		for (int i = 0; i < FILES; i++) {
			compare(&p, &p.f[i]);
			close_handle(&p.w, p.f[i].h);
			free(p.f[i].bytes);
		}
		world_free(&p.w);
	}
	free(p.buf);
}

/* --- replacement and crash */

static void fill_file(struct world *w, struct vfs_handle *h, uint8_t byte, size_t len)
{
	uint8_t *b = malloc(len);

	memset(b, byte, len);
	OK(vfs_write(w->fs, &w->c, h, 0, b, len, false));
	free(b);
}

static void expect_file(struct world *w, uint64_t id, uint8_t byte, size_t len)
{
	struct vfs_handle *h = open_id(w, id, 0);
	uint8_t *b = malloc(len + 10);
	size_t got;

	OK(vfs_read(w->fs, h, 0, b, len + 10, &got));
	assert_int_equal(got, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(b[i], byte);
	free(b);
	vfs_release(w->fs, h);
}

/* P2, F74: from open with O_TRUNC to close the old file, then the new one, whatever its size. */
static void replacement_is_atomic(void **state)
{
	static const size_t sizes[] = {10, 3000, 70000, 300000};
	static const enum env_mem_crash modes[] = {ENV_MEM_KEEP, ENV_MEM_LOSE};

	(void)state;
	for (int n = 0; n < 32; n++) {
		size_t old = sizes[n % 4], new = sizes[n / 4 % 4];
		struct vfs_handle *h;
		struct world w;
		uint64_t id;

		world_new(&w, (uint64_t)n + 1);
		h = create(&w, ROOT, "f");
		id = vfs_handle_id(h);
		fill_file(&w, h, 'o', old);
		close_handle(&w, h);
		h = open_id(&w, id, VFS_OPEN_WRITE | VFS_OPEN_TRUNC);
		fill_file(&w, h, 'n', new);
		assert_int_equal(attr_of(&w, id).size, new);
		world_crash(&w, modes[n / 16]);
		expect_file(&w, id, 'o', old);
		h = open_id(&w, id, VFS_OPEN_WRITE | VFS_OPEN_TRUNC);
		fill_file(&w, h, 'n', new);
		close_handle(&w, h);
		world_crash(&w, modes[n / 16]);
		expect_file(&w, id, 'n', new);
		world_free(&w);
	}
}

/* What a reader of an open file sees while another replaces it is one or the other. */
static void reader_during_replacement(void **state)
{
	struct vfs_handle *r, *h;
	struct world w;
	uint64_t id;
	char buf[8];
	size_t got;

	(void)state;
	world_new(&w, 3);
	id = make_file(&w, ROOT, "f", "old");
	r = open_id(&w, id, 0);
	h = open_id(&w, id, VFS_OPEN_WRITE | VFS_OPEN_TRUNC);
	OK(vfs_read(w.fs, r, 0, buf, sizeof buf, &got));
	assert_int_equal(got, 0); /* this mount sees the truncation */
	put(&w, h, 0, "newer");
	OK(vfs_read(w.fs, r, 0, buf, sizeof buf, &got));
	assert_int_equal(got, 5);
	close_handle(&w, h);
	vfs_release(w.fs, r);
	expect_text(&w, id, "newer");
	world_free(&w);
}

/* Appending handles do not overwrite each other, wherever the kernel thinks the end is. */
static void appends_join(void **state)
{
	struct vfs_handle *a, *b;
	struct world w;
	uint64_t id;

	(void)state;
	world_new(&w, 4);
	id = make_file(&w, ROOT, "log", "");
	a = open_id(&w, id, VFS_OPEN_WRITE | VFS_OPEN_APPEND);
	b = open_id(&w, id, VFS_OPEN_WRITE | VFS_OPEN_APPEND);
	put(&w, a, 0, "one ");
	put(&w, b, 0, "two ");
	put(&w, a, 0, "three");
	OK(vfs_write(w.fs, &w.c, b, 0, "O", 1, true)); /* a mapped page goes where it belongs */
	close_handle(&w, a);
	close_handle(&w, b);
	expect_text(&w, id, "One two three");
	/* dirty data updated in place is committed by fs_sync */
	a = open_id(&w, id, VFS_OPEN_WRITE | VFS_OPEN_APPEND);
	put(&w, a, 0, "!");
	OK(fs_sync(w.fs));
	world_crash(&w, ENV_MEM_LOSE);
	expect_text(&w, id, "One two three!");
	world_free(&w);
}

/* --- a full disk */

/* Whether there is still no room for eight chunks. */
static bool fs_space_again(struct world *w)
{
	struct store_space space;

	replica_kick(w->replica);
	OK(store_space(w->store, &space));
	return space.avail_bytes < 8 * CHUNK;
}

/* P7, F93: ENOSPC at write or close, told once to each handle; deleting helps; nothing else is
 * lost. */
static void full_disk(void **state)
{
	struct store_space space;
	struct vfs_handle *h;
	struct world w;
	uint8_t *b = malloc(CHUNK);
	uint64_t keep, off = 0;
	enum vs_err err = VS_OK;

	(void)state;
	world_new(&w, 5);
	keep = make_file(&w, ROOT, "keep", "kept");
	env_mem_set_capacity(w.env, 24u << 20);
	h = create(&w, ROOT, "big");
	memset(b, 1, CHUNK);
	while (!err && off < (64u << 20)) {
		err = vfs_write(w.fs, &w.c, h, off, b, CHUNK, false);
		off += err ? 0 : CHUNK;
	}
	assert_int_equal(err, VS_ERR_NOSPC);
	assert_true(off > (4u << 20));
	OK(store_space(w.store, &space));
	expect_text(&w, keep, "kept");
	vfs_release(w.fs, h);
	if (id_of(&w, ROOT, "big"))
		OK(vfs_unlink(w.fs, &w.c, ROOT, nm("big")));
	/* what is freed is reused by itself, in a moment */
	for (int i = 0; i < 200 && fs_space_again(&w); i++)
		usleep(50000);
	h = create(&w, ROOT, "again");
	OK(vfs_write(w.fs, &w.c, h, 0, b, CHUNK, false));
	close_handle(&w, h);
	expect_text(&w, keep, "kept");
	expect_file(&w, id_of(&w, ROOT, "again"), 1, CHUNK);
	env_mem_set_capacity(w.env, 0);
	world_free(&w);
	free(b);
}

/* F93: a commit in the background failed: each handle hears of it once, then all is well. */
static void errors_told_once(void **state)
{
	struct vfs_handle *h[2], *late;
	struct world w;
	uint64_t id, other;

	(void)state;
	world_new(&w, 8);
	id = make_file(&w, ROOT, "f", "before");
	other = make_file(&w, ROOT, "g", "g");
	h[0] = open_id(&w, id, VFS_OPEN_WRITE);
	h[1] = open_id(&w, id, VFS_OPEN_WRITE);
	put(&w, h[0], 0, "after!");
	fs_note_error(w.fs, h[0]->inode, VS_ERR_NOSPC);
	OK(fs_sync(w.fs)); /* the next attempt stored it */
	late = open_id(&w, id, VFS_OPEN_WRITE);
	OK(vfs_flush(w.fs, &w.c, late)); /* opened after it */
	assert_int_equal(vfs_fsync(w.fs, &w.c, h[0]), VS_ERR_NOSPC);
	assert_int_equal(vfs_flush(w.fs, &w.c, h[1]), VS_ERR_NOSPC);
	for (int i = 0; i < 2; i++) {
		OK(vfs_fsync(w.fs, &w.c, h[i]));
		close_handle(&w, h[i]);
	}
	close_handle(&w, late);
	h[0] = open_id(&w, other, VFS_OPEN_WRITE);
	close_handle(&w, h[0]); /* exactly the file concerned */
	expect_text(&w, id, "after!");
	world_free(&w);
}

/* Too much dirty: stored early, still invisible to a crash. */
static void dirty_is_bounded(void **state)
{
	enum { COUNT = 200 };
	struct vfs_handle *h[COUNT];
	struct fs_stats st;
	struct world w;
	char name[16];
	uint8_t *b = malloc(60000);

	(void)state;
	memset(b, 3, 60000);
	world_new(&w, 6);
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof name, "f%d", i);
		h[i] = create(&w, ROOT, name);
		OK(vfs_write(w.fs, &w.c, h[i], 0, b, 60000, false));
		fs_stats(w.fs, &st);
		assert_true(st.dirty_bytes <= st.dirty_limit_bytes + CHUNK);
	}
	assert_int_equal(st.open_files, COUNT);
	for (int i = 0; i < COUNT / 2; i++)
		close_handle(&w, h[i]);
	world_crash(&w, ENV_MEM_KEEP);
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof name, "f%d", i);
		assert_int_equal(id_of(&w, ROOT, name) != 0, i < COUNT / 2);
	}
	expect_file(&w, id_of(&w, ROOT, "f7"), 3, 60000);
	world_free(&w);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_against_arrays),
		cmocka_unit_test(replacement_is_atomic),
		cmocka_unit_test(reader_during_replacement),
		cmocka_unit_test(appends_join),
		cmocka_unit_test(full_disk),
		cmocka_unit_test(errors_told_once),
		cmocka_unit_test(dirty_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
