/* Steps come as messages; a thread redraws the clocks of those that run. */
#include "cli/build_progress.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "cli/labelled.h"
#include "cli/terminal.h"

#include "base/banned.h"

#define REDRAW_NS  (100 * NS_PER_MS)
#define TAIL_COUNT 6 /* last lines shown of a step that runs */
#define LINE_LIMIT 4096
#define NARROWEST  20

enum step_state { STEP_RUNNING, STEP_DONE, STEP_CACHED, STEP_FAILED };

struct step {
    char *platform; /* of one build among several; "" */
    size_t number;
    char *text;
    enum step_state state;
    uint64_t started_ns, elapsed_ns;
    struct strv tail; /* its last lines */
    struct str line;  /* the one that is not whole yet */
};

struct display {
    enum progress_style style;
    struct labelled out;
    struct mutex lock; /* guards all below */
    struct condition changed;
    struct step *steps;
    size_t count, total;
    uint64_t started_ns;
    int drawn_lines;
    bool is_over;
    pthread_t thread;
    bool has_thread;
};

int progress_style_read(const char *text, enum progress_style *out, struct error *err)
{
    static const struct {
        const char *name;
        enum progress_style style;
    } rows[] = { { "plain", PROGRESS_PLAIN },
                 { "tty", PROGRESS_TTY },
                 { "quiet", PROGRESS_QUIET },
                 { "none", PROGRESS_QUIET },
                 { "rawjson", PROGRESS_RAW } };

    *out = terminal_is(STDOUT_FILENO) ? PROGRESS_TTY : PROGRESS_CLASSIC;
    if (text_is_empty(text) || strcmp(text, "auto") == 0)
        return 0;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (strcmp(rows[i].name, text) == 0) {
            *out = rows[i].style;
            return 0;
        }
    return error_set(err, ERROR_INVALID,
                     "invalid progress \"%s\": auto, tty, plain, quiet or rawjson", text);
}

bool progress_wants_steps(enum progress_style style)
{
    return style == PROGRESS_PLAIN || style == PROGRESS_TTY || style == PROGRESS_RAW;
}

/* ---- steps ---- */

static struct step *find_step(struct display *display, const char *platform, size_t number)
{
    for (size_t i = 0; i < display->count; i++)
        if (display->steps[i].number == number && strcmp(display->steps[i].platform, platform) == 0)
            return &display->steps[i];
    return NULL;
}

static struct step *add_step(struct display *display, const char *platform, size_t number,
                             const char *text)
{
    display->steps = xrealloc(display->steps, display->count + 1, sizeof(struct step));

    struct step *step = &display->steps[display->count++];
    *step = (struct step){ .platform = xstrdup(platform),
                           .number = number,
                           .text = xasprintf("%s%s%.*s", platform, *platform ? " " : "",
                                             (int)strcspn(text, "\n"), text),
                           .started_ns = clock_monotonic_ns() };
    return step;
}

static void end_line(struct display *display, struct step *step)
{
    if (display->style == PROGRESS_PLAIN)
        labelled_print(&display->out, "#%zu %.3f %s\n", step->number,
                       (double)step->elapsed_ns / NS_PER_S, str_text(&step->line));
    strv_add(&step->tail, str_text(&step->line));
    if (step->tail.count > TAIL_COUNT * 4)
        strv_remove(&step->tail, 0);
    str_clear(&step->line);
}

static void add_output(struct display *display, struct step *step, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n') {
            end_line(display, step);
        } else if (*text == '\r') {
            str_clear(&step->line);
        } else if (step->line.length < LINE_LIMIT) {
            str_add_char(&step->line, *text);
        }
    }
}

/* ---- drawing ---- */

static const char *mark(const struct step *step)
{
    static const char *const marks[] = { "=>", "=>", "=> CACHED", "=> ERROR" };

    return marks[step->state];
}

static void draw_line(struct str *out, int width, const char *left, double seconds, bool has_clock)
{
    CLEANUP(free) char *clock = has_clock ? xasprintf("%.1fs", seconds) : xstrdup("");
    int room = width - (int)strlen(clock) - 1;

    if (room < 1)
        room = 1;
    str_add_format(out, "%-*.*s%s\x1b[K\n", room, room, left, clock);
}

static size_t count_ended(const struct display *display)
{
    size_t count = 0;

    for (size_t i = 0; i < display->count; i++)
        count += display->steps[i].state != STEP_RUNNING;
    return count;
}

