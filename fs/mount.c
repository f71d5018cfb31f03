/* SPDX-License-Identifier: Apache-2.0 */

/*
 * mount: a mount from its options to its end.
 *
 * Processes. In the background the caller forks first, before there are threads: the child opens
 * the store, mounts, and tells its parent through a pipe when the kernel has had its first answer.
 * Until then it keeps the terminal for its messages; afterwards it logs to syslog. A pipe that
 * closes without a word is a failure whose message is printed already. The foreground is the same
 * without the fork.
 *
 * Signals are taken by one thread (sigwait), so there are no handlers and no state for them:
 *   SIGTERM, SIGINT, SIGHUP: once, the mount is detached lazily, and everybody who has something of
 * it open is served until the last is gone. Twice, the loop ends now, and whoever is left gets
 *   ENOTCONN; what they wrote is kept. A mount that somebody else made and passed as a
 *   descriptor (/dev/fd/N) cannot be detached: there the loop ends at the first.
 *   SIGUSR1: what requests cost so far goes to the log.
 *
 * The end: the loop returns when the kernel drops the connection. Open files are closed, which
 * stages what they hold, commands are cancelled, the store is synced and closed. Nothing that was
 * acknowledged is lost; the next mount waits for the store's lock.
 */

#include "fs-private.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#define LOCK_WAIT_MS   10000
#define MAX_BACKGROUND 64 /* reads ahead and the like that the kernel may have under way */
#define EPOCH_MINOR    44 /* of the protocol: FUSE_NOTIFY_INC_EPOCH */
#define STOP_STEP_NS   100000000

/* ---- Operations -------------------------------------------------------------------------- */

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	PfsMount *mount = userdata;

	/* Replies are from memory; who may keep setuid bits is for the kernel to say; changed
	 * content has another node, so changed times mean nothing to the page cache. */
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				  FUSE_CAP_SPLICE_MOVE | FUSE_CAP_HANDLE_KILLPRIV |
				  FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_WRITEBACK_CACHE);
	conn->want |= conn->capable & FUSE_CAP_EXPLICIT_INVAL_DATA;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = MAX_BACKGROUND * 3 / 4;
	mount->has_epoch = conn->proto_major == 7 && conn->proto_minor >= EPOCH_MINOR;
	mount->negative_timeout = mount->has_epoch ? PFS_TIMEOUT : 0;
	mount->is_ready = true;
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = pfs_op_lookup,
	.forget = pfs_op_forget,
	.forget_multi = pfs_op_forget_multi,
	.getattr = pfs_op_getattr,
	.setattr = pfs_op_setattr,
	.readlink = pfs_op_readlink,
	.mknod = pfs_op_mknod,
	.mkdir = pfs_op_mkdir,
	.unlink = pfs_op_unlink,
	.rmdir = pfs_op_rmdir,
	.symlink = pfs_op_symlink,
	.rename = pfs_op_rename,
	.link = pfs_op_link,
	.open = pfs_op_open,
	.create = pfs_op_create,
	.read = pfs_op_read,
	.write = pfs_op_write,
	.ioctl = pfs_op_ioctl,
	.flush = pfs_op_flush,
	.release = pfs_op_release,
	.fsync = pfs_op_fsync,
	.fallocate = pfs_op_fallocate,
	.lseek = pfs_op_lseek,
	.copy_file_range = pfs_op_copy_file_range,
	.opendir = pfs_op_opendir,
	.readdir = pfs_op_readdir,
	.readdirplus = pfs_op_readdirplus,
	.releasedir = pfs_op_releasedir,
	.fsyncdir = pfs_op_fsyncdir,
	.statfs = pfs_op_statfs,
	.getxattr = pfs_op_getxattr,
	.setxattr = pfs_op_setxattr,
	.listxattr = pfs_op_listxattr,
	.removexattr = pfs_op_removexattr,
};

/* ---- Signals ----------------------------------------------------------------------------- */

typedef struct {
	PfsMount *mount;
	pthread_t thread;
	pthread_t receiver;
	sigset_t waited;
} SignalThread;

