/* What has changed is told from what the file system says of each file, never by reading it: the
 * identity of a file is its inode and the times of its last changes, and one that changed just now
 * (so that a further change might get the same time) is as good as new the next time. */
#include "cli/context_sync.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "spec/context_manifest.h"
#include "spec/dockerignore.h"

#include "base/banned.h"

#define SMALL_COUNT  64
#define SMALL_SIZE   ((int64_t)256 << 10)
#define JUST_NOW_NS  (50 * NS_PER_MS)
#define LINE_LIMIT   1024
#define IGNORE_LIMIT ((size_t)16 << 20)
#define BLOCK_SIZE   ((size_t)256 << 10)
#define DEPTH_LIMIT  1000
#define MACHINE_ID   "/etc/machine-id"
#define FILE_FLAGS   (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

void context_syncing_done(struct context_syncing *syncing)
{
    http_connection_close(syncing->connection);
    free(syncing->id);
    str_done(&syncing->dockerfile);
    *syncing = (struct context_syncing){};
}

/* ---- what there is ---- */

struct survey {
    const struct dockerignore *ignore;
    struct str manifest;
    size_t count;
    int64_t size, now_ns;
};

static int64_t nanoseconds(const struct timespec *time)
{
    return (int64_t)time->tv_sec * NS_PER_S + time->tv_nsec;
}

static void identify(const struct survey *survey, const struct stat *info, char out[128])
{
    int64_t changed_ns = nanoseconds(&info->st_ctim);
    bool is_unsettled = survey->now_ns - changed_ns < (int64_t)JUST_NOW_NS;

    snprintf(out, 128, "%" PRIx64 ".%" PRIx64 ".%" PRIx64 ".%" PRIx64 ".%" PRIx64,
             (uint64_t)info->st_dev, (uint64_t)info->st_ino, (uint64_t)nanoseconds(&info->st_mtim),
             (uint64_t)changed_ns, is_unsettled ? (uint64_t)survey->now_ns : 0);
}

static int read_target(int fd, const char *name, char out[PATH_MAX], struct error *err)
{
    ssize_t length = readlinkat(fd, name, out, PATH_MAX - 1);

    if (length < 0)
        return error_sys(err, "read link %s", name);
    out[length] = 0;
    return 0;
}

static int add_entry(struct survey *survey, int fd, const char *name, const char *path,
                     const struct stat *info, struct error *err)
{
    CLEANUP(free) char *target = NULL;
    char identity[128] = "-";
    struct context_entry entry = { .mode = info->st_mode & 07777,
                                   .modified_s = info->st_mtim.tv_sec,
                                   .identity = identity,
                                   .path = path };

    if (S_ISLNK(info->st_mode)) {
        entry.type = CONTEXT_LINK;
        entry.target = target = xmalloc(PATH_MAX);
        if (read_target(fd, name, target, err) < 0)
            return -1;
    } else if (S_ISREG(info->st_mode)) {
        entry.type = CONTEXT_FILE;
        entry.size = info->st_size;
        identify(survey, info, identity);
    } else {
        entry.type = CONTEXT_DIRECTORY;
    }
    context_manifest_add(&survey->manifest, &entry);
    survey->count++;
    survey->size += entry.size;
    return 0;
}

static int list_names(int fd, struct strv *out, struct error *err)
{
    int own_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own_fd < 0 ? NULL : fdopendir(own_fd);
    struct dirent *entry;

    if (!dir) {
        if (own_fd >= 0)
            close(own_fd);
        return error_sys(err, "read the build context");
    }
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            strv_add(out, entry->d_name);
    closedir(dir);
    strv_sort(out);
    return 0;
}

static int survey_directory(struct survey *survey, int fd, const char *prefix, int depth,
                            struct error *err);

/* Devices, pipes and sockets are no part of a context. An excluded directory is one if something in
 * it is. */
