#include "engine/superblock.h"

#include "engine/base/assert.h"
#include "engine/base/checksum.h"

#define OFF_BITMAP 256u
#define OFF_SEGTABLE (OFF_BITMAP + 16u * TREE_BITMAP_MAX)
#define OFF_SUM (SUPERBLOCK_BYTES - 8u)
#define FLAG_CLEAN 1u

static const uint8_t magic[8] = {'V', 'E', 'R', 'I', 'S', 'T', 'O', 'R'};

_Static_assert(OFF_SEGTABLE + 16u <= OFF_SUM, "bitmap references fit a slot");

static void put_ref(struct writer *w, struct tree_ref r)
{
	writer_le64(w, r.page);
	writer_le64(w, r.sum);
}

static struct tree_ref get_ref(struct reader *r)
{
	struct tree_ref ref;

	ref.page = reader_le64(r);
	ref.sum = reader_le64(r);
	return ref;
}

static void put_log(struct writer *w, const struct log_position *p)
{
	writer_le64(w, p->segment);
	writer_le32(w, p->off);
	writer_le32(w, p->prev_crc);
	writer_le64(w, p->index);
	writer_le64(w, p->term);
	writer_le64(w, p->next_segment_id);
}

static void get_log(struct reader *r, struct log_position *p)
{
	p->segment = reader_le64(r);
	p->off = reader_le32(r);
	p->prev_crc = reader_le32(r);
	p->index = reader_le64(r);
	p->term = reader_le64(r);
	p->next_segment_id = reader_le64(r);
}

static void put_counters(struct writer *w, const struct superblock *sb)
{
	const struct superblock_counters *c = &sb->counters;
	const struct superblock_scrub *s = &sb->scrub;
	const uint64_t v[] = {
		c->objects,    c->keys,     c->chunks,         c->live_bytes, c->garbage_contents,
		c->state_hash, sb->made_ns, sb->checkpoint_ns, s->pages,      s->records,
		s->chunks,     s->bytes,    s->errors,         s->finished_ns};

	for (size_t i = 0; i < sizeof v / sizeof *v; i++)
		writer_le64(w, v[i]);
}

static void get_counters(struct reader *r, struct superblock *sb)
{
	struct superblock_counters *c = &sb->counters;
	struct superblock_scrub *s = &sb->scrub;
	uint64_t *const v[] = {&c->objects,
			       &c->keys,
			       &c->chunks,
			       &c->live_bytes,
			       &c->garbage_contents,
			       &c->state_hash,
			       &sb->made_ns,
			       &sb->checkpoint_ns,
			       &s->pages,
			       &s->records,
			       &s->chunks,
			       &s->bytes,
			       &s->errors,
			       &s->finished_ns};

	for (size_t i = 0; i < sizeof v / sizeof *v; i++)
		*v[i] = reader_le64(r);
}

void superblock_encode(const struct superblock *sb, uint8_t out[SUPERBLOCK_BYTES])
{
	struct writer w = writer_of(out, OFF_SUM);

	vs_assert(sb->tree.bitmap_count <= TREE_BITMAP_MAX);
	vs_assert(sb->tree.gen == sb->generation);
	memset(out, 0, SUPERBLOCK_BYTES);
	writer_bytes(&w, magic, sizeof magic);
	writer_le32(&w, SUPERBLOCK_FORMAT);
	writer_le32(&w, 0);
	writer_le64(&w, sb->cluster_id);
	writer_le32(&w, sb->chunk_bytes);
	writer_le32(&w, sb->segment_bytes);
	writer_le64(&w, sb->generation);
	writer_le64(&w, sb->applied_index);
	writer_le64(&w, sb->term);
	writer_le32(&w, sb->clean ? FLAG_CLEAN : 0);
	writer_le32(&w, sb->tree.bitmap_count);
	put_log(&w, &sb->log);
	writer_le64(&w, sb->tree.file_pages);
	writer_le64(&w, sb->tree.used_pages);
	put_ref(&w, sb->tree.root);
	writer_le32(&w, sb->tree.height);
	writer_le32(&w, 0);
	put_counters(&w, sb);
	vs_assert(w.len == OFF_BITMAP);
	for (uint32_t i = 0; i < sb->tree.bitmap_count; i++)
		put_ref(&w, sb->tree.bitmap[i]);
	vs_assert(!w.bad);
	put_le32(out + OFF_SEGTABLE, sb->segments.count);
	put_le64(out + OFF_SEGTABLE + 8, sb->segments.sum);
	put_le64(out + OFF_SUM, checksum_xxh3(out, OFF_SUM));
}

