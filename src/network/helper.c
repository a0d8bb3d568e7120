/* The thread sleeps in poll; what it is asked for lies behind a lock. */
#include "network/helper.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "network/link.h"
#include "network/namespace.h"

#include "base/banned.h"

#define READY_COUNT     3
#define QUIET_TIME      (20 * NS_PER_MS)
#define LINK_GRACE      (2 * NS_PER_S)
#define REPAIR_DELAY_MS 50 /* A flush is told in many messages. */

struct doomed_link {
    struct list list;
    char name[IFNAMSIZ];
    uint64_t due_ns;
};

struct helper {
    struct helper_duties duties;
    struct netlink *link_watch;
    int wake_fd;
    pthread_t thread;
    struct mutex lock;
    int ready[READY_COUNT] GUARDED_BY(lock);
    int ready_count GUARDED_BY(lock);
    uint64_t refill_due_ns GUARDED_BY(lock);
    bool is_stopping GUARDED_BY(lock);
    struct list doomed GUARDED_BY(lock); /* in the order of 'due_ns' */
};

static void wake(struct helper *helper)
{
    uint64_t one = 1;
    ssize_t size UNUSED = write(helper->wake_fd, &one, sizeof(one));
}

/* ---- the thread's tasks ---- */

/* Not at once: who took a namespace is about to attach it, and both want the kernel's one lock for
 * links. */
static bool wants_namespace(struct helper *helper)
{
    bool wants;

    mutex_lock(&helper->lock);
    wants = !helper->is_stopping && helper->ready_count < READY_COUNT &&
            helper->refill_due_ns <= clock_monotonic_ns();
    mutex_unlock(&helper->lock);
    return wants;
}

static void refill(struct helper *helper)
{
    while (wants_namespace(helper)) {
        struct error err = {};
        int fd;

        if (namespace_create(helper->duties.home_fd, &fd, &err) < 0) {
            log_debug("cannot prepare a network namespace", "error", err.text);
            return; /* Who needs one tries himself, and tells. */
        }
        mutex_lock(&helper->lock);
        helper->ready[helper->ready_count++] = fd;
        mutex_unlock(&helper->lock);
    }
}

static struct doomed_link *take_due(struct helper *helper)
{
    struct doomed_link *due = NULL;

    mutex_lock(&helper->lock);
    LIST_EACH (&helper->doomed, struct doomed_link, list, link)
        if (!due && link->due_ns <= clock_monotonic_ns()) {
            list_remove(&link->list);
            due = link;
        }
    mutex_unlock(&helper->lock);
    return due;
}

static void remove_due_links(struct helper *helper)
{
    struct doomed_link *link;

    while ((link = take_due(helper))) {
        struct error err = {};

        if (link_remove(link->name, &err) < 0)
            log_debug("cannot remove link", "name", link->name, "error", err.text);
        free(link);
    }
}

static void repair_firewall(struct helper *helper)
{
    struct error err = {};

    if (!firewall_was_harmed(helper->duties.firewall))
        return;
    poll(NULL, 0, REPAIR_DELAY_MS);
    firewall_was_harmed(helper->duties.firewall); /* one repair for all of it */
    if (firewall_assert_user_table(helper->duties.firewall, &err) < 0 ||
        firewall_rebuild(helper->duties.firewall, &err) < 0)
        log_debug("cannot put the firewall's table back", "error", err.text);
}

static void repair_links(struct helper *helper)
{
    const struct helper_duties *duties = &helper->duties;
    struct error err = {};

    if (link_was_lost(helper->link_watch, duties->is_ours, duties->data) &&
        duties->repair_links(duties->data, &err) < 0)
        log_warn("cannot put a link back that was removed", "error", err.text);
}

/* Milliseconds until something is due, -1: nothing is. */
static int next_due_ms(struct helper *helper)
{
    uint64_t due_ns = UINT64_MAX, now_ns = clock_monotonic_ns();

    mutex_lock(&helper->lock);
    if (helper->ready_count < READY_COUNT)
        due_ns = MAX(helper->refill_due_ns,
                     now_ns + QUIET_TIME); /* not in a hurry after a failure */
    if (!list_is_empty(&helper->doomed))
        due_ns = MIN(due_ns, CONTAINER_OF(helper->doomed.next, struct doomed_link, list)->due_ns);
    mutex_unlock(&helper->lock);
    if (due_ns == UINT64_MAX)
        return -1;
    return due_ns <= now_ns ? 0 : (int)((due_ns - now_ns) / NS_PER_MS) + 1;
}

