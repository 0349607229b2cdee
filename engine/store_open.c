/*
 * Opening, creating, recovering and closing a store.
 *
 * Recovery: newest valid superblock -> bitmap and segment table -> log tail
 * behind the checkpoint, applied as it was applied the first time.  Nothing is
 * decided on bytes that are not on disk: the files are synced before they are
 * read (F66).  Then a new term begins with a NOOP record, so that stale records
 * behind the end of the log can never continue it.
 */
#include "engine/store_int.h"

#include "engine/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

#define LOCK_FILE "lock"
#define TREE_FILE "tree"
#define CREATING_FILE "creating"
#define GROW_PAGES 256u
#define RESERVE_SEGS 2u
#define KEEP_FREE 4u
#define CACHE_DOUBLES 8

static struct log_config log_config_of(struct store *s)
{
	return (struct log_config){.env = s->env,
				   .cluster_id = s->cluster_id,
				   .segment_bytes = s->segment_bytes,
				   .reserve_segments = RESERVE_SEGS,
				   .keep_free = KEEP_FREE};
}

static struct tree_config tree_config_of(struct store *s)
{
	/* small segments mean a small store: grow its tree in small steps */
	uint64_t grow = s->segment_bytes / TREE_PAGE;

	return (struct tree_config){.env = s->env,
				    .name = TREE_FILE,
				    .cache_bytes = s->cache_bytes,
				    .grow_pages = grow < GROW_PAGES ? grow : GROW_PAGES};
}

static struct store *store_new(const struct store_config *config)
{
	struct store *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->env = config->env;
	s->cache_bytes = config->cache_bytes ? config->cache_bytes : STORE_CACHE_DEFAULT;
	s->started_ns = config->env->ops->now_mono_ns(config->env);
	s->read_only = config->read_only;
	rwlock_init(&s->lock);
	mutex_init(&s->ckpt_mutex);
	cond_init(&s->ckpt_cond);
	mutex_init(&s->id_mutex);
	mutex_init(&s->scrub_mutex);
	return s;
}

static void store_free(struct store *s)
{
	if (s->log)
		log_close(s->log);
	if (s->tree)
		tree_close(s->tree);
	if (s->super)
		s->env->ops->close(s->super);
	rwlock_fini(&s->lock);
	mutex_fini(&s->ckpt_mutex);
	cond_fini(&s->ckpt_cond);
	mutex_fini(&s->id_mutex);
	mutex_fini(&s->scrub_mutex);
	s->env->ops->unlock(s->env);
	free(s);
}

/* --- a new store --- */

/* What the data directory holds. */
struct contents {
	bool super, creating, parts, foreign;
};

static enum vs_err look_at(void *arg, const char *name)
{
	struct contents *c = arg;

	if (!strcmp(name, SUPERBLOCK_FILE))
		c->super = true;
	else if (!strcmp(name, CREATING_FILE))
		c->creating = true;
	else if (!strcmp(name, TREE_FILE) || !strcmp(name, "log") || !strncmp(name, "segments.", 9))
		c->parts = true;
	else if (strcmp(name, LOCK_FILE) != 0 && strcmp(name, "admin.sock") != 0 &&
		 strcmp(name, "lost+found") != 0 && strncmp(name, "veristore.", 10) != 0)
		c->foreign = true;
	return VS_OK;
}

/*
 * The segment size of a new store that names none: the default, less on a
 * small disk, where the few segments that are always kept would fill it.
 */
static uint64_t fitting_segment(struct env *env, uint64_t chunk)
{
	uint64_t segment = STORE_SEGMENT_DEFAULT;
	struct env_space space;

	if (env->ops->space(env, &space))
		return segment;
	while (segment > 4 * chunk && segment > space.free_bytes / 64)
		segment /= 2;
	return segment;
}

static enum vs_err check_sizes(const struct store_config *c, struct store *s)
{
	uint64_t chunk = c->chunk_bytes ? c->chunk_bytes : STORE_CHUNK_DEFAULT;
	uint64_t segment = c->segment_bytes ? c->segment_bytes : fitting_segment(c->env, chunk);

	if (chunk & (chunk - 1) || chunk < (64u << 10) || chunk > (4u << 20) ||
	    segment % CHECKSUM_BLOCK || segment < LOG_SEGMENT_MIN || segment > LOG_SEGMENT_MAX ||
	    segment < 4 * chunk)
		return VS_ERR_CONFIG;
	s->chunk_bytes = (uint32_t)chunk;
	s->segment_bytes = (uint32_t)segment;
	return VS_OK;
}

