#include "tools/bench_table.h"

#include <stdlib.h>
#include <string.h>

#define WHY_MAX 200u
#define CELL_MAX 64u
#define NAME_WIDTH 40
#define CELL_WIDTH 24

struct series {
	unsigned count, cpu_count;
	double value[TABLE_ROUNDS_MAX], cpu_us[TABLE_ROUNDS_MAX];
	unsigned failed;
	char why[WHY_MAX];
};

struct table {
	const char *const *variants;
	unsigned variant_count, row_count;
	const struct table_row *row[TABLE_ROWS_MAX];
	struct series series[TABLE_ROWS_MAX][TABLE_VARIANTS_MAX];
};

struct table *table_new(const char *const *variants, unsigned count)
{
	struct table *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	t->variants = variants;
	t->variant_count = count;
	return t;
}

void table_free(struct table *t)
{
	free(t);
}

/* The samples of (row, variant); a new row goes to the end.  NULL: no room. */
static struct series *find(struct table *t, const struct table_row *row, unsigned variant)
{
	unsigned i = 0;

	while (i < t->row_count && t->row[i] != row)
		i++;
	if (i == t->row_count) {
		if (i == TABLE_ROWS_MAX)
			return NULL;
		t->row[t->row_count++] = row;
	}
	return variant < t->variant_count ? &t->series[i][variant] : NULL;
}

void table_add(struct table *t, const struct table_row *row, unsigned variant, double value,
	       double cpu_us)
{
	struct series *s = find(t, row, variant);

	if (!s || s->count == TABLE_ROUNDS_MAX)
		return;
	s->value[s->count++] = value;
	if (cpu_us >= 0)
		s->cpu_us[s->cpu_count++] = cpu_us;
}

