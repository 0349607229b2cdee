/* veristore-admin scrub: verify everything that is stored. */
#include "tools/admin_client.h"
#include "tools/human.h"
#include "tools/json.h"

#include <inttypes.h>

enum admin_exit admin_scrub(const struct admin_client *c)
{
	struct admin_field first;
	struct admin_frame f;
	char t[HUMAN_MAX];
	enum admin_exit rc = admin_ask(c, "scrub", &f);
	uint64_t errors;

	if (rc)
		return rc;
	errors = admin_number(&f, "scrub_errors");
	if (c->json) {
		json_fields(stdout, bytes_of(f.buf, f.len));
	} else {
		printf("%s: %" PRIu64 " pages, %" PRIu64 " records, %" PRIu64 " chunks, %s read, ",
		       errors ? "DAMAGED" : "clean", admin_number(&f, "scrub_pages"),
		       admin_number(&f, "scrub_records"), admin_number(&f, "scrub_chunks"),
		       human_bytes(admin_number(&f, "scrub_bytes"), t));
		printf("%" PRIu64 " errors\n", errors);
		if (*admin_text(&f, "scrub_first_error", &first))
			printf("the first: %s\n", first.text);
	}
	return errors ? ADMIN_FAILED : ADMIN_OK;
}
