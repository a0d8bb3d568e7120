/* Which image a service needs, and how it comes here: all are looked for first, then what is
 * missing is pulled side by side, then the rest is built. */
#include "cli/compose_image.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/compose_pull.h"
#include "cli/parallel.h"
#include "compose/body.h"
#include "compose/spot.h"
#include "spec/platform.h"

#include "base/banned.h"

/* An image as it is here; 'id' NULL: it is not. */
struct found {
    char *id, *platform;
    int64_t tagged_ns; /* when it got its name last: by a pull or a build */
};

static void found_done(struct found *found)
{
    free(found->id);
    free(found->platform);
    *found = (struct found){};
}

static int find_image(struct cli *cli, const char *image, struct found *out, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *answer = NULL;
    struct error unread;

    *out = (struct found){};
    client_path_begin(&path, "/images");
    client_path_segment(&path, image);
    client_path_begin(&path, "/json");
    if (client_call(cli->client, "GET", &path, NULL, &answer, err) < 0)
        return err->kind == ERROR_NOT_FOUND ? 0 : -1;
    const char *tagged = json_text(json_get(json_get(answer, "Metadata"), "LastTagTime"));
    if (tagged)
        time_parse(tagged, &out->tagged_ns, &unread);
    out->id = xstrdup(json_text(json_get(answer, "Id")));
    const char *variant = json_text(json_get(answer, "Variant"));
    out->platform = xasprintf("%s/%s%s%s", json_text(json_get(answer, "Os")) ?: "",
                              json_text(json_get(answer, "Architecture")) ?: "",
                              text_is_empty(variant) ? "" : "/", variant ?: "");
    return 0;
}

int compose_image_id(struct cli *cli, const char *image, char **out, struct error *err)
{
    struct found found;

    if (find_image(cli, image, &found, err) < 0)
        return -1;
    *out = TAKE(found.id);
    found_done(&found);
    return 0;
}

/* ---- what a service needs ---- */

struct need {
    struct cli *cli;
    const char *name;
    const struct yaml *service;
    char *image; /* its name */
    struct found found;
    bool is_lookup; /* the first that needs this image looks for it */
    bool builds, pulls, has_failed;
    struct error failure;
};

static bool is_policy(const char *policy, const char *wanted)
{
    return text_equal(policy, wanted);
}

static int check_policy(const char *name, const char *policy, struct error *err)
{
    static const char *const known[] = { "always", "never",   "missing", "if_not_present",
                                         "build",  "refresh", "daily",   "weekly" };

    if (!policy || text_starts(policy, "every_"))
        return 0;
    for (size_t i = 0; i < COUNT(known); i++)
        if (strcmp(policy, known[i]) == 0)
            return 0;
    return error_set(err, ERROR_INVALID, "service \"%s\": unknown pull_policy \"%s\"", name,
                     policy);
}

/* Policies that pull now and then: how old an image may get; 0: as old as it likes. */
static int64_t age_limit_ns(const struct yaml *service, const char *policy)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = { { 'w', 7 * 86400 }, { 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 } };
    int64_t total = 0;

    if (is_policy(policy, "daily"))
        return 86400 * (int64_t)NS_PER_S;
    if (is_policy(policy, "weekly"))
        return 7 * 86400 * (int64_t)NS_PER_S;
    if (is_policy(policy, "refresh"))
        return body_duration_ns(yaml_get(service, "pull_refresh_after"));
    if (!policy || !text_starts(policy, "every_"))
        return 0;
    for (const char *at = policy + strlen("every_"); *at;) {
        char *end;
        int64_t number = strtoll(at, &end, 10);

        for (size_t i = 0; i < COUNT(units); i++)
            if (*end == units[i].letter)
                total += number * units[i].seconds;
        at = *end ? end + 1 : end;
    }
    return total * (int64_t)NS_PER_S;
}

/* Adds the place of the service's "platform" to a message. */
static int place_platform(const struct need *need, struct error *err)
{
    struct spot top = { .name = "services" }, service = { .above = &top, .name = need->name },
                spot = { .above = &service, .name = "platform" };

    return spot_place(&spot, yaml_get(need->service, "platform"), NULL, err);
}

/* Is the image that is here one for the platform that the service asks for? */
static int check_platform(const struct need *need, bool *out_fits, struct error *err)
{
    const char *asked = yaml_text(yaml_get(need->service, "platform"));
    CLEANUP(platform_done) struct platform wanted = {}, actual = {};
    struct error unread;

    *out_fits = true;
    if (!asked)
        return 0;
    if (platform_parse(asked, &wanted, err) < 0) {
        error_context(err, "service \"%s\"", need->name);
        return place_platform(need, err);
    }
    if (need->found.platform && platform_parse(need->found.platform, &actual, &unread) == 0)
        *out_fits = platform_match(&wanted, &actual) > 0;
    return 0;
}

