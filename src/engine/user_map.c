/* See the header. */
#include "engine/user_map.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

enum { DEFAULT_SIZE = 65536, LINE_LIMIT = 256 };
#define POOL_START UINT32_C(0x40000000)
#define POOL_END   UINT32_C(0x70000000)

/* clang-format off */
static const struct json_field range_fields[] = {
    JSON_INT64(struct user_range, inside,  "Inside"),
    JSON_INT64(struct user_range, outside, "Outside"),
    JSON_INT64(struct user_range, count,   "Count"),
    JSON_END,
};
const struct json_field user_map_fields[] = {
    JSON_OBJECTS(struct user_map, uids, "UIDs", struct user_range, range_fields),
    JSON_OBJECTS(struct user_map, gids, "GIDs", struct user_range, range_fields),
    JSON_END,
};
/* clang-format on */

/* ---- the mode ---- */

struct wish {
    bool is_host, keeps;
    uint32_t size, uid, gid;
};

static bool read_number(const char *text, uint32_t limit, uint32_t *out)
{
    char *end;
    unsigned long long number = strtoull(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || number > limit)
        return false;
    *out = (uint32_t)number;
    return true;
}

static bool read_word(const char *word, struct wish *wish, unsigned *seen)
{
    static const char *const keys[] = { "size=", "uid=", "gid=" };
    uint32_t *const fields[] = { &wish->size, &wish->uid, &wish->gid };

    for (size_t i = 0; i < COUNT(keys); i++)
        if (text_starts(word, keys[i]) && !(*seen & 1u << i)) {
            *seen |= 1u << i;
            return read_number(word + strlen(keys[i]), i ? UINT32_MAX - 1 : 1u << 24, fields[i]);
        }
    return false;
}

static int parse(const char *mode, struct wish *out, struct error *err)
{
    const char *colon = strchr(mode, ':');
    size_t length = colon ? (size_t)(colon - mode) : strlen(mode);
    CLEANUP(strv_done) struct strv words = {};
    unsigned seen = 0;
    bool is_good = true;

    *out = (struct wish){ .size = DEFAULT_SIZE };
    out->is_host = strcmp(mode, "host") == 0;
    out->keeps = length == 7 && strncmp(mode, "keep-id", 7) == 0;
    if (colon)
        strv_split(&words, colon + 1, ',');
    for (size_t i = 0; i < words.count; i++)
        is_good = is_good && read_word(words.items[i], out, &seen);
    if (out->is_host)
        return 0;
    if (!is_good || !out->size || (!out->keeps && (length != 4 || strncmp(mode, "auto", 4) != 0)) ||
        (!out->keeps && seen & ~1u))
        return error_set(err, ERROR_INVALID, "invalid user namespace mode: %s", mode);
    if (out->keeps && (seen & 6) != 6)
        return error_set(err, ERROR_INVALID,
                         "user namespace mode %s: say whose numbers are kept: "
                         "keep-id:uid=NUMBER,gid=NUMBER",
                         mode);
    return 0;
}

static const char *mode_of(const struct engine *engine, const struct host_config *host)
{
    if (!text_is_empty(host->userns_mode))
        return host->userns_mode;
    return text_is_empty(engine->options.userns_remap) ? "host" : "";
}

int user_map_check(const struct engine *engine, const struct host_config *host, struct error *err)
{
    const char *mode = mode_of(engine, host), *network = host->network_mode ?: "";
    struct wish wish = {};

    if (*mode && parse(mode, &wish, err) < 0)
        return -1;
    if (wish.is_host)
        return 0;
    if (host->privileged)
        return error_set(err, ERROR_INVALID,
                         "privileged mode is incompatible with user namespaces: run the container "
                         "with userns=host");
    if (strcmp(network, "host") == 0)
        return error_set(
            err, ERROR_INVALID,
            "cannot share the host's network namespace when user namespaces are enabled");
    if (text_equal(host->pid_mode, "host"))
        return error_set(err, ERROR_INVALID,
                         "cannot share the host PID namespace when user namespaces are enabled");
    if (text_starts(network, "container:") ||
        (host->pid_mode && text_starts(host->pid_mode, "container:")) ||
        (host->ipc_mode &&
         (text_starts(host->ipc_mode, "container:") || strcmp(host->ipc_mode, "host") == 0)))
        return error_set(err, ERROR_UNSUPPORTED,
                         "namespaces of others cannot be joined by a container with users of its "
                         "own: run it with userns=host");
    return 0;
}

/* ---- ranges ---- */

static void add_range(struct json_list *list, uint32_t inside, uint32_t outside, uint32_t count)
{
    if (count)
        *(struct user_range *)json_list_add(list, sizeof(struct user_range)) =
            (struct user_range){ inside, outside, count };
}

