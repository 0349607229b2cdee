/* veristore-admin status: a page a person can read, or JSON. */
#include "tools/admin_client.h"
#include "tools/human.h"
#include "tools/json.h"

#include <inttypes.h>
#include <string.h>

static void print_state(const struct admin_frame *f)
{
	struct admin_field a, b;

	printf("%s", admin_text(f, "state", &a));
	printf("  %s on %s\n", admin_text(f, "data_dir", &a), admin_text(f, "mountpoint", &b));
	if (*admin_text(f, "reason", &a))
		printf("  because  %s\n", a.text);
	if (*admin_text(f, "advice", &a))
		printf("  to do    %s\n", a.text);
}

static void print_order(const struct admin_frame *f)
{
	struct admin_field a;
	char t[HUMAN_MAX];

	printf("\n  daemon       version %s, ", admin_text(f, "version", &a));
	printf("process %" PRIu64 ", up %s, ", admin_number(f, "pid"),
	       human_seconds(admin_number(f, "uptime_s"), t));
	printf("durability %s\n", admin_text(f, "durability", &a));
	printf("  role         %s, term %" PRIu64 "\n", admin_text(f, "role", &a),
	       admin_number(f, "term"));
	printf("  indexes      last %" PRIu64 ", committed %" PRIu64 ", applied %" PRIu64
	       ", checkpoint %" PRIu64 "\n",
	       admin_number(f, "last_index"), admin_number(f, "committed_index"),
	       admin_number(f, "applied_index"), admin_number(f, "checkpoint_index"));
	printf("  fsync        p50 %s", human_ns(admin_number(f, "fsync_p50_us") * 1000, t));
	printf(", p99 %s", human_ns(admin_number(f, "fsync_p99_us") * 1000, t));
	printf(", max %s; ", human_ns(admin_number(f, "fsync_max_us") * 1000, t));
	printf("%.1f records each in the mean\n",
	       (double)admin_number(f, "fsync_batch_mean") / 1000);
}

static void print_space(const struct admin_frame *f)
{
	char a[HUMAN_MAX], b[HUMAN_MAX];

	printf("  log          %s in %" PRIu64 " segments, %" PRIu64 " more free\n",
	       human_bytes(admin_number(f, "log_bytes"), a), admin_number(f, "log_segments"),
	       admin_number(f, "free_segments"));
	printf("  data         %s live, %s garbage\n",
	       human_bytes(admin_number(f, "live_bytes"), a),
	       human_bytes(admin_number(f, "garbage_bytes"), b));
	printf("  space        %s used, %s free\n", human_bytes(admin_number(f, "used_bytes"), a),
	       human_bytes(admin_number(f, "free_bytes"), b));
	printf("  inodes       %s, %" PRIu64 " open files\n",
	       human_count(admin_number(f, "inodes"), a), admin_number(f, "open_files"));
	printf("  cache        %s of %s, ", human_bytes(admin_number(f, "cache_bytes"), a),
	       human_bytes(admin_number(f, "cache_limit_bytes"), b));
	printf("%.1f %% hits\n", (double)admin_number(f, "cache_hit_percent") / 1000);
	printf("  dirty        %s of %s\n", human_bytes(admin_number(f, "dirty_bytes"), a),
	       human_bytes(admin_number(f, "dirty_limit_bytes"), b));
}

static void print_scrub(const struct admin_frame *f)
{
	struct admin_field a;
	char t[HUMAN_MAX];

	printf("  last scrub   %s", human_time(admin_number(f, "scrub_finished_s"), t));
	if (admin_number(f, "scrub_finished_s"))
		printf(", %s read, %" PRIu64 " errors",
		       human_bytes(admin_number(f, "scrub_bytes"), t),
		       admin_number(f, "scrub_errors"));
	if (*admin_text(f, "scrub_first_error", &a))
		printf("; the first: %s", a.text);
	putchar('\n');
}

enum admin_exit admin_status(const struct admin_client *c)
{
	struct admin_frame f;
	struct admin_field state;
	enum admin_exit rc = admin_ask(c, "status", &f);

	if (rc)
		return rc;
	if (c->json) {
		json_fields(stdout, bytes_of(f.buf, f.len));
	} else {
		print_state(&f);
		print_order(&f);
		print_space(&f);
		print_scrub(&f);
	}
	admin_text(&f, "state", &state);
	return strcmp(state.text, "degraded") != 0 && strcmp(state.text, "stopped") != 0
		       ? ADMIN_OK
		       : ADMIN_FAILED;
}
