/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the tests of open files share: a store with small chunks and a low inline limit, so that all
 * ways of staging are taken, and files of its one namespace by key.
 */

#include "version/file-private.h"

#include <string.h>
#include <unistd.h>

#define NS "ns"

typedef struct {
	char *dir;
	char *store;
	ProllyRepo *repo;
	ProllyBranch *branch;
} Fixture;

static inline void open_store(Fixture *self)
{
	g_autoptr(GError) error = NULL;

	prolly_repo_open(self->store, NULL, &self->repo, &error);
	g_assert_no_error(error);
	prolly_branch_lookup(self->repo, "main", &self->branch, &error);
	g_assert_no_error(error);
	g_assert_nonnull(self->branch);
}

static inline void close_store(Fixture *self)
{
	g_clear_pointer(&self->branch, prolly_branch_unref);
	g_clear_pointer(&self->repo, prolly_repo_free);
}

static inline void set_up(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	ProllyFormatParameters parameters;
	ProllyRepoInitOptions options = {.parameters = &parameters};

	prolly_format_parameters_init(&parameters);
	parameters.inline_limit = 64;
	parameters.chunk_min = 256;
	parameters.chunk_average = 1024;
	parameters.chunk_max = 4096;
	self->dir = g_dir_make_tmp("prolly-file-XXXXXX", &error);
	g_assert_no_error(error);
	self->store = g_build_filename(self->dir, "store", NULL);
	prolly_repo_init(self->store, &options, &error);
	g_assert_no_error(error);
	open_store(self);
}

static inline void tear_down(Fixture *self, gconstpointer data)
{
	g_autofree char *command = g_strdup_printf("rm -rf '%s'", self->dir);

	close_store(self);
	g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
	g_free(self->store);
	g_free(self->dir);
}

static inline ProllyPlace place_of(const char *key)
{
	return (ProllyPlace){NS, (const uint8_t *)key, strlen(key)};
}

static inline void create(Fixture *self, const char *key)
{
	ProllyPlace place = place_of(key);
	g_autoptr(GBytes) stored = prolly_value_new_inline(PROLLY_KIND_FILE, "", 0);
	g_autoptr(GError) error = NULL;

	prolly_edit_put(self->repo, self->branch, &place, stored, NULL, PROLLY_EDIT_EXCLUSIVE, NULL,
			&error);
	g_assert_no_error(error);
}

static inline ProllyFile *open_file(Fixture *self, const char *key)
{
	ProllyPlace place = place_of(key);
	g_autoptr(GError) error = NULL;
	ProllyFile *file = NULL;

	prolly_file_open(self->repo, self->branch, &place, &file, &error);
	g_assert_no_error(error);
	return file;
}

static inline ProllyFile *create_file(Fixture *self, const char *key)
{
	create(self, key);
	return open_file(self, key);
}

static inline void write_at(ProllyFile *file, uint64_t offset, const void *data, size_t len)
{
	g_autoptr(GError) error = NULL;

	prolly_file_write(file, offset, data, len, &error);
	g_assert_no_error(error);
}

static inline void write_text(ProllyFile *file, uint64_t offset, const char *text)
{
	write_at(file, offset, text, strlen(text));
}

static inline void flush(ProllyFile *file)
{
	g_autoptr(GError) error = NULL;

	prolly_file_flush(file, &error);
	g_assert_no_error(error);
}

/* (transfer full) All of a file. */
static inline GByteArray *read_all(ProllyFile *file)
{
	uint64_t length = prolly_file_get_length(file);
	GByteArray *content = g_byte_array_sized_new((guint)length + 1);
	g_autoptr(GError) error = NULL;
	size_t len = 0;

	g_byte_array_set_size(content, (guint)length + 1);
	prolly_file_read(file, 0, content->data, length + 1, &len, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(len, ==, length);
	g_byte_array_set_size(content, (guint)length);
	return content;
}

static inline void assert_text(ProllyFile *file, const char *expected)
{
	g_autoptr(GByteArray) content = read_all(file);

	g_assert_cmpmem(content->data, content->len, expected, strlen(expected));
}

/* (transfer full) What VIEW has under KEY; NULL: nothing. */
static inline GByteArray *read_view(ProllyView *view, const char *key)
{
	ProllyPlace place = place_of(key);
	g_auto(ProllyEntry) entry = {0};
	g_autoptr(ProllyFile) file = NULL;
	g_autoptr(GError) error = NULL;
	bool found = false;

	prolly_view_get(view, &place, false, &entry, &found, &error);
	g_assert_no_error(error);
	if (!found)
		return NULL;
	prolly_file_open_entry(view, &entry, &file, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(entry.length, ==, prolly_file_get_length(file));
	return read_all(file);
}

static inline GByteArray *read_live(Fixture *self, const char *key)
{
	g_autoptr(ProllyView) view = prolly_view_new_live(self->repo, self->branch);

	return read_view(view, key);
}

static inline GByteArray *read_commit(Fixture *self, const char *key)
{
	g_autoptr(ProllyView) view = NULL;
	g_autoptr(GError) error = NULL;
	ProllyCommitId head;

	prolly_branch_get_head(self->branch, &head);
	prolly_view_new_commit(self->repo, &head, &view, &error);
	g_assert_no_error(error);
	return read_view(view, key);
}

static inline void assert_staged(Fixture *self, const char *key, const char *expected)
{
	g_autoptr(GByteArray) content = read_live(self, key);

	if (!expected) {
		g_assert_null(content);
		return;
	}
	g_assert_nonnull(content);
	g_assert_cmpmem(content->data, content->len, expected, strlen(expected));
}

static inline void commit(Fixture *self)
{
	g_auto(ProllySignature) who = {0};
	ProllyCommitOptions options = {
		.message = "test", .author = &who, .committer = &who, .allow_empty = true};
	g_autoptr(GError) error = NULL;
	ProllyCommitId id;
	uint64_t changes;

	prolly_signature_init_default(&who, false, NULL, &error);
	g_assert_no_error(error);
	prolly_history_commit(self->repo, self->branch, &options, &id, &changes, &error);
	g_assert_no_error(error);
}

static inline uint64_t count_records(Fixture *self)
{
	g_autoptr(ProllyDbIter) iter =
		prolly_db_iter_new(self->repo->body->db, PROLLY_DB_EXTENTS, NULL, "", 0, NULL, 0);
	uint64_t n = 0;

	for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
	     prolly_db_iter_next(iter))
		n++;
	return n;
}
