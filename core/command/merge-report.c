/* SPDX-License-Identifier: Apache-2.0 */
/*
 * merge-report: what people are told of a merge, or of a change that is applied like one.
 *
 * Conflicts are heard one by one, before it is known how the merge ends (it may be refused), and
 * there may be a million; so they wait in a spool and are printed with the result.
 */

#include "command/command-private.h"

#include <string.h>

struct ProllyMergeReport {
	ProllyCommand *command;
	ProllyView *view; /* of the branch, for paths */
	ProllySpool *spool;
	ProllyCommitId before;
	uint64_t n;
};

const char *prolly_conflict_kind_to_text(ProllyConflictKind kind)
{
	static const char *const TEXTS[] = {"both-modified", "both-added", "deleted-by-them",
					    "deleted-by-us", "type"};
	return kind < G_N_ELEMENTS(TEXTS) ? TEXTS[kind] : "unknown";
}

static const char *result_to_text(ProllyMergeResult result)
{
	static const char *const TEXTS[] = {"up-to-date", "fast-forward", "merged", "conflict",
					    "staged"};
	return result < G_N_ELEMENTS(TEXTS) ? TEXTS[result] : "unknown";
}

/* ---- Hearing ----------------------------------------------------------------------------- */

static ProllyKind get_step_kind(const ProllyMergeStep *sides)
{
	const uint8_t *stored = sides->ours ? sides->ours : sides->theirs;
	size_t len = sides->ours ? sides->ours_len : sides->theirs_len;
	ProllyValue value;
	return stored && prolly_value_parse(stored, len, &value, NULL) ? value.kind
								       : PROLLY_KIND_FILE;
}

char *prolly_conflict_dup_path(ProllyView *view, const ProllyPlace *place,
			       const ProllyMergeStep *sides, GError **error)
{
	return prolly_command_dup_path(view, place, get_step_kind(sides), error);
}

/* ProllyConflictFunc */
static bool add_conflict(const ProllyPlace *place, ProllyConflictKind kind,
			 const ProllyMergeStep *sides, void *data, GError **error)
{
	ProllyMergeReport *self = data;
	g_autofree char *path = prolly_conflict_dup_path(self->view, place, sides, error);
	g_autoptr(GString) text = g_string_new(NULL);

	if (!path || !prolly_command_check(self->command, error))
		return false;
	self->n++;
	if (self->command->json) {
		g_autoptr(GString) object = g_string_new(NULL);
		prolly_json_begin(object, NULL, '{');
		prolly_json_add_place(object, place, path);
		prolly_json_add_text(object, "kind", prolly_conflict_kind_to_text(kind));
		prolly_json_end(object, '}');
		g_string_append(text, self->n > 1 ? "," : "");
		g_string_append_len(text, object->str, (gssize)object->len);
	} else {
		g_string_printf(text, "CONFLICT (%s): %s\n", prolly_conflict_kind_to_text(kind),
				path);
	}
	return prolly_spool_write(self->spool, text->str, text->len, error);
}

static void warn(const char *text, void *data)
{
	ProllyMergeReport *self = data;
	prolly_command_say(self->command, text);
}

static bool is_cancelled(void *data)
{
	ProllyMergeReport *self = data;
	const ProllyStreams *streams = self->command->streams;
	return streams->is_cancelled && streams->is_cancelled(streams->data);
}

/* ---- Lifecycle --------------------------------------------------------------------------- */

ProllyMergeReport *prolly_merge_report_new(ProllyCommand *command, ProllyBranch *branch,
					   ProllyMergeOptions *options)
{
	ProllyMergeReport *self = g_new0(ProllyMergeReport, 1);

	self->command = command;
	self->view = prolly_view_new_live(command->repo, branch);
	self->spool = prolly_spool_new();
	prolly_branch_get_head(branch, &self->before);
	options->may_execute = command->caller->is_owner;
	options->conflict = add_conflict;
	options->conflict_data = self;
	options->warn = warn;
	options->is_cancelled = is_cancelled;
	return self;
}

