/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * working-private: the working set's own seams: records and their keys (staged.c), attributes
 * (attrs.c), what is found by looking through the generations (working.c, scan.c), what a branch
 * remembers of directories and moves (hints.c, moves.c), and one atomic change (edit.c).
 */

#include "version/version-private.h"

/* ---- staged.c: keys ---------------------------------------------------------------------- */

/* The type of a record: a byte of its key. */
typedef enum {
	PROLLY_RECORD_DIRECTORY = 'd', /* ns, prefix: attributes and state of a directory */
	PROLLY_RECORD_ENTRY = 'e',     /* ns, key: value and attributes of a key */
	PROLLY_RECORD_LINKS = 'l',     /* "", group as be64: members of a link group */
	PROLLY_RECORD_NAMESPACE = 'n', /* ns, "": it was made, or removed */
	PROLLY_RECORD_TIME = 't',      /* "", "": when a load was attached */
	PROLLY_RECORD_MOVED = 'm',     /* "", "": a move came from under what is staged */
} ProllyRecordType;

/* A generation whose number has this bit is a load's: entries with values only. */
#define PROLLY_GENERATION_LOAD (UINT64_C(1) << 63)

typedef struct {
	uint8_t *data;
	size_t len;
	uint8_t fixed[320];
} ProllyRecordKey;

void prolly_record_key_init(ProllyRecordKey *key, uint32_t branch_id, uint64_t generation,
			    ProllyRecordType type, const char *ns, const void *rest,
			    size_t rest_len);
void prolly_record_key_clear(ProllyRecordKey *key);
/* The same key in another generation. */
void prolly_record_key_set_generation(ProllyRecordKey *key, uint64_t generation);

/* ---- staged.c: records of keys ----------------------------------------------------------- */

enum {
	PROLLY_STAGED_VALUE = 1 << 0,
	PROLLY_STAGED_TOMBSTONE = 1 << 1, /* the key is gone, and so are older attributes */
	PROLLY_STAGED_ATTRS = 1 << 2,
	PROLLY_STAGED_EXTENTS = 1 << 3, /* with a value: bytes laid over it */
};

/* Everything borrowed. */
typedef struct {
	unsigned flags;
	const uint8_t *stored;
	size_t stored_len;
	uint64_t extents, base_length, length;
	const uint8_t *attrs;
	size_t attrs_len;
} ProllyStagedRecord;

bool prolly_staged_record_parse(const uint8_t *data, size_t len, ProllyStagedRecord *out_record,
				GError **error);
void prolly_staged_record_append(GByteArray *out, const ProllyStagedRecord *record);

typedef struct ProllyWorking ProllyWorking;
/* Takes the staged values (and tombstones) of PLACE out of all generations, in BATCH; attributes
 * stay. */
bool prolly_staged_drop_value(const ProllyWorking *working, const ProllyPlace *place,
			      ProllyDbBatch *batch, GError **error);
/* What a record of a namespace says. */
static inline bool prolly_staged_namespace_exists(GBytes *record)
{
	return g_bytes_get_size(record) && *(const uint8_t *)g_bytes_get_data(record, NULL);
}
/* Takes what is staged of namespace NS itself out of all generations, if the newest says that it EXISTS
 * (or, false, that it does not). */
bool prolly_staged_drop_namespace(const ProllyWorking *working, const char *ns, bool exists,
				  ProllyDbBatch *batch, GError **error);
/* PLACE is gone, whatever is committed. */
void prolly_staged_put_tombstone(const ProllyWorking *working, const ProllyPlace *place,
				 ProllyDbBatch *batch);
/* Deletes GENERATION in BATCH; afterwards, gives its files back. */
void prolly_staged_delete_generation(uint32_t branch_id, uint64_t generation, ProllyDbBatch *batch);
void prolly_staged_reclaim_generation(ProllyDb *db, uint32_t branch_id, uint64_t generation);

/* ---- attrs.c: records of attributes ------------------------------------------------------ */

/* What attrs.has may say inside a record only. */
enum {
	PROLLY_ATTR_INO = 1 << 7,
	PROLLY_ATTR_GROUP = 1 << 8,
	PROLLY_ATTR_SALT = 1 << 9,
	PROLLY_ATTR_TIMES = PROLLY_ATTR_ATIME | PROLLY_ATTR_MTIME | PROLLY_ATTR_CTIME,
	PROLLY_ATTR_PUBLIC = (1 << 7) - 1,
};

