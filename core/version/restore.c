/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restore: parts of a working state become what a commit has there.
 *
 * What differs between the two is found by comparing them (view-changes.c), which costs what
 * differs and what is staged, and is written into a generation that becomes visible as a whole
 * (generation.c). Both of the branch's locks are held, so nothing changes meanwhile.
 *
 * Inside a range the commit's own directories are right, markers and all. What a restored key can
 * make wrong are the directories above it: one that was empty has a key again, one loses its last.
 * So each directory whose children changed is looked at afterwards, through the new generation,
 * children before parents. One that has become empty stays if the commit has it, and gets its
 * marker; else it goes, and its parent has lost a child in turn. (git knows no empty directories; a
 * file that is restored away takes the directories with it that were made for it.)
 *
 * A restored key is the object that was there, with other content and the time of now, but out of
 * its link group; one that was not there is a new object, with the mode and owner it had when it
 * was last committed. Who has it open goes on with what was there.
 */
#include "version/reset.h"

#include <string.h>

#include "version/generation-private.h"
#include "version/repo-private.h"

typedef struct {
	ProllyRepo *repo;
	ProllyBranch *branch;
	ProllyPin before, source;
	ProllyWorking after;
	ProllyGeneration generation;
	GPtrArray *places;       /* of ProllyOwnedPlace *: names that changed, up to one too many */
	bool namespaces_changed; /* one came or went */
	uint64_t changes;
} Restoring;

/* ---- Keys -------------------------------------------------------------------------------- */

/* A key that was not there: another object, but as it was permitted when it was last committed. */
static bool make_new_record(Restoring *self, const ProllyPlace *place, uint64_t salt,
			    ProllyAttrRecord *out_record, GError **error)
{
	g_auto(ProllyAttrRecord) old = {0};
	g_auto(ProllyFinding) finding = {0};

	prolly_finding_init(&finding);
	if (!prolly_working_find_committed_attrs(&self->before.working, PROLLY_RECORD_ENTRY, place,
						 &finding, error) ||
	    !prolly_finding_get_attr_record(&finding, &old, error) ||
	    !prolly_transaction_new_record(&self->generation.txn, salt, out_record, error))
		return false;
	old.attrs.has &= PROLLY_ATTR_PUBLIC & ~(uint32_t)PROLLY_ATTR_TIMES;
	prolly_attr_record_update(out_record, &old.attrs);
	return true;
}

static bool make_record(Restoring *self, const ProllyPlace *place, bool exists,
			ProllyAttrRecord *out_record, GError **error)
{
	const ProllyWorking *working = &self->before.working;
	g_auto(ProllyFinding) finding = {0};
	ProllyAttrs *attrs = &out_record->attrs;

	prolly_finding_init(&finding);
	if (!prolly_working_find(working, place, 0, true, &finding, error))
		return false;
	if (!exists) {
		g_auto(ProllyAttrRecord) gone = {0};

		return prolly_finding_get_attr_record(&finding, &gone, error) &&
		       make_new_record(self, place, gone.salt, out_record, error);
	}
	if (!prolly_working_settle(working, place, &finding, out_record, error))
		return false;
	prolly_attrs_leave_group(attrs);
	attrs->atime = attrs->mtime = attrs->ctime = self->generation.txn.now;
	attrs->has |= PROLLY_ATTR_TIMES;
	out_record->sequence = self->generation.txn.sequence;
	return true;
}

static bool is_file(const ProllyEntry *entry)
{
	return entry && entry->kind != PROLLY_KIND_DIRECTORY;
}

static bool is_marker(const ProllyEntry *entry)
{
	return entry && entry->kind == PROLLY_KIND_DIRECTORY;
}

/* PLACE has changed, and with it how many its hard links are. */
static void note_place(Restoring *self, const ProllyPlace *place)
{
	if (self->places->len > PROLLY_OBSERVER_PLACES_MAX)
		return;
	g_ptr_array_add(self->places, prolly_place_dup(place));
	if (!prolly_links_list_others(&self->before.working, place, self->places, NULL))
		self->namespaces_changed = true; /* of a damaged store; everything is told */
}

static bool restore_key(Restoring *self, const ProllyViewChange *change, GError **error)
{
	const ProllyPlace *place = &change->place;
	g_auto(ProllyAttrRecord) record = {0};

	if (is_marker(change->old_entry) || is_marker(change->new_entry))
		prolly_generation_touch_marked(&self->generation, place);
	if (change->kind != PROLLY_CHANGE_MODIFIED)
		prolly_generation_touch_parent(&self->generation, place);
	if (!change->new_entry)
		return prolly_generation_remove(&self->generation, place, error);
	if (is_marker(change->new_entry))
		return prolly_generation_put(&self->generation, place, change->new_entry->stored,
					     NULL, error);
	return make_record(self, place, is_file(change->old_entry), &record, error) &&
	       prolly_generation_put(&self->generation, place, change->new_entry->stored, &record,
				     error);
}

static bool is_in_range(const ProllyRange *range, const ProllyPlace *place)
{
	return !range->is_key || place->key_len == range->prefix_len;
}

