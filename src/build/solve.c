/* A build from beginning to end: read, plan, carry out, name the result. */
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/cache_image.h"
#include "build/check.h"
#include "build/config.h"
#include "build/context.h"
#include "build/context_sync.h"
#include "build/expand.h"
#include "build/include.h"
#include "build/job.h"
#include "build/location.h"
#include "build/provenance.h"
#include "build/step.h"
#include "spec/dockerignore.h"
#include "spec/reference.h"

#include "base/banned.h"

static void job_init(struct job *job, struct builder *builder, const struct build_options *options)
{
    *job = (struct job){ .builder = builder,
                         .options = options,
                         .abort_fd = -1,
                         .cancel_fd = -1,
                         .epoch_ns = -1,
                         .began_ns = clock_wall_ns() };
    if (options->synced)
        job->digests = context_sync_digests(options->synced);
    mutex_init(&job->lock);
    condition_init(&job->changed);
    outputs_init(&job->outputs, options);
    map_init_empty(&job->mounts, NULL);
}

static void job_done(struct job *job)
{
    struct store *store = job->builder->store;

    cache_images_close(job);
    cache_touch(job->builder->database, &job->used_keys, NULL);
    MAP_EACH (&job->mounts, entry)
        close((int)((intptr_t)entry->value - 1));
    map_done(&job->mounts);
    for (size_t i = 0; i < job->held_layers.count; i++)
        store_layer_release(store, job->held_layers.items[i]);
    for (size_t i = 0; job->stages && i < job->graph.count; i++)
        stage_done(&job->stages[i]);
    free(job->stages);
    free(job->states);
    if (job->abort_fd >= 0)
        close(job->abort_fd);
    if (job->cancel_fd >= 0)
        close(job->cancel_fd);
    platform_done(&job->platform);
    free(job->dockerfile_name);
    str_done(&job->dockerfile_text);
    strv_done(&job->declared_args);
    strv_done(&job->used_keys);
    strv_done(&job->held_layers);
    materials_done(&job->materials);
    build_args_done(&job->args);
    output_done(&job->head);
    outputs_done(&job->outputs);
    graph_done(&job->graph);
    dockerignore_free(job->ignored);
    dockerfile_done(&job->file);
    mutex_done(&job->lock);
    condition_done(&job->changed);
}
CLEANUP_VALUE(job_done, struct job)

/* One descriptor that is readable when either the client cancels or a stage has failed. */
static int watch_cancellation(struct job *job, struct error *err)
{
    job->abort_fd = eventfd(0, EFD_CLOEXEC);
    if (job->abort_fd < 0)
        return error_sys(err, "make an event");
    job->cancel_fd = descriptor_either(job->abort_fd, job->options->cancel_fd, err);
    return job->cancel_fd < 0 ? -1 : 0;
}

/* ---- before the first step ---- */

/* Only the language that this builder speaks: the standard frontend in any version, and berth's
 * own. Images of other frontends are not run. */
static int check_syntax(const struct job *job, struct error *err)
{
    static const char *const known[] = { "docker/dockerfile", "docker.io/docker/dockerfile",
                                         "docker/dockerfile-upstream", "berth/1" };
    const char *given = job->options->arguments
                            ? map_get(job->options->arguments, "BUILDKIT_SYNTAX")
                            : NULL;
    const char *syntax = text_is_empty(given) ? job->file.syntax : given;
    size_t length = syntax ? strcspn(syntax, ":@ \t") : 0;

    for (size_t i = 0; i < COUNT(known); i++)
        if (!syntax || (strlen(known[i]) == length && strncmp(known[i], syntax, length) == 0))
            return 0;
    return error_set(err, ERROR_INVALID,
                     "the syntax %s is not supported: this builder speaks docker/dockerfile:1 and "
                     "berth/1 by itself (line 1)",
                     syntax);
}

/* The Dockerfile's text and the name that it goes by. */
static int find_dockerfile(struct job *job, struct error *err)
{
    const struct build_options *options = job->options;

    if (!options->dockerfile_text)
        return context_read_dockerfile(options->context_fd, options->dockerfile,
                                       &job->dockerfile_text, &job->dockerfile_name, err);
    str_add(&job->dockerfile_text, str_text(options->dockerfile_text));
    job->dockerfile_name = xstrdup(options->dockerfile ?: "Dockerfile");
    return 0;
}

