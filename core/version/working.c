/* SPDX-License-Identifier: Apache-2.0 */

/*
 * working: what a key is now: its newest staged record laid over older ones, laid over what is
 * committed.
 *
 * A lookup goes through the generations, newest first, and stops as soon as it knows what it was
 * asked for. Value and attributes are found each on its own: a chmod is a record of attributes over
 * the value that an older generation, or the tree, has; a loaded value lies over older attributes.
 * A tombstone ends both searches. The records stay where they are (in the database's buffers, in
 * the tree's node) and the finding borrows them, so a lookup copies nothing.
 *
 * Times. A record's times hold
 *   - with a staged value, if the attributes are of the same generation or a newer one;
 *   - with a staged value that is newer than the attributes (a load), never: then it is the time of
 *     the load; unless the value is what is committed anyway, which is no change;
 *   - with a committed value, unless a move after the record's sequence changed the key (moves.c).
 * What has neither has the time of the newest move that changed it, or else that of the head.
 *
 * A marker that a load lies over is void if the load has keys below that directory. The load does
 * not see to it itself, because it neither reads nor locks anything while it is made.
 */

#include "version/working-private.h"

#include <string.h>

/* ---- Findings ---------------------------------------------------------------------------- */

void prolly_finding_init(ProllyFinding *finding)
{
	memset(finding, 0, sizeof(*finding));
	finding->value_level = PROLLY_LEVEL_NONE;
	finding->attrs_level = PROLLY_LEVEL_NONE;
}

void prolly_finding_clear(ProllyFinding *finding)
{
	g_clear_pointer(&finding->keep_value, g_bytes_unref);
	g_clear_pointer(&finding->keep_attrs, g_bytes_unref);
	prolly_value_ref_clear(&finding->keep_committed);
	prolly_value_ref_clear(&finding->keep_committed_attrs);
}

bool prolly_finding_add(ProllyFinding *finding, int level, const uint8_t *data, size_t len,
			GError **error)
{
	ProllyStagedRecord record;

	if (!prolly_staged_record_parse(data, len, &record, error))
		return false;
	if (!finding->attrs_known && record.flags & PROLLY_STAGED_ATTRS) {
		finding->attrs_known = true;
		finding->attrs_level = level;
		finding->attrs = record.attrs;
		finding->attrs_len = record.attrs_len;
	}
	if (!finding->value_known && record.flags & PROLLY_STAGED_VALUE) {
		finding->value_known = true;
		finding->value_level = level;
		finding->stored = record.stored;
		finding->stored_len = record.stored_len;
		finding->extents = record.extents;
		finding->base_length = record.base_length;
		finding->length = record.length;
	}
	if (record.flags & PROLLY_STAGED_TOMBSTONE) {
		finding->deleted |= !finding->value_known;
		finding->value_known = true;
		finding->attrs_known = true;
	}
	return true;
}

bool prolly_finding_is_marker(const ProllyFinding *finding)
{
	return prolly_finding_exists(finding) && !finding->extents && finding->stored_len &&
	       finding->stored[0] == PROLLY_KIND_DIRECTORY;
}

bool prolly_finding_get_attr_record(const ProllyFinding *finding, ProllyAttrRecord *out_record,
				    GError **error)
{
	if (finding->attrs_level != PROLLY_LEVEL_NONE)
		return prolly_attr_record_parse(finding->attrs, finding->attrs_len, out_record,
						error);
	memset(out_record, 0, sizeof(*out_record));
	return true;
}

bool prolly_finding_to_entry(const ProllyFinding *finding, ProllyEntry *out_entry, GError **error)
{
	ProllyValue value;

	if (!prolly_value_parse(finding->stored, finding->stored_len, &value, error))
		return false;
	out_entry->stored = g_bytes_new(finding->stored, finding->stored_len);
	out_entry->kind = value.kind;
	out_entry->length = finding->extents ? finding->length : value.length;
	out_entry->extents = finding->extents;
	out_entry->base_length = finding->base_length;
	out_entry->is_staged = finding->value_level != PROLLY_LEVEL_COMMITTED;
	return true;
}

