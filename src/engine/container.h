/* Containers of the engine: what a client can do with one, and immutable snapshots of what is known
 * of it. */
#ifndef BERTH_ENGINE_CONTAINER_H
#define BERTH_ENGINE_CONTAINER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strv.h"
#include "engine/container_state.h"
#include "engine/engine.h"
#include "engine/health.h"
#include "shim/log_read.h"
#include "shim/shim.h"
#include "spec/container.h"

/* Everything known of one container at one moment. Immutable, shared, never blocks: for list,
 * inspect and filters. */
struct container_spec;

struct container_info {
    int reference_count;         /* private */
    struct container_spec *spec; /* private: owns what never changes */
    char id[65];
    char *name; /* without the slash */
    int64_t created_ns;
    uint64_t sequence; /* order of creation */
    char *image_id;    /* "sha256:…" */
    char *image_name;  /* as the client gave it (config.image) */
    char *path;        /* what runs: program and arguments after the merge */
    struct strv args;
    struct container_config config; /* merged with the image's */
    struct host_config host_config; /* with defaults filled in */
    enum container_state state;
    bool oom_killed;
    bool is_held; /* paused by the engine for a moment, not by a client */
    pid_t pid;
    int exit_code;
    char *error; /* of the last failed start, "" */
    int64_t started_ns, finished_ns;
    int restart_count;
    struct json_list mounts; /* struct mount_point */
    struct map endpoints;    /* network name → struct endpoint_settings */
    struct json_list ports;  /* struct port_mapping (network/network.h), published and in force */
    char *log_path;          /* "" for driver none */
    char *hosts_path, *hostname_path, *resolv_path;           /* "" until the first start */
    char *upper_path, *work_path, *merged_path, *lower_paths; /* GraphDriver.Data */
    struct strv exec_ids;                                     /* none: null */
    struct container_health *health;                          /* NULL: no check, or never started */
};
struct container_info *container_info_ref(struct container_info *info);
void container_info_unref(struct container_info *info);
CLEANUP_POINTER(container_info_unref, struct container_info)

/* Status text of a list ("Up 5 seconds", "Exited (0) 2 hours ago"); spec/api.md 2.1. */
char *container_status_text(const struct container_info *info);

/* Finds by id, name or id prefix. NOT_FOUND "No such container: x"; INVALID for an ambiguous
 * prefix. */
int engine_container_get(struct engine *engine, const char *text, struct container_info **out,
                         struct error *err);
/* All, newest first. */
int engine_container_list(struct engine *engine, struct container_info ***out, size_t *out_count,
                          struct error *err);
void engine_container_list_free(struct container_info **list, size_t count);

/* Checks and records a container; prepares its directory and volumes. Texts and order of checks:
 * spec/api.md 2.2. 'name' NULL: generated. Warnings are added to 'out_warnings' (initialised
 * empty). */
int engine_container_create(struct engine *engine, const char *name, const char *platform,
                            const struct container_create *wish, char out_id[65],
                            struct strv *out_warnings, struct error *err);
/* NOT_MODIFIED if it runs. On failure the container keeps exit code and text (spec/api.md 2.4). */
int engine_container_start(struct engine *engine, const char *text, struct error *err);
/* 'signal' NULL: the container's; 'timeout_s' -1: for ever, -2: the container's. NOT_MODIFIED if it
 * does not run. Gives up waiting when 'cancel_fd' becomes readable (the stop itself goes on). */
int engine_container_stop(struct engine *engine, const char *text, const char *signal,
                          int timeout_s, int cancel_fd, struct error *err);
int engine_container_restart(struct engine *engine, const char *text, const char *signal,
                             int timeout_s, struct error *err);
int engine_container_kill(struct engine *engine, const char *text, const char *signal,
                          struct error *err);
int engine_container_pause(struct engine *engine, const char *text, bool paused, struct error *err);
int engine_container_rename(struct engine *engine, const char *text, const char *name,
                            struct error *err);
int engine_container_remove(struct engine *engine, const char *text, bool force, bool with_volumes,
                            struct error *err);
/* Publishes further ports ("80/tcp" → list of struct port_binding) and ends the publishing of
 * others
 * ("[[address:]8080:]80[/tcp]"), in the record and of the running container, whose open connections
 * go on. */
/* Takes mounts off (by their targets) and adds others, of a running container too, which sees it at
 * once. CONFLICT if a target has one already, or if something is mounted below it. */
int engine_container_change_mounts(struct engine *engine, const char *text,
                                   const struct strv *removed, const struct json_list *added,
                                   struct error *err);
int engine_container_change_ports(struct engine *engine, const char *text,
                                  const struct strv *removed, const struct map *added,
                                  struct error *err);
/* Where a container's names come from: what its resolv.conf says and what its hosts file has
 * besides its own lines. Lists that are empty stay as they are; one that is the word "none" alone
 * becomes empty. Hosts are "name:address" to add, and "name" or "name:address" to remove. */
struct names_wish {
    struct strv dns, dns_search, dns_options, hosts_add, hosts_remove;
};
/* Changes that in the record and in the files of the running container. INVALID for nonsense and
 * for a host that is not there, CONFLICT for one that is. */
int engine_container_change_names(struct engine *engine, const char *text,
                                  const struct names_wish *wish, struct error *err);
/* Changes limits and restart policy, in the record and of the running container. Zero and absent
 * values of 'wish' stay as they are. CONFLICT where two limits contradict each other. */
int engine_container_update(struct engine *engine, const char *text, struct host_config *wish,
                            struct strv *out_warnings, struct error *err);
int engine_container_resize(struct engine *engine, const char *text, int height, int width,
                            struct error *err);

/* Waiting: register first (so that nothing is missed), tell the client, then wait. */
enum wait_condition { WAIT_NOT_RUNNING, WAIT_NEXT_EXIT, WAIT_REMOVED };
struct container_waiter;
int engine_container_wait_begin(struct engine *engine, const char *text,
                                enum wait_condition condition, struct container_waiter **out,
                                struct error *err);
/* Blocks. 0 with exit code (and *out_error yours, NULL if none); CANCELLED when 'cancel_fd' became
 * readable. Frees. */
int container_waiter_finish(struct container_waiter *waiter, int cancel_fd, int *out_exit_code,
                            char **out_error, struct error *err);

/* Attach. Check first (errors before the upgrade), then hand over the raw socket (taken). A
 * container that does not run is attached at its next start. */
struct attach_options {
    bool logs, stream;
    struct shim_stream_options streams;
};
int engine_container_attach_check(struct engine *engine, const char *text, struct error *err);
int engine_container_attach(struct engine *engine, const char *text, int client_fd,
                            const struct attach_options *options, struct error *err);

/* Logs: entries as they come. With 'follow', next waits until there is one, the container ended (0)
 * or cancel_fd fired (0). */
struct container_log;
int engine_container_log_open(struct engine *engine, const char *text,
                              const struct log_reader_options *options, bool follow,
                              struct container_log **out,
                              struct error *err); /* 'path' is filled in */
int container_log_next(struct container_log *log, int cancel_fd, struct log_entry *out,
                       struct error *err);
void container_log_close(struct container_log *log);
CLEANUP_POINTER(container_log_close, struct container_log)

#endif
