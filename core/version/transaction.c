/* SPDX-License-Identifier: Apache-2.0 */

/*
 * transaction: one atomic change of a working state, as one batch of records.
 *
 * The branch's write_lock is held throughout, so what was read stays true until the batch is
 * written; the batch itself cannot be read before. Whatever a change needs to know it reads from
 * the state as it was, and the few things that it changes twice (a directory that loses a child and
 * gets another) it does in an order that works: prepare a removal, add, remove.
 *
 * Children. A directory's record is written whenever its set of children changes (I1 in staged.c),
 * with new times and the state it is in then. Adding a child to an empty directory takes its marker
 * away; adding one to a directory that is not there makes it, and so on upwards. Removing the last
 * child puts the marker there; where a key of the directory's own name is in its place, the
 * directory goes, and so on upwards. A namespace needs no marker, and what is in it is not counted.
 *
 * A removed key that nothing older lies under needs no tombstone: its record is deleted, so that
 * what was made and removed between two commits leaves nothing behind.
 */

#include "version/working-private.h"

#include <string.h>

#include "version/backup.h"

/* ---- Lifecycle --------------------------------------------------------------------------- */

bool prolly_transaction_begin(ProllyTransaction *self, ProllyRepo *repo, ProllyBranch *branch,
			      GError **error)
{
	*self = (ProllyTransaction){
		.working = {.repo = repo, .branch = branch},
		.now = prolly_time_now(),
	};
	self->guard = prolly_guard_enter(repo);
	g_mutex_lock(&branch->write_lock);
	if (prolly_branch_is_deleted(branch)) {
		g_autofree char *name = prolly_branch_dup_name(branch);

		return prolly_throw(error, PROLLY_ERROR_STALE, "branch '%s' was deleted", name);
	}
	self->working.state = prolly_branch_get_state(branch);
	self->sequence = prolly_state_get_sequence(self->working.state);
	self->generation = prolly_state_get_generation(self->working.state);
	self->watch = branch->watch;
	self->batch = prolly_db_batch_new(repo->body->db);
	if (repo->notify)
		self->places = g_ptr_array_new_with_free_func(g_free);
	return true;
}

bool prolly_transaction_write(ProllyTransaction *self, GError **error)
{
	ProllyRepoBody *body = self->working.repo->body;

	if (self->has_blobs && !prolly_store_flush(self->working.repo->context.store, NULL, error))
		return false;
	prolly_backup_claim(self->working.repo);
	if (!prolly_db_write(body->db, self->batch, PROLLY_DB_BUFFERED, error))
		return false;
	self->is_written = true;
	return true;
}

static void tell(ProllyTransaction *self)
{
	ProllyPlace places[PROLLY_OBSERVER_PLACES_MAX];
	guint n = self->places->len;

	for (guint i = 0; i < n && i < G_N_ELEMENTS(places); i++)
		places[i] = ((ProllyOwnedPlace *)g_ptr_array_index(self->places, i))->place;
	prolly_repo_notify(self->working.repo, self->working.branch,
			   n <= G_N_ELEMENTS(places) ? places : NULL,
			   n <= G_N_ELEMENTS(places) ? n : 0, false);
}

void prolly_transaction_unlock(ProllyTransaction *self)
{
	ProllyBranch *branch = self->working.branch;

	if (!branch || self->is_unlocked)
		return;
	if (self->is_changing && !self->is_written)
		prolly_hints_clear(branch->hints);
	g_mutex_unlock(&branch->write_lock);
	self->is_unlocked = true;
}

void prolly_transaction_end(ProllyTransaction *self)
{
	if (!self->working.branch)
		return;
	prolly_transaction_unlock(self);
	if (self->is_written && self->places && self->places->len)
		tell(self);
	g_clear_pointer(&self->places, g_ptr_array_unref);
	g_clear_pointer(&self->batch, prolly_db_batch_free);
	g_clear_pointer(&self->working.state, prolly_state_unref);
	self->working.branch = NULL;
	prolly_guard_leave(&self->guard);
}

