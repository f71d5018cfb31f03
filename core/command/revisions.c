/* SPDX-License-Identifier: Apache-2.0 */

/*
 * revisions: arguments that mean sets of commits, as in gitrevisions(7).
 *
 *   REV     what is reachable from it
 *   ^REV    not what is reachable from it
 *   A..B    what is reachable from B and not from A: "^A B"
 *   A...B   from one of the two and not from both: "A B", and not from their merge bases
 *
 * A missing side of the dots is the branch's head. No name of a branch or tag has two dots in it.
 */

#include "command/command-private.h"

#include <string.h>

void prolly_revisions_init(ProllyRevisions *revisions)
{
	revisions->starts = g_array_new(FALSE, FALSE, sizeof(ProllyCommitId));
	revisions->hidden = g_array_new(FALSE, FALSE, sizeof(ProllyCommitId));
}

void prolly_revisions_clear(ProllyRevisions *revisions)
{
	g_clear_pointer(&revisions->starts, g_array_unref);
	g_clear_pointer(&revisions->hidden, g_array_unref);
}

ProllyLogOptions prolly_revisions_get_options(const ProllyRevisions *revisions)
{
	return (ProllyLogOptions){
		.starts = (const ProllyCommitId *)(void *)revisions->starts->data,
		.n_starts = revisions->starts->len,
		.hidden = (const ProllyCommitId *)(void *)revisions->hidden->data,
		.n_hidden = revisions->hidden->len,
	};
}

bool prolly_command_parse_range(ProllyCommand *command, const char *argument,
				ProllyRevisionRange *out_range, GError **error)
{
	const char *dots = strstr(argument, "..");

	*out_range = (ProllyRevisionRange){.is_range = dots};
	if (!dots)
		return prolly_command_resolve(command, argument, &out_range->to, error);
	out_range->is_symmetric = dots[2] == '.';
	g_autofree char *from = g_strndup(argument, (gsize)(dots - argument));
	const char *to = dots + (out_range->is_symmetric ? 3 : 2);
	return prolly_command_resolve(command, *from ? from : "HEAD", &out_range->from, error) &&
	       prolly_command_resolve(command, *to ? to : "HEAD", &out_range->to, error);
}

bool prolly_command_add_revision(ProllyCommand *command, const char *argument,
				 ProllyRevisions *revisions, GError **error)
{
	bool is_hidden = *argument == '^';
	g_autoptr(GArray) bases = NULL;
	ProllyRevisionRange range;

	if (!prolly_command_parse_range(command, argument + is_hidden, &range, error))
		return false;
	if (is_hidden && range.is_range)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "%s: a range cannot be excluded",
				    argument);
	g_array_append_val(is_hidden ? revisions->hidden : revisions->starts, range.to);
	if (!range.is_range)
		return true;
	g_array_append_val(range.is_symmetric ? revisions->starts : revisions->hidden, range.from);
	if (!range.is_symmetric)
		return true;
	if (!prolly_history_merge_bases(command->repo, &range.from, &range.to, &bases, error))
		return false;
	g_array_append_vals(revisions->hidden, bases->data, bases->len);
	return true;
}
