/*
 * env_posix: the environment on a POSIX system.
 *
 * Thread rule: see env.h.
 */
#ifndef VS_BASE_ENV_POSIX_H
#define VS_BASE_ENV_POSIX_H

#include "engine/base/env.h"

/*
 * The environment of directory path, created (mode 0700, one level) when
 * create is true and it is missing.  The caller owns *out and closes it after
 * every file it opened.  VS_ERR_NOENT, _NOTDIR, _ACCES, _NOMEM, _IO_DIR.
 */
enum vs_err VS_MUST_USE env_posix_open(const char *path, bool create, struct env **out);
void env_posix_close(struct env *e);

#endif
