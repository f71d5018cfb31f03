/* SPDX-License-Identifier: Apache-2.0 */

/*
 * where: the places that nodes stand for.
 *
 * Worked out from a node's names, up to the top of its scope. Directories keep the answer until some
 * directory is renamed.
 */

#include "fs-private.h"

#include <string.h>

void pfs_inode_drop_place(PfsInode *inode)
{
	if (inode->place) {
		pfs_place_clear(inode->place);
		g_clear_pointer(&inode->place, g_free);
	}
}

static void place_copy(const PfsPlace *from, PfsPlace *to)
{
	*to = *from;
	to->bytes = g_byte_array_sized_new(from->bytes->len + PROLLY_NAME_MAX + 1);
	g_byte_array_append(to->bytes, from->bytes->data, from->bytes->len);
}

static void place_init_top(PfsPlace *place)
{
	memset(place, 0, sizeof *place);
	place->dir_kind = PROLLY_KEYDIR_BRANCH;
	place->bytes = g_byte_array_new();
}

/* The place of directory INODE, kept in it; NULL for an orphan, or below one. */
static const PfsPlace *directory_place(PfsTable *table, PfsInode *inode)
{
	if (inode->place && inode->place_renames == table->renames)
		return inode->place;
	pfs_inode_drop_place(inode);
	if (inode->kind == PFS_KIND_TOP) {
		inode->place = g_new(PfsPlace, 1);
		place_init_top(inode->place);
	} else if (inode->kind == PFS_KIND_DIRECTORY && inode->names) {
		const PfsPlace *parent = directory_place(table, inode->names->parent);
		g_auto(PfsMeaning) meaning = {0};

		if (!parent)
			return NULL;
		pfs_place_lookup(parent, inode->names->name, &meaning);
		if (!meaning.directory.bytes)
			return NULL;
		inode->place = g_new(PfsPlace, 1);
		*inode->place = meaning.directory;
		meaning.directory.bytes = NULL;
	}
	inode->place_renames = table->renames;
	return inode->place;
}

bool pfs_name_get_place(PfsTable *table, PfsInode *parent, const char *name, PfsPlace *out_place)
{
	const PfsPlace *dir = directory_place(table, parent);
	g_auto(PfsMeaning) meaning = {0};

	if (dir)
		pfs_place_lookup(dir, name, &meaning);
	if (!meaning.key.bytes)
		return false;
	*out_place = meaning.key;
	meaning.key.bytes = NULL;
	return true;
}

bool pfs_table_get_place(PfsTable *table, PfsInode *inode, PfsPlace *out_place)
{
	bool has = false;

	g_mutex_lock(&table->lock);
	if (inode->kind != PFS_KIND_FILE) {
		const PfsPlace *place = directory_place(table, inode);

		has = place != NULL;
		if (has)
			place_copy(place, out_place);
	} else if (inode->names) {
		has = pfs_name_get_place(table, inode->names->parent, inode->names->name,
					 out_place);
	}
	g_mutex_unlock(&table->lock);
	return has;
}
