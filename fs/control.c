/* SPDX-License-Identifier: Apache-2.0 */

/*
 * control: handles of control files, each a session of commands (command/session.h).
 *
 * A control file is read and written by direct I/O: its length is 0 and its pages are nobody's. The
 * kernel holds the inode's lock over a direct write, and a command may run inside one; so that two
 * users of the file do not wait for each other, each look-up gives a new node (ops-lookup.c).
 *
 * Who may is decided by mode and owner when the file is opened, and again at each write by the
 * writer's uid, since a descriptor may be passed on. Reads and writes run on workers of their own
 * (serve.c), as many as there are sessions: one that waits must not keep another from what it waits
 * for. An interrupt of the waiting system call ends the command.
 */

#include "fs-private.h"

#include <string.h>

#define GROUPS_MAX 65536
#define SMALL_READ 4096u

ProllyCaller pfs_control_caller(const PfsScope *scope, const char *branch_name, PfsAccount *account)
{
	return (ProllyCaller){
		.branch = branch_name,
		.confined = scope && scope->branch,
		.allowance = pfs_account_get_allowance(account),
	};
}

static bool is_in_group(fuse_req_t req, gid_t group)
{
	g_autofree gid_t *groups = NULL;
	int n = fuse_req_getgroups(req, 0, NULL);

	if (n <= 0 || n > GROUPS_MAX)
		return false;
	groups = g_new(gid_t, (gsize)n);
	n = MIN(n, fuse_req_getgroups(req, n, groups));
	for (int i = 0; i < n; i++)
		if (groups[i] == group)
			return true;
	return false;
}

/* IS_OWNERS: only its owner and root, wherever the descriptor was passed to. */
static bool is_allowed(fuse_req_t req, bool is_owners)
{
	const PfsMount *mount = pfs_mount(req);
	const struct fuse_ctx *caller = fuse_req_ctx(req);
	int64_t group = mount->options->ctl_gid;

	if (caller->uid == 0 || caller->uid == mount->owner)
		return true;
	return !is_owners && group >= 0 &&
	       (caller->gid == (gid_t)group || is_in_group(req, (gid_t)group));
}

void pfs_control_open(fuse_req_t req, PfsInode *inode, PfsAccount *account,
		      struct fuse_file_info *fi)
{
	PfsMount *mount = pfs_mount(req);
	PfsScope *scope = inode->scope;
	g_autofree char *branch = NULL;
	ProllyCaller caller;
	PfsHandle *handle;

	if (scope && scope->branch)
		branch = prolly_branch_dup_name(scope->branch);
	caller = pfs_control_caller(scope, branch, account);
	caller.is_owner = !caller.confined && fuse_req_ctx(req)->uid == mount->owner;
	caller.read_only = pfs_mountpoint_is_read_only(mount);
	handle = pfs_handle_new(mount, inode, account);
	handle->is_control = true;
	handle->is_owners = caller.is_owner;
	handle->session = prolly_session_new(mount->control_repo, &caller);
	fi->fh = (uintptr_t)handle;
	fi->direct_io = 1;
	fi->noflush = 1; /* a shell's first flush comes before its first write */
	if (fuse_reply_open(req, fi) < 0)
		pfs_handle_free(mount, handle);
}

static void interrupt(fuse_req_t req, void *data)
{
	prolly_session_interrupt(data);
}

/* No interrupt arrives any more: the handle may go when the request is answered. */
static void end_interrupts(fuse_req_t req)
{
	fuse_req_interrupt_func(req, NULL, NULL);
}

void pfs_control_read(fuse_req_t req, PfsHandle *handle, size_t size)
{
	PfsMount *mount = pfs_mount(req);
	g_autofree char *buffer = g_try_malloc(size);
	size_t len = 0;
	int errnum;

	/* What a command has done, its caller shall hear, be it in small pieces. */
	if (!buffer) {
		size = MIN(size, SMALL_READ);
		buffer = g_malloc(size);
	}
	if (!pfs_account_begin(mount, handle->account)) {
		fuse_reply_err(req, EBUSY);
		return;
	}
	fuse_req_interrupt_func(req, interrupt, handle->session);
	errnum = prolly_session_read(handle->session, buffer, size, &len);
	end_interrupts(req);
	pfs_account_end(mount, handle->account);
	if (errnum)
		fuse_reply_err(req, errnum);
	else
		fuse_reply_buf(req, buffer, len);
}

/* Returns the errno that the write fails with, or 0. */
static int write_session(fuse_req_t req, PfsHandle *handle, const char *data, size_t size)
{
	PfsMount *mount = pfs_mount(req);
	int errnum;

	if (!is_allowed(req, handle->is_owners))
		return EACCES;
	if (!pfs_account_begin(mount, handle->account))
		return EBUSY;
	fuse_req_interrupt_func(req, interrupt, handle->session);
	errnum = prolly_session_write(handle->session, data, size);
	end_interrupts(req);
	pfs_account_end(mount, handle->account);
	return pfs_account_note(mount, handle->account, errnum);
}

void pfs_control_write(fuse_req_t req, PfsHandle *handle, const char *data, size_t size)
{
	int errnum = write_session(req, handle, data, size);

	if (errnum)
		fuse_reply_err(req, errnum);
	else
		fuse_reply_write(req, size);
}

void pfs_op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
		  struct fuse_file_info *fi, unsigned flags, const void *in_data, size_t in_size,
		  size_t out_size)
{
	PfsHandle *handle = (PfsHandle *)(uintptr_t)fi->fh;
	bool is_control = !(flags & FUSE_IOCTL_DIR) && handle->session;
	int errnum;

	if (!is_control || cmd != PROLLY_SESSION_IOCTL(in_size)) {
		fuse_reply_err(req, ENOTTY);
		return;
	}
	errnum = write_session(req, handle, in_data, in_size);
	if (errnum)
		fuse_reply_err(req, errnum);
	else
		fuse_reply_ioctl(req, 0, NULL, 0);
}

void pfs_control_interrupt_all(PfsMount *mount)
{
	g_mutex_lock(&mount->handles_lock);
	for (GList *link = mount->handles.head; link; link = link->next) {
		PfsHandle *handle = link->data;

		if (handle->session)
			prolly_session_interrupt(handle->session);
	}
	g_mutex_unlock(&mount->handles_lock);
}
