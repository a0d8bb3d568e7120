/* Volumes, binds, secrets and configs of files. Secrets that are no file of the host, or that have
 * an owner or mode of their own, are put in before the start (compose/secret.h). */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "compose/body.h"
#include "compose/secret.h"

#include "base/banned.h"

static const char *volume_name(const struct project *project, const char *key)
{
    const char *name = yaml_text(yaml_get(yaml_get_path(project->model, "volumes", key), "name"));

    return name ? name : key;
}

/* A mount that Docker's "Binds" can say: they make missing directories of the host. */
static bool is_simple(const struct yaml *mount)
{
    const char *type = yaml_text(yaml_get(mount, "type"));
    const struct yaml *bind = yaml_get(mount, "bind"), *volume = yaml_get(mount, "volume");

    if (text_equal(type, "bind"))
        return !bind ||
               (yaml_is_true(yaml_get(bind, "create_host_path")) && !yaml_get(bind, "recursive"));
    return text_equal(type, "volume") && yaml_get(mount, "source") &&
           !yaml_get(volume, "subpath") && !yaml_get(volume, "labels");
}

static void add_bind(struct json_writer *w, const struct project *project, const struct yaml *mount)
{
    const struct yaml *bind = yaml_get(mount, "bind");
    const char *source = yaml_text(yaml_get(mount, "source"));
    const char *selinux = yaml_text(yaml_get(bind, "selinux")),
               *propagation = yaml_text(yaml_get(bind, "propagation"));
    CLEANUP(str_done) struct str text = {};

    if (text_equal(yaml_text(yaml_get(mount, "type")), "volume"))
        source = volume_name(project, source);
    str_add_format(&text, "%s:%s:%s", source, yaml_text(yaml_get(mount, "target")),
                   yaml_is_true(yaml_get(mount, "read_only")) ? "ro" : "rw");
    if (selinux)
        str_add_format(&text, ",%s", selinux);
    if (propagation)
        str_add_format(&text, ",%s", propagation);
    if (yaml_is_true(yaml_get_path(mount, "volume", "nocopy")))
        str_add(&text, ",nocopy");
    json_add_text(w, NULL, str_text(&text));
}

/* The volume that a replaced container had at that place, if it was an anonymous one. */
static const char *carried_volume(const struct body_wish *wish, const char *target)
{
    const struct json *mounts = json_get(wish->replaced, "Mounts");

    for (size_t i = 0; i < json_count(mounts); i++) {
        const struct json *mount = json_at(mounts, i);

        if (text_equal(json_text(json_get(mount, "Destination")), target) &&
            text_equal(json_text(json_get(mount, "Type")), "volume"))
            return json_text(json_get(mount, "Name"));
    }
    return NULL;
}

static void add_bind_options(struct json_writer *w, const struct yaml *bind)
{
    const char *recursive = yaml_text(yaml_get(bind, "recursive"));

    json_begin_dict(w, "BindOptions");
    body_text(w, "Propagation", yaml_get(bind, "propagation"));
    if (yaml_is_true(yaml_get(bind, "create_host_path")))
        json_add_bool(w, "CreateMountpoint", true);
    if (text_equal(recursive, "disabled"))
        json_add_bool(w, "NonRecursive", true);
    if (text_equal(recursive, "writable"))
        json_add_bool(w, "ReadOnlyNonRecursive", true);
    if (text_equal(recursive, "readonly"))
        json_add_bool(w, "ReadOnlyForceRecursive", true);
    json_end_dict(w);
}

static void add_sections(struct json_writer *w, const struct yaml *mount, const char *type)
{
    const struct yaml *volume = yaml_get(mount, "volume"), *tmpfs = yaml_get(mount, "tmpfs");

    if (strcmp(type, "bind") == 0)
        add_bind_options(w, yaml_get(mount, "bind"));
    if (strcmp(type, "volume") == 0 && yaml_count(volume)) {
        json_begin_dict(w, "VolumeOptions");
        body_bool(w, "NoCopy", yaml_get(volume, "nocopy"));
        body_text(w, "Subpath", yaml_get(volume, "subpath"));
        body_raw(w, "Labels", yaml_get(volume, "labels"));
        json_end_dict(w);
    }
    if (strcmp(type, "tmpfs") == 0 && yaml_count(tmpfs)) {
        json_begin_dict(w, "TmpfsOptions");
        body_integer(w, "SizeBytes", yaml_get(tmpfs, "size"));
        body_integer(w, "Mode", yaml_get(tmpfs, "mode"));
        json_end_dict(w);
    }
    if (strcmp(type, "image") == 0 && yaml_get_path(mount, "image", "subpath")) {
        json_begin_dict(w, "ImageOptions");
        body_text(w, "Subpath", yaml_get_path(mount, "image", "subpath"));
        json_end_dict(w);
    }
}

