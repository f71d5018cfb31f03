/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A back end of libgit2's object database that keeps objects in memory, for :memory: stores.
 * libgit2's own (mempack) cannot find an object by the beginning of its id.
 *
 * Threads: libgit2 calls it with whatever holds body->git_lock; it has no lock of its own.
 */
#include "version/repo-private.h"

#include <string.h>

typedef struct {
	git_odb_backend base;
	GHashTable *objects; /* git_oid * -> Object * */
} MemoryOdb;

typedef struct {
	git_oid id;
	git_object_t type;
	GBytes *bytes;
} Object;

static guint hash_oid(gconstpointer oid)
{
	return prolly_get_le32(((const git_oid *)oid)->id);
}

static gboolean equal_oid(gconstpointer a, gconstpointer b)
{
	return git_oid_equal(a, b);
}

static void free_object(gpointer data)
{
	Object *object = data;

	g_bytes_unref(object->bytes);
	g_free(object);
}

static Object *find_object(git_odb_backend *backend, const git_oid *oid)
{
	return g_hash_table_lookup(((MemoryOdb *)backend)->objects, oid);
}

/* GIT_ENOTFOUND, GIT_EAMBIGUOUS or 0. */
static int find_by_prefix(git_odb_backend *backend, const git_oid *prefix, size_t len,
			  Object **out_object)
{
	GHashTableIter iter;
	gpointer value;
	Object *found = NULL;

	g_hash_table_iter_init(&iter, ((MemoryOdb *)backend)->objects);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		if (git_oid_ncmp(&((Object *)value)->id, prefix, len) != 0)
			continue;
		if (found)
			return GIT_EAMBIGUOUS;
		found = value;
	}
	*out_object = found;
	return found ? 0 : GIT_ENOTFOUND;
}

static int give_object(git_odb_backend *backend, const Object *object, void **out_data,
		       size_t *out_len, git_object_t *out_type)
{
	gsize len;
	const void *data = g_bytes_get_data(object->bytes, &len);
	char *copy = git_odb_backend_data_alloc(backend, len + 1);

	if (!copy)
		return -1;
	if (len > 0)
		memcpy(copy, data, len);
	copy[len] = '\0';
	*out_data = copy;
	*out_len = len;
	*out_type = object->type;
	return 0;
}

static int memory_read(void **out_data, size_t *out_len, git_object_t *out_type,
		       git_odb_backend *backend, const git_oid *oid)
{
	const Object *object = find_object(backend, oid);

	return object ? give_object(backend, object, out_data, out_len, out_type) : GIT_ENOTFOUND;
}

static int memory_read_prefix(git_oid *out_oid, void **out_data, size_t *out_len,
			      git_object_t *out_type, git_odb_backend *backend,
			      const git_oid *prefix, size_t len)
{
	Object *object = NULL;
	int result = find_by_prefix(backend, prefix, len, &object);

	if (result == 0) {
		git_oid_cpy(out_oid, &object->id);
		result = give_object(backend, object, out_data, out_len, out_type);
	}
	return result;
}

static int memory_read_header(size_t *out_len, git_object_t *out_type, git_odb_backend *backend,
			      const git_oid *oid)
{
	const Object *object = find_object(backend, oid);

	if (!object)
		return GIT_ENOTFOUND;
	*out_len = g_bytes_get_size(object->bytes);
	*out_type = object->type;
	return 0;
}

static int memory_write(git_odb_backend *backend, const git_oid *oid, const void *data, size_t len,
			git_object_t type)
{
	Object *object;

	if (find_object(backend, oid))
		return 0;
	object = g_new0(Object, 1);
	git_oid_cpy(&object->id, oid);
	object->type = type;
	object->bytes = g_bytes_new(data, len);
	g_hash_table_insert(((MemoryOdb *)backend)->objects, &object->id, object);
	return 0;
}

static int memory_exists(git_odb_backend *backend, const git_oid *oid)
{
	return find_object(backend, oid) != NULL;
}

static int memory_exists_prefix(git_oid *out_oid, git_odb_backend *backend, const git_oid *prefix,
				size_t len)
{
	Object *object = NULL;
	int result = find_by_prefix(backend, prefix, len, &object);

	if (result == 0)
		git_oid_cpy(out_oid, &object->id);
	return result;
}

static int memory_foreach(git_odb_backend *backend, git_odb_foreach_cb callback, void *payload)
{
	GHashTableIter iter;
	gpointer value;
	int result = 0;

	g_hash_table_iter_init(&iter, ((MemoryOdb *)backend)->objects);
	while (result == 0 && g_hash_table_iter_next(&iter, NULL, &value))
		result = callback(&((Object *)value)->id, payload);
	return result;
}

void prolly_odb_memory_remove(git_odb_backend *backend, const git_oid *oid)
{
	g_hash_table_remove(((MemoryOdb *)backend)->objects, oid);
}

static void memory_free(git_odb_backend *backend)
{
	MemoryOdb *memory = (MemoryOdb *)backend;

	g_hash_table_unref(memory->objects);
	g_free(memory);
}

git_odb_backend *prolly_odb_new_memory(void)
{
	MemoryOdb *memory = g_new0(MemoryOdb, 1);

	git_odb_init_backend(&memory->base, GIT_ODB_BACKEND_VERSION);
	memory->base.read = memory_read;
	memory->base.read_prefix = memory_read_prefix;
	memory->base.read_header = memory_read_header;
	memory->base.write = memory_write;
	memory->base.exists = memory_exists;
	memory->base.exists_prefix = memory_exists_prefix;
	memory->base.foreach = memory_foreach;
	memory->base.free = memory_free;
	memory->objects = g_hash_table_new_full(hash_oid, equal_oid, NULL, free_object);
	return &memory->base;
}
