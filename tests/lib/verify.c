#include "tests/lib/verify.h"

#include "engine/base/assert.h"
#include "engine/base/checksum.h"
#include "engine/store_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SEGMENTS_MAX 4096u

struct chunk {
	uint64_t index, segment;
	uint32_t off, len, refs, found;
};

struct account {
	struct chunk *chunk;
	uint32_t chunks, chunk_cap;
	uint64_t *owned, *used; /* contents that somebody owns; that have extents */
	uint32_t owneds, owned_cap, useds, used_cap;
	struct superblock_counters sum;
	bool bad;
	char *why;
	size_t cap;
};

#define FAIL(a, ...)                                               \
	do {                                                       \
		if (!(a)->bad)                                     \
			snprintf((a)->why, (a)->cap, __VA_ARGS__); \
		(a)->bad = true;                                   \
	} while (0)

static void push(uint64_t **v, uint32_t *count, uint32_t *cap, uint64_t x)
{
	if (*count == *cap) {
		*cap = *cap ? *cap * 2 : 64;
		*v = realloc(*v, *cap * sizeof **v);
		vs_assert(*v);
	}
	(*v)[(*count)++] = x;
}

/* The same sum as the store keeps, from the definition: key and the part all replicas share. */
static uint64_t hash_of(struct bytes key, struct bytes value)
{
	size_t local = *(const uint8_t *)key.p == KEY_CHUNK ? CHUNK_LOCAL : 0;
	uint64_t h[2] = {checksum_xxh3(key.p, key.len),
			 checksum_xxh3((const uint8_t *)value.p + local, value.len - local)};

	return checksum_xxh3(h, sizeof h);
}

static void add_chunk(struct account *a, const uint8_t *k, struct bytes value)
{
	struct chunk_record c;

	if (value.len < CHUNK_FIXED || chunk_decode(value, &c)) {
		FAIL(a, "chunk record does not decode");
		return;
	}
	if (a->chunks == a->chunk_cap) {
		a->chunk_cap = a->chunk_cap ? a->chunk_cap * 2 : 64;
		a->chunk = realloc(a->chunk, a->chunk_cap * sizeof *a->chunk);
		vs_assert(a->chunk);
	}
	a->chunk[a->chunks++] = (struct chunk){.index = get_be64(k + 1),
					       .segment = c.place.segment,
					       .off = get_be32(k + 9),
					       .len = c.len,
					       .refs = c.refs};
	a->sum.chunks++;
	a->sum.live_bytes += c.len;
}

static bool count_one(void *arg, struct bytes key, struct bytes value)
{
	struct account *a = arg;
	const uint8_t *k = key.p;
	struct object o;

	a->sum.keys++;
	switch (k[0]) {
	case KEY_CHUNK:
		add_chunk(a, k, value);
		break;
	case KEY_OBJECT:
		a->sum.objects++;
		if (object_decode(value, &o))
			FAIL(a, "object record does not decode");
		else if (o.content)
			push(&a->owned, &a->owneds, &a->owned_cap, o.content);
		break;
	case KEY_GARBAGE:
		a->sum.garbage_contents++;
		push(&a->owned, &a->owneds, &a->owned_cap, get_be64(k + 1));
		break;
	case KEY_PENDING_CONTENT:
		push(&a->owned, &a->owneds, &a->owned_cap, get_be64(k + 9));
		break;
	default:
		break;
	}
	if (!a->bad)
		a->sum.state_hash += hash_of(key, value);
	return !a->bad;
}

static struct chunk *find_chunk(struct account *a, uint64_t index, uint32_t off)
{
	uint32_t lo = 0, hi = a->chunks;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		struct chunk *c = &a->chunk[mid];

