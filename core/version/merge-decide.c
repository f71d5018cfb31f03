/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that both sides changed differently: what they become.
 *
 * First what needs no strategy. Kind and content of a file are two things: where one side made it
 * executable and the other wrote to it, both hold. Then the strategies, from the first that is given
 * of these: the one for this run, what the attributes say of the key, the preference for this run;
 * each may be a chain. Those that compute a content do so where all three sides are files (or the
 * base is not there) and it is settled which kind of file; those that choose a side choose deletions
 * too. What none settles is a conflict.
 *
 * Commands. One that the caller names is run if the caller is who owns the process. One that the
 * attributes name came with the data, from whoever wrote to a branch that was merged once; it is run
 * only if the owner's own configuration of git trusts the store as well (prollyfs.trust). Else the key
 * stays in conflict, and that is said once.
 *
 * The attributes are those of our working state, as in git: they hold for the merge as a whole.
 */
#include "base/memory.h"
#include "version/strategy.h"

#include <stdlib.h>
#include <string.h>

#define CONTENT_MAX    (16u << 20) /* of a side, for strategies that have it in memory */
#define ATTRIBUTES_MAX (4u << 20)
#define RESULT_ROOM    4096u
#define KIND_MASK      0x7f

#define NOT_RUN "a merge command that " PROLLY_ATTRIBUTES_KEY " names was not run: "

struct ProllyDecider {
	ProllyRepo *repo; /* borrowed */
	const ProllyDeciderSetting *setting;
	const ProllyMergeOptions *options;
	GArray *strategy;             /* nullable; for all keys */
	GArray *preference;           /* nullable */
	ProllyAttributes *attributes; /* nullable; not read where a strategy is given */
	ProllyDating *dating;         /* nullable until needed */
	bool has_warned;
};

/* ---- Kinds ------------------------------------------------------------------------------- */

static int get_kind(const uint8_t *stored, size_t len)
{
	return stored && len > 0 ? stored[0] & KIND_MASK : -1;
}

static bool is_file_kind(int kind)
{
	return kind == PROLLY_KIND_FILE || kind == PROLLY_KIND_EXECUTABLE;
}

/* The kind that a content merged of STEP's sides has. False: it has none. */
static bool merge_kinds(const ProllyMergeStep *step, ProllyKind *out_kind)
{
	int base = get_kind(step->base, step->base_len);
	int ours = get_kind(step->ours, step->ours_len);
	int theirs = get_kind(step->theirs, step->theirs_len);

	if (!is_file_kind(ours) || !is_file_kind(theirs) || (step->base && !is_file_kind(base)))
		return false;
	*out_kind = (ProllyKind)(base == ours ? theirs : ours);
	return ours == theirs || base == ours || base == theirs;
}

ProllyConflictKind prolly_conflict_classify(const ProllyMergeStep *step)
{
	ProllyKind kind;

	if (!step->ours)
		return PROLLY_CONFLICT_DELETED_BY_US;
	if (!step->theirs)
		return PROLLY_CONFLICT_DELETED_BY_THEM;
	if (get_kind(step->ours, step->ours_len) != get_kind(step->theirs, step->theirs_len) &&
	    !merge_kinds(step, &kind))
		return PROLLY_CONFLICT_TYPE;
	return step->base ? PROLLY_CONFLICT_BOTH_MODIFIED : PROLLY_CONFLICT_BOTH_ADDED;
}

/* Do two stored values differ in their kinds alone? */
static bool have_same_content(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	if (!a || !b || a_len != b_len || a_len == 0)
		return false;
	return (a[0] & ~KIND_MASK) == (b[0] & ~KIND_MASK) && memcmp(a + 1, b + 1, a_len - 1) == 0;
}

/* (transfer full) VALUE, with kind KIND. */
static GBytes *with_kind(const uint8_t *value, size_t len, ProllyKind kind)
{
	uint8_t *bytes = g_memdup2(value, len);

	bytes[0] = (uint8_t)((bytes[0] & ~KIND_MASK) | kind);
	return g_bytes_new_take(bytes, len);
}

