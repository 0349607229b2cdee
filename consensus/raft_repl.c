/*
 * raft_repl: the log on its way from leader to followers, and what commits
 * (thesis 3.5, 3.6.2, 10.2.1).
 *
 * The follower's three marks, all about entries of this term's leader:
 *
 *      verified   the log equals the leader's up to here (C7)
 *      durable    the log is on disk up to here
 *      sound      below the first entry whose bytes are lost
 *
 * It acknowledges the least of them, nothing else.
 */
#include "consensus/quorum.h"
#include "consensus/raft_int.h"
#include "engine/base/assert.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

uint64_t repl_ackable(const struct raft *r)
{
	/* C7: verified by this term's leader, durable, and readable. */
	uint64_t ack = min_u64(min_u64(r->verified, r->durable), raft_sound(r));

	return max_u64(ack, r->trail.base_index);
}

/* ---- leader ---- */

static void write_entries(struct raft *r, struct raft_update *up, const struct raft_entry *e,
			  uint32_t count, uint64_t term)
{
	vs_assert(up->write.count == 0 && count > 0);
	raft_write_open(r, up);
	up->write.first = r->trail.last + 1;
	up->write.count = count;
	up->write.entries = e;
	up->write.term = term;
	for (uint32_t i = 0; i < count; i++)
		trail_append(&r->trail, term ? term : e[i].term, e[i].type, e[i].len);
}

void repl_append_own(struct raft *r, struct raft_update *up, enum raft_entry_type type,
		     uint32_t len)
{
	vs_assert(r->role == RAFT_LEADER);
	vs_assert(len <= sizeof r->own_payload);
	r->own_entry = (struct raft_entry){.term = r->hard.term,
					   .len = len,
					   .type = type,
					   .data = r->own_payload};
	write_entries(r, up, &r->own_entry, 1, r->hard.term);
	r->uncommitted_bytes += len;
}

void repl_lead(struct raft *r, struct raft_update *up)
{
	vs_assert(r->role == RAFT_CANDIDATE && r->hard.vote == r->cfg.id);
	vs_assert(raft_hard_durable(r) && !raft_damaged(r)); /* C1, C12 */
	r->role = RAFT_LEADER;
	r->leader = r->cfg.id;
	r->transfer_to = 0;
	r->peer_count = 0;
	r->read_round = 0;
	r->read_open = false;
	r->heartbeat_due_ms = r->now_ms + r->cfg.heartbeat_ms;
	r->quorum_due_ms = r->now_ms + r->cfg.election_ms;
	r->term_first = r->trail.last + 1;
	r->uncommitted_bytes = 0;
	for (uint64_t i = r->commit + 1; i <= r->trail.last; i++)
		r->uncommitted_bytes += trail_len(&r->trail, i);
	member_sync_peers(r);
	read_role_changed(r);
	/* What earlier terms left commits with the first entry of this one (thesis 3.6.2). */
	repl_append_own(r, up, RAFT_ENTRY_NOOP, 0);
	up->gained = true;
}

void repl_propose(struct raft *r, struct raft_update *up, const struct raft_event *ev)
{
	const struct raft_entry *e = ev->u.propose.entries;
	uint32_t count = ev->u.propose.count;
	uint64_t bytes = 0;

	vs_assert(count > 0 && count <= RAFT_PROPOSE_MAX);
	for (uint32_t i = 0; i < count; i++) {
		vs_assert(e[i].type == RAFT_ENTRY_DATA && e[i].len <= MESSAGE_DATA_MAX);
		bytes += e[i].len;
	}
	if (r->role != RAFT_LEADER) {
		up->verdict = RAFT_NOT_LEADER;
		return;
	}
	/* Room is kept for the NOOPs and configurations that must not fail. */
	if (r->transfer_to ||
	    r->trail.last - r->trail.base_index + count > r->cfg.entries_max - 8 ||
	    (r->uncommitted_bytes && r->uncommitted_bytes + bytes > r->cfg.uncommitted_bytes)) {
		up->verdict = RAFT_BUSY; /* C14 */
		return;
	}
	up->index = r->trail.last + 1;
	up->term = r->hard.term;
	write_entries(r, up, e, count, r->hard.term);
	r->uncommitted_bytes += bytes;
}

