#include "consensus/progress.h"

#include "engine/base/assert.h"

void progress_init(struct progress *p, uint32_t id, uint64_t last, uint64_t now_ms)
{
	vs_assert(id != 0);
	*p = (struct progress){
		.id = id,
		.state = PROGRESS_PROBE,
		.next = last + 1,
		.active = true,
		.contact_ms = now_ms,
		.round_target = last,
		.round_ms = now_ms,
	};
	progress_check(p);
}

static void inflight_clear(struct progress *p)
{
	p->fl_head = 0;
	p->fl_count = 0;
	p->fl_bytes = 0;
}

void progress_probe(struct progress *p, uint64_t next_index)
{
	inflight_clear(p);
	p->state = PROGRESS_PROBE;
	p->probe_sent = false;
	p->next = next_index > p->match ? next_index : p->match + 1;
	progress_check(p);
}

void progress_replicate(struct progress *p)
{
	vs_assert(p->state == PROGRESS_PROBE);
	inflight_clear(p);
	p->state = PROGRESS_REPLICATE;
	p->next = p->match + 1;
	progress_check(p);
}

void progress_snapshot(struct progress *p, uint64_t index, uint64_t term, uint64_t id)
{
	vs_assert(p->state != PROGRESS_SNAPSHOT);
	inflight_clear(p);
	p->state = PROGRESS_SNAPSHOT;
	p->snap_index = index;
	p->snap_term = term;
	p->snap_id = id;
	p->snap_offset = 0;
	p->snap_sent_ms = 0;
	progress_check(p);
}

bool progress_may_send(const struct progress *p, uint64_t bytes_max)
{
	switch (p->state) {
	case PROGRESS_PROBE:
		return !p->probe_sent;
	case PROGRESS_REPLICATE:
		return p->fl_count < PROGRESS_INFLIGHT_MAX && p->fl_bytes < bytes_max;
	case PROGRESS_SNAPSHOT:
		break;
	}
	return false;
}

void progress_sent(struct progress *p, uint64_t last, uint32_t count, uint64_t bytes)
{
	vs_assert(p->state != PROGRESS_SNAPSHOT);
	if (p->state == PROGRESS_PROBE) {
		/* next stays: it moves when the probe is answered. */
		p->probe_sent = true;
		return;
	}
	if (count == 0)
		return;
	vs_assert(last == p->next + count - 1);
	vs_assert(p->fl_count < PROGRESS_INFLIGHT_MAX);
	p->fl[(p->fl_head + p->fl_count) % PROGRESS_INFLIGHT_MAX] =
		(struct progress_inflight){last, bytes};
	p->fl_count++;
	p->fl_bytes += bytes;
	p->next = last + 1;
	progress_check(p);
}

bool progress_ack(struct progress *p, uint64_t index)
{
	bool rose = index > p->match;

	if (rose)
		p->match = index;
	if (p->next <= p->match)
		p->next = p->match + 1;
	while (p->fl_count > 0 && p->fl[p->fl_head].last <= index) {
		p->fl_bytes -= p->fl[p->fl_head].bytes;
		p->fl_head = (p->fl_head + 1) % PROGRESS_INFLIGHT_MAX;
		p->fl_count--;
	}
	progress_check(p);
	return rose;
}

void progress_check(const struct progress *p)
{
	vs_assert(p->match < p->next);                   /* C9 */
	vs_assert(p->fl_count <= PROGRESS_INFLIGHT_MAX); /* C9 */
	vs_assert(p->fl_count > 0 || p->fl_bytes == 0);  /* C9 */
	vs_assert(p->state == PROGRESS_REPLICATE || p->fl_count == 0);
}
