/* SPDX-License-Identifier: Apache-2.0 */
/* Files made ahead: whole under their names, new where they must be, and none left over. */
#include "version/spares-private.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
	char *dir;
	ProllySpares *spares;
} Fixture;

static void set_up(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	self->dir = g_dir_make_tmp("prolly-spares-XXXXXX", &error);
	g_assert_no_error(error);
	self->spares = prolly_spares_new(self->dir);
}

static void tear_down(Fixture *self, gconstpointer data)
{
	g_assert_cmpint(rmdir(self->dir), ==, 0);
	g_free(self->dir);
}

static void put(Fixture *self, const char *path, const char *text, mode_t mode)
{
	g_autoptr(GError) error = NULL;

	prolly_spares_put(self->spares, path, text, strlen(text), mode, &error);
	g_assert_no_error(error);
}

static bool put_new(Fixture *self, const char *path, const char *text)
{
	g_autoptr(GError) error = NULL;
	bool exists;

	prolly_spares_put_new(self->spares, path, text, strlen(text), 0666, &exists, &error);
	g_assert_no_error(error);
	return !exists;
}

static void assert_file(const char *path, const char *text, mode_t mode)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *found = NULL;
	struct stat st;

	g_file_get_contents(path, &found, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(found, ==, text);
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 0777, ==, mode);
	g_assert_cmpuint(st.st_nlink, ==, 1);
}

static void test_put(Fixture *self, gconstpointer data)
{
	g_autofree char *path = g_build_filename(self->dir, "file", NULL);
	mode_t mask = umask(027);

	put(self, path, "one", 0666);
	assert_file(path, "one", 0640);
	put(self, path, "", 0444);
	assert_file(path, "", 0440);
	g_assert_false(put_new(self, path, "two"));
	assert_file(path, "", 0440);
	g_assert_cmpint(unlink(path), ==, 0);
	g_assert_true(put_new(self, path, "three"));
	assert_file(path, "three", 0640);
	umask(mask);
	g_assert_cmpint(prolly_spares_remove(self->spares, path), ==, 0);
	g_assert_cmpint(prolly_spares_remove(self->spares, path), ==, ENOENT);
	prolly_spares_free(self->spares);
}

static void test_no_directory(Fixture *self, gconstpointer data)
{
	g_autofree char *path = g_build_filename(self->dir, "absent", "file", NULL);
	g_autoptr(GError) error = NULL;
	bool exists;

	g_assert_false(prolly_spares_put(self->spares, path, "x", 1, 0666, &error));
	g_assert_error(error, PROLLY_ERRNO, ENOENT);
	g_clear_error(&error);
	g_assert_false(prolly_spares_put_new(self->spares, path, "x", 1, 0666, &exists, &error));
	g_assert_error(error, PROLLY_ERRNO, ENOENT);
	prolly_spares_free(self->spares);
}

/* More than are made ahead at a time. */
static void test_many(Fixture *self, gconstpointer data)
{
	for (int i = 0; i < 500; i++) {
		g_autofree char *path = g_strdup_printf("%s/%d", self->dir, i);
		g_autofree char *text = g_strdup_printf("file %d", i);

		put(self, path, text, 0600);
		put(self, path, text, 0600);
		assert_file(path, text, 0600);
	}
	prolly_spares_free(self->spares);
	for (int i = 0; i < 500; i++) {
		g_autofree char *path = g_strdup_printf("%s/%d", self->dir, i);
		g_autofree char *text = g_strdup_printf("file %d", i);

		assert_file(path, text, 0600);
		g_assert_cmpint(unlink(path), ==, 0);
	}
}

#define ADD_SPARES_TEST(path, func) \
	g_test_add("/spares/" path, Fixture, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD_SPARES_TEST("put", test_put);
	ADD_SPARES_TEST("no-directory", test_no_directory);
	ADD_SPARES_TEST("many", test_many);
	return g_test_run();
}
