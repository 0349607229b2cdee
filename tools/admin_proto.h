/*
 * admin_proto: the frames between veristore-admin and the daemon.
 *
 * What it is: a pure codec.  admin_io.h sends and receives frames.
 *
 * A connection carries one request and its answer:
 *
 *   client: REQUEST
 *   server: PROGRESS* then RESULT or ERROR, then closes
 *
 * PROGRESS comes at least every second while the request is worked on, so
 * silence means that the daemon hangs.  A client that closes the connection
 * ends the work.
 *
 * Frame (little-endian): u32 magic "VSAD" | u16 version | u16 type |
 * u32 payload length (at most ADMIN_PAYLOAD_MAX) | payload.  The payload of
 * every type is a list of fields:
 *   u8 kind | u8 name length | name ([a-z0-9_]) | value by kind
 *   NUMBER  u64
 *   MILLI   u64, thousandths
 *   TEXT    u16 length, bytes (no NUL)
 * REQUEST has the field "command" first, then its arguments; PROGRESS "done"
 * and "total"; ERROR "name" (of the err table) and "text"; RESULT what the
 * command has to say, in the order it is to be shown.  Fields a reader does not
 * know are passed over, so fields can be added without a new version.
 *
 * The version changes when a reader must not go on; each side answers a frame
 * of another version with an error that names both.
 *
 * Thread rule: pure; hostile input is fine.
 */
#ifndef VS_TOOLS_ADMIN_PROTO_H
#define VS_TOOLS_ADMIN_PROTO_H

#include "engine/base/bytes.h"
#include "engine/base/err.h"

#define ADMIN_VERSION 1u
#define ADMIN_HEADER 12u              /* bytes */
#define ADMIN_PAYLOAD_MAX (32u << 10) /* bytes */
#define ADMIN_NAME_MAX 63u            /* bytes of a field's name */
#define ADMIN_TEXT_MAX 8191u          /* bytes of a text */
#define ADMIN_FIELDS_MAX 256u
#define ADMIN_SOCKET "admin.sock" /* in DATA_DIR */

enum admin_type {
	ADMIN_REQUEST = 1,
	ADMIN_PROGRESS = 2,
	ADMIN_RESULT = 3,
	ADMIN_ERROR = 4,
};

enum admin_kind {
	ADMIN_NUMBER = 1,
	ADMIN_TEXT = 2,
	ADMIN_MILLI = 3,
};

struct admin_header {
	uint16_t version, type;
	uint32_t len;
};

void admin_header_encode(const struct admin_header *h, uint8_t out[ADMIN_HEADER]);
/*
 * VS_ERR_BAD_FRAME: not a frame, an unknown type or too long; VS_ERR_NOTSUP:
 * another version (out->version says which).
 */
enum vs_err VS_MUST_USE admin_header_decode(const uint8_t in[ADMIN_HEADER],
					    struct admin_header *out);

/*
 * Append a field.  Too long a text is cut; names are ours, so a bad one is a
 * broken invariant.  No room makes the writer bad.
 */
void admin_put_number(struct writer *w, const char *name, uint64_t number);
void admin_put_milli(struct writer *w, const char *name, uint64_t thousandths);
void admin_put_text(struct writer *w, const char *name, const char *text);

struct admin_field {
	enum admin_kind kind;
	char name[ADMIN_NAME_MAX + 1];
	uint64_t number;
	char text[ADMIN_TEXT_MAX + 1];
};

/* The next field of a payload.  VS_ERR_END, VS_ERR_BAD_FRAME. */
enum vs_err VS_MUST_USE admin_next(struct reader *r, struct admin_field *out);

/*
 * The field called name anywhere in a payload, of this kind.  VS_ERR_NOENT,
 * VS_ERR_BAD_FRAME.
 */
enum vs_err VS_MUST_USE admin_find(struct bytes payload, const char *name, enum admin_kind kind,
				   struct admin_field *out);

/* Whether a whole payload is well formed and within the limits. */
enum vs_err VS_MUST_USE admin_check(struct bytes payload);

#endif
