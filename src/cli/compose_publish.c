/* compose publish: the files of a project as an artifact in a registry, as Docker's compose has
 * them: a layer a file, small ones in the manifest itself as well. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/compose_digest.h"
#include "cli/compose_pull.h"
#include "cli/compose_remote.h"
#include "cli/compose_session.h"
#include "cli/distribution.h"
#include "codec/base64.h"
#include "codec/sha256.h"
#include "compose/canonical.h"
#include "compose/label.h"
#include "compose/publish.h"
#include "spec/image.h"

#include "base/banned.h"

#define EMPTY_TYPE        "application/vnd.oci.empty.v1+json"
#define EMPTY             "{}"
#define INLINE_SIZE_LIMIT ((size_t)64 << 10)

struct publish_options {
    bool resolve_digests, with_env, yes;
    const char *oci_version;
};

/* clang-format off */
#define AT(member) offsetof(struct publish_options, member)
static const struct option_row rows[] = {
    { 0,   "app",                   OPTION_UNSUPPORTED_FLAG, 0,                "push the images with `compose push`; the files name them" },
    { 0,   "oci-version",           OPTION_TEXT,           AT(oci_version),    "1.1, or 1.0 for registries that know no artifacts (the first that is taken)" },
    { 0,   "resolve-image-digests", OPTION_BOOL,           AT(resolve_digests), "Name images by their digests" },
    { 0,   "with-env",              OPTION_BOOL,           AT(with_env),       "Publish env files and variables of services, too" },
    { 'y', "yes",                   OPTION_BOOL,           AT(yes),            "Answer yes to all questions" },
    {},
};
#undef AT
/* clang-format on */

/* ---- caution ---- */

/* -1: no, or nobody answered. */
static int ask(const struct publish_options *options, const char *question, struct error *err)
{
    char answer[16] = "";

    if (options->yes)
        return 0;
    fprintf(stderr, "%s [y/N]: ", question);
    if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return 0;
    return error_set(err, ERROR_CANCELLED, "operation cancelled: nothing is published");
}

static int check_images(const struct yaml *services, struct error *err)
{
    CLEANUP(str_done) struct str names = {};

    for (size_t i = 0; i < yaml_count(services); i++)
        if (yaml_is_null(yaml_get(services->items[i], "image")) &&
            !yaml_is_null(yaml_get(services->items[i], "build")))
            str_add_format(&names, "\n- \"%s\"", services->keys[i]);
    return names.length ? error_set(err, ERROR_INVALID,
                                    "your Compose stack cannot be published as it only contains a "
                                    "build section for service(s):%s",
                                    str_text(&names))
                        : 0;
}

static int confirm_binds(const struct yaml *services, const struct publish_options *options,
                         struct error *err)
{
    CLEANUP(str_done) struct str found = {};

    for (size_t i = 0; i < yaml_count(services); i++) {
        const struct yaml *volumes = yaml_get(services->items[i], "volumes");

        for (size_t j = 0; j < yaml_count(volumes); j++)
            if (text_equal(yaml_text(yaml_get(volumes->items[j], "type")), "bind"))
                str_add_format(&found, "  %s: %s:%s\n", services->keys[i],
                               yaml_text(yaml_get(volumes->items[j], "source")),
                               yaml_text(yaml_get(volumes->items[j], "target")));
    }
    if (!found.length)
        return 0;
    fprintf(stderr,
            "you are about to publish bind mounts declaration within your OCI artifact.\n"
            "only the bind mount declarations will be added to the OCI artifact (not content)\n"
            "please double check that you are not mounting potential user's sensitive directories "
            "or data\n%s",
            str_text(&found));
    return ask(options, "Are you ok to publish these bind mount declarations?", err);
}

/* Variables are where secrets are: they go out only by the user's will. */
static int confirm_variables(const struct project *project, const struct publish_options *options,
                             struct error *err)
{
    const struct yaml *services = yaml_get(project->model, "services");
    const struct yaml *configs = yaml_get(project->model, "configs");
    CLEANUP(str_done) struct str found = {}, values = {};

