/* SPDX-License-Identifier: Apache-2.0 */

/*
 * command: running one command line: what its options say about where (branch, revision) and how
 * (JSON, colour, work), dispatch, and from its end an exit status, an errno and a message.
 *
 * 1. A command returns an error for status 2, and says otherwise whether the answer is no (1).
 * 2. A failed command has printed one line on standard error, and nothing there before it; after it
 *    only what --work prints.
 * 3. What a command has changed is on disk when it returns.
 * 4. A caller confined to a branch cannot name another with -b; what else it may not is asked with
 *    prolly_command_check_free where it would happen.
 */

#include "base/memory.h"
#include "command/command-private.h"

#include <stdarg.h>
#include <string.h>

/* ---- Where ------------------------------------------------------------------------------- */

bool prolly_command_check_free(ProllyCommand *command, const char *what, GError **error)
{
	if (!command->caller->confined)
		return true;
	return prolly_throw(error, PROLLY_ERROR_DENIED,
			    "%s: not permitted through the control file of branch %s", what,
			    command->caller->branch);
}

bool prolly_command_check_writable(ProllyCommand *command, GError **error)
{
	if (!command->caller->read_only) {
		if (command->repo && !command->changes) {
			prolly_repo_begin_change(command->repo);
			prolly_backup_claim(command->repo);
		}
		command->changes = true;
		return true;
	}
	return prolly_throw(error, PROLLY_ERROR_READ_ONLY, "%s: the mount is read-only",
			    command->words->spec->name);
}

/* A branch that is named counts for more than the caller's place. */
static bool choose_branch(ProllyCommand *command, GError **error)
{
	const char *option = prolly_command_option(command, "branch");
	const char *implied = command->caller->branch;

	command->branch_name = option ? option : implied;
	if (!command->branch_name && command->repo)
		command->branch_name = prolly_repo_get_default_branch(command->repo);
	command->here = option ? NULL : prolly_command_option(command, "here");
	command->at = prolly_command_option(command, "at");
	if (!command->at && !(command->words->spec->flags & PROLLY_COMMAND_WORKING))
		command->at = command->here;
	if (option && g_strcmp0(option, implied) != 0)
		return prolly_command_check_free(command, option, error);
	return true;
}

bool prolly_command_check_branch(ProllyCommand *command, GError **error)
{
	return !command->here ||
	       prolly_throw(error, PROLLY_ERROR_INVALID,
			    "%s: the directory is commit %.*s's and no branch's; -b says which is "
			    "meant",
			    command->words->spec->name, PROLLY_SHORT_ID, command->here);
}

bool prolly_command_open_branch(ProllyCommand *command, ProllyBranch **out_branch, GError **error)
{
	ProllyBranch *branch = NULL;
	if (!prolly_command_check_branch(command, error))
		return false;
	if (!prolly_branch_lookup(command->repo, command->branch_name, &branch, error))
		return false;
	if (!branch)
		return prolly_throw(error, PROLLY_ERROR_NOT_FOUND, "%s: no such branch",
				    command->branch_name);
	*out_branch = branch;
	return true;
}

bool prolly_command_resolve(ProllyCommand *command, const char *rev, ProllyCommitId *out_id,
			    GError **error)
{
	size_t head = g_str_has_prefix(rev, "HEAD") ? 4 : *rev == '@' ? 1 : 0;
	if (!head || (rev[head] && !strchr("~^@", rev[head]) && !(head == 1 && rev[head] == '{')))
		return prolly_revision_resolve(command->repo, rev, out_id, error);
	/* "@{1}" has the '@' of both spellings. */
	bool is_reflog = head == 1 && rev[head] == '{';
	g_autofree char *named = g_strconcat(command->here ? command->here : command->branch_name,
					     rev + (is_reflog ? 0 : head), NULL);
	return prolly_revision_resolve(command->repo, named, out_id, error);
}

bool prolly_command_open_view(ProllyCommand *command, ProllyView **out_view, GError **error)
{
	if (command->at) {
		ProllyCommitId id;
		return prolly_command_resolve(command, command->at, &id, error) &&
		       prolly_view_new_commit(command->repo, &id, out_view, error);
	}
	g_autoptr(ProllyBranch) branch = NULL;
	return prolly_command_open_branch(command, &branch, error) &&
	       prolly_view_new_pinned(command->repo, branch, out_view, error);
}

bool prolly_command_sign(ProllyCommand *command, ProllySignature *out_author,
			 ProllySignature *out_committer, GError **error)
{
	g_auto(ProllySignature) author = {0};
	if (!prolly_signature_init_default(&author, false, command->environment, error) ||
	    !prolly_signature_init_default(out_committer, true, command->environment, error))
		return false;
	*out_author = author;
	author = (ProllySignature){0};
	return true;
}

