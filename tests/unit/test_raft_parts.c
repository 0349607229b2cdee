/*
 * test_raft_parts: the pieces of the core that stand alone: quorum, trail,
 * membership, progress, and the message codec with hostile bytes.
 */
#include "consensus/membership.h"
#include "consensus/message.h"
#include "consensus/progress.h"
#include "consensus/quorum.h"
#include "consensus/trail.h"
#include "engine/base/bytes.h"
#include "engine/base/checksum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- quorum (C1, C8) ---- */

static void quorum_table(void **state)
{
	static const struct {
		uint32_t voters, size;
	} sizes[] = {{1, 1}, {2, 2}, {3, 2}, {4, 3}, {5, 3}, {6, 4}, {7, 4}, {16, 9}};
	static const struct {
		uint64_t match[5];
		uint32_t n;
		uint64_t index;
	} rows[] = {
		{{7}, 1, 7},          {{7, 3}, 2, 3},          {{1, 2, 3}, 3, 2},
		{{3, 1, 1}, 3, 1},    {{9, 9, 0}, 3, 9},       {{4, 3, 2, 1}, 4, 2},
		{{0, 9, 9, 9}, 4, 9}, {{5, 1, 4, 2, 3}, 5, 3}, {{0, 0, 0, 8, 9}, 5, 0},
	};
	static const struct {
		uint32_t voters, yes, no;
		enum quorum_result result;
	} votes[] = {{3, 1, 0, QUORUM_OPEN}, {3, 2, 0, QUORUM_WON},  {3, 1, 2, QUORUM_LOST},
		     {4, 2, 1, QUORUM_OPEN}, {4, 2, 2, QUORUM_LOST}, {1, 1, 0, QUORUM_WON},
		     {5, 2, 2, QUORUM_OPEN}, {5, 3, 2, QUORUM_WON}};

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		assert_int_equal(quorum_size(sizes[i].voters), sizes[i].size);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint64_t match[5];

		memcpy(match, rows[i].match, sizeof match);
		assert_int_equal(quorum_index(match, rows[i].n), rows[i].index);
	}
	for (size_t i = 0; i < sizeof votes / sizeof votes[0]; i++)
		assert_int_equal(quorum_vote(votes[i].voters, votes[i].yes, votes[i].no),
				 votes[i].result);
}

/* ---- trail (C4) ---- */

/* The same operations on a trail and on a plain array of terms. */
static void trail_against_model(void **state)
{
	struct trail t;
	uint64_t terms[200] = {0}, base = 0, base_term = 0, last = 0, rng = 12345;

	(void)state;
	assert_int_equal(trail_init(&t, 64, 16), VS_OK);
	for (uint32_t step = 0; step < 20000; step++) {
		uint64_t at, limit, term;

		rng = rng * 6364136223846793005u + 1442695040888963407u;
		at = (rng >> 33) % 16;
		if (last > 180 || at == 0) {
			base = last = at;
			base_term = at;
			trail_reset(&t, base, base_term);
		} else if (at < 10) {
			term = trail_last_term(&t) + (at == 1);
			if (trail_room(&t, term)) {
				trail_append(&t, term, (uint32_t)at, (uint32_t)step);
				terms[++last] = term;
				assert_int_equal(trail_type(&t, last), at);
				assert_int_equal(trail_len(&t, last), step);
			} else {
				assert_true(last - base == 64 || t.run_count == 16);
			}
		} else if (at < 13 && last > base) {
			last = base + (rng >> 40) % (last - base);
			trail_truncate(&t, last + 1);
		} else if (last > base) {
			at = base + (rng >> 40) % (last - base + 1);
			base_term = at == base ? base_term : terms[at];
			base = at;
			trail_compact(&t, at);
		}
		trail_check(&t);
		assert_int_equal(t.last, last);
		assert_int_equal(t.base_index, base);
		assert_int_equal(trail_term(&t, base), base_term);
		for (uint64_t i = base + 1; i <= last; i++)
			assert_int_equal(trail_term(&t, i), terms[i]);
		assert_false(trail_has(&t, last + 1));
		limit = base + (rng >> 20) % 70;
		term = (rng >> 12) % 20;
		at = limit > last ? last : limit;
		while (at > base && terms[at] > term)
			at--;
		assert_int_equal(trail_find_term(&t, limit, term), at);
	}
	trail_fini(&t);
}

/* ---- membership (C10) ---- */