void repl_advance(struct raft *r, uint64_t commit)
{
	vs_assert(commit <= r->trail.last); /* C5 */
	while (r->commit < commit) {
		r->commit++;
		if (r->role == RAFT_LEADER)
			r->uncommitted_bytes -= trail_len(&r->trail, r->commit);
	}
}

void repl_commit(struct raft *r)
{
	uint64_t match[MEMBERS_MAX];
	uint64_t index;
	uint32_t n = 0;

	vs_assert(r->role == RAFT_LEADER);
	for (uint32_t i = 0; i < r->members.count; i++) {
		const struct member *node = &r->members.m[i];
		const struct progress *p;

		if (node->role != MEMBER_VOTER)
			continue;
		p = raft_peer(r, node->id);
		/* C8: the leader counts itself only for what its disk has (F25). */
		match[n++] = node->id == r->cfg.id ? r->durable : p ? p->match : 0;
	}
	index = quorum_index(match, n);
	/* C8: only entries of its own term commit by counting (F15, thesis 3.6.2). */
	if (index > r->commit && trail_term(&r->trail, index) == r->hard.term)
		repl_advance(r, index);
}

/* One APPEND from p->next on; without entries when `bare`. */
static void send_append(struct raft *r, struct raft_update *up, struct progress *p, bool bare)
{
	uint64_t prev = p->next - 1, bytes = 0;
	uint32_t count = 0;
	struct raft_msg *m;

	vs_assert(trail_has(&r->trail, prev) && p->next <= r->trail.last + 1);
	while (!bare && prev + count < r->trail.last && count < MESSAGE_ENTRIES_MAX) {
		uint32_t len = trail_len(&r->trail, prev + count + 1);

		/* An entry over the limit goes alone; none is skipped (F27). */
		if (count && bytes + len > r->cfg.append_bytes)
			break;
		bytes += len;
		count++;
	}
	m = raft_send(r, up, p->id, MESSAGE_APPEND);
	m->index = prev;
	m->log_term = trail_term(&r->trail, prev);
	m->commit = r->commit;
	m->count = count;
	m->data_len = (uint32_t)bytes;
	p->commit_sent = min_u64(r->commit, prev + count);
	if (!bare)
		progress_sent(p, prev + count, count, bytes);
}

static void heartbeat_to(struct raft *r, struct raft_update *up, struct progress *p)
{
	struct raft_msg *m = raft_send(r, up, p->id, MESSAGE_HEARTBEAT);

	/* Nothing beyond what the peer is known to hold (F17). */
	m->commit = min_u64(r->commit, p->match);
	m->ctx = r->read_round;
	if (m->commit > p->commit_sent)
		p->commit_sent = m->commit;
}

void repl_heartbeat(struct raft *r, struct raft_update *up)
{
	vs_assert(r->role == RAFT_LEADER);
	for (uint32_t i = 0; i < r->peer_count; i++)
		heartbeat_to(r, up, &r->peers[i]);
	r->heartbeat_due_ms = r->now_ms + r->cfg.heartbeat_ms;
}

static void flush_peer(struct raft *r, struct raft_update *up, struct progress *p)
{
	for (uint32_t n = 0; n < RAFT_SENDS_MAX; n++) {
		if (p->state == PROGRESS_SNAPSHOT)
			break;
		if (p->match >= r->trail.last ||
		    (p->state == PROGRESS_REPLICATE && p->next > r->trail.last) ||
		    !progress_may_send(p, r->cfg.inflight_bytes))
			break;
		if (!trail_has(&r->trail, p->next - 1))
			snap_start_sending(r, p);
		else
			send_append(r, up, p, false);
	}
	if (p->state == PROGRESS_SNAPSHOT)
		snap_send(r, up, p);
	/* A commit that no entry carries goes at once: followers' readers wait for it. */
	if (min_u64(r->commit, p->match) > p->commit_sent)
		heartbeat_to(r, up, p);
}

