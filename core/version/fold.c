/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fold: all generations of a state, which do not change meanwhile, laid over what is committed.
 *
 * For each namespace the staged entries come in key order out of a scan, which has merged the
 * generations, and go into the committed tree as one batch. What equals the committed value changes
 * nothing there, so how many keys differ is counted afterwards, by comparing the two trees.
 * Attributes go the same way, all namespaces in one batch, into the branch's tree of attributes,
 * whose keys order like this: namespace, then directories, entries, and (in the unnamed namespace)
 * link groups.
 *
 * Memory: one path a tree and one entry, whatever the number of entries, but for the void markers:
 * a marker that a load put keys below is deleted by a second batch, since those keys do not come
 * directly after it.
 *
 * Times. What was staged is recorded under SEQUENCE, the number of the move that the commit is, if
 * it is one, so that the move does not void what the caller of a write saw. A value that was loaded
 * over recorded attributes loses the recorded times, and has the move's.
 */
#include "version/working-private.h"

#include <string.h>

void prolly_namespace_clear(void *ns)
{
	g_free(((ProllyNamespace *)ns)->name);
}

void prolly_fold_clear(ProllyFold *fold)
{
	g_clear_pointer(&fold->namespaces, g_array_unref);
}

typedef struct {
	const ProllyWorking *working;
	uint64_t sequence;
	GPtrArray *names; /* of char *: of all namespaces that are there, or were */
	GArray *recorded; /* of uint64_t: generations that have entries, and are no loads */
} Folding;

static const ProllyTreeContext *get_context(const Folding *self)
{
	return prolly_repo_get_context(self->working->repo);
}

static bool is_load(const Folding *self, guint level)
{
	return g_array_index(self->working->state->generations, uint64_t, level) &
	       PROLLY_GENERATION_LOAD;
}

/* Is any of the generations no load? */
static bool has_entry_records(const Folding *self)
{
	for (guint i = 0; i < self->working->state->generations->len; i++) {
		if (!is_load(self, i))
			return true;
	}
	return false;
}

/* Which generations has_staged_marker has to look into; for a load of many keys mostly none. */
static bool find_recorded(Folding *self, GError **error)
{
	const ProllyWorking *working = self->working;

	self->recorded = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	for (guint i = 0; i < working->state->generations->len; i++) {
		g_autoptr(ProllyDbIter) iter = NULL;
		uint64_t generation = g_array_index(working->state->generations, uint64_t, i);

		if (is_load(self, i))
			continue;
		iter = prolly_staged_iter_new(working, (int)i, PROLLY_RECORD_ENTRY, NULL, NULL, 0);
		prolly_db_iter_seek_first(iter);
		if (prolly_db_iter_is_valid(iter))
			g_array_append_val(self->recorded, generation);
		else if (!prolly_db_iter_check(iter, error))
			return false;
	}
	return true;
}

static bool has_load(const Folding *self)
{
	for (guint i = 0; i < self->working->state->generations->len; i++) {
		if (is_load(self, i))
			return true;
	}
	return false;
}

/* ---- Namespaces -------------------------------------------------------------------------- */

/* (transfer full) The names that are there now, in order; and in self->names those and the head's.
 */
static bool list_names(Folding *self, GPtrArray **out_present, GError **error)
{
	const GArray *committed = self->working->state->namespaces;
	g_autoptr(GPtrArray) all = g_ptr_array_new();
	GPtrArray *present;

	if (!prolly_working_list_namespaces(self->working, &present, error))
		return false;
	for (guint i = 0; i < present->len; i++)
		g_ptr_array_add(all, g_ptr_array_index(present, i));
	for (guint i = 0; i < committed->len; i++)
		g_ptr_array_add(all, g_array_index(committed, ProllyNamespace, i).name);
	g_ptr_array_sort(all, prolly_strings_compare);
	self->names = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < all->len; i++) {
		const char *name = g_ptr_array_index(all, i);

		if (i == 0 || strcmp(name, g_ptr_array_index(all, i - 1)) != 0)
			g_ptr_array_add(self->names, g_strdup(name));
	}
	*out_present = present;
	return true;
}

/* ---- Values ------------------------------------------------------------------------------ */

