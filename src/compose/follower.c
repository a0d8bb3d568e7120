/* One thread reads events; every start of a container begins a thread that copies its log until it
 * ends. */
#include "compose/follower.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "compose/label.h"

#include "base/banned.h"

/* So long the last lines of a container are waited for that has ended. */
#define LAST_LINES_NS (10 * NS_PER_S)

struct follower {
    struct client *client;
    struct log_printer *printer;
    struct follower_options options;
    struct client_messages messages;
    struct mutex handling; /* held while an event is told, outside of 'lock' */
    bool is_over;          /* with 'handling': nothing of the options is there any more */
    struct mutex lock;
    struct condition changed; /* of the two that follow */
    int running;
    struct map followed; /* container id → itself, while its log is copied */
    struct map ends;     /* container id → when it ended last, as the API writes times */
};

struct copying {
    struct follower *follower;
    char *id, *name;
    char *since;
};

static bool is_shown(const struct follower *follower, const char *service)
{
    const struct follower_options *options = &follower->options;

    if (options->hidden && strv_contains(options->hidden, service))
        return false;
    return !options->services || !options->services->count ||
           strv_contains(options->services, service);
}

static void *copy_log(void *data)
{
    struct copying *copying = data;
    struct follower *follower = copying->follower;
    struct error unheard;
    struct log_wish wish = {
        .container_id = copying->id, .name = copying->name, .since = copying->since, .follow = true
    };

    log_print(follower->client, follower->printer, &wish, &unheard);
    mutex_lock(&follower->lock);
    map_remove(&follower->followed, copying->id);
    condition_broadcast(&follower->changed);
    mutex_unlock(&follower->lock);
    free(copying->id);
    free(copying->name);
    free(copying->since);
    free(copying);
    return NULL;
}

static void follow(struct follower *follower, const char *id, const char *name, const char *since)
{
    struct copying *copying;
    struct error unheard;
    bool is_new;

    mutex_lock(&follower->lock);
    is_new = !map_has(&follower->followed, id);
    if (is_new)
        map_set(&follower->followed, id, follower);
    mutex_unlock(&follower->lock);
    if (!is_new)
        return;
    copying = NEW(struct copying);
    copying->follower = follower;
    copying->id = xstrdup(id);
    copying->name = xstrdup(name);
    copying->since = xstrdup(since);
    log_printer_add(follower->printer, name);
    if (thread_start_detached("log", copy_log, copying, &unheard) < 0)
        log_printer_say(follower->printer, unheard.text);
}

static const char *short_name(const struct follower *follower, const char *name)
{
    struct actual_container container = { .name = name };

    return log_name(&container, follower->options.project);
}

/* The log thread is at the end of its container's log when it has left 'followed'; the end is told
 * after the last line. */
static void wait_for_log(struct follower *follower, const char *id)
{
    uint64_t deadline_ns = clock_monotonic_ns() + LAST_LINES_NS;

    mutex_lock(&follower->lock);
    while (map_has(&follower->followed, id) &&
           condition_wait_until(&follower->changed, &follower->lock, deadline_ns))
        continue;
    mutex_unlock(&follower->lock);
}

/* "seconds.nanoseconds" of an event. Yours. */
static char *event_time(const struct json *event)
{
    int64_t ns = json_to_int64(json_get(event, "timeNano"));

    return time_format_unix(ns);
}

static void end(struct follower *follower, const char *id, const char *name, const char *service,
                const struct json *event)
{
    const struct json *attributes = json_get(json_get(event, "Actor"), "Attributes");
    CLEANUP(free) char *time = event_time(event);
    const char *text = json_text(json_get(attributes, "exitCode"));
    int code = text ? (int)strtol(text, NULL, 10) : 0;

    mutex_lock(&follower->lock);
    map_set_text(&follower->ends, id, time);
    mutex_unlock(&follower->lock);
    if (follower->options.says_ends && is_shown(follower, service)) {
        wait_for_log(follower, id);
        CLEANUP(free)
        char *words = xasprintf("%s exited with code %d", short_name(follower, name), code);
        log_printer_say(follower->printer, words);
    }
    mutex_lock(&follower->lock);
    follower->running--;
    condition_broadcast(&follower->changed);
    mutex_unlock(&follower->lock);
    if (follower->options.ended)
        follower->options.ended(follower->options.data, service, name, code);
}