void repl_flush(struct raft *r, struct raft_update *up)
{
	vs_assert(r->role == RAFT_LEADER);
	for (uint32_t i = 0; i < r->peer_count; i++)
		flush_peer(r, up, &r->peers[i]);
	/* A removed peer has been told; now it is a stranger. */
	if (r->members_index <= r->commit)
		member_sync_peers(r);
}

struct progress *repl_heard_from(struct raft *r, const struct raft_msg *m)
{
	struct progress *p;

	if (r->role != RAFT_LEADER)
		return NULL;
	p = raft_peer(r, m->from);
	if (!p || m->era < p->era)
		return NULL;
	if (m->era > p->era) {
		/* It lost entries since: what it acknowledged before counts no more. */
		p->era = m->era;
		p->match = 0;
		progress_probe(p, p->next);
	}
	p->active = true;
	p->contact_ms = r->now_ms;
	return p;
}

static void on_reject(struct raft *r, struct progress *p, const struct raft_msg *m)
{
	uint64_t next;

	if (p->state == PROGRESS_SNAPSHOT || m->index <= p->match)
		return; /* late (F19) */
	if (p->state == PROGRESS_PROBE && m->index != p->next - 1)
		return; /* of an earlier probe */
	/*
	 * The follower has nothing above the hint with a term as low as the
	 * rejected one; this log's last entry not above the hint's term is the
	 * best place to try: a term, not an entry, per round trip (F22).
	 */
	next = trail_find_term(&r->trail, m->commit, m->log_term);
	if (m->commit < r->trail.base_index)
		next = m->commit; /* older than this log reaches: a snapshot */
	progress_probe(p, min_u64(next + 1, m->index));
}

void repl_on_append_resp(struct raft *r, struct raft_update *up, const struct raft_msg *m)
{
	struct progress *p = repl_heard_from(r, m);

	if (!p)
		return;
	if (m->flags & MESSAGE_REJECT) {
		on_reject(r, p, m);
		return;
	}
	if (m->index > r->trail.last) {
		up->verdict = RAFT_DROPPED; /* it cannot have what was not sent */
		return;
	}
	if (p->state == PROGRESS_SNAPSHOT) {
		if (progress_ack(p, m->index) && p->match >= p->snap_index)
			progress_probe(p, p->match + 1);
	} else if (progress_ack(p, m->index) ||
		   (p->state == PROGRESS_PROBE && m->index + 1 >= p->next)) {
		p->nudge_ms = r->now_ms;
		if (p->state == PROGRESS_PROBE)
			progress_replicate(p); /* also when nothing is missing (F32) */
	}
	repl_commit(r);
	member_transfer_step(r, up);
	member_promote(r, up);
}

void repl_on_heartbeat_resp(struct raft *r, struct raft_update *up, const struct raft_msg *m)
{
	struct progress *p = repl_heard_from(r, m);

	if (!p)
		return;
	if (m->ctx > p->read_ctx && m->ctx <= r->read_round)
		p->read_ctx = m->ctx;
	if (p->state == PROGRESS_PROBE)
		p->probe_sent = false; /* the probe or its answer may be lost */
	/*
	 * Alive, and nothing acknowledged for a while: entries or answers got
	 * lost (F32); or it restarted and does not know any more how far it matches.
	 */
	if (p->state == PROGRESS_REPLICATE &&
	    (p->match < r->trail.last || (m->flags & MESSAGE_REJECT)) &&
	    r->now_ms - p->nudge_ms >= 2ull * r->cfg.heartbeat_ms) {
		p->nudge_ms = r->now_ms;
		if (trail_has(&r->trail, p->next - 1))
			send_append(r, up, p, true);
		else
			progress_probe(p, p->next); /* compacted meanwhile: a snapshot */
	}
}

/* ---- follower ---- */

