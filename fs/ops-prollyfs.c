/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ops-prollyfs: the .prollyfs directories, of the mount and of each branch's directory.
 *
 *     ctl              the control file (control.c)
 *     at/ID            a commit, read-only; at/REV a link to it
 *     conflicts        what merges wait for (ops-conflicts.c)
 *     log, status      in the mount's: directories of branches, levels as in the root;
 *                      in a branch's: the text for that branch
 *     stats            a text
 *     rev              of a mount of one revision: a link to its commit in at, not listed
 *
 * A text is what the command of its name prints, made when it is opened and kept in the handle; that
 * of stats has what the mount's requests cost besides. The directory is hidden (no readdir lists
 * it, a look-up by name finds it) and belongs to the mounting user alone: owner and mode are not
 * versioned, so history would show others what the working tree does not. A branch's own .prollyfs
 * has that branch's scope, and so does all that is in it.
 *
 * A revision may contain '/', as the branch or tag in it may: at/feature/x is the link x in the level
 * feature, whose target has a ../ for each level.
 */

#include "fs-private.h"

#include <string.h>

#define REVISION_NAME "rev"

/* ---- The directory itself ---------------------------------------------------------------- */

typedef struct {
	const char *name;
	const char *verb;
	PfsKind kind;        /* in the mount's directory */
	PfsKind branch_kind; /* in a branch's */
} MetaEntry;

static const MetaEntry meta_entries[] = {
	{"at", NULL, PFS_KIND_AT, PFS_KIND_AT},
	{"conflicts", NULL, PFS_KIND_CONFLICTS, PFS_KIND_SIDES},
	{"ctl", NULL, PFS_KIND_CONTROL, PFS_KIND_CONTROL},
	{"log", "log", PFS_KIND_TEXTS, PFS_KIND_TEXT},
	{"stats", "stats", PFS_KIND_TEXT, PFS_KIND_TEXT},
	{"status", "status", PFS_KIND_TEXTS, PFS_KIND_TEXT},
};

/* Is INODE in (or) a branch's own .prollyfs? */
static bool is_branch_meta(const PfsInode *inode)
{
	return inode->scope && inode->scope->branch;
}

static void found_virtual(PfsMount *mount, PfsInode *dir, const char *name, PfsKind kind,
			  PfsFound *out_found)
{
	out_found->kind = kind;
	out_found->scope = dir->scope;
	pfs_stat_virtual(mount, kind, pfs_virtual_ino(dir->ino, name), &out_found->attr);
}

/* (transfer full) The commit that DIR, a .prollyfs, is of; NULL: it is not of a revision's mount. */
static char *dup_commit(const PfsInode *dir)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	ProllyCommitId id;

	if (!dir->scope || dir->scope->branch)
		return NULL;
	prolly_view_get_commit(dir->scope->view, &id);
	return g_strdup(prolly_commit_id_to_hex(&id, hex));
}

static void find_own_revision(PfsMount *mount, PfsInode *dir, PfsFound *out_found,
			      bool *out_found_it)
{
	g_autofree char *commit = dup_commit(dir);

	if (!commit)
		return;
	found_virtual(mount, dir, REVISION_NAME, PFS_KIND_AT_LINK, out_found);
	out_found->path = g_steal_pointer(&commit);
	*out_found_it = true;
}

static void find_meta_entry(PfsMount *mount, PfsInode *dir, const char *name, PfsFound *out_found,
			    bool *out_found_it)
{
	for (size_t i = 0; i < G_N_ELEMENTS(meta_entries); i++) {
		const MetaEntry *entry = &meta_entries[i];

		if (strcmp(entry->name, name))
			continue;
		found_virtual(mount, dir, name,
			      is_branch_meta(dir) ? entry->branch_kind : entry->kind, out_found);
		out_found->verb = entry->verb;
		*out_found_it = true;
	}
	if (strcmp(name, REVISION_NAME) == 0)
		find_own_revision(mount, dir, out_found, out_found_it);
}

/* ---- Revisions --------------------------------------------------------------------------- */

