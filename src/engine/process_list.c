/* What is a container's, its command line above all, is only ever text here. */
#include "engine/process_list.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/cgroup_usage.h"

#include "base/banned.h"

enum {
    TICKS_PER_S = 100,
    FILE_LIMIT = 64 * 1024,
    PASSWD_LIMIT = 4 << 20,
    UNIX_98_PTY_MAJOR = 136,
    DAY_S = 86400,
};

/* The host's name of a user, or the number. */
static char *user_name(const char *passwd, unsigned uid)
{
    for (const char *line = passwd; line; line = strchr(line, '\n'), line += line != NULL) {
        size_t length = strcspn(line, ":\n");
        const char *password = line[length] == ':' ? line + length + 1 : NULL;
        const char *number = password ? password + strcspn(password, ":\n") : NULL;
        char *end;

        if (!number || *number != ':')
            continue;
        unsigned long value = strtoul(number + 1, &end, 10);
        if (*end == ':' && end > number + 1 && value == uid)
            return xstrndup(line, length);
    }
    return xasprintf("%u", uid);
}

static char *command_text(const char *cmdline, size_t size, const char *comm, size_t comm_length)
{
    struct str out = {};

    while (size && !cmdline[size - 1])
        size--;
    if (!size)
        return xasprintf("[%.*s]", (int)comm_length, comm);
    for (size_t i = 0; i < size; i++)
        str_add_char(&out, cmdline[i] && cmdline[i] != '\n' ? cmdline[i] : ' ');
    return str_take(&out);
}

/* Today's with the time, others with the day. */
static void format_start(int64_t started_s, int64_t now_s, char *out, size_t size)
{
    time_t started = (time_t)started_s;
    struct tm tm = {};

    localtime_r(&started, &tm);
    strftime(out, size, now_s - started_s < DAY_S ? "%H:%M" : "%b%d", &tm);
}

bool process_row_parse(const char *stat, const char *cmdline, size_t size, const char *user,
                       const struct process_clock *clock, struct strv *out)
{
    const char *open = strchr(stat, '('), *close = strrchr(stat, ')');
    uint64_t user_ticks, system_ticks, start_ticks;
    unsigned terminal;
    char start[16], tty[24] = "?";
    int parent;

    if (!open || !close || close < open ||
        sscanf(close + 1,
               " %*c %d %*d %*d %u %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
               " %*d %*d %*d %*d %*d %*d %" SCNu64,
               &parent, &terminal, &user_ticks, &system_ticks, &start_ticks) != 5)
        return false;
    int64_t started_s = clock->boot_s + (int64_t)(start_ticks / TICKS_PER_S);
    int64_t used_s = (int64_t)((user_ticks + system_ticks) / TICKS_PER_S);
    int64_t ran_s = MAX(clock->now_s - started_s, 1);
    unsigned major = (terminal >> 8) & 0xFFF;
    unsigned minor = (terminal & 0xFF) | ((terminal >> 12) & 0xFFF00);

    if (major == UNIX_98_PTY_MAJOR)
        snprintf(tty, sizeof(tty), "pts/%u", minor);
    format_start(started_s, clock->now_s, start, sizeof(start));
    strv_add(out, user);
    strv_add_take(out, xstrndup(stat, strspn(stat, "0123456789")));
    strv_add_format(out, "%d", parent);
    strv_add_format(out, "%" PRId64, MIN(used_s * 100 / ran_s, 99));
    strv_add(out, start);
    strv_add(out, tty);
    strv_add_format(out, "%02" PRId64 ":%02" PRId64 ":%02" PRId64, used_s / 3600, used_s / 60 % 60,
                    used_s % 60);
    strv_add_take(out, command_text(cmdline, size, open + 1, (size_t)(close - open - 1)));
    return true;
}

static void add_process(pid_t pid, const char *passwd, const struct process_clock *clock,
                        struct process_table *table)
{
    CLEANUP(str_done) struct str stat_text = {}, cmdline = {};
    CLEANUP(strv_done) struct strv row = {};
    char path[48];
    struct stat status;

    snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    if (stat(path, &status) < 0)
        return;
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    file_read(path, FILE_LIMIT, &cmdline, NULL);
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    CLEANUP(free) char *user = user_name(passwd, status.st_uid);
    if (file_read(path, FILE_LIMIT, &stat_text, NULL) < 0 ||
        !process_row_parse(str_text(&stat_text), str_text(&cmdline), cmdline.length, user, clock,
                           &row))
        return;
    table->rows = xrealloc(table->rows, table->row_count + 1, sizeof(*table->rows));
    table->rows[table->row_count++] = row;
    row = (struct strv){};
}

void process_list_read(const pid_t *pids, size_t count, struct process_table *out)
{
    static const char *const titles[] = {
        "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"
    };
    CLEANUP(str_done) struct str passwd = {}, machine = {};
    struct process_clock clock = { .now_s = clock_wall_ns() / NS_PER_S };

    *out = (struct process_table){};
    for (size_t i = 0; i < COUNT(titles); i++)
        strv_add(&out->titles, titles[i]);
    if (file_read("/proc/stat", PASSWD_LIMIT, &machine, NULL) == 0)
        clock.boot_s = (int64_t)cgroup_stat_value(str_text(&machine), "btime");
    file_read("/etc/passwd", PASSWD_LIMIT, &passwd, NULL);
    for (size_t i = 0; i < count; i++)
        add_process(pids[i], str_text(&passwd), &clock, out);
}
