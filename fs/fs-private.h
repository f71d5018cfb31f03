/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fs-private: what the files of fs share.
 *
 *   mount.c       options -> a mounted session; processes, signals, the end
 *   mountpoint.c    where it is mounted
 *   serve.c         the receive loop and the worker pools
 *   service.c       word to the service manager
 *   readahead.c     how far ahead the kernel reads
 *   inode.c         nodes that the kernel knows of, by id and by name
 *   where.c         which keys and directories they stand for
 *   identity.c      which content it has cached of them
 *   orphan.c        nodes without a name that may be opened yet
 *   fill.c          the content of small files, given with their opening
 *   lazy.c          handles that have no file before something is read through them
 *   scope.c         what a node's keys are read from: a branch or a commit
 *   account.c       what each user holds, and how much that may be
 *   attr.c          attributes -> struct stat
 *   ops-*.c         the operations, by noun
 *   control.c       handles of control files
 *   invalidate.c    changes behind the kernel -> its caches
 *   errmap.c        errors -> errno and log
 *
 * Threads. One receive thread answers whatever needs no waiting; the rest (serve.c says what) runs
 * on workers. Lock order: mount->gate, mount->reply_lock, then table->lock, which is never held
 * over a call of the version layer that reads, nor over a reply.
 *
 * Lifetime. The kernel does not forget a node while a request about it is unanswered, so an
 * operation uses the PfsInode of its request without a reference of its own.
 */

#define FUSE_USE_VERSION 314

#include <fuse_lowlevel.h>

#include "command/session.h"
#include "fs.h"

typedef struct PfsMount PfsMount;
typedef struct PfsInode PfsInode;
typedef struct PfsName PfsName;
typedef struct PfsScope PfsScope;
typedef struct PfsAccount PfsAccount;

#define PFS_META_NAME ".prollyfs"

/* ---- Places ------------------------------------------------------------------------------ */

/* A key, or a directory of keys, in a scope. */
typedef struct {
	char ns[PROLLY_NAMESPACE_MAX + 1];
	ProllyKeyDirKind dir_kind; /* of a directory */
	GByteArray *bytes;         /* the key; the directory's prefix */
} PfsPlace;

void pfs_place_clear(PfsPlace *place);
/* Borrows PLACE's bytes. */
ProllyPlace pfs_place_get(const PfsPlace *place);
ProllyKeyDir pfs_place_get_dir(const PfsPlace *place);
/* Is it the directory of a branch or commit itself? */
bool pfs_place_is_top(const PfsPlace *place);

/* What NAME in directory DIR means: a key (or not: bytes NULL), a directory (or not). */
typedef struct {
	ProllyNameType type;
	PfsPlace key;
	PfsPlace directory;
} PfsMeaning;

void pfs_meaning_clear(PfsMeaning *meaning);
void pfs_place_lookup(const PfsPlace *dir, const char *name, PfsMeaning *out_meaning);
/* The same for a name that is to be made; always _PLAIN. */
bool pfs_place_create(const PfsPlace *dir, const char *name, PfsMeaning *out_meaning,
		      GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PfsPlace, pfs_place_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PfsMeaning, pfs_meaning_clear)

/* ---- Scopes (scope.c) -------------------------------------------------------------------- */

struct PfsScope {
	unsigned references;  /* protected by table->lock, as is top */
	char key[64];         /* in table->scopes */
	ProllyView *view;     /* a branch's live one, or a commit's */
	ProllyBranch *branch; /* NULL: a commit, read-only */
	uint32_t number;      /* the high bits of its st_ino; unique among the scopes there are */
	PfsInode *top;        /* its directory's node; NULL: the kernel does not know it */
	bool is_fleeting;     /* a side of a merge: where it is found, another may be next */
	gint moves;           /* atomic: times that it was changed behind the kernel */
	gint changes;         /* atomic: times that it was changed in any way */
};

/* ---- Nodes (inode.c) --------------------------------------------------------------------- */

