/* Named volumes: <data root>/volumes/<name>/_data, with their record. */
#ifndef BERTH_VOLUME_VOLUME_H
#define BERTH_VOLUME_VOLUME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/map.h"
#include "base/strv.h"
#include "record/database.h"

struct volumes; /* all of them */

struct volume {
    char *name, *driver, *mountpoint, *scope;
    struct map labels, options; /* none: null in JSON */
    int64_t created_ns;
    bool is_anonymous; /* label com.docker.volume.anonymous */
    char *snapshot_of; /* whose content it shows, for ever: no container may write to it; or NULL */
};
struct volume *volume_ref(struct volume *volume); /* immutable and shared */
void volume_unref(struct volume *volume);
CLEANUP_POINTER(volume_unref, struct volume)

/* What is left of removed ones is added to 'out_trash' to be removed. */
int volumes_open(const char *data_path, struct database *database, struct strv *out_trash,
                 struct volumes **out, struct error *err);
void volumes_close(struct volumes *volumes);
CLEANUP_POINTER(volumes_close, struct volumes)

/* Where plugins are found (volume/plugin.h); copied. None before. */
void volumes_use_plugins(struct volumes *volumes, const struct strv *directories);
/* "local" and the plugins, sorted. */
void volumes_drivers(struct volumes *volumes, struct strv *out);
/* What a plugin says of its volume: both texts are yours, the status is JSON or NULL. Volumes of
 * the local driver have nothing to ask: UNSUPPORTED. */
int volume_ask_plugin(const struct volume *volume, char **out_mountpoint, char **out_status,
                      struct error *err);

/* Makes a volume, or gives the one that has the name already. 'name' NULL: an anonymous one with a
 * generated name and label. A driver that
 * is neither "local" nor a plugin: NOT_FOUND; one that has another driver: CONFLICT. Options of the
 * local driver are "type", "device" and "o", as for mount(8), and "size", which limits the content
 * (linux/limited_dir.h); unknown ones are INVALID ("create v: invalid option: \"foo\""). Bad names:
 * INVALID with Docker's text. *out_created tells which it was. */
int volume_create(struct volumes *volumes, const char *name, const char *driver,
                  const struct map *options, const struct map *labels, struct volume **out,
                  bool *out_created, struct error *err);
/* Whether that name and driver could be made: INVALID, NOT_FOUND as volume_create says. */
int volume_check(struct volumes *volumes, const char *name, const char *driver, struct error *err);
/* Where a volume of that name is, or would be; yours. */
char *volume_mountpoint(const struct volumes *volumes, const char *name);
int volume_get(struct volumes *volumes, const char *name, struct volume **out,
               struct error *err); /* "get x: no such volume" */
int volume_list(struct volumes *volumes, struct volume ***out, size_t *out_count,
                struct error *err); /* by name */
void volume_list_free(struct volume **list, size_t count);
/* Record first, then the directory: it is gone for good when this returns, whatever becomes of the
 * machine. The caller has checked that nobody uses it. 'forgets': what a
 * plugin says against it, or that it does not answer, does not count. */
int volume_remove(struct volumes *volumes, const char *name, bool forgets, struct error *err);
/* The same, but for the files: where they are, if there are any, is added to 'out_trash' to be
 * removed. */
int volume_take_away(struct volumes *volumes, const char *name, bool forgets,
                     struct strv *out_trash, struct error *err);
/* What removals leave for later, as it waits for the disk: their rows go. What fails is done by the
 * next call, or when the volumes are opened; the name of one that is wanted meanwhile calls it. */
int volumes_forget_removed(struct volumes *volumes, struct error *err);

/* Another name for a volume that nobody uses; *out is the renamed one. CONFLICT if it has users, or
 * the new name an owner. After a crash it has the one name or the other, and all its content. */
int volume_rename(struct volumes *volumes, const char *name, const char *new_name,
                  struct volume **out, struct error *err);

/* A volume that is made together with its content. */
struct volume_content {
    const char *name;
    const struct map *options, *labels; /* NULL: none */
    const char *snapshot_of;            /* NULL: it is none */
    /* Writes the content into the empty directory 'dir_fd', and sets owner and mode of that. */
    int (*fill)(void *data, int dir_fd, struct error *err);
    void *data;
};
/* Nobody sees the volume before its content is whole and on disk; on failure, and after a crash,
 * there is none. CONFLICT if the name has an owner. */
int volume_create_filled(struct volumes *volumes, const struct volume_content *content,
                         struct volume **out, struct error *err);

/* As long as somebody holds it a volume is neither removed nor renamed: its content is being read.
 * Each hold ends with volume_let_go. NOT_FOUND if it went meanwhile. */
int volume_hold(struct volume *volume, struct error *err);
void volume_let_go(struct volume *volume);

/* Fills an EMPTY volume with what the image has at 'path' below the root mount 'root_fd' (a
 * directory descriptor; the lookup stays inside it): content with owners, modes, xattrs and links,
 * then owner and mode of the directory itself. With 'subpath' (NULL: none) that directory of the
 * volume is filled, if it is there. A volume with content is left alone; no such path leaves it as
 * it is; a path that is no directory: INVALID "source … is not directory". */
int volume_copy_up(struct volume *volume, const char *subpath, int root_fd, const char *path,
                   struct error *err);

/* Whether the volume is a mount of its own (options of the local driver), which is there while it
 * has users only. */
bool volume_is_mount(const struct volume *volume);
/* Mounts it, if it is such a volume, and remembers the user (any name). A volume that is mounted
 * already, by an engine before this one too, is taken as it is. */
int volume_acquire(struct volume *volume, const char *user, struct error *err);
/* Unmounts it behind the last user. */
int volume_release(struct volume *volume, const char *user, struct error *err);
/* Unmounts what no user was remembered for: for a starting engine, when all have been. What fails
 * is added to 'out_failures', a line each. */
void volumes_release_unused(struct volumes *volumes, struct strv *out_failures);
/* Unmounts those that have a size, until the volumes are opened again: for an engine that goes for
 * good. */
void volumes_unmount_limited(struct volumes *volumes);
/* Whether that is the place of a volume that is a mount and has users, or that has a size. */
bool volumes_expect_mount(struct volumes *volumes, const char *path);

/* Makes places that are missing, and volumes of directories that nobody knows. */
int volumes_repair(struct volumes *volumes, struct error *err);
int volumes_verify(struct volumes *volumes, struct strv *out, struct error *err);

#endif
