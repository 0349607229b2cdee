/*
 * test_raft_exhaust: every schedule of three cores within bounds: deliver,
 * double and reorder messages, complete or lose disk writes, crash and restart,
 * time out, propose; depth first, with a table of states seen.  A message is
 * lost when the schedule ends before it is delivered.
 *
 * A state is what decides the future: the cores (without times and counters
 * that only grow), disks, writes under way, the set of messages, what the
 * checkers remember, and how much of each bound is used.  Times are abstract:
 * a timeout may strike a node at any moment.
 *
 *   EXHAUST_DEPTH=n       steps per schedule after each start (default below)
 *   EXHAUST_CRASHES=n     (default 2)
 */
#include "consensus/quorum.h"
#include "consensus/raft_int.h"
#include "engine/base/assert.h"
#include "engine/base/checksum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NODES = 3, LOG = 12, BATCH = 8, NET = 10, WRITES = 4, TERMS = 16, SEEN = 1 << 22 };

struct xentry {
	uint32_t term, value;
};

struct xmsg {
	struct raft_msg m;
	struct xentry e[BATCH];
};

struct xwrite {
	struct raft_write w;
	struct xentry e[BATCH];
};

struct xdisk {
	struct raft_hard hard;
	uint64_t last;
	struct xentry log[LOG];
};

struct xnode {
	struct raft *raft;
	uint64_t now_ms;
	struct xdisk disk;
	uint64_t last;
	struct xentry log[LOG]; /* as the running node sees it */
	uint32_t write_count;
	struct xwrite writes[WRITES];
};

/* The rest of the world, and the checkers' memory; copied whole at each branch. */
struct world {
	uint32_t crashes, doubles, timeouts, proposals;
	uint32_t msg_count;
	struct xmsg msgs[NET];
	uint64_t commit;
	struct xentry committed[LOG];
	uint8_t leader_of[TERMS];
	uint8_t vote_of[NODES + 1][TERMS];
};

static struct xnode nodes[NODES + 1];
static struct world world;
static struct raft_update up;
static struct {
	uint64_t hash;
	uint32_t left;
} * seen;
static uint64_t seen_count, transitions, pruned;
static struct world bounds; /* only the four counters are used */
static char path[64][48];
static uint32_t path_len;

static void violated(const char *what, uint32_t node)
{
	printf("VIOLATION %s at n%u, after:\n", what, node);
	for (uint32_t i = 0; i < path_len; i++)
		printf("  %s\n", path[i]);
	fail_msg("%s", what);
}

/* ---- copying a core: only what is in use ---- */

static void part_copy(void *to, const void *from, size_t begin, size_t end)
{
	memcpy((char *)to + begin, (const char *)from + begin, end - begin);
}

static void raft_copy(struct raft *to, const struct raft *from)
{
	struct trail t = to->trail;

	/* Members and snapshots never change here. */
	part_copy(to, from, 0, offsetof(struct raft, members));
	part_copy(to, from, offsetof(struct raft, members_index), offsetof(struct raft, peers));
	for (uint32_t i = 0; i < from->peer_count; i++)
		part_copy(&to->peers[i], &from->peers[i], 0,
			  offsetof(struct progress, snap_config_index));
	part_copy(to, from, offsetof(struct raft, peer_count), offsetof(struct raft, reads));
	part_copy(to, from, offsetof(struct raft, read_count), offsetof(struct raft, snapshot));
	to->trail.meta = t.meta;
	to->trail.runs = t.runs;
	memcpy(t.meta, from->trail.meta, from->trail.entries_max * sizeof t.meta[0]);
	memcpy(t.runs, from->trail.runs, from->trail.run_count * sizeof t.runs[0]);
}

static struct raft *raft_blank(uint32_t id)
{
	struct raft_config c = {
		.cluster = 1,
		.id = id,
		.election_ms = 100,
		.heartbeat_ms = 10,
		.disk_ms = UINT32_MAX,
		.append_bytes = 4,
		.inflight_bytes = 100,
		.uncommitted_bytes = 100,
		.snapshot_chunk = 1,
		.entries_max = 16,
		.terms_max = 16,
	};
	struct raft *r;

	assert_int_equal(raft_new(&c, &r), VS_OK);
	return r;
}

