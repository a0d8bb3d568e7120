/* Terminals are opened through their master, never by name: names belong to the container. */
#include "linux/pty.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "base/banned.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

enum { PTMX_MAJOR = 5, PTMX_MINOR = 2 };

int pty_open_slave(int ptmx_fd, struct error *err)
{
    struct stat status;
    struct statfs filesystem;
    int unlock = 0;

    if (fstat(ptmx_fd, &status) < 0 || fstatfs(ptmx_fd, &filesystem) < 0)
        return error_sys(err, "look at ptmx");
    if (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(PTMX_MAJOR, PTMX_MINOR) ||
        filesystem.f_type != DEVPTS_SUPER_MAGIC)
        return error_set(err, ERROR_INTERNAL, "/dev/pts/ptmx is not a terminal multiplexer");
    if (ioctl(ptmx_fd, TIOCSPTLCK, &unlock) < 0)
        return error_sys(err, "unlock terminal");
    int slave_fd = ioctl(ptmx_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    return slave_fd >= 0 ? slave_fd : error_sys(err, "open terminal");
}

int pty_make_controlling(int slave_fd, struct error *err)
{
    return ioctl(slave_fd, TIOCSCTTY, 0) < 0 ? error_sys(err, "set controlling terminal") : 0;
}

int pty_resize(int fd, int height, int width, struct error *err)
{
    struct winsize size = { .ws_row = (unsigned short)height, .ws_col = (unsigned short)width };

    return ioctl(fd, TIOCSWINSZ, &size) < 0 ? error_sys(err, "resize terminal") : 0;
}

void pty_copy_size(int from_fd, int to_fd)
{
    struct winsize size;

    if (ioctl(from_fd, TIOCGWINSZ, &size) == 0)
        (void)ioctl(to_fd, TIOCSWINSZ, &size);
}

int pty_make_raw(int fd, struct termios *out_old, struct error *err)
{
    struct termios raw;

    if (tcgetattr(fd, out_old) < 0)
        return error_sys(err, "read terminal settings");
    raw = *out_old;
    cfmakeraw(&raw);
    return tcsetattr(fd, TCSANOW, &raw) < 0 ? error_sys(err, "set terminal to raw") : 0;
}

void pty_restore(int fd, const struct termios *old)
{
    tcsetattr(fd, TCSANOW, old);
}
