/* Steps and lists of them. */
#include "compose/plan.h"

#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

void plan_done(struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        free(plan->steps[i].subject);
        free(plan->steps[i].service);
        free(plan->steps[i].id);
        free(plan->steps[i].condition);
        free(plan->steps[i].after);
    }
    free(plan->steps);
    *plan = (struct plan){};
}

size_t plan_add(struct plan *plan, enum step_kind kind, const char *subject, const char *service)
{
    if ((plan->count & (plan->count - 1)) == 0)
        plan->steps = xrealloc(plan->steps, plan->count ? plan->count * 2 : 1,
                               sizeof(*plan->steps));
    plan->steps[plan->count] =
        (struct step){ .kind = kind, .subject = xstrdup(subject), .service = xstrdup(service) };
    return plan->count++;
}

void plan_after(struct plan *plan, size_t step, size_t earlier)
{
    struct step *later = &plan->steps[step];

    for (size_t i = 0; i < later->after_count; i++)
        if (later->after[i] == earlier)
            return;
    later->after = xrealloc(later->after, later->after_count + 1, sizeof(*later->after));
    later->after[later->after_count++] = earlier;
}

char *step_text(const struct step *step)
{
    static const char *const words[] = {
        [STEP_NETWORK_CREATE] = "create network",
        [STEP_NETWORK_REMOVE] = "remove network",
        [STEP_VOLUME_CREATE] = "create volume",
        [STEP_VOLUME_REMOVE] = "remove volume",
        [STEP_IMAGE_REMOVE] = "remove image",
        [STEP_CONTAINER_CREATE] = "create container",
        [STEP_CONTAINER_RECREATE] = "recreate container",
        [STEP_CONTAINER_KEEP] = "keep container",
        [STEP_CONTAINER_START] = "start container",
        [STEP_CONTAINER_RESTART] = "restart container",
        [STEP_CONTAINER_STOP] = "stop container",
        [STEP_CONTAINER_REMOVE] = "remove container",
        [STEP_CONTAINER_RENAME] = "name container",
        [STEP_WAIT] = "wait for",
        [STEP_BARRIER] = "wait for all",
    };

    if (step->kind == STEP_WAIT)
        return xasprintf("wait for %s to be %s", step->subject, step->condition);
    return xasprintf("%s %s", words[step->kind], step->subject);
}
