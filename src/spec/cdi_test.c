#include "spec/cdi.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/banned.h"

static const struct {
    const char *text;
    bool is_valid;
} names[] = {
    { "vendor.com/gpu=0", true }, { "vendor.com/gpu=all", true }, { "v/c=a:b.c-d_e", true },
    { "vendor.com/gpu", false },  { "/dev/null", false },         { "vendor.com/gpu=", false },
    { "9v.com/gpu=a", false },    { "v.com/gpu=-a", false },      { "v.com//gpu=a", false },
    { "/dev/a:/dev/b=c", false },
};

Test(cdi, tells_names_from_paths)
{
    for (size_t i = 0; i < COUNT(names); i++)
        cr_expect_eq(cdi_name_is_valid(names[i].text), names[i].is_valid, "%s", names[i].text);
}

static const char good[] =
    "{\"cdiVersion\":\"0.6.0\",\"kind\":\"v.com/d\",\"devices\":[{\"name\":\"one\","
    "\"containerEdits\":{\"env\":[\"A=1\"],\"deviceNodes\":[{\"path\":\"/dev/one\","
    "\"hostPath\":\"/dev/null\",\"permissions\":\"rw\"}]}}],\"containerEdits\":{\"mounts\":"
    "[{\"hostPath\":\"/a\",\"containerPath\":\"/b\",\"options\":[\"ro\"]}]}}";

Test(cdi, reads_a_file)
{
    CLEANUP(cdi_spec_done) struct cdi_spec spec = {};
    struct error err = {};

    cr_assert_eq(cdi_spec_decode(good, strlen(good), &spec, &err), 0, "%s", err.text);
    const struct cdi_device *one = cdi_spec_find(&spec, "one");
    cr_assert(one);
    cr_expect_str_eq(one->edits.env.items[0], "A=1");
    cr_expect_str_eq(JSON_ITEMS(&one->edits.device_nodes, struct cdi_device_node)[0].host_path,
                     "/dev/null");
    cr_expect_null(cdi_spec_find(&spec, "two"));
}

static const struct {
    const char *text, *why;
} wrong[] = {
    { "{}", "invalid kind \"\"" },
    { "{\"kind\":\"v.com\"}", "invalid kind \"v.com\"" },
    { "{\"kind\":\"v/c\",\"devices\":[{\"name\":\"\"}]}", "invalid device name \"\"" },
    { "{\"kind\":\"v/c\",\"devices\":[{\"name\":\"a\"},{\"name\":\"a\"}]}",
      "device \"a\" is there twice" },
    { "{\"kind\":\"v/c\",\"containerEdits\":{\"env\":[\"=x\"]}}",
      "invalid environment variable \"=x\"" },
    { "{\"kind\":\"v/c\",\"containerEdits\":{\"hooks\":[{\"hookName\":\"x\",\"path\":\"/x\"}]}}",
      "invalid hook name \"x\"" },
    { "{\"kind\":\"v/c\",\"containerEdits\":{\"deviceNodes\":[{\"path\":\"dev/x\"}]}}",
      "invalid device node: \"dev/x\" is not absolute" },
};

Test(cdi, refuses_what_makes_no_sense)
{
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct cdi_spec spec = {};
        struct error err = {};

        cr_expect_eq(cdi_spec_decode(wrong[i].text, strlen(wrong[i].text), &spec, &err), -1);
        cr_expect_str_eq(err.text, wrong[i].why);
    }
}
