/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys as paths, paths as keys: the escape.
 *
 * A key is split at '/' into components (in the unnamed namespace it is one), and each is encoded:
 *
 *   byte or component             written as
 *   NUL                           %00
 *   '/' (unnamed namespace)       %2F
 *   component "."                 %2E
 *   component ".."                %2E%2E
 *   component ""                  %empty
 *   component ".prollyfs"         %.prollyfs
 *   '%' where %(25)*CODE reads    %25
 *   anything else                 itself
 *
 * CODE is what follows the '%' in the lines above, or prolly-key or prolly-more at the component's
 * end, which mean what is said below. (".prollyfs" is escaped in a branch's directory only, where
 * the name is taken.)
 *
 * A namespace's own name has no NUL and no '/' and is not empty, so of these only "." and "..",
 * ".prollyfs" and the suffixes concern it.
 *
 * Every legal name is the encoding of exactly one component. Decoding takes one 25 from each
 * %(25)+CODE and turns each %CODE back; encoding does the reverse at the same places, because no
 * CODE begins with 25 or contains what could begin another, so neither makes or breaks a
 * neighbour's.
 *
 * A component whose encoding is over 255 bytes goes on in the next level:
 *
 *   PIECE%prolly-more/REST
 *
 * where PIECE is the shortest beginning of the component whose *cost* is 241 or more, a byte
 * costing 3 if it could be escaped and 1 if not, and REST is written by the same rules. So where
 * a piece ends depends on its own bytes alone, its name has at most 243 + 12 bytes, and no piece
 * begins another one: keys that begin alike share their levels. The component that ends a key that
 * is a directory too gets "%prolly-key", and goes on in the next level if it has no room for that.
 * In the branch's directory long keys of the unnamed namespace have "%prolly-more/" before the
 * first piece, so that the directory shows one name for all of them.
 *
 * I1. A level is only used by components that need it: whether a name in it may be is checked on
 *     the way back (needs_level), or a key had two paths. It is enough to look at the last level:
 *     a component that is too long without its beginning is too long with it.
 *
 * Rejected: cutting at a number of encoded bytes, which can part an escape, so that a level would
 * not be a set of keys with one prefix; and hashed names, from which the key cannot be read.
 */
#include "version/keypath.h"

#include <string.h>

#define SUFFIX_KEY  "%prolly-key"
#define SUFFIX_MORE "%prolly-more"
#define LEN(text)   (sizeof(text) - 1)

#define PIECE_COST (PROLLY_NAME_MAX - LEN(SUFFIX_MORE) - 2)
#define ROOM_KEY   (PROLLY_NAME_MAX - LEN(SUFFIX_KEY)) /* for a name before "%prolly-key" */

/* ---- The grammar ------------------------------------------------------------------------- */

/* Where a name is, which decides what is escaped in it. */
typedef enum {
	PLACE_KEYS = 1 << 0,      /* in a namespace */
	PLACE_BRANCH = 1 << 1,    /* a key in a branch's directory */
	PLACE_LONG = 1 << 2,      /* a key, or its end, below the branch's %prolly-more */
	PLACE_NAMESPACE = 1 << 3, /* a namespace in a branch's directory */
} Place;

#define PLACES_UNNAMED (PLACE_BRANCH | PLACE_LONG)
#define PLACES_KEY     (PLACE_KEYS | PLACES_UNNAMED)
#define PLACES_ALL     (PLACES_KEY | PLACE_NAMESPACE)

typedef enum {
	AT_ANY,
	AT_END,
	AT_WHOLE,
} At;

typedef struct {
	const char *text; /* after '%' */
	size_t len;
	const char *raw; /* what it stands for; NULL: nothing, it is reserved */
	size_t raw_len;
	At at;
	unsigned places;
} Code;

#define CODE(text, raw, at, places)                        \
	{                                                  \
		text, LEN(text), raw, LEN(raw), at, places \
	}
#define RESERVED(suffix)                                                   \
	{                                                                  \
		&(suffix)[1], LEN(suffix) - 1, NULL, 0, AT_END, PLACES_ALL \
	}

static const Code codes[] = {
	CODE("00", "\0", AT_ANY, PLACES_KEY),
	CODE("2F", "/", AT_ANY, PLACES_UNNAMED),
	CODE("2E", ".", AT_WHOLE, PLACES_ALL),
	CODE("2E%2E", "..", AT_WHOLE, PLACES_ALL),
	CODE("empty", "", AT_WHOLE, PLACES_KEY),
	CODE(".prollyfs", ".prollyfs", AT_WHOLE, PLACE_BRANCH | PLACE_NAMESPACE),
	RESERVED(SUFFIX_KEY),
	RESERVED(SUFFIX_MORE),
};

