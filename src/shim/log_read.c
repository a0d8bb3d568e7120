/* All files of a log are opened at once, so that a rotation meanwhile takes nothing away; the last
 * of them is the current one. At its end a reader that follows looks whether the name has moved on
 * to another file, and opens all that are newer than its own, again at once. */
#include "shim/log_read.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/compress.h"
#include "shim/log_files.h"
#include "shim/log_line.h"

#include "base/banned.h"

#define READ_SIZE      ((size_t)64 * 1024)
#define LINE_LIMIT     ((size_t)4 * 1024 * 1024) /* a longer line is no entry */
#define INFLATED_LIMIT (UINT64_C(16) << 30)
#define OPEN_TRIES     64                   /* by a writer that rotates all the while */
#define FIND_SIZE      ((size_t)256 * 1024) /* longer than lines of a writer are */

struct log_file {
    int fd;
    int index; /* of the name that it had */
    int64_t size;
    bool is_gzipped;
    struct stream *inflated; /* once reading has begun */
    struct log_identity identity;
};

struct file_list {
    struct log_file *files; /* oldest first */
    size_t count;
};

struct log_reader {
    struct log_reader_options options;
    char *path;
    struct file_list list;
    size_t index;
    int64_t offset;       /* in the file, behind what is in the window */
    int64_t skip_entries; /* of this file */
    char *window;
    size_t start, end, capacity;
    bool is_skipping; /* within a line beyond LINE_LIMIT */
    bool is_ended;    /* an entry behind 'until' was seen */
    int inotify_fd;
    struct str text, attributes;
};

/* ---- files */

static void file_close(struct log_file *file)
{
    stream_close(TAKE(file->inflated));
    close_cleanup(&file->fd);
    file->fd = -1;
}

static bool file_open(const char *path, int index, bool gzipped, struct log_file *out)
{
    CLEANUP(free) char *name = log_file_path(path, index, gzipped);
    CLEANUP(close) int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat stat;

    if (fd < 0 || fstat(fd, &stat) < 0 || !S_ISREG(stat.st_mode))
        return false;
    struct log_file file = {
        .fd = fd, .index = index, .size = stat.st_size, .is_gzipped = gzipped
    };
    if (!log_identity_read(fd, gzipped, &file.identity))
        return false;
    *out = file;
    (void)TAKE_FD(fd);
    return true;
}

/* In whatever form it is. */
static bool file_open_any(const char *path, int index, struct log_file *out)
{
    return file_open(path, index, false, out) || file_open(path, index, true, out);
}

static bool file_same(const struct log_file *a, const struct log_file *b)
{
    return log_identity_equal(&a->identity, &b->identity);
}

static void list_add_file(struct file_list *list, const struct log_file *file)
{
    list->files = xrealloc(list->files, list->count + 1, sizeof(*file));
    list->files[list->count++] = *file;
}

static void file_list_done(struct file_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        file_close(&list->files[i]);
    free(list->files);
    *list = (struct file_list){};
}
CLEANUP_VALUE(file_list_done, struct file_list)

static void list_reverse(struct file_list *list)
{
    for (size_t i = 0; i < list->count / 2; i++) {
        struct log_file swapped = list->files[i];

        list->files[i] = list->files[list->count - 1 - i];
        list->files[list->count - 1 - i] = swapped;
    }
}

/* From the current one back, as far as 'behind'. A file that was seen moves up by one when the log
 * rotates meanwhile, and is then met again. */
static void list_files(const char *path, const struct log_file *behind, struct file_list *out)
{
    for (int i = 0, gaps = 0; i < LOG_FILES_LIMIT; i++) {
        struct log_file file;

        if (!file_open_any(path, i, &file)) {
            if (gaps++ == 0)
                continue; /* between two steps of a rotation one name is absent */
            break;
        }
        if (behind && file_same(&file, behind)) {
            file_close(&file);
            break;
        }
        if (out->count > 0 && file_same(&file, &out->files[out->count - 1]))
            file_close(&file);
        else
            list_add_file(out, &file);
    }
    list_reverse(out);
}

/* The newest has kept its name, so no more than the end of one rotation came in between. */
static bool is_whole(const char *path, const struct file_list *list)
{
    const struct log_file *newest = list->count > 0 ? &list->files[list->count - 1] : NULL;
    struct log_identity found;

    return !newest || (log_identity_find(path, newest->index, newest->is_gzipped, &found) &&
                       log_identity_equal(&found, &newest->identity));
}

/* All files newer than 'behind' (NULL: all). False: the names moved whenever we looked, and some
 * may be missing. */
static bool open_files(const char *path, const struct log_file *behind, struct file_list *out)
{
    for (int i = 0; i < OPEN_TRIES; i++) {
        file_list_done(out);
        list_files(path, behind, out);
        if (is_whole(path, out))
            return true;
    }
    return false;
}

