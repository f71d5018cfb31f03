/* SPDX-License-Identifier: Apache-2.0 */

/*
 * attr: attributes as struct stat.
 *
 * What is versioned of a file's mode is its kind: type, and for a file whether it is executable.
 * The rest is local and recorded only where somebody set it; without a record the mount's owner and
 * umask stand in. Where record and kind disagree (a merge made the file executable) the kind wins:
 * the x bits follow it, as a checkout's would.
 *
 * st_ino is the scope's number in the high 17 bits, the number within it in the low 47; what is in
 * no scope derives its own from its path, under scope number 0. Link counts of directories are 1:
 * nothing counts subdirectories, and find(1) takes 1 to mean just that.
 */

#include "fs-private.h"

#include <inttypes.h>
#include <string.h>
#include <sys/sysmacros.h>

#define SCOPE_SHIFT 47
#define NUMBER_MASK ((UINT64_C(1) << SCOPE_SHIFT) - 1)
#define NANOSECONDS INT64_C(1000000000)
#define BLOCK       512 /* of st_blocks */

/* ---- Numbers and times ------------------------------------------------------------------- */

uint64_t pfs_ino(const PfsScope *scope, uint64_t number)
{
	return (uint64_t)scope->number << SCOPE_SHIFT | (number & NUMBER_MASK);
}

uint64_t pfs_virtual_ino(uint64_t parent, const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ parent;

	for (const char *p = name; *p; p++)
		hash = (hash ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
	hash = (hash ^ hash >> SCOPE_SHIFT) & NUMBER_MASK;
	return hash <= FUSE_ROOT_ID ? FUSE_ROOT_ID + 1 : hash;
}

int64_t pfs_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * NANOSECONDS + now.tv_nsec;
}

static struct timespec to_timespec(int64_t time)
{
	int64_t nanoseconds = time % NANOSECONDS;

	if (nanoseconds < 0)
		nanoseconds += NANOSECONDS;
	return (struct timespec){.tv_sec = (time - nanoseconds) / NANOSECONDS,
				 .tv_nsec = nanoseconds};
}

/* ---- Modes ------------------------------------------------------------------------------- */

static mode_t kind_to_type(ProllyKind kind)
{
	switch (kind) {
	case PROLLY_KIND_SYMLINK:
		return S_IFLNK;
	case PROLLY_KIND_DIRECTORY:
		return S_IFDIR;
	case PROLLY_KIND_FIFO:
		return S_IFIFO;
	case PROLLY_KIND_SOCKET:
		return S_IFSOCK;
	case PROLLY_KIND_CHARDEV:
		return S_IFCHR;
	case PROLLY_KIND_BLOCKDEV:
		return S_IFBLK;
	default:
		return S_IFREG;
	}
}

static mode_t mount_umask(const PfsMount *mount)
{
	return mount->options->umask >= 0 ? (mode_t)mount->options->umask & 0777 : 022;
}

/* Permission bits of what has none recorded. */
static mode_t default_mode(const PfsMount *mount, ProllyKind kind)
{
	switch (kind) {
	case PROLLY_KIND_SYMLINK:
		return 0777;
	case PROLLY_KIND_DIRECTORY:
	case PROLLY_KIND_EXECUTABLE:
		return 0777 & ~mount_umask(mount);
	default:
		return 0666 & ~mount_umask(mount);
	}
}

static mode_t mode_of(const PfsMount *mount, ProllyKind kind, const ProllyAttrs *attrs)
{
	mode_t mode;

	if (!(attrs->has & PROLLY_ATTR_MODE) || kind == PROLLY_KIND_SYMLINK)
		return kind_to_type(kind) | default_mode(mount, kind);
	mode = attrs->mode & 07777;
	if (kind == PROLLY_KIND_FILE && (mode & S_IXUSR))
		mode &= ~(mode_t)0111;
	if (kind == PROLLY_KIND_EXECUTABLE && !(mode & S_IXUSR))
		mode |= S_IXUSR | (mode & 0444) >> 2;
	return kind_to_type(kind) | mode;
}

