/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * version-private: what the files of core/version share: the bodies, and the seams between them.
 *
 * Lock order, outermost first; a lock is taken only while holding those before it (with all others
 * of the program it is in base/lock-order.c, which asserts it):
 *   1. branch->commit_lock     one commit, merge, reset or load-attach of a branch at a time
 *   2. body->set_lock          making, deleting, renaming and loading branches: one at a time
 *   3. branch->write_lock      one staged change of a branch at a time; never held over a commit
 *   4. body->branches_lock     the table of branches
 *   5. file->lock              (file.c) a file's bytes in memory
 *   6. body->publish_lock      one publication at a time: from its reference's lock to its move
 *   7. body->git_lock          libgit2's repository object, and the git directory's references
 *   8. branch->state_lock      the pointer to the present state; held for a pointer copy only
 * Readers take only 8: states are immutable.
 *
 * Only a publication gives nodes to a batch (prolly_store_flush with one); whoever else makes a
 * record that refers to nodes calls prolly_store_flush(store, NULL) before writing it.
 */

#include "store/db.h"
#include "version/gc.h"
#include "version/version.h"

typedef struct ProllyGit ProllyGit; /* git.c: libgit2's repository, and all that touches it */
typedef struct ProllyState ProllyState;
typedef struct ProllyHints ProllyHints;         /* hints.c */
typedef struct ProllyMoveCache ProllyMoveCache; /* moves.c */
typedef struct ProllyWatch ProllyWatch; /* rename-ahead.c: two places where nothing is to change */
typedef struct ProllyGc ProllyGc;       /* gc.c: a collection that runs */
typedef struct ProllyGcAccount ProllyGcAccount; /* gc-account.c */

typedef enum {
	PROLLY_COUNTER_BRANCH,
	PROLLY_COUNTER_GENERATION, /* generations and extents, so that extents tell their generation
				    */
	PROLLY_COUNTER_INODE,
	PROLLY_COUNTER_N
} ProllyCounter;

typedef struct ProllyRepoBody ProllyRepoBody;

/* ---- guard.c: what is in use ------------------------------------------------------------- */

typedef struct ProllyHolder ProllyHolder;

/* Tells GC what HOLDER holds, by the functions below. Called without a lock. */
typedef bool (*ProllyHolderFunc)(ProllyHolder *holder, ProllyGc *gc, GError **error);

/* The first member, zeroed, of what holds trees or values. All protected by the usage's lock. */
struct ProllyHolder {
	ProllyRepoBody *body; /* NULL: not in the list */
	ProllyHolderFunc report;
	ProllyHolder *newer;
	ProllyHolder *older;
	uint64_t round; /* the last in which it was asked */
	bool is_asked;  /* now */
};

typedef struct {
	GMutex lock; /* leaf; protects all below */
	GCond changed;
	unsigned turn;
	unsigned n_inside[2]; /* guards, of each turn */
	unsigned n_waiting;   /* for them to leave */
	ProllyHolder *newest;
	uint64_t round;
	bool is_collecting;
	bool is_automatic; /* the one that runs */
	bool is_packing;   /* it is no collection, but the packing of loose objects */
	gint is_unwanted;  /* atomic; somebody waits for it to end */
} ProllyUsage;

void prolly_usage_init(ProllyUsage *usage);
void prolly_usage_clear(ProllyUsage *usage);

void prolly_holder_add(ProllyRepoBody *body, ProllyHolder *holder, ProllyHolderFunc report);
/* Waits if it is being asked. One that was not added is left. */
void prolly_holder_remove(ProllyHolder *holder);

/* gc-mark.c, gc-roots.c. What they name stays, with all that it refers to; they only take note of it,
 * so they are quick. */
