/* test_env_posix: the environment on a real directory. */
#include "engine/base/env_posix.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[PATH_MAX];
static struct env *e;

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(path, sizeof path, "%s/env-XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(path) && !env_posix_open(path, false, &e) ? 0 : -1;
}

static enum vs_err remove_each(void *arg, const char *name)
{
	enum vs_err err = e->ops->unlink(e, name);

	(void)arg;
	if (err) {
		char sub[PATH_MAX + 256];

		snprintf(sub, sizeof sub, "%s/%s", path, name);
		err = rmdir(sub) ? err : VS_OK;
	}
	return err;
}

static int teardown(void **state)
{
	enum vs_err err = e->ops->list(e, "", remove_each, NULL);

	(void)state;
	env_posix_close(e);
	return err || rmdir(path) ? -1 : 0;
}

static struct env_file *open_new(const char *name)
{
	struct env_file *f = NULL;

	assert_int_equal(e->ops->open(e, name, ENV_WRITE | ENV_CREATE | ENV_EXCL, &f), VS_OK);
	return f;
}

static void open_modes(void **state)
{
	struct env_file *f = NULL;

	(void)state;
	assert_int_equal(e->ops->open(e, "a", ENV_WRITE, &f), VS_ERR_NOENT);
	e->ops->close(open_new("a"));
	assert_int_equal(e->ops->open(e, "a", ENV_WRITE | ENV_CREATE | ENV_EXCL, &f), VS_ERR_EXIST);
	assert_int_equal(e->ops->open(e, "a", ENV_READ, &f), VS_OK);
	e->ops->close(f);
	assert_int_equal(e->ops->open(e, "a/b", ENV_READ, &f), VS_ERR_NOTDIR);
}

static void pwritev_writes_more_than_iov_max(void **state)
{
	enum { COUNT = 3000, EACH = 7 };
	static char data[COUNT * EACH], back[COUNT * EACH + 10];
	static struct iovec iov[COUNT + 2];
	struct env_file *f = open_new("big");
	size_t got;

	(void)state;
	for (int i = 0; i < COUNT * EACH; i++)
		data[i] = (char)(i * 31 >> 3);
	iov[0] = (struct iovec){NULL, 0};
	for (int i = 0; i < COUNT; i++)
		iov[i + 1] = (struct iovec){data + (ptrdiff_t)i * EACH, EACH};
	iov[COUNT + 1] = (struct iovec){data, 0};
	assert_int_equal(e->ops->pwritev(f, iov, COUNT + 2, 100), VS_OK);
	assert_int_equal(e->ops->pread(f, back, sizeof back, 100, &got), VS_OK);
	assert_int_equal(got, COUNT * EACH);
	assert_memory_equal(back, data, got);
	assert_int_equal(e->ops->pread(f, back, 100, 0, &got), VS_OK);
	assert_int_equal(got, 100);
	assert_int_equal(back[0] | back[99], 0);
	assert_int_equal(e->ops->pread(f, back, 1, 1 << 30, &got), VS_OK);
	assert_int_equal(got, 0);
	assert_int_equal(e->ops->pwritev(f, iov, 0, 0), VS_OK);
	e->ops->write_hint(f, 0, 4096);
	assert_int_equal(e->ops->sync(f), VS_OK);
	e->ops->close(f);
}

static void allocate_keeps_data_and_extends(void **state)
{
	struct env_file *f = open_new("alloc");
	char b[4] = "";
	uint64_t size;
	size_t got;

	(void)state;
	assert_int_equal(env_pwrite(e, f, "data", 4, 4096), VS_OK);
	assert_int_equal(e->ops->allocate(f, 0, 1 << 20), VS_OK);
	assert_int_equal(e->ops->size(f, &size), VS_OK);
	assert_int_equal(size, 1 << 20);
	assert_int_equal(e->ops->pread(f, b, 4, 4096, &got), VS_OK);
	assert_memory_equal(b, "data", 4);
	assert_int_equal(e->ops->truncate(f, 4098), VS_OK);
	assert_int_equal(e->ops->size(f, &size), VS_OK);
	assert_int_equal(size, 4098);
	assert_int_equal(e->ops->sync(f), VS_OK);
	e->ops->close(f);
}