/* In a context that was filtered the file only explains what is missing. */
static int read_ignore(struct job *job, struct error *err)
{
    const struct build_options *options = job->options;
    struct error ignored;

    if (options->is_filtered) {
        if (!options->ignored)
            context_read_ignore(options->context_fd, job->dockerfile_name, &job->ignored, &ignored);
        return 0;
    }
    if (context_read_ignore(options->context_fd, job->dockerfile_name, &job->ignored, err) < 0)
        return -1;
    return context_apply_ignore(options->context_fd, job->ignored, err);
}

static int read_dockerfile(struct job *job, struct error *err)
{
    int context_fd = job->options->context_fd;
    const struct include_roots roots = { context_fd, job->options->contexts };

    if (context_fd < 0)
        return error_set(err, ERROR_INVALID, "missing build context");
    if (find_dockerfile(job, err) < 0 ||
        dockerfile_parse_at(str_text(&job->dockerfile_text), job->dockerfile_text.length,
                            job->dockerfile_name, &job->file, &job->failed_line, err) < 0 ||
        check_syntax(job, err) < 0 || include_all(&job->file, &roots, &job->failed_at, err) < 0 ||
        read_ignore(job, err) < 0)
        return -1;
    for (size_t i = 0; i < job->file.count; i++) {
        const struct instruction *instruction = &job->file.instructions[i];

        if (instruction_check(instruction, err) < 0) {
            job->failed_at = instruction;
            return -1;
        }
        if (instruction->kind->type != INSTRUCTION_ARG)
            continue;
        for (size_t k = 0; k < instruction->arguments.count; k++)
            job_declare(job, instruction->arguments.items[k]);
    }
    return 0;
}

/* SOURCE_DATE_EPOCH: seconds since 1970. */
static int read_epoch(struct job *job, struct error *err)
{
    const char *text = job->options->arguments
                           ? map_get(job->options->arguments, "SOURCE_DATE_EPOCH")
                           : NULL;
    int64_t seconds;

    if (text_is_empty(text))
        return 0;
    if (parse_int64(text, 0, INT64_MAX / NS_PER_S, &seconds, NULL) < 0)
        return error_set(err, ERROR_INVALID, "invalid SOURCE_DATE_EPOCH: %s", text);
    job->epoch_ns = seconds * NS_PER_S;
    return 0;
}

/* The names for the result: parsed, and as they are shown. */
static int read_tags(const struct build_options *options, struct strv *out, struct error *err)
{
    for (size_t i = 0; options->tags && i < options->tags->count; i++) {
        CLEANUP(reference_done) struct reference reference = {};
        struct error why = {};

        if (reference_parse(options->tags->items[i], &reference, &why) < 0)
            return error_set(err, ERROR_INTERNAL, "%s", why.text);
        if (reference.digest)
            return error_set(err, ERROR_INTERNAL, "build tag cannot contain a digest");
        if (reference_name_check(&reference, err) < 0)
            return -1;

        CLEANUP(free) char *familiar = reference_familiar(&reference);
        if (!strv_contains(out, familiar))
            strv_add(out, familiar);
    }
    return 0;
}

static size_t count_labels(const struct build_options *options)
{
    return options->labels ? options->labels->count : 0;
}

static size_t count_steps(const struct job *job)
{
    size_t count = job->graph.global_count + count_labels(job->options);

    for (size_t i = 0; i < job->graph.count; i++)
        if (job->graph.stages[i].is_needed)
            count += 1 + job->graph.stages[i].step_count;
    return count;
}

static size_t count_layer_steps(const struct build_stage *stage)
{
    size_t count = 1; /* FROM */

    for (size_t i = 0; i < stage->step_count; i++)
        count += output_is_layer_step(stage->steps[i].text);
    return count;
}

/* What cannot be carried out is said before anything is. */
static int check_support(struct job *job, struct error *err)
{
    for (size_t i = 0; i < job->graph.count; i++) {
        const struct build_stage *stage = &job->graph.stages[i];

        for (size_t k = 0; stage->is_needed && k < stage->step_count; k++)
            if (instruction_check_support(&stage->steps[k], err) < 0) {
                job->failed_at = &stage->steps[k];
                return -1;
            }
    }
    return 0;
}

