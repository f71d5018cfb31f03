/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifying the git repository: references, reflogs, and the objects that they reach, as git fsck
 * does, and with each commit what it has.
 *
 * Objects are read through a repository object of our own, which has nothing cached, so that what is
 * verified is what is in the files; libgit2 checks their hashes and parses them. It is opened anew
 * now and then, since its cache grows. Each tree and file is read once. The commits that references
 * name come first, then what lies before them, then what only reflogs name, so that what is damaged
 * is seen where people look. The commit-graph file is not relied on.
 */
#include "version/fsck-private.h"

#include <string.h>

#include "version/past-private.h"
#include "version/reflog.h"

#define READS_MAX 20000

/* ---- Objects ----------------------------------------------------------------------------- */

/* A damaged object of git, of the commit that is looked at. */
static void note_object(ProllyFsck *self, const git_oid *oid, const char *what)
{
	const git_error *last = git_error_last();
	g_autofree char *message =
		g_strdup_printf("%s: %s", what, last ? last->message : "it is damaged");

	prolly_fsck_note(self, "git", git_oid_tostr_s(oid), g_strdup(self->rev), message);
}

/* So that READS_MAX more may be made. */
static bool open_fresh(ProllyFsck *self, GError **error)
{
	const char *dir = self->repo->body->git->dir;
	int result;

	if (!dir || (self->git && self->n_reads++ < READS_MAX))
		return true;
	git_repository_free(g_steal_pointer(&self->git));
	self->n_reads = 1;
	result = prolly_git_open_repository(&self->git, dir);
	return result == 0 || prolly_throw_git(error, result, "open %s", dir);
}

/* A file: of a namespace, it has to say which tree that is. */
static void check_file(ProllyFsck *self, const git_tree_entry *entry)
{
	g_autofree char *ns = prolly_git_object_dup_namespace(git_tree_entry_name(entry));
	const git_oid *oid = git_tree_entry_id(entry);
	g_autoptr(git_blob) blob = NULL;
	g_autoptr(GError) flaw = NULL;
	ProllyTree tree;

	if (prolly_oid_set_has(self->objects, oid))
		return;
	if (git_blob_lookup(&blob, self->git, oid) < 0) {
		note_object(self, oid, git_tree_entry_name(entry));
		return;
	}
	if (ns &&
	    !prolly_git_object_parse_namespace(self->repo->body->format, git_blob_rawcontent(blob),
					       (size_t)git_blob_rawsize(blob), &tree, &flaw))
		prolly_fsck_note(self, "git", git_oid_tostr_s(oid), g_strdup(self->rev),
				 flaw->message);
	else
		prolly_oid_set_add(self->objects, oid);
}

/* A commit's directory; there is none in ours, but git's users may have put some there. */
static void check_directory(ProllyFsck *self, const git_oid *oid, unsigned depth)
{
	g_autoptr(git_tree) tree = NULL;

	if (prolly_oid_set_has(self->objects, oid) || depth == 0)
		return;
	if (git_tree_lookup(&tree, self->git, oid) < 0) {
		note_object(self, oid, "the commit's tree");
		return;
	}
	for (size_t i = 0; i < git_tree_entrycount(tree); i++) {
		const git_tree_entry *entry = git_tree_entry_byindex(tree, i);

		if (git_tree_entry_type(entry) == GIT_OBJECT_TREE)
			check_directory(self, git_tree_entry_id(entry), depth - 1);
		else if (git_tree_entry_type(entry) == GIT_OBJECT_BLOB)
			check_file(self, entry);
	}
	prolly_oid_set_add(self->objects, oid);
}

#define DEPTH_MAX 64

/* (transfer full) (nullable) The commit, if it can be read. */
static git_commit *check_commit_object(ProllyFsck *self, const ProllyCommitId *id)
{
	git_commit *commit = NULL;
	git_oid oid;

	prolly_commit_id_to_oid(id, &oid);
	if (git_commit_lookup(&commit, self->git ? self->git : self->repo->body->git->repo, &oid) <
	    0) {
		note_object(self, &oid, "commit");
		return NULL;
	}
	if (self->git)
		check_directory(self, git_commit_tree_id(commit), DEPTH_MAX);
	return commit;
}

/* ---- Commits ----------------------------------------------------------------------------- */

/* A commit that is to be looked at. */
typedef struct {
	ProllyCommitId id;
	ProllyCommitId child; /* that has it as a parent; zero: a reference names it */
} Step;

static void push_parents(GArray *steps, const git_commit *commit, const ProllyCommitId *id)
{
	for (unsigned i = 0; i < git_commit_parentcount(commit); i++) {
		Step step = {.child = *id};

		prolly_commit_id_from_oid(git_commit_parent_id(commit, i), &step.id);
		g_array_append_val(steps, step);
	}
}

/* The commit of a branch is looked at for each branch, so that each is named. */
static bool is_new(ProllyFsck *self, const ProllyCommitId *id, bool is_head)
{
	return g_hash_table_add(self->commits, g_memdup2(id, sizeof(*id))) || is_head;
}