static bool is_stopping(struct helper *helper)
{
    bool stopping;

    mutex_lock(&helper->lock);
    stopping = helper->is_stopping;
    mutex_unlock(&helper->lock);
    return stopping;
}

static void *helper_run(void *data)
{
    struct helper *helper = data;

    while (!is_stopping(helper)) {
        struct pollfd fds[] = { { helper->wake_fd, POLLIN, 0 },
                                { firewall_watch_fd(helper->duties.firewall), POLLIN, 0 },
                                { netlink_fd(helper->link_watch), POLLIN, 0 } };
        uint64_t count;

        refill(helper);
        remove_due_links(helper);
        if (poll(fds, COUNT(fds), next_due_ms(helper)) < 0 && errno != EINTR)
            break;
        if (fds[0].revents) {
            ssize_t size UNUSED = read(helper->wake_fd, &count, sizeof(count));
        }
        if (fds[1].revents)
            repair_firewall(helper);
        if (fds[2].revents)
            repair_links(helper);
    }
    return NULL;
}

/* ---- for everybody ---- */

static void helper_free(struct helper *helper)
{
    if (helper->wake_fd >= 0)
        close(helper->wake_fd);
    netlink_close(helper->link_watch);
    mutex_done(&helper->lock);
    free(helper);
}

int helper_start(const struct helper_duties *duties, struct helper **out, struct error *err)
{
    struct helper *helper = NEW(struct helper);

    helper->duties = *duties;
    mutex_init(&helper->lock);
    mutex_lock(&helper->lock);
    list_init(&helper->doomed);
    mutex_unlock(&helper->lock);
    helper->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (helper->wake_fd < 0) {
        error_sys(err, "create eventfd");
    } else if (link_watch_open(&helper->link_watch, err) == 0 &&
               thread_start("network", helper_run, helper, &helper->thread, err) == 0) {
        *out = helper;
        return 0;
    }
    helper_free(helper);
    return -1;
}

void helper_stop(struct helper *helper)
{
    if (!helper)
        return;
    mutex_lock(&helper->lock);
    helper->is_stopping = true;
    mutex_unlock(&helper->lock);
    wake(helper);
    pthread_join(helper->thread, NULL);
    mutex_lock(&helper->lock);
    for (int i = 0; i < helper->ready_count; i++)
        close(helper->ready[i]);
    LIST_EACH (&helper->doomed, struct doomed_link, list, link)
        free(link);
    mutex_unlock(&helper->lock);
    helper_free(helper);
}

int helper_namespace(struct helper *helper, int *out_fd, struct error *err)
{
    int fd = -1;

    mutex_lock(&helper->lock);
    if (helper->ready_count > 0)
        fd = helper->ready[--helper->ready_count];
    helper->refill_due_ns = clock_monotonic_ns() + QUIET_TIME;
    mutex_unlock(&helper->lock);
    wake(helper);
    if (fd < 0)
        return namespace_create(helper->duties.home_fd, out_fd, err);
    *out_fd = fd;
    return 0;
}

void helper_remove_link(struct helper *helper, const char *name)
{
    struct doomed_link *link = NEW(struct doomed_link);

    snprintf(link->name, sizeof(link->name), "%s", name);
    link->due_ns = clock_monotonic_ns() + LINK_GRACE;
    mutex_lock(&helper->lock);
    list_add(&helper->doomed, &link->list);
    mutex_unlock(&helper->lock);
    wake(helper);
}

bool helper_will_remove_link(struct helper *helper, const char *name)
{
    bool will = false;

    mutex_lock(&helper->lock);
    LIST_EACH (&helper->doomed, struct doomed_link, list, link)
        will |= strcmp(link->name, name) == 0;
    mutex_unlock(&helper->lock);
    return will;
}
