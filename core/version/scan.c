/* SPDX-License-Identifier: Apache-2.0 */

/*
 * scan: the keys of a namespace in order, a merge of the generations' iterators and the committed
 * tree's cursor.
 *
 * Each source stands at its next key. The present key is the least of them; every source that
 * stands there gives its record, newest first, to one finding (working.c), and they all step on
 * when the scan does. There are seldom more than three sources, so the least is found by looking at
 * each. Committed attributes are a cursor of their own over the attributes' tree, which has the
 * entries of a namespace in the same order: it walks along, and seeks when it falls behind.
 *
 * A run of tombstones costs its length: whoever asks for a directory's emptiness over and over
 * keeps a hint (hints.c) rather than scanning again.
 */

#include "version/working-private.h"

#include <string.h>

/* Steps that the cursor of attributes takes before it seeks instead. */
#define WALK_MAX 8

typedef struct {
	ProllyDbIter *iter;
	int level;
	bool valid;
	const uint8_t *key; /* without the record key's head */
	size_t key_len;
} Source;

struct ProllyScan {
	const ProllyWorking *working;
	char *ns;
	GByteArray *prefix;
	unsigned flags;
	bool valid;
	const uint8_t *key;
	size_t key_len;
	ProllyFinding finding;
	GByteArray *seek_key;

	ProllyCursor *cursor; /* of the committed tree; NULL: there is none */
	bool cursor_valid;    /* and still within the prefix */
	const uint8_t *cursor_key;
	size_t cursor_key_len;
	ProllyCursor *attrs_cursor; /* of the attributes' tree; NULL: not asked for */
	size_t attrs_head;          /* bytes of its keys before the entry's key */

	size_t n_sources;
	Source sources[]; /* newest first */
};

/* ---- Lifecycle --------------------------------------------------------------------------- */

ProllyScan *prolly_scan_new(const ProllyWorking *working, const char *ns, const void *prefix,
			    size_t prefix_len, int first, unsigned flags)
{
	const ProllyTreeContext *context = &working->repo->context;
	const ProllyTree *tree = prolly_state_find_namespace(working->state, ns);
	int n = working->branch ? (int)working->state->generations->len : 0;
	size_t n_sources = n > first ? (size_t)(n - first) : 0;
	ProllyScan *scan = g_malloc0(sizeof(*scan) + n_sources * sizeof(Source));

	scan->working = working;
	scan->ns = g_strdup(ns);
	scan->prefix = g_byte_array_new();
	g_byte_array_append(scan->prefix, prefix, (guint)prefix_len);
	scan->flags = flags;
	scan->seek_key = g_byte_array_new();
	scan->n_sources = n_sources;
	for (size_t i = 0; i < n_sources; i++) {
		scan->sources[i].level = first + (int)i;
		scan->sources[i].iter = prolly_staged_iter_new(
			working, first + (int)i, PROLLY_RECORD_ENTRY, ns, prefix, prefix_len);
	}
	if (flags & PROLLY_SCAN_COMMITTED && tree && tree->keys)
		scan->cursor = prolly_cursor_new(context, tree);
	if (flags & PROLLY_SCAN_ATTRS && working->branch && working->state->attributes.keys)
		scan->attrs_cursor = prolly_cursor_new(context, &working->state->attributes);
	prolly_finding_init(&scan->finding);
	return scan;
}

void prolly_scan_free(ProllyScan *scan)
{
	if (!scan)
		return;
	for (size_t i = 0; i < scan->n_sources; i++)
		prolly_db_iter_free(scan->sources[i].iter);
	prolly_cursor_free(scan->cursor);
	prolly_cursor_free(scan->attrs_cursor);
	prolly_finding_clear(&scan->finding);
	g_byte_array_unref(scan->prefix);
	g_byte_array_unref(scan->seek_key);
	g_free(scan->ns);
	g_free(scan);
}

/* ---- Sources ----------------------------------------------------------------------------- */

