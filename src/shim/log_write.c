/* Lines are encoded straight into one large buffer, which goes to the kernel in one write per
 * batch; what is the same for all lines of a batch (stream, attributes, time) is formatted once. */
#include "shim/log_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "shim/log_compress.h"
#include "shim/log_files.h"
#include "shim/log_forward.h"
#include "shim/log_line.h"

#include "base/banned.h"

#define LOG_MODE   0640
#define PROGRAM_FD 256
#define FLUSH_SIZE ((size_t)128 * 1024)

/* The line that a stream has begun. */
struct unfinished {
    char *bytes; /* LOG_TEXT_LIMIT of them, NULL while there is nothing */
    size_t size;
    bool has_parts;   /* a part of this line was written */
    int64_t parts_ns; /* which bear this time */
};

struct log_writer {
    char *path, *attributes;
    int fd;
    int64_t max_size_bytes, size_bytes; /* of the file, without what is in 'buffer' */
    int64_t last_ns;                    /* of the entries so far, roughly: when it was written */
    int max_files;
    char *buffer;
    size_t used, capacity;
    struct unfinished unfinished[LOG_STREAM_COUNT];
    struct str end;                    /* of the entries of this batch */
    int program_fd;                    /* berth-log, -1 */
    struct log_compressor *compressor; /* NULL: rotated files stay as they are */
    struct log_forwarder *forwarder;   /* NULL: entries go nowhere else */
};

/* ---- the file */

static int open_file(struct log_writer *writer, struct error *err)
{
    struct stat stat;

    writer->fd = open(writer->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, LOG_MODE);
    if (writer->fd < 0 || fstat(writer->fd, &stat) < 0)
        return error_sys(err, "open log %s", writer->path);
    writer->size_bytes = stat.st_size;
    if (stat.st_size > 0)
        writer->last_ns = (int64_t)stat.st_mtim.tv_sec * NS_PER_S + stat.st_mtim.tv_nsec;
    return 0;
}

static void remove_torn_line(struct log_writer *writer)
{
    char block[4096];
    int64_t end = writer->size_bytes;

    while (end > 0) {
        int64_t start = MAX(end - (int64_t)sizeof(block), 0);
        ssize_t size = pread(writer->fd, block, (size_t)(end - start), start);

        if (size != end - start)
            return;
        char *newline = memrchr(block, '\n', (size_t)size);
        if (newline) {
            end = start + (newline - block) + 1;
            break;
        }
        end = start;
    }
    if (end != writer->size_bytes && ftruncate(writer->fd, end) == 0)
        writer->size_bytes = end;
}

/* Far above those that a starting program gets. */
static int keep_program(int taken_fd)
{
    CLEANUP(close) int fd = taken_fd;

    return fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, PROGRAM_FD) : -1;
}

int log_writer_open(const struct shim_log_options *options, int program_fd, struct log_writer **out,
                    struct error *err)
{
    const char *driver = options->driver ? options->driver : "json-file";
    CLEANUP(close) int kept_fd = keep_program(program_fd);

    bool is_none = strcmp(driver, "none") == 0;

    if (is_none) {
        *out = options->forward ? NEW(struct log_writer) : NULL;
        if (*out)
            (*out)->fd = (*out)->program_fd = -1;
        return 0;
    }
    if (strcmp(driver, "json-file") != 0 || !options->path)
        return error_set(err, ERROR_INVALID, "the supervisor keeps no log of kind %s", driver);

    CLEANUP(log_writer_close) struct log_writer *writer = NEW(struct log_writer);
    writer->fd = -1;
    writer->program_fd = TAKE_FD(kept_fd);
    writer->path = xstrdup(options->path);
    writer->attributes = xstrdup(options->attributes);
    writer->max_size_bytes = MAX(options->max_size_bytes, 0);
    writer->max_files = MIN(MAX(options->max_files, 1), LOG_FILES_LIMIT);
    if (open_file(writer, err) < 0)
        return -1;
    remove_torn_line(writer);
    if (options->compress && writer->program_fd >= 0 && writer->max_files > 1) {
        writer->compressor = log_compressor_new(writer->path, writer->max_files,
                                                writer->program_fd);
        log_compressor_wake(writer->compressor);
    }
    *out = TAKE(writer);
    return 0;
}

