/* Images in JSON. */
#include "api/image_write.h"

#include <string.h>

#include "api/version.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/text.h"
#include "codec/sha256.h"

#include "base/banned.h"

/* clang-format off */
/* Config as an inspected image shows it, and as it did before API 1.50. */
static const struct json_field config_fields[] = {
    JSON_BOOL          (struct container_config, args_escaped,  "ArgsEscaped",  .omit_empty = true),
    JSON_STRV          (struct container_config, cmd,           "Cmd"),
    JSON_STRV          (struct container_config, entrypoint,    "Entrypoint"),
    JSON_STRV          (struct container_config, env,           "Env"),
    JSON_SET           (struct container_config, exposed_ports, "ExposedPorts", .omit_empty = true),
    JSON_OBJECT_POINTER(struct container_config, healthcheck,   "Healthcheck", struct health_config,
                        health_config_fields, .omit_empty = true),
    JSON_TEXTS         (struct container_config, labels,        "Labels"),
    JSON_STRV          (struct container_config, on_build,      "OnBuild"),
    JSON_STRV          (struct container_config, shell,         "Shell",        .omit_empty = true),
    JSON_STRING        (struct container_config, stop_signal,   "StopSignal",   .omit_empty = true),
    JSON_STRING        (struct container_config, user,          "User"),
    JSON_SET           (struct container_config, volumes,       "Volumes"),
    JSON_STRING        (struct container_config, working_dir,   "WorkingDir"),
    JSON_END,
};

static const struct json_field old_config_fields[] = {
    JSON_BOOL          (struct container_config, args_escaped,  "ArgsEscaped",  .omit_empty = true),
    JSON_BOOL          (struct container_config, attach_stderr, "AttachStderr"),
    JSON_BOOL          (struct container_config, attach_stdin,  "AttachStdin"),
    JSON_BOOL          (struct container_config, attach_stdout, "AttachStdout"),
    JSON_STRV          (struct container_config, cmd,           "Cmd"),
    JSON_STRING        (struct container_config, domainname,    "Domainname"),
    JSON_STRV          (struct container_config, entrypoint,    "Entrypoint"),
    JSON_STRV          (struct container_config, env,           "Env"),
    JSON_SET           (struct container_config, exposed_ports, "ExposedPorts", .omit_empty = true),
    JSON_OBJECT_POINTER(struct container_config, healthcheck,   "Healthcheck", struct health_config,
                        health_config_fields, .omit_empty = true),
    JSON_STRING        (struct container_config, hostname,      "Hostname"),
    JSON_STRING        (struct container_config, image,         "Image"),
    JSON_TEXTS         (struct container_config, labels,        "Labels"),
    JSON_STRV          (struct container_config, on_build,      "OnBuild"),
    JSON_BOOL          (struct container_config, open_stdin,    "OpenStdin"),
    JSON_STRV          (struct container_config, shell,         "Shell",        .omit_empty = true),
    JSON_BOOL          (struct container_config, stdin_once,    "StdinOnce"),
    JSON_STRING        (struct container_config, stop_signal,   "StopSignal",   .omit_empty = true),
    JSON_BOOL          (struct container_config, tty,           "Tty"),
    JSON_STRING        (struct container_config, user,          "User"),
    JSON_SET           (struct container_config, volumes,       "Volumes"),
    JSON_STRING        (struct container_config, working_dir,   "WorkingDir"),
    JSON_END,
};
/* clang-format on */

static void write_names(struct json_writer *w, const char *key, const struct strv *names)
{
    json_begin_list(w, key);
    for (size_t i = 0; i < names->count; i++)
        json_add_text(w, NULL, names->items[i]);
    json_end_list(w);
}

/* Names of an entry: without any, lists are empty, null in disk usage; before 1.43 both were
 * filled for an image without any name. */
static void write_item_names(struct json_writer *w, const struct image *image,
                             const struct image_view *view)
{
    bool is_old = view->version < API_VERSION(43) && !view->empty_names_are_null;
    const struct strv *digests = view->digests ?: &image->digests;
    bool is_nameless = view->tags->count == 0 && digests->count == 0;

    if (is_old && is_nameless)
        json_add_raw(w, "RepoDigests", "[\"\\u003cnone\\u003e@\\u003cnone\\u003e\"]");
    else if (digests->count == 0 && (is_old || view->empty_names_are_null))
        json_add_null(w, "RepoDigests");
    else
        write_names(w, "RepoDigests", digests);
    if (is_old && view->tags->count == 0)
        json_add_raw(w, "RepoTags", "[\"\\u003cnone\\u003e:\\u003cnone\\u003e\"]");
    else if (view->tags->count == 0 && view->empty_names_are_null)
        json_add_null(w, "RepoTags");
    else
        write_names(w, "RepoTags", view->tags);
}

