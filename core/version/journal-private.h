/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * journal-private: the seam between publications (publication.c) and the journal (journal.c).
 */

#include "version/repo-private.h"

/* Notes in the database which references UPDATES are about to be locked. Survives the process. */
bool prolly_journal_note_locks(ProllyJournal *journal, const GPtrArray *updates, GError **error);
/* Adds the record of a publication to BATCH; returns its number. Under publish_lock. */
uint64_t prolly_journal_add(ProllyJournal *journal, const GPtrArray *objects,
			    const GPtrArray *updates, ProllyDbBatch *batch);
/* The batch with record SEQUENCE, the last that was added, could not be written: the next one has its
 * number. Under publish_lock. */
void prolly_journal_withdraw(ProllyJournal *journal, uint64_t sequence);
/* Record SEQUENCE is in the git directory, not synced: it may be trimmed when that is. */
void prolly_journal_complete(ProllyJournal *journal, uint64_t sequence);

/* Syncs the git directory, and removes the records that this has made needless. NULL: none. */
bool prolly_journal_trim(ProllyJournal *journal, GError **error);

bool prolly_git_write_objects(ProllyGit *git, const GPtrArray *objects, GError **error);

/* Records (journal-record.c). The arrays are made; CORRUPT. */
void prolly_journal_encode(const GPtrArray *objects, const GPtrArray *updates, GByteArray *out);
bool prolly_journal_decode(const void *data, size_t len, GPtrArray **out_objects,
			   GPtrArray **out_updates, GError **error);
