/* Groups come, are joined, and go. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"
#include "linux/cgroup_host.h"

#include "base/banned.h"

#define REMOVE_LIMIT_NS (2 * NS_PER_S)

enum { PIDS_SIZE_LIMIT = 64 << 20, DEPTH_LIMIT = 32 };

static void nap(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* ---- making ---- */

static int copy_from_parent(const char *root, const char *path, const char *file, struct error *err)
{
    CLEANUP(free) char *mine = xasprintf("%s%s/%s", root, path, file);
    CLEANUP(free) char *parent = xstrdup(path);
    CLEANUP(str_done) struct str value = {};

    if (file_read(mine, 4096, &value, err) < 0)
        return -1;
    if (value.length > 1) /* more than a newline: inherited by cgroup.clone_children */
        return 0;
    *strrchr(parent, '/') = 0;
    CLEANUP(free) char *theirs = xasprintf("%s%s/%s", root, parent, file);
    str_clear(&value);
    if (file_read(theirs, 4096, &value, err) < 0)
        return -1;
    return file_write_existing(mine, str_text(&value), err);
}

/* A version 1 cpuset starts out empty and then takes no process. */
static int fill_cpuset(const char *root, const char *path, struct error *err)
{
    if (copy_from_parent(root, path, "cpuset.cpus", err) < 0 ||
        copy_from_parent(root, path, "cpuset.mems", err) < 0)
        return -1;
    CLEANUP(free) char *inherit = xasprintf("%s%s/cgroup.clone_children", root, path);
    return file_write_existing(inherit, "1", err);
}

/* Version 2: children may use the controllers that the parent hands down. */
static int hand_down_controllers(const char *root, const char *path, struct error *err)
{
    CLEANUP(free) char *offered_path = xasprintf("%s%s/cgroup.controllers", root, path);
    CLEANUP(free) char *file = xasprintf("%s%s/cgroup.subtree_control", root, path);
    CLEANUP(str_done) struct str offered = {}, given = {}, wish = {};
    CLEANUP(strv_done) struct strv names = {}, present = {};

    if (file_read(offered_path, 4096, &offered, err) < 0 || file_read(file, 4096, &given, err) < 0)
        return -1;
    if (offered.length)
        offered.data[strcspn(offered.data, "\n")] = 0;
    if (given.length)
        given.data[strcspn(given.data, "\n")] = 0;
    strv_split(&names, str_text(&offered), ' ');
    strv_split(&present, str_text(&given), ' ');
    for (size_t i = 0; i < names.count; i++)
        if (!strv_contains(&present, names.items[i]))
            str_add_format(&wish, "%s+%s", wish.length ? " " : "", names.items[i]);
    return wish.length ? file_write_existing(file, str_text(&wish), err) : 0;
}

int cgroup_hand_down(const char *path, const char *controller, struct error *err)
{
    CLEANUP(free) char *level = xstrdup(path), *value = xasprintf("+%s", controller);

    if (cgroup_version() == CGROUP_V2 || !cgroup_is_unified(controller))
        return 0;
    if (cgroup_check_path(path, err) < 0)
        return -1;
    for (char *at = level; at; at = strchr(at + 1, '/')) {
        char kept = *at;

        *at = 0;
        if (cgroup_write(level, controller, "cgroup.subtree_control", value, err) < 0)
            return -1;
        *at = kept;
    }
    return 0;
}

static bool is_cpuset(const char *root)
{
    const char *cpuset = cgroup_version() == CGROUP_V1 ? cgroup_mount_point("cpuset") : NULL;

    return cpuset && strcmp(root, cpuset) == 0;
}

/* On a hybrid host version 2 is only joined, unless cgroup_hand_down is called: hardly anything is
 * limited there. */
static bool hands_down(const char *root)
{
    const char *unified = cgroup_unified_path();

    return cgroup_version() == CGROUP_V2 && unified && strcmp(root, unified) == 0;
}

/* Makes one level; its parent is there and prepared. */
static int make_level(const char *root, const char *path, struct error *err)
{
    CLEANUP(free) char *whole = xasprintf("%s%s", root, path);
    CLEANUP(free) char *parent = xstrdup(path);

    *strrchr(parent, '/') = 0;
    if (hands_down(root) && hand_down_controllers(root, parent, err) < 0)
        return -1;
    if (mkdir(whole, 0755) < 0 && errno != EEXIST)
        return error_sys(err, "make cgroup %s", whole);
    return is_cpuset(root) ? fill_cpuset(root, path, err) : 0;
}

