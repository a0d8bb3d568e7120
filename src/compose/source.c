/* Files, directories and environment of a project, by the rules of Docker's compose. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "compose/dotenv.h"
#include "compose/load.h"
#include "compose/paths.h"

#include "base/banned.h"

extern char **environ;

enum { FILE_LIMIT = 8 * 1024 * 1024 };

static const char *const standard_names[] = { "compose.yaml", "compose.yml", "docker-compose.yml",
                                              "docker-compose.yaml" };
static const char *const override_names[] = { "compose.override.yml", "compose.override.yaml",
                                              "docker-compose.override.yml",
                                              "docker-compose.override.yaml" };

int source_read(const char *path, struct str *out, struct error *err)
{
    if (strcmp(path, "-") == 0)
        return file_read_fd(STDIN_FILENO, FILE_LIMIT, out, err);
    if (file_read(path, FILE_LIMIT, out, err) == 0)
        return 0;
    if (err->kind == ERROR_NOT_FOUND)
        return error_set(err, ERROR_NOT_FOUND, "open %s: no such file or directory", path);
    return -1;
}

static const char *environment_get(void *data, const char *name)
{
    return map_get(data, name);
}

/* Adds what one file says to 'values'. */
static int read_values(const char *path, bool is_required, const struct map *environment,
                       struct map *values, struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    struct variable_source source = { .get = environment_get, .data = (void *)environment };

    if (file_read(path, DOTENV_SIZE_LIMIT, &text, err) < 0) {
        if (err->kind != ERROR_NOT_FOUND)
            return -1;
        if (!is_required)
            return 0;
        return error_set(err, ERROR_NOT_FOUND, "couldn't find env file: %s", path);
    }
    if (dotenv_parse(str_text(&text), &source, values, err) < 0)
        return error_context(err, "failed to read %s", path);
    return 0;
}

static void add_missing(const struct map *values, struct map *environment)
{
    MAP_EACH (values, entry)
        if (!map_has(environment, entry->key))
            map_set_text(environment, entry->key, entry->value);
}

int source_read_env(const char *path, bool is_required, struct map *environment, struct error *err)
{
    CLEANUP(map_done) struct map values = {};

    map_init_empty(&values, free);
    if (read_values(path, is_required, environment, &values, err) < 0)
        return -1;
    add_missing(&values, environment);
    return 0;
}

static void read_our_environment(struct map *out)
{
    map_init_empty(out, free);
    for (char **entry = environ; *entry; entry++) {
        const char *equals = strchr(*entry, '=');

        if (equals) {
            CLEANUP(free) char *key = xstrndup(*entry, (size_t)(equals - *entry));

            map_set_text(out, key, equals + 1);
        }
    }
}

/* The first of the names that the directory has; NULL: none. */
static char *find_name(const char *directory, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *path = path_join(directory, names[i]);

        if (file_exists(path))
            return path;
        free(path);
    }
    return NULL;
}

char *project_file_in(const char *directory)
{
    return find_name(directory, standard_names, COUNT(standard_names));
}

/* The standard file in 'directory' and its override, if there are any. */
static bool find_in(const char *directory, struct strv *out)
{
    char *path = project_file_in(directory), *other;

    if (!path)
        return false;
    strv_add_take(out, path);
    other = find_name(directory, override_names, COUNT(override_names));
    if (other)
        strv_add_take(out, other);
    return true;
}

static void find_upwards(const char *start, struct strv *out)
{
    CLEANUP(free) char *directory = xstrdup(start);

    while (!find_in(directory, out)) {
        char *slash = strrchr(directory, '/');

        if (!slash || strcmp(directory, "/") == 0)
            return;
        slash[slash == directory] = 0;
    }
}

static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

bool source_is_remote(const struct project_options *options, const char *name)
{
    return strstr(name, "://") || text_starts(name, "git@") ||
           (options->remotes.is_remote && options->remotes.is_remote(name));
}

