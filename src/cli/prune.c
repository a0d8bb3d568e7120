/* container, image, volume, network, builder and system prune. Whoever is asked is shown what would
 * go, by an engine that can tell. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/filter_query.h"

#include "base/banned.h"

struct prune_options {
    struct strv filters;
    bool all, force, volumes;
    struct optional_int64 reserved_space, max_used_space; /* builder */
};

#define FILTER_ROW                                                                                 \
    {                                                                                              \
        0, "filter", OPTION_LIST, offsetof(struct prune_options, filters),                         \
            "Remove only those that fit (until=TIME, label=KEY)", .check = filter_check            \
    }
#define FORCE_ROW                                                                                  \
    {                                                                                              \
        'f', "force", OPTION_BOOL, offsetof(struct prune_options, force), "Do not ask"             \
    }

static const struct option_row plain_rows[] = { FILTER_ROW, FORCE_ROW, {} };
static const struct option_row image_rows[] = {
    { 'a', "all", OPTION_BOOL, offsetof(struct prune_options, all),
      "Remove all unused images, not only those without a name" },
    FILTER_ROW,
    FORCE_ROW,
    {},
};
static const struct option_row volume_rows[] = {
    { 'a', "all", OPTION_BOOL, offsetof(struct prune_options, all),
      "Remove all unused volumes, not only anonymous ones" },
    FILTER_ROW,
    FORCE_ROW,
    {},
};
static const struct option_row system_rows[] = {
    { 'a', "all", OPTION_BOOL, offsetof(struct prune_options, all),
      "Remove all unused images, not only those without a name" },
    FILTER_ROW,
    FORCE_ROW,
    { 0, "volumes", OPTION_BOOL, offsetof(struct prune_options, volumes),
      "Remove unused anonymous volumes too" },
    {},
};

static const struct option_row builder_rows[] = {
    { 'a', "all", OPTION_BOOL, offsetof(struct prune_options, all),
      "Remove all build cache, also what images share" },
    FILTER_ROW,
    FORCE_ROW,
    { 0, "keep-storage", OPTION_BYTES, offsetof(struct prune_options, reserved_space),
      "Keep this much of what was used last", .is_hidden = true },
    { 0, "max-used-space", OPTION_BYTES, offsetof(struct prune_options, max_used_space),
      "Keep no more than this much" },
    { 0, "min-free-space", OPTION_UNSUPPORTED, 0, NULL },
    { 0, "reserved-space", OPTION_BYTES, offsetof(struct prune_options, reserved_space),
      "Keep this much of what was used last" },
    {},
};

/* What one prune call is, and how its answer is shown. */
struct kind {
    const char *path, *key, *heading;
    const char *extra_filter; /* added with --all (NULL: none) */
    const char *preview_path, *noun;
};

static const struct kind containers = { "/containers/prune",   "ContainersDeleted",
                                        "Deleted Containers:", NULL,
                                        "/prune/containers",   "container" };
static const struct kind networks = { "/networks/prune",   "NetworksDeleted",
                                      "Deleted Networks:", NULL,
                                      "/prune/networks",   "network" };
static const struct kind volumes = { "/volumes/prune", "VolumesDeleted", "Deleted Volumes:",
                                     "all=true",       "/prune/volumes", "volume" };
static const struct kind images = { "/images/prune",  "ImagesDeleted", "Deleted Images:",
                                    "dangling=false", "/prune/images", "image" };
static const struct kind cache = { "/build/prune", "CachesDeleted", "Deleted build cache objects:",
                                   NULL,           "/prune/build",  "cache" };

/* One call of a command. */
struct step {
    const struct kind *kind;
    bool is_wanted, all;
};

static bool is_confirmed(void)
{
    char answer[16] = "";

    printf("Are you sure you want to continue? [y/N] ");
    fflush(stdout);
    if (!fgets(answer, sizeof(answer), stdin))
        putchar('\n');
    return answer[0] == 'y' || answer[0] == 'Y';
}

static void print_removed(const struct json *entry)
{
    const char *deleted = json_text(json_get(entry, "Deleted"));
    const char *untagged = json_text(json_get(entry, "Untagged"));

    if (json_type(entry) == JSON_TEXT)
        puts(json_text(entry));
    else if (!text_is_empty(untagged))
        printf("untagged: %s\n", untagged);
    else if (deleted)
        printf("deleted: %s\n", deleted);
}