/* ---- hashing a state ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

static uint64_t hash_entries(uint64_t h, const struct xentry *e, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		h = mix(h, (uint64_t)e[i].term << 32 | e[i].value);
	return h;
}

static uint64_t hash_node(const struct xnode *n)
{
	const struct raft *r = n->raft;
	uint64_t h = mix(n->disk.hard.term, n->disk.hard.vote);

	h = hash_entries(mix(h, n->disk.last), n->disk.log + 1, n->disk.last);
	h = hash_entries(mix(h, n->last), n->log + 1, n->last);
	h = mix(h, (uint64_t)r->role << 32 | r->leader);
	h = mix(h, r->hard.term << 8 | r->hard.vote);
	h = mix(mix(h, r->commit), r->verified);
	h = mix(mix(h, r->durable), (uint64_t)elect_heard(r) << 1 | r->vote_asked);
	h = mix(h, (uint64_t)r->vote_reply << 1 | raft_hard_durable(r));
	/* Only which writes are still to come matters of the stream's numbers. */
	h = mix(h, r->trunc_seq > r->durable_seq ? r->write_seq - r->trunc_seq + 1 : 0);
	for (uint32_t i = 0; i < r->vote_count; i++)
		h += mix(r->votes[i].id, r->votes[i].yes + 7);
	for (uint32_t i = 0; r->role == RAFT_LEADER && i < r->peer_count; i++) {
		const struct progress *p = &r->peers[i];

		h = mix(mix(h, p->match), p->next);
		h = mix(h, (uint64_t)p->state << 8 | (uint64_t)p->probe_sent << 4 | p->active);
		h = mix(h, p->fl_count << 8 | p->commit_sent);
	}
	for (uint32_t i = 0; i < n->write_count; i++) {
		const struct raft_write *w = &n->writes[i].w;

		h = mix(mix(h, w->truncate_from << 8 | w->first), w->count << 1 | w->hard_set);
		h = mix(h, w->hard_set ? w->hard.term << 8 | w->hard.vote : 0);
		h = hash_entries(h, n->writes[i].e, w->count);
	}
	return h;
}

static uint64_t hash_msg(const struct xmsg *x)
{
	const struct raft_msg *m = &x->m;
	uint64_t h = mix((uint64_t)m->type << 40 | m->flags << 16 | m->from << 8 | m->to, m->term);

	h = mix(mix(h, m->index), m->log_term);
	h = mix(mix(h, m->commit), m->ctx << 8 | m->count);
	return hash_entries(h, x->e, m->count);
}

static uint64_t hash_state(void)
{
	uint64_t h = mix(world.crashes, world.doubles), sum = 0;

	h = mix(h, world.timeouts << 8 | world.proposals);
	for (uint32_t i = 1; i <= NODES; i++)
		h = mix(h, hash_node(&nodes[i]));
	for (uint32_t i = 0; i < world.msg_count; i++)
		sum += mix(hash_msg(&world.msgs[i]), 99); /* a set: order does not matter */
	h = mix(h, sum);
	h = hash_entries(mix(h, world.commit), world.committed + 1, world.commit);
	h = mix(h, checksum_xxh3(world.leader_of, sizeof world.leader_of));
	return mix(h, checksum_xxh3(world.vote_of, sizeof world.vote_of));
}

/* False when this state was explored with at least that many steps left. */
static bool state_new(uint64_t hash, uint32_t left)
{
	for (uint64_t i = hash;; i++) {
		uint64_t at = i % SEEN;

		if (seen[at].hash == hash) {
			if (seen[at].left >= left)
				return false;
			seen[at].left = left;
			return true;
		}
		if (seen[at].hash == 0) {
			if (seen_count < SEEN / 4 * 3) {
				seen[at].hash = hash;
				seen[at].left = left;
				seen_count++;
			}
			return true;
		}
	}
}

/* ---- checkers ---- */

static void check_vote(struct xnode *n, uint64_t term, uint32_t candidate)
{
	uint32_t id = n->raft->cfg.id;

	if (n->disk.hard.term != term || n->disk.hard.vote != candidate)
		violated("C2: a vote leaves before it is durable", id);
	if (world.vote_of[id][term] && world.vote_of[id][term] != candidate)
		violated("C2: two votes in a term", id);
	world.vote_of[id][term] = (uint8_t)candidate;
}

