/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-history: commit, log, show. The text is git's: who knows `git log` reads it at once.
 *
 * A log streams. --key looks at the trees of each commit and its parents, which costs a path in
 * each; branch names stand behind the ids on a terminal only, as in git, so that what scripts read
 * does not change when a branch is made.
 */

#include "command/command-private.h"

#include <string.h>

#define SHORT_ID 10 /* digits of an id for people */

/* ---- commit ------------------------------------------------------------------------------ */

/* (transfer full) All -m values as paragraphs, tidied as git does; NULL if nothing is left. */
static char *dup_message(const ProllyWords *words)
{
	GString *message = g_string_new(NULL);
	for (guint i = 0; i < words->options->len; i++) {
		const ProllyOptionUse *use = &g_array_index(words->options, ProllyOptionUse, i);
		if (strcmp(use->spec->name, "message") != 0)
			continue;
		g_autofree char *paragraph = g_strchomp(g_strdup(use->value));
		g_string_append_printf(message, "%s%s", message->len ? "\n\n" : "", paragraph);
	}
	char *text = g_strchomp(g_string_free(message, FALSE));
	if (!*text)
		g_clear_pointer(&text, g_free);
	return text;
}

static void print_committed(ProllyCommand *command, const char *message, const ProllyCommitId *id,
			    uint64_t changes)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	g_autoptr(GString) json = g_string_new(NULL);

	if (command->json) {
		prolly_json_begin(json, NULL, '{');
		prolly_json_add_commit_id(json, "commit", id);
		prolly_json_add_text(json, "branch", command->branch_name);
		prolly_json_add_number(json, "changes", changes);
		prolly_json_end(json, '}');
		prolly_command_print_json(command, json);
	} else if (!command->quiet) {
		prolly_command_print(command, "[%s %.*s] %.*s\n", command->branch_name, SHORT_ID,
				     prolly_commit_id_to_hex(id, hex), (int)strcspn(message, "\n"),
				     message);
		prolly_command_print(command, " %" G_GUINT64_FORMAT " key%s changed\n", changes,
				     changes == 1 ? "" : "s");
	}
}

static bool run_commit(ProllyCommand *command, GError **error)
{
	g_autofree char *message = dup_message(command->words);
	g_auto(ProllySignature) author = {0};
	g_auto(ProllySignature) committer = {0};
	g_autoptr(ProllyBranch) branch = NULL;
	ProllyCommitId id;
	uint64_t changes = 0;

	if (!message)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "commit: -m MESSAGE is missing");
	if (!prolly_command_open_branch(command, &branch, error) ||
	    !prolly_command_sign(command, &author, &committer, error))
		return false;
	g_autofree char *stored = g_strconcat(message, "\n", NULL);
	ProllyCommitOptions options = {
		.message = stored,
		.author = &author,
		.committer = &committer,
		.allow_empty = prolly_command_option(command, "allow-empty"),
	};
	if (!prolly_history_commit(command->repo, branch, &options, &id, &changes, error))
		return false;
	if (!changes && !options.allow_empty)
		return prolly_command_answer_no(command, "%s: nothing to commit",
						command->branch_name);
	print_committed(command, message, &id, changes);
	return true;
}

/* ---- One commit as text or JSON ---------------------------------------------------------- */

typedef struct {
	ProllyCommand *command;
	ProllyGraph *graph; /* nullable */
	GHashTable *names;  /* id as hex -> "main, next": on a terminal only; nullable */
	bool oneline;
	bool is_first;
} Printer;

static void print_commit_json(ProllyCommand *command, const ProllyCommit *commit)
{
	g_autoptr(GString) json = g_string_new(NULL);
	g_autofree char *message = g_strchomp(g_strdup(commit->message));

	prolly_json_begin(json, NULL, '{');
	prolly_json_add_commit_id(json, "commit", &commit->id);
	prolly_json_begin(json, "parents", '[');
	for (size_t i = 0; i < commit->n_parents; i++)
		prolly_json_add_commit_id(json, NULL, &commit->parents[i]);
	prolly_json_end(json, ']');
	prolly_json_add_person(json, "author", &commit->author);
	prolly_json_add_time(json, "date", &commit->author);
	prolly_json_add_time(json, "committed", &commit->committer);
	prolly_json_add_text(json, "message", message);
	prolly_json_end(json, '}');
	prolly_command_print_json(command, json);
}

