/* SPDX-License-Identifier: Apache-2.0 */

/*
 * staged: records of the working set, as keys and bytes of family STAGED.
 *
 * A key is branch id (be32), generation (be64), type (a byte), namespace, NUL, rest; so a
 * generation, a type in it, and a namespace in that are each one range, in key order. A
 * generation's number has its top bit set if a load made it, so that a reader knows without asking
 * that it holds entries without attributes and says nothing of directories.
 *
 *   e  an entry: flags; with extents their number, base length and length as varints; with
 *      attributes their length as a varint and the record (attrs.c); the rest is the stored value
 *   d  a directory: a byte of state (ProllyDirectoryState), then a record of attributes
 *   l  a link group: (namespace, key) pairs of strings (links.c)
 *   m  a move came from under what is staged here and below: nothing
 *   n  a namespace: one byte, 1 made, 0 removed
 *   t  the time a load was attached: le64 nanoseconds
 *
 * One put carries value and attributes, so a crash never parts them. What is absent in a generation
 * shows through from older ones: value and attributes each on its own, but a tombstone hides both.
 *
 * I1. Every change of a directory's set of children writes the directory's record in the generation
 *     it is made in, but for a load, whose entries are looked at instead. So what no generation has
 *     a record of, and no load a key below, is in this respect as it is committed.
 *     (A move may take the rest of a directory away from under what is staged there. Where one did,
 *     which the generation says, a directory is not taken for gone without a look.)
 * I2. The state byte is right as long as the branch's last move is the one the record names.
 * I3. Generations that no state lists are garbage: a load that was not attached, or what a commit
 *     left behind between publishing and deleting. Deleting comes after the new state is in place,
 *     in a write of its own: a reader that looked into a generation while it went away finds, when
 *     it looks at the state again, another one, and starts over.
 */

#include "version/repo-private.h"
#include "version/working-private.h"

#include <string.h>

#define IMAGE_MAX 16384 /* bytes of a generation that is read once, and deleted key by key */

#define GENERATION_HEAD 12                    /* branch, generation */
#define KEY_HEAD        (GENERATION_HEAD + 1) /* and type */

/* ---- Keys -------------------------------------------------------------------------------- */

void prolly_record_key_init(ProllyRecordKey *key, uint32_t branch_id, uint64_t generation,
			    ProllyRecordType type, const char *ns, const void *rest,
			    size_t rest_len)
{
	size_t ns_len = strlen(ns) + 1;

	key->len = KEY_HEAD + ns_len + rest_len;
	key->data = key->len <= sizeof(key->fixed) ? key->fixed : g_malloc(key->len);
	prolly_set_be32(key->data, branch_id);
	prolly_set_be64(key->data + 4, generation);
	key->data[12] = (uint8_t)type;
	memcpy(key->data + KEY_HEAD, ns, ns_len);
	if (rest_len)
		memcpy(key->data + KEY_HEAD + ns_len, rest, rest_len);
}

void prolly_record_key_clear(ProllyRecordKey *key)
{
	if (key->data != key->fixed)
		g_free(key->data);
	key->data = NULL;
}

void prolly_record_key_set_generation(ProllyRecordKey *key, uint64_t generation)
{
	prolly_set_be64(key->data + 4, generation);
}

bool prolly_record_key_split(const uint8_t *data, size_t len, const char **out_ns,
			     const uint8_t **out_rest, size_t *out_rest_len)
{
	const uint8_t *end;

	if (len <= KEY_HEAD)
		return false;
	end = memchr(data + KEY_HEAD, 0, len - KEY_HEAD);
	if (!end)
		return false;
	*out_ns = (const char *)data + KEY_HEAD;
	*out_rest = end + 1;
	*out_rest_len = (size_t)(data + len - end - 1);
	return true;
}

/* ---- Records ----------------------------------------------------------------------------- */

