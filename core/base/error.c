/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: the two domains, how to throw them, and their one way to an errno.
 *
 * A code of PROLLY_ERROR says what failed in our terms and has an errno class; PROLLY_ERRNO keeps
 * the errno of a system call as it was, because GLib's own G_IO_ERROR folds two thirds of them into
 * one. Libraries' failures are translated here, so that their text, which an operator needs, is
 * never lost.
 */
#include "base/base.h"

#include <stdarg.h>
#include <string.h>

#include <git2/errors.h>

static const int error_classes[] = {
#define PROLLY_ERROR_CLASS(code, class, text) class,
	PROLLY_ERRORS(PROLLY_ERROR_CLASS)
#undef PROLLY_ERROR_CLASS
};

G_STATIC_ASSERT(G_N_ELEMENTS(error_classes) == PROLLY_ERROR_N_CODES);

/* clang-format off */
G_DEFINE_QUARK(prolly-error-quark, prolly_error)
G_DEFINE_QUARK(prolly-errno-quark, prolly_errno)
/* clang-format on */

bool prolly_throw(GError **error, ProllyErrorCode code, const char *format, ...)
{
	if (error) {
		va_list args;

		va_start(args, format);
		*error = g_error_new_valist(PROLLY_ERROR, (int)code, format, args);
		va_end(args);
	}
	return false;
}

bool prolly_throw_errno(GError **error, int errnum, const char *format, ...)
{
	if (error) {
		va_list args;

		va_start(args, format);
		g_autofree char *what = g_strdup_vprintf(format, args);
		va_end(args);
		g_set_error(error, PROLLY_ERRNO, errnum, "%s: %s", what, g_strerror(errnum));
	}
	return false;
}

static ProllyErrorCode git_code_to_error(int git_code)
{
	switch (git_code) {
	case GIT_ENOTFOUND:
	case GIT_EUNBORNBRANCH:
		return PROLLY_ERROR_NOT_FOUND;
	case GIT_EEXISTS:
		return PROLLY_ERROR_EXISTS;
	case GIT_ELOCKED:
		return PROLLY_ERROR_LOCKED;
	case GIT_EMODIFIED:
		return PROLLY_ERROR_STALE;
	case GIT_EINVALIDSPEC:
	case GIT_EAMBIGUOUS:
	case GIT_EPEEL:
		return PROLLY_ERROR_INVALID;
	default:
		return PROLLY_ERROR_FAILED;
	}
}

bool prolly_throw_git(GError **error, int git_code, const char *format, ...)
{
	if (error) {
		const git_error *last = git_error_last();
		va_list args;

		va_start(args, format);
		g_autofree char *what = g_strdup_vprintf(format, args);
		va_end(args);
		ProllyErrorCode code = last && last->klass == GIT_ERROR_NOMEMORY
					       ? PROLLY_ERROR_NO_MEMORY
					       : git_code_to_error(git_code);
		g_set_error(error, PROLLY_ERROR, (int)code, "%s: %s", what,
			    last && last->message ? last->message : "git error");
	}
	return false;
}

int prolly_error_to_errno(const GError *error)
{
	g_return_val_if_fail(error != NULL, EIO);

	if (error->domain == PROLLY_ERRNO)
		return error->code > 0 ? error->code : EIO;
	if (error->domain == PROLLY_ERROR && error->code >= 0 && error->code < PROLLY_ERROR_N_CODES)
		return error_classes[error->code];
	return EIO;
}

bool prolly_error_is(const GError *error, ProllyErrorCode code)
{
	return error && error->domain == PROLLY_ERROR && error->code == (int)code;
}
