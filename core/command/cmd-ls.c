/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-ls: the names in a directory, as the mount lists them, or with -r all keys below it.
 *
 * Names are relative to the directory that is listed; JSON has the whole path. -r lists keys, so an
 * empty directory is not in it: its marker is no key anybody put.
 */

#include "command/command-private.h"

#include <string.h>

typedef struct {
	ProllyCommand *command;
	ProllyView *view;
	ProllyNamer *namer;
	bool is_long;
	char *base; /* path of what is listed, to be taken off: "" or ends in '/' */
	GString *json;
} Lister;

/* ---- One line ---------------------------------------------------------------------------- */

static const char *kind_letter(ProllyKind kind)
{
	static const char *const LETTERS[] = {"-", "-", "l", "d", "p", "s", "c", "b"};
	return kind < G_N_ELEMENTS(LETTERS) ? LETTERS[kind] : "?";
}

static void append_mode(GString *line, ProllyKind kind, const ProllyAttrs *attrs)
{
	uint32_t mode = attrs->mode;
	if (!(attrs->has & PROLLY_ATTR_MODE))
		mode = kind == PROLLY_KIND_FILE ? 0644 : 0755;
	g_string_append(line, kind_letter(kind));
	for (int shift = 6; shift >= 0; shift -= 3) {
		uint32_t bits = mode >> shift & 7;
		g_string_append_c(line, bits & 4 ? 'r' : '-');
		g_string_append_c(line, bits & 2 ? 'w' : '-');
		g_string_append_c(line, bits & 1 ? 'x' : '-');
	}
}

/* "MODE SIZE DATE " in columns. The date is in UTC, so that it is the same wherever it is made. */
static void print_details(ProllyCommand *command, ProllyKind kind, uint64_t size,
			  const ProllyAttrs *attrs)
{
	g_autoptr(GString) line = g_string_new(NULL);
	g_autoptr(GDateTime) date =
		g_date_time_new_from_unix_utc(attrs->mtime / G_TIME_SPAN_SECOND / 1000);
	g_autofree char *text = date ? g_date_time_format(date, "%Y-%m-%d %H:%M") : NULL;

	append_mode(line, kind, attrs);
	prolly_command_print(command, "%s %12" G_GUINT64_FORMAT " %s ", line->str, size,
			     text ? text : "1970-01-01 00:00");
}

static bool list_key(Lister *lister, const ProllyPlace *place, const ProllyEntry *entry,
		     GError **error)
{
	g_autofree char *path = prolly_namer_dup_path(lister->namer, place, entry->kind, error);
	if (!path)
		return false;
	if (lister->command->json) {
		prolly_json_begin(lister->json, NULL, '{');
		prolly_json_add_text(lister->json, "path", path);
		prolly_json_add_bytes(lister->json, "key", place->key, place->key_len);
		prolly_json_add_number(lister->json, "size", entry->length);
		prolly_json_end(lister->json, '}');
		prolly_command_print_json(lister->command, lister->json);
		return true;
	}
	if (lister->is_long)
		print_details(lister->command, entry->kind, entry->length, &entry->attrs);
	size_t skip = g_str_has_prefix(path, lister->base) ? strlen(lister->base) : 0;
	prolly_command_print(lister->command, "%s\n", path + skip);
	return true;
}

static void list_directory(Lister *lister, const char *name, const ProllyAttrs *attrs)
{
	if (!lister->command->json) {
		if (lister->is_long)
			print_details(lister->command, PROLLY_KIND_DIRECTORY, 0, attrs);
		prolly_command_print(lister->command, "%s\n", name);
		return;
	}
	g_autofree char *path = g_strconcat(lister->base, name, "/", NULL);
	prolly_json_begin(lister->json, NULL, '{');
	prolly_json_add_text(lister->json, "path", path);
	prolly_json_add_bool(lister->json, "directory", true);
	prolly_json_end(lister->json, '}');
	prolly_command_print_json(lister->command, lister->json);
}

/* ---- All keys below ---------------------------------------------------------------------- */

/* Is the key in the directory? A level of long names has neighbours that only begin alike. */
static bool is_below(const ProllyKeyDir *dir, const ProllyPlace *place)
{
	ProllyKeyEntry entry;
	if (dir->kind != PROLLY_KEYDIR_LONG && dir->kind != PROLLY_KEYDIR_MORE)
		return true;
	prolly_keypath_get_entry(dir, place->key, place->key_len, false, &entry);
	return entry.type != PROLLY_ENTRY_NONE;
}

