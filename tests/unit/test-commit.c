/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Committing: what counts as a change, generations while writers go on, commits that fail, and what
 * a process that is killed leaves.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "version/tag.h"
#include "working-site.h"

/* ---- What is a change -------------------------------------------------------------------- */

static void test_counts(Fixture *self, gconstpointer data)
{
	ProllyCommitId before, after;

	put(self, "n", "a", "1");
	put(self, "n", "b", "1");
	put(self, "m", "c", "1");
	put(self, "", "top", "1");
	g_assert_cmpuint(commit(self), ==, 4);
	prolly_branch_get_head(self->branch, &before);
	put(self, "n", "a", "1");
	g_assert_cmpuint(commit(self), ==, 0);
	prolly_branch_get_head(self->branch, &after);
	g_assert_true(prolly_commit_id_equal(&before, &after));
	put(self, "n", "a", "2");
	delete (self, "n", "b");
	g_assert_cmpuint(commit(self), ==, 2);
	assert_entries(self, "", "", "m/,n/,top");
	delete (self, "", "top");
	g_assert_cmpuint(commit(self), ==, 1);
	assert_entries(self, "", "", "m/,n/");
}

static void test_empty_namespace(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	make_directory(self, "n", "");
	g_assert_cmpuint(commit(self), ==, 1);
	assert_entries(self, "", "", "n/");
	g_assert_true(try_remove_directory(self, "n", "", &error));
	assert_entries(self, "", "", "");
	g_assert_cmpuint(commit(self), ==, 1);
	assert_entries(self, "", "", "");
}

/* Attributes outlive a commit, and one that has nothing else to commit. */
static void test_attributes(Fixture *self, gconstpointer data)
{
	ProllyAttrs attrs = {
		.has = PROLLY_ATTR_MODE | PROLLY_ATTR_MTIME, .mode = 0600, .mtime = 77};
	ProllyPlace place = at("n", "a"), dir = at("n", "d/");
	g_autoptr(GError) error = NULL;
	ProllyAttrs read;
	bool exists;

	put(self, "n", "a", "1");
	put(self, "n", "d/x", "1");
	commit(self);
	prolly_edit_set_attrs(self->repo, self->branch, &place, false, &attrs, -1, NULL, &error);
	g_assert_no_error(error);
	prolly_edit_set_attrs(self->repo, self->branch, &dir, true, &attrs, -1, NULL, &error);
	g_assert_no_error(error);
	for (int i = 0; i < 2; i++) {
		get_attrs(self, "n", "a", &read);
		g_assert_cmpuint(read.mode, ==, 0600);
		g_assert_cmpint(read.mtime, ==, 77);
		get_directory(self, "n", "d/", &read, &exists, NULL);
		g_assert_cmpuint(read.mode, ==, 0600);
		g_assert_cmpint(read.mtime, ==, 77);
		g_assert_cmpuint(commit(self), ==, 0);
	}
	put(self, "n", "b", "1");
	commit(self);
	get_attrs(self, "n", "a", &read);
	g_assert_cmpint(read.mtime, ==, 77);
}

static void test_large(Fixture *self, gconstpointer data)
{
	const ProllyTreeContext *context = prolly_repo_get_context(self->repo);
	g_autofree char *content = g_malloc(300000);
	g_autofree char *back = g_malloc(300000);
	g_autoptr(GBytes) stored = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyView) view = view_of(self);
	g_auto(ProllyEntry) entry = {0};
	ProllyPlace place = at("n", "big");
	size_t len;
	bool found;

	for (int i = 0; i < 300000; i++)
		content[i] = (char)(i * 7 + i / 999);
	prolly_value_store(context, PROLLY_KIND_FILE, content, 300000, &stored, &error);
	g_assert_no_error(error);
	prolly_edit_put(self->repo, self->branch, &place, stored, NULL, 0, NULL, &error);
	g_assert_no_error(error);
	commit(self);
	prolly_view_get(view, &place, false, &entry, &found, &error);
	g_assert_true(found);
	g_assert_cmpuint(entry.length, ==, 300000);
	prolly_view_read(view, &entry, 0, back, 300000, &len, &error);
	g_assert_no_error(error);
	g_assert_cmpmem(content, 300000, back, len);
}

/* ---- Figures ----------------------------------------------------------------------------- */