/* A line "name:start:count" of /etc/subuid. */
static bool read_line(char *line, char **out_name, uint32_t *out_start, uint32_t *out_count)
{
    char *start = strchr(line, ':'), *count = start ? strchr(start + 1, ':') : NULL;

    if (!count)
        return false;
    *start++ = 0;
    *count++ = 0;
    *out_name = line;
    return read_number(start, UINT32_MAX - 1, out_start) &&
           read_number(count, UINT32_MAX - 1, out_count) && *out_count;
}

/* The first entry of 'name', with 'other' (a number as text, NULL) as a second name. */
static bool find_entry(const char *path, const char *name, const char *other, uint32_t *out_start,
                       uint32_t *out_count)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(strv_done) struct strv lines = {};
    char *found;

    if (file_read(path, (size_t)1 << 20, &text, NULL) < 0)
        return false;
    strv_split(&lines, str_text(&text), '\n');
    for (size_t i = 0; i < lines.count; i++)
        if (read_line(lines.items[i], &found, out_start, out_count) &&
            (strcmp(found, name) == 0 || (other && strcmp(found, other) == 0)))
            return true;
    return false;
}

struct taken {
    uint32_t start, count;
};
struct taken_list {
    struct taken *items;
    size_t count;
};

static void take(struct taken_list *list, uint32_t start, uint32_t count)
{
    list->items = xrealloc(list->items, list->count + 1, sizeof(*list->items));
    list->items[list->count++] = (struct taken){ start, count };
}

static void take_file(struct taken_list *list, const char *path)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(strv_done) struct strv lines = {};
    uint32_t start, count;
    char *name;

    if (file_read(path, (size_t)1 << 20, &text, NULL) < 0)
        return;
    strv_split(&lines, str_text(&text), '\n');
    for (size_t i = 0; i < lines.count; i++)
        if (read_line(lines.items[i], &name, &start, &count))
            take(list, start, count);
}

static void take_containers(struct engine *engine, struct taken_list *list)
{
    MAP_EACH (&engine->containers, entry) {
        CLEANUP(container_info_unref)
        struct container_info *info = container_snapshot(entry->value);
        const struct user_map *users = info->spec->users;

        for (size_t i = 0; users && i < users->uids.count + users->gids.count; i++) {
            const struct json_list *list_of = i < users->uids.count ? &users->uids : &users->gids;
            const struct user_range *range = &JSON_ITEMS(
                list_of, struct user_range)[i < users->uids.count ? i : i - users->uids.count];

            take(list, (uint32_t)range->outside, (uint32_t)range->count);
        }
    }
}

static int find_free(const struct taken_list *taken, uint32_t start, uint32_t end, uint32_t size,
                     uint32_t *out, struct error *err)
{
    uint64_t at = start;
    bool moved = true;

    while (moved && at + size <= end) {
        moved = false;
        for (size_t i = 0; i < taken->count; i++) {
            uint64_t other_end = (uint64_t)taken->items[i].start + taken->items[i].count;

            if (at < other_end && taken->items[i].start < at + size) {
                at = other_end;
                moved = true;
            }
        }
    }
    if (at + size > end)
        return error_set(err, ERROR_UNAVAILABLE, "no %u numbers are free for the container's users",
                         size);
    *out = (uint32_t)at;
    return 0;
}

static int choose_start(struct engine *engine, uint32_t size, uint32_t *out, struct error *err)
{
    struct taken_list taken = {};
    uint32_t uid_start, uid_count, gid_start, gid_count, start = POOL_START, end = POOL_END;

    /* One number for a user and its group keeps things readable: where both entries overlap. */
    if (find_entry("/etc/subuid", "containers", NULL, &uid_start, &uid_count) &&
        find_entry("/etc/subgid", "containers", NULL, &gid_start, &gid_count)) {
        start = MAX(uid_start, gid_start);
        end = MIN(uid_start + uid_count, gid_start + gid_count);
    } else {
        take_file(&taken, "/etc/subuid");
        take_file(&taken, "/etc/subgid");
    }
    take_containers(engine, &taken);
    int result = find_free(&taken, start, end, size, out, err);
    free(taken.items);
    return result;
}

static void fill(struct json_list *list, const struct wish *wish, uint32_t kept, uint32_t start)
{
    if (!wish->keeps) {
        add_range(list, 0, start, wish->size);
        return;
    }
    add_range(list, 0, start, MIN(kept, wish->size));
    add_range(list, kept, kept, 1);
    if (kept + 1 < wish->size)
        add_range(list, kept + 1, start + kept + 1, wish->size - kept - 1);
}

/* ---- userns-remap ---- */

static bool is_number(const char *text)
{
    return *text && !text[strspn(text, "0123456789")];
}

