/* Superblock slots and segment tables: round trip, each copy damaged in turn, all of them. */
#include "engine/base/checksum.h"
#include "engine/superblock.h"
#include "tests/lib/env_mem.h"
#include "tests/lib/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct superblock sample(uint64_t gen)
{
	struct superblock sb = {.cluster_id = 99,
				.chunk_bytes = 1u << 20,
				.segment_bytes = 1u << 26,
				.generation = gen,
				.applied_index = 1000 + gen,
				.term = 7,
				.clean = gen % 2,
				.log = {3, 4096, 5, 6, 7, 8},
				.counters = {1, 2, 3, 4, 5, 6},
				.made_ns = 10,
				.checkpoint_ns = 11,
				.scrub = {1, 2, 3, 4, 5, 6},
				.segments = {3, 0x1234}};

	sb.tree = (struct tree_image){.gen = gen,
				      .file_pages = 100,
				      .used_pages = 50,
				      .root = {9, 0xabcdef},
				      .height = 2,
				      .bitmap_count = TREE_BITMAP_MAX};
	for (uint32_t i = 0; i < TREE_BITMAP_MAX; i++)
		sb.tree.bitmap[i] = (struct tree_ref){i + 1, i * 77u};
	return sb;
}

static void test_round_trip(void **state)
{
	uint8_t slot[SUPERBLOCK_BYTES], again[SUPERBLOCK_BYTES];
	struct superblock a = sample(3), b;

	(void)state;
	superblock_encode(&a, slot);
	assert_int_equal(superblock_decode(slot, &b), VS_OK);
	assert_int_equal(b.applied_index, a.applied_index);
	assert_true(b.clean);
	assert_int_equal(b.log.next_segment_id, 8);
	assert_int_equal(b.tree.bitmap[TREE_BITMAP_MAX - 1].page, TREE_BITMAP_MAX);
	assert_int_equal(b.segments.sum, 0x1234);
	assert_int_equal(b.scrub.finished_ns, 6);
	superblock_encode(&b, again);
	assert_memory_equal(slot, again, sizeof slot);
}

static void test_F61_every_byte_is_covered(void **state)
{
	uint8_t slot[SUPERBLOCK_BYTES];
	struct superblock a = sample(3), b;

	(void)state;
	superblock_encode(&a, slot);
	for (size_t i = 0; i < sizeof slot; i++) {
		slot[i] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(superblock_decode(slot, &b), VS_ERR_CORRUPT_SUPER);
		slot[i] ^= (uint8_t)(1u << i % 8);
	}
	assert_int_equal(superblock_decode(slot, &b), VS_OK);
}

/* Valid checksum, senseless contents: from a newer program, or hostile. */
static void test_newer_and_hostile(void **state)
{
	uint8_t slot[SUPERBLOCK_BYTES];
	struct superblock a = sample(3), b;

	(void)state;
	superblock_encode(&a, slot);
	put_le32(slot + 8, SUPERBLOCK_FORMAT + 1);
	put_le64(slot + 4088, checksum_xxh3(slot, 4088));
	assert_int_equal(superblock_decode(slot, &b), VS_ERR_NEWER_FORMAT);
	superblock_encode(&a, slot);
	put_le32(slot + 60, TREE_BITMAP_MAX + 1);
	put_le64(slot + 4088, checksum_xxh3(slot, 4088));
	assert_int_equal(superblock_decode(slot, &b), VS_ERR_CORRUPT_SUPER);
}

static void test_F61_copies(void **state)
{
	struct env_mem *m = env_mem_new(1);
	struct env *env = env_mem_env(m);
	struct superblock sb;
	struct env_file *f;
	uint32_t valid;

	(void)state;
	assert_int_equal(env->ops->open(env, SUPERBLOCK_FILE, ENV_WRITE | ENV_CREATE, &f), VS_OK);
	assert_int_equal(superblock_read(env, f, &sb, &valid), VS_ERR_CORRUPT_SUPER);
	for (uint64_t gen = 4; gen < 6; gen++) {
		sb = sample(gen);
		assert_int_equal(superblock_write(env, f, &sb), VS_OK);
	}
	for (uint32_t lost = 0; lost < 16; lost++) {
		enum vs_err err;

		for (uint32_t i = 0; i < 4; i++)
			if (lost & 1u << i)
				env_mem_flip(m, SUPERBLOCK_FILE, i * SUPERBLOCK_BYTES + 50, 1);
		err = superblock_read(env, f, &sb, &valid);
		assert_int_equal(valid, 4 - __builtin_popcount(lost));
		assert_int_equal(err, lost == 15 ? VS_ERR_CORRUPT_SUPER : VS_OK);
		/* generation 5 stands in slots 1 and 3 */
		if (!err)
			assert_int_equal(sb.generation, (lost & 10) == 10 ? 4 : 5);
		for (uint32_t i = 0; i < 4; i++)
			if (lost & 1u << i)
				env_mem_flip(m, SUPERBLOCK_FILE, i * SUPERBLOCK_BYTES + 50, 1);
	}
	env->ops->close(f);
	env_mem_free(m);
}

