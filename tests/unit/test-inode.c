/* SPDX-License-Identifier: Apache-2.0 */

/*
 * test-inode: the table of nodes, without a kernel. Names are entered, forgotten, renamed and
 * unlinked as the kernel would have it done; the invariants are those at the head of fs/inode.c.
 */

#include "fs-private.h"

#include <string.h>

typedef struct {
	PfsTable table;
	PfsScope *scope;
	PfsInode *root; /* the branch's directory */
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
	pfs_table_init(&f->table);
	f->scope = g_new0(PfsScope, 1);
	f->scope->references = 1;
	f->scope->number = 7;
	g_strlcpy(f->scope->key, "branch 7", sizeof f->scope->key);
	g_hash_table_insert(f->table.scopes, f->scope->key, f->scope);
	f->root = pfs_table_add_root(&f->table, PFS_KIND_TOP, f->scope);
}

static void tear_down(Fixture *f, gconstpointer data)
{
	pfs_scope_unref(&f->table, f->scope);
	pfs_table_clear(&f->table);
}

static PfsInode *enter_file(Fixture *f, PfsInode *dir, const char *name, uint64_t identity,
			    uint64_t group)
{
	const PfsFound found = {
		.kind = PFS_KIND_FILE,
		.scope = f->scope,
		.value_kind = PROLLY_KIND_FILE,
		.identity = identity,
		.group = group,
		.moves = f->scope->moves,
	};

	return pfs_table_enter(&f->table, dir, name, &found);
}

static PfsInode *enter_directory(Fixture *f, PfsInode *dir, const char *name)
{
	const PfsFound found = {
		.kind = PFS_KIND_DIRECTORY,
		.scope = f->scope,
		.moves = f->scope->moves,
	};

	return pfs_table_enter(&f->table, dir, name, &found);
}

static guint count(Fixture *f)
{
	return g_hash_table_size(f->table.by_id);
}

static void assert_place(Fixture *f, PfsInode *inode, const char *ns, const char *key)
{
	g_auto(PfsPlace) place = {0};

	g_assert_true(pfs_table_get_place(&f->table, inode, &place));
	g_assert_cmpstr(place.ns, ==, ns);
	g_assert_cmpmem(place.bytes->data, place.bytes->len, key, strlen(key));
}

static void test_lookups_are_counted(Fixture *f, gconstpointer data)
{
	PfsInode *first = enter_file(f, f->root, "a", 1, 0);
	fuse_ino_t id = first->id;

	g_assert_cmpuint(id, !=, FUSE_ROOT_ID);
	g_assert_true(enter_file(f, f->root, "a", 1, 0) == first);
	pfs_table_forget(&f->table, id, 1);
	g_assert_true(pfs_table_find(&f->table, id) == first);
	pfs_table_forget(&f->table, id, 1);
	g_assert_null(pfs_table_find(&f->table, id));
	g_assert_cmpuint(count(f), ==, 1);
	g_assert_cmpuint(enter_file(f, f->root, "a", 1, 0)->id, >, id);
}

static void test_forget_is_bounded(Fixture *f, gconstpointer data)
{
	fuse_ino_t id = enter_file(f, f->root, "a", 1, 0)->id;

	pfs_table_forget(&f->table, id, 99);
	pfs_table_forget(&f->table, id, 1);
	pfs_table_forget(&f->table, FUSE_ROOT_ID, 99);
	g_assert_cmpuint(count(f), ==, 1);
}

static void test_children_hold_their_directory(Fixture *f, gconstpointer data)
{
	PfsInode *dir = enter_directory(f, f->root, "ns");
	PfsInode *file = enter_file(f, dir, "a", 1, 0);
	fuse_ino_t dir_id = dir->id;

	pfs_table_forget(&f->table, dir_id, 1);
	g_assert_nonnull(pfs_table_find(&f->table, dir_id));
	pfs_table_forget(&f->table, file->id, 1);
	g_assert_null(pfs_table_find(&f->table, dir_id));
}

