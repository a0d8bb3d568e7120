/* "include": models of their own, loaded with their own directory and .env, whose parts are then
 * added. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "compose/load.h"
#include "compose/paths.h"
#include "compose/spot.h"

#include "base/banned.h"

enum { INCLUDE_LIMIT = 16 };

static int add_part(struct yaml *model, const struct yaml *from, const char *part,
                    struct error *err)
{
    const struct yaml *given = yaml_get(from, part);
    struct yaml *ours = yaml_get(model, part);

    if (!yaml_count(given))
        return 0;
    if (yaml_is_null(ours)) {
        ours = yaml_new(YAML_DICT);
        yaml_set(model, part, ours);
    }
    for (size_t i = 0; i < given->count; i++) {
        const struct yaml *old = yaml_get(ours, given->keys[i]);

        if (old && !yaml_equal(old, given->items[i])) {
            CLEANUP(free)
            char *other = old->file ? xasprintf("%s:%d has another one", old->file, old->line)
                                    : xstrdup("give one of them another name");

            error_set(err, ERROR_CONFLICT, "%s.%s conflicts with imported resource", part,
                      given->keys[i]);
            return spot_place(NULL, given->items[i], other, err);
        }
        if (!old)
            yaml_set(ours, given->keys[i], yaml_clone(given->items[i]));
    }
    return 0;
}

/* The variables of an included model: those that are set, then its own .env files. */
static int read_environment(const struct loader *loader, const struct yaml *entry,
                            const char *base_directory, const char *directory, struct map *out,
                            struct error *err)
{
    const struct yaml *files = yaml_get(entry, "env_file");

    map_copy_texts(out, loader->environment);
    for (size_t i = yaml_count(files); i-- > 0;) {
        CLEANUP(free) char *path = paths_absolute(files->items[i]->text, base_directory);

        if (source_read_env(path, true, out, err) < 0)
            return -1;
    }
    if (yaml_count(files))
        return 0;
    CLEANUP(free) char *path = path_join(directory, ".env");
    return source_read_env(path, false, out, err);
}

static int include_one(struct loader *loader, struct yaml *model, const struct yaml *entry,
                       const char *base_directory, struct error *err)
{
    static const struct spot spot = { .name = "include" };
    const struct yaml *paths = yaml_get(entry, "path");
    const char *given = yaml_text(yaml_get(entry, "project_directory"));
    CLEANUP(map_done) struct map environment = {};
    CLEANUP(yaml_drop) struct yaml *included = NULL;
    CLEANUP(strv_done) struct strv files = {};
    CLEANUP(free) char *directory = NULL;
    static const char *const parts[] = { "services", "networks", "volumes", "secrets", "configs" };

    if (!yaml_count(paths))
        return spot_error(&spot, entry, err, "path is required");
    for (size_t i = 0; i < paths->count; i++) {
        char *path;

        if (source_locate(loader->options, paths->items[i]->text, base_directory, &path, err) < 0)
            return spot_place(&spot, paths->items[i], NULL, err);
        strv_add_take(&files, path);
    }
    directory = given ? paths_absolute(given, base_directory)
                      : xstrndup(files.items[0],
                                 (size_t)(strrchr(files.items[0], '/') - files.items[0]));
    if (read_environment(loader, entry, base_directory, directory, &environment, err) < 0)
        return spot_place(&spot, entry, NULL, err);
    struct loader inner = { .project = loader->project,
                            .options = loader->options,
                            .environment = &environment,
                            .depth = loader->depth + 1,
                            .origin = entry,
                            .origin_spot = &spot };
    if (inner.depth > INCLUDE_LIMIT) {
        error_set(err, ERROR_INVALID, "include cycle detected: %s", files.items[0]);
        return spot_place(&spot, entry, "take one \"include\" of the circle out", err);
    }
    if (model_load(&inner, &files, directory, &included, err) < 0)
        return -1;
    for (size_t i = 0; i < COUNT(parts); i++)
        if (add_part(model, included, parts[i], err) < 0)
            return -1;
    return 0;
}

int include_apply(struct loader *loader, struct yaml *model, const char *directory,
                  struct error *err)
{
    CLEANUP(yaml_drop) struct yaml *include = yaml_take(model, "include");

    for (size_t i = 0; i < yaml_count(include); i++)
        if (include_one(loader, model, include->items[i], directory, err) < 0)
            return -1;
    return 0;
}
