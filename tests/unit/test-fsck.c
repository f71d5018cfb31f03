/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsck: each kind of damage is found and named, what is held elsewhere is taken back, and nothing is
 * guessed. In stores of plain files, where a test can damage one node.
 */
#include "gc-fixture.h"

#include "blob/blob-private.h"
#include "store/restore.h"
#include "version/fsck.h"

#define N_KEYS 3000

/* ---- Stores ------------------------------------------------------------------------------ */

static ProllyRepo *new_file_store(Fixture *self, const char *kind)
{
	g_autofree char *spec = g_strconcat(kind, self->store, NULL);
	g_autoptr(GError) error = NULL;

	prolly_repo_init(spec, NULL, &error);
	g_assert_no_error(error);
	return open_spec(self->store);
}

static void stage_many(ProllyRepo *repo, ProllyBranch *branch, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		g_autofree char *key = g_strdup_printf("k%06u", i);

		stage(repo, branch, key, i, 20);
	}
}

static void flush(ProllyRepo *repo)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(prolly_repo_sync(repo, &error));
}

static char *get_node_path(Fixture *self, const char *class, const ProllyHash *hash)
{
	char hex[PROLLY_HASH_HEX_SIZE];

	prolly_hash_to_hex(hash, hex);
	return g_strdup_printf("%s/nodes/%s/%.2s/%s", self->store, class, hex, hex + 2);
}

static void damage_node(Fixture *self, const char *class, const ProllyHash *hash)
{
	g_autofree char *path = get_node_path(self, class, hash);

	run("chmod u+w '%s' && printf X | dd of='%s' bs=1 seek=20 conv=notrunc status=none", path,
	    path);
}

static void get_top(ProllyRepo *repo, const char *name, ProllyTree *out_tree)
{
	g_autoptr(ProllyBranch) branch = lookup(repo, name);
	g_autoptr(ProllyState) state = prolly_branch_get_state(branch);

	*out_tree = *prolly_state_find_namespace(state, "ns");
}

/* The Ith child of a tree's top, or of a blob's. */
typedef struct {
	ProllyHash hash;
	unsigned left;
} Child;

static bool take_child(const ProllyHash *hash, void *data, GError **error)
{
	Child *child = data;

	if (child->left-- == 0)
		child->hash = *hash;
	return true;
}

static bool pass_entry(const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len,
		       void *data, GError **error)
{
	return true;
}

static void get_child(ProllyRepo *repo, const ProllyTree *tree, unsigned i, ProllyHash *out_hash)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyNode) node =
		prolly_store_get(repo->context.store, PROLLY_NODE_TREE, &tree->top, &error);
	Child child = {.left = i};

	g_assert_no_error(error);
	prolly_tree_walk_node(&repo->context, node, take_child, pass_entry, &child, &error);
	g_assert_no_error(error);
	*out_hash = child.hash;
}

/* ---- Verifying --------------------------------------------------------------------------- */

static bool note(const ProllyDamage *damage, void *data, GError **error)
{
	GString *text = data;

	g_string_append_printf(text, "%s %s: %s", damage->kind, damage->object, damage->message);
	for (const char *const *path = damage->paths; *path; path++)
		g_string_append_printf(text, " [%s]", *path);
	if (damage->remedy)
		g_string_append_printf(text, " REPAIRED %s", damage->remedy);
	g_string_append_c(text, '\n');
	return true;
}

/* *OUT_TEXT (transfer full): what was told. Returns how much is damaged. */
static uint64_t verify(ProllyRepo *repo, bool repair, char **out_text)
{
	g_autoptr(GString) text = g_string_new(NULL);
	ProllyFsckOptions options = {.repair = repair, .damage = note, .data = text};
	g_autoptr(GError) error = NULL;
	uint64_t n = 0;

	prolly_fsck_run(repo, &options, &n, &error);
	g_assert_no_error(error);
	*out_text = g_string_free(g_steal_pointer(&text), FALSE);
	return n;
}

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		g_error("'%s' is not in: %s", part, text);
}

static void assert_sound(ProllyRepo *repo)
{
	g_autofree char *text = NULL;

	if (verify(repo, false, &text) != 0)
		g_error("damaged: %s", text);
}

