/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open store: its body, which all handles of the process share, and the handles.
 *
 * Opening looks before it touches: configuration, format, back end and the pieces that must be
 * there are checked first, so that a path which is no store, or a newer one, is left as it was;
 * then the lock is taken; then the database recovers, the journal is carried out, and what a crash
 * left of branches and generations that are no more is swept.
 *
 * Closing (the last handle's end) flushes and syncs in the same order backwards. Pieces:
 *
 *   STORE/config  config.c      STORE/git   git.c, refs-files.c      STORE/data   core/store/db.c
 *   STORE/lock    lock.c        STORE/nodes core/store/store-file.c, of the file back ends only
 */
#include "version/repo-private.h"

#include <sys/stat.h>

#include "version/body-private.h"

/* ---- Bodies ------------------------------------------------------------------------------ */

ProllyRepoBody *prolly_body_new(const char *path, const char *default_branch)
{
	ProllyRepoBody *body = g_new0(ProllyRepoBody, 1);

	body->path = g_strdup(path);
	body->default_branch = g_strdup(default_branch);
	body->lock_fd = -1;
	body->branches = g_hash_table_new(g_str_hash, g_str_equal);
	g_mutex_init(&body->publish_lock);
	g_mutex_init(&body->git_lock);
	g_mutex_init(&body->set_lock);
	g_mutex_init(&body->branches_lock);
	g_mutex_init(&body->observer_lock);
	g_cond_init(&body->observer_idle);
	g_mutex_init(&body->counters_lock);
	prolly_usage_init(&body->usage);
	return body;
}

/* What is unflushed when this fails is nothing a caller was promised, so it is only told. */
static void flush_body(ProllyRepoBody *body)
{
	g_autoptr(GError) error = NULL;

	if (body->store && body->db &&
	    (!prolly_store_flush(body->store, NULL, &error) || !prolly_db_sync(body->db, &error)))
		g_debug("closing %s: %s", body->path ? body->path : ":memory:", error->message);
}

void prolly_body_free(ProllyRepoBody *body)
{
	if (!body)
		return;
	flush_body(body);
	prolly_journal_close(body->journal);
	if (body->gc_account)
		(void)prolly_gc_account_save(body, NULL);
	prolly_gc_account_close(body);
	g_hash_table_unref(body->branches);
	prolly_git_free(body->git);
	prolly_store_unref(body->store);
	prolly_format_unref(body->format);
	prolly_db_close(body->db);
	prolly_lock_release(body->lock_fd);
	g_mutex_clear(&body->publish_lock);
	g_clear_pointer(&body->unfinished, g_ptr_array_unref);
	g_mutex_clear(&body->git_lock);
	g_mutex_clear(&body->set_lock);
	g_mutex_clear(&body->branches_lock);
	g_mutex_clear(&body->observer_lock);
	g_cond_clear(&body->observer_idle);
	g_mutex_clear(&body->counters_lock);
	prolly_usage_clear(&body->usage);
	g_free(body->default_branch);
	g_free(body->path);
	g_free(body);
}

/* A path in the store, or NULL in memory. */
static char *get_piece(const ProllyRepoBody *body, const char *name)
{
	return body->path ? g_build_filename(body->path, name, NULL) : NULL;
}

bool prolly_body_open_pieces(ProllyRepoBody *body, const ProllyConfig *config, uint64_t cache_size,
			     bool create, GError **error)
{
	g_autofree char *data = get_piece(body, "data");
	g_autofree char *git = get_piece(body, "git");
	ProllyDbOptions db_options = {.path = data, .create = create || !data};
	ProllyStoreOptions store_options = {
		.kind = config->kind,
		.path = body->path,
		.cache_size = cache_size,
	};

	if (!prolly_format_new(&config->parameters, prolly_value_weigh, &body->format, error) ||
	    !prolly_db_open(&db_options, &body->db, error))
		return false;
	if (config->kind == PROLLY_BACKEND_ROCKSDB)
		store_options.db = body->db;
	return prolly_store_open(&store_options, &body->store, error) &&
	       (git ? prolly_git_open(git, &body->git, error)
		    : prolly_git_new_memory(&body->git, error)) &&
	       prolly_counters_load(body, error) && prolly_gc_account_open(body, error) &&
	       prolly_journal_open(body, &body->journal, error);
}

/* ---- Handles ----------------------------------------------------------------------------- */

ProllyRepo *prolly_body_new_handle(ProllyRepoBody *body, ProllyWork *work, bool notify)
{
	ProllyRepo *repo = g_new0(ProllyRepo, 1);

	g_atomic_int_inc(&body->references);
	repo->body = body;
	repo->context.store =
		work ? prolly_store_new_counting(body->store, work) : prolly_store_ref(body->store);
	repo->context.format = body->format;
	repo->notify = notify;
	return repo;
}

ProllyRepo *prolly_repo_new_handle(ProllyRepo *repo, ProllyWork *work, bool notify)
{
	return prolly_body_new_handle(repo->body, work, notify);
}

void prolly_repo_set_committer(ProllyRepo *repo, const ProllySignature *committer)
{
	if (repo->committer)
		prolly_signature_clear(repo->committer);
	g_clear_pointer(&repo->committer, g_free);
	if (!committer)
		return;
	repo->committer = g_memdup2(committer, sizeof(*committer));
	repo->committer->name = g_strdup(committer->name);
	repo->committer->email = g_strdup(committer->email);
}

void prolly_repo_free(ProllyRepo *repo)
{
	ProllyRepoBody *body;

	if (!repo)
		return;
	body = repo->body;
	prolly_store_unref(repo->context.store);
	prolly_repo_set_committer(repo, NULL);
	g_free(repo);
	if (g_atomic_int_dec_and_test(&body->references))
		prolly_body_free(body);
}

bool prolly_repo_sync(ProllyRepo *repo, GError **error)
{
	return prolly_store_flush(repo->context.store, NULL, error) &&
	       prolly_db_sync(repo->body->db, error);
}

const char *prolly_repo_get_path(const ProllyRepo *repo)
{
	return repo->body->path;
}

const char *prolly_repo_get_default_branch(const ProllyRepo *repo)
{
	return repo->body->default_branch;
}

const ProllyTreeContext *prolly_repo_get_context(const ProllyRepo *repo)
{
	return &repo->context;
}

/* ---- The observer ------------------------------------------------------------------------ */

/* Waits for calls to the old one, so that its data may go when this returns. */
void prolly_repo_set_observer(ProllyRepo *repo, const ProllyObserver *observer, void *data)
{
	ProllyRepoBody *body = repo->body;

	g_mutex_lock(&body->observer_lock);
	body->observer = NULL;
	while (body->observer_calls > 0)
		g_cond_wait(&body->observer_idle, &body->observer_lock);
	body->observer = observer;
	body->observer_data = data;
	g_mutex_unlock(&body->observer_lock);
}

/* The observer, or NULL: it is none of its business, unless that is EVERYBODYS. end_call must follow if
 * there is one. */
static const ProllyObserver *begin_call(ProllyRepo *repo, bool everybodys, void **out_data)
{
	ProllyRepoBody *body = repo->body;
	const ProllyObserver *observer;

	if (!repo->notify && !everybodys)
		return NULL;
	g_mutex_lock(&body->observer_lock);
	observer = body->observer;
	*out_data = body->observer_data;
	if (observer)
		body->observer_calls++;
	g_mutex_unlock(&body->observer_lock);
	return observer;
}

/* The observer is about to be called, and waits for the kernel if REPO notifies: for directories that
 * it may hold for somebody who waits for one of our locks. */
static void check_unlocked(const ProllyRepo *repo)
{
#ifdef PROLLY_LOCK_CHECKS
	if (repo->notify)
		prolly_order_check_outermost("the observer is called");
#endif
}

static void end_call(ProllyRepoBody *body)
{
	g_mutex_lock(&body->observer_lock);
	if (--body->observer_calls == 0)
		g_cond_broadcast(&body->observer_idle);
	g_mutex_unlock(&body->observer_lock);
}

void prolly_repo_notify(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *places, size_t n,
			bool is_found)
{
	void *data;
	const ProllyObserver *observer = begin_call(repo, is_found, &data);

	check_unlocked(repo);
	if (!observer)
		return;
	if (observer->changed)
		observer->changed(data, branch, places, n, repo->notify);
	end_call(repo->body);
}

void prolly_repo_notify_branches(ProllyRepo *repo, bool is_found)
{
	void *data;
	const ProllyObserver *observer = begin_call(repo, is_found, &data);

	check_unlocked(repo);
	if (!observer)
		return;
	if (observer->branches_changed)
		observer->branches_changed(data, repo->notify);
	end_call(repo->body);
}

static void notify_changing(ProllyRepo *repo, bool has_ended)
{
	void *data;
	const ProllyObserver *observer = begin_call(repo, true, &data);

	if (!observer)
		return;
	if (observer->changing)
		observer->changing(data, has_ended);
	end_call(repo->body);
}

void prolly_repo_begin_change(ProllyRepo *repo)
{
	notify_changing(repo, false);
}

void prolly_repo_end_change(ProllyRepo *repo)
{
	notify_changing(repo, true);
}
