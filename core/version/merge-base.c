/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The base of a merge.
 *
 * It is the best common ancestor of the two sides: one that no other common ancestor descends from.
 * After a criss-cross (two branches that merged each other) there are several, and none of them
 * alone will do: a key that one of them has as it was before and the other as it was settled since
 * would look changed on a side that did not change it. So they are merged, as git's recursive
 * strategy does it, each with what came of those before; the base of that is found the same way, and
 * so on down a ladder of criss-crosses, of which each step is one merge.
 *
 * Where the bases themselves conflict, somebody settled it on each side, and what is right now
 * cannot be derived from what was wrong then. So the base gets a value there that neither side can
 * have: both values between conflict markers. Then a key that both sides settled alike is the same
 * change, and any other is a conflict that shows where it comes from. Strategies that compute a
 * value (number, union, json...) do so between bases too; those that choose a side do not.
 *
 * The bases are taken from the oldest to the newest, equal times by their ids, so that a merge and
 * the one in the other direction have the same base.
 */
#include "base/memory.h"
#include "version/merge-private.h"

#include <string.h>

#define DEPTH_MAX    200   /* steps of a ladder that are gone down */
#define LINES_ROOM   1024u /* bytes of lines around the sides of a conflict */
#define SHOWN_MAX    (64u << 10)
#define SHORT_ID_LEN 10

/* ---- Common ancestors -------------------------------------------------------------------- */

typedef struct {
	ProllyCommitId id;
	int64_t time;
} Dated;

static int compare_dated(gconstpointer a, gconstpointer b)
{
	const Dated *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return memcmp(x->id.bytes, y->id.bytes, PROLLY_COMMIT_ID_SIZE);
}

/* (transfer full) IDS, the oldest first. */
static bool sort_commits(ProllyRepo *repo, const git_oidarray *ids, GArray **out_ids,
			 GError **error)
{
	g_autoptr(GArray) dated = g_array_new(FALSE, FALSE, sizeof(Dated));
	g_autoptr(GArray) sorted = g_array_new(FALSE, FALSE, sizeof(ProllyCommitId));

	for (size_t i = 0; i < ids->count; i++) {
		g_autoptr(ProllyCommit) commit = NULL;
		Dated item;

		prolly_commit_id_from_oid(&ids->ids[i], &item.id);
		if (!prolly_commit_load(repo, &item.id, &commit, error))
			return false;
		item.time = commit->committer.time;
		g_array_append_val(dated, item);
	}
	g_array_sort(dated, compare_dated);
	for (guint i = 0; i < dated->len; i++)
		g_array_append_val(sorted, g_array_index(dated, Dated, i).id);
	*out_ids = g_steal_pointer(&sorted);
	return true;
}

/* The best common ancestors of ONE and a merge of the N in OTHERS. */
static bool find_bases(ProllyRepo *repo, const ProllyCommitId *one, const ProllyCommitId *others,
		       guint n, GArray **out_bases, GError **error)
{
	g_autofree git_oid *oids = g_new(git_oid, n + 1);
	char hex[2][PROLLY_COMMIT_ID_HEX_SIZE];
	git_oidarray found = {0};
	bool ok = true;
	int result;

	prolly_commit_id_to_oid(one, &oids[0]);
	for (guint i = 0; i < n; i++)
		prolly_commit_id_to_oid(&others[i], &oids[i + 1]);
	g_mutex_lock(&repo->body->git_lock);
	result = git_merge_bases_many(&found, repo->body->git->repo, n + 1, oids);
	if (result < 0 && result != GIT_ENOTFOUND)
		ok = prolly_throw_git(error, result, "merge bases of %s and %s",
				      prolly_commit_id_to_hex(one, hex[0]),
				      prolly_commit_id_to_hex(&others[0], hex[1]));
	g_mutex_unlock(&repo->body->git_lock);
	ok = ok && sort_commits(repo, &found, out_bases, error);
	git_oidarray_dispose(&found);
	return ok;
}

bool prolly_history_merge_bases(ProllyRepo *repo, const ProllyCommitId *a, const ProllyCommitId *b,
				GArray **out_bases, GError **error)
{
	return find_bases(repo, a, b, 1, out_bases, error);
}

/* ---- Conflicts between bases ------------------------------------------------------------- */

typedef struct {
	ProllyRepo *repo;
	ProllyDecider *decider;
	const ProllyCommitId *ours, *theirs;
} Inner;

/* What a side has of a key that is in conflict: its text if that is short, else what it is. */
static bool append_side(Inner *self, const uint8_t *stored, size_t len, GByteArray **out,
			GError **error)
{
	const ProllyTreeContext *context = prolly_repo_get_context(self->repo);
	g_autofree char *line = NULL;
	ProllyValue value;
	guint start = (*out)->len;
	size_t got = 0;

	if (!stored || !prolly_value_parse(stored, len, &value, NULL)) {
		line = g_strdup("(deleted)\n");
	} else if (value.length > SHOWN_MAX || value.kind > PROLLY_KIND_EXECUTABLE) {
		g_autofree char *hash = g_compute_checksum_for_data(G_CHECKSUM_SHA256, stored, len);

		line = g_strdup_printf("(kind %d, %" G_GUINT64_FORMAT " bytes, %s)\n", value.kind,
				       value.length, hash);
	} else {
		/* And what is around it. */
		if (!prolly_try_reserve(out, (size_t)value.length + LINES_ROOM, "a conflict",
					error))
			return false;
		g_byte_array_set_size(*out, start + (guint)value.length);
		if (!prolly_value_read(context, &value, 0, (*out)->data + start, value.length, &got,
				       error))
			return false;
		g_byte_array_set_size(*out, start + (guint)got);
		line = g_strdup(got > 0 && (*out)->data[(*out)->len - 1] != '\n' ? "\n" : "");
	}
	g_byte_array_append(*out, (const uint8_t *)line, (guint)strlen(line));
	return true;
}