static void fill(const PfsMount *mount, const PfsScope *scope, ProllyKind kind,
		 const ProllyAttrs *attrs, struct stat *out)
{
	const PfsOptions *options = mount->options;

	memset(out, 0, sizeof *out);
	out->st_ino = pfs_ino(scope, attrs->ino);
	out->st_mode = mode_of(mount, kind, attrs);
	out->st_nlink = attrs->nlink;
	out->st_uid = options->uid >= 0 ? (uid_t)options->uid : mount->owner;
	out->st_gid = options->gid >= 0 ? (gid_t)options->gid : mount->owner_group;
	if (attrs->has & PROLLY_ATTR_UID)
		out->st_uid = attrs->uid;
	if (attrs->has & PROLLY_ATTR_GID)
		out->st_gid = attrs->gid;
	out->st_blksize = 4096;
	out->st_atim = to_timespec(attrs->atime);
	out->st_mtim = to_timespec(attrs->mtime);
	out->st_ctim = to_timespec(attrs->ctime);
}

static void set_size(struct stat *out, uint64_t length, uint64_t allocated)
{
	out->st_size = (off_t)length;
	out->st_blocks = (blkcnt_t)((allocated + BLOCK - 1) / BLOCK);
}

/* Bytes of ENTRY that are not holes (a large one's top node says it); all if that cannot be told.
 */
static uint64_t get_allocated(const PfsMount *mount, const ProllyEntry *entry)
{
	size_t len;
	const uint8_t *stored = g_bytes_get_data(entry->stored, &len);
	ProllyValue value;
	uint64_t allocated;

	if (!prolly_value_parse(stored, len, &value, NULL))
		return entry->length;
	if (!value.is_blob || value.blob.height == 0)
		allocated = value.length;
	else if (!prolly_blob_get_allocated(prolly_repo_get_context(mount->repo), &value.blob,
					    &allocated, NULL))
		return entry->length;
	return MIN(allocated, entry->length);
}

/* ---- Struct stat ------------------------------------------------------------------------- */

void pfs_stat_entry(const PfsMount *mount, const PfsScope *scope, const ProllyEntry *entry,
		    struct stat *out_stat)
{
	fill(mount, scope, entry->kind, &entry->attrs, out_stat);
	if (entry->kind == PROLLY_KIND_CHARDEV || entry->kind == PROLLY_KIND_BLOCKDEV) {
		size_t len;
		const uint8_t *stored = g_bytes_get_data(entry->stored, &len);

		if (len == 1 + 2 * sizeof(uint32_t))
			out_stat->st_rdev =
				makedev(prolly_get_le32(stored + 1), prolly_get_le32(stored + 5));
	} else {
		set_size(out_stat, entry->length, get_allocated(mount, entry));
	}
}

void pfs_stat_directory(const PfsMount *mount, const PfsScope *scope, const ProllyAttrs *attrs,
			struct stat *out_stat)
{
	fill(mount, scope, PROLLY_KIND_DIRECTORY, attrs, out_stat);
	out_stat->st_nlink = 1;
}

bool pfs_stat_file(const PfsMount *mount, PfsInode *inode, ProllyFile *file, struct stat *out_stat,
		   GError **error)
{
	g_auto(ProllyAttrs) attrs = {0};
	uint64_t allocated;

	if (!prolly_file_get_attrs(file, &attrs, error) ||
	    !prolly_file_get_allocated(file, &allocated, error))
		return false;
	fill(mount, inode->scope, inode->value_kind, &attrs, out_stat);
	set_size(out_stat, prolly_file_get_length(file), allocated);
	return true;
}

