/* Trees as Docker's compose prints them; its JSON shows some members even when they are empty. */
#include "compose/canonical.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "codec/json.h"
#include "compose/field.h"

#include "base/banned.h"

/* What stays the same when the output is read again. */
static void add_doubling_dollars(const char *text, struct str *out)
{
    for (; *text; text++) {
        if (*text == '$')
            str_add_char(out, '$');
        str_add_char(out, *text);
    }
}

/* Go's JSON has these characters escaped; they stand in texts only. */
static char *escape_as_go(const char *json)
{
    struct str out = {};

    for (; *json; json++)
        if (strchr("<>&", *json))
            str_add_format(&out, "\\u%04x", (unsigned)*json);
        else if (text_starts(json, "\xe2\x80\xa8") || text_starts(json, "\xe2\x80\xa9"))
            str_add_format(&out, "\\u20%x", (unsigned)(unsigned char)(json[2]) - 0x80), json += 2;
        else
            str_add_char(&out, *json);
    return str_take(&out);
}

static void set_if_absent(struct yaml *dict, const char *key, enum yaml_kind kind)
{
    if (dict->kind == YAML_DICT && !yaml_get(dict, key))
        yaml_set(dict, key, yaml_new(kind));
}

/* JSON leaves extensions below the top out. */
static void drop_extensions(struct yaml *node)
{
    for (size_t i = 0; i < node->count;)
        if (node->kind == YAML_DICT && text_starts(node->keys[i], "x-"))
            yaml_remove_at(node, i);
        else
            drop_extensions(node->items[i++]);
}

static void rename_key(struct yaml *dict, const char *old, const char *new)
{
    struct yaml *value = yaml_take(dict, old);

    if (value)
        yaml_set(dict, new, value);
}

/* The few names that Docker's compose has no JSON words for. */
static void rename_devices(struct yaml *blkio)
{
    for (size_t i = 0; i < yaml_count(blkio); i++)
        for (size_t j = 0; blkio->items[i]->kind == YAML_LIST && j < blkio->items[i]->count; j++) {
            rename_key(blkio->items[i]->items[j], "path", "Path");
            rename_key(blkio->items[i]->items[j], "rate", "Rate");
            rename_key(blkio->items[i]->items[j], "weight", "Weight");
        }
}

/* Members that JSON always shows. The order is put right afterwards. */
static void show_service(struct yaml *service)
{
    struct yaml *deploy = yaml_get(service, "deploy");
    struct yaml *watch = yaml_get_path(service, "develop", "watch");

    drop_extensions(service);
    rename_devices(yaml_get(service, "blkio_config"));
    for (size_t i = 0; i < yaml_count(watch); i++) {
        set_if_absent(watch->items[i], "exec", YAML_DICT);
        set_if_absent(yaml_get(watch->items[i], "exec"), "command", YAML_NULL);
    }

    set_if_absent(service, "command", YAML_NULL);
    set_if_absent(service, "entrypoint", YAML_NULL);
    if (deploy) {
        set_if_absent(deploy, "resources", YAML_DICT);
        set_if_absent(deploy, "placement", YAML_DICT);
    }
}

static void show_all(struct yaml *model)
{
    struct yaml *services = yaml_get(model, "services"), *networks = yaml_get(model, "networks");

    for (size_t i = 0; i < yaml_count(services); i++)
        if (!text_starts(services->keys[i], "x-"))
            show_service(services->items[i]);
    for (size_t i = 0; i < yaml_count(networks); i++)
        set_if_absent(networks->items[i], "ipam", YAML_DICT);
}

void canonical_write(const struct project *project, const struct canonical_options *options,
                     struct str *out)
{
    CLEANUP(yaml_drop) struct yaml *model = yaml_clone(project->model);
    CLEANUP(str_done) struct str compact = {};
    CLEANUP(json_free) struct json *document = NULL;
    CLEANUP(str_done) struct str text = {};
    CLEANUP(free) char *escaped = NULL;
    struct error unread;