/* (transfer full) What comes of it where at most one side changed the content; else NULL. */
static GBytes *merge_kind_and_content(const ProllyMergeStep *step, ProllyKind kind)
{
	if (have_same_content(step->base, step->base_len, step->ours, step->ours_len))
		return with_kind(step->theirs, step->theirs_len, kind);
	if (have_same_content(step->base, step->base_len, step->theirs, step->theirs_len) ||
	    have_same_content(step->ours, step->ours_len, step->theirs, step->theirs_len))
		return with_kind(step->ours, step->ours_len, kind);
	return NULL;
}

/* ---- Contents ---------------------------------------------------------------------------- */

typedef struct {
	ProllyTexts texts;
	char *owned[PROLLY_SIDE_OF_N];
} Contents;

static void clear_contents(Contents *contents)
{
	for (size_t i = 0; i < PROLLY_SIDE_OF_N; i++)
		g_free(contents->owned[i]);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Contents, clear_contents)

/* *OUT_FITS false: it is too long. */
static bool load_content(ProllyRepo *repo, const uint8_t *stored, size_t len, ProllyText *out_text,
			 char **out_owned, bool *out_fits, GError **error)
{
	ProllyValue value;
	size_t got;

	if (!stored)
		return true;
	if (!prolly_value_parse(stored, len, &value, error))
		return false;
	if (value.length > CONTENT_MAX) {
		*out_fits = false;
		return true;
	}
	*out_owned = prolly_try_malloc((size_t)value.length, "a value to be merged", error);
	if (!*out_owned || !prolly_value_read(prolly_repo_get_context(repo), &value, 0, *out_owned,
					      value.length, &got, error))
		return false;
	*out_text = (ProllyText){*out_owned, got};
	return true;
}

static bool load_contents(ProllyRepo *repo, const ProllyMergeStep *step, Contents *contents,
			  bool *out_fit, GError **error)
{
	ProllyTexts *texts = &contents->texts;
	char **owned = contents->owned;

	*out_fit = true;
	return load_content(repo, step->base, step->base_len, &texts->base, &owned[0], out_fit,
			    error) &&
	       load_content(repo, step->ours, step->ours_len, &texts->ours, &owned[1], out_fit,
			    error) &&
	       load_content(repo, step->theirs, step->theirs_len, &texts->theirs, &owned[2],
			    out_fit, error);
}

typedef bool (*TextFunc)(const ProllyTexts *texts, GByteArray *out);

static bool apply_text(ProllyDecider *self, TextFunc func, const ProllyMergeStep *step,
		       ProllyStrategyResult *result, GError **error)
{
	const ProllyTreeContext *context = prolly_repo_get_context(self->repo);
	g_autoptr(GByteArray) out = g_byte_array_new();
	g_auto(Contents) contents = {0};
	bool fit;

	if (!load_contents(self->repo, step, &contents, &fit, error))
		return false;
	/* What comes of it is put together from them. */
	if (fit && !prolly_try_reserve(&out,
				       contents.texts.base.len + contents.texts.ours.len +
					       contents.texts.theirs.len + RESULT_ROOM,
				       "a merged value", error))
		return false;
	result->is_merged = fit && func(&contents.texts, out);
	if (!result->is_merged)
		return true;
	if (self->options->dry_run) {
		result->stored = prolly_value_new_inline(result->kind, out->data, out->len);
		return true;
	}
	return prolly_value_store(context, result->kind, out->data, out->len, &result->stored,
				  error);
}

/* ---- Strategies -------------------------------------------------------------------------- */

/* The whole of one side, its deletion too; but of a kind that only the other changed, that. */
static void choose(const uint8_t *value, size_t len, const ProllyMergeStep *step,
		   ProllyStrategyResult *result)
{
	ProllyKind kind;

	result->is_merged = true;
	if (value)
		result->stored = merge_kinds(step, &kind) ? with_kind(value, len, kind)
							  : g_bytes_new(value, len);
}

