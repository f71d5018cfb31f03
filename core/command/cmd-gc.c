/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-gc: gc, which removes what nothing reaches, and says what that was.
 *
 * It is about the whole store, so it is not for who is confined to a branch. On a read-only mount it
 * can only count. It may take long: it tells how far it is, and an interrupt ends it at once, which
 * loses nothing and leaves some of the garbage for the next time.
 *
 * With --auto it is git's `gc --auto`: nothing happens unless it is worth it (gc-account.c). What has
 * a store mounted looks after that by itself; where nobody has, prollyfs-ctl does it after commands
 * that change something, and since somebody waits, only if there is more to gain.
 */

#include "command/command-private.h"

#define PATIENCE 4 /* of who did not ask for a collection, and waits for it */

static const char *const phase_names[] = {
	[PROLLY_GC_LISTING] = "gc: listing nodes",
	[PROLLY_GC_WAITING] = "gc: waiting for changes under way",
	[PROLLY_GC_MARKING] = "gc: marking what is reached",
	[PROLLY_GC_PACKING] = "gc: packing commits",
	[PROLLY_GC_SWEEPING] = "gc: sweeping",
	[PROLLY_GC_RECLAIMING] = "gc: giving back space",
};

static bool tell(ProllyGcPhase phase, uint64_t done, uint64_t total, void *data, GError **error)
{
	ProllyCommand *command = data;

	prolly_command_progress(command, phase_names[phase], done, total);
	return prolly_command_check(command, error);
}

/* ---- What came of it --------------------------------------------------------------------- */

static void print_json(ProllyCommand *command, const ProllyGcFigures *figures)
{
	g_autoptr(GString) json = g_string_new(NULL);

	prolly_json_begin(json, NULL, '{');
	prolly_json_add_number(json, "nodes", figures->nodes);
	prolly_json_add_number(json, "bytes", figures->bytes);
	prolly_json_add_number(json, "reclaimed_nodes", figures->reclaimed_nodes);
	prolly_json_add_number(json, "reclaimed_bytes", figures->reclaimed_bytes);
	prolly_json_add_number(json, "git_bytes_before", figures->git_bytes_before);
	prolly_json_add_number(json, "git_bytes", figures->git_bytes);
	prolly_json_end(json, '}');
	prolly_command_print_json(command, json);
}

static void print_line(ProllyCommand *command, const char *what, uint64_t nodes, uint64_t bytes)
{
	g_autofree char *size = g_format_size_full(bytes, G_FORMAT_SIZE_IEC_UNITS);

	prolly_command_print(command, "%-15s%" G_GUINT64_FORMAT " node%s, %s\n", what, nodes,
			     nodes == 1 ? "" : "s", size);
}

static void print_text(ProllyCommand *command, const ProllyGcFigures *figures, bool dry_run)
{
	g_autofree char *git_before =
		g_format_size_full(figures->git_bytes_before, G_FORMAT_SIZE_IEC_UNITS);
	g_autofree char *git = g_format_size_full(figures->git_bytes, G_FORMAT_SIZE_IEC_UNITS);

	print_line(command, "before", figures->nodes + figures->reclaimed_nodes,
		   figures->bytes + figures->reclaimed_bytes);
	print_line(command, dry_run ? "would reclaim" : "reclaimed", figures->reclaimed_nodes,
		   figures->reclaimed_bytes);
	print_line(command, dry_run ? "would be left" : "after", figures->nodes, figures->bytes);
	if (!dry_run && figures->git_bytes_before > 0)
		prolly_command_print(command, "%-15s%s, before %s\n", "git", git, git_before);
}

/* ---- gc ---------------------------------------------------------------------------------- */

static bool choose_grace(ProllyCommand *command, int64_t *out_before, GError **error)
{
	const char *when = prolly_command_option(command, "prune");

	if (!when)
		*out_before = PROLLY_GC_DEFAULT;
	else if (!prolly_gc_parse_grace(when, out_before))
		return prolly_throw(error, PROLLY_ERROR_USAGE, "--prune=%s: not a date", when);
	return true;
}

static bool run_gc(ProllyCommand *command, GError **error)
{
	ProllyGcOptions options = {
		.dry_run = prolly_command_option(command, "dry-run") != NULL,
		.is_automatic = prolly_command_option(command, "auto") != NULL,
		.progress = tell,
		.data = command,
	};
	ProllyGcBalance balance = {.is_due = true};
	ProllyGcFigures figures = {0};

	if (!prolly_command_check_free(command, "gc", error) ||
	    !choose_grace(command, &options.prune_before, error))
		return false;
	if (!options.dry_run && !prolly_command_check_writable(command, error))
		return false;
	if (options.is_automatic && !prolly_gc_get_balance(command->repo, 1, &balance, error))
		return false;
	if (!balance.is_due)
		return true;
	if (!prolly_gc_run(command->repo, &options, &figures, error))
		return false;
	if (command->json)
		print_json(command, &figures);
	else if (!command->quiet)
		print_text(command, &figures, options.dry_run);
	return true;
}

void prolly_command_tidy(ProllyRepo *repo, const ProllyStreams *streams)
{
	static const ProllyCaller caller = {.is_owner = true};
	static const char *const words[] = {"-q", "gc", "--auto", NULL};
	ProllyGcBalance balance;

	/* A configuration that makes no sense is for `gc --auto` to complain of. */
	if (!prolly_gc_get_balance(repo, PATIENCE, &balance, NULL) || balance.is_due)
		prolly_command_run(repo, &caller, streams, words, NULL);
}

static const ProllyOptionSpec OPTIONS[] = {
	{"dry-run", 'n', NULL, "count what would go; change nothing"},
	{"auto", 0, NULL, "only if it is worth it"},
	{"prune", 0, "WHEN", "let commits go that nothing reaches if they are older (now: all)"},
	{0},
};

const ProllyCommandSpec prolly_cmd_gc = {
	.name = "gc",
	.arguments = "[--auto] [--dry-run] [--prune=WHEN]",
	.summary = "remove what no branch, tag or reflog reaches, and give back its space",
	.options = OPTIONS,
	.flags = PROLLY_COMMAND_WORKING,
	.run = run_gc,
};
