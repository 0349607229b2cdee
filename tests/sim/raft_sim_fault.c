/*
 * raft_sim_fault: a random run: faults of every kind for a while, then none;
 * after which the cluster must converge, serve, and have everything answered.
 */
#include "tests/sim/raft_sim.h"

#include <stdio.h>
#include <string.h>

struct plan {
	bool change, damage, snapshot, crash, cuts, disk;
	uint32_t nodes;
};

static uint32_t any_node(struct sim *s)
{
	return 1 + (uint32_t)sim_rand(s, s->opt.nodes);
}

static void cut_something(struct sim *s)
{
	uint32_t a = any_node(s), b = any_node(s);

	switch (sim_rand(s, 6)) {
	case 0: /* one direction */
		if (a != b)
			sim_cut(s, a, b, true);
		break;
	case 1: /* one link */
		if (a != b) {
			sim_cut(s, a, b, true);
			sim_cut(s, b, a, true);
		}
		break;
	case 2:
		sim_isolate(s, a, true);
		break;
	case 3: /* the leader, half of the time */
		if (sim_leader(s))
			sim_isolate(s, sim_leader(s), true);
		break;
	case 4: /* two sides */
		for (uint32_t i = 1; i <= s->opt.nodes; i++) {
			for (uint32_t j = 1; j <= s->opt.nodes; j++)
				s->cut[i][j] = (i <= a) != (j <= a);
		}
		break;
	default:
		memset(s->cut, 0, sizeof s->cut);
		break;
	}
}

static void change_something(struct sim *s)
{
	uint32_t l = sim_leader(s), id = any_node(s);
	const struct member *m;

	if (!l)
		return;
	m = membership_find(&s->node[l].raft->members, id);
	if (!m)
		(void)sim_change(s, l, false, id, MEMBER_LEARNER, sim_rand(s, 2));
	else if (m->role == MEMBER_LEARNER)
		(void)sim_change(s, l, sim_rand(s, 3) == 0, id, MEMBER_VOTER, false);
	else if (sim_rand(s, 2))
		(void)sim_change(s, l, true, id, MEMBER_VOTER, false);
	else
		(void)sim_change(s, l, false, id, MEMBER_LEARNER, sim_rand(s, 2));
}

/* Only one node at a time, or committed entries could be lost for good. */
static void damage_something(struct sim *s)
{
	uint32_t id = any_node(s);
	uint64_t last, from;

	for (uint32_t i = 1; i <= s->opt.nodes; i++) {
		const struct sim_log *l = &s->node[i].disk.log;

		if (s->node[i].disk.hard.damage_to ||
		    (s->node[i].up && raft_damaged(s->node[i].raft)))
			return;
		for (uint64_t j = l->base + 1; j <= l->last; j++) {
			if (l->e[j].lost)
				return;
		}
	}
	last = s->node[id].disk.log.last;
	if (last == s->node[id].disk.log.base)
		return;
	from = last - sim_rand(s, last - s->node[id].disk.log.base);
	if (sim_rand(s, 2))
		sim_crash(s, id);
	sim_damage(s, id, from, from + sim_rand(s, 4));
}

static void nemesis(struct sim *s, const struct plan *p)
{
	uint32_t id = any_node(s);
	uint32_t what = (uint32_t)sim_rand(s, 16);

	if (what < 4 && p->crash) {
		if (s->node[id].up)
			sim_crash(s, id);
		else
			sim_start(s, id);
	} else if (what < 6 && p->crash) {
		for (uint32_t i = 1; i <= s->opt.nodes; i++)
			sim_start(s, i);
		if (sim_rand(s, 20) == 0) { /* all at once */
			for (uint32_t i = 1; i <= s->opt.nodes; i++)
				sim_crash(s, i);
		}
	} else if (what < 9 && p->cuts) {
		cut_something(s);
	} else if (what < 10 && p->disk) {
		s->node[id].hang = !s->node[id].hang;
	} else if (what < 11 && p->disk) {
		s->node[id].disk_us = sim_rand(s, 2) ? 300 : 20000;
	} else if (what < 12 && p->change) {
		change_something(s);
	} else if (what < 13) {
		if (sim_leader(s))
			(void)sim_transfer(s, sim_leader(s), sim_rand(s, 2) ? id : 0);
	} else if (what < 15 && p->snapshot) {
		sim_snapshot(s, id);
		if (s->node[id].up)
			sim_compact(s, id, s->node[id].raft->snapshot.index - sim_rand(s, 4));
	} else if (p->damage) {
		damage_something(s);
	}
}

