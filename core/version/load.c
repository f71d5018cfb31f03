/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Load: many keys as one change, in bounded memory.
 *
 * A load fills a generation of its own, which no state lists and so nobody sees. Entries gather in
 * a buffer; when it is full they are sorted and ingested as one file of the database, past its log
 * and memtable. Of equal keys the later one wins, within a buffer by the sort and between buffers
 * by the order of ingestion. Attaching is one record: the state with the load's generation in it,
 * under a fresh one for later writes. A crash before that leaves a generation that is swept at the
 * next start; so does a load that is given up, at once.
 *
 * The load neither reads nor locks anything of the branch while it is filled. What it would have to
 * know to keep directories' markers right is found by readers: an older marker of a directory that
 * a load has keys below is void (working.c), and a commit drops it (fold.c). Entries get no
 * attributes; their time is that of the attachment, one record for all of them.
 *
 * A collection asks for what is in the buffer, and looks at every generation; an entry is in one of
 * the two from the end of the call that adds it.
 *
 * A short load goes through the log, since a file for a few entries costs more.
 */
#include "base/memory.h"
#include "version/backup.h"
#include "version/working-private.h"

#include <string.h>

#define BUFFER_BYTES (24u << 20) /* of keys and values, before they are sorted and written */
#define RECORD_ROOM  256u        /* what a record is longer than its value by, at most */
#define INGEST_MIN   (1u << 20)  /* bytes from which ingesting a file pays */

typedef struct {
	size_t offset; /* in the buffer */
	uint32_t key_len;
	uint32_t value_len;
	uint32_t order; /* of arrival */
} BufferedEntry;

struct ProllyLoad {
	ProllyHolder holder;
	ProllyRepo *repo; /* borrowed */
	ProllyBranch *branch;
	char *ns;
	uint64_t generation;
	GByteArray *head;  /* branch, generation, type, namespace, NUL: of an entry's record key */
	GByteArray *bytes; /* keys and values of ENTRIES, one after the other */
	BufferedEntry *entries;
	size_t n, capacity; /* of entries */
	GByteArray *record; /* scratch */
	bool attached;
	GMutex lock; /* protects bytes and entries, which a collection reads too */
};

/* ---- Lifecycle --------------------------------------------------------------------------- */

static bool note_entry(const ProllyLoad *load, const BufferedEntry *entry, ProllyGc *gc,
		       GError **error)
{
	ProllyStagedRecord record;

	return prolly_staged_record_parse(load->bytes->data + entry->offset + entry->key_len,
					  entry->value_len, &record, error) &&
	       prolly_gc_keep_value(gc, record.stored, record.stored_len, error);
}

static bool report_load(ProllyHolder *holder, ProllyGc *gc, GError **error)
{
	ProllyLoad *load = (ProllyLoad *)holder;
	bool ok = true;

	g_mutex_lock(&load->lock);
	for (size_t i = 0; i < load->n && ok; i++)
		ok = note_entry(load, &load->entries[i], gc, error);
	g_mutex_unlock(&load->lock);
	return ok;
}

bool prolly_load_new(ProllyRepo *repo, ProllyBranch *branch, const char *ns, ProllyLoad **out_load,
		     GError **error)
{
	g_auto(ProllyRecordKey) key = {0};
	ProllyLoad *load;
	uint64_t number;

	if (ns[0] && !prolly_keypath_check_namespace(ns, error))
		return false;
	if (!prolly_repo_next_number(repo->body, PROLLY_COUNTER_GENERATION, &number, error))
		return false;
	load = g_new0(ProllyLoad, 1);
	load->repo = repo;
	load->branch = prolly_branch_ref(branch);
	load->ns = g_strdup(ns);
	load->generation = number | PROLLY_GENERATION_LOAD;
	prolly_record_key_init(&key, prolly_branch_get_id(branch), load->generation,
			       PROLLY_RECORD_ENTRY, ns, NULL, 0);
	load->head = g_byte_array_new();
	g_byte_array_append(load->head, key.data, (guint)key.len);
	load->bytes = g_byte_array_new();
	load->record = g_byte_array_new();
	g_mutex_init(&load->lock);
	prolly_holder_add(repo->body, &load->holder, report_load);
	*out_load = load;
	return true;
}

