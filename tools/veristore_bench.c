/* veristore-bench: how fast, beside what is there without VeriStore. */
#include "tools/bench_engine.h"
#include "tools/bench_mount.h"
#include "tools/bench_proc.h"
#include "tools/bench_table.h"
#include "tools/config.h"
#include "tools/version.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)
#define SIZE_MIN (1u << 20)
#define SIZE_MAX_BYTES ((uint64_t)1 << 40)
#define COUNT_MIN 100u
#define COUNT_MAX 10000000u

enum {
	OPT_QUICK = 256,
	OPT_BIG,
	OPT_MARKDOWN,
	OPT_SIZE,
	OPT_FILES,
	OPT_ONLY,
	OPT_VARIANTS,
	OPT_PROGRAMS
};

static const struct option options[] = {
	{"rounds", required_argument, NULL, 'n'},
	{"quick", no_argument, NULL, OPT_QUICK},
	{"big", no_argument, NULL, OPT_BIG},
	{"markdown", no_argument, NULL, OPT_MARKDOWN},
	{"size", required_argument, NULL, OPT_SIZE},
	{"files", required_argument, NULL, OPT_FILES},
	{"only", required_argument, NULL, OPT_ONLY},
	{"variants", required_argument, NULL, OPT_VARIANTS},
	{"programs", required_argument, NULL, OPT_PROGRAMS},
	{"options", required_argument, NULL, 'o'},
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static void print_help(void)
{
	puts("usage: veristore-bench [engine | mount | all] [OPTIONS] [DIR]\n"
	     "\n"
	     "Measure the engine and the mount against the same work on the plain file system\n"
	     "and on libfuse's pass-through example, in turns, in one run.  Works in a fresh\n"
	     "directory below DIR (default: $TMPDIR, else the present directory) and removes it.\n"
	     "\n"
	     "options:\n"
	     "  -n, --rounds N       rounds; medians are printed (default 5)\n"
	     "      --quick          small sizes, 3 rounds\n"
	     "      --size SIZE      of the large file (default 1G)\n"
	     "      --files N        small files; ten times as many names are listed (default "
	     "1000)\n"
	     "      --big            also one million names, and a restart with 10 GiB\n"
	     "      --only GROUPS    of the mount, separated by commas\n"
	     "      --variants LIST  of plain,pass,veristore\n"
	     "  -o, --options LIST   options for veristore (as after its -o)\n"
	     "      --programs DIR   where veristore lies (default: beside this program)\n"
	     "      --markdown       print tables for a README\n"
	     "  -q, --quiet          no progress on standard error\n"
	     "  -h, --help           print this and exit\n"
	     "  -V, --version        print the version and exit\n"
	     "\n"
	     "groups of the mount:");
	bench_mount_groups();
}

/* Everything the command line says. */
struct arguments {
	bool engine, mount;
	struct bench_settings m;
	struct bench_engine_settings e;
};

static void defaults(struct arguments *a, bool quick)
{
	struct bench_settings *m = &a->m;

	m->rounds = a->e.rounds = quick ? 3 : 5;
	m->big_bytes = (quick ? 128 : 1024) * MIB;
	m->update_bytes = 16 * MIB;
	m->tail_bytes = (quick ? 64 : 256) * MIB;
	m->small_count = quick ? 400 : 1000;
	m->list_count = m->small_count * 10;
	m->random_count = quick ? 5000 : 20000;
	m->update_count = quick ? 400 : 1600;
	m->million_count = 1000000;
	m->heavy_bytes = 10240 * MIB;
	a->e.put_count = quick ? 400 : 1600;
	a->e.get_count = quick ? 20000 : 100000;
	a->e.stream_bytes = m->big_bytes / 4;
}

static bool number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	if (config_size(text, min, max, out) == VS_OK)
		return true;
	fprintf(stderr, "veristore-bench: %s is not between %llu and %llu\n", text,
		(unsigned long long)min, (unsigned long long)max);
	return false;
}

static bool take(struct arguments *a, int opt, const char *arg)
{
	uint64_t v = 0;

	switch (opt) {
	case 'n':
		if (!number(arg, 1, TABLE_ROUNDS_MAX, &v))
			return false;
		a->m.rounds = a->e.rounds = (unsigned)v;
		return true;
	case OPT_SIZE:
		if (!number(arg, 4 * SIZE_MIN, SIZE_MAX_BYTES, &a->m.big_bytes))
			return false;
		a->e.stream_bytes = a->m.big_bytes / 4;
		return true;
	case OPT_FILES:
		if (!number(arg, COUNT_MIN, COUNT_MAX, &a->m.small_count))
			return false;
		a->m.list_count = a->m.small_count * 10;
		return true;
	case OPT_BIG:
		a->m.big = true;
		return true;
	case OPT_MARKDOWN:
		a->m.markdown = a->e.markdown = true;
		return true;
	case OPT_ONLY:
		a->m.only = arg;
		return true;
	case OPT_VARIANTS:
		a->m.variants = arg;
		return true;
	case OPT_PROGRAMS:
		a->m.programs = arg;
		return true;
	case 'o':
		a->m.options = arg;
		return true;
	case 'q':
		a->m.quiet = a->e.quiet = true;
		return true;
	default:
		return opt == OPT_QUICK;
	}
}

/* 0: go on; else the exit status + 1. */
static int parse(int argc, char **argv, struct arguments *a)
{
	const char *tmp = getenv("TMPDIR");
	const char *word;
	bool quick = false;
	int opt;

	memset(a, 0, sizeof *a);
	a->m.options = a->m.only = a->m.variants = "";
	while ((opt = getopt_long(argc, argv, "n:o:qhV", options, NULL)) != -1) {
		if (opt == 'h') {
			print_help();
			return 1;
		}
		if (opt == 'V') {
			puts("veristore-bench " VS_VERSION);
			return 1;
		}
		if (opt == OPT_QUICK)
			quick = true;
		if (opt == '?')
			return 2;
	}
	defaults(a, quick);
	optind = 1;
	while ((opt = getopt_long(argc, argv, "n:o:qhV", options, NULL)) != -1)
		if (!take(a, opt, optarg))
			return 2;
	word = optind < argc ? argv[optind] : "";
	a->engine = strcmp(word, "mount") != 0;
	a->mount = strcmp(word, "engine") != 0;
	if (!a->engine || !a->mount || !strcmp(word, "all"))
		optind++;
	a->m.dir = optind < argc ? argv[optind++] : tmp && *tmp ? tmp : ".";
	a->e.dir = a->m.dir;
	if (optind < argc) {
		fprintf(stderr, "veristore-bench: %s: too many arguments; see --help\n",
			argv[optind]);
		return 2;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct arguments a;
	int status = parse(argc, argv, &a);
	bool ok = true;

	if (status)
		return status - 1;
	proc_catch_signals();
	if (a.engine)
		ok = bench_engine(&a.e);
	if (a.engine && a.mount)
		putchar('\n');
	if (a.mount && !proc_interrupted())
		ok = bench_mount(&a.m) && ok;
	if (proc_interrupted())
		return 130;
	return ok ? 0 : 1;
}
