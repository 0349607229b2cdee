/*
 * test_raft_faults_disk: one test per fault of FAULTS.md, section F, and those
 * of E that reach the core (F57-F60, F65).  Each is named by its number.
 *
 * Where a fault is mostly the engine's (F74, F75, F76), the test shows the
 * core's part and says what the rest is.
 */
#include "engine/base/assert.h"
#include "tests/sim/raft_solo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- E, as far as the core takes part ---- */

static void F57_hung_disk_gives_up_leadership(void **state)
{
	struct sim *s = cluster(57, 3);
	struct raft_boot b = boot_of(3, 1);
	uint32_t l;

	(void)state;
	assert_leads(s);
	l = sim_leader(s);
	s->node[l].hang = true;
	(void)sim_write(s, l);
	assert_true(sim_run(s, 600 * SIM_MS));
	assert_int_not_equal(sim_leader(s), l);
	assert_true(sim_has_leader(s, 0));
	write_some(s, 5);
	finish(s);
	/* No write outstanding: an idle leader stays; a second bound asks for the end. */
	solo_open(1, &b, NULL, 0);
	solo_lead();
	solo_heartbeat_resp(2, 0);
	solo_tick(90);
	assert_int_equal(solo.r->role, RAFT_LEADER);
	solo_heartbeat_resp(2, 0);
	solo_tick(20);
	assert_true(solo.up.lost); /* the NOOP's write is 110 ms old */
	assert_non_null(sent(MESSAGE_TIMEOUT_NOW, 0));
	assert_false(solo.up.disk_hung);
	solo_tick(300);
	assert_true(solo.up.disk_hung);
	assert_int_equal(solo.r->role, RAFT_FOLLOWER); /* and it does not campaign */
}

static void F58_slow_follower_is_bounded(void **state)
{
	struct raft_boot b = boot_of(3, 1);
	struct sim *s;
	uint64_t commit;
	uint32_t l;

	(void)state;
	solo_open(1, &b, NULL, 0);
	solo_lead();
	solo_ack(2, 1);
	solo_ack(3, 1);
	for (uint32_t i = 0; i < 30; i++) {
		assert_int_equal(solo_propose(1, 900), RAFT_ACCEPTED);
		solo_durable();
		solo_ack(2, solo.r->trail.last);
	}
	assert_int_equal(solo.r->commit, 31);
	assert_true(raft_peer(solo.r, 3)->fl_bytes <= 4000 + 900); /* node 3 holds up nobody */
	s = cluster(58, 3);
	assert_leads(s);
	l = sim_leader(s);
	s->node[other_than(s, l, 0)].disk_us = 150000;
	commit = s->commit;
	write_some(s, 50);
	assert_true(s->commit >= commit + 45);
	finish(s);
}

static struct sim *damaged_cluster(uint64_t seed)
{
	struct sim_options opt = {
		.seed = seed, .nodes = 3, .voters = 3, .delay_us = 500, .damage = true};
	struct sim *s = sim_new(&opt);

	assert_leads(s);
	write_some(s, 20);
	assert_true(sim_until(s, 2000 * SIM_MS, sim_converged, 0));
	return s;
}

static bool sound(const struct sim_node *n)
{
	for (uint64_t i = n->disk.log.base + 1; i <= n->disk.log.last; i++) {
		if (n->disk.log.e[i].lost)
			return false;
	}
	return true;
}

static void F59_lost_middle_entries_are_repaired_in_place(void **state)
{
	(void)state;
	for (uint32_t who = 0; who < 3; who++) { /* the leader, and each follower */
		struct sim *s = damaged_cluster(590 + who);
		uint32_t id = (sim_leader(s) + who - 1) % 3 + 1;
		uint64_t last = s->node[id].disk.log.last;

		sim_crash(s, id);
		sim_damage(s, id, 5, 8);
		sim_start(s, id);
		assert_true(raft_damaged(s->node[id].raft));
		assert_int_equal(s->node[id].raft->trail.last, last); /* nothing is cut off */
		assert_true(sim_until(s, 5000 * SIM_MS, sim_converged, 0));
		assert_true(sound(&s->node[id]));
		finish(s);
	}
	{ /* found while it leads: it stops leading first */
		struct sim *s = damaged_cluster(595);
		uint32_t l = sim_leader(s);

		sim_damage(s, l, 5, 5);
		assert_int_not_equal(s->node[l].raft->role, RAFT_LEADER);
		assert_true(sim_run(s, 3000 * SIM_MS));
		finish(s);
	}
}

