/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-commit: commit. Who makes it, what it says, and what is printed of it; what is in it is
 * core/version's business.
 *
 * An amended commit keeps its author and, unless there is another, its message; its committer is
 * who amends it. It is told by its id which commit it replaces, so one that came meanwhile is not
 * lost.
 *
 * A merge that was staged (merge --no-commit) is committed whatever is left of it, and has its own
 * message unless there is another.
 */

#include "command/command-private.h"

#include <string.h>

#define DRAFT_MAX 65536u /* bytes of status shown to who writes a message */

/* ---- What an editor begins with ---------------------------------------------------------- */

static bool gather(void *data, const void *bytes, size_t len)
{
	GString *text = data;
	g_string_append_len(text, bytes, (gssize)len);
	return text->len < DRAFT_MAX;
}

/* What status prints, or its beginning. (transfer full) */
static GString *get_status(ProllyCommand *command)
{
	static const char *const WORDS[] = {"status", NULL};
	GString *text = g_string_new(NULL);
	ProllyStreams streams = {.write = gather, .write_error = gather, .data = text};
	ProllyCaller caller = *command->caller;

	caller.branch = command->branch_name;
	caller.is_terminal = false;
	prolly_command_run(command->repo, &caller, &streams, WORDS, NULL);
	return text;
}

static void print_comments(ProllyCommand *command, const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++)
		if (**line || line[1])
			prolly_command_print(command, "#%s%s\n",
					     **line && **line != '\t' ? " " : "", *line);
}

/* What the message is without another one; NULL: there has to be one. */
static const char *get_default_message(const ProllyCommit *amended, const ProllyUnfinished *merge)
{
	return amended ? amended->message : merge ? merge->message : NULL;
}

static bool print_draft(ProllyCommand *command, ProllyBranch *branch, const char *message,
			bool may_be_empty, GError **error)
{
	g_autoptr(GString) status = NULL;
	g_autoptr(ProllyView) view = NULL;
	g_autoptr(ProllyView) head = NULL;
	ProllyCommitId id;
	uint64_t n = 0;

	if (!prolly_view_new_pinned(command->repo, branch, &view, error))
		return false;
	prolly_view_get_commit(view, &id);
	if (!prolly_view_new_commit(command->repo, &id, &head, error) ||
	    !prolly_command_count_changes(command, head, view, &n, error))
		return false;
	if (!n && !may_be_empty)
		return prolly_command_answer_no(command, "%s: nothing to commit",
						command->branch_name);
	status = get_status(command);
	prolly_command_print(command, "%s\n", message ? message : "");
	print_comments(command,
		       "Please enter the commit message for your changes. Lines starting\n"
		       "with '#' will be ignored, and an empty message aborts the commit.\n");
	prolly_command_print(command, "#\n");
	print_comments(command, status->str);
	return true;
}

/* ---- Who --------------------------------------------------------------------------------- */

static void take_author(ProllySignature *author, const ProllySignature *other)
{
	prolly_signature_clear(author);
	*author = *other;
	author->name = g_strdup(other->name);
	author->email = g_strdup(other->email);
	prolly_signature_tidy(author);
}

/* AUTHOR as the environment gives it, or as the commit that is amended has it, and then as the
 * options say. */
static bool choose_author(ProllyCommand *command, const ProllyCommit *amended,
			  ProllySignature *author, GError **error)
{
	const char *person = prolly_command_option(command, "author");
	const char *date = prolly_command_option(command, "date");
	int64_t now = g_get_real_time() / G_USEC_PER_SEC;

	if (amended && !prolly_command_option(command, "reset-author"))
		take_author(author, &amended->author);
	if (person && !prolly_signature_set_person(author, person, error)) {
		g_prefix_error(error, "--author ");
		return false;
	}
	if (date && !prolly_date_parse(date, now, &author->time, &author->offset_minutes))
		return prolly_throw(error, PROLLY_ERROR_INVALID, "--date %s: not a date", date);
	return true;
}

/* ---- The command ------------------------------------------------------------------------- */

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
		prolly_command_print(command, "[%s %.*s] %.*s\n", command->branch_name,
				     PROLLY_SHORT_ID, prolly_commit_id_to_hex(id, hex),
				     (int)strcspn(message, "\n"), message);
		prolly_command_print(command, " %" G_GUINT64_FORMAT " key%s changed\n", changes,
				     changes == 1 ? "" : "s");
	}
}

