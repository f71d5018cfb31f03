/* SPDX-License-Identifier: Apache-2.0 */

/*
 * changes-text: what differs between two views, printed as status, diff and show do.
 *
 * Changes stream: nothing here grows with their number. --stat, which aligns its columns, therefore
 * goes through them twice; that costs what differs, not what there is.
 *
 * A namespace without keys that only one side has is told like an empty directory, behind the keys;
 * not in JSON, where a change is always one of a key.
 *
 * A value is shown as lines (JSON laid out for it, patch-json.c) if both sides are text of at most
 * PROLLY_JSON_VALUE_MAX bytes; of others only the sizes are told.
 */

#include "base/memory.h"
#include "command/command-private.h"

#include <string.h>

#define STAT_PATH_MAX 60 /* columns that a path is padded to */
#define STAT_BAR_MAX  30 /* '+' and '-' of a line at most */

typedef struct {
	ProllyCommand *command;
	ProllyView *a, *b; /* a nullable */
	ProllyNamer *a_names, *b_names;
	ProllyChangesStyle style;
	GString *json;
	uint64_t n;
	uint64_t added, removed; /* lines */
	int width;               /* of the longest path */
} Printer;

typedef bool (*ChangeFunc)(Printer *printer, const ProllyViewChange *change, GError **error);

const char *prolly_change_kind_to_text(ProllyChangeKind kind)
{
	static const char *const TEXTS[] = {"added", "modified", "deleted"};
	return TEXTS[kind];
}

/* ---- Which changes ----------------------------------------------------------------------- */

static bool foreach_between(Printer *printer, const ProllyRange *range, ChangeFunc func,
			    GError **error)
{
	g_autoptr(ProllyChanges) changes = NULL;
	ProllyViewChange change;
	bool end = false;

	if (!prolly_changes_new(printer->a, printer->b, range->ns, range->prefix, range->prefix_len,
				&changes, error))
		return false;
	for (;;) {
		if (!prolly_changes_next(changes, &change, &end, error))
			return false;
		if (end)
			return true;
		bool wanted = !range->is_key || change.place.key_len == range->prefix_len;
		if (wanted && !func(printer, &change, error))
			return false;
		if (!prolly_command_check(printer->command, error))
			return false;
	}
}

/* A commit without parents: every key of a namespace that is in the range was added. */
static bool foreach_key(Printer *printer, const char *ns, const ProllyRange *range, ChangeFunc func,
			GError **error)
{
	g_autoptr(ProllyViewCursor) cursor = NULL;
	if (!prolly_view_cursor_new(printer->b, ns, range->prefix, range->prefix_len, false,
				    &cursor, error) ||
	    !prolly_view_cursor_seek(cursor, range->prefix, range->prefix_len, error))
		return false;
	while (prolly_view_cursor_is_valid(cursor)) {
		ProllyViewChange change = {.place.ns = ns, .kind = PROLLY_CHANGE_ADDED};
		change.place.key = prolly_view_cursor_get_key(cursor, &change.place.key_len);
		bool wanted = !range->is_key || change.place.key_len == range->prefix_len;
		if (!prolly_view_cursor_get_entry(cursor, &change.new_entry, error) ||
		    (wanted && !func(printer, &change, error)) ||
		    !prolly_command_check(printer->command, error) ||
		    !prolly_view_cursor_next(cursor, error))
			return false;
	}
	return true;
}

static bool foreach_added(Printer *printer, const ProllyRange *range, ChangeFunc func,
			  GError **error)
{
	g_autoptr(GPtrArray) names = NULL;
	if (!prolly_view_list_namespaces(printer->b, &names, error))
		return false;
	for (guint i = 0; i < names->len; i++) {
		const char *ns = g_ptr_array_index(names, i);
		if ((!range->ns || strcmp(ns, range->ns) == 0) &&
		    !foreach_key(printer, ns, range, func, error))
			return false;
	}
	return true;
}

