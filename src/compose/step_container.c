/* Containers: made, made anew in the place of another one, started, stopped, removed. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "compose/apply.h"
#include "compose/body.h"
#include "compose/secret.h"

#include "base/banned.h"

int container_post(struct client *client, const char *id, const char *verb,
                   const struct optional_int64 *timeout_s, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(free)
    char *seconds = timeout_s && timeout_s->is_set ? xasprintf("%lld", (long long)timeout_s->value)
                                                   : NULL;

    client_path_begin(&path, "/containers/%s/%s", id, verb);
    client_path_query(&path, "t", seconds);
    if (client_call(client, "POST", &path, NULL, NULL, err) < 0 && err->kind != ERROR_NOT_MODIFIED)
        return -1;
    return 0;
}

int container_inspect(struct client *client, const char *id, struct json **out, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "/containers/%s/json", id);
    return client_call(client, "GET", &path, NULL, out, err);
}

static int rename_to(struct client *client, const char *id, const char *name, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "/containers/%s/rename", id);
    client_path_query(&path, "name", name);
    return client_call(client, "POST", &path, NULL, NULL, err);
}

static int remove_by_id(struct client *client, const char *id, bool with_volumes, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "/containers/%s", id);
    client_path_query(&path, "force", "1");
    client_path_query(&path, "v", with_volumes ? "1" : NULL);
    if (client_call(client, "DELETE", &path, NULL, NULL, err) < 0 && err->kind != ERROR_NOT_FOUND)
        return -1;
    return 0;
}

/* Makes the container under 'name'; gives its id. */
static int create(struct apply *apply, const struct step *step, const char *name,
                  const struct json *replaced, char **out_id, struct error *err)
{
    const struct yaml *service = project_service(apply->project, step->service);
    CLEANUP(free) char *image = project_image_name(apply->project, step->service);
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(str_done) struct str body = {};
    CLEANUP(json_free) struct json *answer = NULL;
    CLEANUP(free) char *id = NULL;
    struct body_wish wish = {
        .project = apply->project,
        .service_name = step->service,
        .service = service,
        .container_name = step->subject,
        .number = step->number,
        .image = image,
        .image_id = apply->image_ids ? map_get(apply->image_ids, step->service) : NULL,
        .replaced_id = step->id,
        .replaced = apply->renew_volumes ? NULL : replaced,
        .uses_aliases = true,
        .container_of = apply_container_of,
        .data = apply,
    };

    if (body_write(&wish, &body, err) < 0)
        return -1;
    client_path_begin(&path, "/containers/create");
    client_path_query(&path, "name", name);
    client_path_query(&path, "platform", yaml_text(yaml_get(service, "platform")));
    if (client_call(apply->client, "POST", &path, str_text(&body), &answer, err) < 0)
        return -1;
    id = xstrdup(json_text(json_get(answer, "Id")));
    if (secret_put_all(apply->client, id, apply->project, service, err) < 0) {
        struct error unheard;

        remove_by_id(apply->client, id, true, &unheard);
        return -1;
    }
    *out_id = TAKE(id);
    return 0;
}

static void remember(struct apply *apply, const struct step *step, const char *id)
{
    mutex_lock(&apply->lock);
    if (!map_has(&apply->made, step->service) || step->number == 1)
        map_set_text(&apply->made, step->service, id);
    map_set_text(&apply->made, step->subject, id);
    mutex_unlock(&apply->lock);
}

int step_container_create(struct apply *apply, const struct step *step, struct error *err)
{
    CLEANUP(free) char *id = NULL;

    if (create(apply, step, step->subject, NULL, &id, err) < 0)
        return -1;
    remember(apply, step, id);
    return 0;
}

/* The new one is made beside the old one, so that a failure leaves the old one as it was. */
int step_container_recreate(struct apply *apply, const struct step *step, struct error *err)
{
    CLEANUP(json_free) struct json *old = NULL;
    CLEANUP(free) char *temporary = xasprintf("%.12s_%s", step->id, step->subject);
    CLEANUP(free) char *id = NULL;

    if (container_inspect(apply->client, step->id, &old, err) < 0 ||
        create(apply, step, temporary, old, &id, err) < 0)
        return -1;
    if (step_container_stop(apply, step, err) < 0 ||
        remove_by_id(apply->client, step->id, apply->renew_volumes, err) < 0 ||
        rename_to(apply->client, id, step->subject, err) < 0)
        return -1;
    remember(apply, step, id);
    return 0;
}

