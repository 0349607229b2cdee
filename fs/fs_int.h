/*
 * fs_int: what the files of fs/ share and nobody else sees: struct fs, the
 * helpers of every operation, the draft operations of commit.c.
 *
 * Evaluate and propose: an operation reads the present state, builds a
 * transaction that is conditional on what it read, and proposes it; when a
 * condition fails it starts over (fs_again).
 *
 * Thread rule: as vfs.h.
 */
#ifndef VS_FS_INT_H
#define VS_FS_INT_H

#include "fs/inode.h"
#include "fs/vfs.h"

#include <sys/stat.h>

enum {
	FS_ROUNDS_MAX = 1000,   /* evaluations of one operation before it gives up */
	FS_BATCH_RUNS = 512,    /* runs of dirty bytes in one transaction */
	FS_CUT_EXTENTS = 256,   /* extents removed in one transaction */
	FS_CLONE_EXTENTS = 256, /* extents shared in one transaction */
	FS_ATIME_BATCH = 128,
	FS_ATIMES_MAX = 4096,
	FS_NOTIFY_MAX = 32, /* words to the kernel that wait */
};
#define FS_BATCH_BYTES (4u << 20)    /* data in one transaction; at least a chunk */
#define FS_SPACE_MARGIN (256u << 10) /* room kept for the commits themselves */
#define FS_SPACE_STEP (16u << 20)    /* written between two looks at the free space */

struct notify_word {
	uint64_t id;  /* an inode, or */
	uint64_t dir; /* a name in a directory */
	uint16_t name_len;
	char name[KEY_NAME_MAX];
};

struct fs {
	struct replica *replica;
	struct store *store;
	uint64_t session;
	enum fs_durability durability;
	uint32_t commit_ms, chunk_bytes;
	uint64_t dirty_limit;
	struct inode_table table;
	_Atomic bool noatime, writing_atimes;
	_Atomic uint32_t atimes; /* inodes with an access time to be written */
	bool ending; /* [fs_free] a last handle that goes now was not closed by its user */
	_Atomic uint64_t dirty_bytes;
	_Atomic int64_t space_budget;
	_Atomic uint64_t commits, errors, handles, known;
	pthread_t committer;
	bool committer_runs;
	struct mutex lock; /* of what follows */
	struct cond wake;
	bool stop, notifying;
	struct vfs_notify notify;
	struct notify_word word[FS_NOTIFY_MAX]; /* from word_done to word_next */
	uint32_t word_done, word_next;
};

struct vfs_handle {
	struct inode *inode;
	struct vfs_handle *prev, *next; /* of the same inode, under its claim */
	uint32_t flags;                 /* enum vfs_open_flags */
	_Atomic uint32_t err_seen;
};

/* --- for every operation (fs.c) */

static inline int64_t fs_now(struct fs *fs)
{
	return (int64_t)store_now_ns(fs->store);
}

/* Whether to evaluate once more: err is VS_ERR_COND and it was not tried too often. */
bool fs_again(enum vs_err *err, uint32_t *rounds);
/* Propose and note the index in the call and the inode (either may be NULL). */
enum vs_err VS_MUST_USE fs_propose(struct fs *fs, const struct txn *t, struct vfs_call *c,
				   struct inode *i);
enum vs_err VS_MUST_USE fs_name_check(struct bytes name);
/* VS_ERR_NOSPC when len more bytes would not fit behind what is dirty already. */
enum vs_err VS_MUST_USE fs_space_check(struct fs *fs, uint64_t len);
/* A content of this many bytes was dropped: have it collected soon, so that df is right. */
void fs_dropped(struct fs *fs, uint64_t bytes);
/* A commit nobody waits for failed: the handles of i hear of it (F93). */
void fs_note_error(struct fs *fs, struct inode *i, enum vs_err err);

static inline bool fs_visible(const struct fs *fs, const struct object *o)
{
	return !o->session || o->session == fs->session;
}

/* object_get, and VS_ERR_NOENT for what other sessions have pending. */
enum vs_err VS_MUST_USE fs_get(struct fs *fs, uint64_t id, struct object_raw *raw,
			       struct object *o);
void fs_attr(const struct object *o, uint64_t id, struct vfs_attr *out);
/* Take the pending mark off o: adds to t. */
void fs_txn_settle(struct fs *fs, struct txn *t, uint64_t id, struct object *o);
/* 'U' key: the object has no name and is open. */
void fs_key_unlinked(struct fs *fs, struct key *k, uint64_t id);
void fs_key_pending(struct fs *fs, struct key *k, uint64_t id);

/* --- drafts (draft.c, commit.c); the inode is claimed */

/* The draft, in place when there was none.  The object is a regular file. */
enum vs_err VS_MUST_USE draft_open(struct fs *fs, struct inode *i, struct draft **out);
/* O_TRUNC: an empty next version beside the present one. */
enum vs_err VS_MUST_USE draft_replace(struct fs *fs, struct inode *i, struct vfs_call *c);
/* Bytes of the draft (or of the record o when there is none), clipped by the caller. */
enum vs_err VS_MUST_USE draft_read(struct fs *fs, struct inode *i, const struct object *o,
				   uint64_t off, void *buf, size_t len);
/* Put bytes into the buffer; the size grows, times are set. */
enum vs_err VS_MUST_USE draft_write(struct fs *fs, struct inode *i, struct draft *d,
				    struct vfs_call *c, uint64_t off, const void *buf, size_t len);
/* The size becomes size; nothing is committed but what must be to forget stored bytes. */
enum vs_err VS_MUST_USE draft_resize(struct fs *fs, struct inode *i, struct draft *d,
				     struct vfs_call *c, uint64_t size);
