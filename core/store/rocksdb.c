/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RocksDB's library, loaded when it is needed (rocksdb-private.h).
 *
 * Its file, PROLLY_ROCKSDB_LIBRARY, is the one that a program linked to it would ask for, as the build
 * says. It stays loaded to the end of the process: it has threads there.
 */
#include "store/rocksdb-private.h"

#include <dlfcn.h>

typedef struct {
	void *library;
	ProllyRocksdb functions;
	char *failure; /* why there is none; NULL: there is */
} Loaded;

static void *find(Loaded *loaded, const char *name)
{
	void *function = loaded->library ? dlsym(loaded->library, name) : NULL;

	if (!function && !loaded->failure)
		loaded->failure = g_strdup(dlerror());
	return function;
}

static Loaded *load(void)
{
	Loaded *loaded = g_new0(Loaded, 1);

	loaded->library = dlopen(PROLLY_ROCKSDB_LIBRARY, RTLD_LAZY | RTLD_LOCAL);
#define FIND(name) *(void **)&loaded->functions.name = find(loaded, "rocksdb_" #name);
	PROLLY_ROCKSDB_FUNCTIONS(FIND)
#undef FIND
	return loaded;
}

static const Loaded *get(void)
{
	static gsize once = 0;

	if (g_once_init_enter(&once))
		g_once_init_leave(&once, (gsize)load());
	return (const Loaded *)once;
}

bool prolly_rocksdb_load(GError **error)
{
	const Loaded *loaded = get();

	return !loaded->failure ||
	       prolly_throw(error, PROLLY_ERROR_FAILED, "RocksDB: %s", loaded->failure);
}

const ProllyRocksdb *prolly_rocksdb_get(void)
{
	return &get()->functions;
}
