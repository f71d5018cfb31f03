/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files: the table of a branch's open files, by name.
 *
 * A ProllyFile is in the table under every name it has, several if it is a member of a group of
 * hard links, so that all who open any of them share one object. The table holds no references: the
 * last one is given up under write_lock, where the file takes itself out. An orphan is in it no
 * more.
 *
 * The edits (edit.c, rename.c, reconcile.c) call in here as names come and go, all under
 * write_lock. What was written to a file is staged under its names of then, so a rename needs no
 * copying.
 */
#include "version/file-private.h"

#include <string.h>

static guint place_hash(gconstpointer data)
{
	const ProllyPlace *place = data;
	guint hash = g_str_hash(place->ns);

	for (size_t i = 0; i < place->key_len; i++)
		hash = hash * 33 + place->key[i];
	return hash;
}

static gboolean place_equal(gconstpointer a, gconstpointer b)
{
	const ProllyPlace *x = a, *y = b;

	return x->key_len == y->key_len && memcmp(x->key, y->key, x->key_len) == 0 &&
	       strcmp(x->ns, y->ns) == 0;
}

GHashTable *prolly_files_new_table(void)
{
	return g_hash_table_new(place_hash, place_equal);
}

/* (transfer full) A place of its own: NS, and a key of two parts. */
static ProllyOwnedPlace *new_place(const char *ns, const uint8_t *head, size_t head_len,
				   const uint8_t *tail, size_t tail_len)
{
	size_t ns_size = strlen(ns) + 1;
	ProllyOwnedPlace *copy = g_malloc(sizeof(*copy) + ns_size + head_len + tail_len);
	uint8_t *key = (uint8_t *)copy->bytes + ns_size;

	memcpy(copy->bytes, ns, ns_size);
	if (head_len)
		memcpy(key, head, head_len);
	if (tail_len)
		memcpy(key + head_len, tail, tail_len);
	copy->place = (ProllyPlace){copy->bytes, key, head_len + tail_len};
	return copy;
}

ProllyOwnedPlace *prolly_place_dup(const ProllyPlace *place)
{
	return new_place(place->ns, place->key, place->key_len, NULL, 0);
}

ProllyFile *prolly_files_find(ProllyBranch *branch, const ProllyPlace *place)
{
	return g_hash_table_lookup(branch->files, place);
}

static void take_name(ProllyFile *file, ProllyOwnedPlace *name)
{
	g_mutex_lock(&file->lock);
	g_ptr_array_add(file->places, name);
	g_mutex_unlock(&file->lock);
	g_hash_table_replace(file->branch->files, &name->place, file);
}

void prolly_files_add_name(ProllyFile *file, const ProllyPlace *place)
{
	if (prolly_files_find(file->branch, place) != file)
		take_name(file, prolly_place_dup(place));
}

/* Takes the name at INDEX from the file. */
static void drop_name(ProllyFile *file, guint index)
{
	ProllyOwnedPlace *name = g_ptr_array_index(file->places, index);

	g_hash_table_remove(file->branch->files, &name->place);
	g_mutex_lock(&file->lock);
	g_ptr_array_remove_index(file->places, index);
	g_mutex_unlock(&file->lock);
}

void prolly_files_forget(ProllyFile *file)
{
	while (file->places->len)
		drop_name(file, file->places->len - 1);
}

static void become_orphan(ProllyFile *file)
{
	g_mutex_lock(&file->lock);
	file->orphan = true;
	file->attrs.nlink = 0;
	g_mutex_unlock(&file->lock);
}

/* The index of PLACE among FILE's names; their number if it is none of them. */
static guint find_name(const ProllyFile *file, const ProllyPlace *place)
{
	guint i = 0;

	while (i < file->places->len) {
		const ProllyOwnedPlace *name = g_ptr_array_index(file->places, i);

		if (place_equal(&name->place, place))
			break;
		i++;
	}
	return i;
}

bool prolly_file_has_name(ProllyFile *file, const ProllyPlace *place)
{
	bool has;

	g_mutex_lock(&file->lock);
	has = find_name(file, place) < file->places->len;
	g_mutex_unlock(&file->lock);
	return has;
}

/* ---- The files of a branch --------------------------------------------------------------- */

/* (transfer container) Every open file once. */
static GPtrArray *list_files(ProllyBranch *branch)
{
	GPtrArray *files = g_ptr_array_new();
	GHashTableIter iter;
	gpointer name, file;

	g_hash_table_iter_init(&iter, branch->files);
	while (g_hash_table_iter_next(&iter, &name, &file)) {
		const ProllyOwnedPlace *first = g_ptr_array_index(((ProllyFile *)file)->places, 0);

		if (name == &first->place)
			g_ptr_array_add(files, file);
	}
	return files;
}

