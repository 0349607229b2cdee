/*
 * json: the fields of an answer as one flat JSON object (RFC 8259).
 *
 * Written out by hand: numbers here are whole 64-bit values, which a library
 * that keeps numbers as doubles would round.  Bytes that are not UTF-8 (names
 * of files may be anything) become U+FFFD.
 *
 * Thread rule: pure but for the stream.
 */
#ifndef VS_TOOLS_JSON_H
#define VS_TOOLS_JSON_H

#include "tools/admin_proto.h"

#include <stdio.h>

/* A text with quotes, to f. */
void json_text(FILE *f, const char *text);

/* All fields of a checked payload in their order, one a line. */
void json_fields(FILE *f, struct bytes payload);

#endif
