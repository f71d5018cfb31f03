/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intake: a value that comes in pieces, for as long as whoever sends it likes.
 *
 * Nothing refers to what of it is stored already, so a collection has to be told. A guard would hold
 * the collection off until the last piece, which may never come; so there is one for each piece only,
 * and between two the intake is a holder, of the parts that the writer has made.
 *
 *  I1  At the end of each guard `parts` is all that the writer has put and will refer to.
 *  I2  While a piece is added a collection may see the parts from before: one that began before the
 *      guard keeps what is put under it, and one that began later waits for it (guard.c).
 *  I3  The value that was made is one of the parts until the intake is freed, by when it is staged.
 */
#include "version/edit.h"

#include "version/repo-private.h"

struct ProllyIntake {
	ProllyHolder holder;
	ProllyRepo *repo; /* borrowed */
	ProllyBlobWriter *writer;
	GMutex lock;   /* protects parts */
	GArray *parts; /* of ProllyBlob; replaced, never changed */
};

static bool report_intake(ProllyHolder *holder, ProllyGc *gc, GError **error)
{
	ProllyIntake *intake = (ProllyIntake *)holder;
	GArray *parts;
	bool ok = true;

	g_mutex_lock(&intake->lock);
	parts = g_array_ref(intake->parts);
	g_mutex_unlock(&intake->lock);
	for (guint i = 0; i < parts->len && ok; i++) {
		const ProllyBlob *part = &g_array_index(parts, ProllyBlob, i);
		g_autoptr(GBytes) stored = prolly_value_new_blob(PROLLY_KIND_FILE, part);

		ok = prolly_gc_keep_value(gc, g_bytes_get_data(stored, NULL),
					  g_bytes_get_size(stored), error);
	}
	g_array_unref(parts);
	return ok;
}

ProllyIntake *prolly_intake_new(ProllyRepo *repo)
{
	ProllyIntake *intake = g_new0(ProllyIntake, 1);

	intake->repo = repo;
	intake->writer = prolly_blob_writer_new(prolly_repo_get_context(repo));
	intake->parts = g_array_new(FALSE, FALSE, sizeof(ProllyBlob));
	g_mutex_init(&intake->lock);
	prolly_holder_add(repo->body, &intake->holder, report_intake);
	return intake;
}

void prolly_intake_free(ProllyIntake *intake)
{
	if (!intake)
		return;
	prolly_holder_remove(&intake->holder);
	g_mutex_clear(&intake->lock);
	g_array_unref(intake->parts);
	prolly_blob_writer_free(intake->writer);
	g_free(intake);
}

/* PARTS (transfer full) in the place of those there are. */
static void take_parts(ProllyIntake *intake, GArray *parts)
{
	GArray *old;

	g_mutex_lock(&intake->lock);
	old = intake->parts;
	intake->parts = parts;
	g_mutex_unlock(&intake->lock);
	g_array_unref(old);
}

bool prolly_intake_add(ProllyIntake *intake, const void *data, size_t len, GError **error)
{
	g_auto(ProllyGuard) guard = prolly_guard_enter(intake->repo);
	g_autoptr(GArray) parts = g_array_new(FALSE, FALSE, sizeof(ProllyBlob));

	if (!prolly_blob_writer_write(intake->writer, data, len, error) ||
	    !prolly_blob_writer_list_parts(intake->writer, parts, error))
		return false;
	take_parts(intake, g_steal_pointer(&parts));
	return true;
}

bool prolly_intake_finish(ProllyIntake *intake, ProllyKind kind, GBytes **out_stored,
			  GError **error)
{
	const ProllyTreeContext *context = prolly_repo_get_context(intake->repo);
	g_auto(ProllyGuard) guard = prolly_guard_enter(intake->repo);
	g_autoptr(GArray) parts = g_array_new(FALSE, FALSE, sizeof(ProllyBlob));
	ProllyBlob blob;

	if (!prolly_blob_writer_finish(intake->writer, &blob, error) ||
	    !prolly_value_store_blob(context, kind, &blob, out_stored, error))
		return false;
	if (blob.length && !prolly_hash_is_zero(&blob.hash))
		g_array_append_val(parts, blob);
	take_parts(intake, g_steal_pointer(&parts));
	return true;
}
