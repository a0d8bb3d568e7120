/* The client lists its entries in the order of a walk, names of a directory sorted by byte; the
 * directory here is walked beside. Files are asked for as soon as they are seen to differ; their
 * content comes in pieces, of several at once, into a directory beside the tree, and a file takes
 * its place when it is whole. */
#include "buildkit/receive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/source.h"
#include "buildkit/grpc.h"
#include "buildkit/packet.h"
#include "http/server.h"
#include "linux/path.h"

#include "base/banned.h"

#define METHOD  "/moby.filesync.v1.FileSync/DiffCopy"
#define STAGING "staging"

/* A directory that the list is in. */
struct level {
    char *path; /* "" is the root */
    int fd;
    struct strv names; /* what is there, sorted */
    size_t at;         /* the first name that the list has not passed */
    char *last;        /* name that came last */
};

/* A file whose content is on its way. */
struct coming {
    char *path;
    mode_t mode;
    int64_t mtime_ns;
    struct packet_attribute *attributes; /* values are copies */
    size_t attribute_count;
    int fd; /* -1: nothing came yet */
};

struct receiver {
    const struct receive_request *request;
    struct grpc_call *call;
    int tree_fd, staging_fd;
    struct level levels[RECEIVE_DEPTH_LIMIT];
    size_t depth;
    struct coming **files; /* by id; NULL: not asked for, or done */
    size_t file_count, file_capacity, coming_count;
    bool is_listed;           /* the list is at its end */
    struct strv links;        /* path and target, one after the other */
    struct strv directories;  /* whose times… */
    int64_t *directory_times; /* …are set at the end */
    size_t directory_capacity;
    int64_t bytes;      /* that came */
    int64_t size_bytes; /* of all files */
};

/* ---- memory ---- */

static void coming_free(struct coming *coming)
{
    if (!coming)
        return;
    for (size_t i = 0; i < coming->attribute_count; i++) {
        free(coming->attributes[i].name);
        free((void *)(uintptr_t)coming->attributes[i].value);
    }
    free(coming->attributes);
    free(coming->path);
    if (coming->fd >= 0)
        close(coming->fd);
    free(coming);
}

static void level_done(struct level *level)
{
    free(level->path);
    free(level->last);
    strv_done(&level->names);
    if (level->fd >= 0)
        close(level->fd);
}

static void receiver_done(struct receiver *receiver)
{
    grpc_call_free(receiver->call);
    while (receiver->depth > 0)
        level_done(&receiver->levels[--receiver->depth]);
    for (size_t i = 0; i < receiver->file_count; i++)
        coming_free(receiver->files[i]);
    free(receiver->files);
    strv_done(&receiver->links);
    strv_done(&receiver->directories);
    free(receiver->directory_times);
    close_cleanup(&receiver->tree_fd);
    close_cleanup(&receiver->staging_fd);
}
CLEANUP_VALUE(receiver_done, struct receiver)

/* ---- the call ---- */

/* Texts beyond ASCII are escaped, and a second header says so. */
static void add_patterns(struct grpc_metadata *metadata, const char *name,
                         const struct strv *patterns)
{
    bool is_plain = true;

    for (size_t i = 0; patterns && i < patterns->count; i++)
        for (const char *at = patterns->items[i]; *at; at++)
            is_plain = is_plain && *at >= ' ' && *at <= '~';
    for (size_t i = 0; patterns && i < patterns->count; i++) {
        CLEANUP(free)
        char *value = is_plain ? xstrdup(patterns->items[i]) : http_url_encode(patterns->items[i]);

        grpc_metadata_add(metadata, name, value);
    }
    if (!is_plain) {
        CLEANUP(free) char *encoded = xasprintf("%s-encoded", name);

        grpc_metadata_add(metadata, encoded, "1");
    }
}

static int begin_call(struct receiver *receiver, struct peer *session, struct error *err)
{
    const struct receive_request *request = receiver->request;
    CLEANUP(grpc_metadata_done) struct grpc_metadata metadata = {};
    CLEANUP(strv_done) struct strv name = {};

    strv_add(&name, request->name);
    add_patterns(&metadata, "dir-name", &name);
    add_patterns(&metadata, "include-patterns", request->include);
    add_patterns(&metadata, "exclude-patterns", request->exclude);
    add_patterns(&metadata, "followpaths", request->follow);
    return grpc_call_new(session->channel, METHOD, &metadata, request->cancel_fd, &receiver->call,
                         err);
}

