/* SPDX-License-Identifier: Apache-2.0 */

/*
 * paths: PATH arguments, read exactly as the mount reads paths, and keys printed as paths.
 *
 * A name can mean a key or a directory of keys. As in the mount, a directory that exists wins, and
 * the key is then NAME%prolly-key; that name means nothing where there is no such directory. So
 * what an argument means is a question to a view, and the answer is a ProllyTarget.
 *
 * To ask the view for the directory of each key that is printed would be several look-ups: 13 us of
 * the 14 that a key of `ls -r` took, of 200,000 that are staged, and three times as many with five
 * such loads before. Keys below that directory begin with the key, and come next. So a namer has a
 * cursor go ahead of the keys it is asked for, and asks the view where the next key begins so.
 */

#include "command/command-private.h"

#include <string.h>

#define KEY_SUFFIX "%prolly-key"
#define STEPS_MAX  8 /* of a namer's cursor, before it seeks */

struct ProllyNamer {
	ProllyView *view;
	char *ns;                /* nullable */
	ProllyViewCursor *ahead; /* of NS: on the first key after LAST */
	GByteArray *last;        /* that was asked for */
};

/* ---- Arguments --------------------------------------------------------------------------- */

/* ARGUMENT as a path from the branch's root. (transfer full) */
static char *make_absolute(ProllyCommand *command, const char *argument)
{
	if (*argument == '/' || !command->cwd || !*command->cwd)
		return g_strdup(argument);
	return g_strconcat(command->cwd, "/", argument, NULL);
}

bool prolly_command_parse_path(ProllyCommand *command, const char *argument, ProllyPath *out_path,
			       GError **error)
{
	g_autofree char *path = make_absolute(command, argument);
	return prolly_path_parse(path, out_path, error);
}

bool prolly_command_parse_namespace(const char *argument, char out_name[PROLLY_NAMESPACE_MAX + 1],
				    GError **error)
{
	const char *start = argument + strspn(argument, "/");
	size_t len = strlen(start);
	while (len && start[len - 1] == '/')
		len--;
	if (len == 1 && *start == '.') {
		*out_name = 0;
		return true;
	}
	if (!len || !prolly_keypath_namespace_from_name(start, len, out_name))
		return prolly_throw(error, PROLLY_ERROR_INVALID, "%s: not the name of a namespace",
				    argument);
	return true;
}

static bool is_key_name(const char *argument)
{
	return g_str_has_suffix(argument, KEY_SUFFIX);
}

static ProllyPlace make_place(const char *ns, GBytes *bytes)
{
	ProllyPlace place = {.ns = ns};
	place.key = g_bytes_get_data(bytes, &place.key_len);
	return place;
}

/* Does the directory that the path can be exist in VIEW? */
static bool find_directory(ProllyView *view, ProllyTarget *target, GError **error)
{
	const ProllyPath *path = &target->path;
	ProllyPlace place = make_place(path->dir_namespace, path->prefix);
	bool exists = path->dir_kind == PROLLY_KEYDIR_BRANCH;

	target->is_branch = exists;
	if (!exists && !prolly_view_get_directory(view, &place, NULL, &exists, NULL, error))
		return false;
	if (exists)
		target->directory = place;
	return true;
}

/* Is there a directory of the name that the key of PATH has without its suffix? */
static bool has_rival(ProllyView *view, const ProllyPath *path, bool *out_has, GError **error)
{
	g_autoptr(GByteArray) prefix = g_byte_array_new();
	size_t len = 0;
	const uint8_t *key = g_bytes_get_data(path->key, &len);

	if (!*path->key_namespace) {
		char name[PROLLY_NAMESPACE_MAX + 1];
		*out_has = false;
		return !prolly_keypath_get_rival_namespace(key, len, name) ||
		       prolly_view_has_namespace(view, name, out_has, error);
	}
	g_byte_array_append(prefix, key, (guint)len);
	g_byte_array_append(prefix, (const uint8_t *)"/", 1);
	ProllyPlace place = {path->key_namespace, prefix->data, prefix->len};
	return prolly_view_get_directory(view, &place, NULL, out_has, NULL, error);
}

bool prolly_target_init(ProllyCommand *command, ProllyView *view, const char *argument,
			ProllyTarget *out_target, GError **error)
{
	g_auto(ProllyTarget) target = {0};

	if (!prolly_command_parse_path(command, argument, &target.path, error))
		return false;
	if (target.path.prefix && !find_directory(view, &target, error))
		return false;
	bool is_key = target.path.key && !target.directory.ns;
	if (is_key && is_key_name(argument) && !has_rival(view, &target.path, &is_key, error))
		return false;
	if (is_key)
		target.key = make_place(target.path.key_namespace, target.path.key);
	*out_target = target;
	target = (ProllyTarget){0};
	return true;
}