static void check_msg(struct xnode *n, const struct raft_msg *m)
{
	if (m->type == MESSAGE_VOTE)
		check_vote(n, m->term, m->from);
	if (m->flags & MESSAGE_REJECT)
		return;
	if (m->type == MESSAGE_VOTE_RESP)
		check_vote(n, m->term, m->to);
	if (m->type != MESSAGE_APPEND_RESP)
		return;
	if (n->disk.hard.term < m->term)
		violated("C13: an acknowledgement before its term is durable", m->from);
	if (m->index > n->disk.last ||
	    (m->index && n->disk.log[m->index].term != n->log[m->index].term))
		violated("C7: an acknowledgement before its entry is durable", m->from);
}

static void check_commit(struct xnode *n)
{
	for (uint64_t i = 1; i <= n->raft->commit; i++) {
		const struct xentry *e = &n->log[i];

		if (i > world.commit) {
			world.commit = i;
			world.committed[i] = *e;
		} else if (e->term != world.committed[i].term ||
			   e->value != world.committed[i].value) {
			violated("C6: another entry committed", n->raft->cfg.id);
		}
	}
}

static void check_durable(void)
{
	uint32_t have = 0;

	for (uint32_t i = 1; i <= NODES && world.commit; i++)
		have += nodes[i].disk.last >= world.commit &&
			nodes[i].disk.log[world.commit].term == world.committed[world.commit].term;
	if (world.commit && have < quorum_size(NODES))
		violated("C8: committed but not durable on a majority", 0);
}

static void check_leader(struct xnode *n)
{
	uint64_t term = n->raft->hard.term, c = world.commit;

	if (world.leader_of[term] && world.leader_of[term] != n->raft->cfg.id)
		violated("C1: two leaders in a term", n->raft->cfg.id);
	world.leader_of[term] = (uint8_t)n->raft->cfg.id;
	if (c && (n->last < c || n->log[c].term != world.committed[c].term))
		violated("leader completeness", n->raft->cfg.id);
}

/* ---- steps ---- */

static void log_put(uint64_t *last, struct xentry *log, const struct raft_write *w,
		    const struct xentry *e)
{
	if (w->truncate_from)
		*last = w->truncate_from - 1;
	for (uint32_t i = 0; i < w->count; i++) {
		vs_assert(*last + 1 < LOG && w->first + i == *last + 1);
		log[++*last] = e[i];
	}
}

static void take(struct xnode *n, const struct xentry *contents, uint64_t first)
{
	struct xwrite *x;

	if (up.write.seq) {
		vs_assert(n->write_count < WRITES && up.write.count <= BATCH);
		x = &n->writes[n->write_count++];
		memset(x, 0, sizeof *x);
		x->w = up.write;
		for (uint32_t i = 0; i < up.write.count; i++) {
			if (contents)
				x->e[i] = contents[up.write.first + i - first];
			else
				x->e[i] =
					(struct xentry){(uint32_t)n->raft->hard.term,
							up.write.entries[i].type == RAFT_ENTRY_DATA
								? 100 + world.proposals
								: 0};
		}
		log_put(&n->last, n->log, &x->w, x->e);
	}
	for (uint32_t i = 0; i < up.msg_count; i++) {
		struct xmsg *x2;

		check_msg(n, &up.msgs[i]);
		if (up.msgs[i].type == MESSAGE_HEARTBEAT && up.msgs[i].commit == 0)
			continue; /* says nothing here: a leader is known by its entries too */
		if (world.msg_count == NET) {
			pruned++; /* as if lost */
			continue;
		}
		x2 = &world.msgs[world.msg_count++];
		memset(x2, 0, sizeof *x2);
		x2->m = up.msgs[i];
		vs_assert(x2->m.count <= BATCH);
		for (uint32_t j = 0; j < x2->m.count; j++)
			x2->e[j] = n->log[x2->m.index + 1 + j];
	}
	if (up.gained)
		check_leader(n);
	check_commit(n);
	check_durable();
}

