/*
 * raft_sim_int: what the files of the simulator share.
 */
#ifndef VS_TESTS_SIM_RAFT_SIM_INT_H
#define VS_TESTS_SIM_RAFT_SIM_INT_H

#include "tests/sim/raft_sim.h"

enum { SNAPSHOT_BYTES = 300, SNAPSHOT_CHUNK = 100, TICK_US = 10000 };

enum sim_event_kind { EV_TICK, EV_PACKET, EV_DISK, EV_DONE };

/* A message under way, as bytes, with the contents of its entries. */
struct packet {
	uint32_t from, to;
	size_t len;
	uint8_t *bytes;
	struct sim_entry *entries;
	uint32_t count;
	struct sim_state state; /* SNAPSHOT: what the stream of chunks amounts to */
};

struct sim_event {
	uint64_t at_us, seq;
	enum sim_event_kind kind;
	uint32_t node, life;
	struct packet *packet;   /* EV_PACKET */
	struct sim_write *write; /* EV_DONE: durable, not yet reported */
};

void sim_push(struct sim *s, struct sim_event ev);
void sim_packet_free(struct packet *p);
void sim_event_free(struct sim_event *ev);
uint32_t sim_blob_add(struct sim *s, const void *p, uint32_t len);
uint64_t sim_node_ms(const struct sim *s, const struct sim_node *n);
struct sim_write *sim_write_new(enum sim_write_kind kind);
void sim_disk_submit(struct sim *s, struct sim_node *n, struct sim_write *w);
void sim_disk_apply(struct sim_node *n, const struct sim_write *w, uint32_t keep);
void sim_node_stop(struct sim *s, struct sim_node *n);
void sim_take_update(struct sim *s, struct sim_node *n, const struct sim_entry *contents,
		     uint64_t contents_first, const struct packet *p);
void sim_log_compact(struct sim_log *l, uint64_t index);
struct raft_snapshot sim_snapshot_of(const struct sim_state *st);

#endif
