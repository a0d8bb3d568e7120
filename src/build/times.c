/* Times in layers. Equal steps on equal files shall give equal layers, whenever they are carried
 * out; what a process wrote keeps its times, unless the build names an epoch. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "build/step.h"
#include "linux/path.h"
#include "linux/tree.h"

#include "base/banned.h"

struct settling {
    int base_fd;                /* the files below, -1: none */
    int64_t began_ns, epoch_ns; /* epoch -1: none */
    struct timespec oldest;     /* of what was copied; 1970: nothing was */
};

static int64_t nanoseconds(const struct timespec *time)
{
    return (int64_t)time->tv_sec * NS_PER_S + time->tv_nsec;
}

static int set_time(const struct tree_entry *entry, const struct timespec *time, struct error *err)
{
    const struct timespec times[2] = { *time, *time };

    if (utimensat(entry->dir_fd, entry->name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "set time of %s", entry->path);
    return 0;
}

static int clamp(const struct settling *settling, const struct tree_entry *entry, struct error *err)
{
    const struct timespec epoch = { settling->epoch_ns / NS_PER_S, settling->epoch_ns % NS_PER_S };

    if (settling->epoch_ns < 0 || nanoseconds(&entry->status.st_mtim) <= settling->epoch_ns)
        return 0;
    return set_time(entry, &epoch, err);
}

/* Whiteouts are devices without times that anybody reads. */
static int clamp_entry(void *data, const struct tree_entry *entry, struct error *err)
{
    return S_ISDIR(entry->status.st_mode) || S_ISCHR(entry->status.st_mode)
               ? 0
               : clamp(data, entry, err);
}

static int clamp_directory(void *data, const struct tree_entry *entry, struct error *err)
{
    return clamp(data, entry, err);
}

static int walk(const struct writable *writable, const struct tree_visitor *visitor,
                struct settling *settling, struct error *err)
{
    CLEANUP(close) int fd = open(writable->diff_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? error_sys(err, "open %s", writable->diff_path)
                  : tree_walk(fd, visitor, settling, err);
}

int times_settle(struct job *job, const struct writable *writable, struct error *err)
{
    static const struct tree_visitor visitor = { clamp_entry, clamp_directory };
    struct settling settling = { .base_fd = -1, .epoch_ns = job->epoch_ns };

    return job->epoch_ns < 0 ? 0 : walk(writable, &visitor, &settling, err);
}

/* ---- after copying ---- */

/* The oldest, not the newest: then a changed file leaves the directories before it in the archive
 * as they are, and the layer's digest goes on from what was hashed before. */
static int note_oldest(void *data, const struct tree_entry *entry, struct error *err UNUSED)
{
    struct settling *settling = data;

    if (!S_ISDIR(entry->status.st_mode) && !S_ISCHR(entry->status.st_mode) &&
        nanoseconds(&entry->status.st_mtim) < settling->began_ns &&
        (nanoseconds(&settling->oldest) == 0 ||
         nanoseconds(&entry->status.st_mtim) < nanoseconds(&settling->oldest)))
        settling->oldest = entry->status.st_mtim;
    return 0;
}

/* A directory that was touched while something was put in it: as old as it was, or if it is new, as
 * the oldest file. */
static int settle_directory(void *data, const struct tree_entry *entry, struct error *err)
{
    const struct settling *settling = data;
    struct timespec time = settling->oldest;
    struct stat now, before;

    if (fstatat(entry->dir_fd, entry->name, &now, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "stat %s", entry->path);
    if (nanoseconds(&now.st_mtim) < settling->began_ns)
        return clamp(settling, entry, err);
    CLEANUP(close)
    int fd = settling->base_fd < 0
                 ? -1
                 : path_open(settling->base_fd, entry->path, O_PATH | O_NOFOLLOW, 0, NULL);
    if (fd >= 0 && fstat(fd, &before) == 0 && S_ISDIR(before.st_mode))
        time = before.st_mtim;
    if (settling->epoch_ns >= 0 && nanoseconds(&time) > settling->epoch_ns)
        time = (struct timespec){ settling->epoch_ns / NS_PER_S, settling->epoch_ns % NS_PER_S };
    return set_time(entry, &time, err);
}

int times_settle_copy(struct job *job, const struct stage *stage, const struct writable *writable,
                      int64_t began_ns, struct error *err)
{
    static const struct tree_visitor look = { .enter = note_oldest };
    static const struct tree_visitor settle = { clamp_entry, settle_directory };
    struct settling settling = { .base_fd = *stage->chain_id ? job_mount(job, stage->chain_id, NULL)
                                                             : -1,
                                 .began_ns = began_ns,
                                 .epoch_ns = job->epoch_ns };

    return walk(writable, &look, &settling, err) < 0 ? -1 : walk(writable, &settle, &settling, err);
}