/* NS, which only VIEW of the two has, if there is no key in it that tells of it. */
static bool report_if_empty(Printer *printer, ProllyView *view, const char *ns, ChangeFunc func,
			    GError **error)
{
	g_autoptr(GBytes) nothing = g_bytes_new_static("", 0);
	ProllyEntry entry = {.stored = nothing, .kind = PROLLY_KIND_DIRECTORY};
	ProllyViewChange change = {.place = {ns, (const uint8_t *)"", 0}};
	g_autoptr(ProllyViewCursor) cursor = NULL;

	if (!prolly_view_cursor_new(view, ns, NULL, 0, false, &cursor, error) ||
	    !prolly_view_cursor_seek(cursor, NULL, 0, error))
		return false;
	if (prolly_view_cursor_is_valid(cursor))
		return true;
	change.kind = view == printer->b ? PROLLY_CHANGE_ADDED : PROLLY_CHANGE_DELETED;
	if (view == printer->b)
		change.new_entry = &entry;
	else
		change.old_entry = &entry;
	return func(printer, &change, error);
}

/* The namespaces in the range that VIEW, which has NAMES, has and the other, of OTHERS, has not.
 * Both are in order. */
static bool foreach_namespace(Printer *printer, ProllyView *view, const GPtrArray *names,
			      const GPtrArray *others, const ProllyRange *range, ChangeFunc func,
			      GError **error)
{
	guint other = 0;

	for (guint i = 0; i < names->len; i++) {
		const char *ns = g_ptr_array_index(names, i);

		while (other < others->len && strcmp(g_ptr_array_index(others, other), ns) < 0)
			other++;
		if (other < others->len && !strcmp(g_ptr_array_index(others, other), ns))
			continue;
		if ((!range->ns || !strcmp(ns, range->ns)) &&
		    !report_if_empty(printer, view, ns, func, error))
			return false;
	}
	return true;
}

static bool foreach_empty(Printer *printer, const ProllyRange *range, ChangeFunc func,
			  GError **error)
{
	g_autoptr(GPtrArray) before = NULL, after = NULL;

	if (range->is_key || range->prefix_len || printer->style == PROLLY_CHANGES_JSON ||
	    printer->style == PROLLY_CHANGES_JSON_LIST)
		return true;
	if (!printer->a)
		before = g_ptr_array_new();
	else if (!prolly_view_list_namespaces(printer->a, &before, error))
		return false;
	return prolly_view_list_namespaces(printer->b, &after, error) &&
	       foreach_namespace(printer, printer->a, before, after, range, func, error) &&
	       foreach_namespace(printer, printer->b, after, before, range, func, error);
}

static bool foreach_in_range(Printer *printer, const ProllyRange *range, ChangeFunc func,
			     GError **error)
{
	return (printer->a ? foreach_between : foreach_added)(printer, range, func, error) &&
	       foreach_empty(printer, range, func, error);
}

static bool foreach_change(Printer *printer, const GArray *ranges, ChangeFunc func, GError **error)
{
	static const ProllyRange EVERYTHING = {0};

	if (!ranges)
		return foreach_in_range(printer, &EVERYTHING, func, error);
	for (guint i = 0; i < ranges->len; i++)
		if (!foreach_in_range(printer, &g_array_index(ranges, ProllyRange, i), func, error))
			return false;
	return true;
}

/* (transfer full) */
static char *dup_change_path(Printer *printer, const ProllyViewChange *change, GError **error)
{
	const ProllyEntry *entry = change->new_entry ? change->new_entry : change->old_entry;
	ProllyNamer *namer = change->new_entry ? printer->b_names : printer->a_names;

	if (entry->kind == PROLLY_KIND_DIRECTORY && !change->place.key_len)
		return prolly_path_from_directory(change->place.ns, NULL, 0);
	return prolly_namer_dup_path(namer, &change->place, entry->kind, error);
}

/* ---- JSON -------------------------------------------------------------------------------- */

static const char *kind_to_text(ProllyKind kind)
{
	static const char *const TEXTS[] = {
		"file", "executable file", "symbolic link",    "empty directory",
		"fifo", "socket",          "character device", "block device"};
	return kind < G_N_ELEMENTS(TEXTS) ? TEXTS[kind] : "value";
}

