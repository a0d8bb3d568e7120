/* One file: parse, put variables in, check and complete by the tables, make paths absolute, resolve
 * "extends". */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "compose/field.h"
#include "compose/interpolate.h"
#include "compose/load.h"
#include "compose/merge.h"
#include "compose/paths.h"
#include "compose/spot.h"

#include "base/banned.h"

enum { EXTENDS_LIMIT = 32 };

const char *loader_variable(void *data, const char *name)
{
    const struct loader *loader = data;

    return map_get(loader->environment, name);
}

void loader_variable_missing(void *data, const char *name)
{
    struct loader *loader = data;
    CLEANUP(free)
    char *words = xasprintf("The \"%s\" variable is not set. Defaulting to a blank string.", name);

    if (!strv_contains(&loader->project->warnings, words))
        strv_add(&loader->project->warnings, words);
}

int file_parse(struct loader *loader, const char *path, struct yaml **out_documents,
               struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (source_read(path, &text, err) < 0)
        return loader->origin ? spot_place(loader->origin_spot, loader->origin, NULL, err) : -1;
    /* Trees point to the name; the project keeps it. */
    strv_add(&loader->project->texts, path);
    const char *name = loader->project->texts.items[loader->project->texts.count - 1];
    if (yaml_parse(str_text(&text), text.length, name, out_documents, err) == 0)
        return 0;
    return text_starts(err->text, "yaml:") ? -1 : error_context(err, "failed to parse %s", path);
}

/* ---- extends ---- */

struct extending {
    const struct extending *above;
    const char *file, *service;
    const struct yaml *services; /* of the file */
};

/* Adds the place of the key "extends" to a message. */
static int place_extends(const struct extending *at, const char *remedy, struct error *err)
{
    struct spot top = { .name = "services" }, service = { .above = &top, .name = at->service },
                spot = { .above = &service, .name = "extends" };

    return spot_place(&spot, yaml_get_path(at->services, at->service, "extends"), remedy, err);
}

/* Reads the file that the key names. */
static int parse_base(struct loader *loader, const char *path, const struct extending *at,
                      struct yaml **out_documents, struct error *err)
{
    struct spot top = { .name = "services" }, service = { .above = &top, .name = at->service },
                spot = { .above = &service, .name = "extends" };
    struct loader inner = *loader;

    inner.origin = yaml_get_path(at->services, at->service, "extends");
    inner.origin_spot = &spot;
    return file_parse(&inner, path, out_documents, err);
}

static int extend_service(struct loader *loader, struct yaml *services, const char *name,
                          const char *file, const char *directory, const struct extending *above,
                          struct error *err);

static int prepare(struct loader *loader, struct yaml *document, const char *path,
                   const char *directory, struct error *err);

/* The base service out of another file; a copy. */
static int load_base(struct loader *loader, const char *path, const char *service,
                     const struct extending *above, struct yaml **out, struct error *err)
{
    CLEANUP(yaml_drop) struct yaml *documents = NULL;
    const char *slash = strrchr(path, '/');
    CLEANUP(free) char *directory = xstrndup(path, slash ? (size_t)(slash - path) : 0);

    if (parse_base(loader, path, above, &documents, err) < 0)
        return -1;
    for (size_t i = 0; i < documents->count; i++) {
        struct yaml *services;

        if (prepare(loader, documents->items[i], path, directory, err) < 0)
            return -1;
        services = yaml_get(documents->items[i], "services");
        if (!yaml_get(services, service))
            continue;
        if (extend_service(loader, services, service, path, directory, above, err) < 0)
            return -1;
        *out = yaml_clone(yaml_get(services, service));
        return 0;
    }
    error_set(err, ERROR_NOT_FOUND, "cannot extend service \"%s\" in %s: service not found",
              service, path);
    return place_extends(above, NULL, err);
}

static int check_chain(const struct extending *here, struct error *err)
{
    int depth = 0;

    for (const struct extending *at = here->above; at; at = at->above, depth++)
        if ((strcmp(at->service, here->service) == 0 && strcmp(at->file, here->file) == 0) ||
            depth > EXTENDS_LIMIT) {
            error_set(err, ERROR_INVALID, "circular reference: service \"%s\" in %s extends itself",
                      here->service, here->file);
            return place_extends(here->above, "take one \"extends\" of the circle out", err);
        }
    return 0;
}

