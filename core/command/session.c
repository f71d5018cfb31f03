/* SPDX-License-Identifier: Apache-2.0 */

/*
 * session: one open handle of a control file, plain or framed.
 *
 * Both modes begin as plain; the first line decides. Plain: a write runs the commands whose lines
 * it completes, one after another, and what they print waits in a spool for reads. Framed: a write
 * takes frames apart and queues commands and their input; one thread of the session runs the
 * commands; what they print becomes frames, which reads take.
 *
 * 1. A write in plain mode is atomic against other writes (plain_lock); reads go on beside it.
 * 2. Framed queues are bounded: a write waits at its beginning while INPUT_MAX bytes are queued,
 *    and then takes everything it was given, so that it fails with EINTR only if it took nothing. A
 *    command waits while OUTPUT_MAX bytes are not read, before it begins and when it prints.
 * 3. A command line ends the input of the command before it; what is sent to a command that has
 *    ended is dropped. So no sequence of frames makes the session wait for what never comes, but
 *    for the input of the last command, which its sender still holds.
 * 4. An interrupt ends the command that runs, and calls that wait return EINTR; freeing does the
 *    same for good.
 * 5. What waits here for a command or for a reader is taken of the caller's allowance, so that many
 *    sessions hold no more than one may. If that is used up, what comes in is refused for good
 *    (EDQUOT), a plain command's output too; frames wait for the reader of those before them. (One
 *    frame, and one command's messages, go without: there is always something to read.)
 *
 * Locks: plain_lock, then lock. No lock is held while a command runs, but for plain_lock.
 */

#include "command/session.h"
#include "base/memory.h"
#include "command/command-private.h"

#include <string.h>

/* A command line can be all that execve(2) takes, quoted. */
#define LINE_MAX_BYTES (8u * 1024 * 1024)
#define INPUT_MAX      (1024u * 1024)
#define OUTPUT_MAX     (1024u * 1024)
#define FRAME_MAX      61440u /* bytes of payload of the frames that are sent: what output.c gives */
#define JOB_COST       256u   /* bytes of a command of framed mode besides its line */

/* A command of framed mode, with the input that has come for it. */
typedef struct {
	char *line;  /* NULL: what came is no command line */
	size_t cost; /* taken of the allowance */
	GByteArray *input;
	size_t input_read;
	bool input_ended;
} Job;

/* A frame on its way to a reader. */
typedef struct {
	size_t len;
	uint8_t bytes[];
} Frame;

/* Where in a frame the parser is. */
typedef struct {
	uint8_t header[PROLLY_FRAME_HEADER_SIZE];
	size_t header_len;
	uint32_t left;       /* bytes of payload to come */
	GByteArray *payload; /* of a command line */
} FrameParser;

struct ProllySession {
	ProllyRepo *repo; /* borrowed: outlives the session */
	ProllyCaller caller;
	char *branch, *cwd;
	GStrv environment;
	_Atomic size_t taken; /* of caller.allowance */

	GMutex plain_lock;
	GByteArray
		*line; /* an unfinished one, of the first line or of plain mode; under plain_lock */
	bool is_begun; /* the first line has come; under plain_lock */
	int latched;   /* errno of the command that failed; under plain_lock */

	GMutex lock; /* of everything below */
	GCond changed;
	ProllySpool *spool; /* what plain mode printed */
	int spool_failure;  /* errno of a write to it */
	bool is_framed;
	bool is_closing;
	bool is_broken;    /* a frame that cannot be: nothing that follows is understood */
	int broken_by;     /* the errno of that */
	bool is_cancelled; /* the command that runs shall end */
	unsigned interrupts;
	FrameParser parser; /* of writes, which plain_lock keeps apart; not under lock */
	GQueue jobs;        /* of Job *, the first runs */
	Job *running;
	size_t input_queued; /* bytes in the jobs' input, and the cost of those that wait */
	GQueue output;       /* of Frame * */
	size_t output_read;  /* bytes of the first */
	size_t output_len;   /* bytes of all that are not read */
	size_t output_taken; /* of the allowance, for them */
	GThread *thread;
};

/* ---- Lifecycle --------------------------------------------------------------------------- */

