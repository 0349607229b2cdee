/*
 * test_log_crash: the log under power loss, failing devices and damage.
 *
 * Enumerated: every counted call of a short workload fails or is the last one
 * before the power goes, each with several choices of what reached the disk.
 * What must hold: the log opens, what was synced is there, what came back is
 * a prefix of what was ordered, byte for byte (E28).
 *
 * F49 (suffix truncation) and F78, F80 (cleaning against truncation) cannot
 * occur: the log has no truncation; a new term goes on behind the end.
 */
#include "tests/lib/rand.h"
#include "tests/unit/test_log_util.h"

static void ok(enum vs_err err)
{
	if (err)
		print_error("%s\n", vs_err_name(err));
	assert_int_equal(err, VS_OK);
}

/* A rig of its own on a copy of the disk; the model's bytes are shared. */
static struct rig *copy(const struct rig *from)
{
	struct rig *r = malloc(sizeof *r);

	memcpy(r, from, sizeof *r);
	r->m = env_mem_clone(from->m);
	r->config.env = env_mem_env(r->m);
	r->l = NULL;
	r->wrong = false;
	return r;
}

static void copy_free(struct rig *r)
{
	log_close(r->l);
	env_mem_free(r->m);
	free(r);
}

static enum vs_err checkpoint(struct rig *r, uint64_t *acked)
{
	enum vs_err err = log_sync(r->l, r->last);

	if (err)
		return err;
	*acked = r->last;
	rig_checkpoint(r);
	log_adopt(r->l, r->pos.index);
	for (uint32_t i = 0; !err && i < r->known_count; i++)
		if (r->known[i].id != r->pos.segment)
			err = log_free(r->l, r->known[i].id);
	return err;
}

/* About twenty calls; *acked is what a log_sync said is durable. */
static enum vs_err workload(struct rig *r, uint64_t seed, uint64_t *acked)
{
	struct rnd rnd = rnd_of(seed);
	enum vs_err err = VS_OK;

	for (unsigned i = 0; !err && i < 24; i++) {
		uint32_t what = (uint32_t)rnd_below(&rnd, 12);
		uint64_t last = r->last;

		if (what < 4)
			err = rig_append(r, LOG_TXN, (uint32_t)rnd_below(&rnd, 300),
					 (uint32_t)rnd_below(&rnd, 600), false);
		else if (what < 6)
			err = rig_append(r, LOG_TXN, 10, (uint32_t)rnd_below(&rnd, 80000), false);
		else if (what < 7)
			err = rig_append(r, LOG_TXN, 9000, 0, false);
		else if (what < 8)
			err = log_write(r->l, last);
		else if (what < 10) {
			err = log_sync(r->l, last);
			*acked = err ? *acked : last;
		} else if (what < 11)
			err = log_prepare(r->l);
		else
			err = checkpoint(r, acked);
	}
	return err;
}

static void check_back(struct rig *r, uint64_t acked, const char *what, uint64_t k, uint64_t seed)
{
	if (r->wrong || r->replayed < acked || !rig_reads(r, r->pos.index + 1))
		fail_msg("%s at %llu, seed %llu: wrong %d, back %llu, acked %llu", what,
			 (unsigned long long)k, (unsigned long long)seed, r->wrong,
			 (unsigned long long)r->replayed, (unsigned long long)acked);
}

/* Restart, write in the new term, restart again: stale records stay behind. */
static void restarts(struct rig *r, uint64_t acked, enum env_mem_crash mode, uint64_t k,
		     uint64_t seed)
{
	enum vs_err err = rig_restart(r, mode, seed);

	if (err)
		fail_msg("open after crash at %llu, seed %llu: %s, %s", (unsigned long long)k,
			 (unsigned long long)seed, vs_err_name(err), r->report.text);
	check_back(r, acked, "crash", k, seed);
	for (unsigned i = 0; i < 3; i++)
		ok(rig_append(r, LOG_TXN, 40, i * 3000, true));
	ok(log_sync(r->l, r->last - 1));
	acked = r->last - 1;
	ok(log_write(r->l, r->last));
	ok(rig_restart(r, ENV_MEM_TORN, seed + 1));
	check_back(r, acked, "second crash", k, seed);
	ok(log_sync(r->l, r->last));
	acked = r->last;
	ok(rig_restart(r, ENV_MEM_KEEP, 0));
	check_back(r, acked, "third start", k, seed);
}