/* *OUT_AMENDED (transfer full): the commit that is replaced; NULL: none is. */
static bool load_amended(ProllyCommand *command, ProllyBranch *branch, ProllyCommit **out_amended,
			 GError **error)
{
	ProllyCommitId head;
	if (!prolly_command_option(command, "amend"))
		return true;
	prolly_branch_get_head(branch, &head);
	return prolly_commit_load(command->repo, &head, out_amended, error);
}

/* *OUT_MERGE (transfer full): the merge that is staged; NULL: none is. */
static bool load_merge(ProllyCommand *command, ProllyBranch *branch, ProllyUnfinished **out_merge,
		       GError **error)
{
	if (!prolly_unfinished_load(command->repo, branch, out_merge, error))
		return false;
	if (*out_merge && !(*out_merge)->is_staged)
		g_clear_pointer(out_merge, prolly_unfinished_free);
	return true;
}

static bool make_commit(ProllyCommand *command, ProllyBranch *branch, const ProllyCommit *amended,
			const char *message, bool may_be_empty, GError **error)
{
	g_auto(ProllySignature) author = {0};
	g_auto(ProllySignature) committer = {0};
	ProllyCommitId id;
	uint64_t changes = 0;

	if (!prolly_command_sign(command, &author, &committer, error) ||
	    !choose_author(command, amended, &author, error))
		return false;
	ProllyCommitOptions options = {
		.message = message,
		.author = &author,
		.committer = &committer,
		.allow_empty = may_be_empty,
		.amend = amended,
	};
	if (!prolly_history_commit(command->repo, branch, &options, &id, &changes, error))
		return false;
	if (!changes && !options.allow_empty)
		return prolly_command_answer_no(command, "%s: nothing to commit",
						command->branch_name);
	print_committed(command, message, &id, changes);
	return true;
}

static bool run_commit(ProllyCommand *command, GError **error)
{
	g_autoptr(ProllyCommit) amended = NULL;
	g_autoptr(ProllyBranch) branch = NULL;
	g_autoptr(ProllyUnfinished) merge = NULL;
	g_autofree char *message = NULL;
	const char *ready;
	bool may_be_empty;

	if (!prolly_command_open_branch(command, &branch, error) ||
	    !load_amended(command, branch, &amended, error) ||
	    !load_merge(command, branch, &merge, error))
		return false;
	ready = get_default_message(amended, merge);
	may_be_empty = ready || prolly_command_option(command, "allow-empty");
	if (prolly_command_option(command, "draft"))
		return print_draft(command, branch, ready, may_be_empty, error);
	if (!prolly_command_get_message(command, &message, error))
		return false;
	if (!message && ready)
		message = g_strdup(ready);
	if (!message)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "commit: -m MESSAGE is missing");
	return make_commit(command, branch, amended, message, may_be_empty, error);
}

static bool wants_message(const ProllyWords *words)
{
	return !prolly_words_has_message(words) && !prolly_words_get_option(words, "no-edit") &&
	       !prolly_words_get_option(words, "draft");
}

static const ProllyOptionSpec COMMIT_OPTIONS[] = {
	PROLLY_MESSAGE_OPTIONS("the commit's message"),
	{"allow-empty", 0, NULL, "make a commit even if nothing is staged"},
	{"amend", 0, NULL, "put the commit in the place of the branch's last one"},
	{"no-edit", 0, NULL, "with --amend: keep the message"},
	{"author", 0, "PERSON", "'NAME <EMAIL>'"},
	{"date", 0, "DATE", "the author's date"},
	{"reset-author", 0, NULL, "with --amend: the author is who amends"},
	{0},
};

const ProllyCommandSpec prolly_cmd_commit = {
	.name = "commit",
	.arguments = "",
	.summary = "commit what is staged in all namespaces",
	.options = COMMIT_OPTIONS,
	.flags = PROLLY_COMMAND_WORKING | PROLLY_COMMAND_CHANGES | PROLLY_COMMAND_SIGNS |
		 PROLLY_COMMAND_MESSAGE,
	.run = run_commit,
	.wants_message = wants_message,
};