typedef struct {
	const Folding *folding;
	const char *ns;
	const ProllyTree *old; /* nullable */
	ProllyScan *scan;
	bool started;
	GBytes *stored;     /* of the present edit, if extents were folded into it */
	bool may_void;      /* a load may have put keys below a marker */
	GByteArray *parent; /* directory of the last loaded key that was looked at, "" at first */
	GPtrArray *markers; /* of GBytes: those that loaded keys may void */
} ValueEdits;

static bool step_scan(ProllyScan *scan, bool *started, GError **error)
{
	bool first = !*started;

	*started = true;
	return first ? prolly_scan_seek(scan, "", 0, error) : prolly_scan_next(scan, error);
}

static bool fold_extents(ValueEdits *self, const ProllyFinding *finding, GError **error)
{
	const ProllyWorking *working = self->folding->working;
	g_auto(ProllyEntry) entry = {0};

	g_clear_pointer(&self->stored, g_bytes_unref);
	return prolly_finding_to_entry(finding, &entry, error) &&
	       prolly_extents_fold(working->repo, working->snapshot, &entry, &self->stored, error);
}

/* Is there a marker with this key in TREE? */
static bool has_marker(const Folding *self, const ProllyTree *tree, const uint8_t *key, size_t len,
		       bool *out_has, GError **error)
{
	g_auto(ProllyValueRef) value = {0};

	if (!prolly_tree_get(get_context(self), tree, key, len, &value, error))
		return false;
	*out_has = value.node && value.len && value.data[0] == PROLLY_KIND_DIRECTORY;
	return true;
}

/* Is there a marker with this key in a generation that is no load? */
static bool has_staged_marker(const Folding *self, const char *ns, const uint8_t *key, size_t len,
			      bool *out_has, GError **error)
{
	ProllyDb *db = self->working->repo->body->db;

	*out_has = false;
	for (guint i = 0; i < self->recorded->len && !*out_has; i++) {
		g_auto(ProllyRecordKey) record_key = {0};
		g_autoptr(GBytes) bytes = NULL;
		ProllyStagedRecord record;

		prolly_record_key_init(&record_key, prolly_branch_get_id(self->working->branch),
				       g_array_index(self->recorded, uint64_t, i),
				       PROLLY_RECORD_ENTRY, ns, key, len);
		if (!prolly_db_get(db, PROLLY_DB_STAGED, self->working->snapshot, record_key.data,
				   record_key.len, &bytes, error))
			return false;
		if (!bytes)
			continue;
		if (!prolly_staged_record_parse(g_bytes_get_data(bytes, NULL),
						g_bytes_get_size(bytes), &record, error))
			return false;
		*out_has = record.flags & PROLLY_STAGED_VALUE && record.stored_len &&
			   record.stored[0] == PROLLY_KIND_DIRECTORY;
	}
	return true;
}

/* How many bytes two strings have in common. */
static size_t common_length(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	size_t len = 0;

	while (len < a_len && len < b_len && a[len] == b[len])
		len++;
	return len;
}

/* Notes markers of the directories that KEY, a staged one, lies in and the last one did not: a load
 * may have put keys there, whatever became of them since. */
static bool note_void_markers(ValueEdits *self, const uint8_t *key, size_t len, GError **error)
{
	size_t from = common_length(self->parent->data, self->parent->len, key, len), end = len;

	while (end > 0 && key[end - 1] != '/')
		end--;
	for (size_t i = from; i < end; i++) {
		bool has = false;

		if (key[i] != '/')
			continue;
		if (self->old && !has_marker(self->folding, self->old, key, i, &has, error))
			return false;
		if (!has && !has_staged_marker(self->folding, self->ns, key, i, &has, error))
			return false;
		if (has)
			g_ptr_array_add(self->markers, g_bytes_new(key, i));
	}
	g_byte_array_set_size(self->parent, 0);
	g_byte_array_append(self->parent, key, (guint)end);
	return true;
}

