/* berth-runtime: the OCI runtime command line over the runtime library. Each call does one thing
 * and ends; what a later call must know is in the state directory. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/json.h"
#include "linux/mount.h"
#include "programs/runtime_command.h"

#include "base/banned.h"

enum { PRESERVE_LIMIT = 4096, EXIT_FAILED = 1 };

extern char **environ;

static const char usage[] =
    "Usage: berth-runtime [--root DIR] [--log FILE] [--log-format text|json] COMMAND [OPTIONS] "
    "[ARGS]\n"
    "\n"
    "Runs containers from OCI bundles.\n"
    "\n"
    "Commands:\n"
    "  create [-b BUNDLE] [--pid-file FILE] [--console-socket PATH] [--preserve-fds N] ID\n"
    "  start ID\n"
    "  run [-d] [-b BUNDLE] [--pid-file FILE] [--console-socket PATH] [--keep] ID\n"
    "  state ID\n"
    "  exec [-t] [-d] [-u USER] [-e K=V] [--cwd DIR] [-p FILE] [-c CAP] ID COMMAND [ARG...]\n"
    "  kill [-a] ID [SIGNAL]\n"
    "  delete [-f] ID\n"
    "  pause ID\n"
    "  resume ID\n"
    "  update -r FILE ID\n"
    "  ps [-f table|json] ID\n"
    "  list [-q] [-f table|json]\n"
    "  features\n";

int command_id(const struct options *options, const char **out, struct error *err)
{
    if (options->argument_count != 1)
        return error_set(err, ERROR_INVALID, "%s: exactly one container id is needed",
                         options->command);
    *out = options->arguments[0];
    return state_check_id(*out, err);
}

int command_preserve_count(const struct options *options, int *out, struct error *err)
{
    int64_t count = 0;

    if (options->preserve_fds &&
        parse_int64(options->preserve_fds, 0, PRESERVE_LIMIT, &count, err) < 0)
        return error_context(err, "preserve-fds");
    *out = (int)count;
    return 0;
}

int command_write_pid_file(const char *path, pid_t pid, struct error *err)
{
    char text[16];

    if (!path)
        return 0;
    snprintf(text, sizeof(text), "%d", (int)pid);
    return file_write_atomic(path, text, strlen(text), 0644, false, err);
}

struct hook_state command_hook_state(const struct state *state, const char *status)
{
    return (struct hook_state){ .id = state->id,
                                .bundle_path = state->bundle,
                                .status = status,
                                .pid = (pid_t)state->pid,
                                .annotations = &state->config.annotations };
}

int command_load(const struct options *options, struct state *out, struct error *err)
{
    const char *id = NULL;

    return command_id(options, &id, err) < 0 ? -1 : state_load(options->root, id, out, err);
}

/* clang-format off */
static const struct {
    const char *name;
    int (*run)(const struct options *options, int *out_code, struct error *err);
    bool makes_processes;
} commands[] = {
    { "create",   command_create,   true  },
    { "delete",   command_delete,   false },
    { "exec",     command_exec,     true  },
    { "features", command_features, false },
    { "kill",     command_kill,     false },
    { "list",     command_list,     false },
    { "pause",    command_pause,    false },
    { "ps",       command_ps,       false },
    { "resume",   command_resume,   false },
    { "run",      command_run,      true  },
    { "start",    command_start,    false },
    { "state",    command_state,    false },
    { "update",   command_update,   false },
};
/* clang-format on */

/* What becomes a container is a copy of this program until it execs: it runs from a read-only
 * mount, so that no container can reach the file through it. */
static int seal(char **argv, struct error *err)
{
    char path[32];

    prctl(PR_SET_NAME, "berth-runtime", 0, 0, 0); /* not the number of a descriptor */
    if (mount_program_is_sealed())
        return 0;
    CLEANUP(close) int fd = mount_program("/proc/self/exe", err);
    if (fd < 0)
        return error_context(err, "cannot seal own program");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    execve(path, argv, environ);
    return error_sys(err, "cannot seal own program");
}

static void tell(const struct options *options, const struct error *err)
{
    CLEANUP(str_done) struct str line = {};
    char now[TIME_TEXT_SIZE];

    fprintf(stderr, "berth-runtime: %s\n", err->text);
    if (!options->log)
        return;
    time_format(clock_wall_ns(), now);
    if (strcmp(options->log_format, "json") == 0) {
        struct json_writer w = { .out = &line };

        json_begin_dict(&w, NULL);
        json_add_text(&w, "level", "error");
        json_add_text(&w, "msg", err->text);
        json_add_text(&w, "time", now);
        json_end_dict(&w);
    } else {
        str_add_format(&line, "time=\"%s\" level=error msg=", now);
        json_quote(&line, err->text, strlen(err->text));
    }
    str_add(&line, "\n");
    CLEANUP(close) int fd = open(options->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd >= 0)
        fd_write_all(fd, line.data, line.length, NULL);
}

static int dispatch(const struct options *options, char **argv, int *out_code, struct error *err)
{
    if (options->systemd_cgroup)
        return error_set(err, ERROR_UNSUPPORTED,
                         "--systemd-cgroup is not supported: cgroups are made in the file system");
    if (strcmp(options->log_format, "json") != 0 && strcmp(options->log_format, "text") != 0)
        return error_set(err, ERROR_INVALID, "invalid log-format \"%s\"", options->log_format);
    for (size_t i = 0; i < COUNT(commands); i++) {
        if (strcmp(commands[i].name, options->command) != 0)
            continue;
        if (commands[i].makes_processes && seal(argv, err) < 0)
            return -1;
        return commands[i].run(options, out_code, err);
    }
    return error_set(err, ERROR_INVALID, "unknown command \"%s\"", options->command);
}

int main(int argc, char **argv)
{
    CLEANUP(options_done) struct options options = {};
    struct error err = {};
    int code = 0;

    if (options_parse(argc, argv, &options, &err) < 0) {
        tell(&options, &err);
        return EXIT_FAILED;
    }
    if (options.version) {
        printf("berth-runtime version %s\nspec: 1.2.0\n", BERTH_VERSION);
        return 0;
    }
    if (options.help || !options.command) {
        fputs(usage, options.help ? stdout : stderr);
        return options.help ? 0 : EXIT_FAILED;
    }
    if (dispatch(&options, argv, &code, &err) < 0) {
        tell(&options, &err);
        return code ? code : EXIT_FAILED;
    }
    return code;
}
