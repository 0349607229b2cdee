/*
 * test_log_threads: group commit by several threads on a real directory.
 * Each thread counts as acknowledged only what log_sync (or a waiter) said.
 */
#include "engine/base/env_posix.h"
#include "engine/base/thread.h"
#include "tests/unit/test_log_util.h"

#include <stdatomic.h>
#include <unistd.h>

#define THREADS 8u
#define EACH 60u

struct shared {
	struct log *l;
	struct mutex order; /* the store's ordering lock */
	bool async;
	atomic_uint answered, failed;
};

struct task {
	struct shared *sh;
	unsigned id;
};

struct own_waiter {
	struct log_waiter w;
	struct shared *sh;
};

static void answered(struct log_waiter *w, enum vs_err err)
{
	struct shared *sh = ((struct own_waiter *)(void *)w)->sh;

	if (err || w->index > log_synced_index(sh->l)) /* E20 */
		sh->failed++;
	sh->answered++;
}

static enum vs_err order(struct shared *sh, const uint8_t *data, uint32_t len, const uint8_t *table,
			 uint64_t *index, struct log_place *place)
{
	struct log_append a = {.type = LOG_TXN, .term = 1, .meta = bytes_of(data, 40)};
	enum vs_err err;

	a.data = bytes_of(data, len);
	a.table = table;
	mutex_lock(&sh->order);
	while ((err = log_room(sh->l, 40, len, false)) == VS_ERR_BUSY) {
		mutex_unlock(&sh->order);
		if (log_prepare(sh->l))
			sh->failed++;
		mutex_lock(&sh->order);
	}
	if (!err)
		err = log_order(sh->l, &a, index, place);
	mutex_unlock(&sh->order);
	return err;
}

static void *run(void *arg)
{
	struct task *t = arg;
	struct shared *sh = t->sh;
	struct own_waiter w[EACH];
	uint8_t data[9000], back[9000], table[12];
	struct log_place place;

	for (unsigned i = 0; i < EACH; i++) {
		uint32_t len = (t->id * 977 + i * 131) % sizeof data;

		memset(data, (int)(t->id * 16 + i), sizeof data);
		checksum_table(data, len, table);
		w[i] = (struct own_waiter){.w = {.done = answered}, .sh = sh};
		if (order(sh, data, len, table, &w[i].w.index, &place))
			sh->failed++;
		if (log_write(sh->l, w[i].w.index))
			sh->failed++;
		if (sh->async && t->id % 2) {
			log_sync_async(sh->l, &w[i].w);
		} else {
			if (log_sync(sh->l, w[i].w.index))
				sh->failed++;
			answered(&w[i].w, VS_OK);
		}
		if (log_read(sh->l, w[i].w.index, place, 0, back, len) || memcmp(back, data, len))
			sh->failed++;
		if (i % 16 == 0 && log_wants_prepare(sh->l) && log_prepare(sh->l))
			sh->failed++;
	}
	/* the waiters live on this stack */
	while (sh->answered < THREADS * EACH)
		usleep(200);
	return NULL;
}

static enum vs_err count(void *arg, const struct log_record *rec)
{
	uint64_t *n = arg;

	return rec->index == ++*n ? VS_OK : VS_ERR_INTERNAL;
}

static void group_commit(bool async)
{
	struct log_config config = {.cluster_id = 1,
				    .segment_bytes = 512u << 10,
				    .reserve_segments = 2,
				    .keep_free = 2};
	struct log_position pos = {0};
	struct log_report report;
	struct shared sh = {.async = async};
	struct task task[THREADS];
	pthread_t thread[THREADS];
	const char *tmp = getenv("TMPDIR");
	struct log_stats stats;
	char dir[200], cmd[300];
	uint64_t n = 0;

	snprintf(dir, sizeof dir, "%s/vs-log-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(env_posix_open(dir, false, &config.env), VS_OK);
	assert_int_equal(log_create(&config, &sh.l), VS_OK);
	mutex_init(&sh.order);
	for (unsigned i = 0; i < THREADS; i++) {
		task[i].sh = &sh;
		task[i].id = i;
		assert_int_equal(pthread_create(&thread[i], NULL, run, &task[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(sh.failed, 0);
	assert_int_equal(sh.answered, THREADS * EACH);
	log_stats(sh.l, &stats);
	assert_int_equal(stats.records, THREADS * EACH);
	assert_int_equal(stats.batch_records_total, THREADS * EACH);
	assert_true(stats.syncs <= THREADS * EACH && stats.sync_us_p50 <= stats.sync_us_p99);
	log_close(sh.l);
	assert_int_equal(log_open(&config, &pos, NULL, 0, count, &n, &report, &sh.l), VS_OK);
	assert_int_equal(n, THREADS * EACH);
	log_close(sh.l);
	mutex_fini(&sh.order);
	env_posix_close(config.env);
	snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
	assert_int_equal(system(cmd), 0);
}

static void group_commit_blocking_E20_E25(void **state)
{
	(void)state;
	group_commit(false);
}

static void group_commit_mixed_E20_E25(void **state)
{
	(void)state;
	group_commit(true);
}

/* F54: the sync under way fails while others wait for it. */
static void *wait_for_failure(void *arg)
{
	struct shared *sh = arg;
	uint8_t data[100] = {1}, table[4];
	struct own_waiter w = {.sh = sh};
	struct log_place place;
	enum vs_err err;

	checksum_table(data, sizeof data, table);
	do {
		err = order(sh, data, sizeof data, table, &w.w.index, &place);
		if (!err)
			err = log_sync(sh->l, w.w.index);
	} while (!err);
	if (vs_err_class(err) != VS_CLASS_FATAL)
		sh->failed++;
	return NULL;
}

static void failed_sync_stops_all_F54_E29(void **state)
{
	struct rig *r = rig_new(3);
	struct shared sh = {.l = NULL};
	pthread_t thread[4];

	(void)state;
	assert_int_equal(rig_create(r), VS_OK);
	sh.l = r->l;
	mutex_init(&sh.order);
	env_mem_fail_mask(r->m, ENV_MEM_SYNC);
	env_mem_fail_at(r->m, 20, ENV_MEM_FAIL_ONCE);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, wait_for_failure, &sh), 0);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(sh.failed, 0);
	mutex_fini(&sh.order);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(group_commit_blocking_E20_E25),
		cmocka_unit_test(group_commit_mixed_E20_E25),
		cmocka_unit_test(failed_sync_stops_all_F54_E29),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
