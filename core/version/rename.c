/* SPDX-License-Identifier: Apache-2.0 */

/*
 * rename: rename(2) within a branch, of keys, directories and namespaces, as one batch.
 *
 * A key is its path, so renaming a directory writes each key in it twice: gone here, staged there.
 * All removals of a rename come before all additions in the batch, and everything is read before
 * the batch is written, so two things that change places need no third.
 *
 *   out   the object leaves its path: tombstones, directories' records say that they are gone. An
 *         object whose number is derived from its path takes it along (it is recorded from now on),
 *         so what takes the path next derives another: the path's salt goes up.
 *   in    its value, attributes and number are staged under the new path, with that path's salt.
 *   then  the parents: a child more there, one less here (transaction.c).
 *
 * A large directory is read by two scans, one over what moves and one over what is left of older
 * objects where it goes (their salts), side by side since both have the same order: 100,000 keys
 * cost no look-up. What is rare (exchanges, hard links) is looked up by key. Its keys can be moved
 * ahead, before the branch is locked (rename-ahead.c).
 *
 * Lists of hard links name paths, so they are rewritten (rename-groups.c). Open files move along.
 *
 * As elsewhere, what is renamed has a new ctime, under all its names, and so has what loses a name
 * to it; what is in a directory that is renamed has not changed.
 */

#include "version/rename-private.h"

#include <string.h>

static const uint8_t MARKER[] = {PROLLY_KIND_DIRECTORY};

/* ---- Places ------------------------------------------------------------------------------ */

static bool starts_with(const ProllyPlace *place, const ProllyPlace *prefix)
{
	return !strcmp(place->ns, prefix->ns) && place->key_len >= prefix->key_len &&
	       (!prefix->key_len || !memcmp(place->key, prefix->key, prefix->key_len));
}

/* (transfer full) PLACE, which is in FROM, as it is called in TO. */
static ProllyOwnedPlace *rebase(const ProllyPlace *place, const ProllyPlace *from,
				const ProllyPlace *to)
{
	g_autoptr(GByteArray) key = g_byte_array_sized_new((guint)(place->key_len + to->key_len));

	if (to->key_len)
		g_byte_array_append(key, to->key, (guint)to->key_len);
	if (place->key_len > from->key_len)
		g_byte_array_append(key, place->key + from->key_len,
				    (guint)(place->key_len - from->key_len));
	return prolly_place_dup(&(ProllyPlace){to->ns, key->data, key->len});
}

/* (transfer full) The key END's name as a directory's prefix, or the other way round. */
static ProllyOwnedPlace *convert(const ProllyRenameEnd *end, bool to_directory)
{
	g_autoptr(GByteArray) key = g_byte_array_new();
	ProllyPlace place = end->place;

	if (place.key_len)
		g_byte_array_append(key, place.key, (guint)place.key_len);
	if (to_directory && !end->is_directory)
		prolly_append_u8(key, '/');
	else if (!to_directory && end->is_directory)
		g_byte_array_set_size(key, key->len - 1);
	return prolly_place_dup(&(ProllyPlace){place.ns, key->data, key->len});
}

/* ---- Keys -------------------------------------------------------------------------------- */

/* What the next object at a path derives its number with, when this one has left it. */
static uint64_t get_salt_after(const ProllyAttrRecord *record, bool exists)
{
	return record->salt + (exists && !(record->attrs.has & PROLLY_ATTR_INO));
}

static void set_salt(ProllyAttrRecord *record, uint64_t salt)
{
	record->salt = salt;
	record->attrs.has &= ~(uint32_t)PROLLY_ATTR_SALT;
	record->attrs.has |= salt ? PROLLY_ATTR_SALT : 0;
}

/* The object at PLACE takes its number along. */
static void keep_number(const ProllyPlace *place, bool is_directory, ProllyAttrRecord *record)
{
	if (record->attrs.has & PROLLY_ATTR_INO)
		return;
	record->attrs.ino = prolly_attr_derive_ino(place->ns, place->key, place->key_len,
						   is_directory, record->salt);
	record->attrs.has |= PROLLY_ATTR_INO;
}

