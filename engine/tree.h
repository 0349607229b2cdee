/*
 * tree: a copy-on-write B+tree of byte-string keys in one file of fixed pages.
 *
 * What it is: the ordered map that holds all state of a replica, loaded page
 * by page into a bounded cache.  One working root takes all changes; a
 * checkpoint freezes it, writes the pages changed since the last one and hands
 * the caller an image to put into a superblock.  Checkpointed roots are
 * immutable and can be pinned: a reader of a pinned root sees one state while
 * changes go on.
 *
 * What it is not: it does not know transactions, superblocks or the log, and
 * it starts no threads and takes no lock of its own.
 *
 * Thread rule: the caller owns one read-write lock for the tree.  Each
 * function says what it needs: [RD] at least the shared lock, [WR] the
 * exclusive lock, [IO] no lock (it may block on the device and touches only
 * what no other function touches at that time).
 *
 * Residence: a function that needs a page that is not in the cache changes
 * nothing, stores the page's reference in *miss and returns VS_ERR_MISS.  The
 * caller then, without the lock, calls tree_page_read into a buffer, takes the
 * lock exclusively, calls tree_page_install and starts over.  tree_touch makes
 * a later put/del/edit of the same key under the same lock hold unable to
 * miss.  (Merging skips siblings that are not resident: the shape of the tree
 * is not part of the replicated state.)
 *
 * Page format (little-endian, TREE_PAGE bytes; spelled out in tree_page.h):
 * header with page id and birth generation, slot array, cells.  A reference to
 * a page is (id, XXH3-64 of its TREE_PAGE bytes); a reference whose sum is 0
 * names a page that is still dirty in memory.  So a checkpoint's root
 * reference vouches for the whole tree.  Page ids are positions in the file.
 *
 * Generations: the working root has generation g, the last checkpoint g-1.  A
 * page is born in the generation that first modifies it and is rewritten in
 * memory freely until that generation is frozen; then it is never changed
 * again.  A page that a checkpoint refers to is reused only when a later
 * checkpoint is durable and no pin covers it.  The bitmap of used pages is
 * part of each checkpoint.
 *
 * After Rodeh, "B-trees, Shadowing, and Clones" (ACM TOS 2008), without the
 * clones' reference counts: roots are strictly ordered in time.
 */
#ifndef VS_ENGINE_TREE_H
#define VS_ENGINE_TREE_H

#include "engine/base/bytes.h"
#include "engine/base/env.h"

#define TREE_PAGE 16384u     /* bytes */
#define TREE_KEY_MAX 320u    /* bytes */
#define TREE_VALUE_MAX 4608u /* bytes; three cells of any size fit a page */
#define TREE_BITMAP_MAX                                                          \
	160u /* bitmap pages, each for 8 * (TREE_PAGE - 64) tree pages: ~320 GiB \
	      */

struct tree;
struct tree_pin;

struct tree_ref {
	uint64_t page;
	uint64_t sum;
};

/* A checkpoint as the superblock stores it: all that tree_open needs. */
struct tree_image {
	uint64_t gen;
	uint64_t file_pages; /* pages the file has, used or not */
	uint64_t used_pages;
	struct tree_ref root; /* page 0 = empty tree */
	uint32_t height;
	uint32_t bitmap_count;
	struct tree_ref bitmap[TREE_BITMAP_MAX];
};

struct tree_config {
	struct env *env;
	const char *name;     /* file name in env; borrowed while open */
	uint64_t cache_bytes; /* frames = cache_bytes / TREE_PAGE, at least 64 */
	uint64_t grow_pages;  /* allocate the file in steps of this many pages */
};

struct tree_stats {
	uint64_t file_pages, used_pages, dirty_pages, frozen_pages, cached_pages, frames;
	uint64_t free_pages; /* allocatable now without growing the file */
	uint64_t hits, misses, evictions, pages_written;
};

