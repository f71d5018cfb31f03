/* SPDX-License-Identifier: Apache-2.0 */

/*
 * inode: the nodes that the kernel knows of.
 *
 * A node is what the kernel calls an inode: a 64-bit id, handed out once and never again, and a
 * count of the look-ups the kernel holds. Its identity is its names, each (parent node, component),
 * so that renaming a directory moves one name however many keys are below. Where a node's keys are
 * is worked out from the names up to the top of its scope; directories keep the answer until some
 * directory is renamed. No file descriptor and no path is held for a node.
 *
 * A node normally has one name. It has more if its key has hard links: nodes are found by (scope,
 * link group) too, so that all names of a content are one inode to the kernel, with one page cache.
 *
 * When may a name met again keep its node? The kernel has cached pages, length and attributes under
 * the node's id, for a day; content that changed behind the kernel must get a new id, and an open
 * file keeps the old one and what it read. `identity` is a digest of the content the kernel was
 * told of; a write through the kernel forgets it, since pages then follow the writes, until the
 * file is closed and stands for what it holds then (but for bytes that lie over a value):
 *   - known: the node stays if the content found has the same identity;
 *   - unknown and open: it stays unless the file became an orphan, which the version layer knows;
 *   - unknown, not open, and the scope was not changed behind the kernel since (seen_moves): it
 *     stays and adopts the identity found;
 *   - else it is replaced. So is a node with an adopted identity after the scope was changed: the
 *     content found may have been the new one already, a moment before the change was announced.
 * Before that, a name must still be one of the node's object: of several hard links one may have been
 * replaced behind the kernel, with the same content or unseen under what is written. It goes to another
 * node, whatever its content; the node keeps the names that are left.
 *
 * Invariants:
 * I1  by_id has every node with look-ups or references; when both are 0 the node is freed.
 * I2  by_name has every name; its parent is referenced by it, its node is not (the kernel's look-ups
 *     hold that); a node that is freed takes its names out.
 * I3  A directory has one name at most. The top of a scope is scope->top while it lives.
 * I4  An orphan has no name, is in no index but by_id, and never gets a name again.
 *
 * The table's lock is a leaf but for a file's own (version-private.h). What freeing a node's file does
 * is done after unlocking: unlock_and_leave, pfs_table_close, pfs_handle_free, pfs_table_clear.
 *
 * The kernel decides what it keeps, and forgets under memory pressure of its own. So that the table
 * stays bounded, above NODES_MAX files are answered with a timeout of 0, which makes the kernel drop
 * a name, and forget its node, as soon as nobody uses it; and now and then it is told to drop some of
 * the oldest, so that what is cached turns over. (Telling it to drop one for each new one makes every
 * look-up wait for the directory's lock: find(1) in a large directory took six times as long.)
 *
 * Rejected: nodes by key instead of by name (a directory's rename would touch every node below it);
 * a descriptor or path per node (a limit of 20,000 files, and memory).
 */

#include "fs-private.h"

#include <string.h>

#define NODES_MAX 400000 /* about 150 MB */
#define SHED_STEP 1024   /* new nodes for each time that some are shed */

/* ---- Hashing ----------------------------------------------------------------------------- */

static guint hash_name(const PfsInode *parent, const char *name)
{
	uint64_t hash = parent->id * 0x9e3779b97f4a7c15u;

	for (const char *p = name; *p; p++)
		hash = (hash ^ (uint8_t)*p) * 0x100000001b3u;
	return (guint)(hash ^ hash >> 32);
}

static guint name_hash(gconstpointer p)
{
	return ((const PfsName *)p)->hash;
}

static gboolean name_equal(gconstpointer p, gconstpointer q)
{
	const PfsName *a = p, *b = q;

	return a->hash == b->hash && a->parent == b->parent && !strcmp(a->name, b->name);
}

static guint id_hash(gconstpointer p)
{
	return (guint)(((const PfsInode *)p)->id);
}

static gboolean id_equal(gconstpointer p, gconstpointer q)
{
	return ((const PfsInode *)p)->id == ((const PfsInode *)q)->id;
}

static guint group_hash(gconstpointer p)
{
	const PfsInode *inode = p;

	return (guint)inode->group ^ g_direct_hash(inode->scope);
}

static gboolean group_equal(gconstpointer p, gconstpointer q)
{
	const PfsInode *a = p, *b = q;

	return a->group == b->group && a->scope == b->scope;
}

