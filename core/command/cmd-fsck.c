/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-fsck: fsck, which reads everything and says what is damaged: exit status 1 if anything is.
 *
 * It is about the whole store, so it is not for who is confined to a branch. With --repair what is
 * damaged is taken back from where it is still held; what was is told as well, and is no damage any
 * more for the exit status.
 */

#include "command/command-private.h"

static bool print_json(ProllyCommand *command, const ProllyDamage *damage)
{
	g_autoptr(GString) json = g_string_new(NULL);

	prolly_json_begin(json, NULL, '{');
	prolly_json_add_text(json, "kind", damage->kind);
	prolly_json_add_text(json, "object", damage->object);
	prolly_json_begin(json, "paths", '[');
	for (const char *const *path = damage->paths; *path; path++)
		prolly_json_add_bytes(json, NULL, *path, strlen(*path));
	prolly_json_end(json, ']');
	prolly_json_begin(json, "commits", '[');
	for (size_t i = 0; i < damage->n_commits; i++)
		prolly_json_add_commit_id(json, NULL, &damage->commits[i]);
	prolly_json_end(json, ']');
	prolly_json_add_text(json, "message", damage->message);
	if (damage->remedy)
		prolly_json_add_text(json, "repaired", damage->remedy);
	prolly_json_end(json, '}');
	prolly_command_print_json(command, json);
	return true;
}

static bool print_damage(const ProllyDamage *damage, void *data, GError **error)
{
	ProllyCommand *command = data;

	if (command->json)
		return print_json(command, damage);
	prolly_command_print(command, "%s %s: %s\n", damage->kind, damage->object, damage->message);
	if (damage->remedy)
		prolly_command_print(command, "    repaired: %s\n", damage->remedy);
	for (const char *const *path = damage->paths; *path; path++)
		prolly_command_print(command, "    %s\n", *path);
	for (size_t i = 0; i < damage->n_commits; i++) {
		char hex[PROLLY_COMMIT_ID_HEX_SIZE];

		prolly_command_print(command, "    commit %s\n",
				     prolly_commit_id_to_hex(&damage->commits[i], hex));
	}
	return prolly_command_check(command, error);
}

static bool tell(uint64_t done, void *data, GError **error)
{
	ProllyCommand *command = data;

	prolly_command_progress(command, "fsck: commits verified", done, 0);
	return prolly_command_check(command, error);
}

static bool run_fsck(ProllyCommand *command, GError **error)
{
	ProllyFsckOptions options = {
		.repair = prolly_command_option(command, "repair") != NULL,
		.damage = print_damage,
		.progress = tell,
		.data = command,
	};
	uint64_t n = 0;

	if (!prolly_command_check_free(command, "fsck", error) ||
	    (options.repair && !prolly_command_check_writable(command, error)) ||
	    !prolly_fsck_run(command->repo, &options, &n, error))
		return false;
	if (n > 0)
		return prolly_command_answer_no(command, "%" G_GUINT64_FORMAT " damaged object%s",
						n, n == 1 ? "" : "s");
	if (!command->json && !command->quiet)
		prolly_command_print(command, "nothing is damaged\n");
	return true;
}

static const ProllyOptionSpec OPTIONS[] = {
	{"repair", 0, NULL, "take back what is damaged from where it is still held"},
	{0},
};

const ProllyCommandSpec prolly_cmd_fsck = {
	.name = "fsck",
	.arguments = "[--repair]",
	.summary = "verify everything, and name what is damaged",
	.options = OPTIONS,
	.flags = PROLLY_COMMAND_WORKING,
	.run = run_fsck,
};
