/*
 * raft: life cycle, dispatch of events, the write stream, and the invariants.
 */
#include "consensus/raft.h"

#include "consensus/quorum.h"
#include "consensus/raft_int.h"
#include "engine/base/assert.h"

#include <stdlib.h>

static bool config_valid(const struct raft_config *c)
{
	return c->id != 0 && c->heartbeat_ms > 0 && c->election_ms >= 3 * c->heartbeat_ms &&
	       c->disk_ms > 0 && c->append_bytes > 0 && c->append_bytes <= MESSAGE_DATA_MAX &&
	       c->inflight_bytes > 0 && c->uncommitted_bytes > 0 && c->snapshot_chunk > 0 &&
	       c->snapshot_chunk <= MESSAGE_DATA_MAX && c->entries_max >= 16 &&
	       (c->entries_max & (c->entries_max - 1)) == 0 && c->terms_max >= 8;
}

enum vs_err raft_new(const struct raft_config *config, struct raft **out)
{
	struct raft *r;
	enum vs_err err;

	if (!config_valid(config))
		return VS_ERR_CONFIG;
	r = calloc(1, sizeof *r);
	if (!r)
		return VS_ERR_NOMEM;
	r->cfg = *config;
	err = trail_init(&r->trail, config->entries_max, config->terms_max);
	if (err) {
		free(r);
		return err;
	}
	*out = r;
	return VS_OK;
}

void raft_free(struct raft *r)
{
	if (!r)
		return;
	trail_fini(&r->trail);
	free(r);
}

enum vs_err raft_restore(struct raft *r, const struct raft_boot *boot)
{
	const struct raft_snapshot *s = &boot->snapshot;

	if (boot->base_index > s->index || boot->base_term > boot->hard.term ||
	    s->term > boot->hard.term || (s->index == 0) != (s->term == 0) ||
	    boot->damage_from > boot->damage_to)
		return VS_ERR_CORRUPT_LOG;
	vs_assert(s->config_index <= s->index);
	r->hard = boot->hard;
	r->nonce = boot->nonce;
	r->snapshot = *s;
	r->members = s->members;
	r->members_index = s->config_index;
	r->members_prev = s->members;
	r->members_prev_index = s->config_index;
	r->incoming.index = boot->partial_index;
	r->incoming.term = boot->partial_term;
	r->incoming.id = boot->partial_id;
	r->incoming_offset = boot->partial_offset;
	r->hole_from = boot->damage_from;
	r->hole_to = boot->damage_to;
	trail_reset(&r->trail, boot->base_index, boot->base_term);
	return VS_OK;
}

enum vs_err raft_restore_entry(struct raft *r, uint64_t index, const struct raft_entry *e)
{
	struct membership m;
	enum vs_err err;

	if (index != r->trail.last + 1 || e->term < trail_last_term(&r->trail) ||
	    e->term > r->hard.term || e->term == 0 || e->len > TRAIL_LEN_MAX)
		return VS_ERR_CORRUPT_LOG;
	if (!trail_room(&r->trail, e->term))
		return VS_ERR_NOMEM;
	if (e->type == RAFT_ENTRY_CONFIG && index > r->snapshot.index) {
		if (!e->data)
			return VS_ERR_CORRUPT_VALUE;
		err = membership_decode(&m, bytes_of(e->data, e->len));
		if (err)
			return VS_ERR_CORRUPT_VALUE;
		member_set(r, index, &m);
	}
	trail_append(&r->trail, e->term, e->type, e->len);
	return VS_OK;
}

static void update_clear(struct raft_update *up)
{
	up->verdict = RAFT_ACCEPTED;
	up->index = up->term = 0;
	up->write = (struct raft_write){0};
	up->msg_count = up->read_count = 0;
	up->apply_first = up->apply_last = 0;
	up->store = up->install = false;
	up->store_offset = 0;
	up->gained = up->lost = up->disk_hung = up->want_snapshot = false;
	up->evidence = (struct raft_evidence){0};
}

