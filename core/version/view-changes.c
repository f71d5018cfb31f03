/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes: what leads from one view to another, by namespace and key.
 *
 * In each namespace three streams of keys are merged: the difference of the two committed trees,
 * which never reads what they share, and what is staged on either side. Only keys in one of them
 * can differ, so the cost is what differs and what is staged: from a branch's head to its working
 * state, the staged entries alone. A key that is in a stream is then looked at on both sides, since
 * a staged entry may hide a committed difference, or equal what is committed.
 *
 * Memory: the streams' paths and one key with its two entries.
 */
#include "version/working-private.h"

#include <string.h>

typedef struct {
	ProllyView *view;
	ProllyPin pin;
	ProllyScan *scan; /* what is staged in the namespace; NULL: a commit's view, or none open */
} Side;

struct ProllyChanges {
	Side a, b;
	GPtrArray *names; /* of char *: namespaces to look at */
	guint next_name;
	const char *ns; /* the one that is open; NULL: none */
	uint8_t *prefix;
	size_t prefix_len;
	ProllyTree empty;
	ProllyDiff *diff;
	ProllyChange change; /* of diff, if has_change */
	bool has_change;
	GByteArray *key;
	ProllyEntry old_entry, new_entry;
};

/* ---- Lifecycle --------------------------------------------------------------------------- */

/* Adds the names of both sides to self->names, in order and once each. */
static bool list_names(ProllyChanges *self, GError **error)
{
	g_autoptr(GPtrArray) a = NULL, b = NULL;

	if (!prolly_working_list_namespaces(&self->a.pin.working, &a, error) ||
	    !prolly_working_list_namespaces(&self->b.pin.working, &b, error))
		return false;
	g_ptr_array_extend_and_steal(a, g_steal_pointer(&b));
	g_ptr_array_sort(a, prolly_strings_compare);
	for (guint i = 0; i < a->len; i++) {
		const char *name = g_ptr_array_index(a, i);

		if (i == 0 || strcmp(name, g_ptr_array_index(a, i - 1)) != 0)
			g_ptr_array_add(self->names, g_strdup(name));
	}
	g_ptr_array_unref(g_steal_pointer(&a));
	return true;
}

static void side_init(Side *side, ProllyView *view)
{
	side->view = prolly_view_ref(view);
	prolly_pin_init(&side->pin, view);
}

static void side_clear(Side *side)
{
	prolly_scan_free(side->scan);
	prolly_pin_clear(&side->pin);
	prolly_view_unref(side->view);
}

bool prolly_changes_new(ProllyView *a, ProllyView *b, const char *ns, const void *prefix,
			size_t prefix_len, ProllyChanges **out_changes, GError **error)
{
	g_autoptr(ProllyChanges) self = g_new0(ProllyChanges, 1);

	side_init(&self->a, a);
	side_init(&self->b, b);
	self->names = g_ptr_array_new_with_free_func(g_free);
	self->key = g_byte_array_new();
	self->prefix = g_memdup2(prefix, prefix_len);
	self->prefix_len = prefix_len;
	if (!prolly_tree_init_empty(&self->b.pin.working.repo->context, &self->empty, error))
		return false;
	if (ns)
		g_ptr_array_add(self->names, g_strdup(ns));
	else if (!list_names(self, error))
		return false;
	*out_changes = g_steal_pointer(&self);
	return true;
}

void prolly_changes_free(ProllyChanges *changes)
{
	if (!changes)
		return;
	prolly_diff_free(changes->diff);
	prolly_entry_clear(&changes->old_entry);
	prolly_entry_clear(&changes->new_entry);
	g_byte_array_unref(changes->key);
	g_ptr_array_unref(changes->names);
	g_free(changes->prefix);
	side_clear(&changes->a);
	side_clear(&changes->b);
	g_free(changes);
}

/* ---- One namespace ----------------------------------------------------------------------- */

/* The part of the prefix that every key that is asked for begins with. */
static size_t range_length(const ProllyChanges *self)
{
	size_t len = self->prefix_len;

	return len && self->prefix[len - 1] == '/' ? len - 1 : len;
}

static bool is_asked_for(const ProllyChanges *self, const uint8_t *key, size_t len)
{
	size_t range = range_length(self);

	if (len == range)
		return true; /* in the range, so it is the prefix without its last '/', or all of it
			      */
	return len >= self->prefix_len &&
	       (self->prefix_len == range || key[range] == self->prefix[range]);
}

static bool open_scan(ProllyChanges *self, Side *side, GError **error)
{
	const ProllyWorking *working = &side->pin.working;

	if (!working->branch)
		return true;
	side->scan = prolly_scan_new(working, self->ns, self->prefix, range_length(self), 0,
				     PROLLY_SCAN_DELETED);
	return prolly_scan_seek(side->scan, self->prefix, range_length(self), error);
}

static bool step_diff(ProllyChanges *self, GError **error)
{
	bool end;

	if (!prolly_diff_next(self->diff, &self->change, &end, error))
		return false;
	self->has_change = !end;
	return true;
}

static bool open_namespace(ProllyChanges *self, const char *ns, GError **error)
{
	const ProllyTree *a = prolly_state_find_namespace(self->a.pin.working.state, ns);
	const ProllyTree *b = prolly_state_find_namespace(self->b.pin.working.state, ns);
	size_t range = range_length(self), upper_len;
	g_autofree uint8_t *upper = g_malloc(range + 1);

	self->ns = ns;
	upper_len = prolly_db_prefix_end(self->prefix, range, upper);
	self->diff = prolly_diff_new(&self->b.pin.working.repo->context, a ? a : &self->empty,
				     b ? b : &self->empty, self->prefix, range,
				     upper_len ? upper : NULL, upper_len);
	return step_diff(self, error) && open_scan(self, &self->a, error) &&
	       open_scan(self, &self->b, error);
}

