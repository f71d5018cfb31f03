/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large files that are spliced behind who writes them (file-splice.c), against an array of bytes:
 * what is read, and what is staged and committed, while splices are under way. Whether one is at a
 * given moment depends on the threads, and nothing that is looked at here may depend on it.
 */
#include "file-fixture.h"

#define MAX_LENGTH (40u << 20)
#define N_STEPS    90
#define N_WRITERS  4
#define WRITER_LEN (12u << 20)

typedef struct {
	ProllyFile *file;
	GByteArray *content;
	GRand *rand;
} Model;

static uint32_t any(Model *model, uint32_t below)
{
	return (uint32_t)g_rand_int_range(model->rand, 0, (gint32)below);
}

static void resize(Model *model, guint len)
{
	guint old = model->content->len;

	g_byte_array_set_size(model->content, len);
	if (len > old)
		memset(model->content->data + old, 0, len - old);
}

/* Bytes that differ from chunk to chunk, cheaply made. */
static void fill(uint8_t *data, uint32_t len, uint64_t state)
{
	for (uint32_t i = 0; i < len; i++) {
		state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
		data[i] = (uint8_t)(state >> 56);
	}
}

static void write_some(Model *model, uint32_t offset, uint32_t len)
{
	if (offset + len > MAX_LENGTH)
		return;
	if (offset + len > model->content->len)
		resize(model, offset + len);
	fill(model->content->data + offset, len, g_rand_int(model->rand));
	write_at(model->file, offset, model->content->data + offset, len);
}

static void truncate_to(Model *model, uint32_t length)
{
	g_autoptr(GError) error = NULL;

	prolly_file_truncate(model->file, length, &error);
	g_assert_no_error(error);
	resize(model, length);
}

static void zero_some(Model *model, uint32_t offset, uint32_t len)
{
	g_autoptr(GError) error = NULL;

	prolly_file_zero(model->file, offset, len, &error);
	g_assert_no_error(error);
	if (offset < model->content->len)
		memset(model->content->data + offset, 0, MIN(len, model->content->len - offset));
}

static void check_part(Model *model)
{
	uint32_t offset = any(model, model->content->len + 1);
	uint32_t len = 1 + any(model, 300000);
	g_autofree uint8_t *buffer = g_malloc(len);
	g_autoptr(GError) error = NULL;
	size_t got = 0;

	prolly_file_read(model->file, offset, buffer, len, &got, &error);
	g_assert_no_error(error);
	g_assert_cmpmem(buffer, got, model->content->data + offset,
			MIN(len, model->content->len - offset));
}

static void check(const Model *model, GByteArray *content)
{
	g_assert_nonnull(content);
	g_assert_cmpmem(content->data, content->len, model->content->data, model->content->len);
	g_byte_array_unref(content);
}

/* Mostly it is written on; sometimes what may be under way is changed. */
static void step(Fixture *self, Model *model)
{
	uint32_t what = any(model, 100);
	uint32_t length = model->content->len;

	if (what < 60)
		write_some(model, length, 1 + any(model, 2u << 20));
	else if (what < 70)
		write_some(model, length - any(model, MIN(length, 6u << 20) + 1),
			   1 + any(model, 300000));
	else if (what < 75)
		write_some(model, any(model, MAX_LENGTH), 1 + any(model, 5000));
	else if (what < 79)
		truncate_to(model, any(model, length + 1));
	else if (what < 83)
		zero_some(model, any(model, length + 1), any(model, 3u << 20));
	else if (what < 93)
		check_part(model);
	else if (what < 96)
		check(model, read_all(model->file));
	else
		flush(model->file);
}

static void check_commit(Fixture *self, const Model *model)
{
	commit(self);
	check(model, read_commit(self, "k"));
}

static void test_model(Fixture *self, gconstpointer data)
{
	guint32 seed = g_test_rand_int();
	Model model = {
		.file = create_file(self, "k"),
		.content = g_byte_array_new(),
		.rand = g_rand_new_with_seed(seed),
	};

	g_test_message("seed %u", seed);
	for (int i = 0; i < N_STEPS; i++) {
		step(self, &model);
		if (i % (N_STEPS / 3) == 0)
			check_commit(self, &model);
	}
	check(&model, read_all(model.file));
	check_commit(self, &model);
	g_clear_pointer(&model.file, prolly_file_unref);
	check(&model, read_live(self, "k"));
	g_byte_array_unref(model.content);
	g_rand_free(model.rand);
}

/* ---- Several writers --------------------------------------------------------------------- */

#define RECORD (100u << 10) /* of one writer's bytes: its number, all along */

typedef struct {
	ProllyFile *file;
	uint8_t number;
} Writer;

static gpointer append_records(gpointer data)
{
	const Writer *writer = data;
	g_autofree uint8_t *record = g_malloc(RECORD);

	memset(record, writer->number, RECORD);
	for (uint32_t done = 0; done < WRITER_LEN; done += RECORD) {
		g_autoptr(GError) error = NULL;

		prolly_file_append(writer->file, record, RECORD, NULL, &error);
		g_assert_no_error(error);
	}
	return NULL;
}

/* No record is lost, and none is torn. */
static void test_appenders(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyFile) file = create_file(self, "k");
	GThread *threads[N_WRITERS];
	Writer writers[N_WRITERS];
	guint n_records[N_WRITERS + 1] = {0};
	g_autoptr(GByteArray) content = NULL;

	for (unsigned i = 0; i < N_WRITERS; i++) {
		writers[i] = (Writer){file, (uint8_t)(i + 1)};
		threads[i] = g_thread_new("writer", append_records, &writers[i]);
	}
	for (unsigned i = 0; i < N_WRITERS; i++)
		g_thread_join(threads[i]);
	content = read_all(file);
	for (guint at = 0; at < content->len; at += RECORD) {
		uint8_t number = content->data[at];

		g_assert_cmpuint(number, >, 0);
		g_assert_cmpuint(number, <=, N_WRITERS);
		g_assert_cmpuint(at + RECORD, <=, content->len);
		for (guint i = 0; i < RECORD; i++)
			g_assert_cmpuint(content->data[at + i], ==, number);
		n_records[number]++;
	}
	for (unsigned i = 1; i <= N_WRITERS; i++)
		g_assert_cmpuint(n_records[i], ==, (WRITER_LEN + RECORD - 1) / RECORD);
}

/* A file that goes away with what is being spliced. */
static void test_orphan(Fixture *self, gconstpointer data)
{
	ProllyPlace place = place_of("k");
	ProllyFile *file = create_file(self, "k");
	g_autofree uint8_t *bytes = g_malloc(14u << 20);
	g_autoptr(GError) error = NULL;

	fill(bytes, 14u << 20, 1);
	write_at(file, 0, bytes, 9u << 20);
	write_at(file, 9u << 20, bytes + (9u << 20), 5u << 20);
	prolly_edit_delete(self->repo, self->branch, &place, NULL, &error);
	g_assert_no_error(error);
	prolly_file_unref(file);
	assert_staged(self, "k", NULL);
}

int main(int argc, char **argv)
{
	g_setenv("GIT_AUTHOR_NAME", "A U Thor", TRUE);
	g_setenv("GIT_AUTHOR_EMAIL", "author@example.com", TRUE);
	g_test_init(&argc, &argv, NULL);

	g_test_add("/version/file/splice/model", Fixture, NULL, set_up, test_model, tear_down);
	g_test_add("/version/file/splice/appenders", Fixture, NULL, set_up, test_appenders,
		   tear_down);
	g_test_add("/version/file/splice/orphan", Fixture, NULL, set_up, test_orphan, tear_down);
	return g_test_run();
}