void table_failed(struct table *t, const struct table_row *row, unsigned variant, const char *why)
{
	struct series *s = find(t, row, variant);

	if (s && !s->failed++)
		snprintf(s->why, sizeof s->why, "%s", why);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct summary {
	double median, min, max;
};

static bool summarize(const double *value, unsigned count, struct summary *out)
{
	double v[TABLE_ROUNDS_MAX];

	if (!count)
		return false;
	memcpy(v, value, count * sizeof *v);
	qsort(v, count, sizeof *v, by_value);
	out->median = (v[(count - 1) / 2] + v[count / 2]) / 2;
	out->min = v[0];
	out->max = v[count - 1];
	return true;
}

static const char *number(double v, char buf[CELL_MAX])
{
	if (v >= 1e6)
		snprintf(buf, CELL_MAX, "%.2fM", v / 1e6);
	else if (v >= 1e5)
		snprintf(buf, CELL_MAX, "%.0fk", v / 1e3);
	else if (v >= 1e4)
		snprintf(buf, CELL_MAX, "%.1fk", v / 1e3);
	else
		snprintf(buf, CELL_MAX, "%.*f", v >= 100 ? 0 : v >= 10 ? 1 : 2, v);
	return buf;
}

static void value_cell(const struct series *s, bool markdown, char buf[CELL_MAX])
{
	char a[CELL_MAX], b[CELL_MAX], c[CELL_MAX];
	struct summary m;

	if (!summarize(s->value, s->count, &m))
		snprintf(buf, CELL_MAX, "%s", s->failed ? "failed" : "-");
	else if (markdown || s->count == 1)
		snprintf(buf, CELL_MAX, "%s", number(m.median, a));
	else
		snprintf(buf, CELL_MAX, "%.12s (%.12s..%.12s)", number(m.median, a),
			 number(m.min, b), number(m.max, c));
}

static void ratio_cell(const struct table_row *row, const struct series *subject,
		       const struct series *base, char buf[CELL_MAX])
{
	struct summary s, b;
	double up, down;

	if (row->better == TABLE_FIGURE || !summarize(subject->value, subject->count, &s) ||
	    !summarize(base->value, base->count, &b)) {
		snprintf(buf, CELL_MAX, "-");
		return;
	}
	up = row->better == TABLE_MORE ? s.median : b.median;
	down = row->better == TABLE_MORE ? b.median : s.median;
	if (down > 0)
		snprintf(buf, CELL_MAX, "%.2f", up / down);
	else
		snprintf(buf, CELL_MAX, "-");
}

static void cpu_cell(const struct table_row *row, const struct series *s, char buf[CELL_MAX])
{
	struct summary m;

	if (row->cpu_per && summarize(s->cpu_us, s->cpu_count, &m))
		number(m.median, buf);
	else
		snprintf(buf, CELL_MAX, "-");
}

static void print_failures(const struct table *t, FILE *out)
{
	for (unsigned r = 0; r < t->row_count; r++)
		for (unsigned v = 0; v < t->variant_count; v++)
			if (t->series[r][v].failed)
				fprintf(out, "%s, %s: failed %u times: %s\n", t->row[r]->name,
					t->variants[v], t->series[r][v].failed,
					t->series[r][v].why);
}

static void print_text(const struct table *t, FILE *out)
{
	unsigned subject = t->variant_count - 1;
	char cell[CELL_MAX];

	fprintf(out, "%-*s %-9s", NAME_WIDTH, "work", "unit");
	for (unsigned v = 0; v < t->variant_count; v++)
		fprintf(out, " %*s", CELL_WIDTH, t->variants[v]);
	for (unsigned v = 0; v < subject; v++)
		fprintf(out, "  x%-12.12s", t->variants[v]);
	fprintf(out, "  CPU us each\n");
	for (unsigned r = 0; r < t->row_count; r++) {
		const struct table_row *row = t->row[r];

		fprintf(out, "%-*s %-9s", NAME_WIDTH, row->name, row->unit);
		for (unsigned v = 0; v < t->variant_count; v++) {
			value_cell(&t->series[r][v], false, cell);
			fprintf(out, " %*s", CELL_WIDTH, cell);
		}
		for (unsigned v = 0; v < subject; v++) {
			ratio_cell(row, &t->series[r][subject], &t->series[r][v], cell);
			fprintf(out, row->cpu_per || v + 1 < subject ? "  %-13s" : "  %s", cell);
		}
		if (row->cpu_per)
			fprintf(out, " ");
		for (unsigned v = 0; row->cpu_per && v < t->variant_count; v++) {
			cpu_cell(row, &t->series[r][v], cell);
			fprintf(out, "%s %s", v ? " /" : "", cell);
		}
		fprintf(out, row->cpu_per ? " per %s\n" : "%s\n", row->cpu_per ? row->cpu_per : "");
	}
}

static void print_markdown(const struct table *t, FILE *out)
{
	unsigned subject = t->variant_count - 1;
	char cell[CELL_MAX];

	fprintf(out, "| work | unit |");
	for (unsigned v = 0; v < t->variant_count; v++)
		fprintf(out, " %s |", t->variants[v]);
	for (unsigned v = 0; v < subject; v++)
		fprintf(out, " x %s |", t->variants[v]);
	fprintf(out, " CPU us each |\n|---|---|");
	for (unsigned v = 0; v < t->variant_count + subject; v++)
		fprintf(out, "---:|");
	fprintf(out, "---|\n");
	for (unsigned r = 0; r < t->row_count; r++) {
		const struct table_row *row = t->row[r];

		fprintf(out, "| %s | %s |", row->name, row->unit);
		for (unsigned v = 0; v < t->variant_count; v++) {
			value_cell(&t->series[r][v], true, cell);
			fprintf(out, " %s |", cell);
		}
		for (unsigned v = 0; v < subject; v++) {
			ratio_cell(row, &t->series[r][subject], &t->series[r][v], cell);
			fprintf(out, " %s |", cell);
		}
		for (unsigned v = 0; row->cpu_per && v < t->variant_count; v++) {
			cpu_cell(row, &t->series[r][v], cell);
			fprintf(out, "%s %s", v ? " /" : "", cell);
		}
		fprintf(out, " |\n");
	}
}

void table_print(const struct table *t, bool markdown, FILE *out)
{
	if (markdown)
		print_markdown(t, out);
	else
		print_text(t, out);
	print_failures(t, out);
	fflush(out);
}
