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

enum { OPERATION_LIMIT = 4096, DETAIL_WORD_LIMIT = 16 };

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

/* What of an operation tells which one it is. */
struct operation {
    const char *name; /* NULL: an end, which only has inputs */
    char *identifier; /* of a source */
    char *detail;     /* what it would do, for the refusal; NULL if that is not known */
};

static void operation_done(struct operation *operation)
{
    free(operation->identifier);
    free(operation->detail);
}
CLEANUP_VALUE(operation_done, struct operation)

/* ExecOp: meta = 1, and in it args = 1. */
static char *exec_detail(const struct protobuf_field *field)
{
    struct protobuf_reader exec = protobuf_inside(field);
    CLEANUP(strv_done) struct strv words = {};
    struct protobuf_field part, word;

    while (protobuf_next(&exec, &part, NULL) > 0) {
        struct protobuf_reader meta = protobuf_inside(&part);

        while (part.number == 1 && protobuf_next(&meta, &word, NULL) > 0)
            if (word.number == 1 && words.count < DETAIL_WORD_LIMIT)
                strv_add_take(&words, protobuf_text(&word));
    }
    return words.count > 0 ? strv_join(&words, " ") : NULL;
}

/* FileOp: actions = 2, each of which is one of these fields. */
static char *file_detail(const struct protobuf_field *field)
{
    static const char *const actions[] = {
        [4] = "copy", [5] = "mkfile", [6] = "mkdir", [7] = "rm", [8] = "symlink"
    };
    struct protobuf_reader file = protobuf_inside(field);
    CLEANUP(strv_done) struct strv words = {};
    struct protobuf_field part, action;

    while (protobuf_next(&file, &part, NULL) > 0) {
        struct protobuf_reader inside = protobuf_inside(&part);

        while (part.number == 2 && protobuf_next(&inside, &action, NULL) > 0)
            if (action.number < COUNT(actions) && actions[action.number] &&
                words.count < DETAIL_WORD_LIMIT)
                strv_add(&words, actions[action.number]);
    }
    return words.count > 0 ? strv_join(&words, ", ") : NULL;
}

static char *source_identifier(const struct protobuf_field *field)
{
    struct protobuf_reader source = protobuf_inside(field);
    struct protobuf_field text;

    while (protobuf_next(&source, &text, NULL) > 0)
        if (text.number == 1)
            return protobuf_text(&text);
    return NULL;
}

static int read_operation(const struct protobuf_field *field, struct operation *out,
                          struct error *err)
{
    struct protobuf_reader inside = protobuf_inside(field);
    struct protobuf_field part;
    int found;

    while ((found = protobuf_next(&inside, &part, err)) > 0) {
        for (size_t i = 0; i < COUNT(operations); i++)
            if (operations[i].field == part.number)
                out->name = operations[i].name;
        if (part.number == 3 && !out->identifier)
            out->identifier = source_identifier(&part);
        if (part.number == 2 && !out->detail)
            out->detail = exec_detail(&part);
        if (part.number == 4 && !out->detail)
            out->detail = file_detail(&part);
    }
    return found;
}

/* The name that the client's frontend gave a vertex: metadata = 2 of the definition maps digests to
 * descriptions (2 of OpMetadata), in which "llb.customname" is the name. NULL if there is none. */
static char *vertex_name(const void *definition, size_t size, const char *digest)
{
    struct protobuf_reader reader = protobuf_read(definition, size);
    struct protobuf_field field, part, description;

    while (protobuf_next(&reader, &field, NULL) > 0) {
        struct protobuf_reader entry = protobuf_inside(&field);
        CLEANUP(free) char *key = NULL;

        while (field.number == 2 && protobuf_next(&entry, &part, NULL) > 0) {
            struct protobuf_reader metadata = protobuf_inside(&part);
            CLEANUP(map_done) struct map texts = {};

            if (part.number == 1 && !key)
                key = protobuf_text(&part);
            if (part.number != 2 || !text_equal(key, digest))
                continue;
            map_init_empty(&texts, free);
            while (protobuf_next(&metadata, &description, NULL) > 0)
                if (description.number == 2 &&
                    protobuf_map_entry(&description, &texts, ATTRIBUTE_LIMIT, NULL) < 0)
                    break;
            if (map_get(&texts, "llb.customname"))
                return xstrdup(map_get(&texts, "llb.customname"));
        }
    }
    return NULL;
}

/* Names the operation, what it would do, and the vertex. */
static int refuse(const struct operation *operation, const struct protobuf_field *field,
                  const void *definition, size_t size, struct error *err)
{
    char digest[DIGEST_SIZE];
    const char *detail = operation->identifier ?: operation->detail;

    sha256_digest(field->bytes, field->size, digest);
    CLEANUP(free) char *name = vertex_name(definition, size, digest);
    return error_set(err, ERROR_UNSUPPORTED,
                     "this engine builds from Dockerfiles: it cannot run the LLB operation "
                     "\"%s\"%s%.200s (vertex %s%s%.200s)",
                     operation->name,
                     !detail                 ? ""
                     : operation->identifier ? " of "
                                             : " ",
                     detail ?: "", digest, name ? ", " : "", name ?: "");
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
        CLEANUP(operation_done) struct operation operation = {};
        if (read_operation(&field, &operation, err) < 0)
            return -1;
        if (!operation.name)
            continue;
        if (!operation.identifier || strcmp(operation.name, "source") != 0 ||
            !text_starts(operation.identifier, RESULT_SCHEME) ||
            strlen(operation.identifier + strlen(RESULT_SCHEME)) != RESULT_ID_SIZE - 1)
            return refuse(&operation, &field, definition, size, err);
        memcpy(out_id, operation.identifier + strlen(RESULT_SCHEME), RESULT_ID_SIZE);
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