bool prolly_command_parse_count(ProllyCommand *command, uint64_t *out_count, GError **error)
{
	const char *text = prolly_command_option(command, "max-count");
	*out_count = UINT64_MAX;
	if (!text || g_ascii_string_to_unsigned(text, 10, 0, UINT64_MAX, out_count, NULL))
		return true;
	return prolly_throw(error, PROLLY_ERROR_USAGE, "%s: -n %s: not a number",
			    command->words->spec->name, text);
}

/* ---- How --------------------------------------------------------------------------------- */

static bool is_git_variable(const char *assignment)
{
	return (g_str_has_prefix(assignment, "GIT_AUTHOR_") ||
		g_str_has_prefix(assignment, "GIT_COMMITTER_")) &&
	       strchr(assignment, '=');
}

/* The values of --env before those that the caller has. (transfer container) */
static bool gather_environment(ProllyCommand *command, GPtrArray **out_list, GError **error)
{
	g_autoptr(GPtrArray) list = g_ptr_array_new();
	const GArray *options = command->words->options;

	for (guint i = 0; i < options->len; i++) {
		const ProllyOptionUse *use = &g_array_index(options, ProllyOptionUse, i);
		if (strcmp(use->spec->name, "env") != 0)
			continue;
		if (!is_git_variable(use->value))
			return prolly_throw(
				error, PROLLY_ERROR_USAGE,
				"--env %s: not a GIT_AUTHOR_ or GIT_COMMITTER_ variable",
				use->value);
		g_ptr_array_add(list, (gpointer)use->value);
	}
	bool is_given = list->len > 0;
	const char *const *inherited = command->caller->environment;
	for (size_t i = 0; inherited && inherited[i]; i++)
		g_ptr_array_add(list, (gpointer)inherited[i]);
	g_ptr_array_add(list, NULL);
	if (is_given || inherited)
		command->environment = (const char *const *)list->pdata;
	*out_list = g_steal_pointer(&list);
	return true;
}

/* Without a name, or with a wrong one, the store's own stands in the reflogs. */
static void name_mover(ProllyCommand *command)
{
	g_auto(ProllySignature) committer = {0};

	if (command->words->spec->flags & PROLLY_COMMAND_MOVES && command->environment &&
	    prolly_signature_init_default(&committer, true, command->environment, NULL))
		prolly_repo_set_committer(command->repo, &committer);
}

static bool choose_colour(ProllyCommand *command, GError **error)
{
	const char *when = prolly_command_option(command, "color");
	if (!when || strcmp(when, "auto") == 0)
		command->colour = command->is_terminal;
	else if (strcmp(when, "always") == 0 || strcmp(when, "never") == 0)
		command->colour = *when == 'a';
	else
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "--color %s: it is auto, always or never", when);
	return true;
}

static bool read_options(ProllyCommand *command, GError **error)
{
	const ProllyCommandSpec *spec = command->words->spec;
	const char *cwd = prolly_command_option(command, "cwd");

	command->cwd = cwd ? cwd : command->caller->cwd;
	command->json = prolly_command_option(command, "json");
	command->quiet = prolly_command_option(command, "quiet");
	command->is_terminal =
		command->caller->is_terminal || prolly_command_option(command, "terminal");
	if (prolly_command_option(command, "C"))
		return prolly_throw(error, PROLLY_ERROR_USAGE, "-C is for prollyfs-ctl itself");
	if ((spec->flags & PROLLY_COMMAND_WORKING) && prolly_command_option(command, "at"))
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "%s: it is about the working state, so --at makes no sense",
				    spec->name);
	if (!(spec->flags & PROLLY_COMMAND_NO_STORE) != (command->repo != NULL))
		return prolly_throw(error, PROLLY_ERROR_DENIED, "%s: not through a control file",
				    spec->name);
	if ((spec->flags & PROLLY_COMMAND_CHANGES) &&
	    !prolly_command_check_writable(command, error))
		return false;
	return choose_branch(command, error) && choose_colour(command, error);
}

/* ---- Running ----------------------------------------------------------------------------- */

bool prolly_command_answer_no(ProllyCommand *command, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	g_autofree char *message = g_strdup_vprintf(format, args);
	va_end(args);
	prolly_command_say(command, message);
	command->is_no = true;
	return true;
}

/* --help and --version. False: it is neither. */
static bool answer_question(ProllyCommand *command)
{
	g_autoptr(GString) text = g_string_new(NULL);
	if (prolly_command_option(command, "help"))
		prolly_words_help(command->words->spec, text);
	else if (prolly_command_option(command, "version"))
		g_string_append(text, "prollyfs-ctl " PROLLYFS_VERSION "\n");
	else
		return false;
	prolly_command_write(command, text->str, text->len);
	return true;
}

/* What it takes from one revision to another stays while it runs. One that reads its input may take as
 * long as its user likes, so it sees to that itself. */
