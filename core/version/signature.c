/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who makes a commit, and when: git's rules. The environment's variables, else git's configuration
 * (author.name or committer.name, user.name; the same of email) of whom the environment belongs to,
 * else EMAIL, login and host name.
 *
 * The environment may be another process's, one that sent a command to the process that has the
 * store mounted; so nothing here reads this process's own when it was given one, the home directory
 * included.
 */
#include "version/repo-private.h"

#include <pwd.h>
#include <string.h>
#include <unistd.h>

void prolly_signature_clear(ProllySignature *signature)
{
	g_clear_pointer(&signature->name, g_free);
	g_clear_pointer(&signature->email, g_free);
}

/* NULL: it is not set. */
static const char *find_variable(const char *const *environment, const char *name)
{
	return environment ? g_environ_getenv((char **)environment, name) : g_getenv(name);
}

/* NULL: it is not set, or empty. */
static const char *get_variable(const char *const *environment, const char *name)
{
	const char *value = find_variable(environment, name);

	return value && *value ? value : NULL;
}

/* What may stand in a commit's header: no brackets, no newlines, nothing git strips at the ends. */
char *prolly_signature_clean(const char *text)
{
	GString *clean = g_string_new(NULL);
	const char *start = text;
	const char *end = text + strlen(text);
	static const char crud[] = ".,:;<>\"\\'";

	while (start < end && ((unsigned char)*start <= ' ' || strchr(crud, *start)))
		start++;
	while (end > start && ((unsigned char)end[-1] <= ' ' || strchr(crud, end[-1])))
		end--;
	for (; start < end; start++)
		if (*start != '<' && *start != '>' && *start != '\n')
			g_string_append_c(clean, *start);
	return g_string_free(clean, FALSE);
}

/* Control characters of TEXT become '?'. Were there any? */
static bool mask_controls(char *text)
{
	bool found = false;

	for (; *text; text++) {
		if (g_ascii_iscntrl(*text)) {
			*text = '?';
			found = true;
		}
	}
	return found;
}

bool prolly_signature_set_person(ProllySignature *signature, const char *text, GError **error)
{
	size_t name_len = strcspn(text, "<>");
	const char *email = text + name_len + (text[name_len] != '\0');
	size_t email_len = strcspn(email, "<>");
	const char *rest = email + email_len + (email[email_len] != '\0');
	g_autofree char *name = g_strndup(text, name_len);
	g_autofree char *address = g_strndup(email, email_len);
	g_autofree char *clean = prolly_signature_clean(name);
	g_autofree char *shown = g_strdup(text);

	if (mask_controls(shown) || text[name_len] != '<' || email[email_len] != '>' ||
	    rest[strspn(rest, " ")])
		return prolly_throw(error, PROLLY_ERROR_INVALID, "%s: it should be 'NAME <EMAIL>'",
				    shown);
	if (!*clean)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "%s: nothing of '%s' can be a name", text, name);
	g_free(signature->name);
	g_free(signature->email);
	signature->name = g_steal_pointer(&clean);
	signature->email = prolly_signature_clean(address);
	return true;
}

static void tidy(char **text)
{
	char *clean = strpbrk(*text, "<>\n") ? prolly_signature_clean(*text) : NULL;

	if (!clean)
		return;
	g_free(*text);
	*text = clean;
}

void prolly_signature_tidy(ProllySignature *signature)
{
	tidy(&signature->name);
	tidy(&signature->email);
	signature->time = MAX(signature->time, 0);
}

/* A file that is missing or bad is no configuration. */
static void add_file(git_config *config, const char *dir, const char *name,
		     git_config_level_t level)
{
	g_autofree char *path = dir ? g_build_filename(dir, name, NULL) : NULL;

	if (path && g_file_test(path, G_FILE_TEST_IS_REGULAR))
		git_config_add_file_ondisk(config, path, level, NULL, 0);
}

static void add_system_files(git_config *config, const char *const *environment)
{
	const char *instead = get_variable(environment, "GIT_CONFIG_SYSTEM");
	const char *without = get_variable(environment, "GIT_CONFIG_NOSYSTEM");
	int is_without = 0;

	if (without && git_config_parse_bool(&is_without, without) == 0 && is_without)
		return;
	if (instead)
		add_file(config, "", instead, GIT_CONFIG_LEVEL_SYSTEM);
	else
		add_file(config, "/etc", "gitconfig", GIT_CONFIG_LEVEL_SYSTEM);
}

static git_config *load_git_config(const char *const *environment)
{
	const char *home = get_variable(environment, "HOME");
	const char *xdg = get_variable(environment, "XDG_CONFIG_HOME");
	const char *instead = get_variable(environment, "GIT_CONFIG_GLOBAL");
	g_autofree char *xdg_default = home ? g_build_filename(home, ".config", NULL) : NULL;
	git_config *config = NULL;

	if (git_config_new(&config) < 0)
		return NULL;
	add_system_files(config, environment);
	if (instead) {
		add_file(config, "", instead, GIT_CONFIG_LEVEL_GLOBAL);
		return config;
	}
	add_file(config, xdg ? xdg : xdg_default, "git/config", GIT_CONFIG_LEVEL_XDG);
	add_file(config, home, ".gitconfig", GIT_CONFIG_LEVEL_GLOBAL);
	return config;
}