ProllySession *prolly_session_new(ProllyRepo *repo, const ProllyCaller *caller)
{
	ProllySession *session = g_new0(ProllySession, 1);
	session->repo = repo;
	session->branch = g_strdup(caller->branch);
	session->cwd = g_strdup(caller->cwd);
	session->environment = g_strdupv((char **)caller->environment);
	session->caller = *caller;
	session->caller.branch = session->branch;
	session->caller.cwd = session->cwd;
	session->caller.environment = (const char *const *)session->environment;
	g_mutex_init(&session->plain_lock);
	g_mutex_init(&session->lock);
	g_cond_init(&session->changed);
	session->line = g_byte_array_new();
	session->spool = prolly_spool_new();
	session->parser.payload = g_byte_array_new();
	g_queue_init(&session->output);
	g_queue_init(&session->jobs);
	return session;
}

static void job_free(Job *job)
{
	g_free(job->line);
	g_byte_array_unref(job->input);
	g_free(job);
}

void prolly_session_free(ProllySession *session)
{
	if (!session)
		return;
	g_mutex_lock(&session->lock);
	session->is_closing = true;
	g_cond_broadcast(&session->changed);
	g_mutex_unlock(&session->lock);
	if (session->thread)
		g_thread_join(session->thread);
	/* A plain command runs inside a write; when this has the lock none does. */
	g_mutex_lock(&session->plain_lock);
	g_mutex_unlock(&session->plain_lock);
	g_queue_clear_full(&session->jobs, (GDestroyNotify)job_free);
	g_queue_clear_full(&session->output, g_free);
	g_byte_array_unref(session->parser.payload);
	prolly_spool_free(session->spool);
	g_byte_array_unref(session->line);
	g_cond_clear(&session->changed);
	g_mutex_clear(&session->lock);
	g_mutex_clear(&session->plain_lock);
	prolly_allowance_give(session->caller.allowance, session->taken);
	g_strfreev(session->environment);
	g_free(session->cwd);
	g_free(session->branch);
	g_free(session);
}

static bool take(ProllySession *session, size_t n)
{
	if (!prolly_allowance_take(session->caller.allowance, n))
		return false;
	session->taken += n;
	return true;
}

static void give(ProllySession *session, size_t n)
{
	session->taken -= n;
	prolly_allowance_give(session->caller.allowance, n);
}

void prolly_session_interrupt(ProllySession *session)
{
	g_mutex_lock(&session->lock);
	session->interrupts++;
	session->is_cancelled = true;
	g_cond_broadcast(&session->changed);
	g_mutex_unlock(&session->lock);
}

static bool must_stop(const ProllySession *session)
{
	return session->is_closing || session->is_broken || session->is_cancelled;
}

/* ProllyStreams.is_cancelled, of both modes */
static bool is_cancelled(void *data)
{
	ProllySession *session = data;
	g_mutex_lock(&session->lock);
	bool cancelled = must_stop(session);
	g_mutex_unlock(&session->lock);
	return cancelled;
}

static void begin_command(ProllySession *session)
{
	g_mutex_lock(&session->lock);
	session->is_cancelled = false;
	g_mutex_unlock(&session->lock);
}

/* ---- Plain mode -------------------------------------------------------------------------- */

static bool write_spool(void *data, const void *bytes, size_t len)
{
	ProllySession *session = data;
	g_autoptr(GError) error = NULL;
	int failure = 0;

	g_mutex_lock(&session->lock);
	if (!take(session, len)) {
		failure = EDQUOT;
	} else if (!prolly_spool_write(session->spool, bytes, len, &error)) {
		give(session, len);
		failure = prolly_error_to_errno(error);
	}
	if (failure)
		session->spool_failure = failure;
	g_mutex_unlock(&session->lock);
	return !failure;
}

/* The status of a command line that cannot be split: as prolly_command_run has it for others. */
static int refuse(const ProllyStreams *streams, const char *why)
{
	g_autofree char *line = g_strdup_printf("prollyfs-ctl: %s\n", why);
	streams->write_error(streams->data, line, strlen(line));
	return 2;
}

