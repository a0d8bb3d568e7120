/* compose config */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/compose_digest.h"
#include "compose/canonical.h"
#include "compose/load.h"
#include "compose/variable.h"

#include "base/banned.h"

struct config_options {
    bool environment, images, lock_digests, resolve_digests, models, networks, no_consistency,
        no_env_resolution, no_interpolate, no_normalize, no_path_resolution, profiles, quiet,
        services, variables, volumes;
    const char *format, *hash, *output;
};

/* clang-format off */
#define AT(member) offsetof(struct config_options, member)
static const struct option_row rows[] = {
    { 0,   "environment",           OPTION_BOOL, AT(environment),        "Print the variables that are known" },
    { 0,   "format",                OPTION_TEXT, AT(format),             "yaml or json" },
    { 0,   "hash",                  OPTION_TEXT, AT(hash),               "Print the hash of a service, or of all (*)" },
    { 0,   "images",                OPTION_BOOL, AT(images),             "Print the images, a line each" },
    { 0,   "lock-image-digests",    OPTION_BOOL, AT(lock_digests),       "Print only the images, with their digests" },
    { 0,   "models",                OPTION_BOOL, AT(models),             "Print the models, a line each" },
    { 0,   "networks",              OPTION_BOOL, AT(networks),           "Print the networks, a line each" },
    { 0,   "no-consistency",        OPTION_BOOL, AT(no_consistency),     "Do not check that everything fits together" },
    { 0,   "no-env-resolution",     OPTION_BOOL, AT(no_env_resolution),  "Leave the env files of services unread" },
    { 0,   "no-interpolate",        OPTION_BOOL, AT(no_interpolate),     "Leave variables as they are" },
    { 0,   "no-normalize",          OPTION_BOOL, AT(no_normalize),       "Leave out the defaults" },
    { 0,   "no-path-resolution",    OPTION_BOOL, AT(no_path_resolution), "Leave relative paths as they are" },
    { 'o', "output",                OPTION_TEXT, AT(output),             "Write to this file" },
    { 0,   "profiles",              OPTION_BOOL, AT(profiles),           "Print the profiles, a line each" },
    { 'q', "quiet",                 OPTION_BOOL, AT(quiet),              "Check only" },
    { 0,   "resolve-image-digests", OPTION_BOOL, AT(resolve_digests),    "Name images by their digests" },
    { 0,   "services",              OPTION_BOOL, AT(services),           "Print the services, a line each" },
    { 0,   "variables",             OPTION_BOOL, AT(variables),          "Print the variables that the file uses" },
    { 0,   "volumes",               OPTION_BOOL, AT(volumes),            "Print the volumes, a line each" },
    {},
};
/* clang-format on */

static void print_keys(const struct yaml *dict)
{
    for (size_t i = 0; i < yaml_count(dict); i++)
        puts(dict->keys[i]);
}

static void print_images(const struct project *project)
{
    const struct yaml *services = yaml_get(project->model, "services");

    for (size_t i = 0; i < yaml_count(services); i++) {
        CLEANUP(free) char *image = project_image_name(project, services->keys[i]);

        puts(image);
    }
}

static void add_profiles(const struct yaml *services, struct strv *out)
{
    for (size_t i = 0; i < yaml_count(services); i++) {
        const struct yaml *profiles = yaml_get(services->items[i], "profiles");

        for (size_t j = 0; j < yaml_count(profiles); j++)
            if (!strv_contains(out, profiles->items[j]->text))
                strv_add(out, profiles->items[j]->text);
    }
}

static void print_profiles(const struct project *project)
{
    CLEANUP(strv_done) struct strv names = {};

    add_profiles(yaml_get(project->model, "services"), &names);
    add_profiles(project->disabled, &names);
    strv_sort(&names);
    for (size_t i = 0; i < names.count; i++)
        puts(names.items[i]);
}

static int print_hashes(const struct project *project, const char *wanted, struct error *err)
{
    const struct yaml *services = yaml_get(project->model, "services");
    CLEANUP(strv_done) struct strv names = {};

    strv_split(&names, wanted, ',');
    for (size_t i = 0; strcmp(wanted, "*") != 0 && i < names.count; i++)
        if (!yaml_get(services, names.items[i]))
            return error_set(err, ERROR_NOT_FOUND, "no such service: %s", names.items[i]);
    for (size_t i = 0; i < yaml_count(services); i++) {
        char hash[CONFIG_HASH_SIZE];

        if (strcmp(wanted, "*") != 0 && !strv_contains(&names, services->keys[i]))
            continue;
        canonical_service_hash(services->items[i], NULL, NULL, hash);
        printf("%s %s\n", services->keys[i], hash);
    }
    return 0;
}

