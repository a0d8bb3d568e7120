/* What the files of the engine share: its parts, the live objects behind the snapshots, and the
 * order of locks.
 *
 * Locks, outermost first: container.operation (one long operation at a time), engine.lock (the
 * maps), that of the health probes, container.lock (its snapshot and handles), events. None but
 * 'operation' is held across a call to a supervisor or a write to the record. */
#ifndef BERTH_ENGINE_INTERNAL_H
#define BERTH_ENGINE_INTERNAL_H

#include <stdatomic.h>

#include "base/list.h"
#include "base/thread.h"
#include "build/build.h"
#include "engine/container.h"
#include "engine/engine.h"
#include "engine/events.h"
#include "engine/exec.h"
#include "engine/health.h"
#include "engine/metrics.h"
#include "engine/mount.h"
#include "network/network.h"
#include "record/database.h"
#include "registry/registry.h"
#include "runtime/user.h"
#include "store/store.h"
#include "volume/volume.h"

/* The part of a container that stays as it was created. Shared by all its snapshots. */
struct user_range {
    int64_t inside, outside, count;
};
struct user_map {
    struct json_list uids, gids; /* struct user_range */
};
extern const struct json_field user_map_fields[];

struct container_spec {
    atomic_int reference_count;
    char *image_id, *image_name, *chain_id;
    char *path;
    struct strv args;
    char *driver;
    struct container_config config;
    struct host_config host_config;
    struct networking_config networking;
    struct json_list mounts; /* struct container_mount */
    char *init_path;         /* --init program, NULL: none */
    struct user_map *users;  /* its users' numbers on the host, NULL: the same (user_map.h) */
};
extern const struct json_field container_spec_fields[];
struct container_spec *container_spec_ref(struct container_spec *spec);
void container_spec_unref(struct container_spec *spec);
CLEANUP_POINTER(container_spec_unref, struct container_spec)

/* A client that wants a container's streams before it runs. */
struct pending_attach {
    struct list link;
    int client_fd;
    struct shim_stream_options streams;
    void *pending, *keys; /* owned copies */
};

struct container {
    struct engine *engine;
    atomic_int reference_count;
    char id[65];
    uint64_t sequence;
    struct mutex operation;
    struct mutex lock;
    struct container_info *info GUARDED_BY(lock);
    struct shim *shim GUARDED_BY(lock);
    struct list waiters GUARDED_BY(lock);  /* struct container_waiter */
    struct list attaches GUARDED_BY(lock); /* struct pending_attach */
    struct list views GUARDED_BY(lock);    /* struct container_view (container_view.h) */
    bool manually_stopped GUARDED_BY(lock);
    bool is_removed GUARDED_BY(lock);
    uint64_t
        run_number GUARDED_BY(lock); /* counts starts: late news of an earlier run are told apart */
    int64_t restart_delay_ns;        /* under 'operation' */
    bool
        has_resolver; /* under 'operation': its supervisor has sockets for names, as far as known */
    bool is_whole;    /* as the record had it when the engine started */
};

/* A RUN of a build in progress: its supervisor's exit is waited for by the thread that builds. */
struct build_process {
    char id[65];
    int exit_fd; /* eventfd */
    atomic_int exit_code;
};

struct exec {
    struct exec_info *info GUARDED_BY(lock);
    struct mutex lock;
    atomic_int reference_count;
    char id[65];
    int64_t ended_ns;
};

struct event_ring;
struct usage_cache;
struct work_queue;
struct health_probes;
struct metrics;
struct build_lenders;
struct collector;

