/* Whiteouts in their two forms. */
#include "store/whiteout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

bool whiteout_is_device(const struct stat *status)
{
    return S_ISCHR(status->st_mode) && status->st_rdev == makedev(0, 0);
}

bool whiteout_is_name(const char *name)
{
    return text_starts(name, WHITEOUT_PREFIX);
}

static int mark_by_name(int dir_fd, const char *name, struct error *err)
{
    CLEANUP(close)
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0 && errno != EEXIST)
        return error_sys(err, "create %s", name);
    return 0;
}

int whiteout_make(bool by_name, int dir_fd, const char *name, struct error *err)
{
    struct stat status;

    if (by_name) {
        CLEANUP(free) char *mark = xasprintf(WHITEOUT_PREFIX "%s", name);

        return mark_by_name(dir_fd, mark, err);
    }
    if (mknodat(dir_fd, name, S_IFCHR, makedev(0, 0)) == 0)
        return 0;
    if (errno != EEXIST || fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "hide %s", name);
    if (!S_ISDIR(status.st_mode))
        return 0; /* It hides what is below by being there. */
    CLEANUP(close)
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, "open %s", name);
    return opaque_make(false, fd, err);
}

int opaque_make(bool by_name, int dir_fd, struct error *err)
{
    if (by_name)
        return mark_by_name(dir_fd, OPAQUE_NAME, err);
    if (fsetxattr(dir_fd, OPAQUE_ATTRIBUTE, "y", 1, 0) < 0)
        return error_sys(err, "make directory opaque");
    return 0;
}

bool opaque_is(int dir_fd)
{
    char value[2];

    return (fgetxattr(dir_fd, OPAQUE_ATTRIBUTE, value, sizeof(value)) == 1 && value[0] == 'y') ||
           faccessat(dir_fd, OPAQUE_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool layer_keeps_xattr(const char *name)
{
    return strcmp(name, "security.capability") == 0 ||
           (text_starts(name, "user.") && !text_starts(name, "user.overlay."));
}