/* Fresh damage gets a mark and an era of its own; see raft.h, "Damage". */
static void damage_mark(struct raft *r, struct raft_update *up, uint64_t from, uint64_t to)
{
	vs_assert(from > r->trail.base_index && from <= to);
	if (to > r->hard.damage_to)
		r->hard.damage_to = to;
	r->hard.damage_term = r->hard.term;
	r->hard.era++;
	r->repair_to = r->repair_seq = 0;
	r->hole_from = from;
	r->hole_to = to;
	if (r->hole_from > r->trail.last)
		r->hole_from = r->hole_to = 0;
	else if (r->hole_to > r->trail.last)
		r->hole_to = r->trail.last;
	raft_write_hard(r, up);
}

static void update_finish(struct raft *r, struct raft_update *up);

enum vs_err raft_start(struct raft *r, uint64_t now_ms, uint64_t random, struct raft_update *up)
{
	const struct raft_snapshot *s = &r->snapshot;
	struct trail *t = &r->trail;
	uint64_t from = r->hole_from, to = r->hole_to;

	vs_assert(now_ms > 0);
	update_clear(up);
	r->now_ms = now_ms;
	r->random = random;
	r->role = RAFT_FOLLOWER;
	r->hole_from = r->hole_to = 0;
	if (!trail_match(t, s->index, s->term)) {
		/* Entries after a snapshot that the log does not lead to are another history. */
		raft_write_open(r, up);
		trail_reset(t, s->index, s->term);
		r->members = r->members_prev = s->members;
		r->members_index = r->members_prev_index = s->config_index;
		up->write.reset = true;
		up->write.reset_index = s->index;
		up->write.reset_term = s->term;
		r->trunc_seq = r->write_seq;
	}
	r->durable = t->last;
	r->commit = r->applied = r->apply_sent = s->index;
	/* What the snapshot covers is not missed, but it cannot be sent either. */
	if (from && from <= s->index)
		trail_compact(t, to < s->index ? to : s->index);
	if (from && to > s->index)
		damage_mark(r, up, from > s->index ? from : s->index + 1, to);
	elect_timer(r);
	update_finish(r, up);
	raft_check(r);
	return VS_OK;
}

struct raft_msg *raft_send(struct raft *r, struct raft_update *up, uint32_t to,
			   enum message_type type)
{
	struct raft_msg *m;

	vs_assert(up->msg_count < RAFT_UPDATE_MSGS); /* C14 */
	vs_assert(to != 0 && to != r->cfg.id);
	m = &up->msgs[up->msg_count++];
	*m = (struct raft_msg){
		.type = type,
		.cluster = r->cfg.cluster,
		.from = r->cfg.id,
		.to = to,
		.term = r->hard.term,
	};
	return m;
}

void raft_write_open(struct raft *r, struct raft_update *up)
{
	if (up->write.seq)
		return;
	/* The age of the oldest write is what a hung disk shows (F57). */
	if (r->durable_seq == r->write_seq)
		r->disk_ms = r->now_ms;
	up->write.seq = ++r->write_seq;
	vs_assert(r->write_seq > r->durable_seq);
}

void raft_write_hard(struct raft *r, struct raft_update *up)
{
	raft_write_open(r, up);
	up->write.hard_set = true;
	up->write.hard = r->hard;
	r->hard_seq = up->write.seq;
}

bool raft_hard_durable(const struct raft *r)
{
	return r->durable_seq >= r->hard_seq;
}

bool raft_damaged(const struct raft *r)
{
	return r->hole_from != 0 || r->hard.damage_to != 0;
}

uint64_t raft_sound(const struct raft *r)
{
	return r->hole_from ? r->hole_from - 1 : r->trail.last;
}

bool raft_disk_waits(const struct raft *r, uint64_t ms)
{
	return r->durable_seq < r->write_seq && r->now_ms - r->disk_ms > ms;
}

