/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits as they are read: who, when, why, and which namespaces.
 *
 * The namespaces of a commit are asked for again and again (every branch's head, both sides of a
 * diff), and never change; the last few are kept, already parsed. Callers get copies.
 */
#include "version/repo-private.h"

#include <string.h>

#include "version/working-private.h"

#define CACHED_MAX 64

static GArray *new_namespaces(void)
{
	GArray *namespaces = g_array_new(FALSE, FALSE, sizeof(ProllyNamespace));

	g_array_set_clear_func(namespaces, prolly_namespace_clear);
	return namespaces;
}

GArray *prolly_namespaces_copy(const GArray *namespaces)
{
	GArray *copy = new_namespaces();

	for (guint i = 0; i < namespaces->len; i++) {
		ProllyNamespace ns = g_array_index(namespaces, ProllyNamespace, i);

		ns.name = g_strdup(ns.name);
		g_array_append_val(copy, ns);
	}
	return copy;
}

static void dup_signature(const git_signature *git, ProllySignature *out_signature)
{
	*out_signature = (ProllySignature){
		.name = g_strdup(git->name),
		.email = g_strdup(git->email),
		.time = git->when.time,
		.offset_minutes = git->when.offset,
	};
}

/* Under git_lock. */
static bool lookup_commit(ProllyRepo *repo, const ProllyCommitId *id, git_commit **out_commit,
			  GError **error)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	git_oid oid;
	int result;

	prolly_commit_id_to_oid(id, &oid);
	result = git_commit_lookup(out_commit, repo->body->git->repo, &oid);
	if (result < 0)
		return prolly_throw_git(error, result, "commit %s",
					prolly_commit_id_to_hex(id, hex));
	return true;
}

/* (transfer full) As UTF-8, if the commit says in what else it is and that is true. */
static char *dup_message(const git_commit *git)
{
	const char *encoding = git_commit_message_encoding(git);
	const char *message = git_commit_message_raw(git);
	char *converted = NULL;

	if (encoding && g_ascii_strcasecmp(encoding, "UTF-8") != 0)
		converted = g_convert(message, -1, "UTF-8", encoding, NULL, NULL, NULL);
	return converted ? converted : g_strdup(message);
}

bool prolly_commit_load(ProllyRepo *repo, const ProllyCommitId *id, ProllyCommit **out_commit,
			GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&repo->body->git_lock);
	g_autoptr(git_commit) git = NULL;
	ProllyCommit *commit;

	if (!lookup_commit(repo, id, &git, error))
		return false;
	commit = g_new0(ProllyCommit, 1);
	commit->id = *id;
	commit->n_parents = git_commit_parentcount(git);
	commit->parents = g_new0(ProllyCommitId, commit->n_parents);
	for (size_t i = 0; i < commit->n_parents; i++)
		prolly_commit_id_from_oid(git_commit_parent_id(git, (unsigned)i),
					  &commit->parents[i]);
	dup_signature(git_commit_author(git), &commit->author);
	dup_signature(git_commit_committer(git), &commit->committer);
	commit->message = dup_message(git);
	*out_commit = commit;
	return true;
}

void prolly_commit_free(ProllyCommit *commit)
{
	if (!commit)
		return;
	g_free(commit->parents);
	prolly_signature_clear(&commit->author);
	prolly_signature_clear(&commit->committer);
	g_free(commit->message);
	g_free(commit);
}

/* ---- Namespaces -------------------------------------------------------------------------- */

static int compare_namespaces(gconstpointer a, gconstpointer b)
{
	return strcmp(((const ProllyNamespace *)a)->name, ((const ProllyNamespace *)b)->name);
}

/* Adds the namespace that ENTRY holds; a file that is none of ours is passed over. */
static bool read_entry(ProllyRepo *repo, const git_tree_entry *entry, GArray *namespaces,
		       GError **error)
{
	g_autofree char *name = prolly_git_object_dup_namespace(git_tree_entry_name(entry));
	g_autoptr(git_blob) blob = NULL;
	ProllyNamespace ns;
	int result;

	if (!name || git_tree_entry_type(entry) != GIT_OBJECT_BLOB)
		return true;
	result = git_blob_lookup(&blob, repo->body->git->repo, git_tree_entry_id(entry));
	if (result < 0)
		return prolly_throw_git(error, result, "%s", git_tree_entry_name(entry));
	if (!prolly_git_object_parse_namespace(repo->body->format, git_blob_rawcontent(blob),
					       (size_t)git_blob_rawsize(blob), &ns.tree, error)) {
		g_prefix_error(error, "%s: ", git_tree_entry_name(entry));
		if (error)
			(*error)->code = PROLLY_ERROR_CORRUPT;
		return false;
	}
	ns.name = g_steal_pointer(&name);
	g_array_append_val(namespaces, ns);
	return true;
}

