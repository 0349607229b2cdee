/*
 * raft_elect: elections (thesis 3.4, 3.6), pre-vote (9.6), the vote's way to
 * the disk, leadership handed over (3.10).
 *
 *              timeout                pre-vote won              vote won
 *   FOLLOWER ----------> PRECANDIDATE ------------> CANDIDATE ----------> LEADER
 *      ^                  ^  |                       |  |                   |
 *      |                  |  | lost, leader heard    |  | timeout           |
 *      +------------------|--+-----------------------+  |                   |
 *      |                  +-----------------------------+                   |
 *      +---------- later term, no quorum heard, hung disk, damage ----------+
 *
 * A term is only begun after a pre-vote was won, or on the leader's request,
 * so a node that is cut off does not raise its term again and again (F05).
 */
#include "consensus/quorum.h"
#include "consensus/raft_int.h"
#include "engine/base/assert.h"

/* Spreads the bits of x (splitmix64 finalizer), so that nodes given equal bits differ by id. */
static uint64_t spread(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

void elect_timer(struct raft *r)
{
	uint64_t bits = spread(r->random + 0x9e3779b97f4a7c15u * r->cfg.id);

	r->election_due_ms = r->now_ms + r->cfg.election_ms + bits % r->cfg.election_ms;
	vs_assert(r->election_due_ms > r->now_ms);
}

void elect_follow(struct raft *r, struct raft_update *up, uint64_t term, uint32_t leader)
{
	enum raft_role was = r->role;
	uint32_t old = r->leader;

	vs_assert(term >= r->hard.term && was != RAFT_STOPPED);
	if (term > r->hard.term) {
		/* One record: a crash leaves the old pair or the new one (F02). */
		r->hard.term = term;
		r->hard.vote = 0;
		r->verified = 0;
		r->vote_reply = 0;
		raft_write_hard(r, up);
	}
	r->role = RAFT_FOLLOWER;
	r->leader = leader;
	if (was == RAFT_LEADER) {
		up->lost = true;
		r->peer_count = 0;
		r->transfer_to = 0;
	}
	if (was == RAFT_LEADER || old != leader)
		read_role_changed(r);
	if (was != RAFT_FOLLOWER)
		elect_timer(r);
}

bool elect_heard(const struct raft *r)
{
	if (r->role == RAFT_LEADER)
		return true; /* it would have stepped down without a quorum */
	return r->leader != 0 && r->now_ms - r->heard_ms < r->cfg.election_ms;
}

/*
 * A node whose removal is in its log but not known to have committed may be
 * the only one that can finish it: it campaigns, without a vote of its own
 * (thesis 4.2.2, F39).
 */
static bool has_part(const struct raft *r)
{
	if (membership_voters(&r->members) == 0)
		return false; /* not told of any group yet */
	return membership_is_voter(&r->members, r->cfg.id) ||
	       (r->members_index > r->commit && membership_is_voter(&r->members_prev, r->cfg.id));
}

/*
 * F43 needs no test here: a configuration is in force from the moment it is in
 * the log (thesis 4.1), not from when it is applied.
 */
static bool may_campaign(const struct raft *r)
{
	return has_part(r) && !raft_damaged(r) && !raft_disk_waits(r, r->cfg.disk_ms) &&
	       !r->installing && trail_room(&r->trail, r->hard.term + 1);
}

static void vote_add(struct raft *r, uint32_t id, bool yes)
{
	if (!membership_is_voter(&r->members, id))
		return; /* strangers and learners do not count (F10) */
	for (uint32_t i = 0; i < r->vote_count; i++) {
		if (r->votes[i].id == id)
			return;
	}
	vs_assert(r->vote_count < MEMBERS_MAX); /* C14 */
	r->votes[r->vote_count].id = id;
	r->votes[r->vote_count].yes = yes;
	r->vote_count++;
}

static enum quorum_result vote_result(const struct raft *r)
{
	uint32_t yes = 0, no = 0;

	for (uint32_t i = 0; i < r->vote_count; i++) {
		yes += r->votes[i].yes;
		no += !r->votes[i].yes;
	}
	return quorum_vote(membership_voters(&r->members), yes, no);
}

static void ask_voters(struct raft *r, struct raft_update *up, enum message_type type)
{
	for (uint32_t i = 0; i < r->members.count; i++) {
		const struct member *node = &r->members.m[i];
		struct raft_msg *m;

		if (node->role != MEMBER_VOTER || node->id == r->cfg.id)
			continue;
		m = raft_send(r, up, node->id, type);
		m->term = type == MESSAGE_PREVOTE ? r->hard.term + 1 : r->hard.term;
		m->index = r->trail.last;
		m->log_term = trail_last_term(&r->trail);
		if (type == MESSAGE_VOTE && r->by_transfer)
			m->flags = MESSAGE_TRANSFER;
	}
}

static void begin_vote(struct raft *r, struct raft_update *up, bool by_transfer)
{
	vs_assert(may_campaign(r)); /* C12 */
	r->hard.term++;
	r->hard.vote = r->cfg.id;
	r->verified = 0;
	r->vote_reply = 0;
	raft_write_hard(r, up);
	r->role = RAFT_CANDIDATE;
	r->leader = 0;
	r->vote_count = 0;
	r->vote_asked = false;
	r->by_transfer = by_transfer;
	elect_timer(r);
}

static void begin_prevote(struct raft *r, struct raft_update *up)
{
	r->role = RAFT_PRECANDIDATE;
	r->leader = 0;
	r->vote_count = 0;
	elect_timer(r);
	vote_add(r, r->cfg.id, true);
	if (vote_result(r) == QUORUM_WON)
		begin_vote(r, up, false);
	else
		ask_voters(r, up, MESSAGE_PREVOTE);
}

/* A leader that a majority does not answer is one no more (thesis 6.2). */
static void quorum_check(struct raft *r, struct raft_update *up)
{
	uint32_t active = 0;

	if (r->now_ms < r->quorum_due_ms)
		return;
	r->quorum_due_ms = r->now_ms + r->cfg.election_ms;
	for (uint32_t i = 0; i < r->peer_count; i++) {
		active += r->peers[i].active && membership_is_voter(&r->members, r->peers[i].id);
		r->peers[i].active = false;
	}
	active += membership_is_voter(&r->members, r->cfg.id);
	if (active < quorum_size(membership_voters(&r->members)))
		elect_follow(r, up, r->hard.term, 0);
}

void elect_tick(struct raft *r, struct raft_update *up)
{
	if (r->role == RAFT_LEADER) {
		quorum_check(r, up);
		return;
	}
	if (r->now_ms < r->election_due_ms)
		return;
	if (may_campaign(r)) {
		begin_prevote(r, up);
		return;
	}
	if (r->role != RAFT_FOLLOWER)
		elect_follow(r, up, r->hard.term, 0);
	elect_timer(r);
}

static void vote_settle(struct raft *r, struct raft_update *up)
{
	enum quorum_result result = vote_result(r);

	if (result == QUORUM_OPEN)
		return;
	if (result == QUORUM_LOST) {
		/* The vote for itself stays: the term has not changed (F03). */
		elect_follow(r, up, r->hard.term, 0);
		return;
	}
	if (r->role == RAFT_PRECANDIDATE) {
		if (may_campaign(r))
			begin_vote(r, up, false);
		return;
	}
	vs_assert(r->role == RAFT_CANDIDATE && r->vote_asked);
	repl_lead(r, up);
}

void elect_hard_durable(struct raft *r, struct raft_update *up)
{
	vs_assert(raft_hard_durable(r));
	if (r->role == RAFT_CANDIDATE && !r->vote_asked) {
		/* C2: own vote counts, and is asked for, only now that it cannot be forgotten. */
		r->vote_asked = true;
		vote_add(r, r->cfg.id, true);
		ask_voters(r, up, MESSAGE_VOTE);
		vote_settle(r, up);
	} else if (r->vote_reply) {
		vs_assert(r->vote_reply == r->hard.vote); /* C2 */
		raft_send(r, up, r->vote_reply, MESSAGE_VOTE_RESP)->era = r->hard.era;
		r->vote_reply = 0;
	}
}

/* Thesis 3.6.1: the later last term wins, then the longer log (F08). */
static bool up_to_date(const struct raft *r, const struct raft_msg *m)
{
	uint64_t term = trail_last_term(&r->trail);

	return m->log_term > term || (m->log_term == term && m->index >= r->trail.last);
}

void elect_on_prevote(struct raft *r, struct raft_update *up, const struct raft_msg *m)
{
	struct raft_msg *answer;
	bool yes;

	if (raft_damaged(r))
		return; /* C12: its log looks shorter than what it acknowledged */
	yes = !elect_heard(r) && up_to_date(r, m) &&
	      (m->term > r->hard.term || r->hard.vote == 0 || r->hard.vote == m->from);
	answer = raft_send(r, up, m->from, MESSAGE_PREVOTE_RESP);
	answer->era = r->hard.era;
	if (yes)
		answer->term = m->term;
	else
		answer->flags = MESSAGE_REJECT;
}

void elect_on_vote(struct raft *r, struct raft_update *up, const struct raft_msg *m)
{
	bool yes;

	vs_assert(m->term == r->hard.term);
	if (raft_damaged(r))
		return; /* C12 */
	yes = up_to_date(r, m) &&
	      (r->hard.vote == m->from || (r->hard.vote == 0 && r->leader == 0));
	if (!yes) {
		struct raft_msg *answer = raft_send(r, up, m->from, MESSAGE_VOTE_RESP);

		answer->flags = MESSAGE_REJECT;
		answer->era = r->hard.era;
		return;
	}
	elect_timer(r);
	if (r->hard.vote == 0) {
		vs_assert(r->role != RAFT_LEADER && r->role != RAFT_CANDIDATE);
		r->role = RAFT_FOLLOWER;
		r->hard.vote = m->from;
		raft_write_hard(r, up);
	}
	/* C2: the answer waits for the disk (F01). */
	r->vote_reply = m->from;
	if (raft_hard_durable(r))
		elect_hard_durable(r, up);
}

void elect_on_answer(struct raft *r, struct raft_update *up, const struct raft_msg *m)
{
	bool yes = !(m->flags & MESSAGE_REJECT);

	if (m->type == MESSAGE_PREVOTE_RESP) {
		if (r->role != RAFT_PRECANDIDATE || m->term != r->hard.term + yes)
			return;
	} else if (r->role != RAFT_CANDIDATE || !r->vote_asked || m->term != r->hard.term) {
		return;
	}
	vote_add(r, m->from, yes);
	vote_settle(r, up);
}

void elect_on_timeout_now(struct raft *r, struct raft_update *up, const struct raft_msg *m)
{
	vs_assert(m->term == r->hard.term);
	if (r->role != RAFT_FOLLOWER || r->leader != m->from || !may_campaign(r))
		return;
	begin_vote(r, up, true);
}
