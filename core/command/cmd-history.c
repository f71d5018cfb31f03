/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-history: history, what happened to a key; and blame, which commit gave each key of a namespace
 * the value it has.
 *
 * Both read commits only: what is staged has no commit yet. A history streams; a blame knows a key's
 * commit only when it has found it, and prints all of them in key order at the end.
 */

#include "command/command-private.h"

#include <string.h>

/* ---- history ----------------------------------------------------------------------------- */

typedef struct {
	ProllyCommand *command;
	ProllyPlace place;
	ProllyCommitPrinter printer;
	GString *json;
} History;

/* Member NAME: what the key is in commit ID, if it is there. */
static bool add_value(History *history, const char *name, const ProllyCommitId *id, GError **error)
{
	g_autoptr(ProllyView) view = NULL;
	g_auto(ProllyEntry) entry = {0};
	bool found = false;

	if (!prolly_view_new_commit(history->command->repo, id, &view, error) ||
	    !prolly_view_get(view, &history->place, false, &entry, &found, error))
		return false;
	return !found ||
	       prolly_json_add_value(history->command, history->json, name, view, &entry, error);
}

static const char *get_operation(const ProllyKeyChange *change)
{
	ProllyChangeKind kind = !change->has_old  ? PROLLY_CHANGE_ADDED
				: change->has_new ? PROLLY_CHANGE_MODIFIED
						  : PROLLY_CHANGE_DELETED;
	return prolly_change_kind_to_text(kind);
}

static bool print_change_json(History *history, const ProllyKeyChange *change, GError **error)
{
	const ProllyCommit *commit = change->commit;
	GString *json = history->json;

	prolly_json_begin(json, NULL, '{');
	prolly_json_add_commit_id(json, "commit", &commit->id);
	prolly_json_add_time(json, "date", &commit->author);
	prolly_json_add_person(json, "author", &commit->author);
	prolly_json_add_text(json, "operation", get_operation(change));
	if ((change->has_old && !add_value(history, "old", &commit->parents[0], error)) ||
	    (change->has_new && !add_value(history, "new", &commit->id, error)))
		return false;
	prolly_json_end(json, '}');
	prolly_command_print_json(history->command, json);
	return true;
}

static bool print_change(History *history, const ProllyKeyChange *change, GError **error)
{
	ProllyChangesStyle style = PROLLY_CHANGES_PATCH;

	if (history->command->json)
		return print_change_json(history, change, error);
	prolly_commit_printer_print(&history->printer, change->commit);
	if (history->printer.oneline)
		return true;
	prolly_command_get_style(history->command, &style);
	prolly_command_print(history->command, "\n");
	g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(ProllyRange));
	ProllyRange key = {history->place.ns, history->place.key, history->place.key_len, true};
	g_array_append_val(ranges, key);
	return prolly_command_print_commit_changes(history->command, change->commit, ranges, style,
						   error);
}

static bool print_history(History *history, ProllyKeyLog *log, uint64_t count, GError **error)
{
	uint64_t n = 0;

	for (; n < count; n++) {
		ProllyKeyChange change;
		bool end = false;

		if (!prolly_key_log_next(log, &change, &end, error))
			return false;
		if (end)
			break;
		if (!print_change(history, &change, error) ||
		    !prolly_command_check(history->command, error))
			return false;
	}
	if (!n && count)
		return prolly_command_answer_no(history->command, "%s: no commit has this key",
						prolly_command_argument(history->command, 0));
	return true;
}

static bool run_history(ProllyCommand *command, GError **error)
{
	const char *rev = prolly_command_argument(command, 1);
	g_autoptr(ProllyKeyLog) log = NULL;
	g_autoptr(GString) json = g_string_new(NULL);
	g_auto(ProllyPath) path = {0};
	History history = {
		.command = command,
		.printer = {.command = command,
			    .oneline = prolly_command_option(command, "oneline"),
			    .is_first = true},
		.json = json,
	};
	ProllyCommitId start;
	ProllyLogOptions options = {.starts = &start, .n_starts = 1};
	uint64_t count = 0;

	if (!prolly_command_parse_count(command, &count, error) ||
	    !prolly_command_parse_key(command, prolly_command_argument(command, 0), &path,
				      &history.place, error) ||
	    !prolly_command_resolve(command,
				    rev           ? rev
				    : command->at ? command->at
						  : "HEAD",
				    &start, error))
		return false;
	log = prolly_key_log_new(command->repo, &options, &history.place);
	return print_history(&history, log, count, error);
}

