/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contents of open files against a model: a file and an array of bytes go through the same
 * random writes, truncations, zeros, flushes, commits and reopenings, and must be equal at every
 * step, read through the file, through a view, and after a commit through the commit.
 */
#include "file-fixture.h"

typedef struct {
	Fixture *fixture;
	ProllyFile *file;
	GByteArray *content;
	GRand *rand;
	uint32_t max; /* bytes of the file */
} Model;

static void model_resize(Model *model, guint len)
{
	guint old = model->content->len;

	g_byte_array_set_size(model->content, len);
	if (len > old)
		memset(model->content->data + old, 0, len - old);
}

static uint32_t any(Model *model, uint32_t below)
{
	return (uint32_t)g_rand_int_range(model->rand, 0, (gint32)below);
}

/* Few of the writes are large. */
static uint32_t any_length(Model *model)
{
	static const uint32_t scales[] = {8, 64, 300, 300, 2000, 20000};

	return 1 + any(model, scales[any(model, G_N_ELEMENTS(scales))]);
}

static void step_write(Model *model, bool append)
{
	uint32_t wanted = any_length(model);
	uint32_t len = MIN(wanted, model->max / 2);
	uint32_t offset = append ? model->content->len : any(model, model->max - len);
	g_autofree uint8_t *data = g_malloc(len);

	if (offset + len > model->max)
		return;
	for (uint32_t i = 0; i < len; i++)
		data[i] = (uint8_t)g_rand_int(model->rand);
	if (any(model, 8) == 0)
		memset(data, 0, len);
	if (append) {
		g_autoptr(GError) error = NULL;
		uint64_t at;

		prolly_file_append(model->file, data, len, &at, &error);
		g_assert_no_error(error);
		g_assert_cmpuint(at, ==, offset);
	} else {
		write_at(model->file, offset, data, len);
	}
	if (offset + len > model->content->len)
		model_resize(model, offset + len);
	memcpy(model->content->data + offset, data, len);
}

static void step_truncate(Model *model)
{
	uint32_t length = any(model, model->max);
	g_autoptr(GError) error = NULL;

	if (any(model, 2))
		length = any(model, 100);
	prolly_file_truncate(model->file, length, &error);
	g_assert_no_error(error);
	model_resize(model, length);
}

static void step_zero(Model *model)
{
	uint32_t offset = any(model, model->max);
	uint32_t len = any_length(model);
	g_autoptr(GError) error = NULL;

	prolly_file_zero(model->file, offset, len, &error);
	g_assert_no_error(error);
	if (offset < model->content->len)
		memset(model->content->data + offset, 0, MIN(len, model->content->len - offset));
}

static void step_reopen(Model *model, bool store)
{
	g_clear_pointer(&model->file, prolly_file_unref);
	if (store) {
		close_store(model->fixture);
		open_store(model->fixture);
	}
	model->file = open_file(model->fixture, "model");
}

static void assert_model(Model *model, GByteArray *content)
{
	g_assert_nonnull(content);
	g_assert_cmpmem(content->data, content->len, model->content->data, model->content->len);
}

static void check_live(Model *model)
{
	g_autoptr(GByteArray) content = NULL;

	flush(model->file);
	content = read_live(model->fixture, "model");
	assert_model(model, content);
}

static void check_commit(Model *model)
{
	g_autoptr(GByteArray) content = NULL;

	commit(model->fixture);
	content = read_commit(model->fixture, "model");
	assert_model(model, content);
}

static void check_part(Model *model)
{
	uint32_t offset = any(model, model->max + 10);
	uint32_t len = any_length(model);
	g_autofree uint8_t *buffer = g_malloc(len);
	g_autoptr(GError) error = NULL;
	size_t expected = 0;
	size_t got = 0;

	if (offset < model->content->len)
		expected = MIN(len, model->content->len - offset);
	prolly_file_read(model->file, offset, buffer, len, &got, &error);
	g_assert_no_error(error);
	g_assert_cmpmem(buffer, got, model->content->data + offset, expected);
}

/* Data that SEEK_DATA passes over must be zeros, and what SEEK_HOLE finds too. */
static void check_seek(Model *model)
{
	uint32_t offset = any(model, model->max);
	g_autoptr(GError) error = NULL;
	uint64_t at = 0;

	if (offset >= model->content->len)
		return;
	prolly_file_seek(model->file, offset, true, &at, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(at, >=, offset);
	g_assert_cmpuint(at, <=, model->content->len);
	for (uint64_t i = offset; i < at; i++)
		g_assert_cmpuint(model->content->data[i], ==, 0);
	prolly_file_seek(model->file, offset, false, &at, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(at, <=, model->content->len);
	if (at < model->content->len)
		g_assert_cmpuint(model->content->data[at], ==, 0);
}

static void step(Model *model)
{
	uint32_t what = any(model, 100);

	if (what < 35)
		step_write(model, false);
	else if (what < 50)
		step_write(model, true);
	else if (what < 56)
		step_truncate(model);
	else if (what < 62)
		step_zero(model);
	else if (what < 80)
		flush(model->file);
	else if (what < 84)
		check_live(model);
	else if (what < 88)
		step_reopen(model, false);
	else if (what < 90)
		check_commit(model);
	else if (what < 91)
		step_reopen(model, true);
	else if (what < 96)
		check_part(model);
	else
		check_seek(model);
}

static void test_model(Fixture *self, gconstpointer data)
{
	guint32 seed = g_test_rand_int();
	Model model = {
		.fixture = self,
		.content = g_byte_array_new(),
		.rand = g_rand_new_with_seed(seed),
		.max = (uint32_t)GPOINTER_TO_UINT(data),
	};

	g_test_message("seed %u", seed);
	model.file = create_file(self, "model");
	for (int i = 0; i < 600; i++) {
		g_autoptr(GByteArray) content = NULL;

		step(&model);
		content = read_all(model.file);
		assert_model(&model, content);
	}
	check_commit(&model);
	g_clear_pointer(&model.file, prolly_file_unref);
	g_byte_array_unref(model.content);
	g_rand_free(model.rand);
}

#define TEST(path, max)                                                                 \
	g_test_add("/version/file/model/" path, Fixture, GUINT_TO_POINTER(max), set_up, \
		   test_model, tear_down)

int main(int argc, char **argv)
{
	g_setenv("GIT_AUTHOR_NAME", "A U Thor", TRUE);
	g_setenv("GIT_AUTHOR_EMAIL", "author@example.com", TRUE);
	g_test_init(&argc, &argv, NULL);

	TEST("short", 200);
	TEST("middle", 8000);
	TEST("long", 200000);
	return g_test_run();
}
