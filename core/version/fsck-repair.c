/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repair: what was damaged is taken back from where it is still held.
 *
 * A node has its hash for a name, so whatever gives bytes of that hash gives the node, and nothing else
 * does. Looked for, in this order:
 *
 *   1. a copy: in the node cache of the process that has the store open, or stored with the nodes of
 *      the other class
 *   2. its contents, held in other nodes: the entries of its range of keys in what is staged, in
 *      another branch or commit; of a large value, the same bytes of the same key there. They are
 *      made into nodes once more, in memory: a tree's shape follows from its contents, so one of
 *      them is the node that was lost, or it held something else.
 *
 * A reference that cannot be read stands again where its reflog ends, if that ends with a whole line
 * which names a commit that can be read: git writes that line before it moves a reference.
 *
 * What is put back is seen by everybody at once. Nothing else is touched: what cannot be taken back
 * stays as it is, and so does a node that is there, but not what refers to it says.
 */
#include "base/memory.h"
#include "version/fsck-private.h"

#include <string.h>

#include "store/restore.h"
#include "version/history.h"
#include "version/reflog.h"
#include "version/view.h"

#define CONTENT_MAX    (64u << 20) /* of a node, to be made in memory */
#define CANDIDATES_MAX 200         /* commits whose trees are tried for one node */

/* ---- Contents made into nodes once more -------------------------------------------------- */

/* One try. */
typedef struct {
	ProllyFsck *fsck;
	const ProllyLost *lost;
	ProllyTreeContext memory; /* where nodes are made */
	ProllyCursor *cursor;
	uint64_t size;
} Try;

static void try_init(Try *self, ProllyFsck *fsck, const ProllyLost *lost)
{
	*self = (Try){.fsck = fsck, .lost = lost};
	self->memory = (ProllyTreeContext){prolly_store_new_memory(), fsck->context.format};
}

static void try_clear(Try *self)
{
	prolly_cursor_free(self->cursor);
	prolly_store_unref(self->memory.store);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Try, try_clear)

/* Is the key within what was lost? *OUT_END: it is behind that. */
static bool is_within(const ProllyLost *lost, const uint8_t *key, size_t len, bool *out_end)
{
	const GByteArray *after = lost->after, *last = lost->key;

	*out_end = last && prolly_bytes_compare(key, len, last->data, last->len) > 0;
	return !*out_end && (!after || prolly_bytes_compare(key, len, after->data, after->len) > 0);
}

/* ProllyEditFunc: the entries of a tree. */
static bool next_of_tree(void *data, ProllyEdit *out_edit, bool *out_end, GError **error)
{
	Try *self = data;
	ProllyTreeEntry entry;

	do {
		if (!prolly_cursor_read(self->cursor, &entry, out_end, error))
			return false;
	} while (!*out_end && !is_within(self->lost, entry.key, entry.key_len, out_end) &&
		 !*out_end);
	if (*out_end)
		return true;
	*out_edit = (ProllyEdit){entry.key, entry.key_len, entry.value, entry.value_len};
	self->size += entry.key_len + entry.value_len;
	return self->size <= CONTENT_MAX ||
	       prolly_throw(error, PROLLY_ERROR_TOO_BIG, "too much for one node");
}

/* Puts back the node that was lost, if it was made among others. */
static bool take_made(Try *self, bool *out_done, GError **error)
{
	g_autoptr(GBytes) bytes = prolly_store_find_copy(self->memory.store, &self->lost->hash);

	*out_done =
		bytes && prolly_store_restore(self->fsck->repo->body->store, self->lost->node_class,
					      &self->lost->hash, bytes, error);
	return *out_done || !bytes;
}

/* A source that cannot be read, or holds too much, is none. */
static bool is_no_source(GError **local, GError **error)
{
	if (prolly_fsck_is_damage(*local) || prolly_error_is(*local, PROLLY_ERROR_TOO_BIG))
		return true;
	g_propagate_error(error, g_steal_pointer(local));
	return false;
}

/* The entries of TREE. */
static bool try_tree(ProllyFsck *fsck, const ProllyLost *lost, const ProllyTree *tree,
		     bool *out_done, GError **error)
{
	const ProllyTreeContext *context = prolly_repo_get_context(fsck->repo);
	const GByteArray *after = lost->after;
	g_autoptr(GError) local = NULL;
	g_auto(Try) self;
	ProllyTree made;

	try_init(&self, fsck, lost);
	self.cursor = prolly_cursor_new(context, tree);
	if (!(after ? prolly_cursor_seek(self.cursor, after->data, after->len, &local)
		    : prolly_cursor_seek_first(self.cursor, &local)) ||
	    !prolly_tree_apply(&self.memory, NULL, next_of_tree, &self, &made, &local))
		return is_no_source(&local, error);
	return take_made(&self, out_done, error);
}

