/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints of a database, quiet or written to: what they hold, and what is left when one fails. */
#include "db-site.h"

#include <sys/stat.h>

#include "store/db-private.h"

/* Site.db is the checkpoint's then; the database itself is returned. */
static ProllyDb *open_checkpoint(Site *site, const char *path)
{
	ProllyDb *db = site->db;
	char *own = site->path;

	site->path = (char *)path;
	open_site(site, false);
	site->path = own;
	return db;
}

static void close_checkpoint(Site *site, ProllyDb *db, const char *path)
{
	g_autofree char *mark = g_strconcat(path, ".mark", NULL);

	close_site(site);
	site->db = db;
	remove_tree(path);
	g_assert_cmpint(g_unlink(mark), ==, 0);
}

static void ingest(Site *site, const char *key)
{
	const ProllyDbEntry entry = {key, strlen(key), "ingested", 8};
	g_autoptr(GError) error = NULL;

	prolly_db_ingest(site->db, PROLLY_DB_NODES, &entry, 1, &error);
	g_assert_no_error(error);
}

static char *make_checkpoint(Site *site)
{
	g_autoptr(GError) error = NULL;
	char *path = g_build_filename(site->dir, "copy", NULL);

	prolly_db_checkpoint(site->db, path, &error);
	g_assert_no_error(error);
	return path;
}

/* What is in tables, in memory and the log, and in what was ingested; and nothing that comes later. */
static void test_contents(Site *site, gconstpointer in_memory)
{
	g_autofree char *path = NULL;
	ProllyDb *db;

	put(site, "table", "1");
	prolly_db_shorten_log(site->db, 0);
	put(site, "log", "2");
	ingest(site, "node");
	path = make_checkpoint(site);
	put(site, "table", "3");
	put(site, "later", "4");
	ingest(site, "node after");
	prolly_db_shorten_log(site->db, 0);

	db = open_checkpoint(site, path);
	assert_value(site, "table", "1");
	assert_value(site, "log", "2");
	assert_value(site, "later", NULL);
	assert_value_at(site, PROLLY_DB_NODES, NULL, "node", "ingested");
	assert_value_at(site, PROLLY_DB_NODES, NULL, "node after", NULL);
	put(site, "own", "5");
	close_checkpoint(site, db, path);
	assert_value(site, "table", "3");
	assert_value(site, "own", NULL);
}

/* One that cannot be made is an error, and the database goes on; also when one can be again. */
static void test_failure(Site *site, gconstpointer in_memory)
{
	g_autofree char *nowhere = g_build_filename(site->dir, "absent", "copy", NULL);
	g_autofree char *path = g_build_filename(site->dir, "copy", NULL);
	g_autofree char *mark = g_strconcat(path, ".mark", NULL);
	g_autoptr(GError) error = NULL;
	ProllyDb *db;

	put(site, "a", "1");
	g_assert_false(prolly_db_checkpoint(site->db, nowhere, &error));
	g_assert_error(error, PROLLY_ERRNO, ENOENT);
	g_clear_error(&error);
	/* Its last step. */
	g_assert_cmpint(g_mkdir(mark, 0777), ==, 0);
	g_assert_false(prolly_db_checkpoint(site->db, path, &error));
	g_assert_error(error, PROLLY_ERRNO, EISDIR);
	g_clear_error(&error);
	g_assert_cmpint(g_rmdir(mark), ==, 0);
	g_assert_false(prolly_db_checkpoint(site->db, path, &error));
	g_assert_error(error, PROLLY_ERRNO, EEXIST);
	remove_tree(path);

	put(site, "a", "2");
	g_free(make_checkpoint(site));
	db = open_checkpoint(site, path);
	assert_value(site, "a", "2");
	close_checkpoint(site, db, path);
}

/* ---- While it is written to -------------------------------------------------------------- */

#define N_CHECKPOINTS 12
#define INGEST_EACH   3
#define FLUSH_EACH    101

typedef struct {
	Site *site;
	gint n_written; /* atomic: the keys 1 to this one are there */
	gint stop;      /* atomic */
} Writer;

static void format_key(char out[16], int i)
{
	g_snprintf(out, 16, "%09d", i);
}

/* Each key after the one before, and of some a node first. */
static gpointer write_on(gpointer data)
{
	Writer *self = data;
	char key[16];

	for (int i = 1; !g_atomic_int_get(&self->stop); i++) {
		format_key(key, i);
		if (i % INGEST_EACH == 0)
			ingest(self->site, key);
		put(self->site, key, "value");
		if (i % FLUSH_EACH == 0)
			prolly_db_shorten_log(self->site->db, 0);
		g_atomic_int_set(&self->n_written, i);
	}
	return NULL;
}

/* How many of the keys are there: the first ones, with their nodes. */
static int count_keys(Site *site)
{
	g_autoptr(ProllyDbIter) iter =
		prolly_db_iter_new(site->db, PROLLY_DB_META, NULL, "", 0, NULL, 0);
	int n = 0;

	for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
	     prolly_db_iter_next(iter)) {
		size_t len;
		const uint8_t *found = prolly_db_iter_get_key(iter, &len);
		char key[16];

		format_key(key, ++n);
		g_assert_cmpmem(found, len, key, strlen(key));
		if (n % INGEST_EACH == 0)
			assert_value_at(site, PROLLY_DB_NODES, NULL, key, "ingested");
	}
	g_assert_true(prolly_db_iter_check(iter, NULL));
	return n;
}

static void test_written_to(Site *site, gconstpointer in_memory)
{
	Site writing = *site;
	Writer writer = {.site = &writing};
	GThread *thread = g_thread_new("writer", write_on, &writer);

	for (int i = 0; i < N_CHECKPOINTS; i++) {
		int before = g_atomic_int_get(&writer.n_written);
		g_autofree char *path = make_checkpoint(site);
		ProllyDb *db = open_checkpoint(site, path);

		g_assert_cmpint(count_keys(site), >=, before);
		close_checkpoint(site, db, path);
	}
	g_atomic_int_set(&writer.stop, 1);
	g_thread_join(thread);
	g_assert_cmpint(count_keys(site), >=, g_atomic_int_get(&writer.n_written));
}

static void test_in_memory(Site *site, gconstpointer in_memory)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(prolly_db_checkpoint(site->db, "/nowhere", &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
}

#define ADD_CHECKPOINT_TEST(name, in_memory, func) \
	g_test_add("/db/checkpoint/" name, Site, in_memory, set_up, func, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD_CHECKPOINT_TEST("contents", NULL, test_contents);
	ADD_CHECKPOINT_TEST("failure", NULL, test_failure);
	ADD_CHECKPOINT_TEST("written-to", NULL, test_written_to);
	ADD_CHECKPOINT_TEST("in-memory", "in memory", test_in_memory);
	return g_test_run();
}
