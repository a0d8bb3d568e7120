/* The copier tells how far it is, and the one who hashes reads from the page cache behind it. What
 * writing does to a file's times and capability is undone: the header in the archive has them. */
#include "store/late_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/thread.h"
#include "linux/file_copy.h"

#include "base/banned.h"

#define LEAST_SIZE      ((off_t)8 << 20) /* less is not worth a thread */
#define BLOCK_SIZE      ((size_t)256 * 1024)
#define CAPABILITY      "security.capability"
#define CAPABILITY_SIZE 64 /* larger than any value of it */

static void copy_done(struct late_copy *copy)
{
    close(copy->from_fd);
    close(copy->to_fd);
    free(copy->path);
}

int late_copies_add(void *data, const char *path, int from_fd, int to_fd, off_t size)
{
    struct late_copies *late = data;
    struct stat status;

    if (size < LEAST_SIZE || late->count == COUNT(late->items) || fstat(to_fd, &status) < 0)
        return 0;
    CLEANUP(close) int own_from_fd = fcntl(from_fd, F_DUPFD_CLOEXEC, 0);
    CLEANUP(close) int own_to_fd = fcntl(to_fd, F_DUPFD_CLOEXEC, 0);
    if (own_from_fd < 0 || own_to_fd < 0)
        return 0;
    late->items[late->count++] = (struct late_copy){ .path = xstrdup(path),
                                                     .from_fd = TAKE_FD(own_from_fd),
                                                     .to_fd = TAKE_FD(own_to_fd),
                                                     .size = size,
                                                     .device = status.st_dev,
                                                     .inode = status.st_ino };
    return 1;
}

void late_copies_done(struct late_copies *late)
{
    for (size_t i = 0; i < late->count; i++)
        copy_done(&late->items[i]);
    late->count = 0;
}

/* ---- copying ---- */

static int copy_late(const struct late_copy *copy, int (*reached)(void *, off_t, struct error *),
                     void *data, struct error *err)
{
    const struct file_copy options = {
        .name = copy->path, .cancel_fd = -1, .is_kept = true, .reached = reached, .data = data
    };
    char capability[CAPABILITY_SIZE];
    ssize_t size = fgetxattr(copy->to_fd, CAPABILITY, capability, sizeof(capability));
    struct stat status;

    if (fstat(copy->to_fd, &status) < 0)
        return error_sys(err, "stat %s", copy->path);
    if (file_copy_content(copy->from_fd, copy->to_fd, copy->size, &options, err) < 0)
        return -1;
    const struct timespec times[] = { status.st_atim, status.st_mtim };
    if (fchmod(copy->to_fd, status.st_mode & 07777) < 0 ||
        (size > 0 && fsetxattr(copy->to_fd, CAPABILITY, capability, (size_t)size, 0) < 0) ||
        futimens(copy->to_fd, times) < 0)
        return error_sys(err, "set attributes of %s", copy->path);
    return 0;
}

int late_copies_finish(struct late_copies *late, struct error *err)
{
    for (size_t i = 0; i < late->count; i++)
        if (copy_late(&late->items[i], NULL, NULL, err) < 0)
            return -1;
    late_copies_done(late);
    return 0;
}

/* ---- following ---- */

struct chase {
    const struct late_copy *copy;
    int result; /* of copying */
    struct error err;

    struct mutex lock;
    struct condition changed;
    off_t reached GUARDED_BY(lock);
    bool is_over GUARDED_BY(lock);     /* nothing more comes */
    bool is_given_up GUARDED_BY(lock); /* nobody follows any more */
};

static int note_reached(void *data, off_t offset, struct error *err)
{
    struct chase *chase = data;

    mutex_lock(&chase->lock);
    chase->reached = offset;
    bool is_given_up = chase->is_given_up;
    condition_signal(&chase->changed);
    mutex_unlock(&chase->lock);
    return is_given_up ? error_set(err, ERROR_CANCELLED, "copying was called off") : 0;
}

static void *run_copier(void *data)
{
    struct chase *chase = data;

    chase->result = copy_late(chase->copy, note_reached, chase, &chase->err);
    mutex_lock(&chase->lock);
    if (chase->result == 0)
        chase->reached = chase->copy->size;
    chase->is_over = true;
    condition_signal(&chase->changed);
    mutex_unlock(&chase->lock);
    return NULL;
}

/* How far the copy is, as soon as it is farther than 'at', or over. */
static off_t await(struct chase *chase, off_t at)
{
    mutex_lock(&chase->lock);
    while (chase->reached <= at && !chase->is_over)
        condition_wait(&chase->changed, &chase->lock);
    off_t reached = chase->reached;
    mutex_unlock(&chase->lock);
    return reached;
}

static int hash_range(struct sha256 *hash, int fd, char *block, off_t at, off_t end,
                      struct error *err)
{
    while (at < end) {
        ssize_t count = pread(fd, block, MIN(BLOCK_SIZE, (size_t)(end - at)), at);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_sys(err, "read copy");
        if (count == 0)
            return error_set(err, ERROR_CONFLICT, "the copy is shorter than it was");
        sha256_add(hash, block, (size_t)count);
        at += count;
    }
    return 0;
}

/* Ends early where the copy does: then that says what is wrong. */
static int hash_behind(struct chase *chase, int fd, struct sha256 *hash, struct error *err)
{
    CLEANUP(free) char *block = xmalloc(BLOCK_SIZE);
    off_t at = 0, size = chase->copy->size;

    while (at < size) {
        off_t end = await(chase, at);

        if (end <= at)
            return 0;
        if (hash_range(hash, fd, block, at, end, err) < 0)
            return -1;
        at = end;
    }
    return 0;
}

static void give_up(struct chase *chase)
{
    mutex_lock(&chase->lock);
    chase->is_given_up = true;
    mutex_unlock(&chase->lock);
}

static int follow(const struct late_copy *copy, int fd, struct sha256 *hash, struct error *err)
{
    struct chase chase = { .copy = copy };
    pthread_t thread;

    mutex_init(&chase.lock);
    condition_init(&chase.changed);
    bool is_alone = thread_start("copy", run_copier, &chase, &thread, NULL) < 0;
    if (is_alone)
        run_copier(&chase);
    int result = hash_behind(&chase, fd, hash, err);
    if (result < 0)
        give_up(&chase);
    if (!is_alone)
        pthread_join(thread, NULL);
    condition_done(&chase.changed);
    mutex_done(&chase.lock);
    if (result == 0 && chase.result < 0 && err)
        *err = chase.err;
    return result < 0 ? -1 : chase.result;
}

int late_copies_follow(struct late_copies *late, const struct stat *file, int fd,
                       struct sha256 *hash, struct error *err)
{
    for (size_t i = 0; i < late->count; i++) {
        struct late_copy copy = late->items[i];

        if (copy.inode != file->st_ino || copy.device != file->st_dev)
            continue;
        late->items[i] = late->items[--late->count];
        int result = follow(&copy, fd, hash, err);
        copy_done(&copy);
        return result < 0 ? -1 : 1;
    }
    return 0;
}
