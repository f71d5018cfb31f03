/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-store: init, root and stats: the store as a whole.
 *
 * root is what a commit now would give, without making it: two stores, branches or revisions hold
 * the same exactly if their roots are equal.
 */

#include "command/command-private.h"

/* ---- init -------------------------------------------------------------------------------- */

static bool run_init(ProllyCommand *command, GError **error)
{
	const char *store = prolly_command_argument(command, 0);
	ProllyRepoInitOptions options = {.default_branch = command->branch_name};
	g_autoptr(GString) json = g_string_new(NULL);

	if (!prolly_repo_init(store, &options, error))
		return false;
	if (command->json) {
		prolly_json_begin(json, NULL, '{');
		prolly_json_add_text(json, "store", store);
		prolly_json_add_text(json, "branch",
				     command->branch_name ? command->branch_name : "main");
		prolly_json_end(json, '}');
		prolly_command_print_json(command, json);
	} else if (!command->quiet) {
		prolly_command_print(command, "Initialized empty store %s\n", store);
	}
	return true;
}

/* ---- root -------------------------------------------------------------------------------- */

static void print_root(ProllyCommand *command, const char *ns,
		       const ProllyNamespaceFigures *figures)
{
	char hex[PROLLY_HASH_HEX_SIZE];
	g_autoptr(GString) json = g_string_new(NULL);

	if (!command->json) {
		prolly_command_print(command, "%s\n", prolly_hash_to_hex(&figures->root, hex));
		return;
	}
	prolly_json_begin(json, NULL, '{');
	if (ns)
		prolly_json_add_text(json, "namespace", ns);
	else
		prolly_json_add_null(json, "namespace");
	prolly_json_add_hash(json, "root", &figures->root);
	prolly_json_add_number(json, "keys", figures->keys);
	prolly_json_add_number(json, "bytes", figures->bytes);
	prolly_json_end(json, '}');
	prolly_command_print_json(command, json);
}

static bool run_root(ProllyCommand *command, GError **error)
{
	const char *argument = prolly_command_argument(command, 0);
	char name[PROLLY_NAMESPACE_MAX + 1];
	const char *ns = argument ? name : NULL;
	g_autoptr(ProllyView) view = NULL;
	ProllyNamespaceFigures figures = {0};
	bool has = true;

	if (argument && !prolly_command_parse_namespace(argument, name, error))
		return false;
	if (!prolly_command_open_view(command, &view, error) ||
	    (ns && *ns && !prolly_view_has_namespace(view, ns, &has, error)))
		return false;
	if (!has)
		return prolly_command_answer_no(command, "%s: no such namespace", argument);
	if (!prolly_view_get_figures(view, ns, &figures, error))
		return false;
	print_root(command, ns, &figures);
	return true;
}

/* ---- stats ------------------------------------------------------------------------------- */

static double get_hit_rate(const ProllyStoreFigures *figures)
{
	uint64_t all = figures->cache_hits + figures->cache_misses;
	return all ? (double)figures->cache_hits / (double)all : 0;
}

static void add_store_json(ProllyCommand *command, GString *json, const ProllyStoreFigures *figures)
{
	const ProllyTreeContext *context = prolly_repo_get_context(command->repo);
	const char *path = prolly_repo_get_path(command->repo);

	prolly_json_add_text(json, "store", path ? path : ":memory:");
	prolly_json_add_text(json, "backend",
			     prolly_backend_kind_to_text(prolly_store_get_kind(context->store)));
	prolly_json_add_number(json, "nodes", figures->nodes);
	prolly_json_add_number(json, "bytes", figures->bytes);
	prolly_json_begin(json, "cache", '{');
	prolly_json_add_number(json, "capacity", figures->cache_capacity);
	prolly_json_add_number(json, "bytes", figures->cache_bytes);
	prolly_json_add_number(json, "hits", figures->cache_hits);
	prolly_json_add_number(json, "misses", figures->cache_misses);
	prolly_json_add_number(json, "evictions", figures->cache_evictions);
	prolly_json_add_fraction(json, "hit_rate", get_hit_rate(figures));
	prolly_json_end(json, '}');
}

/* What a collection waits for. */
static void add_balance_json(GString *json, const ProllyGcBalance *balance)
{
	prolly_json_begin(json, "gc", '{');
	prolly_json_add_bool(json, "automatic", balance->is_enabled);
	prolly_json_add_number(json, "written", balance->written);
	prolly_json_add_number(json, "limit", balance->limit);
	prolly_json_add_number(json, "packs", balance->packs);
	prolly_json_add_number(json, "pack_limit", balance->pack_limit);
	prolly_json_add_number(json, "collections", balance->collections);
	prolly_json_end(json, '}');
}

static void print_balance_text(ProllyCommand *command, const ProllyGcBalance *balance)
{
	prolly_command_print(command,
			     "gc               %" G_GUINT64_FORMAT " so far; %" G_GUINT64_FORMAT
			     " bytes written since; ",
			     balance->collections, balance->written);
	if (balance->is_enabled)
		prolly_command_print(command, "automatic at %" G_GUINT64_FORMAT "\n",
				     balance->limit);
	else
		prolly_command_print(command, "not automatic\n");
}