/* The ProllyEditFunc of a namespace: its staged values and deletions. */
static bool next_value(void *data, ProllyEdit *out_edit, bool *out_end, GError **error)
{
	ValueEdits *self = data;
	const ProllyFinding *finding;

	do {
		if (!step_scan(self->scan, &self->started, error))
			return false;
		*out_end = !prolly_scan_is_valid(self->scan);
		if (*out_end)
			return true;
		finding = prolly_scan_get_finding(self->scan);
	} while (!prolly_finding_exists(finding) && !finding->deleted);

	*out_edit = (ProllyEdit){0};
	out_edit->key = prolly_scan_get_key(self->scan, &out_edit->key_len);
	if (self->may_void && !note_void_markers(self, out_edit->key, out_edit->key_len, error))
		return false;
	if (!prolly_finding_exists(finding))
		return true;
	out_edit->value = finding->stored;
	out_edit->value_len = finding->stored_len;
	if (finding->extents) {
		if (!fold_extents(self, finding, error))
			return false;
		out_edit->value = g_bytes_get_data(self->stored, &out_edit->value_len);
	}
	return true;
}

static int compare_bytes(gconstpointer a, gconstpointer b)
{
	return g_bytes_compare(*(GBytes *const *)a, *(GBytes *const *)b);
}

/* Is the marker not what is there, though it was staged or committed? */
static bool is_void(const Folding *self, const char *ns, const uint8_t *key, size_t len,
		    bool *out_is, GError **error)
{
	g_auto(ProllyFinding) finding = {0};
	ProllyPlace place = {ns, key, len};

	prolly_finding_init(&finding);
	if (!prolly_working_find(self->working, &place, 0, false, &finding, error))
		return false;
	*out_is = !prolly_finding_exists(&finding);
	return true;
}

/* Deletes those of MARKERS (of GBytes) that are void from TREE. */
static bool drop_void_markers(const Folding *self, const char *ns, GPtrArray *markers,
			      ProllyTree *tree, GError **error)
{
	g_autoptr(GArray) edits = g_array_new(FALSE, TRUE, sizeof(ProllyEdit));

	g_ptr_array_sort(markers, compare_bytes);
	for (guint i = 0; i < markers->len; i++) {
		GBytes *marker = g_ptr_array_index(markers, i);
		ProllyEdit edit = {0};
		bool is;

		if (i > 0 && g_bytes_equal(marker, g_ptr_array_index(markers, i - 1)))
			continue;
		edit.key = g_bytes_get_data(marker, &edit.key_len);
		if (!is_void(self, ns, edit.key, edit.key_len, &is, error))
			return false;
		if (is)
			g_array_append_val(edits, edit);
	}
	return edits->len == 0 || prolly_tree_apply_array(get_context(self), tree,
							  (const ProllyEdit *)(void *)edits->data,
							  edits->len, tree, error);
}

static bool fold_values(const Folding *self, const char *ns, const ProllyTree *old,
			ProllyTree *out_tree, GError **error)
{
	ValueEdits edits = {
		.folding = self,
		.ns = ns,
		.old = old,
		.may_void = prolly_namespace_has_directories(ns) && has_load(self) &&
			    ((old && old->keys) || self->recorded->len > 0),
		.scan = prolly_scan_new(self->working, ns, NULL, 0, 0, PROLLY_SCAN_DELETED),
		.parent = g_byte_array_new(),
		.markers = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref),
	};
	bool ok = prolly_tree_apply(get_context(self), old, next_value, &edits, out_tree, error) &&
		  drop_void_markers(self, ns, edits.markers, out_tree, error);

	prolly_scan_free(edits.scan);
	g_byte_array_unref(edits.parent);
	g_ptr_array_unref(edits.markers);
	g_clear_pointer(&edits.stored, g_bytes_unref);
	return ok;
}

/* ---- The trees --------------------------------------------------------------------------- */

static bool count_changes(const Folding *self, const ProllyTree *old, const ProllyTree *new,
			  uint64_t *out_changes, GError **error)
{
	g_autoptr(ProllyDiff) diff = NULL;
	uint64_t changes = 0;
	bool end = false;

	if (!old || old->keys == 0) {
		*out_changes = new->keys;
		return true;
	}
	diff = prolly_diff_new(get_context(self), old, new, NULL, 0, NULL, 0);
	while (!end) {
		ProllyChange change;

		if (!prolly_diff_next(diff, &change, &end, error))
			return false;
		changes += !end;
	}
	*out_changes = changes;
	return true;
}