/* To the signal thread: the mount is gone. To the receive thread: look up from the device. */
static int end_signal(void)
{
	return SIGRTMIN;
}

static int wake_signal(void)
{
	return SIGRTMIN + 1;
}

static void ignore_signal(int signum)
{
}

/* Before there are threads, so that all inherit the mask. */
static void block_signals(sigset_t *out_waited)
{
	struct sigaction wake = {.sa_handler = ignore_signal}; /* no SA_RESTART: read(2) returns */
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigemptyset(out_waited);
	sigaddset(out_waited, SIGTERM);
	sigaddset(out_waited, SIGINT);
	sigaddset(out_waited, SIGHUP);
	sigaddset(out_waited, SIGUSR1);
	sigaddset(out_waited, end_signal());
	pthread_sigmask(SIG_BLOCK, out_waited, NULL);
	sigaction(wake_signal(), &wake, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

/* Ends the receive loop, which may be about to sleep: it is woken until the end is announced. */
static void stop_now(SignalThread *self)
{
	const struct timespec step = {.tv_nsec = STOP_STEP_NS};

	fuse_session_exit(self->mount->session);
	do
		pthread_kill(self->receiver, wake_signal());
	while (sigtimedwait(&self->waited, NULL, &step) != end_signal());
}

static void *signal_main(void *data)
{
	SignalThread *self = data;
	PfsMount *mount = self->mount;
	bool is_detached = false;
	int signum;

	while (!sigwait(&self->waited, &signum) && signum != end_signal()) {
		g_autoptr(GError) error = NULL;

		if (signum == SIGUSR1) {
			pfs_latency_log(mount);
			continue;
		}
		if (is_detached || pfs_mountpoint_is_descriptor(mount->mountpoint)) {
			stop_now(self);
			break;
		}
		is_detached = true;
		pfs_service_tell("STOPPING=1");
		if (!pfs_mountpoint_detach(mount->mountpoint, &error))
			pfs_log(mount, LOG_WARNING, "%s", error->message);
	}
	return NULL;
}

static bool start_signals(SignalThread *self, PfsMount *mount, GError **error)
{
	int failure;

	self->mount = mount;
	self->receiver = pthread_self();
	failure = pthread_create(&self->thread, NULL, signal_main, self);
	return !failure || prolly_throw_errno(error, failure, "starting a thread");
}

static void stop_signals(SignalThread *self)
{
	pthread_kill(self->thread, end_signal());
	pthread_join(self->thread, NULL);
}

/* ---- The store --------------------------------------------------------------------------- */

static bool open_store(PfsMount *mount, GError **error)
{
	const PfsOptions *options = mount->options;
	const ProllyRepoOptions repo_options = {
		.create = options->create,
		.cache_size = options->cache_size,
		.mount = mount->mountpoint,
		.wait_ms = LOCK_WAIT_MS,
	};

	if (!prolly_repo_open(options->store, &repo_options, &mount->control_repo, error))
		return false;
	if (!options->read_only && !options->revision)
		prolly_backup_claim(mount->control_repo);
	mount->repo = prolly_repo_new_handle(mount->control_repo, NULL, false);
	return true;
}

/* (transfer full) What the mount's root is: a branch, a commit, or NULL for all branches. */
static bool find_root_scope(PfsMount *mount, PfsScope **out_scope, GError **error)
{
	const PfsOptions *options = mount->options;
	g_autoptr(ProllyBranch) branch = NULL;
	ProllyCommitId id;

	*out_scope = NULL;
	if (options->revision)
		return prolly_revision_resolve(mount->repo, options->revision, &id, error) &&
		       pfs_scope_get_commit(mount, &id, NULL, out_scope, error);
	if (!options->branch)
		return true;
	if (!prolly_branch_lookup(mount->repo, options->branch, &branch, error))
		return false;
	if (!branch)
		return prolly_throw(error, PROLLY_ERROR_NOT_FOUND, "branch %s is not there",
				    options->branch);
	*out_scope = pfs_scope_get_branch(mount, branch);
	return true;
}

static bool add_root(PfsMount *mount, GError **error)
{
	PfsScope *scope;
	PfsInode *root;
	struct stat attr;

	if (!find_root_scope(mount, &scope, error))
		return false;
	root = pfs_table_add_root(&mount->table, scope ? PFS_KIND_TOP : PFS_KIND_ROOT, scope);
	pfs_scope_unref(&mount->table, scope);
	root->ino = FUSE_ROOT_ID;
	if (!pfs_stat_inode(mount, root, &attr, error))
		return false;
	root->ino = attr.st_ino;
	pfs_table_told(&mount->table, root, &attr);
	return true;
}

/* ---- Garbage ----------------------------------------------------------------------------- */

/* What an automatic collection did. */
static void log_collection(const ProllyGcFigures *figures, const GError *failure, void *data)
{
	PfsMount *mount = data;

	if (failure) {
		pfs_log(mount, LOG_WARNING, "gc: %s", failure->message);
		return;
	}
	pfs_log(mount, LOG_INFO,
		"gc: %" G_GUINT64_FORMAT " nodes (%" G_GUINT64_FORMAT
		" bytes) reclaimed, %" G_GUINT64_FORMAT " nodes (%" G_GUINT64_FORMAT
		" bytes) left; git %" G_GUINT64_FORMAT " bytes, before %" G_GUINT64_FORMAT,
		figures->reclaimed_nodes, figures->reclaimed_bytes, figures->nodes, figures->bytes,
		figures->git_bytes, figures->git_bytes_before);
}

static void start_collector(PfsMount *mount)
{
	if (!mount->options->read_only && !mount->options->revision)
		mount->collector =
			prolly_gc_collector_start(mount->control_repo, log_collection, mount);
}

/* ---- Mounting ---------------------------------------------------------------------------- */

/* (transfer full) All -o options as one string, of which the later ones win: what is safe, then what
 * was asked for, then what must be. */
static char *mount_options(const PfsMount *mount)
{
	const PfsOptions *options = mount->options;
	g_autofree char *source = pfs_mountpoint_source(mount);
	g_autofree char *fsname = g_strconcat("fsname=", source, NULL);
	char *text = NULL;

	fuse_opt_add_opt(&text, "nosuid,nodev");
	for (char **p = options->fuse_options; p && *p; p++)
		fuse_opt_add_opt_escaped(&text, *p);
	if (options->allow_other)
		fuse_opt_add_opt(&text, "allow_other");
	if (options->read_only || options->revision)
		fuse_opt_add_opt(&text, "ro");
	if (options->debug)
		fuse_opt_add_opt(&text, "debug");
	fuse_opt_add_opt(&text, "default_permissions,subtype=prollyfs");
	fuse_opt_add_opt_escaped(&text, fsname);
	return text;
}

static bool make_session(PfsMount *mount, GError **error)
{
	char *options = mount_options(mount);
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);

	fuse_opt_add_arg(&args, "prollyfs");
	fuse_opt_add_arg(&args, "-o");
	fuse_opt_add_arg(&args, options);
	free(options);
	mount->session = fuse_session_new(&args, &operations, sizeof operations, mount);
	fuse_opt_free_args(&args);
	if (!mount->session)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "libfuse refuses the mount options");
	if (fuse_session_mount(mount->session, mount->mountpoint))
		return prolly_throw(error, PROLLY_ERROR_FAILED, "cannot mount %s on %s",
				    mount->options->store, mount->mountpoint);
	return pfs_handshake_prepare(mount, error);
}

