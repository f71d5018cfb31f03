/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-keys: put, get, delete: single keys. Values stream both ways, so their size does not matter.
 *
 * get reads a pinned state: what it writes is one state of the value, however long it takes. put
 * makes the value first and stages it then, so that one whose input fails has done nothing.
 */

#include "base/memory.h"
#include "command/command-private.h"

#include <string.h>

#define JSON_ROOM 256u /* for what is put around a value */
#define PIECE     (256u * 1024)

#define INPUT_PIECE (1024u * 1024) /* chunks are hashed together */

/* ---- Values as JSON ---------------------------------------------------------------------- */

typedef struct {
	ProllyCommand *command;
	ProllyView *view;
	const ProllyEntry *entry;
} ValueSource;

typedef bool (*PieceFunc)(void *data, const void *bytes, size_t len, GError **error);

/* Gives the content of an entry to FUNC, piece by piece. */
static bool foreach_piece(const ValueSource *source, PieceFunc func, void *data, GError **error)
{
	g_autofree char *buffer = prolly_try_malloc(PIECE, "a value", error);
	size_t len = 0;

	if (!buffer)
		return false;
	for (uint64_t offset = 0; offset < source->entry->length; offset += len) {
		if (!prolly_view_read(source->view, source->entry, offset, buffer, PIECE, &len,
				      error) ||
		    !prolly_command_check(source->command, error))
			return false;
		if (!len)
			break;
		if (!func(data, buffer, len, error))
			return false;
	}
	return true;
}

static bool hash_piece(void *writer, const void *bytes, size_t len, GError **error)
{
	return prolly_blob_writer_write(writer, bytes, len, error);
}

/* The hash of a long value's blob. One with bytes laid over it is made into the blob that the next
 * commit makes of it. */
static bool get_value_hash(const ValueSource *source, ProllyHash *out_hash, GError **error)
{
	ProllyValue value;
	ProllyBlob blob;
	size_t len = 0;
	const uint8_t *stored = g_bytes_get_data(source->entry->stored, &len);

	if (!source->entry->extents) {
		if (!prolly_value_parse(stored, len, &value, error))
			return false;
		*out_hash = value.blob.hash;
		return true;
	}
	g_autoptr(ProllyBlobWriter) writer =
		prolly_blob_writer_new(prolly_repo_get_context(source->command->repo));
	if (!foreach_piece(source, hash_piece, writer, error) ||
	    !prolly_blob_writer_finish(writer, &blob, error))
		return false;
	*out_hash = blob.hash;
	return true;
}

bool prolly_json_add_value(ProllyCommand *command, GString *json, const char *name,
			   ProllyView *view, const ProllyEntry *entry, GError **error)
{
	if (entry->length > PROLLY_JSON_VALUE_MAX) {
		ValueSource source = {command, view, entry};
		ProllyHash hash;
		if (!get_value_hash(&source, &hash, error))
			return false;
		prolly_json_begin(json, name, '{');
		prolly_json_add_number(json, "size", entry->length);
		prolly_json_add_hash(json, "hash", &hash);
		prolly_json_end(json, '}');
		return true;
	}
	size_t len = 0;
	g_autofree char *content = prolly_try_malloc((size_t)entry->length, "a value", error);
	/* Each byte may be escaped. */
	if (!content ||
	    !prolly_try_reserve_text(json, 2 * (size_t)entry->length + JSON_ROOM, "a value",
				     error) ||
	    !prolly_view_read(view, entry, 0, content, entry->length, &len, error))
		return false;
	prolly_json_add_bytes(json, name, content, len);
	return true;
}

/* ---- get --------------------------------------------------------------------------------- */

static bool write_piece(void *command, const void *bytes, size_t len, GError **error)
{
	prolly_command_write(command, bytes, len);
	return true;
}

