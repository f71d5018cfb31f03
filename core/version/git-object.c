/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The git objects of a commit, made in memory: their ids must be known before anything is written
 * (journal.c), and git's formats are simple enough to write.
 *
 * A commit's tree has one file for each namespace, named by prolly_keypath_namespace_to_file, of
 * these lines, in this order:
 *
 *   format 1
 *   root HEX      the root hash: what the namespace's contents are, whatever store holds them
 *   top HEX       the hash of the tree's top node: where this store finds them
 *   keys N
 *   bytes N
 *
 * The root follows from top and the store's parameters, so a file made under others is found out.
 * Files of other names are none of ours (somebody committed with git) and mean nothing.
 */
#include "version/repo-private.h"

#include <inttypes.h>
#include <string.h>

#include "version/keypath.h"

#define NAMESPACE_FORMAT 1
#define FILE_PREFIX      "ns-"
#define ZONE_MAX         (99 * 60 + 59) /* minutes: two digits for the hours */

bool prolly_git_object_hash(git_object_t type, GBytes *bytes, git_oid *out_oid, GError **error)
{
	gsize len;
	const void *data = g_bytes_get_data(bytes, &len);
	int result = git_odb_hash(out_oid, data, len, type);

	return result == 0 || prolly_throw_git(error, result, "hash a git object");
}

void prolly_git_object_free(ProllyGitObject *object)
{
	g_bytes_unref(object->bytes);
	g_free(object);
}

static bool add_object(GPtrArray *objects, git_object_t type, GString *text, git_oid *out_oid,
		       GError **error)
{
	ProllyGitObject *object;
	int result = git_odb_hash(out_oid, text->str, text->len, type);

	if (result < 0) {
		g_string_free(text, TRUE);
		return prolly_throw_git(error, result, "hash a git object");
	}
	object = g_new0(ProllyGitObject, 1);
	object->type = type;
	object->bytes = g_string_free_to_bytes(text);
	g_ptr_array_add(objects, object);
	return true;
}

/* ---- Namespaces -------------------------------------------------------------------------- */

static GString *format_namespace(const ProllyFormat *format, const ProllyTree *tree)
{
	GString *text = g_string_new(NULL);
	char hex[PROLLY_HASH_HEX_SIZE];
	ProllyHash root;

	prolly_tree_get_root(format, tree, &root);
	g_string_append_printf(text, "format %d\n", NAMESPACE_FORMAT);
	g_string_append_printf(text, "root %s\n", prolly_hash_to_hex(&root, hex));
	g_string_append_printf(text, "top %s\n", prolly_hash_to_hex(&tree->top, hex));
	g_string_append_printf(text, "keys %" PRIu64 "\n", tree->keys);
	g_string_append_printf(text, "bytes %" PRIu64 "\n", tree->bytes);
	return text;
}

/* The value of the line that begins with NAME and a space; *TEXT moves past it. NULL: another line.
 */
static char *take_line(char **text, const char *name)
{
	size_t len = strlen(name);
	char *value = *text + len + 1;
	char *end;

	if (strncmp(*text, name, len) != 0 || (*text)[len] != ' ')
		return NULL;
	end = strchr(value, '\n');
	if (!end)
		return NULL;
	*end = '\0';
	*text = end + 1;
	return value;
}

static bool take_number(char **text, const char *name, uint64_t *out_number)
{
	const char *line = take_line(text, name);

	return line && g_ascii_string_to_unsigned(line, 10, 0, UINT64_MAX, out_number, NULL);
}

static bool take_hash(char **text, const char *name, ProllyHash *out_hash)
{
	const char *line = take_line(text, name);

	return line && prolly_hash_from_hex(line, out_hash);
}

bool prolly_git_object_parse_namespace(const ProllyFormat *format, const char *text, size_t len,
				       ProllyTree *out_tree, GError **error)
{
	g_autofree char *copy = g_strndup(text, len);
	char *rest = copy;
	g_autoptr(GString) again = NULL;
	ProllyTree tree = {0};
	ProllyHash root;
	ProllyHash expected;
	uint64_t version;

	if (!take_number(&rest, "format", &version))
		return prolly_throw(error, PROLLY_ERROR_INVALID, "not a namespace");
	if (version != NAMESPACE_FORMAT)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "namespace of format %" PRIu64
				    ", this program knows formats up to %u",
				    version, (unsigned)NAMESPACE_FORMAT);
	if (!take_hash(&rest, "root", &root) || !take_hash(&rest, "top", &tree.top) ||
	    !take_number(&rest, "keys", &tree.keys) || !take_number(&rest, "bytes", &tree.bytes) ||
	    rest != copy + len)
		return prolly_throw(error, PROLLY_ERROR_INVALID, "not a namespace");

	prolly_tree_get_root(format, &tree, &expected);
	if (!prolly_hash_equal(&root, &expected))
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "its root was made under other parameters than this store's");
	again = format_namespace(format, &tree);
	if (again->len != len || memcmp(again->str, text, len) != 0)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "not a namespace: written in another way");
	*out_tree = tree;
	return true;
}

char *prolly_git_object_dup_namespace(const char *name)
{
	g_autofree char *decoded = NULL;
	g_autofree char *again = NULL;

	if (!g_str_has_prefix(name, FILE_PREFIX))
		return NULL;
	decoded = g_uri_unescape_string(name + strlen(FILE_PREFIX), NULL);
	if (!decoded || !prolly_keypath_check_namespace(decoded, NULL))
		return NULL;
	again = prolly_keypath_namespace_to_file(decoded);
	return strcmp(again, name) == 0 ? g_steal_pointer(&decoded) : NULL;
}

