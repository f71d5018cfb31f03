/* SPDX-License-Identifier: Apache-2.0 */
/* Locks taken in order and out of order: with the checks, whatever the build has them. */
#include "../../core/base/lock-order.c"

typedef struct {
	GMutex outermost, outer, inner, leaf, other_leaf;
} Site;

static void site_init(Site *site)
{
	prolly_order_init(&site->outermost, "&session->plain_lock", "../core/command/session.c");
	prolly_order_init(&site->outer, "&branch->commit_lock", "../core/version/branch.c");
	prolly_order_init(&site->inner, "&branch->write_lock", "../core/version/branch.c");
	prolly_order_init(&site->leaf, "&self->lock", "../core/base/pool.c");
	prolly_order_init(&site->other_leaf, "&body->observer_lock", "../core/version/repo.c");
}

static void site_clear(Site *site)
{
	prolly_order_clear(&site->outermost);
	prolly_order_clear(&site->outer);
	prolly_order_clear(&site->inner);
	prolly_order_clear(&site->leaf);
	prolly_order_clear(&site->other_leaf);
}

static void test_right(void)
{
	Site site;

	site_init(&site);
	prolly_order_lock(&site.outer);
	prolly_order_lock(&site.inner);
	prolly_order_lock(&site.leaf);
	/* Given back in any order. */
	prolly_order_unlock(&site.outer);
	prolly_order_unlock(&site.leaf);
	prolly_order_lock(&site.other_leaf);
	prolly_order_unlock(&site.inner);
	prolly_order_unlock(&site.other_leaf);
	/* All were: the outermost is free to be taken. */
	prolly_order_lock(&site.outer);
	prolly_order_unlock(&site.outer);
	site_clear(&site);
}

/* Who tries does not wait, whatever he holds. */
static void test_try(void)
{
	Site site;

	site_init(&site);
	prolly_order_lock(&site.inner);
	g_assert_true(prolly_order_trylock(&site.outer));
	g_assert_false(prolly_order_trylock(&site.outer));
	prolly_order_unlock(&site.outer);
	prolly_order_unlock(&site.inner);
	site_clear(&site);
}

static void *lock_outer(void *data)
{
	Site *site = data;

	prolly_order_lock(&site->outer);
	prolly_order_unlock(&site->outer);
	return NULL;
}

/* What one thread holds does not count for another. */
static void test_threads(void)
{
	Site site;

	site_init(&site);
	prolly_order_lock(&site.inner);
	g_thread_join(g_thread_new("other", lock_outer, &site));
	prolly_order_unlock(&site.inner);
	site_clear(&site);
}

/* The lock is held to the end of the block, and GLib's own type is that of the checks. */
static void test_locker(void)
{
	Site site;

	site_init(&site);
	{
		g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&site.inner);

		g_assert_false(prolly_order_trylock(&site.inner));
		g_assert_nonnull(locker);
	}
	prolly_order_lock(&site.outer);
	prolly_order_unlock(&site.outer);
	site_clear(&site);
}

/* One that is gone leaves its place to nobody. */
static void test_cleared(void)
{
	Site site;

	site_init(&site);
	site_clear(&site);
	g_mutex_init(&site.leaf);
	g_mutex_init(&site.outer);
	prolly_order_lock(&site.leaf);
	prolly_order_lock(&site.outer);
	prolly_order_unlock(&site.outer);
	prolly_order_unlock(&site.leaf);
	g_mutex_clear(&site.leaf);
	g_mutex_clear(&site.outer);
}

/* Who waits for the kernel may be somebody's command, and has nothing else. */
static void test_outermost(void)
{
	Site site;

	site_init(&site);
	prolly_order_check_outermost("a wait");
	prolly_order_lock(&site.outermost);
	prolly_order_check_outermost("a wait");
	prolly_order_unlock(&site.outermost);
	site_clear(&site);
}

static void wait_with_a_lock(Site *site)
{
	prolly_order_lock(&site->outer);
	prolly_order_check_outermost("a wait");
}

static void take_wrong(Site *site)
{
	prolly_order_lock(&site->inner);
	prolly_order_lock(&site->outer);
}

static void take_leaves(Site *site)
{
	prolly_order_lock(&site->leaf);
	prolly_order_lock(&site->other_leaf);
}

static void take_after_try(Site *site)
{
	g_assert_true(prolly_order_trylock(&site->leaf));
	prolly_order_lock(&site->inner);
}

static void take_twice(Site *site)
{
	prolly_order_lock(&site->inner);
	prolly_order_lock(&site->inner);
}

static void make_unknown(Site *site)
{
	prolly_order_init(&site->inner, "&site->inner", "test-lock-order.c");
}

static void give_back_what_is_not_held(Site *site)
{
	prolly_order_unlock(&site->inner);
}

typedef struct {
	const char *path;
	void (*act)(Site *site);
	const char *message;
} Wrong;

static const Wrong wrongs[] = {
	{"/lock-order/wrong/order", take_wrong,
	 "*lock order: commit_lock of version/branch.c is taken by who holds write_lock of *"},
	{"/lock-order/wrong/leaves", take_leaves,
	 "*lock order: observer_lock of version/repo.c is taken by who holds lock of base/pool.c*"},
	{"/lock-order/wrong/after-try", take_after_try,
	 "*lock order: write_lock of * is taken by who holds lock of base/pool.c*"},
	{"/lock-order/wrong/twice", take_twice,
	 "*lock order: write_lock of * is taken by who holds write_lock of *"},
	{"/lock-order/wrong/unknown", make_unknown, "*lock order: *has no place in it*"},
	{"/lock-order/wrong/not-held", give_back_what_is_not_held,
	 "*lock order: write_lock of * is given back by who does not hold it*"},
	{"/lock-order/wrong/wait", wait_with_a_lock,
	 "*lock order: a wait by who holds commit_lock of version/branch.c*"},
};

static void test_wrong(const void *data)
{
	const Wrong *wrong = data;
	Site site;

	if (g_test_subprocess()) {
		site_init(&site);
		wrong->act(&site);
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_failed();
	g_test_trap_assert_stderr(wrong->message);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/lock-order/right", test_right);
	g_test_add_func("/lock-order/try", test_try);
	g_test_add_func("/lock-order/threads", test_threads);
	g_test_add_func("/lock-order/locker", test_locker);
	g_test_add_func("/lock-order/cleared", test_cleared);
	g_test_add_func("/lock-order/outermost", test_outermost);
	for (size_t i = 0; i < G_N_ELEMENTS(wrongs); i++)
		g_test_add_data_func(wrongs[i].path, &wrongs[i], test_wrong);
	return g_test_run();
}
