/* SPDX-License-Identifier: Apache-2.0 */

/*
 * commit-text: a commit as people and programs read it.
 *
 * The text is git's: who knows `git log` reads it at once. Beside a graph every line stands to the
 * right of the graph's own, and the lines that the graph needs to get from one commit to the next
 * come before the next commit's.
 */

#include "command/command-private.h"

#include <string.h>

static void print_json(ProllyCommand *command, const ProllyCommit *commit)
{
	g_autoptr(GString) json = g_string_new(NULL);
	g_autofree char *message = g_strchomp(g_strdup(commit->message));

	prolly_json_begin(json, NULL, '{');
	prolly_json_add_commit_id(json, "commit", &commit->id);
	prolly_json_begin(json, "parents", '[');
	for (size_t i = 0; i < commit->n_parents; i++)
		prolly_json_add_commit_id(json, NULL, &commit->parents[i]);
	prolly_json_end(json, ']');
	prolly_json_add_person(json, "author", &commit->author);
	prolly_json_add_time(json, "date", &commit->author);
	prolly_json_add_time(json, "committed", &commit->committer);
	prolly_json_add_text(json, "message", message);
	prolly_json_end(json, '}');
	prolly_command_print_json(command, json);
}

void prolly_signature_get_tm(const ProllySignature *signature, struct tm *out_tm)
{
	static const struct tm epoch = {.tm_mday = 1, .tm_year = 70, .tm_wday = 4};
	time_t local = (time_t)(signature->time + (int64_t)signature->offset_minutes * 60);

	if (!gmtime_r(&local, out_tm))
		*out_tm = epoch;
}

void prolly_signature_append_date(GString *out, const ProllySignature *signature)
{
	static const char DAYS[] = "SunMonTueWedThuFriSat";
	static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int offset = signature->offset_minutes, minutes = ABS(offset);
	struct tm tm;

	prolly_signature_get_tm(signature, &tm);
	g_string_append_printf(out, "%.3s %.3s %d %02d:%02d:%02d %d %c%02d%02d",
			       DAYS + 3 * tm.tm_wday, MONTHS + 3 * tm.tm_mon, tm.tm_mday,
			       tm.tm_hour, tm.tm_min, tm.tm_sec, tm.tm_year + 1900,
			       offset < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

/* The id in yellow, and behind it the branches that stand there. */
static void append_id(ProllyCommitPrinter *printer, GString *text, const ProllyCommit *commit,
		      int digits)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	const char *on = printer->command->colour ? "\033[33m" : "";
	const char *off = printer->command->colour ? "\033[m" : "";
	const char *names = NULL;

	prolly_commit_id_to_hex(&commit->id, hex);
	if (printer->names)
		names = g_hash_table_lookup(printer->names, hex);
	g_string_append_printf(text, "%s%s%.*s%s%s%s%s", on, printer->oneline ? "" : "commit ",
			       digits, hex, names ? " (" : "", names ? names : "", names ? ")" : "",
			       off);
}

static void append_oneline(ProllyCommitPrinter *printer, GString *text, const ProllyCommit *commit)
{
	append_id(printer, text, commit, PROLLY_SHORT_ID);
	g_string_append_printf(text, " %.*s\n", (int)strcspn(commit->message, "\n"),
			       commit->message);
}

static void append_full(ProllyCommitPrinter *printer, GString *text, const ProllyCommit *commit)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	g_autofree char *message = g_strchomp(g_strdup(commit->message));
	g_auto(GStrv) lines = g_strsplit(message, "\n", -1);

	append_id(printer, text, commit, PROLLY_COMMIT_ID_HEX_SIZE);
	if (commit->n_parents > 1)
		g_string_append(text, "\nMerge:");
	for (size_t i = 0; commit->n_parents > 1 && i < commit->n_parents; i++)
		g_string_append_printf(text, " %.*s", PROLLY_SHORT_ID,
				       prolly_commit_id_to_hex(&commit->parents[i], hex));
	g_string_append_printf(text, "\nAuthor: %s <%s>\nDate:   ", commit->author.name,
			       commit->author.email);
	prolly_signature_append_date(text, &commit->author);
	g_string_append(text, "\n\n");
	for (char **line = lines; *line; line++)
		g_string_append_printf(text, "%s%s\n", **line ? "    " : "", *line);
}

void prolly_commit_printer_line(ProllyCommitPrinter *printer, const char *line, size_t len)
{
	g_autoptr(GString) whole = NULL;

	if (printer->graph) {
		whole = g_string_new(NULL);
		prolly_graph_append_line(printer->graph, whole);
		g_string_append_len(whole, line, (gssize)len);
		while (whole->len && whole->str[whole->len - 1] == ' ')
			g_string_truncate(whole, whole->len - 1);
		line = whole->str;
		len = whole->len;
	}
	prolly_command_write(printer->command, line, len);
	prolly_command_write(printer->command, "\n", 1);
}

void prolly_commit_printer_print(ProllyCommitPrinter *printer, const ProllyCommit *commit)
{
	if (printer->command->json) {
		print_json(printer->command, commit);
		return;
	}
	if (!printer->is_first && !printer->oneline)
		prolly_commit_printer_line(printer, "", 0);
	while (printer->graph && prolly_graph_is_pending(printer->graph))
		prolly_commit_printer_line(printer, "", 0);
	if (printer->graph)
		prolly_graph_push(printer->graph, &commit->id, printer->parents);

	g_autoptr(GString) text = g_string_new(NULL);
	if (printer->oneline)
		append_oneline(printer, text, commit);
	else
		append_full(printer, text, commit);
	for (const char *p = text->str; *p;) {
		size_t len = strcspn(p, "\n");
		prolly_commit_printer_line(printer, p, len);
		p += len + 1;
	}
	printer->is_first = false;
}
