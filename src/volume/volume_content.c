/* Volumes that are born with content: recorded as in the making, filled where nobody sees them, on
 * disk as a whole, and only then known. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "linux/tree_sync.h"
#include "volume/internal.h"

#include "base/banned.h"

int volume_reserve(struct volumes *volumes, const char *name, struct error *err)
{
    mutex_lock(&volumes->memory);
    bool is_free = !map_has(&volumes->known, name) && !strv_contains(&volumes->making, name);
    if (is_free)
        strv_add(&volumes->making, name);
    mutex_unlock(&volumes->memory);
    return is_free ? 0
                   : error_set(err, ERROR_CONFLICT, "a volume with name %s exists already", name);
}

void volume_give_back(struct volumes *volumes, const char *name)
{
    mutex_lock(&volumes->memory);
    for (size_t i = volumes->making.count; i-- > 0;)
        if (strcmp(volumes->making.items[i], name) == 0)
            strv_remove(&volumes->making, i);
    mutex_unlock(&volumes->memory);
}

static int fill(struct volumes *volumes, const struct volume_content *content,
                const struct volume *volume, struct error *err)
{
    if (volume_make_place(volumes, volume, err) < 0)
        return -1;
    CLEANUP(close)
    int fd = open(volume->mountpoint, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, "open %s", volume->mountpoint);
    if (content->fill(content->data, fd, err) < 0)
        return -1;
    return tree_sync(fd, err) < 0 ? error_context(err, "%s", volume->mountpoint) : 0;
}

static int make(struct volumes *volumes, const struct volume_content *content, struct volume **out,
                struct error *err)
{
    struct known_volume *known = volume_new(volumes, content->name);
    CLEANUP(volume_unref) struct volume *volume = &known->volume;

    if (content->labels)
        map_copy_texts(&volume->labels, content->labels);
    if (content->options)
        map_copy_texts(&volume->options, content->options);
    if (content->snapshot_of)
        volume->snapshot_of = xstrdup(content->snapshot_of);
    if (volume_record(volumes, volume, VOLUME_MAKING, err) < 0)
        return -1;
    if (fill(volumes, content, volume, err) < 0 ||
        volume_set_state(volumes, content->name, VOLUME_READY, err) < 0) {
        volume_take_back(volumes, volume);
        return -1;
    }
    *out = volume_ref(volume);
    volume = NULL;
    volume_remember(volumes, known);
    return 0;
}

int volume_create_filled(struct volumes *volumes, const struct volume_content *content,
                         struct volume **out, struct error *err)
{
    if (volume_check_name(content->name, err) < 0 ||
        volume_check_options(content->options, err) < 0 ||
        volume_reserve(volumes, content->name, err) < 0)
        return error_context(err, "create %.300s", content->name);
    int result = make(volumes, content, out, err);
    volume_give_back(volumes, content->name);
    return result < 0 ? error_context(err, "create %.300s", content->name) : 0;
}
