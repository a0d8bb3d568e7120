#include "distribution/document.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/text.h"

#include "base/banned.h"

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

#define OCI      "application/vnd.oci.image."
#define MANIFEST OCI "manifest.v1+json"
#define INDEX    OCI "index.v1+json"
#define CONFIG   "\"config\":{\"mediaType\":\"application/x.config\",\"digest\":\"" A "\",\"size\":1}"
#define LAYERS   "\"layers\":[{\"mediaType\":\"x\",\"digest\":\"" B "\",\"size\":2}]"

static int parse(const char *type, const char *text, struct document *out, struct error *err)
{
    return document_parse(type, text, strlen(text), out, err);
}

Test(document, reads_a_manifest)
{
    CLEANUP(document_done) struct document document = {};
    struct error err = {};

    cr_assert_eq(parse(MANIFEST "; charset=utf-8",
                       "{\"schemaVersion\":2," CONFIG "," LAYERS ",\"annotations\":{\"k\":\"v\"},"
                       "\"subject\":{\"mediaType\":\"x\",\"digest\":\"" C "\",\"size\":3}}",
                       &document, &err),
                 0, "%s", err.text);
    cr_expect_str_eq(document.media_type, MANIFEST);
    cr_expect_str_eq(document.artifact_type, "application/x.config");
    cr_expect_str_eq(document.subject, C);
    cr_expect_str_eq(document.annotations, "{\"k\":\"v\"}");
    cr_assert_eq(document.target_count, 2);
    cr_expect_str_eq(document.targets[1].digest, B);
    cr_expect_eq(document.targets[1].size, 2);
    cr_expect_not(document.targets[1].is_manifest);
}

Test(document, reads_an_index)
{
    CLEANUP(document_done) struct document document = {};
    struct error err = {};

    cr_assert_eq(parse(NULL,
                       "{\"schemaVersion\":2,\"artifactType\":\"a/b\",\"manifests\":"
                       "[{\"mediaType\":\"" MANIFEST "\",\"digest\":\"" A "\",\"size\":1}]}",
                       &document, &err),
                 0, "%s", err.text);
    cr_expect_str_eq(document.media_type, INDEX);
    cr_expect_str_eq(document.artifact_type, "a/b");
    cr_expect_null(document.subject);
    cr_assert_eq(document.target_count, 1);
    cr_expect(document.targets[0].is_manifest);
}

Test(document, lets_layers_live_elsewhere)
{
    CLEANUP(document_done) struct document document = {};
    struct error err = {};

    cr_assert_eq(parse(NULL,
                       "{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"mediaType\":\"" OCI
                       "layer.nondistributable.v1.tar+gzip\",\"digest\":\"" B
                       "\",\"size\":2,\"urls\":[\"https://x/\"]}]}",
                       &document, &err),
                 0, "%s", err.text);
    cr_expect_not(document.targets[0].is_foreign);
    cr_expect(document.targets[1].is_foreign);
}

/* clang-format off */
static const struct { const char *what, *type, *text; enum error_kind kind; } refused[] = {
    { "nothing",              MANIFEST, "", ERROR_INVALID },
    { "no object",            MANIFEST, "[]", ERROR_INVALID },
    { "something behind it",  MANIFEST, "{\"schemaVersion\":2," CONFIG "," LAYERS "} x", ERROR_INVALID },
    { "no version",           MANIFEST, "{" CONFIG "," LAYERS "}", ERROR_INVALID },
    { "version 1",            MANIFEST, "{\"schemaVersion\":1," CONFIG "," LAYERS "}", ERROR_INVALID },
    { "no config",            MANIFEST, "{\"schemaVersion\":2," LAYERS "}", ERROR_INVALID },
    { "no layers",            MANIFEST, "{\"schemaVersion\":2," CONFIG "}", ERROR_INVALID },
    { "manifest and index",   MANIFEST, "{\"schemaVersion\":2," CONFIG "," LAYERS ",\"manifests\":[]}", ERROR_INVALID },
    { "index and manifest",   INDEX,    "{\"schemaVersion\":2," CONFIG "," LAYERS ",\"manifests\":[]}", ERROR_INVALID },
    { "manifest as index",    INDEX,    "{\"schemaVersion\":2," CONFIG "," LAYERS "}", ERROR_INVALID },
    { "two types",            INDEX,    "{\"schemaVersion\":2,\"mediaType\":\"" MANIFEST "\"," CONFIG "," LAYERS "}", ERROR_INVALID },
    { "schema 1",             "application/vnd.docker.distribution.manifest.v1+prettyjws", "{\"schemaVersion\":1}", ERROR_UNSUPPORTED },
    { "another type",         "application/json", "{\"schemaVersion\":2," CONFIG "," LAYERS "}", ERROR_UNSUPPORTED },
    { "bad digest",           MANIFEST, "{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:12\",\"size\":1}," LAYERS "}", ERROR_INVALID },
    { "negative size",        MANIFEST, "{\"schemaVersion\":2,\"config\":{\"digest\":\"" A "\",\"size\":-1}," LAYERS "}", ERROR_INVALID },
    { "size as text",         MANIFEST, "{\"schemaVersion\":2,\"config\":{\"digest\":\"" A "\",\"size\":\"1\"}," LAYERS "}", ERROR_INVALID },
    { "bad subject",          MANIFEST, "{\"schemaVersion\":2," CONFIG "," LAYERS ",\"subject\":{}}", ERROR_INVALID },
    { "bad annotations",      MANIFEST, "{\"schemaVersion\":2," CONFIG "," LAYERS ",\"annotations\":[]}", ERROR_INVALID },
};
/* clang-format on */

Test(document, refuses_what_contradicts_itself)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        CLEANUP(document_done) struct document document = {};
        struct error err = {};

        cr_expect_eq(parse(refused[i].type, refused[i].text, &document, &err), -1, "%s",
                     refused[i].what);
        cr_expect_eq(err.kind, refused[i].kind, "%s: %s", refused[i].what, err.text);
    }
}
