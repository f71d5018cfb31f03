/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ops-dir: reading directories.
 *
 * A handle pins the state that the directory has when it is opened, and reads only that: what is made
 * or deleted meanwhile neither shifts nor repeats entries. Reading from the start, if anything changed
 * or was read since, pins the state of then. (Names that are no keys are listed when they are read.)
 *
 * Cookies are an ordinal and a check: that of the entry with ordinal n (0 is ".", 1 is "..") has n + 1,
 * "go on after it", and bits of a hash of its name. Going on where the last answer ended costs nothing.
 * Anywhere else (seekdir, a request repeated after an interrupt) is reached from the last of the
 * checkpoints, one each CHECKPOINT entries, that lies before it; so a directory of any size is read in
 * constant memory but for a position of some bytes for each 4096 entries.
 *
 * The check is for who reads what the kernel has kept from another handle's reading (below), until it
 * is dropped: the rest is asked of this handle, which may have pinned another state. Where the ordinal
 * does not lead to an entry of that name it is looked for, here and then in the present state; so what
 * was there all the time is still read once.
 *
 * Readdirplus also fills the kernel's caches, with nodes and attributes that it will keep for a
 * day. That must not be done from a pinned state that has been overtaken: R1  The scope's count of
 * changes is noted before the state is pinned, and compared for each answer; if it moved, each name
 * is looked up in the present state for its node (which costs a tenth of the request that the
 * kernel would send for it). R2  The comparison, the answer and its sending are under
 * mount->reply_lock, which invalidate.c takes after it has counted a change and before it tells the
 * kernel. So an answer from an old state is in the kernel before the news that it is old. (Look-ups
 * need no such lock: the kernel orders them against invalidations itself.)
 *
 * The kernel keeps the names of a directory of keys once it was read to its end (cache_readdir), and
 * drops them when something in it is made or removed through it, or we say so. That is not enough: what
 * it takes from an answer that was sent before such news it may store after them, and a directory that
 * is there for its keys alone comes and goes with them. So at each opening it is told to drop what it
 * has (no keep_cache), unless since the opening before the scope was not changed behind the kernel, and
 * no name came or went through it in the directory or below. (Git, say, makes and removes a lock
 * whenever it looks through all directories.)
 *
 * A plain answer has names, numbers and types alone, so the times of its entries are not found out,
 * which would be most of its price. An entry that was read for a plain answer and is then given in
 * one with attributes is looked up anew, as one from an overtaken state.
 */

#include "base/memory.h"
#include "fs-private.h"

#include <string.h>

#define CHECKPOINT   4096
#define N_DOTS       2   /* "." and ".." */
#define CHECK_BITS   31  /* of a cookie; its ordinal is above them */
#define PROBED_NAMES 256 /* more branches than this are listed without opening them */
#define ANSWER_MAX   (1u << 20)

struct PfsDirHandle {
	PfsInode *inode;            /* referenced */
	PfsAccount *account;        /* of who opened it */
	GList link;                 /* in mount->dir_handles */
	ProllyDirectory *directory; /* keys; pinned; NULL: not yet */
	gint changes;               /* of the scope, when it was pinned */
	gint moves;                 /* likewise */
	uint64_t names_changes;     /* and the directory's */
	bool is_used;               /* it was read from */
	GPtrArray *names;           /* no keys; as pfs_branches_list gives them */
	size_t taken;               /* of the account's bytes, for them */
	uint64_t position;          /* ordinal of the entry that is read next */
	uint32_t behind; /* check of the one before; 0: there is none, or it is not known */
	bool has_entry;  /* it was read already, and is: */
	ProllyDirent entry;
	bool wants_times;       /* the entries are read for an answer with attributes */
	bool has_times;         /* ENTRY was */
	GPtrArray *checkpoints; /* of GBytes: positions of the entries at N_DOTS + n * CHECKPOINT */
};

/* An entry as it is answered. */
typedef struct {
	const char *name;
	PfsFound found;
	bool has_node; /* FOUND is enough to make a node of */
} Entry;

/* ---- Handles ----------------------------------------------------------------------------- */

static void forget_state(PfsDirHandle *handle)
{
	g_clear_pointer(&handle->directory, prolly_directory_free);
	g_clear_pointer(&handle->names, g_ptr_array_unref);
	prolly_allowance_give(pfs_account_get_allowance(handle->account), handle->taken);
	handle->taken = 0;
	g_ptr_array_set_size(handle->checkpoints, 0);
	handle->position = N_DOTS;
	handle->behind = 0;
	handle->has_entry = false;
	handle->is_used = false;
}