    if (!options->is_json) {
        yaml_write(model, &text);
        if (options->keeps_dollars)
            str_add(out, str_text(&text));
        else
            add_doubling_dollars(str_text(&text), out);
        return;
    }
    show_all(model);
    field_order(&field_file, model);
    yaml_sort(model);
    yaml_write_json(model, &compact);
    if (json_parse(str_text(&compact), compact.length, &document, &unread) == 0)
        json_write_indented(document, 2, &text);
    escaped = escape_as_go(str_text(&text));
    if (options->keeps_dollars)
        str_add(out, escaped);
    else
        add_doubling_dollars(escaped, out);
}

static void hash(const struct yaml *node, char out[CONFIG_HASH_SIZE])
{
    CLEANUP(str_done) struct str text = {};
    char digest[DIGEST_SIZE];

    yaml_write_json(node, &text);
    CLEANUP(free) char *escaped = escape_as_go(str_text(&text));
    sha256_digest(escaped, strlen(escaped), digest);
    memcpy(out, digest_hex(digest), CONFIG_HASH_SIZE - 1);
    out[CONFIG_HASH_SIZE - 1] = 0;
}

/* Namespaces of other services become "container:<id>", volumes_from the id alone, as Docker's
 * compose has them when it takes the hash. */
static void resolve_services(struct yaml *service,
                             char *(*container_of)(void *data, const char *service), void *data)
{
    static const char *const modes[] = { "network_mode", "ipc", "pid" };
    struct yaml *from = yaml_get(service, "volumes_from");

    for (size_t i = 0; i < COUNT(modes); i++) {
        const char *mode = yaml_text(yaml_get(service, modes[i]));
        CLEANUP(free)
        char *id = mode && text_starts(mode, "service:") ? container_of(data, mode + 8) : NULL;

        if (!id)
            continue;
        CLEANUP(free) char *resolved = xasprintf("container:%s", id);
        yaml_set(service, modes[i], yaml_new_text(resolved));
    }
    for (size_t i = 0; i < yaml_count(from); i++) {
        const char *text = from->items[i]->text;
        bool is_container = text_starts(text, "container:");
        const char *name = is_container ? text + strlen("container:") : text;
        CLEANUP(free) char *first = xstrndup(name, strcspn(name, ":"));
        CLEANUP(free) char *id = is_container ? TAKE(first) : container_of(data, first);

        if (id)
            yaml_replace(from->items[i], yaml_new_text(id));
    }
}

void canonical_service_hash(const struct yaml *service,
                            char *(*container_of)(void *data, const char *service), void *data,
                            char out[CONFIG_HASH_SIZE])
{
    static const char *const ignored[] = { "build", "pull_policy", "pull_refresh_after",
                                           "scale", "depends_on",  "profiles" };
    CLEANUP(yaml_drop) struct yaml *copy = yaml_clone(service);

    for (size_t i = 0; i < COUNT(ignored); i++)
        yaml_remove(copy, ignored[i]);
    if (yaml_get(copy, "deploy"))
        yaml_remove(yaml_get(copy, "deploy"), "replicas");
    if (container_of)
        resolve_services(copy, container_of, data);
    show_service(copy);
    field_order(&field_service, copy);
    hash(copy, out);
}

void canonical_resource_hash(const struct yaml *resource, bool is_network,
                             char out[CONFIG_HASH_SIZE])
{
    CLEANUP(yaml_drop) struct yaml *copy = yaml_clone(resource);

    drop_extensions(copy);
    if (is_network)
        set_if_absent(copy, "ipam", YAML_DICT);
    else if (!yaml_get(copy, "driver"))
        yaml_set(copy, "driver", yaml_new_text("local"));
    field_order(is_network ? &field_network : &field_volume, copy);
    hash(copy, out);
}
