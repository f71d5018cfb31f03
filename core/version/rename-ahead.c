/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rename-ahead: what takes long about the rename of a large directory, done before its moment.
 *
 * A hundred thousand keys take a third of a second to be written again. Nobody else should wait for
 * that, and a rename is nevertheless one change, also to a crash. So the keys go, in many short
 * writes and without the branch's lock, into a generation that no state lists (generation.c): gone
 * where they are, staged where they go, as a snapshot of the branch has them. The rename itself
 * then writes the parents' records and, in the same batch, the state with the generation on top,
 * however many keys there are. A crash before that leaves garbage that the next start sweeps.
 *
 * A1. What was made ahead holds if since the snapshot nothing was staged under either prefix, and
 *     the branch has the same state. The branch has a watch for that: whoever stages a record tells
 *     it (transaction.c), and so does a change of the state. A void watch means to begin again, and
 *     after TRIES times to rename without.
 * A2. commit_lock is held while it is made, and while it is attached: a commit or a merge under way
 *     goes on from the state it began with. It is never waited for. In between it is free, since
 *     who renames may wait for others there.
 * A3. Records that are written on top take nothing for granted that is below (transaction.c): what
 *     is gone there has a tombstone, extents of older generations are folded.
 * A4. What leaves and what arrives is written in batches of their own, each in key order, which the
 *     memtable is half as slow with as with the two in turn.
 * A5. Lists of hard links name paths that do not change until the rename does, so members are only
 *     noted, and their lists rewritten then.
 *
 * A generation more is one more to look into until the next commit, so small directories are
 * renamed in one batch, and so are large ones of a branch with GENERATIONS_MAX.
 */
#include "version/rename-private.h"

#include <string.h>

#define TRIES           3
#define GENERATIONS_MAX 12
#define BATCH_BYTES     (64u << 10) /* that others wait for at most, when they write */

/* ---- The watch --------------------------------------------------------------------------- */

static bool is_in(const ProllyPlace *place, const ProllyPlace *prefix)
{
	return !strcmp(place->ns, prefix->ns) && place->key_len >= prefix->key_len &&
	       (!prefix->key_len || !memcmp(place->key, prefix->key, prefix->key_len));
}

void prolly_watch_note(ProllyWatch *watch, const ProllyPlace *place)
{
	if (is_in(place, watch->from) || is_in(place, watch->to))
		watch->is_void = true;
}

void prolly_watch_void(ProllyWatch *watch)
{
	watch->is_void = true;
}

/* Makes the watch the branch's. False: it has another's, or is no branch any more. */
static bool begin_watch(ProllyRename *self, ProllyDbSnapshot **out_snapshot)
{
	ProllyBranch *branch = self->branch;
	ProllyWatch *watch = &self->ahead.watch;
	bool ok;

	g_mutex_lock(&branch->write_lock);
	ok = !prolly_branch_is_deleted(branch) && !branch->watch;
	if (ok) {
		*watch = (ProllyWatch){.from = &self->from.place, .to = &self->to.place};
		branch->watch = watch;
		self->ahead.over = prolly_branch_get_state(branch);
		*out_snapshot = prolly_db_snapshot_new(self->repo->body->db);
	}
	g_mutex_unlock(&branch->write_lock);
	return ok;
}

/* Under write_lock. */
static void end_watch(ProllyRename *self)
{
	if (self->branch->watch == &self->ahead.watch)
		self->branch->watch = NULL;
}

/* ---- Making it --------------------------------------------------------------------------- */

static void clear_member(gpointer data)
{
	ProllyRenamedMember *member = data;

	g_free(member->from);
	g_free(member->to);
}

/* What cannot be deleted the next start sweeps. */
void prolly_rename_discard_ahead(ProllyRename *self)
{
	ProllyRenameAhead *ahead = &self->ahead;
	ProllyDb *db = self->repo->body->db;

	g_mutex_lock(&self->branch->write_lock);
	end_watch(self);
	g_mutex_unlock(&self->branch->write_lock);
	if (ahead->generation && !ahead->is_attached) {
		g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(db);

		prolly_staged_delete_generation(prolly_branch_get_id(self->branch),
						ahead->generation, batch);
		prolly_db_write(db, batch, PROLLY_DB_TIDYING, NULL);
	}
	g_clear_pointer(&ahead->outs, prolly_db_batch_free);
	g_clear_pointer(&ahead->members, g_array_unref);
	g_clear_pointer(&ahead->over, prolly_state_unref);
	*ahead = (ProllyRenameAhead){0};
}

void prolly_rename_turn_ahead(ProllyRename *self)
{
	ProllyDbBatch *batch = self->txn->batch;

	if (!self->is_ahead)
		return;
	self->txn->batch = self->ahead.outs;
	self->ahead.outs = batch;
}

static bool write_batch(ProllyRename *self, ProllyDbBatch *batch, GError **error)
{
	if (!prolly_db_write(self->repo->body->db, batch, PROLLY_DB_BUFFERED, error))
		return false;
	prolly_db_batch_clear(batch);
	return true;
}

