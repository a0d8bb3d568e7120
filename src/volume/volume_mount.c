/* The local driver's options: a volume that is a mount of its own, there while somebody uses it. It
 * is mounted at the volume's place, where the host sees it, so that all users share what it is. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/limited_dir.h"
#include "linux/mount.h"
#include "linux/mount_find.h"
#include "linux/mount_options.h"
#include "volume/internal.h"

#include "base/banned.h"

enum { SETTING_LIMIT = 64 };

bool volume_is_mount(const struct volume *volume)
{
    return volume_has_plugin(volume) || map_has(&volume->options, "device");
}

/* ---- the mount ---- */

/* "addr=name" for a file system of the network: the kernel wants a number. */
static int resolve_address(struct strv *words, struct error *err)
{
    for (size_t i = 0; i < words->count; i++) {
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
        char text[INET6_ADDRSTRLEN] = "";

        if (!text_starts(words->items[i], "addr="))
            continue;
        const char *name = words->items[i] + strlen("addr=");
        int result = getaddrinfo(name, NULL, &hints, &found);
        if (result == 0)
            getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof(text), NULL, 0,
                        NI_NUMERICHOST);
        if (found)
            freeaddrinfo(found);
        if (!*text)
            return error_set(err, ERROR_INTERNAL,
                             "error resolving passed in network volume address: lookup %s: %s",
                             name, gai_strerror(result));
        free(words->items[i]);
        words->items[i] = xasprintf("addr=%s", text);
    }
    return 0;
}

static int make_filesystem(const char *type, const char *device,
                           const struct mount_options *options, struct error *err)
{
    struct mount_setting settings[SETTING_LIMIT + 1] = { { "source", device } };
    CLEANUP(strv_done) struct strv copies = {};

    if (options->data.count > SETTING_LIMIT)
        return error_set(err, ERROR_INVALID, "too many mount options");
    strv_copy(&copies, &options->data);
    for (size_t i = 0; i < copies.count; i++) {
        char *value = strchr(copies.items[i], '=');

        if (value)
            *value++ = 0;
        settings[i + 1] = (struct mount_setting){ copies.items[i], value };
    }
    return mount_create(type, settings, copies.count + 1, (unsigned)options->set, err);
}

static int make_bind(const char *device, const struct mount_options *options, struct error *err)
{
    CLEANUP(close) int fd = mount_clone(AT_FDCWD, device, options->is_recursive, err);

    if (fd < 0 || ((options->set || options->clear) &&
                   mount_change(fd, false, options->set, options->clear, 0, err) < 0))
        return -1;
    return TAKE_FD(fd);
}

/* As the mount call of old would have been told; passwords are not for everybody's eyes. */
static int mount_failed(const struct volume *volume, const char *device,
                        const struct mount_options *options, struct error *err)
{
    unsigned flags = (options->set & MOUNT_ATTR_RDONLY ? MS_RDONLY : 0) |
                     (options->set & MOUNT_ATTR_NOSUID ? MS_NOSUID : 0) |
                     (options->set & MOUNT_ATTR_NODEV ? MS_NODEV : 0) |
                     (options->set & MOUNT_ATTR_NOEXEC ? MS_NOEXEC : 0) |
                     (options->is_bind ? MS_BIND : 0) | (options->is_recursive ? MS_REC : 0);
    CLEANUP(str_done) struct str text = {};
    int number = err ? err->sys : 0;

    if (!err)
        return -1;
    if (flags)
        str_add_format(&text, ", flags: 0x%x", flags);
    for (size_t i = 0; i < options->data.count; i++) {
        const char *word = options->data.items[i];

        str_add_format(&text, "%s%s", i ? "," : ", data: ",
                       text_starts(word, "password=") ? "password=********" : word);
    }
    CLEANUP(free) char *why = xstrdup(err->text);
    errno = number;
    error_sys(err, "failed to mount local volume: mount %s:%s%s", device, volume->mountpoint,
              str_text(&text));
    if (!number)
        error_set(err, ERROR_INTERNAL, "failed to mount local volume: mount %s:%s%s: %s", device,
                  volume->mountpoint, str_text(&text), why);
    err->kind = ERROR_INTERNAL;
    return -1;
}

static int mount_volume(const struct volume *volume, struct error *err)
{
    const char *type = map_get(&volume->options, "type"), *o = map_get(&volume->options, "o");
    const char *device = map_get(&volume->options, "device");
    CLEANUP(strv_done) struct strv words = {};
    CLEANUP(mount_options_done) struct mount_options options = {};

    strv_split(&words, o ? o : "", ',');
    for (size_t i = words.count; i-- > 0;)
        if (!*words.items[i])
            strv_remove(&words, i);
    if ((text_starts(type, "nfs") || strcmp(type, "cifs") == 0) && resolve_address(&words, err) < 0)
        return -1;
    if (mount_options_parse(&words, &options, err) < 0)
        return -1;
    CLEANUP(close)
    int fd = options.is_bind ? make_bind(device, &options, err)
                             : make_filesystem(type, device, &options, err);
    if (fd < 0 || mount_place_at(fd, volume->mountpoint, err) < 0)
        return mount_failed(volume, device, &options, err);
    if (options.propagation && mount_change_at(volume->mountpoint, options.propagation_recursive, 0,
                                               0, options.propagation, err) < 0)
        return -1;
    return 0;
}