bool repl_accept_leader(struct raft *r, struct raft_update *up, const struct raft_msg *m)
{
	vs_assert(m->term == r->hard.term);
	if (r->role == RAFT_LEADER || (r->leader != 0 && r->leader != m->from)) {
		raft_stop(r, up, RAFT_EVIDENCE_TWO_LEADERS, 0, m->from); /* C1, F14 */
		return false;
	}
	if (r->role != RAFT_FOLLOWER || r->leader != m->from)
		elect_follow(r, up, m->term, m->from);
	r->heard_ms = r->now_ms;
	elect_timer(r);
	return true;
}

void repl_ack(struct raft *r, struct raft_update *up)
{
	struct raft_msg *m;

	/* F24: an answer in a term that a crash could take back promises nothing. */
	if (r->role != RAFT_FOLLOWER || !r->leader || !raft_hard_durable(r))
		return;
	m = raft_send(r, up, r->leader, MESSAGE_APPEND_RESP);
	m->index = repl_ackable(r);
	m->era = r->hard.era;
	vs_assert(m->index <= r->durable && m->index <= raft_sound(r)); /* C7 */
}

static void reject(struct raft *r, struct raft_update *up, const struct raft_msg *in)
{
	uint64_t limit = min_u64(in->index ? in->index - 1 : 0, raft_sound(r));
	struct raft_msg *m = raft_send(r, up, in->from, MESSAGE_APPEND_RESP);
	uint64_t hint = trail_find_term(&r->trail, limit, in->log_term);

	m->flags = MESSAGE_REJECT;
	m->index = in->index;
	m->commit = hint;
	m->log_term = trail_term(&r->trail, hint);
	m->era = r->hard.era;
}

/*
 * Where entries of m begin to say something new: below the commit index this
 * log already equals the leader's (leader completeness), compacted or not
 * (F21).  Returns how many entries to pass over; UINT32_MAX on contradiction.
 */
static uint32_t known_entries(const struct raft *r, const struct raft_msg *m)
{
	uint64_t floor = min_u64(r->commit, raft_sound(r));
	uint32_t skip = 0;

	while (skip < m->count && m->index + skip < floor) {
		uint64_t i = m->index + ++skip;

		if (trail_has(&r->trail, i) &&
		    trail_term(&r->trail, i) != m->entries[skip - 1].term)
			return UINT32_MAX;
	}
	return skip;
}

/* Drop entries from index on: they are another leader's that did not commit. */
static bool truncate(struct raft *r, struct raft_update *up, uint64_t index)
{
	vs_assert(index > r->commit); /* C6 */
	if (!member_rollback(r, index))
		return false;
	raft_write_open(r, up);
	up->write.truncate_from = index;
	r->trunc_seq = up->write.seq;
	trail_truncate(&r->trail, index);
	r->durable = min_u64(r->durable, index - 1);
	r->verified = min_u64(r->verified, index - 1);
	if (r->hole_from >= index)
		r->hole_from = r->hole_to = 0;
	else if (r->hole_to >= index)
		r->hole_to = index - 1;
	if (!r->hole_from || r->repair_to >= index)
		r->repair_to = r->repair_seq = 0;
	return true;
}

/* Entries of e[0..count-1], from index first, that fit and decode; sets their configurations. */
static uint32_t append_new(struct raft *r, struct raft_update *up, const struct raft_entry *e,
			   uint32_t count)
{
	uint64_t first = r->trail.last + 1;
	uint32_t n = 0;

	raft_write_open(r, up);
	up->write.first = first;
	up->write.entries = e;
	while (n < count && trail_room(&r->trail, e[n].term)) {
		struct membership m;

		if (e[n].type == RAFT_ENTRY_CONFIG) {
			if (!e[n].data || membership_decode(&m, bytes_of(e[n].data, e[n].len)))
				break;
			member_set(r, first + n, &m);
		}
		trail_append(&r->trail, e[n].term, e[n].type, e[n].len);
		n++;
	}
	up->write.count = n;
	if (n == 0)
		up->write.first = 0;
	vs_assert(r->trail.last == first + n - 1);
	return n;
}

