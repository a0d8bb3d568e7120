/* The table of `ps -ef`, read from /proc: for hosts without a ps that can tell it. */
#ifndef BERTH_ENGINE_PROCESS_LIST_H
#define BERTH_ENGINE_PROCESS_LIST_H

#include "engine/container_usage.h"

/* Those of 'pids' that are still there. */
void process_list_read(const pid_t *pids, size_t count, struct process_table *out);

/* One row out of the texts of /proc/<pid>/stat and cmdline ('size' bytes, words ended by NUL).
 * False if they are not what they should be. */
struct process_clock {
    int64_t boot_s, now_s;
};
bool process_row_parse(const char *stat, const char *cmdline, size_t size, const char *user,
                       const struct process_clock *clock, struct strv *out);

#endif