static void F59_damaged_node_neither_votes_nor_campaigns(void **state)
{
	struct raft_boot b = boot_of(3, 1);
	const uint64_t ones[] = {1, 1, 1, 1, 1};

	(void)state;
	b.damage_from = 2;
	b.damage_to = 3;
	solo_open(1, &b, ones, 5);
	assert_true(solo.up.write.hard_set);
	assert_int_equal(solo.up.write.hard.damage_to, 3);
	assert_int_equal(solo.up.write.hard.era, 1);
	solo_durable();
	assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_PREVOTE,
						    .from = 2,
						    .term = 2,
						    .index = 9,
						    .log_term = 1}),
			 VS_OK);
	assert_int_equal(solo.up.msg_count, 0);
	assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_VOTE,
						    .from = 2,
						    .term = 2,
						    .index = 9,
						    .log_term = 1}),
			 VS_OK);
	assert_null(sent(MESSAGE_VOTE_RESP, 0));
	solo_durable();
	assert_null(sent(MESSAGE_VOTE_RESP, 0));
	solo_tick(1000);
	assert_int_equal(solo.r->role, RAFT_FOLLOWER);
	/* It asks from where the hole begins, and acknowledges only what it has. */
	assert_int_equal(solo_append(2, 2, 5, 1, NULL, 0, 5), VS_OK);
	assert_int_equal(sent(MESSAGE_APPEND_RESP, 0)->flags, MESSAGE_REJECT);
	assert_int_equal(sent(MESSAGE_APPEND_RESP, 0)->commit, 1);
	assert_int_equal(solo_append(2, 2, 1, 1, ones, 1, 5), VS_OK);
	assert_int_equal(solo.up.write.repair_first, 2);
	assert_int_equal(solo.up.write.truncate_from, 0);
	assert_int_equal(solo.up.apply_last, 1);
	solo_durable();
	assert_int_equal(sent(MESSAGE_APPEND_RESP, 0)->index, 2);
	assert_int_equal(solo_append(2, 2, 2, 1, ones, 3, 5), VS_OK);
	solo_durable();
	solo_durable(); /* and the mark is gone from the disk */
	assert_int_equal(sent(MESSAGE_APPEND_RESP, 0)->index, 5);
	assert_false(raft_damaged(solo.r));
	assert_int_equal(solo.r->commit, 5);
}

/* Found by seed 21757: answering less than a message showed, it was sent for ever. */
static void F59_repair_under_way_is_not_asked_for_again(void **state)
{
	struct raft_boot b = boot_of(3, 1);
	const uint64_t ones[] = {1, 1, 1, 1, 1};

	(void)state;
	b.damage_from = 2;
	b.damage_to = 5;
	solo_open(1, &b, ones, 5);
	solo_durable();
	assert_int_equal(solo_append(2, 1, 1, 1, ones, 2, 5), VS_OK);
	assert_int_equal(solo.up.write.repair_count, 2);
	assert_int_equal(solo_append(2, 1, 1, 1, ones, 2, 5), VS_OK); /* the same again */
	assert_int_equal(solo.up.write.seq, 0);
	assert_int_equal(solo.up.msg_count, 0);
	assert_int_equal(solo_append(2, 1, 3, 1, ones, 2, 5), VS_OK); /* goes on behind it */
	assert_int_equal(solo.up.write.repair_first, 4);
	solo_durable();
	assert_int_equal(sent(MESSAGE_APPEND_RESP, 0) ? 5 : solo.r->durable, 5);
	assert_false(raft_damaged(solo.r));
}