/* (transfer full) What NAME in DIR is, a revision or a branch, or the beginning of one. */
static char *full_path(const PfsInode *dir, const char *name)
{
	return dir->path ? g_strconcat(dir->path, "/", name, NULL) : g_strdup(name);
}

static bool is_full_id(const char *name)
{
	return strlen(name) == PROLLY_COMMIT_ID_HEX_SIZE - 1 &&
	       strspn(name, "0123456789abcdef") == PROLLY_COMMIT_ID_HEX_SIZE - 1;
}

static bool find_level(PfsMount *mount, PfsInode *dir, const char *name, PfsFound *out_found,
		       bool *out_found_it, GError **error)
{
	g_autofree char *full = full_path(dir, name);
	g_autoptr(GPtrArray) tags = NULL;
	bool is_level;

	if (!prolly_branch_is_level(mount->repo, full, &is_level, error))
		return false;
	if (!is_level && dir->kind == PFS_KIND_AT &&
	    !prolly_tag_list(mount->repo, full, &tags, error))
		return false;
	if (!is_level && !(tags && tags->len))
		return true;
	found_virtual(mount, dir, name, dir->kind, out_found);
	out_found->verb = dir->verb;
	out_found->path = g_steal_pointer(&full);
	*out_found_it = true;
	return true;
}

/* Unknown and ambiguous revisions are absent; other failures are errors. */
static bool resolve(PfsMount *mount, const char *revision, ProllyCommitId *out_id,
		    bool *out_found_it, GError **error)
{
	GError *failure = NULL;

	*out_found_it = prolly_revision_resolve(mount->repo, revision, out_id, &failure);
	if (*out_found_it)
		return true;
	if (prolly_error_is(failure, PROLLY_ERROR_NOT_FOUND) ||
	    prolly_error_is(failure, PROLLY_ERROR_INVALID)) {
		g_error_free(failure);
		return true;
	}
	g_propagate_error(error, failure);
	return false;
}

static bool find_revision(PfsMount *mount, PfsInode *dir, const char *name, PfsFound *out_found,
			  bool *out_found_it, GError **error)
{
	g_autofree char *full = full_path(dir, name);
	PfsScope *scope;
	ProllyCommitId id;

	if (!resolve(mount, full, &id, out_found_it, error))
		return false;
	if (!*out_found_it)
		return find_level(mount, dir, name, out_found, out_found_it, error);
	if (is_full_id(full)) {
		if (!pfs_scope_get_commit(mount, &id, dir->scope, &scope, error))
			return false;
		return pfs_found_scope(mount, scope, out_found, error);
	}
	found_virtual(mount, dir, name, PFS_KIND_AT_LINK, out_found);
	out_found->path = g_steal_pointer(&full);
	return true;
}

void pfs_op_readlink_revision(fuse_req_t req, PfsInode *inode)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GString) target = g_string_new(NULL);
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	ProllyCommitId id;

	if (!prolly_revision_resolve(pfs_mount(req)->repo, inode->path, &id, &error)) {
		pfs_reply_error(req, "readlink", error);
		return;
	}
	if (is_full_id(inode->path)) /* no link in at is */
		g_string_append(target, "at/");
	for (const char *p = inode->path; *p; p++)
		if (*p == '/')
			g_string_append(target, "../");
	g_string_append(target, prolly_commit_id_to_hex(&id, hex));
	fuse_reply_readlink(req, target->str);
}

/* ---- Texts of branches ------------------------------------------------------------------- */

static bool find_branch_text(PfsMount *mount, PfsInode *dir, const char *name, PfsFound *out_found,
			     bool *out_found_it, GError **error)
{
	g_autofree char *full = full_path(dir, name);
	g_autoptr(ProllyBranch) branch = NULL;

	if (!prolly_branch_lookup(mount->repo, full, &branch, error))
		return false;
	if (!branch)
		return find_level(mount, dir, name, out_found, out_found_it, error);
	found_virtual(mount, dir, name, PFS_KIND_TEXT, out_found);
	out_found->verb = dir->verb;
	out_found->path = g_steal_pointer(&full);
	*out_found_it = true;
	return true;
}