void raft_mend(struct raft *r, struct raft_update *up)
{
	uint64_t have = repl_ackable(r);

	if (!r->hard.damage_to || r->hole_from)
		return;
	if (have < r->hard.damage_to && trail_term(&r->trail, have) <= r->hard.damage_term)
		return;
	r->hard.damage_to = r->hard.damage_term = 0;
	raft_write_hard(r, up);
}

void raft_stop(struct raft *r, struct raft_update *up, enum raft_evidence_type type, uint64_t index,
	       uint32_t other)
{
	vs_assert(type != RAFT_EVIDENCE_NONE);
	update_clear(up);
	up->lost = r->role == RAFT_LEADER;
	up->evidence = (struct raft_evidence){
		.type = type,
		.term = r->hard.term,
		.index = index,
		.a = r->leader ? r->leader : r->cfg.id,
		.b = other,
	};
	r->role = RAFT_STOPPED;
	r->leader = 0;
}

struct progress *raft_peer(struct raft *r, uint32_t id)
{
	for (uint32_t i = 0; i < r->peer_count; i++) {
		if (r->peers[i].id == id)
			return &r->peers[i];
	}
	return NULL;
}

/* A message of a later term; false when it ends here. */
static bool later_term(struct raft *r, struct raft_update *up, const struct raft_msg *m)
{
	switch (m->type) {
	case MESSAGE_PREVOTE:
		return true;
	case MESSAGE_PREVOTE_RESP:
		if (!(m->flags & MESSAGE_REJECT))
			return true;
		break;
	case MESSAGE_VOTE:
		/*
		 * Who hears its leader does not help to replace it (thesis 4.2.3),
		 * unless that leader asked for it.
		 */
		if (elect_heard(r) && !(m->flags & MESSAGE_TRANSFER))
			return false;
		break;
	default:
		break;
	}
	elect_follow(r, up, m->term, 0);
	return true;
}

/* A message of an earlier term: tell its sender where the group is. */
static void earlier_term(struct raft *r, struct raft_update *up, const struct raft_msg *m)
{
	enum message_type type;

	switch (m->type) {
	case MESSAGE_APPEND:
	case MESSAGE_HEARTBEAT:
	case MESSAGE_SNAPSHOT:
		type = MESSAGE_APPEND_RESP;
		break;
	case MESSAGE_PREVOTE:
		type = MESSAGE_PREVOTE_RESP;
		break;
	case MESSAGE_VOTE:
		type = MESSAGE_VOTE_RESP;
		break;
	default:
		return;
	}
	raft_send(r, up, m->from, type)->flags = MESSAGE_REJECT;
}

static void dispatch(struct raft *r, struct raft_update *up, const struct raft_msg *m)
{
	switch (m->type) {
	case MESSAGE_PREVOTE:
		elect_on_prevote(r, up, m);
		break;
	case MESSAGE_VOTE:
		elect_on_vote(r, up, m);
		break;
	case MESSAGE_PREVOTE_RESP:
	case MESSAGE_VOTE_RESP:
		elect_on_answer(r, up, m);
		break;
	case MESSAGE_APPEND:
		repl_on_append(r, up, m);
		break;
	case MESSAGE_APPEND_RESP:
		repl_on_append_resp(r, up, m);
		break;
	case MESSAGE_HEARTBEAT:
		repl_on_heartbeat(r, up, m);
		break;
	case MESSAGE_HEARTBEAT_RESP:
		repl_on_heartbeat_resp(r, up, m);
		break;
	case MESSAGE_SNAPSHOT:
		snap_on_chunk(r, up, m);
		break;
	case MESSAGE_SNAPSHOT_RESP:
		snap_on_resp(r, up, m);
		break;
	case MESSAGE_READ:
		read_on_request(r, up, m);
		break;
	case MESSAGE_READ_RESP:
		read_on_resp(r, up, m);
		break;
	case MESSAGE_TIMEOUT_NOW:
		elect_on_timeout_now(r, up, m);
		break;
	case MESSAGE_TYPE_END:
		up->verdict = RAFT_DROPPED;
		break;
	}
}

