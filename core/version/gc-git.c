/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits: which objects of the git repository are wanted, and what their namespaces' trees are.
 *
 * From the commits that were noted, everything that git would reach: parents, trees, files, and what
 * annotated tags name. A file of a namespace names the tree's top node, which is noted for marking.
 * Each object is read once, whatever refers to it.
 *
 * Commits that nothing reaches stay for some time, so that who deleted a branch by mistake can have it
 * back: those that came into the repository after gc->prune_before. As in git, an object's time is
 * that of the file it is in. Nodes have no time and need none: a node stays with the commit that
 * reaches it, and one that no commit reaches has nobody who could ask for it.
 *
 * A young one that is damaged, as by a power cut, is left where it is until it is old: it names
 * nothing. One that something reaches ends the collection; so it counts as kept by nothing, and who
 * reaches it later reads it again: by then a commit may have made it anew.
 *
 * Objects are read raw, through an object database of the collection's own, so that no lock keeps
 * history from being read; a store in memory has but one, and is locked. It is opened anew now and
 * then, since what libgit2 caches of it would grow to 256 MiB.
 */
#include "version/gc-private.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READS_MAX 20000
#define FILE_MAX  (64 << 20) /* bytes of FETCH_HEAD and the like: hundreds of thousands of lines */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_odb_object, git_odb_object_free)

/* ---- Sets of object ids ------------------------------------------------------------------ */

static guint hash_oid(gconstpointer oid)
{
	return prolly_get_le32(((const git_oid *)oid)->id);
}

static gboolean equal_oids(gconstpointer a, gconstpointer b)
{
	return git_oid_equal(a, b);
}

ProllyOidSet *prolly_oid_set_new(void)
{
	return g_hash_table_new_full(hash_oid, equal_oids, g_free, NULL);
}

bool prolly_oid_set_add(ProllyOidSet *set, const git_oid *oid)
{
	return !prolly_oid_set_has(set, oid) && g_hash_table_add(set, g_memdup2(oid, sizeof(*oid)));
}

bool prolly_oid_set_has(ProllyOidSet *set, const git_oid *oid)
{
	return g_hash_table_contains(set, oid);
}

/* ---- Reading ----------------------------------------------------------------------------- */

static bool open_odb(ProllyGc *gc, GError **error)
{
	g_autofree char *objects = g_build_filename(gc->body->git->dir, "objects", NULL);
	int result;

	git_odb_free(g_steal_pointer(&gc->odb));
	result = prolly_git_open_objects(&gc->odb, objects);
	gc->n_reads = 0;
	return result == 0 || prolly_throw_git(error, result, "open %s", objects);
}

/* Of what libgit2 has just failed at. What could merely not be opened may be sound. */
static bool is_damage(void)
{
	const git_error *last = git_error_last();

	return last && last->klass != GIT_ERROR_OS && last->klass != GIT_ERROR_NOMEMORY;
}

/* *OUT_OBJECT NULL: there is none, or it is damaged and young. */
static bool read_object(ProllyGc *gc, const git_oid *oid, git_odb_object **out_object,
			GError **error)
{
	ProllyGit *git = gc->body->git;
	int result;

	if (git->dir && (!gc->odb || gc->n_reads++ >= READS_MAX) && !open_odb(gc, error))
		return false;
	if (!git->dir)
		g_mutex_lock(&gc->body->git_lock);
	result = git_odb_read(out_object, gc->odb ? gc->odb : git->odb, oid);
	if (!git->dir)
		g_mutex_unlock(&gc->body->git_lock);
	if (result >= 0)
		return true;
	*out_object = NULL;
	if (result == GIT_ENOTFOUND)
		return true;
	if (gc->reason != PROLLY_GC_YOUNG || !is_damage())
		return prolly_throw_git(error, result, "git object %s", git_oid_tostr_s(oid));
	prolly_oid_set_add(gc->damaged, oid);
	return true;
}

