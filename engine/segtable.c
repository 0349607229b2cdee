#include "engine/segtable.h"

#include "engine/base/assert.h"
#include "engine/base/bytes.h"
#include "engine/base/checksum.h"

#include <stdlib.h>

#define BLOCK 4096u
#define COUNT_MAX (1u << 22)
#define FIRST_BYTES (64u << 10)

static const char *file_name(uint64_t gen)
{
	return gen % 2 ? "segments.1" : "segments.0";
}

/* Bytes that one copy takes in the file. */
static size_t copy_bytes(uint32_t count)
{
	size_t n = (size_t)count * SEGTABLE_ENTRY;

	return n ? (n + BLOCK - 1) / BLOCK * BLOCK : BLOCK;
}

static void encode(const struct log_segment *g, struct writer *w)
{
	writer_le64(w, g->id);
	writer_le32(w, g->slot);
	writer_u8(w, g->kind);
	writer_u8(w, g->state);
	writer_le16(w, 0);
	writer_le64(w, g->first_index);
	writer_le64(w, g->last_index);
	writer_le32(w, g->used_bytes);
	writer_le32(w, g->live_count);
	writer_le64(w, g->live_bytes);
}

static void decode(struct reader *r, struct log_segment *g)
{
	g->id = reader_le64(r);
	g->slot = reader_le32(r);
	g->kind = reader_u8(r);
	g->state = reader_u8(r);
	reader_le16(r);
	g->first_index = reader_le64(r);
	g->last_index = reader_le64(r);
	g->used_bytes = reader_le32(r);
	g->live_count = reader_le32(r);
	g->live_bytes = reader_le64(r);
}

enum vs_err segtable_create(struct env *env)
{
	enum vs_err err = VS_OK;

	for (uint64_t gen = 0; gen < 2 && !err; gen++) {
		struct env_file *f;

		err = env->ops->open(env, file_name(gen), ENV_WRITE | ENV_CREATE, &f);
		if (err)
			break;
		err = env->ops->allocate(f, 0, FIRST_BYTES);
		if (!err)
			err = env->ops->sync(f);
		env->ops->close(f);
	}
	return err;
}

enum vs_err segtable_write(struct env *env, uint64_t gen, const struct log_segment *segs,
			   uint32_t count, struct segtable_ref *ref)
{
	size_t n = copy_bytes(count);
	uint8_t *buf = calloc(2, n);
	struct writer w;
	struct env_file *f;
	uint64_t size = 0;
	enum vs_err err;

	vs_assert(count <= COUNT_MAX);
	if (!buf)
		return VS_ERR_NOMEM;
	w = writer_of(buf, n);
	for (uint32_t i = 0; i < count; i++)
		encode(&segs[i], &w);
	vs_assert(!w.bad && w.len == (size_t)count * SEGTABLE_ENTRY);
	memcpy(buf + n, buf, n);
	err = env->ops->open(env, file_name(gen), ENV_WRITE, &f);
	if (err) {
		free(buf);
		return err;
	}
	/*
	 * Blocks first, and ahead of need: a write into allocated blocks does not
	 * fail for space, and a checkpoint that fails here stops the store (P7).
	 */
	err = env->ops->size(f, &size);
	if (!err && size < 3 * n) {
		err = env->ops->allocate(f, size, 4 * n - size);
		if (err == VS_ERR_NOSPC && size >= 2 * n)
			err = VS_OK;
	}
	if (!err)
		err = env_pwrite(env, f, buf, 2 * n, 0);
	if (!err)
		err = env->ops->sync(f);
	env->ops->close(f);
	if (!err)
		*ref = (struct segtable_ref){count,
					     checksum_xxh3(buf, (size_t)count * SEGTABLE_ENTRY)};
	free(buf);
	return err;
}

enum vs_err segtable_read(struct env *env, uint64_t gen, struct segtable_ref ref,
			  struct log_segment **out)
{
	size_t n = copy_bytes(ref.count), len = (size_t)ref.count * SEGTABLE_ENTRY;
	struct log_segment *segs;
	struct env_file *f;
	uint8_t *buf;
	enum vs_err err;
	bool good = false;

	if (ref.count > COUNT_MAX)
		return VS_ERR_CORRUPT_SUPER;
	err = env->ops->open(env, file_name(gen), ENV_READ, &f);
	if (err)
		return err == VS_ERR_NOENT ? VS_ERR_CORRUPT_SUPER : err;
	buf = malloc(n);
	segs = calloc(ref.count + 1u, sizeof *segs);
	err = buf && segs ? VS_OK : VS_ERR_NOMEM;
	for (int copy = 0; copy < 2 && !err && !good; copy++) {
		size_t got = 0;

		if (env->ops->pread(f, buf, n, (uint64_t)copy * n, &got) || got < len)
			continue;
		good = checksum_xxh3(buf, len) == ref.sum;
	}
	env->ops->close(f);
	if (good) {
		struct reader r = reader_of(buf, len);

		for (uint32_t i = 0; i < ref.count; i++)
			decode(&r, &segs[i]);
		*out = segs;
	} else {
		free(segs);
		err = err ? err : VS_ERR_CORRUPT_SUPER;
	}
	free(buf);
	return err;
}
