/* Options of syslog and journald into settings. */
#include "engine/log_forward.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "forward/journal.h"
#include "forward/settings.h"
#include "forward/syslog.h"

#include "base/banned.h"

#define SHORT_LENGTH 12

static const char *option(const struct map *options, const char *key)
{
    const char *text = map_get(options, key);

    return text ? text : "";
}

int log_forward_check_syslog(const struct map *options, struct error *err)
{
    CLEANUP(syslog_address_done) struct syslog_address address = {};

    if (syslog_address_parse(option(options, "syslog-address"), &address, err) < 0)
        return -1;
    if (address.path && !file_exists(address.path))
        return error_set(err, ERROR_INVALID, "stat %s: no such file or directory", address.path);
    if (syslog_facility_parse(option(options, "syslog-facility")) < 0)
        return error_set(err, ERROR_INVALID, "invalid syslog facility");
    if (!syslog_format_is_known(option(options, "syslog-format")))
        return error_set(err, ERROR_INVALID, "Invalid syslog format");
    return 0;
}

static void fill_syslog(const struct map *options, struct forward_settings *out)
{
    const char *skip = option(options, "syslog-tls-skip-verify");

    out->address = xstrdup(option(options, "syslog-address"));
    out->format = xstrdup(option(options, "syslog-format"));
    out->facility = syslog_facility_parse(option(options, "syslog-facility"));
    out->ca_path = xstrdup(option(options, "syslog-tls-ca-cert"));
    out->cert_path = xstrdup(option(options, "syslog-tls-cert"));
    out->key_path = xstrdup(option(options, "syslog-tls-key"));
    /* As Docker has it, any value means yes. */
    out->skip_verify = *skip != '\0';
}

static int fill_journal(const struct container_info *info, const struct map *attributes,
                        struct forward_settings *out, struct error *err)
{
    CLEANUP(free) char *short_id = xstrndup(info->id, SHORT_LENGTH);

    if (!file_exists(JOURNAL_SOCKET_PATH))
        return error_set(err, ERROR_INTERNAL, "journald is not enabled on this host");
    map_set_text(&out->fields, "CONTAINER_ID", short_id);
    map_set_text(&out->fields, "CONTAINER_ID_FULL", info->id);
    map_set_text(&out->fields, "CONTAINER_NAME", info->name);
    map_set_text(&out->fields, "CONTAINER_TAG", out->tag);
    map_set_text(&out->fields, "IMAGE_NAME", info->image_name ?: "");
    map_set_text(&out->fields, "SYSLOG_IDENTIFIER", out->tag);
    MAP_EACH (attributes, entry) {
        CLEANUP(free) char *name = journal_field_name(entry->key);

        if (*name && !map_has(&out->fields, name))
            map_set_text(&out->fields, name, entry->value);
    }
    return 0;
}

char *log_forward_settings(const struct container_info *info, const char *tag,
                           const struct map *attributes, struct error *err)
{
    const struct log_config *config = &info->host_config.log_config;
    struct forward_settings settings = { .driver = xstrdup(config->type), .tag = xstrdup(tag) };
    struct str text = {};
    int result = 0;

    if (strcmp(config->type, "syslog") == 0)
        fill_syslog(&config->config, &settings);
    else
        result = fill_journal(info, attributes, &settings, err);
    if (result == 0)
        json_encode(forward_settings_fields, &settings, &text);
    json_fields_done(forward_settings_fields, &settings);
    return result == 0 ? str_take(&text) : NULL;
}
