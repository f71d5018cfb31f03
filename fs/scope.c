/* SPDX-License-Identifier: Apache-2.0 */

/*
 * scope: what the keys of a node are read from, a branch's working state or a commit; and the
 * places of keys in it.
 *
 * All nodes below a branch's directory share its scope, however the branch is named; a branch that
 * is deleted and made again is another branch, with another scope. A commit has one for each
 * .prollyfs it is reached through, since a directory has one place only; so has each side of an
 * unfinished merge. A scope lives as long as a
 * node has it.
 *
 * The scope's number is the high part of every st_ino in it (design.md, section 7), 17 bits: a
 * branch's id, or for a commit a number from its hash with the top bit set, so that both are the
 * same in every mount. Two that would collide in one mount are told apart by taking the next free
 * one.
 */

#include "fs-private.h"

#include <string.h>

#define NUMBER_BITS   17
#define NUMBER_COMMIT (1u << (NUMBER_BITS - 1))
#define NUMBER_MASK   (NUMBER_COMMIT - 1)

/* ---- Scopes ------------------------------------------------------------------------------ */

static void branch_key(ProllyBranch *branch, char *key, size_t size)
{
	g_snprintf(key, size, "branch %u", prolly_branch_get_id(branch));
}

/* A number near WANTED, in its half, that no scope has. 0 is for what is in no scope. */
static uint32_t take_number(PfsTable *table, uint32_t wanted)
{
	uint32_t half = wanted & NUMBER_COMMIT;
	uint32_t number = wanted & NUMBER_MASK;

	while (!(half | number) ||
	       g_hash_table_contains(table->numbers, GUINT_TO_POINTER(half | number)))
		number = (number + 1) & NUMBER_MASK;
	g_hash_table_add(table->numbers, GUINT_TO_POINTER(half | number));
	return half | number;
}

/* (transfer full) The scope with KEY, if there is one. */
static PfsScope *find_scope(PfsTable *table, const char *key)
{
	g_mutex_lock(&table->lock);
	PfsScope *scope = g_hash_table_lookup(table->scopes, key);
	if (scope)
		scope->references++;
	g_mutex_unlock(&table->lock);
	return scope;
}

/* (transfer full) Takes VIEW; BRANCH is referenced. Another thread may have been faster. */
static PfsScope *add_scope(PfsTable *table, const char *key, ProllyView *view, ProllyBranch *branch,
			   uint32_t number)
{
	g_mutex_lock(&table->lock);
	PfsScope *scope = g_hash_table_lookup(table->scopes, key);
	if (scope) {
		scope->references++;
		g_mutex_unlock(&table->lock);
		prolly_view_unref(view);
		return scope;
	}
	scope = g_new0(PfsScope, 1);
	scope->references = 1;
	g_strlcpy(scope->key, key, sizeof scope->key);
	scope->view = view;
	scope->branch = branch ? prolly_branch_ref(branch) : NULL;
	scope->number = take_number(table, number);
	g_hash_table_insert(table->scopes, scope->key, scope);
	g_mutex_unlock(&table->lock);
	return scope;
}

PfsScope *pfs_scope_find_branch(PfsTable *table, ProllyBranch *branch)
{
	char key[sizeof((PfsScope *)0)->key];

	branch_key(branch, key, sizeof key);
	return find_scope(table, key);
}

PfsScope *pfs_scope_get_branch(PfsMount *mount, ProllyBranch *branch)
{
	char key[sizeof((PfsScope *)0)->key];
	PfsScope *scope;

	branch_key(branch, key, sizeof key);
	scope = find_scope(&mount->table, key);
	if (scope)
		return scope;
	return add_scope(&mount->table, key, prolly_view_new_live(mount->repo, branch), branch,
			 prolly_branch_get_id(branch) & NUMBER_MASK);
}

bool pfs_scope_get_commit(PfsMount *mount, const ProllyCommitId *id, const PfsScope *from,
			  PfsScope **out_scope, GError **error)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	char key[sizeof((PfsScope *)0)->key];
	ProllyView *view = NULL;
	PfsScope *scope;

	prolly_commit_id_to_hex(id, hex);
	g_snprintf(key, sizeof key, "commit %s %u", hex, from ? from->number : 0);
	scope = find_scope(&mount->table, key);
	if (!scope) {
		if (!prolly_view_new_commit(mount->repo, id, &view, error))
			return false;
		scope = add_scope(&mount->table, key, view, NULL,
				  NUMBER_COMMIT | prolly_get_le16(id->bytes));
	}
	*out_scope = scope;
	return true;
}

/* What SIDE of UNFINISHED shows: another state of it is another scope, whose nodes the kernel may
 * keep. */
static void hash_side(const ProllyUnfinished *unfinished, ProllySideOf side, ProllyHash *out_hash)
{
	g_autoptr(GByteArray) text = g_byte_array_new();
	const GArray *namespaces = unfinished->open[side];

	g_byte_array_append(text, unfinished->to.bytes, PROLLY_COMMIT_ID_SIZE);
	g_byte_array_append(text, unfinished->from.bytes, PROLLY_COMMIT_ID_SIZE);
	for (guint i = 0; i < namespaces->len; i++) {
		const ProllyNamespace *ns = &g_array_index(namespaces, ProllyNamespace, i);

		g_byte_array_append(text, (const uint8_t *)ns->name, strlen(ns->name) + 1);
		g_byte_array_append(text, ns->tree.top.bytes, PROLLY_HASH_SIZE);
	}
	prolly_hash_compute(text->data, text->len, out_hash);
}

