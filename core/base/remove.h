/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * remove: taking away what a program has made.
 */

#include "base/base.h"

/* Removes PATH, and everything below it if it is a directory; symbolic links are not followed. What is
 * not there is removed already. */
bool prolly_remove_tree(const char *path, GError **error);
