/* Small facts from /proc, /sys and /etc. */
#include "api/host.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"

#include "base/banned.h"

enum { SMALL_FILE = 64 * 1024 };

/* The value of KEY=value or KEY="value" in a file of such lines; yours. */
static char *value_of(const char *text, const char *key)
{
    size_t length = strlen(key);

    for (const char *line = text; line; line = strchr(line, '\n'), line += line != NULL)
        if (strncmp(line, key, length) == 0 && line[length] == '=') {
            const char *value = line + length + 1;
            if (*value == '"' || *value == '\'')
                return xstrndup(value + 1, strcspn(value + 1, "\"'\n"));
            return xstrndup(value, strcspn(value, "\n"));
        }
    return xstrdup("");
}

static void read_release(struct host *out)
{
    CLEANUP(str_done) struct str text = {};

    if (file_read("/etc/os-release", SMALL_FILE, &text, NULL) < 0)
        file_read("/usr/lib/os-release", SMALL_FILE, &text, NULL);
    out->operating_system = value_of(str_text(&text), "PRETTY_NAME");
    out->os_version = value_of(str_text(&text), "VERSION_ID");
    if (!*out->operating_system) {
        free(out->operating_system);
        out->operating_system = xstrdup("Linux");
    }
}

static int64_t count_entries(const char *path)
{
    DIR *directory = opendir(path);
    int64_t count = 0;

    if (!directory)
        return 0;
    for (const struct dirent *entry; (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

/* Is the file below a v1 controller, or a word of v2's list of controllers? */
static bool has_control(const struct host *host, const char *controllers, const char *v1_file,
                        const char *v2_controller)
{
    CLEANUP(str_done) struct str path = {};

    if (host->cgroup_v2)
        return v2_controller && strstr(controllers, v2_controller);
    str_add_format(&path, "/sys/fs/cgroup/%s", v1_file);
    return file_exists(str_text(&path));
}

static void read_controls(struct host *out)
{
    CLEANUP(str_done) struct str controllers = {};

    out->cgroup_v2 = file_read("/sys/fs/cgroup/cgroup.controllers", SMALL_FILE, &controllers,
                               NULL) == 0;

    const char *all = str_text(&controllers);
    out->memory_limit = has_control(out, all, "memory/memory.limit_in_bytes", "memory");
    out->swap_limit = has_control(out, all, "memory/memory.memsw.limit_in_bytes", "memory");
    out->kernel_memory_tcp = has_control(out, all, "memory/memory.kmem.tcp.limit_in_bytes", NULL);
    out->oom_kill_disable = has_control(out, all, "memory/memory.oom_control", NULL);
    out->cpu_shares = has_control(out, all, "cpu/cpu.shares", "cpu");
    out->cpu_cfs = has_control(out, all, "cpu/cpu.cfs_quota_us", "cpu");
    out->cpuset = has_control(out, all, "cpuset/cpuset.cpus", "cpuset");
    out->pids_limit = has_control(out, all, "pids", "pids");
}

static bool reads_as(const char *path, char wanted)
{
    CLEANUP(str_done) struct str text = {};

    return file_read(path, SMALL_FILE, &text, NULL) == 0 && str_text(&text)[0] == wanted;
}

void host_read(struct host *out)
{
    struct utsname names = {};
    struct sysinfo memory = {};
    char name[HOST_NAME_MAX + 1] = "";

    *out = (struct host){};
    uname(&names);
    sysinfo(&memory);
    gethostname(name, sizeof(name) - 1);
    out->kernel = xstrdup(names.release);
    out->machine = xstrdup(names.machine);
    out->name = xstrdup(name);
    out->cpu_count = sysconf(_SC_NPROCESSORS_ONLN);
    out->memory_bytes = (int64_t)memory.totalram * memory.mem_unit;
    out->open_file_count = count_entries("/proc/self/fd");
    out->thread_count = count_entries("/proc/self/task");
    out->ipv4_forwarding = reads_as("/proc/sys/net/ipv4/ip_forward", '1');
    out->apparmor = reads_as("/sys/module/apparmor/parameters/enabled", 'Y');
    out->cgroup_namespaces = file_exists("/proc/self/ns/cgroup");
    read_release(out);
    read_controls(out);
}

void host_done(struct host *host)
{
    free(host->kernel);
    free(host->machine);
    free(host->name);
    free(host->operating_system);
    free(host->os_version);
    *host = (struct host){};
}
