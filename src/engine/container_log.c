/* Reading a container's log, to its end or as it grows. */

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "engine/internal.h"

#include "base/banned.h"

enum { END_CHECK_MS = 100 }; /* how soon a follower sees that the container ended */

struct container_log {
    struct container *container;
    struct log_reader *reader;
    bool follow;
    int64_t until_ns; /* 0: no end */
};

int engine_container_log_open(struct engine *engine, const char *text,
                              const struct log_reader_options *options, bool follow,
                              struct container_log **out, struct error *err)
{
    CLEANUP(container_unref) struct container *container = NULL;
    struct log_reader_options wish = *options;
    struct log_reader *reader;

    if (container_find(engine, text, &container, err) < 0)
        return -1;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    if (info->state == CONTAINER_DEAD || info->state == CONTAINER_REMOVING)
        return error_set(err, ERROR_CONFLICT,
                         "can not get logs from container which is dead or marked for removal");
    if (!*info->log_path)
        return error_set(err, ERROR_UNSUPPORTED,
                         "configured logging driver does not support reading");
    wish.path = info->log_path;
    wish.follows = follow;
    if (log_reader_open(&wish, &reader, err) < 0)
        return -1;
    struct container_log *log = NEW(struct container_log);
    *log = (struct container_log){ TAKE(container), reader, follow, options->until_ns };
    *out = log;
    return 0;
}

int container_log_next(struct container_log *log, int cancel_fd, struct log_entry *out,
                       struct error *err)
{
    for (;;) {
        /* Asked before reading: what was written before the end is then read surely. */
        CLEANUP(container_info_unref)
        struct container_info *info = container_snapshot(log->container);
        bool is_past = log->until_ns > 0 && clock_wall_ns() > log->until_ns;
        bool may_grow = log->follow && !is_past &&
                        (container_is_up(info) || info->state == CONTAINER_RESTARTING);
        int result = log_reader_next(log->reader, out, err);

        if (result != 0)
            return result;
        if (!may_grow)
            return 0;
        if (log_reader_wait(log->reader, END_CHECK_MS, cancel_fd, err) < 0)
            return -1;
        if (fd_is_readable(cancel_fd))
            return 0;
    }
}

void container_log_close(struct container_log *log)
{
    if (!log)
        return;
    log_reader_close(log->reader);
    container_unref(log->container);
    free(log);
}
