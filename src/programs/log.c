/* berth-log: what a supervisor does not do itself about a container's log. It is started by
 * supervisors only, with descriptors and no names.
 *
 *   berth-log compress      0: a rotated file, 1: what it becomes
 *   berth-log forward       0: entries (forward/entry.h), 1: "" once all is ready, else why not;
 *                           3: forward_settings as JSON */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "codec/compress.h"
#include "forward/target.h"
#include "shim/log_gzip.h"

#include "base/banned.h"

enum { SETTINGS_FD = 3, NICENESS = 10, GZIP_LEVEL = 3, LONGEST_PAUSE_MS = 2000 };
#define SETTINGS_LIMIT ((size_t)1024 * 1024)
#define BLOCK_SIZE     ((size_t)128 * 1024)

/* ---- compress */

/* Passes on what a compressor writes, with a head of ours in the place of its own. */
struct head_stream {
    struct stream stream;
    struct stream *inner;
    const struct log_identity *identity;
    size_t skipped; /* bytes of the head that came so far */
};

static int head_write(struct stream *stream, const void *data, size_t size, struct error *err)
{
    struct head_stream *self = CONTAINER_OF(stream, struct head_stream, stream);
    size_t skipped = MIN(size, LOG_GZIP_PLAIN_SIZE - self->skipped);
    uint8_t head[LOG_GZIP_HEAD_SIZE];

    if (skipped > 0) {
        self->skipped += skipped;
        if (self->skipped == LOG_GZIP_PLAIN_SIZE) {
            log_gzip_head_write(self->identity, head);
            if (stream_write(self->inner, head, sizeof(head), err) < 0)
                return -1;
        }
    }
    return size > skipped
               ? stream_write(self->inner, (const char *)data + skipped, size - skipped, err)
               : 0;
}

static int compress_file(struct error *err)
{
    struct log_identity identity;
    CLEANUP(stream_close) struct stream *from = stream_from_fd(STDIN_FILENO, 0);
    CLEANUP(stream_close) struct stream *to = stream_from_fd(STDOUT_FILENO, 0);
    struct head_stream head = { .stream = { .write = head_write }, .inner = to };

    if (!log_identity_read(STDIN_FILENO, false, &identity))
        return error_sys(err, "stat the log");
    head.identity = &identity;
    setpriority(PRIO_PROCESS, 0, NICENESS);
    CLEANUP(stream_close)
    struct stream *gzip = stream_deflate(&head.stream, COMPRESSION_GZIP, GZIP_LEVEL, err);
    if (!gzip || stream_copy(from, gzip, err) < 0 || stream_write(gzip, "", 0, err) < 0)
        return -1;
    return fsync(STDOUT_FILENO) < 0 ? error_sys(err, "write the log") : 0;
}

/* ---- forward */

static void pause_ms(int64_t duration_ms)
{
    struct timespec time = { .tv_sec = duration_ms / 1000,
                             .tv_nsec = duration_ms % 1000 * 1000000 };

    nanosleep(&time, NULL);
}

/* Until it is sent: what to drop meanwhile is the supervisor's to say. Once that is gone there is
 * one more try. */
static void send_entry(struct target *target, const struct forward_entry *entry, const char *text,
                       pid_t supervisor)
{
    int64_t delay_ms = 10;

    while (target_send(target, entry, text, NULL) < 0 && getppid() == supervisor) {
        pause_ms(delay_ms);
        delay_ms = MIN(delay_ms * 2, LONGEST_PAUSE_MS);
    }
}

static int forward_all(struct target *target, struct error *err)
{
    CLEANUP(free) char *text = xmalloc(FORWARD_TEXT_LIMIT);
    pid_t supervisor = getppid();
    struct forward_entry entry;
    ssize_t size;

    while ((size = fd_read_full(STDIN_FILENO, &entry, sizeof(entry), err)) == sizeof(entry)) {
        if (entry.size > FORWARD_TEXT_LIMIT)
            return error_set(err, ERROR_INVALID, "an entry is too large");
        if (fd_read_full(STDIN_FILENO, text, entry.size, err) != (ssize_t)entry.size)
            return -1;
        send_entry(target, &entry, text, supervisor);
    }
    return size == 0 ? 0 : -1;
}

static int forward(struct error *err)
{
    CLEANUP(target_free) struct target *target = NULL;
    CLEANUP(str_done) struct str text = {};
    struct forward_settings settings = {};
    int result = -1;

    if (lseek(SETTINGS_FD, 0, SEEK_SET) == 0 &&
        file_read_fd(SETTINGS_FD, SETTINGS_LIMIT, &text, err) == 0 &&
        json_decode(forward_settings_fields, str_text(&text), text.length, &settings, err) == 0)
        result = target_open(&settings, &target, err);
    close(SETTINGS_FD);
    if (result < 0)
        fd_write_all(STDOUT_FILENO, err->text, strlen(err->text), NULL);
    close(STDOUT_FILENO);
    if (result == 0)
        result = forward_all(target, err);
    json_fields_done(forward_settings_fields, &settings);
    return result;
}

int main(int count, char **arguments)
{
    struct error err = {};
    int result = -1;

    signal(SIGPIPE, SIG_IGN);
    if (count == 2 && strcmp(arguments[1], "compress") == 0)
        result = compress_file(&err);
    else if (count == 2 && strcmp(arguments[1], "forward") == 0)
        result = forward(&err);
    else
        error_set(&err, ERROR_INVALID, "it is started by berth-shim");
    if (result < 0)
        fprintf(stderr, "berth-log: %s\n", err.text);
    return result < 0 ? 1 : 0;
}