/* Half an entry must not stay in the file: what follows would be glued to it. */
static void write_bytes(struct log_writer *writer, const char *bytes, size_t size)
{
    if (size == 0 || !writer->path || (writer->fd < 0 && open_file(writer, NULL) < 0))
        return;
    int64_t before = writer->size_bytes;

    while (size > 0) {
        ssize_t count = write(writer->fd, bytes, size);

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0) {
            if (writer->size_bytes != before && ftruncate(writer->fd, before) == 0)
                writer->size_bytes = before;
            return;
        }
        writer->size_bytes += count;
        bytes += count;
        size -= (size_t)count;
    }
}

void log_writer_flush(struct log_writer *writer)
{
    if (!writer)
        return;
    write_bytes(writer, writer->buffer, writer->used);
    writer->used = 0;
}

/* Somebody may have truncated the file meanwhile: its real size counts. */
static void rotate(struct log_writer *writer)
{
    struct stat stat;

    if (writer->fd >= 0 && fstat(writer->fd, &stat) == 0 && stat.st_size < writer->size_bytes) {
        writer->size_bytes = stat.st_size;
        return;
    }
    close_cleanup(&writer->fd);
    log_files_rotate(writer->path, writer->max_files);
    writer->size_bytes = 0;
    open_file(writer, NULL); /* when that fails, the next write tries again */
    log_compressor_wake(writer->compressor);
}

void log_writer_forward(struct log_writer *writer, struct log_forwarder *forwarder)
{
    writer->forwarder = forwarder;
}

struct log_forwarder *log_writer_forwarder(struct log_writer *writer)
{
    return writer ? writer->forwarder : NULL;
}

bool log_writer_child_ended(struct log_writer *writer, pid_t pid, int status)
{
    return writer && (log_compressor_ended(writer->compressor, pid, status) ||
                      log_forwarder_ended(writer->forwarder, pid));
}

/* ---- entries */

static void need_room(struct log_writer *writer, size_t size)
{
    if (writer->capacity - writer->used >= size)
        return;
    writer->capacity = MAX(writer->used + size, FLUSH_SIZE + size);
    writer->buffer = xrealloc(writer->buffer, writer->capacity, 1);
}

/* The entry at 'start' of the buffer is complete: an entry that would pass the maximum size goes to
 * a new file. */
static void entry_added(struct log_writer *writer, size_t start)
{
    bool is_full = writer->max_size_bytes > 0 && writer->size_bytes + (int64_t)start > 0 &&
                   writer->size_bytes + (int64_t)writer->used > writer->max_size_bytes;

    if (is_full) {
        size_t size = writer->used - start;

        write_bytes(writer, writer->buffer, start);
        rotate(writer);
        memmove(writer->buffer, writer->buffer + start, size);
        writer->used = size;
    }
    if (writer->used >= FLUSH_SIZE)
        log_writer_flush(writer);
}

/* One entry: bytes up to the newline, or all of them. Gives the bytes used, newline included. */
static size_t add_entry(struct log_writer *writer, enum log_stream stream, const char *text,
                        size_t size, const struct str *end, int64_t wall_ns)
{
    size_t start = writer->used;

    need_room(writer, LOG_ESCAPED_SIZE * MIN(size, LOG_TEXT_LIMIT) + end->length + 64);
    char *out = writer->buffer + start;
    memcpy(out, LOG_LINE_START, sizeof(LOG_LINE_START) - 1);
    out += sizeof(LOG_LINE_START) - 1;
    size_t done = log_text_escape(text, MIN(size, LOG_TEXT_LIMIT), &out);
    bool is_whole = done < size && text[done] == '\n';
    log_forwarder_add(writer->forwarder, stream == LOG_STDERR, !is_whole, text, done, wall_ns);
    if (is_whole) {
        *out++ = '\\';
        *out++ = 'n';
        done++;
    }
    memcpy(out, end->data, end->length);
    writer->used = (size_t)(out - writer->buffer) + end->length;
    entry_added(writer, start);
    return done;
}

/* An entry of a line that is in parts, or becomes so: not the usual case. */
static size_t add_part(struct log_writer *writer, enum log_stream stream, const char *text,
                       size_t size, int64_t wall_ns, bool is_last)
{
    struct unfinished *line = &writer->unfinished[stream];
    CLEANUP(str_done) struct str end = {};

    if (!line->has_parts)
        line->parts_ns = wall_ns;
    line->has_parts = !is_last;
    log_line_end(&end, stream == LOG_STDERR, writer->attributes, line->parts_ns);
    return add_entry(writer, stream, text, size, &end, line->parts_ns);
}