/* Triggers of an image that is here may need stages as well: COPY --from. */
static int mark_triggers(struct job *job, size_t index, struct error *err)
{
    CLEANUP(image_unref) struct image *image = NULL;
    const struct build_stage *stage = &job->graph.stages[index];

    if (stage->base_stage != NO_STAGE ||
        store_image_find(job->builder->store, stage->base, &image, NULL) < 0)
        return 0;
    for (size_t i = 0; i < image->config.config.on_build.count; i++) {
        CLEANUP(dockerfile_done) struct dockerfile trigger = {};
        const char *text = image->config.config.on_build.items[i];

        /* One that cannot be read is told when its turn comes. */
        if (dockerfile_parse(text, strlen(text), NULL, &trigger, NULL) < 0)
            continue;
        for (size_t k = 0; k < trigger.count; k++)
            if (trigger.instructions[k].kind &&
                graph_mark(&job->graph, index, &trigger.instructions[k], err) < 0)
                return -1;
    }
    return 0;
}

static int resolve(struct job *job, struct error *err)
{
    char escape = job->file.escape;

    if (graph_resolve(&job->graph, job->target, &job->args, escape, err) < 0)
        return -1;
    for (size_t i = job->graph.count; i-- > 0;) {
        if (!job->graph.stages[i].is_needed)
            continue;
        if (!job->graph.stages[i].base &&
            graph_resolve(&job->graph, job->target, &job->args, escape, err) < 0)
            return -1;
        if (mark_triggers(job, i, err) < 0)
            return -1;
    }
    return graph_resolve(&job->graph, job->target, &job->args, escape, err);
}

/* ---- the steps ---- */

/* ARGs before the first FROM. */
static int declare_globals(struct job *job, struct error *err)
{
    for (size_t i = 0; i < job->graph.global_count; i++)
        if (build_args_declare_globals(&job->args, &job->file.instructions[i], job->file.escape,
                                       err) < 0)
            return -1;
    return 0;
}

/* Of the stage that the one at 'index' stands on in the end, as events tell it. */
static char *show_platform(const struct job *job, size_t index)
{
    const struct build_stage *stage = &job->graph.stages[index];
    CLEANUP(free) char *target = platform_format(&job->platform);

    while (stage->base_stage != NO_STAGE)
        stage = &job->graph.stages[stage->base_stage];
    return !stage->platform || strcmp(stage->platform, target) == 0
               ? TAKE(target)
               : xasprintf("%s->%s", stage->platform, target + strlen("linux/"));
}

static int plan(struct job *job, struct error *err)
{
    size_t step = job->graph.global_count;
    const char *target = job->options->target;
    CLEANUP(free)
    char *stage_arg = xasprintf("TARGETSTAGE=%s", text_is_empty(target) ? "default" : target);

    build_args_declare_global(&job->args, stage_arg);
    if (declare_globals(job, err) < 0 || resolve(job, err) < 0)
        return -1;
    job->outputs.step_count = count_steps(job);
    job->stages = xcalloc(job->graph.count, sizeof(struct stage));
    job->states = xcalloc(job->graph.count, sizeof(enum stage_state));
    output_add(&job->outputs, &job->head, 0);
    for (size_t i = 0; i < job->graph.count; i++) {
        struct stage *stage = &job->stages[i];

        if (!job->graph.stages[i].is_needed) {
            *stage = (struct stage){};
            continue;
        }
        output_add(&job->outputs, &stage->output, step);
        stage->output.stage_name = job->graph.stages[i].name;
        stage->output.platform = job->options->group ? show_platform(job, i) : NULL;
        stage->output.layer_step_count = count_layer_steps(&job->graph.stages[i]);
        step += 1 + job->graph.stages[i].step_count;
    }
    return check_support(job, err);
}

static int carry_out(struct job *job, struct error *err)
{
    for (size_t i = 0; i < job->file.warnings.count; i++) {
        CLEANUP(free) char *line = xasprintf("%s\n", job->file.warnings.items[i]);

        output_error_text(&job->head, line, strlen(line));
        outputs_note(&job->outputs, line);
    }
    for (size_t i = 0; i < job->graph.global_count; i++)
        output_step(&job->head, job->file.instructions[i].text);
    cache_images_open(job);
    output_finish(&job->head, "");
    return job_run(job, err);
}

