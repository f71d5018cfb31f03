/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-log: the history, newest first.
 *
 * Where the commits come from is log-source.c's. Names stand behind the ids on a terminal only, as in
 * git, so that what scripts read does not change when a branch is made.
 *
 * Beside a graph, what a commit changed is printed like its text: line by line, through a command of
 * its own whose output comes back here.
 */

#include "base/memory.h"
#include "command/command-private.h"

#include <string.h>

/* ---- Where it starts ---------------------------------------------------------------------- */

typedef void (*HeadFunc)(void *data, const char *name, const ProllyCommitId *head);

static bool foreach_branch(ProllyCommand *command, HeadFunc func, void *data, GError **error)
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

static bool foreach_tag(ProllyCommand *command, HeadFunc func, void *data, GError **error)
{
	g_autoptr(GPtrArray) names = NULL;
	if (!prolly_tag_list(command->repo, NULL, &names, error))
		return false;
	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		g_autofree char *label = g_strconcat("tag: ", name, NULL);
		g_autoptr(ProllyTag) tag = NULL;
		if (!prolly_tag_load(command->repo, name, &tag, error))
			return false;
		if (tag)
			func(data, label, &tag->commit);
	}
	return true;
}

static void add_start(void *starts, const char *name, const ProllyCommitId *head)
{
	g_array_append_val((GArray *)starts, *head);
}

static void add_name(void *names, const char *name, const ProllyCommitId *head)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	const char *others = g_hash_table_lookup(names, prolly_commit_id_to_hex(head, hex));
	char *all = others ? g_strconcat(others, ", ", name, NULL) : g_strdup(name);
	g_hash_table_insert(names, g_strdup(hex), all);
}

static bool get_revisions(ProllyCommand *command, ProllyRevisions *revisions, GError **error)
{
	bool all = prolly_command_option(command, "all");

	if (all && (!foreach_branch(command, add_start, revisions->starts, error) ||
		    !foreach_tag(command, add_start, revisions->starts, error)))
		return false;
	for (unsigned i = 0; i < command->words->arguments->len; i++)
		if (!prolly_command_add_revision(command, prolly_command_argument(command, i),
						 revisions, error))
			return false;
	if (revisions->starts->len)
		return true;
	return prolly_command_add_revision(command, command->at ? command->at : "HEAD", revisions,
					   error);
}

/* ---- The command ------------------------------------------------------------------------- */

/* ProllyStreams' write: whole lines of what a commit changed, each beside the graph. */
typedef struct {
	ProllyCommitPrinter *printer;
	GString *rest; /* of a line whose end did not come yet */
} Margin;

static bool write_beside(void *data, const void *bytes, size_t len)
{
	Margin *margin = data;
	const char *line, *end;

	if (!prolly_try_reserve_text(margin->rest, len, "a line", NULL))
		return false;
	g_string_append_len(margin->rest, bytes, (gssize)len);
	for (line = margin->rest->str; (end = strchr(line, '\n')); line = end + 1)
		prolly_commit_printer_line(margin->printer, line, (size_t)(end - line));
	g_string_erase(margin->rest, 0, line - margin->rest->str);
	return !margin->printer->command->output_gone;
}

static bool is_cancelled(void *data)
{
	const ProllyStreams *streams = ((Margin *)data)->printer->command->streams;
	return streams->is_cancelled && streams->is_cancelled(streams->data);
}

static bool print_changes_beside(ProllyCommitPrinter *printer, const ProllyCommit *commit,
				 ProllyChangesStyle style, GError **error)
{
	g_autoptr(GString) rest = g_string_new(NULL);
	g_autoptr(GString) output = g_string_new(NULL);
	Margin margin = {printer, rest};
	ProllyStreams streams = {
		.write = write_beside, .is_cancelled = is_cancelled, .data = &margin};
	ProllyCommand command = *printer->command;
	bool ok;

	command.streams = &streams;
	ok = prolly_command_begin_output(&command, output, error) &&
	     prolly_command_print_commit_changes(&command, commit, NULL, style, error);
	prolly_command_flush(&command);
	return ok;
}

/* --stat and the like: what the commit changed; of a merge that is told elsewhere. */
static bool print_changes(ProllyCommitPrinter *printer, const ProllyCommit *commit, GError **error)
{
	ProllyCommand *command = printer->command;
	ProllyChangesStyle style;

	if (!prolly_command_get_style(command, &style) || commit->n_parents > 1)
		return true;
	if (!command->json && !printer->oneline)
		prolly_commit_printer_line(printer, "", 0);
	return printer->graph
		       ? print_changes_beside(printer, commit, style, error)
		       : prolly_command_print_commit_changes(command, commit, NULL, style, error);
}

static bool print_commit(ProllyCommitPrinter *printer, const ProllyCommit *commit, GError **error)
{
	prolly_commit_printer_print(printer, commit);
	return print_changes(printer, commit, error);
}

