/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of nodes, against GLib's; and the back end in memory, which is one. */
#include "store/store-private.h"

typedef struct {
	uint64_t state;
} Random;

static uint64_t draw(Random *self, uint64_t below)
{
	self->state ^= self->state << 13;
	self->state ^= self->state >> 7;
	self->state ^= self->state << 17;
	return (self->state >> 16) % below;
}

/* Node NUMBER of those whose hash begins with TAG. */
static ProllyNode *make_node(uint64_t tag, uint64_t number)
{
	ProllyHash hash = {{0}};

	prolly_set_le64(hash.bytes, tag);
	prolly_set_le64(hash.bytes + 24, number);
	return prolly_node_new_take(PROLLY_NODE_CHUNK, &hash, g_bytes_new(NULL, 0));
}

/* ---- The table --------------------------------------------------------------------------- */

/* Everything that is there is found, and nothing else is. */
static void assert_same(const ProllyNodeTable *table, GHashTable *want, GPtrArray *all)
{
	g_assert_cmpuint(table->n, ==, g_hash_table_size(want));
	g_assert_cmpuint(table->n_slots, >=, 2 * table->n);
	for (guint i = 0; i < all->len; i++) {
		ProllyNode *node = all->pdata[i];
		bool there = g_hash_table_contains(want, &node->hash);

		g_assert_true(prolly_node_table_find(table, &node->hash) == (there ? node : NULL));
	}
}

/* Nodes come and go, of few tags or many: long runs of slots, some of which go around the end. */
static void run_random(uint64_t n_tags, uint64_t stride, guint n_nodes)
{
	Random random = {UINT64_C(0x9e3779b97f4a7c15) ^ n_tags};
	g_autoptr(GPtrArray) all =
		g_ptr_array_new_with_free_func((GDestroyNotify)prolly_node_unref);
	g_autoptr(GHashTable) want =
		g_hash_table_new(prolly_hash_table_hash, prolly_hash_table_equal);
	ProllyNodeTable table = {0};

	for (guint i = 0; i < n_nodes; i++)
		g_ptr_array_add(all, make_node(UINT64_MAX - stride * draw(&random, n_tags), i));
	assert_same(&table, want, all);
	for (guint step = 0; step < 20 * n_nodes; step++) {
		ProllyNode *node = all->pdata[draw(&random, n_nodes)];

		if (g_hash_table_remove(want, &node->hash)) {
			g_assert_true(prolly_node_table_remove(&table, &node->hash) == node);
		} else {
			g_assert_null(prolly_node_table_remove(&table, &node->hash));
			prolly_node_table_prefetch(&table, &node->hash);
			prolly_node_table_add(&table, node);
			g_hash_table_add(want, &node->hash);
		}
		if (step % n_nodes == 0)
			assert_same(&table, want, all);
	}
	assert_same(&table, want, all);
	prolly_node_table_clear(&table);
	g_assert_cmpuint(table.n, ==, 0);
	g_assert_null(prolly_node_table_find(&table, &((ProllyNode *)all->pdata[0])->hash));
}

static void test_one_tag(void)
{
	run_random(1, 1, 100);
}

static void test_neighbours(void)
{
	run_random(40, 1, 300);
}

static void test_same_slot(void)
{
	run_random(300, 1 << 16, 300);
}

static void test_uniform(void)
{
	run_random(UINT32_MAX, UINT64_C(0x9e3779b97f4a7c15), 3000);
}

/* ---- The back end in memory -------------------------------------------------------------- */

#define SMALL_CACHE (2u << 20)
#define N           2000u

static ProllyHash put(ProllyStore *store, unsigned number)
{
	uint8_t *bytes = g_malloc0(4096);
	ProllyHash hash;

	prolly_set_le32(bytes, number);
	g_assert_true(prolly_store_put(store, PROLLY_NODE_TREE, bytes, 4096, &hash, NULL, NULL));
	return hash;
}

/* What the cache has let go is the very node that was put; and gone when it is deleted. */
static void test_held(void)
{
	ProllyStoreOptions options = {.kind = PROLLY_BACKEND_MEMORY, .cache_size = SMALL_CACHE};
	g_autoptr(ProllyStore) store = NULL;
	ProllyNodeLink link = {NULL};
	ProllyStoreFigures figures;
	ProllyHash first;

	g_assert_true(prolly_store_open(&options, &store, NULL));
	first = put(store, 0);
	g_autoptr(ProllyNode) node = prolly_store_get(store, PROLLY_NODE_TREE, &first, NULL);

	for (unsigned i = 1; i < N; i++)
		put(store, i);
	g_assert_true(prolly_store_flush(store, NULL, NULL));
	g_assert_true(prolly_store_get_figures(store, &figures, NULL));
	g_assert_cmpuint(figures.nodes, ==, N);
	g_assert_cmpuint(figures.bytes, ==, N * 4096);
	g_assert_cmpuint(figures.cache_evictions, >, 0);
	g_assert_null(prolly_cache_peek(store->shared->caches[PROLLY_NODE_TREE], &first));

	g_autoptr(ProllyNode) again = prolly_store_get(store, PROLLY_NODE_TREE, &first, NULL);

	g_assert_true(again == node);
	prolly_store_link(store, &link, node);
	g_assert_true(prolly_store_delete_many(store, PROLLY_NODE_TREE, &first, 1, NULL));
	g_assert_null(prolly_store_follow(store, &link, &first));
	g_assert_null(prolly_store_get(store, PROLLY_NODE_TREE, &first, NULL));
}

/* Who wants what is stored, and not what is in memory, reads and checks it. */
static void test_direct(void)
{
	g_autoptr(ProllyStore) store = prolly_store_new_memory();
	g_autoptr(ProllyStore) direct = prolly_store_new_direct(store);
	ProllyHash hash = put(store, 1);

	g_assert_true(prolly_store_flush(store, NULL, NULL));

	g_autoptr(ProllyNode) node = prolly_store_get(store, PROLLY_NODE_TREE, &hash, NULL);
	g_autoptr(ProllyNode) read = prolly_store_get(direct, PROLLY_NODE_TREE, &hash, NULL);

	g_assert_nonnull(read);
	g_assert_true(prolly_hash_equal(prolly_node_get_hash(read), &hash));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/store/table/one-tag", test_one_tag);
	g_test_add_func("/store/table/neighbours", test_neighbours);
	g_test_add_func("/store/table/same-slot", test_same_slot);
	g_test_add_func("/store/table/uniform", test_uniform);
	g_test_add_func("/store/memory/held", test_held);
	g_test_add_func("/store/memory/direct", test_direct);
	return g_test_run();
}
