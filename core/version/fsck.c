/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifying a store.
 *
 * First the heads of all references are looked at, each under its own name, then all other commits
 * that they reach, each once. What they share is shared here too: a node (or a large value) that was
 * found sound, with all below it, is remembered by a bit in a census (8.3 bytes a node), and not
 * read again. What is not sound is not remembered, so each commit and branch that has it comes upon
 * it again, and is named.
 *
 * Nodes are read past the cache, so what is verified is what is on the disk.
 */
#include "version/fsck.h"

#include "store/census.h"
#include "tree/verify.h"
#include "version/history.h"
#include "version/keypath.h"
#include "version/repo-private.h"
#include "version/working-private.h"

#include <string.h>

#define READ_SIZE (1u << 20)

/* A damage that was found. */
typedef struct {
	char *kind;
	char *object;
	char *message;
	GPtrArray *paths; /* of char * */
	GArray *commits;  /* of ProllyCommitId */
} Found;

typedef struct {
	ProllyRepo *repo;
	const ProllyFsckOptions *options;
	ProllyStore *store; /* passes the cache by */
	ProllyTreeContext context;
	ProllyCensus *sound;
	uint8_t *buffer;     /* READ_SIZE */
	GHashTable *commits; /* ProllyCommitId: those that were looked at */
	GHashTable *by_name; /* kind and object -> Found, owned by it */
	GPtrArray *found;    /* the same, in order */

	/* What is being looked at. */
	const char *kind;
	const char *rev;              /* what paths begin with */
	const char *ns;               /* NULL: none */
	const ProllyCommitId *commit; /* NULL: none */
} Fsck;

/* ---- What is found ----------------------------------------------------------------------- */

static void free_found(gpointer data)
{
	Found *found = data;

	g_free(found->kind);
	g_free(found->object);
	g_free(found->message);
	g_ptr_array_unref(found->paths);
	g_array_unref(found->commits);
	g_free(found);
}

static Found *find_or_add(Fsck *self, const char *kind, const char *object, const char *message)
{
	g_autofree char *name = g_strconcat(kind, " ", object, NULL);
	Found *found = g_hash_table_lookup(self->by_name, name);

	if (found)
		return found;
	found = g_new0(Found, 1);
	found->kind = g_strdup(kind);
	found->object = g_strdup(object);
	found->message = g_strdup(message);
	found->paths = g_ptr_array_new_with_free_func(g_free);
	found->commits = g_array_new(FALSE, FALSE, sizeof(ProllyCommitId));
	g_hash_table_insert(self->by_name, g_steal_pointer(&name), found);
	g_ptr_array_add(self->found, found);
	return found;
}

/* PATH is (transfer full). */
static void note_damage(Fsck *self, const char *kind, const char *object, char *path,
			const char *message)
{
	Found *found = find_or_add(self, kind, object, message);
	guint n = found->commits->len;

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
}

static bool is_damage(const GError *error)
{
	return prolly_error_is(error, PROLLY_ERROR_CORRUPT) ||
	       prolly_error_is(error, PROLLY_ERROR_MISSING) ||
	       prolly_error_is(error, PROLLY_ERROR_NOT_FOUND);
}

static char *dup_key_path(const Fsck *self, const void *key, size_t len)
{
	g_autofree char *path = prolly_path_from_key(self->ns, key, len, false);

	return g_strconcat(self->rev, "/", path, NULL);
}

/* ---- Values ------------------------------------------------------------------------------ */

/* Reads the data of BLOB; holes have none. */
static bool read_blob(Fsck *self, const ProllyBlob *blob, GError **error)
{
	for (uint64_t at = 0; at < blob->length;) {
		size_t len;

		if (!prolly_blob_seek(&self->context, blob, at, true, &at, error))
			return false;
		if (at >= blob->length)
			break;
		if (!prolly_blob_read(&self->context, blob, at, self->buffer, READ_SIZE, &len,
				      error))
			return false;
		at += len;
	}
	return true;
}

/* The value STORED of KEY. */
static bool check_value(Fsck *self, const char *kind, const void *key, size_t key_len,
			const uint8_t *stored, size_t len, GError **error)
{
	g_autoptr(GError) local = NULL;
	char hex[PROLLY_HASH_HEX_SIZE] = "";
	ProllyValue value;
	bool ok = prolly_value_parse(stored, len, &value, &local);

	if (ok && (!value.is_blob || prolly_census_is_marked(self->sound, &value.blob.hash)))
		return true;
	if (ok) {
		prolly_hash_to_hex(&value.blob.hash, hex);
		ok = read_blob(self, &value.blob, &local);
	}
	if (ok) {
		prolly_census_mark(self->sound, &value.blob.hash);
	} else if (is_damage(local)) {
		g_autofree char *path = dup_key_path(self, key, key_len);

		note_damage(self, kind, hex[0] ? hex : path, g_strdup(path), local->message);
	} else {
		g_propagate_error(error, g_steal_pointer(&local));
		return false;
	}
	return true;
}

