/* manifest: inspect, create, annotate, push, rm. A list is made here, file by file, and then sent;
 * the engine asks the registries and sends to them. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/credentials.h"
#include "cli/manifest_store.h"
#include "codec/base64.h"
#include "spec/image.h"

#include "base/banned.h"

#define INDENT 3

/* ---- asking the engine ---- */

static int call(struct cli *cli, const char *method, const struct reference *reference,
                bool insecure, const char *body, struct json **out, struct error *err)
{
    CLEANUP(user_credentials_done) struct user_credentials credentials = {};
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(free) char *name = reference_canonical(reference);
    CLEANUP(free) char *server = credentials_server(reference->domain);
    struct map headers;

    if (credentials_load(server, &credentials, err) < 0)
        return -1;
    CLEANUP(free) char *header = credentials_header(server, &credentials);
    map_init_empty(&headers, free);
    map_set_text(&headers, "X-Registry-Auth", header);
    client_path_begin(&path, "/distribution");
    client_path_segment(&path, name);
    client_path_begin(&path, "/manifest");
    client_path_query(&path, "insecure", insecure ? "1" : NULL);
    int result = client_call_with(cli->client, method, &path, &headers, body, out, err);
    map_done(&headers);
    return result;
}

static int fetch(struct cli *cli, const struct reference *reference, bool insecure,
                 struct json **out, struct error *err)
{
    if (call(cli, "GET", reference, insecure, NULL, out, err) == 0)
        return 0;
    if (err->kind != ERROR_NOT_FOUND)
        return -1;
    CLEANUP(free) char *name = reference_canonical(reference);
    return error_set(err, ERROR_NOT_FOUND, "no such manifest: %s", name);
}

/* The manifest itself, as it is on the wire. */
static int decode(const struct json *answer, struct buf *raw, struct json **out, struct error *err)
{
    if (base64_decode(json_text(json_get(answer, "Raw")) ?: "", raw, err) < 0 ||
        json_parse((const char *)buf_bytes(raw), raw->size, out, err) < 0)
        return error_context(err, "invalid manifest");
    return 0;
}

static const char *media_type_of(const struct json *answer)
{
    return json_text(json_get(json_get(answer, "Descriptor"), "mediaType")) ?: "";
}

static bool is_index(const char *media_type)
{
    return strcmp(media_type, MEDIA_TYPE_OCI_INDEX) == 0 ||
           strcmp(media_type, MEDIA_TYPE_DOCKER_LIST) == 0;
}

static bool is_oci(const char *media_type)
{
    return text_starts(media_type, "application/vnd.oci.");
}

/* ---- what is kept of a manifest ---- */

static void add_value(struct json_writer *w, const char *key, const struct json *value)
{
    CLEANUP(str_done) struct str text = {};

    json_write(value, &text);
    json_add_raw(w, key, str_text(&text));
}

static void add_platform(struct json_writer *w, const struct json *platform)
{
    json_begin_dict(w, "platform");
    json_add_text(w, "architecture", json_text(json_get(platform, "architecture")) ?: "");
    json_add_text(w, "os", json_text(json_get(platform, "os")) ?: "");
    if (!text_is_empty(json_text(json_get(platform, "os.version"))))
        json_add_text(w, "os.version", json_text(json_get(platform, "os.version")));
    if (json_count(json_get(platform, "os.features")))
        add_value(w, "os.features", json_get(platform, "os.features"));
    if (!text_is_empty(json_text(json_get(platform, "variant"))))
        json_add_text(w, "variant", json_text(json_get(platform, "variant")));
    json_end_dict(w);
}

static void add_descriptor(struct json_writer *w, const char *key, const struct json *descriptor,
                           const struct json *platform)
{
    json_begin_dict(w, key);
    json_add_text(w, "mediaType", json_text(json_get(descriptor, "mediaType")));
    json_add_text(w, "digest", json_text(json_get(descriptor, "digest")));
    json_add_int64(w, "size", json_to_int64(json_get(descriptor, "size")));
    if (platform)
        add_platform(w, platform);
    json_end_dict(w);
}

