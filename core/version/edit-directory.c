/* SPDX-License-Identifier: Apache-2.0 */

/*
 * edit-directory: making and removing directories and namespaces.
 *
 * An empty directory is its marker, an entry at the prefix without its last '/'. So a directory
 * cannot be made where a key of that name is. A namespace is a record of its own, and has no
 * marker.
 */

#include "version/working-private.h"

static const uint8_t MARKER[] = {PROLLY_KIND_DIRECTORY};

static bool check_directory(const ProllyPlace *place, GError **error)
{
	if (!prolly_place_check(place, error))
		return false;
	if (place->key_len ? !prolly_namespace_has_directories(place->ns) ||
				     place->key[place->key_len - 1] != '/'
			   : !place->ns[0])
		return prolly_place_throw(place, PROLLY_ERROR_INVALID,
					  "cannot be a directory of keys", error);
	return true;
}

static ProllyPlace get_marker(const ProllyPlace *dir)
{
	return (ProllyPlace){dir->ns, dir->key, dir->key_len - 1};
}

/* Is there a key where PLACE's marker would be? A marker is none. */
static bool has_key_in_place(ProllyTransaction *txn, const ProllyPlace *place, uint64_t *out_salt,
			     bool *out_has, GError **error)
{
	ProllyPlace marker = get_marker(place);
	g_auto(ProllyFinding) finding = {0};
	g_auto(ProllyAttrRecord) record = {0};

	prolly_finding_init(&finding);
	if (!prolly_transaction_load(txn, &marker, &finding, &record, error))
		return false;
	*out_has = prolly_finding_exists(&finding) && !prolly_finding_is_marker(&finding);
	*out_salt = record.salt;
	return true;
}

static void give_attrs(ProllyAttrRecord *record, const ProllyAttrs *attrs)
{
	if (attrs)
		prolly_attr_record_update(record, attrs);
}

/* PLACE is not there: its record, state and marker, and its place among its parent's children. */
static bool make(ProllyTransaction *txn, const ProllyPlace *place, const ProllyAttrRecord *record,
		 GError **error)
{
	bool is_root = !place->key_len;

	if (!is_root) {
		ProllyPlace marker = get_marker(place);

		prolly_transaction_put(txn, &marker, MARKER, sizeof(MARKER), NULL, NULL);
	}
	prolly_transaction_put_directory(
		txn, place, record, is_root ? PROLLY_DIRECTORY_EXISTS : PROLLY_DIRECTORY_EMPTY);
	prolly_transaction_touch(txn, place);
	return prolly_transaction_add_child(txn, place, true, error);
}

bool prolly_edit_make_directory(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *place,
				const ProllyAttrs *attrs, ProllyAttrs *out_attrs, GError **error)
{
	g_auto(ProllyTransaction) txn = {0};
	g_auto(ProllyAttrRecord) old = {0};
	g_auto(ProllyAttrRecord) record = {0};
	ProllyDirectoryState state;
	uint64_t salt;
	bool has = false;

	if (!check_directory(place, error) ||
	    !prolly_transaction_begin(&txn, repo, branch, error) ||
	    !prolly_working_find_directory(&txn.working, place, &old, &state, error) ||
	    (place->key_len && !has_key_in_place(&txn, place, &salt, &has, error)))
		return false;
	if (has || state != PROLLY_DIRECTORY_GONE)
		return prolly_place_throw(place, PROLLY_ERROR_EXISTS, "exists already", error);
	if (!prolly_transaction_new_record(&txn, old.salt, &record, error))
		return false;
	give_attrs(&record, attrs);
	if (!make(&txn, place, &record, error) || !prolly_transaction_write(&txn, error))
		return false;
	if (out_attrs)
		prolly_transaction_get_attrs(place, &record, true, 1, out_attrs);
	return true;
}

/* ---- Removing ---------------------------------------------------------------------------- */

static bool check_removable(ProllyTransaction *txn, const ProllyPlace *place,
			    ProllyDirectoryState state, uint64_t *out_salt, GError **error)
{
	bool has = false;

	*out_salt = 0;
	if (place->key_len && !has_key_in_place(txn, place, out_salt, &has, error))
		return false;
	if (state == PROLLY_DIRECTORY_GONE && has)
		return prolly_place_throw(place, PROLLY_ERROR_NOT_DIR, "is not a directory", error);
	if (state == PROLLY_DIRECTORY_GONE)
		return prolly_place_throw(place, PROLLY_ERROR_NOT_FOUND, "no such directory",
					  error);
	if (state == PROLLY_DIRECTORY_EXISTS &&
	    !prolly_working_has_keys(&txn->working, place, &has, error))
		return false;
	if (state == PROLLY_DIRECTORY_FILLED || (state == PROLLY_DIRECTORY_EXISTS && has))
		return prolly_place_throw(place, PROLLY_ERROR_NOT_EMPTY, "is not empty", error);
	return true;
}

bool prolly_transaction_remove_directory(ProllyTransaction *self, const ProllyPlace *place,
					 uint64_t salt, GError **error)
{
	g_auto(ProllyAttrRecord) record = {0};
	ProllyAttrRecord gone = {.sequence = self->sequence};
	ProllyDirectoryState state;
	uint64_t marker_salt;

	if (!prolly_working_find_directory(&self->working, place, &record, &state, error) ||
	    !check_removable(self, place, state, &marker_salt, error))
		return false;
	if (state == PROLLY_DIRECTORY_EMPTY) {
		ProllyPlace marker = get_marker(place);

		if (!prolly_transaction_remove(self, &marker, marker_salt, error))
			return false;
	}
	gone.salt = MAX(salt, record.salt);
	gone.attrs.has = gone.salt ? PROLLY_ATTR_SALT : 0;
	prolly_transaction_put_directory(self, place, &gone, PROLLY_DIRECTORY_GONE);
	prolly_transaction_touch(self, place);
	return true;
}

bool prolly_edit_remove_directory(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *place,
				  GError **error)
{
	g_auto(ProllyTransaction) txn = {0};

	return check_directory(place, error) &&
	       prolly_transaction_begin(&txn, repo, branch, error) &&
	       prolly_transaction_prepare_removal(&txn, place, error) &&
	       prolly_transaction_remove_directory(&txn, place, 0, error) &&
	       prolly_transaction_remove_child(&txn, place, true, error) &&
	       prolly_transaction_write(&txn, error);
}
