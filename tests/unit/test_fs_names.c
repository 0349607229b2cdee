/* test_fs_names: the name space: create, link, unlink, rename, listing, attributes. */
#include "tests/unit/test_fs_util.h"

#define ROOT OBJECT_ROOT

static enum vs_err mv(struct world *w, uint64_t a, const char *from, uint64_t b, const char *to,
		      uint32_t flags)
{
	return vfs_rename(w->fs, &w->c, a, nm(from), b, nm(to), flags);
}

static void names_checked(void **state)
{
	static const struct {
		const char *name;
		enum vs_err err;
	} bad[] = {{"", VS_ERR_NOENT},
		   {".", VS_ERR_EXIST},
		   {"..", VS_ERR_EXIST},
		   {"a/b", VS_ERR_INVAL}};
	char longest[257];
	struct vfs_attr a;
	struct world w;

	(void)state;
	world_new(&w, 1);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(vfs_make(w.fs, &w.c, ROOT, nm(bad[i].name), S_IFDIR, 0, &a),
				 bad[i].err);
	memset(longest, 'x', sizeof longest);
	longest[256] = 0;
	assert_int_equal(vfs_make(w.fs, &w.c, ROOT, nm(longest), S_IFDIR, 0, &a),
			 VS_ERR_NAMETOOLONG);
	longest[255] = 0;
	make_dir(&w, ROOT, longest);
	make_dir(&w, ROOT, "\xff\xfe\n");
	assert_int_equal(vfs_make(w.fs, &w.c, ROOT, nm("\xff\xfe\n"), S_IFDIR, 0, &a),
			 VS_ERR_EXIST);
	assert_int_equal(vfs_lookup(w.fs, ROOT, nm("none"), &a), VS_ERR_NOENT);
	OK(vfs_lookup(w.fs, ROOT, nm(".."), &a));
	assert_int_equal(a.id, ROOT);
	world_free(&w);
}

static void links_counted(void **state)
{
	struct world w;
	struct vfs_attr a;
	uint64_t d, f;

	(void)state;
	world_new(&w, 2);
	d = make_dir(&w, ROOT, "d");
	assert_int_equal(attr_of(&w, ROOT).nlink, 3);
	assert_int_equal(attr_of(&w, d).nlink, 2);
	f = make_file(&w, d, "f", "x");
	OK(vfs_link(w.fs, &w.c, f, ROOT, nm("g"), &a));
	assert_int_equal(a.nlink, 2);
	assert_int_equal(vfs_link(w.fs, &w.c, f, ROOT, nm("g"), &a), VS_ERR_EXIST);
	assert_int_equal(vfs_link(w.fs, &w.c, d, ROOT, nm("h"), &a), VS_ERR_PERM);
	assert_int_equal(vfs_unlink(w.fs, &w.c, ROOT, nm("d")), VS_ERR_ISDIR);
	assert_int_equal(vfs_rmdir(w.fs, &w.c, ROOT, nm("g")), VS_ERR_NOTDIR);
	assert_int_equal(vfs_rmdir(w.fs, &w.c, ROOT, nm("d")), VS_ERR_NOTEMPTY);
	OK(vfs_unlink(w.fs, &w.c, d, nm("f")));
	assert_int_equal(attr_of(&w, f).nlink, 1);
	OK(vfs_rmdir(w.fs, &w.c, ROOT, nm("d")));
	assert_int_equal(attr_of(&w, ROOT).nlink, 2);
	assert_int_equal(vfs_make(w.fs, &w.c, d, nm("x"), S_IFREG | 0600, 0, &a), VS_ERR_NOENT);
	expect_text(&w, f, "x");
	OK(vfs_unlink(w.fs, &w.c, ROOT, nm("g")));
	assert_int_equal(vfs_getattr(w.fs, f, &a), VS_ERR_NOENT);
	assert_int_equal(attr_of(&w, ROOT).size, 0);
	world_free(&w);
}