/* {"Ref","Descriptor","Raw","SchemaV2Manifest"|"OCIManifest"}: Docker's own form. */
static void describe(const char *name, const struct json *descriptor, const struct json *platform,
                     const char *raw, const struct json *manifest, struct str *out)
{
    struct json_writer w = { .out = out };
    const char *type = json_text(json_get(descriptor, "mediaType")) ?: "";

    json_begin_dict(&w, NULL);
    json_add_text(&w, "Ref", name);
    add_descriptor(&w, "Descriptor", descriptor, platform);
    json_add_text(&w, "Raw", raw);
    add_value(&w, is_oci(type) ? "OCIManifest" : "SchemaV2Manifest", manifest);
    json_end_dict(&w);
}

/* A manifest of one image out of a registry, described. */
static int fetch_image(struct cli *cli, const struct reference *reference, bool insecure,
                       struct str *out, struct error *err)
{
    CLEANUP(json_free) struct json *answer = NULL, *manifest = NULL;
    CLEANUP(buf_done) struct buf raw = {};
    CLEANUP(free) char *name = reference_canonical(reference);

    if (fetch(cli, reference, insecure, &answer, err) < 0)
        return -1;
    if (is_index(media_type_of(answer)))
        return error_set(err, ERROR_INVALID, "%s is a manifest list", name);
    if (decode(answer, &raw, &manifest, err) < 0)
        return -1;
    describe(name, json_get(answer, "Descriptor"), json_at(json_get(answer, "Platforms"), 0),
             json_text(json_get(answer, "Raw")), manifest, out);
    return 0;
}

/* ---- a list out of what is kept ---- */

struct list {
    struct json **entries;
    size_t count;
};

static void list_done(struct list *list)
{
    for (size_t i = 0; i < list->count; i++)
        json_free(list->entries[i]);
    free(list->entries);
}
CLEANUP_VALUE(list_done, struct list)

static int list_load(const struct reference *reference, struct list *out, struct error *err)
{
    CLEANUP(free) char *name = reference_canonical(reference);

    if (!manifest_store_has(reference))
        return error_set(err, ERROR_NOT_FOUND, "No such manifest: %s", name);
    out->entries = manifest_store_all(reference, &out->count, err);
    return out->entries ? 0 : -1;
}

/* The first manifest's family decides how the list is called. */
static const char *list_type(const struct list *list)
{
    return list->count && is_oci(media_type_of(list->entries[0])) ? MEDIA_TYPE_OCI_INDEX
                                                                  : MEDIA_TYPE_DOCKER_LIST;
}

static void list_write(const struct list *list, struct str *out)
{
    struct json_writer w = { .out = out };

    json_begin_dict(&w, NULL);
    json_add_int64(&w, "schemaVersion", 2);
    json_add_text(&w, "mediaType", list_type(list));
    json_begin_list(&w, "manifests");
    for (size_t i = 0; i < list->count; i++) {
        const struct json *descriptor = json_get(list->entries[i], "Descriptor");

        add_descriptor(&w, NULL, descriptor, json_get(descriptor, "platform"));
    }
    json_end_list(&w);
    json_end_dict(&w);
}

/* ---- inspect ---- */

struct inspect_options {
    bool insecure, verbose;
};

/* clang-format off */
static const struct option_row inspect_rows[] = {
    { 0,   "insecure", OPTION_BOOL, offsetof(struct inspect_options, insecure), "The registry may be one without TLS" },
    { 'v', "verbose",  OPTION_BOOL, offsetof(struct inspect_options, verbose),  "Show platforms and the manifests of a list, too" },
    {},
};
/* clang-format on */

static int print_text(const struct str *text, struct error *err)
{
    CLEANUP(json_free) struct json *value = NULL;
    CLEANUP(str_done) struct str pretty = {};

    if (json_parse(str_text(text), text->length, &value, err) < 0)
        return -1;
    json_write_indented(value, INDENT, &pretty);
    puts(str_text(&pretty));
    return 0;
}

static int print_entry(const struct json *entry, bool verbose, struct error *err)
{
    const struct json *manifest = json_get(entry, "OCIManifest")
                                      ?: json_get(entry, "SchemaV2Manifest");
    CLEANUP(str_done) struct str text = {};

    json_write(verbose ? entry : manifest, &text);
    return print_text(&text, err);
}

