/* Options by driver in tables; what they mean for the supervisor in plain data. */
#include "engine/log_config.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/regex.h"
#include "engine/log_forward.h"
#include "engine/log_tag.h"

#include "base/banned.h"

enum { DEFAULT_SIZE = 20 * 1000 * 1000, DEFAULT_FILES = 5, FILES_LIMIT = 1000 };
#define DEFAULT_BUFFER INT64_C(1024 * 1024)
#define BUFFER_LIMIT   (INT64_C(64) * 1024 * 1024)

const char *const log_driver_names[] = { "journald", "json-file", "local", "none", "syslog", NULL };

/* ---- options that are known */

static const char *const common_options[] = { "mode", "max-buffer-size", NULL };
static const char *const cache_options[] = { "cache-compress", "cache-disabled", "cache-max-file",
                                             "cache-max-size", NULL };
static const char *const json_file_options[] = { "compress", "env",          "env-regex",
                                                 "labels",   "labels-regex", "max-file",
                                                 "max-size", "tag",          NULL };
static const char *const local_options[] = { "compress", "max-file", "max-size", NULL };
static const char *const journald_options[] = { "env",          "env-regex", "labels",
                                                "labels-regex", "tag",       NULL };
static const char *const syslog_options[] = {
    "env",
    "env-regex",
    "labels",
    "labels-regex",
    "syslog-address",
    "syslog-facility",
    "syslog-format",
    "syslog-tls-ca-cert",
    "syslog-tls-cert",
    "syslog-tls-key",
    "syslog-tls-skip-verify",
    "tag",
    NULL,
};

/* clang-format off */
static const struct driver {
    const char *name;
    const char *const *options;
    const char *unknown; /* Docker's text for an option of another kind */
    bool is_forwarded;   /* elsewhere; the log that is kept is a cache */
    bool compresses;     /* rotated files, unless it is told otherwise */
    int (*check)(const struct map *options, struct error *err);
} drivers[] = {
    { "journald",  journald_options,  "unknown log opt '%s' for journald log driver",  true,  true,  NULL },
    { "json-file", json_file_options, "unknown log opt '%s' for json-file log driver", false, false, NULL },
    { "local",     local_options,     "unknown log opt '%s' for log driver local",     false, true,  NULL },
    { "syslog",    syslog_options,    "unknown log opt '%s' for syslog log driver",    true,  true,  log_forward_check_syslog },
};
/* clang-format on */

static const char *const absent_drivers[] = { "awslogs", "etwlogs", "fluentd",   "gcplogs",
                                              "gelf",    "splunk",  "logentries" };

static const struct driver *driver_find(const char *name)
{
    for (size_t i = 0; i < COUNT(drivers); i++)
        if (strcmp(drivers[i].name, name) == 0)
            return &drivers[i];
    return NULL;
}

static bool is_listed(const char *const *list, const char *key)
{
    for (; *list; list++)
        if (strcmp(*list, key) == 0)
            return true;
    return false;
}

static int refuse_driver(const char *name, struct error *err)
{
    CLEANUP(strv_done) struct strv supported = {};

    for (size_t i = 0; log_driver_names[i]; i++)
        strv_add(&supported, log_driver_names[i]);
    CLEANUP(free) char *list = strv_join(&supported, ", ");
    for (size_t i = 0; i < COUNT(absent_drivers); i++)
        if (strcmp(absent_drivers[i], name) == 0)
            return error_set(err, ERROR_UNSUPPORTED,
                             "log driver %s is not supported: supported are %s", name, list);
    return error_set(err, ERROR_INVALID,
                     "error looking up logging plugin %s: plugin \"%s\" not found", name, name);
}

