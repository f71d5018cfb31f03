/* SPDX-License-Identifier: Apache-2.0 */

/*
 * words: command lines. From a line of text to words and back (shell quoting), and from words to a
 * command with options and arguments, by the table of commands, which is here.
 *
 * Quoting is the shell's: '...', "..." (with \ before $ ` " \), \c, and $'...' with \n, \t, \xHH
 * and their like, since a line is UTF-8 without newlines and an argument any bytes. Nothing is
 * expanded. '#' at the start of a word begins a comment.
 *
 * Options stand anywhere before a "--". The command is the first word that is neither an option nor
 * an option's value; since an option's value can only be told from the command by knowing the
 * option, an option before the command is looked up in the tables of all commands first.
 *
 * g_shell_parse_argv was rejected because it cannot carry a newline, GOption because it prints,
 * takes abbreviations and wants the words in the locale's charset; a PATH is any bytes.
 */

#include "base/memory.h"
#include "command/command-private.h"

#include <stdlib.h>
#include <string.h>

/* ---- Tables ------------------------------------------------------------------------------ */

/* A line for each, so that two may be added at once. */
/* clang-format off */
static const ProllyCommandSpec *const COMMANDS[] = {
	&prolly_cmd_init,
	&prolly_cmd_put,
	&prolly_cmd_get,
	&prolly_cmd_delete,
	&prolly_cmd_ls,
	&prolly_cmd_load,
	&prolly_cmd_dump,
	&prolly_cmd_status,
	&prolly_cmd_diff,
	&prolly_cmd_commit,
	&prolly_cmd_restore,
	&prolly_cmd_reset,
	&prolly_cmd_log,
	&prolly_cmd_show,
	&prolly_cmd_history,
	&prolly_cmd_blame,
	&prolly_cmd_branch,
	&prolly_cmd_tag,
	&prolly_cmd_merge,
	&prolly_cmd_cherry_pick,
	&prolly_cmd_revert,
	&prolly_cmd_conflicts,
	&prolly_cmd_resolve,
	&prolly_cmd_reflog,
	&prolly_cmd_keys_at,
	&prolly_cmd_root,
	&prolly_cmd_prove,
	&prolly_cmd_verify,
	&prolly_cmd_stats,
	&prolly_cmd_gc,
	&prolly_cmd_fsck,
	&prolly_cmd_backup,
};
/* clang-format on */

static const ProllyOptionSpec GLOBAL_OPTIONS[] = {
	{"", 'C', "PATH", "a path inside a mount, or a store (default: the current directory)"},
	{"branch", 'b', "BRANCH",
	 "the branch (default: where PATH is, else the store's own default)"},
	{"at", 0, "REV", "read a revision instead of the working state"},
	{"json", 0, NULL, "print JSON"},
	{"quiet", 'q', NULL, "print results only"},
	{"work", 0, NULL, "say on standard error what the command cost, as JSON"},
	{"color", 0, "WHEN", "auto (the default), always or never"},
	{"no-pager", 0, NULL, "do not page the output on a terminal"},
	{"help", 'h', NULL, "print this, or the help of a command"},
	{"version", 'V', NULL, "print the version"},
	{"cwd", 0, "PATH", "where relative paths start below the branch (given by prollyfs-ctl)"},
	{"here", 0, "ID",
	 "the commit whose directory it is, not a branch's (given by prollyfs-ctl)"},
	{"env", 0, "NAME=VALUE",
	 "a GIT_AUTHOR_ or GIT_COMMITTER_ variable (given by prollyfs-ctl)"},
	{"terminal", 0, NULL, "the output goes to a terminal (given by prollyfs-ctl)"},
	{0},
};

static const ProllyCommandSpec *find_command(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(COMMANDS); i++)
		if (strcmp(COMMANDS[i]->name, name) == 0)
			return COMMANDS[i];
	return NULL;
}

/* ---- Quoting ----------------------------------------------------------------------------- */

static bool is_safe(const char *word)
{
	if (!*word || *word == '#')
		return false;
	for (const char *p = word; *p; p++)
		if (!g_ascii_isalnum(*p) && !strchr("_-./:=@%+,^~{}#", *p))
			return false;
	return true;
}

