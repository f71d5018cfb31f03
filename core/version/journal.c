/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal: what was published and may not be on the git directory's disk yet.
 *
 * A publication's record is made durable in the database and then carried out in the git directory,
 * unsynced (publication.c). A thread syncs the git directory when nothing was published for a
 * while, or much was, and removes the records it has covered; closing does the same. So what the
 * journal holds at an opening is what a crash may have lost, and all of it is carried out again, in
 * order: objects are written whether they are there or not, and a reference is moved only from where
 * the record says it stood, so that what git did since stands (refs-files.c).
 *
 * The thread also packs loose objects when they have become many (git-pack.c), and writes the
 * commit-graph when a log that missed it asked for it.
 *
 * Invariants.
 *  I1  A record is removed only after a sync that began when it was complete.
 *  I2  Records are numbered in the order of their writes, without gaps while the store is open;
 *      publish_lock makes one at a time.
 *  I3  A lock file of a reference that a process of ours may have left is named by the note in META
 *      or by a record.
 *  I4  After a sync that failed nobody knows what is on disk, and a later one that succeeds does not
 *      tell: records are kept then, until an opening has carried them out again.
 *
 * A store in memory has no journal: nothing of it outlives the process.
 */
#include "version/journal-private.h"

#include <inttypes.h>
#include <string.h>

#include "base/sync.h"

#define IDLE_US     (2 * G_USEC_PER_SEC)
#define RECORDS_MAX 256

static const char note_key[] = "git-locks";

struct ProllyJournal {
	ProllyRepoBody *body;
	uint64_t next; /* number of the next record; protected by publish_lock */

	GMutex trimming; /* one trim at a time */
	bool is_unsure;  /* protected by trimming: a sync has failed */

	GMutex lock; /* leaf */
	GCond wake;
	uint64_t first;    /* the oldest record that is not trimmed */
	uint64_t complete; /* all records below this one are in the git directory */
	bool wants_graph;
	bool stop;
	GThread *thread;
};

/* ---- Records ----------------------------------------------------------------------------- */

bool prolly_journal_note_locks(ProllyJournal *journal, const GPtrArray *updates, GError **error)
{
	g_autoptr(GByteArray) note = NULL;
	g_autoptr(ProllyDbBatch) batch = NULL;

	if (!journal)
		return true;
	note = g_byte_array_new();
	batch = prolly_db_batch_new(journal->body->db);
	prolly_journal_encode(NULL, updates, note);
	prolly_db_batch_put(batch, PROLLY_DB_META, note_key, strlen(note_key), note->data,
			    note->len);
	/* Deleting a branch comes this way too; what else comes is asked for its own room. */
	prolly_db_batch_note_freeing(batch);
	return prolly_db_write(journal->body->db, batch, PROLLY_DB_BUFFERED, error);
}

uint64_t prolly_journal_add(ProllyJournal *journal, const GPtrArray *objects,
			    const GPtrArray *updates, ProllyDbBatch *batch)
{
	g_autoptr(GByteArray) record = NULL;
	uint8_t key[8];

	if (!journal)
		return 0;
	record = g_byte_array_new();
	prolly_set_be64(key, journal->next);
	prolly_journal_encode(objects, updates, record);
	prolly_db_batch_put(batch, PROLLY_DB_JOURNAL, key, sizeof(key), record->data, record->len);
	prolly_db_batch_delete(batch, PROLLY_DB_META, note_key, strlen(note_key));
	return journal->next++;
}

void prolly_journal_withdraw(ProllyJournal *journal, uint64_t sequence)
{
	if (journal)
		journal->next = sequence;
}

/* The thread is woken if it waits for a first record, or for many: while it waits for quiet it looks
 * by itself. */
void prolly_journal_complete(ProllyJournal *journal, uint64_t sequence)
{
	bool was_empty;

	if (!journal)
		return;
	g_mutex_lock(&journal->lock);
	was_empty = journal->first == journal->complete;
	/* behind one that could not be carried out nothing is complete: the next opening sees to it
	 */
	if (journal->complete == sequence)
		journal->complete = sequence + 1;
	if (was_empty || journal->complete - journal->first >= RECORDS_MAX)
		g_cond_signal(&journal->wake);
	g_mutex_unlock(&journal->lock);
}

/* ---- Trimming ---------------------------------------------------------------------------- */

