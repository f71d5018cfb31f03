/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The account: is a collection worth it? Said from what is counted anyway, without a look at what
 * there is.
 *
 * What is written makes garbage, or lets the store grow; so as much as the last collection left
 * (prollyfs.gcPercent of it) has to be written before the next, and prollyfs.gcSize at least. Then
 * collections take time in proportion to what was written, however large the store is. Two more
 * reasons: packs of the git repository that slow down who looks for an object (gc.autoPackLimit),
 * and a branch that was deleted so long ago that its commits need not stay any more
 * (gc.pruneExpire), for which one a day has to do.
 *
 * The counts are of the store (store-written.c) since it was opened; closing adds them to the
 * record in META, a crash may lose them, which does no harm. Records:
 *
 *     gc/account     byte version 1, then le64: bytes written since the last collection, bytes that
 *                    it left, packs that it left, when it ended (seconds), how many there were
 *     gc/abandoned   le64: since when (seconds) there are commits of a branch that was deleted
 *
 * One that cannot be read counts as none: nothing but the time of the next collection depends on it.
 *
 * Locks: `lock` is a leaf, since the store calls touch under its own.
 */
#include "version/gc-private.h"

#include <string.h>

#define DEFAULT_SIZE       (UINT64_C(256) << 20)
#define DEFAULT_PERCENT    100
#define DEFAULT_PACK_LIMIT 50
#define SAVE_EVERY         (UINT64_C(64) << 20)
#define DAY                (24 * 60 * 60)

#define VERSION     1
#define N_NUMBERS   5
#define RECORD_SIZE (1 + 8 * N_NUMBERS)

static const char account_key[] = "gc/account";
static const char abandoned_key[] = "gc/abandoned";

struct ProllyGcAccount {
	ProllyRepoBody *body; /* its own */
	GMutex lock;          /* protects all below */
	GCond touched;
	bool is_touched;
	uint64_t carried; /* bytes written since the last collection, at ... */
	uint64_t base;    /* ... so many of the store's count */
	uint64_t saved;   /* the same count at the last save */
	bool is_changed;  /* since the last save, by more than that count */
	uint64_t live;
	uint64_t packs;
	uint64_t last;
	uint64_t collections;
	uint64_t abandoned; /* 0: none is */
};

/* Seconds. */
static uint64_t get_time(void)
{
	return (uint64_t)(g_get_real_time() / G_USEC_PER_SEC);
}

/* ---- Records ----------------------------------------------------------------------------- */

static bool load_record(ProllyRepoBody *body, const char *key, size_t size, GBytes **out_record,
			GError **error)
{
	if (!prolly_db_get(body->db, PROLLY_DB_META, NULL, key, strlen(key), out_record, error))
		return false;
	if (*out_record && g_bytes_get_size(*out_record) != size)
		g_clear_pointer(out_record, g_bytes_unref);
	return true;
}

static void decode_account(ProllyGcAccount *self, const uint8_t *record)
{
	if (record[0] != VERSION)
		return;
	self->carried = prolly_get_le64(record + 1);
	self->live = prolly_get_le64(record + 9);
	self->packs = prolly_get_le64(record + 17);
	self->last = prolly_get_le64(record + 25);
	self->collections = prolly_get_le64(record + 33);
}

bool prolly_gc_account_open(ProllyRepoBody *body, GError **error)
{
	ProllyGcAccount *self = g_new0(ProllyGcAccount, 1);
	g_autoptr(GBytes) record = NULL;
	g_autoptr(GBytes) abandoned = NULL;

	body->gc_account = self;
	self->body = body;
	g_mutex_init(&self->lock);
	g_cond_init(&self->touched);
	if (!load_record(body, account_key, RECORD_SIZE, &record, error) ||
	    !load_record(body, abandoned_key, 8, &abandoned, error))
		return false;
	if (record)
		decode_account(self, g_bytes_get_data(record, NULL));
	if (abandoned)
		self->abandoned = prolly_get_le64(g_bytes_get_data(abandoned, NULL));
	return true;
}