/* All over again, from where the last drawing began. */
static void draw(struct display *display)
{
    CLEANUP(str_done) struct str out = {};
    int height = 24, width = 80, lines = 1;
    uint64_t now = clock_monotonic_ns();

    terminal_size(&height, &width);
    if (width < NARROWEST || height < 2) { /* one that does not know its size */
        width = 80;
        height = 24;
    }
    if (display->drawn_lines > 0)
        str_add_format(&out, "\x1b[%dA", display->drawn_lines);
    CLEANUP(free)
    char *head = xasprintf("[+] Building (%zu/%zu)%s", count_ended(display), display->total,
                           display->is_over ? " FINISHED" : "");
    draw_line(&out, width, head, (double)(now - display->started_ns) / NS_PER_S, true);
    for (size_t i = 0; i < display->count; i++) {
        const struct step *step = &display->steps[i];
        bool is_running = step->state == STEP_RUNNING;
        uint64_t elapsed = is_running ? now - step->started_ns : step->elapsed_ns;

        /* Old steps make room for those that run. */
        if (!display->is_over && display->count - i + TAIL_COUNT + 2 > (size_t)height &&
            !is_running)
            continue;
        CLEANUP(free)
        char *text = xasprintf(" %s [%zu/%zu] %s", mark(step), step->number, display->total,
                               step->text);
        draw_line(&out, width, text, (double)elapsed / NS_PER_S, step->state != STEP_CACHED);
        lines++;
        size_t tail = step->tail.count > TAIL_COUNT ? step->tail.count - TAIL_COUNT : 0;
        for (size_t k = tail; is_running && k < step->tail.count && lines + 1 < height; k++) {
            CLEANUP(free) char *shown = xasprintf(" => => # %s", step->tail.items[k]);

            draw_line(&out, width, shown, 0, false);
            lines++;
        }
    }
    str_add(&out, "\x1b[J");
    fwrite(out.data, 1, out.length, stdout);
    fflush(stdout);
    display->drawn_lines = lines;
}

static void *keep_drawing(void *data)
{
    struct display *display = data;

    mutex_lock(&display->lock);
    while (!display->is_over) {
        draw(display);
        condition_wait_until(&display->changed, &display->lock, clock_monotonic_ns() + REDRAW_NS);
    }
    mutex_unlock(&display->lock);
    return NULL;
}

static void display_begin(struct display *display, enum progress_style style, const char *label)
{
    *display = (struct display){ .style = style,
                                 .out = { .label = label },
                                 .started_ns = clock_monotonic_ns() };
    mutex_init(&display->lock);
    condition_init(&display->changed);
    if (style == PROGRESS_TTY)
        display->has_thread = thread_start("progress", keep_drawing, display, &display->thread,
                                           NULL) == 0;
}

/* The last words of steps that failed. */
static void print_failures(struct display *display)
{
    for (size_t i = 0; i < display->count; i++) {
        const struct step *step = &display->steps[i];

        if (step->state != STEP_FAILED)
            continue;
        labelled_print(&display->out, "------\n > [%zu/%zu] %s:\n", step->number, display->total,
                       step->text);
        for (size_t k = 0; k < step->tail.count; k++)
            labelled_print(&display->out, "%s\n", step->tail.items[k]);
        labelled_print(&display->out, "------\n");
    }
}

static void display_end(struct display *display)
{
    mutex_lock(&display->lock);
    display->is_over = true;
    condition_broadcast(&display->changed);
    mutex_unlock(&display->lock);
    if (display->has_thread)
        pthread_join(display->thread, NULL);
    if (display->style == PROGRESS_TTY)
        draw(display);
    if (display->style != PROGRESS_RAW)
        print_failures(display);
    labelled_done(&display->out);
    for (size_t i = 0; i < display->count; i++) {
        free(display->steps[i].platform);
        free(display->steps[i].text);
        strv_done(&display->steps[i].tail);
        str_done(&display->steps[i].line);
    }
    free(display->steps);
    mutex_done(&display->lock);
    condition_done(&display->changed);
}

/* ---- messages ---- */

static void plain_end(struct display *display, const struct step *step)
{
    if (step->state == STEP_CACHED)
        labelled_print(&display->out, "#%zu CACHED\n\n", step->number);
    else if (step->state == STEP_DONE)
        labelled_print(&display->out, "#%zu DONE %.1fs\n\n", step->number,
                       (double)step->elapsed_ns / NS_PER_S);
}

