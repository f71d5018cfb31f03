/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-merge: merging a revision into the branch.
 *
 * Conflicts are heard one by one, before anything is changed. As text they are printed as they
 * come; in JSON they are a member that follows the result, so they wait in a spool: there may be a
 * million.
 */

#include "command/command-private.h"

#include <string.h>

#define SHORT_ID 10

typedef struct {
	ProllyCommand *command;
	ProllyView *view; /* of the branch, for paths */
	ProllySpool *spool;
	GString *json;
	uint64_t n;
} Conflicts;

static const char *conflict_kind_to_text(ProllyConflictKind kind)
{
	static const char *const TEXTS[] = {"both-modified", "both-added", "deleted-by-them",
					    "deleted-by-us", "type"};
	return kind < G_N_ELEMENTS(TEXTS) ? TEXTS[kind] : "unknown";
}

static const char *result_to_text(ProllyMergeResult result)
{
	static const char *const TEXTS[] = {"up-to-date", "fast-forward", "merged", "conflict"};
	return result < G_N_ELEMENTS(TEXTS) ? TEXTS[result] : "unknown";
}

static ProllyKind get_step_kind(const ProllyMergeStep *sides)
{
	const uint8_t *stored = sides->ours ? sides->ours : sides->theirs;
	size_t len = sides->ours ? sides->ours_len : sides->theirs_len;
	ProllyValue value;
	return stored && prolly_value_parse(stored, len, &value, NULL) ? value.kind
								       : PROLLY_KIND_FILE;
}

/* ProllyConflictFunc */
static bool add_conflict(const ProllyPlace *place, ProllyConflictKind kind,
			 const ProllyMergeStep *sides, void *data, GError **error)
{
	Conflicts *conflicts = data;
	GString *json = conflicts->json;
	g_autofree char *path =
		prolly_command_dup_path(conflicts->view, place, get_step_kind(sides), error);

	if (!path || !prolly_command_check(conflicts->command, error))
		return false;
	conflicts->n++;
	if (!conflicts->command->json) {
		prolly_command_print(conflicts->command, "CONFLICT (%s): %s\n",
				     conflict_kind_to_text(kind), path);
		return true;
	}
	g_string_assign(json, conflicts->n > 1 ? "," : "");
	g_autoptr(GString) object = g_string_new(NULL);
	prolly_json_begin(object, NULL, '{');
	prolly_json_add_place(object, place, path);
	prolly_json_add_text(object, "kind", conflict_kind_to_text(kind));
	prolly_json_end(object, '}');
	g_string_append_len(json, object->str, (gssize)object->len);
	return prolly_spool_write(conflicts->spool, json->str, json->len, error);
}

/* ---- What happened ----------------------------------------------------------------------- */

static bool print_result_json(ProllyCommand *command, Conflicts *conflicts,
			      ProllyMergeResult result, const ProllyCommitId *id, GError **error)
{
	g_autoptr(GString) json = g_string_new(NULL);
	char piece[4096];
	size_t len = 0;

	prolly_json_begin(json, NULL, '{');
	prolly_json_add_text(json, "result", result_to_text(result));
	prolly_json_add_commit_id(json, "commit", id);
	prolly_json_begin(json, "conflicts", '[');
	prolly_command_write(command, json->str, json->len);
	do {
		if (!prolly_spool_read(conflicts->spool, piece, sizeof piece, &len, error))
			return false;
		prolly_command_write(command, piece, len);
	} while (len);
	prolly_command_print(command, "]}\n");
	return true;
}

static void print_result_text(ProllyCommand *command, ProllyMergeResult result, bool dry_run,
			      const ProllyCommitId *before, const ProllyCommitId *after)
{
	char from[PROLLY_COMMIT_ID_HEX_SIZE], to[PROLLY_COMMIT_ID_HEX_SIZE];
	prolly_commit_id_to_hex(before, from);
	prolly_commit_id_to_hex(after, to);

	if (result == PROLLY_MERGE_CONFLICT)
		prolly_command_print(command,
				     "Merge failed because of conflicts; nothing was changed.\n");
	else if (command->quiet)
		return;
	else if (result == PROLLY_MERGE_UP_TO_DATE)
		prolly_command_print(command, "Already up to date.\n");
	else if (dry_run)
		prolly_command_print(command, result == PROLLY_MERGE_FAST_FORWARD
						      ? "Would fast-forward.\n"
						      : "Would merge without conflicts.\n");
	else if (result == PROLLY_MERGE_FAST_FORWARD)
		prolly_command_print(command, "Updating %.*s..%.*s\nFast-forward\n", SHORT_ID, from,
				     SHORT_ID, to);
	else
		prolly_command_print(command, "Merge made by three-way merge: %.*s\n", SHORT_ID,
				     to);
}