/* "Thu Nov 19 14:33:21 2026 +0100", in English whatever the locale is. */
static void append_date(GString *out, const ProllySignature *signature)
{
	static const char DAYS[] = "MonTueWedThuFriSatSun";
	static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int offset = signature->offset_minutes, minutes = ABS(offset);
	g_autoptr(GDateTime) date =
		g_date_time_new_from_unix_utc(signature->time + (int64_t)offset * 60);

	if (!date)
		return;
	g_string_append_printf(out, "%.3s %.3s %d %02d:%02d:%02d %d %c%02d%02d",
			       DAYS + 3 * (g_date_time_get_day_of_week(date) - 1),
			       MONTHS + 3 * (g_date_time_get_month(date) - 1),
			       g_date_time_get_day_of_month(date), g_date_time_get_hour(date),
			       g_date_time_get_minute(date), g_date_time_get_second(date),
			       g_date_time_get_year(date), offset < 0 ? '-' : '+', minutes / 60,
			       minutes % 60);
}

/* The id in yellow, and behind it the branches that stand there. */
static void append_id(Printer *printer, GString *text, const ProllyCommit *commit, int digits)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	const char *on = printer->command->colour ? "\033[33m" : "";
	const char *off = printer->command->colour ? "\033[m" : "";
	const char *names = NULL;

	prolly_commit_id_to_hex(&commit->id, hex);
	if (printer->names)
		names = g_hash_table_lookup(printer->names, hex);
	g_string_append_printf(text, "%s%s%.*s%s%s%s%s", on, printer->oneline ? "" : "commit ",
			       digits, hex, names ? " (" : "", names ? names : "", names ? ")" : "",
			       off);
}

static void append_oneline(Printer *printer, GString *text, const ProllyCommit *commit)
{
	append_id(printer, text, commit, SHORT_ID);
	g_string_append_printf(text, " %.*s\n", (int)strcspn(commit->message, "\n"),
			       commit->message);
}

static void append_full(Printer *printer, GString *text, const ProllyCommit *commit)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	g_autofree char *message = g_strchomp(g_strdup(commit->message));
	g_auto(GStrv) lines = g_strsplit(message, "\n", -1);

	append_id(printer, text, commit, PROLLY_COMMIT_ID_HEX_SIZE);
	if (commit->n_parents > 1)
		g_string_append(text, "\nMerge:");
	for (size_t i = 0; commit->n_parents > 1 && i < commit->n_parents; i++)
		g_string_append_printf(text, " %.*s", SHORT_ID,
				       prolly_commit_id_to_hex(&commit->parents[i], hex));
	g_string_append_printf(text, "\nAuthor: %s <%s>\nDate:   ", commit->author.name,
			       commit->author.email);
	append_date(text, &commit->author);
	g_string_append(text, "\n\n");
	for (char **line = lines; *line; line++)
		g_string_append_printf(text, "%s%s\n", **line ? "    " : "", *line);
}

/* One line, beside the graph if there is one. */
static void print_line(Printer *printer, const char *line, size_t len)
{
	g_autoptr(GString) whole = g_string_new(NULL);
	if (printer->graph)
		prolly_graph_append_line(printer->graph, whole);
	g_string_append_len(whole, line, (gssize)len);
	while (printer->graph && whole->len && whole->str[whole->len - 1] == ' ')
		g_string_truncate(whole, whole->len - 1);
	prolly_command_print(printer->command, "%s\n", whole->str);
}

static void print_commit(Printer *printer, const ProllyCommit *commit)
{
	if (printer->command->json) {
		print_commit_json(printer->command, commit);
		return;
	}
	if (!printer->is_first && !printer->oneline)
		print_line(printer, "", 0);
	while (printer->graph && prolly_graph_is_pending(printer->graph))
		print_line(printer, "", 0);
	if (printer->graph)
		prolly_graph_push(printer->graph, commit);

	g_autoptr(GString) text = g_string_new(NULL);
	if (printer->oneline)
		append_oneline(printer, text, commit);
	else
		append_full(printer, text, commit);
	for (const char *p = text->str; *p;) {
		size_t len = strcspn(p, "\n");
		print_line(printer, p, len);
		p += len + 1;
	}
	printer->is_first = false;
}

/* ---- log: where it starts ---------------------------------------------------------------- */

typedef bool (*BranchFunc)(void *data, const char *name, const ProllyCommitId *head);

static bool foreach_branch(ProllyCommand *command, BranchFunc func, void *data, GError **error)
{
	g_autoptr(GPtrArray) names = NULL;
	if (!prolly_branch_list(command->repo, &names, error))
		return false;
	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		g_autoptr(ProllyBranch) branch = NULL;
		ProllyCommitId head;
		if (!prolly_branch_lookup(command->repo, name, &branch, error))
			return false;
		if (!branch)
			continue;
		prolly_branch_get_head(branch, &head);
		func(data, name, &head);
	}
	return true;
}

