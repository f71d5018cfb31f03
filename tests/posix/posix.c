/* SPDX-License-Identifier: Apache-2.0 */

/*
 * posix-matrix: runs the cases in a directory, one line of TAP each.
 *
 *   posix-matrix [--native] [--user UID] [--readonly DIR] [--group NAME] DIR OTHER FOREIGN
 *
 * DIR, OTHER and FOREIGN are directories: two of one filesystem (namespaces of a branch), one of
 * another (another branch). --native: they are not prollyfs's. --user: everything is done as that
 * user, who owns the cases' directories. A case has a directory of its own in each, which is removed
 * when it has passed. It runs in a process of its own, which an alarm ends if it hangs.
 */

#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANG_SECONDS 300
#define RESULT_MAX   1024

typedef struct {
	char *dir;
	char *other;
	char *foreign;
	char *readonly;
	char *group;
	bool is_native;
	int user;
} Options;

typedef struct {
	const Options *options;
	unsigned n;
	unsigned n_failed;
} Run;

/* ---- Groups ------------------------------------------------------------------------------ */

const CaseGroup *case_groups(void)
{
	static const CaseGroup groups[] = {
		{"open", rows_open, NULL, NULL},
		{"names", rows_names, NULL, NULL},
		{"rename", NULL, NULL, rows_rename_generate},
		{"attr", rows_attr, NULL, NULL},
		{"times", rows_times, NULL, NULL},
		{"data", rows_data, calls_io, NULL},
		{"xattr", rows_xattr, NULL, NULL},
		{"paths", rows_paths, NULL, NULL},
		{"process", NULL, calls_process, NULL},
		{"directory", NULL, calls_directory, NULL},
		{"readonly", rows_readonly, NULL, NULL},
		{NULL, NULL, NULL, NULL},
	};

	return groups;
}

/* ---- The places of a case ---------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *attr, int type, struct FTW *ftw)
{
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static char *make_place(const char *dir, unsigned n)
{
	char *path = g_strdup_printf("%s/case-%d-%u", dir, (int)getuid(), n);

	remove_tree(path);
	if (mkdir(path, 0755))
		g_error("%s: %s", path, g_strerror(errno));
	return path;
}

bool case_wait(pid_t child)
{
	int status;

	return waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status);
}

/* ---- One case ---------------------------------------------------------------------------- */

typedef struct {
	const char *name;
	const CaseRow *row; /* or */
	const CaseCall *call;
	unsigned flags;
} Case;

/* In the child: what was wrong, or NULL. */
static char *run_here(const Case *test, const CasePlaces *places)
{
	char *result;

	if (test->call)
		return test->call->func(places);
	result = case_run_script(test->row->script, places);
	if (!strcmp(result, test->row->expected))
		return NULL;
	return g_strdup_printf("%s\n#   %s\n#   should be %s", test->row->script, result,
			       test->row->expected);
}

static void child_main(const Case *test, const CasePlaces *places, int report)
{
	g_autofree char *wrong = NULL;

	alarm(HANG_SECONDS);
	umask(022);
	wrong = run_here(test, places);
	if (wrong && write(report, wrong, MIN(strlen(wrong), RESULT_MAX - 1)) < 0)
		_exit(2);
	_exit(wrong ? 1 : 0);
}

static void report(Run *run, const char *group, const Case *test, int status, const char *wrong)
{
	bool passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	printf("%sok %u %s: %s\n", passed ? "" : "not ", ++run->n, group, test->name);
	if (passed)
		return;
	run->n_failed++;
	if (WIFSIGNALED(status))
		printf("#   ended by %s\n", strsignal(WTERMSIG(status)));
	else
		printf("#   %s\n", wrong);
}

/* Is the case for this user and filesystem? */
static bool is_wanted(const Run *run, const Case *test)
{
	const Options *options = run->options;
	bool is_root = geteuid() == 0;

	return !((test->flags & CASE_ROOT) && !is_root) &&
	       !((test->flags & CASE_USER) && is_root) &&
	       !((test->flags & CASE_OURS) && options->is_native) &&
	       !((test->flags & CASE_NATIVE) && !options->is_native);
}