bool prolly_gc_keep_tree(ProllyGc *gc, const ProllyTree *tree, GError **error);
bool prolly_gc_keep_attributes(ProllyGc *gc, const ProllyTree *tree, GError **error);
bool prolly_gc_keep_value(ProllyGc *gc, const uint8_t *stored, size_t len, GError **error);
/* The commit, if it is there, with all that came before it. */
void prolly_gc_keep_commit(ProllyGc *gc, const ProllyCommitId *id);
/* What a branch's state says: its head, and its trees (if they are loaded). */
bool prolly_gc_keep_state(ProllyGc *gc, const ProllyState *state, GError **error);
/* What is staged in the generations of STATE, as SNAPSHOT has it. */
bool prolly_gc_keep_staged(ProllyGc *gc, uint32_t branch_id, const ProllyState *state,
			   const ProllyDbSnapshot *snapshot, GError **error);

/* ---- Bodies ------------------------------------------------------------------------------ */

struct ProllyRepoBody {
	gint references;
	char *path; /* absolute; NULL: in memory */
	char *default_branch;
	ProllyDb *db;
	ProllyStore *store;
	ProllyFormat *format;
	int lock_fd;

	GMutex publish_lock;   /* journal.c; protects the next two */
	GPtrArray *unfinished; /* atomic: moves of references still to be made (publication.c) */
	uint64_t unfinished_sequence;
	GMutex git_lock;
	ProllyGit *git;
	struct ProllyJournal *journal;

	GMutex set_lock;
	GMutex branches_lock;
	GHashTable *branches; /* name -> ProllyBranch *, those that somebody holds */

	GMutex observer_lock; /* leaf; not held over a call */
	GCond observer_idle;
	unsigned observer_calls; /* that are running */
	const ProllyObserver *observer;
	void *observer_data;

	GMutex counters_lock; /* counters.c; over the write that reserves more */
	uint64_t next[PROLLY_COUNTER_N];
	uint64_t reserved[PROLLY_COUNTER_N];

	gint is_backup;   /* atomic; the next backup may take its place (backup.c) */
	gsize kept_bytes; /* atomic: that open files keep in memory over their share (file.c) */
	gsize run_bytes;  /* likewise: that were written to open files, and are in memory */

	ProllyUsage usage;           /* guard.c */
	ProllyGcAccount *gc_account; /* gc-account.c */
};

struct ProllyRepo {
	ProllyRepoBody *body;
	ProllyTreeContext context; /* its store is this handle's own */
	bool notify;
	ProllySignature *committer; /* owned, nullable: for reflogs */
};

/*
 * What a branch is at a moment. Immutable once published; a change makes a new one. The working
 * state is the generations, newest first, over the namespaces.
 */
struct ProllyState {
	ProllyHolder holder; /* added when it is published */
	gint references;
	ProllyCommitId head;
	GArray *namespaces;    /* of ProllyNamespace, of head, by name */
	ProllyTree attributes; /* committed attributes (attrs.c), a tree in the same store */
	GArray *generations;   /* of uint64_t, newest first; the first is the one written to */
	GArray *moves;         /* of ProllyMove, oldest first */
};

/* A change of a branch from outside its working set (merge, reset, git): design.md, section 5. */
typedef struct {
	uint64_t sequence; /* of moves of this branch, ascending */
	int64_t time;      /* nanoseconds */
	ProllyCommitId from;
	ProllyCommitId to;
} ProllyMove;

struct ProllyBranch {
	gint references;
	ProllyRepoBody *body; /* borrowed: a handle keeps it */
	uint32_t id;
	char *name;   /* protected by state_lock */
	gint deleted; /* atomic */
	GMutex commit_lock;
	GMutex write_lock;
	GMutex state_lock;
	ProllyState *state;     /* protected by state_lock */
	GHashTable *files;      /* file.c: place -> ProllyFile *; protected by write_lock */
	ProllyHints *hints;     /* hints.c: what is known of directories; protected by write_lock */
	ProllyMoveCache *moves; /* moves.c: when moves changed what; has a lock of its own */
	ProllyWatch *watch;     /* rename-ahead.c: nullable; protected by write_lock */
	uint64_t valued;        /* atomic: the generation that a value was put into last */
};