static void membership_table(void **state)
{
	struct membership m = {0}, n, full = {0};
	struct member a = {.id = 5, .role = MEMBER_VOTER, .addr = "h:1"};
	uint8_t buf[MEMBERSHIP_ENCODED_MAX];
	size_t len;

	(void)state;
	assert_int_equal(membership_set(&m, &a), VS_OK);
	a.id = 3;
	a.role = MEMBER_LEARNER;
	a.promote = true;
	assert_int_equal(membership_set(&m, &a), VS_OK);
	assert_int_equal(m.m[0].id, 3);
	assert_int_equal(membership_voters(&m), 1);
	assert_true(membership_is_voter(&m, 5));
	assert_false(membership_is_voter(&m, 3));
	assert_false(membership_is_voter(&m, 4));
	len = membership_encode(&m, buf, sizeof buf);
	assert_int_equal(membership_decode(&n, bytes_of(buf, len)), VS_OK);
	assert_true(membership_equal(&m, &n));
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(membership_decode(&n, bytes_of(buf, cut)), VS_ERR_BAD_FRAME);
	/* One step: at most one voter differs. */
	n = m;
	a.role = MEMBER_VOTER;
	assert_int_equal(membership_set(&n, &a), VS_OK);
	assert_true(membership_one_step(&m, &n));
	assert_int_equal(membership_remove(&n, 5), VS_OK);
	assert_false(membership_one_step(&m, &n));
	assert_int_equal(membership_remove(&n, 5), VS_ERR_NOENT);
	for (uint32_t id = 1; id <= MEMBERS_MAX; id++) {
		a.id = id;
		assert_int_equal(membership_set(&full, &a), VS_OK);
	}
	a.id = 99;
	assert_int_equal(membership_set(&full, &a), VS_ERR_RANGE);
	a.id = 2;
	a.role = 7;
	assert_int_equal(membership_set(&full, &a), VS_ERR_INVAL);
	memset(a.addr, 'x', sizeof a.addr);
	a.role = MEMBER_VOTER;
	assert_int_equal(membership_set(&full, &a), VS_ERR_INVAL);
	len = membership_encode(&full, buf, sizeof buf);
	assert_int_equal(membership_decode(&n, bytes_of(buf, len)), VS_OK);
	assert_true(membership_equal(&full, &n));
}

static void membership_hostile(void **state)
{
	struct membership m = {0}, n;
	struct member a = {.id = 1, .role = MEMBER_VOTER, .addr = "ab"};
	uint8_t buf[MEMBERSHIP_ENCODED_MAX], bad[MEMBERSHIP_ENCODED_MAX];
	size_t len;
	static const struct {
		size_t off;
		uint8_t value;
	} rows[] = {{0, 2}, {1, 3}, {1, 255}, {2, 1}, {8, 0}, {8, 3}, {9, 2}, {10, 200}, {12, 0}};

	(void)state;
	assert_int_equal(membership_set(&m, &a), VS_OK);
	a.id = 2;
	assert_int_equal(membership_set(&m, &a), VS_OK);
	len = membership_encode(&m, buf, sizeof buf);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		memcpy(bad, buf, len);
		bad[rows[i].off] = rows[i].value;
		assert_int_equal(membership_decode(&n, bytes_of(bad, len)), VS_ERR_BAD_FRAME);
	}
	memcpy(bad, buf, len);
	bad[4] = 2; /* ids not rising */
	assert_int_equal(membership_decode(&n, bytes_of(bad, len)), VS_ERR_BAD_FRAME);
}

/* ---- progress (C9) ---- */

static void progress_windows(void **state)
{
	struct progress p;

	(void)state;
	progress_init(&p, 2, 10, 1);
	assert_int_equal(p.next, 11);
	assert_true(progress_may_send(&p, 100));
	progress_sent(&p, 15, 5, 50);
	assert_false(progress_may_send(&p, 100)); /* one probe at a time */
	assert_int_equal(p.next, 11);
	assert_true(progress_ack(&p, 10));
	progress_replicate(&p);
	assert_int_equal(p.next, 11);
	progress_sent(&p, 15, 5, 60);
	progress_sent(&p, 16, 1, 60);
	assert_false(progress_may_send(&p, 100)); /* bytes */
	assert_false(progress_ack(&p, 9));
	assert_true(progress_ack(&p, 15));
	assert_int_equal(p.fl_bytes, 60);
	assert_true(progress_may_send(&p, 100));
	for (uint32_t i = 0; i < PROGRESS_INFLIGHT_MAX - 1; i++)
		progress_sent(&p, 17 + i, 1, 0);
	assert_false(progress_may_send(&p, 100)); /* messages */
	assert_true(progress_ack(&p, 16 + PROGRESS_INFLIGHT_MAX - 1));
	assert_int_equal(p.fl_count, 0);
	progress_probe(&p, 3); /* never below what is known to match */
	assert_int_equal(p.next, p.match + 1);
	progress_snapshot(&p, 99, 4, 7);
	assert_false(progress_may_send(&p, 100));
}