/* ---- Keys -------------------------------------------------------------------------------- */

static bool is_load(const ProllyWorking *working, int level)
{
	return prolly_working_get_generation(working, level) & PROLLY_GENERATION_LOAD;
}

bool prolly_working_get_record(const ProllyWorking *working, ProllyRecordKey *key, int level,
			       GBytes **out_value, GError **error)
{
	prolly_record_key_set_generation(key, prolly_working_get_generation(working, level));
	return prolly_db_get(working->repo->body->db, PROLLY_DB_STAGED, working->snapshot,
			     key->data, key->len, out_value, error);
}

static bool add_level(const ProllyWorking *working, ProllyRecordKey *key, int level,
		      ProllyFinding *finding, GError **error)
{
	g_autoptr(GBytes) record = NULL;
	bool had_value = finding->value_known, had_attrs = finding->attrs_known;
	size_t len;
	const void *data;

	if (!prolly_working_get_record(working, key, level, &record, error))
		return false;
	if (!record)
		return true;
	data = g_bytes_get_data(record, &len);
	if (!prolly_finding_add(finding, level, data, len, error))
		return false;
	if (finding->value_known && !had_value)
		finding->keep_value = g_bytes_ref(record);
	if (finding->attrs_known && !had_attrs)
		finding->keep_attrs = g_bytes_ref(record);
	return true;
}

static bool find_committed_value(const ProllyWorking *working, const ProllyPlace *place,
				 ProllyFinding *finding, GError **error)
{
	const ProllyTree *tree = prolly_state_find_namespace(working->state, place->ns);
	ProllyValueRef *ref = &finding->keep_committed;

	finding->value_known = true;
	if (!tree)
		return true;
	if (!prolly_tree_get(&working->repo->context, tree, place->key, place->key_len, ref, error))
		return false;
	if (ref->node) {
		finding->value_level = PROLLY_LEVEL_COMMITTED;
		finding->stored = ref->data;
		finding->stored_len = ref->len;
	}
	return true;
}

bool prolly_working_find_committed_attrs(const ProllyWorking *working, ProllyRecordType type,
					 const ProllyPlace *place, ProllyFinding *finding,
					 GError **error)
{
	ProllyValueRef *ref = &finding->keep_committed_attrs;
	g_autoptr(GByteArray) key = NULL;

	finding->attrs_known = true;
	if (!working->branch || !working->state->attributes.keys)
		return true;
	key = g_byte_array_sized_new(64);
	prolly_attr_key_append(key, type, place->ns, place->key, place->key_len);
	if (!prolly_tree_get(&working->repo->context, &working->state->attributes, key->data,
			     key->len, ref, error))
		return false;
	if (ref->node) {
		finding->attrs_level = PROLLY_LEVEL_COMMITTED;
		finding->attrs = ref->data;
		finding->attrs_len = ref->len;
	}
	return true;
}

bool prolly_working_has_committed_attrs(const ProllyWorking *working, const ProllyPlace *place,
					bool *out_has, GError **error)
{
	g_autoptr(ProllyCursor) cursor = NULL;
	g_autoptr(GByteArray) prefix = g_byte_array_new();
	const uint8_t *key;
	size_t len;

	*out_has = false;
	if (!working->branch || !working->state->attributes.keys)
		return true;
	prolly_attr_key_append(prefix, PROLLY_RECORD_ENTRY, place->ns, place->key, place->key_len);
	cursor = prolly_cursor_new(&working->repo->context, &working->state->attributes);
	if (!prolly_cursor_seek(cursor, prefix->data, prefix->len, error))
		return false;
	if (!prolly_cursor_is_valid(cursor))
		return true;
	key = prolly_cursor_get_key(cursor, &len);
	*out_has = len >= prefix->len && !memcmp(key, prefix->data, prefix->len);
	return true;
}

