/* SPDX-License-Identifier: Apache-2.0 */

/*
 * graph: `log --graph`, the picture of a history beside its commits.
 *
 * A column is a line of history that waits for a commit, which is its id. A commit stands in the
 * leftmost column that waits for it (a new one at the right, if none does); then:
 *
 * 1. its column waits for its first parent, or ends if it has none;
 * 2. each further parent opens a column to the right of it, which draws "|\";
 * 3. where two columns wait for the same commit the right one moves left, one step a line, until it
 *    meets the other: "|/".
 *
 * Column i is drawn at character 2i, and what moves between columns at the odd ones. Lines are
 * drawn when the commit is pushed and handed out one by one, so that the commit's text stands
 * beside them. git's own picture is the model; it saves a line here and there by bending two
 * columns at once, which is not worth its state machine.
 */

#include "command/command-private.h"

#include <string.h>

struct ProllyGraph {
	GArray *columns; /* of ProllyCommitId */
	GQueue lines;    /* of char *, drawn and not handed out */
	size_t width;    /* of this commit's lines: its text is aligned */
};

ProllyGraph *prolly_graph_new(void)
{
	ProllyGraph *graph = g_new0(ProllyGraph, 1);
	graph->columns = g_array_new(FALSE, FALSE, sizeof(ProllyCommitId));
	g_queue_init(&graph->lines);
	return graph;
}

void prolly_graph_free(ProllyGraph *graph)
{
	if (!graph)
		return;
	g_array_unref(graph->columns);
	g_queue_clear_full(&graph->lines, g_free);
	g_free(graph);
}

/* ---- Drawing ----------------------------------------------------------------------------- */

/* (transfer full) "| | |" for N columns, with room for one more. */
static GString *draw_columns(guint n)
{
	GString *line = g_string_new(NULL);
	for (guint i = 0; i < n; i++)
		g_string_append(line, "| ");
	g_string_append(line, "  ");
	return line;
}

/* Takes LINE. */
static void push_line(ProllyGraph *graph, GString *line)
{
	size_t len = line->len;
	while (len && line->str[len - 1] == ' ')
		len--;
	g_string_truncate(line, len);
	graph->width = MAX(graph->width, len);
	g_queue_push_tail(&graph->lines, g_string_free(line, FALSE));
}

static const ProllyCommitId *get_column(const ProllyGraph *graph, guint i)
{
	return &g_array_index(graph->columns, ProllyCommitId, i);
}

/* The leftmost column that waits for ID, or the number of columns. */
static guint find_column(const ProllyGraph *graph, const ProllyCommitId *id)
{
	guint i = 0;
	while (i < graph->columns->len && !prolly_commit_id_equal(get_column(graph, i), id))
		i++;
	return i;
}

/* Column AT opens another at its right, which waits for ID. */
static void open_column(ProllyGraph *graph, guint at, const ProllyCommitId *id)
{
	GString *line = draw_columns(at + 1);
	for (guint i = at; i < graph->columns->len; i++)
		g_string_overwrite(line, 2 * i, i == at ? "|\\" : " \\");
	g_array_insert_val(graph->columns, at + 1, *id);
	push_line(graph, line);
}

/* Column AT ends; those at its right move left. */
static void close_column(ProllyGraph *graph, guint at)
{
	guint n = graph->columns->len;
	GString *line = draw_columns(at);
	for (guint i = at + 1; i < n; i++)
		g_string_overwrite(line, 2 * i - 1, "/");
	g_array_remove_index(graph->columns, at);
	if (at + 1 < n)
		push_line(graph, line);
	else
		g_string_free(line, TRUE);
}

/* Column FROM moves left to column TO, which waits for the same commit. */
static void join_column(ProllyGraph *graph, guint from, guint to)
{
	for (guint at = from; at > to; at--) {
		bool is_first = at == from;
		GString *line = draw_columns(is_first ? from : graph->columns->len);
		g_string_overwrite(line, 2 * at - 1, "/");
		for (guint i = from + 1; is_first && i < graph->columns->len; i++)
			g_string_overwrite(line, 2 * i - 1, "/");
		if (is_first)
			g_array_remove_index(graph->columns, from);
		push_line(graph, line);
	}
}

/* The rightmost column that waits for the same commit as one at its left joins it. */
static bool join_any(ProllyGraph *graph)
{
	for (guint i = graph->columns->len; i-- > 1;) {
		guint first = find_column(graph, get_column(graph, i));
		if (first < i) {
			join_column(graph, i, first);
			return true;
		}
	}
	return false;
}

/* ---- The log's side ---------------------------------------------------------------------- */

static const ProllyCommitId *get_id(const GArray *ids, guint i)
{
	return &g_array_index(ids, ProllyCommitId, i);
}

void prolly_graph_push(ProllyGraph *graph, const ProllyCommitId *id, const GArray *parents)
{
	guint at = find_column(graph, id);
	if (at == graph->columns->len)
		g_array_append_val(graph->columns, *id);

	GString *line = draw_columns(graph->columns->len);
	g_string_overwrite(line, 2 * at, "*");
	graph->width = 0;
	push_line(graph, line);
	if (!parents->len) {
		close_column(graph, at);
		return;
	}
	g_array_index(graph->columns, ProllyCommitId, at) = *get_id(parents, 0);
	for (guint i = parents->len; i-- > 1;)
		open_column(graph, at, get_id(parents, i));
	while (join_any(graph))
		;
}

bool prolly_graph_is_pending(const ProllyGraph *graph)
{
	return graph->lines.length > 0;
}

void prolly_graph_append_line(ProllyGraph *graph, GString *out)
{
	g_autofree char *line = g_queue_pop_head(&graph->lines);
	if (!line) {
		GString *columns = draw_columns(graph->columns->len);
		line = g_string_free(columns, FALSE);
		g_strchomp(line);
	}
	g_string_append_printf(out, "%-*s ", (int)graph->width, line);
}