static bool throw_missing(const git_oid *oid, GError **error)
{
	return prolly_throw(error, PROLLY_ERROR_MISSING, "git object %s is missing",
			    git_oid_tostr_s(oid));
}

static bool throw_damaged(const git_oid *oid, GError **error)
{
	return prolly_throw(error, PROLLY_ERROR_CORRUPT, "git object %s is damaged",
			    git_oid_tostr_s(oid));
}

/* ---- Walking ----------------------------------------------------------------------------- */

bool prolly_gc_is_kept(const ProllyGc *gc, const git_oid *oid)
{
	for (int reason = 0; reason < PROLLY_GC_N_REASONS; reason++) {
		if (prolly_oid_set_has(gc->kept[reason], oid))
			return true;
	}
	return false;
}

/* What was begun and not finished refers to what is not there; so may what nothing reaches. */
static void note_object(ProllyGc *gc, const git_oid *oid, bool required)
{
	ProllyGcObject object = {.oid = *oid,
				 .required = required && gc->reason != PROLLY_GC_YOUNG};

	if (!prolly_gc_is_kept(gc, oid))
		g_array_append_val(gc->objects, object);
}

void prolly_gc_note_object(ProllyGc *gc, const git_oid *oid)
{
	note_object(gc, oid, false);
}

void prolly_gc_keep_commit(ProllyGc *gc, const ProllyCommitId *id)
{
	git_oid oid;

	prolly_commit_id_to_oid(id, &oid);
	if (!prolly_commit_id_is_zero(id))
		note_object(gc, &oid, false);
}

/* Notes the ids on the lines at the start of TEXT that begin with NAME; *TEXT moves past them. */
static bool note_lines(ProllyGc *gc, const char **text, const char *name)
{
	size_t len = strlen(name);

	while (strncmp(*text, name, len) == 0) {
		git_oid oid;

		if (strlen(*text) <= len + GIT_OID_HEXSZ ||
		    git_oid_fromstrn(&oid, *text + len, GIT_OID_HEXSZ) < 0 ||
		    (*text)[len + GIT_OID_HEXSZ] != '\n')
			return false;
		note_object(gc, &oid, true);
		*text += len + GIT_OID_HEXSZ + 1;
	}
	return true;
}

static bool walk_commit(ProllyGc *gc, const git_oid *oid, const char *text, GError **error)
{
	const char *start = text;

	if (!note_lines(gc, &text, "tree ") || text == start || !note_lines(gc, &text, "parent "))
		return throw_damaged(oid, error);
	return true;
}

static bool walk_tag(ProllyGc *gc, const git_oid *oid, const char *text, GError **error)
{
	const char *start = text;

	if (!note_lines(gc, &text, "object ") || text == start)
		return throw_damaged(oid, error);
	return true;
}

/* A namespace's file of a young tree cannot be read. */
static void pass_file(ProllyGc *gc, const git_oid *oid)
{
	if (!prolly_oid_set_has(gc->damaged, oid))
		return;
	g_hash_table_remove(gc->namespaces, oid);
	g_hash_table_remove(gc->kept[PROLLY_GC_YOUNG], oid);
}

/* A file of a tree: if it is a namespace's, its tree stays. */
static bool walk_file(ProllyGc *gc, const git_oid *oid, const char *name, GError **error)
{
	g_autofree char *ns = NULL;
	g_autoptr(git_odb_object) object = NULL;
	ProllyTree tree;

	if (!prolly_gc_is_kept(gc, oid))
		prolly_oid_set_add(gc->kept[gc->reason], oid);
	/* That it is kept may be for the sake of another name, which means nothing. */
	if (prolly_oid_set_has(gc->namespaces, oid))
		return true;
	ns = prolly_git_object_dup_namespace(name);
	if (!ns)
		return true;
	prolly_oid_set_add(gc->namespaces, oid);
	if (!read_object(gc, oid, &object, error))
		return false;
	if (!object && gc->reason != PROLLY_GC_YOUNG)
		return throw_missing(oid, error);
	if (!object) {
		pass_file(gc, oid);
		return true;
	}
	if (git_odb_object_type(object) != GIT_OBJECT_BLOB)
		return throw_damaged(oid, error);
	if (!prolly_git_object_parse_namespace(gc->body->format, git_odb_object_data(object),
					       git_odb_object_size(object), &tree, error)) {
		g_prefix_error(error, "git object %s, %s: ", git_oid_tostr_s(oid), name);
		return false;
	}
	return prolly_gc_keep_tree(gc, &tree, error);
}

