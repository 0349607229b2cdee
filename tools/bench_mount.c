#include "tools/bench_mount.h"
#include "tools/bench_client.h"
#include "tools/bench_machine.h"
#include "tools/bench_table.h"
#include "tools/bench_target.h"
#include "tools/human.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1u << 20)
#define WARM_UP_FILES 50u
#define PROBE_COUNT 100u
#define MANY_PROCESSES 8u
#define UPDATE_JOBS 16u
#define CACHED_PASSES 5u /* a cached name costs a microsecond: ask often */

struct bench {
	const struct bench_settings *s;
	struct table *table;
	struct target target[TABLE_VARIANTS_MAX];
	const char *label[TABLE_VARIANTS_MAX];
	unsigned count;
	char work[PROC_PATH_MAX];
};

/* One variant in one group. */
struct turn {
	struct bench *b;
	struct target *t;
	unsigned variant;
	bool dead; /* a daemon that did not come up: the rest is not tried */
};

static const struct table_row row_probe = {"(the disk alone: 4 KiB + fdatasync)", "ops/s",
					   TABLE_MORE, NULL};
static const struct table_row row_write = {"sequential write + fsync", "MB/s", TABLE_MORE, "MiB"};
static const struct table_row row_device = {"  written to device / stored", "bytes", TABLE_LESS,
					    NULL};
static const struct table_row row_cold = {"sequential read, cold", "MB/s", TABLE_MORE, "MiB"};
static const struct table_row row_warm = {"sequential read, warm", "MB/s", TABLE_MORE, "MiB"};
static const struct table_row row_random = {"4 KiB random read, warm below", "ops/s", TABLE_MORE,
					    "op"};
static const struct table_row row_update1 = {"4 KiB random write + fdatasync, 1 job", "ops/s",
					     TABLE_MORE, "op"};
static const struct table_row row_update16 = {"4 KiB random write + fdatasync, 16 jobs", "ops/s",
					      TABLE_MORE, "op"};
static const struct table_row row_create1 = {"4 KiB files durable, 1 process", "files/s",
					     TABLE_MORE, "file"};
static const struct table_row row_create8 = {"4 KiB files durable, 8 processes", "files/s",
					     TABLE_MORE, "file"};
static const struct table_row row_small1 = {"small file read, first", "files/s", TABLE_MORE,
					    "file"};
static const struct table_row row_small2 = {"small file read, again", "files/s", TABLE_MORE,
					    "file"};
static const struct table_row row_unlink = {"unlink", "files/s", TABLE_MORE, "file"};
static const struct table_row row_mkdir = {"mkdir", "ops/s", TABLE_MORE, "op"};
static const struct table_row row_rename = {"rename", "ops/s", TABLE_MORE, "op"};
static const struct table_row row_stat1 = {"stat, first", "names/s", TABLE_MORE, "name"};
static const struct table_row row_stat2 = {"stat, again", "names/s", TABLE_MORE, "name"};
static const struct table_row row_missing = {"missing names", "names/s", TABLE_MORE, "name"};
static const struct table_row row_ls1 = {"ls -l, first", "names/s", TABLE_MORE, "name"};
static const struct table_row row_ls2 = {"ls -l, again", "names/s", TABLE_MORE, "name"};
static const struct table_row row_find1 = {"find, first", "names/s", TABLE_MORE, "name"};
static const struct table_row row_find2 = {"find, again", "names/s", TABLE_MORE, "name"};
static const struct table_row row_start = {"start, empty store", "ms", TABLE_FIGURE, NULL};
static const struct table_row row_restart = {"restart after kill -9, log tail", "ms", TABLE_FIGURE,
					     NULL};
static const struct table_row row_restart_big = {"restart after kill -9, large store", "ms",
						 TABLE_FIGURE, NULL};
static const struct table_row row_many = {"many names: mknod", "files/s", TABLE_MORE, "file"};
static const struct table_row row_many_ls = {"many names: ls -U", "names/s", TABLE_MORE, "name"};
static const struct table_row row_many_rss = {"many names: daemon's memory", "MiB", TABLE_FIGURE,
					      NULL};
static const struct table_row row_many_peak = {"many names: at most, while listing", "MiB",
					       TABLE_FIGURE, NULL};