/* F92: an open file lives without a name; neither it nor its bytes come back. */
static void unlinked_and_open(void **state)
{
	struct vfs_handle *h, *h2;
	struct vfs_attr a;
	struct world w;
	uint64_t id;
	char buf[8];
	size_t got;

	(void)state;
	world_new(&w, 3);
	id = make_file(&w, ROOT, "f", "old");
	h = open_id(&w, id, VFS_OPEN_WRITE);
	OK(vfs_unlink(w.fs, &w.c, ROOT, nm("f")));
	assert_int_equal(id_of(&w, ROOT, "f"), 0);
	assert_int_equal(attr_of(&w, id).nlink, 0);
	put(&w, h, 3, "new");
	h2 = open_id(&w, id, 0); /* /proc/self/fd/N */
	OK(vfs_read(w.fs, h2, 0, buf, sizeof buf, &got));
	assert_int_equal(got, 6);
	assert_memory_equal(buf, "oldnew", 6);
	close_handle(&w, h);
	assert_int_equal(vfs_link(w.fs, &w.c, id, ROOT, nm("g"), &a), VS_ERR_NOENT);
	close_handle(&w, h2);
	assert_int_equal(vfs_getattr(w.fs, id, &a), VS_ERR_NOENT);
	assert_int_equal(vfs_open(w.fs, &w.c, id, 0, &h), VS_ERR_STALE);
	id = make_file(&w, ROOT, "k", "killed");
	h = open_id(&w, id, VFS_OPEN_WRITE);
	OK(vfs_unlink(w.fs, &w.c, ROOT, nm("k")));
	world_crash(&w, ENV_MEM_KEEP);
	assert_int_equal(vfs_getattr(w.fs, id, &a), VS_ERR_NOENT);
	assert_int_equal(id_of(&w, ROOT, "k"), 0);
	world_free(&w);
}

/* A created file is there after its first commit, and not before. */
static void pending_files(void **state)
{
	struct vfs_handle *h, *h2;
	struct vfs_attr a;
	struct world w;
	uint64_t d;

	(void)state;
	world_new(&w, 4);
	d = make_dir(&w, ROOT, "d");
	h = create(&w, d, "half");
	put(&w, h, 0, "half");
	make_file(&w, d, "whole", "whole");
	h2 = create(&w, d, "renamed");
	put(&w, h2, 0, "all of it");
	assert_int_equal(vfs_create(w.fs, &w.c, d, nm("half"), 0600, 0, &h, &a), VS_ERR_EXIST);
	OK(mv(&w, d, "renamed", ROOT, "r", 0));
	world_crash(&w, ENV_MEM_KEEP);
	assert_int_equal(id_of(&w, d, "half"), 0);
	expect_text(&w, id_of(&w, d, "whole"), "whole");
	expect_text(&w, id_of(&w, ROOT, "r"), "all of it");
	assert_int_equal(attr_of(&w, d).size, 1);
	h2 = create(&w, d, "half");
	OK(vfs_unlink(w.fs, &w.c, d, nm("half")));
	put(&w, h2, 0, "x");
	vfs_release(w.fs, h2);
	OK(vfs_unlink(w.fs, &w.c, d, nm("whole")));
	OK(vfs_rmdir(w.fs, &w.c, ROOT, nm("d")));
	world_free(&w);
}

