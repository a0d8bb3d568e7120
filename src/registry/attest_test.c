#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"
#include "codec/json.h"
#include "registry/attest.h"
#include "registry/manifest.h"

#define IMAGE_DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct json *parse(const struct str *text)
{
    struct json *value = NULL;
    struct error err = {};

    cr_assert_eq(json_parse_strict(text->data, text->length, &value, &err), 0, "%s", err.text);
    return value;
}

Test(attest, makes_an_index_that_names_the_image_first)
{
    struct image image = { .config = { .architecture = xstrdup("amd64"), .os = xstrdup("linux") } };
    CLEANUP(attestations_done) struct attestations attestations = {};
    CLEANUP(attest_documents_done) struct attest_documents made = {};
    CLEANUP(manifest_done) struct manifest index = {};
    CLEANUP(strv_done) struct strv names = {};
    struct attest_subject subject = { &image, MEDIA_TYPE_DOCKER_MANIFEST, IMAGE_DIGEST, 7, &names };
    struct str predicate = {};
    struct error err = {};

    strv_add(&names, "team/app:1");
    str_add(&predicate, "{\"a\":1}");
    attestations_add(&attestations, "https://slsa.dev/provenance/v0.2", &predicate);
    attest_documents_make(&subject, &attestations, &made);

    cr_assert_eq(manifest_parse(made.index.text.data, made.index.text.length, NULL, &index, &err),
                 0, "%s", err.text);
    cr_assert_eq(index.child_count, 2);
    cr_expect_str_eq(index.children[0].digest, IMAGE_DIGEST);
    cr_expect_str_eq(index.children[1].digest, made.manifest.digest);
    cr_expect(index.children[1].is_attestation);

    CLEANUP(json_free) struct json *statement = parse(&made.blobs[0].text);
    const struct json *about = json_at(json_get(statement, "subject"), 0);
    cr_expect_str_eq(json_text(json_get(about, "name")),
                     "pkg:docker/team/app@1?platform=linux%2Famd64");
    cr_expect_str_eq(json_text(json_get(json_get(about, "digest"), "sha256")),
                     strchr(IMAGE_DIGEST, ':') + 1);
    cr_expect_eq(json_to_int64(json_get(json_get(statement, "predicate"), "a")), 1);

    CLEANUP(json_free) struct json *manifest = parse(&made.manifest.text);
    const struct json *layer = json_at(json_get(manifest, "layers"), 0);
    cr_expect_str_eq(json_text(json_get(layer, "mediaType")), MEDIA_TYPE_IN_TOTO);
    cr_expect_str_eq(json_text(json_get(layer, "digest")), made.blobs[0].digest);
    free(image.config.architecture);
    free(image.config.os);
}

Test(attest, has_a_subject_without_a_name)
{
    struct image image = {};
    struct strv none = {};
    struct attestation attestation = { "https://spdx.dev/Document", "{}" };
    struct attest_subject subject = { &image, MEDIA_TYPE_OCI_MANIFEST, IMAGE_DIGEST, 7, &none };
    CLEANUP(str_done) struct str text = {};

    attest_statement(&subject, &attestation, &text);
    cr_expect(strstr(text.data, "\"subject\":[{\"name\":\"_\""), "%s", text.data);
    cr_expect_str_eq(attest_file_name(&attestation), "sbom.spdx.json");
}
