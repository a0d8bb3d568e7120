/* RFC 3164 and RFC 5424. */
#include "forward/syslog.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

#define DEFAULT_PORT "514"

enum { SEVERITY_ERROR = 3, SEVERITY_INFORMATION = 6, FACILITY_DAEMON = 3, FACILITY_COUNT = 24 };

/* ---- addresses */

static int parse_host(const char *text, struct syslog_address *out, struct error *err)
{
    const char *end = strchrnul(text, '/'), *colon = NULL;

    if (*text == '[') {
        const char *bracket = strchr(text, ']');

        if (!bracket || bracket > end)
            return error_set(err, ERROR_INVALID, "address %s: missing ']' in address", text);
        out->host = xstrndup(text + 1, (size_t)(bracket - text - 1));
        colon = bracket[1] == ':' ? bracket + 1 : NULL;
    } else {
        colon = memchr(text, ':', (size_t)(end - text));
        if (colon && memchr(colon + 1, ':', (size_t)(end - colon - 1)))
            return error_set(err, ERROR_INVALID, "address %s: too many colons in address", text);
        out->host = xstrndup(text, (size_t)((colon ? colon : end) - text));
    }
    out->port = colon && colon + 1 < end ? xstrndup(colon + 1, (size_t)(end - colon - 1))
                                         : xstrdup(DEFAULT_PORT);
    return 0;
}

int syslog_address_parse(const char *text, struct syslog_address *out, struct error *err)
{
    static const struct {
        const char *scheme;
        enum syslog_transport transport;
    } schemes[] = {
        { "tcp", SYSLOG_TCP },   { "tcp+tls", SYSLOG_TLS },       { "udp", SYSLOG_UDP },
        { "unix", SYSLOG_UNIX }, { "unixgram", SYSLOG_UNIXGRAM },
    };
    CLEANUP(syslog_address_done) struct syslog_address address = { .transport = SYSLOG_LOCAL };
    const char *rest = text ? strstr(text, "://") : NULL;
    size_t length = rest ? (size_t)(rest - text) : 0, i = 0;

    if (!text_is_empty(text)) {
        while (i < COUNT(schemes) && (strlen(schemes[i].scheme) != length ||
                                      strncmp(schemes[i].scheme, text, length) != 0))
            i++;
        if (i == COUNT(schemes))
            return error_set(err, ERROR_INVALID, "unsupported scheme: '%.*s'", (int)length, text);
        address.transport = schemes[i].transport;
        if (address.transport == SYSLOG_UNIX || address.transport == SYSLOG_UNIXGRAM)
            address.path = xstrdup(rest + 3);
        else if (parse_host(rest + 3, &address, err) < 0)
            return -1;
    }
    *out = address;
    address = (struct syslog_address){};
    return 0;
}

void syslog_address_done(struct syslog_address *address)
{
    free(address->path);
    free(address->host);
    free(address->port);
}

int syslog_facility_parse(const char *text)
{
    static const char *const names[] = {
        "kern",   "user",   "mail",     "daemon", "auth",   "syslog", "lpr",    "news",
        "uucp",   "cron",   "authpriv", "ftp",    "",       "",       "",       "",
        "local0", "local1", "local2",   "local3", "local4", "local5", "local6", "local7",
    };
    int64_t number;

    if (text_is_empty(text))
        return FACILITY_DAEMON;
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(names[i], text) == 0)
            return (int)i;
    return parse_int64(text, 0, FACILITY_COUNT - 1, &number, NULL) == 0 ? (int)number : -1;
}

/* ---- messages */

/* "Jan  2 15:04:05", local time. */
static void add_stamp(struct str *out, int64_t wall_ns)
{
    time_t seconds = (time_t)(wall_ns / NS_PER_S);
    char text[32];
    struct tm parts;

    localtime_r(&seconds, &parts);
    strftime(text, sizeof(text), "%b %e %H:%M:%S", &parts);
    str_add(out, text);
}

/* RFC 3339, local time. */
static void add_time(struct str *out, int64_t wall_ns, bool with_micros)
{
    time_t seconds = (time_t)(wall_ns / NS_PER_S);
    char text[32], zone[8];
    struct tm parts;

    localtime_r(&seconds, &parts);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    strftime(zone, sizeof(zone), "%z", &parts);
    str_add(out, text);
    if (with_micros)
        str_add_format(out, ".%06d", (int)(wall_ns % NS_PER_S / 1000));
    if (parts.tm_gmtoff == 0)
        str_add_char(out, 'Z');
    else
        str_add_format(out, "%.3s:%s", zone, zone + 3);
}

struct message {
    const struct forward_settings *settings;
    const char *host_name;
    int priority, pid;
    int64_t wall_ns;
};

static void head_local(const struct message *message, struct str *out)
{
    str_add_format(out, "<%d>", message->priority);
    add_stamp(out, message->wall_ns);
    str_add_format(out, " %s[%d]: ", message->settings->tag, message->pid);
}

static void head_rfc3164(const struct message *message, struct str *out)
{
    str_add_format(out, "<%d>", message->priority);
    add_stamp(out, message->wall_ns);
    str_add_format(out, " %s %s[%d]: ", message->host_name, message->settings->tag, message->pid);
}

static void head_newer(const struct message *message, bool with_micros, struct str *out)
{
    str_add_format(out, "<%d>1 ", message->priority);
    add_time(out, message->wall_ns, with_micros);
    str_add_format(out, " %s %s %d %s - ", message->host_name, message->settings->tag, message->pid,
                   message->settings->tag);
}

static void head_rfc5424(const struct message *message, struct str *out)
{
    head_newer(message, false, out);
}

static void head_rfc5424micro(const struct message *message, struct str *out)
{
    head_newer(message, true, out);
}

static const struct format {
    const char *name;
    void (*head)(const struct message *message, struct str *out);
    bool has_length; /* over TLS */
} formats[] = {
    { "", head_local, false },
    { "rfc3164", head_rfc3164, false },
    { "rfc5424", head_rfc5424, true },
    { "rfc5424micro", head_rfc5424micro, true },
};

static const struct format *format_find(const char *name)
{
    for (size_t i = 0; i < COUNT(formats); i++)
        if (strcmp(formats[i].name, name ? name : "") == 0)
            return &formats[i];
    return NULL;
}

bool syslog_format_is_known(const char *text)
{
    return format_find(text) != NULL;
}

void syslog_format(const struct forward_settings *settings, enum syslog_transport transport,
                   const char *host_name, int pid, const struct forward_entry *entry,
                   const char *text, struct str *out)
{
    const struct format *format = format_find(settings->format) ?: &formats[0];
    int severity = entry->is_stderr ? SEVERITY_ERROR : SEVERITY_INFORMATION;
    struct message message = { .settings = settings,
                               .host_name = host_name,
                               .priority = (int)settings->facility * 8 + severity,
                               .pid = pid,
                               .wall_ns = entry->wall_ns };
    CLEANUP(str_done) struct str line = {};

    format->head(&message, &line);
    str_add_bytes(&line, text, entry->size);
    str_add_char(&line, '\n');
    if (transport == SYSLOG_TLS && format->has_length)
        str_add_format(out, "%zu ", line.length);
    str_add_bytes(out, line.data, line.length);
}