typedef struct {
	ProllyAttrs attrs; /* only the fields that has names mean something */
	uint64_t salt;     /* goes into the derived number of what has none recorded */
	uint64_t sequence; /* of the branch's last move when the times were recorded */
} ProllyAttrRecord;

bool prolly_attr_record_parse(const uint8_t *data, size_t len, ProllyAttrRecord *out_record,
			      GError **error);
void prolly_attr_record_append(GByteArray *out, const ProllyAttrRecord *record);
void prolly_attr_record_clear(ProllyAttrRecord *record);

/* The key of a record in the tree of committed attributes; TYPE: directory, entry or links. */
void prolly_attr_key_append(GByteArray *out, ProllyRecordType type, const char *ns,
			    const void *rest, size_t rest_len);

/* The number of what has none recorded. */
uint64_t prolly_attr_derive_ino(const char *ns, const void *key, size_t key_len, bool is_directory,
				uint64_t salt);
/* Sets in RECORD what ATTRS->has names, and nothing else. */
void prolly_attr_record_update(ProllyAttrRecord *record, const ProllyAttrs *attrs);
/* Another object now: the number, if it is a group's, is the others'. */
void prolly_attrs_leave_group(ProllyAttrs *attrs);
int64_t prolly_time_now(void); /* nanoseconds since the epoch */

/* ---- working.c: looking through the generations ------------------------------------------ */

/* A state to read: all borrowed. BRANCH NULL: a commit alone (no generations, no attributes). */
struct ProllyWorking {
	ProllyRepo *repo;
	ProllyBranch *branch;
	ProllyState *state;
	const ProllyDbSnapshot *snapshot; /* nullable: the present */
	const ProllyDbImage *image;       /* nullable: of STATE's one generation */
};

/* The newest is level 0. */
static inline int prolly_working_count_generations(const ProllyWorking *working)
{
	return working->branch ? (int)working->state->generations->len : 0;
}
static inline uint64_t prolly_working_get_generation(const ProllyWorking *working, int level)
{
	return g_array_index(working->state->generations, uint64_t, level);
}
/* The record KEY of a level. *OUT_VALUE (transfer full) is NULL if there is none. */
bool prolly_working_get_record(const ProllyWorking *working, ProllyRecordKey *key, int level,
			       GBytes **out_value, GError **error);
/* Has a move come from under what is staged? */
bool prolly_working_is_moved(const ProllyWorking *working, bool *out_is, GError **error);

/* Where something was found: an index into the state's generations, or one of these. */
enum {
	PROLLY_LEVEL_NONE = -1,
	PROLLY_LEVEL_COMMITTED = G_MAXINT,
};

/*
 * What is known of a key. Bytes are borrowed from the keepers (of a point lookup), or from the scan
 * that gave it. Initialise with prolly_finding_init.
 */
typedef struct {
	bool value_known, attrs_known;
	bool deleted;    /* a staged tombstone hides what is older */
	int value_level; /* NONE: there is no such key */
	int attrs_level; /* NONE: nothing is recorded */
	const uint8_t *stored;
	size_t stored_len;
	uint64_t extents, base_length, length; /* EXTENTS not 0: laid over stored */
	const uint8_t *attrs;
	size_t attrs_len;
	GBytes *keep_value, *keep_attrs;
	ProllyValueRef keep_committed, keep_committed_attrs;
} ProllyFinding;

void prolly_finding_init(ProllyFinding *finding);
void prolly_finding_clear(ProllyFinding *finding);
/* Lays the record DATA of generation LEVEL under what is known. */
bool prolly_finding_add(ProllyFinding *finding, int level, const uint8_t *data, size_t len,
			GError **error);
static inline bool prolly_finding_exists(const ProllyFinding *finding)
{
	return finding->value_level != PROLLY_LEVEL_NONE;
}
bool prolly_finding_is_marker(const ProllyFinding *finding);
/* The record of attributes that was found; an empty one if there is none. */
bool prolly_finding_get_attr_record(const ProllyFinding *finding, ProllyAttrRecord *out_record,
				    GError **error);
/* Fills all of OUT_ENTRY (initialised by { 0 }) but the attributes. */
bool prolly_finding_to_entry(const ProllyFinding *finding, ProllyEntry *out_entry, GError **error);

