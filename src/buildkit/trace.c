/* A vertex is told anew, whole, whenever something of it changes: clients keep the last word. */
#include "buildkit/trace.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/protobuf.h"
#include "codec/sha256.h"

#include "base/banned.h"

#define WAIT_STEP_NS (50 * NS_PER_MS)
#define CLIPPED      "\n[output clipped]\n"

/* Fields of StatusResponse. */
enum { STATUS_VERTEX = 1, STATUS_AMOUNT = 2, STATUS_LOG = 3, STATUS_WARNING = 4 };

struct vertex {
    char digest[DIGEST_SIZE];
    char *name, *error;
    bool is_cached;
    int64_t began_ns, ended_ns;
    size_t output_size;
    struct map amounts; /* what → time it began, as text */
};

static void vertex_free(void *data)
{
    struct vertex *vertex = data;

    free(vertex->name);
    free(vertex->error);
    map_done(&vertex->amounts);
    free(vertex);
}

void trace_init(struct trace *progress, const char *ref)
{
    *progress = (struct trace){ .ref = xstrdup(ref) };
    mutex_init(&progress->lock);
    condition_init(&progress->changed);
    map_init_empty(&progress->vertexes, vertex_free);
}

void trace_done(struct trace *progress)
{
    for (size_t i = 0; i < progress->count; i++)
        buf_done(&progress->messages[i]);
    free(progress->messages);
    map_done(&progress->vertexes);
    free(progress->ref);
    free(progress->file_name);
    str_done(&progress->file_text);
    mutex_done(&progress->lock);
    condition_done(&progress->changed);
}

/* ---- with the lock held ---- */

/* One message with one part. */
static void tell(struct trace *progress, uint32_t field, struct buf *part) REQUIRES(progress->lock)
{
    struct buf message = {};

    protobuf_add_message(&message, field, part);
    if (progress->count == progress->capacity) {
        progress->capacity = MAX(progress->capacity * 2, (size_t)64);
        progress->messages = xrealloc(progress->messages, progress->capacity,
                                      sizeof(*progress->messages));
    }
    progress->total_size += message.size;
    progress->messages[progress->count++] = message;
    condition_broadcast(&progress->changed);
}

static void tell_vertex(struct trace *progress, const struct vertex *vertex)
    REQUIRES(progress->lock)
{
    CLEANUP(buf_done) struct buf part = {};

    protobuf_add_text(&part, 1, vertex->digest);
    protobuf_add_text(&part, 3, vertex->name);
    protobuf_add_number(&part, 4, vertex->is_cached);
    protobuf_add_time(&part, 5, vertex->began_ns);
    protobuf_add_time(&part, 6, vertex->ended_ns);
    protobuf_add_text(&part, 7, vertex->error);
    tell(progress, STATUS_VERTEX, &part);
}

static struct vertex *find(struct trace *progress, const char *key) REQUIRES(progress->lock)
{
    return map_get(&progress->vertexes, key);
}

static void begin(struct trace *progress, const char *key, const char *name)
    REQUIRES(progress->lock)
{
    CLEANUP(free) char *identity = xasprintf("%s\n%s", progress->ref, key);
    struct vertex *vertex = find(progress, key);

    if (!vertex) {
        vertex = NEW(struct vertex);
        map_init_empty(&vertex->amounts, free);
        sha256_digest(identity, strlen(identity), vertex->digest);
        vertex->name = xstrdup(name);
        map_set(&progress->vertexes, key, vertex);
    }
    vertex->began_ns = clock_wall_ns();
    vertex->ended_ns = 0;
    tell_vertex(progress, vertex);
}

static void end(struct trace *progress, struct vertex *vertex, const char *error)
    REQUIRES(progress->lock)
{
    if (!vertex || vertex->ended_ns)
        return;
    vertex->ended_ns = clock_wall_ns();
    vertex->error = xstrdup(error);
    tell_vertex(progress, vertex);
}

static void log_output(struct trace *progress, struct vertex *vertex, bool is_stderr,
                       const char *text, size_t size) REQUIRES(progress->lock)
{
    CLEANUP(buf_done) struct buf part = {};

    if (!vertex || vertex->output_size > TRACE_OUTPUT_LIMIT)
        return;
    vertex->output_size += size;
    if (vertex->output_size > TRACE_OUTPUT_LIMIT || progress->total_size > TRACE_TOTAL_LIMIT) {
        vertex->output_size = TRACE_OUTPUT_LIMIT + 1;
        text = CLIPPED;
        size = strlen(CLIPPED);
    }
    protobuf_add_text(&part, 1, vertex->digest);
    protobuf_add_time(&part, 2, clock_wall_ns());
    protobuf_add_number(&part, 3, is_stderr ? 2 : 1);
    protobuf_add_bytes(&part, 4, text, size);
    tell(progress, STATUS_LOG, &part);
}

static void tell_amount(struct trace *progress, struct vertex *vertex, const char *what,
                        int64_t current, int64_t total, bool is_done) REQUIRES(progress->lock)
{
    CLEANUP(buf_done) struct buf part = {};
    int64_t now_ns = clock_wall_ns(), *began_ns;

    if (!vertex)
        return;
    began_ns = map_get(&vertex->amounts, what);
    if (!began_ns) {
        began_ns = NEW(int64_t);
        *began_ns = now_ns;
        map_set(&vertex->amounts, what, began_ns);
    }
    protobuf_add_text(&part, 1, what);
    protobuf_add_text(&part, 2, vertex->digest);
    protobuf_add_number(&part, 4, (uint64_t)current);
    protobuf_add_number(&part, 5, (uint64_t)total);
    protobuf_add_time(&part, 6, now_ns);
    protobuf_add_time(&part, 7, *began_ns);
    protobuf_add_time(&part, 8, is_done ? now_ns : 0);
    tell(progress, STATUS_AMOUNT, &part);
}

