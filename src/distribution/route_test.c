#include "distribution/route.h"

#include <criterion/criterion.h>

#include "base/text.h"

#include "base/banned.h"

static const struct {
    const char *path;
    enum endpoint endpoint;
    const char *repository, *reference;
} routes[] = {
    { "/v2/", ENDPOINT_BASE, NULL, NULL },
    { "/v2", ENDPOINT_BASE, NULL, NULL },
    { "/v2/_catalog", ENDPOINT_CATALOG, NULL, NULL },
    { "/v2/a/manifests/latest", ENDPOINT_MANIFEST, "a", "latest" },
    { "/v2/a/b/c/manifests/sha256:ab", ENDPOINT_MANIFEST, "a/b/c", "sha256:ab" },
    { "/v2/a/manifests/sha256%3Aab", ENDPOINT_MANIFEST, "a", "sha256:ab" },
    { "/v2/a/blobs/sha256:ab", ENDPOINT_BLOB, "a", "sha256:ab" },
    { "/v2/a/blobs/uploads/", ENDPOINT_UPLOADS, "a", "" },
    { "/v2/a/blobs/uploads", ENDPOINT_UPLOADS, "a", "" },
    { "/v2/a/blobs/uploads/1-2", ENDPOINT_UPLOAD, "a", "1-2" },
    { "/v2/a/tags/list", ENDPOINT_TAGS, "a", "" },
    { "/v2/a/referrers/sha256:ab", ENDPOINT_REFERRERS, "a", "sha256:ab" },
    { "/v2/manifests/manifests/manifests", ENDPOINT_MANIFEST, "manifests", "manifests" },
    { "/v2/a/blobs/uploads/manifests/x", ENDPOINT_MANIFEST, "a/blobs/uploads", "x" },
    { "/v2/tags/list/tags/list", ENDPOINT_TAGS, "tags/list", "" },
    { "/v2/a", ENDPOINT_NONE, NULL, NULL },
    { "/v2/manifests/x", ENDPOINT_NONE, NULL, NULL },
    { "/v2/a/manifests/", ENDPOINT_NONE, NULL, NULL },
    { "/v2/a/tags/list/", ENDPOINT_NONE, NULL, NULL },
    { "/v1/a/manifests/x", ENDPOINT_NONE, NULL, NULL },
    { "/", ENDPOINT_NONE, NULL, NULL },
};

Test(route, finds_the_endpoint)
{
    for (size_t i = 0; i < COUNT(routes); i++) {
        CLEANUP(route_done) struct route route = {};
        struct problem problem = {};

        cr_expect_eq(route_parse(routes[i].path, &route, &problem), 0, "%s", routes[i].path);
        cr_expect_eq(route.endpoint, routes[i].endpoint, "%s", routes[i].path);
        cr_expect(text_equal(route.repository, routes[i].repository), "%s", routes[i].path);
        cr_expect(text_equal(route.reference, routes[i].reference), "%s", routes[i].path);
    }
}

static const char *const wrong[] = {
    "/v2/A/manifests/x", "/v2/a/../b/tags/list",   "/v2/a//b/blobs/uploads/",
    "/v2/%00/tags/list", "/v2/a%2F..%2Fb/blobs/x", "/v2/%zz/tags/list",
    "/v2/_x/blobs/y",
};

Test(route, refuses_names_outside_the_grammar)
{
    for (size_t i = 0; i < COUNT(wrong); i++) {
        CLEANUP(route_done) struct route route = {};
        struct problem problem = {};

        cr_expect_eq(route_parse(wrong[i], &route, &problem), -1, "%s", wrong[i]);
        cr_expect_eq(problem.code, PROBLEM_NAME_INVALID, "%s", wrong[i]);
        cr_expect_eq(problem.status, 400);
    }
}