/* Found by seed 25601: a snapshot that replaces the log also ends the hole beyond it. */
static void F68_snapshot_replaces_a_log_with_a_hole(void **state)
{
	struct raft_boot b = boot_of(3, 4);
	const uint64_t mine[] = {1, 1, 2, 2, 2, 2, 2};
	struct raft_snapshot snap = {.index = 4,
				     .term = 3,
				     .id = 99,
				     .members = b.snapshot.members};
	struct raft_event stored = {.type = RAFT_SNAPSHOT_STORED};
	struct raft_event done = {.type = RAFT_SNAPSHOT_DONE, .u.snapshot = &snap};

	(void)state;
	b.damage_from = 3;
	b.damage_to = 6;
	solo_open(1, &b, mine, 7);
	assert_int_equal(solo_msg((struct raft_msg){.type = MESSAGE_SNAPSHOT,
						    .from = 2,
						    .term = 4,
						    .index = 4,
						    .log_term = 3,
						    .ctx = 99,
						    .flags = MESSAGE_DONE,
						    .members = &snap.members}),
			 VS_OK);
	stored.u.stored.index = 4;
	stored.u.stored.term = 3;
	stored.u.stored.id = 99;
	assert_int_equal(solo_step(&stored), VS_OK);
	assert_int_equal(solo_step(&done), VS_OK);
	assert_int_equal(solo.r->trail.last, 4);
	assert_int_equal(solo.r->hole_from, 0);
	assert_true(raft_damaged(solo.r)); /* the mark stays until entry 6, or a later term */
}

static void F60_lost_tail_is_not_a_shorter_log(void **state)
{
	struct raft_boot b = boot_of(3, 2);
	const uint64_t ones[] = {1, 1}, more[] = {2, 2, 2};

	(void)state;
	b.damage_from = 3; /* the log once reached 5, and ends at 2 now */
	b.damage_to = 5;
	solo_open(1, &b, ones, 2);
	assert_int_equal(solo.up.write.hard.damage_to, 5);
	solo_durable();
	b.hard = solo.r->hard; /* a restart does not forget: the log on disk looks sound */
	b.damage_from = b.damage_to = 0;
	solo_open(1, &b, ones, 2);
	solo_tick(1000);
	assert_int_equal(solo.r->role, RAFT_FOLLOWER);
	assert_int_equal(solo_append(2, 2, 2, 1, more, 2, 0), VS_OK);
	solo_durable();
	assert_true(raft_damaged(solo.r)); /* 4 of 5 */
	assert_int_equal(solo_append(2, 2, 4, 2, more, 1, 0), VS_OK);
	assert_true(raft_damaged(solo.r));
	solo_durable();
	assert_false(raft_damaged(solo.r));
	assert_int_equal(solo.r->hard.damage_to, 0);
	/* Or: an entry of a later term than any it knew, however short the log. */
	b.hard.damage_to = UINT64_MAX;
	solo_open(1, &b, ones, 2);
	{
		const uint64_t three[] = {3};

		assert_int_equal(solo_append(3, 3, 2, 1, three, 1, 0), VS_OK);
		assert_true(raft_damaged(solo.r));
		solo_durable();
		assert_false(raft_damaged(solo.r));
	}
}

static void F60_leader_forgets_acks_of_an_earlier_era(void **state)
{
	struct raft_boot b = boot_of(3, 1);
	struct raft_msg reject = {.type = MESSAGE_APPEND_RESP,
				  .from = 2,
				  .term = 2,
				  .index = 3,
				  .commit = 1,
				  .log_term = 1,
				  .era = 1,
				  .flags = MESSAGE_REJECT};

	(void)state;
	solo_open(1, &b, NULL, 0);
	solo_lead();
	assert_int_equal(solo_propose(2, 10), RAFT_ACCEPTED);
	solo_ack(2, 3);
	assert_int_equal(raft_peer(solo.r, 2)->match, 3);
	assert_int_equal(solo_msg(reject), VS_OK);
	assert_int_equal(raft_peer(solo.r, 2)->match, 0);
	solo_ack(2, 3); /* late, of era 0 */
	assert_int_equal(raft_peer(solo.r, 2)->match, 0);
	solo_durable();
	assert_int_equal(solo.r->commit, 0);
}

static void F65_lost_segment_does_not_rejoin_as_voter(void **state)
{
	struct sim *s = damaged_cluster(65);
	uint32_t l = sim_leader(s), a = other_than(s, l, 0), b = other_than(s, l, a);

	/* Entry 21.. is on l and a; a loses its tail; l dies: b must not win with a's vote. */
	(void)state;
	sim_crash(s, b);
	write_some(s, 5);
	assert_true(sim_run(s, 200 * SIM_MS));
	sim_crash(s, a);
	sim_damage(s, a, s->node[a].disk.log.last - 3, s->node[a].disk.log.last);
	sim_crash(s, l);
	sim_start(s, a);
	sim_start(s, b);
	assert_true(sim_run(s, 3000 * SIM_MS));
	assert_int_equal(sim_leader(s), 0); /* waits rather than lose */
	sim_start(s, l);
	finish(s);
}