static void test_unlinked_is_an_orphan(Fixture *f, gconstpointer data)
{
	PfsInode *old = enter_file(f, f->root, "a", 1, 0);
	g_auto(PfsPlace) place = {0};
	PfsInode *new;

	pfs_table_unlink(&f->table, f->root, "a");
	g_assert_true(old->is_orphan);
	g_assert_false(pfs_table_get_place(&f->table, old, &place));
	new = enter_file(f, f->root, "a", 1, 0);
	g_assert_true(new != old);
	pfs_table_forget(&f->table, old->id, 1);
	g_assert_true(enter_file(f, f->root, "a", 1, 0) == new);
}

static void test_changed_content_is_a_new_node(Fixture *f, gconstpointer data)
{
	PfsInode *old = enter_file(f, f->root, "a", 1, 0);
	PfsInode *new;

	f->scope->moves++;
	g_assert_true(enter_file(f, f->root, "a", 1, 0) == old);
	f->scope->moves++;
	new = enter_file(f, f->root, "a", 2, 0);
	g_assert_true(new != old);
	g_assert_true(old->is_orphan);
	/* A kind that is not a file's is another content, whatever its bytes. */
	const PfsFound link = {.kind = PFS_KIND_FILE,
			       .scope = f->scope,
			       .value_kind = PROLLY_KIND_SYMLINK,
			       .identity = 2,
			       .moves = f->scope->moves};
	g_assert_true(pfs_table_enter(&f->table, f->root, "a", &link) != new);
}

static void test_written_content_is_adopted(Fixture *f, gconstpointer data)
{
	PfsInode *inode = enter_file(f, f->root, "a", 1, 0);

	pfs_table_touch(&f->table, inode);
	g_assert_true(enter_file(f, f->root, "a", 2, 0) == inode);
	g_assert_true(enter_file(f, f->root, "a", 2, 0) == inode);
	/* Whether 2 was there before the move, nobody can tell. */
	f->scope->moves++;
	g_assert_true(enter_file(f, f->root, "a", 2, 0) != inode);
}

static void test_written_and_moved_is_a_new_node(Fixture *f, gconstpointer data)
{
	PfsInode *inode = enter_file(f, f->root, "a", 1, 0);

	pfs_table_touch(&f->table, inode);
	f->scope->moves++;
	g_assert_true(enter_file(f, f->root, "a", 2, 0) != inode);
}

static void test_a_directory_keeps_its_node(Fixture *f, gconstpointer data)
{
	PfsInode *dir = enter_directory(f, f->root, "ns");

	f->scope->moves++;
	g_assert_true(enter_directory(f, f->root, "ns") == dir);
	g_assert_true(enter_file(f, f->root, "ns", 1, 0) != dir);
	g_assert_true(dir->is_orphan);
}

static void test_places_follow_renames(Fixture *f, gconstpointer data)
{
	PfsInode *ns = enter_directory(f, f->root, "ns");
	PfsInode *a = enter_directory(f, ns, "a");
	PfsInode *b = enter_directory(f, a, "b");
	PfsInode *file = enter_file(f, b, "file", 1, 0);
	PfsInode *other = enter_directory(f, f->root, "other");

	assert_place(f, file, "ns", "a/b/file");
	assert_place(f, b, "ns", "a/b/");
	pfs_table_rename(&f->table, ns, "a", other, "x");
	assert_place(f, file, "other", "x/b/file");
	assert_place(f, b, "other", "x/b/");
	pfs_table_rename(&f->table, b, "file", f->root, "file");
	assert_place(f, file, "", "file");
	g_assert_true(enter_file(f, f->root, "file", 1, 0) == file);
}

/* A removed directory is nowhere, though its place was asked for while it had one. */
static void test_removed_directory(Fixture *f, gconstpointer data)
{
	PfsInode *ns = enter_directory(f, f->root, "ns");
	PfsInode *dir = enter_directory(f, ns, "dir");
	PfsInode *below = enter_directory(f, dir, "below");
	g_auto(PfsPlace) place = {0};

	assert_place(f, below, "ns", "dir/below/");
	pfs_table_unlink(&f->table, ns, "dir");
	g_assert_false(pfs_table_get_place(&f->table, dir, &place));
	g_assert_false(pfs_table_get_place(&f->table, below, &place));
	assert_place(f, enter_directory(f, ns, "dir"), "ns", "dir/");
}