void pfs_mount_background(PfsMount *mount)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	openlog("prollyfs", LOG_PID, LOG_DAEMON);
	mount->to_syslog = true;
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

/* ---- Lifecycle of the state -------------------------------------------------------------- */

static void mount_init(PfsMount *mount, const PfsOptions *options, int ready_fd)
{
	memset(mount, 0, sizeof *mount);
	mount->options = options;
	mount->owner = getuid();
	mount->owner_group = getgid();
	mount->ready_fd = ready_fd;
	clock_gettime(CLOCK_REALTIME, &mount->started);
	mount->branches_changed = pfs_now();
	mount->latency = pfs_latency_new();
	g_mutex_init(&mount->gate.lock);
	g_cond_init(&mount->gate.passed);
	g_mutex_init(&mount->reply_lock);
	pfs_accounts_init(&mount->accounts);
	g_mutex_init(&mount->handles_lock);
	g_queue_init(&mount->handles);
	g_queue_init(&mount->dir_handles);
	g_queue_init(&mount->lazy);
	pfs_table_init(&mount->table);
}

/* What is open when the kernel is gone: nobody will release it. */
static void free_handles(PfsMount *mount)
{
	while (mount->handles.head)
		pfs_handle_free(mount, mount->handles.head->data);
	pfs_dir_handles_free(mount);
}