/* F45 F46 F47 F48 F52 F63 F66 E20 E21 E22 E23 E25 E28 */
static void crash_everywhere_F45_F47_F48_F63_F66_E21_E23_E25_E28(void **state)
{
	static const enum env_mem_crash modes[] = {ENV_MEM_LOSE,   ENV_MEM_KEEP, ENV_MEM_BLOCKS,
						   ENV_MEM_BLOCKS, ENV_MEM_TORN, ENV_MEM_TORN};
	const char *more = getenv("VS_SEEDS");
	uint64_t seeds = more ? strtoull(more, NULL, 10) : 6;

	(void)state;
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		for (uint64_t k = 1;; k++) {
			uint64_t acked = 0;
			bool done = false;

			for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) {
				struct rig *r = rig_new(seed);

				ok(rig_create(r));
				env_mem_fail_at(r->m, k, ENV_MEM_FAIL_POWER);
				acked = 0;
				(void)!workload(r, seed, &acked);
				done = !env_mem_is_off(r->m);
				restarts(r, acked, modes[i], k, seed * 100 + i);
				rig_free(r);
			}
			if (done)
				break;
		}
	}
}

/* F54 F55 F56 E29: a call fails once; afterwards nothing is acknowledged. */
static void fail_everywhere_F54_F55_E29(void **state)
{
	static const enum env_mem_fail kinds[] = {ENV_MEM_FAIL_ONCE, ENV_MEM_FAIL_ON,
						  ENV_MEM_FAIL_NOSPC};

	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++) {
		for (uint64_t k = 1; k < 60; k++) {
			for (unsigned i = 0; i < 3; i++) {
				struct rig *r = rig_new(seed);
				uint64_t acked = 0, io;
				struct log_stats stats;
				enum vs_err err;

				ok(rig_create(r));
				io = env_mem_io_count(r->m);
				env_mem_fail_at(r->m, k, kinds[i]);
				err = workload(r, seed, &acked);
				log_stats(r->l, &stats);
				if (stats.stopped) {
					assert_true(err != VS_OK);
					io = env_mem_io_count(r->m);
					assert_int_equal(log_sync(r->l, r->last), VS_ERR_STOPPED);
					assert_int_equal(log_write(r->l, r->last), VS_ERR_STOPPED);
					assert_int_equal(log_prepare(r->l), VS_ERR_STOPPED);
					assert_int_equal(log_room(r->l, 1, 1, true),
							 VS_ERR_STOPPED);
					assert_int_equal(log_value_sync(r->l), VS_ERR_STOPPED);
					assert_int_equal(io, env_mem_io_count(r->m));
				}
				assert_true(env_mem_io_count(r->m) >= io);
				env_mem_fail_at(r->m, 0, ENV_MEM_FAIL_NONE);
				restarts(r, acked, ENV_MEM_BLOCKS, k, seed);
				rig_free(r);
			}
		}
	}
}

/* A small log whose last record vouches for all before it. */
static struct rig *small_log(uint64_t *synced)
{
	static const uint32_t size[][2] = {{0, 0}, {30, 0}, {10, 500}, {8, 0}, {0, 4100}, {17, 3}};
	struct rig *r = rig_new(9);

	ok(rig_create(r));
	for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
		ok(rig_append(r, LOG_TXN, size[i][0], size[i][1], false));
		if (i % 2)
			ok(log_sync(r->l, r->last));
	}
	*synced = r->last;
	ok(rig_append(r, LOG_TXN, 50, 700, false));
	ok(log_write(r->l, r->last));
	return r;
}