static bool list_keys(Lister *lister, ProllyKeyDirKind kind, const ProllyPlace *directory,
		      GError **error)
{
	ProllyKeyDir dir = {kind, directory->key, directory->key_len};
	g_autoptr(ProllyViewCursor) cursor = NULL;
	if (!prolly_view_cursor_new(lister->view, directory->ns, directory->key, directory->key_len,
				    lister->is_long, &cursor, error) ||
	    !prolly_view_cursor_seek(cursor, directory->key, directory->key_len, error))
		return false;
	while (prolly_view_cursor_is_valid(cursor)) {
		const ProllyEntry *entry = NULL;
		ProllyPlace place = {.ns = directory->ns};
		place.key = prolly_view_cursor_get_key(cursor, &place.key_len);
		if (!prolly_view_cursor_get_entry(cursor, &entry, error))
			return false;
		bool listed = entry->kind != PROLLY_KIND_DIRECTORY && is_below(&dir, &place);
		if (listed && !list_key(lister, &place, entry, error))
			return false;
		if (!prolly_view_cursor_next(cursor, error) ||
		    !prolly_command_check(lister->command, error))
			return false;
	}
	return true;
}

static bool list_branch_keys(Lister *lister, GError **error)
{
	g_autoptr(GPtrArray) names = NULL;
	if (!prolly_view_list_namespaces(lister->view, &names, error))
		return false;
	for (guint i = 0; i < names->len; i++) {
		ProllyPlace place = {.ns = g_ptr_array_index(names, i)};
		if (!list_keys(lister, PROLLY_KEYDIR_KEYS, &place, error))
			return false;
	}
	return true;
}

/* ---- One directory ----------------------------------------------------------------------- */

static bool list_entries(Lister *lister, const ProllyTarget *target, GError **error)
{
	const ProllyPlace *place = &target->directory;
	ProllyKeyDir dir = {target->path.dir_kind, place->key, place->key_len};
	g_autoptr(ProllyDirectory) directory = NULL;
	ProllyDirent dirent;
	bool end = false;

	if (!prolly_directory_open_kind(lister->view, place->ns, &dir, lister->is_long, &directory,
					error))
		return false;
	for (;;) {
		if (!prolly_directory_next(directory, &dirent, &end, error))
			return false;
		if (end)
			return true;
		ProllyPlace key = {place->ns, dirent.key, dirent.key_len};
		if (dirent.is_directory)
			list_directory(lister, dirent.name, &dirent.attrs);
		else if (!list_key(lister, &key, dirent.entry, error))
			return false;
		if (!prolly_command_check(lister->command, error))
			return false;
	}
}

/* ---- The command ------------------------------------------------------------------------- */

static bool list_target(Lister *lister, const ProllyTarget *target, bool recursive, GError **error)
{
	if (recursive && target->is_branch)
		return list_branch_keys(lister, error);
	return recursive ? list_keys(lister, target->path.dir_kind, &target->directory, error)
			 : list_entries(lister, target, error);
}

/* ARGUMENT is a key: it alone is listed, under the name it was given. */
static bool list_single(Lister *lister, const ProllyTarget *target, const char *argument,
			GError **error)
{
	g_auto(ProllyEntry) entry = {0};
	bool found = false;
	if (target->key.ns &&
	    !prolly_view_get(lister->view, &target->key, true, &entry, &found, error))
		return false;
	if (!found)
		return prolly_command_answer_no(lister->command, "%s: no such key or directory",
						argument);
	return list_key(lister, &target->key, &entry, error);
}

/* (transfer full) The path of a target that is a directory, with '/' at its end; "" for a branch.
 */
static char *dup_base(const ProllyTarget *target)
{
	const ProllyPlace *place = &target->directory;
	if (!place->ns || target->is_branch || !*place->ns)
		return g_strdup("");
	return prolly_path_from_directory(place->ns, place->key, place->key_len);
}

static bool run_ls(ProllyCommand *command, GError **error)
{
	const char *argument = prolly_command_argument(command, 0);
	g_autoptr(ProllyView) view = NULL;
	g_autoptr(GString) json = g_string_new(NULL);
	g_auto(ProllyTarget) target = {0};

	argument = argument ? argument : "";
	if (!prolly_command_open_view(command, &view, error) ||
	    !prolly_target_init(command, view, argument, &target, error))
		return false;
	g_autofree char *base = dup_base(&target);
	g_autoptr(ProllyNamer) namer = prolly_namer_new(view);
	Lister lister = {command, view, namer, prolly_command_option(command, "l"), base, json};
	if (!target.directory.ns)
		return list_single(&lister, &target, argument, error);
	return list_target(&lister, &target, prolly_command_option(command, "r"), error);
}

static const ProllyOptionSpec LS_OPTIONS[] = {
	{"", 'r', NULL, "all keys below, whatever their depth"},
	{"", 'l', NULL, "with kind and mode, size, and time of change (UTC)"},
	{0},
};

const ProllyCommandSpec prolly_cmd_ls = {
	.name = "ls",
	.arguments = "[PATH]",
	.summary = "list names, one a line",
	.options = LS_OPTIONS,
	.max_arguments = 1,
	.run = run_ls,
};
