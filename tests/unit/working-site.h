/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A store in memory with its branch main, and edits and listings in short, for tests of the working
 * set. Whatever fails, fails the test.
 */

#include "version/working-private.h"

#include <string.h>

typedef struct {
	ProllyRepo *repo;
	ProllyBranch *branch;
} Fixture;

static inline void set_up(Fixture *self, gconstpointer data)
{
	ProllyRepoOptions options = {.create = true};
	g_autoptr(GError) error = NULL;

	prolly_repo_open(":memory:", &options, &self->repo, &error);
	g_assert_no_error(error);
	prolly_branch_lookup(self->repo, "main", &self->branch, &error);
	g_assert_no_error(error);
	g_assert_nonnull(self->branch);
}

static inline void tear_down(Fixture *self, gconstpointer data)
{
	prolly_branch_unref(self->branch);
	prolly_repo_free(self->repo);
}

/* ---- Edits in short ---------------------------------------------------------------------- */

static inline ProllyPlace at(const char *ns, const char *key)
{
	return (ProllyPlace){ns, (const uint8_t *)key, strlen(key)};
}

static inline void put_with(Fixture *self, const char *ns, const char *key, const char *content,
			    unsigned flags, ProllyAttrs *out_attrs)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) stored =
		prolly_value_new_inline(PROLLY_KIND_FILE, content, strlen(content));
	ProllyPlace place = at(ns, key);

	prolly_edit_put(self->repo, self->branch, &place, stored, NULL, flags, out_attrs, &error);
	g_assert_no_error(error);
}

static inline void put(Fixture *self, const char *ns, const char *key, const char *content)
{
	put_with(self, ns, key, content, PROLLY_EDIT_KEEP_ATTRS, NULL);
}

static inline void delete (Fixture *self, const char *ns, const char *key)
{
	g_autoptr(GError) error = NULL;
	ProllyPlace place = at(ns, key);

	prolly_edit_delete(self->repo, self->branch, &place, NULL, &error);
	g_assert_no_error(error);
}

static inline void make_directory(Fixture *self, const char *ns, const char *prefix)
{
	g_autoptr(GError) error = NULL;
	ProllyPlace place = at(ns, prefix);

	prolly_edit_make_directory(self->repo, self->branch, &place, NULL, NULL, &error);
	g_assert_no_error(error);
}

static inline bool try_remove_directory(Fixture *self, const char *ns, const char *prefix,
					GError **error)
{
	ProllyPlace place = at(ns, prefix);

	return prolly_edit_remove_directory(self->repo, self->branch, &place, error);
}

static inline bool try_rename(Fixture *self, const char *ns, const char *from, const char *to,
			      unsigned flags, GError **error)
{
	ProllyPlace a = at(ns, from), b = at(ns, to);

	return prolly_edit_rename(self->repo, self->branch, &a, &b, flags, error);
}

/* The message is the branch's name, so that equal commits on two branches are two. */
static inline uint64_t commit(Fixture *self)
{
	ProllySignature author = {(char *)"A", (char *)"a@example.com", 1000000000, 0};
	g_autofree char *name = prolly_branch_dup_name(self->branch);
	ProllyCommitOptions options = {.message = name, .author = &author, .committer = &author};
	g_autoptr(GError) error = NULL;
	ProllyCommitId id;
	uint64_t changes;

	prolly_history_commit(self->repo, self->branch, &options, &id, &changes, &error);
	g_assert_no_error(error);
	return changes;
}

static inline ProllyView *view_of(Fixture *self)
{
	return prolly_view_new_live(self->repo, self->branch);
}

/* (transfer full) The content, or NULL. */
static inline char *get(Fixture *self, const char *ns, const char *key)
{
	g_autoptr(ProllyView) view = view_of(self);
	g_auto(ProllyEntry) entry = {0};
	g_autoptr(GError) error = NULL;
	ProllyPlace place = at(ns, key);
	char buffer[256];
	size_t len;
	bool found;

	prolly_view_get(view, &place, true, &entry, &found, &error);
	g_assert_no_error(error);
	if (!found || entry.kind == PROLLY_KIND_DIRECTORY)
		return NULL;
	prolly_view_read(view, &entry, 0, buffer, sizeof(buffer), &len, &error);
	g_assert_no_error(error);
	return g_strndup(buffer, len);
}

