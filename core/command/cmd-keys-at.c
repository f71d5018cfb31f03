/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-keys-at: the keys of a revision, in order.
 *
 * Unlike ls it needs no place to stand in, and names every key by its whole path, so that two
 * revisions' lists can be compared. It streams: a namespace of any size costs one path in memory.
 * Markers of empty directories are no keys.
 */

#include "command/command-private.h"

typedef struct {
	ProllyCommand *command;
	ProllyView *view;
	GString *json;
} Lister;

static bool list_key(Lister *lister, const ProllyPlace *place, ProllyKind kind, GError **error)
{
	g_autofree char *path = prolly_command_dup_path(lister->view, place, kind, error);

	if (!path)
		return false;
	if (!lister->command->json) {
		prolly_command_print(lister->command, "%s\n", path);
		return true;
	}
	prolly_json_begin(lister->json, NULL, '{');
	prolly_json_add_text(lister->json, "path", path);
	prolly_json_add_bytes(lister->json, "key", place->key, place->key_len);
	prolly_json_end(lister->json, '}');
	prolly_command_print_json(lister->command, lister->json);
	return true;
}

static bool list_namespace(Lister *lister, const char *ns, GError **error)
{
	g_autoptr(ProllyViewCursor) cursor = NULL;

	if (!prolly_view_cursor_new(lister->view, ns, "", 0, false, &cursor, error) ||
	    !prolly_view_cursor_seek(cursor, "", 0, error))
		return false;
	while (prolly_view_cursor_is_valid(cursor)) {
		const ProllyEntry *entry = NULL;
		ProllyPlace place = {.ns = ns};

		place.key = prolly_view_cursor_get_key(cursor, &place.key_len);
		if (!prolly_view_cursor_get_entry(cursor, &entry, error))
			return false;
		/* a marker is no key anybody put */
		if (entry->kind != PROLLY_KIND_DIRECTORY &&
		    !list_key(lister, &place, entry->kind, error))
			return false;
		if (!prolly_view_cursor_next(cursor, error) ||
		    !prolly_command_check(lister->command, error))
			return false;
	}
	return true;
}

static bool list_all(Lister *lister, GError **error)
{
	g_autoptr(GPtrArray) names = NULL;

	if (!prolly_view_list_namespaces(lister->view, &names, error))
		return false;
	for (guint i = 0; i < names->len; i++)
		if (!list_namespace(lister, g_ptr_array_index(names, i), error))
			return false;
	return true;
}

static bool run_keys_at(ProllyCommand *command, GError **error)
{
	const char *argument = prolly_command_argument(command, 1);
	char ns[PROLLY_NAMESPACE_MAX + 1];
	g_autoptr(GString) json = g_string_new(NULL);
	g_autoptr(ProllyView) view = NULL;
	ProllyCommitId id;
	bool has = true;

	if ((argument && !prolly_command_parse_namespace(argument, ns, error)) ||
	    !prolly_command_resolve(command, prolly_command_argument(command, 0), &id, error) ||
	    !prolly_view_new_commit(command->repo, &id, &view, error))
		return false;
	Lister lister = {command, view, json};
	if (!argument)
		return list_all(&lister, error);
	if (*ns && !prolly_view_has_namespace(view, ns, &has, error))
		return false;
	if (!has)
		return prolly_command_answer_no(command, "%s: no such namespace in %s", argument,
						prolly_command_argument(command, 0));
	return list_namespace(&lister, ns, error);
}

const ProllyCommandSpec prolly_cmd_keys_at = {
	.name = "keys-at",
	.arguments = "REV [NAMESPACE]",
	.summary = "list the keys of a revision",
	.min_arguments = 1,
	.max_arguments = 2,
	.flags = PROLLY_COMMAND_WORKING | PROLLY_COMMAND_PAGES,
	.run = run_keys_at,
};