		if (c->index == index && c->off == off)
			return c;
		if (c->index < index || (c->index == index && c->off < off))
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static void refer(struct account *a, uint64_t index, uint32_t off, uint64_t end)
{
	struct chunk *c = find_chunk(a, index, off);

	if (!c)
		FAIL(a, "chunk %llu/%u is referred to but not there", (unsigned long long)index,
		     off);
	else if (end > c->len)
		FAIL(a, "an extent goes behind its chunk %llu/%u", (unsigned long long)index, off);
	else
		c->found++;
}

static bool mark_one(void *arg, struct bytes key, struct bytes value)
{
	struct account *a = arg;
	struct object_extent e;
	uint64_t index, content;
	uint32_t off;

	if (*(const uint8_t *)key.p == KEY_XATTR) {
		if (object_xattr_chunk(value, &index, &off))
			refer(a, index, off, 0);
		return !a->bad;
	}
	if (object_extent_decode(key, value, &e)) {
		FAIL(a, "extent does not decode");
		return false;
	}
	content = get_be64((const uint8_t *)key.p + 1);
	if (!a->useds || a->used[a->useds - 1] != content)
		push(&a->used, &a->useds, &a->used_cap, content);
	refer(a, e.index, e.data_off, e.skip + (e.end - e.start));
	return !a->bad;
}

static int order(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return (a > b) - (a < b);
}

static void check_refs(struct account *a)
{
	for (uint32_t i = 0; i < a->chunks; i++)
		if (a->chunk[i].refs != a->chunk[i].found)
			FAIL(a, "chunk %llu/%u has %u references, %u refer to it",
			     (unsigned long long)a->chunk[i].index, a->chunk[i].off,
			     a->chunk[i].refs, a->chunk[i].found);
	if (a->owneds)
		qsort(a->owned, a->owneds, sizeof *a->owned, order);
	for (uint32_t i = 1; i < a->owneds; i++)
		if (a->owned[i] == a->owned[i - 1])
			FAIL(a, "content %llu has two owners", (unsigned long long)a->owned[i]);
	for (uint32_t i = 0; i < a->useds; i++)
		if (!a->owneds ||
		    !bsearch(&a->used[i], a->owned, a->owneds, sizeof *a->owned, order))
			FAIL(a, "content %llu has extents but no owner",
			     (unsigned long long)a->used[i]);
}

static void check_counters(struct account *a, struct store *s)
{
	struct store_stats st;

	store_stats(s, &st);
	if (st.keys != a->sum.keys || st.objects != a->sum.objects || st.chunks != a->sum.chunks ||
	    st.live_bytes != a->sum.live_bytes || st.garbage_contents != a->sum.garbage_contents)
		FAIL(a,
		     "counters: keys %llu/%llu objects %llu/%llu chunks %llu/%llu live %llu/%llu "
		     "garbage %llu/%llu (counted/scanned)",
		     (unsigned long long)st.keys, (unsigned long long)a->sum.keys,
		     (unsigned long long)st.objects, (unsigned long long)a->sum.objects,
		     (unsigned long long)st.chunks, (unsigned long long)a->sum.chunks,
		     (unsigned long long)st.live_bytes, (unsigned long long)a->sum.live_bytes,
		     (unsigned long long)st.garbage_contents,
		     (unsigned long long)a->sum.garbage_contents);
	if (st.state_hash != a->sum.state_hash)
		FAIL(a, "state hash differs from a scan's");
}

static void check_segments(struct account *a, struct store *s)
{
	struct log_segment *segs = malloc(SEGMENTS_MAX * sizeof *segs);
	uint64_t live = 0;
	uint32_t n;

	vs_assert(segs);
	n = log_segments(s->log, segs, SEGMENTS_MAX);
	vs_assert(n <= SEGMENTS_MAX);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t bytes = 0;
		uint32_t count = 0;

		for (uint32_t j = 0; j < a->chunks; j++)
			if (a->chunk[j].segment == segs[i].id) {
				bytes += a->chunk[j].len;
				count++;
			}
		live += count;
		if (bytes != segs[i].live_bytes || count != segs[i].live_count)
			FAIL(a, "segment %llu: live %llu in %u, chunks in it %llu in %u",
			     (unsigned long long)segs[i].id, (unsigned long long)segs[i].live_bytes,
			     segs[i].live_count, (unsigned long long)bytes, count);
	}
	if (live != a->chunks)
		FAIL(a, "%llu of %u chunks stand in a segment", (unsigned long long)live,
		     a->chunks);
	free(segs);
}

static void scan(struct account *a, struct store *s, uint8_t kind, store_scan_fn each)
{
	struct key prefix = {.len = 1, .b = {kind}};
	enum vs_err err = store_scan(s, NULL, &prefix, &prefix, each, a);

	if (err)
		FAIL(a, "scan of kind %c: %s", kind, vs_err_name(err));
}

bool verify_accounts(struct store *s, char *why, size_t cap)
{
	struct account a = {.why = why, .cap = cap};

	for (int kind = 1; kind < 256 && !a.bad; kind++)
		scan(&a, s, (uint8_t)kind, count_one);
	if (!a.bad)
		scan(&a, s, KEY_EXTENT, mark_one);
	if (!a.bad)
		scan(&a, s, KEY_XATTR, mark_one);
	if (!a.bad)
		check_refs(&a);
	if (!a.bad)
		check_counters(&a, s);
	if (!a.bad)
		check_segments(&a, s);
	free(a.chunk);
	free(a.owned);
	free(a.used);
	return !a.bad;
}

bool verify_store(struct store *s, char *why, size_t cap)
{
	struct store_scrub_result r;
	enum vs_err err;

	if (!verify_accounts(s, why, cap))
		return false;
	err = store_scrub(s, NULL, &r);
	if (err) {
		snprintf(why, cap, "scrub: %s", vs_err_name(err));
		return false;
	}
	if (r.errors) {
		snprintf(why, cap, "scrub: %llu errors, first: %s", (unsigned long long)r.errors,
			 r.first_error);
		return false;
	}
	return true;
}

static bool object_is_sound(struct model *m, const struct model_object *x)
{
	struct model_content *c = x->o.content ? model_content(m, x->o.content) : NULL;
	bool dir = S_ISDIR(x->o.mode);
	uint64_t names = 0, entries = 0;

	for (uint32_t i = 0; i < m->entries; i++) {
		names += m->entry[i].object == x->id;
		entries += m->entry[i].bucket == x->id;
	}
	if (x->o.content &&
	    (!c || model_content_alloc(c) != x->o.alloc_bytes || model_content_end(c) > x->o.size))
		return false;
	return x->o.entries == entries && (dir || x->o.nlink == names);
}

bool verify_model(struct model *m, char *why, size_t cap)
{
	for (uint32_t i = 0; i < m->objects; i++)
		if (!object_is_sound(m, &m->object[i])) {
			snprintf(why, cap, "object %llu: entries, links or blocks do not add up",
				 (unsigned long long)m->object[i].id);
			return false;
		}
	for (uint32_t i = 0; i < m->entries; i++)
		if (!model_object(m, m->entry[i].object) || !model_object(m, m->entry[i].bucket)) {
			snprintf(why, cap, "an entry names object %llu that is not there",
				 (unsigned long long)m->entry[i].object);
			return false;
		}
	return true;
}