/* Made by an earlier run and never started: that run may not have come to fill it. */
static bool is_fresh(const struct actual *actual, const char *id)
{
    for (size_t i = 0; i < actual->count; i++)
        if (strcmp(actual->containers[i].id, id) == 0)
            return strcmp(actual->containers[i].state, "created") == 0;
    return false;
}

int step_container_start(struct apply *apply, const struct step *step, struct error *err)
{
    const struct yaml *service = project_service(apply->project, step->service);
    CLEANUP(free) char *id = NULL;

    mutex_lock(&apply->lock);
    id = xstrdup(map_get(&apply->made, step->subject));
    mutex_unlock(&apply->lock);
    if (!id) {
        id = xstrdup(step->id ? step->id : step->subject);
        if (is_fresh(apply->actual, id) &&
            secret_put_all(apply->client, id, apply->project, service, err) < 0)
            return -1;
    }
    if (container_post(apply->client, id, "start", NULL, err) < 0)
        return -1;
    return hook_run_all(apply->client, id, yaml_get(service, "post_start"), err);
}

int step_container_rename(struct apply *apply, const struct step *step, struct error *err)
{
    return rename_to(apply->client, step->id, step->subject, err);
}

/* A hook that fails does not keep the container from stopping. */
static void run_pre_stop(struct apply *apply, const struct step *step)
{
    const struct yaml *hooks = yaml_get(project_service(apply->project, step->service), "pre_stop");
    struct error unheard;

    if (yaml_count(hooks))
        hook_run_all(apply->client, step->id, hooks, &unheard);
}

int step_container_restart(struct apply *apply, const struct step *step, struct error *err)
{
    const struct yaml *service = project_service(apply->project, step->service);

    run_pre_stop(apply, step);
    if (container_post(apply->client, step->id, "restart", &apply->timeout_s, err) < 0)
        return -1;
    return hook_run_all(apply->client, step->id, yaml_get(service, "post_start"), err);
}

int step_container_stop(struct apply *apply, const struct step *step, struct error *err)
{
    run_pre_stop(apply, step);
    if (container_post(apply->client, step->id, "stop", &apply->timeout_s, err) < 0 &&
        err->kind != ERROR_NOT_FOUND)
        return -1;
    return 0;
}

/* Anonymous volumes that were carried over from a replaced container have a name in the new one, so
 * the engine does not take them for anonymous any more. */
static void remove_carried_volumes(struct client *client, const struct json *container)
{
    const struct json *mounts = json_get(container, "Mounts");

    for (size_t i = 0; i < json_count(mounts); i++) {
        const char *name = json_text(json_get(json_at(mounts, i), "Name"));
        CLEANUP(client_path_done) struct client_path path = {};
        struct error unheard;

        if (!name || !text_is_hex(name, ID_LENGTH))
            continue;
        client_path_begin(&path, "/volumes/%s", name);
        client_call(client, "DELETE", &path, NULL, NULL, &unheard);
    }
}

int step_container_remove(struct apply *apply, const struct step *step, struct error *err)
{
    CLEANUP(json_free) struct json *container = NULL;

    if (apply->remove_volumes && container_inspect(apply->client, step->id, &container, err) < 0)
        return err->kind == ERROR_NOT_FOUND ? 0 : -1;
    if (remove_by_id(apply->client, step->id, apply->remove_volumes, err) < 0)
        return -1;
    remove_carried_volumes(apply->client, container);
    return 0;
}

int step_container_kill(struct apply *apply, const struct step *step, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "/containers/%s/kill", step->id);
    client_path_query(&path, "signal", apply->signal);
    return client_call(apply->client, "POST", &path, NULL, NULL, err);
}

int step_container_pause(struct apply *apply, const struct step *step, struct error *err)
{
    return container_post(apply->client, step->id, "pause", NULL, err);
}

int step_container_unpause(struct apply *apply, const struct step *step, struct error *err)
{
    return container_post(apply->client, step->id, "unpause", NULL, err);
}
