/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-backup: backup, which copies the store as it is now, mounted or not, to a directory.
 *
 * It writes where the caller says, with the rights of who has the store open; so it is for the owner
 * alone, and DIR is a path of theirs: prollyfs-ctl makes it absolute, and what comes through a control
 * file otherwise has to be.
 */

#include "command/command-private.h"

#include <string.h>

static bool tell(uint64_t files, uint64_t bytes, void *data, GError **error)
{
	ProllyCommand *command = data;

	prolly_command_progress(command, "backup: bytes copied", bytes, 0);
	return prolly_command_check(command, error);
}

static void print_json(ProllyCommand *command, const char *dir, const ProllyBackupFigures *figures)
{
	g_autoptr(GString) json = g_string_new(NULL);

	prolly_json_begin(json, NULL, '{');
	prolly_json_add_bytes(json, "directory", dir, strlen(dir));
	prolly_json_add_number(json, "files", figures->files);
	prolly_json_add_number(json, "bytes", figures->bytes);
	prolly_json_add_number(json, "copied_files", figures->copied_files);
	prolly_json_add_number(json, "copied_bytes", figures->copied_bytes);
	prolly_json_end(json, '}');
	prolly_command_print_json(command, json);
}

static void print_line(ProllyCommand *command, const char *what, uint64_t files, uint64_t bytes)
{
	prolly_command_print(command,
			     "%-8s%" G_GUINT64_FORMAT " bytes in %" G_GUINT64_FORMAT " file%s\n",
			     what, bytes, files, files == 1 ? "" : "s");
}

static bool check_caller(ProllyCommand *command, const char *dir, GError **error)
{
	if (!prolly_command_check_free(command, "backup", error))
		return false;
	if (!command->caller->is_owner)
		return prolly_throw(error, PROLLY_ERROR_DENIED,
				    "backup: only for who has the store mounted");
	return g_path_is_absolute(dir) ||
	       prolly_throw(error, PROLLY_ERROR_USAGE, "backup: %s is not an absolute path", dir);
}

static bool run_backup(ProllyCommand *command, GError **error)
{
	const char *dir = prolly_command_argument(command, 0);
	ProllyBackupOptions options = {.progress = tell, .data = command};
	ProllyBackupFigures figures = {0};

	if (!check_caller(command, dir, error) ||
	    !prolly_backup_run(command->repo, dir, &options, &figures, error))
		return false;
	if (command->json) {
		print_json(command, dir, &figures);
	} else if (!command->quiet) {
		print_line(command, "backup", figures.files, figures.bytes);
		print_line(command, "copied", figures.copied_files, figures.copied_bytes);
	}
	return true;
}

const ProllyCommandSpec prolly_cmd_backup = {
	.name = "backup",
	.arguments = "DIR",
	.summary = "copy the store, mounted or not, to a directory, or what is new since the last "
		   "time",
	.min_arguments = 1,
	.max_arguments = 1,
	.flags = PROLLY_COMMAND_WORKING | PROLLY_COMMAND_FILES,
	.run = run_backup,
};
