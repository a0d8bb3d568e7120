/* What the container runs: the members of Docker's Config. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "compose/body.h"
#include "compose/canonical.h"
#include "compose/label.h"

#include "base/banned.h"

static void add_environment(struct json_writer *w, const struct yaml *environment)
{
    json_begin_list(w, "Env");
    for (size_t i = 0; i < yaml_count(environment); i++)
        if (yaml_is_null(environment->items[i]))
            json_add_text(w, NULL, environment->keys[i]);
        else
            json_add_text_format(w, NULL, "%s=%s", environment->keys[i],
                                 yaml_text(environment->items[i]));
    json_end_list(w);
}

static void add_health(struct json_writer *w, const struct yaml *health)
{
    static const struct {
        const char *key, *member;
    } durations[] = {
        { "interval", "Interval" },
        { "timeout", "Timeout" },
        { "start_period", "StartPeriod" },
        { "start_interval", "StartInterval" },
    };

    if (yaml_is_null(health))
        return;
    json_begin_dict(w, "Healthcheck");
    if (yaml_is_true(yaml_get(health, "disable")))
        json_add_raw(w, "Test", "[\"NONE\"]");
    else
        body_raw(w, "Test", yaml_get(health, "test"));
    for (size_t i = 0; i < COUNT(durations); i++)
        if (yaml_get(health, durations[i].key))
            json_add_int64(w, durations[i].member,
                           body_duration_ns(yaml_get(health, durations[i].key)));
    body_integer(w, "Retries", yaml_get(health, "retries"));
    json_end_dict(w);
}

/* "db:service_healthy:false,…": how others see what the container waits for. */
static char *dependencies_text(const struct yaml *dependencies)
{
    struct str text = {};

    for (size_t i = 0; i < yaml_count(dependencies); i++)
        str_add_format(&text, "%s%s:%s:%s", i ? "," : "", dependencies->keys[i],
                       yaml_text(yaml_get(dependencies->items[i], "condition")),
                       yaml_is_true(yaml_get(dependencies->items[i], "restart")) ? "true"
                                                                                 : "false");
    return str_take(&text);
}

static void add_labels(struct json_writer *w, const struct body_wish *wish)
{
    const struct yaml *labels = yaml_get(wish->service, "labels");
    CLEANUP(free) char *files = strv_join(&wish->project->files, ",");
    CLEANUP(free) char *env_files = strv_join(&wish->project->env_files, ",");
    CLEANUP(free) char *dependencies = dependencies_text(yaml_get(wish->service, "depends_on"));
    char hash[CONFIG_HASH_SIZE];

    canonical_service_hash(wish->service, wish->container_of, wish->data, hash);
    json_begin_dict(w, "Labels");
    for (size_t i = 0; i < yaml_count(labels); i++)
        json_add_text(w, labels->keys[i], yaml_text(labels->items[i]));
    json_add_text(w, LABEL_PROJECT, wish->project->name);
    json_add_text(w, LABEL_SERVICE, wish->service_name);
    json_add_text(w, LABEL_VERSION, LABEL_VERSION_VALUE);
    json_add_text(w, LABEL_ONEOFF, wish->slug ? "True" : "False");
    json_add_text(w, LABEL_DIRECTORY, wish->project->directory);
    json_add_text(w, LABEL_FILES, files);
    json_add_text(w, LABEL_HASH, hash);
    json_add_text(w, LABEL_DEPENDENCIES, dependencies);
    if (wish->image_id)
        json_add_text(w, LABEL_IMAGE, wish->image_id);
    if (wish->project->env_files.count)
        json_add_text(w, LABEL_ENVIRONMENT_FILE, env_files);
    if (wish->slug)
        json_add_text(w, LABEL_SLUG, wish->slug);
    else
        json_add_text_format(w, LABEL_NUMBER, "%d", wish->number);
    if (wish->replaced_id)
        json_add_text(w, LABEL_REPLACES, wish->replaced_id);
    json_end_dict(w);
}

static void add_exposed(struct json_writer *w, const struct yaml *service)
{
    const struct yaml *ports = yaml_get(service, "ports"), *exposed = yaml_get(service, "expose");

    json_begin_dict(w, "ExposedPorts");
    for (size_t i = 0; i < yaml_count(ports); i++) {
        CLEANUP(free)
        char *name = xasprintf("%lld/%s",
                               (long long)body_to_int64(yaml_get(ports->items[i], "target")),
                               yaml_text(yaml_get(ports->items[i], "protocol")) ?: "tcp");

        json_add_raw(w, name, "{}");
    }
    for (size_t i = 0; i < yaml_count(exposed); i++) {
        const char *text = exposed->items[i]->text;
        CLEANUP(free) char *name = strchr(text, '/') ? xstrdup(text) : xasprintf("%s/tcp", text);

        json_add_raw(w, name, "{}");
    }
    json_end_dict(w);
}

void body_add_config(struct json_writer *w, const struct body_wish *wish)
{
    const struct yaml *service = wish->service;
    const struct yaml *grace = yaml_get(service, "stop_grace_period");
    bool is_oneoff = wish->slug != NULL;
    bool opens_stdin = yaml_is_true(yaml_get(service, "stdin_open"));

    body_text(w, "Hostname", yaml_get(service, "hostname"));
    body_text(w, "Domainname", yaml_get(service, "domainname"));
    body_text(w, "User", yaml_get(service, "user"));
    json_add_bool(w, "AttachStdin", is_oneoff && wish->is_attached && opens_stdin);
    json_add_bool(w, "AttachStdout", true);
    json_add_bool(w, "AttachStderr", true);
    body_bool(w, "Tty", yaml_get(service, "tty"));
    body_bool(w, "OpenStdin", yaml_get(service, "stdin_open"));
    json_add_bool(w, "StdinOnce", is_oneoff && wish->is_attached && opens_stdin);
    add_environment(w, yaml_get(service, "environment"));
    body_raw(w, "Cmd", yaml_get(service, "command"));
    body_raw(w, "Entrypoint", yaml_get(service, "entrypoint"));
    json_add_text(w, "Image", wish->image);
    body_text(w, "WorkingDir", yaml_get(service, "working_dir"));
    body_text(w, "MacAddress", yaml_get(service, "mac_address"));
    body_text(w, "StopSignal", yaml_get(service, "stop_signal"));
    if (!yaml_is_null(grace))
        json_add_int64(w, "StopTimeout", (body_duration_ns(grace) + NS_PER_S - 1) / NS_PER_S);
    add_exposed(w, service);
    add_health(w, yaml_get(service, "healthcheck"));
    add_labels(w, wish);
}
