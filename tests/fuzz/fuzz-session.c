/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is written to a control file: command lines with all that commands parse (revisions, ranges,
 * dates, formats, paths, what `load` reads), and frames. The store is in memory, has two branches, a
 * tag and conflicting changes, and belongs to someone else.
 *
 * The input's first byte says how the rest is sent. In plain mode as it is, in pieces of some size.
 * In frames line by line: a line that begins with '<' is input for the command before, the others are
 * commands; in the end come bytes as they are, from the first NUL on. Whatever it is, each command
 * ends with a status, and the store answers afterwards.
 */
#include "fuzz.h"

#include "command/command-private.h"
#include "command/session.h"

#include <git2.h>

static const char *const environment[] = {
	"GIT_AUTHOR_NAME=A",
	"GIT_AUTHOR_EMAIL=a@example.org",
	"GIT_AUTHOR_DATE=1000000000 +0000",
	"GIT_COMMITTER_NAME=C",
	"GIT_COMMITTER_EMAIL=c@example.org",
	"GIT_COMMITTER_DATE=1000000000 +0000",
	NULL,
};

static const ProllyCaller caller = {.environment = environment};

/* ---- The store --------------------------------------------------------------------------- */

static ProllyRepo *open_store(void)
{
	static const char lines[] = "put ns/a one\n"
				    "put ns/dir/b '{\"x\": 1}'\n"
				    "put top 1\n"
				    "commit -m base\n"
				    "tag v1\n"
				    "branch side\n"
				    "-b side put ns/a theirs\n"
				    "-b side commit -m theirs\n"
				    "put ns/a ours\n"
				    "commit -m ours\n"
				    "put ns/new staged\n";
	ProllyRepoOptions options = {.create = true};
	g_autoptr(ProllySession) session = NULL;
	g_autoptr(GError) error = NULL;
	ProllyRepo *repo = NULL;

	prolly_repo_open(":memory:", &options, &repo, &error);
	g_assert_no_error(error);
	session = prolly_session_new(repo, &caller);
	g_assert_cmpint(prolly_session_write(session, lines, strlen(lines)), ==, 0);
	return repo;
}

static void assert_answers(ProllyRepo *repo)
{
	const char *const words[] = {"branch", NULL};
	GString *text = NULL;
	g_autoptr(GError) error = NULL;

	g_assert_true(prolly_command_capture(repo, &caller, words, &text, &error));
	g_string_free(text, TRUE);
}

/* ---- Plain mode -------------------------------------------------------------------------- */

/* Reads until there is nothing more. */
static void read_all(ProllySession *session)
{
	char buffer[1000];
	size_t len = 0;

	do {
		if (prolly_session_read(session, buffer, sizeof(buffer), &len) != 0)
			return;
	} while (len > 0);
}

/* Its first line must not ask for frames: then reads would wait for frames that do not come. */
static void send_plain(ProllySession *session, FuzzInput *input, size_t piece)
{
	if (input->left >= 7 && memcmp(input->p, "frames ", 7) == 0)
		return;
	while (fuzz_has_more(input)) {
		size_t len;
		const uint8_t *bytes = fuzz_take_bytes(input, piece, &len);

		if (prolly_session_write(session, bytes, len) != 0)
			break;
	}
	(void)prolly_session_write(session, "\n", 1);
	read_all(session);
}

/* ---- Frames ------------------------------------------------------------------------------ */

static void append_frame(GByteArray *out, ProllyFrameType type, const char *payload, size_t len)
{
	prolly_append_u8(out, (uint8_t)type);
	prolly_append_le32(out, (uint32_t)len);
	g_byte_array_append(out, (const uint8_t *)payload, (guint)len);
}

/* (transfer full) The greeting and TEXT's lines as frames. */
static GByteArray *make_frames(const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	GByteArray *out = g_byte_array_new();

	g_byte_array_append(out, (const uint8_t *)PROLLY_FRAME_GREETING,
			    (guint)strlen(PROLLY_FRAME_GREETING));
	for (size_t i = 0; lines[i]; i++) {
		if (lines[i][0] != '<') {
			append_frame(out, PROLLY_FRAME_COMMAND, lines[i], strlen(lines[i]));
			continue;
		}
		append_frame(out, PROLLY_FRAME_INPUT, lines[i] + 1, strlen(lines[i] + 1));
		append_frame(out, PROLLY_FRAME_INPUT, "\n", 1);
	}
	append_frame(out, PROLLY_FRAME_INPUT_END, "", 0);
	return out;
}

static void send_frames(ProllySession *session, FuzzInput *input)
{
	g_autofree char *text = g_strndup((const char *)input->p, input->left);
	g_autoptr(GByteArray) frames = make_frames(text);
	size_t len = strlen(text);

	if (prolly_session_write(session, frames->data, frames->len) == 0)
		read_all(session);
	/* What comes now may be half a frame: nobody waits for what follows from it. */
	if (len < input->left)
		(void)prolly_session_write(session, input->p + len, input->left - len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput input = {data, size};
	uint8_t how = fuzz_take_byte(&input);
	ProllySession *session;
	ProllyRepo *repo;

	git_libgit2_init(); /* it counts; what it has stays, since to begin anew takes long */
	repo = open_store();
	session = prolly_session_new(repo, &caller);

	if (how & 1)
		send_frames(session, &input);
	else
		send_plain(session, &input, 1 + how / 2);
	prolly_session_free(session);
	assert_answers(repo);
	prolly_repo_free(repo);
	return 0;
}