struct engine {
    struct engine_options options; /* pointers into owned memory below */
    struct engine_strings *strings;
    char uuid[40];
    char *cgroup_path;      /* "/berth" or "/berth-<engine id>" */
    char *containers_path;  /* <data>/containers */
    char *bundles_path;     /* <run>/bundles */
    char *filters_path;     /* <run>/seccomp */
    char *init_layer_path;  /* <data>/init: what lies between image and changes */
    char *sealed_shim_path; /* what is executed: shim_fd's name below /proc */
    int shim_fd;
    int logger_fd; /* berth-log, the same way; -1: there is none */
    struct database *database;
    struct store *store;
    struct registry *registry;
    struct volumes *volumes;
    struct networks *networks;
    struct builder *builder;
    struct build_lenders *build_lenders;
    struct shim_monitor *monitor;
    struct event_ring *events;
    struct work_queue *work;
    struct trash *trash;
    struct health_probes *health;
    struct metrics *metrics;
    struct usage_cache *usage;
    atomic_flag prepares_usage, forgets_volumes; /* work is on its way */
    struct collector *collector;
    struct mutex lock;
    struct map containers GUARDED_BY(lock);      /* id → struct container */
    struct map container_names GUARDED_BY(lock); /* name → struct container */
    struct map execs GUARDED_BY(lock);           /* id → struct exec */
    struct map build_processes GUARDED_BY(lock); /* id → struct build_process */
    uint64_t next_sequence GUARDED_BY(lock);
    struct mutex filter_lock; /* one compilation at a time */
    char *seccomp_profile;    /* of containers that ask for none: "builtin", "unconfined", JSON */
};

/* ---- containers (container.c) ---- */
struct container *container_ref(struct container *container);
void container_unref(struct container *container);
CLEANUP_POINTER(container_unref, struct container)
/* By id, name or prefix; the caller gets a reference. */
int container_find(struct engine *engine, const char *text, struct container **out,
                   struct error *err);
struct container *container_find_id(struct engine *engine,
                                    const char *id); /* NULL if there is none */
struct container_info *container_snapshot(struct container *container);
struct shim *container_shim(struct container *container); /* a reference, NULL if it does not run */
/* Changes start from a copy; publish replaces the snapshot (taken) and writes the state to the
 * record. */
struct container_info *container_info_copy(const struct container_info *info);
/* Lets a fresh copy take what never changes from 'spec' (a reference is taken). */
void container_info_borrow(struct container_info *info, struct container_spec *spec);
void container_publish(struct container *container, struct container_info *info);
/* The same for what a user asked for: a power cut does not undo it any more. */
void container_publish_wish(struct container *container, struct container_info *info);
/* The same, without the record: for a step of an operation that the record need not know. */
void container_publish_only(struct container *container, struct container_info *info);
void container_free_endpoint(void *endpoint); /* a value of its 'endpoints' */
/* Enters an exec into the snapshot or takes it out (NULL: all of them). Needs no operation lock;
 * what is published meanwhile keeps the list. */
void container_list_exec(struct container *container, const char *exec_id, bool is_added);
/* Health goes beside operations too. It is replaced (a reference is taken) if the container is
 * still in that run; false if not. The record is told apart, since most probes change nothing
 * there. */
/* Another host configuration from now on: in the record, then in the snapshot. Operation held. */
int container_set_spec(struct container *container, struct container_spec *spec, struct error *err);
/* Changes of its configuration (container_change.c). container_change runs one with the operation
 * held: NOT_FOUND. A change begins with a copy of the configuration (CONFLICT if the container
 * goes), sets it (container_set_spec), carries it out on what runs, and ends: told if 'result' is
 * 0, else taken back; 'result' is given back. */
typedef int container_change_run(struct container *container, const void *data, struct error *err);
int container_change(struct engine *engine, const char *text, container_change_run *run,
                     const void *data, struct error *err);
int container_change_begin(const struct container_info *info, struct container_spec **out,
                           struct error *err);
int container_change_end(struct container *container, struct container_spec *before, int result);
bool container_set_health(struct container *container, uint64_t run_number,
                          struct container_health *health);
void container_record_health(struct container *container);
struct container *container_new(struct engine *engine, const char *id, const char *name,
                                struct container_spec *spec, int64_t created_ns, uint64_t sequence);
/* A new container; a power cut may take it away again until it is said to be whole. One that goes
 * with its end need not be. */
