#include "tools/admin_commands.h"

#include "engine/base/assert.h"
#include "tools/logfile.h"
#include "tools/version.h"

#include <stdio.h>
#include <unistd.h>

/* --- status -------------------------------------------------------------------------- */

struct figures {
	struct store_stats store;
	struct store_space space;
	struct fs_stats fs;
	enum vs_err space_err;
};

static void put_state(struct writer *w, const char *state, const char *reason, const char *advice)
{
	admin_put_text(w, "state", state);
	admin_put_text(w, "reason", reason);
	admin_put_text(w, "advice", advice);
}

/* The state in one word; the worst that applies. */
static void put_health(const struct admin_commands *c, const struct figures *f, struct writer *w)
{
	const struct store_stats *s = &f->store;
	char reason[ADMIN_WHY_MAX];

	if (s->stopped) {
		snprintf(reason, sizeof reason, "the device failed: %s", vs_err_text(s->stopped));
		put_state(w, "stopped", reason,
			  "check the disk and the kernel log, then mount again");
	} else if (s->corrupt_chunks || s->scrub.errors) {
		snprintf(reason, sizeof reason,
			 "%llu damaged pieces found by reads since the start, %llu by the last "
			 "scrub%s%s",
			 (unsigned long long)s->corrupt_chunks, (unsigned long long)s->scrub.errors,
			 s->scrub.first_error[0] ? "; the first: " : "", s->scrub.first_error);
		put_state(w, "degraded", reason,
			  "check the disk; restore the files that answer EIO from a copy");
	} else if (f->fs.errors) {
		snprintf(reason, sizeof reason, "%llu commits of file data failed since the start",
			 (unsigned long long)f->fs.errors);
		put_state(w, "degraded", reason,
			  "the programs concerned were told; look at the log of the daemon");
	} else if (f->space_err) {
		snprintf(reason, sizeof reason, "free space is not known: %s",
			 vs_err_text(f->space_err));
		put_state(w, "degraded", reason, "look at the log of the daemon");
	} else if (!f->space.avail_bytes) {
		put_state(w, "full", "there is no room for writing",
			  "delete files in the mount, or free space under the data directory");
	} else if (c->read_only) {
		put_state(w, "read-only", "it was mounted with -o ro",
			  "mount it without ro to write");
	} else {
		admin_put_text(w, "state", "healthy");
	}
}

static void put_indexes(const struct store_stats *s, struct writer *w)
{
	char id[32];

	snprintf(id, sizeof id, "%016llx", (unsigned long long)s->cluster_id);
	admin_put_text(w, "cluster_id", id);
	admin_put_text(w, "role", "single");
	admin_put_number(w, "term", s->term);
	admin_put_number(w, "last_index", s->last_index);
	/* in a group of one what is durable is committed */
	admin_put_number(w, "committed_index", s->synced_index);
	admin_put_number(w, "applied_index", s->applied_index);
	admin_put_number(w, "checkpoint_index", s->checkpoint_index);
	admin_put_number(w, "checkpoints", s->checkpoints);
	admin_put_number(w, "last_checkpoint_ns", s->last_checkpoint_ns);
}

static void put_space(const struct figures *f, struct writer *w)
{
	const struct store_stats *s = &f->store;

	admin_put_number(w, "log_bytes", s->log.log_bytes);
	admin_put_number(w, "log_segments", s->log.segments);
	admin_put_number(w, "free_segments", s->log.free_segments + s->log.spare_segments);
	admin_put_number(w, "live_bytes", s->live_bytes);
	admin_put_number(w, "garbage_bytes", s->garbage_bytes);
	admin_put_number(w, "garbage_contents", s->garbage_contents);
	admin_put_number(w, "total_bytes", f->space.total_bytes);
	admin_put_number(w, "used_bytes", f->space.used_bytes);
	admin_put_number(w, "free_bytes", f->space.avail_bytes);
	admin_put_number(w, "inodes", s->objects);
	admin_put_number(w, "chunks", s->chunks);
	admin_put_number(w, "keys", s->keys);
	admin_put_number(w, "tree_bytes", s->tree.used_pages * TREE_PAGE);
	admin_put_number(w, "chunk_bytes", s->chunk_bytes);
	admin_put_number(w, "segment_bytes", s->segment_bytes);
}

