/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small texts that people, other programs and enemies write: a store's configuration, what a commit
 * says of a namespace, reflogs, .prollyattributes, strategies, where a store is, sizes, dates, JSON
 * values, and the words of a command line. The first byte of the input says which; the rest is the
 * text. What is accepted and can be written again says the same.
 */
#include "fuzz.h"

#include <glib/gstdio.h>

#include "blob/blob.h"
#include "command/command-private.h"
#include "version/history.h"
#include "version/json-text.h"
#include "version/reflog.h"
#include "version/repo-private.h"
#include "version/strategy.h"

/* A text with its length; there is a NUL behind it, and may be more in it. */
typedef struct {
	const char *data;
	size_t len;
} Text;

/* ---- Of a store -------------------------------------------------------------------------- */

static void check_config(const char *dir)
{
	g_auto(ProllyConfig) config = {0};
	g_auto(ProllyConfig) again = {0};
	g_autoptr(GError) error = NULL;

	if (!prolly_config_load(dir, &config, &error)) {
		g_assert_cmpstr(g_quark_to_string(error->domain), ==,
				g_quark_to_string(PROLLY_ERROR));
		return;
	}
	g_assert_true(prolly_config_save(dir, &config, &error));
	g_assert_true(prolly_config_load(dir, &again, &error));
	g_assert_cmpstr(again.default_branch, ==, config.default_branch);
	g_assert_cmpint(again.kind, ==, config.kind);
	g_assert_cmpmem(&again.parameters, sizeof(again.parameters), &config.parameters,
			sizeof(config.parameters));
}

static void try_config(Text text)
{
	g_autofree char *dir = g_dir_make_tmp("prolly-fuzz-XXXXXX", NULL);
	g_autofree char *file = g_build_filename(dir, "config", NULL);

	g_assert_true(g_file_set_contents_full(file, text.data, (gssize)text.len,
					       G_FILE_SET_CONTENTS_NONE, 0600, NULL));
	check_config(dir);
	g_unlink(file);
	g_rmdir(dir);
}

/* One encoding: what is accepted is what the five lines of the page are. */
static void try_namespace(Text text)
{
	ProllyFormatParameters parameters;
	g_autoptr(ProllyFormat) format = NULL;
	g_autoptr(GError) error = NULL;
	g_autofree char *expected = NULL;
	char root_hex[PROLLY_HASH_HEX_SIZE], top_hex[PROLLY_HASH_HEX_SIZE];
	ProllyTree tree;
	ProllyHash root;

	prolly_format_parameters_init(&parameters);
	g_assert_true(prolly_format_new(&parameters, prolly_value_weigh, &format, NULL));
	if (!prolly_git_object_parse_namespace(format, text.data, text.len, &tree, &error)) {
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
		return;
	}
	prolly_tree_get_root(format, &tree, &root);
	expected = g_strdup_printf("format 1\nroot %s\ntop %s\nkeys %" G_GUINT64_FORMAT
				   "\nbytes %" G_GUINT64_FORMAT "\n",
				   prolly_hash_to_hex(&root, root_hex),
				   prolly_hash_to_hex(&tree.top, top_hex), tree.keys, tree.bytes);
	g_assert_cmpmem(text.data, text.len, expected, strlen(expected));
}

static void try_reflog(Text text)
{
	g_autoptr(GBytes) log = g_bytes_new(text.data, text.len);
	GArray *entries = prolly_reflog_parse(log);

	g_assert_cmpuint(entries->len, <=, text.len);
	g_array_unref(entries);
}

static void try_spec(Text text)
{
	ProllySpec spec = {0};
	uint64_t size;

	if (prolly_spec_parse(text.data, &spec, NULL))
		prolly_spec_clear(&spec);
	(void)prolly_size_parse(text.data, &size, NULL);
}

/* ---- Of commands ------------------------------------------------------------------------- */

static void try_date(Text text)
{
	int64_t time;
	int offset;

	if (prolly_date_parse(text.data, 1000000000, &time, &offset))
		g_assert_cmpint(ABS(offset), <=, 24 * 60);
}

/* What a line splits into makes a line that splits into the same. */
static void try_line(Text text)
{
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) words = prolly_command_split(text.data, &error);
	g_auto(GStrv) again = NULL;
	g_autofree char *line = NULL;
	ProllyWords *parsed = NULL;

	if (!words) {
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_USAGE);
		return;
	}
	line = prolly_command_join((const char *const *)words);
	again = prolly_command_split(line, &error);
	g_assert_no_error(error);
	g_assert_cmpstrv(words, again);
	if (prolly_words_parse((const char *const *)words, &parsed, &error))
		prolly_words_free(parsed);
	else
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_USAGE);
}

/* ---- Of merges --------------------------------------------------------------------------- */

static void try_attributes(Text text)
{
	g_autoptr(ProllyAttributes) attributes = NULL;
	g_autoptr(GError) error = NULL;

	if (prolly_attributes_parse(text.data, text.len, &attributes, &error)) {
		(void)prolly_attributes_find(attributes, "a/b.json");
		(void)prolly_attributes_find(attributes, "");
	} else {
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
	}
}

static void try_strategies(Text text)
{
	g_autoptr(GArray) strategies = NULL;
	g_autoptr(GError) error = NULL;

	if (!prolly_strategy_parse(text.data, &strategies, &error))
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
}

/* The value and the white space around it are the text, from its first byte to its last. */
static void try_json(Text text)
{
	ProllyText all = {(const char *)text.data, text.len}, before, after;
	g_autoptr(ProllyJson) json = prolly_json_parse(&all, &before, &after);

	if (json)
		g_assert_cmpuint(before.len + json->text.len + after.len, ==, text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const tries[])(Text text) = {
		try_config, try_namespace,  try_reflog,     try_spec, try_date,
		try_line,   try_attributes, try_strategies, try_json,
	};
	FuzzInput input = {data, size};
	uint32_t what = fuzz_take_below(&input, G_N_ELEMENTS(tries));
	g_autofree char *copy = g_malloc(input.left + 1);

	if (input.left > 0)
		memcpy(copy, input.p, input.left);
	copy[input.left] = '\0';
	git_libgit2_init(); /* it counts; what it has stays, since to begin anew takes long */
	tries[what]((Text){copy, input.left});
	return 0;
}
