/* Reading a container's log (json-file form, rotated and possibly gzipped files), for `logs` and
 * for replay on attach. The writer is the supervisor (another process); a torn last line is waited
 * for or skipped, never an error. */
#ifndef BERTH_SHIM_LOG_READ_H
#define BERTH_SHIM_LOG_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct log_entry {
    const char *text; /* borrowed until the next call; with the final newline, absent from partial
                         entries */
    size_t size;
    bool is_stderr;
    int64_t wall_ns;
    const char *attributes; /* JSON object or NULL */
};

struct log_reader_options {
    const char *path; /* of the current file */
    /* Both inclusive; 0: no bound. The first is searched for: what a clock that was set back by
     * more than LOG_STEP_LIMIT_NS left behind may be passed over. */
    int64_t since_ns, until_ns;
    int64_t tail; /* last n lines only (found from the end, without reading all); -1: all */
    bool stdout_wanted, stderr_wanted;
    bool follows; /* what is written later is read, too; else the log ends where it ended then */
};

struct log_reader;
/* Works also when there is no file yet (empty log). */
int log_reader_open(const struct log_reader_options *options, struct log_reader **out,
                    struct error *err);

/* 1: an entry. 0: nothing further at present (all files read). For following: wait with
 * log_reader_wait, then call again. Rotation is noticed and followed without repeating an entry.
 * The files that were there when the reader opened, and whenever it has come to the end of those
 * that it had, stay open until they are read, rotated away or not. So entries are lost, without a
 * sign, only to who lets the log rotate through all its files meanwhile; a reader never holds more
 * than that on the disk. */
int log_reader_next(struct log_reader *reader, struct log_entry *out, struct error *err);

/* An entry behind 'until' was seen: nothing more will come, however long one waits. */
bool log_reader_is_ended(const struct log_reader *reader);

/* Waits until the log grew (1), 'cancel_fd' became readable (0), or 'timeout_ms' passed (0).
 * inotify. May say 1 without need (the first time always); a negative timeout waits for ever. */
int log_reader_wait(struct log_reader *reader, int timeout_ms, int cancel_fd, struct error *err);

void log_reader_close(struct log_reader *reader);
CLEANUP_POINTER(log_reader_close, struct log_reader)

/* Removes the current and all rotated files. */
void log_files_remove(const char *path);

#endif
