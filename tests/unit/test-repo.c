/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores: what one on disk is, what refuses to be one and is left untouched, who has it open; and
 * specifications, sizes and dates.
 */
#include "repo-fixture.h"

/* ---- Specifications, dates ---------------------------------------------------------------- */

static void test_spec(void)
{
	static const struct {
		const char *text;
		bool ok;
		bool has_kind;
		ProllyBackendKind kind;
		const char *path;
		uint64_t cache;
	} cases[] = {
		{"a/b", true, false, PROLLY_BACKEND_ROCKSDB, "a/b", 0},
		{"a?cache=1", true, false, PROLLY_BACKEND_ROCKSDB, "a?cache=1", 0},
		{"rocksdb:///x", true, true, PROLLY_BACKEND_ROCKSDB, "/x", 0},
		{"file://x y", true, true, PROLLY_BACKEND_FILE, "x y", 0},
		{"cached-file://x", true, true, PROLLY_BACKEND_CACHED_FILE, "x", 0},
		{"cached-file://x?cache=64M", true, true, PROLLY_BACKEND_CACHED_FILE, "x",
		 64 << 20},
		{":memory:", true, true, PROLLY_BACKEND_MEMORY, NULL, 0},
		{"", false},
		{"s3://x", false},
		{"file://", false},
		{"file://x?cache=64M", false},
		{"cached-file://x?cache=64Q", false},
		{"cached-file://x?size=64M", false},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(ProllySpec) spec = {0};
		bool ok = prolly_spec_parse(cases[i].text, &spec, NULL);

		g_assert_true(ok == cases[i].ok);
		if (!ok)
			continue;
		g_assert_true(spec.has_kind == cases[i].has_kind);
		g_assert_cmpint(spec.kind, ==, cases[i].kind);
		g_assert_cmpstr(spec.path, ==, cases[i].path);
		g_assert_cmpuint(spec.cache_size, ==, cases[i].cache);
	}
}

static void test_size(void)
{
	uint64_t size = 0;

	g_assert_true(prolly_size_parse("4096", &size, NULL) && size == 4096);
	g_assert_true(prolly_size_parse("1k", &size, NULL) && size == 1024);
	g_assert_true(prolly_size_parse("2G", &size, NULL) && size == UINT64_C(2) << 30);
	g_assert_false(prolly_size_parse("", &size, NULL));
	g_assert_false(prolly_size_parse("-1", &size, NULL));
	g_assert_false(prolly_size_parse("1MB", &size, NULL));
	g_assert_false(prolly_size_parse("99999999999999999999", &size, NULL));
	g_assert_false(prolly_size_parse("99999999999999T", &size, NULL));
}

static void test_date(void)
{
	static const struct {
		const char *text;
		int64_t time;
		int offset;
	} cases[] = {
		{"@1112911993 +0200", 1112911993, 120},
		{"1112911993 -0700", 1112911993, -420},
		{"2005-04-07T22:13:13Z", 1112911993, 0},
		{"2005-04-07T22:13:13+00:00", 1112911993, 0},
		{"2005-04-07 15:13:13.5 -0700", 1112911993, -420},
		{"Thu, 07 Apr 2005 22:13:13 +0000", 1112911993, 0},
		{"Thu Apr 7 15:13:13 2005 -0700", 1112911993, -420},
		{"2005-04-07 UTC", 1112832000, 0},
		{"Thu, 07 Apr 2005 18:13:13 EDT", 1112911993, -240},
		{"20050407T221313Z", 1112911993, 0},
	};
	static const char *const bad[] = {"",
					  "tomorrow-ish",
					  "2005-13-01",
					  "25:61",
					  "2005-04-07 hello",
					  "@12x",
					  "@-5",
					  "3 moons ago",
					  "weeks ago",
					  "2.5 weeks ago",
					  "1960-01-01T00:00:00Z",
					  "32",
					  "-1",
					  "next friday",
					  "1/2",
					  "99999999999999999999 days ago"};
	int64_t time = 0;
	int offset = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		if (!prolly_date_parse(cases[i].text, 0, &time, &offset))
			g_error("not parsed: %s", cases[i].text);
		g_assert_cmpint(time, ==, cases[i].time);
		g_assert_cmpint(offset, ==, cases[i].offset);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		if (prolly_date_parse(bad[i], 0, &time, &offset))
			g_error("parsed: %s", bad[i]);
	g_assert_true(prolly_date_parse("2.days.ago", 1000000, &time, &offset));
	g_assert_cmpint(time, ==, 1000000 - 2 * 86400);
	g_assert_true(prolly_date_parse("yesterday", 1000000, &time, &offset));
	g_assert_cmpint(time, ==, 1000000 - 86400);
}

