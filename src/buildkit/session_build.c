/* Builds that POST /build asks for: the same as Control/Solve and Control/Status in one request. */
#include <stdio.h>
#include <sys/eventfd.h>

#include "base/memory.h"
#include "base/text.h"
#include "buildkit/internal.h"
#include "buildkit/upload.h"

#include "base/banned.h"

/* One build, in a thread beside the one that tells its progress. */
struct session_build {
    struct buildkit *buildkit;
    struct solve *solve;
    struct solve_request request;
    int cancel_fd;
    struct map response;
    struct error error;
    int result;
};

static void copy_texts(struct map *to, const struct map *from)
{
    if (from)
        MAP_EACH (from, entry)
            map_set_text(to, entry->key, entry->value);
}

static void read_request(const struct buildkit_build *build, struct solve_request *out)
{
    char id[ID_LENGTH + 1];

    solve_request_init(out);
    id_generate(id);
    out->ref = xstrdup(build->ref ?: id);
    out->session = xstrdup(build->session_id);
    out->frontend = xstrdup("dockerfile.v0");
    copy_texts(&out->attributes, build->attributes);
    strv_add_all(&out->entitlements, build->entitlements);
    if (!build->exporter)
        return;
    out->first.type = xstrdup(build->exporter);
    copy_texts(&out->first.attributes, build->exporter_attributes);
}

static void *work(void *data)
{
    struct session_build *build = data;

    build->result = solve_run(build->buildkit, build->solve, &build->request, build->cancel_fd,
                              NULL, &build->response, &build->error);
    solve_finish(build->buildkit, build->solve);
    return NULL;
}

static void tell(struct session_build *build, const struct buildkit_build *wanted)
{
    CLEANUP(buf_done) struct buf message = {};
    struct error ignored;

    for (size_t i = 0;
         trace_next(&build->solve->progress, i, wanted->cancel_fd, &message, &ignored) > 0; i++)
        wanted->status(wanted->data, buf_bytes(&message), message.size);
}

static int run(struct session_build *build, const struct buildkit_build *wanted, struct error *err)
{
    pthread_t thread;

    if (thread_start("build", work, build, &thread, err) < 0) {
        solve_finish(build->buildkit, build->solve);
        return -1;
    }
    tell(build, wanted);
    pthread_join(thread, NULL);
    if (build->result < 0)
        *err = build->error;
    return build->result;
}

static int run_announced(struct session_build *build, const struct buildkit_build *wanted,
                         struct error *err)
{
    const char *ref = build->solve->ref;

    if (!wanted->is_uploaded)
        return run(build, wanted, err);
    if (upload_take(build->buildkit, ref, wanted->cancel_fd, &build->request.archive, err) < 0) {
        solve_finish(build->buildkit, build->solve);
        return -1;
    }
    int result = run(build, wanted, err);
    upload_end(build->buildkit, ref);
    return result;
}

int buildkit_build(struct buildkit *buildkit, const struct buildkit_build *wanted,
                   char image_id[72], struct error *err)
{
    struct session_build build = { .buildkit = buildkit, .cancel_fd = wanted->cancel_fd };
    struct built built;
    int result = -1;

    *image_id = 0;
    read_request(wanted, &build.request);
    map_init_empty(&build.response, free);
    build.solve = solve_get(buildkit, build.request.ref);
    if (solve_announce(build.solve, &build.request, err) == 0)
        result = run_announced(&build, wanted, err);
    if (result == 0 && wanted->exporter && export_keeps(wanted->exporter) &&
        built_find(buildkit, build.solve->result_id, &built) && built.image_count == 0)
        snprintf(image_id, 72, "%s", built.image_id);
    solve_unref(build.solve);
    solve_request_done(&build.request);
    map_done(&build.response);
    return result;
}

void buildkit_cancel(struct buildkit *buildkit, const char *ref)
{
    mutex_lock(&buildkit->lock);
    struct solve *solve = map_get(&buildkit->solves, ref);
    if (solve)
        eventfd_write(solve->over_fd, 1);
    mutex_unlock(&buildkit->lock);
}
