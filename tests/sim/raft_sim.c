/*
 * raft_sim: the event queue, the network, the disks, and what comes of a step.
 */
#include "engine/base/assert.h"
#include "tests/sim/raft_sim_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- small tools ---- */

uint64_t sim_rand(struct sim *s, uint64_t below)
{
	uint64_t x = s->rng += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	x ^= x >> 31;
	return below ? x % below : x;
}

void sim_fail(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (s->why[0])
		return;
	va_start(ap, fmt);
	vsnprintf(s->why, sizeof s->why, fmt, ap);
	va_end(ap);
	sim_trace(s, 0, "VIOLATION %s", s->why);
}

void sim_trace(struct sim *s, uint32_t node, const char *fmt, ...)
{
	va_list ap;

	if (!s->opt.trace)
		return;
	printf("%9.3f ms  ", (double)s->now_us / 1000.0);
	if (node)
		printf("n%u  ", node);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

const char *sim_why(const struct sim *s)
{
	return s->why[0] ? s->why : NULL;
}

void sim_push(struct sim *s, struct sim_event ev)
{
	uint32_t i;

	if (s->heap_count == s->heap_max) {
		s->heap_max = s->heap_max ? 2 * s->heap_max : 256;
		s->heap = realloc(s->heap, s->heap_max * sizeof s->heap[0]);
		vs_assert(s->heap);
	}
	ev.seq = ++s->event_seq;
	for (i = s->heap_count++; i > 0; i = (i - 1) / 2) {
		struct sim_event *up = &s->heap[(i - 1) / 2];

		if (up->at_us < ev.at_us || (up->at_us == ev.at_us && up->seq < ev.seq))
			break;
		s->heap[i] = *up;
	}
	s->heap[i] = ev;
}

static bool event_before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at_us < b->at_us || (a->at_us == b->at_us && a->seq < b->seq);
}

static struct sim_event heap_pop(struct sim *s)
{
	struct sim_event top = s->heap[0], last = s->heap[--s->heap_count];
	uint32_t i = 0;

	for (;;) {
		uint32_t c = 2 * i + 1;

		if (c >= s->heap_count)
			break;
		if (c + 1 < s->heap_count && event_before(&s->heap[c + 1], &s->heap[c]))
			c++;
		if (event_before(&last, &s->heap[c]))
			break;
		s->heap[i] = s->heap[c];
		i = c;
	}
	if (s->heap_count)
		s->heap[i] = last;
	return top;
}

void sim_packet_free(struct packet *p)
{
	if (!p)
		return;
	free(p->bytes);
	free(p->entries);
	free(p);
}

static void write_free(struct sim_write *w)
{
	if (!w)
		return;
	free(w->entries);
	free(w);
}

void sim_event_free(struct sim_event *ev)
{
	sim_packet_free(ev->packet);
	write_free(ev->write);
}

uint32_t sim_blob_add(struct sim *s, const void *p, uint32_t len)
{
	uint32_t at = s->blob_count++;

	s->blobs = realloc(s->blobs, s->blob_count * sizeof s->blobs[0]);
	vs_assert(s->blobs);
	s->blobs[at].p = malloc(len ? len : 1);
	vs_assert(s->blobs[at].p);
	memcpy(s->blobs[at].p, p, len);
	s->blobs[at].len = len;
	return at;
}

uint64_t sim_node_ms(const struct sim *s, const struct sim_node *n)
{
	return n->offset_ms + s->now_us * n->rate_pm / 1000 / 1000;
}

/* ---- logs and disks ---- */

static uint64_t log_term(const struct sim_log *l, uint64_t index)
{
	return index == l->base ? l->base_term : l->e[index].term;
}

static void log_apply(struct sim_log *l, const struct raft_write *w, const struct sim_entry *e,
		      uint32_t keep)
{
	if (w->reset) {
		l->base = l->last = w->reset_index;
		l->base_term = w->reset_term;
	}
	if (w->truncate_from && w->truncate_from <= l->last)
		l->last = w->truncate_from - 1;
	for (uint32_t i = 0; i < w->count && i < keep; i++) {
		vs_assert(w->first + i == l->last + 1);
		l->e[++l->last] = e[i];
	}
	for (uint32_t i = 0; i < w->repair_count && w->count + i < keep; i++)
		l->e[w->repair_first + i] = e[w->count + i];
}

