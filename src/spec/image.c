/* The JSON tables of OCI images. */
#include "spec/image.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "codec/sha256.h"

#include "base/banned.h"

/* clang-format off */
const struct json_field image_container_config_fields[] = {
    JSON_STRING        (struct container_config, hostname,      "Hostname",     .omit_empty = true),
    JSON_STRING        (struct container_config, domainname,    "Domainname",   .omit_empty = true),
    JSON_STRING        (struct container_config, user,          "User",         .omit_empty = true),
    JSON_SET           (struct container_config, exposed_ports, "ExposedPorts", .omit_empty = true),
    JSON_STRV          (struct container_config, env,           "Env",          .omit_empty = true),
    JSON_STRV_OR_TEXT  (struct container_config, entrypoint,    "Entrypoint",   .omit_empty = true),
    JSON_STRV_OR_TEXT  (struct container_config, cmd,           "Cmd",          .omit_empty = true),
    JSON_SET           (struct container_config, volumes,       "Volumes",      .omit_empty = true),
    JSON_STRING        (struct container_config, working_dir,   "WorkingDir",   .omit_empty = true),
    JSON_TEXTS         (struct container_config, labels,        "Labels",       .omit_empty = true),
    JSON_STRING        (struct container_config, stop_signal,   "StopSignal",   .omit_empty = true),
    JSON_BOOL          (struct container_config, args_escaped,  "ArgsEscaped",  .omit_empty = true),
    JSON_OBJECT_POINTER(struct container_config, healthcheck,   "Healthcheck", struct health_config,
                        health_config_fields, .omit_empty = true),
    JSON_STRV          (struct container_config, on_build,      "OnBuild",      .omit_empty = true),
    JSON_STRV          (struct container_config, shell,         "Shell",        .omit_empty = true),
    JSON_END,
};

static const struct json_field image_history_fields[] = {
    JSON_DATE  (struct image_history, created_ns,  "created"),
    JSON_STRING(struct image_history, created_by,  "created_by",  .omit_empty = true),
    JSON_STRING(struct image_history, author,      "author",      .omit_empty = true),
    JSON_STRING(struct image_history, comment,     "comment",     .omit_empty = true),
    JSON_BOOL  (struct image_history, empty_layer, "empty_layer", .omit_empty = true),
    JSON_END,
};

static const struct json_field image_rootfs_fields[] = {
    JSON_STRING(struct image_rootfs, type,     "type"),
    JSON_STRV  (struct image_rootfs, diff_ids, "diff_ids"),
    JSON_END,
};

const struct json_field image_config_fields[] = {
    JSON_STRING (struct image_config, architecture,   "architecture"),
    JSON_STRING (struct image_config, variant,        "variant",        .omit_empty = true),
    JSON_STRING (struct image_config, author,         "author",         .omit_empty = true),
    JSON_STRING (struct image_config, comment,        "comment",        .omit_empty = true),
    JSON_OBJECT (struct image_config, config,         "config", struct container_config, image_container_config_fields),
    JSON_DATE   (struct image_config, created_ns,     "created"),
    JSON_STRING (struct image_config, docker_version, "docker_version", .omit_empty = true),
    JSON_OBJECTS(struct image_config, history,        "history", struct image_history, image_history_fields),
    JSON_STRING (struct image_config, os,             "os"),
    JSON_STRING (struct image_config, os_version,     "os.version",     .omit_empty = true),
    JSON_OBJECT (struct image_config, rootfs,         "rootfs", struct image_rootfs, image_rootfs_fields),
    JSON_END,
};
/* clang-format on */

/* From that of the layers below, "" if there are none. */
static void add_to_chain(char chain_id[DIGEST_SIZE], const char *diff_id)
{
    char both[2 * DIGEST_SIZE];

    if (*chain_id) {
        int length = snprintf(both, sizeof(both), "%s %s", chain_id, diff_id);
        sha256_digest(both, (size_t)length, chain_id);
    } else {
        snprintf(chain_id, DIGEST_SIZE, "%s", diff_id);
    }
}

void image_chain_id(const struct strv *diff_ids, size_t count, char out_digest[72])
{
    out_digest[0] = 0;
    for (size_t i = 0; i < count; i++)
        add_to_chain(out_digest, diff_ids->items[i]);
}

void image_chain_ids(const struct strv *diff_ids, struct strv *out)
{
    char chain_id[DIGEST_SIZE] = "";

    strv_init_empty(out);
    for (size_t i = 0; i < diff_ids->count; i++) {
        add_to_chain(chain_id, diff_ids->items[i]);
        strv_add(out, chain_id);
    }
}

const char *image_native_architecture(void)
{
    static const struct {
        const char *machine, *architecture;
    } names[] = { { "x86_64", "amd64" },    { "aarch64", "arm64" },      { "armv7l", "arm" },
                  { "i686", "386" },        { "ppc64le", "ppc64le" },    { "s390x", "s390x" },
                  { "riscv64", "riscv64" }, { "loongarch64", "loong64" } };
    struct utsname host;

    uname(&host);
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(names[i].machine, host.machine) == 0)
            return names[i].architecture;
    return "unknown";
}
