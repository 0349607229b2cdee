/*
 * test_log: the log without crashes: appending, reading, rolling, recycling,
 * space, value segments.
 */
#include "tests/unit/test_log_util.h"

static void ok(enum vs_err err)
{
	if (err)
		print_error("%s\n", vs_err_name(err));
	assert_int_equal(err, VS_OK);
}

static void append_read_reopen(void **state)
{
	static const uint32_t size[][2] = {{0, 0},    {1, 0},      {100, 1},        {7, 4096},
					   {0, 4097}, {300, 9000}, {70000, 100000}, {9, 0}};
	struct rig *r = rig_new(1);

	(void)state;
	ok(rig_create(r));
	ok(rig_append(r, LOG_NOOP, 0, 0, false));
	for (unsigned round = 0; round < 20; round++)
		for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
			ok(rig_append(r, LOG_TXN, size[i][0], size[i][1], false));
			if (i % 3 == round % 3)
				ok(log_write(r->l, r->last));
			if (i == round % 8)
				ok(log_sync(r->l, r->last));
			assert_true(log_synced_index(r->l) <= log_written_index(r->l)); /* E20 */
			assert_true(log_written_index(r->l) <= log_last_index(r->l));
		}
	ok(log_sync(r->l, r->last));
	assert_true(rig_reads(r, 1));
	log_close(r->l);
	r->l = NULL;
	ok(rig_open(r));
	assert_false(r->wrong);
	assert_false(r->report.torn_tail);
	assert_int_equal(r->replayed, r->last);
	assert_int_equal(r->report.records, r->last);
	assert_true(rig_reads(r, 1));
	rig_free(r);
}

static void limits_are_told(void **state)
{
	struct rig *r = rig_new(2);

	(void)state;
	ok(rig_create(r));
	assert_int_equal(log_room(r->l, LOG_META_MAX + 1, 0, false), VS_ERR_TOOBIG);
	assert_int_equal(log_room(r->l, 0, LOG_DATA_MAX + 1, false), VS_ERR_TOOBIG);
	assert_int_equal(log_room(r->l, 0, LOG_SEGMENT_MIN - 8192, false), VS_ERR_TOOBIG);
	assert_int_equal(log_room(r->l, 0, LOG_SEGMENT_MIN - 8192 - 72 - 248, false), VS_OK);
	ok(rig_append(r, LOG_TXN, 0, LOG_SEGMENT_MIN - 8192 - 72 - 248, false));
	ok(log_sync(r->l, 1));
	rig_free(r);
}

/* The queue is bounded: log_room says BUSY, log_prepare empties it. */
static void full_queue(void **state)
{
	struct rig *r = rig_new(3);
	unsigned n = 0;

	(void)state;
	ok(rig_create(r));
	while (log_room(r->l, 16, 0, false) == VS_OK && n < 4000) {
		ok(rig_append(r, LOG_TXN, 16, 0, false));
		n++;
	}
	assert_int_equal(log_written_index(r->l), 0);
	for (n = 0; n < 90; n++)
		ok(rig_append(r, LOG_TXN, 1, 30000, false));
	ok(log_sync(r->l, r->last));
	assert_true(rig_reads(r, 1));
	rig_free(r);
}

/* Fill `count` segments and adopt what a checkpoint covers. */
/* Rolls through small segments; env_mem refuses no write, the log's own E24 assert does. */
static void fill(struct rig *r, unsigned count)
{
	struct log_position before, now;

	log_position_now(r->l, &before);
	do {
		ok(rig_append(r, LOG_TXN, 20, 20000, false));
		log_position_now(r->l, &now);
	} while (now.segment < before.segment + count);
	ok(log_sync(r->l, r->last));
}

static void recycle_F50_E22_E26(void **state)
{
	struct rig *r = rig_new(4);
	struct log_stats stats;
	struct log_segment seg;
	uint64_t max_slot = 0;

	(void)state;
	ok(rig_create(r));
	for (unsigned round = 0; round < 12; round++) {
		fill(r, 3);
		rig_checkpoint(r);
		log_adopt(r->l, r->pos.index);
		for (uint32_t i = 0; i < r->known_count; i++) {
			if (r->known[i].id == r->pos.segment)
				continue;
			ok(log_segment_get(r->l, r->known[i].id, &seg));
			assert_int_equal(seg.state, LOG_SEG_ADOPTED);
			ok(log_free(r->l, seg.id));
			assert_int_equal(log_free(r->l, seg.id), VS_ERR_NOENT);
			max_slot = seg.slot > max_slot ? seg.slot : max_slot;
		}
		assert_int_equal(log_free(r->l, r->pos.segment), VS_ERR_BUSY);
		/* stale records of earlier lives stand behind the end */
		for (unsigned i = 0; i < round; i++)
			ok(rig_append(r, LOG_TXN, 30, i * 100, false));
		ok(rig_restart(r, round % 2 ? ENV_MEM_LOSE : ENV_MEM_KEEP, round));
		assert_false(r->wrong);
		ok(log_prepare(r->l));
	}
	log_stats(r->l, &stats);
	assert_true(stats.free_segments <= 2 + 1);
	assert_true(max_slot < 40);
	rig_free(r);
}

