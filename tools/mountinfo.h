/*
 * mountinfo: which mount a path is in, from /proc/self/mountinfo, without
 * touching any mount.
 *
 * Format (proc(5)): ... field 5 mount point, ... " - " type source options;
 * blank, tab, newline and backslash are written \ooo.
 *
 * Thread rule: mountinfo_line is pure; mountinfo_find reads the file.
 */
#ifndef VS_TOOLS_MOUNTINFO_H
#define VS_TOOLS_MOUNTINFO_H

#include "engine/base/err.h"

#include <stdbool.h>

#define MOUNTINFO_PATH_MAX 4096u /* bytes with the NUL */
#define MOUNTINFO_TYPE_MAX 64u

struct mountinfo {
	char point[MOUNTINFO_PATH_MAX];
	char source[MOUNTINFO_PATH_MAX];
	char type[MOUNTINFO_TYPE_MAX];
};

/* Take one line apart.  VS_ERR_CORRUPT_VALUE. */
enum vs_err VS_MUST_USE mountinfo_line(const char *line, struct mountinfo *out);

/*
 * The mount that path (absolute, without . and .. and links) lies in: the
 * deepest, and of several on one point the last, which is on top.
 * VS_ERR_NOENT when the list cannot be read.
 */
enum vs_err VS_MUST_USE mountinfo_find(const char *path, struct mountinfo *out);

/* Whether path is dir or below it; both absolute and without . and .. */
bool mountinfo_below(const char *path, const char *dir);

/*
 * path made absolute with the present directory, . .. and // taken out by text
 * alone, to out (MOUNTINFO_PATH_MAX bytes).  VS_ERR_NAMETOOLONG, VS_ERR_NOENT
 * (the present directory is gone).
 */
enum vs_err VS_MUST_USE mountinfo_absolute(const char *path, char *out);

#endif
