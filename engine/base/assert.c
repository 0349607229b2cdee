#include "engine/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void vs_assert_failed(const char *file, int line, const char *text)
{
	fprintf(stderr, "veristore: invariant broken at %s:%d: %s\n", file, line, text);
	abort();
}
