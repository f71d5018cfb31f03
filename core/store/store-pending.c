/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a node to the back end.
 *
 * A put adds it to `pending`. When that has grown over PENDING_BOUND, or at a flush, the whole set
 * becomes `moving` and goes to the back end in one request, in the order of the puts, while
 * `pending` starts afresh; once the back end has it, it goes to the cache. With a caller's batch it
 * stays in `moving` until the batch was written. If the back end fails, `moving` goes back to the
 * front of `pending`.
 *
 * Over the bound it is a thread of the store's pool that moves, so that the back end's work and its
 * syncs overlap with the making of nodes: 1 GiB of chunks into RocksDB took 5.4 s without it, 2.3 s
 * with it. Over twice the bound whoever puts waits for a move that is under way, and leaves the next
 * one to the thread again: were he to make it himself, nothing would be done while the disk syncs.
 * Over three times the bound there is no thread that moves, or it fails; so he has to, and learns
 * why.
 *
 * The bound is for the memory that a load takes: twice it is pending and twice it moves, at most,
 * where a thread does move. Ten million entries streamed into RocksDB with a cache of 64 MiB took 175
 * MiB with a bound of 16 MiB, 164 with 12, 150 with 10, at the same speed.
 *
 *  P1  A node that was put is at any moment in at least one of pending, moving, back end; and a
 *      reader looks in this order (the cache before all), which is the order in which nodes
 *      move, so it never misses one.
 *  P2  A hash is in at most one of pending and moving. What is in the cache is in one of the three
 *      too, so neither is put again.
 *  P3  Whoever moves nodes holds the turn: spills, flushes, and the time between a flush with a
 *      batch and its end exclude each other. Hence a flush that returns has behind it every node
 *      put before, also those that another thread was moving.
 *
 * Locks: the store's `lock` protects the two sets and the turn, and is never held over a call of the
 * back end; below it are only the cache's. Nobody waits for the turn while a batch is out but who
 * flushes, since its owner may be the one who puts.
 */
#include "base/memory.h"
#include "store/store-private.h"

#define PENDING_BOUND (10u << 20)

/* ---- A set of nodes, in the order in which they were added ------------------------------- */

static void init_set(ProllyNodeSet *set)
{
	*set = (ProllyNodeSet){0};
	set->nodes = g_ptr_array_new_with_free_func((GDestroyNotify)prolly_node_unref);
}

static void clear_set(ProllyNodeSet *set)
{
	prolly_node_table_clear(&set->by_hash);
	g_ptr_array_unref(set->nodes);
}

/* NODE is (transfer full). */
static void add_to_set(ProllyNodeSet *set, ProllyNode *node)
{
	g_ptr_array_add(set->nodes, node);
	prolly_node_table_add(&set->by_hash, node);
	set->bytes += node->len;
}

void prolly_pending_init(ProllyShared *shared)
{
	g_mutex_init(&shared->lock);
	g_cond_init(&shared->turn_free);
	init_set(&shared->pending);
	init_set(&shared->moving);
}

void prolly_pending_clear(ProllyShared *shared)
{
	clear_set(&shared->pending);
	clear_set(&shared->moving);
	g_cond_clear(&shared->turn_free);
	g_mutex_clear(&shared->lock);
}

/* The lock is held. (nullable) */
static ProllyNode *lookup(ProllyShared *shared, const ProllyHash *hash)
{
	ProllyNode *node = prolly_node_table_find(&shared->pending.by_hash, hash);

	return node ? node : prolly_node_table_find(&shared->moving.by_hash, hash);
}

ProllyNode *prolly_pending_find(ProllyShared *shared, const ProllyHash *hash)
{
	g_mutex_lock(&shared->lock);
	ProllyNode *node = lookup(shared, hash);

	if (node)
		prolly_node_ref(node);
	g_mutex_unlock(&shared->lock);
	return node;
}

/* ---- Moving ------------------------------------------------------------------------------ */

/* Waits for the turn, takes it, and makes what is pending moving. The lock is held. */
static void begin_move(ProllyShared *shared)
{
	while (shared->turn != TURN_FREE)
		g_cond_wait(&shared->turn_free, &shared->lock);
	shared->turn = TURN_MOVING;
	shared->mover_called = false;

	ProllyNodeSet empty = shared->moving;

	shared->moving = shared->pending;
	shared->pending = empty;
}

/* To a back end that keeps bytes. */
static bool put_bytes(ProllyBackend *backend, ProllyNode *const *nodes, size_t n,
		      ProllyDbBatch *batch, GError **error)
{
	g_autofree ProllyBackendNode *out = prolly_try_new(ProllyBackendNode, n, "nodes", error);
	bool ok;

	if (!out)
		return false;
	for (size_t i = 0; i < n; i++) {
		out[i].hash = nodes[i]->hash;
		out[i].node_class = (ProllyNodeClass)nodes[i]->node_class;
		out[i].bytes = prolly_node_dup_bytes(nodes[i]);
	}
	ok = backend->class->put_many(backend, out, n, batch, error);
	for (size_t i = 0; i < n; i++)
		g_bytes_unref(out[i].bytes);
	return ok;
}