static void mount_clear(PfsMount *mount)
{
	if (mount->session)
		fuse_session_unmount(mount->session);
	if (mount->control_repo)
		prolly_repo_set_observer(mount->control_repo, NULL, NULL);
	prolly_gc_collector_stop(mount->collector);
	free_handles(mount);
	pfs_notifier_free(mount->notifier);
	pfs_table_clear(&mount->table);
	if (mount->session)
		fuse_session_destroy(mount->session);
	prolly_repo_free(mount->repo);
	prolly_repo_free(mount->control_repo);
	g_mutex_clear(&mount->gate.lock);
	g_cond_clear(&mount->gate.passed);
	g_mutex_clear(&mount->reply_lock);
	g_mutex_clear(&mount->handles_lock);
	pfs_accounts_clear(&mount->accounts);
	pfs_latency_free(mount->latency);
	g_free(mount->mountpoint);
	if (mount->ready_fd >= 0)
		close(mount->ready_fd);
}

/* ---- Running ----------------------------------------------------------------------------- */

static bool mount_and_serve(PfsMount *mount, GError **error)
{
	SignalThread signals;
	bool done;

	if (!pfs_mountpoint_check(mount, &mount->mountpoint, error))
		return false;
	block_signals(&signals.waited);
	if (!open_store(mount, error) || !add_root(mount, error) || !make_session(mount, error))
		return false;
	if (chdir("/"))
		return prolly_throw_errno(error, errno, "/");
	mount->notifier = pfs_notifier_new(mount);
	pfs_notifier_observe(mount);
	if (!start_signals(&signals, mount, error))
		return false;
	start_collector(mount);
	done = pfs_serve(mount, error);
	stop_signals(&signals);
	return done;
}

static int serve(const PfsOptions *options, int ready_fd)
{
	PfsMount mount;
	g_autoptr(GError) error = NULL;
	bool done;

	mount_init(&mount, options, ready_fd);
	done = mount_and_serve(&mount, &error);
	if (!done)
		pfs_log(&mount, LOG_ERR, "%s", error->message);
	mount_clear(&mount);
	return done ? 0 : 1;
}

/* The parent: until the child mounted, or failed and said why. */
static int wait_for_child(pid_t child, int fd)
{
	char done;
	ssize_t n;
	int status;

	do
		n = read(fd, &done, 1);
	while (n < 0 && errno == EINTR);
	close(fd);
	if (n == 1)
		return 0;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
	}
	if (WIFSIGNALED(status))
		fprintf(stderr, "prollyfs: the mounting process was killed by signal %d\n",
			WTERMSIG(status));
	return 1;
}

static int serve_in_background(const PfsOptions *options)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) || (child = fork()) < 0) {
		fprintf(stderr, "prollyfs: %s\n", g_strerror(errno));
		return 1;
	}
	if (child) {
		close(fds[1]);
		return wait_for_child(child, fds[0]);
	}
	close(fds[0]);
	setsid();
	return serve(options, fds[1]);
}

/* Files opened later must not take the places of closed standard streams. */
static void fill_standard_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

int pfs_run(const PfsOptions *options)
{
	fill_standard_streams();
	return options->foreground || options->debug ? serve(options, -1)
						     : serve_in_background(options);
}
