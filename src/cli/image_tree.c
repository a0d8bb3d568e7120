#include "cli/image_tree.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/filter_query.h"
#include "cli/format.h"
#include "codec/json.h"

#include "base/banned.h"

/* One line: a name, or a platform below it. */
struct line {
    char *shown;
    char *id, *disk, *content; /* NULL: only the last name of an image has them */
    bool is_used, is_platform;
};

struct lines {
    struct line *items;
    size_t count;
};

static void lines_done(struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++) {
        free(lines->items[i].shown);
        free(lines->items[i].id);
        free(lines->items[i].disk);
        free(lines->items[i].content);
    }
    free(lines->items);
}
CLEANUP_VALUE(lines_done, struct lines)

static struct line *add_line(struct lines *lines, char *shown)
{
    lines->items = xrealloc(lines->items, lines->count + 1, sizeof(*lines->items));
    struct line *line = &lines->items[lines->count++];
    *line = (struct line){ .shown = shown };
    return line;
}

static void describe(struct line *line, const char *id, int64_t disk, int64_t content, bool is_used)
{
    line->id = format_short_id(id ?: "");
    line->disk = text_human_size(disk);
    line->content = text_human_size(content);
    line->is_used = is_used;
}

static bool is_used_by(const struct json *containers, const char *image_id)
{
    for (size_t i = 0; i < json_count(containers); i++)
        if (text_equal(json_text(json_get(json_at(containers, i), "ImageID")), image_id))
            return true;
    return false;
}

/* "linux/arm64/v8" */
static char *platform_text(const struct json *platform)
{
    const char *variant = json_text(json_get(platform, "variant"));

    return xasprintf("%s/%s%s%s", json_text(json_get(platform, "os")) ?: "unknown",
                     json_text(json_get(platform, "architecture")) ?: "unknown",
                     text_is_empty(variant) ? "" : "/", variant ?: "");
}

/* What an index has for each platform; the sum of their contents. */
static int64_t add_platforms(struct lines *lines, const struct json *manifests,
                             const struct json *containers)
{
    size_t count = 0, last = 0;
    int64_t sum = 0;

    for (size_t i = 0; i < json_count(manifests); i++)
        if (json_get(json_at(manifests, i), "ImageData"))
            last = i, count++;
    for (size_t i = 0; count && i <= last; i++) {
        const struct json *manifest = json_at(manifests, i), *size = json_get(manifest, "Size"),
                          *data = json_get(manifest, "ImageData");
        const char *id = json_text(json_get(manifest, "ID"));

        if (!data)
            continue;
        CLEANUP(free) char *platform = platform_text(json_get(data, "Platform"));
        struct line *line = add_line(lines, xasprintf("%s %s", i == last ? "└─" : "├─", platform));
        int64_t content = json_to_int64(json_get(size, "Content"));

        line->is_platform = true;
        describe(line, id, json_to_int64(json_get(size, "Total")), content,
                 json_count(json_get(data, "Containers")) > 0 || is_used_by(containers, id));
        sum += content;
    }
    return sum;
}

static void add_image(struct lines *lines, const struct json *image, const struct json *containers,
                      bool is_all)
{
    const struct json *tags = json_get(image, "RepoTags");
    const char *id = json_text(json_get(image, "Id"));

    if (!json_count(tags) && !is_all)
        return;
    for (size_t i = 0; i < json_count(tags); i++)
        add_line(lines, xstrdup(json_text(json_at(tags, i))));
    if (!json_count(tags))
        add_line(lines, xstrdup("<untagged>"));
    size_t own = lines->count - 1;
    int64_t content = add_platforms(lines, json_get(image, "Manifests"), containers);
    bool is_used = is_used_by(containers, id);
    for (size_t i = own + 1; i < lines->count; i++)
        is_used |= lines->items[i].is_used;
    describe(&lines->items[own], id, json_to_int64(json_get(image, "Size")), content, is_used);
}

/* Characters, not bytes: the branches are three bytes each. */
static size_t text_width(const char *text)
{
    size_t width = 0;

    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_lines(const struct lines *lines)
{
    size_t width = strlen("IMAGE");

    for (size_t i = 0; i < lines->count; i++)
        width = MAX(width, text_width(lines->items[i].shown));
    printf("%-*s   %-12s   %10s   %12s   EXTRA\n", (int)width, "IMAGE", "ID", "DISK USAGE",
           "CONTENT SIZE");
    for (size_t i = 0; i < lines->count; i++) {
        const struct line *line = &lines->items[i];
        bool ends_branch = line->is_platform &&
                           (i + 1 == lines->count || !lines->items[i + 1].is_platform);

        if (!line->id) {
            puts(line->shown);
            continue;
        }
        printf("%s%*s   %-12s   %10s   %12s%s\n", line->shown,
               (int)(width - text_width(line->shown)), "", line->id, line->disk, line->content,
               line->is_used ? "   U" : "");
        if (ends_branch && i + 1 < lines->count)
            putchar('\n');
    }
}

int image_tree_print(struct client *client, const struct strv *filters, bool is_all,
                     struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {}, containers_path = {};
    CLEANUP(json_free) struct json *images = NULL;
    CLEANUP(json_free) struct json *containers = NULL;
    CLEANUP(lines_done) struct lines lines = {};

    client_path_begin(&path, "/images/json");
    client_path_query(&path, "all", is_all ? "1" : NULL);
    client_path_query(&path, "manifests", "1");
    client_path_begin(&containers_path, "/containers/json");
    client_path_query(&containers_path, "all", "1");
    if (filter_query_add(&path, filters, err) < 0 ||
        client_call(client, "GET", &path, NULL, &images, err) < 0 ||
        client_call(client, "GET", &containers_path, NULL, &containers, err) < 0)
        return -1;
    for (size_t i = 0; i < json_count(images); i++)
        add_image(&lines, json_at(images, i), containers, is_all);
    print_lines(&lines);
    return 0;
}