bool bench_chosen(const char *list, const char *word)
{
	size_t len = strlen(word);
	const char *at = list;

	if (!*list)
		return true;
	while ((at = strstr(at, word))) {
		if ((at == list || at[-1] == ',') && (at[len] == ',' || !at[len]))
			return true;
		at++;
	}
	return false;
}

bool bench_work_dir(const char *dir, char *out)
{
	char full[PROC_PATH_MAX];

	if (!realpath(dir, full) || !proc_format(out, PROC_PATH_MAX, "%.*s/veristore-bench.XXXXXX",
						 (int)(PROC_PATH_MAX - 128), full))
		return false;
	return mkdtemp(out) != NULL;
}

/* --- one measurement --------------------------------------------------------------- */

/*
 * Run the job; with a row, its rate goes into the table: ops (of all
 * processes) per second, and CPU time per op.
 */
static bool measure(struct turn *turn, const struct table_row *row, const struct client_job *job,
		    double ops, struct client_result *out)
{
	struct client_job j = *job;
	bool ok = false;

	j.dir = turn->t->dir;
	j.processes = j.processes ? j.processes : 1;
	j.passes = j.passes ? j.passes : 1;
	ops *= j.passes;
	if (turn->dead || proc_interrupted())
		snprintf(out->why, sizeof out->why, "%s", turn->t->why);
	else
		ok = client_run(&j, turn->t->daemon, out);
	if (ok && row)
		table_add(turn->b->table, row, turn->variant, ops / out->seconds,
			  out->cpu_s * 1e6 / ops);
	else if (row && !proc_interrupted())
		table_failed(turn->b->table, row, turn->variant, out->why);
	return ok;
}

/* Rates of a large file are MB/s, its CPU time is per MiB. */
static bool measure_bytes(struct turn *turn, const struct table_row *row,
			  const struct client_job *job, struct client_result *out)
{
	double mib = (double)job->bytes / MIB;

	if (!measure(turn, NULL, job, 1, out)) {
		if (!proc_interrupted())
			table_failed(turn->b->table, row, turn->variant, out->why);
		return false;
	}
	table_add(turn->b->table, row, turn->variant, (double)job->bytes / 1e6 / out->seconds,
		  out->cpu_s * 1e6 / mib);
	return true;
}

static void cold(struct turn *turn)
{
	if (!turn->dead && !target_cold(turn->t))
		turn->dead = true;
}

/* close promises durability on VeriStore (unless its options say otherwise) */
static bool needs_fsync(const struct turn *turn)
{
	return turn->t->kind != TARGET_VERISTORE;
}

/* --- groups -------------------------------------------------------------------------- */

static void group_stream(struct turn *turn)
{
	const struct bench_settings *s = turn->b->s;
	struct client_job j = {.work = client_big_write, .sub = "stream", .bytes = s->big_bytes};
	struct client_result r;

	if (measure_bytes(turn, &row_write, &j, &r))
		table_add(turn->b->table, &row_device, turn->variant,
			  (double)r.write_bytes / (double)s->big_bytes, -1);
	cold(turn);
	j.work = client_big_read;
	measure_bytes(turn, &row_cold, &j, &r);
	measure_bytes(turn, &row_warm, &j, &r);
	j.work = client_big_random;
	j.count = s->random_count;
	j.forget = turn->t->kind != TARGET_PLAIN;
	measure(turn, &row_random, &j, (double)j.count, &r);
}

static void group_update(struct turn *turn)
{
	const struct bench_settings *s = turn->b->s;
	struct client_job j = {.work = client_update_make,
			       .sub = "update",
			       .processes = UPDATE_JOBS,
			       .bytes = s->update_bytes};
	struct client_result r;

	if (!measure(turn, NULL, &j, 1, &r)) {
		table_failed(turn->b->table, &row_update1, turn->variant, r.why);
		return;
	}
	j.work = client_update;
	j.processes = 1;
	j.count = s->update_count / 4;
	measure(turn, &row_update1, &j, (double)j.count, &r);
	j.processes = UPDATE_JOBS;
	j.count = s->update_count / UPDATE_JOBS;
	measure(turn, &row_update16, &j, (double)(j.count * UPDATE_JOBS), &r);
}

