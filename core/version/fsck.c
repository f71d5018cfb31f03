/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifying a store.
 *
 * First the heads of branches are looked at, each under its own name, then all other commits that
 * references and reflogs reach, each once (fsck-git.c); then the working sets. What they share is
 * shared here too: a node that was found sound, with all below it, is remembered by a bit in a census
 * (6.3 bytes a node), and what is below is not looked at again; that it is what another node says of
 * it is, in the cache. A large value is remembered as it was referred to, by a number (some 20 bytes)
 * that nobody can foresee, and not read again: its hash with another length is another value; so is
 * what is wrong with it. A tree's node that is not sound is not remembered, so each commit and branch
 * that has it comes upon it again, and is named.
 *
 * Nodes are read whatever the cache has, so what is verified is what is on the disk. A large value is
 * cut and hashed once more, which has to give the same (blob-verify.c).
 *
 * When something was taken back (fsck-repair.c), everything is verified anew: only then can it be
 * seen what lies below.
 */
#include "version/fsck-private.h"

#include <string.h>

#include "blob/blob-verify.h"
#include "tree/verify.h"
#include "version/history.h"
#include "version/keypath.h"
#include "version/merge-private.h"
#include "version/past-private.h"
#include "version/working-private.h"

#define MERGES     ".prollyfs/conflicts"
#define ROUNDS_MAX 64 /* more than a tree or a blob has levels */

/* ---- What is found ----------------------------------------------------------------------- */

static void free_found(gpointer data)
{
	ProllyFound *found = data;

	g_free(found->kind);
	g_free(found->object);
	g_free(found->message);
	g_ptr_array_unref(found->paths);
	g_array_unref(found->commits);
	g_free(found);
}

static ProllyFound *find_or_add(ProllyFsck *self, const char *kind, const char *object,
				const char *message)
{
	g_autofree char *name = g_strconcat(kind, " ", object, NULL);
	ProllyFound *found = g_hash_table_lookup(self->by_name, name);

	if (found)
		return found;
	found = g_new0(ProllyFound, 1);
	found->kind = g_strdup(kind);
	found->object = g_strdup(object);
	found->message = g_strdup(message);
	found->paths = g_ptr_array_new_with_free_func(g_free);
	found->commits = g_array_new(FALSE, FALSE, sizeof(ProllyCommitId));
	g_hash_table_insert(self->by_name, g_steal_pointer(&name), found);
	g_ptr_array_add(self->found, found);
	return found;
}

ProllyFound *prolly_fsck_note(ProllyFsck *self, const char *kind, const char *object, char *path,
			      const char *message)
{
	ProllyFound *found = find_or_add(self, kind, object, message);
	guint n = found->commits->len;

	self->n_damages++;
	if (g_ptr_array_find_with_equal_func(found->paths, path, g_str_equal, NULL))
		g_free(path);
	else
		g_ptr_array_add(found->paths, path);
	/* A commit's namespaces are looked at one after the other. */
	if (self->commit &&
	    (n == 0 ||
	     !prolly_commit_id_equal(&g_array_index(found->commits, ProllyCommitId, n - 1),
				     self->commit)))
		g_array_append_vals(found->commits, self->commit, 1);
	return found;
}

bool prolly_fsck_is_damage(const GError *error)
{
	return prolly_error_is(error, PROLLY_ERROR_CORRUPT) ||
	       prolly_error_is(error, PROLLY_ERROR_MISSING) ||
	       prolly_error_is(error, PROLLY_ERROR_NOT_FOUND);
}

static void free_lost(gpointer data)
{
	ProllyLost *lost = data;

	g_free(lost->ns);
	g_clear_pointer(&lost->key, g_byte_array_unref);
	g_clear_pointer(&lost->after, g_byte_array_unref);
	g_free(lost);
}

/* Node HASH is damaged, as was noted in FOUND. (borrowed) */
static ProllyLost *add_lost(ProllyFsck *self, ProllyNodeClass node_class, const ProllyHash *hash,
			    ProllyFound *found)
{
	ProllyLost *lost = g_new0(ProllyLost, 1);

	*lost = (ProllyLost){
		.node_class = node_class, .hash = *hash, .found = found, .ns = g_strdup(self->ns)};
	g_ptr_array_add(self->lost, lost);
	return lost;
}