/* ---- The command ------------------------------------------------------------------------- */

/* (transfer full) -m, else what git would write. */
static char *dup_message(ProllyCommand *command, const char *rev)
{
	const char *given = prolly_command_option(command, "message");
	g_autoptr(ProllyBranch) theirs = NULL;
	bool is_default =
		g_strcmp0(command->branch_name, prolly_repo_get_default_branch(command->repo)) == 0;

	if (given)
		return g_strconcat(given, g_str_has_suffix(given, "\n") ? "" : "\n", NULL);
	g_autoptr(GError) ignored = NULL; /* REV need not be a name a branch can have */
	prolly_branch_lookup(command->repo, rev, &theirs, &ignored);
	return g_strdup_printf("Merge %s '%s'%s%s\n", theirs ? "branch" : "commit", rev,
			       is_default ? "" : " into ", is_default ? "" : command->branch_name);
}

static bool run_merge(ProllyCommand *command, GError **error)
{
	const char *rev = prolly_command_argument(command, 0);
	g_auto(ProllySignature) author = {0};
	g_auto(ProllySignature) committer = {0};
	g_autoptr(ProllyBranch) branch = NULL;
	ProllyCommitId theirs, before, after;
	ProllyMergeResult result = PROLLY_MERGE_UP_TO_DATE;

	if (!prolly_command_open_branch(command, &branch, error) ||
	    !prolly_command_resolve(command, rev, &theirs, error) ||
	    !prolly_command_sign(command, &author, &committer, error))
		return false;
	g_autofree char *message = dup_message(command, rev);
	g_autoptr(ProllyView) view = prolly_view_new_live(command->repo, branch);
	g_autoptr(ProllySpool) spool = prolly_spool_new();
	g_autoptr(GString) json = g_string_new(NULL);
	Conflicts conflicts = {command, view, spool, json, 0};
	ProllyMergeOptions options = {
		.no_ff = prolly_command_option(command, "no-ff"),
		.ff_only = prolly_command_option(command, "ff-only"),
		.dry_run = prolly_command_option(command, "dry-run"),
		.message = message,
		.author = &author,
		.committer = &committer,
		.conflict = add_conflict,
		.conflict_data = &conflicts,
	};
	if (options.no_ff && options.ff_only)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "merge: --no-ff and --ff-only do not go together");
	prolly_branch_get_head(branch, &before);
	if (!prolly_history_merge(command->repo, branch, &theirs, &options, &result, &after, error))
		return false;
	command->is_no = result == PROLLY_MERGE_CONFLICT;
	if (command->json)
		return print_result_json(command, &conflicts, result, &after, error);
	print_result_text(command, result, options.dry_run, &before, &after);
	return true;
}

static const ProllyOptionSpec MERGE_OPTIONS[] = {
	{"message", 'm', "MSG", "the merge commit's message"},
	{"no-ff", 0, NULL, "make a merge commit even where a fast-forward is possible"},
	{"ff-only", 0, NULL, "refuse where a merge commit would be needed"},
	{"dry-run", 0, NULL, "say what would happen, with all conflicts; change nothing"},
	{0},
};

const ProllyCommandSpec prolly_cmd_merge = {
	.name = "merge",
	.arguments = "REV",
	.summary = "merge a revision into the branch",
	.options = MERGE_OPTIONS,
	.min_arguments = 1,
	.max_arguments = 1,
	.flags = PROLLY_COMMAND_WORKING | PROLLY_COMMAND_CHANGES | PROLLY_COMMAND_SIGNS,
	.run = run_merge,
};
