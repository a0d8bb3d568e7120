/* Control/DiskUsage and Control/Prune: the build cache as clients of this protocol count it. */
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "buildkit/internal.h"
#include "codec/protobuf.h"
#include "engine/build_cache.h"

#include "base/banned.h"

static void write_usage(struct buf *out, const struct cache_item *item, bool is_shared)
{
    protobuf_add_text(out, 1, item->key);
    protobuf_add_number(out, 2, strcmp(item->type, CACHE_TYPE_STEP) != 0);
    protobuf_add_number(out, 3, item->is_in_use);
    protobuf_add_number(out, 4, (uint64_t)item->size_bytes);
    protobuf_add_time(out, 6, item->created_ns);
    protobuf_add_time(out, 7, item->used_ns);
    protobuf_add_number(out, 8, (uint64_t)item->use_count);
    protobuf_add_text(out, 9, item->description);
    protobuf_add_text(out, 10, item->type);
    protobuf_add_number(out, 11, is_shared);
}

int control_disk_usage(struct grpc_call *call, void *data, struct error *err)
{
    struct buildkit *buildkit = data;
    CLEANUP(buf_done) struct buf message = {}, record = {}, answer = {};
    struct protobuf_field field;
    struct cache_item *items;
    bool *is_shared;
    size_t count;

    if (grpc_receive_one(call, &message, err) < 0)
        return -1;
    struct protobuf_reader reader = protobuf_read(buf_bytes(&message), message.size);
    while (protobuf_next(&reader, &field, NULL) > 0)
        if (field.number <= 2)
            return error_set(err, ERROR_UNSUPPORTED,
                             "filters are not supported here: docker builder prune has them");
    if (engine_build_cache_list(buildkit->engine, &items, &is_shared, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        write_usage(&record, &items[i], is_shared[i]);
        protobuf_add_message(&answer, 1, &record);
    }
    cache_items_free(items, count);
    free(is_shared);
    return grpc_send(call, &answer, err);
}

struct prune_request {
    bool all;
    int64_t unused_for_ns, reserved_bytes, most_bytes;
};

static int read_prune(const struct buf *message, struct prune_request *out, struct error *err)
{
    struct protobuf_reader reader = protobuf_read(buf_bytes(message), message->size);
    struct protobuf_field field;
    int found;

    while ((found = protobuf_next(&reader, &field, err)) > 0)
        switch (field.number) {
        case 2:
            out->all = field.value != 0;
            break;
        case 3:
            out->unused_for_ns = (int64_t)field.value;
            break;
        case 4:
            out->reserved_bytes = (int64_t)field.value;
            break;
        case 5:
            out->most_bytes = (int64_t)field.value;
            break;
        default:
            return error_set(err, ERROR_UNSUPPORTED,
                             "this limit or filter is not supported here: docker builder prune "
                             "has filters");
        }
    return found;
}

/* Those unused the longest go first, until what is wanted to stay is left. */
static void choose(const struct prune_request *request, const struct cache_item *items,
                   const bool *is_shared, size_t count, struct strv *out)
{
    int64_t keep = MAX(request->reserved_bytes, request->most_bytes), total = 0;
    int64_t now_ns = clock_wall_ns();

    for (size_t i = 0; i < count; i++)
        total += items[i].size_bytes;
    for (size_t i = 0; i < count; i++) {
        if (items[i].is_in_use || (is_shared[i] && !request->all) ||
            now_ns - items[i].used_ns < request->unused_for_ns || (keep > 0 && total <= keep))
            continue;
        strv_add(out, items[i].key);
        total -= items[i].size_bytes;
    }
}

int control_prune(struct grpc_call *call, void *data, struct error *err)
{
    struct buildkit *buildkit = data;
    CLEANUP(buf_done) struct buf message = {};
    CLEANUP(strv_done) struct strv chosen = {};
    struct prune_request request = {};
    struct cache_item *items;
    bool *is_shared;
    size_t count;

    if (grpc_receive_one(call, &message, err) < 0 || read_prune(&message, &request, err) < 0 ||
        engine_build_cache_list(buildkit->engine, &items, &is_shared, &count, err) < 0)
        return -1;
    choose(&request, items, is_shared, count, &chosen);
    int result = engine_build_cache_remove(buildkit->engine, &chosen, err);
    for (size_t i = 0; i < count && result == 0; i++) {
        CLEANUP(buf_done) struct buf record = {};

        if (!strv_contains(&chosen, items[i].key))
            continue;
        write_usage(&record, &items[i], is_shared[i]);
        result = grpc_send(call, &record, err);
    }
    cache_items_free(items, count);
    free(is_shared);
    return result;
}
