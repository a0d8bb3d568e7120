/* "[source:]target[:options]": a source that begins with '.', '/' or '~' is a path of the host,
 * another one a volume. */
#include <string.h>

#include "base/memory.h"
#include "base/strv.h"
#include "base/text.h"
#include "compose/expand.h"

#include "base/banned.h"

static struct yaml *section(struct yaml *mount, const char *name)
{
    struct yaml *found = yaml_get(mount, name);

    if (!found) {
        found = yaml_new(YAML_DICT);
        yaml_set(mount, name, found);
    }
    return found;
}

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

static int apply_option(struct yaml *mount, const char *option, bool is_bind,
                        const struct spot *spot, const struct yaml *node, struct error *err)
{
    static const char *const propagations[] = { "private", "rprivate", "shared", "rshared",
                                                "slave",   "rslave",   NULL };
    static const char *const consistencies[] = { "consistent", "cached", "delegated", NULL };

    if (strcmp(option, "ro") == 0)
        yaml_set(mount, "read_only", yaml_new_bool(true));
    else if (strcmp(option, "rw") == 0)
        yaml_remove(mount, "read_only");
    else if (strcmp(option, "z") == 0 || strcmp(option, "Z") == 0) {
        if (is_bind)
            yaml_set(section(mount, "bind"), "selinux", yaml_new_text(option));
    } else if (strcmp(option, "nocopy") == 0)
        yaml_set(section(mount, "volume"), "nocopy", yaml_new_bool(true));
    else if (is_one_of(option, propagations))
        yaml_set(section(mount, "bind"), "propagation", yaml_new_text(option));
    else if (!is_one_of(option, consistencies)) /* which say nothing on Linux */
        return spot_error(spot, node, err, "invalid spec: %s: unknown option '%s'", yaml_text(node),
                          option);
    return 0;
}

static int read_form(struct yaml *node, const struct spot *spot, struct yaml **out,
                     struct error *err)
{
    CLEANUP(yaml_drop) struct yaml *mount = yaml_new_at(YAML_DICT, node);
    CLEANUP(strv_done) struct strv parts = {}, options = {};
    bool has_source, is_bind;

    if (!*yaml_text(node))
        return spot_error(spot, node, err, "invalid empty volume spec");
    strv_split(&parts, yaml_text(node), ':');
    if (parts.count < 1 || parts.count > 3)
        return spot_error(spot, node, err, "invalid spec: %s: too many colons", yaml_text(node));
    for (size_t i = 0; i < parts.count; i++)
        if (!parts.items[i][0])
            return spot_error(spot, node, err, "invalid spec: %s: empty section between colons",
                              yaml_text(node));
    has_source = parts.count > 1;
    is_bind = has_source && strchr("./~", parts.items[0][0]);
    yaml_set(mount, "type", yaml_new_text(is_bind ? "bind" : "volume"));
    if (has_source)
        yaml_set(mount, "source", yaml_new_text(parts.items[0]));
    yaml_set(mount, "target", yaml_new_text(parts.items[has_source]));
    if (is_bind)
        yaml_set(section(mount, "bind"), "create_host_path", yaml_new_bool(true));
    else if (strlen(yaml_text(node)) >
             2) /* Docker's compose leaves it out of "/x"; hashes show it */
        section(mount, "volume");
    if (parts.count > 2)
        strv_split(&options, parts.items[2], ',');
    for (size_t i = 0; i < options.count; i++)
        if (apply_option(mount, options.items[i], is_bind, spot, node, err) < 0)
            return -1;
    *out = TAKE(mount);
    return 0;
}

/* The long form: what a mount of its type always has. */
static int complete(struct yaml *mount, const struct spot *spot, struct error *err)
{
    static const char *const types[] = { "bind",  "volume",  "tmpfs", "image",
                                         "npipe", "cluster", NULL };
    const char *type = yaml_text(yaml_get(mount, "type"));

    if (!type)
        return spot_error(spot, mount, err, "missing property 'type'");
    if (!is_one_of(type, types)) {
        struct spot here = { .above = spot, .name = "type" };

        return spot_error(&here, mount, err,
                          "value must be one of 'bind', 'volume', 'tmpfs', 'cluster', 'npipe', "
                          "'image'");
    }
    if (!yaml_text(yaml_get(mount, "target")))
        return spot_error(spot, mount, err, "is missing a mount target");
    if (strcmp(type, "bind") == 0) {
        if (!yaml_text(yaml_get(mount, "source")))
            return spot_error(spot, mount, err, "type is bind, but there is no source");
        struct yaml *bind = yaml_get(mount, "bind");
        if (bind && bind->kind == YAML_DICT && !yaml_get(bind, "create_host_path"))
            yaml_set(bind, "create_host_path", yaml_new_bool(true));
    }
    return 0;
}

EXPANSION(volumes)
{
    if (node->kind != YAML_LIST)
        return spot_error(spot, node, err, "must be a array");
    for (size_t i = 0; i < node->count; i++) {
        struct spot here = { .above = spot, .index = i };
        struct yaml *item = node->items[i], *mount = NULL;

        if (item->kind == YAML_DICT) {
            if (complete(item, &here, err) < 0)
                return -1;
            continue;
        }
        if (item->kind != YAML_TEXT)
            return spot_error(&here, item, err, "must be a string or a mapping");
        if (read_form(item, &here, &mount, err) < 0)
            return -1;
        yaml_replace(item, mount);
    }
    return 0;
}