static bool key_out(ProllyRename *self, const ProllyPlace *place, GError **error)
{
	g_auto(ProllyFinding) finding = {0};
	g_auto(ProllyAttrRecord) record = {0};
	bool is_marker;

	prolly_finding_init(&finding);
	if (!prolly_transaction_load(self->txn, place, &finding, &record, error))
		return false;
	is_marker = prolly_finding_is_marker(&finding);
	return prolly_transaction_remove(self->txn, place, get_salt_after(&record, !is_marker),
					 error);
}

/* One that is to be staged under another path. */
typedef struct {
	const ProllyPlace *from;
	const ProllyPlace *to;
	const ProllyFinding *finding; /* at FROM */
	ProllyAttrRecord *record;     /* settled, with explicit times; it is changed */
	const ProllyFinding *old;     /* at TO */
	const ProllyAttrRecord *old_record;
	bool moves_away; /* what is at TO now moves away in the same rename */
	bool is_end;     /* it is what is renamed, not something in that */
} Arrival;

static bool stage_arrival(ProllyRename *self, const Arrival *arrival, GError **error)
{
	const ProllyFinding *old = arrival->old;
	ProllyAttrRecord *record = arrival->record;
	uint64_t group = record->attrs.group;

	if (!arrival->moves_away &&
	    !prolly_rename_change_group(self, arrival->old_record->attrs.group, arrival->to, NULL,
					arrival->is_end, error))
		return false;
	keep_number(arrival->from, false, record);
	set_salt(record, get_salt_after(arrival->old_record,
					arrival->moves_away && prolly_finding_exists(old) &&
						!prolly_finding_is_marker(old)));
	if (arrival->is_end)
		record->attrs.ctime = self->txn->now;
	return prolly_rename_change_group(self, group, arrival->from, arrival->to, arrival->is_end,
					  error) &&
	       prolly_transaction_copy_value(self->txn, arrival->to, arrival->finding, record,
					     error);
}

static void put_marker(ProllyRename *self, const ProllyPlace *place)
{
	prolly_transaction_put(self->txn, place, MARKER, sizeof(MARKER), NULL, NULL);
}

static bool key_in(ProllyRename *self, const ProllyPlace *from, const ProllyPlace *to,
		   bool moves_away, bool is_end, GError **error)
{
	g_auto(ProllyFinding) finding = {0}, old = {0};
	g_auto(ProllyAttrRecord) record = {0}, old_record = {0};
	const Arrival arrival = {from, to,          &finding,   &record,
				 &old, &old_record, moves_away, is_end};

	prolly_finding_init(&finding);
	prolly_finding_init(&old);
	if (!prolly_transaction_load(self->txn, from, &finding, &record, error) ||
	    !prolly_transaction_load(self->txn, to, &old, &old_record, error))
		return false;
	if (!prolly_finding_is_marker(&finding))
		return stage_arrival(self, &arrival, error);
	put_marker(self, to);
	return true;
}

/* ---- Directories ------------------------------------------------------------------------- */

static bool directory_out(ProllyRename *self, const ProllyPlace *place, GError **error)
{
	g_auto(ProllyAttrRecord) record = {0};
	ProllyAttrRecord gone = {.sequence = self->txn->sequence};
	ProllyDirectoryState state;

	if (!prolly_working_find_directory(&self->txn->working, place, &record, &state, error))
		return false;
	set_salt(&gone, get_salt_after(&record, true));
	prolly_transaction_put_directory(self->txn, place, &gone, PROLLY_DIRECTORY_GONE);
	return true;
}

static ProllyDirectoryState get_state_at(const ProllyPlace *to, ProllyDirectoryState state)
{
	if (!to->key_len)
		return PROLLY_DIRECTORY_EXISTS;
	return state == PROLLY_DIRECTORY_EXISTS ? PROLLY_DIRECTORY_UNKNOWN : state;
}