GPtrArray *prolly_files_list_names(ProllyBranch *branch)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	GHashTableIter iter;
	gpointer name;

	g_hash_table_iter_init(&iter, branch->files);
	while (g_hash_table_iter_next(&iter, &name, NULL))
		g_ptr_array_add(names, prolly_place_dup(name));
	return names;
}

bool prolly_files_flush_all(ProllyRepo *repo, ProllyBranch *branch, GError **error)
{
	g_autoptr(GPtrArray) files = list_files(branch);

	for (guint i = 0; i < files->len; i++) {
		if (!prolly_file_stage_locked(g_ptr_array_index(files, i), error))
			return false;
	}
	return true;
}

bool prolly_files_flush_branch(ProllyRepo *repo, ProllyBranch *branch, ProllyState **out_state,
			       GError **error)
{
	bool ok;

	g_mutex_lock(&branch->write_lock);
	ok = prolly_files_flush_all(repo, branch, error);
	if (ok)
		*out_state = prolly_branch_get_state(branch);
	g_mutex_unlock(&branch->write_lock);
	return ok;
}

bool prolly_files_flush_one(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *place,
			    GError **error)
{
	ProllyFile *file = prolly_files_find(branch, place);

	return !file || prolly_file_stage_locked(file, error);
}

void prolly_files_orphan(ProllyBranch *branch, const ProllyPlace *place)
{
	ProllyFile *file;

	if (!place) {
		g_autoptr(GPtrArray) files = list_files(branch);

		for (guint i = 0; i < files->len; i++) {
			prolly_files_forget(g_ptr_array_index(files, i));
			become_orphan(g_ptr_array_index(files, i));
		}
		return;
	}
	file = prolly_files_find(branch, place);
	if (!file)
		return;
	drop_name(file, find_name(file, place));
	if (file->places->len == 0)
		become_orphan(file);
}

void prolly_files_link(ProllyBranch *branch, const ProllyPlace *from, const ProllyPlace *to)
{
	ProllyFile *file = prolly_files_find(branch, from);

	if (file)
		prolly_files_add_name(file, to);
}

void prolly_files_set_attrs(ProllyBranch *branch, const ProllyPlace *place,
			    const ProllyAttrs *attrs, int kind)
{
	ProllyFile *file = prolly_files_find(branch, place);

	if (file)
		prolly_file_note_attrs(file, attrs, kind);
}

/* ---- Renames ----------------------------------------------------------------------------- */

typedef struct {
	ProllyFile *file;
	ProllyOwnedPlace *name; /* that it gets */
} PendingName;

static bool is_below(const ProllyPlace *place, const ProllyPlace *directory)
{
	return strcmp(place->ns, directory->ns) == 0 && place->key_len >= directory->key_len &&
	       memcmp(place->key, directory->key, directory->key_len) == 0;
}

/* Takes the names at FROM (below it, IS_DIRECTORY) off their files; appends what they get at TO. */
static void collect_moved(ProllyBranch *branch, const ProllyPlace *from, const ProllyPlace *to,
			  bool is_directory, GArray *pending)
{
	g_autoptr(GPtrArray) files = list_files(branch);

	for (guint i = 0; i < files->len; i++) {
		ProllyFile *file = g_ptr_array_index(files, i);

		for (guint n = file->places->len; n-- > 0;) {
			const ProllyOwnedPlace *name = g_ptr_array_index(file->places, n);
			PendingName moved = {.file = file};

			if (is_directory ? !is_below(&name->place, from)
					 : !place_equal(&name->place, from))
				continue;
			moved.name = new_place(to->ns, to->key, to->key_len,
					       name->place.key + from->key_len,
					       name->place.key_len - from->key_len);
			drop_name(file, n);
			g_array_append_val(pending, moved);
		}
	}
}

static void give_names(const GArray *pending)
{
	for (guint i = 0; i < pending->len; i++) {
		const PendingName *moved = &g_array_index(pending, PendingName, i);

		take_name(moved->file, moved->name);
	}
}

void prolly_files_move(ProllyBranch *branch, const ProllyPlace *from, const ProllyPlace *to,
		       bool is_directory)
{
	g_autoptr(GArray) pending = g_array_new(FALSE, FALSE, sizeof(PendingName));

	if (!is_directory)
		prolly_files_orphan(branch, to);
	collect_moved(branch, from, to, is_directory, pending);
	give_names(pending);
}

void prolly_files_exchange(ProllyBranch *branch, const ProllyPlace *a, const ProllyPlace *b,
			   bool a_is_directory, bool b_is_directory)
{
	g_autoptr(GArray) pending = g_array_new(FALSE, FALSE, sizeof(PendingName));

	collect_moved(branch, a, b, a_is_directory, pending);
	collect_moved(branch, b, a, b_is_directory, pending);
	give_names(pending);
}