static int print_entries(const struct list *list, bool verbose, struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (!verbose) {
        list_write(list, &text);
        return print_text(&text, err);
    }
    str_add_char(&text, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            str_add_char(&text, ',');
        json_write(list->entries[i], &text);
    }
    str_add_char(&text, ']');
    return print_text(&text, err);
}

/* Each manifest that a list in a registry names. */
static int print_children(struct cli *cli, const struct reference *reference,
                          const struct json *index, bool insecure, struct error *err)
{
    const struct json *children = json_get(index, "manifests");
    CLEANUP(str_done) struct str text = {};

    str_add_char(&text, '[');
    for (size_t i = 0; i < json_count(children); i++) {
        const struct json *child = json_at(children, i);
        struct reference at = { reference->domain, reference->path, reference->tag,
                                (char *)json_text(json_get(child, "digest")) };
        CLEANUP(json_free) struct json *answer = NULL, *manifest = NULL;
        CLEANUP(buf_done) struct buf raw = {};
        CLEANUP(free) char *name = reference_canonical(&at);

        if (!at.digest || fetch(cli, &at, insecure, &answer, err) < 0 ||
            decode(answer, &raw, &manifest, err) < 0)
            return -1;
        if (i)
            str_add_char(&text, ',');
        describe(name, child, json_get(child, "platform"), json_text(json_get(answer, "Raw")),
                 manifest, &text);
    }
    str_add_char(&text, ']');
    return print_text(&text, err);
}

static int inspect_remote(struct cli *cli, const struct reference *reference,
                          const struct inspect_options *options, struct error *err)
{
    CLEANUP(json_free) struct json *answer = NULL, *manifest = NULL;
    CLEANUP(buf_done) struct buf raw = {};
    CLEANUP(str_done) struct str text = {};

    if (fetch(cli, reference, options->insecure, &answer, err) < 0 ||
        decode(answer, &raw, &manifest, err) < 0)
        return -1;
    if (options->verbose && is_index(media_type_of(answer)))
        return print_children(cli, reference, manifest, options->insecure, err);
    if (options->verbose) {
        CLEANUP(free) char *name = reference_canonical(reference);

        describe(name, json_get(answer, "Descriptor"), json_at(json_get(answer, "Platforms"), 0),
                 json_text(json_get(answer, "Raw")), manifest, &text);
    } else {
        str_add_bytes(&text, buf_bytes(&raw), raw.size);
    }
    return print_text(&text, err);
}

static int inspect_entry(const struct strv *arguments, const struct inspect_options *options,
                         struct error *err)
{
    CLEANUP(reference_done) struct reference list = {}, manifest = {};
    CLEANUP(json_free) struct json *entry = NULL;

    if (reference_parse(arguments->items[0], &list, err) < 0 ||
        reference_parse(arguments->items[1], &manifest, err) < 0)
        return -1;
    if (manifest_store_get(&list, &manifest, &entry, err) < 0)
        return error_set(err, ERROR_NOT_FOUND, "No such manifest: %s in %s", arguments->items[1],
                         arguments->items[0]);
    return print_entry(entry, options->verbose, err);
}

static int inspect(struct cli *cli, const void *parsed, const struct strv *arguments,
                   struct error *err)
{
    const struct inspect_options *options = parsed;
    CLEANUP(reference_done) struct reference reference = {};
    CLEANUP(list_done) struct list list = {};

    if (arguments->count == 2)
        return inspect_entry(arguments, options, err);
    if (reference_parse(arguments->items[0], &reference, err) < 0)
        return -1;
    if (!manifest_store_has(&reference))
        return inspect_remote(cli, &reference, options, err);
    return list_load(&reference, &list, err) < 0 ? -1 : print_entries(&list, options->verbose, err);
}

/* ---- create ---- */

struct create_options {
    bool amend, insecure;
};

/* clang-format off */
static const struct option_row create_rows[] = {
    { 'a', "amend",    OPTION_BOOL, offsetof(struct create_options, amend),    "Add to a list that is there already" },
    { 0,   "insecure", OPTION_BOOL, offsetof(struct create_options, insecure), "The registry may be one without TLS" },
    {},
};
/* clang-format on */

