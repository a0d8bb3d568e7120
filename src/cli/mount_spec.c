/* -v and --mount, as Docker's command reads them. */
#include "cli/mount_spec.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/csv.h"

#include "base/banned.h"

static void add_once(struct strv *list, const char *text)
{
    if (!strv_contains(list, text))
        strv_add(list, text);
}

int volume_spec_parse(const char *text, struct strv *binds, struct strv *volumes, struct error *err)
{
    const char *colon = strchr(text, ':');

    if (!*text)
        return error_set(err, ERROR_INVALID, "invalid empty volume spec");
    if (text[0] == ':' || strstr(text, "::") || text[strlen(text) - 1] == ':')
        return error_set(err, ERROR_INVALID, "invalid spec: %s: empty section between colons",
                         text);
    if (!colon) {
        add_once(volumes, text);
        return 0;
    }
    CLEANUP(free) char *source = xstrndup(text, (size_t)(colon - text));
    if (source[0] == '.' || source[0] == '~') {
        CLEANUP(free) char *absolute = path_absolute(source);
        CLEANUP(free) char *whole = xasprintf("%s%s", absolute, colon);

        add_once(binds, whole);
        return 0;
    }
    add_once(binds, text);
    return 0;
}

static int flag(const char *key, const char *value, bool *out, struct error *err)
{
    if (!value) {
        *out = true;
        return 0;
    }
    return text_parse_bool(value, out)
               ? 0
               : error_set(err, ERROR_INVALID, "invalid value for %s: %s", key, value);
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

static int set_tmpfs_mode(struct mount_request *mount, const char *value, struct error *err)
{
    char *end;
    unsigned long mode = strtoul(value, &end, 8);

    if (!*value || *end || value[0] == '-' || mode > 07777)
        return error_set(err, ERROR_INVALID, "invalid value for tmpfs-mode: %s", value);
    tmpfs_of(mount)->mode = (int64_t)mode;
    return 0;
}

static int set_tmpfs_size(struct mount_request *mount, const char *value, struct error *err)
{
    return parse_size(value, &tmpfs_of(mount)->size_bytes, NULL) < 0
               ? error_set(err, ERROR_INVALID, "invalid value for tmpfs-size: %s", value)
               : 0;
}

/* "noexec,uid=5" as the API has it: [["noexec"],["uid","5"]]. */
static void set_tmpfs_options(struct mount_request *mount, const char *value)
{
    CLEANUP(strv_done) struct strv words = {};
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    strv_split(&words, value, ',');
    json_begin_list(&w, NULL);
    for (size_t i = 0; i < words.count; i++) {
        char *equals = strchr(words.items[i], '=');

        json_begin_list(&w, NULL);
        if (equals)
            *equals++ = 0;
        json_add_text(&w, NULL, words.items[i]);
        if (equals)
            json_add_text(&w, NULL, equals);
        json_end_list(&w);
    }
    json_end_list(&w);
    free(tmpfs_of(mount)->options);
    tmpfs_of(mount)->options = str_take(&text);
}

static int set_propagation(struct mount_request *mount, const char *value)
{
    set_text(&bind_of(mount)->propagation, value);
    text_lower(bind_of(mount)->propagation);
    return 0;
}

static void set_image_subpath(struct mount_request *mount, const char *value)
{
    if (!mount->image)
        mount->image = NEW(struct image_options);
    set_text(&mount->image->subpath, value);
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
        return flag(key, value, &mount->read_only, err);
    else if (strcmp(key, "consistency") == 0)
        set_text(&mount->consistency, text);
    else if (strcmp(key, "bind-propagation") == 0)
        return set_propagation(mount, text);
    else if (strcmp(key, "bind-recursive") == 0)
        return set_recursive(mount, text, err);
    else if (strcmp(key, "idmap") == 0)
        set_text(&bind_of(mount)->id_map, text);
    else if (strcmp(key, "bind-nonrecursive") == 0)
        return flag(key, value, &bind_of(mount)->non_recursive, err);
    else if (strcmp(key, "bind-create-src") == 0)
        return flag(key, value, &bind_of(mount)->create_mountpoint, err);
    else if (strcmp(key, "volume-nocopy") == 0)
        return flag(key, value, &volume_of(mount)->no_copy, err);
    else if (strcmp(key, "volume-subpath") == 0)
        set_text(&volume_of(mount)->subpath, text);
    else if (strcmp(key, "volume-label") == 0)
        set_pair(&volume_of(mount)->labels, value);
    else if (strcmp(key, "volume-driver") == 0)
        set_text(&driver_of(mount)->name, text);
    else if (strcmp(key, "volume-opt") == 0)
        set_pair(&driver_of(mount)->options, value);
    else if (strcmp(key, "image-subpath") == 0)
        set_image_subpath(mount, text);
    else if (strcmp(key, "tmpfs-size") == 0)
        return set_tmpfs_size(mount, text, err);
    else if (strcmp(key, "tmpfs-mode") == 0)
        return set_tmpfs_mode(mount, text, err);
    else if (strcmp(key, "tmpfs-options") == 0)
        set_tmpfs_options(mount, text);
    else
        return error_set(err, ERROR_INVALID, "unexpected key '%s' in '%s=%s'", key, key, text);
    return 0;
}

/* Switches may stand alone. */
static bool needs_value(const char *key)
{
    static const char *const switches[] = { "readonly", "ro", "volume-nocopy", "bind-nonrecursive",
                                            "bind-create-src" };

    for (size_t i = 0; i < COUNT(switches); i++)
        if (strcmp(switches[i], key) == 0)
            return false;
    return true;
}

static int check_kinds(const struct mount_request *mount, struct error *err)
{
    const struct {
        const char *type;
        const void *options;
    } kinds[] = { { "bind", mount->bind },
                  { "volume", mount->volume },
                  { "image", mount->image },
                  { "tmpfs", mount->tmpfs } };

    for (size_t i = 0; i < COUNT(kinds); i++)
        if (kinds[i].options && strcmp(kinds[i].type, mount->type) != 0)
            return error_set(err, ERROR_INVALID, "cannot mix '%s-*' options with mount type '%s'",
                             kinds[i].type, mount->type);
    return 0;
}

static int check_read_only(const struct mount_request *mount, struct error *err)
{
    const struct bind_options *bind = mount->bind;

    if (!bind || (!bind->read_only_non_recursive && !bind->read_only_force_recursive))
        return 0;
    const char *value = bind->read_only_non_recursive ? "writable" : "readonly";
    if (!mount->read_only)
        return error_set(err, ERROR_INVALID,
                         "option 'bind-recursive=%s' requires 'readonly' to be specified in "
                         "conjunction",
                         value);
    if (bind->read_only_force_recursive && !text_equal(bind->propagation, "rprivate"))
        return error_set(err, ERROR_INVALID,
                         "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to "
                         "be specified in conjunction");
    return 0;
}

int mount_spec_parse(const char *text, struct mount_request *out, struct error *err)
{
    CLEANUP(strv_done) struct strv fields = {};

    if (csv_split(text, &fields, err) < 0)
        return -1;
    for (size_t i = 0; i < fields.count; i++) {
        char *field = fields.items[i], *equals = strchr(field, '=');

        if (equals)
            *equals++ = 0;
        text_lower(field);
        if (!equals && needs_value(field))
            return error_set(err, ERROR_INVALID, "invalid field '%s' must be a key=value pair",
                             field);
        if (set_field(out, field, equals, err) < 0)
            return -1;
    }
    if (text_is_empty(out->type))
        set_text(&out->type, "volume");
    if (text_is_empty(out->target))
        return error_set(err, ERROR_INVALID, "target is required");
    if (check_kinds(out, err) < 0 || check_read_only(out, err) < 0)
        return -1;
    /* Relative to where the client is; "./" as Docker does it. */
    if (strcmp(out->type, "bind") == 0 && !text_is_empty(out->source) && out->source[0] == '.') {
        char *absolute = path_absolute(out->source);

        free(out->source);
        out->source = absolute;
    }
    return 0;
}
