/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening stores, and making them.
 *
 * A store is made in its place, its configuration last; until that is written, nobody takes the
 * directory for a store. The first thing made is the lock file, and it is held throughout, so that
 * two who make one at the same time do not mix; while it is held, a directory with a lock file and
 * no configuration is a making that was interrupted, and is begun again. Any other directory with
 * something in it is left alone. A making that fails removes what it made.
 */
#include "version/body-private.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/remove.h"
#include "base/sync.h"
#include "version/backup-private.h"

#define DEFAULT_BRANCH "main"
#define INIT_MOUNT     "(a store being made)"

/* What a making may leave; nothing else is ever removed. */
static const char *const pieces[] = {"git", "data", "data.mark", "nodes", "config.new"};

static bool is_directory(const char *dir, const char *name)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);

	return g_file_test(path, G_FILE_TEST_IS_DIR);
}

/* ---- Making ------------------------------------------------------------------------------ */

static bool remove_pieces(const char *path, GError **error)
{
	for (size_t i = 0; i < G_N_ELEMENTS(pieces); i++) {
		g_autofree char *piece = g_build_filename(path, pieces[i], NULL);

		if (!prolly_remove_tree(piece, error))
			return false;
	}
	return true;
}

/* EXISTS unless PATH is empty or holds nothing but an interrupted making. */
static bool check_may_init(const char *path, GError **error)
{
	g_autoptr(GDir) dir = NULL;
	const char *name;
	bool has_lock = false;
	bool has_other = false;

	if (prolly_config_exists(path))
		return prolly_throw(error, PROLLY_ERROR_EXISTS, "%s is a store already", path);
	dir = g_dir_open(path, 0, NULL);
	if (!dir)
		return prolly_throw(error, PROLLY_ERROR_EXISTS, "%s exists and is no directory",
				    path);
	while ((name = g_dir_read_name(dir))) {
		if (strcmp(name, "lock") == 0)
			has_lock = true;
		else if (!g_strv_contains((const char *const[]){"git", "data", "data.mark", "nodes",
								"config.new", NULL},
					  name))
			return prolly_throw(error, PROLLY_ERROR_EXISTS, "%s is not empty", path);
		else
			has_other = true;
	}
	if (has_other && !has_lock)
		return prolly_throw(error, PROLLY_ERROR_EXISTS, "%s is not empty", path);
	return true;
}

/* A directory of our own keeps others out, whatever the umask: in it lies what the modes of a mounted
 * store's files keep from them. */
static bool make_private(const char *path, const char *name, GError **error)
{
	g_autofree char *dir = g_build_filename(path, name, NULL);

	return mkdir(dir, 0700) == 0 || prolly_throw_errno(error, errno, "make %s", dir);
}

/* Everything of a store but its configuration. */
static bool make_pieces(const char *path, const ProllyConfig *config, GError **error)
{
	g_autofree char *git = g_build_filename(path, "git", NULL);
	g_autoptr(ProllyRepoBody) body = prolly_body_new(path, config->default_branch);
	ProllyRepo *repo;
	bool ok;

	if (!make_private(path, "git", error) || !make_private(path, "data", error) ||
	    (config->kind != PROLLY_BACKEND_ROCKSDB && !make_private(path, "nodes", error)) ||
	    !prolly_git_init(git, config->default_branch, error) ||
	    !prolly_body_open_pieces(body, config, 0, true, error))
		return false;
	repo = prolly_body_new_handle(g_steal_pointer(&body), NULL, false);
	ok = prolly_branch_create_first(repo, config->default_branch, error) &&
	     prolly_repo_sync(repo, error);
	prolly_repo_free(repo);
	return ok;
}

/* Under the lock of PATH. */
static bool init_locked(const char *path, const ProllyConfig *config, GError **error)
{
	g_autoptr(GError) local = NULL;

	if (!check_may_init(path, error) || !remove_pieces(path, error))
		return false;
	if (make_pieces(path, config, error) && prolly_config_save(path, config, error))
		return true;
	if (!remove_pieces(path, &local))
		g_debug("%s", local->message);
	return false;
}

