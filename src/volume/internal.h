/* What the files of this folder share. */
#ifndef BERTH_VOLUME_INTERNAL_H
#define BERTH_VOLUME_INTERNAL_H

#include <stdatomic.h>

#include "base/thread.h"
#include "volume/volume.h"

/* What a volume is going through, in the record: a crash leaves it so. */
enum volume_state {
    VOLUME_READY,
    VOLUME_FILLING,  /* its content comes from an image; half of it is worth nothing */
    VOLUME_REMOVING, /* it is to be gone */
    VOLUME_MAKING,   /* it comes into being together with its content */
};

struct volumes {
    char *path; /* <data root>/volumes */
    struct database *database;
    struct strv plugin_directories;
    struct mutex changes; /* record and directories; taken before 'memory' */
    struct mutex memory;  /* guards 'known' */
    struct map known;     /* name → struct known_volume */
    struct strv making;   /* names that will be known once their content is whole; in 'memory' */
    /* Names whose rows say so and are still there, oldest first; in 'memory'. */
    struct strv removed;
    struct mutex forgetting; /* held while those rows go; taken after 'changes', before 'memory' */
};

struct known_volume {
    struct volume volume;
    struct volumes *volumes; /* outlives it */
    atomic_int references;
    struct mutex filling;  /* one fills it at a time */
    struct mutex mounting; /* held while it is mounted and unmounted, which may take long */
    struct strv users GUARDED_BY(mounting); /* of its mount; one of them may be there twice */
    int holds;                              /* volume_hold; under the volumes' 'memory' */
    bool is_leaving;                        /* nobody may hold it any more; likewise */
};

#define REMOVED_PREFIX ".removed-" /* no volume's name begins so */

/* <name>, or <name>/_data. */
char *volume_path(const struct volumes *volumes, const char *name);
char *volume_data_path(const struct volumes *volumes, const char *name);
/* <name>/image: the file system of one with a size, where the host's has no projects. */
char *volume_image_path(const struct volumes *volumes, const char *name);
/* Its place, limited and mounted if it has a size. What is there already is completed. */
int volume_make_place(const struct volumes *volumes, const struct volume *volume,
                      struct error *err);
/* Record and place of one whose making failed. What cannot be removed now is when the volumes are
 * opened: the record says so. */
void volume_take_back(struct volumes *volumes, const struct volume *volume);
/* 0: no limit. */
uint64_t volume_size_limit(const struct volume *volume);
int volume_set_state(struct volumes *volumes, const char *name, enum volume_state state,
                     struct error *err);
/* volumes_forget_removed if one of them has this name: before it is recorded anew. */
int volume_free_name(struct volumes *volumes, const char *name, struct error *err);
/* Moves its directory, if there is one, to a name that nobody looks for: added to 'out_trash'. */
int volume_move_away(struct volumes *volumes, const char *name, struct strv *out_trash,
                     struct error *err);
int volume_unmount(const struct volume *volume, struct error *err);
bool volume_has_users(struct volume *volume);
/* INVALID with Docker's text. */
int volume_check_name(const char *name, struct error *err);
int volume_record(struct volumes *volumes, const struct volume *volume, enum volume_state state,
                  struct error *err);
/* INVALID for options that the local driver does not have. */
int volume_check_options(const struct map *options, struct error *err);
/* A reference, or NULL. */
struct volume *volume_find(struct volumes *volumes, const char *name);
/* Lets nobody hold it any more, or again. CONFLICT "remove v1: volume is in use" if it is mounted
 * or held. 'changes' held. */
int volume_begin_leaving(struct volume *volume, const char *action, struct error *err);
void volume_end_leaving(struct volume *volume);
/* A volume as it is remembered; labels and options are none. */
struct known_volume *volume_new(struct volumes *volumes, const char *name);
void volume_remember(struct volumes *volumes, struct known_volume *known);

/* The name is nobody else's until it is given back. CONFLICT. */
int volume_reserve(struct volumes *volumes, const char *name, struct error *err);
void volume_give_back(struct volumes *volumes, const char *name);

/* ---- volumes of plugins: each is a call to it (volume_plugin.c) */
bool volume_has_plugin(const struct volume *volume);
int volume_plugin_create(struct volume *volume, struct error *err); /* sets its scope */
int volume_plugin_remove(const struct volume *volume, struct error *err);
int volume_plugin_mount(const struct volume *volume, struct error *err); /* at its place */
/* Behind the unmounting of its place. */
int volume_plugin_unmount(const struct volume *volume, struct error *err);

/* Ends changes of names that a crash interrupted. */
int volumes_settle_names(struct volumes *volumes, struct error *err);
/* Reads the record, ends what a crash interrupted, adopts directories that it does not know. */
int volumes_load(struct volumes *volumes, struct strv *out_trash, struct error *err);

#endif
