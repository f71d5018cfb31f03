/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tape: records that are written in order, then read in order, as often as one likes.
 *
 * A merge decides keys that both sides changed in one pass and carries the decisions out in
 * another; a strategy that runs a command must not run it twice, and there may be a million of
 * them. Up to MEMORY_MAX bytes are kept in memory; then the tape goes on in a file without a name,
 * in the directory for temporary files.
 *
 * A record is its length (le32) and its bytes. While writing, BUFFER is the end that is not in the
 * file yet; while reading, it is a window of the file that begins at WINDOW_OFFSET (without a file,
 * it is the whole tape).
 */
#include "base/memory.h"
#include "version/merge-private.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MEMORY_MAX (1u << 20)
#define WINDOW_MIN (64u << 10) /* bytes read at once */

struct ProllyTape {
	GByteArray *buffer;
	int fd; /* -1: everything is in the buffer */
	uint64_t length;
	uint64_t window_offset;
	uint64_t position; /* of the next record */
	bool is_reading;
	GByteArray *scratch;
};

ProllyTape *prolly_tape_new(void)
{
	ProllyTape *tape = g_new0(ProllyTape, 1);

	tape->buffer = g_byte_array_new();
	tape->scratch = g_byte_array_new();
	tape->fd = -1;
	return tape;
}

void prolly_tape_free(ProllyTape *tape)
{
	if (!tape)
		return;
	if (tape->fd >= 0)
		close(tape->fd);
	g_byte_array_unref(tape->buffer);
	g_byte_array_unref(tape->scratch);
	g_free(tape);
}

/* ---- Writing ----------------------------------------------------------------------------- */

static bool open_file(ProllyTape *tape, GError **error)
{
	g_autofree char *path = g_build_filename(g_get_tmp_dir(), "prollyfs-XXXXXX", NULL);

	tape->fd = mkostemp(path, O_CLOEXEC);
	if (tape->fd < 0)
		return prolly_throw_errno(error, errno, "make %s", path);
	unlink(path);
	return true;
}

static bool write_buffer(ProllyTape *tape, GError **error)
{
	if (tape->fd < 0 && !open_file(tape, error))
		return false;
	if (!prolly_write_all(tape->fd, tape->buffer->data, tape->buffer->len, "a temporary file",
			      error))
		return false;
	g_byte_array_set_size(tape->buffer, 0);
	return true;
}

bool prolly_tape_append(ProllyTape *tape, const void *data, size_t len, GError **error)
{
	if (!prolly_try_reserve(&tape->buffer, 4 + len, "a merge", error))
		return false;
	prolly_append_le32(tape->buffer, (uint32_t)len);
	g_byte_array_append(tape->buffer, data, (guint)len);
	tape->length += 4 + len;
	return tape->buffer->len < MEMORY_MAX || write_buffer(tape, error);
}

/* ---- Reading ----------------------------------------------------------------------------- */

bool prolly_tape_rewind(ProllyTape *tape, GError **error)
{
	if (!tape->is_reading && tape->fd >= 0 && !write_buffer(tape, error))
		return false;
	tape->is_reading = true;
	tape->position = 0;
	return true;
}

/* *OUT_BYTES: LEN bytes at the position, which are there. */
static bool peek(ProllyTape *tape, size_t len, const uint8_t **out_bytes, GError **error)
{
	uint64_t end = tape->window_offset + tape->buffer->len;
	size_t want;
	ssize_t got;

	if (tape->position < tape->window_offset || tape->position + len > end) {
		want = (size_t)MIN(MAX(len, WINDOW_MIN), tape->length - tape->position);
		g_byte_array_set_size(tape->buffer, 0);
		if (!prolly_try_reserve(&tape->buffer, want, "a merge", error))
			return false;
		g_byte_array_set_size(tape->buffer, (guint)want);
		tape->window_offset = tape->position;
		for (size_t done = 0; done < want; done += (size_t)got) {
			got = pread(tape->fd, tape->buffer->data + done, want - done,
				    (off_t)(tape->position + done));
			if (got <= 0)
				return prolly_throw_errno(error, got < 0 ? errno : EIO,
							  "read a temporary file");
		}
	}
	*out_bytes = tape->buffer->data + (tape->position - tape->window_offset);
	return true;
}