static int add_queries(struct client_path *path, const struct step *step,
                       const struct prune_options *options, struct error *err)
{
    const struct kind *kind = step->kind;
    CLEANUP(strv_done) struct strv filters = {};
    int64_t kept = MAX(options->reserved_space.value, options->max_used_space.value);

    strv_add_all(&filters, &options->filters);
    if (step->all && kind->extra_filter)
        strv_add(&filters, kind->extra_filter);
    if (step->all && kind == &cache)
        client_path_query(path, "all", "1");
    if (kind == &cache && kept > 0) {
        CLEANUP(free) char *bytes = xasprintf("%lld", (long long)kept);

        client_path_query(path, "reserved-space", bytes);
    }
    return filter_query_add(path, &filters, err);
}

static void print_item(const struct kind *kind, const struct json *item)
{
    const char *id = json_text(json_get(item, "ID")) ?: "";
    const char *name = json_text(json_get(item, "Name")) ?: "";
    int64_t bytes = json_to_int64(json_get(item, "Size"));
    CLEANUP(free) char *size = text_human_size_long(bytes);

    if (text_starts(id, "sha256:"))
        id += strlen("sha256:");
    if (name[0] == '/')
        name++;
    printf("  %-10s", kind->noun);
    if (strcmp(id, name) != 0)
        printf(" %.12s", id);
    if (*name)
        printf(" %.*s", (int)MIN(strcspn(name, "\n"), 64), name);
    if (kind == &networks)
        putchar('\n');
    else
        printf(" (%s)\n", size);
}

/* Docker's engine has no such call; then only the warning is there. */
static int print_preview(struct cli *cli, const struct step *steps, size_t count,
                         const struct prune_options *options, struct error *err)
{
    bool has_items = false;

    for (size_t i = 0; i < count; i++) {
        CLEANUP(client_path_done) struct client_path path = {};
        CLEANUP(json_free) struct json *answer = NULL;

        if (!steps[i].is_wanted)
            continue;
        client_path_begin(&path, "%s", steps[i].kind->preview_path);
        if (steps[0].kind == &containers && i > 0)
            client_path_query(&path, "after-containers", "1");
        if (add_queries(&path, &steps[i], options, err) < 0)
            return -1;
        if (client_call(cli->client, "GET", &path, NULL, &answer, err) < 0)
            return err->kind == ERROR_NOT_FOUND ? 0 : -1;
        for (size_t j = 0; j < json_count(answer); j++) {
            if (!has_items)
                puts("This would go:");
            has_items = true;
            print_item(steps[i].kind, json_at(answer, j));
        }
    }
    puts(has_items ? "" : "There is nothing that would go.\n");
    return 0;
}

/* Headings only for what was removed. */
static int prune_kind(struct cli *cli, const struct step *step, const struct prune_options *options,
                      int64_t *reclaimed, struct error *err)
{
    const struct kind *kind = step->kind;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *answer = NULL;

    client_path_begin(&path, "%s", kind->path);
    if (add_queries(&path, step, options, err) < 0 ||
        client_call(cli->client, "POST", &path, NULL, &answer, err) < 0)
        return -1;
    const struct json *removed = json_get(answer, kind->key);
    if (json_count(removed))
        puts(kind->heading);
    for (size_t i = 0; i < json_count(removed); i++)
        print_removed(json_at(removed, i));
    if (json_count(removed))
        putchar('\n');
    *reclaimed += json_to_int64(json_get(answer, "SpaceReclaimed"));
    return 0;
}

static void print_total(int64_t reclaimed)
{
    CLEANUP(free) char *size = text_human_size_long(reclaimed);

    printf("Total reclaimed space: %s\n", size);
}

static int run_steps(struct cli *cli, const struct step *steps, size_t count,
                     const struct prune_options *options, const char *warning, struct error *err)
{
    int64_t reclaimed = 0;

    if (!options->force) {
        puts(warning);
        if (print_preview(cli, steps, count, options, err) < 0)
            return -1;
        if (!is_confirmed()) {
            cli->exit_code = 1;
            return 0;
        }
    }
    for (size_t i = 0; i < count; i++)
        if (steps[i].is_wanted && prune_kind(cli, &steps[i], options, &reclaimed, err) < 0)
            return -1;
    if (count > 1 || steps[0].kind != &networks)
        print_total(reclaimed);
    return 0;
}

static int prune_one(struct cli *cli, const struct kind *kind, const struct prune_options *options,
                     const char *warning, struct error *err)
{
    return run_steps(cli, &(struct step){ kind, true, options->all }, 1, options, warning, err);
}

