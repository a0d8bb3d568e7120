#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"
#include "buildkit/internal.h"
#include "codec/protobuf.h"

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