int source_locate(const struct project_options *options, const char *name, const char *directory,
                  char **out_path, struct error *err)
{
    const struct remote_files *remotes = &options->remotes;

    if (!source_is_remote(options, name)) {
        *out_path = paths_absolute(name, directory);
        return 0;
    }
    if (!remotes->is_remote || !remotes->is_remote(name))
        return error_set(err, ERROR_UNSUPPORTED,
                         "compose files are read from here, from git repositories and from "
                         "registries (oci://): fetch %s, and name the file that is then here",
                         name);
    return remotes->fetch(remotes->data, name, out_path, err);
}

/* 'directory' is where names begin; NULL: ours. */
static int add_files(const struct project_options *options, const struct strv *given,
                     const char *directory, struct project *project, struct error *err)
{
    for (size_t i = 0; i < given->count; i++) {
        const char *name = given->items[i];
        char *path;

        if (strcmp(name, "-") == 0)
            path = xstrdup("-");
        else if (!directory && !source_is_remote(options, name))
            path = path_absolute(name);
        else if (source_locate(options, name, directory, &path, err) < 0)
            return -1;
        if (source_is_remote(options, name))
            strv_add(&project->remotes, name);
        strv_add_take(&project->files, path);
    }
    return 0;
}

static void split_list(const struct map *environment, const char *name, char separator,
                       struct strv *out)
{
    const char *text = map_get(environment, name);

    if (!text_is_empty(text))
        strv_split(out, text, separator);
}

static int read_env_files(const struct project_options *options, struct project *project,
                          struct error *err)
{
    CLEANUP(strv_done) struct strv named = {};
    CLEANUP(map_done) struct map values = {};

    map_init_empty(&values, free);
    if (options->env_files.count)
        strv_add_all(&named, &options->env_files);
    else
        split_list(&project->environment, "COMPOSE_ENV_FILES", ',', &named);
    /* Later files win, and may use what earlier ones say. */
    for (size_t i = 0; i < named.count; i++) {
        CLEANUP(free) char *path = path_absolute(named.items[i]);

        strv_add(&project->env_files, path);
        if (read_values(path, true, &project->environment, &values, err) < 0)
            return -1;
    }
    add_missing(&values, &project->environment);
    if (named.count || text_is_true(map_get(&project->environment, "COMPOSE_DISABLE_ENV_FILE")))
        return 0;
    /* What came from elsewhere does not set variables here. */
    bool is_here = project->remotes.count && !options->directory;
    CLEANUP(free)
    char *path = is_here ? path_absolute(".env") : path_join(project->directory, ".env");
    return source_read_env(path, false, &project->environment, err);
}

int source_find(const struct project_options *options, struct project *project, bool needs_files,
                struct error *err)
{
    CLEANUP(strv_done) struct strv from_environment = {};
    CLEANUP(free) char *here = path_absolute(".");
    const char *separator;

    read_our_environment(&project->environment);
    if (add_files(options, &options->files, NULL, project, err) < 0)
        return -1;
    separator = map_get(&project->environment, "COMPOSE_PATH_SEPARATOR");
    if (!project->files.count)
        split_list(&project->environment, "COMPOSE_FILE",
                   separator && *separator ? *separator : ':', &from_environment);
    if (add_files(options, &from_environment, NULL, project, err) < 0)
        return -1;
    if (!project->files.count)
        find_upwards(options->directory ? options->directory : here, &project->files);
    if (options->directory)
        project->directory = path_absolute(options->directory);
    else if (project->files.count && strcmp(project->files.items[0], "-") != 0)
        project->directory = directory_of(project->files.items[0]);
    else
        project->directory = xstrdup(here);
    if (read_env_files(options, project, err) < 0)
        return -1;
    /* The .env file may name the files, too. */
    if (!options->files.count && !from_environment.count) {
        split_list(&project->environment, "COMPOSE_FILE",
                   separator && *separator ? *separator : ':', &from_environment);
        if (from_environment.count) {
            strv_done(&project->files);
            if (add_files(options, &from_environment, project->directory, project, err) < 0)
                return -1;
        }
    }
    if (!project->files.count && needs_files)
        return error_set(err, ERROR_NOT_FOUND, "no configuration file provided: not found");
    return 0;
}
