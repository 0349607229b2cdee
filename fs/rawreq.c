/* rawreq: see rawreq.h. */
#include "fs/rawreq.h"

#include "engine/base/assert.h"

#include <linux/fuse.h>
#include <string.h>

#ifndef FATTR_KILL_SUIDGID
#define FATTR_KILL_SUIDGID (1 << 11)
#endif

enum {
	MINOR_MIN = 36, /* flags2, SETXATTR_EXT, HANDLE_KILLPRIV_V2 */
	MINOR = 38,     /* what we answer */
	BACKGROUND = 64,
	PAGE = 4096,
};

/*
 * No writeback cache: the kernel would own sizes and times.  No auto
 * invalidation by mtime: every change of this mount goes through this kernel,
 * and a writer's own pages would go with each stat.
 */
#define WANTED                                                                           \
	(FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES | \
	 FUSE_DONT_MASK | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | \
	 FUSE_PARALLEL_DIROPS | FUSE_POSIX_ACL | FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS |  \
	 FUSE_EXPLICIT_INVAL_DATA | FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT | FUSE_INIT_EXT)

size_t rawreq_init(const void *req, size_t len, void *out, struct rawreq_kernel *kernel)
{
	struct fuse_in_header head;
	struct fuse_init_in in = {0};
	struct fuse_out_header answer = {0};
	struct fuse_init_out init = {0};

	if (len < sizeof head + 16)
		return 0;
	memcpy(&head, req, sizeof head);
	len -= sizeof head;
	memcpy(&in, (const uint8_t *)req + sizeof head, len < sizeof in ? len : sizeof in);
	if (head.opcode != FUSE_INIT || in.major != FUSE_KERNEL_VERSION || in.minor < MINOR_MIN)
		return 0;
	*kernel = (struct rawreq_kernel){in.major, in.minor, in.flags};
	init.major = FUSE_KERNEL_VERSION;
	init.minor = MINOR;
	init.max_readahead = in.max_readahead;
	init.flags = in.flags & WANTED;
	init.max_background = BACKGROUND;
	init.congestion_threshold = BACKGROUND * 3 / 4;
	init.max_write = RAWREQ_MAX_WRITE;
	init.max_pages = RAWREQ_MAX_WRITE / PAGE;
	init.time_gran = 1;
	answer.len = sizeof answer + sizeof init;
	answer.unique = head.unique;
	vs_assert(answer.len <= RAWREQ_INIT_ANSWER_MAX);
	memcpy(out, &answer, sizeof answer);
	memcpy((uint8_t *)out + sizeof answer, &init, sizeof init);
	return answer.len;
}

/* Take the eight bytes that FUSE_SETXATTR_EXT added out of the request. */
static void shorten_setxattr(uint8_t *req, size_t *len)
{
	size_t head = sizeof(struct fuse_in_header), in = sizeof(struct fuse_setxattr_in);
	struct fuse_in_header h;

	memmove(req + head + FUSE_COMPAT_SETXATTR_IN_SIZE, req + head + in, *len - head - in);
	*len -= in - FUSE_COMPAT_SETXATTR_IN_SIZE;
	memcpy(&h, req, sizeof h);
	h.len = (uint32_t)*len;
	memcpy(req, &h, sizeof h);
}

/* The argument behind the header, zeros when the request is shorter. */
static void argument(const void *req, size_t len, void *arg, size_t arg_len)
{
	size_t head = sizeof(struct fuse_in_header);

	memset(arg, 0, arg_len);
	if (len >= head + arg_len)
		memcpy(arg, (const uint8_t *)req + head, arg_len);
}

void rawreq_take(void *req, size_t *len, struct rawreq *out)
{
	union {
		struct fuse_open_in open;
		struct fuse_create_in create;
		struct fuse_write_in write;
		struct fuse_setattr_in setattr;
		struct fuse_setxattr_in setxattr;
	} a;
	struct fuse_in_header head;

	*out = (struct rawreq){false, false};
	if (*len < sizeof head)
		return;
	memcpy(&head, req, sizeof head);
	switch (head.opcode) {
	case FUSE_OPEN:
		argument(req, *len, &a.open, sizeof a.open);
		out->kill_priv = a.open.open_flags & FUSE_OPEN_KILL_SUIDGID;
		break;
	case FUSE_CREATE:
		argument(req, *len, &a.create, sizeof a.create);
		out->kill_priv = a.create.open_flags & FUSE_OPEN_KILL_SUIDGID;
		break;
	case FUSE_WRITE:
		argument(req, *len, &a.write, sizeof a.write);
		out->kill_priv = a.write.write_flags & FUSE_WRITE_KILL_SUIDGID;
		break;
	case FUSE_SETATTR:
		argument(req, *len, &a.setattr, sizeof a.setattr);
		out->kill_priv = a.setattr.valid & FATTR_KILL_SUIDGID;
		break;
	case FUSE_SETXATTR:
		argument(req, *len, &a.setxattr, sizeof a.setxattr);
		out->acl_kill_sgid = a.setxattr.setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID;
		if (*len >= sizeof head + sizeof a.setxattr)
			shorten_setxattr(req, len);
		break;
	case FUSE_FALLOCATE:
	case FUSE_COPY_FILE_RANGE:
		/* the kernel leaves it to us and does not say who has CAP_FSETID */
		out->kill_priv = head.uid != 0;
		break;
	default:
		break;
	}
}