static ssize_t read_gzipped(struct log_file *file, char *out, size_t size, struct error *err)
{
    struct inflate_limits limits = { .output_bytes = INFLATED_LIMIT };
    enum compression ignored;

    if (!file->inflated) {
        file->inflated = stream_inflate(stream_from_fd(file->fd, 0), limits, &ignored, err);
        if (!file->inflated)
            return -1;
    }
    return stream_read(file->inflated, out, size, err);
}

static ssize_t read_file(struct log_reader *reader, char *out, size_t size, struct error *err)
{
    struct log_file *file = &reader->list.files[reader->index];
    ssize_t count;

    if (file->is_gzipped)
        return read_gzipped(file, out, size, err);
    if (!reader->options.follows)
        size = MIN(size, (size_t)MAX(file->size - reader->offset, 0));
    while ((count = pread(file->fd, out, size, reader->offset)) < 0)
        if (errno != EINTR)
            return error_sys(err, "read log %s", reader->path);
    return count;
}

/* ---- where to begin */

static int64_t count_newlines(const char *bytes, size_t size)
{
    int64_t count = 0;

    for (const char *at = bytes; (at = memchr(at, '\n', (size_t)(bytes + size - at))); at++)
        count++;
    return count;
}

/* Lines of a gzipped file can be counted only by reading it; it is opened again for that. */
static int count_gzipped(struct log_reader *reader, struct log_file *file, int64_t *out,
                         struct error *err)
{
    CLEANUP(free) char *block = xmalloc(READ_SIZE);
    ssize_t size;

    *out = 0;
    while ((size = read_gzipped(file, block, READ_SIZE, err)) > 0)
        *out += count_newlines(block, (size_t)size);
    stream_close(TAKE(file->inflated));
    if (size < 0)
        return -1;
    return lseek(file->fd, 0, SEEK_SET) < 0 ? error_sys(err, "rewind log %s", reader->path) : 0;
}

/* Looks back from the end for the start of the last 'wanted' lines. Gives how many there are (at
 * most 'wanted') and where they begin. A torn line at the end is not counted: it is behind. */
static int64_t find_last_lines(const struct log_file *file, int64_t wanted, int64_t *out_offset)
{
    CLEANUP(free) char *block = xmalloc(READ_SIZE);
    int64_t position = file->size, found = 0;

    while (position > 0) {
        int64_t start = MAX(position - (int64_t)READ_SIZE, 0);
        ssize_t size = pread(file->fd, block, (size_t)(position - start), start);

        if (size <= 0)
            break;
        for (char *end = block + size, *at; (at = memrchr(block, '\n', (size_t)(end - block)));
             end = at)
            if (found++ == wanted) {
                *out_offset = start + (at - block) + 1;
                return wanted;
            }
        position = start;
    }
    *out_offset = 0;
    return found;
}

static int seek_tail(struct log_reader *reader, struct error *err)
{
    int64_t missing = reader->options.tail;

    for (size_t i = reader->list.count; i-- > 0;) {
        struct log_file *file = &reader->list.files[i];

        reader->index = i;
        if (file->is_gzipped) {
            int64_t lines;

            if (count_gzipped(reader, file, &lines, err) < 0)
                return -1;
            reader->skip_entries = MAX(lines - missing, 0);
            missing -= MIN(lines, missing);
        } else
            missing -= find_last_lines(file, missing, &reader->offset);
        if (missing == 0)
            break;
    }
    return 0;
}

/* The first entry behind 'position' that bears the time at which it was written: where it begins,
 * and that time. Nothing in front of it bears a later one. The parts of a long line do not count:
 * they bear the time of the line's beginning, however late they came. */
static bool find_time(struct log_reader *reader, const struct log_file *file, int64_t position,
                      char *block, int64_t *out_offset, int64_t *out_ns)
{
    ssize_t size = pread(file->fd, block, FIND_SIZE, position);
    const char *line = size > 0 ? memchr(block, '\n', (size_t)size) : NULL, *end;
    bool is_behind_line[2] = { false, false }; /* by stream: a line ended in front of this one */
    struct log_entry entry;

    for (; line++ && (end = memchr(line, '\n', (size_t)(block + size - line))); line = end) {
        if (!log_line_decode(line, (size_t)(end - line), &reader->text, &reader->attributes,
                             &entry))
            continue;
        bool ends_line = entry.size > 0 && entry.text[entry.size - 1] == '\n';
        if (ends_line && is_behind_line[entry.is_stderr]) {
            *out_offset = position + (line - block);
            *out_ns = entry.wall_ns;
            return true;
        }
        is_behind_line[entry.is_stderr] = ends_line;
    }
    return false;
}

