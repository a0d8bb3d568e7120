/* See the header. What is put in travels as one small archive. */
#include "compose/secret.h"

#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/tar.h"
#include "compose/spot.h"

#include "base/banned.h"

enum { SECRET_LIMIT = 8 * 1024 * 1024, DEFAULT_MODE = 0444 };

static const struct yaml *resource(const struct project *project, const struct yaml *reference,
                                   bool is_config)
{
    const char *source = yaml_text(yaml_get(reference, "source"));

    return source ? yaml_get_path(project->model, is_config ? "configs" : "secrets", source) : NULL;
}

const char *secret_bind_source(const struct project *project, const struct yaml *reference,
                               bool is_config)
{
    if (yaml_get(reference, "uid") || yaml_get(reference, "gid") || yaml_get(reference, "mode"))
        return NULL;
    return yaml_text(yaml_get(resource(project, reference, is_config), "file"));
}

char *secret_target(const struct yaml *reference, bool is_config)
{
    const char *target = yaml_text(yaml_get(reference, "target"));
    const char *name = target ? target : yaml_text(yaml_get(reference, "source"));

    if (name[0] == '/')
        return xstrdup(name);
    return xasprintf(is_config ? "/%s" : "/run/secrets/%s", name);
}

/* The bytes of a secret. */
static int read_value(const struct project *project, const struct yaml *resource, struct str *out,
                      struct error *err)
{
    const char *file = yaml_text(yaml_get(resource, "file"));
    const char *variable = yaml_text(yaml_get(resource, "environment"));
    const char *content = yaml_text(yaml_get(resource, "content"));

    if (file)
        return file_read(file, SECRET_LIMIT, out, err);
    if (variable && !map_has(&project->environment, variable))
        return error_set(err, ERROR_INVALID,
                         "environment variable \"%s\" required by secret is not set", variable);
    str_add(out, variable ? map_get(&project->environment, variable) : content ? content : "");
    return 0;
}

static int64_t number_of(const struct yaml *reference, const char *key, int base, int64_t fallback)
{
    const char *text = yaml_text(yaml_get(reference, key));

    return text ? strtoll(text, NULL, base) : fallback;
}

static int add_entry(struct tar_writer *writer, const struct project *project,
                     const struct yaml *reference, bool is_config, struct error *err)
{
    const struct yaml *found = resource(project, reference, is_config);
    CLEANUP(str_done) struct str value = {};
    CLEANUP(free) char *target = secret_target(reference, is_config);

    if (read_value(project, found, &value, err) < 0)
        return error_context(err, "%s %s", is_config ? "config" : "secret",
                             yaml_text(yaml_get(reference, "source")));
    struct tar_entry entry = { .name = target + 1,
                               .type = TAR_FILE,
                               .mode = (mode_t)(number_of(reference, "mode", 8, DEFAULT_MODE) &
                                                07777),
                               .uid = number_of(reference, "uid", 10, 0),
                               .gid = number_of(reference, "gid", 10, 0),
                               .size = (int64_t)value.length,
                               .mtime_s = clock_wall_ns() / NS_PER_S };
    if (tar_writer_entry(writer, &entry, err) < 0)
        return -1;
    return value.length ? tar_writer_data(writer, value.data, value.length, err) : 0;
}

/* Adds those of one kind; gives how many. */
static int add_entries(struct tar_writer *writer, const struct project *project,
                       const struct yaml *service, bool is_config, struct error *err)
{
    const struct yaml *references = yaml_get(service, is_config ? "configs" : "secrets");
    int count = 0;

    for (size_t i = 0; i < yaml_count(references); i++) {
        if (secret_bind_source(project, references->items[i], is_config))
            continue;
        if (add_entry(writer, project, references->items[i], is_config, err) < 0)
            return -1;
        count++;
    }
    return count;
}

static int write_archive(int fd, const struct project *project, const struct yaml *service,
                         struct error *err)
{
    CLEANUP(stream_close) struct stream *stream = stream_from_fd(fd, 0);
    CLEANUP(tar_writer_free) struct tar_writer *writer = tar_writer_new(stream, false, err);
    int secrets, configs;

    if (!writer)
        return -1;
    secrets = add_entries(writer, project, service, false, err);
    configs = secrets < 0 ? -1 : add_entries(writer, project, service, true, err);
    if (configs < 0 || tar_writer_finish(writer, err) < 0)
        return -1;
    return secrets + configs;
}

int secret_put_all(struct client *client, const char *container_id, const struct project *project,
                   const struct yaml *service, struct error *err)
{
    CLEANUP(close) int fd = memfd_create("secrets", MFD_CLOEXEC);
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(http_response_free) struct http_response *response = NULL;

    if (fd < 0)
        return error_sys(err, "memfd_create");
    int count = write_archive(fd, project, service, err);
    if (count <= 0)
        return count;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_sys(err, "rewind");
    CLEANUP(stream_close) struct stream *body = stream_from_fd(fd, 0);
    client_path_begin(&path, "/containers/%s/archive", container_id);
    client_path_query(&path, "path", "/");
    return client_stream(client, "PUT", &path, NULL, body, "application/x-tar", &response, err);
}

int secret_check(const struct project *project, const struct yaml *service, struct error *err)
{
    for (int is_config = 0; is_config < 2; is_config++) {
        const struct yaml *references = yaml_get(service, is_config ? "configs" : "secrets");

        for (size_t i = 0; i < yaml_count(references); i++) {
            const struct yaml *found = resource(project, references->items[i], is_config);
            const char *name = yaml_text(yaml_get(references->items[i], "source"));

            if (yaml_is_true(yaml_get(found, "external")))
                error_set(err, ERROR_UNSUPPORTED, "unsupported external %s %s",
                          is_config ? "config" : "secret", name);
            else if (yaml_get(found, "driver") || yaml_get(found, "template_driver"))
                error_set(err, ERROR_UNSUPPORTED, "unsupported driver of %s %s",
                          is_config ? "config" : "secret", name);
            else
                continue;
            struct spot top = { .name = is_config ? "configs" : "secrets" },
                        spot = { .above = &top, .name = name };
            return spot_place(&spot, found, "say the file, the variable or the content here", err);
        }
    }
    return 0;
}
