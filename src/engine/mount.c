/* Reading the ways of asking for a mount. Wording of refusals is Docker's (clients show it). */
#include "engine/mount.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/mount_probe.h"

#include "base/banned.h"

/* clang-format off */
const struct json_field container_mount_fields[] = {
    JSON_STRING(struct container_mount, type,                    "Type"),
    JSON_STRING(struct container_mount, name,                    "Name"),
    JSON_STRING(struct container_mount, source,                  "Source"),
    JSON_STRING(struct container_mount, destination,             "Destination"),
    JSON_STRING(struct container_mount, driver,                  "Driver"),
    JSON_STRING(struct container_mount, mode,                    "Mode"),
    JSON_STRING(struct container_mount, propagation,             "Propagation"),
    JSON_BOOL  (struct container_mount, rw,                      "RW"),
    JSON_BOOL  (struct container_mount, no_copy,                 "NoCopy"),
    JSON_BOOL  (struct container_mount, is_anonymous,            "Anonymous"),
    JSON_BOOL  (struct container_mount, is_legacy_tmpfs,         "LegacyTmpfs"),
    JSON_BOOL  (struct container_mount, non_recursive,           "NonRecursive"),
    JSON_BOOL  (struct container_mount, read_only_non_recursive, "ReadOnlyNonRecursive"),
    JSON_BOOL  (struct container_mount, read_only_force_recursive, "ReadOnlyForceRecursive"),
    JSON_BOOL  (struct container_mount, match_user,              "MatchUser"),
    JSON_BOOL  (struct container_mount, create_source,           "CreateSource"),
    JSON_STRING(struct container_mount, options,                 "Options"),
    JSON_STRING(struct container_mount, subpath,                 "Subpath", .null_empty = true),
    JSON_STRING(struct container_mount, chain_id,                "ChainID", .null_empty = true),
    JSON_END,
};
/* clang-format on */

static const char *const propagations[] = { "private", "rprivate", "shared",
                                            "rshared", "slave",    "rslave" };
static const char *const consistencies[] = { "default", "consistent", "cached", "delegated" };

static bool is_one_of(const char *text, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], text) == 0)
            return true;
    return false;
}

void container_mount_done(struct container_mount *mount)
{
    json_fields_done(container_mount_fields, mount);
}

static int check_destination(const char *text, const char *prefix, struct error *err)
{
    if (text[0] != '/')
        return error_set(err, ERROR_INVALID,
                         "%sinvalid mount path: '%s' mount path must be absolute", prefix, text);
    CLEANUP(free) char *clean = path_clean(text);
    if (strcmp(clean, "/") == 0)
        return error_set(err, ERROR_INVALID, "%sinvalid specification: destination can't be '/'",
                         prefix);
    return 0;
}

/* One option of each class at most: read-write, label, propagation, copying, consistency.
 * *out_foreign is the options of the other kind of mount that were given, NULL if none were. */
static int parse_mode(const char *mode, bool is_bind, struct container_mount *mount,
                      const char **out_foreign, struct error *err)
{
    CLEANUP(strv_done) struct strv words = {};
    int access = 0, label = 0, propagation = 0, copy = 0, consistency = 0;

    strv_split(&words, mode, ',');
    for (size_t i = 0; i < words.count; i++) {
        const char *word = words.items[i];

        if (strcmp(word, "ro") == 0 || strcmp(word, "rw") == 0) {
            access++;
            mount->rw = word[1] == 'w';
        } else if (strcmp(word, "z") == 0 || strcmp(word, "Z") == 0) {
            label++;
        } else if (is_one_of(word, propagations, COUNT(propagations))) {
            propagation++;
            *out_foreign = is_bind ? *out_foreign : "BindOptions";
            free(mount->propagation);
            mount->propagation = xstrdup(word);
        } else if (strcmp(word, "nocopy") == 0) {
            copy++;
            *out_foreign = is_bind ? "VolumeOptions" : *out_foreign;
            mount->no_copy = true;
        } else if (is_one_of(word, consistencies, COUNT(consistencies))) {
            consistency++;
        } else {
            return error_set(err, ERROR_INTERNAL, "invalid mode: %s", mode);
        }
    }
    if (access > 1 || label > 1 || propagation > 1 || copy > 1 || consistency > 1)
        return error_set(err, ERROR_INTERNAL, "invalid mode: %s", mode);
    return 0;
}

