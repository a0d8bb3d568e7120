/* Rows of what a path ends in, the more special ones first. */
#include "distribution/route.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "distribution/name.h"
#include "http/server.h"

#include "base/banned.h"

/* 'words' is what stands between the name and the reference. */
static const struct {
    const char *words;
    bool has_reference;
    enum endpoint endpoint;
} endings[] = {
    { "/blobs/uploads/", true, ENDPOINT_UPLOAD },
    { "/blobs/uploads/", false, ENDPOINT_UPLOADS },
    { "/blobs/uploads", false, ENDPOINT_UPLOADS },
    { "/manifests/", true, ENDPOINT_MANIFEST },
    { "/blobs/", true, ENDPOINT_BLOB },
    { "/tags/list", false, ENDPOINT_TAGS },
    { "/referrers/", true, ENDPOINT_REFERRERS },
};

/* The length of the name in front of the ending; 0 if 'rest' ends otherwise. */
static size_t name_length(const char *rest, size_t index, const char **out_reference)
{
    const char *words = endings[index].words;
    size_t length = strlen(rest), words_length = strlen(words);
    const char *reference = rest + length;

    if (endings[index].has_reference) {
        const char *slash = strrchr(rest, '/');

        reference = slash ? slash + 1 : rest;
        if (!*reference)
            return 0;
    }
    size_t before = (size_t)(reference - rest);
    if (before <= words_length || strncmp(reference - words_length, words, words_length) != 0)
        return 0;
    *out_reference = reference;
    return before - words_length;
}

static int parse_rest(const char *rest, struct route *out, struct problem *problem)
{
    const char *reference;

    if (!*rest) {
        out->endpoint = ENDPOINT_BASE;
        return 0;
    }
    if (strcmp(rest, "_catalog") == 0) {
        out->endpoint = ENDPOINT_CATALOG;
        return 0;
    }
    for (size_t i = 0; i < COUNT(endings); i++) {
        size_t length = name_length(rest, i, &reference);

        if (length == 0)
            continue;
        CLEANUP(free) char *name = xstrndup(rest, length);
        if (!name_is_repository(name)) {
            problem_set(problem, PROBLEM_NAME_INVALID, name, NULL);
            return problem_set_detail_key(problem, "name");
        }
        out->endpoint = endings[i].endpoint;
        out->repository = TAKE(name);
        out->reference = xstrdup(reference);
        return 0;
    }
    return 0;
}

int route_parse(const char *path, struct route *out, struct problem *problem)
{
    CLEANUP(free) char *plain = http_url_decode(path, strlen(path), false);

    *out = (struct route){};
    if (!plain)
        return problem_set(problem, PROBLEM_NAME_INVALID, NULL, "the path is not well encoded");
    if (strcmp(plain, "/v2") == 0) {
        out->endpoint = ENDPOINT_BASE;
        return 0;
    }
    return text_starts(plain, "/v2/") ? parse_rest(plain + 4, out, problem) : 0;
}

void route_done(struct route *route)
{
    free(route->repository);
    free(route->reference);
    *route = (struct route){};
}