/* Looks PLACE up from generation FIRST on, then in what is committed. */
bool prolly_working_find(const ProllyWorking *working, const ProllyPlace *place, int first,
			 bool with_attrs, ProllyFinding *finding, GError **error);
/* The committed attributes of what TYPE (entry, directory, links) names, into FINDING. */
bool prolly_working_find_committed_attrs(const ProllyWorking *working, ProllyRecordType type,
					 const ProllyPlace *place, ProllyFinding *finding,
					 GError **error);
/* Are attributes of keys that start with PLACE's committed? */
bool prolly_working_has_committed_attrs(const ProllyWorking *working, const ProllyPlace *place,
					bool *out_has, GError **error);
/* A marker at PLACE, found at FINDING's level, is void if a newer load has keys below it. */
bool prolly_working_drop_void_marker(const ProllyWorking *working, const ProllyPlace *place,
				     ProllyFinding *finding, GError **error);
/* The record of what was found, its times and group as they hold now (times in all three fields,
 * whether recorded or not). */
bool prolly_working_settle(const ProllyWorking *working, const ProllyPlace *place,
			   const ProllyFinding *finding, ProllyAttrRecord *out_record,
			   GError **error);
/* The attributes as a caller sees them: recorded, and derived where nothing is recorded. */
bool prolly_working_get_attrs(const ProllyWorking *working, const ProllyPlace *place,
			      const ProllyFinding *finding, ProllyAttrs *out_attrs, GError **error);
/* The same but the times, which are what costs: only those that are recorded. */
bool prolly_working_get_identity(const ProllyWorking *working, const ProllyPlace *place,
				 const ProllyFinding *finding, ProllyAttrs *out_attrs,
				 GError **error);

/* ---- namespaces.c ------------------------------------------------------------------------ */

/* Is there a namespace NS? ("": always; whether it has entries is another question.) */
bool prolly_working_has_namespace(const ProllyWorking *working, const char *ns, bool *out_has,
				  GError **error);
/* Is it there by itself, and not because of keys in it alone? */
bool prolly_working_is_namespace_made(const ProllyWorking *working, const char *ns, bool *out_is,
				      GError **error);
/* (transfer full) Names of all, in byte order, "" among them whether it has entries or not. */
bool prolly_working_list_namespaces(const ProllyWorking *working, GPtrArray **out_names,
				    GError **error);

/* ---- working.c: directories --------------------------------------------------------------- */

/* The record's byte of state, valid while nothing from outside changed the branch. */
typedef enum {
	PROLLY_DIRECTORY_UNKNOWN = 0,
	PROLLY_DIRECTORY_GONE,   /* no key, no marker */
	PROLLY_DIRECTORY_EMPTY,  /* its marker */
	PROLLY_DIRECTORY_FILLED, /* keys */
	PROLLY_DIRECTORY_EXISTS, /* a namespace, with or without keys */
} ProllyDirectoryState;

/* The record of directory PLACE (its prefix) as attributes, and the state; each nullable, and the
 * state costs more. */
bool prolly_working_find_directory(const ProllyWorking *working, const ProllyPlace *place,
				   ProllyAttrRecord *out_record, ProllyDirectoryState *out_state,
				   GError **error);
/* Its times as they hold now, in all three fields, whether recorded or not. */
bool prolly_working_settle_directory(const ProllyWorking *working, const ProllyPlace *place,
				     ProllyAttrRecord *record, GError **error);
/* Is there a key that starts with PLACE's? */
bool prolly_working_has_keys(const ProllyWorking *working, const ProllyPlace *place, bool *out_has,
			     GError **error);
bool prolly_working_get_directory_attrs(const ProllyWorking *working, const ProllyPlace *place,
					ProllyAttrRecord *record, ProllyAttrs *out_attrs,
					GError **error);
/* True if keys of NS have directories: all namespaces but the unnamed one. */
static inline bool prolly_namespace_has_directories(const char *ns)
{
	return ns[0] != '\0';
}
/* The prefix of the directory that KEY (or a directory's prefix) is in: so many bytes of it. */
size_t prolly_place_parent_len(const ProllyPlace *place);

/* ---- scan.c: keys in order --------------------------------------------------------------- */

typedef struct ProllyScan ProllyScan;