bool prolly_tape_read(ProllyTape *tape, const uint8_t **out_data, size_t *out_len, GError **error)
{
	const uint8_t *bytes;
	size_t len;

	*out_data = NULL;
	if (tape->position == tape->length)
		return true;
	if (!peek(tape, 4, &bytes, error))
		return false;
	len = prolly_get_le32(bytes);
	if (!peek(tape, 4 + len, &bytes, error))
		return false;
	tape->position += 4 + len;
	*out_data = bytes + 4;
	*out_len = len;
	return true;
}

/* ---- Verdicts ---------------------------------------------------------------------------- */

/*
 * As a record: namespace, key (strings), a byte of flags, then the value and the sides' values that
 * the flags say are there (strings).
 */
enum {
	HAS_VALUE = 1 << 0,
	HAS_BASE = 1 << 1,
	HAS_OURS = 1 << 2,
	HAS_THEIRS = 1 << 3,
	IS_OPEN = 1 << 4,
};

static void append_value(GByteArray *out, const uint8_t *value, size_t len)
{
	if (value)
		prolly_append_string(out, value, len);
}

bool prolly_tape_append_verdict(ProllyTape *tape, const ProllyVerdict *verdict, GError **error)
{
	const ProllyMergeStep *sides = &verdict->sides;
	GByteArray *record = tape->scratch;

	g_byte_array_set_size(record, 0);
	prolly_append_string(record, verdict->place.ns, strlen(verdict->place.ns));
	prolly_append_string(record, verdict->place.key, verdict->place.key_len);
	prolly_append_u8(record,
			 (uint8_t)((verdict->value ? HAS_VALUE : 0) | (sides->base ? HAS_BASE : 0) |
				   (sides->ours ? HAS_OURS : 0) | (sides->theirs ? HAS_THEIRS : 0) |
				   (verdict->is_open ? IS_OPEN : 0)));
	append_value(record, verdict->value, verdict->value_len);
	append_value(record, sides->base, sides->base_len);
	append_value(record, sides->ours, sides->ours_len);
	append_value(record, sides->theirs, sides->theirs_len);
	return prolly_tape_append(tape, record->data, record->len, error);
}

/* An empty string that is there is not NULL. */
static const uint8_t *read_value(ProllyReader *reader, bool has, size_t *out_len)
{
	return has ? prolly_reader_string(reader, out_len) : NULL;
}

bool prolly_tape_read_verdict(ProllyTape *tape, ProllyVerdict *out_verdict, bool *out_end,
			      GError **error)
{
	ProllyVerdict verdict = {0};
	ProllyMergeStep *sides = &verdict.sides;
	ProllyReader reader;
	const uint8_t *data, *ns;
	size_t len, ns_len;
	uint8_t flags;

	if (!prolly_tape_read(tape, &data, &len, error))
		return false;
	*out_end = !data;
	if (!data)
		return true;
	prolly_reader_init(&reader, data, len);
	ns = prolly_reader_string(&reader, &ns_len);
	g_byte_array_set_size(tape->scratch, 0);
	g_byte_array_append(tape->scratch, ns, (guint)ns_len);
	g_byte_array_append(tape->scratch, (const uint8_t *)"", 1);
	verdict.place.ns = (const char *)tape->scratch->data;
	verdict.place.key = prolly_reader_string(&reader, &verdict.place.key_len);
	flags = prolly_reader_u8(&reader);
	verdict.is_open = flags & IS_OPEN;
	verdict.value = read_value(&reader, flags & HAS_VALUE, &verdict.value_len);
	sides->side = PROLLY_SIDE_BOTH;
	sides->key = verdict.place.key;
	sides->key_len = verdict.place.key_len;
	sides->base = read_value(&reader, flags & HAS_BASE, &sides->base_len);
	sides->ours = read_value(&reader, flags & HAS_OURS, &sides->ours_len);
	sides->theirs = read_value(&reader, flags & HAS_THEIRS, &sides->theirs_len);
	if (!prolly_reader_at_end(&reader))
		return prolly_throw(error, PROLLY_ERROR_FAILED, "a temporary file was changed");
	*out_verdict = verdict;
	return true;
}
