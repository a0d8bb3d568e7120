/* SLSA provenance, https://slsa.dev/spec/v0.2/provenance and https://slsa.dev/spec/v1.0/provenance,
 * with the members beside it that readers of BuildKit's provenance look for. */
#include "build/provenance.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/attest.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "spec/reference.h"

#include "base/banned.h"

#define BUILD_TYPE    "urn:berth:build:dockerfile:v1"
#define EXTENSION     "https://mobyproject.org/buildkit@v1#metadata"
#define V02_TYPE      "https://slsa.dev/provenance/v0.2"
#define V1_TYPE       "https://slsa.dev/provenance/v1"
#define SPDX_TYPE     "https://spdx.dev/Document"
#define COMMIT_PREFIX "commit:"

/* ---- materials ---- */

void materials_done(struct materials *materials)
{
    for (size_t i = 0; i < materials->count; i++) {
        free(materials->items[i].uri);
        free(materials->items[i].hex);
    }
    free(materials->items);
    *materials = (struct materials){};
}

void material_add(struct job *job, const char *uri, const char *algorithm, const char *hex)
{
    struct materials *materials = &job->materials;
    const struct build_attest *attest = job->options->attest;
    bool is_known = false;

    if (!attest || !attest->has_provenance)
        return;
    mutex_lock(&job->lock);
    for (size_t i = 0; i < materials->count; i++)
        is_known |= strcmp(materials->items[i].uri, uri) == 0 &&
                    text_equal(materials->items[i].hex, hex);
    if (!is_known) {
        materials->items = xrealloc(materials->items, materials->count + 1,
                                    sizeof(*materials->items));
        materials->items[materials->count++] = (struct material){ xstrdup(uri), algorithm,
                                                                  hex ? xstrdup(hex) : NULL };
    }
    mutex_unlock(&job->lock);
}

/* The digest by which a registry knows the image under this repository; NULL if none does. */
static const char *registry_digest(const struct image *image, const char *repository)
{
    size_t length = strlen(repository);

    for (size_t i = 0; i < image->digests.count; i++)
        if (strncmp(image->digests.items[i], repository, length) == 0 &&
            image->digests.items[i][length] == '@')
            return image->digests.items[i] + length + 1;
    return NULL;
}

void material_add_image(struct job *job, const char *name, const struct image *image)
{
    CLEANUP(reference_done) struct reference reference = {};
    CLEANUP(free) char *uri = NULL;

    if (reference_parse(name, &reference, NULL) < 0)
        return;
    CLEANUP(free) char *repository = reference_familiar_name(&reference);
    const char *digest = reference.digest ?: registry_digest(image, repository);
    if (digest && reference.tag)
        uri = xasprintf("pkg:docker/%s@%s?platform=%s%%2F%s", repository, reference.tag,
                        image->config.os ?: "linux", image->config.architecture ?: "");
    else if (digest)
        uri = xasprintf("pkg:docker/%s?digest=%s&platform=%s%%2F%s", repository, digest,
                        image->config.os ?: "linux", image->config.architecture ?: "");
    else /* No registry has it under this name: it is known by its configuration. */
        uri = xasprintf("urn:berth:image:%s:%s", repository, reference.tag ?: "");
    material_add(job, uri, "sha256", digest_hex(digest ?: image->id));
}

void material_add_remote(struct job *job, const char *url, const char *digest)
{
    bool is_commit = text_starts(digest, COMMIT_PREFIX);
    const char *hex = strchr(digest, ':');

    material_add(job, url, is_commit && hex && strlen(hex + 1) <= 40 ? "sha1" : "sha256",
                 hex ? hex + 1 : NULL);
}

static void add_digest(struct json_writer *w, const char *algorithm, const char *hex)
{
    if (!hex)
        return;
    json_begin_dict(w, "digest");
    json_add_text(w, algorithm, hex);
    json_end_dict(w);
}

static int by_uri(const void *a, const void *b)
{
    return strcmp(((const struct material *)a)->uri, ((const struct material *)b)->uri);
}

static void add_materials(struct json_writer *w, const char *key, struct materials *materials)
{
    if (materials->count > 0) /* Stages run side by side: the order is luck. */
        qsort(materials->items, materials->count, sizeof(*materials->items), by_uri);
    json_begin_list(w, key);
    for (size_t i = 0; i < materials->count; i++) {
        json_begin_dict(w, NULL);
        json_add_text(w, "uri", materials->items[i].uri);
        add_digest(w, materials->items[i].algorithm, materials->items[i].hex);
        json_end_dict(w);
    }
    json_end_list(w);
}

