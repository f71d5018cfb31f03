/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * command-private: what the files of core/command share. A command line is parsed into ProllyWords
 * (words.c) by the tables that the groups of commands export; a ProllyCommand is one such line as
 * it runs (command.c), with its output (output.c). The cmd-*.c hold the commands.
 */

#include "command/command.h"

#include <time.h>

typedef struct ProllyCommand ProllyCommand;
typedef struct ProllyWords ProllyWords;

/* ---- Tables ------------------------------------------------------------------------------ */

typedef struct {
	const char *name;  /* of the long form, or "" */
	char letter;       /* of the short form, or 0 */
	const char *value; /* what --help calls its value; NULL: a flag */
	const char *help;
} ProllyOptionSpec;

enum {
	PROLLY_COMMAND_NO_STORE = 1 << 0, /* runs without a store, and only without one */
	PROLLY_COMMAND_INPUT = 1 << 1,    /* reads standard input (put: without a VALUE) */
	PROLLY_COMMAND_WORKING = 1 << 2,  /* about a working state: takes no --at */
	PROLLY_COMMAND_CHANGES = 1 << 3,  /* changes it: not on a read-only mount */
	PROLLY_COMMAND_SIGNS = 1 << 4,    /* makes commits: needs the caller's identity */
	PROLLY_COMMAND_PAGES = 1 << 5,    /* prints what people page through */
	PROLLY_COMMAND_PATHS = 1 << 6,    /* without a store, has PATHs all the same */
	PROLLY_COMMAND_MESSAGE = 1 << 7,  /* takes PROLLY_MESSAGE_OPTIONS */
	PROLLY_COMMAND_DELETES = 1 << 8,  /* -d, -D and --force may take away what kept commits */
	PROLLY_COMMAND_FILES = 1 << 9,    /* its arguments are files of the caller's */
	PROLLY_COMMAND_MOVES = 1 << 10,   /* moves branches: their reflogs name the caller */
};

#define PROLLY_COMMAND_ANY_NUMBER 1000000u

/* A command. RUN returns false with ERROR for status 2, else true, with command->is_no for 1. */
typedef struct {
	const char *name;
	const char *arguments; /* as --help shows them */
	const char *summary;
	const ProllyOptionSpec *options; /* ends with one that has no help; NULL: none */
	unsigned min_arguments;
	unsigned max_arguments;
	unsigned flags;
	bool (*run)(ProllyCommand *command, GError **error);
	/* Nullable: does it need a message, which was not given? Then people get an editor. */
	bool (*wants_message)(const ProllyWords *words);
} ProllyCommandSpec;

extern const ProllyCommandSpec prolly_cmd_init, prolly_cmd_root, prolly_cmd_stats, prolly_cmd_gc;
extern const ProllyCommandSpec prolly_cmd_fsck, prolly_cmd_backup;
extern const ProllyCommandSpec prolly_cmd_put, prolly_cmd_get, prolly_cmd_delete, prolly_cmd_ls;
extern const ProllyCommandSpec prolly_cmd_load, prolly_cmd_dump;
extern const ProllyCommandSpec prolly_cmd_commit, prolly_cmd_log, prolly_cmd_show;
extern const ProllyCommandSpec prolly_cmd_status, prolly_cmd_diff;
extern const ProllyCommandSpec prolly_cmd_conflicts, prolly_cmd_resolve;
extern const ProllyCommandSpec prolly_cmd_branch, prolly_cmd_merge;
extern const ProllyCommandSpec prolly_cmd_prove, prolly_cmd_verify;
extern const ProllyCommandSpec prolly_cmd_tag, prolly_cmd_reflog, prolly_cmd_keys_at;
extern const ProllyCommandSpec prolly_cmd_reset, prolly_cmd_restore;
extern const ProllyCommandSpec prolly_cmd_history, prolly_cmd_blame;
extern const ProllyCommandSpec prolly_cmd_cherry_pick, prolly_cmd_revert;

/* ---- words.c: command lines -------------------------------------------------------------- */

typedef struct {
	const ProllyOptionSpec *spec;
	const char *value; /* "" for a flag */
} ProllyOptionUse;

/* A parsed line; everything is borrowed from the words it was made of. */
struct ProllyWords {
	const ProllyCommandSpec *spec; /* NULL: only --help or --version */
	GArray *options;               /* of ProllyOptionUse, in order */
	GPtrArray *arguments;          /* of const char * */
	unsigned n_plain;              /* arguments that stood before a "--" */
};

