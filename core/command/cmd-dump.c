/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-dump: a namespace's entries in key order, in the formats that load reads; its exact inverse.
 *
 * Values are read and written in pieces. JSON needs to know whether a value is text before it
 * writes the first byte of it, so one that does not fit a piece is read twice.
 *
 * The marker of an empty directory is not an entry that load could make, and is left out; of a
 * symbolic link, a fifo or the like the content is given.
 */

#include "base/memory.h"
#include "command/command-private.h"

#include <string.h>

#define PIECE (256u * 1024)

typedef struct {
	ProllyCommand *command;
	ProllyView *view;
	const char *ns;
	ProllyDataFormat format;
	char *piece; /* PIECE bytes */
} Dumper;

/* A key as an error names it. (transfer full) */
static char *dup_key_path(Dumper *dumper, const ProllyPlace *place)
{
	g_autoptr(GError) ignored = NULL;
	char *path = prolly_command_dup_path(dumper->view, place, PROLLY_KIND_FILE, &ignored);
	return path ? path : g_strdup(dumper->ns);
}

static bool throw_nul(Dumper *dumper, const ProllyPlace *place, const char *what, GError **error)
{
	g_autofree char *path = dup_key_path(dumper, place);
	return prolly_throw(error, PROLLY_ERROR_INVALID,
			    "%s: the format nul cannot carry a NUL, which is in the %s", path,
			    what);
}

static bool read_piece(Dumper *dumper, const ProllyEntry *entry, uint64_t offset, size_t *out_len,
		       GError **error)
{
	return prolly_view_read(dumper->view, entry, offset, dumper->piece, PIECE, out_len,
				error) &&
	       prolly_command_check(dumper->command, error);
}

/* ---- tsv and nul ------------------------------------------------------------------------- */

static void write_escaped(ProllyCommand *command, const char *data, size_t len)
{
	static const char SPECIAL[] = "\b\f\n\r\t\v\\";
	static const char NAMES[] = "bfnrtv\\0";
	const char *plain = data, *end = data + len;

	for (const char *p = data; p < end; p++) {
		if ((unsigned char)*p > '\r' && *p != '\\')
			continue;
		const char *special = memchr(SPECIAL, *p, sizeof SPECIAL); /* its NUL is the last */
		if (!special)
			continue;
		char escape[] = {'\\', NAMES[special - SPECIAL]};
		prolly_command_write(command, plain, (size_t)(p - plain));
		prolly_command_write(command, escape, 2);
		plain = p + 1;
	}
	prolly_command_write(command, plain, (size_t)(end - plain));
}

static bool dump_tsv(Dumper *dumper, const ProllyPlace *place, const ProllyEntry *entry,
		     GError **error)
{
	size_t len = 0;
	write_escaped(dumper->command, (const char *)place->key, place->key_len);
	prolly_command_write(dumper->command, "\t", 1);
	for (uint64_t offset = 0; offset < entry->length; offset += len) {
		if (!read_piece(dumper, entry, offset, &len, error))
			return false;
		if (!len)
			break;
		write_escaped(dumper->command, dumper->piece, len);
	}
	prolly_command_write(dumper->command, "\n", 1);
	return true;
}

static bool dump_nul(Dumper *dumper, const ProllyPlace *place, const ProllyEntry *entry,
		     GError **error)
{
	size_t len = 0;
	if (place->key_len && memchr(place->key, 0, place->key_len))
		return throw_nul(dumper, place, "key", error);
	prolly_command_write(dumper->command, place->key, place->key_len);
	prolly_command_write(dumper->command, "", 1);
	for (uint64_t offset = 0; offset < entry->length; offset += len) {
		if (!read_piece(dumper, entry, offset, &len, error))
			return false;
		if (!len)
			break;
		if (memchr(dumper->piece, 0, len))
			return throw_nul(dumper, place, "value", error);
		prolly_command_write(dumper->command, dumper->piece, len);
	}
	prolly_command_write(dumper->command, "", 1);
	return true;
}

/* ---- jsonl ------------------------------------------------------------------------------- */

/* Is the whole content text? A character that a piece cuts is read again with the next. */
static bool check_text(Dumper *dumper, const ProllyEntry *entry, bool *out_is_text, GError **error)
{
	size_t len = 0, whole = 0;
	*out_is_text = true;
	for (uint64_t offset = 0; *out_is_text && offset < entry->length; offset += whole) {
		if (!read_piece(dumper, entry, offset, &len, error))
			return false;
		*out_is_text = prolly_json_is_text_so_far(dumper->piece, len, &whole) && whole;
	}
	return true;
}