/* Under the lock; WRITTEN is the store's count. */
static void put_account(ProllyGcAccount *self, uint64_t written, ProllyDbBatch *batch)
{
	const uint64_t numbers[N_NUMBERS] = {self->carried + (written - self->base), self->live,
					     self->packs, self->last, self->collections};
	uint8_t record[RECORD_SIZE] = {VERSION};

	for (int i = 0; i < N_NUMBERS; i++)
		prolly_set_le64(record + 1 + 8 * i, numbers[i]);
	prolly_db_batch_put(batch, PROLLY_DB_META, account_key, strlen(account_key), record,
			    sizeof(record));
	self->saved = written;
	self->is_changed = false;
}

bool prolly_gc_account_save(ProllyRepoBody *body, GError **error)
{
	ProllyGcAccount *self = body->gc_account;
	uint64_t written = prolly_store_get_written(body->store);
	g_autoptr(ProllyDbBatch) batch = NULL;

	g_mutex_lock(&self->lock);
	if (written != self->saved || self->is_changed) {
		batch = prolly_db_batch_new(body->db);
		put_account(self, written, batch);
	}
	g_mutex_unlock(&self->lock);
	return !batch || prolly_db_write(body->db, batch, PROLLY_DB_BUFFERED, error);
}

void prolly_gc_account_close(ProllyRepoBody *body)
{
	ProllyGcAccount *self = g_steal_pointer(&body->gc_account);

	if (!self)
		return;
	g_mutex_clear(&self->lock);
	g_cond_clear(&self->touched);
	g_free(self);
}

/* ---- What happens ------------------------------------------------------------------------ */

static void touch(void *account)
{
	ProllyGcAccount *self = account;

	g_mutex_lock(&self->lock);
	self->is_touched = true;
	g_cond_signal(&self->touched);
	g_mutex_unlock(&self->lock);
}

void prolly_gc_account_touch(ProllyRepoBody *body)
{
	if (body->gc_account)
		touch(body->gc_account);
}

bool prolly_gc_account_wait(ProllyRepoBody *body, int64_t until)
{
	ProllyGcAccount *self = body->gc_account;
	bool is_touched;

	g_mutex_lock(&self->lock);
	while (!self->is_touched && (until < 0 || g_get_monotonic_time() < until)) {
		if (until < 0)
			g_cond_wait(&self->touched, &self->lock);
		else
			g_cond_wait_until(&self->touched, &self->lock, until);
	}
	is_touched = self->is_touched;
	self->is_touched = false;
	g_mutex_unlock(&self->lock);
	return is_touched;
}

/* Under the lock. */
static void put_abandoned(ProllyGcAccount *self, ProllyDbBatch *batch)
{
	uint8_t record[8];

	prolly_set_le64(record, self->abandoned);
	if (self->abandoned)
		prolly_db_batch_put(batch, PROLLY_DB_META, abandoned_key, strlen(abandoned_key),
				    record, sizeof(record));
	else
		prolly_db_batch_delete(batch, PROLLY_DB_META, abandoned_key, strlen(abandoned_key));
}

void prolly_gc_account_abandon(ProllyRepoBody *body, ProllyDbBatch *batch)
{
	ProllyGcAccount *self = body->gc_account;

	g_mutex_lock(&self->lock);
	if (!self->abandoned)
		self->abandoned = get_time();
	put_abandoned(self, batch);
	g_mutex_unlock(&self->lock);
}

void prolly_gc_account_settle(ProllyGc *gc, uint64_t written, uint64_t live)
{
	ProllyGcAccount *self = gc->body->gc_account;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(gc->body->db);
	uint64_t written_now = prolly_store_get_written(gc->body->store);
	uint64_t packs = prolly_git_count_packs(gc->body->git->dir);

	g_mutex_lock(&self->lock);
	self->carried = 0;
	self->base = written;
	self->live = live;
	self->packs = packs;
	self->last = get_time();
	self->collections++;
	/* What stays for its youth is of now at the latest. */
	self->abandoned = g_hash_table_size(gc->kept[PROLLY_GC_YOUNG]) > 0 ? self->last : 0;
	put_account(self, written_now, batch);
	put_abandoned(self, batch);
	g_mutex_unlock(&self->lock);
	(void)prolly_db_write(gc->body->db, batch, PROLLY_DB_BUFFERED, NULL);
	touch(self);
}

void prolly_gc_account_postpone(ProllyRepoBody *body)
{
	ProllyGcAccount *self = body->gc_account;
	uint64_t written = prolly_store_get_written(body->store);
	uint64_t packs = prolly_git_count_packs(body->git->dir);

	g_mutex_lock(&self->lock);
	self->carried = 0;
	self->base = written;
	self->packs = packs;
	self->last = get_time();
	self->is_changed = true;
	g_mutex_unlock(&self->lock);
}