bool prolly_words_parse(const char *const *words, ProllyWords **out_words, GError **error);
void prolly_words_free(ProllyWords *words); /* NULL is allowed */
/* The value of the last use of option NAME (a long name, or a letter), "" for a flag, or NULL. */
const char *prolly_words_get_option(const ProllyWords *words, const char *name);
const char *prolly_words_get_argument(const ProllyWords *words, unsigned i); /* NULL: none */
/* What --help prints: of a command, or of the program (SPEC NULL). */
void prolly_words_help(const ProllyCommandSpec *spec, GString *out);
/* Does the line read standard input? */
bool prolly_words_read_input(const ProllyWords *words);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyWords, prolly_words_free)

/* ---- command.c: a command as it runs ----------------------------------------------------- */

struct ProllyCommand {
	const ProllyWords *words;
	ProllyRepo *repo; /* counts its work; NULL if the command needs no store */
	const ProllyCaller *caller;
	const ProllyStreams *streams;
	const char *branch_name;        /* of -b, the caller, or the store's default */
	const char *here;               /* the caller's place is this commit; NULL: a branch's */
	const char *at;                 /* what is read: of --at, or HERE; NULL: a working state */
	const char *cwd;                /* where relative PATHs start, below the branch */
	const char *const *environment; /* NULL: the process's */
	bool json;
	bool quiet;
	bool is_terminal;
	bool colour;
	bool is_no;      /* exit status 1 */
	bool changes;    /* prolly_command_check_writable said that it may */
	GString *output; /* what is not given to streams yet */
	bool output_gone;
	uint32_t pattern_cost; /* of its regular expressions, together (pattern.c) */
};

/* Is the command about a branch, as it is unless the caller's place is a commit and no -b is given?
 * Else PROLLY_ERROR_INVALID. */
bool prolly_command_check_branch(ProllyCommand *command, GError **error);
/* (transfer full) The branch the command is about. Unknown: PROLLY_ERROR_NOT_FOUND. */
bool prolly_command_open_branch(ProllyCommand *command, ProllyBranch **out_branch, GError **error);
/* (transfer full) What the command reads: --at, else the branch's working state, pinned. */
bool prolly_command_open_view(ProllyCommand *command, ProllyView **out_view, GError **error);
/* The commit that REV names; "HEAD" and "@" are the command's branch, or the commit its place is. */
bool prolly_command_resolve(ProllyCommand *command, const char *rev, ProllyCommitId *out_id,
			    GError **error);
/* Author and committer for a commit made now. */
bool prolly_command_sign(ProllyCommand *command, ProllySignature *out_author,
			 ProllySignature *out_committer, GError **error);
