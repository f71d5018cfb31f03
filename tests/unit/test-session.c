/* SPDX-License-Identifier: Apache-2.0 */

/*
 * session: both protocols of the control file, byte by byte, without a mount.
 */

#include "command/command-private.h"
#include "command/session.h"

#include <string.h>

#define TEN "0123456789"

/* ---- A session on a store in memory ------------------------------------------------------ */

typedef struct {
	ProllyRepo *repo;
	ProllySession *session;
	ProllyAllowance allowance; /* of the session, if a test says so */
	gint is_done;              /* send_much() */
} Fixture;

static const char *const ENVIRONMENT[] = {"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org",
					  "GIT_COMMITTER_NAME=C",
					  "GIT_COMMITTER_EMAIL=c@example.org", NULL};

static void setup(Fixture *f, gconstpointer data)
{
	ProllyRepoOptions options = {.create = true};
	ProllyCaller caller = {.environment = ENVIRONMENT};
	g_autoptr(GError) error = NULL;

	prolly_repo_open(":memory:", &options, &f->repo, &error);
	g_assert_no_error(error);
	f->session = prolly_session_new(f->repo, &caller);
}

static void teardown(Fixture *f, gconstpointer data)
{
	prolly_session_free(f->session);
	prolly_repo_free(f->repo);
}

static int send(Fixture *f, const char *text)
{
	return prolly_session_write(f->session, text, strlen(text));
}

/* What can be read now, in pieces of PIECE bytes, is exactly TEXT. */
static void expect_text(Fixture *f, const char *text, size_t piece)
{
	g_autoptr(GString) all = g_string_new(NULL);
	char buffer[4096];
	size_t len = 0;
	do {
		g_assert_cmpint(prolly_session_read(f->session, buffer, piece, &len), ==, 0);
		g_string_append_len(all, buffer, (gssize)len);
	} while (len);
	g_assert_cmpstr(all->str, ==, text);
}

/* How many bytes there are to be read, which are. */
static size_t read_some(ProllySession *session)
{
	char buffer[4096];
	size_t len;

	g_assert_cmpint(prolly_session_read(session, buffer, sizeof buffer, &len), ==, 0);
	return len;
}

/* ---- Plain mode -------------------------------------------------------------------------- */

static void test_plain(Fixture *f, gconstpointer data)
{
	g_assert_cmpint(send(f, "put ns/a one\nput ns/b 'two words'\n\n  # nothing\n"), ==, 0);
	expect_text(f, "", 10);
	g_assert_cmpint(send(f, "get ns/a\nget ns/b\n"), ==, 0);
	expect_text(f, "onetwo words", 3);
	expect_text(f, "", 3);
	g_assert_cmpint(send(f, "ls ns"), ==, 0);
	expect_text(f, "", 10);
	g_assert_cmpint(send(f, "\n"), ==, 0);
	expect_text(f, "a\nb\n", 4096);
}

static void test_plain_split(Fixture *f, gconstpointer data)
{
	static const char LINES[] = "put ns/a \"x 'y'\"\nput ns/b a\\ b\nget ns/a\nget ns/b\n";
	for (const char *p = LINES; *p; p++)
		g_assert_cmpint(prolly_session_write(f->session, p, 1), ==, 0);
	expect_text(f, "x 'y'a b", 1);
}

/* An empty line is none, be it the first. */
static void test_plain_empty(Fixture *f, gconstpointer data)
{
	g_assert_cmpint(send(f, "\n\n"), ==, 0);
	expect_text(f, "", 10);
	g_assert_cmpint(send(f, "put ns/a one\n\nget ns/a\n"), ==, 0);
	expect_text(f, "one", 10);
}

/* Exit status 1 fails no write, and says why. */
static void test_plain_no(Fixture *f, gconstpointer data)
{
	g_assert_cmpint(send(f, "get ns/none\nput ns/a 1\n"), ==, 0);
	expect_text(f, "prollyfs-ctl: ns/none: no such key\n", 100);
	g_assert_cmpint(send(f, "get ns/a\n"), ==, 0);
	expect_text(f, "1", 100);
}

