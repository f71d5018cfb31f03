/* SPDX-License-Identifier: Apache-2.0 */

/*
 * session-call: the other end of a framed session: one command carried out by whoever has the store
 * mounted, with this process's streams.
 *
 * Two threads share the descriptor, so that a command that reads and prints at once cannot make
 * both ends wait for each other: this one reads frames until the exit status comes, a second one
 * sends standard input. Both use pread and pwrite: read and write would wait for each other in the
 * kernel.
 *
 * The command may end before its input does (it failed, or the input never ends). The sender then
 * sits in a read that nobody can end, so it is not joined but left with a reference of its own to
 * what the two share.
 */

#include "command/session.h"
#include "base/memory.h"
#include "command/command-private.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#define PIECE 65536u

/* ---- What the two threads share ---------------------------------------------------------- */

typedef struct {
	gint references; /* atomic */
	int fd;
	bool by_ioctl; /* the mount is read-only (session.h) */
	ProllyStreams streams;
	uint8_t *input; /* room for a frame of standard input; its thread's, once that runs */
} Call;

static Call *call_ref(Call *call)
{
	g_atomic_int_inc(&call->references);
	return call;
}

static void call_unref(Call *call)
{
	if (!g_atomic_int_dec_and_test(&call->references))
		return;
	close(call->fd);
	g_free(call->input);
	g_free(call);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Call, call_unref)

/* As write(2). */
static ssize_t send_some(const Call *call, const uint8_t *data, size_t len)
{
	if (!call->by_ioctl)
		return pwrite(call->fd, data, len, 0);
	size_t n = MIN(len, PROLLY_SESSION_IOCTL_MAX);
	return ioctl(call->fd, PROLLY_SESSION_IOCTL(n), data) < 0 ? -1 : (ssize_t)n;
}

