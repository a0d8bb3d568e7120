/* A walk holds one frame per level: the names that are left there, and for the upper levels a
 * descriptor. Below those it goes back through "..", and checks that it came where it was. */
#include "linux/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/strv.h"

#include "base/banned.h"

#define OPEN_LEVELS 48 /* these keep their descriptors */

struct frame {
    int fd; /* -1: closed meanwhile */
    dev_t device;
    ino_t inode;
    struct strv names;
    size_t next;
    size_t path_length; /* of the directory's own path */
};

struct walk {
    const struct tree_visitor *visitor;
    void *data;
    struct frame *frames;
    size_t depth, capacity;
    struct str path;
};

static int read_names(int fd, struct strv *out, struct error *err)
{
    int own_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own_fd < 0 ? NULL : fdopendir(own_fd);
    struct dirent *entry;

    if (!dir) {
        error_sys(err, "read directory");
        if (own_fd >= 0)
            close(own_fd);
        return -1;
    }
    for (errno = 0; (entry = readdir(dir)); errno = 0)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            strv_add(out, entry->d_name);
    int number = errno;
    closedir(dir);
    strv_sort(out);
    errno = number;
    return number ? error_sys(err, "read directory") : 0;
}

/* Goes down into 'fd', which is taken. */
static int push(struct walk *walk, int fd, struct error *err)
{
    struct stat status;

    if (walk->depth == walk->capacity) {
        walk->capacity = walk->capacity ? walk->capacity * 2 : 16;
        walk->frames = xrealloc(walk->frames, walk->capacity, sizeof(struct frame));
    }
    struct frame *frame = &walk->frames[walk->depth++];
    *frame = (struct frame){ .fd = fd, .path_length = walk->path.length };
    if (fstat(fd, &status) < 0)
        return error_sys(err, "%s", str_text(&walk->path));
    frame->device = status.st_dev;
    frame->inode = status.st_ino;
    if (read_names(fd, &frame->names, err) < 0)
        return error_context(err, "%s", str_text(&walk->path));
    if (walk->depth > OPEN_LEVELS + 1) {
        struct frame *parent = frame - 1;

        close(parent->fd);
        parent->fd = -1;
    }
    return 0;
}

/* Leaves the deepest directory; the one above has an open descriptor afterwards. */
static int pop(struct walk *walk, struct error *err)
{
    struct frame *frame = &walk->frames[--walk->depth];
    struct frame *parent = frame - 1;
    struct stat status;
    int result = 0;

    if (walk->depth && parent->fd < 0) {
        parent->fd = openat(frame->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (parent->fd < 0 || fstat(parent->fd, &status) < 0)
            result = error_sys(err, "go back from %s", str_text(&walk->path));
        else if (status.st_dev != parent->device || status.st_ino != parent->inode)
            result = error_set(err, ERROR_CONFLICT, "%s was moved while it was read",
                               str_text(&walk->path));
    }
    close(frame->fd);
    strv_done(&frame->names);
    return result;
}

static void name_entry(struct walk *walk, const struct frame *frame, const char *name)
{
    str_cut(&walk->path, frame->path_length);
    if (frame->path_length)
        str_add_char(&walk->path, '/');
    str_add(&walk->path, name);
}

/* Visits one entry and goes down into it if it is a directory. */
static int visit(struct walk *walk, const char *name, struct error *err)
{
    struct frame *frame = &walk->frames[walk->depth - 1];
    struct tree_entry entry = { .dir_fd = frame->fd, .name = name };

    name_entry(walk, frame, name);
    entry.path = str_text(&walk->path);
    if (fstatat(frame->fd, name, &entry.status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : error_sys(err, "%s", entry.path);
    int answer = walk->visitor->enter(walk->data, &entry, err);
    if (answer != 0 || !S_ISDIR(entry.status.st_mode))
        return answer < 0 ? -1 : 0;
    int fd = openat(frame->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : error_sys(err, "open %s", entry.path);
    return push(walk, fd, err);
}

static int leave(struct walk *walk, struct error *err)
{
    if (pop(walk, err) < 0)
        return -1;
    if (!walk->depth || !walk->visitor->leave)
        return 0;
    struct frame *frame = &walk->frames[walk->depth - 1];
    const char *name = frame->names.items[frame->next - 1];
    struct tree_entry entry = { .dir_fd = frame->fd, .name = name };

    name_entry(walk, frame, name);
    entry.path = str_text(&walk->path);
    if (fstatat(frame->fd, name, &entry.status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : error_sys(err, "%s", entry.path);
    return walk->visitor->leave(walk->data, &entry, err) < 0 ? -1 : 0;
}

int tree_walk(int root_fd, const struct tree_visitor *visitor, void *data, struct error *err)
{
    struct walk walk = { .visitor = visitor, .data = data };
    int result, fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return error_sys(err, "open directory");
    result = push(&walk, fd, err);
    while (result == 0 && walk.depth) {
        struct frame *frame = &walk.frames[walk.depth - 1];

        if (frame->next < frame->names.count)
            result = visit(&walk, frame->names.items[frame->next++], err);
        else
            result = leave(&walk, err);
    }
    for (size_t i = 0; i < walk.depth; i++) {
        if (walk.frames[i].fd >= 0)
            close(walk.frames[i].fd);
        strv_done(&walk.frames[i].names);
    }
    free(walk.frames);
    str_done(&walk.path);
    return result;
}

void tree_spread(const char *path)
{
    CLEANUP(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int flags = 0; /* an int, whatever the header says */

    if (fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && !(flags & FS_TOPDIR_FL)) {
        flags |= FS_TOPDIR_FL;
        ioctl(fd, FS_IOC_SETFLAGS, &flags);
    }
}
