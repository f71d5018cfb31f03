/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of branches and tags, as references below refs/heads/ and refs/tags/: which names there can
 * be, which are free, where they stand.
 *
 * Both kinds follow git's rules for names, and one of ours, that a reference's lock file must have
 * a name too. A reference is a file in git's eyes, so `a` and `a/b` cannot both be there. All of it
 * is asked of the reference store each time, because git may have changed it meanwhile.
 */
#include "version/repo-private.h"

#include <string.h>

/* A loose reference is a file, and its lock file must have a name too. */
#define COMPONENT_MAX (255 - 5)
#define NAME_MAX_LEN  1000

const ProllyRefKind prolly_ref_branch = {"refs/heads/", "branch"};
const ProllyRefKind prolly_ref_tag = {"refs/tags/", "tag"};

/* ---- Names ------------------------------------------------------------------------------- */

/* Letters, digits, '_' and '-' alone, as nearly all names are: nothing is wrong with them. */
static bool is_plain(const char *name)
{
	size_t len = 0;

	while (g_ascii_isalnum(name[len]) || name[len] == '_' || name[len] == '-')
		len++;
	return len > 0 && len <= COMPONENT_MAX && name[len] == '\0' && name[0] != '-' &&
	       strcmp(name, "HEAD") != 0;
}

static bool has_long_component(const char *name)
{
	for (;;) {
		size_t len = strcspn(name, "/");

		if (len > COMPONENT_MAX)
			return true;
		if (name[len] == '\0')
			return false;
		name += len + 1;
	}
}

bool prolly_ref_check_name(const ProllyRefKind *kind, const char *name, GError **error)
{
	g_autofree char *reference = NULL;
	int valid = 0;

	if (is_plain(name))
		return true;
	prolly_git_start();
	reference = g_strconcat(kind->prefix, name, NULL);
	if (git_reference_name_is_valid(&valid, reference) < 0 || !valid || name[0] == '-' ||
	    strcmp(name, "HEAD") == 0 || strcmp(name, "@") == 0)
		return prolly_throw(error, PROLLY_ERROR_INVALID, "not a valid %s name: '%s'",
				    kind->noun, name);
	if (strlen(name) > NAME_MAX_LEN || has_long_component(name))
		return prolly_throw(error, PROLLY_ERROR_INVALID, "%s name too long: '%s'",
				    kind->noun, name);
	return true;
}

/* ---- What is there ----------------------------------------------------------------------- */

bool prolly_ref_read(ProllyRepo *repo, const ProllyRefKind *kind, const char *name,
		     ProllyCommitId *out_id, bool *out_found, GError **error)
{
	g_autofree char *reference = g_strconcat(kind->prefix, name, NULL);
	ProllyRefs *refs = repo->body->git->refs;
	bool ok;

	g_mutex_lock(&repo->body->git_lock);
	ok = refs->ops->get(refs, reference, out_id, out_found, error);
	g_mutex_unlock(&repo->body->git_lock);
	return ok;
}

/* (transfer full) The references below PREFIX, in any order, or MAX of them. */
static bool list_references(ProllyRepo *repo, const char *prefix, guint max,
			    GPtrArray **out_references, GError **error)
{
	g_autoptr(GPtrArray) references = g_ptr_array_new_with_free_func(g_free);
	ProllyRefs *refs = repo->body->git->refs;
	bool ok;

	g_mutex_lock(&repo->body->git_lock);
	ok = refs->ops->list(refs, prefix, max, references, error);
	g_mutex_unlock(&repo->body->git_lock);
	if (ok)
		*out_references = g_steal_pointer(&references);
	return ok;
}

