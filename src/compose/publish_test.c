/* Names of files are changed where they stand. */
#include "compose/publish.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

static const struct {
    const char *text, *changed; /* NULL: refused */
} files[] = {
    { "services: {a: {image: x}} # as it is\n", "services: {a: {image: x}} # as it is\n" },
    { "services: {a: {extends: {file: base.yaml, service: b}}}",
      "services: {a: {extends: {file: <base.yaml>, service: b}}}" },
    { "services:\n  a:\n    extends: {file: 'base.yaml'}\n    env_file: a.env # why\n",
      "services:\n  a:\n    extends: {file: <base.yaml>}\n    env_file: [a.env] # why\n" },
    { "\xef\xbb\xbf# \xc3\xa4\xe2\x82\xac\r\nservices:\r\n  a:\r\n    env_file: [a.env, {path: "
      "\"b.env\", required: false}, keep]\r\n",
      "\xef\xbb\xbf# \xc3\xa4\xe2\x82\xac\r\nservices:\r\n  a:\r\n    env_file: [[a.env], {path: "
      "[b.env], required: false}, keep]\r\n" },
    { "x-e: &e {env_file: a.env}\nservices: {a: *e, b: {<<: *e, labels: !reset {}}}\n",
      "x-e: &e {env_file: [a.env]}\nservices: {a: *e, b: {<<: *e, labels: !reset {}}}\n" },
    { "services: {a: {env_file: x.env}}\n---\nservices: {b: {env_file: y.env}}\n",
      "services: {a: {env_file: [x.env]}}\n---\nservices: {b: {env_file: [y.env]}}\n" },
    { "services: {b: {env_file: z.env}, a: {env_file: !override [y.env]}}\n",
      "services: {b: {env_file: [z.env]}, a: {env_file: !override [[y.env]]}}\n" },
    { "services: {a: {extends: b, env_file: }}\n", "services: {a: {extends: b, env_file: }}\n" },
    { "include: ['oci://x/y', {path: 'https://x/y.git'}]\n",
      "include: ['oci://x/y', {path: 'https://x/y.git'}]\n" },
    { "include: [other.yaml]\n", NULL },
    { "include: [{path: ['oci://x/y', other.yaml]}]\n", NULL },
    { "services: [\n", NULL },
};

static char *rename_file(void *data, enum published_kind kind, const char *name)
{
    (void)data;
    if (strcmp(name, "keep") == 0)
        return NULL;
    return xasprintf(kind == PUBLISHED_ENV ? "[%s]" : "<%s>", name);
}

Test(publish, changes_names_of_files_and_nothing_else)
{
    static const struct publish_renames renames = { .rename = rename_file };

    for (size_t i = 0; i < COUNT(files); i++) {
        CLEANUP(str_done) struct str out = {};
        struct error err = {};
        int result = publish_rewrite(files[i].text, strlen(files[i].text), "f", &renames, &out,
                                     &err);

        cr_expect_eq(result, files[i].changed ? 0 : -1, "%s: %s", files[i].text, err.text);
        if (files[i].changed)
            cr_expect_str_eq(str_text(&out), files[i].changed);
    }
}
