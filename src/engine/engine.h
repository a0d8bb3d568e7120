/* The engine: containers, execs, images, events, builds. The only place where store, volume,
 * network, shim and build meet. Knows no HTTP. All functions may be called from any thread; what
 * takes long holds only the lock of the one object it works on. */
#ifndef BERTH_ENGINE_ENGINE_H
#define BERTH_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/map.h"
#include "base/strv.h"
#include "codec/json.h"

struct engine;

/* A runtime that is called by its OCI command line. */
struct engine_runtime {
    char *name, *path;
    struct strv arguments; /* in front of the command */
};

/* What is removed by itself (collector.h). 0: never, or no limit. */
struct collection_limits {
    int64_t interval_ns;               /* from one look to the next */
    int64_t image_age_ns, image_bytes; /* of images without name and user: since when, and all */
    int64_t cache_age_ns, cache_bytes; /* of the build cache: since its last use, and all */
};

struct engine_options {
    const char *data_path;   /* --data-root */
    const char *run_path;    /* --exec-root */
    const char *shim_path;   /* berth-shim program */
    const char *init_path;   /* program for --init, NULL: none installed */
    const char *logger_path; /* berth-log, NULL: none installed */
    const char
        *engine_id; /* "" for the default engine; others: part of kernel names (see network.h) */
    const char *storage_driver; /* NULL: best */
    const char *bridge_address, *default_binding, *log_driver, *cgroup_parent;
    const char *cgroupns_mode, *ipc_mode; /* NULL: Docker's */
    const char *userns_remap;             /* user_map.h; NULL: containers have the host's users */
    const char *seccomp_path; /* of a profile, or "builtin", "unconfined"; NULL: builtin */
    const struct strv *address_pools, *labels, *insecure_registries, *registry_mirrors;
    const struct strv *registry_certificates; /* directories, besides /etc/{berth,docker}/certs.d */
    const char *http_proxy, *https_proxy, *no_proxy;
    int download_limit, upload_limit, download_attempts; /* 0: registry.h's own */
    const struct strv *dns, *dns_options, *dns_search;
    const struct strv *cdi_paths;            /* directories of CDI files */
    const struct strv *plugin_paths;         /* directories of volume plugins */
    const struct map *log_options;           /* texts */
    const struct json_list *default_ulimits; /* struct ulimit */
    const struct json_list *runtimes;        /* struct engine_runtime, besides our own */
    const char *default_runtime;             /* NULL: our own */
    int mtu;
    bool firewall_strict, firewall_shared; /* see network.h */
    bool icc, ip_forward, ip_masquerade, init, no_new_privileges, debug;
    int64_t shm_size_bytes; /* 0: 64 MiB */
    struct collection_limits collection;
};

/* Opens record and store, finds the containers that run, repairs what a crash left. */
int engine_open(const struct engine_options *options, struct engine **out, struct error *err);
/* Ends the engine's threads. Containers go on. */
void engine_close(struct engine *engine);

/* What SIGHUP may change. */
int engine_reload(struct engine *engine, const struct engine_options *options, struct error *err);

/* ---- system ---- */
struct engine_info {
    char id[40]; /* UUID of this installation */
    int64_t containers, running, paused, stopped, images;
    const char *driver; /* storage driver */
    const char *data_path, *log_driver;
    int event_listeners;
    const struct engine_options *options;
};
void engine_info(struct engine *engine, struct engine_info *out);

/* Compares record, kernel and disk; a line per difference is added to 'out'. Repairs nothing.
 * 'rehash': blobs are read, and their digests compared. */
int engine_verify(struct engine *engine, bool rehash, struct strv *out, struct error *err);
/* The same, and what belongs to nobody is removed, what can be made again is made. 'out' gets what
 * is left. What a record reaches is never removed. */
int engine_repair(struct engine *engine, bool rehash, struct strv *out_repaired, struct strv *out,
                  struct error *err);

/* Removes everything the engine has in the kernel (bridge, table, cgroups). CONFLICT while
 * containers run. For test engines and uninstalling. */
int engine_destroy_kernel_objects(struct engine *engine, struct error *err);

#endif
