/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The namespaces of a working state.
 *
 * A namespace exists by itself: a record says that it was made or removed, the newest has the say, and
 * without one the committed state. Who puts a key into one that is not there makes such a record, and
 * who removes a namespace has removed its keys. So keys need not be looked for, but after a move
 * (merge, reset) from under what is staged, which knows nothing of that:
 *   - it takes away a namespace in which keys are staged;
 *   - it brings keys into a namespace that is staged as removed, or says itself, under keys that are
 *     staged in it, that it is not there.
 * Either way it is there while it has keys, and whoever takes one of them makes it exist by itself
 * (transaction.c). The unnamed namespace is always there.
 */
#include "version/working-private.h"

/* NS was removed. It is there all the same if it has keys: a move has brought them, or came from under
 * those that are staged. */
static bool is_back(const ProllyWorking *working, const char *ns, bool *out_is, GError **error)
{
	return prolly_working_is_moved(working, out_is, error) &&
	       (!*out_is ||
		prolly_working_has_keys(working, &(ProllyPlace){ns, NULL, 0}, out_is, error));
}

/* What the newest record of NS says. *OUT_FOUND false: there is none. */
static bool find_namespace_record(const ProllyWorking *working, const char *ns, bool *out_found,
				  bool *out_exists, GError **error)
{
	g_auto(ProllyRecordKey) key = {0};
	int n = prolly_working_count_generations(working);

	*out_found = false;
	if (n)
		prolly_record_key_init(&key, working->branch->id, 0, PROLLY_RECORD_NAMESPACE, ns,
				       NULL, 0);
	for (int level = 0; level < n && !*out_found; level++) {
		g_autoptr(GBytes) value = NULL;

		if (!prolly_working_get_record(working, &key, level, &value, error))
			return false;
		*out_found = value != NULL;
		*out_exists = value && prolly_staged_namespace_exists(value);
	}
	return true;
}

bool prolly_working_is_namespace_made(const ProllyWorking *working, const char *ns, bool *out_is,
				      GError **error)
{
	bool found;

	if (!find_namespace_record(working, ns, &found, out_is, error))
		return false;
	if (!found)
		*out_is = prolly_state_find_namespace(working->state, ns);
	return true;
}

bool prolly_working_has_namespace(const ProllyWorking *working, const char *ns, bool *out_has,
				  GError **error)
{
	bool found = false;

	*out_has = !ns[0];
	if (*out_has)
		return true;
	if (!find_namespace_record(working, ns, &found, out_has, error))
		return false;
	if (found)
		return *out_has || is_back(working, ns, out_has, error);
	*out_has = prolly_state_find_namespace(working->state, ns);
	/* A move may have taken it away under what is staged in it. */
	return *out_has || !prolly_working_count_generations(working) ||
	       prolly_working_has_keys(working, &(ProllyPlace){ns, NULL, 0}, out_has, error);
}

/* Notes for the namespaces that generation LEVEL made or removed which. The newest has the say, but
 * not for the unnamed one. */
static bool collect_namespaces(const ProllyWorking *working, int level, GHashTable *seen,
			       GPtrArray *names, GError **error)
{
	g_autoptr(ProllyDbIter) iter =
		prolly_staged_iter_new(working, level, PROLLY_RECORD_NAMESPACE, NULL, NULL, 0);

	for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
	     prolly_db_iter_next(iter)) {
		size_t len, value_len, rest_len;
		const uint8_t *data = prolly_db_iter_get_key(iter, &len), *rest;
		const uint8_t *value = prolly_db_iter_get_value(iter, &value_len);
		const char *ns;
		bool has;

		if (!prolly_record_key_split(data, len, &ns, &rest, &rest_len) || !value_len)
			return prolly_throw(error, PROLLY_ERROR_CORRUPT,
					    "a staged record of a namespace is damaged");
		if (!ns[0] || g_hash_table_contains(seen, ns))
			continue;
		g_hash_table_add(seen, g_strdup(ns));
		has = value[0];
		if (!has && !is_back(working, ns, &has, error))
			return false;
		if (has)
			g_ptr_array_add(names, g_strdup(ns));
	}
	return prolly_db_iter_check(iter, error);
}

/* Adds the namespaces in which generation LEVEL has entries to STAGED. */
static bool collect_staged(const ProllyWorking *working, int level, GHashTable *staged,
			   GError **error)
{
	g_autoptr(ProllyDbIter) iter =
		prolly_staged_iter_new(working, level, PROLLY_RECORD_ENTRY, NULL, NULL, 0);

	prolly_db_iter_seek_first(iter);
	while (prolly_db_iter_is_valid(iter)) {
		size_t len, rest_len;
		const uint8_t *data = prolly_db_iter_get_key(iter, &len), *rest;
		g_auto(ProllyRecordKey) behind = {0};
		const char *ns;

		if (!prolly_record_key_split(data, len, &ns, &rest, &rest_len))
			return prolly_throw(error, PROLLY_ERROR_CORRUPT, "a staged key is damaged");
		g_hash_table_add(staged, g_strdup(ns));
		prolly_record_key_init(&behind, working->branch->id,
				       prolly_working_get_generation(working, level),
				       PROLLY_RECORD_ENTRY, ns, NULL, 0);
		behind.data[behind.len - 1] = 1; /* its NUL */
		prolly_db_iter_seek(iter, behind.data, behind.len);
	}
	return prolly_db_iter_check(iter, error);
}

/* Adds the namespaces that are there only because keys are staged in them: a move has taken them
 * away from under those. */
static bool add_staged(const ProllyWorking *working, GHashTable *seen, GPtrArray *names,
		       GError **error)
{
	g_autoptr(GHashTable) staged = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	GHashTableIter iter;
	gpointer ns;
	bool has;

	for (int level = 0; level < prolly_working_count_generations(working); level++)
		if (!collect_staged(working, level, staged, error))
			return false;
	g_hash_table_iter_init(&iter, staged);
	while (g_hash_table_iter_next(&iter, &ns, NULL)) {
		if (g_hash_table_contains(seen, ns))
			continue;
		if (!prolly_working_has_keys(working, &(ProllyPlace){ns, NULL, 0}, &has, error))
			return false;
		if (has)
			g_ptr_array_add(names, g_strdup(ns));
	}
	return true;
}

bool prolly_working_list_namespaces(const ProllyWorking *working, GPtrArray **out_names,
				    GError **error)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	const GArray *committed = working->state->namespaces;

	for (int level = 0; level < prolly_working_count_generations(working); level++)
		if (!collect_namespaces(working, level, seen, names, error))
			return false;
	for (guint i = 0; i < committed->len; i++) {
		const char *name = g_array_index(committed, ProllyNamespace, i).name;

		if (!g_hash_table_contains(seen, name)) {
			g_hash_table_add(seen, g_strdup(name));
			g_ptr_array_add(names, g_strdup(name));
		}
	}
	if (!g_hash_table_contains(seen, "")) {
		g_hash_table_add(seen, g_strdup(""));
		g_ptr_array_add(names, g_strdup(""));
	}
	if (!add_staged(working, seen, names, error))
		return false;
	g_ptr_array_sort(names, prolly_strings_compare);
	*out_names = g_steal_pointer(&names);
	return true;
}
