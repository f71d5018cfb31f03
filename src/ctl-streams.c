/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ctl-streams: a command's streams are this process's; on a terminal, with a pager and progress.
 *
 * A closed output needs no handling: SIGPIPE ends the process, quietly, and with it the session,
 * and so the command. The same goes for SIGINT. Progress is shown after a second, five times a
 * second.
 */

#include "ctl.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRESS_AFTER G_TIME_SPAN_SECOND
#define PROGRESS_EVERY (G_TIME_SPAN_SECOND / 5)

/* ---- Callbacks --------------------------------------------------------------------------- */

static bool read_input(void *data, void *buffer, size_t len, size_t *out_len)
{
	CtlStreams *streams = data;
	ssize_t n;
	do
		n = read(STDIN_FILENO, buffer, len);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		GError *failure = NULL;
		prolly_throw_errno(&failure, errno, "standard input");
		g_atomic_pointer_set(&streams->input_failure, failure);
		return false;
	}
	*out_len = (size_t)n;
	return true;
}

static bool write_output(void *data, const void *bytes, size_t len)
{
	CtlStreams *streams = data;
	return !streams->output_failure &&
	       prolly_write_all(streams->output, bytes, len, "standard output",
				&streams->output_failure);
}

static void end_progress(CtlStreams *streams)
{
	if (streams->shown)
		g_printerr("\r\033[K");
	streams->shown = 0;
}

static bool write_error(void *data, const void *bytes, size_t len)
{
	CtlStreams *streams = data;
	end_progress(streams);
	if (streams->output_failure || g_atomic_pointer_get(&streams->input_failure))
		return false;
	return prolly_write_all(STDERR_FILENO, bytes, len, "standard error", NULL);
}

static void show_progress(void *data, const char *what, uint64_t done, uint64_t total)
{
	CtlStreams *streams = data;
	int64_t now = g_get_monotonic_time();

	if (!streams->progress)
		return;
	if (!streams->started)
		streams->started = now;
	if (now - streams->started < PROGRESS_AFTER || now - streams->shown < PROGRESS_EVERY)
		return;
	uint64_t rate = done * G_TIME_SPAN_SECOND / (uint64_t)(now - streams->started);
	g_printerr("\r%s: %" G_GUINT64_FORMAT, what, done);
	if (total)
		g_printerr(" of %" G_GUINT64_FORMAT, total);
	g_printerr(" (%" G_GUINT64_FORMAT "/s)\033[K", rate);
	streams->shown = now;
}

/* ---- The pager --------------------------------------------------------------------------- */

static const char *get_pager(void)
{
	static const char *const VARIABLES[] = {"PROLLYFS_PAGER", "PAGER"};
	for (size_t i = 0; i < G_N_ELEMENTS(VARIABLES); i++)
		if (g_getenv(VARIABLES[i]))
			return g_getenv(VARIABLES[i]);
	return "less";
}

/* Without a pager that starts, the output goes to the terminal itself. */
static void start_pager(CtlStreams *streams)
{
	const char *pager = get_pager();
	const char *argv[] = {"/bin/sh", "-c", pager, NULL};
	g_auto(GStrv) environment = g_get_environ();
	int input = -1;

	if (!*pager || strcmp(pager, "cat") == 0)
		return;
	environment = g_environ_setenv(environment, "LESS", "FRX", FALSE);
	if (g_spawn_async_with_pipes(NULL, (char **)argv, environment, G_SPAWN_DO_NOT_REAP_CHILD,
				     NULL, NULL, &streams->pager, &input, NULL, NULL, NULL))
		streams->output = input;
}

/* ---- Lifecycle --------------------------------------------------------------------------- */

void ctl_streams_init(CtlStreams *streams, bool pager)
{
	*streams = (CtlStreams){.output = STDOUT_FILENO, .progress = isatty(STDERR_FILENO)};
	if (pager && isatty(STDOUT_FILENO))
		start_pager(streams);
}

bool ctl_streams_finish(CtlStreams *streams, GError **error)
{
	end_progress(streams);
	if (streams->pager) {
		close(streams->output);
		while (waitpid(streams->pager, NULL, 0) < 0 && errno == EINTR)
			;
		g_spawn_close_pid(streams->pager);
	}
	GError *input_failure = g_atomic_pointer_get(&streams->input_failure);
	GError *failure = input_failure ? input_failure : streams->output_failure;
	if (failure)
		g_propagate_error(error, g_error_copy(failure));
	g_clear_error(&input_failure);
	g_clear_error(&streams->output_failure);
	return !failure;
}

ProllyStreams ctl_streams_get(CtlStreams *streams)
{
	return (ProllyStreams){.read = read_input,
			       .write = write_output,
			       .write_error = write_error,
			       .progress = show_progress,
			       .data = streams};
}