/* ---- codec ---- */

static struct raft_entry entries3[] = {
	{.term = 2, .len = 5, .type = RAFT_ENTRY_DATA},
	{.term = 3, .len = 0, .type = RAFT_ENTRY_NOOP},
	{.term = 3, .len = 70, .type = RAFT_ENTRY_CONFIG},
};

static struct membership two = {.count = 2,
				.m = {{.id = 1, .role = MEMBER_VOTER, .addr = "a"},
				      {.id = 9, .role = MEMBER_LEARNER}}};

/* One valid message per type. */
static struct raft_msg sample(enum message_type type)
{
	struct raft_msg m = {.type = type, .cluster = 77, .from = 1, .to = 2, .term = 3};

	switch (type) {
	case MESSAGE_VOTE:
		m.flags = MESSAGE_TRANSFER;
		m.index = 8;
		m.log_term = 2;
		break;
	case MESSAGE_APPEND:
		m.index = 10;
		m.log_term = 2;
		m.commit = 7;
		m.count = 3;
		m.entries = entries3;
		m.data_len = 75;
		break;
	case MESSAGE_APPEND_RESP:
		m.index = 12;
		m.log_term = 1;
		m.commit = 4;
		m.era = 6;
		m.flags = MESSAGE_REJECT;
		break;
	case MESSAGE_SNAPSHOT:
		m.index = 12;
		m.log_term = 3;
		m.commit = 4;
		m.ctx = UINT64_MAX;
		m.offset = 1 << 20;
		m.data_len = 1000;
		m.flags = MESSAGE_DONE;
		m.members = &two;
		break;
	case MESSAGE_HEARTBEAT:
		m.commit = 3;
		m.ctx = 9;
		break;
	default:
		break;
	}
	return m;
}

static void codec_round_trip(void **state)
{
	static uint8_t buf[MESSAGE_LEN_MAX], again[MESSAGE_LEN_MAX];
	static struct message_store store;

	(void)state;
	for (enum message_type type = MESSAGE_PREVOTE; type < MESSAGE_TYPE_END; type++) {
		struct raft_msg m = sample(type), out;
		size_t len = message_encode(&m, buf, sizeof buf);
		uint32_t body, data;

		assert_int_equal(message_decode(bytes_of(buf, len), &store, &out), VS_OK);
		assert_int_equal(out.type, m.type);
		assert_int_equal(out.ctx, m.ctx);
		assert_int_equal(out.count, m.count);
		/* Every field: the decoded message encodes to the same bytes. */
		assert_int_equal(message_encode(&out, again, sizeof again), len);
		assert_memory_equal(buf, again, len);
		assert_int_equal(message_peek(buf, &body, &data), VS_OK);
		assert_int_equal(body, len - MESSAGE_HEADER_LEN);
		assert_int_equal(data, m.data_len);
		assert_string_not_equal(message_name(type), "?");
	}
	assert_string_equal(message_name(MESSAGE_TYPE_END), "?");
}

