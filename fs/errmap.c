/* SPDX-License-Identifier: Apache-2.0 */

/*
 * errmap: errors at the edge. An operation answers with an errno; what that cannot say goes to the
 * log, once, with the operation and the object that the error names.
 *
 * Most errors are answers (ENOENT, EEXIST, EROFS) and no news to anybody. Those whose errno is EIO,
 * or that say that something is wrong with the store or the machine, are logged.
 *
 * The log is stderr in the foreground and while the parent waits for the mount, then syslog.
 */

#include "fs-private.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

void pfs_log(const PfsMount *mount, int priority, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (mount->to_syslog) {
		vsyslog(priority, format, args);
	} else {
		g_autofree char *text = g_strdup_vprintf(format, args);
		fprintf(stderr, "prollyfs: %s\n", text);
	}
	va_end(args);
}

static bool says_enough(int errnum)
{
	switch (errnum) {
	case EIO:
	case ENOMEM:
	case ENOSPC:
	case EPROTONOSUPPORT:
	case EMEDIUMTYPE:
		return false;
	default:
		return true;
	}
}

int pfs_errno(const PfsMount *mount, const char *what, const GError *error)
{
	int errnum = prolly_error_to_errno(error);

	if (!says_enough(errnum))
		pfs_log(mount, LOG_ERR, "%s: %s", what, error->message);
	return errnum;
}

void pfs_reply_error(fuse_req_t req, const char *what, const GError *error)
{
	fuse_reply_err(req, pfs_errno(pfs_mount(req), what, error));
}
