/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ctl-message: the message of a commit or tag that is a file's (-F FILE) or comes out of an editor.
 * Both become this process's standard input, which the command reads as such (-F -), wherever it is
 * carried out.
 *
 * The editor is git's choice: GIT_EDITOR, core.editor, VISUAL, EDITOR, vi. It works on a file of
 * its own, which is gone from the directory once it has been read.
 */

#include "ctl.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Takes FD. */
static bool become_input(int fd, const char *name, GError **error)
{
	bool ok = dup2(fd, STDIN_FILENO) >= 0;
	if (!ok)
		prolly_throw_errno(error, errno, "%s", name);
	if (fd != STDIN_FILENO)
		close(fd);
	return ok;
}

bool ctl_message_open(const char *file, GError **error)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return prolly_throw_errno(error, errno, "%s", file);
	return become_input(fd, file, error);
}

bool ctl_message_can_edit(void)
{
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

/* (transfer full) */
static char *get_editor(void)
{
	static const char *const VARIABLES[] = {"VISUAL", "EDITOR"};
	const char *editor = g_getenv("GIT_EDITOR");
	char *configured = NULL;

	if (editor && *editor)
		return g_strdup(editor);
	configured = prolly_git_config_dup("core.editor", NULL);
	if (configured)
		return configured;
	for (size_t i = 0; i < G_N_ELEMENTS(VARIABLES); i++) {
		editor = g_getenv(VARIABLES[i]);
		if (editor && *editor)
			return g_strdup(editor);
	}
	return g_strdup("vi");
}

static bool run_editor(const char *path, GError **error)
{
	g_autofree char *editor = get_editor();
	g_autofree char *script = g_strconcat(editor, " \"$@\"", NULL);
	const char *argv[] = {"/bin/sh", "-c", script, editor, path, NULL};
	g_autoptr(GError) failure = NULL;
	int status = 0;

	if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_CHILD_INHERITS_STDIN, NULL, NULL, NULL,
			  NULL, &status, &failure))
		return prolly_throw(error, PROLLY_ERROR_FAILED, "%s: %s", editor, failure->message);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return prolly_throw(error, PROLLY_ERROR_CANCELLED,
				    "the editor %s failed, nothing is done", editor);
	return true;
}

/* Editors may put another file in the place of the one they were given. */
static bool edit_file(const char *path, GError **error)
{
	int fd;

	if (!run_editor(path, error))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return prolly_throw_errno(error, errno, "%s", path);
	return become_input(fd, path, error);
}

bool ctl_message_edit(const char *draft, size_t len, GError **error)
{
	g_autofree char *path = g_build_filename(g_get_tmp_dir(), "prollyfs-message-XXXXXX", NULL);
	int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
	bool ok;

	if (fd < 0)
		return prolly_throw_errno(error, errno, "make %s", path);
	ok = prolly_write_all(fd, draft, len, path, error);
	close(fd);
	ok = ok && edit_file(path, error);
	g_unlink(path);
	return ok;
}