/* Runs LINE; the errno it fails with, or 0. */
static int run_line(ProllySession *session, const char *line)
{
	ProllyStreams streams = {.write = write_spool,
				 .write_error = write_spool,
				 .is_cancelled = is_cancelled,
				 .data = session};
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) words = prolly_command_split(line, &error);
	int failure = 0;

	if (words && !*words)
		return 0;
	begin_command(session);
	if (!words) {
		refuse(&streams, error->message);
		return prolly_error_to_errno(error);
	}
	int status = prolly_command_run(session->repo, &session->caller, &streams,
					(const char *const *)words, &failure);
	if (status == 2 && session->spool_failure)
		return session->spool_failure;
	return status == 2 ? failure : 0;
}

static void *run_jobs(void *data);

/* "frames 1" begins framed mode; another number is one that this version does not know. */
static int begin_frames(ProllySession *session, const char *line)
{
	if (strcmp(line, "frames 1") != 0)
		return EPROTONOSUPPORT;
	g_mutex_lock(&session->lock);
	session->thread = g_thread_try_new("prollyfs-session", run_jobs, session, NULL);
	session->is_framed = session->thread != NULL;
	g_mutex_unlock(&session->lock);
	return session->is_framed ? 0 : EAGAIN;
}

/* (transfer full) (nullable) */
static char *dup_line(const void *bytes, size_t len)
{
	char *line = g_try_malloc(len + 1);

	if (line) {
		memcpy(line, bytes, len);
		line[len] = '\0';
	}
	return line;
}

/* A whole line, without its newline. */
static int take_line(ProllySession *session)
{
	/* Before the first byte of a session there is no buffer. */
	const char *bytes = session->line->data ? (const char *)session->line->data : "";
	g_autofree char *line = dup_line(bytes, session->line->len);
	bool is_first = !session->is_begun;

	if (!line)
		return ENOMEM;
	if (strlen(line) != session->line->len)
		return EINVAL;
	give(session, session->line->len);
	prolly_bytes_drop(&session->line);
	session->is_begun = true;
	if (is_first && g_str_has_prefix(line, "frames "))
		return begin_frames(session, line);
	return run_line(session, line);
}

static int append_to_line(ProllySession *session, const char *data, size_t len)
{
	if (session->line->len + len > LINE_MAX_BYTES)
		return E2BIG;
	if (!take(session, len))
		return EDQUOT;
	if (prolly_try_append(&session->line, data, len, "a command line", NULL))
		return 0;
	give(session, len);
	return ENOMEM;
}

/* Takes lines from DATA until there are none, or framed mode begins. *OUT_TAKEN: bytes. */
static int take_lines(ProllySession *session, const char *data, size_t len, size_t *out_taken)
{
	size_t taken = 0;
	while (taken < len && !session->latched && !session->is_framed) {
		const char *newline = memchr(data + taken, '\n', len - taken);
		size_t n = (newline ? (size_t)(newline - data) : len) - taken;

		session->latched = append_to_line(session, data + taken, n);
		taken += n + (newline != NULL);
		if (newline && !session->latched)
			session->latched = take_line(session);
	}
	*out_taken = taken;
	return session->latched;
}

/* ---- Framed mode: what comes in ---------------------------------------------------------- */

static void push_job(ProllySession *session, char *line, size_t cost)
{
	Job *job = g_new0(Job, 1);
	job->line = line;
	job->cost = cost;
	job->input = g_byte_array_new();

	g_mutex_lock(&session->lock);
	Job *previous = g_queue_peek_tail(&session->jobs);
	if (previous)
		previous->input_ended = true;
	g_queue_push_tail(&session->jobs, job);
	session->input_queued += cost;
	g_cond_broadcast(&session->changed);
	g_mutex_unlock(&session->lock);
}

/* Adds to the input of JOB; returns the errno it fails with, or 0. */
static int add_input(ProllySession *session, Job *job, const uint8_t *data, size_t len)
{
	if (!take(session, len))
		return EDQUOT;
	if (!prolly_try_append(&job->input, data, len, "a command's input", NULL)) {
		give(session, len);
		return ENOMEM;
	}
	session->input_queued += len;
	return 0;
}

/* Input, or its end (LEN 0 and ENDED), for the command that came last. Returns the errno that it fails
 * with, or 0. */
static int push_input(ProllySession *session, const uint8_t *data, size_t len, bool ended)
{
	g_mutex_lock(&session->lock);
	Job *job = g_queue_peek_tail(&session->jobs);
	bool is_wanted = job && !job->input_ended;
	int failure = is_wanted ? add_input(session, job, data, len) : 0;
	if (is_wanted && !failure) {
		job->input_ended = ended;
		g_cond_broadcast(&session->changed);
	}
	g_mutex_unlock(&session->lock);
	return failure;
}