void image_write_item(struct json_writer *w, const struct image *image,
                      const struct image_view *view)
{
    const struct map *labels = &image->config.config.labels;

    json_begin_dict(w, NULL);
    json_add_int64(w, "Containers", view->container_count);
    json_add_int64(w, "Created", date_seconds(image->created_ns));
    json_add_text(w, "Id", image->id);
    if (labels->count > 0)
        json_add_texts(w, "Labels", labels);
    else
        json_add_null(w, "Labels");
    json_add_text(w, "ParentId", image->parent_id);
    write_item_names(w, image, view);
    json_add_int64(w, "SharedSize", view->shared_size);
    json_add_int64(w, "Size", image->size_bytes);
    if (view->version < API_VERSION(44))
        json_add_int64(w, "VirtualSize", image->size_bytes);
    json_end_dict(w);
}

/* ---- in full ---- */

static void add_layer_path(struct str *out, const char *data_path, const char *chain_id,
                           const char *name)
{
    str_add_format(out, "%s/layers/%s/%s", data_path, digest_hex(chain_id), name);
}

/* Of the top layer. */
static void write_layer_path(struct json_writer *w, const char *key, const struct image *image,
                             const struct image_view *view, const char *name)
{
    CLEANUP(str_done) struct str path = {};

    if (*image->chain_id)
        add_layer_path(&path, view->data_path, image->chain_id, name);
    json_add_text(w, key, str_text(&path));
}

static void write_graph_driver(struct json_writer *w, const struct image *image,
                               const struct image_view *view)
{
    CLEANUP(strv_done) struct strv chain_ids = {};
    CLEANUP(str_done) struct str lower = {};

    image_chain_ids(&image->config.rootfs.diff_ids, &chain_ids);
    for (size_t count = chain_ids.count; count > 1; count--) {
        if (lower.length > 0)
            str_add_char(&lower, ':');
        add_layer_path(&lower, view->data_path, chain_ids.items[count - 2], "diff");
    }
    json_begin_dict(w, "GraphDriver");
    json_begin_dict(w, "Data");
    if (lower.length > 0)
        json_add_text(w, "LowerDir", str_text(&lower));
    write_layer_path(w, "MergedDir", image, view, "merged");
    write_layer_path(w, "UpperDir", image, view, "diff");
    write_layer_path(w, "WorkDir", image, view, "work");
    json_end_dict(w);
    json_add_text(w, "Name", view->driver);
    json_end_dict(w);
}

static void write_platform(struct json_writer *w, const struct image_config *config)
{
    json_add_text(w, "DockerVersion", config->docker_version ?: "");
    json_add_text(w, "Author", config->author ?: "");
    json_add_text(w, "Architecture", config->architecture ?: "");
    if (!text_is_empty(config->variant))
        json_add_text(w, "Variant", config->variant);
    json_add_text(w, "Os", config->os ?: "");
    if (!text_is_empty(config->os_version))
        json_add_text(w, "OsVersion", config->os_version);
}

static void write_root(struct json_writer *w, const struct image *image)
{
    json_begin_dict(w, "RootFS");
    json_add_text(w, "Type", "layers");
    if (image->config.rootfs.diff_ids.count > 0)
        json_add_strv(w, "Layers", &image->config.rootfs.diff_ids);
    json_end_dict(w);
    json_begin_dict(w, "Metadata");
    json_add_time(w, "LastTagTime", image->tagged_ns);
    json_end_dict(w);
}

/* Builders say it of the last step only. */
static const char *comment_of(const struct image_config *config)
{
    const struct image_history *steps = JSON_ITEMS(&config->history, struct image_history);
    size_t count = config->history.count;

    return !text_is_empty(config->comment) || !count ? config->comment ?: ""
                                                     : steps[count - 1].comment ?: "";
}

void image_write_full(struct json_writer *w, const struct image *image,
                      const struct image_view *view)
{
    const struct image_config *config = &image->config;

    json_begin_dict(w, NULL);
    json_add_text(w, "Id", image->id);
    write_names(w, "RepoTags", &image->tags);
    write_names(w, "RepoDigests", &image->digests);
    json_add_text(w, "Parent", image->parent_id);
    json_add_text(w, "Comment", comment_of(config));
    json_add_date(w, "Created", image->created_ns);
    if (view->version < API_VERSION(45)) {
        json_add_object(w, "ContainerConfig", container_config_fields,
                        &(struct container_config){});
    }
    write_platform(w, config);
    json_add_int64(w, "Size", image->size_bytes);
    if (view->version < API_VERSION(44))
        json_add_int64(w, "VirtualSize", image->size_bytes);
    write_graph_driver(w, image, view);
    write_root(w, image);
    json_add_object(w, "Config",
                    view->version < API_VERSION(50) ? old_config_fields : config_fields,
                    &config->config);
    json_end_dict(w);
}

/* ---- removals ---- */

void image_removals_write(struct json_writer *w, const struct json_list *removals)
{
    const struct image_removal *items = JSON_ITEMS(removals, struct image_removal);

    for (size_t i = 0; i < removals->count; i++) {
        json_begin_dict(w, NULL);
        json_add_text(w, items[i].is_untagged ? "Untagged" : "Deleted", items[i].name);
        json_end_dict(w);
    }
}