/* What `git rev-parse --since=TEXT` made of them, in UTC with GIT_TEST_DATE_NOW=1795299788, and below
 * the line what it guesses otherwise. */
static const struct {
	const char *text;
	int64_t time;
} said[] = {
	{"last friday", 1795213388},
	{"last monday", 1794867788},
	{"2 fridays ago", 1794608588},
	{"last saturday", 1794694988},
	{"1 month 2 weeks 3 days 1 hour 1 second ago", 1791148987},
	{"noon", 1795262400},
	{"midnight", 1795219200},
	{"tea", 1795280400},
	{"noon yesterday", 1795176000},
	{"yesterday noon", 1795176000},
	{"10am", 1795255200},
	{"3pm", 1795273200},
	{"yesterday 3pm", 1795186800},
	{"12am", 1795219200},
	{"6pm yesterday", 1795197600},
	{"jan 5", 1767651788},
	{"jan 5 2020", 1578262988},
	{"5 jan", 1767651788},
	{"dec 24", 1766614988},
	{"december 24", 1766614988},
	{"2 weeks", 1794090188},
	{"1 year ago", 1763763788},
	{"15 months ago", 1755814988},
	{"last week", 1794694988},
	{"last year", 1763763788},
	{"last month", 1792621388},
	{"now", 1795299788},
	{"2020", 1605997388},
	{"13", 1794608588},
	{"1 jan 2015 10:00", 1420106400},
	{"10:00", 1795255200},
	{"23:30", 1795303800},
	{"10:00 yesterday", 1795168800},
	{"2026-11-01", 1793571788},
	{"2026/11/01", 1793571788},
	{"11/01/2026", 1793571788},
	{"01.11.2026", 1793571788},
	{"24.12.", 1766614988},
	{"2026-11-01 10:00", 1793527200},
	{"1979-02-26 18:30:00", 288901800},
	{"5.minutes.ago", 1795299488},
	{"yesterday 10:00", 1795168800},
	{"20 days ago noon", 1793534400},
	{"100000000", 100000000},
	{"20261101T101112", 1793527872},
	{"2026-11-01T10:11:12.5+02:00", 1793520672},
	{"jan 5 noon", 1767614400},
	{"last friday noon", 1795176000},
	{"noon last friday", 1795176000},
	{"2 days ago noon", 1795089600},
	{"12pm", 1795262400},
	{"13pm", 1795266000},
	{"3 pm", 1795273200},
	{"yesterday 3:00pm", 1795186800},
	{"3:00 pm", 1795273200},
	{"15:00 yesterday", 1795186800},
	{"31 jan", 1769898188},
	{"feb 30", 1772490188},
	{"11 months ago", 1766355788},
	{"nov 25", 1795645388},
	{"5.1.2026", 1767651788},
	{"13/01/2026", 1768342988},
	{"05-01-2026", 1777674188},
	{"5 january, 2020", 1578262988},
	{"two weeks ago", 1794090188},
	{"zero days ago", 1795299788},
	{"ten years ago", 1479766988},
	{"3.days.ago", 1795040588},
	{"one.hour.ago", 1795296188},
	{"yesterday", 1795213388},
	{"Thu Apr 7 15:13:13 2005 -0700", 1112911993},
	{"2026.01.05", 1767651788},
	{"1 week 2 days", 1794522188},
	{"last.month", 1792621388},
	{"5 minutes ago", 1795299488},
	{"Nov 1", 1793571788},
	{"nov 1 2026 3pm", 1793545200},
	{"1 nov 3:30pm", 1793547000},
	/* ---- */
	{"today", 1795219200},
	{"friday", 1795213388},
	{"a week ago", 1794694988},
	{"never", 0},
	{"100 years ago", 0},
};

static void test_date_said(void)
{
	static const int64_t now = 1795299788; /* Sat Nov 21 22:23:08 2026 */
	g_autofree char *zone = g_strdup(g_getenv("TZ"));
	int64_t time = 0;
	int offset = 0;

	g_setenv("TZ", "UTC", TRUE);
	tzset();
	for (size_t i = 0; i < G_N_ELEMENTS(said); i++) {
		if (!prolly_date_parse(said[i].text, now, &time, &offset))
			g_error("not parsed: %s", said[i].text);
		if (time != said[i].time)
			g_error("%s is %" PRId64, said[i].text, time);
	}
	/* at 9:40 noon is yesterday's, and yesterday's is */
	g_assert_true(prolly_date_parse("noon", 1795254000, &time, &offset) && time == 1795176000);
	g_assert_true(prolly_date_parse("noon yesterday", 1795254000, &time, &offset) &&
		      time == 1795176000);
	if (zone)
		g_setenv("TZ", zone, TRUE);
	else
		g_unsetenv("TZ");
	tzset();
}

