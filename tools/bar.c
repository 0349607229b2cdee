#include "tools/bar.h"

#include "tools/human.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define WIDTH 24u
#define PATIENCE_MS 1000u

static uint64_t now_ms(void)
{
	struct timespec t = {0, 0};

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void bar_init(struct bar *b, const char *name)
{
	b->name = name;
	b->terminal = isatty(STDERR_FILENO);
	b->shown = false;
	b->started_ms = now_ms();
}

void bar_update(struct bar *b, uint64_t done, uint64_t total)
{
	uint64_t spent = now_ms() - b->started_ms;
	char left[HUMAN_MAX], track[WIDTH + 1];
	unsigned full;
	double part;

	if (!b->terminal || spent < PATIENCE_MS)
		return;
	b->shown = true;
	if (!total) {
		fprintf(stderr, "\r%s  %s\033[K", b->name, human_seconds(spent / 1000, left));
		return;
	}
	part = done < total ? (double)done / (double)total : 1;
	full = (unsigned)(part * WIDTH);
	for (unsigned i = 0; i < WIDTH; i++)
		track[i] = i < full ? '#' : '.';
	track[WIDTH] = 0;
	fprintf(stderr, "\r%s  [%s]  %3.0f %%", b->name, track, part * 100);
	if (part > 0.01)
		fprintf(stderr, "  %s left",
			human_seconds((uint64_t)((double)spent * (1 - part) / part / 1000), left));
	fputs("\033[K", stderr);
}

void bar_fini(struct bar *b)
{
	if (b->shown)
		fputs("\r\033[K", stderr);
	b->shown = false;
}