static bool take_step(ProllyFsck *self, const char *rev, const Step *step, bool is_head,
		      GArray *steps, GError **error)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	g_autofree char *path = NULL;
	g_autoptr(git_commit) commit = NULL;
	bool is_named = prolly_commit_id_is_zero(&step->child);
	bool ok;

	if (!is_new(self, &step->id, is_head && is_named))
		return true;
	path = is_named ? g_strdup(rev)
			: g_strconcat(".prollyfs/at/", prolly_commit_id_to_hex(&step->id, hex),
				      NULL);
	if (!open_fresh(self, error))
		return false;
	self->rev = path;
	self->commit = &step->id;
	if (!self->git)
		g_mutex_lock(&self->repo->body->git_lock);
	commit = check_commit_object(self, &step->id);
	if (commit)
		push_parents(steps, commit, &step->id);
	if (!self->git)
		g_mutex_unlock(&self->repo->body->git_lock);
	ok = !commit || prolly_fsck_check_commit(self, path, &step->id, error);
	self->commit = NULL;
	return ok;
}

static bool check_history(ProllyFsck *self, const char *rev, const ProllyCommitId *id, bool is_deep,
			  GArray *steps, GError **error)
{
	Step step = {.id = *id};

	g_array_append_val(steps, step);
	while (steps->len > 0) {
		Step next = g_array_index(steps, Step, steps->len - 1);

		if (!is_deep && !prolly_commit_id_is_zero(&next.child))
			return true;
		g_array_set_size(steps, steps->len - 1);
		if (!take_step(self, rev, &next, !is_deep, steps, error))
			return false;
	}
	return true;
}

/* ---- References -------------------------------------------------------------------------- */

typedef struct {
	const char *name;  /* refs/heads/main */
	ProllyCommitId id; /* zero: it cannot be read */
} Reference;

static const char *shorten(const char *name)
{
	static const char *const prefixes[] = {"refs/heads/", "refs/tags/", "refs/"};

	for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
		if (g_str_has_prefix(name, prefixes[i]))
			return name + strlen(prefixes[i]);
	}
	return name;
}

/* The commit that ID, which may be an annotated tag's, means; *OUT_IS_COMMIT false: it is none. */
static bool peel(ProllyFsck *self, const ProllyCommitId *id, ProllyCommitId *out_id,
		 bool *out_is_commit)
{
	git_repository *git = self->git ? self->git : self->repo->body->git->repo;
	g_autoptr(git_object) object = NULL;
	g_autoptr(git_object) target = NULL;
	git_oid oid;

	prolly_commit_id_to_oid(id, &oid);
	*out_is_commit = false;
	if (git_object_lookup(&object, git, &oid, GIT_OBJECT_ANY) < 0) {
		note_object(self, &oid, "what the reference names");
		return false;
	}
	if (git_object_peel(&target, object, GIT_OBJECT_COMMIT) < 0) {
		if (git_object_type(object) == GIT_OBJECT_TAG)
			note_object(self, &oid, "what the tag names");
		return false;
	}
	prolly_commit_id_from_oid(git_object_id(target), out_id);
	return *out_is_commit = true;
}

/* Reads reference NAME into OUT; one that cannot be read is damage. */
static bool load_reference(ProllyFsck *self, const char *name, Reference *out, GError **error)
{
	ProllyRefs *refs = self->repo->body->git->refs;
	g_autoptr(GError) flaw = NULL;
	ProllyCommitId id;
	bool found = false, is_commit;

	*out = (Reference){.name = name};
	self->rev = shorten(name);
	if (!open_fresh(self, error))
		return false;
	g_mutex_lock(&self->repo->body->git_lock);
	if (!refs->ops->get(refs, name, &id, &found, &flaw)) {
		prolly_fsck_note(self, "reference", name, g_strdup(self->rev), flaw->message);
		g_ptr_array_add(self->references, g_strdup(name));
	} else if (found && peel(self, &id, &id, &is_commit)) {
		out->id = id;
	}
	g_mutex_unlock(&self->repo->body->git_lock);
	return true;
}

/* ---- Reflogs ----------------------------------------------------------------------------- */

static bool is_there(ProllyFsck *self, const ProllyCommitId *id)
{
	git_repository *git = self->git ? self->git : self->repo->body->git->repo;
	g_autoptr(git_commit) commit = NULL;
	git_oid oid;

	prolly_commit_id_to_oid(id, &oid);
	return git_commit_lookup(&commit, git, &oid) == 0;
}

/* Line NUMBER, from 1, of the reflog of NAME: what it names goes to IDS. One without its newline may
 * be what was written of it when the disk was full; the next line takes its place. */