/* ---- Stores ------------------------------------------------------------------------------- */

static void test_init(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *before = NULL;
	g_autofree char *after = NULL;
	ProllyRepo *repo = new_store(self);

	g_assert_cmpstr(prolly_repo_get_default_branch(repo), ==, "main");
	g_assert_cmpstr(prolly_repo_get_path(repo), ==, self->store);
	g_assert_true(prolly_repo_is_store(self->store));
	prolly_repo_free(repo);

	before = list_tree(self->store);
	g_assert_false(prolly_repo_init(self->store, NULL, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_EXISTS);
	after = list_tree(self->store);
	g_assert_cmpstr(before, ==, after);
}

static void test_init_kinds(Fixture *self, gconstpointer data)
{
	static const char *const schemes[] = {"rocksdb://", "file://", "cached-file://"};

	for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
		g_autofree char *spec = g_strdup_printf("%s%s%zu", schemes[i], self->store, i);
		g_autofree char *path = g_strdup_printf("%s%zu", self->store, i);
		g_autofree char *other =
			g_strconcat(schemes[(i + 1) % G_N_ELEMENTS(schemes)], path, NULL);
		g_autoptr(GError) error = NULL;
		ProllyRepo *repo;

		prolly_repo_init(spec, NULL, &error);
		g_assert_no_error(error);
		repo = open_spec(path);
		must_commit(repo, "main", "ns", "k", "v");
		prolly_repo_free(repo);
		repo = open_spec(spec);
		assert_value(repo, "main", "k", "v");
		prolly_repo_free(repo);
		assert_opens_not(other, PROLLY_ERROR_INVALID, path);
	}
}

