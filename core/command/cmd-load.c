/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-load: entries from standard input as one batch.
 *
 * Formats (interface.md, section 3). tsv: KEY TAB VALUE lines with PostgreSQL's escapes in COPY, of
 * which exactly \b \f \n \r \t \v \\ and \0 (NUL) are known; another is an error rather than
 * itself, so that what is loaded is what was meant. The first TAB ends the key. nul: KEY NUL VALUE
 * NUL. jsonl: {"key","value"} a line, each a string or {"base64"}; other members are ignored.
 *
 * Input is read in pieces; a record is taken from the buffer where it lies, and only a line with
 * escapes is copied. Memory is bounded by the longest entry, which RECORD_MAX bounds; a key whose end
 * does not come is refused before that. Nothing is visible before the end of the input was reached
 * without an error.
 */

#include "base/memory.h"
#include "command/command-private.h"

#include <string.h>

#include <jansson.h>

#define PIECE          (256u * 1024)
#define RECORD_MAX     (1024u * 1024 * 1024)
#define PROGRESS_EVERY 8192u

/* ---- Input ------------------------------------------------------------------------------- */

typedef struct {
	ProllyCommand *command;
	GByteArray *buffer;
	size_t start; /* of what was not taken yet */
	bool ended;
	uint64_t number;  /* of the record last taken, from 1 */
	const char *unit; /* "line" or "entry" */
} Input;

typedef struct {
	char *data; /* in the input's buffer, until the next is taken; may be written to */
	size_t len;
} Record;

/* How long what is taken may be. */
typedef struct {
	unsigned max;
	unsigned ahead; /* of the last record's number */
	const char *what;
} Limit;

static const Limit LINE_LIMIT = {RECORD_MAX, 1, "put takes a value of any size"};
static const Limit VALUE_LIMIT = {RECORD_MAX, 0, "put takes a value of any size"};
static const Limit KEY_LIMIT = {PROLLY_KEY_MAX, 1, "no key is longer"};

/* Reads a piece more; what was taken is dropped first. */
static bool fill(Input *input, GError **error)
{
	const ProllyStreams *streams = input->command->streams;
	size_t got = 0;

	if (input->start) {
		g_byte_array_remove_range(input->buffer, 0, (guint)input->start);
		input->start = 0;
	}
	guint had = input->buffer->len;
	if (!prolly_try_reserve(&input->buffer, PIECE, "what is loaded", error))
		return false;
	g_byte_array_set_size(input->buffer, had + PIECE);
	if (!streams->read(streams->data, input->buffer->data + had, PIECE, &got))
		return prolly_throw(error, PROLLY_ERROR_CANCELLED, "load: interrupted");
	g_byte_array_set_size(input->buffer, (guint)(had + got));
	input->ended = got == 0;
	return prolly_command_check(input->command, error);
}

/*
 * The bytes up to the next DELIMITER, which is taken but not given. At the end of the input they
 * may lack it: *OUT_WHOLE is false then, and OUT_RECORD->len 0 if there was nothing at all. No more is
 * read than one of LIMIT can need.
 */
static bool take(Input *input, char delimiter, const Limit *limit, Record *out_record,
		 bool *out_whole, GError **error)
{
	size_t searched = 0;
	for (;;) {
		char *data = (char *)input->buffer->data + input->start;
		size_t len = input->buffer->len - input->start;
		char *end =
			len > searched ? memchr(data + searched, delimiter, len - searched) : NULL;

		*out_whole = end != NULL;
		*out_record = (Record){data, end ? (size_t)(end - data) : len};
		if (out_record->len > limit->max)
			return prolly_throw(error, PROLLY_ERROR_TOO_BIG,
					    "%s %" G_GUINT64_FORMAT ": over %u bytes (%s)",
					    input->unit, input->number + limit->ahead, limit->max,
					    limit->what);
		if (end || input->ended) {
			input->start += out_record->len + *out_whole;
			return true;
		}
		searched = len;
		if (!fill(input, error))
			return false;
	}
}

static bool throw_record(const Input *input, GError **error, const char *what)
{
	return prolly_throw(error, PROLLY_ERROR_INVALID, "%s %" G_GUINT64_FORMAT ": %s",
			    input->unit, input->number, what);
}

/* ---- tsv --------------------------------------------------------------------------------- */

/* Undoes the escapes of RECORD in place. */
static bool unescape(const Input *input, Record *record, GError **error)
{
	static const char NAMES[] = "bfnrtv\\0";
	static const char MEANINGS[] = "\b\f\n\r\t\v\\\0";
	char *in = record->len ? memchr(record->data, '\\', record->len) : NULL;
	char *end = record->data + record->len, *out = in;

	if (!in)
		return true;
	while (in < end) {
		if (*in != '\\') {
			*out++ = *in++;
			continue;
		}
		const char *name = in + 1 < end ? memchr(NAMES, in[1], sizeof NAMES - 1) : NULL;
		if (!name)
			return throw_record(input, error, "an escape that is not known");
		*out++ = MEANINGS[name - NAMES];
		in += 2;
	}
	record->len = (size_t)(out - record->data);
	return true;
}

