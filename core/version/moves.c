/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves: when a key came to be what it is, if nothing was recorded for it.
 *
 * A branch's committed state changes in two ways. A commit of its own working set brings attributes
 * for what it changes. A move (a merge, a pull, a commit of loaded keys) brings contents only, many
 * at once, so it is not recorded for each of them but once: a number, a time, the commit before and
 * the one after. The time of a key is then that of the newest move that changed it, which is found
 * by looking the key up on both sides of each move, newest first; the record's own times hold if no
 * move after them did (design.md, section 5).
 *
 * A branch's first move is its birth, from nothing to the commit that it began with, at that
 * commit's time: so what it was born with keeps its time over the commits that follow.
 *
 * A look-up costs two reads of a tree for each move. The trees of a namespace on both sides of the
 * moves are kept for the namespace that was asked about last, since a listing asks for each of its
 * keys (loading them each time was two thirds of a listing); and answers that took more than two
 * moves, or were about a directory, in a bounded cache. An answer holds as long as the branch has
 * no newer move.
 *
 * Their number is bounded: the two oldest become one, with the later one's number and time, so that
 * a key may seem younger than it is, and never older.
 *
 * Locks: cache->lock is a leaf; no tree is read under it.
 */
#include "version/working-private.h"

#include <string.h>

#define MOVES_MAX 256
#define CACHE_MAX 4096 /* answers */
#define CHEAP     2    /* moves to look at that are no more work than to remember the answer */

typedef struct {
	uint64_t newest; /* the branch's last move when this was found out */
	uint64_t after;  /* the question */
	int64_t time;
	bool found;
} Answer;

/* A namespace on both sides of a move. */
typedef struct {
	bool is_known; /* else it was not loaded yet */
	bool has_from, has_to;
	ProllyTree from, to;
} Sides;

struct ProllyMoveCache {
	GMutex lock;
	char *ns;        /* whose trees SIDES are; protected by lock */
	Sides *sides;    /* of move SEQUENCE % MOVES_MAX, SEQUENCE > newest - MOVES_MAX; likewise */
	uint64_t newest; /* the branch's last move when SIDES were emptied; likewise */
	GHashTable *answers; /* GBytes (namespace, NUL, type, key) -> Answer *; protected by lock */
	ProllyCommitId head; /* whose time FALLBACK is; protected by lock */
	int64_t fallback;    /* protected by lock; 0: not known */
};

ProllyMoveCache *prolly_move_cache_new(void)
{
	ProllyMoveCache *cache = g_new0(ProllyMoveCache, 1);

	g_mutex_init(&cache->lock);
	cache->answers = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
					       (GDestroyNotify)g_bytes_unref, g_free);
	return cache;
}

void prolly_move_cache_free(ProllyMoveCache *cache)
{
	if (!cache)
		return;
	g_hash_table_unref(cache->answers);
	g_free(cache->sides);
	g_free(cache->ns);
	g_mutex_clear(&cache->lock);
	g_free(cache);
}

/* ---- Moves of a state -------------------------------------------------------------------- */

uint64_t prolly_state_get_sequence(const ProllyState *state)
{
	guint n = state->moves->len;

	return n ? g_array_index(state->moves, ProllyMove, n - 1).sequence : 0;
}

void prolly_state_add_move(ProllyState *state, const ProllyCommitId *from, const ProllyCommitId *to)
{
	ProllyMove move = {
		.sequence = prolly_state_get_sequence(state) + 1,
		.time = prolly_time_now(),
		.from = *from,
		.to = *to,
	};

	if (state->moves->len >= MOVES_MAX) {
		const ProllyMove *oldest = &g_array_index(state->moves, ProllyMove, 0);

		g_array_index(state->moves, ProllyMove, 1).from = oldest->from;
		g_array_remove_index(state->moves, 0);
	}
	g_array_append_val(state->moves, move);
}

static bool is_zero(const ProllyCommitId *id)
{
	static const ProllyCommitId zero = {{0}};

	return prolly_commit_id_equal(id, &zero);
}

static bool load_time(ProllyRepo *repo, const ProllyCommitId *id, int64_t *out_time, GError **error)
{
	g_autoptr(ProllyCommit) commit = NULL;

	if (!prolly_commit_load(repo, id, &commit, error))
		return false;
	*out_time = commit->committer.time * G_GINT64_CONSTANT(1000000000);
	return true;
}

bool prolly_state_add_birth(ProllyRepo *repo, ProllyState *state, GError **error)
{
	const ProllyCommitId nothing = {{0}};
	int64_t time;

	if (!load_time(repo, &state->head, &time, error))
		return false;
	prolly_state_add_move(state, &nothing, &state->head);
	g_array_index(state->moves, ProllyMove, state->moves->len - 1).time = time;
	return true;
}