static void test_plain_latch(Fixture *f, gconstpointer data)
{
	g_assert_cmpint(send(f, "put ns/a 1\nshow nothing\nput ns/b 2\n"), ==, ENOENT);
	g_assert_cmpint(send(f, "put ns/c 3\n"), ==, ENOENT);
	g_assert_cmpint(send(f, ""), ==, ENOENT);
	prolly_session_free(f->session);
	f->session = prolly_session_new(f->repo, &(ProllyCaller){0});
	g_assert_cmpint(send(f, "ls ns\n"), ==, 0);
	expect_text(f, "a\n", 100);
}

static void test_plain_bad(Fixture *f, gconstpointer data)
{
	static const struct {
		const char *line;
		size_t len;
		int failure;
	} CASES[] = {
		{"frobnicate\n", 11, EINVAL},    {"put 'unbalanced\n", 16, EINVAL},
		{"put ns/a \377\n", 11, EINVAL}, {"put ns/a b\0c\n", 13, EINVAL},
		{"put ns/a\n", 9, EINVAL}, /* there is no standard input */
		{"load ns\n", 8, EINVAL},        {"-b nothing status\n", 18, ENOENT},
		{"branch main\n", 12, EEXIST},   {"init x\n", 7, EPERM},
		{"-C x ls\n", 8, EINVAL},        {"frames 2\n", 9, EPROTONOSUPPORT},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
		g_autoptr(ProllySession) session = prolly_session_new(f->repo, &(ProllyCaller){0});
		g_test_message("case %zu", i);
		g_assert_cmpint(prolly_session_write(session, CASES[i].line, CASES[i].len), ==,
				CASES[i].failure);
		g_assert_cmpint(prolly_session_write(session, "ls\n", 3), ==, CASES[i].failure);
	}
	/* Only a session's first line can ask for frames. */
	g_assert_cmpint(send(f, "ls\nframes 1\n"), ==, EINVAL);
}

static void test_plain_endless(Fixture *f, gconstpointer data)
{
	g_autofree char *piece = g_strnfill(65536, 'x');
	int failure = 0, n = 0;
	for (; !failure && n < 4096; n++)
		failure = prolly_session_write(f->session, piece, 65536);
	g_assert_cmpint(failure, ==, E2BIG);
	g_assert_cmpint(n, <, 200);
}

/* Much output waits in bounded memory and comes out whole. */
static void test_plain_much(Fixture *f, gconstpointer data)
{
	g_autofree char *value = g_strnfill(3000000, 'v');
	g_autofree char *line = g_strconcat("put ns/large ", value, "\n", NULL);
	g_assert_cmpint(send(f, line), ==, 0);
	g_assert_cmpint(send(f, "get ns/large\n"), ==, 0);
	expect_text(f, value, 4096);
}

/* ---- Frames ------------------------------------------------------------------------------ */

static GByteArray *new_frames(void)
{
	GByteArray *frames = g_byte_array_new();
	g_byte_array_append(frames, (const uint8_t *)PROLLY_FRAME_GREETING,
			    strlen(PROLLY_FRAME_GREETING));
	return frames;
}

static void add_frame(GByteArray *frames, uint8_t type, const char *payload)
{
	prolly_append_u8(frames, type);
	prolly_append_le32(frames, (uint32_t)strlen(payload));
	g_byte_array_append(frames, (const uint8_t *)payload, (guint)strlen(payload));
}

/* Takes FRAMES. */
static void send_frames(Fixture *f, GByteArray *frames)
{
	g_assert_cmpint(prolly_session_write(f->session, frames->data, frames->len), ==, 0);
	g_byte_array_unref(frames);
}

static void send_frame(Fixture *f, uint8_t type, const char *payload)
{
	GByteArray *frames = g_byte_array_new();
	add_frame(frames, type, payload);
	send_frames(f, frames);
}

static void read_exactly(Fixture *f, void *buffer, size_t len)
{
	uint8_t *p = buffer;
	while (len) {
		size_t n = 0;
		g_assert_cmpint(prolly_session_read(f->session, p, len, &n), ==, 0);
		g_assert_cmpuint(n, >, 0);
		p += n;
		len -= n;
	}
}