/* Entries "MODE NAME\0" and the raw id. */
static bool walk_tree(ProllyGc *gc, const git_oid *oid, const char *text, size_t len,
		      GError **error)
{
	const char *end = text + len;

	while (text < end) {
		const char *space = memchr(text, ' ', (size_t)(end - text));
		const char *zero = space ? memchr(space, '\0', (size_t)(end - space)) : NULL;
		git_oid child;

		if (!zero || end - zero - 1 < GIT_OID_RAWSZ)
			return throw_damaged(oid, error);
		git_oid_fromraw(&child, (const unsigned char *)zero + 1);
		if (strncmp(text, "40000 ", strlen("40000 ")) == 0)
			note_object(gc, &child, true);
		else if (strncmp(text, "160000 ", strlen("160000 ")) != 0 &&
			 !walk_file(gc, &child, space + 1, error))
			return false;
		text = zero + 1 + GIT_OID_RAWSZ;
	}
	return true;
}

static bool walk_object(ProllyGc *gc, const ProllyGcObject *noted, GError **error)
{
	g_autoptr(git_odb_object) object = NULL;
	const char *text;

	if (prolly_gc_is_kept(gc, &noted->oid))
		return true;
	if (!read_object(gc, &noted->oid, &object, error))
		return false;
	if (!object)
		return !noted->required || throw_missing(&noted->oid, error);
	prolly_oid_set_add(gc->kept[gc->reason], &noted->oid);
	text = git_odb_object_data(object);
	switch (git_odb_object_type(object)) {
	case GIT_OBJECT_COMMIT:
		return walk_commit(gc, &noted->oid, text, error);
	case GIT_OBJECT_TAG:
		return walk_tag(gc, &noted->oid, text, error);
	case GIT_OBJECT_TREE:
		return walk_tree(gc, &noted->oid, text, git_odb_object_size(object), error);
	default:
		return true;
	}
}

bool prolly_gc_walk_commits(ProllyGc *gc, GError **error)
{
	while (gc->objects->len > 0) {
		ProllyGcObject noted =
			g_array_index(gc->objects, ProllyGcObject, gc->objects->len - 1);

		g_array_set_size(gc->objects, gc->objects->len - 1);
		if (!walk_object(gc, &noted, error))
			return false;
		if (gc->stack->len > 0 && !prolly_gc_mark(gc, error))
			return false;
	}
	return true;
}

/* ---- References -------------------------------------------------------------------------- */

/* What a line of a reflog moved from and to. */
static void note_line(ProllyGc *gc, const char *line, size_t len)
{
	git_oid oid;

	if (len < 2 * GIT_OID_HEXSZ + 1)
		return;
	for (int i = 0; i < 2; i++) {
		if (git_oid_fromstrn(&oid, line + i * (GIT_OID_HEXSZ + 1), GIT_OID_HEXSZ) == 0 &&
		    !git_oid_is_zero(&oid))
			note_object(gc, &oid, false);
	}
}

static void note_log(ProllyGc *gc, GBytes *log)
{
	gsize len;
	const char *text = g_bytes_get_data(log, &len);
	const char *end = text + len;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *line_end = newline ? newline : end;

		note_line(gc, text, (size_t)(line_end - text));
		text = line_end + 1;
	}
}

