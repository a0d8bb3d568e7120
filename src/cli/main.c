/* From argv to a command: global options, look-up in the tree, help, errors, exit codes. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/global_options.h"
#include "cli/plugin.h"
#include "cli/settings.h"

#include "base/banned.h"

enum { EXIT_USAGE = 125, EXIT_USAGE_OF_COMPOSE = 1 };

static bool has_name(const struct command *command, const char *word)
{
    CLEANUP(strv_done) struct strv aliases = {};

    if (strcmp(command->name, word) == 0)
        return true;
    if (!command->aliases)
        return false;
    strv_split(&aliases, command->aliases, ' ');
    return strv_contains(&aliases, word);
}

const struct command *command_find(const struct command *const *list, const char *word)
{
    for (; *list; list++)
        if (has_name(*list, word))
            return *list;
    return NULL;
}

/* The nearest name, or name by which a command is also called; 'out' is empty when none is near. */
static void suggest(const struct command *const *list, const char *word, struct str *out)
{
    size_t least = strlen(word) < 5 ? 2 : 3;

    for (; *list; list++) {
        CLEANUP(strv_done) struct strv names = {};

        if ((*list)->is_hidden)
            continue;
        strv_split(&names, (*list)->aliases ? (*list)->aliases : "", ' ');
        strv_insert(&names, 0, (*list)->name);
        for (size_t i = 0; i < names.count; i++) {
            size_t far = text_distance(word, names.items[i]);

            if (far >= least || far >= strlen(names.items[i]))
                continue;
            least = far;
            str_clear(out);
            str_add(out, names.items[i]);
        }
    }
}

/* A command that stands alone may be called otherwise in its group. */
static const char *name_of(const struct command *command, bool is_in_group)
{
    return is_in_group && command->name_in_group ? command->name_in_group : command->name;
}

static void print_children(const struct command *const *list)
{
    bool is_in_group = list != commands;

    for (; *list; list++)
        if (!(*list)->is_hidden)
            printf("  %-11s %s\n", name_of(*list, is_in_group), (*list)->summary);
}

static void print_plugins(void)
{
    CLEANUP(plugin_list_done) struct plugin_list plugins = {};

    plugin_list(&plugins);
    if (plugins.count)
        printf("\nCommands of plugins:\n");
    for (size_t i = 0; i < plugins.count; i++)
        printf("  %-11s %s\n", plugins.items[i].name,
               plugins.items[i].problem ?: plugins.items[i].summary);
}

static void print_global_help(const char *program, const struct global_options *global)
{
    CLEANUP(str_done) struct str text = {};
    struct error ignored;

    options_help(global_rows, &text);
    printf("Usage:  %s [OPTIONS] COMMAND\n\nContainers: build them, run them, reach "
           "them\n\nCommands:\n",
           program);
    print_children(commands);
    if (global_options_load(global, &ignored) == 0)
        print_plugins();
    printf("\nGlobal Options:\n%s\nRun '%s COMMAND --help' for more information on a command.\n",
           str_text(&text), program);
}

/* Called docker-compose, all commands are those of one group, which is not named. */
static bool is_compose(const struct cli *cli)
{
    return text_ends(cli->program, "-compose");
}

/* "berth compose up", "docker-compose up". Yours. */
static char *called(const struct cli *cli)
{
    const char *path = cli->command_path;

    if (is_compose(cli) && text_starts(path, "compose"))
        path += strlen(path) > strlen("compose") ? strlen("compose ") : strlen("compose");
    return xasprintf("%s%s%s", cli->program, *path ? " " : "", path);
}

static void print_help(const struct cli *cli, const struct command *command)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(free) char *name = called(cli);

    printf("Usage:  %s %s\n\n%s\n", name,
           command->children && !command->options ? "COMMAND" : command->usage, command->summary);
    if (command->aliases) {
        CLEANUP(strv_done) struct strv aliases = {};
        CLEANUP(free) char *joined = NULL;

        strv_split(&aliases, command->aliases, ' ');
        joined = strv_join(&aliases, ", ");
        printf("\nAliases:\n  %s, %s\n", command->name, joined);
    }
    if (command->options)
        options_help(command->options, &text);
    if (text.length)
        printf("\nOptions:\n%s", str_text(&text));
    if (!command->children)
        return;
    printf("\nCommands:\n");
    print_children(command->children);
    printf("\nRun '%s COMMAND --help' for more information on a command.\n", name);
}

static int usage_error(const struct cli *cli, const struct command *command,
                       const struct error *err)
{
    CLEANUP(free) char *name = called(cli);

    fprintf(stderr, "%s\n\nUsage:  %s %s\n\nRun '%s --help' for more information\n", err->text,
            name, command->usage, name);
    return text_starts(cli->command_path, "compose") ? EXIT_USAGE_OF_COMPOSE : EXIT_USAGE;
}

