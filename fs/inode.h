/*
 * inode: the objects that are open or have something not yet committed, in
 * memory, by id.
 *
 * What it is: one `struct inode` per such object, reference counted, in a
 * hashed table; the claim that lets one thread at a time change an object; the
 * draft of its next version; the list of those the committer has to visit.
 *
 * What it is not: a cache of attributes.  Objects merely looked up have no
 * inode here; their record is read from the tree each time.
 *
 * Claim: exclusive ownership of an inode, held while one operation evaluates
 * the object and proposes its change.  It is a flag waited for, not a lock: it
 * may be held across I/O.  A thread claims one inode at a time, or two in
 * ascending order of id (V4).  Opening waits for the claim, so a file is never
 * opened between the look whether it is open and its deletion (V5).
 *
 * A file that a rename replaced stays until the kernel forgets it, open or not:
 * whoever found it under the name a moment ago may open it a moment later, and
 * the name was there all the time (V9).
 *
 * Draft states of a regular file:
 *
 *   none      --write----------------> in place   (data belongs to the record's content)
 *   none      --O_TRUNC--------------> replace    (data belongs to a content of its own)
 *   in place  --commit---------------> none
 *   replace   --commit---------------> none       (one transaction switches content)
 *   any       --deleted--------------> none
 *
 * Thread rule: table functions are thread-safe; fields marked [claim] are
 * touched by the claimant only, [stripe] under the stripe's mutex.
 */
#ifndef VS_FS_INODE_H
#define VS_FS_INODE_H

#include "engine/base/thread.h"
#include "engine/object.h"
#include "fs/wbuf.h"

#include <stdatomic.h>

struct fs;

struct draft {
	struct wbuf buf;
	uint64_t size;
	int64_t mtime_ns, ctime_ns; /* 0: as in the record */
	int64_t atime_ns;           /* set explicitly while in state replace; 0: as in the record */
	bool replace;
	bool listed;          /* replace: content is listed under 'N' */
	uint64_t content;     /* replace: 0 until something is stored early */
	uint64_t alloc_bytes; /* replace: stored in content */
	uint64_t counted;     /* memory counted in fs->dirty_bytes */
	bool changed;         /* a commit has something to do */
	bool tail_clean;      /* no extents behind the end of the file: looked and removed */
};

struct inode {
	uint64_t id;
	struct inode *next;         /* [stripe] */
	uint32_t refs;              /* [stripe] calls under way, handles, one for the dirty list */
	bool claimed;               /* [stripe] */
	uint32_t opens;             /* [claim] handles */
	struct vfs_handle *handles; /* [claim] list of them */
	bool unlinked;              /* [claim] no name left; deleted by the last release */
	bool known;                 /* [claim] and not before the kernel forgets it */
	_Atomic bool pending;       /* [claim] to change; made by create and not committed yet */
	bool append;                /* [claim] pending may be committed in the background */
	_Atomic(struct draft *) draft; /* [claim] to change; anyone may ask whether there is one */
	_Atomic uint64_t index;        /* last log index that concerns the object; 0 none */
	_Atomic int64_t atime_ns;      /* read since; not yet in the record; 0 none */
	_Atomic uint32_t err_count;    /* failures of commits nobody waited for */
	_Atomic int err;               /* the last of them (enum vs_err) */
	struct inode *dirty_prev, *dirty_next; /* dirty list, under its mutex */
	bool on_dirty;
	bool caps_gone; /* [claim] security.capability was looked for and removed */
};

#define INODE_STRIPES 64u

struct inode_table {
	struct {
		struct mutex lock;
		struct cond claim_free;
		struct inode **bucket;
		uint32_t buckets, count;
	} stripe[INODE_STRIPES];
	struct mutex dirty_lock;
	struct inode *dirty_first, *dirty_last;
	_Atomic uint32_t dirty_count;
	_Atomic uint64_t count;
};

enum vs_err VS_MUST_USE inode_table_init(struct inode_table *t);
/* Every reference is gone. */
void inode_table_fini(struct inode_table *t);

/* One more reference to the inode of id, made when there is none.  VS_ERR_NOMEM. */
enum vs_err VS_MUST_USE inode_get(struct inode_table *t, uint64_t id, struct inode **out);
/* The same, NULL when there is none. */
struct inode *inode_find(struct inode_table *t, uint64_t id);
/* One more reference; the caller has one. */
void inode_hold(struct inode_table *t, struct inode *i);
void inode_put(struct inode_table *t, struct inode *i);

void inode_claim(struct inode_table *t, struct inode *i);
void inode_unclaim(struct inode_table *t, struct inode *i);
/* Reference and claim. */
enum vs_err VS_MUST_USE inode_take(struct inode_table *t, uint64_t id, struct inode **out);
/* Unclaim and drop the reference. */
void inode_give(struct inode_table *t, struct inode *i);
/* Two, in order of id; a and b differ.  An id of 0 gives NULL. */
enum vs_err VS_MUST_USE inode_take2(struct inode_table *t, uint64_t a, uint64_t b,
				    struct inode **ia, struct inode **ib);

/* Put on the list of inodes the committer visits (with a reference of the list's); present is fine.
 */
void inode_dirty(struct inode_table *t, struct inode *i);
/* Take off the list; the list's reference becomes the caller's.  False when it was not on it. */
bool inode_clean(struct inode_table *t, struct inode *i);
/* The first of the list, moved to its end, with a reference; NULL when it is empty. */
struct inode *inode_next_dirty(struct inode_table *t);

static inline struct draft *inode_draft(struct inode *i)
{
	return atomic_load_explicit(&i->draft, memory_order_acquire);
}

/* Any inode that is open or kept for the kernel, with a reference; NULL when there is none.  Nobody
 * else is at work. */
struct inode *inode_any_open(struct inode_table *t);

/* [claim] The draft, made empty when there is none.  VS_ERR_NOMEM. */
enum vs_err VS_MUST_USE inode_draft_new(struct inode *i, uint32_t window_bytes, struct draft **out);
/* [claim] Forget the draft and its bytes. */
void inode_draft_drop(struct inode *i);

#endif
