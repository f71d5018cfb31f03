/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * repo-private: what the files share that open a store and keep its history: configuration, lock,
 * the git repository with its references, the journal. Others use version-private.h.
 */

#include <sys/stat.h>

#include <git2.h>
#include <git2/sys/odb_backend.h>

#include "version/spares-private.h"
#include "version/version-private.h"

#define PROLLY_STORE_FORMAT 1 /* of STORE as a whole; a newer one is refused */

/* ---- spec.c ------------------------------------------------------------------------------- */

/* (transfer full) The absolute path that SPEC means, without symbolic links as far as it exists. */
char *prolly_spec_dup_path(const ProllySpec *spec);

/* ---- config.c: STORE/config --------------------------------------------------------------- */

typedef struct {
	ProllyBackendKind kind;
	char *default_branch;
	ProllyFormatParameters parameters;
} ProllyConfig;

void prolly_config_clear(ProllyConfig *config);
/* Is there a configuration of ours in directory PATH? */
bool prolly_config_exists(const char *path);
/* NOT_A_STORE, NEWER_FORMAT, CORRUPT; messages name the file. */
bool prolly_config_load(const char *path, ProllyConfig *out_config, GError **error);
/* Atomically, and synced with its directory. */
bool prolly_config_save(const char *path, const ProllyConfig *config, GError **error);

/* ---- lock.c: STORE/lock ------------------------------------------------------------------- */

/* Takes the lock of the store in PATH and writes who holds it. LOCKED if another process still has
 * it after WAIT_MS. The lock is held while OUT_FD is open; prolly_lock_release gives it back. */
bool prolly_lock_take(const char *path, const char *mount, unsigned wait_ms, int *out_fd,
		      GError **error);
void prolly_lock_release(int fd);
/* *OUT_PID 0: nobody. OUT_MOUNT (transfer full, nullable). */
bool prolly_lock_find_holder(const char *path, pid_t *out_pid, char **out_mount, GError **error);

/* ---- date.c, date-said.c ------------------------------------------------------------------ */

/* The local zone's offset at TIME. */
int prolly_date_get_offset(int64_t time);
/* What people say: a date alone, a time of day alone, "3 days ago". False: it is none of these. */
bool prolly_date_parse_said(const char *text, int64_t now, int64_t *out_time);
/* From 0, of the name that begins with the LEN letters of WORD; -1: none. */
int prolly_date_find_month(const char *word, size_t len);
int prolly_date_find_weekday(const char *word, size_t len); /* Sunday is 0 */

/* ---- refs.c: the reference store ---------------------------------------------------------- */

typedef struct ProllyRefs ProllyRefs;

/* One reference's change, FROM -> TO. All zero: it is not there before, or not after. */
typedef struct {
	char *name; /* refs/heads/main */
	ProllyCommitId from;
	ProllyCommitId to;
	char *log; /* its reflog line without the two ids: "NAME <EMAIL> TIME ZONE\tMESSAGE"; empty:
		      it has no reflog, as tags do not */
	GBytes *log_head; /* nullable: the lines before it, for a reference that was renamed */
	char *old_name; /* nullable: what it is renamed from, which the update before it deletes */
} ProllyRefUpdate;

void prolly_ref_update_free(ProllyRefUpdate *update); /* NULL is allowed */

/*
 * How references are kept. get, list and load_log may be called at any time; an update is checked
 * and locked by `lock`, and then either made by `apply` or given up by `unlock`. All under the git
 * lock.
 */
typedef struct {
	void (*free)(ProllyRefs *refs);
	/* CORRUPT if it cannot be read. */
	bool (*get)(ProllyRefs *refs, const char *name, ProllyCommitId *out_id, bool *out_found,
		    GError **error);
	/* Adds the names (char *) that start with PREFIX, in any order, but no more when MAX are in
	 * NAMES. */
	bool (*list)(ProllyRefs *refs, const char *prefix, guint max, GPtrArray *names,
		     GError **error);
	/* STALE if it does not stand at FROM; BUSY if a git process holds it; EXISTS if it cannot be
	 * made beside another. */
	bool (*lock)(ProllyRefs *refs, const ProllyRefUpdate *update, GError **error);
	/* A reference that git has made, moved or deleted between lock and apply stays as it is; so do
	 * those beside which it cannot be made. */
	bool (*apply)(ProllyRefs *refs, const ProllyRefUpdate *update, GError **error);
	void (*unlock)(ProllyRefs *refs, const ProllyRefUpdate *update);
	/* After a crash: makes those of UPDATES, in order, whose reference stands at FROM or is
	 * unreadable, unless git moved it since. */
	bool (*replay)(ProllyRefs *refs, const GPtrArray *updates, GError **error);
	/* Makes NAME, which cannot be read, stand at ID; its reflog stays as it is. */
	bool (*restore)(ProllyRefs *refs, const char *name, const ProllyCommitId *id,
			GError **error);
	/* (transfer full) The reflog's lines, oldest first; NULL: none. */
	bool (*load_log)(ProllyRefs *refs, const char *name, GBytes **out_log, GError **error);
} ProllyRefsOps;