/* A crash at any block of a write leaves one of the two generations. */
static void test_F67_torn_write(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 200; seed++) {
		struct env_mem *m = env_mem_new(seed);
		struct env *env = env_mem_env(m);
		struct superblock sb = sample(8);
		struct env_file *f;
		uint32_t valid;

		assert_int_equal(env->ops->open(env, SUPERBLOCK_FILE, ENV_WRITE | ENV_CREATE, &f),
				 VS_OK);
		assert_int_equal(env->ops->allocate(f, 0, 4 * SUPERBLOCK_BYTES), VS_OK);
		assert_int_equal(superblock_write(env, f, &sb), VS_OK);
		sb = sample(9);
		assert_int_equal(superblock_write(env, f, &sb), VS_OK);
		assert_int_equal(env->ops->dir_sync(env, ""), VS_OK);
		sb = sample(10);
		env_mem_fail_at(m, 1 + seed % 3, ENV_MEM_FAIL_POWER);
		(void)!superblock_write(env, f, &sb);
		env->ops->close(f);
		env_mem_crash(m, ENV_MEM_TORN, seed);
		assert_int_equal(env->ops->open(env, SUPERBLOCK_FILE, ENV_WRITE, &f), VS_OK);
		assert_int_equal(superblock_read(env, f, &sb, &valid), VS_OK);
		assert_true(sb.generation == 9 || sb.generation == 10);
		env->ops->close(f);
		env_mem_free(m);
	}
}

/* --- segment table --- */

static struct log_segment *segments(uint32_t count)
{
	struct log_segment *g = calloc(count + 1, sizeof *g);

	for (uint32_t i = 0; i < count; i++)
		g[i] = (struct log_segment){.id = i + 1,
					    .slot = 3 * i,
					    .kind = LOG_KIND_LOG,
					    .state = LOG_SEG_SEALED,
					    .first_index = i * 10,
					    .last_index = i * 10 + 9,
					    .used_bytes = 5000,
					    .live_bytes = 4000 + i,
					    .live_count = i};
	return g;
}

static void test_F61_segment_table(void **state)
{
	static const uint32_t counts[] = {0, 1, 85, 86, 2000};
	struct env_mem *m = env_mem_new(1);
	struct env *env = env_mem_env(m);

	(void)state;
	assert_int_equal(segtable_create(env), VS_OK);
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		struct log_segment *g = segments(counts[i]), *back;
		size_t copy = (counts[i] * (size_t)SEGTABLE_ENTRY + 4095) / 4096 * 4096;
		struct segtable_ref ref;

		copy = copy ? copy : 4096;
		assert_int_equal(segtable_write(env, i, g, counts[i], &ref), VS_OK);
		for (int lost = 0; lost < 4; lost++) {
			const char *name = i % 2 ? "segments.1" : "segments.0";
			enum vs_err err;

			if (lost & 1)
				env_mem_flip(m, name, 40, 1);
			if (lost & 2)
				env_mem_flip(m, name, copy + 40, 1);
			err = segtable_read(env, i, ref, &back);
			if (counts[i])
				assert_int_equal(err, lost == 3 ? VS_ERR_CORRUPT_SUPER : VS_OK);
			if (!err) {
				for (uint32_t j = 0; j < counts[i]; j++) {
					assert_int_equal(back[j].live_bytes, g[j].live_bytes);
					assert_int_equal(back[j].slot, g[j].slot);
					assert_int_equal(back[j].last_index, g[j].last_index);
				}
				free(back);
			}
			if (lost & 1)
				env_mem_flip(m, name, 40, 1);
			if (lost & 2)
				env_mem_flip(m, name, copy + 40, 1);
		}
		/* a reference that was not written there */
		ref.count++;
		assert_int_equal(segtable_read(env, i, ref, &back), VS_ERR_CORRUPT_SUPER);
		ref.count = UINT32_MAX;
		assert_int_equal(segtable_read(env, i, ref, &back), VS_ERR_CORRUPT_SUPER);
		free(g);
	}
	env_mem_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_F61_every_byte_is_covered),
		cmocka_unit_test(test_newer_and_hostile),
		cmocka_unit_test(test_F61_copies),
		cmocka_unit_test(test_F67_torn_write),
		cmocka_unit_test(test_F61_segment_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
