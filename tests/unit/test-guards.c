/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a collection relies on (guard.c): what is put, taken or recorded, and not yet reached, is so
 * inside a guard; and a holder does not go while it is asked.
 *
 * The linker (meson.build) has some calls lead here first, where it is seen whether somebody is
 * inside. Each operation says which of them it makes: those are watched, and have to be made, so that
 * no operation passes because it does nothing.
 */
#include "gc-fixture.h"

#include "command/command.h"
#include "store/restore.h"
#include "version/file-private.h"
#include "version/fsck.h"
#include "version/merge.h"
#include "version/reset.h"

#define RUN_BYTES   (9u << 20) /* written at once: spliced in behind who writes */
#define REPORT_USEC (100 * 1000)

/* ---- The calls --------------------------------------------------------------------------- */

typedef enum {
	CALL_PUT,     /* a node */
	CALL_RESTORE, /* one that was damaged */
	CALL_RECORD,  /* records, by the thread of the test */
	CALL_CONTENT, /* what an open file has from now on */
	CALL_APPLY,   /* what leads from one commit to another, found by their names */
	CALL_N,
} Call;

enum {
	PUTS = 1 << CALL_PUT,
	RESTORES = 1 << CALL_RESTORE,
	RECORDS = 1 << CALL_RECORD,
	CONTENTS = 1 << CALL_CONTENT,
	APPLICATIONS = 1 << CALL_APPLY,
};

typedef struct {
	ProllyRepoBody *body;
	GThread *thread;
	unsigned calls; /* that are watched */
	gint n[CALL_N]; /* atomic */
} Watch;

static Watch *watch; /* atomic; of the test that runs. NULL: nothing is watched */

static unsigned count_inside(ProllyRepoBody *body)
{
	ProllyUsage *usage = &body->usage;
	unsigned n;

	g_mutex_lock(&usage->lock);
	n = usage->n_inside[0] + usage->n_inside[1];
	g_mutex_unlock(&usage->lock);
	return n;
}

static void note_call(Call call)
{
	Watch *self = g_atomic_pointer_get(&watch);

	if (!self || !(self->calls & 1u << call))
		return;
	g_assert_cmpuint(count_inside(self->body), >, 0);
	g_atomic_int_inc(&self->n[call]);
}

/* Stores in memory, and those for hashes alone, are nobody else's. */
static void note_put(ProllyStore *store, Call call)
{
	const Watch *self = g_atomic_pointer_get(&watch);

	if (self && prolly_store_get_pool(store) == prolly_store_get_pool(self->body->store))
		note_call(call);
}

/* The linker's names for what is called, and for what it would have been. */
#define WRAPPER(name) __wrap_##name
#define REAL(name)    __real_##name
#define WRAPPED(type, name, ...)             \
	type WRAPPER(name)(__VA_ARGS__);     \
	extern type REAL(name)(__VA_ARGS__); \
	type WRAPPER(name)(__VA_ARGS__)

WRAPPED(bool, prolly_store_put, ProllyStore *store, ProllyNodeClass node_class, uint8_t *bytes,
	size_t len, ProllyHash *out_hash, ProllyNode **out_node, GError **error)
{
	note_put(store, CALL_PUT);
	return REAL(prolly_store_put)(store, node_class, bytes, len, out_hash, out_node, error);
}

WRAPPED(bool, prolly_store_put_node, ProllyStore *store, ProllyNode *node, ProllyHash *out_hash,
	GError **error)
{
	note_put(store, CALL_PUT);
	return REAL(prolly_store_put_node)(store, node, out_hash, error);
}

WRAPPED(bool, prolly_store_put_hashed, ProllyStore *store, ProllyNode *node, GError **error)
{
	note_put(store, CALL_PUT);
	return REAL(prolly_store_put_hashed)(store, node, error);
}

WRAPPED(bool, prolly_store_restore, ProllyStore *store, ProllyNodeClass node_class,
	const ProllyHash *hash, GBytes *bytes, GError **error)
{
	note_put(store, CALL_RESTORE);
	return REAL(prolly_store_restore)(store, node_class, hash, bytes, error);
}

WRAPPED(bool, prolly_db_write, ProllyDb *db, ProllyDbBatch *batch, ProllyDbDurability durability,
	GError **error)
{
	const Watch *self = g_atomic_pointer_get(&watch);

	if (self && self->body->db == db && self->thread == g_thread_self())
		note_call(CALL_RECORD);
	return REAL(prolly_db_write)(db, batch, durability, error);
}

WRAPPED(void, prolly_file_count_runs, ProllyFile *file)
{
	note_call(CALL_CONTENT);
	REAL(prolly_file_count_runs)(file);
}

