/* A thread per endpoint, so that one that hangs holds no other up. */
#include "distribution/notify.h"

#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "codec/json.h"
#include "http/ask.h"

#include "base/banned.h"

#define EVENTS_TYPE "application/vnd.docker.distribution.events.v2+json"

enum { QUEUE_LIMIT = 1000, TRY_LIMIT = 6, FIRST_PAUSE_MS = 500, TIMEOUT_S = 5 };

struct message {
    struct list link;
    char *text;
};

struct endpoint_queue {
    char *url;
    struct strv headers;
    struct metrics *metrics;
    pthread_t thread;
    bool has_thread;
    struct mutex lock; /* guards what follows */
    struct condition changed;
    struct list messages;
    size_t count;
    bool is_ending;
};

struct notifier {
    char instance_id[ID_LENGTH + 1];
    struct endpoint_queue *queues;
    size_t count;
};

/* ---- one endpoint ---- */

static void message_free(struct message *message)
{
    list_remove(&message->link);
    free(message->text);
    free(message);
}

static struct message *next_locked(struct endpoint_queue *queue) REQUIRES(queue->lock)
{
    while (list_is_empty(&queue->messages) && !queue->is_ending)
        condition_wait(&queue->changed, &queue->lock);
    if (queue->is_ending)
        return NULL;
    struct message *message = CONTAINER_OF(queue->messages.next, struct message, link);
    list_remove(&message->link);
    queue->count--;
    return message;
}

static struct message *next(struct endpoint_queue *queue)
{
    mutex_lock(&queue->lock);
    struct message *message = next_locked(queue);
    mutex_unlock(&queue->lock);
    return message;
}

/* False when it is to end. */
static bool wait_ms(struct endpoint_queue *queue, int ms)
{
    uint64_t deadline = clock_monotonic_ns() + (uint64_t)ms * NS_PER_MS;

    mutex_lock(&queue->lock);
    while (!queue->is_ending && condition_wait_until(&queue->changed, &queue->lock, deadline))
        ;
    bool goes_on = !queue->is_ending;
    mutex_unlock(&queue->lock);
    return goes_on;
}

static int post(const struct endpoint_queue *queue, const char *text, struct error *err)
{
    CLEANUP(ask_answer_done) struct ask_answer answer = {};
    const struct ask question = { .method = "POST",
                                  .url = queue->url,
                                  .headers = &queue->headers,
                                  .body = text,
                                  .body_size = strlen(text),
                                  .timeout_s = TIMEOUT_S };

    if (ask(&question, &answer, err) < 0)
        return -1;
    if (answer.status / 100 != 2)
        return error_set(err, ERROR_UNAVAILABLE, "status %d", answer.status);
    return 0;
}

static void deliver(struct endpoint_queue *queue, const char *text)
{
    struct error err = {};

    for (int i = 0, pause_ms = FIRST_PAUSE_MS; i < TRY_LIMIT; i++, pause_ms *= 2) {
        if (post(queue, text, &err) == 0) {
            queue->metrics->events_sent++;
            return;
        }
        queue->metrics->events_failed++;
        if (i + 1 < TRY_LIMIT && !wait_ms(queue, pause_ms))
            break;
    }
    queue->metrics->events_dropped++;
    log_warn("an event is not delivered", "url", queue->url, "error", err.text);
}

static void *run(void *data)
{
    struct endpoint_queue *queue = data;
    struct message *message;

    while ((message = next(queue))) {
        deliver(queue, message->text);
        message_free(message);
    }
    return NULL;
}

static void add(struct endpoint_queue *queue, const char *text)
{
    mutex_lock(&queue->lock);
    if (queue->count < QUEUE_LIMIT) {
        struct message *message = NEW(struct message);

        message->text = xstrdup(text);
        list_add(&queue->messages, &message->link);
        queue->count++;
        condition_signal(&queue->changed);
    } else {
        queue->metrics->events_dropped++;
    }
    mutex_unlock(&queue->lock);
}

/* ---- all ---- */