/* Removes what a load that was not attached has written; if that fails, the next start does. */
static void discard(ProllyLoad *load)
{
	ProllyDb *db = load->repo->body->db;
	uint32_t id = prolly_branch_get_id(load->branch);
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(db);

	prolly_staged_delete_generation(id, load->generation, batch);
	if (prolly_db_write(db, batch, PROLLY_DB_BUFFERED, NULL))
		prolly_staged_reclaim_generation(db, id, load->generation);
}

void prolly_load_free(ProllyLoad *load)
{
	if (!load)
		return;
	prolly_holder_remove(&load->holder);
	g_mutex_clear(&load->lock);
	if (!load->attached)
		discard(load);
	g_free(load->entries);
	g_byte_array_unref(load->record);
	g_byte_array_unref(load->bytes);
	g_byte_array_unref(load->head);
	g_free(load->ns);
	prolly_branch_unref(load->branch);
	g_free(load);
}

/* ---- The buffer -------------------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b, void *data)
{
	const BufferedEntry *x = a, *y = b;
	const uint8_t *bytes = ((const GByteArray *)data)->data;
	int order =
		prolly_bytes_compare(bytes + x->offset, x->key_len, bytes + y->offset, y->key_len);

	if (order)
		return order;
	return x->order < y->order ? -1 : x->order > y->order;
}

static bool is_sorted(const ProllyLoad *load)
{
	for (size_t i = 1; i < load->n; i++) {
		if (compare_entries(&load->entries[i - 1], &load->entries[i], load->bytes) > 0)
			return false;
	}
	return true;
}

/* Is the next entry one with the same key, so that this one is overwritten? */
static bool is_overwritten(const ProllyLoad *load, size_t i)
{
	const BufferedEntry *entry = &load->entries[i];

	if (i + 1 == load->n || entry[0].key_len != entry[1].key_len)
		return false;
	return memcmp(load->bytes->data + entry[0].offset, load->bytes->data + entry[1].offset,
		      entry[0].key_len) == 0;
}

/* The buffer, sorted, as entries of the database. */
typedef struct {
	ProllyDbEntry *entries;
	size_t n;
	uint8_t *keys; /* theirs */
} Batch;

static void batch_clear(Batch *batch)
{
	g_free(batch->entries);
	g_free(batch->keys);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Batch, batch_clear)

static bool make_batch(const ProllyLoad *load, Batch *out_batch, GError **error)
{
	size_t keys_size = load->bytes->len + load->n * load->head->len;
	uint8_t *key = out_batch->keys = prolly_try_malloc(keys_size, "what is loaded", error);

	out_batch->entries =
		prolly_try_new(ProllyDbEntry, load->n, "what is loaded", key ? error : NULL);
	if (!key || !out_batch->entries)
		return false;
	for (size_t i = 0; i < load->n; i++) {
		const BufferedEntry *entry = &load->entries[i];
		const uint8_t *bytes = load->bytes->data + entry->offset;
		ProllyDbEntry made = {
			.key = key,
			.key_len = load->head->len + entry->key_len,
			.value = bytes + entry->key_len,
			.value_len = entry->value_len,
		};

		if (is_overwritten(load, i))
			continue;
		memcpy(key, load->head->data, load->head->len);
		if (entry->key_len)
			memcpy(key + load->head->len, bytes, entry->key_len);
		key += made.key_len;
		out_batch->entries[out_batch->n++] = made;
	}
	return true;
}