static PfsDirHandle *handle_new(PfsMount *mount, PfsInode *inode, PfsAccount *account)
{
	PfsDirHandle *handle = g_new0(PfsDirHandle, 1);

	handle->account = account;
	handle->inode = pfs_inode_ref(&mount->table, inode);
	handle->checkpoints = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	handle->position = N_DOTS;
	handle->link.data = handle;
	g_mutex_lock(&mount->handles_lock);
	g_queue_push_tail_link(&mount->dir_handles, &handle->link);
	g_mutex_unlock(&mount->handles_lock);
	return handle;
}

static void handle_free(PfsMount *mount, PfsDirHandle *handle)
{
	g_mutex_lock(&mount->handles_lock);
	g_queue_unlink(&mount->dir_handles, &handle->link);
	g_mutex_unlock(&mount->handles_lock);
	forget_state(handle);
	g_ptr_array_unref(handle->checkpoints);
	pfs_account_close(mount, handle->account, false);
	pfs_inode_unref(&mount->table, handle->inode);
	g_free(handle);
}

void pfs_dir_handles_free(PfsMount *mount)
{
	while (mount->dir_handles.head)
		handle_free(mount, mount->dir_handles.head->data);
}

static bool holds_keys(const PfsDirHandle *handle)
{
	return handle->inode->kind == PFS_KIND_TOP || handle->inode->kind == PFS_KIND_DIRECTORY;
}

/* As long as the handle is open, its names are its owner's to have. */
static bool take_names(PfsMount *mount, PfsDirHandle *handle, GPtrArray *names, GError **error)
{
	size_t size = 0;

	for (guint i = 0; i < names->len; i++)
		size += sizeof(char *) + strlen(names->pdata[i]) + 1;
	if (!prolly_allowance_take(pfs_account_get_allowance(handle->account), size)) {
		pfs_account_note(mount, handle->account, EDQUOT);
		g_ptr_array_unref(names);
		return prolly_throw_errno(error, EDQUOT, "names of a directory");
	}
	handle->names = names;
	handle->taken = size;
	return true;
}

static bool list_names(PfsMount *mount, PfsDirHandle *handle, GError **error)
{
	PfsInode *inode = handle->inode;
	GPtrArray *names = NULL;

	if (inode->kind == PFS_KIND_ROOT || inode->kind == PFS_KIND_LEVEL
		    ? !pfs_branches_list(mount, inode, &names, error)
		    : !pfs_meta_list(mount, inode, &names, error))
		return false;
	return take_names(mount, handle, names, error);
}

static void note_pinned(PfsMount *mount, PfsDirHandle *handle)
{
	PfsInode *inode = handle->inode;

	handle->changes = g_atomic_int_get(&inode->scope->changes);
	g_mutex_lock(&mount->table.lock);
	handle->moves = g_atomic_int_get(&inode->scope->moves);
	handle->names_changes = inode->names_changes;
	g_mutex_unlock(&mount->table.lock);
}

static bool pin_state(PfsMount *mount, PfsDirHandle *handle, GError **error)
{
	PfsInode *inode = handle->inode;
	g_auto(PfsPlace) place = {0};
	ProllyKeyDir dir;

	if (!holds_keys(handle))
		return list_names(mount, handle, error);
	note_pinned(mount, handle);
	if (!pfs_table_get_place(&mount->table, inode, &place)) {
		handle->names = g_ptr_array_new(); /* a removed directory is empty */
		return true;
	}
	dir = pfs_place_get_dir(&place);
	return prolly_directory_open_kind(inode->scope->view, place.ns, &dir, true,
					  &handle->directory, error);
}

/* What the kernel keeps of the names is right if nothing changed since it may have begun to. */
static void let_cache(PfsMount *mount, const PfsDirHandle *handle, struct fuse_file_info *fi)
{
	PfsInode *inode = handle->inode;

	g_mutex_lock(&mount->table.lock);
	fi->cache_readdir = true;
	fi->keep_cache = inode->listed_names == handle->names_changes + 1 &&
			 inode->listed_moves == handle->moves;
	inode->listed_names = handle->names_changes + 1;
	inode->listed_moves = handle->moves;
	g_mutex_unlock(&mount->table.lock);
}

/* The kernel may append what HANDLE reads to what it keeps of a newer reading: not if they differ. */
static void note_answered(PfsMount *mount, const PfsDirHandle *handle)
{
	PfsInode *inode = handle->inode;

	g_mutex_lock(&mount->table.lock);
	if (inode->listed_names != handle->names_changes + 1 ||
	    inode->listed_moves != handle->moves)
		inode->listed_names = 0;
	g_mutex_unlock(&mount->table.lock);
}

