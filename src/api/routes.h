/* Which request goes to which function. */
#ifndef BERTH_API_ROUTES_H
#define BERTH_API_ROUTES_H

#include "api/request.h"

/* Answers the request (0), or leaves the error to be answered (-1). */
typedef int route_handler(struct request *req, struct error *err);

struct route {
    const char *method;
    const char *pattern; /* "{…}" takes as much as it can, '/' included, but not nothing */
    route_handler *handler;
    bool streams_body; /* its body is an archive or a connection, never a form */
};

extern const struct route routes[]; /* ended by a row without method */

/* The first row that fits; NULL if there is none. 'out_parameters' gets heap texts, which the
 * caller frees; they are all NULL when nothing fits. */
const struct route *route_find(const struct route *table, const char *method, const char *path,
                               char *out_parameters[REQUEST_PARAMETER_LIMIT]);

/* ---- the handlers, by the file they live in ---- */
/* system.c */
route_handler api_ping, api_version, api_info, api_auth;
/* buildkit.c */
route_handler api_grpc, api_session;
/* usage.c */
route_handler api_disk_usage;
route_handler api_verify, api_metrics;
/* events.c */
route_handler api_events;
/* container.c */
route_handler api_container_create, api_container_start, api_container_stop, api_container_restart,
    api_container_kill, api_container_wait, api_container_remove, api_container_resize,
    api_container_pause, api_container_unpause, api_container_rename;
/* build_cache.c */
route_handler api_build_prune, api_prune_preview_build;
/* container_update.c, stats.c */
route_handler api_container_mounts;
route_handler api_container_names;
route_handler api_container_ports, api_container_update, api_container_stats, api_container_top;
/* container_list.c, logs.c, attach.c */
route_handler api_container_list, api_container_inspect, api_container_logs, api_container_attach;
route_handler api_container_attach_websocket;
/* changes.c */
route_handler api_container_changes, api_commit;
/* archive.c */
route_handler api_container_stat_path, api_container_get_archive, api_container_put_archive,
    api_container_put_file, api_container_export;
/* exec.c */
route_handler api_exec_create, api_exec_start, api_exec_resize, api_exec_inspect;
/* image.c, image_list.c, image_inspect.c */
route_handler api_image_list, api_image_inspect, api_image_history, api_image_tag, api_image_remove,
    api_image_create;
/* image_archive.c */
route_handler api_image_save, api_image_load;
/* image_registry.c; pull is a part of api_image_create */
route_handler api_image_pull, api_image_push, api_image_search, api_distribution_inspect,
    api_distribution_manifest, api_distribution_put, api_distribution_blob,
    api_distribution_blob_put;
/* build.c */
route_handler api_build, api_build_context, api_build_lend, api_build_lend_agent,
    api_build_lend_cache, api_build_cancel, api_image_files;
/* volume.c */
route_handler api_volume_list, api_volume_create, api_volume_inspect, api_volume_remove;
/* volume_copy.c */
route_handler api_volume_copy, api_volume_export, api_volume_import, api_volume_rename;
/* network.c */
route_handler api_network_list, api_network_create, api_network_inspect, api_network_remove,
    api_network_connect, api_network_disconnect;
/* prune.c */
route_handler api_container_prune, api_image_prune, api_volume_prune, api_network_prune;
/* prune_preview.c */
route_handler api_prune_preview_containers, api_prune_preview_images, api_prune_preview_volumes,
    api_prune_preview_networks;
/* missing.c: what berth cannot do yet, or is not */
route_handler api_volume_update, api_no_swarm_to_leave;
route_handler api_not_supported, api_no_swarm, api_no_experimental, api_plugin_list, api_no_plugin;

#endif
