/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The git repository of a store: STORE/git on disk, or one in memory that never touches a disk.
 *
 * libgit2 reads objects; we write them (git-loose.c; in memory `memory`), because git_odb_write
 * trusts an object that is already there, and after a power cut one may be there and empty, and
 * because a commit's cost is that of the files it makes (spares.c).
 *
 * Reflogs are on in the repository's configuration, so that stock git, which has none in a bare
 * repository by default, goes on with those that we begin.
 *
 * libgit2 is started once and not ended: what it keeps for each thread would leak with every end.
 *
 * libgit2 refuses directories of another owner, for the sake of what a repository's configuration
 * can make git run. The store was opened by its path, and nothing in it is run; so that check,
 * which would lock root out of a user's store, is off while we open.
 *
 * Threads: everything under body->git_lock.
 */
#include "version/repo-private.h"

#include <git2/sys/repository.h>
#include <string.h>

bool prolly_commit_id_equal(const ProllyCommitId *a, const ProllyCommitId *b)
{
	return memcmp(a->bytes, b->bytes, PROLLY_COMMIT_ID_SIZE) == 0;
}

bool prolly_commit_id_is_zero(const ProllyCommitId *id)
{
	static const ProllyCommitId zero = {{0}};

	return prolly_commit_id_equal(id, &zero);
}

char *prolly_commit_id_to_hex(const ProllyCommitId *id, char out[PROLLY_COMMIT_ID_HEX_SIZE])
{
	git_oid oid;

	prolly_commit_id_to_oid(id, &oid);
	return git_oid_tostr(out, PROLLY_COMMIT_ID_HEX_SIZE, &oid);
}

bool prolly_commit_id_from_hex(const char *hex, ProllyCommitId *out_id)
{
	git_oid oid;

	if (strlen(hex) != PROLLY_COMMIT_ID_HEX_SIZE - 1 || git_oid_fromstr(&oid, hex) < 0)
		return false;
	prolly_commit_id_from_oid(&oid, out_id);
	return true;
}

void prolly_git_start(void)
{
	static gsize once = 0;

	if (g_once_init_enter(&once)) {
		git_libgit2_init();
		g_once_init_leave(&once, 1);
	}
}

static bool configure(git_repository *repo, const char *dir, GError **error)
{
	g_autoptr(git_config) config = NULL;
	int result = git_repository_config(&config, repo);

	if (result == 0)
		result = git_config_set_bool(config, "core.logAllRefUpdates", 1);
	if (result < 0)
		return prolly_throw_git(error, result, "configure %s", dir);
	return true;
}

bool prolly_git_init(const char *dir, const char *branch, GError **error)
{
	git_repository_init_options options = GIT_REPOSITORY_INIT_OPTIONS_INIT;
	git_repository *repo = NULL;
	bool ok = false;
	int result;

	prolly_git_start();
	options.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKPATH |
			GIT_REPOSITORY_INIT_NO_REINIT;
	options.initial_head = branch;
	result = git_repository_init_ext(&repo, dir, &options);
	if (result < 0)
		prolly_throw_git(error, result, "make %s", dir);
	else
		ok = configure(repo, dir, error);
	git_repository_free(repo);
	return ok;
}

static ProllyGit *new_git(void)
{
	ProllyGit *git = g_new0(ProllyGit, 1);

	prolly_git_start();
	g_queue_init(&git->recent);
	return git;
}

static int guard_repository(git_repository *repo, const char *dir)
{
	g_autofree char *objects = g_build_filename(dir, "objects", NULL);
	git_odb *odb = NULL;
	int result = git_repository_odb(&odb, repo);

	if (result == 0)
		result = prolly_git_guard_objects(odb, objects);
	git_odb_free(odb);
	return result;
}

int prolly_git_open_repository(git_repository **out_repo, const char *dir)
{
	int validate = 1;
	int result;

	git_libgit2_opts(GIT_OPT_GET_OWNER_VALIDATION, &validate);
	git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
	result = git_repository_open_bare(out_repo, dir);
	git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, validate);
	return result < 0 ? result : guard_repository(*out_repo, dir);
}

bool prolly_git_open(const char *dir, ProllyGit **out_git, GError **error)
{
	g_autoptr(ProllyGit) git = new_git();
	int result;

	git->dir = g_strdup(dir);
	git->spares = prolly_spares_new(dir);
	result = prolly_git_open_repository(&git->repo, dir);
	if (result == 0)
		result = git_repository_odb(&git->odb, git->repo);
	if (result < 0) {
		prolly_throw_git(error, result, "%s", dir);
		if (error && result == GIT_ENOTFOUND)
			(*error)->code = PROLLY_ERROR_CORRUPT;
		return false;
	}
	git->refs = prolly_refs_new_files(git->repo, dir, git->spares);
	*out_git = g_steal_pointer(&git);
	return true;
}

bool prolly_git_new_memory(ProllyGit **out_git, GError **error)
{
	g_autoptr(ProllyGit) git = new_git();
	int result = git_repository_new(&git->repo);

	if (result == 0)
		result = git_odb_new(&git->odb);
	if (result == 0) {
		git->memory = prolly_odb_new_memory();
		result = git_odb_add_backend(git->odb, git->memory, 1);
	}
	if (result == 0)
		result = git_repository_set_odb(git->repo, git->odb);
	if (result < 0)
		return prolly_throw_git(error, result, "make a repository in memory");
	git->refs = prolly_refs_new_memory();
	*out_git = g_steal_pointer(&git);
	return true;
}

void prolly_git_free(ProllyGit *git)
{
	if (!git)
		return;
	if (git->refs)
		git->refs->ops->free(git->refs);
	prolly_spares_free(git->spares);
	git_odb_free(git->odb);
	git_repository_free(git->repo);
	g_queue_clear(&git->recent);
	g_clear_pointer(&git->namespaces, g_hash_table_unref);
	g_free(git->identity);
	g_free(git->dir);
	g_free(git);
}

static bool write_object(ProllyGit *git, const git_oid *oid, git_object_t type, GBytes *bytes,
			 GError **error)
{
	gsize len;
	const void *data = g_bytes_get_data(bytes, &len);

	if (git->dir)
		return prolly_git_write_loose(git->spares, git->dir, oid, type, data, len, error);
	git->memory->write(git->memory, oid, data, len, type);
	return true;
}

bool prolly_git_write_object(ProllyGit *git, git_object_t type, GBytes *bytes, GError **error)
{
	g_autoptr(GError) local = NULL;
	git_oid oid;

	if (!prolly_git_object_hash(type, bytes, &oid, error))
		return false;
	if (write_object(git, &oid, type, bytes, &local))
		return true;
	return prolly_throw(error,
			    g_error_matches(local, PROLLY_ERRNO, ENOSPC) ||
					    g_error_matches(local, PROLLY_ERRNO, EDQUOT)
				    ? PROLLY_ERROR_NO_SPACE
				    : PROLLY_ERROR_FAILED,
			    "write git object %s: %s", git_oid_tostr_s(&oid), local->message);
}

const char *prolly_git_get_identity(ProllyGit *git)
{
	if (!git->identity) {
		g_auto(ProllySignature) signature = {0};

		if (prolly_signature_init_default(&signature, true, NULL, NULL))
			git->identity = g_strdup_printf("%s <%s>", signature.name, signature.email);
		else
			git->identity = g_strdup("prollyfs <prollyfs@localhost>");
	}
	return git->identity;
}
