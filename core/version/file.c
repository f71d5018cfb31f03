/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File: a key's value as an open file.
 *
 * The content is an overlay: the value as it is stored, and over it what was written. Writing
 * touches memory only; staging (file-stage.c) turns it into records.
 *
 * Memory is bounded. Half of RUN_BYTES_MAX over the value is spliced into it behind the writer's back
 * (file-splice.c), who waits if he is that far ahead again; at RUN_BYTES_MAX he does it himself
 * (at RUNS_MAX likewise, since runs are an array). So each byte is chunked once if it comes in
 * order. Short runs here and there over something large would each cost the chunks around them then;
 * so those (a sparse file) are kept, in all files together up to KEPT_MAX, and recorded from time to
 * time. Once all files together keep ALL_RUN_BYTES_MAX, a file that is written keeps PRESSED_BYTES_MAX:
 * who has a thousand of them open and writes a little to each takes no more than that of the memory.
 *
 * Invariants:
 * F1  A file with a name is in its branch's table under all of them; an orphan is in none.
 * F2  is_changed is false only if what is staged (or committed) has this content.
 * F3  If extents is not 0, its records with unrecorded's intervals, or all of the runs anew if
 *     must_rewrite, account for all of the runs.
 *
 * Locks: write_lock before file->lock. Writers take the latter only; names change under both, so
 * either is enough to read them.
 */
#include "version/file-private.h"

#include <string.h>

#define RUN_BYTES_MAX     (16u << 20)  /* bytes written that a file keeps in memory */
#define SPARSE_BYTES_MAX  (8u << 20)   /* and a sparse one, of its own */
#define RUNS_MAX          2048         /* and in how many runs */
#define ALL_RUN_BYTES_MAX (256u << 20) /* that all files keep, before each keeps less: */
#define PRESSED_BYTES_MAX (64u << 10)
#define KEPT_MAX          (128u << 20) /* bytes that all sparse files keep besides */
#define KEPT_STEP         (1u << 20)
#define SPARSE_RUNS_MAX   32768
#define INTERVALS_MAX     1024 /* that are remembered to be recorded; more: all of the runs */
#define INTERVALS_ENOUGH  512  /* that a sparse file's writer has recorded */

static int64_t now_ns(void)
{
	return g_get_real_time() * 1000;
}

/* ---- Opening ----------------------------------------------------------------------------- */

static ProllyFile *new_file(ProllyRepo *repo)
{
	ProllyFile *file = g_new0(ProllyFile, 1);

	file->references = 1;
	file->repo = prolly_repo_new_handle(repo, NULL, false);
	file->places = g_ptr_array_new_with_free_func(g_free);
	file->unrecorded = g_array_new(FALSE, FALSE, sizeof(ProllyInterval));
	g_mutex_init(&file->lock);
	g_cond_init(&file->splice.ended);
	return file;
}

static void free_file(ProllyFile *file)
{
	g_mutex_lock(&file->lock);
	prolly_file_settle(file);
	g_mutex_unlock(&file->lock);
	prolly_holder_remove(&file->holder);
	prolly_file_unkeep(file);
	prolly_blob_ahead_unref(file->ahead);
	prolly_overlay_clear(&file->content);
	prolly_file_count_runs(file);
	prolly_attrs_clear(&file->attrs);
	g_array_unref(file->unrecorded);
	g_ptr_array_unref(file->places);
	g_cond_clear(&file->splice.ended);
	g_mutex_clear(&file->lock);
	prolly_view_unref(file->view);
	prolly_branch_unref(file->branch);
	prolly_repo_free(file->repo);
	g_free(file);
}

/* The content's blob, on which others may be laid. */
static bool report_file(ProllyHolder *holder, ProllyGc *gc, GError **error)
{
	ProllyFile *file = (ProllyFile *)holder;
	g_autoptr(GBytes) stored = NULL;

	g_mutex_lock(&file->lock);
	stored = g_bytes_ref(file->content.stored);
	g_mutex_unlock(&file->lock);
	return prolly_gc_keep_value(gc, g_bytes_get_data(stored, NULL), g_bytes_get_size(stored),
				    error);
}

