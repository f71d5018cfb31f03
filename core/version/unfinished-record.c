/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept of merges that wait for somebody. Records in META:
 *
 *   "merge/" id (be32)      version u8, 1; flags u8; from, to (20 bytes each, as the flags say);
 *                           if it is staged, its generation (le64);
 *                           operation, message (strings); the optional strings that the flags name:
 *                           author's name and e-mail (with time le64, offset le32), strategy,
 *                           preference, note; resolved (varint); then for each side, base, ours,
 *                           theirs, what it has of the keys that wait: varint count of namespaces,
 *                           for each name (string), top (32 bytes), keys and bytes (varints)
 *   "resolved/" id (be32) namespace NUL key
 *                           flags u8; fingerprints of the sides and of what was staged (16 bytes
 *                           each); the stored value, if the flags say so
 *
 * A string is a varint length and its bytes. The commits that the merge needs are kept in the git
 * repository by the reference refs/prollyfs/merge/ID, which stands at a commit that has them as its
 * parents, so that git gc takes none of them, whatever becomes of the branches. The trees of what
 * waits and the values of resolutions are in no commit: prolly_unfinished_foreach_root tells them
 * to the garbage collection.
 *
 * A resolution holds while the sides are what they were, or where ours has become what was
 * resolved. So a branch may go on while its merge waits: what was changed since is in conflict
 * again, and nothing that was done meanwhile is lost.
 */
#include "version/merge-private.h"
#include "version/repo-private.h"

#include <inttypes.h>
#include <string.h>

#define RECORD_VERSION 1
#define RECORD_PREFIX  "merge/"
#define RESOLVED       "resolved/"
#define REFS_PREFIX    "refs/prollyfs/merge/"

enum {
	HAS_FROM = 1 << 0,
	HAS_TO = 1 << 1,
	IS_STAGED = 1 << 2,
	HAS_AUTHOR = 1 << 3,
	HAS_STRATEGY = 1 << 4,
	HAS_PREFERENCE = 1 << 5,
	HAS_NOTE = 1 << 6,
	IS_SQUASH = 1 << 7,
};

enum {
	RESOLUTION_HAS_VALUE = 1 << 0,
	RESOLUTION_BY_HAND = 1 << 1,
};

/* ---- Lifecycle --------------------------------------------------------------------------- */

void prolly_unfinished_free(ProllyUnfinished *unfinished)
{
	if (!unfinished)
		return;
	g_free(unfinished->operation);
	g_free(unfinished->message);
	prolly_signature_clear(&unfinished->author);
	g_free(unfinished->strategy);
	g_free(unfinished->preference);
	g_free(unfinished->note);
	for (size_t side = 0; side < PROLLY_SIDE_OF_N; side++)
		g_clear_pointer(&unfinished->open[side], g_array_unref);
	g_free(unfinished);
}

ProllyUnfinished *prolly_unfinished_copy(const ProllyUnfinished *unfinished)
{
	ProllyUnfinished *copy = g_memdup2(unfinished, sizeof(*unfinished));

	copy->operation = g_strdup(unfinished->operation);
	copy->message = g_strdup(unfinished->message);
	copy->author.name = g_strdup(unfinished->author.name);
	copy->author.email = g_strdup(unfinished->author.email);
	copy->strategy = g_strdup(unfinished->strategy);
	copy->preference = g_strdup(unfinished->preference);
	copy->note = g_strdup(unfinished->note);
	for (size_t side = 0; side < PROLLY_SIDE_OF_N; side++)
		copy->open[side] = prolly_namespaces_new();
	return copy;
}

/* ---- Keys -------------------------------------------------------------------------------- */

/* PREFIX and the branch's number. */
static GByteArray *new_key(const char *prefix, uint32_t branch_id)
{
	GByteArray *key = g_byte_array_new();

	g_byte_array_append(key, (const uint8_t *)prefix, (guint)strlen(prefix));
	prolly_append_be32(key, branch_id);
	return key;
}

static GByteArray *new_resolution_key(uint32_t branch_id, const ProllyPlace *place)
{
	GByteArray *key = new_key(RESOLVED, branch_id);

	g_byte_array_append(key, (const uint8_t *)place->ns, (guint)strlen(place->ns) + 1);
	g_byte_array_append(key, place->key, (guint)place->key_len);
	return key;
}

/* ---- The record -------------------------------------------------------------------------- */

static void append_text(GByteArray *out, const char *text)
{
	if (text)
		prolly_append_string(out, text, strlen(text));
}