static void take_step(struct display *display, const struct json *message)
{
    const char *state = json_text(json_get(message, "state")) ?: "";
    const char *text = json_text(json_get(message, "text")) ?: "";
    size_t number = (size_t)json_to_int64(json_get(message, "number"));
    bool is_plain = display->style == PROGRESS_PLAIN;
    const char *platform = json_text(json_get(message, "platform")) ?: "";
    struct step *step = find_step(display, platform, number);

    if (strcmp(state, "note") == 0) {
        fprintf(stderr, "%s", text);
        return;
    }
    display->total = (size_t)json_to_int64(json_get(message, "count"));
    if (!step)
        step = add_step(display, platform, number, text);
    step->elapsed_ns = (uint64_t)json_to_int64(json_get(message, "elapsed"));
    if (strcmp(state, "began") == 0 && is_plain)
        labelled_print(&display->out, "#%zu [%zu/%zu] %s\n", number, number, display->total,
                       step->text);
    else if (strcmp(state, "said") == 0)
        add_output(display, step, text);
    else if (strcmp(state, "cached") == 0)
        step->state = STEP_CACHED;
    if (strcmp(state, "done") != 0 && strcmp(state, "failed") != 0)
        return;
    if (step->line.length > 0)
        end_line(display, step);
    if (step->state == STEP_RUNNING)
        step->state = strcmp(state, "done") == 0 ? STEP_DONE : STEP_FAILED;
    if (is_plain && step->state == STEP_FAILED)
        labelled_print(&display->out, "#%zu ERROR: %s\n", number, text);
    else if (is_plain)
        plain_end(display, step);
}

static void take_text(struct display *display, const char *text)
{
    if (display->style == PROGRESS_QUIET || display->style == PROGRESS_RAW)
        return;
    labelled_print(&display->out, "%s", text);
    display->drawn_lines = 0; /* what is on the screen is not ours to overwrite */
}

void build_told_done(struct build_told *told)
{
    free(told->id);
    strv_done(&told->images);
    strv_done(&told->cache_images);
}

static int take_message(struct cli *cli, struct display *display, const struct json *message,
                        char **last_text, struct build_told *out, struct error *err)
{
    const char *text = json_text(json_get(message, "stream"));
    const char *failed = json_text(json_get(message, "error"));
    const struct json *aux = json_get(message, "aux");
    const struct json *images = json_get(aux, "CacheImages"), *several = json_get(aux, "Images");
    const char *id = json_text(json_get(aux, "ID"));

    if (text) {
        free(*last_text);
        *last_text = xstrdup(text);
        take_text(display, text);
    }
    if (json_get(message, "step"))
        take_step(display, json_get(message, "step"));
    if (id) {
        free(out->id);
        out->id = xstrdup(id);
    }
    for (size_t i = 0; i < json_count(images); i++)
        if (json_text(json_at(images, i)))
            strv_add(&out->cache_images, json_text(json_at(images, i)));
    for (size_t i = 0; i < json_count(several); i++) {
        const char *image = json_text(json_at(several, i)); /* "linux/arm64=sha256:…" */

        if (image && strchr(image, '='))
            strv_add(&out->images, strchr(image, '=') + 1);
    }
    if (!failed)
        return 0;
    if (display->style == PROGRESS_QUIET && *last_text)
        fputs(*last_text, stderr); /* the place in the Dockerfile */
    int64_t code = json_to_int64(json_get(json_get(message, "errorDetail"), "code"));
    if (code > 0 && code < 256)
        cli->exit_code = (int)code;
    return error_set(err, ERROR_INTERNAL, "%s", failed);
}

int build_progress_follow(struct cli *cli, struct client_messages *messages,
                          enum progress_style style, struct build_told *out, struct error *err)
{
    CLEANUP(free) char *last_text = NULL;
    struct display display;
    struct json *message = NULL;
    int more;

    if (cli->label && style == PROGRESS_TTY)
        style = PROGRESS_PLAIN; /* There is one screen only. */
    display_begin(&display, style, cli->label);
    while ((more = client_messages_next(messages, &message, err)) > 0) {
        mutex_lock(&display.lock);
        if (style == PROGRESS_RAW) {
            CLEANUP(str_done) struct str line = {};

            json_write(message, &line);
            labelled_print(&display.out, "%s\n", str_text(&line));
        }
        int result = take_message(cli, &display, message, &last_text, out, err);
        fflush(stdout);
        mutex_unlock(&display.lock);
        json_free(message);
        if (result < 0) {
            more = -1;
            break;
        }
    }
    display_end(&display);
    if (more == 0 && style == PROGRESS_QUIET && last_text && !out->id)
        out->id = xstrndup(last_text, strcspn(last_text, "\n"));
    return more;
}