/* 'newline' is the end of the line, or of what fits into one entry. */
static size_t add_line(struct log_writer *writer, enum log_stream stream, const char *text,
                       size_t size, int64_t wall_ns)
{
    struct unfinished *line = &writer->unfinished[stream];
    bool is_long = size > LOG_TEXT_LIMIT && !memchr(text, '\n', LOG_TEXT_LIMIT);

    if (is_long)
        return add_part(writer, stream, text, log_text_cut(text, LOG_TEXT_LIMIT), wall_ns, false);
    if (line->has_parts)
        return add_part(writer, stream, text, size, wall_ns, true);
    return add_entry(writer, stream, text, size, &writer->end, wall_ns);
}

static void keep(struct unfinished *line, const char *data, size_t size)
{
    if (size == 0)
        return;
    if (!line->bytes)
        line->bytes = xmalloc(LOG_TEXT_LIMIT);
    memcpy(line->bytes + line->size, data, size);
    line->size += size;
}

/* Continues a line that began in an earlier batch; gives the number of bytes that went there. */
static size_t continue_line(struct log_writer *writer, enum log_stream stream, const char *data,
                            size_t size, int64_t wall_ns)
{
    struct unfinished *line = &writer->unfinished[stream];
    size_t room = LOG_TEXT_LIMIT - line->size, count = MIN(room, size);
    const char *newline = memchr(data, '\n', count);

    if (newline)
        count = (size_t)(newline - data) + 1;
    keep(line, data, count);
    if (newline) {
        if (line->has_parts)
            add_part(writer, stream, line->bytes, line->size, wall_ns, true);
        else
            add_entry(writer, stream, line->bytes, line->size, &writer->end, wall_ns);
        line->size = 0;
    } else if (line->size == LOG_TEXT_LIMIT) {
        size_t cut = log_text_cut(line->bytes, line->size);

        add_part(writer, stream, line->bytes, cut, wall_ns, false);
        memmove(line->bytes, line->bytes + cut, line->size - cut);
        line->size -= cut;
    }
    return count;
}

/* Times never go back a little, so that one can be searched for: a clock that is set back by more
 * is believed. */
static int64_t in_order(struct log_writer *writer, int64_t wall_ns)
{
    if (wall_ns >= writer->last_ns || wall_ns < writer->last_ns - LOG_STEP_LIMIT_NS)
        writer->last_ns = wall_ns;
    return writer->last_ns;
}

void log_writer_add(struct log_writer *writer, enum log_stream stream, const char *data,
                    size_t size, int64_t wall_ns)
{
    if (!writer || size == 0)
        return;
    const char *at = data, *end = data + size;
    struct unfinished *line = &writer->unfinished[stream];

    wall_ns = in_order(writer, wall_ns);
    str_clear(&writer->end);
    log_line_end(&writer->end, stream == LOG_STDERR, writer->attributes, wall_ns);
    while (line->size > 0 && at < end)
        at += continue_line(writer, stream, at, (size_t)(end - at), wall_ns);
    const char *newline = at < end ? memrchr(at, '\n', (size_t)(end - at)) : NULL;
    while (newline && at <= newline)
        at += add_line(writer, stream, at, (size_t)(newline + 1 - at), wall_ns);
    while ((size_t)(end - at) >= LOG_TEXT_LIMIT)
        at += add_part(writer, stream, at, log_text_cut(at, LOG_TEXT_LIMIT), wall_ns, false);
    keep(line, at, (size_t)(end - at));
}

void log_writer_end(struct log_writer *writer, enum log_stream stream, int64_t wall_ns)
{
    if (!writer)
        return;
    struct unfinished *line = &writer->unfinished[stream];

    if (line->size > 0)
        add_part(writer, stream, line->bytes, line->size, in_order(writer, wall_ns), true);
    line->size = 0;
    line->has_parts = false;
}

void log_writer_rest(struct log_writer *writer)
{
    if (!writer)
        return;
    log_writer_flush(writer);
    free(TAKE(writer->buffer));
    writer->capacity = 0;
    for (int i = 0; i < LOG_STREAM_COUNT; i++)
        if (writer->unfinished[i].size == 0)
            free(TAKE(writer->unfinished[i].bytes));
}

void log_writer_close(struct log_writer *writer)
{
    if (!writer)
        return;
    log_writer_flush(writer);
    log_forwarder_free(writer->forwarder);
    close_cleanup(&writer->fd);
    close_cleanup(&writer->program_fd);
    log_compressor_free(writer->compressor);
    for (int i = 0; i < LOG_STREAM_COUNT; i++)
        free(writer->unfinished[i].bytes);
    str_done(&writer->end);
    free(writer->buffer);
    free(writer->path);
    free(writer->attributes);
    free(writer);
}