static int count_error(const struct cli *cli, const struct command *command, int given)
{
    CLEANUP(free) char *name = called(cli);
    const char *plural = (command->least ? command->least : command->most) == 1 ? "" : "s";

    if (command->least == command->most && command->least == 0)
        fprintf(stderr, "%s: '%s' accepts no arguments\n", cli->program, name);
    else if (command->least == command->most)
        fprintf(stderr, "%s: '%s' requires %d argument%s\n", cli->program, name, command->least,
                plural);
    else if (given < command->least)
        fprintf(stderr, "%s: '%s' requires at least %d argument%s\n", cli->program, name,
                command->least, plural);
    else
        fprintf(stderr, "%s: '%s' requires at most %d argument%s\n", cli->program, name,
                command->most, command->most == 1 ? "" : "s");
    fprintf(stderr, "\nUsage:  %s %s\n\n%s '%s --help' for more information\n", name,
            command->usage, command->least == command->most ? "Run" : "See", name);
    return 1;
}

static int unknown_command(const char *program, const char *path, const struct command *const *list,
                           const char *word)
{
    CLEANUP(str_done) struct str better = {};

    suggest(list, word, &better);
    if (text_ends(program, "-compose") && strcmp(path, "compose") == 0)
        path = "";
    fprintf(stderr, "%s: unknown command: %s %s%s%s\n", program, program, path, *path ? " " : "",
            word);
    if (better.length)
        fprintf(stderr, "\nDid you mean this?\n        %s\n", str_text(&better));
    fprintf(stderr, "\nRun '%s%s%s --help' for more information\n", program, *path ? " " : "",
            path);
    return 1;
}

/* The way from the top of the tree to a command. */
struct descent {
    const struct command *command;
    struct str path;     /* "container ls" */
    struct strv rest;    /* what is left for the command */
    struct strv given;   /* the words that group options are borrowed from */
    void *group_options; /* of the last group that has some */
    const struct option_row *group_rows;
};

static void descent_done(struct descent *descent)
{
    str_done(&descent->path);
    strv_done(&descent->rest);
    strv_done(&descent->given);
    if (descent->group_rows)
        options_done(descent->group_rows, descent->group_options);
    free(descent->group_options);
}
CLEANUP_VALUE(descent_done, struct descent)

/* Rows of a command, and behind them those that it has from its group; their values stand behind
 * the command's own options. */
static struct option_row *joined_rows(const struct command *command,
                                      const struct option_row *group_rows)
{
    static const struct option_row no_options[] = { {} };
    const struct option_row *own = command->options ? command->options : no_options;
    size_t count = 0, more = 0;

    while (own[count].name)
        count++;
    for (const struct option_row *row = group_rows; row && row->name; row++)
        more += row->is_inherited;
    struct option_row *rows = xcalloc(count + more + 1, sizeof(*rows));
    memcpy(rows, own, count * sizeof(*rows));
    for (const struct option_row *row = group_rows; row && row->name; row++)
        if (row->is_inherited) {
            rows[count] = *row;
            rows[count++].offset = command->options_size + (size_t)(row - group_rows);
        }
    return rows;
}

static size_t row_count(const struct option_row *rows)
{
    size_t count = 0;

    while (rows && rows[count].name)
        count++;
    return count;
}

/* What was said behind the command holds for the group. */
static void hand_up(const struct command *command, const struct option_row *group_rows,
                    const void *options, void *group_options)
{
    for (const struct option_row *row = group_rows; row && row->name; row++)
        if (row->is_inherited &&
            *((const bool *)options + command->options_size + (row - group_rows)))
            *(bool *)(void *)((char *)group_options + row->offset) = true;
}

static int run_command(struct cli *cli, const struct descent *descent,
                       const struct global_options *global)
{
    const struct command *command = descent->command;
    CLEANUP(free) struct option_row *rows = joined_rows(command, descent->group_rows);
    struct command described = *command;
    CLEANUP(free)
    void *options = xcalloc(1, command->options_size + row_count(descent->group_rows));
    CLEANUP(strv_done) struct strv rest = {};
    struct error err = {};
    bool wants_help;
    int result;

    described.options = rows;
    strv_init_empty(&rest);
    if (options_parse(rows, descent->rest.items, command->stops_early, options, &rest, &wants_help,
                      &err) < 0) {
        options_done(rows, options);
        return usage_error(cli, &described, &err);
    }
    if (wants_help || (int)rest.count < command->least || (int)rest.count > command->most) {
        options_done(rows, options);
        if (!wants_help)
            return count_error(cli, command, (int)rest.count);
        print_help(cli, &described);
        return 0;
    }
    hand_up(command, descent->group_rows, options, descent->group_options);
    result = global_options_load(global, &err);
    if (result == 0 && !command->is_local)
        result = settings_connect(&cli->client, &err);
    if (result == 0)
        result = command->run(cli, options, &rest, &err);
    if (result > 0)
        print_help(cli, &described);
    if (result < 0) {
        fflush(stdout);
        fprintf(stderr, "%s\n", err.text);
        if (!cli->exit_code)
            cli->exit_code = 1;
    }
    options_done(rows, options);
    client_close(cli->client);
    return cli->exit_code;
}

int cli_call(struct cli *cli, const struct command *command, const struct strv *words,
             struct error *err)
{
    CLEANUP(free) void *options = xcalloc(1, command->options_size);
    CLEANUP(strv_done) struct strv rest = {};
    bool wants_help;
    int result;