static void append_side(GByteArray *out, const GArray *namespaces)
{
	prolly_append_varint(out, namespaces->len);
	for (guint i = 0; i < namespaces->len; i++) {
		const ProllyNamespace *ns = &g_array_index(namespaces, ProllyNamespace, i);

		append_text(out, ns->name);
		g_byte_array_append(out, ns->tree.top.bytes, PROLLY_HASH_SIZE);
		prolly_append_varint(out, ns->tree.keys);
		prolly_append_varint(out, ns->tree.bytes);
	}
}

static unsigned get_flags(const ProllyUnfinished *unfinished)
{
	return (unfinished->has_from ? HAS_FROM : 0) | (unfinished->has_to ? HAS_TO : 0) |
	       (unfinished->is_staged ? IS_STAGED : 0) | (unfinished->is_squash ? IS_SQUASH : 0) |
	       (unfinished->author.name ? HAS_AUTHOR : 0) |
	       (unfinished->strategy ? HAS_STRATEGY : 0) |
	       (unfinished->preference ? HAS_PREFERENCE : 0) | (unfinished->note ? HAS_NOTE : 0);
}

void prolly_unfinished_save(uint32_t branch_id, const ProllyUnfinished *unfinished,
			    ProllyDbBatch *batch)
{
	g_autoptr(GByteArray) key = new_key(RECORD_PREFIX, branch_id);
	g_autoptr(GByteArray) out = g_byte_array_new();

	prolly_append_u8(out, RECORD_VERSION);
	prolly_append_u8(out, (uint8_t)get_flags(unfinished));
	if (unfinished->has_from)
		g_byte_array_append(out, unfinished->from.bytes, PROLLY_COMMIT_ID_SIZE);
	if (unfinished->has_to)
		g_byte_array_append(out, unfinished->to.bytes, PROLLY_COMMIT_ID_SIZE);
	if (unfinished->is_staged)
		prolly_append_le64(out, unfinished->generation);
	append_text(out, unfinished->operation);
	append_text(out, unfinished->message);
	if (unfinished->author.name) {
		append_text(out, unfinished->author.name);
		append_text(out, unfinished->author.email);
		prolly_append_le64(out, (uint64_t)unfinished->author.time);
		prolly_append_le32(out, (uint32_t)unfinished->author.offset_minutes);
	}
	append_text(out, unfinished->strategy);
	append_text(out, unfinished->preference);
	append_text(out, unfinished->note);
	prolly_append_varint(out, unfinished->resolved);
	for (size_t side = 0; side < PROLLY_SIDE_OF_N; side++)
		append_side(out, unfinished->open[side]);
	prolly_db_batch_put(batch, PROLLY_DB_META, key->data, key->len, out->data, out->len);
}

/* (transfer full) A string; NULL past the end, which the reader remembers. */
static char *read_text(ProllyReader *reader, bool has)
{
	size_t len;
	const uint8_t *text = has ? prolly_reader_string(reader, &len) : NULL;

	return text ? g_strndup((const char *)text, len) : NULL;
}

static void read_bytes(ProllyReader *reader, uint8_t *out, size_t len)
{
	const uint8_t *bytes = prolly_reader_bytes(reader, len);

	if (bytes)
		memcpy(out, bytes, len);
}

static GArray *read_side(ProllyReader *reader)
{
	GArray *namespaces = prolly_namespaces_new();

	for (uint64_t n = prolly_reader_varint(reader); n > 0 && prolly_reader_ok(reader); n--) {
		ProllyNamespace ns = {.name = read_text(reader, true)};

		read_bytes(reader, ns.tree.top.bytes, PROLLY_HASH_SIZE);
		ns.tree.keys = prolly_reader_varint(reader);
		ns.tree.bytes = prolly_reader_varint(reader);
		g_array_append_val(namespaces, ns);
	}
	return namespaces;
}

static void read_author(ProllyReader *reader, ProllySignature *author)
{
	author->name = read_text(reader, true);
	author->email = read_text(reader, true);
	author->time = (int64_t)prolly_reader_le64(reader);
	author->offset_minutes = (int32_t)prolly_reader_le32(reader);
}

