/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec: a merge driver, as git has them.
 *
 * The sides are files in a directory of their own. The command is run there by sh with base, ours
 * and theirs as $1, $2 and $3, and as %O, %A and %B as in a git driver (%P is the key's path, %% a
 * percent sign); a command that names none of them gets the three as arguments. What it leaves in
 * ours is the result, if it exits with 0; with 1 to 125 it is a conflict; and anything else, 126 and
 * 127 of sh and death by a signal among them, is a failure that stops the merge, since then no key
 * would be merged. What it prints is dropped, but for the first line of its complaint then.
 *
 * Whether a command may be run at all is for the caller to know (merge-decide.c).
 */
#include "base/memory.h"
#include "version/strategy.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECE         (64u << 10)
#define POLL_US_MIN   200
#define POLL_US_MAX   20000
#define SAYS_NO_MAX   125
#define COMPLAINT_MAX 200

static const char *const SIDE_NAMES[] = {"base", "ours", "theirs"};

typedef struct {
	ProllyRepo *repo;
	const ProllyMergeOptions *options;
	const char *command;
	char *dir;
	char *files[G_N_ELEMENTS(SIDE_NAMES)];
	char *complaint; /* the file that gets standard error */
} Driver;

/* ---- Files ------------------------------------------------------------------------------- */

static bool write_content(Driver *self, const ProllyValue *value, int fd, const char *path,
			  GError **error)
{
	const ProllyTreeContext *context = prolly_repo_get_context(self->repo);
	g_autofree uint8_t *piece = prolly_try_malloc(PIECE, "a value", error);
	size_t len;

	if (!piece)
		return false;
	for (uint64_t offset = 0; offset < value->length; offset += len) {
		if (!prolly_value_read(context, value, offset, piece, PIECE, &len, error) ||
		    !prolly_write_all(fd, piece, len, path, error))
			return false;
		if (len == 0)
			return prolly_throw(error, PROLLY_ERROR_CORRUPT, "a value ends early");
	}
	return true;
}

/* STORED NULL: an empty file. */
static bool write_side(Driver *self, size_t side, const uint8_t *stored, size_t len, GError **error)
{
	char *path = g_build_filename(self->dir, SIDE_NAMES[side], NULL);
	prolly_autofd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ProllyValue value;

	self->files[side] = path;
	if (fd < 0)
		return prolly_throw_errno(error, errno, "make %s", path);
	return !stored || (prolly_value_parse(stored, len, &value, error) &&
			   write_content(self, &value, fd, path, error));
}

/* The directory with whatever the command left in it. */
static void remove_all(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *child = g_build_filename(path, name, NULL);

		if (unlink(child) < 0 && (errno == EISDIR || errno == EPERM))
			remove_all(child);
	}
	rmdir(path);
}

static void clear_driver(Driver *self)
{
	for (size_t i = 0; i < G_N_ELEMENTS(self->files); i++)
		g_free(self->files[i]);
	g_free(self->complaint);
	remove_all(self->dir);
	g_free(self->dir);
}

/* ---- The command ------------------------------------------------------------------------- */

static void append_placeholder(const Driver *self, char c, const char *path, GString *out)
{
	const char *value = c == 'O'   ? self->files[0]
			    : c == 'A' ? self->files[1]
			    : c == 'B' ? self->files[2]
			    : c == 'P' ? path
				       : NULL;
	g_autofree char *quoted = value ? g_shell_quote(value) : NULL;

	if (quoted)
		g_string_append(out, quoted);
	else if (c == '%')
		g_string_append_c(out, '%');
	else
		g_string_append_printf(out, "%%%c", c);
}

/* (transfer full) The line for sh. */
static char *make_line(const Driver *self, const ProllyPlace *place)
{
	static const char *const ARGUMENTS[] = {"%O", "%A", "%B", "$1", "$2", "$3", "$@", "$*"};
	g_autofree char *path = prolly_path_from_key(place->ns, place->key, place->key_len, false);
	GString *line = g_string_new(NULL);
	bool names_any = false;

	for (size_t i = 0; i < G_N_ELEMENTS(ARGUMENTS); i++)
		names_any = names_any || strstr(self->command, ARGUMENTS[i]);
	for (const char *p = self->command; *p; p++) {
		if (*p == '%' && p[1])
			append_placeholder(self, *++p, path, line);
		else
			g_string_append_c(line, *p);
	}
	if (!names_any)
		g_string_append(line, " \"$@\"");
	return g_string_free(line, FALSE);
}

/* Waits for the child; it dies with whoever asked for it. */
static bool wait_for(Driver *self, GPid pid, int *out_status, GError **error)
{
	const ProllyMergeOptions *options = self->options;
	unsigned pause = POLL_US_MIN;
	pid_t got;

	while ((got = waitpid(pid, out_status, WNOHANG)) == 0) {
		if (options->is_cancelled && options->is_cancelled(options->conflict_data)) {
			kill(-pid, SIGKILL);
			waitpid(pid, out_status, 0);
			return prolly_throw(error, PROLLY_ERROR_CANCELLED, "cancelled");
		}
		g_usleep(pause);
		pause = MIN(pause * 2, POLL_US_MAX);
	}
	if (got < 0)
		return prolly_throw_errno(error, errno, "wait for '%s'", self->command);
	return true;
}