static void clients(struct sim *s)
{
	uint32_t l = sim_leader(s);

	/* Mostly at the leader; old leaders are asked too. */
	if (l && sim_rand(s, 3))
		(void)sim_write(s, l);
	else
		(void)sim_write(s, any_node(s));
	if (sim_rand(s, 2))
		(void)sim_read(s, any_node(s));
}

static void healed(struct sim *s)
{
	uint32_t w = UINT32_MAX, r;

	sim_heal(s);
	/* A mark (raft.h, "Damage") may need the log to grow past it: seed 47177. */
	if (s->opt.damage && !sim_until(s, 3000 * SIM_MS, sim_converged, 0)) {
		for (uint32_t i = 0; i < 100 && !sim_why(s); i++) {
			if (sim_leader(s))
				(void)sim_write(s, sim_leader(s));
			(void)sim_run(s, 5 * SIM_MS);
		}
	}
	if (!sim_until(s, 20000 * SIM_MS, sim_converged, 0)) {
		sim_fail(s, "no convergence after the faults ended");
		return;
	}
	for (uint32_t i = 0; i < 20; i++) { /* a transfer may be under way */
		w = sim_leader(s) ? sim_write(s, sim_leader(s)) : UINT32_MAX;
		(void)sim_run(s, 200 * SIM_MS);
		if (w != UINT32_MAX && s->ops[w].state == SIM_OP_OK)
			break;
	}
	(void)sim_until(s, 2000 * SIM_MS, sim_converged, 0);
	if (w == UINT32_MAX || s->ops[w].state != SIM_OP_OK) {
		sim_fail(s, "no service after the faults ended");
		return;
	}
	r = sim_read(s, s->node[sim_leader(s)].raft->members.m[0].id);
	(void)sim_run(s, 300 * SIM_MS);
	if (r == UINT32_MAX || s->ops[r].state != SIM_OP_OK || s->ops[r].value != s->ops[w].value)
		sim_fail(s, "a read after the faults ended is not answered, or wrong");
}

static struct plan plan_of(struct sim *s)
{
	struct plan p = {
		.change = sim_rand(s, 3) == 0,
		.snapshot = sim_rand(s, 2),
		.crash = sim_rand(s, 4) != 0,
		.cuts = sim_rand(s, 4) != 0,
		.disk = sim_rand(s, 3) == 0,
	};

	p.damage = s->opt.damage && !p.change;
	for (uint32_t i = 1; i <= s->opt.nodes; i++) {
		s->node[i].rate_pm = 700 + (uint32_t)sim_rand(s, 800);
		if (sim_rand(s, 4) == 0)
			s->node[i].disk_us = 5000;
	}
	return p;
}

static void stats_of(const struct sim *s, struct sim_run_stats *st)
{
	st->steps += s->steps;
	st->commits += s->commit;
	for (uint32_t i = 0; i < SIM_TERMS_MAX; i++)
		st->elections += s->leader_of[i] != 0;
	for (uint32_t i = 0; i < s->op_count; i++) {
		st->reads += s->ops[i].type == SIM_READ && s->ops[i].state == SIM_OP_OK;
		st->writes += s->ops[i].type == SIM_WRITE && s->ops[i].state == SIM_OP_OK;
	}
	for (uint32_t i = 1; i <= SIM_NODES_MAX; i++)
		st->installs += s->node[i].installs;
}

bool sim_random_run(uint64_t seed, bool trace, char *why, size_t why_len,
		    struct sim_run_stats *stats)
{
	struct sim_options opt = {.seed = seed, .trace = trace};
	struct plan p;
	struct sim *s;
	bool ok;

	opt.nodes = seed % 2 ? 3 : 5;
	opt.voters = seed % 5 == 4 ? opt.nodes - 1 : opt.nodes;
	opt.loss_pm = seed % 3 ? 30 : 0;
	opt.dup_pm = 30;
	opt.delay_us = seed % 4 ? 1500 : 8000;
	opt.slow_pm = 20;
	opt.damage = seed % 4 == 1 && opt.voters == opt.nodes;
	s = sim_new(&opt);
	p = plan_of(s);
	for (uint32_t i = 0; i < 60 && !sim_why(s); i++) {
		nemesis(s, &p);
		for (uint32_t j = 0; j < 4; j++) {
			clients(s);
			(void)sim_run(s, sim_rand(s, 20 * SIM_MS));
		}
	}
	if (!sim_why(s))
		healed(s);
	if (!sim_why(s))
		sim_check_history(s);
	ok = !sim_why(s);
	if (!ok)
		snprintf(why, why_len, "%s", sim_why(s));
	if (stats)
		stats_of(s, stats);
	sim_free(s);
	return ok;
}
