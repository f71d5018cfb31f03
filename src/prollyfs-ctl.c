/* SPDX-License-Identifier: Apache-2.0 */

/*
 * prollyfs-ctl: one command on a store.
 *
 * The commands are core/command's. This program finds out where the command goes (ctl-place.c),
 * adds to its words what only the caller's process knows (directory, identity, terminal), and has
 * it run: by the process that has the store mounted, or here.
 *
 * SIGINT and SIGPIPE have their usual effect: the process ends, and with it the session, which
 * cancels the command; one that runs here leaves the store as any crash would, which is as it
 * should be.
 */

#include "ctl.h"

#include <string.h>
#include <unistd.h>

#define STORE_WAIT_MSEC 10000

static int fail(const GError *error)
{
	g_autofree char *message = g_strdup(error->message);
	g_strdelimit(message, "\n\r\033", ' ');
	g_printerr("prollyfs-ctl: %s\n", message);
	return 2;
}

/* ---- What is added to the words ---------------------------------------------------------- */

static void add_option(GPtrArray *words, const char *name, const char *value)
{
	if (!value)
		return;
	g_ptr_array_add(words, g_strdup(name));
	g_ptr_array_add(words, g_strdup(value));
}

static void add_variable(GPtrArray *words, const char *role, const char *what, const char *value)
{
	g_autofree char *assignment =
		g_strdup_printf("GIT_%s_%s=%s", role, what, value ? value : "");
	if (value)
		add_option(words, "--env", assignment);
}

/* Who is committing, from this process's environment and its git configuration. */
static bool add_identity(GPtrArray *words, bool committer, GError **error)
{
	const char *role = committer ? "COMMITTER" : "AUTHOR";
	g_auto(ProllySignature) signature = {0};

	if (!prolly_signature_init_default(&signature, committer, NULL, error))
		return false;
	add_variable(words, role, "NAME", signature.name);
	add_variable(words, role, "EMAIL", signature.email);
	add_variable(words, role, "DATE",
		     g_getenv(committer ? "GIT_COMMITTER_DATE" : "GIT_AUTHOR_DATE"));
	return true;
}

static bool is_set(const char *variable)
{
	const char *value = g_getenv(variable);
	return value && *value;
}

static void add_terminal(GPtrArray *words)
{
	if (isatty(STDOUT_FILENO))
		g_ptr_array_add(words, g_strdup("--terminal"));
	if (is_set("NO_COLOR") || g_strcmp0(g_getenv("TERM"), "dumb") == 0)
		add_option(words, "--color", "never");
	else if (is_set("CLICOLOR_FORCE"))
		add_option(words, "--color", "always");
}

/* (transfer full) NEEDS' words after the options that the place and this process give, so that the
 * user's own win. */
static bool make_words(const ProllyCommandNeeds *needs, const CtlPlace *place, char ***out_words,
		       GError **error)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
	add_option(words, "--cwd", place->cwd);
	add_option(words, "--branch", place->branch);
	add_option(words, "--here", place->revision);
	add_terminal(words);
	if (needs->message_file)
		add_option(words, "--file", "-");
	if (needs->identity &&
	    (!add_identity(words, false, error) || !add_identity(words, true, error)))
		return false;
	if (needs->mover && !needs->identity)
		(void)add_identity(words, true, NULL);
	for (char **word = needs->words; *word; word++)
		g_ptr_array_add(words, g_strdup(*word));
	g_ptr_array_add(words, NULL);
	*out_words = (char **)g_ptr_array_free(g_steal_pointer(&words), FALSE);
	return true;
}

/* ---- Having it run ----------------------------------------------------------------------- */

static int run_here(ProllyRepo *repo, const char *const *words, const ProllyStreams *streams)
{
	static const ProllyCaller caller = {.is_owner = true};
	return prolly_command_run(repo, &caller, streams, words, NULL);
}

/* The exit status, or -1 with ERROR. TIDY: afterwards a store that nobody has mounted is tidied, unless
 * the command was refused, which leaves a backup one. */
static int run_at(const CtlPlace *place, const char *const *words, const ProllyStreams *streams,
		  bool tidy, GError **error)
{
	ProllyRepoOptions options = {.wait_ms = STORE_WAIT_MSEC};
	g_autoptr(ProllyRepo) repo = NULL;
	int status;

	if (place->control)
		return prolly_session_call(place->control, words, streams, error);
	if (!prolly_repo_open(place->store, &options, &repo, error))
		return -1;
	status = run_here(repo, words, streams);
	if (tidy && status != 2)
		prolly_command_tidy(repo, streams);
	return status;
}

