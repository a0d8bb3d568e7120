#include "cli/plugin.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/context_store.h"
#include "cli/program.h"
#include "cli/settings.h"
#include "codec/json.h"

#include "base/banned.h"

#define PREFIX           "docker-"
#define METADATA         "docker-cli-plugin-metadata"
#define ORIGINAL_COMMAND "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND"
#define COMPLETE         "__complete"

static void plugin_done(struct plugin *plugin)
{
    char *texts[] = { plugin->name,    plugin->path,    plugin->vendor,
                      plugin->version, plugin->summary, plugin->problem };

    for (size_t i = 0; i < COUNT(texts); i++)
        free(texts[i]);
    *plugin = (struct plugin){};
}
CLEANUP_VALUE(plugin_done, struct plugin)

void plugin_list_done(struct plugin_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        plugin_done(&list->items[i]);
    free(list->items);
    *list = (struct plugin_list){};
}

/* ---- where they are ---- */

static void list_directories(struct strv *out)
{
    static const char *const installed[] = {
        "/usr/local/lib/docker/cli-plugins",
        "/usr/local/libexec/docker/cli-plugins",
        "/usr/lib/docker/cli-plugins",
        "/usr/libexec/docker/cli-plugins",
    };
    const struct json *extra = json_get(settings_document(), "cliPluginsExtraDirs");
    CLEANUP(free) char *own = path_join(settings_directory(), "cli-plugins");

    for (size_t i = 0; i < json_count(extra); i++)
        if (!text_is_empty(json_text(json_at(extra, i))))
            strv_add(out, json_text(json_at(extra, i)));
    strv_add(out, own);
    for (size_t i = 0; i < COUNT(installed); i++)
        strv_add(out, installed[i]);
}

/* Small letters and digits, beginning with a letter. */
static bool is_name(const char *text)
{
    return *text >= 'a' && *text <= 'z' &&
           !text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789")];
}

/* NULL if there is none. */
static char *find_path(const char *name)
{
    CLEANUP(strv_done) struct strv directories = {};

    list_directories(&directories);
    for (size_t i = 0; is_name(name) && i < directories.count; i++) {
        char *path = xasprintf("%s/" PREFIX "%s", directories.items[i], name);

        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

static void list_names(struct strv *out)
{
    CLEANUP(strv_done) struct strv directories = {};

    list_directories(&directories);
    for (size_t i = 0; i < directories.count; i++) {
        DIR *directory = opendir(directories.items[i]);
        const struct dirent *entry;

        while (directory && (entry = readdir(directory))) {
            const char *name = entry->d_name + strlen(PREFIX);

            if (text_starts(entry->d_name, PREFIX) && is_name(name) && !strv_contains(out, name) &&
                !command_find(commands, name))
                strv_add(out, name);
        }
        if (directory)
            closedir(directory);
    }
    strv_sort(out);
}

/* ---- what they say of themselves ---- */

static char *text_of(const struct json *metadata, const char *key)
{
    return xstrdup(json_text(json_get(metadata, key)) ?: "");
}

/* What it says must be complete. */
static int read_metadata(struct plugin *plugin, struct error *err)
{
    CLEANUP(str_done) struct str answer = {};
    CLEANUP(json_free) struct json *metadata = NULL;
    CLEANUP(free) char *base = xasprintf(PREFIX "%s", plugin->name);
    char *arguments[] = { base, (char *)METADATA, NULL };
    int code = 0;

    if (program_ask(plugin->path, arguments, NULL, true, &answer, &code, err) < 0)
        return -1;
    if (code != 0)
        return error_set(err, ERROR_INVALID, "failed to fetch metadata: exit status %d", code);
    if (json_parse(str_text(&answer), answer.length, &metadata, err) < 0)
        return error_context(err, "its metadata");
    plugin->vendor = text_of(metadata, "Vendor");
    plugin->version = text_of(metadata, "Version");
    plugin->summary = text_of(metadata, "ShortDescription");
    const char *schema = json_text(json_get(metadata, "SchemaVersion")) ?: "";
    if (!text_starts(schema, "0."))
        return error_set(
            err, ERROR_INVALID,
            "plugin SchemaVersion version \"%s\" is not valid: must be lower than 1.0.0", schema);
    if (text_is_empty(plugin->vendor))
        return error_set(err, ERROR_INVALID, "plugin metadata does not define a vendor");
    return 0;
}

void plugin_list(struct plugin_list *out)
{
    CLEANUP(strv_done) struct strv names = {};

    *out = (struct plugin_list){};
    list_names(&names);
    for (size_t i = 0; i < names.count; i++) {
        struct plugin plugin = { .name = xstrdup(names.items[i]) };
        struct error err = {};

        plugin.path = find_path(plugin.name);
        if (!plugin.path) { /* nothing that can be run */
            plugin_done(&plugin);
            continue;
        }
        if (read_metadata(&plugin, &err) < 0)
            plugin.problem = xstrdup(err.text);
        out->items = xrealloc(out->items, out->count + 1, sizeof(*out->items));
        out->items[out->count++] = plugin;
    }
}

/* ---- running one ---- */

/* Plugins look for their engine where Docker's is by default. */
static void name_engine(void)
{
    if (strcmp(settings_context(), DEFAULT_CONTEXT) == 0)
        setenv("DOCKER_HOST", settings_default_host(), 1);
}

int plugin_run(const char *name, char **arguments, struct error *err)
{
    CLEANUP(plugin_done)
    struct plugin plugin = { .name = xstrdup(name), .path = find_path(name) };
    CLEANUP(free) char *base = xasprintf(PREFIX "%s", name);
    char *first = arguments[0];

    if (!plugin.path)
        return error_set(err, ERROR_NOT_FOUND, "no such plugin: %s", name);
    setenv(ORIGINAL_COMMAND, first, 1);
    if (read_metadata(&plugin, err) < 0) {
        if (err)
            err->kind = ERROR_INVALID;
        return error_context(err, "%s", plugin.path);
    }
    name_engine();
    arguments[0] = base;
    execv(plugin.path, arguments);
    arguments[0] = first;
    return error_set(err, ERROR_INVALID, "%s: %s", plugin.path, strerror(errno));
}

void plugin_complete(const struct strv *words, struct str *out)
{
    CLEANUP(free) char *path = find_path(words->items[0]);
    CLEANUP(strv_done) struct strv arguments = {};
    struct error ignored;
    int code;

    if (!path)
        return;
    strv_add_format(&arguments, PREFIX "%s", words->items[0]);
    strv_add(&arguments, COMPLETE);
    for (size_t i = 0; i < words->count; i++)
        strv_add(&arguments, words->items[i]);
    name_engine();
    program_ask(path, arguments.items, NULL, true, out, &code, &ignored);
}
