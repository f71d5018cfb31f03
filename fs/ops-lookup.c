/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ops-lookup: names -> nodes, and forgetting them.
 *
 * What a name means depends on the kind of directory it is looked up in: branches (ops-branch.c),
 * .prollyfs (ops-prollyfs.c), or keys, here. In a directory of keys a name may be a key, a
 * directory of other keys, or both, and then the directory has the name and the key is
 * NAME%prolly-key (keypath.h).
 *
 * What is answered is cached by the kernel for a day (PFS_TIMEOUT), absence too; invalidate.c takes
 * it back when it changes behind the kernel. Not cached: revisions, which move; texts; levels of
 * branch names, which come and go with the branches below; and control files, every look-up of
 * which is a new node, so that no command waits for another's inode lock in the kernel.
 */

#include "fs-private.h"

#include <string.h>

#define LONG_KEYS_NAME "%prolly-more" /* keypath.h */

/* ---- What was found ---------------------------------------------------------------------- */

void pfs_found_clear(PfsTable *table, PfsFound *found)
{
	pfs_scope_unref(table, found->held);
	g_free(found->path);
	memset(found, 0, sizeof *found);
}

bool pfs_kind_is_virtual(PfsKind kind)
{
	return kind != PFS_KIND_TOP && kind != PFS_KIND_DIRECTORY && kind != PFS_KIND_FILE;
}

void pfs_found_entry(const PfsMount *mount, PfsScope *scope, const ProllyEntry *entry,
		     PfsFound *out_found)
{
	out_found->kind = PFS_KIND_FILE;
	out_found->scope = scope;
	out_found->value_kind = entry->kind;
	out_found->identity = pfs_entry_identity(entry);
	out_found->group = entry->attrs.group;
	pfs_stat_entry(mount, scope, entry, &out_found->attr);
}

void pfs_found_directory(const PfsMount *mount, PfsScope *scope, const ProllyAttrs *attrs,
			 PfsFound *out_found)
{
	out_found->kind = PFS_KIND_DIRECTORY;
	out_found->scope = scope;
	pfs_stat_directory(mount, scope, attrs, &out_found->attr);
}

void pfs_found_named_directory(const PfsMount *mount, PfsInode *dir, const char *name,
			       const ProllyAttrs *attrs, PfsFound *out_found)
{
	pfs_found_directory(mount, dir->scope, attrs, out_found);
	/* The directory of all long keys has no prefix, and so the branch's own number. */
	if (dir->kind == PFS_KIND_TOP && !strcmp(name, LONG_KEYS_NAME))
		out_found->attr.st_ino =
			pfs_ino(dir->scope, pfs_virtual_ino(out_found->attr.st_ino, name));
}

/* ---- Keys -------------------------------------------------------------------------------- */

static bool find_directory(PfsMount *mount, PfsScope *scope, const PfsPlace *where,
			   PfsFound *out_found, bool *out_exists, GError **error)
{
	g_auto(ProllyAttrs) attrs = {0};
	ProllyPlace place;

	*out_exists = false;
	if (!where->bytes)
		return true;
	place = pfs_place_get(where);
	if (!prolly_view_get_directory(scope->view, &place, &attrs, out_exists, NULL, error))
		return false;
	if (*out_exists)
		pfs_found_directory(mount, scope, &attrs, out_found);
	return true;
}

/* A level of long components: there if a key is in it, which other keys with its prefix are not. */
static bool find_level(PfsMount *mount, PfsInode *dir, const char *name, const PfsPlace *where,
		       PfsFound *out_found, bool *out_exists, GError **error)
{
	const ProllyKeyDir keydir = pfs_place_get_dir(where);
	const ProllyPlace place = pfs_place_get(where);
	g_autoptr(ProllyDirectory) level = NULL;
	g_auto(ProllyAttrs) attrs = {0};
	ProllyDirent first;
	bool end;

	if (!prolly_directory_open_kind(dir->scope->view, where->ns, &keydir, false, &level,
					error) ||
	    !prolly_directory_next(level, &first, &end, error) ||
	    !prolly_view_get_directory(dir->scope->view, &place, &attrs, out_exists, NULL, error))
		return false;
	*out_exists = !end;
	pfs_found_named_directory(mount, dir, name, &attrs, out_found);
	return true;
}

static bool find_key(PfsMount *mount, PfsScope *scope, const PfsPlace *where, PfsFound *out_found,
		     bool *out_exists, GError **error)
{
	g_auto(ProllyEntry) entry = {0};
	ProllyPlace place;

	*out_exists = false;
	if (!where->bytes)
		return true;
	place = pfs_place_get(where);
	if (!prolly_view_get(scope->view, &place, true, &entry, out_exists, error))
		return false;
	if (*out_exists)
		pfs_found_entry(mount, scope, &entry, out_found);
	return true;
}

/* NAME%prolly-key is there if both the key and the directory NAME are. */
static bool has_rival_directory(PfsMount *mount, PfsInode *dir, const PfsPlace *dir_place,
				const char *name, bool *out_has, GError **error)
{
	g_autofree char *plain = NULL;
	g_auto(PfsMeaning) meaning = {0};
	PfsFound ignored;

	*out_has = false;
	plain = g_strndup(name, strlen(name) - strlen("%prolly-key"));
	pfs_place_lookup(dir_place, plain, &meaning);
	return find_directory(mount, dir->scope, &meaning.directory, &ignored, out_has, error);
}