/* Takes content and attributes from ENTRY, which loses its attributes. */
static bool load_entry(ProllyFile *file, const ProllyDbSnapshot *snapshot, ProllyEntry *entry,
		       GError **error)
{
	ProllyDb *db = file->repo->body->db;

	if (!(entry->extents ? prolly_extents_load(db, snapshot, entry, &file->content,
						   &file->recorded, error)
			     : prolly_overlay_init(&file->content, entry->stored, error)))
		return false;
	prolly_file_count_runs(file);
	file->extents = entry->extents;
	file->kind = entry->kind;
	file->attrs = entry->attrs;
	entry->attrs = (ProllyAttrs){0};
	prolly_holder_add(file->repo->body, &file->holder, report_file);
	return true;
}

/* The other names of a link group's member; and the file that one of them has open already. */
static bool find_linked(ProllyFile *file, GPtrArray **out_members, ProllyFile **out_open,
			GError **error)
{
	g_autoptr(GPtrArray) members = NULL;

	*out_open = NULL;
	if (!prolly_links_get_members(file->repo, file->branch, file->attrs.group, &members, error))
		return false;
	for (guint i = 0; i < members->len && !*out_open; i++) {
		const ProllyOwnedPlace *member = g_ptr_array_index(members, i);

		*out_open = prolly_files_find(file->branch, &member->place);
	}
	*out_members = g_steal_pointer(&members);
	return true;
}

/* Enters FILE into the table, or returns the one that has its content open. */
static bool enter_file(ProllyFile *file, const ProllyPlace *place, ProllyFile **out_file,
		       GError **error)
{
	g_autoptr(GPtrArray) members = NULL;
	ProllyFile *open = NULL;

	if (file->attrs.group && !find_linked(file, &members, &open, error))
		return false;
	*out_file = open ? open : file;
	prolly_files_add_name(*out_file, place);
	for (guint i = 0; members && i < members->len; i++) {
		const ProllyOwnedPlace *member = g_ptr_array_index(members, i);

		prolly_files_add_name(*out_file, &member->place);
	}
	return true;
}

static bool open_locked(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *place,
			ProllyFile **out_file, GError **error)
{
	g_autoptr(ProllyView) view = NULL;
	g_auto(ProllyEntry) entry = {0};
	ProllyFile *file = prolly_files_find(branch, place), *shared;
	bool found;

	if (file) {
		*out_file = prolly_file_ref(file);
		return true;
	}
	view = prolly_view_new_live(repo, branch);
	if (!prolly_view_get(view, place, true, &entry, &found, error))
		return false;
	if (!found)
		return prolly_throw(error, PROLLY_ERROR_NOT_FOUND, "%s/%.*s: no such key",
				    place->ns, (int)place->key_len, (const char *)place->key);
	if (entry.kind == PROLLY_KIND_DIRECTORY)
		return prolly_throw(error, PROLLY_ERROR_IS_DIR, "%s/%.*s: is a directory",
				    place->ns, (int)place->key_len, (const char *)place->key);
	file = new_file(repo);
	file->branch = prolly_branch_ref(branch);
	if (!load_entry(file, NULL, &entry, error) || !enter_file(file, place, &shared, error)) {
		free_file(file);
		return false;
	}
	if (shared != file) {
		free_file(file);
		prolly_file_ref(shared);
	}
	*out_file = shared;
	return true;
}

bool prolly_file_open(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *place,
		      ProllyFile **out_file, GError **error)
{
	g_auto(ProllyGuard) guard = prolly_guard_enter(repo);
	bool ok;

	g_mutex_lock(&branch->write_lock);
	ok = open_locked(repo, branch, place, out_file, error);
	g_mutex_unlock(&branch->write_lock);
	return ok;
}

bool prolly_file_open_entry(ProllyView *view, const ProllyEntry *entry, ProllyFile **out_file,
			    GError **error)
{
	ProllyFile *file = new_file(prolly_view_get_repo(view));
	ProllyEntry copy = *entry;

	file->view = prolly_view_ref(view);
	if (copy.attrs.xattrs)
		g_bytes_ref(copy.attrs.xattrs);
	if (!load_entry(file, prolly_view_get_snapshot(view), &copy, error)) {
		prolly_attrs_clear(&copy.attrs);
		free_file(file);
		return false;
	}
	*out_file = file;
	return true;
}