PfsScope *pfs_scope_get_side(PfsMount *mount, ProllyBranch *branch,
			     const ProllyUnfinished *unfinished, ProllySideOf side,
			     const PfsScope *from)
{
	char key[sizeof((PfsScope *)0)->key];
	ProllyView *view;
	PfsScope *scope;
	ProllyHash hash;

	hash_side(unfinished, side, &hash);
	g_snprintf(key, sizeof key, "merge %u %u %016" G_GINT64_MODIFIER "x %u",
		   prolly_branch_get_id(branch), side, prolly_get_le64(hash.bytes),
		   from ? from->number : 0);
	scope = find_scope(&mount->table, key);
	if (!scope) {
		view = prolly_unfinished_view(mount->repo, unfinished, side);
		scope = add_scope(&mount->table, key, view, NULL,
				  NUMBER_COMMIT | prolly_get_le16(hash.bytes));
		scope->is_fleeting = true;
	}
	return scope;
}

void pfs_scope_unref_locked(PfsTable *table, PfsScope *scope)
{
	if (!scope || --scope->references)
		return;
	g_hash_table_remove(table->scopes, scope->key);
	g_hash_table_remove(table->numbers, GUINT_TO_POINTER(scope->number));
	prolly_view_unref(scope->view);
	prolly_branch_unref(scope->branch);
	g_free(scope);
}

void pfs_scope_unref(PfsTable *table, PfsScope *scope)
{
	g_mutex_lock(&table->lock);
	pfs_scope_unref_locked(table, scope);
	g_mutex_unlock(&table->lock);
}

void pfs_scope_touch(PfsScope *scope)
{
	g_atomic_int_inc(&scope->changes);
}

/* ---- Places ------------------------------------------------------------------------------ */

void pfs_place_clear(PfsPlace *place)
{
	g_clear_pointer(&place->bytes, g_byte_array_unref);
}

ProllyPlace pfs_place_get(const PfsPlace *place)
{
	return (ProllyPlace){
		.ns = place->ns, .key = place->bytes->data, .key_len = place->bytes->len};
}

bool pfs_place_is_top(const PfsPlace *place)
{
	return place->dir_kind == PROLLY_KEYDIR_BRANCH;
}

void pfs_meaning_clear(PfsMeaning *meaning)
{
	pfs_place_clear(&meaning->key);
	pfs_place_clear(&meaning->directory);
}

static GByteArray *copy_bytes(const GByteArray *bytes, size_t len)
{
	GByteArray *copy = g_byte_array_sized_new(len + 1);

	return g_byte_array_append(copy, bytes->data, len);
}

/* NAME's meaning in DIR; takes BYTES, which it is about. */
static void set_meaning(const PfsPlace *dir, const ProllyKeyName *name, GByteArray *bytes,
			PfsMeaning *out)
{
	bool is_unnamed =
		dir->dir_kind == PROLLY_KEYDIR_BRANCH || dir->dir_kind == PROLLY_KEYDIR_LONG;
	bool has_directory = name->type == PROLLY_NAME_MORE;

	memset(out, 0, sizeof *out);
	out->type = name->type;
	if (name->type == PROLLY_NAME_PLAIN)
		has_directory = !is_unnamed || name->namespace_name[0];
	if (has_directory) {
		bool is_namespace = is_unnamed && name->type == PROLLY_NAME_PLAIN;

		g_strlcpy(out->directory.ns, is_namespace ? name->namespace_name : dir->ns,
			  sizeof out->directory.ns);
		out->directory.dir_kind = name->dir_kind;
		out->directory.bytes = copy_bytes(bytes, is_namespace ? 0 : name->prefix_len);
	}
	if (name->type == PROLLY_NAME_PLAIN || name->type == PROLLY_NAME_KEY) {
		g_strlcpy(out->key.ns, dir->ns, sizeof out->key.ns);
		g_byte_array_set_size(bytes, name->key_len);
		out->key.bytes = bytes;
	} else {
		g_byte_array_unref(bytes);
	}
}

ProllyKeyDir pfs_place_get_dir(const PfsPlace *dir)
{
	return (ProllyKeyDir){
		.kind = dir->dir_kind, .prefix = dir->bytes->data, .prefix_len = dir->bytes->len};
}

void pfs_place_lookup(const PfsPlace *dir, const char *name, PfsMeaning *out_meaning)
{
	const ProllyKeyDir keydir = pfs_place_get_dir(dir);
	GByteArray *bytes = g_byte_array_sized_new(dir->bytes->len + PROLLY_NAME_MAX + 1);
	ProllyKeyName found;

	prolly_keypath_lookup(&keydir, name, strlen(name), bytes, &found);
	set_meaning(dir, &found, bytes, out_meaning);
}

bool pfs_place_create(const PfsPlace *dir, const char *name, PfsMeaning *out_meaning,
		      GError **error)
{
	const ProllyKeyDir keydir = pfs_place_get_dir(dir);
	GByteArray *bytes = g_byte_array_sized_new(dir->bytes->len + PROLLY_NAME_MAX + 1);
	ProllyKeyName made;

	if (!prolly_keypath_create(&keydir, name, strlen(name), bytes, &made, error)) {
		g_byte_array_unref(bytes);
		return false;
	}
	set_meaning(dir, &made, bytes, out_meaning);
	return true;
}