bool pfs_keys_find(PfsMount *mount, PfsInode *dir, const char *name, PfsFound *out_found,
		   bool *out_found_it, GError **error)
{
	g_auto(PfsPlace) place = {0};
	g_auto(PfsMeaning) meaning = {0};
	PfsScope *scope = dir->scope;
	bool found = false;

	*out_found_it = false;
	if (dir->kind == PFS_KIND_TOP && !strcmp(name, PFS_META_NAME))
		return pfs_meta_find(mount, dir, name, out_found, out_found_it, error);
	if (!pfs_table_get_place(&mount->table, dir, &place))
		return true; /* a removed directory: nothing is in it */
	out_found->moves = g_atomic_int_get(&scope->moves);
	pfs_place_lookup(&place, name, &meaning);
	if (meaning.type == PROLLY_NAME_KEY) {
		if (!has_rival_directory(mount, dir, &place, name, &found, error))
			return false;
		return !found ||
		       find_key(mount, scope, &meaning.key, out_found, out_found_it, error);
	}
	if (meaning.type == PROLLY_NAME_MORE)
		return find_level(mount, dir, name, &meaning.directory, out_found, out_found_it,
				  error);
	if (!find_directory(mount, scope, &meaning.directory, out_found, &found, error))
		return false;
	if (!found && !find_key(mount, scope, &meaning.key, out_found, &found, error))
		return false;
	*out_found_it = found;
	return true;
}

/* ---- Answers ----------------------------------------------------------------------------- */

double pfs_attr_timeout(PfsKind kind)
{
	switch (kind) {
	case PFS_KIND_LEVEL:
	case PFS_KIND_AT_LINK:
	case PFS_KIND_TEXT:
	case PFS_KIND_CONTROL:
		return 0;
	default:
		return PFS_TIMEOUT;
	}
}

/* A name is as good as its attributes, but for levels in .prollyfs and what is there of merges. */
static double entry_timeout(const PfsFound *found)
{
	switch (found->kind) {
	case PFS_KIND_AT:
	case PFS_KIND_TEXTS:
	case PFS_KIND_CONFLICTS:
	case PFS_KIND_SIDES:
		return found->path ? 0 : PFS_TIMEOUT;
	case PFS_KIND_TOP:
		return found->scope->is_fleeting ? 0 : PFS_TIMEOUT;
	default:
		return pfs_attr_timeout(found->kind);
	}
}

PfsInode *pfs_enter(PfsMount *mount, PfsInode *parent, const char *name, const PfsFound *found,
		    struct fuse_entry_param *out_param)
{
	PfsInode *inode;

	memset(out_param, 0, sizeof *out_param);
	if (found->kind == PFS_KIND_CONTROL)
		inode = pfs_table_enter_fresh(&mount->table, parent, name, found);
	else
		inode = pfs_table_enter(&mount->table, parent, name, found);
	out_param->ino = inode->id;
	out_param->attr = found->attr;
	out_param->attr_timeout = pfs_attr_timeout(found->kind);
	out_param->entry_timeout = entry_timeout(found);
	if (found->kind == PFS_KIND_FILE && pfs_table_is_full(&mount->table)) {
		out_param->entry_timeout = 0;
		pfs_notifier_shed(mount);
	}
	if (inode->kind == PFS_KIND_FILE) {
		/* What is open may be ahead of what is staged. */
		g_autoptr(ProllyFile) file = pfs_table_dup_file(&mount->table, inode);

		if (file)
			pfs_stat_file(mount, inode, file, &out_param->attr, NULL);
	}
	return inode;
}

void pfs_reply_entry(fuse_req_t req, PfsInode *parent, const char *name, const PfsFound *found)
{
	PfsMount *mount = pfs_mount(req);
	struct fuse_entry_param param;
	fuse_ino_t id = pfs_enter(mount, parent, name, found, &param)->id;

	if (fuse_reply_entry(req, &param) < 0)
		pfs_table_forget(&mount->table, id, 1);
}

/* Where branches are names nobody tells us of one that git makes: there absence is not cached. */
static void reply_absent(fuse_req_t req, const PfsInode *parent)
{
	PfsMount *mount = pfs_mount(req);
	struct fuse_entry_param param = {.entry_timeout = mount->negative_timeout};

	switch (parent->kind) {
	case PFS_KIND_TOP:
	case PFS_KIND_DIRECTORY:
		if (param.entry_timeout > 0) {
			fuse_reply_entry(req, &param);
			break;
		}
		G_GNUC_FALLTHROUGH;
	default:
		fuse_reply_err(req, ENOENT);
	}
}

/* ---- Operations -------------------------------------------------------------------------- */

static bool find(PfsMount *mount, PfsInode *dir, const char *name, PfsFound *out_found,
		 bool *out_found_it, GError **error)
{
	switch (dir->kind) {
	case PFS_KIND_TOP:
	case PFS_KIND_DIRECTORY:
		return pfs_keys_find(mount, dir, name, out_found, out_found_it, error);
	case PFS_KIND_ROOT:
	case PFS_KIND_LEVEL:
		return pfs_branches_find(mount, dir, name, out_found, out_found_it, error);
	default:
		return pfs_meta_find(mount, dir, name, out_found, out_found_it, error);
	}
}

void pfs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	PfsMount *mount = pfs_mount(req);
	PfsInode *dir = pfs_table_find(&mount->table, parent);
	g_autoptr(GError) error = NULL;
	PfsFound found = {0};
	bool found_it;

	if (!dir) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	if (strlen(name) > PROLLY_NAME_MAX) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	if (!find(mount, dir, name, &found, &found_it, &error))
		pfs_reply_error(req, "lookup", error);
	else if (found_it)
		pfs_reply_entry(req, dir, name, &found);
	else
		reply_absent(req, dir);
	pfs_found_clear(&mount->table, &found);
}

void pfs_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	pfs_table_forget(&pfs_mount(req)->table, ino, nlookup);
	fuse_reply_none(req);
}

void pfs_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		pfs_table_forget(&pfs_mount(req)->table, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}