static bool directory_in(ProllyRename *self, const ProllyPlace *from, const ProllyPlace *to,
			 bool moves_away, bool is_end, GError **error)
{
	g_auto(ProllyAttrRecord) record = {0}, old_record = {0};
	ProllyDirectoryState state, old_state;
	const ProllyWorking *working = &self->txn->working;

	if (!prolly_working_find_directory(working, from, &record, &state, error) ||
	    !prolly_working_find_directory(working, to, &old_record, &old_state, error) ||
	    !prolly_working_settle_directory(working, from, &record, error))
		return false;
	record.attrs.has |= PROLLY_ATTR_TIMES;
	record.sequence = self->txn->sequence;
	if (is_end)
		record.attrs.ctime = self->txn->now;
	keep_number(from, true, &record);
	set_salt(&record,
		 get_salt_after(&old_record, moves_away && old_state != PROLLY_DIRECTORY_GONE));
	prolly_transaction_put_directory(self->txn, to, &record, get_state_at(to, state));
	return true;
}

/* ---- Trees ------------------------------------------------------------------------------- */

/* What is done to each directory and key of a tree. */
typedef struct {
	ProllyRename *rename;
	const ProllyPlace *from;
	bool is_out;           /* it leaves FROM */
	const ProllyPlace *to; /* nullable: it comes there */
	bool moves_away;
	ProllyScan *scan;   /* over FROM */
	ProllyScan *old;    /* over what was at TO; NULL: nothing that counts */
	bool has_old_attrs; /* attributes are committed there */
} Walk;

static bool walk_key_out(const Walk *walk, const ProllyPlace *place, GError **error)
{
	const ProllyFinding *finding = prolly_scan_get_finding(walk->scan);
	g_auto(ProllyAttrRecord) record = {0};
	uint64_t salt;
	size_t ignored;

	if (!prolly_finding_get_attr_record(finding, &record, error))
		return false;
	if (record.attrs.group && !walk->rename->is_ahead)
		return key_out(walk->rename, place, error);
	salt = get_salt_after(&record, !prolly_finding_is_marker(finding));
	if (!walk->rename->is_ahead && !salt && finding->value_level == 0 &&
	    !prolly_scan_get_committed(walk->scan, &ignored))
		return prolly_transaction_remove(walk->rename->txn, place, 0, error);
	prolly_transaction_bury(walk->rename->txn, place, salt);
	return true;
}

/* The key (directory) PLACE leaves. */
static bool walk_out(const Walk *walk, const ProllyPlace *place, bool is_directory, GError **error)
{
	bool ok;

	prolly_rename_turn_ahead(walk->rename);
	ok = is_directory ? directory_out(walk->rename, place, error)
			  : walk_key_out(walk, place, error);
	prolly_rename_turn_ahead(walk->rename);
	return ok;
}

static bool walk_directory(const Walk *walk, const ProllyPlace *place, GError **error)
{
	g_autofree ProllyOwnedPlace *to = NULL;

	if (walk->is_out && !walk_out(walk, place, true, error))
		return false;
	if (!walk->to)
		return true;
	to = rebase(place, walk->from, walk->to);
	return directory_in(walk->rename, place, &to->place, walk->moves_away,
			    place->key_len == walk->from->key_len, error);
}

/* What is known of TO, where nothing is now: OWN, or what the scan found. */
static bool find_old(const Walk *walk, const ProllyPlace *to, ProllyFinding *own,
		     const ProllyFinding **out_finding, GError **error)
{
	*out_finding = own;
	while (walk->old && prolly_scan_is_valid(walk->old)) {
		size_t len;
		const uint8_t *key = prolly_scan_get_key(walk->old, &len);
		int order = prolly_bytes_compare(key, len, to->key, to->key_len);

		if (order == 0) {
			*out_finding = prolly_scan_get_finding(walk->old);
			return true;
		}
		if (order > 0)
			break;
		if (!prolly_scan_next(walk->old, error))
			return false;
	}
	return !walk->has_old_attrs ||
	       prolly_working_find_committed_attrs(&walk->rename->txn->working, PROLLY_RECORD_ENTRY,
						   to, own, error);
}

