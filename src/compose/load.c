/* From options to a project: find, merge, include, normalise, check. */
#include <ctype.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "compose/field.h"
#include "compose/load.h"
#include "compose/merge.h"
#include "compose/spot.h"
#include "compose/variable.h"

#include "base/banned.h"

char *project_name_normalize(const char *text)
{
    struct str out = {};

    for (; *text; text++) {
        int c = tolower((unsigned char)*text);

        if (isalnum(c) || (out.length && (c == '_' || c == '-')))
            str_add_char(&out, (char)c);
    }
    return str_take(&out);
}

int model_load(struct loader *loader, const struct strv *paths, const char *directory,
               struct yaml **out, struct error *err)
{
    CLEANUP(yaml_drop) struct yaml *model = NULL;

    for (size_t i = 0; i < paths->count; i++) {
        CLEANUP(yaml_drop) struct yaml *documents = NULL;
        struct yaml *file = NULL;

        if (file_parse(loader, paths->items[i], &documents, err) < 0 ||
            file_finish(loader, documents, paths->items[i], directory, &file, err) < 0)
            return -1;
        if (model)
            merge_into(&field_file, model, file);
        else
            model = file;
    }
    merge_drop_resets(model);
    merge_unique(&field_file, model);
    if (include_apply(loader, model, directory, err) < 0)
        return -1;
    *out = TAKE(model);
    return 0;
}

/* ---- the name ---- */

static int check_name(const char *given, struct error *err)
{
    CLEANUP(free) char *normal = project_name_normalize(given);

    if (strcmp(normal, given) == 0 && *given)
        return 0;
    return error_set(
        err, ERROR_INVALID,
        "invalid project name \"%s\": must consist only of lowercase alphanumeric "
        "characters, hyphens, and underscores as well as start with a letter or number",
        given);
}

/* What the last file that has a name says; its variables are put in. NULL if none has. */
static int name_from_files(struct loader *loader, char **out, struct error *err)
{
    struct variable_source source = { .get = loader_variable, .data = loader };

    for (size_t i = loader->project->files.count; i-- > 0;) {
        CLEANUP(yaml_drop) struct yaml *documents = NULL;
        CLEANUP(str_done) struct str text = {};
        const struct yaml *name = NULL;
        bool is_malformed;

        if (strcmp(loader->project->files.items[i], "-") == 0)
            continue; /* It can be read once only. */
        if (file_parse(loader, loader->project->files.items[i], &documents, err) < 0)
            return -1;
        for (size_t j = 0; j < documents->count; j++)
            name = yaml_get(documents->items[j], "name") ?: name;
        if (!yaml_text(name))
            continue;
        if (variable_expand(yaml_text(name), &source, &text, &is_malformed, err) < 0) {
            error_context(err, "name");
            return spot_place(NULL, name, NULL, err);
        }
        *out = project_name_normalize(str_text(&text));
        if (str_text(&text)[0] && !**out) {
            error_set(err, ERROR_INVALID, "project name must not be empty");
            return spot_place(&(struct spot){ .name = "name" }, name,
                              "it needs a letter or a digit", err);
        }
        return 0;
    }
    return 0;
}

static int find_name(struct loader *loader, struct error *err)
{
    struct project *project = loader->project;
    const char *given = loader->options->name,
               *variable = map_get(&project->environment, "COMPOSE_PROJECT_NAME");

    if (given || !text_is_empty(variable)) {
        if (check_name(given ? given : variable, err) < 0)
            return -1;
        project->name = xstrdup(given ? given : variable);
    } else if (name_from_files(loader, &project->name, err) < 0) {
        return -1;
    }
    if (text_is_empty(project->name)) {
        CLEANUP(free) char *here = path_absolute(".");
        bool is_cached = project->remotes.count && !loader->options->directory;

        free(project->name);
        project->name = project_name_normalize(path_base(is_cached ? here : project->directory));
        if (!*project->name) {
            free(project->name);
            project->name = project_name_normalize(path_base(here));
        }
    }
    if (!*project->name)
        return error_set(err, ERROR_INVALID, "project name must not be empty");
    map_set_text(&project->environment, "COMPOSE_PROJECT_NAME", project->name);
    project->separator =
        loader->options->compatibility ||
                text_is_true(map_get(&project->environment, "COMPOSE_COMPATIBILITY"))
            ? '_'
            : '-';
    return 0;
}