bool prolly_staged_record_parse(const uint8_t *data, size_t len, ProllyStagedRecord *out_record,
				GError **error)
{
	ProllyStagedRecord record = {0};
	ProllyReader reader;
	bool has_value;

	prolly_reader_init(&reader, data, len);
	record.flags = prolly_reader_u8(&reader);
	has_value = record.flags & PROLLY_STAGED_VALUE;
	if (record.flags & PROLLY_STAGED_EXTENTS) {
		record.extents = prolly_reader_varint(&reader);
		record.base_length = prolly_reader_varint(&reader);
		record.length = prolly_reader_varint(&reader);
	}
	if (record.flags & PROLLY_STAGED_ATTRS)
		record.attrs = prolly_reader_string(&reader, &record.attrs_len);
	if (!prolly_reader_ok(&reader) || record.flags >= PROLLY_STAGED_EXTENTS << 1 ||
	    (has_value && record.flags & PROLLY_STAGED_TOMBSTONE) ||
	    (has_value ? reader.p == reader.end : reader.p != reader.end))
		return prolly_throw(error, PROLLY_ERROR_CORRUPT, "a staged record is damaged");
	if (has_value) {
		record.stored = reader.p;
		record.stored_len = (size_t)(reader.end - reader.p);
	}
	*out_record = record;
	return true;
}

void prolly_staged_record_append(GByteArray *out, const ProllyStagedRecord *record)
{
	prolly_append_u8(out, (uint8_t)record->flags);
	if (record->flags & PROLLY_STAGED_EXTENTS) {
		prolly_append_varint(out, record->extents);
		prolly_append_varint(out, record->base_length);
		prolly_append_varint(out, record->length);
	}
	if (record->flags & PROLLY_STAGED_ATTRS)
		prolly_append_string(out, record->attrs, record->attrs_len);
	if (record->flags & PROLLY_STAGED_VALUE)
		g_byte_array_append(out, record->stored, (guint)record->stored_len);
}

/* ---- Ranges ------------------------------------------------------------------------------ */

ProllyDbIter *prolly_staged_iter_new(const ProllyWorking *working, int level, ProllyRecordType type,
				     const char *ns, const void *prefix, size_t prefix_len)
{
	uint64_t generation = g_array_index(working->state->generations, uint64_t, level);
	g_auto(ProllyRecordKey) lower = {0};
	g_autofree uint8_t *upper = NULL;
	size_t lower_len, upper_len;

	prolly_record_key_init(&lower, working->branch->id, generation, type, ns ? ns : "", prefix,
			       prefix_len);
	lower_len = ns ? lower.len : KEY_HEAD;
	upper = g_malloc(lower_len);
	upper_len = prolly_db_prefix_end(lower.data, lower_len, upper);
	if (working->image)
		return prolly_db_image_iter_new(working->image, lower.data, lower_len, upper,
						upper_len);
	return prolly_db_iter_new(working->repo->body->db, PROLLY_DB_STAGED, working->snapshot,
				  lower.data, lower_len, upper, upper_len);
}

/* The keys of a generation's records: from LOWER to UPPER, whose length is returned. */
static size_t bound_generation(uint32_t branch_id, uint64_t generation,
			       uint8_t lower[static GENERATION_HEAD],
			       uint8_t upper[static GENERATION_HEAD])
{
	prolly_set_be32(lower, branch_id);
	prolly_set_be64(lower + 4, generation);
	return prolly_db_prefix_end(lower, GENERATION_HEAD, upper);
}

static ProllyDbIter *iter_new_generation(const ProllyWorking *working, uint64_t generation)
{
	uint8_t lower[GENERATION_HEAD], upper[GENERATION_HEAD];
	size_t upper_len = bound_generation(working->branch->id, generation, lower, upper);

	return prolly_db_iter_new(working->repo->body->db, PROLLY_DB_STAGED, working->snapshot,
				  lower, sizeof(lower), upper, upper_len);
}