WRAPPED(bool, prolly_history_apply, ProllyRepo *repo, ProllyBranch *branch,
	const ProllyMergeChange *change, const ProllyMergeOptions *options,
	ProllyMergeResult *out_result, ProllyCommitId *out_id, GError **error)
{
	note_call(CALL_APPLY);
	return REAL(prolly_history_apply)(repo, branch, change, options, out_result, out_id, error);
}

/* ---- A store with something in it -------------------------------------------------------- */

typedef struct {
	Fixture *fixture;
	ProllyRepo *repo;
	ProllyBranch *branch;
	ProllyBranch *other;
	ProllyCommitId first; /* "k" is 1 in it; in the next, the branch's head, it is 2 */
	ProllyFile *file;
	ProllyFile *source; /* another one */
	ProllyLoad *load;
	ProllyRename *rename;
} Site;

static void site_init(Site *self, Fixture *fixture, const char *scheme)
{
	g_autofree char *spec = g_strconcat(scheme, fixture->store, NULL);
	g_autoptr(GError) error = NULL;

	*self = (Site){.fixture = fixture};
	prolly_repo_init(spec, NULL, &error);
	g_assert_no_error(error);
	self->repo = open_spec(fixture->store);
	self->branch = lookup(self->repo, "main");
	stage(self->repo, self->branch, "k", 1, LONG_VALUE);
	stage(self->repo, self->branch, "d/k", 1, LONG_VALUE);
	commit(self->repo, self->branch, &self->first);
	stage(self->repo, self->branch, "k", 2, LONG_VALUE);
	commit(self->repo, self->branch, NULL);
}

static void site_clear(Site *self)
{
	prolly_rename_free(self->rename);
	prolly_load_free(self->load);
	prolly_file_unref(self->source);
	prolly_file_unref(self->file);
	prolly_branch_unref(self->other);
	prolly_branch_unref(self->branch);
	prolly_repo_free(self->repo);
}

static void stage_one(Site *self)
{
	stage(self->repo, self->branch, "more", 5, LONG_VALUE);
}

static void open_other(Site *self)
{
	self->other = create(self->repo, "other", -1);
}

/* ---- Keys -------------------------------------------------------------------------------- */

static void put_inline(Site *self)
{
	g_autoptr(GBytes) stored = prolly_value_new_inline(PROLLY_KIND_FILE, "short", 5);
	ProllyPlace place = make_place("ns", "short");
	g_autoptr(GError) error = NULL;

	prolly_edit_put(self->repo, self->branch, &place, stored, NULL, 0, NULL, &error);
	g_assert_no_error(error);
}

/* A value that the head has, as a staged one. */
static void link_key(Site *self)
{
	ProllyPlace from = make_place("ns", "k"), to = make_place("ns", "l");
	g_autoptr(GError) error = NULL;

	prolly_edit_link(self->repo, self->branch, &from, &to, NULL, &error);
	g_assert_no_error(error);
}

static void open_rename(Site *self)
{
	ProllyPlace from = make_place("ns", "d/"), to = make_place("ns", "e/");

	self->rename = prolly_rename_new(self->repo, self->branch, &from, &to,
					 PROLLY_RENAME_FROM_DIRECTORY | PROLLY_RENAME_TO_DIRECTORY);
}

/* Nothing refers to what was made, until the end. */
static void rename_ahead(Site *self)
{
	g_autoptr(GError) error = NULL;

	open_rename(self);
	prolly_rename_prepare(self->rename, 0);
	g_assert_cmpuint(count_inside(self->repo->body), >, 0);
	prolly_rename_finish(self->rename, &error);
	g_assert_no_error(error);
	g_clear_pointer(&self->rename, prolly_rename_free);
}

static void open_load(Site *self)
{
	g_autoptr(GError) error = NULL;

	prolly_load_new(self->repo, self->branch, "ns", &self->load, &error);
	g_assert_no_error(error);
}

static void add_to_load(Site *self)
{
	g_autoptr(GBytes) content = make_content(3, LONG_VALUE);
	g_autoptr(GError) error = NULL;

	prolly_load_add(self->load, "k", 1, g_bytes_get_data(content, NULL), LONG_VALUE, &error);
	g_assert_no_error(error);
}

static void fill_load(Site *self)
{
	open_load(self);
	add_to_load(self);
}

static void attach_load(Site *self)
{
	g_autoptr(GError) error = NULL;

	prolly_load_attach(self->load, &error);
	g_assert_no_error(error);
}

/* ---- Commands ---------------------------------------------------------------------------- */

static bool take_output(void *data, const void *bytes, size_t len)
{
	return true;
}