bool mount_check_mode(const char *mode, bool *out_read_only)
{
    CLEANUP(container_mount_done) struct container_mount mount = { .rw = true };
    const char *foreign = NULL;

    if (!*mode || parse_mode(mode, false, &mount, &foreign, NULL) < 0 || foreign)
        return false;
    *out_read_only = !mount.rw;
    return true;
}

int mount_parse_bind(const char *text, struct container_mount *out, struct error *err)
{
    CLEANUP(strv_done) struct strv parts = {};
    CLEANUP(container_mount_done) struct container_mount mount = { .rw = true };
    const char *source = NULL, *destination, *mode = NULL, *foreign = NULL;

    strv_split(&parts, text, ':');
    switch (parts.count) {
    case 1:
        destination = parts.items[0];
        break;
    case 3:
        mode = parts.items[2]; /* fall through */
    case 2:
        source = parts.items[0];
        destination = parts.items[1];
        /* "volume:mode" does not exist, but "/path:ro" for an anonymous volume does not either. */
        break;
    default:
        return error_set(err, ERROR_INTERNAL, "invalid volume specification: '%s'", text);
    }
    if (!*destination || (source && !*source) || (mode && !*mode))
        return error_set(err, ERROR_INTERNAL, "invalid volume specification: '%s'", text);

    bool is_bind = source && source[0] == '/';
    mount.type = xstrdup(is_bind ? "bind" : "volume");
    CLEANUP(free)
    char *prefix = xasprintf(
        "invalid volume specification: '%s': invalid mount config for type \"%s\": ", text,
        mount.type);
    if (mode && parse_mode(mode, is_bind, &mount, &foreign, err) < 0)
        return -1;
    if (foreign)
        return error_set(err, ERROR_INTERNAL, "%sfield %s must not be specified", prefix, foreign);
    if (check_destination(destination, prefix, err) < 0) {
        err->kind = ERROR_INTERNAL;
        return -1;
    }
    mount.destination = path_clean(destination);
    mount.mode = xstrdup(mode ? mode : "");
    if (is_bind) {
        mount.source = path_clean(source);
        mount.create_source = true;
        if (!mount.propagation)
            mount.propagation = xstrdup("rprivate");
    } else {
        mount.name = xstrdup(source);
        mount.is_anonymous = !source;
        mount.driver = xstrdup("local");
        if (source && (!mode || strcmp(mode, "rw") == 0 || strcmp(mode, "ro") == 0 ||
                       strcmp(mode, "nocopy") == 0)) {
            free(mount.mode);
            mount.mode = xstrdup("z");
        }
    }
    *out = mount;
    mount = (struct container_mount){};
    return 0;
}

int mount_check_tmpfs(const char *options, struct error *err)
{
    static const char *const flags[] = {
        "exec",     "noexec",     "suid",        "nosuid",        "dev",
        "nodev",    "ro",         "rw",          "sync",          "async",
        "dirsync",  "atime",      "noatime",     "diratime",      "nodiratime",
        "relatime", "norelatime", "strictatime", "nostrictatime", "mand",
        "nomand",   "remount",    "bind",        "rbind",         "defaults"
    };
    static const char *const values[] = { "size=",      "mode=",      "uid=", "gid=",
                                          "nr_inodes=", "nr_blocks=", "mpol=" };
    CLEANUP(strv_done) struct strv words = {};

    strv_split(&words, options, ',');
    for (size_t i = 0; i < words.count; i++) {
        const char *word = words.items[i];
        bool known = !*word || is_one_of(word, flags, COUNT(flags)) ||
                     is_one_of(word, propagations, COUNT(propagations));

        for (size_t v = 0; !known && v < COUNT(values); v++)
            known = text_starts(word, values[v]);
        if (!known)
            return error_set(err, ERROR_INTERNAL, "invalid tmpfs option \"%.*s\"",
                             (int)strcspn(word, "="), word);
    }
    return 0;
}

/* Options of another kind of mount than the one asked for. */
static int check_option_kinds(const struct mount_request *request, struct error *err)
{
    const char *wrong = NULL;

    if (request->bind && strcmp(request->type, "bind") != 0)
        wrong = "BindOptions";
    else if (request->volume && strcmp(request->type, "volume") != 0)
        wrong = "VolumeOptions";
    else if (request->tmpfs && strcmp(request->type, "tmpfs") != 0)
        wrong = "TmpfsOptions";
    else if (request->image && strcmp(request->type, "image") != 0)
        wrong = "ImageOptions";
    if (wrong)
        return error_set(err, ERROR_INVALID, "%s must not be specified on mount type \"%s\"", wrong,
                         request->type);
    return 0;
}

