/* Clients at a container's streams, and its log. */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "engine/internal.h"

#include "base/banned.h"

#define REPLAY_GROWTH_NS (10 * NS_PER_S)

int engine_container_attach_check(struct engine *engine, const char *text, struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *info = NULL;

    if (engine_container_get(engine, text, &info, err) < 0)
        return -1;
    if (info->state == CONTAINER_PAUSED)
        return error_set(err, ERROR_CONFLICT,
                         "container %s is paused, unpause the container before attach", info->name);
    if (info->state == CONTAINER_RESTARTING)
        return error_set(err, ERROR_CONFLICT,
                         "container %s is restarting, wait until the container is running",
                         info->name);
    return 0;
}

/* What the log holds already, before the live streams (attach with logs=1): also what is written
 * while it is read, but not for ever. */
static int replay_log(const struct container_info *info, int client_fd,
                      const struct attach_options *options, struct error *err)
{
    struct log_reader_options wish = { .path = info->log_path,
                                       .until_ns = clock_wall_ns() + REPLAY_GROWTH_NS,
                                       .tail = -1,
                                       .follows = true,
                                       .stdout_wanted = options->streams.stdout_wanted,
                                       .stderr_wanted = options->streams.stderr_wanted };
    CLEANUP(log_reader_close) struct log_reader *reader = NULL;
    struct log_entry entry;
    int more;

    if (!*info->log_path)
        return 0;
    if (log_reader_open(&wish, &reader, err) < 0)
        return -1;
    while ((more = log_reader_next(reader, &entry, err)) > 0) {
        unsigned char head[8] = { entry.is_stderr ? 2 : 1,
                                  0,
                                  0,
                                  0,
                                  (unsigned char)(entry.size >> 24),
                                  (unsigned char)(entry.size >> 16),
                                  (unsigned char)(entry.size >> 8),
                                  (unsigned char)entry.size };

        if (options->streams.framed && fd_write_all(client_fd, head, sizeof(head), err) < 0)
            return -1;
        if (fd_write_all(client_fd, entry.text, entry.size, err) < 0)
            return -1;
    }
    return more;
}

static void keep_for_start(struct container *container, int client_fd,
                           const struct shim_stream_options *streams)
{
    struct pending_attach *attach = NEW(struct pending_attach);

    attach->client_fd = client_fd;
    attach->streams = *streams;
    attach->pending = xmalloc(streams->pending_size);
    attach->keys = xmalloc(streams->detach_keys_size);
    if (streams->pending_size)
        memcpy(attach->pending, streams->pending, streams->pending_size);
    if (streams->detach_keys_size)
        memcpy(attach->keys, streams->detach_keys, streams->detach_keys_size);
    attach->streams.pending = attach->pending;
    attach->streams.detach_keys = attach->keys;
    list_add(&container->attaches, &attach->link);
}

void container_hand_over_attaches(struct container *container, struct shim *shim)
{
    struct list taken;
    struct error ignored;

    list_init(&taken);
    mutex_lock(&container->lock);
    LIST_EACH (&container->attaches, struct pending_attach, link, attach) {
        list_remove(&attach->link);
        list_add(&taken, &attach->link);
    }
    mutex_unlock(&container->lock);
    LIST_EACH (&taken, struct pending_attach, link, attach) {
        shim_attach(shim, attach->client_fd, &attach->streams, &ignored);
        free(attach->pending);
        free(attach->keys);
        free(attach);
    }
}

int engine_container_attach(struct engine *engine, const char *text, int client_fd,
                            const struct attach_options *options, struct error *err)
{
    CLEANUP(container_unref) struct container *container = NULL;
    CLEANUP(shim_unref) struct shim *shim = NULL;

    if (container_find(engine, text, &container, err) < 0) {
        close(client_fd);
        return -1;
    }
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    if (options->logs && replay_log(info, client_fd, options, err) < 0) {
        close(client_fd);
        return -1;
    }
    container_event(container, info, "attach", NULL);
    if (!options->stream) {
        close(client_fd);
        return 0;
    }
    mutex_lock(&container->lock);
    if (container->shim)
        shim = shim_ref(container->shim);
    else if (container->is_removed)
        close(client_fd);
    else
        keep_for_start(container, client_fd, &options->streams);
    mutex_unlock(&container->lock);
    return shim ? shim_attach(shim, client_fd, &options->streams, err) : 0;
}

int engine_container_resize(struct engine *engine, const char *text, int height, int width,
                            struct error *err)
{
    CLEANUP(container_unref) struct container *container = NULL;

    if (container_find(engine, text, &container, err) < 0)
        return -1;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    CLEANUP(shim_unref) struct shim *shim = container_shim(container);
    if (!shim || !container_is_up(info))
        return error_set(err, ERROR_CONFLICT, "container %s is not running", container->id);
    if (shim_resize(shim, NULL, height, width, err) < 0)
        return -1;
    CLEANUP(map_done) struct map attributes = {};
    CLEANUP(free) char *height_text = xasprintf("%d", height);
    CLEANUP(free) char *width_text = xasprintf("%d", width);
    map_set_text(&attributes, "height", height_text);
    map_set_text(&attributes, "width", width_text);
    container_event(container, info, "resize", &attributes);
    return 0;
}