/*
 * Open the tree of *image, or a new empty one (creating or emptying the file,
 * one step long, synced with its name) when image is NULL.  Reads the bitmap
 * pages and nothing else.  *image may be dropped afterwards.  [IO]
 * VS_ERR_CORRUPT_PAGE (a bitmap page, or *image does not fit it), _NOMEM,
 * _IO_*, _NOSPC.
 */
enum vs_err VS_MUST_USE tree_open(const struct tree_config *config, const struct tree_image *image,
				  struct tree **out);
/* Drop everything in memory.  Writes nothing. */
void tree_close(struct tree *t);

/* --- reading ------------------------------------------------------------ */

/*
 * [RD] The value of key; *value is borrowed until the lock is released.
 * VS_ERR_NOENT, VS_ERR_MISS, VS_ERR_CORRUPT_PAGE (a page of another level).
 */
enum vs_err VS_MUST_USE tree_get(struct tree *t, struct bytes key, struct bytes *value,
				 struct tree_ref *miss);

/* A position in key order.  Embedded by value; no cleanup. */
struct tree_cursor {
	struct tree *tree;
	const struct tree_pin *pin; /* NULL: the working root */
	struct bytes key, value;    /* current entry, borrowed until the lock is released */
	uint64_t version;           /* internal from here on */
	const void *leaf;
	struct bytes bound; /* where the next leaf begins; p NULL: there is none */
	uint32_t slot;
};

void tree_cursor_init(struct tree_cursor *c, struct tree *t, const struct tree_pin *pin);

/*
 * [RD] Move to the first entry with key >= `key`.  VS_ERR_END, VS_ERR_MISS,
 * VS_ERR_CORRUPT_PAGE.  After the lock was released, and after any result but
 * VS_OK, a cursor must seek again.
 */
enum vs_err VS_MUST_USE tree_cursor_seek(struct tree_cursor *c, struct bytes key,
					 struct tree_ref *miss);
/*
 * [RD] Move to the next entry, under the same lock hold and with no change
 * since the last move.  Errors as tree_cursor_seek.
 */
enum vs_err VS_MUST_USE tree_cursor_next(struct tree_cursor *c, struct tree_ref *miss);

/* --- residence ---------------------------------------------------------- */

/*
 * [IO] Read page ref into buf (TREE_PAGE bytes), verify checksum, page id and
 * structure.  VS_ERR_CORRUPT_PAGE, VS_ERR_IO_READ.
 *
 * A reference of the working root is not held once the lock is released: two
 * checkpoints later its position may have other contents.  So without a pin,
 * VS_ERR_CORRUPT_PAGE counts only when starting over misses on the same
 * reference and reading it fails again.
 */
enum vs_err VS_MUST_USE tree_page_read(struct tree *t, struct tree_ref ref, void *buf);
/*
 * [WR] Put a page read with tree_page_read into the cache, evicting a clean
 * one (CLOCK).  Present already is fine.  Undoes every touch and tree_reserve.
 * VS_ERR_BUSY: every frame is dirty or frozen; a checkpoint must finish first.
 * VS_ERR_CORRUPT_PAGE: the page claims to be of a generation yet to come.
 */
enum vs_err VS_MUST_USE tree_page_install(struct tree *t, struct tree_ref ref, const void *buf);

/* --- changing ----------------------------------------------------------- */

/*
 * [WR] Make sure that changes of `ops` keys can be carried out: enough frames
 * to dirty and page ids to allocate.  VS_ERR_BUSY: frames are short, a
 * checkpoint helps; VS_ERR_NOSPC: page ids are short, tree_grow (or a
 * checkpoint, which frees pages) helps.  `reserve_pages` more pages must stay
 * free after it (kept for deleting on a full disk); 0 to use them up.
 *
 * After touching the keys (before it, too, but then it assumes the worst: a
 * copy and a split of every level per op).  Each lock hold that changes
 * reserves once, for all its changes.  Touched pages and about one frame per op
 * are what it takes, and 1/8 of all frames (16 at least) are never dirty: an
 * `ops` too large for the pool is VS_ERR_BUSY for ever; a third of the frames
 * is a safe bound.
 */