/* Can only $'...' carry it: control characters, and bytes that are not UTF-8? */
static bool needs_escapes(const char *word)
{
	for (const char *p = word; *p; p++)
		if (g_ascii_iscntrl(*p))
			return true;
	return !g_utf8_validate(word, -1, NULL);
}

static void append_dollar_quoted(GString *line, const char *word)
{
	g_string_append(line, "$'");
	for (const char *p = word; *p; p++) {
		if (g_ascii_iscntrl(*p) || (unsigned char)*p >= 0x80)
			g_string_append_printf(line, "\\x%02x", (unsigned char)*p);
		else if (*p == '\'' || *p == '\\')
			g_string_append_printf(line, "\\%c", *p);
		else
			g_string_append_c(line, *p);
	}
	g_string_append_c(line, '\'');
}

static void append_quoted(GString *line, const char *word)
{
	g_string_append_c(line, '\'');
	for (const char *p = word; *p; p++) {
		if (*p == '\'')
			g_string_append(line, "'\\''");
		else
			g_string_append_c(line, *p);
	}
	g_string_append_c(line, '\'');
}

char *prolly_command_join(const char *const *words)
{
	GString *line = g_string_new(NULL);
	for (size_t i = 0; words[i]; i++) {
		/* A byte becomes four at most. */
		if (!prolly_try_reserve_text(line, 4 * strlen(words[i]) + 4, "", NULL)) {
			g_string_free(line, TRUE);
			return NULL;
		}
		if (i)
			g_string_append_c(line, ' ');
		if (is_safe(words[i])) {
			g_string_append(line, words[i]);
		} else if (needs_escapes(words[i])) {
			append_dollar_quoted(line, words[i]);
		} else {
			append_quoted(line, words[i]);
		}
	}
	return g_string_free(line, FALSE);
}

/* Each take_* reads one quoted piece at *P, moves *P behind it, and appends what it means. */

static bool take_single(const char **p, GString *word, GError **error)
{
	const char *end = strchr(*p + 1, '\'');
	if (!end)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "%s: unbalanced quote", *p);
	g_string_append_len(word, *p + 1, end - *p - 1);
	*p = end + 1;
	return true;
}

static bool take_double(const char **p, GString *word, GError **error)
{
	const char *q = *p + 1;
	for (; *q && *q != '"'; q++) {
		if (*q == '\\' && q[1] && strchr("$`\"\\", q[1]))
			q++;
		g_string_append_c(word, *q);
	}
	if (!*q)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "%s: unbalanced quote", *p);
	*p = q + 1;
	return true;
}

/* The escape whose character after the backslash is at *Q; *Q is left on its last character. */
static bool take_escape(const char **q, GString *word, GError **error)
{
	static const char NAMES[] = "abefnrtv\\'\"?";
	static const char MEANINGS[] = "\a\b\033\f\n\r\t\v\\'\"?";

	const char *name = **q ? strchr(NAMES, **q) : NULL;
	if (name) {
		g_string_append_c(word, MEANINGS[name - NAMES]);
		return true;
	}
	int high = **q == 'x' ? g_ascii_xdigit_value((*q)[1]) : -1;
	int low = high >= 0 ? g_ascii_xdigit_value((*q)[2]) : -1;
	if (low < 0 || (high | low) == 0)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "\\%s: unknown escape", *q);
	g_string_append_c(word, (char)(high << 4 | low));
	*q += 2;
	return true;
}

static bool take_dollar(const char **p, GString *word, GError **error)
{
	const char *q = *p + 2;
	for (; *q && *q != '\''; q++) {
		if (*q != '\\') {
			g_string_append_c(word, *q);
			continue;
		}
		q++;
		if (!take_escape(&q, word, error))
			return false;
	}
	if (!*q)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "%s: unbalanced quote", *p);
	*p = q + 1;
	return true;
}

static bool take_piece(const char **p, GString *word, GError **error)
{
	switch (**p) {
	case '\'':
		return take_single(p, word, error);
	case '"':
		return take_double(p, word, error);
	case '$':
		if ((*p)[1] == '\'')
			return take_dollar(p, word, error);
		break;
	case '\\':
		if (!(*p)[1])
			return prolly_throw(error, PROLLY_ERROR_USAGE, "a backslash ends the line");
		(*p)++;
		break;
	default:
		break;
	}
	g_string_append_c(word, **p);
	(*p)++;
	return true;
}