static bool equals(const void *data, size_t len, const char *text, size_t text_len)
{
	return len == text_len && (len == 0 || memcmp(data, text, len) == 0);
}

static bool code_is_at(const Code *code, Place place, const uint8_t *text, size_t len, size_t start,
		       size_t at)
{
	bool ends = at + code->len == len;

	return (code->places & place) && at + code->len <= len &&
	       memcmp(text + at, code->text, code->len) == 0 &&
	       (code->at == AT_ANY || (ends && (code->at == AT_END || start == 0)));
}

/* The code of %(25)*CODE at the '%' at START, or NULL; *OUT_QUOTES: how many 25 there are. */
static const Code *find_code(Place place, const uint8_t *text, size_t len, size_t start,
			     size_t *out_quotes)
{
	size_t at = start + 1;

	while (at + 2 <= len && text[at] == '2' && text[at + 1] == '5')
		at += 2;
	for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
		if (code_is_at(&codes[i], place, text, len, start, at)) {
			*out_quotes = (at - start - 1) / 2;
			return &codes[i];
		}
	}
	return NULL;
}

/* The code that stands for a component as a whole, or NULL. */
static const Code *find_whole(Place place, const uint8_t *raw, size_t len)
{
	if (len > LEN(".prollyfs") || (len > 0 && raw[0] != '.'))
		return NULL;
	for (size_t i = 0; i < G_N_ELEMENTS(codes); i++)
		if (codes[i].at == AT_WHOLE && (codes[i].places & place) &&
		    equals(raw, len, codes[i].raw, codes[i].raw_len))
			return &codes[i];
	return NULL;
}

static bool is_escaped_byte(Place place, uint8_t byte)
{
	return byte == 0 || (byte == '/' && (place & PLACES_UNNAMED));
}

/* Nothing to escape in RAW, unless it is a whole. The usual case, and fast. */
static bool is_plain(Place place, const uint8_t *raw, size_t len)
{
	return !memchr(raw, '%', len) && !memchr(raw, 0, len) &&
	       !((place & PLACES_UNNAMED) && memchr(raw, '/', len));
}

/* ---- One component ----------------------------------------------------------------------- */

/* What the byte at I of RAW is written as: up to 3 bytes into OUT. Returns how many. */
static size_t encode_byte(Place place, const uint8_t *raw, size_t len, size_t i, char out[3])
{
	size_t quotes;

	if (is_escaped_byte(place, raw[i])) {
		memcpy(out, raw[i] ? "%2F" : "%00", 3);
		return 3;
	}
	if (raw[i] == '%' && find_code(place, raw, len, i, &quotes)) {
		memcpy(out, "%25", 3);
		return 3;
	}
	out[0] = (char)raw[i];
	return 1;
}

/*
 * Encodes a component of at most ROOM bytes when encoded into OUT (not terminated). False: it is
 * longer.
 */
static bool encode(Place place, const uint8_t *raw, size_t len, char *out, size_t room,
		   size_t *out_len)
{
	const Code *whole = find_whole(place, raw, len);
	size_t done = 0;

	if (len > room)
		return false;
	if (whole) {
		out[0] = '%';
		memcpy(out + 1, whole->text, whole->len);
		*out_len = 1 + whole->len;
		return true;
	}
	if (is_plain(place, raw, len)) {
		memcpy(out, raw, len);
		*out_len = len;
		return true;
	}
	for (size_t i = 0; i < len; i++) {
		char bytes[3];
		size_t n = encode_byte(place, raw, len, i, bytes);

		if (n > room - done)
			return false;
		memcpy(out + done, bytes, n);
		done += n;
	}
	*out_len = done;
	return true;
}

/* Is TEXT no name at all, or one that is taken? */
static bool is_illegal(Place place, const uint8_t *text, size_t len)
{
	return find_whole(place, text, len) || len == 0 || memchr(text, '/', len) ||
	       memchr(text, 0, len);
}

