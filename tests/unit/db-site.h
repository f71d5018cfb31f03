/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A database in a directory of its own, or in memory, for the tests of the database. */

#include <string.h>

#include <glib/gstdio.h>

#include "remove-tree.h"
#include "store/db.h"

typedef struct {
	char *dir;
	char *path; /* NULL: in memory */
	ProllyDb *db;
} Site;

static inline bool try_open(Site *site, bool create, GError **error)
{
	ProllyDbOptions options = {.path = site->path, .create = create};

	return prolly_db_open(&options, &site->db, error);
}

static inline void open_site(Site *site, bool create)
{
	g_autoptr(GError) error = NULL;

	try_open(site, create, &error);
	g_assert_no_error(error);
}

static inline void close_site(Site *site)
{
	g_clear_pointer(&site->db, prolly_db_close);
}

static inline void set_up(Site *site, gconstpointer in_memory)
{
	site->dir = g_dir_make_tmp("prolly-db-XXXXXX", NULL);
	site->path = in_memory ? NULL : g_build_filename(site->dir, "data", NULL);
	open_site(site, true);
}

static inline void tear_down(Site *site, gconstpointer in_memory)
{
	close_site(site);
	remove_tree(site->dir);
	g_free(site->dir);
	g_free(site->path);
}

static inline void put_in(Site *site, ProllyDbFamily family, const char *key, const char *value,
			  ProllyDbDurability durability)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(site->db);

	prolly_db_batch_put(batch, family, key, strlen(key), value, strlen(value));
	prolly_db_write(site->db, batch, durability, &error);
	g_assert_no_error(error);
}

static inline void put(Site *site, const char *key, const char *value)
{
	put_in(site, PROLLY_DB_META, key, value, PROLLY_DB_BUFFERED);
}

static inline void assert_value_at(Site *site, ProllyDbFamily family,
				   const ProllyDbSnapshot *snapshot, const char *key,
				   const char *expected)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) value = NULL;

	prolly_db_get(site->db, family, snapshot, key, strlen(key), &value, &error);
	g_assert_no_error(error);
	if (!expected) {
		g_assert_null(value);
		return;
	}
	g_assert_nonnull(value);
	g_assert_cmpmem(g_bytes_get_data(value, NULL), g_bytes_get_size(value), expected,
			strlen(expected));
}

static inline void assert_value(Site *site, const char *key, const char *expected)
{
	assert_value_at(site, PROLLY_DB_META, NULL, key, expected);
}
