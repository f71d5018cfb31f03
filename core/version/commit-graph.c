/* SPDX-License-Identifier: Apache-2.0 */
/*
 * git's commit-graph file: all commits with their parents, dates and generation numbers, in a form
 * that is looked things up in without unpacking an object. What has to go through history (graphs,
 * ranges, merge bases; ours, libgit2's and stock git's) is many times faster for it.
 *
 * It is written anew whenever loose objects are packed or commits were removed, and when a log missed
 * it, on the journal's thread or gc's, with a repository object of its own, so it holds no lock. What
 * was committed since is not in it, and is read from its objects as before: the file never has to be
 * right about what is new. It must not name what is gone, though, so who removes commits writes it
 * first. commit-graph-read.c has its format.
 *
 * The bytes are made here: libgit2's own writer (1.5) gives commits wrong generations, by which git
 * leaves commits out of its logs.
 *
 * Written beside and renamed after a sync: a reader finds the old one or the new one, whole.
 */
#include "version/repo-private.h"

#include <string.h>

#define HEADER_SIZE    8u
#define ENTRY_SIZE     12u /* of the table of contents */
#define RECORD_SIZE    36u
#define SHA1_SIZE      20u
#define NO_PARENT      0x70000000u
#define HAS_MORE       0x80000000u
#define GENERATION_MAX 0x3fffffffu
#define TIME_MAX       (((uint64_t)1 << 34) - 1)

G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_repository, git_repository_free)

typedef struct {
	git_oid id, tree;
	guint first_parent; /* in the list of all parents */
	unsigned n_parents;
	uint32_t generation;
	uint64_t time;
	uint32_t position; /* among the ids in order */
} Row;

typedef struct {
	git_repository *repo;
	GArray *rows;      /* of Row, parents before children */
	GArray *parents;   /* of uint32_t: rows */
	GHashTable *index; /* git_oid -> row + 1; the table owns its keys */
	uint32_t *order;   /* rows in the order of their ids */
	guint n_edges;     /* parents that stand in a chunk of their own */
} Graph;

/* ---- The commits ------------------------------------------------------------------------- */

static guint hash_oid(gconstpointer oid)
{
	return prolly_get_le32(((const git_oid *)oid)->id);
}

static gboolean equal_oids(gconstpointer a, gconstpointer b)
{
	return git_oid_equal(a, b);
}

static Row *get_row(const Graph *self, guint i)
{
	return &g_array_index(self->rows, Row, i);
}

/* All its parents are there. */
static int add_row(Graph *self, const git_oid *id)
{
	g_autoptr(git_commit) commit = NULL;
	Row row = {.id = *id, .generation = 1, .first_parent = self->parents->len};
	int result = git_commit_lookup(&commit, self->repo, id);

	if (result < 0)
		return result;
	row.tree = *git_commit_tree_id(commit);
	row.time = (uint64_t)CLAMP(git_commit_time(commit), 0, (int64_t)TIME_MAX);
	row.n_parents = git_commit_parentcount(commit);
	for (unsigned i = 0; i < row.n_parents; i++) {
		guint found = GPOINTER_TO_UINT(
			g_hash_table_lookup(self->index, git_commit_parent_id(commit, i)));
		uint32_t parent = found - 1;

		if (!found)
			return GIT_ENOTFOUND;
		row.generation = MAX(row.generation, get_row(self, parent)->generation + 1);
		g_array_append_val(self->parents, parent);
	}
	row.generation = MIN(row.generation, GENERATION_MAX);
	self->n_edges += row.n_parents > 2 ? row.n_parents - 1 : 0;
	g_array_append_val(self->rows, row);
	g_hash_table_insert(self->index, g_memdup2(id, sizeof(*id)),
			    GUINT_TO_POINTER(self->rows->len));
	return 0;
}

/* What is reachable from any reference. */
static int add_rows(Graph *self)
{
	g_autoptr(git_revwalk) walk = NULL;
	git_oid id;
	int result = git_revwalk_new(&walk, self->repo);

	if (result == 0)
		result = git_revwalk_sorting(walk, GIT_SORT_TOPOLOGICAL | GIT_SORT_REVERSE);
	if (result == 0)
		result = git_revwalk_push_glob(walk, "*");
	while (result == 0) {
		result = git_revwalk_next(&id, walk);
		if (result == 0)
			result = add_row(self, &id);
	}
	return result == GIT_ITEROVER ? 0 : result;
}

static int compare_rows(gconstpointer a, gconstpointer b, gpointer data)
{
	return git_oid_cmp(&get_row(data, *(const uint32_t *)a)->id,
			   &get_row(data, *(const uint32_t *)b)->id);
}

static void sort_rows(Graph *self)
{
	guint n = self->rows->len;

	self->order = g_new(uint32_t, n + 1);
	for (guint i = 0; i < n; i++)
		self->order[i] = i;
	g_qsort_with_data(self->order, (gint)n, sizeof(uint32_t), compare_rows, self);
	for (guint i = 0; i < n; i++)
		get_row(self, self->order[i])->position = i;
}

/* ---- The file ---------------------------------------------------------------------------- */

