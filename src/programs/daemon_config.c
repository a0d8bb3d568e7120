/* daemon.json: the settings of the flags under their own keys, lists as lists, maps as maps. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "programs/daemon_options.h"
#include "spec/container.h"

#include "base/banned.h"

enum { CONFIG_SIZE_LIMIT = 1 << 20 };

static const struct setting *find_key(const char *key)
{
    for (const struct setting *setting = daemon_settings; setting->flag; setting++)
        if (setting->key && strcmp(setting->key, key) == 0)
            return setting;
    return NULL;
}

/* A scalar as a flag would have it; yours. */
static char *scalar_text(const struct json *value, struct error *err)
{
    struct str out = {};

    switch (json_type(value)) {
    case JSON_TEXT:
        return xstrdup(json_text(value));
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_INTEGER:
        json_write(value, &out);
        return str_take(&out);
    default:
        error_set(err, ERROR_INVALID, "must be a text, a number, true or false");
        return NULL;
    }
}

static int set_scalar(const struct setting *setting, const struct json *value,
                      struct daemon_options *options, struct error *err)
{
    CLEANUP(free) char *text = scalar_text(value, err);

    return text ? setting_set(setting, text, options, err) : -1;
}

static int set_list(const struct setting *setting, const struct json *value,
                    struct daemon_options *options, struct error *err)
{
    if (json_type(value) != JSON_LIST)
        return error_set(err, ERROR_INVALID, "must be a list");
    for (size_t i = 0; i < json_count(value); i++)
        if (set_scalar(setting, json_at(value, i), options, err) < 0)
            return -1;
    return 0;
}

static int set_texts(const struct setting *setting, const struct json *value,
                     struct daemon_options *options, struct error *err)
{
    if (json_type(value) != JSON_DICT)
        return error_set(err, ERROR_INVALID, "must be an object");
    JSON_EACH (value, key) {
        CLEANUP(free) char *text = scalar_text(json_key_value(key), err);

        if (!text)
            return -1;
        CLEANUP(free) char *pair = xasprintf("%s=%s", key, text);
        if (setting_set(setting, pair, options, err) < 0)
            return -1;
    }
    return 0;
}

/* {"nofile":{"Name":"nofile","Soft":1024,"Hard":2048}} */
static int set_ulimits(const struct setting *setting, const struct json *value,
                       struct daemon_options *options, struct error *err)
{
    if (json_type(value) != JSON_DICT)
        return error_set(err, ERROR_INVALID, "must be an object");
    JSON_EACH (value, key) {
        const struct json *limit = json_key_value(key);
        CLEANUP(free)
        char *text = xasprintf("%s=%lld:%lld", key,
                               (long long)json_to_int64(json_get(limit, "Soft")),
                               (long long)json_to_int64(json_get(limit, "Hard")));

        if (setting_set(setting, text, options, err) < 0)
            return -1;
    }
    return 0;
}

/* {"crun":{"path":"/usr/bin/crun","runtimeArgs":["--debug"]}} */
static int set_runtimes(const struct setting *setting, const struct json *value,
                        struct daemon_options *options, struct error *err)
{
    if (json_type(value) != JSON_DICT)
        return error_set(err, ERROR_INVALID, "must be an object");
    JSON_EACH (value, key) {
        const struct json *one = json_key_value(key);
        const char *path = json_text(json_get(one, "path"));
        const struct json *words = json_get(one, "runtimeArgs");

        if (json_get(one, "runtimeType"))
            return error_set(err, ERROR_INVALID,
                             "%s: a runtimeType is not supported: only a path to an OCI runtime",
                             key);
        CLEANUP(free) char *text = xasprintf("%s=%s", key, path ? path : "");
        if (setting_set(setting, text, options, err) < 0)
            return -1;
        struct engine_runtime *runtime =
            &JSON_ITEMS(&options->runtimes, struct engine_runtime)[options->runtimes.count - 1];
        for (size_t i = 0; i < json_count(words); i++)
            strv_add(&runtime->arguments, json_text(json_at(words, i)) ?: "");
    }
    return 0;
}

/* [{"base":"10.200.0.0/16","size":24}] */
static int set_pools(const struct setting *setting, const struct json *value,
                     struct daemon_options *options, struct error *err)
{
    if (json_type(value) != JSON_LIST)
        return error_set(err, ERROR_INVALID, "must be a list");
    for (size_t i = 0; i < json_count(value); i++) {
        const struct json *pool = json_at(value, i);
        const char *base = json_text(json_get(pool, "base"));

        if (!base || json_type(json_get(pool, "size")) != JSON_INTEGER)
            return error_set(err, ERROR_INVALID, "a pool needs base and size");
        CLEANUP(free)
        char *text = xasprintf("base=%s,size=%lld", base,
                               (long long)json_to_int64(json_get(pool, "size")));
        if (setting_set(setting, text, options, err) < 0)
            return -1;
    }
    return 0;
}

static int set_value(const struct setting *setting, const struct json *value,
                     struct daemon_options *options, struct error *err)
{
    switch (setting->kind) {
    case SETTING_LIST:
        return set_list(setting, value, options, err);
    case SETTING_TEXTS:
        return set_texts(setting, value, options, err);
    case SETTING_ULIMITS:
        return set_ulimits(setting, value, options, err);
    case SETTING_RUNTIMES:
        return set_runtimes(setting, value, options, err);
    case SETTING_POOLS:
        return set_pools(setting, value, options, err);
    default:
        return set_scalar(setting, value, options, err);
    }
}

