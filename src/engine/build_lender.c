/* One lock for all lenders: they are few, and what is done under it is short. */
#include "engine/build_lender.h"

#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/list.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "codec/base64.h"
#include "engine/image.h"
#include "engine/internal.h"

#include "base/banned.h"

#define LENDER_LIMIT   64
#define BRING_LIMIT_NS (30 * NS_PER_S)
#define CANCEL_STEP_NS (50 * NS_PER_MS)

struct build_lenders {
    struct mutex lock;
    struct condition changed;
    struct map by_id GUARDED_BY(lock);  /* struct build_lender */
    struct map wanted GUARDED_BY(lock); /* word → struct wanted */
};

/* A connection to an agent that somebody waits for. On the waiting thread's stack. */
struct wanted {
    struct build_lender *lender;
    const char *agent;
    char word[65];
    bool is_told;
    int fd;
};

struct build_lender {
    struct engine *engine;
    struct build_lenders *all;
    char id[65];
    struct map secrets; /* id → struct str */
    struct strv agents;
    int wake_fd;
    int reference_count GUARDED_BY(all->lock);
    bool is_closed GUARDED_BY(all->lock);
    struct strv images GUARDED_BY(all->lock); /* that are held for the client */
};

struct build_lenders *build_lenders_new(void)
{
    struct build_lenders *lenders = NEW(struct build_lenders);

    mutex_init(&lenders->lock);
    condition_init(&lenders->changed);
    map_init_empty(&lenders->by_id, NULL);
    map_init_empty(&lenders->wanted, NULL);
    return lenders;
}

void build_lenders_free(struct build_lenders *lenders)
{
    if (!lenders)
        return;
    map_done(&lenders->by_id);
    map_done(&lenders->wanted);
    mutex_done(&lenders->lock);
    condition_done(&lenders->changed);
    free(lenders);
}

static void free_secret(void *value)
{
    secret_done(value);
    free(value);
}

static void lender_free(struct build_lender *lender)
{
    map_done(&lender->secrets);
    strv_done(&lender->agents);
    strv_done(&lender->images);
    if (lender->wake_fd >= 0)
        close(lender->wake_fd);
    free(lender);
}

static int add_secret(struct build_lender *lender, const char *id, const char *text,
                      struct error *err)
{
    struct buf bytes = {};
    int result = base64_decode(text ? text : "", &bytes, err);

    if (result < 0)
        error_context(err, "secret %s", id);
    else if (bytes.size > SECRET_SIZE_LIMIT)
        result = error_set(err, ERROR_INVALID, "secret %s is larger than %zu bytes", id,
                           SECRET_SIZE_LIMIT);
    if (result == 0) {
        struct str *value = NEW(struct str);

        str_add_bytes(value, buf_bytes(&bytes), bytes.size);
        map_set(&lender->secrets, id, value);
    }
    if (bytes.memory)
        explicit_bzero(bytes.memory, bytes.capacity);
    buf_done(&bytes);
    return result;
}

static int fill(struct build_lender *lender, const struct map *secrets, const struct strv *agents,
                struct error *err)
{
    MAP_EACH (secrets, entry)
        if (add_secret(lender, entry->key, entry->value, err) < 0)
            return -1;
    strv_add_all(&lender->agents, agents);
    lender->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return lender->wake_fd < 0 ? error_sys(err, "make an event") : 0;
}

static int enter(struct build_lenders *all, struct build_lender *lender, struct error *err)
{
    mutex_lock(&all->lock);
    bool has_room = all->by_id.count < LENDER_LIMIT;
    if (has_room)
        map_set(&all->by_id, lender->id, lender);
    mutex_unlock(&all->lock);
    return has_room ? 0
                    : error_set(err, ERROR_UNAVAILABLE,
                                "more than %d clients lend secrets to builds", LENDER_LIMIT);
}

int engine_build_lender_open(struct engine *engine, const struct map *secrets,
                             const struct strv *agents, struct build_lender **out,
                             struct error *err)
{
    struct build_lender *lender = NEW(struct build_lender);

    lender->engine = engine;
    lender->all = engine->build_lenders;
    lender->wake_fd = -1;
    lender->reference_count = 1;
    id_generate(lender->id);
    map_init_empty(&lender->secrets, free_secret);
    if (fill(lender, secrets, agents, err) < 0 || enter(lender->all, lender, err) < 0) {
        lender_free(lender);
        return -1;
    }
    *out = lender;
    return 0;
}

const char *build_lender_id(const struct build_lender *lender)
{
    return lender->id;
}

void engine_build_lender_close(struct engine *engine, struct build_lender *lender)
{
    struct build_lenders *all = engine->build_lenders;
    CLEANUP(strv_done) struct strv images = {};

    mutex_lock(&all->lock);
    map_remove(&all->by_id, lender->id);
    lender->is_closed = true;
    strv_add_all(&images, &lender->images);
    condition_broadcast(&all->changed);
    mutex_unlock(&all->lock);
    for (size_t i = 0; i < images.count; i++)
        engine_image_let_go(engine, images.items[i], false);
    build_lender_unref(lender);
}

