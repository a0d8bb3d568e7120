/* The main thread reads what the container says; a second thread feeds our stdin to it; a third
 * waits for signals. Threads are simplest here because a TLS connection cannot be polled like a
 * socket. */
#include "cli/stream.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "cli/terminal.h"

#include "base/banned.h"

enum { KEYS_LIMIT = 16 };

struct session {
    struct client *client;
    struct http_connection *connection;
    struct stream_options options; /* texts are copies */
    char keys[KEYS_LIMIT];
    size_t key_count;
    bool is_detached;
};

int detach_keys_parse(const char *text, char *out, size_t size, size_t *out_count,
                      struct error *err)
{
    CLEANUP(strv_done) struct strv words = {};

    *out_count = 0;
    strv_split(&words, text, ',');
    for (size_t i = 0; i < words.count; i++) {
        const char *word = words.items[i];
        char key;

        if (word[0] && !word[1])
            key = word[0];
        else if (text_starts(word, "ctrl-") && word[5] && !word[6] &&
                 strchr("abcdefghijklmnopqrstuvwxyz@[\\]^_", word[5]))
            key = word[5] >= 'a' ? (char)(word[5] - 'a' + 1) : (char)(word[5] - '@');
        else
            return error_set(err, ERROR_INVALID, "invalid detach keys (%s)", text);
        if (*out_count == size)
            return error_set(err, ERROR_INVALID, "detach keys are longer than %zu", size);
        out[(*out_count)++] = key;
    }
    return 0;
}

/* ---- stdin ---- */

/* Finds the keys in what was typed, over the edges of reads. Bytes that are no part of them are
 * written to 'out'. */
static bool filter_keys(const struct session *session, size_t *matched, const char *typed,
                        size_t count, struct str *out)
{
    for (size_t i = 0; i < count; i++) {
        if (session->key_count && typed[i] == session->keys[*matched]) {
            if (++*matched == session->key_count)
                return true;
            continue;
        }
        str_add_bytes(out, session->keys, *matched);
        *matched = 0;
        if (session->key_count && typed[i] == session->keys[0])
            *matched = 1;
        else
            str_add_char(out, typed[i]);
    }
    return false;
}

static void *feed(void *data)
{
    struct session *session = data;
    size_t matched = 0;
    struct error err;
    char block[16 * 1024];

    for (;;) {
        CLEANUP(str_done) struct str out = {};
        ssize_t count = read(STDIN_FILENO, block, sizeof(block));

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        bool detach = filter_keys(session, &matched, block, (size_t)count, &out);
        if (out.length &&
            http_connection_write(session->connection, out.data, out.length, &err) < 0)
            return NULL;
        if (detach) {
            session->is_detached = true;
            http_connection_shutdown_write(session->connection, &err);
            kill(getpid(), SIGUSR2); /* the signal thread ends the program's part */
            return NULL;
        }
    }
    http_connection_shutdown_write(session->connection, &err);
    return NULL;
}

/* ---- signals and window ---- */

static void handed_on(sigset_t *set)
{
    sigfillset(set);
    static const int kept[] = { SIGCHLD, SIGPIPE, SIGURG,  SIGSEGV, SIGBUS,  SIGILL, SIGFPE,
                                SIGABRT, SIGTRAP, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT };
    for (size_t i = 0; i < COUNT(kept); i++)
        sigdelset(set, kept[i]);
}