/* NULL: damaged. */
static ProllyUnfinished *decode(const uint8_t *data, size_t len)
{
	g_autoptr(ProllyUnfinished) unfinished = g_new0(ProllyUnfinished, 1);
	ProllyReader reader;
	uint8_t flags;

	prolly_reader_init(&reader, data, len);
	if (prolly_reader_u8(&reader) != RECORD_VERSION)
		return NULL;
	flags = prolly_reader_u8(&reader);
	unfinished->has_from = flags & HAS_FROM;
	unfinished->has_to = flags & HAS_TO;
	unfinished->is_staged = flags & IS_STAGED;
	unfinished->is_squash = flags & IS_SQUASH;
	if (unfinished->has_from)
		read_bytes(&reader, unfinished->from.bytes, PROLLY_COMMIT_ID_SIZE);
	if (unfinished->has_to)
		read_bytes(&reader, unfinished->to.bytes, PROLLY_COMMIT_ID_SIZE);
	if (unfinished->is_staged)
		unfinished->generation = prolly_reader_le64(&reader);
	unfinished->operation = read_text(&reader, true);
	unfinished->message = read_text(&reader, true);
	if (flags & HAS_AUTHOR)
		read_author(&reader, &unfinished->author);
	unfinished->strategy = read_text(&reader, flags & HAS_STRATEGY);
	unfinished->preference = read_text(&reader, flags & HAS_PREFERENCE);
	unfinished->note = read_text(&reader, flags & HAS_NOTE);
	unfinished->resolved = prolly_reader_varint(&reader);
	for (size_t side = 0; side < PROLLY_SIDE_OF_N; side++)
		unfinished->open[side] = read_side(&reader);
	return prolly_reader_at_end(&reader) ? g_steal_pointer(&unfinished) : NULL;
}

bool prolly_unfinished_load(ProllyRepo *repo, ProllyBranch *branch,
			    ProllyUnfinished **out_unfinished, GError **error)
{
	g_autoptr(GByteArray) key = new_key(RECORD_PREFIX, prolly_branch_get_id(branch));
	g_autoptr(GBytes) record = NULL;
	ProllyUnfinished *unfinished = NULL;

	if (!prolly_db_get(repo->body->db, PROLLY_DB_META, NULL, key->data, key->len, &record,
			   error))
		return false;
	if (record) {
		unfinished = decode(g_bytes_get_data(record, NULL), g_bytes_get_size(record));
		if (!unfinished) {
			g_autofree char *name = prolly_branch_dup_name(branch);

			return prolly_throw(error, PROLLY_ERROR_CORRUPT,
					    "the record of branch %s's unfinished merge is damaged",
					    name);
		}
	}
	*out_unfinished = unfinished;
	return true;
}

static void delete_prefix(const char *prefix, uint32_t branch_id, ProllyDbBatch *batch)
{
	g_autoptr(GByteArray) lower = new_key(prefix, branch_id);
	g_autofree uint8_t *upper = g_malloc(lower->len);
	size_t upper_len = prolly_db_prefix_end(lower->data, lower->len, upper);

	prolly_db_batch_delete_range(batch, PROLLY_DB_META, lower->data, lower->len, upper,
				     upper_len);
}

void prolly_unfinished_delete(uint32_t branch_id, ProllyDbBatch *batch)
{
	g_autoptr(GByteArray) key = new_key(RECORD_PREFIX, branch_id);

	prolly_db_batch_delete(batch, PROLLY_DB_META, key->data, key->len);
	delete_prefix(RESOLVED, branch_id, batch);
}

/* ---- Resolutions ------------------------------------------------------------------------- */

void prolly_resolution_clear(ProllyResolution *resolution)
{
	g_clear_pointer(&resolution->stored, g_bytes_unref);
}

static void append_value(GByteArray *out, const uint8_t *value, size_t len)
{
	prolly_append_u8(out, value != NULL);
	if (value)
		prolly_append_string(out, value, len);
}

static void take_fingerprint(const GByteArray *text, uint8_t out[PROLLY_FINGERPRINT_SIZE])
{
	ProllyHash hash;

	prolly_hash_compute(text->data, text->len, &hash);
	memcpy(out, hash.bytes, PROLLY_FINGERPRINT_SIZE);
}

void prolly_resolution_fingerprint(const ProllyMergeStep *step,
				   uint8_t out[PROLLY_FINGERPRINT_SIZE])
{
	g_autoptr(GByteArray) text = g_byte_array_new();

	append_value(text, step->base, step->base_len);
	append_value(text, step->ours, step->ours_len);
	append_value(text, step->theirs, step->theirs_len);
	take_fingerprint(text, out);
}

void prolly_resolution_fingerprint_value(const uint8_t *value, size_t len,
					 uint8_t out[PROLLY_FINGERPRINT_SIZE])
{
	g_autoptr(GByteArray) text = g_byte_array_new();

	append_value(text, value, len);
	take_fingerprint(text, out);
}

