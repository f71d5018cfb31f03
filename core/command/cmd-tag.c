/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-tag: listing, making and deleting tags.
 *
 * As in git a message (-m, -F, or an editor's with -a) makes an annotated tag, whose tagger is the
 * committer of whoever makes it. Tags are the store's, so a branch's own control file lists them
 * only.
 */

#include "command/command-private.h"

#include <string.h>

/* ---- List -------------------------------------------------------------------------------- */

static void print_tag_json(ProllyCommand *command, const ProllyTag *tag)
{
	g_autoptr(GString) json = g_string_new(NULL);

	prolly_json_begin(json, NULL, '{');
	prolly_json_add_text(json, "name", tag->name);
	prolly_json_add_commit_id(json, "commit", &tag->commit);
	if (tag->message) {
		g_autofree char *message = g_strchomp(g_strdup(tag->message));
		prolly_json_add_text(json, "message", message);
	} else {
		prolly_json_add_null(json, "message");
	}
	prolly_json_end(json, '}');
	prolly_command_print_json(command, json);
}

/* Its own subject, or of a light one that of its commit. */
static bool print_subject(ProllyCommand *command, const ProllyTag *tag, GError **error)
{
	g_autoptr(ProllyCommit) commit = NULL;
	const char *message = tag->message;

	if (!message) {
		if (!prolly_commit_load(command->repo, &tag->commit, &commit, error))
			return false;
		message = commit->message;
	}
	prolly_command_print(command, "%-15s %.*s\n", tag->name, (int)strcspn(message, "\n"),
			     message);
	return true;
}

static bool list_tag(ProllyCommand *command, const char *name, GError **error)
{
	g_autoptr(ProllyTag) tag = NULL;
	bool with_subject = prolly_command_option(command, "n");

	if ((command->json || with_subject) && !prolly_tag_load(command->repo, name, &tag, error))
		return false;
	if (tag && command->json)
		print_tag_json(command, tag);
	else if (tag)
		return print_subject(command, tag, error);
	else if (!command->json)
		prolly_command_print(command, "%s\n", name);
	return true;
}

/* The arguments are patterns; none matches all. */
static bool is_listed(ProllyCommand *command, const char *name)
{
	unsigned n = command->words->arguments->len;
	for (unsigned i = 0; i < n; i++)
		if (g_pattern_match_simple(prolly_command_argument(command, i), name))
			return true;
	return n == 0;
}

static bool list_tags(ProllyCommand *command, GError **error)
{
	g_autoptr(GPtrArray) names = NULL;
	if (!prolly_tag_list(command->repo, NULL, &names, error))
		return false;
	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		if (is_listed(command, name) && !list_tag(command, name, error))
			return false;
		if (!prolly_command_check(command, error))
			return false;
	}
	return true;
}

/* ---- Delete ------------------------------------------------------------------------------ */

static bool delete_tags(ProllyCommand *command, GError **error)
{
	if (!command->words->arguments->len)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "tag: NAME is missing");
	for (unsigned i = 0; i < command->words->arguments->len; i++) {
		const char *name = prolly_command_argument(command, i);
		char hex[PROLLY_COMMIT_ID_HEX_SIZE];
		ProllyCommitId was;

		if (!prolly_tag_delete(command->repo, name, &was, error))
			return false;
		if (!command->quiet && !command->json)
			prolly_command_print(command, "Deleted tag '%s' (was %.*s)\n", name,
					     PROLLY_SHORT_ID, prolly_commit_id_to_hex(&was, hex));
	}
	return true;
}

/* ---- Make -------------------------------------------------------------------------------- */

static void print_draft(ProllyCommand *command, const char *name)
{
	prolly_command_print(command,
			     "\n#\n# Write a message for tag:\n#   %s\n"
			     "# Lines starting with '#' will be ignored.\n",
			     name);
}

static bool tag_commit(ProllyCommand *command, const char *name, const char *message,
		       GError **error)
{
	const char *rev = prolly_command_argument(command, 1);
	g_auto(ProllySignature) author = {0};
	g_auto(ProllySignature) tagger = {0};
	g_autoptr(ProllyTag) tag = NULL;
	ProllyTagOptions options = {
		.message = message,
		.tagger = &tagger,
		.force = prolly_command_option(command, "force"),
	};
	ProllyCommitId id;

	if (!prolly_command_resolve(command, rev ? rev : "HEAD", &id, error) ||
	    !prolly_command_sign(command, &author, &tagger, error) ||
	    !prolly_tag_create(command->repo, name, &id, &options, error))
		return false;
	if (!command->json)
		return true;
	if (!prolly_tag_load(command->repo, name, &tag, error))
		return false;
	if (tag)
		print_tag_json(command, tag);
	return true;
}

static bool make_tag(ProllyCommand *command, GError **error)
{
	const char *name = prolly_command_argument(command, 0);
	bool annotate = prolly_command_option(command, "annotate");
	g_autofree char *message = NULL;

	if (command->words->arguments->len > 2)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "tag: '%s' is one argument too many",
				    prolly_command_argument(command, 2));
	if (!name)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "tag: NAME is missing");
	if (prolly_command_option(command, "draft")) {
		print_draft(command, name);
		return true;
	}
	if (!prolly_command_get_message(command, &message, error))
		return false;
	if (!message && annotate)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "tag: -m MESSAGE is missing");
	return tag_commit(command, name, message, error);
}

/* ---- The command ------------------------------------------------------------------------- */

static bool run_tag(ProllyCommand *command, GError **error)
{
	bool deletes = prolly_command_option(command, "delete");
	bool lists = prolly_command_option(command, "list") ||
		     prolly_command_option(command, "n") ||
		     (!command->words->arguments->len && !deletes &&
		      !prolly_words_has_message(command->words) &&
		      !prolly_command_option(command, "annotate"));

	if (lists && deletes)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "tag: -l and -d do not go together");
	if (lists)
		return list_tags(command, error);
	const char *name = prolly_command_argument(command, 0);
	if (!prolly_command_check_free(command, name ? name : "tag", error) ||
	    !prolly_command_check_writable(command, error))
		return false;
	return deletes ? delete_tags(command, error) : make_tag(command, error);
}

static bool wants_message(const ProllyWords *words)
{
	return prolly_words_get_option(words, "annotate") && !prolly_words_has_message(words) &&
	       !prolly_words_get_option(words, "draft") &&
	       !prolly_words_get_option(words, "delete") && !prolly_words_get_option(words, "list");
}

static const ProllyOptionSpec TAG_OPTIONS[] = {
	{"annotate", 'a', NULL, "make an annotated tag, with a message"},
	PROLLY_MESSAGE_OPTIONS("the tag's message, which makes it annotated"),
	{"force", 'f', NULL, "move a tag that is there"},
	{"delete", 'd', NULL, "delete tags"},
	{"list", 'l', NULL, "list tags, of those that match a PATTERN with * and ?"},
	{"", 'n', NULL, "list with the first line of the message"},
	{0},
};

const ProllyCommandSpec prolly_cmd_tag = {
	.name = "tag",
	.arguments = "[-l [PATTERN...]] | [-a] NAME [REV] | -d NAME...",
	.summary = "list, make or delete tags",
	.options = TAG_OPTIONS,
	.max_arguments = PROLLY_COMMAND_ANY_NUMBER,
	.flags = PROLLY_COMMAND_WORKING | PROLLY_COMMAND_SIGNS | PROLLY_COMMAND_MESSAGE |
		 PROLLY_COMMAND_PAGES,
	.run = run_tag,
	.wants_message = wants_message,
};