/* What a commit would give is what it gives. */
static void test_figures(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyView) view = view_of(self);
	g_autoptr(GError) error = NULL;
	ProllyNamespaceFigures staged, committed, all_staged, all_committed;

	for (int i = 0; i < 500; i++) {
		g_autofree char *key = g_strdup_printf("key/%d", i * 7919 % 1000);

		put(self, "n", key, "value");
	}
	prolly_view_get_figures(view, "n", &staged, &error);
	g_assert_no_error(error);
	prolly_view_get_figures(view, NULL, &all_staged, &error);
	g_assert_no_error(error);
	commit(self);
	prolly_view_get_figures(view, "n", &committed, &error);
	prolly_view_get_figures(view, NULL, &all_committed, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(staged.keys, ==, 500);
	g_assert_cmpuint(committed.keys, ==, 500);
	g_assert_cmpuint(staged.bytes, ==, committed.bytes);
	g_assert_true(prolly_hash_equal(&staged.root, &committed.root));
	g_assert_true(prolly_hash_equal(&all_staged.root, &all_committed.root));
}

/* ---- Writers meanwhile ------------------------------------------------------------------- */

#define WRITTEN 3000

static gpointer write_keys(gpointer data)
{
	Fixture *self = data;

	for (int i = 0; i < WRITTEN; i++) {
		g_autofree char *key = g_strdup_printf("d%d/%d", i % 3, i);
		g_autofree char *back = NULL;

		put(self, "n", key, key);
		if (i % 3 == 0)
			put(self, "n", key, "again");
		if (i % 5 == 0)
			delete (self, "n", key);
		back = get(self, "n", key);
		g_assert_cmpstr(back, ==, i % 5 == 0 ? NULL : i % 3 == 0 ? "again" : key);
	}
	return NULL;
}

/* Readers see every key that was there before, whatever is folded and dropped. */
static gpointer read_keys(gpointer data)
{
	Fixture *self = data;

	for (int i = 0; i < WRITTEN; i++)
		assert_content(self, "n", "steady", "1");
	return NULL;
}

static void test_writers(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyView) view = view_of(self);
	GThread *writer, *reader;
	int live = 0;

	put(self, "n", "steady", "1");
	writer = g_thread_new("writer", write_keys, self);
	reader = g_thread_new("reader", read_keys, self);
	for (int i = 0; i < 30; i++)
		commit(self);
	g_thread_join(writer);
	g_thread_join(reader);
	commit(self);
	for (int i = 0; i < WRITTEN; i++) {
		g_autofree char *key = g_strdup_printf("d%d/%d", i % 3, i);
		g_autofree char *content = get(self, "n", key);

		g_assert_cmpstr(content, ==, i % 5 == 0 ? NULL : i % 3 == 0 ? "again" : key);
		live += content != NULL;
	}
	g_assert_cmpint(live, ==, WRITTEN * 4 / 5);
}

/* ---- On disk ----------------------------------------------------------------------------- */

typedef struct {
	Fixture site;
	char *dir;
	char *store;
} Disk;

static void open_disk(Disk *self)
{
	ProllyRepoOptions options = {.create = true, .wait_ms = 10000};
	g_autoptr(GError) error = NULL;

	prolly_repo_open(self->store, &options, &self->site.repo, &error);
	g_assert_no_error(error);
	prolly_branch_lookup(self->site.repo, "main", &self->site.branch, &error);
	g_assert_no_error(error);
}

static void close_disk(Disk *self)
{
	g_clear_pointer(&self->site.branch, prolly_branch_unref);
	g_clear_pointer(&self->site.repo, prolly_repo_free);
}

static void run(const char *format, ...) G_GNUC_PRINTF(1, 2);

static void run(const char *format, ...)
{
	g_autofree char *command = NULL;
	va_list args;

	va_start(args, format);
	command = g_strdup_vprintf(format, args);
	va_end(args);
	g_assert_cmpint(system(command), ==, 0);
}

static void set_up_disk(Disk *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	self->dir = g_dir_make_tmp("prolly-commit-XXXXXX", &error);
	g_assert_no_error(error);
	self->store = g_build_filename(self->dir, "store", NULL);
}

static void tear_down_disk(Disk *self, gconstpointer data)
{
	run("rm -rf '%s'", self->dir);
	g_free(self->store);
	g_free(self->dir);
}

static void test_reopen(Disk *self, gconstpointer data)
{
	ProllyAttrs before, after;

	open_disk(self);
	put_with(&self->site, "n", "d/a", "1", 0, &before);
	make_directory(&self->site, "n", "e/");
	commit(&self->site);
	put(&self->site, "n", "d/b", "2");
	close_disk(self);
	open_disk(self);
	assert_keys(&self->site, "n", "d/a,d/b,e/");
	get_attrs(&self->site, "n", "d/a", &after);
	g_assert_cmpuint(before.ino, ==, after.ino);
	g_assert_cmpint(before.mtime, ==, after.mtime);
	g_assert_cmpuint(commit(&self->site), ==, 1);
	close_disk(self);
}