/* Decodes a name without reserved suffix into OUT, which is never longer. False: it is none. */
static bool decode(Place place, const char *name, size_t len, uint8_t *out, size_t *out_len)
{
	const uint8_t *text = (const uint8_t *)name;
	size_t done = 0;

	if (is_illegal(place, text, len))
		return false;
	for (size_t i = 0; i < len;) {
		size_t quotes = 0;
		const Code *code = NULL;

		if (text[i] == '%')
			code = find_code(place, text, len, i, &quotes);
		if (!code) {
			out[done++] = text[i++];
		} else if (quotes > 0) {
			out[done++] = '%';
			i += LEN("%25");
		} else if (code->raw) {
			memcpy(out + done, code->raw, code->raw_len);
			done += code->raw_len;
			i += 1 + code->len;
		} else {
			return false;
		}
	}
	*out_len = done;
	return true;
}

/* ---- Levels ------------------------------------------------------------------------------ */

/* The length of RAW's first piece, or 0 if it has not the cost of one. */
static size_t measure_piece(Place place, const uint8_t *raw, size_t len)
{
	size_t cost = 0;

	for (size_t i = 0; i < len; i++) {
		cost += raw[i] == '%' || is_escaped_byte(place, raw[i]) ? 3 : 1;
		if (cost >= PIECE_COST)
			return i + 1;
	}
	return 0;
}

static Place place_of(const ProllyKeyDir *dir)
{
	switch (dir->kind) {
	case PROLLY_KEYDIR_BRANCH:
		return PLACE_BRANCH;
	case PROLLY_KEYDIR_LONG:
		return PLACE_LONG;
	case PROLLY_KEYDIR_KEYS:
	case PROLLY_KEYDIR_MORE:
		break;
	}
	return PLACE_KEYS;
}

/* Is DIR a level of components, which holds only what is too long for another place? */
static bool is_level(const ProllyKeyDir *dir)
{
	return dir->kind == PROLLY_KEYDIR_LONG || dir->kind == PROLLY_KEYDIR_MORE;
}

/* Where the last piece of a level's prefix begins. Its end: there is none (LONG itself). */
static size_t find_last_piece(const ProllyKeyDir *dir)
{
	Place place = place_of(dir);
	size_t start = 0, last;

	if (dir->kind == PROLLY_KEYDIR_MORE)
		for (start = dir->prefix_len; start > 0 && dir->prefix[start - 1] != '/';)
			start--;
	do {
		last = start;
		start += measure_piece(place, dir->prefix + start, dir->prefix_len - start);
	} while (start > last && start < dir->prefix_len);
	return last;
}

/*
 * May the component that ends LEN bytes after the prefix, in BYTES, be in the level DIR, where ROOM
 * is what it would have in the directory above? (I1)
 */
static bool needs_level(const ProllyKeyDir *dir, const uint8_t *bytes, size_t len, size_t room)
{
	size_t start = find_last_piece(dir);
	char name[PROLLY_NAME_MAX];
	size_t name_len;

	return !encode(place_of(dir), bytes + start, dir->prefix_len + len - start, name, room,
		       &name_len);
}

bool prolly_keypath_get_prefix_end(const void *prefix, size_t len, GByteArray *out_end)
{
	const uint8_t *bytes = prefix;

	while (len > 0 && bytes[len - 1] == 0xff)
		len--;
	if (len == 0)
		return false;
	g_byte_array_set_size(out_end, 0);
	g_byte_array_append(out_end, bytes, (guint)len);
	out_end->data[len - 1]++;
	return true;
}

/* ---- From keys to names ------------------------------------------------------------------ */

static void set_suffix(ProllyKeyEntry *entry, const char *suffix, size_t len)
{
	memcpy(entry->name + entry->name_len, suffix, len);
	entry->name_len += len;
}

/* The level that a component of LEN bytes after DIR's prefix goes on in. */
static void set_more(const ProllyKeyDir *dir, const uint8_t *raw, size_t len, ProllyKeyEntry *entry)
{
	Place place = place_of(dir);
	size_t piece = 0;

	entry->type = PROLLY_ENTRY_MORE;
	entry->dir_kind = place & PLACES_UNNAMED ? PROLLY_KEYDIR_LONG : PROLLY_KEYDIR_MORE;
	if (dir->kind != PROLLY_KEYDIR_BRANCH) {
		piece = measure_piece(place, raw, len);
		bool fits =
			encode(place, raw, piece, entry->name, PROLLY_NAME_MAX, &entry->name_len);

		g_assert(piece > 0 && fits);
	}
	entry->prefix_len = dir->prefix_len + piece;
	set_suffix(entry, SUFFIX_MORE, LEN(SUFFIX_MORE));
}