/* The bytes of the line that the word at P is about made of. */
static size_t measure_word(const char *p)
{
	const char *q = p;
	char quote = '\0'; /* that is open; '$' is one that begins so */

	for (; *q && (quote || !g_ascii_isspace(*q)); q++) {
		if (*q == '\\' && quote != '\'')
			q += q[1] != '\0';
		else if (quote)
			quote = *q == (quote == '$' ? '\'' : quote) ? '\0' : quote;
		else if (*q == '\'' || *q == '"')
			quote = *q == '\'' && q > p && q[-1] == '$' ? '$' : *q;
	}
	return (size_t)(q - p);
}

char **prolly_command_split(const char *line, GError **error)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
	const char *p = line;

	if (!g_utf8_validate(line, -1, NULL)) {
		prolly_throw(error, PROLLY_ERROR_USAGE, "the command line is not UTF-8");
		return NULL;
	}
	for (;;) {
		while (g_ascii_isspace(*p))
			p++;
		if (!*p || *p == '#')
			break;
		g_autoptr(GString) word = g_string_new(NULL);
		if (!prolly_try_reserve_text(word, measure_word(p), "a word of a command", error))
			return NULL;
		while (*p && !g_ascii_isspace(*p))
			if (!take_piece(&p, word, error))
				return NULL;
		g_ptr_array_add(words, g_string_free(g_steal_pointer(&word), FALSE));
	}
	g_ptr_array_add(words, NULL);
	return (char **)g_ptr_array_free(g_steal_pointer(&words), FALSE);
}

/* ---- Options ----------------------------------------------------------------------------- */

/* The option of TABLE called NAME (LEN bytes: a long one), or LETTER. */
static const ProllyOptionSpec *find_in(const ProllyOptionSpec *table, const char *name, size_t len,
				       char letter)
{
	for (const ProllyOptionSpec *spec = table; spec && spec->help; spec++) {
		if (letter && spec->letter == letter)
			return spec;
		if (!letter && *spec->name && strlen(spec->name) == len &&
		    memcmp(spec->name, name, len) == 0)
			return spec;
	}
	return NULL;
}

/* The same in COMMAND's table (NULL: any command's, one with a value first) and the global one. */
static const ProllyOptionSpec *find_option(const ProllyCommandSpec *command, const char *name,
					   size_t len, char letter)
{
	const ProllyOptionSpec *found = find_in(GLOBAL_OPTIONS, name, len, letter);
	if (command) {
		const ProllyOptionSpec *own = find_in(command->options, name, len, letter);
		return own ? own : found;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(COMMANDS); i++) {
		const ProllyOptionSpec *own = find_in(COMMANDS[i]->options, name, len, letter);
		if (own && (!found || (own->value && !found->value)))
			found = own;
	}
	return found;
}

/* One word that holds options, as it is taken apart. */
typedef struct {
	const ProllyCommandSpec *command; /* NULL: not known yet */
	const char *const *words;
	size_t at;
	ProllyWords *out; /* NULL: only to get past it */
} OptionReader;

static void add_option(OptionReader *reader, const ProllyOptionSpec *spec, const char *value)
{
	ProllyOptionUse use = {spec, value};
	if (reader->out)
		g_array_append_val(reader->out->options, use);
}

static bool throw_unknown(const OptionReader *reader, const char *word, GError **error)
{
	return prolly_throw(error, PROLLY_ERROR_USAGE, "%s%sunknown option '%s'",
			    reader->command ? reader->command->name : "",
			    reader->command ? ": " : "", word);
}

/* "--name", "--name=value", "--name value". */
static bool take_long(OptionReader *reader, GError **error)
{
	const char *word = reader->words[reader->at];
	const char *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - word - 2) : strlen(word + 2);
	const ProllyOptionSpec *spec = find_option(reader->command, word + 2, len, 0);

	if (!spec)
		return throw_unknown(reader, word, error);
	if (equals && !spec->value)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "%s: the option takes no value",
				    word);
	if (!spec->value || equals) {
		add_option(reader, spec, equals ? equals + 1 : "");
		return true;
	}
	const char *value = reader->words[reader->at + 1];
	if (!value)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "%s: %s is missing", word,
				    spec->value);
	add_option(reader, spec, value);
	reader->at++;
	return true;
}