static int send_packet(struct receiver *receiver, enum packet_type type, uint32_t id,
                       struct error *err)
{
    CLEANUP(buf_done) struct buf packet = {};

    packet_write(&packet, type, id, NULL, 0);
    return grpc_send(receiver->call, &packet, err);
}

/* ---- directories ---- */

static int enter_level(struct receiver *receiver, const char *path, int fd, struct error *err)
{
    struct level *level = &receiver->levels[receiver->depth];

    if (receiver->depth == RECEIVE_DEPTH_LIMIT) {
        close(fd);
        return error_set(err, ERROR_INVALID, "%s: more than %d directories in one another", path,
                         RECEIVE_DEPTH_LIMIT);
    }
    *level = (struct level){ .path = xstrdup(path), .fd = fd };
    receiver->depth++;
    return directory_names(fd, &level->names, err);
}

/* Removes what is here up to 'name' (NULL: to the end), but not in the list. True: 'name' is here.
 */
static int skip_to(struct level *level, const char *name, bool *out_is_here, struct error *err)
{
    *out_is_here = false;
    for (; level->at < level->names.count; level->at++) {
        const char *here = level->names.items[level->at];
        int order = name ? strcmp(here, name) : -1;

        if (order > 0)
            return 0;
        if (order == 0) {
            level->at++;
            *out_is_here = true;
            return 0;
        }
        if (tree_remove_at(level->fd, here, err) < 0)
            return -1;
    }
    return 0;
}

static int leave_level(struct receiver *receiver, struct error *err)
{
    struct level *level = &receiver->levels[receiver->depth - 1];
    bool ignored;
    int result = skip_to(level, NULL, &ignored, err);

    level_done(level);
    receiver->depth--;
    return result;
}

/* The level of a path's directory; its name there. NULL: the list is no walk. */
static struct level *find_level(struct receiver *receiver, const char *path, const char **out_name,
                                struct error *err)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;

    *out_name = slash ? slash + 1 : path;
    for (;;) {
        struct level *level = &receiver->levels[receiver->depth - 1];

        if (strlen(level->path) == length && strncmp(level->path, path, length) == 0) {
            if (level->last && strcmp(*out_name, level->last) <= 0)
                break;
            free(level->last);
            level->last = xstrdup(*out_name);
            return level;
        }
        if (receiver->depth == 1)
            break;
        if (leave_level(receiver, err) < 0)
            return NULL;
    }
    error_set(err, ERROR_INVALID, "the client's list of files is out of order at %.200s", path);
    return NULL;
}

static void remember_time(struct receiver *receiver, const char *path, int64_t mtime_ns)
{
    size_t count = receiver->directories.count;

    if (count == receiver->directory_capacity) {
        receiver->directory_capacity = MAX(count * 2, (size_t)64);
        receiver->directory_times = xrealloc(receiver->directory_times,
                                             receiver->directory_capacity, sizeof(int64_t));
    }
    receiver->directory_times[count] = mtime_ns;
    strv_add(&receiver->directories, path);
}

static int take_directory(struct receiver *receiver, struct level *level, const char *name,
                          const struct packet_stat *stat, const struct stat *here,
                          struct error *err)
{
    if (here && !S_ISDIR(here->st_mode) && tree_remove_at(level->fd, name, err) < 0)
        return -1;
    if ((!here || !S_ISDIR(here->st_mode)) && mkdirat(level->fd, name, 0700) < 0)
        return error_sys(err, "make directory %s", stat->path);
    int fd = openat(level->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, "open %s", stat->path);
    if (fchmod(fd, stat->mode & 07777) < 0) {
        close(fd);
        return error_sys(err, "set mode of %s", stat->path);
    }
    remember_time(receiver, stat->path, stat->mtime_ns);
    return enter_level(receiver, stat->path, fd, err);
}

/* ---- files ---- */

static struct timespec time_of(int64_t ns)
{
    int64_t rest = ns % NS_PER_S;

    return (struct timespec){ ns / NS_PER_S - (rest < 0), rest < 0 ? rest + NS_PER_S : rest };
}

static bool is_kept_attribute(const char *name)
{
    return text_starts(name, "user.") || strcmp(name, "security.capability") == 0;
}

