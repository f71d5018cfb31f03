/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Revision: the expressions that name commits, as in gitrevisions(7):
 *
 *   revision  base suffix*
 *   base      a branch, a tag, a full or unique abbreviated commit id; HEAD or @: the default branch,
 *             as is nothing at all before @{}
 *   suffix    ~[N]     the Nth first parent (1)
 *             ^[N]     the Nth parent (1; ^0 is itself, as are ^{} and ^{commit})
 *             @{N}     the Nth last value of a branch; next to the name only
 *             @{DATE}  its value then; next to the name only
 *
 * A branch wins over a tag and both over an id, so that a branch named like one can be reached; the
 * tag is then tags/NAME. The references are read through refs-files.c and refs-memory.c, since a
 * store in memory keeps them nowhere else; the rest is read from git's objects and reflogs. The
 * whole of it runs under the git lock.
 */
#include "version/reflog.h"

#include <string.h>

#include "version/repo-private.h"

#define ABBREVIATION_MIN 4
#define REFLOG_MAX       100000000u /* greater numbers in @{} are seconds, as in git */

typedef struct {
	ProllyRepoBody *body;
	const char *rev; /* the whole of it, for messages */
	char *reference; /* that the base names; NULL: none */
	ProllyCommitId id;
} Resolution;

static bool throw_unknown(const Resolution *self, GError **error)
{
	return prolly_throw(error, PROLLY_ERROR_NOT_FOUND, "%s: unknown revision", self->rev);
}

/* ---- Objects ----------------------------------------------------------------------------- */

/* Sets the id to the commit that OID, a commit or a tag of one, leads to. */
static bool peel(Resolution *self, const git_oid *oid, GError **error)
{
	g_autoptr(git_object) object = NULL, commit = NULL;
	int code = git_object_lookup(&object, self->body->git->repo, oid, GIT_OBJECT_ANY);

	if (code == 0)
		code = git_object_peel(&commit, object, GIT_OBJECT_COMMIT);
	if (code == GIT_EPEEL || code == GIT_EINVALIDSPEC)
		return prolly_throw(error, PROLLY_ERROR_INVALID, "%s: not a commit", self->rev);
	if (code < 0)
		return prolly_throw_git(error, code, "%s", self->rev);
	prolly_commit_id_from_oid(git_object_id(commit), &self->id);
	return true;
}

/* Replaces the id by its Nth parent. */
static bool go_to_parent(Resolution *self, unsigned n, GError **error)
{
	g_autoptr(git_commit) commit = NULL;
	const git_oid *parent;
	git_oid oid;
	int code;

	prolly_commit_id_to_oid(&self->id, &oid);
	code = git_commit_lookup(&commit, self->body->git->repo, &oid);
	if (code < 0)
		return prolly_throw_git(error, code, "%s", self->rev);
	parent = n > 0 ? git_commit_parent_id(commit, n - 1) : NULL;
	if (!parent)
		return throw_unknown(self, error);
	prolly_commit_id_from_oid(parent, &self->id);
	return true;
}

/* ---- The base ---------------------------------------------------------------------------- */

/* *OUT_FOUND: there is a reference PREFIX NAME; the id is what it leads to. */
static bool try_reference(Resolution *self, const char *prefix, const char *name, bool *out_found,
			  GError **error)
{
	ProllyRefs *refs = self->body->git->refs;
	g_autofree char *full = g_strconcat(prefix, name, NULL);
	ProllyCommitId id;
	git_oid oid;
	int is_name = 0;

	*out_found = false;
	if (git_reference_name_is_valid(&is_name, full) < 0 || !is_name)
		return true;
	if (!refs->ops->get(refs, full, &id, out_found, error))
		return false;
	if (!*out_found)
		return true;
	prolly_commit_id_to_oid(&id, &oid);
	g_free(self->reference);
	self->reference = g_steal_pointer(&full);
	return peel(self, &oid, error);
}

static bool is_hex(const char *text)
{
	return text[strspn(text, "0123456789abcdefABCDEF")] == '\0';
}

static bool resolve_id(Resolution *self, const char *name, GError **error)
{
	size_t len = strlen(name);
	git_oid prefix, oid;
	int code;

	if (len < ABBREVIATION_MIN || len > GIT_OID_HEXSZ || !is_hex(name) ||
	    git_oid_fromstrn(&prefix, name, len) < 0)
		return throw_unknown(self, error);
	code = git_odb_exists_prefix(&oid, self->body->git->odb, &prefix, len);
	if (code == GIT_EAMBIGUOUS)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "%s: more than one object begins with this id", self->rev);
	if (code < 0)
		return throw_unknown(self, error);
	return peel(self, &oid, error);
}

static bool resolve_base(Resolution *self, const char *name, GError **error)
{
	static const char *const prefixes[] = {"refs/heads/", "refs/tags/", "refs/"};
	bool found = false;

	if (strcmp(name, "@") == 0 || strcmp(name, "HEAD") == 0)
		name = self->body->default_branch;
	for (size_t i = 0; i < G_N_ELEMENTS(prefixes) && !found; i++) {
		if (!try_reference(self, prefixes[i], name, &found, error))
			return false;
	}
	if (!found && g_str_has_prefix(name, "refs/") &&
	    !try_reference(self, "", name, &found, error))
		return false;
	return found || resolve_id(self, name, error);
}

/* ---- Reflogs ----------------------------------------------------------------------------- */