int container_record(struct container *container, struct error *err);
int container_record_whole(struct container *container, struct error *err);
int container_record_name(struct container *container, const char *name, struct error *err);
int containers_load(struct engine *engine, struct error *err);
/* Takes it out of the maps and the record; tells those who wait for its removal. */
int container_forget(struct container *container, struct error *err);
char *container_directory(struct engine *engine, const char *id);
/* Its control group, as linux/cgroup.h names it; yours. */
char *container_cgroup(const struct engine *engine, const struct container_info *info);
/* ---- where changes go (container_writable.c) */
/* The directory that holds diff/ and work/: yours. */
char *container_changes_path(struct engine *engine, const char *id, const struct host_config *host);
/* Makes what is missing of it; limited, if the container's size is. */
int container_writable(struct container *container, struct writable *out, struct error *err);
/* Before a container's directory is removed: nothing is mounted in it any more. */
int container_directory_release(const char *directory, struct error *err);
void containers_release_directories(struct engine *engine); /* all, until they are used again */
/* Whether that is the limited directory of a container's changes. */
bool container_expects_mount(struct engine *engine, const char *path);
/* The directory of changes of a container that is not removed, and what lies right below it. */
int container_changes_open(struct container *container, struct writable *out, struct error *err);
/* Fills in what 'config' leaves open, with Docker's rules. */
void container_config_merge(struct container_config *config, const struct container_config *image);
bool container_is_up(const struct container_info *info); /* running or paused */
/* What was found by a name may be gone by the time its operation lock is had. */
bool container_is_removed(struct container *container);
/* An event of the container with its labels, image and name; 'extra' (may be NULL) on top. */
void container_event(struct container *container, const struct container_info *info,
                     const char *action, const struct map *extra);
void container_event_text(struct container *container, const struct container_info *info,
                          const char *action, const char *key, const char *value);

/* Locks 'operation' for what a client asks: UNAVAILABLE if another operation does not end. Written
 * if (container_begin_operation(…)): clang knows the lock to be held after nothing else. */
int container_begin_operation(struct container *container, struct error *err)
    THREAD_ATTRIBUTE(try_acquire_capability(0, container->operation));

/* ---- steps of its life ---- */
/* A hold is a pause that ends with the work that it is for, at the latest when another engine takes
 * over from one that crashed meanwhile. */
enum pause { PAUSE_BEGIN, PAUSE_HOLD, PAUSE_END };
int container_pause(struct container *container, enum pause pause, struct error *err);
int container_pause_locked(struct container *container, enum pause pause,
                           struct error *err); /* operation held */
/* The exit code of a process that could not be started: 126 not executable, 127 not found, 128 else
 * (spec/api.md 2.5). */
int start_failure_code(const struct error *err);
int container_start_locked(struct container *container, struct error *err); /* operation held */
/* How a run ended. */
struct run_end {
    int exit_code;
    bool oom_killed;
    int64_t wall_ns;
    const char *reason; /* for State.Error, static; NULL: it ended by itself, or by a signal */
};
#define SUPERVISOR_KILLED_CODE   137
#define SUPERVISOR_KILLED_REASON "the container's supervisor was killed, and the container with it"
void container_exited(struct container *container, uint64_t run_number, const struct run_end *end);
int container_remove_locked(struct container *container, bool with_volumes, struct error *err);
/* What a crash cut off between a container that runs and its networks: an endpoint that it was not
 * told of is removed, a network that it has left already is forgotten. Operation held. */
void container_networks_take_over(struct container *container);
/* Publishes "not running", gives address and ports back, tells waiters. Operation held. */
void container_settle_exit(struct container *container, const struct run_end *end);
void container_release_network(struct container *container, const struct container_info *info);
void container_wake_waiters(struct container *container, bool is_removal, int exit_code,
                            const char *error);
/* As engine_container_wait_begin; one that was removed meanwhile has ended. */
int container_wait_begin(struct container *container, enum wait_condition condition,
                         struct container_waiter **out, struct error *err);
/* As container_waiter_finish, but CANCELLED too when 'timeout_ms' passed (-1: none). */
int container_waiter_finish_within(struct container_waiter *waiter, int timeout_ms, int cancel_fd,
                                   int *out_exit_code, char **out_error, struct error *err);
void container_hand_over_attaches(struct container *container, struct shim *shim);
void container_drop_attaches(struct container *container);
/* The container's root over 'writable', detached: shared with the views of it that are open. */
int container_root_mount(struct container *container, const struct writable *writable,
                         int user_namespace_fd, int *out_fd, struct error *err);
/* Calls off what goes on in the views of a container that is removed. */
void container_views_cancel(struct container *container);
/* It is stopped by hand: no policy starts it again, not even after a crash of the engine between
 * this and its end. Without any lock held. */
void container_mark_stopped(struct container *container);
int container_default_stop(const struct container_info *info);

/* The runtime of that name; NULL for our own, which "runc" is too unless another one has that name.
 * INVALID if there is none. */