static char *dup_key_path(const ProllyFsck *self, const void *key, size_t len)
{
	g_autofree char *path = prolly_path_from_key(self->ns, key, len, false);

	return g_strconcat(self->rev, "/", path, NULL);
}

/* ---- Values ------------------------------------------------------------------------------ */

/* What is wrong with a large value: a node or chunk of it. */
typedef struct {
	ProllyNodeClass node_class;
	ProllyHash hash;
	uint64_t offset;
	uint64_t length;
	char *message;
} BlobFlaw;

static void clear_flaw(gpointer data)
{
	g_free(((BlobFlaw *)data)->message);
}

/* The value of SELF's key has FLAW. */
static void note_flaw(ProllyFsck *self, const BlobFlaw *flaw)
{
	char hex[PROLLY_HASH_HEX_SIZE];
	ProllyFound *found =
		prolly_fsck_note(self, self->kind, prolly_hash_to_hex(&flaw->hash, hex),
				 dup_key_path(self, self->key, self->key_len), flaw->message);
	ProllyLost *lost = add_lost(self, flaw->node_class, &flaw->hash, found);

	lost->is_of_blob = true;
	lost->key = g_byte_array_append(g_byte_array_new(), self->key, (guint)self->key_len);
	lost->offset = flaw->offset;
	lost->length = flaw->length;
}

static void collect_flaw(ProllyNodeClass node_class, const ProllyHash *hash, uint64_t offset,
			 uint64_t len, const GError *flaw, void *flaws)
{
	BlobFlaw collected = {node_class, *hash, offset, len, g_strdup(flaw->message)};

	g_array_append_val((GArray *)flaws, collected);
}

/* A number of what refers to BLOB: of its hash, but of its length and height as well. */
static gpointer make_tag(const ProllyFsck *self, const ProllyBlob *blob)
{
	uint8_t claim[16 + PROLLY_HASH_SIZE];
	ProllyHash hash;

	prolly_set_le64(claim, blob->length);
	prolly_set_le64(claim + 8, blob->height);
	memcpy(claim + 16, &blob->hash, PROLLY_HASH_SIZE);
	prolly_hash_compute2(self->secret, sizeof(self->secret), claim, sizeof(claim), &hash);
	return (gpointer)(uintptr_t)prolly_get_le64(hash.bytes);
}

/* Reads BLOB, and remembers what there is to say of it. */
static bool look_into_blob(ProllyFsck *self, const ProllyBlob *blob, gpointer tag, GError **error)
{
	g_autoptr(GArray) flaws = g_array_new(FALSE, FALSE, sizeof(BlobFlaw));
	ProllyBlobVerifier verifier = {
		.scratch = self->scratch, .damage = collect_flaw, .data = flaws};
	bool is_sound;

	g_array_set_clear_func(flaws, clear_flaw);
	if (!prolly_blob_verify(&self->context, blob, &verifier, &is_sound, error))
		return false;
	if (is_sound)
		g_hash_table_add(self->sound_blobs, tag);
	else
		g_hash_table_insert(self->damaged_blobs, tag, g_steal_pointer(&flaws));
	return true;
}

static bool check_blob(ProllyFsck *self, const ProllyBlob *blob, GError **error)
{
	gpointer tag = make_tag(self, blob);
	const GArray *flaws;

	if (g_hash_table_contains(self->sound_blobs, tag))
		return true;
	if (!g_hash_table_contains(self->damaged_blobs, tag) &&
	    !look_into_blob(self, blob, tag, error))
		return false;
	flaws = g_hash_table_lookup(self->damaged_blobs, tag);
	for (guint i = 0; flaws && i < flaws->len; i++)
		note_flaw(self, &g_array_index(flaws, BlobFlaw, i));
	return true;
}

/* Which of the two forms a value has is for its length to say. */
static bool check_form(ProllyFsck *self, const ProllyValue *value, GError **error)
{
	uint64_t limit = prolly_format_get_parameters(self->context.format)->inline_limit;

	return value->is_blob == (value->length > limit) ||
	       prolly_throw(error, PROLLY_ERROR_CORRUPT,
			    "a value of %" G_GUINT64_FORMAT " bytes that is %s", value->length,
			    value->is_blob ? "stored apart" : "not stored apart");
}

