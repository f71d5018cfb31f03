/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cmd-proof: prove and verify-proof: that a key is there with its value, or is not there, shown to
 * who has nothing but the root hash of its namespace.
 *
 * prove answers for the tree whose root `root NS` prints. verify-proof runs where the proof's file
 * is, and opens no store: what it believes are ROOT, PATH and VALUE. A PATH is turned into a key by
 * the rules of names alone, which need no store (keypath.h); both NAME and NAME%prolly-key are the
 * key NAME. A VALUE is stored as the proof's format says, in a store that is thrown away, and
 * compared with the proven entry: a long one is a hash there, which only the same content gives.
 */

#include "base/memory.h"
#include "command/command-private.h"
#include "tree/proof.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PIECE     (64u * 1024)
#define JSON_ROOM 4096u /* for what is around a proof, but for a long key */

/* ---- prove ------------------------------------------------------------------------------- */

/* What is proved, and against which root. */
typedef struct {
	ProllyPlace place;
	ProllyHash root;
	GBytes *proof;
} Proof;

static void add_place(GString *json, const ProllyPlace *place)
{
	prolly_json_add_text(json, "namespace", place->ns);
	prolly_json_add_bytes(json, "key", place->key, place->key_len);
}

static bool print_proof(ProllyCommand *command, const Proof *proof, GError **error)
{
	g_autoptr(GString) json = g_string_new(NULL);
	size_t len;
	const void *bytes = g_bytes_get_data(proof->proof, &len);

	if (!command->json) {
		prolly_command_write(command, bytes, len);
		return true;
	}
	if (!prolly_try_reserve_text(json, 2 * len + JSON_ROOM, "the proof", error))
		return false;
	prolly_json_begin(json, NULL, '{');
	add_place(json, &proof->place);
	prolly_json_add_hash(json, "root", &proof->root);
	prolly_json_add_bytes(json, "proof", bytes, len);
	prolly_json_end(json, '}');
	prolly_command_print_json(command, json);
	return true;
}

/* Which key ARGUMENT means: as for get, but that it need not be there. */
static bool find_place(ProllyCommand *command, ProllyView *view, const char *argument,
		       ProllyTarget *out_target, GError **error)
{
	if (!prolly_target_init_key(command, view, argument, out_target, error))
		return false;
	if (out_target->key.ns)
		return true;
	prolly_target_clear(out_target);
	*out_target = (ProllyTarget){0};
	return prolly_throw(error, PROLLY_ERROR_INVALID, "%s: no key can be there", argument);
}

static bool make_proof(ProllyRepo *repo, ProllyView *view, Proof *proof, GError **error)
{
	const ProllyTreeContext *context = prolly_repo_get_context(repo);
	g_auto(ProllyGuard) guard = prolly_guard_enter(repo);
	ProllyKey key = {proof->place.key, proof->place.key_len};
	ProllyProofQuery query = {.keys = &key, .n = 1};
	ProllyTree tree;

	if (!prolly_view_get_tree(view, proof->place.ns, &tree, error))
		return false;
	prolly_tree_get_root(context->format, &tree, &proof->root);
	return prolly_proof_make(context, &tree, &query, &proof->proof, error);
}

static bool run_prove(ProllyCommand *command, GError **error)
{
	const char *argument = prolly_command_argument(command, 0);
	g_autoptr(ProllyView) view = NULL;
	g_auto(ProllyTarget) target = {0};
	Proof proof = {0};
	bool has = true;

	if (!prolly_command_open_view(command, &view, error) ||
	    !find_place(command, view, argument, &target, error))
		return false;
	proof.place = target.key;
	if (*proof.place.ns && !prolly_view_has_namespace(view, proof.place.ns, &has, error))
		return false;
	if (!has)
		return prolly_command_answer_no(command, "%s: no such namespace", argument);
	if (!make_proof(command->repo, view, &proof, error))
		return false;
	bool ok = print_proof(command, &proof, error);
	g_bytes_unref(proof.proof);
	return ok;
}

/* ---- verify-proof ------------------------------------------------------------------------ */

/* (transfer full) What is in FILE. One that is longer than any proof is cut off behind that. */
static bool read_file(const char *file, GBytes **out_bytes, GError **error)
{
	prolly_autofd int fd = open(file, O_RDONLY | O_CLOEXEC);
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	ssize_t got = fd < 0 ? -1 : 1;

	while (got > 0 && bytes->len <= PROLLY_PROOF_MAX) {
		guint len = bytes->len;

		if (!prolly_try_reserve(&bytes, PIECE, "the proof", error))
			return false;
		g_byte_array_set_size(bytes, len + PIECE);
		do
			got = read(fd, bytes->data + len, PIECE);
		while (got < 0 && errno == EINTR);
		g_byte_array_set_size(bytes, len + (guint)MAX(got, 0));
	}
	if (got < 0)
		return prolly_throw_errno(error, errno, "%s", file);
	*out_bytes = g_byte_array_free_to_bytes(g_steal_pointer(&bytes));
	return true;
}

