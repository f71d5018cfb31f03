/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is staged, beside a merge.
 *
 * A merge changes what is committed under a working state. A staged change of a key that the merge
 * changes would undo it at the next commit, so it stops the merge, unless it is no change (a staged
 * value that is the committed one; it is dropped) or what the merge brings (it may stay). Staged
 * changes of other keys stay staged.
 *
 * A key that somebody resolved by hand is another matter: what was staged of it when it was
 * resolved was looked at then, and goes with the merge; what was staged later stays.
 *
 * Namespaces: where one comes or goes by a merge, what is staged of itself goes if it is no change;
 * where keys of it come, a staged removal goes. Neither stops the merge.
 *
 * Directories: a staged marker is void if the merge brings keys below it, and a marker that the
 * merge brings is void if keys are staged below it.
 */
#include "version/merge-private.h"

#include <string.h>

bool prolly_beside_init(ProllyBeside *out_beside, ProllyRepo *repo, ProllyBranch *branch,
			ProllyState *state, GError **error)
{
	*out_beside = (ProllyBeside){
		.working = {.repo = repo, .branch = branch, .state = state},
	};
	return prolly_staged_is_empty(repo, branch, state, &out_beside->is_empty, error);
}

/* What is staged for a key, beside what our side has and what the merge makes of it. */
typedef enum {
	STAGED_NOT,
	STAGED_AS_OURS, /* no change */
	STAGED_AS_MERGED,
	STAGED_OTHERWISE,
} Staged;

static bool equals(const ProllyFinding *finding, const uint8_t *value, size_t len)
{
	if (!value || !prolly_finding_exists(finding))
		return !value && !prolly_finding_exists(finding);
	return !finding->extents && finding->stored_len == len &&
	       memcmp(finding->stored, value, len) == 0;
}

static Staged compare(const ProllyFinding *finding, const ProllyMergeStep *step,
		      const uint8_t *value, size_t len)
{
	if (finding->value_level == PROLLY_LEVEL_COMMITTED ||
	    (!prolly_finding_exists(finding) && !finding->deleted))
		return STAGED_NOT;
	if (equals(finding, step->ours, step->ours_len))
		return STAGED_AS_OURS;
	return equals(finding, value, len) ? STAGED_AS_MERGED : STAGED_OTHERWISE;
}

/* ---- Staged otherwise -------------------------------------------------------------------- */

static bool throw_overwrite(const ProllyPlace *place, GError **error)
{
	g_autofree char *path = prolly_path_from_key(place->ns, place->key, place->key_len, false);

	return prolly_throw(error, PROLLY_ERROR_WOULD_OVERWRITE,
			    "%s: staged changes would be overwritten by the merge", path);
}

/* It stops the merge, unless the key was resolved by hand. */
static bool settle_otherwise(const ProllyBeside *self, const ProllyPlace *place,
			     const ProllyFinding *finding, GError **error)
{
	uint32_t branch_id = prolly_branch_get_id(self->working.branch);
	g_auto(ProllyResolution) resolution = {0};
	uint8_t staged[PROLLY_FINGERPRINT_SIZE];
	bool found = false;

	if (self->is_resumed && !prolly_resolution_find(self->working.repo, branch_id, place,
							&resolution, &found, error))
		return false;
	if (!found || !resolution.by_hand)
		return throw_overwrite(place, error);
	prolly_resolution_fingerprint_value(finding->stored, finding->stored_len, staged);
	return !self->batch || finding->extents ||
	       memcmp(staged, resolution.staged, sizeof(staged)) != 0 ||
	       prolly_staged_drop_value(&self->working, place, self->batch, error);
}

/* ---- Directories ------------------------------------------------------------------------- */

/* KEY comes with the merge: staged markers of the directories it lies in are void. */
static bool drop_staged_markers(const ProllyBeside *self, const ProllyPlace *key, GError **error)
{
	for (size_t i = 0; i < key->key_len; i++) {
		ProllyPlace place = {key->ns, key->key, i};
		g_auto(ProllyFinding) finding = {0};

		if (key->key[i] != '/')
			continue;
		prolly_finding_init(&finding);
		if (!prolly_working_find(&self->working, &place, 0, false, &finding, error))
			return false;
		if (prolly_finding_is_marker(&finding) &&
		    finding.value_level != PROLLY_LEVEL_COMMITTED &&
		    !prolly_staged_drop_value(&self->working, &place, self->batch, error))
			return false;
	}
	return true;
}

