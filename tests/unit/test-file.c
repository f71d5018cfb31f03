/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files: what is shared, what orphans, renames and links do, what a commit holds of a file
 * that is written to, what survives the process, and that no write is torn. (test-file-model.c has
 * the contents.)
 */
#include "file-fixture.h"

static void test_shared(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyFile) a = create_file(self, "k");
	g_autoptr(ProllyFile) b = open_file(self, "k");

	g_assert_true(a == b);
	write_text(a, 0, "hello");
	assert_text(b, "hello");
	assert_staged(self, "k", "");
	flush(b);
	assert_staged(self, "k", "hello");
}

static void test_errors(Fixture *self, gconstpointer data)
{
	ProllyPlace place = place_of("nothing");
	g_autoptr(ProllyView) view = NULL;
	g_autoptr(ProllyFile) file = NULL;
	g_auto(ProllyEntry) entry = {0};
	g_autoptr(GError) error = NULL;
	bool found;

	g_assert_false(prolly_file_open(self->repo, self->branch, &place, &file, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_NOT_FOUND);
	g_clear_error(&error);

	create(self, "k");
	place = place_of("k");
	view = prolly_view_new_live(self->repo, self->branch);
	prolly_view_get(view, &place, false, &entry, &found, &error);
	g_assert_true(found);
	prolly_file_open_entry(view, &entry, &file, &error);
	g_assert_no_error(error);
	g_assert_false(prolly_file_write(file, 0, "x", 1, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_READ_ONLY);
	g_clear_error(&error);
	g_clear_pointer(&file, prolly_file_unref);

	file = open_file(self, "k");
	g_assert_false(prolly_file_write(file, UINT64_MAX - 1, "xyz", 3, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_TOO_BIG);
	g_clear_error(&error);
	g_assert_false(prolly_file_truncate(file, UINT64_MAX, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_TOO_BIG);
}

static void test_orphan(Fixture *self, gconstpointer data)
{
	ProllyPlace place = place_of("k");
	g_autoptr(ProllyFile) old = create_file(self, "k");
	g_autoptr(ProllyFile) new = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(ProllyAttrs) attrs = {0};

	write_text(old, 0, "old");
	flush(old);
	prolly_edit_delete(self->repo, self->branch, &place, NULL, &error);
	g_assert_no_error(error);
	g_assert_true(prolly_file_is_orphan(old));
	write_text(old, 3, "er");
	flush(old);
	assert_text(old, "older");
	assert_staged(self, "k", NULL);
	prolly_file_get_attrs(old, &attrs, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(attrs.nlink, ==, 0);

	new = create_file(self, "k");
	g_assert_true(new != old);
	write_text(new, 0, "new");
	flush(new);
	assert_text(old, "older");
	assert_staged(self, "k", "new");
}

static void test_rename(Fixture *self, gconstpointer data)
{
	ProllyPlace a = place_of("a");
	ProllyPlace b = place_of("b");
	g_autoptr(ProllyFile) file = create_file(self, "a");
	g_autoptr(ProllyFile) over = create_file(self, "b");
	g_autoptr(GError) error = NULL;

	write_text(file, 0, "one");
	prolly_edit_rename(self->repo, self->branch, &a, &b, 0, &error);
	g_assert_no_error(error);
	g_assert_true(prolly_file_is_orphan(over));
	g_assert_false(prolly_file_is_orphan(file));
	write_text(file, 3, "two");
	flush(file);
	assert_staged(self, "a", NULL);
	assert_staged(self, "b", "onetwo");
}

static bool has_extents(Fixture *self, const char *key)
{
	g_autoptr(ProllyView) view = prolly_view_new_live(self->repo, self->branch);
	g_autoptr(GError) error = NULL;
	g_auto(ProllyEntry) entry = {0};
	ProllyPlace place = place_of(key);
	bool found = false;

	prolly_view_get(view, &place, true, &entry, &found, &error);
	g_assert_no_error(error);
	g_assert_true(found);
	return entry.extents != 0;
}

/* A large file, a little over it, renamed, and written again: the records follow, and nothing is
 * spliced while the branch is locked. */
static void test_rename_extents(Fixture *self, gconstpointer data)
{
	ProllyPlace a = place_of("a");
	ProllyPlace b = place_of("b");
	g_autoptr(ProllyFile) file = create_file(self, "a");
	g_autofree char *text = g_strnfill(50000, 'x');
	g_autoptr(GError) error = NULL;

	write_text(file, 0, text);
	flush(file);
	memcpy(text + 100, "one", 3);
	write_text(file, 100, "one");
	flush(file);
	g_assert_cmpuint(count_records(self), ==, 1);
	prolly_edit_rename(self->repo, self->branch, &a, &b, 0, &error);
	g_assert_no_error(error);
	g_assert_true(has_extents(self, "b"));
	assert_staged(self, "b", text);
	g_assert_cmpuint(count_records(self), ==, 1);
	memcpy(text + 40000, "two", 3);
	write_text(file, 40000, "two");
	flush(file);
	assert_staged(self, "b", text);
	commit(self);
	assert_staged(self, "b", text);
	g_assert_cmpuint(count_records(self), ==, 0);
	memcpy(text + 200, "three", 5);
	write_text(file, 200, "three");
	flush(file);
	assert_staged(self, "b", text);
	g_clear_pointer(&file, prolly_file_unref);
	close_store(self);
	open_store(self);
	assert_staged(self, "b", text);
}

/* A commit holds what was written before it and not staged, and nothing written after. */
static void test_commit_open(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyFile) small = create_file(self, "small");
	g_autoptr(ProllyFile) large = create_file(self, "large");
	g_autoptr(GByteArray) committed = NULL;
	g_autofree char *text = g_strnfill(30000, 'y');

	write_text(small, 0, "before");
	write_text(large, 0, text);
	commit(self);
	write_text(small, 0, "after!");
	write_text(large, 0, "after!");
	flush(small);
	flush(large);
	committed = read_commit(self, "small");
	g_assert_cmpmem(committed->data, committed->len, "before", 6);
	g_clear_pointer(&committed, g_byte_array_unref);
	committed = read_commit(self, "large");
	g_assert_cmpmem(committed->data, committed->len, text, strlen(text));
	memcpy(text, "after!", 6);
	assert_staged(self, "large", text);
	assert_staged(self, "small", "after!");
}

static void test_links(Fixture *self, gconstpointer data)
{
	ProllyPlace a = place_of("a");
	ProllyPlace b = place_of("b");
	g_autoptr(ProllyFile) file = create_file(self, "a");
	g_autoptr(ProllyFile) other = NULL;
	g_autoptr(GError) error = NULL;

	write_text(file, 0, "one");
	prolly_edit_link(self->repo, self->branch, &a, &b, NULL, &error);
	g_assert_no_error(error);
	other = open_file(self, "b");
	g_assert_true(other == file);
	write_text(other, 3, "two");
	flush(file);
	assert_staged(self, "a", "onetwo");
	assert_staged(self, "b", "onetwo");

	prolly_edit_delete(self->repo, self->branch, &a, NULL, &error);
	g_assert_no_error(error);
	g_assert_false(prolly_file_is_orphan(file));
	write_text(file, 6, "three");
	flush(file);
	assert_staged(self, "a", NULL);
	assert_staged(self, "b", "onetwothree");
	g_clear_pointer(&file, prolly_file_unref);
	g_clear_pointer(&other, prolly_file_unref);
	commit(self);
	close_store(self);
	open_store(self);
	assert_staged(self, "b", "onetwothree");
}

static void test_attrs(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyFile) file = create_file(self, "k");
	ProllyAttrs set = {.has = PROLLY_ATTR_MODE | PROLLY_ATTR_MTIME, .mode = 0640, .mtime = 42};
	g_auto(ProllyAttrs) got = {0};
	g_autoptr(GError) error = NULL;

	write_text(file, 0, "x");
	prolly_file_set_attrs(file, &set, PROLLY_KIND_EXECUTABLE, &error);
	g_assert_no_error(error);
	prolly_file_get_attrs(file, &got, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(got.mode, ==, 0640);
	g_assert_cmpint(got.mtime, ==, 42);
	prolly_attrs_clear(&got);

	/* a write moves the time, at once and when it is staged; the kind stays */
	write_text(file, 1, "y");
	prolly_file_get_attrs(file, &got, &error);
	g_assert_cmpint(got.mtime, >, 42);
	flush(file);
	g_clear_pointer(&file, prolly_file_unref);
	file = open_file(self, "k");
	g_assert_cmpint(file->kind, ==, PROLLY_KIND_EXECUTABLE);
	g_assert_cmpint(file->attrs.mtime, ==, got.mtime);
	g_assert_cmpuint(file->attrs.mode, ==, 0640);
}

/* Many bytes in order: bounded memory, and staged as one blob without extents. */
static void assert_content(ProllyFile *file, const void *expected, size_t len)
{
	g_autoptr(GByteArray) content = read_all(file);

	g_assert_cmpmem(content->data, content->len, expected, len);
}

/* A copy has the source's content and none of its fate. */
static void test_share(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyFile) in = NULL, out = NULL;
	g_autofree uint8_t *bytes = g_malloc(100000);
	g_autoptr(GRand) random = g_rand_new_with_seed(31);
	g_autoptr(GError) error = NULL;
	uint64_t len;

	for (size_t i = 0; i < 100000; i++)
		bytes[i] = (uint8_t)g_rand_int(random);
	in = create_file(self, "in");
	out = create_file(self, "out");
	write_at(in, 0, bytes, 100000);
	/* bytes over a value are not shared, a value is */
	g_assert_false(prolly_file_share(in, out, 0, 100000, &len));
	flush(in);
	g_clear_pointer(&in, prolly_file_unref);
	in = open_file(self, "in");
	g_assert_false(prolly_file_share(in, in, 0, 100000, &len));
	g_assert_false(prolly_file_share(in, out, 10, 1000, &len));
	/* in steps, as a caller copies */
	g_assert_true(prolly_file_share(in, out, 0, 33333, &len));
	g_assert_cmpuint(len, ==, 33333);
	assert_content(out, bytes, 33333);
	g_assert_true(prolly_file_share(in, out, 33333, UINT64_MAX, &len));
	g_assert_cmpuint(len, ==, 100000 - 33333);
	g_assert_false(prolly_file_share(in, out, 100000, 1, &len));
	assert_content(out, bytes, 100000);
	flush(out);
	/* what is longer is not replaced; what is shorter is */
	write_at(out, 100000, "x", 1);
	g_assert_false(prolly_file_share(in, out, 0, 100000, &len));
	g_assert_true(prolly_file_truncate(out, 5, &error));
	g_assert_true(prolly_file_share(in, out, 0, 50000, &len));
	write_at(in, 0, "changed", 7);
	assert_content(out, bytes, 50000);
	flush(out);
	g_clear_pointer(&out, prolly_file_unref);
	out = open_file(self, "out");
	assert_content(out, bytes, 50000);
}

/* Does FILE give LEN bytes at OFFSET without a copy? If it does, they are CONTENT's there. */
static bool read_in_pieces(ProllyFile *file, uint64_t offset, size_t len, const uint8_t *content)
{
	g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(ProllyBlobPiece));
	g_autoptr(GError) error = NULL;
	bool has;

	g_array_set_clear_func(pieces, (GDestroyNotify)prolly_blob_piece_clear);
	prolly_file_read_pieces(file, offset, len, pieces, &has, &error);
	g_assert_no_error(error);
	for (guint i = 0; i < pieces->len; i++) {
		const ProllyBlobPiece *piece = &g_array_index(pieces, ProllyBlobPiece, i);

		g_assert_cmpmem(piece->data, piece->len, content + offset, piece->len);
		offset += piece->len;
		len -= piece->len;
	}
	g_assert_true(!has || len == 0);
	return has;
}

/* What is stored is read where it is; what is written over it, and what is small, is not. */
static void test_pieces(Fixture *self, gconstpointer data)
{
	const size_t length = 400000;
	g_autoptr(ProllyFile) file = create_file(self, "big");
	g_autofree uint8_t *bytes = g_malloc(length);
	g_autoptr(GRand) random = g_rand_new_with_seed(32);

	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)g_rand_int(random);
	write_at(file, 0, bytes, length);
	g_assert_false(read_in_pieces(file, 0, 1000, bytes));
	flush(file);
	g_clear_pointer(&file, prolly_file_unref);
	file = open_file(self, "big");
	for (size_t at = 0; at < length; at += 50000)
		g_assert_true(read_in_pieces(file, at, 50000, bytes));
	g_assert_false(read_in_pieces(file, length, 1, bytes));

	bytes[77777] ^= 1;
	write_at(file, 77777, bytes + 77777, 1);
	g_assert_false(read_in_pieces(file, 0, 1000, bytes));
	g_assert_false(prolly_file_is_loaded(file, 0, 1));
	assert_content(file, bytes, length);
	/* a content in the place of another is read ahead anew */
	bytes[3] ^= 1;
	write_at(file, 0, bytes, length);
	flush(file);
	g_clear_pointer(&file, prolly_file_unref);
	file = open_file(self, "big");
	g_assert_true(read_in_pieces(file, 0, 300000, bytes));
	assert_content(file, bytes, length);
}

static void test_stream(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyFile) file = create_file(self, "big");
	g_autofree uint8_t *block = g_malloc(128 << 10);
	g_autoptr(GError) error = NULL;
	size_t len;

	for (uint32_t i = 0; i < 40 << 3; i++) { /* 40 MiB */
		for (uint32_t j = 0; j < (128 << 10) / 4; j++)
			prolly_set_le32(block + 4 * j, (i * 32768 + j) * UINT32_C(2654435761));
		write_at(file, (uint64_t)i * (128 << 10), block, 128 << 10);
		g_assert_cmpuint(file->content.run_bytes, <=, 16 << 20);
	}
	flush(file);
	g_assert_cmpuint(count_records(self), ==, 0);
	g_clear_pointer(&file, prolly_file_unref);
	file = open_file(self, "big");
	for (uint32_t i = 0; i < 40 << 3; i += 7) {
		prolly_file_read(file, (uint64_t)i * (128 << 10), block, 4096, &len, &error);
		g_assert_no_error(error);
		g_assert_cmpuint(len, ==, 4096);
		for (uint32_t j = 0; j < 1024; j++)
			g_assert_cmpuint(prolly_get_le32(block + 4 * j), ==,
					 (i * 32768 + j) * UINT32_C(2654435761));
	}
}