bool prolly_target_init_key(ProllyCommand *command, ProllyView *view, const char *argument,
			    ProllyTarget *out_target, GError **error)
{
	g_auto(ProllyTarget) target = {0};

	if (!prolly_target_init(command, view, argument, &target, error))
		return false;
	if (target.directory.ns)
		return prolly_throw(error, PROLLY_ERROR_IS_DIR, "%s: is a directory", argument);
	*out_target = target;
	target = (ProllyTarget){0};
	return true;
}

void prolly_target_clear(ProllyTarget *target)
{
	prolly_path_clear(&target->path);
}

bool prolly_command_parse_key(ProllyCommand *command, const char *argument, ProllyPath *out_path,
			      ProllyPlace *out_place, GError **error)
{
	if (!prolly_command_parse_path(command, argument, out_path, error))
		return false;
	if (!out_path->key)
		return prolly_throw(error, PROLLY_ERROR_IS_DIR, "%s: a directory, not a key",
				    argument);
	g_clear_pointer(&out_path->prefix, g_bytes_unref);
	out_place->ns = out_path->key_namespace;
	out_place->key = g_bytes_get_data(out_path->key, &out_place->key_len);
	return true;
}

/* ---- Ranges ------------------------------------------------------------------------------ */

static ProllyRange make_range(const char *ns, GBytes *bytes, bool is_key)
{
	ProllyRange range = {.ns = ns, .is_key = is_key};
	range.prefix = g_bytes_get_data(bytes, &range.prefix_len);
	return range;
}

/* The one or two ranges that PATH, whatever it is, means: a key, and what is below a directory. They
 * borrow from PATH. Returns how many. */
static unsigned get_ranges(const ProllyPath *path, ProllyRange out_ranges[2])
{
	unsigned n = 0;
	if (path->prefix && path->dir_kind == PROLLY_KEYDIR_BRANCH) {
		out_ranges[0] = (ProllyRange){0};
		return 1;
	}
	/* A directory's range has the key of the directory's name in it, in the same namespace. */
	bool is_covered = path->prefix && g_strcmp0(path->dir_namespace, path->key_namespace) == 0;
	if (path->key && !is_covered)
		out_ranges[n++] = make_range(path->key_namespace, path->key, true);
	if (path->prefix)
		out_ranges[n++] = make_range(path->dir_namespace, path->prefix, false);
	return n;
}

/* Is all of OTHER in RANGE? */
static bool range_covers(const ProllyRange *range, const ProllyRange *other)
{
	size_t len = range->prefix_len;

	if (!range->ns || !other->ns || strcmp(range->ns, other->ns) != 0)
		return !range->ns;
	if (range->is_key && (!other->is_key || other->prefix_len != len))
		return false;
	/* The key of the directory's name is in its range. */
	if (!range->is_key && other->is_key && other->prefix_len + 1 == len)
		len--;
	return other->prefix_len >= len &&
	       prolly_bytes_compare(other->prefix, len, range->prefix, len) == 0;
}

static void add_range(GArray *ranges, const ProllyRange *range)
{
	for (guint i = 0; i < ranges->len; i++)
		if (range_covers(&g_array_index(ranges, ProllyRange, i), range))
			return;
	for (guint i = ranges->len; i-- > 0;)
		if (range_covers(range, &g_array_index(ranges, ProllyRange, i)))
			g_array_remove_index(ranges, i);
	g_array_append_vals(ranges, range, 1);
}

static void clear_path(void *path)
{
	prolly_path_clear(path);
}

void prolly_selection_init(ProllySelection *selection)
{
	selection->ranges = g_array_new(FALSE, FALSE, sizeof(ProllyRange));
	selection->paths = g_array_new(FALSE, FALSE, sizeof(ProllyPath));
	g_array_set_clear_func(selection->paths, clear_path);
}

void prolly_selection_clear(ProllySelection *selection)
{
	g_clear_pointer(&selection->ranges, g_array_unref);
	g_clear_pointer(&selection->paths, g_array_unref);
}

bool prolly_selection_add(ProllySelection *selection, ProllyCommand *command, const char *argument,
			  GError **error)
{
	ProllyRange ranges[2];
	ProllyPath path = {0};

	if (!prolly_command_parse_path(command, argument, &path, error))
		return false;
	g_array_append_val(selection->paths, path);
	unsigned n = get_ranges(&path, ranges);
	for (unsigned i = 0; i < n; i++)
		add_range(selection->ranges, &ranges[i]);
	return true;
}

