#include "engine/health.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

#include "base/banned.h"

static struct health_config config = { .interval_ns = 7 * NS_PER_S,
                                       .start_period_ns = 10 * NS_PER_S,
                                       .start_interval_ns = 2 * NS_PER_S,
                                       .retries = 2 };

/* A story: results one after the other, and what is known after each. */
static const struct {
    int64_t exit_code, ran_s;
    const char *status;
    int64_t streak, next_s;
} steps[] = {
    { 1, 3, "starting", 0, 2 },   /* in the start period: does not count */
    { -1, 11, "starting", 1, 7 }, /* behind it */
    { 1, 18, "unhealthy", 2, 7 }, { 1, 25, "unhealthy", 3, 7 }, { 0, 32, "healthy", 0, 7 },
    { 1, 39, "healthy", 1, 7 },   { 0, 46, "healthy", 0, 7 },   { 1, 53, "healthy", 1, 7 },
    { 1, 60, "unhealthy", 2, 7 },
};

Test(health, follows_the_results)
{
    CLEANUP(health_unref) struct container_health *health = health_new("starting");

    for (size_t i = 0; i < COUNT(steps); i++) {
        char output[16];
        snprintf(output, sizeof(output), "%zu", i);
        struct health_result result = { .exit_code = steps[i].exit_code, .output = output };
        struct container_health *next = health_after(health, &config, &result,
                                                     steps[i].ran_s * NS_PER_S);

        health_unref(health);
        health = next;
        cr_expect_str_eq(health->status, steps[i].status, "step %zu", i);
        cr_expect_eq(health->failing_streak, steps[i].streak, "step %zu", i);
        cr_expect_eq(health_interval_ns(&config, health, steps[i].ran_s * NS_PER_S),
                     steps[i].next_s * NS_PER_S, "step %zu", i);
        cr_assert_eq(health->log.count, MIN(i + 1, HEALTH_LOG_LIMIT));
        cr_expect_str_eq(
            JSON_ITEMS(&health->log, struct health_result)[health->log.count - 1].output, output);
    }
}

Test(health, a_success_ends_the_start_period)
{
    CLEANUP(health_unref) struct container_health *health = health_new("starting");
    struct health_result success = { .exit_code = 0 }, failure = { .exit_code = 1 };
    CLEANUP(health_unref)
    struct container_health *healthy = health_after(health, &config, &success, NS_PER_S);
    CLEANUP(health_unref)
    struct container_health *failing = health_after(healthy, &config, &failure, 2 * NS_PER_S);

    cr_expect_eq(failing->failing_streak, 1);
    cr_expect_eq(health_interval_ns(&config, healthy, NS_PER_S), 7 * NS_PER_S);
}

static const struct {
    const char *test[4];
    bool has_check;
    const char *command; /* joined with '|' */
} forms[] = {
    { { NULL }, false, NULL },
    { { "NONE" }, false, NULL },
    { { "CMD" }, false, NULL },
    { { "FOO", "x" }, false, NULL },
    { { "CMD", "a", "b c" }, true, "a|b c" },
    { { "CMD-SHELL", "a && b" }, true, "/bin/sh|-c|a && b" },
};

Test(health, finds_the_command)
{
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct health_config form = {};
        struct strv none = {}, command = {};

        for (size_t w = 0; forms[i].test[w]; w++)
            strv_add(&form.test, forms[i].test[w]);
        cr_expect_eq(health_has_check(&form), forms[i].has_check, "form %zu", i);
        if (forms[i].has_check) {
            health_command(&form, &none, &command);
            CLEANUP(free) char *joined = strv_join(&command, "|");
            cr_expect_str_eq(joined, forms[i].command);
        }
        strv_done(&form.test);
        strv_done(&command);
    }
    cr_expect_not(health_has_check(NULL));
}

Test(health, uses_the_shell_of_the_image)
{
    struct health_config form = {};
    struct strv shell = {}, command = {};

    strv_add(&form.test, "CMD-SHELL");
    strv_add(&form.test, "x y");
    strv_add(&shell, "/bin/ash");
    strv_add(&shell, "-ec");
    health_command(&form, &shell, &command);
    CLEANUP(free) char *joined = strv_join(&command, "|");
    cr_expect_str_eq(joined, "/bin/ash|-ec|x y");
    strv_done(&form.test);
    strv_done(&shell);
    strv_done(&command);
}

Test(health, knows_the_actions)
{
    struct error err = {};

    cr_expect_eq(health_check_on_failure(NULL, &err), 0);
    cr_expect_eq(health_check_on_failure("restart", &err), 0);
    cr_expect_eq(health_check_on_failure("explode", &err), -1);
    cr_expect_eq(err.kind, ERROR_INVALID);
}
