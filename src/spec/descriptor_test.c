#include "spec/descriptor.h"

#include <criterion/criterion.h>

#include "base/str.h"

#include "base/banned.h"

Test(descriptor, names_content)
{
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    json_begin_dict(&w, NULL);
    descriptor_add(&w, "config", "a/b", "sha256:12", 7);
    json_begin_list(&w, "manifests");
    descriptor_begin(&w, NULL, "c/d", "sha256:34", 8);
    descriptor_add_platform(&w, "arm", "linux", "v7");
    json_end_dict(&w);
    descriptor_begin(&w, NULL, "e/f", "sha256:56", 9);
    descriptor_add_platform(&w, "amd64", "linux", "");
    json_end_dict(&w);
    json_end_list(&w);
    json_end_dict(&w);
    cr_expect_str_eq(
        str_text(&text),
        "{\"config\":{\"mediaType\":\"a/b\",\"digest\":\"sha256:12\",\"size\":7},\"manifests\":["
        "{\"mediaType\":\"c/d\",\"digest\":\"sha256:34\",\"size\":8,"
        "\"platform\":{\"architecture\":\"arm\",\"os\":\"linux\",\"variant\":\"v7\"}},"
        "{\"mediaType\":\"e/f\",\"digest\":\"sha256:56\",\"size\":9,"
        "\"platform\":{\"architecture\":\"amd64\",\"os\":\"linux\"}}]}");
}
