/* SPDX-License-Identifier: Apache-2.0 */
/* A file of its own, since core/tree's private names are not those of core/version. */
#include "version-fresh.h"

#include "blob/blob.h"
#include "tree-model.h"

struct Fresh {
	TreeTest test;
};

Fresh *fresh_new(bool tiny)
{
	Fresh *self = g_new0(Fresh, 1);

	tree_test_start_weighing(&self->test, tiny ? tiny_parameters() : default_parameters(),
				 prolly_value_weigh);
	return self;
}

void fresh_free(Fresh *self)
{
	tree_test_stop(&self->test);
	g_free(self);
}

const ProllyFormatParameters *fresh_get_parameters(const Fresh *self)
{
	return prolly_format_get_parameters(self->test.format);
}

const ProllyTreeContext *fresh_get_context(const Fresh *self)
{
	return &self->test.context;
}

void fresh_check(const Fresh *self, const ProllyTreeContext *context, const ProllyTree *tree,
		 const ProllyEdit *entries, size_t n)
{
	g_autoptr(GTree) contents = model_new();

	for (size_t i = 0; i < n; i++)
		model_set(contents, g_bytes_new(entries[i].key, entries[i].key_len),
			  g_bytes_new(entries[i].value, entries[i].value_len));
	assert_contents(context, tree, contents);
	assert_canonical(&self->test.context, tree, contents);
}
