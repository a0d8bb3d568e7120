/* The file goes the way of `cp`: a mount would need a file that somebody has to take away again.
 * https://docs.docker.com/reference/cli/docker/container/run/ */
#include "cli/api_socket.h"

#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/credentials.h"
#include "cli/env_file.h"
#include "codec/tar.h"

#include "base/banned.h"

#define SOCKET_PATH      "/var/run/docker.sock"
#define CONFIG_VARIABLE  "DOCKER_CONFIG="
#define CONFIG_DIRECTORY "/run/secrets/docker"

static const char *socket_source(const struct client *client)
{
    const char *host = client_host(client);

    return text_starts(host, "unix://") ? host + strlen("unix://") : SOCKET_PATH;
}

void api_socket_mount(const struct client *client, struct mount_request *out)
{
    out->type = xstrdup("bind");
    out->source = xstrdup(socket_source(client));
    out->target = xstrdup(SOCKET_PATH);
    out->bind = NEW(struct bind_options);
}

int api_socket_credentials(struct strv *env, struct str *out, struct error *err)
{
    for (size_t i = 0; i < env->count; i++)
        if (text_starts(env->items[i], CONFIG_VARIABLE))
            return 0;
    if (credentials_all_document(out, err) < 0)
        return error_context(err, "resolving credentials failed");
    if (out->length)
        env_add(env, CONFIG_VARIABLE CONFIG_DIRECTORY);
    return 0;
}

static int write_archive(int fd, const struct str *credentials, struct error *err)
{
    CLEANUP(stream_close) struct stream *stream = stream_from_fd(fd, 0);
    CLEANUP(tar_writer_free) struct tar_writer *writer = tar_writer_new(stream, false, err);
    CLEANUP(tar_entry_done)
    struct tar_entry entry = { .name = xstrdup(CONFIG_DIRECTORY "/config.json"),
                               .type = TAR_FILE,
                               .mode = 0600,
                               .size = (int64_t)credentials->length,
                               .mtime_s = clock_wall_ns() / NS_PER_S };

    if (!writer || tar_writer_entry(writer, &entry, err) < 0 ||
        tar_writer_data(writer, credentials->data, credentials->length, err) < 0)
        return -1;
    return tar_writer_finish(writer, err);
}

int api_socket_put(struct client *client, const char *id, const struct str *credentials,
                   struct error *err)
{
    CLEANUP(close) int fd = memfd_create("config", MFD_CLOEXEC);
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(http_response_free) struct http_response *response = NULL;

    if (fd < 0)
        return error_sys(err, "memfd_create");
    if (write_archive(fd, credentials, err) < 0)
        return -1;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_sys(err, "rewind");
    CLEANUP(stream_close) struct stream *body = stream_from_fd(fd, 0);
    client_path_begin(&path, "/containers/%s/archive", id);
    client_path_query(&path, "path", "/");
    if (client_stream(client, "PUT", &path, NULL, body, "application/x-tar", &response, err) < 0)
        return error_context(err, "injecting docker config.json into container failed");
    return 0;
}

/* ---- services of a compose file ---- */

/* No name that a file may use. */
#define CONFIG_NAME "#apisocket"

/* The member of a dict, which gets an empty one where it has none. */
static struct yaml *member(struct yaml *dict, const char *key, enum yaml_kind kind)
{
    if (yaml_is_null(yaml_get(dict, key)))
        yaml_set(dict, key, yaml_new(kind));
    return yaml_get(dict, key);
}

static void add_reference(struct yaml *list, const char *key, const char *value,
                          const char *next_key, const char *next_value, const char *type)
{
    struct yaml *dict = yaml_new(YAML_DICT);

    if (type)
        yaml_set(dict, "type", yaml_new_text(type));
    yaml_set(dict, key, yaml_new_text(value));
    yaml_set(dict, next_key, yaml_new_text(next_value));
    yaml_add(list, dict);
}

static void serve_one(const struct client *client, struct yaml *service, bool has_credentials)
{
    struct yaml *environment = member(service, "environment", YAML_DICT);

    add_reference(member(service, "volumes", YAML_LIST), "source", socket_source(client), "target",
                  SOCKET_PATH, "bind");
    if (!has_credentials || yaml_get(environment, "DOCKER_CONFIG"))
        return;
    yaml_set(environment, "DOCKER_CONFIG", yaml_new_text(CONFIG_DIRECTORY));
    add_reference(member(service, "configs", YAML_LIST), "source", CONFIG_NAME, "target",
                  CONFIG_DIRECTORY "/config.json", NULL);
}

int api_socket_serve(const struct client *client, struct yaml *model, struct error *err)
{
    CLEANUP(str_done) struct str credentials = {};
    struct yaml *services = yaml_get(model, "services");
    bool is_known = false;

    for (size_t i = 0; i < yaml_count(services); i++) {
        if (!yaml_is_true(yaml_get(services->items[i], "use_api_socket")))
            continue;
        if (!is_known && credentials_all_document(&credentials, err) < 0)
            return error_context(err, "resolving credentials failed");
        is_known = true;
        serve_one(client, services->items[i], credentials.length > 0);
    }
    if (!credentials.length)
        return 0;
    struct yaml *config = yaml_new(YAML_DICT);
    yaml_set(config, "content", yaml_new_text(str_text(&credentials)));
    yaml_set(member(model, "configs", YAML_DICT), CONFIG_NAME, config);
    return 0;
}