static bool write_batches(ProllyRename *self, GError **error)
{
	ProllyTransaction *txn = self->txn;

	if (txn->has_blobs &&
	    !prolly_store_flush(prolly_repo_get_context(self->repo)->store, NULL, error))
		return false;
	txn->has_blobs = false;
	return write_batch(self, self->ahead.outs, error) && write_batch(self, txn->batch, error);
}

bool prolly_rename_flush_ahead(ProllyRename *self, GError **error)
{
	return prolly_db_batch_get_size(self->txn->batch) < BATCH_BYTES ||
	       write_batches(self, error);
}

void prolly_rename_note_member(ProllyRename *self, uint64_t group, const ProllyPlace *from,
			       const ProllyPlace *to)
{
	ProllyRenamedMember member = {group, prolly_place_dup(from), prolly_place_dup(to)};

	g_array_append_val(self->ahead.members, member);
}

/* Are there as many as LEAST keys under the directory? */
static bool is_large(const ProllyTransaction *txn, const ProllyPlace *place, size_t least)
{
	g_autoptr(ProllyScan) scan = prolly_scan_new(&txn->working, place->ns, place->key,
						     place->key_len, 0, PROLLY_SCAN_COMMITTED);
	bool ok = prolly_scan_seek(scan, place->key, place->key_len, NULL);
	size_t n = 0;

	while (ok && n < least && prolly_scan_is_valid(scan)) {
		ok = prolly_scan_next(scan, NULL);
		n++;
	}
	return ok && n >= least;
}

/* What goes wrong here goes wrong, or not, when the rename is made, and is told then. */
static bool make(ProllyRename *self, size_t least)
{
	ProllyTransaction *txn = self->txn;
	bool is_made;

	return prolly_rename_check(self, &is_made, NULL) && !is_made &&
	       is_large(txn, &self->from.place, MAX(least, 1)) &&
	       prolly_repo_next_number(self->repo->body, PROLLY_COUNTER_GENERATION,
				       &self->ahead.generation, NULL) &&
	       (txn->generation = self->ahead.generation, prolly_rename_walk_tree(self, NULL)) &&
	       write_batches(self, NULL);
}

/* Once, under commit_lock. *OUT_AGAIN: the watch was void at the end. */
static void try_once(ProllyRename *self, size_t least, bool *out_again)
{
	ProllyRenameAhead *ahead = &self->ahead;
	ProllyDb *db = self->repo->body->db;
	ProllyDbSnapshot *snapshot;
	ProllyTransaction txn;
	bool made = false;

	*out_again = false;
	if (!begin_watch(self, &snapshot))
		return;
	ahead->outs = prolly_db_batch_new(db);
	ahead->members = g_array_new(FALSE, FALSE, sizeof(ProllyRenamedMember));
	g_array_set_clear_func(ahead->members, clear_member);
	txn = (ProllyTransaction){
		.working = {self->repo, self->branch, ahead->over, snapshot},
		.batch = prolly_db_batch_new(db),
		.now = prolly_time_now(),
		.sequence = prolly_state_get_sequence(ahead->over),
		.generation = prolly_state_get_generation(ahead->over),
	};
	if (ahead->over->generations->len < GENERATIONS_MAX) {
		self->txn = &txn;
		self->is_ahead = true;
		made = make(self, least);
		self->is_ahead = false;
		self->txn = NULL;
	}
	prolly_db_batch_free(txn.batch);
	prolly_db_snapshot_free(db, snapshot);
	g_mutex_lock(&self->branch->write_lock);
	*out_again = made && ahead->watch.is_void;
	ahead->is_made = made && !*out_again;
	g_mutex_unlock(&self->branch->write_lock);
	if (!ahead->is_made)
		prolly_rename_discard_ahead(self);
}

void prolly_rename_prepare(ProllyRename *self, size_t least)
{
	bool again = true;

	if (!self->from.is_directory || !self->to.is_directory ||
	    self->flags & PROLLY_RENAME_EXCHANGE)
		return;
	if (!g_mutex_trylock(&self->branch->commit_lock))
		return;
	for (int i = 0; i < TRIES && again; i++)
		try_once(self, least, &again);
	g_mutex_unlock(&self->branch->commit_lock);
}

/* ---- Attaching it ------------------------------------------------------------------------ */

bool prolly_rename_take_ahead(ProllyRename *self, bool may)
{
	ProllyRenameAhead *ahead = &self->ahead;

	end_watch(self);
	self->txn->watch = self->branch->watch;
	if (!may || ahead->watch.is_void)
		return false;
	self->txn->generation = ahead->generation;
	return true;
}

void prolly_rename_save_ahead(ProllyRename *self, ProllyState **out_state)
{
	ProllyState *state = prolly_state_copy(self->ahead.over);

	g_array_prepend_val(state->generations, self->ahead.generation);
	prolly_branch_save_state(self->branch, state, self->txn->batch);
	*out_state = state;
}

void prolly_rename_attach_ahead(ProllyRename *self, ProllyState *state)
{
	self->ahead.is_attached = true;
	prolly_branch_take_state(self->branch, state);
}