static bool is_value(const ProllyResolution *resolution, const uint8_t *value, size_t len)
{
	if (!resolution->stored || !value)
		return !resolution->stored && !value;
	return g_bytes_get_size(resolution->stored) == len &&
	       memcmp(g_bytes_get_data(resolution->stored, NULL), value, len) == 0;
}

bool prolly_resolution_holds(const ProllyResolution *resolution, const ProllyMergeStep *step)
{
	uint8_t sides[PROLLY_FINGERPRINT_SIZE];

	prolly_resolution_fingerprint(step, sides);
	return memcmp(sides, resolution->sides, sizeof(sides)) == 0 ||
	       is_value(resolution, step->ours, step->ours_len);
}

void prolly_resolution_put(uint32_t branch_id, const ProllyPlace *place,
			   const ProllyResolution *resolution, ProllyDbBatch *batch)
{
	g_autoptr(GByteArray) key = new_resolution_key(branch_id, place);
	g_autoptr(GByteArray) out = g_byte_array_new();
	size_t len = 0;
	const uint8_t *stored =
		resolution->stored ? g_bytes_get_data(resolution->stored, &len) : NULL;

	prolly_append_u8(out, (stored ? RESOLUTION_HAS_VALUE : 0) |
				      (resolution->by_hand ? RESOLUTION_BY_HAND : 0));
	g_byte_array_append(out, resolution->sides, PROLLY_FINGERPRINT_SIZE);
	g_byte_array_append(out, resolution->staged, PROLLY_FINGERPRINT_SIZE);
	if (stored)
		g_byte_array_append(out, stored, (guint)len);
	prolly_db_batch_put(batch, PROLLY_DB_META, key->data, key->len, out->data, out->len);
}

/* What a record has besides the value: flags, then two fingerprints. */
#define RESOLUTION_HEAD (1 + 2 * PROLLY_FINGERPRINT_SIZE)

/* The stored value in a record, or NULL: there is none. */
static bool parse_resolution(const uint8_t *data, size_t len, const uint8_t **out_stored,
			     size_t *out_stored_len, GError **error)
{
	bool has = len > 0 && data[0] & RESOLUTION_HAS_VALUE;

	*out_stored = NULL;
	*out_stored_len = 0;
	if (len < RESOLUTION_HEAD || has != (len > RESOLUTION_HEAD))
		return prolly_throw(error, PROLLY_ERROR_CORRUPT,
				    "the record of a resolved key is damaged");
	if (has) {
		*out_stored = data + RESOLUTION_HEAD;
		*out_stored_len = len - RESOLUTION_HEAD;
	}
	return true;
}

bool prolly_resolution_find(ProllyRepo *repo, uint32_t branch_id, const ProllyPlace *place,
			    ProllyResolution *out_resolution, bool *out_found, GError **error)
{
	g_autoptr(GByteArray) key = new_resolution_key(branch_id, place);
	g_autoptr(GBytes) record = NULL;
	const uint8_t *data, *stored;
	size_t len, stored_len;

	if (!prolly_db_get(repo->body->db, PROLLY_DB_META, NULL, key->data, key->len, &record,
			   error))
		return false;
	*out_found = record != NULL;
	if (!record)
		return true;
	data = g_bytes_get_data(record, &len);
	if (!parse_resolution(data, len, &stored, &stored_len, error))
		return false;
	*out_resolution = (ProllyResolution){.by_hand = data[0] & RESOLUTION_BY_HAND};
	memcpy(out_resolution->sides, data + 1, PROLLY_FINGERPRINT_SIZE);
	memcpy(out_resolution->staged, data + 1 + PROLLY_FINGERPRINT_SIZE, PROLLY_FINGERPRINT_SIZE);
	if (stored)
		out_resolution->stored = g_bytes_new(stored, stored_len);
	return true;
}

/* ---- All of them ------------------------------------------------------------------------- */

static ProllyDbIter *iter_new(ProllyRepo *repo, const ProllyDbSnapshot *snapshot,
			      const char *prefix)
{
	size_t len = strlen(prefix);
	g_autofree uint8_t *end = g_malloc(len);
	size_t end_len = prolly_db_prefix_end(prefix, len, end);
	ProllyDbIter *iter = prolly_db_iter_new(repo->body->db, PROLLY_DB_META, snapshot, prefix,
						len, end, end_len);

	prolly_db_iter_seek_first(iter);
	return iter;
}

