/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-log: the history, newest first.
 *
 * A log streams, in the order of the commits' dates and at the cost of what is printed; only a
 * graph, or a range, needs to know first what lies behind. With --key it is that of a key, which
 * looks into the trees only where a namespace changed (key-log.c). Names stand behind the ids on a
 * terminal only, as in git, so that what scripts read does not change when a branch is made.
 */

#include "command/command-private.h"

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
	const char *at = prolly_command_option(command, "at");

	if (all && (!foreach_branch(command, add_start, revisions->starts, error) ||
		    !foreach_tag(command, add_start, revisions->starts, error)))
		return false;
	for (unsigned i = 0; i < command->words->arguments->len; i++)
		if (!prolly_command_add_revision(command, prolly_command_argument(command, i),
						 revisions, error))
			return false;
	if (revisions->starts->len)
		return true;
	return prolly_command_add_revision(command, at ? at : "HEAD", revisions, error);
}

/* ---- The commits ------------------------------------------------------------------------- */

/* How many older ones in a row, by their dates, end a log that has a beginning: clocks go wrong. */
#define OLDER_MAX 5

typedef struct {
	ProllyCommand *command;
	ProllyLogFilter *filter;
	ProllyLog *log; /* NULL: of a key */
	ProllyKeyLog *key_log;
	GHashTable *visible; /* of a key: ids as hex, NULL: all */
	unsigned n_older;
	bool is_ordered; /* by date */
} Source;

/* (transfer full) */
static bool next_of_key(Source *source, ProllyCommit **out_commit, GError **error)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	ProllyKeyChange change;
	bool end = false;

	*out_commit = NULL;
	do {
		if (!prolly_command_check(source->command, error) ||
		    !prolly_key_log_next(source->key_log, &change, &end, error))
			return false;
		if (end)
			return true;
		prolly_commit_id_to_hex(&change.commit->id, hex);
	} while (source->visible && !g_hash_table_contains(source->visible, hex));
	return prolly_commit_load(source->command->repo, &change.commit->id, out_commit, error);
}

/* (transfer full) The next that the filter lets through; NULL: there is none. */
static bool next_commit(Source *source, ProllyCommit **out_commit, GError **error)
{
	for (;;) {
		g_autoptr(ProllyCommit) commit = NULL;

		*out_commit = NULL;
		if (!prolly_command_check(source->command, error) ||
		    !(source->log ? prolly_log_next(source->log, &commit, error)
				  : next_of_key(source, &commit, error)))
			return false;
		if (!commit)
			return true;
		if (!prolly_log_filter_is_before(source->filter, commit))
			source->n_older = 0;
		else if (++source->n_older >= OLDER_MAX && source->is_ordered)
			return true;
		if (prolly_log_filter_matches(source->filter, commit)) {
			*out_commit = g_steal_pointer(&commit);
			return true;
		}
	}
}

/* ---- --key ------------------------------------------------------------------------------- */

/* (transfer full) What a log of the revisions has, if something is hidden from it. */
static bool get_visible(ProllyCommand *command, const ProllyLogOptions *options,
			GHashTable **out_visible, GError **error)
{
	g_autoptr(GHashTable) visible =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(ProllyLog) log = NULL;
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];

	if (!options->n_hidden)
		return true;
	if (!prolly_log_new(command->repo, options, &log, error))
		return false;
	for (;;) {
		g_autoptr(ProllyCommit) commit = NULL;

		if (!prolly_log_next(log, &commit, error))
			return false;
		if (!commit)
			break;
		g_hash_table_add(visible, g_strdup(prolly_commit_id_to_hex(&commit->id, hex)));
	}
	*out_visible = g_steal_pointer(&visible);
	return true;
}

static bool open_key_log(Source *source, const ProllyLogOptions *options, const char *argument,
			 GError **error)
{
	ProllyCommand *command = source->command;
	g_auto(ProllyPath) path = {0};
	ProllyPlace place;

	if (!prolly_command_parse_key(command, argument, &path, &place, error) ||
	    !get_visible(command, options, &source->visible, error))
		return false;
	source->key_log =
		prolly_key_log_new(command->repo, options->starts, options->n_starts, &place);
	return true;
}