/* ---- its users ---- */

/* Takes all mounts off, also those that somebody else has put on top. */
int volume_unmount(const struct volume *volume, struct error *err)
{
    bool was_mounted = mount_is_at(volume->mountpoint);

    for (int i = 0; mount_is_at(volume->mountpoint); i++) {
        if (i == SETTING_LIMIT)
            return error_set(err, ERROR_INTERNAL, "%s stays mounted", volume->mountpoint);
        if (mount_remove(volume->mountpoint, err) < 0)
            return -1;
    }
    return was_mounted && volume_has_plugin(volume) ? volume_plugin_unmount(volume, err) : 0;
}

/* One with a size is mounted from its making on: unless that failed. */
static int check_limited(struct known_volume *known, struct error *err)
{
    CLEANUP(free) char *image_path = volume_image_path(known->volumes, known->volume.name);
    int result = 0;

    mutex_lock(&known->mounting);
    if (limited_dir_is_missing(known->volume.mountpoint, image_path))
        result = volume_make_place(known->volumes, &known->volume, err);
    mutex_unlock(&known->mounting);
    if (result < 0)
        return error_context(err, "error while mounting volume '%s'", known->volume.mountpoint);
    return 0;
}

int volume_acquire(struct volume *volume, const char *user, struct error *err)
{
    struct known_volume *known = CONTAINER_OF(volume, struct known_volume, volume);
    int result = 0;

    if (volume_size_limit(volume))
        return check_limited(known, err);
    if (!volume_is_mount(volume))
        return 0;
    mutex_lock(&known->mounting);
    if (!mount_is_at(volume->mountpoint))
        result = volume_has_plugin(volume) ? volume_plugin_mount(volume, err)
                                           : mount_volume(volume, err);
    if (result == 0)
        strv_add(&known->users, user);
    mutex_unlock(&known->mounting);
    if (result < 0)
        return error_context(err, "error while mounting volume '%s'", volume->mountpoint);
    return 0;
}

int volume_release(struct volume *volume, const char *user, struct error *err)
{
    struct known_volume *known = CONTAINER_OF(volume, struct known_volume, volume);
    int result = 0;

    if (!volume_is_mount(volume))
        return 0;
    mutex_lock(&known->mounting);
    for (size_t i = 0; i < known->users.count; i++)
        if (strcmp(known->users.items[i], user) == 0) {
            strv_remove(&known->users, i);
            break;
        }
    if (!known->users.count)
        result = volume_unmount(volume, err);
    mutex_unlock(&known->mounting);
    return result;
}

bool volume_has_users(struct volume *volume)
{
    struct known_volume *known = CONTAINER_OF(volume, struct known_volume, volume);

    /* Whoever holds it is about to be a user, or the last one that leaves. A server that does not
     * answer must not keep others waiting. */
    if (!mutex_lock_until(&known->mounting, clock_monotonic_ns()))
        return true;
    bool has_users = known->users.count > 0;
    mutex_unlock(&known->mounting);
    return has_users;
}

void volumes_release_unused(struct volumes *volumes, struct strv *out_failures)
{
    struct volume **list;
    size_t count;

    volume_list(volumes, &list, &count, NULL);
    for (size_t i = 0; i < count; i++) {
        struct error err = {};

        if (volume_is_mount(list[i]) && !volume_has_users(list[i]) &&
            volume_unmount(list[i], &err) < 0)
            strv_add(out_failures, err.text);
    }
    volume_list_free(list, count);
}

void volumes_unmount_limited(struct volumes *volumes)
{
    struct volume **list;
    size_t count;

    volume_list(volumes, &list, &count, NULL);
    for (size_t i = 0; i < count; i++)
        if (volume_size_limit(list[i]))
            limited_dir_end(list[i]->mountpoint, NULL);
    volume_list_free(list, count);
}

bool volumes_expect_mount(struct volumes *volumes, const char *path)
{
    bool is_expected = false;
    struct volume **list;
    size_t count;

    volume_list(volumes, &list, &count, NULL);
    for (size_t i = 0; i < count; i++)
        is_expected |= strcmp(list[i]->mountpoint, path) == 0 &&
                       (volume_size_limit(list[i]) || volume_has_users(list[i]));
    volume_list_free(list, count);
    return is_expected;
}
