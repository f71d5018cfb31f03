/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * version: branches of namespaces of keys, with history. The facade is in these headers:
 *
 *   repo.h     an open store and its branches
 *   history.h  commits, what names them, and what makes them of the working state
 *   tag.h      names of commits that stay where they are
 *   reflog.h   where branches stood
 *   merge.h    what brings in what others did: merges, and single commits applied
 *   past.h     which commits changed a key, and which did so last
 *   view.h     reading a commit or a working state
 *   edit.h     changing a working state
 *   reset.h    taking a branch, or a part of its working state, back to a commit
 *   file.h     a value as an open file
 *   gc.h       removing what nothing reaches
 *   fsck.h     verifying everything
 *   backup.h   copying a store that is in use
 *
 * and keypath.h, the mapping between keys and paths.
 */

#include "version/backup.h"
#include "version/edit.h"
#include "version/file.h"
#include "version/fsck.h"
#include "version/gc.h"
#include "version/history.h"
#include "version/keypath.h"
#include "version/merge.h"
#include "version/past.h"
#include "version/reflog.h"
#include "version/repo.h"
#include "version/reset.h"
#include "version/tag.h"
#include "version/view.h"