static int start(struct endpoint_queue *queue, const char *url, const struct strv *headers,
                 struct metrics *metrics, struct error *err)
{
    queue->url = xstrdup(url);
    queue->metrics = metrics;
    strv_add(&queue->headers, "Content-Type: " EVENTS_TYPE);
    if (headers)
        strv_add_all(&queue->headers, headers);
    mutex_init(&queue->lock);
    condition_init(&queue->changed);
    list_init(&queue->messages);
    if (!text_starts(url, "http://") && !text_starts(url, "https://"))
        return error_set(err, ERROR_INVALID, "events go to http:// or https://, not \"%s\"", url);
    if (thread_start("notify", run, queue, &queue->thread, err) < 0)
        return -1;
    queue->has_thread = true;
    return 0;
}

int notifier_new(const struct strv *urls, const struct strv *headers, struct metrics *metrics,
                 struct notifier **out, struct error *err)
{
    CLEANUP(notifier_free) struct notifier *notifier = NEW(struct notifier);

    id_generate(notifier->instance_id);
    notifier->queues = xcalloc(urls->count + 1, sizeof(*notifier->queues));
    for (size_t i = 0; i < urls->count; i++) {
        notifier->count++;
        if (start(&notifier->queues[i], urls->items[i], headers, metrics, err) < 0)
            return -1;
    }
    *out = TAKE(notifier);
    return 0;
}

static void queue_done(struct endpoint_queue *queue)
{
    mutex_lock(&queue->lock);
    queue->is_ending = true;
    condition_broadcast(&queue->changed);
    mutex_unlock(&queue->lock);
    if (queue->has_thread)
        pthread_join(queue->thread, NULL);
    LIST_EACH (&queue->messages, struct message, link, message)
        message_free(message);
    strv_done(&queue->headers);
    condition_done(&queue->changed);
    mutex_done(&queue->lock);
    free(queue->url);
}

void notifier_free(struct notifier *notifier)
{
    if (!notifier)
        return;
    for (size_t i = 0; i < notifier->count; i++)
        queue_done(&notifier->queues[i]);
    free(notifier->queues);
    free(notifier);
}

/* ---- what is told ---- */

static void add_if(struct json_writer *w, const char *key, const char *value)
{
    if (value)
        json_add_text(w, key, value);
}

static void write_target(const struct event *event, struct json_writer *w)
{
    json_begin_dict(w, "target");
    add_if(w, "mediaType", event->media_type);
    add_if(w, "digest", event->digest);
    if (event->size >= 0) {
        json_add_int64(w, "size", event->size);
        json_add_int64(w, "length", event->size);
    }
    add_if(w, "repository", event->repository);
    add_if(w, "fromRepository", event->from_repository);
    add_if(w, "tag", event->tag);
    json_end_dict(w);
}

static void write_request(const struct event *event, struct json_writer *w)
{
    json_begin_dict(w, "request");
    add_if(w, "addr", event->peer);
    add_if(w, "host", event->host);
    add_if(w, "method", event->method);
    add_if(w, "useragent", event->agent);
    json_end_dict(w);
    json_begin_dict(w, "actor");
    add_if(w, "name", event->user);
    json_end_dict(w);
}

static void write_event(const struct notifier *notifier, const struct event *event, struct str *out)
{
    struct json_writer w = { .out = out };
    char id[ID_LENGTH + 1];

    id_generate(id);
    json_begin_dict(&w, NULL);
    json_begin_list(&w, "events");
    json_begin_dict(&w, NULL);
    json_add_text_format(&w, "id", "%.32s", id);
    json_add_time(&w, "timestamp", clock_wall_ns());
    json_add_text(&w, "action", event->action);
    write_target(event, &w);
    write_request(event, &w);
    json_begin_dict(&w, "source");
    json_add_text_format(&w, "instanceID", "%.32s", notifier->instance_id);
    json_end_dict(&w);
    json_end_dict(&w);
    json_end_list(&w);
    json_end_dict(&w);
}

void notifier_tell(struct notifier *notifier, const struct event *event)
{
    CLEANUP(str_done) struct str text = {};

    if (notifier->count == 0)
        return;
    write_event(notifier, event, &text);
    for (size_t i = 0; i < notifier->count; i++)
        add(&notifier->queues[i], str_text(&text));
}
