/* SPDX-License-Identifier: Apache-2.0 */

/*
 * where: the places that nodes stand for.
 *
 * Worked out from a node's names, up to the top of its scope. Directories keep the answer until some
 * directory is renamed.
 *
 * Hard links have several, and of those that the kernel knows, one may have been replaced behind it
 * since, and others than it knows may be left. All of them are one object; so a node of a link group is
 * where the version layer has any of its members. (Asked without the table's lock, as it reads.)
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

/* Where link group GROUP of SCOPE is. False: nowhere, or that cannot be told. */
static bool get_linked_place(const PfsScope *scope, uint64_t group, PfsPlace *out_place,
			     bool *out_told)
{
	g_autofree char *ns = NULL;
	g_autoptr(GBytes) key = NULL;

	*out_told = prolly_view_find_linked(scope->view, group, &ns, &key, NULL);
	if (!*out_told || !ns)
		return false;
	memset(out_place, 0, sizeof *out_place);
	g_strlcpy(out_place->ns, ns, sizeof out_place->ns);
	out_place->dir_kind = PROLLY_KEYDIR_KEYS;
	out_place->bytes = g_byte_array_new();
	g_byte_array_append(out_place->bytes, g_bytes_get_data(key, NULL),
			    (guint)g_bytes_get_size(key));
	return true;
}

static uint64_t get_group(PfsTable *table, const PfsInode *inode)
{
	g_mutex_lock(&table->lock);
	uint64_t group = inode->scope && inode->scope->branch ? inode->group : 0;
	g_mutex_unlock(&table->lock);
	return group;
}

bool pfs_table_get_place(PfsTable *table, PfsInode *inode, PfsPlace *out_place)
{
	uint64_t group = get_group(table, inode);
	bool is_told = false;
	bool has = false;

	if (group)
		has = get_linked_place(inode->scope, group, out_place, &is_told);
	if (is_told)
		return has;
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
