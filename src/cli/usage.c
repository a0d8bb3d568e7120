/* system df: what takes room on the disk, in a summary or in full. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/format.h"

#include "base/banned.h"

struct df_options {
    bool verbose;
    const char *format;
};

static const struct option_row rows[] = {
    { 0, "format", OPTION_TEXT, offsetof(struct df_options, format),
      "table, table TEMPLATE, json or a Go template" },
    { 'v', "verbose", OPTION_BOOL, offsetof(struct df_options, verbose), "Show each thing" },
    {},
};

/* ---- the summary ---- */

struct summary {
    int64_t total, active, size, reclaimable;
    bool with_percent;
};

static bool is_active(const struct json *container)
{
    const char *state = json_text(json_get(container, "State"));

    return text_equal(state, "running") || text_equal(state, "paused") ||
           text_equal(state, "restarting");
}

static int64_t number(const struct json *object, const char *key)
{
    return MAX(json_to_int64(json_get(object, key)), 0);
}

/* Layers belong to several images: what goes with an image is what only it has. */
static struct summary sum_images(const struct json *answer)
{
    const struct json *list = json_get(answer, "Images");
    struct summary sum = { .total = (int64_t)json_count(list),
                           .size = number(answer, "LayersSize"),
                           .with_percent = true };
    int64_t used = 0;

    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *image = json_at(list, i);

        if (number(image, "Containers") == 0)
            continue;
        sum.active++;
        used += number(image, "Size") - number(image, "SharedSize");
    }
    sum.reclaimable = MAX(sum.size - used, 0);
    return sum;
}

static struct summary sum_containers(const struct json *answer)
{
    const struct json *list = json_get(answer, "Containers");
    struct summary sum = { .total = (int64_t)json_count(list), .with_percent = true };

    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *container = json_at(list, i);
        int64_t size = number(container, "SizeRw");

        sum.size += size;
        if (is_active(container))
            sum.active++;
        else
            sum.reclaimable += size;
    }
    return sum;
}

static struct summary sum_volumes(const struct json *answer)
{
    const struct json *list = json_get(answer, "Volumes");
    struct summary sum = { .total = (int64_t)json_count(list), .with_percent = true };

    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *usage = json_get(json_at(list, i), "UsageData");
        int64_t size = number(usage, "Size");

        sum.size += size;
        if (number(usage, "RefCount") > 0)
            sum.active++;
        else
            sum.reclaimable += size;
    }
    return sum;
}

static struct summary sum_cache(const struct json *answer)
{
    const struct json *list = json_get(answer, "BuildCache");
    struct summary sum = { .total = (int64_t)json_count(list) };

    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *entry = json_at(list, i);
        int64_t size = json_type(json_get(entry, "Shared")) == JSON_TRUE ? 0
                                                                         : number(entry, "Size");
        bool in_use = json_type(json_get(entry, "InUse")) == JSON_TRUE;

        sum.size += size;
        sum.active += in_use;
        sum.reclaimable += in_use ? 0 : size;
    }
    return sum;
}

static struct json *summary_row(const char *type, const struct summary *sum)
{
    CLEANUP(free) char *total = xasprintf("%lld", (long long)sum->total);
    CLEANUP(free) char *active = xasprintf("%lld", (long long)sum->active);
    CLEANUP(free) char *size = text_human_size_long(sum->size);
    CLEANUP(free) char *reclaimable = text_human_size_long(sum->reclaimable);
    CLEANUP(free)
    char *shown = sum->with_percent && sum->size > 0
                      ? xasprintf("%s (%lld%%)", reclaimable,
                                  (long long)(sum->reclaimable * 100 / sum->size))
                      : xstrdup(reclaimable);
    struct row row;

    row_begin(&row);
    row_add(&row, "Active", active);
    row_add(&row, "Reclaimable", shown);
    row_add(&row, "Size", size);
    row_add(&row, "TotalCount", total);
    row_add(&row, "Type", type);
    return row_finish(&row);
}