static bool print_entry(ProllyCommand *command, ProllyView *view, const ProllyPlace *place,
			const ProllyEntry *entry, GError **error)
{
	ValueSource source = {command, view, entry};
	if (!command->json)
		return foreach_piece(&source, write_piece, command, error);

	g_autoptr(GString) json = g_string_new(NULL);
	g_autofree char *path = prolly_command_dup_path(view, place, entry->kind, error);
	if (!path)
		return false;
	prolly_json_begin(json, NULL, '{');
	prolly_json_add_place(json, place, path);
	if (!prolly_json_add_value(command, json, "value", view, entry, error))
		return false;
	prolly_json_end(json, '}');
	prolly_command_print_json(command, json);
	return true;
}

static bool run_get(ProllyCommand *command, GError **error)
{
	const char *argument = prolly_command_argument(command, 0);
	g_autoptr(ProllyView) view = NULL;
	g_auto(ProllyTarget) target = {0};
	g_auto(ProllyEntry) entry = {0};
	bool found = false;

	if (!prolly_command_open_view(command, &view, error) ||
	    !prolly_target_init_key(command, view, argument, &target, error))
		return false;
	if (target.key.ns && !prolly_view_get(view, &target.key, false, &entry, &found, error))
		return false;
	if (!found)
		return prolly_command_answer_no(command, "%s: no such key", argument);
	return print_entry(command, view, &target.key, &entry, error);
}

/* ---- put --------------------------------------------------------------------------------- */

/* Fills BUFFER with standard input; *OUT_LEN is less than its size only at the end. */
static bool fill_buffer(ProllyCommand *command, char *buffer, size_t *out_len, GError **error)
{
	const ProllyStreams *streams = command->streams;
	size_t len = 1;

	for (*out_len = 0; len && *out_len < INPUT_PIECE; *out_len += len) {
		if (!streams->read(streams->data, buffer + *out_len, INPUT_PIECE - *out_len, &len))
			return prolly_throw(error, PROLLY_ERROR_CANCELLED, "put: interrupted");
		if (!prolly_command_check(command, error))
			return false;
	}
	return true;
}

/* Standard input, in bounded memory. It may come slowly, or not at all. */
static bool take_input(ProllyCommand *command, ProllyIntake *intake, GError **error)
{
	g_autofree char *buffer = NULL;
	size_t len = 0;

	if (!command->streams->read)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "put: VALUE is missing, and there is no standard input here");
	buffer = prolly_try_malloc(INPUT_PIECE, "a value", error);
	if (!buffer)
		return false;
	do
		if (!fill_buffer(command, buffer, &len, error) ||
		    !prolly_intake_add(intake, buffer, len, error))
			return false;
	while (len == INPUT_PIECE);
	return true;
}

/* The kind that the key's new value has: it stays executable, anything else becomes a file. */
static bool choose_kind(ProllyView *view, const ProllyPlace *place, ProllyKind *out_kind,
			GError **error)
{
	g_auto(ProllyEntry) entry = {0};
	bool found = false;
	if (!prolly_view_get(view, place, false, &entry, &found, error))
		return false;
	*out_kind = found && entry.kind == PROLLY_KIND_EXECUTABLE ? PROLLY_KIND_EXECUTABLE
								  : PROLLY_KIND_FILE;
	return true;
}

/* INTAKE is NULL if there is a VALUE. */
static bool store_value(ProllyCommand *command, ProllyIntake *intake, ProllyKind kind,
			GBytes **out_stored, GError **error)
{
	const char *value = prolly_command_argument(command, 1);

	if (intake)
		return prolly_intake_finish(intake, kind, out_stored, error);
	return prolly_value_store(prolly_repo_get_context(command->repo), kind, value,
				  strlen(value), out_stored, error);
}

