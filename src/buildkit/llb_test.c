#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"
#include "buildkit/internal.h"
#include "codec/protobuf.h"
#include "codec/sha256.h"

#define ID "0123456789abcdef0123456789abcdef"

Test(llb, finds_its_own_results_again)
{
    CLEANUP(buf_done) struct buf definition = {};
    char id[RESULT_ID_SIZE];
    struct error err = {};

    llb_write_result(ID, &definition);
    cr_assert_eq(llb_read_result(buf_bytes(&definition), definition.size, id, &err), 1, "%s",
                 err.text);
    cr_expect_str_eq(id, ID);
    cr_expect_eq(llb_read_result(NULL, 0, id, &err), 0);
    cr_expect_str_eq(id, "");
}

static const struct {
    uint32_t field;
    const char *identifier, *said;
} foreign[] = {
    { 2, "", "\"exec\"" },
    { 3, "docker-image://docker.io/library/alpine:latest", "\"source\" of docker-image://" },
    { 3, "local://context", "\"source\" of local://context" },
    { 3, "berth-result://short", "\"source\" of berth-result://short" },
    { 4, "", "\"file\"" },
    { 6, "", "\"merge\"" },
    { 7, "", "\"diff\"" },
};

Test(llb, names_the_operation_that_it_cannot_run)
{
    for (size_t i = 0; i < COUNT(foreign); i++) {
        CLEANUP(buf_done) struct buf inside = {}, operation = {}, definition = {};
        char id[RESULT_ID_SIZE];
        struct error err = {};

        protobuf_add_text(&inside, 1, foreign[i].identifier);
        protobuf_add_message(&operation, foreign[i].field, &inside);
        protobuf_add_message(&definition, 1, &operation);
        cr_expect_lt(llb_read_result(buf_bytes(&definition), definition.size, id, &err), 0);
        cr_expect_eq(err.kind, ERROR_UNSUPPORTED);
        cr_expect(strstr(err.text, foreign[i].said), "%s", err.text);
    }
}

static void add_named_exec(struct buf *definition, char out_digest[DIGEST_SIZE])
{
    CLEANUP(buf_done) struct buf meta = {}, exec = {}, operation = {}, text = {}, metadata = {};

    protobuf_add_text(&meta, 1, "/bin/sh");
    protobuf_add_text(&meta, 1, "-c");
    protobuf_add_text(&meta, 1, "make all");
    protobuf_add_message(&exec, 1, &meta);
    protobuf_add_message(&operation, 2, &exec);
    sha256_digest(buf_bytes(&operation), operation.size, out_digest);
    protobuf_add_message(definition, 1, &operation);
    protobuf_add_entry(&text, 2, "llb.customname", "[build 2/3] compile");
    protobuf_add_text(&metadata, 1, out_digest);
    protobuf_add_message(&metadata, 2, &text);
    protobuf_add_message(definition, 2, &metadata);
}

Test(llb, names_the_vertex_and_what_it_would_do)
{
    CLEANUP(buf_done)
    struct buf definition = {}, action = {}, file = {}, operation = {}, nothing = {}, second = {};
    char digest[DIGEST_SIZE], id[RESULT_ID_SIZE];
    struct error err = {};

    add_named_exec(&definition, digest);
    cr_expect_lt(llb_read_result(buf_bytes(&definition), definition.size, id, &err), 0);
    cr_expect(strstr(err.text, "\"exec\" /bin/sh -c make all (vertex sha256:"), "%s", err.text);
    cr_expect(strstr(err.text, digest), "%s", err.text);
    cr_expect(strstr(err.text, ", [build 2/3] compile)"), "%s", err.text);

    protobuf_add_number(&action, 1, 0);
    protobuf_add_message(&action, 6, &nothing);
    protobuf_add_message(&file, 2, &action);
    protobuf_add_message(&operation, 4, &file);
    protobuf_add_message(&second, 1, &operation);
    cr_expect_lt(llb_read_result(buf_bytes(&second), second.size, id, &err), 0);
    cr_expect(strstr(err.text, "\"file\" mkdir (vertex sha256:"), "%s", err.text);
}
