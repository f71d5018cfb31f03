/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-pick: cherry-pick and revert: the change that a commit made, made again on the branch, or
 * undone there.
 *
 * Each commit is a three-way merge of its own (merge.h) from its parent to itself, or back, and a
 * commit of one parent. A range is picked from its oldest commit on, and reverted from its newest.
 * Where one stops with conflicts, the commits that are still to come are kept in the note of the
 * unfinished merge, so --continue and --skip go on with them whoever calls, after a crash too; what
 * was committed before it stays.
 *
 * With --no-commit the changes are staged, of several commits all together or none. A dry run of
 * several goes the same way, since each is made on what the one before it has left.
 *
 * A message of one commit can be given, or comes out of an editor: that of a revert on a terminal, as
 * in git, that of a cherry-pick with --edit. Of several each has its own, unedited.
 *
 * A note is words: options of the first call, then ids. Its strategies are the unfinished merge's own.
 */

#include "command/command-private.h"

#include <string.h>

typedef struct {
	ProllyCommand *command;
	ProllyBranch *branch;
	const ProllySignature *author, *committer; /* who calls, now */
	bool reverts;
	bool names_source;   /* -x */
	const char *message; /* of one commit, instead of its own; nullable */
	unsigned mainline;   /* the parent that a merge is compared with; 0: not given */
	const char *strategy, *preference; /* nullable */
	GPtrArray *ids;                    /* of char *: commits to come, in order */
	guint next;
	uint64_t n_made;
} Picking;

static const char *get_name(const Picking *self)
{
	return self->reverts ? "revert" : "cherry-pick";
}

/* ---- One commit -------------------------------------------------------------------------- */

static bool choose_parent(const Picking *self, const ProllyCommit *commit,
			  const ProllyCommitId **out_parent, GError **error)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	unsigned mainline = self->mainline;

	prolly_commit_id_to_hex(&commit->id, hex);
	if (commit->n_parents > 1 && !mainline)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "%s: commit %s is a merge: -m says which parent it changed",
				    get_name(self), hex);
	if (mainline > commit->n_parents || (mainline && commit->n_parents == 1))
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "%s: -m %u: commit %s has no such parent to choose",
				    get_name(self), mainline, hex);
	*out_parent = commit->n_parents ? &commit->parents[mainline ? mainline - 1 : 0] : NULL;
	return true;
}

/* (transfer full) */
static char *make_message(const Picking *self, const ProllyCommit *commit,
			  const ProllyCommitId *parent)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE], parent_hex[PROLLY_COMMIT_ID_HEX_SIZE];
	g_autofree char *other = NULL;

	prolly_commit_id_to_hex(&commit->id, hex);
	if (self->message)
		return g_strdup(self->message);
	if (!self->reverts && !self->names_source)
		return g_strdup(commit->message);
	if (!self->reverts)
		return g_strdup_printf("%s\n(cherry picked from commit %s)\n", commit->message,
				       hex);
	if (commit->n_parents > 1)
		other = g_strdup_printf(", reversing\nchanges made to %s",
					prolly_commit_id_to_hex(parent, parent_hex));
	return g_strdup_printf("Revert \"%.*s\"\n\nThis reverts commit %s%s.\n",
			       (int)strcspn(commit->message, "\n"), commit->message, hex,
			       other ? other : "");
}

/* (transfer full) What --continue needs to know; never NULL, so that no merge takes its place. */
static char *make_note(const Picking *self)
{
	GString *note = g_string_new(self->names_source ? "-x" : "");

	if (self->mainline)
		g_string_append_printf(note, " -m%u", self->mainline);
	for (guint i = self->next; i < self->ids->len; i++)
		g_string_append_printf(note, " %s", (char *)g_ptr_array_index(self->ids, i));
	return g_string_free(note, FALSE);
}

static bool print_result(Picking *self, ProllyMergeReport *report,
			 const ProllyMergeOptions *options, ProllyMergeResult result,
			 const ProllyCommitId *id, GError **error)
{
	ProllyCommand *command = self->command;
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];

	if (command->json || result != PROLLY_MERGE_MERGED || options->dry_run)
		return prolly_merge_report_print(report, options, result, id, error);
	if (!command->quiet)
		prolly_command_print(command, "[%s %.*s] %.*s\n", command->branch_name,
				     PROLLY_SHORT_ID, prolly_commit_id_to_hex(id, hex),
				     (int)strcspn(options->message, "\n"), options->message);
	return true;
}