static void test_init_branch(Fixture *self, gconstpointer data)
{
	ProllyRepoInitOptions options = {.default_branch = "team/trunk"};
	g_autoptr(GError) error = NULL;
	g_autofree char *head = NULL;
	ProllyRepo *repo;

	prolly_repo_init(self->store, &options, &error);
	g_assert_no_error(error);
	repo = open_spec(self->store);
	g_assert_cmpstr(prolly_repo_get_default_branch(repo), ==, "team/trunk");
	head = capture("git --git-dir='%s/git' symbolic-ref HEAD", self->store);
	g_assert_cmpstr(head, ==, "refs/heads/team/trunk");
	prolly_repo_free(repo);

	options.default_branch = "no..good";
	g_assert_false(prolly_repo_init("elsewhere", &options, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
	g_assert_false(g_file_test("elsewhere", G_FILE_TEST_EXISTS));
}

/* A directory with something in it, and one where a making was interrupted. */
static void test_init_leftovers(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	ProllyRepo *repo;

	run("mkdir '%s' && touch '%s/data'", self->store, self->store);
	g_assert_false(prolly_repo_init(self->store, NULL, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_EXISTS);
	g_clear_error(&error);

	run("rm -r '%s'; mkdir -p '%s/data' '%s/git/refs'; touch '%s/lock'", self->store,
	    self->store, self->store, self->store);
	assert_opens_not(self->store, PROLLY_ERROR_NOT_A_STORE, self->store);
	repo = new_store(self);
	prolly_repo_free(repo);
}

static void test_not_a_store(Fixture *self, gconstpointer data)
{
	g_autofree char *before = NULL;
	g_autofree char *after = NULL;

	assert_opens_not(self->store, PROLLY_ERROR_NOT_A_STORE, self->store);
	g_assert_false(g_file_test(self->store, G_FILE_TEST_EXISTS));

	run("mkdir '%s' && echo '[core]' > '%s/config'", self->store, self->store);
	before = list_tree(self->store);
	assert_opens_not(self->store, PROLLY_ERROR_NOT_A_STORE, self->store);
	g_assert_false(prolly_repo_is_store(self->store));
	after = list_tree(self->store);
	g_assert_cmpstr(before, ==, after);
}

static void test_newer_format(Fixture *self, gconstpointer data)
{
	g_autofree char *before = NULL;
	g_autofree char *after = NULL;

	init_store(self);
	run("sed -i s/^format=.*/format=7/ '%s/config'", self->store);
	before = list_tree(self->store);
	assert_opens_not(self->store, PROLLY_ERROR_NEWER_FORMAT, "format 7");
	after = list_tree(self->store);
	g_assert_cmpstr(before, ==, after);
}

static void test_damaged(Fixture *self, gconstpointer data)
{
	static const struct {
		const char *damage;
		ProllyErrorCode code;
		const char *message;
	} cases[] = {
		{"sed -i /^backend/d %s/config", PROLLY_ERROR_CORRUPT, "config"},
		{"sed -i s/^min=.*/min=x/ %s/config", PROLLY_ERROR_CORRUPT, "config"},
		{"truncate -s 0 %s/config", PROLLY_ERROR_NOT_A_STORE, "store"},
		{"rm -r %s/git", PROLLY_ERROR_CORRUPT, "git is missing"},
		{"rm -r %s/data", PROLLY_ERROR_CORRUPT, "data is missing"},
		{"rm %s/git/HEAD", PROLLY_ERROR_CORRUPT, "git"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *command =
			g_strdup_printf("f() { %s; }; f", cases[i].damage); /* one %s */
		g_autofree char *full = NULL;
		g_auto(GStrv) parts = g_strsplit(command, "%s", 2);

		init_store(self);
		full = g_strjoin(self->store, parts[0], parts[1], NULL);
		run("%s", full);
		assert_opens_not(self->store, cases[i].code, cases[i].message);
		run("rm -r '%s'", self->store);
	}
}

static void test_lock(Fixture *self, gconstpointer data)
{
	ProllyRepoOptions options = {.mount = "/a mount\npoint"};
	g_autofree char *pid_text = g_strdup_printf("%d", (int)getpid());
	g_autofree char *mount = NULL;
	g_autoptr(GError) error = NULL;
	ProllyRepo *repo = NULL;
	pid_t pid;

	init_store(self);
	g_assert_true(prolly_repo_find_holder(self->store, &pid, &mount, &error));
	g_assert_cmpint(pid, ==, 0);
	prolly_repo_open(self->store, &options, &repo, &error);
	g_assert_no_error(error);

	assert_opens_not(self->store, PROLLY_ERROR_LOCKED, pid_text);
	assert_opens_not(self->store, PROLLY_ERROR_LOCKED, "/a mount\npoint");
	g_assert_true(prolly_repo_find_holder(self->store, &pid, &mount, &error));
	g_assert_cmpint(pid, ==, getpid());
	g_assert_cmpstr(mount, ==, "/a mount\npoint");
	assert_opens_not(self->store, PROLLY_ERROR_LOCKED, pid_text);
	prolly_repo_free(repo);

	repo = open_spec(self->store);
	prolly_repo_free(repo);
}

static gpointer free_later(gpointer repo)
{
	g_usleep(200000);
	prolly_repo_free(repo);
	return NULL;
}

static void test_lock_wait(Fixture *self, gconstpointer data)
{
	ProllyRepoOptions options = {.wait_ms = 20000};
	g_autoptr(GError) error = NULL;
	ProllyRepo *repo = new_store(self);
	GThread *thread = g_thread_new("closer", free_later, repo);

	prolly_repo_open(self->store, &options, &repo, &error);
	g_assert_no_error(error);
	g_thread_join(thread);
	prolly_repo_free(repo);
}

static void test_memory(void)
{
	ProllyRepo *repo = open_spec(":memory:");
	g_autofree char *past = NULL;
	ProllyCommitId id;
	ProllyCommitId head;
	g_autoptr(GError) error = NULL;

	get_head(repo, "main", &id);
	must_commit(repo, "main", "ns", "k", "v");
	assert_value(repo, "main", "k", "v");
	get_head(repo, "main", &head);
	prolly_revision_resolve(repo, "main@{1}", &id, &error);
	g_assert_no_error(error);
	g_assert_false(prolly_commit_id_equal(&id, &head));
	prolly_revision_resolve(repo, "main^", &head, &error);
	g_assert_no_error(error);
	g_assert_true(prolly_commit_id_equal(&id, &head));
	g_assert_null(prolly_repo_get_path(repo));
	prolly_repo_free(repo);
}

static void test_numbers(Fixture *self, gconstpointer data)
{
	uint64_t last = 0;

	init_store(self);
	for (int round = 0; round < 3; round++) {
		ProllyRepo *repo = open_spec(self->store);

		for (int i = 0; i < 5000; i++) {
			g_autoptr(GError) error = NULL;
			uint64_t number;

			prolly_repo_next_number(repo->body, PROLLY_COUNTER_INODE, &number, &error);
			g_assert_no_error(error);
			g_assert_cmpuint(number, >, last);
			last = number;
		}
		prolly_repo_free(repo);
	}
}

/* ---- Levels ------------------------------------------------------------------------------ */

static void assert_level(ProllyRepo *repo, const char *level, bool expected)
{
	g_autoptr(GError) error = NULL;
	bool is_level = !expected;

	prolly_branch_is_level(repo, level, &is_level, &error);
	g_assert_no_error(error);
	g_assert_cmpint(is_level, ==, expected);
}

/* Whether branches are below a name, as git makes, packs and deletes them. */
static void test_levels(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = new_store(self);
	g_autofree char *git = g_strdup_printf("git --git-dir='%s/git'", self->store);

	assert_level(repo, "a", false);
	run("%s branch a/x main && %s branch a/y main && %s branch ab main", git, git, git);
	for (unsigned round = 0; round < 2; round++) {
		assert_level(repo, "a", true);
		assert_level(repo, "ab", false);
		assert_level(repo, "a/x", false);
		assert_level(repo, "main", false);
	}
	for (const char *gone = "xy"; *gone; gone++) {
		run("%s branch -q -D a/%c", git, *gone);
		assert_level(repo, "a", *gone == 'x');
	}
	run("%s branch a/b/c main && %s pack-refs --all", git, git);
	assert_level(repo, "a", true);
	assert_level(repo, "a/b", true);
	run("%s branch -q -D a/b/c", git);
	assert_level(repo, "a/b", false);
	/* A name that is too long for us is none. */
	run("%s update-ref refs/heads/c/$(printf '%%0240d/' 1 2 3 4 5)x main", git);
	assert_level(repo, "c", false);
	run("%s branch c/x main", git);
	assert_level(repo, "c", true);
	assert_level(repo, "..", false);
}

static guint count_branches(ProllyRepo *repo)
{
	g_autoptr(GPtrArray) names = NULL;
	g_autoptr(GError) error = NULL;

	prolly_ref_list(repo, &prolly_ref_branch, NULL, &names, &error);
	g_assert_no_error(error);
	for (guint i = 1; i < names->len; i++)
		g_assert_cmpstr(names->pdata[i - 1], <, names->pdata[i]);
	return names->len;
}

/* A list of branches that is remembered is that of now: what git makes and deletes is seen. */
static void test_listing(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = new_store(self);
	g_autofree char *git = g_strdup_printf("git --git-dir='%s/git'", self->store);

	run("for i in $(seq 100); do echo create refs/heads/b$i main; done | %s update-ref --stdin",
	    git);
	for (guint gone = 0; gone < 5; gone++) {
		g_assert_cmpuint(count_branches(repo), ==, 101 - gone);
		/* from the second on it lies back long enough to be remembered */
		if (gone)
			run("touch -d '1 hour ago' '%s/git/refs/heads'", self->store);
		for (unsigned again = 0; again < 3; again++)
			g_assert_cmpuint(count_branches(repo), ==, 101 - gone);
		run("%s update-ref -d refs/heads/b%u", git, 7 * gone + 1);
	}
	run("touch -d '1 hour ago' '%s/git/refs/heads'", self->store);
	g_assert_cmpuint(count_branches(repo), ==, 96);
	run("%s branch c/below main && %s pack-refs --all", git, git);
	g_assert_cmpuint(count_branches(repo), ==, 97);
}

int main(int argc, char **argv)
{
	set_identity();
	g_test_init(&argc, &argv, NULL);

	g_test_add_func("/version/spec/parse", test_spec);
	g_test_add_func("/version/spec/size", test_size);
	g_test_add_func("/version/date/parse", test_date);
	g_test_add_func("/version/date/said", test_date_said);
	WITH_STORE("open/init", test_init);
	WITH_STORE("open/init-kinds", test_init_kinds);
	WITH_STORE("open/init-branch", test_init_branch);
	WITH_STORE("open/init-leftovers", test_init_leftovers);
	WITH_STORE("open/not-a-store", test_not_a_store);
	WITH_STORE("open/newer-format", test_newer_format);
	WITH_STORE("open/damaged", test_damaged);
	WITH_STORE("lock/held", test_lock);
	WITH_STORE("lock/wait", test_lock_wait);
	WITH_STORE("counters/never-twice", test_numbers);
	WITH_STORE("branch/levels", test_levels);
	WITH_STORE("branch/listing", test_listing);
	g_test_add_func("/version/open/memory", test_memory);
	return g_test_run();
}
