/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes, their views, and the cache that holds them. */
#include "store/store-private.h"

static unsigned n_destroyed;

static void destroy_view(gpointer view)
{
	n_destroyed++;
	g_free(view);
}

static ProllyNode *make_node(uint64_t number, size_t len)
{
	uint8_t *bytes = g_malloc0(len);
	ProllyHash hash;

	prolly_set_le64(bytes, number);
	prolly_hash_compute(bytes, len, &hash);
	return prolly_node_new_take(PROLLY_NODE_TREE, &hash, g_bytes_new_take(bytes, len));
}

static void test_node_view(void)
{
	ProllyNode *node = make_node(1, 100);
	void *first = g_strdup("first");

	n_destroyed = 0;
	g_assert_null(prolly_node_get_view(node));
	g_assert_true(prolly_node_set_view(node, first, 6, destroy_view) == first);
	g_assert_true(prolly_node_set_view(node, g_strdup("second"), 7, destroy_view) == first);
	g_assert_cmpuint(n_destroyed, ==, 1);
	g_assert_true(prolly_node_get_view(node) == first);
	prolly_node_unref(node);
	g_assert_cmpuint(n_destroyed, ==, 2);
}

/* ---- Arenas ------------------------------------------------------------------------------ */

static ProllyNode *make_arena_node(ProllyArena *arena, size_t len)
{
	ProllyNode *node = prolly_node_new_in_arena(arena, PROLLY_NODE_TREE, len, 300);

	g_assert_nonnull(node);
	memset((uint8_t *)node->bytes, 7, len);
	return node;
}

/* A place is used again; who comes by a stale way gets nothing, or the new node if it is one. */
static void test_arena_reuse(void)
{
	ProllyArena *arena = prolly_arena_new();
	ProllyNode *node = make_arena_node(arena, 3000);

	g_assert_false(prolly_node_try_ref(node)); /* not published */
	prolly_node_publish(node);
	g_assert_true(prolly_node_try_ref(node));
	g_assert_nonnull(prolly_node_take_room(node, 100));
	g_assert_null(prolly_node_take_room(node, 100));
	prolly_node_unref(node);
	prolly_node_unref(node);
	g_assert_false(prolly_node_try_ref(node));

	ProllyNode *other = make_arena_node(arena, 2900);

	g_assert_true(other == node);
	g_assert_false(prolly_node_try_ref(node));
	g_assert_null(prolly_node_get_view(other));
	g_assert_null(prolly_node_take_room(other, 1u << 20));
	g_assert_nonnull(prolly_node_take_room(other, 100));
	prolly_node_publish(other);
	prolly_arena_unref(arena); /* the node holds it */
	prolly_node_unref(other);
}

/* Of all sizes, in several regions, none in another's place. */
static void test_arena_sizes(void)
{
	ProllyArena *arena = prolly_arena_new();
	g_autoptr(GPtrArray) nodes =
		g_ptr_array_new_with_free_func((GDestroyNotify)prolly_node_unref);

	for (unsigned i = 0; i < 600; i++) {
		size_t len = 1 + i * 97 % 50000;
		ProllyNode *node = make_arena_node(arena, len);

		memset((uint8_t *)node->bytes, (int)(i % 251), len);
		prolly_node_publish(node);
		g_ptr_array_add(nodes, node);
	}
	for (unsigned i = 0; i < nodes->len; i++) {
		size_t len;
		const uint8_t *bytes = prolly_node_get_bytes(nodes->pdata[i], &len);

		g_assert_cmpuint((uintptr_t)bytes % 8, ==, 0);
		for (size_t j = 0; j < len; j++)
			g_assert_cmpuint(bytes[j], ==, i % 251);
	}
	g_assert_null(
		prolly_node_new_in_arena(arena, PROLLY_NODE_TREE, PROLLY_ARENA_BLOCK_MAX, 300));
	g_assert_null(prolly_node_new_in_arena(arena, PROLLY_NODE_TREE, G_MAXSIZE, 300));
	prolly_arena_unref(arena);
}

/* A store that closes leaves its memory to the next one, with what is in it. */
static void test_arena_kept(void)
{
	for (unsigned i = 0; i < 3; i++) {
		ProllyArena *arena = prolly_arena_new();
		ProllyNode *nodes[100];

		for (unsigned j = 0; j < G_N_ELEMENTS(nodes); j++) {
			/* Others than before, so that they begin in the middle of those. */
			nodes[j] = make_arena_node(arena, 3000 + 640 * i);
			g_assert_false(prolly_node_try_ref(nodes[j]));
			g_assert_null(prolly_node_get_view(nodes[j]));
			prolly_node_publish(nodes[j]);
		}
		for (unsigned j = 0; j < G_N_ELEMENTS(nodes); j++)
			prolly_node_unref(nodes[j]);
		prolly_arena_unref(arena);
	}
}

/* More than are kept, none of them twice. */
static void test_regions(void)
{
	g_autoptr(GHashTable) taken = g_hash_table_new(NULL, NULL);
	uint8_t *regions[150];

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < G_N_ELEMENTS(regions); i++) {
			size_t absent;

			regions[i] = prolly_region_take(false, &absent);
			g_assert_cmpuint((uintptr_t)regions[i] % PROLLY_REGION_SIZE, ==, 0);
			g_assert_true(absent == 0 || absent == PROLLY_REGION_SIZE);
			g_assert_true(g_hash_table_add(taken, regions[i]));
			regions[i][0] = regions[i][PROLLY_REGION_SIZE - 1] = 1;
		}
		for (unsigned i = 0; i < G_N_ELEMENTS(regions); i++)
			prolly_region_give(regions[i]);
		g_hash_table_remove_all(taken);
	}
	size_t absent;
	uint8_t *last = prolly_region_take(false, &absent);

	prolly_region_give(last);
	g_assert_true(prolly_region_take(true, &absent) == last);
	g_assert_cmpuint(absent, ==, 0);
	prolly_region_give(last);
}

