#include "api/routes.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/banned.h"

static const struct {
    const char *method, *path;
    route_handler *handler; /* NULL: no such page */
    const char *first, *second;
} requests[] = {
    { "GET", "/_ping", api_ping, NULL, NULL },
    { "HEAD", "/_ping", api_ping, NULL, NULL },
    { "POST", "/_ping", NULL, NULL, NULL },
    { "GET", "/containers/json", api_container_list, NULL, NULL },
    { "HEAD", "/containers/json", NULL, NULL, NULL },
    { "GET", "/containers/c1/json", api_container_inspect, "c1", NULL },
    { "GET", "/containers/json/json", api_container_inspect, "json", NULL },
    { "GET", "/containers/a/b/json", api_container_inspect, "a/b", NULL },
    { "GET", "/containers//json", NULL, NULL, NULL },
    { "DELETE", "/containers/c1", api_container_remove, "c1", NULL },
    { "DELETE", "/containers/", NULL, NULL, NULL },
    { "GET", "/containers/c1/attach/ws", api_container_attach_websocket, "c1", NULL },
    { "POST", "/containers/c1/attach", api_container_attach, "c1", NULL },
    { "DELETE", "/containers/c1/checkpoints/cp", api_no_experimental, "c1", "cp" },
    { "GET", "/images/json", api_image_list, NULL, NULL },
    { "GET", "/images/localhost:5000/team/app:v1/json", api_image_inspect,
      "localhost:5000/team/app:v1", NULL },
    { "GET", "/images/x/json/json", api_image_inspect, "x/json", NULL },
    { "POST", "/images/team/app/tag", api_image_tag, "team/app", NULL },
    { "DELETE", "/images/team/app:v1", api_image_remove, "team/app:v1", NULL },
    { "GET", "/networks", api_network_list, NULL, NULL },
    { "GET", "/networks/", api_network_list, NULL, NULL },
    { "GET", "/networks/bridge", api_network_inspect, "bridge", NULL },
    { "GET", "/volumes/", NULL, NULL, NULL },
    { "GET", "/volumes/v", api_volume_inspect, "v", NULL },
    { "POST", "/volumes/prune", api_volume_prune, NULL, NULL },
    { "GET", "/nodes", api_no_swarm, NULL, NULL },
    { "GET", "/", NULL, NULL, NULL },
    { "GET", "/nope", NULL, NULL, NULL },
    { "get", "/info", NULL, NULL, NULL },
};

static void expect_parameter(const char *path, const char *found, const char *wanted)
{
    if (wanted)
        cr_expect_str_eq(found ?: "(none)", wanted, "%s", path);
    else
        cr_expect_null(found, "%s", path);
}

Test(routes, lead_to_handlers)
{
    for (size_t i = 0; i < COUNT(requests); i++) {
        char *parameters[REQUEST_PARAMETER_LIMIT];
        const struct route *route = route_find(routes, requests[i].method, requests[i].path,
                                               parameters);

        cr_expect_eq(route ? route->handler : NULL, requests[i].handler, "%s %s",
                     requests[i].method, requests[i].path);
        expect_parameter(requests[i].path, parameters[0], requests[i].first);
        expect_parameter(requests[i].path, parameters[1], requests[i].second);
        for (size_t j = 0; j < REQUEST_PARAMETER_LIMIT; j++)
            free(parameters[j]);
    }
}

Test(routes, are_written_once)
{
    for (const struct route *a = routes; a->method; a++)
        for (const struct route *b = a + 1; b->method; b++)
            cr_expect(strcmp(a->method, b->method) != 0 || strcmp(a->pattern, b->pattern) != 0,
                      "%s %s", a->method, a->pattern);
}

/* What a row below would answer must not be taken by one above it. */
Test(routes, do_not_hide_each_other)
{
    for (const struct route *route = routes; route->method; route++) {
        char *parameters[REQUEST_PARAMETER_LIMIT];

        cr_expect_eq(route_find(routes, route->method, route->pattern, parameters), route, "%s %s",
                     route->method, route->pattern);
        for (size_t j = 0; j < REQUEST_PARAMETER_LIMIT; j++)
            free(parameters[j]);
    }
}