/* What makes a mount read-only in another way than usual. */
static int check_read_only(const struct mount_request *request, const char *prefix,
                           struct error *err)
{
    const struct bind_options *bind = request->bind;
    bool is_private = text_is_empty(bind->propagation) ||
                      strcmp(bind->propagation, "private") == 0 ||
                      strcmp(bind->propagation, "rprivate") == 0;

    if (bind->read_only_non_recursive && !request->read_only)
        return error_set(err, ERROR_INVALID, "%smode must be readonly for ReadOnlyNonRecursive",
                         prefix);
    if (!bind->read_only_force_recursive)
        return 0;
    if (!request->read_only)
        return error_set(err, ERROR_INVALID, "%smode must be readonly for ReadOnlyForceRecursive",
                         prefix);
    if (bind->read_only_non_recursive)
        return error_set(err, ERROR_INVALID,
                         "%sReadOnlyNonRecursive conflicts with ReadOnlyForceRecursive", prefix);
    if (bind->non_recursive)
        return error_set(err, ERROR_INVALID, "%sNonRecursive conflicts with ReadOnlyForceRecursive",
                         prefix);
    if (!is_private)
        return error_set(err, ERROR_INVALID, "%sReadOnlyForceRecursive needs a private propagation",
                         prefix);
    return 0;
}

static int parse_bind_request(const struct mount_request *request, struct container_mount *mount,
                              struct error *err)
{
    static const char prefix[] = "invalid mount config for type \"bind\": ";
    const struct bind_options *bind = request->bind;

    if (text_is_empty(request->source))
        return error_set(err, ERROR_INVALID, "%sfield Source must not be empty", prefix);
    if (request->source[0] != '/')
        return error_set(err, ERROR_INVALID,
                         "%sinvalid mount path: '%s' mount path must be absolute", prefix,
                         request->source);
    mount->source = path_clean(request->source);
    mount->create_source = bind && bind->create_mountpoint;
    bool exists = true;
    if (!mount->create_source && mount_probe(mount->source, &exists, err) < 0)
        return error_context(err, "bind source path");
    if (!exists)
        return error_set(err, ERROR_INVALID, "%sbind source path does not exist: %s", prefix,
                         mount->source);
    const char *propagation = bind ? bind->propagation : NULL;
    if (!text_is_empty(propagation) && !is_one_of(propagation, propagations, COUNT(propagations)))
        return error_set(err, ERROR_INVALID, "%sinvalid propagation mode: %s", prefix, propagation);
    mount->propagation = xstrdup(text_is_empty(propagation) ? "rprivate" : propagation);
    if (!bind)
        return 0;
    mount->non_recursive = bind->non_recursive;
    mount->read_only_non_recursive = bind->read_only_non_recursive;
    mount->read_only_force_recursive = bind->read_only_force_recursive;
    mount->match_user = text_equal(bind->id_map, "match-user");
    if (!text_is_empty(bind->id_map) && !mount->match_user)
        return error_set(err, ERROR_INVALID, "%sinvalid IDMap: %s (match-user is known)", prefix,
                         bind->id_map);
    return check_read_only(request, prefix, err);
}

/* A path that cannot lead out, whatever lies on its way: links are judged when it is opened. */
static bool is_inside(const char *subpath)
{
    CLEANUP(free) char *clean = path_clean(subpath);

    return subpath[0] != '/' && strcmp(clean, "..") != 0 && !text_starts(clean, "../");
}

static int set_subpath(struct container_mount *mount, const char *subpath, const char *what,
                       struct error *err)
{
    if (text_is_empty(subpath))
        return 0;
    if (!is_inside(subpath))
        return error_set(err, ERROR_INVALID,
                         "invalid mount config for type \"%s\": subpath must be a relative path "
                         "within the %s",
                         what, what);
    mount->subpath = path_clean(subpath);
    return 0;
}

static int parse_volume_request(const struct mount_request *request, struct container_mount *mount,
                                struct error *err)
{
    const struct volume_options *volume = request->volume;