/* ---- F. snapshot, apply ---- */

static void F67_crash_around_the_snapshot(void **state)
{
	(void)state;
	for (uint32_t keep = 0; keep < 3; keep++) {
		struct sim *s = cluster(670 + keep, 3);
		uint32_t l;

		assert_leads(s);
		write_some(s, 10);
		l = sim_leader(s);
		s->node[l].hang = true;
		sim_snapshot(s, l);
		sim_crash_keeping(s, l, keep);
		s->node[l].hang = false;
		sim_start(s, l);
		write_some(s, 5);
		finish(s);
	}
}

static void F68_snapshot_against_a_conflicting_log(void **state)
{
	struct raft_boot b = boot_of(3, 4);
	const uint64_t mine[] = {1, 1, 2, 2, 2, 2};
	struct raft_snapshot snap = {.index = 4,
				     .term = 3,
				     .id = 99,
				     .members = b.snapshot.members};
	struct raft_event stored = {.type = RAFT_SNAPSHOT_STORED};
	struct raft_event done = {.type = RAFT_SNAPSHOT_DONE, .u.snapshot = &snap};
	struct raft_msg chunk = {.type = MESSAGE_SNAPSHOT,
				 .from = 2,
				 .term = 4,
				 .index = 4,
				 .log_term = 3,
				 .ctx = 99,
				 .flags = MESSAGE_DONE,
				 .members = &snap.members};

	(void)state;
	for (uint64_t term = 2; term <= 3; term++) {
		/* Term 3 conflicts with entry 4 here: all goes. Term 2 matches: 5 and 6 stay. */
		chunk.log_term = snap.term = term;
		stored.u.stored.index = 4;
		stored.u.stored.term = term;
		stored.u.stored.id = 99;
		stored.u.stored.offset = 10;
		solo_open(1, &b, mine, 6);
		assert_int_equal(solo_msg(chunk), VS_OK);
		assert_true(solo.up.store);
		assert_int_equal(solo_step(&stored), VS_OK);
		assert_true(solo.up.install);
		assert_int_equal(solo_step(&done), VS_OK);
		assert_int_equal(solo.up.write.reset, term == 3);
		assert_int_equal(solo.r->trail.last, term == 3 ? 4 : 6);
		assert_int_equal(solo.r->trail.base_index, 4);
		assert_int_equal(sent(MESSAGE_SNAPSHOT_RESP, 0)->flags, MESSAGE_DONE);
		/* The same again, late: answered, nothing changes. */
		assert_int_equal(solo_msg(chunk), VS_OK);
		assert_false(solo.up.store);
		assert_int_equal(sent(MESSAGE_SNAPSHOT_RESP, 0)->flags, MESSAGE_DONE);
	}
}

/* A follower far behind, and its leader's log compacted. */
static struct sim *lagging(uint64_t seed, uint32_t *behind)
{
	struct sim *s = cluster(seed, 3);
	uint32_t l;

	assert_leads(s);
	l = sim_leader(s);
	*behind = other_than(s, l, 0);
	sim_crash(s, *behind);
	write_some(s, 30);
	assert_true(sim_run(s, 100 * SIM_MS));
	for (uint32_t i = 1; i <= 3; i++) {
		if (i == *behind)
			continue;
		sim_snapshot(s, i);
		assert_true(sim_run(s, 50 * SIM_MS));
		sim_compact(s, i, UINT64_MAX / 2);
	}
	assert_true(sim_run(s, 50 * SIM_MS));
	assert_true(s->node[l].log.base > s->node[*behind].disk.log.last);
	return s;
}

static void F69_two_snapshots_and_applies_interleaved(void **state)
{
	uint32_t f, l;
	struct sim *s = lagging(69, &f);

	(void)state;
	sim_start(s, f);
	l = sim_leader(s);
	for (uint32_t i = 0; i < 10; i++) {
		write_some(s, 2);
		sim_snapshot(s, l);
		sim_snapshot(s, f);
		(void)sim_run(s, 3 * SIM_MS);
		sim_compact(s, l, UINT64_MAX / 2);
	}
	assert_true(s->node[f].installs >= 1);
	finish(s); /* the checkers watch applied and state */
}

