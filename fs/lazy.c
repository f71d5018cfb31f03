/* SPDX-License-Identifier: Apache-2.0 */

/*
 * lazy: handles that have no file before something is read through them.
 *
 * Who opens a small file to read it again finds all of it in the kernel's pages (fill.c): we hear of
 * the opening and of the closing, and nothing between. To look the key up for that, and to make a file
 * of it, was most of our work for both. So such a handle is lazy: it gets its file with the first
 * request that wants one. Nobody may see the difference: what was open stays readable as it was,
 * whatever becomes of its name. Therefore whoever may take a name away, or put another content under
 * it, first has the nodes opened (settle), so that the version layer knows of them:
 * - unlink and rename here, the node whose name they take (ops-name.c);
 * - a command, and who finds that git moved a branch, all of them, before the first change; until the
 *   end no handle becomes lazy.
 *
 * Where a node's key is must not change between asking for it and opening it: so that is done on the
 * receive thread or behind the gate (serve.c).
 *
 * Rejected: to keep the files of the last closings open. It takes a file for each of those that are
 * read in turn, and each command looks at all open files.
 */

#include "fs-private.h"

#include <fcntl.h>

/* Was the kernel given all of INODE, which is what it was then? Under the table's lock. */
static bool is_at_hand(const PfsInode *inode)
{
	return inode->is_filled && !inode->has_lost && inode->names && !inode->file &&
	       inode->seen_moves == g_atomic_int_get(&inode->scope->moves);
}

bool pfs_lazy_open(PfsMount *mount, PfsHandle *handle)
{
	PfsTable *table = &mount->table;

	g_mutex_lock(&table->lock);
	bool may = mount->n_changing == 0 && is_at_hand(handle->inode);
	if (may) {
		handle->inode->n_open++;
		handle->is_open = handle->is_lazy = true;
		g_queue_push_tail_link(&mount->lazy, &handle->lazy);
	}
	g_mutex_unlock(&table->lock);
	return may;
}

/* HANDLE is lazy no longer. Under the table's lock. */
static void end(PfsMount *mount, PfsHandle *handle)
{
	if (handle->is_lazy)
		g_queue_unlink(&mount->lazy, &handle->lazy);
	handle->is_lazy = false;
}

ProllyFile *pfs_lazy_close(PfsMount *mount, PfsHandle *handle)
{
	PfsInode *inode = handle->inode;

	g_mutex_lock(&mount->table.lock);
	end(mount, handle);
	ProllyFile *file = inode->file ? prolly_file_ref(inode->file) : NULL;
	g_mutex_unlock(&mount->table.lock);
	return file;
}

/* Opens the file of HANDLE's node, for all of its handles. */
static bool give_file(PfsMount *mount, PfsHandle *handle, GError **error)
{
	PfsInode *inode = handle->inode;
	ProllyFile *file;

	if (!pfs_file_open(mount, inode, &file, error))
		return false;
	g_mutex_lock(&mount->table.lock);
	pfs_inode_share_file(inode, file);
	end(mount, handle);
	if (!handle->file)
		handle->file = g_steal_pointer(&file);
	g_mutex_unlock(&mount->table.lock);
	prolly_file_unref(file);
	return true;
}

ProllyFile *pfs_handle_get_file(PfsMount *mount, PfsHandle *handle, GError **error)
{
	bool ok = true;

	if (!handle->file && handle->is_open) {
		pfs_gate_enter(mount);
		ok = give_file(mount, handle, error);
		pfs_gate_leave(mount);
	}
	return ok ? handle->file : NULL;
}

void pfs_lazy_settle(PfsMount *mount, PfsInode *inode)
{
	PfsTable *table = &mount->table;
	ProllyFile *file;

	g_mutex_lock(&table->lock);
	bool is_lazy = inode->n_open > 0 && !inode->file;
	g_mutex_unlock(&table->lock);
	/* What cannot be opened (a damaged node) could not be read later either. */
	if (!is_lazy || !pfs_file_open(mount, inode, &file, NULL))
		return;
	g_mutex_lock(&table->lock);
	if (inode->n_open > 0)
		pfs_inode_share_file(inode, file);
	g_mutex_unlock(&table->lock);
	prolly_file_unref(file);
}

/* Settles the node of a lazy handle; false: there is none. */
static bool settle_one(PfsMount *mount)
{
	PfsInode *inode = NULL;

	g_mutex_lock(&mount->table.lock);
	if (mount->lazy.head) {
		PfsHandle *handle = mount->lazy.head->data;

		end(mount, handle);
		inode = handle->inode;
		inode->references++;
	}
	g_mutex_unlock(&mount->table.lock);
	if (inode)
		pfs_lazy_settle(mount, inode);
	pfs_inode_unref(&mount->table, inode);
	return inode != NULL;
}

/* Behind the gate, so that who finds no lazy handle knows that all of them have a file; a turn each, so
 * that others are answered between. */
void pfs_lazy_begin_change(PfsMount *mount)
{
	bool more;

	g_mutex_lock(&mount->table.lock);
	mount->n_changing++;
	g_mutex_unlock(&mount->table.lock);
	do {
		pfs_gate_enter(mount);
		more = settle_one(mount);
		pfs_gate_leave(mount);
	} while (more);
}

void pfs_lazy_end_change(PfsMount *mount)
{
	g_mutex_lock(&mount->table.lock);
	mount->n_changing--;
	g_mutex_unlock(&mount->table.lock);
}