static int check_mode(const struct map *options, struct error *err)
{
    const char *mode = map_get(options, "mode"), *size = map_get(options, "max-buffer-size");
    bool is_non_blocking = text_equal(mode, "non-blocking");
    int64_t bytes;

    if (!text_is_empty(mode) && strcmp(mode, "blocking") != 0 && !is_non_blocking)
        return error_set(err, ERROR_INVALID, "logger: logging mode not supported: %s", mode);
    if (!size)
        return 0;
    if (!is_non_blocking)
        return error_set(
            err, ERROR_INVALID,
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'");
    if (parse_size(size, &bytes, err) < 0)
        return error_context(err, "error parsing option max-buffer-size");
    if (bytes < 1 || bytes > BUFFER_LIMIT)
        return error_set(err, ERROR_INVALID,
                         "error parsing option max-buffer-size: %s is beyond the limit of 64m",
                         size);
    return 0;
}

int log_config_check(const struct log_config *config, struct error *err)
{
    const char *name = text_is_empty(config->type) ? "json-file" : config->type;
    const struct driver *driver = driver_find(name);

    if (strcmp(name, "none") == 0) /* whatever the options are, they mean nothing */
        return 0;
    if (!driver)
        return refuse_driver(name, err);
    if (check_mode(&config->config, err) < 0)
        return -1;
    MAP_EACH (&config->config, entry)
        if (!is_listed(driver->options, entry->key) && !is_listed(common_options, entry->key) &&
            !is_listed(cache_options, entry->key)) {
            CLEANUP(str_done) struct str text = {};

            /* The one '%s' of the table. */
            const char *at = strstr(driver->unknown, "%s");
            str_add_bytes(&text, driver->unknown, (size_t)(at - driver->unknown));
            str_add(&text, entry->key);
            str_add(&text, at + 2);
            return error_set(err, ERROR_INVALID, "%s", str_text(&text));
        }
    return driver->check ? driver->check(&config->config, err) : 0;
}

/* ---- values */

/* As Go reads them. */
static int read_bool(const struct map *options, const char *key, bool fallback, bool *out,
                     struct error *err)
{
    static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True", NULL };
    static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False", NULL };
    const char *text = map_get(options, key);

    if (text && !is_listed(yes, text) && !is_listed(no, text))
        return error_set(err, ERROR_INVALID, "strconv.ParseBool: parsing \"%s\": invalid syntax",
                         text);
    *out = text ? is_listed(yes, text) : fallback;
    return 0;
}

static int read_size(const struct map *options, const char *key, int64_t *out, struct error *err)
{
    const char *text = map_get(options, key);

    *out = DEFAULT_SIZE;
    if (!text)
        return 0;
    if (strcmp(text, "-1") == 0) {
        *out = 0; /* never rotated */
        return 0;
    }
    if (parse_size(text, out, err) < 0)
        return -1;
    if (*out <= 0)
        return error_set(err, ERROR_INVALID, "max-size should be a positive number");
    return 0;
}

static int read_files(const struct map *options, const char *key, int *out, struct error *err)
{
    const char *text = map_get(options, key);
    int64_t count = DEFAULT_FILES;

    if (text && parse_int64(text, INT32_MIN, INT32_MAX, &count, NULL) < 0)
        return error_set(err, ERROR_INVALID, "strconv.Atoi: parsing \"%s\": invalid syntax", text);
    if (count < 1)
        return error_set(err, ERROR_INVALID, "max-file cannot be less than 1");
    if (count > FILES_LIMIT)
        return error_set(err, ERROR_INVALID, "max-file cannot be more than %d", FILES_LIMIT);
    *out = (int)count;
    return 0;
}

static int read_rotation(const struct driver *driver, const struct map *options,
                         struct shim_log_options *out, struct error *err)
{
    bool is_cache = driver->is_forwarded;
    const char *compress = is_cache ? "cache-compress" : "compress";

    if (read_size(options, is_cache ? "cache-max-size" : "max-size", &out->max_size_bytes, err) <
            0 ||
        read_files(options, is_cache ? "cache-max-file" : "max-file", &out->max_files, err) < 0)
        return -1;
    bool can_compress = out->max_size_bytes > 0 && out->max_files > 1;
    if (read_bool(options, compress, driver->compresses && can_compress, &out->compress, err) < 0)
        return -1;
    if (out->compress && !can_compress)
        return error_set(
            err, ERROR_INVALID,
            "compress cannot be true when max-file is less than 2 or max-size is not set");
    return 0;
}

/* ---- labels and variables that go with each entry */

struct choice {
    struct strv names;
    struct regex *regex; /* NULL: none */
};

static void choice_done(struct choice *choice)
{
    strv_done(&choice->names);
    regex_free(choice->regex);
}
CLEANUP_VALUE(choice_done, struct choice)

static int choice_read(const struct map *options, const char *names_key, const char *regex_key,
                       struct choice *out, struct error *err)
{
    const char *names = map_get(options, names_key), *pattern = map_get(options, regex_key);

    if (!text_is_empty(names))
        strv_split(&out->names, names, ',');
    if (text_is_empty(pattern))
        return 0;
    out->regex = regex_new(pattern, err);
    return out->regex ? 0 : error_context(err, "%s", regex_key);
}

static void choice_take(const struct choice *choice, const char *key, const char *value,
                        struct map *out)
{
    if (strv_contains(&choice->names, key) || (choice->regex && regex_matches(choice->regex, key)))
        map_set_text(out, key, value);
}

static int read_attributes(const struct container_info *info, const struct map *options,
                           struct map *out, struct error *err)
{
    CLEANUP(choice_done) struct choice labels = {};
    CLEANUP(choice_done) struct choice variables = {};

    if (choice_read(options, "labels", "labels-regex", &labels, err) < 0 ||
        choice_read(options, "env", "env-regex", &variables, err) < 0)
        return -1;
    MAP_EACH (&info->config.labels, entry)
        choice_take(&labels, entry->key, entry->value, out);
    for (size_t i = 0; i < info->config.env.count; i++) {
        const char *variable = info->config.env.items[i], *equals = strchr(variable, '=');
        CLEANUP(free) char *key = equals ? xstrndup(variable, (size_t)(equals - variable)) : NULL;

        if (key)
            choice_take(&variables, key, equals + 1, out);
    }
    return 0;
}

static char *attributes_text(const struct map *attributes)
{
    struct str text = {};

    if (attributes->count == 0)
        return NULL;
    json_add_texts(&(struct json_writer){ .out = &text }, NULL, attributes);
    return str_take(&text);
}

/* ---- all together */

char *log_config_path(const struct log_config *config, const char *directory, const char *id)
{
    const struct driver *driver = driver_find(config->type);
    const char *disabled = map_get(&config->config, "cache-disabled");

    if (strcmp(config->type, "none") == 0)
        return xstrdup("");
    if (driver && driver->is_forwarded)
        return text_equal(disabled, "true") || text_equal(disabled, "1")
                   ? xstrdup("")
                   : path_join(directory, "container-cached.log");
    if (driver && strcmp(driver->name, "local") == 0)
        return path_join(directory, "local-logs/container.log");
    return xasprintf("%s/%s-json.log", directory, id);
}

static int read_settings(const struct container_info *info, const struct driver *driver,
                         struct log_settings *out, struct error *err)
{
    const struct map *options = &info->host_config.log_config.config;
    CLEANUP(map_done) struct map attributes = {};
    CLEANUP(free) char *tag = NULL;
    const char *size = map_get(options, "max-buffer-size");

    if (read_rotation(driver, options, &out->options, err) < 0 ||
        read_attributes(info, options, &attributes, err) < 0 ||
        log_tag_expand(info, map_get(options, "tag"), &tag, err) < 0)
        return -1;
    out->options.non_blocking = text_equal(map_get(options, "mode"), "non-blocking");
    out->options.buffer_bytes = DEFAULT_BUFFER;
    if (size && parse_size(size, &out->options.buffer_bytes, err) < 0)
        return -1;
    if (driver->is_forwarded) {
        out->forward = log_forward_settings(info, tag, &attributes, err);
        return out->forward ? 0 : -1;
    }
    if (!text_is_empty(map_get(options, "tag")))
        map_set_text(&attributes, "tag", tag);
    out->attributes = attributes_text(&attributes);
    return 0;
}

int log_settings_read(const struct container_info *info, struct log_settings *out,
                      struct error *err)
{
    CLEANUP(log_settings_done) struct log_settings settings = {};
    const struct driver *driver = driver_find(info->host_config.log_config.type);

    settings.options.driver = *info->log_path ? "json-file" : "none";
    settings.options.path = info->log_path;
    if (driver && read_settings(info, driver, &settings, err) < 0) {
        err->kind = ERROR_INTERNAL;
        return error_context(
            err, "failed to create task for container: failed to initialize logging driver");
    }
    settings.options.attributes = settings.attributes;
    settings.options.forward = settings.forward;
    *out = settings;
    settings = (struct log_settings){};
    return 0;
}

void log_settings_done(struct log_settings *settings)
{
    free(settings->attributes);
    free(settings->forward);
}
