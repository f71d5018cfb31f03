/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reflogs: where a reference stood, from whom and why.
 *
 * They are git's text files, a line a move, the oldest first; whoever moves a reference writes one
 * (refs-files.c, or git). A line that is none is passed over, since a crash may have cut the last.
 * Nothing is kept in memory: git may write at any time.
 */
#include "version/reflog.h"

#include <string.h>

#include "version/repo-private.h"

static void clear_entry(gpointer data)
{
	ProllyReflogEntry *entry = data;

	prolly_signature_clear(&entry->who);
	g_free(entry->message);
}

/* "+0130" in minutes. */
static int parse_offset(const char *text)
{
	int zone = (int)g_ascii_strtoll(text, NULL, 10);

	return zone / 100 * 60 + zone % 100;
}

/* "OLD NEW NAME <EMAIL> TIME ZONE\tMESSAGE"; false if LINE, of LEN bytes, is something else. */
static bool parse_line(const char *line, size_t len, ProllyReflogEntry *out_entry)
{
	g_autofree char *text = g_strndup(line, len);
	char *to = text + PROLLY_COMMIT_ID_HEX_SIZE, *who = to + PROLLY_COMMIT_ID_HEX_SIZE;
	char *bracket, *end, *tab;
	ProllyReflogEntry entry = {0};

	if (strlen(text) < 2 * PROLLY_COMMIT_ID_HEX_SIZE || to[-1] != ' ' || who[-1] != ' ')
		return false;
	to[-1] = who[-1] = '\0';
	tab = strchr(who, '\t');
	if (tab)
		*tab = '\0';
	end = strstr(who, "> ");
	bracket = strstr(who, " <");
	if (!end || !bracket || bracket > end || !prolly_commit_id_from_hex(text, &entry.from) ||
	    !prolly_commit_id_from_hex(to, &entry.to))
		return false;
	entry.who.name = g_strndup(who, (size_t)(bracket - who));
	entry.who.email = g_strndup(bracket + 2, (size_t)(end - bracket - 2));
	entry.who.time = g_ascii_strtoll(end + 2, &end, 10);
	entry.who.offset_minutes = parse_offset(end);
	entry.message = g_strdup(tab ? tab + 1 : "");
	*out_entry = entry;
	return true;
}

GArray *prolly_reflog_parse(GBytes *log)
{
	GArray *entries = g_array_new(FALSE, FALSE, sizeof(ProllyReflogEntry));
	gsize len = 0;
	const char *p = log ? g_bytes_get_data(log, &len) : NULL, *end = p + len;

	g_array_set_clear_func(entries, clear_entry);
	while (p < end) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		size_t line = (size_t)((newline ? newline : end) - p);
		ProllyReflogEntry entry;

		if (parse_line(p, line, &entry))
			g_array_append_val(entries, entry);
		p += line + 1;
	}
	return entries;
}

bool prolly_reflog_load(ProllyRepo *repo, const char *branch, GArray **out_entries, GError **error)
{
	g_autofree char *reference = g_strconcat(prolly_ref_branch.prefix, branch, NULL);
	ProllyRefs *refs = repo->body->git->refs;
	g_autoptr(GBytes) log = NULL;
	bool ok;

	g_mutex_lock(&repo->body->git_lock);
	ok = refs->ops->load_log(refs, reference, &log, error);
	g_mutex_unlock(&repo->body->git_lock);
	if (ok)
		*out_entries = prolly_reflog_parse(log);
	return ok;
}