static int print_summary(const char *format, const struct json *answer, struct error *err)
{
    static const struct format_column columns[] = {
        { "Type", "TYPE" }, { "TotalCount", "TOTAL" },        { "Active", "ACTIVE" },
        { "Size", "SIZE" }, { "Reclaimable", "RECLAIMABLE" }, {}
    };
    static const struct {
        const char *type;
        struct summary (*sum)(const struct json *answer);
    } kinds[] = { { "Images", sum_images },
                  { "Containers", sum_containers },
                  { "Local Volumes", sum_volumes },
                  { "Build Cache", sum_cache } };
    struct json *made[COUNT(kinds)];

    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct summary sum = kinds[i].sum(answer);

        made[i] = summary_row(kinds[i].type, &sum);
    }
    static const char raw[] = "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\n"
                              "size: {{.Size}}\nreclaimable: {{.Reclaimable}}\n";
    int result = format_rows(format_or_raw(format, raw), "Type TotalCount Active Size Reclaimable",
                             columns, made, COUNT(kinds), err);
    for (size_t i = 0; i < COUNT(kinds); i++)
        json_free(made[i]);
    return result;
}

/* ---- each thing ---- */

/* The first name of an image, taken apart; "<none>" for what it has not. */
static void split_name(const struct json *image, char **out_repository, char **out_tag)
{
    const char *name = json_text(json_at(json_get(image, "RepoTags"), 0));
    const char *colon = name ? strrchr(name, ':') : NULL;

    *out_repository = colon ? xstrndup(name, (size_t)(colon - name)) : xstrdup("<none>");
    *out_tag = xstrdup(colon ? colon + 1 : "<none>");
}

static struct json *image_row(const struct json *image)
{
    CLEANUP(free) char *repository = NULL, *tag = NULL;
    CLEANUP(free) char *id = format_short_id(json_text(json_get(image, "Id")));
    CLEANUP(free) char *ago = format_ago(number(image, "Created"));
    CLEANUP(free) char *size = text_human_size(number(image, "Size"));
    CLEANUP(free) char *shared = text_human_size_long(number(image, "SharedSize"));
    CLEANUP(free)
    char *unique = text_human_size_long(number(image, "Size") - number(image, "SharedSize"));
    CLEANUP(free) char *containers = xasprintf("%lld", (long long)number(image, "Containers"));
    struct row row;

    split_name(image, &repository, &tag);
    row_begin(&row);
    row_add(&row, "Repository", repository);
    row_add(&row, "Tag", tag);
    row_add(&row, "ID", id);
    row_add(&row, "CreatedSince", ago);
    row_add(&row, "Size", size);
    row_add(&row, "SharedSize", shared);
    row_add(&row, "UniqueSize", unique);
    row_add(&row, "Containers", containers);
    return row_finish(&row);
}

static struct json *container_row(const struct json *container)
{
    const struct json *mounts = json_get(container, "Mounts");
    const char *name = json_text(json_at(json_get(container, "Names"), 0));
    CLEANUP(free) char *id = format_short_id(json_text(json_get(container, "Id")));
    CLEANUP(free)
    char *cut = format_truncate(json_text(json_get(container, "Command")), 20);
    CLEANUP(free) char *command = xasprintf("\"%s\"", cut);
    CLEANUP(free) char *ago = format_ago(number(container, "Created"));
    CLEANUP(free) char *size = text_human_size(number(container, "SizeRw"));
    int volumes = 0;
    struct row row;

    for (size_t i = 0; i < json_count(mounts); i++)
        volumes += text_equal(json_text(json_get(json_at(mounts, i), "Driver")), "local");
    CLEANUP(free) char *volume_count = xasprintf("%d", volumes);
    row_begin(&row);
    row_add(&row, "ID", id);
    row_add(&row, "Image", json_text(json_get(container, "Image")));
    row_add(&row, "Command", command);
    row_add(&row, "LocalVolumes", volume_count);
    row_add(&row, "Size", size);
    row_add(&row, "RunningFor", ago);
    row_add(&row, "Status", json_text(json_get(container, "Status")));
    row_add(&row, "Names", name && name[0] == '/' ? name + 1 : name);
    return row_finish(&row);
}

static struct json *volume_row(const struct json *volume)
{
    const struct json *usage = json_get(volume, "UsageData");
    CLEANUP(free) char *links = xasprintf("%lld", (long long)number(usage, "RefCount"));
    CLEANUP(free) char *size = text_human_size_long(number(usage, "Size"));
    struct row row;

    row_begin(&row);
    row_add(&row, "Name", json_text(json_get(volume, "Name")));
    row_add(&row, "Links", links);
    row_add(&row, "Size", size);
    return row_finish(&row);
}

static char *ago_of(const struct json *entry, const char *key)
{
    const char *text = json_text(json_get(entry, key));
    int64_t wall_ns = 0;
    struct error ignored;

    if (!text || time_parse(text, &wall_ns, &ignored) < 0 || !wall_ns)
        return xstrdup("");
    return format_ago(wall_ns / NS_PER_S);
}