/* The value STORED of KEY. */
static bool check_value(ProllyFsck *self, const char *kind, const void *key, size_t key_len,
			const uint8_t *stored, size_t len, GError **error)
{
	g_autoptr(GError) flaw = NULL;
	ProllyValue value;

	self->kind = kind;
	self->key = key;
	self->key_len = key_len;
	if (prolly_value_parse(stored, len, &value, &flaw) && check_form(self, &value, &flaw) &&
	    (!value.is_blob || check_blob(self, &value.blob, &flaw)))
		return true;
	if (prolly_fsck_is_damage(flaw)) {
		g_autofree char *path = dup_key_path(self, key, key_len);

		prolly_fsck_note(self, kind, path, g_strdup(path), flaw->message);
		return true;
	}
	g_propagate_error(error, g_steal_pointer(&flaw));
	return false;
}

/* ---- Trees ------------------------------------------------------------------------------- */

static bool is_known(const ProllyHash *node, void *data)
{
	return prolly_census_is_marked(((ProllyFsck *)data)->sound, node);
}

static void note_sound(const ProllyHash *node, void *data)
{
	prolly_census_mark(((ProllyFsck *)data)->sound, node);
}

static bool check_entry(const uint8_t *key, size_t key_len, const uint8_t *value, size_t len,
			void *data, GError **error)
{
	return check_value(data, "value", key, key_len, value, len, error);
}

static bool pass_entry(const uint8_t *key, size_t key_len, const uint8_t *value, size_t len,
		       void *data, GError **error)
{
	return true;
}

/* Where keys above AFTER up to LAST are: "main/ns/k1..k9", the second without its directories. */
static char *dup_range_path(const ProllyFsck *self, const GByteArray *after, const GByteArray *last)
{
	g_autofree char *from =
		after ? prolly_path_from_key("", after->data, after->len, false) : g_strdup("");
	g_autofree char *to =
		last ? prolly_path_from_key("", last->data, last->len, false) : g_strdup("");
	const char *ns = self->ns ? self->ns : "";

	if (!after && !last)
		return g_strconcat(self->rev, ns[0] ? "/" : "", ns, NULL);
	return g_strconcat(self->rev, ns[0] ? "/" : "", ns, "/", from, "..", to, NULL);
}

static void note_node(const ProllyHash *node, GByteArray *after, GByteArray *last,
		      const GError *flaw, void *data)
{
	ProllyFsck *self = data;
	char hex[PROLLY_HASH_HEX_SIZE];

	const char *kind = self->ns ? "tree" : "attributes";
	ProllyFound *found = prolly_fsck_note(self, kind, prolly_hash_to_hex(node, hex),
					      dup_range_path(self, after, last), flaw->message);
	ProllyLost *lost = add_lost(self, PROLLY_NODE_TREE, node, found);

	lost->after = after ? g_byte_array_ref(after) : NULL;
	lost->key = last ? g_byte_array_ref(last) : NULL;
}

/* The tree of NS; NULL: of attributes. */
static bool check_tree(ProllyFsck *self, const char *ns, const ProllyTree *tree, GError **error)
{
	ProllyTreeVerifier verifier = {
		.is_known = is_known,
		.note_sound = note_sound,
		.entry = ns ? check_entry : pass_entry,
		.damage = note_node,
		.n_damages = &self->n_damages,
		.data = self,
		.known_store = self->repo->body->store,
	};

	self->ns = ns;
	return prolly_tree_verify_with(&self->context, tree, &verifier, error);
}

/* ---- Commits ----------------------------------------------------------------------------- */

static bool tell(ProllyFsck *self, GError **error)
{
	const ProllyFsckOptions *options = self->options;

	return !options->progress ||
	       options->progress(g_hash_table_size(self->commits), options->data, error);
}

bool prolly_fsck_check_commit(ProllyFsck *self, const char *rev, const ProllyCommitId *id,
			      GError **error)
{
	g_autoptr(GArray) namespaces = NULL;
	g_autoptr(GError) flaw = NULL;
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	bool ok = true;

	self->rev = rev;
	self->commit = id;
	if (!prolly_commit_load_namespaces(self->repo, id, &namespaces, &flaw))
		prolly_fsck_note(self, "git", prolly_commit_id_to_hex(id, hex), g_strdup(rev),
				 flaw->message);
	for (guint i = 0; ok && namespaces && i < namespaces->len; i++) {
		const ProllyNamespace *ns = &g_array_index(namespaces, ProllyNamespace, i);

		ok = check_tree(self, ns->name, &ns->tree, error);
	}
	return ok && tell(self, error);
}

