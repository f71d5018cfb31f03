/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * copy: bytes from one file to another.
 */

#include "base/base.h"

/* Copies LEN bytes, or up to the end of IN, from and to where the two stand; *OUT_N (nullable) is how
 * many there were. FROM and TO name the files in errors. */
bool prolly_copy_bytes(int in, int out, uint64_t len, const char *from, const char *to,
		       uint64_t *out_n, GError **error);
