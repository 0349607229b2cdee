/*
 * fuzz_superblock: any bytes as a superblock slot, as they are and with a
 * checksum made to fit, so that the decoder is reached; and as a segment table.
 */
#include "engine/superblock.h"

#include "engine/base/assert.h"
#include "engine/base/checksum.h"
#include "tests/lib/env_mem.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void decode(const uint8_t slot[SUPERBLOCK_BYTES])
{
	uint8_t again[SUPERBLOCK_BYTES];
	struct superblock sb, back;

	if (superblock_decode(slot, &sb))
		return;
	vs_assert(sb.tree.bitmap_count <= TREE_BITMAP_MAX);
	/* what decodes is encoded and decoded to the same */
	superblock_encode(&sb, again);
	vs_assert(superblock_decode(again, &back) == VS_OK);
	vs_assert(back.generation == sb.generation && back.segments.sum == sb.segments.sum);
}

static void table(const uint8_t *data, size_t len)
{
	struct env_mem *m = env_mem_new(1);
	struct env *env = env_mem_env(m);
	struct log_segment *segs;
	struct segtable_ref ref;

	if (!segtable_create(env) && env_mem_poke(m, "segments.0", data, len, 0)) {
		ref.count = (uint32_t)(len / SEGTABLE_ENTRY);
		ref.sum = checksum_xxh3(data, (size_t)ref.count * SEGTABLE_ENTRY);
		if (!segtable_read(env, 0, ref, &segs))
			free(segs);
	}
	env_mem_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t slot[SUPERBLOCK_BYTES] = {0};

	if (len)
		memcpy(slot, data, len < sizeof slot ? len : sizeof slot);
	decode(slot);
	put_le64(slot + SUPERBLOCK_BYTES - 8, checksum_xxh3(slot, SUPERBLOCK_BYTES - 8));
	decode(slot);
	table(data, len);
	return 0;
}