static bool choose_newest(ProllyDecider *self, const ProllyPlace *place,
			  const ProllyMergeStep *step, ProllyStrategyResult *result, GError **error)
{
	const ProllyDeciderSetting *setting = self->setting;
	int64_t ours, theirs;

	if (!setting->ours || !setting->theirs)
		return true;
	if (!self->dating)
		self->dating = prolly_dating_new(self->repo);
	if (!prolly_dating_find(self->dating, setting->ours, place, &ours, error) ||
	    !prolly_dating_find(self->dating, setting->theirs, place, &theirs, error))
		return false;
	if (ours > theirs)
		choose(step->ours, step->ours_len, step, result);
	else if (theirs > ours)
		choose(step->theirs, step->theirs_len, step, result);
	return true;
}

/* In the configuration of git that is the owner's: the store's own may have come with the command. */
static bool is_trusted(ProllyRepo *repo)
{
	char *path = repo->body->path ? realpath(repo->body->path, NULL) : NULL;
	bool is = path && (prolly_git_config_lists("prollyfs.trust", path) ||
			   prolly_git_config_lists("prollyfs.trust", "*"));

	free(path);
	return is;
}

static bool execute(ProllyDecider *self, const ProllyStrategy *strategy, bool from_attributes,
		    const ProllyPlace *place, const ProllyMergeStep *step,
		    ProllyStrategyResult *result, GError **error)
{
	const ProllyMergeOptions *options = self->options;
	bool may = options->may_execute && (!from_attributes || is_trusted(self->repo));

	if (may)
		return prolly_strategy_exec(self->repo, options, strategy->command, place, step,
					    result, error);
	if (!from_attributes)
		return prolly_throw(error, PROLLY_ERROR_DENIED,
				    "exec:%s: only who owns the mount may have commands run",
				    strategy->command);
	if (!self->has_warned && options->warn)
		options->warn(options->may_execute
				      ? NOT_RUN "your configuration of git does not name "
						"this store in prollyfs.trust"
				      : NOT_RUN "only who owns the mount may have commands run",
			      options->conflict_data);
	self->has_warned = true;
	return true;
}

/* Contents can be merged: no side deleted the key, and its kind is settled. */
static bool has_contents(const ProllyMergeStep *step, ProllyKind *out_kind)
{
	return step->ours && step->theirs && merge_kinds(step, out_kind);
}

static bool try_strategy(ProllyDecider *self, const ProllyStrategy *strategy, bool from_attributes,
			 const ProllyPlace *place, const ProllyMergeStep *step,
			 ProllyStrategyResult *result, GError **error)
{
	bool is_virtual = self->setting->is_virtual;

	if (strategy->kind == PROLLY_STRATEGY_NEWEST)
		return choose_newest(self, place, step, result, error);
	if (strategy->kind == PROLLY_STRATEGY_OURS && !is_virtual)
		choose(step->ours, step->ours_len, step, result);
	if (strategy->kind == PROLLY_STRATEGY_THEIRS && !is_virtual)
		choose(step->theirs, step->theirs_len, step, result);
	if (!has_contents(step, &result->kind))
		return true;
	switch (strategy->kind) {
	case PROLLY_STRATEGY_UNION:
		return apply_text(self, prolly_strategy_union, step, result, error);
	case PROLLY_STRATEGY_NUMBER:
		return apply_text(self, prolly_strategy_number, step, result, error);
	case PROLLY_STRATEGY_JSON:
		return apply_text(self, prolly_strategy_json, step, result, error);
	case PROLLY_STRATEGY_EXEC:
		return execute(self, strategy, from_attributes, place, step, result, error);
	default:
		return true;
	}
}

/* The chain for PLACE; NULL: none. */
static const GArray *find_chain(ProllyDecider *self, const ProllyPlace *place,
				bool *out_from_attributes)
{
	const GArray *found = self->strategy;

	*out_from_attributes = false;
	if (!found && self->attributes) {
		g_autofree char *path =
			prolly_path_from_key(place->ns, place->key, place->key_len, false);

		found = prolly_attributes_find(self->attributes, path);
		*out_from_attributes = found != NULL;
	}
	return found ? found : self->preference;
}