static void on_message(struct raft *r, struct raft_update *up, const struct raft_msg *m)
{
	if (m->cluster != r->cfg.cluster || m->to != r->cfg.id || m->from == r->cfg.id ||
	    m->from == 0) {
		up->verdict = RAFT_DROPPED; /* F44 */
		return;
	}
	if (m->term > r->hard.term && !later_term(r, up, m))
		return;
	if (m->term < r->hard.term) {
		earlier_term(r, up, m);
		return;
	}
	dispatch(r, up, m);
}

/* Rewritten entries that are on disk leave the hole. */
static void hole_shrink(struct raft *r)
{
	if (!r->hole_from || !r->repair_seq || r->durable_seq < r->repair_seq)
		return;
	vs_assert(r->repair_to >= r->hole_from);
	r->hole_from = r->repair_to + 1;
	r->repair_to = r->repair_seq = 0;
	if (r->hole_from > r->hole_to)
		r->hole_from = r->hole_to = 0;
}

static void on_durable(struct raft *r, struct raft_update *up, const struct raft_event *ev)
{
	uint64_t seq = ev->u.durable.seq, index = ev->u.durable.last_index;
	uint64_t before = repl_ackable(r);
	bool hard_was = raft_hard_durable(r);

	vs_assert(seq <= r->write_seq); /* C13: nothing completes that was not written */
	if (seq <= r->durable_seq)
		return;
	r->durable_seq = seq;
	r->disk_ms = r->now_ms;
	/*
	 * A completion from before the last truncation may name entries that
	 * were dropped and came back: same index and term, but a later write
	 * (F20).  The truncating write's own completion settles it.
	 */
	if (seq >= r->trunc_seq && index > r->durable &&
	    trail_match(&r->trail, index, ev->u.durable.last_term))
		r->durable = index;
	hole_shrink(r);
	raft_mend(r, up);
	if (!hard_was && raft_hard_durable(r))
		elect_hard_durable(r, up);
	if (r->role == RAFT_LEADER)
		repl_commit(r);
	else if (repl_ackable(r) > before || !hard_was)
		repl_ack(r, up);
}

static void on_tick(struct raft *r, struct raft_update *up)
{
	if (raft_disk_waits(r, 2ull * r->cfg.disk_ms))
		up->disk_hung = true;
	if (r->role == RAFT_LEADER && raft_disk_waits(r, r->cfg.disk_ms)) {
		/* A leader that cannot write must not keep others from leading (F57). */
		uint32_t heir = member_heir(r);

		if (heir)
			raft_send(r, up, heir, MESSAGE_TIMEOUT_NOW);
		elect_follow(r, up, r->hard.term, 0);
	}
	up->want_snapshot = r->hole_from && r->hole_from <= r->applied;
	elect_tick(r, up);
	if (r->role == RAFT_LEADER) {
		member_transfer_step(r, up);
		member_promote(r, up);
		if (r->now_ms >= r->heartbeat_due_ms)
			repl_heartbeat(r, up);
	}
	read_tick(r, up);
}

static void on_damage(struct raft *r, struct raft_update *up, uint64_t from, uint64_t to)
{
	vs_assert(from > 0 && from <= to);
	if (to <= r->trail.base_index || from > r->trail.last)
		return; /* not of this log any more */
	if (from <= r->trail.base_index)
		from = r->trail.base_index + 1;
	if (r->hole_from) {
		from = from < r->hole_from ? from : r->hole_from;
		to = to > r->hole_to ? to : r->hole_to;
	}
	if (r->role != RAFT_FOLLOWER)
		elect_follow(r, up, r->hard.term, 0);
	damage_mark(r, up, from, to);
}

