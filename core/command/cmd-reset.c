/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-reset: reset and restore: taking the branch, or keys of its working state, back.
 *
 * There is one working state and no index beside it, so two of git's modes are one: --mixed means
 * --soft. `reset PATH` is `restore PATH`: the keys become what they are in the revision, which
 * undoes what is staged of them.
 */

#include "command/command-private.h"

#include <string.h>

/* ---- Paths ------------------------------------------------------------------------------- */

static bool is_there(ProllyView *view, const ProllyTarget *target, bool *out_is, GError **error)
{
	g_auto(ProllyEntry) entry = {0};

	*out_is = target->directory.ns;
	return *out_is || !target->key.ns ||
	       prolly_view_get(view, &target->key, false, &entry, out_is, error);
}

/* Does ARGUMENT name anything in one of the views? */
static bool find_argument(ProllyCommand *command, ProllyView *const views[2], const char *argument,
			  bool *out_found, GError **error)
{
	*out_found = false;
	for (int i = 0; i < 2 && !*out_found; i++) {
		g_auto(ProllyTarget) target = {0};

		if (!prolly_target_init(command, views[i], argument, &target, error) ||
		    !is_there(views[i], &target, out_found, error))
			return false;
	}
	return true;
}

/* ---- restore ----------------------------------------------------------------------------- */

static void print_restored(ProllyCommand *command, const char *from, uint64_t changes)
{
	g_autoptr(GString) json = g_string_new(NULL);

	if (command->json) {
		prolly_json_begin(json, NULL, '{');
		prolly_json_add_number(json, "changes", changes);
		prolly_json_end(json, '}');
		prolly_command_print_json(command, json);
	} else if (!command->quiet) {
		prolly_command_print(command, "Updated %" G_GUINT64_FORMAT " key%s from %s\n",
				     changes, changes == 1 ? "" : "s", from);
	}
}

/* Might argument I have been meant for a revision? */
static bool may_be_revision(ProllyCommand *command, unsigned i)
{
	return command->words->spec == &prolly_cmd_reset && !i && command->words->n_plain > 0;
}

/* Restores the arguments from FIRST on. */
static bool restore_arguments(ProllyCommand *command, const char *source, unsigned first,
			      GError **error)
{
	g_auto(ProllySelection) selection = {0};
	g_autoptr(ProllyBranch) branch = NULL;
	g_autoptr(ProllyView) working = NULL, from = NULL;
	ProllyCommitId id;
	uint64_t changes = 0;

	prolly_selection_init(&selection);
	if (!prolly_command_resolve(command, source, &id, error) ||
	    !prolly_command_open_branch(command, &branch, error) ||
	    !prolly_view_new_commit(command->repo, &id, &from, error))
		return false;
	working = prolly_view_new_live(command->repo, branch);
	ProllyView *const views[] = {working, from};
	for (unsigned i = first; i < command->words->arguments->len; i++) {
		const char *argument = prolly_command_argument(command, i);
		bool found;

		if (!prolly_selection_add(&selection, command, argument, error) ||
		    !find_argument(command, views, argument, &found, error))
			return false;
		if (!found && may_be_revision(command, i))
			return prolly_throw(error, PROLLY_ERROR_NOT_FOUND,
					    "%s: unknown revision, and no such key", argument);
		if (!found)
			return prolly_command_answer_no(command, "%s: no such key, nor in %s",
							argument, source);
	}
	if (!prolly_working_restore(command->repo, branch, &id,
				    (const ProllyRange *)(void *)selection.ranges->data,
				    selection.ranges->len, &changes, error))
		return false;
	print_restored(command, source, changes);
	return true;
}

static bool run_restore(ProllyCommand *command, GError **error)
{
	const char *source = prolly_command_option(command, "source");

	if (!source)
		source = command->at;
	return restore_arguments(command, source ? source : "HEAD", 0, error);
}

/* ---- reset ------------------------------------------------------------------------------- */

