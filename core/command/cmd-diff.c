/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-diff: status and diff: what is staged, and what differs between two states.
 *
 * Both compare two views; which two is all that is decided here, changes-text.c prints. The head
 * that a working state is compared with is the one it is laid over, not the branch's present one,
 * so that a commit in between cannot show as a change.
 */

#include "command/command-private.h"

#include <string.h>

/* ---- status ------------------------------------------------------------------------------ */

static uint64_t count_keys(const GArray *namespaces)
{
	uint64_t keys = 0;

	for (guint i = 0; i < namespaces->len; i++)
		keys += g_array_index(namespaces, ProllyNamespace, i).tree.keys;
	return keys;
}

/* What the branch has unfinished, if there is such a thing. */
static bool print_unfinished(ProllyCommand *command, GError **error)
{
	g_autoptr(ProllyUnfinished) unfinished = NULL;
	g_autoptr(ProllyBranch) branch = NULL;
	bool waits = false;

	if (!prolly_command_open_branch(command, &branch, error) ||
	    !prolly_unfinished_load(command->repo, branch, &unfinished, error))
		return false;
	if (!unfinished)
		return true;
	for (size_t side = 0; side < PROLLY_SIDE_OF_N; side++)
		waits = waits || count_keys(unfinished->open[side]);
	prolly_command_print(command, "A %s is not finished: ", unfinished->operation);
	if (waits)
		prolly_command_print(command, "'conflicts' lists what it waits for");
	else if (unfinished->is_staged)
		prolly_command_print(command, "'commit' makes its commit");
	else
		prolly_command_print(command, "'%s --continue' finishes it", unfinished->operation);
	prolly_command_print(command, "; '%s --abort' forgets it.\n", unfinished->operation);
	return true;
}

/* Member "unfinished", if there is such a thing. */
static bool add_unfinished(ProllyCommand *command, GString *json, GError **error)
{
	g_autoptr(ProllyUnfinished) unfinished = NULL;
	g_autoptr(ProllyBranch) branch = NULL;

	if (!prolly_command_open_branch(command, &branch, error) ||
	    !prolly_unfinished_load(command->repo, branch, &unfinished, error))
		return false;
	if (unfinished)
		prolly_json_add_text(json, "unfinished", unfinished->operation);
	return true;
}

static bool print_status_json(ProllyCommand *command, ProllyView *head, ProllyView *work,
			      GError **error)
{
	g_autoptr(GString) json = g_string_new(NULL);
	ProllyCommitId id;
	uint64_t n = 0;

	prolly_view_get_commit(head, &id);
	prolly_json_begin(json, NULL, '{');
	prolly_json_add_text(json, "branch", command->branch_name);
	prolly_json_add_commit_id(json, "head", &id);
	if (!add_unfinished(command, json, error))
		return false;
	prolly_json_begin(json, "changes", '[');
	prolly_command_write(command, json->str, json->len);
	if (!prolly_command_print_changes(command, head, work, NULL, PROLLY_CHANGES_JSON_LIST, &n,
					  error))
		return false;
	prolly_command_print(command, "]}\n");
	return true;
}

static bool run_status(ProllyCommand *command, GError **error)
{
	g_autoptr(ProllyView) work = NULL;
	g_autoptr(ProllyView) head = NULL;
	ProllyCommitId id;
	uint64_t n = 0;

	if (!prolly_command_open_view(command, &work, error))
		return false;
	prolly_view_get_commit(work, &id);
	if (!prolly_view_new_commit(command->repo, &id, &head, error))
		return false;
	if (command->json)
		return print_status_json(command, head, work, error);
	prolly_command_print(command, "On branch %s\n", command->branch_name);
	if (!print_unfinished(command, error) ||
	    !prolly_command_print_changes(command, head, work, NULL, PROLLY_CHANGES_STATUS, &n,
					  error))
		return false;
	if (!n)
		prolly_command_print(command, "nothing to commit, nothing is staged\n");
	return true;
}

/* ---- diff -------------------------------------------------------------------------------- */

