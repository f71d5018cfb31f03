/* SPDX-License-Identifier: Apache-2.0 */

/*
 * log-filter: which commits of a log are shown.
 *
 * As in git: dates are the committer's; several patterns of one kind are alternatives, different
 * kinds must all match; patterns are POSIX regular expressions over "Name <address>", or over the
 * lines of the message (pattern.c).
 */

#include "command/command-private.h"

#include <string.h>

struct ProllyLogFilter {
	int64_t since, until; /* seconds */
	size_t max_parents, min_parents;
	GPtrArray *authors, *committers, *greps; /* of ProllyPattern */
};

/* (transfer full) The values of all uses of option NAME. */
static bool compile_patterns(ProllyCommand *command, const char *name, GPtrArray **out_patterns,
			     GError **error)
{
	const GArray *options = command->words->options;
	bool extended = prolly_command_option(command, "extended-regexp");
	bool ignore_case = prolly_command_option(command, "regexp-ignore-case");

	*out_patterns = g_ptr_array_new_with_free_func((GDestroyNotify)prolly_pattern_free);
	for (guint i = 0; i < options->len; i++) {
		const ProllyOptionUse *use = &g_array_index(options, ProllyOptionUse, i);
		ProllyPattern *pattern;

		if (strcmp(use->spec->name, name) != 0)
			continue;
		if (!prolly_pattern_new(command, use->value, extended, ignore_case, &pattern,
					error))
			return false;
		g_ptr_array_add(*out_patterns, pattern);
	}
	return true;
}

/* Options NAME and OTHER are the same. */
static bool parse_time(ProllyCommand *command, const char *name, const char *other,
		       int64_t *out_time, GError **error)
{
	const char *text = prolly_command_option(command, name);
	int offset;

	if (!text)
		text = prolly_command_option(command, other);
	if (!text || prolly_date_parse(text, g_get_real_time() / G_USEC_PER_SEC, out_time, &offset))
		return true;
	return prolly_throw(error, PROLLY_ERROR_USAGE, "%s: not a date that is understood", text);
}

bool prolly_log_filter_new(ProllyCommand *command, ProllyLogFilter **out_filter, GError **error)
{
	g_autoptr(ProllyLogFilter) filter = g_new0(ProllyLogFilter, 1);

	filter->since = INT64_MIN;
	filter->until = INT64_MAX;
	filter->min_parents = prolly_command_option(command, "merges") ? 2 : 0;
	filter->max_parents = prolly_command_option(command, "no-merges") ? 1 : SIZE_MAX;
	if (!parse_time(command, "since", "after", &filter->since, error) ||
	    !parse_time(command, "until", "before", &filter->until, error) ||
	    !compile_patterns(command, "author", &filter->authors, error) ||
	    !compile_patterns(command, "committer", &filter->committers, error) ||
	    !compile_patterns(command, "grep", &filter->greps, error))
		return false;
	*out_filter = g_steal_pointer(&filter);
	return true;
}

void prolly_log_filter_free(ProllyLogFilter *filter)
{
	if (!filter)
		return;
	g_clear_pointer(&filter->authors, g_ptr_array_unref);
	g_clear_pointer(&filter->committers, g_ptr_array_unref);
	g_clear_pointer(&filter->greps, g_ptr_array_unref);
	g_free(filter);
}

static bool matches(const GPtrArray *patterns, const char *text)
{
	for (guint i = 0; i < patterns->len; i++)
		if (prolly_pattern_matches(g_ptr_array_index(patterns, i), text))
			return true;
	return patterns->len == 0;
}

static bool person_matches(const GPtrArray *patterns, const ProllySignature *person)
{
	g_autofree char *text = NULL;

	if (!patterns->len)
		return true;
	text = g_strdup_printf("%s <%s>", person->name, person->email);
	return matches(patterns, text);
}

int64_t prolly_log_filter_get_since(const ProllyLogFilter *filter)
{
	return filter->since;
}

bool prolly_log_filter_is_empty(const ProllyLogFilter *filter)
{
	return filter->since == INT64_MIN && filter->until == INT64_MAX && !filter->min_parents &&
	       filter->max_parents == SIZE_MAX && !filter->authors->len &&
	       !filter->committers->len && !filter->greps->len;
}

bool prolly_log_filter_is_before(const ProllyLogFilter *filter, const ProllyCommit *commit)
{
	return commit->committer.time < filter->since;
}

bool prolly_log_filter_matches(const ProllyLogFilter *filter, const ProllyCommit *commit)
{
	return commit->committer.time >= filter->since && commit->committer.time <= filter->until &&
	       commit->n_parents >= filter->min_parents &&
	       commit->n_parents <= filter->max_parents &&
	       person_matches(filter->authors, &commit->author) &&
	       person_matches(filter->committers, &commit->committer) &&
	       matches(filter->greps, commit->message);
}
