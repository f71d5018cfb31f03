/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * base: what every layer stands on. Hashes, the two error domains, bounds-checked numbers.
 *
 * Errors. A function that can fail returns false (or NULL) and sets a GError of one of two domains:
 * PROLLY_ERROR, whose codes say what went wrong in our own terms, and PROLLY_ERRNO, whose code *is*
 * the errno of a failed system call. Absence is never an error: look-ups return true and say
 * "not there" through an out-parameter. Out-parameters are untouched on failure.
 *
 * Threads. Everything here is thread-safe unless it works on an object of the caller's, which one
 * thread uses at a time.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

/* ---- Limits, part of the format ---------------------------------------------------------- */

#define PROLLY_KEY_MAX       65536u /* bytes of a key */
#define PROLLY_NAMESPACE_MAX 255u   /* bytes of a namespace's name: one path component */

/* ---- Errors ------------------------------------------------------------------------------ */

/* X(code, errno class, what it means when nothing better is known) */
#define PROLLY_ERRORS(X)                                                 \
	X(FAILED, EIO, "operation failed")                               \
	X(CORRUPT, EIO, "stored data are damaged")                       \
	X(MISSING, EIO, "a stored object is missing")                    \
	X(NOT_FOUND, ENOENT, "no such object")                           \
	X(EXISTS, EEXIST, "it exists already")                           \
	X(INVALID, EINVAL, "invalid argument")                           \
	X(USAGE, EINVAL, "wrong usage")                                  \
	X(TOO_BIG, EFBIG, "over a limit")                                \
	X(NAME_TOO_LONG, ENAMETOOLONG, "name too long")                  \
	X(NOT_EMPTY, ENOTEMPTY, "not empty")                             \
	X(NOT_DIR, ENOTDIR, "not a directory")                           \
	X(IS_DIR, EISDIR, "is a directory")                              \
	X(BUSY, EBUSY, "in use")                                         \
	X(LOCKED, EBUSY, "locked by another process")                    \
	X(READ_ONLY, EROFS, "read-only")                                 \
	X(DENIED, EPERM, "not permitted")                                \
	X(CROSS, EXDEV, "crosses branches")                              \
	X(STALE, ESTALE, "changed meanwhile")                            \
	X(CONFLICT, ENOTEMPTY, "merge conflict")                         \
	X(WOULD_OVERWRITE, EBUSY, "staged changes would be overwritten") \
	X(NEWER_FORMAT, EPROTONOSUPPORT, "made by a newer version")      \
	X(NOT_A_STORE, EMEDIUMTYPE, "not a store")                       \
	X(NO_SPACE, ENOSPC, "no space left")                             \
	X(UNSUPPORTED, EOPNOTSUPP, "not supported")                      \
	X(CANCELLED, EINTR, "cancelled")                                 \
	X(NO_MEMORY, ENOMEM, "no memory")

typedef enum {
#define PROLLY_ERROR_CODE(code, class, text) PROLLY_ERROR_##code,
	PROLLY_ERRORS(PROLLY_ERROR_CODE)
#undef PROLLY_ERROR_CODE
		PROLLY_ERROR_N_CODES
} ProllyErrorCode;

#define PROLLY_ERROR (prolly_error_quark())
GQuark prolly_error_quark(void);

#define PROLLY_ERRNO (prolly_errno_quark())
GQuark prolly_errno_quark(void);

/* Sets ERROR (nullable) to CODE with a formatted message. Returns false always. */
bool prolly_throw(GError **error, ProllyErrorCode code, const char *format, ...)
	G_GNUC_PRINTF(3, 4);

/* Sets ERROR from a failed system call: the message, ": " and strerror(ERRNUM). Returns false. */
bool prolly_throw_errno(GError **error, int errnum, const char *format, ...) G_GNUC_PRINTF(3, 4);

/*
 * Sets ERROR from libgit2's last error of this thread: the message, ": " and libgit2's text;
 * GIT_CODE (what the libgit2 function returned) chooses the code (ENOTFOUND, EEXISTS, ELOCKED,
 * ...). Call at once, on the same thread. Returns false.
 */
