/*
 * bench_client: the work a benchmark does on a directory, the same code
 * whatever file system is below.
 *
 * A job runs in 1..CLIENT_PROCESSES_MAX child processes in
 * directory dir/sub.  Each prepares itself, waits until all are ready,
 * does the work, and reports its own times, so that forking, exiting and
 * preparing are not measured.
 *
 * Thread rule: one thread.
 */
#ifndef VS_TOOLS_BENCH_CLIENT_H
#define VS_TOOLS_BENCH_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CLIENT_PROCESSES_MAX 64u
#define CLIENT_WHY_MAX 256u
#define CLIENT_SMALL 4096u /* bytes of a small file and of a random access */

struct client;

struct client_job {
	bool (*work)(struct client *c);
	const char *dir; /* of the target */
	const char *sub; /* directory in it, made when missing: where the work happens */
	unsigned processes;
	uint64_t count;  /* operations of each process */
	unsigned passes; /* of those over names: how often over all; 0 = once */
	uint64_t bytes;  /* size of a file */
	bool sync;       /* fsync before close: the file system does not promise it at close */
	bool forget;     /* take the file out of the client's page cache first */
};

struct client_result {
	double seconds;       /* first start to last end */
	double cpu_s;         /* clients and daemon */
	uint64_t write_bytes; /* to a device, clients and daemon */
	char why[CLIENT_WHY_MAX];
};

/* False: out->why.  Blocks, at most about 15 minutes. */
bool client_run(const struct client_job *j, pid_t daemon, struct client_result *out);

/* Works.  Files of process P of the small ones lie in directory dP, named by number. */
bool client_probe(struct client *c);       /* count writes of one block, fdatasync each */
bool client_warm_up(struct client *c);     /* a little of everything */
bool client_big_write(struct client *c);   /* "big", bytes in 1 MiB writes, fsync, close */
bool client_big_read(struct client *c);    /* "big" in 1 MiB reads; an error when it is shorter */
bool client_big_random(struct client *c);  /* count random 4 KiB reads of "big" */
bool client_update_make(struct client *c); /* "uP" with bytes, synced */
bool client_update(struct client *c);      /* count random 4 KiB writes to "uP", fdatasync each */
bool client_create(struct client *c);      /* create, write 4 KiB, close */
bool client_read_small(struct client *c);  /* open, read 4 KiB, close */
bool client_unlink(struct client *c);
bool client_rename(struct client *c);  /* to a new name in the same directory */
bool client_mkdir(struct client *c);   /* in dP */
bool client_mknod(struct client *c);   /* empty files */
bool client_stat(struct client *c);    /* lstat by name */
bool client_missing(struct client *c); /* lstat of 8 names that are not there, over and over */
bool client_ls(struct client *c);      /* names only: ls -U */
bool client_ls_long(struct client *c); /* names, lstat, ACL xattr of each: ls -l */
bool client_tree(struct client *c);    /* "tree": directories of 100 empty files */
bool client_find(struct client *c);    /* all names below "tree" */

#endif
