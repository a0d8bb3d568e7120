/* Whoever reads a volume is a user of it meanwhile: it is mounted, if it is such a one, and stays.
 */
#include "engine/volume_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "archive/collect.h"
#include "archive/extract.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "linux/tree.h"

#include "base/banned.h"

/* ---- reading ---- */

struct reading {
    struct volume *volume;
    char user[ID_LENGTH + 1]; /* of the volume, "" as long as it is none */
    int fd;
};

static void reading_done(struct reading *reading)
{
    struct error err = {};

    if (!reading->volume)
        return;
    if (reading->fd >= 0)
        close(reading->fd);
    if (*reading->user && volume_release(reading->volume, reading->user, &err) < 0)
        log_warn("cannot unmount a volume", "volume", reading->volume->name, "error", err.text);
    volume_let_go(reading->volume);
    volume_unref(reading->volume);
    reading->volume = NULL;
}
CLEANUP_VALUE(reading_done, struct reading)

static int reading_begin(struct engine *engine, const char *name, struct reading *out,
                         struct error *err)
{
    CLEANUP(volume_unref) struct volume *volume = NULL;
    char user[ID_LENGTH + 1];

    if (volume_get(engine->volumes, name, &volume, err) < 0 || volume_hold(volume, err) < 0)
        return -1;
    *out = (struct reading){ .volume = TAKE(volume), .fd = -1 };
    id_generate(user);
    if (volume_acquire(out->volume, user, err) < 0)
        return -1;
    memcpy(out->user, user, sizeof(user));
    out->fd = open(out->volume->mountpoint, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return out->fd < 0 ? error_sys(err, "open %s", out->volume->mountpoint) : 0;
}

static bool keeps_xattr(const char *name)
{
    return !text_starts(name, "trusted.overlay.");
}

/* ---- copies ---- */

/* The containers that this call holds. */
static void hold_users(struct engine *engine, const char *name, struct strv *out)
{
    CLEANUP(strv_done) struct strv users = {};
    struct error ignored;

    engine_volume_users(engine, name, &users);
    for (size_t i = 0; i < users.count; i++) {
        CLEANUP(container_unref)
        struct container *container = container_find_id(engine, users.items[i]);

        if (container && container_pause(container, PAUSE_HOLD, &ignored) == 0)
            strv_add(out, users.items[i]);
    }
}

static void let_go_users(struct engine *engine, const struct strv *users)
{
    for (size_t i = 0; i < users->count; i++) {
        CLEANUP(container_unref)
        struct container *container = container_find_id(engine, users->items[i]);
        struct error err = {};

        if (container && container_pause(container, PAUSE_END, &err) < 0)
            log_debug("a container went on before its volume was copied", "container",
                      container->id, "error", err.text);
    }
}

static int copy_tree(void *data, int dir_fd, struct error *err)
{
    const struct reading *reading = data;

    return tree_copy(reading->fd, dir_fd, NULL, err) < 0
               ? -1
               : tree_copy_attributes(reading->fd, dir_fd, NULL, err);
}

static char *snapshot_name(const char *name)
{
    time_t now = time(NULL);
    struct tm parts;
    char text[32];

    gmtime_r(&now, &parts);
    strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &parts);
    return xasprintf("%s-%s", name, text);
}

static void tell(struct engine *engine, const struct volume *volume)
{
    CLEANUP(map_done) struct map attributes = {};

    engine_usage_touch_volume(engine, volume);
    map_set_text(&attributes, "driver", volume->driver);
    engine_event(engine, "volume", "create", volume->name, &attributes);
}

/* A mount of somebody else's becomes files of ours: the copy has no options but a size. */
static void copy_options(const struct volume *volume, struct map *out)
{
    const char *size = map_get(&volume->options, "size");

    if (size && !volume_is_mount(volume))
        map_set_text(out, "size", size);
}

int engine_volume_copy(struct engine *engine, const char *name, const struct volume_copy_wish *wish,
                       struct volume **out, struct error *err)
{
    CLEANUP(reading_done) struct reading reading = {};
    CLEANUP(strv_done) struct strv held = {};
    CLEANUP(map_done) struct map options = {};
    CLEANUP(free) char *made_name = wish->is_snapshot ? snapshot_name(name) : NULL;

    if (text_is_empty(wish->name) && !wish->is_snapshot)
        return error_set(err, ERROR_INVALID, "clone %s: the copy needs a name", name);
    if (reading_begin(engine, name, &reading, err) < 0)
        return -1;
    copy_options(reading.volume, &options);
    const struct volume_content content = {
        .name = text_is_empty(wish->name) ? made_name : wish->name,
        .options = &options,
        .labels = wish->labels ? wish->labels : &reading.volume->labels,
        .snapshot_of = wish->is_snapshot ? reading.volume->name : NULL,
        .fill = copy_tree,
        .data = &reading,
    };
    if (wish->pauses)
        hold_users(engine, name, &held);
    int result = volume_create_filled(engine->volumes, &content, out, err);
    let_go_users(engine, &held);
    if (result == 0)
        tell(engine, *out);
    return result;
}

/* ---- out ---- */

struct volume_export {
    struct engine *engine;
    struct reading reading;
};

int engine_volume_export_open(struct engine *engine, const char *name, struct volume_export **out,
                              struct error *err)
{
    CLEANUP(volume_export_close) struct volume_export *export = NEW(struct volume_export);

    export->engine = engine;
    if (reading_begin(engine, name, &export->reading, err) < 0)
        return -1;
    *out = TAKE(export);
    return 0;
}

int volume_export_write(struct volume_export *export, struct stream *out, struct error *err)
{
    const struct collect_options options = {
        .name = ".", .keeps_xattr = keeps_xattr, .with_nanoseconds = true, .cancel_fd = -1
    };

    return collect_tree(export->reading.fd, ".", &options, out, err);
}

void volume_export_close(struct volume_export *export)
{
    if (!export)
        return;
    reading_done(&export->reading);
    free(export);
}

/* ---- in ---- */

static int extract(void *data, int dir_fd, struct error *err)
{
    const struct extract_options options = {
        .keeps_owners = true, .dresses_root = true, .keeps_xattr = keeps_xattr, .cancel_fd = -1
    };

    return extract_archive(data, dir_fd, &options, err);
}

int engine_volume_import(struct engine *engine, const char *name, const struct map *labels,
                         struct stream *archive, struct volume **out, struct error *err)
{
    const struct volume_content content = {
        .name = name, .labels = labels, .fill = extract, .data = archive
    };

    if (volume_create_filled(engine->volumes, &content, out, err) < 0)
        return -1;
    tell(engine, *out);
    return 0;
}