/* Does generation LEVEL, a load's, have keys that start with PREFIX? */
static bool has_loaded(const ProllyWorking *working, int level, const char *ns, const void *prefix,
		       size_t len, bool *out_has, GError **error)
{
	g_autoptr(ProllyDbIter) iter =
		prolly_staged_iter_new(working, level, PROLLY_RECORD_ENTRY, ns, prefix, len);

	prolly_db_iter_seek_first(iter);
	*out_has = prolly_db_iter_is_valid(iter);
	return prolly_db_iter_check(iter, error);
}

bool prolly_working_drop_void_marker(const ProllyWorking *working, const ProllyPlace *place,
				     ProllyFinding *finding, GError **error)
{
	g_autofree uint8_t *prefix = NULL;
	int end = MIN(finding->value_level, prolly_working_count_generations(working));
	bool has = false;

	for (int level = 0; level < end && !has; level++) {
		if (!is_load(working, level))
			continue;
		if (!prefix) {
			prefix = g_malloc(place->key_len + 1);
			memcpy(prefix, place->key, place->key_len);
			prefix[place->key_len] = '/';
		}
		if (!has_loaded(working, level, place->ns, prefix, place->key_len + 1, &has, error))
			return false;
	}
	if (has) {
		finding->value_level = PROLLY_LEVEL_NONE;
		finding->deleted = true;
	}
	return true;
}

bool prolly_working_find(const ProllyWorking *working, const ProllyPlace *place, int first,
			 bool with_attrs, ProllyFinding *finding, GError **error)
{
	int n = prolly_working_count_generations(working);

	if (first < n) {
		g_auto(ProllyRecordKey) key = {0};

		prolly_record_key_init(&key, working->branch->id, 0, PROLLY_RECORD_ENTRY, place->ns,
				       place->key, place->key_len);
		for (int level = first; level < n; level++) {
			if (finding->value_known && (finding->attrs_known || !with_attrs))
				break;
			if (!add_level(working, &key, level, finding, error))
				return false;
		}
	}
	if (!finding->value_known && !find_committed_value(working, place, finding, error))
		return false;
	if (with_attrs && !finding->attrs_known &&
	    !prolly_working_find_committed_attrs(working, PROLLY_RECORD_ENTRY, place, finding,
						 error))
		return false;
	if (prolly_finding_is_marker(finding) && finding->value_level > first)
		return prolly_working_drop_void_marker(working, place, finding, error);
	return true;
}

/* ---- Attributes of keys ------------------------------------------------------------------ */

/* Fills in the times that RECORD does not give: the others', or TIME. */
static void complete_times(ProllyAttrs *attrs, int64_t time)
{
	if (!(attrs->has & PROLLY_ATTR_MTIME))
		attrs->mtime = time;
	if (!(attrs->has & PROLLY_ATTR_CTIME))
		attrs->ctime = attrs->mtime;
	if (!(attrs->has & PROLLY_ATTR_ATIME))
		attrs->atime = attrs->mtime;
}

static void replace_times(ProllyAttrs *attrs, int64_t time)
{
	attrs->has &= ~(uint32_t)PROLLY_ATTR_TIMES;
	complete_times(attrs, time);
}

/* Of what is committed: void if a later move changed it. */
static bool settle_committed_times(const ProllyWorking *working, const ProllyPlace *place,
				   bool is_directory, ProllyAttrRecord *record, GError **error)
{
	bool has = record->attrs.has & PROLLY_ATTR_MTIME, moved;
	int64_t time = 0;

	if (!prolly_moves_find(working, place, is_directory, has ? record->sequence : 0, &time,
			       &moved, error))
		return false;
	/* A directory's move may be one of a key far below. */
	if (moved && !(is_directory && has && record->attrs.mtime >= time)) {
		replace_times(&record->attrs, time);
		return true;
	}
	if (!has && !prolly_moves_get_fallback(working, &time, error))
		return false;
	complete_times(&record->attrs, time);
	return true;
}

