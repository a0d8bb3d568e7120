/* Range by range between the holes. In a large range each thread takes the next piece until none is
 * left: file systems let one writer at a time into a file, and a page cache that is written to
 * leaves a processor idle meanwhile, on which the next piece is read. */
#include "linux/file_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/thread.h"

#include "base/banned.h"

#define BUFFER_SIZE  ((size_t)256 * 1024)
#define PIECE_SIZE   ((off_t)4 * 1024 * 1024)
#define SHARED_LEAST (2 * PIECE_SIZE) /* of a range for two threads: less is not worth a start */

/* A range on its way, and who works on it. */
struct range {
    int from_fd, to_fd;
    off_t end;
    const struct file_copy *options;
    _Atomic off_t next; /* piece that nobody has taken */
};

static int check_cancelled(const struct file_copy *options, struct error *err)
{
    if (fd_is_readable(options->cancel_fd))
        return error_set(err, ERROR_CANCELLED, "copying was called off");
    return 0;
}

static int tell(const struct file_copy *options, off_t offset, struct error *err)
{
    return options->reached ? options->reached(options->data, offset, err) : 0;
}

static void hand_to_disk(const struct range *range, off_t at, off_t end)
{
    if (range->options->is_kept && end - at == PIECE_SIZE)
        (void)sync_file_range(range->to_fd, at, end - at, SYNC_FILE_RANGE_WRITE);
}

static int write_block(const struct range *range, const char *block, size_t size, off_t at,
                       struct error *err)
{
    while (size) {
        ssize_t count = pwrite(range->to_fd, block, size, at);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_sys(err, "write %s", range->options->name);
        block += count;
        size -= (size_t)count;
        at += count;
    }
    return 0;
}

/* Ends early where the file does. */
static int copy_piece(const struct range *range, char *block, off_t at, off_t end,
                      struct error *err)
{
    while (at < end) {
        ssize_t count = pread(range->from_fd, block, (size_t)MIN((off_t)BUFFER_SIZE, end - at), at);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_sys(err, "read %s", range->options->name);
        if (count == 0)
            return 0;
        if (write_block(range, block, (size_t)count, at, err) < 0)
            return -1;
        at += count;
    }
    return 0;
}

/* What is wrong in one thread ends the other's work too. */
static int copy_pieces(struct range *range, struct error *err)
{
    CLEANUP(free) char *block = xmalloc(BUFFER_SIZE);
    off_t at;

    while ((at = atomic_fetch_add(&range->next, PIECE_SIZE)) < range->end) {
        off_t end = MIN(at + PIECE_SIZE, range->end);

        if (check_cancelled(range->options, err) < 0 ||
            copy_piece(range, block, at, end, err) < 0) {
            atomic_store(&range->next, range->end);
            return -1;
        }
        hand_to_disk(range, at, end);
        if (tell(range->options, end, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- two threads ---- */

struct companion {
    struct range *range;
    int result;
    struct error err;
};

static void *run_companion(void *data)
{
    struct companion *companion = data;

    companion->result = copy_pieces(companion->range, &companion->err);
    return NULL;
}

/* Those that this thread may run on. */
static bool has_two_processors(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) < 0 || CPU_COUNT(&set) > 1;
}

static int copy_together(struct range *range, struct error *err)
{
    struct companion companion = { .range = range };
    pthread_t thread;
    bool is_alone = !has_two_processors() ||
                    thread_start("copy", run_companion, &companion, &thread, NULL) < 0;
    int result = copy_pieces(range, err);

    if (is_alone)
        return result;
    pthread_join(thread, NULL);
    if (result == 0 && companion.result < 0 && err)
        *err = companion.err;
    return result < 0 ? -1 : companion.result;
}

/* ---- one range ---- */

/* The kernel by itself, which may share blocks; what it refuses is copied by hand, which says what
 * is wrong. */
static int copy_range(int from_fd, int to_fd, off_t at, off_t end, const struct file_copy *options,
                      struct error *err)
{
    struct range range = { from_fd, to_fd, end, options, at };
    off_t from = at, to = at;

    if (end - at >= SHARED_LEAST)
        return options->reached ? copy_pieces(&range, err) : copy_together(&range, err);
    while (from < end) {
        ssize_t count = copy_file_range(from_fd, &from, to_fd, &to, (size_t)(end - from), 0);

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break; /* Some file systems claim the end of the file. */
    }
    atomic_store(&range.next, from);
    if (from < end)
        return copy_pieces(&range, err);
    return check_cancelled(options, err) < 0 ? -1 : tell(options, end, err);
}

/* All blocks at once, where the file system can. False: nothing was done. */
static bool share_blocks(int from_fd, int to_fd, off_t size)
{
    struct stat status;

    if (size < SHARED_LEAST || ioctl(to_fd, FICLONE, from_fd) < 0)
        return false;
    /* It may have grown since it was looked at. */
    return fstat(to_fd, &status) == 0 && (status.st_size <= size || ftruncate(to_fd, size) == 0);
}

int file_copy_content(int from_fd, int to_fd, off_t size, const struct file_copy *options,
                      struct error *err)
{
    off_t end = 0;

    if (share_blocks(from_fd, to_fd, size))
        return 0;
    while (end < size) {
        off_t start = lseek(from_fd, end, SEEK_DATA);

        if (start >= size || (start < 0 && errno == ENXIO)) /* Only a hole is left. */
            return ftruncate(to_fd, size) < 0 ? error_sys(err, "size of %s", options->name) : 0;
        if (start < 0)
            start = end;
        end = lseek(from_fd, start, SEEK_HOLE);
        end = end <= start ? size : MIN(end, size);
        if (copy_range(from_fd, to_fd, start, end, options, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- somebody else's descriptors ---- */

/* Told without asking the file system, which may be one that never answers: it has a device, or is
 * memory (which has seals), or knows compression as btrfs does, which has no device. That leaves
 * FUSE out, which anybody can mount; overlays too, as what lies below them may be anything. */
static bool is_local_file(int fd)
{
    struct statx status;

    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &status) == 0 &&
           S_ISREG(status.stx_mode) &&
           (status.stx_dev_major || fcntl(fd, F_GET_SEALS) >= 0 ||
            status.stx_attributes_mask & STATX_ATTR_COMPRESSED);
}

static bool is_known_type(uint64_t type)
{
    static const uint64_t known[] = { BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC,
                                      TMPFS_MAGIC, XFS_SUPER_MAGIC };

    for (size_t i = 0; i < COUNT(known); i++)
        if (type == known[i])
            return true;
    return false;
}

bool file_copy_is_fit(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    struct statfs filesystem;

    return flags >= 0 && !(flags & (O_PATH | O_DIRECT)) && (flags & O_ACCMODE) != O_WRONLY &&
           is_local_file(fd) && fstatfs(fd, &filesystem) == 0 &&
           is_known_type((uint64_t)filesystem.f_type);
}