static bool add_start(void *starts, const char *name, const ProllyCommitId *head)
{
	g_array_append_val((GArray *)starts, *head);
	return true;
}

static bool add_name(void *names, const char *name, const ProllyCommitId *head)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	const char *others = g_hash_table_lookup(names, prolly_commit_id_to_hex(head, hex));
	char *all = others ? g_strconcat(others, ", ", name, NULL) : g_strdup(name);
	g_hash_table_insert(names, g_strdup(hex), all);
	return true;
}

/* Where one commit is meant: REV, else --at, else the branch's head. */
static bool resolve_argument(ProllyCommand *command, ProllyCommitId *out_id, GError **error)
{
	const char *rev = prolly_command_argument(command, 0);
	if (!rev)
		rev = prolly_command_option(command, "at");
	if (rev)
		return prolly_command_resolve(command, rev, out_id, error);
	g_autoptr(ProllyBranch) branch = NULL;
	if (!prolly_command_open_branch(command, &branch, error))
		return false;
	prolly_branch_get_head(branch, out_id);
	return true;
}

/* (transfer full) */
static bool get_starts(ProllyCommand *command, GArray **out_starts, GError **error)
{
	g_autoptr(GArray) starts = g_array_new(FALSE, FALSE, sizeof(ProllyCommitId));
	bool all = prolly_command_option(command, "all");
	ProllyCommitId id;

	if (all && !foreach_branch(command, add_start, starts, error))
		return false;
	if (!all || prolly_command_argument(command, 0)) {
		if (!resolve_argument(command, &id, error))
			return false;
		g_array_append_val(starts, id);
	}
	*out_starts = g_steal_pointer(&starts);
	return true;
}

/* ---- log --key --------------------------------------------------------------------------- */

/* What a key was in commits, looked up once each: a commit is asked for as a parent, then as
 * itself. */
typedef struct {
	ProllyCommand *command;
	const char *argument;
	GHashTable *stored; /* id as hex -> GBytes, empty: not there */
} KeyHistory;

static bool load_stored(KeyHistory *history, const ProllyCommitId *id, GBytes **out_stored,
			GError **error)
{
	ProllyRepo *repo = history->command->repo;
	g_autoptr(ProllyView) view = NULL;
	g_auto(ProllyTarget) target = {0};
	g_auto(ProllyEntry) entry = {0};
	bool found = false;

	if (!prolly_view_new_commit(repo, id, &view, error) ||
	    !prolly_target_init(history->command, view, history->argument, &target, error))
		return false;
	if (target.key.ns && !prolly_view_get(view, &target.key, false, &entry, &found, error))
		return false;
	*out_stored = found ? g_bytes_ref(entry.stored) : g_bytes_new(NULL, 0);
	return true;
}

/* Borrowed from the history. */
static bool get_stored(KeyHistory *history, const ProllyCommitId *id, GBytes **out_stored,
		       GError **error)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	prolly_commit_id_to_hex(id, hex);
	*out_stored = g_hash_table_lookup(history->stored, hex);
	if (*out_stored)
		return true;
	if (!load_stored(history, id, out_stored, error))
		return false;
	g_hash_table_insert(history->stored, g_strdup(hex), *out_stored);
	return true;
}

/* A commit changed the key if the key is another in each of its parents (as git has it). */
static bool has_changed(KeyHistory *history, const ProllyCommit *commit, bool *out_has,
			GError **error)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	GBytes *own = NULL, *theirs = NULL;

	if (!get_stored(history, &commit->id, &own, error))
		return false;
	*out_has = commit->n_parents || g_bytes_get_size(own);
	for (size_t i = 0; *out_has && i < commit->n_parents; i++) {
		if (!get_stored(history, &commit->parents[i], &theirs, error))
			return false;
		*out_has = !g_bytes_equal(own, theirs);
	}
	g_hash_table_remove(history->stored, prolly_commit_id_to_hex(&commit->id, hex));
	return true;
}

/* ---- log: the command -------------------------------------------------------------------- */

static bool parse_count(ProllyCommand *command, uint64_t *out_count, GError **error)
{
	const char *text = prolly_command_option(command, "max-count");
	*out_count = UINT64_MAX;
	if (!text || g_ascii_string_to_unsigned(text, 10, 0, UINT64_MAX, out_count, NULL))
		return true;
	return prolly_throw(error, PROLLY_ERROR_USAGE, "log: -n %s: not a number", text);
}

