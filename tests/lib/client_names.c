/*
 * client_names: operations on names and attributes against a model.
 *
 * The model has the top directory with sub-directories d0..d2, and in each of
 * the four the names n0..n5 for files and symbolic links.  What an operation
 * answers is known from the model; after a crash the directory is the model
 * after the acknowledged operations or after one more (P3).
 */
#include "tests/lib/client_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { DIRS = 4, NAMES = 6, NODES = DIRS * NAMES + 1, PATH_LEN = 32 };

struct node {
	bool link; /* symbolic */
	uint32_t refs, mode, owner;
	uint64_t size, value; /* of the xattr; 0: none */
	uint64_t target;      /* of the link */
	int64_t mtime;        /* 0: not set */
};

struct model {
	bool dir[DIRS];
	uint32_t dir_mode[DIRS];
	uint32_t at[DIRS][NAMES]; /* node number; 0: none */
	struct node node[NODES];
};

enum op_kind {
	OP_MKNOD,
	OP_SYMLINK,
	OP_LINK,
	OP_UNLINK,
	OP_RENAME,
	OP_NOREPLACE,
	OP_EXCHANGE,
	OP_MKDIR,
	OP_RMDIR,
	OP_RENAME_DIR,
	OP_CHMOD,
	OP_CHOWN,
	OP_TRUNCATE,
	OP_SETXATTR,
	OP_REMOVEXATTR,
	OP_UTIMES,
	OP_CHMOD_DIR,
	OP_KINDS
};

struct op {
	enum op_kind kind;
	uint32_t dir, name, dir2, name2;
	uint64_t n; /* the operation's number is its argument, too */
};

/* An ordinary user has to get at the file again. */
static uint32_t mode_of(uint64_t n)
{
	return 0600 | (uint32_t)(n % 01000);
}

static struct op op_of(const struct client *c, uint64_t n)
{
	struct rnd r = client_rnd(c, n);
	struct op o = {.n = n};

	o.kind = (enum op_kind)rnd_below(&r, OP_KINDS);
	o.dir = (uint32_t)rnd_below(&r, DIRS);
	o.name = (uint32_t)rnd_below(&r, NAMES);
	o.dir2 = (uint32_t)rnd_below(&r, DIRS);
	o.name2 = (uint32_t)rnd_below(&r, NAMES);
	/* a tree that is mostly there */
	if (o.kind == OP_RMDIR && rnd_chance(&r, 1, 2))
		o.kind = OP_MKDIR;
	if (o.kind == OP_UNLINK && rnd_chance(&r, 1, 3))
		o.kind = OP_MKNOD;
	return o;
}

static bool dir_empty(const struct model *m, uint32_t d)
{
	for (uint32_t k = 0; k < NAMES; k++)
		if (m->at[d][k])
			return false;
	return true;
}

static uint32_t node_new(struct model *m, struct node is)
{
	uint32_t k = 1;

	while (m->node[k].refs)
		k++;
	m->node[k] = is;
	m->node[k].refs = 1;
	return k;
}

static int model_make(struct model *m, const struct op *o)
{
	uint32_t *at = &m->at[o->dir][o->name];

	if (!m->dir[o->dir])
		return ENOENT;
	if (*at)
		return EEXIST;
	*at = node_new(m, (struct node){.link = o->kind == OP_SYMLINK,
					.mode = o->kind == OP_SYMLINK ? 0777 : 0644,
					.target = o->n});
	return 0;
}

static int model_move(struct model *m, const struct op *o)
{
	uint32_t *from = &m->at[o->dir][o->name], *to = &m->at[o->dir2][o->name2], t;

	if (!m->dir[o->dir] || !m->dir[o->dir2] || !*from)
		return ENOENT;
	switch (o->kind) {
	case OP_LINK:
		if (*to)
			return EEXIST;
		*to = *from;
		m->node[*to].refs++;
		return 0;
	case OP_EXCHANGE:
		if (!*to)
			return ENOENT;
		t = *from;
		*from = *to;
		*to = t;
		return 0;
	default:
		if (o->kind == OP_NOREPLACE && *to)
			return EEXIST;
		if (*from == *to)
			return 0;
		if (*to)
			m->node[*to].refs--;
		*to = *from;
		*from = 0;
		return 0;
	}
}

/* Operations on directories; d0.. are 1.. here, the top is 0. */
static int model_dir(struct model *m, const struct op *o)
{
	uint32_t d = 1 + o->dir % (DIRS - 1), d2 = 1 + o->dir2 % (DIRS - 1);

	if (o->kind == OP_MKDIR) {
		if (m->dir[d])
			return EEXIST;
		m->dir[d] = true;
		m->dir_mode[d] = 0755;
		return 0;
	}
	if (!m->dir[d])
		return ENOENT;
	if (o->kind == OP_CHMOD_DIR) {
		m->dir_mode[d] = 0700 + o->n % 0100;
		return 0;
	}
	if (o->kind == OP_RMDIR) {
		m->dir[d] = !dir_empty(m, d);
		return m->dir[d] ? ENOTEMPTY : 0;
	}
	if (d == d2)
		return 0;
	if (m->dir[d2] && !dir_empty(m, d2))
		return ENOTEMPTY;
	memcpy(m->at[d2], m->at[d], sizeof(m->at[d]));
	memset(m->at[d], 0, sizeof(m->at[d]));
	m->dir[d2] = true;
	m->dir[d] = false;
	m->dir_mode[d2] = m->dir_mode[d];
	return 0;
}