/* A commit that finds its branch moved by git fails, and loses nothing. */
static void test_stale(Disk *self, gconstpointer data)
{
	ProllySignature author = {(char *)"A", (char *)"a@example.com", 1000000000, 0};
	ProllyCommitOptions options = {.message = "x", .author = &author, .committer = &author};
	g_autoptr(GError) error = NULL;
	ProllyBranch *again;
	ProllyCommitId id;
	uint64_t changes;

	open_disk(self);
	put(&self->site, "n", "a", "1");
	commit(&self->site);
	put(&self->site, "n", "b", "2");
	run("git --git-dir='%s/git' update-ref refs/heads/main refs/heads/main~1", self->store);
	g_assert_false(prolly_history_commit(self->site.repo, self->site.branch, &options, &id,
					     &changes, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_STALE);
	assert_content(&self->site, "n", "b", "2");
	g_clear_error(&error);
	put(&self->site, "n", "c", "3");
	prolly_branch_lookup(self->site.repo, "main", &again, &error);
	g_assert_no_error(error);
	prolly_branch_unref(again);
	assert_keys(&self->site, "n", "b,c");
	g_assert_cmpuint(commit(&self->site), ==, 2);
	assert_keys(&self->site, "n", "b,c");
	close_disk(self);
	open_disk(self);
	assert_keys(&self->site, "n", "b,c");
	close_disk(self);
}

static size_t count_records(Disk *self)
{
	g_autoptr(ProllyDbIter) iter = prolly_db_iter_new(self->site.repo->body->db,
							  PROLLY_DB_STAGED, NULL, NULL, 0, NULL, 0);
	size_t n = 0;

	for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
	     prolly_db_iter_next(iter))
		n++;
	return n;
}

/* ---- Killed ------------------------------------------------------------------------------ */

/* The thread sanitizer cannot follow a child that makes threads. */
static bool can_fork(void)
{
#ifdef __SANITIZE_THREAD__
	g_test_skip("the thread sanitizer is at work");
	return false;
#else
	return true;
#endif
}

/* In a child that ends without closing anything: a load that nobody attached. */
static void test_lost_load(Disk *self, gconstpointer data)
{
	pid_t child;
	int status;

	if (!can_fork())
		return;
	child = fork();
	if (!child) {
		g_autoptr(GError) error = NULL;
		ProllyLoad *load;
		char *content = g_strnfill(1000, 'x');

		open_disk(self);
		put(&self->site, "n", "a", "1");
		prolly_load_new(self->site.repo, self->site.branch, "n", &load, &error);
		for (int i = 0; i < 40000 && !error; i++) {
			g_autofree char *key = g_strdup_printf("k%d", i);

			prolly_load_add(load, key, strlen(key), content, 1000, &error);
		}
		_exit(error || count_records(self) < 1000);
	}
	waitpid(child, &status, 0);
	g_assert_cmpint(status, ==, 0);
	open_disk(self);
	assert_keys(&self->site, "n", "a");
	g_assert_cmpuint(count_records(self), <, 10);
	close_disk(self);
}

/* The child writes and commits for ever, and says after each put that it is done. */
static void write_until_killed(Disk *self, int fd, int from)
{
	open_disk(self);
	for (int i = from;; i++) {
		g_autofree char *key = g_strdup_printf("%06d", i);

		put(&self->site, "n", key, key);
		if (write(fd, &i, sizeof(i)) != sizeof(i))
			_exit(1);
		if (i % 17 == 0)
			commit(&self->site);
	}
}

static int read_last(int fd, int last)
{
	int i;

	while (read(fd, &i, sizeof(i)) == sizeof(i))
		last = i;
	return last;
}

static void test_killed(Disk *self, gconstpointer data)
{
	int last = 0;

	if (!can_fork())
		return;
	for (int round = 0; round < 4; round++) {
		int fds[2], status;
		pid_t child;

		g_assert_cmpint(pipe(fds), ==, 0);
		child = fork();
		if (!child)
			write_until_killed(self, fds[1], last + 1);
		close(fds[1]);
		/* However long the child takes to begin. */
		g_assert_cmpint(read(fds[0], &last, sizeof(last)), ==, sizeof(last));
		g_usleep(150000 + (gulong)round * 70001);
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		last = read_last(fds[0], last);
		close(fds[0]);
		open_disk(self);
		for (int i = 1; i <= last; i++) {
			g_autofree char *key = g_strdup_printf("%06d", i);

			assert_content(&self->site, "n", key, key);
		}
		close_disk(self);
	}
	g_assert_cmpint(last, >, 0);
	run("git --git-dir='%s/git' fsck --strict >/dev/null 2>&1", self->store);
}

/* ---- Who makes it ------------------------------------------------------------------------ */