static bool fold_namespace(const Folding *self, const char *name, ProllyFold *fold, GError **error)
{
	const ProllyTree *old = prolly_state_find_namespace(self->working->state, name);
	ProllyNamespace ns = {0};
	uint64_t changes;

	if (!fold_values(self, name, old, &ns.tree, error) ||
	    !count_changes(self, old, &ns.tree, &changes, error))
		return false;
	fold->changes += changes;
	if (name[0] == '\0' && ns.tree.keys == 0)
		return true;
	if (!old && ns.tree.keys == 0)
		fold->changes++;
	ns.name = g_strdup(name);
	g_array_append_val(fold->namespaces, ns);
	return true;
}

/* Namespaces that the head has and the working state has not. */
static void count_removed(const Folding *self, GPtrArray *present, ProllyFold *fold)
{
	const GArray *committed = self->working->state->namespaces;

	for (guint i = 0; i < committed->len; i++) {
		const ProllyNamespace *ns = &g_array_index(committed, ProllyNamespace, i);

		if (!g_ptr_array_find_with_equal_func(present, ns->name, g_str_equal, NULL))
			fold->changes += MAX(ns->tree.keys, 1);
	}
}

/* ---- Attributes -------------------------------------------------------------------------- */

/* Records of directories (or link groups) of one namespace, the newest generation's of each. */
typedef struct {
	GPtrArray *iters; /* of ProllyDbIter *, the newest generation's first */
	ProllyDbIter *now;
	const uint8_t *rest;
	size_t rest_len;
} Records;

static void free_iter(gpointer iter)
{
	prolly_db_iter_free(iter);
}

static Records records_start(const Folding *self, ProllyRecordType type, const char *ns)
{
	Records records = {.iters = g_ptr_array_new_with_free_func(free_iter)};

	for (guint i = 0; i < self->working->state->generations->len; i++) {
		ProllyDbIter *iter;

		if (is_load(self, i))
			continue;
		iter = prolly_staged_iter_new(self->working, (int)i, type, ns, NULL, 0);
		prolly_db_iter_seek_first(iter);
		g_ptr_array_add(records.iters, iter);
	}
	return records;
}

static bool get_rest(ProllyDbIter *iter, const uint8_t **out_rest, size_t *out_len)
{
	size_t len;
	const uint8_t *key = prolly_db_iter_get_key(iter, &len);
	const char *ns;

	return prolly_record_key_split(key, len, &ns, out_rest, out_len);
}

/* Moves every iterator that stands at the present record past it. */
static void records_skip(Records *records)
{
	g_autofree uint8_t *rest = g_memdup2(records->rest, records->rest_len);

	for (guint i = 0; i < records->iters->len; i++) {
		ProllyDbIter *iter = g_ptr_array_index(records->iters, i);
		const uint8_t *other;
		size_t len;

		if (prolly_db_iter_is_valid(iter) && get_rest(iter, &other, &len) &&
		    prolly_bytes_compare(other, len, rest, records->rest_len) == 0)
			prolly_db_iter_next(iter);
	}
}

/* To the next record; records->now is NULL at the end. */
static bool records_next(Records *records, GError **error)
{
	if (records->now)
		records_skip(records);
	records->now = NULL;
	for (guint i = 0; i < records->iters->len; i++) {
		ProllyDbIter *iter = g_ptr_array_index(records->iters, i);
		const uint8_t *rest;
		size_t len;

		if (!prolly_db_iter_is_valid(iter)) {
			if (!prolly_db_iter_check(iter, error))
				return false;
			continue;
		}
		if (!get_rest(iter, &rest, &len))
			return prolly_throw(error, PROLLY_ERROR_CORRUPT,
					    "a staged record is damaged");
		if (records->now &&
		    prolly_bytes_compare(rest, len, records->rest, records->rest_len) >= 0)
			continue;
		records->now = iter;
		records->rest = rest;
		records->rest_len = len;
	}
	return true;
}

typedef enum { PHASE_DIRECTORIES, PHASE_ENTRIES, PHASE_LINKS, PHASE_N } AttrPhase;

