/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reset: a branch moves to another commit, and what is staged stays (soft) or goes (hard).
 *
 * Soft. The working state does not change, so what differs between the new head and the old one is
 * staged now: a generation is put under all others that holds, for each such key, what the old head
 * had. Whatever was staged before lies over it and is not looked at. It is filled while writers go
 * on, since only the two commits say what is in it.
 *
 * Hard. The generations go. What they knew of attributes stays, as git leaves the mode of a file
 * that it does not touch: a new generation takes the records of keys and directories that the new
 * head has. A key whose staged value went has the time of now; what differs between the two commits
 * is a move and has the move's time.
 *
 * A merge that waits on the branch ends, as with git.
 *
 * Either way all of it is one publication: the branch's reference, its reflog and its state. Under
 * commit_lock throughout, under write_lock when it is published (hard: all the while, since what is
 * staged must not change once it was looked at).
 */
#include "version/reset.h"

#include <string.h>

#include "version/generation-private.h"
#include "version/merge-private.h"

typedef struct {
	ProllyRepo *repo;
	ProllyBranch *branch;
	ProllyResetMode mode;
	const char *rev;
	ProllyCommitId to;
	ProllyState *old;        /* of the branch */
	ProllyState *target;     /* at TO with nothing staged */
	ProllyWorking committed; /* of TO */
	ProllyGeneration generation;
	GPtrArray *places; /* what to tell; NULL: everything */
} Resetting;

/* ---- Soft: what the old head had ---------------------------------------------------------- */

/* What is recorded for PLACE now, whatever is staged over it. */
static bool load_record(Resetting *self, const ProllyPlace *place, ProllyAttrRecord *out_record,
			GError **error)
{
	ProllyWorking head = {.repo = self->repo, .branch = self->branch, .state = self->old};
	int first = (int)self->old->generations->len;
	g_auto(ProllyFinding) finding = {0};

	prolly_finding_init(&finding);
	if (!prolly_working_find(&head, place, first, true, &finding, error) ||
	    !prolly_working_settle(&head, place, &finding, out_record, error))
		return false;
	out_record->attrs.has |= PROLLY_ATTR_TIMES;
	out_record->sequence = prolly_state_get_sequence(self->generation.state);
	return true;
}

static bool is_marker(const ProllyEntry *entry)
{
	return entry && entry->kind == PROLLY_KIND_DIRECTORY;
}

static bool keep_key(Resetting *self, const ProllyViewChange *change, GError **error)
{
	const ProllyEntry *entry = change->new_entry;
	g_auto(ProllyAttrRecord) record = {0};

	if (is_marker(change->old_entry) || is_marker(entry))
		prolly_generation_touch_marked(&self->generation, &change->place);
	if (change->kind != PROLLY_CHANGE_MODIFIED)
		prolly_generation_touch_parent(&self->generation, &change->place);
	if (!entry)
		return prolly_generation_remove(&self->generation, &change->place, error);
	if (is_marker(entry))
		return prolly_generation_put(&self->generation, &change->place, entry->stored, NULL,
					     error);
	return load_record(self, &change->place, &record, error) &&
	       prolly_generation_put(&self->generation, &change->place, entry->stored, &record,
				     error);
}

static bool keep_keys(Resetting *self, GError **error)
{
	g_autoptr(ProllyView) to = NULL, from = NULL;
	g_autoptr(ProllyChanges) changes = NULL;
	ProllyViewChange change;
	bool end = false;

	if (!prolly_view_new_commit(self->repo, &self->to, &to, error) ||
	    !prolly_view_new_commit(self->repo, &self->old->head, &from, error) ||
	    !prolly_changes_new(to, from, NULL, NULL, 0, &changes, error))
		return false;
	while (prolly_changes_next(changes, &change, &end, error)) {
		if (end)
			return true;
		if (!keep_key(self, &change, error))
			return false;
	}
	return false;
}