/* The next COUNT commits, the last of them first; so all of them wait in memory. */
static bool print_reversed(ProllyCommitPrinter *printer, ProllyLogSource *source, uint64_t count,
			   GError **error)
{
	g_autoptr(GPtrArray) commits =
		g_ptr_array_new_with_free_func((GDestroyNotify)prolly_commit_free);

	while (count--) {
		ProllyCommit *commit = NULL;

		if (!prolly_log_source_next(source, &commit, NULL, error))
			return false;
		if (!commit)
			break;
		g_ptr_array_add(commits, commit);
	}
	for (guint i = commits->len; i-- > 0;)
		if (!print_commit(printer, g_ptr_array_index(commits, i), error))
			return false;
	return true;
}

static bool skip(ProllyCommand *command, ProllyLogSource *source, GError **error)
{
	const char *text = prolly_command_option(command, "skip");
	bool end = false;
	guint64 n = 0;

	if (text && !g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &n, NULL))
		return prolly_throw(error, PROLLY_ERROR_USAGE, "--skip %s: not a number", text);
	while (n-- && !end) {
		g_autoptr(ProllyCommit) commit = NULL;

		if (!prolly_log_source_next(source, &commit, NULL, error))
			return false;
		end = !commit;
	}
	return true;
}

static bool print_log(ProllyCommitPrinter *printer, ProllyLogSource *source, uint64_t count,
		      GError **error)
{
	g_autoptr(GArray) parents = g_array_new(FALSE, FALSE, sizeof(ProllyCommitId));

	if (!skip(printer->command, source, error))
		return false;
	if (prolly_command_option(printer->command, "reverse"))
		return print_reversed(printer, source, count, error);
	printer->parents = parents;
	while (count--) {
		g_autoptr(ProllyCommit) commit = NULL;

		if (!prolly_log_source_next(source, &commit, printer->graph ? parents : NULL,
					    error))
			return false;
		if (!commit)
			break;
		if (!print_commit(printer, commit, error))
			return false;
	}
	while (printer->graph && prolly_graph_is_pending(printer->graph))
		prolly_commit_printer_line(printer, "", 0);
	return true;
}

static bool run_log(ProllyCommand *command, GError **error)
{
	bool has_graph = prolly_command_option(command, "graph") && !command->json;
	g_autoptr(GHashTable) names =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_autoptr(ProllyGraph) graph = has_graph ? prolly_graph_new() : NULL;
	g_autoptr(ProllyLogSource) source = NULL;
	g_auto(ProllyRevisions) revisions = {0};
	uint64_t count = 0;

	if (has_graph && prolly_command_option(command, "reverse"))
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "log: --graph and --reverse do not go together");
	prolly_revisions_init(&revisions);
	if (!prolly_command_parse_count(command, &count, error) ||
	    !get_revisions(command, &revisions, error) ||
	    !prolly_log_source_new(command, &revisions, &source, error))
		return false;
	if (command->is_terminal && (!foreach_branch(command, add_name, names, error) ||
				     !foreach_tag(command, add_name, names, error)))
		return false;
	ProllyCommitPrinter printer = {
		.command = command,
		.graph = graph,
		.names = names,
		.oneline = prolly_command_option(command, "oneline"),
		.is_first = true,
	};
	return print_log(&printer, source, count, error);
}

/* ---- Tables ------------------------------------------------------------------------------ */

static const ProllyOptionSpec LOG_OPTIONS[] = {
	{"max-count", 'n', "N", "at most N commits"},
	{"skip", 0, "N", "not the first N of them"},
	{"reverse", 0, NULL, "the oldest of them first"},
	{"oneline", 0, NULL, "one line for each"},
	{"graph", 0, NULL, "draw the history beside them"},
	{"all", 0, NULL, "from the heads of all branches, and the tags"},
	{"key", 0, "PATH", "only commits that changed a key"},
	{"since", 0, "DATE", "only commits made at DATE or after"},
	{"after", 0, "DATE", "the same"},
	{"until", 0, "DATE", "only commits made at DATE or before"},
	{"before", 0, "DATE", "the same"},
	{"author", 0, "PATTERN", "only commits whose author matches"},
	{"committer", 0, "PATTERN", "only commits whose committer matches"},
	{"grep", 0, "PATTERN", "only commits whose message matches"},
	{"regexp-ignore-case", 'i', NULL, "patterns match upper and lower case"},
	{"extended-regexp", 'E', NULL, "patterns are extended regular expressions"},
	{"merges", 0, NULL, "only merges"},
	{"no-merges", 0, NULL, "no merges"},
	PROLLY_CHANGES_OPTIONS,
	{0},
};

const ProllyCommandSpec prolly_cmd_log = {
	.name = "log",
	.arguments = "[REV | A..B | A...B | ^REV]...",
	.summary = "show the history, newest first",
	.options = LOG_OPTIONS,
	.max_arguments = PROLLY_COMMAND_ANY_NUMBER,
	.flags = PROLLY_COMMAND_PAGES,
	.run = run_log,
};
