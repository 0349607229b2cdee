#include "tests/lib/mem_image.h"

#include "engine/base/assert.h"

#include <stdlib.h>
#include <string.h>

struct image_piece {
	uint32_t refs; /* atomic: clones live on different threads */
	uint8_t b[IMAGE_PIECE];
};

static struct image_piece *piece_ref(struct image_piece *p)
{
	if (p)
		__atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
	return p;
}

static void piece_unref(struct image_piece *p)
{
	if (p && __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(p);
}

static void grow(struct image *im, size_t count)
{
	size_t cap = im->count ? im->count : 4;

	if (count <= im->count)
		return;
	while (cap < count)
		cap *= 2;
	im->piece = realloc(im->piece, cap * sizeof *im->piece);
	vs_assert(im->piece);
	memset(im->piece + im->count, 0, (cap - im->count) * sizeof *im->piece);
	im->count = cap;
}

/* Piece i, owned by im alone. */
static struct image_piece *piece_own(struct image *im, size_t i)
{
	struct image_piece *old, *p;

	grow(im, i + 1);
	old = im->piece[i];
	if (old && __atomic_load_n(&old->refs, __ATOMIC_ACQUIRE) == 1)
		return old;
	p = old ? malloc(sizeof *p) : calloc(1, sizeof *p);
	vs_assert(p);
	if (old)
		memcpy(p->b, old->b, sizeof p->b);
	p->refs = 1;
	piece_unref(old);
	im->piece[i] = p;
	return p;
}

void image_fini(struct image *im)
{
	for (size_t i = 0; i < im->count; i++)
		piece_unref(im->piece[i]);
	free(im->piece);
	*im = (struct image){0};
}

void image_read(const struct image *im, void *buf, size_t len, uint64_t off)
{
	uint8_t *to = buf;

	while (len) {
		size_t i = off / IMAGE_PIECE, at = off % IMAGE_PIECE;
		size_t n = len < IMAGE_PIECE - at ? len : IMAGE_PIECE - at;

		if (i < im->count && im->piece[i])
			memcpy(to, im->piece[i]->b + at, n);
		else
			memset(to, 0, n);
		to += n;
		off += n;
		len -= n;
	}
}

void image_write(struct image *im, const void *buf, size_t len, uint64_t off)
{
	const uint8_t *from = buf;

	while (len) {
		size_t at = off % IMAGE_PIECE;
		size_t n = len < IMAGE_PIECE - at ? len : IMAGE_PIECE - at;

		memcpy(piece_own(im, off / IMAGE_PIECE)->b + at, from, n);
		from += n;
		off += n;
		len -= n;
	}
}

void image_cut(struct image *im, uint64_t off)
{
	size_t i = off / IMAGE_PIECE, at = off % IMAGE_PIECE;

	if (at && i < im->count && im->piece[i])
		memset(piece_own(im, i)->b + at, 0, IMAGE_PIECE - at);
	for (i += at != 0; i < im->count; i++) {
		piece_unref(im->piece[i]);
		im->piece[i] = NULL;
	}
}

void image_share(struct image *to, const struct image *from)
{
	struct image im = {0};

	if (to == from)
		return;
	grow(&im, from->count);
	for (size_t i = 0; i < from->count; i++)
		im.piece[i] = piece_ref(from->piece[i]);
	image_fini(to);
	*to = im;
}

void image_share_piece(struct image *to, const struct image *from, uint64_t off)
{
	size_t i = off / IMAGE_PIECE;
	struct image_piece *p = i < from->count ? piece_ref(from->piece[i]) : NULL;

	grow(to, i + 1);
	piece_unref(to->piece[i]);
	to->piece[i] = p;
}