/* The directories whose children differ (I1 in staged.c); their state is for readers to find. */
static bool keep_directories(Resetting *self, GError **error)
{
	ProllyWorking head = {.repo = self->repo, .branch = self->branch, .state = self->old};
	ProllyPlace dir;

	for (;;) {
		g_autoptr(GBytes) key = prolly_generation_take_directory(&self->generation, &dir);
		g_auto(ProllyAttrRecord) record = {0};

		if (!key)
			return true;
		if (!prolly_working_find_directory(&head, &dir, &record, NULL, error) ||
		    !prolly_working_settle_directory(&head, &dir, &record, error))
			return false;
		record.attrs.has |= PROLLY_ATTR_TIMES;
		if (!prolly_generation_put_changed(&self->generation, &dir, &record, error))
			return false;
	}
}

static bool keep_namespaces(Resetting *self, GError **error)
{
	const GArray *sides[] = {self->target->namespaces, self->old->namespaces};

	for (int side = 0; side < 2; side++) {
		for (guint i = 0; i < sides[side]->len; i++) {
			const char *ns = g_array_index(sides[side], ProllyNamespace, i).name;
			bool had = prolly_state_find_namespace(self->old, ns);

			if (had != !prolly_state_find_namespace(self->target, ns))
				continue;
			if (!prolly_generation_put_namespace(&self->generation, ns, had, error))
				return false;
		}
	}
	return true;
}

static bool fill_soft(Resetting *self, GError **error)
{
	return keep_keys(self, error) && keep_directories(self, error) &&
	       keep_namespaces(self, error) && prolly_generation_flush(&self->generation, error);
}

/* ---- Hard: what stays of attributes ------------------------------------------------------- */

static bool is_same(const ProllyFinding *a, const ProllyFinding *b)
{
	return prolly_finding_exists(a) && !a->extents && a->stored_len == b->stored_len &&
	       memcmp(a->stored, b->stored, a->stored_len) == 0;
}

/* What is recorded in the committed attributes, with FROM's public members (nullable) over it. */
static bool make_record(Resetting *self, ProllyRecordType type, const ProllyPlace *place,
			const ProllyAttrs *from, ProllyAttrRecord *out_record, GError **error)
{
	ProllyWorking working = {.repo = self->repo, .branch = self->branch, .state = self->old};
	g_auto(ProllyFinding) finding = {0};

	prolly_finding_init(&finding);
	if (!prolly_working_find_committed_attrs(&working, type, place, &finding, error) ||
	    !prolly_finding_get_attr_record(&finding, out_record, error))
		return false;
	if (from)
		prolly_attr_record_update(out_record, from);
	out_record->sequence = prolly_state_get_sequence(self->generation.state);
	return true;
}

static void set_times(Resetting *self, ProllyAttrRecord *record)
{
	ProllyAttrs *attrs = &record->attrs;

	attrs->atime = attrs->mtime = attrs->ctime = self->generation.txn.now;
	attrs->has |= PROLLY_ATTR_TIMES;
}

/* The attributes of one staged key that the target has as well. */
static bool carry_entry(Resetting *self, const ProllyWorking *working, const ProllyPlace *place,
			GError **error)
{
	g_auto(ProllyFinding) staged = {0}, committed = {0};
	g_auto(ProllyAttrRecord) was = {0}, record = {0};
	bool same;

	prolly_finding_init(&staged);
	prolly_finding_init(&committed);
	if (!prolly_working_find(&self->committed, place, 0, false, &committed, error))
		return false;
	if (!prolly_finding_exists(&committed) || prolly_finding_is_marker(&committed))
		return true;
	if (!prolly_working_find(working, place, 0, true, &staged, error))
		return false;
	same = is_same(&staged, &committed);
	if (same && !prolly_working_settle(working, place, &staged, &was, error))
		return false;
	was.attrs.has = (was.attrs.has & PROLLY_ATTR_PUBLIC) | PROLLY_ATTR_TIMES;
	if (!make_record(self, PROLLY_RECORD_ENTRY, place, same ? &was.attrs : NULL, &record,
			 error))
		return false;
	if (!same)
		set_times(self, &record);
	return prolly_generation_put_attrs(&self->generation, place, &record, error);
}

