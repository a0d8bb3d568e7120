/* What a build shows while it goes on. */
#ifndef BERTH_CLI_BUILD_PROGRESS_H
#define BERTH_CLI_BUILD_PROGRESS_H

#include "base/strv.h"
#include "cli/command.h"

enum progress_style {
    PROGRESS_CLASSIC, /* the builder's own lines */
    PROGRESS_PLAIN,   /* a line for each thing that happens, with the number of its step */
    PROGRESS_TTY,     /* steps with running clocks, redrawn in place */
    PROGRESS_QUIET,
    PROGRESS_RAW, /* the messages as they come */
};

/* auto, tty, plain, quiet, none, rawjson; NULL is auto. INVALID. */
int progress_style_read(const char *text, enum progress_style *out, struct error *err);

/* Does the engine have to tell steps one by one? */
bool progress_wants_steps(enum progress_style style);

/* What the engine told: yours. */
struct build_told {
    char *id;                 /* of the image, NULL if it was not told */
    struct strv images;       /* ids of those for several platforms */
    struct strv cache_images; /* ids */
};
void build_told_done(struct build_told *told);
CLEANUP_VALUE(build_told_done, struct build_told)

/* Until the build is over: what was told, or its error; cli->exit_code is then that of the failed
 * command. */
int build_progress_follow(struct cli *cli, struct client_messages *messages,
                          enum progress_style style, struct build_told *out, struct error *err);

#endif
