/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links: hard-link groups.
 *
 * A group is a list of places, kept with the attributes (staged, then in the branch's tree of them,
 * so that a branch made from this one has it too), under a number: the st_ino that its members
 * share. Each member's own record names the group. Members' values are equal because whoever writes
 * one stages the value for all, in one batch.
 *
 * The list may say too much: a member's key was removed, or its record names another group, or a
 * merge or a load changed its value behind the others. Then it is none any more, which is found
 * when the group is read; so a merge need not know of groups. What is counted is who is still in
 * it.
 */

#include "version/working-private.h"

#include <string.h>

bool prolly_place_equal(const ProllyPlace *a, const ProllyPlace *b)
{
	return !strcmp(a->ns, b->ns) &&
	       !prolly_bytes_compare(a->key, a->key_len, b->key, b->key_len);
}

/* ---- The list ---------------------------------------------------------------------------- */

static bool parse_members(const uint8_t *data, size_t len, GPtrArray *places, GError **error)
{
	ProllyReader reader;

	prolly_reader_init(&reader, data, len);
	while (!prolly_reader_at_end(&reader)) {
		size_t ns_len, key_len;
		const uint8_t *ns = prolly_reader_string(&reader, &ns_len);
		const uint8_t *key = prolly_reader_string(&reader, &key_len);
		g_autofree char *name = ns ? g_strndup((const char *)ns, ns_len) : NULL;

		if (!prolly_reader_ok(&reader))
			return prolly_throw(error, PROLLY_ERROR_CORRUPT,
					    "a record of hard links is damaged");
		g_ptr_array_add(places, prolly_place_dup(&(ProllyPlace){name, key, key_len}));
	}
	return true;
}

bool prolly_links_load(const ProllyWorking *working, uint64_t group, GPtrArray **out_places,
		       GError **error)
{
	g_autoptr(GPtrArray) places = g_ptr_array_new_with_free_func(g_free);
	const GArray *generations = working->state->generations;
	g_auto(ProllyRecordKey) key = {0};
	g_auto(ProllyFinding) finding = {0};
	g_autoptr(GBytes) value = NULL;
	uint8_t number[8];
	ProllyPlace place = {"", number, sizeof(number)};

	prolly_set_be64(number, group);
	prolly_record_key_init(&key, working->branch->id, 0, PROLLY_RECORD_LINKS, "", number,
			       sizeof(number));
	for (guint i = 0; i < generations->len && !value; i++) {
		prolly_record_key_set_generation(&key, g_array_index(generations, uint64_t, i));
		if (!prolly_db_get(working->repo->body->db, PROLLY_DB_STAGED, working->snapshot,
				   key.data, key.len, &value, error))
			return false;
	}
	prolly_finding_init(&finding);
	if (value)
		finding.attrs = g_bytes_get_data(value, &finding.attrs_len);
	else if (!prolly_working_find_committed_attrs(working, PROLLY_RECORD_LINKS, &place,
						      &finding, error))
		return false;
	if (!parse_members(finding.attrs, finding.attrs_len, places, error))
		return false;
	*out_places = g_steal_pointer(&places);
	return true;
}

void prolly_links_save(const ProllyWorking *working, uint64_t group, GPtrArray *places,
		       ProllyDbBatch *batch)
{
	uint64_t generation = g_array_index(working->state->generations, uint64_t, 0);
	g_autoptr(GByteArray) record = g_byte_array_new();
	g_auto(ProllyRecordKey) key = {0};
	uint8_t number[8];

	for (guint i = 0; i < places->len; i++) {
		const ProllyPlace *place = &((ProllyOwnedPlace *)places->pdata[i])->place;

		prolly_append_string(record, place->ns, strlen(place->ns));
		prolly_append_string(record, place->key, place->key_len);
	}
	prolly_set_be64(number, group);
	prolly_record_key_init(&key, working->branch->id, generation, PROLLY_RECORD_LINKS, "",
			       number, sizeof(number));
	prolly_db_batch_put(batch, PROLLY_DB_STAGED, key.data, key.len, record->data, record->len);
}

