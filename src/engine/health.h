/* Health checks: what is known of a container's health, and the probes that find it out.
 *
 * A probe is an exec of the container (engine/exec.h), governed by the same isolation; the
 * supervisor ends it when its time is over, also without a daemon. One thread keeps the times of
 * all containers that have a check and reads what their probes say; it is made with the first of
 * them. What may block (asking a supervisor, writing the record, acting on a failure) is done by a
 * work queue of its own, so that sick containers keep only each other waiting. */
#ifndef BERTH_ENGINE_HEALTH_H
#define BERTH_ENGINE_HEALTH_H

#include "spec/container.h"

enum { HEALTH_LOG_LIMIT = 5, HEALTH_OUTPUT_LIMIT = 4096 };

struct health_result {
    int64_t started_ns, ended_ns;
    int64_t exit_code; /* -1: it could not be run, or took too long */
    char *output;      /* at most HEALTH_OUTPUT_LIMIT bytes of it */
};

/* Immutable and counted, a part of the container's snapshot; no health check: NULL. */
struct container_health {
    int reference_count; /* private */
    char *status;        /* "starting", "healthy", "unhealthy" */
    int64_t failing_streak;
    struct json_list log; /* struct health_result, the last HEALTH_LOG_LIMIT */
};
extern const struct json_field container_health_fields[];
struct container_health *health_ref(struct container_health *health);
void health_unref(struct container_health *health);
CLEANUP_POINTER(health_unref, struct container_health)

/* What the API calls it: "none" without a check. */
const char *health_status(const struct container_health *health);

/* ---- decisions, in plain data ---- */

/* Whether there is something to run. Forms that are neither CMD nor CMD-SHELL are none. */
bool health_has_check(const struct health_config *config);
/* The command of a probe; 'shell' is the image's SHELL (none: /bin/sh -c). */
void health_command(const struct health_config *config, const struct strv *shell, struct strv *out);
int64_t health_timeout_ns(const struct health_config *config);
/* From the end of one probe (or the start of the container) to the next. */
int64_t health_interval_ns(const struct health_config *config,
                           const struct container_health *health, int64_t ran_ns);
struct container_health *health_new(const char *status);
struct container_health *health_with_status(const struct container_health *health,
                                            const char *status);
/* What follows from one more result; 'ran_ns' is how long the container ran when it began. */
struct container_health *health_after(const struct container_health *health,
                                      const struct health_config *config,
                                      const struct health_result *result, int64_t ran_ns);
/* Checks a HealthOnFailure: "", none, restart, stop, kill. */
int health_check_on_failure(const char *action, struct error *err);

#endif