static int add_mount(struct json_writer *w, const struct body_wish *wish, const struct yaml *mount,
                     struct error *err)
{
    const char *type = yaml_text(yaml_get(mount, "type"));
    const char *source = yaml_text(yaml_get(mount, "source")),
               *target = yaml_text(yaml_get(mount, "target"));

    if (strcmp(type, "npipe") == 0 || strcmp(type, "cluster") == 0)
        return error_set(err, ERROR_UNSUPPORTED, "service %s: mounts of type %s are not supported",
                         wish->service_name, type);
    if (strcmp(type, "volume") == 0)
        source = source ? volume_name(wish->project, source) : carried_volume(wish, target);
    json_begin_dict(w, NULL);
    json_add_text(w, "Type", type);
    if (source)
        json_add_text(w, "Source", source);
    json_add_text(w, "Target", target);
    body_bool(w, "ReadOnly", yaml_get(mount, "read_only"));
    body_text(w, "Consistency", yaml_get(mount, "consistency"));
    add_sections(w, mount, type);
    json_end_dict(w);
    return 0;
}

static void add_secret_mounts(struct json_writer *w, const struct body_wish *wish, bool is_config)
{
    const struct yaml *references = yaml_get(wish->service, is_config ? "configs" : "secrets");

    for (size_t i = 0; i < yaml_count(references); i++) {
        const char *file = secret_bind_source(wish->project, references->items[i], is_config);
        CLEANUP(free) char *target = secret_target(references->items[i], is_config);

        if (!file)
            continue;
        json_begin_dict(w, NULL);
        json_add_text(w, "Type", "bind");
        json_add_text(w, "Source", file);
        json_add_text(w, "Target", target);
        json_add_bool(w, "ReadOnly", true);
        json_end_dict(w);
    }
}

static int add_volumes_from(struct json_writer *w, const struct body_wish *wish, struct error *err)
{
    const struct yaml *from = yaml_get(wish->service, "volumes_from");

    if (!yaml_count(from))
        return 0;
    json_begin_list(w, "VolumesFrom");
    for (size_t i = 0; i < from->count; i++) {
        const char *text = from->items[i]->text;
        size_t length = strcspn(text, ":");

        if (text_starts(text, "container:")) {
            json_add_text(w, NULL, text + strlen("container:"));
            continue;
        }
        CLEANUP(free) char *service = xstrndup(text, length);
        CLEANUP(free) char *id = wish->container_of(wish->data, service);
        if (!id)
            return error_set(err, ERROR_NOT_FOUND,
                             "service %s has no container with volumes for %s", service,
                             wish->service_name);
        json_add_text_format(w, NULL, "%s%s", id, text + length);
    }
    json_end_list(w);
    return 0;
}

int body_add_mounts(struct json_writer *w, const struct body_wish *wish, struct error *err)
{
    const struct yaml *mounts = yaml_get(wish->service, "volumes");

    json_begin_list(w, "Binds");
    for (size_t i = 0; i < yaml_count(mounts); i++)
        if (is_simple(mounts->items[i]))
            add_bind(w, wish->project, mounts->items[i]);
    json_end_list(w);
    json_begin_list(w, "Mounts");
    for (size_t i = 0; i < yaml_count(mounts); i++)
        if (!is_simple(mounts->items[i]) && add_mount(w, wish, mounts->items[i], err) < 0)
            return -1;
    add_secret_mounts(w, wish, false);
    add_secret_mounts(w, wish, true);
    json_end_list(w);
    return add_volumes_from(w, wish, err);
}
