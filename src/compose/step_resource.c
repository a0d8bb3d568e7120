/* Networks, volumes and images. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "compose/apply.h"
#include "compose/body.h"
#include "compose/canonical.h"
#include "compose/label.h"

#include "base/banned.h"

static void add_labels(struct json_writer *w, const struct apply *apply, const struct step *step,
                       const struct yaml *resource, bool is_network)
{
    const struct yaml *labels = yaml_get(resource, "labels");
    char hash[CONFIG_HASH_SIZE];

    canonical_resource_hash(resource, is_network, hash);
    json_begin_dict(w, "Labels");
    for (size_t i = 0; i < yaml_count(labels); i++)
        json_add_text(w, labels->keys[i], yaml_text(labels->items[i]));
    json_add_text(w, LABEL_PROJECT, apply->project->name);
    json_add_text(w, is_network ? LABEL_NETWORK : LABEL_VOLUME, step->service);
    json_add_text(w, LABEL_VERSION, LABEL_VERSION_VALUE);
    json_add_text(w, LABEL_HASH, hash);
    json_end_dict(w);
}

static void add_ipam(struct json_writer *w, const struct yaml *ipam)
{
    const struct yaml *pools = yaml_get(ipam, "config");

    if (!yaml_count(ipam))
        return;
    json_begin_dict(w, "IPAM");
    json_add_text(w, "Driver", yaml_text(yaml_get(ipam, "driver")) ?: "default");
    json_begin_list(w, "Config");
    for (size_t i = 0; i < yaml_count(pools); i++) {
        json_begin_dict(w, NULL);
        body_text(w, "Subnet", yaml_get(pools->items[i], "subnet"));
        body_text(w, "IPRange", yaml_get(pools->items[i], "ip_range"));
        body_text(w, "Gateway", yaml_get(pools->items[i], "gateway"));
        body_raw(w, "AuxiliaryAddresses", yaml_get(pools->items[i], "aux_addresses"));
        json_end_dict(w);
    }
    json_end_list(w);
    body_raw(w, "Options", yaml_get(ipam, "options"));
    json_end_dict(w);
}

int step_network_create(struct apply *apply, const struct step *step, struct error *err)
{
    const struct yaml *network = yaml_get_path(apply->project->model, "networks", step->service);
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "Name", step->subject);
    body_text(&w, "Driver", yaml_get(network, "driver"));
    body_raw(&w, "Options", yaml_get(network, "driver_opts"));
    body_bool(&w, "Internal", yaml_get(network, "internal"));
    body_bool(&w, "Attachable", yaml_get(network, "attachable"));
    body_bool(&w, "EnableIPv4", yaml_get(network, "enable_ipv4"));
    body_bool(&w, "EnableIPv6", yaml_get(network, "enable_ipv6"));
    add_ipam(&w, yaml_get(network, "ipam"));
    add_labels(&w, apply, step, network, true);
    json_end_dict(&w);
    client_path_begin(&path, "/networks/create");
    return client_call(apply->client, "POST", &path, str_text(&body), NULL, err);
}

static int remove_named(struct apply *apply, const char *prefix, const char *name,
                        struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "%s", prefix);
    client_path_segment(&path, name);
    if (client_call(apply->client, "DELETE", &path, NULL, NULL, err) < 0 &&
        err->kind != ERROR_NOT_FOUND)
        return -1;
    return 0;
}

int step_network_remove(struct apply *apply, const struct step *step, struct error *err)
{
    return remove_named(apply, "/networks", step->subject, err);
}

int step_volume_create(struct apply *apply, const struct step *step, struct error *err)
{
    const struct yaml *volume = yaml_get_path(apply->project->model, "volumes", step->service);
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "Name", step->subject);
    body_text(&w, "Driver", yaml_get(volume, "driver"));
    body_raw(&w, "DriverOpts", yaml_get(volume, "driver_opts"));
    add_labels(&w, apply, step, volume, false);
    json_end_dict(&w);
    client_path_begin(&path, "/volumes/create");
    return client_call(apply->client, "POST", &path, str_text(&body), NULL, err);
}

int step_volume_remove(struct apply *apply, const struct step *step, struct error *err)
{
    return remove_named(apply, "/volumes", step->subject, err);
}

int step_image_remove(struct apply *apply, const struct step *step, struct error *err)
{
    return remove_named(apply, "/images", step->subject, err);
}
