/*
 * notify: tells the kernel that what it has cached is not so: a bounded queue,
 * emptied by the committer's thread.
 *
 * Never from a thread that serves a request: the kernel takes the directory's
 * lock to forget a name, and may hold it for an operation that waits for that
 * very thread.  When the queue is full the oldest word is dropped: the kernel
 * then keeps a wrong attribute until its timeout, or finds out by ESTALE.
 */
#include "fs/fs_int.h"

static void push(struct fs *fs, const struct notify_word *w) EXCLUDES(fs->lock)
{
	mutex_lock(&fs->lock);
	if (fs->notify.inode) {
		fs->word[fs->word_next++ % FS_NOTIFY_MAX] = *w;
		if (fs->word_next - fs->word_done > FS_NOTIFY_MAX)
			fs->word_done = fs->word_next - FS_NOTIFY_MAX;
		cond_broadcast(&fs->wake);
	}
	mutex_unlock(&fs->lock);
}

void notify_inode(struct fs *fs, uint64_t id)
{
	struct notify_word w = {.id = id};

	push(fs, &w);
}

void notify_entry(struct fs *fs, uint64_t dir, struct bytes name)
{
	struct notify_word w = {.dir = dir, .name_len = (uint16_t)name.len};

	vs_assert(name.len <= sizeof w.name);
	memcpy(w.name, name.p, name.len);
	push(fs, &w);
}

void notify_run(struct fs *fs)
{
	while (fs->word_done != fs->word_next && fs->notify.inode) {
		struct notify_word w = fs->word[fs->word_done++ % FS_NOTIFY_MAX];
		struct vfs_notify to = fs->notify;

		fs->notifying = true;
		mutex_unlock(&fs->lock);
		if (w.dir)
			to.entry(to.arg, w.dir, bytes_of(w.name, w.name_len));
		else
			to.inode(to.arg, w.id);
		mutex_lock(&fs->lock);
		fs->notifying = false;
		cond_broadcast(&fs->wake);
	}
}

void vfs_set_notify(struct fs *fs, const struct vfs_notify *n)
{
	mutex_lock(&fs->lock);
	while (fs->notifying)
		cond_wait(&fs->wake, &fs->lock);
	fs->notify = n ? *n : (struct vfs_notify){NULL, NULL, NULL};
	fs->word_done = fs->word_next;
	mutex_unlock(&fs->lock);
}