static enum vs_err unlink_one(void *arg, const char *name)
{
	struct env *env = arg;
	char path[64];

	if (snprintf(path, sizeof path, "log/%s", name) >= (int)sizeof path)
		return VS_ERR_NOT_STORE;
	return env->ops->unlink(env, path);
}

/* Mark the directory as half made, durably, then remove what an interrupted creation left. */
static enum vs_err begin_creating(struct env *env)
{
	struct env_file *f;
	enum vs_err err = env->ops->open(env, CREATING_FILE, ENV_WRITE | ENV_CREATE, &f);

	if (err)
		return err;
	err = env->ops->sync(f);
	env->ops->close(f);
	if (!err)
		err = env->ops->dir_sync(env, "");
	if (!err)
		err = env->ops->mkdir(env, "log");
	if (!err)
		err = env->ops->list(env, "log", unlink_one, env);
	return err;
}

/*
 * While the file "creating" is there the directory holds nothing anybody was
 * told about: a crash before its removal is durable starts over.  Without it, a
 * missing or invalid superblock is damage and nothing is ever overwritten.
 */
static enum vs_err create(struct store *s, const struct store_config *config)
{
	struct log_config lc;
	struct tree_config tc;
	enum vs_err err = check_sizes(config, s);

	if (!err)
		err = begin_creating(s->env);
	if (err)
		return err;
	do
		s->env->ops->random(s->env, &s->cluster_id, sizeof s->cluster_id);
	while (!s->cluster_id);
	lc = log_config_of(s);
	tc = tree_config_of(s);
	err = log_create(&lc, &s->log);
	if (!err)
		err = tree_open(&tc, NULL, &s->tree);
	if (!err)
		err = segtable_create(s->env);
	if (!err)
		err = s->env->ops->open(s->env, SUPERBLOCK_FILE, ENV_WRITE | ENV_CREATE, &s->super);
	if (!err)
		err = s->env->ops->truncate(s->super, 0);
	if (!err)
		err = s->env->ops->allocate(s->super, 0, SUPERBLOCK_SLOTS * SUPERBLOCK_BYTES);
	s->made_ns = s->env->ops->now_real_ns(s->env);
	s->super_now = (struct superblock){.cluster_id = s->cluster_id,
					   .chunk_bytes = s->chunk_bytes,
					   .segment_bytes = s->segment_bytes,
					   .made_ns = s->made_ns};
	return err;
}

static enum vs_err end_creating(struct store *s)
{
	enum vs_err err = store_checkpoint(s, NULL);

	if (!err)
		err = s->env->ops->dir_sync(s->env, "");
	if (!err)
		err = s->env->ops->unlink(s->env, CREATING_FILE);
	return err ? err : s->env->ops->dir_sync(s->env, "");
}

/* --- recovery --- */

static enum vs_err replay_txn(struct store *s, const struct log_record *rec)
{
	for (;;) {
		struct tree_ref miss = {0, 0};
		uint64_t first;
		uint32_t failed = 0;
		enum vs_err err;

		rwlock_wrlock(&s->lock);
		err = store_evaluate(s, rec->meta, rec->index, rec->data_len, true, &failed, &miss,
				     &first);
		if (!err) {
			store_apply(s, rec);
			s->since_records++;
			s->since_meta += rec->meta.len;
			s->since_bytes += LOG_RECORD_HEADER + rec->meta.len + rec->data_len;
		}
		rwlock_unlock(&s->lock);
		if (err == VS_ERR_MISS) {
			uint8_t *buf = malloc(TREE_PAGE);

			err = buf ? tree_page_read(s->tree, miss, buf) : VS_ERR_NOMEM;
			rwlock_wrlock(&s->lock);
			if (!err)
				err = tree_page_install(s->tree, miss, buf);
			rwlock_unlock(&s->lock);
			free(buf);
		} else if (err == VS_ERR_NOSPC) {
			uint64_t pages;

			err = tree_grow_file(s->tree, &pages);
			rwlock_wrlock(&s->lock);
			if (!err)
				tree_grow_done(s->tree, pages);
			rwlock_unlock(&s->lock);
		} else {
			/* a transaction is logged by a group of one only if it applies */
			return err == VS_ERR_COND || err == VS_ERR_EXIST ? VS_OK : err;
		}
		if (err)
			return err;
	}
}

