/*
 * raft_sim_node: crash and start of a node, and what tests and the fault
 * driver do to a cluster.
 */
#include "engine/base/assert.h"
#include "tests/sim/raft_sim_int.h"

#include <stdlib.h>
#include <string.h>

/* ---- life of a node ---- */

static void node_crash(struct sim *s, struct sim_node *n, uint32_t keep)
{
	struct sim_write *w = n->writes;

	vs_assert(n->up);
	for (; w && keep > 0; w = w->next, keep--)
		sim_disk_apply(n, w, UINT32_MAX);
	/* The next one in part: a prefix of its records. */
	if (w && keep == 0 && sim_rand(s, 2) == 0)
		sim_disk_apply(n, w, (uint32_t)sim_rand(s, w->w.count + 2));
	sim_trace(s, n->id, "CRASH; disk: term %llu vote %u last %llu",
		  (unsigned long long)n->disk.hard.term, n->disk.hard.vote,
		  (unsigned long long)n->disk.log.last);
	sim_node_stop(s, n);
}

void sim_crash(struct sim *s, uint32_t node)
{
	struct sim_node *n = &s->node[node];
	uint32_t pending = 0;

	for (struct sim_write *w = n->writes; w; w = w->next)
		pending++;
	if (n->up)
		node_crash(s, n, (uint32_t)sim_rand(s, pending + 1));
}

void sim_crash_keeping(struct sim *s, uint32_t node, uint32_t keep)
{
	if (!s->node[node].up)
		return;
	node_crash(s, &s->node[node], keep);
}

static struct raft_config core_config(uint32_t id)
{
	return (struct raft_config){
		.cluster = 77,
		.id = id,
		.election_ms = 150,
		.heartbeat_ms = 30,
		.disk_ms = 200,
		.append_bytes = 400,
		.inflight_bytes = 2000,
		.uncommitted_bytes = 100000,
		.snapshot_chunk = SNAPSHOT_CHUNK,
		.entries_max = 4096,
		.terms_max = 1024,
	};
}

static void find_damage(const struct sim_node *n, struct raft_boot *b)
{
	const struct sim_log *l = &n->disk.log;

	for (uint64_t i = l->base + 1; i <= l->last; i++) {
		if (!l->e[i].lost)
			continue;
		if (!b->damage_from)
			b->damage_from = i;
		b->damage_to = i;
	}
}

void sim_start(struct sim *s, uint32_t node)
{
	struct sim_node *n = &s->node[node];
	struct raft_config c = core_config(node);
	struct raft_boot b = {0};
	struct sim_disk *d = &n->disk;

	if (n->up)
		return;
	n->log = d->log;
	n->state = d->snapshot;
	n->up = true;
	n->stopped = false;
	n->life++;
	b.hard = d->hard;
	b.snapshot = sim_snapshot_of(&d->snapshot);
	b.base_index = d->log.base;
	b.base_term = d->log.base_term;
	b.nonce = sim_rand(s, 0) >> 1;
	b.partial_index = d->part_index;
	b.partial_term = d->part_term;
	b.partial_id = d->part_id;
	b.partial_offset = d->part_offset;
	find_damage(n, &b);
	vs_assert(raft_new(&c, &n->raft) == VS_OK);
	vs_assert(raft_restore(n->raft, &b) == VS_OK);
	for (uint64_t i = d->log.base + 1; i <= d->log.last; i++) {
		const struct sim_entry *e = &d->log.e[i];
		struct raft_entry meta = {.term = e->term, .type = e->type, .len = e->len};

		if (e->type == RAFT_ENTRY_CONFIG)
			meta.data = s->blobs[e->blob].p;
		vs_assert(raft_restore_entry(n->raft, i, &meta) == VS_OK);
	}
	sim_trace(s, node, "START term %llu vote %u log %llu..%llu snapshot %llu damage %llu..%llu",
		  (unsigned long long)d->hard.term, d->hard.vote, (unsigned long long)d->log.base,
		  (unsigned long long)d->log.last, (unsigned long long)d->snapshot.applied,
		  (unsigned long long)b.damage_from, (unsigned long long)b.damage_to);
	sim_check_start(s, n);
	vs_assert(raft_start(n->raft, sim_node_ms(s, n), sim_rand(s, 0), &s->up) == VS_OK);
	sim_take_update(s, n, NULL, 0, NULL);
	sim_push(s, (struct sim_event){.at_us = s->now_us + sim_rand(s, TICK_US),
				       .kind = EV_TICK,
				       .node = node,
				       .life = n->life});
}

struct sim *sim_new(const struct sim_options *opt)
{
	struct sim *s = calloc(1, sizeof *s);

