/* SPDX-License-Identifier: Apache-2.0 */
/*
 * History under attack: git that moves branches while the store is open, and the end of the process
 * at a bad moment. The latter is played by a subprocess that ends without closing; a power cut by
 * putting an older git directory back, or emptying what it had not synced.
 */
#include "repo-fixture.h"

#include <signal.h>
#include <sys/resource.h>

#include "version/fsck.h"
#include "version/journal-private.h"
#include "version/reflog.h"

/* ---- git at work on an open store ---------------------------------------------------------- */

typedef struct {
	unsigned changed;
	unsigned branches;
	char *places;
} Heard;

static void hear_change(void *data, ProllyBranch *branch, const ProllyPlace *places, size_t n,
			bool may_wait)
{
	Heard *heard = data;
	GString *text = g_string_new(places ? "" : "many");

	for (size_t i = 0; places && i < n; i++)
		g_string_append_printf(text, "%s/%.*s ", places[i].ns, (int)places[i].key_len,
				       (const char *)places[i].key);
	heard->changed++;
	g_free(heard->places);
	heard->places = g_string_free(text, FALSE);
}

static void hear_branches(void *data, bool may_wait)
{
	((Heard *)data)->branches++;
}

static const ProllyObserver observer = {hear_change, hear_branches};

static void test_outside_move(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autoptr(ProllyState) state = NULL; /* its end comes after the store's */
	g_autofree char *one = NULL;
	Heard heard = {0};

	must_commit(repo, "main", "ns", "a", "1");
	one = head_hex(repo, "main");
	must_commit(repo, "main", "ns", "a", "2");
	must_commit(repo, "main", "ns", "b", "1");
	prolly_repo_set_observer(repo, &observer, &heard);
	run("git --git-dir='%s/git' update-ref refs/heads/main %s", self->store, one);
	assert_value(repo, "main", "a", "1");
	assert_value(repo, "main", "b", NULL);
	g_assert_cmpuint(heard.changed, ==, 1);
	g_assert_cmpstr(heard.places, ==, "ns/a ns/b ");
	state = prolly_branch_get_state(branch);
	g_assert_cmpuint(state->moves->len, ==, 2); /* the birth, and this */
	must_commit(repo, "main", "ns", "c", "1");

	/* one that git makes, and takes away again while it is held */
	run("git --git-dir='%s/git' branch theirs main", self->store);
	g_clear_pointer(&branch, prolly_branch_unref);
	branch = lookup(repo, "theirs");
	g_assert_nonnull(branch);
	must_commit(repo, "theirs", "ns", "d", "1");
	run("git --git-dir='%s/git' branch -q -D theirs", self->store);
	g_assert_null(lookup(repo, "theirs"));
	g_assert_true(prolly_branch_is_deleted(branch));
	g_clear_pointer(&branch, prolly_branch_unref);

	prolly_repo_set_observer(repo, NULL, NULL);
	prolly_repo_free(repo);
	g_free(heard.places);
}

static void test_git_holds_lock(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autoptr(GError) error = NULL;

	run("touch '%s/git/refs/heads/main.lock'", self->store);
	g_assert_false(commit_key(repo, branch, "ns", "k", "v", NULL, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_BUSY);
	g_assert_nonnull(strstr(error->message, "main.lock"));
	run("rm '%s/git/refs/heads/main.lock'", self->store);
	must_commit(repo, "main", "ns", "k", "v");
	g_clear_pointer(&branch, prolly_branch_unref);
	prolly_repo_free(repo);
}

/* Locks that are older than the machine's boot have nobody who could hold them. */
static void test_old_locks(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);

	prolly_branch_unref(create(repo, "b", -1));
	prolly_repo_free(repo);
	run("cd '%s/git' && git --git-dir=. pack-refs --all && "
	    "touch -d 2001-01-01 refs/heads/main.lock packed-refs.lock",
	    self->store);
	repo = open_spec(self->store);
	must_commit(repo, "main", "ns", "k", "v");
	assert_delete(repo, "b", true, -1);
	assert_branches(repo, "main");
	prolly_repo_free(repo);
	run("test -z \"$(find '%s/git' -name '*.lock')\"", self->store);
}