bool prolly_staged_image_load(const ProllyWorking *working, ProllyDbImage **out_image,
			      GError **error)
{
	uint64_t generation = prolly_state_get_generation(working->state);
	g_autoptr(ProllyDbIter) iter = NULL;

	*out_image = NULL;
	if (working->state->generations->len != 1)
		return true;
	iter = iter_new_generation(working, generation);
	return prolly_db_image_load(iter, IMAGE_MAX, out_image, error);
}

ProllyDbIter *prolly_staged_iter_new_entries(ProllyDb *db, const ProllyDbSnapshot *snapshot,
					     uint32_t branch_id, uint64_t generation)
{
	uint8_t lower[KEY_HEAD], upper[KEY_HEAD];
	size_t upper_len;

	bound_generation(branch_id, generation, lower, upper);
	lower[GENERATION_HEAD] = PROLLY_RECORD_ENTRY;
	upper_len = prolly_db_prefix_end(lower, sizeof(lower), upper);
	return prolly_db_iter_new(db, PROLLY_DB_STAGED, snapshot, lower, sizeof(lower), upper,
				  upper_len);
}

void prolly_staged_delete_generation(uint32_t branch_id, uint64_t generation, ProllyDbBatch *batch)
{
	uint8_t lower[GENERATION_HEAD], upper[GENERATION_HEAD];
	size_t upper_len = bound_generation(branch_id, generation, lower, upper);

	prolly_db_batch_delete_present(batch, PROLLY_DB_STAGED, lower, sizeof(lower), upper,
				       upper_len);
}

void prolly_staged_reclaim_generation(ProllyDb *db, uint32_t branch_id, uint64_t generation)
{
	uint8_t lower[GENERATION_HEAD], upper[GENERATION_HEAD];
	size_t upper_len = bound_generation(branch_id, generation, lower, upper);

	prolly_db_reclaim_range(db, PROLLY_DB_STAGED, lower, sizeof(lower), upper, upper_len);
}

void prolly_staged_delete_branch(uint32_t branch_id, ProllyDbBatch *batch)
{
	uint8_t lower[4], upper[4];

	prolly_set_be32(lower, branch_id);
	prolly_set_be32(upper, branch_id + 1);
	prolly_db_batch_delete_range(batch, PROLLY_DB_STAGED, lower, sizeof(lower), upper,
				     sizeof(upper));
}

/* To the first record of TYPE or behind. */
static void seek_type(ProllyDbIter *iter, uint32_t branch_id, uint64_t generation,
		      ProllyRecordType type)
{
	uint8_t head[KEY_HEAD];

	prolly_set_be32(head, branch_id);
	prolly_set_be64(head + 4, generation);
	head[GENERATION_HEAD] = (uint8_t)type;
	prolly_db_iter_seek(iter, head, sizeof(head));
}

/* Does ITER stand at a record of TYPE? */
static bool is_of_type(const ProllyDbIter *iter, ProllyRecordType type)
{
	const uint8_t *key;
	size_t len;

	if (!prolly_db_iter_is_valid(iter))
		return false;
	key = prolly_db_iter_get_key(iter, &len);
	return len >= KEY_HEAD && key[GENERATION_HEAD] == type;
}

/* Does generation LEVEL have a record that says something of values or namespaces? */
static bool has_changes(const ProllyWorking *working, int level, bool *out_has, GError **error)
{
	uint64_t generation = g_array_index(working->state->generations, uint64_t, level);
	g_autoptr(ProllyDbIter) iter = iter_new_generation(working, generation);
	bool has = false;

	for (seek_type(iter, working->branch->id, generation, PROLLY_RECORD_ENTRY);
	     !has && is_of_type(iter, PROLLY_RECORD_ENTRY); prolly_db_iter_next(iter)) {
		size_t len;
		const uint8_t *data = prolly_db_iter_get_value(iter, &len);

		has = len && data[0] & (PROLLY_STAGED_VALUE | PROLLY_STAGED_TOMBSTONE);
	}
	if (!has) {
		seek_type(iter, working->branch->id, generation, PROLLY_RECORD_NAMESPACE);
		has = is_of_type(iter, PROLLY_RECORD_NAMESPACE);
	}
	*out_has = has;
	return prolly_db_iter_check(iter, error);
}