static bool try_chain(ProllyDecider *self, const ProllyPlace *place, const ProllyMergeStep *step,
		      ProllyStrategyResult *result, GError **error)
{
	bool from_attributes;
	const GArray *chain = find_chain(self, place, &from_attributes);

	for (guint i = 0; chain && i < chain->len && !result->is_merged; i++)
		if (!try_strategy(self, &g_array_index(chain, ProllyStrategy, i), from_attributes,
				  place, step, result, error))
			return false;
	return true;
}

bool prolly_decider_decide(ProllyDecider *self, const ProllyPlace *place,
			   const ProllyMergeStep *step, bool *out_decided, GBytes **out_stored,
			   GError **error)
{
	ProllyStrategyResult result = {0};
	ProllyKind kind;

	if (has_contents(step, &kind)) {
		result.stored = merge_kind_and_content(step, kind);
		result.is_merged = result.stored != NULL;
	}
	if (!result.is_merged && !try_chain(self, place, step, &result, error))
		return false;
	*out_decided = result.is_merged;
	*out_stored = result.stored;
	return true;
}

/* ---- Lifecycle --------------------------------------------------------------------------- */

static bool read_attributes(ProllyDecider *self, ProllyView *view, GError **error)
{
	ProllyPlace place = {"", (const uint8_t *)PROLLY_ATTRIBUTES_KEY,
			     strlen(PROLLY_ATTRIBUTES_KEY)};
	g_auto(ProllyEntry) entry = {0};
	g_autofree char *text = NULL;
	bool found;
	size_t len;

	if (!prolly_view_get(view, &place, false, &entry, &found, error))
		return false;
	if (!found || !is_file_kind((int)entry.kind))
		return true;
	if (entry.length > ATTRIBUTES_MAX)
		return prolly_throw(error, PROLLY_ERROR_TOO_BIG, "%s is over %u bytes",
				    PROLLY_ATTRIBUTES_KEY, ATTRIBUTES_MAX);
	text = prolly_try_malloc((size_t)entry.length, PROLLY_ATTRIBUTES_KEY, error);
	return text && prolly_view_read(view, &entry, 0, text, entry.length, &len, error) &&
	       prolly_attributes_parse(text, len, &self->attributes, error);
}

/* (transfer full) *OUT_CHAIN NULL: nothing is given. */
static bool parse_given(const char *text, GArray **out_chain, GError **error)
{
	*out_chain = NULL;
	return !text || prolly_strategy_parse(text, out_chain, error);
}

bool prolly_decider_check_options(const ProllyMergeOptions *options, GError **error)
{
	g_autoptr(GArray) strategy = NULL;
	g_autoptr(GArray) preference = NULL;

	return parse_given(options->strategy, &strategy, error) &&
	       parse_given(options->preference, &preference, error);
}

bool prolly_decider_new(ProllyRepo *repo, ProllyBranch *branch, const ProllyDeciderSetting *setting,
			ProllyDecider **out_decider, GError **error)
{
	const ProllyMergeOptions *options = setting->options;
	g_autoptr(ProllyDecider) decider = g_new0(ProllyDecider, 1);
	g_autoptr(ProllyView) view = prolly_view_new_live(repo, branch);

	decider->repo = repo;
	decider->setting = setting;
	decider->options = options;
	if (!parse_given(options->strategy, &decider->strategy, error) ||
	    !parse_given(options->preference, &decider->preference, error) ||
	    (!decider->strategy && !read_attributes(decider, view, error)))
		return false;
	*out_decider = g_steal_pointer(&decider);
	return true;
}

void prolly_decider_free(ProllyDecider *decider)
{
	if (!decider)
		return;
	g_clear_pointer(&decider->strategy, g_array_unref);
	g_clear_pointer(&decider->preference, g_array_unref);
	prolly_attributes_free(decider->attributes);
	prolly_dating_free(decider->dating);
	g_free(decider);
}