static void rename_matrix(void **state)
{
	struct world w;
	uint64_t a, b, f, g, s;

	(void)state;
	world_new(&w, 5);
	a = make_dir(&w, ROOT, "a");
	b = make_dir(&w, ROOT, "b");
	f = make_file(&w, a, "f", "f");
	g = make_file(&w, b, "g", "g");
	assert_int_equal(mv(&w, a, "no", b, "g", 0), VS_ERR_NOENT);
	assert_int_equal(mv(&w, a, "f", b, "g", VFS_RENAME_NOREPLACE), VS_ERR_EXIST);
	assert_int_equal(mv(&w, a, "f", b, "none", VFS_RENAME_EXCHANGE), VS_ERR_NOENT);
	assert_int_equal(mv(&w, a, "f", b, "x", 4), VS_ERR_INVAL);
	assert_int_equal(mv(&w, a, "f", ROOT, "b", 0), VS_ERR_ISDIR);
	assert_int_equal(mv(&w, ROOT, "a", b, "g", 0), VS_ERR_NOTDIR);
	assert_int_equal(mv(&w, ROOT, "a", ROOT, "b", 0), VS_ERR_NOTEMPTY);
	assert_int_equal(mv(&w, ROOT, "a", a, "sub", 0), VS_ERR_INVAL);
	OK(mv(&w, a, "f", b, "g", VFS_RENAME_EXCHANGE));
	assert_int_equal(id_of(&w, a, "f"), g);
	assert_int_equal(id_of(&w, b, "g"), f);
	OK(mv(&w, a, "f", b, "g", 0));
	assert_int_equal(id_of(&w, b, "g"), g);
	assert_int_equal(id_of(&w, a, "f"), 0);
	assert_int_equal(attr_of(&w, a).size, 0);
	OK(mv(&w, ROOT, "a", b, "a", 0));
	assert_int_equal(attr_of(&w, ROOT).nlink, 3);
	assert_int_equal(attr_of(&w, b).nlink, 3);
	assert_int_equal(id_of(&w, a, ".."), b);
	assert_int_equal(mv(&w, ROOT, "b", a, "b", 0), VS_ERR_INVAL);
	s = make_dir(&w, a, "s");
	assert_int_equal(mv(&w, ROOT, "b", s, "b", 0), VS_ERR_INVAL);
	/* a directory over an empty one, here and elsewhere */
	make_dir(&w, ROOT, "e");
	OK(mv(&w, a, "s", ROOT, "e", 0));
	assert_int_equal(attr_of(&w, ROOT).nlink, 4);
	assert_int_equal(attr_of(&w, a).nlink, 2);
	make_dir(&w, ROOT, "e2");
	OK(mv(&w, ROOT, "e", ROOT, "e2", 0));
	assert_int_equal(id_of(&w, ROOT, "e2"), s);
	assert_int_equal(attr_of(&w, ROOT).nlink, 4);
	/* a directory against a file */
	OK(mv(&w, ROOT, "e2", b, "g", VFS_RENAME_EXCHANGE));
	assert_int_equal(id_of(&w, ROOT, "e2"), g);
	assert_int_equal(id_of(&w, s, ".."), b);
	assert_int_equal(attr_of(&w, ROOT).nlink, 3);
	assert_int_equal(attr_of(&w, b).nlink, 4);
	world_free(&w);
}

static void rename_special(void **state)
{
	struct vfs_handle *h;
	struct vfs_attr at;
	struct world w;
	uint64_t f, t;
	char buf[4];
	size_t got;

	(void)state;
	world_new(&w, 6);
	f = make_file(&w, ROOT, "f", "f");
	OK(vfs_link(w.fs, &w.c, f, ROOT, nm("f2"), &at));
	OK(mv(&w, ROOT, "f", ROOT, "f2", 0)); /* two names of one object: nothing happens */
	assert_int_equal(id_of(&w, ROOT, "f"), f);
	assert_int_equal(attr_of(&w, f).nlink, 2);
	/* over an open file: its handle goes on */
	t = make_file(&w, ROOT, "t", "tgt");
	h = open_id(&w, t, VFS_OPEN_WRITE);
	OK(mv(&w, ROOT, "f2", ROOT, "t", 0));
	assert_int_equal(id_of(&w, ROOT, "t"), f);
	OK(vfs_read(w.fs, h, 0, buf, sizeof buf, &got));
	assert_int_equal(got, 3);
	close_handle(&w, h);
	/* the kernel knows it still, and whoever found it under the name may come and open it */
	h = open_id(&w, t, 0);
	vfs_forget(w.fs, t);
	vfs_release(w.fs, h);
	assert_int_equal(vfs_getattr(w.fs, t, &at), VS_ERR_NOENT);
	t = make_file(&w, ROOT, "t2", "tgt");
	OK(mv(&w, ROOT, "t", ROOT, "t2", 0));
	assert_int_equal(attr_of(&w, t).nlink, 0);
	vfs_forget(w.fs, t);
	assert_int_equal(vfs_getattr(w.fs, t, &at), VS_ERR_NOENT);
	make_file(&w, ROOT, "t3", "tgt");
	OK(mv(&w, ROOT, "t2", ROOT, "t3", 0)); /* never forgotten */
	world_free(&w);
}

