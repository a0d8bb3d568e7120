/* moby.buildkit.v1.Control: builds, their progress, and the cache. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "buildkit/internal.h"
#include "codec/protobuf.h"
#include "engine/image.h"
#include "spec/platform.h"

#include "base/banned.h"

#define WAIT_STEP_NS (50 * NS_PER_MS)

/* ---- Solve ---- */

static void exporter_done(struct exporter *exporter)
{
    free(exporter->type);
    map_done(&exporter->attributes);
}

void solve_request_init(struct solve_request *out)
{
    *out = (struct solve_request){};
    map_init_empty(&out->attributes, free);
    map_init_empty(&out->inputs, free);
    map_init_empty(&out->first.attributes, free);
}

void solve_request_done(struct solve_request *request)
{
    free(request->ref);
    free(request->session);
    free(request->frontend);
    map_done(&request->attributes);
    map_done(&request->inputs);
    strv_done(&request->entitlements);
    for (size_t i = 0; i < request->exporter_count; i++)
        exporter_done(&request->exporters[i]);
    exporter_done(&request->first);
    for (size_t i = 0; i < request->cache_export_count; i++)
        free(request->cache_exports[i].place);
}

static void set_text(char **target, const struct protobuf_field *field)
{
    free(*target);
    *target = protobuf_text(field);
}

static int read_exporter(const struct protobuf_field *field, struct solve_request *request,
                         struct error *err)
{
    struct protobuf_reader inside = protobuf_inside(field);
    struct protobuf_field part;
    struct exporter *exporter;
    int found;

    if (request->exporter_count == EXPORTER_LIMIT)
        return error_set(err, ERROR_INVALID, "more than %d exporters", EXPORTER_LIMIT);
    exporter = &request->exporters[request->exporter_count++];
    *exporter = (struct exporter){ .type = xstrdup("") };
    map_init_empty(&exporter->attributes, free);
    while ((found = protobuf_next(&inside, &part, err)) > 0)
        if (part.number == 1)
            set_text(&exporter->type, &part);
        else if (part.number == 2 &&
                 protobuf_map_entry(&part, &exporter->attributes, ATTRIBUTE_LIMIT, err) < 0)
            return -1;
    return found;
}

/* CacheOptions: exports are 4; imports come as attributes of the frontend. */
static int read_cache(const struct protobuf_field *field, struct solve_request *request,
                      struct error *err)
{
    struct protobuf_reader inside = protobuf_inside(field);
    struct protobuf_field part, detail;
    int found;

    while ((found = protobuf_next(&inside, &part, err)) > 0) {
        struct protobuf_reader entry = protobuf_inside(&part);
        CLEANUP(map_done) struct map attributes = {};
        CLEANUP(free) char *type = NULL;

        if (part.number != 4)
            continue;
        map_init_empty(&attributes, free);
        while ((found = protobuf_next(&entry, &detail, err)) > 0)
            if (detail.number == 1)
                set_text(&type, &detail);
            else if (detail.number == 2 &&
                     protobuf_map_entry(&detail, &attributes, ATTRIBUTE_LIMIT, err) < 0)
                return -1;
        if (found < 0 || cache_export_take(type ? type : "", &attributes, request, err) < 0)
            return -1;
    }
    return found;
}

static int read_solve_field(const struct protobuf_field *field, struct solve_request *out,
                            struct error *err)
{
    switch (field->number) {
    case 1:
        set_text(&out->ref, field);
        break;
    case 2:
        out->definition = *field;
        break;
    case 3:
        set_text(&out->first.type, field);
        break;
    case 4:
        return protobuf_map_entry(field, &out->first.attributes, ATTRIBUTE_LIMIT, err);
    case 5:
        set_text(&out->session, field);
        break;
    case 6:
        set_text(&out->frontend, field);
        break;
    case 7:
        return protobuf_map_entry(field, &out->attributes, ATTRIBUTE_LIMIT, err);
    case 8:
        return read_cache(field, out, err);
    case 9:
        if (out->entitlements.count < ATTRIBUTE_LIMIT)
            strv_add_take(&out->entitlements, protobuf_text(field));
        break;
    case 10:
        return llb_read_input(field, &out->inputs, err);
    case 12:
        return source_policy_check(field, err);
    case 13:
        return read_exporter(field, out, err);
    case 14:
        out->wants_session_exporter = field->value != 0;
        break;
    case 15:
        if (field->size > 0)
            return source_policy_refuse(err);
        break;
    }
    return 0;
}

static int read_solve(const struct buf *message, struct solve_request *out, struct error *err)
{
    struct protobuf_reader reader = protobuf_read(buf_bytes(message), message->size);
    struct protobuf_field field;
    int found;

    solve_request_init(out);
    while ((found = protobuf_next(&reader, &field, err)) > 0)
        if (read_solve_field(&field, out, err) < 0)
            return -1;
    if (found < 0)
        return -1;
    if (text_is_empty(out->ref))
        return error_set(err, ERROR_INVALID, "the build has no reference");
    if (out->wants_session_exporter)
        return error_set(err, ERROR_UNSUPPORTED,
                         "outputs that the session names after the build are not supported by "
                         "this engine");
    return 0;
}