/* Finds N damages, and says PART of them; changes nothing. */
static void assert_damaged(ProllyRepo *repo, uint64_t n, const char *part)
{
	g_autofree char *text = NULL;

	g_assert_cmpuint(verify(repo, false, &text), ==, n);
	assert_has(text, part);
	g_assert_null(strstr(text, "REPAIRED"));
}

/* The same; and nothing can be done about it. */
static void assert_beyond_repair(ProllyRepo *repo, uint64_t n, const char *part)
{
	g_autofree char *text = NULL;

	g_assert_cmpuint(verify(repo, true, &text), ==, n);
	assert_has(text, part);
	g_assert_null(strstr(text, "REPAIRED"));
}

static void assert_repaired(ProllyRepo *repo, const char *part)
{
	g_autofree char *text = NULL;

	g_assert_cmpuint(verify(repo, true, &text), ==, 0);
	assert_has(text, "REPAIRED");
	assert_has(text, part);
	assert_sound(repo);
}

/* ---- Nodes ------------------------------------------------------------------------------- */

/* What is in memory hides no damage, and repairs it. */
static void test_cache(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_file_store(self, "cached-file://");
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	ProllyTree tree;
	ProllyHash leaf;

	stage_many(repo, branch, N_KEYS);
	commit(repo, branch, NULL);
	flush(repo);
	get_top(repo, "main", &tree);
	get_child(repo, &tree, 1, &leaf);
	assert_sound(repo);
	damage_node(self, "tree", &leaf);
	damage_node(self, "tree", &tree.top);
	assert_damaged(repo, 1, "[main/ns]"); /* what is below it cannot be seen */
	assert_repaired(repo, "a copy");
	g_clear_pointer(&branch, prolly_branch_unref);
	prolly_repo_free(repo);
	repo = open_spec(self->store);
	assert_sound(repo);
	damage_node(self, "tree", &leaf);
	assert_damaged(repo, 1, "..");
	prolly_repo_free(repo);
}

/* A copy with the nodes of the other class. */
static void test_other_class(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = new_file_store(self, "file://");
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autofree char *from = NULL;
	g_autofree char *to = NULL;
	g_autofree char *dir = NULL;
	ProllyTree tree;

	stage_many(repo, branch, 10);
	commit(repo, branch, NULL);
	flush(repo);
	get_top(repo, "main", &tree);
	from = get_node_path(self, "tree", &tree.top);
	to = get_node_path(self, "chunk", &tree.top);
	dir = g_path_get_dirname(to);
	run("mkdir -p '%s' && cp '%s' '%s'", dir, from, to);
	damage_node(self, "tree", &tree.top);
	assert_damaged(repo, 1, "[main/ns]");
	assert_repaired(repo, "a copy");
}

/* Another branch has staged the same keys: not the node, but what it is made of. */
static void test_staged_elsewhere(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = new_file_store(self, "file://");
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autoptr(ProllyBranch) other = create(repo, "other", -1);
	g_autoptr(ProllyView) view = open_live(repo, "main");
	ProllyTree tree;
	ProllyHash leaf;

	stage_many(repo, branch, N_KEYS);
	commit(repo, branch, NULL);
	flush(repo);
	get_top(repo, "main", &tree);
	get_child(repo, &tree, 1, &leaf);
	damage_node(self, "tree", &leaf);
	assert_damaged(repo, 1, "main/ns/k0");
	assert_beyond_repair(repo, 1, "main/ns/k0"); /* nobody has it */
	stage_many(repo, other, N_KEYS - 10);
	stage(repo, other, "z", 1, LONG_VALUE);
	assert_damaged(repo, 1, "main/ns/k0");
	assert_repaired(repo, "branch other");
	assert_content(view, "k000123", 123, 20);
}