static bool restore_keys(Restoring *self, ProllyView *working, ProllyView *source,
			 const ProllyRange *range, GError **error)
{
	g_autoptr(ProllyChanges) changes = NULL;
	ProllyViewChange change;
	bool end = false;

	if (!prolly_changes_new(working, source, range->ns, range->prefix, range->prefix_len,
				&changes, error))
		return false;
	while (prolly_changes_next(changes, &change, &end, error)) {
		if (end)
			return true;
		if (!is_in_range(range, &change.place))
			continue;
		if (!restore_key(self, &change, error))
			return false;
		note_place(self, &change.place);
		self->changes++;
	}
	return false;
}

/* ---- Directories ------------------------------------------------------------------------- */

static bool put_directory(Restoring *self, const ProllyPlace *dir, ProllyAttrRecord *record,
			  ProllyDirectoryState state, GError **error)
{
	record->attrs.mtime = record->attrs.ctime = self->generation.txn.now;
	record->attrs.has |= PROLLY_ATTR_MTIME | PROLLY_ATTR_CTIME;
	record->sequence = self->generation.txn.sequence;
	return prolly_generation_put_directory(&self->generation, dir, record, state, error);
}

/* A namespace came or went: the branch's directory has another child. */
static bool change_namespace(Restoring *self, const char *ns, bool exists, GError **error)
{
	ProllyPlace top = {"", NULL, 0};

	self->namespaces_changed = true;
	prolly_generation_touch_parent(&self->generation, &top);
	return prolly_generation_put_namespace(&self->generation, ns, exists, error);
}

static bool settle_namespace(Restoring *self, const ProllyPlace *dir, ProllyAttrRecord *record,
			     GError **error)
{
	bool was = true, has = true;

	if (dir->ns[0] &&
	    (!prolly_working_is_namespace_made(&self->before.working, dir->ns, &was, error) ||
	     !prolly_working_has_keys(&self->after, dir, &has, error) ||
	     (!has && !prolly_working_has_namespace(&self->source.working, dir->ns, &has, error))))
		return false;
	if (was != has && !change_namespace(self, dir->ns, has, error))
		return false;
	return put_directory(self, dir, record,
			     has ? PROLLY_DIRECTORY_EXISTS : PROLLY_DIRECTORY_GONE, error);
}

/* DIR has no keys: does its marker stay, come, or has it no place? */
static bool settle_empty(Restoring *self, const ProllyPlace *dir, ProllyDirectoryState *out_state,
			 GError **error)
{
	static const uint8_t marker_value[] = {PROLLY_KIND_DIRECTORY};
	g_autoptr(GBytes) stored = g_bytes_new_static(marker_value, sizeof(marker_value));
	ProllyPlace marker = {dir->ns, dir->key, dir->key_len - 1};
	g_auto(ProllyFinding) finding = {0};
	ProllyDirectoryState in_source;

	*out_state = PROLLY_DIRECTORY_EMPTY;
	prolly_finding_init(&finding);
	if (!prolly_working_find(&self->after, &marker, 0, false, &finding, error))
		return false;
	if (prolly_finding_is_marker(&finding))
		return true;
	if (!prolly_working_find_directory(&self->source.working, dir, NULL, &in_source, error))
		return false;
	if (in_source != PROLLY_DIRECTORY_GONE && !prolly_finding_exists(&finding))
		return prolly_generation_put(&self->generation, &marker, stored, NULL, error);
	*out_state = PROLLY_DIRECTORY_GONE;
	return true;
}

/* DIR has keys: a marker that it had goes. */
static bool settle_filled(Restoring *self, const ProllyPlace *dir, GError **error)
{
	ProllyPlace marker = {dir->ns, dir->key, dir->key_len - 1};
	g_auto(ProllyFinding) finding = {0};

	prolly_finding_init(&finding);
	return prolly_working_find(&self->after, &marker, 0, false, &finding, error) &&
	       (!prolly_finding_is_marker(&finding) ||
		prolly_generation_remove(&self->generation, &marker, error));
}

static bool settle_directory(Restoring *self, const ProllyPlace *dir, GError **error)
{
	ProllyPlace name = {dir->ns, dir->key, dir->key_len - 1};
	g_auto(ProllyAttrRecord) record = {0};
	ProllyDirectoryState was, is = PROLLY_DIRECTORY_FILLED;
	bool has = false;

	if (!prolly_generation_flush(&self->generation, error) ||
	    !prolly_working_find_directory(&self->before.working, dir, &record, &was, error))
		return false;
	if (!dir->key_len)
		return settle_namespace(self, dir, &record, error);
	if (!prolly_working_has_keys(&self->after, dir, &has, error) ||
	    !(has ? settle_filled(self, dir, error) : settle_empty(self, dir, &is, error)))
		return false;
	if ((was == PROLLY_DIRECTORY_GONE) != (is == PROLLY_DIRECTORY_GONE)) {
		prolly_generation_touch_parent(&self->generation, dir);
		note_place(self, &name);
	}
	if (was == PROLLY_DIRECTORY_GONE && is != was) {
		uint64_t salt = record.salt;

		prolly_attr_record_clear(&record);
		if (!prolly_transaction_new_record(&self->generation.txn, salt, &record, error))
			return false;
	}
	return put_directory(self, dir, &record, is, error);
}

