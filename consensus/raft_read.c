/*
 * raft_read: linearizable reads without a log entry (thesis 6.4).
 *
 * The leader waits until an entry of its term has committed (F33), notes the
 * commit index, and sends a round of heartbeats that carries the round's
 * number; when a majority, itself included, has answered that round or a later
 * one, every read that arrived before the round began may use the noted index.
 * One round is open at a time; reads that arrive meanwhile share the next.
 *
 *   arrived (round 0) -> attached (round n, open) -> answered
 *
 * A follower asks the leader.  Its request number is used once: a retry has a
 * fresh one, and numbers of an earlier life differ by the boot's nonce (F35).
 */
#include "consensus/quorum.h"
#include "consensus/raft_int.h"
#include "engine/base/assert.h"

static void answer(struct raft_update *up, uint64_t token, bool ok, uint64_t index)
{
	vs_assert(up->read_count < RAFT_READS_MAX); /* C14 */
	up->reads[up->read_count++] = (struct raft_read_answer){token, ok, index};
}

static bool wait_add(struct raft *r, uint32_t from, uint64_t token)
{
	if (r->read_count == RAFT_READS_MAX)
		return false; /* C14 */
	r->reads[r->read_count++] =
		(struct raft_read_wait){.from = from, .token = token, .since_ms = r->now_ms};
	return true;
}

void read_request(struct raft *r, struct raft_update *up, uint64_t token)
{
	if (!wait_add(r, 0, token))
		up->verdict = RAFT_BUSY;
}

void read_on_request(struct raft *r, struct raft_update *up, const struct raft_msg *m)
{
	struct raft_msg *no;

	if (r->role == RAFT_LEADER && wait_add(r, m->from, m->ctx))
		return;
	no = raft_send(r, up, m->from, MESSAGE_READ_RESP);
	no->flags = MESSAGE_REJECT;
	no->ctx = m->ctx;
}

/* Keeps the reads for which keep() says so, in order. */
static void reads_filter(struct raft *r, struct raft_update *up,
			 bool (*keep)(struct raft *r, struct raft_update *up,
				      const struct raft_read_wait *w))
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->read_count; i++) {
		if (keep(r, up, &r->reads[i]))
			r->reads[n++] = r->reads[i];
	}
	r->read_count = n;
}

static bool keep_local(struct raft *r, struct raft_update *up, const struct raft_read_wait *w)
{
	(void)r;
	(void)up;
	return w->from == 0;
}

/* Others' reads end with leadership; own ones start over with whoever leads next. */
void read_role_changed(struct raft *r)
{
	reads_filter(r, NULL, keep_local);
	for (uint32_t i = 0; i < r->read_count; i++)
		r->reads[i].round = 0;
	r->read_open = false;
	r->read_sent_ms = 0;
}

static bool keep_unanswered(struct raft *r, struct raft_update *up, const struct raft_read_wait *w)
{
	struct raft_msg *m;

	if (w->round == 0 || w->round > r->read_round)
		return true;
	if (w->from == 0) {
		answer(up, w->token, true, r->read_round_index);
		return false;
	}
	m = raft_send(r, up, w->from, MESSAGE_READ_RESP);
	m->index = r->read_round_index;
	m->ctx = w->token;
	m->era = r->hard.era;
	return false;
}

static bool round_confirmed(const struct raft *r)
{
	uint32_t have = membership_is_voter(&r->members, r->cfg.id);

	for (uint32_t i = 0; i < r->peer_count; i++)
		have += r->peers[i].read_ctx >= r->read_round &&
			membership_is_voter(&r->members, r->peers[i].id);
	return have >= quorum_size(membership_voters(&r->members)); /* C11, F36 */
}

static void round_begin(struct raft *r, struct raft_update *up)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->read_count; i++)
		n += r->reads[i].round == 0;
	if (n == 0)
		return;
	vs_assert(r->commit >= r->term_first); /* C11 */
	r->read_round++;
	r->read_round_index = r->commit;
	r->read_open = true;
	for (uint32_t i = 0; i < r->read_count; i++) {
		if (r->reads[i].round == 0)
			r->reads[i].round = r->read_round;
	}
	repl_heartbeat(r, up);
}

/* Follower: all waiting reads ride on one request; a new number for each attempt. */
static void ask_leader(struct raft *r, struct raft_update *up)
{
	bool waiting = false;

	if (!r->leader || r->leader == r->cfg.id || r->read_count == 0 || r->read_sent_ms)
		return;
	for (uint32_t i = 0; i < r->read_count; i++)
		waiting |= r->reads[i].round == 0;
	if (!waiting)
		return;
	r->read_seq++;
	for (uint32_t i = 0; i < r->read_count; i++)
		r->reads[i].round = r->read_seq;
	raft_send(r, up, r->leader, MESSAGE_READ)->ctx = r->nonce + r->read_seq;
	r->read_sent_ms = r->now_ms;
}

void read_advance(struct raft *r, struct raft_update *up)
{
	if (r->role != RAFT_LEADER) {
		ask_leader(r, up);
		return;
	}
	if (r->commit < r->term_first)
		return; /* F33 */
	if (!r->read_open)
		round_begin(r, up);
	/* A group of one confirms in the same step. */
	if (r->read_open && round_confirmed(r)) {
		r->read_open = false;
		reads_filter(r, up, keep_unanswered);
		round_begin(r, up);
	}
}

void read_on_resp(struct raft *r, struct raft_update *up, const struct raft_msg *m)
{
	uint64_t seq = m->ctx - r->nonce;
	uint32_t n = 0;

	if (r->role == RAFT_LEADER || m->from != r->leader || seq == 0 || seq != r->read_seq ||
	    !r->read_sent_ms)
		return; /* of an earlier attempt (F35) */
	r->read_sent_ms = 0;
	for (uint32_t i = 0; i < r->read_count; i++) {
		struct raft_read_wait *w = &r->reads[i];

		if (w->round == seq && w->from == 0)
			answer(up, w->token, !(m->flags & MESSAGE_REJECT), m->index);
		else
			r->reads[n++] = *w;
	}
	r->read_count = n;
}

static bool keep_young(struct raft *r, struct raft_update *up, const struct raft_read_wait *w)
{
	if (r->now_ms - w->since_ms <= 4ull * r->cfg.election_ms)
		return true;
	if (w->from == 0)
		answer(up, w->token, false, 0);
	return false;
}

void read_tick(struct raft *r, struct raft_update *up)
{
	reads_filter(r, up, keep_young);
	/* No answer: ask again, under a new number. */
	if (r->role != RAFT_LEADER && r->read_sent_ms &&
	    r->now_ms - r->read_sent_ms >= r->cfg.election_ms) {
		r->read_sent_ms = 0;
		for (uint32_t i = 0; i < r->read_count; i++)
			r->reads[i].round = 0;
	}
}
