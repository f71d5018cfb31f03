/* SPDX-License-Identifier: Apache-2.0 */

/*
 * invalidate: changes behind the kernel -> what the kernel has cached.
 *
 * What we answer is cached for a day. A command (or another user of the library in this process)
 * that changes keys or branches has its changes announced to the observer here, after they are done
 * and before it returns; when the observer returns, every process sees them:
 * 1. The scope's count of moves goes up, so that names met again are compared with the content
 *    their node stands for (inode.c), and its count of changes, so that open directories stop
 *    making nodes from what they pinned; taking reply_lock once waits for the answers that may
 *    have been made before (ops-dir.c, R2).
 * 2. The kernel is told. Few places: each name on the way that the kernel may know is invalidated.
 *    Many, or branches: one FUSE_NOTIFY_INC_EPOCH, after which the kernel looks up again each name
 *    it uses. Older kernels (below protocol 7.44) are told every name that is known here; names
 *    known to be absent are not, so there no absence is cached in the first place. Directories keep
 *    their nodes, so that processes in them stay where they are; their attributes are invalidated,
 *    and the names that it keeps of their last reading (ops-dir.c). Changed files get new nodes;
 *    whoever has the old one open goes on with it.
 *
 * Deadlocks. Invalidating an entry waits in the kernel for the directory's lock, which is held by
 * whoever waits for our answer to a create or look-up in it. So it is done by a thread of its own
 * that holds nothing and answers nothing; the observer, which the version layer calls without
 * locks, waits for it. But a handler that finds that git moved a branch, or deleted one, only
 * queues: it may be what the kernel waits for. The epoch takes no lock in the kernel and is sent on
 * the spot.
 */

#include "fs-private.h"

#include <linux/fuse.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define NOTIFY_INC_EPOCH 8   /* linux/fuse.h has it from 7.44 on */
#define SHED_COUNT       128 /* nodes at a time */

typedef struct {
	fuse_ino_t id;
	char *name; /* an entry of directory ID; NULL: the attributes of ID */
	off_t from; /* and what it has from there on: all (0) of a directory's list, or nothing (-1) */
} Notice;

typedef struct {
	GArray *notices; /* of Notice */
	bool is_awaited; /* somebody waits, and frees it */
	bool is_done;
} Job;

struct PfsNotifier {
	PfsMount *mount;
	GThread *thread;
	GMutex lock;
	GCond changed; /* jobs, is_done or is_ending */
	GQueue jobs;
	bool is_ending;
};

/* ---- Jobs -------------------------------------------------------------------------------- */

static void notice_clear(gpointer p)
{
	g_free(((Notice *)p)->name);
}

static Job *job_new(void)
{
	Job *job = g_new0(Job, 1);

	job->notices = g_array_new(FALSE, FALSE, sizeof(Notice));
	g_array_set_clear_func(job->notices, notice_clear);
	return job;
}

static void job_free(Job *job)
{
	g_array_unref(job->notices);
	g_free(job);
}

static void add_name(Job *job, fuse_ino_t parent, const char *name)
{
	const Notice notice = {parent, g_strdup(name), 0};

	g_array_append_val(job->notices, notice);
}

static void add_attributes(Job *job, fuse_ino_t id)
{
	const Notice notice = {id, NULL, 0};

	g_array_append_val(job->notices, notice);
}

/* INODE's attributes if it has hard links, which may be fewer than they were. */
/* Under the table's lock. */
static void add_if_linked(Job *job, const PfsInode *inode)
{
	const Notice notice = {inode->id, NULL, -1};

	if (inode->group)
		g_array_append_val(job->notices, notice);
}

/* Errors say that the kernel does not know the name, or is gone: both are fine. */
static void run_job(PfsMount *mount, const Job *job)
{
	for (guint i = 0; i < job->notices->len; i++) {
		const Notice *notice = &g_array_index(job->notices, Notice, i);

		if (notice->name)
			fuse_lowlevel_notify_inval_entry(mount->session, notice->id, notice->name,
							 strlen(notice->name));
		else
			fuse_lowlevel_notify_inval_inode(mount->session, notice->id, notice->from,
							 0);
	}
}

static gpointer notifier_main(gpointer data)
{
	PfsNotifier *self = data;

	g_mutex_lock(&self->lock);
	while (!self->is_ending || !g_queue_is_empty(&self->jobs)) {
		Job *job = g_queue_pop_head(&self->jobs);

		if (!job) {
			g_cond_wait(&self->changed, &self->lock);
			continue;
		}
		g_mutex_unlock(&self->lock);
		run_job(self->mount, job);
		g_mutex_lock(&self->lock);
		if (!job->is_awaited)
			job_free(job);
		else
			job->is_done = true;
		g_cond_broadcast(&self->changed);
	}
	g_mutex_unlock(&self->lock);
	return NULL;
}