static void test_rename_over(Fixture *f, gconstpointer data)
{
	PfsInode *from = enter_file(f, f->root, "from", 1, 0);
	PfsInode *victim = enter_file(f, f->root, "to", 2, 0);

	pfs_table_rename(&f->table, f->root, "from", f->root, "to");
	g_assert_true(victim->is_orphan);
	g_assert_true(enter_file(f, f->root, "to", 1, 0) == from);
	/* Of a name that the kernel forgot, nothing is to be moved, but the victim goes. */
	pfs_table_rename(&f->table, f->root, "unknown", f->root, "to");
	g_assert_true(from->is_orphan);
}

static void test_exchange(Fixture *f, gconstpointer data)
{
	PfsInode *file = enter_file(f, f->root, "file", 1, 0);
	PfsInode *dir = enter_directory(f, f->root, "dir");
	PfsInode *below = enter_file(f, dir, "below", 2, 0);

	pfs_table_exchange(&f->table, f->root, "file", f->root, "dir");
	assert_place(f, file, "", "dir");
	assert_place(f, below, "file", "below");
	pfs_table_exchange(&f->table, f->root, "dir", f->root, "dir");
	assert_place(f, file, "", "dir");
}

static void test_hard_links_are_one_node(Fixture *f, gconstpointer data)
{
	PfsInode *inode = enter_file(f, f->root, "a", 1, 0);
	fuse_ino_t id = inode->id;

	pfs_table_link(&f->table, inode, f->root, "b", 99);
	g_assert_true(enter_file(f, f->root, "b", 1, 99) == inode);
	g_assert_true(enter_file(f, f->root, "c", 1, 99) == inode);
	pfs_table_unlink(&f->table, f->root, "a");
	pfs_table_unlink(&f->table, f->root, "b");
	pfs_table_unlink(&f->table, f->root, "c");
	g_assert_false(inode->is_orphan);
	/* One more that was never looked up. */
	g_assert_true(enter_file(f, f->root, "d", 1, 99) == inode);
	assert_place(f, inode, "", "d");
	/* A merge took "d" out of the group. */
	f->scope->moves++;
	g_assert_true(enter_file(f, f->root, "d", 2, 0) != inode);
	pfs_table_forget(&f->table, id, 4);
	g_assert_null(pfs_table_find(&f->table, id));
}

/* Whatever it is found to be, even the same: the others stay. */
static void test_a_hard_link_leaves(Fixture *f, gconstpointer data)
{
	PfsInode *inode = enter_file(f, f->root, "a", 1, 99);
	PfsInode *left;

	g_assert_true(enter_file(f, f->root, "b", 1, 99) == inode);
	pfs_table_touch(&f->table, inode);
	f->scope->moves++;
	left = enter_file(f, f->root, "b", 1, 0);
	g_assert_true(left != inode);
	g_assert_false(inode->is_orphan);
	assert_place(f, inode, "", "a");
	assert_place(f, left, "", "b");
	/* With its last known name it may have others yet. */
	g_assert_true(enter_file(f, f->root, "a", 2, 0) != inode);
	g_assert_false(inode->is_orphan);
	f->scope->moves--;
	g_assert_true(enter_file(f, f->root, "c", 1, 99) == inode);
}

static void test_control_files_are_fresh(Fixture *f, gconstpointer data)
{
	const PfsFound found = {.kind = PFS_KIND_CONTROL, .scope = f->scope};
	PfsInode *first = pfs_table_enter_fresh(&f->table, f->root, "ctl", &found);
	PfsInode *second = pfs_table_enter_fresh(&f->table, f->root, "ctl", &found);

	g_assert_true(first != second);
	pfs_table_forget(&f->table, first->id, 1);
	pfs_table_forget(&f->table, second->id, 1);
	g_assert_cmpuint(count(f), ==, 1);
}