/* ---- The decision ------------------------------------------------------------------------ */

typedef struct {
	bool is_enabled;
	uint64_t size;
	uint64_t percent;
	uint64_t pack_limit; /* 0: any number */
	int64_t prune_before;
} Settings;

/* A number as git writes it ("256m"); *OUT_NUMBER is left if it is not configured. */
static bool get_number(ProllyRepoBody *body, const char *name, uint64_t *out_number, GError **error)
{
	g_autofree char *text = prolly_gc_dup_configured(body, name);
	int64_t number;

	if (!text)
		return true;
	if (git_config_parse_int64(&number, text) < 0 || number < 0)
		return prolly_throw(error, PROLLY_ERROR_INVALID, "%s: '%s' is not a number", name,
				    text);
	*out_number = (uint64_t)number;
	return true;
}

static bool load_settings(ProllyRepoBody *body, Settings *out, GError **error)
{
	uint64_t automatic = 1;

	*out = (Settings){
		.size = DEFAULT_SIZE, .percent = DEFAULT_PERCENT, .pack_limit = DEFAULT_PACK_LIMIT};
	if (!get_number(body, "gc.auto", &automatic, error) ||
	    !get_number(body, "prollyfs.gcSize", &out->size, error) ||
	    !get_number(body, "prollyfs.gcPercent", &out->percent, error) ||
	    !get_number(body, "gc.autoPackLimit", &out->pack_limit, error))
		return false;
	out->is_enabled = automatic != 0;
	return prolly_gc_get_grace(body, &out->prune_before, error);
}

/* PERCENT of LIVE, and SIZE at least. */
static uint64_t make_limit(const Settings *settings, uint64_t live, unsigned patience)
{
	double limit = (double)live / 100 * (double)settings->percent;

	limit = MAX(limit, (double)settings->size) * patience;
	return limit < (double)G_MAXINT64 ? (uint64_t)limit : G_MAXINT64;
}

static bool is_due(const ProllyGcAccount *self, const Settings *settings,
		   const ProllyGcBalance *balance)
{
	if (!settings->is_enabled)
		return false;
	if (balance->written > 0 && balance->written >= balance->limit)
		return true;
	if (balance->pack_limit > 0 && balance->packs >= balance->pack_limit)
		return true;
	return self->abandoned && (int64_t)self->abandoned < settings->prune_before &&
	       get_time() >= self->last + DAY;
}

bool prolly_gc_get_balance(ProllyRepo *repo, unsigned patience, ProllyGcBalance *out_balance,
			   GError **error)
{
	ProllyGcAccount *self = repo->body->gc_account;
	uint64_t written = prolly_store_get_written(repo->body->store);
	uint64_t packs = prolly_git_count_packs(repo->body->git->dir);
	Settings settings;

	if (!load_settings(repo->body, &settings, error))
		return false;
	g_mutex_lock(&self->lock);
	*out_balance = (ProllyGcBalance){
		.is_enabled = settings.is_enabled,
		.written = self->carried + (written - self->base),
		.limit = make_limit(&settings, self->live, patience),
		.packs = packs - MIN(packs, self->packs),
		.pack_limit = settings.pack_limit * patience,
		.last = (int64_t)self->last,
		.collections = self->collections,
	};
	out_balance->is_due = is_due(self, &settings, out_balance);
	g_mutex_unlock(&self->lock);
	return true;
}

void prolly_gc_account_watch(ProllyRepoBody *body, const ProllyGcBalance *balance)
{
	ProllyGcAccount *self = body->gc_account;
	uint64_t mark;

	g_mutex_lock(&self->lock);
	mark = self->saved + SAVE_EVERY;
	/* Of the store's count, whatever has come since BALANCE was struck. */
	if (!balance->is_due && self->carried < balance->limit)
		mark = MIN(mark, self->base + (balance->limit - self->carried));
	g_mutex_unlock(&self->lock);
	prolly_store_watch_written(body->store, mark, touch, self);
}

void prolly_gc_account_unwatch(ProllyRepoBody *body)
{
	prolly_store_watch_written(body->store, UINT64_MAX, NULL, NULL);
}
