/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States of branches, in memory and as records.
 *
 * A state in memory is immutable once published: who reads takes a reference and needs no lock.
 * What the database keeps of it is all but the namespaces, which the head's commit has. Records in
 * META:
 *
 *   "branch/" id (be32)     version u8, 1; name (string); head (20 bytes); attributes: top (32),
 *                           keys, bytes (varints); generations: varint count, le64 each; moves:
 *                           varint count, then for each sequence (varint), time (le64), from (20),
 *                           to (20)
 *   "name/" NAME            the id, be32
 *
 * Ids are never given again, so what a crash leaves of a branch in other families cannot come up in
 * another.
 */
#include "version/repo-private.h"

#include <inttypes.h>
#include <string.h>

#include "version/working-private.h"

#define STATE_VERSION 1
#define BRANCH_PREFIX "branch/"
#define NAME_PREFIX   "name/"

/* ---- In memory --------------------------------------------------------------------------- */

static ProllyState *new_state(void)
{
	ProllyState *state = g_new0(ProllyState, 1);

	state->references = 1;
	state->generations = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	state->moves = g_array_new(FALSE, FALSE, sizeof(ProllyMove));
	return state;
}

ProllyState *prolly_state_new(const ProllyCommitId *head, GArray *namespaces)
{
	ProllyState *state = new_state();

	state->head = *head;
	state->namespaces = namespaces;
	return state;
}

ProllyState *prolly_state_ref(ProllyState *state)
{
	g_atomic_int_inc(&state->references);
	return state;
}

void prolly_state_unref(ProllyState *state)
{
	if (!state || !g_atomic_int_dec_and_test(&state->references))
		return;
	prolly_holder_remove(&state->holder);
	if (state->namespaces)
		g_array_unref(state->namespaces);
	g_array_unref(state->generations);
	g_array_unref(state->moves);
	g_free(state);
}

ProllyState *prolly_state_copy(const ProllyState *state)
{
	ProllyState *copy = new_state();

	copy->head = state->head;
	copy->namespaces = prolly_namespaces_copy(state->namespaces);
	copy->attributes = state->attributes;
	g_array_append_vals(copy->generations, state->generations->data, state->generations->len);
	g_array_append_vals(copy->moves, state->moves->data, state->moves->len);
	return copy;
}

