/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directory: the entries of a directory, in key order, out of a cursor over the keys that start
 * with its prefix.
 *
 * A key without a '/' after the prefix is an entry itself; one with a '/' means a subdirectory, and
 * the cursor goes on behind all the keys of that one, so a listing costs its entries, not what lies
 * below them. Names come from keypath.c. A branch's own directory has the keys of the unnamed
 * namespace and, after them, the namespaces.
 *
 * A key that is also a directory of keys has another name, so of each key it must be known whether
 * keys below it exist. Those start with the key, and all keys that do follow it at once: mostly the
 * next key does not, and nothing more need be asked. That is why the cursor is one key ahead of the
 * entry that was given out.
 *
 * A marker is shown as the directory it stands for (and left out should keys below it exist, which
 * show it anyway).
 *
 * A position holds the key that comes next, and what keypath.c asks a lister to remember, so it can
 * be sought in another cursor over the same state, or over a later one.
 */
#include "version/working-private.h"

#include <string.h>

typedef enum {
	PHASE_KEYS,
	PHASE_NAMESPACES,
} Phase;

struct ProllyDirectory {
	ProllyView *view;
	char *ns;
	GByteArray *prefix;
	ProllyKeyDir dir; /* borrows prefix */
	bool with_attrs;
	ProllyViewCursor *cursor;
	Phase phase;
	GPtrArray *namespaces; /* of char *; of a branch's directory, else NULL */
	guint next_namespace;
	GByteArray *more; /* prefix of the last level of a long component that was given out */
	bool has_more;
	GByteArray *key; /* of the entry given out */
	ProllyEntry entry;
	ProllyAttrs attrs;
	ProllyKeyEntry named;
};

/* ---- Lifecycle --------------------------------------------------------------------------- */

static ProllyKeyDirKind get_kind(const ProllyPlace *place)
{
	if (!prolly_namespace_has_directories(place->ns))
		return place->key_len ? PROLLY_KEYDIR_LONG : PROLLY_KEYDIR_BRANCH;
	if (place->key_len == 0 || place->key[place->key_len - 1] == '/')
		return PROLLY_KEYDIR_KEYS;
	return PROLLY_KEYDIR_MORE;
}

static bool list_namespaces(ProllyDirectory *self, GError **error)
{
	if (self->dir.kind != PROLLY_KEYDIR_BRANCH)
		return true;
	if (!prolly_view_list_namespaces(self->view, &self->namespaces, error))
		return false;
	/* The unnamed one, first if it is there, is no directory. */
	if (self->namespaces->len && ((char *)self->namespaces->pdata[0])[0] == '\0')
		self->next_namespace = 1;
	return true;
}

static bool open_kind(ProllyView *view, const ProllyPlace *place, ProllyKeyDirKind kind,
		      bool with_attrs, ProllyDirectory **out_directory, GError **error)
{
	g_autoptr(ProllyDirectory) self = g_new0(ProllyDirectory, 1);

	self->view = prolly_view_ref(view);
	self->ns = g_strdup(place->ns);
	self->prefix = g_byte_array_new();
	if (place->key_len)
		g_byte_array_append(self->prefix, place->key, (guint)place->key_len);
	self->dir = (ProllyKeyDir){kind, self->prefix->data, self->prefix->len};
	self->with_attrs = with_attrs;
	self->more = g_byte_array_new();
	self->key = g_byte_array_new();
	if (!list_namespaces(self, error) ||
	    !prolly_view_cursor_new(view, self->ns, self->prefix->data, self->prefix->len,
				    with_attrs, &self->cursor, error) ||
	    !prolly_view_cursor_seek(self->cursor, self->prefix->data, self->prefix->len, error))
		return false;
	*out_directory = g_steal_pointer(&self);
	return true;
}

bool prolly_directory_open(ProllyView *view, const ProllyPlace *place, bool with_attrs,
			   ProllyDirectory **out_directory, GError **error)
{
	return open_kind(view, place, get_kind(place), with_attrs, out_directory, error);
}

bool prolly_directory_open_long_keys(ProllyView *view, bool with_attrs,
				     ProllyDirectory **out_directory, GError **error)
{
	ProllyPlace place = {"", NULL, 0};

	return open_kind(view, &place, PROLLY_KEYDIR_LONG, with_attrs, out_directory, error);
}

static void forget_entry(ProllyDirectory *self)
{
	prolly_entry_clear(&self->entry);
	self->entry = (ProllyEntry){0};
	prolly_attrs_clear(&self->attrs);
	self->attrs = (ProllyAttrs){0};
}

void prolly_directory_free(ProllyDirectory *directory)
{
	if (!directory)
		return;
	forget_entry(directory);
	prolly_view_cursor_free(directory->cursor);
	g_clear_pointer(&directory->namespaces, g_ptr_array_unref);
	g_clear_pointer(&directory->prefix, g_byte_array_unref);
	g_clear_pointer(&directory->more, g_byte_array_unref);
	g_clear_pointer(&directory->key, g_byte_array_unref);
	g_free(directory->ns);
	prolly_view_unref(directory->view);
	g_free(directory);
}

