/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roots: everything that must stay, whether it is on the disk or in memory.
 *
 *   references, reflogs    commits (gc-git.c), and below them the namespaces' trees
 *   META                   each branch's record: its head and its attributes
 *   STAGED                 every generation's values, those of loads that are not attached too
 *   JOURNAL                where publications move references, if they have not yet
 *   unfinished merges      trees of what waits, and values that were decided; their commits have a
 *                          reference
 *   holders (guard.c)      published states, open files, loads, snapshots
 *   the empty tree         which some compare with
 *
 * A branch's moves name commits too, but do not keep them: what was reset away would stay for as
 * long as the branch does (moves.c).
 *
 * What is noted here is marked before long, so that little of it waits.
 */
#include "version/gc-private.h"

#include <string.h>

#include "version/journal-private.h"
#include "version/merge-private.h"
#include "version/working-private.h"

#define NOTED_MAX 65536

static bool mark_if_many(ProllyGc *gc, GError **error)
{
	return gc->stack->len < NOTED_MAX || prolly_gc_mark(gc, error);
}

/* ---- Branches ---------------------------------------------------------------------------- */

bool prolly_gc_keep_state(ProllyGc *gc, const ProllyState *state, GError **error)
{
	prolly_gc_keep_commit(gc, &state->head);
	for (guint i = 0; state->namespaces && i < state->namespaces->len; i++) {
		const ProllyNamespace *ns = &g_array_index(state->namespaces, ProllyNamespace, i);

		if (!prolly_gc_keep_tree(gc, &ns->tree, error))
			return false;
	}
	return prolly_gc_keep_attributes(gc, &state->attributes, error);
}

static bool note_branches(ProllyGc *gc, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

	if (!prolly_state_list_names(gc->body, names, error))
		return false;
	for (guint i = 0; i < names->len; i++) {
		g_autoptr(ProllyState) state = NULL;
		g_autofree char *name = NULL;
		uint32_t id;

		if (!prolly_state_find_branch(gc->body, g_ptr_array_index(names, i), &id, error))
			return false;
		if (id && !prolly_state_load(gc->body, id, &name, &state, error))
			return false;
		if (state && (!prolly_gc_keep_state(gc, state, error) || !mark_if_many(gc, error)))
			return false;
	}
	return true;
}

/* ---- Staged changes ---------------------------------------------------------------------- */

/* The record that ITER is at. */
static bool note_record(ProllyGc *gc, ProllyDbIter *iter, GError **error)
{
	ProllyStagedRecord record;
	size_t len;
	const uint8_t *value = prolly_db_iter_get_value(iter, &len);

	if (!prolly_staged_record_parse(value, len, &record, error))
		return false;
	return !record.stored || prolly_gc_keep_value(gc, record.stored, record.stored_len, error);
}

bool prolly_gc_keep_staged(ProllyGc *gc, uint32_t branch_id, const ProllyState *state,
			   const ProllyDbSnapshot *snapshot, GError **error)
{
	for (guint i = 0; i < state->generations->len; i++) {
		uint64_t generation = g_array_index(state->generations, uint64_t, i);
		g_autoptr(ProllyDbIter) iter = prolly_staged_iter_new_entries(
			gc->body->db, snapshot, branch_id, generation);

		for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
		     prolly_db_iter_next(iter)) {
			if (!note_record(gc, iter, error))
				return false;
		}
		if (!prolly_db_iter_check(iter, error))
			return false;
	}
	return true;
}

/* Of all branches and generations, attached or not. */
static bool note_staged(ProllyGc *gc, GError **error)
{
	g_autoptr(ProllyDbIter) iter =
		prolly_db_iter_new(gc->body->db, PROLLY_DB_STAGED, NULL, NULL, 0, NULL, 0);

	for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
	     prolly_db_iter_next(iter)) {
		size_t len;
		const uint8_t *key = prolly_db_iter_get_key(iter, &len);

		if (len > 12 && key[12] == PROLLY_RECORD_ENTRY && !note_record(gc, iter, error))
			return false;
		if (!mark_if_many(gc, error))
			return false;
	}
	return prolly_db_iter_check(iter, error);
}

/* ---- The journal ------------------------------------------------------------------------- */

static bool note_journal(ProllyGc *gc, GError **error)
{
	g_autoptr(ProllyDbIter) iter =
		prolly_db_iter_new(gc->body->db, PROLLY_DB_JOURNAL, NULL, NULL, 0, NULL, 0);

	for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
	     prolly_db_iter_next(iter)) {
		g_autoptr(GPtrArray) objects = NULL;
		g_autoptr(GPtrArray) updates = NULL;
		size_t len;
		const uint8_t *value = prolly_db_iter_get_value(iter, &len);

		if (!prolly_journal_decode(value, len, &objects, &updates, error))
			return false;
		for (guint i = 0; i < updates->len; i++) {
			const ProllyRefUpdate *update = g_ptr_array_index(updates, i);

			prolly_gc_keep_commit(gc, &update->from);
			prolly_gc_keep_commit(gc, &update->to);
		}
	}
	return prolly_db_iter_check(iter, error);
}

/* ---- Unfinished merges ------------------------------------------------------------------- */

static bool keep_tree(const ProllyTree *tree, void *gc, GError **error)
{
	return prolly_gc_keep_tree(gc, tree, error);
}

static bool keep_value(const uint8_t *stored, size_t len, void *gc, GError **error)
{
	return prolly_gc_keep_value(gc, stored, len, error);
}

/* From a snapshot, since what is decided leaves the trees for a record. */
static bool note_merges(ProllyGc *gc, GError **error)
{
	const ProllyUnfinishedRoots roots = {.tree = keep_tree, .value = keep_value, .data = gc};
	ProllyDbSnapshot *snapshot = prolly_db_snapshot_new(gc->body->db);
	bool ok = prolly_unfinished_foreach_root(gc->repo, snapshot, &roots, error);

	prolly_db_snapshot_free(gc->body->db, snapshot);
	return ok;
}

/* ---- All of them ------------------------------------------------------------------------- */

static bool note_empty_tree(ProllyGc *gc, GError **error)
{
	ProllyTree empty;

	return prolly_tree_init_empty(&gc->context, &empty, error) &&
	       prolly_gc_keep_tree(gc, &empty, error);
}

bool prolly_gc_capture(ProllyGc *gc, GError **error)
{
	return prolly_gc_tell_marked(gc, error) && note_empty_tree(gc, error) &&
	       prolly_usage_ask(gc, error) && note_branches(gc, error) && note_staged(gc, error) &&
	       note_merges(gc, error) && note_journal(gc, error) &&
	       prolly_gc_tell_marked(gc, error) && prolly_gc_note_references(gc, false, error) &&
	       prolly_gc_walk_commits(gc, error) && prolly_gc_mark(gc, error);
}
