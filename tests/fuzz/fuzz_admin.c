/*
 * fuzz_admin: frames of the admin socket.  The input is a header and a payload
 * as they come from the socket.  What is accepted can be written again and
 * gives the same bytes.
 */
#include "engine/base/assert.h"
#include "tools/admin_proto.c" // NOLINT(bugprone-suspicious-include)

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_payload(const uint8_t *p, size_t len)
{
	struct reader r = reader_of(p, len);
	uint8_t *again = malloc(len + 1);
	struct writer w = writer_of(again, len);
	struct admin_field f, found;

	if (!again)
		return;
	if (admin_check(bytes_of(p, len)) == VS_OK) {
		while (admin_next(&r, &f) == VS_OK) {
			vs_assert(!admin_find(bytes_of(p, len), f.name, f.kind, &found));
			if (f.kind == ADMIN_TEXT)
				admin_put_text(&w, f.name, f.text);
			else if (f.kind == ADMIN_MILLI)
				admin_put_milli(&w, f.name, f.number);
			else
				admin_put_number(&w, f.name, f.number);
		}
		vs_assert(!w.bad && w.len == len && (!len || !memcmp(again, p, len)));
	}
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct admin_header h;
	uint8_t again[ADMIN_HEADER];

	if (len < ADMIN_HEADER)
		return 0;
	if (admin_header_decode(data, &h) == VS_OK) {
		admin_header_encode(&h, again);
		vs_assert(!memcmp(again, data, ADMIN_HEADER));
	}
	/* the payload whatever the header says, so that both are reached */
	check_payload(data + ADMIN_HEADER, len - ADMIN_HEADER);
	return 0;
}
