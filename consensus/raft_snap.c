/*
 * raft_snap: snapshots on their way to a peer whose entries have left the log
 * (thesis ch. 5; chunks as in its fig. 5.3).
 *
 * The core moves no bytes: it says which snapshot and offset to send, and asks
 * for a chunk to be stored; the caller fills and stores it.  One chunk is in
 * flight per peer.  The receiver answers with the offset it has durable, and
 * the sender goes on from there, whatever either thought before: that is how a
 * transfer resumes after a restart of either side (F70), as long as the sender
 * still offers the same (index, term, id).
 *
 *   sender    SNAPSHOT(index, offset) ->          <- SNAPSHOT_RESP(offset durable)
 *   receiver  chunk -> store -> durable ... last chunk -> install -> DONE
 */
#include "consensus/raft_int.h"
#include "engine/base/assert.h"

/* A transfer keeps its snapshot although a newer one is taken, or it would never end. */
void snap_start_sending(struct raft *r, struct progress *p)
{
	vs_assert(r->snapshot.index >= r->trail.base_index && r->snapshot.index > 0);
	progress_snapshot(p, r->snapshot.index, r->snapshot.term, r->snapshot.id);
	p->snap_config_index = r->snapshot.config_index;
	p->snap_members = r->snapshot.members;
}

void snap_send(struct raft *r, struct raft_update *up, struct progress *p)
{
	struct raft_msg *m;

	vs_assert(p->state == PROGRESS_SNAPSHOT);
	if (p->snap_sent_ms && r->now_ms - p->snap_sent_ms < 2ull * r->cfg.election_ms)
		return;
	p->snap_sent_ms = r->now_ms;
	m = raft_send(r, up, p->id, MESSAGE_SNAPSHOT);
	m->index = p->snap_index;
	m->log_term = p->snap_term;
	m->ctx = p->snap_id;
	m->offset = p->snap_offset;
	m->commit = p->snap_config_index;
	m->members = &p->snap_members;
}

void snap_on_resp(struct raft *r, struct raft_update *up, const struct raft_msg *m)
{
	struct progress *p = repl_heard_from(r, m);

	if (!p || p->state != PROGRESS_SNAPSHOT || m->index != p->snap_index ||
	    m->log_term != p->snap_term || m->ctx != p->snap_id)
		return;
	if (m->commit > r->trail.last) {
		up->verdict = RAFT_DROPPED;
		return;
	}
	if (m->flags & MESSAGE_DONE) {
		progress_ack(p, m->commit);
		progress_probe(p, p->match + 1);
		p->round_target = r->trail.last;
		p->round_ms = r->now_ms;
		repl_commit(r);
		return;
	}
	p->snap_offset = m->offset;
	p->snap_sent_ms = 0; /* the next chunk may go */
}

static void answer(struct raft *r, struct raft_update *up, const struct raft_snapshot *s,
		   uint64_t offset, bool done)
{
	struct raft_msg *m;

	if (!r->leader || r->role != RAFT_FOLLOWER || !raft_hard_durable(r))
		return; /* asked again, it answers */
	m = raft_send(r, up, r->leader, MESSAGE_SNAPSHOT_RESP);
	m->index = s->index;
	m->log_term = s->term;
	m->ctx = s->id;
	m->offset = offset;
	m->era = r->hard.era;
	if (done) {
		m->flags = MESSAGE_DONE;
		m->commit = repl_ackable(r);
	}
}

static bool same_snapshot(const struct raft_snapshot *s, uint64_t index, uint64_t term, uint64_t id)
{
	return s->index == index && s->term == term && s->id == id;
}

void snap_on_chunk(struct raft *r, struct raft_update *up, const struct raft_msg *m)
{
	struct raft_snapshot offered = {.index = m->index, .term = m->log_term, .id = m->ctx};

	if (!repl_accept_leader(r, up, m) || r->installing)
		return;
	if (m->index == 0 || !m->members || m->commit > m->index) {
		up->verdict = RAFT_DROPPED;
		return;
	}
	if (m->index <= r->commit && m->index <= raft_sound(r)) {
		/* Late or needless (F68): the leader has all that is committed here. */
		r->verified = r->verified > r->commit ? r->verified : r->commit;
		if (repl_ackable(r) >= m->index)
			answer(r, up, &offered, m->offset, true);
		return;
	}
	if (m->index <= r->apply_sent)
		return; /* applied never goes back: a snapshot of its own will close the hole */
	if (!same_snapshot(&r->incoming, m->index, m->log_term, m->ctx)) {
		r->incoming_offset = 0;
		r->storing = false;
	}
	offered.config_index = m->commit;
	offered.members = *m->members;
	r->incoming = offered;
	if (m->offset != r->incoming_offset) {
		answer(r, up, &offered, r->incoming_offset, false); /* resume there */
		return;
	}
	if (r->storing)
		return; /* the same chunk again */
	r->storing = true;
	r->storing_last = m->flags & MESSAGE_DONE;
	up->store = true;
	up->store_offset = m->offset;
	up->incoming = offered;
}

