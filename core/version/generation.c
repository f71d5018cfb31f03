/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A generation made as a whole: many changes of a working state that become visible at once.
 *
 * The records go into a generation that no state lists, in batches of bounded size, so nobody sees
 * them and a crash leaves garbage that the next start sweeps (staged.c). Then one record, the
 * branch's state with the generation in it, makes all of them true. That is how a load works too;
 * but a load only adds keys and leaves directories to its readers, while here keys go as well, so
 * the directories' records and markers are made right by who makes the generation.
 *
 * A working state of many generations is slow to look through. So a small one is not put on top but
 * laid into the one that is there, in the same atomic write, and what is then as it is committed
 * is taken out of all of them.
 *
 * It is written through a transaction whose state has the generation as its first, so that the
 * records' forms are in one place. The transaction's lock is the caller's business.
 */
#include "version/generation-private.h"

#include <string.h>

#define BATCH_MAX 4096 /* records */

/* A parent's path is shorter than its children's. */
static int compare_directories(gconstpointer a, gconstpointer b, gpointer data)
{
	size_t a_len = g_bytes_get_size((GBytes *)a), b_len = g_bytes_get_size((GBytes *)b);

	return a_len != b_len ? (a_len > b_len ? -1 : 1) : g_bytes_compare(a, b);
}

bool prolly_generation_begin(ProllyGeneration *self, ProllyRepo *repo, ProllyBranch *branch,
			     ProllyState *over, GError **error)
{
	uint64_t number;

	*self = (ProllyGeneration){0};
	if (!prolly_repo_next_number(repo->body, PROLLY_COUNTER_GENERATION, &number, error))
		return false;
	self->number = number;
	self->over = prolly_state_ref(over);
	self->state = prolly_state_copy(over);
	g_array_prepend_val(self->state->generations, number);
	self->directories =
		g_tree_new_full(compare_directories, NULL, (GDestroyNotify)g_bytes_unref, NULL);
	self->txn = (ProllyTransaction){
		.working = {.repo = repo, .branch = branch, .state = self->state},
		.batch = prolly_db_batch_new(repo->body->db),
		.now = prolly_time_now(),
		.sequence = prolly_state_get_sequence(over),
		.generation = number,
	};
	return true;
}

/* What was written and not attached goes; if that fails, the next start does it. */
static void discard(ProllyGeneration *self)
{
	ProllyDb *db = self->txn.working.repo->body->db;
	uint32_t id = prolly_branch_get_id(self->txn.working.branch);
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(db);

	prolly_staged_delete_generation(id, self->number, batch);
	prolly_db_write(db, batch, PROLLY_DB_TIDYING, NULL);
}

void prolly_generation_clear(ProllyGeneration *self)
{
	if (!self->state)
		return;
	if (self->is_written && !self->is_attached)
		discard(self);
	g_clear_pointer(&self->txn.batch, prolly_db_batch_free);
	g_clear_pointer(&self->directories, g_tree_unref);
	g_clear_pointer(&self->state, prolly_state_unref);
	g_clear_pointer(&self->over, prolly_state_unref);
}

bool prolly_generation_flush(ProllyGeneration *self, GError **error)
{
	ProllyDb *db = self->txn.working.repo->body->db;

	if (!self->n_batched)
		return true;
	self->is_written = true;
	self->n_batched = 0;
	if (!prolly_db_write(db, self->txn.batch, PROLLY_DB_BUFFERED, error))
		return false;
	prolly_db_batch_free(self->txn.batch);
	self->txn.batch = prolly_db_batch_new(db);
	return true;
}

static bool count_record(ProllyGeneration *self, GError **error)
{
	self->n_records++;
	return ++self->n_batched < BATCH_MAX || prolly_generation_flush(self, error);
}

bool prolly_generation_put(ProllyGeneration *self, const ProllyPlace *place, GBytes *stored,
			   const ProllyAttrRecord *record, GError **error)
{
	size_t len;
	const uint8_t *data = g_bytes_get_data(stored, &len);

	prolly_transaction_put(&self->txn, place, data, len, NULL, record);
	return count_record(self, error);
}

bool prolly_generation_put_attrs(ProllyGeneration *self, const ProllyPlace *place,
				 const ProllyAttrRecord *record, GError **error)
{
	g_auto(ProllyFinding) nothing = {0};

	prolly_finding_init(&nothing);
	prolly_transaction_put_attrs(&self->txn, place, &nothing, record);
	return count_record(self, error);
}

bool prolly_generation_remove(ProllyGeneration *self, const ProllyPlace *place, GError **error)
{
	prolly_staged_put_tombstone(&self->txn.working, place, self->txn.batch);
	return count_record(self, error);
}

bool prolly_generation_put_directory(ProllyGeneration *self, const ProllyPlace *dir,
				     const ProllyAttrRecord *record, ProllyDirectoryState state,
				     GError **error)
{
	prolly_transaction_put_directory(&self->txn, dir, record, state);
	return count_record(self, error);
}