static void handle(struct follower *follower, const struct json *event)
{
    const struct json *actor = json_get(event, "Actor"),
                      *attributes = json_get(actor, "Attributes");
    const char *action = json_text(json_get(event, "Action")),
               *id = json_text(json_get(actor, "ID"));
    const char *name = json_text(json_get(attributes, "name"));
    const char *service = json_text(json_get(attributes, LABEL_SERVICE));

    if (!action || !id || !name || !service ||
        text_equal(json_text(json_get(attributes, LABEL_ONEOFF)), "True"))
        return;
    if (strcmp(action, "start") == 0) {
        CLEANUP(free) char *since = NULL;

        mutex_lock(&follower->lock);
        follower->running++;
        since = xstrdup(map_get(&follower->ends, id) ?: follower->options.since);
        mutex_unlock(&follower->lock);
        if (is_shown(follower, service))
            follow(follower, id, short_name(follower, name), since);
    } else if (strcmp(action, "die") == 0) {
        end(follower, id, name, service, event);
    }
}

static void *read_events(void *data)
{
    struct follower *follower = data;
    struct json *event = NULL;
    struct error unheard;

    while (client_messages_next(&follower->messages, &event, &unheard) > 0) {
        mutex_lock(&follower->handling);
        if (!follower->is_over)
            handle(follower, event);
        mutex_unlock(&follower->handling);
        json_free(event);
    }
    return NULL;
}

int follower_start(struct client *client, struct log_printer *printer,
                   const struct follower_options *options, struct follower **out, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(str_done) struct str filters = {};
    CLEANUP(free) char *label = xasprintf(LABEL_PROJECT "=%s", options->project);
    struct json_writer w = { .out = &filters };
    struct follower *follower = NEW(struct follower);

    follower->client = client;
    follower->printer = printer;
    follower->options = *options;
    mutex_init(&follower->handling);
    mutex_init(&follower->lock);
    condition_init(&follower->changed);
    map_init_empty(&follower->followed, NULL);
    map_init_empty(&follower->ends, free);
    json_begin_dict(&w, NULL);
    json_begin_list(&w, "label");
    json_add_text(&w, NULL, label);
    json_end_list(&w);
    json_add_raw(&w, "type", "[\"container\"]");
    json_add_raw(&w, "event", "[\"start\",\"die\"]");
    json_end_dict(&w);
    client_path_begin(&path, "/events");
    client_path_query(&path, "filters", str_text(&filters));
    if (client_stream(client, "GET", &path, NULL, NULL, NULL, &follower->messages.response, err) <
            0 ||
        thread_start_detached("events", read_events, follower, err) < 0) {
        free(follower);
        return -1;
    }
    *out = follower;
    return 0;
}

void follower_add(struct follower *follower, const struct actual_container *container)
{
    mutex_lock(&follower->lock);
    follower->running++;
    mutex_unlock(&follower->lock);
    if (is_shown(follower, container->service))
        follow(follower, container->id, short_name(follower, container->name),
               follower->options.since);
}

void follower_finish(struct follower *follower)
{
    uint64_t deadline_ns = clock_monotonic_ns() + LAST_LINES_NS;

    mutex_lock(&follower->lock);
    while ((follower->running > 0 || follower->followed.count > 0) &&
           condition_wait_until(&follower->changed, &follower->lock, deadline_ns))
        continue;
    mutex_unlock(&follower->lock);
}

int follower_running(struct follower *follower)
{
    mutex_lock(&follower->lock);
    int running = follower->running;
    mutex_unlock(&follower->lock);
    return running;
}

void follower_end(struct follower *follower)
{
    mutex_lock(&follower->handling);
    follower->is_over = true;
    mutex_unlock(&follower->handling);
}