static void source_clear(Source *source)
{
	g_clear_pointer(&source->filter, prolly_log_filter_free);
	g_clear_pointer(&source->log, prolly_log_free);
	g_clear_pointer(&source->key_log, prolly_key_log_free);
	g_clear_pointer(&source->visible, g_hash_table_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Source, source_clear)

static bool open_source(Source *source, const ProllyRevisions *revisions, bool has_graph,
			GError **error)
{
	ProllyLogOptions options = prolly_revisions_get_options(revisions);
	const char *key = prolly_command_option(source->command, "key");

	options.topological = has_graph;
	source->is_ordered = !has_graph;
	if (!prolly_log_filter_new(source->command, &source->filter, error))
		return false;
	return key ? open_key_log(source, &options, key, error)
		   : prolly_log_new(source->command->repo, &options, &source->log, error);
}

/* ---- The command ------------------------------------------------------------------------- */

/* --stat and the like: what the commit changed; of a merge that is told elsewhere. */
static bool print_changes(ProllyCommand *command, const ProllyCommit *commit, GError **error)
{
	ProllyChangesStyle style;
	if (!prolly_command_get_style(command, &style) || commit->n_parents > 1)
		return true;
	if (!command->json)
		prolly_command_print(command, "\n");
	return prolly_command_print_commit_changes(command, commit, NULL, style, error);
}

static bool print_log(ProllyCommitPrinter *printer, Source *source, uint64_t count, GError **error)
{
	while (count--) {
		g_autoptr(ProllyCommit) commit = NULL;

		if (!next_commit(source, &commit, error))
			return false;
		if (!commit)
			break;
		prolly_commit_printer_print(printer, commit);
		if (!print_changes(printer->command, commit, error))
			return false;
	}
	while (printer->graph && prolly_graph_is_pending(printer->graph))
		prolly_commit_printer_line(printer, "", 0);
	return true;
}

/* A graph's lines stand beside those of a log without gaps and without other text. */
static bool check_options(ProllyCommand *command, GError **error)
{
	static const char *const OTHERS[] = {"key",       "since", "until",  "author",
					     "committer", "grep",  "merges", "no-merges"};
	if (!prolly_command_option(command, "graph"))
		return true;
	if (prolly_command_get_style(command, NULL) && !command->json)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "log: --graph has no room for changes");
	for (size_t i = 0; i < G_N_ELEMENTS(OTHERS); i++)
		if (prolly_command_option(command, OTHERS[i]))
			return prolly_throw(error, PROLLY_ERROR_USAGE,
					    "log: --%s and --graph do not go together", OTHERS[i]);
	return true;
}

static bool run_log(ProllyCommand *command, GError **error)
{
	bool has_graph = prolly_command_option(command, "graph") && !command->json;
	g_autoptr(GHashTable) names =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_autoptr(ProllyGraph) graph = has_graph ? prolly_graph_new() : NULL;
	g_auto(ProllyRevisions) revisions = {0};
	g_auto(Source) source = {.command = command};
	uint64_t count = 0;

	prolly_revisions_init(&revisions);
	if (!check_options(command, error) || !prolly_command_parse_count(command, &count, error) ||
	    !get_revisions(command, &revisions, error) ||
	    !open_source(&source, &revisions, has_graph, error))
		return false;
	if (command->is_terminal && (!foreach_branch(command, add_name, names, error) ||
				     !foreach_tag(command, add_name, names, error)))
		return false;
	ProllyCommitPrinter printer = {command, graph, names,
				       prolly_command_option(command, "oneline"), true};
	return print_log(&printer, &source, count, error);
}

/* ---- Tables ------------------------------------------------------------------------------ */

static const ProllyOptionSpec LOG_OPTIONS[] = {
	{"max-count", 'n', "N", "at most N commits"},
	{"oneline", 0, NULL, "one line for each"},
	{"graph", 0, NULL, "draw the history beside them"},
	{"all", 0, NULL, "from the heads of all branches, and the tags"},
	{"key", 0, "PATH", "only commits that changed a key"},
	{"since", 0, "DATE", "only commits made at DATE or after"},
	{"until", 0, "DATE", "only commits made at DATE or before"},
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