/* Takes JOB. WAIT: returns when the kernel was told. */
static void submit(PfsNotifier *self, Job *job, bool wait)
{
	job->is_awaited = wait;
	g_mutex_lock(&self->lock);
	g_queue_push_tail(&self->jobs, job);
	g_cond_broadcast(&self->changed);
	while (wait && !job->is_done)
		g_cond_wait(&self->changed, &self->lock);
	g_mutex_unlock(&self->lock);
	if (wait)
		job_free(job);
}

PfsNotifier *pfs_notifier_new(PfsMount *mount)
{
	PfsNotifier *self = g_new0(PfsNotifier, 1);

	self->mount = mount;
	g_mutex_init(&self->lock);
	g_cond_init(&self->changed);
	g_queue_init(&self->jobs);
	self->thread = g_thread_new("notifier", notifier_main, self);
	return self;
}

void pfs_notifier_free(PfsNotifier *self)
{
	if (!self)
		return;
	g_mutex_lock(&self->lock);
	self->is_ending = true;
	g_cond_broadcast(&self->changed);
	g_mutex_unlock(&self->lock);
	g_thread_join(self->thread);
	g_cond_clear(&self->changed);
	g_mutex_clear(&self->lock);
	g_free(self);
}

/* ---- Everything -------------------------------------------------------------------------- */

static bool send_epoch(PfsMount *mount)
{
	const struct fuse_out_header header = {.len = sizeof header, .error = NOTIFY_INC_EPOCH};

	if (!mount->has_epoch)
		return false;
	if (write(fuse_session_fd(mount->session), &header, sizeof header) == sizeof header)
		return true;
	if (errno == EINVAL)
		pfs_log(mount, LOG_WARNING, "the kernel refuses FUSE_NOTIFY_INC_EPOCH");
	return false;
}

typedef struct {
	Job *job;
	bool with_names;
} Collector;

/* Directories' attributes; for older kernels the names of all files too. Directories' own names are
 * left: dropping one would leave processes in it without a path. */
static void collect(PfsInode *inode, gpointer data)
{
	Collector *collector = data;

	if (pfs_inode_is_directory(inode)) {
		add_attributes(collector->job, inode->id);
		return;
	}
	if (inode->n_open) /* the others are asked for by name */
		add_if_linked(collector->job, inode);
	for (PfsName *name = inode->names; collector->with_names && name; name = name->next)
		add_name(collector->job, name->parent->id, name->name);
}

static void collect_vanished(PfsMount *mount, PfsScope *scope, Job *job);

static Job *job_for_scope(PfsMount *mount, PfsScope *scope, bool has_epoch)
{
	Collector collector = {job_new(), !has_epoch};

	pfs_table_foreach(&mount->table, scope, collect, &collector);
	if (!has_epoch)
		collect_vanished(mount, scope, collector.job);
	return collector.job;
}

/* ---- Older kernels: directories that are gone --------------------------------------------- */

typedef struct {
	PfsTable *table;
	GPtrArray *directories; /* referenced */
} Directories;

static void collect_directory(PfsInode *inode, gpointer data)
{
	Directories *self = data;

	if (inode->kind == PFS_KIND_DIRECTORY && inode->names) {
		inode->references++;
		g_ptr_array_add(self->directories, inode);
	}
}

static bool exists(PfsMount *mount, PfsInode *inode)
{
	g_auto(PfsPlace) where = {0};
	ProllyPlace place;
	bool is_there = false;

	if (!pfs_table_get_place(&mount->table, inode, &where))
		return false;
	place = pfs_place_get(&where);
	if (!prolly_view_get_directory(inode->scope->view, &place, NULL, &is_there, NULL, NULL))
		return true; /* let a look-up find out */
	return is_there;
}

/* Adds INODE's name if it is a directory that is no more. */
static void add_if_vanished(PfsMount *mount, PfsInode *inode, Job *job)
{
	if (exists(mount, inode))
		return;
	g_mutex_lock(&mount->table.lock);
	if (inode->names)
		add_name(job, inode->names->parent->id, inode->names->name);
	g_mutex_unlock(&mount->table.lock);
}

static void collect_vanished(PfsMount *mount, PfsScope *scope, Job *job)
{
	Directories self = {&mount->table, g_ptr_array_new()};

	pfs_table_foreach(&mount->table, scope, collect_directory, &self);
	for (guint i = 0; i < self.directories->len; i++) {
		add_if_vanished(mount, self.directories->pdata[i], job);
		pfs_inode_unref(&mount->table, self.directories->pdata[i]);
	}
	g_ptr_array_unref(self.directories);
}