static bool walk_key_in(const Walk *walk, const ProllyPlace *place, const ProllyPlace *to,
			GError **error)
{
	ProllyTransaction *txn = walk->rename->txn;
	const ProllyFinding *finding = prolly_scan_get_finding(walk->scan);
	g_auto(ProllyFinding) own = {0};
	g_auto(ProllyAttrRecord) record = {0}, old_record = {0};
	Arrival arrival = {place, to, finding, &record, NULL, &old_record, false, false};

	if (walk->moves_away)
		return key_in(walk->rename, place, to, true, false, error);
	if (prolly_finding_is_marker(finding)) {
		put_marker(walk->rename, to);
		return true;
	}
	prolly_finding_init(&own);
	if (!find_old(walk, to, &own, &arrival.old, error) ||
	    !prolly_finding_get_attr_record(arrival.old, &old_record, error) ||
	    !prolly_transaction_settle(txn, place, finding, &record, error))
		return false;
	return stage_arrival(walk->rename, &arrival, error);
}

static bool walk_key(const Walk *walk, const ProllyPlace *place, GError **error)
{
	g_autofree ProllyOwnedPlace *to = NULL;

	if (walk->is_out && !walk_out(walk, place, false, error))
		return false;
	if (!walk->to)
		return true;
	to = rebase(place, walk->from, walk->to);
	return prolly_place_check(&to->place, error) && walk_key_in(walk, place, &to->place, error);
}

/* The directories that KEY is in and the key before it, whose directory was LAST, was not. */
static bool walk_new_directories(const Walk *walk, const ProllyPlace *key, GByteArray *last,
				 GError **error)
{
	size_t shared = 0, len = prolly_place_parent_len(key);

	while (shared < MIN(last->len, key->key_len) && last->data[shared] == key->key[shared])
		shared++;
	for (size_t i = MAX(shared, walk->from->key_len); i < len; i++) {
		ProllyPlace dir = {key->ns, key->key, i + 1};

		if (key->key[i] == '/' && !walk_directory(walk, &dir, error))
			return false;
	}
	g_byte_array_set_size(last, 0);
	if (len)
		g_byte_array_append(last, key->key, (guint)len);
	return true;
}

/* An empty directory's record goes with its marker. */
static bool walk_marker_directory(const Walk *walk, const ProllyPlace *marker, GError **error)
{
	g_autofree uint8_t *prefix = g_malloc(marker->key_len + 1);
	ProllyPlace dir = {marker->ns, prefix, marker->key_len + 1};

	if (marker->key_len)
		memcpy(prefix, marker->key, marker->key_len);
	prefix[marker->key_len] = '/';
	return walk_directory(walk, &dir, error);
}

static bool walk_keys(const Walk *walk, GError **error)
{
	g_autoptr(GByteArray) last = g_byte_array_new();
	ProllyScan *scan = walk->scan;

	while (prolly_scan_is_valid(scan)) {
		ProllyPlace key = {.ns = walk->from->ns};

		key.key = prolly_scan_get_key(scan, &key.key_len);
		if (!walk_new_directories(walk, &key, last, error) ||
		    !walk_key(walk, &key, error) ||
		    (prolly_finding_is_marker(prolly_scan_get_finding(scan)) &&
		     !walk_marker_directory(walk, &key, error)) ||
		    (walk->rename->is_ahead && !prolly_rename_flush_ahead(walk->rename, error)) ||
		    !prolly_scan_next(scan, error))
			return false;
	}
	return true;
}