/* The next command's exit status; what it printed is OUTPUT and ERROR_OUTPUT (NULL: whatever). */
static int expect_result(Fixture *f, const char *output, const char *error_output)
{
	g_autoptr(GString) out = g_string_new(NULL);
	g_autoptr(GString) err = g_string_new(NULL);
	uint8_t header[PROLLY_FRAME_HEADER_SIZE] = {0};
	g_autofree char *payload = NULL;

	while (header[0] != PROLLY_FRAME_STATUS) {
		read_exactly(f, header, sizeof header);
		uint32_t len = prolly_get_le32(header + 1);
		g_free(payload);
		payload = g_malloc(len + 1);
		read_exactly(f, payload, len);
		if (header[0] == PROLLY_FRAME_OUTPUT)
			g_string_append_len(out, payload, (gssize)len);
		else if (header[0] == PROLLY_FRAME_ERROR)
			g_string_append_len(err, payload, (gssize)len);
		else if (header[0] == PROLLY_FRAME_STATUS)
			g_assert_cmpuint(len, ==, 1);
		else
			g_assert_cmpuint(header[0], ==, PROLLY_FRAME_PROGRESS);
	}
	if (output)
		g_assert_cmpstr(out->str, ==, output);
	if (error_output)
		g_assert_cmpstr(err->str, ==, error_output);
	return payload[0];
}

static void expect_end(Fixture *f)
{
	char byte;
	size_t len = 9;
	g_assert_cmpint(prolly_session_read(f->session, &byte, 1, &len), ==, 0);
	g_assert_cmpuint(len, ==, 0);
}

/* Everything in one write, and everything a byte at a time. */
static void test_frames(Fixture *f, gconstpointer bytewise)
{
	GByteArray *frames = new_frames();
	add_frame(frames, 1, "put ns/a one");
	add_frame(frames, 1, "put ns/b");
	add_frame(frames, 2, "tw");
	add_frame(frames, 2, "");
	add_frame(frames, 2, "o");
	add_frame(frames, 3, "");
	add_frame(frames, 200, "of a type that is not known");
	add_frame(frames, 1, "get ns/b");
	add_frame(frames, 1, "get ns/none");
	add_frame(frames, 1, "show nothing");
	add_frame(frames, 1, "put 'unbalanced");
	add_frame(frames, 1, "put $'ns/a\\nb' c");
	add_frame(frames, 1, "put 'ns/a\nb' c");
	add_frame(frames, 1, "");
	add_frame(frames, 1, "ls ns");
	for (guint i = 0; bytewise && i < frames->len; i++)
		g_assert_cmpint(prolly_session_write(f->session, frames->data + i, 1), ==, 0);
	if (bytewise)
		g_byte_array_unref(frames);
	else
		send_frames(f, frames);
	g_assert_cmpint(expect_result(f, "", ""), ==, 0);
	g_assert_cmpint(expect_result(f, "", ""), ==, 0);
	g_assert_cmpint(expect_result(f, "two", ""), ==, 0);
	g_assert_cmpint(expect_result(f, "", "prollyfs-ctl: ns/none: no such key\n"), ==, 1);
	g_assert_cmpint(expect_result(f, "", NULL), ==, 2);
	g_assert_cmpint(expect_result(f, "", NULL), ==, 2);
	g_assert_cmpint(expect_result(f, "", ""), ==, 0);
	g_assert_cmpint(expect_result(f, "", NULL), ==, 2);
	g_assert_cmpint(expect_result(f, "", NULL), ==, 2);
	g_assert_cmpint(expect_result(f, "a\na\nb\nb\n", ""), ==, 0);
	expect_end(f);
}

/* Input for a command that reads none, or has ended, is dropped; so is input for no command. */
static void test_frames_stray(Fixture *f, gconstpointer data)
{
	GByteArray *frames = new_frames();
	add_frame(frames, 3, "");
	add_frame(frames, 2, "stray");
	add_frame(frames, 1, "put ns/a one");
	add_frame(frames, 2, "nobody reads this");
	add_frame(frames, 1, "get ns/a");
	send_frames(f, frames);
	g_assert_cmpint(expect_result(f, "", ""), ==, 0);
	g_assert_cmpint(expect_result(f, "one", ""), ==, 0);
	send_frame(f, 2, "late");
	send_frame(f, 3, "");
	expect_end(f);
	/* A command line ends the input of the one before. */
	send_frame(f, 1, "load ns");
	send_frame(f, 2, "b\ttwo\n");
	send_frame(f, 1, "get ns/b");
	g_assert_cmpint(expect_result(f, "", ""), ==, 0);
	g_assert_cmpint(expect_result(f, "two", ""), ==, 0);
}