/* The view of revision REV; NULL: what the command reads anyway (--at, or the working state). */
static bool open_side(ProllyCommand *command, const char *rev, ProllyView **out_view,
		      GError **error)
{
	ProllyCommitId id;
	if (!rev)
		return prolly_command_open_view(command, out_view, error);
	return prolly_command_resolve(command, rev, &id, error) &&
	       prolly_view_new_commit(command->repo, &id, out_view, error);
}

/* "A..B" is A and B; "A...B" what B did since the two parted. */
static bool open_range(ProllyCommand *command, const char *argument, ProllyView **out_a,
		       ProllyView **out_b, GError **error)
{
	ProllyRevisionRange range;
	bool has_base = false;

	if (!prolly_command_parse_range(command, argument, &range, error))
		return false;
	if (range.is_symmetric) {
		if (!prolly_history_merge_base(command->repo, &range.from, &range.to, &range.from,
					       &has_base, error))
			return false;
		if (!has_base)
			return prolly_throw(error, PROLLY_ERROR_NOT_FOUND,
					    "%s: the two have no history in common", argument);
	}
	return prolly_view_new_commit(command->repo, &range.from, out_a, error) &&
	       prolly_view_new_commit(command->repo, &range.to, out_b, error);
}

static bool open_sides(ProllyCommand *command, ProllyView **out_a, ProllyView **out_b,
		       GError **error)
{
	unsigned n = command->words->n_plain;
	const char *a = n ? prolly_command_argument(command, 0) : NULL;
	const char *b = n > 1 ? prolly_command_argument(command, 1) : NULL;

	if (n > 2)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "diff: '%s' is one revision too many (paths follow a --)",
				    prolly_command_argument(command, 2));
	if (n == 1 && strstr(a, ".."))
		return open_range(command, a, out_a, out_b, error);
	if (a)
		return open_side(command, a, out_a, error) && open_side(command, b, out_b, error);

	ProllyCommitId head;
	if (!open_side(command, NULL, out_b, error))
		return false;
	/* What the working state is laid over, also if the branch has moved since it was pinned. */
	prolly_view_get_commit(*out_b, &head);
	if (command->at && !prolly_command_resolve(command, "HEAD", &head, error))
		return false;
	return prolly_view_new_commit(command->repo, &head, out_a, error);
}

/* What the arguments after a "--" select. */
static bool select_paths(ProllyCommand *command, ProllySelection *selection, GError **error)
{
	for (unsigned i = command->words->n_plain; i < command->words->arguments->len; i++)
		if (!prolly_selection_add(selection, command, prolly_command_argument(command, i),
					  error))
			return false;
	return true;
}

static bool run_diff(ProllyCommand *command, GError **error)
{
	bool has_paths = command->words->n_plain < command->words->arguments->len;
	g_auto(ProllySelection) selection = {0};
	g_autoptr(ProllyView) a = NULL;
	g_autoptr(ProllyView) b = NULL;
	ProllyChangesStyle style;
	uint64_t n = 0;

	prolly_command_get_style(command, &style);
	prolly_selection_init(&selection);
	if (!open_sides(command, &a, &b, error) || !select_paths(command, &selection, error) ||
	    !prolly_command_print_changes(command, a, b, has_paths ? selection.ranges : NULL, style,
					  &n, error))
		return false;
	command->is_no = n && prolly_command_option(command, "exit-code");
	return true;
}

/* ---- Tables ------------------------------------------------------------------------------ */

static const ProllyOptionSpec DIFF_OPTIONS[] = {
	PROLLY_CHANGES_OPTIONS,
	{"exit-code", 0, NULL, "exit status 1 if there are differences"},
	{0},
};

const ProllyCommandSpec prolly_cmd_status = {
	.name = "status",
	.arguments = "",
	.summary = "show what is staged",
	.flags = PROLLY_COMMAND_WORKING,
	.run = run_status,
};

const ProllyCommandSpec prolly_cmd_diff = {
	.name = "diff",
	.arguments = "[A [B] | A..B | A...B] [-- PATH...]",
	.summary = "show changes: head to working state, A to it, or A to B",
	.options = DIFF_OPTIONS,
	.max_arguments = PROLLY_COMMAND_ANY_NUMBER,
	.flags = PROLLY_COMMAND_PAGES,
	.run = run_diff,
};