static ProllyMergeOptions make_options(const Picking *self, const char *message, const char *note)
{
	return (ProllyMergeOptions){
		.operation = get_name(self),
		.note = note,
		.dry_run = prolly_command_option(self->command, "dry-run"),
		.no_commit = prolly_command_option(self->command, "no-commit"),
		.strategy = self->strategy,
		.preference = self->preference,
		.message = message,
		.author = self->author,
		.committer = self->committer,
	};
}

/* Where is there to be a commit? Then its message is printed, for an editor. */
static bool draft(Picking *self, const ProllyMergeChange *change, ProllyMergeOptions *options,
		  GError **error)
{
	ProllyMergeResult result;
	ProllyCommitId id;

	options->dry_run = true;
	options->may_execute = self->command->caller->is_owner;
	if (!prolly_history_apply(self->command->repo, self->branch, change, options, &result, &id,
				  error))
		return false;
	if (result == PROLLY_MERGE_MERGED)
		prolly_command_print_draft(self->command, options->message);
	self->n_made++;
	return true;
}

/* Applies the commit ID. *OUT_STOPPED: with conflicts. */
static bool pick(Picking *self, const ProllyCommitId *id, bool *out_stopped, GError **error)
{
	ProllyCommand *command = self->command;
	g_autoptr(ProllyCommit) commit = NULL;
	const ProllyCommitId *parent = NULL;
	ProllyMergeResult result;
	ProllyCommitId made;

	if (!prolly_command_check(command, error) ||
	    !prolly_commit_load(command->repo, id, &commit, error) ||
	    !choose_parent(self, commit, &parent, error))
		return false;
	prolly_signature_tidy(&commit->author);
	g_autofree char *message = make_message(self, commit, parent);
	g_autofree char *note = make_note(self);
	ProllyMergeOptions options = make_options(self, message, note);
	ProllyMergeChange change = {parent, &commit->id};

	if (self->reverts)
		change = (ProllyMergeChange){&commit->id, parent};
	else
		options.author = &commit->author;
	if (prolly_command_option(command, "draft"))
		return draft(self, &change, &options, error);
	g_autoptr(ProllyMergeReport) report =
		prolly_merge_report_new(command, self->branch, &options);
	if (!prolly_history_apply(command->repo, self->branch, &change, &options, &result, &made,
				  error))
		return false;
	self->n_made += result == PROLLY_MERGE_MERGED || result == PROLLY_MERGE_STAGED;
	*out_stopped = result == PROLLY_MERGE_CONFLICT;
	return print_result(self, report, &options, result, &made, error);
}

/* ---- Several together -------------------------------------------------------------------- */

/* (transfer full) The commit with that INDEX, and what it changed, which borrows from it. */
static bool load_change(Picking *self, guint index, ProllyCommit **out_commit,
			ProllyMergeChange *out_change, GError **error)
{
	g_autoptr(ProllyCommit) commit = NULL;
	const ProllyCommitId *parent = NULL;
	ProllyCommitId id;

	if (!prolly_command_resolve(self->command, g_ptr_array_index(self->ids, index), &id,
				    error) ||
	    !prolly_commit_load(self->command->repo, &id, &commit, error) ||
	    !choose_parent(self, commit, &parent, error))
		return false;
	*out_change = self->reverts ? (ProllyMergeChange){&commit->id, parent}
				    : (ProllyMergeChange){parent, &commit->id};
	*out_commit = g_steal_pointer(&commit);
	return true;
}

static bool load_all(Picking *self, GPtrArray *commits, ProllyMergeChange *changes, GError **error)
{
	for (guint i = 0; i < self->ids->len; i++) {
		ProllyCommit *commit = NULL;

		if (!load_change(self, i, &commit, &changes[i], error))
			return false;
		g_ptr_array_add(commits, commit);
	}
	return true;
}

/* One that cannot be applied at all shall not stop the others half-way. */
static bool check_all(Picking *self, GError **error)
{
	for (guint i = 0; i < self->ids->len; i++) {
		g_autoptr(ProllyCommit) commit = NULL;
		ProllyMergeChange change;

		if (!load_change(self, i, &commit, &change, error))
			return false;
	}
	return true;
}