static void on_event(struct raft *r, struct raft_update *up, const struct raft_event *ev)
{
	switch (ev->type) {
	case RAFT_TICK:
		on_tick(r, up);
		break;
	case RAFT_MESSAGE:
		on_message(r, up, ev->u.message);
		break;
	case RAFT_PROPOSE:
		repl_propose(r, up, ev);
		break;
	case RAFT_DURABLE:
		on_durable(r, up, ev);
		break;
	case RAFT_DISK_FAILED:
		if (r->role == RAFT_LEADER)
			up->lost = true;
		r->role = RAFT_STOPPED;
		r->leader = 0;
		break;
	case RAFT_APPLIED:
		vs_assert(ev->u.applied.index <= r->apply_sent); /* C5 */
		if (ev->u.applied.index > r->applied)
			r->applied = ev->u.applied.index;
		break;
	case RAFT_READ:
		read_request(r, up, ev->u.read.token);
		break;
	case RAFT_TRANSFER:
		member_transfer(r, up, ev);
		break;
	case RAFT_CHANGE:
		member_change(r, up, ev);
		break;
	case RAFT_SNAPSHOT_TAKEN:
		snap_taken(r, ev->u.snapshot);
		break;
	case RAFT_COMPACT:
		snap_compact(r, up, ev->u.compact.index);
		break;
	case RAFT_SNAPSHOT_STORED:
		snap_stored(r, up, ev);
		break;
	case RAFT_SNAPSHOT_DONE:
		snap_done(r, up, ev->u.snapshot);
		break;
	case RAFT_SNAPSHOT_ABORTED:
		snap_aborted(r, ev->u.aborted.target);
		break;
	case RAFT_DAMAGE:
		on_damage(r, up, ev->u.damage.from, ev->u.damage.to);
		break;
	}
}

/* What every step ends with: committed entries to apply, data to send, reads to answer. */
static void update_finish(struct raft *r, struct raft_update *up)
{
	uint64_t apply = r->commit < raft_sound(r) ? r->commit : raft_sound(r);

	if (r->role == RAFT_LEADER)
		repl_flush(r, up);
	if (!r->installing && apply > r->apply_sent) {
		up->apply_first = r->apply_sent + 1;
		up->apply_last = apply;
		r->apply_sent = apply;
	}
	if (up->write.seq) {
		up->write.last_index = r->trail.last;
		up->write.last_term = trail_last_term(&r->trail);
	}
}

enum vs_err raft_step(struct raft *r, const struct raft_event *ev, struct raft_update *up)
{
	struct raft_hard was = r->hard;
	uint64_t commit = r->commit, applied = r->applied;

	update_clear(up);
	vs_assert(ev->now_ms >= r->now_ms);
	if (r->role == RAFT_STOPPED)
		return VS_ERR_STOPPED;
	r->now_ms = ev->now_ms;
	r->random = ev->random;
	on_event(r, up, ev);
	if (up->evidence.type != RAFT_EVIDENCE_NONE)
		return VS_ERR_INTERNAL;
	if (r->role == RAFT_STOPPED)
		return VS_ERR_STOPPED;
	if (r->role == RAFT_LEADER)
		member_committed(r, up);
	read_advance(r, up);
	update_finish(r, up);
	vs_assert(r->hard.term >= was.term && r->commit >= commit &&
		  r->applied >= applied); /* C3 */
	/* C2: within a term a vote is given once. */
	vs_assert(r->hard.term > was.term || !was.vote || r->hard.vote == was.vote);
	return VS_OK;
}

static void check_leader(const struct raft *r)
{
	vs_assert(r->leader == r->cfg.id);
	vs_assert(!raft_damaged(r));                                  /* C12 */
	vs_assert(r->hard.vote == r->cfg.id && raft_hard_durable(r)); /* C1 */
	vs_assert(r->term_first > 0 && r->term_first <= r->trail.last);
	vs_assert(trail_last_term(&r->trail) == r->hard.term);
	/* C10: a change of its own began when the one before had committed. */
	vs_assert(r->members_index < r->term_first || r->members_prev_index <= r->commit);
	for (uint32_t i = 0; i < r->peer_count; i++) {
		progress_check(&r->peers[i]);
		vs_assert(r->peers[i].match <= r->trail.last);    /* C9 */
		vs_assert(r->peers[i].next <= r->trail.last + 1); /* C9 */
	}
}