/* ---- Trees ------------------------------------------------------------------------------- */

typedef struct {
	char *name;
	git_oid oid;
} TreeEntry;

static void clear_tree_entry(gpointer data)
{
	g_free(((TreeEntry *)data)->name);
}

static int compare_tree_entries(gconstpointer a, gconstpointer b)
{
	return strcmp(((const TreeEntry *)a)->name, ((const TreeEntry *)b)->name);
}

/* Does PARENT (nullable) hold NS as it is? */
static bool parent_has(const GArray *parent, const ProllyNamespace *ns)
{
	for (guint i = 0; parent && i < parent->len; i++) {
		const ProllyNamespace *other = &g_array_index(parent, ProllyNamespace, i);

		if (strcmp(other->name, ns->name) == 0)
			return prolly_tree_equal(&other->tree, &ns->tree);
	}
	return false;
}

static bool add_namespace(const ProllyFormat *format, const ProllyNamespace *ns,
			  const GArray *parent, GPtrArray *objects, GArray *entries, GError **error)
{
	GString *text = format_namespace(format, &ns->tree);
	TreeEntry entry = {0};

	if (parent_has(parent, ns)) {
		int result = git_odb_hash(&entry.oid, text->str, text->len, GIT_OBJECT_BLOB);

		g_string_free(text, TRUE);
		if (result < 0)
			return prolly_throw_git(error, result, "hash namespace %s", ns->name);
	} else if (!add_object(objects, GIT_OBJECT_BLOB, text, &entry.oid, error)) {
		return false;
	}
	entry.name = prolly_keypath_namespace_to_file(ns->name);
	g_array_append_val(entries, entry);
	return true;
}

static bool build_tree(const ProllyFormat *format, const GArray *namespaces, const GArray *parent,
		       GPtrArray *objects, git_oid *out_oid, GError **error)
{
	g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(TreeEntry));
	GString *text;

	g_array_set_clear_func(entries, clear_tree_entry);
	for (guint i = 0; i < namespaces->len; i++)
		if (!add_namespace(format, &g_array_index(namespaces, ProllyNamespace, i), parent,
				   objects, entries, error))
			return false;
	g_array_sort(entries, compare_tree_entries);

	text = g_string_new(NULL);
	for (guint i = 0; i < entries->len; i++) {
		const TreeEntry *entry = &g_array_index(entries, TreeEntry, i);

		g_string_append_printf(text, "100644 %s", entry->name);
		g_string_append_c(text, '\0');
		g_string_append_len(text, (const char *)entry->oid.id, GIT_OID_RAWSZ);
	}
	return add_object(objects, GIT_OBJECT_TREE, text, out_oid, error);
}

/* ---- Commits ----------------------------------------------------------------------------- */

/* Whoever made SIGNATURE: nothing of it ends the line, or what it is a part of. */
static bool check_signature(const char *role, const ProllySignature *signature, GError **error)
{
	static const char BREAKS[] = "<>\n";

	if (strpbrk(signature->name, BREAKS) || strpbrk(signature->email, BREAKS))
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "%s: '<', '>' or a newline in a name or an address", role);
	if (signature->time < 0 || abs(signature->offset_minutes) > ZONE_MAX)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "%s: a date that git does not know: %" PRId64
				    ", %d minutes from UTC",
				    role, signature->time, signature->offset_minutes);
	return true;
}

bool prolly_git_object_append_signature(GString *text, const char *role,
					const ProllySignature *signature, GError **error)
{
	int offset = signature->offset_minutes;

	if (!check_signature(role, signature, error))
		return false;
	g_string_append_printf(text, "%s %s <%s> %" PRId64 " %c%02d%02d\n", role, signature->name,
			       signature->email, signature->time, offset < 0 ? '-' : '+',
			       abs(offset) / 60, abs(offset) % 60);
	return true;
}

void prolly_git_object_append_message(GString *text, const char *message)
{
	g_auto(GStrv) lines = g_strsplit(message, "\n", -1);
	size_t start = text->len;
	bool gap = false;

	for (char **line = lines; *line; line++) {
		g_strchomp(*line);
		if (**line == '\0') {
			gap = text->len > start;
			continue;
		}
		if (gap)
			g_string_append_c(text, '\n');
		gap = false;
		g_string_append_printf(text, "%s\n", *line);
	}
}

bool prolly_git_object_build(const ProllyFormat *format, const ProllyNewCommit *commit,
			     const GArray *parent_namespaces, GPtrArray *objects,
			     ProllyCommitId *out_id, GError **error)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	git_oid oid;
	g_autoptr(GString) text = NULL;

	if (!build_tree(format, commit->namespaces, parent_namespaces, objects, &oid, error))
		return false;

	text = g_string_new(NULL);
	g_string_append_printf(text, "tree %s\n", git_oid_tostr(hex, sizeof(hex), &oid));
	for (size_t i = 0; i < commit->n_parents; i++)
		g_string_append_printf(text, "parent %s\n",
				       prolly_commit_id_to_hex(&commit->parents[i], hex));
	if (!prolly_git_object_append_signature(text, "author", commit->author, error) ||
	    !prolly_git_object_append_signature(text, "committer", commit->committer, error))
		return false;
	if (!g_utf8_validate(commit->message, -1, NULL))
		g_string_append(text, "encoding ISO-8859-1\n");
	g_string_append_c(text, '\n');
	prolly_git_object_append_message(text, commit->message);
	if (!add_object(objects, GIT_OBJECT_COMMIT, g_steal_pointer(&text), &oid, error))
		return false;
	prolly_commit_id_from_oid(&oid, out_id);
	return true;
}