int runtime_find(const struct engine *engine, const char *name, const struct engine_runtime **out,
                 struct error *err);

int signal_parse(const char *text, int *out, struct error *err); /* SIGTERM, TERM, 15 */

/* ---- mounts of one container (container_mounts.c) ---- */
struct container_sources {
    struct shim_mount *mounts; /* destinations borrowed, descriptors owned */
    size_t count;
};
/* Makes and mounts what the mounts need, as a user of the volumes (a container's id while it runs),
 * and opens sources that are no paths, seen through its users (user_map_open). What was done is
 * taken back on failure, or by _end. */
int container_mounts_begin(struct engine *engine, const char *user,
                           const struct container_info *info, int user_namespace_fd,
                           struct container_sources *out, struct error *err);
/* The directory of a container, with what its changes need below it; what is there already is fine.
 */
int container_prepare_directory(struct container *container, struct error *err);
/* Empty volumes among the mounts get what the image has at their places. */
int container_volumes_fill(struct container *container, const struct container_spec *spec,
                           struct error *err);
bool container_sources_have(const struct container_sources *sources, const char *destination);
/* Adds a file of ours, with its owner seen through that user namespace. */
int container_sources_add(struct container_sources *sources, const char *path,
                          const char *destination, int user_namespace_fd, struct error *err);
void container_sources_done(struct container_sources *sources);
CLEANUP_VALUE(container_sources_done, struct container_sources)
/* It runs already, from the time of an engine before. */
void container_mounts_take_over(struct container *container, const struct container_spec *spec);
void container_mounts_end(struct engine *engine, const char *user,
                          const struct container_spec *spec);

/* ---- users (container_user.c) ---- */
/* Who "user[:group]" is by the container's image and changes. 1; 0: something is mounted over the
 * files that say, or they are no plain files, and only the start will tell. INVALID: there is no
 * such user ("unable to find user x: …"). */
int container_user_look_up(const struct container_info *info, const char *user,
                           struct user_identity *out, struct error *err);

/* ---- sick containers (container_force.c) ---- */
void container_thaw(const struct container *container, const struct container_info *info);
/* Ends what runs, with its supervisor's help or without. The end itself is handled like any other.
 * The error says what is left. */
int container_force_end(struct container *container, struct error *err);
/* Of one that has ended: processes that the kernel does not let go. INTERNAL, and says which. */
int container_check_left(struct container *container, const struct container_info *info,
                         struct error *err);
/* A pidfd of the init of a running container, which is surely that process. What is opened below
 * its /proc/<pid> is its own if pidfd_has_ended says no afterwards. */
int container_open_init(struct container *container, const struct container_info *info,
                        int *out_pidfd, struct error *err);
/* A container that the record says is up is asked how it is (reconcile.c). */
void container_take_over(struct container *container);

/* ---- network of one container (container_network.c) ---- */
struct container_network {
    int namespace_fd; /* -1: the host's */
    bool is_host, is_none;
    int *port_fds;
    size_t port_fd_count;
    struct json_list endpoints; /* struct endpoint */
    char *hosts_path, *hostname_path, *resolv_path;
    bool is_own;    /* neither the host's, nor another container's */
    bool has_names; /* a user-defined network is among them */
};
/* 'namespace_fd' (taken; -1: none) is to be its namespace, if it has one of its own. */
int container_network_setup(struct container *container, const struct container_info *info,
                            int namespace_fd, struct container_network *out, struct error *err);
void container_network_done(struct container_network *network);
CLEANUP_VALUE(container_network_done, struct container_network)

/* Driver options of an endpoint that are understood. */
#define ENDPOINT_IFNAME  "com.docker.network.endpoint.ifname"
#define ENDPOINT_SYSCTLS "com.docker.network.endpoint.sysctls"
/* Attaches to one network; 'ports' may be NULL. */
int container_attach(struct container *container, const struct container_info *info,
                     const char *network_name, const struct endpoint_settings *settings,
                     const struct json_list *ports, struct container_network *out,
                     struct error *err);
/* "80/tcp" → list of struct port_binding, as struct port_mapping. INVALID. */
int container_read_bindings(const struct map *bindings, struct json_list *out, struct error *err);
/* What its PortBindings and PublishAllPorts ask for: struct port_mapping. */
int container_wished_ports(const struct container_info *info, struct json_list *out,
                           struct error *err);