void pfs_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	PfsMount *mount = pfs_mount(req);
	PfsInode *inode = pfs_table_find(&mount->table, ino);
	PfsAccount *account;
	PfsDirHandle *handle;

	if (!inode) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	account = pfs_account_open(req, false);
	if (!account) {
		fuse_reply_err(req, EMFILE);
		return;
	}
	handle = handle_new(mount, inode, account);
	if (holds_keys(handle) && pin_state(mount, handle, NULL)) /* else reading says why */
		let_cache(mount, handle, fi);
	fi->fh = (uintptr_t)handle;
	if (fuse_reply_open(req, fi) < 0)
		handle_free(mount, handle); /* interrupted: no release will come */
}

static PfsDirHandle *dir_handle(const struct fuse_file_info *fi)
{
	return (PfsDirHandle *)(uintptr_t)fi->fh;
}

void pfs_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	handle_free(pfs_mount(req), dir_handle(fi));
	fuse_reply_err(req, 0);
}

void pfs_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	g_autoptr(GError) error = NULL;

	if (prolly_repo_sync(pfs_mount(req)->repo, &error))
		fuse_reply_err(req, 0);
	else
		pfs_reply_error(req, "fsync", error);
}

/* ---- Reading in order -------------------------------------------------------------------- */

/* Makes handle->entry the one at handle->position. *OUT_END: there is none. */
static bool fetch(PfsDirHandle *handle, bool *out_end, GError **error)
{
	uint64_t ordinal = handle->position - N_DOTS;

	if (!handle->directory) {
		*out_end = ordinal >= handle->names->len;
		return true;
	}
	*out_end = false;
	if (handle->has_entry)
		return true;
	if (ordinal % CHECKPOINT == 0 && ordinal / CHECKPOINT == handle->checkpoints->len)
		g_ptr_array_add(handle->checkpoints, prolly_directory_tell(handle->directory));
	if (!prolly_directory_next(handle->directory, &handle->entry, out_end, error))
		return false;
	handle->has_entry = !*out_end;
	handle->has_times = handle->wants_times;
	return true;
}

static void want_times(PfsDirHandle *handle, bool wanted)
{
	handle->wants_times = wanted;
	if (handle->directory)
		prolly_directory_set_times(handle->directory, wanted);
}