/* One page written again and again, and staged each time: the records do not pile up. */
static void test_rewrite(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyFile) file = create_file(self, "db");
	g_autofree char *text = g_strnfill(1 << 20, 'p');
	g_autofree char *page = g_strnfill(4096, '0');
	g_autoptr(GByteArray) content = NULL;

	write_text(file, 0, text);
	flush(file);
	for (int i = 0; i < 5000; i++) {
		page[i % 4096] = (char)('a' + i % 26);
		write_text(file, 8192, page);
		flush(file);
		g_assert_cmpuint(count_records(self), <=, 2049);
	}
	memcpy(text + 8192, page, 4096);
	content = read_live(self, "db");
	g_assert_cmpmem(content->data, content->len, text, 1 << 20);
}

/* Read in pieces, as commands do. */
static void assert_pieces(ProllyView *view, const char *key, const uint8_t *content, size_t length)
{
	ProllyPlace place = place_of(key);
	g_autofree uint8_t *piece = g_malloc(1 << 20);
	g_auto(ProllyEntry) entry = {0};
	g_autoptr(GError) error = NULL;
	bool found;
	size_t len;

	prolly_view_get(view, &place, false, &entry, &found, &error);
	g_assert_no_error(error);
	g_assert_true(found && entry.extents);
	for (size_t at = 0; at < length; at += len) {
		prolly_view_read(view, &entry, at, piece, 1 << 20, &len, &error);
		g_assert_no_error(error);
		g_assert_cmpmem(piece, len, content + at, MIN(1 << 20, length - at));
	}
}