static bool stage_all(Picking *self, GError **error)
{
	ProllyCommand *command = self->command;
	g_autoptr(GPtrArray) commits =
		g_ptr_array_new_with_free_func((GDestroyNotify)prolly_commit_free);
	g_autofree ProllyMergeChange *changes = g_new0(ProllyMergeChange, self->ids->len);
	ProllyMergeOptions options = make_options(self, "", NULL);
	bool commits_each = !options.no_commit; /* a dry run */
	ProllyMergeResult result;
	ProllyCommitId id;

	options.no_commit = true;
	if (!load_all(self, commits, changes, error))
		return false;
	g_autoptr(ProllyMergeReport) report =
		prolly_merge_report_new(command, self->branch, &options);
	if (!prolly_history_stage_all(command->repo, self->branch, changes, self->ids->len,
				      &options, &result, &id, error))
		return false;
	if (commits_each && result == PROLLY_MERGE_STAGED)
		result = PROLLY_MERGE_MERGED;
	if (!prolly_merge_report_print(report, &options, result, &id, error))
		return false;
	command->is_no = result == PROLLY_MERGE_CONFLICT || result == PROLLY_MERGE_UP_TO_DATE;
	return true;
}

/* ---- All of them ------------------------------------------------------------------------- */

/* From the next on. That nothing was changed by any of them is exit status 1. */
static bool pick_all(Picking *self, GError **error)
{
	bool stopped = false;

	while (self->next < self->ids->len && !stopped) {
		ProllyCommitId id;

		if (!prolly_command_resolve(self->command,
					    g_ptr_array_index(self->ids, self->next++), &id,
					    error) ||
		    !pick(self, &id, &stopped, error))
			return false;
	}
	self->command->is_no = stopped || !self->n_made;
	return true;
}

static void add_id(Picking *self, const ProllyCommitId *id)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];

	g_ptr_array_add(self->ids, g_strdup(prolly_commit_id_to_hex(id, hex)));
}

static void reverse(GPtrArray *array, guint from)
{
	for (guint i = from, j = array->len; i + 1 < j; i++) {
		gpointer other = array->pdata[--j];

		array->pdata[j] = array->pdata[i];
		array->pdata[i] = other;
	}
}

/* The commits of a range, in the order in which they are applied. */
static bool add_range(Picking *self, const char *argument, GError **error)
{
	g_auto(ProllyRevisions) revisions = {0};
	g_autoptr(ProllyLog) log = NULL;
	guint first = self->ids->len;

	prolly_revisions_init(&revisions);
	if (!prolly_command_add_revision(self->command, argument, &revisions, error))
		return false;
	ProllyLogOptions options = prolly_revisions_get_options(&revisions);
	options.topological = true;
	if (!prolly_log_new(self->command->repo, &options, &log, error))
		return false;
	for (;;) {
		g_autoptr(ProllyCommit) commit = NULL;

		if (!prolly_log_next(log, &commit, error))
			return false;
		if (!commit)
			break;
		add_id(self, &commit->id);
	}
	if (!self->reverts)
		reverse(self->ids, first);
	return true;
}

static bool add_argument(Picking *self, const char *argument, GError **error)
{
	ProllyCommitId id;

	if (strstr(argument, ".."))
		return add_range(self, argument, error);
	if (!prolly_command_resolve(self->command, argument, &id, error))
		return false;
	add_id(self, &id);
	return true;
}

static bool parse_mainline(Picking *self, GError **error)
{
	const char *text = prolly_command_option(self->command, "mainline");
	uint64_t number = 0;

	if (text && !g_ascii_string_to_unsigned(text, 10, 1, 1000, &number, NULL))
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "%s: -m %s: it is the number of a parent", get_name(self),
				    text);
	self->mainline = (unsigned)number;
	return true;
}

static bool begin(Picking *self, GError **error)
{
	bool is_together = prolly_command_option(self->command, "no-commit") ||
			   prolly_command_option(self->command, "dry-run");

	self->names_source = prolly_command_option(self->command, "x");
	if (!parse_mainline(self, error))
		return false;
	for (unsigned i = 0; i < self->command->words->arguments->len; i++)
		if (!add_argument(self, prolly_command_argument(self->command, i), error))
			return false;
	if (self->message && self->ids->len > 1)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "%s: a message is for one commit, these are %u", get_name(self),
				    self->ids->len);
	if (is_together && self->ids->len > 1)
		return stage_all(self, error);
	return check_all(self, error) && pick_all(self, error);
}