    for (size_t i = 0; i < yaml_count(services); i++) {
        const struct yaml *variables = yaml_get(services->items[i], "environment");

        if (yaml_count(yaml_get(services->items[i], "env_file")))
            str_add_format(&found, "service \"%s\" has env_file declared.\n", services->keys[i]);
        if (yaml_count(variables))
            str_add_format(&found, "service \"%s\" has environment variable(s) declared.\n",
                           services->keys[i]);
        for (size_t j = 0; j < yaml_count(variables); j++)
            str_add_format(&values, "  %s: %s=%s\n", services->keys[i], variables->keys[j],
                           yaml_text(variables->items[j]) ?: "");
    }
    for (size_t i = 0; i < yaml_count(configs); i++) {
        const char *variable = yaml_text(yaml_get(configs->items[i], "environment"));

        if (!variable)
            continue;
        str_add_format(&found, "config \"%s\" is declare as an environment variable.\n",
                       configs->keys[i]);
        str_add_format(&values, "  %s: %s\n", configs->keys[i], variable);
    }
    if (found.length && !options->with_env)
        return error_set(err, ERROR_INVALID,
                         "%sTo avoid leaking sensitive data, you must either explicitly allow the "
                         "sending of environment variables by using the --with-env flag,\n"
                         "or remove sensitive data from your Compose configuration",
                         str_text(&found));
    if (!values.length)
        return 0;
    fprintf(stderr,
            "you are about to publish environment variables within your OCI artifact.\n"
            "please double check that you are not leaking sensitive data\n%s",
            str_text(&values));
    return ask(options, "Are you ok to publish these environment variables?", err);
}

/* The project as its files say it: env files unread. */
static int check(struct cli *cli, const struct publish_options *options, struct error *err)
{
    struct project_options wanted = compose_project_options(cli);
    CLEANUP(strv_done) struct strv all = {};
    CLEANUP(project_done) struct project project = {};

    strv_add(&all, "*");
    wanted.profiles = all;
    wanted.no_env_resolution = true;
    if (project_load(&wanted, &project, err) < 0)
        return -1;
    const struct yaml *services = yaml_get(project.model, "services");
    return check_images(services, err) < 0 || confirm_binds(services, options, err) < 0
               ? -1
               : confirm_variables(&project, options, err);
}

/* ---- sending ---- */

struct artifact {
    struct cli *cli;
    const struct reference *reference;
    struct published_files files;
    char created[TIME_TEXT_SIZE];
};

static void write_descriptor(struct json_writer *w, const char *key, const char *media_type,
                             const char *bytes, size_t size, const struct published_file *file)
{
    char digest[DIGEST_SIZE];

    sha256_digest(bytes, size, digest);
    json_begin_dict(w, key);
    json_add_text(w, "mediaType", media_type);
    json_add_text(w, "digest", digest);
    json_add_int64(w, "size", (int64_t)size);
    if (file) {
        json_begin_dict(w, "annotations");
        if (file->kind == PUBLISHED_BASE)
            json_add_text(w, COMPOSE_NOTE_EXTENDS, "true");
        json_add_text(w, file->kind == PUBLISHED_ENV ? COMPOSE_NOTE_ENV_FILE : COMPOSE_NOTE_FILE,
                      file->name);
        json_add_text(w, COMPOSE_NOTE_VERSION, LABEL_VERSION_VALUE);
        json_end_dict(w);
    }
    if (size <= INLINE_SIZE_LIMIT) {
        CLEANUP(free) char *data = base64_encode(bytes, size);

        json_add_text(w, "data", data);
    }
    json_end_dict(w);
}

static void write_manifest(const struct artifact *artifact, bool is_new, struct str *out)
{
    struct json_writer w = { .out = out };

    json_begin_dict(&w, NULL);
    json_add_int64(&w, "schemaVersion", 2);
    json_add_text(&w, "mediaType", MEDIA_TYPE_OCI_MANIFEST);
    if (is_new)
        json_add_text(&w, "artifactType", COMPOSE_ARTIFACT_TYPE);
    write_descriptor(&w, "config", is_new ? EMPTY_TYPE : COMPOSE_CONFIG_TYPE, EMPTY, strlen(EMPTY),
                     NULL);
    json_begin_list(&w, "layers");
    for (size_t i = 0; i < artifact->files.count; i++) {
        const struct published_file *file = &artifact->files.items[i];

        write_descriptor(&w, NULL,
                         file->kind == PUBLISHED_ENV ? COMPOSE_ENV_FILE_TYPE : COMPOSE_FILE_TYPE,
                         str_text(&file->text), file->text.length, file);
    }
    json_end_list(&w);
    json_begin_dict(&w, "annotations");
    json_add_text(&w, "org.opencontainers.image.created", artifact->created);
    json_end_dict(&w);
    json_end_dict(&w);
}

static int put(const struct artifact *artifact, const char *what, const char *media_type,
               const char *bytes, size_t size, struct error *err)
{
    CLEANUP(str_done) struct str body = {};
    CLEANUP(free) char *raw = base64_encode(bytes, size);
    struct json_writer w = { .out = &body };

    json_begin_dict(&w, NULL);
    if (media_type)
        json_add_text(&w, "MediaType", media_type);
    json_add_text(&w, "Raw", raw);
    json_end_dict(&w);
    return distribution_call(artifact->cli, "PUT", artifact->reference, what, false,
                             str_text(&body), NULL, err);
}