void sim_log_compact(struct sim_log *l, uint64_t index)
{
	if (index <= l->base || index > l->last)
		return;
	l->base_term = l->e[index].term;
	l->base = index;
}

bool sim_durable_has(const struct sim_node *n, uint64_t index, uint64_t term)
{
	const struct sim_disk *d = &n->disk;

	if (index <= d->snapshot.applied)
		return true;
	if (index > d->log.last || index < d->log.base)
		return false;
	return log_term(&d->log, index) == term && !(index > d->log.base && d->log.e[index].lost);
}

/* Make w (or its first records, keep of them) durable. */
void sim_disk_apply(struct sim_node *n, const struct sim_write *w, uint32_t keep)
{
	struct sim_disk *d = &n->disk;

	switch (w->kind) {
	case SIM_LOG:
		if (keep == 0)
			return;
		if (w->w.hard_set)
			d->hard = w->w.hard;
		log_apply(&d->log, &w->w, w->entries, keep - 1);
		break;
	case SIM_TAKE:
	case SIM_INSTALL:
		if (keep == UINT32_MAX && w->state.applied > d->snapshot.applied)
			d->snapshot = w->state;
		if (keep == UINT32_MAX && w->kind == SIM_INSTALL)
			d->part_index = 0;
		break;
	case SIM_STORE:
		if (keep != UINT32_MAX)
			return;
		d->part_index = w->index;
		d->part_term = w->term;
		d->part_id = w->id;
		d->part_offset = w->offset;
		break;
	case SIM_COMPACT:
		sim_log_compact(&d->log, w->index);
		break;
	}
}

static void disk_kick(struct sim *s, struct sim_node *n)
{
	struct sim_event ev = {.kind = EV_DISK, .node = n->id, .life = n->life};

	if (!n->writes)
		return;
	ev.at_us = n->writes->ready_us > s->now_us ? n->writes->ready_us : s->now_us;
	sim_push(s, ev);
}

void sim_disk_submit(struct sim *s, struct sim_node *n, struct sim_write *w)
{
	bool idle = !n->writes;

	w->ready_us = s->now_us + 1 + sim_rand(s, 2ull * n->disk_us);
	w->next = NULL;
	*n->writes_end = w;
	n->writes_end = &w->next;
	if (idle)
		disk_kick(s, n);
}

struct sim_write *sim_write_new(enum sim_write_kind kind)
{
	struct sim_write *w = calloc(1, sizeof *w);

	vs_assert(w);
	w->kind = kind;
	return w;
}

static void on_disk(struct sim *s, struct sim_node *n)
{
	struct sim_event done = {.kind = EV_DONE, .node = n->id, .life = n->life};

	if (n->hang) {
		sim_push(s, (struct sim_event){.at_us = s->now_us + 5 * SIM_MS,
					       .kind = EV_DISK,
					       .node = n->id,
					       .life = n->life});
		return;
	}
	do {
		struct sim_write *w = n->writes;

		vs_assert(w);

		n->writes = w->next;
		if (!n->writes)
			n->writes_end = &n->writes;
		sim_disk_apply(n, w, UINT32_MAX);
		/* A completion vouches for all before it: now and then only the last is told. */
		if (w->kind == SIM_LOG && n->writes && n->writes->kind == SIM_LOG &&
		    sim_rand(s, 3) == 0) {
			write_free(w);
			continue;
		}
		done.write = w;
		done.at_us = s->now_us + sim_rand(s, 200);
	} while (!done.write);
	sim_push(s, done);
	disk_kick(s, n);
}

/* ---- a step and what comes of it ---- */