/* Somebody is at work. */
static void test_new_locks(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	g_autoptr(ProllyBranch) branch = NULL;
	g_autoptr(GError) error = NULL;

	prolly_repo_free(repo);
	run("cd '%s/git' && touch refs/heads/main.lock packed-refs.lock", self->store);
	repo = open_spec(self->store);
	branch = lookup(repo, "main");
	g_assert_false(commit_key(repo, branch, "ns", "k", "v", NULL, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_BUSY);
	run("cd '%s/git' && rm refs/heads/main.lock packed-refs.lock", self->store);
	must_commit(repo, "main", "ns", "k", "v");
	g_clear_pointer(&branch, prolly_branch_unref);
	prolly_repo_free(repo);
}

/* A packed reference cannot be deleted while somebody is at packed-refs, nor is it said to be; whether
 * that is seen before (PATH is a lock file), or when the deletion is decided already (a link, which is
 * in the way of one). */
static void test_locked_packed(Fixture *self, gconstpointer make_lock)
{
	bool is_seen = g_str_has_prefix(make_lock, "touch");
	ProllyRepo *repo = new_store(self);
	g_autoptr(ProllyBranch) branch = NULL;
	g_autoptr(GError) error = NULL;

	prolly_branch_unref(create(repo, "b", -1));
	run("cd '%s/git' && git --git-dir=. pack-refs --all && %s packed-refs.lock", self->store,
	    (const char *)make_lock);
	branch = lookup(repo, "b");
	g_assert_false(prolly_branch_delete(repo, branch, NULL, true, &error));
	g_clear_pointer(&branch, prolly_branch_unref);
	if (is_seen)
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_BUSY);
	run("rm '%s/git/packed-refs.lock'", self->store);
	if (is_seen)
		assert_delete(repo, "b", true, -1);
	must_commit(repo, "main", "ns", "k", "v");
	assert_branches(repo, "main");
	prolly_repo_free(repo);
	run("! grep refs/heads/b '%s/git/packed-refs'", self->store);
}

/* ---- Reflogs that end in the middle of a line ----------------------------------------------- */

static char *load_log(Fixture *self)
{
	return capture("cat '%s/git/logs/refs/heads/main'", self->store);
}

static bool fail_damaged(const ProllyDamage *damage, void *data, GError **error)
{
	g_error("%s %s: %s", damage->kind, damage->object, damage->message);
	return false;
}

static void assert_sound(ProllyRepo *repo)
{
	g_autoptr(GError) error = NULL;
	ProllyFsckOptions options = {.damage = fail_damaged};
	uint64_t damaged;

	prolly_fsck_run(repo, &options, &damaged, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(damaged, ==, 0);
}

/* What somebody has not ended, of whatever length, does not become a part of the next line. */
static void test_unfinished_line(Fixture *self, gconstpointer data)
{
	static const int lengths[] = {1, 40, 60, 100, 0};
	ProllyRepo *repo = new_store(self);

	must_commit(repo, "main", "ns", "k", "v");
	for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
		g_autoptr(GArray) entries = NULL;
		ProllyCommitId head;
		ProllyReflogEntry *last;

		if (lengths[i])
			run("cd '%s/git/logs/refs/heads' && tail -n 1 main | head -c %d >>main",
			    self->store, lengths[i]);
		else
			run("printf '\\0\\0\\0' >>'%s/git/logs/refs/heads/main'", self->store);
		assert_sound(repo);
		must_commit(repo, "main", "ns", "k", "v");
		get_head(repo, "main", &head);
		g_assert_true(prolly_reflog_load(repo, "main", &entries, NULL));
		g_assert_cmpuint(entries->len, ==, i + 3);
		last = &g_array_index(entries, ProllyReflogEntry, entries->len - 1);
		g_assert_cmpmem(&last->to, sizeof(head), &head, sizeof(head));
		assert_sound(repo);
	}
	prolly_repo_free(repo);
}