/* ---- Working sets ------------------------------------------------------------------------ */

static bool check_record(ProllyFsck *self, ProllyDbIter *iter, GError **error)
{
	g_autoptr(GError) local = NULL;
	ProllyStagedRecord record;
	size_t key_len, place_len, len;
	const uint8_t *key = prolly_db_iter_get_key(iter, &key_len);
	const uint8_t *value = prolly_db_iter_get_value(iter, &len);
	const uint8_t *place;

	if (!prolly_record_key_split(key, key_len, &self->ns, &place, &place_len)) {
		prolly_fsck_note(self, "staged", self->rev, g_strdup(self->rev),
				 "a record has no key");
		return true;
	}
	if (!prolly_staged_record_parse(value, len, &record, &local)) {
		g_autofree char *path = dup_key_path(self, place, place_len);

		prolly_fsck_note(self, "staged", path, g_strdup(path), local->message);
		return true;
	}
	return !record.stored || check_value(self, "staged", place, place_len, record.stored,
					     record.stored_len, error);
}

static bool check_generation(ProllyFsck *self, uint32_t branch_id, uint64_t generation,
			     GError **error)
{
	g_autoptr(ProllyDbIter) iter =
		prolly_staged_iter_new_entries(self->repo->body->db, NULL, branch_id, generation);
	g_autoptr(GError) flaw = NULL;

	for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
	     prolly_db_iter_next(iter)) {
		if (!check_record(self, iter, error))
			return false;
	}
	if (!prolly_db_iter_check(iter, &flaw))
		prolly_fsck_note(self, "staged", self->rev, g_strdup(self->rev), flaw->message);
	return true;
}

static bool check_working_set(ProllyFsck *self, const char *name, GError **error)
{
	ProllyRepoBody *body = self->repo->body;
	g_autoptr(ProllyState) state = NULL;
	g_autofree char *own_name = NULL;
	g_autoptr(GError) flaw = NULL;
	uint32_t id;
	bool ok = true;

	if (!prolly_state_find_branch(body, name, &id, error))
		return false;
	self->rev = name;
	if (id && !prolly_state_load(body, id, &own_name, &state, &flaw)) {
		prolly_fsck_note(self, "staged", name, g_strdup(name), flaw->message);
		return true;
	}
	if (!state)
		return true;
	for (guint i = 0; ok && i < state->generations->len; i++)
		ok = check_generation(self, id, g_array_index(state->generations, uint64_t, i),
				      error);
	return ok && (prolly_hash_is_zero(&state->attributes.top) ||
		      check_tree(self, NULL, &state->attributes, error));
}

static bool check_working_sets(ProllyFsck *self, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

	if (!prolly_state_list_names(self->repo->body, names, error))
		return false;
	for (guint i = 0; i < names->len; i++) {
		if (!tell(self, error) || !check_working_set(self, names->pdata[i], error))
			return false;
	}
	return true;
}

/* What lies over large values is not looked into, only read. */
static bool check_extents(ProllyFsck *self, GError **error)
{
	g_autoptr(ProllyDbIter) iter =
		prolly_db_iter_new(self->repo->body->db, PROLLY_DB_EXTENTS, NULL, "", 0, NULL, 0);
	g_autoptr(GError) flaw = NULL;

	prolly_db_iter_seek_first(iter);
	while (prolly_db_iter_is_valid(iter))
		prolly_db_iter_next(iter);
	if (!prolly_db_iter_check(iter, &flaw))
		prolly_fsck_note(self, "staged", "extents", g_strdup("extents"), flaw->message);
	return tell(self, error);
}

/* ---- Unfinished merges ------------------------------------------------------------------- */

/* What waits is in trees of their own, after those of commits, whose values were looked at. */
static bool check_merge_tree(const ProllyTree *tree, void *data, GError **error)
{
	ProllyFsck *self = data;
	ProllyTreeVerifier verifier = {
		.is_known = is_known,
		.note_sound = note_sound,
		.entry = pass_entry,
		.damage = note_node,
		.n_damages = &self->n_damages,
		.data = self,
		.known_store = self->repo->body->store,
	};

	self->rev = MERGES;
	self->ns = "";
	return prolly_tree_verify_with(&self->context, tree, &verifier, error);
}