static int survey_entry(struct survey *survey, int fd, const char *name, const char *path,
                        int depth, struct error *err)
{
    bool is_excluded = dockerignore_excludes(survey->ignore, path);
    size_t length = survey->manifest.length, count = survey->count;
    struct stat info;

    if (fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "%s", path);
    if (is_excluded && (!S_ISDIR(info.st_mode) || !dockerignore_has_exceptions(survey->ignore)))
        return 0;
    if (!S_ISDIR(info.st_mode) && !S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode))
        return 0;
    if (add_entry(survey, fd, name, path, &info, err) < 0)
        return -1;
    if (!S_ISDIR(info.st_mode))
        return 0;
    CLEANUP(close) int below_fd = openat(fd, name, FILE_FLAGS | O_DIRECTORY);
    if (below_fd < 0)
        return error_sys(err, "open %s", path);
    if (survey_directory(survey, below_fd, path, depth + 1, err) < 0)
        return -1;
    if (is_excluded && survey->count == count + 1) {
        str_cut(&survey->manifest, length);
        survey->count = count;
    }
    return 0;
}

static int survey_directory(struct survey *survey, int fd, const char *prefix, int depth,
                            struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};

    if (depth > DEPTH_LIMIT)
        return error_set(err, ERROR_INVALID, "directories are nested too deeply: %.200s", prefix);
    if (list_names(fd, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(free)
        char *path = xasprintf("%s%s%s", prefix, *prefix ? "/" : "", names.items[i]);

        if (survey_entry(survey, fd, names.items[i], path, depth, err) < 0)
            return -1;
    }
    return 0;
}

/* The Dockerfile's own list, or that of the directory. */
static int read_ignore(const char *directory, const char *dockerfile_path,
                       struct dockerignore **out, struct error *err)
{
    CLEANUP(free) char *own = xasprintf("%s.dockerignore", dockerfile_path);
    CLEANUP(free) char *common = path_join(directory, ".dockerignore");
    CLEANUP(str_done) struct str text = {};
    struct error why = {};

    if (file_read(own, IGNORE_LIMIT, &text, &why) < 0 &&
        (why.kind != ERROR_NOT_FOUND || file_read(common, IGNORE_LIMIT, &text, &why) < 0) &&
        why.kind != ERROR_NOT_FOUND)
        return error_set(err, why.kind, "%s", why.text);
    return dockerignore_parse(str_text(&text), out, err) < 0
               ? error_context(err, "checking context")
               : 0;
}

/* ---- telling the engine ---- */

/* The same directory of the same user and machine. */
static char *make_key(const char *directory)
{
    CLEANUP(str_done) struct str machine = {};
    CLEANUP(free) char *absolute = realpath(directory, NULL);

    file_read(MACHINE_ID, 256, &machine, NULL);
    return xasprintf("%s:%u:%s", str_text(&machine), (unsigned)geteuid(),
                     absolute ? absolute : directory);
}

static int read_line(struct http_connection *connection, struct str *out, struct error *err)
{
    char byte;

    str_clear(out);
    while (out->length < LINE_LIMIT) {
        ssize_t count = http_connection_read(connection, &byte, 1, err);

        if (count < 0)
            return -1;
        if (count == 0)
            return error_set(err, ERROR_UNAVAILABLE,
                             "the engine ended the build context's connection");
        if (byte == '\n')
            return 0;
        str_add_char(out, byte);
    }
    return error_set(err, ERROR_INTERNAL, "the engine's answer is too long");
}

/* A line "<word> <value>": the value (borrowed). */
static const char *read_answer(struct http_connection *connection, const char *word,
                               struct str *line, struct error *err)
{
    if (read_line(connection, line, err) < 0)
        return NULL;
    size_t length = strlen(word);
    if (text_starts(str_text(line), word) && line->data[length] == ' ')
        return line->data + length + 1;
    error_set(err, ERROR_INVALID, "Error response from daemon: %s",
              text_starts(str_text(line), "error ") ? line->data + 6 : str_text(line));
    return NULL;
}

static int send_file(struct http_connection *connection, int root_fd,
                     const struct context_entry *entry, char *block, struct error *err)
{
    CLEANUP(close) int fd = openat(root_fd, entry->path, FILE_FLAGS);

    if (fd < 0)
        return error_sys(err, "open %s", entry->path);
    for (int64_t left = entry->size; left > 0;) {
        ssize_t count = read(fd, block, MIN((size_t)left, BLOCK_SIZE));

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_sys(err, "read %s", entry->path);
        if (count == 0)
            return error_set(err, ERROR_CONFLICT, "%s became shorter while it was sent",
                             entry->path);
        if (http_connection_write(connection, block, (size_t)count, err) < 0)
            return -1;
        left -= count;
    }
    return 0;
}