/* The endpoints that were got, into a snapshot that is not published yet. */
void container_show_endpoints(struct container_info *info, const struct container_network *network);
void container_tell_disconnected(struct container *container, const struct container_info *info,
                                 const char *network_name);
/* The ports in force, from the network's record. */
void container_list_ports(struct container *container, struct container_info *info);
/* May that be wished for on that network? */
int container_check_endpoint(const char *network, const struct endpoint_settings *settings,
                             struct error *err);
void container_tell_connected(struct container *container, const struct container_network *network);
/* What "host-gateway" stands for. */
void container_default_gateway(struct engine *engine, struct str *out);
/* What the three files about its network are made from; valid as long as 'info'. */
struct network_files_options container_files_options(struct engine *engine,
                                                     const struct container_info *info);

/* ---- names (container_names.c) ---- */
/* What others on a user-defined network find it by, its name first. */
void container_dns_names(const struct container_info *info,
                         const struct endpoint_settings *settings, struct strv *out);
/* "name:alias", "name", "/name:/container/alias". INTERNAL "bad format for links: …". */
int container_link_parse(const char *text, char **out_name, char **out_alias, struct error *err);
int container_link_lines(struct engine *engine, const struct container_info *info, struct strv *out,
                         struct error *err);
bool container_has_names(struct engine *engine, const struct container_info *info);
void container_resolver_settings(struct engine *engine, const struct container_info *info,
                                 struct resolver_settings *out);
/* Writes one of the three files of a container that runs in place, as it has this very file
 * mounted; its time stays, which tells whether somebody in the container has edited it. */
int container_rewrite(const char *path, const struct str *text, struct error *err);
/* Lets the supervisor answer for names; 'is_new': opens the sockets for it first. */
int container_tell_resolver(struct container *container, const struct container_info *info,
                            struct shim *shim, int namespace_fd, bool is_new, struct error *err);
/* After it was renamed. */
void container_rename_endpoints(struct container *container, struct container_info *info);

/* ---- what the runtime is told (runtime_config.c) ---- */
struct runtime_config_paths {
    const char *hosts, *hostname, *resolv; /* host paths of the three files, NULL: none */
    const char *cgroup;
    pid_t pid_namespace_of, ipc_namespace_of; /* 0: own (or the host's, as HostConfig says) */
    int user_namespace_fd; /* of ours, open until the container is created; 0: the host's */
    bool joins_network;    /* a namespace descriptor is handed over, or the host's is kept */
};
int container_runtime_config(struct engine *engine, const struct container_info *info,
                             const struct container_spec *spec,
                             const struct runtime_config_paths *paths, struct runtime_config *out,
                             struct error *err);
/* The limits alone, into a zeroed struct. */
int container_resources(const struct host_config *host, struct runtime_resources *out,
                        struct error *err);
int container_capabilities(const struct host_config *host_config, struct strv *out,
                           struct error *err);
/* Process of an exec in that container. */
int exec_runtime_process(const struct engine *engine, const struct container_info *info,
                         const struct exec_config *config, struct runtime_process *out,
                         struct error *err);

/* ---- launching a supervisor (launch.c) ---- */
struct launch {
    const char *id;
    const struct runtime_config *config;
    const char *seccomp_profile; /* "builtin", "unconfined" or a profile's JSON text */
    const char *init_path;
    const struct engine_runtime *runtime; /* NULL: our own */
    int rootfs_fd, network_fd;
    const int *kept_fds;
    size_t kept_fd_count;
    const struct container_sources *sources; /* NULL: none */
    bool stdin_open, stdin_once;
    struct shim_log_options log;
};
int launch_create(struct engine *engine, const struct launch *launch, struct shim **out,
                  pid_t *out_pid, struct error *err);
void launch_clean(struct engine *engine, const char *id); /* the bundle */
/* Ends a supervisor and what it supervises: by asking it (NULL: there is nobody to ask) or, where
 * it does not answer, by force. The bundle goes too. */
void launch_end(struct engine *engine, const char *id, const char *cgroup, struct shim *shim);
/* Of a cgroup whose processes take long to die: tries again and again from the work queue, for
 * about an hour, until it is gone or container 'id' runs again and uses it. Waits for nobody
 * (leftover.c). */