int solve_announce(struct solve *solve, struct solve_request *request, struct error *err)
{
    mutex_lock(&solve->lock);
    bool was_known = solve->is_known;
    if (!was_known) {
        solve->session_id = TAKE(request->session);
        strv_add_all(&solve->entitlements, &request->entitlements);
        solve->cache_mode = request->cache_mode;
        solve->is_known = true;
        condition_broadcast(&solve->changed);
    }
    mutex_unlock(&solve->lock);
    return was_known ? error_set(err, ERROR_CONFLICT, "the build %s is there already", request->ref)
                     : 0;
}

/* The client runs the build over the bridge, and says what came of it. */
static int wait_for_return(struct solve *solve, int cancel_fd, struct grpc_call *call,
                           struct error *err)
{
    int result = 0;

    mutex_lock(&solve->lock);
    while (!solve->is_returned && result == 0) {
        condition_wait_until(&solve->changed, &solve->lock, clock_monotonic_ns() + WAIT_STEP_NS);
        if (!solve->is_returned && fd_is_readable(cancel_fd))
            result = error_set(err, ERROR_CANCELLED, "context canceled");
    }
    if (result == 0 && solve->failure.error.kind != ERROR_NONE)
        result = failure_tell(&solve->failure, call, err);
    mutex_unlock(&solve->lock);
    return result;
}

/* The build without a bridge: the frontend is named by the call itself. */
static int run_frontend(struct buildkit *buildkit, struct solve *solve,
                        const struct solve_request *request, int cancel_fd, struct grpc_call *call,
                        struct error *err)
{
    const struct frontend_request wanted = {
        .attributes = &request->attributes,
        .inputs = &request->inputs,
        .archive = request->archive,
        .solve = solve,
        .cancel_fd = cancel_fd,
    };
    CLEANUP(failure_done) struct failure failure = {};
    struct frontend_result result = {};

    if (strcmp(request->frontend, "dockerfile.v0") != 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "this engine knows the frontend dockerfile.v0 only, not %s",
                         request->frontend);
    map_init_empty(&result.metadata, NULL);
    int built = frontend_build(buildkit, &wanted, &result, &failure);
    MAP_EACH (&result.metadata, entry) {
        buf_done(entry->value);
        free(entry->value);
    }
    map_done(&result.metadata);
    if (built < 0)
        return failure_tell(&failure, call, err);
    snprintf(solve->result_id, sizeof(solve->result_id), "%s", result.built.id);
    return 0;
}

static int run_definition(struct solve *solve, const struct solve_request *request,
                          struct error *err)
{
    return llb_read_result(request->definition.bytes, request->definition.size, solve->result_id,
                           err) < 0
               ? -1
               : 0;
}

static int export_all(struct buildkit *buildkit, struct solve *solve,
                      const struct solve_request *request, int cancel_fd, struct map *response,
                      bool *out_keeps, struct error *err)
{
    const struct exporter *exporters = request->exporters;
    size_t count = request->exporter_count;
    struct built built;
    int result = 0;

    if (count == 0 && !text_is_empty(request->first.type)) {
        exporters = &request->first;
        count = 1;
    }
    if (!*solve->result_id)
        return count == 0 ? 0 : error_set(err, ERROR_INVALID, "the build has no result to export");
    if (!built_find(buildkit, solve->result_id, &built))
        return error_set(err, ERROR_NOT_FOUND, "the result %s is not there", solve->result_id);
    for (size_t i = 0; i < count && result == 0; i++) {
        *out_keeps = *out_keeps || export_keeps(exporters[i].type);
        result = export_result(buildkit, solve, &built, &exporters[i], i, cancel_fd, response, err);
    }
    return result;
}

/* Those that have a place here stay, and all that are something else's as well. */
static void let_go_of_images(struct buildkit *buildkit, struct solve *solve, bool keeps)
{
    CLEANUP(strv_done) struct strv held = {};
    struct built built = {};

    /* Those of a result for several platforms have no place here. */
    if (!built_find(buildkit, solve->result_id, &built) || built.image_count > 0)
        keeps = false;
    mutex_lock(&solve->lock);
    strv_add_all(&held, &solve->held_images);
    solve->is_let_go = true;
    mutex_unlock(&solve->lock);
    for (size_t i = 0; i < held.count; i++)
        engine_image_let_go(buildkit->engine, held.items[i],
                            keeps && strcmp(held.items[i], built.image_id) == 0);
}

int solve_run(struct buildkit *buildkit, struct solve *solve, const struct solve_request *request,
              int cancel_fd, struct grpc_call *call, struct map *response, struct error *err)
{
    bool keeps = false;
    int result;

    if (request->definition.size > 0)
        result = run_definition(solve, request, err);
    else if (!text_is_empty(request->frontend))
        result = run_frontend(buildkit, solve, request, cancel_fd, call, err);
    else
        result = wait_for_return(solve, cancel_fd, call, err);
    if (result == 0)
        result = export_all(buildkit, solve, request, cancel_fd, response, &keeps, err);
    result = cache_exports_run(buildkit, solve, request, cancel_fd, result, response, err);
    let_go_of_images(buildkit, solve, keeps);
    return result;
}

