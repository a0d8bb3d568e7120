/* What cannot be passed on is no error here: the archive's way tells what is wrong. */
#include "cli/copy_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/collect.h"
#include "base/descriptor.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "spec/passed_file.h"

#include "base/banned.h"

#define ANSWER_LIMIT ((size_t)64 * 1024)

static bool is_on_socket(const struct cli *cli)
{
    return text_starts(client_host(cli->client), "unix://");
}

/* The socket alone; -1 if bytes were read ahead, which may have had a descriptor with them. */
static int take_socket(struct http_connection *connection)
{
    CLEANUP(free) void *pending = NULL;
    size_t pending_size = 0;
    CLEANUP(close) int fd = http_connection_take_fd(connection, &pending, &pending_size);

    return pending_size ? -1 : TAKE_FD(fd);
}

/* ---- in ---- */

static int open_source(const char *path)
{
    CLEANUP(close)
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) ||
        status.st_size < PASSED_FILE_LEAST)
        return -1;
    return TAKE_FD(fd);
}

static int size_of(int fd, const char *name, int64_t *out, struct error *err)
{
    CLEANUP(tar_entry_done) struct tar_entry entry = {};

    return collect_describe(fd, name, &entry, err) < 0 ? -1 : collect_size(&entry, out, err);
}

/* The engine's word on it. */
static int read_answer(int socket_fd, struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    struct passed_file_answer answer = {};

    if (file_read_fd(socket_fd, ANSWER_LIMIT, &text, err) < 0)
        return -1;
    if (!text.length)
        return error_set(err, ERROR_UNAVAILABLE, "the engine ended before the copy did");
    if (json_decode(passed_file_answer_fields, text.data, text.length, &answer, err) < 0)
        return error_context(err, "answer of the engine");
    int result = answer.status == 501  ? 0
                 : answer.status < 400 ? 1
                                       : client_refusal((int)answer.status, answer.message, err);
    json_fields_done(passed_file_answer_fields, &answer);
    return result;
}

int copy_file_in(struct cli *cli, struct client_path *path, const struct local_end *source,
                 const struct copy_plan *plan, int64_t *out_bytes, struct error *err)
{
    CLEANUP(close) int file_fd = is_on_socket(cli) ? open_source(source->path) : -1;
    CLEANUP(free) char *own_name = copy_path_base(source->path);
    const char *name = plan->new_name ?: own_name;
    CLEANUP(map_done) struct map headers = {};
    struct http_connection *connection;

    if (file_fd < 0 || size_of(file_fd, name, out_bytes, NULL) < 0)
        return 0;
    client_path_query(path, "name", name);
    map_set_text(&headers, "Upgrade", PASSED_FILE_PROTOCOL);
    if (client_upgrade_with(cli->client, path, &headers, NULL, &connection, NULL) < 0)
        return 0;
    CLEANUP(close) int socket_fd = take_socket(connection);
    if (socket_fd < 0 || descriptor_send(socket_fd, PASSED_FILE_BYTE, 1, file_fd, NULL) != 1)
        return 0;
    return read_answer(socket_fd, err);
}

/* ---- out ---- */

void copy_file_ask(struct cli *cli, struct map *out)
{
    if (!is_on_socket(cli))
        return;
    map_set_text(out, "Connection", "Upgrade");
    map_set_text(out, "Upgrade", PASSED_FILE_PROTOCOL);
}

bool copy_file_is_answer(const struct http_response *response)
{
    return http_response_status(response) == 101;
}

int copy_file_out(struct http_response *response, const char *name, const struct copy_plan *plan,
                  int64_t *out_bytes, struct error *err)
{
    struct http_connection *connection = http_response_take_connection(response);
    CLEANUP(close) int socket_fd = connection ? take_socket(connection) : -1;
    CLEANUP(close) int file_fd = -1;
    CLEANUP(close) int dir_fd = -1;
    CLEANUP(tar_entry_done) struct tar_entry entry = {};
    char byte;

    if (socket_fd < 0 || descriptor_receive(socket_fd, &byte, 1, &file_fd, NULL) != 1 ||
        file_fd < 0)
        return 0;
    dir_fd = open(plan->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return error_sys(err, "open %s", plan->directory);
    const struct extract_options options = local_extraction(plan);
    if (collect_describe(file_fd, name, &entry, err) < 0 ||
        collect_size(&entry, out_bytes, err) < 0 ||
        extract_file(file_fd, &entry, dir_fd, &options, err) < 0)
        return -1;
    return 1;
}
