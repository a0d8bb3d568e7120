/* compose run: a container of its own for one command of a service. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/api_socket.h"
#include "cli/compose_image.h"
#include "cli/compose_remote.h"
#include "cli/compose_session.h"
#include "cli/port_spec.h"
#include "cli/terminal.h"
#include "compose/body.h"
#include "compose/dotenv.h"
#include "compose/expand.h"
#include "compose/field.h"
#include "compose/secret.h"

#include "base/banned.h"

extern const struct command command_start;

struct run_options {
    bool build, detach, interactive, no_deps, no_tty, quiet_build, quiet_pull, quiet, remove,
        remove_orphans, service_ports, use_aliases;
    struct strv cap_add, cap_drop, env, env_files, label, publish, volume;
    const char *entrypoint, *name, *pull, *user, *workdir;
};

/* clang-format off */
#define AT(member) offsetof(struct run_options, member)
static const struct option_row rows[] = {
    { 0,   "build",          OPTION_BOOL, AT(build),          "Build the image first" },
    { 0,   "cap-add",        OPTION_LIST, AT(cap_add),        "Add a capability" },
    { 0,   "cap-drop",       OPTION_LIST, AT(cap_drop),       "Drop a capability" },
    { 'd', "detach",         OPTION_BOOL, AT(detach),         "Run in the background and print the name" },
    { 0,   "entrypoint",     OPTION_TEXT, AT(entrypoint),     "Replace the entrypoint" },
    { 'e', "env",            OPTION_LIST, AT(env),            "Set an environment variable" },
    { 0,   "env-from-file",  OPTION_LIST, AT(env_files),      "Set the environment variables of a file" },
    { 'i', "interactive",    OPTION_BOOL, AT(interactive),    "Keep stdin open", .initially_true = true },
    { 'l', "label",          OPTION_LIST, AT(label),          "Set a label" },
    { 0,   "name",           OPTION_TEXT, AT(name),           "Name of the container" },
    { 0,   "no-deps",        OPTION_BOOL, AT(no_deps),        "Do not start what the service depends on" },
    { 'T', "no-tty",         OPTION_BOOL, AT(no_tty),         "Do not make a terminal, as is done when stdin is one" },
    { 0,   "no-TTY",         OPTION_BOOL, AT(no_tty),         "", .is_hidden = true },
    { 'p', "publish",        OPTION_LIST, AT(publish),        "Publish a port" },
    { 0,   "pull",           OPTION_TEXT, AT(pull),           "When to pull: always, missing or never" },
    { 'q', "quiet",          OPTION_BOOL, AT(quiet),          "Print nothing of ours" },
    { 0,   "quiet-build",    OPTION_BOOL, AT(quiet_build),    "Print nothing of builds" },
    { 0,   "quiet-pull",     OPTION_BOOL, AT(quiet_pull),     "Print nothing of pulls" },
    { 0,   "remove-orphans", OPTION_BOOL, AT(remove_orphans), "Remove containers of services that the file has not" },
    { 0,   "rm",             OPTION_BOOL, AT(remove),         "Remove the container when it ends" },
    { 'P', "service-ports",  OPTION_BOOL, AT(service_ports),  "Publish the ports of the service" },
    { 0,   "use-aliases",    OPTION_BOOL, AT(use_aliases),    "Take the names of the service in its networks" },
    { 'u', "user",           OPTION_TEXT, AT(user),           "Run as this user" },
    { 'v', "volume",         OPTION_LIST, AT(volume),         "Mount a volume" },
    { 'w', "workdir",        OPTION_TEXT, AT(workdir),        "Run in this directory" },
    {},
};
/* clang-format on */

static struct yaml *section(struct yaml *service, const char *name, enum yaml_kind kind)
{
    struct yaml *found = yaml_get(service, name);

    if (yaml_is_null(found)) {
        found = yaml_new(kind);
        yaml_set(service, name, found);
    }
    return found;
}

static void set_pairs(struct yaml *service, const char *key, const struct strv *pairs,
                      bool from_environment)
{
    for (size_t i = 0; i < pairs->count; i++) {
        const char *text = pairs->items[i], *equals = strchr(text, '=');
        CLEANUP(free)
        char *name = equals ? xstrndup(text, (size_t)(equals - text)) : xstrdup(text);
        const char *value = equals ? equals + 1 : from_environment ? getenv(name) : "";

        if (value)
            yaml_set(section(service, key, YAML_DICT), name, yaml_new_text(value));
    }
}

/* Adds short forms, expanded, to a list of the service. */
static int add_forms(struct yaml *service, const char *key, const struct strv *forms,
                     struct error *err)
{
    struct yaml *list = section(service, key, YAML_LIST);
    const struct field *field = field_find(field_service.fields, key);
    struct spot spot = { .name = key };

