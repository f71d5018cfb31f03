/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-reflog: where a branch stood, newest first, as `git reflog` shows it.
 *
 * The number of a line is what BRANCH@{N} takes. Every move is there, whoever made it: a commit, a
 * merge, a reset, or git on the store's repository. A branch that was deleted has no reflog.
 */

#include "command/command-private.h"

#include <string.h>

static void print_entry(ProllyCommand *command, const char *name, guint n,
			const ProllyReflogEntry *entry)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];

	prolly_commit_id_to_hex(&entry->to, hex);
	prolly_command_print_painted(command, PROLLY_PAINT_YELLOW, "%.*s", PROLLY_SHORT_ID, hex);
	prolly_command_print(command, " %s@{%u}: %s\n", name, n, entry->message);
}

static void print_entry_json(ProllyCommand *command, const ProllyReflogEntry *entry)
{
	static const ProllyCommitId NOWHERE = {{0}};
	g_autoptr(GString) json = g_string_new(NULL);

	prolly_json_begin(json, NULL, '{');
	prolly_json_add_commit_id(json, "commit", &entry->to);
	if (prolly_commit_id_equal(&entry->from, &NOWHERE))
		prolly_json_add_null(json, "previous");
	else
		prolly_json_add_commit_id(json, "previous", &entry->from);
	prolly_json_add_time(json, "date", &entry->who);
	prolly_json_add_text(json, "message", entry->message);
	prolly_json_end(json, '}');
	prolly_command_print_json(command, json);
}

/* The branch whose reflog it is: the argument ("show" before it means nothing), else the present
 * one. NULL: one argument too many. */
static const char *choose_name(ProllyCommand *command)
{
	unsigned i = g_strcmp0(prolly_command_argument(command, 0), "show") == 0;
	const char *name = prolly_command_argument(command, i);
	return prolly_command_argument(command, i + 1) ? NULL : name ? name : command->branch_name;
}

static bool run_reflog(ProllyCommand *command, GError **error)
{
	const char *name = choose_name(command);
	g_autoptr(ProllyBranch) branch = NULL;
	g_autoptr(GArray) entries = NULL;
	uint64_t count = 0;

	if (!name)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "reflog: one argument too many (usage: reflog %s)",
				    command->words->spec->arguments);
	if (name == command->branch_name && !prolly_command_check_branch(command, error))
		return false;
	if (!prolly_command_parse_count(command, &count, error) ||
	    !prolly_branch_lookup(command->repo, name, &branch, error))
		return false;
	if (!branch)
		return prolly_throw(error, PROLLY_ERROR_NOT_FOUND, "%s: no such branch", name);
	if (!prolly_reflog_load(command->repo, name, &entries, error))
		return false;
	for (guint i = 0; i < entries->len && i < count; i++) {
		const ProllyReflogEntry *entry =
			&g_array_index(entries, ProllyReflogEntry, entries->len - 1 - i);

		if (command->json)
			print_entry_json(command, entry);
		else
			print_entry(command, name, i, entry);
		if (!prolly_command_check(command, error))
			return false;
	}
	return true;
}

static const ProllyOptionSpec REFLOG_OPTIONS[] = {
	{"max-count", 'n', "N", "at most N entries"},
	{0},
};

const ProllyCommandSpec prolly_cmd_reflog = {
	.name = "reflog",
	.arguments = "[BRANCH]",
	.summary = "show where a branch stood, newest first",
	.options = REFLOG_OPTIONS,
	.max_arguments = 2,
	.flags = PROLLY_COMMAND_WORKING | PROLLY_COMMAND_PAGES,
	.run = run_reflog,
};