static int model_attr(struct model *m, const struct op *o)
{
	uint32_t k = m->at[o->dir][o->name];
	struct node *i = &m->node[k];

	if (!m->dir[o->dir] || !k)
		return ENOENT;
	switch (o->kind) {
	case OP_CHMOD:
		i->mode = mode_of(o->n);
		return 0;
	case OP_CHOWN:
		i->owner = o->n % 60000;
		return 0;
	case OP_TRUNCATE:
		i->size = o->n % 9 * 1000 * (o->n % 1001);
		i->mtime = 0;
		return 0;
	case OP_SETXATTR:
		i->value = o->n + 1;
		return 0;
	case OP_REMOVEXATTR:
		if (!i->value)
			return ENODATA;
		i->value = 0;
		return 0;
	default:
		i->mtime = 1000000000 + (int64_t)o->n;
		return 0;
	}
}

/* Whether the operation follows a link out of the model: then it is left out. */
static bool left_out(const struct model *m, const struct op *o)
{
	return o->kind >= OP_CHMOD && o->kind != OP_CHMOD_DIR && m->dir[o->dir] &&
	       m->at[o->dir][o->name] && m->node[m->at[o->dir][o->name]].link;
}

/* What the operation answers; m becomes what it leaves behind. */
static int model_apply(struct model *m, const struct op *o)
{
	int err;

	if (left_out(m, o))
		return 0;
	switch (o->kind) {
	case OP_MKNOD:
	case OP_SYMLINK:
		return model_make(m, o);
	case OP_LINK:
	case OP_RENAME:
	case OP_NOREPLACE:
	case OP_EXCHANGE:
		return model_move(m, o);
	case OP_MKDIR:
	case OP_RMDIR:
	case OP_RENAME_DIR:
	case OP_CHMOD_DIR:
		return model_dir(m, o);
	case OP_UNLINK:
		err = m->dir[o->dir] && m->at[o->dir][o->name] ? 0 : ENOENT;
		if (!err)
			m->node[m->at[o->dir][o->name]].refs--;
		m->at[o->dir][o->name] = 0;
		return err;
	default:
		return model_attr(m, o);
	}
}

static void dir_path(char *buf, uint32_t d)
{
	snprintf(buf, PATH_LEN, "d%u", d - 1);
}

static void name_path(char *buf, uint32_t d, uint32_t k)
{
	if (d)
		snprintf(buf, PATH_LEN, "d%u/n%u", d - 1, k);
	else
		snprintf(buf, PATH_LEN, "n%u", k);
}

/* Do it; the result of the system call. */
static int perform(const struct model *m, const struct op *o)
{
	struct timespec times[2] = {{0, UTIME_OMIT}, {1000000000 + (time_t)o->n, 0}};
	char a[PATH_LEN], b[PATH_LEN], text[PATH_LEN];

	name_path(a, o->dir, o->name);
	name_path(b, o->dir2, o->name2);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)o->n);
	if (left_out(m, o))
		return 0;
	switch (o->kind) {
	case OP_MKNOD:
		return mknod(a, S_IFREG | 0644, 0);
	case OP_SYMLINK:
		return symlink(text, a);
	case OP_LINK:
		return link(a, b);
	case OP_UNLINK:
		return unlink(a);
	case OP_RENAME:
		return rename(a, b);
	case OP_NOREPLACE:
		return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_NOREPLACE);
	case OP_EXCHANGE:
		return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
	case OP_CHMOD:
		return chmod(a, mode_of(o->n));
	case OP_CHOWN:
		return lchown(a, (uid_t)(geteuid() ? geteuid() : o->n % 60000), (gid_t)-1);
	case OP_TRUNCATE:
		return truncate(a, (off_t)(o->n % 9 * 1000 * (o->n % 1001)));
	case OP_SETXATTR:
		snprintf(text, sizeof(text), "%llu", (unsigned long long)o->n + 1);
		return setxattr(a, "user.value", text, strlen(text), 0);
	case OP_REMOVEXATTR:
		return removexattr(a, "user.value");
	case OP_UTIMES:
		return utimensat(AT_FDCWD, a, times, AT_SYMLINK_NOFOLLOW);
	default:
		break;
	}
	dir_path(a, 1 + o->dir % (DIRS - 1));
	dir_path(b, 1 + o->dir2 % (DIRS - 1));
	switch (o->kind) {
	case OP_MKDIR:
		return mkdir(a, 0755);
	case OP_RMDIR:
		return rmdir(a);
	case OP_CHMOD_DIR:
		return chmod(a, 0700 + o->n % 0100);
	default:
		return rename(a, b);
	}
}