/* ---- repo.c, branch.c, state.c ----------------------------------------------------------- */

ProllyState *prolly_state_ref(ProllyState *state);
void prolly_state_unref(ProllyState *state);
/* The generation that is written to. */
static inline uint64_t prolly_state_get_generation(const ProllyState *state)
{
	return g_array_index(state->generations, uint64_t, 0);
}
/* (transfer full) A copy with references of its own, to be changed and published. */
ProllyState *prolly_state_copy(const ProllyState *state);
/* The tree of NS, or NULL. Borrowed from the state. */
const ProllyTree *prolly_state_find_namespace(const ProllyState *state, const char *ns);
/* (transfer full) The present state. */
ProllyState *prolly_branch_get_state(ProllyBranch *branch);
/* STATE does not change any more: a collection may ask for what it holds. */
void prolly_state_publish(ProllyState *state, ProllyRepoBody *body);
/* Replaces it; takes STATE. Its record must be in the database already. */
void prolly_branch_take_state(ProllyBranch *branch, ProllyState *state);
/* STALE if BRANCH was deleted. Under commit_lock or write_lock, whose holder it stays true for. */
bool prolly_branch_check_there(ProllyBranch *branch, GError **error);
/* Adds STATE's record (all but the namespaces, which the head's commit has) to BATCH, family META.
 * BRANCH is there: the record of one that was deleted would take the place of its successor's. */
void prolly_branch_save_state(ProllyBranch *branch, const ProllyState *state, ProllyDbBatch *batch);

/* A number never given before, over restarts and crashes too; from 1. Reserves blocks in META. */
bool prolly_repo_next_number(ProllyRepoBody *body, ProllyCounter counter, uint64_t *out_number,
			     GError **error);

/* Tells the observer, if REPO notifies, or nobody did this here: IS_FOUND. If REPO notifies this waits
 * for the kernel, which waits for our threads: no lock may be held (lock checks assert it). */
void prolly_repo_notify(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *places, size_t n,
			bool is_found);
void prolly_repo_notify_branches(ProllyRepo *repo, bool is_found);

/* ---- git.c, journal.c: publishing history ------------------------------------------------- */

typedef struct ProllyPublication ProllyPublication;

typedef struct {
	const ProllyCommitId *parents;
	size_t n_parents;
	const GArray *namespaces; /* of ProllyNamespace, by name */
	const char *message;
	const ProllySignature *author;
	const ProllySignature *committer;
} ProllyNewCommit;

/* (transfer full) A commit made in memory, to be published on BRANCH: OUT_ID is known at once,
 * nothing is visible yet. */
bool prolly_publication_new_commit(ProllyRepo *repo, ProllyBranch *branch,
				   const ProllyNewCommit *commit, const char *reflog_message,
				   ProllyPublication **out_publication, ProllyCommitId *out_id,
				   GError **error);
/* The same for moving BRANCH to a commit that exists (fast-forward, reset). */
bool prolly_publication_new_move(ProllyRepo *repo, ProllyBranch *branch, const ProllyCommitId *to,
				 const char *reflog_message, ProllyPublication **out_publication,
				 GError **error);
/*
 * The one synced write: flushes REPO's nodes into BATCH, adds the journal record, writes BATCH
 * (which has the branch's new state record and the deletions of what was folded in) with sync, then
 * puts objects and reference into the git directory. EXPECTED is where the reference must stand:
 * else STALE, and nothing was written. Consumes the publication. Holds the git lock.
 */
bool prolly_publication_publish(ProllyPublication *publication, ProllyRepo *repo,
				const ProllyCommitId *expected, ProllyDbBatch *batch,
				GError **error);
void prolly_publication_free(ProllyPublication *publication); /* NULL is allowed */