/* A length that cannot be ends the session, and the command that waits for more. */
static void test_frames_broken(Fixture *f, gconstpointer data)
{
	static const uint8_t HEADER[] = {1, 0xff, 0xff, 0xff, 0xff};
	GByteArray *frames = new_frames();
	add_frame(frames, 1, "put ns/a");
	add_frame(frames, 2, "half of it");
	send_frames(f, frames);
	g_assert_cmpint(prolly_session_write(f->session, HEADER, sizeof HEADER), ==, E2BIG);
	g_assert_cmpint(prolly_session_write(f->session, "x", 1), ==, E2BIG);
	g_assert_cmpint(expect_result(f, "", "prollyfs-ctl: put: interrupted\n"), ==, 2);
	expect_end(f);
}

/* ---- Interrupts and bounds --------------------------------------------------------------- */

/* A session of a caller who may hold LIMIT bytes. */
static void limit(Fixture *f, size_t limit)
{
	ProllyCaller caller = {.environment = ENVIRONMENT, .allowance = &f->allowance};

	prolly_session_free(f->session);
	f->allowance.limit = limit;
	f->session = prolly_session_new(f->repo, &caller);
}

static void put_large(Fixture *f, const char *value)
{
	GByteArray *frames = new_frames();

	add_frame(frames, 1, "put ns/large");
	add_frame(frames, 2, value);
	send_frames(f, frames);
	send_frame(f, 3, "");
	g_assert_cmpint(expect_result(f, "", ""), ==, 0);
}

static void *interrupt_later(void *data)
{
	g_usleep(50000);
	prolly_session_interrupt(((Fixture *)data)->session);
	return NULL;
}

static void test_interrupt(Fixture *f, gconstpointer data)
{
	GByteArray *frames = new_frames();
	char buffer[100];
	size_t len = 0;

	add_frame(frames, 1, "load ns"); /* waits for its input */
	send_frames(f, frames);
	GThread *thread = g_thread_new("interrupt", interrupt_later, f);
	int failure = prolly_session_read(f->session, buffer, 0, &len);
	g_thread_join(thread);
	g_assert_cmpint(failure, ==, EINTR);
	g_assert_cmpint(expect_result(f, "", "prollyfs-ctl: load: interrupted\n"), ==, 2);
	/* It goes on. */
	send_frame(f, 1, "put ns/a 1");
	g_assert_cmpint(expect_result(f, "", ""), ==, 0);
}

/* A command whose output nobody reads waits, and is whole when it is read at last. */
static void test_output_bound(Fixture *f, gconstpointer data)
{
	g_autofree char *value = g_strnfill(5000000, 'v');
	GByteArray *frames = new_frames();
	add_frame(frames, 1, "put ns/large");
	add_frame(frames, 2, value);
	add_frame(frames, 3, "");
	add_frame(frames, 1, "get ns/large");
	add_frame(frames, 1, "ls ns");
	send_frames(f, frames);
	g_assert_cmpint(expect_result(f, "", ""), ==, 0);
	g_assert_cmpint(expect_result(f, value, ""), ==, 0);
	g_assert_cmpint(expect_result(f, "large\n", ""), ==, 0);
}

static void *send_much(void *data)
{
	Fixture *f = data;
	g_autofree char *piece = g_strnfill(60000, 'p');
	GByteArray *frames = g_byte_array_new();
	add_frame(frames, 2, piece);
	int failure = 0;
	for (int i = 0; !failure && i < 200; i++)
		failure = prolly_session_write(f->session, frames->data, frames->len);
	g_byte_array_unref(frames);
	g_atomic_int_set(&f->is_done, true);
	return GINT_TO_POINTER(failure);
}

/* A writer waits for a command that is waited for; what comes through is whole. */
static void test_input_bound(Fixture *f, gconstpointer data)
{
	g_autofree char *value = g_strnfill(5000000, 'v');
	GByteArray *frames = new_frames();
	add_frame(frames, 1, "put ns/large");
	add_frame(frames, 2, value);
	add_frame(frames, 3, "");
	add_frame(frames, 1, "get ns/large"); /* fills the output: the next command cannot begin */
	add_frame(frames, 1, "put ns/second");
	send_frames(f, frames);
	GThread *thread = g_thread_new("writer", send_much, f);
	g_usleep(50000);
	g_assert_cmpint(expect_result(f, "", ""), ==, 0);
	g_assert_cmpint(expect_result(f, value, ""), ==, 0);
	g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(thread)), ==, 0);
	send_frame(f, 3, "");
	g_assert_cmpint(expect_result(f, "", ""), ==, 0);
	send_frame(f, 1, "--json ls ns/second");
	g_assert_cmpint(
		expect_result(f, "{\"path\":\"ns/second\",\"key\":\"second\",\"size\":12000000}\n",
			      ""),
		==, 0);
}

