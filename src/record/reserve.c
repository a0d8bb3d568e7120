/* A file of allocated blocks. It is cut by steps, so that whoever fills the disk meanwhile does not
 * get all of it at once. */
#include "record/reserve.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/memory.h"

#include "base/banned.h"

enum { STEP = 512 * 1024, LITTLE = 256 * 1024, PLENTY_FACTOR = 8 };

static int64_t available(const struct reserve *reserve)
{
    struct statvfs status;

    return fstatvfs(reserve->fd, &status) < 0 ? -1 : (int64_t)(status.f_bavail * status.f_frsize);
}

void reserve_open(struct reserve *reserve, const char *path)
{
    struct stat status;

    *reserve = (struct reserve){ .path = xstrdup(path) };
    reserve->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (reserve->fd >= 0 && fstat(reserve->fd, &status) == 0)
        reserve->size = status.st_size;
}

void reserve_close(struct reserve *reserve)
{
    if (reserve->path && reserve->fd >= 0)
        close(reserve->fd);
    free(reserve->path);
    *reserve = (struct reserve){ .fd = -1 };
}

void reserve_use(struct reserve *reserve)
{
    if (reserve->fd < 0 || !reserve->size || available(reserve) >= LITTLE)
        return;
    int64_t left = MAX(reserve->size - STEP, 0);
    if (ftruncate(reserve->fd, left) == 0)
        reserve->size = left;
}

void reserve_refill(struct reserve *reserve)
{
    if (reserve->fd < 0 || reserve->size >= RESERVE_SIZE ||
        available(reserve) < RESERVE_SIZE * PLENTY_FACTOR)
        return;
    if (fallocate(reserve->fd, 0, 0, RESERVE_SIZE) == 0)
        reserve->size = RESERVE_SIZE;
}
