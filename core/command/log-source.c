/* SPDX-License-Identifier: Apache-2.0 */

/*
 * log-source: the commits of a log, one after the other, and what a graph of them is drawn with.
 *
 * A log streams, in the order of the commits' dates, or for a graph in that of its lines, at the cost
 * of what is taken from it. With --key it is that of a key, which looks into the trees only where a
 * namespace changed (key-log.c); a graph of it has to know all of them first.
 *
 * A graph leads from a commit to those of its parents that are shown. Of a key's log these are the
 * next before it that changed the key. Where a filter leaves a commit out, the line to it ends, as in
 * git: where else it should go only the whole history could tell.
 */

#include "command/command-private.h"

/* How many older ones in a row, by their dates, end a log that has a beginning: clocks go wrong. */
#define OLDER_MAX 5

struct ProllyLogSource {
	ProllyCommand *command;
	ProllyLogFilter *filter;
	ProllyLog *log;        /* NULL: of a key */
	ProllyKeyLog *key_log; /* not in a graph */
	GArray *nodes;         /* in a graph: of ProllyKeyNode */
	guint n_given;         /* of them */
	unsigned n_older;
	bool is_ordered; /* by date */
};

/* ---- The commits ------------------------------------------------------------------------- */

/* (transfer full) */
static bool next_of_key(ProllyLogSource *source, ProllyCommit **out_commit, GError **error)
{
	ProllyKeyChange change;
	const ProllyCommitId *id;
	bool end = false;

	*out_commit = NULL;
	if (source->nodes) {
		if (source->n_given == source->nodes->len)
			return true;
		id = &g_array_index(source->nodes, ProllyKeyNode, source->n_given++).id;
	} else {
		if (!prolly_key_log_next(source->key_log, &change, &end, error))
			return false;
		if (end)
			return true;
		id = &change.commit->id;
	}
	return prolly_commit_load(source->command->repo, id, out_commit, error);
}

/* (transfer full) The next that the filter lets through; NULL: there is none. */
static bool next_commit(ProllyLogSource *source, ProllyCommit **out_commit, GError **error)
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

/* ---- Their parents ----------------------------------------------------------------------- */

/* Adds ID to PARENTS if it is shown too. */
static bool add_shown(ProllyLogSource *source, const ProllyCommitId *id, GArray *parents,
		      GError **error)
{
	g_autoptr(ProllyCommit) parent = NULL;

	if (source->log && prolly_log_is_hidden(source->log, id))
		return true;
	if (!prolly_log_filter_is_empty(source->filter)) {
		if (!prolly_commit_load(source->command->repo, id, &parent, error))
			return false;
		if (!prolly_log_filter_matches(source->filter, parent))
			return true;
	}
	g_array_append_val(parents, *id);
	return true;
}

static bool find_parents(ProllyLogSource *source, const ProllyCommit *commit, GArray *parents,
			 GError **error)
{
	const ProllyCommitId *ids = commit->parents;
	size_t n = commit->n_parents;

	g_array_set_size(parents, 0);
	if (source->nodes) {
		const GArray *of_key =
			g_array_index(source->nodes, ProllyKeyNode, source->n_given - 1).parents;

		ids = (const ProllyCommitId *)(const void *)of_key->data;
		n = of_key->len;
	}
	for (size_t i = 0; i < n; i++)
		if (!add_shown(source, &ids[i], parents, error))
			return false;
	return true;
}

bool prolly_log_source_next(ProllyLogSource *source, ProllyCommit **out_commit, GArray *parents,
			    GError **error)
{
	return next_commit(source, out_commit, error) &&
	       (!parents || !*out_commit || find_parents(source, *out_commit, parents, error));
}

/* ---- Beginning --------------------------------------------------------------------------- */

static bool open_key_log(ProllyLogSource *source, const ProllyLogOptions *options,
			 const char *argument, GError **error)
{
	ProllyCommand *command = source->command;
	g_auto(ProllyPath) path = {0};
	ProllyPlace place;

	if (!prolly_command_parse_key(command, argument, &path, &place, error))
		return false;
	source->key_log = prolly_key_log_new(command->repo, options, &place);
	return !options->topological ||
	       prolly_key_log_load_graph(source->key_log, &source->nodes, error);
}

bool prolly_log_source_new(ProllyCommand *command, const ProllyRevisions *revisions,
			   ProllyLogSource **out_source, GError **error)
{
	ProllyLogOptions options = prolly_revisions_get_options(revisions);
	const char *key = prolly_command_option(command, "key");
	g_autoptr(ProllyLogSource) source = g_new0(ProllyLogSource, 1);

	source->command = command;
	options.topological = prolly_command_option(command, "graph");
	source->is_ordered = !options.topological;
	if (!prolly_log_filter_new(command, &source->filter, error))
		return false;
	options.has_since = true;
	options.since = prolly_log_filter_get_since(source->filter);
	if (!(key ? open_key_log(source, &options, key, error)
		  : prolly_log_new(command->repo, &options, &source->log, error)))
		return false;
	*out_source = g_steal_pointer(&source);
	return true;
}

void prolly_log_source_free(ProllyLogSource *source)
{
	if (!source)
		return;
	prolly_log_filter_free(source->filter);
	prolly_log_free(source->log);
	prolly_key_log_free(source->key_log);
	g_clear_pointer(&source->nodes, g_array_unref);
	g_free(source);
}