/* ---- telling ---- */

void trace_begin(struct trace *progress, const char *key, const char *name)
{
    mutex_lock(&progress->lock);
    begin(progress, key, name);
    mutex_unlock(&progress->lock);
}

void trace_cached(struct trace *progress, const char *key)
{
    mutex_lock(&progress->lock);
    struct vertex *vertex = find(progress, key);
    if (vertex)
        vertex->is_cached = true;
    mutex_unlock(&progress->lock);
}

void trace_end(struct trace *progress, const char *key, const char *error)
{
    mutex_lock(&progress->lock);
    end(progress, find(progress, key), error);
    mutex_unlock(&progress->lock);
}

void trace_output(struct trace *progress, const char *key, bool is_stderr, const char *text,
                  size_t size)
{
    mutex_lock(&progress->lock);
    log_output(progress, find(progress, key), is_stderr, text, size);
    mutex_unlock(&progress->lock);
}

void trace_amount(struct trace *progress, const char *key, const char *what, int64_t current,
                  int64_t total, bool is_done)
{
    mutex_lock(&progress->lock);
    tell_amount(progress, find(progress, key), what, current, total, is_done);
    mutex_unlock(&progress->lock);
}

void trace_set_file(struct trace *progress, const char *name, const char *text)
{
    mutex_lock(&progress->lock);
    if (!progress->file_name) {
        progress->file_name = xstrdup(name);
        str_add(&progress->file_text, text);
    }
    mutex_unlock(&progress->lock);
}

static void add_position(struct buf *range, uint32_t field, int line)
{
    CLEANUP(buf_done) struct buf position = {};

    protobuf_add_number(&position, 1, (uint64_t)line);
    protobuf_add_message(range, field, &position);
}

static void tell_finding(struct trace *progress, const struct build_event *event)
    REQUIRES(progress->lock)
{
    CLEANUP(buf_done) struct buf part = {}, inside = {};
    CLEANUP(free)
    char *text = xasprintf("%s: %.*s (line %d)", event->rule, (int)event->size, event->text,
                           event->line);
    /* Clients pass over warnings of steps that they do not know. */
    const struct vertex *vertex = find(progress, "dockerfile");

    protobuf_add_text(&part, 1, vertex ? vertex->digest : "");
    protobuf_add_number(&part, 2, 1);
    protobuf_add_text(&part, 3, text);
    if (progress->file_name) {
        protobuf_add_text(&inside, 1, progress->file_name);
        protobuf_add_bytes(&inside, 2, str_text(&progress->file_text), progress->file_text.length);
        protobuf_add_text(&inside, 4, "Dockerfile");
        protobuf_add_message(&part, 6, &inside);
        add_position(&inside, 1, event->line);
        add_position(&inside, 2, event->line);
        protobuf_add_message(&part, 7, &inside);
    }
    tell(progress, STATUS_WARNING, &part);
}

static char *step_name(const struct build_event *event)
{
    const char *platform = event->platform, *stage = event->stage_name;

    return xasprintf("[%s%s%s%s%zu/%zu] %.*s", platform ?: "", platform ? " " : "", stage ?: "",
                     stage ? " " : "", event->layer_step, event->layer_step_count, (int)event->size,
                     event->text);
}

static void tell_step(struct trace *progress, const struct build_event *event)
    REQUIRES(progress->lock)
{
    CLEANUP(free)
    char *key = xasprintf("step %s %zu %zu", event->platform ?: "", event->stage, event->step);

    struct vertex *vertex = find(progress, key);
    switch (event->type) {
    case BUILD_STEP_BEGAN: {
        CLEANUP(free) char *name = step_name(event);

        if (event->layer_step > 0)
            begin(progress, key, name);
        break;
    }
    case BUILD_STEP_CACHED:
        if (vertex)
            vertex->is_cached = true;
        break;
    case BUILD_STEP_SAID:
        log_output(progress, vertex, false, event->text, event->size);
        break;
    case BUILD_STEP_DONE:
        end(progress, vertex, NULL);
        break;
    case BUILD_STEP_FAILED: {
        CLEANUP(free) char *text = xstrndup(event->text, event->size);

        end(progress, vertex, text);
        break;
    }
    case BUILD_FINDING:
        tell_finding(progress, event);
        break;
    case BUILD_NOTE:
        log_output(progress, find(progress, "dockerfile"), true, event->text, event->size);
        break;
    }
}

void trace_event(struct trace *progress, const struct build_event *event)
{
    mutex_lock(&progress->lock);
    tell_step(progress, event);
    mutex_unlock(&progress->lock);
}

void trace_finish(struct trace *progress)
{
    mutex_lock(&progress->lock);
    MAP_EACH (&progress->vertexes, entry)
        end(progress, entry->value, "context canceled");
    progress->is_over = true;
    condition_broadcast(&progress->changed);
    mutex_unlock(&progress->lock);
}

/* ---- reading ---- */

int trace_next(struct trace *progress, size_t index, int cancel_fd, struct buf *out,
               struct error *err)
{
    int result = 0;

    buf_clear(out);
    mutex_lock(&progress->lock);
    while (index >= progress->count && !progress->is_over && result == 0) {
        condition_wait_until(&progress->changed, &progress->lock,
                             clock_monotonic_ns() + WAIT_STEP_NS);
        if (fd_is_readable(cancel_fd))
            result = error_set(err, ERROR_CANCELLED, "cancelled");
    }
    if (result == 0 && index < progress->count) {
        const struct buf *message = &progress->messages[index];

        buf_add(out, buf_bytes(message), message->size);
        result = 1;
    }
    mutex_unlock(&progress->lock);
    return result;
}
