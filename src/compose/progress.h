/* What happens to the parts of a project, shown to a person: a live tree on a terminal, plain lines
 * elsewhere, JSON lines for programs. Safe to use from several threads. */
#ifndef BERTH_COMPOSE_PROGRESS_H
#define BERTH_COMPOSE_PROGRESS_H

#include <stdbool.h>

#include "base/macros.h"

enum progress_mode { PROGRESS_PLAIN, PROGRESS_TTY, PROGRESS_JSON, PROGRESS_QUIET };
enum progress_state { PROGRESS_WORKING, PROGRESS_DONE, PROGRESS_FAILED };

struct progress;

/* Writes to 'fd' (borrowed). 'title' (a literal) stands above the tree: "Running", "Stopping"….
 * 'is_dry' marks each line as something that would happen. */
struct progress *progress_new(enum progress_mode mode, int fd, const char *title, bool is_dry,
                              bool has_colors);
/* Nothing is shown any more, so that others may write; the tree stays on the screen as it is. */
void progress_end(struct progress *progress);
void progress_free(struct progress *progress);
CLEANUP_POINTER(progress_free, struct progress)

/* 'kind' is "Container", "Network"…, 'status' "Creating", "Created"… NULL progress: nothing is
 * shown. */
void progress_tell(struct progress *progress, const char *kind, const char *name,
                   const char *status, enum progress_state state);

#endif