/* The value of -n (max-count); UINT64_MAX if it is not given. */
bool prolly_command_parse_count(ProllyCommand *command, uint64_t *out_count, GError **error);
/* Exit status 1 with a line on standard error. Returns true. */
bool prolly_command_answer_no(ProllyCommand *command, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* PROLLY_ERROR_DENIED for a caller confined to a branch; WHAT names what it may not. */
bool prolly_command_check_free(ProllyCommand *command, const char *what, GError **error);
/* PROLLY_ERROR_READ_ONLY for a caller on a read-only mount. */
bool prolly_command_check_writable(ProllyCommand *command, GError **error);

static inline const char *prolly_command_option(const ProllyCommand *command, const char *name)
{
	return prolly_words_get_option(command->words, name);
}

static inline const char *prolly_command_argument(const ProllyCommand *command, unsigned i)
{
	return prolly_words_get_argument(command->words, i);
}

/* ---- output.c ---------------------------------------------------------------------------- */

typedef enum {
	PROLLY_PAINT_NONE,
	PROLLY_PAINT_BOLD,
	PROLLY_PAINT_RED,
	PROLLY_PAINT_GREEN,
	PROLLY_PAINT_YELLOW,
	PROLLY_PAINT_CYAN,
} ProllyPaint;

void prolly_command_write(ProllyCommand *command, const void *data, size_t len);
void prolly_command_print(ProllyCommand *command, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* TEXT in a colour, if there are colours. */
void prolly_command_print_painted(ProllyCommand *command, ProllyPaint paint, const char *format,
				  ...) G_GNUC_PRINTF(3, 4);
/* JSON and a newline; empties JSON for the next. */
void prolly_command_print_json(ProllyCommand *command, GString *json);
/* The line "prollyfs-ctl: MESSAGE" on standard error, after what was printed so far. */
void prolly_command_say(ProllyCommand *command, const char *message);
/* What is printed gathers in OUTPUT, which is empty. */
bool prolly_command_begin_output(ProllyCommand *command, GString *output, GError **error);
/* Gives everything printed to the streams. */
void prolly_command_flush(ProllyCommand *command);
/* PROLLY_ERROR_CANCELLED if the caller went away or interrupted. For loops. */
bool prolly_command_check(ProllyCommand *command, GError **error);
/* Tells the caller how far a long command is. */
void prolly_command_progress(ProllyCommand *command, const char *what, uint64_t done,
			     uint64_t total);

/* ---- json.c ------------------------------------------------------------------------------ */

#define PROLLY_JSON_VALUE_MAX 65536u /* a longer value is {"size","hash"} */

/*
 * Members are appended to a string that holds one object (or list) being built; NAME is the
 * member's, NULL in a list or at the top. Commas are put where they belong.
 */
void prolly_json_begin(GString *json, const char *name, char bracket); /* '{' or '[' */
void prolly_json_end(GString *json, char bracket);                     /* '}' or ']' */
/* A string if prolly_json_is_text, else {"base64": ...}. */
void prolly_json_add_bytes(GString *json, const char *name, const void *data, size_t len);
void prolly_json_add_text(GString *json, const char *name, const char *text);
void prolly_json_add_number(GString *json, const char *name, uint64_t number);
void prolly_json_add_fraction(GString *json, const char *name, double fraction);
void prolly_json_add_bool(GString *json, const char *name, bool value);
void prolly_json_add_null(GString *json, const char *name);
void prolly_json_add_hash(GString *json, const char *name, const ProllyHash *hash);
void prolly_json_add_commit_id(GString *json, const char *name, const ProllyCommitId *id);
void prolly_json_add_time(GString *json, const char *name, const ProllySignature *signature);
/* {"name","email"} */
void prolly_json_add_person(GString *json, const char *name, const ProllySignature *signature);
/* DATA, which is text, escaped as the inside of a JSON string. */
void prolly_json_escape(GString *json, const void *data, size_t len);
/* Valid UTF-8 without control characters but tab, newline and carriage return. */
bool prolly_json_is_text(const void *data, size_t len);
/* The same of a text's beginning: *OUT_LEN is less than LEN by a character cut at its end. */
bool prolly_json_is_text_so_far(const void *data, size_t len, size_t *out_len);

/* ---- paths.c: PATH arguments, and paths to print ----------------------------------------- */

/* What a PATH argument is in a view. Borrows from PATH. */
typedef struct {
	ProllyPath path;
	ProllyPlace key;       /* ns NULL: the path means no key (it may not exist, though) */
	ProllyPlace directory; /* its prefix; ns NULL: there is no such directory */
	bool is_branch;        /* the directory is the branch's */
} ProllyTarget;

bool prolly_target_init(ProllyCommand *command, ProllyView *view, const char *argument,
			ProllyTarget *out_target, GError **error);
void prolly_target_clear(ProllyTarget *target);
/* As prolly_target_init, for a path that should be a key's: IS_DIR for a directory. */
bool prolly_target_init_key(ProllyCommand *command, ProllyView *view, const char *argument,
			    ProllyTarget *out_target, GError **error);
/* ARGUMENT without looking at a store: what it can be, relative to the caller's directory. */
bool prolly_command_parse_path(ProllyCommand *command, const char *argument, ProllyPath *out_path,
			       GError **error);
/* The key that ARGUMENT names, there or not; OUT_PLACE borrows from OUT_PATH, in which no directory
 * is left. */
bool prolly_command_parse_key(ProllyCommand *command, const char *argument, ProllyPath *out_path,
			      ProllyPlace *out_place, GError **error);
/* What several PATH arguments mean together: no range is in another. */
typedef struct {
	GArray *ranges; /* of ProllyRange, in the order of the arguments */
	GArray *paths;  /* of ProllyPath, which they borrow from */
} ProllySelection;

void prolly_selection_init(ProllySelection *selection);
void prolly_selection_clear(ProllySelection *selection);
bool prolly_selection_add(ProllySelection *selection, ProllyCommand *command, const char *argument,
			  GError **error);
/* The namespace that a NS argument names, into OUT_NAME. */
bool prolly_command_parse_namespace(const char *argument, char out_name[PROLLY_NAMESPACE_MAX + 1],
				    GError **error);
/* (transfer full) The path of a key in VIEW; of a directory's marker it ends in '/'. */
char *prolly_command_dup_path(ProllyView *view, const ProllyPlace *place, ProllyKind kind,
			      GError **error);
/* The same for many keys of VIEW, one after the other: cheap where they come in their order. */
typedef struct ProllyNamer ProllyNamer;
ProllyNamer *prolly_namer_new(ProllyView *view); /* NULL is allowed */
void prolly_namer_free(ProllyNamer *namer);      /* likewise */
char *prolly_namer_dup_path(ProllyNamer *namer, const ProllyPlace *place, ProllyKind kind,
			    GError **error);
/* "namespace", "key" and "path" of a key. */
void prolly_json_add_place(GString *json, const ProllyPlace *place, const char *path);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyTarget, prolly_target_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllySelection, prolly_selection_clear)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyNamer, prolly_namer_free)