    mount->driver = xstrdup("local");
    mount->wish = volume;
    mount->no_copy = volume && volume->no_copy;
    mount->is_anonymous = text_is_empty(request->source);
    mount->name = mount->is_anonymous ? NULL : xstrdup(request->source);
    mount->mode = xstrdup(mount->is_anonymous ? "" : "z");
    if (mount->is_anonymous && volume && !text_is_empty(volume->subpath))
        return error_set(
            err, ERROR_INVALID,
            "invalid mount config for type \"volume\": must not set Subpath when using "
            "anonymous volumes");
    if (mount->is_anonymous && request->read_only)
        return error_set(
            err, ERROR_INVALID,
            "invalid mount config for type \"volume\": must not set ReadOnly mode when using "
            "anonymous volumes");
    if (!volume)
        return 0;
    if (volume->driver_config && !text_is_empty(volume->driver_config->name)) {
        free(mount->driver);
        mount->driver = xstrdup(volume->driver_config->name);
    }
    return set_subpath(mount, volume->subpath, "volume", err);
}

static int parse_image_request(const struct mount_request *request, struct container_mount *mount,
                               struct error *err)
{
    if (text_is_empty(request->source))
        return error_set(err, ERROR_INVALID,
                         "invalid mount config for type \"image\": field Source must not be empty");
    mount->name = xstrdup(request->source);
    mount->mode = xstrdup("");
    mount->rw = false;
    return set_subpath(mount, request->image ? request->image->subpath : NULL, "image", err);
}

/* TmpfsOptions.Options: [["noexec"], ["uid", "5"]]. */
static int add_tmpfs_pairs(const char *text, struct str *options, struct error *err)
{
    CLEANUP(json_free) struct json *pairs = NULL;

    if (json_parse(text, strlen(text), &pairs, err) < 0)
        return -1;
    for (size_t i = 0; i < json_count(pairs); i++) {
        const struct json *pair = json_at(pairs, i);
        const char *key = json_text(json_at(pair, 0)), *value = json_text(json_at(pair, 1));

        if (!key || json_count(pair) > 2)
            return error_set(err, ERROR_INVALID, "invalid option array length");
        str_add_format(options, ",%s%s%s", key, value ? "=" : "", value ? value : "");
    }
    return 0;
}

static int parse_tmpfs_request(const struct mount_request *request, struct container_mount *mount,
                               struct error *err)
{
    struct str options = {};

    if (!text_is_empty(request->source))
        return error_set(
            err, ERROR_INVALID,
            "invalid mount config for type \"tmpfs\": field Source must not be specified");
    str_add(&options, request->read_only ? "ro" : "rw");
    if (request->tmpfs && request->tmpfs->size_bytes < 0) {
        str_done(&options);
        return error_set(err, ERROR_INVALID,
                         "invalid mount config for type \"tmpfs\": size must not be negative");
    }
    if (request->tmpfs && request->tmpfs->size_bytes)
        str_add_format(&options, ",size=%lld", (long long)request->tmpfs->size_bytes);
    if (request->tmpfs && request->tmpfs->mode)
        str_add_format(&options, ",mode=%llo", (unsigned long long)request->tmpfs->mode);
    if (request->tmpfs && request->tmpfs->options &&
        add_tmpfs_pairs(request->tmpfs->options, &options, err) < 0) {
        str_done(&options);
        return -1;
    }
    mount->options = str_take(&options);
    return 0;
}

int mount_parse_request(const struct mount_request *request, struct container_mount *out,
                        struct error *err)
{
    static const struct {
        const char *type;
        int (*parse)(const struct mount_request *request, struct container_mount *mount,
                     struct error *err);
    } types[] = { { "bind", parse_bind_request },
                  { "image", parse_image_request },
                  { "tmpfs", parse_tmpfs_request },
                  { "volume", parse_volume_request } };
    CLEANUP(container_mount_done) struct container_mount mount = { .rw = !request->read_only };
    const char *type = request->type ? request->type : "";
    CLEANUP(free) char *prefix = xasprintf("invalid mount config for type \"%s\": ", type);
    size_t row = 0;

    if (strcmp(type, "cluster") == 0)
        return error_set(err, ERROR_UNSUPPORTED, "mounts of type \"%s\" are not supported yet",
                         type);
    while (row < COUNT(types) && strcmp(types[row].type, type) != 0)
        row++;
    if (row == COUNT(types))
        return error_set(err, ERROR_INVALID, "%smount type unknown", prefix);
    if (text_is_empty(request->target))
        return error_set(err, ERROR_INVALID, "%sfield Target must not be empty", prefix);
    if (check_destination(request->target, prefix, err) < 0 || check_option_kinds(request, err) < 0)
        return -1;
    mount.type = xstrdup(type);
    mount.destination = path_clean(request->target);
    if (types[row].parse(request, &mount, err) < 0)
        return -1;
    *out = mount;
    mount = (struct container_mount){};
    return 0;
}