static bool note_reference(ProllyGc *gc, const char *name, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&gc->body->git_lock);
	ProllyRefs *refs = gc->body->git->refs;
	g_autoptr(GBytes) log = NULL;
	ProllyCommitId id;
	git_oid oid;
	bool found;

	if (!refs->ops->get(refs, name, &id, &found, error) ||
	    !refs->ops->load_log(refs, name, &log, error))
		return false;
	if (found) {
		prolly_commit_id_to_oid(&id, &oid);
		note_object(gc, &oid, true);
	}
	if (log)
		note_log(gc, log);
	return true;
}

/* The N bytes at TEXT go on with a line of which there were *AT before, the first ones in START. */
static void note_ids(ProllyGc *gc, const char *text, size_t n, char start[GIT_OID_HEXSZ],
		     size_t *at)
{
	for (size_t i = 0; i < n; i++) {
		git_oid oid;

		if (text[i] == '\n') {
			*at = 0;
			continue;
		}
		if (*at < GIT_OID_HEXSZ)
			start[*at] = text[i];
		if (++*at == GIT_OID_HEXSZ && git_oid_fromstrn(&oid, start, GIT_OID_HEXSZ) == 0)
			note_object(gc, &oid, false);
	}
}

/*
 * NAME, of the git directory, has an id at the start of each line: FETCH_HEAD one for each branch that
 * was fetched, and nothing at all if that failed. Whatever else it has is no damage, nor is the id of
 * an object that is gone: git's own collections do not keep them.
 */
static bool note_file(ProllyGc *gc, const char *name, GError **error)
{
	g_autofree char *path = g_build_filename(gc->body->git->dir, name, NULL);
	prolly_autofd int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char start[GIT_OID_HEXSZ];
	char piece[4096];
	size_t at = 0;
	struct stat st;
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return true;
	if (fd < 0 || fstat(fd, &st) < 0)
		return prolly_throw_errno(error, errno, "read %s", path);
	if (!S_ISREG(st.st_mode))
		return true;
	if (st.st_size > FILE_MAX)
		return prolly_throw(error, PROLLY_ERROR_CORRUPT, "%s: %" G_GINT64_FORMAT " bytes",
				    path, (gint64)st.st_size);
	while ((n = read(fd, piece, sizeof(piece))) > 0)
		note_ids(gc, piece, (size_t)n, start, &at);
	return n == 0 || prolly_throw_errno(error, errno, "read %s", path);
}

/* What a branch had whose reference was lost is reached by nothing now, and wanted back. */
static bool check_none_lost(ProllyGc *gc, bool is_locked, GError **error)
{
	g_autoptr(GPtrArray) lost = NULL;

	if (!prolly_branch_list_lost(gc->repo, is_locked, &lost, error))
		return false;
	return lost->len == 0 ||
	       prolly_throw(error, PROLLY_ERROR_CORRUPT, "%s is missing, but was not deleted",
			    (const char *)lost->pdata[0]);
}

bool prolly_gc_note_references(ProllyGc *gc, bool is_locked, GError **error)
{
	static const char *const others[] = {"ORIG_HEAD", "FETCH_HEAD", "MERGE_HEAD"};
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	ProllyRefs *refs = gc->body->git->refs;
	bool ok;

	if (!check_none_lost(gc, is_locked, error))
		return false;
	g_mutex_lock(&gc->body->git_lock);
	ok = refs->ops->list(refs, "refs/", G_MAXUINT, names, error);
	g_mutex_unlock(&gc->body->git_lock);
	for (guint i = 0; ok && i < names->len; i++)
		ok = note_reference(gc, g_ptr_array_index(names, i), error);
	if (!ok || !gc->body->git->dir)
		return ok;
	ok = note_reference(gc, "HEAD", error);
	for (size_t i = 0; ok && i < G_N_ELEMENTS(others); i++)
		ok = note_file(gc, others[i], error);
	return ok;
}