void raft_check(const struct raft *r)
{
	if (r->role == RAFT_STOPPED)
		return;
	trail_check(&r->trail);
	membership_check(&r->members);
	vs_assert(trail_last_term(&r->trail) <= r->hard.term);                     /* C4 */
	vs_assert(r->applied <= r->apply_sent && r->apply_sent <= r->commit);      /* C5 */
	vs_assert(r->commit <= r->trail.last && r->trail.base_index <= r->commit); /* C5 */
	vs_assert(r->trail.base_index <= r->snapshot.index);                       /* C5 */
	vs_assert(r->durable >= r->trail.base_index && r->durable <= r->trail.last);
	vs_assert(r->verified <= r->trail.last);
	vs_assert(r->durable_seq <= r->write_seq && r->hard_seq <= r->write_seq); /* C13 */
	vs_assert(!r->hole_from || (r->hole_from <= r->hole_to && r->hole_to <= r->trail.last));
	vs_assert(!r->hole_from || r->hard.damage_to >= r->hole_to); /* C12 */
	vs_assert(r->members_index >= r->members_prev_index);
	vs_assert(r->read_count <= RAFT_READS_MAX && r->peer_count <= RAFT_PEERS_MAX); /* C14 */
	if (r->role == RAFT_LEADER)
		check_leader(r);
	if (r->role == RAFT_CANDIDATE)
		vs_assert(r->hard.vote == r->cfg.id && !raft_damaged(r)); /* C12 */
}

void raft_status(const struct raft *r, struct raft_status *out)
{
	*out = (struct raft_status){
		.role = r->role,
		.leader = r->leader,
		.hard = r->hard,
		.commit = r->commit,
		.applied = r->applied,
		.durable = r->durable,
		.last = r->trail.last,
		.last_term = trail_last_term(&r->trail),
		.base = r->trail.base_index,
		.damaged = raft_damaged(r),
		.hung = raft_disk_waits(r, r->cfg.disk_ms),
		.config_pending = r->members_index > r->commit,
		.transferring = r->role == RAFT_LEADER && r->transfer_to != 0,
	};
}

uint32_t raft_peers(const struct raft *r, struct raft_peer_status *out)
{
	uint32_t n = 0;

	if (r->role != RAFT_LEADER)
		return 0;
	for (uint32_t i = 0; i < r->peer_count && n < MEMBERS_MAX; i++) {
		const struct progress *p = &r->peers[i];
		bool snap = p->state == PROGRESS_SNAPSHOT;

		out[n++] = (struct raft_peer_status){
			.id = p->id,
			.state = p->state,
			.match = p->match,
			.next = p->next,
			.contact_ms = p->contact_ms,
			.snapshot_index = snap ? p->snap_index : 0,
			.snapshot_id = snap ? p->snap_id : 0,
		};
	}
	return n;
}

const struct membership *raft_members(const struct raft *r)
{
	return &r->members;
}

bool raft_term_of(const struct raft *r, uint64_t index, uint64_t *term)
{
	if (!trail_has(&r->trail, index))
		return false;
	*term = trail_term(&r->trail, index);
	return true;
}

uint64_t raft_needless(const struct raft *r, uint64_t now_ms, uint64_t within_ms)
{
	uint64_t least = r->snapshot.index;

	for (uint32_t i = 0; r->role == RAFT_LEADER && i < r->peer_count; i++) {
		const struct progress *p = &r->peers[i];

		if (now_ms - p->contact_ms <= within_ms && p->match < least)
			least = p->match;
	}
	vs_assert(least <= r->snapshot.index);
	return least;
}

const char *raft_role_name(enum raft_role role)
{
	static const char *const names[] = {"follower", "pre-candidate", "candidate", "leader",
					    "stopped"};

	return role <= RAFT_STOPPED ? names[role] : "?";
}