static void append_marker(GByteArray *out, const char *sign, const ProllyCommitId *id)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE] = "";
	g_autofree char *line = NULL;

	if (id)
		prolly_commit_id_to_hex(id, hex);
	line = g_strdup_printf("%s%s%.*s\n", sign, id ? " " : "", SHORT_ID_LEN, hex);
	g_byte_array_append(out, (const uint8_t *)line, (guint)strlen(line));
}

/* ProllyDecideFunc: always decides. */
static bool decide_inner(void *data, const ProllyPlace *place, const ProllyMergeStep *step,
			 GBytes **out_stored, GError **error)
{
	Inner *self = data;
	g_autoptr(GByteArray) text = g_byte_array_new();
	bool decided;

	if (!prolly_decider_decide(self->decider, place, step, &decided, out_stored, error))
		return false;
	if (decided)
		return true;
	append_marker(text, "<<<<<<<", self->ours);
	if (!append_side(self, step->ours, step->ours_len, &text, error))
		return false;
	append_marker(text, "=======", NULL);
	if (!append_side(self, step->theirs, step->theirs_len, &text, error))
		return false;
	append_marker(text, ">>>>>>>", self->theirs);
	return prolly_value_store(prolly_repo_get_context(self->repo), PROLLY_KIND_FILE, text->data,
				  text->len, out_stored, error);
}

/* ---- One state of several ---------------------------------------------------------------- */

typedef struct {
	ProllyRepo *repo;
	ProllyBranch *branch;
	const ProllyMergeOptions *options;
} Ladder;

static bool merge_bases(const Ladder *self, const GArray *bases, unsigned depth,
			GArray **out_namespaces, GError **error);

/* The state that the first I of BASES have in common with the one after. */
static bool find_inner_base(const Ladder *self, const GArray *bases, guint i, unsigned depth,
			    GArray **out_namespaces, GError **error)
{
	const ProllyCommitId *ids = (const ProllyCommitId *)(const void *)bases->data;
	g_autoptr(GArray) below = NULL;

	if (!find_bases(self->repo, &ids[i], ids, i, &below, error))
		return false;
	if (below->len == 0) {
		*out_namespaces = prolly_namespaces_new();
		return true;
	}
	/* So far down any common ancestor does: an older one only makes more conflicts. */
	if (depth >= DEPTH_MAX)
		g_array_set_size(below, 1);
	return merge_bases(self, below, depth + 1, out_namespaces, error);
}

/* Merges base I into *NAMESPACES, which the ones before it have become. */
static bool merge_next(const Ladder *self, const GArray *bases, guint i, unsigned depth,
		       GArray **namespaces, GError **error)
{
	const ProllyCommitId *ours = &g_array_index(bases, ProllyCommitId, 0);
	const ProllyCommitId *theirs = &g_array_index(bases, ProllyCommitId, i);
	ProllyDeciderSetting setting = {
		.options = self->options,
		.is_virtual = true,
		.ours = i == 1 ? ours : NULL,
		.theirs = i == 1 ? theirs : NULL,
	};
	g_autoptr(ProllyDecider) decider = NULL;
	g_autoptr(GArray) base = NULL, next = NULL;
	GArray *merged = NULL;
	ProllySides sides;
	Inner inner = {self->repo, NULL, ours, theirs};

	if (!find_inner_base(self, bases, i, depth, &base, error) ||
	    !prolly_commit_load_namespaces(self->repo, theirs, &next, error) ||
	    !prolly_decider_new(self->repo, self->branch, &setting, &decider, error) ||
	    !prolly_sides_init(&sides, self->repo, base, *namespaces, next, error))
		return false;
	inner.decider = decider;
	if (!prolly_sides_merge(&sides, decide_inner, &inner, &merged, error))
		return false;
	g_array_unref(*namespaces);
	*namespaces = merged;
	return true;
}

static bool merge_bases(const Ladder *self, const GArray *bases, unsigned depth,
			GArray **out_namespaces, GError **error)
{
	g_autoptr(GArray) namespaces = NULL;

	if (!prolly_commit_load_namespaces(self->repo, &g_array_index(bases, ProllyCommitId, 0),
					   &namespaces, error))
		return false;
	for (guint i = 1; i < bases->len; i++)
		if (!merge_next(self, bases, i, depth, &namespaces, error))
			return false;
	*out_namespaces = g_steal_pointer(&namespaces);
	return true;
}

bool prolly_bases_merge(ProllyRepo *repo, ProllyBranch *branch, const ProllyMergeOptions *options,
			const GArray *bases, GArray **out_namespaces, GError **error)
{
	Ladder ladder = {repo, branch, options};

	return merge_bases(&ladder, bases, 0, out_namespaces, error);
}