enum {
	PROLLY_SCAN_COMMITTED = 1 << 0, /* over what is committed too, else what is staged only */
	PROLLY_SCAN_ATTRS = 1 << 1,     /* with committed attributes */
	PROLLY_SCAN_DELETED = 1 << 2,   /* also keys with a staged tombstone or attributes only */
};

/* (transfer full) Over the keys of NS that start with PREFIX, generations from FIRST on. WORKING's
 * members must outlive it. Not positioned. */
ProllyScan *prolly_scan_new(const ProllyWorking *working, const char *ns, const void *prefix,
			    size_t prefix_len, int first, unsigned flags);
void prolly_scan_free(ProllyScan *scan); /* NULL is allowed */
bool prolly_scan_seek(ProllyScan *scan, const void *key, size_t len, GError **error);
bool prolly_scan_next(ProllyScan *scan, GError **error);
bool prolly_scan_is_valid(const ProllyScan *scan);
const uint8_t *prolly_scan_get_key(const ProllyScan *scan, size_t *out_len);
/* Borrowed until the scan moves. */
const ProllyFinding *prolly_scan_get_finding(const ProllyScan *scan);
/* Of the present key, whether staged or not: the committed value, or NULL. COMMITTED scans only. */
const uint8_t *prolly_scan_get_committed(const ProllyScan *scan, size_t *out_len);

/* An iterator over records of one type in one generation; NS NULL: of all namespaces. */
ProllyDbIter *prolly_staged_iter_new(const ProllyWorking *working, int level, ProllyRecordType type,
				     const char *ns, const void *prefix, size_t prefix_len);
/* The records of STATE's generation, if it is one, which nobody writes to any more, and they are few.
 * *OUT_IMAGE (transfer full): NULL if not. */
bool prolly_staged_image_load(const ProllyWorking *working, ProllyDbImage **out_image,
			      GError **error);
/* One over the entries of all namespaces, of any branch; SNAPSHOT nullable. */
ProllyDbIter *prolly_staged_iter_new_entries(ProllyDb *db, const ProllyDbSnapshot *snapshot,
					     uint32_t branch_id, uint64_t generation);
/* The part of a record's key after the namespace's NUL, and the namespace. */
bool prolly_record_key_split(const uint8_t *data, size_t len, const char **out_ns,
			     const uint8_t **out_rest, size_t *out_rest_len);

/* ---- hints.c: children of directories ---------------------------------------------------- */

/*
 * A directory's children are names: of a key the rest of it, of a subdirectory with its '/'. All
 * under write_lock. Ensure reads (before the change's records are written) as many children of the
 * directory as removing one needs; add and remove note the change; has_children answers then.
 */
bool prolly_hints_ensure(ProllyHints *hints, const ProllyWorking *working, const ProllyPlace *dir,
			 GError **error);
void prolly_hints_add(ProllyHints *hints, const ProllyPlace *dir, const void *name, size_t len);
void prolly_hints_remove(ProllyHints *hints, const ProllyPlace *dir, const void *name, size_t len);
/* After ensure, and at most one remove since. */
bool prolly_hints_has_children(ProllyHints *hints, const ProllyPlace *dir);

/* ---- moves.c: when what came from outside ------------------------------------------------ */

/* The newest move after sequence AFTER that changed PLACE (a key, or below a directory's prefix).
 */
bool prolly_moves_find(const ProllyWorking *working, const ProllyPlace *place, bool is_directory,
		       uint64_t after, int64_t *out_time, bool *out_found, GError **error);
/* The time of what no move and no record tells of: the head commit's. */
bool prolly_moves_get_fallback(const ProllyWorking *working, int64_t *out_time, GError **error);
/* The sequence of the last move of STATE; 0: none. */
uint64_t prolly_state_get_sequence(const ProllyState *state);

/* ---- links.c ----------------------------------------------------------------------------- */

/* (transfer full) The members as recorded, matching or not. */
bool prolly_links_load(const ProllyWorking *working, uint64_t group, GPtrArray **out_places,
		       GError **error);
/* Is what FINDING found at PLACE, with RECORD, (still) of the group that RECORD names? */
bool prolly_links_is_member(const ProllyWorking *working, const ProllyPlace *place,
			    const ProllyFinding *finding, const ProllyAttrRecord *record,
			    bool *out_is, GError **error);
