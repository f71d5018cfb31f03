/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing: every commit leaves a few loose objects, each a file of its own; when there are many
 * they are written into one pack, as `git gc --auto` would, whose threshold and way of guessing
 * this is: ids are evenly spread, so one of 256 directories tells how many there are.
 *
 * Order. All loose objects go into the pack, reachable or not; the pack is synced; then their files
 * go. A crash at any point leaves each object in one place at least. Whoever reads an object that
 * was loose a moment ago finds the pack, since libgit2 looks for new packs before it gives up.
 *
 * What cannot be read of them, as after a power cut, is left out, and left where it is.
 *
 * Others. A collection removes packs and loose objects that nothing reaches, and a commit may make
 * such an object again, loose, as it was. Ours and packing exclude each other (guard.c): packing is
 * put off while one runs, and is left, wherever it is, when somebody waits for it to end. git's own
 * excludes nobody. So a file goes only if it is the one that was listed, and the pack is there still
 * that has its object; under git_lock, which those hold who write objects.
 *
 * Runs on the journal's thread with a repository object of its own, and holds no lock for longer than
 * one file takes to go.
 */
#include "version/gc-private.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sync.h"

#define LOOSE_MAX  6700
#define FANOUT     256
#define SAMPLE_DIR "objects/17"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_packbuilder, git_packbuilder_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_odb, git_odb_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_repository, git_repository_free)