/* In the child: a group of its own, for kill; standard error into a file. */
static void set_up_child(gpointer fd)
{
	setpgid(0, 0);
	dup2(GPOINTER_TO_INT(fd), STDERR_FILENO);
}

static bool spawn(Driver *self, const char *line, int *out_status, GError **error)
{
	const char *const arguments[] = {"sh",           "-c",           line,           "sh",
					 self->files[0], self->files[1], self->files[2], NULL};
	prolly_autofd int fd = open(self->complaint, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	g_autoptr(GError) local = NULL;
	GPid pid;

	if (fd < 0)
		return prolly_throw_errno(error, errno, "make %s", self->complaint);
	if (!g_spawn_async(self->dir, (char **)arguments, NULL,
			   G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH |
				   G_SPAWN_STDOUT_TO_DEV_NULL,
			   set_up_child, GINT_TO_POINTER(fd), &pid, &local))
		return prolly_throw(error, PROLLY_ERROR_FAILED, "merge command '%s': %s",
				    self->command, local->message);
	return wait_for(self, pid, out_status, error);
}

static bool throw_failure(Driver *self, int status, GError **error)
{
	g_autofree char *text = NULL;
	g_autofree char *how = WIFEXITED(status)
				       ? g_strdup_printf("exit status %d", WEXITSTATUS(status))
				       : g_strdup_printf("signal %d", WTERMSIG(status));

	g_file_get_contents(self->complaint, &text, NULL, NULL);
	if (text)
		text[strcspn(text, "\n")] = '\0';
	return prolly_throw(error, PROLLY_ERROR_FAILED, "merge command '%s': %s%s%.*s",
			    self->command, how, text && text[0] ? ": " : "", COMPLAINT_MAX,
			    text ? text : "");
}

/* ---- The result -------------------------------------------------------------------------- */

static bool read_long(Driver *self, int fd, ProllyKind kind, GBytes **out_stored, GError **error)
{
	const ProllyTreeContext *context = prolly_repo_get_context(self->repo);
	g_autoptr(ProllyBlobWriter) writer = prolly_blob_writer_new(context);
	g_autofree uint8_t *piece = prolly_try_malloc(PIECE, "a value", error);
	ProllyBlob blob;
	ssize_t len;

	if (!piece)
		return false;
	while ((len = read(fd, piece, PIECE)) > 0)
		if (!prolly_blob_writer_write(writer, piece, (size_t)len, error))
			return false;
	if (len < 0)
		return prolly_throw_errno(error, errno, "read %s", self->files[1]);
	return prolly_blob_writer_finish(writer, &blob, error) &&
	       prolly_value_store_blob(context, kind, &blob, out_stored, error);
}

static bool read_result(Driver *self, ProllyKind kind, GBytes **out_stored, GError **error)
{
	const ProllyTreeContext *context = prolly_repo_get_context(self->repo);
	prolly_autofd int fd = open(self->files[1], O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	g_autofree uint8_t *content = NULL;
	struct stat attr;
	ssize_t len;

	if (fd < 0 || fstat(fd, &attr) < 0)
		return prolly_throw_errno(error, errno, "merge command '%s' left no result",
					  self->command);
	if (attr.st_size > PIECE)
		return read_long(self, fd, kind, out_stored, error);
	content = prolly_try_malloc(PIECE, "a value", error);
	if (!content)
		return false;
	len = read(fd, content, PIECE);
	if (len < 0)
		return prolly_throw_errno(error, errno, "read %s", self->files[1]);
	return prolly_value_store(context, kind, content, (size_t)len, out_stored, error);
}

static bool run(Driver *self, const ProllyPlace *place, const ProllyMergeStep *step,
		ProllyKind kind, bool *out_merged, GBytes **out_stored, GError **error)
{
	g_autofree char *line = NULL;
	int status;

	if (!write_side(self, 0, step->base, step->base_len, error) ||
	    !write_side(self, 1, step->ours, step->ours_len, error) ||
	    !write_side(self, 2, step->theirs, step->theirs_len, error))
		return false;
	self->complaint = g_build_filename(self->dir, "stderr", NULL);
	line = make_line(self, place);
	if (!spawn(self, line, &status, error))
		return false;
	if (!WIFEXITED(status) || WEXITSTATUS(status) > SAYS_NO_MAX)
		return throw_failure(self, status, error);
	*out_merged = WEXITSTATUS(status) == 0;
	return !*out_merged || self->options->dry_run || read_result(self, kind, out_stored, error);
}

bool prolly_strategy_exec(ProllyRepo *repo, const ProllyMergeOptions *options, const char *command,
			  const ProllyPlace *place, const ProllyMergeStep *step,
			  ProllyStrategyResult *out_result, GError **error)
{
	g_autoptr(GError) local = NULL;
	Driver driver = {repo, options, command, g_dir_make_tmp("prollyfs-merge-XXXXXX", &local)};
	bool ok;

	if (!driver.dir)
		return prolly_throw(error, PROLLY_ERROR_FAILED, "%s", local->message);
	ok = run(&driver, place, step, out_result->kind, &out_result->is_merged,
		 &out_result->stored, error);
	clear_driver(&driver);
	return ok;
}