/* A line that is longer than the bound on what waits does not keep out its own command's input. */
static void test_long_line(Fixture *f, gconstpointer data)
{
	g_autofree char *name = g_strnfill(3000000, 'n');
	g_autofree char *line = g_strconcat("load ns --env GIT_AUTHOR_NAME=", name, NULL);
	GByteArray *frames = new_frames();
	add_frame(frames, 1, line);
	send_frames(f, frames);
	send_frame(f, 2, "a\t1\n");
	send_frame(f, 3, "");
	send_frame(f, 1, "get ns/a");
	g_assert_cmpint(expect_result(f, "", ""), ==, 0);
	g_assert_cmpint(expect_result(f, "1", ""), ==, 0);
}

/* An interrupted writer took nothing of what it was given. */
static void test_input_interrupt(Fixture *f, gconstpointer data)
{
	g_autofree char *value = g_strnfill(5000000, 'v');
	GByteArray *frames = new_frames();

	put_large(f, value);
	limit(f, SIZE_MAX);
	add_frame(frames, 1, "get ns/large"); /* fills the output: the next command cannot begin */
	add_frame(frames, 1, "put ns/second");
	send_frames(f, frames);
	while (f->allowance.taken < 1 << 20)
		g_usleep(1000);
	GThread *thread = g_thread_new("writer", send_much, f);
	while (!g_atomic_int_get(&f->is_done)) { /* nobody says when it waits */
		prolly_session_interrupt(f->session);
		g_usleep(1000);
	}
	g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(thread)), ==, EINTR);
}

/* Has "put ns/last 1" been run? */
static bool has_last(Fixture *f)
{
	g_autoptr(ProllySession) other = prolly_session_new(f->repo, &(ProllyCaller){0});

	g_assert_cmpint(prolly_session_write(other, "get ns/last\n", 12), ==, 0);
	return read_some(other) == 1;
}

/* Commands do not begin while nobody reads what those before them said. */
static void test_message_bound(Fixture *f, gconstpointer data)
{
	g_autofree char *name = g_strnfill(60000, 'n');
	g_autofree char *line = g_strconcat("get ns/", name, NULL);
	GByteArray *frames = new_frames();

	for (int i = 0; i < 30; i++)
		add_frame(frames, 1, line);
	add_frame(frames, 1, "put ns/last 1");
	send_frames(f, frames);
	g_usleep(200000); /* too short, it would only see less */
	g_assert_false(has_last(f));
	for (int i = 0; i < 30; i++)
		g_assert_cmpint(expect_result(f, "", NULL), ==, 2);
	g_assert_cmpint(expect_result(f, "", ""), ==, 0);
	g_assert_true(has_last(f));
}

/* ---- Allowances -------------------------------------------------------------------------- */

/* Unfinished lines of several sessions; what one gives back another can have. */
static void test_allowance_lines(Fixture *f, gconstpointer data)
{
	ProllyCaller caller = {.allowance = &f->allowance};
	ProllySession *other = prolly_session_new(f->repo, &caller);
	g_autofree char *name = g_strnfill(600, 'n');

	limit(f, 1000);
	g_assert_cmpint(prolly_session_write(other, name, 600), ==, 0);
	g_assert_cmpuint(f->allowance.taken, ==, 600);
	g_assert_cmpint(send(f, name), ==, EDQUOT);
	g_assert_cmpint(send(f, "\n"), ==, EDQUOT);
	prolly_session_free(other);
	g_assert_cmpuint(f->allowance.taken, ==, 0);
	limit(f, 1000);
	g_assert_cmpint(send(f, "# "), ==, 0);
	g_assert_cmpint(send(f, name), ==, 0);
	g_assert_cmpint(send(f, "\n"), ==, 0);
	g_assert_cmpuint(f->allowance.taken, ==, 0);
}

