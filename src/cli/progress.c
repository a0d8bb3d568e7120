/* The cursor rests below the last line of a layer; a layer's line is reached by going up. */
#include "cli/progress.h"

#include <string.h>

#include "base/memory.h"
#include "base/strv.h"
#include "base/text.h"
#include "cli/terminal.h"

#include "base/banned.h"

struct screen {
    FILE *out;
    bool is_terminal;
    struct strv ids; /* of the lines above the cursor */
};

static size_t find_line(const struct screen *screen, const char *id)
{
    size_t i = 0;

    while (i < screen->ids.count && strcmp(screen->ids.items[i], id) != 0)
        i++;
    return i;
}

static void show_layer(struct screen *screen, const char *id, const char *status, const char *bar)
{
    size_t line = find_line(screen, id), up = screen->ids.count - line;

    if (!screen->is_terminal) {
        if (text_is_empty(bar))
            fprintf(screen->out, "%s: %s\n", id, status);
        return;
    }
    if (up == 0) {
        strv_add(&screen->ids, id);
        fprintf(screen->out, "%s: %s %s\n", id, status, bar ?: "");
        return;
    }
    fprintf(screen->out, "\033[%zuA\r\033[2K%s: %s %s\033[%zuB\r", up, id, status, bar ?: "", up);
}

static void show(struct screen *screen, const struct json *message)
{
    const char *stream = json_text(json_get(message, "stream")),
               *status = json_text(json_get(message, "status")),
               *id = json_text(json_get(message, "id")),
               *bar = json_text(json_get(message, "progress"));

    if (id && status) {
        show_layer(screen, id, status, bar);
        return;
    }
    if (!stream && !status)
        return;
    strv_done(&screen->ids); /* What comes now stands below all of them. */
    fprintf(screen->out, "%s%s", stream ?: status, stream ? "" : "\n");
}

int progress_follow(struct client_messages *messages, FILE *out, struct error *err)
{
    struct screen screen = { .out = out, .is_terminal = out && terminal_is(fileno(out)) };
    struct json *message = NULL;
    int more;

    while ((more = client_messages_next(messages, &message, err)) > 0) {
        const char *failed =
            json_text(json_get(message, "error"))
                ?: json_text(json_get(json_get(message, "errorDetail"), "message"));

        if (failed)
            more = error_set(err, ERROR_INTERNAL, "%s", failed);
        else if (out)
            show(&screen, message);
        json_free(TAKE(message));
        if (out)
            fflush(out);
        if (more < 0)
            break;
    }
    strv_done(&screen.ids);
    return more;
}