/* ---- message.c: -m, -F, and what an editor wrote ----------------------------------------- */

/* For tables of options, of commands with PROLLY_COMMAND_MESSAGE. */
#define PROLLY_MESSAGE_OPTIONS(WHAT)                                                           \
	{"message", 'm', "MSG", WHAT "; more than one make paragraphs"},                       \
		{"file", 'F', "FILE", "read the message from a file (-: standard input)"},     \
		{"cleanup", 0, "MODE", "strip (lines with # go) or whitespace (the default)"}, \
	{                                                                                      \
		"draft", 0, NULL, "print what an editor begins with (used by prollyfs-ctl)"    \
	}

bool prolly_words_has_message(const ProllyWords *words);
/* *OUT_MESSAGE (transfer full): with one newline at its end; NULL if none was given. USAGE if nothing
 * is left of one. */
bool prolly_command_get_message(ProllyCommand *command, char **out_message, GError **error);
/* What an editor begins with, for one that is ready but for its reader's approval. A command that has
 * no use for a message prints nothing, and then there is no editor. */
void prolly_command_print_draft(ProllyCommand *command, const char *message);

/* ---- commit-text.c: commits as text and JSON --------------------------------------------- */

#define PROLLY_SHORT_ID 10 /* digits of an id for people */

typedef struct ProllyGraph ProllyGraph; /* graph.c */

typedef struct {
	ProllyCommand *command;
	ProllyGraph *graph;    /* nullable */
	const GArray *parents; /* beside a graph: of ProllyCommitId, where it goes on */
	GHashTable *names;     /* id as hex -> "main, tag: v1": on a terminal only; nullable */
	bool oneline;
	bool is_first;
} ProllyCommitPrinter;

void prolly_commit_printer_print(ProllyCommitPrinter *printer, const ProllyCommit *commit);
/* One line, beside the graph if there is one. */
void prolly_commit_printer_line(ProllyCommitPrinter *printer, const char *line, size_t len);
/* The date as it was there; one of no calendar is the epoch's, as in git. */
void prolly_signature_get_tm(const ProllySignature *signature, struct tm *out_tm);
/* "Thu Nov 19 14:33:21 2026 +0100", in English whatever the locale is. */
void prolly_signature_append_date(GString *out, const ProllySignature *signature);

/* ---- revisions.c: arguments that mean many commits ---------------------------------------- */

typedef struct {
	GArray *starts, *hidden; /* of ProllyCommitId */
} ProllyRevisions;

void prolly_revisions_init(ProllyRevisions *revisions);
void prolly_revisions_clear(ProllyRevisions *revisions); /* { 0 } is allowed */
/* Adds what ARGUMENT (REV, ^REV, A..B, A...B) means. */
bool prolly_command_add_revision(ProllyCommand *command, const char *argument,
				 ProllyRevisions *revisions, GError **error);
/* Borrows from REVISIONS. */
ProllyLogOptions prolly_revisions_get_options(const ProllyRevisions *revisions);

/* What A..B and A...B are where two commits are meant; a plain REV is TO. */
typedef struct {
	bool is_range;
	bool is_symmetric;
	ProllyCommitId from, to;
} ProllyRevisionRange;

bool prolly_command_parse_range(ProllyCommand *command, const char *argument,
				ProllyRevisionRange *out_range, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyRevisions, prolly_revisions_clear)

/* ---- pattern.c: regular expressions ------------------------------------------------------- */

typedef struct ProllyPattern ProllyPattern;

