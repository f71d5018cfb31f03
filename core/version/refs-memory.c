/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References in memory, for :memory: stores, and what both kinds of reference store share: updates
 * and the lines they leave in reflogs. Nothing can come between lock and apply here, since all is
 * done under body->git_lock by one process; so locking only compares.
 */
#include "version/refs-private.h"

#include <string.h>

/* ---- Updates ----------------------------------------------------------------------------- */

void prolly_ref_update_free(ProllyRefUpdate *update)
{
	if (!update)
		return;
	g_free(update->name);
	g_free(update->log);
	g_free(update->old_name);
	g_clear_pointer(&update->log_head, g_bytes_unref);
	g_free(update);
}

char *prolly_ref_update_to_line(const ProllyRefUpdate *update)
{
	char from[PROLLY_COMMIT_ID_HEX_SIZE];
	char to[PROLLY_COMMIT_ID_HEX_SIZE];

	return g_strdup_printf("%s %s %s\n", prolly_commit_id_to_hex(&update->from, from),
			       prolly_commit_id_to_hex(&update->to, to), update->log);
}

bool prolly_ref_is_below(const char *name, const char *directory)
{
	size_t len = strlen(directory);

	return strncmp(name, directory, len) == 0 && name[len] == '/';
}

bool prolly_ref_throw_clash(const ProllyRefUpdate *update, const char *other, GError **error)
{
	return prolly_throw(error, PROLLY_ERROR_EXISTS, "%s exists, so %s cannot be made", other,
			    update->name);
}

/* ---- The table --------------------------------------------------------------------------- */

typedef struct {
	ProllyRefs base;
	GHashTable *table; /* name -> Ref * */
} MemoryRefs;

typedef struct {
	ProllyCommitId id;
	GString *log;
} Ref;

static void free_ref(gpointer data)
{
	Ref *ref = data;

	g_string_free(ref->log, TRUE);
	g_free(ref);
}

static Ref *find_ref(ProllyRefs *refs, const char *name)
{
	return g_hash_table_lookup(((MemoryRefs *)refs)->table, name);
}

static bool memory_get(ProllyRefs *refs, const char *name, ProllyCommitId *out_id, bool *out_found,
		       GError **error)
{
	const Ref *ref = find_ref(refs, name);

	*out_found = ref != NULL;
	if (ref)
		*out_id = ref->id;
	return true;
}

static bool memory_list(ProllyRefs *refs, const char *prefix, guint max, GPtrArray *names,
			GError **error)
{
	GHashTableIter iter;
	gpointer name;

	g_hash_table_iter_init(&iter, ((MemoryRefs *)refs)->table);
	while (names->len < max && g_hash_table_iter_next(&iter, &name, NULL))
		if (g_str_has_prefix(name, prefix))
			g_ptr_array_add(names, g_strdup(name));
	return true;
}

/* One that is a directory of the other in git's eyes cannot be made beside it. */
static bool check_place(ProllyRefs *refs, const ProllyRefUpdate *update, GError **error)
{
	GHashTableIter iter;
	gpointer name;

	g_hash_table_iter_init(&iter, ((MemoryRefs *)refs)->table);
	while (g_hash_table_iter_next(&iter, &name, NULL)) {
		if ((prolly_ref_is_below(name, update->name) ||
		     prolly_ref_is_below(update->name, name)) &&
		    g_strcmp0(name, update->old_name) != 0)
			return prolly_ref_throw_clash(update, name, error);
	}
	return true;
}

static bool memory_lock(ProllyRefs *refs, const ProllyRefUpdate *update, GError **error)
{
	static const ProllyCommitId nowhere = {{0}};
	const Ref *ref = find_ref(refs, update->name);

	if (!prolly_commit_id_equal(ref ? &ref->id : &nowhere, &update->from))
		return prolly_throw(error, PROLLY_ERROR_STALE, "%s was moved meanwhile",
				    update->name);
	return !prolly_commit_id_is_zero(&update->from) || check_place(refs, update, error);
}

static bool memory_apply(ProllyRefs *refs, const ProllyRefUpdate *update, GError **error)
{
	g_autofree char *line = prolly_ref_update_to_line(update);
	Ref *ref = find_ref(refs, update->name);

	if (prolly_commit_id_is_zero(&update->to)) {
		g_hash_table_remove(((MemoryRefs *)refs)->table, update->name);
		return true;
	}
	if (!ref) {
		ref = g_new0(Ref, 1);
		ref->log = g_string_new(NULL);
		if (update->log_head)
			g_string_append_len(ref->log, g_bytes_get_data(update->log_head, NULL),
					    (gssize)g_bytes_get_size(update->log_head));
		g_hash_table_insert(((MemoryRefs *)refs)->table, g_strdup(update->name), ref);
	}
	ref->id = update->to;
	if (*update->log)
		g_string_append(ref->log, line);
	return true;
}

static void memory_unlock(ProllyRefs *refs, const ProllyRefUpdate *update)
{
}

/* There is nothing to come back from. */
static bool memory_replay(ProllyRefs *refs, const GPtrArray *updates, GError **error)
{
	return true;
}

static bool memory_load_log(ProllyRefs *refs, const char *name, GBytes **out_log, GError **error)
{
	const Ref *ref = find_ref(refs, name);

	*out_log = ref ? g_bytes_new(ref->log->str, ref->log->len) : NULL;
	return true;
}

static void memory_free(ProllyRefs *refs)
{
	g_hash_table_unref(((MemoryRefs *)refs)->table);
	g_free(refs);
}

ProllyRefs *prolly_refs_new_memory(void)
{
	static const ProllyRefsOps ops = {
		.free = memory_free,
		.get = memory_get,
		.list = memory_list,
		.lock = memory_lock,
		.apply = memory_apply,
		.unlock = memory_unlock,
		.replay = memory_replay,
		.load_log = memory_load_log,
	};
	MemoryRefs *memory = g_new0(MemoryRefs, 1);

	memory->base.ops = &ops;
	memory->table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_ref);
	return &memory->base;
}
