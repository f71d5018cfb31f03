/* SPDX-License-Identifier: Apache-2.0 */

/*
 * orphan: files that lost their last name and may be opened yet.
 *
 * A file may be replaced after it was found, before it is opened. The kernel looks up again what is
 * ESTALE, but once: who replaces in a loop wins, and who opens in one sees an error now and then that
 * no other filesystem gives. So what loses its last name keeps its file, open, until the kernel
 * forgets the node, which is mostly at once. Who holds the node by other means (O_PATH, a watch) may
 * keep it for long: so they are KEPT_MAX at most, and none with much of its own in memory. The others
 * are ESTALE.
 *
 * What was removed through the kernel and is not open keeps attributes of its own. What was replaced
 * behind the kernel does not, since the kernel may hold the node for a name that is there: it is
 * ESTALE, so that the kernel looks that up.
 */

#include "fs-private.h"

#define KEPT_MAX     1000       /* of all nodes */
#define WRITTEN_KEPT (1u << 20) /* bytes of one that was written, or lies over a value */

/* Much that was written, or lies over a value, takes memory, and time to be given up. */
static bool is_light(const PfsInode *inode)
{
	return inode->identity || inode->size <= WRITTEN_KEPT;
}

bool pfs_table_may_keep(PfsTable *table, const PfsInode *inode)
{
	g_mutex_lock(&table->lock);
	bool may = inode->kind == PFS_KIND_FILE && !inode->group && is_light(inode) &&
		   table->n_kept < KEPT_MAX;
	g_mutex_unlock(&table->lock);
	return may;
}

bool pfs_orphan_check(PfsTable *table, const PfsInode *inode, GError **error)
{
	g_mutex_lock(&table->lock);
	/* Names without a place: all were replaced, and none was looked up since. */
	bool is_stale = inode->kind == PFS_KIND_FILE &&
			(inode->is_replaced || (inode->group && inode->names));
	g_mutex_unlock(&table->lock);
	return !is_stale || prolly_throw_errno(error, ESTALE, "what was replaced");
}

/* True, and INODE counts, unless there are enough. */
static bool count_kept(PfsTable *table, PfsInode *inode)
{
	if (!inode->is_kept && table->n_kept < KEPT_MAX) {
		inode->is_kept = true;
		table->n_kept++;
	}
	return inode->is_kept;
}

void pfs_table_keep(PfsTable *table, PfsInode *inode, ProllyFile *file)
{
	g_mutex_lock(&table->lock);
	if (inode->is_orphan && !inode->file && count_kept(table, inode))
		inode->file = g_steal_pointer(&file);
	g_mutex_unlock(&table->lock);
	prolly_file_unref(file);
}

bool pfs_orphan_stays_kept(PfsTable *table, PfsInode *inode)
{
	if (!inode->is_orphan || !inode->file)
		return false;
	inode->size = (off_t)prolly_file_get_length(inode->file);
	return is_light(inode) && count_kept(table, inode);
}
