/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tags. Making one is a publication of a reference, and of the tag's object if it is annotated; it
 * has no reflog, as in git. Nothing of it is kept but in the git repository, so what git does with
 * tags there is seen at the next look.
 */
#include "version/tag.h"

#include <inttypes.h>
#include <string.h>

#include "version/repo-private.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_tag, git_tag_free)

bool prolly_tag_list(ProllyRepo *repo, const char *level, GPtrArray **out_names, GError **error)
{
	return prolly_ref_list(repo, &prolly_ref_tag, level, out_names, error);
}

void prolly_tag_free(ProllyTag *tag)
{
	if (!tag)
		return;
	g_free(tag->name);
	g_free(tag->message);
	prolly_signature_clear(&tag->tagger);
	g_free(tag);
}

/* ---- Reading ----------------------------------------------------------------------------- */

/* What the annotated tag OID says. Under git_lock. */
static int read_annotation(git_repository *repo, const git_oid *oid, ProllyTag *tag)
{
	g_autoptr(git_tag) object = NULL;
	const git_signature *tagger;
	int code = git_tag_lookup(&object, repo, oid);

	if (code < 0)
		return code;
	tagger = git_tag_tagger(object);
	tag->message = g_strdup(git_tag_message(object) ? git_tag_message(object) : "");
	if (tagger)
		tag->tagger = (ProllySignature){
			.name = g_strdup(tagger->name),
			.email = g_strdup(tagger->email),
			.time = tagger->when.time,
			.offset_minutes = tagger->when.offset,
		};
	return 0;
}

/* Fills TAG from OID, where its reference stands. GIT_EPEEL: it is of no commit. Under git_lock. */
static int read_tag(git_repository *repo, const git_oid *oid, ProllyTag *tag)
{
	g_autoptr(git_object) object = NULL, commit = NULL;
	int code = git_object_lookup(&object, repo, oid, GIT_OBJECT_ANY);

	if (code == 0)
		code = git_object_peel(&commit, object, GIT_OBJECT_COMMIT);
	if (code == GIT_EINVALIDSPEC)
		code = GIT_EPEEL;
	if (code < 0)
		return code;
	prolly_commit_id_from_oid(git_object_id(commit), &tag->commit);
	return git_object_type(object) == GIT_OBJECT_TAG ? read_annotation(repo, oid, tag) : 0;
}

bool prolly_tag_load(ProllyRepo *repo, const char *name, ProllyTag **out_tag, GError **error)
{
	g_autoptr(ProllyTag) tag = g_new0(ProllyTag, 1);
	ProllyCommitId id;
	git_oid oid;
	bool found;
	int code;

	*out_tag = NULL;
	if (!prolly_ref_check_name(&prolly_ref_tag, name, NULL))
		return true;
	if (!prolly_ref_read(repo, &prolly_ref_tag, name, &id, &found, error))
		return false;
	if (!found)
		return true;
	prolly_commit_id_to_oid(&id, &oid);
	g_mutex_lock(&repo->body->git_lock);
	code = read_tag(repo->body->git->repo, &oid, tag);
	g_mutex_unlock(&repo->body->git_lock);
	if (code == GIT_EPEEL)
		return true;
	if (code < 0)
		return prolly_throw_git(error, code, "tag %s", name);
	tag->name = g_strdup(name);
	*out_tag = g_steal_pointer(&tag);
	return true;
}

/* ---- Making and deleting ----------------------------------------------------------------- */

/* Adds the object of an annotated tag; *OUT_ID is its. */
static bool add_annotation(ProllyPublication *publication, const char *name,
			   const ProllyCommitId *commit, const ProllyTagOptions *options,
			   ProllyCommitId *out_id, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	g_autoptr(GBytes) bytes = NULL;

	g_string_append_printf(text, "object %s\ntype commit\ntag %s\n",
			       prolly_commit_id_to_hex(commit, hex), name);
	if (!prolly_git_object_append_signature(text, "tagger", options->tagger, error))
		return false;
	g_string_append_c(text, '\n');
	prolly_git_object_append_message(text, options->message);
	bytes = g_string_free_to_bytes(g_steal_pointer(&text));
	return prolly_publication_add_object(publication, GIT_OBJECT_TAG, bytes, out_id, error);
}

/* *OUT_FROM: where the tag stands; zero if it is not there yet. */
static bool check_name(ProllyRepo *repo, const char *name, bool force, ProllyCommitId *out_from,
		       GError **error)
{
	bool found = false;

	*out_from = (ProllyCommitId){{0}};
	if (!prolly_ref_check_name(&prolly_ref_tag, name, error) ||
	    (force && !prolly_ref_read(repo, &prolly_ref_tag, name, out_from, &found, error)))
		return false;
	return found || prolly_ref_check_free(repo, &prolly_ref_tag, name, NULL, error);
}

static bool publish(ProllyRepo *repo, ProllyPublication *publication, GError **error)
{
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(repo->body->db);

	return prolly_publication_write(publication, repo, batch, error);
}

bool prolly_tag_create(ProllyRepo *repo, const char *name, const ProllyCommitId *commit,
		       const ProllyTagOptions *options, GError **error)
{
	g_autoptr(ProllyPublication) publication = NULL;
	GPtrArray *updates = prolly_ref_updates_new();
	ProllyRefUpdate *update;
	ProllyCommitId from;

	publication = prolly_publication_new(updates);
	if (!check_name(repo, name, options->force, &from, error))
		return false;
	update = prolly_ref_update_new(repo, &prolly_ref_tag, name, &from, commit, NULL);
	g_ptr_array_add(updates, update);
	if (options->message &&
	    !add_annotation(publication, name, commit, options, &update->to, error))
		return false;
	if (prolly_commit_id_equal(&update->from, &update->to))
		return true;
	return publish(repo, g_steal_pointer(&publication), error);
}

bool prolly_tag_delete(ProllyRepo *repo, const char *name, ProllyCommitId *out_was, GError **error)
{
	GPtrArray *updates;
	ProllyCommitId was;
	bool found = false;

	if (prolly_ref_check_name(&prolly_ref_tag, name, NULL) &&
	    !prolly_ref_read(repo, &prolly_ref_tag, name, &was, &found, error))
		return false;
	if (!found)
		return prolly_throw(error, PROLLY_ERROR_NOT_FOUND, "%s: no such tag", name);
	updates = prolly_ref_updates_new();
	g_ptr_array_add(updates,
			prolly_ref_update_new(repo, &prolly_ref_tag, name, &was, NULL, NULL));
	if (!publish(repo, prolly_publication_new(updates), error))
		return false;
	*out_was = was;
	return true;
}