typedef enum {
	PFS_KIND_ROOT,      /* MNT: branches */
	PFS_KIND_LEVEL,     /* a level of branch names: MNT/feature of branch feature/x */
	PFS_KIND_TOP,       /* the directory of a branch or commit */
	PFS_KIND_DIRECTORY, /* a namespace, or a directory of keys */
	PFS_KIND_FILE,      /* a key, of whatever kind */
	PFS_KIND_META,      /* .prollyfs */
	PFS_KIND_AT,        /* .prollyfs/at, and levels of revisions in it */
	PFS_KIND_AT_LINK,   /* a revision: a symbolic link to its commit */
	PFS_KIND_TEXTS,     /* .prollyfs/log, .prollyfs/status, and levels of branches in them */
	PFS_KIND_TEXT,      /* a text that a command makes */
	PFS_KIND_CONFLICTS, /* .prollyfs/conflicts, and levels of branches in it */
	PFS_KIND_SIDES,     /* of a branch's conflicts: base, ours, theirs */
	PFS_KIND_CONTROL,   /* .prollyfs/ctl */
} PfsKind;

/* A name of a node. */
struct PfsName {
	PfsInode *parent; /* referenced */
	PfsInode *inode;
	PfsName *next; /* another name of the node: a hard link */
	guint hash;
	char name[];
};

/* Fields are protected by table->lock unless they say otherwise, or never change. */
struct PfsInode {
	fuse_ino_t id;        /* never changes, never used again */
	PfsKind kind;         /* never changes */
	uint64_t lookups;     /* the kernel's references */
	unsigned references;  /* ours: children's names, handles */
	unsigned n_open;      /* handles on file, or that may be (lazy.c) */
	unsigned n_executing; /* of them, those that a program runs from */
	bool has_lost;        /* the kernel may have cached what was not staged */
	bool is_filled;       /* it was given the content, and nothing was written since */
	bool is_kept;         /* an orphan that may be opened yet: counts in table->n_kept */
	PfsScope *scope;      /* never changes; referenced; NULL outside of all branches */
	PfsName *names;       /* NULL: the root, an orphan, or hard links under unknown names */
	uint64_t ino;         /* st_ino, as last told */
	uint64_t group;       /* of hard links; 0: none */
	ProllyFile *file; /* while it is open by a handle that is not lazy, and an orphan's until it
				 is freed; referenced */
	uint64_t identity; /* of the content that the kernel may have cached; 0: not known, because
			      it was written through the kernel since */
	gint seen_moves;   /* scope->moves when that was found out */
	uint64_t names_changes; /* of a directory: times that a name in it, or below, came or went
				   through the kernel */
	uint64_t listed_names;  /* that when it was last opened, + 1; 0: never */
	gint listed_moves;      /* scope->moves then */
	bool is_adopted;        /* identity was taken over as it stood, not compared */
	bool is_orphan;         /* it had names and has none now */
	bool is_replaced;       /* a name went behind the kernel, which is to look it up again */
	ProllyKind value_kind;
	mode_t mode; /* as last told */
	uid_t uid;
	gid_t gid;
	off_t size;       /* likewise, or as it was when it was closed */
	struct stat *own; /* an orphan's attributes, once they were set and nobody has it open as a
			     file; nullable */
	GBytes *own_xattrs; /* likewise; nullable */
	PfsPlace *place;    /* directories: where it is, as of place_renames; nullable */
	uint64_t place_renames;
	char *path; /* of what no key is: a branch name, a revision, or a part of one; nullable */
	const char *verb; /* _TEXTS, _TEXT: the command */
	GList aged;       /* in table->aged, oldest first */
};

typedef struct {
	GMutex lock;
	GHashTable *by_id;    /* of PfsInode, by id */
	GHashTable *by_name;  /* of PfsName, by parent and name */
	GHashTable *by_group; /* of PfsInode, those with a group: by scope and group */
	GHashTable *scopes;   /* key -> PfsScope */
	GHashTable *numbers;  /* of scopes, those in use */
	GQueue aged;          /* all but the root, as they were made */
	uint64_t next_id;
	uint64_t shed_id; /* next_id when nodes were last shed */
	uint64_t renames; /* of directories: cached places are void */
	unsigned n_kept;
	GPtrArray *left; /* of ProllyFile: of nodes that were freed, to be given up unlocked */
} PfsTable;

/* What a look-up found, for a node that is to be made or met again. */
typedef struct {
	PfsKind kind;
	PfsScope *scope; /* borrowed, unless it is held */
	PfsScope *held;  /* (transfer full) nullable */
	ProllyKind value_kind;
	uint64_t identity; /* 0: cannot be told */
	uint64_t group;
	gint moves; /* scope->moves before the look */
	char *path; /* (transfer full) nullable */
	const char *verb;
	struct stat attr;
} PfsFound;

