/* What a group says of itself: frozen, out of memory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/str.h"
#include "linux/cgroup_host.h"

#include "base/banned.h"

#define FREEZE_LIMIT_NS (10 * NS_PER_S)

static void nap(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* The number behind a word at the start of a line ("oom_kill 3"). */
static int64_t number_of(const char *text, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = text; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        if (strncmp(at, word, length) == 0 && at[length] == ' ')
            return strtoll(at + length, NULL, 10);
    return 0;
}

static bool is_frozen(const char *path, bool wanted)
{
    if (cgroup_version() == CGROUP_V1) {
        CLEANUP(free) char *state = cgroup_read(path, "freezer", "freezer.state");

        return state && strcmp(state, wanted ? "FROZEN" : "THAWED") == 0;
    }
    CLEANUP(free) char *events = cgroup_read(path, "freezer", "cgroup.events");
    return events && number_of(events, "frozen") == (wanted ? 1 : 0);
}

static int ask_to_freeze(const char *path, bool frozen, struct error *err)
{
    if (cgroup_version() == CGROUP_V1)
        return cgroup_write(path, "freezer", "freezer.state", frozen ? "FROZEN" : "THAWED", err);
    return cgroup_write(path, "freezer", "cgroup.freeze", frozen ? "1" : "0", err);
}

int cgroup_freeze(const char *path, bool frozen, struct error *err)
{
    uint64_t deadline_ns = clock_monotonic_ns() + FREEZE_LIMIT_NS;

    if (cgroup_check_path(path, err) < 0 || ask_to_freeze(path, frozen, err) < 0)
        return -1;
    while (!is_frozen(path, frozen)) {
        if (clock_monotonic_ns() > deadline_ns) {
            if (frozen)
                ask_to_freeze(path, false, NULL);
            return error_set(err, ERROR_UNAVAILABLE, "cgroup %s cannot be %s", path,
                             frozen ? "frozen" : "thawed");
        }
        nap();
        /* A version 1 group that forks meanwhile may stay FREEZING until it is told again. */
        if (frozen && ask_to_freeze(path, true, err) < 0)
            return -1;
    }
    return 0;
}

static int watch_legacy(const char *path, struct error *err)
{
    CLEANUP(free) char *control_path = cgroup_file_path(path, "memory", "memory.oom_control");
    CLEANUP(close) int control_fd = open(control_path, O_RDONLY | O_CLOEXEC);
    CLEANUP(close) int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    char text[32];

    if (control_fd < 0 || event_fd < 0)
        return error_sys(err, "watch %s", control_path);
    snprintf(text, sizeof(text), "%d %d", event_fd, control_fd);
    if (cgroup_write(path, "memory", "cgroup.event_control", text, err) < 0)
        return -1;
    return TAKE_FD(event_fd);
}

static int watch_unified(const char *path, struct error *err)
{
    CLEANUP(free) char *events_path = cgroup_file_path(path, "memory", "memory.events");
    CLEANUP(close) int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    if (fd < 0)
        return error_sys(err, "inotify");
    if (inotify_add_watch(fd, events_path, IN_MODIFY) < 0)
        return error_sys(err, "watch %s", events_path);
    return TAKE_FD(fd);
}

int cgroup_oom_watch(const char *path, struct error *err)
{
    if (err)
        *err = (struct error){};
    if (!cgroup_has_controller("memory"))
        return -1;
    return cgroup_version() == CGROUP_V1 ? watch_legacy(path, err) : watch_unified(path, err);
}

int64_t cgroup_oom_kill_count(const char *path)
{
    const char *file = cgroup_version() == CGROUP_V1 ? "memory.oom_control" : "memory.events";
    CLEANUP(free) char *text = cgroup_read(path, "memory", file);

    return text ? number_of(text, "oom_kill") : 0;
}
