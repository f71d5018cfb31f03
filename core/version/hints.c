/* SPDX-License-Identifier: Apache-2.0 */

/*
 * hints: is this the last child of its directory?
 *
 * Removing a key has to know whether its directory is empty then, since an empty one is an entry of
 * its own. Counting children at each removal makes rm -r quadratic, and so does looking for a first
 * live key from the directory's start, past a growing run of tombstones. So a branch remembers, for
 * the directories that were touched last, the first few children:
 *
 * H1. Every live child whose name is not after `upto` is in `names`; with `at_end`, every child.
 * H2. What is in `names` is a live child.
 *
 * Both hold because every change goes through here while write_lock is held. When too few are left,
 * the scan goes on behind `upto`, never from the start: a child is looked at once, so emptying a
 * directory costs a constant for each child, in whatever order (in ascending order READ_AHEAD
 * children a scan; in another the names before `upto` are simply still there).
 *
 * A child is a name: of a key the rest after the prefix, of a subdirectory with its '/'. What lies
 * deeper does not matter, since a subdirectory stays a child until somebody removes it. An empty
 * one is found by its marker, whose key is its name without the '/': it is passed by a scan before
 * names that sort before it. So of a subdirectory H1 holds as soon as `upto` is not before its
 * marker; one that becomes empty is added, since a scan that has not come to its keys may be past
 * its marker's place.
 *
 * Hints are never needed, only fast: at DIRECTORIES_MAX all are forgotten, and so are they when the
 * branch changes other than by an edit. A live count in each node of the tree (design.md, section
 * 7) would answer the same for what is committed, but not for what is staged over it.
 */

#include "version/working-private.h"

#include <string.h>

#define DIRECTORIES_MAX 1024
#define READ_AHEAD      32
#define NAMES_MAX       (2 * READ_AHEAD)
/* A removal takes one: with two, one is left. */
#define ENOUGH 2

typedef struct {
	GPtrArray *names; /* of GBytes *, ascending */
	GBytes *upto;     /* NULL: nothing was read yet */
	bool at_end;
} Hint;

struct ProllyHints {
	GHashTable *directories; /* GBytes (namespace, NUL, prefix) -> Hint * */
};

static Hint *hint_new(void)
{
	Hint *hint = g_new0(Hint, 1);

	hint->names = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	return hint;
}

static void hint_free(void *data)
{
	Hint *hint = data;

	g_ptr_array_unref(hint->names);
	g_clear_pointer(&hint->upto, g_bytes_unref);
	g_free(hint);
}

ProllyHints *prolly_hints_new(void)
{
	ProllyHints *hints = g_new0(ProllyHints, 1);

	hints->directories = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
						   (GDestroyNotify)g_bytes_unref, hint_free);
	return hints;
}

void prolly_hints_free(ProllyHints *hints)
{
	if (!hints)
		return;
	g_hash_table_unref(hints->directories);
	g_free(hints);
}

void prolly_hints_clear(ProllyHints *hints)
{
	g_hash_table_remove_all(hints->directories);
}

static GBytes *make_key(const ProllyPlace *dir)
{
	size_t ns_len = strlen(dir->ns) + 1;
	uint8_t *key = g_malloc(ns_len + dir->key_len);

	memcpy(key, dir->ns, ns_len);
	if (dir->key_len)
		memcpy(key + ns_len, dir->key, dir->key_len);
	return g_bytes_new_take(key, ns_len + dir->key_len);
}

static Hint *find_hint(ProllyHints *hints, const ProllyPlace *dir)
{
	g_autoptr(GBytes) key = make_key(dir);

	return g_hash_table_lookup(hints->directories, key);
}

/* ---- Names ------------------------------------------------------------------------------- */

static int compare_name(GBytes *name, const void *other, size_t other_len)
{
	size_t len;
	const void *data = g_bytes_get_data(name, &len);

	return prolly_bytes_compare(data, len, other, other_len);
}

