/* Output of several containers on one terminal: each line with the name of its container in front,
 * in a colour of its own. */
#ifndef BERTH_COMPOSE_LOG_H
#define BERTH_COMPOSE_LOG_H

#include <stdio.h>

#include "base/thread.h"
#include "client/client.h"
#include "codec/json.h"
#include "compose/actual.h"

#define LOG_LINE_LIMIT ((size_t)256 * 1024) /* longer lines are printed in parts */

struct log_printer {
    bool no_prefix, has_colors, timestamps;
    FILE *all_to; /* whatever containers wrote it to; NULL: stdout and stderr stay apart */
    struct mutex lock;
    int width;         /* of the longest name so far */
    struct map colors; /* name → index + 1 */
};
void log_printer_init(struct log_printer *printer);
void log_printer_done(struct log_printer *printer);
CLEANUP_VALUE(log_printer_done, struct log_printer)

/* "web-1" for "p-web-1" of project p; a name that was chosen stays. Borrowed from 'container'. */
const char *log_name(const struct actual_container *container, const char *project);

/* Makes room for a name before lines of it come, so that all are aligned. */
void log_printer_add(struct log_printer *printer, const char *name);
/* A message of ours about a container ("web-1 exited with code 0"). */
void log_printer_say(struct log_printer *printer, const char *text);

struct log_wish {
    const char *container_id;
    const char *name;                 /* in front of the lines */
    const char *since, *until, *tail; /* of the API; NULL: not asked */
    bool follow;
};
/* Prints a container's log to its end, or, following, until the container ends. */
int log_print(struct client *client, struct log_printer *printer, const struct log_wish *wish,
              struct error *err);

#endif