    for (size_t i = 0; i < forms->count; i++)
        yaml_add(list, yaml_new_text(forms->items[i]));
    return field_apply(field, list, &spot, err);
}

static void set_list(struct yaml *service, const char *key, const struct strv *words, size_t first)
{
    struct yaml *list = yaml_new(YAML_LIST);

    for (size_t i = first; i < words->count; i++)
        yaml_add(list, yaml_new_text(words->items[i]));
    yaml_set(service, key, list);
}

static const char *known_variable(void *data, const char *name)
{
    return map_get(data, name);
}

static int set_from_file(struct yaml *service, const struct project *project, const char *path,
                         struct error *err)
{
    CLEANUP(map_done) struct map values = {};
    CLEANUP(str_done) struct str text = {};
    struct variable_source source = { .get = known_variable,
                                      .data = (void *)&project->environment };

    map_init_empty(&values, free);
    if (file_read(path, DOTENV_SIZE_LIMIT, &text, err) < 0 ||
        dotenv_parse(str_text(&text), &source, &values, err) < 0)
        return error_context(err, "%s", path);
    MAP_EACH (&values, entry)
        yaml_set(section(service, "environment", YAML_DICT), entry->key,
                 yaml_new_text(entry->value));
    return 0;
}

/* The service with what the command line says over it. */
static int override(const struct project *project, struct yaml *service,
                    const struct run_options *options, const struct strv *arguments,
                    bool has_terminal, struct error *err)
{
    if (arguments->count > 1)
        set_list(service, "command", arguments, 1);
    if (options->entrypoint) {
        yaml_set(service, "entrypoint", yaml_new_text(options->entrypoint));
        if (field_apply(field_find(field_service.fields, "entrypoint"),
                        yaml_get(service, "entrypoint"), NULL, err) < 0)
            return -1;
        if (arguments->count < 2)
            yaml_set(service, "command", yaml_new(YAML_LIST));
    }
    if (options->user)
        yaml_set(service, "user", yaml_new_text(options->user));
    if (options->workdir)
        yaml_set(service, "working_dir", yaml_new_text(options->workdir));
    for (size_t i = 0; i < options->cap_add.count; i++)
        yaml_add(section(service, "cap_add", YAML_LIST), yaml_new_text(options->cap_add.items[i]));
    for (size_t i = 0; i < options->cap_drop.count; i++)
        yaml_add(section(service, "cap_drop", YAML_LIST),
                 yaml_new_text(options->cap_drop.items[i]));
    for (size_t i = 0; i < options->env_files.count; i++)
        if (set_from_file(service, project, options->env_files.items[i], err) < 0)
            return -1;
    set_pairs(service, "environment", &options->env, true);
    set_pairs(service, "labels", &options->label, false);
    if (!options->service_ports)
        yaml_remove(service, "ports");
    yaml_set(service, "tty", yaml_new_bool(has_terminal));
    yaml_set(service, "stdin_open", yaml_new_bool(options->interactive && !options->detach));
    yaml_remove(service, "container_name");
    if (add_forms(service, "ports", &options->publish, err) < 0)
        return -1;
    return add_forms(service, "volumes", &options->volume, err);
}

/* Everything that the service needs, but not the service itself. */
static int prepare(struct cli *cli, struct compose_session *session, const char *name,
                   const struct run_options *options, struct map *image_ids, struct error *err)
{
    CLEANUP(map_done) struct map scales = {};
    CLEANUP(strv_done) struct strv warnings = {};
    CLEANUP(plan_done) struct plan plan = {};
    struct compose_image_options images = { .build = options->build,
                                            .quiet_build = options->quiet_build || options->quiet,
                                            .quiet_pull = options->quiet_pull || options->quiet,
                                            .pull = options->pull };

    if (apply_check(&session->project, err) < 0 ||
        api_socket_serve(cli->client, session->project.model, err) < 0 ||
        compose_images_prepare(cli, &session->project, &images, image_ids, err) < 0)
        return -1;
    /* As many containers of the service as there are: nothing is done to them. */
    size_t count = 0;
    for (size_t i = 0; i < session->actual.count; i++)
        count += !session->actual.containers[i].is_oneoff &&
                 strcmp(session->actual.containers[i].service, name) == 0;
    CLEANUP(free) char *kept = xasprintf("%zu", count);
    map_init_empty(&scales, free);
    map_set_text(&scales, name, kept);
    struct plan_options wish = { .image_ids = image_ids,
                                 .scales = &scales,
                                 .remove_orphans = options->remove_orphans };
    plan_up(&session->project, &session->actual, &wish, &plan, &warnings);
    for (size_t i = 0; i < plan.count; i++)
        if (text_equal(plan.steps[i].service, name) && plan.steps[i].kind != STEP_NETWORK_CREATE &&
            plan.steps[i].kind != STEP_VOLUME_CREATE)
            plan.steps[i].kind = STEP_BARRIER;

    CLEANUP(progress_free)
    struct progress *progress = options->quiet ? NULL : compose_progress(cli);
    CLEANUP(apply_done) struct apply apply;
    compose_apply_init(cli, session, progress, &apply);
    apply.image_ids = image_ids;
    if (apply_plan(&apply, &plan, err) < 0)
        return -1;
    /* Modes like "service:x" ask for containers that may be new. */
    actual_done(&session->actual);
    session->actual = (struct actual){};
    return actual_read(cli->client, session->project.name, &session->actual, err);
}