/* Halves the file until little is left in front of 'since'. Where no time is found, what is behind
 * is read. */
static int64_t bisect_since(struct log_reader *reader, const struct log_file *file)
{
    CLEANUP(free) char *block = xmalloc(FIND_SIZE);
    int64_t low = 0, high = file->size;

    while (high - low > (int64_t)FIND_SIZE) {
        int64_t middle = low + (high - low) / 2, offset, wall_ns;

        if (find_time(reader, file, middle, block, &offset, &wall_ns) && offset < high &&
            wall_ns < reader->options.since_ns)
            low = offset;
        else
            high = middle;
    }
    return low;
}

/* A rotated file that was last written before 'since' has nothing to say. */
static void seek_since(struct log_reader *reader)
{
    struct stat stat;

    while (reader->index + 1 < reader->list.count &&
           fstat(reader->list.files[reader->index].fd, &stat) == 0 &&
           (int64_t)stat.st_mtim.tv_sec * NS_PER_S + stat.st_mtim.tv_nsec + LOG_STEP_LIMIT_NS <
               reader->options.since_ns) {
        reader->index++;
        reader->offset = reader->skip_entries = 0;
    }
    if (reader->index < reader->list.count && !reader->list.files[reader->index].is_gzipped)
        reader->offset = MAX(reader->offset,
                             bisect_since(reader, &reader->list.files[reader->index]));
}

int log_reader_open(const struct log_reader_options *options, struct log_reader **out,
                    struct error *err)
{
    CLEANUP(log_reader_close) struct log_reader *reader = NEW(struct log_reader);

    reader->options = *options;
    reader->path = xstrdup(options->path);
    reader->inotify_fd = -1;
    open_files(reader->path, NULL, &reader->list); /* for want of better, what was found */
    if (options->tail >= 0 && seek_tail(reader, err) < 0)
        return -1;
    if (options->since_ns > 0)
        seek_since(reader);
    *out = TAKE(reader);
    return 0;
}

/* ---- following */

/* Opens what is newer than the newest that we have. True: there is something. */
static bool open_newer(struct log_reader *reader)
{
    const struct log_file *behind = reader->list.count > 0
                                        ? &reader->list.files[reader->list.count - 1]
                                        : NULL;
    CLEANUP(file_list_done) struct file_list newer = {};

    if (!open_files(reader->path, behind, &newer) || newer.count == 0)
        return false;
    for (size_t i = 0; i < newer.count; i++)
        list_add_file(&reader->list, &newer.files[i]);
    newer.count = 0; /* they were handed on */
    return true;
}

/* A line that is not whole yet is read again later, for a writer removes a torn one when it opens
 * the file. Somebody may have emptied the file, too. */
static void rewind_line(struct log_reader *reader)
{
    const struct log_file *file = &reader->list.files[reader->index];
    struct stat stat;

    if (file->is_gzipped)
        return;
    reader->offset -= (int64_t)(reader->end - reader->start);
    reader->start = reader->end = 0;
    if (fstat(file->fd, &stat) == 0 && stat.st_size < reader->offset)
        reader->offset = 0;
}

static void next_file(struct log_reader *reader)
{
    file_close(&reader->list.files[reader->index++]);
    reader->offset = reader->skip_entries = 0;
    reader->start = reader->end = 0;
    reader->is_skipping = false;
}

/* At the end of the newest file that we have. True: there is more to read, perhaps in this one,
 * which got its last bytes before it was renamed. */
static bool follow(struct log_reader *reader)
{
    if (open_newer(reader))
        return true;
    if (reader->list.count > 0)
        rewind_line(reader);
    return false;
}

/* ---- entries */

static void make_room(struct log_reader *reader)
{
    if (reader->start > 0) {
        memmove(reader->window, reader->window + reader->start, reader->end - reader->start);
        reader->end -= reader->start;
        reader->start = 0;
    }
    if (reader->end > LINE_LIMIT) {
        reader->end = 0;
        reader->is_skipping = true;
    }
    if (reader->capacity - reader->end < READ_SIZE) {
        reader->capacity = MAX(reader->capacity * 2, 2 * READ_SIZE);
        reader->window = xrealloc(reader->window, reader->capacity, 1);
    }
}

/* 1: the window grew. 0: nothing further at present. */
static int read_more(struct log_reader *reader, struct error *err)
{
    for (;;) {
        if (reader->index < reader->list.count) {
            make_room(reader);
            ssize_t count = read_file(reader, reader->window + reader->end,
                                      reader->capacity - reader->end, err);
            if (count < 0)
                return -1;
            reader->offset += count;
            reader->end += (size_t)count;
            if (count > 0)
                return 1;
            if (reader->index + 1 < reader->list.count) { /* a torn line at its end is lost */
                next_file(reader);
                continue;
            }
        }
        if (!reader->options.follows || !follow(reader))
            return 0;
    }
}