static bool get_load_time(const ProllyWorking *working, int level, int64_t *out_time,
			  GError **error)
{
	g_auto(ProllyRecordKey) key = {0};
	g_autoptr(GBytes) value = NULL;

	prolly_record_key_init(&key, working->branch->id, 0, PROLLY_RECORD_TIME, "", NULL, 0);
	if (!prolly_working_get_record(working, &key, level, &value, error))
		return false;
	*out_time = value && g_bytes_get_size(value) == 8
			    ? (int64_t)prolly_get_le64(g_bytes_get_data(value, NULL))
			    : prolly_time_now();
	return true;
}

/* A value that is newer than the attributes, which only a load makes. */
static bool settle_loaded_times(const ProllyWorking *working, const ProllyPlace *place,
				const ProllyFinding *finding, ProllyAttrRecord *record,
				GError **error)
{
	g_auto(ProllyFinding) committed = {0};
	int64_t time;

	prolly_finding_init(&committed);
	if (!find_committed_value(working, place, &committed, error))
		return false;
	if (prolly_finding_exists(&committed) && !finding->extents &&
	    !prolly_bytes_compare(committed.stored, committed.stored_len, finding->stored,
				  finding->stored_len))
		return settle_committed_times(working, place, false, record, error);
	if (!get_load_time(working, finding->value_level, &time, error))
		return false;
	replace_times(&record->attrs, time);
	return true;
}

static bool settle_times(const ProllyWorking *working, const ProllyPlace *place,
			 const ProllyFinding *finding, ProllyAttrRecord *record, GError **error)
{
	bool recorded = finding->attrs_level != PROLLY_LEVEL_NONE;

	if (finding->value_level == PROLLY_LEVEL_COMMITTED)
		return settle_committed_times(working, place, false, record, error);
	if (!recorded || finding->attrs_level > finding->value_level ||
	    !(record->attrs.has & PROLLY_ATTR_MTIME))
		return settle_loaded_times(working, place, finding, record, error);
	complete_times(&record->attrs, 0);
	return true;
}

static bool settle_group(const ProllyWorking *working, const ProllyPlace *place,
			 const ProllyFinding *finding, ProllyAttrRecord *record, GError **error)
{
	g_autoptr(GPtrArray) members = NULL;
	bool is_member;

	if (!prolly_links_is_member(working, place, finding, record, &is_member, error))
		return false;
	if (!is_member) {
		prolly_attrs_leave_group(&record->attrs);
		return true;
	}
	if (!prolly_links_find_members(working, record->attrs.group, &members, error))
		return false;
	record->attrs.nlink = MAX(members->len, 1);
	return true;
}

/* All of the record but its times. */
static bool settle_identity(const ProllyWorking *working, const ProllyPlace *place,
			    const ProllyFinding *finding, ProllyAttrRecord *record, GError **error)
{
	if (!prolly_finding_get_attr_record(finding, record, error))
		return false;
	record->attrs.nlink = 1;
	return !record->attrs.group || settle_group(working, place, finding, record, error);
}

bool prolly_working_settle(const ProllyWorking *working, const ProllyPlace *place,
			   const ProllyFinding *finding, ProllyAttrRecord *out_record,
			   GError **error)
{
	g_auto(ProllyAttrRecord) record = {0};

	if (!settle_identity(working, place, finding, &record, error) ||
	    !settle_times(working, place, finding, &record, error))
		return false;
	*out_record = record;
	record.attrs.xattrs = NULL;
	return true;
}

/* What a record that was settled says to others; takes its extended attributes. */
static void give_attrs(const ProllyPlace *place, ProllyAttrRecord *record, ProllyAttrs *out_attrs)
{
	if (!(record->attrs.has & PROLLY_ATTR_INO))
		record->attrs.ino = prolly_attr_derive_ino(place->ns, place->key, place->key_len,
							   false, record->salt);
	record->attrs.has &= PROLLY_ATTR_PUBLIC;
	*out_attrs = record->attrs;
	record->attrs.xattrs = NULL;
}

