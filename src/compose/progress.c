/* Plain lines go out as they come. The tree is drawn anew over itself ten times a second while
 * something works. */
#include "compose/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/thread.h"
#include "codec/json.h"

#include "base/banned.h"

enum { REDRAW_MS = 100, DEFAULT_WIDTH = 80, DEFAULT_HEIGHT = 24 };

struct row {
    char *kind, *name, *status;
    enum progress_state state;
    uint64_t begun_ns, ended_ns;
};

struct progress {
    enum progress_mode mode;
    int fd;
    const char *title;
    bool is_dry, has_colors;
    struct mutex lock;
    struct condition changed;
    struct row *rows;
    size_t count;
    size_t drawn_lines;
    bool is_ending;
    pthread_t thread;
    bool has_thread;
};

static void put(struct progress *progress, const struct str *text)
{
    struct error unheard;

    fd_write_all(progress->fd, str_text(text), text->length, &unheard);
}

/* ---- the tree ---- */

static void add_colored(const struct progress *progress, struct str *out, const char *color,
                        const char *text)
{
    if (progress->has_colors)
        str_add_format(out, "\x1b[%sm%s\x1b[0m", color, text);
    else
        str_add(out, text);
}

/* 'name_width' is that of the longest. */
static void add_row(const struct progress *progress, const struct row *row, int name_width,
                    int width, struct str *out)
{
    static const char *const marks[] = { "\xe2\xa0\x8b", "\xe2\x9c\x94", "\xe2\x9c\x98" };
    static const char *const colors[] = { "33", "32", "31" };
    uint64_t end_ns = row->ended_ns ? row->ended_ns : clock_monotonic_ns();
    CLEANUP(free) char *name = xasprintf("%s %s", row->kind, row->name);
    CLEANUP(free)
    char *time = xasprintf("%.1fs", (double)(end_ns - row->begun_ns) / (double)NS_PER_S);
    int used = 3 + name_width + 2 + (int)strlen(row->status);

    str_add_char(out, ' ');
    add_colored(progress, out, colors[row->state], marks[row->state]);
    str_add_format(out, " %-*s  ", name_width, name);
    add_colored(progress, out, colors[row->state], row->status);
    for (; used < width - (int)strlen(time) - 1; used++)
        str_add_char(out, ' ');
    str_add(out, time);
    str_add(out, "\x1b[K\n");
}

static void draw_locked(struct progress *progress)
{
    struct winsize window = {};
    CLEANUP(str_done) struct str out = {};
    size_t done = 0, room, first = 0, name_width = 0;

    if (ioctl(progress->fd, TIOCGWINSZ, &window) < 0 || !window.ws_col)
        window = (struct winsize){ .ws_col = DEFAULT_WIDTH, .ws_row = DEFAULT_HEIGHT };
    for (size_t i = 0; i < progress->count; i++) {
        const struct row *row = &progress->rows[i];

        done += row->state != PROGRESS_WORKING;
        name_width = MAX(name_width, strlen(row->kind) + 1 + strlen(row->name));
    }
    if (progress->drawn_lines)
        str_add_format(&out, "\x1b[%zuA", progress->drawn_lines);
    str_add_format(&out, "%s[+] %s %zu/%zu\x1b[K\n", progress->is_dry ? "DRY-RUN MODE - " : "",
                   progress->title, done, progress->count);
    room = window.ws_row > 3 ? (size_t)window.ws_row - 3 : 1;
    if (progress->count > room)
        first = progress->count - room;
    for (size_t i = first; i < progress->count; i++)
        add_row(progress, &progress->rows[i], (int)name_width, window.ws_col, &out);
    progress->drawn_lines = 1 + progress->count - first;
    put(progress, &out);
}

