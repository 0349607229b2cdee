#include "tools/bench_engine.h"
#include "consensus/replica.h"
#include "engine/base/env_posix.h"
#include "tools/bench_machine.h"
#include "tools/bench_mount.h"
#include "tools/bench_proc.h"
#include "tools/bench_table.h"
#include "tools/human.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VALUE 256u
#define BLOCK 4096u
#define CHUNK (1u << 20)
#define THREADS_MAX 64u
#define WARM_UP 100u

enum { RAW, ENGINE };
static const char *const labels[] = {"raw file", "engine"};

static const struct table_row row_put1 = {"put 256 B durable, 1 thread", "ops/s", TABLE_MORE, "op"};
static const struct table_row row_put8 = {"put 256 B durable, 8 threads", "ops/s", TABLE_MORE,
					  "op"};
static const struct table_row row_put64 = {"put 256 B durable, 64 threads", "ops/s", TABLE_MORE,
					   "op"};
static const struct table_row row_put = {"put 256 B, not waiting", "ops/s", TABLE_MORE, "op"};
static const struct table_row row_get = {"get 256 B, random, warm", "ops/s", TABLE_MORE, "op"};
static const struct table_row row_scan = {"scan", "entries/s", TABLE_MORE, "entry"};
static const struct table_row row_write = {"1 MiB chunks + sync", "MB/s", TABLE_MORE, "MiB"};
static const struct table_row row_read = {"1 MiB chunk reads, warm", "MB/s", TABLE_MORE, "MiB"};
static const struct table_row row_block = {"4 KiB chunk reads, random, warm", "ops/s", TABLE_MORE,
					   "op"};
static const struct table_row row_open = {"open after a clean end", "ms", TABLE_FIGURE, NULL};

/* What the works of one round share. */
struct place {
	struct env *env; /* ENGINE */
	struct store *store;
	struct replica *replica;
	int fd; /* RAW: the file that is appended to */
	atomic_uint_fast64_t end;
	uint64_t *chunk; /* indexes, ENGINE */
	uint64_t chunk_count;
	uint64_t key_count; /* keys put without waiting: 0 .. key_count - 1 */
	uint8_t *data;      /* CHUNK bytes */
	atomic_int err;
};

struct worker {
	struct place *p;
	bool (*op)(struct worker *w, uint64_t i);
	pthread_barrier_t *ready;
	pthread_t thread;
	uint64_t who, count, start_ns, end_ns, random;
	uint8_t *buf; /* CHUNK bytes */
	struct txn txn;
};

static uint64_t random_below(struct worker *w, uint64_t n)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random % n;
}

static bool failed(struct worker *w, enum vs_err err)
{
	if (err)
		atomic_store(&w->p->err, (int)err);
	return err != VS_OK;
}

/* --- works on the raw file: true when it went well ---------------------------------- */

static bool raw_put(struct worker *w, uint64_t i)
{
	uint64_t off = atomic_fetch_add(&w->p->end, VALUE);

	(void)i;
	return pwrite(w->p->fd, w->p->data, VALUE, (off_t)off) == VALUE;
}

static bool raw_put_sync(struct worker *w, uint64_t i)
{
	return raw_put(w, i) && !fdatasync(w->p->fd);
}

static bool raw_get(struct worker *w, uint64_t i)
{
	uint64_t at = random_below(w, w->p->key_count);

	(void)i;
	return pread(w->p->fd, w->buf, VALUE, (off_t)(at * VALUE)) == VALUE;
}

/* Sequential, so that it is a scan of the same bytes: 1000 values a call. */
static bool raw_scan(struct worker *w, uint64_t i)
{
	(void)i;
	for (uint64_t at = 0; at < w->p->key_count; at += 1000)
		if (pread(w->p->fd, w->buf, (size_t)1000 * VALUE, (off_t)(at * VALUE)) <= 0)
			return false;
	return true;
}

static bool raw_chunk(struct worker *w, uint64_t i)
{
	return pwrite(w->p->fd, w->p->data, CHUNK, (off_t)(i * CHUNK)) == CHUNK &&
	       (i + 1 < w->count || !fdatasync(w->p->fd));
}

static bool raw_chunk_read(struct worker *w, uint64_t i)
{
	return pread(w->p->fd, w->buf, CHUNK, (off_t)(i * CHUNK)) == CHUNK;
}

