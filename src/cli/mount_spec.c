/* Mounts of the command line. The engine checks them; here they are only read. */
#include "cli/mount_spec.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

int volume_spec_parse(const char *text, struct strv *binds, struct strv *volumes, struct error *err)
{
    const char *colon = strchr(text, ':');

    if (!*text)
        return error_set(err, ERROR_INVALID, "invalid empty volume spec");
    if (!colon) {
        if (!strv_contains(volumes, text))
            strv_add(volumes, text);
        return 0;
    }
    CLEANUP(free) char *source = xstrndup(text, (size_t)(colon - text));
    if (source[0] == '.' || source[0] == '~') {
        CLEANUP(free) char *absolute = path_absolute(source);

        strv_add_format(binds, "%s%s", absolute, colon);
        return 0;
    }
    strv_add(binds, text);
    return 0;
}

static int flag(const char *value, bool *out, struct error *err)
{
    if (!value || strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
        *out = true;
    else if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
        *out = false;
    else
        return error_set(err, ERROR_INVALID, "invalid value: %s", value);
    return 0;
}

static struct bind_options *bind_of(struct mount_request *mount)
{
    if (!mount->bind)
        mount->bind = NEW(struct bind_options);
    return mount->bind;
}

static struct volume_options *volume_of(struct mount_request *mount)
{
    if (!mount->volume)
        mount->volume = NEW(struct volume_options);
    return mount->volume;
}

static struct tmpfs_options *tmpfs_of(struct mount_request *mount)
{
    if (!mount->tmpfs)
        mount->tmpfs = NEW(struct tmpfs_options);
    return mount->tmpfs;
}

static struct volume_driver_config *driver_of(struct mount_request *mount)
{
    struct volume_options *volume = volume_of(mount);

    if (!volume->driver_config)
        volume->driver_config = NEW(struct volume_driver_config);
    return volume->driver_config;
}

static void set_text(char **field, const char *value)
{
    free(*field);
    *field = xstrdup(value ? value : "");
}

static void set_pair(struct map *map, char *text)
{
    char *equals = strchr(text, '=');

    if (equals)
        *equals++ = 0;
    map_set_text(map, text, equals ? equals : "");
}

static int set_recursive(struct mount_request *mount, const char *value, struct error *err)
{
    struct bind_options *bind = bind_of(mount);

    if (strcmp(value, "enabled") == 0)
        return 0;
    if (strcmp(value, "disabled") == 0)
        bind->non_recursive = true;
    else if (strcmp(value, "writable") == 0)
        bind->read_only_non_recursive = true;
    else if (strcmp(value, "readonly") == 0)
        bind->read_only_force_recursive = true;
    else
        return error_set(err, ERROR_INVALID, "invalid value for bind-recursive: %s", value);
    return 0;
}

static int set_field(struct mount_request *mount, const char *key, char *value, struct error *err)
{
    const char *text = value ? value : "";

    if (strcmp(key, "type") == 0)
        set_text(&mount->type, text);
    else if (strcmp(key, "source") == 0 || strcmp(key, "src") == 0)
        set_text(&mount->source, text);
    else if (strcmp(key, "target") == 0 || strcmp(key, "dst") == 0 ||
             strcmp(key, "destination") == 0)
        set_text(&mount->target, text);
    else if (strcmp(key, "readonly") == 0 || strcmp(key, "ro") == 0)
        return flag(value, &mount->read_only, err);
    else if (strcmp(key, "consistency") == 0)
        set_text(&mount->consistency, text);
    else if (strcmp(key, "bind-propagation") == 0)
        set_text(&bind_of(mount)->propagation, text);
    else if (strcmp(key, "bind-recursive") == 0)
        return set_recursive(mount, text, err);
    else if (strcmp(key, "bind-create-src") == 0)
        return flag(value, &bind_of(mount)->create_mountpoint, err);
    else if (strcmp(key, "volume-nocopy") == 0)
        return flag(value, &volume_of(mount)->no_copy, err);
    else if (strcmp(key, "volume-subpath") == 0)
        set_text(&volume_of(mount)->subpath, text);
    else if (strcmp(key, "volume-label") == 0 && value)
        set_pair(&volume_of(mount)->labels, value);
    else if (strcmp(key, "volume-driver") == 0)
        set_text(&driver_of(mount)->name, text);
    else if (strcmp(key, "volume-opt") == 0 && value)
        set_pair(&driver_of(mount)->options, value);
    else if (strcmp(key, "tmpfs-size") == 0)
        return parse_size(text, &tmpfs_of(mount)->size_bytes, err);
    else if (strcmp(key, "tmpfs-mode") == 0)
        tmpfs_of(mount)->mode = strtol(text, NULL, 8);
    else
        return error_set(err, ERROR_INVALID, "unexpected key '%s' in '%s=%s'", key, key, text);
    return 0;
}

int mount_spec_parse(const char *text, struct mount_request *out, struct error *err)
{
    CLEANUP(strv_done) struct strv fields = {};

    strv_split(&fields, text, ',');
    for (size_t i = 0; i < fields.count; i++) {
        char *field = fields.items[i], *equals = strchr(field, '=');

        if (equals)
            *equals++ = 0;
        else if (strcmp(field, "readonly") != 0 && strcmp(field, "ro") != 0 &&
                 strcmp(field, "volume-nocopy") != 0 && strcmp(field, "bind-create-src") != 0)
            return error_set(err, ERROR_INVALID, "invalid field '%s' must be a key=value pair",
                             field);
        if (set_field(out, field, equals, err) < 0)
            return error_context(err, "invalid argument \"%s\" for \"--mount\" flag", text);
    }
    if (text_is_empty(out->type))
        set_text(&out->type, "volume");
    if (strcmp(out->type, "bind") == 0 && !text_is_empty(out->source) && out->source[0] != '/') {
        char *absolute = path_absolute(out->source);

        free(out->source);
        out->source = absolute;
    }
    if (text_is_empty(out->target))
        return error_set(err, ERROR_INVALID,
                         "invalid argument \"%s\" for \"--mount\" flag: target is required", text);
    return 0;
}
