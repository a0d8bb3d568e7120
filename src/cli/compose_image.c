/* Which image a service needs, and how it comes here. */
#include "cli/compose_image.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "codec/base64.h"

#include "base/banned.h"

int compose_image_id(struct cli *cli, const char *image, char **out, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *answer = NULL;

    *out = NULL;
    client_path_begin(&path, "/images");
    client_path_segment(&path, image);
    client_path_begin(&path, "/json");
    if (client_call(cli->client, "GET", &path, NULL, &answer, err) < 0)
        return err->kind == ERROR_NOT_FOUND ? 0 : -1;
    *out = xstrdup(json_text(json_get(answer, "Id")));
    return 0;
}

int compose_pull_image(struct cli *cli, const char *image, const char *platform, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    struct client_messages messages = {};
    struct json *message = NULL;
    const char *last = strrchr(image, '/');
    bool has_tag = strchr(last ? last : image, ':') || strchr(image, '@');
    int more;

    client_path_begin(&path, "/images/create");
    client_path_query(&path, "fromImage", image);
    client_path_query(&path, "tag", has_tag ? NULL : "latest");
    client_path_query(&path, "platform", platform);
    if (client_stream(cli->client, "POST", &path, NULL, NULL, NULL, &messages.response, err) < 0)
        return -1;
    while ((more = client_messages_next(&messages, &message, err)) > 0) {
        const char *failed = json_text(json_get(message, "error"));

        if (failed)
            more = error_set(err, ERROR_INTERNAL, "Error response from daemon: %s", failed);
        json_free(message);
        if (more < 0)
            break;
    }
    client_messages_done(&messages);
    return more;
}

static bool is_policy(const char *policy, const char *wanted)
{
    return text_equal(policy, wanted);
}

/* Words that mean "now and then" pull when the image is not there. */
static int check_policy(const char *name, const char *policy, struct error *err)
{
    static const char *const known[] = { "always",         "never", "missing",
                                         "if_not_present", "build", "refresh" };

    if (!policy)
        return 0;
    for (size_t i = 0; i < COUNT(known); i++)
        if (strcmp(policy, known[i]) == 0)
            return 0;
    if (strcmp(policy, "daily") == 0 || strcmp(policy, "weekly") == 0 ||
        text_starts(policy, "every_"))
        return error_set(err, ERROR_UNSUPPORTED,
                         "service \"%s\": pull_policy %s is not supported: use always, missing or "
                         "never",
                         name, policy);
    return error_set(err, ERROR_INVALID, "service \"%s\": unknown pull_policy \"%s\"", name,
                     policy);
}

static int pull_service(struct cli *cli, const char *name, const char *image, const char *platform,
                        bool is_quiet, struct error *err)
{
    CLEANUP(progress_free) struct progress *progress = is_quiet ? NULL : compose_progress(cli);

    progress_tell(progress, "Service", name, "Pulling", PROGRESS_WORKING);
    if (compose_options(cli)->dry_run || compose_pull_image(cli, image, platform, err) == 0) {
        progress_tell(progress, "Service", name, "Pulled", PROGRESS_DONE);
        return 0;
    }
    progress_tell(progress, "Service", name, "Error", PROGRESS_FAILED);
    return -1;
}

static int prepare_service(struct cli *cli, const struct project *project, const char *name,
                           const struct compose_image_options *options, char **out_id,
                           struct error *err)
{
    const struct yaml *service = project_service(project, name);
    const char *policy = options->pull ?: yaml_text(yaml_get(service, "pull_policy"));
    const char *platform = yaml_text(yaml_get(service, "platform"));
    bool can_build = !yaml_is_null(yaml_get(service, "build"));
    CLEANUP(free) char *image = project_image_name(project, name);
    bool builds, pulls;

    if (check_policy(name, policy, err) < 0 || compose_image_id(cli, image, out_id, err) < 0)
        return -1;
    builds = can_build && !options->no_build &&
             (options->build || is_policy(policy, "build") ||
              (!*out_id && !is_policy(policy, "always")));
    pulls = !builds && (is_policy(policy, "always") || (!*out_id && !is_policy(policy, "never")));
    if (options->build && can_build)
        pulls = false;
    if (pulls && can_build && !yaml_get(service, "image"))
        return error_set(err, ERROR_CONFLICT, "service \"%s\": its image has to be built first",
                         name);
    if (builds && compose_build_service(cli, project, name, options, err) < 0)
        return -1;
    if (pulls && pull_service(cli, name, image, platform, options->quiet_pull, err) < 0)
        return -1;
    if (!builds && !pulls)
        return *out_id ? 0
                       : error_set(err, ERROR_NOT_FOUND,
                                   "Error response from daemon: No such image: %s", image);
    free(*out_id);
    return compose_image_id(cli, image, out_id, err);
}

int compose_images_prepare(struct cli *cli, const struct project *project,
                           const struct compose_image_options *options, struct map *out_ids,
                           struct error *err)
{
    const struct yaml *services = yaml_get(project->model, "services");

    map_init_empty(out_ids, free);
    for (size_t i = 0; i < yaml_count(services); i++) {
        CLEANUP(free) char *id = NULL;

        if (text_starts(services->keys[i], "x-") || yaml_get(services->items[i], "provider"))
            continue;
        if (prepare_service(cli, project, services->keys[i], options, &id, err) < 0)
            return -1;
        if (id)
            map_set_text(out_ids, services->keys[i], id);
    }
    return 0;
}