bool prolly_working_get_attrs(const ProllyWorking *working, const ProllyPlace *place,
			      const ProllyFinding *finding, ProllyAttrs *out_attrs, GError **error)
{
	g_auto(ProllyAttrRecord) record = {0};

	if (!prolly_working_settle(working, place, finding, &record, error))
		return false;
	give_attrs(place, &record, out_attrs);
	return true;
}

bool prolly_working_get_identity(const ProllyWorking *working, const ProllyPlace *place,
				 const ProllyFinding *finding, ProllyAttrs *out_attrs,
				 GError **error)
{
	g_auto(ProllyAttrRecord) record = {0};

	if (!settle_identity(working, place, finding, &record, error))
		return false;
	give_attrs(place, &record, out_attrs);
	return true;
}

/* ---- Directories ------------------------------------------------------------------------- */

size_t prolly_place_parent_len(const ProllyPlace *place)
{
	size_t len = place->key_len;

	if (!prolly_namespace_has_directories(place->ns))
		return 0;
	if (len && place->key[len - 1] == '/')
		len--;
	while (len && place->key[len - 1] != '/')
		len--;
	return len;
}

/* What the records of PLACE in the generations say: its attributes and its state. */
static bool find_directory_record(const ProllyWorking *working, const ProllyPlace *place,
				  ProllyFinding *finding, uint8_t *out_state, bool *out_loaded,
				  GError **error)
{
	int n = prolly_working_count_generations(working);
	g_auto(ProllyRecordKey) key = {0};

	*out_loaded = false;
	if (n)
		prolly_record_key_init(&key, working->branch->id, 0, PROLLY_RECORD_DIRECTORY,
				       place->ns, place->key, place->key_len);
	for (int level = 0; level < n && !finding->attrs_known; level++) {
		const uint8_t *data;
		size_t len;

		if (is_load(working, level)) {
			if (!*out_loaded && !has_loaded(working, level, place->ns, place->key,
							place->key_len, out_loaded, error))
				return false;
			continue;
		}
		if (!prolly_working_get_record(working, &key, level, &finding->keep_attrs, error))
			return false;
		if (!finding->keep_attrs)
			continue;
		data = g_bytes_get_data(finding->keep_attrs, &len);
		if (!len)
			return prolly_throw(error, PROLLY_ERROR_CORRUPT,
					    "a staged record of a directory is damaged");
		*out_state = data[0];
		finding->attrs_known = true;
		finding->attrs_level = level;
		finding->attrs = data + 1;
		finding->attrs_len = len - 1;
	}
	return true;
}

static bool has_keys_from(const ProllyWorking *working, const ProllyPlace *place, int first,
			  bool *out_has, GError **error)
{
	g_autoptr(ProllyScan) scan = prolly_scan_new(working, place->ns, place->key, place->key_len,
						     first, PROLLY_SCAN_COMMITTED);

	if (!prolly_scan_seek(scan, place->key, place->key_len, error))
		return false;
	*out_has = prolly_scan_is_valid(scan);
	return true;
}

bool prolly_working_has_keys(const ProllyWorking *working, const ProllyPlace *place, bool *out_has,
			     GError **error)
{
	return has_keys_from(working, place, 0, out_has, error);
}

bool prolly_working_is_moved(const ProllyWorking *working, bool *out_is, GError **error)
{
	g_auto(ProllyRecordKey) key = {0};
	int n = prolly_working_count_generations(working);

	*out_is = false;
	if (n && working->state->moves->len)
		prolly_record_key_init(&key, working->branch->id, 0, PROLLY_RECORD_MOVED, "", NULL,
				       0);
	for (int level = 0; key.data && level < n && !*out_is; level++) {
		g_autoptr(GBytes) value = NULL;

		if (!prolly_working_get_record(working, &key, level, &value, error))
			return false;
		*out_is = value != NULL;
	}
	return true;
}