static void append_contents(const Graph *self, GByteArray *out)
{
	guint n = self->rows->len;
	struct {
		const char *name;
		uint64_t size;
	} chunks[] = {
		{"OIDF", 256 * 4},
		{"OIDL", (uint64_t)n * SHA1_SIZE},
		{"CDAT", (uint64_t)n * RECORD_SIZE},
		{"EDGE", (uint64_t)self->n_edges * 4},
	};
	uint8_t n_chunks = G_N_ELEMENTS(chunks) - (self->n_edges == 0);
	const uint8_t header[] = {'C', 'G', 'P', 'H', 1, 1, n_chunks, 0};
	uint64_t start = HEADER_SIZE + (n_chunks + 1u) * ENTRY_SIZE;

	g_byte_array_append(out, header, sizeof(header));
	for (unsigned i = 0; i < n_chunks; i++) {
		g_byte_array_append(out, (const uint8_t *)chunks[i].name, 4);
		prolly_append_be64(out, start);
		start += chunks[i].size;
	}
	prolly_append_be32(out, 0);
	prolly_append_be64(out, start);
}

static void append_ids(const Graph *self, GByteArray *out)
{
	uint32_t counts[256] = {0}, sum = 0;

	for (guint i = 0; i < self->rows->len; i++)
		counts[get_row(self, i)->id.id[0]]++;
	for (unsigned byte = 0; byte < 256; byte++)
		prolly_append_be32(out, sum += counts[byte]);
	for (guint i = 0; i < self->rows->len; i++)
		g_byte_array_append(out, get_row(self, self->order[i])->id.id, SHA1_SIZE);
}

static uint32_t get_parent(const Graph *self, const Row *row, unsigned i)
{
	uint32_t parent = g_array_index(self->parents, uint32_t, row->first_parent + i);

	return get_row(self, parent)->position;
}

static void append_records(const Graph *self, GByteArray *out)
{
	uint32_t n_edges = 0;

	for (guint i = 0; i < self->rows->len; i++) {
		const Row *row = get_row(self, self->order[i]);
		uint32_t second = NO_PARENT;

		if (row->n_parents > 2)
			second = HAS_MORE | n_edges;
		else if (row->n_parents == 2)
			second = get_parent(self, row, 1);
		n_edges += row->n_parents > 2 ? row->n_parents - 1 : 0;
		g_byte_array_append(out, row->tree.id, SHA1_SIZE);
		prolly_append_be32(out, row->n_parents ? get_parent(self, row, 0) : NO_PARENT);
		prolly_append_be32(out, second);
		prolly_append_be64(out, (uint64_t)row->generation << 34 | row->time);
	}
}

static void append_edges(const Graph *self, GByteArray *out)
{
	for (guint i = 0; self->n_edges && i < self->rows->len; i++) {
		const Row *row = get_row(self, self->order[i]);

		for (unsigned p = 1; row->n_parents > 2 && p < row->n_parents; p++)
			prolly_append_be32(out, get_parent(self, row, p) |
							(p + 1 == row->n_parents ? HAS_MORE : 0));
	}
}

static void append_checksum(GByteArray *out)
{
	g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA1);
	uint8_t digest[SHA1_SIZE];
	gsize len = sizeof(digest);

	g_checksum_update(checksum, out->data, (gssize)out->len);
	g_checksum_get_digest(checksum, digest, &len);
	g_byte_array_append(out, digest, SHA1_SIZE);
}

/* (transfer full) */
static int make_file(git_repository *repo, GByteArray **out_bytes)
{
	Graph self = {
		.repo = repo,
		.rows = g_array_new(FALSE, FALSE, sizeof(Row)),
		.parents = g_array_new(FALSE, FALSE, sizeof(uint32_t)),
		.index = g_hash_table_new_full(hash_oid, equal_oids, g_free, NULL),
	};
	int result = add_rows(&self);

	if (result == 0) {
		GByteArray *bytes = g_byte_array_new();

		sort_rows(&self);
		append_contents(&self, bytes);
		append_ids(&self, bytes);
		append_records(&self, bytes);
		append_edges(&self, bytes);
		append_checksum(bytes);
		*out_bytes = bytes;
	}
	g_array_unref(self.rows);
	g_array_unref(self.parents);
	g_hash_table_unref(self.index);
	g_free(self.order);
	return result;
}

bool prolly_git_write_commit_graph(const char *git_dir, GError **error)
{
	g_autofree char *info_dir = g_build_filename(git_dir, "objects", "info", NULL);
	g_autofree char *path = g_build_filename(info_dir, "commit-graph", NULL);
	g_autoptr(git_repository) repo = NULL;
	g_autoptr(GByteArray) bytes = NULL;
	int result = prolly_git_open_repository(&repo, git_dir);

	if (result == 0)
		result = make_file(repo, &bytes);
	if (result < 0)
		return prolly_throw_git(error, result, "%s", path);
	return g_mkdir_with_parents(info_dir, 0777) == 0 &&
	       g_file_set_contents_full(
		       path, (const char *)bytes->data, (gssize)bytes->len,
		       G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0444, error);
}