bool prolly_generation_put_changed(ProllyGeneration *self, const ProllyPlace *dir,
				   ProllyAttrRecord *record, GError **error)
{
	record->sequence = prolly_state_get_sequence(self->state);
	if (!prolly_generation_put_directory(self, dir, record, PROLLY_DIRECTORY_UNKNOWN, error))
		return false;
	if (dir->key_len)
		prolly_generation_touch_parent(self, dir);
	return true;
}

bool prolly_generation_put_namespace(ProllyGeneration *self, const char *ns, bool exists,
				     GError **error)
{
	prolly_transaction_put_namespace(&self->txn, ns, exists);
	return count_record(self, error);
}

/* ---- Directories whose children change ---------------------------------------------------- */

/* Elements are the namespace, a NUL, and the prefix. */
static GByteArray *new_element(const ProllyPlace *place, size_t len)
{
	GByteArray *element = g_byte_array_new();

	g_byte_array_append(element, (const uint8_t *)place->ns, (guint)strlen(place->ns) + 1);
	if (len)
		g_byte_array_append(element, place->key, (guint)len);
	return element;
}

void prolly_generation_touch_parent(ProllyGeneration *self, const ProllyPlace *place)
{
	GByteArray *element = new_element(place, prolly_place_parent_len(place));

	g_tree_insert(self->directories, g_byte_array_free_to_bytes(element), NULL);
}

void prolly_generation_touch_marked(ProllyGeneration *self, const ProllyPlace *marker)
{
	GByteArray *element = new_element(marker, marker->key_len);

	g_byte_array_append(element, (const uint8_t *)"/", 1);
	g_tree_insert(self->directories, g_byte_array_free_to_bytes(element), NULL);
}

GBytes *prolly_generation_take_directory(ProllyGeneration *self, ProllyPlace *out_dir)
{
	GTreeNode *first = g_tree_node_first(self->directories);
	GBytes *key;
	const char *bytes;
	size_t len, ns_len;

	if (!first)
		return NULL;
	key = g_bytes_ref(g_tree_node_key(first));
	g_tree_remove(self->directories, key);
	bytes = g_bytes_get_data(key, &len);
	ns_len = strlen(bytes) + 1;
	*out_dir = (ProllyPlace){bytes, (const uint8_t *)bytes + ns_len, len - ns_len};
	return key;
}

/* ---- Laying it into the generation below -------------------------------------------------- */

/* An entry's record of this generation. */
typedef struct {
	ProllyPlace place;
	ProllyStagedRecord record;
	GBytes *bytes; /* borrowed */
} Entry;

/* Is the key, with it, what is committed? */
static bool is_committed(ProllyGeneration *self, const Entry *entry, bool *out_is, GError **error)
{
	const ProllyTreeContext *context = prolly_repo_get_context(self->txn.working.repo);
	const ProllyTree *tree = prolly_state_find_namespace(self->over, entry->place.ns);
	bool has_value = entry->record.flags & PROLLY_STAGED_VALUE;
	g_auto(ProllyValueRef) value = {0};

	if (tree &&
	    !prolly_tree_get(context, tree, entry->place.key, entry->place.key_len, &value, error))
		return false;
	if (has_value && value.node)
		*out_is = entry->record.stored_len == value.len &&
			  memcmp(entry->record.stored, value.data, value.len) == 0;
	else
		*out_is = !has_value && !value.node;
	return true;
}

/* Takes the record of KEY out of all generations below. */
static void delete_below(ProllyGeneration *self, ProllyRecordKey *key, ProllyDbBatch *batch)
{
	const GArray *generations = self->over->generations;

	for (guint i = 0; i < generations->len; i++) {
		prolly_record_key_set_generation(key, g_array_index(generations, uint64_t, i));
		prolly_db_batch_delete(batch, PROLLY_DB_STAGED, key->data, key->len);
	}
}

/* The key is as it is committed: nothing is staged of it but, if it exists, its attributes. */
static bool unstage(ProllyGeneration *self, const Entry *entry, ProllyRecordKey *key,
		    ProllyDbBatch *batch, GError **error)
{
	ProllyStagedRecord attrs = entry->record;
	g_autoptr(GByteArray) data = g_byte_array_new();
	ProllyWorking over = self->txn.working;

	over.state = self->over;
	if (!(entry->record.flags & PROLLY_STAGED_VALUE)) {
		delete_below(self, key, batch);
		return true;
	}
	if (!prolly_staged_drop_value(&over, &entry->place, batch, error))
		return false;
	attrs.flags &= PROLLY_STAGED_ATTRS;
	if (!attrs.flags)
		return true;
	prolly_staged_record_append(data, &attrs);
	prolly_db_batch_put(batch, PROLLY_DB_STAGED, key->data, key->len, data->data, data->len);
	return true;
}

/* Does a load say something of the entry? If it has the key, its record there says of the
 * directories above that they are (I1 in staged.c): it is covered, never taken out. If it has
 * others, a marker may be void for those, unless it lies over the load. */
