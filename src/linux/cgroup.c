/* The hierarchies of this host, looked up once, and the files of a group. */
#include "linux/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"
#include "linux/cgroup_host.h"

#include "base/banned.h"

enum { HIERARCHY_LIMIT = 32, VALUE_SIZE_LIMIT = 1 << 20 };

static struct {
    struct cgroup_hierarchy legacy[HIERARCHY_LIMIT]; /* version 1 */
    size_t legacy_count;
    char *unified; /* mount point of version 2 */
    struct strv unified_controllers;
    const char *roots[HIERARCHY_LIMIT + 1];
    size_t root_count;
} host;
static pthread_once_t host_once = PTHREAD_ONCE_INIT;

/* Super block options that are no controllers. */
static bool is_mount_option(const char *word)
{
    static const char *const options[] = {
        "rw", "ro", "xattr", "noprefix", "relatime", "clone_children", "cpuset_v2_mode", "all"
    };

    for (size_t i = 0; i < COUNT(options); i++)
        if (strcmp(word, options[i]) == 0)
            return true;
    return text_starts(word, "release_agent=") || text_starts(word, "seclabel");
}

static void add_legacy(const char *mount_point, const char *options)
{
    CLEANUP(strv_done) struct strv words = {}, controllers = {};
    struct cgroup_hierarchy *hierarchy = &host.legacy[host.legacy_count];

    strv_split(&words, options, ',');
    for (size_t i = 0; i < words.count; i++)
        if (!is_mount_option(words.items[i]))
            strv_add(&controllers, words.items[i]);
    CLEANUP(free) char *joined = strv_join(&controllers, ",");
    for (size_t i = 0; i < host.legacy_count; i++)
        if (strcmp(host.legacy[i].controllers, joined) == 0)
            return; /* the same hierarchy mounted once more */
    if (!controllers.count || host.legacy_count == HIERARCHY_LIMIT)
        return;
    *hierarchy = (struct cgroup_hierarchy){ .controllers = TAKE(joined),
                                            .path = xstrdup(mount_point) };
    hierarchy->name = xstrdup(path_base(hierarchy->path));
    host.legacy_count++;
}

/* One line of mountinfo: "36 35 98:0 /root /mount/point rw,… shared:1 - type source super,options"
 */
static void read_mount(char *line)
{
    char *separator = strstr(line, " - "), *rest = line, *fields[5], *type, *options;

    if (!separator)
        return;
    *separator = 0;
    for (size_t i = 0; i < COUNT(fields); i++)
        if (!(fields[i] = strsep(&rest, " ")))
            return;
    rest = separator + 3;
    type = strsep(&rest, " ");
    strsep(&rest, " ");
    options = rest;
    if (!options)
        return;
    if (strcmp(type, "cgroup2") == 0 && !host.unified)
        host.unified = xstrdup(fields[4]);
    else if (strcmp(type, "cgroup") == 0)
        add_legacy(fields[4], options);
}

static void look_up_host(void)
{
    CLEANUP(str_done) struct str text = {};
    char *line, *rest;

    if (file_read("/proc/self/mountinfo", 16 << 20, &text, NULL) < 0)
        return;
    rest = text.data;
    while ((line = strsep(&rest, "\n")))
        read_mount(line);
    if (host.unified) {
        CLEANUP(free) char *path = path_join(host.unified, "cgroup.controllers");
        CLEANUP(str_done) struct str list = {};

        if (file_read(path, VALUE_SIZE_LIMIT, &list, NULL) == 0 && list.length) {
            list.data[strcspn(list.data, "\n")] = 0;
            strv_split(&host.unified_controllers, list.data, ' ');
        }
    }
    for (size_t i = 0; i < host.legacy_count; i++)
        host.roots[host.root_count++] = host.legacy[i].path;
    if (host.unified)
        host.roots[host.root_count++] = host.unified;
}

static void look_up(void)
{
    pthread_once(&host_once, look_up_host);
}

enum cgroup_version cgroup_version(void)
{
    look_up();
    return host.legacy_count ? CGROUP_V1 : CGROUP_V2;
}

