/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-conflicts: what an unfinished merge waits for, and settling it.
 *
 * A PATH of resolve is a key in conflict, or else a directory: then it means all keys in conflict
 * below it.
 */

#include "command/command-private.h"

#include <string.h>

/* ---- conflicts --------------------------------------------------------------------------- */

typedef struct {
	ProllyCommand *command;
	ProllyView *view;
	GString *json;
} Listing;

/* Member NAME with the content of STORED, if it is there. */
static bool add_side(Listing *self, const char *name, const uint8_t *stored, size_t len,
		     GError **error)
{
	g_auto(ProllyEntry) entry = {0};
	ProllyValue value;

	if (!stored)
		return true;
	if (!prolly_value_parse(stored, len, &value, error))
		return false;
	entry.stored = g_bytes_new(stored, len);
	entry.kind = value.kind;
	entry.length = value.length;
	return prolly_json_add_value(self->command, self->json, name, self->view, &entry, error);
}

/* ProllyConflictFunc */
static bool list_conflict(const ProllyPlace *place, ProllyConflictKind kind,
			  const ProllyMergeStep *sides, void *data, GError **error)
{
	Listing *self = data;
	ProllyCommand *command = self->command;
	g_autofree char *path = prolly_conflict_dup_path(self->view, place, sides, error);
	const char *text = prolly_conflict_kind_to_text(kind);

	if (!path || !prolly_command_check(command, error))
		return false;
	if (!command->json) {
		prolly_command_print_painted(command, PROLLY_PAINT_RED, "%-15s", text);
		prolly_command_print(command, "  %s\n", path);
		return true;
	}
	prolly_json_begin(self->json, NULL, '{');
	prolly_json_add_place(self->json, place, path);
	prolly_json_add_text(self->json, "kind", text);
	if (!add_side(self, "base", sides->base, sides->base_len, error) ||
	    !add_side(self, "ours", sides->ours, sides->ours_len, error) ||
	    !add_side(self, "theirs", sides->theirs, sides->theirs_len, error))
		return false;
	prolly_json_end(self->json, '}');
	prolly_command_print_json(command, self->json);
	return true;
}

static bool run_conflicts(ProllyCommand *command, GError **error)
{
	g_autoptr(ProllyUnfinished) unfinished = NULL;
	g_autoptr(ProllyBranch) branch = NULL;

	if (!prolly_command_open_branch(command, &branch, error) ||
	    !prolly_unfinished_load(command->repo, branch, &unfinished, error))
		return false;
	if (!unfinished)
		return true;
	g_autoptr(ProllyView) view = prolly_view_new_live(command->repo, branch);
	g_autoptr(GString) json = g_string_new(NULL);
	Listing listing = {command, view, json};
	return prolly_unfinished_foreach(command->repo, unfinished, list_conflict, &listing, error);
}

/* ---- resolve ----------------------------------------------------------------------------- */

static bool get_with(ProllyCommand *command, ProllyResolveWith *out_with, GError **error)
{
	static const struct {
		const char *option;
		ProllyResolveWith with;
	} SIDES[] = {
		{"ours", PROLLY_RESOLVE_OURS},
		{"theirs", PROLLY_RESOLVE_THEIRS},
		{"base", PROLLY_RESOLVE_BASE},
	};
	unsigned n = 0;

	*out_with = PROLLY_RESOLVE_WORKING;
	for (size_t i = 0; i < G_N_ELEMENTS(SIDES); i++) {
		if (!prolly_command_option(command, SIDES[i].option))
			continue;
		*out_with = SIDES[i].with;
		n++;
	}
	if (n > 1)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "resolve: --ours, --theirs and --base do not go together");
	return true;
}

static ProllyPlace make_place(const char *ns, GBytes *bytes)
{
	ProllyPlace place = {.ns = ns};
	place.key = g_bytes_get_data(bytes, &place.key_len);
	return place;
}

static bool resolve_path(ProllyCommand *command, ProllyBranch *branch, const char *argument,
			 ProllyResolveWith with, GError **error)
{
	g_auto(ProllyPath) path = {0};
	uint64_t n = 0;

	if (!prolly_command_parse_path(command, argument, &path, error))
		return false;
	if (path.key) {
		ProllyPlace key = make_place(path.key_namespace, path.key);
		if (!prolly_unfinished_resolve(command->repo, branch, &key, false, with, &n, error))
			return false;
	}
	if (!n && path.prefix) {
		ProllyPlace below = make_place(path.dir_namespace, path.prefix);
		if (!prolly_unfinished_resolve(command->repo, branch, &below, true, with, &n,
					       error))
			return false;
	}
	return n || prolly_command_answer_no(command, "%s: not in conflict", argument);
}

static bool run_resolve(ProllyCommand *command, GError **error)
{
	unsigned n = command->words->arguments->len;
	bool all = prolly_command_option(command, "all");
	g_autoptr(ProllyBranch) branch = NULL;
	ProllyPlace everything = {0};
	ProllyResolveWith with;
	uint64_t resolved;

	if (all == (n > 0))
		return prolly_throw(error, PROLLY_ERROR_USAGE, "resolve: give PATHs or --all");
	if (!get_with(command, &with, error) ||
	    !prolly_command_open_branch(command, &branch, error))
		return false;
	if (all)
		return prolly_unfinished_resolve(command->repo, branch, &everything, true, with,
						 &resolved, error);
	for (unsigned i = 0; i < n; i++)
		if (!resolve_path(command, branch, prolly_command_argument(command, i), with,
				  error))
			return false;
	return true;
}

/* ---- Tables ------------------------------------------------------------------------------ */

static const ProllyOptionSpec RESOLVE_OPTIONS[] = {
	{"ours", 0, NULL, "as the branch has it"},
	{"theirs", 0, NULL, "as what is merged has it"},
	{"base", 0, NULL, "as both had it"},
	{"all", 0, NULL, "all that is in conflict"},
	{0},
};

const ProllyCommandSpec prolly_cmd_conflicts = {
	.name = "conflicts",
	.arguments = "",
	.summary = "list what an unfinished merge waits for",
	.flags = PROLLY_COMMAND_WORKING | PROLLY_COMMAND_PAGES,
	.run = run_conflicts,
};

const ProllyCommandSpec prolly_cmd_resolve = {
	.name = "resolve",
	.arguments = "[PATH...]",
	.summary = "settle conflicts: by default as the working state has the keys",
	.options = RESOLVE_OPTIONS,
	.max_arguments = PROLLY_COMMAND_ANY_NUMBER,
	.flags = PROLLY_COMMAND_WORKING | PROLLY_COMMAND_CHANGES,
	.run = run_resolve,
};