static void send_packet(struct sim *s, struct sim_node *n, struct raft_msg *m)
{
	struct raft_entry meta[MESSAGE_ENTRIES_MAX];
	uint8_t buf[MESSAGE_LEN_MAX];
	struct packet *p = calloc(1, sizeof *p);
	uint64_t delay;

	vs_assert(p && m->to <= SIM_NODES_MAX);
	p->from = m->from;
	p->to = m->to;
	p->count = m->count;
	if (m->count) {
		p->entries = calloc(m->count, sizeof p->entries[0]);
		vs_assert(p->entries);
		for (uint32_t i = 0; i < m->count; i++) {
			p->entries[i] = n->log.e[m->index + 1 + i];
			if (p->entries[i].lost)
				sim_fail(s, "C12: n%u sends lost entry %llu", n->id,
					 (unsigned long long)(m->index + 1 + i));
			meta[i] = (struct raft_entry){.term = p->entries[i].term,
						      .len = p->entries[i].len,
						      .type = p->entries[i].type};
		}
		m->entries = meta;
	}
	if (m->type == MESSAGE_SNAPSHOT) {
		uint64_t left = SNAPSHOT_BYTES - m->offset;

		p->state = n->disk.snapshot; /* replaced below when it is an older one */
		for (uint32_t i = 1; i <= SIM_NODES_MAX; i++) {
			if (s->node[i].disk.snapshot.applied == m->index)
				p->state = s->node[i].disk.snapshot;
		}
		if (p->state.applied != m->index) {
			/* No one has that snapshot any more: the transfer cannot go on. */
			sim_packet_free(p);
			sim_trace(s, n->id, "snapshot %llu is gone", (unsigned long long)m->index);
			n->abort_to = m->to;
			return;
		}
		m->data_len = (uint32_t)(left < SNAPSHOT_CHUNK ? left : SNAPSHOT_CHUNK);
		if (m->offset + m->data_len == SNAPSHOT_BYTES)
			m->flags |= MESSAGE_DONE;
	}
	p->len = message_encode(m, buf, sizeof buf);
	p->bytes = malloc(p->len);
	vs_assert(p->bytes);
	memcpy(p->bytes, buf, p->len);
	delay = 20 + sim_rand(s, 2ull * s->opt.delay_us + 1);
	if (sim_rand(s, 1000) < s->opt.slow_pm)
		delay *= 20;
	sim_push(s, (struct sim_event){.at_us = s->now_us + delay,
				       .kind = EV_PACKET,
				       .node = m->to,
				       .packet = p});
}

static void send_all(struct sim *s, struct sim_node *n)
{
	for (uint32_t i = 0; i < s->up.msg_count; i++) {
		struct raft_msg m = s->up.msgs[i];

		sim_trace(s, n->id,
			  "-> n%u %s term %llu index %llu/%llu commit %llu count %u ctx %llu off "
			  "%llu flags %u",
			  m.to, message_name(m.type), (unsigned long long)m.term,
			  (unsigned long long)m.index, (unsigned long long)m.log_term,
			  (unsigned long long)m.commit, m.count, (unsigned long long)m.ctx,
			  (unsigned long long)m.offset, m.flags);
		if (m.to > SIM_NODES_MAX || s->cut[m.from][m.to] ||
		    sim_rand(s, 1000) < s->opt.loss_pm) {
			s->dropped++;
			continue;
		}
		if (sim_rand(s, 1000) < s->opt.dup_pm) {
			struct raft_msg twin = m;

			send_packet(s, n, &twin);
		}
		send_packet(s, n, &m);
	}
}

/* The update's write, with contents, into the node's memory and its disk's queue. */
static void take_write(struct sim *s, struct sim_node *n, const struct sim_entry *contents,
		       uint64_t contents_first)
{
	const struct raft_write *w = &s->up.write;
	struct sim_write *sw;
	uint32_t total = w->count + w->repair_count;

	if (!w->seq)
		return;
	sw = sim_write_new(SIM_LOG);
	sw->w = *w;
	sw->entries = calloc(total ? total : 1, sizeof sw->entries[0]);
	vs_assert(sw->entries);
	for (uint32_t i = 0; i < w->count; i++) {
		const struct raft_entry *e = &w->entries[i];

		if (contents) {
			sw->entries[i] = contents[w->first + i - contents_first];
		} else {
			sw->entries[i] =
				(struct sim_entry){.term = w->term, .type = e->type, .len = e->len};
			if (e->type == RAFT_ENTRY_CONFIG)
				sw->entries[i].blob = sim_blob_add(s, e->data, e->len);
			else if (e->type == RAFT_ENTRY_DATA)
				sw->entries[i].value = ++s->value_seq;
		}
	}
	for (uint32_t i = 0; i < w->repair_count; i++) {
		vs_assert(contents);
		sw->entries[w->count + i] = contents[w->repair_first + i - contents_first];
	}
	if (w->first + w->count > SIM_ENTRIES_MAX) {
		sim_fail(s, "too many entries for this simulator");
		write_free(sw);
		return;
	}
	sim_trace(s, n->id,
		  "write %llu%s term %llu vote %u trunc %llu append %llu+%u repair %llu+%u%s",
		  (unsigned long long)w->seq, w->hard_set ? " HARD" : "",
		  (unsigned long long)n->raft->hard.term, n->raft->hard.vote,
		  (unsigned long long)w->truncate_from, (unsigned long long)w->first, w->count,
		  (unsigned long long)w->repair_first, w->repair_count, w->reset ? " RESET" : "");
	log_apply(&n->log, w, sw->entries, UINT32_MAX);
	for (uint32_t i = 0; i < w->count; i++)
		sim_check_entry(s, n, w->first + i, log_term(&n->log, w->first + i - 1),
				&sw->entries[i]);
	sim_disk_submit(s, n, sw);
}