/* Those that still are. */
bool prolly_links_find_members(const ProllyWorking *working, uint64_t group, GPtrArray **out_places,
			       GError **error);
/* (transfer full) One that still is; NULL: none. */
bool prolly_links_find_one(const ProllyWorking *working, uint64_t group,
			   ProllyOwnedPlace **out_place, GError **error);
/* Appends to PLACES the other hard links of what is at PLACE, if it has any. */
bool prolly_links_list_others(const ProllyWorking *working, const ProllyPlace *place,
			      GPtrArray *places, GError **error);
/* Adds to BATCH: GROUP has these members. */
void prolly_links_save(const ProllyWorking *working, uint64_t group, GPtrArray *places,
		       ProllyDbBatch *batch);
bool prolly_place_equal(const ProllyPlace *a, const ProllyPlace *b);

/* ---- rename-ahead.c ---------------------------------------------------------------------- */

/* PLACE is staged. Under write_lock. */
void prolly_watch_note(ProllyWatch *watch, const ProllyPlace *place);

/* ---- transaction.c: one atomic change ---------------------------------------------------- */

/* Holds the branch's write_lock from begin to end. */
typedef struct {
	ProllyGuard guard;
	ProllyWorking working; /* the state is held */
	ProllyDbBatch *batch;
	int64_t now;
	uint64_t sequence;
	uint64_t generation; /* that it writes to: the state's newest, or one that is to be that */
	ProllyWatch *watch;  /* nullable: hears of what is written (rename-ahead.c) */
	bool is_written;
	bool is_unlocked;
	bool is_changing;  /* hints say what the batch will have made true */
	bool has_blobs;    /* records refer to nodes: the store is flushed first */
	GPtrArray *places; /* of ProllyOwnedPlace *: what to tell; NULL: nobody listens */
} ProllyTransaction;

/* STALE if the branch was deleted. End it whatever happens. */
bool prolly_transaction_begin(ProllyTransaction *self, ProllyRepo *repo, ProllyBranch *branch,
			      GError **error);
/* Writes the batch. */
bool prolly_transaction_write(ProllyTransaction *self, GError **error);
/* Gives write_lock up before the end: for who holds another lock, which the observer must not find. */
void prolly_transaction_unlock(ProllyTransaction *self);
/* Unlocks, and tells the observer what was written. Does nothing to { 0 }. */
void prolly_transaction_end(ProllyTransaction *self);
/* PLACE (a key, or a directory's prefix) is one of those to tell of. */
void prolly_transaction_touch(ProllyTransaction *self, const ProllyPlace *place);

/* What is at PLACE, with its record settled and all its times explicit. */
bool prolly_transaction_load(ProllyTransaction *self, const ProllyPlace *place,
			     ProllyFinding *finding, ProllyAttrRecord *out_record, GError **error);
/* The same of what FINDING found there. */
bool prolly_transaction_settle(ProllyTransaction *self, const ProllyPlace *place,
			       const ProllyFinding *finding, ProllyAttrRecord *out_record,
			       GError **error);
/* A record for something new: its number, its times now, SALT kept. */
bool prolly_transaction_new_record(ProllyTransaction *self, uint64_t salt,
				   ProllyAttrRecord *out_record, GError **error);
/* Stages PLACE = STORED with RECORD (nullable: none), EXTENTS as in a staged record (nullable). */
void prolly_transaction_put(ProllyTransaction *self, const ProllyPlace *place,
			    const uint8_t *stored, size_t len, const ProllyStagedRecord *extents,
			    const ProllyAttrRecord *record);
/* The value that was found, under another key: with its extents, if they are of the newest
 * generation, else folded. */
bool prolly_transaction_copy_value(ProllyTransaction *self, const ProllyPlace *place,
				   const ProllyFinding *finding, const ProllyAttrRecord *record,
				   GError **error);
/* Stages RECORD for what FINDING found at PLACE. */
void prolly_transaction_put_attrs(ProllyTransaction *self, const ProllyPlace *place,
				  const ProllyFinding *finding, const ProllyAttrRecord *record);
/* PLACE is gone; what takes its place some day derives its number with SALT. */
bool prolly_transaction_remove(ProllyTransaction *self, const ProllyPlace *place, uint64_t salt,
			       GError **error);
