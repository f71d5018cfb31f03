/* SPDX-License-Identifier: Apache-2.0 */

/*
 * account: what each user holds of the mount, and how much of it that may be.
 *
 * With allow_other anybody may open files, and whoever is in ctl_gid's group may leave a command half
 * written or its result unread. All of that is this process's memory, so it is counted, by the uid of
 * who opened it, and refused to who has enough; nobody else notices. Counted are
 *   what is open         files, directories and control files: EMFILE beyond max_open
 *   control files        each may have a thread: EMFILE
 *   requests of them     each that waits has a worker: EBUSY
 *   bytes                lines, results, texts, names of a directory that holds no keys
 *                        (command/command.h): EDQUOT
 * Who mounted, and root, who could end this process anyway, have OWNERS_SHARE times as much: a limit
 * all the same, against programs that forget to close.
 *
 * An account is there while its user has something open, so there are no more than there are such
 * users; it is found by its uid once for each opening, and the last one again without looking.
 *
 * Rejected: asking for a user's RLIMIT_NOFILE: it is a process's, and says nothing of their number.
 *
 * Locks: accounts->lock is held for these counts alone, and while the log is told.
 */

#include "fs-private.h"

#include <syslog.h>

#define OPEN_DEFAULT 65536
#define CONTROLS_MAX 64
#define REQUESTS_MAX 256
#define BYTES_MAX    (64u << 20)
#define OWNERS_SHARE 16u

typedef enum { LIMIT_OPEN, LIMIT_CONTROLS, LIMIT_REQUESTS, LIMIT_BYTES, N_LIMITS } Limit;

struct PfsAccount {
	uid_t uid;
	unsigned share;  /* of the limits; never changes */
	unsigned n_open; /* protected by accounts->lock, as are the next two */
	unsigned n_controls;
	unsigned n_requests;
	ProllyAllowance allowance;
	guint told; /* atomic: the limits that the log was told of, a bit each */
};

void pfs_accounts_init(PfsAccounts *accounts)
{
	g_mutex_init(&accounts->lock);
	accounts->by_uid = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	accounts->last = NULL;
}

void pfs_accounts_clear(PfsAccounts *accounts)
{
	g_hash_table_unref(accounts->by_uid);
	g_mutex_clear(&accounts->lock);
}

static PfsAccount *find_or_make(PfsMount *mount, uid_t uid)
{
	PfsAccounts *accounts = &mount->accounts;
	PfsAccount *account = accounts->last;

	if (account && account->uid == uid)
		return account;
	account = g_hash_table_lookup(accounts->by_uid, GUINT_TO_POINTER(uid));
	if (!account) {
		account = g_new0(PfsAccount, 1);
		account->uid = uid;
		account->share = uid == 0 || uid == mount->owner ? OWNERS_SHARE : 1;
		account->allowance.limit = (size_t)account->share * BYTES_MAX;
		g_hash_table_insert(accounts->by_uid, GUINT_TO_POINTER(uid), account);
	}
	accounts->last = account;
	return account;
}

static void forget_if_unused(PfsAccounts *accounts, PfsAccount *account)
{
	if (account->n_open)
		return;
	if (accounts->last == account)
		accounts->last = NULL;
	g_hash_table_remove(accounts->by_uid, GUINT_TO_POINTER(account->uid));
}

static uint64_t open_max(const PfsMount *mount, const PfsAccount *account)
{
	unsigned max = mount->options->max_open ? mount->options->max_open : OPEN_DEFAULT;

	return (uint64_t)account->share * max;
}

/* Once for each limit of an account: whoever meets it goes on meeting it. */
static void tell(const PfsMount *mount, PfsAccount *account, Limit limit, uint64_t max)
{
	static const char *const what[N_LIMITS] = {
		[LIMIT_OPEN] = "open files and directories",
		[LIMIT_CONTROLS] = "open control files",
		[LIMIT_REQUESTS] = "waiting requests of control files",
		[LIMIT_BYTES] = "bytes of commands and results",
	};

	if (!(g_atomic_int_or(&account->told, 1u << limit) & 1u << limit))
		pfs_log(mount, LOG_WARNING,
			"user %u has all the %s that a user may have: %" G_GUINT64_FORMAT,
			(unsigned)account->uid, what[limit], max);
}

/* Has ACCOUNT room for one more? */
static bool has_room(const PfsMount *mount, PfsAccount *account, bool is_control)
{
	uint64_t controls_max = (uint64_t)account->share * CONTROLS_MAX;

	if (account->n_open >= open_max(mount, account)) {
		tell(mount, account, LIMIT_OPEN, open_max(mount, account));
		return false;
	}
	if (is_control && account->n_controls >= controls_max) {
		tell(mount, account, LIMIT_CONTROLS, controls_max);
		return false;
	}
	return true;
}

PfsAccount *pfs_account_open(fuse_req_t req, bool is_control)
{
	PfsMount *mount = pfs_mount(req);
	PfsAccount *account;

	g_mutex_lock(&mount->accounts.lock);
	account = find_or_make(mount, fuse_req_ctx(req)->uid);
	if (has_room(mount, account, is_control)) {
		account->n_open++;
		account->n_controls += is_control;
	} else {
		account = NULL;
	}
	g_mutex_unlock(&mount->accounts.lock);
	return account;
}

void pfs_account_close(PfsMount *mount, PfsAccount *account, bool is_control)
{
	PfsAccounts *accounts = &mount->accounts;

	g_mutex_lock(&accounts->lock);
	account->n_open--;
	account->n_controls -= is_control;
	forget_if_unused(accounts, account);
	g_mutex_unlock(&accounts->lock);
}

bool pfs_account_begin(PfsMount *mount, PfsAccount *account)
{
	uint64_t max = (uint64_t)account->share * REQUESTS_MAX;
	bool may;

	g_mutex_lock(&mount->accounts.lock);
	may = account->n_requests < max;
	account->n_requests += may;
	g_mutex_unlock(&mount->accounts.lock);
	if (!may)
		tell(mount, account, LIMIT_REQUESTS, max);
	return may;
}

void pfs_account_end(PfsMount *mount, PfsAccount *account)
{
	g_mutex_lock(&mount->accounts.lock);
	account->n_requests--;
	g_mutex_unlock(&mount->accounts.lock);
}

ProllyAllowance *pfs_account_get_allowance(PfsAccount *account)
{
	return &account->allowance;
}

int pfs_account_note(const PfsMount *mount, PfsAccount *account, int errnum)
{
	if (errnum == EDQUOT)
		tell(mount, account, LIMIT_BYTES, account->allowance.limit);
	return errnum;
}
