/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which moves of references were carried out before a crash, and git moved the reference after them:
 * the reflog says so. There may be thousands, of which each left a line in it; so each reflog is read
 * once, and lines are compared by their hash.
 */
#include "version/repo-private.h"

#include <string.h>

GHashTable *prolly_ref_updates_group(const GPtrArray *updates)
{
	GHashTable *groups = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
						   (GDestroyNotify)g_ptr_array_unref);

	for (guint i = 0; i < updates->len; i++) {
		ProllyRefUpdate *update = g_ptr_array_index(updates, i);
		GPtrArray *group = g_hash_table_lookup(groups, update->name);

		if (!group) {
			group = g_ptr_array_new();
			g_hash_table_insert(groups, update->name, group);
		}
		g_ptr_array_add(group, update);
	}
	return groups;
}

/* (transfer full) The lines of a reflog, with their newlines; *OUT_LAST, in it, is the last one, or
 * NULL. */
static GHashTable *split_log(GBytes *log, const char **out_last)
{
	GHashTable *lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	gsize len;
	const char *text = g_bytes_get_data(log, &len);
	const char *end = text + len;

	*out_last = NULL;
	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *next = newline ? newline + 1 : end;
		char *line = g_strndup(text, (gsize)(next - text));

		*out_last = line;
		g_hash_table_replace(lines, line, NULL);
		text = next;
	}
	return lines;
}

void prolly_ref_updates_find_done(const GPtrArray *group, GBytes *log, GHashTable *done)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new();
	g_autoptr(GHashTable) lines = NULL;
	const char *last;

	lines = split_log(log, &last);
	for (guint i = 0; last && i < group->len; i++) {
		ProllyRefUpdate *update = g_ptr_array_index(group, i);
		g_autofree char *own = prolly_ref_update_to_line(update);

		if (strcmp(own, last) == 0)
			return;
		if (g_hash_table_contains(lines, own))
			g_ptr_array_add(found, update);
	}
	for (guint i = 0; i < found->len; i++)
		g_hash_table_add(done, g_ptr_array_index(found, i));
}