static int make_in(const char *root, const char *path, struct error *err)
{
    CLEANUP(free) char *level = xstrdup(path);
    CLEANUP(free) char *whole = xasprintf("%s%s", root, path);

    if (!hands_down(root)) { /* mostly the parents are there */
        if (mkdir(whole, 0755) == 0)
            return is_cpuset(root) ? fill_cpuset(root, path, err) : 0;
        if (errno == EEXIST)
            return 0;
    }
    for (char *at = level + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = 0;
        int result = make_level(root, level, err);
        *at = '/';
        if (result < 0)
            return -1;
    }
    return make_level(root, path, err);
}

int cgroup_create(const char *path, struct error *err)
{
    const char *const *roots;
    size_t count = cgroup_roots(&roots);

    if (cgroup_check_path(path, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (make_in(roots[i], path, err) < 0) {
            cgroup_remove(path, NULL);
            return -1;
        }
    return 0;
}

bool cgroup_exists(const char *path)
{
    const char *const *roots;
    size_t count = cgroup_roots(&roots);

    for (size_t i = 0; i < count; i++) {
        CLEANUP(free) char *whole = xasprintf("%s%s", roots[i], path);

        if (file_exists(whole))
            return true;
    }
    return false;
}

/* ---- joining ---- */

static int write_pid(const char *root, const char *path, const char *file, const char *pid,
                     struct error *err)
{
    CLEANUP(free) char *whole = xasprintf("%s%s/%s", root, path, file);
    CLEANUP(close) int fd = open(whole, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, pid, strlen(pid)) < 0)
        return error_sys(err, "join cgroup %s", whole);
    return 0;
}

/* A lone thread moves itself through "tasks" without the kernel stopping all forks meanwhile. */
int cgroup_join_rest(const char *path, struct error *err)
{
    const struct cgroup_hierarchy *hierarchies;
    size_t count = cgroup_hierarchies(&hierarchies);

    if (cgroup_check_path(path, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (write_pid(hierarchies[i].path, path, "tasks", "0", err) < 0)
            return -1;
    return 0;
}

int cgroup_open_unified(const char *path, struct error *err)
{
    const char *unified = cgroup_unified_path();

    if (!unified)
        return -1;
    CLEANUP(free) char *whole = xasprintf("%s%s", unified, path);
    int fd = open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 ? fd : error_sys(err, "open cgroup %s", whole);
}

int cgroup_join_self(const char *path, struct error *err)
{
    const char *unified = cgroup_unified_path();

    if (cgroup_join_rest(path, err) < 0)
        return -1;
    return unified ? write_pid(unified, path, "cgroup.procs", "0", err) : 0;
}

int cgroup_join(const char *path, pid_t pid, struct error *err)
{
    const char *const *roots;
    size_t count = cgroup_roots(&roots);
    char text[16];

    if (cgroup_check_path(path, err) < 0)
        return -1;
    snprintf(text, sizeof(text), "%d", (int)pid);
    for (size_t i = 0; i < count; i++)
        if (write_pid(roots[i], path, "cgroup.procs", text, err) < 0)
            return -1;
    return 0;
}

/* ---- looking ---- */

static void list_directories(const char *whole, struct strv *out)
{
    DIR *directory = opendir(whole);
    struct dirent *entry;

    while (directory && (entry = readdir(directory)))
        if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
            strcmp(entry->d_name, "..") != 0 && !strv_contains(out, entry->d_name))
            strv_add(out, entry->d_name);
    if (directory)
        closedir(directory);
}

void cgroup_children(const char *path, struct strv *out)
{
    const char *const *roots;
    size_t count = cgroup_roots(&roots);

    for (size_t i = 0; i < count; i++) {
        CLEANUP(free) char *whole = xasprintf("%s%s", roots[i], path);

        list_directories(whole, out);
    }
}

struct pid_list {
    pid_t *pids;
    size_t count, capacity;
};

static void add_pid(struct pid_list *list, pid_t pid)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->pids[i] == pid)
            return;
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 16;
        list->pids = xrealloc(list->pids, list->capacity, sizeof(pid_t));
    }
    list->pids[list->count++] = pid;
}

static void collect_pids(const char *whole, int depth, struct pid_list *out)
{
    CLEANUP(free) char *file = path_join(whole, "cgroup.procs");
    CLEANUP(str_done) struct str text = {};
    CLEANUP(strv_done) struct strv children = {};
    char *rest, *line;

    if (depth > DEPTH_LIMIT || file_read(file, PIDS_SIZE_LIMIT, &text, NULL) < 0)
        return;
    rest = text.data;
    while ((line = strsep(&rest, "\n"))) {
        int64_t pid;

        if (parse_int64(line, 1, INT32_MAX, &pid, NULL) == 0)
            add_pid(out, (pid_t)pid);
    }
    list_directories(whole, &children);
    for (size_t i = 0; i < children.count; i++) {
        CLEANUP(free) char *child = path_join(whole, children.items[i]);

        collect_pids(child, depth + 1, out);
    }
}

