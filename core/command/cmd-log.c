/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-log: log and show.
 *
 * A log streams. --key looks at the trees of each commit and its parents, which costs a path in
 * each; branch names stand behind the ids on a terminal only, as in git, so that what scripts read
 * does not change when a branch is made.
 */

#include "command/command-private.h"

#include <string.h>

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

static bool print_log(ProllyCommitPrinter *printer, ProllyLog *log, KeyHistory *history,
		      uint64_t count, GError **error)
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
		prolly_commit_printer_print(printer, commit);
		count--;
	}
	while (printer->graph && prolly_graph_is_pending(printer->graph))
		prolly_commit_printer_line(printer, "", 0);
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
	if (!prolly_command_parse_count(command, &count, error) ||
	    !get_starts(command, &starts, error) ||
	    !prolly_log_new(command->repo, (const ProllyCommitId *)(void *)starts->data,
			    starts->len, &log, error))
		return false;
	if (command->is_terminal && !foreach_branch(command, add_name, names, error))
		return false;
	ProllyCommitPrinter printer = {command, graph, names,
				       prolly_command_option(command, "oneline"), true};
	KeyHistory history = {command, key, stored};
	return print_log(&printer, log, key ? &history : NULL, count, error);
}

/* ---- show -------------------------------------------------------------------------------- */

static bool run_show(ProllyCommand *command, GError **error)
{
	g_autoptr(ProllyCommit) commit = NULL;
	g_autoptr(ProllyView) before = NULL;
	g_autoptr(ProllyView) after = NULL;
	ProllyCommitPrinter printer = {.command = command, .is_first = true};
	ProllyCommitId id;
	uint64_t n = 0;

	if (!resolve_argument(command, &id, error) ||
	    !prolly_commit_load(command->repo, &id, &commit, error) ||
	    !prolly_view_new_commit(command->repo, &id, &after, error))
		return false;
	if (commit->n_parents &&
	    !prolly_view_new_commit(command->repo, &commit->parents[0], &before, error))
		return false;
	prolly_commit_printer_print(&printer, commit);
	if (!command->json)
		prolly_command_print(command, "\n");
	return prolly_command_print_changes(
		command, before, after, NULL,
		command->json ? PROLLY_CHANGES_JSON : PROLLY_CHANGES_PATCH, &n, error);
}

/* ---- Tables ------------------------------------------------------------------------------ */

static const ProllyOptionSpec NO_OPTIONS[] = {{0}};

static const ProllyOptionSpec LOG_OPTIONS[] = {
	{"max-count", 'n', "N", "at most N commits"},
	{"oneline", 0, NULL, "one line for each"},
	{"graph", 0, NULL, "draw the history beside them"},
	{"all", 0, NULL, "from the heads of all branches"},
	{"key", 0, "PATH", "only commits that changed a key"},
	{0},
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