/* What a plain command printed and nobody read. */
static void test_allowance_results(Fixture *f, gconstpointer data)
{
	char buffer[600];
	size_t len;

	g_assert_cmpint(send(f, "put ns/a " TEN TEN TEN TEN TEN TEN "\n"), ==, 0);
	limit(f, 1000);
	for (int i = 0; i < 1000 / 60; i++)
		g_assert_cmpint(send(f, "get ns/a\n"), ==, 0);
	g_assert_cmpint(prolly_session_read(f->session, buffer, sizeof buffer, &len), ==, 0);
	g_assert_cmpuint(f->allowance.taken, ==, 1000 / 60 * 60 - len);
	for (int i = 0; i < 10; i++)
		g_assert_cmpint(send(f, "get ns/a\n"), ==, 0);
	g_assert_cmpint(send(f, "get ns/a\n"), ==, EDQUOT);
	limit(f, 1000);
	g_assert_cmpuint(f->allowance.taken, ==, 0);
}

/* FRAMES, which it frees, are more than a new session takes. */
static void expect_refused(Fixture *f, GByteArray *frames)
{
	limit(f, 100000);
	g_assert_cmpint(prolly_session_write(f->session, frames->data, frames->len), ==, EDQUOT);
	g_byte_array_unref(frames);
}

/* A command line, commands that have none, and input that no command has taken. */
static void test_allowance_frames(Fixture *f, gconstpointer data)
{
	g_autofree char *text = g_strnfill(99900, 'v');
	GByteArray *frames = new_frames();

	add_frame(frames, 1, text);
	expect_refused(f, frames);

	frames = new_frames();
	for (int i = 0; i < 100000; i++)
		add_frame(frames, 1, "");
	expect_refused(f, frames);

	frames = new_frames();
	add_frame(frames, 1, "load ns");
	add_frame(frames, 2, text);
	expect_refused(f, frames);
	limit(f, 0);
	g_assert_cmpuint(f->allowance.taken, ==, 0);
}

/* Frames wait for their reader, who gets all of them. */
static void test_allowance_output(Fixture *f, gconstpointer data)
{
	g_autofree char *value = g_strnfill(500000, 'v');
	GByteArray *frames = new_frames();

	put_large(f, value);
	limit(f, 1000);
	add_frame(frames, 1, "get ns/large");
	add_frame(frames, 1, "get ns/large");
	send_frames(f, frames);
	g_assert_cmpint(expect_result(f, value, ""), ==, 0);
	g_assert_cmpint(expect_result(f, value, ""), ==, 0);
	expect_end(f);
	g_assert_cmpuint(f->allowance.taken, ==, 0);
}

/* What is left is too little for a frame: then one goes without, and no more, though the limit is never
 * quite reached. */
static void test_allowance_remnant(Fixture *f, gconstpointer data)
{
	g_autofree char *value = g_strnfill(500000, 'v');
	GByteArray *frames = new_frames();

	put_large(f, value);
	limit(f, 50000);
	g_assert_true(prolly_allowance_take(&f->allowance, 49000));
	add_frame(frames, 1, "get ns/large");
	add_frame(frames, 1, "put ns/last 1");
	send_frames(f, frames);
	g_usleep(200000); /* too short, it would only see less */
	g_assert_false(has_last(f));
	g_assert_cmpint(expect_result(f, value, ""), ==, 0);
	g_assert_cmpint(expect_result(f, "", ""), ==, 0);
	g_assert_cmpuint(f->allowance.taken, ==, 49000);
}

/* A text is no longer than what is left of it. */
static void test_allowance_text(Fixture *f, gconstpointer data)
{
	const char *const words[] = {"get", "ns/a", NULL};
	ProllyAllowance allowance = {.limit = 100};
	ProllyCaller caller = {.allowance = &allowance};
	g_autoptr(GError) error = NULL;
	GString *text = NULL;

	g_assert_cmpint(send(f, "put ns/a " TEN TEN TEN TEN TEN TEN "\n"), ==, 0);
	g_assert_true(prolly_command_capture(f->repo, &caller, words, &text, &error));
	g_assert_cmpuint(text->len, ==, 60);
	g_string_free(text, TRUE);
	g_assert_cmpuint(allowance.taken, ==, 0);
	g_assert_true(prolly_allowance_take(&allowance, 41));
	g_assert_false(prolly_command_capture(f->repo, &caller, words, &text, &error));
	g_assert_cmpint(prolly_error_to_errno(error), ==, EDQUOT);
	g_assert_cmpuint(allowance.taken, ==, 41);
}