struct ProllyRefs {
	const ProllyRefsOps *ops;
};

/* GIT_DIR's own references, as git keeps them. REPO and SPARES are borrowed. */
ProllyRefs *prolly_refs_new_files(git_repository *repo, const char *git_dir, ProllySpares *spares);
ProllyRefs *prolly_refs_new_memory(void);
/* Removes lock files that a process which died left: those of UPDATES (it meant to make them), and
 * any older than this boot of the machine. */
void prolly_refs_break_locks(const char *git_dir, const GPtrArray *updates);

/* ---- refs-listing.c: the names in a directory of references, remembered -------------------- */

/* Is it the same file or directory, and unchanged as far as its size and times tell? */
bool prolly_is_same_stamp(const struct stat *a, const struct stat *b);

typedef struct ProllyRefListing ProllyRefListing;

ProllyRefListing *prolly_ref_listing_new(void);
void prolly_ref_listing_free(ProllyRefListing *listing);
/* Adds to NAMES what is in DIRECTORY, if that is known and STAMP is its stat still. */
bool prolly_ref_listing_get(const ProllyRefListing *listing, const char *directory,
			    const struct stat *stamp, GPtrArray *names);
/* NAMES from FIRST on are what is in DIRECTORY, which was read at READ_AT (microseconds of the real
 * time) and whose stat was STAMP before. */
void prolly_ref_listing_set(ProllyRefListing *listing, const char *directory,
			    const struct stat *stamp, int64_t read_at, const GPtrArray *names,
			    guint first);

/* "OLD NEW LOG\n", OLD and NEW in hex. (transfer full) */
char *prolly_ref_update_to_line(const ProllyRefUpdate *update);

/* (transfer full) The name of each reference -> a GPtrArray of those of UPDATES that move it, in their
 * order. Borrowed from UPDATES. */
GHashTable *prolly_ref_updates_group(const GPtrArray *updates);
/* Adds to DONE those of GROUP that are in LOG, their reference's, if its last line is of none. */
void prolly_ref_updates_find_done(const GPtrArray *group, GBytes *log, GHashTable *done);

/* ---- refs.c: branches and tags as references ---------------------------------------------- */

typedef struct {
	const char *prefix; /* refs/heads/ */
	const char *noun;   /* what messages call it */
} ProllyRefKind;

extern const ProllyRefKind prolly_ref_branch, prolly_ref_tag;

/* INVALID if git or we refuse NAME. */
bool prolly_ref_check_name(const ProllyRefKind *kind, const char *name, GError **error);
/* Where the reference itself stands: of an annotated tag, at the tag's object. */
bool prolly_ref_read(ProllyRepo *repo, const ProllyRefKind *kind, const char *name,
		     ProllyCommitId *out_id, bool *out_found, GError **error);
/* (transfer full) Names without the prefix, in byte order; elements are char *. LEVEL (nullable):
 * only those that begin with it and a '/'. */
bool prolly_ref_list(ProllyRepo *repo, const ProllyRefKind *kind, const char *level,
		     GPtrArray **out_names, GError **error);
/* Would prolly_ref_list find any? However many there are. */
bool prolly_ref_is_level(ProllyRepo *repo, const ProllyRefKind *kind, const char *level,
			 bool *out_is, GError **error);
/* EXISTS if NAME is there, or is a directory of references, or needs a reference to be a directory.
 * EXCEPT (nullable) is one that is about to go. */
bool prolly_ref_check_free(ProllyRepo *repo, const ProllyRefKind *kind, const char *name,
			   const char *except, GError **error);