ProllyFile *prolly_file_ref(ProllyFile *file)
{
	g_atomic_int_inc(&file->references);
	return file;
}

/* Gives up a reference that is not the last. */
static bool unref_shared(ProllyFile *file)
{
	gint references = g_atomic_int_get(&file->references);

	while (references > 1) {
		if (g_atomic_int_compare_and_exchange(&file->references, references,
						      references - 1))
			return true;
		references = g_atomic_int_get(&file->references);
	}
	return false;
}

void prolly_file_unref(ProllyFile *file)
{
	ProllyBranch *branch;
	bool last;

	if (!file || unref_shared(file))
		return;
	if (!file->branch) {
		if (g_atomic_int_dec_and_test(&file->references))
			free_file(file);
		return;
	}
	/* Nobody is left to hear of an error; whoever wanted to know has flushed. */
	(void)prolly_file_flush(file, NULL);
	branch = prolly_branch_ref(file->branch);
	g_mutex_lock(&branch->write_lock);
	last = g_atomic_int_dec_and_test(&file->references);
	if (last)
		prolly_files_forget(file);
	g_mutex_unlock(&branch->write_lock);
	prolly_branch_unref(branch);
	if (last)
		free_file(file);
}

/* ---- What it is ------------------------------------------------------------------------ */

bool prolly_file_seek(ProllyFile *file, uint64_t offset, bool data, uint64_t *out_offset,
		      GError **error)
{
	bool ok;

	g_mutex_lock(&file->lock);
	ok = prolly_overlay_seek(&file->content, prolly_file_get_context(file), offset, data,
				 out_offset, error);
	g_mutex_unlock(&file->lock);
	return ok;
}

uint64_t prolly_file_get_length(ProllyFile *file)
{
	uint64_t length;

	g_mutex_lock(&file->lock);
	length = file->content.length;
	g_mutex_unlock(&file->lock);
	return length;
}

bool prolly_file_get_allocated(ProllyFile *file, uint64_t *out_bytes, GError **error)
{
	const ProllyOverlay *content = &file->content;
	uint64_t base = 0;
	bool ok = true;

	g_mutex_lock(&file->lock);
	if (content->base_length && content->value.is_blob)
		ok = prolly_blob_get_allocated(prolly_file_get_context(file), &content->value.blob,
					       &base, error);
	else
		base = content->base_length;
	if (ok)
		*out_bytes =
			MIN(MIN(base, content->base_length) + content->run_bytes, content->length);
	g_mutex_unlock(&file->lock);
	return ok;
}

bool prolly_file_is_orphan(ProllyFile *file)
{
	bool orphan;

	g_mutex_lock(&file->lock);
	orphan = file->orphan;
	g_mutex_unlock(&file->lock);
	return orphan;
}

/* ---- Writing ----------------------------------------------------------------------------- */

static bool check_writable(const ProllyFile *file, uint64_t offset, uint64_t len, GError **error)
{
	if (!file->branch)
		return prolly_throw(error, PROLLY_ERROR_READ_ONLY, "a commit cannot be written to");
	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return prolly_throw(error, PROLLY_ERROR_TOO_BIG,
				    "file over %" G_GINT64_FORMAT " bytes", G_MAXINT64);
	return true;
}

/* Notes that [OFFSET, OFFSET + LEN) was written, for the next staging. */
static void note_change(ProllyFile *file, uint64_t offset, uint64_t len)
{
	guint n = file->unrecorded->len;
	ProllyInterval *last = n ? &g_array_index(file->unrecorded, ProllyInterval, n - 1) : NULL;

	if (last && last->offset + last->len == offset) {
		last->len += len;
	} else if (n >= INTERVALS_MAX) {
		file->must_rewrite = true;
		g_array_set_size(file->unrecorded, 0);
	} else if (len) {
		ProllyInterval interval = {offset, len};

		g_array_append_val(file->unrecorded, interval);
	}
	file->is_changed = true;
	file->attrs.mtime = file->attrs.ctime = now_ns();
}

/* May a sparse file keep BYTES in memory? */
static bool may_keep(ProllyFile *file, uint64_t bytes)
{
	gsize *kept = &file->repo->body->kept_bytes;
	gsize more;

	if (bytes <= SPARSE_BYTES_MAX + file->kept)
		return true;
	more = (gsize)(bytes - SPARSE_BYTES_MAX - file->kept) + KEPT_STEP;
	if ((gsize)g_atomic_pointer_add(kept, more) + more > KEPT_MAX) {
		g_atomic_pointer_add(kept, -(gssize)more);
		return false;
	}
	file->kept += more;
	return true;
}