void prolly_merge_report_free(ProllyMergeReport *report)
{
	if (!report)
		return;
	prolly_view_unref(report->view);
	prolly_spool_free(report->spool);
	g_free(report);
}

/* ---- Telling ----------------------------------------------------------------------------- */

static bool print_spool(ProllyMergeReport *self, GError **error)
{
	char piece[4096];
	size_t len = 0;

	do {
		if (!prolly_spool_read(self->spool, piece, sizeof piece, &len, error))
			return false;
		prolly_command_write(self->command, piece, len);
	} while (len);
	return true;
}

static bool print_json(ProllyMergeReport *self, ProllyMergeResult result, const ProllyCommitId *id,
		       GError **error)
{
	g_autoptr(GString) json = g_string_new(NULL);

	prolly_json_begin(json, NULL, '{');
	prolly_json_add_text(json, "result", result_to_text(result));
	prolly_json_add_commit_id(json, "commit", id);
	prolly_json_begin(json, "conflicts", '[');
	prolly_command_write(self->command, json->str, json->len);
	if (!print_spool(self, error))
		return false;
	prolly_command_print(self->command, "]}\n");
	return true;
}

/* Would do, but for the conflicts that were printed. */
static void print_dry_run(ProllyCommand *command, ProllyMergeResult result)
{
	prolly_command_print(command, "%s\n",
			     result == PROLLY_MERGE_CONFLICT ? "Would stop with conflicts."
			     : result == PROLLY_MERGE_FAST_FORWARD
				     ? "Would fast-forward."
				     : "Would merge without conflicts.");
}

static void print_result(ProllyMergeReport *self, const ProllyMergeOptions *options,
			 ProllyMergeResult result, const ProllyCommitId *id)
{
	ProllyCommand *command = self->command;
	const char *operation = options->operation ? options->operation : "merge";
	char from[PROLLY_COMMIT_ID_HEX_SIZE], to[PROLLY_COMMIT_ID_HEX_SIZE];

	prolly_commit_id_to_hex(&self->before, from);
	prolly_commit_id_to_hex(id, to);
	if (result == PROLLY_MERGE_UP_TO_DATE)
		prolly_command_print(command, "Already up to date.\n");
	else if (options->dry_run)
		print_dry_run(command, result);
	else if (result == PROLLY_MERGE_CONFLICT && options->operation && !options->note)
		/* nobody can go on with one that left no note */
		prolly_command_print(command,
				     "Stopped with %" G_GUINT64_FORMAT
				     " in conflict; nothing is staged.\n",
				     self->n);
	else if (result == PROLLY_MERGE_CONFLICT)
		prolly_command_print(command,
				     "Stopped with %" G_GUINT64_FORMAT
				     " in conflict; the branch is as it was. When all is resolved\n"
				     "('conflicts', 'resolve'), run '%s --continue'; '%s --abort' "
				     "forgets it.\n",
				     self->n, operation, operation);
	else if (result == PROLLY_MERGE_STAGED)
		prolly_command_print(command, "The changes are staged; nothing was committed.\n");
	else if (result == PROLLY_MERGE_FAST_FORWARD)
		prolly_command_print(command, "Updating %.*s..%.*s\nFast-forward\n",
				     PROLLY_SHORT_ID, from, PROLLY_SHORT_ID, to);
	else
		prolly_command_print(command, "Merge made by three-way merge: %.*s\n",
				     PROLLY_SHORT_ID, to);
}

bool prolly_merge_report_print(ProllyMergeReport *report, const ProllyMergeOptions *options,
			       ProllyMergeResult result, const ProllyCommitId *id, GError **error)
{
	ProllyCommand *command = report->command;

	command->is_no = result == PROLLY_MERGE_CONFLICT;
	if (command->json)
		return print_json(report, result, id, error);
	if (!print_spool(report, error))
		return false;
	if (!command->quiet)
		print_result(report, options, result, id);
	return true;
}