/* (transfer full) Of ProllyRefUpdate *, owned. */
GPtrArray *prolly_ref_updates_new(void);
/* (transfer full) FROM and TO NULL: it is not there. MESSAGE NULL: no reflog is kept of it. */
ProllyRefUpdate *prolly_ref_update_new(ProllyRepo *repo, const ProllyRefKind *kind,
				       const char *name, const ProllyCommitId *from,
				       const ProllyCommitId *to, const char *message);

/* ---- git.c: the repository ---------------------------------------------------------------- */

struct ProllyGit {
	char *dir; /* NULL: in memory */
	git_repository *repo;
	git_odb *odb;
	git_odb_backend *memory; /* odb's, in memory */
	ProllySpares *spares;    /* on disk */
	ProllyRefs *refs;
	char *identity;         /* "NAME <EMAIL>" for reflogs; made when first needed */
	GHashTable *namespaces; /* commit.c: commit id -> what its tree says, a small cache */
	GQueue recent;          /* its keys, the latest used first */
};

/* Before anything of libgit2 is called. */
void prolly_git_start(void);
/* Makes the bare repository DIR with HEAD at BRANCH. */
bool prolly_git_init(const char *dir, const char *branch, GError **error);
bool prolly_git_open(const char *dir, ProllyGit **out_git, GError **error);
bool prolly_git_new_memory(ProllyGit **out_git, GError **error);
void prolly_git_free(ProllyGit *git); /* NULL is allowed */
/* Opens it whoever owns it: a libgit2 code. */
int prolly_git_open_repository(git_repository **out_repo, const char *dir);
/* An object that is to be written: never trusts one that is there, which after a crash may be
 * empty. */
bool prolly_git_write_object(ProllyGit *git, git_object_t type, GBytes *bytes, GError **error);
/* Borrowed. */
const char *prolly_git_get_identity(ProllyGit *git);

/* git-loose.c: writes an object as a file, in place of one that is there; unsynced. */
bool prolly_git_write_loose(ProllySpares *spares, const char *git_dir, const git_oid *oid,
			    git_object_t type, const void *data, size_t len, GError **error);

/*
 * git-loose-read.c: what is damaged of loose objects is an error from now on, where libgit2 itself
 * would read it for ever. OBJECTS: the repository's directory of objects. These return libgit2's
 * codes.
 */
int prolly_git_guard_objects(git_odb *odb, const char *objects);
/* (transfer full) As git_odb_open, guarded. */
int prolly_git_open_objects(git_odb **out_odb, const char *objects);

/* commit-graph.c: git's file of that name, of what all references reach. */
bool prolly_git_write_commit_graph(const char *git_dir, GError **error);

/* git-pack.c: loose objects, when they are many, into one pack; then the commit-graph. */
bool prolly_git_has_many_loose(const char *git_dir);
/* While a collection or a backup runs, or is waited for, only the commit-graph is written. */
bool prolly_git_pack_loose(ProllyRepoBody *body, GError **error);
/* How many packs there are, but for those that git was told to keep. GIT_DIR NULL: none. */
unsigned prolly_git_count_packs(const char *git_dir);

/* (transfer full) A backend for git_odb that keeps objects in memory. */
git_odb_backend *prolly_odb_new_memory(void);
void prolly_odb_memory_remove(git_odb_backend *backend, const git_oid *oid);

static inline void prolly_commit_id_to_oid(const ProllyCommitId *id, git_oid *out_oid)
{
	git_oid_fromraw(out_oid, id->bytes);
}

static inline void prolly_commit_id_from_oid(const git_oid *oid, ProllyCommitId *out_id)
{
	for (size_t i = 0; i < PROLLY_COMMIT_ID_SIZE; i++)
		out_id->bytes[i] = oid->id[i];
}

bool prolly_commit_id_is_zero(const ProllyCommitId *id);
bool prolly_commit_id_from_hex(const char *hex, ProllyCommitId *out_id);

/* ---- commit.c ----------------------------------------------------------------------------- */

/* (transfer full) Of an array of ProllyNamespace. */
GArray *prolly_namespaces_copy(const GArray *namespaces);
/* Commit ID was just made with NAMESPACES, so nobody need read that. */
void prolly_commit_remember(ProllyRepo *repo, const ProllyCommitId *id, const GArray *namespaces);

/* ---- git-object.c: objects in memory ------------------------------------------------------ */

typedef struct {
	git_object_t type;
	GBytes *bytes;
} ProllyGitObject;

/*
 * Appends (to OBJECTS, of ProllyGitObject *) the objects of COMMIT that its first parent, whose
 * namespaces are PARENT_NAMESPACES (nullable), does not have.
 */