/* (transfer full) Over PLACE's keys, at the first. */
static ProllyScan *scan_tree(ProllyRename *self, const ProllyPlace *place, unsigned flags,
			     GError **error)
{
	g_autoptr(ProllyScan) scan =
		prolly_scan_new(&self->txn->working, place->ns, place->key, place->key_len, 0,
				PROLLY_SCAN_COMMITTED | PROLLY_SCAN_ATTRS | flags);

	return prolly_scan_seek(scan, place->key, place->key_len, error) ? g_steal_pointer(&scan)
									 : NULL;
}

static bool walk_tree(Walk *walk, GError **error)
{
	ProllyRename *self = walk->rename;
	g_autoptr(ProllyScan) scan = NULL, old = NULL;

	if (!walk_directory(walk, walk->from, error))
		return false;
	scan = walk->scan = scan_tree(self, walk->from, 0, error);
	if (!scan)
		return false;
	if (walk->to && !walk->moves_away) {
		old = walk->old = scan_tree(self, walk->to, PROLLY_SCAN_DELETED, error);
		if (!old || !prolly_working_has_committed_attrs(&self->txn->working, walk->to,
								&walk->has_old_attrs, error))
			return false;
	}
	return walk_keys(walk, error);
}

/* The marker of a directory, as a key. */
static ProllyPlace get_marker(const ProllyPlace *dir)
{
	return (ProllyPlace){dir->ns, dir->key, dir->key_len - 1};
}

/* Takes away the marker of an empty directory. */
static bool marker_out(ProllyRename *self, const ProllyRenameEnd *end, GError **error)
{
	ProllyPlace marker;

	if (!end->is_directory || end->state != PROLLY_DIRECTORY_EMPTY)
		return true;
	marker = get_marker(&end->place);
	return key_out(self, &marker, error);
}

static bool end_out(ProllyRename *self, const ProllyRenameEnd *end, GError **error)
{
	Walk walk = {.rename = self, .from = &end->place, .is_out = true};

	prolly_transaction_touch(self->txn, &end->place);
	if (!end->is_directory)
		return key_out(self, &end->place, error);
	if (!marker_out(self, end, error))
		return false;
	return walk_tree(&walk, error);
}

static bool end_in(ProllyRename *self, const ProllyRenameEnd *end, const ProllyPlace *to,
		   bool moves_away, GError **error)
{
	Walk walk = {.rename = self, .from = &end->place, .to = to, .moves_away = moves_away};
	bool has = true;

	prolly_transaction_touch(self->txn, to);
	if (!end->is_directory)
		return key_in(self, &end->place, to, moves_away, true, error);
	if (!prolly_working_has_keys(&self->txn->working, &end->place, &has, error))
		return false;
	if (!has && to->key_len) {
		ProllyPlace marker = get_marker(to);

		put_marker(self, &marker);
	}
	return walk_tree(&walk, error);
}

/* ---- Checks ------------------------------------------------------------------------------ */

static bool find_end(ProllyRename *self, ProllyRenameEnd *end, GError **error)
{
	ProllyTransaction *txn = self->txn;
	g_auto(ProllyFinding) finding = {0};

	if (!prolly_place_check(&end->place, error))
		return false;
	if (end->is_directory) {
		if (end->place.key_len ? end->place.key[end->place.key_len - 1] != '/' ||
						 !prolly_namespace_has_directories(end->place.ns)
				       : !end->place.ns[0])
			return prolly_place_throw(&end->place, PROLLY_ERROR_INVALID,
						  "is no directory of keys", error);
		if (!prolly_working_find_directory(&txn->working, &end->place, NULL, &end->state,
						   error))
			return false;
		end->exists = end->state != PROLLY_DIRECTORY_GONE;
		return true;
	}
	prolly_finding_init(&finding);
	if (!prolly_working_find(&txn->working, &end->place, 0, false, &finding, error))
		return false;
	end->exists = prolly_finding_exists(&finding);
	if (prolly_finding_is_marker(&finding))
		return prolly_place_throw(&end->place, PROLLY_ERROR_IS_DIR, "is a directory",
					  error);
	return true;
}

