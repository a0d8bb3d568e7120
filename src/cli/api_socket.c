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

void api_socket_mount(const struct client *client, struct mount_request *out)
{
    const char *host = client_host(client);

    out->type = xstrdup("bind");
    out->source = xstrdup(text_starts(host, "unix://") ? host + strlen("unix://") : SOCKET_PATH);
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
