/* What a volume may be called, and what the local driver may be asked for. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "linux/limited_dir.h"
#include "volume/internal.h"

#include "base/banned.h"

#define NAME_LIMIT 255

int volume_check_name(const char *name, struct error *err)
{
    size_t length = strlen(name);
    bool fits = length && length <= NAME_LIMIT && name[0] != '.' && name[0] != '_' &&
                name[0] != '-';

    if (length == 1)
        return error_set(err, ERROR_INVALID,
                         "volume name is too short, names should be at least two alphanumeric "
                         "characters");
    for (const char *at = name; *at; at++)
        if (!(*at >= 'a' && *at <= 'z') && !(*at >= 'A' && *at <= 'Z') &&
            !(*at >= '0' && *at <= '9') && !strchr("_.-", *at))
            fits = false;
    if (!fits)
        return error_set(
            err, ERROR_INVALID,
            "\"%.300s\" includes invalid characters for a local volume name, only "
            "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host "
            "directory, use absolute path",
            name);
    return 0;
}

/* Each option and what it cannot do without. */
static const struct {
    const char *name, *needs[2];
} local_options[] = {
    { "device", { "type" } },
    { "o", { "device", "type" } },
    { "size", {} },
    { "type", { "device" } },
};

static int check_option(const struct map *options, const char *name, struct error *err)
{
    for (size_t i = 0; i < COUNT(local_options); i++) {
        if (strcmp(name, local_options[i].name) != 0)
            continue;
        for (size_t j = 0; j < 2 && local_options[i].needs[j]; j++)
            if (!map_has(options, local_options[i].needs[j]))
                return error_set(err, ERROR_INVALID, "missing required option: \"%s\"",
                                 local_options[i].needs[j]);
        return 0;
    }
    return error_set(err, ERROR_INVALID, "invalid option: \"%.200s\"", name);
}

int volume_check_options(const struct map *options, struct error *err)
{
    if (!options)
        return 0;
    MAP_EACH (options, entry)
        if (check_option(options, entry->key, err) < 0)
            return -1;
    const char *size = map_get(options, "size");
    int64_t bytes = 0;
    if (size && parse_size(size, &bytes, err) < 0)
        return -1;
    if (bytes > 0 && map_has(options, "device"))
        return error_set(err, ERROR_INVALID,
                         "a volume that is a mount has the size of what is mounted: \"size\" and "
                         "\"device\" exclude each other");
    if (bytes > 0 && bytes < LIMITED_DIR_LEAST)
        return error_set(err, ERROR_INVALID, "a size limit is 1 MiB at least");
    return 0;
}

uint64_t volume_size_limit(const struct volume *volume)
{
    const char *size = map_get(&volume->options, "size");
    int64_t bytes = 0;

    return !volume_has_plugin(volume) && size && parse_size(size, &bytes, NULL) == 0 && bytes > 0
               ? (uint64_t)bytes
               : 0;
}