static bool carry_entries(Resetting *self, const ProllyWorking *working, const char *ns,
			  GError **error)
{
	g_autoptr(ProllyScan) scan = prolly_scan_new(working, ns, NULL, 0, 0, PROLLY_SCAN_DELETED);

	if (!prolly_scan_seek(scan, "", 0, error))
		return false;
	while (prolly_scan_is_valid(scan)) {
		ProllyPlace place = {.ns = ns};

		place.key = prolly_scan_get_key(scan, &place.key_len);
		if (!carry_entry(self, working, &place, error) || !prolly_scan_next(scan, error))
			return false;
	}
	return true;
}

/* The record of a directory, if the target has the directory. */
static bool carry_directory(Resetting *self, const ProllyWorking *working, const ProllyPlace *dir,
			    GError **error)
{
	g_auto(ProllyAttrRecord) was = {0}, record = {0};
	ProllyDirectoryState state;

	if (!prolly_working_find_directory(&self->committed, dir, NULL, &state, error))
		return false;
	if (state == PROLLY_DIRECTORY_GONE)
		return true;
	if (!prolly_working_find_directory(working, dir, &was, NULL, error))
		return false;
	was.attrs.has &= PROLLY_ATTR_PUBLIC;
	if (!make_record(self, PROLLY_RECORD_DIRECTORY, dir, &was.attrs, &record, error))
		return false;
	set_times(self, &record);
	return prolly_generation_put_directory(&self->generation, dir, &record, state, error);
}

/* Of all generations, each once and again; the same record comes of it. */
static bool carry_directories(Resetting *self, const ProllyWorking *working, GError **error)
{
	for (guint i = 0; i < self->old->generations->len; i++) {
		g_autoptr(ProllyDbIter) iter = prolly_staged_iter_new(
			working, (int)i, PROLLY_RECORD_DIRECTORY, NULL, NULL, 0);

		for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
		     prolly_db_iter_next(iter)) {
			ProllyPlace dir;
			size_t len;
			const uint8_t *key = prolly_db_iter_get_key(iter, &len);

			if (!prolly_record_key_split(key, len, &dir.ns, &dir.key, &dir.key_len))
				return prolly_throw(error, PROLLY_ERROR_CORRUPT,
						    "a staged record's key is damaged");
			if (!carry_directory(self, working, &dir, error))
				return false;
		}
		if (!prolly_db_iter_check(iter, error))
			return false;
	}
	return true;
}

static bool fill_hard(Resetting *self, GError **error)
{
	ProllyWorking working = {.repo = self->repo, .branch = self->branch, .state = self->old};
	g_autoptr(GPtrArray) names = NULL;

	if (!prolly_working_list_namespaces(&working, &names, error))
		return false;
	for (guint i = 0; i < names->len; i++)
		if (!carry_entries(self, &working, g_ptr_array_index(names, i), error))
			return false;
	return carry_directories(self, &working, error) &&
	       prolly_generation_flush(&self->generation, error);
}

/* ---- What to tell ------------------------------------------------------------------------- */

/* The names that differ between the working state and the target, if they are few, and those that hard
 * links are left with. */