/* What lies directly in a branch is a key of the unnamed namespace, which has no directories. */
static bool check_exchanged_kinds(const ProllyRenameEnd *from, const ProllyRenameEnd *to,
				  GError **error)
{
	const ProllyRenameEnd *key = from->is_directory ? to : from;

	if (from->is_directory == to->is_directory ||
	    prolly_namespace_has_directories(key->place.ns))
		return true;
	return prolly_place_throw(&key->place, PROLLY_ERROR_INVALID,
				  "is no place for a directory of keys", error);
}

static bool check_ends(const ProllyRenameEnd *from, const ProllyRenameEnd *to, unsigned flags,
		       GError **error)
{
	if (!from->exists)
		return prolly_place_throw(&from->place, PROLLY_ERROR_NOT_FOUND, "is not there",
					  error);
	if (flags & PROLLY_RENAME_EXCHANGE && !to->exists)
		return prolly_place_throw(&to->place, PROLLY_ERROR_NOT_FOUND, "is not there",
					  error);
	if (from->is_directory && starts_with(&to->place, &from->place))
		return prolly_place_throw(&to->place, PROLLY_ERROR_INVALID,
					  "lies in what is to be renamed", error);
	if (flags & PROLLY_RENAME_EXCHANGE) {
		if (to->is_directory && starts_with(&from->place, &to->place))
			return prolly_place_throw(&to->place, PROLLY_ERROR_INVALID,
						  "lies in what is to be renamed", error);
		return check_exchanged_kinds(from, to, error);
	}
	if (to->exists && flags & PROLLY_RENAME_NOREPLACE)
		return prolly_place_throw(&to->place, PROLLY_ERROR_EXISTS, "exists already", error);
	if (to->is_directory && !from->is_directory)
		return prolly_place_throw(&to->place, PROLLY_ERROR_IS_DIR, "is a directory", error);
	if (!to->is_directory && from->is_directory)
		return prolly_place_throw(&to->place, PROLLY_ERROR_NOT_DIR, "is not a directory",
					  error);
	return true;
}

/* A directory that is replaced is empty; where none is, no key is either. */
static bool check_replaced_directory(ProllyRename *self, const ProllyRenameEnd *to, GError **error)
{
	g_auto(ProllyFinding) finding = {0};
	ProllyPlace marker;
	bool has = false;

	if (!prolly_working_has_keys(&self->txn->working, &to->place, &has, error))
		return false;
	if (has)
		return prolly_place_throw(&to->place, PROLLY_ERROR_NOT_EMPTY, "is not empty",
					  error);
	if (!to->place.key_len)
		return true;
	marker = get_marker(&to->place);
	prolly_finding_init(&finding);
	if (!prolly_working_find(&self->txn->working, &marker, 0, false, &finding, error))
		return false;
	if (prolly_finding_exists(&finding) && !prolly_finding_is_marker(&finding))
		return prolly_place_throw(&to->place, PROLLY_ERROR_NOT_DIR, "is not a directory",
					  error);
	return true;
}

bool prolly_rename_walk_tree(ProllyRename *self, GError **error)
{
	Walk walk = {
		.rename = self,
		.from = &self->from.place,
		.is_out = true,
		.to = &self->to.place,
	};

	return check_replaced_directory(self, &self->to, error) && walk_tree(&walk, error);
}

/* Two names of one object: rename(2) does nothing. */
static bool are_links(ProllyRename *self, const ProllyRenameEnd *from, const ProllyRenameEnd *to,
		      bool *out_are, GError **error)
{
	g_auto(ProllyFinding) a = {0}, b = {0};
	g_auto(ProllyAttrRecord) a_record = {0}, b_record = {0};

	*out_are = false;
	if (from->is_directory || !to->exists)
		return true;
	prolly_finding_init(&a);
	prolly_finding_init(&b);
	if (!prolly_transaction_load(self->txn, &from->place, &a, &a_record, error) ||
	    !prolly_transaction_load(self->txn, &to->place, &b, &b_record, error))
		return false;
	*out_are = a_record.attrs.group && a_record.attrs.group == b_record.attrs.group;
	return true;
}