/* By looking for keys and marker, staged ones too unless nothing was staged (I1). */
static bool look_for_keys(const ProllyWorking *working, const ProllyPlace *place, bool staged,
			  ProllyDirectoryState *out_state, GError **error)
{
	g_auto(ProllyFinding) marker = {0};
	bool has = false, is_root = !place->key_len, moved = false;
	int first = staged ? 0 : prolly_working_count_generations(working);
	ProllyPlace marker_place = *place;

	if (is_root) {
		if (!prolly_working_has_namespace(working, place->ns, &has, error))
			return false;
		*out_state = has ? PROLLY_DIRECTORY_EXISTS : PROLLY_DIRECTORY_GONE;
		return true;
	}
	if (!has_keys_from(working, place, first, &has, error))
		return false;
	if (has) {
		*out_state = PROLLY_DIRECTORY_FILLED;
		return true;
	}
	prolly_finding_init(&marker);
	marker_place.key_len--;
	if (place->key[marker_place.key_len] == '/' &&
	    !prolly_working_find(working, &marker_place, first, false, &marker, error))
		return false;
	if (!staged && !prolly_working_is_moved(working, &moved, error))
		return false;
	if (moved)
		return look_for_keys(working, place, true, out_state, error);
	*out_state =
		prolly_finding_is_marker(&marker) ? PROLLY_DIRECTORY_EMPTY : PROLLY_DIRECTORY_GONE;
	return true;
}

bool prolly_working_find_directory(const ProllyWorking *working, const ProllyPlace *place,
				   ProllyAttrRecord *out_record, ProllyDirectoryState *out_state,
				   GError **error)
{
	g_auto(ProllyFinding) finding = {0};
	g_auto(ProllyAttrRecord) record = {0};
	uint8_t state = PROLLY_DIRECTORY_UNKNOWN;
	bool loaded, staged;

	prolly_finding_init(&finding);
	if (!find_directory_record(working, place, &finding, &state, &loaded, error))
		return false;
	staged = finding.attrs_known;
	if (!staged && out_record &&
	    !prolly_working_find_committed_attrs(working, PROLLY_RECORD_DIRECTORY, place, &finding,
						 error))
		return false;
	if (!prolly_finding_get_attr_record(&finding, &record, error))
		return false;
	if (out_state && loaded)
		*out_state = place->key_len ? PROLLY_DIRECTORY_FILLED : PROLLY_DIRECTORY_EXISTS;
	else if (out_state && staged && state && state <= PROLLY_DIRECTORY_EXISTS &&
		 record.sequence == prolly_state_get_sequence(working->state))
		*out_state = state;
	else if (out_state && !look_for_keys(working, place, staged, out_state, error))
		return false;
	if (out_record) {
		*out_record = record;
		memset(&record, 0, sizeof(record));
	}
	return true;
}

/* The time of the newest load that has keys below PLACE; 0: none has. */
static bool find_load_time(const ProllyWorking *working, const ProllyPlace *place,
			   int64_t *out_time, GError **error)
{
	*out_time = 0;
	for (int level = 0; level < prolly_working_count_generations(working) && !*out_time;
	     level++) {
		bool has = false;

		if (is_load(working, level) &&
		    (!has_loaded(working, level, place->ns, place->key, place->key_len, &has,
				 error) ||
		     (has && !get_load_time(working, level, out_time, error))))
			return false;
	}
	return true;
}

bool prolly_working_settle_directory(const ProllyWorking *working, const ProllyPlace *place,
				     ProllyAttrRecord *record, GError **error)
{
	bool has = record->attrs.has & PROLLY_ATTR_MTIME;
	int64_t time;

	if (!find_load_time(working, place, &time, error))
		return false;
	if (time && !(has && record->attrs.mtime >= time)) {
		replace_times(&record->attrs, time);
		return true;
	}
	return settle_committed_times(working, place, true, record, error);
}

bool prolly_working_get_directory_attrs(const ProllyWorking *working, const ProllyPlace *place,
					ProllyAttrRecord *record, ProllyAttrs *out_attrs,
					GError **error)
{
	if (!prolly_working_settle_directory(working, place, record, error))
		return false;
	prolly_transaction_get_attrs(place, record, true, 1, out_attrs);
	return true;
}
