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

/* Is NAME the branch that the caller is on? */
static bool is_present(const ProllyCommand *command, const char *name)
{
	return !command->here && strcmp(name, command->branch_name) == 0;
}

/* ---- List -------------------------------------------------------------------------------- */

typedef struct {
	bool is_verbose;
	int width; /* of the longest name */
	bool has_contained, has_other;
	ProllyCommitId contained; /* of --contains */
	ProllyCommitId other;     /* of --merged or --no-merged */
	bool wants_merged;
} Listing;

static void print_branch_json(ProllyCommand *command, ProllyBranch *branch, const char *name)
{
	g_autoptr(GString) json = g_string_new(NULL);
	ProllyCommitId head;

	prolly_branch_get_head(branch, &head);
	prolly_json_begin(json, NULL, '{');
	prolly_json_add_text(json, "name", name);
	prolly_json_add_commit_id(json, "commit", &head);
	prolly_json_add_bool(json, "current", is_present(command, name));
	prolly_json_end(json, '}');
	prolly_command_print_json(command, json);
}

/* "* main    1a2b3c4d5e first line of its commit" */
static bool print_branch_text(ProllyCommand *command, const Listing *listing, ProllyBranch *branch,
			      const char *name, GError **error)
{
	bool is_current = is_present(command, name);
	int padding = listing->width - (int)g_utf8_strlen(name, -1);
	g_autoptr(ProllyCommit) commit = NULL;
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	ProllyCommitId head;

	prolly_command_print(command, is_current ? "* " : "  ");
	prolly_command_print_painted(command, is_current ? PROLLY_PAINT_GREEN : PROLLY_PAINT_NONE,
				     "%s", name);
	if (listing->is_verbose) {
		prolly_branch_get_head(branch, &head);
		if (!prolly_commit_load(command->repo, &head, &commit, error))
			return false;
		prolly_command_print(command, "%*s %.*s %.*s", MAX(padding, 0), "", PROLLY_SHORT_ID,
				     prolly_commit_id_to_hex(&head, hex),
				     (int)strcspn(commit->message, "\n"), commit->message);
	}
	prolly_command_print(command, "\n");
	return true;
}

static bool matches_name(ProllyCommand *command, const char *name)
{
	unsigned n = command->words->arguments->len;

	for (unsigned i = 0; i < n; i++)
		if (g_pattern_match_simple(prolly_command_argument(command, i), name))
			return true;
	return n == 0;
}

/* Do the heads stand to each other as --contains, --merged and --no-merged ask? */
static bool matches_history(ProllyCommand *command, const Listing *listing, ProllyBranch *branch,
			    bool *out_matches, GError **error)
{
	ProllyCommitId head;
	bool has = true, is_merged = true;

	prolly_branch_get_head(branch, &head);
	if (listing->has_contained &&
	    !prolly_history_is_ancestor(command->repo, &listing->contained, &head, &has, error))
		return false;
	if (listing->has_other &&
	    !prolly_history_is_ancestor(command->repo, &head, &listing->other, &is_merged, error))
		return false;
	*out_matches = has && (!listing->has_other || is_merged == listing->wants_merged);
	return true;
}

static bool list_branch(ProllyCommand *command, const Listing *listing, const char *name,
			GError **error)
{
	g_autoptr(ProllyBranch) branch = NULL;
	bool wanted = false;

	if (!prolly_branch_lookup(command->repo, name, &branch, error))
		return false;
	if (!branch) /* deleted meanwhile */
		return true;
	if (!matches_history(command, listing, branch, &wanted, error) ||
	    !prolly_command_check(command, error))
		return false;
	if (!wanted)
		return true;
	if (!command->json)
		return print_branch_text(command, listing, branch, name, error);
	print_branch_json(command, branch, name);
	return true;
}

static bool resolve_option(ProllyCommand *command, const char *name, ProllyCommitId *out_id,
			   bool *out_has, GError **error)
{
	const char *rev = prolly_command_option(command, name);

	*out_has = rev;
	return !rev || prolly_command_resolve(command, rev, out_id, error);
}

static bool get_listing(ProllyCommand *command, Listing *listing, GError **error)
{
	listing->wants_merged = prolly_command_option(command, "merged");
	listing->is_verbose = prolly_command_option(command, "verbose");
	if (listing->wants_merged && prolly_command_option(command, "no-merged"))
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "branch: --merged and --no-merged do not go together");
	return resolve_option(command, "contains", &listing->contained, &listing->has_contained,
			      error) &&
	       resolve_option(command, listing->wants_merged ? "merged" : "no-merged",
			      &listing->other, &listing->has_other, error);
}