/* What is written to many files that stay open takes so much memory, and no more; and is right. */
static void test_many_open(Fixture *self, gconstpointer data)
{
	enum { N = 80, PIECE = 1 << 20, PIECES = 4 };
	const gsize limit = 256 << 20;
	g_autoptr(GPtrArray) files =
		g_ptr_array_new_with_free_func((GDestroyNotify)prolly_file_unref);
	g_autofree uint8_t *piece = g_malloc(PIECE);
	gsize *kept = &self->repo->body->run_bytes;

	for (unsigned i = 0; i < N * PIECES; i++) {
		g_autofree char *key = g_strdup_printf("f%u", i % N);

		if (i < N)
			g_ptr_array_add(files, create_file(self, key));
		memset(piece, (int)i, PIECE);
		write_at(g_ptr_array_index(files, i % N), (uint64_t)(i / N) * PIECE, piece, PIECE);
		g_assert_cmpuint(*kept, <=, limit + PIECE);
	}
	g_assert_cmpuint(*kept, >, limit / 2);
	for (unsigned i = 0; i < N * PIECES; i += 7) {
		size_t len;
		g_autoptr(GError) error = NULL;

		prolly_file_read(g_ptr_array_index(files, i % N), (uint64_t)(i / N) * PIECE, piece,
				 PIECE, &len, &error);
		g_assert_no_error(error);
		g_assert_cmpuint(len, ==, PIECE);
		for (unsigned at = 0; at < PIECE; at++)
			g_assert_true(piece[at] == (uint8_t)i);
	}
	g_ptr_array_set_size(files, 0);
	g_assert_cmpuint(*kept, ==, 0);
}