static void step(uint32_t id, struct raft_event *ev, const struct xentry *contents, uint64_t first)
{
	struct xnode *n = &nodes[id];

	ev->now_ms = n->now_ms;
	ev->random = 0;
	if (raft_step(n->raft, ev, &up) != VS_OK)
		violated("a node stopped", id);
	raft_check(n->raft);
	take(n, contents, first);
	if (up.apply_first) {
		struct raft_event done = {.type = RAFT_APPLIED, .now_ms = n->now_ms};

		done.u.applied.index = up.apply_last;
		if (raft_step(n->raft, &done, &up) != VS_OK)
			violated("a node stopped", id);
	}
}

static void boot(uint32_t id)
{
	struct xnode *n = &nodes[id];
	struct raft_boot b = {.hard = n->disk.hard, .nonce = 1};
	struct raft_config cfg = n->raft->cfg;
	struct trail t = n->raft->trail;

	memset(n->raft, 0, sizeof *n->raft);
	n->raft->cfg = cfg;
	n->raft->trail = t;
	for (uint32_t i = 1; i <= NODES; i++) {
		struct member m = {.id = i, .role = MEMBER_VOTER};

		vs_assert(membership_set(&b.snapshot.members, &m) == VS_OK);
	}
	vs_assert(raft_restore(n->raft, &b) == VS_OK);
	for (uint64_t i = 1; i <= n->disk.last; i++) {
		struct raft_entry e = {.term = n->disk.log[i].term,
				       .len = 1,
				       .type = RAFT_ENTRY_DATA};

		vs_assert(raft_restore_entry(n->raft, i, &e) == VS_OK);
	}
	n->last = n->disk.last;
	memcpy(n->log, n->disk.log, sizeof n->log);
	n->write_count = 0;
	vs_assert(raft_start(n->raft, n->now_ms, 0, &up) == VS_OK);
}

static void disk_one(struct xnode *n)
{
	struct xwrite *x = &n->writes[0];

	if (x->w.hard_set)
		n->disk.hard = x->w.hard;
	log_put(&n->disk.last, n->disk.log, &x->w, x->e);
}

static void writes_shift(struct xnode *n)
{
	n->write_count--;
	memmove(&n->writes[0], &n->writes[1], n->write_count * sizeof n->writes[0]);
}

static void deliver(uint32_t at, bool keep)
{
	struct xmsg x = world.msgs[at];
	struct raft_entry meta[BATCH];
	struct raft_event ev = {.type = RAFT_MESSAGE, .u.message = &x.m};

	if (!keep)
		world.msgs[at] = world.msgs[--world.msg_count];
	for (uint32_t i = 0; i < x.m.count; i++)
		meta[i] =
			(struct raft_entry){.term = x.e[i].term, .len = 1, .type = RAFT_ENTRY_DATA};
	x.m.entries = meta;
	step(x.m.to, &ev, x.m.count ? x.e : NULL, x.m.index + 1);
}

enum action { DELIVER, DOUBLE, TIMEOUT, DISK, CRASH, PROPOSE, ACTIONS };

/* Perform the action, or return false when it is not possible here. */
static bool act(enum action a, uint32_t arg)
{
	static const char *const names[] = {"deliver", "double", "timeout",
					    "disk",    "crash",  "propose"};
	struct raft_entry e = {.type = RAFT_ENTRY_DATA, .len = 1};
	struct raft_event ev = {0};
	struct xnode *n = &nodes[arg % NODES + 1];
	char *text = path[path_len];

	if (a <= DOUBLE) {
		if (arg >= world.msg_count)
			return false;
		snprintf(text, sizeof path[0], "%s %s n%u->n%u term %u", names[a],
			 message_name(world.msgs[arg].m.type), world.msgs[arg].m.from,
			 world.msgs[arg].m.to, (unsigned)world.msgs[arg].m.term);
	} else {
		snprintf(text, sizeof path[0], "%s n%u (%u)", names[a], arg % NODES + 1,
			 arg / NODES);
	}
	path_len++;
	switch (a) {
	case DELIVER:
		deliver(arg, false);
		return true;
	case DOUBLE:
		if (world.doubles == bounds.doubles)
			break;
		world.doubles++;
		deliver(arg, true);
		return true;
	case TIMEOUT:
		if (arg >= NODES || world.timeouts == bounds.timeouts ||
		    n->raft->hard.term >= TERMS - 1)
			break;
		world.timeouts++;
		n->now_ms += 250;
		ev.type = RAFT_TICK;
		step(arg + 1, &ev, NULL, 0);
		return true;
	case DISK:
		if (arg >= NODES || n->write_count == 0)
			break;
		ev.type = RAFT_DURABLE;
		ev.u.durable.seq = n->writes[0].w.seq;
		ev.u.durable.last_index = n->writes[0].w.last_index;
		ev.u.durable.last_term = n->writes[0].w.last_term;
		disk_one(n);
		writes_shift(n);
		step(arg + 1, &ev, NULL, 0);
		return true;
	case CRASH: /* arg / NODES unfinished writes reach the disk */
		if (arg / NODES > n->write_count || world.crashes == bounds.crashes)
			break;
		world.crashes++;
		for (uint32_t i = 0; i < arg / NODES; i++) {
			disk_one(n);
			writes_shift(n);
		}
		boot(arg % NODES + 1);
		return true;
	case PROPOSE:
		if (arg >= NODES || n->raft->role != RAFT_LEADER ||
		    world.proposals == bounds.proposals || n->last + 2 >= LOG)
			break;
		world.proposals++;
		ev.type = RAFT_PROPOSE;
		ev.u.propose.entries = &e;
		ev.u.propose.count = 1;
		step(arg + 1, &ev, NULL, 0);
		return true;
	case ACTIONS:
		break;
	}
	path_len--;
	return false;
}