static void group_create(struct turn *turn)
{
	const struct bench_settings *s = turn->b->s;
	struct client_job one = {.work = client_create,
				 .sub = "one",
				 .count = s->small_count,
				 .sync = needs_fsync(turn)};
	struct client_job many = one;
	struct client_result r;

	measure(turn, &row_create1, &one, (double)one.count, &r);
	many.sub = "many";
	many.processes = MANY_PROCESSES;
	many.count = s->small_count / 4;
	measure(turn, &row_create8, &many, (double)(many.count * MANY_PROCESSES), &r);
	cold(turn);
	one.work = client_read_small;
	measure(turn, &row_small1, &one, (double)one.count, &r);
	one.passes = CACHED_PASSES;
	measure(turn, &row_small2, &one, (double)one.count, &r);
}

/* Last of the groups: see bench_target.h about deleting. */
static void group_unlink(struct turn *turn)
{
	struct client_job j = {.work = client_create,
			       .sub = "unlink",
			       .count = turn->b->s->small_count};
	struct client_result r;

	if (!measure(turn, NULL, &j, 1, &r)) {
		table_failed(turn->b->table, &row_unlink, turn->variant, r.why);
		return;
	}
	j.work = client_unlink;
	measure(turn, &row_unlink, &j, (double)j.count, &r);
}

static void group_names(struct turn *turn)
{
	const struct bench_settings *s = turn->b->s;
	struct client_job j = {.work = client_mkdir, .sub = "dirs", .count = s->small_count};
	struct client_result r;

	measure(turn, &row_mkdir, &j, (double)j.count, &r);
	j.sub = "names";
	j.work = client_mknod;
	if (!measure(turn, NULL, &j, 1, &r)) {
		table_failed(turn->b->table, &row_rename, turn->variant, r.why);
		return;
	}
	j.work = client_rename;
	measure(turn, &row_rename, &j, (double)j.count, &r);
}

static void group_list(struct turn *turn)
{
	const struct bench_settings *s = turn->b->s;
	struct client_job j = {.work = client_mknod, .sub = "list", .count = s->list_count};
	double ops = (double)j.count;
	struct client_result r;

	if (!measure(turn, NULL, &j, 1, &r)) {
		table_failed(turn->b->table, &row_ls1, turn->variant, r.why);
		return;
	}
	cold(turn);
	j.work = client_stat;
	measure(turn, &row_stat1, &j, ops, &r);
	j.passes = CACHED_PASSES;
	measure(turn, &row_stat2, &j, ops, &r);
	j.work = client_missing;
	measure(turn, &row_missing, &j, ops, &r);
	cold(turn);
	j.passes = 1;
	j.work = client_ls_long;
	measure(turn, &row_ls1, &j, ops, &r);
	j.passes = CACHED_PASSES;
	measure(turn, &row_ls2, &j, ops, &r);
}

static void group_tree(struct turn *turn)
{
	const struct bench_settings *s = turn->b->s;
	struct client_job j = {.work = client_tree, .sub = "find", .count = s->list_count};
	double ops = (double)j.count;
	struct client_result r;

	if (!measure(turn, NULL, &j, 1, &r)) {
		table_failed(turn->b->table, &row_find1, turn->variant, r.why);
		return;
	}
	cold(turn);
	j.work = client_find;
	measure(turn, &row_find1, &j, ops, &r);
	j.passes = CACHED_PASSES;
	measure(turn, &row_find2, &j, ops, &r);
}

/* Kill the daemon, start it again: time until the mount answers, in ms. */
static void restart(struct turn *turn, const struct table_row *row, const char *sub)
{
	struct client_job j = {.work = client_big_read,
			       .sub = sub,
			       .bytes = turn->b->s->tail_bytes};
	struct client_result r;
	uint64_t start;

	target_kill(turn->t);
	start = proc_now_ns();
	if (!target_start(turn->t)) {
		turn->dead = true;
		table_failed(turn->b->table, row, turn->variant, turn->t->why);
		return;
	}
	start = proc_now_ns() - start;
	if (measure(turn, NULL, &j, 1, &r))
		table_add(turn->b->table, row, turn->variant, (double)start / 1e6, -1);
	else
		table_failed(turn->b->table, row, turn->variant, r.why);
}

static void group_restart(struct turn *turn)
{
	struct client_job j = {.work = client_big_write,
			       .sub = "tail",
			       .bytes = turn->b->s->tail_bytes};
	struct client_result r;
	uint64_t start;

	target_down(turn->t);
	start = proc_now_ns();
	if (!target_up(turn->t)) {
		turn->dead = true;
		table_failed(turn->b->table, &row_start, turn->variant, turn->t->why);
		return;
	}
	table_add(turn->b->table, &row_start, turn->variant, (double)(proc_now_ns() - start) / 1e6,
		  -1);
	if (measure(turn, NULL, &j, 1, &r))
		restart(turn, &row_restart, j.sub);
	else
		table_failed(turn->b->table, &row_restart, turn->variant, r.why);
}