static bool load_source(Source *source, GError **error)
{
	const char *ns;
	const uint8_t *data;
	size_t len;

	source->valid = prolly_db_iter_is_valid(source->iter);
	if (!source->valid)
		return prolly_db_iter_check(source->iter, error);
	data = prolly_db_iter_get_key(source->iter, &len);
	if (!prolly_record_key_split(data, len, &ns, &source->key, &source->key_len))
		return prolly_throw(error, PROLLY_ERROR_CORRUPT, "a staged key is damaged");
	return true;
}

static void load_cursor(ProllyScan *scan)
{
	scan->cursor_valid = scan->cursor && prolly_cursor_is_valid(scan->cursor);
	if (!scan->cursor_valid)
		return;
	scan->cursor_key = prolly_cursor_get_key(scan->cursor, &scan->cursor_key_len);
	scan->cursor_valid = scan->cursor_key_len >= scan->prefix->len &&
			     (!scan->prefix->len ||
			      !memcmp(scan->cursor_key, scan->prefix->data, scan->prefix->len));
}

static bool source_is_at(const Source *source, const uint8_t *key, size_t len)
{
	return source->valid && source->key_len == len && !memcmp(source->key, key, len);
}

static bool cursor_is_at_key(const ProllyScan *scan)
{
	return scan->cursor_valid && scan->cursor_key_len == scan->key_len &&
	       !memcmp(scan->cursor_key, scan->key, scan->key_len);
}

/* ---- The present key --------------------------------------------------------------------- */

static bool find_least(ProllyScan *scan)
{
	const uint8_t *key = scan->cursor_valid ? scan->cursor_key : NULL;
	size_t len = scan->cursor_valid ? scan->cursor_key_len : 0;

	for (size_t i = 0; i < scan->n_sources; i++) {
		const Source *source = &scan->sources[i];

		if (source->valid &&
		    (!key || prolly_bytes_compare(source->key, source->key_len, key, len) < 0)) {
			key = source->key;
			len = source->key_len;
		}
	}
	scan->key = key;
	scan->key_len = len;
	return key != NULL;
}

static int compare_attrs_cursor(ProllyScan *scan)
{
	size_t len;
	const uint8_t *key = prolly_cursor_get_key(scan->attrs_cursor, &len);

	return prolly_bytes_compare(key, len, scan->seek_key->data, scan->seek_key->len);
}

static bool add_committed_attrs(ProllyScan *scan, GError **error)
{
	ProllyCursor *cursor = scan->attrs_cursor;
	ProllyFinding *finding = &scan->finding;

	g_byte_array_set_size(scan->seek_key, 0);
	prolly_attr_key_append(scan->seek_key, PROLLY_RECORD_ENTRY, scan->ns, scan->key,
			       scan->key_len);
	for (int i = 0; i < WALK_MAX && prolly_cursor_is_valid(cursor); i++) {
		int order = compare_attrs_cursor(scan);

		if (order == 0) {
			finding->attrs_level = PROLLY_LEVEL_COMMITTED;
			finding->attrs = prolly_cursor_get_value(cursor, &finding->attrs_len);
		}
		if (order >= 0)
			return true;
		if (!prolly_cursor_next(cursor, error))
			return false;
	}
	if (!prolly_cursor_seek(cursor, scan->seek_key->data, scan->seek_key->len, error))
		return false;
	if (prolly_cursor_is_valid(cursor) && compare_attrs_cursor(scan) == 0) {
		finding->attrs_level = PROLLY_LEVEL_COMMITTED;
		finding->attrs = prolly_cursor_get_value(cursor, &finding->attrs_len);
	}
	return true;
}

/* Gathers what the sources say of the present key. */
static bool resolve(ProllyScan *scan, GError **error)
{
	ProllyFinding *finding = &scan->finding;
	ProllyPlace place = {scan->ns, scan->key, scan->key_len};

	prolly_finding_clear(finding);
	prolly_finding_init(finding);
	for (size_t i = 0; i < scan->n_sources; i++) {
		Source *source = &scan->sources[i];
		const uint8_t *data;
		size_t len;

		if (!source_is_at(source, scan->key, scan->key_len))
			continue;
		data = prolly_db_iter_get_value(source->iter, &len);
		if (!prolly_finding_add(finding, source->level, data, len, error))
			return false;
	}
	if (!finding->value_known && cursor_is_at_key(scan)) {
		finding->value_known = true;
		finding->value_level = PROLLY_LEVEL_COMMITTED;
		finding->stored = prolly_cursor_get_value(scan->cursor, &finding->stored_len);
	}
	if (!finding->attrs_known && scan->attrs_cursor && !add_committed_attrs(scan, error))
		return false;
	if (prolly_finding_is_marker(finding))
		return prolly_working_drop_void_marker(scan->working, &place, finding, error);
	return true;
}

