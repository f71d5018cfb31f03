/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * view: a state that can be read. A commit; a branch's working state pinned at a moment; or that
 * state live, as it is at each call.
 *
 * A working state is what is staged laid over what is committed (design.md, section 6). A view
 * reads keys, lists keys and directories in key order, and compares with another view.
 */

#include "blob/blob.h"
#include "version/keypath.h"
#include "version/repo.h"
#include "version/history.h"

typedef struct ProllyView ProllyView;

/* ---- Attributes -------------------------------------------------------------------------- */

enum {
	PROLLY_ATTR_MODE = 1 << 0, /* permission bits, 07777 */
	PROLLY_ATTR_UID = 1 << 1,
	PROLLY_ATTR_GID = 1 << 2,
	PROLLY_ATTR_ATIME = 1 << 3,
	PROLLY_ATTR_MTIME = 1 << 4,
	PROLLY_ATTR_CTIME = 1 << 5,
	PROLLY_ATTR_XATTRS = 1 << 6,
};

/*
 * Local attributes of a path. HAS says which a record gave (or which a caller gives); ino, nlink
 * and the three times are always filled in when read: derived where nothing recorded them.
 */
typedef struct {
	uint32_t has;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	int64_t atime; /* nanoseconds since the epoch */
	int64_t mtime;
	int64_t ctime;
	uint64_t ino; /* unique in the branch; fs adds the branch */
	uint32_t nlink;
	uint64_t group; /* of hard links; 0: none */
	GBytes *xattrs; /* (transfer full) names and values, as attrs.c encodes them; nullable */
} ProllyAttrs;

void prolly_attrs_clear(ProllyAttrs *attrs);

/* XATTRS (nullable) -> the value of NAME: *OUT_VALUE (transfer full) NULL if there is none. */
bool prolly_xattrs_get(GBytes *xattrs, const char *name, GBytes **out_value);
/* (transfer full) XATTRS with NAME set to VALUE, or without it if VALUE is NULL. NULL if none is
 * left. */
GBytes *prolly_xattrs_with(GBytes *xattrs, const char *name, GBytes *value);
/* (transfer full) Names, in order. */
GPtrArray *prolly_xattrs_list(GBytes *xattrs);

/* ---- Entries ----------------------------------------------------------------------------- */

typedef struct {
	GBytes *stored; /* (transfer full) the stored value (blob.h) */
	ProllyKind kind;
	uint64_t length;  /* of the content, with what is laid over it */
	uint64_t extents; /* not 0: bytes laid over the stored blob (file.c reads such an entry) */
	uint64_t base_length; /* of the stored blob's bytes, those that still show, with extents */
	bool is_staged;
	ProllyAttrs attrs; /* if asked for */
} ProllyEntry;

void prolly_entry_clear(ProllyEntry *entry);

/* ---- Lifecycle --------------------------------------------------------------------------- */

ProllyView *prolly_view_new_live(ProllyRepo *repo, ProllyBranch *branch);
/* As BRANCH is now; what open files have in memory is staged first. */
bool prolly_view_new_pinned(ProllyRepo *repo, ProllyBranch *branch, ProllyView **out_view,
			    GError **error);
bool prolly_view_new_commit(ProllyRepo *repo, const ProllyCommitId *id, ProllyView **out_view,
			    GError **error);
ProllyView *prolly_view_ref(ProllyView *view);
void prolly_view_unref(ProllyView *view); /* NULL is allowed */

/* NULL for a commit's. Borrowed. */
ProllyBranch *prolly_view_get_branch(const ProllyView *view);
/* The commit of the view; for a working state its branch's head. */
void prolly_view_get_commit(const ProllyView *view, ProllyCommitId *out_id);

/* ---- Read -------------------------------------------------------------------------------- */

/* (transfer full) The names of the namespaces, in byte order; "" only if it has entries. */
bool prolly_view_list_namespaces(ProllyView *view, GPtrArray **out_names, GError **error);
bool prolly_view_has_namespace(ProllyView *view, const char *ns, bool *out_has, GError **error);

/* OUT_ENTRY (initialised by { 0 }, cleared by the caller) is filled if *OUT_FOUND. */
bool prolly_view_get(ProllyView *view, const ProllyPlace *place, bool with_attrs,
		     ProllyEntry *out_entry, bool *out_found, GError **error);

/* Where one of the entries of link group GROUP is, which is to say all of them: *OUT_NS and *OUT_KEY
 * (transfer full) NULL if none is left. Of a branch's view. */
bool prolly_view_find_linked(ProllyView *view, uint64_t group, char **out_ns, GBytes **out_key,
			     GError **error);

/* Content of an entry of VIEW, extents included; *OUT_LEN less than LEN only at its end. */
bool prolly_view_read(ProllyView *view, const ProllyEntry *entry, uint64_t offset, void *buffer,
		      size_t len, size_t *out_len, GError **error);

/*
 * Is there a directory whose keys start with PLACE's key (the prefix, as keypath.h gives it; empty:
 * the namespace itself)? Yes if it has keys, or a marker. OUT_ATTRS nullable. *OUT_EMPTY nullable:
 * true if nothing but its marker is there.
 */
bool prolly_view_get_directory(ProllyView *view, const ProllyPlace *place, ProllyAttrs *out_attrs,
			       bool *out_exists, bool *out_empty, GError **error);