/* ---- Entries ----------------------------------------------------------------------------- */

static void set_key(ProllyDirectory *self, const uint8_t *key, size_t len)
{
	g_byte_array_set_size(self->key, 0);
	if (len)
		g_byte_array_append(self->key, key, (guint)len);
}

static void fill(const ProllyDirectory *self, bool is_directory, ProllyDirent *out_dirent)
{
	memcpy(out_dirent->name, self->named.name, self->named.name_len + 1);
	out_dirent->is_directory = is_directory;
	out_dirent->key = self->key->data;
	out_dirent->key_len = self->key->len;
	out_dirent->entry = is_directory ? NULL : &self->entry;
	out_dirent->attrs = self->attrs;
}

/* Gives out the subdirectory of namespace NS whose prefix is self->key. */
static bool give_directory(ProllyDirectory *self, const char *ns, ProllyDirent *out_dirent,
			   GError **error)
{
	ProllyPlace place = {ns, self->key->data, self->key->len};
	bool exists;

	/* One that is gone from a live view by now is listed as it was: it is pinned here. */
	if (!prolly_view_get_directory(self->view, &place, &self->attrs, &exists, NULL, error))
		return false;
	if (!exists)
		self->attrs.ino = prolly_attr_derive_ino(ns, place.key, place.key_len, true, 0);
	fill(self, true, out_dirent);
	return true;
}

static bool give_namespace(ProllyDirectory *self, ProllyDirent *out_dirent, GError **error)
{
	const char *ns = g_ptr_array_index(self->namespaces, self->next_namespace);

	self->next_namespace++;
	self->named.name_len = prolly_keypath_namespace_to_name(ns, self->named.name);
	self->named.name[self->named.name_len] = '\0';
	set_key(self, NULL, 0);
	return give_directory(self, ns, out_dirent, error);
}

/* Does the cursor stand at a key that starts with self->key? It is past self->key. */
static bool has_successor(const ProllyDirectory *self, uint8_t *out_next)
{
	const uint8_t *key;
	size_t len;

	if (!prolly_view_cursor_is_valid(self->cursor))
		return false;
	key = prolly_view_cursor_get_key(self->cursor, &len);
	if (len <= self->key->len || memcmp(key, self->key->data, self->key->len) != 0)
		return false;
	*out_next = key[self->key->len];
	return true;
}

/* Is there a directory with the name of self->key, which the cursor has just left? */
static bool find_rival(ProllyDirectory *self, bool *out_is, GError **error)
{
	g_autofree uint8_t *prefix = NULL;
	char name[PROLLY_NAMESPACE_MAX + 1];
	ProllyPlace place = {self->ns, NULL, self->key->len + 1};
	uint8_t next;

	*out_is = false;
	if (!prolly_namespace_has_directories(self->ns)) {
		if (!prolly_keypath_get_rival_namespace(self->key->data, self->key->len, name))
			return true;
		return prolly_view_has_namespace(self->view, name, out_is, error);
	}
	if (!has_successor(self, &next) || next > '/')
		return true;
	*out_is = next == '/';
	if (*out_is)
		return true;
	prefix = g_malloc(place.key_len);
	memcpy(prefix, self->key->data, self->key->len);
	prefix[self->key->len] = '/';
	place.key = prefix;
	return prolly_view_get_directory(self->view, &place, NULL, out_is, NULL, error);
}

static bool keep_entry(ProllyDirectory *self, GError **error)
{
	const ProllyEntry *entry;

	if (!prolly_view_cursor_get_entry(self->cursor, &entry, error))
		return false;
	self->entry = *entry;
	g_bytes_ref(self->entry.stored);
	if (self->entry.attrs.xattrs)
		g_bytes_ref(self->entry.attrs.xattrs);
	return true;
}

/* The cursor stands at a key of this directory's own: gives it out, or (*OUT_GIVEN false) leaves
 * out a marker. */
static bool give_key(ProllyDirectory *self, ProllyDirent *out_dirent, bool *out_given,
		     GError **error)
{
	size_t len;
	const uint8_t *key = prolly_view_cursor_get_key(self->cursor, &len);
	bool rival;

	set_key(self, key, len);
	if (!keep_entry(self, error) || !prolly_view_cursor_next(self->cursor, error) ||
	    !find_rival(self, &rival, error))
		return false;
	*out_given = true;
	if (self->entry.kind == PROLLY_KIND_DIRECTORY) {
		*out_given = !rival;
		if (rival)
			return true;
		prolly_keypath_get_entry(&self->dir, self->key->data, self->key->len, false,
					 &self->named);
		prolly_append_u8(self->key, '/');
		return give_directory(self, self->ns, out_dirent, error);
	}
	prolly_keypath_get_entry(&self->dir, self->key->data, self->key->len, rival, &self->named);
	fill(self, false, out_dirent);
	return true;
}