/* Part of a snapshot is on that node's disk. */
static void wait_stored(struct sim *s, uint32_t f)
{
	for (uint32_t i = 0; i < 20000 && s->node[f].disk.part_offset < 200; i++)
		assert_true(sim_run(s, 50));
	assert_true(s->node[f].disk.part_offset >= 200);
}

static void F70_transfer_resumes(void **state)
{
	uint32_t f, l;
	struct sim *s = lagging(70, &f);
	uint64_t stored;

	(void)state;
	l = sim_leader(s);
	sim_start(s, f);
	wait_stored(s, f);
	stored = s->node[f].disk.part_offset;
	sim_crash(s, f); /* the receiver */
	sim_drop_messages(s);
	sim_start(s, f);
	assert_int_equal(s->node[f].raft->incoming_offset, stored);
	assert_true(sim_until(s, 3000 * SIM_MS, sim_converged, 0));
	assert_int_equal(s->node[f].installs, 1);
	finish(s);

	s = lagging(701, &f);
	l = sim_leader(s);
	sim_start(s, f);
	wait_stored(s, f);
	sim_crash(s, l); /* the sender: the next leader offers the same snapshot */
	assert_true(sim_run(s, 20 * SIM_MS));
	sim_start(s, l);
	assert_true(sim_until(s, 5000 * SIM_MS, sim_converged, 0));
	assert_true(s->node[f].installs >= 1);
	finish(s);
}

static void F71_slow_install_is_recognised(void **state)
{
	uint32_t f;
	struct sim *s = lagging(71, &f);

	(void)state;
	sim_start(s, f);
	for (uint32_t i = 0; i < 20000 && !s->node[f].raft->installing; i++)
		assert_true(sim_run(s, 50));
	assert_true(s->node[f].raft->installing);
	s->node[f].hang = true; /* takes two seconds, many times the resend interval */
	assert_true(sim_run(s, 2000 * SIM_MS));
	s->node[f].hang = false;
	assert_true(sim_until(s, 2000 * SIM_MS, sim_converged, 0));
	assert_int_equal(s->node[f].installs, 1);
	finish(s);
}

static void F72_lagging_peer_does_not_pin_the_log(void **state)
{
	struct raft_boot b = boot_of(3, 1);
	struct raft_event ev = {.type = RAFT_APPLIED};
	struct raft_snapshot snap;

	(void)state;
	solo_open(1, &b, NULL, 0);
	solo_lead();
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(solo_propose(4, 10), RAFT_ACCEPTED);
	solo_durable();
	solo_ack(2, 21);
	ev.u.applied.index = 21;
	assert_int_equal(solo_step(&ev), VS_OK);
	snap = (struct raft_snapshot){.index = 20,
				      .term = 2,
				      .id = 1,
				      .members = b.snapshot.members};
	ev = (struct raft_event){.type = RAFT_SNAPSHOT_TAKEN, .u.snapshot = &snap};
	assert_int_equal(solo_step(&ev), VS_OK);
	/* Node 3 holds the log for a while, then no more. */
	assert_int_equal(raft_needless(solo.r, solo.now, 1000), 0);
	solo.now += 2000;
	solo_heartbeat_resp(2, 0);
	assert_int_equal(raft_needless(solo.r, solo.now, 1000), 20);
	ev = (struct raft_event){.type = RAFT_COMPACT};
	ev.u.compact.index = 20;
	assert_int_equal(solo_step(&ev), VS_OK);
	/* When it comes back it gets the snapshot; a transfer can be given up, and starts over. */
	solo_heartbeat_resp(3, 0);
	assert_int_equal(sent_to(MESSAGE_SNAPSHOT, 3)->index, 20);
	ev = (struct raft_event){.type = RAFT_SNAPSHOT_ABORTED};
	ev.u.aborted.target = 3;
	assert_int_equal(solo_step(&ev), VS_OK);
	assert_int_equal(sent_to(MESSAGE_SNAPSHOT, 3)->offset, 0);
}

static void F73_term_changes_during_a_transfer(void **state)
{
	uint32_t f;
	struct sim *s = lagging(73, &f);

	(void)state;
	sim_start(s, f);
	for (uint32_t i = 0; i < 4; i++) {
		assert_true(sim_run(s, 1000));
		(void)sim_transfer(s, sim_leader(s), 0);
		assert_true(sim_run(s, 30 * SIM_MS));
	}
	finish(s);
}