static void ops_applied(struct sim *s, struct sim_node *n, uint64_t index)
{
	const struct sim_entry *e = &n->log.e[index];

	/* Writes of this node's clients: only recent operations can be open. */
	for (uint32_t i = s->op_count; i > 0 && s->op_count - i < 512; i--) {
		struct sim_op *op = &s->ops[i - 1];

		if (op->type != SIM_WRITE || op->state != SIM_OP_OPEN || op->node != n->id ||
		    op->index != index)
			continue;
		if (op->term == e->term && op->value == e->value) {
			op->state = SIM_OP_OK;
			op->end = s->now_us;
			if (index > s->done_index)
				s->done_index = index;
		} else {
			op->state = SIM_OP_FAILED;
		}
	}
}

static void reads_ready(struct sim *s, struct sim_node *n)
{
	uint32_t keep = 0;

	for (uint32_t i = 0; i < n->read_count; i++) {
		struct sim_op *op = &s->ops[n->reads[i].op];

		if (n->reads[i].index > n->state.applied) {
			n->reads[keep++] = n->reads[i];
			continue;
		}
		op->state = SIM_OP_OK;
		op->end = s->now_us;
		op->value = n->state.value;
		if (n->state.applied < op->index)
			sim_fail(s,
				 "C11: read on n%u saw %llu, but %llu was answered before it began",
				 n->id, (unsigned long long)n->state.applied,
				 (unsigned long long)op->index);
		if (n->state.applied > s->done_index)
			s->done_index = n->state.applied;
	}
	n->read_count = keep;
}

static void apply(struct sim *s, struct sim_node *n, uint64_t first, uint64_t last)
{
	struct raft_event ev = {.type = RAFT_APPLIED};

	if (!first)
		return;
	for (uint64_t i = first; i <= last; i++) {
		const struct sim_entry *e = &n->log.e[i];

		if (i != n->state.applied + 1 || i > n->log.last || i <= n->log.base || e->lost) {
			sim_fail(s, "C5: n%u cannot apply %llu", n->id, (unsigned long long)i);
			return;
		}
		n->state.applied = i;
		n->state.term = e->term;
		n->state.hash =
			(n->state.hash ^ (e->value + e->term * 31 + e->type)) * 0x100000001b3u;
		if (e->type == RAFT_ENTRY_DATA)
			n->state.value = e->value;
		if (e->type == RAFT_ENTRY_CONFIG) {
			n->state.config_index = i;
			vs_assert(membership_decode(&n->state.members,
						    bytes_of(s->blobs[e->blob].p,
							     s->blobs[e->blob].len)) == VS_OK);
		}
		sim_check_apply(s, n);
		ops_applied(s, n, i);
	}
	reads_ready(s, n);
	ev.u.applied.index = last;
	(void)sim_step(s, n->id, &ev);
}

void sim_node_stop(struct sim *s, struct sim_node *n)
{
	n->up = false;
	n->life++;
	raft_free(n->raft);
	n->raft = NULL;
	while (n->writes) {
		struct sim_write *w = n->writes;

		n->writes = w->next;
		write_free(w);
	}
	n->writes_end = &n->writes;
	n->read_count = 0;
	n->taking = false;
	for (uint32_t i = 0; i < s->op_count; i++) {
		if (s->ops[i].node == n->id && s->ops[i].state == SIM_OP_OPEN)
			s->ops[i].state = SIM_OP_UNKNOWN;
	}
}