static void reader_holds_freed_segment_F81_E26(void **state)
{
	struct rig *r = rig_new(5);
	struct log_position pos;
	uint8_t buf[20000];

	(void)state;
	ok(rig_create(r));
	fill(r, 1);
	rig_checkpoint(r);
	log_segment_live(r->l, 1, 20000, 1);
	log_adopt(r->l, r->pos.index);
	assert_int_equal(log_free(r->l, 1), VS_ERR_BUSY);
	log_segment_live(r->l, 1, -20000, -1); /* E27 */
	ok(log_read(r->l, 1, r->rec[1].place, 0, buf, sizeof buf));
	ok(log_free(r->l, 1));
	assert_int_equal(log_read(r->l, 1, r->rec[1].place, 0, buf, sizeof buf), VS_ERR_STALE);
	/* the file comes back under another id */
	for (unsigned i = 0; i < 3; i++)
		fill(r, 1);
	assert_int_equal(log_read(r->l, 1, r->rec[1].place, 0, buf, sizeof buf), VS_ERR_STALE);
	log_position_now(r->l, &pos);
	assert_true(pos.next_segment_id > 4);
	rig_free(r);
}

static void full_disk_F56_F84(void **state)
{
	struct rig *r = rig_new(6);
	enum vs_err err = VS_OK;
	uint64_t reserved;

	(void)state;
	ok(rig_create(r));
	env_mem_set_capacity(r->m, 6 * LOG_SEGMENT_MIN + 65536);
	while (!err)
		err = rig_append(r, LOG_TXN, 10, 20000, false);
	assert_int_equal(err, VS_ERR_NOSPC);
	assert_true(log_wants_prepare(r->l));
	ok(log_sync(r->l, r->last));
	reserved = r->last;
	/* deletes go on: two segments of them */
	for (unsigned i = 0; i < 20; i++)
		ok(rig_append(r, LOG_TXN, 10, 20000, true));
	ok(log_sync(r->l, r->last));
	assert_true(r->last > reserved);
	assert_true(rig_reads(r, 1));
	/* a start with nothing free (P7) */
	ok(rig_restart(r, ENV_MEM_LOSE, 1));
	assert_false(r->wrong);
	assert_int_equal(rig_append(r, LOG_TXN, 10, 200000, false), VS_ERR_NOSPC);
	/* space comes back without a restart */
	env_mem_set_capacity(r->m, 20 * LOG_SEGMENT_MIN);
	ok(rig_append(r, LOG_TXN, 10, 200000, false));
	ok(log_sync(r->l, r->last));
	rig_free(r);
}

static enum vs_err count_each(void *arg, const struct log_record *rec)
{
	uint64_t *n = arg;

	assert_int_equal(rec->type, LOG_VALUE);
	assert_int_equal(rec->meta.len, 5);
	++*n;
	return VS_OK;
}