/* F46: the last record cut at every byte. */
static void torn_at_every_byte_F46(void **state)
{
	static const uint8_t zeros[2 * RECORD_BLOCK];
	uint64_t synced;
	struct rig *r = small_log(&synced), *c;
	struct log_position end;
	uint32_t start, len = record_len(50, 700);

	(void)state;
	log_position_now(r->l, &end);
	start = end.off - len;
	for (uint32_t cut = 0; cut <= len; cut++) {
		c = copy(r);
		assert_true(env_mem_poke(c->m, "log/00000000", zeros, len - cut, start + cut));
		env_mem_crash(c->m, ENV_MEM_KEEP, 0);
		ok(rig_open(c));
		assert_false(c->wrong);
		/* the last bytes are padding and zeros of the pattern */
		assert_true(c->replayed == synced || (c->replayed == synced + 1 && cut + 8 > len));
		copy_free(c);
	}
	rig_free(r);
}

/* Every byte is flipped; under a sanitizer, ten times slower, every seventh. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FLIP_STEP 7u
#else
#define FLIP_STEP 1u
#endif

/* F50 F53 F59 F60: any byte flipped gives the right records or an error. */
static void flip_every_byte_F53_F59(void **state)
{
	uint64_t synced, named = 0;
	struct rig *r = small_log(&synced), *c;
	struct log_position end;
	enum vs_err err;

	(void)state;
	log_position_now(r->l, &end);
	for (uint32_t off = 0; off < end.off; off += FLIP_STEP) {
		c = copy(r);
		assert_true(env_mem_flip(c->m, "log/00000000", off, (uint8_t)(1 + off % 255)));
		env_mem_crash(c->m, ENV_MEM_KEEP, 0);
		err = rig_open(c);
		assert_false(c->wrong);
		if (err) {
			assert_int_equal(vs_err_class(err), VS_CLASS_DAMAGE);
			assert_int_equal(c->report.damage_segment, 1);
			assert_true(c->report.damage_off <= off || off < RECORD_BLOCK);
			assert_true(strlen(c->report.text) > 0);
			named++;
		} else if (c->replayed < synced) {
			fail_msg("offset %u: only %llu came back", off,
				 (unsigned long long)c->replayed);
		}
		copy_free(c);
	}
	assert_true(named > (7 * LOG_RECORD_HEADER - 72) / FLIP_STEP);
	rig_free(r);
}

/* Damage is refused and nothing on the disk changes. */
static void damage_changes_nothing_F59(void **state)
{
	uint64_t synced;
	struct rig *r = small_log(&synced);
	static uint8_t before[LOG_SEGMENT_MIN], after[LOG_SEGMENT_MIN];
	uint64_t io;

	(void)state;
	assert_true(env_mem_flip(r->m, "log/00000000", r->rec[2].place.off - 1, 1));
	log_close(r->l);
	r->l = NULL;
	env_mem_crash(r->m, ENV_MEM_KEEP, 0);
	env_mem_peek(r->m, "log/00000000", before, sizeof before, 0);
	env_mem_fail_mask(r->m, ENV_MEM_WRITE | ENV_MEM_ALLOCATE | ENV_MEM_TRUNCATE |
					ENV_MEM_UNLINK | ENV_MEM_CREATE | ENV_MEM_RENAME);
	io = env_mem_io_count(r->m);
	assert_int_equal(rig_open(r), VS_ERR_CORRUPT_LOG);
	assert_int_equal(r->replayed, 0); /* found before anything was delivered */
	assert_int_equal(env_mem_io_count(r->m), io);
	env_mem_peek(r->m, "log/00000000", after, sizeof after, 0);
	assert_memory_equal(before, after, sizeof before);
	rig_free(r);
}