/* Until everything was taken. Returns 0 or the errno. */
static int send_bytes(const Call *call, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = send_some(call, data, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* FRAME has room for the header before its LEN bytes of payload. */
static int send_made(const Call *call, ProllyFrameType type, uint8_t *frame, size_t len)
{
	frame[0] = (uint8_t)type;
	prolly_set_le32(frame + 1, (uint32_t)len);
	return send_bytes(call, frame, PROLLY_FRAME_HEADER_SIZE + len);
}

static int send_frame(const Call *call, ProllyFrameType type, const void *payload, size_t len)
{
	g_autofree uint8_t *frame = g_try_malloc(PROLLY_FRAME_HEADER_SIZE + len);
	if (!frame)
		return ENOMEM;
	if (len)
		memcpy(frame + PROLLY_FRAME_HEADER_SIZE, payload, len);
	return send_made(call, type, frame, len);
}

/* ---- Standard input ---------------------------------------------------------------------- */

/*
 * The command's input could not be read to its end, and must not seem to end here. A command line
 * of a length that cannot be breaks the session off, and so the command.
 */
static void break_off(const Call *call)
{
	static const uint8_t HEADER[] = {PROLLY_FRAME_COMMAND, 0xff, 0xff, 0xff, 0xff};
	send_bytes(call, HEADER, sizeof HEADER);
}

/* A write's failure needs no word: the command's end comes by the other thread. */
static void *send_input(void *data)
{
	g_autoptr(Call) call = data;
	g_autofree uint8_t *frame = g_steal_pointer(&call->input);
	size_t len = 0;

	do {
		if (!call->streams.read(call->streams.data, frame + PROLLY_FRAME_HEADER_SIZE, PIECE,
					&len)) {
			break_off(call);
			return NULL;
		}
		if (len && send_made(call, PROLLY_FRAME_INPUT, frame, len) != 0)
			return NULL;
	} while (len);
	send_frame(call, PROLLY_FRAME_INPUT_END, NULL, 0);
	return NULL;
}

static void start_input(Call *call)
{
	GThread *thread = g_thread_new("prollyfs-input", send_input, call_ref(call));
	g_thread_unref(thread);
}

/* ---- Frames ------------------------------------------------------------------------------ */

typedef struct {
	Call *call;
	const char *path;
	GByteArray *buffer; /* what was read and is no whole frame yet */
} Receiver;

static bool is_interrupted(const Call *call)
{
	return call->streams.is_cancelled && call->streams.is_cancelled(call->streams.data);
}

/* At least one byte more into the buffer. */
static bool receive(Receiver *receiver, GError **error)
{
	guint had = receiver->buffer->len;
	ssize_t n;

	if (!prolly_try_reserve(&receiver->buffer, PIECE, "what the command prints", error))
		return false;
	g_byte_array_set_size(receiver->buffer, had + PIECE);
	do
		n = pread(receiver->call->fd, receiver->buffer->data + had, PIECE, 0);
	while (n < 0 && errno == EINTR && !is_interrupted(receiver->call));
	int failure = errno;
	g_byte_array_set_size(receiver->buffer, had + (guint)MAX(n, 0));
	if (n > 0)
		return true;
	if (n < 0 && failure != EINTR)
		return prolly_throw_errno(error, failure, "%s", receiver->path);
	if (n < 0)
		return prolly_throw(error, PROLLY_ERROR_CANCELLED, "interrupted");
	return prolly_throw(error, PROLLY_ERROR_FAILED, "%s: the command ended without a status",
			    receiver->path);
}

/* Reads until LEN bytes are in the buffer. */
static bool receive_bytes(Receiver *receiver, size_t len, GError **error)
{
	while (receiver->buffer->len < len)
		if (!receive(receiver, error))
			return false;
	return true;
}

/* The next frame, at the buffer's start: the header and *OUT_LEN bytes. */
static bool receive_frame(Receiver *receiver, uint32_t *out_len, GError **error)
{
	if (!receive_bytes(receiver, PROLLY_FRAME_HEADER_SIZE, error))
		return false;
	*out_len = prolly_get_le32(receiver->buffer->data + 1);
	return receive_bytes(receiver, PROLLY_FRAME_HEADER_SIZE + (size_t)*out_len, error);
}

static void report_progress(const ProllyStreams *streams, const char *text, size_t len)
{
	json_t *json = streams->progress ? json_loadb(text, len, 0, NULL) : NULL;
	const char *what = json_string_value(json_object_get(json, "what"));
	if (what)
		streams->progress(streams->data, what,
				  (uint64_t)json_integer_value(json_object_get(json, "done")),
				  (uint64_t)json_integer_value(json_object_get(json, "total")));
	json_decref(json);
}

/* Handles the frame at the buffer's start; *OUT_STATUS is set by the last. */
static bool handle_frame(Receiver *receiver, uint32_t len, int *out_status, GError **error)
{
	const ProllyStreams *streams = &receiver->call->streams;
	const uint8_t *payload = receiver->buffer->data + PROLLY_FRAME_HEADER_SIZE;
	bool ok = true;

	switch (receiver->buffer->data[0]) {
	case PROLLY_FRAME_OUTPUT:
		ok = streams->write(streams->data, payload, len);
		break;
	case PROLLY_FRAME_ERROR:
		ok = streams->write_error(streams->data, payload, len);
		break;
	case PROLLY_FRAME_PROGRESS:
		report_progress(streams, (const char *)payload, len);
		break;
	case PROLLY_FRAME_STATUS:
		*out_status = len ? payload[0] : 2;
		break;
	default:
		break;
	}
	g_byte_array_remove_range(receiver->buffer, 0, PROLLY_FRAME_HEADER_SIZE + len);
	return ok || prolly_throw(error, PROLLY_ERROR_CANCELLED, "the output is closed");
}

static int receive_status(Receiver *receiver, GError **error)
{
	int status = -1;
	uint32_t len = 0;
	while (status < 0)
		if (!receive_frame(receiver, &len, error) ||
		    !handle_frame(receiver, len, &status, error))
			return -1;
	return status;
}

/* ---- The call ---------------------------------------------------------------------------- */

static int send_command(Call *call, const char *const *words)
{
	g_autofree char *line = prolly_command_join(words);
	if (!line)
		return ENOMEM;
	int failure = send_bytes(call, (const uint8_t *)PROLLY_FRAME_GREETING,
				 strlen(PROLLY_FRAME_GREETING));
	return failure ? failure : send_frame(call, PROLLY_FRAME_COMMAND, line, strlen(line));
}

static Call *open_call(const char *ctl_path, const ProllyStreams *streams, GError **error)
{
	int fd = open(ctl_path, O_RDWR | O_CLOEXEC);
	bool by_ioctl = fd < 0 && errno == EROFS;
	if (by_ioctl)
		fd = open(ctl_path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		prolly_throw_errno(error, errno, "%s", ctl_path);
		return NULL;
	}
	Call *call = g_new0(Call, 1);
	call->references = 1;
	call->fd = fd;
	call->by_ioctl = by_ioctl;
	call->streams = *streams;
	return call;
}

int prolly_session_call(const char *ctl_path, const char *const *words,
			const ProllyStreams *streams, GError **error)
{
	g_auto(ProllyCommandNeeds) needs = {0};
	g_autoptr(Call) call = NULL;
	Receiver receiver = {.path = ctl_path};

	if (!prolly_command_inspect(words, &needs, error))
		return -1;
	call = open_call(ctl_path, streams, error);
	if (!call)
		return -1;
	if (needs.input && streams->read) {
		call->input =
			prolly_try_malloc(PROLLY_FRAME_HEADER_SIZE + PIECE, "the input", error);
		if (!call->input)
			return -1;
	}
	int failure = send_command(call, words);
	if (failure) {
		prolly_throw_errno(error, failure, "%s", ctl_path);
		return -1;
	}
	if (call->input)
		start_input(call);
	receiver.call = call;
	receiver.buffer = g_byte_array_new();
	int status = receive_status(&receiver, error);
	g_byte_array_unref(receiver.buffer);
	return status;
}