/* Members "old" and "old_kind", or "new" and "new_kind"; a plain file's kind is not told. */
static bool add_side(ProllyCommand *command, GString *json, const char *name, ProllyView *view,
		     const ProllyEntry *entry, GError **error)
{
	g_autofree char *kind = g_strconcat(name, "_kind", NULL);

	if (!entry)
		return true;
	if (entry->kind == PROLLY_KIND_DIRECTORY)
		prolly_json_add_text(json, name, "");
	else if (!prolly_json_add_value(command, json, name, view, entry, error))
		return false;
	if (entry->kind != PROLLY_KIND_FILE)
		prolly_json_add_text(json, kind, kind_to_text(entry->kind));
	return true;
}

static bool print_json(Printer *printer, const ProllyViewChange *change, const char *path,
		       GError **error)
{
	ProllyCommand *command = printer->command;
	GString *json = printer->json;
	bool in_list = printer->style == PROLLY_CHANGES_JSON_LIST;

	prolly_json_begin(json, NULL, '{');
	prolly_json_add_place(json, &change->place, path);
	prolly_json_add_text(json, "operation", prolly_change_kind_to_text(change->kind));
	if (!in_list && (!add_side(command, json, "old", printer->a, change->old_entry, error) ||
			 !add_side(command, json, "new", printer->b, change->new_entry, error)))
		return false;
	prolly_json_end(json, '}');
	if (!in_list) {
		prolly_command_print_json(command, json);
		return true;
	}
	prolly_command_print(command, "%s%s", printer->n ? "," : "", json->str);
	g_string_truncate(json, 0);
	return true;
}

/* ---- Values ------------------------------------------------------------------------------ */

/* One side's content; *OUT_IS_TEXT says whether it can be shown as lines. */
static bool load_content(ProllyView *view, const ProllyEntry *entry, ProllyPatchSide *out_side,
			 bool *out_is_text, GError **error)
{
	size_t len = 0;
	*out_side = (ProllyPatchSide){0};
	*out_is_text = true;
	if (!entry || entry->kind == PROLLY_KIND_DIRECTORY)
		return true;
	if (entry->length > PROLLY_JSON_VALUE_MAX) {
		*out_is_text = false;
		return true;
	}
	g_autofree char *text = prolly_try_malloc((size_t)entry->length, "a value", error);
	if (!text || !prolly_view_read(view, entry, 0, text, entry->length, &len, error))
		return false;
	*out_is_text = prolly_json_is_text(text, len);
	out_side->len = len;
	out_side->text = g_steal_pointer(&text);
	return true;
}

/* Both sides, which the caller frees; *OUT_IS_TEXT if both can be shown as lines. */
static bool load_sides(Printer *printer, const ProllyViewChange *change, ProllyPatchSide sides[2],
		       bool *out_is_text, GError **error)
{
	bool old_is_text = false, new_is_text = false;
	sides[1] = (ProllyPatchSide){0};
	bool ok = load_content(printer->a, change->old_entry, &sides[0], &old_is_text, error) &&
		  load_content(printer->b, change->new_entry, &sides[1], &new_is_text, error);
	*out_is_text = old_is_text && new_is_text;
	return ok;
}

static void free_sides(ProllyPatchSide sides[2])
{
	g_free((char *)sides[0].text);
	g_free((char *)sides[1].text);
}

/* ---- Patch ------------------------------------------------------------------------------- */

static void print_heading(Printer *printer, const ProllyViewChange *change, const char *path)
{
	ProllyCommand *command = printer->command;
	const ProllyEntry *was = change->old_entry, *is = change->new_entry;

	prolly_command_print_painted(command, PROLLY_PAINT_BOLD, "diff a/%s b/%s", path, path);
	if (!was)
		prolly_command_print(command, "\nnew %s\n", kind_to_text(is->kind));
	else if (!is)
		prolly_command_print(command, "\ndeleted %s\n", kind_to_text(was->kind));
	else if (was->kind != is->kind)
		prolly_command_print(command, "\nold %s\nnew %s\n", kind_to_text(was->kind),
				     kind_to_text(is->kind));
	else
		prolly_command_print(command, "\n");
}