/* The attributes' edits, in the order of their keys. */
typedef struct {
	const Folding *folding;
	guint ns;        /* index of the namespace */
	AttrPhase phase; /* within it */
	bool in_phase;   /* SCAN or RECORDS are of it */
	ProllyScan *scan;
	bool scan_started;
	Records records;
	GByteArray *key, *value; /* of the present edit */
} AttrEdits;

static void leave_phase(AttrEdits *self)
{
	g_clear_pointer(&self->scan, prolly_scan_free);
	g_clear_pointer(&self->records.iters, g_ptr_array_unref);
	self->records = (Records){0};
	self->scan_started = false;
	self->in_phase = false;
}

static const char *get_ns(const AttrEdits *self)
{
	return g_ptr_array_index(self->folding->names, self->ns);
}

static void enter_phase(AttrEdits *self)
{
	const Folding *folding = self->folding;

	if (self->phase == PHASE_ENTRIES)
		self->scan = prolly_scan_new(folding->working, get_ns(self), NULL, 0, 0,
					     PROLLY_SCAN_DELETED);
	else
		self->records = records_start(folding,
					      self->phase == PHASE_LINKS ? PROLLY_RECORD_LINKS
									 : PROLLY_RECORD_DIRECTORY,
					      get_ns(self));
	self->in_phase = true;
}

/* To the next phase that there is; false at the end. */
static bool next_phase(AttrEdits *self)
{
	leave_phase(self);
	self->phase++;
	if (self->phase == PHASE_LINKS && get_ns(self)[0] != '\0')
		self->phase++;
	if (self->phase >= PHASE_N) {
		self->phase = PHASE_DIRECTORIES;
		self->ns++;
	}
	return self->ns < self->folding->names->len;
}

static void start_edit(AttrEdits *self, ProllyRecordType type, const uint8_t *rest, size_t len)
{
	g_byte_array_set_size(self->key, 0);
	g_byte_array_set_size(self->value, 0);
	prolly_attr_key_append(self->key, type, get_ns(self), rest, len);
}

/* The attributes of the scan's entry; an empty value deletes. *OUT_IS: there is something to say.
 */
static bool edit_entry(AttrEdits *self, bool *out_is, GError **error)
{
	const ProllyFinding *finding = prolly_scan_get_finding(self->scan);
	g_auto(ProllyAttrRecord) record = {0};
	bool has_attrs = finding->attrs_level != PROLLY_LEVEL_NONE;
	const uint8_t *key;
	size_t len;

	*out_is = has_attrs || finding->deleted;
	if (!*out_is)
		return true;
	key = prolly_scan_get_key(self->scan, &len);
	start_edit(self, PROLLY_RECORD_ENTRY, key, len);
	if (!has_attrs)
		return true;
	if (!prolly_finding_get_attr_record(finding, &record, error))
		return false;
	if (prolly_finding_exists(finding)) {
		if (finding->attrs_level > finding->value_level)
			record.attrs.has &= ~(uint32_t)PROLLY_ATTR_TIMES;
		record.sequence = self->folding->sequence;
	}
	prolly_attr_record_append(self->value, &record);
	return true;
}

/* Its times as they are now: the commit is no change to a directory. */
static bool settle_directory(const AttrEdits *self, ProllyAttrRecord *record, GError **error)
{
	const ProllyPlace place = {get_ns(self), self->records.rest, self->records.rest_len};

	if (!prolly_working_settle_directory(self->folding->working, &place, record, error))
		return false;
	record->attrs.has |= PROLLY_ATTR_TIMES;
	record->sequence = self->folding->sequence;
	return true;
}

static bool edit_directory(AttrEdits *self, GError **error)
{
	g_auto(ProllyAttrRecord) record = {0};
	size_t len;
	const uint8_t *data = prolly_db_iter_get_value(self->records.now, &len);

	start_edit(self, PROLLY_RECORD_DIRECTORY, self->records.rest, self->records.rest_len);
	if (len == 0)
		return prolly_throw(error, PROLLY_ERROR_CORRUPT,
				    "a staged record of a directory is damaged");
	if (!prolly_attr_record_parse(data + 1, len - 1, &record, error))
		return false;
	if ((record.attrs.has & PROLLY_ATTR_MTIME) && !settle_directory(self, &record, error))
		return false;
	if (record.attrs.has)
		prolly_attr_record_append(self->value, &record);
	return true;
}

