/*
 * raft_member: one-server membership changes (thesis 4.1-4.2), learners that
 * become voters when they have caught up (4.2.1), leadership transfer (3.10).
 *
 * A configuration is in force from the moment it is in the log.  The one
 * before it is kept: a change begins only when the last one has committed
 * (C10), so at most one can ever be rolled back (F42).
 */
#include "consensus/quorum.h"
#include "consensus/raft_int.h"
#include "engine/base/assert.h"

void member_set(struct raft *r, uint64_t index, const struct membership *m)
{
	vs_assert(index > r->members_index || index == 0);
	r->members_prev = r->members;
	r->members_prev_index = r->members_index;
	r->members = *m;
	r->members_index = index;
}

bool member_rollback(struct raft *r, uint64_t from)
{
	if (r->members_index < from)
		return true;
	if (r->members_prev_index >= from)
		return false; /* the later one proves that this one committed */
	r->members = r->members_prev;
	r->members_index = r->members_prev_index;
	vs_assert(r->members_index < from);
	return true;
}

/* Members get a slot; strangers lose theirs once the change that removed them has committed. */
void member_sync_peers(struct raft *r)
{
	uint32_t n = 0;

	vs_assert(r->role == RAFT_LEADER);
	for (uint32_t i = 0; i < r->peer_count; i++) {
		struct progress *p = &r->peers[i];

		if (membership_find(&r->members, p->id) || r->members_index > r->commit) {
			if (n != i)
				r->peers[n] = *p;
			n++;
		}
	}
	r->peer_count = n;
	for (uint32_t i = 0; i < r->members.count; i++) {
		uint32_t id = r->members.m[i].id;

		if (id == r->cfg.id || raft_peer(r, id))
			continue;
		vs_assert(r->peer_count < RAFT_PEERS_MAX); /* C14 */
		progress_init(&r->peers[r->peer_count++], id, r->trail.last, r->now_ms);
	}
}

/* A leader that its group removed or demoted has done its part (thesis 4.2.2, F40). */
void member_committed(struct raft *r, struct raft_update *up)
{
	uint32_t heir;

	vs_assert(r->role == RAFT_LEADER);
	if (r->members_index > r->commit || membership_is_voter(&r->members, r->cfg.id))
		return;
	repl_flush(r, up);
	heir = member_heir(r);
	if (heir)
		raft_send(r, up, heir, MESSAGE_TIMEOUT_NOW);
	elect_follow(r, up, r->hard.term, 0);
}

static bool change_possible(const struct raft *r)
{
	/* C10: an entry of this term has committed, and so has the last change (F38). */
	return r->commit >= r->term_first && r->members_index <= r->commit && !r->transfer_to &&
	       trail_room(&r->trail, r->hard.term);
}

static void change_append(struct raft *r, struct raft_update *up, const struct membership *next)
{
	size_t len = membership_encode(next, r->own_payload, sizeof r->own_payload);

	vs_assert(change_possible(r));                     /* C10 */
	vs_assert(membership_one_step(&r->members, next)); /* C10 */
	up->index = r->trail.last + 1;
	up->term = r->hard.term;
	repl_append_own(r, up, RAFT_ENTRY_CONFIG, (uint32_t)len);
	member_set(r, r->trail.last, next);
	member_sync_peers(r);
}

void member_change(struct raft *r, struct raft_update *up, const struct raft_event *ev)
{
	const struct member *node = &ev->u.change.node;
	struct membership next = r->members;
	enum vs_err err;

	if (r->role != RAFT_LEADER) {
		up->verdict = RAFT_NOT_LEADER;
		return;
	}
	err = ev->u.change.remove ? membership_remove(&next, node->id)
				  : membership_set(&next, node);
	if (err || membership_voters(&next) == 0 || membership_equal(&next, &r->members)) {
		up->verdict = RAFT_REFUSED;
		return;
	}
	if (!change_possible(r) || up->write.count) {
		up->verdict = RAFT_BUSY;
		return;
	}
	change_append(r, up, &next);
}

/*
 * A learner is caught up when a round, the entries that were there at its
 * start, took it no longer than an election (thesis 4.2.1).
 */
static bool caught_up(struct raft *r, struct progress *p)
{
	uint64_t took = r->now_ms - p->round_ms;

	if (p->match < p->round_target || p->state != PROGRESS_REPLICATE)
		return false;
	p->round_target = r->trail.last;
	p->round_ms = r->now_ms;
	return took <= r->cfg.election_ms;
}

void member_promote(struct raft *r, struct raft_update *up)
{
	if (r->role != RAFT_LEADER || !change_possible(r) || up->write.count)
		return;
	for (uint32_t i = 0; i < r->members.count; i++) {
		struct member node = r->members.m[i];
		struct membership next = r->members;
		struct progress *p;

		if (node.role != MEMBER_LEARNER || !node.promote)
			continue;
		p = raft_peer(r, node.id);
		if (!p || !p->active || !caught_up(r, p))
			continue;
		node.role = MEMBER_VOTER;
		vs_assert(membership_set(&next, &node) == VS_OK);
		change_append(r, up, &next);
		return;
	}
}

uint32_t member_heir(const struct raft *r)
{
	const struct progress *best = NULL;

	for (uint32_t i = 0; i < r->peer_count; i++) {
		const struct progress *p = &r->peers[i];

		if (!membership_is_voter(&r->members, p->id) || !p->active)
			continue;
		if (!best || p->match > best->match)
			best = p;
	}
	return best ? best->id : 0;
}

void member_transfer(struct raft *r, struct raft_update *up, const struct raft_event *ev)
{
	uint32_t to = ev->u.transfer.target;

	if (r->role != RAFT_LEADER) {
		up->verdict = RAFT_NOT_LEADER;
		return;
	}
	if (to == 0)
		to = member_heir(r);
	if (to == r->cfg.id || !raft_peer(r, to) || !membership_is_voter(&r->members, to)) {
		up->verdict = RAFT_REFUSED;
		return;
	}
	if (r->transfer_to) {
		up->verdict = RAFT_BUSY;
		return;
	}
	r->transfer_to = to;
	r->transfer_sent = false;
	r->transfer_due_ms = r->now_ms + r->cfg.election_ms;
	member_transfer_step(r, up);
}

void member_transfer_step(struct raft *r, struct raft_update *up)
{
	struct progress *p;

	if (r->role != RAFT_LEADER || !r->transfer_to)
		return;
	p = raft_peer(r, r->transfer_to);
	if (!p || r->now_ms >= r->transfer_due_ms) {
		r->transfer_to = 0; /* it did not take over: go on leading (F13) */
		return;
	}
	if (p->match < r->trail.last || r->transfer_sent)
		return;
	raft_send(r, up, p->id, MESSAGE_TIMEOUT_NOW);
	r->transfer_sent = true;
}