static void assert_refused(Fixture *self, const ProllySignature *author,
			   const ProllySignature *committer)
{
	ProllyCommitOptions options = {.message = "x", .author = author, .committer = committer};
	ProllyTagOptions tag = {.message = "x", .tagger = committer};
	g_autoptr(GError) error = NULL;
	ProllyCommitId before, after, id;
	uint64_t changes;

	prolly_branch_get_head(self->branch, &before);
	g_assert_false(
		prolly_history_commit(self->repo, self->branch, &options, &id, &changes, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
	g_clear_error(&error);
	prolly_branch_get_head(self->branch, &after);
	g_assert_true(prolly_commit_id_equal(&before, &after));
	if (author->time != 1000000000)
		return; /* a tag has none */
	g_assert_false(prolly_tag_create(self->repo, "v1", &before, &tag, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
}

/* No caller makes an object that git cannot read back. */
static void test_signatures(Fixture *self, gconstpointer data)
{
	const ProllySignature good = {(char *)"A", (char *)"a@example.com", 1000000000, 0};
	const ProllySignature bad[] = {
		{(char *)"A\nB", (char *)"a@b", 1, 0},
		{(char *)"A <a> B", (char *)"a@b", 1, 0},
		{(char *)"A", (char *)"a@b> 1 +0000\ntree 0", 1, 0},
		{(char *)"A", (char *)"a>b", 1, 0},
		{(char *)"A", (char *)"a@b", -1, 0},
		{(char *)"A", (char *)"a@b", 1, 6000},
		{(char *)"A", (char *)"a@b", 1, -6000},
	};

	put(self, "n", "a", "1");
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		assert_refused(self, &bad[i], &good);
		assert_refused(self, &good, &bad[i]);
	}
	g_assert_cmpuint(commit(self), ==, 1);
}

/* What some program has put into a commit goes into the next one as git takes it. */
static void test_foreign_signature(Fixture *self, gconstpointer data)
{
	ProllySignature author = {g_strdup("A <b>"), g_strdup("c>@d"), -100000, 0};

	put(self, "n", "a", "1");
	assert_refused(self, &author, &author);
	prolly_signature_tidy(&author);
	g_assert_cmpstr(author.name, ==, "A b");
	g_assert_cmpstr(author.email, ==, "c@d");
	g_assert_cmpint(author.time, ==, 0);
	prolly_signature_clear(&author);
	author = (ProllySignature){g_strdup("A. B."), g_strdup(" c@d"), 1, 0};
	prolly_signature_tidy(&author);
	g_assert_cmpstr(author.name, ==, "A. B.");
	g_assert_cmpstr(author.email, ==, " c@d");
	prolly_signature_clear(&author);
}

/* A line of a reflog stays one, whoever the handle's user says he is. */
static void test_reflog_line(Disk *self, gconstpointer data)
{
	const ProllySignature bad = {(char *)"A\nB <x>", (char *)"a@b>\n", 1, 0};
	ProllyBranch *branch = NULL;
	g_autoptr(GError) error = NULL;
	g_autofree char *path = NULL, *line = NULL;
	ProllyCommitId head;

	open_disk(self);
	prolly_repo_set_committer(self->site.repo, &bad);
	prolly_branch_get_head(self->site.branch, &head);
	prolly_branch_create(self->site.repo, "other", &head, NULL, &branch, &error);
	g_assert_no_error(error);
	prolly_branch_unref(branch);
	close_disk(self);
	path = g_build_filename(self->store, "git/logs/refs/heads/other", NULL);
	g_file_get_contents(path, &line, NULL, &error);
	g_assert_no_error(error);
	g_assert_nonnull(strstr(line, " AB x <a@b> 1 +0000\t"));
	g_assert_true(strchr(line, '\n') == line + strlen(line) - 1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	/* These fork, which a process that has threads must not: they come first. */
#define DISK(path, function) \
	g_test_add("/version/commit/" path, Disk, NULL, set_up_disk, function, tear_down_disk)
#define TEST(path, function) \
	g_test_add("/version/commit/" path, Fixture, NULL, set_up, function, tear_down)
	DISK("killed", test_killed);
	DISK("lost-load", test_lost_load);
	DISK("reopen", test_reopen);
	DISK("stale", test_stale);
	DISK("reflog-line", test_reflog_line);
	TEST("counts", test_counts);
	TEST("empty-namespace", test_empty_namespace);
	TEST("attributes", test_attributes);
	TEST("large", test_large);
	TEST("figures", test_figures);
	TEST("writers", test_writers);
	TEST("signatures", test_signatures);
	TEST("foreign-signature", test_foreign_signature);
	return g_test_run();
}