/* The branch whose record KEY is joins NAMES, if it is (still) there. */
static bool add_name(ProllyRepo *repo, const uint8_t *key, size_t len, GPtrArray *names,
		     GError **error)
{
	g_autoptr(ProllyState) state = NULL;
	char *name = NULL;

	if (len != strlen(RECORD_PREFIX) + 4)
		return prolly_throw(error, PROLLY_ERROR_CORRUPT,
				    "the record of an unfinished merge has a damaged key");
	if (!prolly_state_load(repo->body, prolly_get_be32(key + strlen(RECORD_PREFIX)), &name,
			       &state, error))
		return false;
	if (name)
		g_ptr_array_add(names, name);
	return true;
}

bool prolly_unfinished_list(ProllyRepo *repo, GPtrArray **out_names, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(ProllyDbIter) iter = iter_new(repo, NULL, RECORD_PREFIX);

	for (; prolly_db_iter_is_valid(iter); prolly_db_iter_next(iter)) {
		size_t len, key_len;
		const uint8_t *data = prolly_db_iter_get_value(iter, &len);
		const uint8_t *key = prolly_db_iter_get_key(iter, &key_len);

		if (len > 1 && !(data[1] & IS_STAGED) &&
		    !add_name(repo, key, key_len, names, error))
			return false;
	}
	if (!prolly_db_iter_check(iter, error))
		return false;
	g_ptr_array_sort(names, prolly_strings_compare);
	*out_names = g_steal_pointer(&names);
	return true;
}

/* ---- What the garbage collection must keep ------------------------------------------------ */

static bool give_trees(const ProllyUnfinished *unfinished, const ProllyUnfinishedRoots *roots,
		       GError **error)
{
	for (size_t side = 0; side < PROLLY_SIDE_OF_N; side++) {
		const GArray *namespaces = unfinished->open[side];

		for (guint i = 0; i < namespaces->len; i++)
			if (!roots->tree(&g_array_index(namespaces, ProllyNamespace, i).tree,
					 roots->data, error))
				return false;
	}
	return true;
}

static bool give_all_trees(ProllyRepo *repo, const ProllyDbSnapshot *snapshot,
			   const ProllyUnfinishedRoots *roots, GError **error)
{
	g_autoptr(ProllyDbIter) iter = iter_new(repo, snapshot, RECORD_PREFIX);

	for (; prolly_db_iter_is_valid(iter); prolly_db_iter_next(iter)) {
		size_t len;
		const uint8_t *data = prolly_db_iter_get_value(iter, &len);
		g_autoptr(ProllyUnfinished) unfinished = decode(data, len);

		if (!unfinished)
			return prolly_throw(error, PROLLY_ERROR_CORRUPT,
					    "the record of an unfinished merge is damaged");
		if (!give_trees(unfinished, roots, error))
			return false;
	}
	return prolly_db_iter_check(iter, error);
}

bool prolly_unfinished_foreach_root(ProllyRepo *repo, const ProllyDbSnapshot *snapshot,
				    const ProllyUnfinishedRoots *roots, GError **error)
{
	g_autoptr(ProllyDbIter) iter = iter_new(repo, snapshot, RESOLVED);

	for (; prolly_db_iter_is_valid(iter); prolly_db_iter_next(iter)) {
		size_t len, stored_len;
		const uint8_t *data = prolly_db_iter_get_value(iter, &len);
		const uint8_t *stored;

		if (!parse_resolution(data, len, &stored, &stored_len, error) ||
		    (stored && !roots->value(stored, stored_len, roots->data, error)))
			return false;
	}
	return prolly_db_iter_check(iter, error) && give_all_trees(repo, snapshot, roots, error);
}

/* ---- The reference ----------------------------------------------------------------------- */

bool prolly_unfinished_new_update(ProllyRepo *repo, uint32_t branch_id, const ProllyCommitId *to,
				  ProllyRefUpdate **out_update, GError **error)
{
	g_autofree char *name = g_strdup_printf(REFS_PREFIX "%" PRIu32, branch_id);
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&repo->body->git_lock);
	ProllyRefs *refs = repo->body->git->refs;
	ProllyCommitId from = {{0}};
	ProllyRefUpdate *update;
	bool found;

	*out_update = NULL;
	if (!refs->ops->get(refs, name, &from, &found, error))
		return false;
	if (to ? prolly_commit_id_equal(&from, to) : !found)
		return true;
	update = g_new0(ProllyRefUpdate, 1);
	update->name = g_steal_pointer(&name);
	update->from = from;
	if (to)
		update->to = *to;
	update->log = g_strdup(""); /* no reflog */
	*out_update = update;
	return true;
}