/* ---- the project ---- */

int project_load(const struct project_options *options, struct project *out, struct error *err)
{
    CLEANUP(project_done) struct project project = {};
    struct loader loader = { .project = &project,
                             .options = options,
                             .environment = &project.environment };

    if (source_find(options, &project, true, err) < 0 || find_name(&loader, err) < 0 ||
        model_load(&loader, &project.files, project.directory, &project.model, err) < 0)
        return -1;
    yaml_set(project.model, "name", yaml_new_text(project.name));
    if (normalize(&loader, err) < 0)
        return -1;
    normalize_profiles(&project, options);
    if (!options->no_consistency && check_project(&project, err) < 0)
        return -1;
    if (!options->keeps_unused)
        normalize_unused(&project);
    field_order(&field_file, project.model);
    *out = project;
    project = (struct project){};
    return 0;
}

int project_load_name(const struct project_options *options, struct project *out, struct error *err)
{
    CLEANUP(project_done) struct project project = {};
    struct loader loader = { .project = &project,
                             .options = options,
                             .environment = &project.environment };

    if (source_find(options, &project, false, err) < 0 || find_name(&loader, err) < 0)
        return -1;
    *out = project;
    project = (struct project){};
    return 0;
}

void project_done(struct project *project)
{
    free(project->name);
    free(project->directory);
    strv_done(&project->files);
    strv_done(&project->remotes);
    strv_done(&project->env_files);
    map_done(&project->environment);
    yaml_drop(project->model);
    yaml_drop(project->disabled);
    strv_done(&project->warnings);
    strv_done(&project->texts);
}

struct yaml *project_service(const struct project *project, const char *name)
{
    return yaml_get_path(project->model, "services", name);
}

const struct yaml *project_any_service(const struct project *project, const char *name)
{
    return project_service(project, name) ?: yaml_get(project->disabled, name);
}

char *project_image_name(const struct project *project, const char *service)
{
    const char *image = yaml_text(yaml_get(project_any_service(project, service), "image"));

    return image ? xstrdup(image) : xasprintf("%s%c%s", project->name, project->separator, service);
}

char *project_container_name(const struct project *project, const char *service, int number)
{
    const char *given =
        yaml_text(yaml_get(project_any_service(project, service), "container_name"));
    char separator = project->separator;

    return given ? xstrdup(given)
                 : xasprintf("%s%c%s%c%d", project->name, separator, service, separator, number);
}

int project_scale(const struct yaml *service)
{
    const struct yaml *scale = yaml_get(service, "scale");
    const struct yaml *replicas = yaml_get_path(service, "deploy", "replicas");

    if (scale && scale->kind == YAML_INTEGER)
        return (int)scale->integer;
    if (replicas && replicas->kind == YAML_INTEGER)
        return (int)replicas->integer;
    return 1;
}

/* ---- selection ---- */

static void keep(const struct project *project, const char *name, bool no_dependencies,
                 struct map *kept)
{
    const struct yaml *service = project_service(project, name);
    const struct yaml *dependencies = yaml_get(service, "depends_on");

    if (!service || map_has(kept, name))
        return;
    map_set(kept, name, (void *)service);
    for (size_t i = 0; !no_dependencies && i < yaml_count(dependencies); i++)
        keep(project, dependencies->keys[i], false, kept);
}

int project_select(struct project *project, const struct strv *names, bool no_dependencies,
                   struct error *err)
{
    CLEANUP(map_done) struct map kept = {};
    struct yaml *services = yaml_get(project->model, "services");

    for (size_t i = 0; i < names->count; i++) {
        if (!yaml_get(services, names->items[i]))
            return error_set(err, ERROR_NOT_FOUND, "no such service: %s", names->items[i]);
        keep(project, names->items[i], no_dependencies, &kept);
    }
    for (size_t i = 0; names->count && i < services->count;) {
        if (map_has(&kept, services->keys[i])) {
            i++;
            continue;
        }
        CLEANUP(free) char *name = xstrdup(services->keys[i]);
        yaml_set(project->disabled, name, yaml_take(services, name));
    }
    return 0;
}