/* Everything an update asks for. */
void sim_take_update(struct sim *s, struct sim_node *n, const struct sim_entry *contents,
		     uint64_t contents_first, const struct packet *p)
{
	uint64_t first, last;
	bool want;

	sim_check_update(s, n);
	take_write(s, n, contents, contents_first);
	if (s->up.gained || s->up.lost)
		sim_trace(s, n->id, "%s leadership of term %llu", s->up.gained ? "gains" : "loses",
			  (unsigned long long)n->raft->hard.term);
	for (uint32_t i = 0; i < s->up.read_count; i++) {
		const struct raft_read_answer *a = &s->up.reads[i];

		if (!a->ok || n->read_count == SIM_READS_MAX) {
			s->ops[a->token].state = SIM_OP_UNKNOWN;
			continue;
		}
		n->reads[n->read_count].index = a->index;
		n->reads[n->read_count++].op = (uint32_t)a->token;
	}
	if (s->up.store) {
		struct sim_write *w = sim_write_new(SIM_STORE);

		w->index = s->up.incoming.index;
		w->term = s->up.incoming.term;
		w->id = s->up.incoming.id;
		w->offset = s->up.store_offset + SNAPSHOT_CHUNK;
		if (w->offset > SNAPSHOT_BYTES)
			w->offset = SNAPSHOT_BYTES;
		vs_assert(p && p->state.applied == w->index);
		w->state = p->state;
		sim_disk_submit(s, n, w);
	}
	first = s->up.apply_first;
	last = s->up.apply_last;
	want = s->up.want_snapshot;
	send_all(s, n);
	sim_check_step(s, n);
	reads_ready(s, n);
	apply(s, n, first, last);
	if (n->abort_to && n->up) {
		struct raft_event ev = {.type = RAFT_SNAPSHOT_ABORTED};

		ev.u.aborted.target = n->abort_to;
		n->abort_to = 0;
		(void)sim_step(s, n->id, &ev);
	}
	if (want && n->up && !s->why[0]) {
		if (n->raft->snapshot.index >= n->raft->hole_from)
			sim_compact(s, n->id, n->raft->snapshot.index);
		else
			sim_snapshot(s, n->id);
	}
}

static enum vs_err step_with(struct sim *s, struct sim_node *n, struct raft_event *ev,
			     const struct sim_entry *contents, uint64_t contents_first,
			     const struct packet *p)
{
	enum vs_err err;

	if (!n->up || s->why[0])
		return VS_ERR_STOPPED;
	ev->now_ms = sim_node_ms(s, n);
	ev->random = sim_rand(s, 0);
	s->steps++;
	err = raft_step(n->raft, ev, &s->up);
	if (err) {
		sim_trace(s, n->id, "stops: %s", vs_err_name(err));
		if (s->up.evidence.type != RAFT_EVIDENCE_NONE)
			sim_fail(s, "n%u stopped on evidence %d: term %llu index %llu nodes %u %u",
				 n->id, (int)s->up.evidence.type,
				 (unsigned long long)s->up.evidence.term,
				 (unsigned long long)s->up.evidence.index, s->up.evidence.a,
				 s->up.evidence.b);
		n->stopped = true;
		sim_node_stop(s, n);
		return err;
	}
	raft_check(n->raft);
	sim_take_update(s, n, contents, contents_first, p);
	return VS_OK;
}

enum vs_err sim_step(struct sim *s, uint32_t node, struct raft_event *ev)
{
	return step_with(s, &s->node[node], ev, NULL, 0, NULL);
}

enum vs_err sim_inject(struct sim *s, const struct raft_msg *m)
{
	struct raft_event ev = {.type = RAFT_MESSAGE, .u.message = m};
	struct sim_entry contents[MESSAGE_ENTRIES_MAX];

	memset(contents, 0, sizeof contents);
	for (uint32_t i = 0; i < m->count; i++)
		contents[i] = (struct sim_entry){.term = m->entries[i].term,
						 .type = m->entries[i].type,
						 .len = m->entries[i].len};
	return step_with(s, &s->node[m->to], &ev, m->count ? contents : NULL, m->index + 1, NULL);
}

static void on_packet(struct sim *s, struct packet *p)
{
	struct sim_node *n = &s->node[p->to];
	struct message_store store;
	struct raft_event ev = {.type = RAFT_MESSAGE};
	struct raft_msg m;

	if (!n->up || s->cut[p->from][p->to])
		return;
	vs_assert(message_decode(bytes_of(p->bytes, p->len), &store, &m) == VS_OK);
	for (uint32_t i = 0; i < m.count; i++) {
		const struct sim_entry *e = &p->entries[i];

		if (e->type == RAFT_ENTRY_CONFIG)
			store.entries[i].data = s->blobs[e->blob].p;
	}
	ev.u.message = &m;
	(void)step_with(s, n, &ev, p->entries, m.index + 1, p);
}