/* How many bytes after DIR's prefix are KEY's component there; *OUT_IS_LAST: it ends the key. */
static size_t measure_component(const ProllyKeyDir *dir, const uint8_t *key, size_t key_len,
				bool *out_is_last)
{
	size_t rest = key_len - dir->prefix_len;
	const uint8_t *slash = NULL;

	if (place_of(dir) == PLACE_KEYS && rest > 0)
		slash = memchr(key + dir->prefix_len, '/', rest);
	*out_is_last = !slash;
	return slash ? (size_t)(slash - key) - dir->prefix_len : rest;
}

bool prolly_keypath_is_direct(const ProllyKeyDir *dir, const uint8_t *key, size_t key_len)
{
	bool is_last;

	measure_component(dir, key, key_len, &is_last);
	return is_last;
}

void prolly_keypath_get_entry(const ProllyKeyDir *dir, const uint8_t *key, size_t key_len,
			      bool also_directory, ProllyKeyEntry *out_entry)
{
	const uint8_t *raw = key + dir->prefix_len;
	Place place = place_of(dir);
	bool is_last;
	size_t len = measure_component(dir, key, key_len, &is_last);
	bool with_suffix = is_last && also_directory;
	size_t room = with_suffix ? ROOM_KEY : PROLLY_NAME_MAX;

	out_entry->type = PROLLY_ENTRY_NONE;
	out_entry->prefix_len = 0;
	out_entry->name_len = 0;
	if (is_level(dir) && !needs_level(dir, key, len, room)) {
		out_entry->name[0] = 0;
		return;
	}
	if ((dir->kind == PROLLY_KEYDIR_LONG && dir->prefix_len == 0) ||
	    !encode(place, raw, len, out_entry->name, room, &out_entry->name_len)) {
		set_more(dir, raw, len, out_entry);
	} else if (is_last) {
		out_entry->type = PROLLY_ENTRY_KEY;
		if (with_suffix)
			set_suffix(out_entry, SUFFIX_KEY, LEN(SUFFIX_KEY));
	} else {
		out_entry->type = PROLLY_ENTRY_DIRECTORY;
		out_entry->dir_kind = PROLLY_KEYDIR_KEYS;
		out_entry->prefix_len = dir->prefix_len + len + 1;
	}
	out_entry->name[out_entry->name_len] = 0;
}

bool prolly_keypath_get_rival_namespace(const uint8_t *key, size_t key_len,
					char out_name[PROLLY_NAMESPACE_MAX + 1])
{
	char name[PROLLY_NAME_MAX];
	size_t len;

	return encode(PLACE_BRANCH, key, key_len, name, sizeof(name), &len) &&
	       prolly_keypath_namespace_from_name(name, len, out_name);
}

/* ---- From names to keys ------------------------------------------------------------------ */

/* Takes SUFFIX off NAME. */
static bool take_suffix(const char *name, size_t *len, const char *suffix, size_t suffix_len)
{
	if (*len < suffix_len || memcmp(name + *len - suffix_len, suffix, suffix_len) != 0)
		return false;
	*len -= suffix_len;
	return true;
}

static void look_up_more(const ProllyKeyDir *dir, size_t piece_len, GByteArray *bytes,
			 ProllyKeyName *out_name)
{
	Place place = place_of(dir);
	const uint8_t *piece = bytes->data + dir->prefix_len;

	if (dir->kind == PROLLY_KEYDIR_BRANCH ||
	    measure_piece(place, piece, piece_len) != piece_len)
		return;
	out_name->type = PROLLY_NAME_MORE;
	out_name->dir_kind = place & PLACES_UNNAMED ? PROLLY_KEYDIR_LONG : PROLLY_KEYDIR_MORE;
	out_name->prefix_len = bytes->len;
}

static void look_up_key(const ProllyKeyDir *dir, bool with_suffix, size_t len, GByteArray *bytes,
			ProllyKeyName *out_name)
{
	bool unnamed = place_of(dir) & PLACES_UNNAMED;

	if (dir->kind == PROLLY_KEYDIR_LONG && dir->prefix_len == 0)
		return;
	if (is_level(dir) &&
	    !needs_level(dir, bytes->data, len, with_suffix ? ROOM_KEY : PROLLY_NAME_MAX))
		return;
	out_name->type = with_suffix ? PROLLY_NAME_KEY : PROLLY_NAME_PLAIN;
	out_name->key_len = bytes->len;
	if (unnamed &&
	    !prolly_keypath_get_rival_namespace(bytes->data, bytes->len, out_name->namespace_name))
		out_name->namespace_name[0] = 0;
	if (with_suffix)
		return;
	out_name->dir_kind = PROLLY_KEYDIR_KEYS;
	if (!unnamed) {
		g_byte_array_append(bytes, (const guint8 *)"/", 1);
		out_name->prefix_len = bytes->len;
	}
}