/* ---- Did a move change a place? ---------------------------------------------------------- */

/* The tree of NS in commit ID; *OUT_HAS false if it has none. */
static bool load_tree(ProllyRepo *repo, const ProllyCommitId *id, const char *ns,
		      ProllyTree *out_tree, bool *out_has, GError **error)
{
	g_autoptr(GArray) namespaces = NULL;

	*out_has = false;
	if (is_zero(id))
		return true;
	if (!prolly_commit_load_namespaces(repo, id, &namespaces, error))
		return false;
	for (guint i = 0; i < namespaces->len && !*out_has; i++) {
		const ProllyNamespace *found = &g_array_index(namespaces, ProllyNamespace, i);

		*out_has = strcmp(found->name, ns) == 0;
		if (*out_has)
			*out_tree = found->tree;
	}
	return true;
}

static bool differs_at_key(const ProllyTreeContext *context, const ProllyTree *from,
			   const ProllyTree *to, const ProllyPlace *place, bool *out_differs,
			   GError **error)
{
	g_auto(ProllyValueRef) old = {0};
	g_auto(ProllyValueRef) new = {0};

	if (from && !prolly_tree_get(context, from, place->key, place->key_len, &old, error))
		return false;
	if (to && !prolly_tree_get(context, to, place->key, place->key_len, &new, error))
		return false;
	if (!old.node || !new.node)
		*out_differs = old.node != new.node;
	else
		*out_differs = old.len != new.len || memcmp(old.data, new.data, old.len) != 0;
	return true;
}

/* Does anything below the directory differ? */
static bool differs_below(const ProllyTreeContext *context, const ProllyTree *from,
			  const ProllyTree *to, const ProllyPlace *place, bool *out_differs,
			  GError **error)
{
	g_autoptr(ProllyDiff) diff = NULL;
	g_autofree uint8_t *upper = g_malloc(place->key_len + 1);
	size_t upper_len = prolly_db_prefix_end(place->key, place->key_len, upper);
	ProllyChange change;
	bool end;

	if (!from || !to) {
		*out_differs = from != to;
		return true;
	}
	diff = prolly_diff_new(context, from, to, place->key, place->key_len,
			       upper_len ? upper : NULL, upper_len);
	if (!prolly_diff_next(diff, &change, &end, error))
		return false;
	*out_differs = !end;
	return true;
}

/* Under the lock: makes the sides that are kept those of NS, as of move NEWEST. */
static void keep_sides_of(ProllyMoveCache *cache, const char *ns, uint64_t newest)
{
	if (cache->ns && cache->newest == newest && strcmp(cache->ns, ns) == 0)
		return;
	g_free(cache->ns);
	cache->ns = g_strdup(ns);
	cache->newest = newest;
	g_free(cache->sides);
	cache->sides = g_new0(Sides, MOVES_MAX);
}

static bool load_sides(const ProllyWorking *working, const ProllyMove *move, const char *ns,
		       Sides *out_sides, GError **error)
{
	ProllyMoveCache *cache = working->branch->moves;
	const uint64_t newest = prolly_state_get_sequence(working->state);
	Sides *kept;

	g_mutex_lock(&cache->lock);
	keep_sides_of(cache, ns, newest);
	*out_sides = cache->sides[move->sequence % MOVES_MAX];
	g_mutex_unlock(&cache->lock);
	if (out_sides->is_known)
		return true;
	if (!load_tree(working->repo, &move->from, ns, &out_sides->from, &out_sides->has_from,
		       error) ||
	    !load_tree(working->repo, &move->to, ns, &out_sides->to, &out_sides->has_to, error))
		return false;
	out_sides->is_known = true;
	g_mutex_lock(&cache->lock);
	keep_sides_of(cache, ns, newest);
	kept = &cache->sides[move->sequence % MOVES_MAX];
	*kept = *out_sides;
	g_mutex_unlock(&cache->lock);
	return true;
}

static bool compare_sides(const ProllyWorking *working, const ProllyMove *move,
			  const ProllyPlace *place, bool is_directory, bool *out_changed,
			  GError **error)
{
	const ProllyTreeContext *context = prolly_repo_get_context(working->repo);
	Sides sides;

	if (!load_sides(working, move, place->ns, &sides, error))
		return false;
	if (sides.has_from == sides.has_to &&
	    (!sides.has_from || prolly_tree_equal(&sides.from, &sides.to))) {
		*out_changed = false;
		return true;
	}
	return (is_directory ? differs_below : differs_at_key)(
		context, sides.has_from ? &sides.from : NULL, sides.has_to ? &sides.to : NULL,
		place, out_changed, error);
}