/* Gives the moving set to the back end. The turn is held, the lock is not. */
static bool put_moving(ProllyShared *shared, ProllyDbBatch *batch, GError **error)
{
	ProllyBackend *backend = shared->backend;
	ProllyNode *const *nodes = (ProllyNode *const *)shared->moving.nodes->pdata;
	size_t n = shared->moving.nodes->len;

	if (n == 0)
		return true;
	if (backend->class->hold_many)
		return backend->class->hold_many(backend, nodes, n, error);
	return put_bytes(backend, nodes, n, batch, error);
}

/*
 * Ends the turn: what was moving is stored, and goes to the cache, or it is pending again, before
 * what was put since.
 */
static void end_move(ProllyShared *shared, bool stored)
{
	ProllyNodeSet done;

	init_set(&done);
	/* Into the cache first, or a reader would read from the back end in between. */
	if (stored)
		prolly_caches_insert(shared->caches, (ProllyNode **)shared->moving.nodes->pdata,
				     shared->moving.nodes->len);
	g_mutex_lock(&shared->lock);
	if (stored) {
		ProllyNodeSet empty = done;

		prolly_store_count_written(shared, shared->moving.bytes);
		done = shared->moving;
		shared->moving = empty;
	} else {
		ProllyNodeSet since = shared->pending;

		for (guint i = 0; i < since.nodes->len; i++)
			add_to_set(&shared->moving, prolly_node_ref(since.nodes->pdata[i]));
		shared->pending = shared->moving;
		shared->moving = done;
		done = since;
	}
	shared->turn = TURN_FREE;
	g_cond_broadcast(&shared->turn_free);
	g_mutex_unlock(&shared->lock);
	clear_set(&done);
}

static bool move_pending(ProllyShared *shared, ProllyDbBatch *batch, bool sync, GError **error)
{
	g_mutex_lock(&shared->lock);
	begin_move(shared);
	g_mutex_unlock(&shared->lock);

	bool ok = put_moving(shared, batch, error) &&
		  (!sync || shared->backend->class->sync(shared->backend, error));

	if (!ok || !batch) {
		end_move(shared, ok);
		return ok;
	}
	g_mutex_lock(&shared->lock);
	shared->turn = TURN_BATCH;
	g_mutex_unlock(&shared->lock);
	return true;
}

bool prolly_pending_flush(ProllyShared *shared, ProllyDbBatch *batch, GError **error)
{
	return move_pending(shared, batch, true, error);
}

void prolly_pending_flushed(ProllyShared *shared, bool written)
{
	g_return_if_fail(shared->turn == TURN_BATCH);
	end_move(shared, written);
}

/* ---- Room -------------------------------------------------------------------------------- */

/* What fails here is pending again, and fails the one who has to move it. */
static void run_mover(void *data)
{
	ProllyShared *shared = data;

	g_mutex_lock(&shared->lock);
	bool is_needed = shared->mover_called;

	g_mutex_unlock(&shared->lock);
	if (is_needed)
		move_pending(shared, NULL, false, NULL);
}

/* What has to be done about the size of `pending` after a put. */
typedef enum {
	ROOM_ENOUGH,
	ROOM_CALL_MOVER,
	ROOM_MOVE_NOW,
} Room;

/* The lock is held; it is given up to wait. */
static Room check_room(ProllyShared *shared)
{
	while (shared->turn == TURN_MOVING && shared->pending.bytes >= 2 * PENDING_BOUND)
		g_cond_wait(&shared->turn_free, &shared->lock);
	if (shared->turn != TURN_FREE || shared->pending.bytes < PENDING_BOUND)
		return ROOM_ENOUGH;
	if (shared->pending.bytes >= 3 * PENDING_BOUND)
		return ROOM_MOVE_NOW;
	if (shared->mover_called)
		return ROOM_ENOUGH;
	shared->mover_called = true;
	return ROOM_CALL_MOVER;
}

bool prolly_pending_add(ProllyShared *shared, ProllyNode **node, GError **error)
{
	bool is_watched;
	Room room;

	g_mutex_lock(&shared->lock);
	ProllyNode *found = lookup(shared, &(*node)->hash);

	if (found)
		prolly_node_ref(found);
	else
		add_to_set(&shared->pending, prolly_node_ref(*node));
	is_watched = g_atomic_pointer_get(&shared->census) != NULL;
	room = check_room(shared);
	g_mutex_unlock(&shared->lock);
	/* The watch may have begun since the put told of it. */
	if (is_watched)
		prolly_census_note_put(shared, &(*node)->hash);

	if (found) {
		prolly_node_unref(*node);
		*node = found;
	}
	if (room == ROOM_CALL_MOVER)
		prolly_pool_call(shared->pool, run_mover, shared);
	return room != ROOM_MOVE_NOW || move_pending(shared, NULL, false, error);
}
