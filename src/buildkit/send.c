/* One thread lists the tree while this one answers requests for content: the client may ask for
 * more than the connection holds before it has seen the end of the list. */
#include "buildkit/send.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/clock.h"
#include "base/memory.h"
#include "build/source.h"
#include "buildkit/grpc.h"
#include "buildkit/packet.h"
#include "linux/path.h"
#include "linux/tree.h"

#include "base/banned.h"

#define METHOD     "/moby.filesync.v1.FileSend/DiffCopy"
#define BLOCK_SIZE ((size_t)32 << 10)

struct sender {
    struct grpc_call *call;
    int tree_fd;
    const char *prefix; /* NULL: none */
    struct mutex lock;
    struct strv files;    /* path by id, "" for what has no content; guarded by lock */
    struct error failure; /* of the list; set before its thread ends */
};

static int add_attributes(int dir_fd, const char *name, struct packet_stat *stat)
{
    CLEANUP(close) int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    CLEANUP(strv_done) struct strv names = {};

    if (fd < 0)
        return 0;
    attribute_names(fd, &names);
    for (size_t i = 0; i < MIN(names.count, (size_t)PACKET_ATTRIBUTE_LIMIT); i++) {
        ssize_t size = fgetxattr(fd, names.items[i], NULL, 0);
        uint8_t *value = xmalloc((size_t)MAX(size, 0) + 1);

        size = fgetxattr(fd, names.items[i], value, (size_t)MAX(size, 0));
        if (size < 0) {
            free(value);
            continue;
        }
        stat->attributes = xrealloc(stat->attributes, stat->attribute_count + 1,
                                    sizeof(*stat->attributes));
        stat->attributes[stat->attribute_count++] =
            (struct packet_attribute){ xstrdup(names.items[i]), value, (size_t)size };
    }
    return 0;
}

/* 'path' is what it is called there. */
static int tell_entry(struct sender *sender, const struct tree_entry *entry, const char *path,
                      struct error *err)
{
    const struct stat *status = &entry->status;
    CLEANUP(buf_done) struct buf message = {};
    char target[PACKET_PATH_LIMIT + 1] = "";
    struct packet_stat stat = {
        .path = xstrdup(path),
        .mode = status->st_mode,
        .uid = status->st_uid,
        .gid = status->st_gid,
        .size = S_ISREG(status->st_mode) ? status->st_size : 0,
        .mtime_ns = status->st_mtim.tv_sec * NS_PER_S + status->st_mtim.tv_nsec,
        .device_major = major(status->st_rdev),
        .device_minor = minor(status->st_rdev),
    };

    if (S_ISLNK(status->st_mode) &&
        readlinkat(entry->dir_fd, entry->name, target, sizeof(target) - 1) < 0) {
        packet_stat_done(&stat);
        return error_sys(err, "read link %s", entry->path);
    }
    stat.linkname = xstrdup(target);
    if (S_ISREG(status->st_mode) || S_ISDIR(status->st_mode))
        add_attributes(entry->dir_fd, entry->name, &stat);
    packet_write_stat(&message, &stat);
    for (size_t i = 0; i < stat.attribute_count; i++)
        free((void *)(uintptr_t)stat.attributes[i].value);
    packet_stat_done(&stat);
    mutex_lock(&sender->lock);
    strv_add(&sender->files, S_ISREG(status->st_mode) ? entry->path : "");
    mutex_unlock(&sender->lock);
    return grpc_send(sender->call, &message, err);
}

static int list_entry(void *data, const struct tree_entry *entry, struct error *err)
{
    struct sender *sender = data;
    CLEANUP(free)
    char *path = sender->prefix ? xasprintf("%s/%s", sender->prefix, entry->path)
                                : xstrdup(entry->path);

    return tell_entry(sender, entry, path, err);
}

static int list_all(struct sender *sender, struct error *err)
{
    const struct tree_visitor visitor = { .enter = list_entry };
    struct tree_entry top = { .dir_fd = sender->tree_fd, .name = ".", .path = "" };

    if (sender->prefix) {
        if (fstat(sender->tree_fd, &top.status) < 0)
            return error_sys(err, "stat the result");
        if (tell_entry(sender, &top, sender->prefix, err) < 0)
            return -1;
    }
    return tree_walk(sender->tree_fd, &visitor, sender, err);
}

