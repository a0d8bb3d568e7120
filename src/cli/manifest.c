/* manifest: inspect, create, push, rm; annotate has a file of its own. A list is made here, file by
 * file, and then sent; the engine asks the registries and sends to them. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/distribution.h"
#include "cli/manifest_entry.h"
#include "cli/manifest_store.h"
#include "codec/base64.h"

#include "base/banned.h"

#define INDENT 3

/* ---- asking the engine ---- */

static int fetch(struct cli *cli, const struct reference *reference, bool insecure,
                 struct json **out, struct error *err)
{
    if (distribution_call(cli, "GET", reference, "manifest", insecure, NULL, out, err) == 0)
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

/* A manifest of one image out of a registry, described. */
static int fetch_image(struct cli *cli, const struct reference *reference, bool insecure,
                       struct str *out, struct error *err)
{
    CLEANUP(json_free) struct json *answer = NULL, *manifest = NULL;
    CLEANUP(buf_done) struct buf raw = {};
    CLEANUP(free) char *name = reference_canonical(reference);

    if (fetch(cli, reference, insecure, &answer, err) < 0)
        return -1;
    if (manifest_is_index(manifest_media_type(answer)))
        return error_set(err, ERROR_INVALID, "%s is a manifest list", name);
    if (decode(answer, &raw, &manifest, err) < 0)
        return -1;
    manifest_describe(name, json_get(answer, "Descriptor"),
                      json_at(json_get(answer, "Platforms"), 0), json_text(json_get(answer, "Raw")),
                      manifest, out);
    return 0;
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

static int print_entries(const struct manifest_list *list, bool verbose, struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (!verbose) {
        manifest_list_write(list, &text);
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
        manifest_describe(name, child, json_get(child, "platform"),
                          json_text(json_get(answer, "Raw")), manifest, &text);
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
    if (options->verbose && manifest_is_index(manifest_media_type(answer)))
        return print_children(cli, reference, manifest, options->insecure, err);
    if (options->verbose) {
        CLEANUP(free) char *name = reference_canonical(reference);

        manifest_describe(name, json_get(answer, "Descriptor"),
                          json_at(json_get(answer, "Platforms"), 0),
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
    CLEANUP(manifest_list_done) struct manifest_list list = {};

    if (arguments->count == 2)
        return inspect_entry(arguments, options, err);
    if (reference_parse(arguments->items[0], &reference, err) < 0)
        return -1;
    if (!manifest_store_has(&reference))
        return inspect_remote(cli, &reference, options, err);
    return manifest_list_load(&reference, &list, err) < 0
               ? -1
               : print_entries(&list, options->verbose, err);
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
    if (distribution_call(cli, "PUT", reference, "manifest", insecure, str_text(&body), &answer,
                          err) < 0)
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
    if (put(cli, &at, manifest_media_type(entry), json_text(json_get(entry, "Raw")), source->path,
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
    CLEANUP(manifest_list_done) struct manifest_list list = {};
    CLEANUP(str_done) struct str text = {};
    CLEANUP(free) char *digest = NULL;

    if (reference_parse(arguments->items[0], &target, err) < 0 ||
        manifest_list_load(&target, &list, err) < 0)
        return -1;
    for (size_t i = 0; i < list.count; i++) {
        CLEANUP(reference_done) struct reference source = {};

        if (check_entry(list.entries[i], &target, &source, err) < 0 ||
            bring(cli, list.entries[i], &target, &source, options->insecure, err) < 0)
            return -1;
    }
    manifest_list_write(&list, &text);
    CLEANUP(free) char *raw = base64_encode(text.data, text.length);
    if (put(cli, &target, manifest_list_type(&list), raw, NULL, options->insecure, &digest, err) <
        0)
        return -1;
    puts(digest);
    return options->purge ? manifest_store_remove(&target, err) : 0;
}

/* ---- rm ---- */

static void no_such_list(const struct reference *list, struct error *err)
{
    CLEANUP(free) char *name = reference_canonical(list);

    error_set(err, ERROR_NOT_FOUND, "No such manifest: %s", name);
}

static int rm(struct cli *cli UNUSED, const void *options UNUSED, const struct strv *arguments,
              struct error *err)
{
    CLEANUP(str_done) struct str failures = {};

    for (size_t i = 0; i < arguments->count; i++) {
        CLEANUP(reference_done) struct reference list = {};
        struct error why = {};

        if (reference_parse(arguments->items[i], &list, &why) == 0 && !manifest_store_has(&list))
            no_such_list(&list, &why);
        if (why.kind == ERROR_NONE && manifest_store_remove(&list, &why) == 0)
            continue;
        str_add_format(&failures, "%s%s", failures.length ? "\n" : "", why.text);
    }
    return failures.length ? error_set(err, ERROR_NOT_FOUND, "%s", str_text(&failures)) : 0;
}

/* clang-format off */
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
