/*
 * raft_sim_check: what must hold, seen from outside the nodes (the list at the
 * head of FAULTS.md).  Each checker has memory of its own and reads the
 * nodes' disks and logs, not the core's opinion of them, where it can.
 */
#include "consensus/quorum.h"
#include "engine/base/assert.h"
#include "tests/sim/raft_sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Log matching: (index, term) names one entry with one predecessor, for ever. */
struct sim_seen {
	uint64_t index, term, prev_term, value;
	uint32_t type;
};

enum { SEEN_MAX = 1 << 15 };

static uint64_t entry_term(const struct sim_log *l, uint64_t index)
{
	return index == l->base ? l->base_term : l->e[index].term;
}

void sim_check_entry(struct sim *s, struct sim_node *n, uint64_t index, uint64_t prev_term,
		     const struct sim_entry *e)
{
	uint64_t h = (index * 0x9e3779b97f4a7c15u ^ e->term * 0xbf58476d1ce4e5b9u) >> 20;

	if (!s->seen)
		s->seen = calloc(SEEN_MAX, sizeof s->seen[0]);
	vs_assert(s->seen);
	if (e->lost)
		sim_fail(s, "C12: n%u writes a lost entry %llu", n->id, (unsigned long long)index);
	for (uint32_t i = 0; i < SEEN_MAX; i++) {
		struct sim_seen *at = &s->seen[(h + i) % SEEN_MAX];

		if (at->index == 0) {
			*at = (struct sim_seen){index, e->term, prev_term, e->value, e->type};
			return;
		}
		if (at->index != index || at->term != e->term)
			continue;
		if (at->prev_term != prev_term || at->value != e->value || at->type != e->type)
			sim_fail(s, "C4: n%u entry %llu of term %llu differs from what it was",
				 n->id, (unsigned long long)index, (unsigned long long)e->term);
		return;
	}
	sim_fail(s, "the simulator's table of entries is full");
}

static void check_vote(struct sim *s, struct sim_node *n, uint64_t term, uint32_t candidate)
{
	const struct raft_hard *h = &n->disk.hard;
	uint8_t *given;

	if (term >= SIM_TERMS_MAX) {
		sim_fail(s, "too many terms");
		return;
	}
	given = &s->vote_of[n->id][term];
	if (*given && *given != candidate)
		sim_fail(s, "C2: n%u votes for n%u and n%u in term %llu", n->id, *given, candidate,
			 (unsigned long long)term);
	*given = (uint8_t)candidate;
	if (h->term != term || h->vote != candidate)
		sim_fail(s, "C2: n%u's vote for n%u in term %llu leaves before it is durable",
			 n->id, candidate, (unsigned long long)term);
}

/* C7, C13: what a message promises is on the disk when it leaves. */
static void check_message(struct sim *s, struct sim_node *n, const struct raft_msg *m)
{
	bool promise = true;

	switch (m->type) {
	case MESSAGE_VOTE:
		check_vote(s, n, m->term, n->id);
		break;
	case MESSAGE_VOTE_RESP:
		if (!(m->flags & MESSAGE_REJECT))
			check_vote(s, n, m->term, m->to);
		promise = !(m->flags & MESSAGE_REJECT);
		break;
	case MESSAGE_APPEND_RESP:
		promise = !(m->flags & MESSAGE_REJECT);
		if (promise && m->index > n->log.base &&
		    !sim_durable_has(n, m->index, n->log.e[m->index].term))
			sim_fail(s, "C7: n%u acknowledges %llu, its disk does not have it", n->id,
				 (unsigned long long)m->index);
		for (uint64_t i = n->disk.log.base + 1; promise && s->opt.damage && i <= m->index;
		     i++) {
			if (i > n->disk.snapshot.applied && n->disk.log.e[i].lost)
				sim_fail(s, "C12: n%u acknowledges %llu, but lost %llu", n->id,
					 (unsigned long long)m->index, (unsigned long long)i);
		}
		break;
	case MESSAGE_APPEND:
	case MESSAGE_HEARTBEAT:
	case MESSAGE_SNAPSHOT:
		break;
	default:
		promise = false;
		break;
	}
	if (!promise)
		return;
	if (n->disk.hard.term < m->term)
		sim_fail(s, "C13: n%u sends %s in term %llu, its disk has term %llu", n->id,
			 message_name(m->type), (unsigned long long)m->term,
			 (unsigned long long)n->disk.hard.term);
	if (m->term > n->promised_term)
		n->promised_term = m->term;
}