/* ---- Going on ---------------------------------------------------------------------------- */

static void parse_note(Picking *self, const char *note)
{
	g_auto(GStrv) words = g_strsplit(note, " ", -1);

	for (char **word = words; *word; word++) {
		if (strcmp(*word, "-x") == 0)
			self->names_source = true;
		else if (g_str_has_prefix(*word, "-m"))
			self->mainline = (unsigned)g_ascii_strtoull(*word + 2, NULL, 10);
		else if (**word)
			g_ptr_array_add(self->ids, g_strdup(*word));
	}
}

/* What the call that began it said goes for the commits to come as well. UNFINISHED stays. */
static void take_strategies(Picking *self, const ProllyUnfinished *unfinished)
{
	if (!self->strategy)
		self->strategy = unfinished->strategy;
	if (!self->preference)
		self->preference = unfinished->preference;
}

/* What is unfinished, if it is of this command; its note is parsed. */
static bool load_own(Picking *self, ProllyUnfinished **out_unfinished, GError **error)
{
	g_autoptr(ProllyUnfinished) unfinished = NULL;
	ProllyCommand *command = self->command;

	if (!prolly_unfinished_load(command->repo, self->branch, &unfinished, error))
		return false;
	if (!unfinished)
		return prolly_throw(error, PROLLY_ERROR_NOT_FOUND,
				    "%s: branch '%s' has nothing unfinished", get_name(self),
				    command->branch_name);
	if (strcmp(unfinished->operation, get_name(self)) != 0)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "%s: what branch '%s' has unfinished is a %s", get_name(self),
				    command->branch_name, unfinished->operation);
	parse_note(self, unfinished->note ? unfinished->note : "");
	take_strategies(self, unfinished);
	*out_unfinished = g_steal_pointer(&unfinished);
	return true;
}

static bool go_on(Picking *self, GError **error)
{
	g_autoptr(ProllyUnfinished) unfinished = NULL;
	ProllyMergeResult result;
	ProllyCommitId made;

	if (!load_own(self, &unfinished, error))
		return false;
	if (prolly_command_option(self->command, "draft")) {
		if (prolly_unfinished_is_settled(unfinished) && !unfinished->is_squash)
			prolly_command_print_draft(self->command, unfinished->message);
		return true;
	}
	ProllyMergeOptions options = make_options(self, self->message, "");
	g_autoptr(ProllyMergeReport) report =
		prolly_merge_report_new(self->command, self->branch, &options);
	if (!prolly_history_continue(self->command->repo, self->branch, &options, &result, &made,
				     error))
		return false;
	options.message = self->message ? self->message : unfinished->message;
	if (!print_result(self, report, &options, result, &made, error))
		return false;
	self->message = NULL;
	self->n_made++;
	return result == PROLLY_MERGE_CONFLICT || pick_all(self, error);
}

/* --abort and --skip: without the commit that stopped, and with those to come or not. */
static bool give_up(Picking *self, bool skips, GError **error)
{
	g_autoptr(ProllyUnfinished) unfinished = NULL;

	if (!load_own(self, &unfinished, error) ||
	    !prolly_history_abort(self->command->repo, self->branch, error))
		return false;
	self->n_made++;
	return !skips || pick_all(self, error);
}

/* ---- The commands ------------------------------------------------------------------------ */

static bool check_usage(ProllyCommand *command, const char *name, GError **error)
{
	unsigned n = !!prolly_command_option(command, "continue") +
		     !!prolly_command_option(command, "abort") +
		     !!prolly_command_option(command, "skip");

	if (n && prolly_command_option(command, "dry-run"))
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "%s: --dry-run is for REVs, not for --continue, --skip or "
				    "--abort",
				    name);
	if (n + !!command->words->arguments->len == 1)
		return true;
	return prolly_throw(error, PROLLY_ERROR_USAGE,
			    "%s: give REVs, or one of --continue, --skip and --abort", name);
}