static bool raw_block_read(struct worker *w, uint64_t i)
{
	uint64_t at = random_below(w, w->p->chunk_count * (CHUNK / BLOCK));

	(void)i;
	return pread(w->p->fd, w->buf, BLOCK, (off_t)(at * BLOCK)) == BLOCK;
}

/* --- works on the engine ---------------------------------------------------------------- */

static void value_key(struct key *k, uint64_t who, uint64_t i)
{
	uint8_t b[16];

	put_be64(b, who);
	put_be64(b + 8, i);
	key_text(k, KEY_KV, bytes_of(b, sizeof b));
}

static bool propose(struct worker *w, uint64_t i, uint64_t *index)
{
	struct store_result r;
	struct key k;

	value_key(&k, w->who, i);
	txn_reset(&w->txn);
	txn_put(&w->txn, &k, bytes_of(w->p->data, VALUE));
	if (failed(w, replica_propose(w->p->replica, &w->txn, &r)))
		return false;
	*index = r.index;
	return true;
}

static bool engine_put(struct worker *w, uint64_t i)
{
	uint64_t index;

	return propose(w, i, &index);
}

static bool engine_put_sync(struct worker *w, uint64_t i)
{
	uint64_t index;

	return propose(w, i, &index) && !failed(w, replica_sync(w->p->replica, index));
}

static bool engine_get(struct worker *w, uint64_t i)
{
	struct key k;
	size_t len;

	(void)i;
	value_key(&k, 0, random_below(w, w->p->key_count));
	return !failed(w, store_get(w->p->store, &k, w->buf, VALUE, &len));
}

static bool count_entry(void *arg, struct bytes key, struct bytes value)
{
	uint64_t *n = arg;

	*n += key.len && value.len;
	return true;
}

static bool engine_scan(struct worker *w, uint64_t i)
{
	struct key prefix;
	uint8_t who[8];
	uint64_t n = 0;

	(void)i;
	put_be64(who, 0);
	key_text(&prefix, KEY_KV, bytes_of(who, sizeof who));
	return !failed(w, store_scan(w->p->store, NULL, &prefix, &prefix, count_entry, &n)) &&
	       n >= w->p->key_count;
}

static bool engine_chunk(struct worker *w, uint64_t i)
{
	struct store_result r;

	txn_reset(&w->txn);
	w->txn.data = bytes_of(w->p->data, CHUNK);
	txn_chunk(&w->txn, 0, CHUNK, 1);
	if (failed(w, replica_propose(w->p->replica, &w->txn, &r)))
		return false;
	w->p->chunk[i] = r.index;
	return i + 1 < w->count || !failed(w, replica_sync(w->p->replica, r.index));
}

static bool engine_chunk_read(struct worker *w, uint64_t i)
{
	return !failed(w, store_chunk_read(w->p->store, w->p->chunk[i], 0, 0, w->buf, CHUNK));
}

static bool engine_block_read(struct worker *w, uint64_t i)
{
	uint64_t chunk = w->p->chunk[random_below(w, w->p->chunk_count)];
	uint32_t off = (uint32_t)random_below(w, CHUNK / BLOCK) * BLOCK;

	(void)i;
	return !failed(w, store_chunk_read(w->p->store, chunk, 0, off, w->buf, BLOCK));
}

/* --- running ------------------------------------------------------------------------------ */

static void *work(void *arg)
{
	struct worker *w = arg;
	bool ok = true;

	pthread_barrier_wait(w->ready);
	w->start_ns = proc_now_ns();
	for (uint64_t i = 0; ok && i < w->count; i++)
		ok = w->op(w, i);
	w->end_ns = proc_now_ns();
	return ok ? w : NULL;
}

struct load {
	bool (*op)(struct worker *w, uint64_t i);
	unsigned threads;
	uint64_t count;     /* calls of op by each thread */
	uint64_t first_who; /* key space of the first thread */
};