void pfs_found_clear(PfsTable *table, PfsFound *found);

void pfs_table_init(PfsTable *table);
/* Frees all nodes, whatever the kernel thinks; files are closed. */
void pfs_table_clear(PfsTable *table);
/* Makes the root. */
PfsInode *pfs_table_add_root(PfsTable *table, PfsKind kind, PfsScope *scope);

/* Borrowed; NULL: unknown. */
PfsInode *pfs_table_find(PfsTable *table, fuse_ino_t id);
/* (transfer full) The node of NAME in PARENT, if it is known. */
PfsInode *pfs_table_find_name(PfsTable *table, PfsInode *parent, const char *name);
/*
 * The node for what was found under NAME in PARENT: the one there, unless it stands for other
 * content; the one with the same hard links; the top of its scope; else a new one. Counts a look-up
 * of the kernel's, which pfs_table_forget takes back.
 */
PfsInode *pfs_table_enter(PfsTable *table, PfsInode *parent, const char *name,
			  const PfsFound *found);
/* The same without looking for one that is there: control files. */
PfsInode *pfs_table_enter_fresh(PfsTable *table, PfsInode *parent, const char *name,
				const PfsFound *found);
void pfs_table_forget(PfsTable *table, fuse_ino_t id, uint64_t n);

PfsInode *pfs_inode_ref(PfsTable *table, PfsInode *inode);
void pfs_inode_unref(PfsTable *table, PfsInode *inode); /* NULL is allowed */

/* NAME in PARENT is gone. */
void pfs_table_unlink(PfsTable *table, PfsInode *parent, const char *name);
/* INODE stands for something that is gone: all its names are. */
void pfs_table_orphan(PfsTable *table, PfsInode *inode);
/* INODE has another name, in NAME of PARENT. */
void pfs_table_link(PfsTable *table, PfsInode *inode, PfsInode *parent, const char *name,
		    uint64_t group);
/* What TO was is gone. */
void pfs_table_rename(PfsTable *table, PfsInode *from, const char *from_name, PfsInode *to,
		      const char *to_name);
void pfs_table_exchange(PfsTable *table, PfsInode *a, const char *a_name, PfsInode *b,
			const char *b_name);

/* where.c. Where a node of a scope is. False: it is an orphan. */
bool pfs_table_get_place(PfsTable *table, PfsInode *inode, PfsPlace *out_place);
/* The key that NAME in directory PARENT may be. Under the table's lock. */
bool pfs_name_get_place(PfsTable *table, PfsInode *parent, const char *name, PfsPlace *out_place);
/* Forgets where directory INODE is. Under the table's lock. */
void pfs_inode_drop_place(PfsInode *inode);
bool pfs_inode_is_directory(const PfsInode *inode);
/* Are what is in directory INODE branches? */
static inline bool pfs_has_branches(const PfsInode *inode)
{
	return inode->kind == PFS_KIND_ROOT || inode->kind == PFS_KIND_LEVEL;
}
/* (transfer full) An open file of INODE, if there is one. */
ProllyFile *pfs_table_dup_file(PfsTable *table, PfsInode *inode);
/* FILE is the one that all who have INODE open use, if there is none. Under the table's lock. */
void pfs_inode_share_file(PfsInode *inode, ProllyFile *file);
/* orphan.c. INODE is about to lose a name: is it worth to be kept, with its file? */
bool pfs_table_may_keep(PfsTable *table, const PfsInode *inode);
/* INODE, if it is an orphan now, has FILE (transfer full), from which it may be opened yet. */
void pfs_table_keep(PfsTable *table, PfsInode *inode, ProllyFile *file);
/* Of what is nowhere and not open: STALE if it was replaced behind the kernel. */
bool pfs_orphan_check(PfsTable *table, const PfsInode *inode, GError **error);
/* The last handle of INODE goes: does it keep its file? Under the table's lock. */
bool pfs_orphan_stays_kept(PfsTable *table, PfsInode *inode);
/* INODE's content changes through the kernel. */
void pfs_table_touch(PfsTable *table, PfsInode *inode);
/* A name in DIR came or went through the kernel. */
void pfs_table_touch_names(PfsTable *table, PfsInode *dir);
/* A handle less has INODE's file open; the last gives the file up, unless it is an orphan's. Not
 * IS_STAGED: what was written is lost by that. False if it is, and the kernel may have it cached. */