static bool step(ProllyScan *scan, GError **error)
{
	bool at_cursor = cursor_is_at_key(scan);
	const uint8_t *key = scan->key;
	size_t len = scan->key_len;
	bool has_own = false;

	/* The key lies in one of the sources: that one goes last. */
	for (size_t i = 0; i < scan->n_sources; i++) {
		Source *source = &scan->sources[i];

		if (!source_is_at(source, key, len))
			continue;
		if (source->key == key) {
			has_own = true;
			continue;
		}
		prolly_db_iter_next(source->iter);
		if (!load_source(source, error))
			return false;
	}
	if (at_cursor && scan->cursor_key != key) {
		if (!prolly_cursor_next(scan->cursor, error))
			return false;
		load_cursor(scan);
		at_cursor = false;
	}
	for (size_t i = 0; has_own && i < scan->n_sources; i++) {
		Source *source = &scan->sources[i];

		if (source->valid && source->key == key) {
			prolly_db_iter_next(source->iter);
			return load_source(source, error);
		}
	}
	if (!at_cursor)
		return true;
	if (!prolly_cursor_next(scan->cursor, error))
		return false;
	load_cursor(scan);
	return true;
}

/* On to the first key, from where the sources stand, that the caller wants to see. */
static bool settle(ProllyScan *scan, GError **error)
{
	while (find_least(scan)) {
		if (!resolve(scan, error))
			return false;
		if (prolly_finding_exists(&scan->finding) || scan->flags & PROLLY_SCAN_DELETED) {
			scan->valid = true;
			return true;
		}
		if (!step(scan, error))
			return false;
	}
	scan->valid = false;
	return true;
}

/* ---- Moving ------------------------------------------------------------------------------ */

bool prolly_scan_seek(ProllyScan *scan, const void *key, size_t len, GError **error)
{
	if (prolly_bytes_compare(key, len, scan->prefix->data, scan->prefix->len) < 0) {
		key = scan->prefix->data;
		len = scan->prefix->len;
	}
	for (size_t i = 0; i < scan->n_sources; i++) {
		Source *source = &scan->sources[i];
		uint64_t generation =
			g_array_index(scan->working->state->generations, uint64_t, source->level);
		g_auto(ProllyRecordKey) record_key = {0};

		prolly_record_key_init(&record_key, scan->working->branch->id, generation,
				       PROLLY_RECORD_ENTRY, scan->ns, key, len);
		prolly_db_iter_seek(source->iter, record_key.data, record_key.len);
		if (!load_source(source, error))
			return false;
	}
	if (scan->cursor && !prolly_cursor_seek(scan->cursor, key, len, error))
		return false;
	load_cursor(scan);
	return settle(scan, error);
}

bool prolly_scan_next(ProllyScan *scan, GError **error)
{
	if (!scan->valid)
		return true;
	return step(scan, error) && settle(scan, error);
}

bool prolly_scan_is_valid(const ProllyScan *scan)
{
	return scan->valid;
}

const uint8_t *prolly_scan_get_key(const ProllyScan *scan, size_t *out_len)
{
	*out_len = scan->key_len;
	return scan->key;
}

const ProllyFinding *prolly_scan_get_finding(const ProllyScan *scan)
{
	return &scan->finding;
}

const uint8_t *prolly_scan_get_committed(const ProllyScan *scan, size_t *out_len)
{
	if (!cursor_is_at_key(scan))
		return NULL;
	return prolly_cursor_get_value(scan->cursor, out_len);
}
