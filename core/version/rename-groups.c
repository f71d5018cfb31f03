/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rename-groups: lists of hard links, which name paths, when some of those change.
 *
 * A list is loaded when the first of its members moves and written at the end, once for each group
 * however many of its members do. What is made of a directory ahead of its rename (rename-ahead.c)
 * changes no list yet: its members are noted, and are changed when the rename is made.
 */
#include "version/rename-private.h"

typedef struct {
	GPtrArray *places; /* of ProllyOwnedPlace * */
	guint n_arrived;   /* the last of them, whose records are staged already */
	bool is_changed;   /* the object, by what happens to one of its names */
} Group;

static void group_free(void *data)
{
	Group *group = data;

	g_ptr_array_unref(group->places);
	g_free(group);
}

GHashTable *prolly_rename_new_groups(void)
{
	return g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, group_free);
}

static Group *get_group(ProllyRename *self, uint64_t number, GError **error)
{
	Group *group = g_hash_table_lookup(self->groups, &number);
	GPtrArray *places;

	if (group)
		return group;
	if (!prolly_links_find_members(&self->txn->working, number, &places, error))
		return NULL;
	group = g_new0(Group, 1);
	group->places = places;
	g_hash_table_insert(self->groups, g_memdup2(&number, sizeof(number)), group);
	return group;
}

/* FROM is no member of group NUMBER any more, TO (nullable) is one. */
bool prolly_rename_change_group(ProllyRename *self, uint64_t number, const ProllyPlace *from,
				const ProllyPlace *to, bool is_changed, GError **error)
{
	Group *group;

	if (!number)
		return true;
	if (self->is_ahead) {
		if (to)
			prolly_rename_note_member(self, number, from, to);
		return true;
	}
	group = get_group(self, number, error);
	if (!group)
		return false;
	group->is_changed |= is_changed;
	for (guint i = 0; i < group->places->len - group->n_arrived; i++) {
		const ProllyOwnedPlace *member = g_ptr_array_index(group->places, i);

		if (prolly_place_equal(&member->place, from)) {
			g_ptr_array_remove_index(group->places, i);
			break;
		}
	}
	if (to) {
		g_ptr_array_add(group->places, prolly_place_dup(to));
		group->n_arrived++;
	}
	return true;
}

/* The names that stay where they are. */
static bool touch_members(ProllyRename *self, const Group *group, GError **error)
{
	for (guint i = 0; i < group->places->len - group->n_arrived; i++) {
		const ProllyOwnedPlace *member = g_ptr_array_index(group->places, i);
		g_auto(ProllyFinding) finding = {0};
		g_auto(ProllyAttrRecord) record = {0};

		prolly_finding_init(&finding);
		if (!prolly_transaction_load(self->txn, &member->place, &finding, &record, error))
			return false;
		record.attrs.ctime = self->txn->now;
		prolly_transaction_put_attrs(self->txn, &member->place, &finding, &record);
		prolly_transaction_touch(self->txn, &member->place);
	}
	return true;
}

bool prolly_rename_save_groups(ProllyRename *self, GError **error)
{
	GHashTableIter iter;
	gpointer key, value;

	g_hash_table_iter_init(&iter, self->groups);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		const Group *group = value;

		if (group->is_changed && !touch_members(self, group, error))
			return false;
		prolly_links_save(&self->txn->working, *(uint64_t *)key, group->places,
				  self->txn->batch);
	}
	return true;
}

bool prolly_rename_change_noted(ProllyRename *self, GError **error)
{
	const GArray *members = self->ahead.members;

	for (guint i = 0; i < members->len; i++) {
		const ProllyRenamedMember *member = &g_array_index(members, ProllyRenamedMember, i);

		if (!prolly_rename_change_group(self, member->group, &member->from->place,
						&member->to->place, false, error))
			return false;
	}
	return true;
}