/* ---- blame ------------------------------------------------------------------------------- */

static bool check(void *command, GError **error)
{
	return prolly_command_check(command, error);
}

static void print_blame_json(ProllyCommand *command, GString *json, const ProllyPlace *place,
			     const char *path, const ProllyCommit *commit)
{
	prolly_json_begin(json, NULL, '{');
	prolly_json_add_bytes(json, "key", place->key, place->key_len);
	prolly_json_add_text(json, "path", path);
	prolly_json_add_commit_id(json, "commit", &commit->id);
	prolly_json_add_time(json, "date", &commit->author);
	prolly_json_add_person(json, "author", &commit->author);
	prolly_json_end(json, '}');
	prolly_command_print_json(command, json);
}

/* "1a2b3c4d5e (A U Thor 2026-11-19 14:33:21 +0100) ns/key" */
static void print_blame_text(ProllyCommand *command, const char *path, const ProllyCommit *commit)
{
	int offset = commit->author.offset_minutes;
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	struct tm tm;

	prolly_signature_get_tm(&commit->author, &tm);
	prolly_command_print_painted(command, PROLLY_PAINT_YELLOW, "%.*s", PROLLY_SHORT_ID,
				     prolly_commit_id_to_hex(&commit->id, hex));
	prolly_command_print(command, " (%s %04d-%02d-%02d %02d:%02d:%02d %c%02d%02d) %s\n",
			     commit->author.name, tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
			     tm.tm_hour, tm.tm_min, tm.tm_sec, offset < 0 ? '-' : '+',
			     ABS(offset) / 60, ABS(offset) % 60, path);
}

static bool print_blame(ProllyCommand *command, ProllyView *view, ProllyBlame *blame,
			GError **error)
{
	g_autoptr(GString) json = g_string_new(NULL);

	for (size_t i = 0; i < prolly_blame_get_n(blame); i++) {
		g_autofree char *path = NULL;
		const ProllyCommit *commit;
		ProllyPlace place;

		prolly_blame_get(blame, i, &place, &commit);
		path = prolly_command_dup_path(view, &place, PROLLY_KIND_FILE, error);
		if (!path || !prolly_command_check(command, error))
			return false;
		if (command->json)
			print_blame_json(command, json, &place, path, commit);
		else
			print_blame_text(command, path, commit);
	}
	return true;
}

static bool run_blame(ProllyCommand *command, GError **error)
{
	const char *rev = prolly_command_argument(command, 1);
	char ns[PROLLY_NAMESPACE_MAX + 1];
	g_autoptr(ProllyBlame) blame = NULL;
	g_autoptr(ProllyView) view = NULL;
	ProllyCommitId id;
	bool has = true;

	if (!prolly_command_parse_namespace(prolly_command_argument(command, 0), ns, error) ||
	    !prolly_command_resolve(command,
				    rev           ? rev
				    : command->at ? command->at
						  : "HEAD",
				    &id, error) ||
	    !prolly_view_new_commit(command->repo, &id, &view, error) ||
	    (*ns && !prolly_view_has_namespace(view, ns, &has, error)))
		return false;
	if (!has)
		return prolly_command_answer_no(command, "%s: no such namespace",
						prolly_command_argument(command, 0));
	return prolly_blame_new(command->repo, &id, ns, check, command, &blame, error) &&
	       print_blame(command, view, blame, error);
}

/* ---- Tables ------------------------------------------------------------------------------ */

static const ProllyOptionSpec HISTORY_OPTIONS[] = {
	{"max-count", 'n', "N", "at most N commits"},
	{"oneline", 0, NULL, "one line for each, without the values"},
	PROLLY_CHANGES_OPTIONS,
	{0},
};

const ProllyCommandSpec prolly_cmd_history = {
	.name = "history",
	.arguments = "PATH [REV]",
	.summary = "show the commits that changed a key, with its values",
	.options = HISTORY_OPTIONS,
	.min_arguments = 1,
	.max_arguments = 2,
	.flags = PROLLY_COMMAND_PAGES,
	.run = run_history,
};

const ProllyCommandSpec prolly_cmd_blame = {
	.name = "blame",
	.arguments = "NAMESPACE [REV]",
	.summary = "show for each key the commit that gave it its value",
	.min_arguments = 1,
	.max_arguments = 2,
	.flags = PROLLY_COMMAND_PAGES,
	.run = run_blame,
};