/* The name of a user or group that is given by number, from passwd or group; NULL. */
static char *name_of(const char *path, const char *number)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(strv_done) struct strv lines = {};

    if (file_read(path, (size_t)16 << 20, &text, NULL) < 0)
        return NULL;
    strv_split(&lines, str_text(&text), '\n');
    for (size_t i = 0; i < lines.count; i++) {
        CLEANUP(strv_done) struct strv fields = {};

        strv_split(&fields, lines.items[i], ':');
        if (fields.count > 2 && strcmp(fields.items[2], number) == 0)
            return xstrdup(fields.items[0]);
    }
    return NULL;
}

static int find_remap(const char *path, const char *names_path, const char *who,
                      uint32_t *out_start, uint32_t *out_count, struct error *err)
{
    CLEANUP(free) char *name = is_number(who) ? name_of(names_path, who) : xstrdup(who);

    if (find_entry(path, name ? name : who, who, out_start, out_count))
        return 0;
    return error_set(err, ERROR_INVALID, "userns-remap: %s has no range for %s", path, who);
}

static int fill_remap(const char *remap, struct user_map *out, struct error *err)
{
    CLEANUP(strv_done) struct strv parts = {};
    uint32_t start, count;

    strv_split(&parts, strcmp(remap, "default") == 0 ? "dockremap" : remap, ':');
    if (parts.count > 2 || !*parts.items[0] || !*parts.items[parts.count - 1])
        return error_set(err, ERROR_INVALID, "userns-remap: invalid value %s", remap);
    if (find_remap("/etc/subuid", "/etc/passwd", parts.items[0], &start, &count, err) < 0)
        return -1;
    add_range(&out->uids, 0, start, count);
    if (find_remap("/etc/subgid", "/etc/group", parts.items[parts.count - 1], &start, &count, err) <
        0)
        return -1;
    add_range(&out->gids, 0, start, count);
    return 0;
}

int user_map_check_remap(const char *remap, struct error *err)
{
    struct user_map map = {};

    if (text_is_empty(remap))
        return 0;
    int result = fill_remap(remap, &map, err);
    json_fields_done(user_map_fields, &map);
    return result;
}

int user_map_choose(struct engine *engine, struct container_spec *spec, struct error *err)
{
    const char *mode = mode_of(engine, &spec->host_config);
    struct wish wish;
    uint32_t start = 0;

    if (!*mode) {
        spec->users = NEW(struct user_map);
        return fill_remap(engine->options.userns_remap, spec->users, err);
    }
    if (parse(mode, &wish, err) < 0)
        return -1;
    if (wish.is_host)
        return 0;
    if (choose_start(engine, wish.size, &start, err) < 0)
        return -1;
    spec->users = NEW(struct user_map);
    fill(&spec->users->uids, &wish, wish.uid, start);
    fill(&spec->users->gids, &wish, wish.gid, start);
    return 0;
}

/* ---- use ---- */

static void read_table(const struct json_list *list, struct id_table *out)
{
    out->count = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct user_range *range = &JSON_ITEMS(list, struct user_range)[i];

        id_table_add(out, (uint32_t)range->inside, (uint32_t)range->outside,
                     (uint32_t)range->count);
    }
}

bool user_map_get(const struct container_spec *spec, struct id_map *out)
{
    if (!spec->users)
        return false;
    read_table(&spec->users->uids, &out->uids);
    read_table(&spec->users->gids, &out->gids);
    return true;
}

void user_map_root(const struct container_spec *spec, uint32_t *out_uid, uint32_t *out_gid)
{
    struct id_map map;
    bool has_own = user_map_get(spec, &map);

    *out_uid = has_own ? (uint32_t)id_table_outside(&map.uids, 0) : 0;
    *out_gid = has_own ? (uint32_t)id_table_outside(&map.gids, 0) : 0;
}

int user_map_open(const struct container_spec *spec, int *out_fd, int *out_network_fd,
                  struct error *err)
{
    struct id_map map;

    *out_fd = -1;
    if (!user_map_get(spec, &map))
        return 0;
    *out_fd = user_namespace_make(&map, out_network_fd, err);
    return *out_fd < 0 ? -1 : 0;
}

int user_map_of_owner(const struct container_spec *spec, const struct user_identity *user,
                      const struct stat *owner, struct id_map *out, struct error *err)
{
    struct id_map map;
    int64_t uid = user->uid, gid = user->gid;

    if (user_map_get(spec, &map)) {
        uid = id_table_outside(&map.uids, user->uid);
        gid = id_table_outside(&map.gids, user->gid);
    }
    if (uid < 0 || gid < 0)
        return error_set(err, ERROR_INVALID, "user %u:%u is not in the container's user namespace",
                         user->uid, user->gid);
    id_table_swap(&out->uids, owner->st_uid, (uint32_t)uid);
    id_table_swap(&out->gids, owner->st_gid, (uint32_t)gid);
    return 0;
}
