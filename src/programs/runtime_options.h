/* The command line of berth-runtime: runc's words. */
#ifndef BERTH_PROGRAMS_RUNTIME_OPTIONS_H
#define BERTH_PROGRAMS_RUNTIME_OPTIONS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/strv.h"

struct options {
    /* in front of the command */
    const char *root, *log, *log_format;
    bool debug, systemd_cgroup, version, help;
    const char *rootless;

    const char *command;
    /* behind it */
    const char *bundle, *console_socket, *cwd, *format, *pid_file, *preserve_fds, *process,
        *resources, *user, *apparmor, *process_label, *additional_gids;
    struct strv caps, env;
    bool all, detach, force, ignore_paused, keep, no_new_keyring, no_new_privs, no_pivot, quiet,
        tty;
    char **arguments; /* the rest: id and so on */
    int argument_count;
};

/* INVALID for what it does not know. Texts are borrowed from 'argv'. */
int options_parse(int argc, char **argv, struct options *out, struct error *err);
void options_done(struct options *options);
CLEANUP_VALUE(options_done, struct options)

#endif
