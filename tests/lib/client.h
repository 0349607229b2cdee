/*
 * client: processes that use a mounted file system until it goes away, and
 * the check of what they were promised.
 *
 * A client works in one directory with one kind of operation.  Operation n is
 * made from the seed and n alone, so the checker knows every byte without being
 * told.  In shared memory the client notes before each operation that it begins
 * and, after the system call that promises durability returned, that it is
 * acknowledged.  After a crash:
 *
 *   acknowledged                  it is there, whole
 *   begun, not acknowledged       all of it or nothing of it (P2, P3)
 *   not begun                     nothing of it
 *
 * A check that succeeds narrows what the next check of the same directory
 * accepts to what it saw, so nothing may come and go at later crashes.
 *
 * Thread rule: a struct client is written by its process, and by the checker
 * when that has ended.
 */
#ifndef VS_TESTS_CLIENT_H
#define VS_TESTS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	CLIENT_SLOTS = 64,  /* things one client has versions of */
	CLIENT_PART = 65536 /* most bytes of a version of a slot */
};

enum client_kind {
	CLIENT_CREATE,  /* new files, 0 to 3 MiB: create, write, close */
	CLIENT_REPLACE, /* O_TRUNC, write, close over the same files */
	CLIENT_APPEND,  /* append and fsync */
	CLIENT_INPLACE, /* pwrite of blocks and fdatasync, or O_DSYNC */
	CLIENT_MAP,     /* store into a mapping and msync */
	CLIENT_DUP,     /* dup'ed descriptors, close in children, children that die (F91) */
	CLIENT_RENAME,  /* mkstemp, write, fsync, rename over; the name is never missing */
	CLIENT_UNLINK,  /* files that are open and have no name */
	CLIENT_NAMES,   /* every operation on names and attributes, in order (P3) */
	CLIENT_KINDS
};

struct client {
	enum client_kind kind;
	uint64_t seed;
	char dir[600]; /* exists */
	pid_t pid;
	_Atomic uint64_t begun, acked;
	_Atomic uint64_t part; /* of the operation under way: what is acknowledged of it */
	_Atomic uint64_t slot_begun[CLIENT_SLOTS], slot_acked[CLIENT_SLOTS];
	_Atomic bool ready;  /* it is in its directory */
	_Atomic bool stop;   /* to the client: end after this operation */
	_Atomic bool ending; /* the file system is about to go: errors are expected */
	bool cut; /* a commit nobody asked for may have fallen between two parts of a write */
	_Atomic bool failed; /* from the client: why says what was wrong before that */
	char why[300];
};

const char *client_kind_name(enum client_kind kind);
/* In shared memory; count of them, zeroed. */
struct client *client_alloc(uint32_t count);
/* Start the process and wait until it is in its directory; c->kind, seed and dir are set. */
bool client_start(struct client *c);
/* Wait until it ended, by itself; false: it hangs (it is killed then) or it failed. */
bool client_join(struct client *c, uint32_t seconds);
/* Whether the directory holds what was promised; c->why says what is wrong. */
bool client_check(struct client *c);

#endif