bool prolly_git_object_build(const ProllyFormat *format, const ProllyNewCommit *commit,
			     const GArray *parent_namespaces, GPtrArray *objects,
			     ProllyCommitId *out_id, GError **error);
/* The id of the object of TYPE with content BYTES. */
bool prolly_git_object_hash(git_object_t type, GBytes *bytes, git_oid *out_oid, GError **error);
void prolly_git_object_free(ProllyGitObject *object);
/* A header line, "ROLE NAME <EMAIL> TIME ZONE". INVALID: git could not read it back. */
bool prolly_git_object_append_signature(GString *text, const char *role,
					const ProllySignature *signature, GError **error);
/* As `git commit` cleans it: no space at line ends, no empty lines around, one newline at the end.
 */
void prolly_git_object_append_message(GString *text, const char *message);
/* What the file of a namespace says. INVALID, for the caller to name, if it is not one of ours or
 * was made under another format. */
bool prolly_git_object_parse_namespace(const ProllyFormat *format, const char *text, size_t len,
				       ProllyTree *out_tree, GError **error);
/* (transfer full) The namespace whose file is NAME, or NULL. */
char *prolly_git_object_dup_namespace(const char *name);

/* ---- signature.c ------------------------------------------------------------------------- */

/* (transfer full) TEXT as a name or an address may stand in a commit's header, or a reflog. */
char *prolly_signature_clean(const char *text);

/* ---- journal.c ---------------------------------------------------------------------------- */

typedef struct ProllyJournal ProllyJournal;

/* Puts in place what the journal holds, and starts the thread that syncs git and trims it. */
bool prolly_journal_open(ProllyRepoBody *body, ProllyJournal **out_journal, GError **error);
/* Has the thread write git's commit-graph file anew. NULL is allowed. */
void prolly_journal_want_graph(ProllyJournal *journal);
/* Stops the thread; syncs git and trims what is left. NULL is allowed. */
void prolly_journal_close(ProllyJournal *journal);

/* (transfer full) A publication of reference updates (each owned by it) and no objects. */
ProllyPublication *prolly_publication_new(GPtrArray *updates);
/* Adds UPDATE (taken) to it, after those it has. */
void prolly_publication_add_update(ProllyPublication *publication, ProllyRefUpdate *update);
/* Adds the objects of COMMIT to it. OUT_ID may be where one of its updates goes to. */
bool prolly_publication_add_commit(ProllyPublication *publication, ProllyRepo *repo,
				   const ProllyNewCommit *commit, ProllyCommitId *out_id,
				   GError **error);
/* Moves the references that a publication could not move which had happened already. */
bool prolly_publication_finish(ProllyRepo *repo, GError **error);
/* The same if there are any, as far as can be now. Costs a look at a pointer if there are none. */
void prolly_publication_finish_late(ProllyRepo *repo);
/* As prolly_publication_publish, of updates that say themselves where their references stand. */
bool prolly_publication_write(ProllyPublication *publication, ProllyRepo *repo,
			      ProllyDbBatch *batch, GError **error);
/* The same. *OUT_HAPPENED: it has, though this may fail, as its references could not be moved yet: what
 * the caller has in memory is to be as its records are. */
bool prolly_publication_write_telling(ProllyPublication *publication, ProllyRepo *repo,
				      ProllyDbBatch *batch, bool *out_happened, GError **error);
/* Adds an object, which one of its updates may go to. */
bool prolly_publication_add_object(ProllyPublication *publication, git_object_t type, GBytes *bytes,
				   ProllyCommitId *out_id, GError **error);
/* (transfer full) "NAME <EMAIL> TIME ZONE\tMESSAGE", of SIGNATURE or (NULL) of this process. */
char *prolly_reflog_format(ProllyGit *git, const ProllySignature *signature, const char *message);

/* ---- reflog.c ----------------------------------------------------------------------------- */

/* (transfer full) The lines of LOG (nullable) as ProllyReflogEntry (reflog.h), oldest first. */
GArray *prolly_reflog_parse(GBytes *log);

/* ---- state.c, branch.c -------------------------------------------------------------------- */

ProllyState *prolly_state_new(const ProllyCommitId *head, GArray *namespaces);
/* *OUT_STATE NULL: there is no record. Its namespaces are not filled in. */
bool prolly_state_load(ProllyRepoBody *body, uint32_t branch_id, char **out_name,
		       ProllyState **out_state, GError **error);
