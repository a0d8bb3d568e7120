/* The table of contents of the API. Rows are tried from the top. */
#include "api/routes.h"

#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

/* clang-format off */
const struct route routes[] = {
    /* system */
    { "GET",    "/_ping",                            api_ping },
    { "HEAD",   "/_ping",                            api_ping },
    { "GET",    "/version",                          api_version },
    { "GET",    "/info",                             api_info },
    { "GET",    "/events",                           api_events },
    { "GET",    "/system/df",                        api_disk_usage },
    { "GET",    "/system/verify",                    api_verify },
    { "POST",   "/system/verify",                    api_verify }, /* repairs */
    { "GET",    "/metrics",                          api_metrics },
    { "GET",    "/prune/build",                      api_prune_preview_build }, /* these five are berth's own */
    { "GET",    "/prune/containers",                 api_prune_preview_containers },
    { "GET",    "/prune/images",                     api_prune_preview_images },
    { "GET",    "/prune/networks",                   api_prune_preview_networks },
    { "GET",    "/prune/volumes",                    api_prune_preview_volumes },
    { "POST",   "/auth",                             api_auth },
    { "POST",   "/session",                          api_session,            .streams_body = true },
    { "POST",   "/grpc",                             api_grpc,               .streams_body = true },

    /* containers */
    { "GET",    "/containers/json",                  api_container_list },
    { "POST",   "/containers/create",                api_container_create },
    { "POST",   "/containers/prune",                 api_container_prune },
    { "GET",    "/containers/{id}/json",             api_container_inspect },
    { "GET",    "/containers/{id}/logs",             api_container_logs },
    { "GET",    "/containers/{id}/top",              api_container_top },
    { "GET",    "/containers/{id}/changes",          api_container_changes },
    { "GET",    "/containers/{id}/export",           api_container_export },
    { "GET",    "/containers/{id}/stats",            api_container_stats },
    { "GET",    "/containers/{id}/attach/ws",        api_container_attach_websocket, .streams_body = true },
    { "GET",    "/containers/{id}/archive",          api_container_get_archive },
    { "HEAD",   "/containers/{id}/archive",          api_container_stat_path },
    { "PUT",    "/containers/{id}/archive",          api_container_put_archive, .streams_body = true },
    { "POST",   "/containers/{id}/archive",          api_container_put_file,    .streams_body = true }, /* berth's own */
    { "GET",    "/containers/{id}/checkpoints",      api_no_experimental },
    { "POST",   "/containers/{id}/checkpoints",      api_no_experimental },
    { "DELETE", "/containers/{id}/checkpoints/{name}", api_no_experimental },
    { "POST",   "/containers/{id}/start",            api_container_start },
    { "POST",   "/containers/{id}/stop",             api_container_stop },
    { "POST",   "/containers/{id}/restart",          api_container_restart },
    { "POST",   "/containers/{id}/kill",             api_container_kill },
    { "POST",   "/containers/{id}/pause",            api_container_pause },
    { "POST",   "/containers/{id}/unpause",          api_container_unpause },
    { "POST",   "/containers/{id}/rename",           api_container_rename },
    { "POST",   "/containers/{id}/resize",           api_container_resize },
    { "POST",   "/containers/{id}/update",           api_container_update },
    { "POST",   "/containers/{id}/mounts",           api_container_mounts }, /* berth's own */
    { "POST",   "/containers/{id}/names",            api_container_names },
    { "POST",   "/containers/{id}/ports",            api_container_ports },
    { "POST",   "/containers/{id}/wait",             api_container_wait },
    { "POST",   "/containers/{id}/attach",           api_container_attach,   .streams_body = true },
    { "POST",   "/containers/{id}/exec",             api_exec_create },
    { "DELETE", "/containers/{id}",                  api_container_remove },
    { "POST",   "/commit",                           api_commit },

    /* exec */
    { "GET",    "/exec/{id}/json",                   api_exec_inspect },
    { "POST",   "/exec/{id}/start",                  api_exec_start },
    { "POST",   "/exec/{id}/resize",                 api_exec_resize },

    /* images */
    { "GET",    "/images/json",                      api_image_list },
    { "GET",    "/images/search",                    api_image_search },
    { "GET",    "/images/get",                       api_image_save },
    { "POST",   "/images/load",                      api_image_load,         .streams_body = true },
    { "POST",   "/images/create",                    api_image_create,       .streams_body = true },
    { "POST",   "/images/prune",                     api_image_prune },
    { "GET",    "/images/{name}/json",               api_image_inspect },
    { "GET",    "/images/{name}/history",            api_image_history },
    { "GET",    "/images/{name}/get",                api_image_save },
    { "GET",    "/images/{name}/files",              api_image_files }, /* berth's own */
    { "POST",   "/images/{name}/tag",                api_image_tag },
    { "POST",   "/images/{name}/push",               api_image_push },
    { "DELETE", "/images/{name}",                    api_image_remove },
    { "GET",    "/distribution/{name}/json",         api_distribution_inspect },
    { "GET",    "/distribution/{name}/manifest",     api_distribution_manifest }, /* berth's own */
    { "PUT",    "/distribution/{name}/manifest",     api_distribution_put },      /* berth's own */
    { "GET",    "/distribution/{name}/blob",         api_distribution_blob },     /* berth's own */
    { "PUT",    "/distribution/{name}/blob",         api_distribution_blob_put }, /* berth's own */

    /* build */
    { "POST",   "/build",                            api_build,              .streams_body = true },
    { "POST",   "/build/contexts",                   api_build_context },    /* berth's own */
    { "POST",   "/build/lenders",                    api_build_lend },       /* berth's own */
    { "POST",   "/build/lenders/agents/{word}",      api_build_lend_agent }, /* berth's own */
    { "POST",   "/build/lenders/{id}/caches",        api_build_lend_cache,   .streams_body = true }, /* berth's own */
    { "POST",   "/build/prune",                      api_build_prune },
    { "POST",   "/build/cancel",                     api_build_cancel },

    /* volumes */
    { "GET",    "/volumes",                          api_volume_list },
    { "POST",   "/volumes/create",                   api_volume_create },
    { "POST",   "/volumes/prune",                    api_volume_prune },
    { "GET",    "/volumes/{name}/export",            api_volume_export },   /* these four are berth's own */
    { "POST",   "/volumes/{name}/import",            api_volume_import,      .streams_body = true },
    { "POST",   "/volumes/{name}/copy",              api_volume_copy },
    { "POST",   "/volumes/{name}/rename",            api_volume_rename },
    { "GET",    "/volumes/{name}",                   api_volume_inspect },
    { "PUT",    "/volumes/{name}",                   api_volume_update },
    { "DELETE", "/volumes/{name}",                   api_volume_remove },

    /* networks */
    { "GET",    "/networks",                         api_network_list },
    { "GET",    "/networks/",                        api_network_list },
    { "POST",   "/networks/create",                  api_network_create },
    { "POST",   "/networks/prune",                   api_network_prune },
    { "POST",   "/networks/{id}/connect",            api_network_connect },
    { "POST",   "/networks/{id}/disconnect",         api_network_disconnect },
    { "GET",    "/networks/{id}",                    api_network_inspect },
    { "DELETE", "/networks/{id}",                    api_network_remove },

    /* plugins */
    { "GET",    "/plugins",                          api_plugin_list },
    { "GET",    "/plugins/privileges",               api_not_supported },
    { "POST",   "/plugins/pull",                     api_not_supported },
    { "POST",   "/plugins/create",                   api_not_supported,      .streams_body = true },
    { "GET",    "/plugins/{name}/json",              api_no_plugin },
    { "POST",   "/plugins/{name}/enable",            api_no_plugin },
    { "POST",   "/plugins/{name}/disable",           api_no_plugin },
    { "POST",   "/plugins/{name}/push",              api_no_plugin },
    { "POST",   "/plugins/{name}/upgrade",           api_no_plugin },
    { "POST",   "/plugins/{name}/set",               api_no_plugin },
    { "DELETE", "/plugins/{name}",                   api_no_plugin },

    /* swarm: this engine is no part of one */
    { "POST",   "/swarm/init",                       api_not_supported },
    { "POST",   "/swarm/join",                       api_not_supported },
    { "GET",    "/swarm",                            api_no_swarm },
    { "GET",    "/swarm/unlockkey",                  api_no_swarm },
    { "POST",   "/swarm/leave",                      api_no_swarm_to_leave },
    { "POST",   "/swarm/update",                     api_no_swarm },
    { "POST",   "/swarm/unlock",                     api_no_swarm },
    { "GET",    "/nodes",                            api_no_swarm },
    { "GET",    "/nodes/{id}",                       api_no_swarm },
    { "POST",   "/nodes/{id}/update",                api_no_swarm },
    { "DELETE", "/nodes/{id}",                       api_no_swarm },
    { "GET",    "/services",                         api_no_swarm },
    { "POST",   "/services/create",                  api_no_swarm },
    { "GET",    "/services/{id}/logs",               api_no_swarm },
    { "POST",   "/services/{id}/update",             api_no_swarm },
    { "GET",    "/services/{id}",                    api_no_swarm },
    { "DELETE", "/services/{id}",                    api_no_swarm },
    { "GET",    "/tasks",                            api_no_swarm },
    { "GET",    "/tasks/{id}/logs",                  api_no_swarm },
    { "GET",    "/tasks/{id}",                       api_no_swarm },
    { "GET",    "/secrets",                          api_no_swarm },
    { "POST",   "/secrets/create",                   api_no_swarm },
    { "POST",   "/secrets/{id}/update",              api_no_swarm },
    { "GET",    "/secrets/{id}",                     api_no_swarm },
    { "DELETE", "/secrets/{id}",                     api_no_swarm },
    { "GET",    "/configs",                          api_no_swarm },
    { "POST",   "/configs/create",                   api_no_swarm },
    { "POST",   "/configs/{id}/update",              api_no_swarm },
    { "GET",    "/configs/{id}",                     api_no_swarm },
    { "DELETE", "/configs/{id}",                     api_no_swarm },
    {},
};
/* clang-format on */

/* Matches the rest of a pattern. Patterns hold at most two {…} and come from the table, so trying
 * each end is no matter. */
static bool pattern_matches(const char *pattern, const char *path, size_t index,
                            char *out_parameters[REQUEST_PARAMETER_LIMIT])
{
    size_t same = strcspn(pattern, "{");

    if (strncmp(pattern, path, same) != 0)
        return false;
    pattern += same;
    path += same;
    if (!*pattern)
        return !*path;

    const char *rest = strchr(pattern, '}') + 1;
    for (size_t length = strlen(path); length > 0; length--)
        if (pattern_matches(rest, path + length, index + 1, out_parameters)) {
            out_parameters[index] = xstrndup(path, length);
            return true;
        }
    return false;
}

const struct route *route_find(const struct route *table, const char *method, const char *path,
                               char *out_parameters[REQUEST_PARAMETER_LIMIT])
{
    for (size_t i = 0; i < REQUEST_PARAMETER_LIMIT; i++)
        out_parameters[i] = NULL;
    for (const struct route *route = table; route->method; route++)
        if (strcmp(route->method, method) == 0 &&
            pattern_matches(route->pattern, path, 0, out_parameters))
            return route;
    return NULL;
}
