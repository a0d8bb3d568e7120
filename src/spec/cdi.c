/* CDI files, read and checked. */
#include "spec/cdi.h"

#include <string.h>

#include "base/text.h"

#include "base/banned.h"

enum { DEVICE_LIMIT = 4096 };

/* clang-format off */
static const struct json_field device_node_fields[] = {
    JSON_STRING        (struct cdi_device_node, path,        "path"),
    JSON_STRING        (struct cdi_device_node, host_path,   "hostPath"),
    JSON_STRING        (struct cdi_device_node, type,        "type"),
    JSON_OPTIONAL_INT64(struct cdi_device_node, major,       "major"),
    JSON_OPTIONAL_INT64(struct cdi_device_node, minor,       "minor"),
    JSON_OPTIONAL_INT64(struct cdi_device_node, file_mode,   "fileMode"),
    JSON_STRING        (struct cdi_device_node, permissions, "permissions"),
    JSON_OPTIONAL_INT64(struct cdi_device_node, uid,         "uid"),
    JSON_OPTIONAL_INT64(struct cdi_device_node, gid,         "gid"),
    JSON_END,
};

static const struct json_field mount_fields[] = {
    JSON_STRING(struct cdi_mount, host_path,      "hostPath"),
    JSON_STRING(struct cdi_mount, container_path, "containerPath"),
    JSON_STRING(struct cdi_mount, type,           "type"),
    JSON_STRV  (struct cdi_mount, options,        "options"),
    JSON_END,
};

static const struct json_field hook_fields[] = {
    JSON_STRING        (struct cdi_hook, hook_name, "hookName"),
    JSON_STRING        (struct cdi_hook, path,      "path"),
    JSON_STRV          (struct cdi_hook, args,      "args"),
    JSON_STRV          (struct cdi_hook, env,       "env"),
    JSON_OPTIONAL_INT64(struct cdi_hook, timeout_s, "timeout"),
    JSON_END,
};

static const struct json_field edits_fields[] = {
    JSON_STRV   (struct cdi_edits, env,             "env"),
    JSON_OBJECTS(struct cdi_edits, device_nodes,    "deviceNodes", struct cdi_device_node, device_node_fields),
    JSON_OBJECTS(struct cdi_edits, mounts,          "mounts", struct cdi_mount, mount_fields),
    JSON_OBJECTS(struct cdi_edits, hooks,           "hooks", struct cdi_hook, hook_fields),
    JSON_RAW    (struct cdi_edits, additional_gids, "additionalGids"),
    JSON_RAW    (struct cdi_edits, intel_rdt,       "intelRdt"),
    JSON_END,
};

static const struct json_field device_fields[] = {
    JSON_STRING(struct cdi_device, name,  "name"),
    JSON_OBJECT(struct cdi_device, edits, "containerEdits", struct cdi_edits, edits_fields),
    JSON_END,
};

static const struct json_field spec_fields[] = {
    JSON_STRING (struct cdi_spec, version, "cdiVersion"),
    JSON_STRING (struct cdi_spec, kind,    "kind"),
    JSON_OBJECTS(struct cdi_spec, devices, "devices", struct cdi_device, device_fields),
    JSON_OBJECT (struct cdi_spec, edits,   "containerEdits", struct cdi_edits, edits_fields),
    JSON_END,
};
/* clang-format on */

static bool is_word(const char *text, size_t length, bool may_begin_with_digit, const char *more)
{
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool is_digit = c >= '0' && c <= '9';
        bool is_edge = i == 0 || i == length - 1;

        if (is_letter || (is_digit && (i || may_begin_with_digit)))
            continue;
        if (is_edge || !strchr(more, c))
            return false;
    }
    return length > 0;
}

/* "vendor.com/class" */
static bool is_kind(const char *text, size_t length)
{
    const char *slash = memchr(text, '/', length);

    return slash && is_word(text, (size_t)(slash - text), false, "_-.") &&
           is_word(slash + 1, length - (size_t)(slash + 1 - text), false, "_-");
}

bool cdi_name_is_valid(const char *text)
{
    const char *equals = strchr(text, '=');

    return equals && is_kind(text, (size_t)(equals - text)) &&
           is_word(equals + 1, strlen(equals + 1), true, "_-.:");
}

/* ---- checks ---- */

static bool is_absolute(const char *path)
{
    return path && path[0] == '/';
}