static bool print_reset(ProllyCommand *command, const ProllyCommitId *from,
			const ProllyCommitId *to, ProllyResetMode mode, GError **error)
{
	g_autoptr(GString) json = g_string_new(NULL);
	g_autoptr(ProllyCommit) commit = NULL;
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];

	if (command->json) {
		prolly_json_begin(json, NULL, '{');
		prolly_json_add_commit_id(json, "commit", to);
		prolly_json_add_text(json, "branch", command->branch_name);
		prolly_json_add_commit_id(json, "previous", from);
		prolly_json_end(json, '}');
		prolly_command_print_json(command, json);
		return true;
	}
	if (command->quiet || mode == PROLLY_RESET_SOFT)
		return true;
	if (!prolly_commit_load(command->repo, to, &commit, error))
		return false;
	prolly_command_print(command, "%s is now at %.*s %.*s\n", command->branch_name,
			     PROLLY_SHORT_ID, prolly_commit_id_to_hex(to, hex),
			     (int)strcspn(commit->message, "\n"), commit->message);
	return true;
}

static bool reset_branch(ProllyCommand *command, const char *rev, ProllyResetMode mode,
			 GError **error)
{
	g_autoptr(ProllyBranch) branch = NULL;
	ProllyCommitId to, from;

	return prolly_command_open_branch(command, &branch, error) &&
	       prolly_command_resolve(command, rev, &to, error) &&
	       prolly_branch_reset(command->repo, branch, &to, mode, rev, &from, error) &&
	       print_reset(command, &from, &to, mode, error);
}

/* Is the first argument a revision? What stands before a "--" must be one, and what a mode is given
 * for; else it is one if it can be. */
static bool has_revision(ProllyCommand *command, bool has_mode)
{
	unsigned n = command->words->arguments->len, n_plain = command->words->n_plain;
	g_autoptr(GError) failure = NULL;
	ProllyCommitId id;

	if (!n_plain || n_plain < n || has_mode)
		return n_plain > 0;
	return prolly_command_resolve(command, prolly_command_argument(command, 0), &id, &failure);
}

static bool run_reset(ProllyCommand *command, GError **error)
{
	bool hard = prolly_command_option(command, "hard");
	bool soft =
		prolly_command_option(command, "soft") || prolly_command_option(command, "mixed");
	unsigned n = command->words->arguments->len, n_plain = command->words->n_plain;

	if (hard && soft)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "reset: --hard and --soft do not go together");
	bool has_rev = has_revision(command, hard || soft);
	if (has_rev && n_plain > 1 && n_plain < n)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "reset: '%s' is one revision too many (paths follow a --)",
				    prolly_command_argument(command, 1));
	const char *rev = has_rev ? prolly_command_argument(command, 0) : "HEAD";
	if (n == has_rev)
		return reset_branch(command, rev, hard ? PROLLY_RESET_HARD : PROLLY_RESET_SOFT,
				    error);
	if (hard || soft)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "reset: --%s is about the branch, not about paths",
				    hard ? "hard" : "soft");
	return restore_arguments(command, rev, has_rev, error);
}

/* ---- Tables ------------------------------------------------------------------------------ */

static const ProllyOptionSpec RESET_OPTIONS[] = {
	{"soft", 0, NULL, "keep the working state: what differs is staged (the default)"},
	{"mixed", 0, NULL, "the same"},
	{"hard", 0, NULL, "make the working state what REV holds: what is staged is lost"},
	{0},
};

static const ProllyOptionSpec RESTORE_OPTIONS[] = {
	{"source", 's', "REV", "what to take them from (default: the branch's head)"},
	{"staged", 'S', NULL, "as without it: there is one working state"},
	{"worktree", 'W', NULL, "the same"},
	{0},
};

const ProllyCommandSpec prolly_cmd_reset = {
	.name = "reset",
	.arguments = "[--soft | --hard] [REV] | [REV] [--] PATH...",
	.summary = "move the branch to another commit, or take keys back",
	.options = RESET_OPTIONS,
	.max_arguments = PROLLY_COMMAND_ANY_NUMBER,
	.flags = PROLLY_COMMAND_WORKING | PROLLY_COMMAND_CHANGES | PROLLY_COMMAND_MOVES,
	.run = run_reset,
};

const ProllyCommandSpec prolly_cmd_restore = {
	.name = "restore",
	.arguments = "PATH...",
	.summary = "make keys what they are in a revision (default: the head)",
	.options = RESTORE_OPTIONS,
	.min_arguments = 1,
	.max_arguments = PROLLY_COMMAND_ANY_NUMBER,
	.flags = PROLLY_COMMAND_CHANGES,
	.run = run_restore,
};