static int put_manifest(const struct artifact *artifact, bool is_new, struct error *err)
{
    CLEANUP(str_done) struct str manifest = {};

    write_manifest(artifact, is_new, &manifest);
    return put(artifact, "manifest", MEDIA_TYPE_OCI_MANIFEST, str_text(&manifest), manifest.length,
               err);
}

static int send(const struct artifact *artifact, const char *version, struct error *err)
{
    struct error older;

    if (put(artifact, "blob", NULL, EMPTY, strlen(EMPTY), err) < 0)
        return -1;
    for (size_t i = 0; i < artifact->files.count; i++) {
        const struct str *text = &artifact->files.items[i].text;

        if (put(artifact, "blob", NULL, str_text(text), text->length, err) < 0)
            return -1;
    }
    if (version)
        return put_manifest(artifact, strcmp(version, "1.1") == 0, err);
    if (put_manifest(artifact, true, err) == 0)
        return 0;
    /* Registries that know no artifacts refuse them in ways of their own. */
    return err->kind != ERROR_UNAUTHORIZED && err->kind != ERROR_FORBIDDEN &&
                   put_manifest(artifact, false, &older) == 0
               ? 0
               : -1;
}

/* ---- the command ---- */

/* What fixes the images goes last, over the files. */
static int add_digests(struct cli *cli, struct published_files *files, struct error *err)
{
    struct project_options wanted = compose_project_options(cli);
    struct canonical_options form = {};
    CLEANUP(project_done) struct project project = {};
    CLEANUP(strv_done) struct strv all = {};

    strv_add(&all, "*");
    wanted.profiles = all;
    if (project_load(&wanted, &project, err) < 0 || compose_resolve_digests(cli, &project, err) < 0)
        return -1;
    compose_keep_images(&project);
    files->items = xrealloc(files->items, files->count + 1, sizeof(*files->items));
    files->items[files->count] = (struct published_file){ .kind = PUBLISHED_FILE,
                                                          .name = xstrdup("image-digests.yaml") };
    canonical_write(&project, &form, &files->items[files->count++].text);
    return 0;
}

static int publish_as(struct artifact *artifact, const struct publish_options *options,
                      const char *name, struct error *err)
{
    struct cli *cli = artifact->cli;
    CLEANUP(progress_free) struct progress *progress = compose_progress(cli);

    progress_tell(progress, "Artifact", name, "Publishing", PROGRESS_WORKING);
    if ((options->resolve_digests && add_digests(cli, &artifact->files, err) < 0) ||
        (!compose_options(cli)->dry_run && send(artifact, options->oci_version, err) < 0)) {
        progress_tell(progress, "Artifact", name, "Error", PROGRESS_FAILED);
        return -1;
    }
    progress_tell(progress, "Artifact", name, "Published", PROGRESS_DONE);
    return 0;
}

static int publish(struct cli *cli, const void *parsed, const struct strv *arguments,
                   struct error *err)
{
    const struct publish_options *options = parsed;
    struct project_options wanted = compose_project_options(cli);
    CLEANUP(reference_done) struct reference reference = {};
    CLEANUP(project_done) struct project project = {};
    CLEANUP(strv_done) struct strv all = {}, names = {};
    struct artifact artifact = { .cli = cli, .reference = &reference };
    const char *version = options->oci_version;

    if (version && strcmp(version, "1.0") != 0 && strcmp(version, "1.1") != 0)
        return error_set(err, ERROR_INVALID, "unsupported OCI version: %s", version);
    if (reference_parse(arguments->items[0], &reference, err) < 0)
        return -1;
    if (reference.digest)
        return error_set(err, ERROR_INVALID, "%s: an artifact is published under a tag",
                         arguments->items[0]);
    strv_add(&all, "*");
    wanted.profiles = all;
    if (project_load(&wanted, &project, err) < 0)
        return -1;
    compose_warn(&project.warnings);
    time_format(clock_wall_ns() / NS_PER_S * NS_PER_S, artifact.created);
    if (check(cli, options, err) < 0 || publish_files(&project, &artifact.files, err) < 0) {
        published_files_done(&artifact.files);
        return -1;
    }
    const struct yaml *services = yaml_get(project.model, "services");
    for (size_t i = 0; i < yaml_count(services); i++)
        strv_add(&names, services->keys[i]);
    int result = compose_push_services(cli, &project, &names, false, true, err);
    if (result == 0)
        result = publish_as(&artifact, options, arguments->items[0], err);
    published_files_done(&artifact.files);
    return result;
}

const struct command command_compose_publish = {
    .name = "publish",
    .usage = "[OPTIONS] REPOSITORY[:TAG]",
    .summary = "Put the files of the project into a registry",
    .least = 1,
    .most = 1,
    .options = rows,
    .options_size = sizeof(struct publish_options),
    .run = publish,
};
