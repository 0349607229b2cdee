/*
 * mountpoint: may DATA_DIR be mounted on MOUNTPOINT?  Finds the real paths,
 * takes away a mount that a killed daemon left, and refuses what cannot work.
 *
 * Thread rule: before there are threads (it asks file systems that may hang
 * from child processes, see probe.h).  Blocking.
 */
#ifndef VS_TOOLS_MOUNTPOINT_H
#define VS_TOOLS_MOUNTPOINT_H

#include "tools/config.h"

struct mountpoint {
	char data_dir[CONFIG_PATH_MAX]; /* absolute, without links; may not exist yet */
	char path[CONFIG_PATH_MAX];     /* absolute, without links */
	char log_file[CONFIG_PATH_MAX]; /* absolute; "" when there is none */
	int stale;                      /* dead mounts that were taken away */
};

/* VS_ERR_CONFIG and others: why (CONFIG_WHY_MAX bytes) is one sentence. */
enum vs_err VS_MUST_USE mountpoint_prepare(const struct config *c, struct mountpoint *out,
					   char *why);

/* Where data_dir is mounted now, to out (CONFIG_PATH_MAX bytes); false: nowhere. */
bool mountpoint_of(const char *data_dir, char *out);

#endif