void prolly_transaction_touch(ProllyTransaction *self, const ProllyPlace *place)
{
	/* One more than can be told says that there are too many. */
	if (self->places && self->places->len <= PROLLY_OBSERVER_PLACES_MAX)
		g_ptr_array_add(self->places, prolly_place_dup(place));
}

/* ---- Places ------------------------------------------------------------------------------ */

bool prolly_place_throw(const ProllyPlace *place, ProllyErrorCode code, const char *what,
			GError **error)
{
	g_autofree char *path = prolly_path_from_key(place->ns, place->key, place->key_len, false);

	return prolly_throw(error, code, "%s: %s", path, what);
}

bool prolly_place_check(const ProllyPlace *place, GError **error)
{
	if (place->key_len > PROLLY_KEY_MAX)
		return prolly_throw(error, PROLLY_ERROR_NAME_TOO_LONG,
				    "a key of %zu bytes is too long", place->key_len);
	return prolly_keypath_check_namespace(place->ns, error);
}

/* ---- Records of keys --------------------------------------------------------------------- */

bool prolly_transaction_load(ProllyTransaction *self, const ProllyPlace *place,
			     ProllyFinding *finding, ProllyAttrRecord *out_record, GError **error)
{
	if (!prolly_working_find(&self->working, place, 0, true, finding, error))
		return false;
	if (!prolly_finding_exists(finding))
		return prolly_finding_get_attr_record(finding, out_record, error);
	return prolly_transaction_settle(self, place, finding, out_record, error);
}

bool prolly_transaction_settle(ProllyTransaction *self, const ProllyPlace *place,
			       const ProllyFinding *finding, ProllyAttrRecord *out_record,
			       GError **error)
{
	if (!prolly_working_settle(&self->working, place, finding, out_record, error))
		return false;
	out_record->attrs.has |= PROLLY_ATTR_TIMES;
	out_record->sequence = self->sequence;
	return true;
}

bool prolly_transaction_new_record(ProllyTransaction *self, uint64_t salt,
				   ProllyAttrRecord *out_record, GError **error)
{
	ProllyAttrRecord record = {.salt = salt, .sequence = self->sequence};

	if (!prolly_repo_next_number(self->working.repo->body, PROLLY_COUNTER_INODE,
				     &record.attrs.ino, error))
		return false;
	record.attrs.has = PROLLY_ATTR_INO | PROLLY_ATTR_TIMES | (salt ? PROLLY_ATTR_SALT : 0);
	record.attrs.atime = record.attrs.mtime = record.attrs.ctime = self->now;
	*out_record = record;
	return true;
}

/* Is it written into a generation that the state does not have yet? */
static bool is_beside(const ProllyTransaction *self)
{
	return self->generation != prolly_state_get_generation(self->working.state);
}

/* Is what was found at LEVEL in the generation that is written to? */
static bool is_own(const ProllyTransaction *self, int level)
{
	return level == 0 && !is_beside(self);
}

static void init_key(ProllyTransaction *self, ProllyRecordType type, const ProllyPlace *place,
		     ProllyRecordKey *key)
{
	if (self->watch)
		prolly_watch_note(self->watch, place);
	prolly_record_key_init(key, self->working.branch->id, self->generation, type, place->ns,
			       place->key, place->key_len);
}

static void put_record(ProllyTransaction *self, const ProllyPlace *place,
		       ProllyStagedRecord *staged, const ProllyAttrRecord *record)
{
	g_autoptr(GByteArray) attrs = g_byte_array_sized_new(64);
	g_autoptr(GByteArray) data = g_byte_array_sized_new(96 + (guint)staged->stored_len);
	g_auto(ProllyRecordKey) key = {0};

	if (record) {
		prolly_attr_record_append(attrs, record);
		staged->flags |= PROLLY_STAGED_ATTRS;
		staged->attrs = attrs->data;
		staged->attrs_len = attrs->len;
	}
	prolly_staged_record_append(data, staged);
	init_key(self, PROLLY_RECORD_ENTRY, place, &key);
	prolly_db_batch_put(self->batch, PROLLY_DB_STAGED, key.data, key.len, data->data,
			    data->len);
}