/* Is VALUE the content of STORED, the value of an entry under PARAMETERS? */
static bool is_value(const ProllyFormatParameters *parameters, const char *value,
		     const ProllyProofEntry *entry, bool *out_is, GError **error)
{
	g_autoptr(ProllyFormat) format = NULL;
	g_autoptr(ProllyStore) store = NULL;
	g_autoptr(GBytes) expected = NULL;
	g_autoptr(GBytes) stored = g_bytes_new_static(entry->value, entry->value_len);
	ProllyValue parsed;

	if (!prolly_value_parse(entry->value, entry->value_len, &parsed, error) ||
	    !prolly_format_new(parameters, prolly_value_weigh, &format, error))
		return false;
	store = prolly_store_new_memory();
	ProllyTreeContext context = {store, format};
	if (!prolly_value_store(&context, parsed.kind, value, strlen(value), &expected, error))
		return false;
	*out_is = g_bytes_equal(expected, stored);
	return true;
}

static bool print_answer(ProllyCommand *command, const ProllyPlace *place, ProllyProof *proof,
			 const ProllyProofEntry *entry, GError **error)
{
	const char *result = entry->value ? "present" : "absent";
	const ProllyTree *tree = prolly_proof_get_tree(proof);
	g_autoptr(GString) json = g_string_new(NULL);
	ProllyValue value;

	if (!command->json) {
		prolly_command_print(command, "%s\n", result);
		return true;
	}
	prolly_json_begin(json, NULL, '{');
	prolly_json_add_text(json, "result", result);
	add_place(json, place);
	if (entry->value) {
		if (!prolly_value_parse(entry->value, entry->value_len, &value, error))
			return false;
		if (value.is_blob) {
			prolly_json_begin(json, "value", '{');
			prolly_json_add_number(json, "size", value.length);
			prolly_json_add_hash(json, "hash", &value.blob.hash);
			prolly_json_end(json, '}');
		} else {
			prolly_json_add_bytes(json, "value", value.data, value.length);
		}
	}
	prolly_json_add_number(json, "rank", entry->rank);
	prolly_json_add_number(json, "keys", tree->keys);
	prolly_json_end(json, '}');
	prolly_command_print_json(command, json);
	return true;
}

/* The answer that FILE proves for PLACE; a proof that does not hold is an answer too: no. */
static bool check_proof(ProllyCommand *command, const ProllyHash *root, const ProllyPlace *place,
			GBytes *bytes, GError **error)
{
	const char *file = prolly_command_argument(command, 2);
	const char *value = prolly_command_argument(command, 3);
	ProllyKey key = {place->key, place->key_len};
	ProllyProofQuery query = {.keys = &key, .n = 1};
	g_autoptr(ProllyProof) proof = NULL;
	g_autoptr(GError) flaw = NULL;
	ProllyProofEntry entry;
	bool is_so = true;

	if (!prolly_proof_verify(bytes, root, &query, prolly_value_weigh, &proof, &flaw))
		return prolly_command_answer_no(command, "%s: %s", file, flaw->message);
	prolly_proof_next(proof, &entry);
	if (value && !entry.value)
		return prolly_command_answer_no(command, "%s: it proves that the key is absent",
						file);
	if (value && !is_value(prolly_proof_get_parameters(proof), value, &entry, &is_so, error))
		return false;
	if (!is_so)
		return prolly_command_answer_no(command, "%s: it proves another value", file);
	return print_answer(command, place, proof, &entry, error);
}

static bool run_verify(ProllyCommand *command, GError **error)
{
	const char *root_text = prolly_command_argument(command, 0);
	const char *argument = prolly_command_argument(command, 1);
	g_auto(ProllyPath) path = {0};
	g_autoptr(GBytes) bytes = NULL;
	ProllyHash root;

	if (!prolly_hash_from_hex(root_text, &root))
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "%s: not a root hash, which is 64 hexadecimal digits",
				    root_text);
	if (!prolly_command_parse_path(command, argument, &path, error))
		return false;
	if (!path.key)
		return prolly_throw(error, PROLLY_ERROR_INVALID, "%s: no key can be there",
				    argument);
	if (!read_file(prolly_command_argument(command, 2), &bytes, error))
		return false;
	ProllyPlace place = {.ns = path.key_namespace};
	place.key = g_bytes_get_data(path.key, &place.key_len);
	return check_proof(command, &root, &place, bytes, error);
}

/* ---- Tables ------------------------------------------------------------------------------ */

const ProllyCommandSpec prolly_cmd_prove = {
	.name = "prove",
	.arguments = "PATH",
	.summary = "write a proof of a key's value, or of its absence",
	.min_arguments = 1,
	.max_arguments = 1,
	.run = run_prove,
};

const ProllyCommandSpec prolly_cmd_verify = {
	.name = "verify-proof",
	.arguments = "ROOT PATH FILE [VALUE]",
	.summary = "check a proof against a root hash, without a store",
	.min_arguments = 3,
	.max_arguments = 4,
	.flags = PROLLY_COMMAND_NO_STORE | PROLLY_COMMAND_PATHS,
	.run = run_verify,
};