	vs_assert(s && opt->nodes <= SIM_NODES_MAX && opt->voters <= opt->nodes);
	s->opt = *opt;
	s->rng = opt->seed * 0x2545f4914f6cdd1du + 1;
	s->seen = NULL;
	(void)sim_blob_add(s, "", 0);
	for (uint32_t id = 1; id <= opt->voters; id++) {
		struct member m = {.id = id, .role = MEMBER_VOTER};

		vs_assert(membership_set(&s->members, &m) == VS_OK);
	}
	for (uint32_t id = 1; id <= SIM_NODES_MAX; id++) {
		struct sim_node *n = &s->node[id];

		n->id = id;
		n->writes_end = &n->writes;
		n->disk_us = 300;
		n->rate_pm = 1000;
		n->offset_ms = 1 + sim_rand(s, 1000000);
		if (id <= opt->voters)
			n->disk.snapshot.members = s->members;
	}
	for (uint32_t id = 1; id <= opt->nodes; id++)
		sim_start(s, id);
	return s;
}

void sim_free(struct sim *s)
{
	for (uint32_t i = 0; i < s->heap_count; i++)
		sim_event_free(&s->heap[i]);
	for (uint32_t id = 1; id <= SIM_NODES_MAX; id++)
		sim_node_stop(s, &s->node[id]);
	for (uint32_t i = 0; i < s->blob_count; i++)
		free(s->blobs[i].p);
	free(s->blobs);
	free(s->heap);
	free(s->seen);
	free(s);
}

/* ---- what tests and the fault driver do ---- */

uint32_t sim_leader(struct sim *s)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i <= SIM_NODES_MAX; i++) {
		const struct sim_node *n = &s->node[i];

		if (n->up && n->raft->role == RAFT_LEADER &&
		    (!best || n->raft->hard.term > s->node[best].raft->hard.term))
			best = i;
	}
	return best;
}

uint64_t sim_commit(struct sim *s, uint32_t node)
{
	return s->node[node].up ? s->node[node].raft->commit : 0;
}

void sim_cut(struct sim *s, uint32_t from, uint32_t to, bool cut)
{
	s->cut[from][to] = cut;
	sim_trace(s, 0, "link n%u -> n%u %s", from, to, cut ? "cut" : "up");
}

void sim_isolate(struct sim *s, uint32_t node, bool cut)
{
	for (uint32_t i = 1; i <= SIM_NODES_MAX; i++) {
		s->cut[node][i] = cut;
		s->cut[i][node] = cut;
	}
	sim_trace(s, node, "%s", cut ? "isolated" : "connected");
}

void sim_drop_messages(struct sim *s)
{
	for (uint32_t i = 0; i < s->heap_count; i++) {
		if (s->heap[i].kind != EV_PACKET)
			continue;
		sim_packet_free(s->heap[i].packet);
		/* An event of no node's life does nothing. */
		s->heap[i].packet = NULL;
		s->heap[i].kind = EV_DONE;
		s->heap[i].life = UINT32_MAX;
	}
}

void sim_heal(struct sim *s)
{
	memset(s->cut, 0, sizeof s->cut);
	s->opt.loss_pm = s->opt.dup_pm = s->opt.slow_pm = 0;
	s->opt.delay_us = 500;
	for (uint32_t i = 1; i <= SIM_NODES_MAX; i++) {
		s->node[i].hang = false;
		s->node[i].disk_us = 300;
		if (i <= s->opt.nodes)
			sim_start(s, i);
	}
	sim_trace(s, 0, "HEALED");
}

static uint32_t op_new(struct sim *s, enum sim_op_type type, uint32_t node)
{
	struct sim_op *op;

	if (s->op_count == SIM_OPS_MAX || !s->node[node].up)
		return UINT32_MAX;
	op = &s->ops[s->op_count];
	*op = (struct sim_op){.type = type, .node = node, .begin = s->now_us};
	return s->op_count++;
}

uint32_t sim_write(struct sim *s, uint32_t node)
{
	struct raft_entry e = {.type = RAFT_ENTRY_DATA, .len = (uint32_t)sim_rand(s, 300)};
	struct raft_event ev = {.type = RAFT_PROPOSE};
	struct sim_node *n = &s->node[node];
	struct sim_op *op;
	uint32_t at;

	if (n->up && n->log.last + 64 > SIM_ENTRIES_MAX)
		return UINT32_MAX;
	at = op_new(s, SIM_WRITE, node);
	if (at == UINT32_MAX)
		return at;
	op = &s->ops[at];
	/* The step may apply (a group of one whose disk is quick does not, but be exact). */
	op->value = s->value_seq + 1;
	op->index = n->log.last + 1;
	op->term = n->raft->hard.term;
	ev.u.propose.entries = &e;
	ev.u.propose.count = 1;
	if (sim_step(s, node, &ev))
		return UINT32_MAX;
	if (s->value_seq != op->value) {
		op->state = SIM_OP_FAILED; /* refused: no entry was made */
		return UINT32_MAX;
	}
	return at;
}

uint32_t sim_read(struct sim *s, uint32_t node)
{
	struct raft_event ev = {.type = RAFT_READ};
	uint32_t at = op_new(s, SIM_READ, node);

	if (at == UINT32_MAX)
		return at;
	s->ops[at].index = s->done_index;
	ev.u.read.token = at;
	(void)sim_step(s, node, &ev);
	return at;
}