static void memory(struct turn *turn, const struct table_row *row, bool peak)
{
	struct proc_memory m;

	if (turn->t->daemon && proc_memory(turn->t->daemon, &m))
		table_add(turn->b->table, row, turn->variant,
			  (double)(peak ? m.peak_bytes : m.rss_bytes) / MIB, -1);
}

static void group_many(struct turn *turn)
{
	struct client_job j = {.work = client_mknod,
			       .sub = "many",
			       .count = turn->b->s->million_count};
	double ops = (double)j.count;
	struct client_result r;

	if (!measure(turn, &row_many, &j, ops, &r))
		return;
	memory(turn, &row_many_rss, false);
	cold(turn);
	j.work = client_ls;
	measure(turn, &row_many_ls, &j, ops, &r);
	memory(turn, &row_many_peak, true);
}

static void group_heavy(struct turn *turn)
{
	const struct bench_settings *s = turn->b->s;
	struct client_job j = {.work = client_big_write, .sub = "heavy", .bytes = s->heavy_bytes};
	struct client_result r;
	bool ok = measure(turn, NULL, &j, 1, &r);

	j.sub = "tail";
	j.bytes = s->tail_bytes;
	if (ok && measure(turn, NULL, &j, 1, &r))
		restart(turn, &row_restart_big, j.sub);
	else
		table_failed(turn->b->table, &row_restart_big, turn->variant, r.why);
}

static const struct group {
	const char *name;
	void (*run)(struct turn *turn);
	unsigned kinds; /* bit set of enum target_kind */
	bool big;       /* one round, with --big only */
	const char *what;
} groups[] = {
	{"stream", group_stream, 7, false, "a large file: write, cold and warm read, random reads"},
	{"update", group_update, 7, false, "4 KiB random writes, each with fdatasync"},
	{"create", group_create, 7, false, "4 KiB files: create, read"},
	{"names", group_names, 7, false, "mkdir, rename"},
	{"list", group_list, 7, false, "stat, missing names, ls -l"},
	{"tree", group_tree, 7, false, "find"},
	{"unlink", group_unlink, 7, false, "unlink of 4 KiB files"},
	{"restart", group_restart, 1 << TARGET_VERISTORE, false, "kill -9 and start"},
	{"many", group_many, 1 << TARGET_PLAIN | 1 << TARGET_VERISTORE, true,
	 "one million names (--big)"},
	{"heavy", group_heavy, 1 << TARGET_VERISTORE, true, "kill -9 with 10 GiB (--big)"},
};

#define GROUPS (sizeof groups / sizeof *groups)

void bench_mount_groups(void)
{
	for (size_t i = 0; i < GROUPS; i++)
		printf("  %-10s %s\n", groups[i].name, groups[i].what);
}

/* --- rounds --------------------------------------------------------------------------- */

/*
 * What the disk does by itself just now, below every variant: when this differs
 * between them, so do the rows that wait for the disk, through no fault of
 * theirs.
 */
static void probe(struct bench *b, unsigned variant)
{
	struct client_job j = {.work = client_probe,
			       .dir = b->work,
			       .sub = "probe",
			       .processes = 1,
			       .count = PROBE_COUNT};
	struct client_result r;

	if (client_run(&j, 0, &r))
		table_add(b->table, &row_probe, variant, PROBE_COUNT / r.seconds, -1);
}

static void take_turn(struct bench *b, const struct group *g, unsigned variant)
{
	struct turn turn = {.b = b, .t = &b->target[variant], .variant = variant};
	struct client_job warm = {.work = client_warm_up,
				  .sub = "warm-up",
				  .count = WARM_UP_FILES,
				  .sync = true};
	struct client_result r;

	sync();
	probe(b, variant);
	if (!target_up(turn.t)) {
		fprintf(stderr, "veristore-bench: %s: %s\n", b->label[variant], turn.t->why);
		turn.dead = true;
	} else if (!measure(&turn, NULL, &warm, 1, &r)) {
		fprintf(stderr, "veristore-bench: %s: warm-up: %s\n", b->label[variant], r.why);
	}
	sync();
	g->run(&turn);
	target_down(turn.t);
}