static bool collect_places(Resetting *self, GError **error)
{
	ProllyWorking before = {.repo = self->repo, .branch = self->branch, .state = self->old};
	g_autoptr(GPtrArray) places = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(ProllyView) working = prolly_view_new_live(self->repo, self->branch);
	g_autoptr(ProllyView) target = NULL;
	g_autoptr(ProllyChanges) changes = NULL;
	ProllyViewChange change;
	bool end = false;

	if (!prolly_view_new_commit(self->repo, &self->to, &target, error) ||
	    !prolly_changes_new(working, target, NULL, NULL, 0, &changes, error))
		return false;
	while (places->len <= PROLLY_OBSERVER_PLACES_MAX) {
		if (!prolly_changes_next(changes, &change, &end, error))
			return false;
		if (end)
			break;
		/* a key that comes or goes may take directories with it */
		if (change.kind != PROLLY_CHANGE_MODIFIED &&
		    prolly_place_parent_len(&change.place) > 0)
			return true;
		g_ptr_array_add(places, prolly_place_dup(&change.place));
		if (!prolly_links_list_others(&before, &change.place, places, NULL))
			return true; /* of a damaged store; everything is told */
	}
	self->places = g_steal_pointer(&places);
	return true;
}

static bool have_same_names(const GPtrArray *names, const GArray *namespaces)
{
	guint n = 0;

	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);

		if (!*name)
			continue;
		while (n < namespaces->len && !*g_array_index(namespaces, ProllyNamespace, n).name)
			n++;
		if (n >= namespaces->len ||
		    strcmp(g_array_index(namespaces, ProllyNamespace, n++).name, name) != 0)
			return false;
	}
	while (n < namespaces->len && !*g_array_index(namespaces, ProllyNamespace, n).name)
		n++;
	return n == namespaces->len;
}

static bool choose_places(Resetting *self, GError **error)
{
	ProllyWorking working = {.repo = self->repo, .branch = self->branch, .state = self->old};
	g_autoptr(GPtrArray) names = NULL;

	return prolly_working_list_namespaces(&working, &names, error) &&
	       (!have_same_names(names, self->target->namespaces) || collect_places(self, error));
}

/* ---- Moving ------------------------------------------------------------------------------- */

static void add_move(Resetting *self, ProllyState *state)
{
	if (!prolly_commit_id_equal(&self->old->head, &self->to))
		prolly_state_add_move(state, &self->old->head, &self->to);
}

/* (transfer full) The branch's state after the move; under write_lock. */
static ProllyState *make_state(Resetting *self)
{
	g_autoptr(ProllyState) now = prolly_branch_get_state(self->branch);
	ProllyState *state = prolly_state_copy(now);
	uint64_t number = self->generation.number;

	if (self->mode == PROLLY_RESET_HARD)
		g_array_set_size(state->generations, 0);
	if (self->mode == PROLLY_RESET_HARD || self->generation.is_written)
		g_array_append_val(state->generations, number);
	g_array_unref(state->namespaces);
	state->namespaces = prolly_namespaces_copy(self->target->namespaces);
	add_move(self, state);
	state->head = self->to;
	return state;
}

/* Under write_lock. */
static bool move(Resetting *self, ProllyState *state, GError **error)
{
	g_autofree char *message = g_strconcat("reset: moving to ", self->rev, NULL);
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(self->repo->body->db);
	g_autoptr(ProllyPublication) publication = NULL;

	if (!prolly_publication_new_move(self->repo, self->branch, &self->to, message, &publication,
					 error))
		return false;
	if (!prolly_unfinished_end(self->repo, self->branch, publication, batch, error))
		return false;
	if (self->mode == PROLLY_RESET_SOFT)
		prolly_staged_note_move(prolly_branch_get_id(self->branch), state, batch);
	prolly_branch_save_state(self->branch, state, batch);
	if (!prolly_publication_publish(g_steal_pointer(&publication), self->repo, &self->old->head,
					batch, error))
		return false;
	self->generation.is_attached = true;
	prolly_hints_clear(self->branch->hints);
	prolly_branch_take_state(self->branch, prolly_state_ref(state));
	return true;
}