static void value_segments_F82(void **state)
{
	struct rig *r = rig_new(7);
	struct log_place place[20], lost;
	uint8_t data[20000], buf[20000], table[20];
	struct log_segment seg;
	uint32_t bad = 0;
	uint64_t n = 0;
	char name[16];

	(void)state;
	memset(data, 7, sizeof data);
	checksum_table(data, sizeof data, table);
	ok(rig_create(r));
	ok(rig_append(r, LOG_NOOP, 0, 0, false));
	for (int i = 0; i < 20; i++) {
		ok(log_prepare(r->l));
		data[0] = (uint8_t)i;
		checksum_table(data, sizeof data, table);
		ok(log_value_append(r->l, bytes_of("value", 5), data, sizeof data, table,
				    &place[i]));
		log_segment_live(r->l, place[i].segment, sizeof data, 1);
		if (i % 4 == 3)
			ok(log_value_sync(r->l));
	}
	assert_true(place[19].segment != place[0].segment);
	ok(log_value_sync(r->l));
	ok(log_sync(r->l, 1));
	rig_checkpoint(r);
	/* behind the checkpoint: lost with the crash */
	ok(log_value_append(r->l, bytes_of("value", 5), data, sizeof data, table, &lost));
	while (lost.segment == place[19].segment) {
		ok(log_prepare(r->l));
		ok(log_value_append(r->l, bytes_of("value", 5), data, sizeof data, table, &lost));
	}
	ok(log_value_sync(r->l));
	ok(rig_restart(r, ENV_MEM_LOSE, 1));
	assert_int_equal(log_segment_get(r->l, lost.segment, &seg), VS_ERR_NOENT);
	for (int i = 0; i < 20; i++) {
		ok(log_read(r->l, 0, place[i], 0, buf, sizeof buf));
		assert_int_equal(buf[0], i);
		assert_int_equal(buf[1], 7);
	}
	ok(log_walk(r->l, place[0].segment, count_each, &n, &bad));
	ok(log_walk(r->l, place[19].segment, count_each, &n, &bad));
	assert_int_equal(n, 20);
	ok(log_segment_get(r->l, place[0].segment, &seg));
	assert_int_equal(seg.state, LOG_SEG_ADOPTED);
	/* damage is named */
	snprintf(name, sizeof name, "log/%08x", seg.slot);
	assert_true(env_mem_flip(r->m, name, place[1].off - 30, 1));
	assert_int_equal(log_walk(r->l, seg.id, count_each, &n, &bad), VS_ERR_CORRUPT_RECORD);
	assert_true(bad > place[0].off && bad < place[1].off);
	rig_free(r);
}

/* F84: the cleaner leaves the log one spare. */
static void value_segments_leave_one_F84(void **state)
{
	struct rig *r = rig_new(8);
	struct log_place place;
	static uint8_t data[200000], table[200];
	enum vs_err err = VS_OK;
	struct log_stats stats;

	(void)state;
	checksum_table(data, sizeof data, table);
	ok(rig_create(r));
	while (!err)
		err = log_value_append(r->l, bytes_of("", 0), data, sizeof data, table, &place);
	assert_int_equal(err, VS_ERR_NOSPC);
	log_stats(r->l, &stats);
	assert_int_equal(stats.spare_segments, 1);
	ok(rig_append(r, LOG_TXN, 0, 200000, true));
	ok(rig_append(r, LOG_TXN, 0, 200000, true));
	ok(log_sync(r->l, r->last));
	rig_free(r);
}

static void walk_log_segment(void **state)
{
	struct rig *r = rig_new(9);
	uint32_t bad;

	(void)state;
	ok(rig_create(r));
	for (unsigned i = 0; i < 6; i++) {
		fill(r, 1);
		ok(rig_append(r, LOG_TXN, 5, 10, false));
		ok(rig_restart(r, ENV_MEM_LOSE, i));
	}
	for (uint64_t id = 1; id < 4; id++) {
		struct log_segment seg;

		ok(log_segment_get(r->l, id, &seg));
		assert_int_equal(seg.state, LOG_SEG_SEALED);
		r->replayed = seg.first_index - 1;
		ok(log_walk(r->l, id, rig_each, r, &bad));
		assert_int_equal(r->replayed, seg.last_index);
		assert_false(r->wrong);
	}
	rig_free(r);
}

static void checkpoint_may_be_missing_freed_segments(void **state)
{
	struct rig *r = rig_new(10);
	uint64_t first;

	(void)state;
	ok(rig_create(r));
	fill(r, 4);
	rig_checkpoint(r);
	log_adopt(r->l, r->pos.index);
	ok(log_free(r->l, 1));
	ok(log_free(r->l, 2));
	first = r->pos.index + 1;
	fill(r, 4); /* uses their files again */
	ok(rig_restart(r, ENV_MEM_LOSE, 1));
	assert_false(r->wrong);
	assert_true(rig_reads(r, first));
	/* but with live data it is damage, and said so */
	for (uint32_t i = 0; i < r->known_count; i++)
		r->known[i].live_count = 1;
	r->known[0].slot = 77;
	log_close(r->l);
	r->l = NULL;
	assert_int_equal(rig_open(r), VS_ERR_CORRUPT_SEGMENT);
	assert_int_equal(r->report.damage_slot, 77);
	assert_null(r->l);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(append_read_reopen),
		cmocka_unit_test(limits_are_told),
		cmocka_unit_test(full_queue),
		cmocka_unit_test(recycle_F50_E22_E26),
		cmocka_unit_test(reader_holds_freed_segment_F81_E26),
		cmocka_unit_test(full_disk_F56_F84),
		cmocka_unit_test(value_segments_F82),
		cmocka_unit_test(value_segments_leave_one_F84),
		cmocka_unit_test(walk_log_segment),
		cmocka_unit_test(checkpoint_may_be_missing_freed_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