bool pfs_table_close(PfsTable *table, PfsInode *inode, bool is_executed, bool is_staged);
/* Remembers what the kernel is told about INODE. */
void pfs_table_told(PfsTable *table, PfsInode *inode, const struct stat *attr);

typedef void (*PfsInodeFunc)(PfsInode *inode, void *data);
/* Calls FUNC, which must not change the table, for each node of SCOPE. */
void pfs_table_foreach(PfsTable *table, PfsScope *scope, PfsInodeFunc func, void *data);
/* (transfer full) Parents and names (PfsNamed) of up to N of the oldest files that nobody has open;
 * the caller tells the kernel to drop them. */
typedef struct {
	fuse_ino_t parent;
	char *name;
} PfsNamed;
/* Are there more nodes than should be? */
bool pfs_table_is_full(PfsTable *table);
/* True once for each step of new nodes. */
bool pfs_table_begin_shedding(PfsTable *table);
GArray *pfs_table_list_aged(PfsTable *table, unsigned n);

/* (transfer full) The scope of BRANCH, or of commit ID as it is seen from the .prollyfs of scope
 * FROM (nullable); made if there is none. */
PfsScope *pfs_scope_get_branch(PfsMount *mount, ProllyBranch *branch);
bool pfs_scope_get_commit(PfsMount *mount, const ProllyCommitId *id, const PfsScope *from,
			  PfsScope **out_scope, GError **error);
/* (transfer full) That of one side of UNFINISHED, of BRANCH, as it is seen from FROM. */
PfsScope *pfs_scope_get_side(PfsMount *mount, ProllyBranch *branch,
			     const ProllyUnfinished *unfinished, ProllySideOf side,
			     const PfsScope *from);
/* (transfer full) That of a branch, or NULL if there is none. */
PfsScope *pfs_scope_find_branch(PfsTable *table, ProllyBranch *branch);
void pfs_scope_unref(PfsTable *table, PfsScope *scope); /* NULL is allowed */
void pfs_scope_unref_locked(PfsTable *table, PfsScope *scope);
/* The scope was changed through the kernel. */
void pfs_scope_touch(PfsScope *scope);

/* identity.c: of a content as it is stored; never 0. */
uint64_t pfs_stored_identity(GBytes *stored);
/* That of ENTRY's; 0: it cannot be told. */
uint64_t pfs_entry_identity(const ProllyEntry *entry);

/* ---- Handles ----------------------------------------------------------------------------- */

/* An open file; fi->fh. */
typedef struct {
	PfsInode *inode;          /* referenced */
	PfsAccount *account;      /* of who opened it */
	ProllyFile *_Atomic file; /* _FILE; NULL: pfs_handle_get_file gives it one (lazy.c) */
	GBytes *text;             /* _TEXT */
	ProllySession *session;   /* _CONTROL */
	bool is_open;             /* _FILE: counts as one of its node */
	bool is_lazy;             /* is in mount->lazy; protected by table.lock */
	bool is_control;          /* counts as one */
	bool is_executed;         /* a program runs from it */
	bool is_owners;           /* _CONTROL, opened by who owns the mount */
	_Atomic size_t unflushed; /* bytes written since the last flush */
	GList link;               /* in mount->handles */
	GList lazy;               /* in mount->lazy */
} PfsHandle;

/* (transfer full) The file of INODE, whoever else has it open or not. */
bool pfs_file_open(PfsMount *mount, PfsInode *inode, ProllyFile **out_file, GError **error);
/* lazy.c: opens HANDLE, which is to be read only, without a file, if nobody sees the difference. */
bool pfs_lazy_open(PfsMount *mount, PfsHandle *handle);
/* HANDLE, which has no file, is closed: (transfer full) the file others have of its node, or NULL. */
ProllyFile *pfs_lazy_close(PfsMount *mount, PfsHandle *handle);
/* (transfer none) The file of HANDLE; NULL without an error: it is none of a file. */
ProllyFile *pfs_handle_get_file(PfsMount *mount, PfsHandle *handle, GError **error);
/* INODE may lose a name: its lazy handles shall have a file. On the receive thread, or behind the
 * gate. */