/* Pages here and there in a large file: memory and what a flush does are in proportion to them, not
 * to the chunks around them; and the content is right, however it is read. */
static void test_sparse(Fixture *self, gconstpointer data)
{
	const uint32_t length = 48 << 20, pages = 2600, stride = 4;
	g_autoptr(ProllyFile) file = create_file(self, "image");
	g_autofree uint8_t *content = g_malloc(length);
	g_autoptr(GByteArray) read = NULL;
	g_autoptr(ProllyView) view = NULL;
	g_autoptr(GError) error = NULL;

	for (uint32_t i = 0; i < length / 4; i++)
		prolly_set_le32(content + 4 * i, i * UINT32_C(2654435761));
	write_at(file, 0, content, length);
	flush(file);
	for (uint32_t i = 0; i < pages; i++) {
		uint32_t page = (i * 1237 % pages) * stride;

		memset(content + page * 4096, (int)(i % 251), 4096);
		write_at(file, (uint64_t)page * 4096, content + page * 4096, 4096);
	}
	g_assert_cmpuint(file->content.run_bytes, ==, (uint64_t)pages * 4096);
	g_assert_cmpuint(file->unrecorded->len, <, 1024);
	flush(file);
	g_assert_cmpuint(count_records(self), ==, pages);
	read = read_live(self, "image");
	g_assert_cmpmem(read->data, read->len, content, length);
	g_assert_cmpuint(self->repo->body->kept_bytes, >, 0);
	g_clear_pointer(&file, prolly_file_unref);
	g_assert_cmpuint(self->repo->body->kept_bytes, ==, 0);
	close_store(self);
	open_store(self);
	g_byte_array_unref(read);
	prolly_view_new_pinned(self->repo, self->branch, &view, &error);
	g_assert_no_error(error);
	read = read_view(view, "image");
	assert_pieces(view, "image", content, length);
	g_clear_pointer(&view, prolly_view_unref);
	g_assert_cmpmem(read->data, read->len, content, length);
	commit(self);
	g_assert_cmpuint(count_records(self), ==, 0);
	g_byte_array_unref(read);
	read = read_live(self, "image");
	g_assert_cmpmem(read->data, read->len, content, length);
}