void prolly_transaction_put(ProllyTransaction *self, const ProllyPlace *place,
			    const uint8_t *stored, size_t len, const ProllyStagedRecord *extents,
			    const ProllyAttrRecord *record)
{
	ProllyStagedRecord staged = {.flags = PROLLY_STAGED_VALUE};

	if (extents && extents->extents) {
		staged.flags |= PROLLY_STAGED_EXTENTS;
		staged.extents = extents->extents;
		staged.base_length = extents->base_length;
		staged.length = extents->length;
	}
	staged.stored = stored;
	staged.stored_len = len;
	self->has_blobs |= len && stored[0] & PROLLY_VALUE_BLOB;
	/* without the lock by who renames ahead */
	__atomic_store_n(&self->working.branch->valued, self->generation, __ATOMIC_RELAXED);
	put_record(self, place, &staged, record);
}

static ProllyStagedRecord get_extents(const ProllyFinding *finding)
{
	return (ProllyStagedRecord){
		.extents = finding->extents,
		.base_length = finding->base_length,
		.length = finding->length,
	};
}

bool prolly_transaction_copy_value(ProllyTransaction *self, const ProllyPlace *place,
				   const ProllyFinding *finding, const ProllyAttrRecord *record,
				   GError **error)
{
	ProllyRepo *repo = self->working.repo;
	g_auto(ProllyEntry) entry = {0};
	g_autoptr(GBytes) folded = NULL;
	ProllyStagedRecord extents = get_extents(finding);
	const uint8_t *stored = finding->stored;
	size_t len = finding->stored_len;

	if (finding->extents && !is_own(self, finding->value_level)) {
		if (!prolly_finding_to_entry(finding, &entry, error) ||
		    !prolly_extents_fold(repo, NULL, &entry, &folded, error))
			return false;
		stored = g_bytes_get_data(folded, &len);
		extents.extents = 0;
	}
	prolly_transaction_put(self, place, stored, len, &extents, record);
	return true;
}

void prolly_transaction_put_attrs(ProllyTransaction *self, const ProllyPlace *place,
				  const ProllyFinding *finding, const ProllyAttrRecord *record)
{
	ProllyStagedRecord staged = {0}, extents = get_extents(finding);

	if (is_own(self, finding->value_level))
		prolly_transaction_put(self, place, finding->stored, finding->stored_len, &extents,
				       record);
	else
		put_record(self, place, &staged, record);
}

void prolly_transaction_bury(ProllyTransaction *self, const ProllyPlace *place, uint64_t salt)
{
	ProllyAttrRecord record = {.salt = salt, .attrs.has = PROLLY_ATTR_SALT};
	ProllyStagedRecord tombstone = {.flags = PROLLY_STAGED_TOMBSTONE};

	put_record(self, place, &tombstone, salt ? &record : NULL);
}

bool prolly_transaction_remove(ProllyTransaction *self, const ProllyPlace *place, uint64_t salt,
			       GError **error)
{
	g_auto(ProllyFinding) below = {0};
	g_auto(ProllyRecordKey) key = {0};

	prolly_finding_init(&below);
	if (!prolly_working_find(&self->working, place, is_beside(self) ? 0 : 1, false, &below,
				 error))
		return false;
	if (salt || prolly_finding_exists(&below)) {
		prolly_transaction_bury(self, place, salt);
		return true;
	}
	init_key(self, PROLLY_RECORD_ENTRY, place, &key);
	prolly_db_batch_delete(self->batch, PROLLY_DB_STAGED, key.data, key.len);
	return true;
}

void prolly_transaction_get_attrs(const ProllyPlace *place, const ProllyAttrRecord *record,
				  bool is_directory, uint32_t nlink, ProllyAttrs *out_attrs)
{
	ProllyAttrs attrs = record->attrs;

	if (!(attrs.has & PROLLY_ATTR_INO))
		attrs.ino = prolly_attr_derive_ino(place->ns, place->key, place->key_len,
						   is_directory, record->salt);
	attrs.nlink = nlink;
	attrs.has &= PROLLY_ATTR_PUBLIC;
	if (attrs.xattrs)
		g_bytes_ref(attrs.xattrs);
	*out_attrs = attrs;
}

/* ---- Records of directories and namespaces ----------------------------------------------- */