static void *list(void *data)
{
    struct sender *sender = data;
    CLEANUP(buf_done) struct buf message = {};

    if (list_all(sender, &sender->failure) == 0) {
        packet_write_stat(&message, NULL);
        grpc_send(sender->call, &message, NULL);
        return NULL;
    }
    packet_write(&message, PACKET_ERROR, 0, sender->failure.text, strlen(sender->failure.text));
    grpc_send(sender->call, &message, NULL);
    return NULL;
}

static char *take_path(struct sender *sender, uint32_t id)
{
    char *path = NULL;

    mutex_lock(&sender->lock);
    if (id < sender->files.count && *sender->files.items[id]) {
        path = xstrdup(sender->files.items[id]);
        *sender->files.items[id] = 0; /* once */
    }
    mutex_unlock(&sender->lock);
    return path;
}

static int send_data(struct sender *sender, uint32_t id, const void *data, size_t size,
                     struct error *err)
{
    CLEANUP(buf_done) struct buf message = {};

    packet_write(&message, PACKET_DATA, id, data, size);
    return grpc_send(sender->call, &message, err);
}

static int send_file(struct sender *sender, uint32_t id, struct error *err)
{
    CLEANUP(free) char *path = take_path(sender, id);
    CLEANUP(free) uint8_t *block = xmalloc(BLOCK_SIZE);
    ssize_t size;

    if (!path)
        return error_set(err, ERROR_INVALID, "the client asks for a file that was not listed");
    CLEANUP(close)
    int fd = path_open(sender->tree_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err);
    if (fd < 0)
        return -1;
    while ((size = read(fd, block, BLOCK_SIZE)) > 0)
        if (send_data(sender, id, block, (size_t)size, err) < 0)
            return -1;
    if (size < 0)
        return error_sys(err, "read %s", path);
    return send_data(sender, id, NULL, 0, err);
}

/* Until the client says that it has all. */
static int answer(struct sender *sender, struct error *err)
{
    CLEANUP(buf_done) struct buf message = {}, end = {};

    for (;;) {
        struct packet packet;
        int found = grpc_receive(sender->call, &message, err);

        if (found <= 0)
            return found < 0
                       ? -1
                       : error_set(err, ERROR_UNAVAILABLE, "the client did not take all files");
        if (packet_read(buf_bytes(&message), message.size, &packet, err) < 0)
            return -1;
        packet_stat_done(&packet.stat);
        switch (packet.type) {
        case PACKET_REQUEST:
            if (send_file(sender, packet.id, err) < 0)
                return -1;
            break;
        case PACKET_END:
            packet_write(&end, PACKET_END, 0, NULL, 0);
            if (grpc_send(sender->call, &end, err) < 0 ||
                grpc_finish_sending(sender->call, err) < 0)
                return -1;
            while ((found = grpc_receive(sender->call, &message, err)) > 0)
                continue;
            return found;
        case PACKET_ERROR:
            return error_set(err, ERROR_INVALID, "the client could not take the files: %.*s",
                             (int)packet.size, packet.data ? (const char *)packet.data : "");
        default:
            return error_set(err, ERROR_INVALID, "the client sent a packet that makes no sense");
        }
    }
}

int send_directory(struct peer *session, size_t exporter, int tree_fd, const char *prefix,
                   int cancel_fd, struct error *err)
{
    CLEANUP(grpc_metadata_done) struct grpc_metadata metadata = {};
    struct sender sender = { .tree_fd = tree_fd, .prefix = prefix };
    char number[24];
    pthread_t lister;

    snprintf(number, sizeof(number), "%zu", exporter);
    grpc_metadata_add(&metadata, "buildkit-attachable-exporter-id", number);
    if (peer_need(session, METHOD, "a place for the result", err) < 0 ||
        grpc_call_new(session->channel, METHOD, &metadata, cancel_fd, &sender.call, err) < 0)
        return -1;
    mutex_init(&sender.lock);
    int result = thread_start("send-list", list, &sender, &lister, err);
    if (result == 0) {
        result = answer(&sender, err);
        if (result < 0) /* the list has no reader any more */
            grpc_cancel(sender.call);
        pthread_join(lister, NULL);
        if (result < 0 && sender.failure.kind != ERROR_NONE &&
            sender.failure.kind != ERROR_UNAVAILABLE && sender.failure.kind != ERROR_CANCELLED)
            error_set(err, sender.failure.kind, "%s", sender.failure.text);
    }
    grpc_call_free(sender.call);
    strv_done(&sender.files);
    mutex_done(&sender.lock);
    return result;
}