void prolly_keypath_lookup(const ProllyKeyDir *dir, const char *name, size_t name_len,
			   GByteArray *bytes, ProllyKeyName *out_name)
{
	uint8_t raw[PROLLY_NAME_MAX];
	size_t stem = name_len, len;

	out_name->type = PROLLY_NAME_NONE;
	out_name->key_len = out_name->prefix_len = 0;
	out_name->namespace_name[0] = 0;
	g_byte_array_set_size(bytes, 0);
	if (name_len > PROLLY_NAME_MAX)
		return;
	bool is_more = take_suffix(name, &stem, SUFFIX_MORE, LEN(SUFFIX_MORE));
	bool is_key = !is_more && take_suffix(name, &stem, SUFFIX_KEY, LEN(SUFFIX_KEY));

	if (is_more && stem == 0 && dir->kind == PROLLY_KEYDIR_BRANCH) {
		out_name->type = PROLLY_NAME_MORE;
		out_name->dir_kind = PROLLY_KEYDIR_LONG;
		return;
	}
	if (!decode(place_of(dir), name, stem, raw, &len))
		return;
	if (dir->prefix_len > 0)
		g_byte_array_append(bytes, dir->prefix, (guint)dir->prefix_len);
	g_byte_array_append(bytes, raw, (guint)len);
	if (bytes->len > PROLLY_KEY_MAX)
		return;
	if (is_more)
		look_up_more(dir, len, bytes, out_name);
	else
		look_up_key(dir, is_key, len, bytes, out_name);
}

bool prolly_keypath_create(const ProllyKeyDir *dir, const char *name, size_t name_len,
			   GByteArray *bytes, ProllyKeyName *out_name, GError **error)
{
	ProllyKeyName found;

	if (name_len > PROLLY_NAME_MAX)
		return prolly_throw(error, PROLLY_ERROR_NAME_TOO_LONG,
				    "a name of %zu bytes (the most is %u)", name_len,
				    PROLLY_NAME_MAX);
	prolly_keypath_lookup(dir, name, name_len, bytes, &found);
	if (bytes->len > PROLLY_KEY_MAX && found.type == PROLLY_NAME_NONE)
		return prolly_throw(error, PROLLY_ERROR_NAME_TOO_LONG,
				    "%.*s: its key would have over %u bytes", (int)name_len, name,
				    PROLLY_KEY_MAX);
	if (found.type != PROLLY_NAME_PLAIN || is_level(dir))
		return prolly_throw(error, PROLLY_ERROR_INVALID, "%.*s: a reserved name",
				    (int)name_len, name);
	*out_name = found;
	return true;
}

/* ---- Namespaces -------------------------------------------------------------------------- */

bool prolly_keypath_check_namespace(const char *name, GError **error)
{
	char encoded[PROLLY_NAME_MAX];
	size_t len = strlen(name), encoded_len;

	if (strchr(name, '/'))
		return prolly_throw(error, PROLLY_ERROR_INVALID, "namespace %s: '/' in its name",
				    name);
	if (len > 0 && !encode(PLACE_NAMESPACE, (const uint8_t *)name, len, encoded,
			       sizeof(encoded), &encoded_len))
		return prolly_throw(error, PROLLY_ERROR_NAME_TOO_LONG,
				    "namespace %s: its name is too long", name);
	return true;
}

size_t prolly_keypath_namespace_to_name(const char *name, char out_name[PROLLY_NAME_MAX + 1])
{
	size_t len = 0;
	bool fits = encode(PLACE_NAMESPACE, (const uint8_t *)name, strlen(name), out_name,
			   PROLLY_NAME_MAX, &len);

	g_assert(fits && len > 0);
	out_name[len] = 0;
	return len;
}

bool prolly_keypath_namespace_from_name(const char *name, size_t len,
					char out_name[PROLLY_NAMESPACE_MAX + 1])
{
	uint8_t raw[PROLLY_NAME_MAX];
	size_t raw_len;

	if (len > PROLLY_NAME_MAX || !decode(PLACE_NAMESPACE, name, len, raw, &raw_len))
		return false;
	memcpy(out_name, raw, raw_len);
	out_name[raw_len] = 0;
	return true;
}