/* Keys and bytes of NS: exact counts; for a working state with the staged changes counted in. */
typedef struct {
	uint64_t keys;
	uint64_t bytes;
	ProllyHash root;
	unsigned height;
} ProllyNamespaceFigures;
/* NS NULL: over all namespaces; root is then that of the tree name -> root. For a working state:
 * what a commit now would give. */
bool prolly_view_get_figures(ProllyView *view, const char *ns, ProllyNamespaceFigures *out_figures,
			     GError **error);
/* The tree of NS, likewise. Of a working state nothing may refer to it: the caller is in a guard (gc.h)
 * as long as he reads it. */
bool prolly_view_get_tree(ProllyView *view, const char *ns, ProllyTree *out_tree, GError **error);

/* ---- Keys in order ----------------------------------------------------------------------- */

typedef struct ProllyViewCursor ProllyViewCursor;

/* (transfer full) Over the keys of NS that start with PREFIX; a live view is pinned for it. Not
 * positioned at first. */
bool prolly_view_cursor_new(ProllyView *view, const char *ns, const void *prefix, size_t prefix_len,
			    bool with_attrs, ProllyViewCursor **out_cursor, GError **error);
void prolly_view_cursor_free(ProllyViewCursor *cursor); /* NULL is allowed */
/* To the first key >= KEY. */
bool prolly_view_cursor_seek(ProllyViewCursor *cursor, const void *key, size_t len, GError **error);
bool prolly_view_cursor_next(ProllyViewCursor *cursor, GError **error);
bool prolly_view_cursor_is_valid(const ProllyViewCursor *cursor);
/* Borrowed until the cursor moves. */
const uint8_t *prolly_view_cursor_get_key(const ProllyViewCursor *cursor, size_t *out_len);
/* Borrowed until the cursor moves; attributes only if asked for. */
bool prolly_view_cursor_get_entry(ProllyViewCursor *cursor, const ProllyEntry **out_entry,
				  GError **error);

/* ---- Directories in order ---------------------------------------------------------------- */

typedef struct ProllyDirectory ProllyDirectory;

typedef struct {
	char name[256];    /* as a path component, NUL-terminated */
	bool is_directory; /* one with keys below it, or a marker */
	const uint8_t
		*key; /* of the entry; of a directory: its prefix. Borrowed until the next call */
	size_t key_len;
	const ProllyEntry
		*entry;    /* of a key (attributes only if asked for); NULL for a directory */
	ProllyAttrs attrs; /* of a directory, if asked for; borrowed. ino is always filled in */
} ProllyDirent;

/* (transfer full) The entries of a directory (PLACE as for prolly_view_get_directory). That of the
 * unnamed namespace with an empty prefix is the branch's own: the namespaces are in it too. */
bool prolly_directory_open(ProllyView *view, const ProllyPlace *place, bool with_attrs,
			   ProllyDirectory **out_directory, GError **error);
/* The same of a directory of any kind, which a place alone does not always tell: DIR (keypath.h) of
 * namespace NS. The entries of a branch's directory are its namespaces, then the unnamed one's
 * keys. */
bool prolly_directory_open_kind(ProllyView *view, const char *ns, const ProllyKeyDir *dir,
				bool with_attrs, ProllyDirectory **out_directory, GError **error);
void prolly_directory_free(ProllyDirectory *directory); /* NULL is allowed */
/* Of the keys that follow, are the attributes' times wanted? (At first, yes: they are what costs.) */
void prolly_directory_set_times(ProllyDirectory *directory, bool wanted);
bool prolly_directory_next(ProllyDirectory *directory, ProllyDirent *out_dirent, bool *out_end,
			   GError **error);
/* A position to come back to: what the next call of _next would look at. (transfer full) */
GBytes *prolly_directory_tell(ProllyDirectory *directory);
bool prolly_directory_seek(ProllyDirectory *directory, GBytes *position, GError **error);

/* ---- Changes between views --------------------------------------------------------------- */

typedef enum {
	PROLLY_CHANGE_ADDED,
	PROLLY_CHANGE_MODIFIED,
	PROLLY_CHANGE_DELETED,
} ProllyChangeKind;

typedef struct {
	ProllyPlace place; /* borrowed until the next call, as everything here */
	ProllyChangeKind kind;
	const ProllyEntry *old_entry; /* NULL if added */
	const ProllyEntry *new_entry; /* NULL if deleted */
} ProllyViewChange;

typedef struct ProllyChanges ProllyChanges;

/*
 * (transfer full) What leads from A to B, by namespace and key. Costs what differs; from a branch's
 * head to its working state, what is staged. NS nullable: all of them; PREFIX: only keys that start
 * with it (or equal it without its last '/').
 */
bool prolly_changes_new(ProllyView *a, ProllyView *b, const char *ns, const void *prefix,
			size_t prefix_len, ProllyChanges **out_changes, GError **error);
void prolly_changes_free(ProllyChanges *changes); /* NULL is allowed */
bool prolly_changes_next(ProllyChanges *changes, ProllyViewChange *out_change, bool *out_end,
			 GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyView, prolly_view_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyViewCursor, prolly_view_cursor_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyDirectory, prolly_directory_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyChanges, prolly_changes_free)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyAttrs, prolly_attrs_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyEntry, prolly_entry_clear)
