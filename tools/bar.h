/*
 * bar: progress of long work, on a terminal only.
 *
 *   scrub  [##########..........]  52 %  3 s left
 *
 * Nothing is shown when stderr is no terminal or before the work has taken a
 * second.
 *
 * Thread rule: one thread per bar.
 */
#ifndef VS_TOOLS_BAR_H
#define VS_TOOLS_BAR_H

#include <stdbool.h>
#include <stdint.h>

struct bar {
	const char *name;
	bool terminal, shown;
	uint64_t started_ms;
};

void bar_init(struct bar *b, const char *name);
/* done of total, in any unit; total 0: not known yet. */
void bar_update(struct bar *b, uint64_t done, uint64_t total);
/* Take the bar off the screen. */
void bar_fini(struct bar *b);

#endif