static bool print_log(Printer *printer, ProllyLog *log, KeyHistory *history, uint64_t count,
		      GError **error)
{
	while (count) {
		g_autoptr(ProllyCommit) commit = NULL;
		ProllyCommitId id;
		bool end = false, wanted = true;

		if (!prolly_log_next(log, &id, &end, error))
			return false;
		if (end)
			break;
		if (!prolly_commit_load(printer->command->repo, &id, &commit, error) ||
		    (history && !has_changed(history, commit, &wanted, error)) ||
		    !prolly_command_check(printer->command, error))
			return false;
		if (!wanted)
			continue;
		print_commit(printer, commit);
		count--;
	}
	while (printer->graph && prolly_graph_is_pending(printer->graph))
		print_line(printer, "", 0);
	return true;
}

static bool run_log(ProllyCommand *command, GError **error)
{
	const char *key = prolly_command_option(command, "key");
	bool has_graph = prolly_command_option(command, "graph") && !command->json;
	g_autoptr(GHashTable) names =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_autoptr(GHashTable) stored = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
							     (GDestroyNotify)g_bytes_unref);
	g_autoptr(ProllyGraph) graph = has_graph ? prolly_graph_new() : NULL;
	g_autoptr(GArray) starts = NULL;
	g_autoptr(ProllyLog) log = NULL;
	uint64_t count = 0;

	if (key && has_graph)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "log: --key and --graph do not go together");
	if (!parse_count(command, &count, error) || !get_starts(command, &starts, error) ||
	    !prolly_log_new(command->repo, (const ProllyCommitId *)(void *)starts->data,
			    starts->len, &log, error))
		return false;
	if (command->is_terminal && !foreach_branch(command, add_name, names, error))
		return false;
	Printer printer = {command, graph, names, prolly_command_option(command, "oneline"), true};
	KeyHistory history = {command, key, stored};
	return print_log(&printer, log, key ? &history : NULL, count, error);
}

/* ---- show -------------------------------------------------------------------------------- */

static bool run_show(ProllyCommand *command, GError **error)
{
	g_autoptr(ProllyCommit) commit = NULL;
	g_autoptr(ProllyView) before = NULL;
	g_autoptr(ProllyView) after = NULL;
	Printer printer = {.command = command, .is_first = true};
	ProllyCommitId id;
	uint64_t n = 0;

	if (!resolve_argument(command, &id, error) ||
	    !prolly_commit_load(command->repo, &id, &commit, error) ||
	    !prolly_view_new_commit(command->repo, &id, &after, error))
		return false;
	if (commit->n_parents &&
	    !prolly_view_new_commit(command->repo, &commit->parents[0], &before, error))
		return false;
	print_commit(&printer, commit);
	if (!command->json)
		prolly_command_print(command, "\n");
	return prolly_command_print_changes(
		command, before, after, NULL,
		command->json ? PROLLY_CHANGES_JSON : PROLLY_CHANGES_PATCH, &n, error);
}

/* ---- Tables ------------------------------------------------------------------------------ */

static const ProllyOptionSpec NO_OPTIONS[] = {{0}};

static const ProllyOptionSpec COMMIT_OPTIONS[] = {
	{"message", 'm', "MSG", "the commit's message; more than one make paragraphs"},
	{"allow-empty", 0, NULL, "make a commit even if nothing is staged"},
	{0},
};

static const ProllyOptionSpec LOG_OPTIONS[] = {
	{"max-count", 'n', "N", "at most N commits"},
	{"oneline", 0, NULL, "one line for each"},
	{"graph", 0, NULL, "draw the history beside them"},
	{"all", 0, NULL, "from the heads of all branches"},
	{"key", 0, "PATH", "only commits that changed a key"},
	{0},
};

const ProllyCommandSpec prolly_cmd_commit = {
	.name = "commit",
	.arguments = "",
	.summary = "commit what is staged in all namespaces",
	.options = COMMIT_OPTIONS,
	.flags = PROLLY_COMMAND_WORKING | PROLLY_COMMAND_CHANGES | PROLLY_COMMAND_SIGNS,
	.run = run_commit,
};

const ProllyCommandSpec prolly_cmd_log = {
	.name = "log",
	.arguments = "[REV]",
	.summary = "show the history, newest first",
	.options = LOG_OPTIONS,
	.max_arguments = 1,
	.flags = PROLLY_COMMAND_PAGES,
	.run = run_log,
};

const ProllyCommandSpec prolly_cmd_show = {
	.name = "show",
	.arguments = "[REV]",
	.summary = "show one commit and its changes",
	.options = NO_OPTIONS,
	.max_arguments = 1,
	.flags = PROLLY_COMMAND_PAGES,
	.run = run_show,
};