/* ---- the result ---- */

/* It is held before it gets its names: another build that made the same one may remove it. What is
 * there already, whole and with its names, costs no writing. */
static int hold_image(struct job *job, const struct stage *stage, struct image **out,
                      struct error *err)
{
    struct store *store = job->builder->store;
    CLEANUP(image_unref) struct image *image = NULL, *base = NULL;

    if (store_image_find(store, stage->image_id, &image, stage->is_changed ? NULL : err) == 0 &&
        store_image_hold(store, image->id)) {
        *out = TAKE(image);
        return 0;
    }
    if (!stage->is_changed)
        return image ? error_set(err, ERROR_NOT_FOUND, "No such image: %s", stage->image_id) : -1;
    /* The base may have been removed meanwhile; its layers are held. */
    bool has_base = *stage->base_id && store_image_find(store, stage->base_id, &base, NULL) == 0;
    return store_image_create_held(store, &stage->image, has_base ? stage->base_id : "", out, err);
}

static int describe_image(struct job *job, const struct stage *stage, const struct image *image,
                          const struct strv *names, struct error *err)
{
    struct store *store = job->builder->store;
    CLEANUP(attestations_done) struct attestations attestations = {};

    if (attestations_make(job, stage, &attestations, err) < 0)
        return -1;
    for (size_t i = 0; i < names->count; i++) {
        CLEANUP(reference_done) struct reference reference = {};

        if (strv_contains(&image->tags, names->items[i]))
            continue;
        if (reference_parse(names->items[i], &reference, err) < 0 ||
            store_image_tag(store, image->id, &reference, err) < 0)
            return -1;
    }
    return store_image_attest(store, image->id, &attestations, err);
}

static int make_image(struct job *job, const struct stage *stage, const struct strv *names,
                      struct build_result *out, struct error *err)
{
    CLEANUP(image_unref) struct image *image = NULL;

    if (*stage->image_id == 0)
        return error_set(err, ERROR_INVALID, "No image was generated. Is your Dockerfile empty?");
    if (hold_image(job, stage, &image, err) < 0)
        return -1;
    int result = describe_image(job, stage, image, names, err);
    if (result < 0 || !job->options->holds_image)
        store_image_let_go(job->builder->store, image->id, true);
    if (result == 0)
        snprintf(out->image_id, sizeof(out->image_id), "%s", image->id);
    return result;
}

static void trim_cache(struct job *job)
{
    struct builder *builder = job->builder;
    int64_t bytes = 0;
    CLEANUP(strv_done) struct strv gone = {};

    if (job->has_new_entries &&
        cache_trim(builder->database, builder->cache_limit_bytes, NULL, NULL, &gone, &bytes,
                   NULL) == 0 &&
        gone.count > 0 && builder->worker.collect)
        builder->worker.collect(builder->worker.data);
}

/* ---- checks ---- */

static bool look_at_image(void *data, const char *name, struct strv *out_environment,
                          struct platform *out_platform)
{
    struct job *job = data;
    CLEANUP(image_unref) struct image *image = NULL;

    if (store_image_find(job->builder->store, name, &image, NULL) < 0)
        return false;
    strv_add_all(out_environment, &image->config.config.env);
    platform_of(image->config.os, image->config.architecture, image->config.variant, out_platform);
    return true;
}

static void show_finding(const struct job *job, const struct check_finding *finding,
                         struct str *out)
{
    str_add_format(out, "WARNING: %s\n%s\n", finding->rule, finding->text);
    location_show(finding->file_name ? finding->file_name : job->dockerfile_name,
                  finding->file_name ? finding->file_text : str_text(&job->dockerfile_text),
                  finding->line, out);
    str_add(out, "\n");
}

/* What the checks find: told in full when they are all that is wanted, else in a line each to those
 * who see steps; an error if the file says so. */