/* Records of the generations that went; what is left if this fails is swept at the next start. */
static void drop_generations(Resetting *self)
{
	ProllyDb *db = self->repo->body->db;
	const GArray *generations = self->old->generations;
	uint32_t id = prolly_branch_get_id(self->branch);
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(db);

	for (guint i = 0; i < generations->len; i++)
		prolly_staged_delete_generation(id, g_array_index(generations, uint64_t, i), batch);
	prolly_extents_delete_before(id, self->generation.number, batch);
	if (!prolly_db_write(db, batch, PROLLY_DB_TIDYING, NULL))
		return;
	for (guint i = 0; i < generations->len; i++)
		prolly_staged_reclaim_generation(db, id, g_array_index(generations, uint64_t, i));
}

static bool begin_generation(Resetting *self, GError **error)
{
	if (!prolly_generation_begin(&self->generation, self->repo, self->branch, self->old, error))
		return false;
	/* records are as of the move that is about to come */
	add_move(self, self->generation.state);
	return true;
}

static bool reset_soft(Resetting *self, GError **error)
{
	g_autoptr(ProllyState) state = NULL;
	bool ok;

	self->old = prolly_branch_get_state(self->branch);
	if (!begin_generation(self, error) || !fill_soft(self, error))
		return false;
	g_mutex_lock(&self->branch->write_lock);
	state = make_state(self);
	ok = move(self, state, error);
	g_mutex_unlock(&self->branch->write_lock);
	self->places = g_ptr_array_new();
	return ok;
}

/* Under write_lock. */
static bool reset_hard_locked(Resetting *self, GError **error)
{
	ProllyWorking before = {.repo = self->repo, .branch = self->branch};
	ProllyWorking after = before;
	g_autoptr(ProllyState) state = NULL;

	if (!prolly_files_flush_all(self->repo, self->branch, error))
		return false;
	before.state = self->old = prolly_branch_get_state(self->branch);
	if (!begin_generation(self, error) || !choose_places(self, error) ||
	    !fill_hard(self, error))
		return false;
	after.state = state = make_state(self);
	if (!move(self, state, error))
		return false;
	/* It is done: what cannot be told now is told as "everything". */
	if (!prolly_working_orphan_files(&before, &after, NULL))
		prolly_files_orphan(self->branch, NULL);
	return true;
}

static bool reset_hard(Resetting *self, GError **error)
{
	bool ok;

	g_mutex_lock(&self->branch->write_lock);
	ok = reset_hard_locked(self, error);
	g_mutex_unlock(&self->branch->write_lock);
	if (ok)
		drop_generations(self);
	return ok;
}

/* Under commit_lock. */
static bool run(Resetting *self, GError **error)
{
	if (prolly_branch_is_deleted(self->branch))
		return prolly_throw(error, PROLLY_ERROR_STALE, "the branch was deleted meanwhile");
	if (!prolly_branch_new_state(self->repo, &self->to, &self->target, error))
		return false;
	self->committed = (ProllyWorking){.repo = self->repo, .state = self->target};
	return (self->mode == PROLLY_RESET_HARD ? reset_hard : reset_soft)(self, error);
}

bool prolly_branch_reset(ProllyRepo *repo, ProllyBranch *branch, const ProllyCommitId *to,
			 ProllyResetMode mode, const char *rev, ProllyCommitId *out_from,
			 GError **error)
{
	g_auto(ProllyGuard) guard = prolly_guard_enter(repo);
	Resetting self = {.repo = repo, .branch = branch, .mode = mode, .rev = rev, .to = *to};
	bool ok;

	g_mutex_lock(&branch->commit_lock);
	ok = run(&self, error);
	g_mutex_unlock(&branch->commit_lock);
	if (ok)
		*out_from = self.old->head;
	if (ok && (!self.places || self.places->len))
		prolly_branch_notify_places(repo, branch, self.places, false);
	prolly_generation_clear(&self.generation);
	g_clear_pointer(&self.places, g_ptr_array_unref);
	g_clear_pointer(&self.old, prolly_state_unref);
	g_clear_pointer(&self.target, prolly_state_unref);
	return ok;
}