    strv_init_empty(&rest);
    cli->command_path = command->name;
    result = options_parse(command->options, words->items, command->stops_early, options, &rest,
                           &wants_help, err);
    if (result == 0)
        result = command->run(cli, options, &rest, err);
    options_done(command->options, options);
    return result;
}

int cli_each(struct cli *cli, const struct strv *arguments,
             int (*each)(struct cli *cli, const char *argument, const void *options,
                         struct error *err),
             const void *options, struct error *err UNUSED)
{
    for (size_t i = 0; i < arguments->count; i++) {
        struct error failed = {};

        if (each(cli, arguments->items[i], options, &failed) == 0) {
            puts(arguments->items[i]);
            continue;
        }
        fflush(stdout);
        fprintf(stderr, "%s\n", failed.text);
        cli->exit_code = 1;
    }
    return 0;
}

/* Reads the options of a group that has some; what follows them stays in 'rest'. */
static int read_group_options(struct descent *descent, bool *out_wants_help, struct error *err)
{
    const struct command *group = descent->command;
    descent->given = descent->rest;
    descent->rest = (struct strv){};
    strv_init_empty(&descent->rest);
    descent->group_rows = group->options;
    descent->group_options = xcalloc(1, group->options_size);
    return options_parse(group->options, descent->given.items, true, descent->group_options,
                         &descent->rest, out_wants_help, err);
}

/* Goes down as far as the words lead. An exit code when that is all there is to do, else -1. */
static int descend(struct cli *cli, const struct global_options *global, struct descent *descent)
{
    const struct command *const *list = commands;
    struct error err = {};
    bool wants_help = false;

    while (list && descent->rest.count && !wants_help) {
        const char *word = descent->rest.items[0];

        if (descent->command && word[0] == '-')
            break; /* a group with --help */
        const struct command *found = command_find(list, word);
        if (!found)
            return unknown_command(cli->program, str_text(&descent->path), list, word);
        descent->command = found;
        str_add_format(&descent->path, "%s%s", descent->path.length ? " " : "",
                       name_of(found, list != commands));
        cli->command_path = str_text(&descent->path);
        strv_remove(&descent->rest, 0);
        list = found->children;
        if (list && found->options && read_group_options(descent, &wants_help, &err) < 0)
            return usage_error(cli, found, &err);
    }
    if (descent->command && (!descent->command->children ||
                             (descent->command->run && !wants_help && !descent->rest.count)))
        return -1;
    if (descent->command)
        print_help(cli, descent->command);
    else
        print_global_help(cli->program, global);
    return 0;
}

/* "help run" is "run --help". */
static void turn_help(struct strv *words, bool *wants_help)
{
    strv_remove(words, 0);
    if (words->count)
        strv_add(words, "--help");
    else
        *wants_help = true;
}

/* Words that begin with no command of ours may be a plugin's: then this does not return, or gives
 * an exit code. -1: there is no such plugin. */
static int try_plugin(const char *name, char **arguments, const struct global_options *global)
{
    struct error err = {};

    if (global_options_load(global, &err) == 0)
        plugin_run(name, arguments, &err);
    if (err.kind == ERROR_NOT_FOUND)
        return -1;
    fprintf(stderr, "%s: %s\n", path_base(arguments[0]), err.text);
    return 1;
}

int cli_main(int argument_count UNUSED, char **arguments)
{
    struct cli cli = { .program = path_base(arguments[0]) };
    struct global_options global = {};
    CLEANUP(descent_done) struct descent descent = {};
    struct error err = {};
    bool wants_help = false;
    int code;

    signal(SIGPIPE, SIG_IGN);
    strv_init_empty(&descent.rest);
    if (is_compose(&cli)) {
        strv_add(&descent.rest, "compose");
        for (char **argument = arguments + 1; *argument; argument++)
            strv_add(&descent.rest, *argument);
    } else if (options_parse(global_rows, arguments + 1, true, &global, &descent.rest, &wants_help,
                             &err) < 0) {
        fprintf(stderr,
                "%s\n\nUsage:  %s [OPTIONS] COMMAND\n\nRun '%s --help' for more information\n",
                err.text, cli.program, cli.program);
        return EXIT_USAGE;
    }
    if (global.version) {
        printf("berth version %s\n", BERTH_VERSION);
        return 0;
    }
    if (descent.rest.count && strcmp(descent.rest.items[0], "help") == 0)
        turn_help(&descent.rest, &wants_help);
    if (wants_help)
        strv_done(&descent.rest);
    code = -1;
    if (descent.rest.count && !command_find(commands, descent.rest.items[0]))
        code = try_plugin(descent.rest.items[0], arguments, &global);
    if (code < 0)
        code = descend(&cli, &global, &descent);
    cli.group_options = descent.group_options;
    if (code < 0)
        code = run_command(&cli, &descent, &global);
    if (fflush(stdout) < 0 && errno != EPIPE)
        code = code ? code : 1;
    options_done(global_rows, &global);
    return code;
}