bool prolly_git_has_many_loose(const char *git_dir)
{
	g_autofree char *path = g_build_filename(git_dir, SAMPLE_DIR, NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	unsigned n = 0;

	while (dir && g_dir_read_name(dir))
		n++;
	return n > LOOSE_MAX / FANOUT;
}

unsigned prolly_git_count_packs(const char *git_dir)
{
	g_autofree char *path = git_dir ? g_build_filename(git_dir, "objects/pack", NULL) : NULL;
	g_autoptr(GDir) dir = path ? g_dir_open(path, 0, NULL) : NULL;
	const char *name;
	unsigned n = 0, n_kept = 0;

	while (dir && (name = g_dir_read_name(dir))) {
		n += g_str_has_suffix(name, ".pack");
		n_kept += g_str_has_suffix(name, ".keep");
	}
	return n - MIN(n, n_kept);
}

/* A loose object, and which file it was in. */
typedef struct {
	git_oid oid;
	ino_t inode;
	struct timespec written;
} LooseFile;

typedef struct {
	ProllyRepoBody *body;
	char *objects; /* directory */
	GArray *files; /* of LooseFile: what goes into the pack */
	char *index;   /* the pack's; NULL: there is none, or nothing for it */
} Packing;

static void packing_clear(Packing *self)
{
	g_free(self->objects);
	g_array_unref(self->files);
	g_free(self->index);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Packing, packing_clear)

/* Does somebody wait for it to end? */
static bool is_unwanted(const Packing *self)
{
	return g_atomic_int_get(&self->body->usage.is_unwanted) != 0;
}

/* (transfer full) */
static char *get_path(const Packing *self, const git_oid *oid)
{
	char hex[GIT_OID_HEXSZ + 1];

	git_oid_tostr(hex, sizeof(hex), oid);
	return g_strdup_printf("%s/%.2s/%s", self->objects, hex, hex + 2);
}

/* ---- Writing the pack -------------------------------------------------------------------- */

static int collect_file(const git_oid *oid, void *data)
{
	Packing *self = data;
	g_autofree char *path = get_path(self, oid);
	LooseFile file = {.oid = *oid};
	struct stat st;

	if (stat(path, &st) < 0)
		return 0;
	file.inode = st.st_ino;
	file.written = st.st_mtim;
	g_array_append_val(self->files, file);
	return 0;
}

static int list_loose(Packing *self)
{
	g_autoptr(git_odb) loose = NULL;
	git_odb_backend *backend = NULL;
	int result = git_odb_new(&loose);

	if (result == 0)
		result = git_odb_backend_loose(&backend, self->objects, -1, 0, 0, 0);
	if (result == 0)
		result = git_odb_add_backend(loose, backend, 1);
	if (result == 0)
		result = git_odb_foreach(loose, collect_file, self);
	return result;
}

static int go_on(int stage, uint32_t current, uint32_t total, void *self)
{
	return is_unwanted(self) ? GIT_EUSER : 0;
}

/* Those that cannot be read are files no more. */
static int insert_files(Packing *self, git_packbuilder *builder)
{
	for (guint i = self->files->len; i-- > 0;) {
		const LooseFile *file = &g_array_index(self->files, LooseFile, i);
		int result = git_packbuilder_insert(builder, &file->oid, NULL);

		if (is_unwanted(self))
			return GIT_EUSER;
		if (result < 0)
			g_array_remove_index_fast(self->files, i);
	}
	return 0;
}

static int write_pack(Packing *self, git_repository *repo)
{
	g_autoptr(git_packbuilder) builder = NULL;
	int result = git_packbuilder_new(&builder, repo);

	if (result == 0) {
		git_packbuilder_set_threads(builder, 1);
		git_packbuilder_set_callbacks(builder, go_on, self);
	}
	if (result == 0)
		result = insert_files(self, builder);
	if (result < 0 || self->files->len == 0)
		return result;
	result = git_packbuilder_write(builder, NULL, 0, NULL, NULL);
	if (result == 0)
		self->index = g_strdup_printf("%s/pack/pack-%s.idx", self->objects,
					      git_packbuilder_name(builder));
	return result;
}

/* ---- Removing the files ------------------------------------------------------------------ */

/* False: the pack is gone. Under git_lock. */
static bool remove_file(const Packing *self, const LooseFile *file)
{
	g_autofree char *path = get_path(self, &file->oid);
	struct stat st;

	if (access(self->index, F_OK) < 0)
		return false;
	if (stat(path, &st) == 0 && st.st_ino == file->inode &&
	    st.st_mtim.tv_sec == file->written.tv_sec &&
	    st.st_mtim.tv_nsec == file->written.tv_nsec)
		(void)unlink(path);
	return true;
}

static void remove_loose(Packing *self)
{
	GMutex *lock = &self->body->git_lock;
	bool is_packed = true;

	for (guint i = 0; is_packed && i < self->files->len && !is_unwanted(self); i++) {
		g_mutex_lock(lock);
		is_packed = remove_file(self, &g_array_index(self->files, LooseFile, i));
		g_mutex_unlock(lock);
	}
}

/* ---- Packing ----------------------------------------------------------------------------- */

/* While no collection runs. */
static bool run(Packing *self, GError **error)
{
	g_autoptr(git_repository) repo = NULL;
	int result = prolly_git_open_repository(&repo, self->body->git->dir);

	if (result == 0)
		result = list_loose(self);
	if (result == 0)
		result = write_pack(self, repo);
	if (result < 0)
		return is_unwanted(self) ||
		       prolly_throw_git(error, result, "pack %s", self->objects);
	if (!self->index)
		return true;
	if (!prolly_sync_tree(self->objects, error))
		return false;
	remove_loose(self);
	return true;
}

static bool pack(ProllyRepoBody *body, GError **error)
{
	g_auto(Packing) self = {.body = body};

	self.objects = g_build_filename(body->git->dir, "objects", NULL);
	self.files = g_array_new(FALSE, FALSE, sizeof(LooseFile));
	return run(&self, error);
}

bool prolly_git_pack_loose(ProllyRepoBody *body, GError **error)
{
	bool ok = true;

	if (prolly_usage_begin_packing(&body->usage)) {
		ok = pack(body, error);
		prolly_usage_end(&body->usage);
	}
	return ok && prolly_git_write_commit_graph(body->git->dir, error);
}