static void run_case(Run *run, const char *group, const Case *test)
{
	g_autofree char *dir = make_place(run->options->dir, run->n);
	const CasePlaces places = {make_place(run->options->other, run->n),
				   make_place(run->options->foreign, run->n),
				   run->options->readonly};
	char wrong[RESULT_MAX] = "";
	int fds[2], status = 0;
	pid_t child;

	if (pipe(fds) || chdir(dir))
		g_error("%s: %s", dir, g_strerror(errno));
	fflush(stdout);
	child = fork();
	if (child == 0)
		child_main(test, &places, fds[1]);
	close(fds[1]);
	if (child < 0 || read(fds[0], wrong, sizeof wrong - 1) < 0 ||
	    waitpid(child, &status, 0) != child)
		g_error("cannot run a case: %s", g_strerror(errno));
	close(fds[0]);
	report(run, group, test, status, wrong);
	if (chdir("/"))
		g_error("/: %s", g_strerror(errno));
	remove_tree(dir);
	remove_tree(places.other);
	remove_tree(places.foreign);
	g_free(places.other);
	g_free(places.foreign);
}

/* ---- All of them ------------------------------------------------------------------------- */

static void run_row(Run *run, const char *group, const CaseRow *row)
{
	const Case test = {row->name, row, NULL, row->flags};

	if (is_wanted(run, &test))
		run_case(run, group, &test);
}

static void run_group(Run *run, const CaseGroup *group)
{
	g_autoptr(GArray) made = g_array_new(FALSE, FALSE, sizeof(CaseRow));

	for (const CaseRow *row = group->rows; row && row->name; row++)
		run_row(run, group->name, row);
	if (group->generate)
		group->generate(made);
	for (guint i = 0; i < made->len; i++)
		run_row(run, group->name, &g_array_index(made, CaseRow, i));
	for (const CaseCall *call = group->calls; call && call->name; call++) {
		const Case test = {call->name, NULL, call, call->flags};

		if (is_wanted(run, &test))
			run_case(run, group->name, &test);
	}
}

static bool become(int user)
{
	return setgroups(0, NULL) == 0 && setgid((gid_t)user) == 0 && setuid((uid_t)user) == 0;
}

static bool parse_options(int *argc, char ***argv, Options *out)
{
	const GOptionEntry entries[] = {
		{"native", 0, 0, G_OPTION_ARG_NONE, &out->is_native, "not prollyfs", NULL},
		{"user", 0, 0, G_OPTION_ARG_INT, &out->user, "who", "UID"},
		{"readonly", 0, 0, G_OPTION_ARG_FILENAME, &out->readonly, "read-only", "DIR"},
		{"group", 0, 0, G_OPTION_ARG_STRING, &out->group, "only these", "NAME"},
		{NULL, 0, 0, 0, NULL, NULL, NULL},
	};
	g_autoptr(GOptionContext) context = g_option_context_new("DIR OTHER FOREIGN");
	g_autoptr(GError) error = NULL;

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, argc, argv, &error)) {
		fprintf(stderr, "posix-matrix: %s\n", error->message);
		return false;
	}
	if (*argc != 4) {
		fprintf(stderr, "posix-matrix: three directories are wanted\n");
		return false;
	}
	out->dir = (*argv)[1];
	out->other = (*argv)[2];
	out->foreign = (*argv)[3];
	return true;
}

int main(int argc, char **argv)
{
	Options options = {0};
	Run run = {.options = &options};

	if (!parse_options(&argc, &argv, &options))
		return 2;
	if (options.user && !become(options.user)) {
		fprintf(stderr, "posix-matrix: cannot be user %d\n", options.user);
		return 2;
	}
	umask(022);
	for (const CaseGroup *group = case_groups(); group->name; group++) {
		bool is_asked_for = options.group ? !strcmp(options.group, group->name)
						  : strcmp("readonly", group->name) != 0;

		if (is_asked_for)
			run_group(&run, group);
	}
	printf("1..%u\n", run.n);
	return run.n_failed ? 1 : 0;
}