/* ---- Names ------------------------------------------------------------------------------- */

static PfsName *name_new(PfsInode *parent, const char *name)
{
	size_t len = strlen(name);
	PfsName *self = g_malloc(sizeof *self + len + 1);

	self->parent = parent;
	self->inode = NULL;
	self->next = NULL;
	self->hash = hash_name(parent, name);
	memcpy(self->name, name, len + 1);
	return self;
}

static PfsName *find_name(PfsTable *table, PfsInode *parent, const char *name)
{
	/* A name to compare with; long ones are rare, so it is on the heap only for them. */
	union {
		PfsName name;
		char space[sizeof(PfsName) + PROLLY_NAME_MAX + 1];
	} probe = {.name = {.parent = parent, .hash = hash_name(parent, name)}};

	if (strlen(name) > PROLLY_NAME_MAX)
		return NULL;
	memcpy(probe.space + offsetof(PfsName, name), name, strlen(name) + 1);
	return g_hash_table_lookup(table->by_name, &probe.name);
}

static void inode_release(PfsTable *table, PfsInode *inode);

static void add_name(PfsTable *table, PfsInode *inode, PfsInode *parent, const char *name)
{
	PfsName *self = name_new(parent, name);

	self->inode = inode;
	self->next = inode->names;
	inode->names = self;
	parent->references++;
	g_hash_table_add(table->by_name, self);
}

/* Takes NAME out of the index and out of its node's list, and frees it. */
static void remove_name(PfsTable *table, PfsName *name)
{
	PfsInode *parent = name->parent;
	PfsName **link = &name->inode->names;

	while (*link != name)
		link = &(*link)->next;
	*link = name->next;
	g_hash_table_remove(table->by_name, name);
	g_free(name);
	parent->references--;
	inode_release(table, parent);
}

static void set_group(PfsTable *table, PfsInode *inode, uint64_t group)
{
	if (inode->group == group)
		return;
	if (inode->group && g_hash_table_lookup(table->by_group, inode) == inode)
		g_hash_table_remove(table->by_group, inode);
	inode->group = group;
	if (group && !g_hash_table_contains(table->by_group, inode))
		g_hash_table_add(table->by_group, inode);
}

/* ---- Nodes ------------------------------------------------------------------------------- */

bool pfs_inode_is_directory(const PfsInode *inode)
{
	switch (inode->kind) {
	case PFS_KIND_FILE:
	case PFS_KIND_AT_LINK:
	case PFS_KIND_TEXT:
	case PFS_KIND_CONTROL:
		return false;
	default:
		return true;
	}
}

static PfsInode *inode_new(PfsTable *table, const PfsFound *found)
{
	PfsInode *inode = g_new0(PfsInode, 1);

	inode->id = table->next_id++;
	inode->kind = found->kind;
	inode->scope = found->scope;
	if (inode->scope)
		inode->scope->references++;
	inode->path = g_strdup(found->path);
	inode->verb = found->verb;
	inode->aged.data = inode;
	if (inode->kind == PFS_KIND_TOP)
		inode->scope->top = inode;
	g_hash_table_add(table->by_id, inode);
	if (inode->id != FUSE_ROOT_ID)
		g_queue_push_tail_link(&table->aged, &inode->aged);
	return inode;
}

static void inode_free(PfsTable *table, PfsInode *inode)
{
	while (inode->names)
		remove_name(table, inode->names);
	set_group(table, inode, 0);
	if (inode->scope && inode->scope->top == inode)
		inode->scope->top = NULL;
	g_hash_table_remove(table->by_id, inode);
	if (inode->id != FUSE_ROOT_ID)
		g_queue_unlink(&table->aged, &inode->aged);
	pfs_inode_drop_place(inode);
	pfs_scope_unref_locked(table, inode->scope);
	if (inode->file)
		g_ptr_array_add(table->left, inode->file);
	table->n_kept -= inode->is_kept;
	g_free(inode->own);
	g_clear_pointer(&inode->own_xattrs, g_bytes_unref);
	g_free(inode->path);
	g_free(inode);
}

/* Frees INODE if nobody holds it (I1). */
static void inode_release(PfsTable *table, PfsInode *inode)
{
	if (!inode->lookups && !inode->references && inode->id != FUSE_ROOT_ID)
		inode_free(table, inode);
}