/* Do all open files together keep too much? */
static bool is_pressed(const ProllyFile *file)
{
	return (gsize)g_atomic_pointer_get(&file->repo->body->run_bytes) > ALL_RUN_BYTES_MAX;
}

/* Is there no room for LEN more bytes, in a run of their own? */
static bool is_full(ProllyFile *file, uint64_t len)
{
	const ProllyOverlay *content = &file->content;
	uint64_t bytes = content->run_bytes + len;
	bool is_sparse = prolly_file_is_sparse(file);

	if (file->splice.has_failed || (bytes > PRESSED_BYTES_MAX && is_pressed(file)))
		return true;
	if (content->runs->len >= (is_sparse ? SPARSE_RUNS_MAX : RUNS_MAX))
		return true;
	return is_sparse ? !may_keep(file, bytes) : bytes > RUN_BYTES_MAX;
}

/* Makes room for LEN more bytes before any is added: a writer that goes on after an error (a full
 * disk) does not make the runs grow. Under file->lock, which may be given up meanwhile. */
static bool make_room(ProllyFile *file, uint64_t len, GError **error)
{
	while (file->content.runs->len && is_full(file, len)) {
		if (file->splice.under_way)
			prolly_file_settle(file);
		else if (!prolly_file_splice(file, error))
			return false;
	}
	return true;
}

/* Likewise. DATA NULL: zeros. */
static bool write_locked(ProllyFile *file, uint64_t offset, const uint8_t *data, uint64_t len,
			 GError **error)
{
	if (!make_room(file, data ? len : 0, error))
		return false;
	while (prolly_overlay_touches_sealed(&file->content, offset, len))
		prolly_file_settle(file);
	if (!prolly_overlay_write(&file->content, offset, data, len, error))
		return false;
	prolly_file_count_runs(file);
	note_change(file, offset, len);
	prolly_file_splice_behind(file);
	return true;
}

/* Is it time to record what was written over a sparse file, while it is still little? */
static bool must_record(const ProllyFile *file)
{
	return file->unrecorded->len >= INTERVALS_ENOUGH && prolly_file_is_sparse(file);
}

static bool record_some(ProllyFile *file, GError **error)
{
	bool is_due;

	g_mutex_lock(&file->lock);
	is_due = must_record(file);
	g_mutex_unlock(&file->lock);
	return !is_due || prolly_file_flush(file, error);
}

bool prolly_file_has_room(ProllyFile *file, uint64_t offset, size_t len)
{
	bool has;

	if (!g_mutex_trylock(&file->lock))
		return false;
	has = !(file->content.runs->len && is_full(file, len)) && !must_record(file) &&
	      !prolly_overlay_touches_sealed(&file->content, offset, len);
	g_mutex_unlock(&file->lock);
	return has;
}

bool prolly_file_write(ProllyFile *file, uint64_t offset, const void *data, size_t len,
		       GError **error)
{
	bool ok;

	if (!check_writable(file, offset, len, error) || !record_some(file, error))
		return false;
	g_mutex_lock(&file->lock);
	ok = len == 0 || write_locked(file, offset, data, len, error);
	g_mutex_unlock(&file->lock);
	return ok;
}

bool prolly_file_append(ProllyFile *file, const void *data, size_t len, uint64_t *out_offset,
			GError **error)
{
	uint64_t offset;
	bool ok;

	g_mutex_lock(&file->lock);
	ok = make_room(file, len, error); /* first, as others may write meanwhile */
	offset = file->content.length;
	ok = ok && check_writable(file, offset, len, error) &&
	     (len == 0 || write_locked(file, offset, data, len, error));
	g_mutex_unlock(&file->lock);
	if (ok && out_offset)
		*out_offset = offset;
	return ok;
}