static int create(struct cli *cli, struct compose_session *session, const char *name,
                  const struct yaml *service, const struct run_options *options,
                  const struct map *image_ids, char **out_id, char **out_name, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(str_done) struct str body = {};
    CLEANUP(json_free) struct json *answer = NULL;
    CLEANUP(apply_done) struct apply apply;
    CLEANUP(free) char *image = project_image_name(&session->project, name);
    char slug[ID_LENGTH + 1];

    id_generate(slug);
    compose_apply_init(cli, session, NULL, &apply);
    *out_name = options->name
                    ? xstrdup(options->name)
                    : xasprintf("%s%c%s%crun%c%.12s", session->project.name,
                                session->project.separator, name, session->project.separator,
                                session->project.separator, slug);
    struct body_wish wish = { .project = &session->project,
                              .service_name = name,
                              .service = service,
                              .container_name = *out_name,
                              .image = image,
                              .image_id = map_get(image_ids, name),
                              .slug = slug,
                              .auto_remove = options->remove,
                              .is_attached = !options->detach,
                              .uses_aliases = options->use_aliases,
                              .container_of = apply_container_of,
                              .data = &apply };
    if (body_write(&wish, &body, err) < 0)
        return -1;
    client_path_begin(&path, "/containers/create");
    client_path_query(&path, "name", *out_name);
    if (client_call(cli->client, "POST", &path, str_text(&body), &answer, err) < 0)
        return -1;
    *out_id = xstrdup(json_text(json_get(answer, "Id")));
    return secret_put_all(cli->client, *out_id, &session->project, service, err);
}

static int run(struct cli *cli, const void *parsed, const struct strv *arguments, struct error *err)
{
    const struct run_options *options = parsed;
    const char *name = arguments->items[0];
    CLEANUP(compose_session_done) struct compose_session session = {};
    CLEANUP(strv_done) struct strv named = {}, words = {};
    CLEANUP(map_done) struct map image_ids = {};
    CLEANUP(yaml_drop) struct yaml *service = NULL;
    CLEANUP(free) char *id = NULL, *container_name = NULL;
    bool has_terminal = !options->no_tty && !options->detach && terminal_is(STDIN_FILENO) &&
                        terminal_is(STDOUT_FILENO);

    if (compose_refuse_trial(cli, err) < 0)
        return -1;
    strv_add(&named, name);
    if (compose_load(cli, &named, &session.project, err) < 0 ||
        project_select(&session.project, &named, options->no_deps, err) < 0 ||
        actual_read(cli->client, session.project.name, &session.actual, err) < 0 ||
        compose_remote_confirm(cli, &session.project, false, err) < 0 ||
        prepare(cli, &session, name, options, &image_ids, err) < 0)
        return -1;
    service = yaml_clone(project_service(&session.project, name));
    if (override(&session.project, service, options, arguments, has_terminal, err) < 0 ||
        create(cli, &session, name, service, options, &image_ids, &id, &container_name, err) < 0)
        return -1;
    if (!options->detach) {
        strv_add(&words, "-a");
        if (options->interactive)
            strv_add(&words, "-i");
        strv_add(&words, id);
        return cli_call(cli, &command_start, &words, err);
    }
    if (container_post(cli->client, id, "start", NULL, err) < 0)
        return -1;
    puts(container_name);
    return 0;
}

const struct command command_compose_run = {
    .name = "run",
    .usage = "[OPTIONS] SERVICE [COMMAND] [ARG...]",
    .summary = "Run one command in a new container of a service",
    .least = 1,
    .most = MANY_ARGUMENTS,
    .options = rows,
    .options_size = sizeof(struct run_options),
    .stops_early = true,
    .run = run,
};
