/* SPDX-License-Identifier: Apache-2.0 */

/*
 * output: what a command prints. It gathers in one buffer of bounded size and goes to the caller's
 * streams from there, so that a million lines are not a million calls. The buffer does not grow, but
 * for the line of a very long key: what is longer than it goes past it.
 *
 * When the other end is gone, printing does nothing more and prolly_command_check says so: a
 * command that prints much asks it in its loop, and printing itself needs no error handling.
 */

#include "base/memory.h"
#include "command/command-private.h"

#include <stdarg.h>
#include <string.h>

#define BUFFER_MAX 61440u
#define LINE_ROOM  4095u /* for what is printed before it is known to be too much */

bool prolly_command_begin_output(ProllyCommand *command, GString *output, GError **error)
{
	command->output = output;
	return prolly_try_reserve_text(output, BUFFER_MAX + LINE_ROOM, "output", error);
}

static void write_out(ProllyCommand *command, const void *data, size_t len)
{
	const ProllyStreams *streams = command->streams;
	if (len && !command->output_gone)
		command->output_gone = !streams->write(streams->data, data, len);
}

void prolly_command_flush(ProllyCommand *command)
{
	write_out(command, command->output->str, command->output->len);
	g_string_truncate(command->output, 0);
}

static void flush_if_full(ProllyCommand *command)
{
	if (command->output->len >= BUFFER_MAX)
		prolly_command_flush(command);
}

void prolly_command_write(ProllyCommand *command, const void *data, size_t len)
{
	if (command->output->len + len >= BUFFER_MAX)
		prolly_command_flush(command);
	if (len >= BUFFER_MAX)
		write_out(command, data, len);
	else
		g_string_append_len(command->output, data, (gssize)len);
}

void prolly_command_print(ProllyCommand *command, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	g_string_append_vprintf(command->output, format, args);
	va_end(args);
	flush_if_full(command);
}

void prolly_command_print_painted(ProllyCommand *command, ProllyPaint paint, const char *format,
				  ...)
{
	static const char *const CODES[] = {"",         "\033[1m",  "\033[31m",
					    "\033[32m", "\033[33m", "\033[36m"};
	bool painted = command->colour && paint != PROLLY_PAINT_NONE;
	va_list args;

	if (painted)
		g_string_append(command->output, CODES[paint]);
	va_start(args, format);
	g_string_append_vprintf(command->output, format, args);
	va_end(args);
	if (painted)
		g_string_append(command->output, "\033[m");
	flush_if_full(command);
}

void prolly_command_print_json(ProllyCommand *command, GString *json)
{
	g_string_append_c(json, '\n');
	prolly_command_write(command, json->str, json->len);
	g_string_truncate(json, 0);
}

/* An object's name may hold anything; a message stays one line, and no terminal's master. */
void prolly_command_say(ProllyCommand *command, const char *message)
{
	g_autoptr(GString) line = g_string_new("prollyfs-ctl: ");
	for (const char *p = message; *p; p++) {
		if (*p == '\n' || *p == '\r' || *p == '\033')
			g_string_append_printf(line, "\\x%02x", (unsigned char)*p);
		else
			g_string_append_c(line, *p);
	}
	g_string_append_c(line, '\n');
	prolly_command_flush(command);
	command->streams->write_error(command->streams->data, line->str, line->len);
}

bool prolly_command_check(ProllyCommand *command, GError **error)
{
	const ProllyStreams *streams = command->streams;
	if (command->output_gone || (streams->is_cancelled && streams->is_cancelled(streams->data)))
		return prolly_throw(error, PROLLY_ERROR_CANCELLED, "%s: interrupted",
				    command->words->spec->name);
	return true;
}

void prolly_command_progress(ProllyCommand *command, const char *what, uint64_t done,
			     uint64_t total)
{
	if (command->streams->progress)
		command->streams->progress(command->streams->data, what, done, total);
}