static void edit_links(AttrEdits *self)
{
	size_t len;
	const uint8_t *data = prolly_db_iter_get_value(self->records.now, &len);

	start_edit(self, PROLLY_RECORD_LINKS, self->records.rest, self->records.rest_len);
	if (len)
		g_byte_array_append(self->value, data, (guint)len);
}

/* *OUT_MORE false: the phase has no edit left. */
static bool next_in_phase(AttrEdits *self, bool *out_more, GError **error)
{
	bool is_edit = false;

	while (self->phase == PHASE_ENTRIES && !is_edit) {
		if (!step_scan(self->scan, &self->scan_started, error))
			return false;
		*out_more = prolly_scan_is_valid(self->scan);
		if (!*out_more)
			return true;
		if (!edit_entry(self, &is_edit, error))
			return false;
	}
	if (is_edit)
		return true;
	if (!records_next(&self->records, error))
		return false;
	*out_more = self->records.now != NULL;
	if (!*out_more)
		return true;
	if (self->phase == PHASE_DIRECTORIES)
		return edit_directory(self, error);
	edit_links(self);
	return true;
}

/* The ProllyEditFunc of the attributes' tree. */
static bool next_attr(void *data, ProllyEdit *out_edit, bool *out_end, GError **error)
{
	AttrEdits *self = data;
	bool more = false;

	while (self->ns < self->folding->names->len && !more) {
		if (!self->in_phase)
			enter_phase(self);
		if (!next_in_phase(self, &more, error))
			return false;
		/* With its namespace before it, a key may be too long for a tree: what it is made
		 * with then ends here. */
		if (more && self->key->len > PROLLY_KEY_MAX)
			more = false;
		else if (!more && !next_phase(self))
			break;
	}
	*out_end = !more;
	if (more)
		*out_edit =
			(ProllyEdit){self->key->data, self->key->len,
				     self->value->len ? self->value->data : NULL, self->value->len};
	return true;
}

static bool fold_attributes(const Folding *self, ProllyTree *out_tree, GError **error)
{
	const ProllyTree *old = &self->working->state->attributes;
	AttrEdits edits = {.folding = self};
	bool ok;

	if (!has_entry_records(self)) {
		*out_tree = *old;
		return true;
	}
	edits.key = g_byte_array_new();
	edits.value = g_byte_array_new();
	ok = prolly_tree_apply(get_context(self), old->keys ? old : NULL, next_attr, &edits,
			       out_tree, error);
	leave_phase(&edits);
	g_byte_array_unref(edits.key);
	g_byte_array_unref(edits.value);
	return ok;
}

/* ---- The fold ---------------------------------------------------------------------------- */

static bool run(Folding *self, GPtrArray *present, bool with_attrs, ProllyFold *fold,
		GError **error)
{
	for (guint i = 0; i < present->len; i++) {
		if (!fold_namespace(self, g_ptr_array_index(present, i), fold, error))
			return false;
	}
	count_removed(self, present, fold);
	fold->attributes = self->working->state->attributes;
	return !with_attrs || fold_attributes(self, &fold->attributes, error);
}

bool prolly_fold_run(const ProllyWorking *working, uint64_t sequence, bool with_attrs,
		     ProllyFold *out_fold, GError **error)
{
	Folding self = {.working = working, .sequence = sequence};
	g_auto(ProllyFold) fold = {0};
	g_autoptr(GPtrArray) present = NULL;
	bool ok;

	if (!list_names(&self, &present, error))
		return false;
	fold.namespaces = g_array_new(FALSE, FALSE, sizeof(ProllyNamespace));
	g_array_set_clear_func(fold.namespaces, prolly_namespace_clear);
	ok = find_recorded(&self, error) && run(&self, present, with_attrs, &fold, error);
	g_ptr_array_unref(self.names);
	g_array_unref(self.recorded);
	if (!ok)
		return false;
	*out_fold = fold;
	fold = (ProllyFold){0};
	return true;
}
