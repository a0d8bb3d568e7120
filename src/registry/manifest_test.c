#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"
#include "registry/manifest.h"

#define A      "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B      "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define CONFIG "{\"mediaType\":\"" MEDIA_TYPE_OCI_CONFIG "\",\"digest\":\"" A "\",\"size\":2}"
#define LAYER  "{\"mediaType\":\"" MEDIA_TYPE_OCI_LAYER_GZIP "\",\"digest\":\"" B "\",\"size\":3}"
#define IMAGE  "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[" LAYER "]}"

static int parse(const char *text, const char *type, struct error *err)
{
    CLEANUP(manifest_done) struct manifest manifest = {};

    return manifest_parse(text, strlen(text), type, &manifest, err);
}

Test(manifest, reads_an_image)
{
    CLEANUP(manifest_done) struct manifest manifest = {};
    struct error err = {};

    cr_assert_eq(manifest_parse(IMAGE, strlen(IMAGE), MEDIA_TYPE_OCI_MANIFEST "; charset=utf-8",
                                &manifest, &err),
                 0, "%s", err.text);
    cr_expect_not(manifest.is_index);
    cr_expect_eq(manifest.child_count, 1);
    cr_expect_str_eq(manifest.children[0].digest, B);
    cr_expect_eq(manifest.children[0].size, 3);
}

/* clang-format off */
static const struct { const char *text, *type, *why; } refused[] = {
    { "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[],\"manifests\":[]}", NULL, "both" },
    { "{\"schemaVersion\":2,\"manifests\":[],\"config\":" CONFIG "}", MEDIA_TYPE_OCI_INDEX, "both" },
    { IMAGE, MEDIA_TYPE_OCI_INDEX, "not what it is sent as" },
    { "{\"schemaVersion\":2,\"manifests\":[]}", MEDIA_TYPE_DOCKER_MANIFEST, "not what it is sent as" },
    { IMAGE, "text/html", "unknown type" },
    { IMAGE, "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1" },
    { "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_TYPE_OCI_MANIFEST "\",\"config\":" CONFIG ",\"layers\":[]}",
      MEDIA_TYPE_DOCKER_MANIFEST, "calls itself" },
    { "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[],\"layers\":[" LAYER "]}", NULL, "duplicate" },
    { "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[],\"Layers\":[" LAYER "]}", NULL, "ambiguous" },
    { "{\"schemaVersion\":1,\"config\":" CONFIG ",\"layers\":[]}", NULL, "schema 1" },
    { "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"x/y\",\"digest\":\"" A "\",\"size\":2},\"layers\":[]}", NULL, "artifact" },
    { "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"" MEDIA_TYPE_OCI_CONFIG "\",\"digest\":\"sha256:../x\",\"size\":2},\"layers\":[]}", NULL, "invalid digest" },
    { "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"" MEDIA_TYPE_OCI_CONFIG "\",\"digest\":\"" A "\",\"size\":-1},\"layers\":[]}", NULL, "invalid size" },
    { "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"" MEDIA_TYPE_OCI_CONFIG "\",\"digest\":\"" A "\",\"size\":99999999},\"layers\":[]}", NULL, "larger than" },
    { "[]", NULL, "no object" },
    { "{", NULL, "invalid" },
};
/* clang-format on */

Test(manifest, refuses_what_can_be_read_in_two_ways)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct error err = {};

        cr_expect_eq(parse(refused[i].text, refused[i].type, &err), -1, "%s", refused[i].text);
        cr_expect(strstr(err.text, refused[i].why), "%s: %s", refused[i].text, err.text);
    }
}

#define ENTRY(digest, platform)                                                                    \
    "{\"mediaType\":\"" MEDIA_TYPE_OCI_MANIFEST "\",\"digest\":\"" digest                          \
    "\",\"size\":9,\"platform\":" platform "}"

/* clang-format off */
static const char two_platforms[] =
    "{\"schemaVersion\":2,\"manifests\":["
    ENTRY(A, "{\"os\":\"unknown\",\"architecture\":\"unknown\"}") ","
    ENTRY(B, "{\"os\":\"linux\",\"architecture\":\"arm\",\"variant\":\"v6\"}") "]}";
/* clang-format on */

Test(manifest, chooses_a_platform_and_no_attestation)
{
    CLEANUP(manifest_done) struct manifest index = {};
    CLEANUP(platform_done) struct platform arm = {}, amd = {};
    struct error err = {};

    cr_assert_eq(
        manifest_parse(two_platforms, strlen(two_platforms), MEDIA_TYPE_OCI_INDEX, &index, &err), 0,
        "%s", err.text);
    platform_parse("linux/arm/v7", &arm, &err);
    platform_parse("linux/amd64", &amd, &err);
    cr_assert_not_null(manifest_choose(&index, &arm));
    cr_expect_str_eq(manifest_choose(&index, &arm)->digest, B);
    cr_expect_null(manifest_choose(&index, &amd));
}
