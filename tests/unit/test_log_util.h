/*
 * test_log_util: a log beside a model of what was ordered, for the tests of
 * the log.  Records are compared byte for byte whenever they come back.
 */
#ifndef VS_TESTS_TEST_LOG_UTIL_H
#define VS_TESTS_TEST_LOG_UTIL_H

#include "engine/base/assert.h"
#include "engine/log.h"
#include "engine/record.h"
#include "tests/lib/env_mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MODEL_MAX 4096u

struct model_record {
	uint8_t type;
	uint64_t term;
	uint32_t meta_len, data_len;
	uint8_t *meta, *data;
	struct log_place place;
};

struct rig {
	struct env_mem *m;
	struct log_config config;
	struct log *l;
	struct log_position pos; /* where log_open reads on */
	struct log_segment known[64];
	uint32_t known_count;
	struct log_report report;
	uint64_t term;
	uint64_t last;     /* of the model */
	uint64_t replayed; /* last index delivered */
	bool wrong;        /* something came back that was never ordered */
	struct model_record rec[MODEL_MAX];
	uint8_t *junk[4 * MODEL_MAX]; /* replaced by a restart, kept until the end */
	uint32_t junk_count;
};

static inline struct rig *rig_new(uint64_t seed)
{
	struct rig *r = calloc(1, sizeof *r);

	vs_assert(r);
	r->m = env_mem_new(seed);
	r->config = (struct log_config){
		.env = env_mem_env(r->m),
		.cluster_id = 0xc1,
		.segment_bytes = LOG_SEGMENT_MIN,
		.reserve_segments = 2,
		.keep_free = 2,
	};
	r->term = 1;
	return r;
}

static inline void rig_forget(struct rig *r, uint64_t last)
{
	for (uint64_t i = last + 1; i <= r->last; i++) {
		vs_assert(r->junk_count + 2 <= 4 * MODEL_MAX);
		r->junk[r->junk_count++] = r->rec[i].meta;
		r->junk[r->junk_count++] = r->rec[i].data;
	}
	r->last = last;
}

static inline void rig_free(struct rig *r)
{
	log_close(r->l);
	rig_forget(r, 0);
	for (uint32_t i = 0; i < r->junk_count; i++)
		free(r->junk[i]);
	env_mem_free(r->m);
	free(r);
}

static inline enum vs_err rig_create(struct rig *r)
{
	return log_create(&r->config, &r->l);
}

/* Order a record whose bytes follow from index and term. */
static inline enum vs_err rig_append(struct rig *r, uint8_t type, uint32_t meta_len,
				     uint32_t data_len, bool use_reserve)
{
	uint8_t table[LOG_DATA_MAX / CHECKSUM_BLOCK * 4];
	uint64_t index = r->last + 1, got;
	struct model_record *m = &r->rec[index];
	enum vs_err err;

	while ((err = log_room(r->l, meta_len, data_len, use_reserve)) == VS_ERR_BUSY) {
		err = log_prepare(r->l);
		if (err && err != VS_ERR_NOSPC)
			return err;
	}
	if (err)
		return err;
	vs_assert(index < MODEL_MAX);
	*m = (struct model_record){
		type,  r->term, meta_len, data_len, malloc(meta_len + 1), malloc(data_len + 1),
		{0, 0}};
	for (uint32_t i = 0; i < meta_len; i++)
		m->meta[i] = (uint8_t)(index * 7 + r->term * 31 + i * 13);
	for (uint32_t i = 0; i < data_len; i++)
		m->data[i] = (uint8_t)(index * 11 + r->term * 17 + i * 5 + i / 251);
	checksum_table(m->data, data_len, table);
	r->last = index;
	err = log_order(r->l,
			&(struct log_append){.type = type,
					     .term = r->term,
					     .meta = bytes_of(m->meta, meta_len),
					     .data = bytes_of(m->data, data_len),
					     .table = table},
			&got, &m->place);
	if (err)
		rig_forget(r, index - 1);
	else
		vs_assert(got == index);
	return err;
}

static inline bool rig_same(const struct model_record *m, const struct log_record *rec)
{
	uint8_t table[LOG_DATA_MAX / CHECKSUM_BLOCK * 4];

	checksum_table(m->data, m->data_len, table);
	return m->type == rec->type && m->term == rec->term && m->meta_len == rec->meta.len &&
	       m->data_len == rec->data_len && m->place.segment == rec->data.segment &&
	       m->place.off == rec->data.off && !memcmp(m->meta, rec->meta.p, m->meta_len) &&
	       !memcmp(table, rec->table, record_table_len(m->data_len));
}

static inline enum vs_err rig_each(void *arg, const struct log_record *rec)
{
	struct rig *r = arg;

	/* E28 */
	if (rec->index != r->replayed + 1 || rec->index > r->last ||
	    !rig_same(&r->rec[rec->index], rec))
		r->wrong = true;
	r->replayed = rec->index;
	return VS_OK;
}

static inline enum vs_err rig_open(struct rig *r)
{
	vs_assert(!r->l);
	r->replayed = r->pos.index;
	return log_open(&r->config, &r->pos, r->known, r->known_count, rig_each, r, &r->report,
			&r->l);
}

/* Close, crash, open, start a term.  The model then holds what came back. */
static inline enum vs_err rig_restart(struct rig *r, enum env_mem_crash mode, uint64_t seed)
{
	enum vs_err err;

	log_close(r->l);
	r->l = NULL;
	env_mem_crash(r->m, mode, seed);
	err = rig_open(r);
	if (err)
		return err;
	rig_forget(r, r->replayed);
	r->term++;
	return rig_append(r, LOG_NOOP, 0, 0, true);
}

/* Whether the data of every record from `first` reads back. */
static inline bool rig_reads(struct rig *r, uint64_t first)
{
	bool ok = true;

	for (uint64_t i = first; i <= r->last; i++) {
		const struct model_record *m = &r->rec[i];
		uint8_t *buf = malloc(m->data_len + 1);

		ok = ok && !log_read(r->l, i, m->place, 0, buf, m->data_len) &&
		     !memcmp(buf, m->data, m->data_len);
		free(buf);
	}
	return ok;
}

/* What a store does for a checkpoint of this moment. */
static inline void rig_checkpoint(struct rig *r)
{
	log_position_now(r->l, &r->pos);
	r->known_count = log_segments(r->l, r->known, 64);
	vs_assert(r->known_count <= 64);
}

#endif