static bool log_has(const struct sim_log *l, uint64_t index, uint64_t term)
{
	return index <= l->base || (index <= l->last && entry_term(l, index) == term);
}

static void check_leader(struct sim *s, struct sim_node *n)
{
	uint64_t term = n->raft->hard.term;
	uint64_t c = s->commit;

	if (term >= SIM_TERMS_MAX) {
		sim_fail(s, "too many terms");
		return;
	}
	if (s->leader_of[term] && s->leader_of[term] != n->id)
		sim_fail(s, "C1: n%u and n%u lead in term %llu", s->leader_of[term], n->id,
			 (unsigned long long)term);
	s->leader_of[term] = n->id;
	if (c && !log_has(&n->log, c, s->committed[c].term))
		sim_fail(s, "leader completeness: n%u leads term %llu without committed %llu",
			 n->id, (unsigned long long)term, (unsigned long long)c);
	if (c > n->log.last)
		sim_fail(s, "leader completeness: n%u's log ends at %llu, %llu is committed", n->id,
			 (unsigned long long)n->log.last, (unsigned long long)c);
}

void sim_check_update(struct sim *s, struct sim_node *n)
{
	for (uint32_t i = 0; i < s->up.msg_count; i++)
		check_message(s, n, &s->up.msgs[i]);
}

/* The committed prefix is on a quorum of durable logs. */
static void check_durable(struct sim *s)
{
	uint64_t c = s->commit;
	uint32_t have = 0;

	if (!c || s->opt.damage)
		return;
	for (uint32_t i = 0; i < s->members.count; i++) {
		const struct member *m = &s->members.m[i];

		have += m->role == MEMBER_VOTER &&
			sim_durable_has(&s->node[m->id], c, s->committed[c].term);
	}
	if (have < quorum_size(membership_voters(&s->members)))
		sim_fail(s, "C8: %llu is committed but durable on %u voters only",
			 (unsigned long long)c, have);
}

static void commit_entry(struct sim *s, struct sim_node *n, uint64_t i)
{
	const struct sim_entry *e = &n->log.e[i];

	if (i <= s->commit) {
		if (i > n->log.base &&
		    (s->committed[i].term != e->term || s->committed[i].value != e->value))
			sim_fail(s, "C6: n%u commits another entry %llu", n->id,
				 (unsigned long long)i);
		return;
	}
	if (i <= n->log.base) {
		sim_fail(s, "n%u compacted %llu before anyone committed it", n->id,
			 (unsigned long long)i);
		return;
	}
	s->committed[i] = *e;
	s->commit = i;
	/* The quorum is one of the configuration in force where it committed (thesis 4.1). */
	s->members = n->raft->members;
	if (s->up.write.count && s->up.write.first == n->raft->members_index)
		s->members = n->raft->members_prev; /* the change came after the commit */
}

void sim_check_step(struct sim *s, struct sim_node *n)
{
	uint64_t commit;

	if (s->why[0])
		return;
	commit = n->raft->commit;
	if (s->up.gained)
		check_leader(s, n);
	if (commit < n->commit_seen)
		sim_fail(s, "C3: commit of n%u goes back", n->id);
	if (n->raft->applied > commit || commit > n->log.last)
		sim_fail(s, "C5: n%u applied %llu commit %llu last %llu", n->id,
			 (unsigned long long)n->raft->applied, (unsigned long long)commit,
			 (unsigned long long)n->log.last);
	for (uint64_t i = n->commit_seen + 1; i <= commit && !s->why[0]; i++)
		commit_entry(s, n, i);
	n->commit_seen = commit;
	check_durable(s);
}