bool prolly_throw_git(GError **error, int git_code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The errno a filesystem answers for ERROR. Total: a foreign domain is EIO. */
int prolly_error_to_errno(const GError *error);

/* True if ERROR (nullable) is PROLLY_ERROR with CODE. */
bool prolly_error_is(const GError *error, ProllyErrorCode code);

/* ---- Hashes ------------------------------------------------------------------------------ */

#define PROLLY_HASH_SIZE     32
#define PROLLY_HASH_HEX_SIZE 65 /* with the terminating NUL */

typedef struct {
	uint8_t bytes[PROLLY_HASH_SIZE];
} ProllyHash;

/* SHA-256 of one message. */
void prolly_hash_compute(const void *data, size_t len, ProllyHash *out_hash);

/* SHA-256 of N messages, which together take less time than one after the other. */
typedef struct {
	const void *data;
	size_t len;
	ProllyHash *out_hash;
} ProllyHashMessage;
void prolly_hash_compute_many(const ProllyHashMessage *messages, size_t n);

/* SHA-256 of the concatenation A B. */
void prolly_hash_compute2(const void *a, size_t a_len, const void *b, size_t b_len,
			  ProllyHash *out_hash);

bool prolly_hash_equal(const ProllyHash *a, const ProllyHash *b);
int prolly_hash_compare(const ProllyHash *a, const ProllyHash *b);
bool prolly_hash_is_zero(const ProllyHash *hash);

/* Writes 64 lower-case hex digits and a NUL. Returns OUT. */
char *prolly_hash_to_hex(const ProllyHash *hash, char out[PROLLY_HASH_HEX_SIZE]);

/* Parses exactly 64 hex digits (either case). False, and OUT untouched, if HEX is anything else. */
bool prolly_hash_from_hex(const char *hex, ProllyHash *out_hash);

/* For GHashTable with ProllyHash keys. */
guint prolly_hash_table_hash(gconstpointer hash);
gboolean prolly_hash_table_equal(gconstpointer a, gconstpointer b);

/* ---- Bytes ------------------------------------------------------------------------------- */

/*
 * Numbers on disk. Little endian, but for keys of the database, which sort and so are big endian.
 * Writers append to a GByteArray; the reader is bounds-checked and *sticky*: after the first read
 * past the end every read gives 0 (or NULL) and `prolly_reader_ok` is false, so that a decoder
 * checks once, at its end.
 */
static inline uint16_t prolly_get_le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t prolly_get_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t prolly_get_le64(const uint8_t *p)
{
	return (uint64_t)prolly_get_le32(p) | (uint64_t)prolly_get_le32(p + 4) << 32;
}

static inline void prolly_set_le16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static inline void prolly_set_le32(uint8_t *p, uint32_t v)
{
	prolly_set_le16(p, (uint16_t)v);
	prolly_set_le16(p + 2, (uint16_t)(v >> 16));
}

static inline void prolly_set_le64(uint8_t *p, uint64_t v)
{
	prolly_set_le32(p, (uint32_t)v);
	prolly_set_le32(p + 4, (uint32_t)(v >> 32));
}

static inline uint32_t prolly_get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static inline uint64_t prolly_get_be64(const uint8_t *p)
{
	return (uint64_t)prolly_get_be32(p) << 32 | (uint64_t)prolly_get_be32(p + 4);
}

static inline void prolly_set_be32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static inline void prolly_set_be64(uint8_t *p, uint64_t v)
{
	prolly_set_be32(p, (uint32_t)(v >> 32));
	prolly_set_be32(p + 4, (uint32_t)v);
}

void prolly_append_u8(GByteArray *out, uint8_t v);
void prolly_append_le16(GByteArray *out, uint16_t v);
void prolly_append_le32(GByteArray *out, uint32_t v);
void prolly_append_le64(GByteArray *out, uint64_t v);
void prolly_append_be32(GByteArray *out, uint32_t v);
void prolly_append_be64(GByteArray *out, uint64_t v);
/* Unsigned LEB128, at most 10 bytes, shortest form. */
void prolly_append_varint(GByteArray *out, uint64_t v);
/* A varint length, then the bytes. */
void prolly_append_string(GByteArray *out, const void *data, size_t len);

typedef struct {
	const uint8_t *p;
	const uint8_t *end;
	bool failed;
} ProllyReader;

void prolly_reader_init(ProllyReader *reader, const void *data, size_t len);
/* True if no read went past the end. */
bool prolly_reader_ok(const ProllyReader *reader);
/* True if it is ok and everything was read. */
bool prolly_reader_at_end(const ProllyReader *reader);
uint8_t prolly_reader_u8(ProllyReader *reader);
uint16_t prolly_reader_le16(ProllyReader *reader);
uint32_t prolly_reader_le32(ProllyReader *reader);
uint64_t prolly_reader_le64(ProllyReader *reader);
uint32_t prolly_reader_be32(ProllyReader *reader);
uint64_t prolly_reader_be64(ProllyReader *reader);
/* Fails on an over-long form too, so that one number has one encoding. */
uint64_t prolly_reader_varint(ProllyReader *reader);
/* LEN bytes in place, or NULL. */
const uint8_t *prolly_reader_bytes(ProllyReader *reader, size_t len);
/* What prolly_append_string wrote, in place. */
const uint8_t *prolly_reader_string(ProllyReader *reader, size_t *out_len);

/* memcmp order on byte strings, the shorter first on a tie: the order of keys everywhere. */
int prolly_bytes_compare(const void *a, size_t a_len, const void *b, size_t b_len);
/* The same of what A and B point to, two strings: a GCompareFunc for arrays of them. */
int prolly_strings_compare(const void *a, const void *b);

/* ---- File descriptors -------------------------------------------------------------------- */

/* An int that closes itself: `prolly_autofd int fd = -1;` */
void prolly_close_fd(int *fd);
#define prolly_autofd __attribute__((cleanup(prolly_close_fd)))

static inline int prolly_steal_fd(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

/* write(2) until all LEN bytes are written. WHAT names the file in the error. */
bool prolly_write_all(int fd, const void *data, size_t len, const char *what, GError **error);