/* The content of LOST's key as VIEW has it. */
static bool make_content(Try *self, ProllyView *view, GError **error)
{
	const ProllyLost *lost = self->lost;
	ProllyPlace place = {lost->ns, lost->key->data, lost->key->len};
	g_autoptr(ProllyBlobWriter) writer = NULL;
	g_autofree uint8_t *buffer = NULL;
	g_auto(ProllyEntry) entry = {0};
	ProllyBlob blob;
	size_t len;
	bool found;

	if (lost->length > CONTENT_MAX ||
	    !prolly_view_get(view, &place, false, &entry, &found, error) || !found ||
	    entry.length < lost->offset + lost->length)
		return false;
	buffer = prolly_try_malloc((size_t)lost->length, "a value", error);
	if (!buffer)
		return false;
	writer = prolly_blob_writer_new(&self->memory);
	return prolly_view_read(view, &entry, lost->offset, buffer, lost->length, &len, error) &&
	       len == lost->length && prolly_blob_writer_write(writer, buffer, len, error) &&
	       prolly_blob_writer_finish(writer, &blob, error);
}

static bool try_content(ProllyFsck *fsck, const ProllyLost *lost, ProllyView *view, bool *out_done,
			GError **error)
{
	g_autoptr(GError) local = NULL;
	g_auto(Try) self;

	try_init(&self, fsck, lost);
	if (!make_content(&self, view, &local))
		return !local || is_no_source(&local, error);
	return take_made(&self, out_done, error);
}

/* ---- Where to look ----------------------------------------------------------------------- */

/* Looks in VIEW, unless what it has was looked at: TRIED has the tops of trees. */
static bool try_view(ProllyFsck *fsck, const ProllyLost *lost, ProllyView *view, GHashTable *tried,
		     bool *out_done, GError **error)
{
	g_autoptr(GError) local = NULL;
	ProllyTree tree;
	bool found;

	if (!prolly_view_has_namespace(view, lost->ns, &found, &local) || !found ||
	    !prolly_view_get_tree(view, lost->ns, &tree, &local))
		return !local || is_no_source(&local, error);
	if (!g_hash_table_add(tried, g_memdup2(&tree.top, sizeof(tree.top))))
		return true;
	return lost->is_of_blob ? try_content(fsck, lost, view, out_done, error)
				: try_tree(fsck, lost, &tree, out_done, error);
}

/* In the working state of each branch; of attributes, in those of each. *OUT_WHERE (transfer full). */
static bool try_branches(ProllyFsck *self, const ProllyLost *lost, GHashTable *tried,
			 char **out_where, GError **error)
{
	g_autoptr(GPtrArray) names = NULL;
	bool done = false;

	if (!prolly_branch_list(self->repo, &names, error))
		return false;
	for (guint i = 0; i < names->len && !done; i++) {
		g_autoptr(ProllyBranch) branch = NULL;
		g_autoptr(ProllyState) state = NULL;
		g_autoptr(ProllyView) view = NULL;

		if (!prolly_branch_lookup(self->repo, names->pdata[i], &branch, NULL) || !branch)
			continue;
		state = prolly_branch_get_state(branch);
		if (!lost->ns && !try_tree(self, lost, &state->attributes, &done, error))
			return false;
		if (lost->ns && prolly_view_new_pinned(self->repo, branch, &view, NULL) &&
		    !try_view(self, lost, view, tried, &done, error))
			return false;
		if (done)
			*out_where = g_strdup_printf("taken back from what branch %s has",
						     (const char *)names->pdata[i]);
	}
	return true;
}

static bool try_commits(ProllyFsck *self, const ProllyLost *lost, GHashTable *tried,
			char **out_where, GError **error)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	GHashTableIter iter;
	gpointer id;
	bool done = false;

	g_hash_table_iter_init(&iter, self->commits);
	while (!done && g_hash_table_size(tried) < CANDIDATES_MAX &&
	       g_hash_table_iter_next(&iter, &id, NULL)) {
		g_autoptr(ProllyView) view = NULL;

		if (!prolly_view_new_commit(self->repo, id, &view, NULL))
			continue;
		if (!try_view(self, lost, view, tried, &done, error))
			return false;
		if (done)
			*out_where = g_strdup_printf("taken back from what commit %s has",
						     prolly_commit_id_to_hex(id, hex));
	}
	return true;
}