static enum vs_err count_each(void *arg, const char *name)
{
	(void)name;
	return ++*(int *)arg == 3 ? VS_ERR_END : VS_OK;
}

static void names(void **state)
{
	struct env_file *f = NULL;
	int count = 0;

	(void)state;
	assert_int_equal(e->ops->mkdir(e, "d"), VS_OK);
	assert_int_equal(e->ops->mkdir(e, "d"), VS_OK);
	e->ops->close(open_new("d/x"));
	e->ops->close(open_new("d/y"));
	assert_int_equal(e->ops->list(e, "d", count_each, &count), VS_OK);
	assert_int_equal(count, 2);
	e->ops->close(open_new("d/z"));
	count = 0;
	assert_int_equal(e->ops->list(e, "d", count_each, &count), VS_ERR_END);
	assert_int_equal(e->ops->rename(e, "d/x", "d/y"), VS_OK);
	assert_int_equal(e->ops->rename(e, "d/x", "d/y"), VS_ERR_NOENT);
	assert_int_equal(e->ops->dir_sync(e, "d"), VS_OK);
	assert_int_equal(e->ops->dir_sync(e, ""), VS_OK);
	assert_int_equal(e->ops->dir_sync(e, "none"), VS_ERR_NOENT);
	assert_int_equal(e->ops->list(e, "none", count_each, &count), VS_ERR_NOENT);
	assert_int_equal(e->ops->open(e, "d/x", ENV_READ, &f), VS_ERR_NOENT);
	assert_int_equal(e->ops->unlink(e, "d/y"), VS_OK);
	assert_int_equal(e->ops->unlink(e, "d/y"), VS_ERR_NOENT);
	assert_int_equal(e->ops->unlink(e, "d/z"), VS_OK);
	e->ops->close(open_new("plain"));
	assert_int_equal(e->ops->mkdir(e, "plain"), VS_ERR_NOTDIR);
}

static void lock_excludes_a_second_env(void **state)
{
	struct env *other = NULL;

	(void)state;
	assert_int_equal(env_posix_open(path, true, &other), VS_OK);
	assert_int_equal(e->ops->lock(e, "lock"), VS_OK);
	assert_int_equal(other->ops->lock(other, "lock"), VS_ERR_LOCKED);
	e->ops->unlock(e);
	assert_int_equal(other->ops->lock(other, "lock"), VS_OK);
	env_posix_close(other);
	assert_int_equal(e->ops->lock(e, "lock"), VS_OK);
	e->ops->unlock(e);
}

static void open_of_the_directory(void **state)
{
	char sub[PATH_MAX + 8];
	struct env *other = NULL;

	(void)state;
	snprintf(sub, sizeof sub, "%s/sub", path);
	assert_int_equal(env_posix_open(sub, false, &other), VS_ERR_NOENT);
	assert_int_equal(env_posix_open(sub, true, &other), VS_OK);
	env_posix_close(other);
	e->ops->close(open_new("file"));
	snprintf(sub, sizeof sub, "%s/file", path);
	assert_int_equal(env_posix_open(sub, true, &other), VS_ERR_NOTDIR);
}

static void clocks_random_space(void **state)
{
	uint64_t t = e->ops->now_mono_ns(e);
	unsigned char a[300] = {0}, b[300] = {0};
	struct env_space s;

	(void)state;
	assert_true(e->ops->now_mono_ns(e) >= t);
	assert_true(e->ops->now_real_ns(e) > UINT64_C(1500000000) * 1000000000);
	e->ops->random(e, a, sizeof a);
	e->ops->random(e, b, sizeof b);
	assert_memory_not_equal(a, b, sizeof a);
	assert_int_equal(e->ops->space(e, &s), VS_OK);
	assert_true(s.total_bytes >= s.free_bytes && s.total_bytes > 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(open_modes),
		T(pwritev_writes_more_than_iov_max),
		T(allocate_keeps_data_and_extends),
		T(names),
		T(lock_excludes_a_second_env),
		T(open_of_the_directory),
		T(clocks_random_space),
	};

	return cmocka_run_group_tests_name("env_posix", tests, NULL, NULL);
}