/* Nor does the line of a renaming, behind what the log of the old name had. */
static void test_unfinished_renamed(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	ProllyBranch *branch = create(repo, "a", -1);
	g_autoptr(GArray) entries = NULL;
	g_autoptr(GError) error = NULL;

	must_commit(repo, "a", "ns", "k", "v");
	run("cd '%s/git/logs/refs/heads' && tail -n 1 a | head -c 60 >>a", self->store);
	prolly_branch_rename(repo, branch, "a", "b", &error);
	g_assert_no_error(error);
	prolly_branch_unref(branch);
	assert_sound(repo);
	g_assert_true(prolly_reflog_load(repo, "b", &entries, NULL));
	g_assert_cmpuint(entries->len, ==, 3);
	prolly_repo_free(repo);
}

/* Moves REPO's main to where it is while a file, the reflog, can grow by 60 bytes only. */
static void move_in_little_room(ProllyRepo *repo, const ProllyCommitId *head, size_t len)
{
	ProllyRefs *refs = repo->body->git->refs;
	ProllyRefUpdate update = {.name = (char *)"refs/heads/main",
				  .from = *head,
				  .to = *head,
				  .log = (char *)"C <c@d> 1 +0000\treset: moving"};
	struct rlimit before, little;
	g_autoptr(GError) error = NULL;

	getrlimit(RLIMIT_FSIZE, &before);
	little = (struct rlimit){.rlim_cur = len + 60, .rlim_max = before.rlim_max};
	g_mutex_lock(&repo->body->git_lock);
	refs->ops->lock(refs, &update, &error);
	g_assert_no_error(error);
	setrlimit(RLIMIT_FSIZE, &little);
	refs->ops->apply(refs, &update, &error);
	setrlimit(RLIMIT_FSIZE, &before);
	g_mutex_unlock(&repo->body->git_lock);
	g_assert_no_error(error); /* the reference has moved all the same */
}

static void test_no_room_for_line(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	g_autofree char *before = NULL, *after = NULL;
	ProllyCommitId head;

	must_commit(repo, "main", "ns", "k", "v");
	/* longer than any other file that may grow meanwhile */
	run("cd '%s/git/logs/refs/heads' && tail -n 1 main >line && yes \"$(cat line)\" | "
	    "head -n 20000 >>main && rm line",
	    self->store);
	before = load_log(self);
	get_head(repo, "main", &head);
	signal(SIGXFSZ, SIG_IGN);
	move_in_little_room(repo, &head, strlen(before) + 1);
	after = load_log(self);
	g_assert_cmpuint(strlen(after), ==, strlen(before));
	g_assert_true(strcmp(after, before) == 0);
	prolly_repo_free(repo);
}

/* ---- Crashes ------------------------------------------------------------------------------ */

#define CRASH_STORE "PROLLY_TEST_CRASH_STORE"

/* Ends without closing anything. */
static void crash_subprocess(void)
{
	ProllyRepo *repo = open_spec(g_getenv(CRASH_STORE));

	must_commit(repo, "main", "ns", "a", "1");
	prolly_branch_unref(create(repo, "made", -1));
	must_commit(repo, "made", "ns", "b", "1");
	must_commit(repo, "main", "ns", "a", "2");
	must_commit(repo, "main", "ns", "a", "3");
	_exit(0);
}