void prolly_transaction_put_directory(ProllyTransaction *self, const ProllyPlace *dir,
				      const ProllyAttrRecord *record, ProllyDirectoryState state)
{
	g_autoptr(GByteArray) data = g_byte_array_sized_new(64);
	g_auto(ProllyRecordKey) key = {0};

	prolly_append_u8(data, (uint8_t)state);
	prolly_attr_record_append(data, record);
	init_key(self, PROLLY_RECORD_DIRECTORY, dir, &key);
	prolly_db_batch_put(self->batch, PROLLY_DB_STAGED, key.data, key.len, data->data,
			    data->len);
}

void prolly_transaction_put_namespace(ProllyTransaction *self, const char *ns, bool exists)
{
	uint8_t value = exists;
	g_auto(ProllyRecordKey) key = {0};

	init_key(self, PROLLY_RECORD_NAMESPACE, &(ProllyPlace){ns, NULL, 0}, &key);
	prolly_db_batch_put(self->batch, PROLLY_DB_STAGED, key.data, key.len, &value, 1);
}

/* ---- Children ---------------------------------------------------------------------------- */

static ProllyPlace get_parent(const ProllyPlace *place)
{
	return (ProllyPlace){place->ns, place->key, prolly_place_parent_len(place)};
}

static void set_changed(ProllyTransaction *self, ProllyAttrRecord *record)
{
	record->attrs.mtime = record->attrs.ctime = self->now;
	record->attrs.has |= PROLLY_ATTR_MTIME | PROLLY_ATTR_CTIME;
	record->sequence = self->sequence;
}

static ProllyPlace get_marker(const ProllyPlace *dir)
{
	return (ProllyPlace){dir->ns, dir->key, dir->key_len - 1};
}

bool prolly_transaction_prepare_removal(ProllyTransaction *self, const ProllyPlace *place,
					GError **error)
{
	ProllyPlace dir = get_parent(place);

	return !dir.key_len ||
	       prolly_hints_ensure(self->working.branch->hints, &self->working, &dir, error);
}

/* A namespace is a child of the branch's directory. */
static bool touch_top(ProllyTransaction *self, GError **error)
{
	ProllyPlace top = {"", NULL, 0};
	g_auto(ProllyAttrRecord) record = {0};
	ProllyDirectoryState state;

	if (!prolly_working_find_directory(&self->working, &top, &record, &state, error))
		return false;
	set_changed(self, &record);
	prolly_transaction_put_directory(self, &top, &record, PROLLY_DIRECTORY_EXISTS);
	return true;
}

/* DIR was not there: it is made, with attributes of its own. */
static bool make_directory_record(ProllyTransaction *self, ProllyAttrRecord *record, GError **error)
{
	ProllyAttrRecord fresh;

	if (!prolly_transaction_new_record(self, record->salt, &fresh, error))
		return false;
	prolly_attr_record_clear(record);
	*record = fresh;
	return true;
}

/* Adds NAME to DIR. *OUT_MADE: DIR was not there before. */
static bool add_to(ProllyTransaction *self, const ProllyPlace *dir, const ProllyPlace *child,
		   bool *out_made, GError **error)
{
	g_auto(ProllyAttrRecord) record = {0};
	ProllyDirectoryState state;
	bool is_root = !dir->key_len;

	if (!prolly_working_find_directory(&self->working, dir, &record, &state, error))
		return false;
	*out_made = state == PROLLY_DIRECTORY_GONE;
	if (*out_made && !make_directory_record(self, &record, error))
		return false;
	if (state == PROLLY_DIRECTORY_EMPTY) {
		ProllyPlace marker = get_marker(dir);

		if (!prolly_transaction_remove(self, &marker, 0, error))
			return false;
	}
	set_changed(self, &record);
	prolly_transaction_put_directory(
		self, dir, &record, is_root ? PROLLY_DIRECTORY_EXISTS : PROLLY_DIRECTORY_FILLED);
	if (!is_root)
		prolly_hints_add(self->working.branch->hints, dir, child->key + dir->key_len,
				 child->key_len - dir->key_len);
	return true;
}