size_t cgroup_hierarchies(const struct cgroup_hierarchy **out)
{
    look_up();
    *out = host.legacy;
    return host.legacy_count;
}

const char *cgroup_unified_path(void)
{
    look_up();
    return host.unified;
}

size_t cgroup_roots(const char *const **out)
{
    look_up();
    *out = host.roots;
    return host.root_count;
}

static bool lists(const char *controllers, const char *name)
{
    size_t length = strlen(name);

    for (const char *at = controllers; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, name, length) == 0 && (!at[length] || at[length] == ','))
            return true;
    return false;
}

const char *cgroup_mount_point(const char *controller)
{
    look_up();
    if (cgroup_version() == CGROUP_V2)
        return host.unified;
    for (size_t i = 0; i < host.legacy_count; i++)
        if (lists(host.legacy[i].controllers, controller))
            return host.legacy[i].path;
    return NULL;
}

bool cgroup_is_unified(const char *controller)
{
    return cgroup_version() == CGROUP_V2 || (!cgroup_mount_point(controller) && host.unified &&
                                             strv_contains(&host.unified_controllers, controller));
}

bool cgroup_has_controller(const char *controller)
{
    look_up();
    if (cgroup_version() == CGROUP_V1)
        return cgroup_mount_point(controller) != NULL;
    if (strcmp(controller, "devices") == 0 || strcmp(controller, "freezer") == 0)
        return host.unified != NULL;
    if (strcmp(controller, "blkio") == 0)
        controller = "io";
    else if (strcmp(controller, "cpuacct") == 0)
        controller = "cpu";
    return strv_contains(&host.unified_controllers, controller);
}

int cgroup_check_path(const char *path, struct error *err)
{
    CLEANUP(strv_done) struct strv parts = {};

    strv_split(&parts, path, '/');
    if (path[0] != '/' || strv_contains(&parts, "..") || strv_contains(&parts, "."))
        return error_set(err, ERROR_INVALID, "invalid cgroup path \"%s\"", path);
    if (strspn(path, "/") == strlen(path))
        return error_set(err, ERROR_INVALID, "the root cgroup is nobody's to use");
    return 0;
}

char *cgroup_file_path(const char *path, const char *controller, const char *file)
{
    const char *root = cgroup_is_unified(controller) ? host.unified
                                                     : cgroup_mount_point(controller);

    return root ? xasprintf("%s%s/%s", root, path, file) : NULL;
}

int cgroup_write(const char *path, const char *controller, const char *file, const char *value,
                 struct error *err)
{
    CLEANUP(free) char *file_path = cgroup_file_path(path, controller, file);

    if (!file_path)
        return error_set(err, ERROR_NOT_FOUND, "this kernel has no %s cgroup", controller);
    CLEANUP(close) int fd = open(file_path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return error_set(err, ERROR_NOT_FOUND, "no such file: %s", file_path);
    if (fd < 0)
        return error_sys(err, "open %s", file_path);
    if (write(fd, value, strlen(value)) >= 0)
        return 0;
    int number = errno;
    error_sys(err, "failed to write \"%s\": write %s", value, file_path);
    if (err && (number == EINVAL || number == ERANGE || number == EBUSY || number == ENODEV ||
                number == EOPNOTSUPP))
        err->kind = ERROR_INVALID;
    return -1;
}

char *cgroup_read(const char *path, const char *controller, const char *file)
{
    CLEANUP(free) char *file_path = cgroup_file_path(path, controller, file);
    CLEANUP(str_done) struct str text = {};

    if (!file_path || file_read(file_path, VALUE_SIZE_LIMIT, &text, NULL) < 0)
        return NULL;
    while (text.length && strchr(" \n\t", text.data[text.length - 1]))
        str_cut(&text, text.length - 1);
    return str_take(&text);
}

int64_t cgroup_read_int64(const char *path, const char *controller, const char *file,
                          int64_t fallback)
{
    CLEANUP(free) char *text = cgroup_read(path, controller, file);
    int64_t value;

    if (!text || parse_int64(text, INT64_MIN, INT64_MAX, &value, NULL) < 0)
        return fallback;
    return value;
}
