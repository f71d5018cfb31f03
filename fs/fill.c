/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fill: a small file's content, given to the kernel before its opening is answered.
 *
 * Who opens a small file to read it reads all of it, which is another request, and after each such
 * request the kernel asks for the attributes again when somebody wants them, since the time of access
 * may be another. With the content in its pages (FUSE_NOTIFY_STORE) it asks neither.
 *
 * The kernel locks each page that it fills, and pages are locked while a read that was sent to us is
 * not answered: filling one of those on the thread that receives would wait for itself. So it is done
 * on that thread alone, for a file that nobody else has open: whoever reads holds a handle, which is
 * not released before its reads are answered. Nor can the length be set meanwhile, nor another open
 * be answered: that is the same thread's to do. And it is done once, as long as nobody writes: pages
 * stay over opens (ops-file.c).
 *
 * A command may have changed the content a moment ago, of which the kernel is yet to be told: it has
 * pages of the old one. So only what the node stands for is given (inode.c: identity).
 *
 * What makes a file that is large wait is not done for one that is only opened: FILL_MAX.
 */

#include "fs-private.h"

#include <fcntl.h>

#define FILL_MAX (16u << 10) /* bytes: a first read asks for as many */

/* Is it nobody else's, and FILE what the node stands for? */
static bool claim(PfsTable *table, PfsInode *inode, ProllyFile *file)
{
	g_autoptr(GBytes) stored = prolly_file_dup_stored(file);
	bool is_ours;

	g_mutex_lock(&table->lock);
	is_ours = inode->n_open == 1 && !inode->is_filled && stored &&
		  inode->identity == pfs_stored_identity(stored);
	inode->is_filled |= is_ours;
	g_mutex_unlock(&table->lock);
	return is_ours;
}

static bool is_reading(int flags)
{
	return (flags & (O_ACCMODE | O_TRUNC | O_DIRECT)) == O_RDONLY;
}

void pfs_fill(PfsMount *mount, const PfsHandle *handle, int flags)
{
	struct fuse_bufvec content = FUSE_BUFVEC_INIT(0);
	char buffer[FILL_MAX];
	size_t len = 0;
	uint64_t length;

	if (!is_reading(flags) || g_thread_self() != mount->receiver)
		return;
	length = prolly_file_get_length(handle->file);
	if (length == 0 || length > sizeof buffer ||
	    !claim(&mount->table, handle->inode, handle->file) ||
	    !prolly_file_read(handle->file, 0, buffer, (size_t)length, &len, NULL))
		return;
	content.buf[0].mem = buffer;
	content.buf[0].size = len;
	/* Where it cannot be done, the kernel reads. */
	(void)fuse_lowlevel_notify_store(mount->session, handle->inode->id, 0, &content,
					 FUSE_BUF_NO_SPLICE);
}