/* Never 0. */
static uint32_t check_of(const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (const char *p = name; *p; p++)
		hash = (hash ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
	return (uint32_t)(hash >> (64 - CHECK_BITS)) | 1;
}

/* Past the entry that was fetched, whose check is CHECK. */
static void advance(PfsDirHandle *handle, uint32_t check)
{
	handle->position++;
	handle->behind = check;
	handle->has_entry = false;
}

/* Past the next key, unless that is the end. */
static bool step(PfsDirHandle *handle, bool *out_end, GError **error)
{
	if (!fetch(handle, out_end, error))
		return false;
	if (!*out_end)
		advance(handle, check_of(handle->entry.name));
	return true;
}

/* To the entry with ordinal POSITION; past the end is the end. */
static bool go_to(PfsDirHandle *handle, uint64_t position, GError **error)
{
	uint64_t checkpoint = (position - N_DOTS) / CHECKPOINT;
	bool end = false;

	if (!handle->directory) {
		handle->position = position;
		return true;
	}
	if (checkpoint >= handle->checkpoints->len)
		checkpoint = handle->checkpoints->len ? handle->checkpoints->len - 1 : 0;
	if (position < handle->position || handle->position < N_DOTS + checkpoint * CHECKPOINT) {
		if (!prolly_directory_seek(handle->directory,
					   handle->checkpoints->pdata[checkpoint], error))
			return false;
		handle->position = N_DOTS + checkpoint * CHECKPOINT;
		handle->behind = 0;
		handle->has_entry = false;
	}
	while (handle->position < position && !end)
		if (!step(handle, &end, error))
			return false;
	return true;
}

/* Past the key of that CHECK: most likely the one before ORDINAL. */
static bool find_behind(PfsDirHandle *handle, uint64_t ordinal, uint32_t check, bool *out_found,
			GError **error)
{
	bool end = false;

	if (!go_to(handle, ordinal - 1, error) || !step(handle, &end, error))
		return false;
	if (handle->behind != check && !go_to(handle, N_DOTS, error))
		return false;
	for (end = false; handle->behind != check && !end;)
		if (!step(handle, &end, error))
			return false;
	*out_found = handle->behind == check;
	return true;
}

static bool seek(PfsMount *mount, PfsDirHandle *handle, uint64_t ordinal, uint32_t check,
		 GError **error)
{
	bool found = false;

	if (!handle->directory || ordinal == N_DOTS)
		return go_to(handle, ordinal, error);
	if (!find_behind(handle, ordinal, check, &found, error))
		return false;
	if (found)
		return true;
	forget_state(handle);
	if (!pin_state(mount, handle, error) ||
	    (handle->directory && !find_behind(handle, ordinal, check, &found, error)))
		return false;
	return found || go_to(handle, ordinal, error);
}

static bool is_overtaken(const PfsDirHandle *handle)
{
	return holds_keys(handle) &&
	       handle->changes != g_atomic_int_get(&handle->inode->scope->changes);
}

/* Gets ready to answer from COOKIE on, the entry with ordinal *OUT_POSITION. */
static bool prepare(PfsMount *mount, PfsDirHandle *handle, uint64_t cookie, uint64_t *out_position,
		    GError **error)
{
	uint64_t ordinal = cookie >> CHECK_BITS;
	uint32_t check = cookie & ((1u << CHECK_BITS) - 1);

	if (!cookie && (handle->is_used || is_overtaken(handle)))
		forget_state(handle);
	if (!handle->directory && !handle->names && !pin_state(mount, handle, error))
		return false;
	handle->is_used = true;
	if ((ordinal != handle->position || check != handle->behind) &&
	    !seek(mount, handle, MAX(ordinal, N_DOTS), check, error))
		return false;
	*out_position = ordinal < N_DOTS ? ordinal : handle->position;
	return true;
}

/* ---- Entries ----------------------------------------------------------------------------- */

static void dot_entry(PfsMount *mount, const PfsDirHandle *handle, uint64_t ordinal, Entry *out)
{
	uint64_t ino = handle->inode->ino;

	out->name = ordinal ? ".." : ".";
	if (ordinal) {
		g_mutex_lock(&mount->table.lock);
		if (handle->inode->names)
			ino = handle->inode->names->parent->ino;
		g_mutex_unlock(&mount->table.lock);
	}
	out->found.attr.st_ino = ino;
	out->found.attr.st_mode = S_IFDIR;
}

static void key_entry(PfsMount *mount, const PfsDirHandle *handle, Entry *out)
{
	const ProllyDirent *dirent = &handle->entry;
	PfsScope *scope = handle->inode->scope;

	out->name = dirent->name;
	out->has_node = true;
	if (dirent->is_directory)
		pfs_found_named_directory(mount, handle->inode, dirent->name, &dirent->attrs,
					  &out->found);
	else
		pfs_found_entry(mount, scope, dirent->entry, &out->found);
}

/* A name that is no key: what a look-up of it finds, unless that would open too many branches. */
static bool virtual_entry(PfsMount *mount, PfsDirHandle *handle, Entry *out, GError **error)
{
	char *name = handle->names->pdata[handle->position - N_DOTS];
	PfsInode *dir = handle->inode;
	size_t len = strlen(name);
	bool is_directory = dir->kind == PFS_KIND_ROOT || dir->kind == PFS_KIND_LEVEL;
	bool found_it = true;

	if (len && name[len - 1] == '/') {
		name[len - 1] = '\0';
		is_directory = true;
	}
	out->name = name;
	if (dir->kind != PFS_KIND_ROOT && dir->kind != PFS_KIND_LEVEL) {
		if (!pfs_meta_find(mount, dir, name, &out->found, &found_it, error))
			return false;
	} else if (handle->names->len <= PROBED_NAMES) {
		if (!pfs_branches_find(mount, dir, name, &out->found, &found_it, error))
			return false;
	} else {
		found_it = false;
	}
	if (!found_it) {
		out->found.attr.st_ino = pfs_virtual_ino(dir->ino, name);
		out->found.attr.st_mode = is_directory ? S_IFDIR : S_IFREG;
	}
	return true;
}

/* The entry at ordinal POSITION. *OUT_END: there is none. */
static bool get_entry(PfsMount *mount, PfsDirHandle *handle, uint64_t position, Entry *out,
		      bool *out_end, GError **error)
{
	*out_end = false;
	if (position < N_DOTS) {
		dot_entry(mount, handle, position, out);
		return true;
	}
	if (!fetch(handle, out_end, error))
		return false;
	if (*out_end)
		return true;
	if (!handle->directory)
		return virtual_entry(mount, handle, out, error);
	key_entry(mount, handle, out);
	return true;
}

/* ---- Answers ----------------------------------------------------------------------------- */

/* What ENTRY's name means now; without a node if it means nothing any more. */
static void refresh(PfsMount *mount, PfsDirHandle *handle, Entry *entry)
{
	PfsFound found = {0};

	if (!pfs_keys_find(mount, handle->inode, entry->name, &found, &entry->has_node, NULL))
		entry->has_node = false;
	if (entry->has_node)
		entry->found = found;
}

/* Appends ENTRY; its size, which is more than SIZE if it did not fit and nothing was done. */
static size_t add_plain(fuse_req_t req, char *buffer, size_t size, const Entry *entry,
			uint64_t cookie)
{
	return fuse_add_direntry(req, buffer, size, entry->name, &entry->found.attr, (off_t)cookie);
}

static size_t add_plus(fuse_req_t req, PfsDirHandle *handle, char *buffer, size_t size,
		       const Entry *entry, uint64_t cookie)
{
	PfsMount *mount = pfs_mount(req);
	struct fuse_entry_param param = {.attr = entry->found.attr};
	size_t needed = fuse_add_direntry_plus(req, NULL, 0, entry->name, NULL, 0);

	if (needed > size) /* before a look-up is counted that the kernel would not hear of */
		return needed;
	if (entry->has_node && !pfs_table_is_full(&mount->table))
		pfs_enter(mount, handle->inode, entry->name, &entry->found, &param);
	return fuse_add_direntry_plus(req, buffer, size, entry->name, &param, (off_t)cookie);
}

/* Fills OUT from COOKIE on; what was filled before an error is answered without it. */
static bool fill(fuse_req_t req, PfsDirHandle *handle, bool is_plus, uint64_t cookie, GString *out,
		 GError **error)
{
	PfsMount *mount = pfs_mount(req);
	PfsScope *scope = handle->inode->scope;
	uint64_t position;
	size_t used = 0;

	if (!prepare(mount, handle, cookie, &position, error))
		return false;
	bool is_current = handle->directory && !is_overtaken(handle);
	want_times(handle, is_plus);
	for (;; position++) {
		Entry entry = {.found.moves = scope ? g_atomic_int_get(&scope->moves) : 0};
		char *buffer = out->str + used;
		size_t room = out->len - used, needed;
		bool end = false;

		if (!get_entry(mount, handle, position, &entry, &end, error)) {
			pfs_found_clear(&mount->table, &entry.found);
			return used > 0;
		}
		if (is_plus && entry.has_node && (!is_current || !handle->has_times))
			refresh(mount, handle, &entry);
		uint32_t check = end || position < N_DOTS ? 0 : check_of(entry.name);
		cookie = (position + 1) << CHECK_BITS | check;
		needed = end       ? room + 1
			 : is_plus ? add_plus(req, handle, buffer, room, &entry, cookie)
				   : add_plain(req, buffer, room, &entry, cookie);
		pfs_found_clear(&mount->table, &entry.found);
		if (needed > room)
			break;
		used += needed;
		if (position >= N_DOTS)
			advance(handle, check);
	}
	g_string_set_size(out, used);
	return true;
}

static void read_directory(fuse_req_t req, bool is_plus, size_t size, off_t offset,
			   struct fuse_file_info *fi)
{
	PfsMount *mount = pfs_mount(req);
	bool has_nodes = is_plus && holds_keys(dir_handle(fi));
	g_autoptr(GError) error = NULL;
	g_autoptr(GString) answer = g_string_new(NULL);

	if (!prolly_try_reserve_text(answer, MIN(size, ANSWER_MAX), "readdir", &error)) {
		pfs_reply_error(req, "readdir", error);
		return;
	}
	g_string_set_size(answer, MIN(size, ANSWER_MAX));
	if (has_nodes)
		g_mutex_lock(&mount->reply_lock);
	if (holds_keys(dir_handle(fi)))
		note_answered(mount, dir_handle(fi));
	if (fill(req, dir_handle(fi), is_plus, (uint64_t)offset, answer, &error))
		fuse_reply_buf(req, answer->str, answer->len);
	else
		pfs_reply_error(req, "readdir", error);
	if (has_nodes)
		g_mutex_unlock(&mount->reply_lock);
}

void pfs_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	read_directory(req, false, size, offset, fi);
}

void pfs_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
			struct fuse_file_info *fi)
{
	read_directory(req, true, size, offset, fi);
}