/* 1: a line without its newline, in the window. */
static int next_line(struct log_reader *reader, const char **out, size_t *out_size,
                     struct error *err)
{
    size_t searched = 0;

    for (;;) {
        const char *line = reader->window + reader->start, *newline = NULL;
        size_t size = reader->end - reader->start;

        if (size > searched)
            newline = memchr(line + searched, '\n', size - searched);
        if (newline) {
            reader->start += (size_t)(newline - line) + 1;
            if (!reader->is_skipping) {
                *out = line;
                *out_size = (size_t)(newline - line);
                return 1;
            }
            reader->is_skipping = false;
            searched = 0;
            continue;
        }
        size_t index = reader->index;
        bool was_skipping = reader->is_skipping;
        int result = read_more(reader, err);
        if (result <= 0)
            return result;
        /* Unless the window has begun anew, what was searched need not be searched again. */
        searched = index == reader->index && was_skipping == reader->is_skipping &&
                           reader->end - reader->start > size
                       ? size
                       : 0;
    }
}

static bool is_wanted(struct log_reader *reader, const struct log_entry *entry)
{
    const struct log_reader_options *options = &reader->options;

    if (options->until_ns > 0 && entry->wall_ns > options->until_ns)
        reader->is_ended = true;
    return !reader->is_ended && entry->wall_ns >= options->since_ns &&
           (entry->is_stderr ? options->stderr_wanted : options->stdout_wanted);
}

int log_reader_next(struct log_reader *reader, struct log_entry *out, struct error *err)
{
    const char *line;
    size_t size;
    int result;

    while (!reader->is_ended && (result = next_line(reader, &line, &size, err)) != 0) {
        if (result < 0)
            return -1;
        if (reader->skip_entries > 0)
            reader->skip_entries--;
        else if (log_line_decode(line, size, &reader->text, &reader->attributes, out) &&
                 is_wanted(reader, out))
            return 1;
    }
    return 0;
}

bool log_reader_is_ended(const struct log_reader *reader)
{
    return reader->is_ended;
}

/* ---- waiting */

static int watch_directory(struct log_reader *reader, struct error *err)
{
    const char *base = path_base(reader->path);
    CLEANUP(free) char *dir_path = xstrndup(reader->path, (size_t)(base - reader->path));

    reader->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (reader->inotify_fd < 0)
        return error_sys(err, "start watching log %s", reader->path);
    if (inotify_add_watch(reader->inotify_fd, *dir_path ? dir_path : ".",
                          IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
        return error_sys(err, "watch log %s", reader->path);
    return 0;
}

/* Empties the queue; true if our file, or one of its names, was among the events. */
static bool drain_events(struct log_reader *reader)
{
    _Alignas(struct inotify_event) char events[4096];
    const char *base = path_base(reader->path);
    bool found = false;
    ssize_t size;

    while ((size = read(reader->inotify_fd, events, sizeof(events))) > 0)
        for (ssize_t at = 0; at < size;) {
            const struct inotify_event *event = (const void *)(events + at);

            found |= event->len == 0 || text_starts(event->name, base);
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    return found;
}

int log_reader_wait(struct log_reader *reader, int timeout_ms, int cancel_fd, struct error *err)
{
    uint64_t deadline_ns = clock_monotonic_ns() + (uint64_t)MAX(timeout_ms, 0) * NS_PER_MS;

    if (reader->inotify_fd < 0) /* What came before the watch is there to be read. */
        return watch_directory(reader, err) < 0 ? -1 : 1;
    for (;;) {
        struct pollfd watched[] = { { .fd = reader->inotify_fd, .events = POLLIN },
                                    { .fd = cancel_fd, .events = POLLIN } };
        int64_t left_ns = (int64_t)(deadline_ns - clock_monotonic_ns());
        int left_ms = timeout_ms < 0 ? -1 : (int)(MAX(left_ns, 0) / NS_PER_MS);

        if (poll(watched, 2, left_ms) < 0 && errno != EINTR)
            return error_sys(err, "wait for log %s", reader->path);
        if (watched[1].revents)
            return 0;
        if (watched[0].revents && drain_events(reader))
            return 1;
        if (timeout_ms >= 0 && clock_monotonic_ns() >= deadline_ns)
            return 0;
    }
}

void log_reader_close(struct log_reader *reader)
{
    if (!reader)
        return;
    file_list_done(&reader->list);
    close_cleanup(&reader->inotify_fd);
    str_done(&reader->text);
    str_done(&reader->attributes);
    free(reader->window);
    free(reader->path);
    free(reader);
}