/* I4 */
static bool sync_git(ProllyJournal *journal, GError **error)
{
	const char *dir = journal->body->git->dir;

	if (journal->is_unsure)
		return prolly_throw(error, PROLLY_ERROR_FAILED, "%s could not be synced before",
				    dir);
	journal->is_unsure = !prolly_sync_tree(dir, error);
	return !journal->is_unsure;
}

/* Removes the records that are complete now, once the git directory is synced (I1). */
static bool trim_records(ProllyJournal *journal, GError **error)
{
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(journal->body->db);
	uint64_t first;
	uint64_t end;

	g_mutex_lock(&journal->lock);
	first = journal->first;
	end = journal->complete;
	g_mutex_unlock(&journal->lock);
	if (first >= end)
		return true;

	if (!sync_git(journal, error))
		return false;
	for (uint64_t sequence = first; sequence < end; sequence++) {
		uint8_t key[8];

		prolly_set_be64(key, sequence);
		prolly_db_batch_delete(batch, PROLLY_DB_JOURNAL, key, sizeof(key));
	}
	if (!prolly_db_write(journal->body->db, batch, PROLLY_DB_TIDYING, error))
		return false;

	g_mutex_lock(&journal->lock);
	journal->first = end;
	g_mutex_unlock(&journal->lock);
	return true;
}

bool prolly_journal_trim(ProllyJournal *journal, GError **error)
{
	bool ok;

	if (!journal)
		return true;
	g_mutex_lock(&journal->trimming);
	ok = trim_records(journal, error);
	g_mutex_unlock(&journal->trimming);
	return ok;
}

static bool trim_all(ProllyJournal *journal, GError **error)
{
	const char *git_dir = journal->body->git->dir;
	bool wants_graph;

	g_mutex_lock(&journal->lock);
	wants_graph = journal->wants_graph;
	journal->wants_graph = false;
	g_mutex_unlock(&journal->lock);
	if (!prolly_journal_trim(journal, error))
		return false;
	if (prolly_git_has_many_loose(git_dir))
		return prolly_git_pack_loose(journal->body, error);
	return !wants_graph || prolly_git_write_commit_graph(git_dir, error);
}

static bool trim(ProllyJournal *journal, GError **error)
{
	bool ok = trim_all(journal, error);

	prolly_gc_account_touch(journal->body);
	return ok;
}

void prolly_journal_want_graph(ProllyJournal *journal)
{
	if (!journal)
		return;
	g_mutex_lock(&journal->lock);
	journal->wants_graph = true;
	g_cond_signal(&journal->wake);
	g_mutex_unlock(&journal->lock);
}

/* Waits until there is something to trim and nothing new came for a while, or much did. False:
 * stop. Under journal->lock. */
static bool wait_for_work(ProllyJournal *journal)
{
	while (!journal->stop) {
		uint64_t seen = journal->complete;
		gint64 deadline = g_get_monotonic_time() + IDLE_US;

		if (journal->wants_graph)
			return true;
		if (journal->first == seen) {
			g_cond_wait(&journal->wake, &journal->lock);
			continue;
		}
		if (journal->complete - journal->first >= RECORDS_MAX)
			return true;
		if (!g_cond_wait_until(&journal->wake, &journal->lock, deadline) &&
		    journal->complete == seen)
			return !journal->stop;
	}
	return false;
}

static gpointer run(gpointer data)
{
	ProllyJournal *journal = data;

	g_mutex_lock(&journal->lock);
	while (wait_for_work(journal)) {
		g_autoptr(GError) error = NULL;

		g_mutex_unlock(&journal->lock);
		if (!trim(journal, &error)) {
			g_debug("%s", error->message);
			g_usleep(IDLE_US);
		}
		g_mutex_lock(&journal->lock);
	}
	g_mutex_unlock(&journal->lock);
	return NULL;
}

/* ---- Replay ------------------------------------------------------------------------------ */

typedef struct {
	uint64_t sequence;
	GPtrArray *objects;
	GPtrArray *updates;
} Record;

static void free_record(gpointer data)
{
	Record *record = data;

	g_clear_pointer(&record->objects, g_ptr_array_unref);
	g_clear_pointer(&record->updates, g_ptr_array_unref);
	g_free(record);
}

static bool load_record(ProllyDbIter *iter, GPtrArray *records, GError **error)
{
	size_t key_len;
	size_t len;
	const uint8_t *key = prolly_db_iter_get_key(iter, &key_len);
	const uint8_t *value = prolly_db_iter_get_value(iter, &len);
	Record *record = g_new0(Record, 1);

	g_ptr_array_add(records, record);
	if (key_len != 8)
		return prolly_throw(error, PROLLY_ERROR_CORRUPT, "a record's key has %zu bytes",
				    key_len);
	record->sequence = prolly_get_be64(key);
	if (!prolly_journal_decode(value, len, &record->objects, &record->updates, error)) {
		g_prefix_error(error, "record %" PRIu64 ": ", record->sequence);
		return false;
	}
	return true;
}