static GPtrArray *new_left(void)
{
	return g_ptr_array_new_with_free_func((GDestroyNotify)prolly_file_unref);
}

/* Unlocks TABLE, and gives up the files of nodes that were freed. */
static void unlock_and_leave(PfsTable *table)
{
	GPtrArray *left = table->left->len ? g_steal_pointer(&table->left) : NULL;

	if (left)
		table->left = new_left();
	g_mutex_unlock(&table->lock);
	g_clear_pointer(&left, g_ptr_array_unref);
}

PfsInode *pfs_inode_ref(PfsTable *table, PfsInode *inode)
{
	g_mutex_lock(&table->lock);
	inode->references++;
	g_mutex_unlock(&table->lock);
	return inode;
}

void pfs_inode_unref(PfsTable *table, PfsInode *inode)
{
	if (!inode)
		return;
	g_mutex_lock(&table->lock);
	inode->references--;
	inode_release(table, inode);
	unlock_and_leave(table);
}

static void orphan_locked(PfsTable *table, PfsInode *inode)
{
	inode->references++; /* its names may be the last that hold its parents, never itself */
	while (inode->names)
		remove_name(table, inode->names);
	set_group(table, inode, 0);
	inode->is_orphan = true;
	pfs_inode_drop_place(inode);
	if (inode->references > 1) /* what is below it may have its place cached */
		table->renames++;
	if (inode->scope && inode->scope->top == inode)
		inode->scope->top = NULL;
	inode->references--;
	inode_release(table, inode);
}

/* Takes NAME away; what it named is an orphan if that was its last. Hard links that the kernel
 * never looked up may be left: those find the node by its group. */
static void unlink_locked(PfsTable *table, PfsName *name)
{
	PfsInode *inode = name->inode;

	if (!name->next && inode->names == name && !inode->group)
		orphan_locked(table, inode);
	else
		remove_name(table, name);
}

/* ---- Lifecycle --------------------------------------------------------------------------- */

void pfs_table_init(PfsTable *table)
{
	memset(table, 0, sizeof *table);
	g_mutex_init(&table->lock);
	table->by_id = g_hash_table_new(id_hash, id_equal);
	table->by_name = g_hash_table_new(name_hash, name_equal);
	table->by_group = g_hash_table_new(group_hash, group_equal);
	table->scopes = g_hash_table_new(g_str_hash, g_str_equal);
	table->numbers = g_hash_table_new(NULL, NULL);
	g_queue_init(&table->aged);
	table->left = new_left();
	table->next_id = FUSE_ROOT_ID;
}

static void release_everything(PfsTable *table)
{
	GHashTableIter iter;
	gpointer key;
	g_autoptr(GPtrArray) all = g_ptr_array_new();

	g_hash_table_iter_init(&iter, table->by_id);
	while (g_hash_table_iter_next(&iter, &key, NULL))
		g_ptr_array_add(all, key);
	for (guint i = 0; i < all->len; i++) /* no node goes before its turn */
		((PfsInode *)all->pdata[i])->references++;
	for (guint i = 0; i < all->len; i++) {
		PfsInode *inode = all->pdata[i];

		while (inode->names)
			remove_name(table, inode->names);
		g_clear_pointer(&inode->file, prolly_file_unref);
	}
	for (guint i = 0; i < all->len; i++)
		inode_free(table, all->pdata[i]);
}

void pfs_table_clear(PfsTable *table)
{
	release_everything(table);
	g_ptr_array_unref(table->left);
	g_hash_table_unref(table->by_id);
	g_hash_table_unref(table->by_name);
	g_hash_table_unref(table->by_group);
	g_hash_table_unref(table->scopes);
	g_hash_table_unref(table->numbers);
	g_mutex_clear(&table->lock);
}

PfsInode *pfs_table_add_root(PfsTable *table, PfsKind kind, PfsScope *scope)
{
	const PfsFound found = {.kind = kind, .scope = scope};
	PfsInode *root = inode_new(table, &found);

	g_assert(root->id == FUSE_ROOT_ID);
	root->lookups = 1;
	return root;
}

/* ---- Finding ----------------------------------------------------------------------------- */