/* ---- The end of the process --------------------------------------------------------------- */

#define CRASH_STORE "PROLLY_TEST_CRASH_STORE"

static void crash_subprocess(void)
{
	Fixture self = {.store = g_strdup(g_getenv(CRASH_STORE))};
	g_autofree char *text = g_strnfill(20000, 'z');
	ProllyFile *file;

	open_store(&self);
	file = create_file(&self, "flushed");
	write_text(file, 0, "kept");
	flush(file);
	write_text(file, 4, " not this");
	file = create_file(&self, "large");
	write_text(file, 0, text);
	flush(file);
	write_text(file, 500, "over");
	flush(file);
	_exit(0);
}

static void test_crash(Fixture *self, gconstpointer data)
{
	g_autofree char *text = g_strnfill(20000, 'z');

	close_store(self);
	g_setenv(CRASH_STORE, self->store, TRUE);
	g_test_trap_subprocess("/version/file/crash/subprocess", 0,
			       G_TEST_SUBPROCESS_INHERIT_STDERR);
	g_test_trap_assert_passed();
	open_store(self);
	memcpy(text + 500, "over", 4);
	assert_staged(self, "flushed", "kept");
	assert_staged(self, "large", text);
}

/* ---- Threads ------------------------------------------------------------------------------ */