/* The branch's local id; 0: it has no record. */
bool prolly_state_find_branch(ProllyRepoBody *body, const char *name, uint32_t *out_id,
			      GError **error);
/* Deletions of all that a branch has in META. */
void prolly_state_delete_records(uint32_t branch_id, const char *name, ProllyDbBatch *batch);
bool prolly_state_list_names(ProllyRepoBody *body, GPtrArray *names, GError **error);
/* Adds STATE's record under NAME. */
void prolly_state_save(uint32_t branch_id, const char *name, const ProllyState *state,
		       ProllyDbBatch *batch);

#define PROLLY_REFS_HEADS "refs/heads/"

/* Where the reference of branch NAME stands. */
bool prolly_branch_read_head(ProllyRepo *repo, const char *name, ProllyCommitId *out_head,
			     bool *out_found, GError **error);
/* (transfer full) The branch of that NAME that somebody holds, or NULL. */
ProllyBranch *prolly_branch_find_held(ProllyRepoBody *body, const char *name);
/* (transfer full) Enters a branch into the table; takes STATE. Under set_lock. */
ProllyBranch *prolly_branch_new(ProllyRepoBody *body, uint32_t id, const char *name,
				ProllyState *state);
/* (transfer full) The state of a branch at HEAD with nothing staged and no attributes. */
bool prolly_branch_new_state(ProllyRepo *repo, const ProllyCommitId *head, ProllyState **out_state,
			     GError **error);
bool prolly_branch_new_id(ProllyRepo *repo, uint32_t *out_id, GError **error);

/* Drops everything the database has of branch NAME, which has no reference. CORRUPT: that was lost. */
bool prolly_branch_drop_record(ProllyRepo *repo, const char *name, GError **error);
/* (transfer full) The references (refs/heads/NAME) of branches that were lost, and not deleted: what is
 * staged on them is there, and their reflogs. IS_LOCKED: the caller holds publish_lock. */
bool prolly_branch_list_lost(ProllyRepo *repo, bool is_locked, GPtrArray **out_references,
			     GError **error);
/* Drops what the database has of all branches that were deleted, at an opening. */
bool prolly_branch_drop_lost(ProllyRepo *repo, GError **error);
/* The same of one that git deleted while the store is open, if it did; who holds it finds it
 * deleted. No lock may be held. */
bool prolly_branch_forget(ProllyRepo *repo, const char *name, GError **error);
/* Makes the initial commit and branch NAME at it. */
bool prolly_branch_create_first(ProllyRepo *repo, const char *name, GError **error);

/*
 * What BRANCH's move from state FROM to TO, made outside, means for who has files open or watches:
 * open files whose committed value changed, and is not staged over, become orphans. *OUT_PLACES
 * (transfer full; of ProllyOwnedPlace *): the keys that changed, or NULL if they are too many to
 * name or a namespace came or went. Under write_lock.
 */
bool prolly_branch_take_move(ProllyRepo *repo, ProllyBranch *branch, const ProllyState *from,
			     const ProllyState *to, GPtrArray **out_places, GError **error);

/* Tells the observer of OWNED (of ProllyOwnedPlace *): NULL or too many are everything. */
void prolly_branch_notify_places(ProllyRepo *repo, ProllyBranch *branch, const GPtrArray *owned,
				 bool is_found);

/* ---- gc-account.c: what decides when garbage is collected ---------------------------------- */

bool prolly_gc_account_open(ProllyRepoBody *body, GError **error);
/* Writes down what was counted; closing needs no success of it. */
bool prolly_gc_account_save(ProllyRepoBody *body, GError **error);
void prolly_gc_account_close(ProllyRepoBody *body);
/* Something happened that may make a collection worth it. */
void prolly_gc_account_touch(ProllyRepoBody *body);
/* Notes in BATCH that commits are about to be left by their branch. */
void prolly_gc_account_abandon(ProllyRepoBody *body, ProllyDbBatch *batch);

/* ---- counters.c --------------------------------------------------------------------------- */

bool prolly_counters_load(ProllyRepoBody *body, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyConfig, prolly_config_clear)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyRefUpdate, prolly_ref_update_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyGit, prolly_git_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_commit, git_commit_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_tree, git_tree_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_blob, git_blob_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_object, git_object_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_reference, git_reference_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_reference_iterator, git_reference_iterator_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_revwalk, git_revwalk_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_config, git_config_free)