/* ---- One place --------------------------------------------------------------------------- */

/* NAME in DIR, and who has it open. */
static void add_file(PfsMount *mount, Job *job, PfsInode *dir, const char *name)
{
	PfsInode *inode = pfs_table_find_name(&mount->table, dir, name);

	add_name(job, dir->id, name);
	if (inode) {
		g_mutex_lock(&mount->table.lock);
		add_if_linked(job, inode);
		g_mutex_unlock(&mount->table.lock);
	}
	pfs_inode_unref(&mount->table, inode);
}

/* Both names that KEY may have in DIR: with a directory of the same name, and without. */
static void add_key_names(PfsMount *mount, Job *job, PfsInode *inode, const ProllyKeyDir *dir,
			  const ProllyPlace *place)
{
	ProllyKeyEntry entry;

	prolly_keypath_get_entry(dir, place->key, place->key_len, false, &entry);
	if (entry.type != PROLLY_ENTRY_NONE)
		add_file(mount, job, inode, entry.name);
	prolly_keypath_get_entry(dir, place->key, place->key_len, true, &entry);
	if (entry.type == PROLLY_ENTRY_KEY)
		add_file(mount, job, inode, entry.name);
	add_attributes(job, inode->id);
}

/* The key that has NAME in INODE while there is no directory of that name: it loses or regains it.
 */
static void add_covered_name(Job *job, PfsInode *inode, const char *name)
{
	g_autofree char *covered = g_strconcat(name, "%prolly-key", NULL);

	add_name(job, inode->id, name);
	add_name(job, inode->id, covered);
	add_attributes(job, inode->id);
}

/*
 * Walks from INODE, the directory DIR, to PLACE, as far as the kernel knows the way. INODE's
 * reference is consumed.
 */
static void walk(PfsMount *mount, PfsInode *inode, ProllyKeyDir dir, const ProllyPlace *place,
		 Job *job)
{
	while (inode) {
		PfsInode *child;
		ProllyKeyEntry entry;

		prolly_keypath_get_entry(&dir, place->key, place->key_len, false, &entry);
		if (entry.type == PROLLY_ENTRY_NONE || entry.type == PROLLY_ENTRY_KEY) {
			add_key_names(mount, job, inode, &dir, place);
			pfs_inode_unref(&mount->table, inode);
			return;
		}
		child = pfs_table_find_name(&mount->table, inode, entry.name);
		if (!child || !pfs_inode_is_directory(child) || !exists(mount, child))
			add_covered_name(job, inode, entry.name);
		pfs_inode_unref(&mount->table, inode);
		if (child && !pfs_inode_is_directory(child)) {
			pfs_inode_unref(&mount->table, child);
			child = NULL;
		}
		inode = child;
		dir = (ProllyKeyDir){entry.dir_kind, place->key, entry.prefix_len};
	}
}

static void add_place(PfsMount *mount, PfsScope *scope, const ProllyPlace *place, Job *job)
{
	const ProllyKeyDir in_branch = {PROLLY_KEYDIR_BRANCH, NULL, 0};
	const ProllyKeyDir in_namespace = {PROLLY_KEYDIR_KEYS, NULL, 0};
	char name[PROLLY_NAME_MAX + 1];
	PfsInode *top, *child;

	g_mutex_lock(&mount->table.lock);
	top = scope->top;
	if (top)
		top->references++;
	g_mutex_unlock(&mount->table.lock);
	if (!top)
		return;
	if (!place->ns[0]) {
		walk(mount, top, in_branch, place, job);
		return;
	}
	prolly_keypath_namespace_to_name(place->ns, name);
	child = pfs_table_find_name(&mount->table, top, name);
	if (!child || !pfs_inode_is_directory(child) || !exists(mount, child))
		add_covered_name(job, top, name);
	pfs_inode_unref(&mount->table, top);
	if (child && pfs_inode_is_directory(child))
		walk(mount, child, in_namespace, place, job);
	else
		pfs_inode_unref(&mount->table, child);
}

/* ---- The observer ------------------------------------------------------------------------ */

/* Answers made before a change that was counted are with the kernel when this returns. (They are made
 * by the receive thread.) */
static void wait_for_answers(PfsMount *mount)
{
	if (g_thread_self() == mount->receiver)
		return;
	g_mutex_lock(&mount->reply_lock);
	g_mutex_unlock(&mount->reply_lock);
}