void pfs_lazy_settle(PfsMount *mount, PfsInode *inode);
/* Anything may change until the end: no handle is lazy until then. Any thread. */
void pfs_lazy_begin_change(PfsMount *mount);
void pfs_lazy_end_change(PfsMount *mount);
/* fill.c: gives the kernel what HANDLE, just opened with FLAGS, is going to read, if that is little. */
void pfs_fill(PfsMount *mount, const PfsHandle *handle, int flags);

typedef struct PfsDirHandle PfsDirHandle; /* ops-dir.c */

/* (transfer full) Takes ACCOUNT over, of which it is one that is open. Handles are listed until they
 * are freed, so that the end of a mount finds them: what the kernel has open when it gives the mount
 * up is not released. */
PfsHandle *pfs_handle_new(PfsMount *mount, PfsInode *inode, PfsAccount *account);
void pfs_handle_free(PfsMount *mount, PfsHandle *handle);
void pfs_dir_handles_free(PfsMount *mount); /* all of them */

/* ---- What users hold (account.c) ---------------------------------------------------------- */

typedef struct {
	GMutex lock;
	GHashTable *by_uid; /* of PfsAccount */
	PfsAccount *last;   /* that was asked for; nullable */
} PfsAccounts;

void pfs_accounts_init(PfsAccounts *accounts);
void pfs_accounts_clear(PfsAccounts *accounts);

/* One thing more that REQ's caller has open, until it is closed; NULL: they have enough (EMFILE). */
PfsAccount *pfs_account_open(fuse_req_t req, bool is_control);
void pfs_account_close(PfsMount *mount, PfsAccount *account, bool is_control);
/* One request more, of a control file, that may wait, until its end. False: there are enough. */
bool pfs_account_begin(PfsMount *mount, PfsAccount *account);
void pfs_account_end(PfsMount *mount, PfsAccount *account);
/* (transfer none) Bytes that wait for commands and readers. */
ProllyAllowance *pfs_account_get_allowance(PfsAccount *account);
/* ERRNUM is how something failed; EDQUOT: it goes to the log that there are no more. Returns it. */
int pfs_account_note(const PfsMount *mount, PfsAccount *account, int errnum);

/* ---- The mount --------------------------------------------------------------------------- */

typedef struct PfsNotifier PfsNotifier; /* invalidate.c */
typedef struct PfsLatency PfsLatency;   /* latency.c */

/* Who holds it answers what others may take for one moment, such as a rename (serve.c). */
typedef struct {
	GMutex lock;
	GCond passed;   /* a worker has it no more */
	gint n_waiting; /* atomic: workers that want it; the receive thread lets them go first */
} PfsGate;

struct PfsMount {
	const PfsOptions *options;
	char *mountpoint; /* absolute */
	uid_t owner;      /* who mounted */
	gid_t owner_group;
	struct timespec started;
	bool to_syslog; /* in the background */

	ProllyRepo *repo;             /* for what the kernel asks: tells no observer */
	ProllyRepo *control_repo;     /* for commands: does */
	ProllyGcCollector *collector; /* NULL on a read-only mount */
	struct fuse_session *session;
	int ready_fd;             /* written to when the mount answers; -1: was, or nobody waits */
	bool may_drop_privileges; /* the kernel leaves it to us, if the answer says so */
	bool is_ready;
	bool is_told; /* and whoever waits for that knows */

	bool has_epoch;          /* the kernel takes FUSE_NOTIFY_INC_EPOCH */
	double negative_timeout; /* 0 without it: unknown names could not be taken back */
	GThread *receiver;       /* the receive thread */
	PfsGate gate;

	PfsTable table;
	GMutex reply_lock;        /* held over a readdirplus: invalidate.c says why */
	int64_t branches_changed; /* when the set of branches did; protected by table.lock */
	PfsAccounts accounts;
	GMutex handles_lock;
	GQueue handles;     /* of PfsHandle */
	GQueue dir_handles; /* of PfsDirHandle */
	GQueue lazy; /* of PfsHandle, as long as they have no file; table.lock, as the next */
	unsigned n_changing; /* commands that change something now */
	PfsNotifier *notifier;
	PfsLatency *latency;
};