/* ---- completions ---- */

struct raft_snapshot sim_snapshot_of(const struct sim_state *st)
{
	return (struct raft_snapshot){.index = st->applied,
				      .term = st->term,
				      .id = st->hash | 1,
				      .config_index = st->config_index,
				      .members = st->members};
}

static void on_done(struct sim *s, struct sim_node *n, struct sim_write *w)
{
	struct raft_event ev = {0};
	struct raft_snapshot snap;

	switch (w->kind) {
	case SIM_LOG:
		ev.type = RAFT_DURABLE;
		ev.u.durable.seq = w->w.seq;
		ev.u.durable.last_index = w->w.last_index;
		ev.u.durable.last_term = w->w.last_term;
		break;
	case SIM_TAKE:
		n->taking = false;
		if (w->state.applied <= n->raft->snapshot.index)
			return;
		snap = sim_snapshot_of(&w->state);
		ev.type = RAFT_SNAPSHOT_TAKEN;
		ev.u.snapshot = &snap;
		break;
	case SIM_STORE: {
		bool last;

		ev.type = RAFT_SNAPSHOT_STORED;
		ev.u.stored.index = w->index;
		ev.u.stored.term = w->term;
		ev.u.stored.id = w->id;
		ev.u.stored.offset = w->offset;
		if (sim_step(s, n->id, &ev))
			return;
		last = n->raft->installing && n->raft->incoming.index == w->index;
		if (last) {
			struct sim_write *i = sim_write_new(SIM_INSTALL);

			i->state = w->state;
			sim_trace(s, n->id, "installs snapshot %llu", (unsigned long long)w->index);
			sim_disk_submit(s, n, i);
		}
		return;
	}
	case SIM_INSTALL:
		snap = sim_snapshot_of(&w->state);
		ev.type = RAFT_SNAPSHOT_DONE;
		ev.u.snapshot = &snap;
		if (w->state.applied < n->state.applied)
			sim_fail(s, "C5: n%u installs %llu over %llu", n->id,
				 (unsigned long long)w->state.applied,
				 (unsigned long long)n->state.applied);
		n->state = w->state;
		n->installs++;
		sim_check_apply(s, n);
		/* The part of the log that stays is what the core says; the rest is compacted. */
		sim_log_compact(&n->log, w->state.applied);
		break;
	case SIM_COMPACT:
		return;
	}
	(void)sim_step(s, n->id, &ev);
}

static bool sim_one(struct sim *s)
{
	struct sim_event ev = heap_pop(s);
	struct sim_node *n = &s->node[ev.node];

	s->now_us = ev.at_us;
	if (ev.kind != EV_PACKET && ev.life != n->life) {
		sim_event_free(&ev);
		return true;
	}
	switch (ev.kind) {
	case EV_TICK: {
		struct raft_event tick = {.type = RAFT_TICK};

		(void)sim_step(s, n->id, &tick);
		if (n->up)
			sim_push(s, (struct sim_event){.at_us = s->now_us + TICK_US - 500 +
								sim_rand(s, 1000),
						       .kind = EV_TICK,
						       .node = n->id,
						       .life = n->life});
		break;
	}
	case EV_PACKET:
		on_packet(s, ev.packet);
		break;
	case EV_DISK:
		on_disk(s, n);
		break;
	case EV_DONE:
		on_done(s, n, ev.write);
		break;
	}
	sim_event_free(&ev);
	return !s->why[0];
}

bool sim_run(struct sim *s, uint64_t us)
{
	uint64_t end = s->now_us + us;

	while (!s->why[0] && s->heap_count && s->heap[0].at_us <= end)
		(void)sim_one(s);
	if (!s->why[0] && s->now_us < end)
		s->now_us = end;
	return !s->why[0];
}

bool sim_until(struct sim *s, uint64_t us, bool (*cond)(struct sim *s, uint64_t arg), uint64_t arg)
{
	uint64_t end = s->now_us + us;

	while (!s->why[0] && s->now_us < end) {
		if (cond(s, arg))
			return true;
		(void)sim_run(s, SIM_MS);
	}
	return !s->why[0] && cond(s, arg);
}