static bool take_tsv(Input *input, Record *out_key, Record *out_value, bool *out_end,
		     GError **error)
{
	Record line;
	bool whole = false;

	if (!take(input, '\n', &LINE_LIMIT, &line, &whole, error))
		return false;
	*out_end = !whole && !line.len;
	if (*out_end)
		return true;
	input->number++;
	char *tab = line.len ? memchr(line.data, '\t', line.len) : NULL;
	if (!tab)
		return throw_record(input, error, "no TAB between key and value");
	*out_key = (Record){line.data, (size_t)(tab - line.data)};
	*out_value = (Record){tab + 1, line.len - out_key->len - 1};
	return unescape(input, out_key, error) && unescape(input, out_value, error);
}

/* ---- nul --------------------------------------------------------------------------------- */

/* The key is kept in SCRATCH, since taking the value may move the buffer. */
static bool take_nul(Input *input, GByteArray *scratch, Record *out_key, Record *out_value,
		     bool *out_end, GError **error)
{
	Record key;
	bool whole = false;

	if (!take(input, 0, &KEY_LIMIT, &key, &whole, error))
		return false;
	*out_end = !whole && !key.len;
	if (*out_end)
		return true;
	input->number++;
	if (!whole)
		return throw_record(input, error, "the input ends in the key");
	g_byte_array_set_size(scratch, 0); /* a key is small */
	g_byte_array_append(scratch, (const uint8_t *)key.data, (guint)key.len);
	*out_key = (Record){(char *)scratch->data, key.len};
	if (!take(input, 0, &VALUE_LIMIT, out_value, &whole, error))
		return false;
	return whole || throw_record(input, error, "the input ends in the value");
}

/* ---- jsonl ------------------------------------------------------------------------------- */

/* Is TEXT what an encoder makes of some bytes, and of no others? = is only what fills up the last four,
 * and the bits that stand for nothing are 0. */