/* Has the file here exactly these attributes? */
static bool has_attributes(int dir_fd, const char *name, const struct packet_stat *stat)
{
    CLEANUP(close) int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    CLEANUP(strv_done) struct strv here = {};
    size_t wanted = 0;

    if (fd < 0)
        return false;
    attribute_names(fd, &here);
    for (size_t i = 0; i < stat->attribute_count; i++) {
        const struct packet_attribute *attribute = &stat->attributes[i];
        uint8_t *value = xmalloc(attribute->size + 1);
        ssize_t size = fgetxattr(fd, attribute->name, value, attribute->size + 1);
        bool is_same = size >= 0 && (size_t)size == attribute->size &&
                       (size == 0 || memcmp(value, attribute->value, attribute->size) == 0);

        free(value);
        if (!is_kept_attribute(attribute->name))
            continue;
        if (!is_same)
            return false;
        wanted++;
    }
    return here.count == wanted;
}

static bool is_unchanged(const struct level *level, const char *name,
                         const struct packet_stat *stat, const struct stat *here)
{
    const struct timespec mtime = time_of(stat->mtime_ns);

    return here && S_ISREG(here->st_mode) && here->st_size == stat->size &&
           here->st_mtim.tv_sec == mtime.tv_sec && here->st_mtim.tv_nsec == mtime.tv_nsec &&
           (here->st_mode & 07777) == (stat->mode & 07777) && has_attributes(level->fd, name, stat);
}

static struct coming *coming_new(const struct packet_stat *stat)
{
    struct coming *coming = NEW(struct coming);

    coming->fd = -1;
    coming->path = xstrdup(stat->path);
    coming->mode = stat->mode & 07777;
    coming->mtime_ns = stat->mtime_ns;
    coming->attributes = xcalloc(stat->attribute_count + 1, sizeof(*coming->attributes));
    for (size_t i = 0; i < stat->attribute_count; i++) {
        const struct packet_attribute *from = &stat->attributes[i];

        if (!is_kept_attribute(from->name))
            continue;
        uint8_t *value = xmalloc(from->size + 1);
        if (from->size > 0)
            memcpy(value, from->value, from->size);
        coming->attributes[coming->attribute_count++] =
            (struct packet_attribute){ xstrdup(from->name), value, from->size };
    }
    return coming;
}

static int ask_for(struct receiver *receiver, uint32_t id, const struct packet_stat *stat,
                   struct error *err)
{
    int64_t limit = receiver->request->size_limit;

    if (limit > 0 && stat->size > limit)
        return error_set(err, ERROR_INVALID, "%s is larger than %lld bytes", stat->path,
                         (long long)limit);
    receiver->files[id] = coming_new(stat);
    receiver->coming_count++;
    return send_packet(receiver, PACKET_REQUEST, id, err);
}

static int take_file(struct receiver *receiver, struct level *level, const char *name, uint32_t id,
                     const struct packet_stat *stat, const struct stat *here, struct error *err)
{
    if (*stat->linkname) {
        strv_add(&receiver->links, stat->path);
        strv_add(&receiver->links, stat->linkname);
        return 0;
    }
    receiver->size_bytes += stat->size;
    if (is_unchanged(level, name, stat, here))
        return 0;
    if (here && S_ISDIR(here->st_mode) && tree_remove_at(level->fd, name, err) < 0)
        return -1;
    return ask_for(receiver, id, stat, err);
}

