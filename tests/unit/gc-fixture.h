/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the tests of garbage collection and of fsck share: keys whose values are numbers, long ones
 * made of them, and a walker that finds what is reached without the help of either.
 */

#include "repo-fixture.h"
#include "version/working-private.h"

#define LONG_VALUE 3000 /* bytes: a blob of one chunk */
#define HUGE_VALUE 400000

/* The content that N stands for: short ones are inline, others blobs. */
static inline GBytes *make_content(unsigned n, size_t len)
{
	uint8_t *bytes = g_malloc(len);
	uint64_t x = n * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		bytes[i] = (uint8_t)(x >> 32);
	}
	return g_bytes_new_take(bytes, len);
}

static inline ProllyPlace make_place(const char *ns, const char *key)
{
	return (ProllyPlace){ns, (const uint8_t *)key, strlen(key)};
}

static inline void stage(ProllyRepo *repo, ProllyBranch *branch, const char *key, unsigned n,
			 size_t len)
{
	g_auto(ProllyGuard) guard = prolly_guard_enter(repo);
	g_autoptr(GBytes) content = make_content(n, len);
	g_autoptr(GBytes) stored = NULL;
	g_autoptr(GError) error = NULL;
	ProllyPlace place = make_place("ns", key);

	prolly_value_store(&repo->context, PROLLY_KIND_FILE, g_bytes_get_data(content, NULL), len,
			   &stored, &error);
	g_assert_no_error(error);
	prolly_edit_put(repo, branch, &place, stored, NULL, 0, NULL, &error);
	g_assert_no_error(error);
}

static inline void unstage(ProllyRepo *repo, ProllyBranch *branch, const char *key)
{
	ProllyPlace place = make_place("ns", key);
	g_autoptr(GError) error = NULL;
	bool found;

	prolly_edit_delete(repo, branch, &place, &found, &error);
	g_assert_no_error(error);
}

static inline void commit(ProllyRepo *repo, ProllyBranch *branch, ProllyCommitId *out_id)
{
	g_auto(ProllySignature) who = {0};
	g_autoptr(GError) error = NULL;
	ProllyCommitOptions options = {
		.message = "m", .author = &who, .committer = &who, .allow_empty = true};
	ProllyCommitId id;
	uint64_t changes;

	prolly_signature_init_default(&who, false, NULL, &error);
	g_assert_no_error(error);
	prolly_history_commit(repo, branch, &options, &id, &changes, &error);
	g_assert_no_error(error);
	if (out_id)
		*out_id = id;
}

/* Reads KEY in VIEW whole, and sees that it is the content of N. */
static inline void assert_content(ProllyView *view, const char *key, unsigned n, size_t len)
{
	g_autoptr(GBytes) content = make_content(n, len);
	g_autofree uint8_t *buffer = g_malloc(len + 1);
	g_auto(ProllyEntry) entry = {0};
	g_autoptr(GError) error = NULL;
	ProllyPlace place = make_place("ns", key);
	size_t got;
	bool found;

	prolly_view_get(view, &place, false, &entry, &found, &error);
	g_assert_no_error(error);
	g_assert_true(found);
	prolly_view_read(view, &entry, 0, buffer, len + 1, &got, &error);
	g_assert_no_error(error);
	g_assert_cmpmem(buffer, got, g_bytes_get_data(content, NULL), len);
}

static inline ProllyView *open_live(ProllyRepo *repo, const char *name)
{
	g_autoptr(ProllyBranch) branch = lookup(repo, name);

	return prolly_view_new_live(repo, branch);
}

/* ---- What is reached --------------------------------------------------------------------- */

typedef struct {
	ProllyRepo *repo;
	GHashTable *nodes; /* of ProllyHash */
	bool is_attributes;
} Reached;

static inline bool add_reached(Reached *reached, const ProllyHash *hash)
{
	return g_hash_table_add(reached->nodes, g_memdup2(hash, sizeof(*hash)));
}

static inline bool reach_blob_child(ProllyNodeClass node_class, const ProllyHash *hash, void *data,
				    GError **error)
{
	add_reached(data, hash);
	return true;
}

static inline void reach_value(Reached *reached, const uint8_t *stored, size_t len)
{
	ProllyValue value;
	g_autoptr(GError) error = NULL;

	prolly_value_parse(stored, len, &value, &error);
	g_assert_no_error(error);
	if (value.is_blob)
		prolly_blob_walk(&reached->repo->context, &value.blob, reach_blob_child, reached,
				 &error);
	g_assert_no_error(error);
}

static inline bool reach_entry(const uint8_t *key, size_t key_len, const uint8_t *stored,
			       size_t len, void *data, GError **error)
{
	Reached *reached = data;

	if (!reached->is_attributes)
		reach_value(reached, stored, len);
	return true;
}

static inline bool reach_node(const ProllyHash *hash, void *data, GError **error)
{
	Reached *reached = data;
	g_autoptr(ProllyNode) node = NULL;

	if (!add_reached(reached, hash))
		return true;
	node = prolly_store_get(reached->repo->context.store, PROLLY_NODE_TREE, hash, error);
	return node && prolly_tree_walk_node(&reached->repo->context, node, reach_node, reach_entry,
					     reached, error);
}