/* (transfer full) NULL if it is not there, or nothing is left of it. */
static char *dup_configured(git_config *config, const char *name)
{
	git_buf value = {0};
	char *clean = NULL;

	if (config && git_config_get_string_buf(&value, config, name) == 0) {
		clean = prolly_signature_clean(value.ptr);
		if (*clean == '\0')
			g_clear_pointer(&clean, g_free);
	}
	git_buf_dispose(&value);
	return clean;
}

/* (transfer full) What is configured of an author or a committer, else of both. */
static char *dup_configured_person(git_config *config, bool committer, const char *name)
{
	g_autofree char *own = g_strconcat(committer ? "committer." : "author.", name, NULL);
	g_autofree char *user = g_strconcat("user.", name, NULL);
	char *value = dup_configured(config, own);

	return value ? value : dup_configured(config, user);
}

/* *OUT_NAME (transfer full) is NULL if PREFIX NAME is not set. One that is, but says nothing, is an
 * error, as in git: nobody meant that. */
static bool dup_name(const char *const *environment, const char *prefix, char **out_name,
		     GError **error)
{
	g_autofree char *variable = g_strconcat(prefix, "NAME", NULL);
	const char *value = find_variable(environment, variable);
	g_autofree char *clean = value ? prolly_signature_clean(value) : NULL;

	*out_name = NULL;
	if (value && *value == '\0')
		return prolly_throw(error, PROLLY_ERROR_INVALID, "%s: an empty name is not allowed",
				    variable);
	if (clean && *clean == '\0')
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "%s: nothing of '%s' can be a name", variable, value);
	*out_name = g_steal_pointer(&clean);
	return true;
}

/* (transfer full) NULL: PREFIX EMAIL is not set. It may be empty, as in git. */
static char *dup_email(const char *const *environment, const char *prefix)
{
	g_autofree char *variable = g_strconcat(prefix, "EMAIL", NULL);
	const char *value = find_variable(environment, variable);

	return value ? prolly_signature_clean(value) : NULL;
}

static char *dup_login(void)
{
	char buffer[4096];
	struct passwd entry;
	struct passwd *found = NULL;

	if (getpwuid_r(getuid(), &entry, buffer, sizeof(buffer), &found) == 0 && found)
		return g_strdup(found->pw_name);
	return g_strdup_printf("uid%u", (unsigned)getuid());
}

static char *dup_login_email(void)
{
	g_autofree char *login = dup_login();
	char host[256] = "localhost";

	if (gethostname(host, sizeof(host) - 1) < 0)
		host[0] = '\0';
	return g_strdup_printf("%s@%s", login, host[0] ? host : "localhost");
}

static bool init_time(ProllySignature *signature, const char *const *environment,
		      const char *prefix, GError **error)
{
	g_autofree char *name = g_strconcat(prefix, "DATE", NULL);
	const char *date = get_variable(environment, name);
	int64_t now = g_get_real_time() / G_USEC_PER_SEC;

	signature->time = now;
	signature->offset_minutes = prolly_date_get_offset(now);
	if (date && !prolly_date_parse(date, now, &signature->time, &signature->offset_minutes))
		return prolly_throw(error, PROLLY_ERROR_INVALID, "invalid date in %s: %s", name,
				    date);
	return true;
}

char *prolly_git_config_dup(const char *name, const char *const *environment)
{
	g_autoptr(git_config) config = NULL;
	git_buf value = {0};
	char *text = NULL;

	prolly_git_start();
	config = load_git_config(environment);
	if (config && git_config_get_string_buf(&value, config, name) == 0 && value.size)
		text = g_strdup(value.ptr);
	git_buf_dispose(&value);
	return text;
}

bool prolly_git_config_lists(const char *name, const char *value)
{
	g_autoptr(git_config) config = NULL;
	git_config_iterator *entries = NULL;
	git_config_entry *entry;
	bool found = false;

	prolly_git_start();
	config = load_git_config(NULL);
	if (!config || git_config_multivar_iterator_new(&entries, config, name, NULL) < 0)
		return false;
	while (!found && git_config_next(&entry, entries) == 0)
		found = g_strcmp0(entry->value, value) == 0; /* (none: NULL) */
	git_config_iterator_free(entries);
	return found;
}

bool prolly_signature_init_default(ProllySignature *out_signature, bool committer,
				   const char *const *environment, GError **error)
{
	const char *prefix = committer ? "GIT_COMMITTER_" : "GIT_AUTHOR_";
	g_auto(ProllySignature) signature = {0};
	g_autoptr(git_config) config = NULL;

	prolly_git_start();
	if (!init_time(&signature, environment, prefix, error))
		return false;
	if (!dup_name(environment, prefix, &signature.name, error))
		return false;
	signature.email = dup_email(environment, prefix);
	if (!signature.name || !signature.email)
		config = load_git_config(environment);
	if (!signature.name)
		signature.name = dup_configured_person(config, committer, "name");
	if (!signature.name)
		signature.name = dup_login();
	if (!signature.email)
		signature.email = dup_configured_person(config, committer, "email");
	if (!signature.email && get_variable(environment, "EMAIL"))
		signature.email = dup_email(environment, "");
	if (!signature.email)
		signature.email = dup_login_email();

	*out_signature = signature;
	signature = (ProllySignature){0};
	return true;
}
