/* veristore-admin gc: collect garbage and clean segments. */
#include "tools/admin_client.h"
#include "tools/human.h"
#include "tools/json.h"

#include <inttypes.h>

enum admin_exit admin_gc(const struct admin_client *c)
{
	struct admin_frame f;
	char a[HUMAN_MAX], b[HUMAN_MAX];
	enum admin_exit rc = admin_ask(c, "gc", &f);

	if (rc)
		return rc;
	if (c->json)
		json_fields(stdout, bytes_of(f.buf, f.len));
	else
		printf("%" PRIu64 " contents collected, %" PRIu64
		       " chunks freed, %s in all (%" PRIu64 " had leaked); %" PRIu64
		       " segments cleaned, %s moved\n",
		       admin_number(&f, "contents"), admin_number(&f, "chunks_freed"),
		       human_bytes(admin_number(&f, "freed_bytes"), a),
		       admin_number(&f, "leaked_chunks"), admin_number(&f, "segments_cleaned"),
		       human_bytes(admin_number(&f, "moved_bytes"), b));
	return ADMIN_OK;
}