static int take_link(const struct level *level, const char *name, const struct packet_stat *stat,
                     const struct stat *here, struct error *err)
{
    const struct timespec times[] = { time_of(stat->mtime_ns), time_of(stat->mtime_ns) };
    char target[PACKET_PATH_LIMIT + 1];
    ssize_t size = here && S_ISLNK(here->st_mode)
                       ? readlinkat(level->fd, name, target, sizeof(target))
                       : -1;

    if (size < 0 || (size_t)size != strlen(stat->linkname) ||
        strncmp(target, stat->linkname, (size_t)size) != 0) {
        if (here && tree_remove_at(level->fd, name, err) < 0)
            return -1;
        if (symlinkat(stat->linkname, level->fd, name) < 0)
            return error_sys(err, "make link %s", stat->path);
    }
    if (utimensat(level->fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "set time of %s", stat->path);
    return 0;
}

static int take_pipe(const struct level *level, const char *name, const struct packet_stat *stat,
                     const struct stat *here, struct error *err)
{
    if (here && S_ISFIFO(here->st_mode))
        return 0;
    if (here && tree_remove_at(level->fd, name, err) < 0)
        return -1;
    return mkfifoat(level->fd, name, stat->mode & 0777) < 0
               ? error_sys(err, "make pipe %s", stat->path)
               : 0;
}

static uint32_t next_id(struct receiver *receiver)
{
    if (receiver->file_count == receiver->file_capacity) {
        receiver->file_capacity = MAX(receiver->file_capacity * 2, (size_t)64);
        receiver->files = xrealloc(receiver->files, receiver->file_capacity,
                                   sizeof(*receiver->files));
    }
    receiver->files[receiver->file_count] = NULL;
    return (uint32_t)receiver->file_count++;
}

static int take_entry(struct receiver *receiver, const struct packet_stat *stat, struct error *err)
{
    struct stat status;
    const struct stat *here = NULL;
    const char *name;
    bool is_here;

    if (receiver->file_count >= RECEIVE_ENTRY_LIMIT)
        return error_set(err, ERROR_INVALID, "more than %d files", RECEIVE_ENTRY_LIMIT);
    uint32_t id = next_id(receiver);
    struct level *level = find_level(receiver, stat->path, &name, err);
    if (!level || skip_to(level, name, &is_here, err) < 0)
        return -1;
    if (is_here && fstatat(level->fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
        here = &status;
    switch (stat->mode & S_IFMT) {
    case S_IFDIR:
        return take_directory(receiver, level, name, stat, here, err);
    case S_IFREG:
        return take_file(receiver, level, name, id, stat, here, err);
    case S_IFLNK:
        return take_link(level, name, stat, here, err);
    case S_IFIFO:
        return take_pipe(level, name, stat, here, err);
    default: /* sockets, and devices as in archives, are left out */
        return here ? tree_remove_at(level->fd, name, err) : 0;
    }
}

/* ---- content ---- */

static void staged_name(uint32_t id, char out[16])
{
    snprintf(out, 16, "%u", id);
}

/* The file is whole: it takes its place. */
static int place_file(struct receiver *receiver, uint32_t id, struct coming *coming,
                      struct error *err)
{
    const struct timespec times[] = { time_of(coming->mtime_ns), time_of(coming->mtime_ns) };
    const char *name;
    char staged[16];
    CLEANUP(close)
    int parent_fd = path_open_parent(receiver->tree_fd, coming->path, 0, &name, err);

    staged_name(id, staged);
    if (parent_fd < 0)
        return -1;
    if (fchmod(coming->fd, coming->mode) < 0)
        return error_sys(err, "set mode of %s", coming->path);
    for (size_t i = 0; i < coming->attribute_count; i++)
        if (fsetxattr(coming->fd, coming->attributes[i].name, coming->attributes[i].value,
                      coming->attributes[i].size, 0) < 0 &&
            errno != EOPNOTSUPP)
            return error_sys(err, "set attribute %s of %s", coming->attributes[i].name,
                             coming->path);
    if (futimens(coming->fd, times) < 0 ||
        renameat(receiver->staging_fd, staged, parent_fd, name) < 0)
        return error_sys(err, "put %s in its place", coming->path);
    return 0;
}

static int take_content(struct receiver *receiver, const struct packet *packet, struct error *err)
{
    struct coming *coming = packet->id < receiver->file_count ? receiver->files[packet->id] : NULL;
    char staged[16];

    if (!coming)
        return error_set(err, ERROR_INVALID, "the client sends a file that nobody asked for");
    staged_name(packet->id, staged);
    if (coming->fd < 0)
        coming->fd = openat(receiver->staging_fd, staged,
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (coming->fd < 0)
        return error_sys(err, "make a file for %s", coming->path);
    if (packet->size > 0) {
        receiver->bytes += (int64_t)packet->size;
        if (receiver->request->progress)
            receiver->request->progress(receiver->request->data, receiver->bytes);
        return fd_write_all(coming->fd, packet->data, packet->size, err);
    }
    int result = place_file(receiver, packet->id, coming, err);
    coming_free(coming);
    receiver->files[packet->id] = NULL;
    receiver->coming_count--;
    return result;
}

/* ---- the end ---- */

static int make_links(struct receiver *receiver, struct error *err)
{
    for (size_t i = 0; i < receiver->links.count; i += 2) {
        const char *path = receiver->links.items[i], *target = receiver->links.items[i + 1];
        const char *name, *target_name;
        CLEANUP(close) int dir_fd = path_open_parent(receiver->tree_fd, path, 0, &name, err);
        CLEANUP(close)
        int target_fd = path_open_parent(receiver->tree_fd, target, 0, &target_name, err);

        if (dir_fd < 0 || target_fd < 0 || tree_remove_at(dir_fd, name, err) < 0)
            return -1;
        if (linkat(target_fd, target_name, dir_fd, name, 0) < 0)
            return error_sys(err, "link %s to %s", path, target);
    }
    return 0;
}

/* Those further down first: setting a time changes none above. */
static int set_times(struct receiver *receiver, struct error *err)
{
    for (size_t i = receiver->directories.count; i-- > 0;) {
        const struct timespec mtime = time_of(receiver->directory_times[i]);
        const struct timespec times[] = { mtime, mtime };
        CLEANUP(close)
        int fd = path_open(receiver->tree_fd, receiver->directories.items[i],
                           O_RDONLY | O_DIRECTORY, 0, err);

        if (fd < 0)
            return -1;
        if (futimens(fd, times) < 0)
            return error_sys(err, "set time of %s", receiver->directories.items[i]);
    }
    return 0;
}

static int finish(struct receiver *receiver, struct error *err)
{
    CLEANUP(buf_done) struct buf message = {};
    int found;

    if (make_links(receiver, err) < 0 || set_times(receiver, err) < 0 ||
        send_packet(receiver, PACKET_END, 0, err) < 0)
        return -1;
    while ((found = grpc_receive(receiver->call, &message, err)) > 0) {
        struct packet packet;

        if (packet_read(buf_bytes(&message), message.size, &packet, err) < 0)
            return -1;
        packet_stat_done(&packet.stat);
        if (packet.type == PACKET_END)
            grpc_finish_sending(receiver->call, NULL);
    }
    return found;
}

static int take_packet(struct receiver *receiver, const struct packet *packet, struct error *err)
{
    switch (packet->type) {
    case PACKET_STAT:
        if (receiver->is_listed)
            return error_set(err, ERROR_INVALID, "the client's list of files has two ends");
        if (packet->has_stat)
            return take_entry(receiver, &packet->stat, err);
        receiver->is_listed = true;
        while (receiver->depth > 0)
            if (leave_level(receiver, err) < 0)
                return -1;
        return 0;
    case PACKET_DATA:
        return take_content(receiver, packet, err);
    case PACKET_ERROR:
        return error_set(err, ERROR_INVALID, "the client could not send its files: %.*s",
                         (int)packet->size, packet->data ? (const char *)packet->data : "");
    case PACKET_REQUEST:
    case PACKET_END:
        break;
    }
    return error_set(err, ERROR_INVALID, "the client sent a packet that makes no sense here");
}

static int receive(struct receiver *receiver, struct error *err)
{
    CLEANUP(buf_done) struct buf message = {};

    while (!receiver->is_listed || receiver->coming_count > 0) {
        struct packet packet;

        if (grpc_receive_one(receiver->call, &message, err) < 0 ||
            packet_read(buf_bytes(&message), message.size, &packet, err) < 0)
            return -1;
        int result = take_packet(receiver, &packet, err);
        packet_stat_done(&packet.stat);
        if (result < 0)
            return -1;
    }
    return finish(receiver, err);
}

/* An empty directory for files that are not whole. */
static int open_places(struct receiver *receiver, const char *path, struct error *err)
{
    CLEANUP(free) char *tree = path_join(path, RECEIVE_TREE);
    CLEANUP(free) char *staging = path_join(path, STAGING);

    if (tree_remove(staging, err) < 0 || dir_make(staging, 0700, err) < 0 ||
        dir_make(tree, 0755, err) < 0)
        return -1;
    receiver->tree_fd = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    receiver->staging_fd = open(staging, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int root_fd = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (receiver->tree_fd < 0 || receiver->staging_fd < 0 || root_fd < 0) {
        close_cleanup(&root_fd);
        return error_sys(err, "open %s", path);
    }
    return enter_level(receiver, "", root_fd, err);
}

int receive_directory(struct peer *session, const struct receive_request *request, const char *path,
                      struct error *err)
{
    CLEANUP(receiver_done)
    struct receiver receiver = { .request = request, .tree_fd = -1, .staging_fd = -1 };

    if (peer_need(session, METHOD, "its files", err) < 0 || open_places(&receiver, path, err) < 0 ||
        begin_call(&receiver, session, err) < 0 || receive(&receiver, err) < 0)
        return error_context(err, "transfer of %s", request->name);
    if (request->size_bytes)
        *request->size_bytes = receiver.size_bytes;
    return 0;
}