static bool list_branches(ProllyCommand *command, GError **error)
{
	g_autoptr(GPtrArray) names = NULL;
	Listing listing = {0};

	if (!get_listing(command, &listing, error) ||
	    !prolly_branch_list(command->repo, &names, error))
		return false;
	for (guint i = 0; i < names->len; i++)
		listing.width =
			MAX(listing.width, (int)g_utf8_strlen(g_ptr_array_index(names, i), -1));
	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);

		if (matches_name(command, name) && !list_branch(command, &listing, name, error))
			return false;
	}
	return true;
}

/* ---- Make -------------------------------------------------------------------------------- */

/* -f: a branch that is there is moved, as `reset --hard` does. *OUT_MOVED false: there is none. */
static bool move_branch(ProllyCommand *command, const char *name, const char *rev, bool *out_moved,
			GError **error)
{
	g_autoptr(ProllyBranch) branch = NULL;
	ProllyCommitId start, from;

	*out_moved = false;
	if (!prolly_branch_lookup(command->repo, name, &branch, error))
		return false;
	if (!branch)
		return true;
	*out_moved = true;
	return prolly_command_resolve(command, rev ? rev : "HEAD", &start, error) &&
	       prolly_branch_reset(command->repo, branch, &start, PROLLY_RESET_HARD,
				   rev ? rev : "HEAD", &from, error);
}

static bool make_branch(ProllyCommand *command, const char *name, const char *rev, GError **error)
{
	g_autoptr(ProllyBranch) from = NULL;
	g_autoptr(ProllyBranch) made = NULL;
	ProllyCommitId start;

	if (!rev && command->here)
		rev = command->here;
	if (!prolly_branch_lookup(command->repo, rev ? rev : command->branch_name, &from,
				  rev ? NULL : error) &&
	    !rev)
		return false;
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
		if (!prolly_branch_delete(command->repo, branch, name, force, error))
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
	if (n == 1 && !prolly_command_check_branch(command, error))
		return false;
	return find_branch(command, old_name, &branch, error) &&
	       prolly_branch_rename(command->repo, branch, old_name,
				    prolly_command_argument(command, n - 1), error);
}

/* ---- The command ------------------------------------------------------------------------- */

/* Without a NAME, or with options that only a list has. */
static bool is_listing(ProllyCommand *command)
{
	static const char *const OPTIONS[] = {"list", "contains", "merged", "no-merged"};

	for (size_t i = 0; i < G_N_ELEMENTS(OPTIONS); i++)
		if (prolly_command_option(command, OPTIONS[i]))
			return true;
	return !prolly_command_argument(command, 0);
}

static bool show_current(ProllyCommand *command, GError **error)
{
	g_autoptr(ProllyBranch) branch = NULL;

	if (command->here) /* as in git */
		return true;
	if (!command->json) {
		prolly_command_print(command, "%s\n", command->branch_name);
		return true;
	}
	if (!find_branch(command, command->branch_name, &branch, error))
		return false;
	print_branch_json(command, branch, command->branch_name);
	return true;
}

static bool run_branch(ProllyCommand *command, GError **error)
{
	const char *name = prolly_command_argument(command, 0);
	bool force = prolly_command_option(command, "D");
	bool deletes = force || prolly_command_option(command, "d");
	bool renames = prolly_command_option(command, "m");
	bool moved = false;

	if (prolly_command_option(command, "show-current"))
		return show_current(command, error);
	if (!deletes && !renames && is_listing(command))
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
	if (prolly_command_option(command, "force") &&
	    !move_branch(command, name, prolly_command_argument(command, 1), &moved, error))
		return false;
	return moved || make_branch(command, name, prolly_command_argument(command, 1), error);
}

static const ProllyOptionSpec BRANCH_OPTIONS[] = {
	{"", 'd', NULL, "delete branches on which nothing is staged, merged elsewhere"},
	{"", 'D', NULL, "delete branches in any case"},
	{"", 'm', NULL, "rename branch OLD (default: the present one) to NEW"},
	{"force", 'f', NULL, "move a branch that is there; what is staged on it is lost"},
	{"list", 'l', NULL, "list the branches that match the patterns"},
	{"verbose", 'v', NULL, "with their last commits"},
	{"contains", 0, "REV", "list those that have the commit"},
	{"merged", 0, "REV", "list those whose commits are all in REV"},
	{"no-merged", 0, "REV", "list the others"},
	{"show-current", 0, NULL, "print the present branch's name"},
	{0},
};

const ProllyCommandSpec prolly_cmd_branch = {
	.name = "branch",
	.arguments = "[-l PATTERN...] | [-f] NAME [REV] | -d NAME... | -D NAME... | -m [OLD] NEW",
	.summary = "list, make, delete or rename branches",
	.options = BRANCH_OPTIONS,
	.max_arguments = PROLLY_COMMAND_ANY_NUMBER,
	.flags = PROLLY_COMMAND_WORKING | PROLLY_COMMAND_DELETES | PROLLY_COMMAND_MOVES,
	.run = run_branch,
};