typedef struct {
	Fixture *fixture;
	ProllyFile *file;
	gint *stop;
	int number;
} Writer;

/* Writes records of one byte over and over, whole ones: what anybody stages is never torn. */
static gpointer run_writer(gpointer data)
{
	Writer *writer = data;
	char record[512];

	for (int i = 0; !g_atomic_int_get(writer->stop); i++) {
		memset(record, 'a' + i % 26, sizeof(record));
		write_at(writer->file, (uint64_t)writer->number * sizeof(record), record,
			 sizeof(record));
		if (i % 7 == 0)
			flush(writer->file);
	}
	return NULL;
}

static void test_threads(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyFile) file = create_file(self, "k");
	g_autofree char *text = g_strnfill(4 * 512, '.');
	GThread *threads[4];
	Writer writers[4];
	gint stop = 0;

	write_text(file, 0, text);
	flush(file);
	for (int i = 0; i < 4; i++) {
		writers[i] = (Writer){self, file, &stop, i};
		threads[i] = g_thread_new("writer", run_writer, &writers[i]);
	}
	for (int round = 0; round < 20; round++) {
		g_autoptr(GByteArray) content = NULL;

		commit(self);
		content = read_commit(self, "k");
		g_assert_cmpuint(content->len, ==, 4 * 512);
		for (guint i = 0; i < content->len; i++)
			g_assert_cmpuint(content->data[i], ==, content->data[i / 512 * 512]);
	}
	g_atomic_int_set(&stop, 1);
	for (int i = 0; i < 4; i++)
		g_thread_join(threads[i]);
}

#define TEST(path, data, function) \
	g_test_add("/version/file/" path, Fixture, data, set_up, function, tear_down)

int main(int argc, char **argv)
{
	g_setenv("GIT_AUTHOR_NAME", "A U Thor", TRUE);
	g_setenv("GIT_AUTHOR_EMAIL", "author@example.com", TRUE);
	g_test_init(&argc, &argv, NULL);

	TEST("shared", NULL, test_shared);
	TEST("errors", NULL, test_errors);
	TEST("orphan", NULL, test_orphan);
	TEST("rename", NULL, test_rename);
	TEST("rename-extents", NULL, test_rename_extents);
	TEST("commit-open", NULL, test_commit_open);
	TEST("links", NULL, test_links);
	TEST("attrs", NULL, test_attrs);
	TEST("share", NULL, test_share);
	TEST("pieces", NULL, test_pieces);
	TEST("stream", NULL, test_stream);
	TEST("rewrite", NULL, test_rewrite);
	TEST("many-open", NULL, test_many_open);
	TEST("sparse", NULL, test_sparse);
	g_test_add_func("/version/file/crash/subprocess", crash_subprocess);
	TEST("crash", NULL, test_crash);
	TEST("threads", NULL, test_threads);
	return g_test_run();
}
