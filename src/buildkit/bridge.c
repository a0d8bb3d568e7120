/* moby.buildkit.v1.frontend.LLBBridge: the client runs the build, and lets the engine do the work.
 * The header "buildkit-controlapi-buildid" says which build a call belongs to. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "buildkit/internal.h"
#include "codec/protobuf.h"

#include "base/banned.h"

/* What clients may ask of the bridge, and what of LLB they may count on. */
static const char *const frontend_abilities[] = {
    "frontend.caps",
    "frontend.inputs",
    "gateway.evaluate",
    "gateway.solve.evaluate",
    "gateway.solve.metadata",
    "proto.refarray",
    "reference.output",
    "return",
    "returnmap",
    "solve.base",
};
static const char *const llb_abilities[] = {
    "exporter.image.attestations",
    "exporter.multiple",
    "source.git",
    "source.git.fullurl",
    "source.git.keepgitdir",
    "source.http",
    "source.image",
    "source.local",
    "source.local.excludepatterns",
    "source.local.followpaths",
    "source.local.includepatterns",
    "source.local.sessionid",
    "source.local.sharedkeyhint",
};

static int find(struct grpc_call *call, struct buildkit *buildkit, struct solve **out,
                struct error *err)
{
    return solve_find(buildkit, grpc_metadata(call, "buildkit-controlapi-buildid"),
                      grpc_cancel_fd(call), out, err);
}

static void write_abilities(struct buf *out, uint32_t field, const char *const *names, size_t count)
{
    CLEANUP(buf_done) struct buf part = {};

    for (size_t i = 0; i < count; i++) {
        protobuf_add_text(&part, 1, names[i]);
        protobuf_add_number(&part, 2, true);
        protobuf_add_message(out, field, &part);
    }
}

int bridge_ping(struct grpc_call *call, void *data UNUSED, struct error *err)
{
    CLEANUP(buf_done) struct buf message = {}, worker = {}, answer = {};

    if (grpc_receive_one(call, &message, err) < 0)
        return -1;
    write_abilities(&answer, 1, frontend_abilities, COUNT(frontend_abilities));
    write_abilities(&answer, 2, llb_abilities, COUNT(llb_abilities));
    control_write_worker(&worker);
    protobuf_add_message(&answer, 3, &worker);
    return grpc_send(call, &answer, err);
}

/* ---- Solve ---- */

struct bridge_request {
    char *frontend;
    struct protobuf_field definition; /* borrowed */
    struct map attributes, inputs;
};

static void bridge_request_done(struct bridge_request *request)
{
    free(request->frontend);
    map_done(&request->attributes);
    map_done(&request->inputs);
}
CLEANUP_VALUE(bridge_request_done, struct bridge_request)

static int read_request(const struct buf *message, struct bridge_request *out, struct error *err)
{
    struct protobuf_reader reader = protobuf_read(buf_bytes(message), message->size);
    struct protobuf_field field;
    int found;

    map_init_empty(&out->attributes, free);
    map_init_empty(&out->inputs, free);
    while ((found = protobuf_next(&reader, &field, err)) > 0) {
        if (field.number == 1)
            out->definition = field;
        else if (field.number == 2) {
            free(out->frontend);
            out->frontend = protobuf_text(&field);
        } else if (field.number == 3 &&
                   protobuf_map_entry(&field, &out->attributes, ATTRIBUTE_LIMIT, err) < 0)
            return -1;
        else if (field.number == 13 && llb_read_input(&field, &out->inputs, err) < 0)
            return -1;
        else if (field.number == 15 && source_policy_check(&field, err) < 0)
            return -1;
    }
    return found;
}

/* A reference to a result: what clients name it by, and as an input of other builds. */
static void write_reference(const char *id, struct buf *out)
{
    CLEANUP(buf_done) struct buf definition = {};

    protobuf_add_text(out, 1, id);
    if (!*id)
        return;
    llb_write_result(id, &definition);
    protobuf_add_message(out, 2, &definition);
}

static void write_result(const char *id, const struct map *metadata, struct buf *out)
{
    CLEANUP(buf_done) struct buf reference = {}, entry = {};

    write_reference(id, &reference);
    protobuf_add_message(out, 3, &reference);
    MAP_EACH (metadata, item) {
        const struct buf *value = item->value;

        protobuf_add_text(&entry, 1, item->key);
        protobuf_add_bytes(&entry, 2, buf_bytes(value), value->size);
        protobuf_add_message(out, 10, &entry);
    }
}

static void buf_free(void *data)
{
    buf_done(data);
    free(data);
}

static int run(struct buildkit *buildkit, struct solve *solve, const struct bridge_request *request,
               struct grpc_call *call, struct frontend_result *out, struct error *err)
{
    const struct frontend_request wanted = {
        .attributes = &request->attributes,
        .inputs = &request->inputs,
        .solve = solve,
        .cancel_fd = grpc_cancel_fd(call),
    };
    CLEANUP(failure_done) struct failure failure = {};