static enum vs_err replay(void *arg, const struct log_record *rec)
{
	struct store *s = arg;
	enum vs_err err = VS_OK;
	uint64_t applied;

	rwlock_rdlock(&s->lock);
	applied = s->applied;
	rwlock_unlock(&s->lock);
	if (rec->index != applied + 1)
		return VS_ERR_CORRUPT_LOG;
	if (rec->type == LOG_TXN)
		err = replay_txn(s, rec);
	else if (rec->type != LOG_NOOP && rec->type != LOG_CHECKPOINT)
		err = VS_ERR_NEWER_FORMAT;
	if (err)
		return err;
	rwlock_wrlock(&s->lock);
	s->applied = rec->index;
	rwlock_unlock(&s->lock);
	return VS_OK;
}

/* Take over what the superblock says. */
static void adopt_super(struct store *s, const struct superblock *sb)
{
	s->super_now = *sb;
	s->cluster_id = sb->cluster_id;
	s->chunk_bytes = sb->chunk_bytes;
	s->segment_bytes = sb->segment_bytes;
	s->made_ns = sb->made_ns;
	s->term = sb->term;
	rwlock_wrlock(&s->lock);
	s->counters = sb->counters;
	s->applied = sb->applied_index;
	s->since_records = s->since_meta = s->since_bytes = 0;
	rwlock_unlock(&s->lock);
	atomic_store(&s->ckpt_index, sb->applied_index);
	atomic_store(&s->ckpt_generation, sb->generation);
	mutex_lock(&s->scrub_mutex);
	s->scrub = (struct store_scrub_result){.pages = sb->scrub.pages,
					       .records = sb->scrub.records,
					       .chunks = sb->scrub.chunks,
					       .bytes = sb->scrub.bytes,
					       .errors = sb->scrub.errors,
					       .finished_real_ns = sb->scrub.finished_ns};
	mutex_unlock(&s->scrub_mutex);
}

/* One attempt with the present cache size; VS_ERR_BUSY: the tail dirties more than it holds. */
static enum vs_err recover_once(struct store *s, const struct superblock *sb,
				struct store_report *report)
{
	struct tree_config tc = tree_config_of(s);
	struct log_config lc = log_config_of(s);
	struct log_segment *segs = NULL;
	enum vs_err err;

	adopt_super(s, sb);
	lc = log_config_of(s);
	tc = tree_config_of(s);
	memset(&report->log, 0, sizeof report->log);
	err = segtable_read(s->env, sb->generation, sb->segments, &segs);
	if (!err)
		err = tree_open(&tc, &sb->tree, &s->tree);
	/* a superblock names a tree: without the file it is damage, not a directory to fill */
	if (err == VS_ERR_NOENT)
		err = VS_ERR_CORRUPT_PAGE;
	if (!err)
		err = log_open(&lc, &sb->log, segs, sb->segments.count, replay, s, &report->log,
			       &s->log);
	free(segs);
	if (err) {
		if (s->tree)
			tree_close(s->tree);
		s->tree = NULL;
		s->log = NULL;
	}
	return err;
}

/* One sentence for the operator: what is wrong and what to do. */
static const char *sentence(enum vs_err err)
{
	switch (err) {
	case VS_ERR_CORRUPT_SUPER:
		return "the store has no valid superblock (file super); veristore-admin repair "
		       "salvages what verifies into a new store";
	case VS_ERR_CORRUPT_PAGE:
		return "the file tree is missing or a page of it that start-up needs is damaged; "
		       "veristore-admin repair salvages what verifies into a new store";
	case VS_ERR_LOCKED:
		return "the data directory is in use by another veristore process";
	case VS_ERR_NEWER_FORMAT:
		return "the store was written by a newer version of veristore; upgrade the program";
	case VS_ERR_NOT_STORE:
		return "the data directory is not empty and holds no VeriStore store; name an "
		       "empty one";
	case VS_ERR_CONFIG:
		return "chunk must be a power of two from 64K to 4M, segment from 256K to 1G and "
		       "at least 4 chunks";
	case VS_ERR_NOENT:
		return "there is no VeriStore store in the data directory";
	case VS_ERR_NOSPC:
		return "the file system of the data directory is full";
	default:
		return vs_err_text(err);
	}
}