static void on_changed(void *data, ProllyBranch *branch, const ProllyPlace *places, size_t n,
		       bool may_wait)
{
	PfsMount *mount = data;
	PfsScope *scope = pfs_scope_find_branch(&mount->table, branch);
	Job *job;

	if (!scope)
		return; /* the kernel knows nothing of it */
	g_atomic_int_inc(&scope->moves);
	g_atomic_int_inc(&scope->changes);
	wait_for_answers(mount);
	if (places && n <= PROLLY_OBSERVER_PLACES_MAX) {
		job = job_new();
		for (size_t i = 0; i < n; i++)
			add_place(mount, scope, &places[i], job);
	} else {
		job = job_for_scope(mount, scope, send_epoch(mount));
	}
	submit(mount->notifier, job, may_wait);
	pfs_scope_unref(&mount->table, scope);
}

/* Does TOP, the directory of a branch, stand for nothing now, or has it another name? */
static bool has_lost_name(const PfsInode *top)
{
	ProllyBranch *branch = top->scope->branch;
	g_autofree char *known = pfs_branch_full_name(top->names->parent, top->names->name);
	g_autofree char *now = prolly_branch_dup_name(branch);

	return prolly_branch_is_deleted(branch) || strcmp(known, now);
}

/* Nodes of branches that were deleted stand for nothing now. Their names go into JOB, and those that
 * branches had before they were renamed. */
static void collect_branches(PfsMount *mount, Job *job)
{
	g_autoptr(GPtrArray) deleted = g_ptr_array_new();
	GHashTableIter iter;
	gpointer value;

	g_mutex_lock(&mount->table.lock);
	g_hash_table_iter_init(&iter, mount->table.scopes);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		PfsScope *scope = value;
		PfsInode *top = scope->branch ? scope->top : NULL;

		if (!top || !top->names || !has_lost_name(top))
			continue;
		add_name(job, top->names->parent->id, top->names->name);
		if (prolly_branch_is_deleted(scope->branch)) {
			g_atomic_int_inc(&scope->moves);
			top->references++;
			g_ptr_array_add(deleted, top);
		}
	}
	g_mutex_unlock(&mount->table.lock);
	for (guint i = 0; i < deleted->len; i++) {
		pfs_table_orphan(&mount->table, deleted->pdata[i]);
		pfs_inode_unref(&mount->table, deleted->pdata[i]);
	}
}

static void on_branches_changed(void *data, bool may_wait)
{
	PfsMount *mount = data;
	Job *job = job_new();

	pfs_branches_touch(mount);
	wait_for_answers(mount);
	collect_branches(mount, job);
	if (send_epoch(mount))
		g_array_set_size(job->notices, 0);
	add_attributes(job, FUSE_ROOT_ID);
	submit(mount->notifier, job, may_wait);
}

static void on_changing(void *data, bool has_ended)
{
	if (has_ended)
		pfs_lazy_end_change(data);
	else
		pfs_lazy_begin_change(data);
}

void pfs_notifier_observe(PfsMount *mount)
{
	static const ProllyObserver observer = {
		.changed = on_changed,
		.branches_changed = on_branches_changed,
		.changing = on_changing,
	};

	prolly_repo_set_observer(mount->control_repo, &observer, mount);
}

/* ---- Single names ------------------------------------------------------------------------ */

void pfs_notifier_drop_name(PfsMount *mount, fuse_ino_t parent, const char *name)
{
	Job *job = job_new();

	add_name(job, parent, name);
	submit(mount->notifier, job, false);
}

void pfs_notifier_drop_covered(PfsMount *mount, PfsInode *dir)
{
	g_autofree char *covered = NULL;
	PfsInode *parent = NULL, *key;

	g_mutex_lock(&mount->table.lock);
	if (dir->kind == PFS_KIND_DIRECTORY && dir->names) {
		parent = dir->names->parent;
		parent->references++;
		covered = g_strconcat(dir->names->name, "%prolly-key", NULL);
	}
	g_mutex_unlock(&mount->table.lock);
	if (!parent)
		return;
	key = pfs_table_find_name(&mount->table, parent, covered);
	if (key && !exists(mount, dir))
		pfs_notifier_drop_name(mount, parent->id, covered);
	pfs_inode_unref(&mount->table, key);
	pfs_inode_unref(&mount->table, parent);
}

void pfs_notifier_shed(PfsMount *mount)
{
	g_autoptr(GArray) aged = NULL;
	Job *job;

	if (!pfs_table_begin_shedding(&mount->table))
		return;
	aged = pfs_table_list_aged(&mount->table, SHED_COUNT);
	job = job_new();
	for (guint i = 0; i < aged->len; i++) {
		const PfsNamed *named = &g_array_index(aged, PfsNamed, i);

		add_name(job, named->parent, named->name);
	}
	submit(mount->notifier, job, false);
}