enum raft_verdict sim_change(struct sim *s, uint32_t node, bool remove, uint32_t id,
			     enum member_role role, bool promote)
{
	struct raft_event ev = {.type = RAFT_CHANGE};
	enum raft_verdict v = RAFT_NOT_LEADER;
	uint64_t last;

	if (!s->node[node].up)
		return v;
	ev.u.change.remove = remove;
	ev.u.change.node = (struct member){.id = id, .role = role, .promote = promote};
	last = s->node[node].log.last;
	if (s->node[node].raft->role != RAFT_LEADER)
		return v;
	if (sim_step(s, node, &ev))
		return v;
	v = s->node[node].up && s->node[node].log.last > last ? RAFT_ACCEPTED : RAFT_REFUSED;
	sim_trace(s, node, "%s n%u as %d: %s", remove ? "remove" : "set", id, (int)role,
		  v == RAFT_ACCEPTED ? "accepted" : "refused");
	return v;
}

enum raft_verdict sim_transfer(struct sim *s, uint32_t node, uint32_t to)
{
	struct raft_event ev = {.type = RAFT_TRANSFER};

	if (!s->node[node].up)
		return RAFT_NOT_LEADER;
	ev.u.transfer.target = to;
	sim_trace(s, node, "transfer to n%u", to);
	if (sim_step(s, node, &ev))
		return RAFT_NOT_LEADER;
	return s->node[node].raft->transfer_to || s->node[node].raft->role != RAFT_LEADER
		       ? RAFT_ACCEPTED
		       : RAFT_REFUSED;
}

void sim_snapshot(struct sim *s, uint32_t node)
{
	struct sim_node *n = &s->node[node];
	struct sim_write *w;

	if (!n->up || n->taking || n->state.applied <= n->raft->snapshot.index ||
	    n->raft->installing || n->state.applied != n->raft->applied)
		return;
	w = sim_write_new(SIM_TAKE);
	w->state = n->state;
	n->taking = true;
	sim_trace(s, node, "takes snapshot %llu", (unsigned long long)n->state.applied);
	sim_disk_submit(s, n, w);
}

void sim_compact(struct sim *s, uint32_t node, uint64_t index)
{
	struct sim_node *n = &s->node[node];
	struct raft_event ev = {.type = RAFT_COMPACT};
	struct sim_write *w;

	if (!n->up || n->raft->installing)
		return;
	if (index > n->raft->snapshot.index)
		index = n->raft->snapshot.index;
	if (index <= n->log.base)
		return;
	sim_trace(s, node, "compacts to %llu", (unsigned long long)index);
	sim_log_compact(&n->log, index);
	w = sim_write_new(SIM_COMPACT);
	w->index = index;
	sim_disk_submit(s, n, w);
	ev.u.compact.index = index;
	(void)sim_step(s, node, &ev);
}

void sim_damage(struct sim *s, uint32_t node, uint64_t from, uint64_t to)
{
	struct sim_node *n = &s->node[node];
	struct raft_event ev = {.type = RAFT_DAMAGE};

	vs_assert(s->opt.damage);
	if (from <= n->disk.log.base)
		from = n->disk.log.base + 1;
	if (to > n->disk.log.last)
		to = n->disk.log.last;
	if (n->up && to > n->raft->durable)
		to = n->raft->durable;
	if (from > to)
		return;
	sim_trace(s, node, "LOSES entries %llu..%llu", (unsigned long long)from,
		  (unsigned long long)to);
	n->era_damaged++;
	for (uint64_t i = from; i <= to; i++)
		n->disk.log.e[i].lost = true;
	if (!n->up)
		return;
	for (uint64_t i = from; i <= to; i++)
		n->log.e[i].lost = true;
	ev.u.damage.from = from;
	ev.u.damage.to = to;
	(void)sim_step(s, node, &ev);
}

void sim_disk_fail(struct sim *s, uint32_t node)
{
	struct raft_event ev = {.type = RAFT_DISK_FAILED};

	(void)sim_step(s, node, &ev);
}

bool sim_has_leader(struct sim *s, uint64_t arg)
{
	uint32_t l = sim_leader(s);

	(void)arg;
	return l && s->node[l].raft->commit >= s->node[l].raft->term_first;
}

bool sim_converged(struct sim *s, uint64_t arg)
{
	uint32_t l = sim_leader(s);
	const struct sim_node *lead = &s->node[l];

	(void)arg;
	if (!l || lead->raft->commit != lead->log.last || lead->state.applied != lead->log.last)
		return false;
	for (uint32_t i = 0; i < lead->raft->members.count; i++) {
		const struct sim_node *n = &s->node[lead->raft->members.m[i].id];

		if (n->id > s->opt.nodes)
			continue;
		if (!n->up || n->state.applied != lead->state.applied ||
		    n->state.hash != lead->state.hash || raft_damaged(n->raft))
			return false;
	}
	return true;
}