static inline void reach_tree(Reached *reached, const ProllyTree *tree, bool is_attributes)
{
	g_autoptr(GError) error = NULL;

	reached->is_attributes = is_attributes;
	reach_node(&tree->top, reached, &error);
	g_assert_no_error(error);
}

static inline void reach_commit(Reached *reached, const ProllyCommitId *id)
{
	g_autoptr(GArray) namespaces = NULL;
	g_autoptr(GError) error = NULL;

	prolly_commit_load_namespaces(reached->repo, id, &namespaces, &error);
	g_assert_no_error(error);
	for (guint i = 0; i < namespaces->len; i++)
		reach_tree(reached, &g_array_index(namespaces, ProllyNamespace, i).tree, false);
}

/* Every commit that git reaches from references and reflogs. */
static inline void reach_history(Reached *reached)
{
	g_autofree char *list = capture("git --git-dir='%s/git' rev-list --all --reflog",
					prolly_repo_get_path(reached->repo));
	g_auto(GStrv) lines = g_strsplit(list, "\n", -1);

	for (char **line = lines; *line && **line; line++) {
		ProllyCommitId id;

		g_assert_true(prolly_commit_id_from_hex(*line, &id));
		reach_commit(reached, &id);
	}
}

static inline void reach_staged(Reached *reached)
{
	g_autoptr(ProllyDbIter) iter = prolly_db_iter_new(reached->repo->body->db, PROLLY_DB_STAGED,
							  NULL, NULL, 0, NULL, 0);

	for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
	     prolly_db_iter_next(iter)) {
		ProllyStagedRecord record;
		size_t len;
		const uint8_t *bytes = prolly_db_iter_get_key(iter, &len);

		if (bytes[12] != PROLLY_RECORD_ENTRY)
			continue;
		bytes = prolly_db_iter_get_value(iter, &len);
		g_assert_true(prolly_staged_record_parse(bytes, len, &record, NULL));
		if (record.stored)
			reach_value(reached, record.stored, record.stored_len);
	}
}

static inline void reach_branches(Reached *reached)
{
	g_autoptr(GPtrArray) names = NULL;

	g_assert_true(prolly_branch_list(reached->repo, &names, NULL));
	for (guint i = 0; i < names->len; i++) {
		g_autoptr(ProllyBranch) branch = lookup(reached->repo, g_ptr_array_index(names, i));
		g_autoptr(ProllyState) state = prolly_branch_get_state(branch);

		reach_tree(reached, &state->attributes, true);
	}
}

/* (transfer full) The nodes that REPO, a store on disk that nobody else uses, has to have. */
static inline GHashTable *find_reached_nodes(ProllyRepo *repo)
{
	Reached reached = {repo, g_hash_table_new_full(prolly_hash_table_hash,
						       prolly_hash_table_equal, g_free, NULL)};
	g_autoptr(GError) error = NULL;
	ProllyTree empty;

	prolly_tree_init_empty(&repo->context, &empty, &error);
	g_assert_no_error(error);
	add_reached(&reached, &empty.top);
	reach_history(&reached);
	reach_staged(&reached);
	reach_branches(&reached);
	return reached.nodes;
}

static inline bool collect_stored(const ProllyHash *hash, uint64_t size, void *data, GError **error)
{
	g_hash_table_add(data, g_memdup2(hash, sizeof(*hash)));
	return true;
}

/* (transfer full) The nodes that are there. */
static inline GHashTable *list_nodes(ProllyRepo *repo)
{
	GHashTable *nodes = g_hash_table_new_full(prolly_hash_table_hash, prolly_hash_table_equal,
						  g_free, NULL);
	g_autoptr(GError) error = NULL;

	prolly_store_flush(repo->context.store, NULL, &error);
	for (int c = 0; c < 2 && !error; c++)
		prolly_store_foreach(repo->context.store, (ProllyNodeClass)c, collect_stored, nodes,
				     &error);
	g_assert_no_error(error);
	return nodes;
}

/* Is everything of A in B? */
static inline void assert_within(GHashTable *a, GHashTable *b, const char *what)
{
	GHashTableIter iter;
	gpointer hash;
	char hex[PROLLY_HASH_HEX_SIZE];

	g_hash_table_iter_init(&iter, a);
	while (g_hash_table_iter_next(&iter, &hash, NULL)) {
		if (!g_hash_table_contains(b, hash))
			g_error("node %s: %s", prolly_hash_to_hex(hash, hex), what);
	}
}

/* Everything that is reached is there; EXACT: and nothing else. */
static inline void assert_nodes(ProllyRepo *repo, bool exact)
{
	g_autoptr(GHashTable) reached = find_reached_nodes(repo);
	g_autoptr(GHashTable) stored = list_nodes(repo);

	assert_within(reached, stored, "is reached, and not there");
	if (exact)
		assert_within(stored, reached, "is there, and not reached");
}

/* ---- Collecting -------------------------------------------------------------------------- */

static inline void collect(ProllyRepo *repo, int64_t before, ProllyGcFigures *out_figures)
{
	ProllyGcOptions options = {.prune_before = before};
	g_autoptr(GError) error = NULL;

	prolly_gc_run(repo, &options, out_figures, &error);
	g_assert_no_error(error);
}
