#include "compose/merge.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/banned.h"

static struct yaml *service(const char *text)
{
    CLEANUP(yaml_drop) struct yaml *documents = NULL;
    struct error err = {};

    cr_assert_eq(yaml_parse(text, strlen(text), "file", &documents, &err), 0, "%s: %s", text,
                 err.text);
    cr_assert_eq(field_apply(&field_service, documents->items[0], NULL, &err), 0, "%s: %s", text,
                 err.text);
    return yaml_clone(documents->items[0]);
}

static const struct {
    const char *base, *over, *merged;
} rows[] = {
    { "{image: a, user: u}", "{image: b}", "{\"image\":\"b\",\"user\":\"u\"}" },
    { "{image: a}", "{image: null}", "{\"image\":\"a\"}" },
    { "{command: a b}", "{command: [c]}", "{\"command\":[\"c\"]}" },
    { "{cap_add: [A, B]}", "{cap_add: [B, C]}", "{\"cap_add\":[\"A\",\"B\",\"C\"]}" },
    { "{dns: '1'}", "{dns: ['2', '1']}", "{\"dns\":[\"1\",\"2\"]}" },
    { "{environment: [A=1, B=1]}", "{environment: {B: 2, C: null}}",
      "{\"environment\":{\"A\":\"1\",\"B\":\"2\",\"C\":null}}" },
    { "{devices: ['/a:/x', '/b']}", "{devices: ['/c:/x:r']}",
      "{\"devices\":[{\"source\":\"/c\",\"target\":\"/x\",\"permissions\":\"r\"},"
      "{\"source\":\"/b\",\"target\":\"/b\",\"permissions\":\"rwm\"}]}" },
    { "{configs: [c]}", "{configs: [{source: d, target: /c}]}",
      "{\"configs\":[{\"source\":\"d\",\"target\":\"/c\"}]}" },
    { "{secrets: [s]}", "{secrets: [{source: d, target: /run/secrets/s}]}",
      "{\"secrets\":[{\"source\":\"d\",\"target\":\"/run/secrets/s\"}]}" },
    { "{healthcheck: {test: [CMD, a], retries: 1}}", "{healthcheck: {test: [CMD, b]}}",
      "{\"healthcheck\":{\"test\":[\"CMD\",\"b\"],\"retries\":1}}" },
    { "{logging: {driver: x, options: {a: '1'}}}", "{logging: {options: {b: '2'}}}",
      "{\"logging\":{\"driver\":\"x\",\"options\":{\"a\":\"1\",\"b\":\"2\"}}}" },
    { "{logging: {driver: x, options: {a: '1'}}}", "{logging: {driver: y}}",
      "{\"logging\":{\"driver\":\"y\"}}" },
    { "{networks: [n]}", "{networks: {n: {priority: 1}, m: null}}",
      "{\"networks\":{\"n\":{\"priority\":1},\"m\":null}}" },
    { "{labels: {a: b, c: d}}", "{labels: {a: !reset null}}", "{\"labels\":{\"c\":\"d\"}}" },
    { "{labels: {a: b}, user: u}", "{labels: !reset {}, user: !reset u}", "{}" },
    { "{cap_add: [A], labels: {a: b}}", "{cap_add: !override [B], labels: !override {c: d}}",
      "{\"cap_add\":[\"B\"],\"labels\":{\"c\":\"d\"}}" },
    { "{x-a: [1]}", "{x-a: [2], x-b: 3}", "{\"x-a\":[1,2],\"x-b\":3}" },
};

Test(merge, follows_the_tables)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEANUP(yaml_drop) struct yaml *base = service(rows[i].base);
        CLEANUP(str_done) struct str json = {};

        merge_into(&field_service, base, service(rows[i].over));
        merge_drop_resets(base);
        merge_unique(&field_service, base);
        yaml_write_json(base, &json);
        cr_expect_str_eq(str_text(&json), rows[i].merged, "%s + %s: %s", rows[i].base, rows[i].over,
                         str_text(&json));
    }
}
