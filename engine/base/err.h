/*
 * err: every way VeriStore can fail, by name.
 *
 * One table (name, class, errno, text).  Functions that can fail return
 * `enum vs_err` and are VS_MUST_USE; VS_OK is 0.  A code names a kind of
 * failure site, so that a report says where it came from; callers act on the
 * class.  errno values are used at the two edges only: env_posix turns errno
 * into a code, the FUSE glue turns a code into errno.
 *
 * Thread rule: pure, callable from anywhere.
 */
#ifndef VS_BASE_ERR_H
#define VS_BASE_ERR_H

#define VS_MUST_USE __attribute__((warn_unused_result))

/*
 * Classes:
 *   NONE     success
 *   USER     the request cannot be done as things are; state is unchanged
 *   SPACE    no room; deleting helps; state is unchanged
 *   RETRY    try again (conditions changed, page not resident, busy)
 *   DAMAGE   stored bytes failed verification
 *   FATAL    the device or the process cannot go on acknowledging
 */
#define VS_ERR_TABLE(X)                                                                \
	X(OK, NONE, 0, "success")                                                      \
	/* requests */                                                                 \
	X(NOENT, USER, ENOENT, "no such file or directory")                            \
	X(EXIST, USER, EEXIST, "file exists")                                          \
	X(NOTDIR, USER, ENOTDIR, "not a directory")                                    \
	X(ISDIR, USER, EISDIR, "is a directory")                                       \
	X(NOTEMPTY, USER, ENOTEMPTY, "directory not empty")                            \
	X(INVAL, USER, EINVAL, "invalid argument")                                     \
	X(NAMETOOLONG, USER, ENAMETOOLONG, "name too long")                            \
	X(MLINK, USER, EMLINK, "too many links")                                       \
	X(FBIG, USER, EFBIG, "file too large")                                         \
	X(PERM, USER, EPERM, "operation not permitted")                                \
	X(ACCES, USER, EACCES, "permission denied")                                    \
	X(NODATA, USER, ENODATA, "no such attribute")                                  \
	X(RANGE, USER, ERANGE, "result does not fit the buffer")                       \
	X(TOOBIG, USER, E2BIG, "value too large")                                      \
	X(NXIO, USER, ENXIO, "no such address")                                        \
	X(NOTSUP, USER, EOPNOTSUPP, "operation not supported")                         \
	X(STALE, USER, ESTALE, "stale file handle")                                    \
	X(LOOP, USER, ELOOP, "too many levels of symbolic links")                      \
	X(ROFS, USER, EROFS, "read-only file system")                                  \
	X(INTR, USER, EINTR, "interrupted")                                            \
	X(MFILE, USER, ENFILE, "too many open files")                                  \
	/* space */                                                                    \
	X(NOSPC, SPACE, ENOSPC, "no space left")                                       \
	X(DQUOT, SPACE, EDQUOT, "quota exceeded")                                      \
	/* retry */                                                                    \
	X(COND, RETRY, EAGAIN, "a transaction condition does not hold")                \
	X(MISS, RETRY, EAGAIN, "tree page not resident")                               \
	X(BUSY, RETRY, EBUSY, "resource busy")                                         \
	X(TIMEOUT, RETRY, ETIMEDOUT, "timed out")                                      \
	X(END, RETRY, ENODATA, "end of sequence")                                      \
	X(NOMEM, RETRY, ENOMEM, "out of memory")                                       \
	/* damage */                                                                   \
	X(CORRUPT_PAGE, DAMAGE, EIO, "tree page fails its checksum")                   \
	X(CORRUPT_SUPER, DAMAGE, EIO, "no valid superblock")                           \
	X(CORRUPT_RECORD, DAMAGE, EIO, "log record fails its checksum")                \
	X(CORRUPT_LOG, DAMAGE, EIO, "log damaged below its synced end")                \
	X(CORRUPT_CHUNK, DAMAGE, EIO, "chunk data fails its checksum")                 \
	X(CORRUPT_SEGMENT, DAMAGE, EIO, "log segment missing or its header damaged")   \
	X(CORRUPT_VALUE, DAMAGE, EIO, "stored value does not decode")                  \
	X(BAD_FRAME, DAMAGE, EPROTO, "malformed message")                              \
	/* start-up */                                                                 \
	X(LOCKED, USER, EBUSY, "store is in use by another process")                   \
	X(NOT_STORE, USER, EINVAL, "directory is not empty and not a VeriStore store") \
	X(NEWER_FORMAT, USER, EINVAL, "store was written by a newer version")          \
	X(CONFIG, USER, EINVAL, "invalid option")                                      \
	/* the device or process cannot go on */                                       \
	X(IO_OPEN, FATAL, EIO, "cannot open file")                                     \
	X(IO_READ, FATAL, EIO, "read failed")                                          \
	X(IO_WRITE, FATAL, EIO, "write failed")                                        \
	X(IO_SYNC, FATAL, EIO, "sync failed")                                          \
	X(IO_DIR, FATAL, EIO, "directory operation failed")                            \
	X(STOPPED, FATAL, EIO, "store stopped after a device error")                   \
	X(INTERNAL, FATAL, EIO, "internal invariant broken")

enum vs_err {
#define X(name, class, eno, text) VS_ERR_##name,
	VS_ERR_TABLE(X)
#undef X
		VS_ERR_COUNT
};

#define VS_OK VS_ERR_OK

enum vs_err_class {
	VS_CLASS_NONE,
	VS_CLASS_USER,
	VS_CLASS_SPACE,
	VS_CLASS_RETRY,
	VS_CLASS_DAMAGE,
	VS_CLASS_FATAL,
};

/* Name ("NOSPC"), one-line text, class.  Static strings, never NULL. */
const char *vs_err_name(enum vs_err e);
const char *vs_err_text(enum vs_err e);
enum vs_err_class vs_err_class(enum vs_err e);

/* The errno a system call answers with (0 for VS_OK).  For the FUSE glue. */
int vs_err_errno(enum vs_err e);

#endif