/* The chunk in the middle of make_content(1, HUGE_VALUE), and where it begins. */
static uint64_t find_middle(ProllyRepo *repo, ProllyHash *out_chunk)
{
	g_autoptr(GBytes) content = make_content(1, HUGE_VALUE);
	g_autoptr(GBytes) stored = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(ProllyBlobCursor) cursor = {0};
	ProllyBlobEntry chunk;
	ProllyValue value;
	uint64_t start;

	prolly_value_store(&repo->context, PROLLY_KIND_FILE, g_bytes_get_data(content, NULL),
			   HUGE_VALUE, &stored, &error);
	g_assert_no_error(error);
	prolly_value_parse(g_bytes_get_data(stored, NULL), g_bytes_get_size(stored), &value, NULL);
	prolly_blob_cursor_init(&cursor, repo->context.store, &value.blob, &error);
	g_assert_no_error(error);
	g_assert_true(prolly_blob_cursor_seek(&cursor, HUGE_VALUE / 2, &error));
	prolly_blob_cursor_get(&cursor, &chunk, &start);
	*out_chunk = chunk.hash;
	return start;
}

/* The same bytes in another version of the value, cut into other chunks. */
static void test_other_version(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = new_file_store(self, "file://");
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autoptr(ProllyView) view = open_live(repo, "main");
	g_autoptr(GBytes) content = make_content(1, HUGE_VALUE);
	g_autofree uint8_t *changed = g_memdup2(g_bytes_get_data(content, NULL), HUGE_VALUE);
	g_autoptr(GBytes) stored = NULL;
	g_autoptr(GError) error = NULL;
	ProllyPlace place = make_place("ns", "k");
	ProllyHash chunk;
	uint64_t start = find_middle(repo, &chunk);

	stage(repo, branch, "k", 1, HUGE_VALUE);
	commit(repo, branch, NULL);
	flush(repo);
	damage_node(self, "chunk", &chunk);
	assert_damaged(repo, 1, "[main/ns/k]");
	/* Where the chunk before it was cut, nothing is cut any more. */
	changed[start - 1] ^= 0x55;
	prolly_value_store(&repo->context, PROLLY_KIND_FILE, changed, HUGE_VALUE, &stored, &error);
	g_assert_no_error(error);
	prolly_edit_put(repo, branch, &place, stored, NULL, 0, NULL, &error);
	g_assert_no_error(error);
	commit(repo, branch, NULL);
	assert_repaired(repo, "what branch main has");
	stage(repo, branch, "k", 1, HUGE_VALUE);
	assert_content(view, "k", 1, HUGE_VALUE);
}

static uint64_t count_read(void)
{
	g_autofree char *text = NULL;

	g_assert_true(g_file_get_contents("/proc/self/io", &text, NULL, NULL));
	return g_ascii_strtoull(strchr(text, ':') + 1, NULL, 10);
}

/* A large value that is damaged is read once, and named in each commit that has it. */
static void test_damaged_again(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = new_file_store(self, "file://");
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	ProllyHash chunk;
	uint64_t before, once;

	find_middle(repo, &chunk);
	stage(repo, branch, "k", 1, HUGE_VALUE);
	commit(repo, branch, NULL);
	flush(repo);
	damage_node(self, "chunk", &chunk);
	before = count_read();
	assert_damaged(repo, 1, "[main/ns/k]");
	once = count_read() - before;
	for (unsigned i = 0; i < 5; i++) {
		stage(repo, branch, "other", i, 20);
		commit(repo, branch, NULL);
	}
	flush(repo);
	before = count_read();
	assert_damaged(repo, 1, "/ns/k] [.prollyfs/at/");
	g_assert_cmpuint(count_read() - before, <, once + HUGE_VALUE);
}