static inline PfsMount *pfs_mount(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* serve.c: keeps the receive thread from answering; does nothing on that thread itself. Others must
 * not wait long for it. */
void pfs_gate_enter(PfsMount *mount);
void pfs_gate_leave(PfsMount *mount);

/* mountpoint.c: (transfer full) the resolved mount point, if it can be mounted on. A dead mount
 * there is cleared. */
bool pfs_mountpoint_check(const PfsMount *mount, char **out_path, GError **error);
/* Is it /dev/fd/N, a descriptor that somebody else has mounted? */
bool pfs_mountpoint_is_descriptor(const char *path);
/* Does it take no changes now? A mount may be remounted, of which the kernel tells nobody. */
bool pfs_mountpoint_is_read_only(const PfsMount *mount);
/* Unmounts lazily: who has something open goes on. */
bool pfs_mountpoint_detach(const char *path, GError **error);
/* (transfer full) What the mount is listed as. */
char *pfs_mountpoint_source(const PfsMount *mount);

/* handshake.c: of the session, mounted, before its first message. */
bool pfs_handshake_prepare(PfsMount *mount, GError **error);
/* readahead.c: has the kernel read ahead further, if it can be told to. It answers already. */
void pfs_readahead_raise(const PfsMount *mount);
/* service.c: STATE as sd_notify(3) has it. */
void pfs_service_tell(const char *state);
/* serve.c: until the mount is gone. */
bool pfs_serve(PfsMount *mount, GError **error);
/* The mount answers and the parent was told: lets go of its terminal. */
void pfs_mount_background(PfsMount *mount);

/* ---- What requests cost (latency.c) ------------------------------------------------------- */

PfsLatency *pfs_latency_new(void);
void pfs_latency_free(PfsLatency *latency); /* NULL is allowed */
/* In nanoseconds, of a clock that only goes forward. */
int64_t pfs_latency_now(void);
/* A request of OPERATION (linux/fuse.h) that was received then is done now. Of any thread. */
void pfs_latency_note(PfsLatency *latency, unsigned operation, int64_t received);
/* A table of all operations there were, a line each. */
void pfs_latency_append(const PfsLatency *latency, GString *text);
/* The same to the log. */
void pfs_latency_log(const PfsMount *mount);

/* ---- Errors (errmap.c) ------------------------------------------------------------------- */

void pfs_log(const PfsMount *mount, int priority, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* The errno for ERROR, which is logged, with WHAT failed, if the errno does not say it. */
int pfs_errno(const PfsMount *mount, const char *what, const GError *error);
/* Replies with it. */
void pfs_reply_error(fuse_req_t req, const char *what, const GError *error);

/* ---- Attributes (attr.c) ----------------------------------------------------------------- */

#define PFS_TIMEOUT 86400.0 /* seconds: what changes behind the kernel is told to it */

/* When the set of branches changed last, in nanoseconds. */
int64_t pfs_branches_changed_at(PfsMount *mount);
void pfs_branches_touch(PfsMount *mount);
/* For how long the kernel may believe in attributes of a node of this kind. */
double pfs_attr_timeout(PfsKind kind);
/* A number in a scope as st_ino. */
uint64_t pfs_ino(const PfsScope *scope, uint64_t number);
/* Of what is in no branch: from its path. */
uint64_t pfs_virtual_ino(uint64_t parent, const char *name);

void pfs_stat_entry(const PfsMount *mount, const PfsScope *scope, const ProllyEntry *entry,
		    struct stat *out_stat);
void pfs_stat_directory(const PfsMount *mount, const PfsScope *scope, const ProllyAttrs *attrs,
			struct stat *out_stat);
/* Of a file that is open: length and times as they are now. */
bool pfs_stat_file(const PfsMount *mount, PfsInode *inode, ProllyFile *file, struct stat *out_stat,
		   GError **error);
/* Of what is no key: MODE with its type. */
void pfs_stat_virtual(PfsMount *mount, PfsKind kind, uint64_t ino, struct stat *out_stat);
/* Of any node. */
bool pfs_stat_inode(PfsMount *mount, PfsInode *inode, struct stat *out_stat, GError **error);

/* Where INODE is, if what is there is what the kernel found; else STALE. *OUT_HAS false: nowhere, and
 * what is set is its own. */
bool pfs_find_place(PfsMount *mount, PfsInode *inode, PfsPlace *out_place, bool *out_has,
		    GError **error);
/* (transfer full) The local attributes of a node of a scope; *OUT_FOUND false: of none that is
 * there. */
bool pfs_attrs_load(PfsMount *mount, PfsInode *inode, ProllyAttrs *out_attrs, bool *out_found,
		    GError **error);
/* The same, changed: what ATTRS->has says, and the kind if KIND >= 0. FILE nullable: it is open. */
/* Sets attributes of what has no name and no open file: its node keeps them. */
void pfs_orphan_change(PfsMount *mount, PfsInode *inode, const ProllyAttrs *attrs);
bool pfs_attrs_change(PfsMount *mount, PfsInode *inode, ProllyFile *file, const ProllyAttrs *attrs,
		      int kind, GError **error);
/* Adds to ATTRS that a file of MODE is setuid and setgid no more, if it is. */
void pfs_attrs_drop_privileges(mode_t mode, ProllyAttrs *attrs);
/* Attributes of a new object of MODE in directory PARENT, made by REQ's caller. */
ProllyAttrs pfs_attrs_new(fuse_req_t req, const PfsInode *parent, mode_t mode, mode_t *out_mode);
int64_t pfs_now(void);

/* ---- Look-ups ---------------------------------------------------------------------------- */

/* One a kind of directory: *OUT_FOUND_IT false if NAME is not there. OUT_FOUND is initialised by
 * { 0 }, and cleared by the caller. */
bool pfs_keys_find(PfsMount *mount, PfsInode *dir, const char *name, PfsFound *out_found,
		   bool *out_found_it, GError **error);
bool pfs_branches_find(PfsMount *mount, PfsInode *dir, const char *name, PfsFound *out_found,
		       bool *out_found_it, GError **error);
bool pfs_meta_find(PfsMount *mount, PfsInode *dir, const char *name, PfsFound *out_found,
		   bool *out_found_it, GError **error);

/* Enters what was found and replies with it. */
void pfs_reply_entry(fuse_req_t req, PfsInode *parent, const char *name, const PfsFound *found);
/* FOUND -> the node and what the kernel is told of it. */
PfsInode *pfs_enter(PfsMount *mount, PfsInode *parent, const char *name, const PfsFound *found,
		    struct fuse_entry_param *out_param);
/* FOUND for a key or directory of SCOPE. */
void pfs_found_entry(const PfsMount *mount, PfsScope *scope, const ProllyEntry *entry,
		     PfsFound *out_found);
void pfs_found_directory(const PfsMount *mount, PfsScope *scope, const ProllyAttrs *attrs,
			 PfsFound *out_found);
/* The same for directory NAME in DIR, of which ATTRS may be those of what it is a level of. */
void pfs_found_named_directory(const PfsMount *mount, PfsInode *dir, const char *name,
			       const ProllyAttrs *attrs, PfsFound *out_found);
bool pfs_kind_is_virtual(PfsKind kind);

/* The directory of SCOPE, which is taken, even on an error. */
bool pfs_found_scope(PfsMount *mount, PfsScope *scope, PfsFound *out_found, GError **error);

/* ops-conflicts.c: of _CONFLICTS and _SIDES. */
bool pfs_conflicts_find(PfsMount *mount, PfsInode *dir, const char *name, PfsFound *out_found,
			bool *out_found_it, GError **error);
bool pfs_conflicts_list(PfsMount *mount, PfsInode *dir, GPtrArray **out_names, GError **error);

/* (transfer full) The names in a directory that holds no keys: elements are char *, a directory's
 * ends with '/'. */
bool pfs_branches_list(PfsMount *mount, PfsInode *dir, GPtrArray **out_names, GError **error);
bool pfs_meta_list(PfsMount *mount, PfsInode *dir, GPtrArray **out_names, GError **error);
/* (transfer full) The branch name that NAME in DIR is or begins. */
char *pfs_branch_full_name(const PfsInode *dir, const char *name);
/* Branch names below PREFIX (NULL: all), cut at the next '/' (levels end with '/'). */
bool pfs_branch_level(PfsMount *mount, const char *prefix, GPtrArray **out_names, GError **error);

/* (transfer full) What a _TEXT says now, if ACCOUNT has room for it. Runs a command. */
bool pfs_text_make(PfsMount *mount, PfsInode *inode, PfsAccount *account, GBytes **out_text,
		   GError **error);
void pfs_op_readlink_revision(fuse_req_t req, PfsInode *inode);

/* ---- Changes ----------------------------------------------------------------------------- */

/* A place for a change in directory DIR: READ_ONLY, DENIED or STALE where there can be none. */
bool pfs_begin_change(PfsMount *mount, PfsInode *dir, PfsPlace *out_place, GError **error);

/* Makes the key NAME in DIR, with STORED as its value; EXISTS if it is there. */
bool pfs_make_key(fuse_req_t req, PfsInode *dir, const char *name, GBytes *stored, mode_t mode,
		  PfsFound *out_found, GError **error);
void pfs_branch_mkdir(fuse_req_t req, PfsInode *dir, const char *name);
void pfs_branch_rmdir(fuse_req_t req, PfsInode *dir, const char *name);
void pfs_branch_rename(fuse_req_t req, PfsInode *from, const char *from_name, PfsInode *to,
		       const char *to_name, unsigned flags);

/* ---- Control files (control.c) ----------------------------------------------------------- */

/* Takes ACCOUNT over. */
void pfs_control_open(fuse_req_t req, PfsInode *inode, PfsAccount *account,
		      struct fuse_file_info *fi);
void pfs_control_read(fuse_req_t req, PfsHandle *handle, size_t size);
void pfs_control_write(fuse_req_t req, PfsHandle *handle, const char *data, size_t size);
/* What is written where the mount is read-only (command/session.h). */
void pfs_op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
		  struct fuse_file_info *fi, unsigned flags, const void *in_data, size_t in_size,
		  size_t out_size);
/* The caller of commands in a scope's .prollyfs (NULL: the mount's). Borrows BRANCH_NAME. */
ProllyCaller pfs_control_caller(const PfsScope *scope, const char *branch_name,
				PfsAccount *account);
/* Ends what sessions wait for: the mount is gone. */
void pfs_control_interrupt_all(PfsMount *mount);

/* ---- Kernel caches (invalidate.c) -------------------------------------------------------- */

PfsNotifier *pfs_notifier_new(PfsMount *mount);
void pfs_notifier_free(PfsNotifier *notifier); /* NULL is allowed */
void pfs_notifier_observe(PfsMount *mount);
/* Tells the kernel to forget a name, some time soon. */
void pfs_notifier_drop_name(PfsMount *mount, fuse_ino_t parent, const char *name);
/* A name in DIR is gone. If that was the last, and DIR is no more, as where a key has its name, tells
 * the kernel to forget the name that the key had meanwhile. */
void pfs_notifier_drop_covered(PfsMount *mount, PfsInode *dir);
/* Tells the kernel to forget some of the oldest nodes. */
void pfs_notifier_shed(PfsMount *mount);

/* ---- Operations -------------------------------------------------------------------------- */

void pfs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void pfs_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup);
void pfs_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void pfs_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void pfs_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		    struct fuse_file_info *fi);
void pfs_op_readlink(fuse_req_t req, fuse_ino_t ino);
void pfs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void pfs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void pfs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void pfs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void pfs_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void pfs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		   const char *new_name, unsigned flags);
void pfs_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name);
void pfs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void pfs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		   struct fuse_file_info *fi);
void pfs_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		 struct fuse_file_info *fi);
void pfs_op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
		  struct fuse_file_info *fi);
void pfs_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void pfs_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void pfs_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void pfs_op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
		      struct fuse_file_info *fi);
void pfs_op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
		  struct fuse_file_info *fi);
void pfs_op_copy_file_range(fuse_req_t req, fuse_ino_t in_ino, off_t in_offset,
			    struct fuse_file_info *in_fi, fuse_ino_t out_ino, off_t out_offset,
			    struct fuse_file_info *out_fi, size_t len, int flags);
void pfs_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void pfs_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi);
void pfs_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
			struct fuse_file_info *fi);
void pfs_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void pfs_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void pfs_op_statfs(fuse_req_t req, fuse_ino_t ino);
void pfs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void pfs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
		     size_t size, int flags);
void pfs_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void pfs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