/* Run the load; false when an operation failed. */
static bool run_load(struct place *p, const struct load *l, double *seconds, double *cpu_s)
{
	static struct worker workers[THREADS_MAX];
	uint64_t start = UINT64_MAX, end = 0, cpu = proc_cpu_ns(getpid());
	pthread_barrier_t ready;
	bool ok = true;
	unsigned n = 0;

	if (pthread_barrier_init(&ready, NULL, l->threads))
		return false;
	for (; n < l->threads; n++) {
		struct worker *w = &workers[n];

		*w = (struct worker){.p = p, .op = l->op, .ready = &ready, .count = l->count};
		w->who = l->first_who + n;
		w->random = 0x9e3779b97f4a7c15u * (n + 1);
		w->buf = malloc(CHUNK);
		txn_init(&w->txn);
		if (!w->buf || pthread_create(&w->thread, NULL, work, w)) {
			fprintf(stderr, "veristore-bench: no memory for %u threads\n", l->threads);
			exit(1);
		}
	}
	for (unsigned i = 0; i < n; i++) {
		struct worker *w = &workers[i];
		void *result = NULL;

		pthread_join(w->thread, &result);
		ok = ok && result;
		start = w->start_ns < start ? w->start_ns : start;
		end = w->end_ns > end ? w->end_ns : end;
		txn_fini(&w->txn);
		free(w->buf);
	}
	pthread_barrier_destroy(&ready);
	*seconds = end > start ? (double)(end - start) * 1e-9 : 1e-9;
	*cpu_s = (double)(proc_cpu_ns(getpid()) - cpu) * 1e-9;
	return ok;
}

/* Run, and put amount per second and CPU time per unit of the row into the table. */
static void measure(struct table *t, const struct table_row *row, unsigned variant, struct place *p,
		    const struct load *l, double amount, double units)
{
	double seconds, cpu_s;

	if (proc_interrupted())
		return;
	if (run_load(p, l, &seconds, &cpu_s))
		table_add(t, row, variant, amount / seconds, cpu_s * 1e6 / units);
	else
		table_failed(t, row, variant,
			     atomic_load(&p->err) ? vs_err_text((enum vs_err)atomic_load(&p->err))
						  : strerror(errno));
}

static void measure_puts(struct table *t, unsigned variant, struct place *p,
			 const struct bench_engine_settings *s)
{
	bool (*op)(struct worker *, uint64_t) = variant == RAW ? raw_put_sync : engine_put_sync;
	struct load warm = {op, 1, WARM_UP, 1000};
	struct load one = {op, 1, s->put_count, 2000};
	struct load eight = {op, 8, s->put_count / 4, 3000};
	struct load many = {op, 64, s->put_count / 16, 4000};
	double seconds, cpu_s;

	if (!run_load(p, &warm, &seconds, &cpu_s))
		fprintf(stderr, "veristore-bench: warm-up failed\n");
	measure(t, &row_put1, variant, p, &one, (double)one.count, (double)one.count);
	measure(t, &row_put8, variant, p, &eight, (double)eight.count * 8, (double)eight.count * 8);
	measure(t, &row_put64, variant, p, &many, (double)many.count * 64, (double)many.count * 64);
}

static void measure_keys(struct table *t, unsigned variant, struct place *p,
			 const struct bench_engine_settings *s)
{
	struct load put = {variant == RAW ? raw_put : engine_put, 1, s->get_count, 0};
	struct load get = {variant == RAW ? raw_get : engine_get, 1, s->get_count, 0};
	struct load scan = {variant == RAW ? raw_scan : engine_scan, 1, 1, 0};
	double n = (double)s->get_count;

	p->key_count = s->get_count;
	measure(t, &row_put, variant, p, &put, n, n);
	measure(t, &row_get, variant, p, &get, n, n);
	measure(t, &row_scan, variant, p, &scan, n, n);
}

static void measure_chunks(struct table *t, unsigned variant, struct place *p,
			   const struct bench_engine_settings *s)
{
	uint64_t n = s->stream_bytes / CHUNK;
	struct load put = {variant == RAW ? raw_chunk : engine_chunk, 1, n, 0};
	struct load get = {variant == RAW ? raw_chunk_read : engine_chunk_read, 1, n, 0};
	struct load block = {variant == RAW ? raw_block_read : engine_block_read, 1, s->get_count,
			     0};
	double mb = (double)n * CHUNK / 1e6;

	p->chunk = calloc(n, sizeof *p->chunk);
	p->chunk_count = n;
	if (!p->chunk)
		return;
	measure(t, &row_write, variant, p, &put, mb, (double)n);
	measure(t, &row_read, variant, p, &get, mb, (double)n);
	measure(t, &row_block, variant, p, &block, (double)block.count, (double)block.count);
	free(p->chunk);
	p->chunk = NULL;
}

/* --- places ------------------------------------------------------------------------------- */