void leftover_end(struct engine *engine, const char *id, const char *cgroup);
int engine_root_mount(struct engine *engine, const char *chain_id, const struct writable *writable,
                      int user_namespace_fd, int *out_fd, struct error *err);

/* ---- execs ---- */
int execs_load(struct engine *engine, struct error *err);
/* Behind the take-over of a container: which of its execs run still. */
void execs_take_over(struct container *container, struct shim *shim);
void exec_exited(struct engine *engine, const char *container_id, const char *exec_id,
                 int exit_code);
void exec_detached(struct engine *engine, const char *container_id, const char *exec_id);
void execs_forget(struct engine *engine, const char *container_id);
void execs_free(struct engine *engine); /* all, at the end */
void exec_forget(struct engine *engine, const char *id);

/* ---- health probes (health_probe.c) ---- */
int health_open(struct engine *engine, struct error *err);
void health_end(struct engine *engine); /* no probe is started or waited for any more */
void health_close(struct engine *engine);
/* From its start (or an engine's) to its end. Nothing happens for one without a check. */
void health_watch(struct container *container);
void health_unwatch(struct container *container);
void health_paused(struct container *container);
void health_exec_exited(struct engine *engine, const char *exec_id, int exit_code);
void health_counts(struct engine *engine, int64_t *out_probes, int64_t *out_failures);

/* ---- images ---- */
/* NOT_FOUND "image with reference x was found but its platform (…) does not match …". */
int engine_image_check_platform(const struct image *image, const char *name,
                                const struct platform *platform, struct error *err);
struct registry *engine_registry_open(struct engine *engine);
void image_add_removal(struct json_list *out, bool is_untagged, const char *name);
void image_event(struct engine *engine, const struct image *image, const char *action,
                 const char *name);

/* ---- builds ---- */
int build_worker_run(void *data, const struct build_run *run, void (*began)(void *, const char *),
                     void (*output)(void *, bool, const char *, size_t), void *output_data,
                     int cancel_fd, int *out_exit_code, struct error *err);
int build_worker_pull(void *engine, const char *reference, const struct platform *platform,
                      const struct build_options *options, struct image **out, struct error *err);
/* builder_build for each of several platforms ("linux/amd64,linux/arm64"; build_platforms.c). */
int build_for_platforms(struct engine *engine, const struct build_options *options,
                        struct build_result *out, struct error *err);
bool engine_layer_is_used(void *engine, const char *chain_id);

/* ---- work queue (work.c): what events ask for, done by a few threads ---- */
int work_queue_new(struct work_queue **out, struct error *err);
/* Nothing more is run. Waits for what runs, for a while: false if something does not end. */
bool work_queue_end(struct work_queue *queue);
void work_queue_free(struct work_queue *queue); /* ended; drops what waits */
void work_submit(struct work_queue *queue, int64_t delay_ns, void (*run)(void *data),
                 void (*drop)(void *data), void *data);

/* ---- events ---- */
struct event_ring *event_ring_new(void);
void event_ring_free(struct event_ring *ring);
int event_ring_listeners(struct event_ring *ring);
uint64_t event_ring_total(struct event_ring *ring); /* told so far */

/* ---- metrics ---- */
struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);
/* Counts an action that began then; gives 'result' back. */
int metrics_note(struct engine *engine, enum metric_action action, uint64_t began_ns, int result,
                 const struct error *err);

/* ---- usage (usage.c): what is changed, or was, is measured anew ---- */
/* Some seconds from now: something has changed. */
void engine_usage_prepare(struct engine *engine);
void engine_usage_touch_volume(struct engine *engine, const struct volume *volume);
void engine_usage_touch_container(struct container *container);

/* ---- what is to be removed (trash.c) ---- */
struct trash *trash_new(struct engine *engine);
void trash_end(struct trash *trash); /* What is left is there still, nobody waits for it. */
void trash_free(struct trash *trash);
/* Removes trees that no record names any more. Room is free again when this returns, unless that
 * takes long: then it goes on behind the answer, at low priority. On a disk that is nearly full the
 * answer waits for the room, up to a minute. */
void engine_discard(struct engine *engine, struct strv *paths);
/* The same, but where there is plenty of room nobody waits, and it begins after the answer. */
void engine_discard_later(struct engine *engine, const char *path);

/* ---- start and end ---- */
int engine_reconcile(struct engine *engine, struct error *err);

#endif