static bool write_batch(ProllyLoad *load, const Batch *made, GError **error)
{
	ProllyDb *db = load->repo->body->db;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(db);

	for (size_t i = 0; i < made->n; i++) {
		const ProllyDbEntry *entry = &made->entries[i];

		prolly_db_batch_put(batch, PROLLY_DB_STAGED, entry->key, entry->key_len,
				    entry->value, entry->value_len);
	}
	return prolly_db_write(db, batch, PROLLY_DB_BUFFERED, error);
}

static bool flush_buffer(ProllyLoad *load, GError **error)
{
	g_auto(Batch) batch = {0};
	bool ok;

	if (load->n == 0)
		return true;
	g_mutex_lock(&load->lock);
	if (!is_sorted(load))
		qsort_r(load->entries, load->n, sizeof(*load->entries), compare_entries,
			load->bytes);
	g_mutex_unlock(&load->lock);
	if (!make_batch(load, &batch, error))
		return false;
	if (load->bytes->len < INGEST_MIN)
		ok = write_batch(load, &batch, error);
	else
		ok = prolly_db_ingest(load->repo->body->db, PROLLY_DB_STAGED, batch.entries,
				      batch.n, error);
	g_mutex_lock(&load->lock);
	load->n = 0;
	g_byte_array_set_size(load->bytes, 0);
	g_mutex_unlock(&load->lock);
	return ok;
}

static void put_record(ProllyLoad *load, ProllyRecordType type, const char *ns, const void *value,
		       size_t value_len, ProllyDbBatch *batch)
{
	g_auto(ProllyRecordKey) key = {0};

	prolly_record_key_init(&key, prolly_branch_get_id(load->branch), load->generation, type, ns,
			       NULL, 0);
	prolly_db_batch_put(batch, PROLLY_DB_STAGED, key.data, key.len, value, value_len);
}

/* ---- Adding ------------------------------------------------------------------------------ */

bool prolly_load_add(ProllyLoad *load, const void *key, size_t key_len, const void *content,
		     size_t content_len, GError **error)
{
	g_auto(ProllyGuard) guard = prolly_guard_enter(load->repo);
	g_autoptr(GBytes) stored = NULL;
	ProllyStagedRecord record = {.flags = PROLLY_STAGED_VALUE};
	BufferedEntry entry = {
		.offset = load->bytes->len,
		.key_len = (uint32_t)key_len,
		.order = (uint32_t)load->n,
	};
	bool ok;

	if (key_len > PROLLY_KEY_MAX)
		return prolly_throw(error, PROLLY_ERROR_TOO_BIG,
				    "a key of %zu bytes is over the limit of %u", key_len,
				    PROLLY_KEY_MAX);
	if (!prolly_value_store(prolly_repo_get_context(load->repo), PROLLY_KIND_FILE, content,
				content_len, &stored, error))
		return false;
	record.stored = g_bytes_get_data(stored, &record.stored_len);
	g_byte_array_set_size(load->record, 0);
	if (!prolly_try_reserve(&load->record, record.stored_len + RECORD_ROOM, "a value", error))
		return false;
	prolly_staged_record_append(load->record, &record);
	entry.value_len = load->record->len;
	g_mutex_lock(&load->lock);
	ok = prolly_try_reserve(&load->bytes, key_len + load->record->len, "what is loaded",
				error) &&
	     prolly_try_grow(&load->entries, &load->capacity, load->n + 1, sizeof(entry),
			     "what is loaded", error);
	if (ok) {
		if (key_len)
			g_byte_array_append(load->bytes, key, (guint)key_len);
		g_byte_array_append(load->bytes, load->record->data, load->record->len);
		load->entries[load->n++] = entry;
	}
	g_mutex_unlock(&load->lock);
	if (!ok)
		return false;
	return load->bytes->len < BUFFER_BYTES || flush_buffer(load, error);
}

/* ---- Attaching --------------------------------------------------------------------------- */