static int send_missing(struct http_connection *connection, int root_fd, struct survey *survey,
                        struct error *err)
{
    CLEANUP(context_manifest_done) struct context_manifest manifest = {};
    CLEANUP(free) char *block = NULL;
    CLEANUP(str_done) struct str line = {};
    const char *value = read_answer(connection, "missing", &line, err);
    int64_t count, *numbers;
    size_t size = survey->manifest.length;
    int result = 0;

    if (!value || parse_int64(value, 0, (int64_t)survey->count, &count, err) < 0)
        return -1;
    if (count == 0)
        return 0;
    numbers = xcalloc((size_t)count, sizeof(*numbers));
    for (int64_t i = 0; result == 0 && i < count; i++)
        result = read_line(connection, &line, err) < 0 ||
                         parse_int64(str_text(&line), 0, (int64_t)survey->count - 1, &numbers[i],
                                     err) < 0
                     ? -1
                     : 0;
    if (result == 0)
        result = context_manifest_read(str_take(&survey->manifest), size, &manifest, err);
    block = xmalloc(BLOCK_SIZE);
    for (int64_t i = 0; result == 0 && i < count; i++)
        result = send_file(connection, root_fd, &manifest.entries[numbers[i]], block, err);
    free(numbers);
    return result;
}

static int agree(struct context_syncing *syncing, int root_fd, struct survey *survey,
                 struct error *err)
{
    struct http_connection *connection = syncing->connection;
    CLEANUP(str_done) struct str text = {}, line = {};

    str_add_format(&text, "%zu %zu\n", survey->manifest.length, syncing->dockerfile.length);
    if (http_connection_write(connection, text.data, text.length, err) < 0 ||
        http_connection_write(connection, str_text(&survey->manifest), survey->manifest.length,
                              err) < 0 ||
        http_connection_write(connection, str_text(&syncing->dockerfile),
                              syncing->dockerfile.length, err) < 0 ||
        send_missing(connection, root_fd, survey, err) < 0)
        return -1;
    const char *id = read_answer(connection, "context", &line, err);
    if (!id)
        return -1;
    syncing->id = xstrdup(id);
    return 0;
}

/* 1, or 0 if the engine does not know of this. */
static int open_connection(struct cli *cli, const char *directory, bool wants_all,
                           struct http_connection **out, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(free) char *key = make_key(directory);
    struct error why = {};

    client_path_begin(&path, "/build/contexts");
    client_path_query(&path, "key", key);
    client_path_query(&path, "all", wants_all ? "1" : NULL);
    if (client_upgrade(cli->client, &path, NULL, out, &why) == 0)
        return 1;
    if (why.kind == ERROR_NOT_FOUND)
        return 0;
    return error_set(err, why.kind, "%s", why.text);
}

int context_sync(struct cli *cli, const char *directory, const char *dockerfile_path,
                 bool wants_all, struct context_syncing *out, struct error *err)
{
    CLEANUP(dockerignore_free) struct dockerignore *ignore = NULL;
    CLEANUP(close) int root_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct survey survey = { .now_ns = clock_wall_ns() };
    int result = 0;

    /* What is wrong with the directory or the Dockerfile is told by the plain way. */
    if (root_fd < 0 || file_read(dockerfile_path, IGNORE_LIMIT, &out->dockerfile, NULL) < 0 ||
        strlen(str_text(&out->dockerfile)) != out->dockerfile.length)
        return 0;
    if (read_ignore(directory, dockerfile_path, &ignore, err) < 0)
        return -1;
    survey.ignore = ignore;
    result = survey_directory(&survey, root_fd, "", 0, err);
    if (result == 0 && (survey.count > SMALL_COUNT || survey.size > SMALL_SIZE))
        result = open_connection(cli, directory, wants_all, &out->connection, err);
    if (result > 0)
        result = agree(out, root_fd, &survey, err) < 0 ? -1 : 1;
    str_done(&survey.manifest);
    return result;
}
