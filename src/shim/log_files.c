/* Names of rotated files and what happens to them. */
#include "shim/log_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/strv.h"
#include "base/text.h"
#include "shim/log_gzip.h"
#include "shim/log_read.h"

#include "base/banned.h"

char *log_file_path(const char *path, int index, bool gzipped)
{
    if (index == 0)
        return xstrdup(path);
    return xasprintf("%s.%d%s", path, index, gzipped ? ".gz" : "");
}

/* ---- identity */

bool log_identity_equal(const struct log_identity *a, const struct log_identity *b)
{
    return a->inode == b->inode && a->born_ns == b->born_ns;
}

bool log_identity_read(int fd, bool gzipped, struct log_identity *out)
{
    uint8_t head[LOG_GZIP_HEAD_SIZE];
    struct statx found;

    if (gzipped && pread(fd, head, sizeof(head), 0) == sizeof(head) &&
        log_gzip_head_read(head, out))
        return true;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &found) < 0)
        return false;
    *out = (struct log_identity){ .inode = found.stx_ino };
    if (found.stx_mask & STATX_BTIME)
        out->born_ns = found.stx_btime.tv_sec * INT64_C(1000000000) + found.stx_btime.tv_nsec;
    return true;
}

bool log_identity_find(const char *path, int index, bool gzipped, struct log_identity *out)
{
    CLEANUP(free) char *name = log_file_path(path, index, gzipped);
    CLEANUP(close) int fd = open(name, (gzipped ? O_RDONLY : O_PATH) | O_CLOEXEC | O_NONBLOCK);

    return fd >= 0 && log_identity_read(fd, gzipped, out);
}

/* ---- names */

static void move(const char *path, int from, int to, bool gzipped)
{
    CLEANUP(free) char *old_path = log_file_path(path, from, gzipped);
    CLEANUP(free) char *new_path = log_file_path(path, to, gzipped);

    rename(old_path, new_path);
}

static void drop(const char *path, int index, bool gzipped)
{
    CLEANUP(free) char *old_path = log_file_path(path, index, gzipped);

    unlink(old_path);
}

void log_files_rotate(const char *path, int max_files)
{
    drop(path, max_files - 1, false);
    if (max_files < 2)
        return;
    drop(path, max_files - 1, true);
    for (int i = max_files - 2; i >= 1; i--) {
        move(path, i, i + 1, false);
        move(path, i, i + 1, true);
    }
    move(path, 0, 1, false);
}

/* "<base>", "<base>.12", "<base>.12.gz", "<base>.gz.new" */
static bool is_of_log(const char *name, const char *base)
{
    if (!text_starts(name, base))
        return false;
    name += strlen(base);
    if (*name == '\0')
        return true;
    if (*name++ != '.')
        return false;
    if (strcmp(name, "gz.new") == 0)
        return true;
    size_t digits = strspn(name, "0123456789");
    return digits > 0 && (name[digits] == '\0' || strcmp(name + digits, ".gz") == 0);
}

void log_files_remove(const char *path)
{
    const char *base = path_base(path);
    CLEANUP(free) char *dir_path = xstrndup(path, (size_t)(base - path));
    CLEANUP(strv_done) struct strv names = {};
    DIR *dir = opendir(*dir_path ? dir_path : ".");
    struct dirent *entry;

    if (!dir)
        return;
    while ((entry = readdir(dir)))
        if (is_of_log(entry->d_name, base))
            strv_add(&names, entry->d_name);
    for (size_t i = 0; i < names.count; i++)
        unlinkat(dirfd(dir), names.items[i], 0);
    closedir(dir);
}
