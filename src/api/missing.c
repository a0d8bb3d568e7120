/* What is asked for but not there: parts of Docker that berth does not have yet, and swarm and
 * plugins, which this engine is no part of. */
#include "api/routes.h"

#include "base/banned.h"

int api_not_supported(struct request *req, struct error *err)
{
    return error_set(err, ERROR_UNSUPPORTED, "%s %s is not supported by berth yet", req->method,
                     req->path);
}

int api_no_swarm(struct request *req, struct error *err)
{
    (void)req;
    return error_set(err, ERROR_UNAVAILABLE,
                     "This node is not a swarm manager. Use \"docker swarm init\" or \"docker "
                     "swarm join\" to connect this node to swarm and try again.");
}

int api_no_swarm_to_leave(struct request *req, struct error *err)
{
    (void)req;
    return error_set(err, ERROR_UNAVAILABLE, "This node is not part of a swarm");
}

/* Only volumes of a cluster can be changed. */
int api_volume_update(struct request *req, struct error *err)
{
    (void)req;
    return error_set(err, ERROR_UNAVAILABLE,
                     "volume update only valid for cluster volumes, but swarm is unavailable");
}

int api_no_experimental(struct request *req, struct error *err)
{
    (void)req;
    return error_set(err, ERROR_UNSUPPORTED,
                     "This experimental feature is disabled by default. Start the Docker daemon "
                     "in experimental mode in order to enable it.");
}

int api_no_plugin(struct request *req, struct error *err)
{
    return error_set(err, ERROR_NOT_FOUND, "plugin \"%s\" not found", request_parameter(req, 0));
}

int api_plugin_list(struct request *req, struct error *err)
{
    CLEANUP(str_done) struct str body = {};

    str_add(&body, "[]");
    return reply_json(req, 200, &body, err);
}