/* One that is there already has the mode that its owner gave it. */
static bool make_directory(const char *path, GError **error)
{
	g_autofree char *parent = g_path_get_dirname(path);
	int result = mkdir(path, 0700);

	if (result < 0 && errno == ENOENT) {
		if (!prolly_make_directories(parent, error))
			return false;
		result = mkdir(path, 0700);
	}
	if (result < 0 && errno != EEXIST)
		return prolly_throw_errno(error, errno, "make %s", path);
	return prolly_make_directories(path, error);
}

static bool init_path(const char *path, const ProllyConfig *config, unsigned wait_ms,
		      GError **error)
{
	bool existed = g_file_test(path, G_FILE_TEST_EXISTS);
	g_autofree char *lock = g_build_filename(path, "lock", NULL);
	int fd = -1;
	bool ok;

	if (existed && !check_may_init(path, error))
		return false;
	if (!make_directory(path, error) || !prolly_lock_take(path, NULL, wait_ms, &fd, error))
		return false;
	/* What a power cut leaves of a making is known by the lock's file. */
	ok = prolly_sync_path(path, error) && init_locked(path, config, error);
	if (!ok && !prolly_config_exists(path)) {
		unlink(lock);
		if (!existed)
			rmdir(path);
	}
	prolly_lock_release(fd);
	return ok;
}

static bool init_spec(const ProllySpec *spec, const ProllyRepoInitOptions *options,
		      unsigned wait_ms, GError **error)
{
	g_autofree char *path = prolly_spec_dup_path(spec);
	g_auto(ProllyConfig) config = {.kind = spec->kind};
	g_autoptr(ProllyFormat) format = NULL;
	const char *branch =
		options && options->default_branch ? options->default_branch : DEFAULT_BRANCH;

	if (!prolly_branch_check_name(branch, error))
		return false;
	config.default_branch = g_strdup(branch);
	if (options && options->parameters)
		config.parameters = *options->parameters;
	else
		prolly_format_parameters_init(&config.parameters);
	return prolly_format_new(&config.parameters, prolly_value_weigh, &format, error) &&
	       init_path(path, &config, wait_ms, error);
}

bool prolly_repo_init(const char *text, const ProllyRepoInitOptions *options, GError **error)
{
	g_auto(ProllySpec) spec = {0};

	if (!prolly_spec_parse(text, &spec, error))
		return false;
	if (!spec.path)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "%s ends with the process: there is nothing to make", text);
	return init_spec(&spec, options, 0, error);
}

/* ---- Opening ----------------------------------------------------------------------------- */

static bool check_spec(const ProllySpec *spec, const ProllyConfig *config, const char *path,
		       GError **error)
{
	if (spec->has_kind && spec->kind != config->kind)
		return prolly_throw(error, PROLLY_ERROR_INVALID, "%s is a %s store, not a %s one",
				    path, prolly_backend_kind_to_text(config->kind),
				    prolly_backend_kind_to_text(spec->kind));
	return true;
}

/* What the configuration says is there must be; nothing is made in a store that was truncated. */
static bool check_pieces(const char *path, const ProllyConfig *config, GError **error)
{
	bool has_nodes = config->kind != PROLLY_BACKEND_ROCKSDB;

	if (!is_directory(path, "git"))
		return prolly_throw(error, PROLLY_ERROR_CORRUPT, "%s: %s/git is missing", path,
				    path);
	if (!is_directory(path, "data"))
		return prolly_throw(error, PROLLY_ERROR_CORRUPT, "%s: %s/data is missing", path,
				    path);
	if (has_nodes && !is_directory(path, "nodes"))
		return prolly_throw(error, PROLLY_ERROR_CORRUPT, "%s: %s/nodes is missing", path,
				    path);
	return true;
}