PfsInode *pfs_table_find(PfsTable *table, fuse_ino_t id)
{
	const PfsInode probe = {.id = id};

	g_mutex_lock(&table->lock);
	PfsInode *inode = g_hash_table_lookup(table->by_id, &probe);
	g_mutex_unlock(&table->lock);
	return inode;
}

PfsInode *pfs_table_find_name(PfsTable *table, PfsInode *parent, const char *name)
{
	g_mutex_lock(&table->lock);
	PfsName *found = find_name(table, parent, name);
	PfsInode *inode = found ? found->inode : NULL;
	if (inode)
		inode->references++;
	g_mutex_unlock(&table->lock);
	return inode;
}

/* The rule of the head: may INODE stand for what was found? */
static bool may_keep(const PfsInode *inode, const PfsFound *found)
{
	bool has_moved = inode->seen_moves != found->moves;

	if (inode->kind != found->kind || inode->scope != found->scope)
		return false;
	if (inode->kind != PFS_KIND_FILE)
		return true;
	if ((inode->value_kind == PROLLY_KIND_FILE ||
	     inode->value_kind == PROLLY_KIND_EXECUTABLE) !=
	    (found->value_kind == PROLLY_KIND_FILE || found->value_kind == PROLLY_KIND_EXECUTABLE))
		return false;
	if (inode->file && prolly_file_is_orphan(inode->file))
		return false;
	if (!inode->identity)
		return inode->file || !has_moved;
	if (inode->is_adopted && has_moved && !inode->file)
		return false;
	return inode->identity == found->identity;
}

/* May what INODE has open be written as the key that NAME in PARENT is? */
static bool has_file_name(PfsTable *table, PfsInode *inode, PfsInode *parent, const char *name)
{
	g_auto(PfsPlace) where = {0};
	ProllyPlace place;

	if (!inode->file || !inode->scope->branch || prolly_file_is_orphan(inode->file))
		return true; /* may_keep says whether it stays */
	if (!pfs_name_get_place(table, parent, name, &where))
		return false;
	place = pfs_place_get(&where);
	return prolly_file_has_name(inode->file, &place);
}

/* Is THERE still a name of its node's object? A key may have left its group behind the kernel, while
 * other names are what they were. */
static bool is_still_name(PfsTable *table, const PfsName *there, const PfsFound *found)
{
	PfsInode *inode = there->inode;

	if (inode->kind != PFS_KIND_FILE)
		return true;
	if ((inode->group || inode->names->next) && inode->group != found->group)
		return false;
	return has_file_name(table, inode, there->parent, there->name);
}

static void note_found(PfsTable *table, PfsInode *inode, const PfsFound *found, bool is_new)
{
	if (inode->kind == PFS_KIND_FILE) {
		if (!inode->identity && !inode->file) {
			inode->identity = found->identity;
			inode->is_adopted = !is_new;
		}
		inode->value_kind = found->value_kind;
		set_group(table, inode, found->group);
	}
	inode->seen_moves = found->moves;
	inode->ino = found->attr.st_ino;
	inode->mode = found->attr.st_mode;
	inode->uid = found->attr.st_uid;
	inode->gid = found->attr.st_gid;
	inode->size = found->attr.st_size;
}

/* The node that what was found has already under another name, or NULL. */
static PfsInode *find_elsewhere(PfsTable *table, PfsInode *parent, const char *name,
				const PfsFound *found)
{
	const PfsInode probe = {.scope = found->scope, .group = found->group};
	PfsInode *other;

	if (found->kind == PFS_KIND_TOP)
		return found->scope->top;
	if (!found->group)
		return NULL;
	other = g_hash_table_lookup(table->by_group, &probe);
	if (other && !has_file_name(table, other, parent, name))
		return NULL;
	if (other && !may_keep(other, found)) {
		other->is_replaced = true;
		orphan_locked(table, other);
		return NULL;
	}
	return other;
}

static PfsInode *enter_locked(PfsTable *table, PfsInode *parent, const char *name,
			      const PfsFound *found)
{
	PfsName *there = find_name(table, parent, name);
	PfsInode *inode = there ? there->inode : NULL;
	bool is_new = false;

	if (inode && !is_still_name(table, there, found)) {
		inode->is_replaced = inode->names == there && !there->next;
		unlink_locked(table, there);
		inode = NULL;
	} else if (inode && !may_keep(inode, found)) {
		inode->is_replaced = true;
		orphan_locked(table, inode);
		inode = NULL;
	}
	if (!inode) {
		inode = find_elsewhere(table, parent, name, found);
		if (inode && inode->kind == PFS_KIND_TOP) {
			/* A branch under a new name: directories have one (I3). */
			if (inode->names)
				remove_name(table, inode->names);
			table->renames++;
		}
		if (!inode) {
			inode = inode_new(table, found);
			is_new = true;
		}
		if (inode->id != FUSE_ROOT_ID)
			add_name(table, inode, parent, name);
	}
	note_found(table, inode, found, is_new);
	inode->lookups++;
	return inode;
}