/* What is put back has to have the hash. */
static void test_restore(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = new_file_store(self, "file://");
	g_autoptr(GBytes) bytes = make_content(1, 100);
	g_autoptr(GError) error = NULL;
	ProllyTree tree;

	must_commit(repo, "main", "ns", "k", "value");
	get_top(repo, "main", &tree);
	g_assert_false(prolly_store_restore(repo->context.store, PROLLY_NODE_TREE, &tree.top, bytes,
					    &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
	assert_sound(repo);
}

/* ---- Values that nothing of ours makes --------------------------------------------------- */

static void put_stored(ProllyRepo *repo, const char *key, GBytes *stored)
{
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	ProllyPlace place = make_place("ns", key);
	g_autoptr(GError) error = NULL;

	prolly_edit_put(repo, branch, &place, stored, NULL, 0, NULL, &error);
	g_assert_no_error(error);
}

/* A chunk of LEN bytes, as the only one of a value. */
static void make_chunk(ProllyRepo *repo, const uint8_t *bytes, size_t len, ProllyBlobEntry *out)
{
	g_autoptr(ProllyBlobWriter) writer = prolly_blob_writer_new(&repo->context);
	g_autoptr(GError) error = NULL;
	ProllyBlob blob;

	g_assert_true(prolly_blob_writer_write(writer, bytes, len, &error) &&
		      prolly_blob_writer_finish(writer, &blob, &error));
	g_assert_cmpuint(blob.height, ==, 0);
	*out = (ProllyBlobEntry){
		.length = len, .data = len, .ends_in_zero = bytes[len - 1] == 0, .hash = blob.hash};
}

static void test_cuts(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = new_file_store(self, "file://");
	g_autoptr(GBytes) content = make_content(1, 4000);
	const uint8_t *bytes = g_bytes_get_data(content, NULL);
	g_autoptr(GBytes) stored = NULL;
	g_autoptr(GError) error = NULL;
	ProllyBlobEntry entries[2], top;
	ProllyBlob blob = {.length = 4000, .height = 1};

	make_chunk(repo, bytes, 1999, &entries[0]);
	make_chunk(repo, bytes + 1999, 2001, &entries[1]);
	g_assert_true(prolly_blob_node_put(repo->context.store, 1, entries, 2, &top, &error));
	blob.hash = top.hash;
	stored = prolly_value_new_blob(PROLLY_KIND_FILE, &blob);
	put_stored(repo, "k", stored);
	flush(repo);
	assert_damaged(repo, 1, "not cut where the rule says [main/ns/k]");
}

static void test_forms(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = new_file_store(self, "file://");
	g_autoptr(GBytes) content = make_content(1, LONG_VALUE);
	g_autoptr(GBytes) stored = prolly_value_new_inline(
		PROLLY_KIND_FILE, g_bytes_get_data(content, NULL), LONG_VALUE);

	put_stored(repo, "k", stored);
	assert_damaged(repo, 1, "3000 bytes that is not stored apart [main/ns/k]");
}

static void put_blob(ProllyRepo *repo, const char *key, uint64_t length, uint32_t height,
		     const ProllyHash *hash)
{
	ProllyBlob blob = {.length = length, .height = height, .hash = *hash};
	g_autoptr(GBytes) stored = prolly_value_new_blob(PROLLY_KIND_FILE, &blob);

	put_stored(repo, key, stored);
	flush(repo);
}

static void test_short_apart(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = new_file_store(self, "file://");
	g_autoptr(GBytes) content = make_content(1, LONG_VALUE);
	ProllyBlobEntry chunk;

	make_chunk(repo, g_bytes_get_data(content, NULL), 1024, &chunk);
	put_blob(repo, "k", 1024, 0, &chunk.hash);
	assert_damaged(repo, 1, "1024 bytes that is stored apart [main/ns/k]");
	make_chunk(repo, g_bytes_get_data(content, NULL), 1025, &chunk);
	put_blob(repo, "k", 1025, 0, &chunk.hash);
	assert_sound(repo);
}

/* A value that was found sound is not one that has its hash and something else beside it. */
static void test_references(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = new_file_store(self, "file://");
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autoptr(GBytes) content = make_content(1, LONG_VALUE);
	ProllyBlobEntry chunk;
	ProllyTree tree;
	ProllyHash leaf;

	stage_many(repo, branch, N_KEYS);
	commit(repo, branch, NULL);
	get_top(repo, "main", &tree);
	get_child(repo, &tree, 1, &leaf);
	make_chunk(repo, g_bytes_get_data(content, NULL), LONG_VALUE, &chunk);
	put_blob(repo, "k1", LONG_VALUE, 0, &chunk.hash);
	put_blob(repo, "k2", LONG_VALUE, 0, &chunk.hash);
	assert_sound(repo);
	put_blob(repo, "k2", LONG_VALUE + 1, 0, &chunk.hash);
	assert_damaged(repo, 1, "the chunk has not the length its blob says [main/ns/k2]");
	/* The chunk is there. */
	assert_beyond_repair(repo, 1, "the chunk has not the length its blob says [main/ns/k2]");
	put_blob(repo, "k2", LONG_VALUE, 1, &chunk.hash);
	assert_damaged(repo, 1, "[main/ns/k2]");
	/* Nor is a node of the tree, which is sound as that, a value. */
	put_blob(repo, "k2", LONG_VALUE, 1, &leaf);
	assert_damaged(repo, 1, "not a blob node [main/ns/k2]");
}

/* Two branches have the leaf with the value: it is named in both. */
static void test_shared_leaf(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = new_file_store(self, "file://");
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autoptr(GBytes) content = make_content(1, LONG_VALUE);
	ProllyBlobEntry chunk;

	stage_many(repo, branch, N_KEYS);
	make_chunk(repo, g_bytes_get_data(content, NULL), LONG_VALUE, &chunk);
	stage(repo, branch, "k000100", 1, LONG_VALUE);
	commit(repo, branch, NULL);
	prolly_branch_unref(create(repo, "other", -1));
	stage(repo, branch, "k002900", 7, 30);
	commit(repo, branch, NULL);
	flush(repo);
	damage_node(self, "chunk", &chunk.hash);
	assert_damaged(repo, 1, "[main/ns/k000100]");
	assert_damaged(repo, 1, "[other/ns/k000100]");
}

/* ---- The git repository ------------------------------------------------------------------ */

static ProllyRepo *reopen(ProllyRepo *repo, Fixture *self)
{
	prolly_repo_free(repo);
	return open_spec(self->store);
}

static void write_reference(Fixture *self, const char *name, const char *text)
{
	run("printf '%s' >'%s/git/refs/heads/%s'", text, self->store, name);
}

static void assert_lookup_fails(ProllyRepo *repo, const char *name)
{
	g_autoptr(ProllyBranch) branch = NULL;
	g_autoptr(GError) error = NULL;

	g_assert_false(prolly_branch_lookup(repo, name, &branch, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
}

/* A branch whose reference cannot be read is in nobody else's way. */
static void test_reference(Fixture *self, gconstpointer data)
{
	static const char *const texts[] = {"", "nonsense\n", "0123456789"};
	ProllyRepo *repo = new_store(self);
	g_autofree char *head = NULL;
	g_autofree char *head_then = NULL;

	prolly_branch_unref(create(repo, "topic", -1));
	must_commit(repo, "main", "ns", "k", "of main");
	must_commit(repo, "topic", "ns", "k", "of topic");
	head = head_hex(repo, "topic");
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		prolly_repo_free(repo);
		write_reference(self, "topic", texts[i]);
		repo = open_spec(self->store);
		assert_value(repo, "main", "k", "of main");
		assert_lookup_fails(repo, "topic");
		assert_damaged(repo, 1, "reference refs/heads/topic: ");
		assert_repaired(repo, "stands where its reflog ends");
		assert_value(repo, "topic", "k", "of topic");
		repo = reopen(repo, self);
		assert_value(repo, "topic", "k", "of topic");
	}
	head_then = head_hex(repo, "topic");
	g_assert_cmpstr(head, ==, head_then);
	prolly_repo_free(repo);
}

/* Where the reflog does not say it, nobody knows. */
static void test_reference_unknown(Fixture *self, gconstpointer data)
{
	static const char *const spoilings[] = {
		"rm '%s'",
		"truncate -s -3 '%s'",
		"echo nonsense >>'%s'",
		"sed -i '$s/ [0-9a-f]\\{40\\} / 0123456789012345678901234567890123456789 /' '%s'",
	};
	ProllyRepo *repo = new_store(self);
	g_autofree char *path = g_strconcat(self->store, "/git/logs/refs/heads/topic", NULL);

	prolly_branch_unref(create(repo, "topic", -1));
	must_commit(repo, "topic", "ns", "k", "of topic");
	prolly_repo_free(repo);
	run("cp '%s' '%s/log'", path, self->dir);
	write_reference(self, "topic", "nonsense");
	for (size_t i = 0; i < G_N_ELEMENTS(spoilings); i++) {
		g_autofree char *quoted = NULL;
		g_auto(GStrv) parts = g_strsplit(spoilings[i], "%s", 2);
		g_autofree char *text = NULL;

		quoted = g_strconcat(parts[0], path, parts[1], NULL);
		run("%s", quoted);
		repo = open_spec(self->store);
		g_assert_cmpuint(verify(repo, true, &text), >=, 1);
		assert_has(text, "reference refs/heads/topic: ");
		g_assert_null(strstr(text, "REPAIRED"));
		prolly_repo_free(repo);
		run("cp '%s/log' '%s'", self->dir, path);
	}
}

static void test_reflog(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = new_store(self);
	g_autofree char *path = g_strconcat(self->store, "/git/logs/refs/heads/main", NULL);

	must_commit(repo, "main", "ns", "k", "1");
	must_commit(repo, "main", "ns", "k", "2");
	assert_sound(repo);
	run("cp '%s' '%s/log' && sed -i '2s/ /-/g' '%s'", path, self->dir, path);
	assert_damaged(repo, 1, "reflog refs/heads/main: line 2 of its reflog is damaged [main]");
	run("sed '2s/ [0-9a-f]* / 0123456789012345678901234567890123456789 /' '%s/log' >'%s'",
	    self->dir, path);
	assert_damaged(repo, 1, "names commit 0123456789012345678901234567890123456789");
}

/* An object of a commit that lies behind. */
static void test_git_object(Fixture *self, gconstpointer data)
{
	g_autofree char *file = prolly_keypath_namespace_to_file("ns");
	g_autofree char *of_namespace = g_strconcat("main~1:", file, NULL);
	const char *const revs[] = {"main~1", "main~1^{tree}", of_namespace};
	g_autoptr(ProllyRepo) repo = new_store(self);

	for (unsigned i = 0; i < 3; i++) {
		g_autofree char *value = g_strdup_printf("%u", i);

		must_commit(repo, "main", "ns", "k", value);
	}
	assert_sound(repo);
	for (size_t i = 0; i < G_N_ELEMENTS(revs); i++) {
		g_autofree char *id =
			capture("git --git-dir='%s/git' rev-parse '%s'", self->store, revs[i]);
		g_autofree char *path =
			g_strdup_printf("%s/git/objects/%.2s/%s", self->store, id, id + 2);

		run("cp '%s' '%s/object' && chmod u+w '%s' && echo damaged >'%s'", path, self->dir,
		    path, path);
		{
			g_autofree char *text = NULL;

			g_assert_cmpuint(verify(repo, true, &text), >=, 1);
			assert_has(text, "git ");
			assert_has(text, id);
			g_assert_null(strstr(text, "REPAIRED"));
		}
		run("rm '%s'", path);
		{
			g_autofree char *text = NULL;

			g_assert_cmpuint(verify(repo, false, &text), >=, 1);
			assert_has(text, id);
		}
		run("cp '%s/object' '%s'", self->dir, path);
		assert_sound(repo);
	}
}

int main(int argc, char **argv)
{
	set_identity();
	g_test_init(&argc, &argv, NULL);
	WITH_STORE("fsck/cache", test_cache);
	WITH_STORE("fsck/other-class", test_other_class);
	WITH_STORE("fsck/staged-elsewhere", test_staged_elsewhere);
	WITH_STORE("fsck/other-version", test_other_version);
	WITH_STORE("fsck/damaged-again", test_damaged_again);
	WITH_STORE("fsck/restore", test_restore);
	WITH_STORE("fsck/cuts", test_cuts);
	WITH_STORE("fsck/forms", test_forms);
	WITH_STORE("fsck/short-apart", test_short_apart);
	WITH_STORE("fsck/references", test_references);
	WITH_STORE("fsck/shared-leaf", test_shared_leaf);
	WITH_STORE("fsck/reference", test_reference);
	WITH_STORE("fsck/reference-unknown", test_reference_unknown);
	WITH_STORE("fsck/reflog", test_reflog);
	WITH_STORE("fsck/git-object", test_git_object);
	return g_test_run();
}