/*
 * (transfer full) TEXT is a basic or an extended regular expression of POSIX, or several, one a line.
 * USAGE: it is none, has back references, or is too long, too deep or repeated too often. COMMAND
 * (nullable) is asked from time to time whether it goes on.
 */
bool prolly_pattern_new(ProllyCommand *command, const char *text, bool extended, bool ignore_case,
			ProllyPattern **out_pattern, GError **error);
void prolly_pattern_free(ProllyPattern *pattern); /* NULL is allowed */
/* Does a part of one of TEXT's lines match? In time proportional to its length; no, if the command was
 * interrupted. */
bool prolly_pattern_matches(ProllyPattern *pattern, const char *text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyPattern, prolly_pattern_free)

/* ---- log-filter.c: which commits a log shows ---------------------------------------------- */

typedef struct ProllyLogFilter ProllyLogFilter;

/* (transfer full) From --since, --author and the like. */
bool prolly_log_filter_new(ProllyCommand *command, ProllyLogFilter **out_filter, GError **error);
void prolly_log_filter_free(ProllyLogFilter *filter); /* NULL is allowed */
bool prolly_log_filter_matches(const ProllyLogFilter *filter, const ProllyCommit *commit);
/* Does it let everything through? */
bool prolly_log_filter_is_empty(const ProllyLogFilter *filter);
/* Is it older than all that are asked for? */
bool prolly_log_filter_is_before(const ProllyLogFilter *filter, const ProllyCommit *commit);
int64_t prolly_log_filter_get_since(const ProllyLogFilter *filter); /* INT64_MIN: not given */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyLogFilter, prolly_log_filter_free)

/* ---- log-source.c: the commits of a log --------------------------------------------------- */

typedef struct ProllyLogSource ProllyLogSource;

/* (transfer full) Those of REVISIONS that the command's options ask for. */
bool prolly_log_source_new(ProllyCommand *command, const ProllyRevisions *revisions,
			   ProllyLogSource **out_source, GError **error);
void prolly_log_source_free(ProllyLogSource *source); /* NULL is allowed */
/* (transfer full) NULL: that was the last. PARENTS (nullable, of ProllyCommitId) becomes those that a
 * graph leads to from it. */
bool prolly_log_source_next(ProllyLogSource *source, ProllyCommit **out_commit, GArray *parents,
			    GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyLogSource, prolly_log_source_free)

/* ---- Shared by groups of commands -------------------------------------------------------- */

/* cmd-keys.c: member NAME with the content of ENTRY of VIEW, or {"size","hash"} if it is long. */
bool prolly_json_add_value(ProllyCommand *command, GString *json, const char *name,
			   ProllyView *view, const ProllyEntry *entry, GError **error);

/* changes-text.c: the changes between two views, as status, diff, show and merge print them. */
typedef enum {
	PROLLY_CHANGES_PATCH,
	PROLLY_CHANGES_STAT,
	PROLLY_CHANGES_NAME_STATUS,
	PROLLY_CHANGES_NAME_ONLY,
	PROLLY_CHANGES_JSON,
	PROLLY_CHANGES_JSON_LIST, /* the inside of status' list */
	PROLLY_CHANGES_STATUS,    /* git status' lines */
} ProllyChangesStyle;

/* A NULL: the empty state. RANGES (nullable, of ProllyRange): only what is in them. *OUT_N is the
 * number of changes. */
bool prolly_command_print_changes(ProllyCommand *command, ProllyView *a, ProllyView *b,
				  const GArray *ranges, ProllyChangesStyle style, uint64_t *out_n,
				  GError **error);
bool prolly_command_count_changes(ProllyCommand *command, ProllyView *a, ProllyView *b,
				  uint64_t *out_n, GError **error);
/* cmd-show.c: between a commit and its first parent. RANGES as above. */
bool prolly_command_print_commit_changes(ProllyCommand *command, const ProllyCommit *commit,
					 const GArray *ranges, ProllyChangesStyle style,
					 GError **error);
const char *prolly_change_kind_to_text(ProllyChangeKind kind);

/* For tables of options, of commands that print changes: which style they ask for. */
#define PROLLY_CHANGES_OPTIONS                                              \
	{"stat", 0, NULL, "only how much of each key changed"},             \
		{"name-status", 0, NULL, "only A, M or D and the path"},    \
		{"name-only", 0, NULL, "only the path"},                    \
	{                                                                   \
		"patch", 'p', NULL, "the values' differences, line by line" \
	}
