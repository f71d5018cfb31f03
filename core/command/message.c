/* SPDX-License-Identifier: Apache-2.0 */

/*
 * message: what somebody has to say of a commit or a tag: -m, -F, or an editor's result.
 *
 * Files and editors are the caller's: prollyfs-ctl reads FILE of -F FILE, and runs the editor, and
 * hands both over as standard input (-F -). So a message may have any length and encoding, and no
 * command reads a file or starts a program on somebody else's behalf.
 *
 * An editor begins with a draft, which is what the command itself prints when it is asked with
 * --draft; lines of it that begin with '#' are for the reader, and do not come back (--cleanup).
 */

#include "base/memory.h"
#include "command/command-private.h"

#include <string.h>

#define PIECE       65536u
#define MESSAGE_MAX (64u << 20)

/* (transfer full) All -m values as paragraphs. */
static GString *join_paragraphs(const ProllyWords *words)
{
	GString *message = g_string_new(NULL);
	for (guint i = 0; i < words->options->len; i++) {
		const ProllyOptionUse *use = &g_array_index(words->options, ProllyOptionUse, i);
		if (strcmp(use->spec->name, "message") != 0)
			continue;
		g_autofree char *paragraph = g_strchomp(g_strdup(use->value));
		g_string_append_printf(message, "%s%s", message->len ? "\n\n" : "", paragraph);
	}
	return message;
}

/* (transfer full) */
static bool read_message(ProllyCommand *command, GString **out_message, GError **error)
{
	const ProllyStreams *streams = command->streams;
	const char *name = command->words->spec->name;
	g_autoptr(GString) message = g_string_new(NULL);
	g_autofree char *piece = prolly_try_malloc(PIECE, "the message", error);
	size_t len = 0;

	if (!piece)
		return false;
	if (!streams->read)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "%s: -F -: there is no standard input here", name);
	do {
		if (!streams->read(streams->data, piece, PIECE, &len))
			return prolly_throw(error, PROLLY_ERROR_CANCELLED,
					    "%s: the message could not be read", name);
		if (!prolly_try_reserve_text(message, len, "the message", error))
			return false;
		g_string_append_len(message, piece, (gssize)len);
		if (message->len > MESSAGE_MAX)
			return prolly_throw(error, PROLLY_ERROR_TOO_BIG,
					    "%s: the message is over %u bytes", name, MESSAGE_MAX);
	} while (len);
	if (memchr(message->str, '\0', message->len))
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "%s: a NUL byte in the message is not allowed", name);
	*out_message = g_steal_pointer(&message);
	return true;
}

/* What git's --cleanup=strip takes out: lines that begin with '#'. */
static void strip_comments(GString *message)
{
	g_autoptr(GString) kept = g_string_new(NULL);
	for (const char *line = message->str; *line;) {
		size_t len = strcspn(line, "\n");
		len += line[len] == '\n';
		if (*line != '#')
			g_string_append_len(kept, line, (gssize)len);
		line += len;
	}
	g_string_assign(message, kept->str);
}

static bool check_options(ProllyCommand *command, GError **error)
{
	const char *file = prolly_command_option(command, "file");
	const char *cleanup = prolly_command_option(command, "cleanup");
	const char *name = command->words->spec->name;

	if (file && prolly_command_option(command, "message"))
		return prolly_throw(error, PROLLY_ERROR_USAGE, "%s: -m and -F do not go together",
				    name);
	if (file && strcmp(file, "-") != 0)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "%s: -F %s: only prollyfs-ctl reads files, here it is -F -",
				    name, file);
	if (cleanup && strcmp(cleanup, "strip") != 0 && strcmp(cleanup, "whitespace") != 0)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "%s: --cleanup %s: it is strip or whitespace", name, cleanup);
	return true;
}

bool prolly_command_get_message(ProllyCommand *command, char **out_message, GError **error)
{
	g_autoptr(GString) message = NULL;

	*out_message = NULL;
	if (!check_options(command, error))
		return false;
	if (!prolly_command_option(command, "file"))
		message = join_paragraphs(command->words);
	else if (!read_message(command, &message, error))
		return false;
	if (g_strcmp0(prolly_command_option(command, "cleanup"), "strip") == 0)
		strip_comments(message);
	g_strchomp(message->str);
	const char *start = message->str;
	while (*start == '\n')
		start++;
	if (!*start && prolly_words_has_message(command->words))
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "%s: the message is empty, nothing is done",
				    command->words->spec->name);
	if (*start)
		*out_message = g_strconcat(start, "\n", NULL);
	return true;
}

void prolly_command_print_draft(ProllyCommand *command, const char *message)
{
	prolly_command_print(command,
			     "%s\n# Lines starting with '#' will be ignored, and an empty message "
			     "aborts the %s.\n",
			     message, command->words->spec->name);
}

bool prolly_words_has_message(const ProllyWords *words)
{
	return prolly_words_get_option(words, "message") || prolly_words_get_option(words, "file");
}