static void add_namespace_json(GString *json, const char *name,
			       const ProllyNamespaceFigures *figures)
{
	prolly_json_begin(json, NULL, '{');
	prolly_json_add_text(json, "name", name);
	prolly_json_add_number(json, "keys", figures->keys);
	prolly_json_add_number(json, "bytes", figures->bytes);
	prolly_json_add_hash(json, "root", &figures->root);
	prolly_json_add_number(json, "height", figures->height);
	prolly_json_end(json, '}');
}

static void print_store_text(ProllyCommand *command, const ProllyStoreFigures *figures)
{
	const ProllyTreeContext *context = prolly_repo_get_context(command->repo);
	const char *path = prolly_repo_get_path(command->repo);

	prolly_command_print(command, "store            %s\n", path ? path : ":memory:");
	prolly_command_print(command, "back end         %s\n",
			     prolly_backend_kind_to_text(prolly_store_get_kind(context->store)));
	prolly_command_print(command, "nodes            %" G_GUINT64_FORMAT "\n", figures->nodes);
	prolly_command_print(command, "bytes            %" G_GUINT64_FORMAT "\n", figures->bytes);
	prolly_command_print(command, "cache capacity   %" G_GUINT64_FORMAT "\n",
			     figures->cache_capacity);
	prolly_command_print(command, "cache bytes      %" G_GUINT64_FORMAT "\n",
			     figures->cache_bytes);
	prolly_command_print(command, "cache hits       %" G_GUINT64_FORMAT "\n",
			     figures->cache_hits);
	prolly_command_print(command, "cache misses     %" G_GUINT64_FORMAT "\n",
			     figures->cache_misses);
	prolly_command_print(command, "cache evictions  %" G_GUINT64_FORMAT "\n",
			     figures->cache_evictions);
	prolly_command_print(command, "cache hit rate   %d%%\n",
			     (int)(get_hit_rate(figures) * 100));
}

static void print_namespace_text(ProllyCommand *command, const char *name,
				 const ProllyNamespaceFigures *figures)
{
	char shown[PROLLY_NAME_MAX + 1] = ".", hex[PROLLY_HASH_HEX_SIZE];
	if (*name)
		prolly_keypath_namespace_to_name(name, shown);
	prolly_command_print(command,
			     "namespace        %s: %" G_GUINT64_FORMAT " key%s, %" G_GUINT64_FORMAT
			     " bytes, height %u, root %.16s\n",
			     shown, figures->keys, figures->keys == 1 ? "" : "s", figures->bytes,
			     figures->height, prolly_hash_to_hex(&figures->root, hex));
}

static bool run_stats(ProllyCommand *command, GError **error)
{
	const ProllyTreeContext *context = prolly_repo_get_context(command->repo);
	g_autoptr(ProllyView) view = NULL;
	g_autoptr(GPtrArray) names = NULL;
	g_autoptr(GString) json = g_string_new(NULL);
	ProllyStoreFigures figures = {0};
	ProllyGcBalance balance;

	if (!prolly_command_open_view(command, &view, error) ||
	    !prolly_view_list_namespaces(view, &names, error) ||
	    !prolly_store_get_figures(context->store, &figures, error) ||
	    !prolly_gc_get_balance(command->repo, 1, &balance, error))
		return false;
	prolly_json_begin(json, NULL, '{');
	add_store_json(command, json, &figures);
	add_balance_json(json, &balance);
	prolly_json_begin(json, "namespaces", '[');
	if (!command->json) {
		print_store_text(command, &figures);
		print_balance_text(command, &balance);
	}
	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		ProllyNamespaceFigures of_one = {0};
		if (!prolly_view_get_figures(view, name, &of_one, error))
			return false;
		add_namespace_json(json, name, &of_one);
		if (!command->json)
			print_namespace_text(command, name, &of_one);
	}
	prolly_json_end(json, ']');
	prolly_json_end(json, '}');
	if (command->json)
		prolly_command_print_json(command, json);
	return true;
}

/* ---- Tables ------------------------------------------------------------------------------ */

const ProllyCommandSpec prolly_cmd_init = {
	.name = "init",
	.arguments = "[--branch NAME] STORE",
	.summary = "make an empty store with an initial commit",
	.min_arguments = 1,
	.max_arguments = 1,
	.flags = PROLLY_COMMAND_NO_STORE | PROLLY_COMMAND_WORKING,
	.run = run_init,
};

const ProllyCommandSpec prolly_cmd_root = {
	.name = "root",
	.arguments = "[NS]",
	.summary = "print the root hash of a namespace's tree, or over all",
	.max_arguments = 1,
	.run = run_root,
};

const ProllyCommandSpec prolly_cmd_stats = {
	.name = "stats",
	.arguments = "",
	.summary = "show figures of the store, the cache and the namespaces",
	.run = run_stats,
};