static bool check_merge_value(const uint8_t *stored, size_t len, void *data, GError **error)
{
	ProllyFsck *self = data;

	self->rev = MERGES;
	self->ns = "";
	return check_value(self, "staged", "", 0, stored, len, error);
}

static bool check_merges(ProllyFsck *self, GError **error)
{
	const ProllyUnfinishedRoots roots = {
		.tree = check_merge_tree, .value = check_merge_value, .data = self};

	return prolly_unfinished_foreach_root(self->repo, NULL, &roots, error);
}

/* ---- All of it --------------------------------------------------------------------------- */

static bool report(ProllyFsck *self, GError **error)
{
	for (guint i = 0; i < self->found->len; i++) {
		if (!prolly_fsck_tell(self, self->found->pdata[i], NULL, error))
			return false;
	}
	return true;
}

bool prolly_fsck_tell(ProllyFsck *self, const ProllyFound *found, const char *remedy,
		      GError **error)
{
	ProllyDamage damage = {
		.kind = found->kind,
		.object = found->object,
		.commits = (const ProllyCommitId *)(void *)found->commits->data,
		.n_commits = found->commits->len,
		.message = found->message,
		.remedy = remedy,
	};
	bool ok;

	g_ptr_array_add(found->paths, NULL);
	damage.paths = (const char *const *)found->paths->pdata;
	ok = self->options->damage(&damage, self->options->data, error);
	g_ptr_array_set_size(found->paths, (int)found->paths->len - 1);
	return ok;
}

static void fsck_clear(ProllyFsck *self)
{
	prolly_census_free(self->sound);
	g_hash_table_unref(self->sound_blobs);
	g_hash_table_unref(self->damaged_blobs);
	prolly_store_unref(self->scratch);
	prolly_store_unref(self->store);
	g_hash_table_unref(self->commits);
	g_hash_table_unref(self->by_name);
	g_hash_table_unref(self->objects);
	g_ptr_array_unref(self->lost);
	g_ptr_array_unref(self->references);
	g_ptr_array_unref(self->found);
	git_repository_free(self->git);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyFsck, fsck_clear)

static void fsck_init(ProllyFsck *self, ProllyRepo *repo, const ProllyFsckOptions *options)
{
	self->repo = repo;
	self->options = options;
	self->store = prolly_store_new_direct(repo->body->store);
	self->context = (ProllyTreeContext){self->store, repo->body->format};
	self->scratch = prolly_store_new_void();
	self->sound_blobs = g_hash_table_new(NULL, NULL);
	self->damaged_blobs =
		g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_array_unref);
	for (size_t i = 0; i < G_N_ELEMENTS(self->secret); i++)
		self->secret[i] = g_random_int();
	self->commits = g_hash_table_new_full(prolly_commit_id_hash, prolly_commit_id_equal_keys,
					      g_free, NULL);
	self->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	self->found = g_ptr_array_new_with_free_func(free_found);
	self->lost = g_ptr_array_new_with_free_func(free_lost);
	self->references = g_ptr_array_new_with_free_func(g_free);
	self->objects = prolly_oid_set_new();
}

/* *OUT_AGAIN: something was taken back, so that more can be seen. */
static bool run(ProllyRepo *repo, const ProllyFsckOptions *options, bool may_repair,
		bool *out_again, uint64_t *out_n, GError **error)
{
	g_auto(ProllyFsck) self = {0};
	uint64_t n_repaired = 0;

	fsck_init(&self, repo, options);
	if (!prolly_census_new(repo->body->store, PROLLY_CENSUS_TO_VERIFY, &self.sound, error) ||
	    !prolly_fsck_check_references(&self, error) || !check_working_sets(&self, error) ||
	    !check_merges(&self, error) || !check_extents(&self, error) ||
	    (may_repair && !prolly_fsck_repair(&self, &n_repaired, error)))
		return false;
	*out_again = n_repaired > 0;
	*out_n = self.found->len;
	return *out_again || report(&self, error);
}

bool prolly_fsck_run(ProllyRepo *repo, const ProllyFsckOptions *options, uint64_t *out_n,
		     GError **error)
{
	bool again = true;

	/* What was taken back refers to what may be damaged too. */
	for (unsigned i = 0; again; i++) {
		if (!run(repo, options, options->repair && i < ROUNDS_MAX, &again, out_n, error))
			return false;
	}
	return true;
}