/* What one action can change: the world and one node. */
struct saved {
	struct world world;
	struct xnode node;
	struct raft *raft;
};

static struct saved saved[64];

static void explore(uint32_t depth, uint32_t left)
{
	struct saved *s = &saved[depth];
	uint32_t id;

	if (left == 0 || !state_new(hash_state(), left))
		return;
	s->world = world;
	for (enum action a = DELIVER; a < ACTIONS; a++) {
		uint32_t args = a <= DOUBLE ? world.msg_count : a == CRASH ? NODES * 3 : NODES;

		for (uint32_t arg = 0; arg < args; arg++) {
			id = a <= DOUBLE ? world.msgs[arg].m.to : arg % NODES + 1;
			if (nodes[id].write_count + 1 > WRITES && a != DISK && a != CRASH)
				continue;
			s->node = nodes[id];
			raft_copy(s->raft, nodes[id].raft);
			if (act(a, arg)) {
				transitions++;
				explore(depth + 1, left - 1);
				path_len--;
			}
			s->node.raft = nodes[id].raft;
			nodes[id] = s->node;
			raft_copy(nodes[id].raft, s->raft);
			world = s->world;
		}
	}
}

static uint32_t env_number(const char *name, uint32_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? (uint32_t)strtoul(text, NULL, 10) : otherwise;
}

static void begin(struct world b)
{
	memset(&world, 0, sizeof world);
	memset(seen, 0, SEEN * sizeof *seen);
	seen_count = transitions = pruned = path_len = 0;
	bounds = b;
	for (uint32_t i = 1; i <= NODES; i++) {
		struct raft *r = nodes[i].raft;

		nodes[i] = (struct xnode){.raft = r, .now_ms = 1000};
		boot(i);
	}
}

/* Let everything under way happen, in order; makes starting points. */
static void settle(void)
{
	for (bool more = true; more;) {
		more = false;
		for (uint32_t i = 0; i < NODES; i++)
			more |= act(DISK, i);
		while (world.msg_count)
			more |= act(DELIVER, 0);
		path_len = 0;
	}
}

static void report(const char *name, uint32_t depth)
{
	printf("%s: depth %u, %llu states, %llu transitions, %llu messages over the bound\n", name,
	       depth, (unsigned long long)seen_count, (unsigned long long)transitions,
	       (unsigned long long)pruned);
	assert_true(seen_count > 1000);
	if (seen_count >= SEEN / 4 * 3)
		printf("table full: the search went on without remembering\n");
}

/* Elections from nothing: crashes around the votes (F01, F02, F07). */
static void elections(void **state)
{
	uint32_t depth = env_number("EXHAUST_DEPTH", 8);

	(void)state;
	begin((struct world){.crashes = env_number("EXHAUST_CRASHES", 2),
			     .doubles = 1,
			     .timeouts = 3});
	explore(0, depth);
	report("elections", depth);
}