static void close_namespace(ProllyChanges *self)
{
	g_clear_pointer(&self->diff, prolly_diff_free);
	g_clear_pointer(&self->a.scan, prolly_scan_free);
	g_clear_pointer(&self->b.scan, prolly_scan_free);
	self->has_change = false;
	self->ns = NULL;
}

/* ---- One key ----------------------------------------------------------------------------- */

static const uint8_t *get_scan_key(const Side *side, size_t *out_len)
{
	if (!side->scan || !prolly_scan_is_valid(side->scan))
		return NULL;
	return prolly_scan_get_key(side->scan, out_len);
}

static void take_smaller(const uint8_t *key, size_t len, const uint8_t **best, size_t *best_len)
{
	if (!key || (*best && prolly_bytes_compare(key, len, *best, *best_len) >= 0))
		return;
	*best = key;
	*best_len = len;
}

/* Copies the least key of the streams into self->key; false if they are at their ends. */
static bool find_key(ProllyChanges *self)
{
	const uint8_t *best = self->has_change ? self->change.key : NULL, *key;
	size_t best_len = self->has_change ? self->change.key_len : 0, len = 0;

	key = get_scan_key(&self->a, &len);
	take_smaller(key, len, &best, &best_len);
	key = get_scan_key(&self->b, &len);
	take_smaller(key, len, &best, &best_len);
	if (!best)
		return false;
	g_byte_array_set_size(self->key, 0);
	if (best_len)
		g_byte_array_append(self->key, best, (guint)best_len);
	return true;
}

static bool is_at_key(const ProllyChanges *self, const uint8_t *key, size_t len)
{
	return key && prolly_bytes_compare(key, len, self->key->data, self->key->len) == 0;
}

/* What SIDE has at the key; OUT_ENTRY->stored is NULL if there is nothing. */
static bool load_entry(ProllyChanges *self, Side *side, ProllyEntry *out_entry, GError **error)
{
	ProllyPlace place = {self->ns, self->key->data, self->key->len};
	const ProllyFinding *staged = NULL;
	g_auto(ProllyFinding) finding;
	const uint8_t *key;
	size_t len = 0;

	prolly_entry_clear(out_entry);
	*out_entry = (ProllyEntry){0};
	prolly_finding_init(&finding);
	key = get_scan_key(side, &len);
	if (is_at_key(self, key, len)) {
		const ProllyFinding *found = prolly_scan_get_finding(side->scan);

		staged = found->value_known ? found : NULL;
	}
	if (!staged) {
		if (!prolly_working_find(&side->pin.working, &place, 0, false, &finding, error))
			return false;
		staged = &finding;
	}
	return !prolly_finding_exists(staged) || prolly_finding_to_entry(staged, out_entry, error);
}

static bool step_scan(ProllyChanges *self, Side *side, GError **error)
{
	size_t len = 0;
	const uint8_t *key = get_scan_key(side, &len);

	return !is_at_key(self, key, len) || prolly_scan_next(side->scan, error);
}

/* Moves the streams that stand at the key past it. */
static bool step_streams(ProllyChanges *self, GError **error)
{
	bool at_change =
		self->has_change && is_at_key(self, self->change.key, self->change.key_len);

	return (!at_change || step_diff(self, error)) && step_scan(self, &self->a, error) &&
	       step_scan(self, &self->b, error);
}

static bool entries_equal(const ProllyEntry *a, const ProllyEntry *b)
{
	if (!a->stored || !b->stored)
		return a->stored == b->stored;
	return !a->extents && !b->extents && g_bytes_equal(a->stored, b->stored);
}

/* ---- The stream -------------------------------------------------------------------------- */

static void fill_change(ProllyChanges *self, ProllyViewChange *out_change)
{
	bool has_old = self->old_entry.stored, has_new = self->new_entry.stored;

	*out_change = (ProllyViewChange){
		.place = {self->ns, self->key->data, self->key->len},
		.kind = !has_old   ? PROLLY_CHANGE_ADDED
			: !has_new ? PROLLY_CHANGE_DELETED
				   : PROLLY_CHANGE_MODIFIED,
		.old_entry = has_old ? &self->old_entry : NULL,
		.new_entry = has_new ? &self->new_entry : NULL,
	};
}

/* Goes to the next key in the open namespace that differs; *OUT_FOUND false at its end. */
static bool next_in_namespace(ProllyChanges *self, bool *out_found, GError **error)
{
	while (find_key(self)) {
		bool wanted = is_asked_for(self, self->key->data, self->key->len);

		if (wanted && (!load_entry(self, &self->a, &self->old_entry, error) ||
			       !load_entry(self, &self->b, &self->new_entry, error)))
			return false;
		if (!step_streams(self, error))
			return false;
		if (wanted && !entries_equal(&self->old_entry, &self->new_entry)) {
			*out_found = true;
			return true;
		}
	}
	*out_found = false;
	return true;
}

bool prolly_changes_next(ProllyChanges *changes, ProllyViewChange *out_change, bool *out_end,
			 GError **error)
{
	bool found = false;

	while (!found) {
		if (!changes->ns) {
			*out_end = changes->next_name == changes->names->len;
			if (*out_end)
				return true;
			if (!open_namespace(changes,
					    g_ptr_array_index(changes->names, changes->next_name),
					    error))
				return false;
			changes->next_name++;
		}
		if (!next_in_namespace(changes, &found, error))
			return false;
		if (!found)
			close_namespace(changes);
	}
	*out_end = false;
	fill_change(changes, out_change);
	return true;
}