PfsInode *pfs_table_enter(PfsTable *table, PfsInode *parent, const char *name,
			  const PfsFound *found)
{
	g_mutex_lock(&table->lock);
	PfsInode *inode = enter_locked(table, parent, name, found);
	g_mutex_unlock(&table->lock);
	return inode;
}

PfsInode *pfs_table_enter_fresh(PfsTable *table, PfsInode *parent, const char *name,
				const PfsFound *found)
{
	g_mutex_lock(&table->lock);
	PfsName *there = find_name(table, parent, name);
	if (there)
		orphan_locked(table, there->inode);
	PfsInode *inode = enter_locked(table, parent, name, found);
	g_mutex_unlock(&table->lock);
	return inode;
}

void pfs_table_forget(PfsTable *table, fuse_ino_t id, uint64_t n)
{
	const PfsInode probe = {.id = id};

	g_mutex_lock(&table->lock);
	PfsInode *inode = g_hash_table_lookup(table->by_id, &probe);
	if (inode) {
		inode->lookups -= MIN(n, inode->lookups);
		inode_release(table, inode);
	}
	unlock_and_leave(table);
}

/* ---- Changing names ---------------------------------------------------------------------- */

void pfs_table_unlink(PfsTable *table, PfsInode *parent, const char *name)
{
	g_mutex_lock(&table->lock);
	PfsName *there = find_name(table, parent, name);
	if (there) {
		there->inode->is_replaced = false;
		unlink_locked(table, there);
	}
	g_mutex_unlock(&table->lock);
}

void pfs_table_orphan(PfsTable *table, PfsInode *inode)
{
	g_mutex_lock(&table->lock);
	orphan_locked(table, inode);
	g_mutex_unlock(&table->lock);
}

void pfs_table_link(PfsTable *table, PfsInode *inode, PfsInode *parent, const char *name,
		    uint64_t group)
{
	g_mutex_lock(&table->lock);
	PfsName *there = find_name(table, parent, name);
	if (there)
		unlink_locked(table, there);
	add_name(table, inode, parent, name);
	set_group(table, inode, group);
	g_mutex_unlock(&table->lock);
}

/* Gives the node of FROM the name NAME in PARENT instead. */
static void move_name(PfsTable *table, PfsName *from, PfsInode *parent, const char *name)
{
	PfsInode *inode = from->inode;

	inode->references++;
	remove_name(table, from);
	add_name(table, inode, parent, name);
	inode->references--;
	if (!pfs_inode_is_directory(inode))
		return;
	table->renames++;
	inode->names_changes++; /* ".." */
}

void pfs_table_rename(PfsTable *table, PfsInode *from, const char *from_name, PfsInode *to,
		      const char *to_name)
{
	g_mutex_lock(&table->lock);
	PfsName *moved = find_name(table, from, from_name);
	PfsName *victim = find_name(table, to, to_name);
	if (victim && victim != moved) {
		victim->inode->is_replaced = false;
		unlink_locked(table, victim);
	}
	if (moved && victim != moved)
		move_name(table, moved, to, to_name);
	g_mutex_unlock(&table->lock);
}

void pfs_table_exchange(PfsTable *table, PfsInode *a, const char *a_name, PfsInode *b,
			const char *b_name)
{
	g_mutex_lock(&table->lock);
	PfsName *first = find_name(table, a, a_name);
	PfsName *second = find_name(table, b, b_name);
	if (first && second && first != second) {
		/* Out of the index under a name that nothing can have, so that the two never clash.
		 */
		move_name(table, first, a, "/");
		move_name(table, second, a, a_name);
		move_name(table, find_name(table, a, "/"), b, b_name);
	}
	g_mutex_unlock(&table->lock);
}

/* ---- What is known of a node ------------------------------------------------------------- */