static void run_command(Site *self, const char *const *words)
{
	ProllyStreams streams = {.write = take_output, .write_error = take_output};
	ProllyCaller caller = {0};

	g_assert_cmpint(prolly_command_run(self->repo, &caller, &streams, words, NULL), ==, 0);
}

static void command_put(Site *self)
{
	g_autofree char *value = g_strnfill(LONG_VALUE, 'v');
	const char *words[] = {"-b", "main", "put", "ns/k", value, NULL};

	run_command(self, words);
}

static void command_revert(Site *self)
{
	static const char *const WORDS[] = {"-b", "main", "revert", "HEAD", NULL};

	run_command(self, WORDS);
}

/* What a commit now would give: nothing refers to it. */
static void command_prove(Site *self)
{
	static const char *const WORDS[] = {"-b", "main", "prove", "ns/k", NULL};

	run_command(self, WORDS);
}

/* ---- Open files -------------------------------------------------------------------------- */

static ProllyFile *must_open(Site *self, const char *key)
{
	ProllyPlace place = make_place("ns", key);
	g_autoptr(GError) error = NULL;
	ProllyFile *file = NULL;

	prolly_file_open(self->repo, self->branch, &place, &file, &error);
	g_assert_no_error(error);
	return file;
}

static void open_file(Site *self)
{
	self->file = must_open(self, "k");
}

static void flush_file(Site *self)
{
	g_autoptr(GError) error = NULL;

	prolly_file_flush(self->file, &error);
	g_assert_no_error(error);
}

static void write_file(Site *self, size_t len)
{
	g_autoptr(GBytes) content = make_content(4, len);
	g_autoptr(GError) error = NULL;

	prolly_file_write(self->file, 0, g_bytes_get_data(content, NULL), len, &error);
	g_assert_no_error(error);
}

static void write_and_flush(Site *self)
{
	write_file(self, HUGE_VALUE);
	flush_file(self);
}

/* All of it is in the splice, which the flush waits for. */
static void write_behind(Site *self)
{
	bool is_under_way;

	write_file(self, RUN_BYTES);
	g_mutex_lock(&self->file->lock);
	is_under_way = self->file->splice.under_way;
	g_mutex_unlock(&self->file->lock);
	g_assert_true(is_under_way);
	flush_file(self);
}

static void open_both(Site *self)
{
	open_file(self);
	self->source = must_open(self, "d/k");
}

static void share_file(Site *self)
{
	uint64_t len;

	g_assert_true(prolly_file_share(self->source, self->file, 0, LONG_VALUE, &len));
	g_assert_cmpuint(len, ==, LONG_VALUE);
}

/* ---- Branches and commits ---------------------------------------------------------------- */

static void make_commit(Site *self)
{
	commit(self->repo, self->branch, NULL);
}

static void get_figures(Site *self)
{
	g_autoptr(ProllyView) view = open_live(self->repo, "main");
	ProllyNamespaceFigures figures;
	g_autoptr(GError) error = NULL;

	prolly_view_get_figures(view, NULL, &figures, &error);
	g_assert_no_error(error);
}

static void reset(Site *self, ProllyResetMode mode)
{
	g_autoptr(GError) error = NULL;
	ProllyCommitId from;

	prolly_branch_reset(self->repo, self->branch, &self->first, mode, "main~", &from, &error);
	g_assert_no_error(error);
}

static void reset_soft(Site *self)
{
	reset(self, PROLLY_RESET_SOFT);
}

static void reset_hard(Site *self)
{
	reset(self, PROLLY_RESET_HARD);
}

