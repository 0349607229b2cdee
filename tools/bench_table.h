/*
 * bench_table: what was measured, and how it is printed.
 *
 * A row is one kind of work; a variant is one of the things that did it.  The
 * last variant is the subject, the ones before it are what it is compared
 * with.  Every (row, variant) holds one sample per round; printed are the
 * median, the range, and the ratio of the subject's median to each other
 * variant's: above 1 the subject is better, also where less is better.
 *
 * Thread rule: one thread.
 */
#ifndef VS_TOOLS_BENCH_TABLE_H
#define VS_TOOLS_BENCH_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#define TABLE_VARIANTS_MAX 3u
#define TABLE_ROUNDS_MAX 50u
#define TABLE_ROWS_MAX 64u

enum table_better {
	TABLE_MORE,   /* a rate */
	TABLE_LESS,   /* a duration, an amount */
	TABLE_FIGURE, /* no ratio */
};

/* Rows are static: the table compares pointers and keeps them. */
struct table_row {
	const char *name, *unit;
	enum table_better better;
	const char *cpu_per; /* what the CPU time is divided by; NULL: not shown */
};

struct table;

/* The names are borrowed.  NULL when out of memory. */
struct table *table_new(const char *const *variants, unsigned count);
void table_free(struct table *t);

/* One sample; cpu_us < 0: not known.  Samples beyond TABLE_ROUNDS_MAX are dropped. */
void table_add(struct table *t, const struct table_row *row, unsigned variant, double value,
	       double cpu_us);
/* The sample of this round is missing, with one sentence why (copied, printed once). */
void table_failed(struct table *t, const struct table_row *row, unsigned variant, const char *why);

void table_print(const struct table *t, bool markdown, FILE *out);

#endif