/* A commit that was reset away may have been collected since. Then the move counts as one that
 * changed everything: that makes nothing older than it is. */
static bool move_changed(const ProllyWorking *working, const ProllyMove *move,
			 const ProllyPlace *place, bool is_directory, bool *out_changed,
			 GError **error)
{
	g_autoptr(GError) local = NULL;

	if (compare_sides(working, move, place, is_directory, out_changed, &local))
		return true;
	*out_changed = prolly_error_is(local, PROLLY_ERROR_NOT_FOUND) ||
		       prolly_error_is(local, PROLLY_ERROR_MISSING);
	if (!*out_changed)
		g_propagate_error(error, g_steal_pointer(&local));
	return *out_changed;
}

/* ---- The cache --------------------------------------------------------------------------- */

static GBytes *make_cache_key(const ProllyPlace *place, bool is_directory)
{
	GByteArray *key = g_byte_array_new();

	g_byte_array_append(key, (const uint8_t *)place->ns, (guint)strlen(place->ns) + 1);
	prolly_append_u8(key, is_directory ? 'd' : 'e');
	if (place->key_len)
		g_byte_array_append(key, place->key, (guint)place->key_len);
	return g_byte_array_free_to_bytes(key);
}

static bool recall(ProllyMoveCache *cache, GBytes *key, uint64_t newest, uint64_t after,
		   Answer *out_answer)
{
	const Answer *answer;
	bool known;

	g_mutex_lock(&cache->lock);
	answer = g_hash_table_lookup(cache->answers, key);
	known = answer && answer->newest == newest && answer->after == after;
	if (known)
		*out_answer = *answer;
	g_mutex_unlock(&cache->lock);
	return known;
}

static void remember(ProllyMoveCache *cache, GBytes *key, const Answer *answer)
{
	g_mutex_lock(&cache->lock);
	if (g_hash_table_size(cache->answers) >= CACHE_MAX)
		g_hash_table_remove_all(cache->answers);
	g_hash_table_replace(cache->answers, g_bytes_ref(key), g_memdup2(answer, sizeof(*answer)));
	g_mutex_unlock(&cache->lock);
}

/* ---- Answers ----------------------------------------------------------------------------- */

static bool find_move(const ProllyWorking *working, const ProllyPlace *place, bool is_directory,
		      Answer *answer, GError **error)
{
	const GArray *moves = working->state->moves;

	for (guint i = moves->len; i-- > 0 && !answer->found;) {
		const ProllyMove *move = &g_array_index(moves, ProllyMove, i);

		if (move->sequence <= answer->after)
			break;
		answer->time = move->time;
		answer->found = is_zero(&move->from); /* whatever is there was born then */
		if (!answer->found &&
		    !move_changed(working, move, place, is_directory, &answer->found, error))
			return false;
	}
	return true;
}

bool prolly_moves_find(const ProllyWorking *working, const ProllyPlace *place, bool is_directory,
		       uint64_t after, int64_t *out_time, bool *out_found, GError **error)
{
	Answer answer = {
		.newest = prolly_state_get_sequence(working->state),
		.after = after,
	};
	bool is_cheap = !is_directory && answer.newest - MIN(after, answer.newest) <= CHEAP;
	g_autoptr(GBytes) key = NULL;

	*out_found = false;
	if (answer.newest <= after)
		return true;
	if (!is_cheap)
		key = make_cache_key(place, is_directory);
	if (is_cheap || !recall(working->branch->moves, key, answer.newest, after, &answer)) {
		if (!find_move(working, place, is_directory, &answer, error))
			return false;
		if (!is_cheap)
			remember(working->branch->moves, key, &answer);
	}
	*out_found = answer.found;
	if (answer.found)
		*out_time = answer.time;
	return true;
}

bool prolly_moves_get_fallback(const ProllyWorking *working, int64_t *out_time, GError **error)
{
	ProllyMoveCache *cache = working->branch ? working->branch->moves : NULL;
	const ProllyCommitId *head = &working->state->head;
	int64_t time = 0;

	if (cache) {
		g_mutex_lock(&cache->lock);
		if (prolly_commit_id_equal(&cache->head, head))
			time = cache->fallback;
		g_mutex_unlock(&cache->lock);
	}
	if (time == 0 && !load_time(working->repo, head, &time, error))
		return false;
	if (cache) {
		g_mutex_lock(&cache->lock);
		cache->head = *head;
		cache->fallback = time;
		g_mutex_unlock(&cache->lock);
	}
	*out_time = time;
	return true;
}