void stream_block_signals(void)
{
    sigset_t set;

    handed_on(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void send_size(struct session *session)
{
    CLEANUP(client_path_done) struct client_path path = {};
    char height[12], width[12];
    struct error ignored;
    int rows, columns;

    if (!session->options.resize_path || !terminal_size(&rows, &columns) || !rows)
        return;
    snprintf(height, sizeof(height), "%d", rows);
    snprintf(width, sizeof(width), "%d", columns);
    client_path_begin(&path, "%s", session->options.resize_path);
    client_path_query(&path, "h", height);
    client_path_query(&path, "w", width);
    client_call(session->client, "POST", &path, NULL, NULL, &ignored);
}

static void send_signal(struct session *session, int number)
{
    CLEANUP(client_path_done) struct client_path path = {};
    char text[12];
    struct error ignored;

    snprintf(text, sizeof(text), "%d", number);
    client_path_begin(&path, "%s", session->options.kill_path);
    client_path_query(&path, "signal", text);
    client_call(session->client, "POST", &path, NULL, NULL, &ignored);
}

static void *watch_signals(void *data)
{
    struct session *session = data;
    sigset_t set;
    int number;

    handed_on(&set);
    for (;;) {
        if (sigwait(&set, &number) != 0)
            continue;
        if (number == SIGUSR2 && session->is_detached) {
            terminal_restore();
            fputs("read escape sequence\n", stderr);
            _exit(0);
        }
        if (number == SIGWINCH) {
            if (session->options.tty)
                send_size(session);
        } else if (session->options.kill_path) {
            send_signal(session, number);
        } else if (number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT) {
            terminal_restore();
            _exit(128 + number);
        }
    }
    return NULL;
}

/* ---- output ---- */

static ssize_t read_connection(void *data, void *to, size_t size, struct error *err)
{
    return http_connection_read(data, to, size, err);
}

int stream_demultiplex(ssize_t (*read_more)(void *data, void *to, size_t size, struct error *err),
                       void *data, struct error *err)
{
    unsigned char block[32 * 1024], head[8];
    size_t head_size = 0, left = 0;

    for (;;) {
        ssize_t count = read_more(data, block, sizeof(block), err);

        if (count < 0)
            return -1;
        if (count == 0)
            return 0;
        for (size_t at = 0; at < (size_t)count;) {
            if (left == 0) {
                head[head_size++] = block[at++];
                if (head_size < sizeof(head))
                    continue;
                head_size = 0;
                left = (size_t)head[4] << 24 | (size_t)head[5] << 16 | (size_t)head[6] << 8 |
                       head[7];
                if (head[0] > 3)
                    return error_set(err, ERROR_INTERNAL, "unrecognized stream: %d", head[0]);
                continue;
            }
            size_t piece = MIN(left, (size_t)count - at);
            if (fd_write_all(head[0] >= 2 ? STDERR_FILENO : STDOUT_FILENO, block + at, piece, err) <
                0)
                return -1;
            at += piece;
            left -= piece;
        }
    }
}

static int copy_raw(struct http_connection *connection, struct error *err)
{
    char block[32 * 1024];

    for (;;) {
        ssize_t count = http_connection_read(connection, block, sizeof(block), err);

        if (count <= 0)
            return (int)count;
        if (fd_write_all(STDOUT_FILENO, block, (size_t)count, err) < 0)
            return -1;
    }
}

int stream_run(struct client *client, struct http_connection *connection,
               const struct stream_options *options, struct error *err)
{
    /* Lives as long as the threads, which nobody joins: until the program ends. */
    struct session *session = NEW(struct session);

    session->client = client;
    session->connection = connection;
    session->options = *options;
    session->options.resize_path = xstrdup(options->resize_path);
    session->options.kill_path = xstrdup(options->kill_path);
    session->options.detach_keys = NULL;
    if (options->tty && options->stdin_wanted &&
        detach_keys_parse(options->detach_keys ? options->detach_keys : "ctrl-p,ctrl-q",
                          session->keys, KEYS_LIMIT, &session->key_count, err) < 0)
        return -1;
    fflush(stdout);
    stream_block_signals();
    if (thread_start_detached("signals", watch_signals, session, err) < 0)
        return -1;
    if (options->tty && options->stdin_wanted && terminal_is(STDIN_FILENO))
        terminal_raw();
    if (options->tty)
        send_size(session);
    if (options->stdin_wanted && thread_start_detached("stdin", feed, session, err) < 0)
        return -1;
    int result = options->tty ? copy_raw(connection, err)
                              : stream_demultiplex(read_connection, connection, err);
    terminal_restore();
    if (result < 0)
        return -1;
    return session->is_detached ? 0 : 1;
}