enum vs_err superblock_decode(const uint8_t in[SUPERBLOCK_BYTES], struct superblock *out)
{
	struct reader r = reader_of(in, OFF_SUM);
	uint32_t format, features, flags;

	if (memcmp(reader_take(&r, 8), magic, 8) != 0 ||
	    get_le64(in + OFF_SUM) != checksum_xxh3(in, OFF_SUM))
		return VS_ERR_CORRUPT_SUPER;
	format = reader_le32(&r);
	features = reader_le32(&r);
	if (format != SUPERBLOCK_FORMAT || features)
		return VS_ERR_NEWER_FORMAT;
	memset(out, 0, sizeof *out);
	out->cluster_id = reader_le64(&r);
	out->chunk_bytes = reader_le32(&r);
	out->segment_bytes = reader_le32(&r);
	out->generation = reader_le64(&r);
	out->applied_index = reader_le64(&r);
	out->term = reader_le64(&r);
	flags = reader_le32(&r);
	out->clean = flags & FLAG_CLEAN;
	out->tree.bitmap_count = reader_le32(&r);
	get_log(&r, &out->log);
	out->tree.gen = out->generation;
	out->tree.file_pages = reader_le64(&r);
	out->tree.used_pages = reader_le64(&r);
	out->tree.root = get_ref(&r);
	out->tree.height = reader_le32(&r);
	reader_le32(&r);
	get_counters(&r, out);
	vs_assert(!r.bad && r.off == OFF_BITMAP);
	if (out->tree.bitmap_count > TREE_BITMAP_MAX)
		return VS_ERR_CORRUPT_SUPER;
	for (uint32_t i = 0; i < out->tree.bitmap_count; i++)
		out->tree.bitmap[i] = get_ref(&r);
	out->segments.count = get_le32(in + OFF_SEGTABLE);
	out->segments.sum = get_le64(in + OFF_SEGTABLE + 8);
	return VS_OK;
}

enum vs_err superblock_read(struct env *env, struct env_file *f, struct superblock *out,
			    uint32_t *valid)
{
	uint8_t slot[SUPERBLOCK_BYTES];
	struct superblock sb;
	bool newer = false;
	uint32_t n = 0;

	for (uint32_t i = 0; i < SUPERBLOCK_SLOTS; i++) {
		size_t got;
		enum vs_err err =
			env->ops->pread(f, slot, sizeof slot, (uint64_t)i * sizeof slot, &got);

		/* a slot that cannot be read is a damaged slot */
		if (err || got != sizeof slot)
			continue;
		err = superblock_decode(slot, &sb);
		newer |= err == VS_ERR_NEWER_FORMAT;
		if (err || sb.generation % 2 != i % 2)
			continue;
		if (!n++ || sb.generation > out->generation)
			*out = sb;
	}
	*valid = n;
	if (newer)
		return VS_ERR_NEWER_FORMAT;
	return n ? VS_OK : VS_ERR_CORRUPT_SUPER;
}

enum vs_err superblock_write(struct env *env, struct env_file *f, const struct superblock *sb)
{
	uint8_t slot[SUPERBLOCK_BYTES];
	enum vs_err err = VS_OK;

	superblock_encode(sb, slot);
	for (uint32_t i = sb->generation % 2; i < SUPERBLOCK_SLOTS && !err; i += 2)
		err = env_pwrite(env, f, slot, sizeof slot, (uint64_t)i * sizeof slot);
	return err ? err : env->ops->sync(f);
}
