/* What Docker's command finds wrong by itself. */
#include "cli/run_check.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/mount_spec.h"
#include "cli/ulimit_spec.h"

#include "base/banned.h"

/* ---- one value ---- */

static bool is_address(const char *text)
{
    unsigned char ignored[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, text, ignored) == 1 || inet_pton(AF_INET6, text, ignored) == 1;
}

/* name:ip or name=ip; the address may be in brackets. */
int check_add_host(const char *value, struct error *err)
{
    const char *equals = strchr(value, '='), *colon = strchr(value, ':');
    const char *split = equals && (!colon || equals < colon) ? equals : colon;

    if (!split || split == value || !split[1])
        return error_set(err, ERROR_INVALID, "bad format for add-host: \"%s\"", value);
    const char *address = split + 1;
    size_t length = strlen(address);
    CLEANUP(free)
    char *bare = address[0] == '[' && address[length - 1] == ']' ? xstrndup(address + 1, length - 2)
                                                                 : xstrdup(address);
    if (strcmp(bare, "host-gateway") != 0 && !is_address(bare))
        return error_set(err, ERROR_INVALID, "invalid IP address in add-host: \"%s\"", address);
    return 0;
}

char *host_entry(const char *value)
{
    char *entry = xstrdup(value);
    char *equals = strchr(entry, '=');

    if (equals && !memchr(entry, ':', (size_t)(equals - entry)))
        *equals = ':';
    return entry;
}

/* "c 42:* rwm" */
int check_device_cgroup_rule(const char *value, struct error *err)
{
    const char *at = value;
    bool is_right = strchr("acb", *at) && *at && at[1] == ' ';

    if (is_right) {
        at += 2;
        for (int i = 0; is_right && i < 2; i++) {
            size_t length = *at == '*' ? 1 : strspn(at, "0123456789");

            is_right = length && at[length] == (i ? ' ' : ':');
            at += length + 1;
        }
    }
    size_t length = is_right ? strspn(at, "rwm") : 0;
    if (!is_right || length < 1 || length > 3 || at[length])
        return error_set(err, ERROR_INVALID, "invalid device cgroup format '%s'", value);
    return 0;
}

int check_dns(const char *value, struct error *err)
{
    CLEANUP(free) char *trimmed = xstrdup(value + strspn(value, " \t"));

    trimmed[strcspn(trimmed, " \t")] = 0;
    return is_address(trimmed)
               ? 0
               : error_set(err, ERROR_INVALID, "IP address is not correctly formatted: %s", value);
}

int check_env(const char *value, struct error *err)
{
    return *value && *value != '='
               ? 0
               : error_set(err, ERROR_INVALID, "invalid environment variable: %s", value);
}

int check_attach(const char *value, struct error *err)
{
    if (strcasecmp(value, "stdin") == 0 || strcasecmp(value, "stdout") == 0 ||
        strcasecmp(value, "stderr") == 0)
        return 0;
    return error_set(err, ERROR_INVALID, "valid streams are STDIN, STDOUT and STDERR");
}

int check_label(const char *value, struct error *err)
{
    if (!*value || *value == '=')
        return error_set(err, ERROR_INVALID, "invalid label '%s': empty name", value);
    if (value[strcspn(value, " \t=")] != '=' && strpbrk(value, " \t"))
        return error_set(err, ERROR_INVALID, "label '%s' contains whitespaces", value);
    return 0;
}

int check_mount(const char *value, struct error *err)
{
    struct mount_request mount = {};
    int result = mount_spec_parse(value, &mount, err);

    json_fields_done(mount_request_fields, &mount);
    return result;
}

int check_sysctl(const char *value, struct error *err)
{
    static const char *const names[] = { "kernel.msgmax", "kernel.msgmnb",         "kernel.msgmni",
                                         "kernel.sem",    "kernel.shmall",         "kernel.shmmax",
                                         "kernel.shmmni", "kernel.shm_rmid_forced" };
    size_t length = strcspn(value, "=");

    if (text_starts(value, "net.") || text_starts(value, "fs.mqueue."))
        return 0;
    for (size_t i = 0; i < COUNT(names); i++)
        if (strlen(names[i]) == length && strncmp(names[i], value, length) == 0)
            return 0;
    return error_set(err, ERROR_INVALID, "sysctl '%s' is not allowed", value);
}

