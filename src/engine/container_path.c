/* Names before files. */
#include "engine/container_path.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/strv.h"
#include "linux/path.h"

#include "base/banned.h"

#define LINK_LIMIT 255

void container_path_done(struct container_path *path)
{
    free(path->path);
    *path = (struct container_path){};
}

/* Whether the last element is ".", slashes behind it left aside. */
static bool ends_in_dot(const char *text)
{
    size_t length = strlen(text);

    while (length > 0 && text[length - 1] == '/')
        length--;
    return length > 0 && text[length - 1] == '.' && (length == 1 || text[length - 2] == '/');
}

int container_path_parse(const char *text, struct container_path *out, struct error *err)
{
    if (!text || !*text)
        return error_set(err, ERROR_INVALID, "bad parameter: pathcannot be empty");
    CLEANUP(free) char *rooted = xasprintf("/%s", text);
    bool is_dot = ends_in_dot(text);
    *out = (struct container_path){ .path = path_clean(rooted),
                                    .is_directory = is_dot || text[strlen(text) - 1] == '/' };
    out->name = is_dot ? "." : strcmp(out->path, "/") == 0 ? "/" : path_base(out->path);
    return 0;
}

uint32_t go_file_mode(mode_t mode)
{
    static const struct {
        mode_t mask, bits;
        uint32_t go;
    } rows[] = {
        { S_IFMT, S_IFDIR, 1U << 31 },  { S_IFMT, S_IFLNK, 1U << 27 },
        { S_IFMT, S_IFBLK, 1U << 26 },  { S_IFMT, S_IFCHR, 1U << 26 | 1U << 21 },
        { S_IFMT, S_IFIFO, 1U << 25 },  { S_IFMT, S_IFSOCK, 1U << 24 },
        { S_ISUID, S_ISUID, 1U << 23 }, { S_ISGID, S_ISGID, 1U << 22 },
        { S_ISVTX, S_ISVTX, 1U << 20 },
    };
    uint32_t result = mode & 0777;

    for (size_t i = 0; i < COUNT(rows); i++)
        if ((mode & rows[i].mask) == rows[i].bits)
            result |= rows[i].go;
    return result;
}

/* The target of 'path' if that is a link, else NULL. */
static char *link_target(int root_fd, const char *path)
{
    char target[PATH_MAX];
    CLEANUP(close) int fd = path_open(root_fd, path, O_PATH | O_NOFOLLOW, 0, NULL);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISLNK(status.st_mode))
        return NULL;
    ssize_t length = readlinkat(fd, "", target, sizeof(target) - 1);
    return length <= 0 ? NULL : xstrndup(target, (size_t)length);
}

char *container_path_resolve(int root_fd, const char *path)
{
    CLEANUP(strv_done) struct strv rest = {};
    char *done = xstrdup("/");
    int links = 0;

    strv_split(&rest, path, '/');
    while (rest.count > 0) {
        CLEANUP(free) char *part = xstrdup(rest.items[0]);
        CLEANUP(free) char *joined = path_join(done, part);
        CLEANUP(free) char *target = NULL;

        strv_remove(&rest, 0);
        if (*part && strcmp(part, ".") != 0 && strcmp(part, "..") != 0 && links < LINK_LIMIT)
            target = link_target(root_fd, joined);
        if (!target) {
            free(done);
            done = path_clean(joined);
            continue;
        }
        links++;
        if (target[0] == '/') {
            free(done);
            done = xstrdup("/");
        }
        CLEANUP(strv_done) struct strv parts = {};
        strv_split(&parts, target, '/');
        for (size_t i = parts.count; i-- > 0;)
            strv_insert(&rest, 0, parts.items[i]);
    }
    return done;
}

bool container_path_is_below(const char *path, const char *parent)
{
    size_t length = strlen(parent);

    return strncmp(path, parent, length) == 0 && (!path[length] || path[length] == '/');
}