/* The index of the first name that is not before NAME. */
static guint find_name(const Hint *hint, const void *name, size_t len, bool *out_equal)
{
	guint low = 0, high = hint->names->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;

		if (compare_name(g_ptr_array_index(hint->names, middle), name, len) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*out_equal = low < hint->names->len &&
		     !compare_name(g_ptr_array_index(hint->names, low), name, len);
	return low;
}

static void set_upto(Hint *hint, GBytes *name)
{
	g_clear_pointer(&hint->upto, g_bytes_unref);
	hint->upto = g_bytes_ref(name);
}

/* Would a scan that goes on behind `upto` find the child NAME? */
static bool is_behind(const Hint *hint, const uint8_t *name, size_t len)
{
	if (len && name[len - 1] == '/')
		len--; /* where its marker is, if it has one */
	return !hint->upto || compare_name(hint->upto, name, len) < 0;
}

static void forget_last_half(Hint *hint)
{
	guint keep = hint->names->len / 2;

	set_upto(hint, g_ptr_array_index(hint->names, keep - 1));
	hint->at_end = false;
	for (guint i = hint->names->len; i > keep; i--) {
		size_t len;
		const uint8_t *name = g_bytes_get_data(hint->names->pdata[i - 1], &len);

		if (is_behind(hint, name, len))
			g_ptr_array_remove_index(hint->names, i - 1);
	}
}

/* Takes CHILD. */
static void insert_name(Hint *hint, GBytes *child)
{
	size_t len;
	const void *name = g_bytes_get_data(child, &len);
	bool equal;
	guint at = find_name(hint, name, len, &equal);

	if (equal)
		g_bytes_unref(child);
	else
		g_ptr_array_insert(hint->names, (gint)at, child);
}

void prolly_hints_add(ProllyHints *hints, const ProllyPlace *dir, const void *name, size_t len)
{
	Hint *hint = find_hint(hints, dir);

	if (!hint || (!hint->at_end && is_behind(hint, name, len)))
		return;
	insert_name(hint, g_bytes_new(name, len));
	if (hint->names->len > NAMES_MAX)
		forget_last_half(hint);
}

void prolly_hints_remove(ProllyHints *hints, const ProllyPlace *dir, const void *name, size_t len)
{
	Hint *hint = find_hint(hints, dir);
	bool equal;
	guint at;

	if (!hint)
		return;
	at = find_name(hint, name, len, &equal);
	if (equal)
		g_ptr_array_remove_index(hint->names, at);
}

bool prolly_hints_has_children(ProllyHints *hints, const ProllyPlace *dir)
{
	Hint *hint = find_hint(hints, dir);

	return hint && hint->names->len;
}

/* ---- Reading ----------------------------------------------------------------------------- */

/* Bytes of the child's name that KEY (longer than the prefix) is or is in. */
static size_t get_child_len(const ProllyPlace *dir, const uint8_t *name, size_t len)
{
	const uint8_t *slash =
		prolly_namespace_has_directories(dir->ns) ? memchr(name, '/', len) : NULL;

	return slash ? (size_t)(slash - name) + 1 : len;
}

static bool is_directory(const ProllyPlace *dir, const uint8_t *name, size_t len)
{
	return len && name[len - 1] == '/' && prolly_namespace_has_directories(dir->ns);
}

/* To the first key behind the child NAME, with all that is in it. */
static bool seek_behind(ProllyScan *scan, const ProllyPlace *dir, const uint8_t *name, size_t len,
			GError **error)
{
	g_autofree uint8_t *key = g_malloc(dir->key_len + len + 1);
	size_t key_len = dir->key_len + len;

	if (dir->key_len)
		memcpy(key, dir->key, dir->key_len);
	memcpy(key + dir->key_len, name, len);
	if (is_directory(dir, name, len))
		key[key_len - 1]++;
	else
		key[key_len++] = 0;
	return prolly_scan_seek(scan, key, key_len, error);
}

/* Is the scan's key the marker of a subdirectory of DIR, not of one that lies deeper? */
static bool is_own_marker(ProllyScan *scan, const ProllyPlace *dir)
{
	size_t len;
	const uint8_t *name = prolly_scan_get_key(scan, &len) + dir->key_len;

	len -= dir->key_len;
	return prolly_finding_is_marker(prolly_scan_get_finding(scan)) &&
	       get_child_len(dir, name, len) == len;
}

/* (transfer full) The child that the scan's key is or is in. */
static GBytes *get_child(ProllyScan *scan, const ProllyPlace *dir, bool is_marker)
{
	size_t len;
	const uint8_t *name = prolly_scan_get_key(scan, &len) + dir->key_len;
	g_autoptr(GByteArray) child = g_byte_array_new();

	len = get_child_len(dir, name, len - dir->key_len);
	if (len)
		g_byte_array_append(child, name, (guint)len);
	if (is_marker)
		g_byte_array_append(child, (const uint8_t *)"/", 1);
	return g_byte_array_free_to_bytes(g_steal_pointer(&child));
}

/* Reads one child, and on to the next key that may be another's. */
static bool read_child(Hint *hint, ProllyScan *scan, const ProllyPlace *dir, GError **error)
{
	bool is_marker = is_own_marker(scan, dir);
	GBytes *child = get_child(scan, dir, is_marker);
	size_t len;
	const uint8_t *name = g_bytes_get_data(child, &len);
	g_autoptr(GBytes) read = g_bytes_new_from_bytes(child, 0, is_marker ? len - 1 : len);
	bool is_passed = !is_marker && is_directory(dir, name, len);

	set_upto(hint, read);
	insert_name(hint, child);
	name = g_bytes_get_data(read, &len);
	return is_passed ? seek_behind(scan, dir, name, len, error) : prolly_scan_next(scan, error);
}

static bool read_on(Hint *hint, const ProllyWorking *working, const ProllyPlace *dir,
		    GError **error)
{
	g_autoptr(ProllyScan) scan =
		prolly_scan_new(working, dir->ns, dir->key, dir->key_len, 0, PROLLY_SCAN_COMMITTED);
	size_t len = 0;
	const uint8_t *upto = hint->upto ? g_bytes_get_data(hint->upto, &len) : NULL;

	if (upto ? !seek_behind(scan, dir, upto, len, error)
		 : !prolly_scan_seek(scan, dir->key, dir->key_len, error))
		return false;
	for (int i = 0; i < READ_AHEAD && prolly_scan_is_valid(scan); i++)
		if (!read_child(hint, scan, dir, error))
			return false;
	hint->at_end = !prolly_scan_is_valid(scan);
	return true;
}

bool prolly_hints_ensure(ProllyHints *hints, const ProllyWorking *working, const ProllyPlace *dir,
			 GError **error)
{
	Hint *hint = find_hint(hints, dir);

	if (!hint) {
		if (g_hash_table_size(hints->directories) >= DIRECTORIES_MAX)
			prolly_hints_clear(hints);
		hint = hint_new();
		g_hash_table_insert(hints->directories, make_key(dir), hint);
	}
	if (hint->names->len >= ENOUGH || hint->at_end)
		return true;
	if (read_on(hint, working, dir, error))
		return true;
	prolly_hints_clear(hints);
	return false;
}