/* ---- Who is still in it ------------------------------------------------------------------ */

bool prolly_links_is_member(const ProllyWorking *working, const ProllyPlace *place,
			    const ProllyFinding *finding, const ProllyAttrRecord *record,
			    bool *out_is, GError **error)
{
	int64_t time;
	bool moved = false;

	if (!record->attrs.group || !prolly_finding_exists(finding)) {
		*out_is = false;
		return true;
	}
	if (finding->value_level != PROLLY_LEVEL_COMMITTED) {
		*out_is = finding->attrs_level <= finding->value_level;
		return true;
	}
	if (!prolly_moves_find(working, place, false, record->sequence, &time, &moved, error))
		return false;
	*out_is = !moved;
	return true;
}

static bool check_member(const ProllyWorking *working, const ProllyPlace *place, uint64_t group,
			 bool *out_is, GError **error)
{
	g_auto(ProllyFinding) finding = {0};
	g_auto(ProllyAttrRecord) record = {0};

	prolly_finding_init(&finding);
	if (!prolly_working_find(working, place, 0, true, &finding, error) ||
	    !prolly_finding_get_attr_record(&finding, &record, error))
		return false;
	*out_is = false;
	return record.attrs.group != group ||
	       prolly_links_is_member(working, place, &finding, &record, out_is, error);
}

bool prolly_links_find_members(const ProllyWorking *working, uint64_t group, GPtrArray **out_places,
			       GError **error)
{
	g_autoptr(GPtrArray) places = NULL;

	if (!prolly_links_load(working, group, &places, error))
		return false;
	for (guint i = places->len; i-- > 0;) {
		const ProllyOwnedPlace *member = g_ptr_array_index(places, i);
		bool is_member;

		if (!check_member(working, &member->place, group, &is_member, error))
			return false;
		if (!is_member)
			g_ptr_array_remove_index(places, i);
	}
	*out_places = g_steal_pointer(&places);
	return true;
}

bool prolly_links_find_one(const ProllyWorking *working, uint64_t group,
			   ProllyOwnedPlace **out_place, GError **error)
{
	g_autoptr(GPtrArray) places = NULL;
	bool is_member = false;
	guint i = 0;

	if (!prolly_links_load(working, group, &places, error))
		return false;
	for (; i < places->len && !is_member; i++) {
		const ProllyOwnedPlace *member = g_ptr_array_index(places, i);

		if (!check_member(working, &member->place, group, &is_member, error))
			return false;
	}
	*out_place = is_member ? g_ptr_array_steal_index(places, i - 1) : NULL;
	return true;
}

bool prolly_links_list_others(const ProllyWorking *working, const ProllyPlace *place,
			      GPtrArray *places, GError **error)
{
	g_auto(ProllyFinding) finding = {0};
	g_auto(ProllyAttrRecord) record = {0};
	g_autoptr(GPtrArray) members = NULL;

	prolly_finding_init(&finding);
	if (!prolly_working_find(working, place, 0, true, &finding, error) ||
	    !prolly_finding_get_attr_record(&finding, &record, error))
		return false;
	if (!prolly_finding_exists(&finding) || !record.attrs.group)
		return true;
	if (!prolly_links_find_members(working, record.attrs.group, &members, error))
		return false;
	for (guint i = 0; i < members->len; i++) {
		const ProllyOwnedPlace *member = g_ptr_array_index(members, i);

		if (!prolly_place_equal(&member->place, place))
			g_ptr_array_add(places, prolly_place_dup(&member->place));
	}
	return true;
}

bool prolly_links_get_members(ProllyRepo *repo, ProllyBranch *branch, uint64_t group,
			      GPtrArray **out_places, GError **error)
{
	g_autoptr(ProllyState) state = prolly_branch_get_state(branch);
	ProllyWorking working = {.repo = repo, .branch = branch, .state = state};

	return prolly_links_find_members(&working, group, out_places, error);
}
