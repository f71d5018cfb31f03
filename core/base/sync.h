/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * sync: bringing files to the disk, so that they survive a power cut.
 *
 * After a failure nobody knows what is on disk, and a later call that succeeds does not tell: what
 * was to be synced has to be written again.
 */

#include "base/base.h"

/* Syncs one file or directory. */
bool prolly_sync_path(const char *path, GError **error);
/* What was written below the directory PATH, names and contents, survives a power cut. */
bool prolly_sync_tree(const char *path, GError **error);
/* Does syncfs(2) sync the filesystem that FD is on? */
bool prolly_syncs_together(int fd);
/* Makes the directory PATH, and those above it, unless they are there; their names survive a power
 * cut. */
bool prolly_make_directories(const char *path, GError **error);