static bool load_records(ProllyDb *db, GPtrArray *records, GError **error)
{
	g_autoptr(ProllyDbIter) iter =
		prolly_db_iter_new(db, PROLLY_DB_JOURNAL, NULL, "", 0, NULL, 0);

	for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
	     prolly_db_iter_next(iter)) {
		if (!load_record(iter, records, error)) {
			g_prefix_error(error, "journal: ");
			return false;
		}
	}
	return prolly_db_iter_check(iter, error);
}

/* I3: locks that a process of ours may have left. */
static bool break_locks(ProllyRepoBody *body, const GPtrArray *records, GError **error)
{
	g_autoptr(GBytes) note = NULL;
	g_autoptr(GPtrArray) objects = NULL;
	g_autoptr(GPtrArray) noted = NULL;
	g_autoptr(GPtrArray) updates = g_ptr_array_new();

	if (!prolly_db_get(body->db, PROLLY_DB_META, NULL, note_key, strlen(note_key), &note,
			   error))
		return false;
	if (note && prolly_journal_decode(g_bytes_get_data(note, NULL), g_bytes_get_size(note),
					  &objects, &noted, NULL))
		g_ptr_array_extend(updates, noted, NULL, NULL);
	for (guint i = 0; i < records->len; i++) {
		const Record *record = g_ptr_array_index(records, i);

		g_ptr_array_extend(updates, record->updates, NULL, NULL);
	}
	prolly_refs_break_locks(body->git->dir, updates);
	return true;
}

/* Objects first, so that no reference is moved to what is not there. */
static bool carry_out(ProllyGit *git, const GPtrArray *records, GError **error)
{
	g_autoptr(GPtrArray) updates = g_ptr_array_new();

	for (guint i = 0; i < records->len; i++) {
		const Record *record = g_ptr_array_index(records, i);

		if (!prolly_git_write_objects(git, record->objects, error)) {
			g_prefix_error(error, "journal: record %" PRIu64 ": ", record->sequence);
			return false;
		}
		g_ptr_array_extend(updates, record->updates, NULL, NULL);
	}
	return git->refs->ops->replay(git->refs, updates, error);
}

static bool replay(ProllyJournal *journal, GError **error)
{
	ProllyRepoBody *body = journal->body;
	g_autoptr(GPtrArray) records = g_ptr_array_new_with_free_func(free_record);
	const Record *first;
	const Record *last;

	if (!load_records(body->db, records, error) || !break_locks(body, records, error) ||
	    !carry_out(body->git, records, error))
		return false;
	if (records->len > 0) {
		first = g_ptr_array_index(records, 0);
		last = g_ptr_array_index(records, records->len - 1);
		journal->first = first->sequence;
		journal->next = journal->complete = last->sequence + 1;
	}
	return true;
}

/* ---- Lifecycle --------------------------------------------------------------------------- */

bool prolly_journal_open(ProllyRepoBody *body, ProllyJournal **out_journal, GError **error)
{
	ProllyJournal *journal;

	if (!body->git->dir) {
		*out_journal = NULL;
		return true;
	}
	journal = g_new0(ProllyJournal, 1);
	journal->body = body;
	journal->first = journal->next = journal->complete = 1;
	g_mutex_init(&journal->trimming);
	g_mutex_init(&journal->lock);
	g_cond_init(&journal->wake);
	if (!replay(journal, error)) {
		journal->complete = journal->first;
		prolly_journal_close(journal);
		return false;
	}
	journal->thread = g_thread_new("prolly-journal", run, journal);
	*out_journal = journal;
	return true;
}

void prolly_journal_close(ProllyJournal *journal)
{
	g_autoptr(GError) error = NULL;

	if (!journal)
		return;
	if (journal->thread) {
		g_mutex_lock(&journal->lock);
		journal->stop = true;
		g_cond_signal(&journal->wake);
		g_mutex_unlock(&journal->lock);
		g_thread_join(journal->thread);
	}
	if (!trim(journal, &error))
		g_debug("%s", error->message);
	g_mutex_clear(&journal->trimming);
	g_mutex_clear(&journal->lock);
	g_cond_clear(&journal->wake);
	g_free(journal);
}