/* ---- Trees ------------------------------------------------------------------------------- */

static bool is_known(const ProllyHash *node, void *data)
{
	return prolly_census_is_marked(((Fsck *)data)->sound, node);
}

static void note_sound(const ProllyHash *node, void *data)
{
	prolly_census_mark(((Fsck *)data)->sound, node);
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
static char *dup_range_path(const Fsck *self, const GByteArray *after, const GByteArray *last)
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
	Fsck *self = data;
	char hex[PROLLY_HASH_HEX_SIZE];

	note_damage(self, self->kind, prolly_hash_to_hex(node, hex),
		    dup_range_path(self, after, last), flaw->message);
}

/* The tree of NS; NULL: of attributes. */
static bool check_tree(Fsck *self, const char *ns, const ProllyTree *tree, GError **error)
{
	ProllyTreeVerifier verifier = {
		.is_known = is_known,
		.note_sound = note_sound,
		.entry = ns ? check_entry : pass_entry,
		.damage = note_node,
		.data = self,
	};

	self->kind = ns ? "tree" : "attributes";
	self->ns = ns;
	return prolly_tree_verify_with(&self->context, tree, &verifier, error);
}

/* ---- Commits ----------------------------------------------------------------------------- */

static bool tell(Fsck *self, GError **error)
{
	const ProllyFsckOptions *options = self->options;

	return !options->progress ||
	       options->progress(g_hash_table_size(self->commits), options->data, error);
}

/* The namespaces of commit ID, which paths begin with REV for. */
static bool check_commit(Fsck *self, const char *rev, const ProllyCommitId *id, GError **error)
{
	g_autoptr(GArray) namespaces = NULL;
	g_autoptr(GError) local = NULL;
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	bool ok = true;

	self->rev = rev;
	self->commit = id;
	if (!prolly_commit_load_namespaces(self->repo, id, &namespaces, &local))
		note_damage(self, "git", prolly_commit_id_to_hex(id, hex), g_strdup(rev),
			    local->message);
	for (guint i = 0; ok && namespaces && i < namespaces->len; i++) {
		const ProllyNamespace *ns = &g_array_index(namespaces, ProllyNamespace, i);

		ok = check_tree(self, ns->name, &ns->tree, error);
	}
	self->commit = NULL;
	return ok && tell(self, error);
}

/* True: it was not in it. */
static bool add_commit(Fsck *self, const ProllyCommitId *id)
{
	return !g_hash_table_contains(self->commits, id) &&
	       g_hash_table_add(self->commits, g_memdup2(id, sizeof(*id)));
}

/* All that START, which the reference REV is at, reaches and was not looked at. */
static bool check_history(Fsck *self, const char *rev, const ProllyCommitId *start, GError **error)
{
	ProllyLogOptions options = {.starts = start, .n_starts = 1};
	g_autoptr(ProllyLog) log = NULL;
	g_autoptr(GError) local = NULL;
	bool ok = prolly_log_new(self->repo, &options, &log, &local);

	while (ok) {
		g_autoptr(ProllyCommit) commit = NULL;
		char hex[PROLLY_COMMIT_ID_HEX_SIZE];
		g_autofree char *path = NULL;

		ok = prolly_log_next(log, &commit, &local);
		if (!ok || !commit)
			break;
		if (!add_commit(self, &commit->id))
			continue;
		path = g_strconcat(".prollyfs/at/", prolly_commit_id_to_hex(&commit->id, hex),
				   NULL);
		if (!check_commit(self, path, &commit->id, error))
			return false;
	}
	if (!ok)
		note_damage(self, "git", rev, g_strdup(rev), local->message);
	return true;
}

static const char *shorten(const char *name)
{
	static const char *const prefixes[] = {"refs/heads/", "refs/tags/", "refs/"};

	for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
		if (g_str_has_prefix(name, prefixes[i]))
			return name + strlen(prefixes[i]);
	}
	return name;
}

static bool check_references(Fsck *self, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GArray) heads = g_array_new(FALSE, TRUE, sizeof(ProllyCommitId));
	ProllyRepoBody *body = self->repo->body;
	ProllyRefs *refs = body->git->refs;
	bool ok;

	g_mutex_lock(&body->git_lock);
	ok = refs->ops->list(refs, "refs/", G_MAXUINT, names, error);
	g_array_set_size(heads, names->len);
	for (guint i = 0; ok && i < names->len; i++) {
		bool found;

		ok = refs->ops->get(refs, names->pdata[i], &g_array_index(heads, ProllyCommitId, i),
				    &found, error);
	}
	g_mutex_unlock(&body->git_lock);
	for (guint i = 0; ok && i < names->len; i++) {
		const ProllyCommitId *id = &g_array_index(heads, ProllyCommitId, i);

		if (g_str_has_prefix(names->pdata[i], "refs/heads/") &&
		    !prolly_commit_id_is_zero(id)) {
			add_commit(self, id);
			ok = check_commit(self, shorten(names->pdata[i]), id, error);
		}
	}
	for (guint i = 0; ok && i < names->len; i++) {
		const ProllyCommitId *id = &g_array_index(heads, ProllyCommitId, i);

		ok = prolly_commit_id_is_zero(id) ||
		     check_history(self, shorten(names->pdata[i]), id, error);
	}
	return ok;
}

