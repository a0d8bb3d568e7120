/* system dial-stdio: the engine's connection on our stdin and stdout. Clients of ssh:// hosts run
 * it on the other side. */
#include <errno.h>
#include <unistd.h>

#include "base/file.h"
#include "base/thread.h"
#include "cli/command.h"
#include "http/connection.h"

#include "base/banned.h"

enum { BUFFER_SIZE = 64 * 1024 };

/* The thread that feeds the engine: ends with our stdin, or with the process. */
static void *send_input(void *data)
{
    struct http_connection *connection = data;
    char bytes[BUFFER_SIZE];
    struct error ignored;
    ssize_t size;

    while ((size = read(STDIN_FILENO, bytes, sizeof(bytes))) != 0) {
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 || http_connection_write(connection, bytes, (size_t)size, &ignored) < 0)
            return NULL;
    }
    http_connection_shutdown_write(connection, &ignored);
    return NULL;
}

static int dial_stdio(struct cli *cli, const void *options UNUSED,
                      const struct strv *arguments UNUSED, struct error *err)
{
    struct http_connection *connection;
    char bytes[BUFFER_SIZE];
    ssize_t size;

    /* It is left open: the thread may still be at it when the engine has ended its side. */
    if (client_dial(cli->client, &connection, err) < 0 ||
        thread_start_detached("stdin", send_input, connection, err) < 0)
        return -1;
    while ((size = http_connection_read(connection, bytes, sizeof(bytes), err)) > 0)
        if (fd_write_all(STDOUT_FILENO, bytes, (size_t)size, err) < 0)
            return -1;
    return size < 0 ? -1 : 0;
}

const struct command command_dial_stdio = {
    .name = "dial-stdio",
    .usage = "",
    .summary = "Pass stdin and stdout on to the engine's socket",
    .run = dial_stdio,
};