static bool is_short_change(const ProllyCommand *command)
{
	unsigned flags = command->words->spec->flags;

	return (flags & PROLLY_COMMAND_CHANGES) && !(flags & PROLLY_COMMAND_INPUT);
}

static bool run_parsed(ProllyCommand *command, GError **error)
{
	g_autoptr(GPtrArray) environment = NULL;
	g_auto(ProllyGuard) guard = {0};

	if (answer_question(command))
		return true;
	if (!read_options(command, error) || !gather_environment(command, &environment, error))
		return false;
	name_mover(command);
	if (is_short_change(command))
		guard = prolly_guard_enter(command->repo);
	if (!command->words->spec->run(command, error) ||
	    (command->changes && command->repo && !prolly_repo_sync(command->repo, error)))
		return false;
	prolly_command_flush(command);
	/* An interrupt that comes too late interrupts nothing; output that was lost is a failure.
	 */
	return !command->output_gone || prolly_command_check(command, error);
}

static void say_work(ProllyCommand *command, ProllyWork *work)
{
	ProllyWorkFigures figures = {0};
	g_autoptr(GString) json = g_string_new(NULL);

	prolly_work_get_figures(work, &figures);
	prolly_json_begin(json, NULL, '{');
	prolly_json_add_number(json, "nodes_read", figures.nodes_read);
	prolly_json_add_number(json, "nodes_written", figures.nodes_written);
	prolly_json_add_number(json, "bytes_read", figures.bytes_read);
	prolly_json_add_number(json, "bytes_written", figures.bytes_written);
	prolly_json_add_number(json, "nodes_hashed", figures.nodes_hashed);
	prolly_json_add_number(json, "chunks_written", figures.chunks_written);
	prolly_json_end(json, '}');
	g_string_append_c(json, '\n');
	command->streams->write_error(command->streams->data, json->str, json->len);
}

/* Runs and returns the status; with SAY_ERROR an error is also a line on standard error. */
static int run_words(ProllyRepo *repo, const ProllyCaller *caller, const ProllyStreams *streams,
		     const char *const *words, bool say_error, GError **error)
{
	g_autoptr(ProllyWork) work = prolly_work_new();
	g_autoptr(ProllyRepo) handle = repo ? prolly_repo_new_handle(repo, work, true) : NULL;
	g_autoptr(GString) output = g_string_new(NULL);
	g_autoptr(ProllyWords) parsed = NULL;
	g_autoptr(GError) failure = NULL;
	ProllyCommand command = {.repo = handle, .caller = caller, .streams = streams};

	if (prolly_command_begin_output(&command, output, &failure) &&
	    prolly_words_parse(words, &parsed, &failure)) {
		command.words = parsed;
		run_parsed(&command, &failure);
		if (command.changes && handle)
			prolly_repo_end_change(handle);
	}
	prolly_command_flush(&command);
	if (failure && say_error)
		prolly_command_say(&command, failure->message);
	if (parsed && prolly_command_option(&command, "work"))
		say_work(&command, work);
	if (!failure)
		return command.is_no ? 1 : 0;
	g_propagate_error(error, g_steal_pointer(&failure));
	return 2;
}

int prolly_command_run(ProllyRepo *repo, const ProllyCaller *caller, const ProllyStreams *streams,
		       const char *const *words, int *out_errno)
{
	g_autoptr(GError) error = NULL;
	int status = run_words(repo, caller, streams, words, true, &error);
	if (error && out_errno)
		*out_errno = prolly_error_to_errno(error);
	return status;
}

/* ---- Capture ----------------------------------------------------------------------------- */

typedef struct {
	GString *text;
	ProllyAllowance *allowance;
	GError *error;
} Capture;

static bool capture_write(void *data, const void *bytes, size_t len)
{
	Capture *capture = data;

	if (capture->error)
		return false;
	if (!prolly_allowance_take(capture->allowance, len))
		return prolly_throw_errno(&capture->error, EDQUOT, "output");
	if (!prolly_try_reserve_text(capture->text, len, "output", &capture->error)) {
		prolly_allowance_give(capture->allowance, len);
		return false;
	}
	g_string_append_len(capture->text, bytes, (gssize)len);
	return true;
}

bool prolly_command_capture(ProllyRepo *repo, const ProllyCaller *caller, const char *const *words,
			    GString **out_text, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GError) failure = NULL;
	Capture capture = {text, caller->allowance, NULL};
	ProllyStreams streams = {
		.write = capture_write, .write_error = capture_write, .data = &capture};

	run_words(repo, caller, &streams, words, false, &failure);
	prolly_allowance_give(caller->allowance, text->len);
	if (capture.error) {
		g_propagate_prefixed_error(error, capture.error, "%s: ", words[0]);
		return false;
	}
	if (failure) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	*out_text = g_steal_pointer(&text);
	return true;
}