static void fill_two(struct rig *r)
{
	struct log_position now;

	do {
		ok(rig_append(r, LOG_TXN, 20, 20000, false));
		log_position_now(r->l, &now);
	} while (now.segment < 3);
	ok(log_sync(r->l, r->last));
	ok(rig_append(r, LOG_TXN, 1, 1, false));
	ok(log_write(r->l, r->last));
}

/* F52: the newest segments are gone, or only their header. */
static void newest_segment_missing_F52_E23(void **state)
{
	struct rig *r = rig_new(11), *c;

	(void)state;
	ok(rig_create(r));
	fill_two(r);
	for (unsigned i = 0; i < 2; i++) {
		const struct env_ops *ops = r->config.env->ops;

		c = copy(r);
		if (i == 0)
			ok(ops->unlink(c->config.env, "log/00000002"));
		else
			assert_true(env_mem_flip(c->m, "log/00000002", 20, 0x40));
		env_mem_crash(c->m, ENV_MEM_KEEP, 0);
		assert_int_equal(rig_open(c), VS_ERR_CORRUPT_SEGMENT);
		assert_int_equal(c->report.damage_segment, 3);
		copy_free(c);
	}
	/* the ROLL of segment 2 damaged: segment 3 vouches */
	c = copy(r);
	{
		struct log_segment seg;

		ok(log_segment_get(r->l, 2, &seg));
		assert_true(env_mem_flip(c->m, "log/00000001", seg.used_bytes - 1, 1));
		env_mem_crash(c->m, ENV_MEM_KEEP, 0);
		assert_int_equal(rig_open(c), VS_ERR_CORRUPT_LOG);
		assert_int_equal(c->report.damage_segment, 2);
		copy_free(c);
	}
	rig_free(r);
}

/* F62: a write that went elsewhere, or nowhere, is found. */
static void lost_and_misdirected_writes_F62(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct rig *r = rig_new(12);

		ok(rig_create(r));
		ok(rig_append(r, LOG_TXN, 10, 5000, false));
		ok(log_sync(r->l, r->last));
		assert_true(i ? env_mem_misdirect_next(r->m, "log/00000000", 16384)
			      : env_mem_lose_next(r->m, "log/00000000"));
		for (unsigned n = 0; n < 6; n++) {
			ok(rig_append(r, LOG_TXN, 10, 5000, false));
			ok(log_sync(r->l, r->last));
		}
		log_close(r->l);
		r->l = NULL;
		assert_int_equal(rig_open(r), VS_ERR_CORRUPT_LOG);
		assert_false(r->wrong);
		rig_free(r);
	}
}

/*
 * A record whose data was torn stands behind the last good one in the same
 * block; the next life begins at the next block.  It must stay dropped when
 * the next life's records are synced.
 */
static void torn_record_stays_dropped_F46_F60(void **state)
{
	struct rig *r = rig_new(13);
	uint64_t last;

	(void)state;
	ok(rig_create(r));
	ok(rig_append(r, LOG_TXN, 10, 10, false));
	ok(rig_append(r, LOG_TXN, 10, 20000, false));
	ok(log_write(r->l, r->last));
	/* only the first block of the unsynced ones reaches the disk */
	log_close(r->l);
	r->l = NULL;
	env_mem_crash(r->m, ENV_MEM_MASK, 1);
	ok(rig_open(r));
	assert_int_equal(r->replayed, 1);
	assert_true(r->report.torn_tail);
	rig_forget(r, 1);
	r->term++;
	for (unsigned i = 0; i < 4; i++) {
		ok(rig_append(r, LOG_TXN, 0, 100, false));
		ok(log_sync(r->l, r->last));
	}
	last = r->last;
	ok(rig_restart(r, ENV_MEM_LOSE, 0));
	assert_false(r->wrong);
	assert_int_equal(r->replayed, last);
	rig_free(r);
}

