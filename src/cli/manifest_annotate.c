/* manifest annotate: which platform an entry of a list is for. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/manifest_entry.h"
#include "cli/manifest_store.h"

#include "base/banned.h"

struct annotate_options {
    const char *architecture, *os, *os_version, *variant;
    struct strv os_features;
};

/* clang-format off */
static const struct option_row annotate_rows[] = {
    { 0, "arch",        OPTION_TEXT, offsetof(struct annotate_options, architecture), "Set the architecture" },
    { 0, "os",          OPTION_TEXT, offsetof(struct annotate_options, os),           "Set the operating system" },
    { 0, "os-features", OPTION_LIST, offsetof(struct annotate_options, os_features),  "Set features of the operating system that are needed" },
    { 0, "os-version",  OPTION_TEXT, offsetof(struct annotate_options, os_version),   "Set the version of the operating system" },
    { 0, "variant",     OPTION_TEXT, offsetof(struct annotate_options, variant),      "Set the variant of the architecture" },
    {},
};
/* clang-format on */

static void add_choice(struct json_writer *w, const char *key, const char *given,
                       const struct json *before)
{
    const char *value = given ?: json_text(json_get(before, key));

    if (!text_is_empty(value))
        json_add_text(w, key, value);
}

/* Features may come with commas between them. */
static void add_features(struct json_writer *w, const struct strv *given, const struct json *before)
{
    CLEANUP(strv_done) struct strv features = {};

    for (size_t i = 0; i < given->count; i++)
        strv_split(&features, given->items[i], ',');
    if (features.count)
        json_add_strv(w, "os.features", &features);
    else if (json_count(json_get(before, "os.features")))
        manifest_add_value(w, "os.features", json_get(before, "os.features"));
}

static int change_platform(const struct annotate_options *options, const struct json *before,
                           struct json **out, struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    json_begin_dict(&w, NULL);
    add_choice(&w, "architecture", options->architecture, before);
    add_choice(&w, "os", options->os, before);
    add_choice(&w, "os.version", options->os_version, before);
    add_choice(&w, "variant", options->variant, before);
    add_features(&w, &options->os_features, before);
    json_end_dict(&w);
    return json_parse(str_text(&text), text.length, out, err);
}

/* clang-format off */
static const struct {
    const char *os, *architectures; /* words between blanks */
} known_platforms[] = {
    { "darwin",  " 386 amd64 arm arm64 " },
    { "dragonfly", " amd64 " },
    { "freebsd", " 386 amd64 arm arm64 riscv64 " },
    { "linux",   " 386 amd64 arm arm64 loong64 mips mipsle mips64 mips64le ppc64 ppc64le riscv64 s390x " },
    { "netbsd",  " 386 amd64 arm arm64 " },
    { "openbsd", " 386 amd64 arm arm64 " },
    { "plan9",   " 386 amd64 arm " },
    { "solaris", " amd64 " },
    { "wasip1",  " wasm " },
    { "windows", " 386 amd64 arm arm64 " },
};
/* clang-format on */

/* A combination that there is, as Go names them. */
static int check_platform(const struct json *platform, struct error *err)
{
    const char *os = json_text(json_get(platform, "os")) ?: "",
               *architecture = json_text(json_get(platform, "architecture")) ?: "";
    CLEANUP(free) char *word = xasprintf(" %s ", architecture);

    for (size_t i = 0; i < COUNT(known_platforms); i++)
        if (strcmp(os, known_platforms[i].os) == 0 && *architecture &&
            strstr(known_platforms[i].architectures, word))
            return 0;
    return error_set(err, ERROR_INVALID,
                     "manifest entry for image has unsupported os/arch combination: %s/%s", os,
                     architecture);
}

static int annotate(struct cli *cli UNUSED, const void *parsed, const struct strv *arguments,
                    struct error *err)
{
    CLEANUP(reference_done) struct reference list = {}, manifest = {};
    CLEANUP(json_free) struct json *entry = NULL, *platform = NULL;
    CLEANUP(str_done) struct str document = {};

    if (reference_parse(arguments->items[0], &list, err) < 0 ||
        reference_parse(arguments->items[1], &manifest, err) < 0)
        return -1;
    if (manifest_store_get(&list, &manifest, &entry, err) < 0)
        return error_set(err, ERROR_NOT_FOUND, "manifest for image %s does not exist in %s",
                         arguments->items[1], arguments->items[0]);
    const struct json *descriptor = json_get(entry, "Descriptor");
    if (change_platform(parsed, json_get(descriptor, "platform"), &platform, err) < 0 ||
        check_platform(platform, err) < 0)
        return -1;
    manifest_describe(
        json_text(json_get(entry, "Ref")), descriptor, platform, json_text(json_get(entry, "Raw")),
        json_get(entry, "OCIManifest") ?: json_get(entry, "SchemaV2Manifest"), &document);
    return manifest_store_put(&list, &manifest, &document, err);
}

/* clang-format off */
const struct command command_manifest_annotate = {
    .name = "annotate", .usage = "[OPTIONS] MANIFEST_LIST MANIFEST", .summary = "Say for which platform a manifest of a list is",
    .least = 2, .most = 2, .options = annotate_rows, .options_size = sizeof(struct annotate_options), .is_local = true, .run = annotate,
};
/* clang-format on */