/* ---- Messages ---------------------------------------------------------------------------- */

typedef struct {
	GString *text;
	const ProllyStreams *streams;
} Draft;

static bool gather(void *data, const void *bytes, size_t len)
{
	g_string_append_len(((Draft *)data)->text, bytes, (gssize)len);
	return true;
}

static bool pass_error(void *data, const void *bytes, size_t len)
{
	const ProllyStreams *streams = ((Draft *)data)->streams;
	return streams->write_error(streams->data, bytes, len);
}

static void prepend_word(char ***words, const char *word)
{
	guint n = g_strv_length(*words);
	*words = g_renew(char *, *words, n + 2);
	memmove(*words + 1, *words, (n + 1) * sizeof **words);
	**words = g_strdup(word);
}

/* Has the user edit a message, which WORDS then read as standard input. *OUT_STATUS: what the
 * command said when it was asked for a draft; not 0: there is nothing to be done. Without a draft there
 * will be no commit, and no editor. */
static bool edit_message(const CtlPlace *place, char ***words, const ProllyStreams *streams,
			 int *out_status, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	Draft draft = {text, streams};
	ProllyStreams gathering = {.write = gather, .write_error = pass_error, .data = &draft};
	g_auto(GStrv) asking = g_strdupv(*words);

	prepend_word(&asking, "--draft");
	*out_status = run_at(place, (const char *const *)asking, &gathering, false, error);
	if (*out_status)
		return *out_status > 0;
	if (!text->len)
		return true;
	if (!ctl_message_edit(text->str, text->len, error))
		return false;
	prepend_word(words, "--cleanup=strip");
	prepend_word(words, "--file=-");
	return true;
}

/* A stream's failure is told rather than what followed from it. */
static int finish(CtlStreams *streams, int status, GError **error)
{
	g_autoptr(GError) failure = NULL;
	if (ctl_streams_finish(streams, &failure))
		return status;
	g_clear_error(error);
	g_propagate_error(error, g_steal_pointer(&failure));
	return -1;
}

static int run_on_store(const ProllyCommandNeeds *needs, GError **error)
{
	g_auto(CtlPlace) place = {0};
	g_auto(GStrv) words = NULL;
	CtlStreams streams;

	if (!ctl_place_find(needs->directory, &place, error) ||
	    !make_words(needs, &place, &words, error))
		return -1;
	if (needs->message_file && strcmp(needs->message_file, "-") != 0 &&
	    !ctl_message_open(needs->message_file, error))
		return -1;
	ctl_streams_init(&streams, needs->pager && !needs->message);
	ProllyStreams callbacks = ctl_streams_get(&streams);
	int status = 0;
	if (needs->message && ctl_message_can_edit() &&
	    !edit_message(&place, &words, &callbacks, &status, error))
		status = -1;
	if (!status)
		status = run_at(&place, (const char *const *)words, &callbacks, needs->changes,
				error);
	return finish(&streams, status, error);
}

/* What -C says to a command without a store: where its PATHs begin, or else where it runs. */
static bool enter_directory(const ProllyCommandNeeds *needs, CtlPlace *out_place, GError **error)
{
	if (needs->place)
		return ctl_place_find_cwd(needs->directory, out_place, error);
	*out_place = (CtlPlace){0};
	return !needs->directory || chdir(needs->directory) == 0 ||
	       prolly_throw_errno(error, errno, "%s", needs->directory);
}

static int run_without_store(const ProllyCommandNeeds *needs, GError **error)
{
	g_auto(CtlPlace) place = {0};
	g_auto(GStrv) words = NULL;
	CtlStreams streams;

	if (!enter_directory(needs, &place, error) || !make_words(needs, &place, &words, error))
		return -1;
	ctl_streams_init(&streams, false);
	ProllyStreams callbacks = ctl_streams_get(&streams);
	int status = run_here(NULL, (const char *const *)words, &callbacks);
	return finish(&streams, status, error);
}

int main(int argc, char **argv)
{
	g_auto(ProllyCommandNeeds) needs = {0};
	g_autoptr(GError) error = NULL;
	const char *const *words = (const char *const *)argv + (argc > 0);

	if (!prolly_command_inspect(words, &needs, &error))
		return fail(error);
	int status = needs.store ? run_on_store(&needs, &error) : run_without_store(&needs, &error);
	return status < 0 ? fail(error) : status;
}