static bool write_text(Dumper *dumper, const ProllyEntry *entry, GError **error)
{
	g_autoptr(GString) json = g_string_new("\"");
	size_t len = 0;
	for (uint64_t offset = 0; offset < entry->length; offset += len) {
		if (!read_piece(dumper, entry, offset, &len, error))
			return false;
		if (!len)
			break;
		if (!prolly_try_reserve_text(json, 2 * len, "a value", error))
			return false;
		prolly_json_escape(json, dumper->piece, len);
		prolly_command_write(dumper->command, json->str, json->len);
		g_string_truncate(json, 0);
	}
	g_string_append_c(json, '"');
	prolly_command_write(dumper->command, json->str, json->len);
	return true;
}

static bool write_base64(Dumper *dumper, const ProllyEntry *entry, GError **error)
{
	g_autofree char *encoded = prolly_try_malloc((PIECE / 3 + 1) * 4 + 4, "a value", error);
	gint state = 0, save = 0;
	size_t len = 0, n = 0;

	if (!encoded)
		return false;
	prolly_command_print(dumper->command, "{\"base64\":\"");
	for (uint64_t offset = 0; offset < entry->length; offset += len) {
		if (!read_piece(dumper, entry, offset, &len, error))
			return false;
		if (!len)
			break;
		n = g_base64_encode_step((const guchar *)dumper->piece, len, FALSE, encoded, &state,
					 &save);
		prolly_command_write(dumper->command, encoded, n);
	}
	n = g_base64_encode_close(FALSE, encoded, &state, &save);
	prolly_command_write(dumper->command, encoded, n);
	prolly_command_print(dumper->command, "\"}");
	return true;
}

static bool dump_jsonl(Dumper *dumper, const ProllyPlace *place, const ProllyEntry *entry,
		       GError **error)
{
	g_autoptr(GString) json = g_string_new(NULL);
	bool is_text = false;

	prolly_json_begin(json, NULL, '{');
	prolly_json_add_bytes(json, "key", place->key, place->key_len);
	prolly_command_print(dumper->command, "%s,\"value\":", json->str);
	if (!check_text(dumper, entry, &is_text, error))
		return false;
	if (!(is_text ? write_text(dumper, entry, error) : write_base64(dumper, entry, error)))
		return false;
	prolly_command_print(dumper->command, "}\n");
	return true;
}

/* ---- dump -------------------------------------------------------------------------------- */

static bool dump_entry(Dumper *dumper, const ProllyPlace *place, const ProllyEntry *entry,
		       GError **error)
{
	if (entry->kind == PROLLY_KIND_DIRECTORY)
		return true;
	switch (dumper->format) {
	case PROLLY_FORMAT_NUL:
		return dump_nul(dumper, place, entry, error);
	case PROLLY_FORMAT_JSONL:
		return dump_jsonl(dumper, place, entry, error);
	default:
		return dump_tsv(dumper, place, entry, error);
	}
}

static bool dump_all(Dumper *dumper, GError **error)
{
	g_autoptr(ProllyViewCursor) cursor = NULL;
	if (!prolly_view_cursor_new(dumper->view, dumper->ns, "", 0, false, &cursor, error) ||
	    !prolly_view_cursor_seek(cursor, "", 0, error))
		return false;
	while (prolly_view_cursor_is_valid(cursor)) {
		const ProllyEntry *entry = NULL;
		ProllyPlace place = {.ns = dumper->ns};
		place.key = prolly_view_cursor_get_key(cursor, &place.key_len);
		if (!prolly_view_cursor_get_entry(cursor, &entry, error) ||
		    !dump_entry(dumper, &place, entry, error) ||
		    !prolly_command_check(dumper->command, error) ||
		    !prolly_view_cursor_next(cursor, error))
			return false;
	}
	return true;
}

static bool run_dump(ProllyCommand *command, GError **error)
{
	const char *argument = prolly_command_argument(command, 0);
	char ns[PROLLY_NAMESPACE_MAX + 1];
	g_autofree char *piece = prolly_try_malloc(PIECE, "a value", error);
	g_autoptr(ProllyView) view = NULL;
	Dumper dumper = {.command = command, .ns = ns, .piece = piece};
	bool has = true;

	if (!piece || !prolly_command_get_format(command, &dumper.format, error) ||
	    !prolly_command_parse_namespace(argument, ns, error) ||
	    !prolly_command_open_view(command, &view, error))
		return false;
	if (command->json)
		dumper.format = PROLLY_FORMAT_JSONL;
	if (*ns && !prolly_view_has_namespace(view, ns, &has, error))
		return false;
	if (!has)
		return prolly_command_answer_no(command, "%s: no such namespace", argument);
	dumper.view = view;
	return dump_all(&dumper, error);
}

static const ProllyOptionSpec DUMP_OPTIONS[] = {
	{"format", 0, "FORMAT", "tsv (the default), nul or jsonl"},
	{0},
};

const ProllyCommandSpec prolly_cmd_dump = {
	.name = "dump",
	.arguments = "NS",
	.summary = "write a namespace's entries in key order, as load reads them",
	.options = DUMP_OPTIONS,
	.min_arguments = 1,
	.max_arguments = 1,
	.run = run_dump,
};