/* "-20" for "-n 20", where there is a -n. */
static bool take_count(OptionReader *reader)
{
	const char *digits = reader->words[reader->at] + 1;
	const ProllyOptionSpec *spec =
		reader->command ? find_option(reader->command, "", 0, 'n') : NULL;

	if (!spec || !spec->value || digits[strspn(digits, "0123456789")])
		return false;
	add_option(reader, spec, digits);
	return true;
}

/* "-abc", "-nVALUE", "-n VALUE". */
static bool take_short(OptionReader *reader, GError **error)
{
	if (take_count(reader))
		return true;
	for (const char *p = reader->words[reader->at] + 1; *p; p++) {
		const ProllyOptionSpec *spec = find_option(reader->command, "", 0, *p);
		if (!spec) {
			char word[] = {'-', *p, 0};
			return throw_unknown(reader, word, error);
		}
		if (!spec->value) {
			add_option(reader, spec, "");
			continue;
		}
		const char *value = p[1] ? p + 1 : reader->words[++reader->at];
		if (!value)
			return prolly_throw(error, PROLLY_ERROR_USAGE, "-%c: %s is missing", *p,
					    spec->value);
		add_option(reader, spec, value);
		return true;
	}
	return true;
}

static bool is_option(const char *word)
{
	return word[0] == '-' && word[1];
}

static bool take_option(OptionReader *reader, GError **error)
{
	return reader->words[reader->at][1] == '-' ? take_long(reader, error)
						   : take_short(reader, error);
}

/* The index of the command in WORDS, or that of the NULL at their end. */
static bool find_command_word(const char *const *words, size_t *out_at, GError **error)
{
	OptionReader reader = {NULL, words, 0, NULL};
	for (; words[reader.at]; reader.at++) {
		if (strcmp(words[reader.at], "--") == 0) {
			reader.at++;
			break;
		}
		if (!is_option(words[reader.at]))
			break;
		if (!take_option(&reader, error))
			return false;
	}
	*out_at = reader.at;
	return true;
}

static bool check_arguments(const ProllyWords *words, GError **error)
{
	const ProllyCommandSpec *spec = words->spec;
	if (words->arguments->len < spec->min_arguments)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "%s: too few arguments (usage: %s %s)", spec->name, spec->name,
				    spec->arguments);
	if (words->arguments->len > spec->max_arguments)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "%s: '%s' is one argument too many",
				    spec->name,
				    prolly_words_get_argument(words, spec->max_arguments));
	return true;
}

/* Everything but the command's word, at COMMAND_AT. */
static bool parse_rest(ProllyWords *out, const char *const *words, size_t command_at,
		       GError **error)
{
	OptionReader reader = {out->spec, words, 0, out};
	bool ended = false;

	for (; words[reader.at]; reader.at++) {
		const char *word = words[reader.at];
		if (reader.at == command_at)
			continue;
		if (!ended && strcmp(word, "--") == 0) {
			ended = true;
		} else if (!ended && is_option(word)) {
			if (!take_option(&reader, error))
				return false;
		} else {
			g_ptr_array_add(out->arguments, (gpointer)word);
			out->n_plain += !ended;
		}
	}
	return true;
}

bool prolly_words_parse(const char *const *words, ProllyWords **out_words, GError **error)
{
	g_autoptr(ProllyWords) parsed = g_new0(ProllyWords, 1);
	parsed->options = g_array_new(FALSE, FALSE, sizeof(ProllyOptionUse));
	parsed->arguments = g_ptr_array_new();

	size_t command_at = 0;
	if (!find_command_word(words, &command_at, error))
		return false;
	if (words[command_at]) {
		parsed->spec = find_command(words[command_at]);
		if (!parsed->spec)
			return prolly_throw(error, PROLLY_ERROR_USAGE, "unknown command '%s'",
					    words[command_at]);
	}
	if (!parse_rest(parsed, words, command_at, error))
		return false;
	bool is_question = prolly_words_get_option(parsed, "help") ||
			   prolly_words_get_option(parsed, "version");
	if (!is_question && !parsed->spec)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "a command is missing (--help lists them)");
	if (!is_question && !check_arguments(parsed, error))
		return false;
	*out_words = g_steal_pointer(&parsed);
	return true;
}

