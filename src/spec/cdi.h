/* The Container Device Interface: files in which vendors say what a container needs to use their
 * devices. Version 1.0 of the format, JSON.
 * https://github.com/cncf-tags/container-device-interface */
#ifndef BERTH_SPEC_CDI_H
#define BERTH_SPEC_CDI_H

#include "spec/runtime_config.h"

struct cdi_device_node {
    char *path, *host_path, *type, *permissions;
    struct optional_int64 major, minor, file_mode, uid, gid;
};

struct cdi_mount {
    char *host_path, *container_path, *type;
    struct strv options;
};

struct cdi_hook {
    char *hook_name; /* prestart, createRuntime, … */
    char *path;
    struct strv args, env;
    struct optional_int64 timeout_s;
};

struct cdi_edits {
    struct strv env;
    struct json_list device_nodes; /* struct cdi_device_node */
    struct json_list mounts;       /* struct cdi_mount */
    struct json_list hooks;        /* struct cdi_hook */
    char *additional_gids;         /* raw JSON */
    char *intel_rdt;               /* raw JSON; refused */
};

struct cdi_device {
    char *name;
    struct cdi_edits edits;
};

struct cdi_spec {
    char *version, *kind;     /* "vendor.com/class" */
    struct json_list devices; /* struct cdi_device */
    struct cdi_edits edits;   /* for every device of the file */
};

/* INVALID for broken JSON and for what the format does not allow: a kind or a name of a device that
 * is none, a device twice, a path that is not absolute, an unknown hook. */
int cdi_spec_decode(const char *text, size_t size, struct cdi_spec *out, struct error *err);
void cdi_spec_done(struct cdi_spec *spec);
CLEANUP_VALUE(cdi_spec_done, struct cdi_spec)

const struct cdi_device *cdi_spec_find(const struct cdi_spec *spec, const char *name);

/* "vendor.com/class=device". */
bool cdi_name_is_valid(const char *text);

#endif
