#include "api/event_write.h"

#include <criterion/criterion.h>

#include "base/banned.h"

static struct event start = { .type = (char *)"container",
                              .action = (char *)"start",
                              .id = (char *)"abc1",
                              .wall_ns = INT64_C(1700000000000000005) };
static struct event exec_start = { .type = (char *)"container",
                                   .action = (char *)"exec_start: sh -c true",
                                   .id = (char *)"abc1" };
static struct event connect = { .type = (char *)"network",
                                .action = (char *)"connect",
                                .id = (char *)"net1" };
static struct event prune = { .type = (char *)"image",
                              .action = (char *)"prune",
                              .id = (char *)"" };

static void set_up(void)
{
    map_set_text(&start.attributes, "name", "web");
    map_set_text(&start.attributes, "image", "busybox:1");
    map_set_text(&start.attributes, "tier", "front");
    map_set_text(&connect.attributes, "name", "lan");
    map_set_text(&prune.attributes, "reclaimed", "0");
}

TestSuite(event_write, .init = set_up);

static const struct {
    const struct event *event;
    const char *json;
} shapes[] = {
    { &start, "{\"status\":\"start\",\"id\":\"abc1\",\"from\":\"busybox:1\",\"Type\":\"container\","
              "\"Action\":\"start\",\"Actor\":{\"ID\":\"abc1\",\"Attributes\":{\"image\":"
              "\"busybox:1\",\"name\":\"web\",\"tier\":\"front\"}},\"scope\":\"local\",\"time\":"
              "1700000000,\"timeNano\":1700000000000000005}" },
    { &connect,
      "{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":{\"ID\":\"net1\","
      "\"Attributes\":{\"name\":\"lan\"}},\"scope\":\"local\",\"time\":0,\"timeNano\":0}" },
    { &prune,
      "{\"status\":\"prune\",\"Type\":\"image\",\"Action\":\"prune\",\"Actor\":{\"ID\":\"\","
      "\"Attributes\":{\"reclaimed\":\"0\"}},\"scope\":\"local\",\"time\":0,\"timeNano\":0}" },
};

Test(event_write, shape_is_dockers)
{
    for (size_t i = 0; i < COUNT(shapes); i++) {
        CLEANUP(str_done) struct str text = {};

        event_write(&(struct json_writer){ .out = &text }, shapes[i].event);
        cr_expect_str_eq(str_text(&text), shapes[i].json);
    }
}

static const struct {
    const char *filters;
    const struct event *event;
    bool matches;
} questions[] = {
    { "{}", &start, true },
    { "{\"unknown\":[\"x\"]}", &start, true },
    { "{\"type\":[\"container\"]}", &start, true },
    { "{\"type\":[\"network\"]}", &start, false },
    { "{\"event\":[\"start\"]}", &start, true },
    { "{\"event\":[\"stop\"]}", &start, false },
    { "{\"event\":[\"exec_start\"]}", &exec_start, true },
    { "{\"event\":[\"exec_start: sh -c true\"]}", &exec_start, true },
    { "{\"event\":[\"exec\"]}", &exec_start, false },
    { "{\"container\":[\"ab\"]}", &start, true },
    { "{\"container\":[\"web\"]}", &start, true },
    { "{\"container\":[\"web\"]}", &connect, false },
    { "{\"container\":[\"db\"]}", &start, false },
    { "{\"network\":[\"lan\"]}", &connect, true },
    { "{\"image\":[\"busybox\"]}", &start, true },
    { "{\"image\":[\"busybox:1\"]}", &start, true },
    { "{\"image\":[\"busy\"]}", &start, false },
    { "{\"label\":[\"tier=front\"]}", &start, true },
    { "{\"label\":[\"tier=back\"]}", &start, false },
    { "{\"scope\":[\"local\"]}", &start, true },
    { "{\"scope\":[\"swarm\"]}", &start, false },
};

Test(event_write, filters_choose)
{
    for (size_t i = 0; i < COUNT(questions); i++) {
        CLEANUP(filters_done) struct filters filters = {};
        struct error err = {};

        cr_assert_eq(filters_parse(questions[i].filters, NULL, &filters, &err), 0, "%s", err.text);
        cr_expect_eq(event_matches(questions[i].event, &filters), questions[i].matches, "%s",
                     questions[i].filters);
    }
}