void build_lender_take_image(struct build_lender *lender, const char *image_id)
{
    mutex_lock(&lender->all->lock);
    bool is_closed = lender->is_closed;
    if (!is_closed)
        strv_add(&lender->images, image_id);
    mutex_unlock(&lender->all->lock);
    if (is_closed)
        engine_image_let_go(lender->engine, image_id, false);
}

int engine_build_lender_find(struct engine *engine, const char *id, struct build_lender **out,
                             struct error *err)
{
    struct build_lenders *all = engine->build_lenders;

    mutex_lock(&all->lock);
    struct build_lender *lender = map_get(&all->by_id, id);
    if (lender)
        lender->reference_count++;
    mutex_unlock(&all->lock);
    if (!lender)
        return error_set(err, ERROR_NOT_FOUND, "no client lends secrets under this id");
    *out = lender;
    return 0;
}

void build_lender_unref(struct build_lender *lender)
{
    if (!lender)
        return;

    struct build_lenders *all = lender->all;
    mutex_lock(&all->lock);
    bool is_last = --lender->reference_count == 0;
    mutex_unlock(&all->lock);
    if (is_last)
        lender_free(lender);
}

/* ---- what the builder asks ---- */

static int get(void *data, const char *id, int cancel_fd UNUSED, struct str *out,
               struct error *err UNUSED)
{
    const struct build_lender *lender = data;
    const struct str *value = map_get(&lender->secrets, id);

    if (value)
        str_add_bytes(out, str_text(value), value->length);
    return value != NULL;
}

static int has_agent(void *data, const char *id, int cancel_fd UNUSED, struct error *err UNUSED)
{
    const struct build_lender *lender = data;

    return strv_contains(&lender->agents, id);
}

static int wait_for_it(struct build_lenders *all, const struct wanted *wanted, int cancel_fd,
                       struct error *err) REQUIRES(all->lock)
{
    uint64_t end_ns = clock_monotonic_ns() + BRING_LIMIT_NS, now_ns;

    while (wanted->fd < 0) {
        now_ns = clock_monotonic_ns();
        if (wanted->lender->is_closed)
            return error_set(err, ERROR_UNAVAILABLE, "the client with the agent is gone");
        if (fd_is_readable(cancel_fd))
            return error_set(err, ERROR_CANCELLED, "build cancelled");
        if (now_ns >= end_ns)
            return error_set(err, ERROR_UNAVAILABLE,
                             "the client brings no connection to its agent");
        condition_wait_until(&all->changed, &all->lock, MIN(end_ns, now_ns + CANCEL_STEP_NS));
    }
    return 0;
}

static int dial_agent(void *data, const char *id, int cancel_fd, struct error *err)
{
    struct build_lender *lender = data;
    struct build_lenders *all = lender->all;
    struct wanted wanted = { .lender = lender, .agent = id, .fd = -1 };

    id_generate(wanted.word);
    mutex_lock(&all->lock);
    map_set(&all->wanted, wanted.word, &wanted);
    eventfd_write(lender->wake_fd, 1);
    int result = wait_for_it(all, &wanted, cancel_fd, err);
    map_remove(&all->wanted, wanted.word);
    mutex_unlock(&all->lock);
    return result < 0 ? -1 : wanted.fd;
}

struct build_secrets build_lender_secrets(struct build_lender *lender)
{
    return (struct build_secrets){ get, has_agent, dial_agent, lender };
}

/* ---- the connection's side ---- */

int build_lender_wake_fd(const struct build_lender *lender)
{
    return lender->wake_fd;
}

int build_lender_next(struct build_lender *lender, char **out_agent, char out_word[65])
{
    struct build_lenders *all = lender->all;
    struct wanted *next = NULL;
    eventfd_t count;

    mutex_lock(&all->lock);
    MAP_EACH (&all->wanted, entry) {
        struct wanted *wanted = entry->value;

        if (!next && wanted->lender == lender && !wanted->is_told)
            next = wanted;
    }
    if (next) {
        next->is_told = true;
        *out_agent = xstrdup(next->agent);
        memcpy(out_word, next->word, sizeof(next->word));
    } else {
        eventfd_read(lender->wake_fd, &count);
    }
    mutex_unlock(&all->lock);
    return next != NULL;
}

int engine_build_lender_bring(struct engine *engine, const char *word, int fd, struct error *err)
{
    struct build_lenders *all = engine->build_lenders;

    mutex_lock(&all->lock);
    struct wanted *wanted = map_get(&all->wanted, word);
    bool is_taken = wanted && wanted->fd < 0;
    if (is_taken)
        wanted->fd = fd;
    condition_broadcast(&all->changed);
    mutex_unlock(&all->lock);
    if (is_taken)
        return 0;
    close(fd);
    return error_set(err, ERROR_NOT_FOUND, "no build waits for this connection");
}