void snap_stored(struct raft *r, struct raft_update *up, const struct raft_event *ev)
{
	if (!r->storing ||
	    !same_snapshot(&r->incoming, ev->u.stored.index, ev->u.stored.term, ev->u.stored.id))
		return; /* of a transfer that was given up */
	vs_assert(ev->u.stored.offset >= r->incoming_offset);
	r->incoming_offset = ev->u.stored.offset;
	r->storing = false;
	if (!r->storing_last) {
		answer(r, up, &r->incoming, r->incoming_offset, false);
		return;
	}
	if (r->incoming.index <= r->apply_sent)
		return; /* overtaken by entries meanwhile (F69) */
	r->installing = true;
	up->install = true;
	up->incoming = r->incoming;
}

/* The configuration after a snapshot took the place of the log up to its index. */
static void adopt_members(struct raft *r, const struct raft_snapshot *s, bool kept)
{
	if (!kept || r->members_index <= s->index) {
		r->members = s->members;
		r->members_index = s->config_index;
	}
	if (!kept || r->members_prev_index <= s->index) {
		r->members_prev = s->members;
		r->members_prev_index = s->config_index;
	}
	vs_assert(r->members_prev_index <= r->members_index);
}

static void hole_cut(struct raft *r, uint64_t base)
{
	if (r->hole_to <= base)
		r->hole_from = r->hole_to = 0;
	else if (r->hole_from && r->hole_from <= base)
		r->hole_from = base + 1;
	if (!r->hole_from || r->repair_to < r->hole_from)
		r->repair_to = r->repair_seq = 0;
}

void snap_done(struct raft *r, struct raft_update *up, const struct raft_snapshot *s)
{
	bool kept = trail_match(&r->trail, s->index, s->term);

	vs_assert(r->installing && same_snapshot(&r->incoming, s->index, s->term, s->id));
	vs_assert(s->index > r->applied && s->config_index <= s->index); /* C5, F69 */
	r->installing = false;
	r->incoming = (struct raft_snapshot){0};
	r->incoming_offset = 0;
	if (kept) {
		trail_compact(&r->trail, s->index);
	} else {
		/* F68, F77: what is left is another history; the log restarts after the snapshot.
		 */
		raft_write_open(r, up);
		trail_reset(&r->trail, s->index, s->term);
		up->write.reset = true;
		up->write.reset_index = s->index;
		up->write.reset_term = s->term;
		r->trunc_seq = up->write.seq;
		r->durable = s->index;
		r->verified = s->index;
	}
	r->durable = r->durable > s->index ? r->durable : s->index;
	r->verified = r->verified > s->index ? r->verified : s->index;
	adopt_members(r, s, kept);
	hole_cut(r, kept ? s->index : UINT64_MAX);
	if (s->index > r->commit)
		r->commit = s->index;
	r->applied = s->index;
	if (r->apply_sent < s->index)
		r->apply_sent = s->index;
	r->snapshot = *s;
	raft_mend(r, up);
	answer(r, up, s, 0, true);
}

void snap_taken(struct raft *r, const struct raft_snapshot *s)
{
	vs_assert(s->index <= r->applied && s->index >= r->snapshot.index); /* C5 */
	vs_assert(s->config_index <= s->index);
	r->snapshot = *s;
}

void snap_compact(struct raft *r, struct raft_update *up, uint64_t index)
{
	vs_assert(index <= r->snapshot.index); /* C5 */
	if (index <= r->trail.base_index)
		return;
	if (index > r->durable)
		r->durable = index; /* the snapshot has it durable */
	trail_compact(&r->trail, index);
	hole_cut(r, index);
	raft_mend(r, up);
}

void snap_aborted(struct raft *r, uint32_t target)
{
	struct progress *p;

	if (target == r->cfg.id || target == 0) {
		if (!r->installing) {
			r->incoming = (struct raft_snapshot){0};
			r->incoming_offset = 0;
			r->storing = false;
		}
		return;
	}
	if (r->role != RAFT_LEADER)
		return;
	p = raft_peer(r, target);
	if (p && p->state == PROGRESS_SNAPSHOT)
		progress_probe(p, p->match + 1);
}