static mode_t virtual_mode(const PfsMount *mount, PfsKind kind)
{
	bool has_group = mount->options->ctl_gid >= 0;

	switch (kind) {
	case PFS_KIND_META:
	case PFS_KIND_AT:
	case PFS_KIND_TEXTS:
	case PFS_KIND_CONFLICTS:
	case PFS_KIND_SIDES:
		return S_IFDIR | (has_group ? 0750 : 0700);
	case PFS_KIND_AT_LINK:
		return S_IFLNK | 0777;
	case PFS_KIND_TEXT:
		return S_IFREG | (has_group ? 0440 : 0400);
	case PFS_KIND_CONTROL:
		return S_IFREG | (has_group ? 0660 : 0600);
	default:
		return S_IFDIR | default_mode(mount, PROLLY_KIND_DIRECTORY);
	}
}

void pfs_stat_virtual(PfsMount *mount, PfsKind kind, uint64_t ino, struct stat *out_stat)
{
	const PfsOptions *options = mount->options;
	bool is_branches = kind == PFS_KIND_ROOT || kind == PFS_KIND_LEVEL;

	memset(out_stat, 0, sizeof *out_stat);
	out_stat->st_ino = ino;
	out_stat->st_mode = virtual_mode(mount, kind);
	out_stat->st_nlink = 1;
	out_stat->st_uid = mount->owner;
	out_stat->st_gid = mount->owner_group;
	if (is_branches && options->uid >= 0)
		out_stat->st_uid = (uid_t)options->uid;
	if (is_branches && options->gid >= 0)
		out_stat->st_gid = (gid_t)options->gid;
	if (!is_branches && options->ctl_gid >= 0)
		out_stat->st_gid = (gid_t)options->ctl_gid;
	out_stat->st_blksize = 4096;
	out_stat->st_mtim = mount->started;
	if (is_branches)
		out_stat->st_mtim = to_timespec(pfs_branches_changed_at(mount));
	out_stat->st_atim = out_stat->st_ctim = out_stat->st_mtim;
}

/* Of something that has no name and is not open: what is remembered of it. Under the table's
 * lock. */
static void stat_orphan(const PfsInode *inode, struct stat *out)
{
	if (inode->own) {
		*out = *inode->own;
		return;
	}
	memset(out, 0, sizeof *out);
	out->st_ino = inode->ino;
	out->st_mode = inode->mode;
	out->st_uid = inode->uid;
	out->st_gid = inode->gid;
	set_size(out, (uint64_t)inode->size, (uint64_t)inode->size);
	out->st_blksize = 4096;
	out->st_atim = out->st_mtim = out->st_ctim = to_timespec(pfs_now());
}

void pfs_orphan_change(PfsMount *mount, PfsInode *inode, const ProllyAttrs *attrs)
{
	struct stat changed;

	g_mutex_lock(&mount->table.lock);
	stat_orphan(inode, &changed);
	if (attrs->has & PROLLY_ATTR_MODE)
		changed.st_mode = (changed.st_mode & S_IFMT) | attrs->mode;
	if (attrs->has & PROLLY_ATTR_UID)
		changed.st_uid = attrs->uid;
	if (attrs->has & PROLLY_ATTR_GID)
		changed.st_gid = attrs->gid;
	if (attrs->has & PROLLY_ATTR_ATIME)
		changed.st_atim = to_timespec(attrs->atime);
	if (attrs->has & PROLLY_ATTR_MTIME)
		changed.st_mtim = to_timespec(attrs->mtime);
	changed.st_ctim = to_timespec(pfs_now());
	if (attrs->has & PROLLY_ATTR_XATTRS) {
		g_clear_pointer(&inode->own_xattrs, g_bytes_unref);
		inode->own_xattrs = attrs->xattrs ? g_bytes_ref(attrs->xattrs) : NULL;
	}
	if (!inode->own)
		inode->own = g_new(struct stat, 1);
	*inode->own = changed;
	g_mutex_unlock(&mount->table.lock);
}

/* Is the entry, found after the scope's count of moves was MOVES, the content that INODE, which has no
 * file, stands for? As in inode.c. */
static bool is_same_content(PfsMount *mount, PfsInode *inode, const ProllyEntry *entry, gint moves)
{
	uint64_t identity = pfs_entry_identity(entry);

	g_mutex_lock(&mount->table.lock);
	bool has_moved = inode->seen_moves != moves;
	bool is_known = inode->identity && !(inode->is_adopted && has_moved);
	bool same = is_known ? inode->identity == identity : !has_moved;
	if (same)
		inode->seen_moves = moves;
	g_mutex_unlock(&mount->table.lock);
	return same;
}

