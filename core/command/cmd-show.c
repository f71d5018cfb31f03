/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-show: commits and what they changed.
 *
 * A merge is compared with its first parent: what it brought into the branch.
 */

#include "command/command-private.h"

#include <string.h>

bool prolly_command_print_commit_changes(ProllyCommand *command, const ProllyCommit *commit,
					 const GArray *ranges, ProllyChangesStyle style,
					 GError **error)
{
	g_autoptr(ProllyView) before = NULL;
	g_autoptr(ProllyView) after = NULL;
	uint64_t n = 0;

	if (!prolly_view_new_commit(command->repo, &commit->id, &after, error))
		return false;
	if (commit->n_parents &&
	    !prolly_view_new_commit(command->repo, &commit->parents[0], &before, error))
		return false;
	return prolly_command_print_changes(command, before, after, ranges, style, &n, error);
}

/* What the annotated tag REV says, if it is one and COMMIT is its. */
static bool print_annotation(ProllyCommand *command, const char *rev, const ProllyCommitId *commit,
			     GError **error)
{
	static const char *const PREFIXES[] = {"", "tags/", "refs/tags/"};
	g_autoptr(ProllyTag) tag = NULL;
	g_autoptr(GString) text = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(PREFIXES) && !tag; i++)
		if (g_str_has_prefix(rev, PREFIXES[i]) &&
		    !prolly_tag_load(command->repo, rev + strlen(PREFIXES[i]), &tag, error))
			return false;
	if (!tag || !tag->message || !prolly_commit_id_equal(&tag->commit, commit))
		return true;
	text = g_string_new(NULL);
	g_string_append_printf(text, "%stag %s%s\n", command->colour ? "\033[33m" : "", tag->name,
			       command->colour ? "\033[m" : "");
	if (tag->tagger.name) {
		g_string_append_printf(text, "Tagger: %s <%s>\nDate:   ", tag->tagger.name,
				       tag->tagger.email);
		prolly_signature_append_date(text, &tag->tagger);
		g_string_append_c(text, '\n');
	}
	g_string_append_printf(text, "\n%s\n\n", g_strchomp(tag->message));
	prolly_command_write(command, text->str, text->len);
	return true;
}

static bool show(ProllyCommand *command, const char *rev, ProllyCommitPrinter *printer,
		 GError **error)
{
	g_autoptr(ProllyCommit) commit = NULL;
	ProllyChangesStyle style;
	ProllyCommitId id;

	prolly_command_get_style(command, &style);
	if (!prolly_command_resolve(command, rev, &id, error) ||
	    !prolly_commit_load(command->repo, &id, &commit, error))
		return false;
	if (!command->json && !printer->oneline && !print_annotation(command, rev, &id, error))
		return false;
	prolly_commit_printer_print(printer, commit);
	if (!command->json && !printer->oneline)
		prolly_command_print(command, "\n");
	return prolly_command_print_commit_changes(command, commit, NULL, style, error);
}

static bool run_show(ProllyCommand *command, GError **error)
{
	ProllyCommitPrinter printer = {.command = command,
				       .oneline = prolly_command_option(command, "oneline"),
				       .is_first = true};

	if (!command->words->arguments->len)
		return show(command, command->at ? command->at : "HEAD", &printer, error);
	for (unsigned i = 0; i < command->words->arguments->len; i++)
		if (!show(command, prolly_command_argument(command, i), &printer, error))
			return false;
	return true;
}

static const ProllyOptionSpec SHOW_OPTIONS[] = {
	{"oneline", 0, NULL, "one line for the commit"},
	PROLLY_CHANGES_OPTIONS,
	{0},
};

const ProllyCommandSpec prolly_cmd_show = {
	.name = "show",
	.arguments = "[REV...]",
	.summary = "show commits and their changes",
	.options = SHOW_OPTIONS,
	.max_arguments = PROLLY_COMMAND_ANY_NUMBER,
	.flags = PROLLY_COMMAND_PAGES,
	.run = run_show,
};