/* Docker's {"builder":{"gc":{"enabled":true,"defaultKeepStorage":"20GB"}}}: the size is that of
 * gc-build-cache-size, under three names that Docker had for it. */
static int set_builder(const struct json *builder, struct daemon_options *options,
                       struct error *err)
{
    static const char *const sizes[] = { "defaultKeepStorage", "defaultMaxUsedSpace",
                                         "defaultReservedSpace" };

    JSON_EACH (builder, part)
        if (strcmp(part, "gc") != 0)
            return error_set(err, ERROR_INVALID, "berth has no such setting: %s", part);
    const struct json *rules = json_get(builder, "gc");
    if (json_type(builder) != JSON_DICT || json_type(rules) != JSON_DICT)
        return error_set(err, ERROR_INVALID, "must be an object with the object gc in it");
    JSON_EACH (rules, name) {
        const struct json *value = json_key_value(name);
        bool is_size = false;

        for (size_t i = 0; i < COUNT(sizes); i++)
            is_size = is_size || strcmp(name, sizes[i]) == 0;
        if (is_size) {
            if (set_scalar(find_key("gc-build-cache-size"), value, options, err) < 0)
                return error_context(err, "gc.%s", name);
        } else if (strcmp(name, "enabled") != 0) {
            return error_set(err, ERROR_INVALID,
                             "berth has no such setting: gc.%s (see gc-build-cache-age)", name);
        } else if (json_type(value) != JSON_TRUE) {
            return error_set(err, ERROR_INVALID,
                             "gc.enabled: must be true: berth's build cache always has a limit");
        }
    }
    return 0;
}

/* Docker's {"proxies":{"http-proxy":"http://proxy:3128"}}: the settings of these names. */
static int set_proxies(const struct json *proxies, struct daemon_options *options,
                       struct error *err)
{
    if (json_type(proxies) != JSON_DICT)
        return error_set(err, ERROR_INVALID, "must be an object");
    JSON_EACH (proxies, key) {
        const struct json *value = json_key_value(key);

        if (!text_ends(key, "-proxy") || !find_key(key))
            return error_set(err, ERROR_INVALID, "there is no such setting: %s", key);
        if (json_type(value) != JSON_TEXT)
            return error_set(err, ERROR_INVALID, "%s: must be a text", key);
        if (setting_set(find_key(key), json_text(value), options, err) < 0)
            return -1;
    }
    return 0;
}

/* Settings that lie a level deeper in the file than as flags. */
static const struct {
    const char *key;
    int (*set)(const struct json *value, struct daemon_options *options, struct error *err);
} groups[] = {
    { "builder", set_builder },
    { "proxies", set_proxies },
};

static int set_group(const char *key, const struct json *value, struct daemon_options *options,
                     struct error *err)
{
    for (size_t i = 0; i < COUNT(groups); i++)
        if (strcmp(groups[i].key, key) == 0)
            return groups[i].set(value, options, err);
    return 0;
}

static bool is_group(const char *key)
{
    for (size_t i = 0; i < COUNT(groups); i++)
        if (strcmp(groups[i].key, key) == 0)
            return true;
    return false;
}

static void add_doubled(const struct json *dict, const bool given[DAEMON_SETTING_LIMIT],
                        struct strv *out)
{
    JSON_EACH (dict, key) {
        const struct setting *setting = find_key(key);

        if (setting && given[setting - daemon_settings])
            strv_add(out, key);
    }
}

/* Names all unknown keys, and all that were flags already, at once. */
static int check_keys(const struct json *config, const bool given[DAEMON_SETTING_LIMIT],
                      struct error *err)
{
    CLEANUP(strv_done) struct strv unknown = {};
    CLEANUP(strv_done) struct strv doubled = {};

    add_doubled(config, given, &doubled);
    JSON_EACH (config, key) {
        if (is_group(key))
            add_doubled(json_key_value(key), given, &doubled);
        else if (!find_key(key))
            strv_add(&unknown, key);
    }
    if (unknown.count > 0) {
        CLEANUP(free) char *names = strv_join(&unknown, ", ");
        return error_set(err, ERROR_INVALID,
                         "the following directives don't match any configuration option: %s",
                         names);
    }
    if (doubled.count > 0) {
        CLEANUP(free) char *names = strv_join(&doubled, ", ");
        return error_set(err, ERROR_INVALID,
                         "the following directives are specified both as a flag and in the "
                         "configuration file: %s",
                         names);
    }
    return 0;
}

static int read_config(const char *path, const bool given[DAEMON_SETTING_LIMIT],
                       struct daemon_options *options, struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(json_free) struct json *config = NULL;

    if (file_read(path, CONFIG_SIZE_LIMIT, &text, err) < 0)
        return -1;
    if (!text.data || !text.data[strspn(text.data, " \t\r\n")])
        return 0; /* An empty file says nothing. */
    if (json_parse(text.data, text.length, &config, err) < 0)
        return -1;
    if (json_type(config) != JSON_DICT)
        return error_set(err, ERROR_INVALID, "must be one JSON object");
    if (check_keys(config, given, err) < 0)
        return -1;
    JSON_EACH (config, key) {
        const struct setting *setting = find_key(key);
        const struct json *value = json_key_value(key);

        if ((setting ? set_value(setting, value, options, err)
                     : set_group(key, value, options, err)) < 0)
            return error_context(err, "%s", key);
    }
    return 0;
}

int daemon_config_read(const char *path, const bool given[DAEMON_SETTING_LIMIT],
                       struct daemon_options *options, struct error *err)
{
    if (read_config(path, given, options, err) < 0)
        return error_context(err, "unable to configure the daemon with file %s", path);
    return 0;
}
