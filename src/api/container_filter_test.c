#include "api/container_filter.h"

#include <criterion/criterion.h>
#include <string.h>

#include "engine/network.h"

#include "base/banned.h"

/* Two containers: "web" runs, with a port and a volume; "db" has exited. */
static struct port_mapping port = { .protocol = "tcp", .host_port = 8080, .container_port = 80 };
static struct mount_point mount = { .type = (char *)"volume",
                                    .name = (char *)"data",
                                    .source = (char *)"/v/data",
                                    .destination = (char *)"/srv" };
static struct endpoint_settings endpoint = { .network_id = (char *)"feed01" };
static struct container_health healthy = { .status = (char *)"healthy" };
static struct container_info web = { .id = "ab11",
                                     .name = (char *)"web",
                                     .image_id = (char *)"sha256:1",
                                     .sequence = 2,
                                     .state = CONTAINER_RUNNING,
                                     .started_ns = 5,
                                     .ports = { &port, 1 },
                                     .mounts = { &mount, 1 },
                                     .health = &healthy };
static struct container_info db = { .id = "ab22",
                                    .name = (char *)"db",
                                    .image_id = (char *)"sha256:2",
                                    .sequence = 1,
                                    .state = CONTAINER_EXITED,
                                    .started_ns = 5,
                                    .exit_code = 3 };
static struct container_info *list[] = { &web, &db };

static void set_up(void)
{
    map_set_text(&web.config.labels, "tier", "front");
    map_init_empty(&web.endpoints, NULL);
    map_set(&web.endpoints, "net1", &endpoint);
    strv_add(&web.config.exposed_ports, "90/udp");
}

TestSuite(container_filter, .init = set_up);

static const struct {
    const char *text;
    bool all, web, db;
} filters[] = {
    { "", false, true, false },
    { "", true, true, true },
    { "{\"status\":[\"exited\"]}", false, false, true },
    { "{\"status\":[\"exited\",\"running\"]}", false, true, true },
    { "{\"name\":[\"^/web$\"]}", true, true, false },
    { "{\"name\":[\"b\"]}", true, true, true },
    { "{\"name\":[\"[\"]}", true, false, false },
    { "{\"id\":[\"ab1\"]}", true, true, false },
    { "{\"id\":[\"ab\"]}", true, false, false }, /* Two fit: none is meant. */
    { "{\"label\":[\"tier=front\"]}", true, true, false },
    { "{\"exited\":[\"3\"]}", true, false, true },
    { "{\"exited\":[\"0\"]}", true, false, false },
    { "{\"network\":[\"net1\"]}", true, true, false },
    { "{\"network\":[\"feed\"]}", true, true, false },
    { "{\"network\":[\"none\"]}", true, false, false },
    { "{\"volume\":[\"data\"]}", true, true, false },
    { "{\"volume\":[\"/srv\"]}", true, true, false },
    { "{\"volume\":[\"/v/data\"]}", true, false, false },
    { "{\"publish\":[\"8080\"]}", true, true, false },
    { "{\"publish\":[\"8000-8100/tcp\"]}", true, true, false },
    { "{\"publish\":[\"8080/udp\"]}", true, false, false },
    { "{\"expose\":[\"80\"]}", true, true, false },
    { "{\"expose\":[\"90/udp\"]}", true, true, false },
    { "{\"health\":[\"none\"]}", true, false, true },
    { "{\"health\":[\"healthy\"]}", true, true, false },
    { "{\"health\":[\"starting\",\"unhealthy\"]}", true, false, false },
    { "{\"is-task\":[\"true\"]}", true, false, false },
    { "{\"is-task\":[\"false\"]}", true, true, true },
    { "{\"name\":[\"web\"],\"status\":[\"exited\"]}", true, false, false },
};

Test(container_filter, selects)
{
    for (size_t i = 0; i < COUNT(filters); i++) {
        CLEANUP(container_filter_done) struct container_filter filter = {};
        struct error err = {};

        cr_assert_eq(container_filter_new(NULL, filters[i].text, filters[i].all, list, COUNT(list),
                                          &filter, &err),
                     0, "%s: %s", filters[i].text, err.text);
        cr_expect_eq(container_filter_matches(&filter, &web), filters[i].web, "%s",
                     filters[i].text);
        cr_expect_eq(container_filter_matches(&filter, &db), filters[i].db, "%s", filters[i].text);
    }
}

Test(container_filter, orders)
{
    struct container_filter before = { .all = true, .before_sequence = 2 };
    struct container_filter since = { .all = true, .since_sequence = 1 };

    cr_expect(!container_filter_matches(&before, &web));
    cr_expect(container_filter_matches(&before, &db));
    cr_expect(container_filter_matches(&since, &web));
    cr_expect(!container_filter_matches(&since, &db));
}

static const struct {
    const char *text, *failure;
    enum error_kind kind;
} faults[] = {
    { "x", "invalid filter", ERROR_INVALID },
    { "{\"foo\":[\"a\"]}", "invalid filter 'foo'", ERROR_INVALID },
    { "{\"status\":[\"foo\"]}",
      "invalid filter 'status=foo': invalid value for state (foo): must be one of created, "
      "running, paused, restarting, removing, exited, dead",
      ERROR_INVALID },
    { "{\"health\":[\"foo\"]}",
      "invalid filter 'health=foo': invalid value for health (foo): must be one of none, "
      "starting, healthy, unhealthy",
      ERROR_INVALID },
    { "{\"exited\":[\"foo\"]}",
      "invalid filter 'exited=foo': strconv.Atoi: parsing \"foo\": invalid syntax", ERROR_INVALID },
    { "{\"publish\":[\"x\"]}",
      "error while looking up for publish x: strconv.ParseUint: parsing \"x\": invalid syntax",
      ERROR_INTERNAL },
    { "{\"is-task\":[\"x\"]}", "invalid filter 'is-task=[x]'", ERROR_INVALID },
};

Test(container_filter, refuses_in_dockers_words)
{
    for (size_t i = 0; i < COUNT(faults); i++) {
        CLEANUP(container_filter_done) struct container_filter filter = {};
        struct error err = {};

        cr_assert_eq(
            container_filter_new(NULL, faults[i].text, true, list, COUNT(list), &filter, &err), -1,
            "%s", faults[i].text);
        cr_expect_str_eq(err.text, faults[i].failure);
        cr_expect_eq(err.kind, faults[i].kind);
    }
}