static struct json *cache_row(const struct json *entry)
{
    CLEANUP(free) char *id = format_short_id(json_text(json_get(entry, "ID")));
    CLEANUP(free) char *size = text_human_size(number(entry, "Size"));
    CLEANUP(free) char *created = ago_of(entry, "CreatedAt");
    CLEANUP(free) char *used = ago_of(entry, "LastUsedAt");
    CLEANUP(free) char *count = xasprintf("%lld", (long long)number(entry, "UsageCount"));
    struct row row;

    row_begin(&row);
    row_add(&row, "ID", id);
    row_add(&row, "CacheType", json_text(json_get(entry, "Type")));
    row_add(&row, "Size", size);
    row_add(&row, "CreatedSince", created);
    row_add(&row, "LastUsedSince", used);
    row_add(&row, "UsageCount", count);
    row_add(&row, "Shared", json_type(json_get(entry, "Shared")) == JSON_TRUE ? "true" : "false");
    return row_finish(&row);
}

/* clang-format off */
static const struct format_column columns[] = {
    { "Repository", "REPOSITORY" }, { "Tag", "TAG" }, { "Image", "IMAGE" }, { "Command", "COMMAND" },
    { "CreatedSince", "CREATED" }, { "RunningFor", "CREATED" }, { "Size", "SIZE" }, { "SharedSize", "SHARED SIZE" },
    { "UniqueSize", "UNIQUE SIZE" }, { "Containers", "CONTAINERS" }, { "LocalVolumes", "LOCAL VOLUMES" },
    { "Status", "STATUS" }, { "Names", "NAMES" }, { "Name", "VOLUME NAME" }, { "Links", "LINKS" },
    { "CacheType", "CACHE TYPE" }, { "LastUsedSince", "LAST USED" }, { "UsageCount", "USAGE" }, { "Shared", "SHARED" },
};

static const struct section {
    const char *key, *title, *id_heading, *keys;
    struct json *(*row)(const struct json *entry);
} sections[] = {
    { "Images",     "Images space usage:",        "IMAGE ID",     "Repository Tag ID CreatedSince Size SharedSize UniqueSize Containers",   image_row },
    { "Containers", "Containers space usage:",    "CONTAINER ID", "ID Image Command LocalVolumes Size RunningFor Status Names",             container_row },
    { "Volumes",    "Local Volumes space usage:", "",             "Name Links Size",                                                        volume_row },
    { "BuildCache", "Build cache usage:",         "CACHE ID",     "ID CacheType Size CreatedSince LastUsedSince UsageCount Shared",         cache_row },
};
/* clang-format on */

static int print_section(const struct section *section, const struct json *answer,
                         struct error *err)
{
    const struct json *list = json_get(answer, section->key);
    size_t count = json_count(list);
    struct format_column all[COUNT(columns) + 2] = { { "ID", section->id_heading } };
    struct json **made = xcalloc(count + 1, sizeof(*made));

    memcpy(all + 1, columns, sizeof(columns));
    for (size_t i = 0; i < count; i++)
        made[i] = section->row(json_at(list, i));
    int result = format_rows(NULL, section->keys, all, made, count, err);
    for (size_t i = 0; i < count; i++)
        json_free(made[i]);
    free(made);
    return result;
}

static int print_all(const struct json *answer, struct error *err)
{
    for (size_t i = 0; i < COUNT(sections); i++) {
        printf("%s%s", i ? "\n" : "", sections[i].title);
        if (strcmp(sections[i].key, "BuildCache") == 0) {
            struct summary sum = sum_cache(answer);
            CLEANUP(free) char *size = text_human_size(sum.size);

            printf(" %s", size);
        }
        printf("\n\n");
        if (print_section(&sections[i], answer, err) < 0)
            return -1;
    }
    return 0;
}

static int df(struct cli *cli, const void *parsed, const struct strv *arguments UNUSED,
              struct error *err)
{
    const struct df_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *answer = NULL;

    client_path_begin(&path, "/system/df");
    /* Another engine does not know it, and sends all. */
    if (!options->verbose)
        client_path_query(&path, "brief", "1");
    if (client_call(cli->client, "GET", &path, NULL, &answer, err) < 0)
        return -1;
    if (!options->verbose)
        return print_summary(options->format, answer, err);
    return options->format ? format_document(options->format, answer, err) : print_all(answer, err);
}

const struct command command_df = {
    .name = "df",
    .usage = "[OPTIONS]",
    .summary = "Show what takes room on the disk",
    .options = rows,
    .options_size = sizeof(struct df_options),
    .run = df,
};
