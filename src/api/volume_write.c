/* Volumes in JSON. */
#include "api/volume_write.h"

#include "base/clock.h"
#include "engine/usage.h"

#include "base/banned.h"

static void write_status(struct json_writer *w, const struct volume *volume, const char *status)
{
    if (status)
        json_add_raw(w, "Status", status);
    else if (volume->snapshot_of) {
        json_begin_dict(w, "Status");
        json_add_text(w, "SnapshotOf", volume->snapshot_of);
        json_end_dict(w);
    }
}

static void write_members(struct json_writer *w, const struct volume *volume,
                          const char *mountpoint, const char *status)
{
    json_add_time(w, "CreatedAt", volume->created_ns / NS_PER_S * NS_PER_S); /* Whole seconds. */
    json_add_text(w, "Driver", volume->driver);
    json_add_texts(w, "Labels", &volume->labels);
    json_add_text(w, "Mountpoint", mountpoint);
    json_add_text(w, "Name", volume->name);
    json_add_texts(w, "Options", &volume->options);
    json_add_text(w, "Scope", volume->scope ?: "local");
    write_status(w, volume, status);
}

void volume_write_asked(struct json_writer *w, const struct volume *volume)
{
    CLEANUP(free) char *mountpoint = NULL;
    CLEANUP(free) char *status = NULL;
    struct error err = {};

    if (volume_ask_plugin(volume, &mountpoint, &status, &err) < 0 &&
        err.kind != ERROR_UNSUPPORTED) {
        CLEANUP(str_done) struct str text = {};
        struct json_writer inner = { .out = &text };

        json_begin_dict(&inner, NULL);
        json_add_text(&inner, "Error", err.text);
        json_end_dict(&inner);
        status = str_take(&text);
    }
    json_begin_dict(w, NULL);
    write_members(w, volume, mountpoint ?: volume->mountpoint, status);
    json_end_dict(w);
}

void volume_write(struct json_writer *w, const struct volume *volume)
{
    json_begin_dict(w, NULL);
    write_members(w, volume, volume->mountpoint, NULL);
    json_end_dict(w);
}

void volume_write_with_usage(struct json_writer *w, struct engine *engine, struct volume *volume,
                             const struct map *uses)
{
    const struct volume_use *use = map_get(uses, volume->name);
    int64_t size = engine_volume_size(engine, volume, uses);

    json_begin_dict(w, NULL);
    write_members(w, volume, volume->mountpoint, NULL);
    json_begin_dict(w, "UsageData");
    json_add_int64(w, "RefCount", use ? use->count : 0);
    json_add_int64(w, "Size", size);
    json_end_dict(w);
    json_end_dict(w);
}