static int container_prune(struct cli *cli, const void *parsed, const struct strv *arguments UNUSED,
                           struct error *err)
{
    return prune_one(cli, &containers, parsed, "WARNING! This will remove all stopped containers.",
                     err);
}

static int image_prune(struct cli *cli, const void *parsed, const struct strv *arguments UNUSED,
                       struct error *err)
{
    const struct prune_options *options = parsed;

    return prune_one(cli, &images, options,
                     options->all ? "WARNING! This will remove all images without at least one "
                                    "container associated to them."
                                  : "WARNING! This will remove all dangling images.",
                     err);
}

static int volume_prune(struct cli *cli, const void *parsed, const struct strv *arguments UNUSED,
                        struct error *err)
{
    const struct prune_options *options = parsed;

    return prune_one(cli, &volumes, options,
                     options->all ? "WARNING! This will remove all local volumes not used by at "
                                    "least one container."
                                  : "WARNING! This will remove anonymous local volumes not used by "
                                    "at least one container.",
                     err);
}

static int network_prune(struct cli *cli, const void *parsed, const struct strv *arguments UNUSED,
                         struct error *err)
{
    return prune_one(
        cli, &networks, parsed,
        "WARNING! This will remove all custom networks not used by at least one container.", err);
}

static int builder_prune(struct cli *cli, const void *parsed, const struct strv *arguments UNUSED,
                         struct error *err)
{
    const struct prune_options *options = parsed;

    return prune_one(cli, &cache, options,
                     options->all ? "WARNING! This will remove all build cache."
                                  : "WARNING! This will remove all dangling build cache.",
                     err);
}

static char *system_warning(const struct prune_options *options)
{
    CLEANUP(free) char *filters = strv_join(&options->filters, ", ");
    struct str text = {};

    str_add(&text, "WARNING! This will remove:\n  - all stopped containers\n"
                   "  - all networks not used by at least one container\n");
    if (options->volumes)
        str_add(&text, "  - all anonymous volumes not used by at least one container\n");
    str_add(&text, options->all
                       ? "  - all images without at least one container associated to them\n"
                         "  - all build cache\n"
                       : "  - all dangling images\n  - unused build cache\n");
    if (options->filters.count)
        str_add_format(&text, "\n  Items to be pruned will be filtered with:\n  - %s\n", filters);
    return str_take(&text);
}

static int system_prune(struct cli *cli, const void *parsed, const struct strv *arguments UNUSED,
                        struct error *err)
{
    const struct prune_options *options = parsed;
    const struct step steps[] = { { &containers, true, false },
                                  { &networks, true, false },
                                  { &volumes, options->volumes, false },
                                  { &images, true, options->all },
                                  { &cache, true, options->all } };
    CLEANUP(free) char *warning = system_warning(options);

    for (size_t i = 0; options->volumes && i < options->filters.count; i++)
        if (text_starts(options->filters.items[i], "until="))
            return error_set(err, ERROR_INVALID,
                             "ERROR: The \"until\" filter is not supported with \"--volumes\"");
    return run_steps(cli, steps, COUNT(steps), options, warning, err);
}

/* clang-format off */
const struct command command_container_prune = {
    .name = "prune", .usage = "[OPTIONS]", .summary = "Remove all stopped containers", .options = plain_rows,
    .options_size = sizeof(struct prune_options), .run = container_prune,
};
const struct command command_image_prune = {
    .name = "prune", .usage = "[OPTIONS]", .summary = "Remove unused images", .options = image_rows,
    .options_size = sizeof(struct prune_options), .run = image_prune,
};
const struct command command_volume_prune = {
    .name = "prune", .usage = "[OPTIONS]", .summary = "Remove unused volumes", .options = volume_rows,
    .options_size = sizeof(struct prune_options), .run = volume_prune,
};
const struct command command_network_prune = {
    .name = "prune", .usage = "[OPTIONS]", .summary = "Remove networks that nobody uses", .options = plain_rows,
    .options_size = sizeof(struct prune_options), .run = network_prune,
};
const struct command command_builder_prune = {
    .name = "prune", .usage = "[OPTIONS]", .summary = "Remove build cache", .options = builder_rows,
    .options_size = sizeof(struct prune_options), .run = builder_prune,
};
const struct command command_system_prune = {
    .name = "prune", .usage = "[OPTIONS]", .summary = "Remove what nothing uses", .options = system_rows,
    .options_size = sizeof(struct prune_options), .run = system_prune,
};
/* clang-format on */
