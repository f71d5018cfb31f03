/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The back end that keeps nothing: for who makes nodes only to learn their hashes, as verifying does,
 * which makes a large value's nodes once more and compares the last one's. The store's own sets and
 * caches bound what is in memory meanwhile. A back end in memory would hold all of it.
 */
#include "store/store-private.h"

static void void_close(ProllyBackend *backend)
{
	g_free(backend);
}

static bool void_get_many(ProllyBackend *backend, ProllyNodeClass node_class,
			  const ProllyHash *hashes, size_t n, GBytes **out_nodes, GError **error)
{
	memset(out_nodes, 0, n * sizeof(*out_nodes));
	return true;
}

static bool void_has_many(ProllyBackend *backend, ProllyNodeClass node_class,
			  const ProllyHash *hashes, size_t n, bool *out_has, GError **error)
{
	memset(out_has, 0, n * sizeof(*out_has));
	return true;
}

static bool void_put_many(ProllyBackend *backend, const ProllyBackendNode *nodes, size_t n,
			  ProllyDbBatch *batch, GError **error)
{
	return true;
}

static bool void_sync(ProllyBackend *backend, GError **error)
{
	return true;
}

static bool void_foreach(ProllyBackend *backend, ProllyNodeClass node_class, ProllyStoreFunc func,
			 void *data, GError **error)
{
	return true;
}

static bool void_delete_many(ProllyBackend *backend, ProllyNodeClass node_class,
			     const ProllyHash *hashes, size_t n, GError **error)
{
	return true;
}

static bool void_get_size(ProllyBackend *backend, uint64_t *out_nodes, uint64_t *out_bytes,
			  GError **error)
{
	*out_nodes = *out_bytes = 0;
	return true;
}

ProllyBackend *prolly_backend_void_new(void)
{
	static const ProllyBackendClass class = {
		.close = void_close,
		.get_many = void_get_many,
		.has_many = void_has_many,
		.put_many = void_put_many,
		.sync = void_sync,
		.foreach = void_foreach,
		.delete_many = void_delete_many,
		.get_size = void_get_size,
	};
	ProllyBackend *self = g_new0(ProllyBackend, 1);

	self->class = &class;
	return self;
}
