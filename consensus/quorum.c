#include "consensus/quorum.h"

#include "engine/base/assert.h"

uint32_t quorum_size(uint32_t voters)
{
	uint32_t n = voters / 2 + 1;

	vs_assert(voters > 0);
	vs_assert(2 * n > voters && n <= voters); /* C1: two majorities meet */
	return n;
}

uint64_t quorum_index(uint64_t *match, uint32_t count)
{
	vs_assert(count > 0);
	/* Insertion sort, falling: a group has a handful of voters. */
	for (uint32_t i = 1; i < count; i++) {
		uint64_t v = match[i];
		uint32_t j = i;

		for (; j > 0 && match[j - 1] < v; j--)
			match[j] = match[j - 1];
		match[j] = v;
	}
	vs_assert(match[0] >= match[count - 1]);
	return match[quorum_size(count) - 1];
}

enum quorum_result quorum_vote(uint32_t voters, uint32_t yes, uint32_t no)
{
	uint32_t need = quorum_size(voters);

	vs_assert(yes + no <= voters);
	if (yes >= need)
		return QUORUM_WON;
	return voters - no < need ? QUORUM_LOST : QUORUM_OPEN;
}