/* Is it on the disk, and whole? Then it is damaged by what is said of it, or by how it was made. */
static bool is_there(ProllyFsck *self, const ProllyLost *lost)
{
	g_autoptr(ProllyNode) node =
		prolly_store_get(self->store, lost->node_class, &lost->hash, NULL);

	return node != NULL;
}

/* *OUT_WHERE (transfer full) NULL: it is nowhere, or no other node would do. */
static bool repair_node(ProllyFsck *self, const ProllyLost *lost, char **out_where, GError **error)
{
	g_autoptr(GHashTable) tried = g_hash_table_new_full(prolly_hash_table_hash,
							    prolly_hash_table_equal, g_free, NULL);
	ProllyStore *store = self->repo->body->store;
	g_autoptr(GBytes) copy = NULL;

	*out_where = NULL;
	if (is_there(self, lost))
		return true;
	copy = prolly_store_find_copy(store, &lost->hash);
	if (copy) {
		*out_where = g_strdup("taken back from a copy");
		return prolly_store_restore(store, lost->node_class, &lost->hash, copy, error);
	}
	if (!try_branches(self, lost, tried, out_where, error))
		return false;
	return *out_where || !lost->ns || try_commits(self, lost, tried, out_where, error);
}

static bool repair_nodes(ProllyFsck *self, uint64_t *n, GError **error)
{
	g_autoptr(GHashTable) seen =
		g_hash_table_new(prolly_hash_table_hash, prolly_hash_table_equal);

	for (guint i = 0; i < self->lost->len; i++) {
		const ProllyLost *lost = self->lost->pdata[i];
		g_autofree char *where = NULL;

		if (!g_hash_table_add(seen, (gpointer)&lost->hash))
			continue;
		if (!repair_node(self, lost, &where, error))
			return false;
		*n += where != NULL;
		if (where && !prolly_fsck_tell(self, lost->found, where, error))
			return false;
	}
	return true;
}

/* ---- References -------------------------------------------------------------------------- */

/* Where the last line of LOG moved its reference to; false if it is not whole. */
static bool get_last(GBytes *log, ProllyCommitId *out_id)
{
	gsize len;
	const char *text = g_bytes_get_data(log, &len);
	const char *end = len > 0 && text[len - 1] == '\n' ? text + len - 1 : NULL;
	const char *start = end ? memrchr(text, '\n', (size_t)(end - text)) : NULL;
	g_autoptr(GBytes) last = NULL;
	g_autoptr(GArray) parsed = NULL;

	if (!end)
		return false;
	start = start ? start + 1 : text;
	last = g_bytes_new_static(start, (gsize)(end - start));
	parsed = prolly_reflog_parse(last);
	if (parsed->len != 1)
		return false;
	*out_id = g_array_index(parsed, ProllyReflogEntry, 0).to;
	return true;
}

/* Under git_lock. */
static bool repair_reference(ProllyFsck *self, const char *name, bool *out_done, GError **error)
{
	ProllyGit *git = self->repo->body->git;
	g_autoptr(git_commit) commit = NULL;
	g_autoptr(GBytes) log = NULL;
	ProllyCommitId id;
	git_oid oid;

	*out_done = false;
	if (!git->refs->ops->load_log(git->refs, name, &log, error))
		return false;
	if (!log || !get_last(log, &id))
		return true;
	prolly_commit_id_to_oid(&id, &oid);
	if (git_commit_lookup(&commit, git->repo, &oid) < 0)
		return true;
	return *out_done = git->refs->ops->restore(git->refs, name, &id, error);
}

static ProllyFound *find_reference(ProllyFsck *self, const char *name)
{
	g_autofree char *key = g_strconcat("reference ", name, NULL);

	return g_hash_table_lookup(self->by_name, key);
}

static bool repair_references(ProllyFsck *self, uint64_t *n, GError **error)
{
	for (guint i = 0; i < self->references->len; i++) {
		const char *name = self->references->pdata[i];
		bool done, ok;

		g_mutex_lock(&self->repo->body->git_lock);
		ok = repair_reference(self, name, &done, error);
		g_mutex_unlock(&self->repo->body->git_lock);
		if (!ok)
			return false;
		*n += done;
		if (done && !prolly_fsck_tell(self, find_reference(self, name),
					      "stands where its reflog ends", error))
			return false;
	}
	return true;
}

bool prolly_fsck_repair(ProllyFsck *self, uint64_t *out_n, GError **error)
{
	g_auto(ProllyGuard) guard = prolly_guard_enter(self->repo);

	*out_n = 0;
	return repair_references(self, out_n, error) && repair_nodes(self, out_n, error) &&
	       (*out_n == 0 || prolly_repo_sync(self->repo, error));
}
