/*
 * rawreq: requests of the kernel as they come from /dev/fuse: the answer to
 * INIT, and the flags that libfuse before 3.17 does not hand on.
 *
 * Formats: linux/fuse.h, protocol 7.36 and later (older kernels are refused).
 *
 * Thread rule: pure.
 */
#ifndef VS_FS_RAWREQ_H
#define VS_FS_RAWREQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RAWREQ_MAX_WRITE (1u << 20)
#define RAWREQ_INIT_ANSWER_MAX 128u

struct rawreq_kernel {
	uint32_t major, minor, flags;
};

/*
 * Read INIT and write its answer to out; returns the answer's length, 0 when
 * the request is not INIT or the kernel is too old.
 */
size_t rawreq_init(const void *req, size_t len, void *out, struct rawreq_kernel *kernel);

/* What libfuse leaves out of the request of this thread. */
struct rawreq {
	bool kill_priv;     /* OPEN, CREATE, WRITE, SETATTR: clear suid and sgid */
	bool acl_kill_sgid; /* SETXATTR */
};

/*
 * Note the flags of a request in memory and bring it into the form that
 * libfuse expects (SETXATTR gets its short header back).  *len may shrink.
 */
void rawreq_take(void *req, size_t *len, struct rawreq *out);

#endif