/* ---- Working sets ------------------------------------------------------------------------ */

static bool check_record(Fsck *self, ProllyDbIter *iter, GError **error)
{
	g_autoptr(GError) local = NULL;
	ProllyStagedRecord record;
	size_t key_len, place_len, len;
	const uint8_t *key = prolly_db_iter_get_key(iter, &key_len);
	const uint8_t *value = prolly_db_iter_get_value(iter, &len);
	const uint8_t *place;

	if (!prolly_record_key_split(key, key_len, &self->ns, &place, &place_len)) {
		note_damage(self, "staged", self->rev, g_strdup(self->rev), "a record has no key");
		return true;
	}
	if (!prolly_staged_record_parse(value, len, &record, &local)) {
		g_autofree char *path = dup_key_path(self, place, place_len);

		note_damage(self, "staged", path, g_strdup(path), local->message);
		return true;
	}
	return !record.stored || check_value(self, "staged", place, place_len, record.stored,
					     record.stored_len, error);
}

static bool check_generation(Fsck *self, uint32_t branch_id, uint64_t generation, GError **error)
{
	g_autoptr(ProllyDbIter) iter =
		prolly_staged_iter_new_entries(self->repo->body->db, NULL, branch_id, generation);

	for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
	     prolly_db_iter_next(iter)) {
		if (!check_record(self, iter, error))
			return false;
	}
	return prolly_db_iter_check(iter, error);
}

static bool check_working_set(Fsck *self, const char *name, GError **error)
{
	ProllyRepoBody *body = self->repo->body;
	g_autoptr(ProllyState) state = NULL;
	g_autofree char *own_name = NULL;
	uint32_t id;
	bool ok = true;

	if (!prolly_state_find_branch(body, name, &id, error))
		return false;
	if (id && !prolly_state_load(body, id, &own_name, &state, error))
		return false;
	if (!state)
		return true;
	self->rev = name;
	for (guint i = 0; ok && i < state->generations->len; i++)
		ok = check_generation(self, id, g_array_index(state->generations, uint64_t, i),
				      error);
	return ok && (prolly_hash_is_zero(&state->attributes.top) ||
		      check_tree(self, NULL, &state->attributes, error));
}

static bool check_working_sets(Fsck *self, GError **error)
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

/* ---- All of it --------------------------------------------------------------------------- */

static bool report(Fsck *self, GError **error)
{
	for (guint i = 0; i < self->found->len; i++) {
		Found *found = self->found->pdata[i];
		ProllyDamage damage = {
			.kind = found->kind,
			.object = found->object,
			.commits = (const ProllyCommitId *)(void *)found->commits->data,
			.n_commits = found->commits->len,
			.message = found->message,
		};

		g_ptr_array_add(found->paths, NULL);
		damage.paths = (const char *const *)found->paths->pdata;
		if (!self->options->damage(&damage, self->options->data, error))
			return false;
	}
	return true;
}

static guint hash_commit(gconstpointer id)
{
	return prolly_get_le32(((const ProllyCommitId *)id)->bytes);
}

static gboolean equal_commits(gconstpointer a, gconstpointer b)
{
	return prolly_commit_id_equal(a, b);
}

static void fsck_clear(Fsck *self)
{
	prolly_census_free(self->sound);
	prolly_store_unref(self->store);
	g_free(self->buffer);
	g_hash_table_unref(self->commits);
	g_hash_table_unref(self->by_name);
	g_ptr_array_unref(self->found);
}

bool prolly_fsck_run(ProllyRepo *repo, const ProllyFsckOptions *options, uint64_t *out_n,
		     GError **error)
{
	Fsck self = {
		.repo = repo,
		.options = options,
		.store = prolly_store_new_passing(repo->body->store),
		.buffer = g_malloc(READ_SIZE),
		.commits = g_hash_table_new_full(hash_commit, equal_commits, g_free, NULL),
		.by_name = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
		.found = g_ptr_array_new_with_free_func(free_found),
	};
	bool ok;

	self.context = (ProllyTreeContext){self.store, repo->body->format};
	ok = prolly_census_new(repo->body->store, &self.sound, error) &&
	     check_references(&self, error) && check_working_sets(&self, error) &&
	     report(&self, error);
	*out_n = self.found->len;
	fsck_clear(&self);
	return ok;
}