/* ---- view.c ------------------------------------------------------------------------------- */

/* The handle a view was made with. Borrowed. */
ProllyRepo *prolly_view_get_repo(const ProllyView *view);
/* The snapshot of a pinned view; NULL: it reads the present. Borrowed. */
const ProllyDbSnapshot *prolly_view_get_snapshot(const ProllyView *view);

/* (transfer full) A view of NAMESPACES (of ProllyNamespace), as if they were those of commit ID. */
ProllyView *prolly_view_new_namespaces(ProllyRepo *repo, const ProllyCommitId *id,
				       const GArray *namespaces);

/* ---- staged.c: records of the working set -------------------------------------------------- */

/* Deletes everything of BRANCH's working set and attributes records from the database (in BATCH).
 */
void prolly_staged_delete_branch(uint32_t branch_id, ProllyDbBatch *batch);
/* Deletes generations that no branch's state lists: what a crash left of a load or of a commit.
 * Called when a store was opened, with nothing running on it yet; looks the branches up by name. */
bool prolly_staged_sweep(ProllyRepo *repo, GError **error);
/* Is anything staged (an effective change or not) in STATE's generations? */
bool prolly_staged_is_empty(ProllyRepo *repo, ProllyBranch *branch, const ProllyState *state,
			    bool *out_empty, GError **error);

typedef struct {
	GBytes *stored;
	uint64_t extents;     /* not 0: an extents record that lies over ... */
	uint64_t base_length; /* ... so many bytes of STORED, */
	uint64_t length;      /* so many bytes in all */
} ProllyStagedContent;

/*
 * Adds to BATCH the records that make CONTENT the staged value of PLACE, which exists, and of every
 * other member of its link group, the attributes in ATTRS->has (times) with it. The caller holds
 * branch->write_lock and writes BATCH.
 */
bool prolly_staged_put_value_locked(ProllyRepo *repo, ProllyBranch *branch,
				    const ProllyPlace *place, const ProllyStagedContent *content,
				    const ProllyAttrs *attrs, ProllyDbBatch *batch, GError **error);

/* Notes in BATCH that the branch, whose STATE it was, moves while something is staged: directories
 * may be there only because of that. */
void prolly_staged_note_move(uint32_t branch_id, const ProllyState *state, ProllyDbBatch *batch);

/* rename-ahead.c. What the watch is for may have changed. Under write_lock. */
void prolly_watch_void(ProllyWatch *watch);

/* ---- hints.c, moves.c: what a branch remembers in memory ----------------------------------- */

/* Made and freed with the branch (branch.c). */
ProllyHints *prolly_hints_new(void);
void prolly_hints_free(ProllyHints *hints); /* NULL is allowed */
ProllyMoveCache *prolly_move_cache_new(void);
void prolly_move_cache_free(ProllyMoveCache *cache); /* NULL is allowed */
/* All hints are void: the branch's committed state was changed from outside. Under write_lock. */
void prolly_hints_clear(ProllyHints *hints);
/* Appends to the new STATE the move that its head came with. */
bool prolly_state_add_birth(ProllyRepo *repo, ProllyState *state, GError **error);
/* Appends a move to STATE (a copy not published yet) and keeps their number bounded. FROM is the
 * head before (all zero: nothing), TO the head after. */
void prolly_state_add_move(ProllyState *state, const ProllyCommitId *from,
			   const ProllyCommitId *to);

/* ---- links.c: hard links ------------------------------------------------------------------- */

/* A place that owns its bytes: the key follows the namespace's NUL. */
typedef struct {
	ProllyPlace place; /* points into this block */
	char bytes[];
} ProllyOwnedPlace;

/* (transfer full) The members of link group GROUP as they are staged and committed now: an array of
 * ProllyOwnedPlace *, freed with it. The caller holds branch->write_lock. Implemented by links.c.
 */
