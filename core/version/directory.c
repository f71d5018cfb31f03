/* SPDX-License-Identifier: Apache-2.0 */

/*
 * directory: the entries of a directory, from a pinned state.
 *
 * A directory's keys are a range of the namespace's. The lister walks a scan over it and asks
 * keypath.h what each key is there: an entry itself, or in a subdirectory, which is listed once and
 * whose keys are skipped by one seek. So a directory costs its entries, whatever lies below them.
 *
 * A key that is a directory too has another name (NAME%prolly-key), so before a key is listed the
 * lister must know whether keys start with it and a '/'. All keys that start with it follow it
 * directly: if the next one does not, there is none, which is known for the price of looking one
 * key ahead. Only if the next one goes on with a byte before '/' does it take a seek to know.
 *
 * A branch's directory has its namespaces first, then the unnamed namespace's keys.
 *
 * A position is the key that the scan stands at (or the namespace), and the level of long names
 * that was listed last (keypath.h: it is an entry once, though other keys lie between those in it).
 */

#include "version/working-private.h"

#include <string.h>

typedef enum {
	PHASE_NAMESPACES,
	PHASE_START, /* of the keys; the scan was not positioned yet */
	PHASE_KEYS,
	PHASE_END,
} Phase;

struct ProllyDirectory {
	ProllyView *view;
	ProllyPin pin;
	char *ns;
	ProllyKeyDir dir;
	GByteArray *prefix; /* what dir points to */
	bool with_attrs;
	bool without_times;    /* of keys; with attributes */
	GPtrArray *namespaces; /* of a branch's directory; else NULL */
	guint next_namespace;
	Phase phase;
	ProllyScan *scan;
	bool has_more;
	GByteArray *last_more;
	GByteArray *key; /* of the entry that was given last */
	ProllyEntry entry;
	ProllyAttrs attrs;
};

/* ---- Lifecycle --------------------------------------------------------------------------- */

bool prolly_directory_open_kind(ProllyView *view, const char *ns, const ProllyKeyDir *dir,
				bool with_attrs, ProllyDirectory **out_directory, GError **error)
{
	g_autoptr(ProllyDirectory) self = g_new0(ProllyDirectory, 1);
	unsigned flags = PROLLY_SCAN_COMMITTED | (with_attrs ? PROLLY_SCAN_ATTRS : 0);

	self->view = prolly_view_ref(view);
	prolly_pin_init(&self->pin, view);
	self->ns = g_strdup(ns);
	self->prefix = g_byte_array_new();
	if (dir->prefix_len)
		g_byte_array_append(self->prefix, dir->prefix, (guint)dir->prefix_len);
	self->dir = (ProllyKeyDir){dir->kind, self->prefix->data, self->prefix->len};
	self->with_attrs = with_attrs;
	self->last_more = g_byte_array_new();
	self->key = g_byte_array_new();
	self->phase = dir->kind == PROLLY_KEYDIR_BRANCH ? PHASE_NAMESPACES : PHASE_START;
	self->scan = prolly_scan_new(&self->pin.working, self->ns, self->prefix->data,
				     self->prefix->len, 0, flags);
	if (dir->kind == PROLLY_KEYDIR_BRANCH) {
		if (!prolly_working_list_namespaces(&self->pin.working, &self->namespaces, error))
			return false;
		g_ptr_array_remove_index(self->namespaces, 0); /* the unnamed one */
	}
	*out_directory = g_steal_pointer(&self);
	return true;
}

static ProllyKeyDirKind get_kind(const ProllyPlace *place)
{
	if (!prolly_namespace_has_directories(place->ns))
		return place->key_len ? PROLLY_KEYDIR_LONG : PROLLY_KEYDIR_BRANCH;
	return !place->key_len || place->key[place->key_len - 1] == '/' ? PROLLY_KEYDIR_KEYS
									: PROLLY_KEYDIR_MORE;
}