/* ---- what was asked for ---- */

static void add_source(struct json_writer *w, const struct job *job, const char *path_key)
{
    const struct build_origin *origin = job->options->origin;

    json_begin_dict(w, "configSource");
    if (origin) {
        json_add_text(w, "uri", origin->uri);
        if (*origin->commit)
            add_digest(w, strlen(origin->commit) <= 40 ? "sha1" : "sha256", origin->commit);
    }
    json_add_text(w, path_key, job->dockerfile_name);
    json_end_dict(w);
}

static void add_prefixed(struct json_writer *w, const char *prefix, const struct map *texts)
{
    if (!texts)
        return;
    MAP_EACH (texts, entry) {
        CLEANUP(free) char *key = xasprintf("%s%s", prefix, entry->key);

        json_add_text(w, key, entry->value ? entry->value : "");
    }
}

static void add_parameters(struct json_writer *w, const char *key, const struct job *job)
{
    const struct build_options *options = job->options;
    static const char *const locals[] = { "context", "dockerfile" };

    json_begin_dict(w, key);
    json_add_text(w, "frontend", "dockerfile.v0");
    json_begin_dict(w, "args");
    if (!text_is_empty(options->target))
        json_add_text(w, "target", options->target);
    if (options->attest->is_max) {
        add_prefixed(w, "build-arg:", options->arguments);
        add_prefixed(w, "label:", options->labels);
    }
    json_end_dict(w);
    json_begin_list(w, "locals");
    for (size_t i = 0; !options->origin && i < COUNT(locals); i++) {
        json_begin_dict(w, NULL);
        json_add_text(w, "name", locals[i]);
        json_end_dict(w);
    }
    json_end_list(w);
    json_end_dict(w);
}

/* The stages that were built, step by step, with the image that each stage gave. */
static void add_steps(struct json_writer *w, const struct job *job)
{
    json_begin_dict(w, "buildConfig");
    json_begin_list(w, "stages");
    for (size_t i = 0; i < job->graph.count; i++) {
        const struct build_stage *stage = &job->graph.stages[i];

        if (!stage->is_needed)
            continue;
        json_begin_dict(w, NULL);
        if (stage->name)
            json_add_text(w, "name", stage->name);
        json_add_text(w, "base", stage->base);
        json_add_text(w, "result", job->stages[i].image_id);
        json_begin_list(w, "steps");
        for (size_t k = 0; k < stage->step_count; k++)
            json_add_text(w, NULL, stage->steps[k].text);
        json_end_list(w);
        json_end_dict(w);
    }
    json_end_list(w);
    json_end_dict(w);
}

/* Version control of the context, and the Dockerfile itself. */
static void add_extension(struct json_writer *w, const char *key, const struct job *job)
{
    const struct build_attest *attest = job->options->attest;

    json_begin_dict(w, key);
    if (attest->vcs_source || attest->vcs_revision) {
        json_begin_dict(w, "vcs");
        if (attest->vcs_source)
            json_add_text(w, "source", attest->vcs_source);
        if (attest->vcs_revision)
            json_add_text(w, "revision", attest->vcs_revision);
        json_end_dict(w);
    }
    if (attest->is_max) {
        const struct str *text = &job->dockerfile_text;
        CLEANUP(free) char *data = base64_encode(str_text(text), text->length);

        json_begin_dict(w, "source");
        json_begin_list(w, "infos");
        json_begin_dict(w, NULL);
        json_add_text(w, "filename", job->dockerfile_name);
        json_add_text(w, "language", "Dockerfile");
        json_add_text(w, "data", data);
        json_end_dict(w);
        json_end_list(w);
        json_end_dict(w);
    }
    json_end_dict(w);
}

static void add_builder(struct json_writer *w, const struct job *job)
{
    json_begin_dict(w, "builder");
    json_add_text(w, "id", job->options->attest->builder_id ?: "");
    json_end_dict(w);
}

static char *platform(const struct stage *stage)
{
    return xasprintf("%s/%s", stage->image.os ?: "linux", stage->image.architecture ?: "");
}