/* A marker comes with the merge: void if keys are staged in its directory. */
static bool hide_marker(const ProllyBeside *self, const ProllyPlace *marker, GError **error)
{
	g_autofree uint8_t *prefix = g_malloc(marker->key_len + 1);
	g_autoptr(ProllyScan) scan = NULL;

	if (marker->key_len)
		memcpy(prefix, marker->key, marker->key_len);
	prefix[marker->key_len] = '/';
	scan = prolly_scan_new(&self->working, marker->ns, prefix, marker->key_len + 1, 0, 0);
	if (!prolly_scan_seek(scan, prefix, marker->key_len + 1, error))
		return false;
	if (prolly_scan_is_valid(scan))
		prolly_staged_put_tombstone(&self->working, marker, self->batch);
	return true;
}

/* What is staged stays right over the merge: a directory has keys or a marker. */
static bool settle_directories(const ProllyBeside *self, const ProllyPlace *place,
			       const ProllyMergeStep *step, const uint8_t *value, size_t len,
			       Staged staged, GError **error)
{
	if (!value || !prolly_namespace_has_directories(place->ns))
		return true;
	if (!prolly_stored_is_marker(value, len))
		return step->ours || drop_staged_markers(self, place, error);
	return staged != STAGED_NOT || hide_marker(self, place, error);
}

/* ---- The comparison ---------------------------------------------------------------------- */

bool prolly_beside_check(const ProllyBeside *self, const ProllyPlace *place,
			 const ProllyMergeStep *step, const uint8_t *value, size_t len,
			 GError **error)
{
	g_auto(ProllyFinding) finding = {0};
	Staged staged;

	if (self->is_empty)
		return true;
	prolly_finding_init(&finding);
	if (!prolly_working_find(&self->working, place, 0, false, &finding, error))
		return false;
	staged = compare(&finding, step, value, len);
	if (staged == STAGED_OTHERWISE && !settle_otherwise(self, place, &finding, error))
		return false;
	if (!self->batch)
		return true;
	/* It would undo the merge once that has changed the key. */
	if (staged == STAGED_AS_OURS &&
	    !prolly_staged_drop_value(&self->working, place, self->batch, error))
		return false;
	return settle_directories(self, place, step, value, len, staged, error);
}

/* *OUT_BRINGS: keys of it come with the merge. */
static bool check_keys(const ProllyBeside *self, const ProllyTrio *trio, bool *out_brings,
		       GError **error)
{
	const ProllyTreeContext *context = prolly_repo_get_context(self->working.repo);
	g_autoptr(ProllyDiff) diff =
		prolly_diff_new(context, trio->ours, trio->theirs, NULL, 0, NULL, 0);
	ProllyChange change;
	bool end;

	while (prolly_diff_next(diff, &change, &end, error)) {
		ProllyPlace place = {trio->name, change.key, change.key_len};
		ProllyMergeStep step = {.ours = change.old_value, .ours_len = change.old_len};

		if (end)
			return true;
		*out_brings |= change.new_value != NULL;
		if (!prolly_beside_check(self, &place, &step, change.new_value, change.new_len,
					 error))
			return false;
	}
	return false;
}

static bool check_namespace(const ProllyBeside *self, const ProllyTrio *trio, GError **error)
{
	bool brings = false;

	if (prolly_trio_is_changed(trio) && !check_keys(self, trio, &brings, error))
		return false;
	if (!self->batch || (!brings && trio->in_ours == trio->in_theirs))
		return true;
	return prolly_staged_drop_namespace(&self->working, trio->name, !brings && trio->in_ours,
					    self->batch, error);
}

bool prolly_beside_check_all(const ProllyBeside *self, const GArray *ours, const GArray *merged,
			     GError **error)
{
	g_autoptr(GArray) trios = NULL;
	ProllySides sides;

	if (self->is_empty)
		return true;
	if (!prolly_sides_init(&sides, self->working.repo, ours, ours, merged, error))
		return false;
	trios = prolly_sides_list(&sides);
	for (guint i = 0; i < trios->len; i++) {
		if (!check_namespace(self, &g_array_index(trios, ProllyTrio, i), error))
			return false;
	}
	if (self->batch)
		prolly_staged_note_move(prolly_branch_get_id(self->working.branch),
					self->working.state, self->batch);
	return true;
}