static void restore_all(Site *self)
{
	ProllyRange range = {0};
	g_autoptr(GError) error = NULL;
	uint64_t changes = 0;

	prolly_working_restore(self->repo, self->branch, &self->first, &range, 1, &changes, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(changes, ==, 1);
}

/* ---- Merges ------------------------------------------------------------------------------ */

/* Of another branch, which changed KEY; the branch itself has changed "mine". */
static void make_sides(Site *self, const char *key)
{
	open_other(self);
	stage(self->repo, self->other, key, 6, LONG_VALUE);
	commit(self->repo, self->other, NULL);
	stage(self->repo, self->branch, "mine", 7, LONG_VALUE);
	commit(self->repo, self->branch, NULL);
}

static void make_agreeing(Site *self)
{
	make_sides(self, "k");
}

static void make_conflicting(Site *self)
{
	make_sides(self, "mine");
}

typedef bool (*MergeFunc)(Site *self, const ProllyMergeOptions *options,
			  ProllyMergeResult *out_result, GError **error);

static void run_merge(Site *self, MergeFunc func, ProllyMergeResult expected)
{
	g_auto(ProllySignature) who = {0};
	ProllyMergeOptions options = {.message = "m", .author = &who, .committer = &who};
	g_autoptr(GError) error = NULL;
	ProllyMergeResult result;

	prolly_signature_init_default(&who, false, NULL, &error);
	g_assert_no_error(error);
	func(self, &options, &result, &error);
	g_assert_no_error(error);
	g_assert_cmpint(result, ==, expected);
}

static bool merge_other(Site *self, const ProllyMergeOptions *options,
			ProllyMergeResult *out_result, GError **error)
{
	ProllyCommitId theirs, id;

	prolly_branch_get_head(self->other, &theirs);
	return prolly_history_merge(self->repo, self->branch, &theirs, options, out_result, &id,
				    error);
}

/* Takes back what came after the first commit. */
static bool revert(Site *self, const ProllyMergeOptions *options, ProllyMergeResult *out_result,
		   GError **error)
{
	ProllyCommitId head, id;
	ProllyMergeChange change = {&head, &self->first};

	prolly_branch_get_head(self->branch, &head);
	return prolly_history_apply(self->repo, self->branch, &change, options, out_result, &id,
				    error);
}

static void merge(Site *self)
{
	run_merge(self, merge_other, PROLLY_MERGE_MERGED);
}

static void merge_in_conflict(Site *self)
{
	run_merge(self, merge_other, PROLLY_MERGE_CONFLICT);
}

static void revert_all(Site *self)
{
	run_merge(self, revert, PROLLY_MERGE_MERGED);
}

static void begin_merge(Site *self)
{
	make_conflicting(self);
	merge_in_conflict(self);
}

static void resolve(Site *self)
{
	ProllyPlace place = make_place("ns", "mine");
	g_autoptr(GError) error = NULL;
	uint64_t n = 0;

	prolly_unfinished_resolve(self->repo, self->branch, &place, false, PROLLY_RESOLVE_THEIRS,
				  &n, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(n, ==, 1);
}

static void begin_resolved(Site *self)
{
	begin_merge(self);
	resolve(self);
}

static bool go_on(Site *self, const ProllyMergeOptions *options, ProllyMergeResult *out_result,
		  GError **error)
{
	ProllyCommitId id;

	return prolly_history_continue(self->repo, self->branch, options, out_result, &id, error);
}

static void continue_merge(Site *self)
{
	run_merge(self, go_on, PROLLY_MERGE_MERGED);
}

/* ---- Repairs ----------------------------------------------------------------------------- */

/* The top of the head's tree, which is in memory. */
static void damage_top(Site *self)
{
	g_autoptr(ProllyView) view = open_live(self->repo, "main");
	g_autoptr(ProllyState) state = prolly_branch_get_state(self->branch);
	const ProllyTree *tree = prolly_state_find_namespace(state, "ns");
	char hex[PROLLY_HASH_HEX_SIZE];

	assert_content(view, "k", 2, LONG_VALUE);
	g_assert_true(prolly_repo_sync(self->repo, NULL));
	prolly_hash_to_hex(&tree->top, hex);
	run("printf X | dd of='%s/nodes/tree/%.2s/%s' bs=1 seek=20 conv=notrunc status=none",
	    self->fixture->store, hex, hex + 2);
}

static bool take_damage(const ProllyDamage *damage, void *data, GError **error)
{
	return true;
}

static void repair(Site *self)
{
	ProllyFsckOptions options = {.repair = true, .damage = take_damage};
	g_autoptr(GError) error = NULL;
	uint64_t n = 1;

	prolly_fsck_run(self->repo, &options, &n, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(n, ==, 0);
}

/* ---- The operations ---------------------------------------------------------------------- */

typedef struct {
	const char *name;
	unsigned calls;
	void (*prepare)(Site *self); /* nullable */
	void (*act)(Site *self);
	bool in_parallel; /* nothing of it is seen where there is one processor */
} Operation;

static const Operation OPERATIONS[] = {
	{"put", RECORDS, NULL, put_inline, false},
	{"link", RECORDS, NULL, link_key, false},
	{"rename", RECORDS, NULL, rename_ahead, false},
	{"load-add", PUTS, open_load, add_to_load, false},
	{"load-attach", RECORDS, fill_load, attach_load, false},
	{"command-put", PUTS | RECORDS, NULL, command_put, false},
	{"command-revert", APPLICATIONS, NULL, command_revert, false},
	{"command-prove", PUTS, stage_one, command_prove, false},
	{"file-open", CONTENTS, NULL, open_file, false},
	{"file-flush", PUTS, open_file, write_and_flush, false},
	{"file-behind", PUTS, open_file, write_behind, true},
	{"file-share", CONTENTS, open_both, share_file, false},
	{"commit", PUTS | RECORDS, stage_one, make_commit, false},
	{"figures", PUTS, stage_one, get_figures, false},
	{"branch", RECORDS, NULL, open_other, false},
	{"reset-soft", PUTS | RECORDS, NULL, reset_soft, false},
	{"reset-hard", PUTS | RECORDS, NULL, reset_hard, false},
	{"restore", RECORDS, NULL, restore_all, false},
	{"merge", PUTS | RECORDS, make_agreeing, merge, false},
	{"revert", PUTS | RECORDS, NULL, revert_all, false},
	{"conflict", PUTS | RECORDS, make_conflicting, merge_in_conflict, false},
	{"resolve", PUTS | RECORDS, begin_merge, resolve, false},
	{"continue", PUTS | RECORDS, begin_resolved, continue_merge, false},
	{"repair", RESTORES, damage_top, repair, false},
};

static void test_operation(Fixture *fixture, gconstpointer data)
{
	const Operation *operation = data;
	Watch self = {.thread = g_thread_self(), .calls = operation->calls};
	Site site;

	/* What is damaged is a file. */
	site_init(&site, fixture, operation->calls & RESTORES ? "cached-file://" : "rocksdb://");
	if (operation->in_parallel &&
	    !prolly_pool_is_parallel(prolly_store_get_pool(site.repo->body->store))) {
		site_clear(&site);
		g_test_skip("one processor");
		return;
	}
	if (operation->prepare)
		operation->prepare(&site);
	self.body = site.repo->body;
	g_assert_cmpuint(count_inside(self.body), ==, 0);
	g_atomic_pointer_set(&watch, &self);
	operation->act(&site);
	g_atomic_pointer_set(&watch, NULL);
	g_assert_cmpuint(count_inside(self.body), ==, 0);
	for (unsigned call = 0; call < CALL_N; call++)
		g_assert_true(!(self.calls & 1u << call) || self.n[call] > 0);
	site_clear(&site);
}

/* ---- Holders ----------------------------------------------------------------------------- */

/* One whose report takes a while, so that who removes it without waiting is seen to. */
typedef struct {
	ProllyHolder holder; /* first */
	GMutex lock;
	GCond changed;
	bool was_asked;
	bool is_asked; /* now */
	bool is_removed;
} Slow;

static bool report_slowly(ProllyHolder *holder, ProllyGc *gc, GError **error)
{
	Slow *slow = (Slow *)holder;
	int64_t until = g_get_monotonic_time() + REPORT_USEC;

	g_mutex_lock(&slow->lock);
	slow->was_asked = slow->is_asked = true;
	g_cond_broadcast(&slow->changed);
	while (!slow->is_removed && g_cond_wait_until(&slow->changed, &slow->lock, until))
		;
	slow->is_asked = false;
	g_mutex_unlock(&slow->lock);
	return true;
}

static gpointer remove_slow(gpointer data)
{
	Slow *slow = data;

	g_mutex_lock(&slow->lock);
	while (!slow->was_asked)
		g_cond_wait(&slow->changed, &slow->lock);
	g_mutex_unlock(&slow->lock);
	prolly_holder_remove(&slow->holder);
	g_mutex_lock(&slow->lock);
	g_assert_false(slow->is_asked);
	slow->is_removed = true;
	g_cond_broadcast(&slow->changed);
	g_mutex_unlock(&slow->lock);
	return NULL;
}

/* What a holder has may be freed when it is removed: the collection is through with it then. */
static void test_holder(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = new_store(self);
	ProllyGcFigures figures;
	Slow slow = {0};
	GThread *remover;

	g_mutex_init(&slow.lock);
	g_cond_init(&slow.changed);
	prolly_holder_add(repo->body, &slow.holder, report_slowly);
	remover = g_thread_new("remover", remove_slow, &slow);
	collect(repo, PROLLY_GC_NOW, &figures);
	g_thread_join(remover);
	g_assert_true(slow.was_asked && slow.is_removed);
	g_cond_clear(&slow.changed);
	g_mutex_clear(&slow.lock);
}

int main(int argc, char **argv)
{
	set_identity();
	g_test_init(&argc, &argv, NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(OPERATIONS); i++) {
		g_autofree char *path = g_strconcat("/version/guards/", OPERATIONS[i].name, NULL);

		g_test_add(path, Fixture, &OPERATIONS[i], set_up, test_operation, tear_down);
	}
	WITH_STORE("guards/holder", test_holder);
	return g_test_run();
}