static bool cache_holds(ProllyCache *cache, uint64_t number)
{
	g_autoptr(ProllyNode) named = make_node(number, 1000);
	g_autoptr(ProllyNode) node = prolly_cache_peek(cache, prolly_node_get_hash(named));

	return node != NULL;
}

static void cache_node(ProllyCache *cache, uint64_t number)
{
	prolly_node_unref(prolly_cache_insert(cache, make_node(number, 1000)));
}

static void test_cache_order(void)
{
	g_autoptr(ProllyNode) sample = make_node(0, 1000);
	ProllyCache *cache = prolly_cache_new(3 * prolly_node_get_charge(sample));
	ProllyStoreFigures figures = {0};
	const ProllyHash *hash = prolly_node_get_hash(sample);

	for (unsigned i = 0; i < 3; i++)
		cache_node(cache, i);
	prolly_node_unref(prolly_cache_lookup(cache, hash));
	cache_node(cache, 3); /* the first was used since, so the second goes */
	g_assert_true(cache_holds(cache, 0));
	g_assert_false(cache_holds(cache, 1));
	g_assert_true(cache_holds(cache, 2));
	g_assert_true(cache_holds(cache, 3));
	prolly_cache_remove(cache, hash);
	g_assert_false(cache_holds(cache, 0));
	prolly_cache_add_figures(cache, &figures);
	g_assert_cmpuint(figures.cache_bytes, ==, 2 * prolly_node_get_charge(sample));
	g_assert_cmpuint(figures.cache_evictions, ==, 1);
	g_assert_cmpuint(figures.cache_hits, ==, 1);
	prolly_cache_free(cache);
}

/* A node that is there already stands, and a view counts, whether set before or after. */
static void test_cache_charges(void)
{
	g_autoptr(ProllyNode) node = make_node(0, 1000);
	ProllyCache *cache = prolly_cache_new(10 * prolly_node_get_charge(node));
	ProllyStoreFigures figures = {0};

	n_destroyed = 0;
	node = prolly_cache_insert(cache, node);
	g_autoptr(ProllyNode) standing = prolly_cache_insert(cache, make_node(0, 1000));

	g_assert_true(standing == node);
	prolly_node_set_view(node, g_malloc(10), 5000, destroy_view);
	prolly_cache_add_figures(cache, &figures);
	g_assert_cmpuint(figures.cache_bytes, ==, prolly_node_get_charge(node));
	g_assert_cmpuint(figures.cache_bytes, >, 6000);
	for (unsigned i = 1; i < 20; i++)
		cache_node(cache, i);
	g_assert_false(cache_holds(cache, 0));
	g_assert_true(cache_holds(cache, 19));
	g_assert_cmpuint(n_destroyed, ==, 0); /* still in use here */
	prolly_cache_free(cache);
}

/* Many more nodes than the first table has buckets, in shards. */
static void test_cache_grows(void)
{
	ProllyCache *cache = prolly_cache_new(64u << 20);
	ProllyStoreFigures figures = {0};

	for (unsigned i = 0; i < 20000; i++)
		cache_node(cache, i);
	for (unsigned i = 0; i < 20000; i++)
		g_assert_true(cache_holds(cache, i));
	prolly_cache_add_figures(cache, &figures);
	g_assert_cmpuint(figures.cache_evictions, ==, 0);
	prolly_cache_free(cache);
}

static gpointer run_reader(gpointer data)
{
	ProllyCache *cache = data;

	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 500; i++) {
			g_autoptr(ProllyNode) node = prolly_cache_insert(cache, make_node(i, 1000));
			g_autoptr(ProllyNode) found =
				prolly_cache_lookup(cache, prolly_node_get_hash(node));

			if (i % 7 == 0)
				prolly_node_set_view(node, g_malloc(8), 300, g_free);
			if (i % 11 == 0)
				prolly_cache_remove(cache, prolly_node_get_hash(node));
		}
	}
	return NULL;
}

static void test_cache_threads(void)
{
	ProllyCache *cache = prolly_cache_new(200 * 1200);
	ProllyStoreFigures figures = {0};
	GThread *threads[4];

	for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
		threads[i] = g_thread_new("reader", run_reader, cache);
	for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
		g_thread_join(threads[i]);
	prolly_cache_add_figures(cache, &figures);
	g_assert_cmpuint(figures.cache_bytes, <=, figures.cache_capacity);
	prolly_cache_free(cache);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/store/node/view", test_node_view);
	g_test_add_func("/store/arena/reuse", test_arena_reuse);
	g_test_add_func("/store/arena/sizes", test_arena_sizes);
	g_test_add_func("/store/arena/kept", test_arena_kept);
	g_test_add_func("/store/arena/regions", test_regions);
	g_test_add_func("/store/cache/order", test_cache_order);
	g_test_add_func("/store/cache/charges", test_cache_charges);
	g_test_add_func("/store/cache/grows", test_cache_grows);
	g_test_add_func("/store/cache/threads", test_cache_threads);
	return g_test_run();
}