void prolly_words_free(ProllyWords *words)
{
	if (!words)
		return;
	g_array_unref(words->options);
	g_ptr_array_unref(words->arguments);
	g_free(words);
}

const char *prolly_words_get_option(const ProllyWords *words, const char *name)
{
	for (guint i = words->options->len; i-- > 0;) {
		const ProllyOptionUse *use = &g_array_index(words->options, ProllyOptionUse, i);
		bool is_letter = !name[1] && use->spec->letter == name[0];
		if (is_letter || strcmp(use->spec->name, name) == 0)
			return use->value;
	}
	return NULL;
}

const char *prolly_words_get_argument(const ProllyWords *words, unsigned i)
{
	return i < words->arguments->len ? g_ptr_array_index(words->arguments, i) : NULL;
}

/* ---- What a front end asks --------------------------------------------------------------- */

bool prolly_words_read_input(const ProllyWords *words)
{
	unsigned flags = words->spec ? words->spec->flags : 0;

	if (prolly_words_get_option(words, "help"))
		return false;
	if (flags & PROLLY_COMMAND_MESSAGE)
		return prolly_words_get_option(words, "file");
	return flags & PROLLY_COMMAND_INPUT &&
	       !(words->spec == &prolly_cmd_put && words->arguments->len > 1);
}

/* (transfer full) FILE, of this process, by a path that is the same for another. Its last component may
 * be missing, and is not followed. */
static char *make_absolute(const char *file)
{
	g_autofree char *path = g_canonicalize_filename(file, NULL);
	g_autofree char *plain = g_strdup(file);
	g_autofree char *parent = NULL;
	g_autofree char *name = NULL;
	char *real = NULL;
	char *absolute;

	for (size_t len = strlen(plain); len > 1 && plain[len - 1] == '/'; len--)
		plain[len - 1] = '\0';
	parent = g_path_get_dirname(plain);
	name = g_path_get_basename(plain);
	if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, "/") != 0)
		real = realpath(parent, NULL);
	absolute = real ? g_build_filename(real, name, NULL) : g_steal_pointer(&path);
	free(real);
	return absolute;
}

static char *rebuild_argument(const ProllyWords *words, guint i)
{
	const char *argument = g_ptr_array_index(words->arguments, i);

	return words->spec->flags & PROLLY_COMMAND_FILES ? make_absolute(argument)
							 : g_strdup(argument);
}

/* The words of a parsed line again, without -C, and without the FILE of a message, which the front
 * end reads; files are absolute. */
static char **rebuild(const ProllyWords *words)
{
	g_autoptr(GPtrArray) out = g_ptr_array_new();
	if (words->spec)
		g_ptr_array_add(out, g_strdup(words->spec->name));
	for (guint i = 0; i < words->options->len; i++) {
		const ProllyOptionUse *use = &g_array_index(words->options, ProllyOptionUse, i);
		if (use->spec->letter == 'C' ||
		    (use->spec->letter == 'F' && words->spec->flags & PROLLY_COMMAND_MESSAGE))
			continue;
		const char *dash = *use->spec->name ? "--" : "-";
		char letter[] = {use->spec->letter, 0};
		const char *name = *use->spec->name ? use->spec->name : letter;
		g_ptr_array_add(out, g_strconcat(dash, name, NULL));
		if (use->spec->value)
			g_ptr_array_add(out, g_strdup(use->value));
	}
	for (guint i = 0; i <= words->arguments->len; i++) {
		if (i == words->n_plain)
			g_ptr_array_add(out, g_strdup("--"));
		if (i < words->arguments->len)
			g_ptr_array_add(out, rebuild_argument(words, i));
	}
	g_ptr_array_add(out, NULL);
	return (char **)g_ptr_array_free(g_steal_pointer(&out), FALSE);
}