/* Entries that are in the trail already: the ones in the hole are to be rewritten. */
static void repair(struct raft *r, struct raft_update *up, const struct raft_msg *m, uint32_t from,
		   uint32_t to)
{
	uint64_t next = r->repair_seq ? r->repair_to + 1 : r->hole_from;
	uint64_t first = m->index + 1 + from, last = m->index + to;

	if (!r->hole_from || next > r->hole_to || first > next || last < next)
		return;
	last = min_u64(last, r->hole_to);
	raft_write_open(r, up);
	up->write.repair_first = next;
	up->write.repair_count = (uint32_t)(last - next + 1);
	up->write.repair = &m->entries[next - m->index - 1];
	r->repair_to = last;
	r->repair_seq = up->write.seq;
	vs_assert(r->repair_to >= r->hole_from);
}

/* Entries skip.. of m against this log; returns how many of m it now equals, UINT32_MAX: stop. */
static uint32_t merge(struct raft *r, struct raft_update *up, const struct raft_msg *m,
		      uint32_t skip)
{
	uint32_t n = skip;

	while (n < m->count && m->index + n + 1 <= r->trail.last &&
	       trail_term(&r->trail, m->index + n + 1) == m->entries[n].term)
		n++;
	repair(r, up, m, skip, n);
	/* F16: only a different term is a conflict; a shorter message is just shorter. */
	if (n < m->count && m->index + n + 1 <= r->trail.last) {
		if (m->index + n + 1 <= r->commit || !truncate(r, up, m->index + n + 1))
			return UINT32_MAX;
	}
	if (n < m->count)
		n += append_new(r, up, m->entries + n, m->count - n);
	return n;
}

void repl_on_append(struct raft *r, struct raft_update *up, const struct raft_msg *m)
{
	uint64_t floor, seq = r->write_seq;
	uint32_t skip, have;

	if (!repl_accept_leader(r, up, m) || r->installing)
		return;
	skip = known_entries(r, m);
	floor = min_u64(r->commit, raft_sound(r));
	have = skip;
	if (skip != UINT32_MAX && m->index + skip >= floor) {
		uint64_t prev = m->index + skip;

		/* A hole begins at or below prev: ask again from there (F59, F60). */
		if (prev > raft_sound(r) &&
		    !(skip == 0 && trail_match(&r->trail, prev, m->log_term) && r->repair_seq &&
		      prev <= r->repair_to)) {
			reject(r, up, m);
			return;
		}
		if (skip == 0 && !trail_match(&r->trail, prev, m->log_term)) {
			if (prev > r->commit)
				reject(r, up, m);
			else
				raft_stop(r, up, RAFT_EVIDENCE_COMMITTED, prev, m->from);
			return;
		}
		have = merge(r, up, m, skip);
	}
	if (have == UINT32_MAX || skip == UINT32_MAX) {
		raft_stop(r, up, RAFT_EVIDENCE_COMMITTED, r->commit, m->from); /* C6 */
		return;
	}
	/* F17, F18: what this message showed, and the committed prefix, nothing further. */
	r->verified = max_u64(r->verified, max_u64(m->index + have, floor));
	repl_advance(r, max_u64(r->commit, min_u64(m->commit, r->verified)));
	raft_mend(r, up);
	/*
	 * What is not durable yet is answered by the write's completion.  To
	 * answer less than the message showed would make its sender send the
	 * rest again, and again.
	 */
	if (r->write_seq == seq && repl_ackable(r) >= m->index + have)
		repl_ack(r, up);
}

void repl_on_heartbeat(struct raft *r, struct raft_update *up, const struct raft_msg *m)
{
	struct raft_msg *answer;

	if (!repl_accept_leader(r, up, m))
		return;
	/* After a restart nothing is verified: a heartbeat then commits nothing (F17). */
	if (!r->installing)
		repl_advance(r, max_u64(r->commit, min_u64(m->commit, r->verified)));
	answer = raft_send(r, up, m->from, MESSAGE_HEARTBEAT_RESP);
	answer->ctx = m->ctx;
	answer->era = r->hard.era;
	if (m->commit > r->commit && !r->installing)
		answer->flags = MESSAGE_REJECT;
}
