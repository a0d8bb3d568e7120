/* The table of methods. */
#include "buildkit/buildkit.h"

#include "base/memory.h"
#include "buildkit/internal.h"

#include "base/banned.h"

#define CONTROL "/moby.buildkit.v1.Control/"
#define BRIDGE  "/moby.buildkit.v1.frontend.LLBBridge/"

/* clang-format off */
static const struct grpc_method methods[] = {
    { CONTROL "DiskUsage",           control_disk_usage   },
    { CONTROL "Info",                control_info         },
    { CONTROL "ListenBuildHistory",  control_history      },
    { CONTROL "ListWorkers",         control_list_workers },
    { CONTROL "Prune",               control_prune        },
    { CONTROL "Session",             control_session      },
    { CONTROL "Solve",               control_solve        },
    { CONTROL "Status",              control_status       },
    { BRIDGE  "Evaluate",            bridge_evaluate      },
    { BRIDGE  "Inputs",              bridge_inputs        },
    { BRIDGE  "Ping",                bridge_ping          },
    { BRIDGE  "Return",              bridge_return        },
    { BRIDGE  "Solve",               bridge_solve         },
    { "/grpc.health.v1.Health/Check", health_check        },
    {},
};
/* clang-format on */

static void drop_solve(void *solve)
{
    solve_unref(solve);
}

struct buildkit *buildkit_new(struct engine *engine)
{
    struct buildkit *buildkit = NEW(struct buildkit);

    buildkit->engine = engine;
    peers_init(&buildkit->sessions);
    mutex_init(&buildkit->lock);
    map_init_empty(&buildkit->solves, drop_solve);
    map_init_empty(&buildkit->results, free);
    map_init_empty(&buildkit->uploads, NULL);
    condition_init(&buildkit->uploads_changed);
    return buildkit;
}

void buildkit_free(struct buildkit *buildkit)
{
    if (!buildkit)
        return;
    peers_done(&buildkit->sessions);
    map_done(&buildkit->solves);
    map_done(&buildkit->results);
    map_done(&buildkit->uploads);
    condition_done(&buildkit->uploads_changed);
    strv_done(&buildkit->finished);
    mutex_done(&buildkit->lock);
    free(buildkit);
}

int buildkit_serve(struct buildkit *buildkit, struct http_connection *connection, int cancel_fd,
                   struct error *err)
{
    return grpc_serve(connection, methods, buildkit, cancel_fd, err);
}

int buildkit_serve_session(struct buildkit *buildkit, struct http_connection *connection,
                           const struct buildkit_session *offer, int cancel_fd, struct error *err)
{
    return peers_run(&buildkit->sessions, connection, offer->id, offer->name, offer->shared_key,
                     offer->methods, cancel_fd, err);
}

int buildkit_session_wait(struct buildkit *buildkit, const char *session_id, int cancel_fd,
                          struct error *err)
{
    CLEANUP(peer_unref) struct peer *session = NULL;

    return peers_find(&buildkit->sessions, session_id, cancel_fd, &session, err);
}

void buildkit_session_end(struct buildkit *buildkit, const char *session_id)
{
    mutex_lock(&buildkit->sessions.lock);
    struct peer *session = map_get(&buildkit->sessions.items, session_id);
    if (session)
        http2_stop(session->channel);
    mutex_unlock(&buildkit->sessions.lock);
}