static void check_line(ProllyFsck *self, const char *name, const char *line, size_t len,
		       unsigned number, GArray *ids)
{
	g_autoptr(GBytes) bytes = g_bytes_new_static(line, len);
	g_autoptr(GArray) entries = prolly_reflog_parse(bytes);
	g_autofree char *message = NULL;
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	const ProllyReflogEntry *entry;

	if (entries->len == 0 && line[len - 1] != '\n')
		return;
	if (entries->len == 0) {
		message = g_strdup_printf("line %u of its reflog is damaged", number);
		prolly_fsck_note(self, "reflog", name, g_strdup(self->rev), message);
		return;
	}
	entry = &g_array_index(entries, ProllyReflogEntry, 0);
	if (prolly_commit_id_is_zero(&entry->to))
		return;
	if (is_there(self, &entry->to)) {
		g_array_append_val(ids, entry->to);
		return;
	}
	message = g_strdup_printf(
		"line %u of its reflog names commit %s, which is missing or damaged", number,
		prolly_commit_id_to_hex(&entry->to, hex));
	prolly_fsck_note(self, "reflog", name, g_strdup(self->rev), message);
}

/* *OUT_IDS (transfer full): the commits that the reflog of NAME names. */
static bool check_reflog(ProllyFsck *self, const char *name, GArray **out_ids, GError **error)
{
	ProllyRefs *refs = self->repo->body->git->refs;
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(ProllyCommitId));
	g_autoptr(GBytes) log = NULL;
	gsize len = 0;
	const char *text = NULL;
	unsigned number = 0;
	bool ok;

	self->rev = shorten(name);
	g_mutex_lock(&self->repo->body->git_lock);
	ok = refs->ops->load_log(refs, name, &log, error);
	if (ok && log)
		text = g_bytes_get_data(log, &len);
	for (gsize at = 0; at < len;) {
		const char *newline = memchr(text + at, '\n', len - at);
		gsize line = newline ? (gsize)(newline + 1 - text) - at : len - at;

		check_line(self, name, text + at, line, ++number, ids);
		at += line;
	}
	g_mutex_unlock(&self->repo->body->git_lock);
	*out_ids = g_steal_pointer(&ids);
	return ok;
}

static bool check_reflogs(ProllyFsck *self, const GPtrArray *names, GArray *steps, GError **error)
{
	for (guint i = 0; i < names->len; i++) {
		g_autoptr(GArray) ids = NULL;

		if (!open_fresh(self, error) || !check_reflog(self, names->pdata[i], &ids, error))
			return false;
		for (guint j = 0; j < ids->len; j++) {
			const ProllyCommitId *id = &g_array_index(ids, ProllyCommitId, j);
			g_autofree char *rev = g_strdup_printf("%s@{%u}", shorten(names->pdata[i]),
							       ids->len - 1 - j);

			if (!check_history(self, rev, id, true, steps, error))
				return false;
		}
	}
	return true;
}

/* ---- All of them ------------------------------------------------------------------------- */

static bool load_references(ProllyFsck *self, const GPtrArray *names, GArray *references,
			    GError **error)
{
	for (guint i = 0; i < names->len; i++) {
		Reference reference;

		if (!load_reference(self, names->pdata[i], &reference, error))
			return false;
		if (!prolly_commit_id_is_zero(&reference.id))
			g_array_append_val(references, reference);
	}
	return true;
}

/* The heads first; those of branches before others. */
static bool check_heads(ProllyFsck *self, const GArray *references, bool branches, bool is_deep,
			GArray *steps, GError **error)
{
	for (guint i = 0; i < references->len; i++) {
		const Reference *reference = &g_array_index(references, Reference, i);

		if (g_str_has_prefix(reference->name, "refs/heads/") != branches)
			continue;
		if (!check_history(self, shorten(reference->name), &reference->id, is_deep, steps,
				   error))
			return false;
	}
	return true;
}

/* References of branches that are gone with a file of git's, and not deleted. */
static bool check_lost(ProllyFsck *self, GError **error)
{
	g_autoptr(GPtrArray) lost = NULL;

	if (!prolly_branch_list_lost(self->repo, false, &lost, error))
		return false;
	for (guint i = 0; i < lost->len; i++) {
		const char *name = lost->pdata[i];

		prolly_fsck_note(self, "reference", name, g_strdup(shorten(name)),
				 "it is missing, but was not deleted: its reflog is there");
		g_ptr_array_add(self->references, g_strdup(name));
	}
	return true;
}

bool prolly_fsck_check_references(ProllyFsck *self, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GArray) references = g_array_new(FALSE, FALSE, sizeof(Reference));
	g_autoptr(GArray) steps = g_array_new(FALSE, FALSE, sizeof(Step));
	ProllyRefs *refs = self->repo->body->git->refs;
	bool ok;

	g_mutex_lock(&self->repo->body->git_lock);
	ok = refs->ops->list(refs, "refs/", G_MAXUINT, names, error);
	g_mutex_unlock(&self->repo->body->git_lock);
	g_ptr_array_sort(names, prolly_strings_compare);
	return ok && check_lost(self, error) && load_references(self, names, references, error) &&
	       check_heads(self, references, true, false, steps, error) &&
	       check_heads(self, references, true, true, steps, error) &&
	       check_heads(self, references, false, true, steps, error) &&
	       check_reflogs(self, names, steps, error);
}
