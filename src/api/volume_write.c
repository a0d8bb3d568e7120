/* Volumes in JSON. */
#include "api/volume_write.h"

#include "base/clock.h"

#include "base/banned.h"

static void write_members(struct json_writer *w, const struct volume *volume)
{
    json_add_time(w, "CreatedAt", volume->created_ns / NS_PER_S * NS_PER_S); /* Whole seconds. */
    json_add_text(w, "Driver", volume->driver);
    json_add_texts(w, "Labels", &volume->labels);
    json_add_text(w, "Mountpoint", volume->mountpoint);
    json_add_text(w, "Name", volume->name);
    json_add_texts(w, "Options", &volume->options);
    json_add_text(w, "Scope", volume->scope ?: "local");
    if (volume->snapshot_of) {
        json_begin_dict(w, "Status");
        json_add_text(w, "SnapshotOf", volume->snapshot_of);
        json_end_dict(w);
    }
}

void volume_write(struct json_writer *w, const struct volume *volume)
{
    json_begin_dict(w, NULL);
    write_members(w, volume);
    json_end_dict(w);
}

void volume_write_with_usage(struct json_writer *w, struct engine *engine, struct volume *volume)
{
    CLEANUP(strv_done) struct strv users = {};
    int64_t size = 0;
    struct error ignored;

    engine_volume_users(engine, volume->name, &users);
    volume_size(volume, &size, &ignored);
    json_begin_dict(w, NULL);
    write_members(w, volume);
    json_begin_dict(w, "UsageData");
    json_add_int64(w, "RefCount", (int64_t)users.count);
    json_add_int64(w, "Size", size);
    json_end_dict(w);
    json_end_dict(w);
}