static bool settle_directories(Restoring *self, GError **error)
{
	ProllyPlace dir;

	for (;;) {
		g_autoptr(GBytes) key = prolly_generation_take_directory(&self->generation, &dir);

		if (!key)
			return prolly_generation_flush(&self->generation, error);
		if (!settle_directory(self, &dir, error))
			return false;
	}
}

/* Whole namespaces may have to come or go without a key in them. */
static bool touch_namespaces(Restoring *self, const ProllyRange *range, GError **error)
{
	const ProllyWorking *sides[] = {&self->before.working, &self->source.working};

	if (range->is_key || range->prefix_len)
		return true;
	for (size_t side = 0; side < G_N_ELEMENTS(sides); side++) {
		g_autoptr(GPtrArray) names = NULL;

		if (!prolly_working_list_namespaces(sides[side], &names, error))
			return false;
		for (guint i = 0; i < names->len; i++) {
			ProllyPlace root = {g_ptr_array_index(names, i), NULL, 0};
			bool was, is;

			if (range->ns && strcmp(range->ns, root.ns) != 0)
				continue;
			if (!prolly_working_has_namespace(sides[0], root.ns, &was, error) ||
			    !prolly_working_has_namespace(sides[1], root.ns, &is, error))
				return false;
			if (was != is)
				prolly_generation_touch_parent(&self->generation, &root);
		}
	}
	return true;
}

/* ---- Attaching --------------------------------------------------------------------------- */

static bool attach(Restoring *self, GError **error)
{
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(self->repo->body->db);
	bool small = prolly_generation_is_small(&self->generation);
	ProllyState *state = self->generation.state;

	if (small && !prolly_generation_lay(&self->generation, batch, error))
		return false;
	if (!small)
		prolly_branch_save_state(self->branch, state, batch);
	if (!prolly_db_write(self->repo->body->db, batch, PROLLY_DB_BUFFERED, error))
		return false;
	prolly_hints_clear(self->branch->hints);
	if (!small)
		prolly_branch_take_state(self->branch, prolly_state_ref(state));
	self->generation.is_attached = true;
	/* It is done: what cannot be told now is told as "everything". */
	if (!prolly_working_orphan_files(&self->before.working, &self->after, NULL))
		prolly_files_orphan(self->branch, NULL);
	return true;
}

/* ---- The operation ----------------------------------------------------------------------- */

static bool restore_ranges(Restoring *self, const ProllyCommitId *source_id,
			   const ProllyRange *ranges, size_t n, GError **error)
{
	g_autoptr(ProllyView) working = prolly_view_new_live(self->repo, self->branch);
	g_autoptr(ProllyView) source = NULL;

	if (!prolly_view_new_commit(self->repo, source_id, &source, error))
		return false;
	prolly_pin_init(&self->before, working);
	prolly_pin_init(&self->source, source);
	if (!prolly_generation_begin(&self->generation, self->repo, self->branch,
				     self->before.state, error))
		return false;
	self->after = self->before.working;
	self->after.state = self->generation.state;
	self->after.snapshot = NULL;
	for (size_t i = 0; i < n; i++)
		if (!restore_keys(self, working, source, &ranges[i], error) ||
		    !touch_namespaces(self, &ranges[i], error))
			return false;
	return settle_directories(self, error) &&
	       (!self->generation.is_written || attach(self, error));
}

/* Under commit_lock. */
static bool run(Restoring *self, const ProllyCommitId *source, const ProllyRange *ranges, size_t n,
		GError **error)
{
	bool ok;

	g_mutex_lock(&self->branch->write_lock);
	if (prolly_branch_is_deleted(self->branch))
		ok = prolly_throw(error, PROLLY_ERROR_STALE, "the branch was deleted meanwhile");
	else
		ok = prolly_files_flush_all(self->repo, self->branch, error) &&
		     restore_ranges(self, source, ranges, n, error);
	prolly_generation_clear(&self->generation);
	prolly_pin_clear(&self->before);
	prolly_pin_clear(&self->source);
	g_mutex_unlock(&self->branch->write_lock);
	return ok;
}

bool prolly_working_restore(ProllyRepo *repo, ProllyBranch *branch, const ProllyCommitId *source,
			    const ProllyRange *ranges, size_t n, uint64_t *out_changes,
			    GError **error)
{
	g_auto(ProllyGuard) guard = prolly_guard_enter(repo);
	g_autoptr(GPtrArray) places = g_ptr_array_new_with_free_func(g_free);
	Restoring self = {.repo = repo, .branch = branch, .places = places};
	bool ok;

	g_mutex_lock(&branch->commit_lock);
	ok = run(&self, source, ranges, n, error);
	g_mutex_unlock(&branch->commit_lock);
	if (!ok)
		return false;
	*out_changes = self.changes;
	prolly_branch_notify_places(repo, branch, self.namespaces_changed ? NULL : places, false);
	return true;
}