static bool stat_place(PfsMount *mount, PfsInode *inode, const PfsPlace *where, struct stat *out,
		       GError **error)
{
	const ProllyPlace place = pfs_place_get(where);
	bool exists = false;

	if (inode->kind == PFS_KIND_FILE) {
		const gint moves = g_atomic_int_get(&inode->scope->moves);
		g_auto(ProllyEntry) entry = {0};

		if (!prolly_view_get(inode->scope->view, &place, true, &entry, &exists, error))
			return false;
		if (exists && is_same_content(mount, inode, &entry, moves)) {
			pfs_stat_entry(mount, inode->scope, &entry, out);
			return true;
		}
	} else {
		g_auto(ProllyAttrs) attrs = {0};

		if (!prolly_view_get_directory(inode->scope->view, &place, &attrs, &exists, NULL,
					       error))
			return false;
		if (exists) {
			pfs_stat_directory(mount, inode->scope, &attrs, out);
			return true;
		}
	}
	/* Changed behind the kernel, which looks the name up again when it hears this. */
	return prolly_throw_errno(error, ESTALE, "node %" PRIu64, (uint64_t)inode->id);
}

bool pfs_stat_inode(PfsMount *mount, PfsInode *inode, struct stat *out_stat, GError **error)
{
	g_auto(PfsPlace) place = {0};

	if (pfs_kind_is_virtual(inode->kind)) {
		pfs_stat_virtual(mount, inode->kind, inode->ino, out_stat);
		return true;
	}
	if (inode->kind == PFS_KIND_FILE) {
		g_autoptr(ProllyFile) file = pfs_table_dup_file(&mount->table, inode);

		if (file)
			return pfs_stat_file(mount, inode, file, out_stat, error);
	}
	if (!pfs_table_get_place(&mount->table, inode, &place)) {
		if (!pfs_orphan_check(&mount->table, inode, error))
			return false;
		g_mutex_lock(&mount->table.lock);
		stat_orphan(inode, out_stat);
		g_mutex_unlock(&mount->table.lock);
		return true;
	}
	return stat_place(mount, inode, &place, out_stat, error);
}

bool pfs_find_place(PfsMount *mount, PfsInode *inode, PfsPlace *out_place, bool *out_has,
		    GError **error)
{
	g_autoptr(ProllyFile) file = pfs_table_dup_file(&mount->table, inode);
	struct stat ignored;

	g_mutex_lock(&mount->table.lock);
	bool has_moved = inode->kind == PFS_KIND_FILE &&
			 inode->seen_moves != g_atomic_int_get(&inode->scope->moves);
	g_mutex_unlock(&mount->table.lock);
	if (has_moved && !pfs_stat_inode(mount, inode, &ignored, error))
		return false;
	*out_has = !(file && prolly_file_is_orphan(file)) &&
		   pfs_table_get_place(&mount->table, inode, out_place);
	return *out_has || pfs_orphan_check(&mount->table, inode, error);
}

/* ---- New objects ------------------------------------------------------------------------- */

ProllyAttrs pfs_attrs_new(fuse_req_t req, const PfsInode *parent, mode_t mode, mode_t *out_mode)
{
	const struct fuse_ctx *caller = fuse_req_ctx(req);
	ProllyAttrs attrs = {.has = PROLLY_ATTR_MODE | PROLLY_ATTR_UID | PROLLY_ATTR_GID,
			     .uid = caller->uid,
			     .gid = caller->gid};

	/* The kernel applied the umask; a setgid directory's group is ours to pass on. */
	if (parent->mode & S_ISGID) {
		attrs.gid = parent->gid;
		if (S_ISDIR(mode))
			mode |= S_ISGID;
	}
	attrs.mode = mode & 07777;
	if (out_mode)
		*out_mode = mode;
	return attrs;
}
