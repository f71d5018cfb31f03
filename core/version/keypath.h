/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * keypath: keys as paths, paths as keys.
 *
 * A key is any bytes up to PROLLY_KEY_MAX; its path below its namespace's directory is the key with
 * '/' between components and an escape for what a directory entry cannot be. The unnamed namespace
 * lives in the branch's own directory, beside the directories of the others: there a key is one
 * component and its '/' are escaped. keypath.c states the grammar. What holds:
 *
 * - Every key has a name at its place, and every name (1 to 255 bytes but "." and "..", no '/', no
 *   NUL) means one key, but for the names that only mean something here:
 *   NAME%prolly-key   the key NAME, where NAME is a directory too (of keys below it, or for a key
 *                     of the unnamed namespace a namespace's)
 *   PIECE%prolly-more a directory: components over 255 bytes that begin with PIECE go on in it
 *   %prolly-more      in a branch's directory: the directory of all long keys of the unnamed one
 * - A name's meaning needs no look at the store; which of NAME's two meanings (key, directory) is
 *   the case is for the caller to look up. A directory wins; the key then is NAME%prolly-key.
 *
 * Everything here is pure, thread-safe, and linear in the length of key, prefix and name.
 */

#include "base/base.h"

#define PROLLY_NAME_MAX 255u /* bytes of a directory entry's name */

/* ---- Directories of keys ----------------------------------------------------------------- */

typedef enum {
	PROLLY_KEYDIR_BRANCH, /* a branch's: the unnamed namespace's keys and all namespaces; no
				 prefix */
	PROLLY_KEYDIR_LONG, /* %prolly-more of a branch, and levels in it; prefix: what they hold so
			       far */
	PROLLY_KEYDIR_KEYS, /* a namespace's, or in one; the prefix is empty or ends in '/' */
	PROLLY_KEYDIR_MORE, /* a level of a long component in one; the prefix is not empty, has no
			       '/' last */
} ProllyKeyDirKind;

/* A directory: exactly the keys in it, at whatever depth, start with PREFIX (in _BRANCH, _LONG and
 * _MORE other keys may start with it as well: prolly_keypath_get_entry says which do not belong).
 */
typedef struct {
	ProllyKeyDirKind kind;
	const uint8_t *prefix; /* borrowed */
	size_t prefix_len;
} ProllyKeyDir;

/* The first key after all those that start with PREFIX, into OUT_END. False: there is none. */
bool prolly_keypath_get_prefix_end(const void *prefix, size_t len, GByteArray *out_end);

/* ---- From keys to names: readdir --------------------------------------------------------- */

typedef enum {
	PROLLY_ENTRY_NONE,      /* the key is not in this directory */
	PROLLY_ENTRY_KEY,       /* the entry is the key itself */
	PROLLY_ENTRY_DIRECTORY, /* a subdirectory, which the key is in */
	PROLLY_ENTRY_MORE,      /* the same, a level of a component (see below) */
} ProllyEntryType;

typedef struct {
	ProllyEntryType type;
	ProllyKeyDirKind dir_kind; /* of the subdirectory */
	size_t prefix_len;         /* the subdirectory's prefix: so many bytes of the key */
	size_t name_len;
	char name[PROLLY_NAME_MAX + 1]; /* NUL-terminated */
} ProllyKeyEntry;

/*
 * The entry of DIR that KEY, which starts with DIR's prefix, is or is in. ALSO_DIRECTORY matters
 * only if KEY has no '/' after the prefix (or DIR is of the unnamed namespace): a directory of
 * KEY's name exists, that is keys that start with KEY and '/', or the namespace that
 * prolly_keypath_get_rival_namespace names.
 *
 * A lister walks the keys from DIR's prefix on. After _DIRECTORY it goes on at the end of the
 * subdirectory's prefix. After _MORE it goes on with the next key, because short names that begin
 * alike lie between; a later _MORE with the prefix of the last _MORE is the same entry, and not
 * listed again. (All keys with that prefix are neighbours, so one prefix is all it remembers; one
 * that resumes in their midst finds out by asking from the prefix on.)
 */
void prolly_keypath_get_entry(const ProllyKeyDir *dir, const uint8_t *key, size_t key_len,
			      bool also_directory, ProllyKeyEntry *out_entry);

/* True if a key in DIR can be a directory's rival only by a look at the store, i.e. if
 * prolly_keypath_get_entry's ALSO_DIRECTORY matters for KEY: it is DIR's entry, not in a
 * subdirectory. */
bool prolly_keypath_is_direct(const ProllyKeyDir *dir, const uint8_t *key, size_t key_len);

/* The namespace whose directory would have the name that KEY of the unnamed namespace has, into
 * OUT_NAME. False: there can be none. */
bool prolly_keypath_get_rival_namespace(const uint8_t *key, size_t key_len,
					char out_name[PROLLY_NAMESPACE_MAX + 1]);

/* ---- From names to keys: lookup, create -------------------------------------------------- */

typedef enum {
	PROLLY_NAME_NONE,  /* nothing can have this name */
	PROLLY_NAME_PLAIN, /* a directory, or if there is none a key */
	PROLLY_NAME_KEY,   /* NAME%prolly-key: a key, if the directory NAME exists as well */
	PROLLY_NAME_MORE,  /* a level of long components: a directory, if a key is in it */
} ProllyNameType;

typedef struct {
	ProllyNameType type;
	size_t key_len;            /* _PLAIN, _KEY: the key is so many of the bytes */
	ProllyKeyDirKind dir_kind; /* _PLAIN, _MORE: of the directory */
	size_t prefix_len;         /* and its prefix: so many of the bytes */
	/* _PLAIN, _KEY in a branch's directory or _LONG: the namespace that is the directory ("":
	 * none can) */
	char namespace_name[PROLLY_NAMESPACE_MAX + 1];
} ProllyKeyName;

/*
 * What NAME in DIR can be. BYTES (contents replaced) gets the bytes that OUT_NAME's lengths are
 * about: of a _PLAIN name in a namespace "KEY/", KEY being the key and all of it the directory's
 * prefix. A directory in a branch's directory is a namespace, with an empty prefix. Whether _MORE
 * has a key in it is found with prolly_keypath_get_entry on the keys that start with its prefix, up
 * to the first that is not _NONE there (for the long names' own directory, %prolly-more: all keys
 * of the unnamed one).
 */
void prolly_keypath_lookup(const ProllyKeyDir *dir, const char *name, size_t name_len,
			   GByteArray *bytes, ProllyKeyName *out_name);

/*
 * The same for a name that is to be created, always _PLAIN. A name over 255 bytes or a key over
 * PROLLY_KEY_MAX is PROLLY_ERROR_NAME_TOO_LONG; a reserved name, or any in a directory that only
 * the escape makes, is PROLLY_ERROR_INVALID. For a directory in a branch's directory the caller
 * checks OUT_NAME's namespace_name, which is never "" then.
 */
bool prolly_keypath_create(const ProllyKeyDir *dir, const char *name, size_t name_len,
			   GByteArray *bytes, ProllyKeyName *out_name, GError **error);

/* ---- Namespaces -------------------------------------------------------------------------- */

/* Can NAME be a namespace's? "" (the unnamed one) can; others are 1 to PROLLY_NAMESPACE_MAX bytes
 * without '/', whose directory's name is at most PROLLY_NAME_MAX. Else PROLLY_ERROR_INVALID or
 * _NAME_TOO_LONG. */
bool prolly_keypath_check_namespace(const char *name, GError **error);

/* The directory entry of the namespace NAME (checked, not ""), into OUT_NAME. Returns its length.
 */
size_t prolly_keypath_namespace_to_name(const char *name, char out_name[PROLLY_NAME_MAX + 1]);

/* The inverse: the namespace whose directory entry is NAME. False: none can be. */
bool prolly_keypath_namespace_from_name(const char *name, size_t len,
					char out_name[PROLLY_NAMESPACE_MAX + 1]);

/* (transfer full) The file of a namespace in a commit's git tree: "ns-", then NAME with everything
 * but letters, digits, '_' and '-' percent-encoded. */
char *prolly_keypath_namespace_to_file(const char *name);

/* The inverse; only exactly what the other gives is accepted. */
bool prolly_keypath_namespace_from_file(const char *file, char out_name[PROLLY_NAMESPACE_MAX + 1]);

/* ---- Whole paths: NAMESPACE/KEY ---------------------------------------------------------- */

/* What a path below a branch's directory can be; at least one of the two. */
typedef struct {
	GBytes *key; /* NULL: no key */
	char *key_namespace;
	GBytes *prefix; /* NULL: no directory */
	char *dir_namespace;
	ProllyKeyDirKind dir_kind; /* _BRANCH: the unnamed namespace as a whole, or the branch */
} ProllyPath;

/*
 * Parses PATH as the mount would: "a/b" is key "b" of namespace "a" or the directory of keys that
 * start with "b/" there; "a" is key "a" of the unnamed namespace or the namespace "a"; with a slash
 * at its end a path is only a directory; "." and "" are the branch's directory. Empty components
 * and "." are skipped, ".." goes up. A path that nothing can have is PROLLY_ERROR_INVALID (so is
 * ".." above the top), one too long _NAME_TOO_LONG.
 */
bool prolly_path_parse(const char *path, ProllyPath *out_path, GError **error);
void prolly_path_clear(ProllyPath *path);

/*
 * (transfer full) The path of a key of the namespace NAME ("": the unnamed one). ALSO_DIRECTORY as
 * for prolly_keypath_get_entry. It has no NUL; whether it is UTF-8 depends on the key.
 */
char *prolly_path_from_key(const char *name, const void *key, size_t key_len, bool also_directory);

/*
 * (transfer full) The path, with a slash at its end, of a directory of the namespace NAME: PREFIX
 * is as ProllyKeyDir says. (Of the unnamed one: "" if PREFIX is empty, else a level of its long
 * keys.)
 */
char *prolly_path_from_directory(const char *name, const void *prefix, size_t prefix_len);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyPath, prolly_path_clear)
