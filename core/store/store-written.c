/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much was written: a count of the bytes that went to the back end since the store was opened,
 * and one who waits for it to grow. Whoever decides about garbage collection goes by it, since what
 * is written makes garbage of something else or lets the store grow, and to count is all it costs.
 * A node that the back end has already is counted too, if the cache did not know of it.
 */
#include "store/store-private.h"

void prolly_store_count_written(ProllyShared *shared, uint64_t bytes)
{
	ProllyWritten *self = &shared->written;

	self->bytes += bytes;
	if (!self->func || self->bytes < self->mark)
		return;
	self->mark = UINT64_MAX;
	self->func(self->data);
}

uint64_t prolly_store_get_written(ProllyStore *store)
{
	ProllyShared *shared = store->shared;
	uint64_t bytes;

	g_mutex_lock(&shared->lock);
	bytes = shared->written.bytes;
	g_mutex_unlock(&shared->lock);
	return bytes;
}

void prolly_store_watch_written(ProllyStore *store, uint64_t mark, ProllyWrittenFunc func,
				void *data)
{
	ProllyShared *shared = store->shared;

	g_mutex_lock(&shared->lock);
	shared->written.mark = mark;
	shared->written.func = func;
	shared->written.data = data;
	prolly_store_count_written(shared, 0);
	g_mutex_unlock(&shared->lock);
}