static void print_names(Printer *printer, const ProllyViewChange *change, const char *path)
{
	prolly_command_print_painted(printer->command, PROLLY_PAINT_BOLD, "--- %s%s",
				     change->old_entry ? "a/" : "/dev/null",
				     change->old_entry ? path : "");
	prolly_command_write(printer->command, "\n", 1);
	prolly_command_print_painted(printer->command, PROLLY_PAINT_BOLD, "+++ %s%s",
				     change->new_entry ? "b/" : "/dev/null",
				     change->new_entry ? path : "");
	prolly_command_write(printer->command, "\n", 1);
}

static void print_sizes(Printer *printer, const ProllyViewChange *change)
{
	ProllyCommand *command = printer->command;
	if (!change->old_entry)
		prolly_command_print(command, "Binary value of %" G_GUINT64_FORMAT " bytes\n",
				     change->new_entry->length);
	else if (!change->new_entry)
		prolly_command_print(command, "Binary value of %" G_GUINT64_FORMAT " bytes\n",
				     change->old_entry->length);
	else
		prolly_command_print(command,
				     "Binary values differ: %" G_GUINT64_FORMAT
				     " and %" G_GUINT64_FORMAT " bytes\n",
				     change->old_entry->length, change->new_entry->length);
}

static bool print_patch(Printer *printer, const ProllyViewChange *change, const char *path,
			GError **error)
{
	ProllyPatchSide sides[2];
	bool is_text = false;
	bool ok = load_sides(printer, change, sides, &is_text, error);

	if (ok) {
		print_heading(printer, change, path);
		if (is_text && (sides[0].len || sides[1].len)) {
			print_names(printer, change, path);
			prolly_patch_lay_out_json(sides);
			ok = prolly_patch_print(printer->command, &sides[0], &sides[1], error);
		} else if (!is_text) {
			print_sizes(printer, change);
		}
	}
	free_sides(sides);
	return ok;
}

/* ---- Stat -------------------------------------------------------------------------------- */

static bool measure_path(Printer *printer, const ProllyViewChange *change, GError **error)
{
	g_autofree char *path = dup_change_path(printer, change, error);
	if (!path)
		return false;
	printer->width = MAX(printer->width, (int)MIN(g_utf8_strlen(path, -1), STAT_PATH_MAX));
	return true;
}

static void print_bar(ProllyCommand *command, uint64_t added, uint64_t removed)
{
	uint64_t all = added + removed, scale = MAX(1, (all + STAT_BAR_MAX - 1) / STAT_BAR_MAX);
	g_autofree char *plus = g_strnfill((gsize)((added + scale - 1) / scale), '+');
	g_autofree char *minus = g_strnfill((gsize)((removed + scale - 1) / scale), '-');
	prolly_command_print(command, "%" G_GUINT64_FORMAT "%s", all, all ? " " : "");
	prolly_command_print_painted(command, PROLLY_PAINT_GREEN, "%s", plus);
	prolly_command_print_painted(command, PROLLY_PAINT_RED, "%s", minus);
}

static bool print_stat(Printer *printer, const ProllyViewChange *change, const char *path,
		       GError **error)
{
	ProllyCommand *command = printer->command;
	ProllyPatchSide sides[2];
	uint64_t removed = 0, added = 0;
	bool is_text = false;
	bool ok = load_sides(printer, change, sides, &is_text, error);

	if (ok) {
		int padding = printer->width - (int)MIN(g_utf8_strlen(path, -1), printer->width);
		prolly_command_print(command, " %s%*s | ", path, padding, "");
	}
	if (ok && is_text) {
		ok = prolly_patch_count(&sides[0], &sides[1], &removed, &added, error);
		print_bar(command, added, removed);
	} else if (ok) {
		prolly_command_print(command,
				     "Bin %" G_GUINT64_FORMAT " -> %" G_GUINT64_FORMAT " bytes",
				     change->old_entry ? change->old_entry->length : 0,
				     change->new_entry ? change->new_entry->length : 0);
	}
	prolly_command_write(command, "\n", ok);
	printer->added += added;
	printer->removed += removed;
	free_sides(sides);
	return ok;
}

static void print_summary(Printer *printer)
{
	prolly_command_print(printer->command,
			     " %" G_GUINT64_FORMAT " key%s changed, %" G_GUINT64_FORMAT
			     " line%s added, %" G_GUINT64_FORMAT " removed\n",
			     printer->n, printer->n == 1 ? "" : "s", printer->added,
			     printer->added == 1 ? "" : "s", printer->removed);
}