static void test_the_oldest_are_shed_first(Fixture *f, gconstpointer data)
{
	g_autoptr(GArray) aged = NULL;
	PfsInode *dir = enter_directory(f, f->root, "ns");

	for (int i = 0; i < 10; i++) {
		g_autofree char *name = g_strdup_printf("%d", i);
		enter_file(f, dir, name, 1, 0);
	}
	aged = pfs_table_list_aged(&f->table, 4);
	g_assert_cmpuint(aged->len, ==, 3); /* a directory is kept */
	g_assert_cmpstr(g_array_index(aged, PfsNamed, 0).name, ==, "0");
	g_assert_cmpuint(g_array_index(aged, PfsNamed, 0).parent, ==, dir->id);
	g_assert_cmpstr(g_array_index(aged, PfsNamed, 2).name, ==, "2");
	g_assert_false(pfs_table_is_full(&f->table));
}

/* Random operations; whatever happens, the table empties when all is forgotten. */
static void test_random(Fixture *f, gconstpointer data)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(20261121);
	g_autoptr(GHashTable) lookups = g_hash_table_new(g_direct_hash, g_direct_equal);
	GHashTableIter iter;
	gpointer id, n;

	for (int i = 0; i < 20000; i++) {
		char name[2] = {(char)('a' + g_rand_int_range(random, 0, 8)), 0};
		char other[2] = {(char)('a' + g_rand_int_range(random, 0, 8)), 0};
		PfsInode *inode = NULL;

		switch (g_rand_int_range(random, 0, 7)) {
		case 0:
		case 1:
			inode = enter_file(f, f->root, name, g_rand_int_range(random, 1, 3),
					   (uint64_t)g_rand_int_range(random, 0, 3));
			break;
		case 2:
			inode = enter_directory(f, f->root, name);
			break;
		case 3:
			pfs_table_unlink(&f->table, f->root, name);
			break;
		case 4:
			pfs_table_rename(&f->table, f->root, name, f->root, other);
			break;
		case 5:
			pfs_table_exchange(&f->table, f->root, name, f->root, other);
			break;
		default:
			f->scope->moves++;
			break;
		}
		if (inode) {
			id = GSIZE_TO_POINTER(inode->id);
			n = g_hash_table_lookup(lookups, id);
			g_hash_table_insert(lookups, id, GSIZE_TO_POINTER(GPOINTER_TO_SIZE(n) + 1));
		}
	}
	g_hash_table_iter_init(&iter, lookups);
	while (g_hash_table_iter_next(&iter, &id, &n))
		pfs_table_forget(&f->table, GPOINTER_TO_SIZE(id), GPOINTER_TO_SIZE(n));
	g_assert_cmpuint(count(f), ==, 1);
	g_assert_cmpuint(g_hash_table_size(f->table.by_name), ==, 0);
	g_assert_cmpuint(g_hash_table_size(f->table.by_group), ==, 0);
}

static void add(const char *path, void (*test)(Fixture *, gconstpointer))
{
	g_test_add(path, Fixture, NULL, set_up, test, tear_down);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("/fs/inode/lookups-are-counted", test_lookups_are_counted);
	add("/fs/inode/forget-is-bounded", test_forget_is_bounded);
	add("/fs/inode/children-hold-their-directory", test_children_hold_their_directory);
	add("/fs/inode/unlinked-is-an-orphan", test_unlinked_is_an_orphan);
	add("/fs/inode/changed-content-is-a-new-node", test_changed_content_is_a_new_node);
	add("/fs/inode/written-content-is-adopted", test_written_content_is_adopted);
	add("/fs/inode/written-and-moved-is-a-new-node", test_written_and_moved_is_a_new_node);
	add("/fs/inode/a-directory-keeps-its-node", test_a_directory_keeps_its_node);
	add("/fs/inode/places-follow-renames", test_places_follow_renames);
	add("/fs/inode/removed-directory", test_removed_directory);
	add("/fs/inode/rename-over", test_rename_over);
	add("/fs/inode/exchange", test_exchange);
	add("/fs/inode/hard-links-are-one-node", test_hard_links_are_one_node);
	add("/fs/inode/a-hard-link-leaves", test_a_hard_link_leaves);
	add("/fs/inode/control-files-are-fresh", test_control_files_are_fresh);
	add("/fs/inode/the-oldest-are-shed-first", test_the_oldest_are_shed_first);
	add("/fs/inode/random", test_random);
	return g_test_run();
}