static void *redraw(void *data)
{
    struct progress *progress = data;

    mutex_lock(&progress->lock);
    while (!progress->is_ending) {
        if (progress->count)
            draw_locked(progress);
        condition_wait_until(&progress->changed, &progress->lock,
                             clock_monotonic_ns() + REDRAW_MS * NS_PER_MS);
    }
    mutex_unlock(&progress->lock);
    return NULL;
}

/* ---- lines ---- */

static void write_line(struct progress *progress, const char *kind, const char *name,
                       const char *status)
{
    CLEANUP(str_done) struct str out = {};
    struct json_writer w = { .out = &out };

    if (progress->mode == PROGRESS_JSON) {
        json_begin_dict(&w, NULL);
        if (progress->is_dry)
            json_add_bool(&w, "dry-run", true);
        json_add_text_format(&w, "id", "%s %s", kind, name);
        json_add_text(&w, "status", status);
        json_end_dict(&w);
        str_add_char(&out, '\n');
    } else {
        str_add_format(&out, "%s %s %s  %s\n", progress->is_dry ? " DRY-RUN MODE - " : "", kind,
                       name, status);
    }
    put(progress, &out);
}

static struct row *row_of(struct progress *progress, const char *kind, const char *name)
{
    for (size_t i = 0; i < progress->count; i++)
        if (strcmp(progress->rows[i].name, name) == 0 && strcmp(progress->rows[i].kind, kind) == 0)
            return &progress->rows[i];
    progress->rows = xrealloc(progress->rows, progress->count + 1, sizeof(*progress->rows));
    progress->rows[progress->count] = (struct row){ .kind = xstrdup(kind),
                                                    .name = xstrdup(name),
                                                    .begun_ns = clock_monotonic_ns() };
    return &progress->rows[progress->count++];
}

struct progress *progress_new(enum progress_mode mode, int fd, const char *title, bool is_dry,
                              bool has_colors)
{
    struct progress *progress = NEW(struct progress);
    struct error unheard;

    progress->mode = mode;
    progress->fd = fd;
    progress->title = title;
    progress->is_dry = is_dry;
    progress->has_colors = has_colors;
    mutex_init(&progress->lock);
    condition_init(&progress->changed);
    if (mode == PROGRESS_TTY &&
        thread_start("progress", redraw, progress, &progress->thread, &unheard) == 0)
        progress->has_thread = true;
    return progress;
}

void progress_tell(struct progress *progress, const char *kind, const char *name,
                   const char *status, enum progress_state state)
{
    if (!progress)
        return;
    mutex_lock(&progress->lock);
    if (progress->mode == PROGRESS_QUIET) {
        mutex_unlock(&progress->lock);
        return;
    }
    if (progress->mode != PROGRESS_TTY) {
        write_line(progress, kind, name, status);
    } else {
        struct row *row = row_of(progress, kind, name);

        free(row->status);
        row->status = xstrdup(status);
        row->state = state;
        row->ended_ns = state == PROGRESS_WORKING ? 0 : clock_monotonic_ns();
    }
    mutex_unlock(&progress->lock);
}

void progress_end(struct progress *progress)
{
    bool has_thread;

    if (!progress)
        return;
    mutex_lock(&progress->lock);
    has_thread = progress->has_thread;
    progress->is_ending = true;
    progress->has_thread = false;
    condition_broadcast(&progress->changed);
    mutex_unlock(&progress->lock);
    if (has_thread)
        pthread_join(progress->thread, NULL);
    mutex_lock(&progress->lock);
    if (progress->mode == PROGRESS_TTY && progress->count)
        draw_locked(progress);
    progress->mode = PROGRESS_QUIET;
    mutex_unlock(&progress->lock);
}

void progress_free(struct progress *progress)
{
    progress_end(progress);
    for (size_t i = 0; i < progress->count; i++) {
        free(progress->rows[i].kind);
        free(progress->rows[i].name);
        free(progress->rows[i].status);
    }
    free(progress->rows);
    condition_done(&progress->changed);
    mutex_done(&progress->lock);
    free(progress);
}
