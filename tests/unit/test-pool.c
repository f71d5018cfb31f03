/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool: every job is run once, by a thread or by who finishes it, whatever else is in the queue.
 */
#include "base/pool.h"

#define N_JOBS 2000

typedef struct {
	ProllyJob job;
	ProllyPool *pool;
	gint n_runs;
	unsigned depth; /* of jobs below it still to be made */
	uint64_t sum;
} Task;

/* Something to do, and a job below that somebody must do first. */
static void run_task(ProllyJob *job)
{
	Task *task = (Task *)job;
	Task below = {.job.run = run_task, .pool = task->pool, .depth = task->depth - 1};

	for (uint64_t i = 0; i < 100; i++)
		task->sum += i;
	if (task->depth > 0) {
		prolly_pool_submit(task->pool, &below.job);
		prolly_pool_finish(task->pool, &below.job);
		g_assert_cmpint(below.n_runs, ==, 1);
		task->sum += below.sum;
	}
	task->n_runs++;
}

static void test_jobs(void)
{
	g_autoptr(ProllyPool) pool = prolly_pool_new();
	g_autofree Task *tasks = g_new0(Task, N_JOBS);

	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < N_JOBS; i++) {
			tasks[i] = (Task){.job.run = run_task, .pool = pool, .depth = i % 4};
			prolly_pool_submit(pool, &tasks[i].job);
		}
		/* In an order that is neither that of the queue nor its reverse. */
		for (unsigned i = 0; i < N_JOBS; i++) {
			Task *task = &tasks[i * 7 % N_JOBS];

			prolly_pool_finish(pool, &task->job);
			g_assert_true(prolly_pool_is_done(pool, &task->job));
			g_assert_cmpint(task->n_runs, ==, 1);
			g_assert_cmpuint(task->sum, ==, 4950 * (task->depth + 1));
		}
	}
}

static void count_call(void *data)
{
	g_atomic_int_inc((gint *)data);
}

/* What nobody waits for is run some time, or dropped with the pool; never after it. */
static void test_calls(void)
{
	ProllyPool *pool = prolly_pool_new();
	gint n = 0, n_at_end;

	prolly_pool_call(pool, count_call, &n);
	while (!g_atomic_int_get(&n))
		g_thread_yield();
	for (unsigned i = 0; i < N_JOBS; i++)
		prolly_pool_call(pool, count_call, &n);
	prolly_pool_free(pool);
	n_at_end = g_atomic_int_get(&n);
	g_assert_cmpint(n_at_end, >=, 1);
	g_assert_cmpint(n_at_end, <=, N_JOBS + 1);
}

static gpointer run_user(gpointer data)
{
	ProllyPool *pool = data;
	Task tasks[50];

	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < G_N_ELEMENTS(tasks); i++) {
			tasks[i] = (Task){.job.run = run_task, .pool = pool, .depth = i % 3};
			prolly_pool_submit(pool, &tasks[i].job);
		}
		for (unsigned i = G_N_ELEMENTS(tasks); i-- > 0;) {
			prolly_pool_finish(pool, &tasks[i].job);
			g_assert_cmpint(tasks[i].n_runs, ==, 1);
		}
	}
	return NULL;
}

static void test_users(void)
{
	g_autoptr(ProllyPool) pool = prolly_pool_new();
	GThread *threads[4];

	for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
		threads[i] = g_thread_new("user", run_user, pool);
	for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
		g_thread_join(threads[i]);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pool/jobs", test_jobs);
	g_test_add_func("/pool/calls", test_calls);
	g_test_add_func("/pool/users", test_users);
	return g_test_run();
}