const ProllyTree *prolly_state_find_namespace(const ProllyState *state, const char *ns)
{
	guint low = 0;
	guint high = state->namespaces->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;
		const ProllyNamespace *other =
			&g_array_index(state->namespaces, ProllyNamespace, middle);
		int order = strcmp(other->name, ns);

		if (order == 0)
			return &other->tree;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static bool report_state(ProllyHolder *holder, ProllyGc *gc, GError **error)
{
	return prolly_gc_keep_state(gc, (ProllyState *)holder, error);
}

void prolly_state_publish(ProllyState *state, ProllyRepoBody *body)
{
	prolly_holder_add(body, &state->holder, report_state);
}

ProllyState *prolly_branch_get_state(ProllyBranch *branch)
{
	ProllyState *state;

	g_mutex_lock(&branch->state_lock);
	state = prolly_state_ref(branch->state);
	g_mutex_unlock(&branch->state_lock);
	return state;
}

void prolly_branch_take_state(ProllyBranch *branch, ProllyState *state)
{
	ProllyState *old;

	if (branch->watch)
		prolly_watch_void(branch->watch);
	prolly_state_publish(state, branch->body);
	g_mutex_lock(&branch->state_lock);
	old = branch->state;
	branch->state = state;
	g_mutex_unlock(&branch->state_lock);
	prolly_state_unref(old);
}

/* ---- Records ----------------------------------------------------------------------------- */

#define BRANCH_KEY_SIZE (sizeof(BRANCH_PREFIX) - 1 + 4)

static void make_branch_key(uint32_t branch_id, uint8_t key[BRANCH_KEY_SIZE])
{
	memcpy(key, BRANCH_PREFIX, strlen(BRANCH_PREFIX));
	prolly_set_be32(key + strlen(BRANCH_PREFIX), branch_id);
}

static void append_id(GByteArray *out, const ProllyCommitId *id)
{
	g_byte_array_append(out, id->bytes, PROLLY_COMMIT_ID_SIZE);
}

static void encode_state(const char *name, const ProllyState *state, GByteArray *out)
{
	prolly_append_u8(out, STATE_VERSION);
	prolly_append_string(out, name, strlen(name));
	append_id(out, &state->head);
	g_byte_array_append(out, state->attributes.top.bytes, PROLLY_HASH_SIZE);
	prolly_append_varint(out, state->attributes.keys);
	prolly_append_varint(out, state->attributes.bytes);
	prolly_append_varint(out, state->generations->len);
	for (guint i = 0; i < state->generations->len; i++)
		prolly_append_le64(out, g_array_index(state->generations, uint64_t, i));
	prolly_append_varint(out, state->moves->len);
	for (guint i = 0; i < state->moves->len; i++) {
		const ProllyMove *move = &g_array_index(state->moves, ProllyMove, i);

		prolly_append_varint(out, move->sequence);
		prolly_append_le64(out, (uint64_t)move->time);
		append_id(out, &move->from);
		append_id(out, &move->to);
	}
}

/* Zero after a read past the end, which the reader remembers. */
static void read_bytes(ProllyReader *reader, uint8_t *out, size_t len)
{
	const uint8_t *bytes = prolly_reader_bytes(reader, len);

	if (bytes)
		memcpy(out, bytes, len);
	else
		memset(out, 0, len);
}

static void decode_moves(ProllyReader *reader, GArray *moves)
{
	for (uint64_t n = prolly_reader_varint(reader); n > 0 && prolly_reader_ok(reader); n--) {
		ProllyMove move;

		move.sequence = prolly_reader_varint(reader);
		move.time = (int64_t)prolly_reader_le64(reader);
		read_bytes(reader, move.from.bytes, PROLLY_COMMIT_ID_SIZE);
		read_bytes(reader, move.to.bytes, PROLLY_COMMIT_ID_SIZE);
		g_array_append_val(moves, move);
	}
}

/* NULL: damaged. */
static ProllyState *decode_state(GBytes *record, char **out_name)
{
	g_autoptr(ProllyState) state = new_state();
	ProllyReader reader;
	const uint8_t *name;
	size_t name_len;

	prolly_reader_init(&reader, g_bytes_get_data(record, NULL), g_bytes_get_size(record));
	if (prolly_reader_u8(&reader) != STATE_VERSION)
		return NULL;
	name = prolly_reader_string(&reader, &name_len);
	read_bytes(&reader, state->head.bytes, PROLLY_COMMIT_ID_SIZE);
	read_bytes(&reader, state->attributes.top.bytes, PROLLY_HASH_SIZE);
	state->attributes.keys = prolly_reader_varint(&reader);
	state->attributes.bytes = prolly_reader_varint(&reader);
	for (uint64_t n = prolly_reader_varint(&reader); n > 0 && prolly_reader_ok(&reader); n--) {
		uint64_t generation = prolly_reader_le64(&reader);

		g_array_append_val(state->generations, generation);
	}
	decode_moves(&reader, state->moves);
	if (!prolly_reader_at_end(&reader) || state->generations->len == 0)
		return NULL;
	*out_name = g_strndup((const char *)name, name_len);
	return g_steal_pointer(&state);
}

bool prolly_state_load(ProllyRepoBody *body, uint32_t branch_id, char **out_name,
		       ProllyState **out_state, GError **error)
{
	g_autoptr(GBytes) record = NULL;
	uint8_t key[BRANCH_KEY_SIZE];
	ProllyState *state = NULL;
	char *name = NULL;

	make_branch_key(branch_id, key);
	if (!prolly_db_get(body->db, PROLLY_DB_META, NULL, key, sizeof(key), &record, error))
		return false;
	if (record) {
		state = decode_state(record, &name);
		if (!state)
			return prolly_throw(error, PROLLY_ERROR_CORRUPT,
					    "the record of branch number %" PRIu32 " is damaged",
					    branch_id);
	}
	*out_name = name;
	*out_state = state;
	return true;
}

bool prolly_state_find_branch(ProllyRepoBody *body, const char *name, uint32_t *out_id,
			      GError **error)
{
	g_autofree char *key = g_strconcat(NAME_PREFIX, name, NULL);
	g_autoptr(GBytes) value = NULL;

	if (!prolly_db_get(body->db, PROLLY_DB_META, NULL, key, strlen(key), &value, error))
		return false;
	if (value && g_bytes_get_size(value) != 4)
		return prolly_throw(error, PROLLY_ERROR_CORRUPT,
				    "the record of branch %s is damaged", name);
	*out_id = value ? prolly_get_be32(g_bytes_get_data(value, NULL)) : 0;
	return true;
}

bool prolly_state_list_names(ProllyRepoBody *body, GPtrArray *names, GError **error)
{
	size_t prefix_len = strlen(NAME_PREFIX);
	uint8_t end[sizeof(NAME_PREFIX)];
	size_t end_len = prolly_db_prefix_end(NAME_PREFIX, prefix_len, end);
	g_autoptr(ProllyDbIter) iter = prolly_db_iter_new(body->db, PROLLY_DB_META, NULL,
							  NAME_PREFIX, prefix_len, end, end_len);

	for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
	     prolly_db_iter_next(iter)) {
		size_t len;
		const char *key = (const char *)prolly_db_iter_get_key(iter, &len);

		g_ptr_array_add(names, g_strndup(key + prefix_len, len - prefix_len));
	}
	return prolly_db_iter_check(iter, error);
}

void prolly_state_save(uint32_t branch_id, const char *name, const ProllyState *state,
		       ProllyDbBatch *batch)
{
	g_autoptr(GByteArray) record = g_byte_array_new();
	g_autofree char *name_key = g_strconcat(NAME_PREFIX, name, NULL);
	uint8_t key[BRANCH_KEY_SIZE];
	uint8_t id[4];

	make_branch_key(branch_id, key);
	prolly_set_be32(id, branch_id);
	encode_state(name, state, record);
	prolly_db_batch_put(batch, PROLLY_DB_META, key, sizeof(key), record->data, record->len);
	prolly_db_batch_put(batch, PROLLY_DB_META, name_key, strlen(name_key), id, sizeof(id));
}

bool prolly_branch_check_there(ProllyBranch *branch, GError **error)
{
	return !prolly_branch_is_deleted(branch) ||
	       prolly_throw(error, PROLLY_ERROR_STALE, "the branch was deleted meanwhile");
}

void prolly_branch_save_state(ProllyBranch *branch, const ProllyState *state, ProllyDbBatch *batch)
{
	g_autofree char *name = NULL;

	g_return_if_fail(!prolly_branch_is_deleted(branch));

	name = prolly_branch_dup_name(branch);
	prolly_state_save(branch->id, name, state, batch);
}

void prolly_state_delete_records(uint32_t branch_id, const char *name, ProllyDbBatch *batch)
{
	g_autofree char *name_key = g_strconcat(NAME_PREFIX, name, NULL);
	uint8_t key[BRANCH_KEY_SIZE];

	make_branch_key(branch_id, key);
	prolly_db_batch_delete(batch, PROLLY_DB_META, key, sizeof(key));
	prolly_db_batch_delete(batch, PROLLY_DB_META, name_key, strlen(name_key));
}