static int decide(struct need *need, const struct compose_image_options *options, struct error *err)
{
    const char *policy = options->pull ?: yaml_text(yaml_get(need->service, "pull_policy"));
    bool can_build = !yaml_is_null(yaml_get(need->service, "build")), is_here = need->found.id;
    int64_t limit_ns = age_limit_ns(need->service, policy);
    bool is_old = limit_ns && clock_wall_ns() - need->found.tagged_ns > limit_ns;

    bool fits;

    if (check_policy(need->name, policy, err) < 0 || check_platform(need, &fits, err) < 0)
        return -1;
    bool is_other = is_here && !fits;
    is_here &= fits;
    need->builds = can_build && !options->no_build &&
                   (options->build || is_policy(policy, "build") ||
                    (!is_here && !is_policy(policy, "always")));
    need->pulls = !need->builds && !(options->build && can_build) &&
                  (is_policy(policy, "always") || is_old ||
                   (!is_here && !is_policy(policy, "never")));
    if (need->pulls && can_build && !yaml_get(need->service, "image"))
        return error_set(err, ERROR_CONFLICT, "service \"%s\": its image has to be built first",
                         need->name);
    if (!need->builds && !need->pulls && is_other) {
        error_set(err, ERROR_CONFLICT,
                  "service \"%s\": image %s is for %s, and may be neither pulled nor built",
                  need->name, need->image, need->found.platform);
        return place_platform(need, err);
    }
    if (!need->builds && !need->pulls && !is_here)
        return error_set(err, ERROR_NOT_FOUND, "Error response from daemon: No such image: %s",
                         need->image);
    return 0;
}

/* ---- all services ---- */

static void look_up(void *item)
{
    struct need *need = item;

    if (need->is_lookup)
        need->has_failed = find_image(need->cli, need->image, &need->found, &need->failure) < 0;
}

/* Looks each image up once; those who share it get a copy. */
static int look_up_all(struct need *needs, size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        needs[i].is_lookup = true;
        for (size_t j = 0; j < i; j++)
            needs[i].is_lookup &= strcmp(needs[i].image, needs[j].image) != 0;
        found_done(&needs[i].found);
    }
    parallel_each(needs, sizeof(*needs), count, 8, look_up);
    for (size_t i = 0; i < count; i++) {
        if (needs[i].has_failed) {
            *err = needs[i].failure;
            return -1;
        }
        for (size_t j = 0; !needs[i].is_lookup && j < i; j++)
            if (needs[j].is_lookup && strcmp(needs[i].image, needs[j].image) == 0)
                needs[i].found = (struct found){ .id = xstrdup(needs[j].found.id),
                                                 .platform = xstrdup(needs[j].found.platform),
                                                 .tagged_ns = needs[j].found.tagged_ns };
    }
    return 0;
}

static int pull_all(struct cli *cli, const struct project *project, const struct need *needs,
                    size_t count, const struct compose_image_options *options, struct error *err)
{
    CLEANUP(free) struct compose_pull *pulls = xcalloc(count + 1, sizeof(*pulls));
    size_t pull_count = 0;

    for (size_t i = 0; i < count; i++)
        if (needs[i].pulls)
            pulls[pull_count++] = (struct compose_pull){ .service = needs[i].name,
                                                         .image = needs[i].image,
                                                         .platform = yaml_text(yaml_get(
                                                             needs[i].service, "platform")) };
    if (!pull_count)
        return 0;
    compose_pull_images(cli, project, pulls, pull_count, options->quiet_pull);
    for (size_t i = 0; i < pull_count; i++)
        if (pulls[i].has_failed) {
            *err = pulls[i].failure;
            return -1;
        }
    return 0;
}

static int build_all(struct cli *cli, const struct project *project, const struct need *needs,
                     size_t count, const struct compose_image_options *options, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};
    struct compose_image_options own = *options;

    own.for_running = true;
    for (size_t i = 0; i < count; i++)
        if (needs[i].builds)
            strv_add(&names, needs[i].name);
    return names.count ? compose_build_services(cli, project, &names, &own, err) : 0;
}

static int prepare(struct cli *cli, const struct project *project,
                   const struct compose_image_options *options, struct need *needs, size_t count,
                   struct error *err)
{
    bool is_changed = false;

    if (look_up_all(needs, count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (decide(&needs[i], options, err) < 0)
            return -1;
        is_changed |= needs[i].builds || needs[i].pulls;
    }
    if (!is_changed)
        return 0;
    if (pull_all(cli, project, needs, count, options, err) < 0 ||
        build_all(cli, project, needs, count, options, err) < 0)
        return -1;
    return look_up_all(needs, count, err);
}

int compose_images_prepare(struct cli *cli, const struct project *project,
                           const struct compose_image_options *options, struct map *out_ids,
                           struct error *err)
{
    const struct yaml *services = yaml_get(project->model, "services");
    CLEANUP(free) struct need *needs = xcalloc(yaml_count(services) + 1, sizeof(*needs));
    size_t count = 0;

    map_init_empty(out_ids, free);
    for (size_t i = 0; i < yaml_count(services); i++)
        if (!text_starts(services->keys[i], "x-") && !yaml_get(services->items[i], "provider"))
            needs[count++] =
                (struct need){ .cli = cli,
                               .name = services->keys[i],
                               .service = services->items[i],
                               .image = project_image_name(project, services->keys[i]) };
    int result = prepare(cli, project, options, needs, count, err);
    for (size_t i = 0; i < count; i++) {
        if (needs[i].found.id && result == 0)
            map_set_text(out_ids, needs[i].name, needs[i].found.id);
        found_done(&needs[i].found);
        free(needs[i].image);
    }
    return result;
}