static void add_times(struct json_writer *w, const struct job *job, const char *id_key,
                      const char *start_key, const char *end_key)
{
    char id[ID_LENGTH + 1];

    id_generate(id);
    json_add_text_format(w, id_key, "%.24s", id);
    json_add_time(w, start_key, job->began_ns);
    json_add_time(w, end_key, clock_wall_ns());
}

/* ---- the two versions ---- */

static void write_v02(struct job *job, const struct stage *stage, struct str *out)
{
    struct json_writer w = { .out = out };
    CLEANUP(free) char *built_for = platform(stage);

    json_begin_dict(&w, NULL);
    add_builder(&w, job);
    json_add_text(&w, "buildType", BUILD_TYPE);
    add_materials(&w, "materials", &job->materials);
    json_begin_dict(&w, "invocation");
    add_source(&w, job, "entryPoint");
    add_parameters(&w, "parameters", job);
    json_begin_dict(&w, "environment");
    json_add_text(&w, "platform", built_for);
    json_end_dict(&w);
    json_end_dict(&w);
    if (job->options->attest->is_max)
        add_steps(&w, job);
    json_begin_dict(&w, "metadata");
    add_times(&w, job, "buildInvocationID", "buildStartedOn", "buildFinishedOn");
    json_begin_dict(&w, "completeness");
    json_add_bool(&w, "parameters", job->options->attest->is_max);
    json_add_bool(&w, "environment", true);
    json_add_bool(&w, "materials", false); /* RUN may fetch what it likes. */
    json_end_dict(&w);
    json_add_bool(&w, "reproducible", job->options->attest->is_reproducible);
    add_extension(&w, EXTENSION, job);
    json_end_dict(&w);
    json_end_dict(&w);
}

static void write_v1(struct job *job, const struct stage *stage, struct str *out)
{
    struct json_writer w = { .out = out };
    CLEANUP(free) char *built_for = platform(stage);

    json_begin_dict(&w, NULL);
    json_begin_dict(&w, "buildDefinition");
    json_add_text(&w, "buildType", BUILD_TYPE);
    json_begin_dict(&w, "externalParameters");
    add_source(&w, job, "path");
    add_parameters(&w, "request", job);
    json_end_dict(&w);
    json_begin_dict(&w, "internalParameters");
    json_add_text(&w, "builderPlatform", built_for);
    if (job->options->attest->is_max)
        add_steps(&w, job);
    json_end_dict(&w);
    add_materials(&w, "resolvedDependencies", &job->materials);
    json_end_dict(&w);
    json_begin_dict(&w, "runDetails");
    add_builder(&w, job);
    json_begin_dict(&w, "metadata");
    add_times(&w, job, "invocationId", "startedOn", "finishedOn");
    add_extension(&w, "buildkit_metadata", job);
    json_begin_dict(&w, "buildkit_completeness");
    json_add_bool(&w, "request", job->options->attest->is_max);
    json_add_bool(&w, "resolvedDependencies", false);
    json_end_dict(&w);
    json_add_bool(&w, "buildkit_reproducible", job->options->attest->is_reproducible);
    json_end_dict(&w);
    json_end_dict(&w);
    json_end_dict(&w);
}

int attestations_make(struct job *job, const struct stage *stage, struct attestations *out,
                      struct error *err)
{
    const struct build_attest *attest = job->options->attest;
    const struct build_origin *origin = job->options->origin;

    if (!attest)
        return 0;
    if (origin)
        material_add(job, origin->uri, strlen(origin->commit) <= 40 ? "sha1" : "sha256",
                     *origin->commit ? origin->commit : NULL);
    if (attest->has_provenance) {
        struct str text = {};

        (attest->is_v1 ? write_v1 : write_v02)(job, stage, &text);
        attestations_add(out, attest->is_v1 ? V1_TYPE : V02_TYPE, &text);
    }
    if (attest->has_sbom && attest->generator)
        return sbom_generate(job, stage, out, err);
    if (attest->has_sbom) {
        CLEANUP(str_done) struct str text = {};
        int fd = job_mount(job, stage->chain_id, err);

        if (fd < 0 || sbom_make(fd, stage->image_id, stage->image.created_ns, &text, err) < 0)
            return error_context(err, "SBOM");
        attestations_add(out, SPDX_TYPE, &text);
    }
    return 0;
}
