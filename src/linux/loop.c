/* Between asking for a free device and taking it another process may take it: then again. */
#include "linux/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

#include "base/banned.h"

enum { ATTEMPTS = 32 };

static int attach(int control_fd, int file_fd, char **out_path, int *out_fd, struct error *err)
{
    struct loop_config config = { .fd = (unsigned)file_fd };
    int number = ioctl(control_fd, LOOP_CTL_GET_FREE);

    if (number < 0)
        return error_sys(err, "find a free loop device");
    CLEANUP(free) char *path = xasprintf("/dev/loop%d", number);
    CLEANUP(close) int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, "open %s", path);
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    if (ioctl(fd, LOOP_CONFIGURE, &config) < 0)
        return error_sys(err, "set up %s", path);
    *out_path = TAKE(path);
    *out_fd = TAKE_FD(fd);
    return 0;
}

int loop_attach(int file_fd, char **out_path, int *out_fd, struct error *err)
{
    CLEANUP(close) int control_fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    struct error why = {};

    if (control_fd < 0)
        return error_set(err, ERROR_UNSUPPORTED, "this host has no loop devices");
    for (int i = 0; i < ATTEMPTS; i++) {
        why = (struct error){};
        if (attach(control_fd, file_fd, out_path, out_fd, &why) == 0)
            return 0;
        if (why.sys != EBUSY)
            break;
    }
    if (err)
        *err = why;
    return -1;
}