/* Any flipped bit and any cut is noticed. */
static void codec_damaged(void **state)
{
	static uint8_t buf[MESSAGE_LEN_MAX];
	static struct message_store store;
	struct raft_msg out;

	(void)state;
	for (enum message_type type = MESSAGE_PREVOTE; type < MESSAGE_TYPE_END; type++) {
		struct raft_msg m = sample(type);
		size_t len = message_encode(&m, buf, sizeof buf);

		for (size_t bit = 0; bit < 8 * len; bit++) {
			buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_int_equal(message_decode(bytes_of(buf, len), &store, &out),
					 VS_ERR_BAD_FRAME);
			buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(message_decode(bytes_of(buf, cut), &store, &out),
					 VS_ERR_BAD_FRAME);
		assert_int_equal(message_decode(bytes_of(buf, len + 1), &store, &out),
				 VS_ERR_BAD_FRAME);
	}
}

/* Well-formed checksums over hostile fields. */
static void codec_hostile(void **state)
{
	static uint8_t buf[MESSAGE_LEN_MAX];
	static struct message_store store;
	struct raft_msg out;
	static const struct {
		enum message_type type;
		size_t off, len;
		uint64_t value;
	} rows[] = {
		{MESSAGE_VOTE, 0, 4, 1},               /* magic */
		{MESSAGE_VOTE, 4, 1, 2},               /* version */
		{MESSAGE_VOTE, 5, 1, 0},               /* type */
		{MESSAGE_VOTE, 5, 1, 99},              /* type */
		{MESSAGE_VOTE, 6, 2, MESSAGE_REJECT},  /* a flag of another type */
		{MESSAGE_VOTE, 16, 4, 0},              /* from nobody */
		{MESSAGE_VOTE, 20, 4, 0},              /* to nobody */
		{MESSAGE_VOTE, 20, 4, 1},              /* to oneself */
		{MESSAGE_VOTE, 24, 8, UINT64_MAX},     /* term that cannot grow */
		{MESSAGE_VOTE, 32, 8, UINT64_MAX},     /* index that cannot grow */
		{MESSAGE_VOTE, 40, 8, 4},              /* log term above the term */
		{MESSAGE_VOTE, 48, 8, 1},              /* a field of another type */
		{MESSAGE_VOTE, 72, 4, 1},              /* era likewise */
		{MESSAGE_VOTE, 76, 4, 1},              /* entries likewise */
		{MESSAGE_VOTE, 80, 4, 16},             /* body */
		{MESSAGE_VOTE, 84, 4, 1},              /* payload */
		{MESSAGE_APPEND, 76, 4, 257},          /* too many entries */
		{MESSAGE_APPEND, 76, 4, 0x10000003},   /* count * 16 overflows to 48 */
		{MESSAGE_APPEND, 80, 4, UINT32_MAX},   /* body beyond bounds */
		{MESSAGE_APPEND, 84, 4, UINT32_MAX},   /* payload beyond bounds */
		{MESSAGE_APPEND, 96, 8, 1},            /* entry older than the previous */
		{MESSAGE_APPEND, 112, 8, 9},           /* entry from the future */
		{MESSAGE_APPEND, 96 + 8, 4, 1u << 30}, /* entry too long */
		{MESSAGE_APPEND, 96 + 12, 1, 0},       /* entry type */
		{MESSAGE_APPEND, 96 + 12, 1, 4},       /* entry type */
		{MESSAGE_APPEND, 96 + 13, 1, 1},       /* reserved byte */
		{MESSAGE_SNAPSHOT, 56 + 8, 8, UINT64_MAX},
		{MESSAGE_SNAPSHOT, 97, 1, 17}, /* members */
		{MESSAGE_SNAPSHOT, 80, 4, 0},  /* no body */
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct raft_msg m = sample(rows[i].type);
		size_t len = message_encode(&m, buf, sizeof buf);

		for (size_t b = 0; b < rows[i].len; b++)
			buf[rows[i].off + b] = (uint8_t)(rows[i].value >> 8 * b);
		put_le32(buf + 88, checksum_crc32c(buf + 96, len - 96));
		put_le32(buf + 92, checksum_crc32c(buf, 92));
		if (message_decode(bytes_of(buf, len), &store, &out) != VS_ERR_BAD_FRAME)
			fail_msg("row %zu was accepted", i);
	}
}

/* Noise with good checksums: whatever is accepted encodes to itself. */
static void codec_noise(void **state)
{
	static uint8_t buf[MESSAGE_LEN_MAX], again[MESSAGE_LEN_MAX];
	static struct message_store store;
	uint64_t rng = 99;
	uint32_t accepted = 0;

	(void)state;
	for (uint32_t round = 0; round < 200000; round++) {
		struct raft_msg m = sample(1 + round % (MESSAGE_TYPE_END - 1)), out;
		size_t len = message_encode(&m, buf, sizeof buf);

		for (uint32_t i = 0; i < 1 + round % 3; i++) {
			rng = rng * 6364136223846793005u + 1442695040888963407u;
			buf[4 + (rng >> 33) % (len - 4)] = (uint8_t)(rng >> 56);
		}
		put_le32(buf + 88, checksum_crc32c(buf + 96, len - 96));
		put_le32(buf + 92, checksum_crc32c(buf, 92));
		if (message_decode(bytes_of(buf, len), &store, &out))
			continue;
		accepted++;
		assert_int_equal(message_encode(&out, again, sizeof again), len);
		assert_memory_equal(buf, again, len);
	}
	assert_true(accepted > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quorum_table),     cmocka_unit_test(trail_against_model),
		cmocka_unit_test(membership_table), cmocka_unit_test(membership_hostile),
		cmocka_unit_test(progress_windows), cmocka_unit_test(codec_round_trip),
		cmocka_unit_test(codec_damaged),    cmocka_unit_test(codec_hostile),
		cmocka_unit_test(codec_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
