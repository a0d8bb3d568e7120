/* What a result means. Docker's rules: any success makes healthy; as many failures in a row as
 * "retries" make unhealthy, and those of a container that is still starting do not count. */
#include "engine/health.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

#define DEFAULT_INTERVAL_NS       (30 * NS_PER_S)
#define DEFAULT_TIMEOUT_NS        (30 * NS_PER_S)
#define DEFAULT_START_INTERVAL_NS (5 * NS_PER_S)

enum { DEFAULT_RETRIES = 3 };

/* clang-format off */
static const struct json_field result_fields[] = {
    JSON_TIME  (struct health_result, started_ns, "Start"),
    JSON_TIME  (struct health_result, ended_ns,   "End"),
    JSON_INT64 (struct health_result, exit_code,  "ExitCode"),
    JSON_STRING(struct health_result, output,     "Output"),
    JSON_END,
};

const struct json_field container_health_fields[] = {
    JSON_STRING (struct container_health, status,         "Status"),
    JSON_INT64  (struct container_health, failing_streak, "FailingStreak"),
    JSON_OBJECTS(struct container_health, log,            "Log", struct health_result, result_fields),
    JSON_END,
};
/* clang-format on */

struct container_health *health_ref(struct container_health *health)
{
    if (health)
        __atomic_add_fetch(&health->reference_count, 1, __ATOMIC_RELAXED);
    return health;
}

void health_unref(struct container_health *health)
{
    if (!health || __atomic_sub_fetch(&health->reference_count, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    json_fields_done(container_health_fields, health);
    free(health);
}

const char *health_status(const struct container_health *health)
{
    return health ? health->status : "none";
}

struct container_health *health_new(const char *status)
{
    struct container_health *health = NEW(struct container_health);

    health->reference_count = 1;
    health->status = xstrdup(status);
    health->log.items = xcalloc(1, 1); /* [] rather than null */
    return health;
}

bool health_has_check(const struct health_config *config)
{
    if (!config || config->test.count < 2)
        return false;
    return strcmp(config->test.items[0], "CMD") == 0 ||
           strcmp(config->test.items[0], "CMD-SHELL") == 0;
}

void health_command(const struct health_config *config, const struct strv *shell, struct strv *out)
{
    if (strcmp(config->test.items[0], "CMD-SHELL") == 0 && shell->count) {
        strv_add_all(out, shell);
    } else if (strcmp(config->test.items[0], "CMD-SHELL") == 0) {
        strv_add(out, "/bin/sh");
        strv_add(out, "-c");
    }
    for (size_t i = 1; i < config->test.count; i++)
        strv_add(out, config->test.items[i]);
}

int64_t health_timeout_ns(const struct health_config *config)
{
    return config->timeout_ns > 0 ? config->timeout_ns : DEFAULT_TIMEOUT_NS;
}

static bool is_starting(const struct health_config *config, const struct container_health *health,
                        int64_t ran_ns)
{
    return strcmp(health->status, "starting") == 0 && ran_ns < config->start_period_ns;
}

int64_t health_interval_ns(const struct health_config *config,
                           const struct container_health *health, int64_t ran_ns)
{
    if (is_starting(config, health, ran_ns))
        return config->start_interval_ns > 0 ? config->start_interval_ns
                                             : DEFAULT_START_INTERVAL_NS;
    return config->interval_ns > 0 ? config->interval_ns : DEFAULT_INTERVAL_NS;
}

struct container_health *health_with_status(const struct container_health *health,
                                            const char *status)
{
    struct container_health *copy = NEW(struct container_health);

    json_fields_copy(container_health_fields, health, copy);
    copy->reference_count = 1;
    free(copy->status);
    copy->status = xstrdup(status);
    return copy;
}

static void add_result(struct json_list *log, const struct health_result *result)
{
    struct health_result *copy = json_list_add(log, sizeof(*copy));

    *copy = *result;
    copy->output = xstrdup(result->output ? result->output : "");
}

struct container_health *health_after(const struct container_health *health,
                                      const struct health_config *config,
                                      const struct health_result *result, int64_t ran_ns)
{
    struct container_health *next = health_new(health->status);
    const struct health_result *log = JSON_ITEMS(&health->log, const struct health_result);
    int64_t retries = config->retries > 0 ? config->retries : DEFAULT_RETRIES;
    const char *status = health->status;

    for (size_t i = health->log.count >= HEALTH_LOG_LIMIT ? health->log.count - HEALTH_LOG_LIMIT + 1
                                                          : 0;
         i < health->log.count; i++)
        add_result(&next->log, &log[i]);
    add_result(&next->log, result);
    if (result->exit_code == 0) {
        status = "healthy";
    } else if (!is_starting(config, health, ran_ns)) {
        next->failing_streak = health->failing_streak + 1;
        if (next->failing_streak >= retries)
            status = "unhealthy";
    }
    free(next->status);
    next->status = xstrdup(status);
    return next;
}

int health_check_on_failure(const char *action, struct error *err)
{
    static const char *const known[] = { "none", "restart", "stop", "kill" };

    if (text_is_empty(action))
        return 0;
    for (size_t i = 0; i < COUNT(known); i++)
        if (strcmp(action, known[i]) == 0)
            return 0;
    return error_set(err, ERROR_INVALID,
                     "invalid HealthOnFailure '%s': must be one of none, restart, stop, kill",
                     action);
}