static void F74_applied_index_comes_with_the_state(void **state)
{
	/*
	 * Where the applied index is stored is the checkpoint's business
	 * (engine); the core takes it from there and from nowhere else.
	 */
	struct raft_boot b = boot_of(3, 2);
	const uint64_t terms[] = {1, 1, 2, 2};

	(void)state;
	b.snapshot.index = 2;
	b.snapshot.term = 1;
	solo_open(1, &b, terms, 4);
	assert_int_equal(solo.r->applied, 2);
	assert_int_equal(solo.r->commit, 2);
	assert_int_equal(solo_append(2, 2, 4, 2, NULL, 0, 4), VS_OK);
	assert_int_equal(solo.up.apply_first, 3); /* each entry after it exactly once */
	assert_int_equal(solo.up.apply_last, 4);
	assert_int_equal(solo_append(2, 2, 4, 2, NULL, 0, 4), VS_OK);
	assert_int_equal(solo.up.apply_first, 0);
}

static void F75_state_differs_is_noticed(void **state)
{
	/* The hash of the real state is the engine's; here the simulator's checker is shown to see.
	 */
	struct sim *s = cluster(75, 3);

	(void)state;
	assert_leads(s);
	write_some(s, 5);
	s->node[2].state.hash ^= 1;
	write_some(s, 5);
	(void)sim_run(s, 500 * SIM_MS);
	assert_non_null(sim_why(s));
	sim_free(s);
}

static void F76_a_retry_is_another_entry_for_the_core(void **state)
{
	/*
	 * Sessions are replicated state of the engine (DESIGN 6).  The core's
	 * part: it never applies one entry twice, and says when it cannot know.
	 */
	struct sim *s = cluster(76, 3);

	(void)state;
	assert_leads(s);
	write_some(s, 5);
	sim_crash(s, sim_leader(s));
	assert_leads(s);
	write_some(s, 5);
	finish(s); /* the history checker fails on a value that is in the log twice */
}

static void F77_log_restarts_after_the_snapshot(void **state)
{
	uint32_t f;
	struct sim *s = lagging(77, &f);

	(void)state;
	sim_start(s, f);
	assert_true(sim_until(s, 3000 * SIM_MS, sim_converged, 0));
	assert_int_equal(s->node[f].installs, 1);
	/* No gap: its log starts at the snapshot, and entries follow. */
	assert_int_equal(s->node[f].log.base, s->node[f].raft->trail.base_index);
	assert_true(s->node[f].disk.log.base <= s->node[f].disk.snapshot.applied);
	sim_crash(s, f);
	sim_start(s, f);
	write_some(s, 5);
	finish(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(F57_hung_disk_gives_up_leadership),
		cmocka_unit_test(F58_slow_follower_is_bounded),
		cmocka_unit_test(F59_lost_middle_entries_are_repaired_in_place),
		cmocka_unit_test(F59_damaged_node_neither_votes_nor_campaigns),
		cmocka_unit_test(F59_repair_under_way_is_not_asked_for_again),
		cmocka_unit_test(F68_snapshot_replaces_a_log_with_a_hole),
		cmocka_unit_test(F60_lost_tail_is_not_a_shorter_log),
		cmocka_unit_test(F60_leader_forgets_acks_of_an_earlier_era),
		cmocka_unit_test(F65_lost_segment_does_not_rejoin_as_voter),
		cmocka_unit_test(F67_crash_around_the_snapshot),
		cmocka_unit_test(F68_snapshot_against_a_conflicting_log),
		cmocka_unit_test(F69_two_snapshots_and_applies_interleaved),
		cmocka_unit_test(F70_transfer_resumes),
		cmocka_unit_test(F71_slow_install_is_recognised),
		cmocka_unit_test(F72_lagging_peer_does_not_pin_the_log),
		cmocka_unit_test(F73_term_changes_during_a_transfer),
		cmocka_unit_test(F74_applied_index_comes_with_the_state),
		cmocka_unit_test(F75_state_differs_is_noticed),
		cmocka_unit_test(F76_a_retry_is_another_entry_for_the_core),
		cmocka_unit_test(F77_log_restarts_after_the_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, close_solo);
}