/* A command that may take commits away does nothing of that when it lists, say. */
static bool may_leave_garbage(const ProllyWords *words)
{
	static const char *const OPTIONS[] = {"d", "D", "force"};
	unsigned flags = words->spec ? words->spec->flags : 0;

	for (size_t i = 0; flags & PROLLY_COMMAND_DELETES && i < G_N_ELEMENTS(OPTIONS); i++)
		if (prolly_words_get_option(words, OPTIONS[i]))
			return true;
	return flags & PROLLY_COMMAND_CHANGES;
}

bool prolly_command_inspect(const char *const *words, ProllyCommandNeeds *out_needs, GError **error)
{
	g_autoptr(ProllyWords) parsed = NULL;
	if (!prolly_words_parse(words, &parsed, error))
		return false;
	unsigned flags = parsed->spec ? parsed->spec->flags : 0;
	bool is_question = prolly_words_get_option(parsed, "help") ||
			   prolly_words_get_option(parsed, "version");
	*out_needs = (ProllyCommandNeeds){
		.directory = prolly_words_get_option(parsed, "C"),
		.store = !is_question && !(flags & PROLLY_COMMAND_NO_STORE),
		.place = !is_question && (flags & PROLLY_COMMAND_PATHS),
		.input = prolly_words_read_input(parsed),
		.changes = may_leave_garbage(parsed),
		.identity = flags & PROLLY_COMMAND_SIGNS,
		.mover = flags & PROLLY_COMMAND_MOVES,
		.message_file = flags & PROLLY_COMMAND_MESSAGE
					? prolly_words_get_option(parsed, "file")
					: NULL,
		.message = !is_question && parsed->spec && parsed->spec->wants_message &&
			   parsed->spec->wants_message(parsed),
		.pager = (flags & PROLLY_COMMAND_PAGES) && !is_question &&
			 !prolly_words_get_option(parsed, "no-pager"),
		.words = rebuild(parsed),
	};
	return true;
}

void prolly_command_needs_clear(ProllyCommandNeeds *needs)
{
	g_clear_pointer(&needs->words, g_strfreev);
}

/* ---- Help -------------------------------------------------------------------------------- */

static void append_option_help(GString *out, const ProllyOptionSpec *spec)
{
	g_autoptr(GString) left = g_string_new("  ");
	if (spec->letter)
		g_string_append_printf(left, "-%c", spec->letter);
	if (spec->letter && *spec->name)
		g_string_append(left, ", ");
	if (*spec->name)
		g_string_append_printf(left, "--%s", spec->name);
	if (spec->value)
		g_string_append_printf(left, " %s", spec->value);
	g_string_append_printf(out, "%-26s %s\n", left->str, spec->help);
}

static void append_program_help(GString *out)
{
	g_string_append(out, "usage: prollyfs-ctl [OPTION...] COMMAND [ARGUMENT...]\n"
			     "Works with a prollyfs store, mounted or not.\n\nCommands:\n");
	for (size_t i = 0; i < G_N_ELEMENTS(COMMANDS); i++)
		g_string_append_printf(out, "  %-24s %s\n", COMMANDS[i]->name,
				       COMMANDS[i]->summary);
	g_string_append(out, "\nOptions, before or after the command (-- ends them):\n");
	for (const ProllyOptionSpec *spec = GLOBAL_OPTIONS; spec->help; spec++)
		append_option_help(out, spec);
	g_string_append(out, "\n'prollyfs-ctl COMMAND --help' tells more of a command.\n"
			     "Exit status: 0 done, 1 the answer is no, 2 failed or refused.\n");
}

void prolly_words_help(const ProllyCommandSpec *spec, GString *out)
{
	if (!spec) {
		append_program_help(out);
		return;
	}
	g_string_append_printf(out, "usage: prollyfs-ctl %s%s%s%s\n%c%s.\n", spec->name,
			       spec->options ? " [OPTION...]" : "", *spec->arguments ? " " : "",
			       spec->arguments, g_ascii_toupper(*spec->summary), spec->summary + 1);
	if (spec->options)
		g_string_append(out, "\nOptions:\n");
	for (const ProllyOptionSpec *option = spec->options; option && option->help; option++)
		append_option_help(out, option);
	g_string_append(out, "\n'prollyfs-ctl --help' lists the options that every command has.\n");
}