/* The cursor stands at a key of the subdirectory self->named. */
static bool give_subdirectory(ProllyDirectory *self, ProllyDirent *out_dirent, GError **error)
{
	g_autoptr(GByteArray) end = g_byte_array_new();
	size_t len;
	const uint8_t *key = prolly_view_cursor_get_key(self->cursor, &len);

	set_key(self, key, self->named.prefix_len);
	if (!prolly_keypath_get_prefix_end(self->key->data, self->key->len, end))
		g_byte_array_append(end, (const uint8_t *)"\xff", 1);
	return prolly_view_cursor_seek(self->cursor, end->data, end->len, error) &&
	       give_directory(self, self->ns, out_dirent, error);
}

/* The same of a level of a long component, between whose keys others may lie. */
static bool give_more(ProllyDirectory *self, ProllyDirent *out_dirent, bool *out_given,
		      GError **error)
{
	size_t len;
	const uint8_t *key = prolly_view_cursor_get_key(self->cursor, &len);
	bool again = self->has_more && prolly_bytes_compare(self->more->data, self->more->len, key,
							    self->named.prefix_len) == 0;

	if (!again) {
		set_key(self, key, self->named.prefix_len);
		g_byte_array_set_size(self->more, 0);
		g_byte_array_append(self->more, self->key->data, self->key->len);
		self->has_more = true;
	}
	*out_given = !again;
	return prolly_view_cursor_next(self->cursor, error) &&
	       (again || give_directory(self, self->ns, out_dirent, error));
}

/* Looks at the cursor's key. */
static bool step(ProllyDirectory *self, ProllyDirent *out_dirent, bool *out_given, GError **error)
{
	size_t len;
	const uint8_t *key = prolly_view_cursor_get_key(self->cursor, &len);

	prolly_keypath_get_entry(&self->dir, key, len, false, &self->named);
	*out_given = true;
	switch (self->named.type) {
	case PROLLY_ENTRY_KEY:
		return give_key(self, out_dirent, out_given, error);
	case PROLLY_ENTRY_DIRECTORY:
		return give_subdirectory(self, out_dirent, error);
	case PROLLY_ENTRY_MORE:
		return give_more(self, out_dirent, out_given, error);
	default:
		*out_given = false;
		return prolly_view_cursor_next(self->cursor, error);
	}
}

bool prolly_directory_next(ProllyDirectory *directory, ProllyDirent *out_dirent, bool *out_end,
			   GError **error)
{
	bool given = false;

	while (!given && directory->phase == PHASE_KEYS) {
		forget_entry(directory);
		if (!prolly_view_cursor_is_valid(directory->cursor))
			directory->phase = PHASE_NAMESPACES;
		else if (!step(directory, out_dirent, &given, error))
			return false;
	}
	*out_end = false;
	if (given)
		return true;
	if (directory->namespaces && directory->next_namespace < directory->namespaces->len)
		return give_namespace(directory, out_dirent, error);
	*out_end = true;
	return true;
}

/* ---- Positions --------------------------------------------------------------------------- */

/* Phase; the next namespace's index; has_more, its prefix; the next key, if there is one. */
GBytes *prolly_directory_tell(ProllyDirectory *directory)
{
	bool valid =
		directory->phase == PHASE_KEYS && prolly_view_cursor_is_valid(directory->cursor);
	GByteArray *position = g_byte_array_new();
	const uint8_t *key;
	size_t len;

	prolly_append_u8(position, valid ? PHASE_KEYS : PHASE_NAMESPACES);
	prolly_append_varint(position, directory->next_namespace);
	prolly_append_u8(position, directory->has_more);
	prolly_append_string(position, directory->more->data, directory->more->len);
	if (valid) {
		key = prolly_view_cursor_get_key(directory->cursor, &len);
		prolly_append_string(position, key, len);
	}
	return g_byte_array_free_to_bytes(position);
}

bool prolly_directory_seek(ProllyDirectory *directory, GBytes *position, GError **error)
{
	ProllyReader reader;
	const uint8_t *bytes;
	size_t len;

	prolly_reader_init(&reader, g_bytes_get_data(position, NULL), g_bytes_get_size(position));
	directory->phase = prolly_reader_u8(&reader) == PHASE_KEYS ? PHASE_KEYS : PHASE_NAMESPACES;
	directory->next_namespace = (guint)prolly_reader_varint(&reader);
	directory->has_more = prolly_reader_u8(&reader);
	bytes = prolly_reader_string(&reader, &len);
	g_byte_array_set_size(directory->more, 0);
	if (len)
		g_byte_array_append(directory->more, bytes, (guint)len);
	if (directory->phase == PHASE_NAMESPACES)
		return true;
	bytes = prolly_reader_string(&reader, &len);
	return prolly_view_cursor_seek(directory->cursor, bytes, len, error);
}
