/* SPDX-License-Identifier: Apache-2.0 */
/* What a libFuzzer program does first: a critical warning of GLib is a crash, with an input to show. */
#include "fuzz.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);

/* GLib traps, and libFuzzer takes no notice of that signal; but of this one. */
static void die(int number)
{
	abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_FATAL_MASK);
	signal(SIGTRAP, die);
	if (fuzz_start && !fuzz_start()) {
		fprintf(stderr, "this machine has not what the target needs\n");
		exit(1);
	}
	return 0;
}
