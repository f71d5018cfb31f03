/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the tests of commands share: a store in memory or on disk, command lines that are run on it
 * in this process, and what they printed.
 */

#include "command/command-private.h"

#include <string.h>

#include <glib/gstdio.h>

#include "remove-tree.h"

/* ---- A store, and what a command printed ------------------------------------------------- */

typedef struct {
	ProllyRepo *repo;
	char *dir; /* NULL: in memory */
	ProllyCaller caller;
	const char *input; /* what standard input gives; NULL: there is none */
	size_t input_len, input_read;
	GString *out, *err;
	int failure;
} Fixture;

static const char *const ENVIRONMENT[] = {"GIT_AUTHOR_NAME=A U Thor",
					  "GIT_AUTHOR_EMAIL=author@example.org",
					  "GIT_AUTHOR_DATE=1767319445 +0100",
					  "GIT_COMMITTER_NAME=C O Mitter",
					  "GIT_COMMITTER_EMAIL=committer@example.org",
					  "GIT_COMMITTER_DATE=1767319445 +0100",
					  NULL};

static inline void setup(Fixture *f, gconstpointer on_disk)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *spec = g_strdup(":memory:");
	ProllyRepoOptions options = {.create = true};

	if (on_disk) {
		f->dir = g_dir_make_tmp("prollyfs-test-XXXXXX", NULL);
		g_free(spec);
		spec = g_build_filename(f->dir, "store", NULL);
	}
	prolly_repo_open(spec, &options, &f->repo, &error);
	g_assert_no_error(error);
	f->caller.environment = ENVIRONMENT;
	f->out = g_string_new(NULL);
	f->err = g_string_new(NULL);
}

static inline void teardown(Fixture *f, gconstpointer on_disk)
{
	prolly_repo_free(f->repo);
	if (f->dir)
		remove_tree(f->dir);
	g_free(f->dir);
	g_string_free(f->out, TRUE);
	g_string_free(f->err, TRUE);
}

static inline bool read_input(void *data, void *buffer, size_t len, size_t *out_len)
{
	Fixture *f = data;
	*out_len = MIN(len, f->input_len - f->input_read);
	if (*out_len)
		memcpy(buffer, f->input + f->input_read, *out_len);
	f->input_read += *out_len;
	return true;
}

static inline bool write_output(void *data, const void *bytes, size_t len)
{
	g_string_append_len(((Fixture *)data)->out, bytes, (gssize)len);
	return true;
}

static inline bool write_error(void *data, const void *bytes, size_t len)
{
	g_string_append_len(((Fixture *)data)->err, bytes, (gssize)len);
	return true;
}

static inline int run(Fixture *f, const char *line)
{
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) words = prolly_command_split(line, &error);
	ProllyStreams streams = {.read = f->input ? read_input : NULL,
				 .write = write_output,
				 .write_error = write_error,
				 .data = f};

	g_assert_no_error(error);
	g_string_truncate(f->out, 0);
	g_string_truncate(f->err, 0);
	f->input_read = 0;
	f->failure = 0;
	int status = prolly_command_run(f->repo, &f->caller, &streams, (const char *const *)words,
					&f->failure);
	g_autofree char *out = g_strescape(f->out->str, NULL);
	g_autofree char *err = g_strescape(f->err->str, NULL);
	g_test_message("%s -> %d: %.2000s %s", line, status, out, err);
	if (status == 2) {
		g_assert_true(g_str_has_prefix(f->err->str, "prollyfs-ctl: "));
		g_assert_true(strchr(f->err->str, '\n') == f->err->str + f->err->len - 1);
		g_assert_cmpint(f->failure, !=, 0);
	}
	return status;
}

static inline void expect(Fixture *f, int status, const char *output, const char *line)
{
	g_assert_cmpint(run(f, line), ==, status);
	g_assert_cmpstr(f->out->str, ==, output);
}

static inline void done(Fixture *f, const char *line)
{
	g_assert_cmpint(run(f, line), ==, 0);
	g_assert_cmpstr(f->err->str, ==, "");
}

/* Status 2, WHAT in the message, and the errno. */
static inline void refused(Fixture *f, int failure, const char *what, const char *line)
{
	g_assert_cmpint(run(f, line), ==, 2);
	g_assert_nonnull(strstr(f->err->str, what));
	g_assert_cmpint(f->failure, ==, failure);
}

static inline void with_input(Fixture *f, const char *input, size_t len)
{
	f->input = input;
	f->input_len = len;
}

static inline void with_text(Fixture *f, const char *input)
{
	with_input(f, input, strlen(input));
}

static inline void make_history(Fixture *f)
{
	with_text(f, "k1\tone\nk2\ttwo\nk3\tthree\n");
	done(f, "load ns");
	done(f, "-q commit -m base");
	done(f, "branch side");
	done(f, "-b side put ns/k1 theirs");
	done(f, "-b side -q commit -m theirs");
	done(f, "put ns/k2 ours");
	done(f, "-q commit -m ours");
}

/* ---- Tables ------------------------------------------------------------------------------ */

typedef void (*FixtureFunc)(Fixture *f, gconstpointer data);

/* NAME is a test of a store in memory, and of one on disk. */
static inline void add_to(const char *prefix, const char *name, FixtureFunc test)
{
	g_autofree char *in_memory = g_strconcat(prefix, "memory/", name, NULL);
	g_autofree char *on_disk = g_strconcat(prefix, "rocksdb/", name, NULL);
	g_test_add(in_memory, Fixture, NULL, setup, test, teardown);
	g_test_add(on_disk, Fixture, "disk", setup, test, teardown);
}