static inline void get_attrs(Fixture *self, const char *ns, const char *key, ProllyAttrs *out_attrs)
{
	g_autoptr(ProllyView) view = view_of(self);
	g_auto(ProllyEntry) entry = {0};
	g_autoptr(GError) error = NULL;
	ProllyPlace place = at(ns, key);
	bool found;

	prolly_view_get(view, &place, true, &entry, &found, &error);
	g_assert_no_error(error);
	g_assert_true(found);
	*out_attrs = entry.attrs;
	out_attrs->xattrs = NULL;
}

static inline void get_directory(Fixture *self, const char *ns, const char *prefix,
				 ProllyAttrs *out_attrs, bool *out_exists, bool *out_empty)
{
	g_autoptr(ProllyView) view = view_of(self);
	g_autoptr(GError) error = NULL;
	ProllyPlace place = at(ns, prefix);

	prolly_view_get_directory(view, &place, out_attrs, out_exists, out_empty, &error);
	g_assert_no_error(error);
}

static inline bool is_directory(Fixture *self, const char *ns, const char *prefix)
{
	bool exists;

	get_directory(self, ns, prefix, NULL, &exists, NULL);
	return exists;
}

static inline bool is_empty(Fixture *self, const char *ns, const char *prefix)
{
	bool exists, empty;

	get_directory(self, ns, prefix, NULL, &exists, &empty);
	g_assert_true(exists);
	return empty;
}

/* All keys of NS, markers with a '/': "a,b/,c". */
static inline char *list_keys(ProllyView *view, const char *ns)
{
	g_autoptr(ProllyViewCursor) cursor = NULL;
	g_autoptr(GError) error = NULL;
	GString *out = g_string_new(NULL);

	prolly_view_cursor_new(view, ns, NULL, 0, true, &cursor, &error);
	g_assert_no_error(error);
	for (prolly_view_cursor_seek(cursor, NULL, 0, &error); prolly_view_cursor_is_valid(cursor);
	     prolly_view_cursor_next(cursor, &error)) {
		const ProllyEntry *entry;
		size_t len;
		const uint8_t *key = prolly_view_cursor_get_key(cursor, &len);

		g_assert_no_error(error);
		prolly_view_cursor_get_entry(cursor, &entry, &error);
		g_assert_no_error(error);
		g_string_append_printf(out, "%s%.*s%s", out->len ? "," : "", (int)len, key,
				       entry->kind == PROLLY_KIND_DIRECTORY ? "/" : "");
	}
	g_assert_no_error(error);
	return g_string_free(out, FALSE);
}

static inline char *list_directory(ProllyView *view, const char *ns, const char *prefix)
{
	g_autoptr(ProllyDirectory) directory = NULL;
	g_autoptr(GError) error = NULL;
	ProllyPlace place = at(ns, prefix);
	GString *out = g_string_new(NULL);
	ProllyDirent dirent;
	bool end;

	prolly_directory_open(view, &place, true, &directory, &error);
	g_assert_no_error(error);
	for (;;) {
		prolly_directory_next(directory, &dirent, &end, &error);
		g_assert_no_error(error);
		if (end)
			break;
		g_string_append_printf(out, "%s%s%s", out->len ? "," : "", dirent.name,
				       dirent.is_directory ? "/" : "");
	}
	return g_string_free(out, FALSE);
}

#define assert_keys(self, ns, expected)                        \
	do {                                                   \
		g_autoptr(ProllyView) view_ = view_of(self);   \
		g_autofree char *keys_ = list_keys(view_, ns); \
		g_assert_cmpstr(keys_, ==, expected);          \
	} while (0)

#define assert_entries(self, ns, prefix, expected)                           \
	do {                                                                 \
		g_autoptr(ProllyView) view_ = view_of(self);                 \
		g_autofree char *names_ = list_directory(view_, ns, prefix); \
		g_assert_cmpstr(names_, ==, expected);                       \
	} while (0)

#define assert_content(self, ns, key, expected)                 \
	do {                                                    \
		g_autofree char *content_ = get(self, ns, key); \
		g_assert_cmpstr(content_, ==, expected);        \
	} while (0)

#define DIRECTORIES (PROLLY_RENAME_FROM_DIRECTORY | PROLLY_RENAME_TO_DIRECTORY)