void sim_check_start(struct sim *s, struct sim_node *n)
{
	if (n->disk.hard.term < n->promised_term)
		sim_fail(s, "C3: n%u promised term %llu and is back at %llu", n->id,
			 (unsigned long long)n->promised_term,
			 (unsigned long long)n->disk.hard.term);
	/* Commit is not stored: it starts again at the snapshot. */
	n->commit_seen = n->disk.snapshot.applied;
}

void sim_check_apply(struct sim *s, struct sim_node *n)
{
	uint64_t i = n->state.applied;

	if (i > s->commit)
		return; /* the node's commit is checked in the same step, after this */
	if (s->hash_at[i] && s->hash_at[i] != n->state.hash)
		sim_fail(s, "state of n%u at %llu differs from another node's", n->id,
			 (unsigned long long)i);
	s->hash_at[i] = n->state.hash;
}

static const struct sim_op *op_by_value(const struct sim_op *ops, uint32_t count, uint64_t value)
{
	for (uint32_t i = 0; i < count; i++) {
		if (ops[i].type == SIM_WRITE && ops[i].value == value)
			return &ops[i];
	}
	return NULL;
}

static int by_time(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return x[0] != y[0] ? (x[0] > y[0] ? 1 : -1) : (x[1] > y[1]) - (x[1] < y[1]);
}

/*
 * Values are unique, so an operation's place is the index of its value in the
 * committed log.  A register history is linearizable in that order if and only
 * if no operation that began after another ended has a lower place (a write:
 * not the same place either), every read value was written, by a write that
 * began before the read ended, and every acknowledged write has a place.
 */
const char *sim_history_wrong(const struct sim_op *ops, uint32_t count, const struct sim_entry *log,
			      uint64_t last)
{
	uint64_t(*ev)[3] = calloc(2 * (size_t)count + 1, sizeof *ev);
	uint64_t *place = calloc((size_t)count + 1, sizeof *place);
	uint64_t *floor = calloc((size_t)count + 1, sizeof *floor);
	uint64_t done = 0;
	const char *why = NULL;
	uint32_t n = 0;

	vs_assert(ev && place && floor);
	for (uint32_t i = 0; i < count && !why; i++) {
		const struct sim_op *w;

		if (ops[i].state != SIM_OP_OK)
			continue;
		for (uint64_t j = 1; j <= last && ops[i].value; j++) {
			if (log[j].type == RAFT_ENTRY_DATA && log[j].value == ops[i].value) {
				if (place[i])
					why = "a value is in the log twice";
				place[i] = j;
			}
		}
		if (ops[i].value && !place[i])
			why = ops[i].type == SIM_WRITE
				      ? "an acknowledged write is lost"
				      : "a read saw a value that is not in the log";
		w = ops[i].type == SIM_READ && ops[i].value ? op_by_value(ops, count, ops[i].value)
							    : NULL;
		if (!why && ops[i].type == SIM_READ && ops[i].value &&
		    (!w || w->begin > ops[i].end))
			why = "a read saw a value before it was written";
		/* Ends sort before beginnings of the same moment only if strictly earlier. */
		ev[n][0] = 2 * ops[i].begin;
		ev[n][1] = 0;
		ev[n++][2] = i;
		ev[n][0] = 2 * ops[i].end + 1;
		ev[n][1] = 1;
		ev[n++][2] = i;
	}
	qsort(ev, n, sizeof *ev, by_time);
	for (uint32_t k = 0; k < n && !why; k++) {
		uint64_t i = ev[k][2];

		if (ev[k][1] == 0) {
			floor[i] = done;
			continue;
		}
		if (place[i] < floor[i] || (ops[i].type == SIM_WRITE && place[i] == floor[i]))
			why = ops[i].type == SIM_READ ? "a read is stale"
						      : "a write took its place in the past";
		if (place[i] > done)
			done = place[i];
	}
	free(ev);
	free(place);
	free(floor);
	return why;
}

void sim_check_history(struct sim *s)
{
	const char *why = sim_history_wrong(s->ops, s->op_count, s->committed, s->commit);

	if (why)
		sim_fail(s, "history: %s", why);
}
