/*
 * mem_image: the bytes of one file in memory, sparse and copy-on-write.
 *
 * An image is an array of pieces of IMAGE_PIECE bytes; a missing piece reads
 * as zeros.  Pieces are shared between images (durable and live image of one
 * file, clones of a whole environment) and copied on the first write.
 *
 * Thread rule: one owner per image; images that share pieces may be used from
 * different threads.
 */
#ifndef VS_TESTS_MEM_IMAGE_H
#define VS_TESTS_MEM_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#define IMAGE_PIECE 16384u

struct image {
	struct image_piece **piece; /* owned array, shared pieces */
	size_t count;
};

/* Zero-initialised is empty. */
void image_fini(struct image *im);

void image_read(const struct image *im, void *buf, size_t len, uint64_t off);
void image_write(struct image *im, const void *buf, size_t len, uint64_t off);

/* Bytes from off on become zero. */
void image_cut(struct image *im, uint64_t off);

/* *to, which may hold something, becomes what *from is. */
void image_share(struct image *to, const struct image *from);

/* The piece that holds byte off becomes, in *to, what it is in *from. */
void image_share_piece(struct image *to, const struct image *from, uint64_t off);

#endif
