/* See load.h. Docker's words where there are some, since scripts look for them; behind them the
 * place, and what would help. */
#include "compose/check.h"

#include <string.h>

#include "base/text.h"
#include "compose/load.h"

#include "base/banned.h"

int check_refuse(const struct project *project, const struct spot *spot, const char *remedy,
                 struct error *err, const char *format, ...)
{
    CLEANUP(str_done) struct str text = {};
    va_list arguments;

    va_start(arguments, format);
    str_add_vformat(&text, format, arguments);
    va_end(arguments);
    error_set(err, ERROR_INVALID, "%s: invalid compose project", str_text(&text));
    return spot_place(spot, spot_find(project->model, spot), remedy, err);
}

/* ---- cycles ---- */

struct step {
    const struct step *above;
    const char *name;
};

static void add_chain(const struct step *at, const char *end, struct str *out)
{
    if (strcmp(at->name, end) != 0)
        add_chain(at->above, end, out);
    str_add_format(out, "%s%s", out->length ? " -> " : "", at->name);
}

static int place_dependency(const struct project *project, const char *name, const char *on,
                            struct error *err)
{
    struct spot services = { .name = "services" }, service = { .above = &services, .name = name },
                key = { .above = &service, .name = "depends_on" },
                entry = { .above = &key, .name = on };

    return spot_place(&entry, spot_find(project->model, &entry),
                      "one of them has to start without the other", err);
}

/* What 'seen' says of a service. */
static char walking, done;

static int visit(const struct project *project, const char *name, const struct step *above,
                 struct map *seen, struct error *err)
{
    struct step here = { .above = above, .name = name };
    const struct yaml *dependencies = yaml_get(project_service(project, name), "depends_on");
    const char *state = map_get(seen, name);

    if (state == &walking) {
        CLEANUP(str_done) struct str chain = {};

        add_chain(above, name, &chain);
        error_set(err, ERROR_INVALID, "dependency cycle detected: %s -> %s", str_text(&chain),
                  name);
        return place_dependency(project, above->name, name, err);
    }
    if (state)
        return 0;
    map_set(seen, name, &walking);
    for (size_t i = 0; i < yaml_count(dependencies); i++)
        if (visit(project, dependencies->keys[i], &here, seen, err) < 0)
            return -1;
    map_set(seen, name, &done);
    return 0;
}

/* ---- resources ---- */

static int check_files(const struct project *project, const char *part, const char *origins_text,
                       struct error *err)
{
    static const char *const origins[] = { "file", "environment", "content" };
    const struct yaml *resources = yaml_get(project->model, part);

    for (size_t i = 0; i < yaml_count(resources); i++) {
        const struct yaml *resource = resources->items[i];
        struct spot top = { .name = part }, spot = { .above = &top, .name = resources->keys[i] };
        int count = 0;

        if (text_starts(resources->keys[i], "x-") || yaml_is_true(yaml_get(resource, "external")))
            continue;
        for (size_t j = 0; j < COUNT(origins); j++)
            count += !yaml_is_null(yaml_get(resource, origins[j]));
        if (count > 1)
            return check_refuse(project, &spot, "keep one of them", err,
                                "%s.%s: %s attributes are mutually exclusive", part,
                                resources->keys[i], origins_text);
        if (!count && !yaml_get(resource, "driver"))
            return check_refuse(project, &spot, NULL, err, "%s.%s: one of %s must be set", part,
                                resources->keys[i], origins_text);
    }
    return 0;
}

static int check_external(const struct project *project, struct error *err)
{
    const struct yaml *volumes = yaml_get(project->model, "volumes");

    for (size_t i = 0; i < yaml_count(volumes); i++) {
        const struct yaml *volume = volumes->items[i];
        struct spot top = { .name = "volumes" }, spot = { .above = &top, .name = volumes->keys[i] };

        if (!yaml_is_true(yaml_get(volume, "external")))
            continue;
        for (size_t j = 0; j < volume->count; j++)
            if (strcmp(volume->keys[j], "external") != 0 && strcmp(volume->keys[j], "name") != 0 &&
                !text_starts(volume->keys[j], "x-")) {
                struct spot key = { .above = &spot, .name = volume->keys[j] };

                return check_refuse(project, &key,
                                    "what is external is made elsewhere: only its name may be said",
                                    err,
                                    "volumes.%s: conflicting parameters \"external\" and \"%s\" "
                                    "specified",
                                    volumes->keys[i], volume->keys[j]);
            }
    }
    return 0;
}

int check_project(const struct project *project, struct error *err)
{
    CLEANUP(map_done) struct map seen = {};
    const struct yaml *services = yaml_get(project->model, "services");

    for (size_t i = 0; i < yaml_count(services); i++)
        if (!text_starts(services->keys[i], "x-") &&
            check_service(project, services->keys[i], services->items[i], err) < 0)
            return -1;
    for (size_t i = 0; i < yaml_count(services); i++)
        if (visit(project, services->keys[i], NULL, &seen, err) < 0)
            return -1;
    if (check_external(project, err) < 0)
        return -1;
    if (check_files(project, "secrets", "file|environment", err) < 0)
        return -1;
    return check_files(project, "configs", "file|environment|content", err);
}