static void put_work(const struct figures *f, struct writer *w)
{
	const struct store_stats *s = &f->store;
	uint64_t looks = s->tree.hits + s->tree.misses;

	admin_put_number(w, "cache_bytes", s->tree.cached_pages * TREE_PAGE);
	admin_put_number(w, "cache_limit_bytes", s->tree.frames * TREE_PAGE);
	admin_put_number(w, "cache_hits", s->tree.hits);
	admin_put_number(w, "cache_misses", s->tree.misses);
	admin_put_milli(w, "cache_hit_percent", looks ? s->tree.hits * 100000 / looks : 0);
	admin_put_number(w, "dirty_bytes", f->fs.dirty_bytes);
	admin_put_number(w, "dirty_limit_bytes", f->fs.dirty_limit_bytes);
	admin_put_number(w, "open_files", f->fs.open_files);
	admin_put_number(w, "commits", f->fs.commits);
	admin_put_number(w, "commit_errors", f->fs.errors);
	admin_put_number(w, "fsyncs", s->log.syncs);
	admin_put_number(w, "fsync_p50_us", s->log.sync_us_p50);
	admin_put_number(w, "fsync_p99_us", s->log.sync_us_p99);
	admin_put_number(w, "fsync_max_us", s->log.sync_ns_max / 1000);
	admin_put_milli(w, "fsync_batch_mean",
			s->log.syncs ? s->log.batch_records_total * 1000 / s->log.syncs : 0);
	admin_put_number(w, "written_bytes", s->log.bytes_written);
}

static void put_scrub(const struct store_scrub_result *r, struct writer *w)
{
	admin_put_number(w, "scrub_pages", r->pages);
	admin_put_number(w, "scrub_records", r->records);
	admin_put_number(w, "scrub_chunks", r->chunks);
	admin_put_number(w, "scrub_bytes", r->bytes);
	admin_put_number(w, "scrub_errors", r->errors);
	admin_put_number(w, "scrub_finished_s", r->finished_real_ns / 1000000000);
	if (r->first_error[0])
		admin_put_text(w, "scrub_first_error", r->first_error);
}

static enum vs_err status(void *arg, struct bytes request, const struct store_progress *progress,
			  struct writer *w, char *why)
{
	static const char *const durability[] = {"close", "strict", "fsync"};
	const struct admin_commands *c = arg;
	struct figures f = {0};

	(void)request;
	(void)progress;
	(void)why;
	store_stats(c->store, &f.store);
	fs_stats(c->fs, &f.fs);
	f.space_err = store_space(c->store, &f.space);
	put_health(c, &f, w);
	admin_put_text(w, "version", VS_VERSION);
	admin_put_number(w, "pid", (uint64_t)getpid());
	admin_put_number(w, "uptime_s", f.store.uptime_ns / 1000000000);
	admin_put_text(w, "data_dir", c->data_dir);
	admin_put_text(w, "mountpoint", c->mountpoint);
	admin_put_text(w, "durability", durability[fs_durability(c->fs)]);
	put_indexes(&f.store, w);
	put_space(&f, w);
	put_work(&f, w);
	put_scrub(&f.store.scrub, w);
	return VS_OK;
}

/* --- work ------------------------------------------------------------------------------ */

static enum vs_err snapshot(void *arg, struct bytes request, const struct store_progress *progress,
			    struct writer *w, char *why)
{
	const struct admin_commands *c = arg;
	struct store_checkpoint_result r = {0};
	enum vs_err err;

	(void)request;
	(void)progress;
	(void)why;
	err = store_checkpoint(c->store, &r);
	if (err)
		return err;
	admin_put_number(w, "index", r.index);
	admin_put_number(w, "duration_ns", r.duration_ns);
	admin_put_number(w, "written_bytes", r.bytes_written);
	admin_put_number(w, "freed_bytes", r.bytes_freed);
	return VS_OK;
}

static enum vs_err gc(void *arg, struct bytes request, const struct store_progress *progress,
		      struct writer *w, char *why)
{
	const struct admin_commands *c = arg;
	struct store_gc_result r = {0};
	enum vs_err err;

	(void)request;
	(void)why;
	err = store_gc(c->store, progress, &r);
	if (err)
		return err;
	admin_put_number(w, "contents", r.contents);
	admin_put_number(w, "chunks_freed", r.chunks_freed);
	admin_put_number(w, "freed_bytes", r.bytes_freed);
	admin_put_number(w, "segments_cleaned", r.segments_cleaned);
	admin_put_number(w, "moved_bytes", r.bytes_moved);
	admin_put_number(w, "leaked_chunks", r.leaked_chunks);
	return VS_OK;
}

static enum vs_err scrub(void *arg, struct bytes request, const struct store_progress *progress,
			 struct writer *w, char *why)
{
	const struct admin_commands *c = arg;
	struct store_scrub_result r = {0};
	enum vs_err err;

	(void)request;
	(void)why;
	err = store_scrub(c->store, progress, &r);
	if (err)
		return err;
	if (r.errors)
		logfile(LOG_ID_DAMAGE, "scrub found %llu damaged pieces; the first: %s",
			(unsigned long long)r.errors, r.first_error);
	put_scrub(&r, w);
	return VS_OK;
}

const struct admin_command vs_admin_commands[] = {
	{"status", false, false, status}, {"snapshot", true, false, snapshot},
	{"gc", true, true, gc},           {"scrub", true, true, scrub},
	{NULL, false, false, NULL},
};