static int add_image(struct cli *cli, const struct reference *list, const char *image,
                     bool insecure, struct error *err)
{
    CLEANUP(reference_done) struct reference reference = {};
    CLEANUP(json_free) struct json *known = NULL;
    CLEANUP(str_done) struct str document = {};

    if (reference_parse(image, &reference, err) < 0)
        return -1;
    if (manifest_store_get(list, &reference, &known, NULL) == 0)
        return 0; /* As it was annotated. */
    if (fetch_image(cli, &reference, insecure, &document, err) < 0)
        return -1;
    return manifest_store_put(list, &reference, &document, err);
}

static int create(struct cli *cli, const void *parsed, const struct strv *arguments,
                  struct error *err)
{
    const struct create_options *options = parsed;
    CLEANUP(reference_done) struct reference list = {};

    if (reference_parse(arguments->items[0], &list, err) < 0)
        return -1;
    bool was_there = manifest_store_has(&list);
    if (was_there && !options->amend)
        return error_set(err, ERROR_CONFLICT,
                         "refusing to amend an existing manifest list with no --amend flag");
    for (size_t i = 1; i < arguments->count; i++)
        if (add_image(cli, &list, arguments->items[i], options->insecure, err) < 0) {
            if (!was_there)
                manifest_store_remove(&list, NULL);
            return -1;
        }
    CLEANUP(free) char *name = reference_canonical(&list);
    printf("Created manifest list %s\n", name);
    return 0;
}

/* ---- annotate ---- */

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
        add_value(w, "os.features", json_get(before, "os.features"));
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
    describe(json_text(json_get(entry, "Ref")), descriptor, platform,
             json_text(json_get(entry, "Raw")),
             json_get(entry, "OCIManifest") ?: json_get(entry, "SchemaV2Manifest"), &document);
    return manifest_store_put(&list, &manifest, &document, err);
}

/* ---- push ---- */

struct push_options {
    bool insecure, purge;
};

/* clang-format off */
static const struct option_row push_rows[] = {
    { 0,   "insecure", OPTION_BOOL, offsetof(struct push_options, insecure), "The registry may be one without TLS" },
    { 'p', "purge",    OPTION_BOOL, offsetof(struct push_options, purge),    "Remove the list here once it is pushed" },
    {},
};
/* clang-format on */

static int put(struct cli *cli, const struct reference *reference, const char *media_type,
               const char *raw, const char *source, bool insecure, char **out_digest,
               struct error *err)
{
    CLEANUP(str_done) struct str body = {};
    CLEANUP(json_free) struct json *answer = NULL;
    struct json_writer w = { .out = &body };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "MediaType", media_type);
    json_add_text(&w, "Raw", raw);
    if (source)
        json_add_text(&w, "Source", source);
    json_end_dict(&w);
    if (call(cli, "PUT", reference, insecure, str_text(&body), &answer, err) < 0)
        return -1;
    *out_digest = xstrdup(json_text(json_get(answer, "Digest")) ?: "");
    return 0;
}

static int check_entry(const struct json *entry, const struct reference *target,
                       struct reference *out_source, struct error *err)
{
    const char *name = json_text(json_get(entry, "Ref")) ?: "";
    const struct json *platform = json_get(json_get(entry, "Descriptor"), "platform");

    if (reference_parse(name, out_source, err) < 0)
        return -1;
    if (strcmp(out_source->domain, target->domain) != 0)
        return error_set(err, ERROR_INVALID,
                         "cannot use source images from a different registry than the target "
                         "image: %s != %s",
                         out_source->domain, target->domain);
    if (text_is_empty(json_text(json_get(platform, "os"))) ||
        text_is_empty(json_text(json_get(platform, "architecture"))))
        return error_set(err, ERROR_INVALID,
                         "manifest %s must have an OS and Architecture to be pushed to a registry",
                         name);
    return 0;
}