static bool is_base64(const char *text, size_t len)
{
	static const char DIGITS[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = strspn(text, DIGITS);
	size_t fill = len - n;
	size_t last = n ? (size_t)(strchr(DIGITS, text[n - 1]) - DIGITS) : 0;

	return len % 4 == 0 && fill <= 2 && strspn(text + n, "=") == fill &&
	       (last & ((1u << 2 * fill) - 1)) == 0;
}

/* A string or {"base64"} as bytes. DECODED holds what must be freed. */
static bool get_bytes(const Input *input, json_t *json, const char *what, Record *out_record,
		      guchar **decoded, GError **error)
{
	json_t *encoded = json_object_get(json, "base64");
	g_autofree char *message =
		g_strdup_printf("\"%s\" is neither a string nor {\"base64\"}", what);

	if (json_is_string(json)) {
		*out_record = (Record){(char *)json_string_value(json), json_string_length(json)};
		return true;
	}
	if (!json_is_string(encoded))
		return throw_record(input, error, message);
	const char *text = json_string_value(encoded);
	gsize len = 0;
	if (!is_base64(text, json_string_length(encoded)))
		return throw_record(input, error, "bad base64");
	gint state = 0;
	guint save = 0;
	*decoded = prolly_try_malloc(json_string_length(encoded) / 4 * 3 + 3, "a value", error);
	if (*decoded)
		len = g_base64_decode_step(text, json_string_length(encoded), *decoded, &state,
					   &save);
	*out_record = (Record){(char *)*decoded, len};
	return *decoded != NULL;
}

/* What one line of jsonl holds while its entry is used. */
typedef struct {
	json_t *object;
	guchar *key, *value; /* decoded base64 */
} JsonLine;

static void json_line_clear(JsonLine *line)
{
	json_decref(line->object);
	g_free(line->key);
	g_free(line->value);
	*line = (JsonLine){0};
}

static bool is_blank(const Record *line)
{
	for (size_t i = 0; i < line->len; i++)
		if (!g_ascii_isspace(line->data[i]))
			return false;
	return true;
}

static bool take_jsonl(Input *input, JsonLine *parsed, Record *out_key, Record *out_value,
		       bool *out_end, GError **error)
{
	Record line;
	bool whole = true;
	json_error_t failure;

	json_line_clear(parsed);
	do {
		if (!take(input, '\n', &LINE_LIMIT, &line, &whole, error))
			return false;
		input->number += whole || line.len;
	} while (whole && is_blank(&line));
	*out_end = !whole && is_blank(&line);
	if (*out_end)
		return true;
	parsed->object =
		json_loadb(line.data, line.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &failure);
	if (!parsed->object)
		return throw_record(input, error, failure.text);
	return get_bytes(input, json_object_get(parsed->object, "key"), "key", out_key,
			 &parsed->key, error) &&
	       get_bytes(input, json_object_get(parsed->object, "value"), "value", out_value,
			 &parsed->value, error);
}

/* ---- load -------------------------------------------------------------------------------- */

/* Where the entries come from, in any of the formats. */
typedef struct {
	Input input;
	ProllyDataFormat format;
	GByteArray *scratch;
	JsonLine json;
} Source;

static void source_init(Source *source, ProllyCommand *command, ProllyDataFormat format)
{
	*source = (Source){.format = format};
	source->input.command = command;
	source->input.buffer = g_byte_array_new();
	source->input.unit = format == PROLLY_FORMAT_NUL ? "entry" : "line";
	source->scratch = g_byte_array_new();
}

static void source_clear(Source *source)
{
	g_byte_array_unref(source->input.buffer);
	g_byte_array_unref(source->scratch);
	json_line_clear(&source->json);
}

static bool take_entry(Source *source, Record *out_key, Record *out_value, bool *out_end,
		       GError **error)
{
	switch (source->format) {
	case PROLLY_FORMAT_NUL:
		return take_nul(&source->input, source->scratch, out_key, out_value, out_end,
				error);
	case PROLLY_FORMAT_JSONL:
		return take_jsonl(&source->input, &source->json, out_key, out_value, out_end,
				  error);
	default:
		return take_tsv(&source->input, out_key, out_value, out_end, error);
	}
}

static bool load_entries(Source *source, ProllyLoad *load, uint64_t *out_n, GError **error)
{
	for (*out_n = 0;; ++*out_n) {
		Record key = {0}, value = {0};
		bool end = false;

		if (!take_entry(source, &key, &value, &end, error))
			return false;
		if (end)
			return true;
		if (!prolly_load_add(load, key.data, key.len, value.data, value.len, error)) {
			g_prefix_error(error, "%s %" G_GUINT64_FORMAT ": ", source->input.unit,
				       source->input.number);
			return false;
		}
		if (*out_n % PROGRESS_EVERY == 0)
			prolly_command_progress(source->input.command, "load", *out_n, 0);
	}
}

static bool load_all(ProllyCommand *command, ProllyDataFormat format, ProllyLoad *load,
		     uint64_t *out_n, GError **error)
{
	Source source;

	source_init(&source, command, format);
	bool ok = load_entries(&source, load, out_n, error);
	source_clear(&source);
	return ok;
}

static void print_loaded(ProllyCommand *command, const char *ns, uint64_t n)
{
	g_autoptr(GString) json = g_string_new(NULL);
	if (!command->json)
		return;
	prolly_json_begin(json, NULL, '{');
	prolly_json_add_text(json, "namespace", ns);
	prolly_json_add_number(json, "entries", n);
	prolly_json_end(json, '}');
	prolly_command_print_json(command, json);
}

static bool run_load(ProllyCommand *command, GError **error)
{
	char ns[PROLLY_NAMESPACE_MAX + 1];
	ProllyDataFormat format;
	g_autoptr(ProllyBranch) branch = NULL;
	g_autoptr(ProllyLoad) load = NULL;
	uint64_t n = 0;

	if (!command->streams->read)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "load: there is no standard input here");
	if (!prolly_command_get_format(command, &format, error) ||
	    !prolly_command_parse_namespace(prolly_command_argument(command, 0), ns, error) ||
	    !prolly_command_open_branch(command, &branch, error) ||
	    !prolly_load_new(command->repo, branch, ns, &load, error) ||
	    !load_all(command, format, load, &n, error) || !prolly_load_attach(load, error))
		return false;
	prolly_command_progress(command, "load", n, n);
	print_loaded(command, ns, n);
	return true;
}

/* ---- Tables ------------------------------------------------------------------------------ */

bool prolly_command_get_format(ProllyCommand *command, ProllyDataFormat *out_format, GError **error)
{
	static const char *const NAMES[] = {"tsv", "nul", "jsonl"};
	const char *name = prolly_command_option(command, "format");

	*out_format = PROLLY_FORMAT_TSV;
	if (!name)
		return true;
	for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++) {
		*out_format = (ProllyDataFormat)i;
		if (strcmp(name, NAMES[i]) == 0)
			return true;
	}
	return prolly_throw(error, PROLLY_ERROR_USAGE, "%s: --format %s: it is tsv, nul or jsonl",
			    command->words->spec->name, name);
}

static const ProllyOptionSpec LOAD_OPTIONS[] = {
	{"format", 0, "FORMAT", "tsv (the default), nul or jsonl"},
	{0},
};

const ProllyCommandSpec prolly_cmd_load = {
	.name = "load",
	.arguments = "NS",
	.summary = "stage entries from standard input as one batch",
	.options = LOAD_OPTIONS,
	.min_arguments = 1,
	.max_arguments = 1,
	.flags = PROLLY_COMMAND_INPUT | PROLLY_COMMAND_WORKING | PROLLY_COMMAND_CHANGES,
	.run = run_load,
};
