/*
 * test_fs_threads: several threads on few names: whatever the order, nothing
 * deadlocks, no call fails in an unexpected way, and in the end everything adds
 * up (V4, V5, V8, V9).
 */
#include "tests/unit/test_fs_util.h"

#include <pthread.h>

enum { THREADS = 4, STEPS = 400, NAMES = 6, DIRS = 3 };

struct party {
	struct world *w;
	uint64_t dir[DIRS];
	uint64_t seed;
	enum vs_err bad;
	const char *where;
};

struct guest {
	struct party *p;
	struct rnd r;
	struct vfs_call c;
	uint64_t dir[2];
	char name[2][8];
	uint8_t buf[70000];
};

static bool expected(enum vs_err err)
{
	switch (err) {
	case VS_OK:
	case VS_ERR_NOENT:
	case VS_ERR_EXIST:
	case VS_ERR_STALE:
	case VS_ERR_NOTEMPTY:
	case VS_ERR_ISDIR:
	case VS_ERR_NOTDIR:
	case VS_ERR_INVAL:
	case VS_ERR_PERM:
	case VS_ERR_NXIO:
		return true;
	default:
		return false;
	}
}

static void judge(struct guest *g, enum vs_err err, const char *where)
{
	if (expected(err) || g->p->bad)
		return;
	g->p->bad = err;
	g->p->where = where;
}

/* Two names, each of a file ("fN") or a directory ("dN"), each in one of the directories. */
static void pick(struct guest *g)
{
	for (int i = 0; i < 2; i++) {
		g->dir[i] = g->p->dir[rnd_below(&g->r, DIRS)];
		snprintf(g->name[i], sizeof g->name[i], "%c%u", rnd_chance(&g->r, 1, 4) ? 'd' : 'f',
			 (unsigned)rnd_below(&g->r, NAMES));
	}
}

static void use_file(struct guest *g, struct vfs_handle *h)
{
	struct fs *fs = g->p->w->fs;
	uint64_t off = rnd_below(&g->r, 200000), at;
	size_t len = (size_t)rnd_between(&g->r, 1, sizeof g->buf), got;
	struct vfs_attr a;

	for (uint64_t n = rnd_below(&g->r, 4); n; n--) {
		switch (rnd_below(&g->r, 6)) {
		case 0:
			judge(g, vfs_read(fs, h, off, g->buf, len, &got), "read");
			break;
		case 1:
			judge(g, vfs_flush(fs, &g->c, h), "flush");
			break;
		case 2:
			judge(g, vfs_seek(fs, h, off, rnd_chance(&g->r, 1, 2), &at), "seek");
			break;
		case 3:
			judge(g, vfs_getattr(fs, vfs_handle_id(h), &a), "getattr");
			break;
		default:
			judge(g, vfs_write(fs, &g->c, h, off, g->buf, len, false), "write");
			break;
		}
	}
	if (rnd_chance(&g->r, 1, 2))
		judge(g, vfs_flush(fs, &g->c, h), "flush");
	vfs_release(fs, h);
}

static void open_file(struct guest *g)
{
	struct fs *fs = g->p->w->fs;
	uint32_t flags = VFS_OPEN_WRITE | (rnd_chance(&g->r, 1, 3) ? VFS_OPEN_TRUNC : 0) |
			 (rnd_chance(&g->r, 1, 4) ? VFS_OPEN_APPEND : 0);
	struct vfs_handle *h;
	struct vfs_attr a;
	enum vs_err err;

	if (rnd_chance(&g->r, 1, 2)) {
		err = vfs_create(fs, &g->c, g->dir[0], nm(g->name[0]), 0600, flags, &h, &a);
		judge(g, err, "create");
	} else {
		err = vfs_lookup(fs, g->dir[0], nm(g->name[0]), &a);
		judge(g, err, "lookup");
		if (!err && S_ISREG(a.mode)) {
			err = vfs_open(fs, &g->c, a.id, flags, &h);
			judge(g, err, "open");
		} else {
			err = VS_ERR_NOENT;
		}
	}
	if (!err)
		use_file(g, h);
}

static bool look(void *arg, const struct vfs_dirent *d)
{
	(void)arg;
	(void)d;
	return true;
}

static void change_names(struct guest *g)
{
	struct fs *fs = g->p->w->fs;
	struct bytes a = nm(g->name[0]), b = nm(g->name[1]);
	struct vfs_setattr s = {.set = VFS_SET_SIZE | VFS_SET_MODE, .mode = 0640};
	struct vfs_attr at;
	uint64_t end;

	switch (rnd_below(&g->r, 8)) {
	case 0:
		judge(g, vfs_unlink(fs, &g->c, g->dir[0], a), "unlink");
		break;
	case 1:
		judge(g, vfs_rmdir(fs, &g->c, g->dir[0], a), "rmdir");
		break;
	case 2:
		judge(g, vfs_make(fs, &g->c, g->dir[0], a, S_IFDIR | 0700, 0, &at), "mkdir");
		break;
	case 3:
		if (vfs_lookup(fs, g->dir[0], a, &at) == VS_OK)
			judge(g, vfs_link(fs, &g->c, at.id, g->dir[1], b, &at), "link");
		break;
	case 4:
		if (vfs_lookup(fs, g->dir[0], a, &at) == VS_OK && S_ISREG(at.mode)) {
			s.size = rnd_below(&g->r, 100000);
			judge(g, vfs_setattr(fs, &g->c, at.id, &s, &at), "setattr");
			if (rnd_chance(&g->r, 1, 3))
				vfs_forget(fs, at.id);
		}
		break;
	case 5:
		judge(g, vfs_dir_end(fs, &end), "dir_end");
		judge(g, vfs_readdir(fs, g->dir[0], 0, end, 100, true, look, NULL), "readdir");
		break;
	default:
		judge(g,
		      vfs_rename(fs, &g->c, g->dir[0], a, g->dir[1], b,
				 rnd_chance(&g->r, 1, 4) ? VFS_RENAME_EXCHANGE : 0),
		      "rename");
		break;
	}
}

static void *guest_main(void *arg)
{
	struct guest *g = arg;

	for (int i = 0; i < STEPS && !g->p->bad; i++) {
		pick(g);
		if (rnd_chance(&g->r, 1, 2))
			open_file(g);
		else
			change_names(g);
		if (rnd_chance(&g->r, 1, 50))
			judge(g, fs_sync(g->p->w->fs), "sync");
	}
	return NULL;
}

static void party(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++) {
		static struct guest g[THREADS];
		struct party p = {.seed = seed};
		pthread_t t[THREADS];
		struct world w;

		world_new(&w, seed);
		p.w = &w;
		p.dir[0] = OBJECT_ROOT;
		p.dir[1] = make_dir(&w, OBJECT_ROOT, "one");
		p.dir[2] = make_dir(&w, p.dir[1], "two");
		for (int i = 0; i < THREADS; i++) {
			g[i] = (struct guest){.p = &p, .r = rnd_of(seed * 100 + (uint64_t)i)};
			assert_int_equal(pthread_create(&t[i], NULL, guest_main, &g[i]), 0);
		}
		for (int i = 0; i < THREADS; i++)
			pthread_join(t[i], NULL);
		if (p.bad)
			fail_msg("seed %d: %s: %s", (int)seed, p.where, vs_err_name(p.bad));
		world_free(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(party)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