bool prolly_staged_is_empty(ProllyRepo *repo, ProllyBranch *branch, const ProllyState *state,
			    bool *out_empty, GError **error)
{
	ProllyWorking working = {.repo = repo, .branch = branch, .state = (ProllyState *)state};
	bool has = false;

	for (guint i = 0; !has && i < state->generations->len; i++)
		if (!has_changes(&working, (int)i, &has, error))
			return false;
	*out_empty = !has;
	return true;
}

/* ---- Values that are no change any more ---------------------------------------------------- */

static void drop_value(const ProllyRecordKey *key, ProllyStagedRecord *record, ProllyDbBatch *batch)
{
	g_autoptr(GByteArray) data = g_byte_array_new();

	if (!(record->flags & (PROLLY_STAGED_VALUE | PROLLY_STAGED_TOMBSTONE)))
		return;
	record->flags &= PROLLY_STAGED_ATTRS;
	if (!record->flags) {
		prolly_db_batch_delete(batch, PROLLY_DB_STAGED, key->data, key->len);
		return;
	}
	prolly_staged_record_append(data, record);
	prolly_db_batch_put(batch, PROLLY_DB_STAGED, key->data, key->len, data->data, data->len);
}

void prolly_staged_note_move(uint32_t branch_id, const ProllyState *state, ProllyDbBatch *batch)
{
	uint64_t generation = g_array_index(state->generations, uint64_t, 0);
	g_auto(ProllyRecordKey) key = {0};

	prolly_record_key_init(&key, branch_id, generation, PROLLY_RECORD_MOVED, "", NULL, 0);
	prolly_db_batch_put(batch, PROLLY_DB_STAGED, key.data, key.len, "", 0);
}

/* (transfer full) What KEY, which is moved there, has in generation I of WORKING's; nullable. */
static bool get_in_generation(const ProllyWorking *working, ProllyRecordKey *key, guint i,
			      GBytes **out_bytes, GError **error)
{
	prolly_record_key_set_generation(key,
					 g_array_index(working->state->generations, uint64_t, i));
	return prolly_db_get(working->repo->body->db, PROLLY_DB_STAGED, NULL, key->data, key->len,
			     out_bytes, error);
}

bool prolly_staged_drop_value(const ProllyWorking *working, const ProllyPlace *place,
			      ProllyDbBatch *batch, GError **error)
{
	g_auto(ProllyRecordKey) key = {0};

	prolly_record_key_init(&key, working->branch->id, 0, PROLLY_RECORD_ENTRY, place->ns,
			       place->key, place->key_len);
	for (guint i = 0; i < working->state->generations->len; i++) {
		g_autoptr(GBytes) bytes = NULL;
		ProllyStagedRecord record;

		if (!get_in_generation(working, &key, i, &bytes, error))
			return false;
		if (!bytes)
			continue;
		if (!prolly_staged_record_parse(g_bytes_get_data(bytes, NULL),
						g_bytes_get_size(bytes), &record, error))
			return false;
		drop_value(&key, &record, batch);
	}
	return true;
}

bool prolly_staged_drop_namespace(const ProllyWorking *working, const char *ns, bool exists,
				  ProllyDbBatch *batch, GError **error)
{
	g_auto(ProllyRecordKey) key = {0};
	bool is_known = false;

	prolly_record_key_init(&key, working->branch->id, 0, PROLLY_RECORD_NAMESPACE, ns, NULL, 0);
	for (guint i = 0; i < working->state->generations->len; i++) {
		g_autoptr(GBytes) value = NULL;

		if (!get_in_generation(working, &key, i, &value, error))
			return false;
		if (!value)
			continue;
		if (!is_known && prolly_staged_namespace_exists(value) != exists)
			return true;
		is_known = true;
		prolly_db_batch_delete(batch, PROLLY_DB_STAGED, key.data, key.len);
	}
	return true;
}

