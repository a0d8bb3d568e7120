/* Names of states and the words a list shows for them. */
#include "engine/container_state.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "engine/container.h"

#include "base/banned.h"

static const char *const names[] = {
#define X(name, text) text,
    CONTAINER_STATES(X)
#undef X
};

const char *container_state_name(enum container_state state)
{
    return names[state];
}

char *container_status_text(const struct container_info *info)
{
    int64_t now_ns = clock_wall_ns();
    char up[64], down[64];

    duration_human(now_ns - info->started_ns, up, sizeof(up));
    duration_human(now_ns - info->finished_ns, down, sizeof(down));
    switch (info->state) {
    case CONTAINER_CREATED:
        return xstrdup("Created");
    case CONTAINER_RUNNING:
        if (!info->health)
            return xasprintf("Up %s", up);
        return xasprintf("Up %s (%s%s)", up,
                         strcmp(info->health->status, "starting") == 0 ? "health: " : "",
                         info->health->status);
    case CONTAINER_PAUSED:
        return xasprintf("Up %s (Paused)", up);
    case CONTAINER_RESTARTING:
        return xasprintf("Restarting (%d) %s ago", info->exit_code, down);
    case CONTAINER_REMOVING:
        return xstrdup("Removal In Progress");
    case CONTAINER_DEAD:
        return xstrdup("Dead");
    case CONTAINER_EXITED:
        break;
    }
    return xasprintf("Exited (%d) %s ago", info->exit_code, down);
}
