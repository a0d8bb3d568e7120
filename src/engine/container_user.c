/* Who a user of a container is, found in the directories below its root: nothing that the container
 * itself has mounted, and that may not answer, is ever touched. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "runtime/user.h"
#include "store/whiteout.h"

#include "base/banned.h"

#define FILE_LIMIT ((size_t)16 << 20)

enum finding { NOT_HERE, NOWHERE, FOUND, UNKNOWN };

/* What is at 'name' of one layer: a link would have to be followed through all of them. */
static enum finding look_at(int dir_fd, const char *name, mode_t wanted)
{
    struct stat stat;

    if (fstatat(dir_fd, name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT || errno == ENOTDIR ? NOT_HERE : UNKNOWN;
    if (whiteout_is_device(&stat))
        return NOWHERE;
    return (stat.st_mode & S_IFMT) == wanted ? FOUND : UNKNOWN;
}

/* /etc/<name> of one layer. */
static enum finding read_layer(const char *layer_path, const char *name, struct str *out)
{
    CLEANUP(close) int root_fd = open(layer_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (root_fd < 0)
        return errno == ENOENT ? NOT_HERE : UNKNOWN;
    enum finding finding = look_at(root_fd, "etc", S_IFDIR);
    if (finding != FOUND)
        return finding;
    CLEANUP(close)
    int etc_fd = openat(root_fd, "etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (etc_fd < 0)
        return UNKNOWN;
    finding = look_at(etc_fd, name, S_IFREG);
    if (finding == NOT_HERE && opaque_is(etc_fd))
        return NOWHERE;
    if (finding != FOUND)
        return finding;
    CLEANUP(close) int fd = openat(etc_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    return fd >= 0 && file_read_fd(fd, FILE_LIMIT, out, NULL) == 0 ? FOUND : UNKNOWN;
}

static bool is_mounted_over(const struct container_info *info, const char *path)
{
    for (size_t i = 0; i < info->mounts.count; i++) {
        const char *at = JSON_ITEMS(&info->mounts, struct mount_point)[i].destination;
        size_t length = at ? strlen(at) : 0;

        while (length > 1 && at[length - 1] == '/')
            length--;
        if (length > 0 && strncmp(path, at, length) == 0 &&
            (path[length] == '/' || path[length] == '\0'))
            return true;
    }
    return false;
}

/* False if nobody can say what the file holds. One that is not there leaves 'out' empty. */
static bool read_etc(const struct container_info *info, const char *name, struct str *out)
{
    CLEANUP(strv_done) struct strv layers = {};
    CLEANUP(free) char *path = path_join("/etc", name);
    enum finding finding = NOT_HERE;

    if (is_mounted_over(info, path) || map_has(&info->host_config.tmpfs, "/etc"))
        return false;
    strv_split(&layers, info->lower_paths ? info->lower_paths : "", ':');
    strv_insert(&layers, 0, info->upper_path);
    for (size_t i = 0; i < layers.count && finding == NOT_HERE; i++)
        if (*layers.items[i])
            finding = read_layer(layers.items[i], name, out);
    return finding != UNKNOWN;
}

int container_user_look_up(const struct container_info *info, const char *user,
                           struct user_identity *out, struct error *err)
{
    CLEANUP(str_done) struct str passwd = {}, group = {};
    const struct runtime_user wanted = { .username = (char *)user };

    if (!read_etc(info, "passwd", &passwd) || !read_etc(info, "group", &group))
        return 0;
    return user_resolve(&wanted, str_text(&passwd), str_text(&group), out, err) < 0 ? -1 : 1;
}