ProllyFile *pfs_table_dup_file(PfsTable *table, PfsInode *inode)
{
	g_mutex_lock(&table->lock);
	ProllyFile *file = inode->file ? prolly_file_ref(inode->file) : NULL;
	g_mutex_unlock(&table->lock);
	return file;
}

void pfs_inode_share_file(PfsInode *inode, ProllyFile *file)
{
	if (!inode->file)
		inode->file = prolly_file_ref(file);
}

void pfs_table_touch(PfsTable *table, PfsInode *inode)
{
	g_mutex_lock(&table->lock);
	inode->identity = 0;
	inode->is_adopted = false;
	inode->is_filled = false;
	g_mutex_unlock(&table->lock);
}

void pfs_table_touch_names(PfsTable *table, PfsInode *dir)
{
	g_mutex_lock(&table->lock);
	for (; dir; dir = dir->names ? dir->names->parent : NULL)
		dir->names_changes++;
	g_mutex_unlock(&table->lock);
}

void pfs_table_told(PfsTable *table, PfsInode *inode, const struct stat *attr)
{
	g_mutex_lock(&table->lock);
	inode->mode = attr->st_mode;
	inode->uid = attr->st_uid;
	inode->gid = attr->st_gid;
	inode->size = attr->st_size;
	g_mutex_unlock(&table->lock);
}

/* Whoever wrote is done: what the kernel has cached is what FILE holds. */
static void note_closed(PfsInode *inode, ProllyFile *file)
{
	GBytes *stored;

	inode->size = (off_t)prolly_file_get_length(file);
	if (inode->identity)
		return;
	stored = prolly_file_dup_stored(file);
	if (stored)
		inode->identity = pfs_stored_identity(stored);
	g_clear_pointer(&stored, g_bytes_unref);
}

bool pfs_table_close(PfsTable *table, PfsInode *inode, bool is_executed, bool is_staged)
{
	ProllyFile *file = NULL;
	bool is_lost;

	g_mutex_lock(&table->lock);
	inode->n_executing -= is_executed;
	if (--inode->n_open == 0 && !pfs_orphan_stays_kept(table, inode))
		file = g_steal_pointer(&inode->file);
	is_lost = file && !is_staged;
	if (file && is_staged)
		note_closed(inode, file);
	inode->has_lost |= is_lost;
	g_mutex_unlock(&table->lock);
	prolly_file_unref(file);
	return !is_lost;
}

void pfs_table_foreach(PfsTable *table, PfsScope *scope, PfsInodeFunc func, void *data)
{
	GHashTableIter iter;
	gpointer key;

	g_mutex_lock(&table->lock);
	g_hash_table_iter_init(&iter, table->by_id);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		PfsInode *inode = key;

		if (inode->scope == scope)
			func(inode, data);
	}
	g_mutex_unlock(&table->lock);
}

static void named_clear(gpointer p)
{
	g_free(((PfsNamed *)p)->name);
}

bool pfs_table_is_full(PfsTable *table)
{
	g_mutex_lock(&table->lock);
	bool is_full = g_hash_table_size(table->by_id) > NODES_MAX;
	g_mutex_unlock(&table->lock);
	return is_full;
}

bool pfs_table_begin_shedding(PfsTable *table)
{
	g_mutex_lock(&table->lock);
	bool is_due = table->next_id - table->shed_id >= SHED_STEP;
	if (is_due)
		table->shed_id = table->next_id;
	g_mutex_unlock(&table->lock);
	return is_due;
}

GArray *pfs_table_list_aged(PfsTable *table, unsigned n)
{
	GArray *list = g_array_new(FALSE, FALSE, sizeof(PfsNamed));

	g_array_set_clear_func(list, named_clear);
	g_mutex_lock(&table->lock);
	for (unsigned i = 0; i < n && table->aged.head; i++) {
		GList *link = table->aged.head;
		PfsInode *inode = link->data;

		if (inode->names && !inode->n_open && !pfs_inode_is_directory(inode)) {
			const PfsNamed named = {inode->names->parent->id,
						g_strdup(inode->names->name)};
			g_array_append_val(list, named);
		}
		/* Whoever is kept has its turn again when all others had theirs. */
		g_queue_unlink(&table->aged, link);
		g_queue_push_tail_link(&table->aged, link);
	}
	g_mutex_unlock(&table->lock);
	return list;
}