/* Closing ends whatever runs or waits. */
static void test_free(Fixture *f, gconstpointer line)
{
	GByteArray *frames = new_frames();
	g_autofree char *value = g_strnfill(5000000, 'v');
	add_frame(frames, 1, "put ns/large");
	add_frame(frames, 2, value);
	add_frame(frames, 3, "");
	add_frame(frames, 1, line);
	if (g_str_has_prefix(line, "get")) /* the input of a load would end */
		add_frame(frames, 1, "put ns/never 1");
	send_frames(f, frames);
	g_usleep(50000);
	prolly_session_free(f->session);
	f->session = prolly_session_new(f->repo, &(ProllyCaller){0});
	g_assert_cmpint(send(f, "get ns/never\n"), ==, 0);
	expect_text(f, "prollyfs-ctl: ns/never: no such key\n", 100);
}

/* Any bytes, cut anywhere, in either mode: the session fails or goes on, and ends when it is freed.
 */
static void test_noise(Fixture *f, gconstpointer data)
{
	static const char *const LINES[] = {"get ns/a", "put ns/a", "ls", "'", "log -n", "dump ns"};
	for (int round = 0; round < 300; round++) {
		g_autoptr(ProllySession) session = prolly_session_new(f->repo, &(ProllyCaller){0});
		GByteArray *bytes = g_test_rand_bit() ? new_frames() : g_byte_array_new();

		for (int n = g_test_rand_int_range(0, 8); n > 0; n--) {
			add_frame(bytes, (uint8_t)g_test_rand_int_range(0, 5),
				  LINES[g_test_rand_int_range(0, G_N_ELEMENTS(LINES))]);
			if (g_test_rand_int_range(0, 4) == 0)
				prolly_append_u8(bytes, (uint8_t)g_test_rand_int_range(0, 256));
		}
		for (guint at = 0; at < bytes->len;) {
			guint n = (guint)g_test_rand_int_range(1, 20);
			n = MIN(n, bytes->len - at);
			prolly_session_write(session, bytes->data + at, n);
			at += n;
		}
		g_byte_array_unref(bytes);
		if (g_test_rand_bit())
			prolly_session_interrupt(session);
	}
}

/* ---- Tables ------------------------------------------------------------------------------ */

typedef void (*FixtureFunc)(Fixture *f, gconstpointer data);

static void add(const char *name, FixtureFunc test, const char *data)
{
	g_test_add(name, Fixture, data, setup, test, teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("/session/plain/lines", test_plain, NULL);
	add("/session/plain/split", test_plain_split, NULL);
	add("/session/plain/empty", test_plain_empty, NULL);
	add("/session/plain/no", test_plain_no, NULL);
	add("/session/plain/latch", test_plain_latch, NULL);
	add("/session/plain/bad", test_plain_bad, NULL);
	add("/session/plain/endless", test_plain_endless, NULL);
	add("/session/plain/much", test_plain_much, NULL);
	add("/session/frames/whole", test_frames, NULL);
	add("/session/frames/bytewise", test_frames, "bytewise");
	add("/session/frames/stray", test_frames_stray, NULL);
	add("/session/frames/broken", test_frames_broken, NULL);
	add("/session/interrupt", test_interrupt, NULL);
	add("/session/output-bound", test_output_bound, NULL);
	add("/session/input-bound", test_input_bound, NULL);
	add("/session/long-line", test_long_line, NULL);
	add("/session/input-interrupt", test_input_interrupt, NULL);
	add("/session/message-bound", test_message_bound, NULL);
	add("/session/allowance/lines", test_allowance_lines, NULL);
	add("/session/allowance/results", test_allowance_results, NULL);
	add("/session/allowance/frames", test_allowance_frames, NULL);
	add("/session/allowance/output", test_allowance_output, NULL);
	add("/session/allowance/remnant", test_allowance_remnant, NULL);
	add("/session/allowance/text", test_allowance_text, NULL);
	add("/session/free/output", test_free, "get ns/large");
	add("/session/free/input", test_free, "load ns");
	add("/session/noise", test_noise, NULL);
	return g_test_run();
}
