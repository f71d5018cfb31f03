/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-branch: listing, making, deleting and renaming branches.
 *
 * A new branch shares the attributes of the branch it is made from, if it starts at that one's
 * head: of the branch that REV names, else of the present one.
 */

#include "command/command-private.h"

#include <string.h>

#define SHORT_ID 10

/* Looks NAME up. Unknown: NOT_FOUND. (transfer full) */
static bool find_branch(ProllyCommand *command, const char *name, ProllyBranch **out_branch,
			GError **error)
{
	if (!prolly_branch_lookup(command->repo, name, out_branch, error))
		return false;
	if (!*out_branch)
		return prolly_throw(error, PROLLY_ERROR_NOT_FOUND, "%s: no such branch", name);
	return true;
}

/* ---- List -------------------------------------------------------------------------------- */

static void print_branch_json(ProllyCommand *command, ProllyBranch *branch, const char *name)
{
	g_autoptr(GString) json = g_string_new(NULL);
	ProllyCommitId head;

	prolly_branch_get_head(branch, &head);
	prolly_json_begin(json, NULL, '{');
	prolly_json_add_text(json, "name", name);
	prolly_json_add_commit_id(json, "commit", &head);
	prolly_json_add_bool(json, "current", strcmp(name, command->branch_name) == 0);
	prolly_json_end(json, '}');
	prolly_command_print_json(command, json);
}

static bool list_branches(ProllyCommand *command, GError **error)
{
	g_autoptr(GPtrArray) names = NULL;
	if (!prolly_branch_list(command->repo, &names, error))
		return false;
	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		g_autoptr(ProllyBranch) branch = NULL;
		bool is_current = strcmp(name, command->branch_name) == 0;

		if (command->json) {
			if (!prolly_branch_lookup(command->repo, name, &branch, error))
				return false;
			if (branch)
				print_branch_json(command, branch, name);
			continue;
		}
		prolly_command_print(command, is_current ? "* " : "  ");
		prolly_command_print_painted(
			command, is_current ? PROLLY_PAINT_GREEN : PROLLY_PAINT_NONE, "%s", name);
		prolly_command_print(command, "\n");
	}
	return true;
}

/* ---- Make -------------------------------------------------------------------------------- */

static bool make_branch(ProllyCommand *command, const char *name, const char *rev, GError **error)
{
	g_autoptr(ProllyBranch) from = NULL;
	g_autoptr(ProllyBranch) made = NULL;
	ProllyCommitId start;

	if (!prolly_branch_lookup(command->repo, rev ? rev : command->branch_name, &from, NULL) &&
	    !rev)
		return find_branch(command, command->branch_name, &from, error);
	if (from)
		prolly_branch_get_head(from, &start);
	else if (!prolly_command_resolve(command, rev ? rev : command->branch_name, &start, error))
		return false;
	if (!prolly_branch_create(command->repo, name, &start, from, &made, error))
		return false;
	if (command->json)
		print_branch_json(command, made, name);
	return true;
}

/* ---- Delete and rename ------------------------------------------------------------------- */

static bool delete_branches(ProllyCommand *command, bool force, GError **error)
{
	if (!command->words->arguments->len)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "branch: NAME is missing");
	for (unsigned i = 0; i < command->words->arguments->len; i++) {
		const char *name = prolly_command_argument(command, i);
		g_autoptr(ProllyBranch) branch = NULL;
		char hex[PROLLY_COMMIT_ID_HEX_SIZE];
		ProllyCommitId head;

		if (!find_branch(command, name, &branch, error))
			return false;
		prolly_branch_get_head(branch, &head);
		if (!prolly_branch_delete(command->repo, branch, force, error))
			return false;
		if (!command->quiet && !command->json)
			prolly_command_print(command, "Deleted branch %s (was %.*s).\n", name,
					     SHORT_ID, prolly_commit_id_to_hex(&head, hex));
	}
	return true;
}

/* "-m OLD NEW", or "-m NEW" for the present branch. */
static bool rename_branch(ProllyCommand *command, GError **error)
{
	unsigned n = command->words->arguments->len;
	const char *old_name = n == 2 ? prolly_command_argument(command, 0) : command->branch_name;
	g_autoptr(ProllyBranch) branch = NULL;

	if (n != 1 && n != 2)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "branch: -m takes OLD NEW");
	return find_branch(command, old_name, &branch, error) &&
	       prolly_branch_rename(command->repo, branch, prolly_command_argument(command, n - 1),
				    error);
}

/* ---- The command ------------------------------------------------------------------------- */

static bool run_branch(ProllyCommand *command, GError **error)
{
	const char *name = prolly_command_argument(command, 0);
	bool force = prolly_command_option(command, "D");
	bool deletes = force || prolly_command_option(command, "d");
	bool renames = prolly_command_option(command, "m");

	if (!name && !deletes && !renames)
		return list_branches(command, error);
	if (deletes && renames)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "branch: -d and -m do not go together");
	if (!prolly_command_check_free(command, name ? name : "branch", error) ||
	    !prolly_command_check_writable(command, error))
		return false;
	if (renames)
		return rename_branch(command, error);
	if (deletes)
		return delete_branches(command, force, error);
	if (command->words->arguments->len > 2)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "branch: '%s' is one argument too many",
				    prolly_command_argument(command, 2));
	return make_branch(command, name, prolly_command_argument(command, 1), error);
}

static const ProllyOptionSpec BRANCH_OPTIONS[] = {
	{"", 'd', NULL, "delete branches on which nothing is staged, merged elsewhere"},
	{"", 'D', NULL, "delete branches in any case"},
	{"", 'm', NULL, "rename branch OLD (default: the present one) to NEW"},
	{0},
};

const ProllyCommandSpec prolly_cmd_branch = {
	.name = "branch",
	.arguments = "[NAME [REV]] | -d NAME... | -D NAME... | -m [OLD] NEW",
	.summary = "list, make, delete or rename branches",
	.options = BRANCH_OPTIONS,
	.max_arguments = PROLLY_COMMAND_ANY_NUMBER,
	.flags = PROLLY_COMMAND_WORKING,
	.run = run_branch,
};