/* --- listing */

struct seen {
	char name[4096][16];
	uint32_t count, stop;
	uint64_t off;
};

static bool note(void *arg, const struct vfs_dirent *d)
{
	struct seen *s = arg;

	if (s->count == s->stop)
		return false;
	assert_true(s->count < 4096 && d->name.len < 16);
	memcpy(s->name[s->count], d->name.p, d->name.len);
	s->name[s->count++][d->name.len] = 0;
	s->off = d->off;
	return true;
}

static int times(const struct seen *s, const char *name)
{
	int n = 0;

	for (uint32_t i = 0; i < s->count; i++)
		n += !strcmp(s->name[i], name);
	return n;
}

/* What was there all along is seen once, whatever else comes and goes; and it ends. */
static void listing_is_stable(void **state)
{
	static struct seen s;
	char name[16], to[16];
	struct world w;
	uint64_t end;
	int next = 0;

	(void)state;
	world_new(&w, 7);
	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof name, "keep%d", i);
		make_dir(&w, ROOT, name);
		snprintf(name, sizeof name, "move%d", i);
		make_dir(&w, ROOT, name);
	}
	memset(&s, 0, sizeof s);
	OK(vfs_dir_end(w.fs, &end));
	for (;;) {
		uint32_t before = s.count;

		s.stop = s.count + 7;
		OK(vfs_readdir(w.fs, ROOT, s.off, end, 8, false, note, &s));
		if (s.count == before)
			break;
		/* rename what was just listed, as `for f in *` loops do */
		for (uint32_t i = before; i < s.count; i++) {
			if (strncmp(s.name[i], "move", 4) != 0)
				continue;
			snprintf(to, sizeof to, "n%d", next++);
			OK(mv(&w, ROOT, s.name[i], ROOT, to, 0));
		}
		snprintf(name, sizeof name, "new%d", next++);
		make_dir(&w, ROOT, name);
	}
	assert_int_equal(times(&s, "."), 1);
	assert_int_equal(times(&s, ".."), 1);
	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof name, "keep%d", i);
		assert_int_equal(times(&s, name), 1);
	}
	assert_true(s.count < 1300);
	world_free(&w);
}

/* --- attributes */

static void modes_and_owners(void **state)
{
	struct vfs_setattr s = {.set = VFS_SET_MODE, .mode = 06755};
	struct vfs_handle *h;
	struct vfs_attr a;
	struct world w;
	uint64_t d, f;

	(void)state;
	world_new(&w, 8);
	w.c.uid = 5;
	w.c.gid = 6;
	d = make_dir(&w, ROOT, "d");
	assert_int_equal(attr_of(&w, d).uid, 5);
	s.set = VFS_SET_MODE | VFS_SET_GID;
	s.gid = 77;
	s.mode = 02777;
	OK(vfs_setattr(w.fs, &w.c, d, &s, &a));
	f = make_file(&w, d, "f", "x");
	assert_int_equal(attr_of(&w, f).gid, 77);
	assert_int_equal(attr_of(&w, make_dir(&w, d, "sub")).mode, S_IFDIR | 02755);
	s.set = VFS_SET_MODE;
	s.mode = 06755;
	OK(vfs_setattr(w.fs, &w.c, f, &s, &a));
	assert_int_equal(a.mode, S_IFREG | 06755);
	h = open_id(&w, f, VFS_OPEN_WRITE);
	put(&w, h, 0, "y");
	assert_int_equal(attr_of(&w, f).mode, S_IFREG | 06755);
	w.c.kill_priv = true;
	put(&w, h, 0, "z");
	assert_int_equal(attr_of(&w, f).mode, S_IFREG | 0755);
	w.c.kill_priv = false;
	close_handle(&w, h);
	s = (struct vfs_setattr){.set = VFS_SET_ATIME | VFS_SET_MTIME,
				 .atime_ns = -5,
				 .mtime_ns = 7};
	OK(vfs_setattr(w.fs, &w.c, f, &s, &a));
	assert_true(a.atime_ns == -5 && a.mtime_ns == 7);
	world_free(&w);
}