/* ---- Printing ---------------------------------------------------------------------------- */

char *prolly_command_dup_path(ProllyView *view, const ProllyPlace *place, ProllyKind kind,
			      GError **error)
{
	bool also_directory = false;
	if (kind == PROLLY_KIND_DIRECTORY) { /* a marker: its key is the prefix without the '/' */
		g_autoptr(GByteArray) prefix = g_byte_array_new();

		g_byte_array_append(prefix, place->key, (guint)place->key_len);
		g_byte_array_append(prefix, (const uint8_t *)"/", 1);
		return prolly_path_from_directory(place->ns, prefix->data, prefix->len);
	}
	g_autoptr(GBytes) key = g_bytes_new_static(place->key, place->key_len);
	ProllyPath path = {.key = key, .key_namespace = (char *)place->ns};
	if (!has_rival(view, &path, &also_directory, error))
		return NULL;
	return prolly_path_from_key(place->ns, place->key, place->key_len, also_directory);
}

ProllyNamer *prolly_namer_new(ProllyView *view)
{
	ProllyNamer *namer = g_new0(ProllyNamer, 1);

	namer->view = view ? prolly_view_ref(view) : NULL;
	namer->last = g_byte_array_new();
	return namer;
}

void prolly_namer_free(ProllyNamer *namer)
{
	if (!namer)
		return;
	prolly_view_cursor_free(namer->ahead);
	prolly_view_unref(namer->view);
	g_byte_array_unref(namer->last);
	g_free(namer->ns);
	g_free(namer);
}

static bool is_past(const ProllyNamer *namer, const ProllyPlace *place)
{
	size_t len;
	const uint8_t *key;

	if (!prolly_view_cursor_is_valid(namer->ahead))
		return true;
	key = prolly_view_cursor_get_key(namer->ahead, &len);
	return prolly_bytes_compare(key, len, place->key, place->key_len) > 0;
}

/* The cursor of PLACE's namespace, on the first key that is not before PLACE's, or some before that. */
static bool approach(ProllyNamer *namer, const ProllyPlace *place, GError **error)
{
	const bool is_here = namer->ahead && g_strcmp0(namer->ns, place->ns) == 0;

	if (is_here && prolly_bytes_compare(namer->last->data, namer->last->len, place->key,
					    place->key_len) <= 0) {
		for (unsigned i = 0; i < STEPS_MAX; i++)
			if (is_past(namer, place))
				return true;
			else if (!prolly_view_cursor_next(namer->ahead, error))
				return false;
	}
	if (!is_here) {
		g_clear_pointer(&namer->ahead, prolly_view_cursor_free);
		g_free(namer->ns);
		namer->ns = g_strdup(place->ns);
		if (!prolly_view_cursor_new(namer->view, place->ns, "", 0, false, &namer->ahead,
					    error))
			return false;
	}
	return prolly_view_cursor_seek(namer->ahead, place->key, place->key_len, error);
}

/* Does the key after PLACE's begin with it? */
static bool begins_next(ProllyNamer *namer, const ProllyPlace *place, bool *out_does,
			GError **error)
{
	const uint8_t *key;
	size_t len;

	if (!approach(namer, place, error))
		return false;
	while (!is_past(namer, place))
		if (!prolly_view_cursor_next(namer->ahead, error))
			return false;
	g_byte_array_set_size(namer->last, 0);
	g_byte_array_append(namer->last, place->key, (guint)place->key_len);
	*out_does = false;
	if (!prolly_view_cursor_is_valid(namer->ahead))
		return true;
	key = prolly_view_cursor_get_key(namer->ahead, &len);
	*out_does = prolly_bytes_compare(key, MIN(len, place->key_len), place->key,
					 place->key_len) == 0;
	return true;
}

char *prolly_namer_dup_path(ProllyNamer *namer, const ProllyPlace *place, ProllyKind kind,
			    GError **error)
{
	bool may_be_covered = true;

	/* Of keys without a namespace it is a namespace that has the name. */
	if (kind != PROLLY_KIND_DIRECTORY && *place->ns &&
	    !begins_next(namer, place, &may_be_covered, error))
		return NULL;
	return may_be_covered ? prolly_command_dup_path(namer->view, place, kind, error)
			      : prolly_path_from_key(place->ns, place->key, place->key_len, false);
}

void prolly_json_add_place(GString *json, const ProllyPlace *place, const char *path)
{
	prolly_json_add_text(json, "namespace", place->ns);
	prolly_json_add_bytes(json, "key", place->key, place->key_len);
	prolly_json_add_text(json, "path", path);
}