static bool is_loaded(ProllyGeneration *self, const Entry *entry, ProllyRecordKey *key,
		      bool *out_is, GError **error)
{
	bool is_marker =
		entry->record.stored_len && entry->record.stored[0] == PROLLY_KIND_DIRECTORY;
	ProllyDb *db = self->txn.working.repo->body->db;
	const GArray *generations = self->over->generations;

	*out_is = false;
	for (guint i = 0; i < generations->len && !*out_is; i++) {
		uint64_t generation = g_array_index(generations, uint64_t, i);
		g_autoptr(GBytes) bytes = NULL;

		if (!(generation & PROLLY_GENERATION_LOAD))
			continue;
		prolly_record_key_set_generation(key, generation);
		if (!prolly_db_get(db, PROLLY_DB_STAGED, NULL, key->data, key->len, &bytes, error))
			return false;
		*out_is = is_marker || bytes;
	}
	prolly_record_key_set_generation(key, g_array_index(generations, uint64_t, 0));
	return true;
}

static bool lay_entry(ProllyGeneration *self, const Entry *entry, ProllyDbBatch *batch,
		      GError **error)
{
	g_auto(ProllyRecordKey) key = {0};
	size_t len;
	const void *data = g_bytes_get_data(entry->bytes, &len);
	bool same, loaded;

	prolly_record_key_init(&key, prolly_branch_get_id(self->txn.working.branch),
			       g_array_index(self->over->generations, uint64_t, 0),
			       PROLLY_RECORD_ENTRY, entry->place.ns, entry->place.key,
			       entry->place.key_len);
	if (!is_committed(self, entry, &same, error) ||
	    !is_loaded(self, entry, &key, &loaded, error))
		return false;
	if (same && !loaded)
		return unstage(self, entry, &key, batch, error);
	prolly_db_batch_put(batch, PROLLY_DB_STAGED, key.data, key.len, data, len);
	return true;
}

static bool lay_entries(ProllyGeneration *self, ProllyDbBatch *batch, GError **error)
{
	g_autoptr(ProllyDbIter) iter =
		prolly_staged_iter_new(&self->txn.working, 0, PROLLY_RECORD_ENTRY, NULL, NULL, 0);

	for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
	     prolly_db_iter_next(iter)) {
		size_t key_len, len;
		const uint8_t *key = prolly_db_iter_get_key(iter, &key_len);
		const uint8_t *value = prolly_db_iter_get_value(iter, &len);
		g_autoptr(GBytes) bytes = g_bytes_new(value, len);
		Entry entry = {.bytes = bytes};

		if (!prolly_record_key_split(key, key_len, &entry.place.ns, &entry.place.key,
					     &entry.place.key_len) ||
		    !prolly_staged_record_parse(g_bytes_get_data(bytes, NULL), len, &entry.record,
						error) ||
		    !lay_entry(self, &entry, batch, error))
			return false;
	}
	return prolly_db_iter_check(iter, error);
}

/* A namespace that is, or is not, there as it is committed needs no record. */
static bool is_committed_namespace(ProllyGeneration *self, const char *ns, const uint8_t *value,
				   size_t len)
{
	return len && !*value == !prolly_state_find_namespace(self->over, ns);
}

/* Records of directories or namespaces. */
static bool lay_others(ProllyGeneration *self, ProllyRecordType type, ProllyDbBatch *batch,
		       GError **error)
{
	uint64_t top = g_array_index(self->over->generations, uint64_t, 0);
	g_autoptr(ProllyDbIter) iter =
		prolly_staged_iter_new(&self->txn.working, 0, type, NULL, NULL, 0);

	for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
	     prolly_db_iter_next(iter)) {
		size_t key_len, len, rest_len;
		const uint8_t *key = prolly_db_iter_get_key(iter, &key_len), *rest;
		const uint8_t *value = prolly_db_iter_get_value(iter, &len);
		g_auto(ProllyRecordKey) own = {0};
		const char *ns;

		if (!prolly_record_key_split(key, key_len, &ns, &rest, &rest_len))
			return prolly_throw(error, PROLLY_ERROR_CORRUPT,
					    "a staged record's key is damaged");
		prolly_record_key_init(&own, prolly_branch_get_id(self->txn.working.branch), top,
				       type, ns, rest, rest_len);
		if (type == PROLLY_RECORD_NAMESPACE && is_committed_namespace(self, ns, value, len))
			delete_below(self, &own, batch);
		else
			prolly_db_batch_put(batch, PROLLY_DB_STAGED, own.data, own.len, value, len);
	}
	return prolly_db_iter_check(iter, error);
}

bool prolly_generation_is_small(const ProllyGeneration *self)
{
	return self->n_records <= BATCH_MAX;
}

bool prolly_generation_lay(ProllyGeneration *self, ProllyDbBatch *batch, GError **error)
{
	if (self->txn.working.branch->watch)
		prolly_watch_void(self->txn.working.branch->watch);
	if (!lay_entries(self, batch, error) ||
	    !lay_others(self, PROLLY_RECORD_DIRECTORY, batch, error) ||
	    !lay_others(self, PROLLY_RECORD_NAMESPACE, batch, error))
		return false;
	prolly_staged_delete_generation(prolly_branch_get_id(self->txn.working.branch),
					self->number, batch);
	return true;
}