    if (text_is_empty(request->frontend))
        return llb_read_result(request->definition.bytes, request->definition.size, out->built.id,
                               err) < 0
                   ? -1
                   : 0;
    if (strcmp(request->frontend, "dockerfile.v0") != 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "this engine knows the frontend dockerfile.v0 only, not %s",
                         request->frontend);
    if (frontend_build(buildkit, &wanted, out, &failure) < 0)
        return failure_tell(&failure, call, err);
    return 0;
}

int bridge_solve(struct grpc_call *call, void *data, struct error *err)
{
    struct buildkit *buildkit = data;
    CLEANUP(solve_unref) struct solve *solve = NULL;
    CLEANUP(bridge_request_done) struct bridge_request request = {};
    CLEANUP(buf_done) struct buf message = {}, result = {}, answer = {};
    struct frontend_result built = {};

    if (grpc_receive_one(call, &message, err) < 0 || read_request(&message, &request, err) < 0 ||
        find(call, buildkit, &solve, err) < 0)
        return -1;
    map_init_empty(&built.metadata, buf_free);
    int done = run(buildkit, solve, &request, call, &built, err);
    if (done == 0) {
        write_result(built.built.id, &built.metadata, &result);
        protobuf_add_message(&answer, 3, &result);
    }
    map_done(&built.metadata);
    return done < 0 ? -1 : grpc_send(call, &answer, err);
}

/* ---- Return ---- */

/* google.rpc.Status */
static int read_failure(const struct protobuf_field *field, struct failure *out, struct error *err)
{
    struct protobuf_reader inside = protobuf_inside(field);
    struct protobuf_field part;
    CLEANUP(free) char *text = NULL;
    uint64_t code = 2;
    int found;

    while ((found = protobuf_next(&inside, &part, err)) > 0)
        if (part.number == 1)
            code = part.value;
        else if (part.number == 2) {
            free(text);
            text = protobuf_text(&part);
        } else if (part.number == 3 && part.type == PROTOBUF_BYTES) {
            CLEANUP(buf_done) struct buf any = {};

            buf_add(&any, part.bytes, part.size);
            protobuf_add_message(&out->details, 3, &any);
        }
    if (found < 0)
        return -1;
    error_set(&out->error, grpc_kind((int64_t)code), "%s", text ? text : "the client failed");
    return 0;
}

/* Ref, or a map of them: the first one counts. */
static int read_reference(const struct protobuf_field *field, struct solve *solve,
                          struct error *err)
{
    struct protobuf_reader inside = protobuf_inside(field);
    struct protobuf_field part;
    int found;

    while ((found = protobuf_next(&inside, &part, err)) > 0)
        if (part.number == 1 && part.type == PROTOBUF_BYTES && part.size < RESULT_ID_SIZE)
            snprintf(solve->result_id, sizeof(solve->result_id), "%.*s", (int)part.size,
                     part.size ? (const char *)part.bytes : "");
    return found;
}

static int read_returned(const struct protobuf_field *field, struct solve *solve, struct error *err)
{
    struct protobuf_reader inside = protobuf_inside(field);
    struct protobuf_field part;
    int found;

    while ((found = protobuf_next(&inside, &part, err)) > 0) {
        if (part.number == 3 && read_reference(&part, solve, err) < 0)
            return -1;
        if (part.number == 2 || part.number == 4 || part.number == 12)
            return error_set(err, ERROR_UNSUPPORTED,
                             "results for several platforms, or with attestations, are not "
                             "supported by this engine");
    }
    return found;
}

int bridge_return(struct grpc_call *call, void *data, struct error *err)
{
    CLEANUP(solve_unref) struct solve *solve = NULL;
    CLEANUP(buf_done) struct buf message = {}, answer = {};
    struct protobuf_field field;
    int found;

    if (grpc_receive_one(call, &message, err) < 0 || find(call, data, &solve, err) < 0)
        return -1;
    struct protobuf_reader reader = protobuf_read(buf_bytes(&message), message.size);
    mutex_lock(&solve->lock);
    if (solve->is_returned) {
        mutex_unlock(&solve->lock);
        return error_set(err, ERROR_CONFLICT, "the build has a result already");
    }
    while ((found = protobuf_next(&reader, &field, err)) > 0)
        if ((field.number == 1 && read_returned(&field, solve, err) < 0) ||
            (field.number == 2 && read_failure(&field, &solve->failure, err) < 0)) {
            found = -1;
            break;
        }
    if (found < 0)
        error_set(&solve->failure.error, err->kind, "%s", err->text);
    solve->is_returned = true;
    condition_broadcast(&solve->changed);
    mutex_unlock(&solve->lock);
    return found < 0 ? -1 : grpc_send(call, &answer, err);
}

/* Results are whole when they are given. */
int bridge_evaluate(struct grpc_call *call, void *data UNUSED, struct error *err)
{
    CLEANUP(buf_done) struct buf message = {}, answer = {};

    return grpc_receive_one(call, &message, err) < 0 ? -1 : grpc_send(call, &answer, err);
}

/* Inputs are for frontends that run elsewhere: here is none. */
int bridge_inputs(struct grpc_call *call, void *data UNUSED, struct error *err)
{
    CLEANUP(buf_done) struct buf message = {}, answer = {};

    return grpc_receive_one(call, &message, err) < 0 ? -1 : grpc_send(call, &answer, err);
}