/* ---- The two renames --------------------------------------------------------------------- */

static bool move(ProllyRename *self, const ProllyRenameEnd *from, const ProllyRenameEnd *to,
		 GError **error)
{
	return (!to->is_directory || check_replaced_directory(self, to, error)) &&
	       prolly_transaction_prepare_removal(self->txn, &from->place, error) &&
	       end_out(self, from, error) && marker_out(self, to, error) &&
	       end_in(self, from, &to->place, false, error) &&
	       prolly_transaction_add_child(self->txn, &to->place, to->is_directory, error) &&
	       prolly_transaction_remove_child(self->txn, &from->place, from->is_directory, error);
}

static bool exchange(ProllyRename *self, const ProllyRenameEnd *a, const ProllyRenameEnd *b,
		     GError **error)
{
	g_autofree ProllyOwnedPlace *at_a = NULL, *at_b = NULL;

	if ((a->is_directory && !b->place.key_len && !b->is_directory) ||
	    (!a->is_directory && !b->place.key_len) || (!b->is_directory && !a->place.key_len))
		return prolly_place_throw(&a->place, PROLLY_ERROR_INVALID,
					  "a key and a namespace cannot change places", error);
	at_a = convert(a, b->is_directory);
	at_b = convert(b, a->is_directory);
	if (!prolly_transaction_prepare_removal(self->txn, &a->place, error) ||
	    !end_out(self, a, error) || !end_out(self, b, error) ||
	    !end_in(self, a, &at_b->place, true, error) ||
	    !end_in(self, b, &at_a->place, true, error) ||
	    !prolly_transaction_add_child(self->txn, &at_a->place, b->is_directory, error) ||
	    !prolly_transaction_add_child(self->txn, &at_b->place, a->is_directory, error))
		return false;
	/* Both directories keep a child, so that no marker comes: the names are all that differs.
	 */
	prolly_hints_clear(self->txn->working.branch->hints);
	return true;
}

/* Open files follow. */
static void move_files(ProllyBranch *branch, const ProllyRenameEnd *from, const ProllyRenameEnd *to,
		       unsigned flags)
{
	g_autofree ProllyOwnedPlace *at_from = NULL, *at_to = NULL;

	if (!(flags & PROLLY_RENAME_EXCHANGE)) {
		prolly_files_move(branch, &from->place, &to->place, from->is_directory);
		return;
	}
	if (from->is_directory == to->is_directory) {
		prolly_files_exchange(branch, &from->place, &to->place, from->is_directory,
				      to->is_directory);
		return;
	}
	at_from = convert(from, to->is_directory);
	at_to = convert(to, from->is_directory);
	prolly_files_move(branch, &from->place, &at_to->place, from->is_directory);
	prolly_files_move(branch, &to->place, &at_from->place, to->is_directory);
}

/* What is left to do to a directory whose keys were moved ahead. */
static bool move_ahead(ProllyRename *self, GError **error)
{
	const ProllyPlace *from = &self->from.place, *to = &self->to.place;

	prolly_transaction_touch(self->txn, from);
	prolly_transaction_touch(self->txn, to);
	return prolly_transaction_prepare_removal(self->txn, from, error) &&
	       marker_out(self, &self->to, error) && prolly_rename_change_noted(self, error) &&
	       prolly_transaction_add_child(self->txn, to, true, error) &&
	       prolly_transaction_remove_child(self->txn, from, true, error);
}