/* (transfer full) Under git_lock. */
static bool lookup_tree(ProllyRepo *repo, const ProllyCommitId *id, git_tree **out_tree,
			GError **error)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	g_autoptr(git_commit) commit = NULL;
	int result;

	if (!lookup_commit(repo, id, &commit, error))
		return false;
	result = git_commit_tree(out_tree, commit);
	if (result < 0)
		return prolly_throw_git(error, result, "tree of commit %s",
					prolly_commit_id_to_hex(id, hex));
	return true;
}

bool prolly_commit_load_namespace(ProllyRepo *repo, const ProllyCommitId *id, const char *ns,
				  ProllyTree *out_tree, bool *out_found, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&repo->body->git_lock);
	g_autoptr(GArray) namespaces = new_namespaces();
	g_autofree char *file = prolly_keypath_namespace_to_file(ns);
	g_autoptr(git_tree) tree = NULL;
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	const git_tree_entry *entry;

	if (!lookup_tree(repo, id, &tree, error))
		return false;
	entry = git_tree_entry_byname(tree, file);
	if (entry && !read_entry(repo, entry, namespaces, error)) {
		g_prefix_error(error, "commit %s: ", prolly_commit_id_to_hex(id, hex));
		return false;
	}
	*out_found = namespaces->len > 0;
	if (*out_found)
		*out_tree = g_array_index(namespaces, ProllyNamespace, 0).tree;
	return true;
}

static bool read_namespaces(ProllyRepo *repo, const ProllyCommitId *id, GArray *namespaces,
			    GError **error)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	g_autoptr(git_tree) tree = NULL;

	if (!lookup_tree(repo, id, &tree, error))
		return false;
	for (size_t i = 0; i < git_tree_entrycount(tree); i++) {
		if (!read_entry(repo, git_tree_entry_byindex(tree, i), namespaces, error)) {
			g_prefix_error(error, "commit %s: ", prolly_commit_id_to_hex(id, hex));
			return false;
		}
	}
	g_array_sort(namespaces, compare_namespaces);
	return true;
}

static guint hash_commit_id(gconstpointer id)
{
	return prolly_get_le32(((const ProllyCommitId *)id)->bytes);
}

static gboolean equal_commit_id(gconstpointer a, gconstpointer b)
{
	return prolly_commit_id_equal(a, b);
}

static GHashTable *get_cache(ProllyGit *git)
{
	if (!git->namespaces)
		git->namespaces = g_hash_table_new_full(hash_commit_id, equal_commit_id, g_free,
							(GDestroyNotify)g_array_unref);
	return git->namespaces;
}

/* Takes NAMESPACES. The queue has the keys of the table, the oldest last. */
static void cache_namespaces(ProllyGit *git, const ProllyCommitId *id, GArray *namespaces)
{
	ProllyCommitId *key = g_memdup2(id, sizeof(*id));

	if (git->recent.length >= CACHED_MAX)
		g_hash_table_remove(get_cache(git), g_queue_pop_tail(&git->recent));
	g_hash_table_insert(get_cache(git), key, namespaces);
	g_queue_push_head(&git->recent, key);
}

void prolly_commit_remember(ProllyRepo *repo, const ProllyCommitId *id, const GArray *namespaces)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&repo->body->git_lock);
	GArray *copy;

	if (g_hash_table_contains(get_cache(repo->body->git), id))
		return;
	copy = prolly_namespaces_copy(namespaces);
	g_array_sort(copy, compare_namespaces);
	cache_namespaces(repo->body->git, id, copy);
}

bool prolly_commit_load_namespaces(ProllyRepo *repo, const ProllyCommitId *id,
				   GArray **out_namespaces, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&repo->body->git_lock);
	ProllyGit *git = repo->body->git;
	GArray *cached = g_hash_table_lookup(get_cache(git), id);

	if (!cached) {
		g_autoptr(GArray) namespaces = new_namespaces();

		if (!read_namespaces(repo, id, namespaces, error))
			return false;
		cached = g_steal_pointer(&namespaces);
		cache_namespaces(git, id, cached);
	}
	*out_namespaces = prolly_namespaces_copy(cached);
	return true;
}
