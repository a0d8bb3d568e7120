/* See the header. */
#include "cli/compose_digest.h"

#include "base/memory.h"
#include "cli/credentials.h"
#include "cli/settings.h"
#include "spec/reference.h"

#include "base/banned.h"

/* "name:tag@sha256:…" of an image as its registry has it now. */
static int resolve_digest(struct cli *cli, struct yaml *image, struct error *err)
{
    CLEANUP(reference_done) struct reference reference = {};
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *answer = NULL;
    CLEANUP(map_done) struct map headers = {};

    if (reference_parse(yaml_text(image), &reference, err) < 0)
        return error_context(err, "%s", yaml_text(image));
    CLEANUP(free) char *name = reference_canonical(&reference);
    CLEANUP(free) char *server = credentials_server(reference.domain);
    if (reference.digest) {
        yaml_replace(image, yaml_new_text(name));
        return 0;
    }
    if (credentials_headers(server, &headers, err) < 0)
        return -1;
    client_path_begin(&path, "/distribution");
    client_path_segment(&path, name);
    client_path_begin(&path, "/json");
    if (client_call_with(cli->client, "GET", &path, &headers, NULL, &answer, err) < 0)
        return error_context(err, "digest of %s", yaml_text(image));
    const char *digest = json_text(json_get(json_get(answer, "Descriptor"), "digest"));
    if (!digest)
        return error_set(err, ERROR_INTERNAL, "%s: its registry tells no digest", yaml_text(image));
    CLEANUP(free) char *whole = xasprintf("%s@%s", name, digest);
    yaml_replace(image, yaml_new_text(whole));
    return 0;
}

int compose_resolve_digests(struct cli *cli, struct project *project, struct error *err)
{
    const struct yaml *services = yaml_get(project->model, "services");

    if (!cli->client && settings_connect(&cli->client, err) < 0)
        return -1;
    for (size_t i = 0; i < yaml_count(services); i++) {
        struct yaml *image = yaml_get(services->items[i], "image");

        if (!yaml_is_null(image) && resolve_digest(cli, image, err) < 0)
            return -1;
    }
    return 0;
}

void compose_keep_images(struct project *project)
{
    struct yaml *model = yaml_new(YAML_DICT), *services = yaml_new(YAML_DICT);
    const struct yaml *all = yaml_get(project->model, "services");

    for (size_t i = 0; i < yaml_count(all); i++) {
        const struct yaml *image = yaml_get(all->items[i], "image");

        if (yaml_is_null(image))
            continue;
        struct yaml *service = yaml_new(YAML_DICT);
        yaml_set(service, "image", yaml_clone(image));
        yaml_set(services, all->keys[i], service);
    }
    yaml_set(model, "services", services);
    yaml_replace(project->model, model);
}