static int check_nodes(const struct json_list *nodes, struct error *err)
{
    for (size_t i = 0; i < nodes->count; i++) {
        const struct cdi_device_node *node = &JSON_ITEMS(nodes, const struct cdi_device_node)[i];
        const char *type = node->type ? node->type : "";

        if (!is_absolute(node->path) ||
            (!text_is_empty(node->host_path) && node->host_path[0] != '/'))
            return error_set(err, ERROR_INVALID, "invalid device node: \"%s\" is not absolute",
                             node->path ? node->path : "");
        if (*type && strcmp(type, "b") != 0 && strcmp(type, "c") != 0 && strcmp(type, "u") != 0 &&
            strcmp(type, "p") != 0)
            return error_set(err, ERROR_INVALID, "device \"%s\": invalid type \"%s\"", node->path,
                             type);
        if (node->permissions && strspn(node->permissions, "rwm") != strlen(node->permissions))
            return error_set(err, ERROR_INVALID, "device \"%s\": invalid permissions \"%s\"",
                             node->path, node->permissions);
    }
    return 0;
}

static int check_hooks(const struct json_list *hooks, struct error *err)
{
    static const char *const names[] = { "prestart",       "createRuntime", "createContainer",
                                         "startContainer", "poststart",     "poststop" };

    for (size_t i = 0; i < hooks->count; i++) {
        const struct cdi_hook *hook = &JSON_ITEMS(hooks, const struct cdi_hook)[i];
        bool is_known = false;

        for (size_t n = 0; n < COUNT(names); n++)
            is_known |= text_equal(hook->hook_name, names[n]);
        if (!is_known)
            return error_set(err, ERROR_INVALID, "invalid hook name \"%s\"",
                             hook->hook_name ? hook->hook_name : "");
        if (!is_absolute(hook->path))
            return error_set(err, ERROR_INVALID, "hook \"%s\" has no absolute path",
                             hook->hook_name);
    }
    return 0;
}

static int check_edits(const struct cdi_edits *edits, struct error *err)
{
    if (edits->intel_rdt)
        return error_set(err, ERROR_UNSUPPORTED, "intelRdt is not supported");
    for (size_t i = 0; i < edits->env.count; i++)
        if (!strchr(edits->env.items[i], '=') || edits->env.items[i][0] == '=')
            return error_set(err, ERROR_INVALID, "invalid environment variable \"%s\"",
                             edits->env.items[i]);
    for (size_t i = 0; i < edits->mounts.count; i++) {
        const struct cdi_mount *mount = &JSON_ITEMS(&edits->mounts, const struct cdi_mount)[i];

        if (!is_absolute(mount->host_path) || !is_absolute(mount->container_path))
            return error_set(err, ERROR_INVALID, "invalid mount: its paths must be absolute");
    }
    return check_nodes(&edits->device_nodes, err) < 0 ? -1 : check_hooks(&edits->hooks, err);
}

static int check_spec(const struct cdi_spec *spec, struct error *err)
{
    if (!spec->kind || !is_kind(spec->kind, strlen(spec->kind)))
        return error_set(err, ERROR_INVALID, "invalid kind \"%s\"", spec->kind ? spec->kind : "");
    if (spec->devices.count > DEVICE_LIMIT)
        return error_set(err, ERROR_INVALID, "more than %d devices", DEVICE_LIMIT);
    for (size_t i = 0; i < spec->devices.count; i++) {
        const struct cdi_device *device = &JSON_ITEMS(&spec->devices, const struct cdi_device)[i];
        const char *name = device->name ? device->name : "";

        if (!is_word(name, strlen(name), true, "_-.:"))
            return error_set(err, ERROR_INVALID, "invalid device name \"%s\"", name);
        if (cdi_spec_find(spec, name) != device)
            return error_set(err, ERROR_INVALID, "device \"%s\" is there twice", name);
        if (check_edits(&device->edits, err) < 0)
            return error_context(err, "device \"%s\"", name);
    }
    return check_edits(&spec->edits, err);
}

int cdi_spec_decode(const char *text, size_t size, struct cdi_spec *out, struct error *err)
{
    CLEANUP(cdi_spec_done) struct cdi_spec spec = {};

    if (json_decode(spec_fields, text, size, &spec, err) < 0 || check_spec(&spec, err) < 0)
        return -1;
    *out = spec;
    spec = (struct cdi_spec){};
    return 0;
}

void cdi_spec_done(struct cdi_spec *spec)
{
    json_fields_done(spec_fields, spec);
}

const struct cdi_device *cdi_spec_find(const struct cdi_spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->devices.count; i++) {
        const struct cdi_device *device = &JSON_ITEMS(&spec->devices, const struct cdi_device)[i];

        if (text_equal(device->name, name))
            return device;
    }
    return NULL;
}