/* The load's own records: its time, and its namespace. */
static bool write_head(ProllyLoad *load, GError **error)
{
	ProllyDb *db = load->repo->body->db;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(db);
	uint8_t time[8];

	prolly_set_le64(time, (uint64_t)prolly_time_now());
	put_record(load, PROLLY_RECORD_TIME, "", time, sizeof(time), batch);
	if (load->ns[0])
		put_record(load, PROLLY_RECORD_NAMESPACE, load->ns, "\1", 1, batch);
	return prolly_db_write(db, batch, PROLLY_DB_BUFFERED, error);
}

static bool has_loaded(ProllyLoad *load, const ProllyPlace *place, bool *out_has, GError **error)
{
	g_auto(ProllyRecordKey) key = {0};
	g_autoptr(GBytes) record = NULL;

	prolly_record_key_init(&key, prolly_branch_get_id(load->branch), load->generation,
			       PROLLY_RECORD_ENTRY, load->ns, place->key, place->key_len);
	if (!prolly_db_get(load->repo->body->db, PROLLY_DB_STAGED, NULL, key.data, key.len, &record,
			   error))
		return false;
	*out_has = record != NULL;
	return true;
}

/* (transfer container) Of ProllyOwnedPlace: the names of open files whose keys were loaded. */
static bool list_replaced(ProllyLoad *load, GPtrArray **out_names, GError **error)
{
	g_autoptr(GPtrArray) names = prolly_files_list_names(load->branch);

	for (guint i = names->len; i-- > 0;) {
		const ProllyOwnedPlace *name = g_ptr_array_index(names, i);
		bool has = false;

		if (strcmp(name->place.ns, load->ns) == 0 &&
		    !has_loaded(load, &name->place, &has, error))
			return false;
		if (!has)
			g_ptr_array_remove_index_fast(names, i);
	}
	*out_names = g_steal_pointer(&names);
	return true;
}

/* Under write_lock. */
static bool attach_locked(ProllyLoad *load, GError **error)
{
	ProllyRepoBody *body = load->repo->body;
	g_autoptr(ProllyState) old = NULL, state = NULL;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(body->db);
	g_autoptr(GPtrArray) replaced = NULL;
	uint64_t top;

	if (!prolly_branch_check_there(load->branch, error) ||
	    !prolly_files_flush_all(load->repo, load->branch, error) ||
	    !list_replaced(load, &replaced, error) ||
	    !prolly_repo_next_number(body, PROLLY_COUNTER_GENERATION, &top, error))
		return false;
	old = prolly_branch_get_state(load->branch);
	state = prolly_state_copy(old);
	g_array_prepend_val(state->generations, load->generation);
	g_array_prepend_val(state->generations, top);
	prolly_branch_save_state(load->branch, state, batch);
	if (!prolly_db_write(body->db, batch, PROLLY_DB_BUFFERED, error))
		return false;
	prolly_hints_clear(load->branch->hints);
	prolly_branch_take_state(load->branch, prolly_state_ref(state));
	for (guint i = 0; i < replaced->len; i++) { /* they go on with what they have */
		const ProllyOwnedPlace *name = g_ptr_array_index(replaced, i);

		prolly_files_orphan(load->branch, &name->place);
	}
	load->attached = true;
	return true;
}

bool prolly_load_attach(ProllyLoad *load, GError **error)
{
	g_auto(ProllyGuard) guard = prolly_guard_enter(load->repo);
	bool ok;

	prolly_backup_claim(load->repo);
	if (!flush_buffer(load, error) || !write_head(load, error) ||
	    !prolly_store_flush(prolly_repo_get_context(load->repo)->store, NULL, error))
		return false;
	g_mutex_lock(&load->branch->commit_lock);
	g_mutex_lock(&load->branch->write_lock);
	ok = attach_locked(load, error);
	g_mutex_unlock(&load->branch->write_lock);
	g_mutex_unlock(&load->branch->commit_lock);
	if (ok)
		prolly_repo_notify(load->repo, load->branch, NULL, 0, false);
	return ok;
}