/* *OUT_STYLE (nullable) is _PATCH if none was given. Returns: was one given? */
bool prolly_command_get_style(ProllyCommand *command, ProllyChangesStyle *out_style);

/* patch.c: one value's change as -/+ lines. */
typedef struct {
	const char *text; /* NULL: the value is not there */
	size_t len;
} ProllyPatchSide;

/* patch-json.c: sides (one may be absent) that are JSON objects or lists, a member a line. */
void prolly_patch_lay_out_json(ProllyPatchSide sides[2]);
bool prolly_patch_print(ProllyCommand *command, const ProllyPatchSide *old_side,
			const ProllyPatchSide *new_side, GError **error);
bool prolly_patch_count(const ProllyPatchSide *old_side, const ProllyPatchSide *new_side,
			uint64_t *out_removed, uint64_t *out_added, GError **error);

/* graph.c: the lines of `log --graph`. */
ProllyGraph *prolly_graph_new(void);
void prolly_graph_free(ProllyGraph *graph); /* NULL is allowed */
/* The next commit of a log; PARENTS (of ProllyCommitId) come later. */
void prolly_graph_push(ProllyGraph *graph, const ProllyCommitId *id, const GArray *parents);
/* Appends the graph's part of the commit's next line: first its own, then those that lead to the
 * next commit, then lines that only go on. */
void prolly_graph_append_line(ProllyGraph *graph, GString *out);
/* Are there lines that must be printed before the next commit? */
bool prolly_graph_is_pending(const ProllyGraph *graph);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyGraph, prolly_graph_free)

/* merge-report.c: what people are told of a merge, or of a change that is applied like one. */
typedef struct ProllyMergeReport ProllyMergeReport;

/* Sets in OPTIONS, which it outlives, what it listens with, and whether commands may be run. */
ProllyMergeReport *prolly_merge_report_new(ProllyCommand *command, ProllyBranch *branch,
					   ProllyMergeOptions *options);
void prolly_merge_report_free(ProllyMergeReport *report); /* NULL is allowed */
/* Prints conflicts and RESULT, with the head then; exit status 1 for conflicts. */
bool prolly_merge_report_print(ProllyMergeReport *report, const ProllyMergeOptions *options,
			       ProllyMergeResult result, const ProllyCommitId *id, GError **error);
const char *prolly_conflict_kind_to_text(ProllyConflictKind kind);
/* (transfer full) The path of a key in conflict, in VIEW. */
char *prolly_conflict_dup_path(ProllyView *view, const ProllyPlace *place,
			       const ProllyMergeStep *sides, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyMergeReport, prolly_merge_report_free)

/* allowance.c: empties *BYTES, of which much memory is given back. */
void prolly_bytes_drop(GByteArray **bytes);

/* spool.c: bytes that wait to be read: in memory, and when they are many in an unlinked file. */
typedef struct ProllySpool ProllySpool;

ProllySpool *prolly_spool_new(void);
void prolly_spool_free(ProllySpool *spool); /* NULL is allowed */
bool prolly_spool_write(ProllySpool *spool, const void *data, size_t len, GError **error);
/* Up to LEN of the oldest bytes; *OUT_LEN 0: there are none. */
bool prolly_spool_read(ProllySpool *spool, void *buffer, size_t len, size_t *out_len,
		       GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllySpool, prolly_spool_free)

/* session.c and session-call.c: the types of frames (interface.md, section 4). */
typedef enum {
	PROLLY_FRAME_COMMAND = 1,
	PROLLY_FRAME_INPUT = 2,
	PROLLY_FRAME_INPUT_END = 3,
	PROLLY_FRAME_OUTPUT = 4,
	PROLLY_FRAME_ERROR = 5,
	PROLLY_FRAME_PROGRESS = 6,
	PROLLY_FRAME_STATUS = 7,
} ProllyFrameType;

#define PROLLY_FRAME_HEADER_SIZE 5u
#define PROLLY_FRAME_GREETING    "frames 1\n"

/* ---- load and dump ----------------------------------------------------------------------- */

typedef enum {
	PROLLY_FORMAT_TSV,
	PROLLY_FORMAT_NUL,
	PROLLY_FORMAT_JSONL,
} ProllyDataFormat;

/* cmd-load.c: what --format says; a name that is none is PROLLY_ERROR_USAGE. */
bool prolly_command_get_format(ProllyCommand *command, ProllyDataFormat *out_format,
			       GError **error);