/* (transfer full) The reflog of the base's reference, oldest first. */
static bool load_log(Resolution *self, GArray **out_entries, GError **error)
{
	ProllyRefs *refs = self->body->git->refs;
	g_autoptr(GArray) entries = NULL;
	g_autoptr(GBytes) log = NULL;

	if (!refs->ops->load_log(refs, self->reference, &log, error))
		return false;
	entries = prolly_reflog_parse(log);
	if (entries->len == 0)
		return prolly_throw(error, PROLLY_ERROR_NOT_FOUND, "%s: no reflog is kept of it",
				    self->rev);
	*out_entries = g_steal_pointer(&entries);
	return true;
}

/* What the reference was before entry I of ENTRIES (or after the last one). */
static const ProllyCommitId *value_before(const GArray *entries, guint i)
{
	if (i > 0)
		return &g_array_index(entries, ProllyReflogEntry, i - 1).to;
	return &g_array_index(entries, ProllyReflogEntry, 0).from;
}

static bool parse_number(const char *text, guint64 max, guint64 *out_number)
{
	return g_ascii_string_to_unsigned(text, 10, 0, max, out_number, NULL);
}

/* The inside of @{...}. */
static bool resolve_past(Resolution *self, const char *when, GError **error)
{
	g_autoptr(GArray) entries = NULL;
	int64_t time;
	guint64 n;
	int zone;
	guint i;

	if (!self->reference)
		return prolly_throw(error, PROLLY_ERROR_INVALID, "%s: only a branch has a past",
				    self->rev);
	if (!load_log(self, &entries, error))
		return false;
	if (parse_number(when, REFLOG_MAX - 1, &n)) {
		if (n > entries->len ||
		    (n == entries->len &&
		     prolly_commit_id_is_zero(&g_array_index(entries, ProllyReflogEntry, 0).from)))
			return prolly_throw(error, PROLLY_ERROR_NOT_FOUND,
					    "%s: the reflog has only %u %s", self->rev,
					    entries->len, entries->len == 1 ? "entry" : "entries");
		i = entries->len - (guint)n;
	} else if (prolly_date_parse(when, g_get_real_time() / G_USEC_PER_SEC, &time, &zone)) {
		for (i = entries->len; i > 0; i--) {
			if (g_array_index(entries, ProllyReflogEntry, i - 1).who.time <= time)
				break;
		}
	} else {
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "%s: '%s' is no number and no date", self->rev, when);
	}
	self->id = *value_before(entries, i);
	/* Before its first entry, a branch is taken for what it began as. */
	if (prolly_commit_id_is_zero(&self->id))
		self->id = g_array_index(entries, ProllyReflogEntry, 0).to;
	return true;
}

/* ---- Suffixes ---------------------------------------------------------------------------- */

/* The digits at *TEXT, which go; 1 if there are none. */
static bool take_number(Resolution *self, const char **text, guint64 *out_number, GError **error)
{
	size_t len = strspn(*text, "0123456789");
	g_autofree char *digits = g_strndup(*text, len);

	*out_number = 1;
	if (len && !parse_number(digits, G_MAXINT, out_number))
		return prolly_throw(error, PROLLY_ERROR_INVALID, "%s: too great a number",
				    self->rev);
	*text += len;
	return true;
}

/* One suffix of ~ or ^ at *TEXT, which goes. */
static bool resolve_step(Resolution *self, const char **text, GError **error)
{
	static const char *const itself[] = {"{commit}", "{}"};
	char sign = *(*text)++;
	guint64 n;

	for (size_t i = 0; sign == '^' && i < G_N_ELEMENTS(itself); i++) {
		if (g_str_has_prefix(*text, itself[i])) {
			*text += strlen(itself[i]);
			return true;
		}
	}
	if (!take_number(self, text, &n, error))
		return false;
	if (sign == '^')
		return n == 0 || go_to_parent(self, (unsigned)n, error);
	for (; n > 0; n--) {
		if (!go_to_parent(self, 1, error))
			return false;
	}
	return true;
}

static bool resolve_suffixes(Resolution *self, const char *text, GError **error)
{
	if (g_str_has_prefix(text, "@{")) {
		const char *end = strchr(text, '}');
		g_autofree char *when = end ? g_strndup(text + 2, (size_t)(end - text - 2)) : NULL;

		if (!end)
			return throw_unknown(self, error);
		if (!resolve_past(self, when, error))
			return false;
		text = end + 1;
	}
	while (*text == '~' || *text == '^') {
		if (!resolve_step(self, &text, error))
			return false;
	}
	return *text == '\0' || throw_unknown(self, error);
}

/* Where the base of REV ends. */
static size_t base_length(const char *rev)
{
	size_t len = strcspn(rev, "~^");
	const char *past = strstr(rev, "@{");

	return past && (size_t)(past - rev) < len ? (size_t)(past - rev) : len;
}

bool prolly_revision_resolve(ProllyRepo *repo, const char *rev, ProllyCommitId *out_id,
			     GError **error)
{
	Resolution self = {.body = repo->body, .rev = rev};
	size_t len = base_length(rev);
	g_autofree char *base = g_str_has_prefix(rev, "@{") ? g_strdup("@") : g_strndup(rev, len);
	bool ok;

	if (rev[0] == '\0')
		return prolly_throw(error, PROLLY_ERROR_INVALID, "an empty revision");
	g_mutex_lock(&repo->body->git_lock);
	ok = resolve_base(&self, base, error) && resolve_suffixes(&self, rev + len, error);
	g_mutex_unlock(&repo->body->git_lock);
	g_free(self.reference);
	if (ok)
		*out_id = self.id;
	return ok;
}