/* Replaces a service that extends another one by both together. */
static int extend_service(struct loader *loader, struct yaml *services, const char *name,
                          const char *file, const char *directory, const struct extending *above,
                          struct error *err)
{
    struct yaml *service = yaml_get(services, name), *extends = yaml_get(service, "extends");
    struct extending here = { .above = above, .file = file, .service = name, .services = services };
    const char *base_name = yaml_text(yaml_get(extends, "service"));
    const char *base_file = yaml_text(yaml_get(extends, "file"));
    CLEANUP(yaml_drop) struct yaml *base = NULL;

    if (check_chain(&here, err) < 0)
        return -1;
    if (yaml_is_null(extends))
        return 0;
    if (!base_name) {
        error_set(err, ERROR_INVALID, "extends.%s.service is required", name);
        return place_extends(&here, NULL, err);
    }
    if (base_file) {
        CLEANUP(free) char *path = NULL;

        if (source_locate(loader->options, base_file, directory, &path, err) < 0)
            return place_extends(&here, NULL, err);
        if (load_base(loader, path, base_name, &here, &base, err) < 0)
            return -1;
    } else {
        if (!yaml_get(services, base_name)) {
            error_set(err, ERROR_NOT_FOUND,
                      "cannot extend service \"%s\" in %s: service \"%s\" not found", name, file,
                      base_name);
            return place_extends(&here, "name the file as well if it is in another one", err);
        }
        if (extend_service(loader, services, base_name, file, directory, &here, err) < 0)
            return -1;
        base = yaml_clone(yaml_get(services, base_name));
    }
    yaml_remove(service, "extends");
    merge_into(&field_service, base, yaml_clone(service));
    merge_unique(&field_service, base);
    yaml_set(services, name, TAKE(base));
    return 0;
}

/* ---- the file ---- */

static int prepare(struct loader *loader, struct yaml *document, const char *path,
                   const char *directory, struct error *err)
{
    struct variable_source source = { .get = loader_variable,
                                      .missing = loader_variable_missing,
                                      .data = loader };

    if (yaml_is_null(document)) {
        error_set(err, ERROR_INVALID, "empty compose file");
        return spot_place(NULL, document, "\"services\" is what it needs", err);
    }
    if (document->kind != YAML_DICT) {
        error_set(err, ERROR_INVALID, "%s: top-level object must be a mapping", path);
        return spot_place(NULL, document, "as \"services: …\"", err);
    }
    if (!loader->options->no_interpolate && interpolate_tree(document, NULL, &source, err) < 0)
        return -1;
    if (yaml_get(document, "services") && yaml_is_null(yaml_get(document, "services"))) {
        error_set(err, ERROR_INVALID, "%s: services must be a mapping", path);
        return spot_place(NULL, yaml_get(document, "services"), "as \"name: {image: …}\"", err);
    }
    if (field_apply(&field_file, document, NULL, err) < 0)
        return -1;
    if (!loader->options->no_path_resolution)
        paths_resolve(document, directory);
    if (yaml_get(document, "version")) {
        yaml_remove(document, "version");
        strv_add_format(
            &loader->project->warnings,
            "%s: the attribute `version` is obsolete, it will be ignored, please remove "
            "it to avoid potential confusion",
            path);
    }
    return 0;
}

int file_finish(struct loader *loader, struct yaml *documents, const char *path,
                const char *directory, struct yaml **out, struct error *err)
{
    CLEANUP(yaml_drop) struct yaml *model = NULL;

    if (!documents->count)
        return error_set(err, ERROR_INVALID,
                         "empty compose file (%s:1; \"services\" is what it needs)", path);
    for (size_t i = 0; i < documents->count; i++) {
        struct yaml *document = documents->items[i], *services;

        if (prepare(loader, document, path, directory, err) < 0)
            return -1;
        services = yaml_get(document, "services");
        for (size_t j = 0; j < yaml_count(services); j++) {
            CLEANUP(free) char *name = xstrdup(services->keys[j]);

            if (extend_service(loader, services, name, path, directory, NULL, err) < 0)
                return -1;
        }
        if (model)
            merge_into(&field_file, model, yaml_clone(document));
        else
            model = yaml_clone(document);
    }
    *out = TAKE(model);
    return 0;
}
