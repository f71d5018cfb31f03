/* SPDX-License-Identifier: Apache-2.0 */

/*
 * edit: changing keys, each one transaction (transaction.c).
 *
 * What is new gets a number from the counter and the times now. What is replaced with KEEP_ATTRS is
 * the same object with other content; without, another object of the same name.
 *
 * A link group is one object with several names: content, kind and attributes are staged for each
 * member, in one batch. Who has the key open hears of it: a removed or replaced key leaves an
 * orphan, attributes are passed on.
 */

#include "version/working-private.h"

#include <string.h>

/* ---- Names of an object ------------------------------------------------------------------ */

/* One of the names of what an edit changes. */
typedef struct {
	ProllyPlace place;
	ProllyFinding finding;
	ProllyAttrRecord record;
} Name;

static void name_free(void *data)
{
	Name *name = data;

	prolly_finding_clear(&name->finding);
	prolly_attr_record_clear(&name->record);
	g_free(name);
}

typedef struct {
	GPtrArray *names;   /* of Name *: the one that was asked for first */
	GPtrArray *members; /* keeps the others' places; NULL: there is no group */
} Object;

static void object_clear(Object *object)
{
	g_clear_pointer(&object->names, g_ptr_array_unref);
	g_clear_pointer(&object->members, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Object, object_clear)

static Name *object_get(const Object *object, guint i)
{
	return g_ptr_array_index(object->names, i);
}

static bool add_name(ProllyTransaction *txn, const ProllyPlace *place, Object *object,
		     GError **error)
{
	Name *name = g_new0(Name, 1);

	name->place = *place;
	prolly_finding_init(&name->finding);
	g_ptr_array_add(object->names, name);
	return prolly_transaction_load(txn, place, &name->finding, &name->record, error);
}

/* What PLACE names, if anything, and its other names. */
static bool load_object(ProllyTransaction *txn, const ProllyPlace *place, Object *object,
			GError **error)
{
	uint64_t group;

	object->names = g_ptr_array_new_with_free_func(name_free);
	if (!add_name(txn, place, object, error))
		return false;
	group = object_get(object, 0)->record.attrs.group;
	if (!prolly_finding_exists(&object_get(object, 0)->finding) || !group)
		return true;
	if (!prolly_links_find_members(&txn->working, group, &object->members, error))
		return false;
	for (guint i = 0; i < object->members->len; i++) {
		const ProllyOwnedPlace *member = g_ptr_array_index(object->members, i);

		if (!prolly_place_equal(&member->place, place) &&
		    !add_name(txn, &member->place, object, error))
			return false;
	}
	return true;
}

static bool check_file(const ProllyPlace *place, const ProllyFinding *finding, GError **error)
{
	if (!prolly_finding_exists(finding))
		return prolly_place_throw(place, PROLLY_ERROR_NOT_FOUND, "no such key", error);
	if (prolly_finding_is_marker(finding))
		return prolly_place_throw(place, PROLLY_ERROR_IS_DIR, "is a directory", error);
	return true;
}

/* ---- Put --------------------------------------------------------------------------------- */

static void set_attrs(ProllyTransaction *txn, ProllyAttrRecord *record, const ProllyAttrs *attrs)
{
	ProllyAttrs *to = &record->attrs;
	uint32_t given = attrs ? attrs->has : 0;

	if (attrs)
		prolly_attr_record_update(record, attrs);
	if (!(given & PROLLY_ATTR_MTIME))
		to->mtime = txn->now;
	if (!(given & PROLLY_ATTR_CTIME))
		to->ctime = txn->now;
	to->has |= PROLLY_ATTR_MTIME | PROLLY_ATTR_CTIME;
	record->sequence = txn->sequence;
}

/* The object at NAME is replaced by another of that name: out of its group, if it was in one. */
static bool renew_record(ProllyTransaction *txn, Object *object, GError **error)
{
	Name *name = object_get(object, 0);
	ProllyAttrRecord record;

	if (!prolly_transaction_new_record(txn, name->record.salt, &record, error))
		return false;
	prolly_attr_record_clear(&name->record);
	name->record = record;
	if (object->names->len > 1)
		g_ptr_array_remove_range(object->names, 1, object->names->len - 1);
	return true;
}

static bool put(ProllyTransaction *txn, Object *object, GBytes *stored, const ProllyAttrs *attrs,
		unsigned flags, GError **error)
{
	const Name *name = object_get(object, 0);
	bool exists = prolly_finding_exists(&name->finding);
	size_t len;
	const uint8_t *data = g_bytes_get_data(stored, &len);

	if (exists && flags & PROLLY_EDIT_EXCLUSIVE)
		return prolly_place_throw(&name->place, PROLLY_ERROR_EXISTS, "exists already",
					  error);
	if (prolly_finding_is_marker(&name->finding))
		return prolly_place_throw(&name->place, PROLLY_ERROR_IS_DIR, "is a directory",
					  error);
	if ((!exists || !(flags & PROLLY_EDIT_KEEP_ATTRS)) && !renew_record(txn, object, error))
		return false;
	for (guint i = 0; i < object->names->len; i++) {
		Name *each = object_get(object, i);

		set_attrs(txn, &each->record, attrs);
		prolly_transaction_put(txn, &each->place, data, len, NULL, &each->record);
		prolly_transaction_touch(txn, &each->place);
	}
	return exists || prolly_transaction_add_child(txn, &name->place, false, error);
}

bool prolly_edit_put(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *place,
		     GBytes *stored, const ProllyAttrs *attrs, unsigned flags,
		     ProllyAttrs *out_attrs, GError **error)
{
	g_auto(ProllyTransaction) txn = {0};
	g_auto(Object) object = {0};
	ProllyValue value;

	if (!prolly_place_check(place, error) ||
	    !prolly_value_parse(g_bytes_get_data(stored, NULL), g_bytes_get_size(stored), &value,
				error))
		return false;
	if (value.kind == PROLLY_KIND_DIRECTORY)
		return prolly_place_throw(place, PROLLY_ERROR_INVALID,
					  "a directory is not made by putting its marker", error);
	if (!prolly_transaction_begin(&txn, repo, branch, error) ||
	    !load_object(&txn, place, &object, error) ||
	    !put(&txn, &object, stored, attrs, flags, error) ||
	    !prolly_transaction_write(&txn, error))
		return false;
	for (guint i = 0; i < object.names->len; i++)
		prolly_files_orphan(branch, &object_get(&object, i)->place);
	if (out_attrs)
		prolly_transaction_get_attrs(place, &object_get(&object, 0)->record, false,
					     object.names->len, out_attrs);
	return true;
}

bool prolly_staged_put_value_locked(ProllyRepo *repo, ProllyBranch *branch,
				    const ProllyPlace *place, const ProllyStagedContent *content,
				    const ProllyAttrs *attrs, ProllyDbBatch *batch, GError **error)
{
	g_autoptr(ProllyState) state = prolly_branch_get_state(branch);
	ProllyTransaction txn = {
		.working = {.repo = repo, .branch = branch, .state = state},
		.batch = batch,
		.now = prolly_time_now(),
		.sequence = prolly_state_get_sequence(state),
		.generation = prolly_state_get_generation(state),
		.watch = branch->watch,
	};
	ProllyStagedRecord laid_over = {
		.extents = content->extents,
		.base_length = content->base_length,
		.length = content->length,
	};
	g_auto(Object) object = {0};
	size_t len;
	const uint8_t *data = g_bytes_get_data(content->stored, &len);

	if (!load_object(&txn, place, &object, error) ||
	    !check_file(place, &object_get(&object, 0)->finding, error))
		return false;
	for (guint i = 0; i < object.names->len; i++) {
		Name *name = object_get(&object, i);

		set_attrs(&txn, &name->record, attrs);
		prolly_transaction_put(&txn, &name->place, data, len, &laid_over, &name->record);
	}
	return true;
}

/* ---- Delete ------------------------------------------------------------------------------ */

/* The other names of what goes: one less, and changed now. */
static void leave_group(ProllyTransaction *txn, Object *object)
{
	g_autoptr(GPtrArray) rest = g_ptr_array_new();
	const Name *name = object_get(object, 0);

	for (guint i = 0; i < object->members->len; i++) {
		ProllyOwnedPlace *member = g_ptr_array_index(object->members, i);

		if (!prolly_place_equal(&member->place, &name->place))
			g_ptr_array_add(rest, member);
	}
	prolly_links_save(&txn->working, name->record.attrs.group, rest, txn->batch);
	for (guint i = 1; i < object->names->len; i++) {
		Name *other = object_get(object, i);

		other->record.attrs.ctime = txn->now;
		prolly_transaction_put_attrs(txn, &other->place, &other->finding, &other->record);
		prolly_transaction_touch(txn, &other->place);
	}
}

static bool delete_key(ProllyTransaction *txn, Object *object, GError **error)
{
	const Name *name = object_get(object, 0);

	if (object->members)
		leave_group(txn, object);
	prolly_transaction_touch(txn, &name->place);
	return prolly_transaction_prepare_removal(txn, &name->place, error) &&
	       prolly_transaction_remove(txn, &name->place, name->record.salt, error) &&
	       prolly_transaction_remove_child(txn, &name->place, false, error);
}

bool prolly_edit_delete(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *place,
			bool *out_found, GError **error)
{
	g_auto(ProllyTransaction) txn = {0};
	g_auto(Object) object = {0};

	if (!prolly_place_check(place, error) ||
	    !prolly_transaction_begin(&txn, repo, branch, error) ||
	    !load_object(&txn, place, &object, error))
		return false;
	if (out_found && !prolly_finding_exists(&object_get(&object, 0)->finding)) {
		*out_found = false;
		return true;
	}
	prolly_db_batch_note_freeing(txn.batch);
	if (!check_file(place, &object_get(&object, 0)->finding, error) ||
	    !delete_key(&txn, &object, error) || !prolly_transaction_write(&txn, error))
		return false;
	prolly_files_orphan(branch, place);
	if (out_found)
		*out_found = true;
	return true;
}

/* ---- Attributes -------------------------------------------------------------------------- */

/* What a caller gives is taken; else only ctime moves. */
static void change_record(ProllyTransaction *txn, ProllyAttrRecord *record,
			  const ProllyAttrs *attrs)
{
	prolly_attr_record_update(record, attrs);
	if (!(attrs->has & PROLLY_ATTR_CTIME))
		record->attrs.ctime = txn->now;
	record->attrs.has |= PROLLY_ATTR_CTIME;
	record->sequence = txn->sequence;
}

static bool is_other_kind(const ProllyFinding *finding, int kind)
{
	return kind >= 0 && (finding->stored[0] & ~PROLLY_VALUE_BLOB) != kind;
}

/* The same content as another kind; extents stay only with a value of this generation. */
static bool put_kind(ProllyTransaction *txn, Name *name, int kind, GError **error)
{
	ProllyRepo *repo = txn->working.repo;
	ProllyFinding *finding = &name->finding;
	ProllyStagedRecord extents = {0};
	g_auto(ProllyEntry) entry = {0};
	g_autoptr(GBytes) stored = NULL;
	g_autoptr(GBytes) changed = NULL;
	size_t len;
	const uint8_t *data;

	if (!prolly_finding_to_entry(finding, &entry, error))
		return false;
	if (finding->extents && finding->value_level != 0) {
		if (!prolly_extents_fold(repo, NULL, &entry, &stored, error))
			return false;
	} else {
		stored = g_bytes_ref(entry.stored);
		extents.extents = finding->extents;
		extents.base_length = finding->base_length;
		extents.length = finding->length;
	}
	changed = prolly_value_with_kind(stored, (ProllyKind)kind);
	data = g_bytes_get_data(changed, &len);
	prolly_transaction_put(txn, &name->place, data, len, &extents, &name->record);
	return true;
}

static bool change_file(ProllyTransaction *txn, Object *object, const ProllyAttrs *attrs, int kind,
			GError **error)
{
	for (guint i = 0; i < object->names->len; i++) {
		Name *name = object_get(object, i);

		change_record(txn, &name->record, attrs);
		prolly_transaction_touch(txn, &name->place);
		if (!is_other_kind(&name->finding, kind))
			prolly_transaction_put_attrs(txn, &name->place, &name->finding,
						     &name->record);
		else if (!put_kind(txn, name, kind, error))
			return false;
	}
	return true;
}

static bool set_file_attrs(ProllyTransaction *txn, const ProllyPlace *place,
			   const ProllyAttrs *attrs, int kind, ProllyAttrs *out_attrs,
			   GError **error)
{
	g_auto(Object) object = {0};

	if (!load_object(txn, place, &object, error) ||
	    !check_file(place, &object_get(&object, 0)->finding, error) ||
	    !change_file(txn, &object, attrs, kind, error) || !prolly_transaction_write(txn, error))
		return false;
	prolly_files_set_attrs(txn->working.branch, place, attrs, kind);
	if (out_attrs)
		prolly_transaction_get_attrs(place, &object_get(&object, 0)->record, false,
					     object.names->len, out_attrs);
	return true;
}

static bool set_directory_attrs(ProllyTransaction *txn, const ProllyPlace *place,
				const ProllyAttrs *attrs, ProllyAttrs *out_attrs, GError **error)
{
	g_auto(ProllyAttrRecord) record = {0};
	ProllyDirectoryState state;

	if (!prolly_working_find_directory(&txn->working, place, &record, &state, error))
		return false;
	if (state == PROLLY_DIRECTORY_GONE)
		return prolly_place_throw(place, PROLLY_ERROR_NOT_FOUND, "no such directory",
					  error);
	if (!prolly_working_settle_directory(&txn->working, place, &record, error))
		return false;
	record.attrs.has |= PROLLY_ATTR_TIMES;
	change_record(txn, &record, attrs);
	prolly_transaction_put_directory(txn, place, &record, state);
	prolly_transaction_touch(txn, place);
	if (!prolly_transaction_write(txn, error))
		return false;
	if (out_attrs)
		prolly_transaction_get_attrs(place, &record, true, 1, out_attrs);
	return true;
}

bool prolly_edit_set_attrs(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *place,
			   bool is_directory, const ProllyAttrs *attrs, int kind,
			   ProllyAttrs *out_attrs, GError **error)
{
	g_auto(ProllyTransaction) txn = {0};

	if (!prolly_place_check(place, error) ||
	    !prolly_transaction_begin(&txn, repo, branch, error))
		return false;
	return is_directory ? set_directory_attrs(&txn, place, attrs, out_attrs, error)
			    : set_file_attrs(&txn, place, attrs, kind, out_attrs, error);
}

/* ---- Hard links -------------------------------------------------------------------------- */

static bool check_absent(ProllyTransaction *txn, const ProllyPlace *place, uint64_t *out_salt,
			 GError **error)
{
	g_auto(ProllyFinding) finding = {0};
	g_auto(ProllyAttrRecord) record = {0};

	prolly_finding_init(&finding);
	if (!prolly_transaction_load(txn, place, &finding, &record, error))
		return false;
	if (prolly_finding_exists(&finding))
		return prolly_place_throw(place, PROLLY_ERROR_EXISTS, "exists already", error);
	*out_salt = record.salt;
	return true;
}

/* The group, its number written down, and its list with TO in it. */
static void join_group(ProllyTransaction *txn, Object *object, const ProllyPlace *to)
{
	Name *name = object_get(object, 0);
	ProllyAttrs *attrs = &name->record.attrs;
	g_autoptr(GPtrArray) places = g_ptr_array_new_with_free_func(g_free);

	if (!(attrs->has & PROLLY_ATTR_INO)) {
		attrs->ino = prolly_attr_derive_ino(name->place.ns, name->place.key,
						    name->place.key_len, false, name->record.salt);
		attrs->has |= PROLLY_ATTR_INO;
	}
	if (!attrs->group) {
		attrs->group = attrs->ino;
		attrs->has |= PROLLY_ATTR_GROUP;
	}
	for (guint i = 0; i < object->names->len; i++)
		g_ptr_array_add(places, prolly_place_dup(&object_get(object, i)->place));
	g_ptr_array_add(places, prolly_place_dup(to));
	prolly_links_save(&txn->working, attrs->group, places, txn->batch);
}

static bool link_to(ProllyTransaction *txn, Object *object, const ProllyPlace *to, uint64_t salt,
		    GError **error)
{
	Name *name = object_get(object, 0);
	ProllyAttrRecord record;

	join_group(txn, object, to);
	for (guint i = 0; i < object->names->len; i++) {
		Name *each = object_get(object, i);

		each->record.attrs.ctime = txn->now;
		prolly_transaction_put_attrs(txn, &each->place, &each->finding, &each->record);
		prolly_transaction_touch(txn, &each->place);
	}
	record = name->record;
	record.salt = salt;
	record.attrs.has &= ~(uint32_t)PROLLY_ATTR_SALT;
	record.attrs.has |= salt ? PROLLY_ATTR_SALT : 0;
	prolly_transaction_touch(txn, to);
	return prolly_transaction_copy_value(txn, to, &name->finding, &record, error) &&
	       prolly_transaction_add_child(txn, to, false, error);
}

bool prolly_edit_link(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *from,
		      const ProllyPlace *to, ProllyAttrs *out_attrs, GError **error)
{
	g_auto(ProllyTransaction) txn = {0};
	g_auto(Object) object = {0};
	uint64_t salt = 0;

	if (!prolly_place_check(from, error) || !prolly_place_check(to, error) ||
	    !prolly_transaction_begin(&txn, repo, branch, error) ||
	    !prolly_files_flush_one(repo, branch, from, error) ||
	    !load_object(&txn, from, &object, error) ||
	    !check_file(from, &object_get(&object, 0)->finding, error) ||
	    !check_absent(&txn, to, &salt, error) || !link_to(&txn, &object, to, salt, error) ||
	    !prolly_transaction_write(&txn, error))
		return false;
	prolly_files_link(branch, from, to);
	if (out_attrs)
		prolly_transaction_get_attrs(to, &object_get(&object, 0)->record, false,
					     object.names->len + 1, out_attrs);
	return true;
}