int cgroup_pids(const char *path, pid_t **out_pids, size_t *out_count, struct error *err)
{
    const char *root = cgroup_mount_point("devices") ?: cgroup_mount_point("pids");
    struct pid_list list = {};

    if (!root)
        root = cgroup_unified_path();
    if (!root || cgroup_check_path(path, err) < 0)
        return root ? -1 : error_set(err, ERROR_UNSUPPORTED, "this host has no cgroups");
    CLEANUP(free) char *whole = xasprintf("%s%s", root, path);
    if (!file_exists(whole))
        return error_set(err, ERROR_NOT_FOUND, "no such cgroup: %s", path);
    collect_pids(whole, 0, &list);
    *out_pids = list.pids;
    *out_count = list.count;
    return 0;
}

/* ---- ending ---- */

/* Signals everything in one hierarchy; how many processes that was. */
static size_t signal_all(const char *whole, int signal)
{
    struct pid_list list = {};
    size_t count;

    collect_pids(whole, 0, &list);
    for (size_t i = 0; i < list.count; i++)
        kill(list.pids[i], signal);
    count = list.count;
    free(list.pids);
    return count;
}

int cgroup_kill(const char *path, int signal, struct error *err)
{
    const char *const *roots;
    size_t count = cgroup_roots(&roots);

    if (cgroup_check_path(path, err) < 0)
        return -1;
    if (signal == SIGKILL && cgroup_unified_path()) {
        CLEANUP(free) char *file = xasprintf("%s%s/cgroup.kill", cgroup_unified_path(), path);

        if (file_write_existing(file, "1", NULL) == 0 && cgroup_version() == CGROUP_V2)
            return 0;
    }
    for (size_t i = 0; i < count; i++) {
        CLEANUP(free) char *whole = xasprintf("%s%s", roots[i], path);

        if (signal_all(whole, signal))
            break; /* a process is in the group of every hierarchy */
    }
    return 0;
}

/* Removes a directory and the groups below it; 0, or -1 with errno. */
static int remove_tree(const char *whole, int depth)
{
    CLEANUP(strv_done) struct strv children = {};

    if (rmdir(whole) == 0 || errno == ENOENT)
        return 0;
    if (errno != EBUSY || depth > DEPTH_LIMIT)
        return -1;
    list_directories(whole, &children);
    for (size_t i = 0; i < children.count; i++) {
        CLEANUP(free) char *child = path_join(whole, children.items[i]);

        if (remove_tree(child, depth + 1) < 0)
            return -1;
    }
    return rmdir(whole) == 0 || errno == ENOENT ? 0 : -1;
}

/* The frozen do not die, and each group below may be frozen for itself. */
static void thaw_tree(const char *path, int depth)
{
    bool legacy = cgroup_version() == CGROUP_V1;
    CLEANUP(free) char *whole = cgroup_file_path(path, "freezer", "");
    CLEANUP(strv_done) struct strv children = {};

    cgroup_write(path, "freezer", legacy ? "freezer.state" : "cgroup.freeze",
                 legacy ? "THAWED" : "0", NULL);
    if (whole && depth < DEPTH_LIMIT)
        list_directories(whole, &children);
    for (size_t i = 0; i < children.count; i++) {
        CLEANUP(free) char *child = path_join(path, children.items[i]);

        thaw_tree(child, depth + 1);
    }
}

void cgroup_thaw(const char *path)
{
    if (cgroup_check_path(path, NULL) == 0)
        thaw_tree(path, 0);
}

int cgroup_remove(const char *path, struct error *err)
{
    const char *const *roots;
    size_t count = cgroup_roots(&roots);
    uint64_t deadline_ns = clock_monotonic_ns() + REMOVE_LIMIT_NS;
    bool thawed = false;

    if (cgroup_check_path(path, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        CLEANUP(free) char *whole = xasprintf("%s%s", roots[i], path);

        while (remove_tree(whole, 0) < 0) {
            if (errno != EBUSY || clock_monotonic_ns() > deadline_ns)
                return error_sys(err, "remove cgroup %s", whole);
            signal_all(whole, SIGKILL);
            if (!thawed)
                thaw_tree(path, 0);
            thawed = true;
            nap();
        }
    }
    return 0;
}

bool cgroup_try_remove(const char *path)
{
    const char *const *roots;
    size_t count = cgroup_roots(&roots);
    bool is_gone = true;

    if (cgroup_check_path(path, NULL) < 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        CLEANUP(free) char *whole = xasprintf("%s%s", roots[i], path);

        if (remove_tree(whole, 0) == 0)
            continue;
        is_gone = false;
        /* Not by cgroup.kill: Linux 6.18 then also kills what is cloned into the group later. */
        signal_all(whole, SIGKILL);
    }
    if (!is_gone)
        thaw_tree(path, 0);
    return is_gone;
}