static void xattrs(void **state)
{
	static uint8_t big[OBJECT_XATTR_MAX + 1], back[OBJECT_XATTR_MAX];
	struct world w;
	uint64_t f;
	size_t len;

	(void)state;
	world_new(&w, 9);
	f = make_file(&w, ROOT, "f", "x");
	memset(big, 9, sizeof big);
	assert_int_equal(vfs_getxattr(w.fs, f, nm("user.a"), back, 10, &len), VS_ERR_NODATA);
	assert_int_equal(vfs_getxattr(w.fs, f, nm("odd.a"), back, 10, &len), VS_ERR_NOTSUP);
	assert_int_equal(vfs_setxattr(w.fs, &w.c, f, nm("user."), nm("1"), 0), VS_ERR_NOTSUP);
	OK(vfs_setxattr(w.fs, &w.c, f, nm("user.a"), nm("12345"), VFS_XATTR_CREATE));
	assert_int_equal(vfs_setxattr(w.fs, &w.c, f, nm("user.a"), nm("1"), VFS_XATTR_CREATE),
			 VS_ERR_EXIST);
	assert_int_equal(vfs_setxattr(w.fs, &w.c, f, nm("user.b"), nm("1"), VFS_XATTR_REPLACE),
			 VS_ERR_NODATA);
	OK(vfs_getxattr(w.fs, f, nm("user.a"), NULL, 0, &len));
	assert_int_equal(len, 5);
	assert_int_equal(vfs_getxattr(w.fs, f, nm("user.a"), back, 3, &len), VS_ERR_RANGE);
	assert_int_equal(vfs_setxattr(w.fs, &w.c, f, nm("user.c"), bytes_of(big, sizeof big), 0),
			 VS_ERR_TOOBIG);
	OK(vfs_setxattr(w.fs, &w.c, f, nm("trusted.c"), bytes_of(big, OBJECT_XATTR_MAX), 0));
	OK(vfs_getxattr(w.fs, f, nm("trusted.c"), back, sizeof back, &len));
	assert_int_equal(len, OBJECT_XATTR_MAX);
	assert_memory_equal(back, big, OBJECT_XATTR_MAX);
	OK(vfs_listxattr(w.fs, f, true, back, sizeof back, &len));
	assert_int_equal(len, sizeof "trusted.c" + sizeof "user.a");
	OK(vfs_listxattr(w.fs, f, false, back, sizeof back, &len));
	assert_int_equal(len, sizeof "user.a");
	OK(vfs_removexattr(w.fs, &w.c, f, nm("trusted.c")));
	assert_int_equal(vfs_removexattr(w.fs, &w.c, f, nm("trusted.c")), VS_ERR_NODATA);
	OK(vfs_setxattr(w.fs, &w.c, f, nm("user.empty"), bytes_of(NULL, 0), 0));
	OK(vfs_getxattr(w.fs, f, nm("user.empty"), back, 10, &len));
	assert_int_equal(len, 0);
	OK(vfs_unlink(w.fs, &w.c, ROOT, nm("f")));
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_checked),
		cmocka_unit_test(links_counted),
		cmocka_unit_test(unlinked_and_open),
		cmocka_unit_test(pending_files),
		cmocka_unit_test(rename_matrix),
		cmocka_unit_test(rename_special),
		cmocka_unit_test(listing_is_stable),
		cmocka_unit_test(modes_and_owners),
		cmocka_unit_test(xattrs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
