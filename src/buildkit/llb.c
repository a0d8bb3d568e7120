/* Of LLB, the graph of operations that BuildKit's own frontends make, one form is spoken here: a
 * source that stands for a result of this engine, so that a client can hand it to another build. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "buildkit/internal.h"
#include "codec/protobuf.h"
#include "codec/sha256.h"

#include "base/banned.h"

#define RESULT_SCHEME "berth-result://"

enum { OPERATION_LIMIT = 4096 };

/* Fields of pb.Op that say which operation it is. */
/* clang-format off */
static const struct { uint32_t field; const char *name; } operations[] = {
    { 2, "exec"   },
    { 3, "source" },
    { 4, "file"   },
    { 5, "build"  },
    { 6, "merge"  },
    { 7, "diff"   },
};
/* clang-format on */

/* Clients refuse a definition in which an operation has no metadata. */
static void add_metadata(struct buf *definition, const char *digest)
{
    CLEANUP(buf_done) struct buf entry = {}, nothing = {};

    protobuf_add_text(&entry, 1, digest);
    protobuf_add_message(&entry, 2, &nothing);
    protobuf_add_message(definition, 2, &entry);
}

void llb_write_result(const char *id, struct buf *out)
{
    CLEANUP(free) char *identifier = xasprintf(RESULT_SCHEME "%s", id);
    CLEANUP(buf_done) struct buf source = {}, operation = {}, end = {}, input = {}, definition = {};
    char digest[DIGEST_SIZE], end_digest[DIGEST_SIZE];

    protobuf_add_text(&source, 1, identifier);
    protobuf_add_message(&operation, 3, &source);
    sha256_digest(buf_bytes(&operation), operation.size, digest);
    protobuf_add_text(&input, 1, digest);
    protobuf_add_message(&end, 1, &input);
    sha256_digest(buf_bytes(&end), end.size, end_digest);
    protobuf_add_message(&definition, 1, &operation);
    protobuf_add_message(&definition, 1, &end);
    add_metadata(&definition, digest);
    add_metadata(&definition, end_digest);
    buf_add(out, buf_bytes(&definition), definition.size);
}

/* "exec", or "source" with the identifier in 'out_identifier'; NULL: an end, which only has inputs.
 */
static const char *read_operation(const struct protobuf_field *field, char **out_identifier,
                                  struct error *err)
{
    struct protobuf_reader inside = protobuf_inside(field);
    struct protobuf_field part;
    const char *name = NULL;
    int found;

    while ((found = protobuf_next(&inside, &part, err)) > 0) {
        for (size_t i = 0; i < COUNT(operations); i++)
            if (operations[i].field == part.number)
                name = operations[i].name;
        if (part.number != 3)
            continue;
        struct protobuf_reader source = protobuf_inside(&part);
        struct protobuf_field text;
        while (protobuf_next(&source, &text, NULL) > 0)
            if (text.number == 1 && !*out_identifier)
                *out_identifier = protobuf_text(&text);
    }
    return found < 0 ? "" : name;
}

static int take_operation(const struct protobuf_field *field, char out_id[RESULT_ID_SIZE],
                          struct error *err)
{
    CLEANUP(free) char *identifier = NULL;
    const char *name = read_operation(field, &identifier, err);

    if (!name)
        return 0;
    if (!*name)
        return -1;
    if (!identifier || strcmp(name, "source") != 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "this engine builds from Dockerfiles: it cannot run the LLB operation "
                         "\"%s\"",
                         name);
    if (!text_starts(identifier, RESULT_SCHEME) ||
        strlen(identifier + strlen(RESULT_SCHEME)) != RESULT_ID_SIZE - 1)
        return error_set(err, ERROR_UNSUPPORTED,
                         "this engine builds from Dockerfiles: it cannot run the LLB operation "
                         "\"source\" of %.200s",
                         identifier);
    memcpy(out_id, identifier + strlen(RESULT_SCHEME), RESULT_ID_SIZE);
    return 0;
}

int llb_read_result(const void *definition, size_t size, char out_id[RESULT_ID_SIZE],
                    struct error *err)
{
    struct protobuf_reader reader = protobuf_read(definition, size);
    struct protobuf_field field;
    size_t count = 0;
    int found;

    *out_id = 0;
    while ((found = protobuf_next(&reader, &field, err)) > 0) {
        if (field.number != 1 || field.type != PROTOBUF_BYTES)
            continue;
        if (++count > OPERATION_LIMIT)
            return error_set(err, ERROR_INVALID, "a definition of more than %d operations",
                             OPERATION_LIMIT);
        if (take_operation(&field, out_id, err) < 0)
            return -1;
    }
    return found < 0 ? -1 : *out_id != 0;
}

int llb_read_input(const struct protobuf_field *field, struct map *inputs, struct error *err)
{
    struct protobuf_reader inside = protobuf_inside(field);
    struct protobuf_field part, definition = {};
    CLEANUP(free) char *name = xstrdup("");
    char id[RESULT_ID_SIZE];
    int found;

    while ((found = protobuf_next(&inside, &part, err)) > 0)
        if (part.number == 1) {
            free(name);
            name = protobuf_text(&part);
        } else if (part.number == 2 && part.type == PROTOBUF_BYTES) {
            definition = part;
        }
    if (found < 0)
        return -1;
    if (inputs->count >= ATTRIBUTE_LIMIT)
        return error_set(err, ERROR_INVALID, "more than %d inputs", ATTRIBUTE_LIMIT);
    found = llb_read_result(definition.bytes, definition.size, id, err);
    if (found < 0)
        return error_context(err, "input %s", name);
    if (found > 0)
        map_set_text(inputs, name, id);
    return 0;
}