/* ---- Names ------------------------------------------------------------------------------- */

static void print_name_status(Printer *printer, const ProllyViewChange *change, const char *path)
{
	static const char LETTERS[] = "AMD";
	prolly_command_print(printer->command, "%c\t%s\n", LETTERS[change->kind], path);
}

bool prolly_command_get_style(ProllyCommand *command, ProllyChangesStyle *out_style)
{
	static const struct {
		const char *option;
		ProllyChangesStyle style;
	} STYLES[] = {
		{"stat", PROLLY_CHANGES_STAT},
		{"name-status", PROLLY_CHANGES_NAME_STATUS},
		{"name-only", PROLLY_CHANGES_NAME_ONLY},
		{"patch", PROLLY_CHANGES_PATCH},
	};
	ProllyChangesStyle style = PROLLY_CHANGES_PATCH;
	bool given = false;

	for (size_t i = 0; i < G_N_ELEMENTS(STYLES) && !given; i++) {
		given = prolly_command_option(command, STYLES[i].option);
		if (given)
			style = STYLES[i].style;
	}
	if (out_style)
		*out_style = command->json ? PROLLY_CHANGES_JSON : style;
	return given;
}

static void print_status(Printer *printer, const ProllyViewChange *change, const char *path)
{
	if (!printer->n)
		prolly_command_print(printer->command, "Changes staged for the next commit:\n");
	g_autofree char *label = g_strconcat(prolly_change_kind_to_text(change->kind), ":", NULL);
	prolly_command_print_painted(printer->command, PROLLY_PAINT_GREEN, "\t%-10s %s", label,
				     path);
	prolly_command_write(printer->command, "\n", 1);
}

/* ---- All of them ------------------------------------------------------------------------- */

static bool print_change(Printer *printer, const ProllyViewChange *change, GError **error)
{
	g_autofree char *path = dup_change_path(printer, change, error);
	bool ok = path != NULL;

	if (ok && printer->style == PROLLY_CHANGES_PATCH)
		ok = print_patch(printer, change, path, error);
	else if (ok && printer->style == PROLLY_CHANGES_STAT)
		ok = print_stat(printer, change, path, error);
	else if (ok && printer->style == PROLLY_CHANGES_NAME_STATUS)
		print_name_status(printer, change, path);
	else if (ok && printer->style == PROLLY_CHANGES_NAME_ONLY)
		prolly_command_print(printer->command, "%s\n", path);
	else if (ok && printer->style == PROLLY_CHANGES_STATUS)
		print_status(printer, change, path);
	else if (ok)
		ok = print_json(printer, change, path, error);
	printer->n++;
	return ok;
}

bool prolly_command_print_changes(ProllyCommand *command, ProllyView *a, ProllyView *b,
				  const GArray *ranges, ProllyChangesStyle style, uint64_t *out_n,
				  GError **error)
{
	g_autoptr(GString) json = g_string_new(NULL);
	g_autoptr(ProllyNamer) a_names = prolly_namer_new(a);
	g_autoptr(ProllyNamer) b_names = prolly_namer_new(b);
	Printer printer = {.command = command,
			   .a = a,
			   .b = b,
			   .a_names = a_names,
			   .b_names = b_names,
			   .style = style,
			   .json = json};

	if (style == PROLLY_CHANGES_STAT && !foreach_change(&printer, ranges, measure_path, error))
		return false;
	if (!foreach_change(&printer, ranges, print_change, error))
		return false;
	if (style == PROLLY_CHANGES_STAT && printer.n)
		print_summary(&printer);
	*out_n = printer.n;
	return true;
}

static bool count_change(Printer *printer, const ProllyViewChange *change, GError **error)
{
	printer->n++;
	return true;
}

bool prolly_command_count_changes(ProllyCommand *command, ProllyView *a, ProllyView *b,
				  uint64_t *out_n, GError **error)
{
	Printer printer = {.command = command, .a = a, .b = b};

	if (!foreach_change(&printer, NULL, count_change, error))
		return false;
	*out_n = printer.n;
	return true;
}
