/* One Dockerfile for several platforms: a build for each, side by side. Steps that are the same for
 * all are carried out once, as those of any builds are that run at the same time. */
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/descriptor.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "build/context.h"
#include "build/graph.h"
#include "engine/build.h"
#include "engine/build_cache.h"
#include "engine/image.h"
#include "engine/internal.h"
#include "spec/dockerignore.h"

#include "base/banned.h"

#define HELD_LIMIT ((size_t)4 << 20) /* text of a platform that is not its turn yet */

struct several;

/* The build for one of them. */
struct variant {
    struct several *all;
    char *platform;
    struct build_options options;
    struct build_result result;
    struct error error;
    int status;
    bool is_over;
    struct str held;
    pthread_t thread;
    bool has_thread;
};

struct several {
    struct engine *engine;
    const struct build_options *options; /* what the caller said */
    struct build_options common;         /* what they have in common */
    struct build_group *group;
    char *dockerfile_name;
    struct dockerignore *ignored; /* what .dockerignore says; NULL */
    struct str dockerfile_text;
    int abort_fd, cancel_fd;
    struct mutex lock; /* guards what follows, and each variant's is_over and held */
    size_t current;    /* whose text is let out as it comes */
    struct variant *variants;
    size_t count;
};

static void several_done(struct several *several)
{
    for (size_t i = 0; i < several->count; i++) {
        free(several->variants[i].platform);
        str_done(&several->variants[i].held);
        build_result_done(&several->variants[i].result);
    }
    free(several->variants);
    build_group_free(several->group);
    free(several->dockerfile_name);
    dockerignore_free(several->ignored);
    str_done(&several->dockerfile_text);
    if (several->abort_fd >= 0)
        close(several->abort_fd);
    if (several->cancel_fd >= 0)
        close(several->cancel_fd);
    mutex_done(&several->lock);
}
CLEANUP_VALUE(several_done, struct several)

/* ---- what they say ---- */

static void let_out(struct several *several, struct variant *variant) REQUIRES(several->lock)
{
    const struct build_options *options = several->options;

    if (options->stream && variant->held.length > 0)
        options->stream(options->data, variant->held.data, variant->held.length);
    str_clear(&variant->held);
}

static void on_text(void *data, const char *text, size_t size)
{
    struct variant *variant = data;
    struct several *several = variant->all;

    mutex_lock(&several->lock);
    if (variant == &several->variants[several->current])
        several->options->stream(several->options->data, text, size);
    else if (variant->held.length + size <= HELD_LIMIT)
        str_add_bytes(&variant->held, text, size);
    mutex_unlock(&several->lock);
}

static void on_event(void *data, const struct build_event *event)
{
    struct several *several = ((struct variant *)data)->all;

    mutex_lock(&several->lock);
    several->options->event(several->options->data, event);
    mutex_unlock(&several->lock);
}

static void end_turn(struct variant *variant)
{
    struct several *several = variant->all;

    mutex_lock(&several->lock);
    variant->is_over = true;
    while (several->current < several->count && several->variants[several->current].is_over) {
        let_out(several, &several->variants[several->current]);
        several->current++;
    }
    if (several->current < several->count)
        let_out(several, &several->variants[several->current]);
    mutex_unlock(&several->lock);
}

/* ---- building ---- */

static void *build_variant(void *data)
{
    struct variant *variant = data;
    struct several *several = variant->all;

    variant->status = builder_build(several->engine->builder, &variant->options, &variant->result,
                                    &variant->error);
    if (variant->status < 0)
        eventfd_write(several->abort_fd, 1);
    end_turn(variant);
    return NULL;
}

/* Readable when the client cancels or one has failed. */
static int watch_cancellation(struct several *several, struct error *err)
{
    several->abort_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (several->abort_fd < 0)
        return error_sys(err, "make an event");
    several->cancel_fd = descriptor_either(several->abort_fd, several->options->cancel_fd, err);
    return several->cancel_fd < 0 ? -1 : 0;
}

/* The context is filtered once, before any build looks at it; that may take the Dockerfile away. */
static int read_dockerfile(struct several *several, struct error *err)
{
    struct build_options *common = &several->common;

    if (common->is_filtered)
        return 0;
    if (common->dockerfile_text)
        several->dockerfile_name = xstrdup(common->dockerfile ?: "Dockerfile");
    else if (context_read_dockerfile(common->context_fd, common->dockerfile,
                                     &several->dockerfile_text, &several->dockerfile_name, err) < 0)
        return -1;
    if (!common->dockerfile_text)
        common->dockerfile_text = &several->dockerfile_text;
    common->dockerfile = several->dockerfile_name;
    common->is_filtered = true;
    if (context_read_ignore(common->context_fd, several->dockerfile_name, &several->ignored, err) <
        0)
        return -1;
    common->ignored = several->ignored;
    return context_apply_ignore(common->context_fd, several->ignored, err);
}