bool prolly_transaction_add_child(ProllyTransaction *self, const ProllyPlace *place,
				  bool is_directory, GError **error)
{
	ProllyPlace child = *place, dir = get_parent(place);
	bool is_namespace = is_directory && !place->key_len;
	bool made;

	self->is_changing = true;
	while (!is_namespace) {
		if (!add_to(self, &dir, &child, &made, error))
			return false;
		if (!made)
			return true;
		child = dir;
		dir = get_parent(&child);
		is_namespace = !child.key_len;
	}
	prolly_transaction_put_namespace(self, place->ns, true);
	return touch_top(self, error);
}

/* DIR is an entry of its own now. The scan of its parent's children may have passed its marker's
 * place while its keys lay ahead. */
static void hint_marker(ProllyTransaction *self, const ProllyPlace *dir)
{
	ProllyPlace parent = get_parent(dir);

	if (parent.key_len)
		prolly_hints_add(self->working.branch->hints, &parent, dir->key + parent.key_len,
				 dir->key_len - parent.key_len);
}

/* DIR has no child any more. *OUT_GONE: nor has it a place for a marker. */
static bool empty_directory(ProllyTransaction *self, const ProllyPlace *dir,
			    ProllyAttrRecord *record, bool *out_gone, GError **error)
{
	static const uint8_t marker_value[] = {PROLLY_KIND_DIRECTORY};
	ProllyPlace marker = get_marker(dir);
	g_auto(ProllyFinding) finding = {0};

	prolly_finding_init(&finding);
	if (!prolly_working_find(&self->working, &marker, 0, false, &finding, error))
		return false;
	*out_gone = prolly_finding_exists(&finding) && !prolly_finding_is_marker(&finding);
	if (!*out_gone) {
		prolly_transaction_put(self, &marker, marker_value, sizeof(marker_value), NULL,
				       NULL);
		hint_marker(self, dir);
	}
	prolly_transaction_put_directory(
		self, dir, record, *out_gone ? PROLLY_DIRECTORY_GONE : PROLLY_DIRECTORY_EMPTY);
	return true;
}

/* A namespace that loses a key stays; after a move its keys may have been all that there is of it. */
static bool keep_namespace(ProllyTransaction *self, const char *ns, GError **error)
{
	bool is_made;

	if (!ns[0])
		return true;
	if (!prolly_working_is_namespace_made(&self->working, ns, &is_made, error))
		return false;
	if (!is_made)
		prolly_transaction_put_namespace(self, ns, true);
	return true;
}

/* Takes CHILD from DIR. *OUT_GONE: DIR is gone with it. */
static bool remove_from(ProllyTransaction *self, const ProllyPlace *dir, const ProllyPlace *child,
			bool *out_gone, GError **error)
{
	ProllyHints *hints = self->working.branch->hints;
	g_auto(ProllyAttrRecord) record = {0};
	ProllyDirectoryState state;

	*out_gone = false;
	if (!prolly_working_find_directory(&self->working, dir, &record, &state, error))
		return false;
	set_changed(self, &record);
	if (!dir->key_len) {
		prolly_transaction_put_directory(self, dir, &record, PROLLY_DIRECTORY_EXISTS);
		return keep_namespace(self, dir->ns, error);
	}
	prolly_hints_remove(hints, dir, child->key + dir->key_len, child->key_len - dir->key_len);
	if (!prolly_hints_has_children(hints, dir))
		return empty_directory(self, dir, &record, out_gone, error);
	prolly_transaction_put_directory(self, dir, &record, PROLLY_DIRECTORY_FILLED);
	return true;
}

bool prolly_transaction_remove_child(ProllyTransaction *self, const ProllyPlace *place,
				     bool is_directory, GError **error)
{
	ProllyPlace child = *place, dir = get_parent(place);
	bool gone;

	self->is_changing = true;
	if (is_directory && !child.key_len) {
		prolly_transaction_put_namespace(self, place->ns, false);
		return touch_top(self, error);
	}
	for (;;) {
		if (!remove_from(self, &dir, &child, &gone, error))
			return false;
		if (!gone)
			return true;
		child = dir;
		dir = get_parent(&child);
		if (!prolly_transaction_prepare_removal(self, &child, error))
			return false;
	}
}
