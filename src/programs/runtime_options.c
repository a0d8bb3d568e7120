/* One table; a row says which commands know the option. */
#include "programs/runtime_options.h"

#include <stddef.h>
#include <string.h>

#include "base/banned.h"

enum kind { FLAG, VALUE, LIST };

#define ROW(short_, long_, kind_, member_, commands_)                                              \
    {                                                                                              \
        short_, long_, kind_, offsetof(struct options, member_), commands_                         \
    }

/* clang-format off */
static const struct {
    char short_name;
    const char *name;
    enum kind kind;
    size_t offset;
    const char *commands; /* "": in front of the command */
} rows[] = {
    ROW('g', "additional-gids", VALUE, additional_gids, " exec "),
    ROW('a', "all",             FLAG,  all,             " kill "),
    ROW( 0 , "apparmor",        VALUE, apparmor,        " exec "),
    ROW('b', "bundle",          VALUE, bundle,          " create run "),
    ROW('c', "cap",             LIST,  caps,            " exec "),
    ROW( 0 , "console-socket",  VALUE, console_socket,  " create run exec "),
    ROW( 0 , "cwd",             VALUE, cwd,             " exec "),
    ROW( 0 , "debug",           FLAG,  debug,           ""),
    ROW('d', "detach",          FLAG,  detach,          " run exec "),
    ROW('e', "env",             LIST,  env,             " exec "),
    ROW('f', "force",           FLAG,  force,           " delete "),
    ROW('f', "format",          VALUE, format,          " list ps "),
    ROW('h', "help",            FLAG,  help,            ""),
    ROW( 0 , "ignore-paused",   FLAG,  ignore_paused,   " exec "),
    ROW( 0 , "keep",            FLAG,  keep,            " run "),
    ROW( 0 , "log",             VALUE, log,             ""),
    ROW( 0 , "log-format",      VALUE, log_format,      ""),
    ROW( 0 , "no-new-keyring",  FLAG,  no_new_keyring,  " create run "),
    ROW( 0 , "no-new-privs",    FLAG,  no_new_privs,    " exec "),
    ROW( 0 , "no-pivot",        FLAG,  no_pivot,        " create run "),
    ROW( 0 , "pid-file",        VALUE, pid_file,        " create run exec "),
    ROW( 0 , "preserve-fds",    VALUE, preserve_fds,    " create run exec "),
    ROW('p', "process",         VALUE, process,         " exec "),
    ROW( 0 , "process-label",   VALUE, process_label,   " exec "),
    ROW('q', "quiet",           FLAG,  quiet,           " list "),
    ROW('r', "resources",       VALUE, resources,       " update "),
    ROW( 0 , "root",            VALUE, root,            ""),
    ROW( 0 , "rootless",        VALUE, rootless,        ""),
    ROW( 0 , "systemd-cgroup",  FLAG,  systemd_cgroup,  ""),
    ROW('t', "tty",             FLAG,  tty,             " exec "),
    ROW('u', "user",            VALUE, user,            " exec "),
    ROW('v', "version",         FLAG,  version,         ""),
};
/* clang-format on */

static bool applies(const char *commands, const char *command)
{
    if (!command || !*commands)
        return !command && !*commands;
    const char *found = strstr(commands, command);
    return found && found[-1] == ' ' && found[strlen(command)] == ' ';
}

/* The row of "--name" (up to 'length') or of '-c'; -1. */
static int find_row(const char *word, size_t length, const char *command)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (!applies(rows[i].commands, command))
            continue;
        if (word[1] == '-' ? strlen(rows[i].name) == length - 2 &&
                                 strncmp(rows[i].name, word + 2, length - 2) == 0
                           : length == 2 && word[1] == rows[i].short_name)
            return (int)i;
        /* single-dash long names are Go's habit */
        if (word[1] != '-' && length > 2 && strlen(rows[i].name) == length - 1 &&
            strncmp(rows[i].name, word + 1, length - 1) == 0)
            return (int)i;
    }
    return -1;
}

static int take_option(int argc, char **argv, int *at, struct options *out, struct error *err)
{
    char *word = argv[*at];
    const char *value = strchr(word, '=');
    size_t length = value ? (size_t)(value - word) : strlen(word);
    int row = find_row(word, length, out->command);

    if (row < 0)
        return error_set(err, ERROR_INVALID, "flag provided but not defined: %.*s", (int)length,
                         word);
    void *member = (char *)out + rows[row].offset;
    if (rows[row].kind == FLAG) {
        *(bool *)member = !value || strcmp(value, "=false") != 0;
        return 0;
    }
    if (value)
        value++;
    else if (*at + 1 < argc)
        value = argv[++*at];
    else
        return error_set(err, ERROR_INVALID, "flag needs an argument: %s", word);
    if (rows[row].kind == LIST)
        strv_add(member, value);
    else
        *(const char **)member = value;
    return 0;
}

int options_parse(int argc, char **argv, struct options *out, struct error *err)
{
    int i;

    *out = (struct options){ .root = "/run/berth-runtime", .log_format = "text" };
    for (i = 1; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1] && strcmp(argv[i], "--") != 0) {
            if (take_option(argc, argv, &i, out, err) < 0)
                return -1;
            continue;
        }
        if (strcmp(argv[i], "--") == 0) {
            i++;
            if (out->command)
                break;
        }
        if (out->command)
            break;
        out->command = argv[i];
    }
    out->arguments = argv + MIN(i, argc);
    out->argument_count = argc - MIN(i, argc);
    return 0;
}

void options_done(struct options *options)
{
    strv_done(&options->caps);
    strv_done(&options->env);
}
