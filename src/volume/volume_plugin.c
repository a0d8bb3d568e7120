/* Volumes of plugins. What the plugin mounts is shown at the volume's place, like a volume that is
 * a mount: so nobody else need know. One user of ours is one mount of the plugin's: the engine. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/mount.h"
#include "volume/internal.h"
#include "volume/plugin.h"
#include "volume/plugin_answer.h"

#include "base/banned.h"

#define MOUNT_ID "berth" /* tells our mounts from another engine's */

bool volume_has_plugin(const struct volume *volume)
{
    return strcmp(volume->driver, "local") != 0;
}

static const struct strv *directories(const struct volume *volume)
{
    return &CONTAINER_OF(volume, struct known_volume, volume)->volumes->plugin_directories;
}

static int call(const struct volume *volume, const char *method, bool with_id, bool with_options,
                struct json **out, struct error *err)
{
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "Name", volume->name);
    if (with_id)
        json_add_text(&w, "ID", MOUNT_ID);
    if (with_options && volume->options.count)
        json_add_texts(&w, "Opts", &volume->options);
    json_end_dict(&w);
    return plugin_call(directories(volume), volume->driver, method, str_text(&body), out, err);
}

int volume_plugin_create(struct volume *volume, struct error *err)
{
    CLEANUP(json_free) struct json *answer = NULL;

    if (plugin_activate(directories(volume), volume->driver, err) < 0 ||
        call(volume, "VolumeDriver.Create", false, true, NULL, err) < 0)
        return -1;
    /* Old plugins do not know the question. */
    if (plugin_call(directories(volume), volume->driver, "VolumeDriver.Capabilities", "{}", &answer,
                    NULL) == 0 &&
        plugin_answer_is_global(answer)) {
        free(volume->scope);
        volume->scope = xstrdup("global");
    }
    return 0;
}

int volume_plugin_remove(const struct volume *volume, struct error *err)
{
    return call(volume, "VolumeDriver.Remove", false, false, NULL, err);
}

int volume_plugin_mount(const struct volume *volume, struct error *err)
{
    CLEANUP(json_free) struct json *answer = NULL;
    CLEANUP(free) char *path = NULL;

    if (call(volume, "VolumeDriver.Mount", true, false, &answer, err) < 0)
        return -1;
    if (plugin_answer_mountpoint(answer, &path, err) < 0) {
        volume_plugin_unmount(volume, NULL);
        return -1;
    }
    CLEANUP(close) int fd = mount_clone(AT_FDCWD, path, true, err);
    if (fd < 0 || mount_change(fd, true, 0, 0, MS_PRIVATE, err) < 0 ||
        mount_place_at(fd, volume->mountpoint, err) < 0) {
        volume_plugin_unmount(volume, NULL);
        return -1;
    }
    return 0;
}

int volume_plugin_unmount(const struct volume *volume, struct error *err)
{
    return call(volume, "VolumeDriver.Unmount", true, false, NULL, err);
}

int volume_ask_plugin(const struct volume *volume, char **out_mountpoint, char **out_status,
                      struct error *err)
{
    CLEANUP(json_free) struct json *answer = NULL;

    if (!volume_has_plugin(volume))
        return error_set(err, ERROR_UNSUPPORTED, "the local driver has nothing to say");
    if (call(volume, "VolumeDriver.Get", false, false, &answer, err) < 0)
        return -1;
    plugin_answer_volume(answer, out_mountpoint, out_status);
    return 0;
}