/* The commands end, this write fails, and all that follow: they could not be understood. */
static void break_off(ProllySession *session, int failure)
{
	session->latched = failure;
	g_mutex_lock(&session->lock);
	session->is_broken = true;
	session->broken_by = failure;
	g_cond_broadcast(&session->changed);
	g_mutex_unlock(&session->lock);
}

/* A frame's payload is complete. */
static void end_frame(ProllySession *session)
{
	FrameParser *parser = &session->parser;
	const char *line = (const char *)parser->payload->data;
	size_t len = parser->payload->len;

	if (parser->header[0] == PROLLY_FRAME_COMMAND) {
		bool ok = !len || (!memchr(line, 0, len) && !memchr(line, '\n', len));
		char *copy = ok ? dup_line(len ? line : "", len) : NULL;

		if (ok && !copy)
			break_off(session, ENOMEM);
		else
			push_job(session, copy, JOB_COST + len);
		prolly_bytes_drop(&parser->payload);
	} else if (parser->header[0] == PROLLY_FRAME_INPUT_END) {
		push_input(session, NULL, 0, true);
	}
	parser->header_len = 0;
}

/* A frame's header is complete. False: a command line is too long, or one too many. */
static bool begin_frame(ProllySession *session)
{
	const FrameParser *parser = &session->parser;

	if (parser->header[0] != PROLLY_FRAME_COMMAND)
		return true;
	if (parser->left > LINE_MAX_BYTES)
		break_off(session, E2BIG);
	else if (!take(session, JOB_COST + (size_t)parser->left))
		break_off(session, EDQUOT);
	return !session->latched;
}

/* Takes bytes of the frame that is under way; returns how many. */
static size_t take_frame(ProllySession *session, const uint8_t *data, size_t len)
{
	FrameParser *parser = &session->parser;
	size_t n = 0;

	if (parser->header_len < PROLLY_FRAME_HEADER_SIZE) {
		n = MIN(len, PROLLY_FRAME_HEADER_SIZE - parser->header_len);
		memcpy(parser->header + parser->header_len, data, n);
		parser->header_len += n;
		parser->left = prolly_get_le32(parser->header + 1);
		if (parser->header_len < PROLLY_FRAME_HEADER_SIZE || !begin_frame(session))
			return n;
	} else {
		int failure = 0;
		n = MIN(len, parser->left);
		if (parser->header[0] == PROLLY_FRAME_COMMAND &&
		    !prolly_try_append(&parser->payload, data, n, "a command line", NULL))
			failure = ENOMEM;
		else if (parser->header[0] == PROLLY_FRAME_INPUT)
			failure = push_input(session, data, n, false);
		if (failure)
			break_off(session, failure);
		parser->left -= (uint32_t)n;
	}
	if (!parser->left && !session->latched)
		end_frame(session);
	return n;
}

/* Waits until the queues are below their bound; EINTR if interrupted. */
static int wait_for_room(ProllySession *session)
{
	g_mutex_lock(&session->lock);
	unsigned interrupts = session->interrupts;
	while (session->input_queued >= INPUT_MAX && !session->is_closing &&
	       session->interrupts == interrupts)
		g_cond_wait(&session->changed, &session->lock);
	bool interrupted = session->is_closing || session->interrupts != interrupts;
	g_mutex_unlock(&session->lock);
	return interrupted ? EINTR : 0;
}

static int take_frames(ProllySession *session, const uint8_t *data, size_t len)
{
	for (size_t taken = 0; taken < len && !session->latched;)
		taken += take_frame(session, data + taken, len - taken);
	return session->latched;
}

/* ---- Framed mode: the command's streams -------------------------------------------------- */