bool prolly_file_truncate(ProllyFile *file, uint64_t length, GError **error)
{
	if (!check_writable(file, length, 0, error))
		return false;
	g_mutex_lock(&file->lock);
	prolly_file_settle(file);
	if (length < file->content.length)
		file->must_rewrite = true;
	prolly_overlay_truncate(&file->content, length);
	prolly_file_count_runs(file);
	note_change(file, length, 0);
	g_mutex_unlock(&file->lock);
	return true;
}

bool prolly_file_zero(ProllyFile *file, uint64_t offset, uint64_t len, GError **error)
{
	uint64_t length;
	bool ok;

	if (!check_writable(file, offset, len, error))
		return false;
	g_mutex_lock(&file->lock);
	length = file->content.length;
	ok = offset >= length || len == 0 ||
	     write_locked(file, offset, NULL, MIN(len, length - offset), error);
	g_mutex_unlock(&file->lock);
	return ok;
}

/* ---- Attributes -------------------------------------------------------------------------- */

/* (transfer full) A name of the file, or NULL if it has none. */
static ProllyOwnedPlace *dup_name(ProllyFile *file)
{
	ProllyOwnedPlace *name = NULL;

	if (!file->branch)
		return NULL;
	g_mutex_lock(&file->lock);
	if (file->places->len) {
		const ProllyOwnedPlace *first = g_ptr_array_index(file->places, 0);

		name = prolly_place_dup(&first->place);
	}
	g_mutex_unlock(&file->lock);
	return name;
}

/* The attributes that the file itself has; under file->lock. */
static void copy_attrs(const ProllyFile *file, ProllyAttrs *out_attrs)
{
	*out_attrs = file->attrs;
	if (out_attrs->xattrs)
		g_bytes_ref(out_attrs->xattrs);
}

bool prolly_file_get_attrs(ProllyFile *file, ProllyAttrs *out_attrs, GError **error)
{
	g_autofree ProllyOwnedPlace *name = dup_name(file);
	g_auto(ProllyEntry) entry = {0};
	bool found = false;

	if (name) {
		g_autoptr(ProllyView) view = prolly_view_new_live(file->repo, file->branch);

		if (!prolly_view_get(view, &name->place, true, &entry, &found, error))
			return false;
	}
	g_mutex_lock(&file->lock);
	if (!found) {
		copy_attrs(file, out_attrs);
	} else {
		*out_attrs = entry.attrs;
		entry.attrs = (ProllyAttrs){0};
		if (file->is_changed) {
			out_attrs->mtime = file->attrs.mtime;
			out_attrs->ctime = file->attrs.ctime;
		}
	}
	g_mutex_unlock(&file->lock);
	return true;
}

void prolly_file_note_attrs(ProllyFile *file, const ProllyAttrs *attrs, int kind)
{
	ProllyAttrs *own = &file->attrs;

	g_mutex_lock(&file->lock);
	if (attrs->has & PROLLY_ATTR_MODE)
		own->mode = attrs->mode;
	if (attrs->has & PROLLY_ATTR_UID)
		own->uid = attrs->uid;
	if (attrs->has & PROLLY_ATTR_GID)
		own->gid = attrs->gid;
	if (attrs->has & PROLLY_ATTR_ATIME)
		own->atime = attrs->atime;
	if (attrs->has & PROLLY_ATTR_MTIME)
		own->mtime = attrs->mtime;
	if (attrs->has & PROLLY_ATTR_XATTRS) {
		g_clear_pointer(&own->xattrs, g_bytes_unref);
		own->xattrs = attrs->xattrs ? g_bytes_ref(attrs->xattrs) : NULL;
	}
	own->ctime = attrs->has & PROLLY_ATTR_CTIME ? attrs->ctime : now_ns();
	own->has |= attrs->has;
	if (kind >= 0)
		file->kind = (ProllyKind)kind;
	g_mutex_unlock(&file->lock);
}

bool prolly_file_set_attrs(ProllyFile *file, const ProllyAttrs *attrs, int kind, GError **error)
{
	g_autofree ProllyOwnedPlace *name = NULL;

	if (!check_writable(file, 0, 0, error))
		return false;
	/* what was written before is dated before a time that is set now */
	if (!prolly_file_flush(file, error))
		return false;
	name = dup_name(file);
	if (name)
		return prolly_edit_set_attrs(file->repo, file->branch, &name->place, false, attrs,
					     kind, NULL, error);
	prolly_file_note_attrs(file, attrs, kind);
	return true;
}