static bool run(ProllyCommand *command, bool reverts, GError **error)
{
	g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
	g_auto(ProllySignature) author = {0};
	g_auto(ProllySignature) committer = {0};
	g_autoptr(ProllyBranch) branch = NULL;
	g_autofree char *message = NULL;
	Picking picking = {.command = command, .reverts = reverts, .ids = ids};

	if (!check_usage(command, get_name(&picking), error) ||
	    !prolly_command_open_branch(command, &branch, error) ||
	    !prolly_command_sign(command, &author, &committer, error) ||
	    !prolly_command_get_message(command, &message, error))
		return false;
	picking.message = message;
	picking.branch = branch;
	picking.author = &author;
	picking.committer = &committer;
	picking.strategy = prolly_command_option(command, "strategy");
	picking.preference = prolly_command_option(command, "X");
	if (prolly_command_option(command, "continue"))
		return go_on(&picking, error);
	if (prolly_command_option(command, "abort") || prolly_command_option(command, "skip"))
		return give_up(&picking, prolly_command_option(command, "skip"), error);
	return begin(&picking, error);
}

/* Is there to be one commit, whose message was not given and may be edited? */
static bool wants_message(const ProllyWords *words)
{
	static const char *const OTHERS[] = {"message", "file", "no-edit",   "draft",
					     "abort",   "skip", "no-commit", "dry-run"};
	for (size_t i = 0; i < G_N_ELEMENTS(OTHERS); i++)
		if (prolly_words_get_option(words, OTHERS[i]))
			return false;
	if (words->spec == &prolly_cmd_cherry_pick && !prolly_words_get_option(words, "edit"))
		return false;
	return prolly_words_get_option(words, "continue") ||
	       (words->arguments->len == 1 && !strstr(prolly_words_get_argument(words, 0), ".."));
}

static bool run_cherry_pick(ProllyCommand *command, GError **error)
{
	return run(command, false, error);
}

static bool run_revert(ProllyCommand *command, GError **error)
{
	return run(command, true, error);
}

/* -m is of the parent, as in git. */
#define PICK_OPTIONS                                                                               \
	{"message", 0, "MSG", "the message of one commit"},                                        \
		{"file", 'F', "FILE", "read it from a file (-: standard input)"},                  \
		{"cleanup", 0, "MODE", "strip (lines with # go) or whitespace (the default)"},     \
		{"edit", 'e', NULL, "edit the message, on a terminal"},                            \
		{"no-edit", 0, NULL, "do not"},                                                    \
		{"draft", 0, NULL, "print what an editor begins with (used by prollyfs-ctl)"},     \
		{"mainline", 'm', "PARENT", "of a merge: which parent it is compared with"},       \
		{"no-commit", 'n', NULL, "stage the changes; commit nothing"},                     \
		{"dry-run", 0, NULL, "say what would happen, with all conflicts; change nothing"}, \
		{"strategy", 's', "NAME", "settle all conflicts by it"},                           \
		{"", 'X', "NAME", "the same, but for what .prollyattributes says"},                \
		{"continue", 0, NULL, "go on, when all conflicts are resolved"},                   \
		{"skip", 0, NULL, "go on without the commit that stopped"},                        \
	{                                                                                          \
		"abort", 0, NULL, "forget the commit that stopped and those to come"               \
	}

static const ProllyOptionSpec REVERT_OPTIONS[] = {PICK_OPTIONS, {0}};

static const ProllyOptionSpec CHERRY_PICK_OPTIONS[] = {
	{"", 'x', NULL, "add to the message which commit it was"},
	PICK_OPTIONS,
	{0},
};

const ProllyCommandSpec prolly_cmd_cherry_pick = {
	.name = "cherry-pick",
	.arguments = "[REV | A..B]...",
	.summary = "make the changes of other commits again",
	.options = CHERRY_PICK_OPTIONS,
	.max_arguments = PROLLY_COMMAND_ANY_NUMBER,
	.flags = PROLLY_COMMAND_WORKING | PROLLY_COMMAND_CHANGES | PROLLY_COMMAND_SIGNS |
		 PROLLY_COMMAND_MESSAGE,
	.run = run_cherry_pick,
	.wants_message = wants_message,
};

const ProllyCommandSpec prolly_cmd_revert = {
	.name = "revert",
	.arguments = "[REV | A..B]...",
	.summary = "undo the changes of commits, with new ones",
	.options = REVERT_OPTIONS,
	.max_arguments = PROLLY_COMMAND_ANY_NUMBER,
	.flags = PROLLY_COMMAND_WORKING | PROLLY_COMMAND_CHANGES | PROLLY_COMMAND_SIGNS |
		 PROLLY_COMMAND_MESSAGE,
	.run = run_revert,
	.wants_message = wants_message,
};