int check_ulimit(const char *value, struct error *err)
{
    struct ulimit limit = {};
    int result = ulimit_spec_parse(value, &limit, err);

    free(limit.name);
    return result;
}

/* ---- all together ---- */

static bool is_mac_address(const char *text)
{
    size_t length = strlen(text);

    for (size_t i = 0; i < length; i++)
        if (i % 3 == 2 ? text[i] != ':' && text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
    return length == 17 || length == 23;
}

static bool is_joined(const char *mode)
{
    return text_starts(mode, "container:") && mode[10];
}

/* Modes that only berth has; what follows the word is the engine's to judge. */
static bool is_mapped(const char *mode)
{
    size_t length = mode ? strcspn(mode, ":") : 0;

    return (length == 4 && strncmp(mode, "auto", length) == 0) ||
           (length == 7 && strncmp(mode, "keep-id", length) == 0);
}

static int check_modes(const struct run_options *options, struct error *err)
{
    const struct {
        const char *flag, *what, *value, *allowed[2];
        bool joins;
    } rows[] = {
        { "uts", "UTS", options->uts, { "host" }, false },
        { "pid", "PID", options->pid, { "host" }, true },
        { "cgroupns", "CGROUP", options->cgroupns, { "host", "private" }, false },
        { "userns", "USER", is_mapped(options->userns) ? NULL : options->userns, { "host" }, false }
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *value = rows[i].value ? rows[i].value : "";
        bool is_known = !*value || (rows[i].joins && is_joined(value));

        for (size_t a = 0; a < COUNT(rows[i].allowed) && rows[i].allowed[a]; a++)
            is_known |= strcmp(value, rows[i].allowed[a]) == 0;
        if (!is_known)
            return error_set(err, ERROR_INVALID, "--%s: invalid %s mode", rows[i].flag,
                             rows[i].what);
    }
    return 0;
}

static int check_health(const struct run_options *options, struct error *err)
{
    const struct {
        const char *flag;
        int64_t value;
    } rows[] = { { "interval", options->health_interval.value },
                 { "timeout", options->health_timeout.value },
                 { "retries", options->health_retries.value },
                 { "start-period", options->health_start_period.value },
                 { "start-interval", options->health_start_interval.value } };

    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].value < 0)
            return error_set(err, ERROR_INVALID, "--health-%s cannot be negative", rows[i].flag);
    return 0;
}

static int check_security(const struct strv *options, struct error *err)
{
    for (size_t i = 0; i < options->count; i++)
        if (!strpbrk(options->items[i], "=:") &&
            strcmp(options->items[i], "no-new-privileges") != 0)
            return error_set(err, ERROR_INVALID, "Invalid --security-opt: \"%s\"",
                             options->items[i]);
    return 0;
}

/* What is behind the colon is judged when it is read, if it is no number. */
static bool restarts(const char *policy)
{
    size_t length = strcspn(policy, ":");
    int64_t ignored;

    if (length == 0 || (length == 2 && text_starts(policy, "no")))
        return false;
    return !policy[length] ||
           parse_int64(policy + length + 1, INT32_MIN, INT32_MAX, &ignored, NULL) == 0;
}

int run_options_check(const struct run_options *options, struct error *err)
{
    const char *restart = options->restart ? options->restart : "";
    const char *pull = options->pull ? options->pull : "missing";

    if (strcmp(pull, "always") != 0 && strcmp(pull, "missing") != 0 && strcmp(pull, "never") != 0)
        return error_set(err, ERROR_INVALID,
                         "invalid pull option: '%s': must be one of \"always\", \"missing\" or "
                         "\"never\"",
                         pull);
    if (!text_is_empty(options->mac_address) && !is_mac_address(options->mac_address))
        return error_set(err, ERROR_INVALID, "%s is not a valid mac address", options->mac_address);
    if (options->memory_swappiness.is_set &&
        (options->memory_swappiness.value < -1 || options->memory_swappiness.value > 100))
        return error_set(err, ERROR_INVALID,
                         "invalid value: %lld. Valid memory swappiness range is 0-100",
                         (long long)options->memory_swappiness.value);
    if (check_modes(options, err) < 0 || check_health(options, err) < 0 ||
        check_security(&options->security_opt, err) < 0)
        return -1;
    if (options->remove && restarts(restart))
        return error_set(err, ERROR_INVALID,
                         "conflicting options: cannot specify both --restart and --rm");
    return 0;
}