static bool read_job_input(void *data, void *buffer, size_t len, size_t *out_len)
{
	ProllySession *session = data;
	Job *job = session->running;

	g_mutex_lock(&session->lock);
	while (job->input_read == job->input->len && !job->input_ended && !must_stop(session))
		g_cond_wait(&session->changed, &session->lock);
	bool ok = !must_stop(session);
	size_t n = MIN(len, job->input->len - job->input_read);
	if (n)
		memcpy(buffer, job->input->data + job->input_read, n);
	job->input_read += n;
	session->input_queued -= n;
	give(session, n);
	if (job->input_read == job->input->len || job->input_read >= INPUT_MAX) {
		g_byte_array_remove_range(job->input, 0, (guint)job->input_read);
		job->input_read = 0;
	}
	g_cond_broadcast(&session->changed);
	g_mutex_unlock(&session->lock);
	*out_len = n;
	return ok;
}

/* Takes what a frame of LEN bytes is. */
static bool take_output(ProllySession *session, size_t len)
{
	if (!take(session, PROLLY_FRAME_HEADER_SIZE + len))
		return false;
	session->output_taken += PROLLY_FRAME_HEADER_SIZE + len;
	return true;
}

static void append_frame(ProllySession *session, ProllyFrameType type, const void *payload,
			 size_t len)
{
	Frame *frame = g_malloc(sizeof(*frame) + PROLLY_FRAME_HEADER_SIZE + len);
	frame->len = PROLLY_FRAME_HEADER_SIZE + len;
	frame->bytes[0] = (uint8_t)type;
	prolly_set_le32(frame->bytes + 1, (uint32_t)len);
	memcpy(frame->bytes + PROLLY_FRAME_HEADER_SIZE, payload, len);
	g_queue_push_tail(&session->output, frame);
	session->output_len += frame->len;
	g_cond_broadcast(&session->changed);
}

/* Does not wait: whether the allowance is used up or not. */
static void append_short_frame(ProllySession *session, ProllyFrameType type, const void *payload,
			       size_t len)
{
	(void)take_output(session, len);
	append_frame(session, type, payload, len);
}

/* May a frame of LEN bytes be appended? It is taken then, unless there is nothing else to read. */
static bool has_room(ProllySession *session, size_t len)
{
	return session->output_len < OUTPUT_MAX &&
	       (take_output(session, len) || !session->output_len);
}

/* Is there what should be read first: much, or what nobody's allowance has? */
static bool is_output_full(const ProllySession *session)
{
	return session->output_len >= OUTPUT_MAX || session->output_len > session->output_taken;
}

/* Queues frames, waiting for readers. False: nobody will read. */
static bool send_frames(ProllySession *session, ProllyFrameType type, const uint8_t *data,
			size_t len)
{
	g_mutex_lock(&session->lock);
	while (len && !must_stop(session)) {
		size_t n = MIN(len, FRAME_MAX);
		if (!has_room(session, n)) {
			g_cond_wait(&session->changed, &session->lock);
			continue;
		}
		append_frame(session, type, data, n);
		data += n;
		len -= n;
	}
	g_mutex_unlock(&session->lock);
	return !len;
}

static bool write_output(void *data, const void *bytes, size_t len)
{
	return send_frames(data, PROLLY_FRAME_OUTPUT, bytes, len);
}

/* Messages are few and short: they do not wait, so that a cancelled command can say that it was. */
static bool write_error(void *data, const void *bytes, size_t len)
{
	ProllySession *session = data;
	g_mutex_lock(&session->lock);
	append_short_frame(session, PROLLY_FRAME_ERROR, bytes, len);
	g_mutex_unlock(&session->lock);
	return true;
}

static void write_progress(void *data, const char *what, uint64_t done, uint64_t total)
{
	ProllySession *session = data;
	g_autoptr(GString) json = g_string_new(NULL);
	prolly_json_begin(json, NULL, '{');
	prolly_json_add_text(json, "what", what);
	prolly_json_add_number(json, "done", done);
	prolly_json_add_number(json, "total", total);
	prolly_json_end(json, '}');
	send_frames(session, PROLLY_FRAME_PROGRESS, (const uint8_t *)json->str, json->len);
}

/* ---- Framed mode: running ---------------------------------------------------------------- */

/* Why a command was interrupted that lost its input for want of memory. */
static void say_break(ProllySession *session, const ProllyStreams *streams)
{
	g_mutex_lock(&session->lock);
	bool is_short = session->is_broken && session->broken_by == ENOMEM;
	g_mutex_unlock(&session->lock);
	if (is_short)
		refuse(streams, "no memory for the command's input");
}

