/* veristore-admin snapshot: take a checkpoint now. */
#include "tools/admin_client.h"
#include "tools/human.h"
#include "tools/json.h"

#include <inttypes.h>

enum admin_exit admin_snapshot(const struct admin_client *c)
{
	struct admin_frame f;
	char a[HUMAN_MAX], b[HUMAN_MAX], t[HUMAN_MAX];
	enum admin_exit rc = admin_ask(c, "snapshot", &f);

	if (rc)
		return rc;
	if (c->json)
		json_fields(stdout, bytes_of(f.buf, f.len));
	else
		printf("checkpoint at index %" PRIu64 " in %s: %s written, %s freed\n",
		       admin_number(&f, "index"), human_ns(admin_number(&f, "duration_ns"), t),
		       human_bytes(admin_number(&f, "written_bytes"), a),
		       human_bytes(admin_number(&f, "freed_bytes"), b));
	return ADMIN_OK;
}
