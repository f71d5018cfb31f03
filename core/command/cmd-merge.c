/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-merge: merging a revision into the branch, and going on with a merge that stopped.
 *
 * One REV at a time: octopus merges are refused. Whatever is to be told of a merge goes through a
 * report (merge-report.c); what it does is in core/version (merge.h).
 *
 * Who sits at a terminal and gave no message gets the one that is ready into an editor, if a commit
 * would come of it: for that the merge is tried first (message.c: drafts).
 */

#include "command/command-private.h"

#include <string.h>

/* (transfer full) What git would write. */
static char *make_message(ProllyCommand *command, const char *rev)
{
	g_autoptr(ProllyBranch) theirs = NULL;
	g_autoptr(GError) ignored = NULL; /* REV need not be a name a branch can have */
	bool is_default =
		g_strcmp0(command->branch_name, prolly_repo_get_default_branch(command->repo)) == 0;

	prolly_branch_lookup(command->repo, rev, &theirs, &ignored);
	return g_strdup_printf("Merge %s '%s'%s%s\n", theirs ? "branch" : "commit", rev,
			       is_default ? "" : " into ", is_default ? "" : command->branch_name);
}

/* ---- Going on ---------------------------------------------------------------------------- */

static bool is_of_merge(ProllyCommand *command, ProllyBranch *branch, GError **error)
{
	g_autoptr(ProllyUnfinished) unfinished = NULL;

	if (!prolly_unfinished_load(command->repo, branch, &unfinished, error))
		return false;
	if (unfinished && strcmp(unfinished->operation, "merge") != 0)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "merge: what branch '%s' has unfinished is a %s",
				    command->branch_name, unfinished->operation);
	return true;
}

static bool abort_merge(ProllyCommand *command, ProllyBranch *branch, GError **error)
{
	return is_of_merge(command, branch, error) &&
	       prolly_history_abort(command->repo, branch, error);
}

static bool draft_continued(ProllyCommand *command, ProllyBranch *branch, GError **error)
{
	g_autoptr(ProllyUnfinished) unfinished = NULL;

	if (!prolly_unfinished_load(command->repo, branch, &unfinished, error))
		return false;
	if (unfinished && prolly_unfinished_is_settled(unfinished) && !unfinished->is_squash)
		prolly_command_print_draft(command, unfinished->message);
	return true;
}

static bool continue_merge(ProllyCommand *command, ProllyBranch *branch,
			   ProllyMergeOptions *options, GError **error)
{
	g_autoptr(ProllyMergeReport) report = prolly_merge_report_new(command, branch, options);
	ProllyMergeResult result;
	ProllyCommitId id;

	return is_of_merge(command, branch, error) &&
	       prolly_history_continue(command->repo, branch, options, &result, &id, error) &&
	       prolly_merge_report_print(report, options, result, &id, error);
}

/* ---- Beginning --------------------------------------------------------------------------- */

static bool draft(ProllyCommand *command, ProllyBranch *branch, ProllyMergeOptions *options,
		  GError **error)
{
	const char *rev = prolly_command_argument(command, 0);
	g_autofree char *message = make_message(command, rev);
	ProllyMergeResult result;
	ProllyCommitId theirs, id;

	options->dry_run = true;
	options->may_execute = command->caller->is_owner;
	options->message = message;
	if (!prolly_command_resolve(command, rev, &theirs, error) ||
	    !prolly_history_merge(command->repo, branch, &theirs, options, &result, &id, error))
		return false;
	if (result == PROLLY_MERGE_MERGED)
		prolly_command_print_draft(command, message);
	return true;
}

static bool merge(ProllyCommand *command, ProllyBranch *branch, ProllyMergeOptions *options,
		  GError **error)
{
	const char *rev = prolly_command_argument(command, 0);
	g_autofree char *message = options->message ? NULL : make_message(command, rev);
	g_autoptr(ProllyMergeReport) report = prolly_merge_report_new(command, branch, options);
	ProllyMergeResult result;
	ProllyCommitId theirs, id;

	if (message)
		options->message = message;
	return prolly_command_resolve(command, rev, &theirs, error) &&
	       prolly_history_merge(command->repo, branch, &theirs, options, &result, &id, error) &&
	       prolly_merge_report_print(report, options, result, &id, error);
}

/* ---- The command ------------------------------------------------------------------------- */

static bool exclude(ProllyCommand *command, const char *one, const char *other, GError **error)
{
	if (prolly_command_option(command, one) && prolly_command_option(command, other))
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "merge: --%s and --%s do not go together", one, other);
	return true;
}