void prolly_staged_put_tombstone(const ProllyWorking *working, const ProllyPlace *place,
				 ProllyDbBatch *batch)
{
	uint64_t generation = g_array_index(working->state->generations, uint64_t, 0);
	uint8_t tombstone = PROLLY_STAGED_TOMBSTONE;
	g_auto(ProllyRecordKey) key = {0};

	prolly_record_key_init(&key, working->branch->id, generation, PROLLY_RECORD_ENTRY,
			       place->ns, place->key, place->key_len);
	prolly_db_batch_put(batch, PROLLY_DB_STAGED, key.data, key.len, &tombstone, 1);
}

/* ---- What a crash left ------------------------------------------------------------------- */

/* The generations that are listed by some branch's record: (id, generation) as their 12 bytes. That it
 * can be read is enough; what git says of the branch may be damaged. */
static bool list_generations(ProllyRepo *repo, GHashTable *listed, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

	if (!prolly_state_list_names(repo->body, names, error))
		return false;
	for (guint i = 0; i < names->len; i++) {
		g_autoptr(ProllyState) state = NULL;
		g_autofree char *name = NULL;
		uint32_t id;

		if (!prolly_state_find_branch(repo->body, g_ptr_array_index(names, i), &id,
					      error) ||
		    (id && !prolly_state_load(repo->body, id, &name, &state, error)))
			return false;
		for (guint g = 0; state && g < state->generations->len; g++) {
			uint8_t head[12];

			prolly_set_be32(head, id);
			prolly_set_be64(head + 4, g_array_index(state->generations, uint64_t, g));
			g_hash_table_add(listed, g_bytes_new(head, sizeof(head)));
		}
	}
	return true;
}

static void sweep_generation(ProllyRepo *repo, const uint8_t *head, GHashTable *listed,
			     ProllyDbBatch *batch, GArray *dropped)
{
	g_autoptr(GBytes) bytes = g_bytes_new(head, 12);
	uint64_t generation = prolly_get_be64(head + 4);

	if (g_hash_table_contains(listed, bytes))
		return;
	prolly_staged_delete_generation(prolly_get_be32(head), generation, batch);
	g_array_append_vals(dropped, head, 12);
}

bool prolly_staged_sweep(ProllyRepo *repo, GError **error)
{
	ProllyDb *db = repo->body->db;
	g_autoptr(GHashTable) listed = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
							     (GDestroyNotify)g_bytes_unref, NULL);
	g_autoptr(ProllyDbIter) iter =
		prolly_db_iter_new(db, PROLLY_DB_STAGED, NULL, NULL, 0, NULL, 0);
	g_autoptr(ProllyDbBatch) batch = NULL;
	g_autoptr(GArray) dropped = g_array_new(FALSE, FALSE, 1);
	size_t len;

	prolly_db_iter_seek_first(iter);
	if (prolly_db_iter_is_valid(iter) && !list_generations(repo, listed, error))
		return false;
	batch = prolly_db_batch_new(db);
	while (prolly_db_iter_is_valid(iter)) {
		const uint8_t *key = prolly_db_iter_get_key(iter, &len);
		uint8_t head[12], next[12];
		size_t next_len;

		if (len < sizeof(head))
			return prolly_throw(error, PROLLY_ERROR_CORRUPT,
					    "a staged record's key is damaged");
		memcpy(head, key, sizeof(head));
		sweep_generation(repo, head, listed, batch, dropped);
		next_len = prolly_db_prefix_end(head, sizeof(head), next);
		prolly_db_iter_seek(iter, next, next_len);
	}
	if (!prolly_db_iter_check(iter, error) ||
	    (dropped->len && !prolly_db_write(db, batch, PROLLY_DB_BUFFERED, error)))
		return false;
	for (guint i = 0; i < dropped->len; i += 12)
		prolly_staged_reclaim_generation(
			db, prolly_get_be32((const uint8_t *)dropped->data + i),
			prolly_get_be64((const uint8_t *)dropped->data + i + 4));
	return true;
}