void client_names_run(struct client *c)
{
	static struct model m, before;

	m.dir[0] = true;
	for (;;) {
		uint64_t n = client_next(c);
		struct op o = op_of(c, n);
		int want, rc, err;

		c->begun = n + 1;
		before = m;
		want = model_apply(&m, &o);
		rc = perform(&before, &o);
		err = rc ? errno : 0;
		if (rc && err != want)
			client_want(c, rc, "names");
		if (err != want)
			client_fail(c, "names: operation %llu (kind %d): %s instead of %s",
				    (unsigned long long)n, (int)o.kind, strerror(err),
				    strerror(want));
		c->acked = n + 1;
	}
}

/* --- check ----------------------------------------------------------------------- */

static bool same_xattr(int dirfd, const char *path, uint64_t value)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	char text[PATH_LEN] = "", want[PATH_LEN] = "";
	ssize_t got;

	if (fd < 0)
		return false;
	got = fgetxattr(fd, "user.value", text, sizeof(text) - 1);
	if (got < 0 && errno != ENODATA)
		got = sizeof(text) - 1;
	close(fd);
	if (value)
		snprintf(want, sizeof(want), "%llu", (unsigned long long)value);
	return strcmp(text, want) == 0 && (got >= 0) == (value != 0);
}

static bool same_content(int dirfd, const char *path, uint64_t size)
{
	size_t len = 0;
	uint8_t *buf = client_slurp(dirfd, path, &len);
	bool zeros = buf && len == size;

	for (size_t k = 0; zeros && k < len; k++)
		zeros = buf[k] == 0;
	free(buf);
	return zeros;
}

/* What is different at path from node i (0: nothing is there); NULL: nothing. */
static const char *compare(const struct model *m, uint32_t i, int dirfd, const char *path)
{
	const struct node *want = &m->node[i];
	char text[PATH_LEN] = "", target[PATH_LEN];
	struct stat st;

	if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return i ? strerror(errno) : NULL;
	if (!i)
		return "it is there";
	if (!(want->link ? S_ISLNK(st.st_mode) : S_ISREG(st.st_mode)))
		return "type";
	if (st.st_nlink != want->refs)
		return "link count";
	if (geteuid() == 0 && st.st_uid != want->owner)
		return "owner";
	if (want->mtime && st.st_mtim.tv_sec != want->mtime)
		return "mtime";
	if (want->link) {
		snprintf(target, sizeof(target), "%llu", (unsigned long long)want->target);
		if (readlinkat(dirfd, path, text, sizeof(text) - 1) < 0 ||
		    strcmp(text, target) != 0)
			return "target";
		return NULL;
	}
	if ((st.st_mode & 07777) != want->mode)
		return "mode";
	if ((uint64_t)st.st_size != want->size)
		return "size";
	if (!same_content(dirfd, path, want->size))
		return "content";
	return same_xattr(dirfd, path, want->value) ? NULL : "xattr";
}

/* Whether the directory is m; why (PATH_LEN + 64 bytes) names a difference. */
static bool matches(const struct model *m, int dirfd, char *why)
{
	char path[PATH_LEN];
	int64_t top = 0;

	for (uint32_t d = 0; d < DIRS; d++) {
		int64_t count = 0, have;
		struct stat st;
		int fd = dirfd;

		for (uint32_t k = 0; k < NAMES; k++) {
			const char *what;

			name_path(path, d, k);
			what = compare(m, m->at[d][k], dirfd, path);
			if (what) {
				snprintf(why, PATH_LEN + 64, "%s: %s", path, what);
				return false;
			}
			count += m->at[d][k] != 0;
		}
		if (d == 0) {
			top = count;
			continue;
		}
		dir_path(path, d);
		top += m->dir[d];
		fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		have = fd < 0 ? -1 : client_count_names(fd);
		if (fd >= 0 && (fstat(fd, &st) != 0 || (st.st_mode & 07777) != m->dir_mode[d]))
			have = -2;
		if (fd >= 0)
			close(fd);
		if (have != (m->dir[d] ? count : -1)) {
			snprintf(why, PATH_LEN + 64, "%s: directory", path);
			return false;
		}
	}
	snprintf(why, PATH_LEN + 64, "top directory");
	return client_count_names(dirfd) == top;
}

bool client_names_check(struct client *c, int dirfd)
{
	static struct model m;
	char why[PATH_LEN + 64], more[PATH_LEN + 64] = "not begun";
	struct op o;

	memset(&m, 0, sizeof(m));
	m.dir[0] = true;
	for (uint64_t n = 0; n < c->acked; n++) {
		o = op_of(c, n);
		(void)model_apply(&m, &o);
	}
	if (matches(&m, dirfd, why)) {
		c->begun = c->acked;
		return true;
	}
	o = op_of(c, c->acked);
	(void)model_apply(&m, &o);
	if (c->begun > c->acked && matches(&m, dirfd, more)) {
		c->acked = c->begun;
		return true;
	}
	return client_wrong(c, "after %llu operations: %s; with one more (kind %d): %s",
			    (unsigned long long)c->acked, why, (int)o.kind, more);
}
