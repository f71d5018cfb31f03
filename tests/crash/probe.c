/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks into stores for the crash tests: opens each as the next mount would, runs commands on it.
 *
 * Standard input is requests: a line with the store's path, command lines, an empty line. Each is
 * answered by "opened" or (and then it is over) "refused MESSAGE", then for each command
 * "STATUS LENGTH" and so many bytes of what it printed, and "end", or at any point "died SIGNAL".
 * The first answer is waited for before a command is given, the last before the next request.
 *
 * A request is carried out by a process of its own, which ends without closing the store, as a crash
 * would: so a thousand of them cost little more than the openings, and one that takes its process down
 * is told of. The last line comes when that process is gone: the threads of a store that is not closed
 * may be at work in its directory until then.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command/command.h"

#define NO_REQUEST 3 /* the child's exit status */

static bool print_to(void *data, const void *bytes, size_t len)
{
	g_string_append_len(data, bytes, (gssize)len);
	return true;
}

static void run_command(ProllyRepo *repo, const char *line)
{
	g_autoptr(GString) text = g_string_new(NULL);
	ProllyStreams streams = {.write = print_to, .write_error = print_to, .data = text};
	ProllyCaller caller = {.is_owner = true};
	g_auto(GStrv) words = prolly_command_split(line, NULL);
	int status = prolly_command_run(repo, &caller, &streams, (const char *const *)words, NULL);

	printf("%d %zu\n", status, text->len);
	fwrite(text->str, 1, text->len, stdout);
	fflush(stdout); /* should it die, what was said before is whole */
}

/* The next line, without its end, into LINE as getline() does; false after the last. */
static bool read_line(char **line, size_t *size)
{
	if (getline(line, size, stdin) < 0)
		return false;
	(*line)[strcspn(*line, "\n")] = '\0';
	return true;
}

static void carry_out(void)
{
	g_autoptr(GError) error = NULL;
	ProllyRepoOptions options = {.wait_ms = 10000};
	ProllyRepo *repo = NULL;
	char *line = NULL;
	size_t size = 0;

	if (!read_line(&line, &size))
		_exit(NO_REQUEST);
	if (!prolly_repo_open(line, &options, &repo, &error)) {
		printf("refused %s\n", g_strdelimit(error->message, "\n\r", ' '));
	} else {
		printf("opened\n");
		fflush(stdout);
		while (read_line(&line, &size) && *line)
			run_command(repo, line);
	}
	fflush(stdout);
	_exit(0);
}

/* false: there was no request any more. (The lines are read by the child alone.) */
static bool answer(void)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0)
		carry_out();
	if (child < 0 || waitpid(child, &status, 0) < 0)
		exit(2);
	if (WIFSIGNALED(status))
		printf("\ndied %d\n", WTERMSIG(status));
	else if (WEXITSTATUS(status) == NO_REQUEST)
		return false;
	else if (WEXITSTATUS(status) != 0)
		printf("\ndied with status %d\n", WEXITSTATUS(status));
	else
		printf("end\n");
	fflush(stdout);
	return true;
}

int main(void)
{
	while (answer())
		continue;
	return 0;
}