/* The node cache: as asked for, else as the specification says, else (0) the default. `file://`
 * keeps nothing beyond the nodes in use. */
static uint64_t choose_cache_size(const ProllySpec *spec, const ProllyRepoOptions *options)
{
	if (options && options->cache_size)
		return options->cache_size;
	return spec->cache_size;
}

static bool open_memory(uint64_t cache_size, ProllyRepo **out_repo, GError **error)
{
	g_autoptr(ProllyRepoBody) body = prolly_body_new(NULL, DEFAULT_BRANCH);
	ProllyConfig config = {.kind = PROLLY_BACKEND_MEMORY};
	ProllyRepo *repo;

	prolly_format_parameters_init(&config.parameters);
	if (!prolly_body_open_pieces(body, &config, cache_size, true, error))
		return false;
	repo = prolly_body_new_handle(g_steal_pointer(&body), NULL, true);
	if (!prolly_branch_create_first(repo, DEFAULT_BRANCH, error)) {
		prolly_repo_free(repo);
		return false;
	}
	*out_repo = repo;
	return true;
}

static bool open_path(const char *path, const ProllySpec *spec, const ProllyRepoOptions *options,
		      ProllyRepo **out_repo, GError **error)
{
	g_auto(ProllyConfig) config = {0};
	g_autoptr(ProllyRepoBody) body = NULL;
	unsigned wait_ms = options ? options->wait_ms : 0;
	ProllyRepo *repo;

	if (!prolly_config_load(path, &config, error) || !check_spec(spec, &config, path, error) ||
	    !prolly_shape_check(path, error) || !check_pieces(path, &config, error))
		return false;
	body = prolly_body_new(path, config.default_branch);
	if (!prolly_lock_take(path, options ? options->mount : NULL, wait_ms, &body->lock_fd,
			      error))
		return false;
	prolly_backup_sweep(path);
	body->is_backup = prolly_backup_is(path);
	if (!prolly_body_open_pieces(body, &config, choose_cache_size(spec, options), false,
				     error)) {
		g_prefix_error(error, "%s: ", path);
		return false;
	}
	repo = prolly_body_new_handle(g_steal_pointer(&body), NULL, true);
	if (!prolly_branch_drop_lost(repo, error) || !prolly_staged_sweep(repo, error)) {
		g_prefix_error(error, "%s: ", path);
		prolly_repo_free(repo);
		return false;
	}
	*out_repo = repo;
	return true;
}

bool prolly_repo_open(const char *text, const ProllyRepoOptions *options, ProllyRepo **out_repo,
		      GError **error)
{
	g_auto(ProllySpec) spec = {0};
	g_autofree char *path = NULL;

	g_return_val_if_fail(text != NULL && out_repo != NULL, false);

	if (!prolly_spec_parse(text, &spec, error))
		return false;
	if (!spec.path)
		return open_memory(choose_cache_size(&spec, options), out_repo, error);
	if (options && options->create && !prolly_repo_is_store(text) &&
	    !init_spec(&spec, NULL, options->wait_ms, error))
		return false;
	path = prolly_spec_dup_path(&spec);
	return open_path(path, &spec, options, out_repo, error);
}

bool prolly_repo_is_store(const char *text)
{
	g_auto(ProllySpec) spec = {0};

	return prolly_spec_parse(text, &spec, NULL) && spec.path && prolly_config_exists(spec.path);
}

bool prolly_repo_find_holder(const char *text, pid_t *out_pid, char **out_mount, GError **error)
{
	g_auto(ProllySpec) spec = {0};

	if (!prolly_spec_parse(text, &spec, error))
		return false;
	if (!spec.path) {
		*out_pid = 0;
		*out_mount = NULL;
		return true;
	}
	return prolly_lock_find_holder(spec.path, out_pid, out_mount, error);
}