/* Exactly one of REV, --continue and --abort. */
static bool check_usage(ProllyCommand *command, GError **error)
{
	bool goes_on = prolly_command_option(command, "continue") ||
		       prolly_command_option(command, "abort");
	unsigned n = command->words->arguments->len;

	if (!exclude(command, "no-ff", "ff-only", error) ||
	    !exclude(command, "squash", "no-ff", error) ||
	    !exclude(command, "squash", "no-commit", error) ||
	    !exclude(command, "continue", "abort", error) ||
	    !exclude(command, "abort", "dry-run", error))
		return false;
	if (goes_on && n)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "merge: --continue and --abort take no REV");
	if (!goes_on && !n)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "merge: REV is missing");
	if (n > 1)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "merge: one REV at a time; octopus merges are not made, merge "
				    "one after the other");
	return true;
}

static bool run_merge(ProllyCommand *command, GError **error)
{
	g_auto(ProllySignature) author = {0};
	g_auto(ProllySignature) committer = {0};
	g_autoptr(ProllyBranch) branch = NULL;
	g_autofree char *message = NULL;

	if (!check_usage(command, error) || !prolly_command_open_branch(command, &branch, error))
		return false;
	if (prolly_command_option(command, "abort"))
		return abort_merge(command, branch, error);
	if (!prolly_command_sign(command, &author, &committer, error) ||
	    !prolly_command_get_message(command, &message, error))
		return false;
	ProllyMergeOptions options = {
		.no_ff = prolly_command_option(command, "no-ff"),
		.ff_only = prolly_command_option(command, "ff-only"),
		.dry_run = prolly_command_option(command, "dry-run"),
		.squash = prolly_command_option(command, "squash"),
		.no_commit = prolly_command_option(command, "no-commit"),
		.strategy = prolly_command_option(command, "strategy"),
		.preference = prolly_command_option(command, "X"),
		.message = message,
		.author = &author,
		.committer = &committer,
	};
	bool goes_on = prolly_command_option(command, "continue");

	if (prolly_command_option(command, "draft"))
		return goes_on ? draft_continued(command, branch, error)
			       : draft(command, branch, &options, error);
	return goes_on ? continue_merge(command, branch, &options, error)
		       : merge(command, branch, &options, error);
}

/* Is there to be a commit whose message was not given? */
static bool wants_message(const ProllyWords *words)
{
	static const char *const OTHERS[] = {"message", "file",    "no-edit",   "draft", "abort",
					     "dry-run", "ff-only", "no-commit", "squash"};
	for (size_t i = 0; i < G_N_ELEMENTS(OTHERS); i++)
		if (prolly_words_get_option(words, OTHERS[i]))
			return false;
	return words->arguments->len == 1 || prolly_words_get_option(words, "continue");
}

static const ProllyOptionSpec MERGE_OPTIONS[] = {
	PROLLY_MESSAGE_OPTIONS("the merge commit's message"),
	{"no-edit", 0, NULL, "take the message that is ready, without an editor"},
	{"no-ff", 0, NULL, "make a merge commit even where a fast-forward is possible"},
	{"ff-only", 0, NULL, "refuse where a merge commit would be needed"},
	{"dry-run", 0, NULL, "say what would happen, with all conflicts; change nothing"},
	{"squash", 0, NULL, "stage what the merge changes, and forget where it came from"},
	{"no-commit", 0, NULL, "stage it; the next commit has both parents"},
	{"strategy", 's', "NAME", "settle all conflicts by it: ours, theirs, union, json..."},
	{"", 'X', "NAME", "the same, but for what .prollyattributes says"},
	{"continue", 0, NULL, "make the commit, when all conflicts are resolved"},
	{"abort", 0, NULL, "forget the unfinished merge"},
	{0},
};

const ProllyCommandSpec prolly_cmd_merge = {
	.name = "merge",
	.arguments = "[REV]",
	.summary = "merge a revision into the branch",
	.options = MERGE_OPTIONS,
	.max_arguments = PROLLY_COMMAND_ANY_NUMBER,
	.flags = PROLLY_COMMAND_WORKING | PROLLY_COMMAND_CHANGES | PROLLY_COMMAND_SIGNS |
		 PROLLY_COMMAND_MESSAGE | PROLLY_COMMAND_MOVES,
	.run = run_merge,
	.wants_message = wants_message,
};