static int run_job(ProllySession *session, const Job *job)
{
	ProllyStreams streams = {.read = read_job_input,
				 .write = write_output,
				 .write_error = write_error,
				 .progress = write_progress,
				 .is_cancelled = is_cancelled,
				 .data = session};
	g_autoptr(GError) error = NULL;
	if (!job->line)
		return refuse(&streams, "a command line has neither newline nor NUL");
	g_auto(GStrv) words = prolly_command_split(job->line, &error);
	if (!words)
		return refuse(&streams, error->message);
	int status = prolly_command_run(session->repo, &session->caller, &streams,
					(const char *const *)words, NULL);
	say_break(session, &streams);
	return status;
}

/* Waits for a command, which stays in the queue while it runs, and for a reader of what those before
 * it said. False: the session ends. */
static bool wait_for_job(ProllySession *session)
{
	g_mutex_lock(&session->lock);
	while ((g_queue_is_empty(&session->jobs) || is_output_full(session)) &&
	       !session->is_closing)
		g_cond_wait(&session->changed, &session->lock);
	session->running = g_queue_peek_head(&session->jobs);
	if (session->running)
		session->input_queued -= session->running->cost;
	session->is_cancelled = false;
	g_cond_broadcast(&session->changed); /* there may be room now */
	bool go_on = !session->is_closing;
	g_mutex_unlock(&session->lock);
	return go_on;
}

static void end_job(ProllySession *session, int status)
{
	uint8_t byte = (uint8_t)status;
	Job *job = session->running;

	g_mutex_lock(&session->lock);
	append_short_frame(session, PROLLY_FRAME_STATUS, &byte, 1);
	session->input_queued -= job->input->len - job->input_read;
	give(session, job->cost + job->input->len - job->input_read);
	session->running = NULL;
	g_queue_pop_head(&session->jobs);
	g_cond_broadcast(&session->changed);
	g_mutex_unlock(&session->lock);
	job_free(job);
}

static void *run_jobs(void *data)
{
	ProllySession *session = data;
	while (wait_for_job(session))
		end_job(session, run_job(session, session->running));
	return NULL;
}

/* ---- Writes and reads -------------------------------------------------------------------- */

int prolly_session_write(ProllySession *session, const void *data, size_t len)
{
	size_t taken = 0;
	int failure = 0;

	g_mutex_lock(&session->plain_lock);
	if (session->is_framed)
		failure = wait_for_room(session);
	if (!failure)
		failure = take_lines(session, data, len, &taken);
	if (!failure && session->is_framed)
		failure = take_frames(session, (const uint8_t *)data + taken, len - taken);
	g_mutex_unlock(&session->plain_lock);
	return failure;
}

static size_t read_output(ProllySession *session, uint8_t *buffer, size_t len)
{
	size_t done = 0;
	while (done < len && session->output_len) {
		Frame *frame = g_queue_peek_head(&session->output);
		size_t n = MIN(len - done, frame->len - session->output_read);

		memcpy(buffer + done, frame->bytes + session->output_read, n);
		done += n;
		session->output_read += n;
		session->output_len -= n;
		if (session->output_read == frame->len) {
			g_free(g_queue_pop_head(&session->output));
			session->output_read = 0;
		}
	}
	give(session, MIN(done, session->output_taken));
	session->output_taken -= MIN(done, session->output_taken);
	g_cond_broadcast(&session->changed);
	return done;
}

static int read_frames(ProllySession *session, void *buffer, size_t len, size_t *out_len)
{
	unsigned interrupts = session->interrupts;
	while (!session->output_len && !g_queue_is_empty(&session->jobs) && !session->is_closing &&
	       session->interrupts == interrupts)
		g_cond_wait(&session->changed, &session->lock);
	*out_len = read_output(session, buffer, len);
	return !*out_len && session->interrupts != interrupts ? EINTR : 0;
}

int prolly_session_read(ProllySession *session, void *buffer, size_t len, size_t *out_len)
{
	g_autoptr(GError) error = NULL;
	int failure = 0;

	g_mutex_lock(&session->lock);
	if (session->is_framed)
		failure = read_frames(session, buffer, len, out_len);
	else if (!prolly_spool_read(session->spool, buffer, len, out_len, &error))
		failure = prolly_error_to_errno(error);
	else
		give(session, *out_len);
	g_mutex_unlock(&session->lock);
	return failure;
}