/* The same of what lies over something older, or leaves a SALT. */
void prolly_transaction_bury(ProllyTransaction *self, const ProllyPlace *place, uint64_t salt);
void prolly_transaction_put_directory(ProllyTransaction *self, const ProllyPlace *dir,
				      const ProllyAttrRecord *record, ProllyDirectoryState state);
void prolly_transaction_put_namespace(ProllyTransaction *self, const char *ns, bool exists);

/*
 * PLACE (a key, a directory's prefix, or a namespace) is a child of its directory now, or none any
 * more: markers come and go, times move. Before a removal, prepare reads what it needs, and before
 * an addition in the same transaction. A place without a key is a namespace if IS_DIRECTORY, else
 * the key "".
 */
bool prolly_transaction_prepare_removal(ProllyTransaction *self, const ProllyPlace *place,
					GError **error);
bool prolly_transaction_add_child(ProllyTransaction *self, const ProllyPlace *place,
				  bool is_directory, GError **error);
bool prolly_transaction_remove_child(ProllyTransaction *self, const ProllyPlace *place,
				     bool is_directory, GError **error);
/* edit-directory.c: removes the directory PLACE, which must be empty (NOT_EMPTY, NOT_FOUND,
 * NOT_DIR), but not from among its parent's children; what takes its place derives its number with
 * SALT. */
bool prolly_transaction_remove_directory(ProllyTransaction *self, const ProllyPlace *place,
					 uint64_t salt, GError **error);
/* The attributes of RECORD as a caller sees them. */
void prolly_transaction_get_attrs(const ProllyPlace *place, const ProllyAttrRecord *record,
				  bool is_directory, uint32_t nlink, ProllyAttrs *out_attrs);
/* Its key and namespace are within the limits; no key in the unnamed namespace may have a prefix.
 */
bool prolly_place_check(const ProllyPlace *place, GError **error);
bool prolly_place_throw(const ProllyPlace *place, ProllyErrorCode code, const char *what,
			GError **error);

/* ---- view.c ------------------------------------------------------------------------------ */

/* A snapshot that is kept for long, with the state it belongs to; its staged values stay. */
typedef struct {
	ProllyHolder holder;
	uint32_t branch_id;
	ProllyState *state; /* borrowed */
	ProllyDbSnapshot *snapshot;
} ProllyHeldSnapshot;

struct ProllyView {
	gint references;
	ProllyRepo *repo;          /* borrowed */
	ProllyBranch *branch;      /* NULL: a commit's */
	ProllyState *state;        /* NULL: live */
	ProllyHeldSnapshot held;   /* of a pinned one */
	ProllyLaidOver *laid_over; /* likewise */
};

/* What VIEW shows now, held: of a live view the present state with a snapshot that fits it. */
typedef struct {
	ProllyWorking working;
	ProllyState *state;
	ProllyHeldSnapshot held; /* its snapshot NULL: the view's is used */
} ProllyPin;

/* VIEW must outlive it, and so must PIN stay where it is. */
void prolly_pin_init(ProllyPin *pin, ProllyView *view);
void prolly_pin_clear(ProllyPin *pin);

/* ---- branch-move.c ----------------------------------------------------------------------- */

/* Open files whose value is another in AFTER than in BEFORE, states of one branch, become orphans.
 * Under write_lock. */
bool prolly_working_orphan_files(const ProllyWorking *before, const ProllyWorking *after,
				 GError **error);

/* ---- fold.c ------------------------------------------------------------------------------ */

typedef struct {
	GArray *namespaces;    /* of ProllyNamespace: what a commit holds */
	ProllyTree attributes; /* the branch's committed attributes then */
	uint64_t changes;      /* keys (or empty namespaces) that differ from the head */
} ProllyFold;

/*
 * The generations of WORKING laid over what is committed. New nodes are pending in the store.
 * SEQUENCE: what the times of entries that were staged are recorded under.
 */
bool prolly_fold_run(const ProllyWorking *working, uint64_t sequence, bool with_attrs,
		     ProllyFold *out_fold, GError **error);
void prolly_fold_clear(ProllyFold *fold);
void prolly_namespace_clear(void *ns); /* GDestroyNotify of an array of ProllyNamespace */

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyRecordKey, prolly_record_key_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyAttrRecord, prolly_attr_record_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyFinding, prolly_finding_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyTransaction, prolly_transaction_end)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyPin, prolly_pin_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyFold, prolly_fold_clear)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyScan, prolly_scan_free)