static void run_groups(struct bench *b)
{
	for (size_t i = 0; i < GROUPS; i++) {
		const struct group *g = &groups[i];
		unsigned rounds = g->big ? 1 : b->s->rounds;

		if (!bench_chosen(b->s->only, g->name) || (g->big && !b->s->big))
			continue;
		for (unsigned n = 0; n < rounds && !proc_interrupted(); n++) {
			if (!b->s->quiet)
				fprintf(stderr, "veristore-bench: %s, round %u of %u\n", g->name,
					n + 1, rounds);
			for (unsigned v = 0; v < b->count && !proc_interrupted(); v++)
				if (g->kinds >> b->target[v].kind & 1)
					take_turn(b, g, v);
		}
	}
}

/* The variants that can run here. */
static bool prepare(struct bench *b)
{
	const struct bench_settings *s = b->s;
	const char *work = b->work;
	char own[PROC_PATH_MAX], program[PROC_PATH_MAX], why[TARGET_WHY_MAX];
	bool ok = true;

	if (bench_chosen(s->variants, "plain")) {
		b->label[b->count] = "plain";
		ok = target_init(&b->target[b->count++], TARGET_PLAIN, work, "", "");
	}
	if (access("/dev/fuse", R_OK | W_OK)) {
		fprintf(stderr, "veristore-bench: no mounts: /dev/fuse: %s\n", strerror(errno));
		return ok && b->count;
	}
	if (bench_chosen(s->variants, "pass")) {
		if (target_build_pass(work, program, why)) {
			b->label[b->count] = "pass-through";
			ok = ok &&
			     target_init(&b->target[b->count++], TARGET_PASS, work, program, "");
		} else {
			fprintf(stderr, "veristore-bench: no pass-through: %s\n", why);
		}
	}
	if (bench_chosen(s->variants, "veristore")) {
		if (!s->programs && !proc_own_dir(own))
			return false;
		ok = ok && proc_format(program, sizeof program, "%s/veristore",
				       s->programs ? s->programs : own);
		if (ok && !access(program, X_OK)) {
			b->label[b->count] = "VeriStore";
			ok = target_init(&b->target[b->count++], TARGET_VERISTORE, work, program,
					 s->options);
		} else {
			fprintf(stderr, "veristore-bench: no VeriStore: %s: %s\n", program,
				strerror(errno));
		}
	}
	return ok && b->count;
}

/* The pass-through keeps a file open for every name the kernel knows. */
static void raise_files(void)
{
	struct rlimit want = {1u << 18, 1u << 18}, have;

	if (getrlimit(RLIMIT_NOFILE, &have) || have.rlim_cur >= want.rlim_cur)
		return;
	if (setrlimit(RLIMIT_NOFILE, &want)) {
		have.rlim_cur = have.rlim_max;
		setrlimit(RLIMIT_NOFILE, &have);
	}
}

static void print_settings(const struct bench_settings *s)
{
	char a[HUMAN_MAX], b[HUMAN_MAX], c[HUMAN_MAX], d[HUMAN_MAX];

	printf("Mount, %u rounds: a file of %s; %s small files, 8 processes twice as many; %s "
	       "names listed; log tail of %s.  ",
	       s->rounds, human_bytes(s->big_bytes, a), human_count(s->small_count, b),
	       human_count(s->list_count, c), human_bytes(s->tail_bytes, d));
	printf("Durable means fsync before close but on VeriStore, where close is enough.  "
	       "\"First\" is after a remount; the plain file system is not remounted.\n\n");
}

bool bench_mount(const struct bench_settings *s)
{
	struct bench *b = calloc(1, sizeof *b);
	bool ok = false;

	if (!b)
		return false;
	if (!bench_work_dir(s->dir, b->work)) {
		fprintf(stderr, "veristore-bench: %s: %s\n", s->dir, strerror(errno));
		free(b);
		return false;
	}
	b->s = s;
	raise_files();
	if (prepare(b))
		b->table = table_new(b->label, b->count);
	if (b->table) {
		machine_print(b->work, stdout);
		print_settings(s);
		run_groups(b);
		table_print(b->table, s->markdown, stdout);
		ok = true;
	}
	proc_remove_tree(b->work);
	table_free(b->table);
	free(b);
	return ok;
}
