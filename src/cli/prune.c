/* container, image, volume, builder and system prune. */
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
            "Remove only those that fit (until=TIME, label=KEY)"                                   \
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
};

static const struct kind containers = { "/containers/prune", "ContainersDeleted",
                                        "Deleted Containers:", NULL };
static const struct kind networks = { "/networks/prune", "NetworksDeleted",
                                      "Deleted Networks:", NULL };
static const struct kind volumes = { "/volumes/prune", "VolumesDeleted",
                                     "Deleted Volumes:", "all=true" };
static const struct kind images = { "/images/prune", "ImagesDeleted",
                                    "Deleted Images:", "dangling=false" };
static const struct kind cache = { "/build/prune", "CachesDeleted",
                                   "Deleted build cache objects:", NULL };

static bool is_confirmed(const char *warning)
{
    char answer[16] = "";

    printf("%s\nAre you sure you want to continue? [y/N] ", warning);
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

/* Headings only for what was removed. */
static int prune_kind(struct cli *cli, const struct kind *kind, const struct prune_options *options,
                      bool all, int64_t *reclaimed, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *answer = NULL;
    CLEANUP(strv_done) struct strv filters = {};
    int64_t kept = MAX(options->reserved_space.value, options->max_used_space.value);

    strv_add_all(&filters, &options->filters);
    if (all && kind->extra_filter)
        strv_add(&filters, kind->extra_filter);
    client_path_begin(&path, "%s", kind->path);
    if (all && kind == &cache)
        client_path_query(&path, "all", "1");
    if (kind == &cache && kept > 0) {
        CLEANUP(free) char *bytes = xasprintf("%lld", (long long)kept);

        client_path_query(&path, "reserved-space", bytes);
    }
    if (filter_query_add(&path, &filters, err) < 0 ||
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

static int prune_one(struct cli *cli, const struct kind *kind, const struct prune_options *options,
                     const char *warning, struct error *err)
{
    int64_t reclaimed = 0;

    if (!options->force && !is_confirmed(warning)) {
        cli->exit_code = 1;
        return 0;
    }
    if (prune_kind(cli, kind, options, options->all, &reclaimed, err) < 0)
        return -1;
    print_total(reclaimed);
    return 0;
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

static int builder_prune(struct cli *cli, const void *parsed, const struct strv *arguments UNUSED,
                         struct error *err)
{
    const struct prune_options *options = parsed;

    return prune_one(cli, &cache, options,
                     options->all
                         ? "WARNING! This will remove all build cache."
                         : "WARNING! This will remove all build cache that no image shares.",
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
    const struct {
        const struct kind *kind;
        bool is_wanted, all;
    } steps[] = { { &containers, true, false },
                  { &networks, true, false },
                  { &volumes, options->volumes, false },
                  { &images, true, options->all },
                  { &cache, true, options->all } };
    CLEANUP(free) char *warning = system_warning(options);
    int64_t reclaimed = 0;

    for (size_t i = 0; options->volumes && i < options->filters.count; i++)
        if (text_starts(options->filters.items[i], "until="))
            return error_set(err, ERROR_INVALID,
                             "ERROR: The \"until\" filter is not supported with \"--volumes\"");
    if (!options->force && !is_confirmed(warning)) {
        cli->exit_code = 1;
        return 0;
    }
    for (size_t i = 0; i < COUNT(steps); i++)
        if (steps[i].is_wanted &&
            prune_kind(cli, steps[i].kind, options, steps[i].all, &reclaimed, err) < 0)
            return -1;
    print_total(reclaimed);
    return 0;
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
const struct command command_builder_prune = {
    .name = "prune", .usage = "[OPTIONS]", .summary = "Remove build cache", .options = builder_rows,
    .options_size = sizeof(struct prune_options), .run = builder_prune,
};
const struct command command_system_prune = {
    .name = "prune", .usage = "[OPTIONS]", .summary = "Remove what nothing uses", .options = system_rows,
    .options_size = sizeof(struct prune_options), .run = system_prune,
};
/* clang-format on */