/* What is in another repository of the registry is brought into that of the list. */
static int bring(struct cli *cli, const struct json *entry, const struct reference *target,
                 const struct reference *source, bool insecure, struct error *err)
{
    struct reference at = { target->domain, target->path, NULL,
                            (char *)json_text(json_get(json_get(entry, "Descriptor"), "digest")) };
    CLEANUP(free) char *name = reference_canonical(&at);
    CLEANUP(free) char *digest = NULL;

    if (strcmp(source->path, target->path) == 0)
        return 0;
    if (put(cli, &at, media_type_of(entry), json_text(json_get(entry, "Raw")), source->path,
            insecure, &digest, err) < 0)
        return -1;
    printf("Pushed ref %s with digest: %s\n", name, digest);
    return 0;
}

static int push(struct cli *cli, const void *parsed, const struct strv *arguments,
                struct error *err)
{
    const struct push_options *options = parsed;
    CLEANUP(reference_done) struct reference target = {};
    CLEANUP(list_done) struct list list = {};
    CLEANUP(str_done) struct str text = {};
    CLEANUP(free) char *digest = NULL;

    if (reference_parse(arguments->items[0], &target, err) < 0 ||
        list_load(&target, &list, err) < 0)
        return -1;
    for (size_t i = 0; i < list.count; i++) {
        CLEANUP(reference_done) struct reference source = {};

        if (check_entry(list.entries[i], &target, &source, err) < 0 ||
            bring(cli, list.entries[i], &target, &source, options->insecure, err) < 0)
            return -1;
    }
    list_write(&list, &text);
    CLEANUP(free) char *raw = base64_encode(text.data, text.length);
    if (put(cli, &target, list_type(&list), raw, NULL, options->insecure, &digest, err) < 0)
        return -1;
    puts(digest);
    return options->purge ? manifest_store_remove(&target, err) : 0;
}

/* ---- rm ---- */

static int rm(struct cli *cli UNUSED, const void *options UNUSED, const struct strv *arguments,
              struct error *err)
{
    CLEANUP(str_done) struct str failures = {};

    for (size_t i = 0; i < arguments->count; i++) {
        CLEANUP(reference_done) struct reference list = {};
        struct error why = {};

        if (reference_parse(arguments->items[i], &list, &why) == 0 && !manifest_store_has(&list))
            error_set(&why, ERROR_NOT_FOUND, "No such manifest: %s", arguments->items[i]);
        if (why.kind == ERROR_NONE && manifest_store_remove(&list, &why) == 0)
            continue;
        str_add_format(&failures, "%s%s", failures.length ? "\n" : "", why.text);
    }
    return failures.length ? error_set(err, ERROR_NOT_FOUND, "%s", str_text(&failures)) : 0;
}

/* clang-format off */
const struct command command_manifest_annotate = {
    .name = "annotate", .usage = "[OPTIONS] MANIFEST_LIST MANIFEST", .summary = "Say for which platform a manifest of a list is",
    .least = 2, .most = 2, .options = annotate_rows, .options_size = sizeof(struct annotate_options), .is_local = true, .run = annotate,
};
const struct command command_manifest_create = {
    .name = "create", .usage = "[OPTIONS] MANIFEST_LIST MANIFEST [MANIFEST...]", .summary = "Begin a list of manifests, to be annotated and pushed",
    .least = 2, .most = MANY_ARGUMENTS, .options = create_rows, .options_size = sizeof(struct create_options), .run = create,
};
const struct command command_manifest_inspect = {
    .name = "inspect", .usage = "[OPTIONS] [MANIFEST_LIST] MANIFEST", .summary = "Show a manifest, or a list of manifests",
    .least = 1, .most = 2, .options = inspect_rows, .options_size = sizeof(struct inspect_options), .run = inspect,
};
const struct command command_manifest_push = {
    .name = "push", .usage = "[OPTIONS] MANIFEST_LIST", .summary = "Send a list to its repository",
    .least = 1, .most = 1, .options = push_rows, .options_size = sizeof(struct push_options), .run = push,
};
const struct command command_manifest_rm = {
    .name = "rm", .usage = "MANIFEST_LIST [MANIFEST_LIST...]", .summary = "Remove lists that were begun here",
    .least = 1, .most = MANY_ARGUMENTS, .is_local = true, .run = rm,
};
/* clang-format on */
