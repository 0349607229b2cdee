/*
 * client_int: what the kinds of clients share (client.c, client_file.c,
 * client_block.c, client_names.c).
 */
#ifndef VS_TESTS_CLIENT_INT_H
#define VS_TESTS_CLIENT_INT_H

#include "tests/lib/client.h"
#include "tests/lib/rand.h"

/* In the client: the directory is the current one.  Never returns. */
typedef void client_run(struct client *c);
/* In the checker: dirfd is the directory. */
typedef bool client_checker(struct client *c, int dirfd);

client_run client_create_run, client_replace_run, client_append_run, client_inplace_run,
	client_map_run, client_dup_run, client_rename_run, client_unlink_run, client_names_run;
client_checker client_create_check, client_replace_check, client_append_check, client_inplace_check,
	client_map_check, client_dup_check, client_rename_check, client_unlink_check,
	client_names_check;

/* End the process here when it was told to stop; the start of operation acked. */
uint64_t client_next(struct client *c);
/* rc itself when it is not negative; otherwise the process ends: failed, or the mount went. */
int64_t client_want(struct client *c, int64_t rc, const char *what);
/* The same for a write that has to be whole. */
void client_whole(struct client *c, int64_t rc, size_t len, const char *what);
/* The process ends as failed. */
_Noreturn void client_fail(struct client *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Sets why; always false. */
bool client_wrong(struct client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A generator for operation n. */
struct rnd client_rnd(const struct client *c, uint64_t n);
/* Fill buf with content n of this client: from 8 bytes on, the first 8 are n. */
void client_fill(const struct client *c, uint64_t n, void *buf, size_t len);
/* write all, in pieces of random length; ends the process on an error. */
void client_write(struct client *c, int fd, const uint8_t *buf, size_t len, struct rnd *r);
/* The whole file; *len bytes, to be freed.  NULL: errno. */
uint8_t *client_slurp(int dirfd, const char *name, size_t *len);
/* Number of names; -1: errno. */
int64_t client_count_names(int dirfd);

#endif
