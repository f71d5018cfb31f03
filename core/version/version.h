/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * version: branches of namespaces of keys, with history. The facade is in five headers:
 *
 *   repo.h     an open store and its branches
 *   history.h  commits, what names them, what makes them: commit and merge
 *   view.h     reading a commit or a working state
 *   edit.h     changing a working state
 *   file.h     a value as an open file
 *
 * and keypath.h, the mapping between keys and paths.
 */

#include "version/edit.h"
#include "version/file.h"
#include "version/history.h"
#include "version/keypath.h"
#include "version/repo.h"
#include "version/view.h"