bool prolly_directory_open(ProllyView *view, const ProllyPlace *place, bool with_attrs,
			   ProllyDirectory **out_directory, GError **error)
{
	ProllyKeyDir dir = {get_kind(place), place->key, place->key_len};

	return prolly_directory_open_kind(view, place->ns, &dir, with_attrs, out_directory, error);
}

void prolly_directory_free(ProllyDirectory *self)
{
	if (!self)
		return;
	prolly_entry_clear(&self->entry);
	prolly_attrs_clear(&self->attrs);
	prolly_scan_free(self->scan);
	g_clear_pointer(&self->namespaces, g_ptr_array_unref);
	g_byte_array_unref(self->prefix);
	g_byte_array_unref(self->last_more);
	g_byte_array_unref(self->key);
	prolly_pin_clear(&self->pin);
	prolly_view_unref(self->view);
	g_free(self->ns);
	g_free(self);
}

void prolly_directory_set_times(ProllyDirectory *self, bool wanted)
{
	self->without_times = !wanted;
}

/* ---- Subdirectories ---------------------------------------------------------------------- */

static bool fill_directory(ProllyDirectory *self, const ProllyPlace *place, ProllyDirent *out,
			   GError **error)
{
	const ProllyWorking *working = &self->pin.working;
	g_auto(ProllyAttrRecord) record = {0};

	if (!prolly_working_find_directory(working, place, &record, NULL, error))
		return false;
	prolly_attrs_clear(&self->attrs);
	if (self->with_attrs) {
		if (!prolly_working_get_directory_attrs(working, place, &record, &self->attrs,
							error))
			return false;
	} else {
		prolly_transaction_get_attrs(place, &record, true, 1, &self->attrs);
	}
	out->is_directory = true;
	out->key = place->key;
	out->key_len = place->key_len;
	out->entry = NULL;
	out->attrs = self->attrs;
	return true;
}

static bool next_namespace(ProllyDirectory *self, ProllyDirent *out, GError **error)
{
	const char *ns = g_ptr_array_index(self->namespaces, self->next_namespace);

	prolly_keypath_namespace_to_name(ns, out->name);
	if (!fill_directory(self, &(ProllyPlace){ns, NULL, 0}, out, error))
		return false;
	self->next_namespace++;
	return true;
}

/* The subdirectory of LEN bytes of the present key; on to behind it, or for a level of long names
 * (whose keys are not all there is that begins so) to the next key. */
static bool give_directory(ProllyDirectory *self, const ProllyKeyEntry *found, ProllyDirent *out,
			   GError **error)
{
	ProllyPlace place = {self->ns, self->key->data, found->prefix_len};
	g_autoptr(GByteArray) behind = NULL;

	memcpy(out->name, found->name, found->name_len + 1);
	if (!fill_directory(self, &place, out, error))
		return false;
	if (found->type == PROLLY_ENTRY_MORE) {
		self->has_more = true;
		g_byte_array_set_size(self->last_more, 0);
		g_byte_array_append(self->last_more, self->key->data, (guint)found->prefix_len);
		return prolly_scan_next(self->scan, error);
	}
	behind = g_byte_array_new();
	if (prolly_keypath_get_prefix_end(self->key->data, found->prefix_len, behind))
		return prolly_scan_seek(self->scan, behind->data, behind->len, error);
	self->phase = PHASE_END;
	return true;
}

static bool is_last_more(const ProllyDirectory *self, const ProllyKeyEntry *found)
{
	return self->has_more && self->last_more->len == found->prefix_len &&
	       (found->prefix_len == 0 ||
		!memcmp(self->last_more->data, self->key->data, found->prefix_len));
}

/* ---- Keys -------------------------------------------------------------------------------- */