static int run_checks(struct job *job, bool is_sound, struct build_result *out, struct error *err)
{
    CLEANUP(check_findings_done) struct check_findings findings = {};
    CLEANUP(str_done) struct str text = {};
    bool is_all = job->options->checks_only;
    const struct check_subject subject = {
        .file = &job->file,
        .text = str_text(&job->dockerfile_text),
        .graph = &job->graph,
        .platform = job->has_platform ? NULL : &job->platform, /* else the right one is found */
        .ignored = job_ignored(job),
        .image = look_at_image,
        .data = job,
    };

    if (check_run(&subject, &findings, err) < 0)
        return -1;
    out->finding_count = findings.count;
    for (size_t i = 0; i < findings.count; i++) {
        const struct check_finding *finding = &findings.items[i];

        if (is_all)
            show_finding(job, finding, &text);
        outputs_finding(&job->outputs, finding->rule, finding->line, finding->text);
    }
    if (is_all && findings.count == 0 && is_sound)
        str_add(&text, "Check complete, no warnings found.\n");
    if (is_all && job->options->stream)
        job->options->stream(job->options->data, str_text(&text), text.length);
    if (findings.count == 0 || !findings.is_error || is_all)
        return 0;
    job->failed_line = findings.items[0].line;
    return error_set(err, ERROR_INVALID, "lint violation found for rules: %s (line %d): %s",
                     findings.items[0].rule, findings.items[0].line, findings.items[0].text);
}

static int solve(struct job *job, struct build_result *out, struct error *err)
{
    CLEANUP(strv_done) struct strv unused = {};
    bool is_sound = plan(job, err) == 0;
    struct error why = is_sound ? (struct error){} : *err;

    /* A plan that fails is no reason not to look. */
    if ((!is_sound && !job->options->checks_only) || run_checks(job, is_sound, out, err) < 0)
        return -1;
    if (!is_sound)
        return error_set(err, why.kind, "%s", why.text);
    if (job->options->checks_only)
        return 0;
    if (carry_out(job, err) < 0)
        return -1;
    build_args_unused(&job->args, &job->declared_args, &unused);
    outputs_unused_args(&job->outputs, &unused);
    if (make_image(job, &job->stages[job->target], job->names, out, err) < 0)
        return -1;
    if (cache_images_make(job, &out->cache_images, err) < 0) {
        if (job->options->holds_image)
            store_image_let_go(job->builder->store, out->image_id, true);
        return -1;
    }
    output_success(&job->outputs, out->image_id, job->names);
    return 0;
}

void build_result_done(struct build_result *result)
{
    str_done(&result->location);
    free(result->file_name);
    str_done(&result->file_text);
    strv_done(&result->cache_images);
    free(result->images);
}

static int build(struct job *job, struct build_result *out, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};

    job->names = &names;
    job->has_platform = !text_is_empty(job->options->platform);
    if (graph_read_platform(job->options->platform, &job->platform, err) < 0)
        return -1;
    build_args_init(&job->args, job->options->arguments, &job->platform);
    if (watch_cancellation(job, err) < 0 || read_tags(job->options, &names, err) < 0 ||
        read_epoch(job, err) < 0 || read_dockerfile(job, err) < 0 ||
        graph_make(&job->file, &job->graph, err) < 0)
        return -1;
    job->graph.contexts = job->options->contexts;
    if (graph_find_target(&job->graph, job->options->target, &job->target, err) < 0)
        return -1;

    out->has_begun = true;
    int result = solve(job, out, err);
    out->exit_code = job->exit_code;
    trim_cache(job);
    return result;
}

static void show_location(const struct job *job, const struct error *why, struct build_result *out)
{
    const struct instruction *at = job->failed_at ? job->failed_at : job->graph.failed_at;
    int line = at ? at->line : job->failed_line ? job->failed_line : location_line(why->text);
    bool is_included = at && at->file_name;

    const char *name = is_included ? at->file_name : job->dockerfile_name;
    const char *text = is_included ? at->file_text : str_text(&job->dockerfile_text);

    location_show(name, text, line, &out->location);
    if (line <= 0 || !name)
        return;
    out->file_name = xstrdup(name);
    str_add(&out->file_text, text);
    out->line = line;
}

int builder_build(struct builder *builder, const struct build_options *options,
                  struct build_result *out, struct error *err)
{
    CLEANUP(job_done) struct job job = {};
    struct error local = {};

    if (!err)
        err = &local;
    job_init(&job, builder, options);
    int result = build(&job, out, err);
    if (result < 0 && err->kind != ERROR_CANCELLED)
        show_location(&job, err, out);
    return result;
}
