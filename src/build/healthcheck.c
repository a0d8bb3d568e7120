/* HEALTHCHECK. */
#include "build/healthcheck.h"

#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/text.h"
#include "build/golang.h"

#include "base/banned.h"

static int read_interval(const struct instruction *instruction, const char *name, int64_t *out_ns,
                         struct error *err)
{
    const char *value = instruction_flag(instruction, name);

    if (text_is_empty(value))
        return 0;
    if (duration_parse(value, out_ns, err) < 0)
        return -1;
    if (*out_ns != 0 && *out_ns < NS_PER_MS)
        return error_set(err, ERROR_INVALID, "Interval \"%s\" cannot be less than 1ms", name);
    return 0;
}

static int read_retries(const struct instruction *instruction, int64_t *out, struct error *err)
{
    const char *value = instruction_flag(instruction, "retries");

    if (text_is_empty(value))
        return 0;
    if (parse_int64(value, INT32_MIN, INT32_MAX, out, err) < 0)
        return -1;
    if (*out < 0)
        return error_set(err, ERROR_INVALID, "--retries cannot be negative: %s", value);
    return 0;
}

static int read_test(const struct instruction *instruction, struct strv *out, struct error *err)
{
    const struct strv *arguments = &instruction->arguments;

    if (strcasecmp(arguments->items[0], "NONE") == 0) {
        strv_add(out, "NONE");
        return arguments->count == 1
                   ? 0
                   : error_set(err, ERROR_INVALID, "HEALTHCHECK NONE takes no arguments");
    }
    if (strcasecmp(arguments->items[0], "CMD") != 0) {
        CLEANUP(str_done) struct str type = {};

        go_add_quoted(&type, arguments->items[0]);
        for (size_t i = 0; i < type.length; i++)
            if (type.data[i] >= 'a' && type.data[i] <= 'z')
                type.data[i] &= 0x5f;
        return error_set(err, ERROR_INVALID, "Unknown type %s in HEALTHCHECK (try CMD)", type.data);
    }
    if (arguments->count < 2)
        return error_set(err, ERROR_INVALID, "Missing command after HEALTHCHECK CMD");
    strv_add(out, instruction->is_json ? "CMD" : "CMD-SHELL");
    for (size_t i = 1; i < arguments->count; i++)
        strv_add(out, arguments->items[i]);
    return 0;
}

int healthcheck_read(const struct instruction *instruction, struct health_config *out,
                     struct error *err)
{
    if (read_test(instruction, &out->test, err) < 0 ||
        read_interval(instruction, "interval", &out->interval_ns, err) < 0 ||
        read_interval(instruction, "timeout", &out->timeout_ns, err) < 0 ||
        read_interval(instruction, "start-period", &out->start_period_ns, err) < 0 ||
        read_interval(instruction, "start-interval", &out->start_interval_ns, err) < 0 ||
        read_retries(instruction, &out->retries, err) < 0) {
        strv_done(&out->test);
        return -1;
    }
    return 0;
}

int healthcheck_check(const struct instruction *instruction, struct error *err)
{
    struct health_config health = {};

    if (healthcheck_read(instruction, &health, err) < 0)
        return -1;
    strv_done(&health.test);
    return 0;
}