/* Bytes [start, end), whole blocks (UINT64_MAX: to the end), become a hole. */
enum vs_err VS_MUST_USE draft_hole(struct fs *fs, struct inode *i, struct draft *d,
				   struct vfs_call *c, uint64_t start, uint64_t end);
/* Forget draft and stored bytes of it. */
void draft_forget(struct fs *fs, struct inode *i);
/* Adds the removal of what d stored beside the record. */
enum vs_err VS_MUST_USE draft_txn_drop(struct fs *fs, struct txn *t, struct draft *d);
/* Bring fs->dirty_bytes up to date and have the committer know. */
void draft_count(struct fs *fs, struct inode *i);
/* Whether the draft's bytes are all in its buffer or the record's tail: nothing is in extents. */
bool draft_unstored(const struct draft *d, const struct object *o);
/* The content that holds what the draft stored; 0 none. */
static inline uint64_t draft_content(const struct draft *d, const struct object *o)
{
	return d->replace ? d->content : o->content;
}

/* Store everything in the buffer; a version beside the record stays beside it. */
enum vs_err VS_MUST_USE commit_early(struct fs *fs, struct inode *i, struct vfs_call *c);
/* Store one window from the caller's bytes, or from the buffer (buf NULL: it is full there). */
enum vs_err VS_MUST_USE commit_window(struct fs *fs, struct inode *i, struct draft *d,
				      struct vfs_call *c, uint64_t off, const void *buf);
/* The commit: everything becomes current, the pending mark goes, the draft is gone. */
enum vs_err VS_MUST_USE commit_all(struct fs *fs, struct inode *i, struct vfs_call *c);
/* Put extents of chunks that exist, at places of the file where nothing is stored. */
enum vs_err VS_MUST_USE commit_clone(struct fs *fs, struct inode *i, struct draft *d,
				     struct vfs_call *c, const struct object_extent *e,
				     uint32_t count);
/* The first extents that end behind from and start before to: at most max to e. */
enum vs_err VS_MUST_USE commit_extents(struct fs *fs, uint64_t content, uint64_t from, uint64_t to,
				       struct object_extent *e, uint32_t max, uint32_t *count,
				       bool *more);
/* Remove extents behind from (a multiple of OBJECT_BLOCK) in steps. */
enum vs_err VS_MUST_USE commit_cut(struct fs *fs, struct inode *i, struct draft *d,
				   struct vfs_call *c, uint64_t from, uint64_t to);

/* --- names (dir.c) */

/* Take back a pending object that could not be committed, as if it had never been. */
enum vs_err VS_MUST_USE dir_remove_pending(struct fs *fs, uint64_t id);
/* A handle on the claimed inode; the caller's reference becomes the handle's. */
enum vs_err VS_MUST_USE handle_new(struct fs *fs, struct inode *i, uint32_t flags,
				   struct vfs_handle **out);
/*
 * Adds the loss of one name of o; the record goes when it was the last, nobody
 * has it open and it need not be kept until the kernel forgets it.
 */
enum vs_err VS_MUST_USE dir_txn_drop_name(struct fs *fs, struct txn *t, struct inode *i,
					  const struct object_raw *raw, struct object *o,
					  int64_t now, bool keep);
/* After the transaction of dir_txn_drop_name succeeded. */
void dir_name_dropped(struct fs *fs, struct inode *i, const struct object *o, bool keep);
/* Adds delta to the link count of a directory. */
void dir_txn_nlink(struct txn *t, uint64_t dir, int64_t delta);

/* --- the committer (committer.c) */

enum vs_err VS_MUST_USE committer_start(struct fs *fs);
void committer_stop(struct fs *fs);
/* Store early until the dirty bytes are below their limit; no claim is held. */
void committer_relieve(struct fs *fs);
/* Forget the access time that is noted for i; false when there was none. */
bool committer_drop_atime(struct fs *fs, struct inode *i);
/* Write access times when there are many. */
void committer_limit_atimes(struct fs *fs);
/* Commit every dirty inode; all: pending and replaced ones too. */
enum vs_err committer_run(struct fs *fs, bool all);

/* --- words to the kernel (notify.c) */

void notify_inode(struct fs *fs, uint64_t id);
void notify_entry(struct fs *fs, uint64_t dir, struct bytes name);
/* Give them, with fs->lock held, which is let go meanwhile. */
void notify_run(struct fs *fs) REQUIRES(fs->lock);

/* --- attributes (attr.c, xattr.c) */

/* Clear suid, sgid as the mode demands and security.capability; adds to t.  True: o changed. */
bool attr_kill_mode(struct object *o);
enum vs_err VS_MUST_USE attr_kill_priv(struct fs *fs, struct inode *i, struct vfs_call *c);
/* ACL of a new object in a directory: sets o's mode and flags, adds xattrs to t. */
enum vs_err VS_MUST_USE xattr_inherit(struct fs *fs, struct txn *t, uint64_t dir,
				      const struct object *dir_o, uint64_t id, uint32_t umask,
				      struct object *o);
/* chmod: the access ACL follows o->mode. */
enum vs_err VS_MUST_USE xattr_chmod(struct fs *fs, struct txn *t, uint64_t id,
				    const struct object *o);
/* Whether the object has security.capability. */
bool xattr_has_caps(struct fs *fs, uint64_t id, const struct object *o);
enum vs_err VS_MUST_USE xattr_txn_drop_caps(struct fs *fs, struct txn *t, uint64_t id);

#endif