static bool has_namespace(const ProllyDirectory *self, const char *ns)
{
	guint low = 0, high = self->namespaces ? self->namespaces->len : 0;

	while (low < high) {
		guint middle = low + (high - low) / 2;
		int order = strcmp(g_ptr_array_index(self->namespaces, middle), ns);

		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* Is there a directory of the name that the key just read has? The scan stands behind it. */
static bool find_rival(ProllyDirectory *self, bool *out_has, GError **error)
{
	const GByteArray *key = self->key;
	char ns[PROLLY_NAMESPACE_MAX + 1];
	ProllyPlace rival = {.ns = self->ns};
	const uint8_t *next;
	size_t len;

	*out_has = false;
	if (!prolly_namespace_has_directories(self->ns)) {
		*out_has = prolly_keypath_get_rival_namespace(key->data, key->len, ns) &&
			   has_namespace(self, ns);
		return true;
	}
	if (!prolly_scan_is_valid(self->scan))
		return true;
	next = prolly_scan_get_key(self->scan, &len);
	/* (The empty key's bytes may be NULL.) */
	if (len <= key->len || (key->len > 0 && memcmp(next, key->data, key->len) != 0) ||
	    next[key->len] > '/')
		return true;
	*out_has = next[key->len] == '/';
	if (*out_has)
		return true;
	g_byte_array_append(self->key, (const uint8_t *)"/", 1);
	rival.key = self->key->data;
	rival.key_len = self->key->len;
	if (!prolly_working_has_keys(&self->pin.working, &rival, out_has, error))
		return false;
	g_byte_array_set_size(self->key, self->key->len - 1);
	return true;
}

/* The present key as an entry, before the scan goes on. */
static bool take_entry(ProllyDirectory *self, GError **error)
{
	const ProllyFinding *finding = prolly_scan_get_finding(self->scan);
	ProllyPlace place = {self->ns, self->key->data, self->key->len};

	prolly_entry_clear(&self->entry);
	memset(&self->entry, 0, sizeof(self->entry));
	if (!prolly_finding_to_entry(finding, &self->entry, error))
		return false;
	if (!self->with_attrs || prolly_finding_is_marker(finding))
		return true;
	return (self->without_times ? prolly_working_get_identity : prolly_working_get_attrs)(
		&self->pin.working, &place, finding, &self->entry.attrs, error);
}

/* An empty directory, by its marker. */
static bool give_marker(ProllyDirectory *self, const ProllyKeyEntry *found, ProllyDirent *out,
			GError **error)
{
	ProllyPlace place = {.ns = self->ns};

	g_byte_array_append(self->key, (const uint8_t *)"/", 1);
	place.key = self->key->data;
	place.key_len = self->key->len;
	memcpy(out->name, found->name, found->name_len + 1);
	return fill_directory(self, &place, out, error);
}

/* A key that is an entry itself. *OUT_GIVEN false: it is a marker of a directory that has keys. */
static bool give_key(ProllyDirectory *self, ProllyDirent *out, bool *out_given, GError **error)
{
	ProllyKeyEntry found;
	bool rival;

	if (!take_entry(self, error) || !prolly_scan_next(self->scan, error) ||
	    !find_rival(self, &rival, error))
		return false;
	prolly_keypath_get_entry(&self->dir, self->key->data, self->key->len, rival, &found);
	*out_given = true;
	if (self->entry.kind == PROLLY_KIND_DIRECTORY) {
		*out_given = !rival;
		return rival || give_marker(self, &found, out, error);
	}
	memcpy(out->name, found.name, found.name_len + 1);
	out->is_directory = false;
	out->key = self->key->data;
	out->key_len = self->key->len;
	out->entry = &self->entry;
	return true;
}

/* The entry that the present key is or is in, if it is one to be given. */
static bool look_at_key(ProllyDirectory *self, ProllyDirent *out, bool *out_given, GError **error)
{
	ProllyKeyEntry found;
	const uint8_t *key;
	size_t len;

	key = prolly_scan_get_key(self->scan, &len);
	g_byte_array_set_size(self->key, 0);
	if (len)
		g_byte_array_append(self->key, key, (guint)len);
	*out_given = false;
	prolly_keypath_get_entry(&self->dir, self->key->data, len, false, &found);
	if (found.type == PROLLY_ENTRY_KEY)
		return give_key(self, out, out_given, error);
	if (found.type == PROLLY_ENTRY_NONE ||
	    (found.type == PROLLY_ENTRY_MORE && is_last_more(self, &found)))
		return prolly_scan_next(self->scan, error);
	*out_given = true;
	return give_directory(self, &found, out, error);
}

bool prolly_directory_next(ProllyDirectory *self, ProllyDirent *out_dirent, bool *out_end,
			   GError **error)
{
	bool given = false;

	if (self->phase == PHASE_NAMESPACES) {
		if (self->next_namespace < self->namespaces->len) {
			*out_end = false;
			return next_namespace(self, out_dirent, error);
		}
		self->phase = PHASE_START;
	}
	if (self->phase == PHASE_START) {
		if (!prolly_scan_seek(self->scan, self->prefix->data, self->prefix->len, error))
			return false;
		self->phase = PHASE_KEYS;
	}
	while (!given && self->phase == PHASE_KEYS && prolly_scan_is_valid(self->scan))
		if (!look_at_key(self, out_dirent, &given, error))
			return false;
	*out_end = !given;
	return true;
}

/* ---- Positions --------------------------------------------------------------------------- */

GBytes *prolly_directory_tell(ProllyDirectory *self)
{
	GByteArray *position = g_byte_array_new();
	Phase phase = self->phase;
	size_t len = 0;
	const void *key = NULL;

	if (phase == PHASE_NAMESPACES && self->next_namespace < self->namespaces->len) {
		key = g_ptr_array_index(self->namespaces, self->next_namespace);
		len = strlen(key);
	} else if (phase == PHASE_NAMESPACES) {
		phase = PHASE_START;
	} else if (phase == PHASE_KEYS && prolly_scan_is_valid(self->scan)) {
		key = prolly_scan_get_key(self->scan, &len);
	} else if (phase == PHASE_KEYS) {
		phase = PHASE_END;
	}
	prolly_append_u8(position, (uint8_t)phase);
	prolly_append_string(position, key, len);
	prolly_append_u8(position, self->has_more);
	prolly_append_string(position, self->last_more->data, self->last_more->len);
	return g_byte_array_free_to_bytes(position);
}

static void seek_namespace(ProllyDirectory *self, const uint8_t *name, size_t len)
{
	self->next_namespace = 0;
	while (self->next_namespace < self->namespaces->len) {
		const char *ns = g_ptr_array_index(self->namespaces, self->next_namespace);

		if (prolly_bytes_compare(ns, strlen(ns), name, len) >= 0)
			break;
		self->next_namespace++;
	}
}

bool prolly_directory_seek(ProllyDirectory *self, GBytes *position, GError **error)
{
	ProllyReader reader;
	size_t len, more_len;
	const uint8_t *key, *more;
	uint8_t phase, has_more;

	prolly_reader_init(&reader, g_bytes_get_data(position, NULL), g_bytes_get_size(position));
	phase = prolly_reader_u8(&reader);
	key = prolly_reader_string(&reader, &len);
	has_more = prolly_reader_u8(&reader);
	more = prolly_reader_string(&reader, &more_len);
	if (!prolly_reader_at_end(&reader) || phase > PHASE_END ||
	    (phase == PHASE_NAMESPACES && !self->namespaces))
		return prolly_throw(error, PROLLY_ERROR_INVALID, "no position in this directory");
	self->phase = phase;
	self->has_more = has_more;
	g_byte_array_set_size(self->last_more, 0);
	if (more_len)
		g_byte_array_append(self->last_more, more, (guint)more_len);
	if (phase == PHASE_NAMESPACES)
		seek_namespace(self, key, len);
	return phase != PHASE_KEYS || prolly_scan_seek(self->scan, key, len, error);
}