static void crash_in(Fixture *self, const char *subprocess)
{
	g_setenv(CRASH_STORE, self->store, TRUE);
	g_test_trap_subprocess(subprocess, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
	g_test_trap_assert_passed();
}

static void crash(Fixture *self)
{
	crash_in(self, "/version/repo/crash/subprocess");
}

static void assert_recovered(Fixture *self)
{
	ProllyRepo *repo = open_spec(self->store);
	g_autofree char *fsck = NULL;
	g_autofree char *log = NULL;

	assert_branches(repo, "made main");
	assert_value(repo, "main", "a", "3");
	assert_value(repo, "made", "b", "1");
	fsck = capture("git --git-dir='%s/git' fsck --strict 2>&1", self->store);
	g_assert_cmpstr(fsck, ==, "");
	log = capture("git --git-dir='%s/git' log --oneline main | wc -l", self->store);
	g_assert_cmpstr(log, ==, "4");
	must_commit(repo, "main", "ns", "a", "4");
	prolly_repo_free(repo);
	repo = open_spec(self->store);
	assert_value(repo, "main", "a", "4");
	prolly_repo_free(repo);
}

static void test_crash(Fixture *self, gconstpointer damage)
{
	g_autofree char *before = NULL;

	init_store(self);
	run("cp -a '%s/git' '%s/git-before' && touch '%s/git-before/stamp'", self->store, self->dir,
	    self->dir);
	crash(self);
	if (damage)
		run("cd '%s' && %s", self->store, (const char *)damage);
	assert_recovered(self);
}

/* git moved the branch after the crash: its doing stands. */
static void test_crash_then_git(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo;

	init_store(self);
	crash(self);
	run("cd '%s/git' && git --git-dir=. update-ref refs/heads/main main~3", self->store);
	repo = open_spec(self->store);
	assert_value(repo, "main", "a", NULL);
	assert_value(repo, "made", "b", "1");
	prolly_repo_free(repo);
}

/* References whose locking is the end of the process. */
typedef struct {
	ProllyRefs base;
	ProllyRefs *real;
} MortalRefs;

static bool lock_and_die(ProllyRefs *refs, const ProllyRefUpdate *update, GError **error)
{
	ProllyRefs *real = ((MortalRefs *)refs)->real;

	_exit(real->ops->lock(real, update, error) ? 0 : 1);
}

static void locked_subprocess(void)
{
	ProllyRepo *repo = open_spec(g_getenv(CRASH_STORE));
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	MortalRefs mortal = {.real = repo->body->git->refs};
	ProllyRefsOps ops = {.lock = lock_and_die};

	mortal.base.ops = &ops;
	repo->body->git->refs = &mortal.base;
	commit_key(repo, branch, "ns", "a", "1", NULL, NULL);
	_exit(1);
}

/* The end comes when the reference is locked, and nothing of what was to be is written yet. */
static void test_crash_locked(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo;

	init_store(self);
	crash_in(self, "/version/repo/locked/subprocess");
	run("test -e '%s/git/refs/heads/main.lock'", self->store);
	repo = open_spec(self->store);
	assert_value(repo, "main", "a", NULL);
	must_commit(repo, "main", "ns", "a", "2");
	prolly_repo_free(repo);
}

static void unapplied_subprocess(void)
{
	const char *store = g_getenv(CRASH_STORE);
	ProllyRepo *repo = open_spec(store);
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autoptr(GError) error = NULL;

	must_commit(repo, "main", "ns", "a", "1");
	run("cd '%s/git' && git --git-dir=. pack-refs --all && mkdir refs/heads/main && "
	    "touch refs/heads/main/.in-the-way",
	    store);
	g_assert_false(commit_key(repo, branch, "ns", "a", "2", NULL, &error));
	g_assert_true(prolly_journal_trim(repo->body->journal, NULL));
	_exit(0);
}

/* A move that is in the journal and cannot be made stays there until it can. */
static void test_crash_unapplied(Fixture *self, gconstpointer data)
{
	g_autofree char *log = NULL;
	ProllyRepo *repo;

	init_store(self);
	crash_in(self, "/version/repo/unapplied/subprocess");
	run("rm -r '%s/git/refs/heads/main'", self->store);
	repo = open_spec(self->store);
	assert_value(repo, "main", "a", "2");
	log = capture("git --git-dir='%s/git' log --format=%%s main", self->store);
	g_assert_cmpstr(log, ==, "a = 2\na = 1\nInitial commit");
	must_commit(repo, "main", "ns", "a", "3");
	prolly_repo_free(repo);
}

/* (transfer full) N moves of main, of which the last leads to HEAD. */
static GPtrArray *make_moves(const ProllyCommitId *head, unsigned n)
{
	GPtrArray *updates = prolly_ref_updates_new();
	ProllyCommitId at = {{0xff}};

	for (unsigned i = 0; i < n; i++) {
		ProllyRefUpdate *update = g_new0(ProllyRefUpdate, 1);

		update->name = g_strdup("refs/heads/main");
		update->from = at;
		memset(&at, 0, sizeof(at));
		prolly_set_be32(at.bytes, i + 1);
		update->to = at = i + 1 < n ? at : *head;
		update->log = g_strdup("C <c@d> 1 +0000\tcommit: m");
		g_ptr_array_add(updates, update);
	}
	return updates;
}

/* Bytes that this process has read of files; 0: the kernel does not say. */
static uint64_t count_read(void)
{
	g_autofree char *text = NULL;

	if (!g_file_get_contents("/proc/self/io", &text, NULL, NULL) ||
	    !g_str_has_prefix(text, "rchar: "))
		return 0;
	return g_ascii_strtoull(text + strlen("rchar: "), NULL, 10);
}

/* However many moves the journal has: a reflog is read a few times. */
static void test_many_moves(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	ProllyRefs *refs = repo->body->git->refs;
	g_autofree char *path = g_build_filename(self->store, "git/logs/refs/heads/main", NULL);
	g_autoptr(GString) log = g_string_new(NULL);
	g_autoptr(GPtrArray) updates = NULL;
	g_autoptr(GError) error = NULL;
	ProllyCommitId head, after;
	uint64_t before;

	get_head(repo, "main", &head);
	updates = make_moves(&head, 2000);
	for (guint i = 0; i < updates->len; i++) {
		g_autofree char *line = prolly_ref_update_to_line(g_ptr_array_index(updates, i));

		g_string_append(log, line);
	}
	g_assert_true(g_file_set_contents(path, log->str, (gssize)log->len, NULL));
	before = count_read();
	g_mutex_lock(&repo->body->git_lock);
	refs->ops->replay(refs, updates, &error);
	g_mutex_unlock(&repo->body->git_lock);
	g_assert_no_error(error);
	g_assert_cmpuint(count_read() - before, <, 10 * log->len);
	get_head(repo, "main", &after);
	g_assert_true(prolly_commit_id_equal(&head, &after));
	prolly_repo_free(repo);
}

static void test_trimmed(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	g_autoptr(ProllyDbIter) iter = NULL;

	must_commit(repo, "main", "ns", "k", "v");
	prolly_repo_free(repo);
	repo = open_spec(self->store);
	iter = prolly_db_iter_new(repo->body->db, PROLLY_DB_JOURNAL, NULL, "", 0, NULL, 0);
	prolly_db_iter_seek_first(iter);
	g_assert_false(prolly_db_iter_is_valid(iter));
	g_clear_pointer(&iter, prolly_db_iter_free);
	prolly_repo_free(repo);
}

/* ---- Records ------------------------------------------------------------------------------ */

/* Is a record that moves the reference NAME one that is carried out? */
static bool is_taken(const char *name)
{
	g_autoptr(GPtrArray) updates =
		g_ptr_array_new_with_free_func((GDestroyNotify)prolly_ref_update_free);
	g_autoptr(GByteArray) record = g_byte_array_new();
	g_autoptr(GPtrArray) objects = NULL;
	g_autoptr(GPtrArray) read = NULL;
	ProllyRefUpdate *update = g_new0(ProllyRefUpdate, 1);

	update->name = g_strdup(name);
	update->log = g_strdup("");
	g_ptr_array_add(updates, update);
	prolly_journal_encode(NULL, updates, record);
	return prolly_journal_decode(record->data, record->len, &objects, &read, NULL);
}

/* A name becomes a path: it stays below the references. */
static void test_hostile_records(void)
{
	static const char *const bad[] = {
		"refs/../config", "refs/heads/../../config", "refs/heads/",          "/etc/passwd",
		"HEAD",           "refs/heads/x.lock",       "refs/heads/.hidden/x", "refs//x"};

	prolly_git_start();
	g_assert_true(is_taken("refs/heads/feature/x"));
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(is_taken(bad[i]));
}

static void test_newer_record(void)
{
	static const uint8_t record[] = {2, 0, 0};
	g_autoptr(GPtrArray) objects = NULL;
	g_autoptr(GPtrArray) updates = NULL;
	g_autoptr(GError) error = NULL;

	g_assert_false(prolly_journal_decode(record, sizeof(record), &objects, &updates, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_NEWER_FORMAT);
	g_assert_cmpstr(error->message, ==,
			"a record of version 2, this program knows versions up to 1");
}

int main(int argc, char **argv)
{
	set_identity();
	g_test_init(&argc, &argv, NULL);

	g_test_add_func("/version/journal/newer-record", test_newer_record);
	WITH_STORE("branch/moved-by-git", test_outside_move);
	WITH_STORE("refs/locked-by-git", test_git_holds_lock);
	WITH_STORE("refs/old-locks", test_old_locks);
	WITH_STORE("refs/new-locks", test_new_locks);
	g_test_add("/version/refs/locked-packed", Fixture, "touch", set_up, test_locked_packed,
		   tear_down);
	g_test_add("/version/refs/locked-packed-late", Fixture, "ln -s nowhere", set_up,
		   test_locked_packed, tear_down);
	WITH_STORE("refs/unfinished-line", test_unfinished_line);
	WITH_STORE("refs/unfinished-renamed", test_unfinished_renamed);
	WITH_STORE("refs/no-room-for-line", test_no_room_for_line);
	g_test_add_func("/version/repo/crash/subprocess", crash_subprocess);
	g_test_add_func("/version/repo/locked/subprocess", locked_subprocess);
	g_test_add_func("/version/repo/unapplied/subprocess", unapplied_subprocess);
	g_test_add("/version/journal/crash", Fixture, NULL, set_up, test_crash, tear_down);
	g_test_add("/version/journal/lost-git", Fixture, "rm -r git && mv ../git-before git",
		   set_up, test_crash, tear_down);
	g_test_add("/version/journal/empty-objects", Fixture,
		   "find git/objects -type f -newer ../git-before/stamp -exec truncate -s 0 {} +",
		   set_up, test_crash, tear_down);
	g_test_add("/version/journal/empty-references", Fixture,
		   "find git/refs -type f -exec truncate -s 0 {} +", set_up, test_crash, tear_down);
	g_test_add("/version/journal/torn-reflog", Fixture,
		   "printf 'abc\\0\\0\\0' >> git/logs/refs/heads/main", set_up, test_crash,
		   tear_down);
	/* A move that is not in the journal, as it was not synced, left its reflog's line and an
	 * empty file. */
	g_test_add("/version/journal/empty-after-another", Fixture,
		   "set -- $(tail -n 1 git/logs/refs/heads/main) && "
		   "printf '%s %s C <c@d> 1 +0000\\treset: moving\\n' $2 $1 >> "
		   "git/logs/refs/heads/main && "
		   "truncate -s 0 git/refs/heads/main",
		   set_up, test_crash, tear_down);
	g_test_add_func("/version/journal/hostile-records", test_hostile_records);
	WITH_STORE("journal/then-git", test_crash_then_git);
	WITH_STORE("journal/locked", test_crash_locked);
	WITH_STORE("journal/unapplied", test_crash_unapplied);
	WITH_STORE("journal/many-moves", test_many_moves);
	WITH_STORE("journal/trimmed", test_trimmed);
	return g_test_run();
}
