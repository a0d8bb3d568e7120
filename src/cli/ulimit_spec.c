/* One limit of a resource. */
#include "cli/ulimit_spec.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

static bool is_known(const char *name)
{
    static const char *const names[] = { "core",    "cpu",      "data",   "fsize",      "locks",
                                         "memlock", "msgqueue", "nice",   "nofile",     "nproc",
                                         "rss",     "rtprio",   "rttime", "sigpending", "stack" };

    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

int ulimit_spec_parse(const char *text, struct ulimit *out, struct error *err)
{
    const char *equals = strchr(text, '=');
    CLEANUP(free) char *name = equals ? xstrndup(text, (size_t)(equals - text)) : NULL;
    int64_t soft, hard;

    if (!equals)
        return error_set(err, ERROR_INVALID, "invalid ulimit argument: %s", text);
    if (!is_known(name))
        return error_set(err, ERROR_INVALID, "invalid ulimit type: %s", name);
    CLEANUP(free) char *values = xstrdup(equals + 1);
    char *colon = strchr(values, ':');
    if (colon)
        *colon++ = 0;
    if (parse_int64(values, -1, INT64_MAX, &soft, NULL) < 0 ||
        (colon && parse_int64(colon, -1, INT64_MAX, &hard, NULL) < 0))
        return error_set(err, ERROR_INVALID, "invalid ulimit argument: %s", text);
    if (!colon)
        hard = soft;
    if (hard != -1 && (soft == -1 || soft > hard))
        return error_set(err, ERROR_INVALID,
                         "ulimit soft limit must be less than or equal to hard limit: %lld > %lld",
                         (long long)soft, (long long)hard);
    *out = (struct ulimit){ TAKE(name), soft, hard };
    return 0;
}