static bool place_open(struct place *p, const char *dir, bool create)
{
	struct store_config config = {.cache_bytes = STORE_CACHE_DEFAULT, .create = create};
	struct store_report report = {0};
	struct replica_config replica = {0};
	enum vs_err err;

	err = env_posix_open(dir, true, &p->env);
	if (err)
		goto out;
	config.env = p->env;
	err = store_open(&config, &report, &p->store);
	if (err)
		goto out_env;
	replica.store = p->store;
	err = replica_open(&replica, &p->replica);
	if (!err)
		return true;
	store_close(p->store);
out_env:
	env_posix_close(p->env);
out:
	fprintf(stderr, "veristore-bench: %s: %s%s%s\n", dir, vs_err_text(err),
		report.text[0] ? ": " : "", report.text);
	return false;
}

static bool place_close(struct place *p)
{
	enum vs_err err;

	replica_close(p->replica);
	err = store_close(p->store);
	env_posix_close(p->env);
	if (err)
		fprintf(stderr, "veristore-bench: closing the store: %s\n", vs_err_text(err));
	return !err;
}

typedef void (*part_fn)(struct table *t, unsigned variant, struct place *p,
			const struct bench_engine_settings *s);
static const part_fn parts[] = {measure_puts, measure_keys, measure_chunks};

#define PARTS (sizeof parts / sizeof *parts)

static void raw_turn(struct table *t, part_fn part, const char *dir, struct place *p,
		     const struct bench_engine_settings *s)
{
	char name[PROC_PATH_MAX];

	if (mkdir(dir, 0700) || !proc_format(name, sizeof name, "%s/file", dir))
		return;
	p->fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (p->fd < 0)
		return;
	part(t, RAW, p, s);
	close(p->fd);
}

static void engine_turn(struct table *t, part_fn part, const char *dir, struct place *p,
			const struct bench_engine_settings *s)
{
	uint64_t start;

	if (!place_open(p, dir, true))
		return;
	part(t, ENGINE, p, s);
	if (!place_close(p) || part != measure_keys)
		return;
	start = proc_now_ns();
	if (!place_open(p, dir, false))
		return;
	table_add(t, &row_open, ENGINE, (double)(proc_now_ns() - start) / 1e6, -1);
	place_close(p);
}

static void run_rounds(struct table *t, const char *work, struct place *p,
		       const struct bench_engine_settings *s)
{
	char dir[PROC_PATH_MAX];

	for (size_t part = 0; part < PARTS; part++) {
		for (unsigned n = 0; n < s->rounds * 2 && !proc_interrupted(); n++) {
			if (!s->quiet && n % 2 == 0)
				fprintf(stderr,
					"veristore-bench: engine, part %zu of %zu, round %u of "
					"%u\n",
					part + 1, PARTS, n / 2 + 1, s->rounds);
			if (!proc_format(dir, sizeof dir, "%s/%s", work, n % 2 ? "store" : "raw"))
				return;
			sync();
			atomic_store(&p->end, 0);
			atomic_store(&p->err, 0);
			if (n % 2)
				engine_turn(t, parts[part], dir, p, s);
			else
				raw_turn(t, parts[part], dir, p, s);
			proc_remove_tree(dir);
		}
	}
}

bool bench_engine(const struct bench_engine_settings *s)
{
	struct place p = {0};
	struct table *t = table_new(labels, 2);
	char work[PROC_PATH_MAX], a[HUMAN_MAX], b[HUMAN_MAX];

	p.data = malloc(CHUNK);
	if (!t || !p.data || !bench_work_dir(s->dir, work)) {
		fprintf(stderr, "veristore-bench: %s: %s\n", s->dir, strerror(errno));
		free(p.data);
		table_free(t);
		return false;
	}
	for (uint32_t i = 0; i < CHUNK; i++)
		p.data[i] = (uint8_t)(i * 2654435761u >> 24);
	machine_print(work, stdout);
	printf("Engine, %u rounds: %s keys, chunks of %s together.  The raw file is appended to "
	       "by all threads, each with fdatasync; its gets are preads.\n\n",
	       s->rounds, human_count(s->get_count, a), human_bytes(s->stream_bytes, b));
	run_rounds(t, work, &p, s);
	table_print(t, s->markdown, stdout);
	proc_remove_tree(work);
	free(p.data);
	table_free(t);
	return true;
}