/* F50: a last record that is sound in itself but not of this place in this log. */
static void foreign_records_are_not_followed_F50(void **state)
{
	static const struct {
		unsigned at;
		uint64_t add;
	} field[] = {{8, 1}, {16, 1}, {24, (uint64_t)-1}, {32, 1}, {32, (uint64_t)-1}};
	uint8_t head[LOG_RECORD_HEADER];
	uint64_t synced;
	struct rig *r = small_log(&synced), *c;
	struct log_position end;
	uint32_t start;

	(void)state;
	log_position_now(r->l, &end);
	start = end.off - record_len(50, 700);
	for (size_t i = 0; i <= sizeof field / sizeof *field; i++) {
		c = copy(r);
		env_mem_peek(c->m, "log/00000000", head, sizeof head, start);
		if (i < sizeof field / sizeof *field)
			put_le64(head + field[i].at, get_le64(head + field[i].at) + field[i].add);
		else
			put_le32(head + 56, get_le32(head + 56) + 1); /* prev_crc */
		put_le32(head + 68, checksum_crc32c(head, 68));
		assert_true(env_mem_poke(c->m, "log/00000000", head, sizeof head, start));
		env_mem_crash(c->m, ENV_MEM_KEEP, 0);
		ok(rig_open(c));
		assert_false(c->wrong);
		assert_int_equal(c->replayed, synced);
		copy_free(c);
	}
	rig_free(r);
}

/* F66: after kill -9 the page cache has more than the disk; what an open saw must last. */
static void open_makes_durable_what_it_read_F66(void **state)
{
	struct rig *r = rig_new(14);

	(void)state;
	ok(rig_create(r));
	for (unsigned i = 0; i < 20; i++)
		ok(rig_append(r, LOG_TXN, 10, 30000, false));
	ok(log_write(r->l, r->last));
	log_close(r->l);
	r->l = NULL;
	ok(rig_open(r));
	assert_int_equal(r->replayed, 20);
	assert_int_equal(log_synced_index(r->l), 20);
	log_close(r->l);
	r->l = NULL;
	env_mem_crash(r->m, ENV_MEM_LOSE, 0);
	ok(rig_open(r));
	assert_int_equal(r->replayed, 20);
	rig_free(r);
}

/* E21: behind a sync, and behind a restart, the next record begins a block. */
static void durable_blocks_stay_E21(void **state)
{
	struct rig *r = rig_new(15);
	struct log_position before, after;

	(void)state;
	ok(rig_create(r));
	for (unsigned i = 0; i < 10; i++) {
		ok(rig_append(r, LOG_TXN, 10, 0, false));
		if (i % 2)
			ok(log_write(r->l, r->last));
		log_position_now(r->l, &before);
		assert_int_not_equal(before.off % RECORD_BLOCK, 0);
		ok(log_sync(r->l, r->last));
		log_position_now(r->l, &after);
		assert_int_equal(after.off, record_align(before.off));
		if (i % 3 == 0) {
			ok(rig_restart(r, ENV_MEM_LOSE, 0));
			assert_int_equal(r->rec[r->last].place.off % RECORD_BLOCK,
					 LOG_RECORD_HEADER);
		}
	}
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crash_everywhere_F45_F47_F48_F63_F66_E21_E23_E25_E28),
		cmocka_unit_test(fail_everywhere_F54_F55_E29),
		cmocka_unit_test(torn_at_every_byte_F46),
		cmocka_unit_test(flip_every_byte_F53_F59),
		cmocka_unit_test(damage_changes_nothing_F59),
		cmocka_unit_test(newest_segment_missing_F52_E23),
		cmocka_unit_test(lost_and_misdirected_writes_F62),
		cmocka_unit_test(torn_record_stays_dropped_F46_F60),
		cmocka_unit_test(foreign_records_are_not_followed_F50),
		cmocka_unit_test(open_makes_durable_what_it_read_F66),
		cmocka_unit_test(durable_blocks_stay_E21),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