bool prolly_ref_list(ProllyRepo *repo, const ProllyRefKind *kind, const char *level,
		     GPtrArray **out_names, GError **error)
{
	g_autofree char *prefix =
		level ? g_strconcat(kind->prefix, level, "/", NULL) : g_strdup(kind->prefix);
	g_autoptr(GPtrArray) references = NULL;
	GPtrArray *names;

	if (level && !prolly_ref_check_name(kind, level, NULL)) {
		*out_names = g_ptr_array_new_with_free_func(g_free);
		return true;
	}
	if (!list_references(repo, prefix, G_MAXUINT, &references, error))
		return false;
	names = g_ptr_array_new_full(references->len, g_free);
	for (guint i = 0; i < references->len; i++) {
		const char *reference = g_ptr_array_index(references, i);
		const char *name = reference + strlen(kind->prefix);

		/* git may have made one that we could not */
		if (prolly_ref_check_name(kind, name, NULL))
			g_ptr_array_add(names, g_strdup(name));
	}
	g_ptr_array_sort(names, prolly_strings_compare);
	*out_names = names;
	return true;
}

bool prolly_ref_is_level(ProllyRepo *repo, const ProllyRefKind *kind, const char *level,
			 bool *out_is, GError **error)
{
	g_autofree char *prefix = g_strconcat(kind->prefix, level, "/", NULL);
	g_autoptr(GPtrArray) found = NULL, all = NULL;

	*out_is = false;
	if (!prolly_ref_check_name(kind, level, NULL))
		return true;
	if (!list_references(repo, prefix, 1, &found, error))
		return false;
	if (!found->len)
		return true;
	if (prolly_ref_check_name(kind, (char *)found->pdata[0] + strlen(kind->prefix), NULL)) {
		*out_is = true;
		return true;
	}
	if (!prolly_ref_list(repo, kind, level, &all, error))
		return false;
	*out_is = all->len > 0;
	return true;
}

/* EXISTS if OTHER, which is NAME or clashes with it, is there and not EXCEPT. */
static bool check_absent(ProllyRepo *repo, const ProllyRefKind *kind, const char *name,
			 const char *other, const char *except, GError **error)
{
	ProllyCommitId id;
	bool found;

	if (g_strcmp0(other, except) == 0)
		return true;
	if (!prolly_ref_read(repo, kind, other, &id, &found, error))
		return false;
	if (found && strcmp(other, name) == 0)
		return prolly_throw(error, PROLLY_ERROR_EXISTS, "a %s named '%s' already exists",
				    kind->noun, name);
	if (found)
		return prolly_throw(error, PROLLY_ERROR_EXISTS,
				    "%s '%s' exists, so '%s' cannot be one", kind->noun, other,
				    name);
	return true;
}

bool prolly_ref_check_free(ProllyRepo *repo, const ProllyRefKind *kind, const char *name,
			   const char *except, GError **error)
{
	g_autofree char *below = g_strconcat(kind->prefix, name, "/", NULL);
	g_autoptr(GPtrArray) children = NULL;

	for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
		g_autofree char *parent = g_strndup(name, (size_t)(slash - name));

		if (!check_absent(repo, kind, name, parent, except, error))
			return false;
	}
	if (!list_references(repo, below, G_MAXUINT, &children, error))
		return false;
	for (guint i = 0; i < children->len; i++) {
		const char *child = g_ptr_array_index(children, i);

		if (!check_absent(repo, kind, name, child + strlen(kind->prefix), except, error))
			return false;
	}
	return check_absent(repo, kind, name, name, except, error);
}

/* ---- Changes ----------------------------------------------------------------------------- */

GPtrArray *prolly_ref_updates_new(void)
{
	return g_ptr_array_new_with_free_func((GDestroyNotify)prolly_ref_update_free);
}

ProllyRefUpdate *prolly_ref_update_new(ProllyRepo *repo, const ProllyRefKind *kind,
				       const char *name, const ProllyCommitId *from,
				       const ProllyCommitId *to, const char *message)
{
	ProllyRefUpdate *update = g_new0(ProllyRefUpdate, 1);

	update->name = g_strconcat(kind->prefix, name, NULL);
	if (from)
		update->from = *from;
	if (to)
		update->to = *to;
	if (!message) {
		update->log = g_strdup("");
		return update;
	}
	g_mutex_lock(&repo->body->git_lock);
	update->log = prolly_reflog_format(repo->body->git, repo->committer, message);
	g_mutex_unlock(&repo->body->git_lock);
	return update;
}