/* Those named, each once. */
static int add_variants(struct several *several, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {}, wanted = {};

    strv_split(&names, several->options->platform, ',');
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(platform_done) struct platform platform = {};

        if (graph_read_platform(names.items[i], &platform, err) < 0)
            return -1;
        CLEANUP(free) char *text = platform_format(&platform);
        if (!strv_contains(&wanted, text))
            strv_add(&wanted, text);
    }
    while (several->options->checks_only && wanted.count > 1) /* they are of the file alone */
        strv_remove(&wanted, wanted.count - 1);
    if (wanted.count > BUILD_PLATFORM_LIMIT)
        return error_set(err, ERROR_INVALID, "more than %d platforms", BUILD_PLATFORM_LIMIT);
    several->variants = xcalloc(wanted.count, sizeof(*several->variants));
    for (size_t i = 0; i < wanted.count; i++) {
        struct variant *variant = &several->variants[several->count++];

        *variant = (struct variant){ .all = several, .platform = xstrdup(wanted.items[i]) };
        variant->options = several->common;
        variant->options.platform = variant->platform;
        variant->options.data = variant;
        variant->options.stream = several->options->stream ? on_text : NULL;
        variant->options.event = several->options->event ? on_event : NULL;
        variant->options.aux_id = NULL;
        variant->options.cancel_fd = several->cancel_fd;
        variant->options.group = several->group;
    }
    return 0;
}

static void run_all(struct several *several)
{
    for (size_t i = 1; i < several->count; i++) {
        struct variant *variant = &several->variants[i];

        variant->status = -1;
        variant->has_thread = thread_start("build-platform", build_variant, variant,
                                           &variant->thread, &variant->error) == 0;
        if (!variant->has_thread)
            eventfd_write(several->abort_fd, 1);
    }
    build_variant(&several->variants[0]);
    for (size_t i = 1; i < several->count; i++)
        if (several->variants[i].has_thread)
            pthread_join(several->variants[i].thread, NULL);
}

/* The one that failed by itself, rather than because another one did. */
static struct variant *find_failed(struct several *several)
{
    struct variant *found = NULL;

    for (size_t i = 0; i < several->count; i++) {
        struct variant *variant = &several->variants[i];

        if (variant->status < 0 && (!found || found->error.kind == ERROR_CANCELLED))
            found = variant;
    }
    return found;
}

static int fail(struct several *several, struct variant *failed, struct build_result *out,
                struct error *err)
{
    for (size_t i = 0; i < several->count; i++)
        if (several->variants[i].status == 0) {
            engine_image_let_go(several->engine, several->variants[i].result.image_id, false);
            engine_build_cache_drop(several->engine, &several->variants[i].result.cache_images);
        }
    bool has_begun = out->has_begun;
    *out = failed->result;
    out->has_begun |= has_begun;
    failed->result = (struct build_result){};
    *err = failed->error;
    return failed->error.kind == ERROR_CANCELLED ? -1 : error_context(err, "%s", failed->platform);
}

static void give(struct several *several, struct build_result *out)
{
    out->images = xcalloc(several->count, sizeof(*out->images));
    for (size_t i = 0; i < several->count && !several->options->checks_only; i++) {
        const struct build_result *result = &several->variants[i].result;
        struct build_image *image = &out->images[out->image_count++];

        snprintf(image->platform, sizeof(image->platform), "%s", several->variants[i].platform);
        snprintf(image->image_id, sizeof(image->image_id), "%s", result->image_id);
        strv_add_all(&out->cache_images, &result->cache_images);
    }
    out->finding_count = several->variants[0].result.finding_count;
    out->has_begun = true;
    snprintf(out->image_id, sizeof(out->image_id), "%s", several->variants[0].result.image_id);
}

int build_for_platforms(struct engine *engine, const struct build_options *options,
                        struct build_result *out, struct error *err)
{
    CLEANUP(several_done)
    struct several several = { .engine = engine,
                               .options = options,
                               .common = *options,
                               .group = build_group_new(),
                               .abort_fd = -1,
                               .cancel_fd = -1 };
    struct error local = {};

    if (!err)
        err = &local;
    mutex_init(&several.lock);
    if (options->tags && options->tags->count > 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "images for several platforms (%s) have one name in a registry or in an "
                         "archive, but not here: push them (--push), or write them with an output "
                         "of type oci, local or tar",
                         options->platform);
    if (!options->holds_image && !options->checks_only)
        return error_set(err, ERROR_UNSUPPORTED,
                         "building for several platforms (%s) needs an output: --push, or one of "
                         "type oci, local or tar",
                         options->platform);
    if (watch_cancellation(&several, err) < 0 || read_dockerfile(&several, err) < 0 ||
        add_variants(&several, err) < 0)
        return -1;
    run_all(&several);
    struct variant *failed = find_failed(&several);
    if (failed)
        return fail(&several, failed, out, err);
    give(&several, out);
    if (options->aux_id && !options->checks_only)
        options->aux_id(options->data, out->image_id);
    return 0;
}