static void explain(struct store_report *report, enum vs_err err)
{
	if (report->log.text[0])
		snprintf(report->text, sizeof report->text,
			 "%s; veristore-admin repair salvages what verifies", report->log.text);
	else
		snprintf(report->text, sizeof report->text, "%s", sentence(err));
}

static enum vs_err recover(struct store *s, struct store_report *report)
{
	struct superblock sb;
	uint32_t valid;
	enum vs_err err = s->env->ops->sync(s->super);

	if (!err)
		err = superblock_read(s->env, s->super, &sb, &valid);
	if (err)
		return err;
	for (int i = 0; i < CACHE_DOUBLES; i++) {
		err = recover_once(s, &sb, report);
		if (err != VS_ERR_BUSY)
			break;
		s->cache_bytes *= 2;
	}
	if (err)
		return err;
	report->replayed = report->log.records;
	report->clean = sb.clean && !report->log.records;
	s->term = report->log.last_term > sb.term ? report->log.last_term : sb.term;
	return VS_OK;
}

/* What is in the directory; an error when this is no place for a store. */
static enum vs_err survey(const struct store_config *config, struct contents *c)
{
	enum vs_err err;

	*c = (struct contents){false, false, false, false};
	err = config->env->ops->list(config->env, "", look_at, c);
	if (err)
		return err;
	if (c->super || c->creating)
		return VS_OK;
	if (c->parts)
		return VS_ERR_CORRUPT_SUPER;
	if (c->foreign)
		return VS_ERR_NOT_STORE;
	return config->create ? VS_OK : VS_ERR_NOENT;
}

/* Open what is there, or make a store where nothing is; never overwrite one. */
static enum vs_err open_or_create(struct store *s, const struct store_config *config,
				  struct store_report *report)
{
	struct contents c;
	enum vs_err err = survey(config, &c); /* again: now we have the lock */

	if (err)
		return err;
	if (c.super && !c.creating) {
		err = s->env->ops->open(s->env, SUPERBLOCK_FILE, ENV_WRITE, &s->super);
		return err ? err : recover(s, report);
	}
	if (!config->create)
		return VS_ERR_NOENT;
	report->created = true;
	return create(s, config);
}

/* Begin a term of our own; see the head of this file. */
static enum vs_err begin_term(struct store *s)
{
	struct log_append a = {.type = LOG_NOOP};
	struct log_place place;
	uint64_t index = 0;
	enum vs_err err;

	s->term++;
	a.term = s->term;
	do {
		err = log_room(s->log, 0, 0, true);
		if (err == VS_ERR_BUSY) {
			err = log_prepare(s->log);
			/* the reserve may do where no more can be prepared */
			if (!err || err == VS_ERR_NOSPC)
				err = VS_ERR_BUSY;
		}
	} while (err == VS_ERR_BUSY);
	if (!err)
		err = log_order(s->log, &a, &index, &place);
	if (err)
		return err;
	rwlock_wrlock(&s->lock);
	vs_assert(index == s->applied + 1);
	s->applied = index;
	rwlock_unlock(&s->lock);
	return log_sync(s->log, index);
}

enum vs_err store_open(const struct store_config *config, struct store_report *report,
		       struct store **out)
{
	struct store *s;
	struct contents c;
	enum vs_err err;

	memset(report, 0, sizeof *report);
	s = store_new(config);
	if (!s)
		return VS_ERR_NOMEM;
	err = survey(config, &c); /* a foreign directory gets no lock file */
	if (!err)
		err = s->env->ops->lock(s->env, LOCK_FILE);
	if (!err)
		err = open_or_create(s, config, report);
	if (!err)
		err = begin_term(s);
	if (!err && report->created)
		err = end_creating(s);
	if (err) {
		explain(report, err);
		store_free(s);
		return err;
	}
	atomic_store(&s->ckpt_at_ns, s->env->ops->now_mono_ns(s->env));
	*out = s;
	return VS_OK;
}

enum vs_err store_close(struct store *s)
{
	enum vs_err err = VS_ERR_STOPPED;

	if (!atomic_load(&s->stopped)) {
		store_ckpt_acquire(s);
		err = store_ckpt_locked(s, true, NULL);
		store_ckpt_release(s);
	}
	store_free(s);
	return err;
}