static void print_environment(const struct project *project)
{
    CLEANUP(strv_done) struct strv lines = {};

    MAP_EACH (&project->environment, entry)
        strv_add_format(&lines, "%s=%s", entry->key, (const char *)entry->value);
    strv_sort(&lines);
    for (size_t i = 0; i < lines.count; i++)
        puts(lines.items[i]);
}

/* ---- variables ---- */

static void remember_use(void *data, const struct variable_use *use)
{
    struct yaml *uses = data, *entry;

    if (yaml_get(uses, use->name))
        return;
    entry = yaml_new(YAML_DICT);
    yaml_set(entry, "required", yaml_new_text(use->is_required ? "true" : "false"));
    yaml_set(entry, "default", yaml_new_text(use->fallback ? use->fallback : ""));
    yaml_set(entry, "alternate", yaml_new_text(use->alternative ? use->alternative : ""));
    yaml_set(uses, use->name, entry);
}

static void list_uses(const struct yaml *node, struct yaml *uses)
{
    if (node->kind == YAML_TEXT)
        variable_list(node->text, remember_use, uses);
    for (size_t i = 0; i < node->count; i++)
        list_uses(node->items[i], uses);
}

static void print_variables(const struct project *project)
{
    CLEANUP(yaml_drop) struct yaml *uses = yaml_new(YAML_DICT);

    list_uses(project->model, uses);
    list_uses(project->disabled, uses);
    yaml_sort(uses);
    printf("%-20s%-20s%-20s%s\n", "NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE");
    for (size_t i = 0; i < uses->count; i++)
        printf("%-20s%-20s%-20s%s\n", uses->keys[i],
               yaml_text(yaml_get(uses->items[i], "required")),
               yaml_text(yaml_get(uses->items[i], "default")),
               yaml_text(yaml_get(uses->items[i], "alternate")));
}

/* ---- the command ---- */

static int print_project(const struct project *project, const struct config_options *options,
                         struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    bool is_json = text_equal(options->format, "json");
    struct canonical_options form = { .is_json = is_json,
                                      .keeps_dollars = options->no_interpolate };

    if (options->format && !is_json && strcmp(options->format, "yaml") != 0)
        return error_set(err, ERROR_INVALID, "unsupported format \"%s\"", options->format);
    canonical_write(project, &form, &text);
    if (options->output)
        return file_write_atomic(options->output, str_text(&text), text.length, 0666, false, err);
    return options->quiet ? 0 : fd_write_all(STDOUT_FILENO, str_text(&text), text.length, err);
}

static int config(struct cli *cli, const void *parsed, const struct strv *arguments,
                  struct error *err)
{
    const struct config_options *options = parsed;
    struct project_options wanted = compose_project_options(cli);
    CLEANUP(project_done) struct project project = {};

    wanted.services = *arguments;
    wanted.no_consistency = options->no_consistency;
    wanted.no_env_resolution = options->no_env_resolution;
    wanted.no_interpolate = options->no_interpolate || options->variables;
    wanted.no_normalize = options->no_normalize;
    wanted.no_path_resolution = options->no_path_resolution;
    if (project_load(&wanted, &project, err) < 0)
        return -1;
    compose_warn(&project.warnings);
    if (project_select(&project, arguments, false, err) < 0)
        return -1;
    if (arguments->count)
        normalize_unused(&project);
    if ((options->resolve_digests || options->lock_digests) &&
        compose_resolve_digests(cli, &project, err) < 0)
        return -1;
    if (options->lock_digests)
        compose_keep_images(&project);
    if (options->services)
        print_keys(yaml_get(project.model, "services"));
    else if (options->volumes)
        print_keys(yaml_get(project.model, "volumes"));
    else if (options->networks)
        print_keys(yaml_get(project.model, "networks"));
    else if (options->models)
        print_keys(yaml_get(project.model, "models"));
    else if (options->images)
        print_images(&project);
    else if (options->profiles)
        print_profiles(&project);
    else if (options->hash)
        return print_hashes(&project, options->hash, err);
    else if (options->environment)
        print_environment(&project);
    else if (options->variables)
        print_variables(&project);
    else
        return print_project(&project, options, err);
    return 0;
}

const struct command command_compose_config = {
    .name = "config",
    .aliases = "convert",
    .usage = "[OPTIONS] [SERVICE...]",
    .summary = "Print the project as it is understood",
    .most = MANY_ARGUMENTS,
    .options = rows,
    .options_size = sizeof(struct config_options),
    .is_local = true,
    .run = config,
};