/* Two candidates of one term, whose own votes are not durable yet. */
static void candidates(void **state)
{
	uint32_t depth = env_number("EXHAUST_DEPTH", 8);

	(void)state;
	begin((struct world){.crashes = env_number("EXHAUST_CRASHES", 2),
			     .doubles = 1,
			     .timeouts = 4});
	assert_true(act(TIMEOUT, 0));
	assert_true(act(TIMEOUT, 1));
	while (world.msg_count)
		assert_true(act(DELIVER, 0));
	assert_int_equal(nodes[1].raft->role, RAFT_CANDIDATE);
	assert_int_equal(nodes[2].raft->role, RAFT_CANDIDATE);
	path_len = 0;
	explore(0, depth);
	report("candidates", depth);
}

/* A leader with committed entries: replication, crashes, a successor (F15, F16, F20, F25). */
static void replication(void **state)
{
	uint32_t depth = env_number("EXHAUST_DEPTH", 7);

	(void)state;
	begin((struct world){.crashes = env_number("EXHAUST_CRASHES", 2),
			     .doubles = 1,
			     .timeouts = 5,
			     .proposals = 3});
	assert_true(act(TIMEOUT, 0));
	settle();
	assert_int_equal(nodes[1].raft->role, RAFT_LEADER);
	assert_true(world.commit >= 1);
	explore(0, depth);
	report("replication", depth);
}

/* Node a wins an election with the help of b alone; both talk to nobody else. */
static void win_with(uint32_t a, uint32_t b)
{
	/* A leader needs two ticks, to notice that it has no quorum. */
	while (nodes[a].raft->role == RAFT_LEADER)
		assert_true(act(TIMEOUT, a - 1));
	while (nodes[b].raft->role != RAFT_PRECANDIDATE)
		assert_true(act(TIMEOUT, b - 1));
	world.msg_count = 0;
	for (uint32_t i = 0; i < 40 && nodes[a].raft->role != RAFT_LEADER; i++) {
		if (world.msg_count == 0)
			assert_true(act(TIMEOUT, a - 1));
		for (uint32_t j = 0; j < world.msg_count;) {
			const struct raft_msg *m = &world.msgs[j].m;

			if ((m->from == a && m->to == b) || (m->from == b && m->to == a))
				j++;
			else
				world.msgs[j] = world.msgs[--world.msg_count];
		}
		if (world.msg_count)
			(void)act(DELIVER, 0);
		while (act(DISK, a - 1) || act(DISK, b - 1))
			path_len = 0;
		path_len = 0;
	}
	assert_int_equal(nodes[a].raft->role, RAFT_LEADER);
	world.msg_count = 0;
	while (act(DISK, a - 1))
		path_len = 0;
}

/*
 * The old-term figure (thesis 3.8, F15): node 1 led term 1 and has an entry
 * that only it holds, node 3 led term 2 with one of its own, and node 1 leads
 * again.  Everything from there.
 */
static void old_terms(void **state)
{
	uint32_t depth = env_number("EXHAUST_DEPTH", 8);

	(void)state;
	begin((struct world){.crashes = env_number("EXHAUST_CRASHES", 2),
			     .doubles = 1,
			     .timeouts = 100,
			     .proposals = 3});
	assert_true(act(TIMEOUT, 0));
	settle();
	assert_true(act(PROPOSE, 0)); /* stays on node 1 */
	assert_true(act(DISK, 0));
	world.msg_count = 0;
	win_with(3, 2);
	win_with(1, 2);
	assert_int_equal(nodes[1].raft->hard.term, 3);
	world.timeouts = 97;
	path_len = 0;
	explore(0, depth);
	report("old terms", depth);
}

static int setup(void **state)
{
	(void)state;
	seen = calloc(SEEN, sizeof *seen);
	for (uint32_t i = 1; i <= NODES; i++)
		nodes[i].raft = raft_blank(i);
	for (uint32_t i = 0; i < 64; i++)
		saved[i].raft = raft_blank(1);
	return seen ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= NODES; i++)
		raft_free(nodes[i].raft);
	for (uint32_t i = 0; i < 64; i++)
		raft_free(saved[i].raft);
	free(seen);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elections),
		cmocka_unit_test(candidates),
		cmocka_unit_test(replication),
		cmocka_unit_test(old_terms),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