/* What is kept here as long as the kernel wants it: a number that only grows is a leak. */
static void append_held(PfsMount *mount, GString *text)
{
	guint nodes, files, directories;

	g_mutex_lock(&mount->table.lock);
	nodes = g_hash_table_size(mount->table.by_id);
	g_mutex_unlock(&mount->table.lock);
	g_mutex_lock(&mount->handles_lock);
	files = mount->handles.length;
	directories = mount->dir_handles.length;
	g_mutex_unlock(&mount->handles_lock);
	g_string_append_printf(
		text, "kernel           knows %u nodes, has %u files and %u directories open\n",
		nodes, files, directories);
}

bool pfs_text_make(PfsMount *mount, PfsInode *inode, PfsAccount *account, GBytes **out_text,
		   GError **error)
{
	g_autofree char *own = NULL;
	GString *text = NULL;
	bool is_stats = !strcmp(inode->verb, "stats");
	/* What is staged would have to be put into trees to be counted: seconds for a million keys. */
	const char *words[] = {inode->verb, is_stats ? "--at=HEAD" : NULL, NULL, NULL, NULL};
	g_autofree char *commit = is_stats ? dup_commit(inode) : NULL;
	ProllyCaller caller;

	if (commit) {
		words[2] = "--here";
		words[3] = commit;
	}
	if (is_branch_meta(inode))
		own = prolly_branch_dup_name(inode->scope->branch);
	caller = pfs_control_caller(inode->scope, inode->path ? inode->path : own, account);
	if (!prolly_command_capture(mount->repo, &caller, words, &text, error))
		return false;
	if (is_stats) {
		append_held(mount, text);
		pfs_latency_append(mount->latency, text);
	}
	*out_text = g_string_free_to_bytes(text);
	return true;
}

/* ---- Any of them ------------------------------------------------------------------------- */

/* A commit's directory holds keys only; but a mount's root has a .prollyfs whatever it is of. */
static bool is_commit_below_root(const PfsInode *dir)
{
	return dir->scope && !dir->scope->branch && dir->id != FUSE_ROOT_ID;
}

bool pfs_meta_find(PfsMount *mount, PfsInode *dir, const char *name, PfsFound *out_found,
		   bool *out_found_it, GError **error)
{
	*out_found_it = false;
	switch (dir->kind) {
	case PFS_KIND_META:
		find_meta_entry(mount, dir, name, out_found, out_found_it);
		return true;
	case PFS_KIND_AT:
		return find_revision(mount, dir, name, out_found, out_found_it, error);
	case PFS_KIND_CONFLICTS:
	case PFS_KIND_SIDES:
		return pfs_conflicts_find(mount, dir, name, out_found, out_found_it, error);
	case PFS_KIND_TEXTS:
		return find_branch_text(mount, dir, name, out_found, out_found_it, error);
	case PFS_KIND_TOP:
	case PFS_KIND_ROOT:
		if (is_commit_below_root(dir))
			return true;
		found_virtual(mount, dir, name, PFS_KIND_META, out_found);
		*out_found_it = true;
		return true;
	default:
		return true;
	}
}

bool pfs_meta_list(PfsMount *mount, PfsInode *dir, GPtrArray **out_names, GError **error)
{
	GPtrArray *names;

	if (dir->kind == PFS_KIND_TEXTS)
		return pfs_branch_level(mount, dir->path, out_names, error);
	if (dir->kind == PFS_KIND_CONFLICTS || dir->kind == PFS_KIND_SIDES)
		return pfs_conflicts_list(mount, dir, out_names, error);
	names = g_ptr_array_new_with_free_func(g_free);
	for (size_t i = 0; dir->kind == PFS_KIND_META && i < G_N_ELEMENTS(meta_entries); i++) {
		PfsKind kind =
			is_branch_meta(dir) ? meta_entries[i].branch_kind : meta_entries[i].kind;
		bool is_directory = kind != PFS_KIND_TEXT && kind != PFS_KIND_CONTROL;

		g_ptr_array_add(names,
				g_strconcat(meta_entries[i].name, is_directory ? "/" : "", NULL));
	}
	*out_names = names; /* of at: revisions are looked up, not listed */
	return true;
}