static bool run_put(ProllyCommand *command, GError **error)
{
	const char *argument = prolly_command_argument(command, 0);
	g_autoptr(ProllyBranch) branch = NULL;
	g_autoptr(ProllyView) view = NULL;
	g_autoptr(ProllyIntake) intake = NULL;
	g_autoptr(GBytes) stored = NULL;
	g_auto(ProllyTarget) target = {0};
	ProllyKind kind = PROLLY_KIND_FILE;

	if (!prolly_command_open_branch(command, &branch, error))
		return false;
	view = prolly_view_new_live(command->repo, branch);
	if (!prolly_target_init_key(command, view, argument, &target, error))
		return false;
	if (!target.key.ns)
		return prolly_throw(error, PROLLY_ERROR_INVALID, "%s: no key can be made there",
				    argument);
	if (!prolly_command_argument(command, 1)) {
		intake = prolly_intake_new(command->repo);
		if (!take_input(command, intake, error))
			return false;
	}

	g_auto(ProllyGuard) guard = prolly_guard_enter(command->repo);

	return choose_kind(view, &target.key, &kind, error) &&
	       store_value(command, intake, kind, &stored, error) &&
	       prolly_edit_put(command->repo, branch, &target.key, stored, NULL,
			       PROLLY_EDIT_KEEP_ATTRS, NULL, error);
}

/* ---- delete ------------------------------------------------------------------------------ */

static bool delete_key(ProllyCommand *command, ProllyBranch *branch, const char *argument,
		       uint64_t *count, GError **error)
{
	g_autoptr(ProllyView) view = prolly_view_new_live(command->repo, branch);
	g_auto(ProllyTarget) target = {0};
	bool found = false;

	if (!prolly_target_init_key(command, view, argument, &target, error))
		return false;
	if (target.key.ns && !prolly_edit_delete(command->repo, branch, &target.key, &found, error))
		return false;
	if (!found)
		return prolly_command_answer_no(command, "%s: no such key", argument);
	(*count)++;
	return true;
}

/* Can every path be a key's? */
static bool check_keys(ProllyCommand *command, ProllyBranch *branch, GError **error)
{
	g_autoptr(ProllyView) view = prolly_view_new_live(command->repo, branch);

	for (unsigned i = 0; i < command->words->arguments->len; i++) {
		g_auto(ProllyTarget) target = {0};

		if (!prolly_target_init_key(command, view, prolly_command_argument(command, i),
					    &target, error))
			return false;
	}
	return true;
}

static bool run_delete(ProllyCommand *command, GError **error)
{
	g_autoptr(ProllyBranch) branch = NULL;
	uint64_t count = 0;

	if (!prolly_command_open_branch(command, &branch, error) ||
	    !check_keys(command, branch, error))
		return false;
	for (unsigned i = 0; i < command->words->arguments->len; i++)
		if (!delete_key(command, branch, prolly_command_argument(command, i), &count,
				error))
			return false;
	if (command->json) {
		g_autoptr(GString) json = g_string_new(NULL);
		prolly_json_begin(json, NULL, '{');
		prolly_json_add_number(json, "deleted", count);
		prolly_json_end(json, '}');
		prolly_command_print_json(command, json);
	}
	return true;
}

/* ---- Tables ------------------------------------------------------------------------------ */

const ProllyCommandSpec prolly_cmd_put = {
	.name = "put",
	.arguments = "PATH [VALUE]",
	.summary = "stage a value (from standard input if not given)",
	.min_arguments = 1,
	.max_arguments = 2,
	.flags = PROLLY_COMMAND_INPUT | PROLLY_COMMAND_WORKING | PROLLY_COMMAND_CHANGES,
	.run = run_put,
};

const ProllyCommandSpec prolly_cmd_get = {
	.name = "get",
	.arguments = "PATH",
	.summary = "write a value's bytes, nothing added",
	.min_arguments = 1,
	.max_arguments = 1,
	.run = run_get,
};

const ProllyCommandSpec prolly_cmd_delete = {
	.name = "delete",
	.arguments = "PATH...",
	.summary = "stage deletions; a missing key is named",
	.min_arguments = 1,
	.max_arguments = PROLLY_COMMAND_ANY_NUMBER,
	.flags = PROLLY_COMMAND_WORKING | PROLLY_COMMAND_CHANGES,
	.run = run_delete,
};