enum vs_err VS_MUST_USE tree_reserve(struct tree *t, uint32_t ops, uint64_t reserve_pages);

/* [WR] See that the path of key is in the cache.  VS_ERR_MISS, VS_ERR_CORRUPT_PAGE. */
enum vs_err VS_MUST_USE tree_touch(struct tree *t, struct bytes key, struct tree_ref *miss);

/*
 * [WR] Insert or replace; delete (returns whether it was there).  The key's
 * path was touched and room reserved under this lock hold; cannot fail.
 * Key 1..TREE_KEY_MAX bytes, value 0..TREE_VALUE_MAX bytes, neither borrowed
 * from the tree.
 */
void tree_put(struct tree *t, struct bytes key, struct bytes value);
bool tree_del(struct tree *t, struct bytes key);

/*
 * [WR] The value of key as writable bytes of unchanged length, NULL when the
 * key is absent.  Valid until the next change or the end of the lock hold.
 */
uint8_t *tree_edit(struct tree *t, struct bytes key, size_t *len);

/*
 * Lengthen the file by at least grow_pages.  Two steps so that no lock is held
 * across I/O: [IO] tree_grow_file allocates and syncs, one caller at a time;
 * [WR] tree_grow_done makes the pages usable.  VS_ERR_NOSPC, _NOMEM, _IO_*.
 */
enum vs_err VS_MUST_USE tree_grow_file(struct tree *t, uint64_t *pages_after);
void tree_grow_done(struct tree *t, uint64_t pages_after);

/* --- checkpoint: freeze [WR], write [IO], done [WR]; one at a time ------- */

/*
 * [WR] Freeze the working root: compute the checksums of all dirty pages
 * (bottom up), lay out the bitmap, fill *image.  Changes after it go to copies.
 * Room for the bitmap pages was kept by tree_reserve.
 */
void tree_freeze(struct tree *t, struct tree_image *image);
/*
 * [IO] Write the frozen pages (in order of page id, neighbours joined) and
 * sync the file.  *bytes = written.  On an error the tree must not be used for
 * another checkpoint.  VS_ERR_IO_WRITE, _IO_SYNC.
 */
enum vs_err VS_MUST_USE tree_write_frozen(struct tree *t, uint64_t *bytes);
/* [WR] The image is durable in a superblock: free what only older roots used. */
void tree_freeze_done(struct tree *t);

/* --- pins ---------------------------------------------------------------- */

/*
 * [WR] Pin the root of the last completed checkpoint (all its pages are on
 * disk).  VS_ERR_NOENT: there is none yet; VS_ERR_BUSY: too many pins (16).
 */
enum vs_err VS_MUST_USE tree_pin(struct tree *t, struct tree_pin **out);
void tree_unpin(struct tree *t, struct tree_pin *pin); /* [WR] */
uint64_t tree_pin_gen(const struct tree_pin *pin);

/*
 * [IO] Read every page of the pinned root from disk, past the cache, in depth
 * first order, verify it, and call each (may be NULL) for every page, bad or
 * good; stops when each returns non-OK and returns that.  Bad pages are
 * counted and their subtrees left out.  VS_ERR_NOMEM.
 */
enum vs_err VS_MUST_USE tree_verify(struct tree *t, const struct tree_pin *pin,
				    enum vs_err (*each)(void *arg, struct tree_ref ref,
							enum vs_err state),
				    void *arg, uint64_t *good, uint64_t *bad);

/* --- for everyone -------------------------------------------------------- */

void tree_stats(struct tree *t, struct tree_stats *out); /* [RD] */
void tree_check(struct tree *t); /* [RD] assert invariants of everything resident; slow */

#endif
