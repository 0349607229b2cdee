/*
 * acl: POSIX access control lists (POSIX.1e draft 17) in the binary form of the
 * xattrs system.posix_acl_access and system.posix_acl_default.
 *
 * Format (linux/posix_acl_xattr.h): u32 version 2, then entries of u16 tag,
 * u16 permissions, u32 id, little-endian.  The kernel checks access; this is
 * what it leaves to the file system: mode bits follow the access ACL, the ACL
 * follows chmod, new files inherit the default ACL.
 *
 * Thread rule: pure.
 */
#ifndef VS_FS_ACL_H
#define VS_FS_ACL_H

#include "engine/base/bytes.h"
#include "engine/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define ACL_ENTRIES_MAX 512u /* so a value is at most 4100 bytes */
#define ACL_BYTES_MAX (4u + 8u * ACL_ENTRIES_MAX)
#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};

struct acl {
	uint32_t count;
	struct acl_entry e[ACL_ENTRIES_MAX];
};

/* Decode and validate (order, tags, mask when needed).  VS_ERR_INVAL, VS_ERR_TOOBIG. */
enum vs_err VS_MUST_USE acl_decode(struct bytes value, struct acl *out);
/* Encode to out (ACL_BYTES_MAX); returns the length. */
size_t acl_encode(const struct acl *a, uint8_t *out);

/* The permission bits (0777) of mode that a gives; *minimal: it says no more than a mode does. */
uint32_t acl_mode(const struct acl *a, bool *minimal);

/* chmod: bring the entries in line with the permission bits of mode. */
void acl_chmod(struct acl *a, uint32_t mode);

/*
 * Creation in a directory whose default ACL is *a: *a becomes the access ACL
 * of the new object and its permission bits those of mode that a allows.
 * Returns the new permission bits; *minimal: no ACL needs to be kept.
 */
uint32_t acl_create(struct acl *a, uint32_t mode, bool *minimal);

#endif