bool prolly_links_get_members(ProllyRepo *repo, ProllyBranch *branch, uint64_t group,
			      GPtrArray **out_places, GError **error);

/* ---- file.c: open files of a branch -------------------------------------------------------- */

/* (transfer full) A copy of PLACE; g_free. */
ProllyOwnedPlace *prolly_place_dup(const ProllyPlace *place);
/* (transfer full) branch->files, empty: made and freed with the branch (branch.c). */
GHashTable *prolly_files_new_table(void);

/* All take branch->write_lock as held by the caller. */
bool prolly_files_flush_all(ProllyRepo *repo, ProllyBranch *branch, GError **error);
/* The same, taking the lock itself. *OUT_STATE (transfer full): the branch's state with all of it. */
bool prolly_files_flush_branch(ProllyRepo *repo, ProllyBranch *branch, ProllyState **out_state,
			       GError **error);
bool prolly_files_flush_one(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *place,
			    GError **error);
/* The key (or, IS_DIRECTORY, everything with the prefix) has another name now. */
void prolly_files_move(ProllyBranch *branch, const ProllyPlace *from, const ProllyPlace *to,
		       bool is_directory);
/* The two have changed names. */
void prolly_files_exchange(ProllyBranch *branch, const ProllyPlace *a, const ProllyPlace *b,
			   bool a_is_directory, bool b_is_directory);
/* The key is gone, or was changed behind the files' backs: whoever has it open keeps what it has.
 * PLACE NULL: all of the branch's (it was deleted). */
void prolly_files_orphan(ProllyBranch *branch, const ProllyPlace *place);
/* (transfer full) The names under which files of the branch are open: of ProllyOwnedPlace *. */
GPtrArray *prolly_files_list_names(ProllyBranch *branch);
/* TO is another name of FROM's file now (edit.c's link): both open the same. */
void prolly_files_link(ProllyBranch *branch, const ProllyPlace *from, const ProllyPlace *to);
/* The attributes in ATTRS->has of the key, and its kind unless KIND < 0, were changed by path. */
void prolly_files_set_attrs(ProllyBranch *branch, const ProllyPlace *place,
			    const ProllyAttrs *attrs, int kind);

/*
 * extents.c: bytes laid over a value. Extents belong to the generation whose record names them, and
 * their number is over that generation's: a record that is copied to another key, or into a newer
 * generation, is folded first (prolly_extents_fold), since extents go with their generation.
 */
/* The bytes laid over ENTRY's stored value, folded into it. SNAPSHOT nullable: the present. */
bool prolly_extents_fold(ProllyRepo *repo, const ProllyDbSnapshot *snapshot,
			 const ProllyEntry *entry, GBytes **out_stored, GError **error);
/* As prolly_view_read, of an entry with extents. */
bool prolly_extents_read(ProllyRepo *repo, const ProllyDbSnapshot *snapshot,
			 const ProllyEntry *entry, uint64_t offset, void *buffer, size_t len,
			 size_t *out_len, GError **error);
/* The content that was read last from SNAPSHOT, so that who reads it in pieces loads it once. Both
 * must outlive it. */
typedef struct ProllyLaidOver ProllyLaidOver;
ProllyLaidOver *prolly_laid_over_new(ProllyRepo *repo, const ProllyDbSnapshot *snapshot);
void prolly_laid_over_free(ProllyLaidOver *self); /* NULL is allowed */
bool prolly_laid_over_read(ProllyLaidOver *self, const ProllyEntry *entry, uint64_t offset,
			   void *buffer, size_t len, size_t *out_len, GError **error);
/* Deletes (in BATCH) the extents of all generations of the branch older than GENERATION: when a
 * commit drops them. UINT64_MAX: all of the branch's. */
void prolly_extents_delete_before(uint32_t branch_id, uint64_t generation, ProllyDbBatch *batch);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyState, prolly_state_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyPublication, prolly_publication_free)