int control_solve(struct grpc_call *call, void *data, struct error *err)
{
    struct buildkit *buildkit = data;
    CLEANUP(solve_request_done) struct solve_request request = {};
    CLEANUP(solve_unref) struct solve *solve = NULL;
    CLEANUP(map_done) struct map response = {};
    CLEANUP(buf_done) struct buf message = {}, answer = {};

    if (grpc_receive_one(call, &message, err) < 0 || read_solve(&message, &request, err) < 0)
        return -1;
    solve = solve_get(buildkit, request.ref);
    if (solve_announce(solve, &request, err) < 0)
        return -1;
    map_init_empty(&response, free);
    int result = solve_run(buildkit, solve, &request, grpc_cancel_fd(call), call, &response, err);
    solve_finish(buildkit, solve);
    if (result < 0)
        return -1;
    MAP_EACH (&response, entry)
        protobuf_add_entry(&answer, 1, entry->key, entry->value);
    return grpc_send(call, &answer, err);
}

/* ---- Status ---- */

/* The text in field 1 of the request. */
static char *read_text(struct grpc_call *call, uint32_t number, struct error *err)
{
    CLEANUP(buf_done) struct buf message = {};
    struct protobuf_field field;
    char *text = xstrdup("");
    int found;

    if (grpc_receive_one(call, &message, err) < 0) {
        free(text);
        return NULL;
    }
    struct protobuf_reader reader = protobuf_read(buf_bytes(&message), message.size);
    while ((found = protobuf_next(&reader, &field, err)) > 0)
        if (field.number == number && field.type == PROTOBUF_BYTES)
            set_text(&text, &field);
    if (found == 0)
        return text;
    free(text);
    return NULL;
}

int control_status(struct grpc_call *call, void *data, struct error *err)
{
    struct buildkit *buildkit = data;
    CLEANUP(solve_unref) struct solve *solve = NULL;
    CLEANUP(free) char *ref = read_text(call, 1, err);
    CLEANUP(buf_done) struct buf message = {};
    int cancel_fd = grpc_cancel_fd(call), found;

    if (!ref || solve_find(buildkit, ref, cancel_fd, &solve, err) < 0)
        return -1;
    for (size_t i = 0; (found = trace_next(&solve->progress, i, cancel_fd, &message, err)) > 0; i++)
        if (grpc_send(call, &message, err) < 0)
            return -1;
    return found;
}

/* ---- what there is ---- */

static void write_platform(struct buf *out, uint32_t field, const struct platform *platform)
{
    CLEANUP(buf_done) struct buf part = {};

    protobuf_add_text(&part, 1, platform->architecture);
    protobuf_add_text(&part, 2, platform->os);
    protobuf_add_text(&part, 3, platform->variant);
    protobuf_add_message(out, field, &part);
}

static void write_version(struct buf *out, uint32_t field)
{
    CLEANUP(buf_done) struct buf part = {};

    protobuf_add_text(&part, 1, "berth");
    protobuf_add_text(&part, 2, "v" BERTH_VERSION);
    protobuf_add_message(out, field, &part);
}

void control_write_worker(struct buf *out)
{
    CLEANUP(platform_done) struct platform platform = {};

    platform_native(&platform);
    protobuf_add_text(out, 1, "berth");
    /* The label is how clients of the docker driver see that oci and docker exporters and pushing
     * by the builder work. */
    protobuf_add_entry(out, 2, "org.mobyproject.buildkit.worker.snapshotter", "overlayfs");
    protobuf_add_entry(out, 2, "org.mobyproject.buildkit.worker.executor", "berth");
    write_platform(out, 3, &platform);
    write_version(out, 5);
}

int control_list_workers(struct grpc_call *call, void *data UNUSED, struct error *err)
{
    CLEANUP(buf_done) struct buf message = {}, worker = {}, answer = {};

    if (grpc_receive_one(call, &message, err) < 0)
        return -1;
    if (message.size > 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "filters of workers are not supported by this engine: it has one worker");
    control_write_worker(&worker);
    protobuf_add_message(&answer, 1, &worker);
    return grpc_send(call, &answer, err);
}

int control_info(struct grpc_call *call, void *data UNUSED, struct error *err)
{
    CLEANUP(buf_done) struct buf message = {}, answer = {};

    if (grpc_receive_one(call, &message, err) < 0)
        return -1;
    write_version(&answer, 1);
    return grpc_send(call, &answer, err);
}

/* Builds that are over are not recorded: there is nothing to tell. */
int control_history(struct grpc_call *call, void *data UNUSED, struct error *err)
{
    CLEANUP(buf_done) struct buf message = {};

    return grpc_receive_one(call, &message, err);
}

int health_check(struct grpc_call *call, void *data UNUSED, struct error *err)
{
    CLEANUP(buf_done) struct buf message = {}, answer = {};

    if (grpc_receive_one(call, &message, err) < 0)
        return -1;
    protobuf_add_number(&answer, 1, 1); /* SERVING */
    return grpc_send(call, &answer, err);
}
