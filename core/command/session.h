/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * session: one open handle of a control file (interface.md, section 4).
 *
 * Bytes written are command lines (plain mode) or, after the line `frames 1`, frames; bytes read
 * are results. The session knows nothing of FUSE: fs gives it bytes and takes bytes, from worker
 * threads, since both calls may block for as long as a command runs.
 *
 * Plain mode: a command runs inside the write that completes its line. Status 2 makes that write
 * fail with an errno that fits, and latches: later writes fail the same way until the session ends.
 * Reads give what commands printed and then 0 (end); offsets are ignored.
 *
 * Framed mode: writes only queue (bounded: a write blocks while too much is queued), commands run
 * on a thread of the session, reads block for the next frame and give whole or partial frames as
 * bytes.
 */

#include <sys/ioctl.h>

#include "command/command.h"

typedef struct ProllySession ProllySession;

/* (transfer full) CALLER is copied. REPO is the handle that commands run on (a counting one is made
 * for each). */
ProllySession *prolly_session_new(ProllyRepo *repo, const ProllyCaller *caller);
/* Cancels what runs, waits for it, frees. */
void prolly_session_free(ProllySession *session); /* NULL is allowed */

/* All LEN bytes are taken, or the errno (> 0) that the write fails with is returned. 0: done. */
int prolly_session_write(ProllySession *session, const void *data, size_t len);
/* Up to LEN bytes; *OUT_LEN 0: nothing more for now (plain), or no command left (framed). */
int prolly_session_read(ProllySession *session, void *buffer, size_t len, size_t *out_len);
/* Makes blocked calls return EINTR and the command that runs end; the session goes on. Any thread.
 */
void prolly_session_interrupt(ProllySession *session);

/*
 * Nobody can open a file of a read-only mount for writing, but a command that only reads must be
 * written too. There the control file, opened for reading, takes what would be written by ioctl(2):
 * LEN bytes, at most PROLLY_SESSION_IOCTL_MAX, at the argument.
 */
#define PROLLY_SESSION_IOCTL_TYPE 'P'
#define PROLLY_SESSION_IOCTL_NR   1
#define PROLLY_SESSION_IOCTL_MAX  16383u
#define PROLLY_SESSION_IOCTL(len) \
	_IOC(_IOC_WRITE, PROLLY_SESSION_IOCTL_TYPE, PROLLY_SESSION_IOCTL_NR, (len))

/* ---- The other end: what prollyfs-ctl does to a mounted store ----------------------------- */

/*
 * Runs WORDS through the control file CTL_PATH in framed mode, with STREAMS as this process's; the
 * exit status, or -1 with ERROR.
 */
int prolly_session_call(const char *ctl_path, const char *const *words,
			const ProllyStreams *streams, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllySession, prolly_session_free)