bool prolly_rename_check(ProllyRename *self, bool *out_is_made, GError **error)
{
	ProllyRenameEnd *from = &self->from, *to = &self->to;

	if (!find_end(self, from, error) || !find_end(self, to, error))
		return false;
	*out_is_made = from->exists && from->is_directory == to->is_directory &&
		       prolly_place_equal(&from->place, &to->place);
	if (*out_is_made)
		return true;
	return check_ends(from, to, self->flags, error) &&
	       are_links(self, from, to, out_is_made, error);
}

/* Writes the batch, and what was made ahead becomes the branch's with it. */
static bool write_all(ProllyRename *self, bool is_ahead, GError **error)
{
	ProllyState *state = NULL;

	if (is_ahead)
		prolly_rename_save_ahead(self, &state);
	if (!prolly_transaction_write(self->txn, error)) {
		prolly_state_unref(state);
		return false;
	}
	if (is_ahead)
		prolly_rename_attach_ahead(self, state);
	return true;
}

/* In the transaction. */
static bool run(ProllyRename *self, bool may_be_ahead, GError **error)
{
	ProllyRenameEnd *from = &self->from, *to = &self->to;
	bool is_exchange = self->flags & PROLLY_RENAME_EXCHANGE;
	bool is_ahead = prolly_rename_take_ahead(self, may_be_ahead);
	bool is_made, ok;

	if (!prolly_rename_check(self, &is_made, error))
		return false;
	if (is_made)
		return true;
	ok = is_ahead      ? move_ahead(self, error)
	     : is_exchange ? exchange(self, from, to, error)
			   : move(self, from, to, error);
	if (!ok || !prolly_rename_save_groups(self, error) || !write_all(self, is_ahead, error))
		return false;
	if (from->is_directory || to->is_directory)
		prolly_hints_clear(self->branch->hints);
	move_files(self->branch, from, to, self->flags);
	return true;
}

ProllyRename *prolly_rename_new(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *from,
				const ProllyPlace *to, unsigned flags)
{
	ProllyRename *self = g_new0(ProllyRename, 1);

	self->repo = repo;
	self->branch = prolly_branch_ref(branch);
	self->guard = prolly_guard_enter(repo);
	self->from_place = prolly_place_dup(from);
	self->to_place = prolly_place_dup(to);
	self->from.place = self->from_place->place;
	self->to.place = self->to_place->place;
	self->from.is_directory = flags & PROLLY_RENAME_FROM_DIRECTORY;
	self->to.is_directory = flags & PROLLY_RENAME_TO_DIRECTORY;
	self->flags = flags;
	self->groups = prolly_rename_new_groups();
	return self;
}

bool prolly_rename_is_same(const ProllyRename *a, const ProllyRename *b)
{
	return a->branch == b->branch && a->flags == b->flags &&
	       prolly_place_equal(&a->from.place, &b->from.place) &&
	       prolly_place_equal(&a->to.place, &b->to.place);
}

bool prolly_rename_finish(ProllyRename *self, GError **error)
{
	bool is_ahead = self->ahead.is_made && g_mutex_trylock(&self->branch->commit_lock);
	ProllyTransaction txn = {0};
	bool ok;

	self->txn = &txn;
	ok = prolly_transaction_begin(&txn, self->repo, self->branch, error) &&
	     run(self, is_ahead, error);
	prolly_transaction_unlock(&txn);
	if (is_ahead)
		g_mutex_unlock(&self->branch->commit_lock);
	prolly_transaction_end(&txn);
	self->txn = NULL;
	return ok;
}

void prolly_rename_free(ProllyRename *self)
{
	if (!self)
		return;
	prolly_rename_discard_ahead(self);
	prolly_guard_leave(&self->guard);
	g_hash_table_unref(self->groups);
	g_free(self->from_place);
	g_free(self->to_place);
	prolly_branch_unref(self->branch);
	g_free(self);
}

bool prolly_edit_rename(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *from,
			const ProllyPlace *to, unsigned flags, GError **error)
{
	g_autoptr(ProllyRename) self = prolly_rename_new(repo, branch, from, to, flags);

	return prolly_rename_finish(self, error);
}
